// SPDX-License-Identifier: GPL-2.0-only

//! What of the host gives way to the guest during a section, and comes back after it.

use super::super::asid::Asid;
use super::super::gprs::oxen_svm_save_host;
use super::super::vmcb::intercept;
use super::SvmVcpu;
use crate::sys::atomic::Ordering;
use crate::sys::fpu::{
    self,
    Fpu, //
};
use crate::sys::irq::{
    IrqsOff,
    NoPreempt,
    SoftirqsOff, //
};
use crate::sys::{
    msr,
    raw, //
};

/// DR7 without breakpoints.
const DR7_NONE: u64 = 0x400;
/// The bits of DR7 that arm breakpoints.
const DR7_ARMED: u64 = 0xff;

/// What a section changed and its end must restore.
pub(super) struct Section {
    cpu: u32,
    pub(super) fpu: Fpu,
    xcr0: u64,
    pub(super) tsc_aux: Option<u64>,
    /// The host wants to hear of locks of the bus.
    finds_bus_locks: bool,
    /// The host's breakpoint addresses and DR7, if they must be restored.
    debug: Option<([u64; 4], u64)>,
}

impl SvmVcpu {
    /// [`Vcpu::begin`](crate::hw::Vcpu::begin).
    pub(super) fn begin_section(
        &mut self,
        at: &NoPreempt,
        softirqs: &SoftirqsOff,
        irqs: &IrqsOff,
        flush: bool,
    ) {
        if flush {
            self.asid = Asid::default();
        }
        let cpu = at.cpu();
        let shared = self.shared;
        let Some(per_cpu) = shared.cpus.get(cpu as usize) else {
            return;
        };
        if !per_cpu.enabled.load(Ordering::Relaxed) {
            return;
        }
        let flush_all = per_cpu.asids.renew(&mut self.asid, cpu);
        let number = self.asid.number;
        // An emulated processor takes INT3 for a software interrupt, not for an exception.
        let pass = self.begin_soft();
        let breakpoints = self.breakpoints && shared.emulated && !pass;
        let vmcb = self.vmcb_mut();
        vmcb.asid = number;
        vmcb.tlb_control = flush_all.into();
        // Another processor may have cached another version of the control block.
        vmcb.clean = 0;
        if breakpoints {
            vmcb.intercept_3 |= intercept::INTN;
        } else {
            vmcb.intercept_3 &= !intercept::INTN;
        }
        if per_cpu.last_vcpu.load(Ordering::Relaxed) != self.number {
            per_cpu.last_vcpu.store(self.number, Ordering::Relaxed);
            if shared.capabilities.ibpb {
                // SAFETY: The barrier changes no state that software can see.
                let _ = unsafe { msr::write(msr::PRED_CMD, msr::PRED_CMD_IBPB) };
            }
        }
        self.host = per_cpu.host.phys() | shared.encryption;
        self.save_host(irqs);

        let fpu = Fpu::begin(softirqs, irqs);
        self.xsave.load(&fpu);
        let xcr0 = fpu::xcr0();
        if self.xcr0 != xcr0 {
            fpu::set_xcr0(self.xcr0, &fpu);
        }
        if shared.xss != 0 {
            // SAFETY: Nobody but the scheduler saves such state, which does not run before `end` puts it back.
            let _ = unsafe { msr::write(msr::XSS, 0) };
        }
        let mut tsc_aux = None;
        if let Ok(host) = msr::read(msr::TSC_AUX) {
            if host != self.tsc_aux {
                // SAFETY: The host's value, which user space reads, is put back in `end`.
                let _ = unsafe { msr::write(msr::TSC_AUX, self.tsc_aux) };
                tsc_aux = Some(host);
            }
        }
        let finds_bus_locks = shared.finds_bus_locks && change_bus_locks(false);
        let debug = self.take_debug(irqs);
        self.section = Some(Section {
            cpu,
            fpu,
            xcr0,
            tsc_aux,
            finds_bus_locks,
            debug,
        });
    }

    /// [`Vcpu::window`](crate::hw::Vcpu::window).
    pub(super) fn open_window(&mut self, irqs: &mut IrqsOff) {
        let debug = self.section.as_mut().and_then(|it| it.debug.take());
        self.return_debug(debug, irqs);
        irqs.window();
        // Another processor may have had this one change its breakpoints or its LDT.
        let debug = match self.section {
            Some(_) => self.take_debug(irqs),
            None => return,
        };
        if let Some(section) = &mut self.section {
            section.debug = debug;
        }
        self.save_host(irqs);
    }

    /// [`Vcpu::end`](crate::hw::Vcpu::end).
    pub(super) fn end_section(&mut self, irqs: &IrqsOff) {
        let Some(section) = self.section.take() else {
            return;
        };
        self.end_soft();
        self.leave_flush(section.cpu);
        self.return_debug(section.debug, irqs);
        if section.finds_bus_locks {
            change_bus_locks(true);
        }
        if let Some(host) = section.tsc_aux {
            // SAFETY: The host's own value.
            let _ = unsafe { msr::write(msr::TSC_AUX, host) };
        }
        if self.shared.xss != 0 {
            // SAFETY: The host's own value.
            let _ = unsafe { msr::write(msr::XSS, self.shared.xss) };
        }
        if self.xcr0 != section.xcr0 {
            fpu::set_xcr0(section.xcr0, &section.fpu);
        }
        self.xsave.save(&section.fpu);
        section.fpu.end(irqs);
        // SAFETY: Interrupts are off, so this is the processor that the guest ran on.
        unsafe { raw::oxen_guest_ran() };
    }

    /// Leaves a flush of all translations to whoever enters a guest on this processor next, if there was no entry that
    /// would have done it.
    fn leave_flush(&mut self, cpu: u32) {
        if self.vmcb().tlb_control == 0 {
            return;
        }
        self.vmcb_mut().tlb_control = 0;
        self.asid = Asid::default();
        if let Some(per_cpu) = self.shared.cpus.get(cpu as usize) {
            per_cpu.asids.restart();
        }
    }

    /// Keeps what VMLOAD puts back after the guest.
    fn save_host(&self, _irqs: &IrqsOff) {
        // SAFETY: The page belongs to this processor, on which interrupts are off.
        unsafe { oxen_svm_save_host(self.host) };
    }

    /// Puts the guest's breakpoints in the place of the host's. Returns the host's if they must come back.
    fn take_debug(&mut self, irqs: &IrqsOff) -> Option<([u64; 4], u64)> {
        let host_dr7 = msr::debug::host_dr7();
        let guest_uses = self.vmcb().dr7 & DR7_ARMED != 0;
        if !guest_uses && host_dr7 & DR7_ARMED == 0 {
            return None;
        }
        let host = (msr::debug::store(), host_dr7);
        if guest_uses {
            // The host's breakpoints must not be armed with the guest's addresses.
            msr::debug::set_dr7(DR7_NONE, irqs);
            msr::debug::load(&self.dr, irqs);
        }
        Some(host)
    }

    /// Puts the host's breakpoints back, and what the guest has in DR6 away.
    fn return_debug(&self, host: Option<([u64; 4], u64)>, irqs: &IrqsOff) {
        if self.vmcb().dr6 != msr::debug::DR6_NONE {
            msr::debug::clear_dr6(irqs);
        }
        if let Some((dr, dr7)) = host {
            msr::debug::load(&dr, irqs);
            if dr7 & DR7_ARMED != 0 {
                msr::debug::set_dr7(dr7, irqs);
            }
        }
    }
}

/// Has locks of the bus raise #DB, or no more. Returns whether they did. The other bits are the host's to change
/// meanwhile.
fn change_bus_locks(on: bool) -> bool {
    let Ok(old) = msr::read(msr::DEBUGCTL) else {
        return false;
    };
    let new = match on {
        true => old | msr::DEBUGCTL_BLD,
        false => old & !msr::DEBUGCTL_BLD,
    };
    if new != old {
        // SAFETY: The bit is about code in user mode, and before any runs it is the host's again.
        let _ = unsafe { msr::write(msr::DEBUGCTL, new) };
    }
    old & msr::DEBUGCTL_BLD != 0
}
