// SPDX-License-Identifier: GPL-2.0-only

//! A vCPU's registers in the form that paravirtualised guests have, for tools that look at both kinds.

use zerocopy::FromBytes;

use super::Call;
use crate::abi::domctl::context::{
    self as abi,
    VcpuContext,
    VcpuGuestContext, //
};
use crate::abi::errno::{
    Result,
    EINVAL,
    ENODATA,
    ESRCH, //
};
use crate::domain::Domain;
use crate::hw::state::{
    CpuState,
    SegmentName, //
};
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL, //
};
use crate::sys::atomic::Ordering;

/// `XEN_DOMCTL_getvcpucontext`.
///
/// # Errors
///
/// `ESRCH` for a vCPU that there is not, `ENODATA` for one that never had registers, `EFAULT`, `ENOMEM`.
pub(super) fn get(call: &Call<'_>, domain: &Domain) -> Result {
    let ask: VcpuContext = call.payload()?;
    let vcpu = domain.vcpu(ask.vcpu).ok_or(ESRCH)?;
    if !vcpu.is_initialised() {
        return Err(ENODATA);
    }
    // Too large for the stack.
    let mut bytes = KVec::with_capacity(size_of::<VcpuGuestContext>(), GFP_KERNEL)?;
    bytes.resize(size_of::<VcpuGuestContext>(), 0, GFP_KERNEL)?;
    let context = VcpuGuestContext::mut_from_bytes(&mut bytes).map_err(|_| EINVAL)?;
    context.flags = abi::VGCF_I387_VALID;
    if !vcpu.is_down() {
        context.flags |= abi::VGCF_ONLINE;
    }
    context.vm_assist = domain.vm_assist.load(Ordering::Relaxed);
    domain.with_stopped(vcpu, |owned| fill(context, &owned.state));
    call.caller.copy_out(ask.ctxt, &bytes)
}

fn fill(context: &mut VcpuGuestContext, state: &CpuState) {
    context.fpu_ctxt = state.fxsave;
    let r = &mut context.user_regs;
    [
        r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi, r.r8, r.r9, r.r10, r.r11, r.r12,
        r.r13, r.r14, r.r15,
    ] = state.gprs;
    r.rip = state.rip;
    r.rflags = state.rflags;
    r.cs = state.segment(SegmentName::Cs).selector;
    r.ss = state.segment(SegmentName::Ss).selector;
    r.ds = state.segment(SegmentName::Ds).selector;
    r.es = state.segment(SegmentName::Es).selector;
    r.fs = state.segment(SegmentName::Fs).selector;
    r.gs = state.segment(SegmentName::Gs).selector;
    let [d0, d1, d2, d3] = state.dr;
    context.debugreg = [d0, d1, d2, d3, 0, 0, state.dr6, state.dr7];
    context.ctrlreg = [state.cr0, 0, state.cr2, state.cr3, state.cr4, 0, 0, 0];
    context.fs_base = state.segment(SegmentName::Fs).base;
    let gs = state.segment(SegmentName::Gs).base;
    // Which of the two is in use goes by the privilege level.
    (context.gs_base_kernel, context.gs_base_user) =
        if state.segment(SegmentName::Ss).attr >> 5 & 3 == 0 {
            (gs, state.kernel_gs_base)
        } else {
            (state.kernel_gs_base, gs)
        };
}
