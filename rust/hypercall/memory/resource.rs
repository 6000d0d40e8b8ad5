// SPDX-License-Identifier: GPL-2.0-only

//! Resources of domains that others may map: frames of the grant table.

use super::{
    grow_grants,
    Progress, //
};
use crate::abi::errno::{
    Result,
    EINVAL,
    EOPNOTSUPP, //
};
use crate::abi::memory as abi;
use crate::domain::Domain;
use crate::hypercall::caller::{
    Caller,
    Handle, //
};
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL, //
};
use crate::sys::irq;
use crate::sys::page::SharedPage;

/// `XENMEM_acquire_resource`: tells how many frames a resource has. Programs map them through `/dev/xen/privcmd`, and
/// nobody else has power over another domain's.
///
/// # Errors
///
/// - `EINVAL` for padding that is not 0, frames past what 32 bits can count, or a resource that there is not.
/// - `ESRCH` if there is no such other domain, `EPERM` if the caller has no power over it.
/// - `EOPNOTSUPP` for asking for the frames themselves.
pub(super) fn acquire(caller: &Caller<'_>, arg: u64) -> Result<Progress> {
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
    let frames = resource_size(&domain, ask.type_.into(), ask.id)?;
    if ask.frame_list != 0 {
        return Err(EOPNOTSUPP);
    }
    // In both layouts the count is at the same place.
    const AT: usize = core::mem::offset_of!(abi::MemAcquireResource, nr_frames);
    const _: () = assert!(AT == core::mem::offset_of!(abi::compat::MemAcquireResource, nr_frames));
    caller.copy_out(arg.wrapping_add(AT as u64), &frames.to_ne_bytes())?;
    Ok(Progress::Done(0))
}

/// How many frames a resource has at most (`IOCTL_PRIVCMD_MMAP_RESOURCE` with nothing to map).
///
/// # Errors
///
/// `EINVAL` for a resource that there is not.
pub(crate) fn resource_size(domain: &Domain, kind: u32, id: u32) -> Result<u32> {
    match kind {
        abi::RESOURCE_GRANT_TABLE => match domain.grants.lock().resource_max(id) {
            0 => Err(EINVAL),
            max => Ok(max),
        },
        _ => Err(EINVAL),
    }
}

/// Frames of a resource, each with a reference for the caller.
///
/// # Errors
///
/// `EINVAL` for a resource or frames that there are not.
pub(crate) fn resource(
    domain: &Domain,
    kind: u32,
    id: u32,
    first: u64,
    count: u32,
) -> Result<KVec<SharedPage>> {
    if kind != abi::RESOURCE_GRANT_TABLE {
        return Err(EINVAL);
    }
    let range = domain.grants.lock().resource_range(id, first, count)?;
    grow_grants(domain, range.end)?;
    let mut pages = KVec::with_capacity(count as usize, GFP_KERNEL)?;
    for index in range {
        let page = domain.grants.lock().shared_frame(index)?;
        pages.push(page, GFP_KERNEL)?;
        irq::cond_resched();
    }
    Ok(pages)
}
