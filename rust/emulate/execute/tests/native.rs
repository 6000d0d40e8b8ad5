// SPDX-License-Identifier: GPL-2.0-only

//! Executes the same instruction here and on the processor, and compares registers, flags and
//! memory.

use super::*;
use crate::emulate::{
    address::{
        Address,
        Base, //
    },
    decode::Rm,
    flags::{
        AF,
        CF,
        DF,
        OF,
        PF,
        SF,
        STATUS,
        ZF, //
    },
    testing::{
        native::{
            Native,
            WINDOW_LEN, //
        },
        new_seed,
        Random, //
    },
    width::Width,
    AddressSize, //
};

/// What an instruction is made from.
#[derive(Clone, Debug)]
struct Recipe {
    code: CodeWidth,
    prefixes: Vec<u8>,
    rex: Option<u8>,
    opcode: Vec<u8>,
    tail: [u8; 8],
    gprs: [u64; 16],
    flags: u64,
    memory: [u8; WINDOW_LEN],
    /// Where in the window the memory operand is to lie.
    place: u64,
    /// Where in the window the stack pointer, and the index registers of string instructions, are.
    stack: u64,
    /// The counter of string instructions.
    count: u64,
}

/// The opcodes executed here that need a ModRM byte, and those that do not.
const ONE_BYTE: &[u8] = &[
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x10, 0x11, 0x12, 0x13,
    0x14, 0x15, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x28, 0x29,
    0x2a, 0x2b, 0x2c, 0x2d, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d,
    0x40, 0x47, 0x48, 0x4d, 0x50, 0x53, 0x54, 0x57, 0x58, 0x5b, 0x5c, 0x5f, 0x63, 0x68, 0x6a, 0x80,
    0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0x8f, 0x90, 0x91, 0x94, 0x97,
    0xa0, 0xa1, 0xa2, 0xa3, 0xa8, 0xa9, 0xb0, 0xb4, 0xb7, 0xb8, 0xbc, 0xbf, 0xc6, 0xc7, 0xf6, 0xf7,
    0xfe, 0xff,
];
const STRING: &[u8] = &[0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf];
const TWO_BYTE: &[u8] = &[
    0xa3, 0xab, 0xb3, 0xbb, 0xb0, 0xb1, 0xb6, 0xb7, 0xbe, 0xbf, 0xba, 0xc0, 0xc1, 0xc3,
];

impl Random {
    /// A number that is interesting to arithmetic.
    fn operand(&mut self) -> u64 {
        match self.below(5) {
            0 => self.next() & 0xff,
            1 => self.pick(&[
                0,
                1,
                0x7f,
                0x80,
                0xff,
                0x7fff,
                0x8000,
                0x7fff_ffff,
                0x8000_0000,
                0xffff_ffff,
                i64::MAX as u64,
                i64::MIN as u64,
                u64::MAX,
            ]),
            // A small negative number of some width: distances of bits.
            2 => {
                let width = self.pick(&[Width::Word, Width::Dword, Width::Qword]);
                let number = (self.next() % 0x400).wrapping_neg();
                width.truncate(number) | (self.next() & !width.mask())
            }
            _ => self.next(),
        }
    }
}

fn recipe(code: CodeWidth, seed: u64) -> Recipe {
    let mut random = Random(seed);
    let prefixes = (0..random.below(3))
        .map(|_| random.pick(&[0x26, 0x2e, 0x36, 0x3e, 0x66, 0x67, 0xf0, 0xf2, 0xf3]))
        .collect();
    let rex = match code {
        CodeWidth::Bits64 if random.below(2) == 0 => Some(0x40 + random.below(16) as u8),
        _ => None,
    };
    let opcode = match random.below(7) {
        0 => vec![random.pick(STRING)],
        1 | 2 => vec![0x0f, random.pick(TWO_BYTE)],
        _ => vec![random.pick(ONE_BYTE)],
    };
    let mut gprs = [0; 16];
    gprs.fill_with(|| random.operand());
    let mut memory = [0; WINDOW_LEN];
    // Few values, so that comparisons come out equal now and then.
    memory.fill_with(|| random.pick(&[0, 0xff, 0x80, 0x01, 0x5a]));
    Recipe {
        code,
        prefixes,
        rex,
        opcode,
        tail: random.next().to_le_bytes(),
        gprs,
        flags: random.next() & (STATUS | DF),
        memory,
        place: random.below(WINDOW_LEN) as u64,
        stack: (WINDOW_LEN / 4 + random.below(WINDOW_LEN / 2)) as u64,
        count: random.below(9) as u64,
    }
}

/// Flags that the instruction leaves undefined, of those that it may change.
fn undefined_flags(insn: &Decoded) -> u64 {
    let (opcode, digit) = (insn.opcode, insn.digit());
    let logical = |n: u8| matches!(n & 7, 1 | 4 | 6);
    match (insn.map, opcode) {
        (Map::One, 0x00..=0x3f) if logical(opcode >> 3) => AF,
        (Map::One, 0x80..=0x83) if logical(digit) => AF,
        (Map::One, 0x84 | 0x85 | 0xa8 | 0xa9) => AF,
        (Map::One, 0xf6 | 0xf7) if digit < 2 => AF,
        (Map::Of, 0xa3 | 0xab | 0xb3 | 0xbb | 0xba) => OF | SF | AF | PF,
        _ => 0,
    }
}

/// Chooses the address's base register, or the address itself, so that it is `target`. Returns
/// whether that could be done.
fn aim(
    address: &Address,
    insn: &Decoded,
    bytes: &mut [u8],
    gprs: &mut [u64; 16],
    target: u64,
) -> bool {
    let width = Width::from(address.size);
    let index = match address.index {
        Some(index) => gprs[usize::from(index.register.number())] << index.shift,
        None => 0,
    };
    match address.base {
        Base::Register(base) => {
            if address.index.is_some_and(|index| index.register == base) {
                return false;
            }
            let value = target
                .wrapping_sub(index)
                .wrapping_sub(address.displacement);
            let old = gprs[usize::from(base.number())];
            // What is above the address size must not matter.
            gprs[usize::from(base.number())] = width.truncate(value) | (old & !width.mask());
            true
        }
        Base::None if address.index.is_none() && address.size != AddressSize::Bits16 => {
            // The displacement ends where the constant begins.
            let immediate = match (insn.map, insn.opcode) {
                (Map::One, 0xa0..=0xa3) => 0,
                (Map::One, 0x80 | 0x82 | 0x83 | 0xc6) | (Map::Of, 0xba) => 1,
                (Map::One, 0xf6) if insn.digit() < 2 => 1,
                (Map::One, 0x81 | 0xc7) => insn.operand_size.bytes().min(4),
                (Map::One, 0xf7) if insn.digit() < 2 => insn.operand_size.bytes().min(4),
                _ => 0,
            };
            let end = usize::from(insn.len) - immediate;
            let len = match (insn.map, insn.opcode) {
                (Map::One, 0xa0..=0xa3) => width.bytes(),
                _ => 4,
            };
            bytes[end - len..end].copy_from_slice(&target.to_le_bytes()[..len]);
            true
        }
        _ => false,
    }
}

/// Whether the instruction finished here, so that it could be compared.
fn compare(native: &mut Native, recipe: &Recipe) -> bool {
    let code = recipe.code;
    let mut bytes = recipe.prefixes.clone();
    bytes.extend(recipe.rex);
    bytes.extend(&recipe.opcode);
    bytes.extend(&recipe.tail);
    let Ok(insn) = crate::emulate::decode::decode(&bytes, code, Vendor::Amd) else {
        return false;
    };
    // Those two segments have bases of their own here. An override may be in the random part after
    // an opcode that 64-bit mode has turned into a prefix.
    if matches!(insn.prefixes.segment, Some(Segment::Fs | Segment::Gs)) {
        return false;
    }
    // Likewise INS and OUTS, which processes may not execute.
    if insn.map == Map::One && (0x6c..=0x6f).contains(&insn.opcode) {
        return false;
    }
    bytes.truncate(insn.len.into());

    let mut gprs = recipe.gprs;
    let window = native.window();
    let is_string = insn.map == Map::One && STRING.contains(&insn.opcode);
    gprs[RSP] = window + recipe.stack;
    if is_string {
        gprs[RSI] = window + recipe.stack;
        gprs[RDI] = window + recipe.place;
        gprs[RCX] = recipe.count;
    }
    if let Rm::Memory(address) = insn.rm {
        if !aim(
            &address,
            &insn,
            &mut bytes,
            &mut gprs,
            window + recipe.place,
        ) {
            return false;
        }
    }
    let mut memory = recipe.memory;
    let mut guest = Guest::flat(code);
    guest.state.gprs = gprs;
    guest.state.rflags = recipe.flags | 0x202;
    guest.mapped = window..window + WINDOW_LEN as u64;
    guest.put(window, &memory);
    let result = emulate_one(&mut guest, &bytes, code);
    if !matches!(result, Ok(Done::Next { .. })) {
        return false;
    }
    // Some systems refuse locked accesses that touch two cache lines.
    let split = guest.calls.iter().any(|call| match *call {
        Call::CompareExchange(at, len) => at % 64 + len as u64 > 64,
        _ => false,
    });
    if split {
        return false;
    }

    let mut flags = recipe.flags;
    native.run(code, &bytes, &mut gprs, &mut flags, &mut memory);
    let compared = (STATUS | DF) & !undefined_flags(&insn);
    assert_eq!(
        guest.state.rflags & compared,
        flags & compared,
        "flags of {bytes:02x?} {recipe:x?}"
    );
    let (count, mask) = match code {
        CodeWidth::Bits64 => (16, u64::MAX),
        _ => (8, u32::MAX.into()),
    };
    for (n, &truth) in gprs.iter().enumerate().take(count) {
        assert_eq!(
            guest.state.gprs[n] & mask,
            truth & mask,
            "register {n} of {bytes:02x?} {recipe:x?}"
        );
    }
    let ours = guest.bytes(window, WINDOW_LEN);
    assert!(ours == memory, "memory of {bytes:02x?} {recipe:x?}");
    true
}

/// Compares `cases` instructions, of which a good part must be executable.
fn run(code: CodeWidth, seed: u64, cases: u32) {
    let mut native = Native::new();
    let mut compared = 0;
    for n in 0..cases {
        compared += u32::from(compare(
            &mut native,
            &recipe(code, seed.wrapping_add(n.into())),
        ));
    }
    assert!(compared > cases / 3, "only {compared} of {cases}");
}

#[test]
fn agrees_with_processor_in_64_bit_mode() {
    run(CodeWidth::Bits64, 0, 100_000);
}

#[test]
fn agrees_with_processor_in_32_bit_mode() {
    run(CodeWidth::Bits32, 0, 100_000);
}

#[test]
#[ignore = "takes minutes"]
fn agrees_with_processor_for_long() {
    let seed = new_seed();
    run(CodeWidth::Bits64, seed, 5_000_000);
    run(CodeWidth::Bits32, seed, 5_000_000);
}

/// F3 90 is PAUSE only while the register is RAX; with REX.B it exchanges.
#[test]
fn pause_with_rex_is_an_exchange() {
    let mut native = Native::new();
    let (mut gprs, mut flags) = ([0; 16], 0);
    (gprs[0], gprs[8]) = (1, 2);
    let insn = [0xf3, 0x41, 0x90];
    native.run(
        CodeWidth::Bits64,
        &insn,
        &mut gprs,
        &mut flags,
        &mut [0; WINDOW_LEN],
    );
    assert_eq!((gprs[0], gprs[8]), (2, 1));
}

/// The flags named here are those the processor has.
#[test]
fn flag_positions() {
    let mut native = Native::new();
    let mut memory = [0; WINDOW_LEN];
    for (flag, insn) in [
        (CF, &[0xf9][..]),
        (DF, &[0xfd]),
        // xor eax, eax
        (ZF | PF, &[0x31, 0xc0]),
    ] {
        let (mut gprs, mut flags) = ([0; 16], 0);
        native.run(CodeWidth::Bits64, insn, &mut gprs, &mut flags, &mut memory);
        assert_eq!(flags & (STATUS & !AF | DF), flag);
    }
}
