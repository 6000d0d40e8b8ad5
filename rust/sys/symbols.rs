// SPDX-License-Identifier: GPL-2.0-only

//! What names stand for in the running module and kernel, and what is in the module's text.

use crate::abi::errno::{
    Result,
    ENOMEM, //
};
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL, //
};
use crate::sys::raw;

/// Where the parts of the module's text are that live patching uses.
pub(crate) fn bounds() -> raw::oxen_bounds {
    let mut bounds = raw::oxen_bounds {
        text: 0,
        text_len: 0,
        cold: 0,
        cold_len: 0,
        arena_text: 0,
        arena_text_len: 0,
        arena_data: 0,
        arena_data_len: 0,
        return_sample: 0,
    };
    // SAFETY: `bounds` is valid for the call.
    unsafe { raw::oxen_text_bounds(&mut bounds) };
    bounds
}

fn empty() -> raw::oxen_symbol {
    raw::oxen_symbol {
        addr: 0,
        size: 0,
        func: false,
    }
}

/// The module's symbol of that name, if there is exactly one.
pub(crate) fn by_name(name: &[u8]) -> Option<raw::oxen_symbol> {
    let mut found = empty();
    // SAFETY: Both are valid for the call, and the name's length is its.
    let there = unsafe { raw::oxen_symbol_by_name(name.as_ptr(), name.len() as u64, &mut found) };
    there.then_some(found)
}

/// The module's function to which the byte at `addr` belongs.
pub(crate) fn by_addr(addr: u64) -> Option<raw::oxen_symbol> {
    let mut found = empty();
    // SAFETY: `found` is valid for the call.
    unsafe { raw::oxen_symbol_by_addr(addr, &mut found) }.then_some(found)
}

/// What of the kernel the module uses itself.
pub(crate) fn import(name: &[u8]) -> Option<u64> {
    // SAFETY: The name is valid for the call.
    let addr = unsafe { raw::oxen_import_by_name(name.as_ptr(), name.len() as u64) };
    (addr != 0).then_some(addr)
}

/// Whether an address is in executable memory of the module.
pub(crate) fn is_module_text(addr: u64) -> bool {
    // SAFETY: Compares numbers.
    unsafe { raw::oxen_is_module_text(addr) }
}

/// Whether an address is in the kernel itself, not in a module.
pub(crate) fn is_kernel_image(addr: u64) -> bool {
    // SAFETY: Compares numbers.
    unsafe { raw::oxen_is_kernel_image(addr) }
}

/// Whether the kernel writes to some of these bytes by itself: for static branches, static calls, its function tracer.
pub(crate) fn has_site(addr: u64, len: usize) -> bool {
    // SAFETY: Reads tables of the module. CAST: Widens.
    unsafe { raw::oxen_has_site(addr, len as u64) }
}

/// Whether the processor checks where indirect calls lead.
pub(crate) fn cpu_has_ibt() -> bool {
    // SAFETY: Reads a constant of the running kernel.
    unsafe { raw::oxen_cpu_has_ibt() }
}

/// Reads the module's text. Returns whether all of it is.
pub(crate) fn read_text(addr: u64, into: &mut [u8]) -> bool {
    let len = into.len() as u64;
    let inside = match len.checked_sub(1).and_then(|more| addr.checked_add(more)) {
        Some(last) => is_module_text(addr) && is_module_text(last),
        None => len == 0,
    };
    if inside {
        // SAFETY: The module's text is one range of readable memory, in which both ends are. CAST: As long as the
        // module's text at most.
        unsafe { raw::oxen_text_read(into.as_mut_ptr(), addr, len as u32) };
    }
    inside
}

/// A symbol of the kernel or of another module, which stays loaded meanwhile.
pub(crate) struct KernelSymbol {
    name: KVec<u8>,
    /// Where it is.
    pub(crate) addr: u64,
}

impl KernelSymbol {
    /// Finds a symbol that is there for modules under the GPL.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn get(name: &[u8]) -> Result<Option<Self>> {
        let mut kept = KVec::with_capacity(name.len().checked_add(1).ok_or(ENOMEM)?, GFP_KERNEL)?;
        kept.extend_from_slice(name, GFP_KERNEL)?;
        kept.push(0, GFP_KERNEL)?;
        // SAFETY: The name has a zero at its end.
        let addr = unsafe { raw::oxen_symbol_get(kept.as_ptr()) };
        // No value is made of what was not found: its drop would give it back.
        if addr == 0 {
            return Ok(None);
        }
        // INVARIANT: What was found was taken.
        Ok(Some(Self { name: kept, addr }))
    }
}

impl Drop for KernelSymbol {
    fn drop(&mut self) {
        // SAFETY: Taken by `get`, under this name.
        unsafe { raw::oxen_symbol_put(self.name.as_ptr()) };
    }
}
