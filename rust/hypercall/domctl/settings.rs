// SPDX-License-Identifier: GPL-2.0-only

//! Small things that tools set.

use super::Call;
use crate::abi::domctl::domain::{
    self as abi, //
};
use crate::abi::errno::{
    Result,
    EACCES,
    EINVAL,
    EOPNOTSUPP,
    ESRCH, //
};
use crate::abi::xen;
use crate::domain::{
    Domain,
    DOM0, //
};
use crate::sys::atomic::Ordering;

/// `XEN_DOMCTL_setdomainhandle`.
pub(super) fn set_handle(call: &Call<'_>, domain: &Domain) -> Result {
    let ask: abi::SetDomainHandle = call.payload()?;
    domain.control().lock().handle = ask.handle;
    Ok(())
}

/// `XEN_DOMCTL_settimeoffset`: what the guest's wall clock is ahead of UTC.
pub(super) fn set_time_offset(call: &Call<'_>, domain: &Domain) -> Result {
    let ask: abi::SetTimeOffset = call.payload()?;
    // CAST: A signed number of seconds, kept in an atomic word.
    domain
        .time_offset
        .store(ask.time_offset_seconds as u64, Ordering::Relaxed);
    domain.publish_wallclock();
    Ok(())
}

/// `XEN_DOMCTL_set_target`: lets the domain act on another.
///
/// # Errors
///
/// `ESRCH` if there is no such domain, `EINVAL` for itself or a second target, `EOPNOTSUPP` for the control domain.
pub(super) fn set_target(call: &Call<'_>, domain: &Domain) -> Result {
    let ask: abi::SetTarget = call.payload()?;
    let target = call.caller.hypervisor.domain(ask.target)?;
    let mut control = domain.control().lock();
    if target.id() == domain.id() || control.target.is_some() {
        return Err(EINVAL);
    }
    if target.id() == DOM0 {
        return Err(EOPNOTSUPP);
    }
    if target.life.lock().dying {
        return Err(ESRCH);
    }
    control.target = Some(target.identity());
    Ok(())
}

/// `XEN_DOMCTL_set_address_size`: HVM guests choose their width themselves.
///
/// # Errors
///
/// `EACCES` for 32 bits, `EINVAL` for anything else but 64.
pub(super) fn set_address_size(call: &Call<'_>) -> Result {
    let ask: abi::AddressSize = call.payload()?;
    match ask.size {
        64 => Ok(()),
        32 => Err(EACCES),
        _ => Err(EINVAL),
    }
}

/// `XEN_DOMCTL_get_address_size`.
pub(super) fn get_address_size(call: &mut Call<'_>) -> Result {
    call.answer(&abi::AddressSize { size: 64 })
}

/// `XEN_DOMCTL_set_virq_handler`: global virtual interrupts are the control domain's.
///
/// # Errors
///
/// `EINVAL` for an interrupt that is not global, `EOPNOTSUPP` for another domain.
pub(super) fn set_virq_handler(call: &Call<'_>, domain: &Domain) -> Result {
    let ask: abi::SetVirqHandler = call.payload()?;
    match ask.virq {
        xen::VIRQ_CONSOLE
        | xen::VIRQ_DOM_EXC
        | xen::VIRQ_DEBUGGER
        | xen::VIRQ_CON_RING
        | xen::VIRQ_PCPU_STATE
        | xen::VIRQ_MEM_EVENT => {}
        _ => return Err(EINVAL),
    }
    if domain.id() == DOM0 {
        Ok(())
    } else {
        Err(call.refuse(
            EOPNOTSUPP,
            format_args!("global virtual interrupts go to this host"),
        ))
    }
}

/// `XEN_DOMCTL_set_llc_colors`: caches are not partitioned. The tools ask at each start, so it is not worth a line.
///
/// # Errors
///
/// `EINVAL` for padding that is not 0, `EOPNOTSUPP`.
pub(super) fn set_llc_colors(call: &Call<'_>) -> Result {
    let ask: abi::SetLlcColors = call.payload()?;
    if ask.pad != 0 {
        return Err(EINVAL);
    }
    Err(EOPNOTSUPP)
}
