// SPDX-License-Identifier: GPL-2.0-only

//! Which state a vCPU is in, and since when.
//!
//! A vCPU is a thread, and two sides know parts of the answer. The thread knows what it is up to:
//! to run the guest, to wait for an event as HLT does, or to stay stopped. The host's scheduler
//! knows when the thread has a processor. A third side wakes the thread: from then on a vCPU that
//! waited is runnable, though the scheduler may take its time.
//!
//! ```text
//!  thread     scheduler takes the processor          gives it             woken by an event
//!  -------    -----------------------------          --------             -----------------
//!  runs       runnable                               running
//!  waits      blocked, or runnable if preempted      running if woken     blocked -> runnable
//!  stopped    (no change)                            (no change)          blocked -> offline
//! ```
//!
//! A thread that waits may be made to run by something that is no event for the guest, a pause for
//! example. The vCPU stays blocked then, as in Xen, also while it is paused.

use super::{
    Runstate,
    State, //
};

/// What the thread is up to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Intent {
    /// Run the guest.
    Run,
    /// Wait for an event.
    Wait,
    /// Stay stopped; `waiting` if the vCPU waited for an event when it was stopped.
    Stop { waiting: bool },
}

/// The account of a vCPU with what decides its state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Schedule {
    account: Runstate,
    intent: Intent,
    /// An event came since the thread last looked for one.
    woken: bool,
}

impl Schedule {
    /// Opens the account of a vCPU that is created, stopped, now.
    pub(crate) const fn new(now_ns: u64) -> Self {
        Self {
            account: Runstate::new(State::Offline, now_ns),
            intent: Intent::Stop { waiting: false },
            woken: false,
        }
    }

    /// Returns the account.
    #[inline(always)]
    pub(crate) const fn account(&self) -> &Runstate {
        &self.account
    }

    /// Enters `state` unless it is that already.
    #[inline(always)]
    fn enter(&mut self, state: State, now_ns: u64) {
        if self.account.state() != state {
            self.account.change(state, now_ns);
        }
    }

    /// The scheduler takes the processor from the thread. `preempted` says that the thread goes on
    /// as soon as it gets one again; otherwise it sleeps.
    #[inline(always)]
    pub(crate) fn taken(&mut self, preempted: bool, now_ns: u64) {
        let state = match self.intent {
            Intent::Run => State::Runnable,
            Intent::Wait if self.account.state == State::Blocked => return,
            Intent::Wait if preempted || self.woken => State::Runnable,
            Intent::Wait => State::Blocked,
            Intent::Stop { .. } => return,
        };
        self.enter(state, now_ns);
    }

    /// The scheduler gives the thread a processor.
    #[inline(always)]
    pub(crate) fn given(&mut self, now_ns: u64) {
        match self.intent {
            Intent::Run => self.enter(State::Running, now_ns),
            Intent::Wait if self.account.state == State::Runnable => {
                self.enter(State::Running, now_ns);
            }
            Intent::Wait | Intent::Stop { .. } => {}
        }
    }

    /// Somebody wakes the thread for something that ends a wait.
    pub(crate) fn woken(&mut self, now_ns: u64) {
        match self.intent {
            Intent::Run => {}
            Intent::Wait => {
                self.woken = true;
                if self.account.state == State::Blocked {
                    self.enter(State::Runnable, now_ns);
                }
            }
            Intent::Stop { waiting: true } => {
                self.intent = Intent::Stop { waiting: false };
                self.enter(State::Offline, now_ns);
            }
            Intent::Stop { waiting: false } => {}
        }
    }

    /// The thread is about to look for events, and will sleep if there is none. An event that came
    /// before is seen by that look; one that comes later wakes the thread.
    pub(crate) fn look(&mut self) {
        self.woken = false;
    }

    /// The thread will wait for an event.
    pub(crate) fn wait(&mut self) {
        self.intent = Intent::Wait;
        self.woken = false;
    }

    /// The thread runs the guest from now on.
    pub(crate) fn run(&mut self, now_ns: u64) {
        self.intent = Intent::Run;
        self.enter(State::Running, now_ns);
    }

    /// The thread stays stopped from now on. A vCPU that waits for an event goes on waiting.
    pub(crate) fn stop(&mut self, now_ns: u64) {
        let waiting = match self.intent {
            Intent::Wait => !self.woken,
            Intent::Stop { waiting } => waiting,
            Intent::Run => false,
        };
        self.intent = Intent::Stop { waiting };
        let state = if waiting {
            State::Blocked
        } else {
            State::Offline
        };
        self.enter(state, now_ns);
    }

    /// A vCPU that was stopped may run, and its thread is on the way.
    pub(crate) fn permit(&mut self, now_ns: u64) {
        if self.intent == (Intent::Stop { waiting: false }) && self.account.state == State::Offline
        {
            self.enter(State::Runnable, now_ns);
        }
    }

    /// The thread, which is stopped, will start from a new state: the vCPU waits for nothing.
    pub(crate) fn restart(&mut self, now_ns: u64) {
        if self.intent == (Intent::Stop { waiting: true }) {
            self.intent = Intent::Stop { waiting: false };
            self.enter(State::Offline, now_ns);
        }
    }

    /// The thread goes on after a stop; `waits` says that the vCPU waits for something still. If
    /// something came for it meanwhile, the thread looks before it sleeps on.
    pub(crate) fn resume(&mut self, waits: bool, now_ns: u64) {
        match self.intent {
            Intent::Stop { waiting: true } if waits => self.wait(),
            _ if waits => {
                self.wait();
                self.enter(State::Running, now_ns);
            }
            _ => self.run(now_ns),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn state(s: &Schedule) -> State {
        s.account().state()
    }

    /// A vCPU that may run, at time 10.
    fn running() -> Schedule {
        let mut s = Schedule::new(0);
        s.permit(5);
        assert_eq!(state(&s), State::Runnable);
        s.resume(false, 10);
        assert_eq!(s.account().snapshot(10).time, [0, 5, 0, 5]);
        s
    }

    #[test]
    fn preemption_is_stolen_time() {
        let mut s = running();
        s.taken(true, 20);
        s.given(50);
        assert_eq!(s.account().snapshot(60).time, [20, 35, 0, 5]);
    }

    #[test]
    fn sleeping_in_the_host_is_stolen_time_too() {
        let mut s = running();
        s.taken(false, 20);
        assert_eq!(state(&s), State::Runnable);
        s.given(30);
        assert_eq!(s.account().snapshot(30).time, [10, 15, 0, 5]);
    }

    #[test]
    fn who_is_woken_is_runnable_until_it_runs() {
        let mut s = running();
        s.wait();
        s.look();
        assert_eq!(state(&s), State::Running, "it has the processor still");
        s.taken(false, 20);
        assert_eq!(state(&s), State::Blocked);
        s.woken(100);
        s.woken(110);
        s.given(130);
        s.run(131);
        assert_eq!(s.account().snapshot(140).time, [20, 35, 80, 5]);
    }

    #[test]
    fn an_event_between_the_look_and_the_sleep_is_not_lost() {
        let mut s = running();
        s.wait();
        s.look();
        s.woken(15);
        s.taken(false, 20);
        assert_eq!(state(&s), State::Runnable);
        // One before the look is for the look to see.
        let mut s = running();
        s.wait();
        s.woken(15);
        s.look();
        s.taken(false, 20);
        assert_eq!(state(&s), State::Blocked);
    }

    #[test]
    fn preempted_before_it_sleeps() {
        let mut s = running();
        s.wait();
        s.taken(true, 20);
        assert_eq!(state(&s), State::Runnable);
        s.given(30);
        assert_eq!(state(&s), State::Running);
        s.taken(false, 40);
        assert_eq!(state(&s), State::Blocked);
    }

    #[test]
    fn blocked_dominates_a_pause() {
        let mut s = running();
        s.wait();
        s.taken(false, 20);
        // The thread runs to stop, which the guest does not notice.
        s.given(31);
        s.taken(true, 32);
        s.given(33);
        s.stop(34);
        s.taken(false, 35);
        assert_eq!(state(&s), State::Blocked);
        s.permit(40);
        s.given(41);
        s.resume(true, 42);
        assert_eq!(state(&s), State::Blocked, "it waits on");
        s.taken(false, 45);
        s.woken(50);
        assert_eq!(s.account().snapshot(50).time, [10, 5, 30, 5]);
    }

    #[test]
    fn an_event_ends_a_wait_in_a_pause() {
        let mut s = running();
        s.wait();
        s.taken(false, 20);
        s.stop(30);
        s.woken(40);
        assert_eq!(state(&s), State::Offline);
        s.permit(50);
        s.resume(false, 60);
        assert_eq!(s.account().snapshot(60).time, [10, 15, 20, 15]);
    }

    #[test]
    fn what_ends_no_wait_lets_the_thread_look() {
        let mut s = running();
        s.wait();
        s.taken(false, 20);
        s.woken(30);
        s.given(31);
        s.look();
        s.taken(false, 33);
        assert_eq!(s.account().snapshot(40).time, [12, 6, 17, 5]);
        // The same in a pause, and with the pause first.
        s.stop(50);
        s.woken(60);
        assert_eq!(state(&s), State::Offline);
        s.permit(70);
        s.resume(true, 71);
        assert_eq!(state(&s), State::Running);
        s.look();
        s.taken(false, 75);
        assert_eq!(state(&s), State::Blocked);
        s.given(76);
        s.woken(80);
        s.stop(81);
        assert_eq!(state(&s), State::Offline);
    }

    #[test]
    fn a_new_state_waits_for_nothing() {
        let mut s = running();
        s.wait();
        s.taken(false, 20);
        s.stop(30);
        s.restart(40);
        assert_eq!(state(&s), State::Offline);
        s.resume(false, 50);
        assert_eq!(s.account().snapshot(50).time, [10, 5, 20, 15]);
    }

    #[test]
    fn a_stop_keeps_stopped() {
        let mut s = running();
        s.stop(20);
        s.taken(false, 21);
        s.given(22);
        assert_eq!(state(&s), State::Offline);
        // Permitted, but stopped again before the thread came.
        s.permit(30);
        s.stop(35);
        assert_eq!(s.account().snapshot(40).time, [10, 10, 0, 20]);
    }

    proptest! {
        /// Whatever comes in whatever order: the sum is the time that passed, and only a thread that
        /// was given a processor, or says that it runs, is running.
        #[test]
        fn any_order(
            steps in proptest::collection::vec((0u8..10, any::<bool>(), 0u64..1000), 0..300),
        ) {
            let mut s = Schedule::new(0);
            let mut now = 0;
            for (step, flag, passed) in steps {
                now += passed;
                let before = (state(&s), s.account().snapshot(now).time);
                match step {
                    0 => s.taken(flag, now),
                    1 => s.given(now),
                    2 => s.woken(now),
                    3 => s.look(),
                    4 => s.wait(),
                    5 => s.run(now),
                    6 => s.stop(now),
                    7 => s.permit(now),
                    8 => s.restart(now),
                    _ => s.resume(flag, now),
                }
                let after = s.account().snapshot(now);
                prop_assert_eq!(after.time, before.1, "a change takes no time");
                prop_assert_eq!(after.time.iter().sum::<u64>(), now);
                if state(&s) == State::Running && before.0 != State::Running {
                    prop_assert!([1, 5, 9].contains(&step));
                }
                if step == 0 {
                    prop_assert!(
                        state(&s) != State::Running || before.0 == State::Running
                            && matches!(s.intent, Intent::Stop { .. }),
                        "who has no processor does not run"
                    );
                }
                if step == 6 {
                    prop_assert!(matches!(state(&s), State::Blocked | State::Offline));
                }
            }
        }
    }
}
