// SPDX-License-Identifier: GPL-2.0-only

//! `XENMEM_access_op`: the rights that a monitor leaves a guest on its pages.

use super::Progress;
use crate::abi::errno::{
    Result,
    EINVAL,
    ENODEV,
    ENOSYS,
    EOPNOTSUPP,
    ESRCH, //
};
use crate::abi::memory as abi;
use crate::domain::{
    Domain,
    DOM0, //
};
use crate::hw::rights::Rights;
use crate::hypercall::caller::{
    Caller,
    Handle, //
};
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL, //
};
use crate::sys::irq;
use crate::vm_event::Listener;

/// The frame number that means the rights of pages which are still to come.
const DEFAULT: u64 = u64::MAX;
/// Frames of a list that a step handles before others may go first.
const STEP: u64 = 256;

/// Performs the operation, from the frame or entry `start` on.
///
/// # Errors
///
/// - `ESRCH`, `EPERM`; `EINVAL` for a domain that is no HVM guest, rights that there are not, and frames beyond the
///   last.
/// - `ENODEV` without a monitor; `ENOSYS` for what there is not; `ESRCH` to get the rights of a frame without a page.
/// - `EOPNOTSUPP` for rights to execute and not to read, which the processor cannot enforce.
pub(super) fn access_op(caller: &Caller<'_>, arg: u64, start: u64) -> Result<Progress> {
    let handle = Handle::<abi::MemAccessOp>::new(arg);
    let mut ask = handle.read_as::<abi::compat::MemAccessOp>(caller)?;
    let domain = caller.remote(ask.domid)?;
    if domain.id() == DOM0 {
        return Err(EINVAL);
    }
    if domain.monitor.lock().listener() == Listener::Absent {
        return Err(ENODEV);
    }
    if start == 0 {
        domain.monitor_acts(caller.hypervisor);
    }
    match ask.op {
        abi::ACCESS_OP_SET_ACCESS => set(&domain, &ask, start),
        abi::ACCESS_OP_SET_ACCESS_MULTI => set_list(caller, &domain, &ask, start),
        abi::ACCESS_OP_GET_ACCESS if start != 0 => Err(ENOSYS),
        abi::ACCESS_OP_GET_ACCESS => {
            ask.access = get(&domain, ask.pfn)? as u8;
            if caller.is_compat() {
                let ask = <abi::compat::MemAccessOp as crate::abi::layout::Widen<_>>::narrow(ask);
                Handle::new(arg).write(caller, &ask)?;
            } else {
                handle.write(caller, &ask)?;
            }
            Ok(Progress::Done(0))
        }
        _ => Err(ENOSYS),
    }
}

/// The rights of a number, the domain's default among them.
fn rights(domain: &Domain, number: u8) -> Result<Rights> {
    let rights = match number {
        abi::ACCESS_DEFAULT => domain.p2m.default_rights(),
        number => Rights::from_number(number).ok_or(EINVAL)?,
    };
    if rights.needs_execute_only() {
        return Err(EOPNOTSUPP);
    }
    Ok(rights)
}

fn get(domain: &Domain, gfn: u64) -> Result<Rights> {
    if gfn == DEFAULT {
        return Ok(domain.p2m.default_rights());
    }
    if gfn > domain.p2m.maximum_gfn() {
        return Err(EINVAL);
    }
    domain.p2m.rights(gfn).ok_or(ESRCH)
}

fn set(domain: &Domain, ask: &abi::MemAccessOp, start: u64) -> Result<Progress> {
    if ask.pfn == DEFAULT {
        let rights = rights(domain, ask.access)?;
        domain.p2m.set_default_rights(rights);
        return Ok(Progress::Done(0));
    }
    let count = u64::from(ask.nr);
    let last = ask.pfn.wrapping_add(count).wrapping_sub(1);
    if count < start || last < ask.pfn || last > domain.p2m.maximum_gfn() {
        return Err(EINVAL);
    }
    let rights = rights(domain, ask.access)?;
    let begin = ask.pfn.wrapping_add(start);
    let end = last.wrapping_add(1);
    let mut next = begin;
    loop {
        next = domain.p2m.set_rights(next..end, rights)?;
        let done = next.wrapping_sub(ask.pfn);
        if next >= end {
            return Ok(Progress::Done(0));
        }
        // More cannot be counted in a continued command.
        if done <= u64::from(u32::MAX >> abi::EXTENT_SHIFT) {
            return Ok(Progress::More(done));
        }
        irq::cond_resched();
    }
}

fn set_list(
    caller: &Caller<'_>,
    domain: &Domain,
    ask: &abi::MemAccessOp,
    start: u64,
) -> Result<Progress> {
    let count = u64::from(ask.nr);
    if start > count {
        return Err(EINVAL);
    }
    let end = count.min(start.saturating_add(STEP));
    // CAST: At most `STEP`.
    let mut list = KVec::with_capacity((end - start) as usize, GFP_KERNEL)?;
    for index in start..end {
        let gfn: u64 = Handle::new(ask.pfn_list).at(index)?.read(caller)?;
        let number: u8 = Handle::new(ask.access_list).at(index)?.read(caller)?;
        if gfn > domain.p2m.maximum_gfn() {
            return Err(EINVAL);
        }
        list.push((gfn, rights(domain, number)?), GFP_KERNEL)?;
    }
    domain.p2m.set_rights_of(&list)?;
    Ok(if end < count {
        Progress::More(end)
    } else {
        Progress::Done(0)
    })
}
