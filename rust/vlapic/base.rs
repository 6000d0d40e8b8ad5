// SPDX-License-Identifier: GPL-2.0-only

//! The APIC_BASE MSR: on, off, x2APIC.

use super::regs;
use super::{
    Effect,
    Gp,
    Lapic,
    LapicShared, //
};

/// This is the processor that boots. Read-only.
const BSP: u64 = 1 << 8;
/// x2APIC mode.
const EXTD: u64 = 1 << 10;
/// The APIC is on.
const EN: u64 = 1 << 11;
/// All bits that may be set besides the address.
const FLAGS: u64 = BSP | EXTD | EN;

/// Returns the value after power-on.
pub(super) const fn reset_value(bsp: bool) -> u64 {
    regs::XAPIC_BASE | EN | if bsp { BSP } else { 0 }
}

/// Returns whether a value has only bits that exist, the one address there is and a mode that
/// exists; `x2apic` says whether the policy has x2APIC mode.
pub(super) const fn is_valid(value: u64, x2apic: bool) -> bool {
    value & !FLAGS == regs::XAPIC_BASE && (value & EXTD == 0 || (value & EN != 0 && x2apic))
}

/// Returns `value` with the bootstrap processor bit as `bsp` says.
pub(super) const fn with_bsp(value: u64, bsp: bool) -> u64 {
    value & !BSP | if bsp { BSP } else { 0 }
}

impl Lapic {
    /// Returns APIC_BASE.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// Returns whether the APIC is on. CPUID leaf 1 EDX bit 9 shows the guest the same.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.base & EN != 0
    }

    /// Returns whether the APIC is in x2APIC mode.
    #[inline]
    pub(crate) fn is_x2apic(&self) -> bool {
        self.base & EXTD != 0
    }

    /// Returns whether accesses to the page at [`regs::XAPIC_BASE`] reach the APIC.
    #[inline]
    pub(crate) fn decodes_page(&self) -> bool {
        self.base & (EN | EXTD) == EN
    }

    /// Returns whether the guest has enabled the APIC, in APIC_BASE and in SVR.
    #[inline]
    pub(crate) fn is_enabled(&self) -> bool {
        self.is_on() && self.svr & regs::SVR_ENABLED != 0
    }

    /// Takes a write of APIC_BASE.
    ///
    /// Turning the APIC off resets it. The bootstrap processor bit keeps its value whatever is
    /// written.
    ///
    /// # Errors
    ///
    /// [`Gp`] for reserved bits; for another address, since the page is not moved: nobody does that
    /// any more, and the faults of a page that moves over RAM are not worth it; for x2APIC mode
    /// when the policy has none or the APIC is off; and for going from x2APIC mode to xAPIC mode
    /// other than through off.
    pub(crate) fn write_base(&mut self, shared: &LapicShared, value: u64) -> Result<Effect, Gp> {
        if !is_valid(value, self.config.x2apic) {
            return Err(Gp);
        }
        let value = with_bsp(value, self.config.bsp);
        match (self.is_on(), value & EN != 0) {
            (true, true) => {
                if self.is_x2apic() && value & EXTD == 0 {
                    return Err(Gp);
                }
                if self.base != value {
                    self.base = value;
                    // The logical ID of xAPIC mode is forgotten, and ICR's upper half has another
                    // meaning from here on.
                    self.ldr = 0;
                    self.icr_high = 0;
                    self.publish(shared);
                }
                Ok(Effect::None)
            }
            (false, true) => {
                if value & EXTD != 0 {
                    return Err(Gp);
                }
                self.base = value;
                self.reset_registers(shared);
                Ok(Effect::Timer)
            }
            (true, false) => {
                self.base = value;
                self.reset_registers(shared);
                Ok(Effect::Timer)
            }
            (false, false) => Ok(Effect::None),
        }
    }
}
