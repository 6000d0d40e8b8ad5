// SPDX-License-Identifier: GPL-2.0-only

//! The encodings that replace prefixes and escape bytes: VEX, EVEX and XOP.
//!
//! Each begins with a byte that is, or was, an opcode: C4 and C5 (LES, LDS), 62 (BOUND) and 8F
//! (POP). What tells the two apart is a byte that no memory operand could have.
//!
//! Source: AMD APM volume 3, sections 1.2.8 "VEX Prefix" and 1.2.9 "XOP Prefix"; Intel SDM volume 2,
//! section 2.7 "Intel AVX-512 Encoding".

use super::{
    decode::{
        Cursor,
        Map,
        Refusal, //
    },
    opcodes::{
        self,
        Attributes, //
    },
    prefix::{
        Prefixes,
        Repeat,
        REX_B,
        REX_R,
        REX_W,
        REX_X, //
    },
    CodeWidth, //
};

/// How the opcode was introduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// By legacy prefixes, REX and escape bytes.
    Legacy,
    /// By C4 or C5.
    Vex,
    /// By 62.
    Evex,
    /// By 8F.
    Xop,
}

/// What such an encoding says that prefixes could not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vector {
    /// Which encoding it is. If it is [`Encoding::Legacy`], nothing else in here counts.
    pub(crate) encoding: Encoding,
    /// The register in vvvv: 0 to 7 outside 64-bit mode, where the highest bit is ignored; else 0 to
    /// 15, or with EVEX 0 to 31.
    pub(crate) register: u8,
    /// Whether vvvv (with EVEX also V') is all ones, as it must be where it names no operand.
    pub(crate) no_register: bool,
    /// L: 0 for 128 bits or a scalar, 1 for 256, 2 for 512.
    pub(crate) length: u8,
    /// W, in every mode. In 64-bit mode REX.W says the same.
    pub(crate) wide: bool,
    /// EVEX: bit 4 of ModRM.reg.
    pub(crate) reg_high: bool,
    /// EVEX: the opmask register, 0 for none.
    pub(crate) mask: u8,
    /// EVEX: masked elements become zero.
    pub(crate) zeroing: bool,
    /// EVEX: b, one element for all, or rounding.
    pub(crate) broadcast: bool,
}

impl Vector {
    /// Of an instruction that has none of these encodings.
    pub(crate) const NONE: Self = Self {
        encoding: Encoding::Legacy,
        register: 0,
        no_register: true,
        length: 0,
        wide: false,
        reg_high: false,
        mask: 0,
        zeroing: false,
        broadcast: false,
    };
}

/// Returns which encoding `opcode` begins, given the byte after it.
pub(super) fn encoding(opcode: u8, next: Result<u8, Refusal>, code: CodeWidth) -> Encoding {
    let found = match opcode {
        0xc4 | 0xc5 => Encoding::Vex,
        0x62 => Encoding::Evex,
        0x8f => Encoding::Xop,
        _ => return Encoding::Legacy,
    };
    let begins = match (opcode, next) {
        // POP has ModRM.reg 0; XOP numbers its maps from 8.
        (0x8f, Ok(next)) => next & 0x1f >= 8,
        (0x8f, Err(_)) => false,
        // Outside 64-bit mode these are LES, LDS and BOUND, which have no register form.
        (_, Ok(next)) => code == CodeWidth::Bits64 || next >= 0xc0,
        (_, Err(_)) => code == CodeWidth::Bits64,
    };
    if begins {
        found
    } else {
        Encoding::Legacy
    }
}

/// Reads the rest of an encoding whose first byte, `first`, was read, and the opcode.
///
/// What the encoding says in place of prefixes goes into `prefixes`.
///
/// # Errors
///
/// [`Refusal::Undefined`] after a prefix that must not stand before it, and for maps that do not
/// exist; with XOP neither.
pub(super) fn read(
    cursor: &mut Cursor<'_>,
    prefixes: &mut Prefixes,
    first: u8,
    code: CodeWidth,
) -> Result<(Map, u8, Attributes, Vector), Refusal> {
    let plain = prefixes.rex == 0
        && !prefixes.lock
        && !prefixes.operand_size
        && prefixes.repeat == Repeat::None;
    let mut vector = Vector::NONE;
    vector.encoding = encoding(first, cursor.peek(), code);
    // Processors without XOP do not treat it as undefined then.
    if !plain && vector.encoding != Encoding::Xop {
        return Err(Refusal::Undefined);
    }
    let one = cursor.byte()?;
    // R, X and B are stored inverted, in the highest bits of the first byte after the escape.
    let (number, rxb, last) = match (vector.encoding, first) {
        (Encoding::Vex, 0xc5) => (1, !one >> 5 & REX_R, one & 0x7f),
        (Encoding::Evex, _) => (one & 7, !one >> 5, cursor.byte()?),
        _ => (one & 0x1f, !one >> 5, cursor.byte()?),
    };
    let inverted = !last >> 3 & 15;
    vector.register = inverted;
    vector.no_register = inverted == 0;
    vector.wide = last & 0x80 != 0;
    match vector.encoding {
        Encoding::Evex => {
            let three = cursor.byte()?;
            // Two bits have a fixed value.
            if one & 8 != 0 || last & 4 == 0 {
                return Err(Refusal::Undefined);
            }
            vector.reg_high = one & 0x10 == 0;
            let register_high = three & 8 == 0;
            // There are 8 registers outside 64-bit mode.
            if register_high && code != CodeWidth::Bits64 {
                return Err(Refusal::Undefined);
            }
            vector.no_register &= !register_high;
            vector.register |= u8::from(register_high) << 4;
            vector.length = three >> 5 & 3;
            vector.mask = three & 7;
            vector.zeroing = three & 0x80 != 0;
            vector.broadcast = three & 0x10 != 0;
        }
        _ => vector.length = last >> 2 & 1,
    }
    if code == CodeWidth::Bits64 {
        let w = if vector.wide { REX_W } else { 0 };
        // REX_R is 4, REX_X 2 and REX_B 1, in the order in which they stand here.
        prefixes.rex = 0x40 | w | (rxb & (REX_R | REX_X | REX_B));
    } else {
        vector.register &= 7;
        vector.reg_high = false;
    }
    match last & 3 {
        1 => prefixes.operand_size = true,
        2 => prefixes.repeat = Repeat::F3,
        3 => prefixes.repeat = Repeat::F2,
        _ => {}
    }
    let map = map(vector.encoding, number).ok_or(Refusal::Undefined)?;
    let opcode = cursor.byte()?;
    Ok((map, opcode, opcodes::vector(map, opcode), vector))
}

/// Returns the map that has this number.
const fn map(encoding: Encoding, number: u8) -> Option<Map> {
    Some(match (encoding, number) {
        (Encoding::Vex | Encoding::Evex, 1) => Map::Of,
        (Encoding::Vex | Encoding::Evex, 2) => Map::Of38,
        (Encoding::Vex | Encoding::Evex, 3) => Map::Of3a,
        (Encoding::Evex, 5) => Map::Five,
        (Encoding::Evex, 6) => Map::Six,
        (Encoding::Xop, 8) => Map::Eight,
        (Encoding::Xop, 10) => Map::Ten,
        (Encoding::Xop, _) => Map::Nine,
        _ => return None,
    })
}
