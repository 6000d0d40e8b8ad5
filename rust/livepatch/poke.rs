// SPDX-License-Identifier: GPL-2.0-only

//! Writing into the module's text, and calling what was written there.
//!
//! The text is read-only wherever it is mapped. A second mapping of the same pages, made for the purpose and removed
//! afterwards, is writable and not executable.

use core::ptr::NonNull;

use super::payload::Hook;
use super::plan::Write;
use super::stop::Stopped;
use crate::abi::errno::{
    Result,
    EINVAL,
    ENOMEM, //
};
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL, //
};
use crate::sys::raw;

/// A writable mapping of a part of the text.
///
/// # Invariants
///
/// `bytes` is where that part begins, in `mapping`, which is there until this is dropped.
struct Alias {
    bytes: NonNull<u8>,
    mapping: *mut kernel::ffi::c_void,
}

// SAFETY: A mapping belongs to no thread.
unsafe impl Send for Alias {}

impl Alias {
    /// Maps `len` bytes of the module's text from `addr` on. May sleep.
    fn new(addr: u64, len: u32) -> Result<Self> {
        let mut mapping = core::ptr::null_mut();
        // SAFETY: Callers name parts of the module's text, which is there as long as the module; `mapping` is valid.
        let bytes = unsafe { raw::oxen_alias_map(addr, len, &mut mapping) };
        // INVARIANT: Just mapped.
        Ok(Self {
            bytes: NonNull::new(bytes).ok_or(ENOMEM)?,
            mapping,
        })
    }
}

impl Drop for Alias {
    fn drop(&mut self) {
        // SAFETY: Mapped by `new`.
        unsafe { raw::oxen_alias_unmap(self.mapping) };
    }
}

/// Puts code and constants into the text arena, where nothing leads to yet.
///
/// # Errors
///
/// `ENOMEM`, `EINVAL` if there is too much.
pub(super) fn fill(addr: u64, bytes: &[u8]) -> Result {
    let len = u32::try_from(bytes.len()).map_err(|_| EINVAL)?;
    if len != 0 {
        let alias = Alias::new(addr, len)?;
        // SAFETY: Both are valid for `len` bytes. Nobody executes this part of the arena: it was set aside for a
        // payload that is being loaded.
        unsafe { raw::oxen_fixed_fill(alias.bytes.as_ptr(), bytes.as_ptr(), len) };
    }
    Ok(())
}

/// Fills a part of the text arena with traps, where nothing leads to any more.
///
/// # Errors
///
/// `ENOMEM`.
pub(super) fn clear(addr: u64, len: u32) -> Result {
    if len != 0 {
        let alias = Alias::new(addr, len)?;
        // SAFETY: The alias is valid for `len` bytes. Nobody executes this part of the arena: its payload is not
        // applied, and whoever was in its code is out since it was reverted.
        unsafe { raw::oxen_fixed_fill(alias.bytes.as_ptr(), core::ptr::null(), len) };
    }
    Ok(())
}

/// Puts variables into the data arena, or zeroes if there are none.
///
/// # Errors
///
/// `EINVAL` if there is too much.
pub(super) fn fill_data(addr: u64, bytes: Option<&[u8]>, len: u32) -> Result {
    if bytes.is_some_and(|bytes| bytes.len() != len as usize) {
        return Err(EINVAL);
    }
    let from = bytes.map_or(core::ptr::null(), <[u8]>::as_ptr);
    // SAFETY: Callers name a part of the arena that was set aside for a payload which is not in use; `from` is null or
    // valid for `len` bytes.
    unsafe { raw::oxen_arena_write(addr, from, len) };
    Ok(())
}

/// Writes that are prepared.
pub(super) struct Pokes {
    pokes: KVec<raw::oxen_poke>,
    _aliases: KVec<Alias>,
}

// SAFETY: The pointers are to mappings that belong to no thread.
unsafe impl Send for Pokes {}

impl Pokes {
    /// Maps what is to be written. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new(writes: &[Write]) -> Result<Self> {
        let mut pokes = KVec::with_capacity(writes.len(), GFP_KERNEL)?;
        let mut aliases = KVec::with_capacity(writes.len(), GFP_KERNEL)?;
        for write in writes {
            let mut poke = raw::oxen_poke {
                alias: core::ptr::null_mut(),
                // CAST: At most `PATCH_MAX`.
                len: write.old.len() as u32,
                old: [0; 31],
                new: [0; 31],
            };
            for (to, from) in poke.old.iter_mut().zip(write.old.get()) {
                *to = *from;
            }
            for (to, from) in poke.new.iter_mut().zip(write.new.get()) {
                *to = *from;
            }
            if poke.len != 0 {
                let alias = Alias::new(write.addr, poke.len)?;
                poke.alias = alias.bytes.as_ptr();
                aliases.push(alias, GFP_KERNEL)?;
            }
            pokes.push(poke, GFP_KERNEL)?;
        }
        Ok(Self {
            pokes,
            _aliases: aliases,
        })
    }

    /// Some of the writes: the first, and how many.
    #[inline(always)]
    fn some(&self, from: usize, count: usize) -> (*const raw::oxen_poke, u32) {
        let rest = match self.pokes.split_at_checked(from) {
            Some((_, rest)) => rest,
            None => &[],
        };
        let count = if count < rest.len() {
            count
        } else {
            rest.len()
        };
        // CAST: At most twice `FUNCS_MAX` for each payload.
        (rest.as_ptr(), count as u32)
    }

    /// Carries some of the writes out, all or none. This processor executes what was written at once, others after
    /// [`serialise`](Self::serialise). Returns the number of the write that found something else, if one did.
    #[inline(always)]
    pub(super) fn perform(
        &self,
        from: usize,
        count: usize,
        _stopped: &Stopped,
    ) -> core::result::Result<(), usize> {
        let (pokes, nr) = self.some(from, count);
        // SAFETY: There are so many, and the aliases are valid as long as this is. Nobody executes what is written: all
        // are outside, in code that no payload may change.
        let done = unsafe { raw::oxen_fixed_poke(pokes, nr) };
        if done == nr {
            Ok(())
        } else {
            // CAST: Widens.
            Err(from + done as usize)
        }
    }

    /// Undoes some of the writes, which were carried out.
    #[inline(always)]
    pub(super) fn undo(&self, from: usize, count: usize, _stopped: &Stopped) {
        let (pokes, nr) = self.some(from, count);
        // SAFETY: As above.
        unsafe { raw::oxen_fixed_unpoke(pokes, nr) };
    }

    /// From here on no processor executes what was there before.
    #[inline(always)]
    pub(super) fn serialise(&self, _stopped: &Stopped) {
        // SAFETY: Called with interrupts on; waits for nothing but interrupts of other processors.
        unsafe { raw::oxen_fixed_sync() };
    }
}

/// What hooks get that have an argument (`struct oxen_livepatch_payload` in `include/uapi/oxen/livepatch.h`).
#[repr(C)]
pub(super) struct HookArg {
    /// `LIVEPATCH_STATE_*` before the action.
    pub(super) state: u32,
    /// For those that are called afterwards: how it ended.
    pub(super) rc: i32,
    /// Those that are called in place of the action may set this, to have it done when they return 0.
    pub(super) default_action: u32,
    pub(super) _pad: u32,
    /// The payload's name, with a zero at its end.
    pub(super) name: [u8; 128],
}

const _: () = assert!(core::mem::size_of::<HookArg>() == 144);

/// Calls a hook without an argument.
#[inline(always)]
pub(super) fn call(hook: Hook) {
    // SAFETY: By its invariant it is such a function, and its payload is loaded as long as it is known.
    let hook = unsafe { core::mem::transmute::<u64, extern "C" fn()>(hook.addr()) };
    hook();
}

/// Calls a hook with an argument. What a hook that has no result returns has no meaning.
#[inline(always)]
pub(super) fn call_with(hook: Hook, arg: &mut HookArg) -> i32 {
    // SAFETY: As above.
    let hook =
        unsafe { core::mem::transmute::<u64, extern "C" fn(*mut HookArg) -> i32>(hook.addr()) };
    hook(arg)
}
