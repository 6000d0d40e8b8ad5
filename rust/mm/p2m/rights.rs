// SPDX-License-Identifier: GPL-2.0-only

//! The rights that a monitor leaves a guest on its pages.
//!
//! Rights are the leaf's. What has no page has none, and a page that comes into the map gets the default.

use core::ops::Range;

use super::{
    Guarded,
    P2m,
    Spare,
    Table, //
};
use crate::abi::errno::{
    Result,
    EINVAL,
    ENOMEM, //
};
use crate::hw::npt::{
    self,
    Entry,
    ENTRIES,
    LEVELS, //
};
use crate::hw::rights::Rights;
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL, //
};
use crate::sys::atomic::Ordering;

/// Frames of a table of leaves.
const BLOCK: u64 = ENTRIES as u64;
/// Leaves and blocks that one step looks at before others may go first.
const STEP: u64 = 8192;

/// A part of a range of frames, as the tables are there.
enum Part {
    /// There is nothing up to this frame.
    Hole(u64),
    /// One leaf of 2 MiB.
    Large,
    /// A table of leaves.
    Small(Table),
}

/// What becomes of rights.
#[derive(Clone, Copy)]
struct Change {
    /// Of pages that have these only.
    from: Option<Rights>,
    /// What they become.
    to: Rights,
}

impl Change {
    /// Of any page.
    const fn to(to: Rights) -> Self {
        Self { from: None, to }
    }

    /// Whether a leaf gets other rights by it.
    fn concerns(self, leaf: Entry) -> bool {
        let now = leaf.rights();
        now != self.to && self.from.is_none_or(|from| from == now)
    }
}

impl Guarded {
    /// Takes the table that was in the place of a block's large leaf.
    pub(super) fn take_unused(&mut self, block: u64) -> Option<u64> {
        let at = self.find_unused(block).ok()?;
        self.unused.remove(at).ok().map(|(_, phys)| phys)
    }

    /// Where the table of a block is, or would be.
    fn find_unused(&self, block: u64) -> core::result::Result<usize, usize> {
        self.unused
            .binary_search_by_key(&block, |(block, _)| *block)
    }
}

impl P2m {
    /// The rights of pages that come into the map.
    #[inline]
    pub(crate) fn default_rights(&self) -> Rights {
        Rights::from_number(self.default_rights.load(Ordering::Relaxed)).unwrap_or(Rights::Rwx)
    }

    /// Sets them.
    pub(crate) fn set_default_rights(&self, rights: Rights) {
        // First: a page may get them as soon as they are stored.
        self.note_rights(rights);
        self.default_rights.store(rights as u8, Ordering::Release);
    }

    /// Whether any page may have less than all rights: then an access that is made for the guest has to be judged.
    #[inline]
    pub(crate) fn restricts(&self) -> bool {
        self.restricts.load(Ordering::Relaxed)
    }

    fn note_rights(&self, rights: Rights) {
        if rights != Rights::Rwx {
            self.restricts.store(true, Ordering::Relaxed);
        }
    }

    /// The rights of a page; `None` if there is none at the frame.
    #[inline]
    pub(crate) fn rights(&self, gfn: u64) -> Option<Rights> {
        self.lookup(gfn)
            .filter(|leaf| leaf.ty.is_page())
            .map(|leaf| leaf.rights)
    }

    /// Sets the rights of one page, if they are `from`, and makes every processor take note. Returns whether they were:
    /// both is one step, so that what a tool sets meanwhile stays.
    ///
    /// # Errors
    ///
    /// `EINVAL` beyond the map, `ENOMEM`.
    pub(crate) fn turn_rights(&self, gfn: u64, from: Rights, to: Rights) -> Result<bool> {
        self.check_range(gfn, 1)?;
        self.note_rights(to);
        let mut changed = false;
        let turn = Change {
            from: Some(from),
            to,
        };
        self.set_rights_until(gfn..gfn.saturating_add(1), turn, &mut changed)?;
        if changed {
            self.flush();
        }
        Ok(changed)
    }

    /// Sets the rights of the pages in a range of frames, and makes every processor take note. Returns the frame at
    /// which to go on, if it is long.
    ///
    /// # Errors
    ///
    /// `EINVAL` beyond the map, `ENOMEM`; pages before the first that could not be changed have their rights.
    pub(crate) fn set_rights(&self, gfns: Range<u64>, rights: Rights) -> Result<u64> {
        let count = gfns.end.checked_sub(gfns.start).ok_or(EINVAL)?;
        self.check_range(gfns.start, count)?;
        self.note_rights(rights);
        let mut changed = false;
        let result = self.set_rights_until(gfns, Change::to(rights), &mut changed);
        if changed {
            self.flush();
        }
        result
    }

    /// The same for frames that are not neighbours, each with its rights, with one flush. Frames without a page are
    /// passed over.
    ///
    /// # Errors
    ///
    /// As [`P2m::set_rights`].
    pub(crate) fn set_rights_of(&self, list: &[(u64, Rights)]) -> Result {
        let mut changed = false;
        let set = |(gfn, rights): &(u64, Rights)| {
            self.check_range(*gfn, 1)?;
            self.note_rights(*rights);
            self.set_rights_until(*gfn..*gfn + 1, Change::to(*rights), &mut changed)
                .map(drop)
        };
        let result = list.iter().try_for_each(set);
        if changed {
            self.flush();
        }
        result
    }

    fn set_rights_until(
        &self,
        gfns: Range<u64>,
        change: Change,
        changed: &mut bool,
    ) -> Result<u64> {
        let mut spare = Spare::new(0)?;
        let (mut at, mut looked) = (gfns.start, 0);
        while at < gfns.end && looked < STEP {
            let end = gfns.end.min((at | (BLOCK - 1)) + 1);
            self.make_room()?;
            match self.set_rights_in_block(at..end, change, &mut spare, changed) {
                Ok(next) => {
                    looked += if next <= end {
                        (next - at).min(BLOCK)
                    } else {
                        1
                    };
                    at = next;
                }
                // A large leaf has to be split.
                Err(errno) if errno == ENOMEM => spare = Spare::new(1)?,
                Err(errno) => return Err(errno),
            }
        }
        Ok(at.min(gfns.end))
    }

    /// Sets rights within a block. Returns the frame at which to go on, which is far away if there is nothing.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if a table is needed and there is none spare.
    fn set_rights_in_block(
        &self,
        gfns: Range<u64>,
        change: Change,
        spare: &mut Spare,
        changed: &mut bool,
    ) -> Result<u64> {
        let block = gfns.start >> 9;
        let mut guard = self.lock.lock();
        let table = match self.part(gfns.start) {
            Part::Hole(end) => return Ok(end),
            Part::Large => {
                let slot = self.slot(gfns.start, 1, spare, &mut guard)?;
                let entry = Entry(slot.load(Ordering::Relaxed));
                if !change.concerns(entry) {
                    return Ok(gfns.end);
                }
                if gfns.end - gfns.start == BLOCK {
                    *changed = true;
                    let entry = entry.with_rights(change.to, self.encryption);
                    slot.store(entry.0, Ordering::Release);
                    return Ok(gfns.end);
                }
                // It has a table afterwards, or there is none to give it.
                self.slot(gfns.start, 0, spare, &mut guard)?;
                match self.part(gfns.start) {
                    Part::Small(table) => table,
                    _ => return Ok(gfns.end),
                }
            }
            Part::Small(table) => table,
        };
        for gfn in gfns.clone() {
            let slot = table.entry(npt::index(gfn, 0));
            let entry = Entry(slot.load(Ordering::Relaxed));
            if entry.present() && change.concerns(entry) {
                *changed = true;
                let entry = entry.with_rights(change.to, self.encryption);
                slot.store(entry.0, Ordering::Release);
            }
        }
        self.join(block, table, &mut guard);
        Ok(gfns.end)
    }

    /// What there is at a frame, under the lock.
    fn part(&self, gfn: u64) -> Part {
        let mut table = Table::at(self.root.phys() >> 12);
        for level in (1..LEVELS).rev() {
            let slot = table.entry(npt::index(gfn, level));
            let entry = Entry(slot.load(Ordering::Relaxed));
            if !entry.present() {
                return Part::Hole(((gfn >> (9 * level)) + 1) << (9 * level));
            }
            if entry.large() {
                return Part::Large;
            }
            table = Table::at(entry.mfn(self.encryption));
        }
        Part::Small(table)
    }

    /// Makes one leaf of a block's 512 if they say the same of neighbouring pages. The references that they own become
    /// its own.
    fn join(&self, block: u64, table: Table, guarded: &mut Guarded) {
        let entry = |index| Entry(table.entry(index).load(Ordering::Relaxed));
        let first = entry(0);
        let mfn = first.mfn(self.encryption);
        if !first.present() || mfn % BLOCK != 0 {
            return;
        }
        let same = |index: usize| {
            let expected = Entry::leaf(
                mfn + index as u64,
                first.ty(),
                first.rights(),
                false,
                self.encryption,
            );
            entry(index) == expected
        };
        // The last one differs most often if one does: pages are changed in order.
        if !same(ENTRIES - 1) || !(0..ENTRIES).all(same) {
            return;
        }
        let mut none = Spare {
            tables: [const { None }; LEVELS as usize],
        };
        let Ok(slot) = self.slot(block << 9, 1, &mut none, guarded) else {
            return;
        };
        let phys = Entry(slot.load(Ordering::Relaxed)).mfn(self.encryption) << 12;
        let Err(at) = guarded.find_unused(block) else {
            return;
        };
        if guarded
            .unused
            .insert_within_capacity(at, (block, phys))
            .is_err()
        {
            return;
        }
        let large = Entry::leaf(mfn, first.ty(), first.rights(), true, self.encryption);
        slot.store(large.0, Ordering::Release);
    }

    /// Sees to it that one more table can be kept.
    fn make_room(&self) -> Result {
        let (len, capacity) = {
            let guard = self.lock.lock();
            (guard.unused.len(), guard.unused.capacity())
        };
        if len < capacity {
            return Ok(());
        }
        let mut more = KVec::with_capacity(len.saturating_mul(2).max(8), GFP_KERNEL)?;
        let mut guard = self.lock.lock();
        // Somebody else may have been faster.
        if guard.unused.len() < more.capacity() {
            for kept in guard.unused.iter() {
                // There is room.
                let _ = more.push_within_capacity(*kept);
            }
            core::mem::swap(&mut guard.unused, &mut more);
        }
        drop(guard);
        Ok(())
    }
}
