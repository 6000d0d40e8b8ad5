// SPDX-License-Identifier: GPL-2.0-only

//! What a read or write of one register does, whichever way it came.

use super::ipi::{
    Dest,
    Ipi,
    Mode, //
};
use super::timer::Clock;
use super::{
    regs,
    Effect,
    Lapic,
    LapicShared, //
};

/// Which local vector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lvt {
    Timer,
    Thermal,
    Perf,
    Lint0,
    Lint1,
    Error,
}

impl Lvt {
    /// Returns the local vector whose register is at `offset`.
    pub(super) const fn at(offset: u32) -> Option<Self> {
        Some(match offset {
            regs::LVT_TIMER => Self::Timer,
            regs::LVT_THERMAL => Self::Thermal,
            regs::LVT_PERF => Self::Perf,
            regs::LVT_LINT0 => Self::Lint0,
            regs::LVT_LINT1 => Self::Lint1,
            regs::LVT_ERROR => Self::Error,
            _ => return None,
        })
    }

    /// Returns the bits that a guest can set.
    pub(super) const fn writable(self, tsc_deadline: bool) -> u32 {
        /// Delivery mode.
        const MODE: u32 = 7 << 8;
        /// Pin polarity and trigger mode.
        const PIN: u32 = 1 << 13 | 1 << 15;
        let own = match self {
            Self::Timer if tsc_deadline => regs::LVT_TIMER_PERIODIC | regs::LVT_TIMER_TSC_DEADLINE,
            Self::Timer => regs::LVT_TIMER_PERIODIC,
            Self::Thermal | Self::Perf => MODE,
            Self::Lint0 | Self::Lint1 => MODE | PIN,
            Self::Error => 0,
        };
        regs::LVT_MASKED | regs::LVT_VECTOR | own
    }

    /// Returns the bits that exist: those that can be set and those that are read-only.
    pub(super) const fn defined(self, tsc_deadline: bool) -> u32 {
        let status = match self {
            Self::Lint0 | Self::Lint1 => regs::LVT_PENDING | regs::LVT_REMOTE_IRR,
            _ => regs::LVT_PENDING,
        };
        self.writable(tsc_deadline) | status
    }
}

impl Lapic {
    /// Returns LDR as it reads in the current mode.
    pub(super) fn ldr_value(&self) -> u32 {
        if self.is_x2apic() {
            super::ipi::x2apic_ldr(self.config.apic_id)
        } else {
            self.ldr
        }
    }

    /// Returns the ID register as it reads in the current mode.
    pub(super) fn id_value(&self) -> u32 {
        if self.is_x2apic() {
            self.config.apic_id
        } else {
            self.config.apic_id << 24
        }
    }

    /// Returns a register that both modes have, or `None` if there is none at `offset` or it is
    /// write-only.
    pub(super) fn read_register<C: Clock>(
        &self,
        shared: &LapicShared,
        offset: u32,
        clock: &C,
    ) -> Option<u32> {
        // CAST: at most 7, the register's number within its group of eight.
        let number = ((offset >> 4) & 7) as usize;
        Some(match offset {
            regs::ID => self.id_value(),
            regs::LVR => regs::LVR_VALUE,
            regs::TPR => u32::from(self.tpr),
            regs::PPR => u32::from(self.ppr()),
            regs::LDR => self.ldr_value(),
            regs::SVR => self.svr,
            0x100..=0x170 => self.isr.register(number),
            0x180..=0x1f0 => shared.tmr_register(number),
            0x200..=0x270 => shared.irr_register(number),
            regs::ESR => self.esr,
            regs::ICR => self.icr_low,
            regs::LVT_TIMER => self.lvt.timer,
            regs::LVT_THERMAL => self.lvt.thermal,
            regs::LVT_PERF => self.lvt.perf,
            regs::LVT_LINT0 => self.lvt.lint0,
            regs::LVT_LINT1 => self.lvt.lint1,
            regs::LVT_ERROR => self.lvt.error,
            regs::TMICT => self.timer.initial(),
            regs::TMCCT => self.timer.count(clock.now_ns()),
            regs::TDCR => self.timer.divide(),
            _ => return None,
        })
    }

    /// Ends an interrupt.
    pub(super) fn write_eoi(&mut self, shared: &LapicShared) -> Effect {
        match self.eoi(shared) {
            Some(finished) => Effect::Eoi(finished),
            None => Effect::None,
        }
    }

    /// Takes a command whose low half and address have been checked, and stores it. An interrupt to
    /// the vCPU itself is posted here; others are left to the caller.
    pub(super) fn write_icr(&mut self, shared: &LapicShared, low: u32, high: u32) -> Effect {
        self.icr_low = low;
        self.icr_high = high;
        let x2apic = self.is_x2apic();
        let address = if x2apic { high } else { high >> 24 };
        let ipi = Ipi::decode(x2apic, low, address);
        if ipi.is_illegal() {
            // Its own error interrupt needs no kick: this vCPU is not in the guest.
            let _ = shared.raise_error(regs::ESR_SEND_ILLEGAL);
            return Effect::None;
        }
        match ipi {
            _ if ipi.is_nothing() => Effect::None,
            Ipi {
                mode: Mode::Fixed(vector),
                dest: Dest::Myself,
            } => {
                let _ = shared.post(vector, false);
                Effect::None
            }
            _ => Effect::Ipi(ipi),
        }
    }

    /// Takes a write of the spurious vector register: turning the APIC off by software masks all
    /// local vectors.
    pub(super) fn write_svr<C: Clock>(
        &mut self,
        shared: &LapicShared,
        value: u32,
        clock: &C,
    ) -> Effect {
        self.svr = value & (regs::SVR_ENABLED | regs::SVR_FOCUS | regs::SVR_VECTOR);
        let effect = if self.svr & regs::SVR_ENABLED == 0 {
            self.lvt.mask_all();
            self.timer.set_lvt(self.lvt.timer, clock.now_ns());
            Effect::Timer
        } else {
            Effect::None
        };
        self.publish(shared);
        effect
    }

    /// Takes a write of the error status register: shows the errors since the last such write.
    pub(super) fn write_esr(&mut self, shared: &LapicShared) -> Effect {
        self.esr = shared.take_errors();
        Effect::None
    }

    /// Takes a write of a local vector.
    pub(super) fn write_lvt<C: Clock>(
        &mut self,
        shared: &LapicShared,
        lvt: Lvt,
        value: u32,
        clock: &C,
    ) -> Effect {
        let mut value = value & lvt.writable(self.config.tsc_deadline);
        if self.svr & regs::SVR_ENABLED == 0 {
            value |= regs::LVT_MASKED;
        }
        match lvt {
            Lvt::Timer => {
                let now = clock.now_ns();
                // What was due before the write acts under the old value.
                let _ = self.timer_expired(shared, now);
                self.lvt.timer = value;
                self.timer.set_lvt(value, now);
                return Effect::Timer;
            }
            Lvt::Thermal => self.lvt.thermal = value,
            Lvt::Perf => self.lvt.perf = value,
            Lvt::Lint0 => self.lvt.lint0 = value,
            Lvt::Lint1 => self.lvt.lint1 = value,
            Lvt::Error => {
                self.lvt.error = value;
                self.publish(shared);
            }
        }
        Effect::None
    }

    /// Takes a write of the initial count.
    pub(super) fn write_tmict<C: Clock>(
        &mut self,
        shared: &LapicShared,
        value: u32,
        clock: &C,
    ) -> Effect {
        let now = clock.now_ns();
        let _ = self.timer_expired(shared, now);
        self.timer.set_initial(value, now);
        Effect::Timer
    }

    /// Takes a write of the divide configuration.
    pub(super) fn write_tdcr<C: Clock>(
        &mut self,
        shared: &LapicShared,
        value: u32,
        clock: &C,
    ) -> Effect {
        let now = clock.now_ns();
        let _ = self.timer_expired(shared, now);
        self.timer.set_divide(value, now);
        Effect::Timer
    }
}
