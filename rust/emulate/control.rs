// SPDX-License-Identifier: GPL-2.0-only

//! Control and debug registers: MOV, LMSW, SMSW and CLTS.

use super::{
    decode::Rm,
    operand::{
        Context,
        Register, //
    },
    ops::{
        Access,
        Control,
        Exception,
        Fault,
        Gpr,
        Mode,
        Ops,
        Result, //
    },
    prefix::{
        REX_B,
        REX_R, //
    },
    selector::store_word,
    width::Width,
    CodeWidth,
    Vendor, //
};

/// CR0.PE.
const CR0_PE: u64 = 1 << 0;
/// CR0.TS.
const CR0_TS: u64 = 1 << 3;
/// CR4.DE.
const CR4_DE: u64 = 1 << 3;
/// CR4.UMIP.
const CR4_UMIP: u64 = 1 << 11;
/// DR7.GD.
const DR7_GD: u64 = 1 << 13;

/// Refuses instructions that only the kernel may execute.
///
/// # Errors
///
/// #GP.
pub(crate) fn check_kernel<O: Ops>(ops: &O) -> Result {
    if ops.cpl() == 0 {
        Ok(())
    } else {
        Err(Exception::protection(ops.mode()).into())
    }
}

/// Refuses instructions that tell users what kernels do, if they are to be refused.
///
/// # Errors
///
/// #GP.
pub(crate) fn check_umip<O: Ops>(ops: &O) -> Result {
    if ops.cpl() != 0 && ops.control(Control::Cr4)? & CR4_UMIP != 0 {
        return Err(Exception::protection(ops.mode()).into());
    }
    Ok(())
}

/// Returns the width of general registers that special ones are moved from and to; no prefix changes
/// it.
const fn width(cx: &Context) -> Width {
    match cx.code {
        CodeWidth::Bits64 => Width::Qword,
        _ => Width::Dword,
    }
}

/// Returns the general register in ModRM.rm.
fn general(cx: &Context) -> Register {
    let high = cx.insn.prefixes.rex & REX_B != 0;
    let number = cx.insn.modrm.rm() | if high { 8 } else { 0 };
    Register::low(Gpr::new(number), width(cx))
}

/// Executes 0F 20, 0F 22: MOV from and to a control register.
pub(crate) fn move_control<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let lock = cx.insn.prefixes.lock;
    // On AMD's processors LOCK stands in for REX.R, so that 32-bit code can name CR8.
    let number = match (lock, cx.insn.reg().number()) {
        (true, number) if ops.vendor() == Vendor::Amd && number < 8 => number | 8,
        (true, _) => return Err(Exception::UNDEFINED.into()),
        (false, number) => number,
    };
    let register = match number {
        0 => Control::Cr0,
        2 => Control::Cr2,
        3 => Control::Cr3,
        4 => Control::Cr4,
        8 => Control::Cr8,
        _ => return Err(Exception::UNDEFINED.into()),
    };
    check_kernel(ops)?;
    let general = general(cx);
    if cx.insn.opcode & 2 == 0 {
        let value = ops.control(register)?;
        general.set(ops, value);
        Ok(())
    } else {
        let value = general.get(ops);
        ops.set_control(register, value)
    }
}

/// Executes 0F 21, 0F 23: MOV from and to a debug register.
pub(crate) fn move_debug<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    if cx.insn.prefixes.rex & REX_R != 0 {
        return Err(Exception::UNDEFINED.into());
    }
    check_kernel(ops)?;
    let number = match cx.insn.digit() {
        // Other names, while they are not reserved.
        number @ (4 | 5) => {
            if ops.control(Control::Cr4)? & CR4_DE != 0 {
                return Err(Exception::UNDEFINED.into());
            }
            number.wrapping_add(2)
        }
        number => number,
    };
    if ops.debug(7)? & DR7_GD != 0 {
        // A debug exception that leaves something in DR6.
        return Err(Fault::Unhandleable);
    }
    let general = general(cx);
    if cx.insn.opcode & 2 == 0 {
        let value = ops.debug(number)?;
        general.set(ops, value);
        return Ok(());
    }
    let value = general.get(ops);
    if number > 3 && value >> 32 != 0 {
        return Err(Exception::protection(ops.mode()).into());
    }
    ops.set_debug(number, value)
}

/// Executes 0F 06: CLTS.
pub(crate) fn clear_task_switched<O: Ops>(ops: &mut O, _: &Context) -> Result {
    check_kernel(ops)?;
    let old = ops.control(Control::Cr0)?;
    ops.set_control(Control::Cr0, old & !CR0_TS)
}

/// Executes 0F 01 /6: LMSW, which can set CR0.PE but not clear it.
pub(crate) fn load_status<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    check_kernel(ops)?;
    let value = cx.rm(ops, Width::Word, Access::Read)?.get(ops)?;
    let old = ops.control(Control::Cr0)?;
    ops.set_control(Control::Cr0, old & !0xe | value & 0xf | old & CR0_PE)
}

/// Executes 0F 01 /4: SMSW. A register gets as much of CR0 as it has room for.
pub(crate) fn store_status<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    check_umip(ops)?;
    let value = ops.control(Control::Cr0)?;
    match cx.insn.rm {
        // CAST: Memory gets 16 bits.
        Rm::Memory(_) => store_word(ops, cx, value as u16),
        _ => cx
            .rm(ops, cx.insn.operand_size, Access::Write)?
            .set(ops, value),
    }
}

/// Refuses instructions that exist only in protected mode.
///
/// # Errors
///
/// #UD.
pub(crate) fn check_protected<O: Ops>(ops: &O) -> Result {
    match ops.mode() {
        Mode::Protected => Ok(()),
        _ => Err(Exception::UNDEFINED.into()),
    }
}
