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
pub(crate) struct SharedPage(Arc<[AtomicU64; PAGE_SIZE / 8]>);

impl SharedPage {
    /// Allocates a zeroed page.
    pub(crate) fn zeroed() -> crate::abi::errno::Result<Self> {
        Ok(Self(Arc::new([const { AtomicU64::new(0) }; PAGE_SIZE / 8])))
    }

    /// The page frame number; on the host a number that differs from page to page.
    pub(crate) fn mfn(&self) -> u64 {
        Arc::as_ptr(&self.0) as u64 >> 3
    }

    fn at<T>(&self, offset: usize) -> Option<&T> {
        let size = core::mem::size_of::<T>();
        if offset % size != 0 || offset.checked_add(size)? > PAGE_SIZE {
            return None;
        }
        let base = self.0.as_ptr().cast::<u8>();
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
}
