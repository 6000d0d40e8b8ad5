// SPDX-License-Identifier: GPL-2.0-only

//! The module itself: its reference count and the identity of its build.

use crate::sys::raw;

/// Keeps the module loaded.
pub(crate) struct ModuleRef(());

impl ModuleRef {
    /// Takes a reference. Only code that is called through something that holds one may do so.
    pub(crate) fn get() -> Self {
        // SAFETY: The module is running this.
        unsafe { raw::oxen_module_get() };
        Self(())
    }
}

impl Drop for ModuleRef {
    fn drop(&mut self) {
        // SAFETY: Balances `get`.
        unsafe { raw::oxen_module_put() };
    }
}

/// What the module's parameter says: whether new domains translate areas that are given by linear address at each
/// update (`runstate_va=walk`) rather than once.
pub(crate) fn runstate_walks() -> bool {
    // SAFETY: Reads a variable.
    unsafe { raw::oxen_param_runstate_walks() }
}

/// The build-id note of the module, if the linker made one.
pub(crate) fn build_id() -> Option<&'static [u8]> {
    let mut len = 0;
    // SAFETY: `len` is valid for the call.
    let ptr = unsafe { raw::oxen_build_id(&mut len) };
    if ptr.is_null() {
        return None;
    }
    // SAFETY: The note is a part of the module, constant, and `len` bytes long.
    Some(unsafe { core::slice::from_raw_parts(ptr, len as usize) })
}
