// SPDX-License-Identifier: GPL-2.0-only

//! `sysctl`: what the tools ask of the hypervisor as a whole.

mod console;
mod cpu_policy;
mod cpupool;
mod debug_keys;
mod domains;
mod livepatch;
mod machine;

use super::tool_call::ToolCall;
use super::Args;
use crate::abi::errno::{
    Result,
    ENODEV,
    ENOSYS,
    EOPNOTSUPP, //
};
use crate::abi::sysctl as abi;
use crate::abi::sysctl::XenSysctl;
use crate::hypercall::caller::Caller;

/// One `sysctl`.
type Call<'a> = ToolCall<'a, XenSysctl>;

/// Performs an operation on the system.
///
/// # Errors
///
/// `EFAULT`, `EACCES` for a tool that speaks another version of the interface, `ENOSYS` for an operation that there is
/// not, and each operation's own.
pub(crate) fn sysctl(caller: &Caller<'_>, args: &mut Args) -> Result<i64> {
    let mut call = Call::read(caller, args[0])?;
    let result = perform(&mut call);
    call.finish(result)
}

fn perform(call: &mut Call<'_>) -> Result {
    match call.op.cmd {
        abi::READCONSOLE => console::read(call),
        abi::DEBUG_KEYS => debug_keys::press(call),

        abi::GETDOMAININFOLIST => domains::list(call),

        abi::PHYSINFO => machine::phys_info(call),
        abi::GETCPUINFO => machine::cpu_info(call),
        abi::CPUTOPOINFO => machine::cpu_topology(call),
        abi::NUMAINFO => machine::numa_info(call),
        abi::AVAILHEAP => machine::avail_heap(call),

        abi::SCHED_ID => cpupool::scheduler_id(call),
        abi::SCHEDULER_OP => cpupool::scheduler_op(call),
        abi::CPUPOOL_OP => cpupool::cpupool_op(call),

        abi::LIVEPATCH_OP => livepatch::livepatch(call),

        abi::GET_CPU_POLICY => cpu_policy::policy(call),
        abi::GET_CPU_FEATURESET => cpu_policy::featureset(call),
        abi::GET_CPU_LEVELLING_CAPS => cpu_policy::levelling_caps(call),

        // What there is none of: Xen's answers of a build or machine without it. Power and processors are Linux's.
        abi::GET_PMSTAT | abi::PM_OP | abi::PSR_CMT_OP | abi::PSR_ALLOC => Err(ENODEV),
        abi::CPU_HOTPLUG | abi::PAGE_OFFLINE_OP | abi::COVERAGE_OP => Err(EOPNOTSUPP),
        _ => Err(ENOSYS),
    }
}
