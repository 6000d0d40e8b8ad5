// SPDX-License-Identifier: GPL-2.0-only

//! Near branches: Jcc, JMP, CALL, RET, LOOP and JCXZ.

use super::{
    conditional,
    flags::ZF,
    frame::Stack,
    operand::{
        Context,
        Register, //
    },
    ops::{
        read_integer,
        write_integer,
        Access,
        Control,
        Done,
        Exception,
        Fault,
        Gpr,
        Mode,
        Ops,
        Result, //
    },
    prefix::{
        Repeat,
        Segment, //
    },
    segment,
    width::Width,
    CodeWidth,
    Vendor, //
};

/// CR4.CET.
const CR4_CET: u64 = 1 << 23;

/// Returns the operand size of a near branch.
fn width<O: Ops>(ops: &O, cx: &Context) -> Width {
    cx.insn.branch_operand_size(cx.code, ops.vendor())
}

/// Makes an offset in the current code segment of `target`.
///
/// # Errors
///
/// #GP if there is no such offset.
pub(crate) fn checked<O: Ops>(ops: &O, cx: &Context, target: u64, width: Width) -> Result<u64> {
    let target = width.truncate(target);
    let good = match cx.code {
        CodeWidth::Bits64 => segment::is_canonical(target, ops.linear_bits()),
        _ => target <= u64::from(ops.segment(Segment::Cs).limit),
    };
    if good {
        Ok(target)
    } else {
        Err(Exception::protection(ops.mode()).into())
    }
}

/// Refuses branches that shadow stacks or branch tracking would have to know of.
///
/// # Errors
///
/// [`Fault::Unhandleable`] if the guest has turned either on.
pub(crate) fn check_untracked<O: Ops>(ops: &O) -> Result {
    if ops.mode() != Mode::Protected {
        return Ok(());
    }
    match ops.control(Control::Cr4)? & CR4_CET {
        0 => Ok(()),
        _ => Err(Fault::Unhandleable),
    }
}

/// Goes where the constant in the instruction says.
fn relative<O: Ops>(ops: &O, cx: &Context) -> Result<Done> {
    let target = cx.next_rip(ops).wrapping_add(cx.insn.immediate);
    let rip = checked(ops, cx, target, width(ops, cx))?;
    Ok(Done::Jump { rip })
}

/// Executes 70 to 7F and 0F 80 to 0F 8F: Jcc.
pub(crate) fn jump_if<O: Ops>(ops: &mut O, cx: &Context) -> Result<Done> {
    if conditional::holds(cx.insn.opcode, ops.rflags()) {
        return relative(ops, cx);
    }
    Ok(Done::Next { len: cx.insn.len })
}

/// Executes E9, EB: JMP.
pub(crate) fn jump<O: Ops>(ops: &mut O, cx: &Context) -> Result<Done> {
    relative(ops, cx)
}

/// Executes FF /4: JMP to where a register or memory says.
pub(crate) fn jump_rm<O: Ops>(ops: &mut O, cx: &Context) -> Result<Done> {
    check_untracked(ops)?;
    let width = width(ops, cx);
    let target = cx.rm(ops, width, Access::Read)?.get(ops)?;
    let rip = checked(ops, cx, target, width)?;
    Ok(Done::Jump { rip })
}

/// Executes E8: CALL.
pub(crate) fn call<O: Ops>(ops: &mut O, cx: &Context) -> Result<Done> {
    check_untracked(ops)?;
    let target = cx.next_rip(ops).wrapping_add(cx.insn.immediate);
    call_to(ops, cx, |_| Ok(target))
}

/// Executes FF /2: CALL of what a register or memory says.
pub(crate) fn call_rm<O: Ops>(ops: &mut O, cx: &Context) -> Result<Done> {
    check_untracked(ops)?;
    let target = cx.rm(ops, width(ops, cx), Access::Read)?;
    call_to(ops, cx, |ops| target.get(ops))
}

/// Pushes the address of the next instruction and goes to the `target` that is read once the stack
/// has been translated.
fn call_to<O: Ops>(
    ops: &mut O,
    cx: &Context,
    target: impl FnOnce(&mut O) -> Result<u64>,
) -> Result<Done> {
    let width = width(ops, cx);
    let stack = Stack::current(ops, cx);
    let pointer = stack.pointer();
    let top = stack.moved(pointer.get(ops), (width.bytes() as i64).wrapping_neg());
    let place = stack.item(ops, top, width, Access::Write)?;
    let target = target(ops)?;
    let rip = checked(ops, cx, target, width)?;
    let back = width.truncate(cx.next_rip(ops));
    write_integer(ops, &place, width, back)?;
    pointer.set(ops, top);
    Ok(Done::Jump { rip })
}

/// Executes C2, C3: RET.
pub(crate) fn ret<O: Ops>(ops: &mut O, cx: &Context) -> Result<Done> {
    check_untracked(ops)?;
    let width = width(ops, cx);
    let stack = Stack::current(ops, cx);
    let pointer = stack.pointer();
    let top = pointer.get(ops);
    let place = stack.item(ops, top, width, Access::Read)?;
    let target = read_integer(ops, &place, width)?;
    let rip = checked(ops, cx, target, width)?;
    // C2 has a constant of two bytes, which C3 reads as 0.
    let rise = (width.bytes() as u64).wrapping_add(cx.insn.immediate);
    pointer.set(ops, stack.moved(top, rise as i64));
    Ok(Done::Jump { rip })
}

/// Executes E0 to E3: LOOPNE, LOOPE, LOOP and JCXZ.
pub(crate) fn count<O: Ops>(ops: &mut O, cx: &Context) -> Result<Done> {
    let counter = Register::low(Gpr::RCX, cx.insn.address_size.into());
    let old = counter.get(ops);
    let zero = ops.rflags() & ZF != 0;
    let left = Width::from(cx.insn.address_size).truncate(old.wrapping_sub(1));
    // On AMD's processors a repeat prefix says what the flag must be, as for CMPS.
    let wants_zero = match cx.insn.prefixes.repeat {
        Repeat::F3 if ops.vendor() == Vendor::Amd => true,
        Repeat::F2 if ops.vendor() == Vendor::Amd => false,
        _ => cx.insn.opcode & 1 != 0,
    };
    let jumps = match cx.insn.opcode {
        0xe0 | 0xe1 => left != 0 && zero == wants_zero,
        0xe2 => left != 0,
        _ => old == 0,
    };
    let done = if jumps {
        relative(ops, cx)?
    } else {
        Done::Next { len: cx.insn.len }
    };
    if cx.insn.opcode != 0xe3 {
        counter.set(ops, left);
    }
    Ok(done)
}
