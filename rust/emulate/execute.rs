// SPDX-License-Identifier: GPL-2.0-only

//! Executes one instruction.
//!
//! Known: integer moves and arithmetic, single bits, PUSH and POP, and strings, those between memory
//! and ports included; what compilers and hand-written code use on device registers. Anything else
//! is [`Fault::Unhandleable`].
//!
//! Not modelled: #AC for unaligned accesses (CR0.AM, RFLAGS.AC and CPL 3), and data breakpoints.

use super::{
    alu,
    bits,
    decode::{
        decode,
        Decoded,
        Map,
        Refusal, //
    },
    lock,
    mov,
    operand::Context,
    ops::{
        Done,
        Exception,
        Fault,
        Ops,
        Result, //
    },
    prefix::Repeat,
    stack,
    string,
    CodeWidth,
    MAX_INSN_LEN, //
};

/// Executes the instruction that `bytes` begin with, in code of width `code`.
///
/// `bytes` is what could be read at the instruction pointer. If the instruction goes on beyond
/// them, the rest is fetched through [`Ops::fetch`].
///
/// # Errors
///
/// See [`Fault`]. Nothing of the instruction has happened then, except iterations of a repeated
/// string instruction, whose registers say so.
pub(crate) fn emulate_one<O: Ops>(ops: &mut O, bytes: &[u8], code: CodeWidth) -> Result<Done> {
    let vendor = ops.vendor();
    let insn = match decode(bytes, code, vendor) {
        Err(Refusal::Truncated) => {
            let mut whole = [0; MAX_INSN_LEN];
            let len = fetch_rest(ops, bytes, &mut whole)?;
            decode(whole.get(..len).unwrap_or(&[]), code, vendor)
        }
        other => other,
    };
    match insn {
        Ok(insn) => execute(ops, &Context { insn, code }),
        Err(Refusal::TooLong) => Err(Exception::protection(ops.mode()).into()),
        Err(Refusal::Undefined) => Err(Exception::UNDEFINED.into()),
        // A second time truncated: the bytes came in too small pieces.
        Err(Refusal::Truncated) => Err(Fault::Unhandleable),
    }
}

/// Puts `bytes` and what follows them in guest memory into `whole`; returns how many there are.
fn fetch_rest<O: Ops>(ops: &mut O, bytes: &[u8], whole: &mut [u8; MAX_INSN_LEN]) -> Result<usize> {
    let Some((known, rest)) = whole.split_at_mut_checked(bytes.len()) else {
        return Err(Fault::Unhandleable);
    };
    known.copy_from_slice(bytes);
    let rip = ops.rip().wrapping_add(bytes.len() as u64);
    let more = ops.fetch(rip, rest)?.min(rest.len());
    Ok(bytes.len() + more)
}

/// Executes a decoded instruction.
///
/// # Errors
///
/// As for [`emulate_one`].
pub(crate) fn execute<O: Ops>(ops: &mut O, cx: &Context) -> Result<Done> {
    if !cx.insn.is_legacy() {
        return Err(Fault::Unhandleable);
    }
    lock::check(&cx.insn)?;
    match cx.insn.map {
        Map::One => match cx.insn.opcode {
            0x6c..=0x6f | 0xa4..=0xa7 | 0xaa..=0xaf => return string::string(ops, cx),
            _ => one_byte(ops, cx)?,
        },
        Map::Of => two_byte(ops, cx)?,
        _ => return Err(Fault::Unhandleable),
    }
    Ok(Done::Next { len: cx.insn.len })
}

/// Executes an instruction of the one-byte map, string instructions excepted.
fn one_byte<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    match cx.insn.opcode {
        0x00..=0x3f => alu::binary(ops, cx),
        0x40..=0x4f => alu::step_register(ops, cx),
        0x50..=0x57 => stack::push_register(ops, cx),
        0x58..=0x5f => stack::pop_register(ops, cx),
        0x63 => mov::extend_dword(ops, cx),
        0x68 | 0x6a => stack::push_immediate(ops, cx),
        0x80..=0x83 => alu::binary_immediate(ops, cx),
        0x84 | 0x85 => alu::test(ops, cx),
        0x86 | 0x87 => alu::exchange(ops, cx),
        0x88 | 0x89 => mov::store(ops, cx),
        0x8a | 0x8b => mov::load(ops, cx),
        0x8f => stack::pop_rm(ops, cx),
        // With F3 it is PAUSE, which has the same effect here.
        0x90..=0x97 => alu::exchange_accumulator(ops, cx),
        0xa0..=0xa3 => mov::accumulator(ops, cx),
        0xa8 | 0xa9 => alu::test_accumulator(ops, cx),
        0xb0..=0xbf => mov::immediate_to_register(ops, cx),
        0xc6 | 0xc7 => mov::immediate(ops, cx),
        0xf6 | 0xf7 => alu::group3(ops, cx),
        0xfe => match cx.insn.digit() {
            0 | 1 => alu::step(ops, cx),
            _ => Err(Exception::UNDEFINED.into()),
        },
        0xff => match cx.insn.digit() {
            0 | 1 => alu::step(ops, cx),
            6 => stack::push_rm(ops, cx),
            7 => Err(Exception::UNDEFINED.into()),
            _ => Err(Fault::Unhandleable),
        },
        _ => Err(Fault::Unhandleable),
    }
}

/// Executes an instruction of the 0F map.
fn two_byte<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    match cx.insn.opcode {
        // UD2 and UD1, the instructions that are undefined for ever.
        0x0b | 0xb9 => Err(Exception::UNDEFINED.into()),
        0xa3 | 0xab | 0xb3 | 0xbb => bits::by_register(ops, cx),
        0xb0 | 0xb1 => alu::compare_exchange(ops, cx),
        0xb6 | 0xb7 | 0xbe | 0xbf => mov::extend(ops, cx),
        0xba => bits::by_immediate(ops, cx),
        0xc0 | 0xc1 => alu::exchange_add(ops, cx),
        0xc3 if plain(&cx.insn) => mov::store_non_temporal(ops, cx),
        _ => Err(Fault::Unhandleable),
    }
}

/// Whether none of the prefixes is there that select another meaning of an opcode.
fn plain(insn: &Decoded) -> bool {
    insn.prefixes.repeat == Repeat::None && !insn.prefixes.operand_size
}

#[cfg(test)]
mod tests;
