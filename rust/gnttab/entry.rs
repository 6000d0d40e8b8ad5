// SPDX-License-Identifier: GPL-2.0-only

//! One version 1 entry of a shared frame (`struct grant_entry_v1` of `xen/grant_table.h`).
//!
//! The owner of the table may change both words at any moment, from any number of CPUs. Each decision is
//! made on one value of the first word, and that very value is what the compare-and-swap replaces.

use super::{
    pin::{
        Access,
        Use, //
    },
    status::{
        GntResult,
        Gntst, //
    },
};
use crate::{
    abi::grant_table::{
        ENTRY_V1_FRAME,
        ENTRY_V1_SIZE,
        GTF_INVALID,
        GTF_PERMIT_ACCESS,
        GTF_READING,
        GTF_READONLY,
        GTF_SUB_PAGE,
        GTF_TYPE_MASK,
        GTF_WRITING, //
    },
    sys::{
        atomic::{
            AtomicU32,
            Ordering, //
        },
        page::{
            SharedPage,
            PAGE_SIZE, //
        },
    },
};

/// Entries in one shared frame.
pub(super) const ENTRIES_PER_FRAME: usize = PAGE_SIZE / ENTRY_V1_SIZE;

/// How many times the first word is tried before its owner is taken to be racing us on purpose (XSA-295).
///
/// Xen's number. A few are needed: an owner may rightly change `GTF_readonly` while an entry is in use.
pub(super) const CLAIM_TRIES: u32 = 5;

/// The first word of an entry: flags in bits 0-15, domain number in bits 16-31.
#[derive(Clone, Copy)]
struct Header(u32);

impl Header {
    const fn new(flags: u16, domid: u16) -> Self {
        Self(flags as u32 | ((domid as u32) << 16))
    }

    const fn flags(self) -> u16 {
        // CAST: the low half is wanted.
        self.0 as u16
    }

    const fn domid(self) -> u16 {
        // CAST: 16 bits are left.
        (self.0 >> 16) as u16
    }

    /// Says whether the owner lets `who` use the entry this way.
    fn permits(self, who: u16, access: Access, how: Use) -> bool {
        let mask = match how {
            Use::Map => GTF_TYPE_MASK | GTF_SUB_PAGE,
            Use::Copy => GTF_TYPE_MASK,
        };

        self.flags() & mask == GTF_PERMIT_ACCESS
            && self.domid() == who
            && (access == Access::Read || self.flags() & GTF_READONLY == 0)
    }
}

/// Decides a claim: checks the word that was seen and exchanges that very word for the claimed one, again
/// with what is there now if it has changed meanwhile, but a few times only.
///
/// `exchange` is the compare-and-swap, apart from the decision so that each interleaving can be tested.
///
/// Unlike Xen this checks type and domain even if the entry is in use already and only writing is added: an
/// owner that keeps to the protocol changes neither then, and one that does not has no claim to our help.
pub(super) fn claim_with(
    first: u32,
    who: u16,
    access: Access,
    how: Use,
    mut exchange: impl FnMut(u32, u32) -> Result<u32, u32>,
) -> GntResult {
    let bits = match access {
        Access::Read => GTF_READING,
        Access::Write => GTF_READING | GTF_WRITING,
    };
    let mut seen = first;

    for _ in 0..CLAIM_TRIES {
        if !Header(seen).permits(who, access, how) {
            return Err(Gntst::GENERAL_ERROR);
        }
        match exchange(seen, seen | u32::from(bits)) {
            Ok(_) => return Ok(()),
            Err(now) => seen = now,
        }
    }

    Err(Gntst::GENERAL_ERROR)
}

/// The words of one entry.
pub(super) struct Entry<'a> {
    header: &'a AtomicU32,
    frame: &'a AtomicU32,
}

impl<'a> Entry<'a> {
    /// Returns the entry numbered `slot` of a shared frame, or `None` past its end.
    pub(super) fn at(page: &'a SharedPage, slot: usize) -> Option<Self> {
        let offset = slot.checked_mul(ENTRY_V1_SIZE)?;

        Some(Self {
            header: page.word32(offset)?,
            frame: page.word32(offset.checked_add(ENTRY_V1_FRAME)?)?,
        })
    }

    /// Checks that the owner permits `who` the access and sets the bits that say the entry is in use.
    ///
    /// # Errors
    ///
    /// `GNTST_general_error` if the owner does not permit it, or keeps changing the word.
    pub(super) fn claim(&self, who: u16, access: Access, how: Use) -> GntResult {
        let first = self.header.load(Ordering::Acquire);

        claim_with(first, who, access, how, |seen, claimed| {
            // Acquire: the frame number, written before the flags, is read after them.
            self.header
                .compare_exchange(seen, claimed, Ordering::AcqRel, Ordering::Acquire)
        })
    }

    /// Clears the bits that say the entry is in use for writing (`writing`) or at all (`reading`).
    ///
    /// One locked instruction, which cannot be made to retry. Release: what the user of the entry wrote to
    /// the page is visible to an owner that sees the bits clear.
    pub(super) fn release(&self, writing: bool, reading: bool) {
        let mut bits = 0;
        if writing {
            bits |= GTF_WRITING;
        }
        if reading {
            bits |= GTF_READING;
        }
        if bits != 0 {
            self.header.fetch_and(!u32::from(bits), Ordering::Release);
        }
    }

    /// Reads the frame number. It is valid if a [`claim`](Self::claim) came before.
    pub(super) fn frame(&self) -> u32 {
        self.frame.load(Ordering::Relaxed)
    }

    /// Exchanges what two entries say. Neither may be in use.
    ///
    /// Each word is read once, and the flags are written last.
    pub(super) fn swap(&self, other: &Self) {
        let (header_a, frame_a) = (
            self.header.load(Ordering::Acquire),
            self.frame.load(Ordering::Relaxed),
        );
        let (header_b, frame_b) = (
            other.header.load(Ordering::Acquire),
            other.frame.load(Ordering::Relaxed),
        );

        self.frame.store(frame_b, Ordering::Relaxed);
        other.frame.store(frame_a, Ordering::Relaxed);
        self.header.store(header_b, Ordering::Release);
        other.header.store(header_a, Ordering::Release);
    }

    /// Says whether the entry grants nothing.
    pub(super) fn is_invalid(&self) -> bool {
        Header(self.header.load(Ordering::Relaxed)).flags() & GTF_TYPE_MASK == GTF_INVALID
    }

    /// Writes an entry that permits `who` access to `frame`; for tables that the host writes itself.
    pub(super) fn offer(&self, who: u16, frame: u32, access: Access) {
        let flags = match access {
            Access::Read => GTF_PERMIT_ACCESS | GTF_READONLY,
            Access::Write => GTF_PERMIT_ACCESS,
        };

        self.frame.store(frame, Ordering::Relaxed);
        self.header
            .store(Header::new(flags, who).0, Ordering::Release);
    }

    /// Makes the entry grant nothing; for tables that the host writes itself.
    pub(super) fn withdraw(&self) {
        self.header.store(0, Ordering::Release);
    }
}
