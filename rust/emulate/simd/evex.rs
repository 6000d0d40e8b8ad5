// SPDX-License-Identifier: GPL-2.0-only

//! EVEX encodings: those of 32 vector registers, of up to 64 bytes.
//!
//! Moves are carried out here, those under an opmask in [`masked`]; what is left is [`arithmetic`].
//!
//! Source: Intel SDM volume 2, section 2.7 "Intel AVX-512 Encoding", and MOVUPS to VMOVDQU64.

use super::{
    masked,
    moves::{
        self,
        Half,
        Move, //
    },
    shape::{
        Alignment,
        General,
        Shape,
        Size, //
    },
    Prefix, //
};
use crate::emulate::{
    decode::{
        Decoded,
        Map,
        Rm, //
    },
    fpu_state::{
        self,
        Unit, //
    },
    operand::Context,
    ops::{
        Access,
        Exception,
        Feature,
        Ops,
        Result, //
    },
    CodeWidth, //
};

pub(crate) mod arithmetic;
pub(crate) mod shape;

/// A move that is known.
struct Known {
    kind: Move,
    size: Size,
    aligned: bool,
    general: General,
}

impl Known {
    const fn new(kind: Move, size: Size) -> Self {
        Self {
            kind,
            size,
            aligned: false,
            general: General::No,
        }
    }

    const fn aligned(kind: Move) -> Self {
        Self {
            aligned: true,
            ..Self::new(kind, Size::Whole)
        }
    }

    /// Whether it may be under the opmask that it names, zeroing or not: moves of whole vectors that do
    /// not go around caches, and scalars. Memory is never zeroed.
    fn can_be_masked(&self, insn: &Decoded) -> bool {
        let non_temporal = matches!(insn.opcode, 0x2a | 0x2b | 0xe7);
        let stores = self.kind == Move::Store && matches!(insn.rm, Rm::Memory(_));
        let elements = match self.size {
            Size::Whole => !non_temporal,
            Size::Bytes(_) => matches!(insn.opcode, 0x10 | 0x11),
            _ => false,
        };
        elements && insn.vector.mask != 0 && !(stores && insn.vector.zeroing)
    }

    /// Bytes of an element.
    fn element(&self, insn: &Decoded) -> usize {
        let wide = insn.vector.wide;
        match (self.size, insn.opcode, Prefix::of(insn)) {
            (Size::Bytes(bytes), ..) => bytes.into(),
            (_, 0x6f | 0x7f, Prefix::F2) => 1 + usize::from(wide),
            _ if wide => 8,
            _ => 4,
        }
    }
}

/// Returns which move an instruction is; `None` if it is none that is known here.
fn find(insn: &Decoded) -> Option<Known> {
    use Prefix::{None as Plain, F2, F3, P66};
    let memory = matches!(insn.rm, Rm::Memory(_));
    let half = |kind| Known::new(kind, Size::Bytes(8));
    Some(
        match (insn.map, insn.opcode, Prefix::of(insn), insn.vector.wide) {
            (Map::Of, 0x10, Plain, false) | (Map::Of, 0x10, P66, true) => {
                Known::new(Move::Load, Size::Whole)
            }
            (Map::Of, 0x11, Plain, false) | (Map::Of, 0x11, P66, true) => {
                Known::new(Move::Store, Size::Whole)
            }
            (Map::Of, 0x10, F3, false) if memory => Known::new(Move::Load, Size::Bytes(4)),
            (Map::Of, 0x11, F3, false) if memory => Known::new(Move::Store, Size::Bytes(4)),
            (Map::Of, 0x10, F2, true) if memory => Known::new(Move::Load, Size::Bytes(8)),
            (Map::Of, 0x11, F2, true) if memory => Known::new(Move::Store, Size::Bytes(8)),
            (Map::Of, 0x12, Plain, false) | (Map::Of, 0x12, P66, true) if memory => {
                half(Move::LoadHalf(Half::Low))
            }
            (Map::Of, 0x16, Plain, false) | (Map::Of, 0x16, P66, true) if memory => {
                half(Move::LoadHalf(Half::High))
            }
            (Map::Of, 0x13, Plain, false) | (Map::Of, 0x13, P66, true) if memory => {
                half(Move::StoreHalf(Half::Low))
            }
            (Map::Of, 0x17, Plain, false) | (Map::Of, 0x17, P66, true) if memory => {
                half(Move::StoreHalf(Half::High))
            }
            (Map::Of, 0x28, Plain, false) | (Map::Of, 0x28, P66, true) => {
                Known::aligned(Move::Load)
            }
            (Map::Of, 0x29, Plain, false) | (Map::Of, 0x29, P66, true) => {
                Known::aligned(Move::Store)
            }
            (Map::Of, 0x2b, Plain, false) | (Map::Of, 0x2b, P66, true) if memory => {
                Known::aligned(Move::Store)
            }
            (Map::Of, 0x6f, P66, _) => Known::aligned(Move::Load),
            (Map::Of, 0x7f, P66, _) => Known::aligned(Move::Store),
            (Map::Of, 0x6f, F3 | F2, _) => Known::new(Move::Load, Size::Whole),
            (Map::Of, 0x7f, F3 | F2, _) => Known::new(Move::Store, Size::Whole),
            (Map::Of, 0xe7, P66, false) if memory => Known::aligned(Move::Store),
            (Map::Of38, 0x2a, P66, false) if memory => Known::aligned(Move::Load),
            (Map::Of, 0x6e, P66, _) => Known {
                general: General::RmRead,
                ..Known::new(Move::Load, Size::General)
            },
            (Map::Of, 0x7e, P66, _) => Known {
                general: General::RmWritten,
                ..Known::new(Move::Store, Size::General)
            },
            (Map::Of, 0x7e, F3, true) => half(Move::Load),
            (Map::Of, 0xd6, P66, true) => half(Move::Store),
            _ => return None,
        },
    )
}

/// Whether an instruction is a move, whatever its shape would be as arithmetic.
#[cfg(test)]
pub(crate) fn is_move(insn: &Decoded) -> bool {
    find(insn).is_some()
}

/// Whether the encoding is one that exists, on the guest's processor.
fn exists<O: Ops>(ops: &O, insn: &Decoded, known: &Known) -> bool {
    let vector = &insn.vector;
    let length = match known.size {
        // Scalars in memory ignore it.
        Size::Bytes(_) if matches!(insn.opcode, 0x10 | 0x11) => vector.length < 3,
        Size::Whole => match vector.length {
            0 | 1 => ops.has(Feature::Avx512Vl),
            2 => true,
            _ => false,
        },
        _ => vector.length == 0,
    };
    let bytes = Prefix::of(insn) == Prefix::F2 && matches!(insn.opcode, 0x6f | 0x7f);
    let merges = matches!(known.kind, Move::LoadHalf(_));
    length
        && !vector.broadcast
        && (vector.mask == 0 && !vector.zeroing || known.can_be_masked(insn))
        && (merges || vector.no_register)
        && (!bytes || ops.has(Feature::Avx512Bw))
}

/// Returns the instruction with the address that it means if its memory operand has `len` bytes.
fn scaled(cx: &Context, len: usize) -> Context {
    let mut cx = *cx;
    if let Rm::Memory(address) = &mut cx.insn.rm {
        // A displacement of one byte counts operands.
        if cx.insn.modrm.mode() == 1 {
            address.displacement = address.displacement.wrapping_mul(len as u64);
        }
    }
    cx
}

/// Executes an instruction in an EVEX encoding.
///
/// # Errors
///
/// [`Fault::Unhandleable`] for what is not known.
pub(crate) fn execute<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let Some(known) = find(&cx.insn) else {
        return arithmetic::execute(ops, cx);
    };
    if !exists(ops, &cx.insn, &known) {
        return Err(Exception::UNDEFINED.into());
    }
    let access = match known.kind {
        Move::Store | Move::StoreHalf(_) => Access::Write,
        _ => Access::Read,
    };
    let shape = Shape {
        unit: Unit::Avx512,
        size: known.size,
        access,
        alignment: match known.aligned {
            true => Alignment::Always,
            false => Alignment::Free,
        },
        general: known.general,
    };
    let len = shape.size.bytes(&cx.insn, cx.code == CodeWidth::Bits64);
    let cx = scaled(cx, len);
    if cx.insn.vector.mask == 0 {
        return moves::run(ops, &cx, known.kind, &shape, len);
    }
    fpu_state::check(ops, Unit::Avx512)?;
    let element = known.element(&cx.insn);
    masked::evex(ops, &cx, known.kind, len, element, known.aligned)
}
