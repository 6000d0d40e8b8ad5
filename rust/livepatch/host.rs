// SPDX-License-Identifier: GPL-2.0-only

//! The running hypervisor, as the loader sees it.

use core::cell::RefCell;

use kernel::sync::{
    Arc,
    Mutex, //
};

use super::engine::Loaded;
use super::extents::Extents;
use super::func::ENDBR;
use super::load::{
    self,
    Host, //
};
use super::note::Id;
use super::refusal::{
    Refusal,
    Result, //
};
use super::relocate::Return;
use super::resolve::Found;
use super::state::Registry;
use crate::abi::errno::{
    EINVAL,
    EOPNOTSUPP, //
};
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL, //
};
use crate::sys::symbols::{
    self,
    KernelSymbol, //
};
use crate::sys::{
    module,
    raw, //
};

/// Which parts of the arenas are in use.
pub(super) struct Arenas {
    text: Extents,
    data: Extents,
}

impl Arenas {
    /// All free.
    pub(super) fn new(bounds: &raw::oxen_bounds) -> Self {
        // CAST: Small constants.
        Self {
            text: Extents::new(bounds.arena_text_len as u32),
            data: Extents::new(bounds.arena_data_len as u32),
        }
    }
}

/// A part of each arena.
pub(crate) struct Space {
    arenas: Arc<Mutex<Arenas>>,
    text: u64,
    data: u64,
    /// Where the parts begin in their arenas, and how long they are.
    offsets: (u32, u32),
    lens: (u32, u32),
}

impl load::Space for Space {
    fn text(&self) -> u64 {
        self.text
    }
    fn data(&self) -> u64 {
        self.data
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let mut arenas = self.arenas.lock();
        arenas.text.give_back(self.offsets.0, self.lens.0);
        arenas.data.give_back(self.offsets.1, self.lens.1);
    }
}

/// The running hypervisor.
pub(super) struct Running<'a> {
    registry: &'a Registry<Loaded>,
    arenas: &'a Arc<Mutex<Arenas>>,
    bounds: raw::oxen_bounds,
    /// What of the kernel the payload uses and the module does not.
    kernel: RefCell<KVec<KernelSymbol>>,
    /// The payloads whose symbols or code it uses.
    uses: RefCell<KVec<Id>>,
}

/// What a payload uses besides the module, to keep as long as it.
pub(super) struct Used {
    /// Of the kernel.
    pub(super) _kernel: KVec<KernelSymbol>,
    /// Other payloads.
    pub(super) payloads: KVec<Id>,
}

impl<'a> Running<'a> {
    pub(super) fn new(registry: &'a Registry<Loaded>, arenas: &'a Arc<Mutex<Arenas>>) -> Self {
        Self {
            registry,
            arenas,
            bounds: symbols::bounds(),
            kernel: RefCell::new(KVec::new()),
            uses: RefCell::new(KVec::new()),
        }
    }

    /// What was asked for besides the module.
    pub(super) fn into_used(self) -> Used {
        Used {
            _kernel: self.kernel.into_inner(),
            payloads: self.uses.into_inner(),
        }
    }

    /// Notes that a payload is used, which must stay then. `None` if there is too little memory for that.
    fn note_use(&self, id: Id) -> Option<()> {
        let mut uses = self.uses.try_borrow_mut().ok()?;
        if !uses.contains(&id) {
            uses.push(id, GFP_KERNEL).ok()?;
        }
        Some(())
    }

    /// A symbol that a payload added.
    fn added(&self, name: &[u8]) -> Option<Found> {
        let (id, symbol) = self
            .registry
            .entries()
            .flat_map(|entry| {
                let payload = &entry.payload.payload;
                let symbols = payload.symbols.iter();
                symbols.map(move |symbol| (payload.id, symbol))
            })
            .find(|(_, symbol)| symbol.name[..] == *name)?;
        self.note_use(id)?;
        Some(Found {
            addr: symbol.addr,
            func: symbol.func,
        })
    }

    /// A symbol that the kernel has for all modules like this one.
    fn of_kernel(&self, name: &[u8]) -> Option<Found> {
        let symbol = KernelSymbol::get(name).ok()??;
        let addr = symbol.addr;
        self.kernel
            .try_borrow_mut()
            .ok()?
            .push(symbol, GFP_KERNEL)
            .ok()?;
        Some(Found { addr, func: true })
    }

    /// Whether bytes are code of a payload that is loaded.
    fn is_payload_code(&self, addr: u64, size: u32) -> bool {
        let mut payloads = self.registry.entries().map(|entry| &entry.payload.payload);
        let found = payloads.find(|payload| {
            addr.checked_sub(load::Space::text(&payload.space))
                .and_then(|at| at.checked_add(size.into()))
                .is_some_and(|end| end <= payload.code.into())
        });
        found.is_some_and(|payload| self.note_use(payload.id).is_some())
    }
}

/// The identity of the running build.
pub(super) fn build_id() -> Option<Id> {
    Id::new(module::build_id()?)
}

impl Host for Running<'_> {
    type Space = Space;

    fn build_id(&self) -> Option<Id> {
        build_id()
    }

    fn is_loaded(&self, id: &Id) -> bool {
        self.registry
            .entries()
            .any(|entry| entry.payload.payload.id == *id)
    }

    fn symbol(&self, name: &[u8]) -> Option<Found> {
        let own = symbols::by_name(name).map(|symbol| Found {
            addr: symbol.addr,
            func: symbol.func,
        });
        let import = || symbols::import(name).map(|addr| Found { addr, func: true });
        own.or_else(|| self.added(name))
            .or_else(import)
            .or_else(|| self.of_kernel(name))
    }

    fn check_function(&self, addr: u64, size: u32) -> Result {
        if self.is_payload_code(addr, size) {
            return Ok(());
        }
        // Where it begins: what is larger than the function is refused below, wherever it ends.
        let is_in = |from: u64, len: u64| addr.checked_sub(from).is_some_and(|at| at < len);
        let bounds = &self.bounds;
        if !is_in(bounds.text, bounds.text_len) && !is_in(bounds.cold, bounds.cold_len) {
            return Err(if symbols::is_module_text(addr) {
                let why = "may not be patched: it runs while code is written";
                Refusal::new(EOPNOTSUPP, why)
            } else {
                Refusal::new(EINVAL, "is no function of the hypervisor")
            });
        }
        let inside = symbols::by_addr(addr).is_some_and(|symbol| {
            let end = addr.saturating_add(size.into());
            end <= symbol.addr.saturating_add(symbol.size)
        });
        if inside {
            Ok(())
        } else {
            Err(Refusal::new(EINVAL, "is larger than the function is"))
        }
    }

    fn has_site(&self, addr: u64, len: usize) -> bool {
        symbols::has_site(addr, len)
    }

    fn may_be_pointed_to(&self, addr: u64) -> bool {
        if !symbols::cpu_has_ibt() {
            return true;
        }
        let mut head = [0; ENDBR.len()];
        // What the kernel exports is prepared for pointers.
        !symbols::read_text(addr, &mut head) || head == ENDBR
    }

    fn read_text(&self, addr: u64, into: &mut [u8]) -> bool {
        symbols::read_text(addr, into)
    }

    fn returns(&self) -> Return {
        let at = self.bounds.return_sample;
        let mut sample = [0; 5];
        match (symbols::read_text(at, &mut sample), sample) {
            (true, [0xe9, distance @ ..]) => {
                let distance = i32::from_le_bytes(distance);
                Return::Jump(at.wrapping_add(5).wrapping_add_signed(distance.into()))
            }
            _ => Return::Ret,
        }
    }

    fn allocate(&self, text: u32, data: u32) -> crate::abi::errno::Result<Space> {
        let mut arenas = self.arenas.lock();
        let at = arenas.text.take(text)?;
        let data_at = match arenas.data.take(data) {
            Ok(at) => at,
            Err(errno) => {
                arenas.text.give_back(at, text);
                return Err(errno);
            }
        };
        drop(arenas);
        Ok(Space {
            arenas: self.arenas.clone(),
            text: self.bounds.arena_text.wrapping_add(at.into()),
            data: self.bounds.arena_data.wrapping_add(data_at.into()),
            offsets: (at, data_at),
            lens: (text, data),
        })
    }
}
