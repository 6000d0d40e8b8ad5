// SPDX-License-Identifier: GPL-2.0-only

//! The general registers that VMRUN does not switch, as `entry.S` loads and stores them.

/// By their number in instructions. The places of RAX (0) and RSP (4) are not used: those registers are in the
/// control block.
#[repr(C, align(64))]
pub(crate) struct Gprs(pub(crate) [u64; 16]);

extern "C" {
    /// The world switch, see `entry.S`.
    ///
    /// # Safety
    ///
    /// Interrupts are off, this processor is in host mode, `vmcb` is the physical address of a control block
    /// that nobody else uses, and `host` that of a page which VMSAVE filled on this processor.
    pub(crate) fn oxen_svm_enter(vmcb: u64, gprs: *mut Gprs, host: u64) -> u64;

    /// VMSAVE of the host's state, see `entry.S`.
    ///
    /// # Safety
    ///
    /// Interrupts are off, and `host` is the physical address of the page of this processor that is for that.
    pub(crate) fn oxen_svm_save_host(host: u64);
}
