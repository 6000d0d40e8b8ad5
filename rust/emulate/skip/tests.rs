// SPDX-License-Identifier: GPL-2.0-only

//! Compares [`super`] with an independent decoder.

use super::*;
use crate::emulate::testing::{
    new_seed,
    oracle_bits,
    Random, //
};
use iced_x86::{
    CodeSize,
    Decoder,
    DecoderOptions,
    Instruction,
    Mnemonic,
    OpKind,
    Register, //
};

/// Every instruction with the mnemonics that the other decoder gives it.
const ALL: &[(Skip, &[Mnemonic])] = &[
    (Skip::Cpuid, &[Mnemonic::Cpuid]),
    (Skip::Rdmsr, &[Mnemonic::Rdmsr]),
    (Skip::Wrmsr, &[Mnemonic::Wrmsr]),
    // VMGEXIT is VMMCALL to a guest without encrypted state.
    (Skip::Vmmcall, &[Mnemonic::Vmmcall, Mnemonic::Vmgexit]),
    (Skip::Vmcall, &[Mnemonic::Vmcall]),
    (Skip::Hlt, &[Mnemonic::Hlt]),
    (Skip::Invd, &[Mnemonic::Invd]),
    (Skip::Wbinvd, &[Mnemonic::Wbinvd, Mnemonic::Wbnoinvd]),
    (Skip::Xsetbv, &[Mnemonic::Xsetbv]),
    (Skip::Rdtsc, &[Mnemonic::Rdtsc]),
    (Skip::Rdtscp, &[Mnemonic::Rdtscp]),
    (Skip::Rdpmc, &[Mnemonic::Rdpmc]),
    (Skip::Rdpru, &[Mnemonic::Rdpru]),
    (Skip::Pause, &[Mnemonic::Pause]),
    (Skip::Monitor, &[Mnemonic::Monitor]),
    (Skip::Mwait, &[Mnemonic::Mwait]),
    (Skip::Monitorx, &[Mnemonic::Monitorx]),
    (Skip::Mwaitx, &[Mnemonic::Mwaitx]),
    (Skip::Vmrun, &[Mnemonic::Vmrun]),
    (Skip::Vmload, &[Mnemonic::Vmload]),
    (Skip::Vmsave, &[Mnemonic::Vmsave]),
    (Skip::Stgi, &[Mnemonic::Stgi]),
    (Skip::Clgi, &[Mnemonic::Clgi]),
    (Skip::Skinit, &[Mnemonic::Skinit]),
    (Skip::Invlpga, &[Mnemonic::Invlpga]),
    (Skip::Invlpgb, &[Mnemonic::Invlpgb]),
    (Skip::Tlbsync, &[Mnemonic::Tlbsync]),
    (Skip::Invlpg, &[Mnemonic::Invlpg]),
    (Skip::Rsm, &[Mnemonic::Rsm]),
    (Skip::Clts, &[Mnemonic::Clts]),
    (Skip::Lmsw, &[Mnemonic::Lmsw]),
    (Skip::Smsw, &[Mnemonic::Smsw]),
    (Skip::MovFromCr, &[Mnemonic::Mov]),
    (Skip::MovToCr, &[Mnemonic::Mov]),
    (Skip::MovFromDr, &[Mnemonic::Mov]),
    (Skip::MovToDr, &[Mnemonic::Mov]),
    (Skip::Sgdt, &[Mnemonic::Sgdt]),
    (Skip::Sidt, &[Mnemonic::Sidt]),
    (Skip::Lgdt, &[Mnemonic::Lgdt]),
    (Skip::Lidt, &[Mnemonic::Lidt]),
    (Skip::Sldt, &[Mnemonic::Sldt]),
    (Skip::Str, &[Mnemonic::Str]),
    (Skip::Lldt, &[Mnemonic::Lldt]),
    (Skip::Ltr, &[Mnemonic::Ltr]),
    (Skip::Int3, &[Mnemonic::Int3]),
    (Skip::Int1, &[Mnemonic::Int1]),
    (Skip::IntN, &[Mnemonic::Int]),
    (Skip::Into, &[Mnemonic::Into]),
    (
        Skip::Iret,
        &[Mnemonic::Iret, Mnemonic::Iretd, Mnemonic::Iretq],
    ),
    (
        Skip::Pushf,
        &[Mnemonic::Pushf, Mnemonic::Pushfd, Mnemonic::Pushfq],
    ),
    (
        Skip::Popf,
        &[Mnemonic::Popf, Mnemonic::Popfd, Mnemonic::Popfq],
    ),
    (Skip::In, &[Mnemonic::In]),
    (Skip::Out, &[Mnemonic::Out]),
    (Skip::Ins, &[Mnemonic::Insb, Mnemonic::Insw, Mnemonic::Insd]),
    (
        Skip::Outs,
        &[Mnemonic::Outsb, Mnemonic::Outsw, Mnemonic::Outsd],
    ),
];

const PREFIXES: &[u8] = &[
    0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x40, 0x41, 0x44, 0x48, 0x4f,
];

fn oracle(bytes: &[u8], width: CodeWidth) -> Option<Instruction> {
    let insn = Decoder::new(oracle_bits(width), bytes, DecoderOptions::AMD).decode();
    (!insn.is_invalid()).then_some(insn)
}

/// Whether `insn` is the instruction that `skip` and `mnemonics` stand for.
fn is(bytes: &[u8], insn: &Instruction, skip: Skip, mnemonics: &[Mnemonic]) -> bool {
    if !mnemonics.contains(&insn.mnemonic()) {
        return false;
    }
    let special = |n: u32| (insn.op_kind(n) == OpKind::Register).then(|| insn.op_register(n));
    match skip {
        Skip::MovFromCr => special(1).is_some_and(|r| r.is_cr()),
        Skip::MovToCr => special(0).is_some_and(|r| r.is_cr()),
        Skip::MovFromDr => special(1).is_some_and(|r| r.is_dr()),
        Skip::MovToDr => special(0).is_some_and(|r| r.is_dr()),
        // With REX.B it is XCHG. The other decoder does not know, the processor does: see the
        // tests of execution.
        Skip::Pause => bytes[insn.len() - 2] & 0xf1 != 0x41 || insn.code_size() != CodeSize::Code64,
        _ => true,
    }
}

/// Debug registers above 7 are named by the other decoder, but they do not exist.
fn has_missing_register(insn: &Instruction) -> bool {
    (0..2).any(|n| {
        let r = insn.op_register(n);
        r.is_dr() && r.number() > 7
    })
}

fn check(bytes: &[u8], width: CodeWidth) {
    let truth = oracle(bytes, width);
    for &(skip, mnemonics) in ALL {
        let ours = skip_len(bytes, width, skip);
        match truth {
            Some(insn) if is(bytes, &insn, skip, mnemonics) && !has_missing_register(&insn) => {
                assert_eq!(
                    ours,
                    Some(insn.len() as u8),
                    "{bytes:02x?} {width:?} {skip:?}"
                );
            }
            _ => assert_eq!(ours, None, "{bytes:02x?} {width:?} {skip:?} {truth:?}"),
        }
        if let (CodeWidth::Bits64, Some(head)) = (width, bytes.first_chunk()) {
            let plain = plain_len_64(u32::from_le_bytes(*head), skip);
            assert!(
                plain.is_none() || plain == ours,
                "{bytes:02x?} {skip:?} {plain:?}"
            );
        }
    }
}

/// Plain encodings, each with every byte after it and every cut.
#[test]
fn plain_encodings() {
    for width in [CodeWidth::Bits16, CodeWidth::Bits32, CodeWidth::Bits64] {
        for first in 0..=255u8 {
            for second in 0..=255 {
                let thirds: &[u8] = match first {
                    0x0f => &[
                        0x00, 0x05, 0x1d, 0xc0, 0xc1, 0xd1, 0xd8, 0xd9, 0xdf, 0xf9, 0xfe,
                    ],
                    _ => &[0x0f],
                };
                for &third in thirds {
                    let bytes = [first, second, third, 0x25, 4, 3, 2, 1, 0];
                    check(&bytes, width);
                    if first == 0x0f && second < 0x40 {
                        for cut in 0..bytes.len() {
                            check(&bytes[..cut], width);
                        }
                    }
                }
            }
        }
    }
}

/// What the exit path answers is recognised without prefixes, and with any left to [`skip_len`].
#[test]
fn plain_heads() {
    for (head, skip, len) in [
        (0x9090_a20f, Skip::Cpuid, 2),
        (0x9090_320f, Skip::Rdmsr, 2),
        (0x9090_300f, Skip::Wrmsr, 2),
        (0x90d9_010f, Skip::Vmmcall, 3),
        (0x9090_90f4, Skip::Hlt, 1),
    ] {
        assert_eq!(plain_len_64(head, skip), Some(len));
        assert_eq!(plain_len_64(head << 8 | 0x48, skip), None);
        assert_eq!(plain_len_64(head ^ 1, skip), None);
    }
    assert_eq!(plain_len_64(0x9090_90f3, Skip::Pause), None);
    assert_eq!(plain_len_64(0xce, Skip::Into), None);
}

/// Fifteen bytes are the limit, prefixes included.
#[test]
fn too_long_is_refused() {
    let mut bytes = [0x66; 20];
    bytes[13..15].copy_from_slice(&[0x0f, 0xa2]);
    assert_eq!(skip_len(&bytes, CodeWidth::Bits64, Skip::Cpuid), Some(15));
    bytes[13..16].copy_from_slice(&[0x66, 0x0f, 0xa2]);
    assert_eq!(skip_len(&bytes, CodeWidth::Bits64, Skip::Cpuid), None);
}

fn run(seed: u64, cases: u64) {
    for n in 0..cases {
        let mut random = Random(seed.wrapping_add(n));
        let code = random.code_width();
        let mut bytes: Vec<u8> = (0..random.below(5))
            .map(|_| random.pick(PREFIXES))
            .collect();
        match random.below(4) {
            0 => {}
            1 => bytes.push(0x0f),
            2 => bytes.extend([0x0f, random.byte() % 0x34]),
            _ => bytes.extend([0x0f, 0x01]),
        }
        bytes.extend(random.next().to_le_bytes());
        check(&bytes, code);
        bytes.truncate(random.below(16));
        check(&bytes, code);
    }
}

#[test]
fn agrees_with_oracle() {
    run(0, 30_000);
}

#[test]
#[ignore = "takes minutes"]
fn agrees_with_oracle_for_long() {
    run(new_seed(), 3_000_000);
}

#[test]
fn control_moves_agree_with_oracle() {
    for seed in 0..100_000 {
        let mut random = Random(seed);
        let width = random.code_width();
        let mut bytes: Vec<u8> = (0..random.below(4))
            .map(|_| random.pick(PREFIXES))
            .collect();
        bytes.extend([0x0f, 0x1f + random.below(6) as u8, random.byte()]);
        let ours = mov_cr_operand(&bytes, width);
        let truth = oracle(&bytes, width)
            .filter(|insn| insn.mnemonic() == Mnemonic::Mov && !has_missing_register(insn));
        let name = |special| match special {
            Special::Control(n) => Register::CR0 + u32::from(n),
            Special::Debug(n) => Register::DR0 + u32::from(n),
        };
        match (ours, truth) {
            (None, None) => {}
            (Some(ours), Some(truth)) => {
                let first = match width {
                    CodeWidth::Bits64 => Register::RAX,
                    _ => Register::EAX,
                };
                let gpr = first + u32::from(ours.gpr);
                let special = name(ours.special);
                let (to, from) = if ours.to_special {
                    (special, gpr)
                } else {
                    (gpr, special)
                };
                assert_eq!((to, from), (truth.op0_register(), truth.op1_register()));
                assert_eq!(usize::from(ours.len), truth.len());
            }
            (ours, truth) => panic!("{bytes:02x?} {ours:?} {truth:?}"),
        }
    }
}
