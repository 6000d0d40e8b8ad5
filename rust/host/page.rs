// SPDX-License-Identifier: GPL-2.0-only

//! A page that others may write at any time, seen as atomic words.

use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, AtomicU8};
use std::sync::Arc;

/// Bytes in a page.
pub(crate) const PAGE_SIZE: usize = 4096;

/// A reference to one 4 KiB page shared with a guest. Cloning takes another reference.
///
/// Each accessor takes an offset in bytes and returns `None` if it is not aligned to the word's size or the
/// word does not lie in the page.
#[derive(Clone)]
pub(crate) struct SharedPage(Arc<Words>);

/// Aligned as a page is, as far as anybody asks.
#[repr(align(16))]
struct Words([AtomicU64; PAGE_SIZE / 8]);

impl SharedPage {
    /// Allocates a zeroed page.
    pub(crate) fn zeroed() -> crate::abi::errno::Result<Self> {
        Ok(Self(Arc::new(Words(
            [const { AtomicU64::new(0) }; PAGE_SIZE / 8],
        ))))
    }

    /// The page frame number; on the host a number that differs from page to page.
    pub(crate) fn mfn(&self) -> u64 {
        Arc::as_ptr(&self.0).cast::<u8>() as u64 >> 3
    }

    fn at<T>(&self, offset: usize) -> Option<&T> {
        let size = core::mem::size_of::<T>();
        if offset % size != 0 || offset.checked_add(size)? > PAGE_SIZE {
            return None;
        }
        let base = self.0 .0.as_ptr().cast::<u8>();
        // SAFETY: `offset + size` is within the array, checked just above.
        let at = unsafe { base.add(offset) };
        // SAFETY: Aligned and in bounds as checked above; `T` is one of the atomic words below, valid for all bits,
        // and lives as long as the `Arc` that `self` holds.
        Some(unsafe { &*at.cast::<T>() })
    }

    /// The 64-bit word at `offset`.
    pub(crate) fn word64(&self, offset: usize) -> Option<&AtomicU64> {
        self.at(offset)
    }
    /// The 32-bit word at `offset`.
    pub(crate) fn word32(&self, offset: usize) -> Option<&AtomicU32> {
        self.at(offset)
    }
    /// The 16-bit word at `offset`.
    pub(crate) fn word16(&self, offset: usize) -> Option<&AtomicU16> {
        self.at(offset)
    }
    /// The byte at `offset`.
    pub(crate) fn byte(&self, offset: usize) -> Option<&AtomicU8> {
        self.at(offset)
    }

    /// Replaces `old` by `new` in the 16 bytes at `offset` as one step. Returns what was there if it was not `old`.
    pub(crate) fn compare_exchange128(
        &self,
        offset: usize,
        old: u128,
        new: u128,
    ) -> Option<Result<(), u128>> {
        use core::arch::x86_64::cmpxchg16b;
        use core::sync::atomic::Ordering::SeqCst;

        if offset % 16 != 0 || offset.checked_add(16)? > PAGE_SIZE {
            return None;
        }
        let base = self.0 .0.as_ptr().cast::<u8>().cast_mut();
        // SAFETY: Within the array, checked just above.
        let at = unsafe { base.add(offset) };
        // SAFETY: Aligned as checked above, as the words are; every processor that tests run on has the instruction.
        let now = unsafe { cmpxchg16b(at.cast(), old, new, SeqCst, SeqCst) };
        Some(if now == old { Ok(()) } else { Err(now) })
    }
}

/// Stores bytes that start at an offset in one page and may go on in another, from the last to the first.
fn store(pages: [&SharedPage; 2], offset: usize, bytes: &[u8]) {
    for (n, byte) in bytes.iter().enumerate().rev() {
        let at = offset + n;
        if let Some(to) = pages[at / PAGE_SIZE].byte(at % PAGE_SIZE) {
            to.store(*byte, core::sync::atomic::Ordering::Release);
        }
    }
}

/// Makes the stores of a window, which has pages and an offset.
macro_rules! window_stores {
    () => {
        fn store(&self, at: usize, bytes: &[u8]) {
            if at <= LEN && LEN - at >= bytes.len() {
                store([&self.first, &self.second], self.offset + at, bytes);
            }
        }

        /// Stores an integer at an offset. Outside the window nothing happens.
        pub(crate) fn store8(&self, at: usize, value: u8) {
            self.store(at, &[value]);
        }

        /// Stores an integer at an offset. Outside the window nothing happens.
        pub(crate) fn store32(&self, at: usize, value: u32) {
            self.store(at, &value.to_le_bytes());
        }

        /// Stores an integer at an offset. Outside the window nothing happens.
        pub(crate) fn store64(&self, at: usize, value: u64) {
            self.store(at, &value.to_le_bytes());
        }
    };
}

/// `LEN` bytes of a page at any alignment, which we write while a guest reads them. Never read.
pub(crate) struct Window<const LEN: usize> {
    first: SharedPage,
    second: SharedPage,
    offset: usize,
}

impl<const LEN: usize> Window<LEN> {
    /// Makes the window that starts at byte `offset` of the page; `None` if it would not end in the page.
    pub(crate) fn new(page: SharedPage, offset: usize) -> Option<Self> {
        (offset.checked_add(LEN)? <= PAGE_SIZE).then_some(Self {
            first: page.clone(),
            second: page,
            offset,
        })
    }

    window_stores!();
}

/// `LEN` bytes that begin at the end of one page and go on at the start of another. Never read.
pub(crate) struct SplitWindow<const LEN: usize> {
    first: SharedPage,
    second: SharedPage,
    offset: usize,
}

impl<const LEN: usize> SplitWindow<LEN> {
    /// Makes the window that starts at byte `offset` of the first page; `None` if it would not end in the second.
    pub(crate) fn new(first: SharedPage, second: SharedPage, offset: usize) -> Option<Self> {
        let split = PAGE_SIZE.checked_sub(offset)?;
        (split != 0 && split < LEN && LEN <= PAGE_SIZE).then_some(Self {
            first,
            second,
            offset,
        })
    }

    window_stores!();
}
