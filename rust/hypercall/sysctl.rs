// SPDX-License-Identifier: GPL-2.0-only

//! `sysctl`: what the tools ask of the hypervisor as a whole.
//!
//! As with `domctl`, a call is decoded once into a [`Call`], and an operation that tells the tool something puts it
//! there.

mod console;
mod cpu_policy;
mod cpupool;
mod debug_keys;
mod domains;
mod machine;

use kernel::prelude::pr_info;
use zerocopy::{
    FromBytes,
    Immutable,
    IntoBytes, //
};

use super::Args;
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
use crate::abi::sysctl as abi;
use crate::abi::sysctl::XenSysctl;
use crate::hypercall::caller::{
    Caller,
    Handle, //
};
use crate::sys::log;

/// One `sysctl`.
struct Call<'a> {
    caller: &'a Caller<'a>,
    /// Our copy of what the tool asks.
    op: XenSysctl,
    /// The copy holds an answer.
    answered: bool,
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
            let name = abi::name(self.op.cmd);
            pr_info!("{name} refused ({}): {why}\n", errno.name());
            self.caller
                .hypervisor
                .log(format_args!("{name} refused ({}): {why}\n", errno.name()));
        }
        errno
    }
}

/// Performs an operation on the system.
///
/// # Errors
///
/// `EFAULT`, `EACCES` for a tool that speaks another version of the interface, `ENOSYS` for an operation that there is
/// not, and each operation's own.
pub(crate) fn sysctl(caller: &Caller<'_>, args: &mut Args) -> Result<i64> {
    let handle = Handle::<XenSysctl>::new(args[0]);
    let mut call = Call {
        caller,
        op: handle.read(caller)?,
        answered: false,
    };
    if call.op.interface_version != abi::INTERFACE_VERSION {
        let (asked, spoken) = (call.op.interface_version, abi::INTERFACE_VERSION);
        return Err(call.refuse(
            EACCES,
            format_args!(
                "the tool speaks sysctl version {asked:#x}, this is {spoken:#x} (Xen 4.20)"
            ),
        ));
    }
    let result = perform(&mut call);
    if call.answered {
        handle.write(caller, &call.op)?;
    }
    result.map(|()| 0)
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

        abi::GET_CPU_POLICY => cpu_policy::policy(call),
        abi::GET_CPU_FEATURESET => cpu_policy::featureset(call),
        abi::GET_CPU_LEVELLING_CAPS => cpu_policy::levelling_caps(call),

        // What there is none of: Xen's answers of a build or machine without it. Power and processors are Linux's.
        abi::GET_PMSTAT | abi::PM_OP | abi::PSR_CMT_OP | abi::PSR_ALLOC => Err(ENODEV),
        abi::CPU_HOTPLUG | abi::PAGE_OFFLINE_OP | abi::COVERAGE_OP => Err(EOPNOTSUPP),
        _ => Err(ENOSYS),
    }
}
