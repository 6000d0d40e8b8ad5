// SPDX-License-Identifier: GPL-2.0-only

//! Registers that say where tables are: LGDT, LIDT, SGDT, SIDT, LLDT, LTR, SLDT and STR.

use super::{
    control::{
        check_kernel,
        check_protected,
        check_umip, //
    },
    descriptor::{
        find,
        find_upper,
        is_null,
        Mark, //
    },
    operand::Context,
    ops::{
        Access,
        Exception,
        Fault,
        Ops,
        Result,
        SystemSegment,
        Table,
        TableState, //
    },
    segment::is_canonical,
    selector::{
        cleared,
        store_word, //
    },
    width::Width,
    CodeWidth, //
};

/// Returns how many bytes a table register has in memory.
const fn len(cx: &Context) -> usize {
    match cx.code {
        CodeWidth::Bits64 => 10,
        _ => 6,
    }
}

/// Returns the table register that ModRM.reg stands for.
const fn table(cx: &Context) -> Table {
    match cx.insn.digit() & 1 {
        0 => Table::Gdt,
        _ => Table::Idt,
    }
}

/// Executes 0F 01 /2, 0F 01 /3: LGDT and LIDT.
pub(crate) fn load_table<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    check_kernel(ops)?;
    let len = len(cx);
    let place = cx.memory_bytes(ops, len, 1, Access::Read)?;
    let mut bytes = [0; 10];
    ops.read(&place, bytes.get_mut(..len).ok_or(Fault::Unhandleable)?)?;
    let [l, h, base @ ..] = bytes;
    let base = u64::from_le_bytes(base);
    let base = match (cx.code, cx.insn.operand_size) {
        (CodeWidth::Bits64, _) => base,
        // As on the 80286.
        (_, Width::Word) => base & 0x00ff_ffff,
        _ => base,
    };
    if !is_canonical(base, ops.linear_bits()) && cx.code == CodeWidth::Bits64 {
        return Err(Exception::protection(ops.mode()).into());
    }
    let limit = u16::from_le_bytes([l, h]);
    ops.set_table(table(cx), TableState { base, limit })
}

/// Executes 0F 01 /0, 0F 01 /1: SGDT and SIDT.
pub(crate) fn store_table<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    check_umip(ops)?;
    let state = ops.table(table(cx))?;
    let len = len(cx);
    let place = cx.memory_bytes(ops, len, 1, Access::Write)?;
    let [l, h] = state.limit.to_le_bytes();
    let [a, b, c, d, e, f, g, i] = state.base.to_le_bytes();
    let bytes = [l, h, a, b, c, d, e, f, g, i];
    ops.write(&place, bytes.get(..len).ok_or(Fault::Unhandleable)?)
}

/// Returns the system segment that ModRM.reg stands for.
const fn system(cx: &Context) -> SystemSegment {
    match cx.insn.digit() & 1 {
        0 => SystemSegment::LocalTable,
        _ => SystemSegment::Task,
    }
}

/// Executes 0F 00 /0, 0F 00 /1: SLDT and STR.
pub(crate) fn store_system<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    check_protected(ops)?;
    check_umip(ops)?;
    let (selector, _) = ops.system_segment(system(cx))?;
    store_word(ops, cx, selector)
}

/// Executes 0F 00 /2, 0F 00 /3: LLDT and LTR.
pub(crate) fn load_system<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    check_protected(ops)?;
    check_kernel(ops)?;
    // CAST: A word was read.
    let selector = cx.rm(ops, Width::Word, Access::Read)?.get(ops)? as u16;
    let segment = system(cx);
    let is_task = segment == SystemSegment::Task;
    if is_null(selector) {
        if is_task {
            return Err(Exception::selector(0).into());
        }
        let (_, old) = ops.system_segment(segment)?;
        let state = cleared(ops, old);
        return ops.set_system_segment(segment, selector, state);
    }
    let refused = Exception::selector(selector);
    // These are in the global table only.
    if selector & 4 != 0 {
        return Err(refused.into());
    }
    let mut found = find(ops, selector, refused)?;
    let long = ops.long_mode()?;
    let known = match (is_task, found.descriptor.kind()) {
        (false, 2) | (true, 9) => true,
        (true, 1) => !long,
        _ => false,
    };
    if !known {
        return Err(refused.into());
    }
    if !found.descriptor.is_present() {
        return Err(Exception::not_present(selector).into());
    }
    let mut state = found.descriptor.state();
    if long {
        find_upper(ops, selector, &mut found, refused)?;
        state.base |= found.upper << 32;
        if !is_canonical(state.base, ops.linear_bits()) {
            return Err(refused.into());
        }
    }
    if !is_task {
        return ops.set_system_segment(segment, selector, state);
    }
    // Busy from now on.
    let mark = Mark::busy(ops, &found)?;
    state.attributes |= 2;
    mark.apply(ops)?;
    ops.set_system_segment(segment, selector, state)
}
