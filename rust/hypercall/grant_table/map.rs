// SPDX-License-Identifier: GPL-2.0-only

//! Mapping granted pages into a guest's physical memory, and taking them out again.
//!
//! The steps and why they need one table lock at a time only are described in [`crate::gnttab`].

use core::mem::offset_of;

use super::{
    advance,
    element,
    write_status,
    Args, //
};
use crate::abi::errno::{
    Result,
    EINVAL, //
};
use crate::abi::grant_table as abi;
use crate::domain::Domain;
use crate::gnttab::{
    rules,
    Access,
    GntResult,
    Gntst,
    Mapping,
    MaptrackGrowth,
    NoHandle,
    Pin,
    Reserved,
    Unmap,
    Use, //
};
use crate::hw::npt::P2mType;
use crate::hypercall::caller::{
    Caller,
    Handle, //
};
use crate::mm::p2m::Removed;
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL, //
};
use crate::sys::page::{
    PAGE_SHIFT,
    PAGE_SIZE, //
};

/// Mappings that are removed before the vCPUs' translations are dropped, once for all of them.
const UNMAP_BATCH: usize = 32;

/// `GNTTABOP_map_grant_ref`, for one element of the list.
///
/// # Errors
///
/// `EFAULT`.
pub(super) fn map(caller: &Caller<'_>, addr: u64) -> Result {
    let handle = Handle::<abi::MapGrantRef>::new(addr);
    let mut ask = handle.read(caller)?;
    let outcome = map_one(caller, &ask);
    ask.status = Gntst::field(&outcome);
    if let Ok(mapped) = outcome {
        ask.handle = mapped.handle;
        ask.dev_bus_addr = mapped.mfn << PAGE_SHIFT;
    }
    handle.write(caller, &ask)
}

/// What came of a map operation.
struct Mapped {
    handle: u32,
    mfn: u64,
}

fn map_one(caller: &Caller<'_>, ask: &abi::MapGrantRef) -> GntResult<Mapped> {
    let access = rules::check_map_flags(ask.flags)?;
    let granter = caller
        .hypervisor
        .domain(ask.dom)
        .map_err(|_| Gntst::BAD_DOMAIN)?;
    // The host has no physical memory map for a page to be entered in; its processes map by other means.
    if caller.is_control() || ask.host_addr % PAGE_SIZE as u64 != 0 {
        return Err(Gntst::GENERAL_ERROR);
    }
    let mapper = caller.domain;
    let reserved = reserve(mapper)?;
    let pinned = granter
        .grants
        .lock()
        .pin(ask.ref_, mapper.id(), access, Use::Map);
    let pin = match pinned {
        Ok(pin) => pin,
        Err(status) => {
            mapper.grants.lock().release_handle(reserved);
            return Err(status);
        }
    };
    let mfn = match enter(mapper, &granter, &pin, ask.host_addr >> PAGE_SHIFT) {
        Ok(mfn) => mfn,
        Err(status) => {
            granter.grants.lock().unpin(pin);
            mapper.grants.lock().release_handle(reserved);
            return Err(status);
        }
    };
    let mapping = Mapping {
        pin,
        mfn,
        host_addr: ask.host_addr,
    };
    let committed = mapper.grants.lock().commit(reserved, mapping);
    match committed {
        Ok(handle) => Ok(Mapped { handle, mfn }),
        Err((reserved, mapping)) => {
            // The mapper began to die. Whatever is at the frame by now goes with its memory at the latest.
            if let Ok(mut removed) = Removed::with_capacity(1) {
                let _ = leave(mapper, &mapping, &mut removed);
                mapper.release(removed);
            }
            granter.grants.lock().unpin(mapping.pin);
            mapper.grants.lock().release_handle(reserved);
            Err(Gntst::GENERAL_ERROR)
        }
    }
}

/// Sets a handle aside, with memory for it if that is needed.
fn reserve(mapper: &Domain) -> GntResult<Reserved> {
    loop {
        let handle = mapper.grants.lock().reserve_handle();
        match handle {
            Ok(handle) => return Ok(handle),
            Err(NoHandle::Refused(status)) => return Err(status),
            Err(NoHandle::Grow(need)) => {
                // Allocated before the lock is taken again; somebody else may have taken the new handles by then.
                let mut growth = MaptrackGrowth::new(need).map_err(|_| Gntst::NO_SPACE)?;
                mapper.grants.lock().add_handles(&mut growth);
            }
        }
    }
}

/// Enters the page of a grant at `gfn` of the mapper, in place of what is there. Returns its machine frame.
fn enter(mapper: &Domain, granter: &Domain, pin: &Pin, gfn: u64) -> GntResult<u64> {
    let (write, ty) = match pin.access() {
        Access::Read => (false, P2mType::GrantMapRo),
        Access::Write => (true, P2mType::GrantMapRw),
    };
    let page = granter
        .p2m
        .get_own(pin.gfn(), write)
        .map_err(|_| Gntst::BAD_PAGE)?;
    let mfn = page.mfn();
    let mut removed = Removed::with_capacity(1).map_err(|_| Gntst::GENERAL_ERROR)?;
    let entered = mapper.p2m.insert(gfn, page, ty, &mut removed);
    mapper.release(removed);
    entered.map_err(|_| Gntst::GENERAL_ERROR)?;
    Ok(mfn)
}

/// Takes a mapping's page out of the mapper's memory, if it is still there as that.
///
/// # Errors
///
/// `EINVAL` if the guest has put something else there, `ENOENT` or `ENOMEM`. The mapping must then be kept: what was
/// removed otherwise may still be in a processor's translations.
fn leave(mapper: &Domain, mapping: &Mapping, removed: &mut Removed) -> Result {
    let gfn = mapping.host_addr >> PAGE_SHIFT;
    let ours = mapper.p2m.lookup(gfn).is_some_and(|leaf| {
        matches!(leaf.ty, P2mType::GrantMapRw | P2mType::GrantMapRo) && leaf.mfn == mapping.mfn
    });
    if !ours {
        return Err(EINVAL);
    }
    mapper.p2m.remove(gfn, removed)
}

/// Mappings that are being removed together.
struct Batch {
    removed: Removed,
    ended: KVec<(Reserved, Mapping)>,
}

impl Batch {
    fn new() -> Result<Self> {
        Ok(Self {
            removed: Removed::with_capacity(UNMAP_BATCH)?,
            ended: KVec::with_capacity(UNMAP_BATCH, GFP_KERNEL)?,
        })
    }

    /// Removes one mapping; its grant stays in use until [`Batch::finish`].
    fn remove(&mut self, mapper: &Domain, ask: &abi::UnmapGrantRef) -> GntResult {
        let todo = mapper
            .grants
            .lock()
            .begin_unmap(ask.handle, ask.host_addr, ask.dev_bus_addr)?;
        let Unmap::Remove(reserved, mapping) = todo else {
            return Ok(());
        };
        if self.ended.len() >= self.ended.capacity()
            || leave(mapper, &mapping, &mut self.removed).is_err()
        {
            mapper.grants.lock().restore(reserved, mapping);
            return Err(Gntst::GENERAL_ERROR);
        }
        // There is room, as was just seen.
        let _ = self.ended.push((reserved, mapping), GFP_KERNEL);
        Ok(())
    }

    /// Makes sure that no processor reaches the pages any more, and only then ends the use of the grants.
    fn finish(self, caller: &Caller<'_>) {
        caller.domain.release(self.removed);
        for (reserved, mapping) in self.ended {
            caller.hypervisor.unpin(mapping.pin);
            caller.domain.grants.lock().release_handle(reserved);
        }
    }
}

/// `GNTTABOP_unmap_grant_ref`, for the first elements of the list.
///
/// # Errors
///
/// `EFAULT`; `ENOMEM` before anything was done; `ERESTART` if more remain.
pub(super) fn unmap(caller: &Caller<'_>, args: &mut Args) -> Result<i64> {
    let size = size_of::<abi::UnmapGrantRef>();
    // CAST: The count has 32 bits.
    let count = args[2] as u32;
    let mut batch = Batch::new()?;
    let mut outcomes = [Ok(()); UNMAP_BATCH];
    let mut read = Ok(());
    let mut done = 0;
    for (index, outcome) in (0..count).zip(outcomes.iter_mut()) {
        let ask = element(args[1], index, size)
            .and_then(|at| Handle::<abi::UnmapGrantRef>::new(at).read(caller));
        match ask {
            Ok(ask) => *outcome = batch.remove(caller.domain, &ask),
            Err(errno) => {
                read = Err(errno);
                break;
            }
        }
        done = index + 1;
    }
    batch.finish(caller);
    for (index, outcome) in (0..done).zip(outcomes.iter()) {
        let at = element(args[1], index, size)?;
        write_status(caller, at, offset_of!(abi::UnmapGrantRef, status), outcome)?;
    }
    read?;
    advance(args, done, size)
}
