// SPDX-License-Identifier: GPL-2.0-only

//! Where a vCPU's time went.
//!
//! [`Runstate`] is the account, kept by one writer. [`RunstateCell`] is a copy that anybody may
//! read without a lock: a guest asking about another vCPU, or a tool, cannot hold the writer up.

use crate::abi::vcpu::{
    RunstateInfo,
    RUNSTATE_BLOCKED,
    RUNSTATE_OFFLINE,
    RUNSTATE_RUNNABLE,
    RUNSTATE_RUNNING, //
};
use crate::sys::atomic::{
    fence,
    AtomicU32,
    AtomicU64,
    Ordering, //
};

/// What a vCPU is doing. A vCPU that waits for an event is blocked even if it is also paused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub(crate) enum State {
    /// It has a processor.
    Running = RUNSTATE_RUNNING,
    /// It would run, but others have the processors.
    Runnable = RUNSTATE_RUNNABLE,
    /// It waits for an event.
    Blocked = RUNSTATE_BLOCKED,
    /// It is paused or down.
    Offline = RUNSTATE_OFFLINE,
}

impl State {
    /// Returns the state with this number.
    const fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            0 => Self::Running,
            1 => Self::Runnable,
            2 => Self::Blocked,
            3 => Self::Offline,
            _ => return None,
        })
    }
}

/// The account of one vCPU.
///
/// # Invariants
///
/// The four times sum to the time from creation to the last change, and none ever decreases.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Runstate {
    state: State,
    /// System time of the last change, nanoseconds.
    entered: u64,
    /// Nanoseconds spent in each state before the last change.
    time: [u64; 4],
}

impl Runstate {
    /// Opens the account of a vCPU that is created now.
    pub(crate) const fn new(state: State, now_ns: u64) -> Self {
        Self {
            state,
            entered: now_ns,
            time: [0; 4],
        }
    }

    /// Returns the state.
    pub(crate) const fn state(&self) -> State {
        self.state
    }

    /// Changes the state. Time that seems to run backwards, as between processors whose clocks were
    /// read in the other order, stands still instead.
    pub(crate) fn change(&mut self, state: State, now_ns: u64) {
        let now = now_ns.max(self.entered);
        // INVARIANT: What is added to the times is what is added to `entered`.
        self.charge(now);
        self.entered = now;
        self.state = state;
    }

    /// Returns the account up to the last change, as it stands in the guest's area: the times sum
    /// to what `state_entry_time` is later than the creation.
    pub(crate) fn info(&self) -> RunstateInfo {
        RunstateInfo {
            // CAST: the numbers of the states are Xen's.
            state: self.state as i32,
            _pad: 0,
            state_entry_time: self.entered,
            time: self.time,
        }
    }

    /// Returns the account up to now, as `VCPUOP_get_runstate_info` does: the time since the last
    /// change is in the current state's time, while `state_entry_time` stays.
    pub(crate) fn snapshot(&self, now_ns: u64) -> RunstateInfo {
        let mut now = *self;
        now.charge(now_ns);
        now.info()
    }

    /// Adds the time since the last change to the current state's.
    fn charge(&mut self, now_ns: u64) {
        // CAST: 0 to 3.
        if let Some(time) = self.time.get_mut(self.state as usize) {
            *time = time.saturating_add(now_ns.saturating_sub(self.entered));
        }
    }
}

/// How often a reader tries. A writer is through in a few stores and cannot be held up by readers,
/// so the second try nearly always succeeds.
const TRIES: u32 = 1000;

/// A copy of the account that can be read at any time from any context, without a lock.
pub(crate) struct RunstateCell {
    /// Odd while the words are written.
    sequence: AtomicU32,
    /// State, time of entry, the four times.
    words: [AtomicU64; 6],
}

#[cfg_attr(not(test), expect(dead_code, reason = "runstate areas"))]
impl RunstateCell {
    /// Makes a cell that holds `account`.
    pub(crate) fn new(account: &Runstate) -> Self {
        let words = Self::words_of(account);
        Self {
            sequence: AtomicU32::new(0),
            words: words.map(AtomicU64::new),
        }
    }

    fn words_of(account: &Runstate) -> [u64; 6] {
        let [running, runnable, blocked, offline] = account.time;
        [
            // CAST: 0 to 3.
            account.state as u64,
            account.entered,
            running,
            runnable,
            blocked,
            offline,
        ]
    }

    /// Replaces the copy. There is one writer at a time, and it is not interrupted by another: the
    /// caller has preemption off, because the scheduler's notifier on the same processor writes
    /// too.
    pub(crate) fn publish(&self, account: &Runstate) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence
            .store(sequence.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        for (word, value) in self.words.iter().zip(Self::words_of(account)) {
            word.store(value, Ordering::Relaxed);
        }
        self.sequence
            .store(sequence.wrapping_add(2), Ordering::Release);
    }

    /// Returns the account, or `None` if it changed all the time while it was read; the caller may
    /// try again.
    pub(crate) fn read(&self) -> Option<Runstate> {
        (0..TRIES).find_map(|_| self.try_read())
    }

    fn try_read(&self) -> Option<Runstate> {
        let before = self.sequence.load(Ordering::Acquire);
        if before & 1 != 0 {
            core::hint::spin_loop();
            return None;
        }
        let [state, entered, time @ ..] = &self.words;
        let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let (state, entered) = (load(state), load(entered));
        let time = time.each_ref().map(load);
        fence(Ordering::Acquire);
        if self.sequence.load(Ordering::Relaxed) != before {
            return None;
        }
        Some(Runstate {
            state: State::from_number(state)?,
            entered,
            time,
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::AtomicBool;
    use std::sync::Arc;

    const STATES: [State; 4] = [
        State::Running,
        State::Runnable,
        State::Blocked,
        State::Offline,
    ];

    #[test]
    fn charges_the_state_that_was() {
        let mut account = Runstate::new(State::Offline, 100);
        account.change(State::Runnable, 150);
        account.change(State::Running, 160);
        assert_eq!(account.snapshot(170).time, [10, 10, 0, 50]);
        assert_eq!(account.snapshot(170).state_entry_time, 160);
        assert_eq!(account.info().time, [0, 10, 0, 50]);
        account.change(State::Blocked, 155);
        assert_eq!(account.info().state_entry_time, 160, "R-9 never back");
        assert_eq!(account.snapshot(10).time, [0, 10, 0, 50]);
        assert_eq!(account.state(), State::Blocked);
        assert_eq!(account.info().state, 2);
    }

    #[test]
    fn numbers_are_xens() {
        for (number, state) in STATES.into_iter().enumerate() {
            assert_eq!(state as usize, number);
            assert_eq!(State::from_number(number as u64), Some(state));
        }
        assert_eq!(State::from_number(4), None);
    }

    proptest! {
        /// the sum is the time of entry less the creation, and nothing ever decreases.
        #[test]
        fn sum_equals_entry_time(
            created in 0u64..1 << 50,
            steps in proptest::collection::vec((0usize..4, -1000i64..1_000_000), 0..200),
        ) {
            let mut account = Runstate::new(State::Offline, created);
            let mut clock = created;
            for (state, delta) in steps {
                clock = clock.saturating_add_signed(delta);
                let before = account.info();
                let snapshot = account.snapshot(clock);
                account.change(STATES[state], clock);
                let after = account.info();
                let sum: u64 = after.time.iter().sum();
                prop_assert_eq!(sum, after.state_entry_time - created);
                prop_assert!(after.state_entry_time >= before.state_entry_time);
                for n in 0..4 {
                    prop_assert!(after.time[n] >= before.time[n]);
                }
                prop_assert_eq!(snapshot.time, after.time);
                prop_assert_eq!(snapshot.state, before.state);
            }
        }

        #[test]
        fn cell_holds_what_was_published(
            states in proptest::collection::vec((0usize..4, any::<u64>()), 1..20),
        ) {
            let mut account = Runstate::new(State::Running, 0);
            let cell = RunstateCell::new(&account);
            prop_assert_eq!(cell.read(), Some(account));
            for (state, now) in states {
                account.change(STATES[state], now);
                cell.publish(&account);
                prop_assert_eq!(cell.read(), Some(account));
            }
        }
    }

    /// a reader without a lock sees sums that are right, always.
    #[test]
    fn readers_see_whole_accounts() {
        let mut account = Runstate::new(State::Offline, 0);
        let cell = Arc::new(RunstateCell::new(&account));
        let stop = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (cell, stop) = (cell.clone(), stop.clone());
                std::thread::spawn(move || {
                    let (mut last, mut seen) = (0, 0u32);
                    while !stop.load(Ordering::Relaxed) || seen == 0 {
                        if let Some(account) = cell.read() {
                            let info = account.info();
                            assert_eq!(info.time.iter().sum::<u64>(), info.state_entry_time);
                            assert!(info.state_entry_time >= last);
                            last = info.state_entry_time;
                            seen += 1;
                        }
                    }
                })
            })
            .collect();
        for n in 1..200_000u64 {
            account.change(STATES[n as usize * 7 / 3 % 4], n * 11);
            cell.publish(&account);
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().unwrap();
        }
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::interleave::check;
    use loom::sync::Arc;
    use loom::thread;

    /// under every interleaving a reader sees one of the published accounts or none.
    #[test]
    fn loom_runstate_is_never_torn() {
        check(|| {
            let mut account = Runstate::new(State::Offline, 0);
            let cell = Arc::new(RunstateCell::new(&account));
            let reader = {
                let cell = cell.clone();
                thread::spawn(move || {
                    if let Some(account) = cell.try_read() {
                        let info = account.info();
                        assert_eq!(info.time.iter().sum::<u64>(), info.state_entry_time);
                        assert_eq!(info.state == RUNSTATE_RUNNING, info.state_entry_time == 5);
                    }
                })
            };
            account.change(State::Running, 5);
            cell.publish(&account);
            account.change(State::Blocked, 12);
            cell.publish(&account);
            reader.join().unwrap();
            assert_eq!(cell.try_read(), Some(account));
        });
    }
}
