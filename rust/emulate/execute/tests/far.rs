// SPDX-License-Identifier: GPL-2.0-only

//! Far transfers between privilege levels, which no process can make.

use super::*;
use crate::emulate::{
    flags::{
        IF,
        IOPL,
        NT,
        VM, //
    },
    ops::{
        SegmentState,
        SystemSegment,
        TaskSwitch, //
    }, //
};

const RDX: usize = 2;
const CS: usize = Segment::Cs as usize;
const SS: usize = Segment::Ss as usize;

/// Selectors of the table below, without privilege level.
const CODE0: u16 = 0x08;
const DATA0: u16 = 0x10;
const CODE3: u16 = 0x18;
const DATA3: u16 = 0x20;
const CODE64: u16 = 0x28;
const GATE: u16 = 0x30;
const UPPER: u16 = 0x38;
const CONFORMING: u16 = 0x40;
const TASK: u16 = 0x48;
const CODE64_3: u16 = 0x58;
/// Where the task state segment is.
const TSS: u64 = 0x9_0000;

/// A call gate; `kind` is 4 for 16 bits, else 12.
fn gate(selector: u16, offset: u64, kind: u64, dpl: u64, parameters: u64) -> u64 {
    offset & 0xffff
        | u64::from(selector) << 16
        | parameters << 32
        | kind << 40
        | dpl << 45
        | 1 << 47
        | (offset >> 16 & 0xffff) << 48
}

/// A guest at level `cpl` in flat segments of its own.
fn guest(code: CodeWidth, cpl: u16) -> Guest {
    let mut guest = Guest::flat(code);
    guest.set_global_table(&[
        0,
        0x00cf_9b00_0000_ffff,
        0x00cf_9300_0000_ffff,
        0x00cf_fb00_0000_ffff,
        0x00cf_f300_0000_ffff,
        0x00af_9b00_0000_ffff,
        gate(CODE0, 0x1234_5678, 12, 3, 2),
        0x1,
        // Conforming, not accessed.
        0x00cf_9e00_0000_ffff,
        // An available task state segment.
        0x0000_8900_0000_0067,
        0,
        0x00af_fb00_0000_ffff,
    ]);
    for (n, segment) in guest.state.segments.iter_mut().enumerate() {
        let kind = if n == CS { 0xb } else { 3 };
        *segment = SegmentState {
            base: 0,
            limit: u32::MAX,
            attributes: 0xc90 | kind | if cpl == 0 { 0 } else { 0x60 },
        };
    }
    let (cs, data) = match (code, cpl) {
        (CodeWidth::Bits64, 0) => (CODE64, DATA0),
        (CodeWidth::Bits64, _) => (CODE64_3, DATA3),
        (_, 0) => (CODE0, DATA0),
        _ => (CODE3, DATA3),
    };
    let data = data | cpl;
    guest.state.selectors = [data, cs | cpl, data, data, data, data];
    if code == CodeWidth::Bits64 {
        guest.state.segments[CS].attributes ^= 0x600;
    }
    guest.state.system[SystemSegment::Task as usize] = (
        TASK,
        SegmentState {
            base: TSS,
            limit: 0x67,
            attributes: 0x8b,
        },
    );
    guest.rip = 0x7000;
    guest.state.gprs[RSP] = 0x5000;
    guest
}

fn exception(vector: u8, code: u16) -> Result<Done> {
    Err(Exception {
        vector,
        error_code: Some(code.into()),
        cr2: None,
    }
    .into())
}

/// call far GATE:0 in 32-bit code
const CALL_GATE: [u8; 7] = [0x9a, 0, 0, 0, 0, GATE as u8, 0];

#[test]
fn a_call_gate_switches_stacks_and_copies_parameters() {
    let code = CodeWidth::Bits32;
    let mut guest = guest(code, 3);
    guest.put(TSS + 4, &0x8000u32.to_le_bytes());
    guest.put(TSS + 8, &DATA0.to_le_bytes());
    guest.put(0x5000, &0x1111_1111u32.to_le_bytes());
    guest.put(0x5004, &0x2222_2222u32.to_le_bytes());
    let done = emulate_one(&mut guest, &CALL_GATE, code);
    assert_eq!(done, Ok(Done::Jump { rip: 0x1234_5678 }));
    let frame: Vec<u32> = guest
        .bytes(0x8000 - 24, 24)
        .chunks(4)
        .map(|b| u32::from_le_bytes(b.try_into().unwrap()))
        .collect();
    let (cs, ss) = (u32::from(CODE3 | 3), u32::from(DATA3 | 3));
    assert_eq!(frame, [0x7007, cs, 0x1111_1111, 0x2222_2222, 0x5000, ss]);
    assert_eq!(guest.state.gprs[RSP], 0x8000 - 24);
    assert_eq!(guest.state.selectors[CS], CODE0);
    assert_eq!(guest.state.selectors[SS], DATA0);
    assert_eq!(guest.cpl(), 0);

    // And back: ret 8 releases the parameters on both stacks, and hides kernel segments.
    guest.rip = 0x1234_5678;
    let ds = Segment::Ds as usize;
    guest.state.selectors[ds] = DATA0;
    guest.state.segments[ds] = guest.state.segments[SS];
    let done = emulate_one(&mut guest, &[0xca, 8, 0], code);
    assert_eq!(done, Ok(Done::Jump { rip: 0x7007 }));
    assert_eq!(guest.state.gprs[RSP], 0x5008);
    assert_eq!(guest.state.selectors[CS], CODE3 | 3);
    assert_eq!(guest.state.selectors[SS], DATA3 | 3);
    assert_eq!(guest.state.selectors[ds], 0);
    assert_eq!(guest.state.segments[ds], SegmentState::NULL);
    assert_eq!(guest.cpl(), 3);
}

#[test]
fn a_call_gate_refuses_bad_stacks() {
    let code = CodeWidth::Bits32;
    let with = |top: u32, selector: u16, limit: u32| {
        let mut guest = guest(code, 3);
        guest.put(TSS + 4, &top.to_le_bytes());
        guest.put(TSS + 8, &selector.to_le_bytes());
        guest.state.system[1].1.limit = limit;
        let before = guest.state.clone();
        let done = emulate_one(&mut guest, &CALL_GATE, code);
        assert!(done.is_ok() || guest.state == before);
        done
    };
    assert!(with(0x8000, DATA0, 0x67).is_ok());
    // The task state segment ends before the selector.
    assert_eq!(with(0x8000, DATA0, 8), exception(10, TASK));
    // Null, of another level, not writable.
    assert_eq!(with(0x8000, 0, 0x67), exception(10, 0));
    assert_eq!(with(0x8000, DATA3 | 3, 0x67), exception(10, DATA3));
    assert_eq!(with(0x8000, DATA3, 0x67), exception(10, DATA3));
    assert_eq!(with(0x8000, CODE0, 0x67), exception(10, CODE0));
    // Beyond the table.
    assert_eq!(with(0x8000, 0x1000, 0x67), exception(10, 0x1000));
}

#[test]
fn gates_are_checked() {
    let code = CodeWidth::Bits32;
    let with = |descriptor: u64, cpl: u16| {
        let mut guest = guest(code, cpl);
        guest.put(TSS + 4, &0x8000u32.to_le_bytes());
        guest.put(TSS + 8, &DATA0.to_le_bytes());
        let at = guest.state.tables[0].base + u64::from(GATE);
        guest.put(at, &descriptor.to_le_bytes());
        emulate_one(&mut guest, &CALL_GATE, code)
    };
    let good = gate(CODE0, 0x100, 12, 3, 0);
    assert!(with(good, 3).is_ok());
    // DPL below CPL.
    assert_eq!(with(gate(CODE0, 0x100, 12, 0, 0), 3), exception(13, GATE));
    // Not present.
    assert_eq!(with(good & !(1 << 47), 3), exception(11, GATE));
    // Leads to nothing, data, a more outer level.
    assert_eq!(with(gate(0, 0x100, 12, 3, 0), 3), exception(13, 0));
    let data = gate(DATA0, 0x100, 12, 3, 0);
    assert_eq!(with(data, 3), exception(13, DATA0));
    let outer = gate(CODE3, 0x100, 12, 3, 0);
    assert_eq!(with(outer, 0), exception(13, CODE3));
    // A gate of 16 bits pushes words.
    let mut guest = guest(code, 0);
    let at = guest.state.tables[0].base + u64::from(GATE);
    guest.put(at, &gate(CODE0, 0x9999_0100, 4, 0, 0).to_le_bytes());
    let done = emulate_one(&mut guest, &CALL_GATE, code);
    assert_eq!(done, Ok(Done::Jump { rip: 0x100 }));
    assert_eq!(guest.state.gprs[RSP], 0x5000 - 4);
}

#[test]
fn a_gate_in_long_mode_has_sixteen_bytes() {
    let code = CodeWidth::Bits64;
    let mut guest = guest(code, 3);
    let table = guest.state.tables[0].base;
    let low = gate(CODE64, 0x1234_5678, 12, 3, 0);
    guest.put(table + u64::from(GATE), &low.to_le_bytes());
    guest.put(table + u64::from(UPPER), &0xffff_8000u64.to_le_bytes());
    guest.put(TSS + 4, &0xffff_9000_0000_8000u64.to_le_bytes());
    guest.state.gprs[RBX] = 0x2000;
    guest.put(0x2004, &GATE.to_le_bytes());
    // call far [rbx]
    let insn = [0xff, 0x1b];
    let done = emulate_one(&mut guest, &insn, code);
    let rip = 0xffff_8000_1234_5678;
    assert_eq!(done, Ok(Done::Jump { rip }));
    let frame: Vec<u64> = guest
        .bytes(0xffff_9000_0000_7fe0, 32)
        .chunks(8)
        .map(|b| u64::from_le_bytes(b.try_into().unwrap()))
        .collect();
    let (cs, ss) = (u64::from(CODE64_3 | 3), u64::from(DATA3 | 3));
    assert_eq!(frame, [0x7002, cs, 0x5000, ss]);
    // The stack segment is null, and says the level.
    assert_eq!(guest.state.selectors[SS], 0);
    assert_eq!((guest.cpl(), guest.state.selectors[CS]), (0, CODE64));

    // Something in the place of a type; 32-bit code behind it.
    guest.put(table + u64::from(UPPER), &0x0100_0000_0000u64.to_le_bytes());
    assert_eq!(emulate_one(&mut guest, &insn, code), exception(13, GATE));
    guest.put(table + u64::from(UPPER), &0u64.to_le_bytes());
    let low = gate(CODE0, 0x1234_5678, 12, 3, 0);
    guest.put(table + u64::from(GATE), &low.to_le_bytes());
    assert_eq!(emulate_one(&mut guest, &insn, code), exception(13, CODE0));
}

#[test]
fn conforming_code_keeps_the_level_and_is_marked() {
    let code = CodeWidth::Bits32;
    let mut guest = guest(code, 3);
    // jmp far CONFORMING:0x100
    let insn = [0xea, 0, 1, 0, 0, CONFORMING as u8, 0];
    let done = emulate_one(&mut guest, &insn, code);
    assert_eq!(done, Ok(Done::Jump { rip: 0x100 }));
    assert_eq!(guest.state.selectors[CS], CONFORMING | 3);
    let at = guest.state.tables[0].base + u64::from(CONFORMING) + 5;
    assert_eq!(guest.bytes(at, 1), [0x9f]);
    assert_eq!(guest.calls.last(), Some(&Call::CompareExchange(at, 1)));
    // The accessed bit is set only once.
    guest.calls.clear();
    emulate_one(&mut guest, &insn, code).unwrap();
    assert!(!guest.calls.iter().any(changes));
}

/// Pushes a frame at the stack pointer.
fn frame<T: Copy + Into<u64>>(guest: &mut Guest, width: usize, items: &[T]) {
    for (n, &item) in items.iter().enumerate() {
        let bytes = item.into().to_le_bytes();
        let at = guest.state.gprs[RSP] + (n * width) as u64;
        guest.put(at, &bytes[..width]);
    }
}

#[test]
fn iret_returns_to_users() {
    let code = CodeWidth::Bits64;
    let mut guest = guest(code, 0);
    guest.state.rflags = 2;
    let fs = Segment::Fs as usize;
    // The base of a null segment is a user's own, and stays.
    guest.state.selectors[fs] = 0;
    guest.state.segments[fs] = SegmentState {
        base: 0x7fff_0000,
        ..SegmentState::NULL
    };
    let (cs, ss) = (u64::from(CODE64_3 | 3), u64::from(DATA3 | 3));
    let image = IF | IOPL | NT | 0x55;
    frame(
        &mut guest,
        8,
        &[0x7fff_1234_5678, cs, image, 0x7fff_0000_1000, ss],
    );
    let done = emulate_one(&mut guest, &[0x48, 0xcf], code);
    assert_eq!(
        done,
        Ok(Done::Return {
            rip: 0x7fff_1234_5678
        })
    );
    assert_eq!(guest.state.gprs[RSP], 0x7fff_0000_1000);
    assert_eq!(guest.state.rflags, image | 2);
    assert_eq!(guest.cpl(), 3);
    assert!(guest.nmi_unblocked);
    assert_eq!(guest.state.segments[fs].base, 0x7fff_0000);
    assert_eq!(guest.state.selectors[Segment::Ds as usize], 0);

    // NT has no meaning in long mode.
    let done = emulate_one(&mut guest, &[0x48, 0xcf], code);
    assert_eq!(done, exception(13, 0));

    // From users neither IOPL nor IF can be changed.
    let mut guest = self::guest(code, 3);
    guest.state.rflags = 2 | IF;
    frame(&mut guest, 8, &[0x1000, cs, IOPL | 0x55, 0x2000, ss]);
    assert!(emulate_one(&mut guest, &[0x48, 0xcf], code).is_ok());
    assert_eq!(guest.state.rflags, 2 | IF | 0x55);
    // And no inner level entered.
    guest.state.gprs[RSP] = 0x5000;
    frame(
        &mut guest,
        8,
        &[0x1000u64, CODE64.into(), 2, 0x2000, DATA0.into()],
    );
    let done = emulate_one(&mut guest, &[0x48, 0xcf], code);
    assert_eq!(done, exception(13, CODE64));
}

#[test]
fn iret_returns_to_a_sixteen_bit_stack_without_the_upper_half() {
    let code = CodeWidth::Bits32;
    let mut guest = guest(code, 0);
    guest.put(guest.state.tables[0].base + u64::from(DATA3), &[0; 8]);
    let small = 0x0000_f300_0000_ffffu64;
    guest.put(
        guest.state.tables[0].base + u64::from(DATA3),
        &small.to_le_bytes(),
    );
    guest.state.gprs[RSP] = 0xabc_5000;
    let items = [
        0x1000,
        u32::from(CODE3 | 3),
        2,
        0x9999_2000,
        u32::from(DATA3 | 3),
    ];
    frame(&mut guest, 4, &items);
    assert!(emulate_one(&mut guest, &[0xcf], code).is_ok());
    assert_eq!(guest.state.gprs[RSP], 0xabc_2000);
}

#[test]
fn iret_enters_virtual_8086_mode() {
    let code = CodeWidth::Bits32;
    let mut guest = guest(code, 0);
    // No EFER.LMA.
    guest.state.msrs.insert(0xc000_0080, 0);
    let image = (VM | IF | 2) as u32;
    let items = [
        0x1_2345, 0x1000, image, 0xfffe, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000,
    ];
    frame(&mut guest, 4, &items);
    let done = emulate_one(&mut guest, &[0xcf], code);
    assert_eq!(done, Ok(Done::Return { rip: 0x2345 }));
    assert_eq!(
        guest.state.selectors,
        [0x3000, 0x1000, 0x2000, 0x4000, 0x5000, 0x6000]
    );
    assert_eq!(guest.state.gprs[RSP], 0xfffe);
    assert_eq!(guest.state.rflags, VM | IF | 2);
    for (segment, selector) in guest.state.segments.iter().zip(guest.state.selectors) {
        assert_eq!(segment.base, u64::from(selector) << 4);
        assert_eq!((segment.limit, segment.attributes), (0xffff, 0xf3));
    }
}

#[test]
fn tasks_are_switched_by_the_implementation() {
    let code = CodeWidth::Bits32;
    let mut guest = guest(code, 0);
    guest.state.msrs.insert(0xc000_0080, 0);
    let insn = [0xea, 0, 0, 0, 0, TASK as u8, 0];
    let done = emulate_one(&mut guest, &insn, code);
    assert_eq!(done, Ok(Done::TaskSwitched));
    let call = Call::SwitchTask(TASK, TaskSwitch::Jump, 0x7007);
    assert_eq!(guest.calls.last(), Some(&call));
    // IRET with NT.
    guest.state.rflags |= NT;
    let done = emulate_one(&mut guest, &[0xcf], code);
    assert_eq!(done, Ok(Done::TaskSwitched));
    let call = Call::SwitchTask(0, TaskSwitch::Return, 0x7001);
    assert_eq!(guest.calls.last(), Some(&call));
    // Not from users, and not in long mode.
    let mut guest = self::guest(code, 3);
    guest.state.msrs.insert(0xc000_0080, 0);
    assert_eq!(emulate_one(&mut guest, &insn, code), exception(13, TASK));
    let mut guest = self::guest(code, 0);
    guest.state.msrs.insert(0xc000_0080, 0x500);
    assert_eq!(emulate_one(&mut guest, &insn, code), exception(13, TASK));
}

/// In real mode a far transfer loads CS's base and leaves the rest.
#[test]
fn far_transfers_in_real_mode() {
    let code = CodeWidth::Bits16;
    let mut guest = Guest::flat(code);
    guest.state.gprs[RSP] = 0x100;
    guest.state.selectors[CS] = 0x1234;
    guest.rip = 0x10;
    // call far 0x2000:0x3456
    let done = emulate_one(&mut guest, &[0x9a, 0x56, 0x34, 0, 0x20], code);
    assert_eq!(done, Ok(Done::Jump { rip: 0x3456 }));
    assert_eq!(guest.bytes(0xfc, 4), [0x15, 0, 0x34, 0x12]);
    assert_eq!(guest.state.segments[CS].base, 0x2_0000);
    assert_eq!(guest.state.segments[CS].limit, 0xffff);
    // retf 2
    let done = emulate_one(&mut guest, &[0xca, 2, 0], code);
    assert_eq!(done, Ok(Done::Jump { rip: 0x15 }));
    assert_eq!(guest.state.gprs[RSP], 0x102);
    assert_eq!(guest.state.selectors[CS], 0x1234);
    // jmp far with a 32-bit offset beyond the limit
    let done = emulate_one(&mut guest, &[0x66, 0xea, 0, 0, 1, 0, 0, 0x20], code);
    let refused = Exception::protection(Mode::Real);
    assert_eq!(done, Err(refused.into()));
    // iret
    frame(&mut guest, 2, &[0x77u16, 0x3000, 0x0ed7]);
    let done = emulate_one(&mut guest, &[0xcf], code);
    assert_eq!(done, Ok(Done::Jump { rip: 0x77 }));
    assert_eq!(guest.state.rflags, 0x0ed7);
}

/// The stack pointer wraps in the middle of a frame.
#[test]
fn a_frame_in_two_parts() {
    let code = CodeWidth::Bits16;
    let mut guest = Guest::flat(code);
    guest.state.gprs = [0; 16];
    guest.state.gprs[RAX] = 0x1111;
    guest.state.gprs[RDX] = 0x3333;
    guest.state.gprs[RDI] = 0x8888;
    guest.state.gprs[RSP] = 4;
    // pusha
    let done = emulate_one(&mut guest, &[0x60], code);
    assert_eq!(done, Ok(Done::Next { len: 1 }));
    assert_eq!(guest.state.gprs[RSP], 0xfff4);
    assert_eq!(guest.bytes(2, 2), [0x11, 0x11]);
    assert_eq!(guest.bytes(0xfffe, 2), [0x33, 0x33]);
    assert_eq!(guest.bytes(0xfff4, 2), [0x88, 0x88]);
    // popa
    guest.state.gprs[RAX] = 0;
    guest.state.gprs[RDX] = 0;
    let done = emulate_one(&mut guest, &[0x61], code);
    assert_eq!(done, Ok(Done::Next { len: 1 }));
    assert_eq!(guest.state.gprs[RAX], 0x1111);
    assert_eq!(guest.state.gprs[RDX], 0x3333);
    assert_eq!(guest.state.gprs[RSP], 4);
}

/// ENTER copies the frame pointers of the procedures around it.
#[test]
fn enter_with_levels() {
    let code = CodeWidth::Bits32;
    let mut guest = guest(code, 3);
    guest.state.gprs[5] = 0x6000;
    guest.put(0x6000 - 4, &0xaaaa_0001u32.to_le_bytes());
    guest.put(0x6000 - 8, &0xaaaa_0002u32.to_le_bytes());
    // enter 0x20, 3
    let done = emulate_one(&mut guest, &[0xc8, 0x20, 0, 3], code);
    assert_eq!(done, Ok(Done::Next { len: 4 }));
    assert_eq!(guest.state.gprs[5], 0x5000 - 4);
    assert_eq!(guest.state.gprs[RSP], 0x5000 - 16 - 0x20);
    let pushed: Vec<u32> = guest
        .bytes(0x5000 - 16, 16)
        .chunks(4)
        .map(|b| u32::from_le_bytes(b.try_into().unwrap()))
        .collect();
    assert_eq!(pushed, [0x5000 - 4, 0xaaaa_0002, 0xaaaa_0001, 0x6000]);
    // A processor that reads what it has just pushed.
    guest.state.gprs[5] = guest.state.gprs[RSP];
    let done = emulate_one(&mut guest, &[0xc8, 0x20, 0, 3], code);
    assert_eq!(done, Err(Fault::Unhandleable));
}
