// SPDX-License-Identifier: GPL-2.0-only

//! The xAPIC's page: 32-bit registers, 16 bytes apart.

use super::register::Lvt;
use super::timer::Clock;
use super::{
    regs,
    Effect,
    Lapic,
    LapicShared, //
};

impl Lapic {
    /// Reads `size` bytes (1, 2, 4 or 8) at `offset` in the page, in xAPIC mode
    /// ([`Self::decodes_page`]).
    ///
    /// Only the first four of each 16 bytes are there, and only for accesses that stay in them;
    /// all else, write-only registers and those that do not exist read 0.
    pub(crate) fn mmio_read<C: Clock>(
        &self,
        shared: &LapicShared,
        offset: u32,
        size: u32,
        clock: &C,
    ) -> u64 {
        let byte = offset & 0xf;
        let mask: u32 = match size {
            1 => 0xff,
            2 => 0xffff,
            4 => u32::MAX,
            _ => return 0,
        };
        if byte + size > 4 || offset > 0xfff {
            return 0;
        }
        let register = offset & !0xf;
        let value = match register {
            regs::DFR => self.dfr,
            regs::ICR_HIGH => self.icr_high,
            _ => self.read_register(shared, register, clock).unwrap_or(0),
        };
        u64::from(value >> (byte * 8) & mask)
    }

    /// Writes 32 bits at `offset` in the page, in xAPIC mode. The caller drops writes of another
    /// size. Bits that do not exist, read-only registers and offsets without a register are
    /// ignored.
    pub(crate) fn mmio_write<C: Clock>(
        &mut self,
        shared: &LapicShared,
        offset: u32,
        value: u32,
        clock: &C,
    ) -> Effect {
        match offset {
            regs::EOI => self.write_eoi(shared),
            regs::ICR => {
                let low = value & regs::ICR_LOW_MASK;
                self.write_icr(shared, low, self.icr_high)
            }
            regs::ICR_HIGH => {
                self.icr_high = value & 0xff00_0000;
                Effect::None
            }
            regs::TPR => {
                // CAST: the register has eight bits.
                self.tpr = value as u8;
                Effect::None
            }
            regs::LDR => {
                self.ldr = value & 0xff00_0000;
                self.publish(shared);
                Effect::None
            }
            regs::DFR => {
                self.dfr = value | regs::DFR_ONES;
                self.publish(shared);
                Effect::None
            }
            regs::SVR => self.write_svr(shared, value, clock),
            regs::ESR => self.write_esr(shared),
            regs::TMICT => self.write_tmict(shared, value, clock),
            regs::TDCR => self.write_tdcr(shared, value, clock),
            _ => match Lvt::at(offset) {
                Some(lvt) => self.write_lvt(shared, lvt, value, clock),
                None => Effect::None,
            },
        }
    }
}
