// SPDX-License-Identifier: GPL-2.0-only

//! The scheduler and the one CPU pool.

use super::Call;
use crate::abi::errno::{
    Result,
    EINVAL,
    ENOENT,
    ENOSYS,
    EOPNOTSUPP,
    ESRCH, //
};
use crate::abi::layout;
use crate::abi::sysctl::{
    self as abi,
    CpupoolOp,
    Credit2Schedule,
    SchedId,
    SchedulerOp, //
};
use crate::domain::affinity::CpuSet;
use crate::domain::DOM0;
use crate::hypercall::domctl::{
    bitmap,
    SCHEDULER, //
};

/// The pool that all processors and all domains are in.
const POOL: u32 = 0;

/// `XEN_SYSCTL_sched_id`.
pub(super) fn scheduler_id(call: &mut Call<'_>) -> Result {
    call.answer(&SchedId {
        sched_id: SCHEDULER,
    })
}

/// `XEN_SYSCTL_scheduler_op`: settings of the scheduler as a whole. It is Linux's, which tools do not set.
///
/// # Errors
///
/// `EINVAL` for another scheduler or command, `ESRCH` for another pool, `EOPNOTSUPP` for setting.
pub(super) fn scheduler_op(call: &mut Call<'_>) -> Result {
    let mut ask: SchedulerOp = call.payload()?;
    if !matches!(ask.cmd, abi::SCHEDOP_GETINFO | abi::SCHEDOP_PUTINFO) {
        return Err(EINVAL);
    }
    if ask.cpupool_id != POOL {
        return Err(ESRCH);
    }
    if ask.sched_id != SCHEDULER {
        return Err(EINVAL);
    }
    if ask.cmd == abi::SCHEDOP_PUTINFO {
        return Err(call.refuse(EOPNOTSUPP, format_args!("Linux schedules the guests")));
    }
    // No limit on how often it switches.
    let settings = Credit2Schedule { ratelimit_us: 0 };
    layout::set_payload(&mut ask.u, &settings).ok_or(EINVAL)?;
    call.answer(&ask)
}

/// `XEN_SYSCTL_cpupool_op`.
///
/// # Errors
///
/// `ENOENT` for a pool after the last, `EOPNOTSUPP` for making or changing one, `EINVAL` and `ESRCH` for moving a
/// domain that cannot be, `ENOSYS`, `EFAULT`, `ENOMEM`.
pub(super) fn cpupool_op(call: &mut Call<'_>) -> Result {
    let mut ask: CpupoolOp = call.payload()?;
    match ask.op {
        abi::CPUPOOL_OP_INFO => {
            // The first pool from this number on.
            if ask.cpupool_id > POOL {
                return Err(ENOENT);
            }
            ask.cpupool_id = POOL;
            ask.sched_id = SCHEDULER;
            // CAST: There are far fewer domains; one more is the control domain.
            ask.n_dom = call.caller.hypervisor.count() as u32 + 1;
            bitmap::write_cpus(call.caller, &ask.cpumap, &CpuSet::online()?)?;
        }
        abi::CPUPOOL_OP_FREEINFO => {
            bitmap::write_cpus(call.caller, &ask.cpumap, &CpuSet::new(|_| false)?)?;
        }
        abi::CPUPOOL_OP_MOVEDOMAIN => {
            let domid = u16::try_from(ask.domid).map_err(|_| ESRCH)?;
            if domid == DOM0 {
                return Err(EINVAL);
            }
            call.caller.hypervisor.domain(domid)?;
            if ask.cpupool_id != POOL {
                return Err(ENOENT);
            }
        }
        abi::CPUPOOL_OP_CREATE
        | abi::CPUPOOL_OP_DESTROY
        | abi::CPUPOOL_OP_ADDCPU
        | abi::CPUPOOL_OP_RMCPU => {
            return Err(call.refuse(
                EOPNOTSUPP,
                format_args!("there is one CPU pool; use vCPU affinities or cgroups"),
            ));
        }
        _ => return Err(ENOSYS),
    }
    call.answer(&ask)
}
