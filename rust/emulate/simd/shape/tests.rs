// SPDX-License-Identifier: GPL-2.0-only

//! Compares the shapes with another decoder.

use super::*;
use crate::emulate::{
    decode::decode,
    CodeWidth,
    Vendor, //
};
use iced_x86::{
    CpuidFeature,
    Decoder,
    DecoderOptions,
    InstructionInfoFactory,
    OpAccess,
    OpKind,
    Register, //
};

/// All encodings of all opcodes of the three maps, with a register and with memory.
fn every_encoding(mut check: impl FnMut(&[u8])) {
    let maps: [&[u8]; 3] = [&[0x0f], &[0x0f, 0x38], &[0x0f, 0x3a]];
    for (map, escape) in maps.into_iter().enumerate() {
        for opcode in 0..=255u8 {
            for modrm in (0..64).map(|n| n << 3 & 0x38 | n & 7 | if n < 8 { 0xc0 } else { 3 }) {
                let tail = [opcode, modrm, 0x01, 0, 0, 0];
                for prefix in [&[][..], &[0x66], &[0xf3], &[0xf2]] {
                    for rex in [&[][..], &[0x48]] {
                        check(&[prefix, rex, escape, &tail].concat());
                    }
                }
                for last in 0..16u8 {
                    // W, L and pp, with vvvv naming a register and none.
                    let last = (last & 8) << 4 | last & 7;
                    for vvvv in [0x78, 0x70] {
                        let vex = [0xc4, 0xe0 | map as u8 + 1, last | vvvv];
                        check(&[&vex[..], &tail].concat());
                    }
                }
            }
        }
    }
}

#[test]
fn agrees_with_oracle() {
    let mut factory = InstructionInfoFactory::new();
    let mut known = 0;
    let mut unknown = std::collections::BTreeSet::new();
    every_encoding(|bytes| {
        let mut decoder = Decoder::new(64, bytes, DecoderOptions::AMD);
        let truth = decoder.decode();
        let Ok(insn) = decode(bytes, CodeWidth::Bits64, Vendor::Amd) else {
            return;
        };
        if truth.is_invalid() || truth.is_vsib() {
            return;
        }
        let vector = truth.op_count() > 0
            && (0..truth.op_count()).any(|n| {
                let register = truth.op_register(n);
                truth.op_kind(n) == OpKind::Register
                    && (register.is_xmm() || register.is_ymm() || register.is_mm())
            });
        let features = truth.cpuid_features();
        let foreign = features.iter().any(|feature| {
            matches!(
                feature,
                CpuidFeature::PADLOCK_ACE
                    | CpuidFeature::CYRIX_EMMI
                    | CpuidFeature::D3NOW
                    | CpuidFeature::FMA4
                    | CpuidFeature::XOP
            )
        });
        if !vector || foreign {
            return;
        }
        let context = || format!("{bytes:02x?} {:?}", truth.code());
        let Some(shape) = shape(&insn) else {
            unknown.insert(format!("{:?}", truth.code()));
            return;
        };
        known += 1;
        let info = factory.info(&truth);
        let memory = info.used_memory();
        // Memory that a register points at: MASKMOVDQU.
        let implied = !(0..truth.op_count()).any(|n| truth.op_kind(n) == OpKind::Memory);
        if !memory.is_empty() && !implied {
            let access = match memory[0].access() {
                OpAccess::Read => Access::Read,
                OpAccess::Write => Access::Write,
                other => panic!("{other:?} {}", context()),
            };
            assert_eq!(shape.access, access, "{}", context());
            let size = truth.memory_size().size();
            assert_eq!(shape.size.bytes(&insn, true), size, "{}", context());
        }
        // General registers.
        let reg = truth.op_register(0);
        let is_general = |register: Register| register.is_gpr32() || register.is_gpr64();
        let expected = match shape.general {
            General::No | General::Implied => None,
            General::RegWritten => Some((insn.reg().number(), true)),
            General::RmRead | General::RmWritten => match insn.rm {
                crate::emulate::decode::Rm::Register(number) => {
                    Some((number.number(), shape.general == General::RmWritten))
                }
                _ => None,
            },
        };
        let operands = (0..truth.op_count()).filter(|&n| truth.op_kind(n) == OpKind::Register);
        let general = operands
            .map(|n| (n, truth.op_register(n)))
            .find(|(_, register)| is_general(*register));
        let found = general.map(|(n, register)| (register.number() as u8, n == 0));
        assert_eq!(found, expected, "{} {reg:?}", context());
    });
    println!("{known} encodings; unknown: {unknown:#?}");
    assert!(known > 5_000, "{known}");
}
