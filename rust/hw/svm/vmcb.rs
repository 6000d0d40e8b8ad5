// SPDX-License-Identifier: GPL-2.0-only

//! The virtual machine control block. APM volume 2, appendix B.

use core::mem::offset_of;

use crate::hw::state::Segment;

/// Bits of the intercept words, by word and bit.
pub(crate) mod intercept {
    /// Word 3: instructions and events.
    pub(crate) const INTR: u32 = 1 << 0;
    pub(crate) const NMI: u32 = 1 << 1;
    pub(crate) const INIT: u32 = 1 << 3;
    pub(crate) const VINTR: u32 = 1 << 4;
    /// Reads and writes of IDTR, GDTR, LDTR and TR.
    pub(crate) const DESCRIPTORS: u32 = 0xff << 6;
    pub(crate) const RDPMC: u32 = 1 << 15;
    pub(crate) const CPUID: u32 = 1 << 18;
    pub(crate) const IRET: u32 = 1 << 20;
    pub(crate) const INTN: u32 = 1 << 21;
    pub(crate) const INVD: u32 = 1 << 22;
    pub(crate) const HLT: u32 = 1 << 24;
    pub(crate) const INVLPGA: u32 = 1 << 26;
    pub(crate) const IOIO: u32 = 1 << 27;
    pub(crate) const MSR: u32 = 1 << 28;
    pub(crate) const TASK_SWITCH: u32 = 1 << 29;
    pub(crate) const FERR_FREEZE: u32 = 1 << 30;
    pub(crate) const SHUTDOWN: u32 = 1 << 31;

    /// Word 4: instructions of the extension and others.
    pub(crate) const VMRUN: u32 = 1 << 0;
    pub(crate) const VMMCALL: u32 = 1 << 1;
    pub(crate) const VMLOAD: u32 = 1 << 2;
    pub(crate) const VMSAVE: u32 = 1 << 3;
    pub(crate) const STGI: u32 = 1 << 4;
    pub(crate) const CLGI: u32 = 1 << 5;
    pub(crate) const SKINIT: u32 = 1 << 6;
    pub(crate) const ICEBP: u32 = 1 << 8;
    pub(crate) const WBINVD: u32 = 1 << 9;
    pub(crate) const MONITOR: u32 = 1 << 10;
    pub(crate) const MWAIT: u32 = 1 << 11;
    pub(crate) const XSETBV: u32 = 1 << 13;
    pub(crate) const RDPRU: u32 = 1 << 14;
}

/// Exit codes.
pub(crate) mod exit {
    pub(crate) const CR_READ: u64 = 0x00;
    pub(crate) const CR_WRITE: u64 = 0x10;
    pub(crate) const DR_READ: u64 = 0x20;
    pub(crate) const DR_WRITE: u64 = 0x30;
    pub(crate) const EXCEPTION: u64 = 0x40;
    pub(crate) const LAST_EXCEPTION: u64 = 0x5f;
    pub(crate) const INTR: u64 = 0x60;
    pub(crate) const NMI: u64 = 0x61;
    pub(crate) const INIT: u64 = 0x63;
    pub(crate) const VINTR: u64 = 0x64;
    pub(crate) const IDTR_READ: u64 = 0x66;
    pub(crate) const TR_WRITE: u64 = 0x6d;
    pub(crate) const RDPMC: u64 = 0x6f;
    pub(crate) const CPUID: u64 = 0x72;
    pub(crate) const IRET: u64 = 0x74;
    pub(crate) const INTN: u64 = 0x75;
    pub(crate) const INVD: u64 = 0x76;
    pub(crate) const PAUSE: u64 = 0x77;
    pub(crate) const HLT: u64 = 0x78;
    pub(crate) const INVLPGA: u64 = 0x7a;
    pub(crate) const IOIO: u64 = 0x7b;
    pub(crate) const MSR: u64 = 0x7c;
    pub(crate) const SHUTDOWN: u64 = 0x7f;
    pub(crate) const VMRUN: u64 = 0x80;
    pub(crate) const VMMCALL: u64 = 0x81;
    pub(crate) const VMLOAD: u64 = 0x82;
    pub(crate) const SKINIT: u64 = 0x86;
    pub(crate) const ICEBP: u64 = 0x88;
    pub(crate) const WBINVD: u64 = 0x89;
    pub(crate) const MONITOR: u64 = 0x8a;
    pub(crate) const MWAIT_ARMED: u64 = 0x8c;
    pub(crate) const XSETBV: u64 = 0x8d;
    pub(crate) const RDPRU: u64 = 0x8e;
    pub(crate) const NPF: u64 = 0x400;
    pub(crate) const INVALID: u64 = u64::MAX;
}

/// EVENTINJ and EXITINTINFO.
pub(crate) mod event {
    pub(crate) const VALID: u64 = 1 << 31;
    pub(crate) const ERROR_VALID: u64 = 1 << 11;
    pub(crate) const TYPE_MASK: u64 = 7 << 8;
    pub(crate) const TYPE_INTR: u64 = 0;
    pub(crate) const TYPE_NMI: u64 = 2 << 8;
    pub(crate) const TYPE_EXCEPTION: u64 = 3 << 8;
    pub(crate) const TYPE_SOFT: u64 = 4 << 8;
}

/// Virtual interrupt control word.
pub(crate) mod vintr {
    pub(crate) const TPR_MASK: u32 = 0xf;
    pub(crate) const IRQ: u32 = 1 << 8;
    pub(crate) const PRIORITY_SHIFT: u32 = 16;
    pub(crate) const IGNORE_TPR: u32 = 1 << 20;
    pub(crate) const MASKING: u32 = 1 << 24;
}

/// `clean`: what the processor may keep from the last entry.
pub(crate) mod clean {
    pub(crate) const INTERCEPTS: u32 = 1 << 0;
    pub(crate) const IOPM_MSRPM: u32 = 1 << 1;
    pub(crate) const TPR: u32 = 1 << 3;
    pub(crate) const NP: u32 = 1 << 4;
    pub(crate) const CRX: u32 = 1 << 5;
    pub(crate) const DRX: u32 = 1 << 6;
    pub(crate) const DT: u32 = 1 << 7;
    pub(crate) const SEG: u32 = 1 << 8;
    pub(crate) const CR2: u32 = 1 << 9;
    /// All that is kept when nothing was changed.
    pub(crate) const ALL: u32 = 0x3ff;
}

/// The control block: the control area, then the state save area.
#[repr(C)]
pub(crate) struct Vmcb {
    /// CR reads in the low half, writes in the high half.
    pub(crate) intercept_cr: u32,
    /// DR reads in the low half, writes in the high half.
    pub(crate) intercept_dr: u32,
    /// By vector.
    pub(crate) intercept_exceptions: u32,
    pub(crate) intercept_3: u32,
    pub(crate) intercept_4: u32,
    pub(crate) intercept_5: u32,
    _reserved_18: [u8; 0x24],
    pub(crate) pause_threshold: u16,
    pub(crate) pause_count: u16,
    pub(crate) iopm: u64,
    pub(crate) msrpm: u64,
    pub(crate) tsc_offset: u64,
    pub(crate) asid: u32,
    pub(crate) tlb_control: u8,
    _reserved_5d: [u8; 3],
    pub(crate) vintr: u32,
    pub(crate) vintr_vector: u32,
    /// Bit 0: interrupt shadow.
    pub(crate) interrupt_state: u64,
    pub(crate) exit_code: u64,
    pub(crate) exit_info_1: u64,
    pub(crate) exit_info_2: u64,
    pub(crate) exit_int_info: u64,
    /// Bit 0: nested paging.
    pub(crate) nested_control: u64,
    _reserved_98: [u8; 0x10],
    pub(crate) event_inj: u64,
    pub(crate) nested_cr3: u64,
    pub(crate) virt_ext: u64,
    pub(crate) clean: u32,
    _reserved_c4: u32,
    pub(crate) next_rip: u64,
    pub(crate) insn_bytes_len: u8,
    pub(crate) insn_bytes: [u8; 15],
    _reserved_e0: [u8; 0x320],

    /// In the order of [`crate::hw::state::SegmentName`].
    pub(crate) segments: [Segment; 10],
    _reserved_4a0: [u8; 0x2b],
    pub(crate) cpl: u8,
    _reserved_4cc: u32,
    pub(crate) efer: u64,
    _reserved_4d8: [u8; 0x70],
    pub(crate) cr4: u64,
    pub(crate) cr3: u64,
    pub(crate) cr0: u64,
    pub(crate) dr7: u64,
    pub(crate) dr6: u64,
    pub(crate) rflags: u64,
    pub(crate) rip: u64,
    _reserved_580: [u8; 0x58],
    pub(crate) rsp: u64,
    _reserved_5e0: [u8; 0x18],
    pub(crate) rax: u64,
    pub(crate) star: u64,
    pub(crate) lstar: u64,
    pub(crate) cstar: u64,
    pub(crate) sfmask: u64,
    pub(crate) kernel_gs_base: u64,
    pub(crate) sysenter_cs: u64,
    pub(crate) sysenter_esp: u64,
    pub(crate) sysenter_eip: u64,
    pub(crate) cr2: u64,
    _reserved_648: [u8; 0x20],
    pub(crate) pat: u64,
    pub(crate) debug_control: u64,
    _reserved_678: [u8; 0x68],
    pub(crate) spec_ctrl: u64,
    _reserved_6e8: [u8; 0x918],
}

const _: () = {
    assert!(size_of::<Segment>() == 16);
    assert!(offset_of!(Vmcb, pause_threshold) == 0x3c);
    assert!(offset_of!(Vmcb, iopm) == 0x40);
    assert!(offset_of!(Vmcb, asid) == 0x58);
    assert!(offset_of!(Vmcb, vintr) == 0x60);
    assert!(offset_of!(Vmcb, exit_code) == 0x70);
    assert!(offset_of!(Vmcb, nested_control) == 0x90);
    assert!(offset_of!(Vmcb, event_inj) == 0xa8);
    assert!(offset_of!(Vmcb, nested_cr3) == 0xb0);
    assert!(offset_of!(Vmcb, next_rip) == 0xc8);
    assert!(offset_of!(Vmcb, segments) == 0x400);
    assert!(offset_of!(Vmcb, cpl) == 0x4cb);
    assert!(offset_of!(Vmcb, efer) == 0x4d0);
    assert!(offset_of!(Vmcb, cr4) == 0x548);
    assert!(offset_of!(Vmcb, rip) == 0x578);
    assert!(offset_of!(Vmcb, rsp) == 0x5d8);
    assert!(offset_of!(Vmcb, rax) == 0x5f8);
    assert!(offset_of!(Vmcb, cr2) == 0x640);
    assert!(offset_of!(Vmcb, pat) == 0x668);
    assert!(offset_of!(Vmcb, spec_ctrl) == 0x6e0);
    assert!(size_of::<Vmcb>() == 0x1000);
};
