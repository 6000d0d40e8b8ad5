// SPDX-License-Identifier: GPL-2.0-only

//! The host's clocks.

use crate::sys::raw;

/// Frequency of the time stamp counter in kHz, as the host measured it.
pub(crate) fn tsc_khz() -> u32 {
    // SAFETY: Reads a variable.
    unsafe { raw::oxen_tsc_khz() }
}

/// Nanoseconds since the host started, without those it slept.
pub(crate) fn monotonic_ns() -> u64 {
    // SAFETY: May be called from any context.
    unsafe { raw::oxen_ktime_ns() }
}

/// Nanoseconds since 1970, UTC.
pub(crate) fn wallclock_ns() -> u64 {
    // SAFETY: May be called from any context.
    unsafe { raw::oxen_wallclock_ns() }
}
