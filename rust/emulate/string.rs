// SPDX-License-Identifier: GPL-2.0-only

//! String instructions: MOVS, CMPS, STOS, LODS and SCAS on memory, INS and OUTS between memory and a
//! port, with and without repetition.
//!
//! One call executes a bounded number of iterations. After each of them the counter and index
//! registers are what the architecture says, so that a fault in the middle, an interrupt between
//! two calls or a change of mind by anybody finds a restartable instruction.

use super::{
    decode::{
        Decoded,
        Map, //
    },
    flags::{
        self,
        DF,
        STATUS,
        TF,
        ZF, //
    },
    operand::{
        Context,
        Register, //
    },
    ops::{
        read_integer,
        write_integer,
        Access,
        Done,
        Fault,
        Gpr,
        Ops,
        Result, //
    },
    port,
    prefix::{
        Repeat,
        Segment, //
    },
    segment::{
        self,
        Range, //
    },
    width::Width,
    Vendor, //
};

/// Iterations in one call, if nobody wants fewer.
pub(crate) const BATCH: u32 = 64;

/// Executes 6C to 6F, A4 to A7 and AA to AF.
///
/// # Errors
///
/// Those of the first iteration that fails; the ones before it have taken place.
pub(crate) fn string<O: Ops>(ops: &mut O, cx: &Context) -> Result<Done> {
    let finished = Done::Next { len: cx.insn.len };
    let repeat = cx.insn.prefixes.repeat;
    if matches!(cx.insn.opcode, 0x6c..=0x6f) {
        // Also if there is nothing to be done. CAST: DX.
        port::check(ops, ops.gpr(Gpr::RDX) as u16, width(&cx.insn))?;
    }
    if repeat == Repeat::None {
        iteration(ops, cx)?;
        return Ok(finished);
    }
    // CMPS and SCAS.
    let compares = matches!(cx.insn.opcode, 0xa6 | 0xa7 | 0xae | 0xaf);
    let counter = Register::low(Gpr::RCX, cx.insn.address_size.into());
    // A single-stepping guest gets its trap after each iteration.
    let batch = if ops.rflags() & TF != 0 {
        1
    } else {
        ops.iterations()
    };
    for _ in 0..batch {
        let left = counter.get(ops);
        if left == 0 {
            return Ok(finished);
        }
        iteration(ops, cx)?;
        counter.set(ops, left.wrapping_sub(1));
        let equal = ops.rflags() & ZF != 0;
        if left == 1 || (compares && equal != (repeat == Repeat::F3)) {
            return Ok(finished);
        }
    }
    Ok(Done::Again)
}

/// Returns the operand size of a string instruction. No port has more than 4 bytes.
fn width(insn: &Decoded) -> Width {
    match (insn.opcode, insn.byte_or_operand_size()) {
        (0x6c..=0x6f, Width::Qword) => Width::Dword,
        (_, width) => width,
    }
}

/// Whether this is an INS (`input`) or OUTS of `bytes` bytes.
pub(crate) fn is_port_string(insn: &Decoded, input: bool, bytes: u8) -> bool {
    let opcodes = if input { 0x6c..=0x6d } else { 0x6e..=0x6f };
    insn.map == Map::One
        && opcodes.contains(&insn.opcode)
        && width(insn).bytes() == usize::from(bytes)
}

/// Executes one iteration without its part in the repetition.
fn iteration<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = width(&cx.insn);
    let size: Width = cx.insn.address_size.into();
    let source = Register::low(Gpr::RSI, size);
    let target = Register::low(Gpr::RDI, size);
    let accumulator = Register::low(Gpr::RAX, width);
    let from = cx.insn.prefixes.segment.unwrap_or(Segment::Ds);
    let down = ops.rflags() & DF != 0;
    let advance = |ops: &mut O, index: Register| {
        let bytes = width.bytes() as u64;
        let old = index.get(ops);
        let new = if down {
            old.wrapping_sub(bytes)
        } else {
            old.wrapping_add(bytes)
        };
        index.set(ops, new);
    };
    let at = |ops: &mut O, segment: Segment, index: Register, access: Access| {
        let offset = index.get(ops);
        let range = Range::number(segment, offset, width.bytes());
        segment::translate(ops, cx.code, &range, access)
    };

    // CAST: DX.
    let port = ops.gpr(Gpr::RDX) as u16;

    match cx.insn.opcode {
        0x6c | 0x6d => {
            let write = at(ops, Segment::Es, target, Access::Write)?;
            let value = ops.port_read(port, width)?;
            write_integer(ops, &write, width, value)?;
            advance(ops, target);
        }
        0x6e | 0x6f => {
            let read = at(ops, from, source, Access::Read)?;
            let value = read_integer(ops, &read, width)?;
            ops.port_write(port, width, value)?;
            advance(ops, source);
        }
        0xa4 | 0xa5 => {
            let read = at(ops, from, source, Access::Read)?;
            let write = at(ops, Segment::Es, target, Access::Write)?;
            let value = read_integer(ops, &read, width)?;
            write_integer(ops, &write, width, value)?;
            advance(ops, source);
            advance(ops, target);
        }
        0xa6 | 0xa7 => {
            let (first, second);
            if ops.vendor() == Vendor::Amd {
                second = at(ops, Segment::Es, target, Access::Read)?;
                first = at(ops, from, source, Access::Read)?;
            } else {
                first = at(ops, from, source, Access::Read)?;
                second = at(ops, Segment::Es, target, Access::Read)?;
            }
            let a = read_integer(ops, &first, width)?;
            let b = read_integer(ops, &second, width)?;
            flags::set(ops, STATUS, flags::sub(a, b, false, width).flags);
            advance(ops, source);
            advance(ops, target);
        }
        0xaa | 0xab => {
            let write = at(ops, Segment::Es, target, Access::Write)?;
            let value = accumulator.get(ops);
            write_integer(ops, &write, width, value)?;
            advance(ops, target);
        }
        0xac | 0xad => {
            let read = at(ops, from, source, Access::Read)?;
            let value = read_integer(ops, &read, width)?;
            accumulator.set(ops, value);
            advance(ops, source);
        }
        0xae | 0xaf => {
            let second = at(ops, Segment::Es, target, Access::Read)?;
            let b = read_integer(ops, &second, width)?;
            let a = accumulator.get(ops);
            flags::set(ops, STATUS, flags::sub(a, b, false, width).flags);
            advance(ops, target);
        }
        _ => return Err(Fault::Unhandleable),
    }
    Ok(())
}
