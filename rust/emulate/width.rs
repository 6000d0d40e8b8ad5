// SPDX-License-Identifier: GPL-2.0-only

//! The width of an integer operand.

use super::AddressSize;

/// 1, 2, 4 or 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Width {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Word,
    /// 32 bits.
    Dword,
    /// 64 bits.
    Qword,
}

impl Width {
    /// Returns the number of bytes.
    pub(crate) const fn bytes(self) -> usize {
        1 << self.shift()
    }

    /// Returns the number of bits.
    pub(crate) const fn bits(self) -> u32 {
        8 << self.shift()
    }

    /// Returns the binary logarithm of the number of bytes.
    pub(crate) const fn shift(self) -> u32 {
        match self {
            Width::Byte => 0,
            Width::Word => 1,
            Width::Dword => 2,
            Width::Qword => 3,
        }
    }

    /// Returns the mask of all value bits.
    pub(crate) const fn mask(self) -> u64 {
        match self {
            Width::Byte => 0xff,
            Width::Word => 0xffff,
            Width::Dword => 0xffff_ffff,
            Width::Qword => u64::MAX,
        }
    }

    /// Returns the mask of the sign bit.
    pub(crate) const fn sign(self) -> u64 {
        match self {
            Width::Byte => 1 << 7,
            Width::Word => 1 << 15,
            Width::Dword => 1 << 31,
            Width::Qword => 1 << 63,
        }
    }

    /// Returns `value` with the bits above the width cleared.
    pub(crate) const fn truncate(self, value: u64) -> u64 {
        value & self.mask()
    }

    /// Returns `value` with the bits above the width made copies of the sign bit.
    pub(crate) const fn sign_extend(self, value: u64) -> u64 {
        let value = self.truncate(value);
        (value ^ self.sign()).wrapping_sub(self.sign())
    }
}

impl From<AddressSize> for Width {
    fn from(size: AddressSize) -> Self {
        match size {
            AddressSize::Bits16 => Width::Word,
            AddressSize::Bits32 => Width::Dword,
            AddressSize::Bits64 => Width::Qword,
        }
    }
}
