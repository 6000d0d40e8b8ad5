// SPDX-License-Identifier: GPL-2.0-only

//! What manuals leave open, and is therefore not compared.

use super::*;

/// Flags that the instruction leaves undefined, of those that it may change.
pub(super) fn flags(insn: &Decoded, recipe: &Recipe) -> u64 {
    let (opcode, digit) = (insn.opcode, insn.digit());
    let logical = |n: u8| matches!(n & 7, 1 | 4 | 6);
    let count = |value: u64| match insn.byte_or_operand_size() {
        Width::Qword => value & 63,
        _ => value & 31,
    };
    let shifted = |count: u64| match (count, digit) {
        (0, _) => 0,
        (1, 0..=3) => 0,
        (_, 0..=3) => OF,
        (1, _) => AF,
        _ if count >= u64::from(insn.byte_or_operand_size().bits()) => AF | OF | CF,
        _ => AF | OF,
    };
    match (insn.map, opcode) {
        (Map::One, 0x27 | 0x2f) => OF,
        (Map::One, 0x37 | 0x3f) => OF | SF | ZF | PF,
        (Map::One, 0xd4 | 0xd5) => OF | AF | CF,
        (Map::One, 0x00..=0x3f) if logical(opcode >> 3) => AF,
        (Map::One, 0x80..=0x83) if logical(digit) => AF,
        (Map::One, 0x84 | 0x85 | 0xa8 | 0xa9) => AF,
        (Map::One, 0xf6 | 0xf7) => match digit {
            0 | 1 => AF,
            4 | 5 => SF | ZF | AF | PF,
            6 | 7 => STATUS,
            _ => 0,
        },
        (Map::One, 0x69 | 0x6b) | (Map::Of, 0xaf) => SF | ZF | AF | PF,
        (Map::One, 0xc0 | 0xc1) => shifted(count(insn.immediate)),
        (Map::One, 0xd0 | 0xd1) => shifted(1),
        (Map::One, 0xd2 | 0xd3) => shifted(count(recipe.gprs[RCX])),
        (Map::Of, 0xa4 | 0xa5 | 0xac | 0xad) => {
            let count = match opcode & 1 {
                0 => insn.immediate,
                _ => recipe.gprs[RCX],
            };
            let count = match insn.operand_size {
                Width::Qword => count & 63,
                _ => count & 31,
            };
            match count {
                0 => 0,
                1 => AF,
                _ if count > u64::from(insn.operand_size.bits()) => STATUS,
                _ => AF | OF,
            }
        }
        (Map::Of, 0xa3 | 0xab | 0xb3 | 0xbb | 0xba) => OF | SF | AF | PF,
        (Map::Of, 0xbc | 0xbd) => OF | SF | AF | PF | CF,
        (Map::Of38, 0xf2 | 0xf3) if !insn.is_legacy() => AF | PF,
        (Map::Of38, 0xf5) if !insn.is_legacy() => AF | PF,
        (Map::Of38, 0xf7) if !insn.is_legacy() => AF | PF | SF,
        _ => 0,
    }
}

/// Whether this processor is Intel's and leaves flags as they were between two iterations: CMPS and SCAS.
pub(super) fn between_iterations(insn: &Decoded) -> bool {
    vendor() == Vendor::Intel
        && insn.map == Map::One
        && matches!(insn.opcode, 0xa6 | 0xa7 | 0xae | 0xaf)
}

/// Whether the instruction may leave something behind when it faults, which it does again when it is
/// started again: PUSHA, POPA, ENTER, a far CALL, and on Intel's processors a near CALL to where nobody can go.
pub(super) fn after_fault(insn: &Decoded) -> bool {
    let far = insn.opcode == 0xff && insn.digit() == 3;
    let near = insn.opcode == 0xe8 || insn.opcode == 0xff && insn.digit() == 2;
    let frame = matches!(insn.opcode, 0x60 | 0x61 | 0x9a | 0xc8);
    insn.is_legacy() && insn.map == Map::One && (frame || far || near && vendor() == Vendor::Intel)
}

/// Whether an instruction that faults may have changed x87 and vector registers: stores to MMX state or flags of MXCSR,
/// and XRSTOR what it had loaded before it found a wrong MXCSR.
pub(super) fn units_after_fault(insn: &Decoded) -> bool {
    match (insn.map, insn.opcode) {
        (Map::Of, 0xae) => matches!(insn.digit(), 1 | 5),
        (Map::Of, 0x7e | 0x7f | 0xe7 | 0xf7) => {
            insn.prefixes.repeat == Repeat::None && !insn.prefixes.operand_size
        }
        (Map::Of3a, 0x1d) => true,
        _ => false,
    }
}

/// Whether the processor may raise something for memory where the emulator raises nothing, or what comes later:
/// MASKMOVQ and MASKMOVDQU for bytes that they do not write, XRSTOR before it looks at the header, and outside 64-bit
/// mode all that save or restore for registers that there are only there.
///
/// Intel's may also find another fault first of those that there are: far returns read the selector first, a segment
/// may wrap at 4 GiB. And an x87 store with an exception that is not masked writes nothing there, and faults for
/// nothing.
pub(super) fn may_fault_first(recipe: &Recipe, insn: &Decoded, ours: u8, theirs: u8) -> bool {
    const DEBUG: u8 = 1;
    const STACK: u8 = 12;
    const PROTECTION: u8 = 13;
    const PAGE: u8 = 14;
    const ALIGNMENT: u8 = 17;
    let short = recipe.code != CodeWidth::Bits64;
    let intel = vendor() == Vendor::Intel;
    match (insn.map, insn.opcode) {
        (Map::Of, 0xae | 0xc7) if short && (ours, theirs) == (DEBUG, PAGE) => true,
        (Map::Of, 0xf7) => ours == DEBUG && matches!(theirs, PAGE | ALIGNMENT),
        (Map::Of, 0xae) => insn.digit() == 5 && (ours, theirs) == (PROTECTION, PAGE),
        (Map::One, 0xca | 0xcb | 0xcf) if intel => ours != DEBUG && theirs != DEBUG,
        (Map::One, 0xd9 | 0xdb | 0xdd | 0xdf) if intel && theirs == DEBUG => ours != DEBUG,
        _ => intel && short && matches!(ours, STACK | PROTECTION) && theirs == PAGE,
    }
}

/// Whether processors differ in which part of memory faults: those with fast REP CMPSB, Intel's with every CMPS, x87
/// environments, moves under a mask, and what saves or restores all registers.
pub(super) fn order(insn: &Decoded) -> bool {
    if insn.vector.mask != 0 {
        return true;
    }
    match (insn.map, insn.opcode) {
        (Map::Of, 0xae | 0xc7 | 0xf7) | (Map::Of38, 0x2c..=0x2f | 0x8c | 0x8e) => true,
        (Map::One, 0xa6 | 0xa7) if vendor() == Vendor::Intel => true,
        (Map::One, 0xa6) => insn.prefixes.repeat == Repeat::F3,
        (Map::One, 0xd9 | 0xdd) => matches!(insn.digit(), 4 | 6),
        _ => false,
    }
}

/// A result that is undefined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Result {
    None,
    /// A general register.
    Register(usize),
    Memory,
}

/// Returns what the instruction leaves undefined beside flags.
pub(super) fn result(insn: &Decoded, recipe: &Recipe) -> Result {
    let place = match insn.rm {
        Rm::Register(number) => Result::Register(usize::from(number.number())),
        _ => Result::Memory,
    };
    match (insn.map, insn.opcode) {
        // Intel's processors count with the stack's size before or after the return to other code.
        (Map::One, 0xca) if recipe.code == CodeWidth::Bits16 && vendor() == Vendor::Intel => {
            Result::Register(RSP)
        }
        // A word shifted by more bits than it has.
        (Map::Of, 0xa4 | 0xa5 | 0xac | 0xad) if insn.operand_size == Width::Word => {
            let count = match insn.opcode & 1 {
                0 => insn.immediate,
                _ => recipe.gprs[RCX],
            };
            if count & 31 > 16 {
                place
            } else {
                Result::None
            }
        }
        _ => Result::None,
    }
}
