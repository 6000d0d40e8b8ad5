// SPDX-License-Identifier: GPL-2.0-only

//! Executes one instruction.
//!
//! Known: every integer and system instruction, far transfers, strings, and what is in [`simd`] and
//! [`x87`]. Anything else is [`Fault::Unhandleable`].
//!
//! Not modelled: data breakpoints. A caller that has some set in the guest lets the guest execute.

use super::{
    alu,
    back,
    bcd,
    bits,
    bmi,
    branch,
    conditional,
    control,
    convert,
    count,
    decode::{
        decode,
        Decoded,
        Map,
        Refusal, //
    },
    exchange,
    far,
    flag_ops,
    fpu_state,
    groups::{
        self,
        next, //
    },
    lock,
    machine,
    mov,
    multiply,
    operand::Context,
    ops::{
        Done,
        Exception,
        Fault,
        Ops,
        Result, //
    },
    port,
    prefix::Repeat,
    selector,
    shift,
    simd,
    stack,
    string,
    syscall,
    vex::Encoding,
    x87,
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
        vector(ops, cx)?;
        return Ok(next(cx));
    }
    lock::check(&cx.insn)?;
    match cx.insn.map {
        Map::One => one_byte(ops, cx),
        Map::Of => two_byte(ops, cx),
        Map::Of38 => {
            of_38(ops, cx)?;
            Ok(next(cx))
        }
        _ => {
            simd::execute(ops, cx)?;
            Ok(next(cx))
        }
    }
}

/// Executes an instruction of the one-byte map: here those that end in more than one way.
fn one_byte<O: Ops>(ops: &mut O, cx: &Context) -> Result<Done> {
    match cx.insn.opcode {
        0x07 | 0x17 | 0x1f => selector::pop(ops, cx),
        0x6c..=0x6f | 0xa4..=0xa7 | 0xaa..=0xaf => string::string(ops, cx),
        0x70..=0x7f => branch::jump_if(ops, cx),
        0x8e => selector::load(ops, cx),
        0x9a | 0xea => far::transfer(ops, cx),
        0xc2 | 0xc3 => branch::ret(ops, cx),
        0xc4 | 0xc5 => selector::load_far(ops, cx),
        0xca | 0xcb => back::ret(ops, cx),
        0xcc..=0xce | 0xf1 => syscall::interrupt(ops, cx),
        0xcf => back::interrupt(ops, cx),
        0xe0..=0xe3 => branch::count(ops, cx),
        0xe8 => branch::call(ops, cx),
        0xe9 | 0xeb => branch::jump(ops, cx),
        0xf4 => machine::halt(ops, cx),
        0xfb => flag_ops::set_interrupt(ops, cx),
        0xff if matches!(cx.insn.digit(), 2..=5) => match cx.insn.digit() {
            2 => branch::call_rm(ops, cx),
            4 => branch::jump_rm(ops, cx),
            _ => far::transfer(ops, cx),
        },
        _ => {
            one_byte_straight(ops, cx)?;
            Ok(next(cx))
        }
    }
}

/// Executes an instruction of the one-byte map after which always the next one comes.
fn one_byte_straight<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    match cx.insn.opcode {
        0x06 | 0x0e | 0x16 | 0x1e => selector::push(ops, cx),
        0x27 | 0x2f => bcd::packed(ops, cx),
        0x37 | 0x3f => bcd::unpacked(ops, cx),
        0x00..=0x3f => alu::binary(ops, cx),
        0x40..=0x4f => alu::step_register(ops, cx),
        0x50..=0x57 => stack::push_register(ops, cx),
        0x58..=0x5f => stack::pop_register(ops, cx),
        0x60 => stack::push_all(ops, cx),
        0x61 => stack::pop_all(ops, cx),
        0x62 => convert::bound(ops, cx),
        0x63 => mov::extend_dword(ops, cx),
        0x68 | 0x6a => stack::push_immediate(ops, cx),
        0x69 | 0x6b => multiply::into_register(ops, cx),
        0x80..=0x83 => alu::binary_immediate(ops, cx),
        0x84 | 0x85 => alu::test(ops, cx),
        0x86 | 0x87 => exchange::exchange(ops, cx),
        0x88 | 0x89 => mov::store(ops, cx),
        0x8a | 0x8b => mov::load(ops, cx),
        0x8c => selector::store(ops, cx),
        0x8d => mov::effective_address(ops, cx),
        0x8f => stack::pop_rm(ops, cx),
        // With F3 it is PAUSE, which has the same effect here.
        0x90..=0x97 => exchange::exchange_accumulator(ops, cx),
        0x98 => convert::accumulator(ops, cx),
        0x99 => convert::sign(ops, cx),
        0x9b => x87::wait(ops, cx),
        0x9c => flag_ops::push(ops, cx),
        0x9d => flag_ops::pop(ops, cx),
        0x9e | 0x9f => flag_ops::with_ah(ops, cx),
        0xa0..=0xa3 => mov::accumulator(ops, cx),
        0xa8 | 0xa9 => alu::test_accumulator(ops, cx),
        0xb0..=0xbf => mov::immediate_to_register(ops, cx),
        0xc0 | 0xc1 | 0xd0..=0xd3 => shift::shift(ops, cx),
        0xc6 | 0xc7 => mov::immediate(ops, cx),
        0xc8 => stack::enter(ops, cx),
        0xc9 => stack::leave(ops, cx),
        0xd4 => bcd::after_multiply(ops, cx),
        0xd5 => bcd::before_divide(ops, cx),
        0xd6 => bcd::from_carry(ops, cx),
        0xd7 => convert::translate(ops, cx),
        0xd8..=0xdf => x87::escape(ops, cx),
        0xe4..=0xe7 | 0xec..=0xef => port::port(ops, cx),
        0xf5 | 0xf8 | 0xf9 | 0xfc | 0xfd => flag_ops::simple(ops, cx),
        0xf6 | 0xf7 => alu::group3(ops, cx),
        0xfa => flag_ops::clear_interrupt(ops, cx),
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

/// Executes an instruction of the 0F map: here those that end in more than one way.
fn two_byte<O: Ops>(ops: &mut O, cx: &Context) -> Result<Done> {
    match cx.insn.opcode {
        0x05 => syscall::call(ops, cx),
        0x07 => syscall::ret(ops, cx),
        0x34 => syscall::enter(ops, cx),
        0x35 => syscall::exit(ops, cx),
        0x80..=0x8f => branch::jump_if(ops, cx),
        0xa1 | 0xa9 => selector::pop(ops, cx),
        0xb2 | 0xb4 | 0xb5 => selector::load_far(ops, cx),
        _ => {
            two_byte_straight(ops, cx)?;
            Ok(next(cx))
        }
    }
}

/// Executes an instruction of the 0F map after which always the next one comes.
fn two_byte_straight<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    match cx.insn.opcode {
        0x00 => groups::group6(ops, cx),
        0x01 => groups::group7(ops, cx),
        0x02 | 0x03 => selector::look(ops, cx),
        0x06 => control::clear_task_switched(ops, cx),
        0x08 | 0x09 => machine::caches(ops, cx),
        // UD2, UD1 and UD0, the instructions that are undefined for ever.
        0x0b | 0xb9 | 0xff => Err(Exception::UNDEFINED.into()),
        0x0d | 0x18..=0x1f => groups::hint(ops, cx),
        0x20 | 0x22 => control::move_control(ops, cx),
        0x21 | 0x23 => control::move_debug(ops, cx),
        0x30 => machine::write_msr(ops, cx),
        0x31 => machine::read_time(ops, cx),
        0x32 => machine::read_msr(ops, cx),
        0x33 => machine::read_counter(ops, cx),
        0x40..=0x4f => conditional::move_if(ops, cx),
        0x90..=0x9f => conditional::set(ops, cx),
        0xa0 | 0xa8 => selector::push(ops, cx),
        0xa2 => machine::identify(ops, cx),
        0xa3 | 0xab | 0xb3 | 0xbb => bits::by_register(ops, cx),
        0xa4 | 0xa5 | 0xac | 0xad => shift::double(ops, cx),
        0xae => groups::group15(ops, cx),
        0xaf => multiply::into_register(ops, cx),
        0xb0 | 0xb1 => exchange::compare_exchange(ops, cx),
        0xb6 | 0xb7 | 0xbe | 0xbf => mov::extend(ops, cx),
        0xb8 => count::population(ops, cx),
        0xba => bits::by_immediate(ops, cx),
        0xbc | 0xbd => count::scan(ops, cx),
        0xc0 | 0xc1 => exchange::exchange_add(ops, cx),
        0xc3 if plain(&cx.insn) => mov::store_non_temporal(ops, cx),
        0xc7 => groups::group9(ops, cx),
        0xc8..=0xcf => count::swap(ops, cx),
        _ => simd::execute(ops, cx),
    }
}

/// Executes an instruction of the 0F 38 map.
fn of_38<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let sixty_six = cx.insn.prefixes.operand_size;
    match (cx.insn.opcode, cx.insn.prefixes.repeat) {
        (0x82, Repeat::None) if sixty_six => machine::invalidate_context(ops, cx),
        (0xf0 | 0xf1, _) => count::swap_move_or_check(ops, cx),
        (0xf6, _) => bmi::add_with(ops, cx),
        (0xf8, Repeat::None) if sixty_six => mov::direct_line(ops, cx),
        (0xf9, Repeat::None) if !sixty_six => mov::direct(ops, cx),
        _ => simd::execute(ops, cx),
    }
}

/// Executes an instruction in a VEX, EVEX or XOP encoding.
fn vector<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    match (cx.insn.vector.encoding, cx.insn.map, cx.insn.opcode) {
        (Encoding::Vex, Map::Of38, 0xf2..=0xf7) | (Encoding::Vex, Map::Of3a, 0xf0) => {
            bmi::vex(ops, cx)
        }
        (Encoding::Vex, Map::Of, 0xae) if matches!(cx.insn.digit(), 2 | 3) => {
            fpu_state::mxcsr(ops, cx)
        }
        (Encoding::Vex, ..) => simd::execute(ops, cx),
        (Encoding::Evex, ..) => simd::evex::execute(ops, cx),
        _ => Err(Fault::Unhandleable),
    }
}

/// Whether none of the prefixes is there that select another meaning of an opcode.
fn plain(insn: &Decoded) -> bool {
    insn.prefixes.repeat == Repeat::None && !insn.prefixes.operand_size
}

#[cfg(test)]
mod tests;
