// SPDX-License-Identifier: GPL-2.0-only

//! Compares the shapes with another decoder.

use super::*;
use crate::emulate::{
    decode::{
        decode,
        Rm, //
    },
    simd::evex::is_move,
    CodeWidth,
    Vendor, //
};
use iced_x86::{
    Decoder,
    DecoderOptions,
    InstructionInfoFactory,
    OpAccess,
    OpKind,
    Register, //
};

/// All encodings of all opcodes of the three maps, with memory and with a register.
fn every_encoding(mut check: impl FnMut(&[u8])) {
    for map in 1..=3u8 {
        for opcode in 0..=255u8 {
            for modrm in (0..9).map(|n| n << 3 & 0x38 | if n < 8 { 3 } else { 0xc3 }) {
                for last in 0..16u8 {
                    // W, L'L is 0 to 2, pp; with vvvv naming a register and none.
                    let two = (last & 8) << 4 | last & 3 | 4;
                    for vvvv in [0x78, 0x70] {
                        for (length, b) in (0..3).flat_map(|n| [(n, 0), (n, 0x10)]) {
                            let three = length << 5 | b | 8 | last >> 2 & 1;
                            let evex = [0x62, 0xf0 | map, two | vvvv, three, opcode];
                            check(&[&evex[..], &[modrm, 1, 0]].concat());
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn shapes_agree_with_oracle() {
    let mut factory = InstructionInfoFactory::new();
    let (mut known, mut unknown) = (0, std::collections::BTreeSet::new());
    let mut wrong = std::collections::BTreeSet::new();
    every_encoding(|bytes| {
        let truth = Decoder::new(64, bytes, DecoderOptions::NONE).decode();
        let insn = decode(bytes, CodeWidth::Bits64, Vendor::Intel).unwrap();
        let name = format!("{:?}", truth.code());
        if truth.is_invalid() || truth.is_vsib() {
            return;
        }
        let found = match is_move(&insn) {
            true => None,
            false => find(&insn),
        };
        let Some(shape) = found else {
            unknown.insert(name);
            return;
        };
        known += 1;
        let mut check = |what: &str, fine: bool| {
            if !fine {
                wrong.insert(format!("{what}: {name} {shape:?}"));
            }
        };
        check("length", usize::from(insn.len) == truth.len());
        let info = factory.info(&truth);
        if let (Rm::Memory(_), Some(memory)) = (insn.rm, info.used_memory().first()) {
            let access = match memory.access() {
                OpAccess::Read | OpAccess::CondRead => Access::Read,
                _ => Access::Write,
            };
            check("access", shape.access == access);
            let (size, single) = (truth.memory_size(), truth.is_broadcast());
            let expected = match single {
                true => usize::from(shape.broadcast),
                false => shape.size.bytes(&insn, true),
            };
            check("size", expected == size.size());
            check("broadcast", single == insn.vector.broadcast);
            if let Selection::Elements(bytes) | Selection::Copies(bytes) = shape.selection {
                // Some look at parts of elements: VPMULUDQ, VPDPBUSD and their like.
                let parts = matches!(
                    (insn.map, insn.opcode),
                    (Map::Of, 0xf4) | (Map::Of38, 0x28 | 0x50..=0x53)
                );
                check(
                    "element",
                    parts || usize::from(bytes) == size.element_size(),
                );
            }
            let masked = truth.op_code().can_use_op_mask_register();
            let all = shape.selection == Selection::All;
            check("mask", masked || all || access == Access::Write);
        }
        let is_general = |register: Register| register.is_gpr32() || register.is_gpr64();
        let general = (0..truth.op_count())
            .filter(|&n| truth.op_kind(n) == OpKind::Register)
            .map(|n| (n, truth.op_register(n)))
            .find(|(_, register)| is_general(*register));
        let found = general.map(|(n, register)| (register.number() as u8, n == 0));
        let expected = match (shape.general, insn.rm) {
            (General::RegWritten, _) => Some((insn.reg().number(), true)),
            (General::RmRead, Rm::Register(number)) => Some((number.number(), false)),
            (General::RmWritten, Rm::Register(number)) => Some((number.number(), true)),
            _ => None,
        };
        check("general", found == expected);
    });
    println!("{known} encodings; unknown: {unknown:#?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(known > 5_000, "{known}");
}
