// SPDX-License-Identifier: GPL-2.0-only

//! A vCPU's runstate: where its time goes.
//!
//! The vCPU's thread, the scheduler's callbacks in that thread, and whoever wakes it change the state, each for a few
//! stores under one lock that is held with interrupts off. Readers, be they guests or tools, take no lock: they read
//! the copy in the cell.

use pin_init::{
    pin_data,
    pin_init,
    PinInit, //
};

use super::clock;
use crate::abi::vcpu::RunstateInfo;
use crate::sys::irqlock::{
    irq_lock,
    IrqLock, //
};
use crate::time::runstate::cell::RunstateCell;
use crate::time::runstate::schedule::Schedule;
use crate::time::runstate::State;

/// The runstate of one vCPU.
#[pin_data]
pub(crate) struct VcpuRunstate {
    /// What everybody may read.
    cell: RunstateCell,
    #[pin]
    schedule: IrqLock<Schedule>,
}

impl VcpuRunstate {
    /// Opens the account of a vCPU that is created, stopped, now.
    pub(super) fn new() -> impl PinInit<Self> {
        let schedule = Schedule::new(clock::now_ns());
        pin_init!(Self {
            cell: RunstateCell::new(schedule.account()),
            schedule <- irq_lock(
                schedule,
                c"oxen::VcpuRunstate::schedule",
                kernel::static_lock_class!()
            ),
        })
    }

    #[inline(always)]
    fn update<R>(&self, change: impl FnOnce(&mut Schedule, u64) -> R) -> R {
        let mut schedule = self.schedule.lock();
        self.cell.update(clock::now_ns, |now| {
            let result = change(&mut schedule, now);
            (*schedule.account(), result)
        })
    }

    /// The scheduler takes the processor from the thread, which is `preempted` or sleeps.
    pub(crate) fn taken(&self, preempted: bool) {
        self.update(|schedule, now| schedule.taken(preempted, now));
    }

    /// The scheduler gives the thread a processor.
    pub(crate) fn given(&self) {
        self.update(Schedule::given);
    }

    /// Somebody wakes the thread, for an `event` or for something that the guest does not notice. May be called from
    /// interrupt handlers.
    pub(super) fn woken(&self, event: bool) {
        self.update(|schedule, now| schedule.woken(event, now));
    }

    /// A vCPU that was stopped may run, and its thread is on the way.
    pub(super) fn permit(&self) {
        self.update(Schedule::permit);
    }

    /// For the thread: it is about to look for events, and will sleep if there is none.
    pub(crate) fn look(&self) {
        self.schedule.lock().look();
    }

    /// For the thread: it will wait for an event.
    pub(crate) fn wait(&self) {
        self.schedule.lock().wait();
    }

    /// For the thread: it runs the guest from now on.
    pub(crate) fn run(&self) {
        self.update(Schedule::run);
    }

    /// For the thread: it stays stopped from now on.
    pub(crate) fn stop(&self) {
        self.update(Schedule::stop);
    }

    /// For the thread: it starts from a new state, and waits for nothing any more.
    pub(crate) fn restart(&self) {
        self.update(Schedule::restart);
    }

    /// For the thread: it goes on after a stop; `waits` if the vCPU waits for something still.
    pub(crate) fn resume(&self, waits: bool) {
        self.update(|schedule, now| schedule.resume(waits, now));
    }

    /// Where the time went up to now. Takes no lock as long as the writer is not at it a thousand times in a row.
    pub(crate) fn snapshot(&self) -> RunstateInfo {
        self.cell.snapshot(clock::now_ns).unwrap_or_else(|| {
            let schedule = self.schedule.lock();
            schedule.account().snapshot(clock::now_ns())
        })
    }

    /// What the vCPU is doing now. The answer may be old when it arrives.
    pub(crate) fn state(&self) -> State {
        self.cell.state()
    }
}
