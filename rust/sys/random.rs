// SPDX-License-Identifier: GPL-2.0-only

//! Random numbers.

use crate::sys::raw;

/// A random number, of the kernel's generator.
pub(crate) fn random() -> u64 {
    // SAFETY: May be called from any context.
    unsafe { raw::oxen_random() }
}
