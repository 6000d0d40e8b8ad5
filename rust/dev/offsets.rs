// SPDX-License-Identifier: GPL-2.0-only

//! What is mapped at which offset of an open file: an ioctl gives things page offsets, mapping the file there shows
//! them. An offset is never given twice.

use kernel::prelude::KVec;

use crate::abi::errno::{
    Result,
    EINVAL,
    ENOENT, //
};
use crate::sys::alloc::{
    GFP_KERNEL,
    GFP_KERNEL_ACCOUNT, //
};

/// A thing and its pages.
pub(super) struct Entry<T> {
    first: u64,
    pages: u64,
    /// The thing.
    pub(super) what: T,
}

/// The things that have offsets, in the order of these.
pub(super) struct Offsets<T> {
    list: KVec<Entry<T>>,
    next: u64,
}

impl<T> Offsets<T> {
    /// Nothing has an offset; `next` is the first page offset to be given.
    pub(super) const fn new(next: u64) -> Self {
        Self {
            list: KVec::new(),
            next,
        }
    }

    /// The page offset that is given next.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Gives things the next offsets, each so many pages. Returns the first of them. All or none get one.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EINVAL` if there are no offsets left.
    pub(super) fn give(
        &mut self,
        pages: u64,
        things: impl ExactSizeIterator<Item = T>,
    ) -> Result<u64> {
        let count = things.len();
        self.list.reserve(count, GFP_KERNEL_ACCOUNT)?;
        let offset = self.next;
        // CAST: Widens.
        let all = pages.checked_mul(count as u64);
        all.and_then(|all| offset.checked_add(all)).ok_or(EINVAL)?;
        for what in things {
            let first = self.next;
            self.list
                .push(Entry { first, pages, what }, GFP_KERNEL_ACCOUNT)?;
            // Not beyond the last of all, as checked above.
            self.next = first.wrapping_add(pages);
        }
        Ok(offset)
    }

    /// Finds the first of the things that together are these pages, and how many they are.
    fn position(&self, offset: u64, pages: u64) -> Option<(usize, usize)> {
        let at = self.list.partition_point(|entry| entry.first < offset);
        let end = offset.checked_add(pages)?;
        let mut reached = offset;
        for (count, entry) in (1..).zip(self.list.iter().skip(at)) {
            if entry.first != reached {
                return None;
            }
            reached = reached.checked_add(entry.pages)?;
            if reached >= end {
                return (reached == end && pages != 0).then_some((at, count));
            }
        }
        None
    }

    /// Finds the things that together are these pages.
    pub(super) fn find(&self, offset: u64, pages: u64) -> Option<&[Entry<T>]> {
        let (at, count) = self.position(offset, pages)?;
        self.list.get(at..at.checked_add(count)?)
    }

    /// Finds the one thing that is these pages.
    pub(super) fn find_one(&self, offset: u64, pages: u64) -> Option<&T> {
        match self.find(offset, pages)? {
            [one] => Some(&one.what),
            _ => None,
        }
    }

    /// Finds the thing that a page is of.
    pub(super) fn find_page(&self, offset: u64) -> Option<&T> {
        let after = self.list.partition_point(|entry| entry.first <= offset);
        let entry = self.list.get(after.checked_sub(1)?)?;
        // It does not begin after the page.
        (offset - entry.first < entry.pages).then_some(&entry.what)
    }

    /// Takes the one thing that is these pages, to be dropped without the lock.
    pub(super) fn take_one(&mut self, offset: u64, pages: u64) -> Option<T> {
        match self.position(offset, pages)? {
            (at, 1) => self.list.remove(at).ok().map(|entry| entry.what),
            _ => None,
        }
    }

    /// Takes the things that together are these pages, to be dropped without the lock.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there are none, `ENOMEM`.
    pub(super) fn take(&mut self, offset: u64, pages: u64) -> Result<KVec<T>> {
        let (at, count) = self.position(offset, pages).ok_or(ENOENT)?;
        let mut taken = KVec::with_capacity(count, GFP_KERNEL)?;
        for _ in 0..count {
            if let Ok(entry) = self.list.remove(at) {
                taken.push(entry.what, GFP_KERNEL)?;
            }
        }
        Ok(taken)
    }
}
