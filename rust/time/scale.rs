// SPDX-License-Identifier: GPL-2.0-only

//! Between ticks of the time stamp counter and nanoseconds.
//!
//! Two ways, for two needs. [`Frequency`] converts exactly, for timers. [`Fraction`] is the
//! multiplication that guests do themselves; whoever must agree with a guest about the time of day
//! (a timer at an absolute system time) has to use the same one, since it lags behind the exact
//! value by up to one part in 2^31.

use core::num::NonZeroU32;

/// Nanoseconds in a second.
pub(crate) const NS_PER_SEC: u64 = 1_000_000_000;
/// Nanoseconds in a millisecond.
pub(crate) const NS_PER_MS: u64 = 1_000_000;

/// A frequency of the time stamp counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Frequency(NonZeroU32);

impl Frequency {
    /// Makes a frequency of kilohertz, or `None` for 0.
    pub(crate) const fn from_khz(khz: u32) -> Option<Self> {
        match NonZeroU32::new(khz) {
            Some(khz) => Some(Self(khz)),
            None => None,
        }
    }

    /// Returns the frequency in kilohertz.
    pub(crate) const fn khz(self) -> u32 {
        self.0.get()
    }

    /// Returns the fraction that guests multiply ticks by.
    pub(crate) const fn fraction(self) -> Fraction {
        // Find the shift for which nanoseconds per shifted tick, `numerator / denominator`, are at
        // least a half and below one. Both stay below 2^44 and each loop ends after at most 20
        // rounds, since the frequency is between 1 kHz and 2^32 kHz.
        let mut numerator = NS_PER_SEC;
        // CAST: widens.
        let mut denominator = self.khz() as u64 * 1000;
        let mut shift = 0i8;
        while numerator >= denominator {
            denominator <<= 1;
            shift = shift.wrapping_add(1);
        }
        while numerator << 1 < denominator {
            numerator <<= 1;
            shift = shift.wrapping_sub(1);
        }
        // The first 32 binary places, by long division.
        let mut mul = 0u32;
        let mut place = 0;
        while place < 32 {
            numerator <<= 1;
            mul <<= 1;
            if numerator >= denominator {
                numerator -= denominator;
                mul |= 1;
            }
            place += 1;
        }
        Fraction { mul, shift }
    }
}

/// Nanoseconds per tick, as `vcpu_time_info` has it: shift the ticks, multiply, drop 32 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fraction {
    /// `tsc_to_system_mul`: binary places of nanoseconds per shifted tick; at least 2^31.
    pub(crate) mul: u32,
    /// `tsc_shift`: how far to shift ticks left, or right if negative; -12 to 20.
    pub(crate) shift: i8,
}

impl Fraction {
    /// Returns the nanoseconds in `ticks` as a guest computes them; the largest number for a shift
    /// that does not fit, where a guest would get nonsense.
    pub(crate) const fn scale(self, ticks: u64) -> u64 {
        // CAST: the absolute value of an `i8` widens.
        let distance = self.shift.unsigned_abs() as u32;
        let shifted = if self.shift < 0 {
            match ticks.checked_shr(distance) {
                Some(shifted) => shifted,
                None => 0,
            }
        } else if distance < 64 && ticks <= u64::MAX >> distance {
            ticks << distance
        } else {
            return u64::MAX;
        };
        // CAST: widens.
        let mul = self.mul as u64;
        // The high half of a product of 96 bits, in two parts; their sum is below 2^64.
        (shifted >> 32) * mul + ((shifted & 0xffff_ffff) * mul >> 32)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frequency(khz: u32) -> Frequency {
        Frequency::from_khz(khz).unwrap()
    }

    #[test]
    fn known_fractions() {
        for (khz, mul, shift) in [
            (1_000_000, 1 << 31, 1),
            (2_000_000, 1 << 31, 0),
            (4_000_000, 1 << 31, -1),
            (500_000, 1 << 31, 2),
            (3_000_000, 0xaaaa_aaaa, -1),
            (1_500_000, 0xaaaa_aaaa, 0),
        ] {
            assert_eq!(frequency(khz).fraction(), Fraction { mul, shift });
        }
        assert_eq!(Frequency::from_khz(0), None);
    }

    #[test]
    fn extremes_of_frequency() {
        assert_eq!(frequency(1).fraction().shift, 20);
        assert_eq!(frequency(u32::MAX).fraction().shift, -12);
    }

    #[test]
    fn hostile_shifts_do_not_panic() {
        for shift in [i8::MIN, -64, 64, i8::MAX] {
            let fraction = Fraction { mul: 1, shift };
            let _ = fraction.scale(u64::MAX);
            let _ = fraction.scale(0);
        }
    }

    proptest! {
        /// Normalised, and the largest fraction that is not above the exact ratio.
        #[test]
        fn fraction_is_the_best_from_below(khz in 1u32..) {
            let Fraction { mul, shift } = frequency(khz).fraction();
            prop_assert!(mul >= 1 << 31);
            // ratio = 10^6 / khz; compare mul * 2^shift / 2^32 with it.
            let (mut lower, mut exact) = (u128::from(mul) * u128::from(khz), 1_000_000u128 << 32);
            let mut unit = u128::from(khz);
            if shift >= 0 {
                lower <<= shift;
                unit <<= shift;
            } else {
                exact <<= -shift;
            }
            prop_assert!(lower <= exact && exact < lower + unit);
        }

        /// As a guest computes it, with 128-bit arithmetic.
        #[test]
        fn scale_matches_wide_arithmetic(khz in 1u32.., ticks: u64) {
            let fraction = frequency(khz).fraction();
            let Fraction { mul, shift } = fraction;
            let ns = if shift >= 0 {
                let shifted = u128::from(ticks) << shift;
                if shifted > u128::from(u64::MAX) {
                    u64::MAX
                } else {
                    (shifted * u128::from(mul) >> 32) as u64
                }
            } else {
                (u128::from(ticks >> -shift) * u128::from(mul) >> 32) as u64
            };
            prop_assert_eq!(fraction.scale(ticks), ns);
        }

        #[test]
        fn scale_is_monotonic_and_near(
            khz in 10_000u32..10_000_000, ticks in 0u64..1 << 56, more: u32,
        ) {
            let f = frequency(khz);
            let (a, b) = (f.fraction().scale(ticks), f.fraction().scale(ticks + u64::from(more)));
            prop_assert!(a <= b);
            let exact = (u128::from(ticks) * u128::from(NS_PER_MS) / u128::from(khz)) as u64;
            prop_assert!(a <= exact);
            prop_assert!(exact - a <= (exact >> 31) + 2, "half a part in a billion");
        }
    }
}
