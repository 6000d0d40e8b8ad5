// SPDX-License-Identifier: GPL-2.0-only

//! Compares [`super`] with an independent decoder.

use super::*;
use crate::emulate::testing::{
    binaries,
    new_seed,
    oracle_bits,
    Random, //
};
use iced_x86::{
    Decoder,
    DecoderOptions,
    EncodingKind,
    Instruction,
    OpCodeOperandKind,
    OpCodeTableKind,
    OpKind,
    Register, //
};

/// The number of a 16-, 32- or 64-bit general register.
fn number(register: Register) -> Option<Gpr> {
    register.is_gpr().then(|| Gpr::new(register.number() as u8))
}

fn size_of(register: Register) -> Option<AddressSize> {
    match register.size() {
        2 => Some(AddressSize::Bits16),
        4 => Some(AddressSize::Bits32),
        8 => Some(AddressSize::Bits64),
        _ => None,
    }
}

/// Compares the parts of a memory operand that ModRM describes.
fn check_address(truth: &Instruction, ours: &Decoded, code: CodeWidth, context: &str) {
    let Rm::Memory(ours) = ours.rm else {
        panic!("not memory");
    };
    let (base, index) = (truth.memory_base(), truth.memory_index());
    if base == Register::RIP || base == Register::EIP {
        assert_eq!(ours.base, Base::NextInsn, "{context}");
        assert_eq!(Some(ours.size), size_of(base), "{context}");
        // The other decoder has added the address of the next instruction.
        let sum = (truth.len() as u64).wrapping_add(ours.displacement);
        let sum = Width::from(ours.size).truncate(sum);
        assert_eq!(sum, truth.memory_displacement64(), "{context}");
    } else {
        let expected = number(base).map_or(Base::None, Base::Register);
        assert_eq!(ours.base, expected, "{context}");
        let expected = number(index).map(|register| Index {
            register,
            shift: truth.memory_index_scale().trailing_zeros() as u8,
        });
        assert_eq!(ours.index, expected, "{context}");
        for register in [base, index] {
            if register != Register::None {
                assert_eq!(Some(ours.size), size_of(register), "{context}");
            }
        }
        let width = Width::from(ours.size);
        // EVEX scales a byte by the operand's size, which is a part of what the opcode means.
        let scaled = truth.encoding() == EncodingKind::EVEX && truth.memory_displ_size() == 1;
        if !scaled {
            assert_eq!(
                width.truncate(ours.displacement),
                width.truncate(truth.memory_displacement64()),
                "{context}"
            );
        }
    }
    let named = truth.memory_segment();
    let expected = match (code, named) {
        // The other decoder names the overrides that have no effect, too.
        (CodeWidth::Bits64, Register::ES | Register::CS | Register::SS | Register::DS) => {
            match ours.base {
                Base::Register(Gpr::RSP | Gpr::RBP) => Register::SS,
                _ => Register::DS,
            }
        }
        _ => named,
    };
    assert_eq!(
        Register::ES as u8 + ours.segment as u8,
        expected as u8,
        "{context}"
    );
}

/// Compares the registers and constants that the instruction names.
fn check_operands(truth: &Instruction, ours: &Decoded, context: &dyn Fn() -> String) {
    let mut constants = 0;
    for n in 0..truth.op_count() {
        let register = truth.op_register(n);
        match truth.op_kind(n) {
            OpKind::Register => {
                let kind = format!("{:?}", truth.op_code().op_kind(n));
                let general = register.is_gpr() || register.is_xmm() || register.is_ymm();
                let mut number = register.number() as u8;
                // The other decoder counts AH to BH, then SPL to DIL.
                if register.is_gpr8() && number >= 8 {
                    number -= 4;
                }
                let named = if kind.contains("_vvvv") {
                    ours.vector.register
                } else if kind.contains("_opcode") && general {
                    ours.opcode_reg().number()
                } else if kind.ends_with("_reg") && general {
                    // EVEX has 32 registers; one bit of their numbers is not in a `Gpr`.
                    number &= 15;
                    ours.reg().number()
                } else if kind.ends_with("_or_mem") && general {
                    let Rm::Register(named) = ours.rm else {
                        panic!("{}", context());
                    };
                    number &= 15;
                    named.number()
                } else {
                    continue;
                };
                assert_eq!(named, number, "operand {n} {kind} of {}", context());
            }
            OpKind::Immediate8
            | OpKind::Immediate16
            | OpKind::Immediate32
            | OpKind::Immediate64
            | OpKind::Immediate8to16
            | OpKind::Immediate8to32
            | OpKind::Immediate8to64
            | OpKind::Immediate32to64 => {
                // A shift by 1 has its constant in the opcode, and two bits of a byte may be one.
                let kind = truth.op_code().op_kind(n);
                if kind == OpCodeOperandKind::imm8_const_1 || kind == OpCodeOperandKind::imm4_m2z {
                    continue;
                }
                let width = match truth.op_kind(n) {
                    OpKind::Immediate8 => Width::Byte,
                    OpKind::Immediate16 | OpKind::Immediate8to16 => Width::Word,
                    OpKind::Immediate32 | OpKind::Immediate8to32 => Width::Dword,
                    _ => Width::Qword,
                };
                assert_eq!(
                    width.truncate(ours.immediate),
                    width.truncate(truth.immediate(n)),
                    "{}",
                    context()
                );
                constants += 1;
            }
            OpKind::Immediate8_2nd => {
                assert_eq!(u64::from(ours.immediate2), truth.immediate(n));
                constants += 1;
            }
            OpKind::FarBranch16 => {
                assert_eq!(ours.immediate, u64::from(truth.far_branch16()));
                assert_eq!(ours.immediate2, truth.far_branch_selector());
            }
            OpKind::FarBranch32 => {
                let mask = u64::from(u32::MAX);
                assert_eq!(ours.immediate & mask, u64::from(truth.far_branch32()));
                assert_eq!(ours.immediate2, truth.far_branch_selector());
            }
            OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64 => {
                let target = (truth.len() as u64).wrapping_add(ours.immediate);
                let width = match truth.op_kind(n) {
                    OpKind::NearBranch16 => Width::Word,
                    OpKind::NearBranch32 => Width::Dword,
                    _ => Width::Qword,
                };
                let expected = truth.near_branch_target();
                assert_eq!(width.truncate(target), expected, "{}", context());
            }
            _ => {}
        }
    }
    assert!(constants <= 2, "{}", context());
}

fn check(bytes: &[u8], code: CodeWidth, vendor: Vendor) {
    let options = match vendor {
        Vendor::Amd => DecoderOptions::AMD,
        Vendor::Intel => DecoderOptions::NONE,
    };
    let mut decoder = Decoder::new(oracle_bits(code), bytes, options);
    let truth = decoder.decode();
    let ours = decode(bytes, code, vendor);
    if let Ok(ours) = ours {
        // However little it may mean, its bytes decode alike alone, and none of them can be missing.
        let len = usize::from(ours.len);
        assert!(len > 0 && len <= bytes.len().min(MAX_INSN_LEN));
        assert_eq!(decode(&bytes[..len], code, vendor), Ok(ours));
        let cut = decode(&bytes[..len - 1], code, vendor);
        assert_eq!(cut, Err(Refusal::Truncated), "{bytes:02x?} {code:?}");
    }
    if truth.is_invalid() {
        return;
    }
    let context = || {
        format!(
            "{bytes:02x?} {code:?} {vendor:?} {:?} {ours:?}",
            truth.code()
        )
    };
    // Instructions of processors that were never sold: 62 with another meaning.
    if truth.encoding() == EncodingKind::MVEX {
        return;
    }
    // UD0 is undefined in every way, its length too.
    if truth.mnemonic() == iced_x86::Mnemonic::Ud0 {
        return;
    }
    // The two opcodes that only VIA's processors have.
    let opcode = truth.op_code();
    if opcode.table() == OpCodeTableKind::T0F && matches!(opcode.op_code() >> 8, 0xa6 | 0xa7) {
        assert_eq!(ours, Err(Refusal::Undefined), "{}", context());
        return;
    }
    let Ok(ours) = ours else {
        panic!("{}", context());
    };
    assert_eq!(usize::from(ours.len), truth.len(), "{}", context());
    let encoding = match truth.encoding() {
        EncodingKind::VEX => Encoding::Vex,
        EncodingKind::EVEX => Encoding::Evex,
        EncodingKind::XOP => Encoding::Xop,
        _ => Encoding::Legacy,
    };
    assert_eq!(ours.vector.encoding, encoding, "{}", context());
    check_operands(&truth, &ours, &context);
    let memory = (0..truth.op_count()).any(|n| truth.op_kind(n) == OpKind::Memory);
    // XLAT's operand is implied, and the index of a gather is no general register.
    let implied = (ours.map, ours.opcode) == (Map::One, 0xd7);
    if memory && !implied && !truth.is_vsib() {
        check_address(&truth, &ours, code, &context());
    }
}

fn run(seed: u64, cases: u64) {
    for n in 0..cases {
        let mut random = Random(seed.wrapping_add(n));
        let bytes = random.instruction();
        check(&bytes, random.code_width(), random.vendor());
    }
}

#[test]
fn agrees_with_oracle() {
    run(0, 200_000);
}

#[test]
#[ignore = "takes minutes"]
fn agrees_with_oracle_for_long() {
    run(new_seed(), 10_000_000);
}

/// Compares what is at the instructions of some code, as code for either vendor, and the same bytes
/// as code of other widths.
fn check_code(text: &[u8], most: usize) -> usize {
    binaries::sweep(text, most, |bytes, _| {
        for vendor in [Vendor::Amd, Vendor::Intel] {
            for code in [CodeWidth::Bits64, CodeWidth::Bits32, CodeWidth::Bits16] {
                check(bytes, code, vendor);
            }
        }
    })
}

#[test]
fn agrees_with_oracle_on_this_program() {
    let count = check_code(&binaries::own(), 50_000);
    assert_eq!(count, 50_000);
}

#[test]
#[ignore = "takes minutes"]
fn agrees_with_oracle_on_what_is_installed() {
    let mut count = 0;
    for text in binaries::installed() {
        count += check_code(&text, 10_000);
    }
    println!("{count} instructions");
    assert!(count > 1_000_000, "{count}");
}

/// Every opcode with these ModRM bytes and every prefix that selects another meaning or size.
fn every_opcode(modrms: impl Iterator<Item = u8> + Clone) {
    let prefixes: [&[u8]; 7] = [
        &[],
        &[0x66],
        &[0x67],
        &[0xf2],
        &[0xf3],
        &[0x48],
        &[0x66, 0x48],
    ];
    let escapes: [&[u8]; 13] = [
        &[],
        &[0x0f],
        &[0x0f, 0x38],
        &[0x0f, 0x3a],
        &[0xc5, 0xfd],
        &[0xc5, 0x78],
        &[0xc4, 0xe1, 0xfb],
        &[0xc4, 0xe2, 0x6d],
        &[0xc4, 0x43, 0xf9],
        &[0x62, 0xf1, 0x7d, 0x48],
        &[0x62, 0xe2, 0x6d, 0x29],
        &[0x62, 0xf3, 0xfd, 0x08],
        &[0x8f, 0xe9, 0x78],
    ];
    for code in [CodeWidth::Bits16, CodeWidth::Bits32, CodeWidth::Bits64] {
        for prefix in prefixes {
            for escape in escapes {
                for opcode in 0..=255u8 {
                    for modrm in modrms.clone() {
                        let mut bytes = prefix.to_vec();
                        bytes.extend(escape);
                        bytes.extend([opcode, modrm, 0x25, 0x11, 0x22, 0x33, 0x44, 0x55]);
                        bytes.extend([0x66; 4]);
                        bytes.truncate(MAX_INSN_LEN);
                        check(&bytes, code, Vendor::Amd);
                    }
                }
            }
        }
    }
}

#[test]
fn every_opcode_and_form() {
    // Each mode, each digit, and the forms of rm that differ in length.
    let modrms = [
        0x00, 0x04, 0x05, 0x0e, 0x14, 0x1d, 0x26, 0x2c, 0x35, 0x3e, 0x44, 0x4d, 0x84, 0x8e, 0xc0,
        0xc9, 0xd2, 0xdb, 0xe4, 0xed, 0xf6, 0xf8, 0xff,
    ];
    every_opcode(modrms.into_iter());
}

#[test]
#[ignore = "takes half a minute"]
fn every_opcode_and_modrm() {
    every_opcode(0..=255);
}

#[test]
fn limits() {
    let decode = |bytes: &[u8]| decode(bytes, CodeWidth::Bits64, Vendor::Amd).map(|i| i.len);
    assert_eq!(decode(&[]), Err(Refusal::Truncated));
    assert_eq!(decode(&[0x66; 14]), Err(Refusal::Truncated));
    assert_eq!(decode(&[0x66; 15]), Err(Refusal::TooLong));
    let mut bytes = [0x66; 16];
    bytes[14] = 0x90;
    assert_eq!(decode(&bytes), Ok(15));
    bytes[14..].copy_from_slice(&[0x04, 0x01]);
    assert_eq!(decode(&bytes), Err(Refusal::TooLong));
}
