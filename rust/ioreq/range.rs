// SPDX-License-Identifier: GPL-2.0-only

//! Sets of address ranges.

use crate::abi::errno::{
    Result,
    EEXIST,
    EINVAL,
    ENOENT,
    ENOMEM, //
};
use crate::sys::alloc::{
    KVec,
    GFP_ATOMIC,
    GFP_KERNEL_ACCOUNT, //
};

/// Ranges that a set can have (Xen's `MAX_NR_IO_RANGES`).
pub(super) const MAX_RANGES: usize = 256;

/// Addresses from `start` to `end`, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Range {
    start: u64,
    end: u64,
    /// Writes to it are buffered.
    buffered: bool,
}

/// A set of ranges, sorted; no two overlap, and none begins right after another of its kind.
pub(super) struct Ranges(KVec<Range>);

impl Ranges {
    /// Makes an empty set with room for all that it can have: changing it does not allocate. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new() -> Result<Self> {
        Ok(Self(KVec::with_capacity(MAX_RANGES, GFP_KERNEL_ACCOUNT)?))
    }

    /// Makes an empty set that nothing can be added to.
    pub(super) const fn none() -> Self {
        Self(KVec::new())
    }

    /// Returns whether nothing is in the set.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the first and the last address of each range.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().map(|range| (range.start, range.end))
    }

    /// Returns the position of the first range that does not end before `address`.
    fn position(&self, address: u64) -> usize {
        self.0.partition_point(|range| range.end < address)
    }

    /// Returns whether any address from `start` to `end` is in the set.
    pub(super) fn overlaps(&self, start: u64, end: u64) -> bool {
        self.0
            .get(self.position(start))
            .is_some_and(|range| range.start <= end)
    }

    /// Returns `None` unless every address from `start` to `end` is in the set, and then whether writes to all of them
    /// are buffered.
    pub(super) fn covers(&self, start: u64, end: u64) -> Option<bool> {
        let mut next = start;
        let mut buffered = true;

        for range in self.0.iter().skip(self.position(start)) {
            if range.start > next {
                return None;
            }
            buffered &= range.buffered;
            if range.end >= end {
                return Some(buffered);
            }
            // It ends before `end`, so this does not wrap.
            next = range.end.wrapping_add(1);
        }
        None
    }

    /// Puts a range into place `at`, without allocating.
    fn insert(&mut self, at: usize, range: Range) -> Result {
        if self.0.len() >= MAX_RANGES.min(self.0.capacity()) {
            return Err(ENOMEM);
        }
        self.0.push(range, GFP_ATOMIC)?;
        if let Some(tail) = self.0.get_mut(at..) {
            tail.rotate_right(1);
        }
        Ok(())
    }

    /// Takes the range at place `at` out.
    fn take(&mut self, at: usize) {
        if let Some(tail) = self.0.get_mut(at..) {
            tail.rotate_left(1.min(tail.len()));
            self.0.pop();
        }
    }

    /// Adds addresses from `start` to `end`.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if `end` is less than `start` (XSA-238).
    /// - `EEXIST` if one of them is in the set.
    /// - `ENOMEM` if the set has as many ranges as it can have.
    pub(super) fn add(&mut self, start: u64, end: u64, buffered: bool) -> Result {
        if end < start {
            return Err(EINVAL);
        }
        if self.overlaps(start, end) {
            return Err(EEXIST);
        }
        let at = self.position(start);
        let joins = |range: &Range| range.buffered == buffered;
        let before = at.checked_sub(1).filter(|&index| {
            self.0
                .get(index)
                .is_some_and(|range| joins(range) && range.end.checked_add(1) == Some(start))
        });
        let after = self
            .0
            .get(at)
            .is_some_and(|range| joins(range) && end.checked_add(1) == Some(range.start));

        match (before.and_then(|index| self.0.get_mut(index)), after) {
            (None, false) => self.insert(
                at,
                Range {
                    start,
                    end,
                    buffered,
                },
            ),
            (None, true) => {
                if let Some(range) = self.0.get_mut(at) {
                    range.start = start;
                }
                Ok(())
            }
            (Some(range), false) => {
                range.end = end;
                Ok(())
            }
            (Some(_), true) => {
                let new_end = self.0.get(at).map_or(end, |range| range.end);
                self.take(at);
                if let Some(range) = before.and_then(|index| self.0.get_mut(index)) {
                    range.end = new_end;
                }
                Ok(())
            }
        }
    }

    /// Removes addresses from `start` to `end`, all of which must be there.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if `end` is less than `start`.
    /// - `ENOENT` if one of them is not in the set.
    /// - `ENOMEM` if a range would have to be split and the set has as many as it can have.
    pub(super) fn remove(&mut self, start: u64, end: u64) -> Result {
        if end < start {
            return Err(EINVAL);
        }
        if self.covers(start, end).is_none() {
            return Err(ENOENT);
        }
        self.cut(start, end)
    }

    /// Removes what there is of the addresses from `start` to `end`.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if a range would have to be split and the set has as many as it can have; nothing is removed then.
    pub(super) fn cut(&mut self, start: u64, end: u64) -> Result {
        let at = self.position(start);

        // At most one range is split, and then it is the only one that is concerned.
        if let Some(range) = self.0.get(at).copied() {
            if range.start < start && range.end > end {
                self.insert(
                    at.wrapping_add(1),
                    Range {
                        // Greater than `end`, so this does not wrap.
                        start: end.wrapping_add(1),
                        ..range
                    },
                )?;
                if let Some(range) = self.0.get_mut(at) {
                    range.end = start.wrapping_sub(1);
                }
                return Ok(());
            }
        }
        let mut at = at;
        while let Some(range) = self.0.get_mut(at) {
            if range.start > end {
                break;
            }
            if range.start < start {
                // Less than `start`, so this does not wrap.
                range.end = start.wrapping_sub(1);
                at = at.wrapping_add(1);
            } else if range.end > end {
                range.start = end.wrapping_add(1);
                break;
            } else {
                self.take(at);
            }
        }
        Ok(())
    }

    /// Adds what another set has and this one has not, as far as there is room.
    pub(super) fn add_all(&mut self, other: &Self) {
        for range in other.0.iter() {
            if self.cut(range.start, range.end).is_ok() {
                let _ = self.add(range.start, range.end, false);
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(ranges: &Ranges) -> Vec<(u64, u64)> {
        ranges.0.iter().map(|r| (r.start, r.end)).collect()
    }

    /// XSA-238.
    #[test]
    fn io_3_a_range_that_ends_before_it_begins_is_refused() {
        let mut ranges = Ranges::new().unwrap();
        assert_eq!(ranges.add(5, 4, false), Err(EINVAL));
        assert_eq!(ranges.add(u64::MAX, 0, false), Err(EINVAL));
        assert_eq!(ranges.remove(1, 0), Err(EINVAL));
        assert!(ranges.is_empty());
        ranges.add(0, u64::MAX, false).unwrap();
        assert_eq!(ranges.covers(0, u64::MAX), Some(false));
        assert_eq!(ranges.add(7, 7, false), Err(EEXIST));
        ranges.remove(u64::MAX, u64::MAX).unwrap();
        ranges.remove(0, 0).unwrap();
        assert_eq!(list(&ranges), [(1, u64::MAX - 1)]);
    }

    #[test]
    fn neighbours_join_and_parts_are_split() {
        let mut ranges = Ranges::new().unwrap();
        ranges.add(10, 19, false).unwrap();
        ranges.add(30, 39, false).unwrap();
        ranges.add(20, 29, false).unwrap();
        assert_eq!(list(&ranges), [(10, 39)]);
        ranges.remove(15, 16).unwrap();
        assert_eq!(list(&ranges), [(10, 14), (17, 39)]);
        assert_eq!(ranges.remove(14, 17), Err(ENOENT));
        ranges.add(5, 9, true).unwrap();
        assert_eq!(list(&ranges), [(5, 9), (10, 14), (17, 39)]);
        assert_eq!(
            ranges.covers(8, 11),
            Some(false),
            "not all of it is buffered"
        );
        assert_eq!(ranges.covers(5, 9), Some(true));
        assert_eq!(ranges.covers(13, 17), None);
        ranges.cut(0, 20).unwrap();
        assert_eq!(list(&ranges), [(21, 39)]);
    }

    #[test]
    fn there_are_no_more_ranges_than_there_may_be() {
        let mut ranges = Ranges::new().unwrap();
        for i in 0..MAX_RANGES as u64 {
            ranges.add(i * 4, i * 4 + 2, false).unwrap();
        }
        assert_eq!(ranges.add(1 << 20, 1 << 20, false), Err(ENOMEM));
        assert_eq!(ranges.remove(1, 1), Err(ENOMEM), "a split needs a place");
        assert_eq!(ranges.covers(0, 2), Some(false), "nothing was removed");
        ranges.remove(0, 0).unwrap();
        ranges.remove(1, 2).unwrap();
        ranges.add(1 << 20, 1 << 20, false).unwrap();
    }

    proptest! {
        /// Against a plain array of which address is in it.
        #[test]
        fn a_set_holds_what_was_added_and_not_removed(
            ops in proptest::collection::vec((0u8..4, 0u64..64, 0u64..20, any::<bool>()), 1..80)
        ) {
            let mut ranges = Ranges::new().unwrap();
            let mut model = [None; 128];
            for (op, start, len, buffered) in ops {
                let end = start + len;
                let slots = start as usize..=end as usize;
                match op {
                    0 | 1 => {
                        let taken = model[slots.clone()].iter().any(Option::is_some);
                        prop_assert_eq!(ranges.overlaps(start, end), taken);
                        let expected = if taken { Err(EEXIST) } else { Ok(()) };
                        prop_assert_eq!(ranges.add(start, end, buffered), expected);
                        if !taken {
                            model[slots].fill(Some(buffered));
                        }
                    }
                    2 => {
                        let all = model[slots.clone()].iter().all(Option::is_some);
                        let expected = if all { Ok(()) } else { Err(ENOENT) };
                        prop_assert_eq!(ranges.remove(start, end), expected);
                        if all {
                            model[slots].fill(None);
                        }
                    }
                    _ => {
                        ranges.cut(start, end).unwrap();
                        model[slots].fill(None);
                    }
                }
                for start in 0..90 {
                    for end in start..start + 4 {
                        let part = &model[start..=end];
                        let expected = part
                            .iter()
                            .copied()
                            .collect::<Option<Vec<_>>>()
                            .map(|all| all.iter().all(|b| *b));
                        prop_assert_eq!(ranges.covers(start as u64, end as u64), expected);
                    }
                }
                let list = list(&ranges);
                prop_assert!(list.windows(2).all(|w| w[0].1 < w[1].0));
            }
        }
    }
}
