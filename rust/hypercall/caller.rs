// SPDX-License-Identifier: GPL-2.0-only

//! Who makes a hypercall, and where its arguments are.

use core::marker::PhantomData;

use kernel::sync::Arc;
use kernel::uaccess::{
    UserPtr,
    UserSlice, //
};
use zerocopy::{
    FromBytes,
    Immutable,
    IntoBytes, //
};

use crate::abi::errno::{
    Result,
    EFAULT,
    EPERM,
    ESRCH, //
};
use crate::abi::layout::Widen;
use crate::abi::xen::DOMID_SELF;
use crate::domain::hypervisor::Hypervisor;
use crate::domain::ioreq::ServerOwner;
use crate::domain::vcpu::Vcpu;
use crate::domain::{
    DomId,
    Domain,
    Identity, //
};
use crate::mm::guest;
use crate::mm::walk::Paging;
use crate::sys::atomic::{
    AtomicU32,
    AtomicU64,
    Ordering, //
};

/// Width of a caller's registers and structures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Width {
    /// 32-bit: compat layouts.
    Bits32,
    /// 64-bit.
    Bits64,
}

/// Where a call comes from.
pub(crate) enum Origin<'a> {
    /// A process of this host with a file descriptor of ours: the control domain. Arguments are in its memory.
    Host,
    /// A vCPU, in its own thread. Arguments are in guest memory, at linear addresses.
    Guest {
        /// The vCPU.
        vcpu: &'a Vcpu,
        /// How its linear addresses are translated now.
        paging: Paging,
    },
}

/// What is kept of a tool's earlier calls through the same descriptor.
pub(crate) struct Session {
    /// How much there was to list when it asked last: bytes of names in the upper half, of metadata in the lower one.
    told: AtomicU64,
    /// The version of the list that this was about.
    version: AtomicU32,
}

/// It never asked.
const NEVER: u64 = u64::MAX;

impl Session {
    /// Nothing yet.
    pub(crate) const fn new() -> Self {
        Self {
            told: AtomicU64::new(NEVER),
            version: AtomicU32::new(0),
        }
    }

    /// What the tool was told last of how long the names and the metadata of all payloads are.
    pub(crate) fn told(&self) -> Option<(u32, u32)> {
        match self.told.load(Ordering::Relaxed) {
            NEVER => None,
            // CAST: The halves of the word.
            told => Some(((told >> 32) as u32, told as u32)),
        }
    }

    /// Whether it was about this version of the list.
    pub(crate) fn told_of(&self, version: u32) -> bool {
        self.version.load(Ordering::Relaxed) == version
    }

    /// Tells it.
    pub(crate) fn tell(&self, names: u32, metadata: u32, version: u32) {
        self.version.store(version, Ordering::Relaxed);
        let told = u64::from(names) << 32 | u64::from(metadata);
        self.told.store(told, Ordering::Relaxed);
    }
}

/// The caller of a hypercall.
pub(crate) struct Caller<'a> {
    /// What there is once.
    pub(crate) hypervisor: &'static Hypervisor,
    /// The calling domain.
    pub(crate) domain: &'a Arc<Domain>,
    /// Where the call comes from.
    pub(crate) origin: Origin<'a>,
    /// Layout of its structures.
    pub(crate) width: Width,
    /// The descriptor of a tool, which owns the I/O request servers that are made through it.
    pub(crate) owner: Option<&'a ServerOwner>,
    /// The only other domain that it may name, if its descriptor was restricted.
    pub(crate) only: Option<Identity>,
    /// What is kept of earlier calls, for tools.
    pub(crate) session: Option<&'a Session>,
}

impl Caller<'_> {
    /// Whether this is the control domain.
    pub(crate) fn is_control(&self) -> bool {
        matches!(self.origin, Origin::Host)
    }

    /// Whether structures have the 32-bit layout.
    pub(crate) fn is_compat(&self) -> bool {
        self.width == Width::Bits32
    }

    /// The calling vCPU, of a guest.
    pub(crate) fn vcpu(&self) -> Option<&Vcpu> {
        match &self.origin {
            Origin::Host => None,
            Origin::Guest { vcpu, .. } => Some(vcpu),
        }
    }

    /// Finds the domain that an operation is about: the caller itself for `DOMID_SELF` or its own number, or one
    /// that it controls.
    ///
    /// # Errors
    ///
    /// `ESRCH` if there is none, `EPERM` if the caller has no power over it.
    pub(crate) fn target(&self, domid: DomId) -> Result<Arc<Domain>> {
        if domid == DOMID_SELF || domid == self.domain.id() {
            return Ok(self.domain.clone());
        }
        self.remote(domid)
    }

    /// Finds another domain that the caller controls.
    ///
    /// `DOMID_SELF` is no name of another domain: there is none of that number. As in Xen, whoever asks learns
    /// which numbers are in use.
    ///
    /// # Errors
    ///
    /// `ESRCH` if there is none or it is dying, `EPERM` for the caller itself or a domain that it has no power over.
    pub(crate) fn remote(&self, domid: DomId) -> Result<Arc<Domain>> {
        if domid == self.domain.id() {
            return Err(EPERM);
        }
        let domain = self.hypervisor.domain(domid)?;
        let identity = domain.identity();
        // A later domain with the number of the one that is meant is another domain.
        if self.only.is_some_and(|only| only != identity) {
            return Err(ESRCH);
        }
        if !self.is_control() && self.domain.control().lock().target != Some(identity) {
            return Err(EPERM);
        }
        if domain.life.lock().dying {
            return Err(ESRCH);
        }
        Ok(domain)
    }

    /// Copies from the caller's memory.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    pub(crate) fn copy_in(&self, addr: u64, into: &mut [u8]) -> Result {
        match &self.origin {
            Origin::Host => {
                let addr = usize::try_from(addr).map_err(|_| EFAULT)?;
                UserSlice::new(UserPtr::from_addr(addr), into.len())
                    .reader()
                    .read_slice(into)
                    .map_err(|_| EFAULT)
            }
            Origin::Guest { paging, .. } => {
                guest::copy_from_linear(&self.domain.p2m, paging, self.linear(addr), into)
                    .map_err(|_| EFAULT)
            }
        }
    }

    /// Copies to the caller's memory.
    ///
    /// # Errors
    ///
    /// `EFAULT`; a part may have been written.
    pub(crate) fn copy_out(&self, addr: u64, from: &[u8]) -> Result {
        match &self.origin {
            Origin::Host => {
                let addr = usize::try_from(addr).map_err(|_| EFAULT)?;
                UserSlice::new(UserPtr::from_addr(addr), from.len())
                    .writer()
                    .write_slice(from)
                    .map_err(|_| EFAULT)
            }
            Origin::Guest { paging, .. } => {
                guest::copy_to_linear(&self.domain.p2m, paging, self.linear(addr), from)
                    .map_err(|_| EFAULT)
            }
        }
    }

    fn linear(&self, addr: u64) -> u64 {
        match self.width {
            Width::Bits32 => addr & 0xffff_ffff,
            Width::Bits64 => addr,
        }
    }
}

/// Where an argument or an array of arguments of type `T` is in the caller's memory.
pub(crate) struct Handle<T> {
    addr: u64,
    _type: PhantomData<T>,
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Handle<T> {}

impl<T> Handle<T> {
    /// The handle that an argument or a structure holds.
    pub(crate) const fn new(addr: u64) -> Self {
        Self {
            addr,
            _type: PhantomData,
        }
    }

    /// The address.
    pub(crate) const fn addr(self) -> u64 {
        self.addr
    }

    /// The element `index` of the array.
    pub(crate) fn at(self, index: u64) -> Result<Self> {
        let offset = index.checked_mul(size_of::<T>() as u64).ok_or(EFAULT)?;
        Ok(Self::new(self.addr.checked_add(offset).ok_or(EFAULT)?))
    }
}

impl<T: FromBytes + IntoBytes> Handle<T> {
    /// Copies the argument in, once.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    pub(crate) fn read(self, caller: &Caller<'_>) -> Result<T> {
        let mut value = T::new_zeroed();
        caller.copy_in(self.addr, value.as_mut_bytes())?;
        Ok(value)
    }
}

impl<T: FromBytes + IntoBytes> Handle<T> {
    /// Copies an argument in that has another layout, `C`, for 32-bit callers.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    pub(crate) fn read_as<C: FromBytes + IntoBytes + Widen<T>>(
        self,
        caller: &Caller<'_>,
    ) -> Result<T> {
        if caller.is_compat() {
            Ok(Handle::<C>::new(self.addr).read(caller)?.widen())
        } else {
            self.read(caller)
        }
    }
}

impl<T: IntoBytes + Immutable> Handle<T> {
    /// Copies the argument back.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    pub(crate) fn write(self, caller: &Caller<'_>, value: &T) -> Result {
        caller.copy_out(self.addr, value.as_bytes())
    }
}
