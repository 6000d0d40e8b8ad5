// SPDX-License-Identifier: GPL-2.0-only

//! Saving to and loading from Xen's HVM save records `LAPIC` and `LAPIC_REGS`.
//!
//! The records come in either order and from whoever restores the domain, so each is checked by
//! itself ([`check_hidden`], [`check_registers`]) and leaves an APIC that is sound whatever the
//! other said. What a guest could not have
//! written into a register is masked off as a write by the guest would be; what contradicts itself
//! is refused. What follows from other state (ID, version, priorities, logical x2APIC ID, the
//! timer's divisor) is saved for readers and not loaded.

use super::base;
use super::bitmap::Vectors;
use super::register::Lvt;
use super::regs;
use super::timer::{
    Clock,
    Saved, //
};
use super::{
    Lapic,
    LapicShared, //
};
use crate::abi::errno::{
    Result,
    EINVAL, //
};
use crate::abi::hvm::save::{
    HwLapic,
    HwLapicRegs, //
};

/// `hvm_hw_lapic.disabled`: off in APIC_BASE.
const HW_DISABLED: u32 = 1 << 0;
/// `hvm_hw_lapic.disabled`: off in SVR.
const SW_DISABLED: u32 = 1 << 1;

/// All bits of ESR.
const ESR_MASK: u32 = 0xff;

/// Reads the register at `offset` of a record.
fn get(page: &HwLapicRegs, offset: u32) -> u32 {
    // CAST: widens.
    let bytes = page
        .data
        .get(offset as usize..)
        .and_then(|rest| rest.first_chunk::<4>());
    bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Writes the register at `offset` of a record.
fn put(page: &mut HwLapicRegs, offset: u32, value: u32) {
    // CAST: widens.
    let bytes = page
        .data
        .get_mut(offset as usize..)
        .and_then(|rest| rest.first_chunk_mut::<4>());
    if let Some(bytes) = bytes {
        *bytes = value.to_le_bytes();
    }
}

/// Reads a group of eight registers.
///
/// # Errors
///
/// `EINVAL` if it holds a vector below 16.
fn get_vectors(page: &HwLapicRegs, offset: u32) -> Result<Vectors> {
    // CAST: below 8.
    let registers =
        core::array::from_fn(|n| get(page, offset.wrapping_add(16u32.wrapping_mul(n as u32))));
    let vectors = Vectors::from_registers(registers);
    if vectors.holds_illegal() {
        Err(EINVAL)
    } else {
        Ok(vectors)
    }
}

/// Checks a record `LAPIC`, extended with zeroes if it is from an older Xen, for a vCPU whose
/// policy has x2APIC mode or not.
///
/// # Errors
///
/// `EINVAL` for an APIC_BASE that the guest could not have (see [`Lapic::write_base`]), a divisor
/// that does not exist, or bits that are not defined.
pub(crate) fn check_hidden(record: &HwLapic, x2apic: bool) -> Result {
    let divisor = record.timer_divisor;
    let sound = base::is_valid(record.apic_base_msr, x2apic)
        && record.disabled & !(HW_DISABLED | SW_DISABLED) == 0
        && (divisor == 0 || (divisor.is_power_of_two() && divisor <= 128))
        && record.pending_esr & !ESR_MASK == 0;
    if sound {
        Ok(())
    } else {
        Err(EINVAL)
    }
}

/// Checks a record `LAPIC_REGS`.
///
/// # Errors
///
/// `EINVAL` if a vector below 16 is requested or in service.
pub(crate) fn check_registers(page: &HwLapicRegs) -> Result {
    for offset in [regs::ISR, regs::TMR, regs::IRR] {
        get_vectors(page, offset)?;
    }
    Ok(())
}

impl Lapic {
    /// Returns the record `LAPIC`. The vCPU is stopped.
    pub(crate) fn save_hidden(&mut self, shared: &LapicShared, now_ns: u64) -> HwLapic {
        let _ = self.timer_expired(shared, now_ns);
        let mut disabled = 0;
        if !self.is_on() {
            disabled |= HW_DISABLED;
        }
        if self.svr & regs::SVR_ENABLED == 0 {
            disabled |= SW_DISABLED;
        }
        HwLapic {
            apic_base_msr: self.base,
            disabled,
            timer_divisor: self.timer.divisor(),
            tdt_msr: self.timer.deadline_tsc(),
            pending_esr: shared.errors(),
            _pad: 0,
        }
    }

    /// Fills the record `LAPIC_REGS`. The vCPU is stopped.
    pub(crate) fn save_registers(
        &mut self,
        shared: &LapicShared,
        page: &mut HwLapicRegs,
        now_ns: u64,
    ) {
        // What is due now goes into IRR before that is saved.
        let _ = self.timer_expired(shared, now_ns);
        page.data = [0; 1024];
        put(page, regs::ID, self.id_value());
        put(page, regs::LVR, regs::LVR_VALUE);
        put(page, regs::TPR, self.tpr.into());
        put(page, regs::PPR, self.ppr().into());
        put(page, regs::LDR, self.ldr_value());
        put(page, regs::DFR, self.dfr);
        put(page, regs::SVR, self.svr);
        for n in 0..8u32 {
            // CAST: below 8.
            let register = n as usize;
            put(page, regs::ISR + 16 * n, self.isr.register(register));
            put(page, regs::TMR + 16 * n, shared.tmr_register(register));
            put(page, regs::IRR + 16 * n, shared.irr_register(register));
        }
        put(page, regs::ESR, self.esr);
        put(page, regs::ICR, self.icr_low);
        put(page, regs::ICR_HIGH, self.icr_high);
        put(page, regs::LVT_TIMER, self.lvt.timer);
        put(page, regs::LVT_THERMAL, self.lvt.thermal);
        put(page, regs::LVT_PERF, self.lvt.perf);
        put(page, regs::LVT_LINT0, self.lvt.lint0);
        put(page, regs::LVT_LINT1, self.lvt.lint1);
        put(page, regs::LVT_ERROR, self.lvt.error);
        put(page, regs::TMICT, self.timer.initial());
        put(page, regs::TMCCT, self.timer.count(now_ns));
        put(page, regs::TDCR, self.timer.divide());
    }

    /// Loads the record `LAPIC`, extended with zeroes if it is from an older Xen. The vCPU is
    /// stopped.
    ///
    /// # Errors
    ///
    /// Those of [`check_hidden`]; nothing is changed then.
    pub(crate) fn load_hidden<C: Clock>(
        &mut self,
        shared: &LapicShared,
        record: &HwLapic,
        clock: &C,
    ) -> Result {
        check_hidden(record, self.config.x2apic)?;
        self.base = base::with_bsp(record.apic_base_msr, self.config.bsp);
        let saved = Saved {
            deadline_tsc: record.tdt_msr,
            ..self.saved_timer(clock.now_ns())
        };
        self.timer.restore(&saved, clock);
        shared.set_errors(record.pending_esr);
        self.publish(shared);
        Ok(())
    }

    /// Loads the record `LAPIC_REGS`. The vCPU is stopped.
    ///
    /// # Errors
    ///
    /// Those of [`check_registers`]; nothing is changed then.
    pub(crate) fn load_registers<C: Clock>(
        &mut self,
        shared: &LapicShared,
        page: &HwLapicRegs,
        clock: &C,
    ) -> Result {
        let isr = get_vectors(page, regs::ISR)?;
        let tmr = get_vectors(page, regs::TMR)?;
        let irr = get_vectors(page, regs::IRR)?;
        let lvt = |lvt: Lvt, offset| get(page, offset) & lvt.writable(self.config.tsc_deadline);
        self.lvt = super::Lvts {
            timer: lvt(Lvt::Timer, regs::LVT_TIMER),
            thermal: lvt(Lvt::Thermal, regs::LVT_THERMAL),
            perf: lvt(Lvt::Perf, regs::LVT_PERF),
            lint0: lvt(Lvt::Lint0, regs::LVT_LINT0),
            lint1: lvt(Lvt::Lint1, regs::LVT_LINT1),
            error: lvt(Lvt::Error, regs::LVT_ERROR),
        };
        self.svr = get(page, regs::SVR) & (regs::SVR_ENABLED | regs::SVR_FOCUS | regs::SVR_VECTOR);
        if self.svr & regs::SVR_ENABLED == 0 {
            self.lvt.mask_all();
        }
        // CAST: the register has eight bits.
        self.tpr = get(page, regs::TPR) as u8;
        self.ldr = get(page, regs::LDR) & 0xff00_0000;
        self.dfr = get(page, regs::DFR) | regs::DFR_ONES;
        self.esr = get(page, regs::ESR) & ESR_MASK;
        self.icr_low = get(page, regs::ICR) & regs::ICR_LOW_MASK;
        self.icr_high = get(page, regs::ICR_HIGH);
        self.isr = isr;
        let saved = Saved {
            lvt: self.lvt.timer,
            divide: get(page, regs::TDCR),
            initial: get(page, regs::TMICT),
            count: get(page, regs::TMCCT),
            deadline_tsc: self.timer.deadline_tsc(),
        };
        self.timer.restore(&saved, clock);
        self.publish(shared);
        shared.load_requests(&irr, &tmr);
        Ok(())
    }

    /// Returns the timer's registers as they are now.
    fn saved_timer(&self, now_ns: u64) -> Saved {
        Saved {
            lvt: self.lvt.timer,
            divide: self.timer.divide(),
            initial: self.timer.initial(),
            count: self.timer.count(now_ns),
            deadline_tsc: self.timer.deadline_tsc(),
        }
    }
}
