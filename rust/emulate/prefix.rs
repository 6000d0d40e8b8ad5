// SPDX-License-Identifier: GPL-2.0-only

//! Instruction prefixes: the legacy ones of every mode and REX of 64-bit mode.
//!
//! Source: AMD APM volume 3, sections 1.2 "Instruction Prefixes" and 1.2.7 "REX Prefix".

use super::{
    AddressSize,
    CodeWidth,
    MAX_INSN_LEN, //
};

/// The segment registers in the order of their encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Segment {
    /// Extra data segment; destination of string instructions.
    Es = 0,
    /// Code segment.
    Cs = 1,
    /// Stack segment.
    Ss = 2,
    /// Data segment; what most memory operands use.
    Ds = 3,
    /// Additional data segment with a base of its own in 64-bit mode.
    Fs = 4,
    /// Additional data segment with a base of its own in 64-bit mode.
    Gs = 5,
}

/// The repeat prefix in force. When both are present the later one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Neither F2 nor F3.
    None,
    /// F2: REPNE, or the selector of an opcode's second meaning.
    F2,
    /// F3: REP or REPE, or the selector of an opcode's third meaning.
    F3,
}

/// REX.W: a 64-bit operand.
pub(crate) const REX_W: u8 = 8;
/// REX.R: bit 3 of ModRM.reg.
pub(crate) const REX_R: u8 = 4;
/// REX.X: bit 3 of SIB.index.
pub(crate) const REX_X: u8 = 2;
/// REX.B: bit 3 of ModRM.rm, SIB.base or the opcode's register.
pub(crate) const REX_B: u8 = 1;

/// What stood before the opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefixes {
    /// F0 was present.
    pub(crate) lock: bool,
    /// 66 was present.
    pub(crate) operand_size: bool,
    /// 67 was present.
    pub(crate) address_size: bool,
    /// The last of F2 and F3.
    pub(crate) repeat: Repeat,
    /// The segment override in force. In 64-bit mode only FS and GS, as the processor ignores the
    /// other four there.
    pub(crate) segment: Option<Segment>,
    /// The REX byte (`0x40..=0x4f`) if one stood directly before the opcode, else 0.
    pub(crate) rex: u8,
    /// Bytes taken by all prefixes, at most 15.
    pub(crate) len: u8,
}

impl Prefixes {
    /// No prefix at all.
    pub(crate) const NONE: Self = Self {
        lock: false,
        operand_size: false,
        address_size: false,
        repeat: Repeat::None,
        segment: None,
        rex: 0,
        len: 0,
    };

    /// Reads the prefixes at the start of `bytes` in code of width `width`.
    ///
    /// Stops at the first byte that is no prefix, at the end of `bytes`, and after 15 bytes. In the
    /// latter two cases `len` leaves no room for an opcode and the caller finds none.
    #[inline]
    pub(crate) fn scan(bytes: &[u8], width: CodeWidth) -> Self {
        let mut found = Self::NONE;
        for &byte in bytes.iter().take(MAX_INSN_LEN) {
            let mut rex = 0;
            match byte {
                0x26 => found.override_legacy(Segment::Es, width),
                0x2e => found.override_legacy(Segment::Cs, width),
                0x36 => found.override_legacy(Segment::Ss, width),
                0x3e => found.override_legacy(Segment::Ds, width),
                0x64 => found.segment = Some(Segment::Fs),
                0x65 => found.segment = Some(Segment::Gs),
                0x66 => found.operand_size = true,
                0x67 => found.address_size = true,
                0xf0 => found.lock = true,
                0xf2 => found.repeat = Repeat::F2,
                0xf3 => found.repeat = Repeat::F3,
                0x40..=0x4f if matches!(width, CodeWidth::Bits64) => rex = byte,
                _ => break,
            }
            // A REX byte that another prefix follows has no effect.
            found.rex = rex;
            found.len = found.len.saturating_add(1);
        }
        found
    }

    /// Notes one of the four overrides that 64-bit mode ignores.
    fn override_legacy(&mut self, segment: Segment, width: CodeWidth) {
        if !matches!(width, CodeWidth::Bits64) {
            self.segment = Some(segment);
        }
    }

    /// The size of address computations under these prefixes.
    #[inline]
    pub(crate) const fn effective_address_size(&self, width: CodeWidth) -> AddressSize {
        match (width, self.address_size) {
            (CodeWidth::Bits64, false) => AddressSize::Bits64,
            (CodeWidth::Bits32, false) | (CodeWidth::Bits64 | CodeWidth::Bits16, true) => {
                AddressSize::Bits32
            }
            (CodeWidth::Bits16, false) | (CodeWidth::Bits32, true) => AddressSize::Bits16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rex_counts_only_before_the_opcode() {
        let p = Prefixes::scan(&[0x48, 0x66, 0x0f], CodeWidth::Bits64);
        assert_eq!((p.rex, p.operand_size, p.len), (0, true, 2));
        let p = Prefixes::scan(&[0x66, 0x48, 0x0f], CodeWidth::Bits64);
        assert_eq!((p.rex, p.operand_size, p.len), (0x48, true, 2));
        // Outside 64-bit mode the same byte is the DEC instruction.
        let p = Prefixes::scan(&[0x66, 0x48, 0x0f], CodeWidth::Bits32);
        assert_eq!((p.rex, p.len), (0, 1));
    }

    #[test]
    fn the_last_of_a_group_counts() {
        let p = Prefixes::scan(&[0xf2, 0xf3, 0x2e, 0x64, 0x3e], CodeWidth::Bits32);
        assert_eq!(
            (p.repeat, p.segment, p.len),
            (Repeat::F3, Some(Segment::Ds), 5)
        );
        let p = Prefixes::scan(&[0xf3, 0xf2, 0x2e, 0x64, 0x3e], CodeWidth::Bits64);
        assert_eq!(
            (p.repeat, p.segment, p.len),
            (Repeat::F2, Some(Segment::Fs), 5)
        );
    }

    #[test]
    fn never_reads_more_than_fifteen() {
        assert_eq!(Prefixes::scan(&[0x66; 40], CodeWidth::Bits16).len, 15);
        assert_eq!(Prefixes::scan(&[], CodeWidth::Bits16), Prefixes::NONE);
    }
}
