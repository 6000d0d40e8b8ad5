// SPDX-License-Identifier: GPL-2.0-only

//! A virtual processor's architectural state, without any vendor's format.

use crate::sys::alloc::{
    AllocError,
    KVec,
    GFP_KERNEL, //
};

/// A segment register or descriptor table register. The layout is that of the VMCB.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Segment {
    /// Selector; not for GDTR and IDTR.
    pub(crate) selector: u16,
    /// Attributes as in bits 8-15 and 20-23 of the descriptor's second word, joined to 12 bits: type 0-3, S 4,
    /// DPL 5-6, P 7, AVL 8, L 9, D/B 10, G 11. Xen's save records and the VMCB use the same form.
    pub(crate) attr: u16,
    /// Limit in bytes, not scaled.
    pub(crate) limit: u32,
    /// Linear base address.
    pub(crate) base: u64,
}

impl Segment {
    /// The 64-bit code attribute.
    pub(crate) const fn long(&self) -> bool {
        self.attr & 1 << 9 != 0
    }
    /// The default operand size attribute.
    pub(crate) const fn big(&self) -> bool {
        self.attr & 1 << 10 != 0
    }
}

/// Names of [`Segment`]s, in the order in which the VMCB keeps them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub(crate) enum SegmentName {
    Es = 0,
    Cs = 1,
    Ss = 2,
    Ds = 3,
    Fs = 4,
    Gs = 5,
    Gdtr = 6,
    Ldtr = 7,
    Idtr = 8,
    Tr = 9,
}

/// How many [`Segment`]s there are.
pub(crate) const SEGMENTS: usize = 10;

/// An event to be delivered to a guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// An external interrupt.
    Interrupt(u8),
    /// An NMI.
    Nmi,
    /// An exception.
    Exception {
        /// Its vector.
        vector: u8,
        /// Its error code, if it has one.
        error: Option<u32>,
    },
}

/// Undefined opcode.
pub(crate) const UD: Event = Event::Exception {
    vector: 6,
    error: None,
};
/// General protection with error code 0.
pub(crate) const GP0: Event = Event::Exception {
    vector: 13,
    error: Some(0),
};

/// Protection enable.
pub(crate) const CR0_PE: u64 = 1 << 0;
/// Extension type; always set.
pub(crate) const CR0_ET: u64 = 1 << 4;
/// Write protect.
pub(crate) const CR0_WP: u64 = 1 << 16;
/// Paging.
pub(crate) const CR0_PG: u64 = 1 << 31;
/// Page size extensions.
pub(crate) const CR4_PSE: u64 = 1 << 4;
/// Physical address extension.
pub(crate) const CR4_PAE: u64 = 1 << 5;
/// Five-level paging.
pub(crate) const CR4_LA57: u64 = 1 << 12;
/// Supervisor mode execution prevention.
pub(crate) const CR4_SMEP: u64 = 1 << 20;
/// Supervisor mode access prevention.
pub(crate) const CR4_SMAP: u64 = 1 << 21;
/// Long mode enable.
pub(crate) const EFER_LME: u64 = 1 << 8;
/// Long mode active.
pub(crate) const EFER_LMA: u64 = 1 << 10;
/// No-execute enable.
pub(crate) const EFER_NXE: u64 = 1 << 11;
/// Interrupt flag.
pub(crate) const RFLAGS_IF: u64 = 1 << 9;
/// RFLAGS.TF: each instruction ends with a trap.
pub(crate) const RFLAGS_TF: u64 = 1 << 8;
/// Virtual 8086 mode.
pub(crate) const RFLAGS_VM: u64 = 1 << 17;
/// Resume flag.
pub(crate) const RFLAGS_RF: u64 = 1 << 16;
/// DR6.BS: a single step has trapped.
pub(crate) const DR6_BS: u64 = 1 << 14;

/// The architectural state of a processor, as far as it is not in the local APIC or in policy MSRs.
#[derive(Clone, Copy)]
pub(crate) struct CpuState {
    /// General registers, by their number in instructions.
    pub(crate) gprs: [u64; 16],
    pub(crate) rip: u64,
    pub(crate) rflags: u64,
    pub(crate) cr0: u64,
    pub(crate) cr2: u64,
    pub(crate) cr3: u64,
    pub(crate) cr4: u64,
    pub(crate) cr8: u8,
    pub(crate) efer: u64,
    pub(crate) segments: [Segment; SEGMENTS],
    /// DR0-DR3.
    pub(crate) dr: [u64; 4],
    pub(crate) dr6: u64,
    pub(crate) dr7: u64,
    pub(crate) star: u64,
    pub(crate) lstar: u64,
    pub(crate) cstar: u64,
    pub(crate) sfmask: u64,
    pub(crate) kernel_gs_base: u64,
    pub(crate) sysenter_cs: u64,
    pub(crate) sysenter_esp: u64,
    pub(crate) sysenter_eip: u64,
    pub(crate) pat: u64,
    pub(crate) tsc_aux: u64,
    pub(crate) spec_ctrl: u64,
    pub(crate) xcr0: u64,
    /// An event whose delivery was interrupted.
    pub(crate) pending_event: Option<Event>,
    /// RIP is in the shadow of STI or MOV SS.
    pub(crate) interrupt_shadow: bool,
    /// The legacy part of the extended state.
    pub(crate) fxsave: [u8; 512],
}

/// Bytes of an XSAVE area before the first component behind x87 and SSE: the legacy region and the header.
pub(crate) const XSAVE_HEAD: usize = 512 + 64;
/// Bytes of an XSAVE area in the standard format with all components that a guest may enable.
const XSAVE_BYTES: usize = 4096;

/// What XSAVE keeps of a processor behind the legacy part, which is in [`CpuState::fxsave`].
pub(crate) struct ExtendedState {
    /// Every component that XCR0 ever had, as bits; 0 if the guest never wrote it. What is not in here is in its
    /// initial state.
    pub(crate) accum: u64,
    /// Components that are not in their initial state. Those of the legacy part are not among them.
    pub(crate) present: u64,
    /// The XSAVE area in the standard format, from byte [`XSAVE_HEAD`] on.
    pub(crate) components: KVec<u8>,
}

impl ExtendedState {
    /// Makes the state after reset.
    pub(crate) fn new() -> Result<Self, AllocError> {
        let mut components = KVec::new();
        components.resize(XSAVE_BYTES - XSAVE_HEAD, 0, GFP_KERNEL)?;
        Ok(Self {
            accum: 0,
            present: 0,
            components,
        })
    }

    /// Puts the components in their initial state; what was enabled stays so.
    pub(crate) fn clear(&mut self) {
        self.present = 0;
        self.components.fill(0);
    }

    /// Puts the state after reset back.
    pub(crate) fn reset(&mut self) {
        self.accum = 0;
        self.clear();
    }
}

/// The page attribute table after reset.
pub(crate) const PAT_RESET: u64 = 0x0007_0406_0007_0406;

impl CpuState {
    /// The state after reset (APM volume 2, 14.1.3), in which application processors wait for SIPI.
    pub(crate) const fn reset() -> Self {
        const DATA: Segment = Segment {
            selector: 0,
            attr: 0x93,
            limit: 0xffff,
            base: 0,
        };
        const TABLE: Segment = Segment {
            selector: 0,
            attr: 0,
            limit: 0xffff,
            base: 0,
        };
        let mut fxsave = [0; 512];
        // FCW 0x37f and MXCSR 0x1f80.
        fxsave[0] = 0x7f;
        fxsave[1] = 0x03;
        fxsave[24] = 0x80;
        fxsave[25] = 0x1f;
        Self {
            gprs: [0; 16],
            rip: 0xfff0,
            rflags: 2,
            cr0: CR0_ET,
            cr2: 0,
            cr3: 0,
            cr4: 0,
            cr8: 0,
            efer: 0,
            segments: [
                DATA,
                Segment {
                    selector: 0xf000,
                    attr: 0x9b,
                    limit: 0xffff,
                    base: 0xffff_0000,
                },
                DATA,
                DATA,
                DATA,
                DATA,
                TABLE,
                Segment {
                    selector: 0,
                    attr: 0x82,
                    limit: 0xffff,
                    base: 0,
                },
                TABLE,
                Segment {
                    selector: 0,
                    attr: 0x8b,
                    limit: 0xffff,
                    base: 0,
                },
            ],
            dr: [0; 4],
            dr6: 0xffff_0ff0,
            dr7: 0x400,
            star: 0,
            lstar: 0,
            cstar: 0,
            sfmask: 0,
            kernel_gs_base: 0,
            sysenter_cs: 0,
            sysenter_esp: 0,
            sysenter_eip: 0,
            pat: PAT_RESET,
            tsc_aux: 0,
            spec_ctrl: 0,
            xcr0: 1,
            pending_event: None,
            interrupt_shadow: false,
            fxsave,
        }
    }

    /// Turns the state into that after a startup IPI with this vector (Intel SDM volume 3, 9.4.4).
    pub(crate) fn startup(&mut self, vector: u8) {
        let cs = &mut self.segments[SegmentName::Cs as usize];
        cs.selector = u16::from(vector) << 8;
        cs.base = u64::from(vector) << 12;
        self.rip = 0;
    }

    /// A segment register.
    pub(crate) fn segment(&self, name: SegmentName) -> Segment {
        self.segments[name as usize]
    }
}
