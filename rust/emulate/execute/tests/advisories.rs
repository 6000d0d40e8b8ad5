// SPDX-License-Identifier: GPL-2.0-only

//! What Xen's emulator did wrong once, by the advisories that say so (EM-n).

use super::{
    system::{
        user,
        CODE,
        CS, //
    },
    *, //
};
use crate::emulate::{
    ops::{
        SegmentState,
        Software, //
    },
    testing::{
        fuzz::is_string,
        vectors::Vectors, //
    },
};

const DS: usize = Segment::Ds as usize;

fn protection() -> Result<Done> {
    Err(Exception::protection(Mode::Protected).into())
}

/// EM-1, XSA-105: HLT, LGDT, LIDT and LMSW were carried out for users.
#[test]
fn em_1_users_have_no_system_instructions() {
    let insns = [
        &[0xf4][..],
        &[0x0f, 0x01, 0x13],
        &[0x0f, 0x01, 0x1b],
        &[0x0f, 0x01, 0x33],
        &[0x0f, 0x01, 0xf0],
    ];
    for insn in insns {
        let mut guest = user(CODE);
        let before = guest.state.clone();
        assert_eq!(emulate_one(&mut guest, insn, CODE), protection());
        assert!(guest.state == before && guest.calls.is_empty());
    }
}

/// EM-2, XSA-106 and XSA-196: the level of an interrupt's gate was not looked at. Who delivers is told which
/// instruction it was.
#[test]
fn em_2_software_interrupts_say_what_they_are() {
    for vector in [0, 3, 8, 14, 0x80, 0xff] {
        let mut guest = user(CODE);
        let done = emulate_one(&mut guest, &[0xcd, vector], CODE);
        let by = Software::Interrupt;
        let expected = Ok(Done::Interrupt { vector, by, len: 2 });
        assert_eq!(done, expected);
    }
}

/// EM-3, XSA-110: far transfers went to what is no code segment, or beyond a code segment's end.
#[test]
fn em_3_far_transfers_are_checked() {
    let code = CodeWidth::Bits32;
    // Code of one page, data, code of the kernel.
    let table = [
        0,
        0x0040_fb00_0000_0fff,
        0x00cf_f300_0000_ffff,
        0x00cf_9b00_0000_ffff,
    ];
    let far =
        |offset: u16, selector: u8| [0xea, offset as u8, (offset >> 8) as u8, 0, 0, selector, 0];
    for (insn, error) in [
        (far(0x1000, 0x0b), 0),
        (far(0, 0x13), 0x10),
        (far(0, 0x1b), 0x18),
        (far(0, 0x23), 0x20),
        (far(0, 0x03), 0),
    ] {
        let mut guest = user(code);
        guest.set_global_table(&table);
        guest.state.selectors = [0x13, 0x0b, 0x13, 0x13, 0x13, 0x13];
        let before = guest.state.clone();
        let expected = Exception {
            vector: 13,
            error_code: Some(error),
            cr2: None,
        };
        let done = emulate_one(&mut guest, &insn, code);
        assert_eq!(done, Err(expected.into()), "{insn:02x?}");
        assert!(guest.state.selectors == before.selectors);
        assert!(guest.state.segments == before.segments);
    }
    let mut guest = user(code);
    guest.set_global_table(&table);
    let done = emulate_one(&mut guest, &far(0xfff, 0x0b), code);
    assert_eq!(done, Ok(Done::Jump { rip: 0xfff }));
}

/// EM-4, XSA-123: a segment override before an instruction without memory was written over the register's
/// number.
#[test]
fn em_4_overrides_mean_nothing_to_registers() {
    for prefix in [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65] {
        for code in [CodeWidth::Bits16, CodeWidth::Bits32, CodeWidth::Bits64] {
            // mov bx, ax or ebx, eax; bt ebx, eax; mul ecx
            for insn in [
                &[prefix, 0x89, 0xc3][..],
                &[prefix, 0x0f, 0xa3, 0xc3],
                &[prefix, 0xf7, 0xe1],
            ] {
                let run = |insn: &[u8]| {
                    let mut guest = Guest::flat(code);
                    guest.state.gprs[..4].copy_from_slice(&[0x1234, 0x55, 0x99, 0x7777]);
                    assert!(emulate_one(&mut guest, insn, code).is_ok());
                    assert!(guest.calls.is_empty());
                    guest.state
                };
                assert!(run(insn) == run(&insn[1..]));
            }
        }
    }
}

/// EM-5, XSA-186: the instruction pointer was not cut to the width of the code.
#[test]
fn em_5_branches_wrap() {
    for (code, rip, wrapped) in [
        (CodeWidth::Bits16, 0xfff0, 0x12),
        (CodeWidth::Bits32, 0xffff_fff0, 0x12),
    ] {
        let mut guest = Guest::flat(code);
        guest.rip = rip;
        let done = emulate_one(&mut guest, &[0xeb, 0x20], code);
        assert_eq!(done, Ok(Done::Jump { rip: wrapped }));
        // What is beyond the limit after that is refused, and the stack is as it was.
        guest.state.segments[CS].limit = 0x11;
        guest.state.gprs[RSP] = 0x8000;
        let call = match code {
            CodeWidth::Bits16 => &[0xe8, 0x1f, 0][..],
            _ => &[0xe8, 0x1d, 0, 0, 0],
        };
        let done = emulate_one(&mut guest, call, code);
        let Err(Fault::Exception(exception)) = done else {
            panic!("{done:?}");
        };
        assert_eq!((exception.vector, guest.state.gprs[RSP]), (13, 0x8000));
        assert!(!guest
            .calls
            .iter()
            .any(|call| matches!(call, Call::Write(..))));
    }
    // In 64-bit mode the target has to be canonical.
    let mut guest = Guest::flat(CODE);
    guest.rip = 0x7fff_ffff_fff0;
    assert_eq!(emulate_one(&mut guest, &[0xeb, 0x20], CODE), protection());
}

/// EM-6, XSA-190: CR0.TS and CR0.EM were not looked at, so that the registers of another process showed.
#[test]
fn em_6_a_switched_off_unit_is_not_used() {
    const TS: u64 = 8;
    const EM: u64 = 4;
    // fld dword [rbx], fnop, movd mm0, [rbx], movups xmm0, [rbx], movups [rbx], xmm0, addps xmm0, xmm1,
    // vmovups ymm0, [rbx], ldmxcsr [rbx]
    let insns: [(&[u8], u8); 8] = [
        (&[0xd9, 0x03], 7),
        (&[0xd9, 0xd0], 7),
        (&[0x0f, 0x6e, 0x03], 6),
        (&[0x0f, 0x10, 0x03], 6),
        (&[0x0f, 0x11, 0x03], 6),
        (&[0x0f, 0x58, 0xc1], 6),
        (&[0xc5, 0xfc, 0x10, 0x03], 0),
        (&[0x0f, 0xae, 0x13], 6),
    ];
    for (insn, emulated) in insns {
        for (bit, vector) in [(TS, 7), (EM, emulated)] {
            if vector == 0 {
                // CR0.EM means nothing to AVX.
                continue;
            }
            let mut guest = Guest::flat(CODE);
            guest.state.vectors = Some(Box::new(Vectors::new()));
            guest.state.cr[0] |= bit;
            guest.state.cr[4] |= 1 << 18;
            let done = emulate_one(&mut guest, insn, CODE);
            let Err(Fault::Exception(exception)) = done else {
                panic!("{insn:02x?} {done:?}");
            };
            assert_eq!(exception.vector, vector, "{insn:02x?}");
            assert!(guest.calls.is_empty());
        }
    }
}

/// EM-7, XSA-191: segments that hold nothing were used if base and limit were left in them.
#[test]
fn em_7_null_segments_are_no_segments() {
    let code = CodeWidth::Bits32;
    for insn in [&[0x8b, 0x03][..], &[0x89, 0x03], &[0xff, 0x03], &[0xa4]] {
        let mut guest = Guest::flat(code);
        guest.state.segments[DS] = SegmentState {
            base: 0,
            limit: u32::MAX,
            attributes: 0,
        };
        assert_eq!(emulate_one(&mut guest, insn, code), protection());
        assert!(guest
            .calls
            .iter()
            .all(|call| matches!(call, Call::Translate(..))));
    }
    // mov ds, ax with a selector of the local table, of which there is none.
    let mut guest = Guest::flat(code);
    guest.state.gprs[RAX] = 4;
    let refused = Exception {
        vector: 13,
        error_code: Some(4),
        cr2: None,
    };
    let done = emulate_one(&mut guest, &[0x8e, 0xd8], code);
    assert_eq!(done, Err(refused.into()));
}

/// EM-8, XSA-195: bit numbers beyond 32 bits led to wrong addresses in 64-bit mode.
#[test]
fn em_8_bit_numbers_have_the_operands_width() {
    let at = 0x10_0000_0000u64;
    for (insn, number, address) in [
        // bt [rbx], rax
        (&[0x48, 0x0f, 0xa3, 0x03][..], 1 << 40, at + (1 << 37)),
        (&[0x48, 0x0f, 0xa3, 0x03], 0u64.wrapping_sub(64), at - 8),
        // bt [rbx], eax: what is above 32 bits does not count.
        (&[0x0f, 0xa3, 0x03], 1 << 40, at),
        (&[0x0f, 0xa3, 0x03], 0xffff_ffff, at - 4),
        (&[0x0f, 0xa3, 0x03], 0x1234_5678_0000_0020, at + 4),
        // bt [rbx], ax
        (&[0x66, 0x0f, 0xa3, 0x03], 0xffff_fff0, at - 2),
    ] {
        let mut guest = Guest::flat(CODE);
        guest.state.gprs[RBX] = at;
        guest.state.gprs[RAX] = number;
        assert!(emulate_one(&mut guest, insn, CODE).is_ok());
        let Some(&Call::Translate(linear, ..)) = guest.calls.first() else {
            panic!("{:?}", guest.calls);
        };
        assert_eq!(linear, address, "{insn:02x?} {number:x}");
    }
}

/// EM-9, XSA-200: CMPXCHG8B was one of 4 bytes under 66, with what was on the stack in the rest.
#[test]
fn em_9_compare_exchange_has_one_size() {
    for prefix in [&[][..], &[0x66], &[0xf2], &[0xf3], &[0x66, 0xf0]] {
        let insn = [prefix, &[0x0f, 0xc7, 0x0b]].concat();
        let mut guest = Guest::flat(CODE);
        guest.state.gprs[RBX] = 0x8000;
        guest.state.gprs[RAX] = 0x5566_7788;
        guest.state.gprs[2] = 0x1122_3344;
        guest.state.gprs[RCX] = 0xaabb_ccdd;
        guest.put(0x8000, &0x1122_3344_5566_7788u64.to_le_bytes());
        guest.put(0x8008, &[0x77; 8]);
        assert!(emulate_one(&mut guest, &insn, CODE).is_ok(), "{insn:02x?}");
        assert_eq!(
            guest.calls[0],
            Call::Translate(0x8000, 8, Access::ReadWrite)
        );
        let new = 0xaabb_ccdd_0000_8000u64;
        assert_eq!(guest.bytes(0x8000, 8), new.to_le_bytes());
        assert_eq!(guest.bytes(0x8008, 8), [0x77; 8]);
    }
}

/// EM-10, XSA-204: TF as it was before SYSCALL made the kernel single-step, where FMASK had cleared it.
#[test]
fn em_10_a_system_call_is_stepped_by_the_new_flags() {
    let mut guest = user(CODE);
    guest.state.msrs.insert(0xc000_0081, 0x0023_0010_0000_0000);
    guest.state.msrs.insert(0xc000_0082, 0xffff_8000_0000_1000);
    guest.state.msrs.insert(0xc000_0084, TF);
    guest.state.rflags = 2 | TF;
    let done = emulate_one(&mut guest, &[0x0f, 0x05], CODE);
    let rip = 0xffff_8000_0000_1000;
    // What is due is in what it returns, and depends on RFLAGS as they are.
    assert_eq!(done, Ok(Done::SystemCall { rip }));
    assert_eq!(guest.state.rflags & TF, 0);
    assert_eq!(guest.state.gprs[11], 2 | TF);
}

/// EM-11, XSA-156 and XSA-265: what traps for ever, or goes on for ever, must let others in between.
#[test]
fn em_11_repetitions_are_bounded_and_step() {
    for insn in [
        &[0xf3, 0xa4][..],
        &[0xf3, 0xab],
        &[0xf3, 0xa6],
        &[0xf2, 0xae],
        &[0xf3, 0xac],
    ] {
        for step in [false, true] {
            let mut guest = Guest::flat(CODE);
            guest.state.gprs[RCX] = u64::MAX;
            guest.state.gprs[RSI] = 0x1_0000;
            guest.state.gprs[RDI] = 0x20_0000;
            guest.state.gprs[RAX] = if insn[0] == 0xf2 { 1 } else { 0 };
            guest.state.rflags = 2 | if step { TF } else { 0 };
            let decoded = decode(insn, CODE, Vendor::Amd).unwrap();
            assert!(is_string(&decoded));
            assert_eq!(emulate_one(&mut guest, insn, CODE), Ok(Done::Again));
            let count = u64::MAX - guest.state.gprs[RCX];
            let most = if step { 1 } else { u64::from(string::BATCH) };
            assert!((1..=most).contains(&count), "{insn:02x?} {count}");
        }
    }
}
