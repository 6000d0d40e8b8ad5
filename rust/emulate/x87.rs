// SPDX-License-Identifier: GPL-2.0-only

//! x87 instructions: all of them are replayed.

use super::{
    decode::Rm,
    fpu_state::{
        self,
        Unit, //
    },
    operand::Context,
    ops::{
        Access,
        Exception,
        Fault,
        Mode,
        Ops,
        Result, //
    },
    simd::{
        replay::{
            self,
            Used, //
        },
        rewrite, //
    },
    width::Width, //
};

/// Executes 9B: FWAIT.
pub(crate) fn wait<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    fpu_state::check(ops, Unit::Wait)?;
    replay::run(ops, cx, &rewrite::wait(), None, 0, Access::Read, Used::NONE)
}

/// What an instruction does with memory.
enum Memory {
    /// Reads so many bytes.
    Read(usize),
    /// Writes so many bytes.
    Write(usize),
    /// Reads an environment, and after it so many bytes.
    ReadEnvironment(usize),
    /// Writes an environment, and after it so many bytes.
    WriteEnvironment(usize),
    /// There is no such instruction.
    Undefined,
}

/// Returns what the instruction does whose last three opcode bits and ModRM.reg these are.
const fn memory(opcode: u8, digit: u8) -> Memory {
    use Memory::{Read, ReadEnvironment, Undefined, Write, WriteEnvironment};
    match (opcode & 7, digit) {
        (0 | 2, _) => Read(4),
        (4, _) => Read(8),
        (6, _) => Read(2),
        (1, 0) => Read(4),
        (1, 2 | 3) => Write(4),
        (1, 4) => ReadEnvironment(0),
        (1, 5) => Read(2),
        (1, 6) => WriteEnvironment(0),
        (1, 7) => Write(2),
        (3, 0) => Read(4),
        (3, 1..=3) => Write(4),
        (3, 5) => Read(10),
        (3, 7) => Write(10),
        (5, 0) => Read(8),
        (5, 1..=3) => Write(8),
        (5, 4) => ReadEnvironment(80),
        (5, 6) => WriteEnvironment(80),
        (5, 7) => Write(2),
        (7, 0) => Read(2),
        (7, 1..=3) => Write(2),
        (7, 4) => Read(10),
        (7, 5) => Read(8),
        (7, 6) => Write(10),
        (7, 7) => Write(8),
        _ => Undefined,
    }
}

/// Executes D8 to DF.
///
/// # Errors
///
/// [`Fault::Unhandleable`] for FLDENV, FNSTENV, FRSTOR and FNSAVE outside protected mode, where
/// memory holds linear addresses.
pub(crate) fn escape<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    fpu_state::check(ops, Unit::X87)?;
    // Of 64 bits it is as of 32.
    let wide = cx.insn.operand_size != Width::Word;
    let environment = if wide { 28 } else { 14 };
    let Rm::Memory(_) = cx.insn.rm else {
        let code = rewrite::rewrite_x87(&cx.insn, true);
        return replay::run(ops, cx, &code, None, 0, Access::Read, Used::NONE);
    };
    let (len, access, wide) = match memory(cx.insn.opcode, cx.insn.digit()) {
        Memory::Read(len) => (len, Access::Read, true),
        Memory::Write(len) => (len, Access::Write, true),
        Memory::ReadEnvironment(rest) => (environment + rest, Access::Read, wide),
        Memory::WriteEnvironment(rest) => (environment + rest, Access::Write, wide),
        Memory::Undefined => return Err(Exception::UNDEFINED.into()),
    };
    if len > 10 && ops.mode() != Mode::Protected {
        return Err(Fault::Unhandleable);
    }
    // What is checked is the alignment of the number, or of the fields.
    let align = match len {
        2 | 4 | 8 => len,
        10 => 8,
        _ if wide => 4,
        _ => 2,
    };
    let code = rewrite::rewrite_x87(&cx.insn, wide);
    let place = cx.memory_bytes(ops, len, align, access);
    let place = place.map_err(|fault| replay::earlier(ops, &code, fault))?;
    replay::run(ops, cx, &code, Some(place), len, access, Used::NONE)
}
