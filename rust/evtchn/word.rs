// SPDX-License-Identifier: GPL-2.0-only

//! Words that others write at the same time.
//!
//! The algorithms on shared words are generic over [`Word`], so that loom can run the very same
//! code on its own atomics.

use crate::sys::atomic::Ordering;

/// A word of shared memory, seen as at most 32 bits.
///
/// All operations are sequentially consistent. On x86 that makes a load a plain load, and every
/// read-modify-write one locked instruction.
pub(crate) trait Word {
    /// Reads the word.
    fn get(&self) -> u32;
    /// Writes the word; everything written before is visible to who sees the new value.
    fn put(&self, value: u32);
    /// Sets `bits` and returns the word as it was.
    fn set(&self, bits: u32) -> u32;
    /// Clears `bits` and returns the word as it was.
    fn clear(&self, bits: u32) -> u32;
    /// Writes `new` if the word is `old`, else returns what it is. May fail without a reason.
    fn replace(&self, old: u32, new: u32) -> Result<(), u32>;
    /// Orders an earlier read-modify-write against later reads of other words.
    ///
    /// Nothing to do where both are sequentially consistent.
    fn settle() {}
}

macro_rules! word {
    ($type:ty, $bits:ty, $($settle:item)?) => {
        impl Word for $type {
            fn get(&self) -> u32 {
                u32::from(self.load(Ordering::SeqCst))
            }
            fn put(&self, value: u32) {
                // CAST: no caller has more bits than the word.
                self.store(value as $bits, Ordering::Release);
            }
            fn set(&self, bits: u32) -> u32 {
                // CAST: as above.
                u32::from(self.fetch_or(bits as $bits, Ordering::SeqCst))
            }
            fn clear(&self, bits: u32) -> u32 {
                // CAST: as above.
                u32::from(self.fetch_and(!(bits as $bits), Ordering::SeqCst))
            }
            fn replace(&self, old: u32, new: u32) -> Result<(), u32> {
                // CAST: as above.
                match self.compare_exchange(
                    old as $bits,
                    new as $bits,
                    Ordering::SeqCst,
                    Ordering::SeqCst,
                ) {
                    Ok(_) => Ok(()),
                    Err(now) => Err(u32::from(now)),
                }
            }
            $($settle)?
        }
    };
}

// What `SharedPage` hands out.
word!(core::sync::atomic::AtomicU32, u32,);
word!(core::sync::atomic::AtomicU8, u8,);

// Loom takes a sequentially consistent access for an acquire or release, and needs the fence.
#[cfg(loom)]
word!(
    crate::sys::atomic::AtomicU32,
    u32,
    fn settle() {
        crate::sys::atomic::fence(Ordering::SeqCst);
    }
);
