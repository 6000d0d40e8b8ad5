// SPDX-License-Identifier: GPL-2.0-only

//! Which parts of an arena are in use.

use super::elf::ALIGN_MAX;
use crate::abi::errno::{
    Result,
    ENOMEM, //
};
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL, //
};

/// Parts in use: where they begin and end, in order.
pub(crate) struct Extents {
    len: u32,
    used: KVec<(u32, u32)>,
}

impl Extents {
    /// An arena of `len` bytes, all of it free.
    pub(crate) const fn new(len: u32) -> Self {
        Self {
            len,
            used: KVec::new(),
        }
    }

    /// Takes the first part that is large enough; it begins at a multiple of [`ALIGN_MAX`]. No bytes need no part.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if there is none.
    pub(crate) fn take(&mut self, len: u32) -> Result<u32> {
        if len == 0 {
            return Ok(0);
        }
        let mut start = 0u32;
        let mut at = self.used.len();
        for (index, &(from, to)) in self.used.iter().enumerate() {
            if start.checked_add(len).is_some_and(|end| end <= from) {
                at = index;
                break;
            }
            // CAST: A small constant.
            start = to
                .checked_next_multiple_of(ALIGN_MAX as u32)
                .ok_or(ENOMEM)?;
        }
        let end = start
            .checked_add(len)
            .filter(|&end| end <= self.len)
            .ok_or(ENOMEM)?;
        self.used.push((start, end), GFP_KERNEL)?;
        if let Some(tail) = self.used.get_mut(at..) {
            tail.rotate_right(1);
        }
        Ok(start)
    }

    /// Gives back what [`Self::take`] gave.
    pub(crate) fn give_back(&mut self, start: u32, len: u32) {
        if len == 0 {
            return;
        }
        if let Some(at) = self.used.iter().position(|&(from, _)| from == start) {
            if let Some(tail) = self.used.get_mut(at..) {
                tail.rotate_left(1);
            }
            self.used.pop();
        }
    }

    /// Bytes in use.
    #[cfg(test)]
    pub(crate) fn in_use(&self) -> u32 {
        self.used.iter().fold(0, |sum, (from, to)| {
            sum.saturating_add(to.saturating_sub(*from))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_never_overlap(
            steps in prop::collection::vec((any::<bool>(), 0..40_000u32), 1..60),
        ) {
            let mut extents = Extents::new(200_000);
            let mut have: Vec<(u32, u32)> = Vec::new();
            for (give, n) in steps {
                if give && !have.is_empty() {
                    let (start, len) = have.swap_remove(n as usize % have.len());
                    extents.give_back(start, len);
                } else if let Ok(start) = extents.take(n) {
                    prop_assert!(start % 4096 == 0 && start + n <= 200_000);
                    for (other, len) in &have {
                        prop_assert!(n == 0 || start >= other + len || start + n <= *other);
                    }
                    if n != 0 {
                        have.push((start, n));
                    }
                } else {
                    // It is refused only if no gap is large enough.
                    have.sort_unstable();
                    let mut from = 0u32;
                    for (start, len) in have.iter().chain([&(200_000, 0)]) {
                        prop_assert!(start.saturating_sub(from) < n);
                        from = (start + len).next_multiple_of(4096);
                    }
                }
                prop_assert_eq!(extents.in_use(), have.iter().map(|(_, len)| len).sum::<u32>());
            }
        }
    }
}
