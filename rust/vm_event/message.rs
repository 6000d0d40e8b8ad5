// SPDX-License-Identifier: GPL-2.0-only

//! An event with the registers of its vCPU.

use zerocopy::{
    FromZeros,
    Immutable,
    IntoBytes, //
};

use crate::abi::layout::{
    payload,
    set_payload, //
};
use crate::abi::vm_event::{
    MemAccess,
    RegsX86,
    VmEvent,
    INTERFACE_VERSION,
    MEM_ACCESS_FAULT_IN_GPT,
    MEM_ACCESS_FAULT_WITH_GLA,
    MEM_ACCESS_GLA_VALID,
    MEM_ACCESS_R,
    MEM_ACCESS_W,
    MEM_ACCESS_X,
    REASON_MEM_ACCESS, //
};
use crate::hw::rights::Rights;
use crate::hw::state::{
    CpuState,
    Segment,
    SegmentName, //
};
use crate::mm::access::Violation;

/// How an access is described to a monitor.
const fn access_flags(violation: &Violation) -> u32 {
    let (reads, writes, executes) = violation.kind.does();
    let mut flags = 0;
    if reads {
        flags |= MEM_ACCESS_R;
    }
    if writes {
        flags |= MEM_ACCESS_W;
    }
    if executes {
        flags |= MEM_ACCESS_X;
    }
    if violation.linear.is_some() {
        flags |= MEM_ACCESS_GLA_VALID;
        // Only with an address does the interface say which of both it is.
        if !violation.walk {
            flags |= MEM_ACCESS_FAULT_WITH_GLA;
        }
    }
    if violation.walk {
        flags |= MEM_ACCESS_FAULT_IN_GPT;
    }
    flags
}

/// A segment's limit and attributes as the interface packs them.
const fn packed(segment: &Segment) -> u32 {
    let granular = segment.attr & 1 << 11 != 0;
    let limit = if granular {
        segment.limit >> 12
    } else {
        segment.limit
    };
    limit & 0xf_ffff | (segment.attr as u32 & 0xfff) << 20
}

/// The registers of a vCPU.
fn registers(state: &CpuState) -> RegsX86 {
    let mut regs = RegsX86::new_zeroed();
    let segment = |name| state.segment(name);
    // CAST: The interface has 32 bits for the bases of these.
    let base = |name| segment(name).base as u32;
    let [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15] = state.gprs;
    (regs.rax, regs.rcx, regs.rdx, regs.rbx) = (rax, rcx, rdx, rbx);
    (regs.rsp, regs.rbp, regs.rsi, regs.rdi) = (rsp, rbp, rsi, rdi);
    (regs.r8, regs.r9, regs.r10, regs.r11) = (r8, r9, r10, r11);
    (regs.r12, regs.r13, regs.r14, regs.r15) = (r12, r13, r14, r15);
    (regs.rip, regs.rflags) = (state.rip, state.rflags);
    (regs.dr6, regs.dr7) = (state.dr6, state.dr7);
    (regs.cr0, regs.cr2, regs.cr3, regs.cr4) = (state.cr0, state.cr2, state.cr3, state.cr4);
    regs.sysenter_cs = state.sysenter_cs;
    regs.sysenter_esp = state.sysenter_esp;
    regs.sysenter_eip = state.sysenter_eip;
    regs.msr_efer = state.efer;
    regs.msr_star = state.star;
    regs.msr_lstar = state.lstar;
    regs.gdtr_base = segment(SegmentName::Gdtr).base;
    // CAST: A table's limit has 16 bits.
    regs.gdtr_limit = segment(SegmentName::Gdtr).limit as u16;
    regs.vmtrace_pos = u64::MAX;
    regs.cs_base = base(SegmentName::Cs);
    regs.ss_base = base(SegmentName::Ss);
    regs.ds_base = base(SegmentName::Ds);
    regs.es_base = base(SegmentName::Es);
    regs.fs_base = segment(SegmentName::Fs).base;
    regs.gs_base = segment(SegmentName::Gs).base;
    regs.cs = packed(&segment(SegmentName::Cs));
    regs.ss = packed(&segment(SegmentName::Ss));
    regs.ds = packed(&segment(SegmentName::Ds));
    regs.es = packed(&segment(SegmentName::Es));
    regs.fs = packed(&segment(SegmentName::Fs));
    regs.gs = packed(&segment(SegmentName::Gs));
    regs.shadow_gs = state.kernel_gs_base;
    regs.cs_sel = segment(SegmentName::Cs).selector;
    regs.ss_sel = segment(SegmentName::Ss).selector;
    regs.ds_sel = segment(SegmentName::Ds).selector;
    regs.es_sel = segment(SegmentName::Es).selector;
    regs.fs_sel = segment(SegmentName::Fs).selector;
    regs.gs_sel = segment(SegmentName::Gs).selector;
    regs
}

/// Makes the event of vCPU `vcpu` in `state`, for `reason` with what belongs to it.
pub(crate) fn message<T: IntoBytes + Immutable>(
    state: &CpuState,
    vcpu: u32,
    reason: u32,
    detail: &T,
) -> VmEvent {
    let mut event = VmEvent::new_zeroed();
    event.version = INTERFACE_VERSION;
    event.reason = reason;
    event.vcpu_id = vcpu;
    // Every detail is shorter than the union that it is for, and registers fill theirs.
    let _ = set_payload(&mut event.u, detail);
    let _ = set_payload(&mut event.data, &registers(state));
    event
}

/// Makes the event of an access that rights do not allow.
pub(crate) fn access_message(violation: &Violation, state: &CpuState, vcpu: u32) -> VmEvent {
    let mut detail = MemAccess::new_zeroed();
    detail.gfn = violation.gpa >> 12;
    detail.offset = violation.gpa & 0xfff;
    detail.gla = violation.linear.unwrap_or(0);
    detail.flags = access_flags(violation);
    message(state, vcpu, REASON_MEM_ACCESS, &detail)
}

/// Whether what an event is about is still a reason to carry the instruction out in software: of an access, that the
/// rights of its page do not allow it. `rights` tells those that a frame has now; a frame without any allows nothing.
///
/// What counts is the event that was sent, and not what the monitor has made of it in its answer.
pub(crate) fn still_denied(event: &VmEvent, rights: impl FnOnce(u64) -> Option<Rights>) -> bool {
    if event.reason != REASON_MEM_ACCESS {
        return true;
    }
    let Some(access) = payload::<MemAccess>(&event.u) else {
        return true;
    };
    let Some(rights) = rights(access.gfn) else {
        return true;
    };
    let (read, write, execute) = rights.allows();
    let denies = |allowed: bool, flag: u32| !allowed && access.flags & flag != 0;
    denies(read, MEM_ACCESS_R) || denies(write, MEM_ACCESS_W) || denies(execute, MEM_ACCESS_X)
}

/// Bits of RFLAGS that a monitor can set: those that software can.
const RFLAGS_SETTABLE: u64 = 0x003f_7fd5;
/// The bit that is always set.
const RFLAGS_FIXED: u64 = 1 << 1;
/// RFLAGS.VM: not to be switched from outside, since segments go with it.
const RFLAGS_VM: u64 = 1 << 17;

/// What of an answer's registers a vCPU gets: the general registers by number, RIP and RFLAGS. `rflags` are those that
/// it has.
pub(crate) const fn set_registers(regs: &RegsX86, rflags: u64) -> ([u64; 16], u64, u64) {
    let gprs = [
        regs.rax, regs.rcx, regs.rdx, regs.rbx, regs.rsp, regs.rbp, regs.rsi, regs.rdi, regs.r8,
        regs.r9, regs.r10, regs.r11, regs.r12, regs.r13, regs.r14, regs.r15,
    ];
    let settable = RFLAGS_SETTABLE & !RFLAGS_VM;
    let flags = regs.rflags & settable | rflags & RFLAGS_VM | RFLAGS_FIXED;
    (gprs, regs.rip, flags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::vm_event::REASON_DESCRIPTOR_ACCESS;
    use crate::hw::rights::{
        Judgement,
        Kind, //
    };

    fn event(kind: Kind) -> VmEvent {
        let violation = Violation {
            gpa: 0x5123,
            linear: None,
            kind,
            walk: false,
        };
        access_message(&violation, &CpuState::reset(), 0)
    }

    /// E-7: an access is emulated as long as its page's rights do not allow it, and no longer.
    #[test]
    fn e7_emulation_needs_a_conflict_that_is_still_there() {
        for kind in Kind::ALL {
            for rights in Rights::ALL {
                let now = |gfn| {
                    assert_eq!(gfn, 5);
                    Some(rights)
                };
                let denied = rights.judge(kind, false) != Judgement::Allowed;
                assert_eq!(
                    still_denied(&event(kind), now),
                    denied,
                    "{kind:?} {rights:?}"
                );
            }
            // The page is gone.
            assert!(still_denied(&event(kind), |_| None));
        }
    }

    /// Other events are not about rights.
    #[test]
    fn e7_other_events_need_no_conflict() {
        let mut event = event(Kind::Write);
        event.reason = REASON_DESCRIPTOR_ACCESS;
        assert!(still_denied(&event, |_| Some(Rights::Rwx)));
    }
}
