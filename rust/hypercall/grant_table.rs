// SPDX-License-Identifier: GPL-2.0-only

//! `grant_table_op`: the hypercall over [`crate::gnttab`].
//!
//! The state and the rules are there. Here are the callers: finding the domains that an operation names, resolving
//! frames, moving bytes, and walking the lists of operations. A list is done in bounded steps; between two of them the
//! arguments say what remains.

mod copy;
mod map;

use core::mem::offset_of;

use kernel::sync::Arc;

use super::memory::grow_grants;
use super::Args;
use crate::abi::errno::{
    Errno,
    Result,
    EFAULT,
    EINVAL,
    ENOSYS,
    EOPNOTSUPP,
    EPERM,
    ERESTART, //
};
use crate::abi::grant_table as abi;
use crate::domain::{
    DomId,
    Domain, //
};
use crate::gnttab::{
    rules::{
        self,
        CacheOp, //
    },
    GntResult,
    Gntst,
    Search,
    INVALID_GFN, //
};
use crate::hypercall::caller::{
    Caller,
    Handle, //
};
use crate::sys::irq;

/// Operations of a list that are done before others may go first.
const STEP: u32 = 64;

/// Performs grant table operations: a list of `args[2]` of them at `args[1]`, or a single one.
///
/// # Errors
///
/// - `ENOSYS` for what there is not, and for what a guest with a physical memory map of its own may not ask for.
/// - `EINVAL` for a list that is too long, or more than one of what comes alone.
/// - `EFAULT` if an operation cannot be read or its outcome not be written.
///
/// What is wrong with one operation of a list is told by its status, a `GNTST_*`.
pub(crate) fn grant_table_op(caller: &Caller<'_>, args: &mut Args) -> Result<i64> {
    // CAST: The command and the count have 32 bits.
    let (cmd, count) = (args[0] as u32, args[2] as u32);
    if !caller.is_control() && !rules::allowed_for_guest(cmd) {
        return Err(ENOSYS);
    }
    let (op, position) = rules::split_command(cmd, count)?;
    match op {
        abi::MAP_GRANT_REF => {
            let size = size_of::<abi::MapGrantRef>();
            each(args, size, |at| map::map(caller, at))
        }
        abi::UNMAP_GRANT_REF => map::unmap(caller, args),
        abi::COPY => {
            let size = if caller.is_compat() {
                size_of::<abi::compat::Copy>()
            } else {
                size_of::<abi::Copy>()
            };
            each(args, size, |at| copy::copy(caller, at))
        }
        abi::SWAP_GRANT_REF => {
            let size = size_of::<abi::SwapGrantRef>();
            each(args, size, |at| swap(caller, at))
        }
        abi::SETUP_TABLE => alone(count).and_then(|()| setup_table(caller, args[1])),
        abi::QUERY_SIZE => alone(count).and_then(|()| query_size(caller, args[1])),
        abi::GET_STATUS_FRAMES => alone(count).and_then(|()| status_frames(caller, args[1])),
        abi::SET_VERSION => set_version(caller, args[1]),
        abi::GET_VERSION => get_version(caller, args[1]),
        abi::CACHE_FLUSH => cache_flush(caller, args, position),
        _ => Err(ENOSYS),
    }
}

/// Some operations come alone.
fn alone(count: u32) -> Result {
    if count == 1 {
        Ok(())
    } else {
        Err(EINVAL)
    }
}

/// Does up to [`STEP`] operations of a list, each `size` bytes long, by their addresses.
fn each(args: &mut Args, size: usize, mut f: impl FnMut(u64) -> Result) -> Result<i64> {
    // CAST: The count has 32 bits.
    let now = (args[2] as u32).min(STEP);
    for index in 0..now {
        f(element(args[1], index, size)?)?;
    }
    advance(args, now, size)
}

/// The address of an operation of a list.
fn element(list: u64, index: u32, size: usize) -> Result<u64> {
    // CAST: Sizes of structures are small.
    u64::from(index)
        .checked_mul(size as u64)
        .and_then(|offset| list.checked_add(offset))
        .ok_or(EFAULT)
}

/// Takes `done` operations off the list.
fn advance(args: &mut Args, done: u32, size: usize) -> Result<i64> {
    // CAST: The count has 32 bits.
    let left = (args[2] as u32).saturating_sub(done);
    if left == 0 {
        return Ok(0);
    }
    args[1] = element(args[1], done, size)?;
    args[2] = left.into();
    Err(ERESTART)
}

/// Finds the domain whose table an operation is about.
fn target(caller: &Caller<'_>, domid: DomId) -> GntResult<Arc<Domain>> {
    caller.target(domid).map_err(|errno: Errno| {
        // Xen looks for the domain first; mapping and copying tell as much to everybody.
        if errno == EPERM && caller.hypervisor.domain(domid).is_ok() {
            Gntst::PERMISSION_DENIED
        } else {
            Gntst::BAD_DOMAIN
        }
    })
}

/// Writes the status of the operation at `addr`, whose member is at `offset`.
fn write_status<T>(
    caller: &Caller<'_>,
    addr: u64,
    offset: usize,
    outcome: &GntResult<T>,
) -> Result {
    // CAST: Offsets in structures are small.
    let at = addr.checked_add(offset as u64).ok_or(EFAULT)?;
    Handle::<i16>::new(at).write(caller, &Gntst::field(outcome))
}

/// `GNTTABOP_setup_table`: grows a table and tells where its frames are.
fn setup_table(caller: &Caller<'_>, arg: u64) -> Result<i64> {
    const _: () =
        assert!(offset_of!(abi::SetupTable, status) == offset_of!(abi::compat::SetupTable, status));
    let ask = Handle::<abi::SetupTable>::new(arg).read_as::<abi::compat::SetupTable>(caller)?;
    let outcome = target(caller, ask.dom).and_then(|domain| list_frames(caller, &domain, &ask));
    write_status(caller, arg, offset_of!(abi::SetupTable, status), &outcome)?;
    Ok(0)
}

fn list_frames(caller: &Caller<'_>, domain: &Domain, ask: &abi::SetupTable) -> GntResult {
    grow_grants(domain, ask.nr_frames).map_err(|_| Gntst::GENERAL_ERROR)?;
    for index in 0..ask.nr_frames {
        let placed = domain.grants.lock().frame_gfn(index);
        let (gfn, page) = placed.map_err(|_| Gntst::GENERAL_ERROR)?;
        // The guest may have put something else there since.
        let there = domain
            .p2m
            .lookup(gfn)
            .is_some_and(|leaf| leaf.ty.is_page() && leaf.mfn == page.mfn());
        let gfn = if there { gfn } else { INVALID_GFN };
        write_frame(caller, ask.frame_list, index, gfn).map_err(|_| Gntst::BAD_VIRT_ADDR)?;
        irq::cond_resched();
    }
    Ok(())
}

/// Writes one frame number of a list.
fn write_frame(caller: &Caller<'_>, list: u64, index: u32, gfn: u64) -> Result {
    let index = index.into();
    if caller.is_compat() {
        // CAST: A frame past 16 TiB has no 32-bit number: all ones, as for no frame.
        let gfn = u32::try_from(gfn).unwrap_or(u32::MAX);
        Handle::<u32>::new(list).at(index)?.write(caller, &gfn)
    } else {
        Handle::<u64>::new(list).at(index)?.write(caller, &gfn)
    }
}

/// `GNTTABOP_query_size`.
fn query_size(caller: &Caller<'_>, arg: u64) -> Result<i64> {
    let handle = Handle::<abi::QuerySize>::new(arg);
    let mut ask = handle.read(caller)?;
    let size = target(caller, ask.dom).map(|domain| domain.grants.lock().size());
    ask.status = Gntst::field(&size);
    if let Ok(size) = size {
        ask.nr_frames = size.nr_frames;
        ask.max_nr_frames = size.max_nr_frames;
    }
    handle.write(caller, &ask)?;
    Ok(0)
}

/// `GNTTABOP_get_status_frames`: version 1 has none.
fn status_frames(caller: &Caller<'_>, arg: u64) -> Result<i64> {
    const _: () = assert!(
        offset_of!(abi::GetStatusFrames, status)
            == offset_of!(abi::compat::GetStatusFrames, status)
    );
    let handle = Handle::<abi::GetStatusFrames>::new(arg);
    let ask = handle.read_as::<abi::compat::GetStatusFrames>(caller)?;
    let outcome = target(caller, ask.dom)
        .and_then(|domain| domain.grants.lock().status_frames(ask.nr_frames));
    write_status(
        caller,
        arg,
        offset_of!(abi::GetStatusFrames, status),
        &outcome,
    )?;
    Ok(0)
}

/// `GNTTABOP_set_version`, of the caller's own table.
fn set_version(caller: &Caller<'_>, arg: u64) -> Result<i64> {
    let handle = Handle::<abi::SetVersion>::new(arg);
    let ask = handle.read(caller)?;
    let (outcome, version) = {
        let table = caller.domain.grants.lock();
        (table.set_version(ask.version), table.version())
    };
    // The version in use is told also if it is not the one that was asked for.
    handle.write(caller, &abi::SetVersion { version })?;
    outcome?;
    Ok(0)
}

/// `GNTTABOP_get_version`.
fn get_version(caller: &Caller<'_>, arg: u64) -> Result<i64> {
    let handle = Handle::<abi::GetVersion>::new(arg);
    let mut ask = handle.read(caller)?;
    ask.version = caller.target(ask.dom)?.grants.lock().version();
    handle.write(caller, &ask)?;
    Ok(0)
}

/// `GNTTABOP_swap_grant_ref`, in the caller's own table.
fn swap(caller: &Caller<'_>, addr: u64) -> Result {
    let ask = Handle::<abi::SwapGrantRef>::new(addr).read(caller)?;
    let outcome = caller.domain.grants.lock().swap(ask.ref_a, ask.ref_b);
    write_status(
        caller,
        addr,
        offset_of!(abi::SwapGrantRef, status),
        &outcome,
    )
}

/// `GNTTABOP_cache_flush`, for the control domain. It takes machine addresses of pages that the caller has mapped by
/// grant, from `position` on among its handles.
///
/// # Errors
///
/// `EINVAL` for an address of no such page; `EOPNOTSUPP` for one: no device here sees memory past the caches.
fn cache_flush(caller: &Caller<'_>, args: &mut Args, position: u32) -> Result<i64> {
    let size = size_of::<abi::CacheFlush>();
    // CAST: The count has 32 bits.
    let now = (args[2] as u32).min(STEP);
    args[0] = abi::CACHE_FLUSH.into();
    for index in 0..now {
        let at = element(args[1], index, size)?;
        let ask = Handle::<abi::CacheFlush>::new(at).read(caller)?;
        if rules::check_cache_flush(ask.offset, ask.length, ask.op)? == CacheOp::Nothing {
            continue;
        }
        let search = caller
            .domain
            .grants
            .lock()
            .maps_frame(ask.a >> 12, position);
        match search {
            Search::Found => return Err(EOPNOTSUPP),
            Search::Missing => return Err(EINVAL),
            Search::More(next) => {
                let result = advance(args, index, size);
                args[0] = u64::from(abi::CACHE_FLUSH | next);
                return result;
            }
        }
    }
    advance(args, now, size)
}
