// SPDX-License-Identifier: GPL-2.0-only

//! System instructions, which no process can execute.

use super::*;
use crate::emulate::{
    flags::{
        AC,
        IF,
        IOPL, //
    },
    ops::{
        CacheControl,
        Control,
        Feature,
        Invalidation,
        SegmentState,
        SystemSegment,
        Table,
        TableState, //
    }, //
};

pub(super) const RDX: usize = 2;
pub(super) const CS: usize = Segment::Cs as usize;
pub(super) const SS: usize = Segment::Ss as usize;
pub(super) const CODE: CodeWidth = CodeWidth::Bits64;

pub(super) fn undefined() -> Result<Done> {
    Err(Exception::UNDEFINED.into())
}

pub(super) fn next(len: u8) -> Result<Done> {
    Ok(Done::Next { len })
}

/// A guest in user mode.
pub(super) fn user(code: CodeWidth) -> Guest {
    let mut guest = Guest::flat(code);
    for segment in &mut guest.state.segments {
        segment.attributes |= 0x60;
    }
    guest
}

/// What users may not execute raises #GP, and nothing happens.
#[test]
fn users_are_refused() {
    for insn in [
        &[0xf4][..],
        &[0xfa],
        &[0xfb],
        &[0x0f, 0x00, 0xd0],
        &[0x0f, 0x00, 0xd8],
        &[0x0f, 0x01, 0x10],
        &[0x0f, 0x01, 0x18],
        &[0x0f, 0x01, 0xf0],
        &[0x0f, 0x01, 0x38],
        &[0x0f, 0x01, 0xf8],
        &[0x0f, 0x06],
        &[0x0f, 0x07],
        &[0x0f, 0x08],
        &[0x0f, 0x09],
        &[0x0f, 0x20, 0xc0],
        &[0x0f, 0x22, 0xc0],
        &[0x0f, 0x21, 0xc0],
        &[0x0f, 0x23, 0xc0],
        &[0x0f, 0x30],
        &[0x0f, 0x32],
        &[0x66, 0x0f, 0x38, 0x82, 0x00],
        // With CR4.PCE clear, and UMIP set: rdpmc; sgdt, sidt, sldt, str, smsw.
        &[0x0f, 0x33],
        &[0x0f, 0x01, 0x00],
        &[0x0f, 0x01, 0x08],
        &[0x0f, 0x00, 0xc0],
        &[0x0f, 0x00, 0xc8],
        &[0x0f, 0x01, 0xe0],
        // in and out, without a bitmap.
        &[0xe4, 0x10],
        &[0xee],
        &[0x6c],
    ] {
        let mut guest = user(CODE);
        guest.state.cr[4] |= 1 << 11;
        guest.checks_ports = true;
        let before = guest.state.clone();
        assert_eq!(emulate_one(&mut guest, insn, CODE), gp(), "{insn:02x?}");
        assert!(guest.state == before);
        assert!(guest.calls.is_empty(), "{insn:02x?}");
    }
}

#[test]
fn control_registers() {
    let mut guest = Guest::flat(CODE);
    guest.state.cr[3] = 0x1234_5678_9000;
    // mov r9, cr3; mov cr3, rax; mov cr8, rax; mov cr8, rax by LOCK
    assert_eq!(
        emulate_one(&mut guest, &[0x41, 0x0f, 0x20, 0xd9], CODE),
        next(4)
    );
    assert_eq!(guest.state.gprs[9], 0x1234_5678_9000);
    guest.state.gprs[RAX] = 5;
    for (insn, register) in [
        (&[0x0f, 0x22, 0xd8][..], Control::Cr3),
        (&[0x44, 0x0f, 0x22, 0xc0], Control::Cr8),
        (&[0xf0, 0x0f, 0x22, 0xc0], Control::Cr8),
        // The mode bits of ModRM do not matter.
        (&[0x0f, 0x22, 0x18], Control::Cr3),
    ] {
        assert!(emulate_one(&mut guest, insn, CODE).is_ok());
        assert_eq!(guest.calls.last(), Some(&Call::SetControl(register, 5)));
    }
    // No such registers.
    for insn in [
        &[0x0f, 0x20, 0xc8][..],
        &[0x0f, 0x22, 0xe8],
        &[0x44, 0x0f, 0x20, 0xd0],
        &[0xf0, 0x44, 0x0f, 0x20, 0xc0],
    ] {
        assert_eq!(emulate_one(&mut guest, insn, CODE), undefined());
    }
    guest.vendor = Vendor::Intel;
    assert_eq!(
        emulate_one(&mut guest, &[0xf0, 0x0f, 0x22, 0xc0], CODE),
        undefined()
    );

    // 32 bits outside 64-bit mode.
    let code = CodeWidth::Bits32;
    let mut guest = Guest::flat(code);
    guest.state.gprs[RAX] = 0xffff_ffff_0000_0011;
    assert!(emulate_one(&mut guest, &[0x0f, 0x22, 0xc0], code).is_ok());
    assert_eq!(guest.calls, [Call::SetControl(Control::Cr0, 0x11)]);
}

#[test]
fn machine_status_word() {
    let mut guest = Guest::flat(CODE);
    guest.state.cr[0] = 0x8005_003b;
    // clts
    assert_eq!(emulate_one(&mut guest, &[0x0f, 0x06], CODE), next(2));
    assert_eq!(guest.state.cr[0], 0x8005_0033);
    // lmsw ax: sets TS, cannot clear PE, changes nothing above bit 3.
    guest.state.gprs[RAX] = 0xffff_fff8;
    assert_eq!(emulate_one(&mut guest, &[0x0f, 0x01, 0xf0], CODE), next(3));
    assert_eq!(guest.state.cr[0], 0x8005_0039);
    // smsw rax, eax, ax, [rbx]
    guest.state.cr[0] = 0x1_8005_0039;
    for (insn, value) in [
        (&[0x48, 0x0f, 0x01, 0xe0][..], 0x1_8005_0039),
        (&[0x0f, 0x01, 0xe0], 0x8005_0039),
        (&[0x66, 0x0f, 0x01, 0xe0], 0xffff_ffff_ffff_0039),
    ] {
        guest.state.gprs[RAX] = u64::MAX;
        assert!(emulate_one(&mut guest, insn, CODE).is_ok());
        assert_eq!(guest.state.gprs[RAX], value);
    }
    guest.state.gprs[RBX] = 0x4000;
    assert!(emulate_one(&mut guest, &[0x48, 0x0f, 0x01, 0x23], CODE).is_ok());
    assert_eq!(guest.bytes(0x4000, 4), [0x39, 0, 0, 0]);
}

#[test]
fn debug_registers() {
    let mut guest = Guest::flat(CODE);
    guest.state.cr[4] &= !8;
    guest.state.dr[6] = 0xffff_0ff1;
    guest.state.gprs[RAX] = 0x1_0000_0000;
    // mov rbx, dr6; mov rbx, dr4, which is the same
    for insn in [[0x0f, 0x21, 0xf3], [0x0f, 0x21, 0xe3]] {
        guest.state.gprs[RBX] = 0;
        assert_eq!(emulate_one(&mut guest, &insn, CODE), next(3));
        assert_eq!(guest.state.gprs[RBX], 0xffff_0ff1);
    }
    // mov dr0, rax; mov dr7, rax with a bit in the upper half.
    assert_eq!(emulate_one(&mut guest, &[0x0f, 0x23, 0xc0], CODE), next(3));
    assert_eq!(guest.state.dr[0], 0x1_0000_0000);
    assert_eq!(emulate_one(&mut guest, &[0x0f, 0x23, 0xf8], CODE), gp());
    // CR4.DE makes DR4 undefined; DR7.GD is a matter of its own; there is no DR8.
    guest.state.cr[4] |= 8;
    assert_eq!(
        emulate_one(&mut guest, &[0x0f, 0x21, 0xe3], CODE),
        undefined()
    );
    assert_eq!(
        emulate_one(&mut guest, &[0x44, 0x0f, 0x21, 0xc0], CODE),
        undefined()
    );
    guest.state.dr[7] |= 1 << 13;
    let done = emulate_one(&mut guest, &[0x0f, 0x21, 0xf3], CODE);
    assert_eq!(done, Err(Fault::Unhandleable));
}

#[test]
fn descriptor_tables() {
    let mut guest = Guest::flat(CODE);
    guest.state.gprs[RBX] = 0x4000;
    guest.put(0x4000, &[0x7f, 0, 0, 0x10, 0x20, 0x30, 0, 0x80, 0xff, 0xff]);
    // lgdt [rbx]; sgdt [rbx + 0x10]
    assert_eq!(emulate_one(&mut guest, &[0x0f, 0x01, 0x13], CODE), next(3));
    let state = TableState {
        base: 0xffff_8000_3020_1000,
        limit: 0x7f,
    };
    assert_eq!(guest.calls.last(), Some(&Call::SetTable(Table::Gdt, state)));
    assert!(emulate_one(&mut guest, &[0x0f, 0x01, 0x43, 0x10], CODE).is_ok());
    assert_eq!(guest.bytes(0x4010, 10), guest.bytes(0x4000, 10));
    // A base that is not canonical.
    guest.put(0x4008, &[0xfe]);
    assert_eq!(emulate_one(&mut guest, &[0x0f, 0x01, 0x1b], CODE), gp());

    // Outside 64-bit mode 6 bytes, of whose base 16-bit operands take 3.
    let code = CodeWidth::Bits32;
    let mut guest = Guest::flat(code);
    guest.put(0x4000, &[0xff, 0x03, 0x11, 0x22, 0x33, 0x44]);
    guest.state.gprs[RBX] = 0x4000;
    for (insn, base) in [
        (&[0x0f, 0x01, 0x1b][..], 0x4433_2211),
        (&[0x66, 0x0f, 0x01, 0x1b], 0x33_2211),
    ] {
        assert!(emulate_one(&mut guest, insn, code).is_ok());
        let state = TableState { base, limit: 0x3ff };
        assert_eq!(guest.calls.last(), Some(&Call::SetTable(Table::Idt, state)));
        assert_eq!(guest.state.tables[1], state);
    }
}

#[test]
fn system_segments() {
    let mut guest = Guest::flat(CODE);
    // At 0x10 a task state segment, at 0x20 a local table, both of 16 bytes.
    guest.set_global_table(&[
        0,
        0,
        0x1200_8934_5678_0067,
        0xffff_8000,
        0x1200_8234_5678_00ff,
        0xffff_8000,
    ]);
    let base = 0xffff_8000_1234_5678;
    guest.state.gprs[RAX] = 0x10;
    // ltr ax
    assert_eq!(emulate_one(&mut guest, &[0x0f, 0x00, 0xd8], CODE), next(3));
    let (selector, state) = guest.state.system[SystemSegment::Task as usize];
    assert_eq!((selector, state.base, state.limit), (0x10, base, 0x67));
    assert_eq!(state.attributes, 0x8b);
    let busy = guest.state.tables[0].base + 0x15;
    assert_eq!(guest.bytes(busy, 1), [0x8b]);
    // Busy now.
    let refused = |selector| Err(Exception::selector(selector).into());
    assert_eq!(
        emulate_one(&mut guest, &[0x0f, 0x00, 0xd8], CODE),
        refused(0x10)
    );
    // lldt ax with a task, a local table, and null.
    assert_eq!(
        emulate_one(&mut guest, &[0x0f, 0x00, 0xd0], CODE),
        refused(0x10)
    );
    guest.state.gprs[RAX] = 0x20;
    assert!(emulate_one(&mut guest, &[0x0f, 0x00, 0xd0], CODE).is_ok());
    assert_eq!(guest.state.system[0].0, 0x20);
    assert_eq!(guest.state.system[0].1.base, base);
    guest.state.gprs[RAX] = 3;
    assert!(emulate_one(&mut guest, &[0x0f, 0x00, 0xd0], CODE).is_ok());
    assert_eq!(guest.state.system[0], (3, SegmentState::NULL));
    // ltr of null, of something in the local table, beyond the table.
    assert_eq!(
        emulate_one(&mut guest, &[0x0f, 0x00, 0xd8], CODE),
        refused(0)
    );
    guest.state.gprs[RAX] = 0x14;
    assert_eq!(
        emulate_one(&mut guest, &[0x0f, 0x00, 0xd8], CODE),
        refused(0x14)
    );
    guest.state.gprs[RAX] = 0x30;
    assert_eq!(
        emulate_one(&mut guest, &[0x0f, 0x00, 0xd8], CODE),
        refused(0x30)
    );
    // str ax, [rbx]
    guest.state.gprs[RAX] = u64::MAX;
    assert!(emulate_one(&mut guest, &[0x0f, 0x00, 0xc8], CODE).is_ok());
    assert_eq!(guest.state.gprs[RAX], 0x10);
    // None of it outside protected mode.
    let code = CodeWidth::Bits16;
    let mut guest = Guest::flat(code);
    for digit in 0..8 {
        let insn = [0x0f, 0x00, 0xc0 | digit << 3];
        assert_eq!(emulate_one(&mut guest, &insn, code), undefined());
    }
}

#[test]
fn model_specific_registers_and_counters() {
    let mut guest = Guest::flat(CODE);
    guest.state.gprs.fill(u64::MAX);
    guest.state.gprs[RCX] = 0xffff_ffff_c000_0103;
    guest.state.msrs.insert(0xc000_0103, 0x1122_3344_5566_7788);
    // rdmsr
    assert_eq!(emulate_one(&mut guest, &[0x0f, 0x32], CODE), next(2));
    assert_eq!(
        (guest.state.gprs[RAX], guest.state.gprs[RDX]),
        (0x5566_7788, 0x1122_3344)
    );
    // wrmsr
    guest.state.gprs[RAX] = 0xffff_ffff_0000_0001;
    assert_eq!(emulate_one(&mut guest, &[0x0f, 0x30], CODE), next(2));
    let call = Call::SetMsr(0xc000_0103, 0x1122_3344_0000_0001);
    assert_eq!(guest.calls, [call]);
    // rdtscp, rdpid rax
    assert_eq!(emulate_one(&mut guest, &[0x0f, 0x01, 0xf9], CODE), next(3));
    assert_eq!(guest.state.gprs[RCX], 1);
    assert_eq!(guest.state.gprs[RAX], 0x5566_7788);
    assert_eq!(
        emulate_one(&mut guest, &[0xf3, 0x0f, 0xc7, 0xf8], CODE),
        next(4)
    );
    assert_eq!(guest.state.gprs[RAX], 1);
    // rdpmc
    guest.state.gprs[RCX] = 7;
    assert!(emulate_one(&mut guest, &[0x0f, 0x33], CODE).is_ok());
    assert_eq!((guest.state.gprs[RAX], guest.state.gprs[RDX]), (5, 7));
    // No such register.
    guest.state.gprs[RCX] = 0x1234;
    assert_eq!(emulate_one(&mut guest, &[0x0f, 0x32], CODE), gp());
    // cpuid
    guest.state.gprs[RAX] = 0xffff_0000_8000_0001;
    guest.state.gprs[RCX] = 0xffff_0000_0000_0003;
    assert_eq!(emulate_one(&mut guest, &[0x0f, 0xa2], CODE), next(2));
    let [a, c, d, b, ..] = guest.state.gprs;
    assert_eq!([a, b, c, d], [0x8000_0001, 3, 0x7fff_fffe, 0xffff_fffc]);
    // rdtsc is for users too, unless CR4.TSD.
    let mut guest = user(CODE);
    assert_eq!(emulate_one(&mut guest, &[0x0f, 0x31], CODE), next(2));
    guest.state.cr[4] |= 4;
    assert_eq!(emulate_one(&mut guest, &[0x0f, 0x31], CODE), gp());
    // rdrand cx, rdseed rcx
    assert!(emulate_one(&mut guest, &[0x66, 0x0f, 0xc7, 0xf1], CODE).is_ok());
    assert_eq!((guest.state.gprs[RCX], guest.state.rflags), (0xcdef, 3));
    assert!(emulate_one(&mut guest, &[0x48, 0x0f, 0xc7, 0xf9], CODE).is_ok());
    assert_eq!((guest.state.gprs[RCX], guest.state.rflags), (0, 2));
}

#[test]
fn extended_state_and_keys() {
    let mut guest = Guest::flat(CODE);
    guest.state.gprs[RAX] = 3;
    // xsetbv, xgetbv without and with CR4.OSXSAVE
    for insn in [[0x0f, 0x01, 0xd1], [0x0f, 0x01, 0xd0]] {
        assert_eq!(emulate_one(&mut guest, &insn, CODE), undefined());
    }
    guest.state.cr[4] |= 1 << 18;
    assert!(emulate_one(&mut guest, &[0x0f, 0x01, 0xd1], CODE).is_ok());
    assert_eq!(guest.calls, [Call::SetExtended(0, 3)]);
    guest.state.gprs[RDX] = 9;
    assert!(emulate_one(&mut guest, &[0x0f, 0x01, 0xd0], CODE).is_ok());
    assert_eq!((guest.state.gprs[RAX], guest.state.gprs[RDX]), (3, 0));
    // wrpkru, rdpkru
    guest.state.cr[4] |= 1 << 22;
    guest.state.gprs[RAX] = 0x55;
    assert!(emulate_one(&mut guest, &[0x0f, 0x01, 0xef], CODE).is_ok());
    assert_eq!(guest.state.pkru, 0x55);
    guest.state.gprs[RDX] = 1;
    assert_eq!(emulate_one(&mut guest, &[0x0f, 0x01, 0xef], CODE), gp());
    assert!(emulate_one(&mut guest, &[0x0f, 0x01, 0xee], CODE).is_ok());
    guest.state.gprs[RCX] = 1;
    assert_eq!(emulate_one(&mut guest, &[0x0f, 0x01, 0xee], CODE), gp());
}

#[test]
fn segment_bases() {
    let mut guest = Guest::flat(CODE);
    let gs = Segment::Gs as usize;
    guest.state.gprs[RAX] = 0xffff_8000_1234_5678;
    // wrgsbase rax without CR4.FSGSBASE, with it, and in 32 bits
    let insn = [0xf3, 0x48, 0x0f, 0xae, 0xd8];
    assert_eq!(emulate_one(&mut guest, &insn, CODE), undefined());
    guest.state.cr[4] |= 1 << 16;
    assert!(emulate_one(&mut guest, &insn, CODE).is_ok());
    assert_eq!(guest.state.segments[gs].base, 0xffff_8000_1234_5678);
    assert!(emulate_one(&mut guest, &[0xf3, 0x0f, 0xae, 0xd8], CODE).is_ok());
    assert_eq!(guest.state.segments[gs].base, 0x1234_5678);
    // rdgsbase rbx
    assert!(emulate_one(&mut guest, &[0xf3, 0x48, 0x0f, 0xae, 0xcb], CODE).is_ok());
    assert_eq!(guest.state.gprs[RBX], 0x1234_5678);
    guest.state.gprs[RAX] = 1 << 47;
    assert_eq!(emulate_one(&mut guest, &insn, CODE), gp());
    // swapgs
    assert!(emulate_one(&mut guest, &[0x0f, 0x01, 0xf8], CODE).is_ok());
    assert_eq!(guest.calls, [Call::SwapGs]);
    let code = CodeWidth::Bits32;
    let mut guest = Guest::flat(code);
    assert_eq!(
        emulate_one(&mut guest, &[0x0f, 0x01, 0xf8], code),
        undefined()
    );
}

#[test]
fn caches_and_translations() {
    let mut guest = Guest::flat(CODE);
    guest.state.gprs[RBX] = 0x4021;
    guest.state.gprs[RAX] = 0x5fff;
    let fs = Segment::Fs as usize;
    guest.state.segments[fs].base = 0x10_0000;
    for (insn, call) in [
        (&[0x0f, 0x08][..], Call::Cache(CacheControl::Invalidate)),
        (
            &[0x0f, 0x09],
            Call::Cache(CacheControl::WriteBackAndInvalidate),
        ),
        (&[0xf3, 0x0f, 0x09], Call::Cache(CacheControl::WriteBack)),
        // clflush [rbx], clflushopt fs:[rbx], clwb [rbx]
        (&[0x0f, 0xae, 0x3b], Call::Cache(CacheControl::Line(0x4021))),
        (
            &[0x64, 0x66, 0x0f, 0xae, 0x3b],
            Call::Cache(CacheControl::Line(0x10_4021)),
        ),
        (
            &[0x66, 0x0f, 0xae, 0x33],
            Call::Cache(CacheControl::Line(0x4021)),
        ),
        // invlpg fs:[rbx]
        (
            &[0x64, 0x0f, 0x01, 0x3b],
            Call::Invalidate(Invalidation::Page { linear: 0x10_4021 }),
        ),
        // clzero
        (&[0x0f, 0x01, 0xfc], Call::Write(0x5fc0, 64)),
    ] {
        assert!(emulate_one(&mut guest, insn, CODE).is_ok(), "{insn:02x?}");
        assert_eq!(guest.calls.last(), Some(&call), "{insn:02x?}");
    }
    // A line that cannot be read.
    guest.mapped = 0..0x1000;
    let done = emulate_one(&mut guest, &[0x0f, 0xae, 0x3b], CODE);
    assert_eq!(done, Err(Exception::page(0x4021, 0).into()));
    // Without CLWB.
    guest.lacks.push(Feature::Clwb);
    assert_eq!(
        emulate_one(&mut guest, &[0x66, 0x0f, 0xae, 0x33], CODE),
        undefined()
    );
}

#[test]
fn invpcid() {
    let insn = [0x66, 0x0f, 0x38, 0x82, 0x03];
    let with = |kind: u64, context: u64, linear: u64, pcide: bool| {
        let mut guest = Guest::flat(CODE);
        guest.state.gprs[RAX] = kind;
        guest.state.gprs[RBX] = 0x4000;
        guest.state.cr[4] |= u64::from(pcide) << 17;
        guest.put(0x4000, &context.to_le_bytes());
        guest.put(0x4008, &linear.to_le_bytes());
        (emulate_one(&mut guest, &insn, CODE), guest.calls.pop())
    };
    let call = Invalidation::Context {
        kind: 0,
        pcid: 5,
        linear: 0x1000,
    };
    assert_eq!(
        with(0, 5, 0x1000, true),
        (next(5), Some(Call::Invalidate(call)))
    );
    assert!(with(2, 5, 1 << 63, false).0.is_ok());
    // Contexts are not numbered; no such type; a reserved bit; an address that is not canonical.
    assert_eq!(with(0, 5, 0x1000, false).0, gp());
    assert_eq!(with(4, 0, 0, true).0, gp());
    assert_eq!(with(1, 0x1000, 0, true).0, gp());
    assert_eq!(with(0, 0, 1 << 63, true).0, gp());
}

#[test]
fn interrupt_shadows_and_halt() {
    let mut guest = Guest::flat(CODE);
    // sti twice: the second one changes nothing.
    let shadow = |stack| Ok(Done::Shadow { len: 1, stack });
    assert_eq!(emulate_one(&mut guest, &[0xfb], CODE), shadow(false));
    assert_eq!(emulate_one(&mut guest, &[0xfb], CODE), next(1));
    assert_eq!(guest.state.rflags, 2 | IF);
    // cli, hlt
    assert_eq!(emulate_one(&mut guest, &[0xfa], CODE), next(1));
    assert_eq!(guest.state.rflags, 2);
    assert_eq!(
        emulate_one(&mut guest, &[0xf4], CODE),
        Ok(Done::Halt { len: 1 })
    );
    // pop ss, pop ds in real mode
    let code = CodeWidth::Bits16;
    let mut guest = Guest::flat(code);
    guest.put(0, &[0x34, 0x12]);
    assert_eq!(emulate_one(&mut guest, &[0x17], code), shadow(true));
    assert_eq!(guest.state.selectors[SS], 0x1234);
    assert_eq!(guest.state.segments[SS].base, 0x1_2340);
    assert_eq!(guest.state.gprs[RSP], 2);
    assert_eq!(emulate_one(&mut guest, &[0x1f], code), next(1));
}

#[test]
fn ports_and_their_bitmap() {
    const TSS: u64 = 0x9_0000;
    let mut guest = user(CODE);
    guest.checks_ports = true;
    guest.state.system[1] = (
        8,
        SegmentState {
            base: TSS,
            limit: 0x68 + 0x80,
            attributes: 0x8b,
        },
    );
    guest.put(TSS + 0x66, &[0x68, 0]);
    // Ports 0x3f8 to 0x3fb are free, those around not.
    guest.put(TSS + 0x68 + 0x7e, &[0xff, 0xf0, 0xff]);
    for (port, width, good) in [
        (0x3f8u64, 1, true),
        (0x3f8, 4, true),
        (0x3f9, 4, false),
        (0x3fb, 1, true),
        (0x3fb, 2, false),
        (0x3f7, 1, false),
        // Its second byte is beyond the limit.
        (0x408, 1, false),
    ] {
        guest.state.gprs[RDX] = port;
        let insn: &[u8] = match width {
            1 => &[0xec],
            2 => &[0x66, 0xed],
            _ => &[0xed],
        };
        let done = emulate_one(&mut guest, insn, CODE);
        match good {
            true => assert!(done.is_ok(), "{port:x}"),
            false => assert_eq!(done, gp(), "{port:x}"),
        }
    }
    // out dx, al with the same rights; IOPL 3 needs none.
    guest.state.gprs[RDX] = 0x3f8;
    guest.state.gprs[RAX] = 0x1234;
    assert!(emulate_one(&mut guest, &[0xee], CODE).is_ok());
    assert_eq!(guest.calls.last(), Some(&Call::PortWrite(0x3f8, 1, 0x34)));
    guest.state.rflags |= IOPL;
    assert!(emulate_one(&mut guest, &[0xe6, 0x70], CODE).is_ok());
    assert_eq!(guest.calls.last(), Some(&Call::PortWrite(0x70, 1, 0x34)));
    // in eax, dx clears the upper half.
    guest.state.gprs[RAX] = u64::MAX;
    assert!(emulate_one(&mut guest, &[0x48, 0xed], CODE).is_ok());
    assert_eq!(guest.state.gprs[RAX], 0xfc07_03f8);
}

/// Unaligned accesses of users that asked for it.
#[test]
fn alignment() {
    let mut guest = user(CODE);
    guest.state.cr[0] |= 1 << 18;
    guest.state.gprs[RBX] = 0x4002;
    let misaligned = Err(Exception::ALIGNMENT.into());
    // mov eax, [rbx] without and with RFLAGS.AC; mov ax, [rbx]
    assert!(emulate_one(&mut guest, &[0x8b, 0x03], CODE).is_ok());
    guest.state.rflags |= AC;
    assert_eq!(emulate_one(&mut guest, &[0x8b, 0x03], CODE), misaligned);
    assert!(emulate_one(&mut guest, &[0x66, 0x8b, 0x03], CODE).is_ok());
    // Kernels are never checked.
    let mut guest = Guest::flat(CODE);
    guest.state.cr[0] |= 1 << 18;
    guest.state.rflags |= AC;
    guest.state.gprs[RBX] = 0x4002;
    assert!(emulate_one(&mut guest, &[0x8b, 0x03], CODE).is_ok());
}
