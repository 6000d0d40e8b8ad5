// SPDX-License-Identifier: GPL-2.0-only

//! What the tests of this room share: a guest made of arrays, the processor itself, and numbers
//! that look random.
//!
//! Tests that compare many random instructions count seeds up instead of using a framework: a
//! failure names its seed and the instruction, there is nothing in it to shrink, and a hundred
//! thousand cases take seconds.

#[cfg(test)]
pub(crate) mod binaries;
pub(crate) mod fuzz;
pub(crate) mod guest;
#[cfg(target_arch = "x86_64")]
pub(crate) mod native;
pub(crate) mod vectors;

use super::{
    CodeWidth,
    Vendor, //
};

/// Numbers that look random; the same ones for the same seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// The next number (SplitMix64).
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let n = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ (n >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// One of `from`.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A byte.
    pub(crate) fn byte(&mut self) -> u8 {
        (self.next() >> 56) as u8
    }

    /// Any code width.
    pub(crate) fn code_width(&mut self) -> CodeWidth {
        self.pick(&[CodeWidth::Bits16, CodeWidth::Bits32, CodeWidth::Bits64])
    }

    /// Any vendor.
    pub(crate) fn vendor(&mut self) -> Vendor {
        self.pick(&[Vendor::Amd, Vendor::Intel])
    }

    /// Up to three prefixes, then an opcode with its escape, then anything, up to 15 bytes.
    pub(crate) fn instruction(&mut self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(20);
        for _ in 0..self.below(4) {
            bytes.push(self.pick(&[
                0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x40, 0x41, 0x42,
                0x44, 0x48, 0x4c, 0x4f,
            ]));
        }
        match self.below(20) {
            16 => bytes.extend([0xc5, self.byte()]),
            17 => bytes.extend([0xc4, self.byte() & 0xe3, self.byte()]),
            // Two bits of it are constant.
            18 => bytes.extend([0x62, self.byte() & 0xf3, self.byte() | 4, self.byte()]),
            19 => bytes.extend([
                0x8f,
                self.byte() & 0xe0 | 8 + self.byte() % 3,
                self.byte() & 0xfc,
            ]),
            0 => bytes.extend([0x0f, 0x38]),
            1 => bytes.extend([0x0f, 0x3a]),
            2 => bytes.extend([0x0f, 0x01]),
            3..=7 => bytes.push(0x0f),
            _ => {}
        }
        bytes.extend(self.next().to_le_bytes());
        bytes.extend(self.next().to_le_bytes());
        bytes.truncate(15);
        bytes
    }
}

/// What the other decoder calls a code width.
pub(crate) fn oracle_bits(code: CodeWidth) -> u32 {
    match code {
        CodeWidth::Bits16 => 16,
        CodeWidth::Bits32 => 32,
        CodeWidth::Bits64 => 64,
    }
}

/// A seed that no run before had.
pub(crate) fn new_seed() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64
}
