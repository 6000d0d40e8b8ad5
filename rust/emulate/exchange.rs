// SPDX-License-Identifier: GPL-2.0-only

//! Exchanges: XCHG, XADD, CMPXCHG, CMPXCHG8B and CMPXCHG16B.

use super::{
    flags::{
        self,
        STATUS,
        ZF, //
    },
    machine::defined,
    operand::{
        Context,
        Operand,
        Register, //
    },
    ops::{
        Access,
        Fault,
        Feature,
        Gpr,
        Ops,
        Result, //
    },
    prefix::Repeat,
    width::Width,
    Vendor, //
};

/// Executes 86, 87: XCHG, which with memory always behaves as if it had LOCK.
pub(crate) fn exchange<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.byte_or_operand_size();
    let reg = cx.reg(width);
    let target = cx.rm(ops, width, Access::ReadWrite)?;
    let old = target.get(ops)?;
    target.replace(ops, old, reg.get(ops), true)?;
    reg.set(ops, old);
    Ok(())
}

/// Executes 90 to 97: XCHG of the accumulator with a register; 90 itself is NOP. F3 90 is PAUSE, with REX.B only on
/// Intel's processors (seen).
pub(crate) fn exchange_accumulator<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.operand_size;
    let number = cx.insn.opcode_reg();
    let pause = cx.insn.opcode == 0x90
        && cx.insn.prefixes.repeat == Repeat::F3
        && ops.vendor() == Vendor::Intel;
    if number != Gpr::RAX && !pause {
        let (a, b) = (Register::low(Gpr::RAX, width), Register::low(number, width));
        let (old_a, old_b) = (a.get(ops), b.get(ops));
        a.set(ops, old_b);
        b.set(ops, old_a);
    }
    Ok(())
}

/// Executes 0F C0, 0F C1: XADD.
pub(crate) fn exchange_add<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.byte_or_operand_size();
    let reg = cx.reg(width);
    let target = cx.rm(ops, width, Access::ReadWrite)?;
    let old = target.get(ops)?;
    let result = flags::add(old, reg.get(ops), false, width);
    if target.is_memory() {
        target.replace(ops, old, result.value, cx.insn.prefixes.lock)?;
        reg.set(ops, old);
    } else {
        // The sum stays if both are the same register.
        reg.set(ops, old);
        target.set(ops, result.value)?;
    }
    flags::set(ops, STATUS, result.flags);
    Ok(())
}

/// Executes 0F B0, 0F B1: CMPXCHG. Memory is written in both cases, with what it held if it was not
/// equal.
pub(crate) fn compare_exchange<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.byte_or_operand_size();
    let accumulator = Register::low(Gpr::RAX, width);
    let target = cx.rm(ops, width, Access::ReadWrite)?;
    let old = target.get(ops)?;
    let expected = accumulator.get(ops);
    let result = flags::sub(expected, old, false, width);
    if old == expected {
        let new = cx.reg(width).get(ops);
        target.replace(ops, old, new, cx.insn.prefixes.lock)?;
    } else {
        if let Operand::Memory(..) = target {
            target.replace(ops, old, old, cx.insn.prefixes.lock)?;
        }
        accumulator.set(ops, old);
    }
    flags::set(ops, STATUS, result.flags);
    Ok(())
}

/// Executes 0F C7 /1: CMPXCHG8B, or with REX.W CMPXCHG16B, whose operand must be aligned.
pub(crate) fn compare_exchange_pair<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.operand_size.max(Width::Dword);
    defined(width == Width::Dword || ops.has(Feature::CmpXchg16b))?;
    let half = width.bytes();
    let len = half.wrapping_mul(2);
    let place = match width {
        Width::Qword => cx.memory_aligned(ops, len, Access::ReadWrite)?,
        _ => cx.memory_bytes(ops, len, len, Access::ReadWrite)?,
    };
    let mut bytes = [0; 16];
    let old = bytes.get_mut(..len).ok_or(Fault::Unhandleable)?;
    ops.read(&place, old)?;

    let pair = |ops: &O, high: Gpr, low: Gpr| {
        let (high, low) = (Register::low(high, width), Register::low(low, width));
        u128::from(high.get(ops)).wrapping_shl(width.bits()) | u128::from(low.get(ops))
    };
    let held = u128::from_le_bytes(bytes);
    let equal = held == pair(ops, Gpr::RDX, Gpr::RAX);
    let new = match equal {
        true => pair(ops, Gpr::RCX, Gpr::RBX),
        false => held,
    };
    let new = new.to_le_bytes();
    let old = bytes.get(..len).ok_or(Fault::Unhandleable)?;
    let new = new.get(..len).ok_or(Fault::Unhandleable)?;
    if cx.insn.prefixes.lock {
        ops.compare_exchange(&place, old, new)?;
    } else {
        ops.write(&place, new)?;
    }
    if !equal {
        // CAST: The halves.
        Register::low(Gpr::RAX, width).set(ops, held as u64);
        let high = held.wrapping_shr(width.bits()) as u64;
        Register::low(Gpr::RDX, width).set(ops, high);
    }
    flags::set(ops, ZF, if equal { ZF } else { 0 });
    Ok(())
}
