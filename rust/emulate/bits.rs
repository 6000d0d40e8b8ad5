// SPDX-License-Identifier: GPL-2.0-only

//! Single bits: BT, BTS, BTR and BTC.

use super::{
    decode::Rm,
    flags::{
        self,
        CF, //
    },
    operand::Context,
    ops::{
        Access,
        Exception,
        Ops,
        Result, //
    }, //
};

/// What happens to the bit after it was copied to CF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Nothing,
    Set,
    Reset,
    Complement,
}

impl Then {
    /// Returns the operation that the low two bits of `number` stand for.
    const fn new(number: u8) -> Self {
        match number & 3 {
            0 => Then::Nothing,
            1 => Then::Set,
            2 => Then::Reset,
            _ => Then::Complement,
        }
    }
}

/// Executes 0F A3, 0F AB, 0F B3, 0F BB: the bit's number is in a register. In memory that number is
/// signed and counts from the operand's address on, as far as it goes.
pub(crate) fn by_register<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.operand_size;
    let number = cx.reg(width).get(ops);
    let extra = match cx.insn.rm {
        // The operand that holds the bit, in bytes from the one that is named.
        Rm::Memory(_) => {
            let whole = (width.sign_extend(number) as i64) >> (width.shift() + 3);
            (whole as u64).wrapping_shl(width.shift())
        }
        _ => 0,
    };
    bit(ops, cx, Then::new(cx.insn.opcode >> 3), number, extra)
}

/// Executes 0F BA: the bit's number is a constant, of which only as many bits count as the operand
/// needs.
pub(crate) fn by_immediate<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let digit = cx.insn.digit();
    if digit < 4 {
        return Err(Exception::UNDEFINED.into());
    }
    bit(ops, cx, Then::new(digit), cx.insn.immediate, 0)
}

/// Copies a bit to CF and then changes it. The other status flags are undefined or unchanged; here
/// they are unchanged.
fn bit<O: Ops>(ops: &mut O, cx: &Context, then: Then, number: u64, extra: u64) -> Result {
    let width = cx.insn.operand_size;
    let access = match then {
        Then::Nothing => Access::Read,
        _ => Access::ReadWrite,
    };
    let target = cx.rm_displaced(ops, width, access, extra)?;
    let old = target.get(ops)?;
    // Below 64: the mask is the number of bits in the operand less one.
    let position = number & u64::from(width.bits() - 1);
    let mask = 1u64.wrapping_shl(position as u32);
    let new = match then {
        Then::Nothing => old,
        Then::Set => old | mask,
        Then::Reset => old & !mask,
        Then::Complement => old ^ mask,
    };
    if then != Then::Nothing {
        target.replace(ops, old, new, cx.insn.prefixes.lock)?;
    }
    let carry = if old & mask != 0 { CF } else { 0 };
    flags::set(ops, CF, carry);
    Ok(())
}
