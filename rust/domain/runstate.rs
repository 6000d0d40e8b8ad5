// SPDX-License-Identifier: GPL-2.0-only

//! A vCPU's runstate and time areas: where its time goes, and where the guest reads that.
//!
//! The vCPU's thread, the scheduler's callbacks in that thread, and whoever wakes it change the state, each for a few
//! stores under one lock that is held with interrupts off. The record in the guest's memory is written under the same
//! lock with each change, so that it always says what the account says, and so that nothing is written to it once
//! it is unregistered. Readers of the account, be they guests or tools, take no lock: they read the copy in the cell.
//!
//! # Registration
//!
//! Who registers an area finds its pages and takes references to them, which may take its time, and then locks. Under
//! the lock it looks whether the guest still has the pages; if so the area takes effect and is filled.
//!
//! ```text
//!   register                           take a page from the guest
//!   --------                           --------------------------
//!   find and pin the pages             entry of the p2m := empty
//!   lock                               for each vCPU: lock, drop areas in that page, unlock
//!   still in the p2m? no: EFAULT       flush, release the page
//!   enter the area, write the record
//!   unlock
//! ```
//!
//! Either the look finds the entry empty, or the lock is taken for dropping after it. So nothing is written to a page
//! after it was released, and what is released under no lock are references only.

use kernel::sync::lock::Guard;
use pin_init::{
    pin_data,
    pin_init,
    PinInit, //
};

use super::clock;
use crate::abi::errno::{
    Result,
    EFAULT, //
};
use crate::abi::vcpu::RunstateInfo;
use crate::abi::xen::TIME_INFO_SIZE;
use crate::mm::guest::Stretch;
use crate::mm::p2m::P2m;
use crate::mm::walk::Paging;
use crate::sys::irqlock::{
    irq_lock,
    IrqLock,
    IrqSave, //
};
use crate::time::area::GuestArea;
use crate::time::pvclock::{
    TimeInfo,
    Version, //
};
use crate::time::runstate::cell::RunstateCell;
use crate::time::runstate::place::Place;
use crate::time::runstate::record::Layout;
use crate::time::runstate::schedule::Schedule;
use crate::time::runstate::{
    Runstate,
    State, //
};

/// An area that was given by linear address.
pub(crate) enum Linear<T> {
    /// Translated when it was registered (`runstate_va=once`).
    Once(T),
    /// To be translated each time, as Xen does (`runstate_va=walk`).
    Walk(u64),
}

/// A `vcpu_time_info` with its version.
pub(crate) struct TimePlace {
    area: GuestArea,
    version: Version,
}

impl TimePlace {
    /// Makes the place of a structure that nobody has written yet.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it goes on in a page that is not there.
    pub(crate) fn new(pinned: &Stretch) -> Result<Self> {
        Ok(Self {
            area: GuestArea::new(
                pinned.first().clone(),
                pinned.second().cloned(),
                pinned.offset(),
                TIME_INFO_SIZE,
            )?,
            version: Version::default(),
        })
    }
}

/// Writes what the guest needs to tell the time to a place that was found for this moment only.
///
/// # Errors
///
/// `EFAULT` if nothing is there.
pub(crate) fn write_time_once(
    p2m: &P2m,
    paging: &Paging,
    linear: u64,
    info: &TimeInfo,
    version: &mut Version,
) -> Result {
    let place = TimePlace::new(&Stretch::linear(p2m, paging, linear, TIME_INFO_SIZE)?)?;
    info.publish(&place.area, version);
    Ok(())
}

/// Writes records whose address is translated each time. In the thread of the vCPU that they are of.
pub(crate) trait Walk {
    /// Writes the record at a linear address, with the page tables that the vCPU has now; returns whether it could.
    /// Called under the lock: it must not sleep nor take locks.
    fn write(&self, linear: u64, account: &Runstate, flag: bool) -> bool;
}

/// For those who cannot: the vCPU's own thread will.
struct NoWalk;

impl Walk for NoWalk {
    fn write(&self, _linear: u64, _account: &Runstate, _flag: bool) -> bool {
        true
    }
}

/// Where an area was before it was replaced or dropped, to be dropped without the lock.
#[must_use = "drop it after the lock"]
#[derive(Default)]
pub(crate) struct Garbage {
    linear: Option<Linear<Place>>,
    physical: Option<Place>,
    time_linear: Option<Linear<TimePlace>>,
    time_physical: Option<TimePlace>,
}

/// The kinds of areas.
#[derive(Clone, Copy)]
enum Kind {
    Linear,
    Physical,
    TimeLinear,
    TimePhysical,
}

/// How many there are.
const KINDS: usize = Kind::TimePhysical as usize + 1;
/// Frames that the areas of a vCPU lie in at most.
const MAX_FRAMES: usize = 2 * KINDS;
/// No frame has this number.
const NO_FRAME: u64 = u64::MAX;

struct Inner {
    /// Where the pages of the areas that were last registered are in the guest's memory.
    gfns: [[u64; 2]; KINDS],
    schedule: Schedule,
    /// `VMASST_TYPE_runstate_update_flag` is on.
    flag: bool,
    linear: Option<Linear<Place>>,
    /// While there is one of these, the other is silent.
    physical: Option<Place>,
    time_linear: Option<Linear<TimePlace>>,
    time_physical: Option<TimePlace>,
    /// Updates of a record in the guest, and those that found no memory at its linear address.
    updates: u64,
    missed: u64,
}

impl Inner {
    /// Writes the guest's record, if there is one.
    #[inline(always)]
    fn publish(&mut self, account: &Runstate, walk: &impl Walk) {
        let written = match (&self.physical, &self.linear) {
            (Some(place), _) => {
                // Who registers by physical address knows the flag.
                place.publish(account, true);
                true
            }
            (None, Some(Linear::Once(place))) => {
                place.publish(account, self.flag);
                true
            }
            (None, Some(Linear::Walk(linear))) => walk.write(*linear, account, self.flag),
            (None, None) => return,
        };
        self.updates += 1;
        if !written {
            self.missed += 1;
        }
    }

    /// The frames of all areas.
    fn frames(&self) -> [u64; MAX_FRAMES] {
        let mut frames = [NO_FRAME; MAX_FRAMES];
        let mut free = frames.iter_mut();
        let mut note = |mfn| {
            if let Some(slot) = free.next() {
                *slot = mfn;
            }
            false
        };
        if let Some(Linear::Once(place)) = &self.linear {
            place.touches(&mut note);
        }
        if let Some(place) = &self.physical {
            place.touches(&mut note);
        }
        if let Some(Linear::Once(place)) = &self.time_linear {
            place.area.touches(&mut note);
        }
        if let Some(place) = &self.time_physical {
            place.area.touches(&mut note);
        }
        frames
    }

    /// Takes the areas that lie in frames of which `lost` says so.
    fn take_those(&mut self, lost: impl Fn(u64) -> bool) -> Garbage {
        let mut garbage = Garbage::default();
        if matches!(&self.linear, Some(Linear::Once(place)) if place.touches(&lost)) {
            garbage.linear = self.linear.take();
        }
        if matches!(&self.physical, Some(place) if place.touches(&lost)) {
            garbage.physical = self.physical.take();
        }
        if matches!(&self.time_linear, Some(Linear::Once(place)) if place.area.touches(&lost)) {
            garbage.time_linear = self.time_linear.take();
        }
        if matches!(&self.time_physical, Some(place) if place.area.touches(&lost)) {
            garbage.time_physical = self.time_physical.take();
        }
        garbage
    }

    fn take_all(&mut self) -> Garbage {
        Garbage {
            linear: self.linear.take(),
            physical: self.physical.take(),
            time_linear: self.time_linear.take(),
            time_physical: self.time_physical.take(),
        }
    }
}

/// The runstate of one vCPU, and the areas that its guest registered for it.
#[pin_data]
pub(crate) struct VcpuRunstate {
    /// What everybody may read.
    cell: RunstateCell,
    #[pin]
    inner: IrqLock<Inner>,
}

impl VcpuRunstate {
    /// Opens the account of a vCPU that is created, stopped, now.
    pub(super) fn new() -> impl PinInit<Self> {
        let schedule = Schedule::new(clock::now_ns());
        let inner = Inner {
            gfns: [[NO_FRAME; 2]; KINDS],
            schedule,
            flag: false,
            linear: None,
            physical: None,
            time_linear: None,
            time_physical: None,
            updates: 0,
            missed: 0,
        };
        pin_init!(Self {
            cell: RunstateCell::new(schedule.account()),
            inner <- irq_lock(
                inner,
                c"oxen::VcpuRunstate::inner",
                kernel::static_lock_class!()
            ),
        })
    }

    /// Changes the schedule, the copy that everybody reads, and the guest's record.
    #[inline(always)]
    fn update<R>(&self, walk: &impl Walk, change: impl FnOnce(&mut Schedule, u64) -> R) -> R {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        let before = *inner.schedule.account();
        let result = self.cell.update(clock::now_ns, |now| {
            let result = change(&mut inner.schedule, now);
            (*inner.schedule.account(), result)
        });
        let account = *inner.schedule.account();
        if account.state() != before.state() {
            inner.publish(&account, walk);
        }
        result
    }

    /// The scheduler takes the processor from the thread, which is `preempted` or sleeps.
    #[inline]
    pub(crate) fn taken(&self, preempted: bool, walk: &impl Walk) {
        self.update(walk, |schedule, now| schedule.taken(preempted, now));
    }

    /// The scheduler gives the thread a processor.
    #[inline]
    pub(crate) fn given(&self, walk: &impl Walk) {
        self.update(walk, Schedule::given);
    }

    /// Somebody wakes the thread for something that ends a wait. May be called from interrupt handlers.
    pub(super) fn woken(&self) {
        self.update(&NoWalk, Schedule::woken);
    }

    /// A vCPU that was stopped may run, and its thread is on the way.
    pub(super) fn permit(&self) {
        self.update(&NoWalk, Schedule::permit);
    }

    /// For the thread: it is about to look for events, and will sleep if there is none.
    pub(crate) fn look(&self) {
        self.inner.lock().schedule.look();
    }

    /// For the thread: it will wait for an event.
    pub(crate) fn wait(&self) {
        self.inner.lock().schedule.wait();
    }

    /// For the thread: it runs the guest from now on.
    pub(crate) fn run(&self, walk: &impl Walk) {
        self.update(walk, Schedule::run);
    }

    /// For the thread: it stays stopped from now on.
    pub(crate) fn stop(&self, walk: &impl Walk) {
        self.update(walk, Schedule::stop);
    }

    /// For the thread: it starts from a new state, and waits for nothing any more.
    pub(crate) fn restart(&self) {
        self.update(&NoWalk, Schedule::restart);
    }

    /// For the thread: it goes on after a stop; `waits` if the vCPU waits for something still.
    pub(crate) fn resume(&self, waits: bool, walk: &impl Walk) {
        self.update(walk, |schedule, now| schedule.resume(waits, now));
    }

    /// Where the time went up to now. Takes no lock as long as the writer is not at it a thousand times in a row.
    pub(crate) fn snapshot(&self) -> RunstateInfo {
        self.cell.snapshot(clock::now_ns).unwrap_or_else(|| {
            let inner = self.inner.lock();
            inner.schedule.account().snapshot(clock::now_ns())
        })
    }

    /// What the vCPU is doing now. The answer may be old when it arrives.
    pub(crate) fn state(&self) -> State {
        self.cell.state()
    }

    /// How often a record in the guest was updated, and how often that found no memory at its linear address.
    pub(crate) fn updates(&self) -> (u64, u64) {
        let inner = self.inner.lock();
        (inner.updates, inner.missed)
    }

    /// Turns `VMASST_TYPE_runstate_update_flag` on or off.
    pub(super) fn set_flag(&self, on: bool) {
        self.inner.lock().flag = on;
    }

    /// Lays the record that was given by linear address out for a guest of another width (R-11). Where the longer
    /// layout goes on in a page that the shorter one did not need, the area is dropped.
    pub(crate) fn set_layout(&self, layout: Layout) {
        let mut inner = self.inner.lock();
        let old = match &inner.linear {
            Some(Linear::Once(place)) if place.layout() != layout => {
                let new = place.with_layout(layout).ok().map(Linear::Once);
                core::mem::replace(&mut inner.linear, new)
            }
            _ => None,
        };
        drop(inner);
        drop(old);
    }

    /// Fills a record that was found for this moment only.
    pub(crate) fn fill(&self, place: &Place) {
        let inner = self.inner.lock();
        place.publish(inner.schedule.account(), inner.flag);
    }

    /// Locks to enter an area of a kind, which lies in these pages; without pages, to enter none or one that is to be
    /// found each time.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the guest has lost one of the pages meanwhile.
    fn lock_for(
        &self,
        kind: Kind,
        p2m: &P2m,
        pinned: Option<&Stretch>,
    ) -> Result<Guard<'_, Inner, IrqSave>> {
        let mut inner = self.inner.lock();
        if !pinned.is_none_or(|pinned| pinned.is_current(p2m)) {
            return Err(EFAULT);
        }
        // CAST: An index.
        if let Some(gfns) = inner.gfns.get_mut(kind as usize) {
            let [first, second] = pinned.map_or([None; 2], Stretch::gfns);
            *gfns = [first.unwrap_or(NO_FRAME), second.unwrap_or(NO_FRAME)];
        }
        Ok(inner)
    }

    /// Calls `each` with the guest frames that areas lie in, or did: what is written there, nobody notes.
    pub(super) fn each_gfn(&self, each: impl FnMut(u64)) {
        let gfns = self.inner.lock().gfns;
        gfns.into_iter()
            .flatten()
            .filter(|gfn| *gfn != NO_FRAME)
            .for_each(each);
    }

    /// Registers the runstate area by linear address, and fills it unless it is to be found each time. `None`
    /// unregisters.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the guest has lost one of the pages meanwhile; the old area stays then.
    pub(crate) fn set_linear(
        &self,
        p2m: &P2m,
        pinned: Option<&Stretch>,
        new: Option<Linear<Place>>,
    ) -> Result<Garbage> {
        let mut inner = self.lock_for(Kind::Linear, p2m, pinned)?;
        let account = *inner.schedule.account();
        if let Some(Linear::Once(place)) = &new {
            place.publish(&account, inner.flag);
        }
        Ok(Garbage {
            linear: core::mem::replace(&mut inner.linear, new),
            ..Garbage::default()
        })
    }

    /// Registers the runstate area by physical address, and fills it. `None` unregisters.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the guest has lost the page meanwhile; the old area stays then.
    pub(crate) fn set_physical(
        &self,
        p2m: &P2m,
        pinned: Option<&Stretch>,
        new: Option<Place>,
    ) -> Result<Garbage> {
        let mut inner = self.lock_for(Kind::Physical, p2m, pinned)?;
        let account = *inner.schedule.account();
        if let Some(place) = &new {
            place.publish(&account, true);
        }
        Ok(Garbage {
            physical: core::mem::replace(&mut inner.physical, new),
            ..Garbage::default()
        })
    }

    /// Writes what the guest needs to tell the time to the area for that, if there is one. Returns its linear address
    /// if it is to be translated each time.
    pub(crate) fn write_time(&self, info: &TimeInfo) -> Option<u64> {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        match (&mut inner.time_physical, &mut inner.time_linear) {
            (Some(place), _) | (None, Some(Linear::Once(place))) => {
                info.publish(&place.area, &mut place.version);
                None
            }
            (None, Some(Linear::Walk(linear))) => Some(*linear),
            (None, None) => None,
        }
    }

    /// Registers the time area by linear address, and fills it. `None` unregisters.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the guest has lost one of the pages meanwhile; the old area stays then.
    pub(crate) fn set_time_linear(
        &self,
        p2m: &P2m,
        pinned: Option<&Stretch>,
        mut new: Option<Linear<TimePlace>>,
        info: &TimeInfo,
    ) -> Result<Garbage> {
        let mut inner = self.lock_for(Kind::TimeLinear, p2m, pinned)?;
        if let Some(Linear::Once(place)) = &mut new {
            info.publish(&place.area, &mut place.version);
        }
        Ok(Garbage {
            time_linear: core::mem::replace(&mut inner.time_linear, new),
            ..Garbage::default()
        })
    }

    /// Registers the time area by physical address, and fills it. `None` unregisters.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the guest has lost the page meanwhile; the old area stays then.
    pub(crate) fn set_time_physical(
        &self,
        p2m: &P2m,
        pinned: Option<&Stretch>,
        mut new: Option<TimePlace>,
        info: &TimeInfo,
    ) -> Result<Garbage> {
        let mut inner = self.lock_for(Kind::TimePhysical, p2m, pinned)?;
        if let Some(place) = &mut new {
            info.publish(&place.area, &mut place.version);
        }
        Ok(Garbage {
            time_physical: core::mem::replace(&mut inner.time_physical, new),
            ..Garbage::default()
        })
    }

    /// Drops all areas. From the return on nothing is written to any of them (R-10).
    pub(super) fn drop_areas(&self) {
        let garbage = self.inner.lock().take_all();
        drop(garbage);
    }

    /// Drops all areas of a vCPU that goes offline. The last that the guest finds in the record is that.
    pub(super) fn close(&self) {
        let mut inner = self.inner.lock();
        let mut account = *inner.schedule.account();
        // Who waits for an event is blocked, also offline.
        if account.state() != State::Blocked {
            account.change(State::Offline, clock::now_ns());
        }
        if !matches!(inner.linear, Some(Linear::Walk(_))) {
            inner.publish(&account, &NoWalk);
        }
        let garbage = inner.take_all();
        drop(inner);
        drop(garbage);
    }

    /// Drops the areas that lie in pages which the guest has lost.
    pub(super) fn forget(&self, lost: impl Fn(u64) -> bool) {
        // Looked through without the lock. What is registered meanwhile lies in pages that the guest still has.
        let frames = self.inner.lock().frames();
        if !frames.into_iter().any(|mfn| mfn != NO_FRAME && lost(mfn)) {
            return;
        }
        let garbage = self.inner.lock().take_those(lost);
        drop(garbage);
    }
}
