// SPDX-License-Identifier: GPL-2.0-only

//! Moves between general registers, memory and constants.

use super::{
    decode::Rm,
    machine::defined,
    operand::{
        Context,
        Register, //
    },
    ops::{
        Access,
        Exception,
        Fault,
        Feature,
        Gpr,
        Ops,
        Result, //
    },
    prefix::Segment,
    segment::{
        self,
        Range, //
    },
    selector,
    width::Width,
    CodeWidth,
    Vendor, //
};

/// Executes 88, 89: MOV from a register.
pub(crate) fn store<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.byte_or_operand_size();
    let target = cx.rm(ops, width, Access::Write)?;
    target.set(ops, cx.reg(width).get(ops))
}

/// Executes 8A, 8B: MOV to a register.
pub(crate) fn load<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.byte_or_operand_size();
    let value = cx.rm(ops, width, Access::Read)?.get(ops)?;
    cx.reg(width).set(ops, value);
    Ok(())
}

/// Executes A0 to A3: MOV between the accumulator and an address in the instruction.
pub(crate) fn accumulator<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.byte_or_operand_size();
    let accumulator = Register::low(Gpr::RAX, width);
    if cx.insn.opcode & 2 == 0 {
        let value = cx.rm(ops, width, Access::Read)?.get(ops)?;
        accumulator.set(ops, value);
        Ok(())
    } else {
        let target = cx.rm(ops, width, Access::Write)?;
        target.set(ops, accumulator.get(ops))
    }
}

/// Executes C6 /0, C7 /0: MOV of a constant.
pub(crate) fn immediate<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    match (cx.insn.digit(), cx.insn.rm) {
        (0, _) => {}
        // XABORT and XBEGIN, where they exist.
        (7, Rm::Register(_)) => return Err(Fault::Unhandleable),
        _ => return Err(Exception::UNDEFINED.into()),
    }
    let width = cx.insn.byte_or_operand_size();
    let target = cx.rm(ops, width, Access::Write)?;
    target.set(ops, cx.insn.immediate)
}

/// Executes B0 to BF: MOV of a constant to a register.
pub(crate) fn immediate_to_register<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = if cx.insn.opcode & 8 == 0 {
        Width::Byte
    } else {
        cx.insn.operand_size
    };
    let target = cx.register(cx.insn.opcode_reg(), width);
    target.set(ops, cx.insn.immediate);
    Ok(())
}

/// Executes 0F B6, 0F B7, 0F BE, 0F BF: MOVZX and MOVSX.
pub(crate) fn extend<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let from = if cx.insn.opcode & 1 == 0 {
        Width::Byte
    } else {
        Width::Word
    };
    let value = cx.rm(ops, from, Access::Read)?.get(ops)?;
    let value = if cx.insn.opcode & 8 == 0 {
        value
    } else {
        from.sign_extend(value)
    };
    cx.reg(cx.insn.operand_size).set(ops, value);
    Ok(())
}

/// Executes 63: MOVSXD in 64-bit mode, ARPL elsewhere.
pub(crate) fn extend_dword<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    if cx.code != CodeWidth::Bits64 {
        return selector::adjust(ops, cx);
    }
    let to = cx.insn.operand_size;
    // Without REX.W it is a plain move of the operand's size.
    let from = match to {
        Width::Word if ops.vendor() == Vendor::Intel => Width::Word,
        _ => Width::Dword,
    };
    let value = cx.rm(ops, from, Access::Read)?.get(ops)?;
    cx.reg(to).set(ops, from.sign_extend(value));
    Ok(())
}

/// Executes 0F C3 without F2, F3 or 66: MOVNTI, a store that bypasses the caches.
pub(crate) fn store_non_temporal<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.operand_size.max(Width::Dword);
    let target = cx.memory(ops, width, Access::Write)?;
    target.set(ops, cx.reg(width).get(ops))
}

/// Executes 8D: LEA, which computes an address and does not use it.
pub(crate) fn effective_address<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let Rm::Memory(address) = cx.insn.rm else {
        return Err(Exception::UNDEFINED.into());
    };
    let offset = address.offset(ops, cx.next_rip(ops), 0);
    cx.reg(cx.insn.operand_size).set(ops, offset);
    Ok(())
}

/// Executes 0F 38 F9: MOVDIRI.
pub(crate) fn direct<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    defined(ops.has(Feature::MovDirI))?;
    let width = cx.insn.operand_size.max(Width::Dword);
    let target = cx.memory(ops, width, Access::Write)?;
    target.set(ops, cx.reg(width).get(ops))
}

/// Executes 66 0F 38 F8: MOVDIR64B, a copy of 64 bytes to where a register points in ES.
pub(crate) fn direct_line<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    defined(ops.has(Feature::MovDir64b))?;
    let source = cx.memory_bytes(ops, 64, 1, Access::Read)?;
    let size = Width::from(cx.insn.address_size);
    let range = Range {
        segment: Segment::Es,
        offset: Register::low(cx.insn.reg(), size).get(ops),
        len: 64,
        align: 1,
    };
    let linear = segment::linear(ops, cx.code, &range, Access::Write)?;
    if linear & 63 != 0 {
        return Err(Exception::protection(ops.mode()).into());
    }
    let target = ops.translate(linear, 64, Access::Write)?;
    let mut bytes = [0; 64];
    ops.read(&source, &mut bytes)?;
    ops.write(&target, &bytes)
}
