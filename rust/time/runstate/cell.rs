// SPDX-License-Identifier: GPL-2.0-only

//! A copy of an account that can be read at any time without a lock.
//!
//! Readers see whole accounts because a sequence number tells them when to try again. That the times
//! never go back takes more: a reader adds the time since the last change to the state that it
//! found, and the writer must not charge less of it when that state ends. So a reader says up to
//! when it has counted before it looks whether the account is still the same, and the writer says
//! that it changes the account before it asks for that. Whoever comes second sees the other.

use crate::abi::vcpu::RunstateInfo;
use crate::sys::atomic::{
    fence,
    AtomicU32,
    AtomicU64,
    Ordering, //
};

use super::{
    Runstate,
    State, //
};

/// How often a reader tries. A writer is through in a few stores and cannot be held up by readers,
/// so the second try nearly always succeeds.
const TRIES: u32 = 1000;

/// The copy.
pub(crate) struct RunstateCell {
    /// Odd while the words are written.
    sequence: AtomicU32,
    /// Up to when readers have counted, nanoseconds.
    counted: AtomicU64,
    /// State, time of entry, the four times.
    words: [AtomicU64; 6],
}

impl RunstateCell {
    /// Makes a cell that holds `account`.
    pub(crate) fn new(account: &Runstate) -> Self {
        let words = Self::words_of(account);
        Self {
            sequence: AtomicU32::new(0),
            counted: AtomicU64::new(0),
            words: words.map(AtomicU64::new),
        }
    }

    #[inline(always)]
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

    /// Replaces the copy by the account that `change` makes for the time it is passed, which is that
    /// of `clock`, or a little later. Returns what else `change` says. There is one writer at a
    /// time, and it is not interrupted by another: the caller holds a lock with interrupts off.
    #[inline(always)]
    pub(crate) fn update<R>(
        &self,
        clock: impl FnOnce() -> u64,
        change: impl FnOnce(u64) -> (Runstate, R),
    ) -> R {
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence
            .store(sequence.wrapping_add(1), Ordering::Relaxed);
        // Pairs with the one in `try_read`. It also keeps the words behind the odd number.
        fence(Ordering::SeqCst);
        let (account, result) = change(clock().max(self.counted.load(Ordering::Relaxed)));
        for (word, value) in self.words.iter().zip(Self::words_of(&account)) {
            word.store(value, Ordering::Relaxed);
        }
        self.sequence
            .store(sequence.wrapping_add(2), Ordering::Release);
        result
    }

    /// Returns the account up to now, or `None` if it changed all the time while it was read; the
    /// caller may try again.
    pub(crate) fn snapshot(&self, clock: impl Fn() -> u64) -> Option<RunstateInfo> {
        (0..TRIES).find_map(|_| self.try_read(&clock))
    }

    /// Returns the state. The answer may be old when it arrives.
    pub(crate) fn state(&self) -> State {
        let [state, ..] = &self.words;
        State::from_number(state.load(Ordering::Relaxed)).unwrap_or(State::Offline)
    }

    fn try_read(&self, clock: impl Fn() -> u64) -> Option<RunstateInfo> {
        let before = self.sequence.load(Ordering::Acquire);
        if before & 1 != 0 {
            core::hint::spin_loop();
            return None;
        }
        let [state, entered, time @ ..] = &self.words;
        let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let (state, entered) = (load(state), load(entered));
        let time = time.each_ref().map(load);
        let now = clock();
        self.counted.fetch_max(now, Ordering::Relaxed);
        // Pairs with the one in `update`. It also keeps the words before the second look.
        fence(Ordering::SeqCst);
        if self.sequence.load(Ordering::Relaxed) != before {
            return None;
        }
        let account = Runstate {
            state: State::from_number(state)?,
            entered,
            time,
        };
        Some(account.snapshot(now))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::tests::STATES;
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::AtomicBool;
    use std::sync::Arc;

    proptest! {
        #[test]
        fn holds_what_was_published(
            states in proptest::collection::vec((0usize..4, any::<u64>(), any::<u32>()), 1..20),
        ) {
            let mut account = Runstate::new(State::Running, 0);
            let cell = RunstateCell::new(&account);
            prop_assert_eq!(cell.snapshot(|| 7), Some(account.snapshot(7)));
            let mut latest = 7;
            for (state, now, later) in states {
                let now = now >> 1;
                let at = cell.update(|| now, |at| {
                    account.change(STATES[state], at);
                    (account, at)
                });
                prop_assert_eq!(at, now.max(latest), "R-9 not before what was told");
                prop_assert_eq!(cell.state(), account.state());
                let later = now + u64::from(later);
                latest = latest.max(later);
                prop_assert_eq!(cell.snapshot(|| later), Some(account.snapshot(later)));
            }
        }
    }

    /// readers without a lock see sums that are right and times that never go back,
    /// though the clock goes on while they read.
    #[test]
    fn readers_see_whole_accounts() {
        let mut account = Runstate::new(State::Offline, 0);
        let cell = Arc::new(RunstateCell::new(&account));
        let clock = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (cell, stop, clock) = (cell.clone(), stop.clone(), clock.clone());
                std::thread::spawn(move || {
                    let (mut last, mut seen) = ([0; 4], 0u32);
                    while !stop.load(Ordering::Relaxed) || seen == 0 {
                        let now = || clock.fetch_add(1, Ordering::Relaxed);
                        let before = now();
                        let Some(info) = cell.snapshot(now) else {
                            continue;
                        };
                        let sum = info.time.iter().sum::<u64>();
                        assert!(sum >= info.state_entry_time && sum >= before);
                        for (now, before) in info.time.iter().zip(last) {
                            assert!(*now >= before, "{:?} after {last:?}", info.time);
                        }
                        last = info.time;
                        seen += 1;
                    }
                })
            })
            .collect();
        for n in 1..200_000usize {
            let now = || clock.fetch_add(5, Ordering::Relaxed);
            cell.update(now, |now| {
                account.change(STATES[n * 7 / 3 % 4], now);
                (account, ())
            });
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
                    if let Some(info) = cell.try_read(|| 0) {
                        assert_eq!(info.time.iter().sum::<u64>(), info.state_entry_time);
                        assert_eq!(info.state == 0, info.state_entry_time == 5);
                    }
                })
            };
            for (state, at) in [(State::Running, 5), (State::Blocked, 12)] {
                cell.update(
                    || at,
                    |now| {
                        account.change(state, now);
                        (account, ())
                    },
                );
            }
            reader.join().unwrap();
            assert_eq!(cell.try_read(|| 12), Some(account.info()));
        });
    }

    /// what a reader has counted is not taken back by a change whose clock was read earlier.
    #[test]
    fn loom_runstate_never_goes_back() {
        check(|| {
            let mut account = Runstate::new(State::Running, 0);
            let cell = Arc::new(RunstateCell::new(&account));
            let reader = {
                let cell = cell.clone();
                thread::spawn(move || cell.try_read(|| 9))
            };
            cell.update(
                || 4,
                |now| {
                    account.change(State::Blocked, now);
                    (account, ())
                },
            );
            let told = reader.join().unwrap();
            let now = cell.try_read(|| 9).unwrap();
            if let Some(told) = told {
                for (now, told) in now.time.iter().zip(told.time) {
                    assert!(*now >= told);
                }
            }
            assert_eq!(now.time.iter().sum::<u64>(), 9);
        });
    }
}
