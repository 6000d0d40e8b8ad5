// SPDX-License-Identifier: GPL-2.0-only

//! A few guest frames and pages of code and where they are in the host, for the exit path.
//!
//! Finding the instruction at RIP means reading five guest frames, each of which is a walk of the p2m. Code and its
//! page tables stay where they are from one exit to the next: a handful of remembered frames saves nearly all of
//! these walks, and a handful of remembered pages of code nearly all of the translation. A guest changes its page
//! tables without telling: what a translation was made from is remembered with it, and read again before it is used.

use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};

use crate::mm::p2m::P2m;
use crate::sys::irq::IrqsOff;
use crate::sys::page::{
    PAGE_SHIFT,
    PAGE_SIZE, //
};

/// Frames that are remembered; a power of two.
const FRAMES: usize = 16;

/// Pages of code that are remembered; a power of two.
const PAGES: usize = 8;

/// No frame has this number.
const NONE: u64 = u64::MAX;

/// The last offset in a page at which four bytes are all in it.
const LAST_WORD: u64 = 0xffc;

/// A page of code in four-level long mode, and what its translation was made from.
///
/// # Invariants
///
/// If `page` belongs into the slot that holds the line, `entries` and `host` are addresses of which
/// [`FrameCache`]'s invariant holds.
#[derive(Clone, Copy)]
struct Line {
    /// Its linear address.
    page: u64,
    /// The root that it was translated with.
    cr3: u64,
    /// Where the entries of the walk are, and what they were. A walk that ended early names its first entry again.
    entries: [(usize, u64); 4],
    /// Where the page is.
    host: usize,
}

impl Line {
    /// A line of this slot that matches nothing: its page belongs into another slot.
    const fn none(slot: usize) -> Self {
        Self {
            page: (slot as u64 ^ 1) << PAGE_SHIFT,
            cr3: 0,
            entries: [(0, 0); 4],
            host: 0,
        }
    }

    /// The slot of a linear address.
    #[inline]
    const fn slot(linear: u64) -> usize {
        // CAST: Three bits.
        (linear >> PAGE_SHIFT) as usize & (PAGES - 1)
    }
}

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
    pages: [Line; PAGES],
}

impl FrameCache {
    /// Remembers nothing.
    pub(crate) const fn new() -> Self {
        Self {
            gfns: [NONE; FRAMES],
            addresses: [0; FRAMES],
            pages: Self::NO_PAGES,
        }
    }

    const NO_PAGES: [Line; PAGES] = {
        let mut pages = [Line::none(0); PAGES];
        let mut slot = 1;
        while slot < PAGES {
            pages[slot] = Line::none(slot);
            slot += 1;
        }
        pages
    };

    /// Forgets everything. To be called at the begin of a section in which the p2m's generation is another one than
    /// in the last, and when the domain is another one.
    pub(crate) fn clear(&mut self) {
        self.gfns = [NONE; FRAMES];
        self.pages = Self::NO_PAGES;
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

    /// Reads the word of a guest frame that is at `at` in the host.
    ///
    /// # Safety
    ///
    /// The type's invariant holds of `at`, and it is aligned.
    #[inline]
    unsafe fn word(at: usize, _irqs: &IrqsOff) -> u64 {
        // SAFETY: An aligned word of a page that is there while interrupts are off.
        unsafe { (*(at as *const AtomicU64)).load(Ordering::Relaxed) }
    }

    /// Reads four bytes of code at `linear` in the long mode address space with root `cr3` (four levels), the first
    /// in the lowest byte. `None` if they are not all in one page, or the page is not remembered or is another one
    /// by now: [`FrameCache::code`] then finds it, and remembers it.
    #[inline(always)]
    pub(crate) fn head(&self, cr3: u64, linear: u64, irqs: &IrqsOff) -> Option<u32> {
        let line = &self.pages[Line::slot(linear)];
        // One comparison for the page and for what is left of it. What is less than a page above a page's begin has
        // that page's slot, so the line is not `none`.
        let offset = linear.wrapping_sub(line.page);
        if offset > LAST_WORD || line.cr3 != cr3 {
            return None;
        }
        let [(at, first), (at_1, second), (at_2, third), (at_3, fourth)] = line.entries;
        // SAFETY: By the line's invariant, its page being one of this slot; entries are aligned.
        let first = unsafe { Self::word(at, irqs) } ^ first;
        // SAFETY: As above.
        let second = unsafe { Self::word(at_1, irqs) } ^ second;
        // SAFETY: As above.
        let third = unsafe { Self::word(at_2, irqs) } ^ third;
        // SAFETY: As above.
        let fourth = unsafe { Self::word(at_3, irqs) } ^ fourth;
        if first | second | third | fourth != 0 {
            return None;
        }
        // CAST: Twelve bits.
        let at = (line.host + offset as usize) as *const u32;
        // SAFETY: Four bytes within a page that is there while interrupts are off, by the line's invariant. Others
        // may be changing them: any value will do.
        Some(u32::from_le(unsafe { at.read_unaligned() }))
    }

    /// Reads 16 bytes of code at `linear` in the long mode address space with root `cr3` (four levels). `None` if
    /// they are not all in one page, or an entry is not present: the caller has a slower way that knows everything.
    ///
    /// Rights are not looked at: the processor has just executed what is there, and what is read is used for nothing
    /// but its length.
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
        let mut entries = [(0, 0); 4];
        let mut entry = cr3;
        let mut gpa = None;
        for (level, shift) in [39, 30, 21, 12].into_iter().enumerate() {
            let table = self.frame(p2m, (entry & ADDRESS) >> PAGE_SHIFT, irqs)?;
            // CAST: Nine bits.
            let at = table + (linear >> shift & 511) as usize * 8;
            // SAFETY: An aligned place in a frame that was just found.
            entry = unsafe { Self::word(at, irqs) };
            if level == 0 {
                entries = [(at, entry); 4];
            } else {
                entries[level] = (at, entry);
            }
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
        let host = self.frame(p2m, gpa >> PAGE_SHIFT, irqs)?;
        // INVARIANT: The addresses were found in this generation.
        self.pages[Line::slot(linear)] = Line {
            page: linear & !0xfff,
            cr3,
            entries,
            host,
        };
        Self::sixteen(host, gpa, irqs)
    }

    /// Reads 16 bytes of code at a guest physical address. `None` as with [`FrameCache::code`].
    pub(crate) fn code_at(&mut self, p2m: &P2m, gpa: u64, irqs: &IrqsOff) -> Option<[u8; 16]> {
        let host = self.frame(p2m, gpa >> PAGE_SHIFT, irqs)?;
        Self::sixteen(host, gpa, irqs)
    }

    /// Reads 16 bytes at the offset that `gpa` has in its page, from the page at `host`, which was just found.
    fn sixteen(host: usize, gpa: u64, _irqs: &IrqsOff) -> Option<[u8; 16]> {
        // CAST: Twelve bits.
        let offset = (gpa & 0xfff) as usize;
        if offset > PAGE_SIZE - 16 {
            return None;
        }
        let at = (host + offset) as *const [u8; 16];
        // SAFETY: 16 bytes within a page that is there while interrupts are off, by the type's invariant. Others may
        // be changing them: any value will do.
        Some(unsafe { at.read_volatile() })
    }
}
