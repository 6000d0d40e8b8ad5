// SPDX-License-Identifier: GPL-2.0-only

//! The APIC timer: one-shot, periodic and TSC deadline.
//!
//! The timer never counts: it knows when it will reach zero and works the count out when asked. The
//! bus clock is 100 MHz, as Xen's. Times are nanoseconds of one monotonic clock, chosen by the
//! caller.

use super::regs;

/// Nanoseconds in a cycle of the APIC's bus clock.
pub(crate) const BUS_CYCLE_NS: u64 = 10;

/// The shortest period at which a periodic timer interrupts, nanoseconds. A guest that asks for a
/// shorter one sees the count it asked for, but fewer interrupts: each costs the host a timer
/// interrupt of its own, and 10 ns apart they would take a host processor for themselves. Xen has
/// such a limit too.
pub(crate) const MIN_PERIOD_NS: u64 = 100_000;

/// Where time comes from; asked only when a register needs it.
pub(crate) trait Clock {
    /// Returns the time now, nanoseconds.
    fn now_ns(&self) -> u64;

    /// Returns the guest's TSC now.
    fn guest_tsc(&self) -> u64;

    /// Returns how long the guest's TSC takes for `ticks`, nanoseconds; saturates.
    fn tsc_to_ns(&self, ticks: u64) -> u64;
}

/// What the timer does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    /// Counts down once.
    OneShot,
    /// Counts down and starts over.
    Periodic,
    /// Waits for a value of the TSC.
    TscDeadline,
    /// Both mode bits set, which the manuals reserve: never fires.
    Reserved,
}

/// One APIC timer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timer {
    mode: Mode,
    /// The local vector is masked: time passes, but nobody is told.
    masked: bool,
    /// TDCR.
    divide: u32,
    /// TMICT.
    initial: u32,
    /// Counting, or waiting for the deadline.
    running: bool,
    /// When the count reaches zero; for a periodic timer, the next time it does. Meaningless unless
    /// running.
    zero_at: u64,
    /// When to interrupt. Later than `zero_at` only for periods below [`MIN_PERIOD_NS`].
    fire_at: u64,
    /// The deadline MSR; 0 when disarmed.
    deadline_tsc: u64,
}

impl Timer {
    /// Makes a timer as reset leaves it: stopped, masked, dividing by 2.
    pub(crate) const fn new() -> Self {
        Self {
            mode: Mode::OneShot,
            masked: true,
            divide: 0,
            initial: 0,
            running: false,
            zero_at: 0,
            fire_at: 0,
            deadline_tsc: 0,
        }
    }

    /// Returns the binary logarithm of what the bus clock is divided by, 0 to 7.
    const fn divide_shift(&self) -> u32 {
        let code = self.divide & 3 | (self.divide & 8) >> 1;
        (code + 1) & 7
    }

    /// Returns what the bus clock is divided by.
    pub(crate) const fn divisor(&self) -> u32 {
        1 << self.divide_shift()
    }

    /// Returns the length of one count, nanoseconds; at least 10.
    const fn tick_ns(&self) -> u64 {
        BUS_CYCLE_NS << self.divide_shift()
    }

    /// Returns the length of a countdown from the initial count; at most 2^32 * 1280 ns.
    const fn period_ns(&self) -> u64 {
        (self.initial as u64).wrapping_mul(self.tick_ns())
    }

    /// Returns the divide configuration register.
    pub(crate) const fn divide(&self) -> u32 {
        self.divide
    }

    /// Returns the initial count register.
    pub(crate) const fn initial(&self) -> u32 {
        self.initial
    }

    /// Returns the deadline as armed or restored: 0 when none is set or it has passed.
    pub(crate) const fn deadline_tsc(&self) -> u64 {
        self.deadline_tsc
    }

    /// Returns the deadline MSR, which reads 0 outside deadline mode.
    pub(crate) fn deadline_msr(&self) -> u64 {
        match self.mode {
            Mode::TscDeadline => self.deadline_tsc,
            _ => 0,
        }
    }

    /// Returns the current count register.
    pub(crate) fn count(&self, now: u64) -> u32 {
        if !self.running || self.mode == Mode::TscDeadline {
            return 0;
        }
        let tick = self.tick_ns();
        let count = if self.zero_at > now {
            (self.zero_at - now).div_ceil(tick)
        } else if self.mode == Mode::Periodic {
            // Not told yet that it wrapped; a running timer has a period.
            match (now - self.zero_at).checked_rem(self.period_ns()) {
                Some(into) => u64::from(self.initial).saturating_sub(into / tick),
                None => 0,
            }
        } else {
            0
        };
        // CAST: not above `initial`, which has 32 bits.
        count.min(u64::from(self.initial)) as u32
    }

    /// Returns when to call [`Self::expire`], or `None` if nothing will happen.
    pub(crate) fn deadline(&self) -> Option<u64> {
        (self.running && !self.masked).then_some(self.fire_at)
    }

    /// Lets time pass up to `now`; returns whether the guest is to be interrupted. Interrupts that
    /// were missed merge into one.
    pub(crate) fn expire(&mut self, now: u64) -> bool {
        if !self.running || self.fire_at > now {
            return false;
        }
        if self.mode == Mode::Periodic {
            self.advance(now);
        } else {
            self.running = false;
            self.deadline_tsc = 0;
        }
        !self.masked
    }

    /// Takes a write of the initial count: starts the timer, 0 stops it. Ignored in deadline mode.
    pub(crate) fn set_initial(&mut self, initial: u32, now: u64) {
        if matches!(self.mode, Mode::TscDeadline) {
            return;
        }
        self.initial = initial;
        self.start(initial, now);
    }

    /// Takes a write of the divide configuration. A running timer keeps its count and goes on at
    /// the new rate.
    pub(crate) fn set_divide(&mut self, divide: u32, now: u64) {
        let count = self.count(now);
        self.divide = divide & regs::TDCR_MASK;
        if self.running && self.mode != Mode::TscDeadline {
            self.start(count, now);
        }
    }

    /// Takes a write of the timer's local vector, of which only mode and mask matter here. Going
    /// into or out of deadline mode disarms the timer.
    pub(crate) fn set_lvt(&mut self, lvt: u32, now: u64) {
        let mode = match (
            lvt & regs::LVT_TIMER_TSC_DEADLINE != 0,
            lvt & regs::LVT_TIMER_PERIODIC != 0,
        ) {
            (false, false) => Mode::OneShot,
            (false, true) => Mode::Periodic,
            (true, false) => Mode::TscDeadline,
            (true, true) => Mode::Reserved,
        };
        self.masked = lvt & regs::LVT_MASKED != 0;
        if mode == self.mode {
            return;
        }
        let counts = |mode| matches!(mode, Mode::OneShot | Mode::Periodic);
        if counts(mode) && counts(self.mode) {
            let count = self.count(now);
            self.mode = mode;
            if self.running {
                self.start(count, now);
            }
        } else {
            self.mode = mode;
            self.running = false;
            self.initial = 0;
            self.deadline_tsc = 0;
        }
    }

    /// Takes a write of the deadline MSR: arms the timer, 0 disarms it. Ignored in other modes.
    pub(crate) fn set_deadline_tsc<C: Clock>(&mut self, tsc: u64, clock: &C) {
        if self.mode != Mode::TscDeadline {
            return;
        }
        self.deadline_tsc = tsc;
        self.running = tsc != 0;
        if self.running {
            let ahead = tsc.saturating_sub(clock.guest_tsc());
            let wait = match ahead {
                0 => 0,
                // Rounded up: the guest must find its TSC past the deadline.
                _ => clock.tsc_to_ns(ahead).saturating_add(1),
            };
            self.zero_at = clock.now_ns().saturating_add(wait);
            self.fire_at = self.zero_at;
        }
    }

    /// Goes on from a saved state: `count` is the saved current count. A timer saved with an
    /// initial but no current count starts over, as in Xen, whose records do not say that it has
    /// fired.
    pub(crate) fn restore<C: Clock>(&mut self, saved: &Saved, clock: &C) {
        *self = Self::new();
        self.divide = saved.divide & regs::TDCR_MASK;
        self.set_lvt(saved.lvt, 0);
        // Kept in any mode: the record that says the mode may come later.
        self.deadline_tsc = saved.deadline_tsc;
        if self.mode == Mode::TscDeadline {
            self.set_deadline_tsc(saved.deadline_tsc, clock);
        } else {
            self.initial = saved.initial;
            let count = match saved.count {
                0 => saved.initial,
                count => count.min(saved.initial),
            };
            self.start(count, clock.now_ns());
        }
    }

    /// Starts to count down from `count`; 0 stops, and so does a mode that does not count.
    fn start(&mut self, count: u32, now: u64) {
        self.running = count != 0 && matches!(self.mode, Mode::OneShot | Mode::Periodic);
        let left = u64::from(count).wrapping_mul(self.tick_ns());
        self.zero_at = now.saturating_add(left);
        self.fire_at = if self.mode == Mode::Periodic && self.period_ns() < MIN_PERIOD_NS {
            now.saturating_add(MIN_PERIOD_NS)
        } else {
            self.zero_at
        };
    }

    /// Moves a periodic timer to its next zero after `now`, which is not before the last one.
    fn advance(&mut self, now: u64) {
        let period = self.period_ns();
        let Some(passed) = now.saturating_sub(self.zero_at).checked_div(period) else {
            self.running = false;
            return;
        };
        if self.zero_at <= now {
            let step = period.saturating_mul(passed.saturating_add(1));
            self.zero_at = self.zero_at.saturating_add(step);
        }
        self.fire_at = if period < MIN_PERIOD_NS {
            now.saturating_add(MIN_PERIOD_NS)
        } else {
            self.zero_at
        };
    }
}

/// The saved registers that describe a timer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Saved {
    /// The timer's local vector.
    pub(crate) lvt: u32,
    /// TDCR.
    pub(crate) divide: u32,
    /// TMICT.
    pub(crate) initial: u32,
    /// TMCCT.
    pub(crate) count: u32,
    /// The deadline MSR.
    pub(crate) deadline_tsc: u64,
}

#[cfg(all(test, not(loom)))]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A clock set by hand: 3 TSC ticks a nanosecond.
    #[derive(Clone, Copy, Default)]
    pub(in crate::vlapic) struct At(pub(in super::super) u64);

    impl Clock for At {
        fn now_ns(&self) -> u64 {
            self.0
        }
        fn guest_tsc(&self) -> u64 {
            self.0 * 3
        }
        fn tsc_to_ns(&self, ticks: u64) -> u64 {
            ticks / 3
        }
    }

    const PERIODIC: u32 = regs::LVT_TIMER_PERIODIC;
    const DEADLINE: u32 = regs::LVT_TIMER_TSC_DEADLINE;
    const MASKED: u32 = regs::LVT_MASKED;
    /// TDCR for "divide by 1".
    const BY_1: u32 = 0xb;

    fn timer(lvt: u32, divide: u32) -> Timer {
        let mut timer = Timer::new();
        timer.set_lvt(lvt, 0);
        timer.set_divide(divide, 0);
        timer
    }

    #[test]
    fn divides_as_the_manual_says() {
        let by = |code| timer(0, code).divisor();
        assert_eq!(
            [0, 1, 2, 3, 8, 9, 10, 11].map(by),
            [2, 4, 8, 16, 32, 64, 128, 1]
        );
        assert_eq!(timer(0, u32::MAX).divide(), 0xb);
    }

    #[test]
    fn one_shot_counts_and_fires_once() {
        let mut t = timer(0, BY_1);
        t.set_initial(1000, 50);
        assert_eq!(t.deadline(), Some(10_050));
        assert_eq!(t.count(50), 1000);
        assert_eq!(t.count(59), 1000);
        assert_eq!(t.count(60), 999);
        assert_eq!(t.count(10_049), 1);
        assert_eq!(t.count(10_050), 0);
        assert!(!t.expire(10_049));
        assert!(t.expire(10_050));
        assert!(!t.expire(10_051));
        assert_eq!(t.deadline(), None);
        assert_eq!(t.initial(), 1000);
    }

    #[test]
    fn initial_zero_stops() {
        let mut t = timer(PERIODIC, BY_1);
        t.set_initial(50_000, 0);
        assert!(t.deadline().is_some());
        t.set_initial(0, 10);
        assert_eq!(t.deadline(), None);
        assert!(!t.expire(u64::MAX));
        assert_eq!(t.count(20), 0);
    }

    #[test]
    fn periodic_keeps_its_phase_and_merges() {
        let mut t = timer(PERIODIC, BY_1);
        t.set_initial(100_000, 7); // 1 ms
        assert_eq!(t.deadline(), Some(1_000_007));
        // The host is 3.5 periods late: one interrupt, then the next regular one.
        assert_eq!(t.count(4_500_007), 50_000);
        assert!(t.expire(4_500_007));
        assert!(!t.expire(4_500_008));
        assert_eq!(t.deadline(), Some(5_000_007));
        assert_eq!(t.count(4_500_007), 50_000);
        assert_eq!(t.count(5_000_006), 1);
    }

    #[test]
    fn tiny_periods_are_clamped() {
        let mut t = timer(PERIODIC, BY_1);
        t.set_initial(1, 0);
        let mut now = 0;
        let mut fired = 0;
        while now < 10_000_000 {
            now = t.deadline().unwrap();
            assert!(t.expire(now));
            fired += 1;
        }
        assert_eq!(fired, 100, "not more than one each MIN_PERIOD_NS");
        // Changing rate or mode does not get around it.
        t.set_divide(BY_1, now);
        assert_eq!(t.deadline(), Some(now + MIN_PERIOD_NS));
        t.set_lvt(0, now);
        t.set_lvt(PERIODIC, now);
        assert_eq!(t.deadline(), Some(now + MIN_PERIOD_NS));
    }

    #[test]
    fn masked_needs_no_host_timer_but_time_passes() {
        let mut t = timer(MASKED, BY_1);
        t.set_initial(100, 0);
        assert_eq!(t.deadline(), None);
        assert!(!t.expire(2000), "masked when it reached zero: lost");
        t.set_lvt(0, 2000);
        assert_eq!(t.deadline(), None);
        let mut t = timer(PERIODIC | MASKED, BY_1);
        t.set_initial(100_000, 0);
        assert!(!t.expire(2_500_000));
        t.set_lvt(PERIODIC, 2_500_000);
        assert_eq!(t.deadline(), Some(3_000_000));
    }

    #[test]
    fn divide_change_keeps_the_count() {
        let mut t = timer(0, BY_1);
        t.set_initial(1000, 0);
        t.set_divide(0, 4000); // by 2: 20 ns a count
        assert_eq!(t.count(4000), 600);
        assert_eq!(t.deadline(), Some(4000 + 600 * 20));
    }

    #[test]
    fn deadline_mode() {
        let mut t = timer(DEADLINE, BY_1);
        t.set_initial(1000, 0);
        assert_eq!((t.initial(), t.deadline()), (0, None), "ignored");
        t.set_deadline_tsc(3000, &At(100));
        assert_eq!(t.deadline(), Some(1001));
        assert_eq!(t.deadline_tsc(), 3000);
        assert_eq!(t.count(500), 0);
        assert!(t.expire(1001));
        assert_eq!(t.deadline_tsc(), 0, "disarmed when it fires");
        t.set_deadline_tsc(30, &At(5000));
        assert_eq!(t.deadline(), Some(5000), "past: at once");
        t.set_deadline_tsc(0, &At(5000));
        assert_eq!(t.deadline(), None);
        t.set_deadline_tsc(u64::MAX, &At(5000));
        assert!(t.deadline().unwrap() > 1 << 60);
        t.set_lvt(0, 6000);
        assert_eq!((t.deadline(), t.deadline_tsc()), (None, 0));
        t.set_deadline_tsc(9, &At(6000));
        assert_eq!(t.deadline_tsc(), 0, "ignored in another mode");
    }

    #[test]
    fn reserved_mode_never_fires() {
        let mut t = timer(DEADLINE | PERIODIC, BY_1);
        t.set_initial(100, 0);
        t.set_deadline_tsc(1, &At(5));
        assert_eq!(t.deadline(), None);
    }

    #[test]
    fn one_shot_becomes_periodic() {
        let mut t = timer(0, BY_1);
        t.set_initial(100_000, 0);
        t.set_lvt(PERIODIC, 400_000);
        assert_eq!(t.deadline(), Some(1_000_000));
        assert!(t.expire(1_000_000));
        assert_eq!(t.deadline(), Some(2_000_000));
        t.set_lvt(0, 1_500_000);
        assert!(t.expire(2_000_000));
        assert_eq!(t.deadline(), None);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Lvt(u32),
        Initial(u32),
        Divide(u32),
        Deadline(u64),
        Wait(u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        let any_lvt = (0u32..8).prop_map(|bits| Op::Lvt(bits << 16));
        prop_oneof![
            any_lvt,
            any::<u32>().prop_map(Op::Initial),
            (0u32..100_000).prop_map(Op::Initial),
            any::<u32>().prop_map(Op::Divide),
            any::<u64>().prop_map(Op::Deadline),
            (0u64..10_000_000).prop_map(Op::Deadline),
            (0u64..3_000_000).prop_map(Op::Wait),
            (0u64..u64::MAX / 1024).prop_map(Op::Wait),
        ]
    }

    proptest! {
        /// Whatever a guest does: the count stays in range, the timer never fires early, and a
        /// periodic one that is served at once fires at most once each `MIN_PERIOD_NS`.
        #[test]
        fn survives_any_guest(ops in proptest::collection::vec(op(), 0..100)) {
            let mut t = Timer::new();
            let mut now = 0u64;
            for op in ops {
                match op {
                    Op::Lvt(v) => t.set_lvt(v, now),
                    Op::Initial(v) => t.set_initial(v, now),
                    Op::Divide(v) => t.set_divide(v, now),
                    Op::Deadline(v) => {
                        let clock = At(now / 3); // its TSC is `now`
                        t.set_deadline_tsc(v, &clock);
                    }
                    Op::Wait(v) => now = now.saturating_add(v),
                }
                prop_assert!(t.count(now) <= t.initial());
                if let Some(at) = t.deadline() {
                    if at > now {
                        prop_assert!(!t.expire(at - 1));
                    }
                    if t.expire(now) {
                        if let Some(next) = t.deadline() {
                            prop_assert!(next > now || now > u64::MAX - MIN_PERIOD_NS * 1_000_000);
                        }
                    }
                }
            }
        }

        /// The count against a reference that steps through every tick.
        #[test]
        fn count_matches_reference(
            initial in 1u32..500, code in 0u32..16, periodic: bool, at in 0u64..200_000,
        ) {
            let mut t = timer(if periodic { PERIODIC } else { 0 }, code);
            t.set_initial(initial, 1000);
            let tick = 10 * u64::from(t.divisor());
            let mut count = initial;
            let mut time = 1000 + tick;
            while time <= 1000 + at {
                count = match count {
                    0 => 0,
                    1 if periodic => initial,
                    n => n - 1,
                };
                time += tick;
            }
            prop_assert_eq!(t.count(1000 + at), count);
            t.expire(1000 + at);
            prop_assert_eq!(t.count(1000 + at), count);
        }
    }
}
