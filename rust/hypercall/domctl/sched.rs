// SPDX-License-Identifier: GPL-2.0-only

//! Scheduling parameters. Linux schedules vCPUs; the parameters are those of the scheduler that tools are told there is
//! ([`SCHEDULER`]), kept and reported.

use super::Call;
use crate::abi::domctl::sched::{
    self as abi,
    SchedCredit,
    SchedulerOp, //
};
use crate::abi::errno::{
    Result,
    EINVAL, //
};
use crate::abi::layout;
use crate::domain::Domain;

/// What tools are told: the second credit scheduler is the nearest to Linux's, a share by weight.
pub(crate) const SCHEDULER: u32 = abi::SCHEDULER_CREDIT2;

/// `XEN_DOMCTL_scheduler_op`.
///
/// # Errors
///
/// `EINVAL` for another scheduler, and for parameters of single vCPUs, which this one does not have.
pub(super) fn scheduler_op(call: &mut Call<'_>, domain: &Domain) -> Result {
    let mut ask: SchedulerOp = call.payload()?;
    if ask.sched_id != SCHEDULER {
        return Err(EINVAL);
    }
    match ask.cmd {
        abi::SCHEDOP_GETINFO => {
            let (weight, cap) = domain.control().lock().sched;
            let credit = SchedCredit { weight, cap };
            layout::set_payload(&mut ask.u, &credit).ok_or(EINVAL)?;
        }
        abi::SCHEDOP_PUTINFO => {
            let credit: SchedCredit = layout::payload(&ask.u).ok_or(EINVAL)?;
            let mut control = domain.control().lock();
            // No weight leaves it; no cap takes it off.
            if credit.weight != 0 {
                control.sched.0 = credit.weight;
            }
            control.sched.1 = credit.cap;
        }
        _ => return Err(EINVAL),
    }
    call.answer(&ask)
}
