// SPDX-License-Identifier: GPL-2.0-only

//! IN and OUT, and the right to use ports.
//!
//! Source: AMD APM volume 2, section 12.2.4 "Legacy Task-State Segment", I/O-permission bitmap.

use super::{
    flags::iopl,
    operand::{
        Context,
        Register, //
    },
    ops::{
        read_integer,
        Access,
        Exception,
        Gpr,
        Mode,
        Ops,
        Result,
        SystemSegment, //
    },
    width::Width, //
};

/// Attribute: a task state segment of 32 or 64 bits, available or busy.
const TASK_TYPES: [u16; 2] = [9, 11];
/// Offset of the bitmap's offset in a task state segment.
const BITMAP_OFFSET: u64 = 0x66;

/// Makes sure that the guest may use the port, if nobody else has.
///
/// # Errors
///
/// #GP if it may not.
pub(crate) fn check<O: Ops>(ops: &mut O, port: u16, width: Width) -> Result {
    if ops.ports_are_checked() {
        return Ok(());
    }
    let mode = ops.mode();
    let free = match mode {
        Mode::Real => true,
        Mode::Virtual8086 => false,
        Mode::Protected => ops.cpl() <= iopl(ops.rflags()),
    };
    if free {
        return Ok(());
    }
    let refused = Exception::protection(mode);
    let (_, task) = ops.system_segment(SystemSegment::Task)?;
    if !TASK_TYPES.contains(&(task.attributes & 0x1f)) {
        return Err(refused.into());
    }
    let limit = u64::from(task.limit);
    if BITMAP_OFFSET.wrapping_add(1) > limit {
        return Err(refused.into());
    }
    let at = task.base.wrapping_add(BITMAP_OFFSET);
    let place = ops.translate_system(at, 2, Access::Read)?;
    let bitmap = read_integer(ops, &place, Width::Word)?;
    // Two bytes are read always, as an access may go on into the next one.
    let offset = bitmap.wrapping_add(u64::from(port >> 3));
    if offset.wrapping_add(1) > limit {
        return Err(refused.into());
    }
    let place = ops.translate_system(task.base.wrapping_add(offset), 2, Access::Read)?;
    let bits = read_integer(ops, &place, Width::Word)?;
    let wanted = 1u64
        .wrapping_shl(width.bytes() as u32)
        .wrapping_sub(1)
        .wrapping_shl(u32::from(port & 7));
    if bits & wanted != 0 {
        return Err(refused.into());
    }
    Ok(())
}

/// Executes E4 to E7 and EC to EF: IN and OUT.
pub(crate) fn port<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = match cx.insn.byte_or_operand_size() {
        Width::Qword => Width::Dword,
        width => width,
    };
    let port = if cx.insn.opcode & 8 == 0 {
        cx.insn.immediate & 0xff
    } else {
        ops.gpr(Gpr::RDX)
    };
    // CAST: DX.
    let port = port as u16;
    check(ops, port, width)?;
    let accumulator = Register::low(Gpr::RAX, width);
    if cx.insn.opcode & 2 == 0 {
        let value = ops.port_read(port, width)?;
        accumulator.set(ops, value);
        Ok(())
    } else {
        let value = accumulator.get(ops);
        ops.port_write(port, width, value)
    }
}
