// SPDX-License-Identifier: GPL-2.0-only

//! Rewrites instructions so that a processor in 64-bit mode can execute them with other operands; see
//! [`Replay`].

use super::shape::{
    General,
    Shape, //
};
use crate::emulate::{
    decode::{
        Decoded,
        Map,
        Rm, //
    },
    operand::Context,
    ops::{
        Buffer,
        Replay,
        BUFFER_LEN, //
    },
    prefix::{
        Repeat,
        REX_B,
        REX_R,
        REX_W,
        REX_X, //
    },
    vex::Encoding,
    CodeWidth,
    MAX_INSN_LEN, //
};

/// RBX, through which the memory operand is reached.
const POINTER: u8 = 3;
/// RCX, in whose place another general register is named.
const STAND_IN: u8 = 1;

/// Bytes that are put together.
struct Code {
    bytes: [u8; MAX_INSN_LEN],
    len: u8,
}

impl Code {
    const fn new() -> Self {
        Self {
            bytes: [0; MAX_INSN_LEN],
            len: 0,
        }
    }

    /// Adds a byte. There is always room: nothing here has more than 9.
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(usize::from(self.len)) {
            *place = byte;
            self.len = self.len.saturating_add(1);
        }
    }
}

/// An instruction rewritten, and whether it writes RAX.
pub(crate) struct Replayed(Code, bool);

impl Replayed {
    /// The instruction with empty operands.
    pub(super) fn blank(&self) -> Replay {
        Replay {
            code: self.0.bytes,
            len: self.0.len,
            rax: 0,
            rcx: 0,
            rdx: 0,
            flags: 0,
            buffer: Buffer([0; BUFFER_LEN]),
            buffer_len: 0,
            data_offset: 0,
            opcode: 0,
            leaves_pointers: false,
        }
    }

    /// Whether it writes RAX.
    pub(super) const fn stores_ax(&self) -> bool {
        self.1
    }
}

/// Rewrites an MMX or vector instruction for 64-bit mode, with other operands where it has any
/// outside the unit, and `register` in vvvv: 0 to 15, with EVEX 0 to 31.
pub(super) fn rewrite(cx: &Context, shape: &Shape, register: u8) -> Replayed {
    let insn = &cx.insn;
    let mut rex = insn.prefixes.rex & (REX_W | REX_R | REX_X | REX_B);
    let mut modrm = insn.modrm.0;
    match insn.rm {
        Rm::Memory(_) => {
            modrm = modrm & 0x38 | POINTER;
            rex &= !(REX_X | REX_B);
        }
        _ if matches!(shape.general, General::RmRead | General::RmWritten) => {
            modrm = modrm & 0xf8 | STAND_IN;
            rex &= !REX_B;
        }
        _ => {}
    }
    if shape.general == General::RegWritten {
        modrm = modrm & 0xc7 | STAND_IN << 3;
        rex &= !REX_R;
    }
    // W makes a general register wider in 64-bit mode only.
    let mut wide = insn.vector.wide;
    if shape.general != General::No && cx.code != CodeWidth::Bits64 {
        wide = false;
    }

    let mut code = Code::new();
    if insn.is_legacy() {
        legacy_prefixes(&mut code, insn);
        if rex != 0 {
            code.push(0x40 | rex);
        }
        code.push(0x0f);
        match insn.map {
            Map::Of38 => code.push(0x38),
            Map::Of3a => code.push(0x3a),
            _ => {}
        }
    } else {
        introduce(&mut code, insn, rex, wide, register);
    }
    code.push(insn.opcode);
    if (insn.map, insn.opcode) == (Map::Of, 0x77) {
        return Replayed(code, false);
    }
    code.push(modrm);
    // EXTRQ and INSERTQ.
    let extracts = insn.is_legacy() && (insn.map, insn.opcode) == (Map::Of, 0x78);
    let has_constant = match insn.map {
        Map::Of => extracts || matches!(insn.opcode, 0x70..=0x73 | 0xc2 | 0xc4..=0xc6),
        Map::Of3a => true,
        _ => false,
    };
    if has_constant {
        // CAST: A byte, extended.
        code.push(insn.immediate as u8);
    }
    if extracts {
        // CAST: A byte.
        code.push(insn.immediate2 as u8);
    }
    Replayed(code, false)
}

/// Adds a VEX or EVEX prefix, with R, X and B from `rex`, W from `wide` and vvvv from `register`.
fn introduce(code: &mut Code, insn: &Decoded, rex: u8, wide: bool, register: u8) {
    let vector = &insn.vector;
    let map = match insn.map {
        Map::Of38 => 2,
        Map::Of3a => 3,
        _ => 1,
    };
    let prefix = match (insn.prefixes.repeat, insn.prefixes.operand_size) {
        (Repeat::F3, _) => 2,
        (Repeat::F2, _) => 3,
        (Repeat::None, true) => 1,
        (Repeat::None, false) => 0,
    };
    let bit = |set: bool, number: u8| u8::from(set) << number;
    // R, X and B are inverted, and so is vvvv.
    let first = (!rex & (REX_R | REX_X | REX_B)) << 5 | map;
    let second = bit(wide, 7) | (!register & 15) << 3 | prefix;
    if vector.encoding == Encoding::Evex {
        // The fifth bits of registers are inverted too.
        let high = bit(!vector.reg_high, 4);
        let third = bit(vector.zeroing, 7)
            | (vector.length & 3) << 5
            | bit(vector.broadcast, 4)
            | bit(register & 16 == 0, 3)
            | vector.mask & 7;
        for byte in [0x62, first | high, second | 4, third] {
            code.push(byte);
        }
    } else {
        for byte in [0xc4, first, second | vector.length << 2] {
            code.push(byte);
        }
    }
}

/// Adds 66, F2 and F3 as they were.
fn legacy_prefixes(code: &mut Code, insn: &Decoded) {
    if insn.prefixes.operand_size {
        code.push(0x66);
    }
    match insn.prefixes.repeat {
        Repeat::F2 => code.push(0xf2),
        Repeat::F3 => code.push(0xf3),
        Repeat::None => {}
    }
}

/// Rewrites an x87 instruction. `wide_environment` says that an environment has 32-bit fields.
pub(crate) fn rewrite_x87(insn: &Decoded, wide_environment: bool) -> Replayed {
    let mut code = Code::new();
    if !wide_environment {
        code.push(0x66);
    }
    code.push(insn.opcode);
    let modrm = match insn.rm {
        Rm::Memory(_) => insn.modrm.0 & 0x38 | POINTER,
        _ => insn.modrm.0,
    };
    code.push(modrm);
    let stores_ax = insn.opcode == 0xdf && insn.modrm.0 == 0xe0;
    Replayed(code, stores_ax)
}

/// FWAIT.
pub(crate) fn wait() -> Replayed {
    let mut code = Code::new();
    code.push(0x9b);
    Replayed(code, false)
}
