// SPDX-License-Identifier: GPL-2.0-only

//! `/dev/xen/gntalloc`: pages of the control domain's that processes grant to domains.
//!
//! An ioctl makes pages and an entry in the control domain's grant table for each; mapping the file at their offset
//! shows them. A page lives until it was given back, its mappings have gone, and the domain that it was granted to uses
//! it no longer.

use core::pin::Pin;

use kernel::new_mutex;
use kernel::prelude::*;
use kernel::sync::{
    Arc,
    Mutex, //
};

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
    ENOSPC,
    ENOTTY, //
};
use crate::abi::gntdev as abi;
use crate::domain::hypervisor::HYPERVISOR;
use crate::gnttab::Access;
use crate::sys::alloc::KVec;
use crate::sys::atomic::{
    AtomicU32,
    Ordering, //
};
use crate::sys::chardev::{
    Device,
    Held,
    NewMapping,
    OpenFile,
    Progress, //
};
use crate::sys::page::{
    PageRef,
    PAGE_SHIFT,
    PAGE_SIZE, //
};

/// Pages that there may be, of all processes together, as in Linux.
const MAX_PAGES: u32 = 1024;

/// Where the references of [`abi::AllocGref`] begin.
const REFS: u64 = 16;

/// Pages that there are.
static PAGES: AtomicU32 = AtomicU32::new(0);

/// An open file.
#[pin_data]
pub(crate) struct Gntalloc {
    #[pin]
    pages: Mutex<Offsets<Arc<Granted>>>,
}

/// A page that is granted.
#[pin_data(PinnedDrop)]
struct Granted {
    gref: u32,
    page: PageRef,
    #[pin]
    notify: Mutex<Notify>,
}

/// Some pages.
type Pages = KVec<Arc<Granted>>;

/// The pages that a mapping shows.
#[pin_data]
struct Shown {
    pages: Pages,
}

impl Device for Gntalloc {
    const NAME: &'static CStr = c"xen/gntalloc";
    const MAPPABLE: bool = true;
    const MAP_BY_OFFSET: bool = true;

    fn open() -> Result<Arc<Self>> {
        Ok(Arc::pin_init::<Error>(
            try_pin_init!(Self {
                pages <- new_mutex!(Offsets::new(0), "oxen::Gntalloc::pages"),
            }? Error),
            GFP_KERNEL,
        )?)
    }

    fn ioctl(
        this: &Arc<Self>,
        _file: &OpenFile,
        cmd: u32,
        arg: usize,
        _progress: &mut Progress,
    ) -> Result<i64> {
        match cmd {
            abi::GNTALLOC_ALLOC_GREF => this.grant(arg),
            abi::GNTALLOC_DEALLOC_GREF => this.give_back(arg),
            abi::GNTALLOC_SET_UNMAP_NOTIFY => this.set_notify(arg),
            _ => Err(ENOTTY),
        }
    }

    fn map(this: &Arc<Self>, mapping: &mut NewMapping<'_>) -> Result {
        if !mapping.is_shared() {
            return Err(EINVAL);
        }
        let count = usize::try_from(mapping.pages()).map_err(|_| EINVAL)?;
        let mut pages: Pages = KVec::with_capacity(count.min(MAX_PAGES as usize), GFP_KERNEL)?;
        {
            let all = this.pages.lock();
            let those = all.find(mapping.page_offset(), mapping.pages());
            for entry in those.ok_or(ENOENT)? {
                pages.push(entry.what.clone(), GFP_KERNEL)?;
            }
        }
        let held = Held::new(try_pin_init!(Shown { pages }? Error))?;
        for (index, granted) in (0u64..).zip(held.pages.iter()) {
            mapping.insert(index, &granted.page)?;
        }
        mapping.hold(held);
        Ok(())
    }
}

impl Gntalloc {
    /// `IOCTL_GNTALLOC_ALLOC_GREF`: makes pages and grants them.
    fn grant(&self, arg: usize) -> Result<i64> {
        let mut ask: abi::AllocGref = read(arg)?;
        let list = (arg as u64).checked_add(REFS).ok_or(EFAULT)?;
        let access = if ask.flags & abi::GNTALLOC_FLAG_WRITABLE != 0 {
            Access::Write
        } else {
            Access::Read
        };
        if ask.count == 0 {
            return Err(EINVAL);
        }
        if ask.count > MAX_PAGES {
            return Err(ENOSPC);
        }
        // CAST: At most `MAX_PAGES`.
        let mut new: Pages = KVec::with_capacity(ask.count as usize, GFP_KERNEL)?;
        for _ in 0..ask.count {
            new.push(Granted::new(ask.domid, access)?, GFP_KERNEL)?;
        }
        for (index, granted) in (0u64..).zip(new.iter()) {
            write(element::<u32>(list, index)?, &granted.gref)?;
        }
        let offset = self.pages.lock().give(1, new.iter().cloned())?;
        ask.index = offset << PAGE_SHIFT;
        write(arg, &ask).inspect_err(|_| {
            let _ = self.take(offset, ask.count);
        })?;
        Ok(0)
    }

    /// Takes pages off the list, to be dropped without its lock.
    fn take(&self, offset: u64, count: u32) -> Result<Pages> {
        self.pages.lock().take(offset, count.into())
    }

    /// `IOCTL_GNTALLOC_DEALLOC_GREF`.
    fn give_back(&self, arg: usize) -> Result<i64> {
        let ask: abi::DeallocGref = read(arg)?;
        drop(self.take(ask.index >> PAGE_SHIFT, ask.count)?);
        Ok(0)
    }

    /// `IOCTL_GNTALLOC_SET_UNMAP_NOTIFY`.
    fn set_notify(&self, arg: usize) -> Result<i64> {
        let hypervisor = HYPERVISOR.get().ok_or(ENODEV)?;
        let ask: abi::UnmapNotify = read(arg)?;
        let granted = {
            let pages = self.pages.lock();
            let found = pages.find_one(ask.index >> PAGE_SHIFT, 1);
            found.ok_or(ENOENT)?.clone()
        };
        let byte = ask.index & (PAGE_SIZE as u64 - 1);
        *granted.notify.lock() = Notify::new(hypervisor, &ask, byte)?;
        Ok(0)
    }
}

impl Granted {
    /// Makes a page and grants it to a domain.
    fn new(domid: u16, access: Access) -> Result<Arc<Self>> {
        let hypervisor = HYPERVISOR.get().ok_or(ENODEV)?;
        let counted = PAGES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |pages| {
            (pages < MAX_PAGES).then_some(pages + 1)
        });
        counted.map_err(|_| ENOSPC)?;
        let make = || -> Result<Arc<Self>> {
            let page = PageRef::zeroed()?;
            let gref = hypervisor.grant_host_page(domid, &page, access)?;
            let kept = page.clone();
            let granted = Arc::pin_init(
                try_pin_init!(Self {
                    gref,
                    page: kept,
                    notify <- new_mutex!(Notify::NOTHING, "oxen::Gntalloc::notify"),
                }? Error),
                GFP_KERNEL,
            );
            granted.map_err(|error| {
                hypervisor.end_host_grant(gref, page);
                error.into()
            })
        };
        make().inspect_err(|_| {
            PAGES.fetch_sub(1, Ordering::Relaxed);
        })
    }
}

#[pinned_drop]
impl PinnedDrop for Granted {
    fn drop(self: Pin<&mut Self>) {
        PAGES.fetch_sub(1, Ordering::Relaxed);
        let Some(hypervisor) = HYPERVISOR.get() else {
            return;
        };
        let notify = *self.notify.lock();
        notify.clear_byte(|_| Some(&self.page));
        hypervisor.end_host_grant(self.gref, self.page.clone());
        notify.send(hypervisor);
    }
}
