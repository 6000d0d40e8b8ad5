// SPDX-License-Identifier: GPL-2.0-only

//! Instructions on flags: CLC to STD, CLI, STI, LAHF, SAHF, PUSHF, POPF, CLAC and STAC.

use super::{
    flags::{
        self,
        iopl,
        AC,
        AF,
        CF,
        DF,
        ID,
        IF,
        IOPL,
        NT,
        OF,
        ONE,
        PF,
        RF,
        SF,
        STATUS,
        TF,
        VIF,
        VIP,
        VM,
        ZF, //
    },
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
        Feature,
        Gpr,
        Mode,
        Ops,
        Result, //
    },
    width::Width, //
};

/// CR4.VME.
const CR4_VME: u64 = 1 << 0;
/// CR4.PVI.
const CR4_PVI: u64 = 1 << 1;

/// What SAHF and LAHF move: all status flags but OF.
const LOW: u64 = STATUS & !OF;

/// Executes F5, F8, F9, FC, FD: CMC, CLC, STC, CLD and STD.
pub(crate) fn simple<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let (flag, value) = match cx.insn.opcode {
        0xf5 => (CF, !ops.rflags()),
        0xf8 => (CF, 0),
        0xf9 => (CF, CF),
        0xfc => (DF, 0),
        _ => (DF, DF),
    };
    flags::set(ops, flag, value);
    Ok(())
}

/// Executes 9E, 9F: SAHF and LAHF.
pub(crate) fn with_ah<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let ah = Register::high(Gpr::RAX);
    if cx.insn.opcode & 1 == 0 {
        let value = ah.get(ops);
        flags::set(ops, LOW, value);
    } else {
        let value = ops.rflags() & LOW | ONE;
        ah.set(ops, value);
    }
    Ok(())
}

/// The flag that CLI and STI change at the current privilege, IF or the virtual one.
///
/// # Errors
///
/// #GP if there is neither.
fn interrupt_flag<O: Ops>(ops: &O) -> Result<u64> {
    if ops.cpl() <= iopl(ops.rflags()) {
        return Ok(IF);
    }
    let wanted = match ops.mode() {
        Mode::Virtual8086 => CR4_VME,
        _ if ops.cpl() == 3 => CR4_PVI,
        _ => 0,
    };
    if ops.control(Control::Cr4)? & wanted == 0 {
        return Err(Exception::protection(ops.mode()).into());
    }
    Ok(VIF)
}

/// Executes FA: CLI.
pub(crate) fn clear_interrupt<O: Ops>(ops: &mut O, _: &Context) -> Result {
    let flag = interrupt_flag(ops)?;
    flags::set(ops, flag, 0);
    Ok(())
}

/// Executes FB: STI. Interrupts come one instruction later, if they were not enabled before.
pub(crate) fn set_interrupt<O: Ops>(ops: &mut O, cx: &Context) -> Result<Done> {
    let flag = interrupt_flag(ops)?;
    if flag == VIF && ops.rflags() & VIP != 0 {
        return Err(Exception::protection(ops.mode()).into());
    }
    let had = ops.rflags() & IF != 0;
    flags::set(ops, flag, flag);
    let len = cx.insn.len;
    Ok(if had || flag == VIF {
        Done::Next { len }
    } else {
        Done::Shadow { len, stack: false }
    })
}

/// Whether PUSHF, POPF and IRET are to use VIF, in virtual 8086 mode with an IOPL below 3.
///
/// # Errors
///
/// #GP if they may not be executed at all.
pub(crate) fn virtual_flags<O: Ops>(ops: &O, width: Width) -> Result<bool> {
    if ops.mode() != Mode::Virtual8086 || iopl(ops.rflags()) == 3 {
        return Ok(false);
    }
    if width != Width::Word || ops.control(Control::Cr4)? & CR4_VME == 0 {
        return Err(Exception::protection(ops.mode()).into());
    }
    Ok(true)
}

/// Executes 9C: PUSHF.
pub(crate) fn push<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.stack_operand_size(cx.code);
    let mut value = ops.rflags() & !(RF | VM);
    if virtual_flags(ops, width)? {
        value = value & !IF | IOPL;
        if value & VIF != 0 {
            value |= IF;
        }
    }
    let stack = Stack::current(ops, cx);
    let pointer = stack.pointer();
    let top = stack.moved(pointer.get(ops), (width.bytes() as i64).wrapping_neg());
    let place = stack.item(ops, top, width, Access::Write)?;
    write_integer(ops, &place, width, width.truncate(value))?;
    pointer.set(ops, top);
    Ok(())
}

/// Returns the flags that POPF and IRET replace at the current privilege by an image of `width`.
pub(crate) fn replaced<O: Ops>(ops: &O, width: Width) -> u64 {
    let mut mask = STATUS | TF | DF | NT;
    if ops.cpl() == 0 {
        mask |= IOPL;
    }
    if ops.cpl() <= iopl(ops.rflags()) {
        mask |= IF;
    }
    if width != Width::Word {
        mask |= AC | ID;
    }
    mask
}

/// Executes 9D: POPF.
pub(crate) fn pop<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.stack_operand_size(cx.code);
    let is_virtual = virtual_flags(ops, width)?;
    let stack = Stack::current(ops, cx);
    let pointer = stack.pointer();
    let top = pointer.get(ops);
    let place = stack.item(ops, top, width, Access::Read)?;
    let image = read_integer(ops, &place, width)?;
    if is_virtual {
        set_virtual(ops, image)?;
    } else {
        // RF is cleared, whatever the image has.
        flags::set(ops, replaced(ops, width) | RF, image & !RF);
    }
    pointer.set(ops, stack.moved(top, width.bytes() as i64));
    Ok(())
}

/// Replaces flags by a 16-bit image in virtual 8086 mode, where IF goes to VIF.
///
/// # Errors
///
/// #GP if that would enable an interrupt that is pending, or single-step.
pub(crate) fn set_virtual<O: Ops>(ops: &mut O, image: u64) -> Result {
    let pending = ops.rflags() & VIP != 0 && image & IF != 0;
    if pending || image & TF != 0 {
        return Err(Exception::protection(ops.mode()).into());
    }
    let vif = if image & IF != 0 { VIF } else { 0 };
    flags::set(ops, STATUS | TF | DF | NT | VIF, image & !VIF | vif);
    Ok(())
}

/// Executes 0F 01 CA, 0F 01 CB: CLAC and STAC.
pub(crate) fn user_access<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    if ops.cpl() != 0 || !ops.has(Feature::Smap) {
        return Err(Exception::UNDEFINED.into());
    }
    let value = if cx.insn.modrm.0 & 1 != 0 { AC } else { 0 };
    flags::set(ops, AC, value);
    Ok(())
}

const _: () = assert!(LOW == SF | ZF | AF | PF | CF);
