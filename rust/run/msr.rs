// SPDX-License-Identifier: GPL-2.0-only

//! RDMSR and WRMSR. The policy says what there is; everything it does not name faults.

use super::Running;
use crate::domain::clock;
use crate::domain::vcpu::request;
use crate::hw::state::SegmentName;
use crate::hw::{
    Backend,
    Vcpu as _, //
};
use crate::policy::control::{
    efer_mask,
    Controls, //
};
use crate::policy::msr::{
    classify,
    Effect,
    MsrClass,
    Read, //
};
use crate::sys::atomic::Ordering;
use crate::vlapic;
use crate::vlapic::ipi::route;

/// Where the hypercall page goes.
const HYPERCALL_PAGE: u32 = crate::policy::view::HYPERCALL_MSR;
const TSC: u32 = 0x10;
const APIC_BASE: u32 = 0x1b;
const X2APIC: core::ops::RangeInclusive<u32> = 0x800..=0x8ff;

/// Whether a write must be done where sleeping is allowed.
pub(super) const fn must_leave_section(msr: u32) -> bool {
    msr == HYPERCALL_PAGE
}

/// Whether a write may change what is to be delivered, or a deadline.
pub(super) fn has_effect(msr: u32) -> bool {
    msr == APIC_BASE || msr == TSC || X2APIC.contains(&msr)
}

/// The clock of a vCPU's local APIC.
pub(super) struct Clock {
    /// Ticks that the guest's TSC is ahead of [`clock::ticks`].
    pub(super) offset: u64,
}

impl vlapic::Clock for Clock {
    fn now_ns(&self) -> u64 {
        clock::now_ns()
    }
    fn guest_tsc(&self) -> u64 {
        clock::ticks().wrapping_add(self.offset)
    }
    fn tsc_to_ns(&self, ticks: u64) -> u64 {
        clock::ticks_to_ns(ticks)
    }
}

impl<B: Backend> Running<'_, B> {
    pub(super) fn clock(&self) -> Clock {
        Clock {
            offset: self.tsc_offset(),
        }
    }

    /// [`Running::read_msr`] outside the section.
    #[inline(never)]
    pub(super) fn msr_value(&mut self, msr: u32) -> Option<u64> {
        self.read_msr(msr)
    }

    /// The value of an MSR, or `None` for a fault.
    #[inline(always)]
    pub(super) fn read_msr(&mut self, msr: u32) -> Option<u64> {
        match classify(msr) {
            MsrClass::Apic if msr == APIC_BASE => Some(self.owned.lapic.base()),
            MsrClass::Apic => {
                self.owned.lapic.set_cr8(self.hw.cr8());
                self.owned
                    .lapic
                    .msr_read(&self.vcpu.lapic, msr, &self.clock())
                    .ok()
            }
            MsrClass::Efer => Some(self.hw.efer()),
            MsrClass::Backend | MsrClass::Policy => {
                match self.owned.msrs.read(msr, &self.policy).ok()? {
                    Read::Value(value) => Some(value),
                    Read::Backend => self.hw.msr(msr),
                }
            }
            MsrClass::Unknown => None,
        }
    }

    /// Writes an MSR; `false` for a fault.
    pub(super) fn write_msr(&mut self, msr: u32, value: u64) -> bool {
        match classify(msr) {
            MsrClass::Apic if msr == APIC_BASE => {
                match self.owned.lapic.write_base(&self.vcpu.lapic, value) {
                    Ok(effect) => {
                        self.owned.view.set_apic_enabled(self.owned.lapic.is_on());
                        self.apic_effect(effect);
                        true
                    }
                    Err(_) => false,
                }
            }
            MsrClass::Apic => {
                let clock = self.clock();
                match self
                    .owned
                    .lapic
                    .msr_write(&self.vcpu.lapic, msr, value, &clock)
                {
                    Ok(effect) => {
                        self.hw.set_cr8(self.owned.lapic.cr8());
                        self.apic_effect(effect);
                        true
                    }
                    Err(_) => false,
                }
            }
            MsrClass::Efer => self.write_efer(value),
            MsrClass::Backend | MsrClass::Policy => {
                match self.owned.msrs.write(msr, value, &self.policy) {
                    Ok(effect) => self.msr_effect(msr, effect),
                    Err(_) => false,
                }
            }
            MsrClass::Unknown => false,
        }
    }

    fn write_efer(&mut self, value: u64) -> bool {
        let controls = self.controls();
        match controls.write_efer(value, efer_mask(&self.policy)) {
            Ok(efer) => {
                self.hw.set_efer(efer);
                true
            }
            Err(_) => false,
        }
    }

    /// What writes to control registers are checked against.
    pub(super) fn controls(&self) -> Controls {
        Controls {
            cr0: self.hw.cr0(),
            cr3: self.hw.cr3(),
            cr4: self.hw.cr4(),
            efer: self.hw.efer(),
            cs_long: self.hw.segment(SegmentName::Cs).long(),
        }
    }

    fn msr_effect(&mut self, msr: u32, effect: Effect) -> bool {
        match effect {
            Effect::None => {}
            Effect::Backend(value) => self.hw.set_msr(msr, value),
            Effect::Tsc(value) => {
                // The vCPU's own, as in Xen: the others' counters stay as they are.
                let domains = self.domain.tsc_offset.load(Ordering::Relaxed);
                let own = value.wrapping_sub(clock::ticks()).wrapping_sub(domains);
                self.vcpu.tsc_offset.store(own, Ordering::Relaxed);
                self.follow_tsc();
                let clock = self.clock();
                self.owned.lapic.tsc_changed(&clock);
                self.vcpu.request(request::TIME);
            }
            Effect::PredCmd(value) => {
                self.hw.predict_command(value);
            }
            Effect::HypercallPage { gfn } => return self.write_hypercall_page(gfn),
            Effect::CpuidFaulting(_) => {}
        }
        true
    }

    /// Does what remains after a write to the local APIC.
    pub(super) fn apic_effect(&mut self, effect: vlapic::Effect) {
        match effect {
            vlapic::Effect::None => {}
            vlapic::Effect::Timer => self.arm_timer(),
            vlapic::Effect::Ipi(ipi) => {
                route(ipi, &self.vcpu.lapic, &**self.domain);
            }
            // Nothing here asserts a level.
            vlapic::Effect::Eoi(_) => {}
        }
    }
}
