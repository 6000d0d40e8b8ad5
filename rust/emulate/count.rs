// SPDX-License-Identifier: GPL-2.0-only

//! Instructions that count or find bits, or rearrange bytes: BSF, BSR, TZCNT, LZCNT, POPCNT, BSWAP,
//! MOVBE and CRC32.

use super::{
    flags::{
        self,
        CF,
        STATUS,
        ZF, //
    },
    operand::Context,
    ops::{
        Access,
        Exception,
        Feature,
        Ops,
        Result, //
    },
    prefix::Repeat,
    width::Width, //
};

/// Executes 0F BC, 0F BD: BSF and BSR, or with F3 TZCNT and LZCNT.
pub(crate) fn scan<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let backward = cx.insn.opcode & 1 != 0;
    let feature = if backward {
        Feature::Lzcnt
    } else {
        Feature::Bmi1
    };
    let counts = cx.insn.prefixes.repeat == Repeat::F3 && ops.has(feature);
    let width = cx.insn.operand_size;
    let value = cx.rm(ops, width, Access::Read)?.get(ops)?;
    let target = cx.reg(width);
    let zeros = if backward {
        value
            .leading_zeros()
            .wrapping_sub(64u32.wrapping_sub(width.bits()))
    } else {
        value.trailing_zeros().min(width.bits())
    };
    if counts {
        target.set(ops, zeros.into());
        let carry = if value == 0 { CF } else { 0 };
        let zero = if zeros == 0 { ZF } else { 0 };
        flags::set(ops, CF | ZF, carry | zero);
        return Ok(());
    }
    if value == 0 {
        // The register keeps its value, on AMD's processors by their manual and on others in fact.
        flags::set(ops, ZF, ZF);
        return Ok(());
    }
    let position = if backward {
        width.bits().wrapping_sub(1).wrapping_sub(zeros)
    } else {
        zeros
    };
    target.set(ops, position.into());
    flags::set(ops, ZF, 0);
    Ok(())
}

/// Executes F3 0F B8: POPCNT.
pub(crate) fn population<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    if cx.insn.prefixes.repeat != Repeat::F3 || !ops.has(Feature::Popcnt) {
        return Err(Exception::UNDEFINED.into());
    }
    let width = cx.insn.operand_size;
    let value = cx.rm(ops, width, Access::Read)?.get(ops)?;
    cx.reg(width).set(ops, value.count_ones().into());
    flags::set(ops, STATUS, if value == 0 { ZF } else { 0 });
    Ok(())
}

/// Returns `value` with its bytes in the opposite order.
const fn swapped(value: u64, width: Width) -> u64 {
    value
        .swap_bytes()
        .wrapping_shr(64u32.wrapping_sub(width.bits()))
}

/// Executes 0F C8 to 0F CF: BSWAP. What it does to a word is undefined: the result is 0.
pub(crate) fn swap<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let width = cx.insn.operand_size;
    let target = cx.register(cx.insn.opcode_reg(), width);
    let value = match width {
        Width::Word => 0,
        _ => swapped(target.get(ops), width),
    };
    target.set(ops, value);
    Ok(())
}

/// Executes 0F 38 F0, 0F 38 F1: MOVBE, or with F2 CRC32.
pub(crate) fn swap_move_or_check<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    if cx.insn.prefixes.repeat == Repeat::F2 {
        return checksum(ops, cx);
    }
    if cx.insn.prefixes.repeat == Repeat::F3 || !ops.has(Feature::Movbe) {
        return Err(Exception::UNDEFINED.into());
    }
    let width = cx.insn.operand_size;
    let stores = cx.insn.opcode & 1 != 0;
    let access = if stores { Access::Write } else { Access::Read };
    let rm = cx.memory(ops, width, access)?;
    let reg = cx.reg(width);
    if stores {
        let value = swapped(reg.get(ops), width);
        return rm.set(ops, value);
    }
    let value = swapped(rm.get(ops)?, width);
    reg.set(ops, value);
    Ok(())
}

/// Executes F2 0F 38 F0, F2 0F 38 F1: CRC32 with the polynomial of iSCSI.
fn checksum<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    if !ops.has(Feature::Sse42) {
        return Err(Exception::UNDEFINED.into());
    }
    let width = cx.insn.byte_or_operand_size();
    let value = cx.rm(ops, width, Access::Read)?.get(ops)?;
    // The sum has 32 bits; REX.W makes the register 64 bits wide, with an empty upper half.
    let target = cx.insn.operand_size.max(Width::Dword);
    let target = cx.register(cx.insn.reg(), target);
    let sum = Width::Dword.truncate(target.get(ops));
    target.set(ops, crc32c(sum, value, width));
    Ok(())
}

/// Adds the bytes of `value` to a sum.
const fn crc32c(sum: u64, value: u64, width: Width) -> u64 {
    /// The polynomial 1EDC6F41, its bits reversed.
    const POLYNOMIAL: u64 = 0x82f6_3b78;
    let mut sum = sum;
    let mut bit = 0;
    while bit < width.bits() {
        let next = (sum ^ value.wrapping_shr(bit)) & 1;
        sum = sum.wrapping_shr(1) ^ (next.wrapping_neg() & POLYNOMIAL);
        bit = bit.wrapping_add(1);
    }
    sum
}
