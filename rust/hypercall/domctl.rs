// SPDX-License-Identifier: GPL-2.0-only

//! `domctl`: what the tools do with domains.
//!
//! A call is decoded once into a [`Call`]. The operations are functions of a call and its domain, in files by what they
//! are about; an operation that tells the tool something puts it into the call, which is written back then, and only
//! then.
//!
//! What a person will meet as a refusal is said in the log in one line; the errno is Xen's.

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
mod sched;
mod settings;
mod tsc;
mod xsave_record;

pub(crate) use sched::SCHEDULER;

use kernel::prelude::pr_info;
use kernel::sync::Arc;
use zerocopy::{
    FromBytes,
    Immutable,
    IntoBytes, //
};

use super::Args;
use crate::abi::domctl as abi;
use crate::abi::domctl::XenDomctl;
use crate::abi::errno::{
    Errno,
    Result,
    EACCES,
    EINVAL,
    ENODEV,
    ENOSYS,
    EOPNOTSUPP, //
};
use crate::abi::layout;
use crate::domain::{
    Domain,
    DOM0, //
};
use crate::hypercall::caller::{
    Caller,
    Handle, //
};
use crate::sys::log;

/// One `domctl`.
struct Call<'a> {
    caller: &'a Caller<'a>,
    /// Our copy of what the tool asks.
    op: XenDomctl,
    /// The copy holds an answer.
    answered: bool,
    /// The domain that the call made, which lives if the tool gets its number.
    created: Option<Arc<Domain>>,
}

impl Call<'_> {
    /// What is asked, in the form of the operation.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the form is longer than any can be, which is none of them.
    fn payload<T: FromBytes>(&self) -> Result<T> {
        layout::payload(&self.op.u).ok_or(EINVAL)
    }

    /// Answers in the form of the operation.
    ///
    /// # Errors
    ///
    /// As [`Self::payload`].
    fn answer<T: IntoBytes + Immutable>(&mut self, value: &T) -> Result {
        layout::set_payload(&mut self.op.u, value).ok_or(EINVAL)?;
        self.answered = true;
        Ok(())
    }

    /// Says in the log why the call is refused. Returns the error number.
    fn refuse(&self, errno: Errno, why: core::fmt::Arguments<'_>) -> Errno {
        if log::allowed() {
            let (domid, name) = (self.op.domain, abi::name(self.op.cmd));
            pr_info!("d{domid}: {name} refused ({}): {why}\n", errno.name());
            self.caller.hypervisor.log(format_args!(
                "d{domid}: {name} refused ({}): {why}\n",
                errno.name()
            ));
        }
        errno
    }
}

/// Performs an operation on a domain.
///
/// # Errors
///
/// `EFAULT`, `EACCES` for a tool that speaks another version of the interface, `ESRCH` for a domain that there is not,
/// `ENOSYS` for an operation that there is not, and each operation's own.
pub(crate) fn domctl(caller: &Caller<'_>, args: &mut Args) -> Result<i64> {
    let handle = Handle::<XenDomctl>::new(args[0]);
    let mut call = Call {
        caller,
        op: handle.read(caller)?,
        answered: false,
        created: None,
    };
    if call.op.interface_version != abi::INTERFACE_VERSION {
        let (asked, spoken) = (call.op.interface_version, abi::INTERFACE_VERSION);
        return Err(call.refuse(
            EACCES,
            format_args!(
                "the tool speaks domctl version {asked:#x}, this is {spoken:#x} (Xen 4.20)"
            ),
        ));
    }
    let result = perform(&mut call);
    if call.answered {
        handle.write(caller, &call.op).inspect_err(|_| {
            if let Some(domain) = &call.created {
                // Another tool may have found it in the list and destroyed it first.
                let _ = domain.destroy(caller.hypervisor);
            }
        })?;
    }
    result.map(|()| 0)
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
    let cmd = call.op.cmd;
    if cmd == abi::CREATEDOMAIN {
        return create::create(call);
    }
    let domain = call.caller.hypervisor.domain(call.op.domain)?;
    if domain.id() == DOM0 && abi::name(cmd) != "?" && !may_concern_host(cmd) {
        return Err(call.refuse(
            EINVAL,
            format_args!("the control domain is this host, which tools cannot change"),
        ));
    }
    perform_on(call, &domain)
}

fn perform_on(call: &mut Call<'_>, domain: &Arc<Domain>) -> Result {
    match call.op.cmd {
        abi::DESTROYDOMAIN => lifecycle::destroy(call, domain),
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

        // What there is none of: Xen's answers of a build or machine without it.
        abi::PSR_CMT_OP | abi::PSR_ALLOC => Err(ENODEV),
        abi::VMTRACE_OP => Err(EINVAL),
        abi::SETVNUMAINFO | abi::DEBUG_OP => Err(EOPNOTSUPP),
        abi::SET_ACCESS_REQUIRED | abi::VM_EVENT_OP | abi::MONITOR_OP => Err(call.refuse(
            EOPNOTSUPP,
            format_args!("there are no introspection events"),
        )),
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
