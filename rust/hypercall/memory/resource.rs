// SPDX-License-Identifier: GPL-2.0-only

//! Resources of domains that others may map: pages of I/O request servers, frames of the grant table, and slots of a
//! monitor.
//!
//! A process maps them through `/dev/xen/privcmd`, which asks for the pages themselves ([`resource`]). By hypercall a
//! process is told their machine frames, and a guest that is a tools domain has them entered in its own memory. None of
//! them is ever in the memory of the domain whose resource it is, unless that domain has put it there itself.

use super::{
    grow_grants,
    Progress, //
};
use crate::abi::errno::{
    Errno,
    Result,
    EINVAL,
    EIO,
    ENOMEM, //
};
use crate::abi::memory as abi;
use crate::abi::oxen;
use crate::domain::Domain;
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
use crate::sys::page::SharedPage;

/// Frames that one step handles before others may go first.
const STEP: u32 = 64;

/// Frames of an I/O request server: one of buffered requests, and one of synchronous ones, which is enough for as many
/// vCPUs as a domain can have.
const SERVER_FRAMES: u32 = 2;

/// What is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Resource {
    /// One of `RESOURCE_*`.
    pub(crate) kind: u32,
    /// Which of that kind.
    pub(crate) id: u32,
}

impl Resource {
    /// How many frames it has at most. Whether each can be had is not said.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a resource that there is not.
    pub(crate) fn size(self, domain: &Domain) -> Result<u32> {
        match self.kind {
            abi::RESOURCE_IOREQ_SERVER => Ok(SERVER_FRAMES),
            abi::RESOURCE_GRANT_TABLE => match domain.grants.lock().resource_max(self.id) {
                0 => Err(EINVAL),
                max => Ok(max),
            },
            oxen::RESOURCE_MONITOR_SLOTS if self.id == 0 => match domain.monitor.lock().slots() {
                0 => Err(EINVAL),
                // CAST: As many as a domain has vCPUs.
                count => Ok(count as u32),
            },
            _ => Err(EINVAL),
        }
    }

    /// Frames of it, in order, each with a reference for who gets it.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a resource or frames that there are not, `ENOMEM`; those of
    /// [`Domain::server_frames`](crate::domain::Domain::server_frames).
    pub(crate) fn frames(
        self,
        caller: &Caller<'_>,
        domain: &Domain,
        first: u64,
        count: u32,
        mut each: impl FnMut(SharedPage) -> Result,
    ) -> Result {
        match self.kind {
            abi::RESOURCE_IOREQ_SERVER => {
                let id = u16::try_from(self.id).map_err(|_| EINVAL)?;
                let creator = caller.domain.identity().creator();
                domain.server_frames(creator, id, first, count, each)
            }
            abi::RESOURCE_GRANT_TABLE => {
                let range = domain.grants.lock().resource_range(self.id, first, count)?;
                // At once, to the last frame.
                grow_grants(domain, range.end)?;
                let mut rest = range;
                loop {
                    // One lock for a step, and nothing but counting under it.
                    // CAST: A small number.
                    let mut pages = KVec::with_capacity(STEP as usize, GFP_KERNEL)?;
                    {
                        let table = domain.grants.lock();
                        for index in rest.by_ref().take(STEP as usize) {
                            let page = table.shared_frame(index)?;
                            pages.push_within_capacity(page).map_err(|_| ENOMEM)?;
                        }
                    }
                    if pages.is_empty() {
                        return Ok(());
                    }
                    pages.into_iter().try_for_each(&mut each)?;
                }
            }
            oxen::RESOURCE_MONITOR_SLOTS if self.id == 0 => domain.slot_frames(first, count, each),
            _ => Err(EINVAL),
        }
    }
}

/// `XENMEM_acquire_resource`, from frame `start` of the list on.
///
/// # Errors
///
/// - `EINVAL` for padding that is not 0, frames past what 32 bits can count, a resource that there is not, and a list
///   without a count or a count without a list.
/// - `ESRCH` if there is no such other domain, `EPERM` if the caller has no power over it.
/// - `EIO` if frames of the list were entered in the caller's memory, and one could not be.
/// - Those of [`Resource::frames`]; `EFAULT`.
pub(super) fn acquire(caller: &Caller<'_>, arg: u64, start: u64) -> Result<Progress> {
    let handle = Handle::<abi::MemAcquireResource>::new(arg);
    let ask = handle.read_as::<abi::compat::MemAcquireResource>(caller)?;
    if ask.pad != 0 {
        return Err(EINVAL);
    }
    match ask.frame.checked_add(ask.nr_frames.into()) {
        Some(end) if end >> 32 == 0 => {}
        _ => return Err(EINVAL),
    }
    let domain = caller.remote(ask.domid)?;
    let resource = Resource {
        kind: ask.type_.into(),
        id: ask.id,
    };
    let size = resource.size(&domain)?;
    if ask.frame_list == 0 {
        if ask.nr_frames != 0 {
            return Err(EINVAL);
        }
        // In both layouts the count is at the same place.
        const AT: usize = core::mem::offset_of!(abi::MemAcquireResource, nr_frames);
        const _: () =
            assert!(AT == core::mem::offset_of!(abi::compat::MemAcquireResource, nr_frames));
        caller.copy_out(arg.wrapping_add(AT as u64), &size.to_ne_bytes())?;
        return Ok(Progress::Done(0));
    }
    let done = u32::try_from(start).map_err(|_| EINVAL)?;
    if ask.nr_frames > u32::MAX >> abi::EXTENT_SHIFT || done >= ask.nr_frames {
        return Err(EINVAL);
    }
    let now = (ask.nr_frames - done).min(STEP);
    let first = ask.frame + start;
    let mut entered = done;
    let result = if caller.is_control() {
        resource.frames(caller, &domain, first, now, |page| {
            let at = Handle::<u64>::new(ask.frame_list).at(entered.into())?;
            entered += 1;
            at.write(caller, &page.mfn())
        })
    } else {
        enter(caller, &domain, resource, (first, now), |page, removed| {
            let gfn = super::physmap::frame(caller, ask.frame_list, entered.into())?;
            let page = page.page().clone();
            let own = &caller.domain.p2m;
            own.insert(gfn, page, P2mType::MapForeign, removed)?;
            entered += 1;
            Ok(())
        })
        .map_err(|errno| partly(errno, entered))
    };
    result?;
    let done = done + now;
    if done < ask.nr_frames {
        return Ok(Progress::More(done.into()));
    }
    Ok(Progress::Done(0))
}

/// What a failure is after so many frames were entered: the caller must take them all out again.
fn partly(errno: Errno, entered: u32) -> Errno {
    if entered == 0 {
        errno
    } else {
        EIO
    }
}

/// Enters frames in the caller's memory, and drops what was there once no vCPU can reach it.
fn enter(
    caller: &Caller<'_>,
    domain: &Domain,
    resource: Resource,
    (first, count): (u64, u32),
    mut each: impl FnMut(&SharedPage, &mut Removed) -> Result,
) -> Result {
    // CAST: A small number.
    let mut pages = KVec::with_capacity(count as usize, GFP_KERNEL)?;
    resource.frames(caller, domain, first, count, |page| {
        Ok(pages.push(page, GFP_KERNEL)?)
    })?;
    let mut removed = Removed::with_capacity(pages.len())?;
    let result = pages.iter().try_for_each(|page| each(page, &mut removed));
    caller.domain.release(removed);
    result
}
