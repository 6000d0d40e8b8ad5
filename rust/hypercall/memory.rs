// SPDX-License-Identifier: GPL-2.0-only

//! `memory_op`.
//!
//! The command's upper bits count what was done already, in extents: that is how an operation on many pages is
//! continued.

mod access;
mod physmap;
mod resource;

pub(crate) use physmap::{
    grow_grants,
    relocate, //
};
pub(crate) use resource::Resource;

use kernel::sync::Arc;

use super::Args;
use crate::abi::errno::{
    Result,
    EINVAL,
    ENOSYS,
    EOPNOTSUPP,
    EPERM,
    ERESTART, //
};
use crate::abi::memory as abi;
use crate::abi::xen::DOMID_SELF;
use crate::domain::{
    DomId,
    Domain, //
};
use crate::hw::npt::MAX_GFN;
use crate::hypercall::caller::{
    Caller,
    Handle, //
};
use crate::mm::p2m::Removed;
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL, //
};

/// Largest extent that a domain can be given at once: 2 MiB, as for guests of Xen.
const MAX_ORDER: u32 = 9;
/// Pages that a step of a continued operation handles before others may go first.
const STEP_PAGES: u64 = 512;
/// Entries of a memory map, as in Xen (`E820MAX`).
const MAX_MAP_ENTRIES: u32 = 1024;

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
        abi::CURRENT_RESERVATION => of_domain(caller, args[1], |domain| domain.p2m.ram_pages()),
        abi::MAXIMUM_RESERVATION => of_domain(caller, args[1], |domain| domain.p2m.max_pages()),
        abi::MAXIMUM_GPFN => of_domain(caller, args[1], |domain| domain.p2m.maximum_gfn()),
        abi::ADD_TO_PHYSMAP => physmap::add_to_physmap(caller, args[1], start),
        abi::ADD_TO_PHYSMAP_BATCH => physmap::add_to_physmap_batch(caller, args[1], start),
        abi::REMOVE_FROM_PHYSMAP => physmap::remove_from_physmap(caller, args[1]),
        abi::EXCHANGE => exchange(caller, args[1]),
        abi::MEMORY_MAP => memory_map(caller, args[1]),
        abi::SET_MEMORY_MAP => set_memory_map(caller, args[1]),
        // 32-bit callers have no such operation.
        abi::CLAIM_PAGES if !caller.is_compat() => claim_pages(caller, args[1]),
        abi::SET_POD_TARGET | abi::GET_POD_TARGET => pod_target(caller, args[1]),
        abi::GET_VNUMAINFO => vnuma_info(caller, args[1]),
        abi::ACCESS_OP => access::access_op(caller, args[1], start),
        abi::ACQUIRE_RESOURCE => resource::acquire(caller, args[1], start),
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
        domain.release(removed);
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
    if removed.len() != 0 {
        note_removed(caller, &ask.domain);
    }
    ask.domain.release(removed);
    if failed || done >= ask.count {
        Ok(Progress::Done(done as i64))
    } else {
        Ok(Progress::More(done))
    }
}

/// A guest that gives memory back has its device models forget mappings of it when the hypercall is over.
fn note_removed(caller: &Caller<'_>, domain: &Domain) {
    if let Some(vcpu) = caller.vcpu() {
        if domain.id() == caller.domain.id() && domain.serves_io() {
            vcpu.request_invalidate();
        }
    }
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

/// `XENMEM_set_memory_map`, of the caller itself too: nothing but what it reads back depends on it.
fn set_memory_map(caller: &Caller<'_>, arg: u64) -> Result<Progress> {
    let handle = Handle::<abi::ForeignMemoryMap>::new(arg);
    let ask = handle.read_as::<abi::compat::ForeignMemoryMap>(caller)?;
    if ask.map.nr_entries > MAX_MAP_ENTRIES {
        return Err(EINVAL);
    }
    let domain = caller.target(ask.domid)?;
    let mut map = KVec::with_capacity(ask.map.nr_entries as usize, GFP_KERNEL)?;
    for index in 0..u64::from(ask.map.nr_entries) {
        let entry: abi::e820::E820Entry = Handle::<abi::e820::E820Entry>::new(ask.map.buffer)
            .at(index)?
            .read(caller)?;
        map.push(
            (entry.addr.get(), entry.size.get(), entry.type_),
            GFP_KERNEL,
        )?;
    }
    domain.control().lock().memory_map = map;
    Ok(Progress::Done(0))
}

/// Finds the domain of an operation of the control domain's.
///
/// # Errors
///
/// `ESRCH` if there is none, `EPERM` for a guest and for the control domain itself.
fn controlled(caller: &Caller<'_>, domid: DomId) -> Result<Arc<Domain>> {
    if caller.is_control() {
        return caller.remote(domid);
    }
    caller.target(domid)?;
    Err(EPERM)
}

/// `XENMEM_exchange`: only for guests that see the machine's frame numbers.
fn exchange(caller: &Caller<'_>, arg: u64) -> Result<Progress> {
    Handle::<abi::MemoryExchange>::new(arg).read_as::<abi::compat::MemoryExchange>(caller)?;
    Err(EOPNOTSUPP)
}

/// `XENMEM_get_vnumainfo`: the tools do not give domains nodes. The layout is the same for 32-bit callers.
fn vnuma_info(caller: &Caller<'_>, arg: u64) -> Result<Progress> {
    let ask: abi::VnumaTopologyInfo = Handle::new(arg).read(caller)?;
    if ask.pad != 0 {
        return Err(EINVAL);
    }
    caller.target(ask.domid)?;
    Err(EOPNOTSUPP)
}

/// `XENMEM_claim_pages`: the host's memory is not set aside; whoever needs it gets it when it is populated.
fn claim_pages(caller: &Caller<'_>, arg: u64) -> Result<Progress> {
    let ask: abi::MemoryReservation = Handle::new(arg).read(caller)?;
    if ask.extent_start != 0 || ask.extent_order != 0 {
        return Err(EINVAL);
    }
    let domain = controlled(caller, ask.domid)?;
    let wanted = ask.nr_extents.saturating_sub(domain.p2m.ram_pages());
    if ask.nr_extents != 0 && wanted > crate::sys::page::free_pages() {
        return Err(crate::abi::errno::ENOMEM);
    }
    Ok(Progress::Done(0))
}

/// `XENMEM_{set,get}_pod_target`: nothing is populated on demand, so the target is what there is.
fn pod_target(caller: &Caller<'_>, arg: u64) -> Result<Progress> {
    let handle = Handle::<abi::PodTarget>::new(arg);
    let mut ask = handle.read_as::<abi::compat::PodTarget>(caller)?;
    let domain = controlled(caller, ask.domid)?;
    ask.tot_pages = domain.p2m.ram_pages();
    ask.pod_cache_pages = 0;
    ask.pod_entries = 0;
    // The control domain's programs have the 64-bit layout.
    handle.write(caller, &ask)?;
    Ok(Progress::Done(0))
}
