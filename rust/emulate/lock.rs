// SPDX-License-Identifier: GPL-2.0-only

//! Which instructions may have a LOCK prefix.
//!
//! Source: AMD APM volume 3, section 1.2.5 "Lock Prefix".

use super::{
    decode::{
        Decoded,
        Map,
        Rm, //
    },
    ops::{
        Exception,
        Result, //
    }, //
};

/// Refuses a LOCK prefix where the instruction may not have one.
///
/// # Errors
///
/// #UD.
pub(crate) fn check(insn: &Decoded) -> Result {
    let in_memory = matches!(insn.rm, Rm::Memory(_));
    if !insn.prefixes.lock || selects_register(insn) || (in_memory && writes_memory(insn)) {
        Ok(())
    } else {
        Err(Exception::UNDEFINED.into())
    }
}

/// Whether LOCK is a part of the register's number: MOV to and from CR8.
const fn selects_register(insn: &Decoded) -> bool {
    matches!((insn.map, insn.opcode), (Map::Of, 0x20 | 0x22))
}

/// Whether the instruction, its ModRM.rm operand being memory, can read and write it in one step.
const fn writes_memory(insn: &Decoded) -> bool {
    let (opcode, digit) = (insn.opcode, insn.digit());
    match (insn.map, opcode) {
        // ADD to XOR.
        (Map::One, 0x00..=0x37) => opcode & 7 < 2,
        (Map::One, 0x80..=0x83) => digit != 7,
        // XCHG.
        (Map::One, 0x86 | 0x87) => true,
        // NOT and NEG.
        (Map::One, 0xf6 | 0xf7) => matches!(digit, 2 | 3),
        // INC and DEC.
        (Map::One, 0xfe | 0xff) => digit < 2,
        // BTS, BTR and BTC.
        (Map::Of, 0xab | 0xb3 | 0xbb) => true,
        (Map::Of, 0xba) => digit > 4,
        // CMPXCHG and XADD.
        (Map::Of, 0xb0 | 0xb1 | 0xc0 | 0xc1) => true,
        // CMPXCHG8B and CMPXCHG16B.
        (Map::Of, 0xc7) => digit == 1,
        _ => false,
    }
}
