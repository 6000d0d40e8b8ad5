// SPDX-License-Identifier: GPL-2.0-only

//! The owner's side of a table: making entries, and taking them back.
//!
//! A guest does this itself, by writing to its frames. The host, which is domain 0, does it here, for what
//! `/dev/xen/gntalloc` gives out. Its frames are mapped nowhere, so that it alone writes them.

use super::{
    pin::Access,
    Table, //
};
use crate::abi::{
    errno::{
        self,
        Result, //
    },
    grant_table::NR_RESERVED_ENTRIES,
};

impl Table {
    /// Makes an entry that permits domain `who` access to guest frame `gfn`, and returns its reference.
    ///
    /// # Errors
    ///
    /// - `ERANGE` if the frame number has more than the 32 bits of an entry.
    /// - `ENOSPC` if no entry is free; grow the table and ask again.
    pub(crate) fn offer(&mut self, who: u16, gfn: u64, access: Access) -> Result<u32> {
        let gfn = u32::try_from(gfn).or(Err(errno::ERANGE))?;
        let entries = self.nr_entries();

        for _ in 0..entries {
            let gref = self.hint;
            self.hint = match gref.checked_add(1) {
                Some(next) if next < entries => next,
                _ => NR_RESERVED_ENTRIES,
            };
            if gref < NR_RESERVED_ENTRIES {
                continue;
            }
            if let Some((entry, active)) = self.parts(gref) {
                if !active.in_use() && entry.is_invalid() {
                    entry.offer(who, gfn, access);
                    return Ok(gref);
                }
            }
        }

        Err(errno::ENOSPC)
    }

    /// Takes an entry back.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if there is no such entry.
    /// - `EBUSY` if it is in use; its page has to be kept, and this asked again later.
    pub(crate) fn withdraw(&mut self, gref: u32) -> Result {
        let (entry, active) = self.parts(gref).ok_or(errno::EINVAL)?;

        if active.in_use() {
            return Err(errno::EBUSY);
        }
        entry.withdraw();
        Ok(())
    }
}
