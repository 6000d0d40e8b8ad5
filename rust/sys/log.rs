// SPDX-License-Identifier: GPL-2.0-only

//! Messages to the host's log about things that a guest or a tool can cause, at a bounded rate.

use crate::sys::raw;

/// Whether one more such message may be written now.
pub(crate) fn allowed() -> bool {
    // SAFETY: May be called from any context.
    unsafe { raw::oxen_log_allowed() }
}
