// SPDX-License-Identifier: GPL-2.0-only

//! Listing domains.

use super::Call;
use crate::abi::domctl::domain::GetDomainInfo;
use crate::abi::errno::Result;
use crate::abi::sysctl::GetDomainInfoList;
use crate::hypercall::caller::Handle;
use crate::hypercall::domctl::info;
use crate::sys::irq;

/// `XEN_SYSCTL_getdomaininfolist`: domains in the order of their numbers, from a number on.
///
/// # Errors
///
/// `EFAULT`.
pub(super) fn list(call: &mut Call<'_>) -> Result {
    let mut ask: GetDomainInfoList = call.payload()?;
    let hypervisor = call.caller.hypervisor;
    let mut next = Some(ask.first_domain);
    let mut count = 0;
    while count < ask.max_domains {
        let Some(domain) = next.and_then(|id| hypervisor.domain_from(id)) else {
            break;
        };
        let entry = info::domain_info(hypervisor, &domain);
        Handle::<GetDomainInfo>::new(ask.buffer)
            .at(count.into())?
            .write(call.caller, &entry)?;
        count += 1;
        next = domain.id().checked_add(1);
        irq::cond_resched();
    }
    ask.num_domains = count;
    call.answer(&ask)
}
