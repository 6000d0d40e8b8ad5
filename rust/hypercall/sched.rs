// SPDX-License-Identifier: GPL-2.0-only

//! `sched_op` and `set_timer_op`.

use super::Args;
use crate::abi::errno::{
    Result,
    EINVAL,
    ENOSYS,
    EPERM, //
};
use crate::abi::sched as abi;
use crate::domain::clock;
use crate::domain::lifecycle::reason;
use crate::domain::vcpu::Wait;
use crate::hypercall::caller::{
    Caller,
    Handle, //
};

/// Ports that a poll may name.
const MAX_POLL_PORTS: usize = 128;

/// Performs a scheduler operation.
///
/// # Errors
///
/// `EINVAL` for a reason or a number of ports that there is not, `EFAULT`, `ENOSYS`.
pub(crate) fn sched_op(caller: &Caller<'_>, args: &mut Args) -> Result<i64> {
    let arg = args[1];
    // CAST: The command has 32 bits.
    match args[0] as u32 {
        abi::YIELD => {
            crate::sys::irq::cond_resched();
            Ok(0)
        }
        abi::BLOCK => {
            caller.vcpu().ok_or(ENOSYS)?.begin_wait(Wait::Event);
            Ok(0)
        }
        abi::SHUTDOWN => {
            let ask: abi::Shutdown = Handle::new(arg).read(caller)?;
            shutdown(caller, ask.reason)
        }
        abi::SHUTDOWN_CODE => {
            let ask: abi::Shutdown = Handle::new(arg).read(caller)?;
            // Only recorded, in Xen too: the shutdown that follows has a reason of its own.
            if ask.reason > u32::from(reason::MAX) {
                return Err(EINVAL);
            }
            Ok(0)
        }
        abi::POLL => poll(caller, arg),
        abi::REMOTE_SHUTDOWN => {
            let ask: abi::RemoteShutdown = Handle::new(arg).read(caller)?;
            let domain = caller.remote(ask.domain_id)?;
            let code = code(ask.reason)?;
            domain.shutdown(caller.hypervisor, code);
            Ok(0)
        }
        abi::WATCHDOG => {
            let ask: abi::Watchdog = Handle::new(arg).read(caller)?;
            watchdog(caller, ask)
        }
        abi::PIN_OVERRIDE => Err(EPERM),
        _ => Err(ENOSYS),
    }
}

fn code(reason: u32) -> Result<u8> {
    match u8::try_from(reason) {
        Ok(code) if code <= reason::MAX => Ok(code),
        _ => Err(EINVAL),
    }
}

fn shutdown(caller: &Caller<'_>, reason: u32) -> Result<i64> {
    let code = code(reason)?;
    if caller.vcpu().is_none() {
        // The control domain is this host: it is not shut down by a hypercall.
        return Err(EPERM);
    }
    caller.domain.shutdown(caller.hypervisor, code);
    Ok(0)
}

/// `SCHEDOP_poll`: waits until one of some ports is pending. A guest copes with waking for nothing.
fn poll(caller: &Caller<'_>, arg: u64) -> Result<i64> {
    let ask: abi::Poll = Handle::new(arg).read_as::<abi::compat::Poll>(caller)?;
    let vcpu = caller.vcpu().ok_or(ENOSYS)?;
    let count = ask.nr_ports as usize;
    let mut ports = [0u32; MAX_POLL_PORTS];
    let ports = ports.get_mut(..count).ok_or(EINVAL)?;
    for (index, port) in ports.iter_mut().enumerate() {
        *port = Handle::<u32>::new(ask.ports)
            .at(index as u64)?
            .read(caller)?;
    }
    let deadline = match ask.timeout {
        0 => u64::MAX,
        at => at,
    };
    let mut own = caller.domain.ports().lock();
    if own.begin_poll(vcpu.id(), ports)? {
        return Ok(0);
    }
    if deadline > clock::now_ns() {
        vcpu.begin_poll(deadline);
    } else {
        own.end_poll(vcpu.id());
    }
    Ok(0)
}

/// `SCHEDOP_watchdog`: two timers of the domain that shut it down when nobody resets them.
fn watchdog(caller: &Caller<'_>, ask: abi::Watchdog) -> Result<i64> {
    let vcpu = caller.vcpu().ok_or(ENOSYS)?;
    // CAST: An identifier is 1 or 2; 0 asks for one.
    let deadline = clock::now_ns().saturating_add(u64::from(ask.timeout) * 1_000_000_000);
    let id = caller
        .domain
        .watchdogs
        .lock()
        .set(ask.id, ask.timeout != 0, deadline)?;
    vcpu.request(crate::domain::vcpu::request::TIMER);
    Ok(id.into())
}

/// `set_timer_op`: the singleshot timer, in one argument (two for 32-bit callers).
pub(crate) fn set_timer_op(caller: &Caller<'_>, args: &mut Args) -> Result<i64> {
    let vcpu = caller.vcpu().ok_or(ENOSYS)?;
    let at = if caller.is_compat() {
        args[0] & 0xffff_ffff | args[1] << 32
    } else {
        args[0]
    };
    vcpu.timers.lock().set_timer(at, clock::now_ns());
    Ok(0)
}
