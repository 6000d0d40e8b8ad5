// SPDX-License-Identifier: GPL-2.0-only

//! One domain's grant table.

use core::ops::Range;

use super::{
    active::Active,
    entry::{
        Entry,
        ENTRIES_PER_FRAME, //
    },
    growth::{
        FrameGrowth,
        MaptrackGrowth, //
    },
    maptrack::{
        Mapping,
        Maptrack,
        NoHandle,
        Release,
        Reserved,
        Search,
        Unmap,
        MAX_MAPTRACK_FRAMES, //
    },
    pin::{
        Access,
        Pin,
        Use, //
    },
    status::{
        GntResult,
        Gntst, //
    },
};
use crate::{
    abi::{
        domctl::domain::GRANT_VERSION_MASK,
        errno::{
            self,
            Result, //
        },
        memory::RESOURCE_GRANT_TABLE_ID_SHARED, //
    },
    sys::{
        alloc::{
            KVVec,
            KVec,
            GFP_ATOMIC,
            GFP_KERNEL_ACCOUNT, //
        },
        page::SharedPage, //
    },
};

/// The guest frame number that stands for "none".
pub(crate) const INVALID_GFN: u64 = u64::MAX;

/// Frames that a new table has.
const INITIAL_NR_GRANT_FRAMES: u32 = 1;

/// Frames a domain may have if its creator does not say (Xen's `gnttab_max_frames`).
const DEFAULT_GRANT_FRAMES: u32 = 64;

/// Frames of handles a domain may have if its creator does not say (Xen's `gnttab_max_maptrack_frames`).
const DEFAULT_MAPTRACK_FRAMES: u32 = 1024;

/// Most frames a domain can be given: 32 million entries.
const MAX_GRANT_FRAMES: u32 = 1 << 16;

/// The version that every table has.
const VERSION: u32 = 1;

/// Bytes in a page, to make a machine address of a frame number.
const PAGE_BYTES: u64 = 4096;

/// How far a table may grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Limits {
    /// Shared frames, at least 1.
    pub(crate) max_grant_frames: u32,
    /// Frames of 256 handles; 0 if the domain may map nothing.
    pub(crate) max_maptrack_frames: u32,
}

impl Limits {
    /// The limits of a domain whose creator asks for none.
    pub(crate) const DEFAULT: Self = Self {
        max_grant_frames: DEFAULT_GRANT_FRAMES,
        max_maptrack_frames: DEFAULT_MAPTRACK_FRAMES,
    };

    /// Takes the limits from `XEN_DOMCTL_createdomain`; a negative number asks for the default.
    ///
    /// # Errors
    ///
    /// - `EINVAL` for a table with no frame, unknown options, no version, or a version above 1.
    /// - `ENOMEM` for more frames than any table can have.
    pub(crate) fn from_createdomain(
        max_grant_frames: i32,
        max_maptrack_frames: i32,
        grant_opts: u32,
    ) -> Result<Self> {
        if grant_opts & !GRANT_VERSION_MASK != 0 || grant_opts != VERSION {
            return Err(errno::EINVAL);
        }

        let limits = Self {
            max_grant_frames: u32::try_from(max_grant_frames).unwrap_or(DEFAULT_GRANT_FRAMES),
            max_maptrack_frames: u32::try_from(max_maptrack_frames)
                .unwrap_or(DEFAULT_MAPTRACK_FRAMES),
        };
        if limits.max_grant_frames < INITIAL_NR_GRANT_FRAMES {
            return Err(errno::EINVAL);
        }
        if limits.max_grant_frames > MAX_GRANT_FRAMES
            || limits.max_maptrack_frames > MAX_MAPTRACK_FRAMES
        {
            return Err(errno::ENOMEM);
        }

        Ok(limits)
    }
}

/// The answer to `GNTTABOP_query_size`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TableSize {
    /// Frames that exist.
    pub(crate) nr_frames: u32,
    /// Frames that may exist.
    pub(crate) max_nr_frames: u32,
}

/// A shared frame that is to be entered in its owner's guest memory.
pub(crate) struct Placed {
    /// The page to enter.
    pub(crate) page: SharedPage,
    /// Where it was entered before, and has to be removed if it is still there.
    pub(crate) previous: Option<u64>,
}

/// One shared frame, and our own record of each of its entries.
pub(super) struct Frame {
    page: SharedPage,
    active: KVec<Active>,
    /// Where its owner asked for it last.
    gfn: Option<u64>,
}

impl Frame {
    pub(super) fn new(page: SharedPage, active: KVec<Active>) -> Self {
        Self {
            page,
            active,
            gfn: None,
        }
    }

    fn parts(&mut self, slot: usize) -> Option<(Entry<'_>, &mut Active)> {
        Some((Entry::at(&self.page, slot)?, self.active.get_mut(slot)?))
    }
}

/// One domain's grant table, version 1.
pub(crate) struct Table {
    domid: u16,
    /// Tells this table from an earlier one of a domain with the same number.
    serial: u64,
    limits: Limits,
    /// Has room for `limits.max_grant_frames` from the start, so that growing it never allocates.
    frames: KVVec<Frame>,
    pub(super) maptrack: Maptrack,
    /// Entries in use.
    pinned: u32,
    /// Where the search for an entry to offer goes on.
    pub(super) hint: u32,
    dying: bool,
}

impl Table {
    /// Makes a table with one zeroed frame for domain `domid`. May sleep.
    ///
    /// `serial` must differ from that of every other table there ever was.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(domid: u16, serial: u64, limits: Limits) -> Result<Self> {
        // CAST: widens.
        let frames = KVVec::with_capacity(limits.max_grant_frames as usize, GFP_KERNEL_ACCOUNT)?;
        let mut table = Self {
            domid,
            serial,
            limits,
            frames,
            maptrack: Maptrack::new(limits.max_maptrack_frames),
            pinned: 0,
            hint: 0,
            dying: false,
        };

        let mut growth = FrameGrowth::new(INITIAL_NR_GRANT_FRAMES)?;
        table.grow(INITIAL_NR_GRANT_FRAMES, &mut growth)?;
        Ok(table)
    }

    /// Returns the number of the domain.
    #[cfg(test)]
    pub(crate) const fn domid(&self) -> u16 {
        self.domid
    }

    /// Returns how many entries are in use.
    pub(crate) const fn pinned(&self) -> u32 {
        self.pinned
    }

    /// Returns how many handles are taken by mappings and by operations under way.
    pub(crate) const fn handles_in_use(&self) -> u32 {
        self.maptrack.busy()
    }

    // Frames.

    /// Returns the answer to `GNTTABOP_query_size`.
    pub(crate) fn size(&self) -> TableSize {
        TableSize {
            nr_frames: self.nr_frames(),
            max_nr_frames: self.limits.max_grant_frames,
        }
    }

    fn nr_frames(&self) -> u32 {
        // At most max_grant_frames.
        u32::try_from(self.frames.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn nr_entries(&self) -> u32 {
        // CAST: 512.
        self.nr_frames().saturating_mul(ENTRIES_PER_FRAME as u32)
    }

    /// Returns how many frames have to be added for the table to have `total`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the domain may not have as many.
    pub(crate) fn frames_needed(&self, total: u32) -> Result<u32> {
        if total > self.limits.max_grant_frames {
            return Err(errno::EINVAL);
        }

        Ok(total.saturating_sub(self.nr_frames()))
    }

    /// Grows the table to `total` frames, as far as it does not have them already.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the domain may not have as many.
    /// - `EAGAIN` if `growth` holds too few; then nothing was changed.
    pub(crate) fn grow(&mut self, total: u32, growth: &mut FrameGrowth) -> Result {
        // CAST: widens.
        let needed = self.frames_needed(total)? as usize;
        if growth.frames.len() < needed {
            return Err(errno::EAGAIN);
        }

        for _ in 0..needed {
            let frame = growth.frames.pop().ok_or(errno::EAGAIN)?;
            // Never allocates: `frames` was made with room for all that `limits` allows.
            self.frames.push(frame, GFP_ATOMIC)?;
        }
        Ok(())
    }

    fn frame(&self, index: u32) -> Result<&Frame> {
        // CAST: widens.
        self.frames.get(index as usize).ok_or(errno::EINVAL)
    }

    /// Returns a shared frame, with a reference of its own.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the table has no such frame.
    pub(crate) fn shared_frame(&self, index: u32) -> Result<SharedPage> {
        Ok(self.frame(index)?.page.clone())
    }

    /// Records that a shared frame is about to be entered at guest frame `gfn` of its owner
    /// (`XENMAPSPACE_grant_table`), and returns where it was before (XSA-379).
    ///
    /// Calls for one domain are serialised by whatever serialises changes of its physical memory map; the
    /// page is counted, so being entered twice would do no harm beyond the surprise.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the table has no such frame; that includes every index with
    /// `XENMAPIDX_grant_table_status`.
    pub(crate) fn place_frame(&mut self, index: u32, gfn: u64) -> Result<Placed> {
        // CAST: widens.
        let frame = self.frames.get_mut(index as usize).ok_or(errno::EINVAL)?;
        let previous = frame.gfn.replace(gfn).filter(|&before| before != gfn);

        Ok(Placed {
            page: frame.page.clone(),
            previous,
        })
    }

    /// Forgets that a shared frame is entered at `gfn`, because that failed or was undone.
    pub(crate) fn unplace_frame(&mut self, index: u32, gfn: u64) {
        // CAST: widens.
        if let Some(frame) = self.frames.get_mut(index as usize) {
            if frame.gfn == Some(gfn) {
                frame.gfn = None;
            }
        }
    }

    /// Returns where a shared frame was entered last, with the page; `GNTTABOP_setup_table` reports it if the
    /// page is still there, [`INVALID_GFN`] otherwise.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the table has no such frame.
    pub(crate) fn frame_gfn(&self, index: u32) -> Result<(u64, SharedPage)> {
        let frame = self.frame(index)?;

        Ok((frame.gfn.unwrap_or(INVALID_GFN), frame.page.clone()))
    }

    /// Returns how many frames `XENMEM_acquire_resource` can name for resource `id`; 0 for an `id` that does
    /// not exist, which the caller refuses with `EINVAL`. Status frames do not exist in version 1.
    pub(crate) const fn resource_max(&self, id: u32) -> u32 {
        match id {
            RESOURCE_GRANT_TABLE_ID_SHARED => self.limits.max_grant_frames,
            _ => 0,
        }
    }

    /// Checks a request of `XENMEM_acquire_resource` and returns the frames it names. The end is how many
    /// frames the table has to have: grow it once to that, then take each with
    /// [`shared_frame`](Self::shared_frame).
    ///
    /// # Errors
    ///
    /// `EINVAL` for no frames, for status frames, for an unknown `id` and for frames past the limit.
    pub(crate) fn resource_range(&self, id: u32, frame: u64, count: u32) -> Result<Range<u32>> {
        if count == 0 || id != RESOURCE_GRANT_TABLE_ID_SHARED {
            return Err(errno::EINVAL);
        }
        let first = u32::try_from(frame).or(Err(errno::EINVAL))?;
        let end = first.checked_add(count).ok_or(errno::EINVAL)?;
        if end > self.limits.max_grant_frames {
            return Err(errno::EINVAL);
        }

        Ok(first..end)
    }

    // Version.

    /// Returns the version of the table (`GNTTABOP_get_version`).
    pub(crate) const fn version(&self) -> u32 {
        VERSION
    }

    /// Decides `GNTTABOP_set_version`. Whatever the outcome, the caller's structure gets
    /// [`version`](Self::version).
    ///
    /// # Errors
    ///
    /// - `ENOSYS` for version 2, as if the operation did not exist (Xen with `gnttab=max-ver:1`).
    /// - `EINVAL` for a version that never was.
    pub(crate) fn set_version(&self, version: u32) -> Result {
        match version {
            VERSION => Ok(()),
            2 => Err(errno::ENOSYS),
            _ => Err(errno::EINVAL),
        }
    }

    /// Decides `GNTTABOP_get_status_frames` for `count` frames: there are none to report.
    ///
    /// # Errors
    ///
    /// `GNTST_general_error` if any is asked for.
    pub(crate) fn status_frames(&self, count: u32) -> GntResult {
        if count == 0 {
            Ok(())
        } else {
            Err(Gntst::GENERAL_ERROR)
        }
    }

    // Entries.

    pub(super) fn parts(&mut self, gref: u32) -> Option<(Entry<'_>, &mut Active)> {
        // CAST: widens.
        let gref = gref as usize;

        self.frames
            .get_mut(gref / ENTRIES_PER_FRAME)?
            .parts(gref % ENTRIES_PER_FRAME)
    }

    /// Lets domain `who` use entry `gref`, if the entry says so.
    ///
    /// If the entry was not in use, the bits that say so are set in it and its frame number is copied. If it
    /// was, the copied number counts, whatever the entry says now.
    ///
    /// # Errors
    ///
    /// - `GNTST_bad_domain` if this domain is dying.
    /// - `GNTST_bad_gntref` if there is no such entry.
    /// - `GNTST_general_error` if the entry does not permit it (transfer and transitive types included), is
    ///   in use by another domain or too often, or is changed by its owner all the time.
    pub(crate) fn pin(&mut self, gref: u32, who: u16, access: Access, how: Use) -> GntResult<Pin> {
        if self.dying {
            return Err(Gntst::BAD_DOMAIN);
        }
        let (serial, granter) = (self.serial, self.domid);

        let (entry, active) = self.parts(gref).ok_or(Gntst::BAD_GNTREF)?;
        let was_in_use = active.in_use();
        if was_in_use && (active.domid != who || active.is_full(access)) {
            return Err(Gntst::GENERAL_ERROR);
        }
        if active.needs_claim(access) {
            entry.claim(who, access, how)?;
            if !was_in_use {
                active.domid = who;
                active.gfn = entry.frame();
            }
        }
        active.add(access);

        let gfn = active.gfn;
        if !was_in_use {
            self.pinned = self.pinned.saturating_add(1);
        }
        Ok(Pin {
            serial,
            gref,
            gfn,
            granter,
            access,
        })
    }

    /// Ends a use. The bits in the shared entry are cleared with the last use that needed them.
    ///
    /// A pin of another table is ignored: its own table is gone.
    pub(crate) fn unpin(&mut self, pin: Pin) {
        if pin.serial != self.serial {
            return;
        }
        let Some((entry, active)) = self.parts(pin.gref) else {
            return;
        };
        if !active.remove(pin.access) {
            return;
        }

        let idle = !active.in_use();
        entry.release(pin.access == Access::Write && !active.has_writer(), idle);
        if idle {
            *active = Active::default();
            self.pinned = self.pinned.saturating_sub(1);
        }
    }

    fn is_pinned(&self, gref: u32) -> Option<bool> {
        // CAST: widens.
        let gref = gref as usize;
        let active = self
            .frames
            .get(gref / ENTRIES_PER_FRAME)?
            .active
            .get(gref % ENTRIES_PER_FRAME)?;

        Some(active.in_use())
    }

    fn entry(&self, gref: u32) -> Option<Entry<'_>> {
        // CAST: widens.
        let gref = gref as usize;

        Entry::at(
            &self.frames.get(gref / ENTRIES_PER_FRAME)?.page,
            gref % ENTRIES_PER_FRAME,
        )
    }

    /// Exchanges two entries (`GNTTABOP_swap_grant_ref`).
    ///
    /// # Errors
    ///
    /// - `GNTST_bad_gntref` if there is no such entry.
    /// - `GNTST_eagain` if one of them is in use.
    pub(crate) fn swap(&mut self, a: u32, b: u32) -> GntResult {
        let entry_a = self.entry(a).ok_or(Gntst::BAD_GNTREF)?;
        let entry_b = self.entry(b).ok_or(Gntst::BAD_GNTREF)?;

        if a == b {
            return Ok(());
        }
        if self.is_pinned(a) != Some(false) || self.is_pinned(b) != Some(false) {
            return Err(Gntst::EAGAIN);
        }
        entry_a.swap(&entry_b);
        Ok(())
    }

    // Mappings that this domain makes.

    /// Sets a handle aside for a mapping.
    ///
    /// # Errors
    ///
    /// [`NoHandle::Grow`] if memory is needed; [`NoHandle::Refused`] with `GNTST_no_space` at the limit and
    /// with `GNTST_general_error` if the domain is dying.
    pub(crate) fn reserve_handle(&mut self) -> core::result::Result<Reserved, NoHandle> {
        if self.dying {
            return Err(NoHandle::Refused(Gntst::GENERAL_ERROR));
        }

        self.maptrack.reserve()
    }

    /// Adds handles, unless another thread did so meanwhile.
    pub(crate) fn add_handles(&mut self, growth: &mut MaptrackGrowth) {
        self.maptrack.grow(growth);
    }

    /// Makes a mapping known under its handle, which is returned.
    ///
    /// # Errors
    ///
    /// Both values come back if the domain has begun to die: the mapping has to be undone.
    pub(crate) fn commit(
        &mut self,
        handle: Reserved,
        mapping: Mapping,
    ) -> core::result::Result<u32, (Reserved, Mapping)> {
        if self.dying {
            return Err((handle, mapping));
        }

        match self.maptrack.fill(&handle, mapping) {
            Ok(()) => Ok(handle.handle()),
            Err(mapping) => Err((handle, mapping)),
        }
    }

    /// Puts back a mapping that could not be removed.
    ///
    /// Works for a dying domain as well: the mapping is there, and its release will come to it.
    pub(crate) fn restore(&mut self, handle: Reserved, mapping: Mapping) {
        // A handle that was set aside has a slot that is set aside.
        let _ = self.maptrack.fill(&handle, mapping);
    }

    /// Frees a handle that was set aside.
    pub(crate) fn release_handle(&mut self, handle: Reserved) {
        self.maptrack.release(handle);
    }

    /// Takes the mapping out of a handle in order to remove it.
    ///
    /// `host_addr` and `dev_bus_addr` are the operation's; 0 stands for "not this one". With neither, or
    /// with only the second, there is nothing to do, as no mapping is one for devices.
    ///
    /// # Errors
    ///
    /// - `GNTST_bad_handle` if no mapping has this handle, or another operation is removing it.
    /// - `GNTST_general_error` if an address is not that of the mapping.
    pub(crate) fn begin_unmap(
        &mut self,
        handle: u32,
        host_addr: u64,
        dev_bus_addr: u64,
    ) -> GntResult<Unmap> {
        let mapping = self.maptrack.mapping(handle).ok_or(Gntst::BAD_HANDLE)?;

        if dev_bus_addr != 0 && mapping.mfn.checked_mul(PAGE_BYTES) != Some(dev_bus_addr) {
            return Err(Gntst::GENERAL_ERROR);
        }
        if host_addr == 0 {
            return Ok(Unmap::Nothing);
        }
        if host_addr != mapping.host_addr {
            return Err(Gntst::GENERAL_ERROR);
        }

        let (handle, mapping) = self.maptrack.take(handle).ok_or(Gntst::BAD_HANDLE)?;
        Ok(Unmap::Remove(handle, mapping))
    }

    /// Looks for a mapping of machine frame `mfn` among this domain's, from handle `start` on, for
    /// `GNTTABOP_cache_flush`.
    pub(crate) fn maps_frame(&self, mfn: u64, start: u32) -> Search {
        self.maptrack.find(mfn, start)
    }

    // The end.

    /// Refuses new uses of this domain's entries and new mappings by it, from now on.
    pub(crate) fn die(&mut self) {
        self.dying = true;
    }

    /// Takes the next mapping out of a dying domain. Each call does a bounded amount of work (XSA-380).
    pub(crate) fn release_step(&mut self) -> Release {
        self.maptrack.release_step()
    }
}
