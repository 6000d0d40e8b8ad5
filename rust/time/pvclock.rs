// SPDX-License-Identifier: GPL-2.0-only

//! The paravirtual clock: `vcpu_time_info` and the wall clock of the shared info page.
//!
//! Source: `xen/xen.h`. A reader takes the version, the rest, and the version again, and starts
//! over if the first was odd or the two differ. A writer makes the version odd, writes, and makes
//! it even again. Our copy of the version is what counts: the page is never read.

use crate::abi::xen::{
    self as layout,
    SharedInfoLayout, //
};
use crate::sys::atomic::{
    fence,
    Ordering, //
};
use crate::sys::page::SharedPage;

use super::area::GuestArea;
use super::scale::{
    Fraction,
    NS_PER_SEC, //
};

/// The version of one structure that is written while guests read it. Even between updates.
#[derive(Debug, Default)]
pub(crate) struct Version(u32);

impl Version {
    /// Runs `write` between the two stores of the version.
    fn update(&mut self, store: impl Fn(u32), write: impl FnOnce()) {
        store(self.0.wrapping_add(1));
        // The odd version is seen before any of the body, and all of the body before the even one.
        fence(Ordering::Release);
        write();
        fence(Ordering::Release);
        self.0 = self.0.wrapping_add(2);
        store(self.0);
    }
}

/// What a guest needs to know to tell the time from its time stamp counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TimeInfo {
    /// The guest's time stamp counter at [`Self::system_time`].
    pub(crate) tsc_timestamp: u64,
    /// The domain's system time at that moment, nanoseconds.
    pub(crate) system_time: u64,
    /// Nanoseconds per tick since.
    pub(crate) fraction: Fraction,
    /// [`layout::PVCLOCK_TSC_STABLE_BIT`] if all vCPUs use the same numbers and their counters
    /// agree.
    pub(crate) flags: u8,
}

impl TimeInfo {
    /// Returns the system time at a reading of the guest's time stamp counter, to the nanosecond as
    /// the guest computes it. A reading from before the time stamp counts as the time stamp.
    #[cfg(test)]
    pub(crate) const fn at(&self, tsc: u64) -> u64 {
        let passed = self.fraction.scale(tsc.saturating_sub(self.tsc_timestamp));
        self.system_time.saturating_add(passed)
    }

    /// Writes the structure at the start of `area`, which is [`layout::TIME_INFO_SIZE`] bytes long.
    /// The same in guests of both widths, but for its alignment.
    pub(crate) fn publish(&self, area: &GuestArea, version: &mut Version) {
        // CAST: the same bits, unsigned.
        let shift = u32::from(self.fraction.shift as u8);
        version.update(
            |version| area.store32(layout::TIME_INFO_VERSION, version),
            || {
                area.store64(layout::TIME_INFO_TSC_TIMESTAMP, self.tsc_timestamp);
                area.store64(layout::TIME_INFO_SYSTEM_TIME, self.system_time);
                area.store32(layout::TIME_INFO_TSC_TO_SYSTEM_MUL, self.fraction.mul);
                // The shift, the flags and two bytes of padding, which are 0.
                let rest = shift | u32::from(self.flags) << 8;
                area.store32(layout::TIME_INFO_TSC_SHIFT, rest);
            },
        );
    }
}

const _: () = assert!(layout::TIME_INFO_FLAGS == layout::TIME_INFO_TSC_SHIFT + 1);
const _: () = assert!(layout::TIME_INFO_TSC_SHIFT % 4 == 0);

/// The wall clock: when the domain's system time was 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Wallclock {
    /// Seconds since 1970, UTC.
    pub(crate) sec: u64,
    /// Nanoseconds on top, below 10^9.
    pub(crate) nsec: u32,
}

impl Wallclock {
    /// Works out the wall clock from the nanoseconds since 1970 and the system time of one moment.
    /// `offset_sec` is what the domain's own clock is ahead of UTC (`XEN_DOMCTL_settimeoffset`).
    pub(crate) const fn new(unix_ns: u64, system_ns: u64, offset_sec: i64) -> Self {
        let zero = unix_ns.saturating_sub(system_ns);
        Self {
            sec: (zero / NS_PER_SEC).saturating_add_signed(offset_sec),
            // CAST: below 10^9.
            nsec: (zero % NS_PER_SEC) as u32,
        }
    }

    /// Writes the wall clock into a shared info page laid out for the guest's width. To be called
    /// again with the other layout when the guest's width changes.
    pub(crate) fn publish(
        &self,
        shared_info: &SharedPage,
        layout: &SharedInfoLayout,
        version: &mut Version,
    ) {
        let store = |offset, value| {
            if let Some(word) = shared_info.word32(offset) {
                word.store(value, Ordering::Relaxed);
            }
        };
        version.update(
            |version| store(layout.wc_version, version),
            || {
                // CAST: split into halves.
                store(layout.wc_sec, self.sec as u32);
                store(layout.wc_sec_hi, (self.sec >> 32) as u32);
                store(layout.wc_nsec, self.nsec);
            },
        );
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::area::tests::{byte_at, pages};
    use super::super::scale::Frequency;
    use super::*;
    use crate::sys::page::PAGE_SIZE;
    use proptest::prelude::*;
    use std::sync::atomic::AtomicBool;
    use std::sync::Arc;

    fn info(seed: u64) -> TimeInfo {
        TimeInfo {
            tsc_timestamp: seed.wrapping_mul(0x0123_4567_89ab_cdef),
            system_time: seed.wrapping_mul(0x1111_1111_1111_1111),
            fraction: Fraction {
                mul: (seed as u32).wrapping_mul(0x9e37_79b9),
                shift: seed as i8,
            },
            flags: (seed >> 3) as u8,
        }
    }

    /// Reads the 32 bytes as the guest does; `None` if the version says to try again.
    fn read(pages: &[SharedPage; 2], offset: usize) -> Option<[u8; 32]> {
        let version = || -> [u8; 4] { core::array::from_fn(|n| byte_at(pages, offset + n)) };
        let before = version();
        if before[0] & 1 != 0 {
            return None;
        }
        let all = core::array::from_fn(|n| byte_at(pages, offset + n));
        fence(Ordering::Acquire);
        (version() == before).then_some(all)
    }

    fn decode(bytes: &[u8; 32]) -> TimeInfo {
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!(bytes[30..], [0, 0]);
        TimeInfo {
            tsc_timestamp: word(8),
            system_time: word(16),
            fraction: Fraction {
                mul: word(24) as u32,
                shift: bytes[28] as i8,
            },
            flags: bytes[29],
        }
    }

    #[test]
    fn tells_the_time_as_a_guest_does() {
        let frequency = Frequency::from_khz(3_000_000).unwrap();
        let info = TimeInfo {
            tsc_timestamp: 9_000,
            system_time: 50,
            fraction: frequency.fraction(),
            flags: 1,
        };
        assert_eq!(info.at(9_000), 50);
        assert_eq!(info.at(5), 50);
        assert_eq!(info.at(9_000 + 3_000_000_000), 50 + 999_999_999);
    }

    #[test]
    fn wallclock_in_both_layouts() {
        let clock = Wallclock::new(5_000_000_000_123_456_789, 1_000_000_000, 0);
        assert_eq!((clock.sec, clock.nsec), (4_999_999_999, 123_456_789));
        for (layout, at) in [
            (&layout::LAYOUT_64, [3072, 3076, 3080, 3084]),
            (&layout::LAYOUT_32, [2304, 2308, 2312, 2340]),
        ] {
            let page = SharedPage::zeroed().unwrap();
            let mut version = Version::default();
            clock.publish(&page, layout, &mut version);
            clock.publish(&page, layout, &mut version);
            let word = |offset| page.word32(offset).unwrap().load(Ordering::Relaxed);
            assert_eq!(at.map(word), [4, 4_999_999_999u64 as u32, 123_456_789, 1],);
            let sum: u64 = (0..PAGE_SIZE / 4).map(|n| u64::from(word(4 * n))).sum();
            assert_eq!(sum, at.map(|n| u64::from(word(n))).iter().sum());
        }
        assert_eq!(Wallclock::new(10, 20, 0), Wallclock { sec: 0, nsec: 0 });
        assert_eq!(Wallclock::new(NS_PER_SEC * 9, 0, -10).sec, 0);
        assert_eq!(Wallclock::new(NS_PER_SEC * 9, 0, 3600).sec, 3609);
    }

    /// A reader that follows the protocol never sees half an update, aligned or not, in one page or
    /// two.
    #[test]
    fn readers_never_see_a_torn_record() {
        for offset in [32, 36, 41, 4064, 4079, 4095] {
            let pages = pages();
            let area = GuestArea::new(pages[0].clone(), Some(pages[1].clone()), offset, 32);
            let area = area.unwrap();
            let mut version = Version::default();
            info(0).publish(&area, &mut version);
            let stop = Arc::new(AtomicBool::new(false));
            let reader = {
                let (stop, pages) = (stop.clone(), pages.clone());
                std::thread::spawn(move || {
                    let mut seen = 0u64;
                    while !stop.load(Ordering::Relaxed) || seen == 0 {
                        if let Some(bytes) = read(&pages, offset) {
                            let got = decode(&bytes);
                            // Each record tells which it is.
                            let seed = u64::from(got.fraction.shift as u8);
                            let all = (0..60).map(|n| info(seed + 256 * n));
                            assert!(all.into_iter().any(|one| one == got), "torn: {got:?}");
                            seen += 1;
                        }
                    }
                    seen
                })
            };
            for seed in 0..15_000u64 {
                info(seed).publish(&area, &mut version);
                if seed % 64 == 0 {
                    std::thread::yield_now();
                }
            }
            stop.store(true, Ordering::Relaxed);
            assert!(reader.join().unwrap() > 0);
        }
    }

    proptest! {
        #[test]
        fn any_place_reads_back(offset in 0usize..4096, seed: u64, updates in 1usize..5) {
            let pages = pages();
            let area =
                GuestArea::new(pages[0].clone(), Some(pages[1].clone()), offset, 32).unwrap();
            let mut version = Version(u32::MAX - 3);
            for _ in 0..updates {
                info(seed).publish(&area, &mut version);
            }
            let bytes = read(&pages, offset).unwrap();
            prop_assert_eq!(decode(&bytes), info(seed));
            let expected = (u32::MAX - 3).wrapping_add(2 * updates as u32);
            prop_assert_eq!(&bytes[..4], &expected.to_le_bytes()[..]);
            prop_assert_eq!(&bytes[4..8], &[0u8; 4][..]);
        }

        /// The host's idea of system time is what a guest computes, and never goes back.
        #[test]
        fn time_never_goes_back(
            khz in 100_000u32..6_000_000, a in 0u64..1 << 55, b in 0u64..1 << 55,
        ) {
            let info = TimeInfo {
                tsc_timestamp: 1000,
                system_time: 77,
                fraction: Frequency::from_khz(khz).unwrap().fraction(),
                flags: 0,
            };
            let (a, b) = (a.min(b), a.max(b));
            prop_assert!(info.at(a) <= info.at(b));
        }
    }
}
