// SPDX-License-Identifier: GPL-2.0-only

//! The local APIC of a vCPU, xAPIC and x2APIC.
//!
//! It has two parts. [`LapicShared`] is what others touch: they post interrupts, NMIs, INITs and
//! start-up IPIs into it without a lock. [`Lapic`] is all the rest; the vCPU's thread owns it (or
//! whoever has stopped that thread, to save or load it), so its methods take `&mut self`. Methods
//! that need both get the shared part as an argument; it must be the same vCPU's each time.
//!
//! # On the way into the guest
//!
//! 1. [`LapicShared::is_pending`]: false means nothing to do (one load).
//! 2. [`LapicShared::take_event`] for INIT and start-up.
//! 3. [`LapicShared::take_nmi`] when an NMI can be injected.
//! 4. [`Lapic::deliverable`]; when the guest can take it, [`Lapic::accept`] and inject, else ask
//!    for an interrupt window.
//!
//! # What differs from hardware
//!
//! The APIC ID is `2 * vcpu_id` as in Xen and cannot be written; the page cannot be moved; there is
//! no I/O APIC, no 8259 and no system management mode behind it. IPIs are edges. These are Xen's
//! choices too, or a guest of type PVH has no use for the rest.

pub(crate) mod base;
pub(crate) mod bitmap;
pub(crate) mod ipi;
pub(crate) mod mmio;
pub(crate) mod msr;
pub(crate) mod priority;
mod register;
pub(crate) mod regs;
pub(crate) mod save;
pub(crate) mod shared;
pub(crate) mod timer;

use bitmap::Vectors;
use timer::Timer;

pub(crate) use ipi::Ipi;
pub(crate) use shared::{
    Identity,
    LapicShared, //
};
pub(crate) use timer::Clock;

/// The access raises #GP(0) in the guest and changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Gp;

/// An interrupt that the guest has finished.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Finished {
    /// Its vector.
    pub(crate) vector: u8,
    /// It was level-triggered: its source must be asked whether it still asserts.
    pub(crate) level: bool,
}

/// What remains to be done for a register write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) enum Effect {
    /// Nothing.
    None,
    /// Send this IPI, see [`ipi::route`].
    Ipi(Ipi),
    /// The guest finished an interrupt.
    Eoi(Finished),
    /// The timer may have changed: ask [`Lapic::timer_deadline`] and set the host's timer to it.
    Timer,
}

/// What a local APIC is made with; does not change while the guest runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Config {
    /// APIC ID: twice the vCPU id.
    pub(crate) apic_id: u32,
    /// This is the processor that boots.
    pub(crate) bsp: bool,
    /// CPUID shows x2APIC.
    pub(crate) x2apic: bool,
    /// CPUID shows the TSC deadline timer.
    pub(crate) tsc_deadline: bool,
}

/// The local vector table.
#[derive(Clone, Copy, Debug)]
struct Lvts {
    timer: u32,
    thermal: u32,
    perf: u32,
    lint0: u32,
    lint1: u32,
    error: u32,
}

impl Lvts {
    /// Returns the table as reset leaves it: all masked.
    const fn new() -> Self {
        Self {
            timer: regs::LVT_MASKED,
            thermal: regs::LVT_MASKED,
            perf: regs::LVT_MASKED,
            lint0: regs::LVT_MASKED,
            lint1: regs::LVT_MASKED,
            error: regs::LVT_MASKED,
        }
    }

    /// Masks every entry, as disabling the APIC by software does.
    fn mask_all(&mut self) {
        self.timer |= regs::LVT_MASKED;
        self.thermal |= regs::LVT_MASKED;
        self.perf |= regs::LVT_MASKED;
        self.lint0 |= regs::LVT_MASKED;
        self.lint1 |= regs::LVT_MASKED;
        self.error |= regs::LVT_MASKED;
    }
}

/// The part of one vCPU's local APIC that its own thread owns.
#[derive(Debug)]
pub(crate) struct Lapic {
    config: Config,
    /// APIC_BASE.
    base: u64,
    tpr: u8,
    svr: u32,
    /// LDR as written in xAPIC mode; in x2APIC mode the ID alone decides.
    ldr: u32,
    dfr: u32,
    /// ESR as last latched by a write to it.
    esr: u32,
    icr_low: u32,
    /// Bits 31:24 in xAPIC mode, all 32 in x2APIC mode.
    icr_high: u32,
    lvt: Lvts,
    isr: Vectors,
    timer: Timer,
}

impl Lapic {
    /// Makes the APIC of a vCPU as Xen starts a PVH guest with: on, in xAPIC mode, disabled by
    /// software; and publishes it.
    pub(crate) fn new(config: Config, shared: &LapicShared) -> Self {
        let mut lapic = Self {
            config,
            base: base::reset_value(config.bsp),
            tpr: 0,
            svr: 0,
            ldr: 0,
            dfr: 0,
            esr: 0,
            icr_low: 0,
            icr_high: 0,
            lvt: Lvts::new(),
            isr: Vectors::default(),
            timer: Timer::new(),
        };
        lapic.reset_registers(shared);
        lapic
    }

    /// Takes a new CPUID policy. Only for a vCPU that has not run: what the guest has done with a
    /// feature is not undone.
    pub(crate) fn set_policy(&mut self, x2apic: bool, tsc_deadline: bool) {
        self.config.x2apic = x2apic;
        self.config.tsc_deadline = tsc_deadline;
    }

    /// Does what an INIT does to the APIC: everything but the ID and APIC_BASE is reset. The vCPU's
    /// owner calls it on [`shared::Event::Init`].
    pub(crate) fn init(&mut self, shared: &LapicShared) {
        self.reset_registers(shared);
    }

    /// Does what a power cycle does: [`Self::init`], and APIC_BASE goes back to its first value.
    #[cfg(test)]
    pub(crate) fn reset(&mut self, shared: &LapicShared) {
        self.base = base::reset_value(self.config.bsp);
        self.reset_registers(shared);
    }

    /// Returns the APIC ID.
    #[cfg(test)]
    pub(crate) fn apic_id(&self) -> u32 {
        self.config.apic_id
    }

    /// Returns when to call [`Self::timer_expired`], on the clock that register accesses were
    /// given, or `None` if no host timer is needed. It does not change except through register
    /// writes ([`Effect::Timer`]), [`Self::timer_expired`], [`Self::init`], [`Self::reset`] and
    /// loading.
    pub(crate) fn timer_deadline(&self) -> Option<u64> {
        self.timer.deadline()
    }

    /// Lets the timer act if it is time; returns whether an interrupt was posted. Calling it early
    /// or twice does no harm; afterwards [`Self::timer_deadline`] has the next deadline.
    pub(crate) fn timer_expired(&mut self, shared: &LapicShared, now_ns: u64) -> bool {
        if !self.timer.expire(now_ns) {
            return false;
        }
        // CAST: the mask leaves eight bits.
        shared.post((self.lvt.timer & regs::LVT_VECTOR) as u8, false)
    }

    /// Works the TSC deadline out anew after the guest's TSC was changed.
    pub(crate) fn tsc_changed<C: Clock>(&mut self, clock: &C) {
        self.timer
            .set_deadline_tsc(self.timer.deadline_tsc(), clock);
    }

    /// Puts every register but the ID and APIC_BASE at its reset value and publishes that.
    fn reset_registers(&mut self, shared: &LapicShared) {
        self.tpr = 0;
        self.svr = regs::SVR_RESET;
        self.ldr = 0;
        self.dfr = u32::MAX;
        self.esr = 0;
        self.icr_low = 0;
        self.icr_high = 0;
        self.lvt = Lvts::new();
        self.isr = Vectors::default();
        self.timer = Timer::new();
        // First: a post that still sees the old state must not be left behind by the clearing more
        // often than need be. One that slips in between is dropped when the APIC is enabled.
        self.publish(shared);
        shared.clear_requests();
        shared.set_errors(0);
    }

    /// Tells other processors how this APIC is addressed.
    fn publish(&self, shared: &LapicShared) {
        shared.publish(
            Identity {
                apic_id: self.config.apic_id,
                // CAST: take the fields at the top of each register.
                logical_id: (self.ldr >> 24) as u8,
                model: (self.dfr >> 28) as u8,
                hw_enabled: self.is_on(),
                x2apic: self.is_x2apic(),
                sw_enabled: self.svr & regs::SVR_ENABLED != 0,
            },
            self.lvt.error,
        );
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
