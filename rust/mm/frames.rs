// SPDX-License-Identifier: GPL-2.0-only

//! A few guest frames and where they are in the host, for the exit path.
//!
//! Finding the instruction at RIP means reading five guest frames, each of which is a walk of the p2m. Code and its
//! page tables stay where they are from one exit to the next, so a handful of remembered frames saves nearly all of
//! these walks.

use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};

use crate::mm::p2m::P2m;
use crate::sys::irq::IrqsOff;
use crate::sys::page::PAGE_SHIFT;

/// Frames that are remembered; a power of two.
const FRAMES: usize = 16;

/// No frame has this number.
const NONE: u64 = u64::MAX;

/// Guest frames and their addresses in the kernel's direct map.
///
/// # Invariants
///
/// Each address was that of its frame in the p2m's generation for which the cache was last cleared. As long as the
/// p2m has that generation the page is there; and when it has another, the page stays until this processor has taken
/// an interrupt (see [`P2m`]).
pub(crate) struct FrameCache {
    gfns: [u64; FRAMES],
    addresses: [usize; FRAMES],
}

impl FrameCache {
    /// Remembers nothing.
    pub(crate) const fn new() -> Self {
        Self {
            gfns: [NONE; FRAMES],
            addresses: [0; FRAMES],
        }
    }

    /// Forgets everything. To be called at the begin of a section in which the p2m's generation is another one than
    /// in the last, and when the domain is another one.
    pub(crate) fn clear(&mut self) {
        self.gfns = [NONE; FRAMES];
    }

    /// Where a frame is.
    #[inline]
    fn frame(&mut self, p2m: &P2m, gfn: u64, irqs: &IrqsOff) -> Option<usize> {
        // CAST: Four bits.
        let slot = gfn as usize & (FRAMES - 1);
        if self.gfns[slot] == gfn {
            return Some(self.addresses[slot]);
        }
        self.find(p2m, gfn, slot, irqs)
    }

    #[inline(never)]
    fn find(&mut self, p2m: &P2m, gfn: u64, slot: usize, irqs: &IrqsOff) -> Option<usize> {
        let address = p2m.peek(gfn, irqs)? as usize;
        self.gfns[slot & (FRAMES - 1)] = gfn;
        self.addresses[slot & (FRAMES - 1)] = address;
        Some(address)
    }

    #[inline]
    fn word(&mut self, p2m: &P2m, gpa: u64, irqs: &IrqsOff) -> Option<u64> {
        let frame = self.frame(p2m, gpa >> PAGE_SHIFT, irqs)?;
        // CAST: Twelve bits without the lowest three.
        let at = (frame + (gpa & 0xff8) as usize) as *const AtomicU64;
        // SAFETY: An aligned word of a page that is there while interrupts are off, by the type's invariant.
        Some(unsafe { (*at).load(Ordering::Relaxed) })
    }

    /// Reads 16 bytes of code at `linear` in the long mode address space with root `cr3` (four levels). `None` if
    /// they are not all in one page, or an entry is not present: the caller has a slower way that knows everything.
    ///
    /// Rights are not looked at: the processor has just executed what is there, and what is read is used for nothing
    /// but its length.
    #[inline]
    pub(crate) fn code(
        &mut self,
        p2m: &P2m,
        cr3: u64,
        linear: u64,
        irqs: &IrqsOff,
    ) -> Option<[u8; 16]> {
        const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
        const PRESENT: u64 = 1;
        const LARGE: u64 = 1 << 7;
        if linear & 0xfff > 0xff0 {
            return None;
        }
        let mut entry = cr3 | PRESENT;
        let mut gpa = None;
        for shift in [39, 30, 21, 12] {
            let at = (entry & ADDRESS) + (linear >> shift & 511) * 8;
            entry = self.word(p2m, at, irqs)?;
            if entry & PRESENT == 0 {
                return None;
            }
            if shift == 12 || (entry & LARGE != 0 && shift < 39) {
                let offset = (1u64 << shift) - 1;
                gpa = Some(entry & ADDRESS & !offset | linear & offset);
                break;
            }
        }
        let gpa = gpa?;
        let frame = self.frame(p2m, gpa >> PAGE_SHIFT, irqs)?;
        // CAST: Twelve bits.
        let at = (frame + (gpa & 0xfff) as usize) as *const [u8; 16];
        // SAFETY: 16 bytes within a page that is there while interrupts are off, by the type's invariant. Others may
        // be changing them: any value will do.
        Some(unsafe { at.read_volatile() })
    }
}
