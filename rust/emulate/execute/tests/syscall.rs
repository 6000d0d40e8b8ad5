// SPDX-License-Identifier: GPL-2.0-only

//! System calls, software interrupts, and virtual 8086 mode.

use super::{
    system::{
        next,
        undefined,
        user,
        CODE,
        CS,
        RDX,
        SS, //
    },
    *, //
};
use crate::emulate::{
    flags::{
        AC,
        IF,
        IOPL,
        VIF,
        VIP,
        VM, //
    },
    ops::Software, //
};

/// What SYSCALL needs.
fn with_syscall(mut guest: Guest) -> Guest {
    guest.state.msrs.insert(0xc000_0081, 0x0023_0010_8765_4321);
    guest.state.msrs.insert(0xc000_0082, 0xffff_8000_0000_1000);
    guest.state.msrs.insert(0xc000_0083, 0xffff_8000_0000_2000);
    guest.state.msrs.insert(0xc000_0084, 0x4_7700);
    guest.state.msrs.insert(0x174, 0x10);
    guest.state.msrs.insert(0x175, 0xffff_9000_0000_0000);
    guest.state.msrs.insert(0x176, 0xffff_8000_0000_3000);
    guest.rip = 0x7000;
    guest
}

#[test]
fn syscall_and_sysret() {
    let mut guest = with_syscall(user(CODE));
    guest.state.rflags = 2 | CF_IF_AC;
    let done = emulate_one(&mut guest, &[0x0f, 0x05], CODE);
    let rip = 0xffff_8000_0000_1000;
    assert_eq!(done, Ok(Done::SystemCall { rip }));
    assert_eq!(
        (guest.state.gprs[RCX], guest.state.gprs[11]),
        (0x7002, 2 | CF_IF_AC)
    );
    assert_eq!(guest.state.rflags, 3);
    assert_eq!(
        (guest.state.selectors[CS], guest.state.selectors[SS]),
        (0x10, 0x18)
    );
    assert_eq!(guest.state.segments[CS].attributes, 0xa9b);
    assert_eq!(guest.cpl(), 0);

    // sysretq
    guest.state.gprs[RCX] = 0x7fff_0000;
    guest.state.gprs[11] = 0xffff_ffff;
    let done = emulate_one(&mut guest, &[0x48, 0x0f, 0x07], CODE);
    assert_eq!(done, Ok(Done::SystemCall { rip: 0x7fff_0000 }));
    assert_eq!(
        (guest.state.selectors[CS], guest.state.selectors[SS]),
        (0x33, 0x2b)
    );
    assert_eq!(guest.state.segments[CS].attributes, 0xafb);
    assert_eq!(guest.state.rflags, 0x3c_7fd7);
    assert_eq!(guest.cpl(), 3);

    // sysretl: compatibility mode
    let mut guest = with_syscall(Guest::flat(CODE));
    guest.state.gprs[RCX] = 0xffff_ffff_7fff_0000;
    let done = emulate_one(&mut guest, &[0x0f, 0x07], CODE);
    assert_eq!(done, Ok(Done::SystemCall { rip: 0x7fff_0000 }));
    assert_eq!(guest.state.selectors[CS], 0x23);
    assert_eq!(guest.state.segments[CS].attributes, 0xcfb);

    // From compatibility mode, on AMD's processors only.
    let code = CodeWidth::Bits32;
    let compatible = || {
        let mut guest = with_syscall(user(code));
        guest.state.msrs.insert(0xc000_0080, 0xd01);
        guest
    };
    let done = emulate_one(&mut compatible(), &[0x0f, 0x05], code);
    let rip = 0xffff_8000_0000_2000;
    assert_eq!(done, Ok(Done::SystemCall { rip }));
    let mut guest = compatible();
    guest.vendor = Vendor::Intel;
    assert_eq!(emulate_one(&mut guest, &[0x0f, 0x05], code), undefined());
    // Legacy mode.
    let mut guest = with_syscall(user(code));
    guest.state.rflags = 2 | IF;
    let done = emulate_one(&mut guest, &[0x0f, 0x05], code);
    assert_eq!(done, Ok(Done::SystemCall { rip: 0x8765_4321 }));
    assert_eq!(guest.state.rflags, 2);
    // EFER.SCE is clear.
    let mut guest = with_syscall(user(CODE));
    guest.state.msrs.insert(0xc000_0080, 0xd00);
    assert_eq!(emulate_one(&mut guest, &[0x0f, 0x05], CODE), undefined());
    // An address for users that is not canonical: a matter of whose processor it is.
    let mut guest = with_syscall(Guest::flat(CODE));
    guest.state.gprs[RCX] = 1 << 47;
    guest.vendor = Vendor::Intel;
    assert_eq!(emulate_one(&mut guest, &[0x48, 0x0f, 0x07], CODE), gp());
    guest.vendor = Vendor::Amd;
    let done = emulate_one(&mut guest, &[0x48, 0x0f, 0x07], CODE);
    assert_eq!(done, Ok(Done::SystemCall { rip: 1 << 47 }));
    assert_eq!(guest.cpl(), 3);
}

/// CF, IF and AC.
const CF_IF_AC: u64 = 1 | IF | AC;

#[test]
fn sysenter_and_sysexit() {
    let mut guest = with_syscall(user(CODE));
    guest.state.rflags = 3 | IF;
    assert_eq!(emulate_one(&mut guest, &[0x0f, 0x34], CODE), undefined());
    guest.vendor = Vendor::Intel;
    let done = emulate_one(&mut guest, &[0x0f, 0x34], CODE);
    let rip = 0xffff_8000_0000_3000;
    assert_eq!(done, Ok(Done::Jump { rip }));
    assert_eq!(guest.state.gprs[RSP], 0xffff_9000_0000_0000);
    assert_eq!(
        (guest.state.selectors[CS], guest.state.selectors[SS]),
        (0x10, 0x18)
    );
    assert_eq!((guest.state.rflags, guest.cpl()), (3, 0));
    // sysexitq
    guest.state.gprs[RDX] = 0x7fff_1000;
    guest.state.gprs[RCX] = 0x7fff_2000;
    let done = emulate_one(&mut guest, &[0x48, 0x0f, 0x35], CODE);
    assert_eq!(done, Ok(Done::Jump { rip: 0x7fff_1000 }));
    assert_eq!(guest.state.gprs[RSP], 0x7fff_2000);
    assert_eq!(
        (guest.state.selectors[CS], guest.state.selectors[SS]),
        (0x33, 0x3b)
    );
    assert_eq!(guest.cpl(), 3);
    // Switched off.
    guest.state.msrs.insert(0x174, 3);
    assert_eq!(emulate_one(&mut guest, &[0x0f, 0x34], CODE), gp());
    // In legacy mode AMD's processors have it too, with 32 bits.
    let code = CodeWidth::Bits32;
    let mut guest = with_syscall(user(code));
    let done = emulate_one(&mut guest, &[0x0f, 0x34], code);
    assert_eq!(done, Ok(Done::Jump { rip: 0x3000 }));
    assert_eq!(guest.state.gprs[RSP], 0);
    assert_eq!(guest.state.segments[CS].attributes, 0xc9b);
}

/// Shadow stacks and branch tracking are not known here.
#[test]
fn tracked_branches_are_unknown() {
    for insn in [
        &[0xe8, 0, 0, 0, 0][..],
        &[0xff, 0xe0],
        &[0xc3],
        &[0xcf],
        &[0x0f, 0x05],
    ] {
        let mut guest = with_syscall(Guest::flat(CODE));
        guest.state.cr[4] |= 1 << 23;
        let done = emulate_one(&mut guest, insn, CODE);
        assert_eq!(done, Err(Fault::Unhandleable), "{insn:02x?}");
    }
    // A direct jump and a condition are not tracked.
    let mut guest = Guest::flat(CODE);
    guest.state.cr[4] |= 1 << 23;
    assert!(emulate_one(&mut guest, &[0xeb, 0], CODE).is_ok());
    assert!(emulate_one(&mut guest, &[0x74, 0], CODE).is_ok());
}

#[test]
fn software_interrupts() {
    let mut guest = Guest::flat(CODE);
    let interrupt = |vector, by, len| Ok(Done::Interrupt { vector, by, len });
    for (insn, expected) in [
        (&[0xcc][..], interrupt(3, Software::Exception, 1)),
        (&[0xcd, 0x80], interrupt(0x80, Software::Interrupt, 2)),
        (&[0xcd, 0x03], interrupt(3, Software::Interrupt, 2)),
        (&[0xf1], interrupt(1, Software::Privileged, 1)),
        (&[0xce], undefined()),
    ] {
        assert_eq!(emulate_one(&mut guest, insn, CODE), expected);
    }
    let code = CodeWidth::Bits32;
    let mut guest = Guest::flat(code);
    assert_eq!(emulate_one(&mut guest, &[0xce], code), next(1));
    guest.state.rflags |= OF;
    assert_eq!(
        emulate_one(&mut guest, &[0xce], code),
        interrupt(4, Software::Exception, 1)
    );
}

/// Virtual 8086 mode with IOPL below 3, without and with the virtual interrupt flag.
#[test]
fn virtual_8086_mode() {
    let code = CodeWidth::Bits16;
    let make = |iopl: bool, vme: bool| {
        let mut guest = user(code);
        guest.state.mode = Mode::Virtual8086;
        guest.state.rflags = 2 | VM | if iopl { IOPL } else { 0 };
        guest.state.cr[4] = vme.into();
        guest.state.gprs[RSP] = 0x100;
        guest
    };
    let sensitive: [&[u8]; 6] = [&[0xfa], &[0xfb], &[0x9c], &[0x9d], &[0xcf], &[0xcd, 0x21]];
    for insn in sensitive {
        let refused = Exception::protection(Mode::Virtual8086);
        assert_eq!(
            emulate_one(&mut make(false, false), insn, code),
            Err(refused.into())
        );
        assert!(emulate_one(&mut make(true, false), insn, code).is_ok());
    }
    // INT3 is not.
    assert!(emulate_one(&mut make(false, false), &[0xcc], code).is_ok());

    let mut guest = make(false, true);
    // sti, pushf: IF shows what VIF is, IOPL looks like 3.
    assert_eq!(emulate_one(&mut guest, &[0xfb], code), next(1));
    assert_eq!(guest.state.rflags, 2 | VM | VIF);
    assert!(emulate_one(&mut guest, &[0x9c], code).is_ok());
    assert_eq!(guest.bytes(0xfe, 2), ((2 | IF | IOPL) as u16).to_le_bytes());
    // popf with IF clear
    guest.put(0xfe, &[3, 0]);
    assert!(emulate_one(&mut guest, &[0x9d], code).is_ok());
    assert_eq!(guest.state.rflags, 3 | VM);
    // An interrupt is waiting for the flag; single steps are not for it.
    guest.state.rflags |= VIP;
    let refused = Err(Exception::protection(Mode::Virtual8086).into());
    assert_eq!(emulate_one(&mut guest, &[0xfb], code), refused);
    guest.put(0x100, &[2, 2]);
    assert_eq!(emulate_one(&mut guest, &[0x9d], code), refused);
    guest.state.rflags &= !VIP;
    guest.put(0x100, &[2, 1]);
    assert_eq!(emulate_one(&mut guest, &[0x9d], code), refused);
    // 32-bit forms have no such help; INT goes by a bitmap.
    assert_eq!(emulate_one(&mut guest, &[0x66, 0x9c], code), refused);
    let done = emulate_one(&mut guest, &[0xcd, 0x21], code);
    assert_eq!(done, Err(Fault::Unhandleable));
    // And ports go by another one, whatever IOPL is.
    let mut guest = make(true, false);
    guest.checks_ports = true;
    assert_eq!(emulate_one(&mut guest, &[0xec], code), refused);
}
