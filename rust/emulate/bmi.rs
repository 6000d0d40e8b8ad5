// SPDX-License-Identifier: GPL-2.0-only

//! Bit manipulation on general registers in VEX encodings (BMI1, BMI2), and ADCX and ADOX.

use super::{
    decode::Map,
    flags::{
        self,
        CF,
        OF,
        SF,
        STATUS,
        ZF, //
    },
    multiply,
    operand::{
        Context,
        Register, //
    },
    ops::{
        Access,
        Exception,
        Fault,
        Feature,
        Gpr,
        Mode,
        Ops,
        Result, //
    },
    prefix::Repeat,
    shift,
    width::Width, //
};

/// Returns the register in vvvv.
fn second(cx: &Context, width: Width) -> Register {
    Register::low(Gpr::new(cx.insn.vector.register), width)
}

/// Refuses what no VEX instruction on general registers may be: outside protected mode, 256 bits
/// wide, or on a processor without it.
fn check<O: Ops>(ops: &O, cx: &Context, feature: Feature) -> Result {
    let good = ops.mode() == Mode::Protected && cx.insn.vector.length == 0 && ops.has(feature);
    if good {
        Ok(())
    } else {
        Err(Exception::UNDEFINED.into())
    }
}

/// Sets SF and ZF by the result and `carry`; clears OF. AF and PF are undefined and stay.
fn set_flags<O: Ops>(ops: &mut O, value: u64, carry: bool, width: Width) {
    let carry = if carry { CF } else { 0 };
    let flags = flags::logic(value, width).flags;
    flags::set(ops, CF | ZF | SF | OF, flags | carry);
}

/// Executes VEX 0F 38 F2 to F7 and VEX 0F 3A F0.
pub(crate) fn vex<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let (sixty_six, repeat) = (cx.insn.prefixes.operand_size, cx.insn.prefixes.repeat);
    let plain = !sixty_six && repeat == Repeat::None;
    match (cx.insn.map, cx.insn.opcode) {
        (Map::Of3a, 0xf0) if repeat == Repeat::F2 => {
            check(ops, cx, Feature::Bmi2)?;
            if !cx.insn.vector.no_register {
                return Err(Exception::UNDEFINED.into());
            }
            shift::rotate_without_flags(ops, cx)
        }
        (Map::Of38, 0xf2) if plain => and_not(ops, cx),
        (Map::Of38, 0xf3) if plain => lowest(ops, cx),
        (Map::Of38, 0xf5) if plain => zero_high(ops, cx),
        (Map::Of38, 0xf5) if !sixty_six => spread(ops, cx, repeat),
        (Map::Of38, 0xf6) if repeat == Repeat::F2 => {
            check(ops, cx, Feature::Bmi2)?;
            multiply::without_flags(ops, cx)
        }
        (Map::Of38, 0xf7) if plain => extract(ops, cx),
        (Map::Of38, 0xf7) => {
            check(ops, cx, Feature::Bmi2)?;
            shift::without_flags(ops, cx)
        }
        _ => Err(Fault::Unhandleable),
    }
}

/// ANDN.
fn and_not<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    check(ops, cx, Feature::Bmi1)?;
    let width = cx.insn.operand_size;
    let value = cx.rm(ops, width, Access::Read)?.get(ops)?;
    let result = !second(cx, width).get(ops) & value;
    cx.reg(width).set(ops, result);
    set_flags(ops, width.truncate(result), false, width);
    Ok(())
}

/// BLSR, BLSMSK and BLSI.
fn lowest<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    check(ops, cx, Feature::Bmi1)?;
    let width = cx.insn.operand_size;
    let digit = cx.insn.digit();
    if !matches!(digit, 1..=3) {
        return Err(Exception::UNDEFINED.into());
    }
    let value = cx.rm(ops, width, Access::Read)?.get(ops)?;
    let less = value.wrapping_sub(1);
    let (result, carry) = match digit {
        1 => (value & less, value == 0),
        2 => (value ^ less, value == 0),
        _ => (value & value.wrapping_neg(), value != 0),
    };
    let result = width.truncate(result);
    second(cx, width).set(ops, result);
    set_flags(ops, result, carry, width);
    Ok(())
}

/// BZHI.
fn zero_high<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    check(ops, cx, Feature::Bmi2)?;
    let width = cx.insn.operand_size;
    let value = cx.rm(ops, width, Access::Read)?.get(ops)?;
    // CAST: The lowest byte is the index.
    let index = u32::from(second(cx, width).get(ops) as u8);
    let all = index >= width.bits();
    let result = if all {
        value
    } else {
        value & 1u64.wrapping_shl(index).wrapping_sub(1)
    };
    cx.reg(width).set(ops, result);
    set_flags(ops, result, all, width);
    Ok(())
}

/// BEXTR.
fn extract<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    check(ops, cx, Feature::Bmi1)?;
    let width = cx.insn.operand_size;
    let value = cx.rm(ops, width, Access::Read)?.get(ops)?;
    let control = second(cx, width).get(ops);
    // CAST: Two bytes.
    let (start, len) = (u32::from(control as u8), u32::from((control >> 8) as u8));
    let shifted = value.checked_shr(start).unwrap_or(0);
    let mask = match 1u64.checked_shl(len) {
        Some(bit) => bit.wrapping_sub(1),
        None => u64::MAX,
    };
    let result = shifted & mask;
    cx.reg(width).set(ops, result);
    let zero = if result == 0 { ZF } else { 0 };
    flags::set(ops, CF | ZF | OF, zero);
    Ok(())
}

/// PDEP (F2) and PEXT (F3).
fn spread<O: Ops>(ops: &mut O, cx: &Context, repeat: Repeat) -> Result {
    check(ops, cx, Feature::Bmi2)?;
    let width = cx.insn.operand_size;
    let mut mask = cx.rm(ops, width, Access::Read)?.get(ops)?;
    let source = second(cx, width).get(ops);
    let mut result = 0u64;
    // At most as many times as the mask has bits.
    let mut low = 0u32;
    while mask != 0 {
        let bit = mask & mask.wrapping_neg();
        let lowest = 1u64.wrapping_shl(low);
        let (from, to) = if repeat == Repeat::F2 {
            (lowest, bit)
        } else {
            (bit, lowest)
        };
        if source & from != 0 {
            result |= to;
        }
        mask ^= bit;
        low = low.wrapping_add(1);
    }
    cx.reg(width).set(ops, result);
    Ok(())
}

/// Executes 66 0F 38 F6 and F3 0F 38 F6: ADCX, which adds with CF alone, and ADOX, which takes OF for
/// it.
pub(crate) fn add_with<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let flag = match cx.insn.prefixes.repeat {
        Repeat::F3 => OF,
        Repeat::None if cx.insn.prefixes.operand_size => CF,
        _ => return Err(Fault::Unhandleable),
    };
    if !ops.has(Feature::Adx) {
        return Err(Exception::UNDEFINED.into());
    }
    // 66 is a part of the opcode.
    let width = cx.insn.operand_size.max(Width::Dword);
    let value = cx.rm(ops, width, Access::Read)?.get(ops)?;
    let target = cx.reg(width);
    let carry = ops.rflags() & flag != 0;
    let result = flags::add(target.get(ops), value, carry, width);
    target.set(ops, result.value);
    let out = if result.flags & CF != 0 { flag } else { 0 };
    flags::set(ops, flag & STATUS, out);
    Ok(())
}
