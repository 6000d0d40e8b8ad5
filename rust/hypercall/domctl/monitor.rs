// SPDX-License-Identifier: GPL-2.0-only

//! Introspection: the ring of a monitor, and which events it gets.

use super::Call;
use crate::abi::domctl::monitor as abi;
use crate::abi::errno::{
    Result,
    EINVAL,
    ENOSYS,
    EOPNOTSUPP,
    EPERM, //
};
use crate::abi::layout::payload;
use crate::abi::oxen;
use crate::abi::vm_event::INTERFACE_VERSION;
use crate::abi::xen::DOMID_INVALID;
use crate::domain::{
    Domain,
    DOM0, //
};
use crate::vm_event::{
    Detail,
    CAPABILITIES, //
};

/// Whether a `XEN_DOMCTL_vm_event_op` asks for the version of events and can be answered without a domain: it names
/// none, as libxc does, or the host, about which all else is refused.
pub(super) fn asks_version(call: &Call<'_>) -> Result<bool> {
    let ask: abi::VmEventOp = call.payload()?;
    Ok(ask.op == abi::VM_EVENT_GET_VERSION && matches!(call.op.domain, DOMID_INVALID | DOM0))
}

/// `XEN_VM_EVENT_GET_VERSION`.
pub(super) fn version(call: &mut Call<'_>) -> Result {
    let mut ask: abi::VmEventOp = call.payload()?;
    ask.port = INTERFACE_VERSION;
    call.answer(&ask)
}

/// `XEN_DOMCTL_vm_event_op`: the ring or slots of a monitor. There are none for paging and sharing.
///
/// # Errors
///
/// `ENOSYS` for other rings and operations; `EINVAL` for the caller itself; those of
/// [`Domain::enable_ring`], [`Domain::enable_slots`] and [`Domain::resume_monitor`].
pub(super) fn vm_event_op(call: &mut Call<'_>, domain: &Domain) -> Result {
    let mut ask: abi::VmEventOp = call.payload()?;
    if ask.op == abi::VM_EVENT_GET_VERSION {
        return version(call);
    }
    if domain.id() == call.caller.domain.id() {
        return Err(EINVAL);
    }
    let hypervisor = call.caller.hypervisor;
    let slots = match ask.mode {
        abi::VM_EVENT_OP_MONITOR => false,
        oxen::VM_EVENT_SLOTS => true,
        _ => return Err(ENOSYS),
    };
    match ask.op {
        abi::VM_EVENT_ENABLE if slots => domain
            .enable_slots(hypervisor)
            .map_err(|errno| call.refuse(errno, format_args!("no slots for a monitor"))),
        abi::VM_EVENT_ENABLE => {
            ask.port = domain
                .enable_ring(hypervisor)
                .map_err(|errno| call.refuse(errno, format_args!("no ring for a monitor")))?;
            call.answer(&ask)
        }
        abi::VM_EVENT_DISABLE => {
            domain.disable_monitor(hypervisor);
            Ok(())
        }
        abi::VM_EVENT_RESUME => domain.resume_monitor(),
        _ => Err(ENOSYS),
    }
}

/// `XEN_DOMCTL_set_access_required`: whether what a monitor would have to see waits for one when there is none.
///
/// # Errors
///
/// `EPERM` for the caller itself.
pub(super) fn set_access_required(call: &Call<'_>, domain: &Domain) -> Result {
    if domain.id() == call.caller.domain.id() {
        return Err(EPERM);
    }
    let ask: abi::SetAccessRequired = call.payload()?;
    domain.set_access_required(ask.access_required != 0);
    domain.monitor_acts(call.caller.hypervisor);
    Ok(())
}

/// `XEN_DOMCTL_monitor_op`: which events a monitor gets.
///
/// # Errors
///
/// `EPERM` for the caller itself, `EOPNOTSUPP` for an operation or event that there is not, and those of
/// [`Settings::switch`](crate::vm_event::Settings::switch).
pub(super) fn monitor_op(call: &mut Call<'_>, domain: &Domain) -> Result {
    if domain.id() == call.caller.domain.id() {
        return Err(EPERM);
    }
    let mut ask: abi::MonitorOp = call.payload()?;
    domain.monitor_acts(call.caller.hypervisor);
    match ask.op {
        abi::MONITOR_OP_ENABLE | abi::MONITOR_OP_DISABLE => {
            let detail = detail(&ask).ok_or(EINVAL)?;
            let on = ask.op == abi::MONITOR_OP_ENABLE;
            domain
                .switch_event(ask.event, on, detail)
                .map_err(|errno| match errno {
                    EOPNOTSUPP => call.refuse(
                        errno,
                        format_args!("there is no event {}", abi::monitor_event_name(ask.event)),
                    ),
                    errno => errno,
                })
        }
        abi::MONITOR_OP_GET_CAPABILITIES => {
            ask.event = CAPABILITIES;
            call.answer(&ask)
        }
        abi::MONITOR_OP_EMULATE_EACH_REP => {
            domain.change_settings(|settings| settings.set_each_rep(ask.event != 0));
            Ok(())
        }
        abi::MONITOR_OP_CONTROL_REGISTERS => {
            domain.change_settings(|settings| settings.set_decides());
            Ok(())
        }
        _ => Err(EOPNOTSUPP),
    }
}

/// What belongs to an event.
fn detail(ask: &abi::MonitorOp) -> Option<Detail> {
    Some(match ask.event {
        abi::MONITOR_EVENT_WRITE_CTRLREG => Detail::Control(payload(&ask.u)?),
        abi::MONITOR_EVENT_MOV_TO_MSR => Detail::Msr(payload(&ask.u)?),
        abi::MONITOR_EVENT_GUEST_REQUEST => Detail::GuestRequest(payload(&ask.u)?),
        abi::MONITOR_EVENT_DEBUG_EXCEPTION => Detail::Debug(payload(&ask.u)?),
        _ => Detail::None,
    })
}
