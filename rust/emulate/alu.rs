// SPDX-License-Identifier: GPL-2.0-only

//! Integer arithmetic and logic: ADD to CMP, TEST, NOT, NEG, INC and DEC.

use super::{
    flags::{
        self,
        Flagged,
        CF,
        STATUS, //
    },
    multiply,
    operand::{
        Context,
        Register, //
    },
    ops::{
        Access,
        Fault,
        Gpr,
        Ops,
        Result, //
    },
    width::Width, //
};

/// The eight operations with two operands, in the order of their encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Binary {
    Add,
    Or,
    Adc,
    Sbb,
    And,
    Sub,
    Xor,
    Cmp,
}

impl Binary {
    /// Returns the operation that the low three bits of `number` stand for.
    const fn new(number: u8) -> Self {
        match number & 7 {
            0 => Binary::Add,
            1 => Binary::Or,
            2 => Binary::Adc,
            3 => Binary::Sbb,
            4 => Binary::And,
            5 => Binary::Sub,
            6 => Binary::Xor,
            _ => Binary::Cmp,
        }
    }

    /// Computes the result.
    const fn apply(self, a: u64, b: u64, carry: bool, width: Width) -> Flagged {
        match self {
            Binary::Add => flags::add(a, b, false, width),
            Binary::Or => flags::logic(a | b, width),
            Binary::Adc => flags::add(a, b, carry, width),
            Binary::Sbb => flags::sub(a, b, carry, width),
            Binary::And => flags::logic(a & b, width),
            Binary::Sub | Binary::Cmp => flags::sub(a, b, false, width),
            Binary::Xor => flags::logic(a ^ b, width),
        }
    }
}

/// Executes 00 to 3D: one of the eight operations, its form in the low three bits of the opcode.
pub(crate) fn binary<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.byte_or_operand_size();
    let operation = Binary::new(cx.insn.opcode >> 3);
    let reg = cx.reg(width);
    match cx.insn.opcode & 7 {
        0 | 1 => into_rm(ops, cx, operation, width, |ops| reg.get(ops)),
        2 | 3 => {
            let source = cx.rm(ops, width, Access::Read)?.get(ops)?;
            into_register(ops, operation, reg, width, source);
            Ok(())
        }
        4 | 5 => {
            let accumulator = Register::low(Gpr::RAX, width);
            let source = width.truncate(cx.insn.immediate);
            into_register(ops, operation, accumulator, width, source);
            Ok(())
        }
        _ => Err(Fault::Unhandleable),
    }
}

/// Executes 80 to 83: one of the eight operations with a constant.
pub(crate) fn binary_immediate<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.byte_or_operand_size();
    let source = width.truncate(cx.insn.immediate);
    into_rm(ops, cx, Binary::new(cx.insn.digit()), width, |_| source)
}

/// Applies `operation` to the operand in ModRM.rm.
fn into_rm<O: Ops>(
    ops: &mut O,
    cx: &Context,
    operation: Binary,
    width: Width,
    source: impl FnOnce(&O) -> u64,
) -> Result {
    let compares = operation == Binary::Cmp;
    let access = if compares {
        Access::Read
    } else {
        Access::ReadWrite
    };
    let target = cx.rm(ops, width, access)?;
    let old = target.get(ops)?;
    let carry = ops.rflags() & CF != 0;
    let result = operation.apply(old, source(ops), carry, width);
    if !compares {
        target.replace(ops, old, result.value, cx.insn.prefixes.lock)?;
    }
    flags::set(ops, STATUS, result.flags);
    Ok(())
}

/// Applies `operation` to a register.
fn into_register<O: Ops>(
    ops: &mut O,
    operation: Binary,
    target: Register,
    width: Width,
    source: u64,
) {
    let carry = ops.rflags() & CF != 0;
    let result = operation.apply(target.get(ops), source, carry, width);
    if operation != Binary::Cmp {
        target.set(ops, result.value);
    }
    flags::set(ops, STATUS, result.flags);
}

/// Executes 84, 85: TEST with a register.
pub(crate) fn test<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.byte_or_operand_size();
    let a = cx.rm(ops, width, Access::Read)?.get(ops)?;
    let b = cx.reg(width).get(ops);
    flags::set(ops, STATUS, flags::logic(a & b, width).flags);
    Ok(())
}

/// Executes A8, A9: TEST of the accumulator with a constant.
pub(crate) fn test_accumulator<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.byte_or_operand_size();
    let a = Register::low(Gpr::RAX, width).get(ops);
    let result = flags::logic(a & cx.insn.immediate, width);
    flags::set(ops, STATUS, result.flags);
    Ok(())
}

/// Executes F6, F7: TEST with a constant, NOT, NEG, and what [`multiply`] does.
pub(crate) fn group3<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.byte_or_operand_size();
    let lock = cx.insn.prefixes.lock;
    match cx.insn.digit() {
        // /1 is the same instruction again.
        0 | 1 => {
            let a = cx.rm(ops, width, Access::Read)?.get(ops)?;
            let result = flags::logic(a & cx.insn.immediate, width);
            flags::set(ops, STATUS, result.flags);
        }
        2 => {
            let target = cx.rm(ops, width, Access::ReadWrite)?;
            let old = target.get(ops)?;
            target.replace(ops, old, width.truncate(!old), lock)?;
        }
        3 => {
            let target = cx.rm(ops, width, Access::ReadWrite)?;
            let old = target.get(ops)?;
            let result = flags::sub(0, old, false, width);
            target.replace(ops, old, result.value, lock)?;
            flags::set(ops, STATUS, result.flags);
        }
        _ => return multiply::group3(ops, cx),
    }
    Ok(())
}

/// Executes FE /0, FE /1, FF /0, FF /1: INC and DEC, which leave CF as it is.
pub(crate) fn step<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.byte_or_operand_size();
    let target = cx.rm(ops, width, Access::ReadWrite)?;
    let old = target.get(ops)?;
    let result = match cx.insn.digit() {
        0 => flags::add(old, 1, false, width),
        1 => flags::sub(old, 1, false, width),
        _ => return Err(Fault::Unhandleable),
    };
    target.replace(ops, old, result.value, cx.insn.prefixes.lock)?;
    flags::set(ops, STATUS & !CF, result.flags);
    Ok(())
}

/// Executes 40 to 4F outside 64-bit mode: INC and DEC of a register.
pub(crate) fn step_register<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.operand_size;
    let target = cx.register(cx.insn.opcode_reg(), width);
    let old = target.get(ops);
    let result = if cx.insn.opcode & 8 == 0 {
        flags::add(old, 1, false, width)
    } else {
        flags::sub(old, 1, false, width)
    };
    target.set(ops, result.value);
    flags::set(ops, STATUS & !CF, result.flags);
    Ok(())
}
