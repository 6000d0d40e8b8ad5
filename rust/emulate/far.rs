// SPDX-License-Identifier: GPL-2.0-only

//! Far transfers to the same or an inner privilege level: JMP and CALL, directly and through gates.
//! The way back is in [`back`](super::back).
//!
//! Source: AMD APM volume 2, sections 4.12 "Control-Transfer Privilege Checks" and 12.3
//! "Hardware Task-Management in Legacy Mode".

use super::{
    branch::check_untracked,
    descriptor::{
        find,
        find_upper,
        is_null,
        Found,
        Mark, //
    },
    frame::{
        Items,
        Stack, //
    },
    operand::{
        Context,
        Register, //
    },
    ops::{
        read_integer,
        Access,
        Done,
        Exception,
        Fault,
        Gpr,
        Mode,
        Ops,
        Result,
        SegmentState,
        SystemSegment,
        TaskSwitch, //
    },
    prefix::Segment,
    segment::{
        is_canonical,
        ACCESSED,
        BIG,
        LONG, //
    },
    selector::{
        far_pointer,
        far_width,
        prepare_stack,
        real,
        rpl,
        Load, //
    },
    width::Width,
    CodeWidth, //
};

/// The most bytes that a call to an inner level pushes: 31 parameters and four registers.
const MOST: usize = 35 * 4;

/// Where a far transfer goes: everything was checked.
pub(crate) struct Target<P> {
    pub(crate) selector: u16,
    pub(crate) state: SegmentState,
    pub(crate) rip: u64,
    pub(crate) mark: Mark<P>,
}

impl<P> Target<P> {
    /// Sets the accessed bit, if that is to be done.
    pub(crate) fn mark<O: Ops<Place = P>>(&self, ops: &mut O) -> Result {
        self.mark.apply(ops)
    }

    /// Loads CS; the caller has RIP loaded.
    pub(crate) fn commit<O: Ops>(&self, ops: &mut O) -> Done {
        ops.set_segment(Segment::Cs, self.selector, self.state);
        Done::Jump { rip: self.rip }
    }

    /// Makes sure that the offset is in the segment.
    ///
    /// # Errors
    ///
    /// #GP if it is not.
    pub(crate) fn check_offset<O: Ops>(&self, ops: &O) -> Result {
        let long = ops.mode() == Mode::Protected
            && self.state.attributes & LONG != 0
            && ops.long_mode()?;
        let reached = match long {
            true => is_canonical(self.rip, ops.linear_bits()),
            false => self.rip <= u64::from(self.state.limit),
        };
        if reached {
            Ok(())
        } else {
            Err(Exception::protection(ops.mode()).into())
        }
    }

    /// Returns the width of the code.
    pub(crate) const fn code(&self, long_mode: bool) -> CodeWidth {
        if long_mode && self.state.attributes & LONG != 0 {
            CodeWidth::Bits64
        } else if self.state.attributes & BIG != 0 {
            CodeWidth::Bits32
        } else {
            CodeWidth::Bits16
        }
    }
}

/// Makes a target in real and virtual 8086 mode. The offset is to be checked.
pub(crate) fn real_target<O: Ops>(ops: &O, selector: u16, rip: u64) -> Target<O::Place> {
    Target {
        selector,
        state: real(ops, Segment::Cs, selector),
        rip,
        mark: Mark::NONE,
    }
}

/// Makes a target of a code segment whose rights were checked, entered with privilege level `cpl`.
/// The offset is to be checked.
///
/// # Errors
///
/// #NP; #GP for a segment that is of 64 and of 32 bits.
pub(crate) fn code_target<O: Ops>(
    ops: &mut O,
    selector: u16,
    found: &Found,
    rip: u64,
    cpl: u8,
) -> Result<Target<O::Place>> {
    let mut state = found.descriptor.state();
    let long = ops.long_mode()?;
    let is_long = long && state.attributes & LONG != 0;
    if is_long && state.attributes & BIG != 0 {
        return Err(Exception::selector(selector).into());
    }
    if !found.descriptor.is_present() {
        return Err(Exception::not_present(selector).into());
    }
    state.attributes |= ACCESSED;
    Ok(Target {
        selector: selector & !3 | u16::from(cpl),
        state,
        rip,
        mark: Mark::accessed(ops, found)?,
    })
}

/// Executes EA, 9A, FF /3 and FF /5: JMP and CALL to another segment.
pub(crate) fn transfer<O: Ops>(ops: &mut O, cx: &Context) -> Result<Done> {
    check_untracked(ops)?;
    // The constant's selector, or memory's.
    let width = cx.insn.operand_size;
    let (offset, selector) = match cx.insn.opcode {
        // The offset may be narrower than what is pushed.
        0xff => far_pointer(ops, cx, far_width(ops, cx))?,
        _ => (width.truncate(cx.insn.immediate), cx.insn.immediate2),
    };
    let calls = match cx.insn.opcode {
        0xff => cx.insn.digit() == 3,
        opcode => opcode == 0x9a,
    };
    ops.selector(Segment::Cs)?;
    if ops.mode() != Mode::Protected {
        let target = real_target(ops, selector, offset);
        return finish(ops, cx, &target, width, calls);
    }
    if is_null(selector) {
        return Err(Exception::selector(0).into());
    }
    let refused = Exception::selector(selector);
    let mut found = find(ops, selector, refused)?;
    let state = found.descriptor.state();
    let (cpl, dpl) = (ops.cpl(), state.dpl());
    if state.is_code() {
        let allowed = match state.is_conforming() {
            true => dpl <= cpl,
            false => dpl == cpl && rpl(selector) <= cpl,
        };
        if !allowed {
            return Err(refused.into());
        }
        let target = code_target(ops, selector, &found, offset, cpl)?;
        return finish(ops, cx, &target, width, calls);
    }
    let long = ops.long_mode()?;
    let kind = found.descriptor.kind();
    let known = match kind {
        12 => true,
        1 | 4 | 5 | 9 => !long,
        _ => false,
    };
    if !known || dpl < cpl.max(rpl(selector)) {
        return Err(refused.into());
    }
    if long {
        find_upper(ops, selector, &mut found, refused)?;
    }
    if !found.descriptor.is_present() {
        return Err(Exception::not_present(selector).into());
    }
    match kind {
        4 | 12 => gate(ops, cx, &found, calls),
        _ => {
            let why = if calls {
                TaskSwitch::Call
            } else {
                TaskSwitch::Jump
            };
            let next = cx.next_rip(ops);
            ops.switch_task(selector, why, next)?;
            Ok(Done::TaskSwitched)
        }
    }
}

/// Goes to `target` on the same privilege level, and pushes the way back if it is a call.
fn finish<O: Ops>(
    ops: &mut O,
    cx: &Context,
    target: &Target<O::Place>,
    width: Width,
    calls: bool,
) -> Result<Done> {
    if !calls {
        target.check_offset(ops)?;
        target.mark(ops)?;
        return Ok(target.commit(ops));
    }
    if cx.code != CodeWidth::Bits64 && ops.mode() == Mode::Protected {
        // Processors push with the stack as 64-bit code sees it; that is the same only if it is flat.
        let to_long = target.code(ops.long_mode()?) == CodeWidth::Bits64;
        let stack = ops.segment(Segment::Ss);
        if to_long && (stack.base != 0 || !stack.is_big()) {
            return Err(Fault::Unhandleable);
        }
    }
    let mut items = Items::<16>::new(width);
    items.put(cx.next_rip(ops))?;
    items.put(ops.selector(Segment::Cs)?.into())?;
    let stack = Stack::current(ops, cx);
    let pointer = stack.pointer();
    let (frame, top) = items.prepare(ops, &stack, pointer.get(ops))?;
    target.check_offset(ops)?;
    target.mark(ops)?;
    frame.write(ops, items.bytes())?;
    pointer.set(ops, top);
    Ok(target.commit(ops))
}

/// Goes through a call gate that may be used.
fn gate<O: Ops>(ops: &mut O, cx: &Context, gate: &Found, calls: bool) -> Result<Done> {
    let long = ops.long_mode()?;
    let width = match (long, gate.descriptor.kind()) {
        (true, _) => Width::Qword,
        (false, 4) => Width::Word,
        (false, _) => Width::Dword,
    };
    let selector = gate.descriptor.gate_selector();
    let low = gate.descriptor.gate_offset();
    let rip = match width {
        Width::Qword => low | gate.upper << 32,
        width => width.truncate(low),
    };
    if is_null(selector) {
        return Err(Exception::selector(0).into());
    }
    let refused = Exception::selector(selector);
    let found = find(ops, selector, refused)?;
    let state = found.descriptor.state();
    let (cpl, dpl) = (ops.cpl(), state.dpl());
    let allowed = match (state.is_conforming(), calls) {
        (true, _) | (false, true) => dpl <= cpl,
        (false, false) => dpl == cpl,
    };
    // From long mode a gate leads to 64-bit code only.
    let wide = !long || state.attributes & (LONG | BIG) == LONG;
    if !state.is_code() || !allowed || !wide {
        return Err(refused.into());
    }
    let inner = calls && !state.is_conforming() && dpl < cpl;
    let new_cpl = if inner { dpl } else { cpl };
    let target = code_target(ops, selector, &found, rip, new_cpl)?;
    if inner {
        return call_inner(ops, cx, gate, &target, width, new_cpl);
    }
    finish(ops, cx, &target, width, calls)
}

/// Calls an inner privilege level.
#[inline(never)]
fn call_inner<O: Ops>(
    ops: &mut O,
    cx: &Context,
    gate: &Found,
    target: &Target<O::Place>,
    width: Width,
    cpl: u8,
) -> Result<Done> {
    let long = ops.long_mode()?;
    let (load, selector, top) = inner_stack(ops, cpl, long)?;
    let code = match long {
        true => CodeWidth::Bits64,
        false => cx.code,
    };
    let stack = Stack::inner(load.state(), selector, code);
    let old = Stack::current(ops, cx);
    let old_top = ops.gpr(Gpr::RSP);

    let mut items = Items::<MOST>::new(width);
    items.put(cx.next_rip(ops))?;
    items.put(ops.selector(Segment::Cs)?.into())?;
    let parameters = match long {
        true => 0,
        false => gate.descriptor.gate_parameters(),
    };
    if parameters != 0 {
        let from = old.pointer().get(ops);
        items.read(ops, &old, from, parameters, false)?;
    }
    items.put(old_top)?;
    items.put(ops.selector(Segment::Ss)?.into())?;
    let (frame, bottom) = items.prepare(ops, &stack, top)?;
    target.check_offset(ops)?;
    target.mark(ops)?;
    load.mark(ops)?;
    frame.write(ops, items.bytes())?;
    load.commit(ops);
    let done = target.commit(ops);
    ops.set_cpl(cpl);
    set_stack_pointer(ops, &stack, bottom, top);
    Ok(done)
}

/// Loads a stack pointer of another stack: `value`, and above its width what `whole` has.
pub(crate) fn set_stack_pointer<O: Ops>(ops: &mut O, stack: &Stack, value: u64, whole: u64) {
    let width = match stack.size() {
        Width::Qword => Width::Qword,
        _ => Width::Dword,
    };
    let mask = stack.size().mask();
    let value = whole & !mask | value & mask;
    Register::low(Gpr::RSP, width).set(ops, value);
}

/// Returns the stack of privilege level `cpl` that the task state segment names.
///
/// # Errors
///
/// #TS, #SS.
fn inner_stack<O: Ops>(ops: &mut O, cpl: u8, long: bool) -> Result<(Load<O::Place>, u16, u64)> {
    let (task_selector, task) = ops.system_segment(SystemSegment::Task)?;
    let level = u64::from(cpl);
    // Type 1 and 3 are of 16 bits, 9 and 11 of 32, or of 64 in long mode.
    let wide = task.attributes & 8 != 0;
    let (at, len) = match (long, wide) {
        (true, _) => (4 + 8 * level, 8),
        (false, true) => (4 + 8 * level, 6),
        (false, false) => (2 + 4 * level, 4),
    };
    if at.wrapping_add(len).wrapping_sub(1) > u64::from(task.limit) {
        return Err(Exception::task(task_selector).into());
    }
    let base = task.base.wrapping_add(at);
    if long {
        let place = ops.translate_system(base, 8, Access::Read)?;
        let top = read_integer(ops, &place, Width::Qword)?;
        let selector = u16::from(cpl);
        let load = prepare_stack(ops, selector, cpl, true, Exception::task)?;
        // Pushed items are aligned only on the way to an interrupt handler.
        return Ok((load, selector, top));
    }
    let place = ops.translate_system(base, len as usize, Access::Read)?;
    let mut bytes = [0; 6];
    let part = bytes.get_mut(..len as usize).ok_or(Fault::Unhandleable)?;
    ops.read(&place, part)?;
    let [a, b, c, d, e, f] = bytes;
    let (top, selector) = match wide {
        true => (u32::from_le_bytes([a, b, c, d]), u16::from_le_bytes([e, f])),
        false => (u32::from_le_bytes([a, b, 0, 0]), u16::from_le_bytes([c, d])),
    };
    let load = prepare_stack(ops, selector, cpl, false, Exception::task)?;
    Ok((load, selector, top.into()))
}
