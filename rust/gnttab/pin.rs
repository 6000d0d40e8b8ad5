// SPDX-License-Identifier: GPL-2.0-only

//! One use of a grant entry.

/// What the user of an entry wants to do with the page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    /// Read it.
    Read,
    /// Read and write it.
    Write,
}

/// How an entry is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Use {
    /// It is mapped (`GNTTABOP_map_grant_ref`).
    Map,
    /// It is one side of a copy (`GNTTABOP_copy`).
    Copy,
}

/// The right to use one grant entry, counted in the granter's table until [`super::Table::unpin`] takes it
/// back.
///
/// Cannot be copied, so an entry is never released more often than it was taken. One that is dropped instead
/// leaves the entry in use for the life of the granter; drop it only when the granter is gone.
#[must_use = "a pin that is dropped leaves the grant entry in use"]
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pin {
    /// Which table it came from.
    pub(super) serial: u64,
    pub(super) gref: u32,
    pub(super) gfn: u32,
    pub(super) granter: u16,
    pub(super) access: Access,
}

impl Pin {
    /// Returns the number of the domain that granted the use.
    pub(crate) const fn granter(&self) -> u16 {
        self.granter
    }

    /// Returns the index of the entry.
    #[cfg(test)]
    pub(crate) const fn gref(&self) -> u32 {
        self.gref
    }

    /// Returns the granted guest frame number, as it was when the entry came into use.
    ///
    /// Our own copy. The owner can no longer change what is used by writing to the entry.
    pub(crate) const fn gfn(&self) -> u64 {
        self.gfn as u64
    }

    /// Returns the access that was granted.
    pub(crate) const fn access(&self) -> Access {
        self.access
    }
}
