// SPDX-License-Identifier: GPL-2.0-only

//! The x2APIC's MSRs and the TSC deadline MSR.

use super::register::Lvt;
use super::timer::Clock;
use super::{
    regs,
    Effect,
    Gp,
    Lapic,
    LapicShared, //
};

/// Returns the offset in the xAPIC page of the register that an MSR stands for.
const fn offset_of(msr: u32) -> Option<u32> {
    match msr.checked_sub(regs::X2APIC_MSR_FIRST) {
        Some(number) if number <= regs::X2APIC_MSR_LAST - regs::X2APIC_MSR_FIRST => {
            Some(number << 4)
        }
        _ => None,
    }
}

impl Lapic {
    /// Reads an MSR of the range [`regs::X2APIC_MSR_FIRST`] to [`regs::X2APIC_MSR_LAST`].
    ///
    /// # Errors
    ///
    /// [`Gp`] outside x2APIC mode, and for registers that are write-only or do not exist.
    pub(crate) fn msr_read<C: Clock>(
        &self,
        shared: &LapicShared,
        msr: u32,
        clock: &C,
    ) -> Result<u64, Gp> {
        if !self.is_x2apic() {
            return Err(Gp);
        }
        let low = self
            .read_register(shared, offset_of(msr).ok_or(Gp)?, clock)
            .ok_or(Gp)?;
        let high = match offset_of(msr) {
            Some(regs::ICR) => self.icr_high,
            _ => 0,
        };
        Ok(u64::from(high) << 32 | u64::from(low))
    }

    /// Writes an MSR of the range [`regs::X2APIC_MSR_FIRST`] to [`regs::X2APIC_MSR_LAST`].
    ///
    /// # Errors
    ///
    /// [`Gp`] outside x2APIC mode, for registers that are read-only or do not exist, and for
    /// reserved bits.
    pub(crate) fn msr_write<C: Clock>(
        &mut self,
        shared: &LapicShared,
        msr: u32,
        value: u64,
        clock: &C,
    ) -> Result<Effect, Gp> {
        if !self.is_x2apic() {
            return Err(Gp);
        }
        let offset = offset_of(msr).ok_or(Gp)?;
        // CAST: split into halves.
        let (low, high) = (value as u32, (value >> 32) as u32);
        if offset == regs::ICR {
            if low & !regs::ICR_LOW_MASK != 0 {
                return Err(Gp);
            }
            return Ok(self.write_icr(shared, low, high));
        }
        if high != 0 {
            return Err(Gp);
        }
        let only = |allowed: u32| if low & !allowed == 0 { Ok(()) } else { Err(Gp) };
        match offset {
            regs::EOI => {
                only(0)?;
                Ok(self.write_eoi(shared))
            }
            regs::SELF_IPI => {
                only(0xff)?;
                // The same as a command with the "self" shorthand, but ICR keeps its value.
                // CAST: checked to fit just above.
                let vector = low as u8;
                let _ = if vector < regs::FIRST_VECTOR {
                    shared.raise_error(regs::ESR_SEND_ILLEGAL)
                } else {
                    shared.post(vector, false)
                };
                Ok(Effect::None)
            }
            regs::TPR => {
                only(0xff)?;
                // CAST: checked to fit just above.
                self.tpr = low as u8;
                Ok(Effect::None)
            }
            regs::SVR => {
                only(regs::SVR_ENABLED | regs::SVR_VECTOR)?;
                Ok(self.write_svr(shared, low, clock))
            }
            regs::ESR => {
                only(0)?;
                Ok(self.write_esr(shared))
            }
            regs::TMICT => Ok(self.write_tmict(shared, low, clock)),
            regs::TDCR => {
                only(regs::TDCR_MASK)?;
                Ok(self.write_tdcr(shared, low, clock))
            }
            _ => {
                let lvt = Lvt::at(offset).ok_or(Gp)?;
                only(lvt.defined(self.config.tsc_deadline))?;
                Ok(self.write_lvt(shared, lvt, low, clock))
            }
        }
    }

    /// Reads TSC_DEADLINE (MSR 0x6e0).
    ///
    /// # Errors
    ///
    /// [`Gp`] if the policy has no TSC deadline timer.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "policies hide the TSC deadline timer")
    )]
    pub(crate) fn read_tsc_deadline(&self) -> Result<u64, Gp> {
        if self.config.tsc_deadline {
            Ok(self.timer.deadline_msr())
        } else {
            Err(Gp)
        }
    }

    /// Writes TSC_DEADLINE; without effect unless the APIC is on and its timer is in
    /// deadline mode.
    ///
    /// # Errors
    ///
    /// [`Gp`] if the policy has no TSC deadline timer.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "policies hide the TSC deadline timer")
    )]
    pub(crate) fn write_tsc_deadline<C: Clock>(
        &mut self,
        shared: &LapicShared,
        value: u64,
        clock: &C,
    ) -> Result<Effect, Gp> {
        if !self.config.tsc_deadline {
            return Err(Gp);
        }
        let _ = self.timer_expired(shared, clock.now_ns());
        self.timer.set_deadline_tsc(value, clock);
        Ok(Effect::Timer)
    }
}
