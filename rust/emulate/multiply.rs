// SPDX-License-Identifier: GPL-2.0-only

//! Multiplication and division.
//!
//! Flags that are undefined stay as they are.

use super::{
    flags::{
        self,
        CF,
        OF, //
    },
    operand::{
        Context,
        Register, //
    },
    ops::{
        Access,
        Exception,
        Gpr,
        Ops,
        Result, //
    },
    width::Width, //
};

/// The two halves of a number of twice an operand's width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Double {
    high: u64,
    low: u64,
}

/// Multiplies two numbers without sign.
const fn multiply(a: u64, b: u64, width: Width) -> Double {
    // CAST: Widening.
    let product = (a as u128).wrapping_mul(b as u128);
    halves(product, width)
}

/// Multiplies two numbers with sign.
const fn multiply_signed(a: u64, b: u64, width: Width) -> Double {
    // CAST: Widening with sign.
    let (a, b) = (width.sign_extend(a) as i64, width.sign_extend(b) as i64);
    halves((a as i128).wrapping_mul(b as i128) as u128, width)
}

/// Splits a product.
const fn halves(product: u128, width: Width) -> Double {
    // CAST: The halves.
    Double {
        high: width.truncate(product.wrapping_shr(width.bits()) as u64),
        low: width.truncate(product as u64),
    }
}

/// Divides `dividend`, whose high half is less than `divisor`, bit by bit: the kernel has no
/// division of 128 bits. Returns quotient and remainder.
const fn divide_long(dividend: Double, divisor: u64, width: Width) -> (u64, u64) {
    let mut quotient = 0u64;
    let mut rest = dividend.high;
    let mut bit = width.bits();
    while bit > 0 {
        bit = bit.wrapping_sub(1);
        let next = dividend.low.wrapping_shr(bit) & 1;
        let carry = rest & (1 << 63) != 0;
        rest = rest.wrapping_shl(1) | next;
        quotient = quotient.wrapping_shl(1);
        if carry || rest >= divisor {
            rest = rest.wrapping_sub(divisor);
            quotient |= 1;
        }
    }
    (quotient, rest)
}

/// Divides without sign; `None` if the quotient has no room.
const fn divide(dividend: Double, divisor: u64, width: Width) -> Option<(u64, u64)> {
    if dividend.high >= divisor {
        return None;
    }
    if dividend.high == 0 {
        if let (Some(quotient), Some(rest)) = (
            dividend.low.checked_div(divisor),
            dividend.low.checked_rem(divisor),
        ) {
            return Some((quotient, rest));
        }
    }
    Some(divide_long(dividend, divisor, width))
}

/// Returns `-value`.
const fn negated(value: Double, width: Width) -> Double {
    let low = width.truncate(value.low.wrapping_neg());
    let borrow = (low != 0) as u64;
    Double {
        high: width.truncate(value.high.wrapping_neg().wrapping_sub(borrow)),
        low,
    }
}

/// Divides with sign; `None` if the quotient has no room. The remainder has the dividend's sign.
const fn divide_signed(dividend: Double, divisor: u64, width: Width) -> Option<(u64, u64)> {
    let sign = width.sign();
    let negative = dividend.high & sign != 0;
    let size = if negative {
        negated(dividend, width)
    } else {
        dividend
    };
    let by = if divisor & sign != 0 {
        width.truncate(divisor.wrapping_neg())
    } else {
        divisor
    };
    let Some((quotient, rest)) = divide(size, by, width) else {
        return None;
    };
    let opposite = negative != (divisor & sign != 0);
    // The largest size is one more for a negative quotient.
    if quotient > sign || (quotient == sign && !opposite) {
        return None;
    }
    let quotient = if opposite {
        quotient.wrapping_neg()
    } else {
        quotient
    };
    let rest = if negative { rest.wrapping_neg() } else { rest };
    Some((width.truncate(quotient), width.truncate(rest)))
}

/// Returns the registers that a double-width number is in: AX as AH and AL, or xDX and xAX.
fn pair(width: Width) -> (Register, Register) {
    let high = match width {
        Width::Byte => Register::high(Gpr::RAX),
        _ => Register::low(Gpr::RDX, width),
    };
    (high, Register::low(Gpr::RAX, width))
}

/// Sets CF and OF if `overflow`, else clears them.
fn set_overflow<O: Ops>(ops: &mut O, overflow: bool) {
    flags::set(ops, CF | OF, if overflow { CF | OF } else { 0 });
}

/// Executes F6 /4 to /7 and F7 /4 to /7: MUL, IMUL, DIV and IDIV.
pub(crate) fn group3<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.byte_or_operand_size();
    let b = cx.rm(ops, width, Access::Read)?.get(ops)?;
    let (high, low) = pair(width);
    let dividend = Double {
        high: high.get(ops),
        low: low.get(ops),
    };
    let signed = cx.insn.digit() & 1 != 0;
    if cx.insn.digit() < 6 {
        let product = if signed {
            multiply_signed(dividend.low, b, width)
        } else {
            multiply(dividend.low, b, width)
        };
        low.set(ops, product.low);
        high.set(ops, product.high);
        let fill = match signed && product.low & width.sign() != 0 {
            true => width.mask(),
            false => 0,
        };
        set_overflow(ops, product.high != fill);
        return Ok(());
    }
    let result = if signed {
        divide_signed(dividend, b, width)
    } else {
        divide(dividend, b, width)
    };
    let (quotient, rest) = result.ok_or(Exception::DIVIDE)?;
    low.set(ops, quotient);
    high.set(ops, rest);
    Ok(())
}

/// Executes 0F AF, 69 and 6B: IMUL of a register, or of a constant, into a register.
pub(crate) fn into_register<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.operand_size;
    let a = cx.rm(ops, width, Access::Read)?.get(ops)?;
    let target = cx.reg(width);
    let b = match cx.insn.opcode {
        0xaf => target.get(ops),
        _ => width.truncate(cx.insn.immediate),
    };
    let product = multiply_signed(a, b, width);
    target.set(ops, product.low);
    let fill = if product.low & width.sign() != 0 {
        width.mask()
    } else {
        0
    };
    set_overflow(ops, product.high != fill);
    Ok(())
}

/// Executes VEX F2 0F 38 F6: MULX, which leaves flags alone.
pub(crate) fn without_flags<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.operand_size;
    let a = cx.rm(ops, width, Access::Read)?.get(ops)?;
    let product = multiply(a, Register::low(Gpr::RDX, width).get(ops), width);
    Register::low(Gpr::new(cx.insn.vector.register), width).set(ops, product.low);
    // The high half stays if both are the same register.
    cx.reg(width).set(ops, product.high);
    Ok(())
}
