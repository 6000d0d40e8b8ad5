// SPDX-License-Identifier: GPL-2.0-only

//! PUSH and POP of general registers, memory and constants, PUSHA, POPA, ENTER and LEAVE.

use super::{
    decode::Rm,
    frame::{
        self,
        Items,
        Stack, //
    },
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
        Fault,
        Gpr,
        Ops,
        Result, //
    },
    width::Width, //
};

/// Pushes what `source` returns once the stack has been translated.
pub(super) fn push<O: Ops>(
    ops: &mut O,
    cx: &Context,
    source: impl FnOnce(&mut O) -> Result<u64>,
) -> Result {
    push_part(ops, cx, cx.insn.stack_operand_size(cx.code), source)
}

/// As [`push`], but only the item's lowest `part` is written.
pub(super) fn push_part<O: Ops>(
    ops: &mut O,
    cx: &Context,
    part: Width,
    source: impl FnOnce(&mut O) -> Result<u64>,
) -> Result {
    let width = cx.insn.stack_operand_size(cx.code);
    let stack = Stack::current(ops, cx);
    let pointer = stack.pointer();
    let top = stack.moved(pointer.get(ops), (width.bytes() as i64).wrapping_neg());
    let place = stack.item(ops, top, part, Access::Write)?;
    let value = source(ops)?;
    write_integer(ops, &place, part, value)?;
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
    let stack = Stack::current(ops, cx);
    let pointer = stack.pointer();
    let top = pointer.get(ops);
    let above = stack.moved(top, width.bytes() as i64);
    let place = stack.item(ops, top, width, Access::Read)?;
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

/// The registers of PUSHA and POPA, from the lowest address on.
const ALL: [Gpr; 8] = [
    Gpr::RDI,
    Gpr::RSI,
    Gpr::RBP,
    Gpr::RSP,
    Gpr::RBX,
    Gpr::RDX,
    Gpr::RCX,
    Gpr::RAX,
];

/// Executes 60: PUSHA.
pub(crate) fn push_all<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.operand_size;
    let mut items = Items::<32>::new(width);
    for number in ALL {
        items.put(ops.gpr(number))?;
    }
    let stack = Stack::current(ops, cx);
    let pointer = stack.pointer();
    let (frame, top) = items.prepare(ops, &stack, pointer.get(ops))?;
    frame.write(ops, items.bytes())?;
    pointer.set(ops, top);
    Ok(())
}

/// Executes 61: POPA, which skips the stack pointer.
pub(crate) fn pop_all<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.operand_size;
    let stack = Stack::current(ops, cx);
    let pointer = stack.pointer();
    let top = pointer.get(ops);
    let items = Items::<32>::pop(ops, &stack, top, ALL.len(), width)?;
    for (n, number) in ALL.into_iter().enumerate() {
        if number != Gpr::RSP {
            Register::low(number, width).set(ops, items.get(n)?);
        }
    }
    pointer.set(ops, stack.moved(top, items.bytes().len() as i64));
    Ok(())
}

/// Executes C8: ENTER.
#[inline(never)]
pub(crate) fn enter<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.stack_operand_size(cx.code);
    let level = usize::from(cx.insn.immediate2 & 31);
    let item = width.bytes() as i64;
    let stack = Stack::current(ops, cx);
    let (pointer, base) = (stack.pointer(), Register::low(Gpr::RBP, stack.size()));
    let (top, old) = (pointer.get(ops), base.get(ops));
    let frame_pointer = stack.moved(top, item.wrapping_neg());

    let mut items = Items::<{ frame::MOST }>::new(width);
    if level != 0 {
        items.put(frame_pointer)?;
    }
    let copies = level.saturating_sub(1);
    if copies != 0 {
        let below = item.wrapping_mul(copies as i64);
        let from = stack.moved(old, below.wrapping_neg());
        // A processor that pushes what it has just pushed is not imitated.
        let reach = below.wrapping_add(item.wrapping_mul(3)) as u64;
        let distance = stack.size().truncate(old.wrapping_sub(top));
        let overlap = distance < reach || distance > stack.size().truncate(reach.wrapping_neg());
        if overlap {
            return Err(Fault::Unhandleable);
        }
        // The base pointer is pushed before.
        stack.item(ops, frame_pointer, width, Access::Write)?;
        items.read(ops, &stack, from, copies, true)?;
    }
    items.put(ops.gpr(Gpr::RBP))?;
    let (frame, bottom) = items.prepare(ops, &stack, top)?;
    let new = stack.moved(bottom, (cx.insn.immediate as i64).wrapping_neg());
    // The new top of the stack must be writable as well.
    stack.item(ops, new, width, Access::Write)?;
    frame.write(ops, items.bytes())?;
    Register::low(Gpr::RBP, width.min(stack.size())).set(ops, frame_pointer);
    pointer.set(ops, new);
    Ok(())
}

/// Executes C9: LEAVE.
pub(crate) fn leave<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.stack_operand_size(cx.code);
    let stack = Stack::current(ops, cx);
    let top = Register::low(Gpr::RBP, stack.size()).get(ops);
    let place = stack.item(ops, top, width, Access::Read)?;
    let value = read_integer(ops, &place, width)?;
    stack
        .pointer()
        .set(ops, stack.moved(top, width.bytes() as i64));
    Register::low(Gpr::RBP, width).set(ops, value);
    Ok(())
}
