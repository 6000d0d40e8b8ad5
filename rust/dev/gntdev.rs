// SPDX-License-Identifier: GPL-2.0-only

//! `/dev/xen/gntdev`: pages that domains grant to the control domain, mapped by processes.
//!
//! An ioctl names grants and gives them an offset; mapping the file at that offset uses them. They are in use until the
//! offset is given back and the last mapping has gone, whichever comes last, also if the process dies: then the granter
//! has its page back, and what was asked for at that time is done (a byte cleared, an event sent).

use kernel::new_mutex;
use kernel::prelude::*;
use kernel::sync::{
    Arc,
    Mutex, //
};
use kernel::uaccess::{
    UserPtr,
    UserSlice, //
};

use core::pin::Pin;

use super::ioctl::{
    element,
    read,
    write, //
};
use super::notify::Notify;
use super::offsets::Offsets;
use crate::abi::errno::{
    Result,
    EFAULT,
    EINVAL,
    ENODEV,
    ENOENT,
    ENOTTY, //
};
use crate::abi::gntdev as abi;
use crate::abi::grant_table::{
    GNTCOPY_DEST_GREF,
    GNTCOPY_SOURCE_GREF, //
};
use crate::domain::hypervisor::{
    Hypervisor,
    HYPERVISOR, //
};
use crate::domain::{
    Domain,
    DOM0, //
};
use crate::gnttab::{
    Access,
    GntResult,
    Gntst,
    Pin as Claim,
    Use, //
};
use crate::sys::alloc::{
    KVVec,
    GFP_ATOMIC,
    GFP_KERNEL_ACCOUNT, //
};
use crate::sys::chardev::{
    Device,
    Held,
    NewMapping,
    OpenFile,
    Progress, //
};
use crate::sys::irq;
use crate::sys::page::{
    PageRef,
    PAGE_SHIFT,
    PAGE_SIZE, //
};

/// Grants that one call names at most, as in Linux.
const MAX_GRANTS: u32 = 64 * 1024;

/// Grants that are claimed with the granter's table locked.
const BATCH: usize = 64;

/// Bytes of a copy that are on the way at once.
const CHUNK: usize = 512;

/// Where the references of [`abi::MapGrantRef`] begin.
const REFS: u64 = 16;

/// An open file.
#[pin_data]
pub(crate) struct Gntdev {
    #[pin]
    maps: Mutex<Offsets<Arc<Held<Map>>>>,
}

/// Grants that were named together.
#[pin_data(PinnedDrop)]
struct Map {
    /// Where they are mapped.
    offset: u64,
    refs: KVVec<abi::GrantRef>,
    /// What is in use, once there was a mapping. Taken with the process's mappings locked: nothing is copied from or to
    /// a process with this or the list's lock held.
    #[pin]
    used: Mutex<Option<Used>>,
    #[pin]
    notify: Mutex<Notify>,
}

/// Grants in use.
struct Used {
    pins: KVVec<Claim>,
    pages: KVVec<PageRef>,
    writable: bool,
}

impl Device for Gntdev {
    const NAME: &'static CStr = c"xen/gntdev";
    const MAPPABLE: bool = true;
    const MAP_BY_OFFSET: bool = true;

    fn open() -> Result<Arc<Self>> {
        // Offset 0 is what programs that have none use.
        let maps = Offsets::new(1);
        Ok(Arc::pin_init::<Error>(
            try_pin_init!(Self {
                maps <- new_mutex!(maps, "oxen::Gntdev::maps"),
            }? Error),
            GFP_KERNEL,
        )?)
    }

    fn ioctl(
        this: &Arc<Self>,
        file: &OpenFile,
        cmd: u32,
        arg: usize,
        _progress: &mut Progress,
    ) -> Result<i64> {
        let hypervisor = HYPERVISOR.get().ok_or(ENODEV)?;
        match cmd {
            abi::MAP_GRANT_REF => this.name(arg),
            abi::UNMAP_GRANT_REF => this.forget(arg),
            abi::GET_OFFSET_FOR_VADDR => this.offset_of(file, arg),
            abi::SET_UNMAP_NOTIFY => this.set_notify(hypervisor, arg),
            abi::GRANT_COPY => copy(hypervisor, arg),
            _ => Err(ENOTTY),
        }
    }

    fn map(this: &Arc<Self>, mapping: &mut NewMapping<'_>) -> Result {
        let hypervisor = HYPERVISOR.get().ok_or(ENODEV)?;
        let writable = mapping.is_writable();
        if writable && !mapping.is_shared() {
            return Err(EINVAL);
        }
        let map = this
            .find(mapping.page_offset(), mapping.pages())
            .ok_or(EINVAL)?;
        if !writable {
            mapping.forbid_writing();
        }
        {
            let mut used = map.used.lock();
            if used.is_some() {
                return Err(EINVAL);
            }
            let new = used.insert(use_grants(hypervisor, &map.refs, writable)?);
            // If one cannot be put in, those before it are there a little longer than this call; the grants stay in use
            // until the offset is given back.
            for (index, page) in (0u64..).zip(new.pages.iter()) {
                mapping.insert(index, page)?;
            }
        }
        mapping.hold(map);
        Ok(())
    }
}

impl Gntdev {
    /// Finds what was given this page offset, all of it.
    fn find(&self, offset: u64, count: u64) -> Option<Arc<Held<Map>>> {
        self.maps.lock().find_one(offset, count).cloned()
    }

    /// `IOCTL_GNTDEV_MAP_GRANT_REF`: gives grants an offset.
    fn name(&self, arg: usize) -> Result<i64> {
        let mut ask: abi::MapGrantRef = read(arg)?;
        if ask.count == 0 || ask.count > MAX_GRANTS {
            return Err(EINVAL);
        }
        let list = (arg as u64).checked_add(REFS).ok_or(EFAULT)?;
        // CAST: At most `MAX_GRANTS`.
        let mut refs = KVVec::with_capacity(ask.count as usize, GFP_KERNEL_ACCOUNT)?;
        for index in 0..u64::from(ask.count) {
            let one: abi::GrantRef = read(element::<abi::GrantRef>(list, index)?)?;
            refs.push(one, GFP_KERNEL_ACCOUNT)?;
        }
        let offset = {
            let mut maps = self.maps.lock();
            let offset = maps.next();
            let map = Held::new(try_pin_init!(Map {
                offset,
                refs,
                used <- new_mutex!(None, "oxen::Gntdev::used"),
                notify <- new_mutex!(Notify::NOTHING, "oxen::Gntdev::notify"),
            }? Error))?;
            maps.give(ask.count.into(), core::iter::once(map))?
        };
        ask.index = offset << PAGE_SHIFT;
        write(arg, &ask).inspect_err(|_| {
            let _ = self.take(offset, ask.count);
        })?;
        Ok(0)
    }

    /// Takes what was given this page offset off the list, to be dropped without its lock.
    fn take(&self, offset: u64, count: u32) -> Option<Arc<Held<Map>>> {
        self.maps.lock().take_one(offset, count.into())
    }

    /// `IOCTL_GNTDEV_UNMAP_GRANT_REF`: takes an offset back. Mappings that there are stay.
    fn forget(&self, arg: usize) -> Result<i64> {
        let ask: abi::UnmapGrantRef = read(arg)?;
        let taken = self.take(ask.index >> PAGE_SHIFT, ask.count);
        // Ends the use of the grants if nothing else holds them.
        drop(taken.ok_or(ENOENT)?);
        Ok(0)
    }

    /// `IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR`.
    fn offset_of(&self, file: &OpenFile, arg: usize) -> Result<i64> {
        let mut ask: abi::GetOffsetForVaddr = read(arg)?;
        // SAFETY: `map` has mappings of this device hold maps.
        let map = unsafe { file.held::<Map>(ask.vaddr) }.ok_or(EINVAL)?;
        ask.offset = map.offset << PAGE_SHIFT;
        // CAST: At most `MAX_GRANTS`.
        ask.count = map.refs.len() as u32;
        write(arg, &ask)?;
        Ok(0)
    }

    /// `IOCTL_GNTDEV_SET_UNMAP_NOTIFY`.
    fn set_notify(&self, hypervisor: &Hypervisor, arg: usize) -> Result<i64> {
        let ask: abi::UnmapNotify = read(arg)?;
        let map = {
            let maps = self.maps.lock();
            let found = maps.find_page(ask.index >> PAGE_SHIFT);
            found.ok_or(ENOENT)?.clone()
        };
        let notify = Notify::new(hypervisor, &ask, ask.index - (map.offset << PAGE_SHIFT))?;
        // A page that is mapped to be read only is not written by us either.
        let read_only = matches!(&*map.used.lock(), Some(used) if !used.writable);
        if read_only && notify.clears() {
            return Err(EINVAL);
        }
        *map.notify.lock() = notify;
        Ok(0)
    }
}

#[pinned_drop]
impl PinnedDrop for Map {
    fn drop(self: Pin<&mut Self>) {
        let Some(hypervisor) = HYPERVISOR.get() else {
            return;
        };
        let used = self.used.lock().take();
        if let Some(used) = used {
            let notify = *self.notify.lock();
            notify.clear_byte(|page| {
                // CAST: At most `MAX_GRANTS`.
                used.pages.get(page as usize).filter(|_| used.writable)
            });
            used.end(hypervisor);
            notify.send(hypervisor);
        }
    }
}

impl Used {
    /// Ends the use of the grants.
    fn end(self, hypervisor: &Hypervisor) {
        drop(self.pages);
        for pin in self.pins {
            hypervisor.unpin(pin);
        }
    }
}

/// Uses grants: all or none.
///
/// # Errors
///
/// `EINVAL` if one of them cannot be used so, `ENOMEM`.
fn use_grants(hypervisor: &Hypervisor, refs: &[abi::GrantRef], writable: bool) -> Result<Used> {
    let mut used = Used {
        pins: KVVec::with_capacity(refs.len(), GFP_KERNEL_ACCOUNT)?,
        pages: KVVec::with_capacity(refs.len(), GFP_KERNEL_ACCOUNT)?,
        writable,
    };
    let mut rest = refs;
    while let Some(first) = rest.first() {
        // A run of grants of one domain.
        let run = rest
            .iter()
            .take(BATCH)
            .take_while(|one| one.domid == first.domid)
            .count();
        let (batch, tail) = rest.split_at(run.min(rest.len()));
        let result = use_run(hypervisor, first.domid, batch, &mut used);
        if let Err(errno) = result {
            used.end(hypervisor);
            return Err(errno);
        }
        rest = tail;
        irq::cond_resched();
    }
    Ok(used)
}

/// Uses grants of one domain.
fn use_run(hypervisor: &Hypervisor, domid: u32, refs: &[abi::GrantRef], used: &mut Used) -> Result {
    let domid = u16::try_from(domid).map_err(|_| EINVAL)?;
    let granter = hypervisor.domain(domid).map_err(|_| EINVAL)?;
    let access = if used.writable {
        Access::Write
    } else {
        Access::Read
    };
    let begin = used.pins.len();
    {
        let mut table = granter.grants.lock();
        for one in refs {
            let pin = table
                .pin(one.ref_, DOM0, access, Use::Map)
                .map_err(|_| EINVAL)?;
            // Within the capacity that was made for all.
            let _ = used.pins.push(pin, GFP_ATOMIC);
        }
    }
    for pin in used.pins.iter().skip(begin) {
        let page = granter
            .p2m
            .get_own(pin.gfn(), used.writable)
            .map_err(|_| EINVAL)?;
        let _ = used.pages.push(page, GFP_ATOMIC);
    }
    Ok(())
}

/// `IOCTL_GNTDEV_GRANT_COPY`: copies between granted pages and the process's memory.
///
/// # Errors
///
/// `EINVAL` for a segment with two local ends, or a granted end that leaves its page; `EFAULT`. What is wrong with a
/// grant is told by the segment's status.
fn copy(hypervisor: &Hypervisor, arg: usize) -> Result<i64> {
    let ask: abi::GrantCopy = read(arg)?;
    for index in 0..u64::from(ask.count) {
        let at = element::<abi::GrantCopySegment>(ask.segments, index)?;
        let mut segment: abi::GrantCopySegment = read(at)?;
        let from = End::new(segment.source, segment.flags & GNTCOPY_SOURCE_GREF != 0);
        let to = End::new(segment.dest, segment.flags & GNTCOPY_DEST_GREF != 0);
        if let (End::Local(_), End::Local(_)) = (&from, &to) {
            return Err(EINVAL);
        }
        if !from.fits(segment.len) || !to.fits(segment.len) {
            return Err(EINVAL);
        }
        let outcome = claim(hypervisor, &from, Access::Read)
            .and_then(|from| Ok((from, claim(hypervisor, &to, Access::Write)?)));
        segment.status = Gntst::field(&outcome);
        if let Ok((from_page, to_page)) = outcome {
            transfer(
                &from,
                from_page.as_ref(),
                &to,
                to_page.as_ref(),
                segment.len,
            )?;
        }
        write(at, &segment)?;
        irq::cond_resched();
        if irq::fatal_signal_pending() {
            return Err(crate::abi::errno::EINTR);
        }
    }
    Ok(0)
}

/// One end of a copy.
enum End {
    /// An address of the process.
    Local(u64),
    /// A place in a granted page.
    Foreign(abi::ForeignPtr),
}

impl End {
    fn new(value: u64, foreign: bool) -> Self {
        if !foreign {
            return Self::Local(value);
        }
        // CAST: The parts of the word.
        Self::Foreign(abi::ForeignPtr {
            ref_: value as u32,
            offset: (value >> 32) as u16,
            domid: (value >> 48) as u16,
        })
    }

    /// Whether so many bytes are in its page, if it has one.
    fn fits(&self, len: u16) -> bool {
        match self {
            Self::Local(_) => true,
            Self::Foreign(at) => usize::from(at.offset) + usize::from(len) <= PAGE_SIZE,
        }
    }
}

/// A granted page during a copy.
struct Claimed {
    page: PageRef,
    granter: Arc<Domain>,
    pin: Option<Claim>,
}

impl Drop for Claimed {
    fn drop(&mut self) {
        if let Some(pin) = self.pin.take() {
            self.granter.grants.lock().unpin(pin);
        }
    }
}

/// Claims the page of an end that is a grant.
fn claim(hypervisor: &Hypervisor, end: &End, access: Access) -> GntResult<Option<Claimed>> {
    let End::Foreign(at) = end else {
        return Ok(None);
    };
    let granter = hypervisor.domain(at.domid).map_err(|_| Gntst::BAD_DOMAIN)?;
    let pin = granter
        .grants
        .lock()
        .pin(at.ref_, DOM0, access, Use::Copy)?;
    match granter.p2m.get_own(pin.gfn(), access == Access::Write) {
        Ok(page) => Ok(Some(Claimed {
            page,
            granter,
            pin: Some(pin),
        })),
        Err(_) => {
            granter.grants.lock().unpin(pin);
            Err(Gntst::BAD_PAGE)
        }
    }
}

fn transfer(
    from: &End,
    from_page: Option<&Claimed>,
    to: &End,
    to_page: Option<&Claimed>,
    len: u16,
) -> Result {
    let mut buffer = [0; CHUNK];
    let mut done = 0;
    let len = usize::from(len);
    while done < len {
        let part = (len - done).min(CHUNK);
        let Some(bytes) = buffer.get_mut(..part) else {
            return Err(EINVAL);
        };
        match (from, from_page) {
            (End::Foreign(at), Some(claimed)) => {
                claimed.page.read(usize::from(at.offset) + done, bytes);
            }
            (End::Local(address), _) => {
                user(*address, done, part)?
                    .reader()
                    .read_slice(bytes)
                    .map_err(|_| EFAULT)?;
            }
            _ => return Err(EINVAL),
        }
        match (to, to_page) {
            (End::Foreign(at), Some(claimed)) => {
                claimed.page.write(usize::from(at.offset) + done, bytes);
            }
            (End::Local(address), _) => {
                user(*address, done, part)?
                    .writer()
                    .write_slice(bytes)
                    .map_err(|_| EFAULT)?;
            }
            _ => return Err(EINVAL),
        }
        done += part;
    }
    Ok(())
}

/// A part of the process's memory.
fn user(address: u64, offset: usize, len: usize) -> Result<UserSlice> {
    let at = usize::try_from(address)
        .ok()
        .and_then(|at| at.checked_add(offset))
        .ok_or(EFAULT)?;
    Ok(UserSlice::new(UserPtr::from_addr(at), len))
}
