// SPDX-License-Identifier: GPL-2.0-only

//! Far returns: RET to another segment, and IRET.
//!
//! Source: AMD APM volume 3, "RET (Far)" and "IRET, IRETD, IRETQ".

use super::{
    branch::check_untracked,
    descriptor::{
        find,
        is_null, //
    },
    far::{
        code_target,
        real_target,
        set_stack_pointer,
        Target, //
    },
    flag_ops::{
        replaced,
        set_virtual,
        virtual_flags, //
    },
    flags::{
        self,
        NT,
        RF,
        VIF,
        VIP,
        VM, //
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
        Done,
        Exception,
        Gpr,
        Mode,
        Ops,
        Result,
        SegmentState,
        TaskSwitch, //
    },
    prefix::Segment,
    segment::{
        NOT_SYSTEM,
        PRESENT, //
    },
    selector::{
        null,
        prepare_stack,
        rpl,
        VIRTUAL_8086, //
    },
    width::Width,
    CodeWidth,
    Vendor, //
};

/// Checks that a return to `selector` : `rip` is possible, in protected mode.
///
/// # Errors
///
/// #GP, #NP.
fn target<O: Ops>(ops: &mut O, selector: u16, rip: u64) -> Result<Target<O::Place>> {
    if is_null(selector) {
        return Err(Exception::selector(0).into());
    }
    let refused = Exception::selector(selector);
    let found = find(ops, selector, refused)?;
    let state = found.descriptor.state();
    let level = rpl(selector);
    let allowed = match state.is_conforming() {
        true => state.dpl() <= level,
        false => state.dpl() == level,
    };
    if !state.is_code() || level < ops.cpl() || !allowed {
        return Err(refused.into());
    }
    let target = code_target(ops, selector, &found, rip, level)?;
    target.check_offset(ops)?;
    Ok(target)
}

/// Clears the data segments that an outer privilege level must not see.
fn hide_segments<O: Ops>(ops: &mut O, cpl: u8) {
    for segment in [Segment::Es, Segment::Ds, Segment::Fs, Segment::Gs] {
        let state = ops.segment(segment);
        let loaded = state.attributes & (PRESENT | NOT_SYSTEM) == PRESENT | NOT_SYSTEM;
        if loaded && !state.is_conforming() && state.dpl() < cpl {
            let state = null(ops, segment);
            ops.set_segment(segment, 0, state);
        }
    }
}

/// Executes CA, CB: RET to another segment.
pub(crate) fn ret<O: Ops>(ops: &mut O, cx: &Context) -> Result<Done> {
    check_untracked(ops)?;
    let width = cx.insn.operand_size;
    let item = width.bytes() as i64;
    let stack = Stack::current(ops, cx);
    let pointer = stack.pointer();
    let top = pointer.get(ops);
    // AMD's processors read the selector first.
    let down = ops.vendor() == Vendor::Amd;
    let items = Items::<16>::pop_down(ops, &stack, top, 2, width, down)?;
    // CAST: The selector is in the lowest two bytes.
    let (rip, selector) = (items.get(0)?, items.get(1)? as u16);
    ops.selector(Segment::Cs)?;
    // CB reads the constant of CA as 0.
    let released = cx.insn.immediate as i64;
    let above = stack.moved(top, item.wrapping_mul(2).wrapping_add(released));
    if ops.mode() != Mode::Protected {
        let target = real_target(ops, selector, rip);
        target.check_offset(ops)?;
        pointer.set(ops, above);
        return Ok(target.commit(ops));
    }
    if rpl(selector) == ops.cpl() {
        let target = target(ops, selector, rip)?;
        target.mark(ops)?;
        pointer.set(ops, above);
        return Ok(target.commit(ops));
    }
    let (target, outer, outer_top) = outer(ops, &stack, above, width, selector, rip)?;
    leave(ops, &target, outer, outer_top, released)
}

/// Checks that a return to another level is possible, and reads the stack pointer and segment that
/// are at `above`. AMD's processors do the latter first.
fn outer<O: Ops>(
    ops: &mut O,
    stack: &Stack,
    above: u64,
    width: Width,
    selector: u16,
    rip: u64,
) -> Result<(Target<O::Place>, u16, u64)> {
    let (goal, items);
    if ops.vendor() == Vendor::Amd {
        items = Items::<16>::pop_down(ops, stack, above, 2, width, true)?;
        goal = target(ops, selector, rip)?;
    } else {
        goal = target(ops, selector, rip)?;
        items = Items::<16>::pop(ops, stack, above, 2, width)?;
    }
    // CAST: The selector is in the lowest two bytes.
    Ok((goal, items.get(1)? as u16, items.get(0)?))
}

/// Goes to an outer privilege level, with another stack.
fn leave<O: Ops>(
    ops: &mut O,
    target: &Target<O::Place>,
    selector: u16,
    top: u64,
    released: i64,
) -> Result<Done> {
    let cpl = rpl(target.selector);
    let long = ops.long_mode()?;
    let code = target.code(long);
    let null_allowed = code == CodeWidth::Bits64 && cpl != 3;
    let load = prepare_stack(ops, selector, cpl, null_allowed, Exception::selector)?;
    target.mark(ops)?;
    load.mark(ops)?;
    load.commit(ops);
    let done = target.commit(ops);
    ops.set_cpl(cpl);
    let stack = Stack::inner(load.state(), selector, code);
    let old = ops.gpr(Gpr::RSP);
    let whole = match stack.size() {
        // What the stack pointer had above its 16 bits stays there.
        Width::Word => old,
        _ => top,
    };
    let value = stack.moved(top, released);
    set_stack_pointer(ops, &stack, value, whole);
    hide_segments(ops, cpl);
    Ok(done)
}

/// Executes CF: IRET.
pub(crate) fn interrupt<O: Ops>(ops: &mut O, cx: &Context) -> Result<Done> {
    check_untracked(ops)?;
    let width = cx.insn.operand_size;
    let mode = ops.mode();
    let is_virtual = virtual_flags(ops, width)?;
    ops.selector(Segment::Cs)?;
    if mode == Mode::Protected && ops.rflags() & NT != 0 {
        if ops.long_mode()? {
            return Err(Exception::selector(0).into());
        }
        let next = cx.next_rip(ops);
        ops.switch_task(0, TaskSwitch::Return, next)?;
        return Ok(Done::TaskSwitched);
    }
    let stack = Stack::current(ops, cx);
    let pointer = stack.pointer();
    let top = pointer.get(ops);
    let item = width.bytes() as i64;
    // AMD's processors read the flags first.
    let down = ops.vendor() == Vendor::Amd;
    let items = Items::<24>::pop_down(ops, &stack, top, 3, width, down)?;
    let above = stack.moved(top, item.wrapping_mul(3));
    // CAST: The selector is in the lowest two bytes.
    let (rip, selector, image) = (items.get(0)?, items.get(1)? as u16, items.get(2)?);
    if mode != Mode::Protected {
        let target = real_target(ops, selector, rip);
        target.check_offset(ops)?;
        if is_virtual {
            set_virtual(ops, image)?;
        } else {
            set_flags(ops, image, width);
        }
        pointer.set(ops, above);
        ops.unblock_nmi();
        return Ok(returned(target.commit(ops), width));
    }
    let long = ops.long_mode()?;
    if !long && ops.cpl() == 0 && width == Width::Dword && image & VM != 0 {
        let outer = Items::<24>::pop(ops, &stack, above, 6, width)?;
        return enter_virtual(ops, rip, selector, image, &outer);
    }
    // The flags may be replaced with the rights of the level that is left.
    let mask = mask(ops, width);
    // 64-bit mode always has a stack pointer in the frame.
    let done = if cx.code == CodeWidth::Bits64 || rpl(selector) != ops.cpl() {
        let (target, outer, outer_top) = outer(ops, &stack, above, width, selector, rip)?;
        leave(ops, &target, outer, outer_top, 0)?
    } else {
        let target = target(ops, selector, rip)?;
        target.mark(ops)?;
        pointer.set(ops, above);
        target.commit(ops)
    };
    flags::set(ops, mask, image);
    ops.unblock_nmi();
    Ok(returned(done, width))
}

/// What IRET has done if it was a jump: it loads RF, unless the image has only 16 bits.
fn returned(done: Done, width: Width) -> Done {
    match done {
        Done::Jump { rip } if width != Width::Word => Done::Return { rip },
        done => done,
    }
}

/// The flags that IRET replaces at the current privilege.
fn mask<O: Ops>(ops: &O, width: Width) -> u64 {
    let mut mask = replaced(ops, width);
    if width != Width::Word {
        mask |= RF;
        if ops.cpl() == 0 && ops.mode() == Mode::Protected {
            mask |= VIF | VIP;
        }
    }
    mask
}

/// Replaces the flags by those that IRET has popped.
fn set_flags<O: Ops>(ops: &mut O, image: u64, width: Width) {
    let mask = mask(ops, width);
    flags::set(ops, mask, image);
}

/// Goes back to virtual 8086 mode. `outer` is what was pushed of it: ESP, SS, ES, DS, FS and GS.
fn enter_virtual<O: Ops>(
    ops: &mut O,
    rip: u64,
    selector: u16,
    image: u64,
    outer: &Items<24>,
) -> Result<Done> {
    let mask = mask(ops, Width::Dword) | VM;
    // The offset is only truncated; what is beyond the segment faults when it is fetched.
    let rip = rip & 0xffff;
    let segments = [
        Segment::Ss,
        Segment::Es,
        Segment::Ds,
        Segment::Fs,
        Segment::Gs,
    ];
    let state = |selector: u16| SegmentState {
        base: u64::from(selector) << 4,
        limit: 0xffff,
        attributes: VIRTUAL_8086,
    };
    for (n, segment) in segments.into_iter().enumerate() {
        // CAST: The selector is in the lowest two bytes.
        let selector = outer.get(n.saturating_add(1))? as u16;
        ops.set_segment(segment, selector, state(selector));
    }
    ops.set_segment(Segment::Cs, selector, state(selector));
    let top = outer.get(0)?;
    Register::low(Gpr::RSP, Width::Dword).set(ops, top);
    flags::set(ops, mask, image);
    ops.set_cpl(3);
    ops.unblock_nmi();
    Ok(Done::Return { rip })
}
