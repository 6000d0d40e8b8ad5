// SPDX-License-Identifier: GPL-2.0-only

//! Checks execution by hand-made cases, by properties, and against the processor.

use super::*;
use crate::emulate::{
    flags::{
        AF,
        DF,
        OF,
        TF, //
    },
    ops::{
        Access,
        Mode, //
    },
    prefix::Segment,
    testing::{
        fuzz::{
            any_guest,
            changes,
            is_string, //
        },
        guest::{
            attributes,
            Call,
            Guest, //
        },
        Random, //
    },
    Vendor, //
};

mod advisories;
mod far;
#[cfg(target_arch = "x86_64")]
mod native;
mod syscall;
mod system;
mod vectors;

const RAX: usize = 0;
const RCX: usize = 1;
const RBX: usize = 3;
const RSP: usize = 4;
const RSI: usize = 6;
const RDI: usize = 7;

fn gp() -> Result<Done> {
    Err(Exception::protection(Mode::Protected).into())
}

/// The local APIC's end-of-interrupt register, written and read as a guest does.
#[test]
fn local_apic_registers() {
    let mut guest = Guest::flat(CodeWidth::Bits64);
    guest.state.gprs[RAX] = 0xffff_ffff_fee0_0000;
    // mov dword ptr [rax + 0xb0], 0
    let insn = [0xc7, 0x80, 0xb0, 0, 0, 0, 0, 0, 0, 0];
    let done = emulate_one(&mut guest, &insn, CodeWidth::Bits64);
    assert_eq!(done, Ok(Done::Next { len: 10 }));
    let at = 0xffff_ffff_fee0_00b0;
    let calls = [Call::Translate(at, 4, Access::Write), Call::Write(at, 4)];
    assert_eq!(guest.calls, calls);

    // mov ecx, [rax + 0x20]: a 32-bit load clears the upper half.
    guest.put(0xffff_ffff_fee0_0020, &0x8899_aabbu32.to_le_bytes());
    guest.state.gprs[RCX] = u64::MAX;
    let done = emulate_one(&mut guest, &[0x8b, 0x48, 0x20, 0x90], CodeWidth::Bits64);
    assert_eq!(done, Ok(Done::Next { len: 3 }));
    assert_eq!(guest.state.gprs[RCX], 0x8899_aabb);

    // mov eax, ds:0xfee00030 with an address in the instruction, 32-bit code.
    let mut guest = Guest::flat(CodeWidth::Bits32);
    guest.put(0xfee0_0030, &0x0005_0014u32.to_le_bytes());
    let insn = [0xa1, 0x30, 0, 0xe0, 0xfe];
    let done = emulate_one(&mut guest, &insn, CodeWidth::Bits32);
    assert_eq!(done, Ok(Done::Next { len: 5 }));
    assert_eq!(guest.state.gprs[RAX], 0x0005_0014);
}

#[test]
fn rip_relative() {
    let mut guest = Guest::flat(CodeWidth::Bits64);
    guest.rip = 0x7000;
    guest.put(0x7000 + 8 + 0x10, &[0x80]);
    // cmp byte ptr [rip + 0x10], 0x7f with a needless prefix.
    let insn = [0x3e, 0x80, 0x3d, 0x10, 0, 0, 0, 0x7f];
    let done = emulate_one(&mut guest, &insn, CodeWidth::Bits64);
    assert_eq!(done, Ok(Done::Next { len: 8 }));
    // 0x80 - 0x7f: overflow, half borrow, not zero, positive, odd parity.
    assert_eq!(guest.state.rflags, 2 | OF | AF);
}

#[test]
fn real_mode_segments_and_wrap() {
    let mut guest = Guest::flat(CodeWidth::Bits16);
    guest.state.segments[Segment::Ss as usize].base = 0x1_0000;
    guest.state.segments[Segment::Es as usize].base = 0x2_0000;
    guest.state.gprs[5] = 0xfff0;
    guest.state.gprs[RSI] = 0x0018;
    guest.put(0x1_0008, &[0x34, 0x12]);
    guest.put(0x2_0008, &[0x78, 0x56]);
    // mov ax, [bp + si]: wraps at 64 KiB, in the stack segment.
    let done = emulate_one(&mut guest, &[0x8b, 0x02], CodeWidth::Bits16);
    assert_eq!(done, Ok(Done::Next { len: 2 }));
    assert_eq!(guest.state.gprs[RAX], 0x1234);
    // mov ax, es:[bp + si]
    let done = emulate_one(&mut guest, &[0x26, 0x8b, 0x02], CodeWidth::Bits16);
    assert_eq!(done, Ok(Done::Next { len: 3 }));
    assert_eq!(guest.state.gprs[RAX], 0x5678);
    // A word at the last offset is beyond the limit; in real mode without an error code.
    guest.state.gprs[RBX] = 0xffff;
    let done = emulate_one(&mut guest, &[0x8b, 0x07], CodeWidth::Bits16);
    let expected = Exception {
        vector: 13,
        error_code: None,
        cr2: None,
    };
    assert_eq!(done, Err(expected.into()));
}

#[test]
fn protected_mode_rights() {
    let code = CodeWidth::Bits32;
    let mut guest = Guest::flat(code);
    // mov [ebx], al and mov al, [ebx], through DS or SS.
    let (store, load) = ([0x88, 0x03], [0x8a, 0x03]);
    let stack = [0x36, 0x8a, 0x03];
    let ok = Ok(Done::Next { len: 2 });
    let ds = Segment::Ds as usize;
    guest.state.gprs[RBX] = 0x1000;
    assert_eq!(emulate_one(&mut guest, &store, code), ok);
    // Read-only data.
    guest.state.segments[ds].attributes = attributes(1, true);
    assert_eq!(emulate_one(&mut guest, &store, code), gp());
    assert_eq!(emulate_one(&mut guest, &load, code), ok);
    // Code that can be read, and code that cannot.
    guest.state.segments[ds].attributes = attributes(0xb, true);
    assert_eq!(emulate_one(&mut guest, &store, code), gp());
    assert_eq!(emulate_one(&mut guest, &load, code), ok);
    guest.state.segments[ds].attributes = attributes(0x9, true);
    assert_eq!(emulate_one(&mut guest, &load, code), gp());
    // Expand-down: only offsets above the limit.
    guest.state.segments[ds].attributes = attributes(7, true);
    guest.state.segments[ds].limit = 0xfff;
    assert_eq!(emulate_one(&mut guest, &load, code), ok);
    guest.state.segments[ds].limit = 0x1000;
    assert_eq!(emulate_one(&mut guest, &load, code), gp());
    guest.state.segments[ds].limit = 0xfff;
    guest.state.segments[ds].attributes = attributes(7, false);
    guest.state.gprs[RBX] = 0x1_0000;
    assert_eq!(emulate_one(&mut guest, &load, code), gp());
    // A null selector.
    guest.state.segments[ds].attributes = 0;
    guest.state.gprs[RBX] = 0;
    assert_eq!(emulate_one(&mut guest, &load, code), gp());
    // The stack segment has an exception of its own.
    guest.state.segments[Segment::Ss as usize].limit = 0xfff;
    guest.state.gprs[RBX] = 0x1000;
    let expected = Exception::stack(Mode::Protected);
    assert_eq!(emulate_one(&mut guest, &stack, code), Err(expected.into()));
}

#[test]
fn canonical_addresses() {
    let code = CodeWidth::Bits64;
    let mut guest = Guest::flat(code);
    let load = [0x48, 0x8b, 0x03];
    for (address, good) in [
        (0x0000_7fff_ffff_fff8, true),
        (0x0000_7fff_ffff_fff9, false),
        (0x0000_8000_0000_0000, false),
        (0xffff_7fff_ffff_ffff, false),
        (0xffff_8000_0000_0000, true),
    ] {
        guest.state.gprs[RBX] = address;
        let done = emulate_one(&mut guest, &load, code);
        assert_eq!(done.is_ok(), good, "{address:x}");
        if !good {
            assert_eq!(done, gp());
        }
    }
    // Through the stack pointer it is #SS, and FS has a base.
    guest.state.gprs[RSP] = 1 << 50;
    let done = emulate_one(&mut guest, &[0x8b, 0x04, 0x24], code);
    assert_eq!(done, Err(Exception::stack(Mode::Protected).into()));
    guest.state.segments[Segment::Fs as usize].base = 0xffff_8000_0000_1000;
    guest.state.gprs[RBX] = 0x10;
    guest.put(0xffff_8000_0000_1010, &[0x5a]);
    let done = emulate_one(&mut guest, &[0x64, 0x8a, 0x03], code);
    assert_eq!(done, Ok(Done::Next { len: 3 }));
    assert_eq!(guest.state.gprs[RAX], 0x5a);
}

#[test]
fn repeated_strings_are_bounded_and_restartable() {
    let code = CodeWidth::Bits64;
    let mut guest = Guest::flat(code);
    guest.state.gprs[RCX] = 100;
    guest.state.gprs[RDI] = 0x2000;
    guest.state.gprs[RAX] = 0x77;
    // rep stosb
    let insn = [0xf3, 0xaa];
    assert_eq!(emulate_one(&mut guest, &insn, code), Ok(Done::Again));
    let batch = u64::from(string::BATCH);
    assert_eq!(guest.state.gprs[RCX], 100 - batch);
    assert_eq!(guest.state.gprs[RDI], 0x2000 + batch);
    let done = emulate_one(&mut guest, &insn, code);
    assert_eq!(done, Ok(Done::Next { len: 2 }));
    assert_eq!(guest.state.gprs[RCX], 0);
    assert_eq!(guest.bytes(0x2000, 101)[99..], [0x77, 0]);

    // A fault in the middle leaves the iterations before it.
    guest.state.gprs[RCX] = 10;
    guest.state.gprs[RDI] = 0x2ffd;
    guest.mapped = 0..0x3000;
    let done = emulate_one(&mut guest, &insn, code);
    assert_eq!(done, Err(Exception::page(0x3000, 2).into()));
    assert_eq!((guest.state.gprs[RCX], guest.state.gprs[RDI]), (7, 0x3000));

    // A single-stepping guest stops after each iteration.
    guest.state.rflags |= TF;
    guest.state.gprs[RCX] = 2;
    guest.state.gprs[RDI] = 0x2000;
    assert_eq!(emulate_one(&mut guest, &insn, code), Ok(Done::Again));
    assert_eq!(guest.state.gprs[RCX], 1);
}

/// INS and OUTS in all widths, address sizes, directions and segments.
#[test]
fn strings_of_ports() {
    const RDX: usize = 2;
    let flat = |code| {
        let mut guest = Guest::flat(code);
        guest.state.gprs[RDX] = 0x7777_0000_0000_03f8;
        guest.state.gprs[RDI] = 0xffff_fff0_0000_2000;
        guest.state.gprs[RSI] = 0xffff_fff0_0000_3000;
        guest
    };

    // insb, insw, insd, and insd with REX.W, which reads no more than 4 bytes.
    let bytes = 0xfc07_03f8u32.to_le_bytes();
    for (insn, len) in [
        (&[0x6c][..], 1),
        (&[0x66, 0x6d], 2),
        (&[0x6d], 4),
        (&[0x48, 0x6d], 4),
    ] {
        let mut guest = flat(CodeWidth::Bits64);
        let at = guest.state.gprs[RDI];
        let done = emulate_one(&mut guest, insn, CodeWidth::Bits64);
        let next = Done::Next {
            len: insn.len() as u8,
        };
        assert_eq!(done, Ok(next));
        let calls = [
            Call::Translate(at, len, Access::Write),
            Call::PortRead(0x3f8, len),
            Call::Write(at, len),
        ];
        assert_eq!(guest.calls, calls);
        assert_eq!(guest.bytes(at, len), bytes[..len]);
        assert_eq!(guest.state.gprs[RDI], at + len as u64);
    }

    // rep outsw es:[si] downwards in real mode: 16 bits of CX and SI count, and they wrap.
    let mut guest = flat(CodeWidth::Bits16);
    guest.state.segments[Segment::Es as usize].base = 0x1_0000;
    guest.put(0x1_0000, &[1, 2]);
    guest.put(0x1_fffe, &[3, 4]);
    guest.state.gprs[RCX] = 0xabcd_0002;
    guest.state.gprs[RSI] = 0xabcd_0000;
    guest.state.rflags |= DF;
    let done = emulate_one(&mut guest, &[0xf3, 0x26, 0x6f], CodeWidth::Bits16);
    assert_eq!(done, Ok(Done::Next { len: 3 }));
    assert_eq!(guest.state.gprs[RCX], 0xabcd_0000);
    assert_eq!(guest.state.gprs[RSI], 0xabcd_fffc);
    assert_eq!(guest.calls[2], Call::PortWrite(0x3f8, 2, 0x0201));
    assert_eq!(guest.calls[5], Call::PortWrite(0x3f8, 2, 0x0403));

    // rep insd with 32-bit addresses in 64-bit code; F2 repeats as F3 does. ES has no override.
    let mut guest = flat(CodeWidth::Bits64);
    guest.state.gprs[RCX] = 0x1_0000_0001;
    let insn = [0xf2, 0x65, 0x67, 0x6d];
    let done = emulate_one(&mut guest, &insn, CodeWidth::Bits64);
    assert_eq!(done, Ok(Done::Next { len: 4 }));
    assert_eq!(guest.bytes(0x2000, 4), bytes);
    assert_eq!(guest.state.gprs[RCX], 0);
    assert_eq!(guest.state.gprs[RDI], 0x2004);

    // Nothing is read or written if there is nothing to do.
    let mut guest = flat(CodeWidth::Bits64);
    let done = emulate_one(&mut guest, &[0xf3, 0x6c], CodeWidth::Bits64);
    assert_eq!((done, guest.calls.len()), (Ok(Done::Next { len: 2 }), 0));

    // A fault in the middle comes before the port is read, and the iterations before it count.
    let mut guest = flat(CodeWidth::Bits32);
    guest.mapped = 0..0x3000;
    guest.state.gprs[RCX] = 5;
    guest.state.gprs[RDI] = 0x2ffe;
    let done = emulate_one(&mut guest, &[0xf3, 0x6c], CodeWidth::Bits32);
    assert_eq!(done, Err(Exception::page(0x3000, 2).into()));
    let reads = |call: &&Call| matches!(call, Call::PortRead(..));
    assert_eq!(guest.calls.iter().filter(reads).count(), 2);
    assert_eq!((guest.state.gprs[RCX], guest.state.gprs[RDI]), (3, 0x3000));

    // Many iterations come in parts.
    let mut guest = flat(CodeWidth::Bits64);
    guest.state.gprs[RCX] = 1000;
    let done = emulate_one(&mut guest, &[0xf3, 0x6e], CodeWidth::Bits64);
    assert_eq!(done, Ok(Done::Again));
    assert_eq!(guest.state.gprs[RCX], 1000 - u64::from(string::BATCH));
}

/// An exit tells the direction and the size of an access; what is in memory by then may be another
/// instruction.
#[test]
fn strings_of_ports_are_told_apart() {
    for (insn, input, bytes) in [
        (&[0x6c][..], true, 1),
        (&[0xf3, 0x6d], true, 4),
        (&[0x66, 0x6d], true, 2),
        (&[0x48, 0x6f], false, 4),
        (&[0xf3, 0x64, 0x6e], false, 1),
    ] {
        let insn = decode(insn, CodeWidth::Bits64, Vendor::Amd).unwrap();
        for other in [1, 2, 4, 8] {
            assert!(!string::is_port_string(&insn, !input, other));
            let same = string::is_port_string(&insn, input, other);
            assert_eq!(same, other == bytes);
        }
    }
    // stosb, and 0F 6C
    for bytes in [&[0xaa][..], &[0x66, 0x0f, 0x6c, 0xc0]] {
        let insn = decode(bytes, CodeWidth::Bits64, Vendor::Amd).unwrap();
        assert!(!string::is_port_string(&insn, true, 1));
    }
}

/// The number of a bit in memory is signed, as wide as the operand, and may lead away from it.
#[test]
fn bit_numbers_reach_far() {
    let code = CodeWidth::Bits64;
    // bts [rbx], cx / ecx / rcx
    for (insn, number, at) in [
        (&[0x66, 0x0f, 0xab, 0x0b][..], 0xffff, -2i64),
        (&[0x66, 0x0f, 0xab, 0x0b], 0x1_8000, -0x1000),
        (&[0x66, 0x0f, 0xab, 0x0b], 0x7fff, 0xffe),
        (&[0x0f, 0xab, 0x0b], 0xffff_ffff, -4),
        (&[0x0f, 0xab, 0x0b], 0x8000_0000, -0x1000_0000),
        (&[0x0f, 0xab, 0x0b], 0xffff, 0x1ffc),
        (&[0x48, 0x0f, 0xab, 0x0b], u64::MAX, -8),
        (&[0x48, 0x0f, 0xab, 0x0b], 0xffff_ffff, 0x1fff_fff8),
    ] {
        let mut guest = Guest::flat(code);
        let base = 0x1_0000_0000u64;
        guest.state.gprs[RBX] = base;
        guest.state.gprs[RCX] = number;
        emulate_one(&mut guest, insn, code).unwrap();
        let Some(&Call::Translate(linear, _, Access::ReadWrite)) = guest.calls.first() else {
            panic!("{:?}", guest.calls);
        };
        assert_eq!(
            linear,
            base.wrapping_add_signed(at),
            "{insn:02x?} {number:x}"
        );
    }
    // btc dword ptr [rbx], 33: a constant stays inside the operand.
    let mut guest = Guest::flat(code);
    emulate_one(&mut guest, &[0x0f, 0xba, 0x3b, 33], code).unwrap();
    assert_eq!(guest.bytes(0, 5), [2, 0, 0, 0, 0]);
}

#[test]
fn pop_uses_the_stack_pointer_after() {
    let code = CodeWidth::Bits64;
    let mut guest = Guest::flat(code);
    guest.state.gprs[RSP] = 0x2000;
    guest.put(0x2000, &0x1122_3344_5566_7788u64.to_le_bytes());
    // pop qword ptr [rsp + 8]
    let done = emulate_one(&mut guest, &[0x8f, 0x44, 0x24, 0x08], code);
    assert_eq!(done, Ok(Done::Next { len: 4 }));
    assert_eq!(guest.state.gprs[RSP], 0x2008);
    assert_eq!(
        guest.bytes(0x2010, 8),
        0x1122_3344_5566_7788u64.to_le_bytes()
    );
    // A 16-bit stack in 32-bit code: only SP moves, and it wraps.
    let code = CodeWidth::Bits32;
    let mut guest = Guest::flat(code);
    guest.state.segments[Segment::Ss as usize].attributes = attributes(3, false);
    guest.state.gprs[RSP] = 0xabcd_0002;
    guest.state.gprs[RAX] = 0x0102_0304;
    let done = emulate_one(&mut guest, &[0x50], code);
    assert_eq!(done, Ok(Done::Next { len: 1 }));
    assert_eq!(guest.state.gprs[RSP], 0xabcd_fffe);
    assert_eq!(guest.bytes(0xfffe, 4), 0x0102_0304u32.to_le_bytes());
}

#[test]
fn what_is_undefined_and_what_is_unknown() {
    let undefined = Err(Fault::Exception(Exception::UNDEFINED));
    let unknown = Err(Fault::Unhandleable);
    for (insn, expected) in [
        // lock mov, lock cmp, lock add with a register as destination, lock bt.
        (&[0xf0, 0x89, 0x03][..], undefined),
        (&[0xf0, 0x39, 0x03], undefined),
        (&[0xf0, 0x01, 0xc3], undefined),
        (&[0xf0, 0x0f, 0xa3, 0x03], undefined),
        // ud2, push es, mov with a digit that is not 0, pop with a digit that is not 0.
        (&[0x0f, 0x0b], undefined),
        (&[0x06], undefined),
        (&[0xc7, 0x08, 0, 0, 0, 0], undefined),
        (&[0x8f, 0xe0], undefined),
        // vmovups zmm0, [rax] while AVX-512 is off; the same under a mask; vaddps zmm0, zmm0, [rax]; vcompressps
        // [rax], zmm0
        (&[0x62, 0xf1, 0x7c, 0x48, 0x10, 0x00], undefined),
        (&[0x62, 0xf1, 0x7c, 0x49, 0x10, 0x00], undefined),
        (&[0x62, 0xf1, 0x7c, 0x48, 0x58, 0x00], undefined),
        (&[0x62, 0xf2, 0x7d, 0x48, 0x8a, 0x00], unknown),
        // vmmcall; xbegin; monitor
        (&[0x0f, 0x01, 0xd9], unknown),
        (&[0xc7, 0xf8, 0, 0, 0, 0], unknown),
        (&[0x0f, 0x01, 0xc8], unknown),
    ] {
        let mut guest = Guest::flat(CodeWidth::Bits64);
        let done = emulate_one(&mut guest, insn, CodeWidth::Bits64);
        assert_eq!(done, expected, "{insn:02x?}");
        assert!(guest.calls.is_empty());
    }
}

#[test]
fn an_instruction_in_two_pieces() {
    let code = CodeWidth::Bits64;
    let mut guest = Guest::flat(code);
    guest.rip = 0x1ffe;
    let insn = [0xc7, 0x03, 0x11, 0x22, 0x33, 0x44];
    for (n, &byte) in insn.iter().enumerate() {
        guest.code.insert(guest.rip + n as u64, byte);
    }
    guest.state.gprs[RBX] = 0x8000;
    let done = emulate_one(&mut guest, &insn[..2], code);
    assert_eq!(done, Ok(Done::Next { len: 6 }));
    assert_eq!(guest.bytes(0x8000, 4), [0x11, 0x22, 0x33, 0x44]);
    // The second page is not there.
    guest.code.clear();
    let done = emulate_one(&mut guest, &insn[..2], code);
    assert_eq!(done, Err(Exception::page(0x2000, 0x10).into()));
    // Fifteen bytes and still no end.
    let done = emulate_one(&mut guest, &[0x66; 15], code);
    assert_eq!(done, gp());
}

/// A locked instruction goes back to the start if somebody else was faster.
#[test]
fn locked_instructions_compare() {
    let code = CodeWidth::Bits64;
    let mut guest = Guest::flat(code);
    guest.state.gprs[RBX] = 0x1000;
    for (insn, locked) in [
        (&[0xf0, 0xff, 0x03][..], true),
        (&[0xff, 0x03], false),
        (&[0x87, 0x03], true),
    ] {
        guest.calls.clear();
        emulate_one(&mut guest, insn, code).unwrap();
        let last = match locked {
            true => Call::CompareExchange(0x1000, 4),
            false => Call::Write(0x1000, 4),
        };
        assert_eq!(guest.calls.last(), Some(&last));
    }
}

/// Calls `check` with `cases` random guests and instructions.
fn run(cases: u64, check: impl Fn(&mut Random, CodeWidth, &mut Guest, &[u8])) {
    for seed in 0..cases {
        let mut random = Random(seed);
        let code = random.code_width();
        let mut guest = any_guest(&mut random, code);
        let bytes = random.instruction();
        check(&mut random, code, &mut guest, &bytes);
    }
}

/// Whatever the bytes and the guest are: no panic, a bounded number of calls, and all translations
/// before all reads before the one write.
#[test]
fn order_of_calls() {
    run(200_000, |_, code, guest, bytes| {
        let before = guest.state.clone();
        let result = emulate_one(guest, bytes, code);
        assert!(guest.calls.len() <= 4 * string::BATCH as usize);
        let string = decode(bytes, code, Vendor::Amd).is_ok_and(|insn| is_string(&insn));
        if let Ok(Done::Again) = result {
            assert!(string);
        }
        if string {
            return;
        }
        if result.is_err() {
            assert!(guest.state == before, "{bytes:02x?} {code:?}");
        }
        // What a far transfer accesses depends on what it has read; ENTER reads one frame and writes
        // another.
        let staged = !guest
            .calls
            .iter()
            .any(|call| matches!(call, Call::TranslateSystem(..)))
            && !has_frame(bytes, code);
        let stage = |call: &Call| match call {
            Call::Translate(..) | Call::TranslateSystem(..) => 0,
            Call::Read(..) | Call::PortRead(..) if staged => 1,
            Call::Read(..) | Call::PortRead(..) => 0,
            _ => 2,
        };
        assert!(
            guest.calls.is_sorted_by_key(stage),
            "{bytes:02x?} {:x?}",
            guest.calls
        );
        let writes = guest.calls.iter().filter(|call| stage(call) == 2);
        assert!(writes.count() <= if staged { 1 } else { 4 }, "{bytes:02x?}");
    });
}

/// Whether it has a frame of several items on the stack.
fn has_frame(bytes: &[u8], code: CodeWidth) -> bool {
    let Ok(insn) = decode(bytes, code, Vendor::Amd) else {
        return false;
    };
    match (insn.map, insn.opcode) {
        // ARPL needs the right to write only if it does.
        (Map::One, 0x63) => code != CodeWidth::Bits64,
        (Map::One, 0x60 | 0x9a | 0xc8 | 0xca | 0xcb | 0xcf | 0xea) => true,
        (Map::One, 0xff) => matches!(insn.digit(), 3 | 5),
        _ => false,
    }
}

/// If any call fails, nothing of the instruction has happened (requirement E-6), and the same
/// instruction started again does what it would have done.
#[test]
fn nothing_happens_before_the_verdict() {
    let failed = std::cell::Cell::new(0);
    run(200_000, |random, code, guest, bytes| {
        // One iteration of string instructions.
        guest.state.rflags |= TF;
        let before = guest.state.clone();
        let at = random.below(4);
        guest.fail = Some((at, Fault::Retry));
        let result = emulate_one(guest, bytes, code);
        if guest.calls.len() > at {
            failed.set(failed.get() + 1);
            assert_eq!(result, Err(Fault::Retry), "{bytes:02x?} {code:?}");
            assert_eq!(guest.calls.len(), at + 1);
            // The second part of a frame may fail when the first one is written.
            let partial = guest.calls[..at].iter().any(changes);
            assert!(partial || guest.state == before, "{bytes:02x?} {code:?}");
            guest.fail = None;
            let again = emulate_one(guest, bytes, code);
            let after = std::mem::replace(&mut guest.state, before);
            assert_eq!(emulate_one(guest, bytes, code), again);
            assert!(guest.state == after, "{bytes:02x?} {code:?}");
        }
    });
    assert!(failed.get() > 5_000, "{}", failed.get());
}
