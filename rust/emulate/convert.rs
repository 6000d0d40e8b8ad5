// SPDX-License-Identifier: GPL-2.0-only

//! Conversions in the accumulator, XLAT and BOUND.

use super::{
    operand::{
        Context,
        Register, //
    },
    ops::{
        read_integer,
        Access,
        Exception,
        Gpr,
        Ops,
        Result, //
    },
    prefix::Segment,
    segment::{
        self,
        Range, //
    },
    width::Width, //
};

/// Executes 98: CBW, CWDE and CDQE, which double the accumulator.
pub(crate) fn accumulator<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let to = cx.insn.operand_size;
    let from = match to {
        Width::Qword => Width::Dword,
        Width::Dword => Width::Word,
        _ => Width::Byte,
    };
    let value = Register::low(Gpr::RAX, from).get(ops);
    Register::low(Gpr::RAX, to).set(ops, from.sign_extend(value));
    Ok(())
}

/// Executes 99: CWD, CDQ and CQO, which fill xDX with the accumulator's sign.
pub(crate) fn sign<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.operand_size;
    let value = Register::low(Gpr::RAX, width).get(ops);
    let fill = if value & width.sign() != 0 {
        width.mask()
    } else {
        0
    };
    Register::low(Gpr::RDX, width).set(ops, fill);
    Ok(())
}

/// Executes D7: XLAT.
pub(crate) fn translate<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let al = Register::low(Gpr::RAX, Width::Byte);
    let sum = ops.gpr(Gpr::RBX).wrapping_add(al.get(ops));
    let offset = Width::from(cx.insn.address_size).truncate(sum);
    let segment = cx.insn.prefixes.segment.unwrap_or(Segment::Ds);
    let range = Range::number(segment, offset, 1);
    let place = segment::translate(ops, cx.code, &range, Access::Read)?;
    let value = read_integer(ops, &place, Width::Byte)?;
    al.set(ops, value);
    Ok(())
}

/// Executes 62 outside 64-bit mode: BOUND.
///
/// # Errors
///
/// #BR if the register is outside the bounds in memory.
pub(crate) fn bound<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.operand_size;
    let index = width.sign_extend(cx.reg(width).get(ops)) as i64;
    let size = width.bytes() as u64;
    let below = cx.memory(ops, width, Access::Read)?;
    let above = cx.rm_displaced(ops, width, Access::Read, size)?;
    let low = width.sign_extend(below.get(ops)?) as i64;
    let high = width.sign_extend(above.get(ops)?) as i64;
    if index < low || index > high {
        return Err(Exception::BOUND.into());
    }
    Ok(())
}
