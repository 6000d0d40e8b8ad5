// SPDX-License-Identifier: GPL-2.0-only

//! What MMX and vector instructions do with memory and general registers.
//!
//! The same opcode under another prefix is another instruction, so that opcode, map and prefix
//! together are looked up. Encodings of 128 and 256 bits are known here; whether an instruction exists
//! in both, the processor knows that replays it.

use super::Prefix;
use crate::emulate::{
    decode::{
        Decoded,
        Map, //
    },
    fpu_state::Unit,
    ops::Access, //
};

/// How many bytes of memory an instruction uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// None: ModRM.rm can only be a register.
    None,
    /// So many.
    Bytes(u8),
    /// As many as the vector has.
    Whole,
    /// Half of that.
    Half,
    /// A quarter of that.
    Quarter,
    /// An eighth of that.
    Eighth,
    /// 8 for a vector of 16, else as many as that has: MOVDDUP.
    Duplicated,
    /// 4, or with W 8: a floating-point number.
    ByW,
    /// 4, or in 64-bit mode with W 8: as a general register.
    General,
}

/// What has to be aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alignment {
    /// Nothing.
    Free,
    /// The operand, in a legacy encoding, unless MXCSR.MM is set.
    Legacy,
    /// The operand, in Intel's processors.
    Intel,
    /// The operand, always.
    Always,
}

/// Which operand is a general register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum General {
    /// None.
    No,
    /// ModRM.reg, which is written.
    RegWritten,
    /// ModRM.rm if it is no memory; it is read.
    RmRead,
    /// ModRM.rm if it is no memory; it is written.
    RmWritten,
    /// RCX, which is written; RAX and RDX may be read: PCMPESTRI and its like.
    Implied,
}

/// What an instruction does with what is outside the vector unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The unit that must be switched on.
    pub(crate) unit: Unit,
    /// The size of the memory operand.
    pub(crate) size: Size,
    /// How it is accessed.
    pub(crate) access: Access,
    /// Whether it must be aligned.
    pub(crate) alignment: Alignment,
    /// The general register.
    pub(crate) general: General,
}

impl Shape {
    /// An instruction that reads a whole vector.
    const VECTOR: Self = Self {
        unit: Unit::Sse,
        size: Size::Whole,
        access: Access::Read,
        alignment: Alignment::Legacy,
        general: General::No,
    };

    /// One that reads an MMX register's worth.
    const MMX: Self = Self {
        unit: Unit::Mmx,
        size: Size::Bytes(8),
        alignment: Alignment::Free,
        ..Self::VECTOR
    };

    /// One that reads `size`, which need not be aligned.
    const fn part(size: Size) -> Self {
        Self {
            size,
            alignment: Alignment::Free,
            ..Self::VECTOR
        }
    }

    const fn bytes(size: u8) -> Self {
        Self::part(Size::Bytes(size))
    }

    const fn written(self) -> Self {
        Self {
            access: Access::Write,
            ..self
        }
    }

    const fn always_aligned(self) -> Self {
        Self {
            alignment: Alignment::Always,
            ..self
        }
    }

    const fn general(self, general: General) -> Self {
        Self { general, ..self }
    }

    const fn mmx(self) -> Self {
        Self {
            unit: Unit::Mmx,
            ..self
        }
    }
}

/// A whole vector, anywhere.
const UNALIGNED: Shape = Shape::part(Size::Whole);
/// A step of SHA-1 or SHA-256.
const HASH: Shape = Shape {
    alignment: Alignment::Intel,
    ..Shape::VECTOR
};
/// No memory.
const REGISTERS: Shape = Shape::part(Size::None);

/// Returns what is known about an instruction; `None` if nothing is.
pub(crate) fn shape(insn: &Decoded) -> Option<Shape> {
    let prefix = Prefix::of(insn);
    let opcode = insn.opcode;
    let shape = match insn.map {
        Map::Of => of(opcode, prefix),
        Map::Of38 => of_38(opcode, prefix),
        Map::Of3a => of_3a(opcode, prefix),
        _ => None,
    }?;
    if insn.is_legacy() {
        return Some(shape);
    }
    // There is no MMX in VEX encodings, and nothing that only AMD has in legacy ones.
    let foreign = matches!(
        (insn.map, opcode, prefix),
        (Map::Of, 0x2b, Prefix::F2 | Prefix::F3)
    );
    match shape.unit {
        Unit::Sse if !foreign => Some(Shape {
            unit: Unit::Avx,
            ..shape
        }),
        _ => None,
    }
}

/// An instruction on packed or scalar numbers of single or double precision, as the prefix says.
const fn arithmetic(prefix: Prefix) -> Shape {
    match prefix {
        Prefix::None | Prefix::P66 => Shape::VECTOR,
        Prefix::F3 => Shape::bytes(4),
        Prefix::F2 => Shape::bytes(8),
    }
}

/// An instruction on packed integers, in MMX registers without a prefix.
const fn integer(prefix: Prefix) -> Option<Shape> {
    match prefix {
        Prefix::None => Some(Shape::MMX),
        Prefix::P66 => Some(Shape::VECTOR),
        _ => None,
    }
}

/// Only under this prefix.
fn only(wanted: Prefix, prefix: Prefix, shape: Shape) -> Option<Shape> {
    (wanted == prefix).then_some(shape)
}

/// Only without prefix or under 66.
fn packed(prefix: Prefix, shape: Shape) -> Option<Shape> {
    matches!(prefix, Prefix::None | Prefix::P66).then_some(shape)
}

fn of(opcode: u8, prefix: Prefix) -> Option<Shape> {
    use Prefix::{None as Plain, F2, F3, P66};
    let shape = match (opcode, prefix) {
        (0x10, Plain | P66) => UNALIGNED,
        (0x11, Plain | P66) => UNALIGNED.written(),
        (0x10, _) => arithmetic(prefix),
        (0x11, _) => arithmetic(prefix).written(),
        (0x12 | 0x16, Plain | P66) => Shape::bytes(8),
        (0x12 | 0x16, F3) => Shape::VECTOR,
        (0x12, F2) => Shape::part(Size::Duplicated),
        (0x13 | 0x17, Plain | P66) => Shape::bytes(8).written(),
        (0x14 | 0x15 | 0x54..=0x57 | 0xc6, _) => return packed(prefix, Shape::VECTOR),
        (0x28, _) => return packed(prefix, Shape::VECTOR.always_aligned()),
        (0x29 | 0x2b, Plain | P66) => Shape::VECTOR.always_aligned().written(),
        (0x2b, _) => arithmetic(prefix).written(),
        (0x2a, Plain | P66) => Shape::MMX,
        (0x2a, _) => Shape::part(Size::General).general(General::RmRead),
        (0x2c | 0x2d, Plain) => Shape::MMX,
        (0x2c | 0x2d, P66) => Shape::VECTOR.mmx(),
        (0x2c | 0x2d, _) => arithmetic(prefix).general(General::RegWritten),
        (0x2e | 0x2f, Plain) => Shape::bytes(4),
        (0x2e | 0x2f, P66) => Shape::bytes(8),
        (0x50, Plain | P66) => REGISTERS.general(General::RegWritten),
        (0x51 | 0x58 | 0x59 | 0x5c..=0x5f | 0xc2, _) => arithmetic(prefix),
        (0x52 | 0x53, Plain) => Shape::VECTOR,
        (0x52 | 0x53, F3) => Shape::bytes(4),
        (0x5a, Plain) => Shape::part(Size::Half),
        (0x5a, _) => arithmetic(prefix),
        (0x5b, Plain | P66 | F3) => Shape::VECTOR,
        (0x60..=0x62, Plain) => Shape::bytes(4).mmx(),
        (0x6c | 0x6d, P66) => Shape::VECTOR,
        (0x6c | 0x6d, _) => return None,
        (0x6e, Plain) => Shape::part(Size::General).general(General::RmRead).mmx(),
        (0x6e, P66) => Shape::part(Size::General).general(General::RmRead),
        (0x6f, Plain) => Shape::MMX,
        (0x6f, P66) => Shape::VECTOR.always_aligned(),
        (0x6f, F3) => UNALIGNED,
        (0x70, Plain) => Shape::MMX,
        (0x70, _) => Shape::VECTOR,
        (0x71..=0x73, Plain) => REGISTERS.mmx(),
        (0x71..=0x73, P66) => REGISTERS,
        (0x77, Plain) => REGISTERS.mmx(),
        (0x78 | 0x79, P66 | F2) => REGISTERS,
        (0x7c | 0x7d | 0xd0, P66 | F2) => Shape::VECTOR,
        (0x7e, Plain) => Shape::part(Size::General)
            .general(General::RmWritten)
            .written()
            .mmx(),
        (0x7e, P66) => Shape::part(Size::General)
            .general(General::RmWritten)
            .written(),
        (0x7e, F3) => Shape::bytes(8),
        (0x7f, Plain) => Shape::MMX.written(),
        (0x7f, P66) => Shape::VECTOR.always_aligned().written(),
        (0x7f, F3) => UNALIGNED.written(),
        (0xc4, Plain) => Shape::bytes(2).general(General::RmRead).mmx(),
        (0xc4, P66) => Shape::bytes(2).general(General::RmRead),
        (0xc5 | 0xd7, Plain) => REGISTERS.general(General::RegWritten).mmx(),
        (0xc5 | 0xd7, P66) => REGISTERS.general(General::RegWritten),
        // The count has as many bytes in a vector of 256 bits.
        (0xd1..=0xd3 | 0xe1 | 0xe2 | 0xf1..=0xf3, P66) => Shape {
            size: Size::Bytes(16),
            ..Shape::VECTOR
        },
        (0xd6, P66) => Shape::bytes(8).written(),
        (0xd6, F2 | F3) => REGISTERS.mmx(),
        (0xe6, F3) => Shape::part(Size::Half),
        (0xe6, P66 | F2) => Shape::VECTOR,
        (0xe7, Plain) => Shape::MMX.written(),
        (0xe7, P66) => Shape::VECTOR.always_aligned().written(),
        (0xf0, F2) => UNALIGNED,
        (0x60..=0x6b | 0x74..=0x76, _) => return integer(prefix),
        (0xd4 | 0xd5 | 0xd8..=0xdf | 0xe0 | 0xe3..=0xe5 | 0xe8..=0xef, _) => {
            return integer(prefix)
        }
        (0xd1..=0xd3 | 0xe1 | 0xe2 | 0xf1..=0xf6 | 0xf8..=0xfe, _) => return integer(prefix),
        _ => return None,
    };
    Some(shape)
}

fn of_38(opcode: u8, prefix: Prefix) -> Option<Shape> {
    let part = |size| only(Prefix::P66, prefix, Shape::part(size));
    match opcode {
        0x00..=0x0b | 0x1c..=0x1e => integer(prefix),
        0x13 | 0x20 | 0x23 | 0x25 | 0x30 | 0x33 | 0x35 => part(Size::Half),
        0x18 | 0x58 => part(Size::Bytes(4)),
        0x19 | 0x59 => part(Size::Bytes(8)),
        0x1a | 0x5a => part(Size::Bytes(16)),
        0x21 | 0x24 | 0x31 | 0x34 => part(Size::Quarter),
        0x22 | 0x32 => part(Size::Eighth),
        0x2a => only(Prefix::P66, prefix, Shape::VECTOR.always_aligned()),
        0x41 | 0xdb => only(
            Prefix::P66,
            prefix,
            Shape {
                size: Size::Bytes(16),
                ..Shape::VECTOR
            },
        ),
        0x78 => part(Size::Bytes(1)),
        0x79 => part(Size::Bytes(2)),
        0x0c..=0x10 | 0x14..=0x17 | 0x28 | 0x29 | 0x2b | 0x36..=0x40 | 0x45..=0x47 => {
            only(Prefix::P66, prefix, Shape::VECTOR)
        }
        0x96..=0x98 | 0xa6..=0xa8 | 0xb6..=0xb8 => only(Prefix::P66, prefix, Shape::VECTOR),
        // Even opcodes are of packed numbers, odd ones of scalars.
        0x99..=0x9f | 0xa9..=0xaf | 0xb9..=0xbf => match opcode & 1 {
            0 => only(Prefix::P66, prefix, Shape::VECTOR),
            _ => part(Size::ByW),
        },
        0xc8..=0xcd => only(Prefix::None, prefix, HASH),
        0xcf | 0xdc..=0xdf => only(Prefix::P66, prefix, Shape::VECTOR),
        _ => None,
    }
}

fn of_3a(opcode: u8, prefix: Prefix) -> Option<Shape> {
    let part = |size| only(Prefix::P66, prefix, Shape::part(size));
    let inserted = |size| {
        let shape = Shape::part(size).general(General::RmRead);
        only(Prefix::P66, prefix, shape)
    };
    let extracted = |size| {
        let shape = Shape::part(size).general(General::RmWritten).written();
        only(Prefix::P66, prefix, shape)
    };
    match opcode {
        0x0f => integer(prefix),
        0x00..=0x02 | 0x04..=0x06 | 0x08 | 0x09 | 0x0c..=0x0e => {
            only(Prefix::P66, prefix, Shape::VECTOR)
        }
        0x0a | 0x21 => part(Size::Bytes(4)),
        0x0b => part(Size::Bytes(8)),
        0x14 => extracted(Size::Bytes(1)),
        0x15 => extracted(Size::Bytes(2)),
        0x16 => extracted(Size::General),
        0x17 => extracted(Size::Bytes(4)),
        0x18 | 0x38 => part(Size::Bytes(16)),
        0x19 | 0x39 => part(Size::Bytes(16)).map(Shape::written),
        0x1d => part(Size::Half).map(Shape::written),
        0x20 => inserted(Size::Bytes(1)),
        0x22 => inserted(Size::General),
        0x40..=0x42 | 0x44 | 0x46 | 0x4a..=0x4c | 0xce | 0xcf => {
            only(Prefix::P66, prefix, Shape::VECTOR)
        }
        0x60 | 0x62 => part(Size::Bytes(16)),
        0x61 | 0x63 => {
            let shape = Shape::bytes(16).general(General::Implied);
            only(Prefix::P66, prefix, shape)
        }
        0xcc => only(Prefix::None, prefix, HASH),
        0xdf => only(
            Prefix::P66,
            prefix,
            Shape {
                size: Size::Bytes(16),
                ..Shape::VECTOR
            },
        ),
        _ => None,
    }
}

impl Size {
    /// Returns the number of bytes for `insn`; 0 for none.
    pub(crate) fn bytes(self, insn: &Decoded, in_long_mode: bool) -> usize {
        let vector: usize = match insn.vector.length {
            0 => 16,
            1 => 32,
            _ => 64,
        };
        let wide = match insn.is_legacy() {
            true => insn.prefixes.rex & crate::emulate::prefix::REX_W != 0,
            false => insn.vector.wide,
        };
        match self {
            Size::None => 0,
            Size::Bytes(bytes) => bytes.into(),
            Size::Whole => vector,
            Size::Half => vector / 2,
            Size::Quarter => vector / 4,
            Size::Eighth => vector / 8,
            Size::Duplicated if vector == 16 => 8,
            Size::Duplicated => vector,
            Size::ByW if wide => 8,
            Size::General if wide && in_long_mode => 8,
            Size::ByW | Size::General => 4,
        }
    }
}

#[cfg(test)]
mod tests;
