// SPDX-License-Identifier: GPL-2.0-only

//! Model-specific registers and other things that one asks the processor.

use core::arch::asm;
use core::arch::x86_64::__cpuid_count;

use crate::abi::errno::{
    Result,
    EPERM, //
};
use crate::sys::raw;

/// Extended feature enable register.
pub(crate) const EFER: u32 = 0xc000_0080;
/// EFER.SVME: the processor is in host mode.
pub(crate) const EFER_SVME: u64 = 1 << 12;
/// VM_CR: bit 4 says that firmware disabled SVM.
pub(crate) const VM_CR: u32 = 0xc001_0114;
/// VM_CR.SVMDIS.
pub(crate) const VM_CR_SVMDIS: u64 = 1 << 4;
/// Physical address of the host save area.
pub(crate) const VM_HSAVE_PA: u32 = 0xc001_0117;
/// Prediction command register.
pub(crate) const PRED_CMD: u32 = 0x49;
/// PRED_CMD.IBPB: forget indirect branch predictions.
pub(crate) const PRED_CMD_IBPB: u64 = 1;
/// Branch prediction configuration of Zen 4 and later.
pub(crate) const BP_CFG: u32 = 0xc001_102e;
/// BP_CFG.BpSpecReduce: no speculation by what a guest trained, in the host.
pub(crate) const BP_CFG_SPEC_REDUCE: u64 = 1 << 4;
/// TSC_AUX, what RDTSCP returns in ECX.
pub(crate) const TSC_AUX: u32 = 0xc000_0103;
/// What XSAVES saves besides what XCR0 says.
pub(crate) const XSS: u32 = 0xda0;
/// Debug control: what raises #DB besides breakpoints, and records of branches.
pub(crate) const DEBUGCTL: u32 = 0x1d9;
/// DEBUGCTL.BLD: a lock of the bus raises #DB in user mode.
pub(crate) const DEBUGCTL_BLD: u64 = 1 << 2;
/// CR4.MCE: machine checks are raised. Without it one is a shutdown.
pub(crate) const CR4_MCE: u64 = 1 << 6;
/// Page attribute table.
pub(crate) const PAT: u32 = 0x277;

/// Reads an MSR on this processor.
///
/// # Errors
///
/// `EPERM` if the processor faults.
#[inline(always)]
pub(crate) fn read(msr: u32) -> Result<u64> {
    let mut value = 0;
    // SAFETY: A fault is caught; `value` is valid for the call.
    if unsafe { raw::oxen_fixed_rdmsr(msr, &mut value) } != 0 {
        return Err(EPERM);
    }
    Ok(value)
}

/// Writes an MSR on this processor.
///
/// # Errors
///
/// `EPERM` if the processor faults.
///
/// # Safety
///
/// The value must be one that leaves the host in a state it expects.
#[inline(always)]
pub(crate) unsafe fn write(msr: u32, value: u64) -> Result {
    // SAFETY: A fault is caught; the effect is the caller's responsibility.
    if unsafe { raw::oxen_fixed_wrmsr(msr, value) } != 0 {
        return Err(EPERM);
    }
    Ok(())
}

/// Executes CPUID: EAX, EBX, ECX, EDX.
pub(crate) fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    // SAFETY: Every 64-bit processor has CPUID.
    let r = unsafe { __cpuid_count(leaf, subleaf) };
    [r.eax, r.ebx, r.ecx, r.edx]
}

/// Reads CR4.
pub(crate) fn cr4() -> u64 {
    let value;
    // SAFETY: Has no effect but its result.
    unsafe { asm!("mov {}, cr4", out(reg) value, options(nomem, nostack)) };
    value
}

/// Reads the time stamp counter.
#[inline]
pub(crate) fn rdtsc() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: Has no effect but its result.
    unsafe { asm!("rdtsc", out("eax") low, out("edx") high, options(nomem, nostack)) };
    u64::from(high) << 32 | u64::from(low)
}

/// Debug registers of the processor, of which the host may be using some.
pub(crate) mod debug {
    use core::arch::asm;

    /// DR6 that says nothing.
    pub(crate) const DR6_NONE: u64 = 0xffff_0ff0;

    /// Loads the four breakpoint addresses.
    pub(crate) fn load(dr: &[u64; 4], _irqs: &crate::sys::irq::IrqsOff) {
        // SAFETY: Breakpoints are disarmed in the host while the guest's are loaded (#VMEXIT clears DR7), and the end
        // of the section puts the host's back.
        unsafe {
            asm!("mov dr0, {0}", "mov dr1, {1}", "mov dr2, {2}", "mov dr3, {3}",
                 in(reg) dr[0], in(reg) dr[1], in(reg) dr[2], in(reg) dr[3],
                 options(nomem, nostack));
        }
    }

    /// Reads the four breakpoint addresses.
    pub(crate) fn store() -> [u64; 4] {
        let (a, b, c, d): (u64, u64, u64, u64);
        // SAFETY: Reading debug registers has no effect: the host never sets DR7.GD.
        unsafe {
            asm!("mov {0}, dr0", "mov {1}, dr1", "mov {2}, dr2", "mov {3}, dr3",
                 out(reg) a, out(reg) b, out(reg) c, out(reg) d, options(nomem, nostack));
        }
        [a, b, c, d]
    }

    /// The DR7 that the host wants on this processor; 0 when it uses no breakpoint.
    pub(crate) fn host_dr7() -> u64 {
        // SAFETY: Reads a per-CPU variable.
        unsafe { crate::sys::raw::oxen_host_dr7() }
    }

    /// Puts DR6 into the state in which it says nothing.
    pub(crate) fn clear_dr6(_irqs: &crate::sys::irq::IrqsOff) {
        // SAFETY: It is what the host's handler leaves there.
        unsafe { asm!("mov dr6, {0}", in(reg) DR6_NONE, options(nomem, nostack)) };
    }

    /// Writes DR7.
    pub(crate) fn set_dr7(value: u64, _irqs: &crate::sys::irq::IrqsOff) {
        // SAFETY: The value is the host's own.
        unsafe { asm!("mov dr7, {0}", in(reg) value, options(nomem, nostack)) };
    }
}
