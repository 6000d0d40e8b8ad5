// SPDX-License-Identifier: GPL-2.0-only

//! Conditions of flags, and the instructions that only use them: SETcc and CMOVcc.

use super::{
    flags::{
        CF,
        OF,
        PF,
        SF,
        ZF, //
    },
    operand::Context,
    ops::{
        Access,
        Ops,
        Result, //
    },
    width::Width, //
};

/// Whether the condition in the low four bits of `opcode` holds.
pub(crate) const fn holds(opcode: u8, rflags: u64) -> bool {
    let less = (rflags & SF != 0) != (rflags & OF != 0);
    let yes = match opcode >> 1 & 7 {
        0 => rflags & OF != 0,
        1 => rflags & CF != 0,
        2 => rflags & ZF != 0,
        3 => rflags & (CF | ZF) != 0,
        4 => rflags & SF != 0,
        5 => rflags & PF != 0,
        6 => less,
        _ => less || rflags & ZF != 0,
    };
    yes != (opcode & 1 != 0)
}

/// Executes 0F 90 to 0F 9F: SETcc.
pub(crate) fn set<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let target = cx.rm(ops, Width::Byte, Access::Write)?;
    let value = holds(cx.insn.opcode, ops.rflags());
    target.set(ops, value.into())
}

/// Executes 0F 40 to 0F 4F: CMOVcc. Memory is read in any case, and the upper half of a 64-bit
/// register cleared by a 32-bit move that does not take place.
pub(crate) fn move_if<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.operand_size;
    let value = cx.rm(ops, width, Access::Read)?.get(ops)?;
    let target = cx.reg(width);
    let value = if holds(cx.insn.opcode, ops.rflags()) {
        value
    } else {
        target.get(ops)
    };
    target.set(ops, value);
    Ok(())
}
