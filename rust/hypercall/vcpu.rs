// SPDX-License-Identifier: GPL-2.0-only

//! `vcpu_op`: operations of a guest on its vCPUs.

use super::vcpu_area as area;
use super::Args;
use crate::abi::errno::{
    Result,
    EINVAL,
    ENOENT,
    ENOSYS,
    ENXIO, //
};
use crate::abi::vcpu as abi;
use crate::domain::clock;
use crate::domain::vcpu::{
    request,
    Vcpu, //
};
use crate::evtchn::topology::Domains;
use crate::evtchn::VcpuInfo;
use crate::hypercall::caller::{
    Caller,
    Handle, //
};
use crate::sys::page::{
    SharedPage,
    PAGE_SIZE, //
};

/// Length of a `vcpu_info`.
const VCPU_INFO_BYTES: usize = 64;

/// Performs an operation on a vCPU of the calling domain.
///
/// # Errors
///
/// `ENOENT` if there is no such vCPU; each operation's own; `ENOSYS`.
pub(crate) fn vcpu_op(caller: &Caller<'_>, args: &mut Args) -> Result<i64> {
    // CAST: The command and the number have 32 bits.
    let (cmd, id, arg) = (args[0] as u32, args[1] as u32, args[2]);
    // The control domain is this host; its processors are not vCPUs.
    caller.vcpu().ok_or(ENOENT)?;
    let vcpu = caller.domain.vcpu(id).ok_or(ENOENT)?;
    match cmd {
        abi::INITIALISE => super::vcpu_context::initialise(caller, vcpu, arg)?,
        abi::UP => up(caller, vcpu)?,
        abi::DOWN => {
            vcpu.set_down(true);
        }
        abi::IS_UP => return Ok((!vcpu.is_down()).into()),
        abi::GET_RUNSTATE_INFO => get_runstate(caller, vcpu, arg)?,
        abi::REGISTER_RUNSTATE_MEMORY_AREA => area::runstate_linear(caller, vcpu, arg)?,
        abi::REGISTER_RUNSTATE_PHYS_AREA => area::runstate_physical(caller, vcpu, arg)?,
        abi::REGISTER_VCPU_TIME_MEMORY_AREA => area::time_linear(caller, vcpu, arg)?,
        abi::REGISTER_VCPU_TIME_PHYS_AREA => area::time_physical(caller, vcpu, arg)?,
        abi::STOP_PERIODIC_TIMER => {
            vcpu.timers.lock().stop_periodic();
            vcpu.request(request::TIMER);
        }
        abi::SET_PERIODIC_TIMER => {
            let ask: abi::SetPeriodicTimer = Handle::new(arg).read(caller)?;
            vcpu.timers
                .lock()
                .set_periodic(ask.period_ns, clock::now_ns())?;
            vcpu.request(request::TIMER);
        }
        abi::SET_SINGLESHOT_TIMER => {
            own(caller, vcpu)?;
            let ask: abi::SetSingleshotTimer =
                Handle::new(arg).read_as::<abi::compat::SetSingleshotTimer>(caller)?;
            vcpu.timers
                .lock()
                .set_singleshot(ask.timeout_abs_ns, clock::now_ns());
        }
        abi::STOP_SINGLESHOT_TIMER => {
            own(caller, vcpu)?;
            vcpu.timers.lock().stop_singleshot();
        }
        abi::REGISTER_VCPU_INFO => register_vcpu_info(caller, vcpu, arg)?,
        abi::SEND_NMI => {
            vcpu.lapic.post_nmi();
            vcpu.request(request::EVENT);
        }
        // Only the hardware domain may learn where its vCPUs run.
        abi::GET_PHYSID => return Err(EINVAL),
        _ => return Err(ENOSYS),
    }
    Ok(0)
}

/// The singleshot timer is the calling vCPU's own business.
fn own(caller: &Caller<'_>, vcpu: &Vcpu) -> Result {
    match caller.vcpu() {
        Some(own) if own.id() == vcpu.id() => Ok(()),
        _ => Err(EINVAL),
    }
}

fn up(caller: &Caller<'_>, vcpu: &Vcpu) -> Result {
    if vcpu.is_initialised() {
        vcpu.set_down(false);
        caller.domain.permit(vcpu);
        Ok(())
    } else {
        Err(EINVAL)
    }
}

fn get_runstate(caller: &Caller<'_>, vcpu: &Vcpu, arg: u64) -> Result {
    let info = vcpu.runstate.snapshot();
    if caller.is_compat() {
        let info = <abi::compat::RunstateInfo as crate::abi::layout::Widen<_>>::narrow(info);
        Handle::new(arg).write(caller, &info)
    } else {
        Handle::new(arg).write(caller, &info)
    }
}

fn register_vcpu_info(caller: &Caller<'_>, vcpu: &Vcpu, arg: u64) -> Result {
    let ask: abi::RegisterVcpuInfo = Handle::new(arg).read(caller)?;
    let domain = caller.domain;
    // Not in the page at all, or past its end.
    if ask.offset as usize >= PAGE_SIZE {
        return Err(EINVAL);
    }
    if ask.offset as usize > PAGE_SIZE - VCPU_INFO_BYTES {
        return Err(ENXIO);
    }
    let page = domain.p2m.get(ask.mfn, true).map_err(|_| EINVAL)?;
    let width = domain.ports().lock().width();
    let place = VcpuInfo::new(SharedPage::new(page), ask.offset, width)?;
    let delivery =
        domain
            .ports()
            .lock()
            .register_vcpu_info(vcpu.id(), place, &vcpu.upcall_epoch)?;
    caller.hypervisor.deliver(domain.id(), delivery);
    // The time belongs there too.
    vcpu.request(request::TIME);
    Ok(())
}
