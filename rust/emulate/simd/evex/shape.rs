// SPDX-License-Identifier: GPL-2.0-only

//! What vector arithmetic in EVEX encodings does with memory and general registers.
//!
//! Opcode, map, prefix and W together are looked up. Which lengths exist, and what may be masked, zeroed or rounded,
//! the processor knows that replays it.
//!
//! Source: Intel SDM volume 2, the tuple types and exception classes of the instructions: those of classes with "NF"
//! access all of their operand whatever the opmask says.

use super::super::{
    shape::{
        General,
        Size, //
    },
    Prefix::{
        self,
        None as Plain,
        F2,
        F3,
        P66, //
    }, //
};
use crate::emulate::{
    decode::{
        Decoded,
        Map, //
    },
    ops::Access, //
};

/// Which part of the memory operand is accessed under an opmask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// All of it.
    All,
    /// Elements of so many bytes whose bits are set; one that is broadcast if any bit is.
    Elements(u8),
    /// As that, of an operand that is one element for all of the vector.
    Copies(u8),
    /// That is not known here.
    Unknown,
}

/// What is known about an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// The size of a memory operand that is not broadcast.
    pub(crate) size: Size,
    /// The part of it that is accessed.
    pub(crate) selection: Selection,
    /// Bytes of an element that b has broadcast; 0 if there is no such encoding.
    pub(crate) broadcast: u8,
    /// How memory is accessed.
    pub(crate) access: Access,
    /// The general register.
    pub(crate) general: General,
}

impl Known {
    /// A whole vector that is read, or one of its elements for all.
    const fn full(element: u8) -> Self {
        Self {
            size: Size::Whole,
            selection: Selection::Elements(element),
            broadcast: element,
            access: Access::Read,
            general: General::No,
        }
    }

    /// A whole vector, never broadcast.
    const fn plain(element: u8) -> Self {
        Self {
            broadcast: 0,
            ..Self::full(element)
        }
    }

    /// Another size, never broadcast.
    const fn part(size: Size, element: u8) -> Self {
        Self {
            size,
            ..Self::plain(element)
        }
    }

    /// Half a vector, or an element for all.
    const fn half(element: u8) -> Self {
        Self {
            size: Size::Half,
            ..Self::full(element)
        }
    }

    /// A number.
    const fn scalar(bytes: u8) -> Self {
        Self::part(Size::Bytes(bytes), bytes)
    }

    /// An element for all, of an instruction that has no other operand.
    const fn copied(bytes: u8) -> Self {
        Self {
            selection: Selection::Copies(bytes),
            ..Self::scalar(bytes)
        }
    }

    /// Bytes that are written, of which an opmask may say more.
    const fn stored(size: Size) -> Self {
        Self {
            selection: Selection::Unknown,
            access: Access::Write,
            ..Self::part(size, 0)
        }
    }

    /// Accesses all of its operand.
    const fn rigid(self) -> Self {
        Self {
            selection: Selection::All,
            ..self
        }
    }

    const fn unknown(self) -> Self {
        Self {
            selection: Selection::Unknown,
            ..self
        }
    }

    const fn general(self, general: General) -> Self {
        Self { general, ..self }
    }
}

/// A whole vector of bytes or words that is accessed whatever the opmask says.
const RIGID: Known = Known::plain(0).rigid();
/// No memory.
const REGISTERS: Known = Known::part(Size::None, 0).rigid();

/// Returns what is known about an instruction; `None` if nothing is.
pub(crate) fn find(insn: &Decoded) -> Option<Known> {
    let (prefix, wide) = (Prefix::of(insn), insn.vector.wide);
    match (insn.map, prefix) {
        (Map::Of, _) => of(insn.opcode, prefix, wide, insn.digit()),
        (Map::Of38, P66) => of_38(insn.opcode, wide),
        (Map::Of38, F3) => of_38_f3(insn.opcode, wide),
        (Map::Of3a, P66) => of_3a(insn.opcode, wide),
        _ => None,
    }
}

/// Numbers of 8 bytes with W, else of 4.
const fn by_w(wide: bool) -> u8 {
    if wide {
        8
    } else {
        4
    }
}

/// Vectors of such.
const fn full(wide: bool) -> Known {
    Known::full(by_w(wide))
}

/// One such.
const fn scalar(wide: bool) -> Known {
    Known::scalar(by_w(wide))
}

/// Vectors of floating-point numbers of either precision.
const fn packed(prefix: Prefix, wide: bool) -> Option<Known> {
    match (prefix, wide) {
        (Plain, false) => Some(Known::full(4)),
        (P66, true) => Some(Known::full(8)),
        _ => None,
    }
}

/// Vectors of floating-point numbers of either precision, and such numbers.
const fn float(prefix: Prefix, wide: bool) -> Option<Known> {
    match (prefix, wide) {
        (F3, false) => Some(Known::scalar(4)),
        (F2, true) => Some(Known::scalar(8)),
        _ => packed(prefix, wide),
    }
}

fn of(opcode: u8, prefix: Prefix, wide: bool, digit: u8) -> Option<Known> {
    let number = Known::part(Size::General, 0).rigid();
    let known = match (opcode, prefix, wide) {
        // Loads and stores are moves.
        (0x10 | 0x11, F3, false) | (0x10 | 0x11, F2, true) => REGISTERS,
        (0x12 | 0x16, Plain, false) => REGISTERS,
        (0x12 | 0x16, F3, false) => RIGID,
        (0x12, F2, true) => Known::part(Size::Duplicated, 0).rigid(),
        (0x14 | 0x15 | 0xc6, ..) => packed(prefix, wide)?.rigid(),
        (0x51 | 0x58 | 0x59 | 0x5c..=0x5f | 0xc2, ..) => float(prefix, wide)?,
        (0x54..=0x57, ..) => packed(prefix, wide)?,
        (0x2a | 0x7b, F3 | F2, _) => number.general(General::RmRead),
        (0x2c | 0x2d | 0x78 | 0x79, F3, _) => Known::scalar(4).rigid().general(General::RegWritten),
        (0x2c | 0x2d | 0x78 | 0x79, F2, _) => Known::scalar(8).rigid().general(General::RegWritten),
        (0x2e | 0x2f, Plain, false) => Known::scalar(4).rigid(),
        (0x2e | 0x2f, P66, true) => Known::scalar(8).rigid(),
        // Conversions.
        (0x5a, Plain, false) => Known::half(4),
        (0x5a, P66, true) => Known::full(8),
        (0x5a, F3, false) => Known::scalar(4),
        (0x5a, F2, true) => Known::scalar(8),
        (0x5b, Plain, _) => full(wide),
        (0x5b, P66 | F3, false) => Known::full(4),
        (0x78 | 0x79, Plain, _) => full(wide),
        (0x78..=0x7b, P66, false) => Known::half(4),
        (0x78..=0x7b, P66, true) => Known::full(8),
        (0x7a | 0xe6, F3, false) => Known::half(4),
        (0x7a | 0xe6, F3, true) => Known::full(8),
        (0x7a, F2, _) => full(wide),
        (0xe6, P66 | F2, true) => Known::full(8),
        // Integers.
        (0x60 | 0x61 | 0x63 | 0x67..=0x69, P66, _) => RIGID,
        (0x62 | 0x6a | 0x6b | 0x70, P66, false) => Known::full(4).rigid(),
        (0x6c | 0x6d, P66, true) => Known::full(8).rigid(),
        (0x70, F3 | F2, _) => RIGID,
        (0x71, P66, _) if matches!(digit, 2 | 4 | 6) => Known::plain(2),
        (0x72, P66, _) if matches!(digit, 0 | 1 | 4) => full(wide),
        (0x72, P66, false) if matches!(digit, 2 | 6) => Known::full(4),
        (0x73, P66, true) if matches!(digit, 2 | 6) => Known::full(8),
        (0x73, P66, _) if matches!(digit, 3 | 7) => RIGID,
        // The count has as many bytes in every vector.
        (0xd1 | 0xe1 | 0xe2 | 0xf1, P66, _)
        | (0xd2 | 0xf2, P66, false)
        | (0xd3 | 0xf3, P66, true) => Known::part(Size::Bytes(16), 0).rigid(),
        (0x64 | 0x74 | 0xd8 | 0xda | 0xdc | 0xde | 0xe0, P66, _) => Known::plain(1),
        (0xe8 | 0xec | 0xf8 | 0xfc, P66, _) => Known::plain(1),
        (0x65 | 0x75 | 0xd5 | 0xd9 | 0xdd | 0xe3..=0xe5, P66, _) => Known::plain(2),
        (0xe9 | 0xea | 0xed | 0xee | 0xf9 | 0xfd, P66, _) => Known::plain(2),
        (0x66 | 0x76 | 0xfa | 0xfe, P66, false) => Known::full(4),
        (0xd4 | 0xf4 | 0xfb, P66, true) => Known::full(8),
        (0xdb | 0xdf | 0xeb | 0xef, P66, _) => full(wide),
        (0xf5 | 0xf6, P66, _) => RIGID,
        (0xc4, P66, _) => Known::part(Size::Bytes(2), 0)
            .rigid()
            .general(General::RmRead),
        (0xc5, P66, _) => REGISTERS.general(General::RegWritten),
        _ => return None,
    };
    Some(known)
}

/// Under 66.
fn of_38(opcode: u8, wide: bool) -> Option<Known> {
    let known = match (opcode, wide) {
        (0x00 | 0x04, _) => RIGID,
        (0x0b, _) => Known::plain(2),
        (0x0c, false) | (0x0d, true) => full(wide).rigid(),
        (0x10..=0x12, true) => Known::plain(2),
        (0x13, false) => Known::part(Size::Half, 2),
        (0x14 | 0x15, _) => full(wide),
        (0x16 | 0x36, _) => full(wide).rigid(),
        (0x18 | 0x58, false) => Known::copied(4),
        (0x19 | 0x59, true) => Known::copied(8),
        (0x19 | 0x59, false) => Known::scalar(8).unknown(),
        (0x1a | 0x5a, _) => Known::scalar(16).unknown(),
        (0x1b | 0x5b, _) => Known::scalar(32).unknown(),
        (0x78, false) => Known::copied(1),
        (0x79, false) => Known::copied(2),
        (0x7a | 0x7b, false) | (0x7c, _) => REGISTERS.general(General::RmRead),
        (0x1c, _) => Known::plain(1),
        (0x1d, _) => Known::plain(2),
        (0x1e, false) | (0x1f, true) => full(wide),
        (0x20 | 0x30, _) => Known::part(Size::Half, 1),
        (0x21 | 0x31, _) => Known::part(Size::Quarter, 1),
        (0x22 | 0x32, _) => Known::part(Size::Eighth, 1),
        (0x23 | 0x33, _) => Known::part(Size::Half, 2),
        (0x24 | 0x34, _) => Known::part(Size::Quarter, 2),
        (0x25 | 0x35, false) => Known::part(Size::Half, 4),
        (0x26 | 0x66, false) => Known::plain(1),
        (0x26 | 0x66, true) => Known::plain(2),
        (0x27 | 0x64 | 0x65, _) => full(wide),
        (0x28 | 0x29 | 0x37, true) => Known::full(8),
        (0x2b, false) => Known::full(4).rigid(),
        (0x2c, _) => full(wide),
        (0x2d, _) => scalar(wide),
        (0x38 | 0x3c, _) => Known::plain(1),
        (0x3a | 0x3e, _) => Known::plain(2),
        (0x39 | 0x3b | 0x3d | 0x3f | 0x40, _) => full(wide),
        (0x42 | 0x44..=0x47 | 0x4c | 0x4e, _) => full(wide),
        (0x43 | 0x4d | 0x4f, _) => scalar(wide),
        (0x50..=0x53, false) => Known::full(4),
        (0x54, false) => Known::plain(1),
        (0x54, true) => Known::plain(2),
        (0x55, _) => full(wide),
        (0x70 | 0x72, true) => Known::plain(2),
        (0x71 | 0x73, _) => full(wide),
        (0x75 | 0x7d | 0x8d, _) => RIGID,
        (0x76 | 0x77 | 0x7e | 0x7f, _) => full(wide).rigid(),
        (0x83, true) => Known::full(8).rigid(),
        // A processor was seen that does not access all of it.
        (0x8f, false) => RIGID.unknown(),
        (0x96..=0x98 | 0xa6..=0xa8 | 0xb6..=0xb8, _) => full(wide),
        // Even opcodes are of packed numbers, odd ones of scalars.
        (0x99..=0x9f | 0xa9..=0xaf | 0xb9..=0xbf, _) => match opcode & 1 {
            0 => full(wide),
            _ => scalar(wide),
        },
        (0xb4 | 0xb5, true) => Known::full(8),
        (0xc4, _) => full(wide).rigid(),
        (0xcf, false) => Known::plain(1),
        (0xdc..=0xdf, _) => RIGID,
        _ => return None,
    };
    Some(known)
}

/// Under F3.
fn of_38_f3(opcode: u8, wide: bool) -> Option<Known> {
    let known = match (opcode, wide) {
        (0x26, false) => Known::plain(1),
        (0x26, true) => Known::plain(2),
        (0x27, _) => full(wide),
        // Vectors of what opmasks say, and back; opmasks for all elements.
        (0x28 | 0x29 | 0x38 | 0x39, _) | (0x2a, true) | (0x3a, false) => REGISTERS,
        // Parts of integers.
        (0x10 | 0x20 | 0x30 | 0x13 | 0x23 | 0x33 | 0x15 | 0x25 | 0x35, false) => {
            Known::stored(Size::Half)
        }
        (0x11 | 0x21 | 0x31 | 0x14 | 0x24 | 0x34, false) => Known::stored(Size::Quarter),
        (0x12 | 0x22 | 0x32, false) => Known::stored(Size::Eighth),
        _ => return None,
    };
    Some(known)
}

/// Under 66.
fn of_3a(opcode: u8, wide: bool) -> Option<Known> {
    let inserted = |size| Known::part(size, 0).rigid().general(General::RmRead);
    let extracted = |size| Known::stored(size).general(General::RmWritten);
    let known = match (opcode, wide) {
        (0x00 | 0x01, true) => Known::full(8).rigid(),
        (0x03, _) => full(wide).rigid(),
        (0x04, false) | (0x05, true) => full(wide).rigid(),
        (0x08, false) | (0x09, true) => full(wide),
        (0x0a, false) | (0x0b, true) => scalar(wide),
        (0x0f, _) => RIGID,
        (0x14, _) => extracted(Size::Bytes(1)),
        (0x15, _) => extracted(Size::Bytes(2)),
        (0x16, _) => extracted(Size::General),
        (0x17, _) => extracted(Size::Bytes(4)),
        (0x18 | 0x38, _) => Known::scalar(16).rigid(),
        (0x1a | 0x3a, _) => Known::scalar(32).rigid(),
        (0x19 | 0x39, _) => Known::stored(Size::Bytes(16)),
        (0x1b | 0x3b, _) => Known::stored(Size::Bytes(32)),
        (0x1d, false) => Known::stored(Size::Half),
        (0x1e | 0x1f | 0x25, _) => full(wide),
        (0x20, _) => inserted(Size::Bytes(1)),
        (0x21, false) => Known::scalar(4).rigid(),
        (0x22, _) => inserted(Size::General),
        (0x23 | 0x43, _) => full(wide).rigid(),
        (0x26 | 0x50 | 0x54 | 0x56 | 0x66, _) => full(wide),
        (0x27 | 0x51 | 0x55 | 0x57 | 0x67, _) => scalar(wide),
        (0x3e | 0x3f, false) => Known::plain(1),
        (0x3e | 0x3f, true) => Known::plain(2),
        (0x42, false) | (0x44, _) => RIGID,
        (0x70 | 0x72, true) => Known::plain(2),
        (0x71 | 0x73, _) => full(wide),
        (0xce | 0xcf, true) => Known::full(8).rigid(),
        _ => return None,
    };
    Some(known)
}

#[cfg(test)]
mod tests;
