// SPDX-License-Identifier: GPL-2.0-only

//! Where a vCPU's time went.
//!
//! [`Runstate`] is the arithmetic of an account. [`schedule::Schedule`] decides which state a vCPU
//! is in, from what the host's scheduler and the vCPU's own thread tell it. [`cell::RunstateCell`]
//! is a copy of the account that anybody may read without a lock: a guest that asks about another
//! vCPU, or a tool, cannot hold the writer up. [`record`] is how an account is written to a guest's
//! memory while the guest reads it, and [`place`] where that is.

pub(crate) mod cell;
pub(crate) mod place;
pub(crate) mod record;
pub(crate) mod schedule;

use crate::abi::vcpu::{
    RunstateInfo,
    RUNSTATE_BLOCKED,
    RUNSTATE_OFFLINE,
    RUNSTATE_RUNNABLE,
    RUNSTATE_RUNNING, //
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

#[cfg(all(test, not(loom)))]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(super) const STATES: [State; 4] = [
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
    }
}
