// SPDX-License-Identifier: GPL-2.0-only

//! The hypervisor's log ring, as `readconsole` shows it, and the lines that guests write into it.

use crate::abi::errno::Result;
use crate::sys::alloc::{
    KVVec,
    GFP_KERNEL, //
};

/// Bytes of the ring; a power of two.
pub(crate) const RING_BYTES: usize = 128 << 10;
/// Longest line of a guest in bytes; what is longer is split.
pub(crate) const LINE_BYTES: usize = 256;

/// The ring. New text pushes old text out.
pub(crate) struct Ring {
    bytes: KVVec<u8>,
    /// Bytes ever written; the next one goes to this modulo the size.
    producer: u32,
    /// Where a reader that wants all begins.
    consumer: u32,
}

impl Ring {
    /// Makes an empty ring.
    pub(crate) fn new() -> Result<Self> {
        let mut bytes = KVVec::with_capacity(RING_BYTES, GFP_KERNEL)?;
        bytes.resize(RING_BYTES, 0, GFP_KERNEL)?;
        Ok(Self {
            bytes,
            producer: 0,
            consumer: 0,
        })
    }

    /// Appends text.
    pub(crate) fn write(&mut self, text: &[u8]) {
        for byte in text {
            let at = self.producer as usize % RING_BYTES;
            if let Some(slot) = self.bytes.get_mut(at) {
                *slot = *byte;
            }
            self.producer = self.producer.wrapping_add(1);
        }
        if self.producer.wrapping_sub(self.consumer) as usize > RING_BYTES {
            // CAST: The size is far below 2^32.
            self.consumer = self.producer.wrapping_sub(RING_BYTES as u32);
        }
    }

    /// The index at which reading begins: that of the oldest byte, or `index` if `incremental` and it is newer.
    pub(crate) fn start(&self, incremental: bool, index: u32) -> u32 {
        // CAST: Whether `index` is after the consumer, modulo 2^32.
        if incremental && index.wrapping_sub(self.consumer) as i32 > 0 {
            index
        } else {
            self.consumer
        }
    }

    /// Copies from `index` on; returns how much there was.
    pub(crate) fn read(&self, index: u32, into: &mut [u8]) -> usize {
        let available = self.producer.wrapping_sub(index) as usize;
        if available > RING_BYTES {
            return 0;
        }
        let len = available.min(into.len());
        for (offset, slot) in into.iter_mut().take(len).enumerate() {
            // CAST: `offset` is below the size of the ring.
            let at = index.wrapping_add(offset as u32) as usize % RING_BYTES;
            *slot = self.bytes.get(at).copied().unwrap_or(0);
        }
        len
    }

    /// Forgets everything up to now.
    pub(crate) fn clear(&mut self) {
        self.consumer = self.producer;
    }
}

/// A line that a guest is writing.
pub(crate) struct Line {
    bytes: [u8; LINE_BYTES],
    len: usize,
}

impl Line {
    /// The empty line.
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; LINE_BYTES],
            len: 0,
        }
    }

    /// Adds a byte. Calls `done` with the line, without its end, when it is complete. Bytes that are not printable
    /// are left out, so that a guest cannot send escape sequences to whoever reads the log.
    pub(crate) fn push(&mut self, byte: u8, done: impl FnOnce(&[u8])) {
        let printable = matches!(byte, b' '..=b'~' | b'\t');
        if printable {
            if let Some(slot) = self.bytes.get_mut(self.len) {
                *slot = byte;
                self.len += 1;
            }
        }
        if byte == b'\n' || self.len == LINE_BYTES {
            done(self.bytes.get(..self.len).unwrap_or(&[]));
            self.len = 0;
        }
    }
}
