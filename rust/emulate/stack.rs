// SPDX-License-Identifier: GPL-2.0-only

//! PUSH and POP.

use super::{
    decode::Rm,
    operand::{
        Context,
        Operand,
        Register, //
    },
    ops::{
        read_integer,
        write_integer,
        Access,
        Exception,
        Gpr,
        Ops,
        Result, //
    },
    prefix::Segment,
    segment,
    width::Width,
    CodeWidth, //
};

/// Returns the stack pointer, as wide as the stack segment makes it.
fn pointer<O: Ops>(ops: &O, cx: &Context) -> (Register, Width) {
    let width = match cx.code {
        CodeWidth::Bits64 => Width::Qword,
        _ if ops.segment(Segment::Ss).is_big() => Width::Dword,
        _ => Width::Word,
    };
    (Register::low(Gpr::RSP, width), width)
}

/// Pushes what `source` returns once the stack has been translated.
fn push<O: Ops>(ops: &mut O, cx: &Context, source: impl FnOnce(&mut O) -> Result<u64>) -> Result {
    let width = cx.insn.stack_operand_size(cx.code);
    let (pointer, size) = pointer(ops, cx);
    let bytes = width.bytes();
    let top = size.truncate(pointer.get(ops).wrapping_sub(bytes as u64));
    let place = segment::translate(ops, cx.code, Segment::Ss, top, bytes, Access::Write)?;
    let value = source(ops)?;
    write_integer(ops, &place, width, value)?;
    pointer.set(ops, top);
    Ok(())
}

/// Executes FF /6: PUSH of a register or memory.
pub(crate) fn push_rm<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.stack_operand_size(cx.code);
    let source = cx.rm(ops, width, Access::Read)?;
    push(ops, cx, |ops| source.get(ops))
}

/// Executes 50 to 57: PUSH of a register.
pub(crate) fn push_register<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.stack_operand_size(cx.code);
    let source = Register::low(cx.insn.opcode_reg(), width);
    push(ops, cx, |ops| Ok(source.get(ops)))
}

/// Executes 68, 6A: PUSH of a constant.
pub(crate) fn push_immediate<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let value = cx.insn.immediate;
    push(ops, cx, |_| Ok(value))
}

/// Executes 8F /0: POP to a register or memory.
pub(crate) fn pop_rm<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    if cx.insn.digit() != 0 {
        return Err(Exception::UNDEFINED.into());
    }
    pop(ops, cx, |ops, width, rise| {
        // The address of the destination is computed with the stack pointer as it will be.
        let extra = match cx.insn.rm {
            Rm::Memory(address) if address.uses_stack_pointer() => rise,
            _ => 0,
        };
        cx.rm_displaced(ops, width, Access::Write, extra)
    })
}

/// Executes 58 to 5F: POP to a register.
pub(crate) fn pop_register<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let number = cx.insn.opcode_reg();
    pop(ops, cx, |_, width, _| {
        Ok(Operand::Register(Register::low(number, width)))
    })
}

/// Pops to the operand that `target` translates, given the operand's width and by how much the
/// stack pointer rises.
fn pop<O: Ops>(
    ops: &mut O,
    cx: &Context,
    target: impl FnOnce(&mut O, Width, u64) -> Result<Operand<O::Place>>,
) -> Result {
    let width = cx.insn.stack_operand_size(cx.code);
    let (pointer, size) = pointer(ops, cx);
    let bytes = width.bytes();
    let top = pointer.get(ops);
    let above = size.truncate(top.wrapping_add(bytes as u64));
    let place = segment::translate(ops, cx.code, Segment::Ss, top, bytes, Access::Read)?;
    let target = target(ops, width, above.wrapping_sub(top))?;
    let value = read_integer(ops, &place, width)?;
    if target.is_memory() {
        target.set(ops, value)?;
        pointer.set(ops, above);
    } else {
        // In this order, so that POP to the stack pointer leaves what was popped.
        pointer.set(ops, above);
        target.set(ops, value)?;
    }
    Ok(())
}
