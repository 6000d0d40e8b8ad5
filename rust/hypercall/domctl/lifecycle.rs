// SPDX-License-Identifier: GPL-2.0-only

//! Starting, stopping and ending a domain.

use kernel::sync::Arc;

use super::Call;
use crate::abi::domctl::domain as abi;
use crate::abi::errno::{
    Result,
    EINVAL,
    ENOSYS,
    ERESTART,
    ESRCH, //
};
use crate::domain::vcpu::request;
use crate::domain::Domain;

/// `XEN_DOMCTL_destroydomain`: the tool is told when everything is given back. `begun` is 0 at first, and afterwards
/// the serial number of the domain that the call has begun with: another one may end it, and a new domain get its
/// number.
///
/// # Errors
///
/// `ERESTART` if there is more to do, `ESRCH` if there is no such domain or somebody else is at it.
pub(super) fn destroy(call: &Call<'_>, begun: &mut u64) -> Result {
    let result = match super::target(call) {
        Ok(domain) if *begun == 0 || *begun == domain.serial() => {
            let result = domain.destroy(call.caller.hypervisor);
            if result == Err(ERESTART) {
                *begun = domain.serial();
            }
            result
        }
        Ok(_) => Err(ESRCH),
        Err(errno) => Err(errno),
    };
    match result {
        Err(ESRCH) if *begun != 0 => Ok(()),
        result => result,
    }
}

/// `XEN_DOMCTL_unpausedomain`.
///
/// # Errors
///
/// `EINVAL` if the domain is not paused.
pub(super) fn unpause(domain: &Domain) -> Result {
    // Tools may have taken their time since they made it.
    domain.publish_wallclock();
    domain.unpause()
}

/// `XEN_DOMCTL_resumedomain`: takes a shutdown back.
///
/// # Errors
///
/// `ESRCH` if the domain is dying.
pub(super) fn resume(domain: &Domain) -> Result {
    // Every vCPU has stopped before the reason for that goes.
    domain.pause()?;
    let result = domain.resume();
    domain.unpause()?;
    result
}

/// `XEN_DOMCTL_soft_reset`: takes back what a guest that has shut down was given, and lets it run on.
///
/// # Errors
///
/// `EINVAL` if it has not shut down, and those of [`Domain::soft_reset`].
pub(super) fn soft_reset(call: &Call<'_>, domain: &Arc<Domain>) -> Result {
    domain.soft_reset(call.caller.hypervisor)
}

/// `XEN_DOMCTL_max_vcpus`: makes the vCPUs.
///
/// # Errors
///
/// `EINVAL` for another number than the domain was made for, `ESRCH` if it is dying, `ENOMEM`.
pub(super) fn max_vcpus(call: &Call<'_>, domain: &Arc<Domain>) -> Result {
    let ask: abi::MaxVcpus = call.payload()?;
    let (max, made_for) = (ask.max, domain.config().max_vcpus);
    if max != made_for {
        return Err(call.refuse(
            EINVAL,
            format_args!("{max} vCPUs, but the domain was made for {made_for}"),
        ));
    }
    domain
        .make_vcpus(max, call.caller.hypervisor.spawn)
        .map_err(|errno| call.refuse(errno, format_args!("could not make {max} vCPUs")))
}

/// `XEN_DOMCTL_sendtrigger`: an NMI. Xen's other triggers are buttons of an ACPI machine that a PVH guest has not.
///
/// # Errors
///
/// `ESRCH` for a vCPU that there is not, `EINVAL` for a button, `ENOSYS` for another trigger.
pub(super) fn send_trigger(call: &Call<'_>, domain: &Domain) -> Result {
    let ask: abi::SendTrigger = call.payload()?;
    let vcpu = domain.vcpu(ask.vcpu).ok_or(ESRCH)?;
    match ask.trigger {
        abi::SENDTRIGGER_NMI => {
            vcpu.lapic.post_nmi();
            vcpu.request(request::EVENT);
            Ok(())
        }
        abi::SENDTRIGGER_POWER | abi::SENDTRIGGER_SLEEP => Err(call.refuse(
            EINVAL,
            format_args!("a PVH guest has no buttons; ask it through xenstore (xl shutdown)"),
        )),
        _ => Err(ENOSYS),
    }
}
