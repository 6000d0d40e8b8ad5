// SPDX-License-Identifier: GPL-2.0-only

//! The record `CPU` of a saved vCPU, to and from our own form of its state.
//!
//! Pure: what a record says is judged by the domain's policy alone.

use zerocopy::FromZeros;

use crate::abi::errno::{
    Result,
    EINVAL, //
};
use crate::abi::hvm::save::{
    HwCpu,
    X86_FPU_INITIALISED, //
};
use crate::hw::state::{
    CpuState,
    Event,
    Segment,
    SegmentName,
    CR0_ET,
    CR0_PE,
    CR0_PG,
    CR4_PAE,
    EFER_LMA,
    EFER_LME, //
};
use crate::policy::control::{
    cr4_mask,
    efer_mask, //
};
use crate::policy::cpuid::CpuPolicy;

/// CR0: caches disabled, not write-through. The second without the first is no state of a processor.
const CR0_CD: u64 = 1 << 30;
const CR0_NW: u64 = 1 << 29;
/// CR0: the bits that mean something: PE, MP, EM, TS, ET, NE, WP, AM, NW, CD, PG.
const CR0_KNOWN: u64 = 0x3f | 1 << 16 | 1 << 18 | CR0_NW | CR0_CD | CR0_PG;
/// RFLAGS: the bits that a program can have set: CF, PF, AF, ZF, SF, TF, IF, DF, OF, IOPL, NT, RF, VM, AC, VIF, VIP,
/// ID.
const RFLAGS_KNOWN: u64 = 0x003f_7fd5;
/// RFLAGS: the bit that is always set.
const RFLAGS_ONE: u64 = 2;
/// Attributes of a segment, as [`Segment`] has them.
const ATTRIBUTES: u32 = 0xfff;
/// Where MXCSR is in the FXSAVE area.
const MXCSR: core::ops::Range<usize> = 24..28;
/// The bits of MXCSR that every 64-bit processor has.
const MXCSR_KNOWN: u32 = 0xffff;

/// `pending_event`: it is one.
const EVENT_VALID: u32 = 1 << 31;
/// `pending_event`: it has an error code.
const EVENT_ERROR: u32 = 1 << 11;
/// `pending_event`: an external interrupt.
const EVENT_INTERRUPT: u32 = 0;
/// `pending_event`: an NMI.
const EVENT_NMI: u32 = 2;
/// `pending_event`: an exception.
const EVENT_EXCEPTION: u32 = 3;

/// A segment as the record has it.
fn segment(selector: u32, attributes: u32, limit: u32, base: u64) -> Result<Segment> {
    if attributes & !ATTRIBUTES != 0 || !is_canonical(base) {
        return Err(EINVAL);
    }
    Ok(Segment {
        selector: u16::try_from(selector).map_err(|_| EINVAL)?,
        // CAST: Checked just above.
        attr: attributes as u16,
        limit,
        base,
    })
}

/// Whether an address is one of 48 bits, sign-extended.
const fn is_canonical(address: u64) -> bool {
    // CAST: An arithmetic shift is wanted.
    let signed = address as i64;
    signed << 16 >> 16 == signed
}

/// The event that waits to be delivered.
fn pending(record: &HwCpu) -> Result<Option<Event>> {
    let event = record.pending_event;
    if event & EVENT_VALID == 0 {
        return Ok(None);
    }
    // CAST: The low byte.
    let vector = event as u8;
    let error = (event & EVENT_ERROR != 0).then_some(record.error_code);
    match event >> 8 & 7 {
        EVENT_INTERRUPT => Ok(Some(Event::Interrupt(vector))),
        EVENT_NMI => Ok(Some(Event::Nmi)),
        // Vector 2 is the NMI's.
        EVENT_EXCEPTION if vector < 32 && vector != 2 => {
            Ok(Some(Event::Exception { vector, error }))
        }
        // Software interrupts are raised by executing their instruction again.
        _ => Err(EINVAL),
    }
}

fn save_pending(record: &mut HwCpu, event: Option<Event>) {
    let (kind, vector, error) = match event {
        None => return,
        Some(Event::Interrupt(vector)) => (EVENT_INTERRUPT, vector, None),
        Some(Event::Nmi) => (EVENT_NMI, 2, None),
        Some(Event::Exception { vector, error }) => (EVENT_EXCEPTION, vector, error),
    };
    record.pending_event = EVENT_VALID | kind << 8 | u32::from(vector);
    if let Some(code) = error {
        record.pending_event |= EVENT_ERROR;
        record.error_code = code;
    }
}

/// Whether the control registers of a record are ones that a processor with this policy can have.
fn controls_are_valid(record: &HwCpu, policy: &CpuPolicy) -> bool {
    let (cr0, cr4, efer) = (record.cr0, record.cr4, record.msr_efer);
    let paging = cr0 & CR0_PG != 0;
    let long = paging && efer & EFER_LME != 0;
    let above = !u64::MAX.checked_shl(policy.paddr_bits()).unwrap_or(0);
    cr0 & !CR0_KNOWN == 0
        && cr0 & CR0_ET != 0
        && (!paging || cr0 & CR0_PE != 0)
        && (cr0 & CR0_NW == 0 || cr0 & CR0_CD != 0)
        && cr4 & !cr4_mask(policy) == 0
        && efer & !efer_mask(policy) == 0
        && (efer & EFER_LMA != 0) == long
        && (!long || cr4 & CR4_PAE != 0)
        && record.cr3 & !above == 0
}

/// Clears bits of MXCSR in an FXSAVE area that a processor may refuse.
pub(super) fn clean_mxcsr(fxsave: &mut [u8; 512]) {
    let bytes = fxsave.get_mut(MXCSR);
    if let Some(word) = bytes.and_then(|bytes| bytes.first_chunk_mut::<4>()) {
        *word = (u32::from_le_bytes(*word) & MXCSR_KNOWN).to_le_bytes();
    }
}

/// Makes a vCPU's state of a record. What a record does not hold (XCR0, PAT, CR8, SPEC_CTRL) is as in `old`.
///
/// # Errors
///
/// `EINVAL` for a state that no processor with this policy can be in, or a record with unknown parts.
pub(super) fn load(
    record: &HwCpu,
    policy: &CpuPolicy,
    old: &CpuState,
    state: &mut CpuState,
) -> Result {
    let r = record;
    let addresses = [
        r.sysenter_esp,
        r.sysenter_eip,
        r.shadow_gs,
        r.msr_lstar,
        r.msr_cstar,
    ];
    if r.pad0 != 0
        || r.flags & !X86_FPU_INITIALISED != 0
        || !controls_are_valid(r, policy)
        || !addresses.into_iter().all(is_canonical)
        || r.dr6 >> 32 != 0
        || r.dr7 >> 32 != 0
    {
        return Err(EINVAL);
    }
    *state = CpuState::reset();
    state.pat = old.pat;
    state.cr8 = old.cr8;
    state.xcr0 = old.xcr0;
    state.spec_ctrl = old.spec_ctrl;

    state.gprs = [
        r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi, r.r8, r.r9, r.r10, r.r11, r.r12,
        r.r13, r.r14, r.r15,
    ];
    state.rip = r.rip;
    state.rflags = r.rflags & RFLAGS_KNOWN | RFLAGS_ONE;
    state.cr0 = r.cr0;
    state.cr2 = r.cr2;
    state.cr3 = r.cr3;
    state.cr4 = r.cr4;
    state.efer = r.msr_efer;
    state.dr = [r.dr0, r.dr1, r.dr2, r.dr3];
    state.dr6 = r.dr6;
    state.dr7 = r.dr7;
    state.star = r.msr_star;
    state.lstar = r.msr_lstar;
    state.cstar = r.msr_cstar;
    state.sfmask = r.msr_syscall_mask;
    state.kernel_gs_base = r.shadow_gs;
    state.sysenter_cs = r.sysenter_cs;
    state.sysenter_esp = r.sysenter_esp;
    state.sysenter_eip = r.sysenter_eip;
    state.tsc_aux = r.msr_tsc_aux;
    state.pending_event = pending(r)?;

    let segments = [
        (
            SegmentName::Es,
            segment(r.es_sel, r.es_arbytes, r.es_limit, r.es_base)?,
        ),
        (
            SegmentName::Cs,
            segment(r.cs_sel, r.cs_arbytes, r.cs_limit, r.cs_base)?,
        ),
        (
            SegmentName::Ss,
            segment(r.ss_sel, r.ss_arbytes, r.ss_limit, r.ss_base)?,
        ),
        (
            SegmentName::Ds,
            segment(r.ds_sel, r.ds_arbytes, r.ds_limit, r.ds_base)?,
        ),
        (
            SegmentName::Fs,
            segment(r.fs_sel, r.fs_arbytes, r.fs_limit, r.fs_base)?,
        ),
        (
            SegmentName::Gs,
            segment(r.gs_sel, r.gs_arbytes, r.gs_limit, r.gs_base)?,
        ),
        (SegmentName::Gdtr, segment(0, 0, r.gdtr_limit, r.gdtr_base)?),
        (
            SegmentName::Ldtr,
            segment(r.ldtr_sel, r.ldtr_arbytes, r.ldtr_limit, r.ldtr_base)?,
        ),
        (SegmentName::Idtr, segment(0, 0, r.idtr_limit, r.idtr_base)?),
        (
            SegmentName::Tr,
            segment(r.tr_sel, r.tr_arbytes, r.tr_limit, r.tr_base)?,
        ),
    ];
    for (name, value) in segments {
        if let Some(slot) = state.segments.get_mut(name as usize) {
            *slot = value;
        }
    }
    // A code segment cannot be of 64 and of 32 bits.
    let cs = state.segment(SegmentName::Cs);
    if state.efer & EFER_LMA != 0 && cs.long() && cs.big() {
        return Err(EINVAL);
    }
    if r.flags & X86_FPU_INITIALISED != 0 {
        state.fxsave = r.fpu_regs;
        clean_mxcsr(&mut state.fxsave);
    }
    Ok(())
}

/// Fills the record of a vCPU's state; `tsc` is its time stamp counter now.
pub(super) fn save(record: &mut HwCpu, state: &CpuState, tsc: u64) {
    *record = HwCpu::new_zeroed();
    record.fpu_regs = state.fxsave;
    record.flags = X86_FPU_INITIALISED;
    [
        record.rax, record.rcx, record.rdx, record.rbx, record.rsp, record.rbp, record.rsi,
        record.rdi, record.r8, record.r9, record.r10, record.r11, record.r12, record.r13,
        record.r14, record.r15,
    ] = state.gprs;
    record.rip = state.rip;
    record.rflags = state.rflags;
    record.cr0 = state.cr0;
    record.cr2 = state.cr2;
    record.cr3 = state.cr3;
    record.cr4 = state.cr4;
    record.msr_efer = state.efer;
    [record.dr0, record.dr1, record.dr2, record.dr3] = state.dr;
    record.dr6 = state.dr6;
    record.dr7 = state.dr7;
    record.msr_star = state.star;
    record.msr_lstar = state.lstar;
    record.msr_cstar = state.cstar;
    record.msr_syscall_mask = state.sfmask;
    record.shadow_gs = state.kernel_gs_base;
    record.sysenter_cs = state.sysenter_cs;
    record.sysenter_esp = state.sysenter_esp;
    record.sysenter_eip = state.sysenter_eip;
    record.msr_tsc_aux = state.tsc_aux;
    record.tsc = tsc;
    save_pending(record, state.pending_event);
    save_segments(record, state);
}

fn save_segments(record: &mut HwCpu, state: &CpuState) {
    macro_rules! save {
        ($($name:ident: $sel:ident $attr:ident $limit:ident $base:ident;)*) => {
            $({
                let segment = state.segment(SegmentName::$name);
                record.$sel = segment.selector.into();
                record.$attr = u32::from(segment.attr) & ATTRIBUTES;
                record.$limit = segment.limit;
                record.$base = segment.base;
            })*
        };
    }
    save! {
        Es: es_sel es_arbytes es_limit es_base;
        Cs: cs_sel cs_arbytes cs_limit cs_base;
        Ss: ss_sel ss_arbytes ss_limit ss_base;
        Ds: ds_sel ds_arbytes ds_limit ds_base;
        Fs: fs_sel fs_arbytes fs_limit fs_base;
        Gs: gs_sel gs_arbytes gs_limit gs_base;
        Ldtr: ldtr_sel ldtr_arbytes ldtr_limit ldtr_base;
        Tr: tr_sel tr_arbytes tr_limit tr_base;
    }
    let gdtr = state.segment(SegmentName::Gdtr);
    record.gdtr_limit = gdtr.limit;
    record.gdtr_base = gdtr.base;
    let idtr = state.segment(SegmentName::Idtr);
    record.idtr_limit = idtr.limit;
    record.idtr_base = idtr.base;
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::policy::{
        Capabilities,
        SystemPolicies,
        Topology, //
    };
    use proptest::prelude::*;
    use zerocopy::{
        FromBytes,
        IntoBytes, //
    };

    /// The policy of a processor of AMD's that says yes to every feature.
    pub(crate) fn policy() -> CpuPolicy {
        let read = |leaf, subleaf| match (leaf, subleaf) {
            (0, _) => [0xd, 0x6874_7541, 0x444d_4163, 0x6974_6e65],
            (0x8000_0000, _) => [0x8000_0021, 0x6874_7541, 0x444d_4163, 0x6974_6e65],
            (0x8000_0008, _) => [0x3030, !0, !0, !0],
            (7, 0) => [0, !0, !0, !0],
            (0xd, 0) => [7, 832, 832, 0],
            (0xd, 1) => [0; 4],
            (0xd, 2) => [256, 576, 0, 0],
            _ => [!0; 4],
        };
        let caps = Capabilities {
            spec_ctrl: true,
            ibpb: true,
            auto_ibrs: true,
            page1gb: true,
            pcid: true,
            tsc_aux: true,
            invariant_tsc: true,
            cpuid_faulting: false,
            lfence_dispatch: true,
            rtm_always_abort: false,
            xcr0_mask: 7,
            paddr_bits: 48,
            arch_caps: None,
            patch_level: 0,
        };
        let Ok(policies) = SystemPolicies::new(read, &caps) else {
            panic!("no memory");
        };
        policies.for_domain(Topology { cores: 2 })
    }

    /// What libxenguest writes for vCPU 0 of a PVH guest.
    fn pvh() -> HwCpu {
        let mut r = HwCpu::new_zeroed();
        r.rip = 0x10_0000;
        r.rbx = 0x3d_f000;
        r.cr0 = 0x11;
        r.cs_arbytes = 0xc9b;
        r.cs_limit = u32::MAX;
        for (attr, limit) in [
            (&mut r.ds_arbytes, &mut r.ds_limit),
            (&mut r.es_arbytes, &mut r.es_limit),
            (&mut r.ss_arbytes, &mut r.ss_limit),
        ] {
            *attr = 0xc93;
            *limit = u32::MAX;
        }
        r.tr_arbytes = 0x8b;
        r.tr_limit = 0x67;
        r.dr6 = 0xffff_0ff0;
        r.dr7 = 0x400;
        r
    }

    /// What a 64-bit kernel may have.
    fn long() -> HwCpu {
        HwCpu {
            cr0: 0x8005_0033,
            cr3: 0x1000,
            cr4: 0x6b0,
            msr_efer: 0xd01,
            cs_arbytes: 0xa9b,
            ..pvh()
        }
    }

    fn try_load(record: &HwCpu) -> Result<CpuState> {
        let mut state = CpuState::reset();
        load(record, &policy(), &CpuState::reset(), &mut state).map(|()| state)
    }

    #[test]
    fn the_record_that_the_tools_write() {
        let state = try_load(&pvh()).unwrap();
        assert_eq!((state.rip, state.gprs[3]), (0x10_0000, 0x3d_f000));
        assert_eq!((state.rflags, state.cr0), (2, 0x11));
        let cs = state.segment(SegmentName::Cs);
        assert_eq!((cs.attr, cs.limit, cs.base), (0xc9b, u32::MAX, 0));
        assert_eq!(state.segment(SegmentName::Tr).limit, 0x67);
        // The floating point unit was not initialised: it is as after reset.
        assert_eq!(state.fxsave, CpuState::reset().fxsave);
        assert!(try_load(&long()).is_ok());
    }

    #[test]
    fn refusals() {
        #[allow(clippy::type_complexity)]
        let bad: &[(&str, fn(&mut HwCpu))] = &[
            ("padding", |r| r.pad0 = 1),
            ("flags", |r| r.flags = 2),
            ("CR0 above 31", |r| r.cr0 |= 1 << 32),
            ("CR0 reserved", |r| r.cr0 |= 1 << 6),
            ("CR0 without ET", |r| r.cr0 &= !0x10),
            ("paging without protection", |r| r.cr0 &= !1),
            ("NW without CD", |r| r.cr0 |= CR0_NW),
            ("VMXE", |r| r.cr4 |= 1 << 13),
            ("CR4 above 31", |r| r.cr4 |= 1 << 40),
            ("long mode without PAE", |r| r.cr4 &= !CR4_PAE),
            ("SVME", |r| r.msr_efer |= 1 << 12),
            ("LMA without LME", |r| r.msr_efer &= !EFER_LME),
            ("LME without LMA", |r| r.msr_efer &= !EFER_LMA),
            ("CR3 too wide", |r| r.cr3 |= 1 << 52),
            ("DR6", |r| r.dr6 |= 1 << 32),
            ("DR7", |r| r.dr7 |= 1 << 32),
            ("L and D", |r| r.cs_arbytes = 0xe9b),
            ("attributes", |r| r.gs_arbytes = 0x1_0000),
            ("selector", |r| r.fs_sel = 0x1_0000),
            ("base", |r| r.fs_base = 1 << 47),
            ("LSTAR", |r| r.msr_lstar = 1 << 62),
            ("KERNEL_GS_BASE", |r| r.shadow_gs = 1 << 63),
            ("software interrupt", |r| {
                r.pending_event = EVENT_VALID | 4 << 8
            }),
            ("exception 2", |r| {
                r.pending_event = EVENT_VALID | 3 << 8 | 2
            }),
            ("exception 32", |r| {
                r.pending_event = EVENT_VALID | 3 << 8 | 32
            }),
        ];
        for (what, break_it) in bad {
            let mut record = long();
            break_it(&mut record);
            assert_eq!(try_load(&record).err(), Some(EINVAL), "{what}");
        }
    }

    #[test]
    fn mxcsr_cannot_fault_the_host() {
        let mut record = pvh();
        record.flags = X86_FPU_INITIALISED;
        record.fpu_regs = [0xff; 512];
        let state = try_load(&record).unwrap();
        assert_eq!(state.fxsave[MXCSR], [0xff, 0xff, 0, 0]);
    }

    #[test]
    fn events_survive() {
        for event in [
            Event::Interrupt(0xf3),
            Event::Nmi,
            Event::Exception {
                vector: 14,
                error: Some(7),
            },
            Event::Exception {
                vector: 6,
                error: None,
            },
        ] {
            let mut record = pvh();
            save_pending(&mut record, Some(event));
            assert_eq!(pending(&record), Ok(Some(event)));
        }
        assert_eq!(pending(&pvh()), Ok(None));
    }

    proptest! {
        /// Whatever is loaded is saved as it was loaded, and loads again.
        #[test]
        fn saving_what_was_loaded(
            bytes in prop::collection::vec(any::<u8>(), size_of::<HwCpu>()),
            keep in any::<bool>(),
        ) {
            let mut record = HwCpu::read_from_bytes(&bytes).unwrap();
            if keep {
                // Tame enough to be accepted, often.
                let tame = long();
                record = HwCpu {
                    fpu_regs: record.fpu_regs,
                    rax: record.rax,
                    rsp: record.rsp,
                    r15: record.r15,
                    rip: record.rip,
                    rflags: record.rflags,
                    dr3: record.dr3,
                    gdtr_limit: record.gdtr_limit,
                    es_limit: record.es_limit,
                    msr_star: record.msr_star,
                    flags: record.flags & X86_FPU_INITIALISED,
                    ..tame
                };
            }
            let Ok(first) = try_load(&record) else {
                prop_assert!(!keep);
                return Ok(());
            };
            let mut saved = HwCpu::new_zeroed();
            save(&mut saved, &first, 7);
            prop_assert_eq!(saved.tsc, 7);
            let some = |cpu: &HwCpu| (cpu.rax, cpu.rsp, cpu.r15);
            prop_assert_eq!(some(&saved), some(&record));
            let second = try_load(&saved).unwrap();
            let mut again = HwCpu::new_zeroed();
            save(&mut again, &second, 7);
            prop_assert!(saved.as_bytes() == again.as_bytes());
        }
    }
}
