// SPDX-License-Identifier: GPL-2.0-only

//! Shifts and rotations, of one operand and of two, with and without flags.
//!
//! Flags that are undefined are as AMD's processors leave them, where that is known.

use super::{
    flags::{
        self,
        Flagged,
        AF,
        CF,
        OF,
        STATUS, //
    },
    operand::Context,
    ops::{
        Access,
        Gpr,
        Ops,
        Result, //
    },
    width::Width, //
};

/// The operations of the group, in the order of their encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shift {
    RotateLeft,
    RotateRight,
    CarryLeft,
    CarryRight,
    Left,
    Right,
    Arithmetic,
}

impl Shift {
    /// Returns the operation that ModRM.reg stands for; two stand for the same.
    const fn new(digit: u8) -> Self {
        match digit {
            0 => Shift::RotateLeft,
            1 => Shift::RotateRight,
            2 => Shift::CarryLeft,
            3 => Shift::CarryRight,
            5 => Shift::Right,
            7 => Shift::Arithmetic,
            _ => Shift::Left,
        }
    }
}

/// Returns how many bits of a count matter for an operand of `width`.
const fn masked(count: u64, width: Width) -> u32 {
    let mask = match width {
        Width::Qword => 63,
        _ => 31,
    };
    (count & mask) as u32
}

/// Shifts `value` left; by its width or more it leaves nothing.
const fn left(value: u64, count: u32) -> u64 {
    if count < 64 {
        value.wrapping_shl(count)
    } else {
        0
    }
}

/// Shifts `value` right; by its width or more it leaves nothing.
const fn right(value: u64, count: u32) -> u64 {
    if count < 64 {
        value.wrapping_shr(count)
    } else {
        0
    }
}

/// Shifts `value` right and fills up with its sign.
const fn arithmetic(value: u64, count: u32, width: Width) -> u64 {
    let count = if count > 63 { 63 } else { count };
    width.truncate((width.sign_extend(value) as i64).wrapping_shr(count) as u64)
}

/// Rotates `value`, truncated to `width`, left by `count`.
const fn rotate(value: u64, count: u32, width: Width) -> u64 {
    let bits = width.bits();
    let count = count % bits;
    width.truncate(left(value, count) | right(value, bits.wrapping_sub(count)))
}

/// Rotates `value` and `carry` above it left by `count`, which is at most the width.
const fn rotate_carry(value: u64, carry: bool, count: u32, width: Width) -> (u64, bool) {
    if count == 0 {
        return (value, carry);
    }
    let bits = width.bits();
    let low = left(carry as u64, count.wrapping_sub(1))
        | right(value, bits.wrapping_add(1).wrapping_sub(count));
    let out = right(value, bits.wrapping_sub(count)) & 1 != 0;
    (width.truncate(left(value, count) | low), out)
}

/// Applies `shift`. The count has been masked and is not 0; the operand is truncated.
const fn apply(shift: Shift, a: u64, count: u32, rflags: u64, width: Width) -> Flagged {
    let bits = width.bits();
    let sign = width.sign();
    let previous = count.wrapping_sub(1);
    let carry_in = rflags & CF != 0;
    let (value, carry, overflow) = match shift {
        Shift::RotateLeft => {
            let value = rotate(a, count, width);
            let carry = value & 1 != 0;
            (value, carry, (value & sign != 0) != carry)
        }
        Shift::RotateRight => {
            let value = rotate(a, bits.wrapping_sub(count % bits), width);
            let carry = value & sign != 0;
            (value, carry, carry != (value & (sign >> 1) != 0))
        }
        Shift::CarryLeft => {
            let turns = count % bits.wrapping_add(1);
            let (value, carry) = rotate_carry(a, carry_in, turns, width);
            (value, carry, (value & sign != 0) != carry)
        }
        Shift::CarryRight => {
            let turns = count % bits.wrapping_add(1);
            let back = bits.wrapping_add(1).wrapping_sub(turns) % bits.wrapping_add(1);
            let (value, carry) = rotate_carry(a, carry_in, back, width);
            (
                value,
                carry,
                (value & sign != 0) != (value & (sign >> 1) != 0),
            )
        }
        Shift::Left => {
            let value = width.truncate(left(a, count));
            let carry = left(a, previous) & sign != 0;
            (value, carry, (value & sign != 0) != carry)
        }
        Shift::Right => {
            let value = right(a, count);
            let carry = right(a, previous) & 1 != 0;
            (value, carry, right(a, previous) & sign != 0)
        }
        Shift::Arithmetic => {
            let value = arithmetic(a, count, width);
            (value, arithmetic(a, previous, width) & 1 != 0, false)
        }
    };
    let mut flags = flags::logic(value, width).flags;
    if carry {
        flags |= CF;
    }
    if overflow {
        flags |= OF;
    }
    Flagged { value, flags }
}

/// Executes C0, C1, D0 to D3.
pub(crate) fn shift<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.byte_or_operand_size();
    let count = match cx.insn.opcode {
        0xc0 | 0xc1 => cx.insn.immediate,
        0xd0 | 0xd1 => 1,
        _ => ops.gpr(Gpr::RCX),
    };
    let count = masked(count, width);
    let target = cx.rm(ops, width, Access::ReadWrite)?;
    let old = target.get(ops)?;
    if count == 0 {
        // The operand is written with what it holds, flags are not.
        return target.set(ops, old);
    }
    let shift = Shift::new(cx.insn.digit());
    let result = apply(shift, old, count, ops.rflags(), width);
    target.set(ops, result.value)?;
    let changed = match shift {
        Shift::Left | Shift::Right | Shift::Arithmetic => STATUS,
        _ => CF | OF,
    };
    flags::set(ops, changed & !AF, result.flags);
    Ok(())
}

/// Executes 0F A4, 0F A5, 0F AC, 0F AD: SHLD and SHRD.
pub(crate) fn double<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.operand_size;
    let count = match cx.insn.opcode & 1 {
        0 => cx.insn.immediate,
        _ => ops.gpr(Gpr::RCX),
    };
    let count = masked(count, width);
    let fill = cx.reg(width).get(ops);
    let target = cx.rm(ops, width, Access::ReadWrite)?;
    let old = target.get(ops)?;
    if count == 0 {
        return target.set(ops, old);
    }
    let to_left = cx.insn.opcode & 8 == 0;
    let result = double_shift(old, fill, count, to_left, width);
    target.set(ops, result.value)?;
    flags::set(ops, STATUS & !AF, result.flags);
    Ok(())
}

/// Shifts `a` by `count`, which is not 0, and fills up from `fill`.
///
/// A word shifted by more than its width is undefined; it comes out as if the two operands were
/// followed by the first one again.
const fn double_shift(a: u64, fill: u64, count: u32, to_left: bool, width: Width) -> Flagged {
    let bits = width.bits();
    let sign = width.sign();
    let (value, carry) = if count > bits {
        // A word: 32 bits are enough for what is shifted out of 48.
        let beyond = count.wrapping_sub(bits);
        if to_left {
            let value = left(fill, beyond) | right(a, bits.wrapping_sub(beyond));
            (value, right(fill, bits.wrapping_sub(beyond)) & 1 != 0)
        } else {
            let value = right(fill, beyond) | left(a, bits.wrapping_sub(beyond));
            (value, right(fill, beyond.wrapping_sub(1)) & 1 != 0)
        }
    } else if to_left {
        let value = left(a, count) | right(fill, bits.wrapping_sub(count));
        (value, right(a, bits.wrapping_sub(count)) & 1 != 0)
    } else {
        let value = right(a, count) | left(fill, bits.wrapping_sub(count));
        (value, right(a, count.wrapping_sub(1)) & 1 != 0)
    };
    let value = width.truncate(value);
    let mut flags = flags::logic(value, width).flags;
    if carry {
        flags |= CF;
    }
    // The sign changed in the last step.
    let before = if to_left {
        (value & sign != 0) != carry
    } else {
        (value & sign != 0) != (value & (sign >> 1) != 0)
    };
    if before {
        flags |= OF;
    }
    Flagged { value, flags }
}

/// Executes VEX 0F 38 F7 with a prefix: SHLX, SARX and SHRX, which leave flags alone.
pub(crate) fn without_flags<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.operand_size;
    let value = cx.rm(ops, width, Access::Read)?.get(ops)?;
    let count = masked(ops.gpr(Gpr::new(cx.insn.vector.register)), width);
    let result = match (cx.insn.prefixes.operand_size, cx.insn.prefixes.repeat) {
        (true, _) => left(value, count),
        (_, super::prefix::Repeat::F3) => arithmetic(value, count, width),
        _ => right(value, count),
    };
    cx.reg(width).set(ops, result);
    Ok(())
}

/// Executes VEX F2 0F 3A F0: RORX.
pub(crate) fn rotate_without_flags<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.operand_size;
    let value = cx.rm(ops, width, Access::Read)?.get(ops)?;
    let count = masked(cx.insn.immediate, width);
    let result = rotate(value, width.bits().wrapping_sub(count), width);
    cx.reg(width).set(ops, result);
    Ok(())
}
