// SPDX-License-Identifier: GPL-2.0-only

//! `event_channel_op`, as far as building a domain needs it.

use zerocopy::FromZeros;

use super::{
    call_with,
    CallResult,
    Hypervisor, //
};
use crate::abi::event_channel::{
    self,
    AllocUnbound, //
};
use crate::abi::xen;

/// Makes a port of domain `dom` that domain `remote` may connect to, and returns it.
///
/// # Errors
///
/// Fails with ENOSPC if the domain has no port left.
pub(crate) fn alloc_unbound(hv: &dyn Hypervisor, dom: u16, remote: u16) -> CallResult<u32> {
    let mut arg = AllocUnbound::new_zeroed();
    arg.dom = dom;
    arg.remote_dom = remote;
    // SAFETY: the structure is the one of this operation and holds no address.
    unsafe {
        call_with(
            hv,
            xen::EVENT_CHANNEL_OP,
            event_channel::ALLOC_UNBOUND,
            &mut arg,
        )?;
    }
    Ok(arg.port)
}
