// SPDX-License-Identifier: GPL-2.0-only

//! `sched_op`: ending a domain from outside.

use zerocopy::FromZeros;

use super::{
    call_with,
    CallResult,
    Hypervisor, //
};
use crate::abi::sched::{
    self,
    RemoteShutdown, //
};
use crate::abi::xen;

/// Ends a domain as if its kernel had asked for it with `reason`.
///
/// # Errors
///
/// Fails with ESRCH if there is no such domain.
pub(crate) fn remote_shutdown(hv: &dyn Hypervisor, domid: u16, reason: u32) -> CallResult<()> {
    let mut arg = RemoteShutdown::new_zeroed();
    arg.domain_id = domid;
    arg.reason = reason;
    // SAFETY: the structure is the one of this operation and holds no address.
    unsafe { call_with(hv, xen::SCHED_OP, sched::REMOTE_SHUTDOWN, &mut arg).map(drop) }
}
