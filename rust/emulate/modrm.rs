// SPDX-License-Identifier: GPL-2.0-only

//! The ModRM byte and what may follow it.
//!
//! Source: AMD APM volume 3, section 1.4 "ModRM and SIB Bytes".

use super::AddressSize;

/// A ModRM byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ModRm(pub(crate) u8);

impl ModRm {
    /// Bits 7 and 6.
    #[inline]
    pub(crate) const fn mode(self) -> u8 {
        self.0 >> 6
    }

    /// Bits 5 to 3: a register or a part of the opcode.
    #[inline]
    pub(crate) const fn reg(self) -> u8 {
        (self.0 >> 3) & 7
    }

    /// Bits 2 to 0: a register, or how an address is formed.
    #[inline]
    pub(crate) const fn rm(self) -> u8 {
        self.0 & 7
    }

    /// Whether the operand is a register rather than memory.
    #[inline]
    pub(crate) const fn is_register(self) -> bool {
        self.0 >= 0xc0
    }

    /// Whether a SIB byte follows.
    #[inline]
    pub(crate) const fn has_sib(self, size: AddressSize) -> bool {
        !matches!(size, AddressSize::Bits16) && !self.is_register() && self.rm() == 4
    }

    /// Bytes of displacement: 0, 1, 2 or 4. `sib` is the SIB byte, or anything where there is none.
    #[inline]
    pub(crate) const fn displacement_len(self, sib: u8, size: AddressSize) -> u8 {
        let wide = match size {
            AddressSize::Bits16 => 2,
            AddressSize::Bits32 | AddressSize::Bits64 => 4,
        };
        match self.mode() {
            0 => match (size, self.rm()) {
                // No base: a bare displacement, relative to RIP in 64-bit mode.
                (AddressSize::Bits16, 6) => wide,
                (AddressSize::Bits32 | AddressSize::Bits64, 5) => wide,
                (AddressSize::Bits32 | AddressSize::Bits64, 4) if sib & 7 == 5 => wide,
                _ => 0,
            },
            1 => 1,
            2 => wide,
            _ => 0,
        }
    }

    /// Bytes that SIB and displacement take, where `next` is the byte after ModRM if there is one.
    ///
    /// Returns `None` if a SIB byte is needed and `next` is not there.
    #[inline]
    pub(crate) const fn address_len(self, next: Option<u8>, size: AddressSize) -> Option<u8> {
        if !self.has_sib(size) {
            return Some(self.displacement_len(0, size));
        }
        match next {
            Some(sib) => Some(self.displacement_len(sib, size).saturating_add(1)),
            None => None,
        }
    }
}
