// SPDX-License-Identifier: GPL-2.0-only

//! Opcodes whose ModRM byte tells unlike instructions apart: 0F 00, 0F 01, 0F AE and 0F C7.

use super::{
    branch::check_untracked,
    control,
    decode::Rm,
    exchange,
    flag_ops,
    fpu_state,
    machine::{
        self,
        defined, //
    },
    operand::Context,
    ops::{
        Done,
        Exception,
        Fault,
        Feature,
        Ops,
        Result, //
    },
    prefix::Repeat,
    selector,
    tables,
    xsave::{
        self,
        Saving, //
    },
    Vendor, //
};

/// Whether none of 66, F2 and F3 is there.
fn plain(cx: &Context) -> bool {
    cx.insn.prefixes.repeat == Repeat::None && !cx.insn.prefixes.operand_size
}

/// Executes 0F 00.
pub(crate) fn group6<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    match cx.insn.digit() {
        0 | 1 => tables::store_system(ops, cx),
        2 | 3 => tables::load_system(ops, cx),
        4 | 5 => selector::verify(ops, cx),
        _ => Err(Exception::UNDEFINED.into()),
    }
}

/// Executes 0F 01.
pub(crate) fn group7<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let in_memory = matches!(cx.insn.rm, Rm::Memory(_));
    match (cx.insn.digit(), in_memory) {
        (0 | 1, true) => tables::store_table(ops, cx),
        (2 | 3, true) => tables::load_table(ops, cx),
        (4, _) => control::store_status(ops, cx),
        // With F3 it is RSTORSSP, which exists only with shadow stacks.
        (5, true) => Err(Fault::Unhandleable),
        (6, _) => control::load_status(ops, cx),
        (7, true) => machine::invalidate_page(ops, cx),
        _ => group7_register(ops, cx),
    }
}

/// Executes 0F 01 with a ModRM byte that names no operand.
fn group7_register<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    match cx.insn.modrm.0 {
        0xf8 => machine::swap_gs(ops, cx),
        0xf9 => machine::read_time_and_id(ops, cx),
        // The others mean something else after a prefix.
        _ if !plain(cx) => Err(Fault::Unhandleable),
        0xca | 0xcb => flag_ops::user_access(ops, cx),
        0xd0 | 0xd1 => machine::extended_control(ops, cx),
        // It waits for what came before, and nothing here is late.
        0xe8 => defined(ops.has(Feature::Serialize)),
        0xee | 0xef => machine::protection_keys(ops, cx),
        0xfc => machine::clear_line(ops, cx),
        _ => Err(Fault::Unhandleable),
    }
}

/// Executes 0F AE.
pub(crate) fn group15<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let in_memory = matches!(cx.insn.rm, Rm::Memory(_));
    let sixty_six = cx.insn.prefixes.operand_size;
    match (cx.insn.digit(), in_memory, cx.insn.prefixes.repeat) {
        (0, true, Repeat::None) if !sixty_six => xsave::fxsave(ops, cx),
        (1, true, Repeat::None) if !sixty_six => xsave::fxrstor(ops, cx),
        (2 | 3, true, Repeat::None) if !sixty_six => fpu_state::mxcsr(ops, cx),
        (4, true, Repeat::None) if !sixty_six => xsave::save(ops, cx, Saving::All),
        (5, true, Repeat::None) if !sixty_six => xsave::xrstor(ops, cx),
        (6, true, Repeat::None) if !sixty_six => xsave::save(ops, cx, Saving::Changed),
        (7, true, Repeat::None) => {
            defined(!sixty_six || ops.has(Feature::ClFlushOpt))?;
            machine::flush_line(ops, cx)
        }
        (6, true, Repeat::None) if sixty_six => {
            defined(ops.has(Feature::Clwb))?;
            machine::flush_line(ops, cx)
        }
        (0..=3, false, Repeat::F3) if !sixty_six => machine::segment_base(ops, cx),
        // LFENCE, MFENCE and SFENCE: memory is accessed in order here.
        (5..=7, false, Repeat::None) if !sixty_six => Ok(()),
        _ => Err(Fault::Unhandleable),
    }
}

/// Executes 0F C7.
pub(crate) fn group9<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let in_memory = matches!(cx.insn.rm, Rm::Memory(_));
    match (cx.insn.digit(), in_memory, cx.insn.prefixes.repeat) {
        (1, true, _) => exchange::compare_exchange_pair(ops, cx),
        (4, true, Repeat::None) if plain(cx) => xsave::save(ops, cx, Saving::Compacted),
        (6 | 7, false, Repeat::None) => machine::random(ops, cx),
        (7, false, Repeat::F3) => machine::read_id(ops, cx),
        (0..=2, false, _) | (0, true, _) | (2, true, _) => Err(Exception::UNDEFINED.into()),
        _ => Err(Fault::Unhandleable),
    }
}

/// Executes what does nothing: 0F 0D and 0F 18 to 0F 1F, prefetches and hints.
///
/// With F3, 0F 1E /1 reads the shadow stack pointer of a guest that has one.
pub(crate) fn hint<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let registers = !matches!(cx.insn.rm, Rm::Memory(_));
    // AMD's PREFETCHW and its like.
    defined(cx.insn.opcode != 0x0d || !registers || ops.vendor() == Vendor::Intel)?;
    if cx.insn.opcode == 0x1e && registers && cx.insn.prefixes.repeat == Repeat::F3 {
        check_untracked(ops)?;
    }
    Ok(())
}

/// How an instruction ends that nothing is left to say about.
pub(crate) const fn next(cx: &Context) -> Done {
    Done::Next { len: cx.insn.len }
}
