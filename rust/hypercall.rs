// SPDX-License-Identifier: GPL-2.0-only

//! Hypercalls: one table for guests and for tools.
//!
//! A guest's VMMCALL and a tool's `IOCTL_PRIVCMD_HYPERCALL` arrive here with a [`Caller`]. What an operation means
//! and who may ask for it is the same for both; where its arguments are read from is the caller's matter.
//!
//! A handler returns the hypercall's result. `ERESTART` never reaches a caller: a handler that has done a part and
//! wants to let others go first changes its arguments to what remains and returns it. A guest then executes the
//! instruction again, a tool's call is entered again unless a signal came.

pub(crate) mod caller;
pub(crate) mod console_io;
mod dm;
pub(crate) mod domctl;
pub(crate) mod event_channel;
pub(crate) mod grant_table;
pub(crate) mod hvm;
pub(crate) mod memory;
pub(crate) mod multicall;
pub(crate) mod physdev;
pub(crate) mod platform;
mod refusal;
pub(crate) mod sched;
pub(crate) mod stubs;
pub(crate) mod sysctl;
mod tool_call;
pub(crate) mod vcpu;
mod vcpu_area;
mod vcpu_context;
pub(crate) mod version;
mod versioned;
pub(crate) mod vm_assist;

use crate::abi::errno::{
    Errno,
    Result,
    EINTR,
    ENOSYS,
    ERESTART, //
};
use crate::abi::xen;
use crate::sys::irq;
use crate::trace;
use caller::Caller;

/// The arguments of a hypercall. A handler that returns `ERESTART` has changed them to what remains.
pub(crate) type Args = [u64; 6];

/// What every handler looks like.
type Handler = fn(&Caller<'_>, &mut Args) -> Result<i64>;

/// Highest hypercall number of the table.
const TABLE_LEN: usize = 64;

/// Who may call.
#[derive(Clone, Copy)]
enum For {
    /// Guests and tools.
    All,
    /// Only the control domain. Guests are refused, in the way that the other function finds.
    Control(fn(&Caller<'_>, u64) -> Errno),
}

struct Entry {
    who: For,
    handler: Handler,
}

const fn entry(who: For, handler: Handler) -> Option<Entry> {
    Some(Entry { who, handler })
}

/// The table. A number without an entry answers `ENOSYS`, as in Xen.
static TABLE: [Option<Entry>; TABLE_LEN] = {
    let mut table = [const { None }; TABLE_LEN];
    table[xen::MEMORY_OP as usize] = entry(For::All, memory::memory_op);
    table[xen::MULTICALL as usize] = entry(For::All, multicall::multicall);
    table[xen::SET_TIMER_OP as usize] = entry(For::All, sched::set_timer_op);
    table[xen::XEN_VERSION as usize] = entry(For::All, version::xen_version);
    table[xen::CONSOLE_IO as usize] = entry(For::All, console_io::console_io);
    table[xen::GRANT_TABLE_OP as usize] = entry(For::All, grant_table::grant_table_op);
    table[xen::VM_ASSIST as usize] = entry(For::All, vm_assist::vm_assist);
    table[xen::VCPU_OP as usize] = entry(For::All, vcpu::vcpu_op);
    table[xen::SCHED_OP as usize] = entry(For::All, sched::sched_op);
    table[xen::EVENT_CHANNEL_OP as usize] = entry(For::All, event_channel::event_channel_op);
    table[xen::PHYSDEV_OP as usize] = entry(For::All, physdev::physdev_op);
    table[xen::HVM_OP as usize] = entry(For::All, hvm::hvm_op);
    table[xen::DM_OP as usize] = entry(For::All, dm::dm_op);
    table[xen::PLATFORM_OP as usize] =
        entry(For::Control(refusal::platform_op), platform::platform_op);
    table[xen::SYSCTL as usize] = entry(For::Control(refusal::sysctl), sysctl::sysctl);
    table[xen::DOMCTL as usize] = entry(For::Control(refusal::domctl), domctl::domctl);
    table
};

/// Finds the handler that `caller` may use for a call with `args`.
fn handler(caller: &Caller<'_>, op: u64, args: &Args) -> Result<Handler> {
    let entry = usize::try_from(op)
        .ok()
        .and_then(|op| TABLE.get(op))
        .and_then(Option::as_ref)
        .ok_or(ENOSYS)?;
    if let (For::Control(refusal), false) = (entry.who, caller.is_control()) {
        return Err(refusal(caller, args[0]));
    }
    Ok(entry.handler)
}

/// Performs one hypercall step. `Err(ERESTART)` asks to be called again with the same `args`.
pub(crate) fn dispatch(caller: &Caller<'_>, op: u64, args: &mut Args) -> Result<i64> {
    let [arg0, arg1, ..] = *args;
    let result = handler(caller, op, args).and_then(|handler| handler(caller, args));
    trace::hypercall(|| trace::Hypercall {
        domid: caller.domain.id().into(),
        // CAST: There are 128 vCPUs at most.
        vcpu: caller.vcpu().map_or(-1, |vcpu| vcpu.id() as i32),
        op,
        arg0,
        arg1,
        result: result.unwrap_or_else(|errno| errno.to_raw().into()),
    });
    result
}

/// Performs a hypercall for a tool, or the next step of one.
///
/// # Errors
///
/// `ERESTART` if there is more to do, for which `args` has changed; `EINTR` if a signal that ends the tool came before
/// the end: what was done stays done. Other signals wait, as under Xen: its libraries take `EINTR` for a failure.
pub(crate) fn step_for_tool(caller: &Caller<'_>, op: u64, args: &mut Args) -> Result<i64> {
    match dispatch(caller, op, args) {
        Err(errno) if errno == ERESTART && irq::fatal_signal_pending() => Err(EINTR),
        result => result,
    }
}

/// The register value that tells a caller the result.
pub(crate) fn result_to_reg(result: core::result::Result<i64, Errno>) -> u64 {
    // CAST: Two's complement, as callers expect.
    match result {
        Ok(value) => value as u64,
        Err(errno) => i64::from(errno.to_raw()) as u64,
    }
}
