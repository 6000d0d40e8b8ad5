// SPDX-License-Identifier: GPL-2.0-only

//! Who is inside the hypervisor's code.
//!
//! Everything that can run it comes through here: calls of tools are counted, each vCPU's thread has a [`Seat`], and
//! timers are counted. The code can be changed while nobody is inside. Whoever changes it closes the gate in stages,
//! because of who waits for whom: a tool's call may wait for a vCPU to stop, or for a lock that is held where a process
//! changes its mappings, so these go on until no tool is inside; threads may wait for nothing but interrupts.
//! Those who find it closed wait outside, in code that is never changed (`hold.rs`).
//!
//! Each side says what it is about to do and then looks at what the other said, with a fence between the two: of a
//! thread that enters and the one who closes, at least one sees the other. Who leaves releases what it has read, and
//! the one who finds nobody inside has acquired it; the same of the changed code when the gate opens.

use crate::sys::atomic::{
    fence,
    AtomicU32,
    Ordering, //
};

/// How far the gate is closed. A stage closes to all that an earlier one closes to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u32)]
pub(crate) enum Stage {
    /// Open.
    Open = 0,
    /// Closed to tools.
    Tools = 1,
    /// Closed to vCPUs' threads, and to processes that change mappings.
    Threads = 2,
    /// Closed to timers and to what the scheduler calls.
    Timers = 3,
}

/// The gate.
pub(crate) struct Gate {
    /// A [`Stage`].
    stage: AtomicU32,
    /// Tools' calls that are inside.
    tools: AtomicU32,
    /// Processes that change mappings and are inside.
    mappings: AtomicU32,
    /// Timers that are inside.
    timers: AtomicU32,
}

// Methods are inlined into their callers, which are not changed: so these are not, either.
impl Gate {
    /// An open gate.
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self {
            stage: AtomicU32::new(0),
            tools: AtomicU32::new(0),
            mappings: AtomicU32::new(0),
            timers: AtomicU32::new(0),
        }
    }

    /// An open gate.
    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self {
            stage: AtomicU32::new(0),
            tools: AtomicU32::new(0),
            mappings: AtomicU32::new(0),
            timers: AtomicU32::new(0),
        }
    }

    #[inline(always)]
    fn is_closed(&self, stage: Stage) -> bool {
        self.stage.load(Ordering::Acquire) >= stage as u32
    }

    #[inline(always)]
    fn try_count(&self, counter: &AtomicU32, stage: Stage) -> bool {
        counter.fetch_add(1, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        if self.is_closed(stage) {
            counter.fetch_sub(1, Ordering::AcqRel);
            return false;
        }
        true
    }

    /// A tool's call enters, unless the gate is closed to them.
    #[inline(always)]
    pub(crate) fn try_enter(&self) -> bool {
        self.try_count(&self.tools, Stage::Tools)
    }

    /// A tool's call leaves.
    #[inline(always)]
    pub(crate) fn leave(&self) {
        self.tools.fetch_sub(1, Ordering::AcqRel);
    }

    /// A process that changes mappings enters, unless the gate is closed to them.
    #[inline(always)]
    pub(crate) fn try_enter_mapping(&self) -> bool {
        self.try_count(&self.mappings, Stage::Threads)
    }

    /// A process that changes mappings leaves.
    #[inline(always)]
    pub(crate) fn leave_mapping(&self) {
        self.mappings.fetch_sub(1, Ordering::AcqRel);
    }

    /// A timer enters, unless the gate is closed to them.
    #[inline(always)]
    pub(crate) fn try_enter_timer(&self) -> bool {
        self.try_count(&self.timers, Stage::Timers)
    }

    /// A timer leaves.
    #[inline(always)]
    pub(crate) fn leave_timer(&self) {
        self.timers.fetch_sub(1, Ordering::AcqRel);
    }

    /// Closes or opens. For the one who changes the code; there is one at a time.
    #[inline(always)]
    pub(crate) fn set(&self, stage: Stage) {
        self.stage.store(stage as u32, Ordering::Release);
        fence(Ordering::SeqCst);
    }

    /// The word that is 0 while the gate is open.
    #[inline(always)]
    pub(crate) fn stage_word(&self) -> &AtomicU32 {
        &self.stage
    }

    /// Tools' calls that are inside, or look whether they may be.
    #[inline(always)]
    pub(crate) fn tools(&self) -> u32 {
        self.tools.load(Ordering::Acquire)
    }

    /// Processes that change mappings and are inside, or look whether they may be.
    #[inline(always)]
    pub(crate) fn mappings(&self) -> u32 {
        self.mappings.load(Ordering::Acquire)
    }

    /// Timers that are inside, or look whether they may be.
    #[inline(always)]
    pub(crate) fn timers(&self) -> u32 {
        self.timers.load(Ordering::Acquire)
    }
}

/// The place of a thread that goes in and out often, in memory of its own.
pub(crate) struct Seat {
    place: AtomicU32,
    /// 1 if the scheduler called for the thread when the gate was closed to it.
    missed: AtomicU32,
}

/// Outside, inside, or outside because the gate was closed.
const OUT: u32 = 0;
const IN: u32 = 1;
const HELD: u32 = 2;

impl Seat {
    /// The thread is outside.
    pub(crate) fn new() -> Self {
        Self {
            place: AtomicU32::new(OUT),
            missed: AtomicU32::new(0),
        }
    }

    /// The thread enters, unless the gate is closed to threads. One that is refused is woken when the gate opens; it
    /// has to be prepared for that before it tries.
    #[inline(always)]
    pub(crate) fn try_enter(&self, gate: &Gate) -> bool {
        loop {
            self.take(IN);
            if !gate.is_closed(Stage::Threads) {
                return true;
            }
            self.take(HELD);
            if gate.is_closed(Stage::Threads) {
                return false;
            }
            // Opened meanwhile, perhaps by one who saw that nobody was held. Each round needs such a moment.
        }
    }

    /// Says where the thread is, before it looks at the gate.
    #[inline(always)]
    fn take(&self, place: u32) {
        self.place.store(place, Ordering::Release);
        fence(Ordering::SeqCst);
    }

    /// The thread leaves.
    #[inline(always)]
    pub(crate) fn leave(&self) {
        self.place.store(OUT, Ordering::Release);
    }

    /// Whether the thread is inside, or looks whether it may be.
    #[inline(always)]
    pub(crate) fn is_inside(&self) -> bool {
        self.place.load(Ordering::Acquire) == IN
    }

    /// Whether the thread is to be woken when the gate has opened: it waits for that, or missed a call.
    #[inline(always)]
    pub(crate) fn is_held(&self) -> bool {
        self.place.load(Ordering::Acquire) == HELD || self.missed.load(Ordering::Acquire) != 0
    }

    /// Runs what the scheduler calls for the thread. If the gate is closed to that, it is noted instead, and the thread
    /// woken when the gate opens.
    #[inline(always)]
    pub(crate) fn scheduled(&self, gate: &Gate, call: impl Fn()) {
        for again in [true, false] {
            if gate.try_enter_timer() {
                if !again {
                    self.missed.store(0, Ordering::Release);
                }
                call();
                gate.leave_timer();
                return;
            }
            self.missed.store(1, Ordering::Release);
            fence(Ordering::SeqCst);
            // Opened meanwhile, perhaps by one who saw that nothing was missed.
            if !again || gate.is_closed(Stage::Timers) {
                return;
            }
        }
    }

    /// For the thread: whether calls of the scheduler were missed since this was asked last.
    #[inline(always)]
    pub(crate) fn take_missed(&self) -> bool {
        self.missed.load(Ordering::Acquire) != 0 && self.missed.swap(0, Ordering::AcqRel) != 0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_stage_closes_to_one_kind_more() {
        let (gate, seat) = (Gate::new(), Seat::new());
        for (stage, tool, thread, timer) in [
            (Stage::Open, true, true, true),
            (Stage::Tools, false, true, true),
            (Stage::Threads, false, false, true),
            (Stage::Timers, false, false, false),
        ] {
            gate.set(stage);
            assert_eq!(gate.try_enter(), tool);
            assert_eq!(gate.tools(), tool.into());
            if tool {
                gate.leave();
            }
            assert_eq!(seat.try_enter(&gate), thread);
            assert_eq!((seat.is_inside(), seat.is_held()), (thread, !thread));
            seat.leave();
            assert_eq!(gate.try_enter_timer(), timer);
            assert_eq!(gate.timers(), timer.into());
            if timer {
                gate.leave_timer();
            }
            assert_eq!(gate.try_enter_mapping(), thread);
            assert_eq!(gate.mappings(), thread.into());
            if thread {
                gate.leave_mapping();
            }
            let called = core::cell::Cell::new(0);
            seat.scheduled(&gate, || called.set(called.get() + 1));
            assert_eq!((called.get() == 1, seat.is_held()), (timer, !timer));
            assert_eq!(seat.take_missed(), !timer);
            assert!(!seat.take_missed());
        }
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::interleave::check;
    use loom::sync::Arc;

    /// What is inside must not see the code change, and the change must not see anybody inside.
    struct Shared {
        gate: Gate,
        seat: Seat,
        code: loom::cell::UnsafeCell<u32>,
        woken: AtomicU32,
    }

    fn shared() -> Arc<Shared> {
        Arc::new(Shared {
            gate: Gate::new(),
            seat: Seat::new(),
            code: loom::cell::UnsafeCell::new(0),
            woken: AtomicU32::new(0),
        })
    }

    fn run(shared: &Shared) {
        // Loom finds two who are here at once when one of them writes.
        shared.code.with(|_| {});
    }

    fn change(shared: &Shared) {
        shared.code.with_mut(|_| {});
    }

    #[test]
    fn loom_nobody_is_inside_while_code_changes() {
        check(|| {
            let shared = shared();
            let other = shared.clone();
            let thread = loom::thread::spawn(move || {
                if other.seat.try_enter(&other.gate) {
                    run(&other);
                    other.seat.leave();
                }
                if other.gate.try_enter() {
                    run(&other);
                    other.gate.leave();
                }
                if other.gate.try_enter_timer() {
                    run(&other);
                    other.gate.leave_timer();
                }
            });
            shared.gate.set(Stage::Tools);
            if shared.gate.tools() == 0 {
                shared.gate.set(Stage::Threads);
                if !shared.seat.is_inside() {
                    shared.gate.set(Stage::Timers);
                    if shared.gate.timers() == 0 {
                        change(&shared);
                    }
                }
            }
            shared.gate.set(Stage::Open);
            thread.join().unwrap();
        });
    }

    #[test]
    fn loom_a_thread_that_is_held_is_woken() {
        check(|| {
            let shared = shared();
            let other = shared.clone();
            let thread = loom::thread::spawn(move || {
                let entered = other.seat.try_enter(&other.gate);
                if entered {
                    run(&other);
                    other.seat.leave();
                }
                entered
            });
            for _ in 0..2 {
                shared.gate.set(Stage::Threads);
                if !shared.seat.is_inside() {
                    change(&shared);
                }
                shared.gate.set(Stage::Open);
                if shared.seat.is_held() {
                    shared.woken.store(1, Ordering::SeqCst);
                }
            }
            let entered = thread.join().unwrap();
            assert!(entered || shared.woken.load(Ordering::SeqCst) != 0);
        });
    }

    #[test]
    fn loom_a_thread_that_missed_a_call_is_woken() {
        check(|| {
            let shared = shared();
            let other = shared.clone();
            let thread = loom::thread::spawn(move || {
                other.seat.scheduled(&other.gate, || run(&other));
            });
            shared.gate.set(Stage::Timers);
            if shared.gate.timers() == 0 {
                change(&shared);
            }
            shared.gate.set(Stage::Open);
            let woken = shared.seat.is_held();
            thread.join().unwrap();
            assert!(woken || !shared.seat.take_missed());
        });
    }
}
