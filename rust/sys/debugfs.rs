// SPDX-License-Identifier: GPL-2.0-only

//! Read-only files in debugfs. Unlike the kernel crate's, their readers pass the gate of live patching.

use core::fmt;

use crate::sys::{
    hold,
    raw, //
};

/// A file whose text is made when it is read.
pub(crate) trait File {
    /// Its name.
    const NAME: &'static kernel::str::CStr;

    /// Writes the text.
    ///
    /// # Errors
    ///
    /// That of `f`.
    fn write(f: &mut dyn fmt::Write) -> fmt::Result;
}

/// A folder; dropping it removes its files and waits for who is reading. Without debugfs there is none.
pub(crate) struct Dir(*mut raw::dentry);

// SAFETY: The kernel's functions may be called from any thread.
unsafe impl Send for Dir {}
// SAFETY: As above.
unsafe impl Sync for Dir {}

impl Dir {
    /// Makes a folder.
    pub(crate) fn new(name: &'static kernel::str::CStr) -> Self {
        // SAFETY: The name is a string that lives for ever.
        Self(unsafe { raw::oxen_debugfs_dir(kernel::str::CStrExt::as_char_ptr(name).cast()) })
    }

    /// Makes a file.
    pub(crate) fn file<F: File>(&self) {
        let name = kernel::str::CStrExt::as_char_ptr(F::NAME).cast();
        // SAFETY: The folder is ours or null, the name lives for ever, and the function as long as the module, which
        // outlives the folder.
        unsafe { raw::oxen_debugfs_file(self.0, name, Some(show::<F>)) };
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // SAFETY: The folder is ours or null.
        unsafe { raw::oxen_debugfs_remove(self.0) };
    }
}

/// Called by the kernel, or through the pointer that is registered beside it.
///
/// # Safety
///
/// To be called as it was registered, with what was registered.
#[link_section = ".kprobes.text"]
unsafe extern "C" fn show<F: File>(file: *mut raw::seq_file) -> bool {
    // SAFETY: The file is being read.
    hold::tool(|| unsafe { show_inside::<F>(file) })
}

/// # Safety
///
/// `file` must be one that is being read.
#[inline(never)]
unsafe fn show_inside<F: File>(file: *mut raw::seq_file) -> bool {
    F::write(&mut Seq(file)).is_ok()
}

struct Seq(*mut raw::seq_file);

impl fmt::Write for Seq {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: The file is being read, the text valid for the call.
        unsafe { raw::oxen_seq_write(self.0, text.as_ptr(), text.len() as u64) };
        Ok(())
    }
}
