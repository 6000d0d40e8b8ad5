// SPDX-License-Identifier: GPL-2.0-only

//! `domctl`: what the tools do with domains.
//!
//! The operations are functions of a [`Call`] and its domain, in files by what they are about.

mod affinity;
pub(crate) mod bitmap;
mod context;
pub(crate) mod cpu_policy;
mod cpu_record;
mod create;
mod hvm_context;
pub(crate) mod info;
mod lifecycle;
mod memory;
mod monitor;
mod sched;
mod settings;
mod tsc;
mod xsave_record;

pub(crate) use sched::SCHEDULER;

use kernel::sync::Arc;

use super::tool_call::ToolCall;
use super::Args;
use crate::abi::domctl as abi;
use crate::abi::domctl::XenDomctl;
use crate::abi::errno::{
    Result,
    EINVAL,
    ENODEV,
    ENOSYS,
    EOPNOTSUPP, //
};
use crate::domain::{
    Domain,
    DOM0, //
};
use crate::hypercall::caller::Caller;

/// One `domctl`.
type Call<'a> = ToolCall<'a, XenDomctl>;

/// Performs an operation on a domain.
///
/// # Errors
///
/// `EFAULT`, `EACCES` for a tool that speaks another version of the interface, `ESRCH` for a domain that there is not,
/// `ENOSYS` for an operation that there is not, and each operation's own.
pub(crate) fn domctl(caller: &Caller<'_>, args: &mut Args) -> Result<i64> {
    let mut call = Call::read(caller, args[0])?;
    if call.op.cmd == abi::CREATEDOMAIN {
        let domain = create::create(&mut call)?;
        return call.finish(Ok(())).inspect_err(|_| {
            // The tool did not get its number. Another one may have found it in the list and destroyed it first.
            domain.destroy_whole(caller.hypervisor);
        });
    }
    if call.op.cmd == abi::DESTROYDOMAIN {
        let result = lifecycle::destroy(&call, &mut args[5]);
        return call.finish(result);
    }
    let result = perform(&mut call);
    call.finish(result)
}

/// Whether an operation may be about the control domain. It is this host: the tools cannot pause or change it.
const fn may_concern_host(cmd: u32) -> bool {
    matches!(
        cmd,
        abi::GETDOMAININFO
            | abi::GETVCPUINFO
            | abi::GETVCPUAFFINITY
            | abi::GETNODEAFFINITY
            | abi::SCHEDULER_OP
            | abi::SETDOMAINHANDLE
            | abi::GETTSCINFO
            | abi::GET_ADDRESS_SIZE
            | abi::GET_CPU_POLICY
            | abi::SET_VIRQ_HANDLER
    )
}

fn perform(call: &mut Call<'_>) -> Result {
    if call.op.cmd == abi::VM_EVENT_OP && monitor::asks_version(call)? {
        return monitor::version(call);
    }
    let domain = target(call)?;
    perform_on(call, &domain)
}

/// The domain that an operation is about, if it may be about that.
fn target(call: &Call<'_>) -> Result<Arc<Domain>> {
    let cmd = call.op.cmd;
    let domain = call.caller.hypervisor.domain(call.op.domain)?;
    if domain.id() == DOM0 && abi::name(cmd) != "?" && !may_concern_host(cmd) {
        return Err(call.refuse(
            EINVAL,
            format_args!("the control domain is this host, which tools cannot change"),
        ));
    }
    Ok(domain)
}

fn perform_on(call: &mut Call<'_>, domain: &Arc<Domain>) -> Result {
    match call.op.cmd {
        abi::PAUSEDOMAIN => domain.pause(),
        abi::UNPAUSEDOMAIN => lifecycle::unpause(domain),
        abi::RESUMEDOMAIN => lifecycle::resume(domain),
        abi::SOFT_RESET => lifecycle::soft_reset(call, domain),
        abi::MAX_VCPUS => lifecycle::max_vcpus(call, domain),
        abi::SENDTRIGGER => lifecycle::send_trigger(call, domain),

        abi::GETDOMAININFO => info::get_domain_info(call, domain),
        abi::GETVCPUINFO => info::get_vcpu_info(call, domain),

        abi::MAX_MEM => memory::max_mem(call, domain),
        abi::GET_PAGING_MEMPOOL_SIZE => memory::get_paging_pool(call, domain),
        abi::SET_PAGING_MEMPOOL_SIZE => memory::set_paging_pool(call, domain),
        abi::GETPAGEFRAMEINFO3 => memory::get_page_frame_info(call, domain),
        abi::HYPERCALL_INIT => memory::hypercall_init(call, domain),
        abi::SHADOW_OP => memory::shadow_op(call, domain),

        abi::GETHVMCONTEXT => hvm_context::get(call, domain),
        abi::SETHVMCONTEXT => hvm_context::set(call, domain),
        abi::GETHVMCONTEXT_PARTIAL => hvm_context::get_partial(call, domain),
        abi::GETVCPUCONTEXT => context::get(call, domain),
        abi::GET_CPU_POLICY => cpu_policy::get(call, domain),
        abi::SET_CPU_POLICY => cpu_policy::set(call, domain),
        abi::GETTSCINFO => tsc::get(call, domain),
        abi::SETTSCINFO => tsc::set(call, domain),

        abi::SCHEDULER_OP => sched::scheduler_op(call, domain),
        abi::SETVCPUAFFINITY => affinity::set_vcpu(call, domain),
        abi::GETVCPUAFFINITY => affinity::get_vcpu(call, domain),
        abi::SETNODEAFFINITY => affinity::set_node(call),
        abi::GETNODEAFFINITY => affinity::get_node(call),

        abi::SETDOMAINHANDLE => settings::set_handle(call, domain),
        abi::SETTIMEOFFSET => settings::set_time_offset(call, domain),
        abi::SET_TARGET => settings::set_target(call, domain),
        abi::SET_ADDRESS_SIZE => settings::set_address_size(call),
        abi::GET_ADDRESS_SIZE => settings::get_address_size(call),
        abi::SET_VIRQ_HANDLER => settings::set_virq_handler(call, domain),
        abi::SET_LLC_COLORS => settings::set_llc_colors(call),

        abi::VM_EVENT_OP => monitor::vm_event_op(call, domain),
        abi::SET_ACCESS_REQUIRED => monitor::set_access_required(call, domain),
        abi::MONITOR_OP => monitor::monitor_op(call, domain),

        // What there is none of: Xen's answers of a build or machine without it.
        abi::PSR_CMT_OP | abi::PSR_ALLOC => Err(ENODEV),
        abi::VMTRACE_OP => Err(EINVAL),
        abi::SETVNUMAINFO | abi::DEBUG_OP => Err(EOPNOTSUPP),
        abi::SETVCPUCONTEXT
        | abi::GET_EXT_VCPUCONTEXT
        | abi::SET_EXT_VCPUCONTEXT
        | abi::GETVCPUEXTSTATE
        | abi::SETVCPUEXTSTATE
        | abi::GET_VCPU_MSRS
        | abi::SET_VCPU_MSRS => Err(call.refuse(
            EOPNOTSUPP,
            format_args!("for paravirtualised guests; HVM guests' state is in gethvmcontext"),
        )),
        abi::SETDEBUGGING | abi::SUBSCRIBE => Err(EOPNOTSUPP),
        cmd => {
            if abi::name(cmd) != "?" {
                call.refuse(ENOSYS, format_args!("not offered"));
            }
            Err(ENOSYS)
        }
    }
}
