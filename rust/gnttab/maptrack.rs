// SPDX-License-Identifier: GPL-2.0-only

//! The mappings that one domain has made, found by handle.
//!
//! A handle is a number that a guest passes back to us and may be anything. Each slot is free, taken by an
//! operation that is under way, or holds a mapping; only the last kind can be unmapped, and the operation
//! that does so takes the mapping out first, so that of two unmaps of one handle the second finds nothing.

use super::{
    growth::MaptrackGrowth,
    pin::Pin,
    Gntst, //
};
use crate::sys::alloc::{
    KVVec,
    GFP_ATOMIC, //
};

/// Handles that one unit of the limit `max_maptrack_frames` stands for, as in Xen.
pub(super) const HANDLES_PER_FRAME: usize = 256;

/// The highest index in a frame of handles.
const LAST_IN_FRAME: u32 = HANDLES_PER_FRAME as u32 - 1;

/// Most frames of handles a domain can be given: 16 million mappings.
pub(super) const MAX_MAPTRACK_FRAMES: u32 = 1 << 16;

/// One mapping of another domain's grant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    /// The use of the granter's entry.
    pub(crate) pin: Pin,
    /// The machine frame that was mapped, and to which the mapping holds a reference.
    pub(crate) mfn: u64,
    /// Where the mapper asked for it: the `host_addr` of the operation.
    pub(crate) host_addr: u64,
}

/// A handle that has been set aside for an operation under way.
///
/// Goes back with [`super::Table::commit`], [`super::Table::restore`] or [`super::Table::release_handle`].
#[must_use = "a handle that is dropped is lost to its domain"]
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reserved(u32);

impl Reserved {
    /// Returns the number of the handle.
    pub(crate) const fn handle(&self) -> u32 {
        self.0
    }
}

/// What a table needs before it can give out another handle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct MaptrackNeed {
    /// Capacity of the list of frames to make; 0 if the table has one.
    pub(super) list: usize,
}

/// Why there is no handle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoHandle {
    /// Grow with [`super::Table::add_handles`] and ask again.
    Grow(MaptrackNeed),
    /// There will be none: report this status.
    Refused(Gntst),
}

/// What an unmap operation has to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unmap {
    /// Nothing: the operation named no mapping to remove, which is a success.
    Nothing,
    /// Remove this mapping.
    Remove(Reserved, Mapping),
}

/// The next thing to do for a dying domain's mappings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Release {
    /// Unpin this mapping at its granter and drop its page reference. Its handle is free already.
    Mapping(Mapping),
    /// Not done yet; a good moment to let others run. Ask again.
    Again,
    /// No mapping is left.
    Done,
}

/// Where a search through the handles has got to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Search {
    /// There is such a mapping.
    Found,
    /// Not among those before this handle; go on there. A multiple of 4096.
    More(u32),
    /// There is none.
    Missing,
}

/// Handles looked at in one step of a long search.
const STEP: u32 = 4096;

/// Ends the list of free handles.
const NIL: u32 = u32::MAX;

/// What a handle stands for.
#[derive(Debug)]
pub(super) enum Slot {
    /// Nothing; holds the next free handle.
    Free(u32),
    /// An operation under way.
    Taken,
    /// A mapping.
    Live(Mapping),
}

impl Slot {
    /// A slot that is not in a list yet.
    pub(super) const UNLINKED: Self = Self::Free(NIL);
}

/// All handles of a domain.
pub(super) struct Maptrack {
    frames: KVVec<KVVec<Slot>>,
    max_frames: usize,
    /// First free handle.
    free: u32,
    /// Handles that are taken or hold a mapping.
    busy: u32,
    /// Where the release of a dying domain's mappings goes on.
    cursor: u32,
}

impl Maptrack {
    /// Makes an empty table of handles that may grow to `max_frames` frames of 256.
    pub(super) const fn new(max_frames: u32) -> Self {
        Self {
            frames: KVVec::new(),
            // CAST: widens.
            max_frames: max_frames as usize,
            free: NIL,
            busy: 0,
            cursor: 0,
        }
    }

    /// Returns how many handles exist.
    pub(super) fn limit(&self) -> u32 {
        // At most MAX_MAPTRACK_FRAMES * HANDLES_PER_FRAME, which fits.
        u32::try_from(self.frames.len().saturating_mul(HANDLES_PER_FRAME)).unwrap_or(NIL)
    }

    /// Returns how many handles are taken or hold a mapping.
    pub(super) const fn busy(&self) -> u32 {
        self.busy
    }

    fn slot(&self, handle: u32) -> Option<&Slot> {
        // CAST: widens.
        let handle = handle as usize;

        self.frames
            .get(handle / HANDLES_PER_FRAME)?
            .get(handle % HANDLES_PER_FRAME)
    }

    fn slot_mut(&mut self, handle: u32) -> Option<&mut Slot> {
        // CAST: widens.
        let handle = handle as usize;

        self.frames
            .get_mut(handle / HANDLES_PER_FRAME)?
            .get_mut(handle % HANDLES_PER_FRAME)
    }

    /// Sets a handle aside.
    pub(super) fn reserve(&mut self) -> Result<Reserved, NoHandle> {
        let handle = self.free;

        if let Some(slot) = self.slot_mut(handle) {
            if let Slot::Free(next) = *slot {
                *slot = Slot::Taken;
                self.free = next;
                self.busy = self.busy.saturating_add(1);
                return Ok(Reserved(handle));
            }
        }
        if self.frames.len() >= self.max_frames {
            return Err(NoHandle::Refused(Gntst::NO_SPACE));
        }

        Err(NoHandle::Grow(MaptrackNeed {
            list: if self.frames.capacity() == 0 {
                self.max_frames
            } else {
                0
            },
        }))
    }

    /// Adds the handles of `growth`, unless there are free ones or the limit is reached.
    pub(super) fn grow(&mut self, growth: &mut MaptrackGrowth) {
        if self.free != NIL || self.frames.len() >= self.max_frames {
            return;
        }
        if self.frames.capacity() == 0 {
            core::mem::swap(&mut self.frames, &mut growth.frames);
        }
        // Never allocates: whoever asked for memory while there was no list brought one that is large enough.
        if self.frames.len() >= self.frames.capacity() || growth.frame.len() != HANDLES_PER_FRAME {
            return;
        }

        let first = self.limit();
        let mut frame = core::mem::replace(&mut growth.frame, KVVec::new());
        let mut next = NIL;

        for (index, slot) in (0..).zip(frame.iter_mut().rev()) {
            // The last slot comes first; the frame has HANDLES_PER_FRAME of them, and handles fit in 24 bits.
            let handle = first.saturating_add(LAST_IN_FRAME).saturating_sub(index);
            *slot = Slot::Free(next);
            next = handle;
        }
        if self.frames.push(frame, GFP_ATOMIC).is_ok() {
            self.free = next;
        }
    }

    /// Puts a mapping into a handle that was set aside.
    pub(super) fn fill(&mut self, handle: &Reserved, mapping: Mapping) -> Result<(), Mapping> {
        match self.slot_mut(handle.0) {
            Some(slot @ Slot::Taken) => {
                *slot = Slot::Live(mapping);
                Ok(())
            }
            _ => Err(mapping),
        }
    }

    /// Frees a handle that was set aside.
    pub(super) fn release(&mut self, handle: Reserved) {
        let next = self.free;

        if let Some(slot @ Slot::Taken) = self.slot_mut(handle.0) {
            *slot = Slot::Free(next);
            self.free = handle.0;
            self.busy = self.busy.saturating_sub(1);
        }
    }

    /// Returns the mapping of a handle.
    pub(super) fn mapping(&self, handle: u32) -> Option<&Mapping> {
        match self.slot(handle)? {
            Slot::Live(mapping) => Some(mapping),
            _ => None,
        }
    }

    /// Takes the mapping out of a handle, which stays set aside.
    pub(super) fn take(&mut self, handle: u32) -> Option<(Reserved, Mapping)> {
        let slot = self.slot_mut(handle)?;

        match core::mem::replace(slot, Slot::Taken) {
            Slot::Live(mapping) => Some((Reserved(handle), mapping)),
            other => {
                *slot = other;
                None
            }
        }
    }

    /// Takes the next mapping out, looking at a bounded number of handles.
    pub(super) fn release_step(&mut self) -> Release {
        if self.busy == 0 {
            return Release::Done;
        }

        for _ in 0..STEP {
            let handle = self.cursor;
            if handle >= self.limit() {
                // What is still busy is held by an operation that will end.
                self.cursor = 0;
                return Release::Again;
            }
            self.cursor = handle.saturating_add(1);
            if let Some((handle, mapping)) = self.take(handle) {
                self.release(handle);
                return Release::Mapping(mapping);
            }
        }

        Release::Again
    }

    /// Looks for a mapping of a machine frame, from handle `start`, in bounded steps.
    pub(super) fn find(&self, mfn: u64, start: u32) -> Search {
        let end = start.saturating_add(STEP).min(self.limit());

        for handle in start..end {
            if self.mapping(handle).is_some_and(|found| found.mfn == mfn) {
                return Search::Found;
            }
        }

        if end < self.limit() {
            Search::More(end)
        } else {
            Search::Missing
        }
    }
}
