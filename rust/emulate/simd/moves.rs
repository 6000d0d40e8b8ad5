// SPDX-License-Identifier: GPL-2.0-only

//! Moves between memory, general registers, and MMX and vector registers: what `memcpy`, `memset`
//! and code that saves registers are made of.
//!
//! These need no processor to execute them, only registers as bytes. Moves between registers that
//! merge are not here; those under a mask are in [`masked`](super::masked).
//!
//! Source: AMD APM volumes 4 and 5; Intel SDM volume 2, MOVUPS to MOVQ and VMOVDQU8 to VMOVDQU64.

use super::{
    replay,
    shape::{
        shape,
        General,
        Shape, //
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
        Fault,
        Gpr,
        Ops,
        Rest,
        Result, //
    },
    prefix::REX_X,
    vex::Encoding,
    width::Width,
    CodeWidth, //
};

/// Bytes of the widest vector.
pub(super) const WIDEST: usize = 64;
/// Bytes of a vector in legacy encodings.
const LEGACY: usize = 16;

/// What a move does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// ModRM.rm to ModRM.reg. Above that the vector becomes zero.
    Load,
    /// ModRM.reg to ModRM.rm; if that is a vector, zero comes above.
    Store,
    /// Memory to one half of a vector of 16 bytes, whose other half stays, or with VEX comes from
    /// vvvv.
    LoadHalf(Half),
    /// One half of a vector to memory.
    StoreHalf(Half),
    /// Memory to all elements of a vector, of which each has so many bytes.
    Broadcast(u8),
    /// ModRM.rm to an MMX register.
    LoadMmx,
    /// An MMX register to ModRM.rm.
    StoreMmx,
}

/// A half of 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    /// Bytes 0 to 7.
    Low,
    /// Bytes 8 to 15.
    High,
}

/// Returns which move an instruction is; `None` if it is none that is known here.
pub(super) fn find(insn: &Decoded) -> Option<Move> {
    use Prefix::{None as Plain, F2, F3, P66};
    let memory = matches!(insn.rm, Rm::Memory(_));
    let vex = !insn.is_legacy();
    Some(match (insn.map, insn.opcode, Prefix::of(insn)) {
        (Map::Of, 0x10, Plain | P66) | (Map::Of, 0x28, Plain | P66) => Move::Load,
        (Map::Of, 0x11, Plain | P66) | (Map::Of, 0x29, Plain | P66) => Move::Store,
        (Map::Of, 0x10, _) if memory => Move::Load,
        (Map::Of, 0x11, _) if memory => Move::Store,
        (Map::Of, 0x12, Plain | P66) if memory => Move::LoadHalf(Half::Low),
        (Map::Of, 0x16, Plain | P66) if memory => Move::LoadHalf(Half::High),
        (Map::Of, 0x13, Plain | P66) if memory => Move::StoreHalf(Half::Low),
        (Map::Of, 0x17, Plain | P66) if memory => Move::StoreHalf(Half::High),
        (Map::Of, 0x2b, Plain | P66) if memory => Move::Store,
        (Map::Of, 0x6e, P66) | (Map::Of, 0x6f, P66 | F3) | (Map::Of, 0x7e, F3) => Move::Load,
        (Map::Of, 0x7e, P66) | (Map::Of, 0x7f, P66 | F3) | (Map::Of, 0xd6, P66) => Move::Store,
        (Map::Of, 0xe7, P66) if memory => Move::Store,
        (Map::Of, 0xf0, F2) if memory => Move::Load,
        (Map::Of38, 0x2a, P66) if memory => Move::Load,
        (Map::Of, 0x6e | 0x6f, Plain) if !vex => Move::LoadMmx,
        (Map::Of, 0x7e | 0x7f, Plain) if !vex => Move::StoreMmx,
        (Map::Of, 0xe7, Plain) if memory && !vex => Move::StoreMmx,
        (Map::Of38, 0x18 | 0x58, P66) if memory && vex => Move::Broadcast(4),
        (Map::Of38, 0x19 | 0x59, P66) if memory && vex => Move::Broadcast(8),
        (Map::Of38, 0x1a | 0x5a, P66) if memory && vex => Move::Broadcast(16),
        (Map::Of38, 0x78, P66) if memory && vex => Move::Broadcast(1),
        (Map::Of38, 0x79, P66) if memory && vex => Move::Broadcast(2),
        _ => return None,
    })
}

/// Makes sure that a VEX encoding is one that exists.
///
/// # Errors
///
/// #UD.
fn check_encoding(insn: &Decoded, kind: Move) -> Result {
    let vector = &insn.vector;
    if insn.is_legacy() {
        return Ok(());
    }
    // Whether vvvv names a register, whether only 128 bits exist, whether only 256 do.
    let (merges, short, long) = match kind {
        Move::LoadHalf(_) => (true, true, false),
        Move::StoreHalf(_) => (false, true, false),
        Move::Load | Move::Store => {
            let number = matches!(insn.opcode, 0x6e | 0x7e | 0xd6);
            (false, number, false)
        }
        Move::Broadcast(_) => (false, false, matches!(insn.opcode, 0x19 | 0x1a | 0x5a)),
        Move::LoadMmx | Move::StoreMmx => return Err(Exception::UNDEFINED.into()),
    };
    let wide_broadcast = matches!(kind, Move::Broadcast(_)) && vector.wide;
    let exists = (merges || vector.no_register)
        && !(short && vector.length != 0)
        && !(long && vector.length == 0)
        && !wide_broadcast;
    match exists {
        true => Ok(()),
        false => Err(Exception::UNDEFINED.into()),
    }
}

/// Executes a move.
///
/// # Errors
///
/// [`Fault::Unhandleable`] if the guest's registers cannot be had.
pub(super) fn execute<O: Ops>(ops: &mut O, cx: &Context, kind: Move) -> Result {
    let shape = shape(&cx.insn).ok_or(Fault::Unhandleable)?;
    check_encoding(&cx.insn, kind)?;
    let len = shape.size.bytes(&cx.insn, cx.code == CodeWidth::Bits64);
    run(ops, cx, kind, &shape, len)
}

/// Executes a move whose memory operand has `len` bytes and whose encoding is known to exist.
///
/// # Errors
///
/// As for [`execute`].
pub(super) fn run<O: Ops>(
    ops: &mut O,
    cx: &Context,
    kind: Move,
    shape: &Shape,
    len: usize,
) -> Result {
    fpu_state::check(ops, shape.unit)?;
    match kind {
        Move::LoadMmx | Move::StoreMmx => mmx(ops, cx, shape, len),
        Move::Load => load(ops, cx, shape, len),
        Move::Store => store(ops, cx, shape, len),
        Move::LoadHalf(half) => load_half(ops, cx, shape, half),
        Move::StoreHalf(half) => store_half(ops, cx, shape, half),
        Move::Broadcast(element) => broadcast(ops, cx, shape, element.into()),
    }
}

/// Returns what becomes of the upper part of a vector that is written.
const fn rest(shape: &Shape) -> Rest {
    match shape.unit {
        Unit::Avx | Unit::Avx512 => Rest::Cleared,
        _ => Rest::Kept,
    }
}

/// Writes `bytes` to vector register `number`, and zeros above them.
fn set<O: Ops>(ops: &mut O, shape: &Shape, number: u8, bytes: &[u8]) -> Result {
    let mut whole = [0; WIDEST];
    let len = bytes.len().max(LEGACY);
    whole
        .get_mut(..bytes.len())
        .ok_or(Fault::Unhandleable)?
        .copy_from_slice(bytes);
    let whole = whole.get(..len).ok_or(Fault::Unhandleable)?;
    ops.set_vector(number, whole, rest(shape))
}

/// Returns the width of a general register of `len` bytes.
const fn general_width(len: usize) -> Width {
    match len {
        8 => Width::Qword,
        _ => Width::Dword,
    }
}

/// The first `len` bytes of `buffer`, which has them.
fn part(buffer: &mut [u8; WIDEST], len: usize) -> Result<&mut [u8]> {
    buffer.get_mut(..len).ok_or(Fault::Unhandleable)
}

/// Returns the number of the vector register in ModRM.reg.
pub(super) fn reg(insn: &Decoded) -> u8 {
    let high = if insn.vector.reg_high { 16 } else { 0 };
    insn.reg().number() | high
}

/// Returns the number of the vector register in ModRM.rm, given its lower four bits. EVEX has the
/// fifth in X.
pub(super) fn rm(insn: &Decoded, number: Gpr) -> u8 {
    let evex = insn.vector.encoding == Encoding::Evex;
    let high = evex && insn.prefixes.rex & REX_X != 0;
    number.number() | if high { 16 } else { 0 }
}

fn load<O: Ops>(ops: &mut O, cx: &Context, shape: &Shape, len: usize) -> Result {
    let number = reg(&cx.insn);
    let mut buffer = [0; WIDEST];
    let bytes = part(&mut buffer, len)?;
    // If registers cannot be had, no device is to be read in vain.
    ops.vector(number, bytes)?;
    match (cx.insn.rm, shape.general) {
        (Rm::Memory(_), _) => {
            let place = replay::translate(ops, cx, shape, len)?;
            ops.read(&place, bytes)?;
        }
        (Rm::Register(from), General::No) => ops.vector(rm(&cx.insn, from), bytes)?,
        (Rm::Register(from), _) => {
            let value = cx.register(from, general_width(len)).get(ops);
            copy(bytes, &value.to_le_bytes());
        }
        (Rm::None, _) => return Err(Fault::Unhandleable),
    }
    set(ops, shape, number, bytes)
}

fn store<O: Ops>(ops: &mut O, cx: &Context, shape: &Shape, len: usize) -> Result {
    let mut buffer = [0; WIDEST];
    let bytes = part(&mut buffer, len)?;
    ops.vector(reg(&cx.insn), bytes)?;
    match (cx.insn.rm, shape.general) {
        (Rm::Memory(_), _) => {
            let place = replay::translate(ops, cx, shape, len)?;
            ops.write(&place, bytes)
        }
        (Rm::Register(to), General::No) => set(ops, shape, rm(&cx.insn, to), bytes),
        (Rm::Register(to), _) => {
            let mut value = [0; 8];
            copy(&mut value, bytes);
            let value = u64::from_le_bytes(value);
            cx.register(to, general_width(len)).set(ops, value);
            Ok(())
        }
        (Rm::None, _) => Err(Fault::Unhandleable),
    }
}

/// Copies as many bytes as both have.
fn copy(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

fn load_half<O: Ops>(ops: &mut O, cx: &Context, shape: &Shape, half: Half) -> Result {
    let number = reg(&cx.insn);
    let other = match cx.insn.is_legacy() {
        true => number,
        false => cx.insn.vector.register,
    };
    let mut whole = [0; LEGACY];
    ops.vector(other, &mut whole)?;
    let place = replay::translate(ops, cx, shape, 8)?;
    let (low, high) = whole.split_at_mut(8);
    match half {
        Half::Low => ops.read(&place, low)?,
        Half::High => ops.read(&place, high)?,
    }
    ops.set_vector(number, &whole, rest(shape))
}

fn store_half<O: Ops>(ops: &mut O, cx: &Context, shape: &Shape, half: Half) -> Result {
    let mut whole = [0; LEGACY];
    ops.vector(reg(&cx.insn), &mut whole)?;
    let place = replay::translate(ops, cx, shape, 8)?;
    let (low, high) = whole.split_at(8);
    match half {
        Half::Low => ops.write(&place, low),
        Half::High => ops.write(&place, high),
    }
}

fn broadcast<O: Ops>(ops: &mut O, cx: &Context, shape: &Shape, element: usize) -> Result {
    let number = reg(&cx.insn);
    let mut one = [0; LEGACY];
    let one = one.get_mut(..element).ok_or(Fault::Unhandleable)?;
    ops.vector(number, one)?;
    let place = replay::translate(ops, cx, shape, element)?;
    ops.read(&place, one)?;
    let mut whole = [0; WIDEST];
    let len = match cx.insn.vector.length {
        0 => 16,
        _ => 32,
    };
    let whole = part(&mut whole, len)?;
    for part in whole.chunks_mut(element) {
        copy(part, one);
    }
    ops.set_vector(number, whole, Rest::Cleared)
}

fn mmx<O: Ops>(ops: &mut O, cx: &Context, shape: &Shape, len: usize) -> Result {
    let number = cx.insn.digit();
    let old = ops.mmx(number)?;
    // 4 bytes or 8.
    let width = general_width(len);
    let is_load = shape.access == Access::Read;
    let is_general = shape.general != General::No;
    match cx.insn.rm {
        Rm::Memory(_) => {
            let operand = cx.memory(ops, width, shape.access)?;
            match is_load {
                true => {
                    let value = operand.get(ops)?;
                    ops.set_mmx(number, value)
                }
                false => {
                    operand.set(ops, old)?;
                    ops.enter_mmx()
                }
            }
        }
        Rm::Register(other) if is_general => match is_load {
            true => {
                let value = cx.register(other, width).get(ops);
                ops.set_mmx(number, value)
            }
            false => {
                ops.enter_mmx()?;
                cx.register(other, width).set(ops, old);
                Ok(())
            }
        },
        // There are 8 of them, whatever REX says.
        Rm::Register(other) if is_load => {
            let value = ops.mmx(other.number() & 7)?;
            ops.set_mmx(number, value)
        }
        Rm::Register(other) => ops.set_mmx(other.number() & 7, old),
        Rm::None => Err(Fault::Unhandleable),
    }
}
