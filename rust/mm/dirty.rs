// SPDX-License-Identifier: GPL-2.0-only

//! A log of which frames of a range were written.

use core::ops::Range;

use crate::abi::errno::Result;
use crate::sys::alloc::{
    KVVec,
    GFP_KERNEL, //
};

/// A bit for each frame, the lowest frame in the lowest bit of the first byte.
pub(crate) type Bits = KVVec<u8>;

/// The log of one range.
pub(crate) struct DirtyLog {
    first: u64,
    frames: u32,
    bits: Bits,
}

impl DirtyLog {
    /// Makes a log of `frames` frames from `first` on, none of which was written. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(first: u64, frames: u32) -> Result<Self> {
        Ok(Self {
            first,
            frames,
            bits: Self::none(frames)?,
        })
    }

    /// Makes the bits of so many frames, all clear. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn none(frames: u32) -> Result<Bits> {
        // CAST: Widens.
        let bytes = frames.div_ceil(8) as usize;
        let mut bits = KVVec::with_capacity(bytes, GFP_KERNEL)?;
        bits.resize(bytes, 0, GFP_KERNEL)?;
        Ok(bits)
    }

    /// The frames.
    pub(crate) fn range(&self) -> Range<u64> {
        self.first..self.first.saturating_add(self.frames.into())
    }

    /// Notes a write.
    pub(super) fn note(&mut self, gfn: u64) {
        if !self.range().contains(&gfn) {
            return;
        }
        let offset = gfn - self.first;
        // CAST: An index in the bits, of which there are less than 2^32.
        if let Some(byte) = self.bits.get_mut((offset / 8) as usize) {
            *byte |= 1 << (offset % 8);
        }
    }

    /// Takes the bits, and has clear ones in their place.
    pub(super) fn exchange(&mut self, bits: &mut Bits) {
        if bits.len() == self.bits.len() {
            core::mem::swap(bits, &mut self.bits);
        }
    }
}
