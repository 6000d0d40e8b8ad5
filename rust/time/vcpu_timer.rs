// SPDX-License-Identifier: GPL-2.0-only

//! The two timers of a vCPU: singleshot and periodic. Each raises `VIRQ_TIMER`.
//!
//! Source: `xen/vcpu.h`, `xen/xen.h`. The state says when the next one is due; whoever owns the
//! vCPU keeps a host timer at that time. Two timers due together raise one event.

use crate::abi::errno::{
    Result,
    EINVAL, //
};

use super::scale::NS_PER_MS;

/// The shortest period of the periodic timer, nanoseconds; the same as Xen's.
pub(crate) const MIN_PERIOD_NS: u64 = NS_PER_MS;
/// The longest period of the periodic timer, nanoseconds; the same as Xen's.
pub(crate) const MAX_PERIOD_NS: u64 = u64::MAX >> 2;

/// How far ahead [`VcpuTimer::set_timer`] believes a guest, nanoseconds: about 13 days.
const FAR_NS: u64 = 1 << 50;
/// When [`VcpuTimer::set_timer`] fires instead of a time that it does not believe, nanoseconds.
const FAR_INSTEAD_NS: u64 = 100 * NS_PER_MS;

/// The periodic timer while it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Periodic {
    period: u64,
    next: u64,
}

/// The timers of one vCPU. Times are the domain's system time, nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct VcpuTimer {
    singleshot: Option<u64>,
    periodic: Option<Periodic>,
}

impl VcpuTimer {
    /// Makes timers that are stopped.
    pub(crate) const fn new() -> Self {
        Self {
            singleshot: None,
            periodic: None,
        }
    }

    /// Does `VCPUOP_set_singleshot_timer`: replaces the singleshot timer. A time that has passed is
    /// due at once, and so is one with the top bit set, which is negative to Xen. Xen 4.20 ignores
    /// the flag `VCPU_SSHOTTMR_future`, and so its place is not here.
    pub(crate) fn set_singleshot(&mut self, at_ns: u64, now_ns: u64) {
        self.singleshot = Some(if is_negative(at_ns) { now_ns } else { at_ns });
    }

    /// Does `VCPUOP_stop_singleshot_timer`.
    pub(crate) fn stop_singleshot(&mut self) {
        self.singleshot = None;
    }

    /// Does `VCPUOP_set_periodic_timer`: the first tick comes one period from now.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a period below [`MIN_PERIOD_NS`] or above [`MAX_PERIOD_NS`].
    pub(crate) fn set_periodic(&mut self, period_ns: u64, now_ns: u64) -> Result {
        if !(MIN_PERIOD_NS..=MAX_PERIOD_NS).contains(&period_ns) {
            return Err(EINVAL);
        }
        self.periodic = Some(Periodic {
            period: period_ns,
            next: now_ns.saturating_add(period_ns),
        });
        Ok(())
    }

    /// Does `VCPUOP_stop_periodic_timer`.
    pub(crate) fn stop_periodic(&mut self) {
        self.periodic = None;
    }

    /// Does `set_timer_op`, which sets the singleshot timer, and stops it with 0.
    ///
    /// Times that are negative or more than 2^50 ns ahead fire in 100 ms, as in Xen: some versions
    /// of Linux pass such for "now", when their arithmetic wraps, and others for "never", where
    /// firing at once would keep the processor busy.
    pub(crate) fn set_timer(&mut self, at_ns: u64, now_ns: u64) {
        self.singleshot = if at_ns == 0 {
            None
        } else if is_negative(at_ns) || at_ns.saturating_sub(now_ns) >= FAR_NS {
            Some(now_ns.saturating_add(FAR_INSTEAD_NS))
        } else {
            Some(at_ns)
        };
    }

    /// Returns when to call [`Self::expire`], or `None` if no timer runs.
    pub(crate) fn deadline(&self) -> Option<u64> {
        let periodic = self.periodic.map(|periodic| periodic.next);
        match (self.singleshot, periodic) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Lets the timers act if it is time; returns whether to raise `VIRQ_TIMER`. Ticks of the
    /// periodic timer that were missed merge into one, and it keeps its phase.
    pub(crate) fn expire(&mut self, now_ns: u64) -> bool {
        let mut raise = false;
        if self.singleshot.is_some_and(|at| at <= now_ns) {
            self.singleshot = None;
            raise = true;
        }
        if let Some(periodic) = &mut self.periodic {
            if periodic.next <= now_ns {
                let late = now_ns - periodic.next;
                let into = late.checked_rem(periodic.period).unwrap_or(0);
                periodic.next = now_ns.saturating_add(periodic.period.saturating_sub(into));
                raise = true;
            }
        }
        raise
    }
}

/// Returns whether Xen, for which times are signed, sees a negative one.
const fn is_negative(ns: u64) -> bool {
    ns >> 63 != 0
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 5_000_000_000;

    #[test]
    fn singleshot_fires_once() {
        let mut t = VcpuTimer::new();
        assert_eq!(t.deadline(), None);
        t.set_singleshot(NOW + 10, NOW);
        assert_eq!(t.deadline(), Some(NOW + 10));
        assert!(!t.expire(NOW + 9));
        assert!(t.expire(NOW + 10));
        assert!(!t.expire(NOW + 11));
        assert_eq!(t.deadline(), None);
        t.set_singleshot(NOW + 10, NOW);
        t.set_singleshot(NOW + 20, NOW);
        assert_eq!(t.deadline(), Some(NOW + 20), "one at a time");
        t.stop_singleshot();
        assert_eq!(t.deadline(), None);
    }

    #[test]
    fn past_is_due_at_once() {
        let mut t = VcpuTimer::new();
        t.set_singleshot(1, NOW);
        assert!(t.expire(NOW));
        t.set_singleshot(u64::MAX, NOW);
        assert!(t.expire(NOW));
    }

    #[test]
    fn periods_have_limits() {
        let mut t = VcpuTimer::new();
        assert_eq!(t.set_periodic(0, NOW), Err(EINVAL));
        assert_eq!(t.set_periodic(999_999, NOW), Err(EINVAL));
        assert_eq!(t.set_periodic((1 << 62) - 1, NOW), Ok(()));
        assert_eq!(t.set_periodic(1 << 62, NOW), Err(EINVAL));
        assert_eq!(t.set_periodic(1_000_000, NOW), Ok(()));
        assert_eq!(t.deadline(), Some(NOW + 1_000_000));
        assert!(t.expire(NOW + 3_200_000));
        assert!(!t.expire(NOW + 3_200_000), "merged");
        assert_eq!(t.deadline(), Some(NOW + 4_000_000), "in phase");
        t.stop_periodic();
        assert_eq!(t.deadline(), None);
    }

    #[test]
    fn both_together_raise_one() {
        let mut t = VcpuTimer::new();
        t.set_periodic(1_000_000, NOW).unwrap();
        t.set_singleshot(NOW + 1_000_000, NOW);
        assert!(t.expire(NOW + 1_000_000));
        assert!(!t.expire(NOW + 1_000_000));
        assert_eq!(t.deadline(), Some(NOW + 2_000_000));
    }

    #[test]
    fn set_timer_does_not_believe_everything() {
        let mut t = VcpuTimer::new();
        let mut at = |ns| {
            t.set_timer(ns, NOW);
            t.deadline()
        };
        assert_eq!(at(NOW + 1), Some(NOW + 1));
        assert_eq!(at(0), None);
        assert_eq!(at(3), Some(3), "past: at once");
        let instead = Some(NOW + 100_000_000);
        assert_eq!(at(u64::MAX), instead);
        assert_eq!(at(1 << 63), instead);
        assert_eq!(at(NOW + (1 << 50)), instead);
        let last = NOW + (1 << 50) - 1;
        assert_eq!(at(last), Some(last));
    }

    proptest! {
        /// Served at any times, the periodic timer raises at most once a period on average, always
        /// has its next tick ahead, and stays in phase.
        #[test]
        fn periodic_is_no_storm(
            period in MIN_PERIOD_NS..10 * MIN_PERIOD_NS,
            waits in proptest::collection::vec(0u64..30 * MIN_PERIOD_NS, 1..100),
        ) {
            let mut t = VcpuTimer::new();
            t.set_periodic(period, NOW).unwrap();
            let (mut now, mut raised) = (NOW, 0);
            for wait in waits {
                now += wait;
                raised += u64::from(t.expire(now));
                let next = t.deadline().unwrap();
                prop_assert!(next > now && next - now <= period);
                prop_assert_eq!((next - NOW) % period, 0);
            }
            prop_assert!(raised <= (now - NOW) / period);
        }

        #[test]
        fn any_arguments_are_safe(
            ops in proptest::collection::vec(
                (0u8..6, any::<u64>(), any::<u64>()), 0..50),
        ) {
            let mut t = VcpuTimer::new();
            for (op, at, now) in ops {
                match op {
                    0 => t.set_singleshot(at, now),
                    1 => { let _ = t.set_periodic(at, now); }
                    2 => t.set_timer(at, now),
                    3 => t.stop_periodic(),
                    4 => t.stop_singleshot(),
                    _ => { t.expire(now); }
                }
                if t.expire(now) {
                    let next = t.deadline();
                    prop_assert!(next.is_none_or(|at| at > now || now == u64::MAX));
                }
            }
        }
    }
}
