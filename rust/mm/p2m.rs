// SPDX-License-Identifier: GPL-2.0-only

//! The physical-to-machine map of a domain: its nested page tables.
//!
//! The tables that the processor walks are the only record. A present leaf owns one reference to each page that
//! it maps; whoever else uses a page (a foreign mapping, a ring, a copy in progress) holds a reference of its
//! own, so that removing a page from the map, or destroying the domain, only drops ours.
//!
//! # Reading
//!
//! Tables are never freed before the domain is, and never shared, so a walk that finds a table may follow it
//! without a lock. What a leaf points to may go at any time, except
//!
//! - under the lock, which is how [`P2m::get`] takes a reference, and
//! - on a processor that is in [`P2m::running`] and keeps interrupts off: [`P2m::flush`] waits until each such
//!   processor has taken an interrupt, and only then are removed pages released. The exit path reads guest
//!   memory this way, without lock or reference ([`P2m::peek`]).
//!
//! # Rights
//!
//! A monitor may take rights from pages (`rights.rs`). They are kept in the leaves, and the processor gets no more than
//! they allow; a page without any is still the leaf's. Rights of one page split a large leaf. When all 512 leaves of a
//! table could be one again, they become one; the table is kept for the next time, so that whoever walks without a lock
//! and has it in hand finds the frames that it looks for, as they were.
//!
//! # Locks
//!
//! `lock` (a spin lock) serialises changes. It is innermost: nothing else is taken under it. `exchanges` (one too) has
//! locked instructions that software carries out come one after the other; it is never held together with `lock`.

#[cfg(CONFIG_KUNIT = "y")]
mod kunit;
mod rights;
mod types;

use kernel::new_spinlock;
use kernel::sync::SpinLock;
use pin_init::{
    pin_data,
    pin_init,
    pinned_drop,
    PinInit, //
};

use crate::abi::errno::{
    Result,
    EBUSY,
    EINVAL,
    ENOENT,
    ENOMEM, //
};
use crate::hw::npt::{
    self,
    Entry,
    P2mType,
    ENTRIES,
    LEVELS,
    MAX_GFN, //
};
use crate::hw::rights::Rights;
use crate::mm::dirty::DirtyLog;
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL, //
};
use crate::sys::atomic::{
    AtomicBool,
    AtomicU64,
    AtomicU8,
    Ordering, //
};
use crate::sys::cpu::CpuMask;
use crate::sys::irq;
use crate::sys::page::{
    has_five_levels,
    sme_mask,
    PageBlock,
    PageRef, //
};

/// Pages that one call of [`P2m::relinquish`] gives back, or empty entries that it looks at: a millisecond or so.
const RELINQUISH_STEP: u64 = 2048;

/// A table, as 512 atomic entries.
#[derive(Clone, Copy)]
struct Table(core::ptr::NonNull<[AtomicU64; ENTRIES]>);

impl Table {
    #[inline]
    fn entry(self, index: usize) -> &'static AtomicU64 {
        // SAFETY: The table is a page of the map, which outlives every use: tables are freed with the map only.
        let entries = unsafe { self.0.as_ref() };
        // The index has nine bits; this cannot be out of bounds.
        &entries[index & (ENTRIES - 1)]
    }

    /// The table at this frame of normal memory.
    #[inline]
    fn at(mfn: u64) -> Self {
        // SAFETY: Reads a variable that is constant after boot.
        let base = unsafe { kernel::bindings::page_offset_base };
        // CAST: The direct map of a 64-bit kernel holds every frame.
        let va = base.wrapping_add((mfn << 12) as usize);
        // SAFETY: The direct map is not at address 0.
        Self(unsafe { core::ptr::NonNull::new_unchecked(va as *mut _) })
    }
}

/// A leaf as [`P2m::lookup`] found it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaf {
    /// The frame behind the guest frame asked for, if its type has one.
    pub(crate) mfn: u64,
    /// What it is.
    pub(crate) ty: P2mType,
    /// What a monitor lets the guest do with it.
    pub(crate) rights: Rights,
    /// Whether it is part of a 2 MiB mapping.
    #[cfg_attr(
        not(CONFIG_KUNIT = "y"),
        expect(dead_code, reason = "tests look at it")
    )]
    pub(crate) large: bool,
}

/// Tables that were allocated before the lock was taken and may be needed under it.
struct Spare {
    tables: [Option<PageBlock<0>>; LEVELS as usize],
}

impl Spare {
    fn new(count: usize) -> Result<Self> {
        let mut tables = [const { None }; LEVELS as usize];
        for slot in tables.iter_mut().take(count) {
            *slot = Some(PageBlock::new()?);
        }
        Ok(Self { tables })
    }

    fn take(&mut self) -> Option<PageBlock<0>> {
        self.tables.iter_mut().find_map(Option::take)
    }
}

/// Pages that were removed from a map and may still be in a processor's translations. [`P2m::release`] drops
/// them once they are not.
#[must_use = "pages must be released through the map they came from"]
pub(crate) struct Removed {
    pages: KVec<PageRef>,
}

impl Removed {
    /// Makes an empty set with room for `capacity` pages.
    pub(crate) fn with_capacity(capacity: usize) -> Result<Self> {
        Ok(Self {
            pages: KVec::with_capacity(capacity, GFP_KERNEL)?,
        })
    }

    /// How many pages wait.
    pub(crate) fn len(&self) -> usize {
        self.pages.len()
    }

    /// Whether one of the pages has this machine frame number.
    pub(crate) fn holds(&self, mfn: u64) -> bool {
        self.pages.iter().any(|page| page.mfn() == mfn)
    }

    fn push(&mut self, page: PageRef) -> Result {
        Ok(self.pages.push(page, GFP_KERNEL)?)
    }
}

/// Checks that the domain could write to a frame of this type, and notes it if writes are logged.
///
/// # Errors
///
/// `EINVAL`.
fn may_write(log: &mut Option<DirtyLog>, gfn: u64, ty: P2mType) -> Result {
    if ty == P2mType::RamLogdirty {
        if let Some(log) = log {
            log.note(gfn);
        }
        return Ok(());
    }
    if ty.writable() {
        Ok(())
    } else {
        Err(EINVAL)
    }
}

/// What is changed under the lock, besides the tables.
struct Guarded {
    /// The log of writes, if there is one.
    log: Option<DirtyLog>,
    /// Tables whose place a large leaf has taken: the block's number and the table's physical address, by block.
    unused: KVec<(u64, u64)>,
}

/// The map of one domain.
#[pin_data(PinnedDrop)]
pub(crate) struct P2m {
    root: PageBlock<0>,
    /// The table above the root, where the host has five levels: the processor walks nested tables as the host's.
    above: Option<PageBlock<0>>,
    encryption: u64,
    #[pin]
    lock: SpinLock<Guarded>,
    /// Held while memory is exchanged for a locked instruction.
    #[pin]
    exchanges: SpinLock<()>,
    /// The rights of pages that come into the map.
    default_rights: AtomicU8,
    /// Some page has, or may have had, less than all rights.
    restricts: AtomicBool,
    /// Grows with every change that a processor may have cached the opposite of.
    generation: AtomicU64,
    /// Processors that may use translations or look into guest memory right now.
    running: CpuMask,
    /// RAM pages in the map.
    ram_pages: AtomicU64,
    /// RAM pages that there may be.
    max_pages: AtomicU64,
    /// One more than the highest guest frame that was ever mapped.
    end_gfn: AtomicU64,
}

impl P2m {
    /// Makes an empty map.
    pub(crate) fn new() -> Result<impl PinInit<Self>> {
        let root = PageBlock::<0>::new()?;
        let encryption = sme_mask();
        let above = if has_five_levels() {
            let above = PageBlock::<0>::new()?;
            let entry = Entry::table(root.phys(), encryption);
            Table::at(above.phys() >> 12)
                .entry(0)
                .store(entry.0, Ordering::Relaxed);
            Some(above)
        } else {
            None
        };
        let running = CpuMask::new()?;
        Ok(pin_init!(Self {
            root,
            above,
            encryption,
            lock <- new_spinlock!(
                Guarded { log: None, unused: KVec::new() },
                "oxen::P2m"
            ),
            exchanges <- new_spinlock!((), "oxen::P2m::exchanges"),
            default_rights: AtomicU8::new(Rights::Rwx as u8),
            restricts: AtomicBool::new(false),
            generation: AtomicU64::new(1),
            running,
            ram_pages: AtomicU64::new(0),
            max_pages: AtomicU64::new(0),
            end_gfn: AtomicU64::new(0),
        }))
    }

    /// The physical address of the root, for the hardware.
    pub(crate) fn root(&self) -> u64 {
        let top = self.above.as_ref().unwrap_or(&self.root);
        top.phys() | self.encryption
    }

    /// The number that changes whenever translations must be dropped. Read it after joining [`P2m::running`].
    #[inline]
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The processors that run the domain; vCPUs join at the begin of a section and leave at its end.
    pub(crate) fn running(&self) -> &CpuMask {
        &self.running
    }

    /// RAM pages in the map (`tot_pages`).
    pub(crate) fn ram_pages(&self) -> u64 {
        self.ram_pages.load(Ordering::Relaxed)
    }

    /// RAM pages that there may be (`max_pages`).
    pub(crate) fn max_pages(&self) -> u64 {
        self.max_pages.load(Ordering::Relaxed)
    }

    /// Sets the limit. Fewer than there are is allowed, as in Xen: it stops further growth.
    pub(crate) fn set_max_pages(&self, pages: u64) {
        self.max_pages.store(pages, Ordering::Relaxed);
    }

    /// The highest guest frame ever mapped, or 0.
    pub(crate) fn maximum_gfn(&self) -> u64 {
        self.end_gfn.load(Ordering::Relaxed).saturating_sub(1)
    }

    /// Counts `pages` more RAM pages if the limit allows.
    fn charge(&self, pages: u64) -> Result {
        let max = self.max_pages();
        self.ram_pages
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
                now.checked_add(pages).filter(|sum| *sum <= max)
            })
            .map(drop)
            .map_err(|_| ENOMEM)
    }

    fn uncharge(&self, pages: u64) {
        self.ram_pages.fetch_sub(pages, Ordering::Relaxed);
    }

    /// Walks to the entry for `gfn` at `level`, or to the leaf above it. Returns it with its level.
    #[inline]
    fn walk(&self, gfn: u64, level: u32) -> Option<(&'static AtomicU64, u32)> {
        let mut table = Table::at(self.root.phys() >> 12);
        let mut at = LEVELS - 1;
        loop {
            let slot = table.entry(npt::index(gfn, at));
            if at == level {
                return Some((slot, at));
            }
            let entry = Entry(slot.load(Ordering::Acquire));
            if !entry.present() {
                return None;
            }
            if entry.large() {
                return Some((slot, at));
            }
            table = Table::at(entry.mfn(self.encryption));
            at -= 1;
        }
    }

    /// What stands behind a guest frame now. The answer may be old when it arrives.
    #[inline]
    pub(crate) fn lookup(&self, gfn: u64) -> Option<Leaf> {
        if gfn >= MAX_GFN {
            return None;
        }
        let (slot, mut level) = self.walk(gfn, 0)?;
        let mut entry = Entry(slot.load(Ordering::Acquire));
        if level != 0 && entry.present() && !entry.large() {
            // The leaf was split since the walk has seen it, and a table is in its place. That stays where it is.
            let slot = Table::at(entry.mfn(self.encryption)).entry(npt::index(gfn, 0));
            entry = Entry(slot.load(Ordering::Acquire));
            level = 0;
        }
        let within = gfn & ((1 << (9 * level)) - 1);
        Some(Leaf {
            mfn: entry.mfn(self.encryption) + within,
            ty: entry.ty(),
            rights: entry.rights(),
            large: level == 1,
        })
    }

    /// A pointer to the page behind a guest frame, for a processor in [`P2m::running`] with interrupts off.
    ///
    /// The page stays as long as interrupts stay off; others may be writing to it.
    #[inline]
    pub(crate) fn peek(&self, gfn: u64, _irqs: &irq::IrqsOff) -> Option<*const u8> {
        let leaf = self.lookup(gfn)?;
        if !leaf.ty.is_page() {
            return None;
        }
        // The direct map holds every page of normal memory.
        Some(Table::at(leaf.mfn).0.as_ptr().cast())
    }

    /// As [`P2m::peek`], for a page that the domain may write to.
    pub(crate) fn peek_mut(&self, gfn: u64, _irqs: &irq::IrqsOff) -> Option<*mut u8> {
        let leaf = self.lookup(gfn)?;
        if !leaf.ty.writable() {
            return None;
        }
        // The direct map holds every page of normal memory.
        Some(Table::at(leaf.mfn).0.as_ptr().cast())
    }

    /// Takes a reference to the page behind a guest frame.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is none; `EINVAL` if `write` is asked for and the domain itself could not write.
    pub(crate) fn get(&self, gfn: u64, write: bool) -> Result<PageRef> {
        let mut guard = self.lock.lock();
        let leaf = self.lookup(gfn).ok_or(ENOENT)?;
        if !leaf.ty.is_page() {
            return Err(ENOENT);
        }
        if write {
            may_write(&mut guard.log, gfn, leaf.ty)?;
        }
        // SAFETY: The leaf owns a reference, and cannot go while we hold the lock.
        Ok(unsafe { PageRef::from_mfn(leaf.mfn) })
    }

    /// Takes a reference to a page that the domain may let others use: its RAM, or what we share with it. What it
    /// has mapped of others itself is not its own to give.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is no such page; `EINVAL` if `write` is asked for and the domain itself could not write.
    pub(crate) fn get_own(&self, gfn: u64, write: bool) -> Result<PageRef> {
        let mut guard = self.lock.lock();
        let leaf = self.lookup(gfn).ok_or(ENOENT)?;
        if !leaf.ty.is_own() {
            return Err(ENOENT);
        }
        if write {
            may_write(&mut guard.log, gfn, leaf.ty)?;
        }
        // SAFETY: The leaf owns a reference, and cannot go while we hold the lock.
        Ok(unsafe { PageRef::from_mfn(leaf.mfn) })
    }

    /// Does what is to be done for one locked instruction at a time. Nothing is locked in it.
    pub(crate) fn exchange_alone<T>(&self, exchange: impl FnOnce() -> T) -> T {
        let _alone = self.exchanges.lock();
        exchange()
    }

    /// Finds the slot for `gfn` at `level` under the lock, making tables and splitting a 2 MiB leaf above it.
    fn slot(
        &self,
        gfn: u64,
        level: u32,
        spare: &mut Spare,
        guarded: &mut Guarded,
    ) -> Result<&'static AtomicU64> {
        let mut table = Table::at(self.root.phys() >> 12);
        let mut at = LEVELS - 1;
        while at > level {
            let slot = table.entry(npt::index(gfn, at));
            let entry = Entry(slot.load(Ordering::Relaxed));
            if entry.present() && !entry.large() {
                table = Table::at(entry.mfn(self.encryption));
            } else {
                let used = if entry.present() {
                    guarded.take_unused(gfn >> 9)
                } else {
                    None
                };
                let phys = match used {
                    Some(phys) => phys,
                    None => {
                        let new = spare.take().ok_or(ENOMEM)?;
                        let phys = new.phys();
                        core::mem::forget(new);
                        phys
                    }
                };
                let inner = Table::at(phys >> 12);
                if entry.present() {
                    // Split: the same pages with the same type and rights, one by one. The references move with them.
                    for index in 0..ENTRIES {
                        let mfn = entry.mfn(self.encryption) + index as u64;
                        let leaf =
                            Entry::leaf(mfn, entry.ty(), entry.rights(), false, self.encryption);
                        inner.entry(index).store(leaf.0, Ordering::Relaxed);
                    }
                }
                // The new table's contents are seen before the table is.
                slot.store(Entry::table(phys, self.encryption).0, Ordering::Release);
                table = inner;
            }
            at -= 1;
        }
        Ok(table.entry(npt::index(gfn, level)))
    }

    /// A leaf for a page that comes into the map.
    fn new_leaf(&self, mfn: u64, ty: P2mType, large: bool) -> Entry {
        Entry::leaf(mfn, ty, self.default_rights(), large, self.encryption)
    }

    fn check_range(&self, gfn: u64, pages: u64) -> Result {
        match gfn.checked_add(pages) {
            Some(end) if end <= MAX_GFN => Ok(()),
            _ => Err(EINVAL),
        }
    }

    fn note_mapped(&self, end: u64) {
        self.end_gfn.fetch_max(end, Ordering::Relaxed);
    }

    /// Enters `page` at `gfn` with type `ty`. What was there is added to `removed`.
    ///
    /// RAM types are counted, and `ENOMEM` says that the domain has its allotment.
    pub(crate) fn insert(
        &self,
        gfn: u64,
        page: PageRef,
        ty: P2mType,
        removed: &mut Removed,
    ) -> Result {
        self.check_range(gfn, 1)?;
        if ty.is_ram() {
            self.charge(1)?;
        }
        removed.pages.reserve(1, GFP_KERNEL)?;
        let mut spare = Spare::new(3)?;
        let old = {
            let mut guard = self.lock.lock();
            self.slot(gfn, 0, &mut spare, &mut guard).map(|slot| {
                let entry = self.new_leaf(page.into_mfn(), ty, false);
                Entry(slot.swap(entry.0, Ordering::AcqRel))
            })
        };
        match old {
            Ok(old) => {
                self.note_mapped(gfn + 1);
                self.retire(old, removed)
            }
            Err(errno) => {
                if ty.is_ram() {
                    self.uncharge(1);
                }
                Err(errno)
            }
        }
    }

    /// Takes over what a leaf that was just replaced owned.
    fn retire(&self, old: Entry, removed: &mut Removed) -> Result {
        if !old.present() {
            return Ok(());
        }
        if old.ty().is_ram() {
            self.uncharge(1);
        }
        // SAFETY: A present leaf owns one reference; it was taken out of the map exactly once.
        removed.push(unsafe { PageRef::adopt(old.mfn(self.encryption)) })
    }

    /// Puts fresh zeroed RAM at `gfn`, which must be empty.
    ///
    /// # Errors
    ///
    /// `EBUSY` if something is there already, `ENOMEM` if the host or the allotment is exhausted.
    pub(crate) fn populate(&self, gfn: u64) -> Result {
        self.check_range(gfn, 1)?;
        self.charge(1)?;
        let fill = || -> Result {
            let page = PageRef::zeroed()?;
            let mut spare = Spare::new(3)?;
            let mut guard = self.lock.lock();
            let slot = self.slot(gfn, 0, &mut spare, &mut guard)?;
            if Entry(slot.load(Ordering::Relaxed)).present() {
                return Err(EBUSY);
            }
            let entry = self.new_leaf(page.into_mfn(), P2mType::RamRw, false);
            slot.store(entry.0, Ordering::Release);
            Ok(())
        };
        fill().inspect_err(|_| self.uncharge(1))?;
        self.note_mapped(gfn + 1);
        Ok(())
    }

    /// Puts 2 MiB of fresh zeroed RAM at `gfn`, as one mapping if the host has such a block and the range is empty,
    /// and page by page otherwise. On an error the pages entered so far stay, as `done` tells.
    pub(crate) fn populate_2m(&self, gfn: u64, done: &mut u64) -> Result {
        let pages = ENTRIES as u64;
        self.check_range(gfn, pages)?;
        *done = 0;
        if gfn % pages == 0 && self.populate_large(gfn)? {
            *done = pages;
            return Ok(());
        }
        for index in 0..pages {
            self.populate(gfn + index)?;
            *done = index + 1;
            if index % 64 == 63 {
                irq::cond_resched();
            }
        }
        Ok(())
    }

    /// Tries to enter a 2 MiB block; `Ok(false)` if there is none or the range is not empty.
    fn populate_large(&self, gfn: u64) -> Result<bool> {
        let pages = ENTRIES as u64;
        self.charge(pages)?;
        let mut first = None;
        if PageRef::zeroed_2m(|index, page| {
            let mfn = page.into_mfn();
            if index == 0 {
                first = Some(mfn);
            }
        })
        .is_err()
        {
            self.uncharge(pages);
            return Ok(false);
        }
        let mfn = first.unwrap_or(0);
        let enter = || -> Result<bool> {
            let mut spare = Spare::new(2)?;
            let mut guard = self.lock.lock();
            let slot = self.slot(gfn, 1, &mut spare, &mut guard)?;
            if Entry(slot.load(Ordering::Relaxed)).present() {
                return Ok(false);
            }
            let entry = self.new_leaf(mfn, P2mType::RamRw, true);
            slot.store(entry.0, Ordering::Release);
            Ok(true)
        };
        let entered = enter();
        if !matches!(entered, Ok(true)) {
            for index in 0..pages {
                // SAFETY: The references were given away in the loop above and nobody took them.
                drop(unsafe { PageRef::adopt(mfn + index) });
            }
            self.uncharge(pages);
        } else {
            self.note_mapped(gfn + pages);
        }
        entered
    }

    /// Takes the page at `gfn` out of the map and adds it to `removed`.
    ///
    /// # Errors
    ///
    /// `ENOENT` if nothing is there.
    pub(crate) fn remove(&self, gfn: u64, removed: &mut Removed) -> Result {
        self.check_range(gfn, 1)?;
        removed.pages.reserve(1, GFP_KERNEL)?;
        if !self.lookup(gfn).is_some_and(|leaf| leaf.ty.is_page()) {
            return Err(ENOENT);
        }
        let mut spare = Spare::new(1)?;
        let old = {
            let mut guard = self.lock.lock();
            // It may be another thing by now.
            if !self.lookup(gfn).is_some_and(|leaf| leaf.ty.is_page()) {
                return Err(ENOENT);
            }
            let slot = self.slot(gfn, 0, &mut spare, &mut guard)?;
            Entry(slot.swap(0, Ordering::AcqRel))
        };
        self.retire(old, removed)
    }

    /// Moves the RAM at `from` to `to` as one step. What was at `to` is added to `removed`, and so is a reference to
    /// the page that moved, for the translations of its old place.
    ///
    /// Everything that can fail comes before the first change: the page is at one of both places at any time. The
    /// count of pages does not grow, so that the domain's allotment is not asked.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is no writable RAM at `from`, `EINVAL` for a place beyond the map, `ENOMEM`.
    pub(crate) fn move_ram(&self, from: u64, to: u64, removed: &mut Removed) -> Result {
        self.check_range(from, 1)?;
        self.check_range(to, 1)?;
        removed.pages.reserve(2, GFP_KERNEL)?;
        // One table to split a large mapping at `from`, three to reach `to`.
        let mut spare = Spare::new(4)?;
        let (page, old) = {
            let mut guard = self.lock.lock();
            let leaf = self.lookup(from).ok_or(ENOENT)?;
            if leaf.ty != P2mType::RamRw {
                return Err(ENOENT);
            }
            if from == to {
                return Ok(());
            }
            let source = self.slot(from, 0, &mut spare, &mut guard)?;
            let target = self.slot(to, 0, &mut spare, &mut guard)?;
            // SAFETY: The leaf owns a reference, and cannot go while we hold the lock.
            let page = unsafe { PageRef::from_mfn(leaf.mfn) };
            // The reference of the leaf at `from` becomes that of the one at `to`.
            let entry = self.new_leaf(leaf.mfn, P2mType::RamRw, false);
            source.store(0, Ordering::Release);
            (page, Entry(target.swap(entry.0, Ordering::AcqRel)))
        };
        self.note_mapped(to + 1);
        removed.push(page)?;
        self.retire(old, removed)
    }

    /// Makes every vCPU drop its translations, and waits until nobody uses old ones.
    pub(crate) fn flush(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.running.interrupt_and_wait();
    }

    /// Drops pages that were removed, after a flush if there are any. `forget` makes those who write to pages of the
    /// domain by a reference of their own let go of these.
    pub(crate) fn release(&self, removed: Removed, forget: impl FnOnce(&Removed)) {
        if removed.len() != 0 {
            forget(&removed);
            self.flush();
        }
        drop(removed);
    }

    /// Takes pages out and drops them, from `gfn` on, which is 0 at first. No vCPU runs any more. One call does a
    /// bounded amount of work; returns where to go on, or `None` when all are out.
    pub(crate) fn relinquish(&self, gfn: u64) -> Option<u64> {
        if gfn == 0 {
            self.flush();
        }
        let (mut gfn, mut left) = (gfn, RELINQUISH_STEP);
        while gfn < MAX_GFN {
            if left == 0 {
                return Some(gfn);
            }
            let (slot, level) = self.descend(gfn);
            left -= 1;
            if !Entry(slot.load(Ordering::Acquire)).present() {
                gfn = (gfn | ((1 << (9 * level)) - 1)) + 1;
                continue;
            }
            let (old, pages) = {
                let _guard = self.lock.lock();
                // What it was found to be may be split or joined by now; that of a table no longer in use owns nothing.
                let (slot, level) = self.descend(gfn);
                let old = Entry(slot.load(Ordering::Acquire));
                let pages = 1u64 << (9 * level);
                gfn = (gfn | (pages - 1)) + 1;
                // Somebody has taken it.
                if !old.present() {
                    continue;
                }
                slot.store(0, Ordering::Release);
                (old, pages)
            };
            left = left.saturating_sub(pages - 1);
            if old.ty().is_ram() {
                self.uncharge(pages);
            }
            let mfn = old.mfn(self.encryption);
            for page in 0..pages {
                // SAFETY: The leaf owned one reference to each page it mapped, and is gone now.
                drop(unsafe { PageRef::adopt(mfn + page) });
            }
        }
        None
    }

    /// The entry that says what is behind a guest frame, or that there is nothing, and its level.
    fn descend(&self, gfn: u64) -> (&'static AtomicU64, u32) {
        let mut table = Table::at(self.root.phys() >> 12);
        let mut at = LEVELS - 1;
        loop {
            let slot = table.entry(npt::index(gfn, at));
            let entry = Entry(slot.load(Ordering::Acquire));
            if at == 0 || !entry.present() || entry.large() {
                return (slot, at);
            }
            table = Table::at(entry.mfn(self.encryption));
            at -= 1;
        }
    }

    /// Frees the tables below `table`, which hold no leaves any more.
    fn free_tables(&self, table: Table, level: u32) {
        if level == 0 {
            return;
        }
        for index in 0..ENTRIES {
            let entry = Entry(table.entry(index).swap(0, Ordering::Relaxed));
            if !entry.present() || entry.large() {
                continue;
            }
            let inner = Table::at(entry.mfn(self.encryption));
            self.free_tables(inner, level - 1);
            // SAFETY: The table came from a `PageBlock<0>` that `slot` forgot, and nothing points to it now.
            unsafe { kernel::bindings::free_pages(inner.0.as_ptr() as usize, 0) };
        }
    }
}

#[pinned_drop]
impl PinnedDrop for P2m {
    fn drop(self: core::pin::Pin<&mut Self>) {
        let mut next = Some(0);
        while let Some(gfn) = next {
            next = self.relinquish(gfn);
            irq::cond_resched();
        }
        self.free_tables(Table::at(self.root.phys() >> 12), LEVELS - 1);
        while let Some((_, phys)) = self.lock.lock().unused.pop() {
            // SAFETY: As in `free_tables`: the table came from a forgotten `PageBlock<0>`, and no entry points to it.
            unsafe { kernel::bindings::free_pages(Table::at(phys >> 12).0.as_ptr() as usize, 0) };
        }
    }
}
