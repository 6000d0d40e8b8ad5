// SPDX-License-Identifier: GPL-2.0-only

//! `memory_op`.
//!
//! The command's upper bits count what was done already, in extents: that is how an operation on many pages is
//! continued.

use kernel::sync::Arc;

use super::Args;
use crate::abi::errno::{
    Errno,
    Result,
    E2BIG,
    EBUSY,
    EFAULT,
    EINVAL,
    ENOENT,
    ENOSYS,
    EOPNOTSUPP,
    EPERM,
    ERESTART,
    ESRCH, //
};
use crate::abi::memory as abi;
use crate::abi::xen::DOMID_SELF;
use crate::domain::Domain;
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
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL, //
};
use crate::sys::irq;
use crate::sys::page::SharedPage;

/// Largest extent that a domain can be given at once: 2 MiB, as for guests of Xen.
const MAX_ORDER: u32 = 9;
/// Pages that a step of a continued operation handles before others may go first.
const STEP_PAGES: u64 = 512;
/// Entries of a memory map.
const MAX_MAP_ENTRIES: u32 = 128;

/// Performs a memory operation.
///
/// # Errors
///
/// Each operation's own; `ENOSYS` for what there is not.
pub(crate) fn memory_op(caller: &Caller<'_>, args: &mut Args) -> Result<i64> {
    // CAST: The command has 32 bits.
    let cmd = args[0] as u32;
    let start = u64::from(cmd >> abi::EXTENT_SHIFT);
    let result = match cmd & abi::CMD_MASK {
        abi::POPULATE_PHYSMAP => populate_physmap(caller, args[1], start),
        abi::DECREASE_RESERVATION => decrease_reservation(caller, args[1], start),
        // Pages without a place: only for paravirtualised guests.
        abi::INCREASE_RESERVATION => Ok(Progress::Done(start as i64)),
        abi::MAXIMUM_RAM_PAGE => Ok(Progress::Done(total_frames())),
        abi::CURRENT_RESERVATION => {
            of_domain(caller, args[1], |domain| domain.p2m.ram_pages())
        }
        abi::MAXIMUM_RESERVATION => {
            of_domain(caller, args[1], |domain| domain.p2m.max_pages())
        }
        abi::MAXIMUM_GPFN => of_domain(caller, args[1], |domain| domain.p2m.maximum_gfn()),
        abi::ADD_TO_PHYSMAP => add_to_physmap(caller, args[1]),
        abi::REMOVE_FROM_PHYSMAP => remove_from_physmap(caller, args[1]),
        abi::MEMORY_MAP => memory_map(caller, args[1]),
        abi::SET_MEMORY_MAP => set_memory_map(caller, args[1]),
        abi::CLAIM_PAGES => claim_pages(caller, args[1]),
        abi::SET_POD_TARGET | abi::GET_POD_TARGET => pod_target(caller, args[1]),
        abi::GET_VNUMAINFO => Err(EOPNOTSUPP),
        _ => Err(ENOSYS),
    };
    match result? {
        Progress::Done(value) => Ok(value),
        Progress::More(done) => {
            // CAST: Extents are counted in 26 bits; what does not fit is refused before.
            args[0] = u64::from(cmd & abi::CMD_MASK | (done as u32) << abi::EXTENT_SHIFT);
            Err(ERESTART)
        }
    }
}

/// How far an operation has come.
enum Progress {
    /// It is over, with this result.
    Done(i64),
    /// So many extents are done; call again.
    More(u64),
}

/// The highest frame of the host.
fn total_frames() -> i64 {
    // CAST: Far below 2^63.
    crate::sys::page::total_pages() as i64
}

fn of_domain(caller: &Caller<'_>, arg: u64, f: impl FnOnce(&Domain) -> u64) -> Result<Progress> {
    let ask: abi::MemoryDomain = Handle::new(arg).read(caller)?;
    let domain = caller.target(ask.domid)?;
    // CAST: Counts of pages are far below 2^63.
    Ok(Progress::Done(f(&domain) as i64))
}

/// A reservation, whichever width the caller has.
struct Reservation {
    extents: u64,
    count: u64,
    order: u32,
    domain: Arc<Domain>,
    compat: bool,
}

impl Reservation {
    fn read(caller: &Caller<'_>, arg: u64) -> Result<Self> {
        let (extents, count, order, domid, compat) = if caller.is_compat() {
            let ask: abi::compat::MemoryReservation = Handle::new(arg).read(caller)?;
            (
                ask.extent_start.into(),
                ask.nr_extents.into(),
                ask.extent_order,
                ask.domid,
                true,
            )
        } else {
            let ask: abi::MemoryReservation = Handle::new(arg).read(caller)?;
            (
                ask.extent_start,
                ask.nr_extents,
                ask.extent_order,
                ask.domid,
                false,
            )
        };
        // More cannot be counted in a continued command.
        if count > u64::from(u32::MAX >> abi::EXTENT_SHIFT) {
            return Err(EINVAL);
        }
        Ok(Self {
            extents,
            count,
            order,
            domain: caller.target(domid)?,
            compat,
        })
    }

    /// The guest frame of an extent.
    fn extent(&self, caller: &Caller<'_>, index: u64) -> Result<u64> {
        if self.compat {
            let gfn: u32 = Handle::<u32>::new(self.extents).at(index)?.read(caller)?;
            Ok(gfn.into())
        } else {
            Handle::<u64>::new(self.extents).at(index)?.read(caller)
        }
    }
}

/// `XENMEM_populate_physmap`: fresh pages at chosen frames. The result is how many extents were done.
fn populate_physmap(caller: &Caller<'_>, arg: u64, start: u64) -> Result<Progress> {
    let Ok(ask) = Reservation::read(caller, arg) else {
        // CAST: What was done before counts.
        return Ok(Progress::Done(start as i64));
    };
    if ask.order > MAX_ORDER || start > ask.count {
        return Ok(Progress::Done(start as i64));
    }
    let pages = 1u64 << ask.order;
    let mut handled = 0;
    for index in start..ask.count {
        if handled >= STEP_PAGES {
            return Ok(Progress::More(index));
        }
        handled += pages;
        let Ok(gfn) = ask.extent(caller, index) else {
            return Ok(Progress::Done(index as i64));
        };
        if populate_extent(&ask.domain, gfn, ask.order).is_err() {
            return Ok(Progress::Done(index as i64));
        }
    }
    Ok(Progress::Done(ask.count as i64))
}

/// Populates one extent, all of it or nothing.
fn populate_extent(domain: &Domain, gfn: u64, order: u32) -> Result {
    let pages = 1u64 << order;
    let mut done = 0;
    let result = if order == MAX_ORDER {
        domain.p2m.populate_2m(gfn, &mut done)
    } else {
        (0..pages).try_for_each(|index| {
            domain.p2m.populate(gfn.checked_add(index).ok_or(EINVAL)?)?;
            done += 1;
            Ok(())
        })
    };
    if result.is_err() && done != 0 {
        let mut removed = Removed::with_capacity(0)?;
        for index in 0..done {
            let _ = domain.p2m.remove(gfn + index, &mut removed);
        }
        domain.p2m.release(removed);
    }
    result
}

/// `XENMEM_decrease_reservation`: gives pages back. The result is how many extents were done.
fn decrease_reservation(caller: &Caller<'_>, arg: u64, start: u64) -> Result<Progress> {
    let Ok(ask) = Reservation::read(caller, arg) else {
        return Ok(Progress::Done(start as i64));
    };
    if ask.order > MAX_ORDER || start > ask.count {
        return Ok(Progress::Done(start as i64));
    }
    let pages = 1u64 << ask.order;
    // CAST: At most 512 plus an extent.
    let mut removed = Removed::with_capacity((STEP_PAGES + pages) as usize)?;
    let mut done = start;
    let mut failed = false;
    'extents: while done < ask.count && (removed.len() as u64) < STEP_PAGES {
        let Ok(gfn) = ask.extent(caller, done) else {
            failed = true;
            break;
        };
        for index in 0..pages {
            let at = gfn.checked_add(index).unwrap_or(MAX_GFN);
            if ask.domain.p2m.remove(at, &mut removed).is_err() {
                failed = true;
                break 'extents;
            }
        }
        done += 1;
    }
    ask.domain.p2m.release(removed);
    if failed || done >= ask.count {
        Ok(Progress::Done(done as i64))
    } else {
        Ok(Progress::More(done))
    }
}

/// `XENMEM_add_to_physmap`: puts a page of the hypervisor's, or another one of the domain, at a frame.
fn add_to_physmap(caller: &Caller<'_>, arg: u64) -> Result<Progress> {
    let (domid, space, idx, gpfn) = if caller.is_compat() {
        let ask: abi::compat::AddToPhysmap = Handle::new(arg).read(caller)?;
        (ask.domid, ask.space, ask.idx.into(), ask.gpfn.into())
    } else {
        let ask: abi::AddToPhysmap = Handle::new(arg).read(caller)?;
        (ask.domid, ask.space, ask.idx, ask.gpfn)
    };
    let domain = caller.target(domid)?;
    add_one(&domain, space, idx, gpfn)?;
    Ok(Progress::Done(0))
}

fn add_one(domain: &Domain, space: u32, idx: u64, gpfn: u64) -> Result {
    let mut removed = Removed::with_capacity(2)?;
    let result = match space {
        abi::MAPSPACE_SHARED_INFO => {
            if idx != 0 {
                return Err(EINVAL);
            }
            let page = domain.shared_info.page().clone();
            domain.p2m.insert(gpfn, page, P2mType::Special, &mut removed)
        }
        abi::MAPSPACE_GRANT_TABLE => add_grant_frame(domain, idx, gpfn, &mut removed),
        abi::MAPSPACE_GMFN => move_frame(domain, idx, gpfn, &mut removed),
        _ => Err(ENOSYS),
    };
    domain.p2m.release(removed);
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
            Err(errno) if errno == crate::abi::errno::EAGAIN => {}
            result => return result,
        }
    }
}

/// Moves the page at `from` to `to`.
fn move_frame(domain: &Domain, from: u64, to: u64, removed: &mut Removed) -> Result {
    let leaf = domain.p2m.lookup(from).ok_or(EINVAL)?;
    if leaf.ty != P2mType::RamRw {
        return Err(EINVAL);
    }
    let page = domain.p2m.get(from, true).map_err(|_| EINVAL)?;
    if from != to {
        domain.p2m.remove(from, removed)?;
        domain.p2m.insert(to, page, P2mType::RamRw, removed)?;
    }
    Ok(())
}

/// `XENMEM_remove_from_physmap`.
fn remove_from_physmap(caller: &Caller<'_>, arg: u64) -> Result<Progress> {
    let (domid, gpfn) = if caller.is_compat() {
        let ask: abi::compat::RemoveFromPhysmap = Handle::new(arg).read(caller)?;
        (ask.domid, ask.gpfn.into())
    } else {
        let ask: abi::RemoveFromPhysmap = Handle::new(arg).read(caller)?;
        (ask.domid, ask.gpfn)
    };
    let domain = caller.target(domid)?;
    let mut removed = Removed::with_capacity(1)?;
    let result = domain.p2m.remove(gpfn, &mut removed);
    domain.p2m.release(removed);
    result.map_err(|errno| if errno == ENOENT { EINVAL } else { errno })?;
    Ok(Progress::Done(0))
}

/// `XENMEM_memory_map`: what `XENMEM_set_memory_map` set.
fn memory_map(caller: &Caller<'_>, arg: u64) -> Result<Progress> {
    let domain = caller.target(DOMID_SELF)?;
    let (room, buffer) = if caller.is_compat() {
        let ask: abi::compat::MemoryMap = Handle::new(arg).read(caller)?;
        (ask.nr_entries, u64::from(ask.buffer))
    } else {
        let ask: abi::MemoryMap = Handle::new(arg).read(caller)?;
        (ask.nr_entries, ask.buffer)
    };
    let control = domain.control().lock();
    let map = &control.memory_map;
    if map.is_empty() {
        return Err(ENOSYS);
    }
    // CAST: At most `MAX_MAP_ENTRIES`.
    let count = if buffer == 0 {
        map.len() as u32
    } else {
        room.min(map.len() as u32)
    };
    if buffer != 0 {
        for (index, (addr, size, type_)) in map.iter().take(count as usize).enumerate() {
            let entry = abi::e820::E820Entry {
                addr: crate::abi::layout::U64A4::new(*addr),
                size: crate::abi::layout::U64A4::new(*size),
                type_: *type_,
            };
            Handle::<abi::e820::E820Entry>::new(buffer)
                .at(index as u64)?
                .write(caller, &entry)?;
        }
    }
    drop(control);
    // The count is the first member in either layout.
    Handle::<u32>::new(arg).write(caller, &count)?;
    Ok(Progress::Done(0))
}

/// `XENMEM_set_memory_map`.
fn set_memory_map(caller: &Caller<'_>, arg: u64) -> Result<Progress> {
    if !caller.is_control() {
        return Err(EPERM);
    }
    let ask: abi::ForeignMemoryMap = Handle::new(arg).read(caller)?;
    if ask.map.nr_entries > MAX_MAP_ENTRIES {
        return Err(E2BIG);
    }
    let domain = caller.remote(ask.domid)?;
    let mut map = KVec::with_capacity(ask.map.nr_entries as usize, GFP_KERNEL)?;
    for index in 0..u64::from(ask.map.nr_entries) {
        let entry: abi::e820::E820Entry = Handle::<abi::e820::E820Entry>::new(ask.map.buffer)
            .at(index)?
            .read(caller)?;
        map.push((entry.addr.get(), entry.size.get(), entry.type_), GFP_KERNEL)?;
    }
    domain.control().lock().memory_map = map;
    Ok(Progress::Done(0))
}

/// `XENMEM_claim_pages`: the host's memory is not set aside; whoever needs it gets it when it is populated.
fn claim_pages(caller: &Caller<'_>, arg: u64) -> Result<Progress> {
    if !caller.is_control() {
        return Err(EPERM);
    }
    let ask: abi::MemoryReservation = Handle::new(arg).read(caller)?;
    if ask.extent_start != 0 || ask.extent_order != 0 {
        return Err(EINVAL);
    }
    let domain = caller.remote(ask.domid)?;
    let wanted = ask.nr_extents.saturating_sub(domain.p2m.ram_pages());
    if ask.nr_extents != 0 && wanted > crate::sys::page::free_pages() {
        return Err(crate::abi::errno::ENOMEM);
    }
    Ok(Progress::Done(0))
}

/// `XENMEM_{set,get}_pod_target`: nothing is populated on demand, so the target is what there is.
fn pod_target(caller: &Caller<'_>, arg: u64) -> Result<Progress> {
    if !caller.is_control() {
        return Err(EPERM);
    }
    let mut ask: abi::PodTarget = Handle::new(arg).read(caller)?;
    let domain = caller.remote(ask.domid)?;
    ask.tot_pages = domain.p2m.ram_pages();
    ask.pod_cache_pages = 0;
    ask.pod_entries = 0;
    Handle::new(arg).write(caller, &ask)?;
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
