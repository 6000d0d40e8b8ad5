// SPDX-License-Identifier: GPL-2.0-only

//! The machine's time stamp counter as if it never started over.
//!
//! It does when the machine sleeps: nothing keeps the processors' power on. What guests have of the counter goes on
//! where it was instead: neither their counters nor the clock made of them go backwards, nor forward by the time
//! asleep, as the host's own monotonic clock does not.

use crate::sys::atomic::{
    AtomicU64,
    Ordering, //
};

/// What the machine's counter must be corrected by.
pub(crate) struct Counter {
    /// Ticks that the machine's counter is behind.
    lost: AtomicU64,
    /// The corrected counter when the machine went to sleep.
    asleep: AtomicU64,
}

impl Counter {
    /// The counter as the processors have it. Loom's atomics cannot be made in a constant, and no model has one.
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self {
            lost: AtomicU64::new(0),
            asleep: AtomicU64::new(0),
        }
    }

    /// The corrected counter when the machine's is `raw`.
    #[inline]
    pub(crate) fn at(&self, raw: u64) -> u64 {
        raw.wrapping_add(self.lost())
    }

    /// Ticks that the machine's counter is behind, modulo 2^64.
    #[inline]
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// The machine goes to sleep, and its counter is `raw`. To be called when nobody else runs.
    pub(crate) fn suspend(&self, raw: u64) {
        self.asleep.store(self.at(raw), Ordering::Relaxed);
    }

    /// It is awake, and its counter is `raw`. To be called before anybody else runs.
    pub(crate) fn resume(&self, raw: u64) {
        let asleep = self.asleep.load(Ordering::Relaxed);
        self.lost.store(asleep.wrapping_sub(raw), Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_where_it_was() {
        let counter = Counter::new();
        assert_eq!(counter.at(1000), 1000);
        counter.suspend(5000);
        // It has started over.
        counter.resume(10);
        assert_eq!(counter.at(10), 5000);
        assert_eq!(counter.at(110), 5100);
        // Again, sooner than it was the first time.
        counter.suspend(200);
        counter.resume(7);
        assert_eq!(counter.at(7), 5190);
        // A machine whose counter keeps going.
        counter.suspend(1007);
        counter.resume(1_000_007);
        assert_eq!(counter.at(1_000_008), 6191);
        // And one that has it go backwards a little.
        counter.suspend(1_000_107);
        counter.resume(1_000_000);
        assert_eq!(counter.at(1_000_001), 6291);
    }
}
