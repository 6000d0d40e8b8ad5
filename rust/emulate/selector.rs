// SPDX-License-Identifier: GPL-2.0-only

//! Loading and storing segment registers, and looking at descriptors: MOV, PUSH, POP, LDS to LSS,
//! LAR, LSL, VERR, VERW and ARPL.
//!
//! Source: AMD APM volume 2, sections 4.5 "Segment Selectors and Registers" and 4.11 "Data-Access
//! Privilege Checks".

use super::{
    control::check_protected,
    decode::Rm,
    descriptor::{
        find,
        is_null,
        Found,
        Mark, //
    },
    flags::{
        self,
        ZF, //
    },
    frame::Stack,
    operand::Context,
    ops::{
        read_integer,
        Access,
        Done,
        Exception,
        Fault,
        Feature,
        Mode,
        Ops,
        Result,
        SegmentState, //
    },
    prefix::Segment,
    segment::{
        ACCESSED,
        READ_OR_WRITE, //
    },
    stack,
    width::Width,
    CodeWidth,
    Vendor, //
};

/// What a segment register in virtual 8086 mode has: a writable data segment of level 3.
pub(crate) const VIRTUAL_8086: u16 = 0xf3;

/// A segment register that can be loaded: everything was checked.
pub(crate) struct Load<P> {
    segment: Segment,
    selector: u16,
    state: SegmentState,
    mark: Mark<P>,
}

impl<P> Load<P> {
    /// Sets the accessed bit, if that is to be done.
    pub(crate) fn mark<O: Ops<Place = P>>(&self, ops: &mut O) -> Result {
        self.mark.apply(ops)
    }

    /// Returns what the register is to hold.
    pub(crate) const fn state(&self) -> SegmentState {
        self.state
    }

    /// Loads the register.
    pub(crate) fn commit<O: Ops>(&self, ops: &mut O) {
        ops.set_segment(self.segment, self.selector, self.state);
    }
}

/// Returns what a segment register holds after `selector` was loaded in real or virtual 8086 mode.
pub(crate) fn real<O: Ops>(ops: &O, segment: Segment, selector: u16) -> SegmentState {
    let base = u64::from(selector) << 4;
    match ops.mode() {
        Mode::Virtual8086 => SegmentState {
            base,
            limit: 0xffff,
            attributes: VIRTUAL_8086,
        },
        // Limit and attributes stay, so that a guest can keep large segments in real mode.
        _ => SegmentState {
            base,
            ..ops.segment(segment)
        },
    }
}

/// Returns what a segment register that held `old` holds after a null selector was loaded.
pub(crate) fn cleared<O: Ops>(ops: &O, old: SegmentState) -> SegmentState {
    if ops.vendor() == Vendor::Intel || ops.has(Feature::NullClearsBase) {
        return SegmentState::NULL;
    }
    SegmentState {
        attributes: 0,
        ..old
    }
}

/// Returns what `segment` holds after a null selector was loaded.
pub(crate) fn null<O: Ops>(ops: &O, segment: Segment) -> SegmentState {
    cleared(ops, ops.segment(segment))
}

/// Checks that `segment`, not CS, can be loaded with `selector`.
///
/// # Errors
///
/// #GP, #NP or #SS.
pub(crate) fn prepare<O: Ops>(
    ops: &mut O,
    cx: &Context,
    segment: Segment,
    selector: u16,
) -> Result<Load<O::Place>> {
    // What can be loaded can be read, and nothing is done where it cannot.
    ops.selector(segment)?;
    if ops.mode() != Mode::Protected {
        return Ok(Load {
            segment,
            selector,
            state: real(ops, segment, selector),
            mark: Mark::NONE,
        });
    }
    let cpl = ops.cpl();
    if segment == Segment::Ss {
        let null_allowed = cx.code == CodeWidth::Bits64 && cpl != 3;
        return prepare_stack(ops, selector, cpl, null_allowed, Exception::selector);
    }
    if is_null(selector) {
        return Ok(Load {
            segment,
            selector,
            state: null(ops, segment),
            mark: Mark::NONE,
        });
    }
    let refused = Exception::selector(selector);
    let found = find(ops, selector, refused)?;
    let state = found.descriptor.state();
    let kind = found.descriptor.kind();
    // Data, or code that can be read.
    let readable = kind & 0x10 != 0 && kind & 0x0a != 0x08;
    let outer = rpl(selector).max(cpl) <= state.dpl();
    if !readable || !(state.is_conforming() || outer) {
        return Err(refused.into());
    }
    present(ops, segment, selector, &found, Exception::not_present)
}

/// Ends the checks of a descriptor that may be loaded if it is there.
///
/// # Errors
///
/// What `absent` makes of the selector.
fn present<O: Ops>(
    ops: &mut O,
    segment: Segment,
    selector: u16,
    found: &Found,
    absent: fn(u16) -> Exception,
) -> Result<Load<O::Place>> {
    if !found.descriptor.is_present() {
        return Err(absent(selector).into());
    }
    let mut state = found.descriptor.state();
    state.attributes |= ACCESSED;
    Ok(Load {
        segment,
        selector,
        state,
        mark: Mark::accessed(ops, found)?,
    })
}

/// Checks that SS can be loaded with `selector` for the privilege level `cpl`, in protected mode.
///
/// # Errors
///
/// What `refused` makes of the selector, and #SS.
pub(crate) fn prepare_stack<O: Ops>(
    ops: &mut O,
    selector: u16,
    cpl: u8,
    null_allowed: bool,
    refused: fn(u16) -> Exception,
) -> Result<Load<O::Place>> {
    let segment = Segment::Ss;
    ops.selector(segment)?;
    if is_null(selector) {
        if !null_allowed || rpl(selector) != cpl {
            return Err(refused(0).into());
        }
        let mut state = null(ops, segment);
        // The privilege level is where it always is.
        state.attributes |= u16::from(cpl) << 5;
        return Ok(Load {
            segment,
            selector,
            state,
            mark: Mark::NONE,
        });
    }
    let refused = refused(selector);
    let found = find(ops, selector, refused)?;
    let state = found.descriptor.state();
    // Writable data.
    let writable = found.descriptor.kind() & 0x1a == 0x12;
    if !writable || rpl(selector) != cpl || state.dpl() != cpl {
        return Err(refused.into());
    }
    present(ops, segment, selector, &found, Exception::stack_selector)
}

/// Returns the privilege level that a selector asks for.
pub(crate) const fn rpl(selector: u16) -> u8 {
    // CAST: Two bits.
    (selector & 3) as u8
}

/// Returns the segment register that `number` stands for.
///
/// # Errors
///
/// #UD if there is none.
fn register(number: u8) -> Result<Segment> {
    Ok(match number {
        0 => Segment::Es,
        1 => Segment::Cs,
        2 => Segment::Ss,
        3 => Segment::Ds,
        4 => Segment::Fs,
        5 => Segment::Gs,
        _ => return Err(Exception::UNDEFINED.into()),
    })
}

/// How an instruction ends that loaded `segment`.
fn done(cx: &Context, segment: Segment) -> Done {
    let len = cx.insn.len;
    match segment {
        Segment::Ss => Done::Shadow { len, stack: true },
        _ => Done::Next { len },
    }
}

/// Executes 8C: MOV from a segment register. Memory gets 16 bits whatever the operand size is.
pub(crate) fn store<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let segment = register(cx.insn.digit())?;
    let value = ops.selector(segment)?;
    store_word(ops, cx, value)
}

/// Stores a selector: 16 bits to memory, or zero-extended to a register of operand size.
pub(crate) fn store_word<O: Ops>(ops: &mut O, cx: &Context, value: u16) -> Result {
    let width = match cx.insn.rm {
        Rm::Memory(_) => Width::Word,
        _ => cx.insn.operand_size,
    };
    cx.rm(ops, width, Access::Write)?.set(ops, value.into())
}

/// Executes 8E: MOV to a segment register.
pub(crate) fn load<O: Ops>(ops: &mut O, cx: &Context) -> Result<Done> {
    let segment = register(cx.insn.digit())?;
    if segment == Segment::Cs {
        return Err(Exception::UNDEFINED.into());
    }
    let value = cx.rm(ops, Width::Word, Access::Read)?.get(ops)?;
    // CAST: A word was read.
    let load = prepare(ops, cx, segment, value as u16)?;
    load.mark(ops)?;
    load.commit(ops);
    Ok(done(cx, segment))
}

/// Returns the segment register in the opcode of PUSH and POP.
fn in_opcode(cx: &Context) -> Result<Segment> {
    register(cx.insn.opcode >> 3 & 7)
}

/// How much of an item on the stack is accessed for a selector: Intel's processors leave the upper half of 32 bits
/// alone.
///
/// Source: Intel SDM volume 2, "PUSH".
fn part<O: Ops>(ops: &O, cx: &Context) -> Width {
    match (cx.insn.stack_operand_size(cx.code), ops.vendor()) {
        (Width::Dword, Vendor::Intel) => Width::Word,
        (width, _) => width,
    }
}

/// Executes 06, 0E, 16, 1E, 0F A0, 0F A8: PUSH of a segment register.
pub(crate) fn push<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let value = ops.selector(in_opcode(cx)?)?;
    stack::push_part(ops, cx, part(ops, cx), |_| Ok(value.into()))
}

/// Executes 07, 17, 1F, 0F A1, 0F A9: POP of a segment register. Of a wider item only the lowest 16
/// bits are read.
pub(crate) fn pop<O: Ops>(ops: &mut O, cx: &Context) -> Result<Done> {
    let segment = in_opcode(cx)?;
    let stack = Stack::current(ops, cx);
    let pointer = stack.pointer();
    let top = pointer.get(ops);
    let width = cx.insn.stack_operand_size(cx.code);
    let part = part(ops, cx);
    let place = stack.item(ops, top, part, Access::Read)?;
    // CAST: The selector is in the lowest two bytes.
    let selector = read_integer(ops, &place, part)? as u16;
    let load = prepare(ops, cx, segment, selector)?;
    load.mark(ops)?;
    load.commit(ops);
    pointer.set(ops, stack.moved(top, width.bytes() as i64));
    Ok(done(cx, segment))
}

/// Reads the far pointer that ModRM.rm names: an offset of `width`, and a selector.
pub(crate) fn far_pointer<O: Ops>(ops: &mut O, cx: &Context, width: Width) -> Result<(u64, u16)> {
    let len = width.bytes().wrapping_add(2);
    let place = cx.memory_bytes(ops, len, width.bytes(), Access::Read)?;
    let mut bytes = [0; 10];
    ops.read(&place, bytes.get_mut(..len).ok_or(Fault::Unhandleable)?)?;
    let (offset, rest) = bytes
        .split_at_checked(width.bytes())
        .ok_or(Fault::Unhandleable)?;
    let mut value = [0; 8];
    value
        .get_mut(..width.bytes())
        .ok_or(Fault::Unhandleable)?
        .copy_from_slice(offset);
    let selector = rest.first_chunk().ok_or(Fault::Unhandleable)?;
    Ok((u64::from_le_bytes(value), u16::from_le_bytes(*selector)))
}

/// Returns the width of the offset in a far pointer in memory.
pub(crate) fn far_width<O: Ops>(ops: &O, cx: &Context) -> Width {
    match (cx.insn.operand_size, ops.vendor()) {
        // AMD's processors have none of 64 bits.
        (Width::Qword, Vendor::Amd) => Width::Dword,
        (width, _) => width,
    }
}

/// Executes C4, C5, 0F B2, 0F B4, 0F B5: LES, LDS, LSS, LFS and LGS.
pub(crate) fn load_far<O: Ops>(ops: &mut O, cx: &Context) -> Result<Done> {
    let segment = match cx.insn.opcode {
        0xc4 => Segment::Es,
        0xc5 => Segment::Ds,
        0xb2 => Segment::Ss,
        0xb4 => Segment::Fs,
        _ => Segment::Gs,
    };
    let width = far_width(ops, cx);
    let (offset, selector) = far_pointer(ops, cx, width)?;
    let load = prepare(ops, cx, segment, selector)?;
    load.mark(ops)?;
    load.commit(ops);
    cx.reg(width).set(ops, offset);
    // Unlike MOV and POP this loads the stack pointer too, and holds nothing back.
    Ok(Done::Next { len: cx.insn.len })
}

/// Returns the descriptor that `selector` names, if the current level may see it; `None` if not, or
/// if there is none.
fn visible<O: Ops>(ops: &mut O, selector: u16) -> Result<Option<Found>> {
    if is_null(selector) {
        return Ok(None);
    }
    let none = Exception::selector(selector);
    let found = match find(ops, selector, none) {
        Ok(found) => found,
        // Beyond the table.
        Err(Fault::Exception(exception)) if exception == none => return Ok(None),
        Err(other) => return Err(other),
    };
    let state = found.descriptor.state();
    let seen = state.is_conforming() || rpl(selector).max(ops.cpl()) <= state.dpl();
    Ok(seen.then_some(found))
}

/// Executes 0F 02, 0F 03: LAR and LSL.
pub(crate) fn look<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    check_protected(ops)?;
    let width = cx.insn.operand_size;
    // CAST: A word was read.
    let selector = cx.rm(ops, Width::Word, Access::Read)?.get(ops)? as u16;
    let limit = cx.insn.opcode & 1 != 0;
    let found = visible(ops, selector)?;
    let long = ops.long_mode()?;
    let known = found.filter(|found| match (found.descriptor.kind(), long) {
        (0x10.., _) => true,
        // Local tables, task state segments; LAR knows call and task gates too.
        (2 | 9 | 11, _) | (1 | 3, false) => true,
        (12, _) | (4 | 5, false) => !limit,
        _ => false,
    });
    let Some(found) = known else {
        flags::set(ops, ZF, 0);
        return Ok(());
    };
    let value = if limit {
        u64::from(found.descriptor.state().limit)
    } else {
        found.descriptor.0 >> 32 & 0x00ff_ff00
    };
    cx.reg(width).set(ops, value);
    flags::set(ops, ZF, ZF);
    Ok(())
}

/// Executes 0F 00 /4, 0F 00 /5: VERR and VERW.
pub(crate) fn verify<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    check_protected(ops)?;
    // CAST: A word was read.
    let selector = cx.rm(ops, Width::Word, Access::Read)?.get(ops)? as u16;
    let write = cx.insn.digit() & 1 != 0;
    let good = visible(ops, selector)?.is_some_and(|found| {
        let kind = found.descriptor.kind();
        let code = kind & 8 != 0;
        let bit = kind & READ_OR_WRITE != 0;
        kind & 0x10 != 0
            && match write {
                true => !code && bit,
                false => !code || bit,
            }
    });
    flags::set(ops, ZF, if good { ZF } else { 0 });
    Ok(())
}

/// Executes 63 outside 64-bit mode: ARPL.
pub(crate) fn adjust<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    check_protected(ops)?;
    let least = cx.reg(Width::Word).get(ops) & 3;
    let old = cx.rm(ops, Width::Word, Access::Read)?.get(ops)?;
    let raises = old & 3 < least;
    if raises {
        // Only now it needs the right to write.
        let target = cx.rm(ops, Width::Word, Access::ReadWrite)?;
        target.set(ops, old & !3 | least)?;
    }
    flags::set(ops, ZF, if raises { ZF } else { 0 });
    Ok(())
}
