// SPDX-License-Identifier: GPL-2.0-only

//! Decimal adjustment, which 64-bit mode does not have: AAA, AAS, AAM, AAD, DAA, DAS; and SALC.

use super::{
    flags::{
        self,
        AF,
        CF,
        STATUS, //
    },
    operand::{
        Context,
        Register, //
    },
    ops::{
        Exception,
        Gpr,
        Ops,
        Result, //
    },
    width::Width, //
};

/// AL.
const AL: Register = Register::low(Gpr::RAX, Width::Byte);
/// AH.
const AH: Register = Register::high(Gpr::RAX);
/// AX.
const AX: Register = Register::low(Gpr::RAX, Width::Word);

/// Executes 27, 2F: DAA and DAS.
pub(crate) fn packed<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let subtracts = cx.insn.opcode & 8 != 0;
    let rflags = ops.rflags();
    let old = AL.get(ops);
    let low = old & 15 > 9 || rflags & AF != 0;
    let high = old > 0x99 || rflags & CF != 0;
    let by = if low { 6 } else { 0 } | if high { 0x60 } else { 0 };
    let value = if subtracts {
        old.wrapping_sub(by)
    } else {
        old.wrapping_add(by)
    };
    let value = Width::Byte.truncate(value);
    AL.set(ops, value);
    let mut flags = flags::logic(value, Width::Byte).flags;
    if low {
        flags |= AF;
    }
    // DAS also carries when the low digit borrows.
    if high || (subtracts && low && old < 6) {
        flags |= CF;
    }
    flags::set(ops, STATUS, flags);
    Ok(())
}

/// Executes 37, 3F: AAA and AAS.
pub(crate) fn unpacked<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let subtracts = cx.insn.opcode & 8 != 0;
    let old = AX.get(ops);
    let adjust = old & 15 > 9 || ops.rflags() & AF != 0;
    let value = match (adjust, subtracts) {
        (false, _) => old,
        (true, false) => old.wrapping_add(0x106),
        (true, true) => old.wrapping_sub(0x106),
    };
    AX.set(ops, value & 0xff0f);
    let flags = if adjust { AF | CF } else { 0 };
    flags::set(ops, AF | CF, flags);
    Ok(())
}

/// Executes D4: AAM.
///
/// # Errors
///
/// #DE if the base is 0.
pub(crate) fn after_multiply<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let base = cx.insn.immediate & 0xff;
    let old = AL.get(ops);
    let (Some(high), Some(low)) = (old.checked_div(base), old.checked_rem(base)) else {
        return Err(Exception::DIVIDE.into());
    };
    AH.set(ops, high);
    AL.set(ops, low);
    flags::set(ops, STATUS, flags::logic(low, Width::Byte).flags);
    Ok(())
}

/// Executes D5: AAD.
pub(crate) fn before_divide<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let base = cx.insn.immediate & 0xff;
    let value = AH.get(ops).wrapping_mul(base).wrapping_add(AL.get(ops));
    let value = Width::Byte.truncate(value);
    AX.set(ops, value);
    flags::set(ops, STATUS, flags::logic(value, Width::Byte).flags);
    Ok(())
}

/// Executes D6: SALC, which no manual names and every processor has.
pub(crate) fn from_carry<O: Ops>(ops: &mut O, _: &Context) -> Result {
    let value = if ops.rflags() & CF != 0 { 0xff } else { 0 };
    AL.set(ops, value);
    Ok(())
}
