// SPDX-License-Identifier: GPL-2.0-only

//! System calls and software interrupts: SYSCALL, SYSRET, SYSENTER, SYSEXIT, INT n, INT3, INTO and
//! INT1.
//!
//! Source: AMD APM volume 2, section 6.1 "Fast System Call and Return".

use super::{
    branch::check_untracked,
    control::check_kernel,
    flags::{
        self,
        iopl,
        AC,
        DF,
        ID,
        IF,
        IOPL,
        NT,
        OF,
        RF,
        STATUS,
        TF,
        VIF,
        VIP,
        VM, //
    },
    machine::{
        defined,
        refused, //
    },
    operand::{
        Context,
        Register, //
    },
    ops::{
        Control,
        Done,
        Exception,
        Fault,
        Gpr,
        Mode,
        Ops,
        Result,
        SegmentState,
        Software, //
    },
    prefix::Segment,
    segment::is_canonical,
    width::Width,
    CodeWidth,
    Vendor, //
};

const MSR_SYSENTER_CS: u32 = 0x174;
const MSR_SYSENTER_ESP: u32 = 0x175;
const MSR_SYSENTER_EIP: u32 = 0x176;
const MSR_EFER: u32 = 0xc000_0080;
const MSR_STAR: u32 = 0xc000_0081;
const MSR_LSTAR: u32 = 0xc000_0082;
const MSR_CSTAR: u32 = 0xc000_0083;
const MSR_SFMASK: u32 = 0xc000_0084;
/// EFER.SCE.
const EFER_SCE: u64 = 1;
/// CR4.VME.
const CR4_VME: u64 = 1;

/// R11, where SYSCALL keeps the flags.
const R11: Gpr = Gpr::new(11);

/// All flags that exist, but VM and RF.
const RESTORED: u64 = STATUS | TF | IF | DF | IOPL | NT | AC | VIF | VIP | ID;

/// A flat code segment of level `dpl`.
const fn code(dpl: u8, long: bool) -> SegmentState {
    flat(0xb, dpl, if long { 0xa00 } else { 0xc00 })
}

/// A flat stack segment of level `dpl`.
const fn data(dpl: u8) -> SegmentState {
    flat(3, dpl, 0xc00)
}

/// A flat segment of the given type, level and upper attributes.
const fn flat(kind: u16, dpl: u8, upper: u16) -> SegmentState {
    SegmentState {
        base: 0,
        limit: u32::MAX,
        attributes: 0x90 | kind | (dpl as u16) << 5 | upper,
    }
}

/// Loads CS, SS and with them the privilege level.
fn set_level<O: Ops>(ops: &mut O, cs: u16, code: SegmentState, ss: u16, data: SegmentState) {
    ops.set_segment(Segment::Cs, cs, code);
    ops.set_segment(Segment::Ss, ss, data);
    ops.set_cpl(code.dpl());
}

/// Makes sure that SYSCALL and SYSRET exist, and returns whether long mode is active.
fn check_syscall<O: Ops>(ops: &mut O, cx: &Context) -> Result<bool> {
    defined(ops.mode() == Mode::Protected)?;
    defined(ops.vendor() == Vendor::Amd || cx.code == CodeWidth::Bits64)?;
    defined(ops.msr(MSR_EFER)? & EFER_SCE != 0)?;
    check_untracked(ops)?;
    ops.selector(Segment::Cs)?;
    ops.long_mode()
}

/// Executes 0F 05: SYSCALL.
pub(crate) fn call<O: Ops>(ops: &mut O, cx: &Context) -> Result<Done> {
    let long = check_syscall(ops, cx)?;
    let star = ops.msr(MSR_STAR)?;
    // CAST: A field of 16 bits.
    let selector = (star >> 32) as u16 & !3;
    let next = cx.next_rip(ops);
    let old = ops.rflags();
    let (rip, cleared) = if long {
        let entry = match cx.code {
            CodeWidth::Bits64 => MSR_LSTAR,
            _ => MSR_CSTAR,
        };
        let (rip, mask) = (ops.msr(entry)?, ops.msr(MSR_SFMASK)?);
        Register::low(Gpr::RCX, Width::Qword).set(ops, next);
        Register::low(R11, Width::Qword).set(ops, old & !RF);
        // CAST: The mask has 32 bits.
        (rip, u64::from(mask as u32) & RESTORED | RF | VM)
    } else {
        Register::low(Gpr::RCX, Width::Dword).set(ops, next);
        (star & 0xffff_ffff, VM | IF | RF)
    };
    flags::set(ops, cleared, 0);
    set_level(
        ops,
        selector,
        code(0, long),
        selector.wrapping_add(8),
        data(0),
    );
    Ok(Done::SystemCall { rip })
}

/// Executes 0F 07: SYSRET.
pub(crate) fn ret<O: Ops>(ops: &mut O, cx: &Context) -> Result<Done> {
    let long = check_syscall(ops, cx)?;
    check_kernel(ops)?;
    // CAST: A field of 16 bits.
    let base = (ops.msr(MSR_STAR)? >> 48) as u16;
    let to_long = cx.insn.operand_size == Width::Qword;
    let (rip, cs) = match to_long {
        true => (ops.gpr(Gpr::RCX), base.wrapping_add(16)),
        false => (Width::Dword.truncate(ops.gpr(Gpr::RCX)), base),
    };
    // AMD's processors find out when they fetch.
    if ops.vendor() == Vendor::Intel && !is_canonical(rip, ops.linear_bits()) {
        return Err(refused(ops));
    }
    let stack = match ops.vendor() {
        Vendor::Intel => data(3),
        // The hidden part stays, except for the level.
        Vendor::Amd => {
            let old = ops.segment(Segment::Ss);
            SegmentState {
                attributes: old.attributes | 3 << 5,
                ..old
            }
        }
    };
    if long {
        let image = ops.gpr(R11);
        flags::set(ops, RESTORED | RF | VM, image & RESTORED);
    } else {
        flags::set(ops, IF, IF);
    }
    set_level(
        ops,
        cs | 3,
        code(3, to_long),
        base.wrapping_add(8) | 3,
        stack,
    );
    Ok(Done::SystemCall { rip })
}

/// Makes sure that SYSENTER or, for the `kernel` only, SYSEXIT can be executed. Returns whether long
/// mode is active, and the code segment.
fn check_sysenter<O: Ops>(ops: &mut O, kernel: bool) -> Result<(bool, u16)> {
    if ops.mode() == Mode::Real {
        return Err(refused(ops));
    }
    if kernel {
        check_kernel(ops)?;
    }
    let long = ops.long_mode()?;
    defined(ops.vendor() == Vendor::Intel || !long)?;
    check_untracked(ops)?;
    ops.selector(Segment::Cs)?;
    // CAST: The register has 16 bits that count.
    let selector = ops.msr(MSR_SYSENTER_CS)? as u16 & !3;
    if selector == 0 {
        return Err(refused(ops));
    }
    Ok((long, selector))
}

/// Executes 0F 34: SYSENTER.
pub(crate) fn enter<O: Ops>(ops: &mut O, _: &Context) -> Result<Done> {
    let (long, selector) = check_sysenter(ops, false)?;
    let (rip, rsp) = (ops.msr(MSR_SYSENTER_EIP)?, ops.msr(MSR_SYSENTER_ESP)?);
    let width = match long {
        true => Width::Qword,
        false => Width::Dword,
    };
    flags::set(ops, VM | IF, 0);
    set_level(
        ops,
        selector,
        code(0, long),
        selector.wrapping_add(8),
        data(0),
    );
    Register::low(Gpr::RSP, width).set(ops, rsp);
    Ok(Done::Jump {
        rip: width.truncate(rip),
    })
}

/// Executes 0F 35: SYSEXIT.
pub(crate) fn exit<O: Ops>(ops: &mut O, cx: &Context) -> Result<Done> {
    let (_, selector) = check_sysenter(ops, true)?;
    let to_long = cx.insn.operand_size == Width::Qword;
    let (width, offset) = match to_long {
        true => (Width::Qword, 32),
        false => (Width::Dword, 16),
    };
    let rip = width.truncate(ops.gpr(Gpr::RDX));
    let rsp = width.truncate(ops.gpr(Gpr::RCX));
    let bits = ops.linear_bits();
    if !is_canonical(rip, bits) || !is_canonical(rsp, bits) {
        return Err(refused(ops));
    }
    let cs = selector.wrapping_add(offset);
    set_level(
        ops,
        cs | 3,
        code(3, to_long),
        cs.wrapping_add(8) | 3,
        data(3),
    );
    Register::low(Gpr::RSP, width).set(ops, rsp);
    Ok(Done::Jump { rip })
}

/// Executes CC, CD, CE, F1: INT3, INT n, INTO and INT1.
pub(crate) fn interrupt<O: Ops>(ops: &mut O, cx: &Context) -> Result<Done> {
    check_untracked(ops)?;
    let len = cx.insn.len;
    let (vector, by) = match cx.insn.opcode {
        0xcc => (3, Software::Exception),
        0xce if ops.rflags() & OF == 0 => return Ok(Done::Next { len }),
        0xce => (4, Software::Exception),
        0xf1 => (1, Software::Privileged),
        _ => {
            if ops.mode() == Mode::Virtual8086 {
                if ops.control(Control::Cr4)? & CR4_VME != 0 {
                    // A bitmap in the task state segment says where it goes.
                    return Err(Fault::Unhandleable);
                }
                if iopl(ops.rflags()) != 3 {
                    return Err(Exception::protection(Mode::Virtual8086).into());
                }
            }
            // CAST: A byte was read.
            (cx.insn.immediate as u8, Software::Interrupt)
        }
    };
    Ok(Done::Interrupt { vector, by, len })
}
