// SPDX-License-Identifier: GPL-2.0-only

//! Status flags of integer instructions.
//!
//! Source: AMD APM volume 1, section 3.1.4 "Flags Register".

use super::{
    ops::Ops,
    width::Width, //
};

/// Carry.
pub(crate) const CF: u64 = 1 << 0;
/// Even parity of the lowest byte.
pub(crate) const PF: u64 = 1 << 2;
/// Carry out of bit 3.
pub(crate) const AF: u64 = 1 << 4;
/// Zero.
pub(crate) const ZF: u64 = 1 << 6;
/// Sign.
pub(crate) const SF: u64 = 1 << 7;
/// Trap after the instruction.
pub(crate) const TF: u64 = 1 << 8;
/// Interrupts are enabled.
pub(crate) const IF: u64 = 1 << 9;
/// String instructions go downwards.
pub(crate) const DF: u64 = 1 << 10;
/// Signed overflow.
pub(crate) const OF: u64 = 1 << 11;
/// The highest CPL that may use ports and change IF.
pub(crate) const IOPL: u64 = 3 << 12;
/// The task was called by another.
pub(crate) const NT: u64 = 1 << 14;
/// Breakpoints do not count for the next instruction.
pub(crate) const RF: u64 = 1 << 16;
/// Virtual 8086 mode.
pub(crate) const VM: u64 = 1 << 17;
/// Alignment is checked, or user pages may be accessed.
pub(crate) const AC: u64 = 1 << 18;
/// Virtual IF.
pub(crate) const VIF: u64 = 1 << 19;
/// A virtual interrupt is pending.
pub(crate) const VIP: u64 = 1 << 20;
/// CPUID exists.
pub(crate) const ID: u64 = 1 << 21;
/// The bit that is always one.
pub(crate) const ONE: u64 = 1 << 1;
/// All six status flags.
pub(crate) const STATUS: u64 = CF | PF | AF | ZF | SF | OF;

/// A result and the status flags it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flagged {
    /// The result, truncated to the operand's width.
    pub(crate) value: u64,
    /// The status flags, zero elsewhere.
    pub(crate) flags: u64,
}

/// PF, ZF and SF of a truncated result.
const fn of_result(value: u64, width: Width) -> u64 {
    let mut flags = 0;
    if (value as u8).count_ones() % 2 == 0 {
        flags |= PF;
    }
    if value == 0 {
        flags |= ZF;
    }
    if value & width.sign() != 0 {
        flags |= SF;
    }
    flags
}

/// CF, AF and OF, from words that hold them in the sign bit, bit 4 and the sign bit.
const fn of_carries(carry: u64, half: u64, overflow: u64, width: Width) -> u64 {
    let mut flags = half & AF;
    if carry & width.sign() != 0 {
        flags |= CF;
    }
    if overflow & width.sign() != 0 {
        flags |= OF;
    }
    flags
}

/// `a + b + carry`, for operands truncated to `width`.
pub(crate) const fn add(a: u64, b: u64, carry: bool, width: Width) -> Flagged {
    let value = width.truncate(a.wrapping_add(b).wrapping_add(carry as u64));
    let carries = (a & b) | ((a | b) & !value);
    let overflow = (a ^ value) & (b ^ value);
    Flagged {
        value,
        flags: of_result(value, width) | of_carries(carries, a ^ b ^ value, overflow, width),
    }
}

/// `a - b - borrow`, for operands truncated to `width`.
pub(crate) const fn sub(a: u64, b: u64, borrow: bool, width: Width) -> Flagged {
    let value = width.truncate(a.wrapping_sub(b).wrapping_sub(borrow as u64));
    let borrows = (!a & b) | (!(a ^ b) & value);
    let overflow = (a ^ b) & (a ^ value);
    Flagged {
        value,
        flags: of_result(value, width) | of_carries(borrows, a ^ b ^ value, overflow, width),
    }
}

/// The result of a bitwise operation: CF, OF and, where it is undefined, AF are clear.
pub(crate) const fn logic(value: u64, width: Width) -> Flagged {
    let value = width.truncate(value);
    Flagged {
        value,
        flags: of_result(value, width),
    }
}

/// Returns the privilege level in RFLAGS.IOPL.
pub(crate) const fn iopl(rflags: u64) -> u8 {
    ((rflags & IOPL) >> 12) as u8
}

/// Replaces the flags in `mask` by those in `flags`.
pub(crate) fn set<O: Ops>(ops: &mut O, mask: u64, flags: u64) {
    let rflags = (ops.rflags() & !mask) | (flags & mask);
    ops.set_rflags(rflags);
}
