// SPDX-License-Identifier: GPL-2.0-only

//! What `memory_op` puts at frames of a domain's choice, and takes from there: pages of the hypervisor's, and the
//! domain's own ones.

use super::{
    note_removed,
    Progress,
    STEP_PAGES, //
};
use crate::abi::errno::{
    Errno,
    Result,
    EACCES,
    EAGAIN,
    EILSEQ,
    EINVAL,
    ENOENT,
    ENOSYS,
    EOPNOTSUPP,
    EOVERFLOW, //
};
use crate::abi::memory as abi;
use crate::domain::{
    DomId,
    Domain, //
};
use crate::gnttab::FrameGrowth;
use crate::hw::npt::{
    P2mType,
    MAX_GFN, //
};
use crate::hypercall::caller::{
    Caller,
    Handle, //
};
use crate::mm::p2m::Removed;

/// `XENMEM_add_to_physmap`: puts a page of the hypervisor's, or other ones of the domain, at frames.
///
/// # Errors
///
/// - `ENOSYS` for a page of another domain, which only a batch may ask for.
/// - `ESRCH`, `EPERM`; `EACCES` for device memory, and if there is no RAM to move.
/// - `EOVERFLOW` for a range that wraps, `EILSEQ` for a continuation past its end.
/// - `EINVAL` for all else that there is not.
pub(super) fn add_to_physmap(caller: &Caller<'_>, arg: u64, start: u64) -> Result<Progress> {
    let handle = Handle::<abi::AddToPhysmap>::new(arg);
    let ask = handle.read_as::<abi::compat::AddToPhysmap>(caller)?;
    if ask.space == abi::MAPSPACE_GMFN_FOREIGN {
        return Err(ENOSYS);
    }
    let domain = caller.target(ask.domid)?;
    if ask.space == abi::MAPSPACE_DEV_MMIO {
        return Err(EACCES);
    }
    if ask.space != abi::MAPSPACE_GMFN_RANGE {
        add_one(&domain, ask.space, ask.idx, ask.gpfn)?;
        return Ok(Progress::Done(0));
    }
    let size = u64::from(ask.size);
    if size < start {
        return Err(EILSEQ);
    }
    if ask.idx.checked_add(size).is_none() || ask.gpfn.checked_add(size).is_none() {
        return Err(EOVERFLOW);
    }
    for done in start..size {
        if done - start >= STEP_PAGES {
            return Ok(Progress::More(done));
        }
        add_one(&domain, abi::MAPSPACE_GMFN, ask.idx + done, ask.gpfn + done)?;
    }
    Ok(Progress::Done(0))
}

/// Moves the RAM at `from` and the frames after it to `to`, `now` of `size` of them.
///
/// # Errors
///
/// `EOVERFLOW` for a range that wraps, `EACCES` if there is no RAM to move, those of the map.
pub(crate) fn relocate(domain: &Domain, from: u64, to: u64, size: u32, now: u32) -> Result {
    let size = u64::from(size);
    if from.checked_add(size).is_none() || to.checked_add(size).is_none() {
        return Err(EOVERFLOW);
    }
    for index in 0..u64::from(now) {
        add_one(domain, abi::MAPSPACE_GMFN, from + index, to + index)?;
    }
    Ok(())
}

/// `XENMEM_add_to_physmap_batch`: the same for scattered pages, each with its own outcome in a list.
///
/// # Errors
///
/// - `EOPNOTSUPP` for a range, and for an extra argument where there is none.
/// - `ESRCH`, `EPERM`; `EACCES` for device memory.
/// - `EILSEQ` for a continuation past the end, `EFAULT` for lists that cannot be read or written.
pub(super) fn add_to_physmap_batch(caller: &Caller<'_>, arg: u64, start: u64) -> Result<Progress> {
    let handle = Handle::<abi::AddToPhysmapBatch>::new(arg);
    let ask = handle.read_as::<abi::compat::AddToPhysmapBatch>(caller)?;
    let space = u32::from(ask.space);
    if space == abi::MAPSPACE_GMFN_RANGE {
        return Err(EOPNOTSUPP);
    }
    let domain = caller.target(ask.domid)?;
    if space == abi::MAPSPACE_DEV_MMIO {
        return Err(EACCES);
    }
    let size = u64::from(ask.size);
    if size <= start {
        return if start == 0 {
            Ok(Progress::Done(0))
        } else {
            Err(EILSEQ)
        };
    }
    let foreign = space == abi::MAPSPACE_GMFN_FOREIGN;
    if !foreign && ask.foreign_domid != 0 {
        return Err(EOPNOTSUPP);
    }
    for done in start..size {
        if done - start >= STEP_PAGES {
            return Ok(Progress::More(done));
        }
        let idx = frame(caller, ask.idxs, done)?;
        let gpfn = frame(caller, ask.gpfns, done)?;
        let outcome = if foreign {
            add_foreign(caller, ask.foreign_domid)
        } else {
            add_one(&domain, space, idx, gpfn)
        };
        let error = outcome.map_or_else(Errno::to_raw, |()| 0);
        Handle::<i32>::new(ask.errs)
            .at(done)?
            .write(caller, &error)?;
    }
    Ok(Progress::Done(0))
}

/// One frame number of a list.
pub(super) fn frame(caller: &Caller<'_>, list: u64, index: u64) -> Result<u64> {
    if caller.is_compat() {
        let frame = Handle::<u32>::new(list).at(index)?.read(caller)?;
        Ok(frame.into())
    } else {
        Handle::<u64>::new(list).at(index)?.read(caller)
    }
}

/// A page of another domain. Tools have `/dev/xen/privcmd` for that; no guest maps others' pages without a grant.
fn add_foreign(caller: &Caller<'_>, foreign: DomId) -> Result {
    caller.remote(foreign)?;
    Err(EOPNOTSUPP)
}

fn add_one(domain: &Domain, space: u32, idx: u64, gpfn: u64) -> Result {
    let mut removed = Removed::with_capacity(2)?;
    let result = match space {
        abi::MAPSPACE_SHARED_INFO => {
            if idx != 0 {
                return Err(EINVAL);
            }
            domain.place_shared_info(gpfn, &mut removed)
        }
        abi::MAPSPACE_GRANT_TABLE => add_grant_frame(domain, idx, gpfn, &mut removed),
        abi::MAPSPACE_GMFN => move_frame(domain, idx, gpfn, &mut removed),
        _ => Err(EINVAL),
    };
    domain.release(removed);
    result
}

/// Puts a frame of the domain's grant table at `gpfn`, making it if it is the next one.
fn add_grant_frame(domain: &Domain, idx: u64, gpfn: u64, removed: &mut Removed) -> Result {
    // A set top bit asks for a status frame, which version 1 does not have.
    if idx >> 31 != 0 {
        return Err(EINVAL);
    }
    let index = u32::try_from(idx).map_err(|_| EINVAL)?;
    grow_grants(domain, index + 1)?;
    let placed = domain.grants.lock().place_frame(index, gpfn)?;
    if let Some(old) = placed.previous {
        let _ = domain.p2m.remove(old, removed);
    }
    let page = placed.page.page().clone();
    let result = domain.p2m.insert(gpfn, page, P2mType::Special, removed);
    if result.is_err() {
        domain.grants.lock().unplace_frame(index, gpfn);
    }
    result
}

/// Grows a domain's grant table to at least `total` frames.
pub(crate) fn grow_grants(domain: &Domain, total: u32) -> Result {
    loop {
        let need = domain.grants.lock().frames_needed(total)?;
        if need == 0 {
            return Ok(());
        }
        // Allocated before the lock is taken again; somebody else may have grown it meanwhile.
        let mut growth = FrameGrowth::new(need)?;
        match domain.grants.lock().grow(total, &mut growth) {
            Err(errno) if errno == EAGAIN => {}
            result => return result,
        }
    }
}

/// Moves the page at `from` to `to`.
///
/// # Errors
///
/// `EACCES` if there is no RAM at `from`; those of the map.
fn move_frame(domain: &Domain, from: u64, to: u64, removed: &mut Removed) -> Result {
    domain
        .p2m
        .move_ram(from, to, removed)
        .map_err(|errno| if errno == ENOENT { EACCES } else { errno })
}

/// `XENMEM_remove_from_physmap`.
///
/// # Errors
///
/// `ESRCH`, `EPERM`; `ENOENT` if there is no page at the frame.
pub(super) fn remove_from_physmap(caller: &Caller<'_>, arg: u64) -> Result<Progress> {
    let handle = Handle::<abi::RemoveFromPhysmap>::new(arg);
    let ask = handle.read_as::<abi::compat::RemoveFromPhysmap>(caller)?;
    let domain = caller.target(ask.domid)?;
    if ask.gpfn >= MAX_GFN {
        return Err(ENOENT);
    }
    let mut removed = Removed::with_capacity(1)?;
    let result = domain.p2m.remove(ask.gpfn, &mut removed);
    domain.release(removed);
    result?;
    note_removed(caller, &domain);
    Ok(Progress::Done(0))
}
