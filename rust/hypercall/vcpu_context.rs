// SPDX-License-Identifier: GPL-2.0-only

//! `VCPUOP_initialise`: the state in which a vCPU that is down will start, as an HVM guest says it.

use crate::abi::errno::{
    Result,
    EBUSY,
    EINVAL, //
};
use crate::abi::hvm::vcpu as abi;
use crate::domain::vcpu::Vcpu;
use crate::hw::state::{
    CpuState,
    Segment,
    SegmentName,
    CR0_ET,
    CR0_PE,
    CR0_PG,
    CR4_PAE,
    EFER_LMA,
    EFER_LME,
    RFLAGS_VM, //
};
use crate::hypercall::caller::{
    Caller,
    Handle, //
};
use crate::policy::control::{
    cr4_mask,
    efer_mask, //
};
use crate::sys::alloc::{
    KBox,
    GFP_KERNEL, //
};

/// Gives a vCPU that is down a state to start with. It stays down.
///
/// # Errors
///
/// `EINVAL` for a state that no processor can be in, `EBUSY` for a vCPU that is not down, `EFAULT`.
pub(super) fn initialise(caller: &Caller<'_>, vcpu: &Vcpu, arg: u64) -> Result {
    let context: abi::VcpuHvmContext = Handle::new(arg).read(caller)?;
    let mut state = KBox::new(CpuState::reset(), GFP_KERNEL)?;
    match context.mode {
        abi::MODE_32B => protected(&mut state, &context.x86_32())?,
        abi::MODE_64B => long(&mut state, &context.x86_64()),
        _ => return Err(EINVAL),
    }
    let policy = caller.domain.policy();
    let long_mode = state.efer & EFER_LME != 0;
    let paging = state.cr0 & CR0_PG != 0;
    if state.cr0 >> 32 != 0
        || state.cr4 & !cr4_mask(&policy) != 0
        || state.efer & !efer_mask(&policy) != 0
        || (paging && state.cr0 & CR0_PE == 0)
        || (long_mode && paging && state.cr4 & CR4_PAE == 0)
    {
        return Err(EINVAL);
    }
    if !vcpu.is_down() {
        return Err(EBUSY);
    }
    vcpu.set_boot_context(state);
    Ok(())
}

/// Unpacks the attributes of a segment: they are in the form that [`Segment`] has.
fn segment(base: u32, limit: u32, attr: u16) -> Segment {
    Segment {
        selector: 0,
        attr: attr & 0xfff,
        limit: if attr & 1 << 11 != 0 {
            limit << 12 | 0xfff
        } else {
            limit
        },
        base: base.into(),
    }
}

fn protected(state: &mut CpuState, c: &abi::VcpuHvmX86_32) -> Result {
    state.gprs = [0; 16];
    let gprs = [c.eax, c.ecx, c.edx, c.ebx, c.esp, c.ebp, c.esi, c.edi];
    for (to, from) in state.gprs.iter_mut().zip(gprs) {
        *to = from.into();
    }
    state.rip = c.eip.into();
    state.rflags = u64::from(c.eflags) | 2;
    state.cr0 = u64::from(c.cr0) | CR0_ET;
    state.cr3 = c.cr3.into();
    state.cr4 = c.cr4.into();
    // LMA is what paging with LME means.
    state.efer = c.efer & !EFER_LMA;
    if state.cr0 & CR0_PG != 0 && state.efer & EFER_LME != 0 {
        state.efer |= EFER_LMA;
    }
    let mut set = |name: SegmentName, value| {
        if let Some(slot) = state.segments.get_mut(name as usize) {
            *slot = value;
        }
    };
    set(SegmentName::Cs, segment(c.cs_base, c.cs_limit, c.cs_ar));
    set(SegmentName::Ds, segment(c.ds_base, c.ds_limit, c.ds_ar));
    set(SegmentName::Ss, segment(c.ss_base, c.ss_limit, c.ss_ar));
    set(SegmentName::Es, segment(c.es_base, c.es_limit, c.es_ar));
    set(SegmentName::Tr, segment(c.tr_base, c.tr_limit, c.tr_ar));
    let (cs, tr) = (c.cs_ar, c.tr_ar);
    // A present code segment and a busy task: what the processor itself insists on.
    let sane = cs & 0x80 != 0 && cs & 0x18 == 0x18 && tr & 0x80 != 0 && tr & 0x1f == 0xb;
    if state.cr0 & CR0_PE != 0 && !sane {
        return Err(EINVAL);
    }
    if u64::from(c.eflags) & RFLAGS_VM != 0 {
        return Err(EINVAL);
    }
    Ok(())
}

fn long(state: &mut CpuState, c: &abi::VcpuHvmX86_64) {
    state.gprs = [0; 16];
    let gprs = [c.rax, c.rcx, c.rdx, c.rbx, c.rsp, c.rbp, c.rsi, c.rdi];
    for (to, from) in state.gprs.iter_mut().zip(gprs) {
        *to = from;
    }
    state.rip = c.rip;
    state.rflags = c.rflags & !RFLAGS_VM | 2;
    state.cr0 = c.cr0 | CR0_ET;
    state.cr3 = c.cr3;
    state.cr4 = c.cr4;
    state.efer = c.efer & !EFER_LMA;
    if state.cr0 & CR0_PG != 0 && state.efer & EFER_LME != 0 {
        state.efer |= EFER_LMA;
    }
    let flat = |attr| Segment {
        selector: 0,
        attr,
        limit: u32::MAX,
        base: 0,
    };
    for name in [SegmentName::Ds, SegmentName::Es, SegmentName::Ss] {
        if let Some(slot) = state.segments.get_mut(name as usize) {
            *slot = flat(0xc93);
        }
    }
    if let Some(slot) = state.segments.get_mut(SegmentName::Cs as usize) {
        *slot = flat(0xa9b);
    }
    if let Some(slot) = state.segments.get_mut(SegmentName::Tr as usize) {
        *slot = Segment {
            selector: 0,
            attr: 0x8b,
            limit: 0x67,
            base: 0,
        };
    }
}
