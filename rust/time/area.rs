// SPDX-License-Identifier: GPL-2.0-only

//! An area of guest memory that we write while the guest reads it.
//!
//! Guests register such areas with any alignment, and those registered by linear address may cross
//! into another page. Words are stored whole where they are aligned, else byte by byte from the
//! highest to the lowest, so that the lowest byte of a version, which says whether it is odd,
//! always changes last.

use crate::abi::errno::{
    Result,
    EINVAL, //
};
use crate::sys::atomic::Ordering;
use crate::sys::page::{
    SharedPage,
    PAGE_SIZE, //
};

/// A registered area; holds references to its pages. Never read.
#[derive(Clone)]
pub(crate) struct GuestArea {
    first: SharedPage,
    second: Option<SharedPage>,
    /// Byte offset in the first page.
    offset: usize,
    /// Bytes.
    len: usize,
}

impl GuestArea {
    /// Makes an area of `len` bytes that starts `offset` bytes into `first` and goes on at the
    /// start of `second`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it starts outside the page, is longer than a page, or crosses the page's end and
    /// there is no second page.
    pub(crate) fn new(
        first: SharedPage,
        second: Option<SharedPage>,
        offset: usize,
        len: usize,
    ) -> Result<Self> {
        if offset >= PAGE_SIZE || len > PAGE_SIZE {
            return Err(EINVAL);
        }
        if offset.wrapping_add(len) > PAGE_SIZE && second.is_none() {
            return Err(EINVAL);
        }
        Ok(Self {
            first,
            second,
            offset,
            len,
        })
    }

    /// Returns whether the area lies, wholly or in part, in one of the pages whose machine frame
    /// numbers `which` knows.
    pub(crate) fn touches(&self, mut which: impl FnMut(u64) -> bool) -> bool {
        let second = match &self.second {
            Some(page) if self.offset.wrapping_add(self.len) > PAGE_SIZE => which(page.mfn()),
            _ => false,
        };
        second || which(self.first.mfn())
    }

    /// Returns the page that holds byte `at` and the offset there, if `size` bytes from `at` are in
    /// the area; they may end in the next page.
    fn locate(&self, at: usize, size: usize) -> Option<(&SharedPage, usize)> {
        if at.checked_add(size)? > self.len {
            return None;
        }
        // Both are below two pages: nothing wraps here or below.
        let position = self.offset.wrapping_add(at);
        if position < PAGE_SIZE {
            Some((&self.first, position))
        } else {
            Some((self.second.as_ref()?, position - PAGE_SIZE))
        }
    }

    /// Stores a byte at offset `at`; outside the area nothing happens.
    pub(crate) fn store8(&self, at: usize, value: u8) {
        let byte = self
            .locate(at, 1)
            .and_then(|(page, offset)| page.byte(offset));
        if let Some(byte) = byte {
            // Each store of a split word keeps behind the one before it; that costs nothing on x86.
            byte.store(value, Ordering::Release);
        }
    }

    /// Stores 32 bits at offset `at`; outside the area nothing happens.
    pub(crate) fn store32(&self, at: usize, value: u32) {
        let Some((page, offset)) = self.locate(at, 4) else {
            return;
        };
        match page.word32(offset) {
            Some(word) => word.store(value, Ordering::Relaxed),
            None => self.store_bytes(at, &value.to_le_bytes()),
        }
    }

    /// Stores 64 bits at offset `at`; outside the area nothing happens.
    pub(crate) fn store64(&self, at: usize, value: u64) {
        let Some((page, offset)) = self.locate(at, 8) else {
            return;
        };
        match page.word64(offset) {
            Some(word) => word.store(value, Ordering::Relaxed),
            None if offset % 4 == 0 => {
                // CAST: split into halves.
                self.store32(at.wrapping_add(4), (value >> 32) as u32);
                self.store32(at, value as u32);
            }
            None => self.store_bytes(at, &value.to_le_bytes()),
        }
    }

    /// Stores bytes from the last to the first.
    fn store_bytes(&self, at: usize, bytes: &[u8]) {
        for (n, byte) in bytes.iter().enumerate().rev() {
            self.store8(at.wrapping_add(n), *byte);
        }
    }
}

#[cfg(all(test, not(loom)))]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads a byte that lies `position` bytes after the start of two pages.
    pub(in crate::time) fn byte_at(pages: &[SharedPage; 2], position: usize) -> u8 {
        pages[position / PAGE_SIZE]
            .byte(position % PAGE_SIZE)
            .unwrap()
            .load(Ordering::Acquire)
    }

    pub(in crate::time) fn pages() -> [SharedPage; 2] {
        [SharedPage::zeroed().unwrap(), SharedPage::zeroed().unwrap()]
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let [a, b] = pages();
        let new = |second: Option<&SharedPage>, offset, len| {
            GuestArea::new(a.clone(), second.cloned(), offset, len).err()
        };
        assert_eq!(new(None, 4064, 32), None);
        assert_eq!(new(None, 4065, 32), Some(EINVAL));
        assert_eq!(new(Some(&b), 4065, 32), None);
        assert_eq!(new(Some(&b), 4096, 32), Some(EINVAL));
        assert_eq!(new(Some(&b), usize::MAX, 32), Some(EINVAL));
        assert_eq!(new(Some(&b), 1, 4097), Some(EINVAL));
    }

    #[test]
    fn knows_its_pages() {
        let [a, b] = pages();
        let area = GuestArea::new(a.clone(), Some(b.clone()), 4090, 32).unwrap();
        let touches = |area: &GuestArea, mfn| area.touches(|which| which == mfn);
        assert!(touches(&area, a.mfn()) && touches(&area, b.mfn()) && !touches(&area, 1));
        let area = GuestArea::new(a.clone(), Some(b.clone()), 64, 32).unwrap();
        assert!(touches(&area, a.mfn()) && !touches(&area, b.mfn()));
    }

    proptest! {
        /// Any stores at any alignment end up where they belong and nowhere else.
        #[test]
        fn stores_like_a_flat_memory(
            offset in prop_oneof![0usize..100, 4000usize..4096],
            stores in proptest::collection::vec((0usize..70, any::<u64>(), 0u8..3), 0..20),
        ) {
            const LEN: usize = 64;
            let pages = pages();
            let area =
                GuestArea::new(pages[0].clone(), Some(pages[1].clone()), offset, LEN).unwrap();
            let mut flat = vec![0u8; 2 * PAGE_SIZE];
            for (at, value, kind) in stores {
                let size = [1, 4, 8][usize::from(kind)];
                match kind {
                    0 => area.store8(at, value as u8),
                    1 => area.store32(at, value as u32),
                    _ => area.store64(at, value),
                }
                if at + size <= LEN {
                    let to = offset + at;
                    flat[to..to + size].copy_from_slice(&value.to_le_bytes()[..size]);
                }
            }
            for (position, byte) in flat.iter().enumerate() {
                prop_assert_eq!(byte_at(&pages, position), *byte);
            }
        }
    }
}
