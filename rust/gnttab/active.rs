// SPDX-License-Identifier: GPL-2.0-only

//! Our own record of one grant entry in use.

use super::pin::Access;

/// Highest number of uses of one kind of an entry; one more is refused, as in Xen, whose counters are bytes
/// that stop once their top bit is set.
pub(super) const PIN_LIMIT: u8 = 128;

/// Who uses a grant entry, how often, and for which frame. All zero while it is not in use.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Active {
    /// Uses that may write.
    writers: u8,
    /// Uses that only read.
    readers: u8,
    /// The domain that uses it.
    pub(super) domid: u16,
    /// The granted guest frame, copied when the entry came into use.
    pub(super) gfn: u32,
}

impl Active {
    /// Says whether the entry is in use.
    pub(super) const fn in_use(self) -> bool {
        self.writers != 0 || self.readers != 0
    }

    /// Says whether a use with this access needs bits in the shared entry that are not set yet.
    pub(super) const fn needs_claim(self, access: Access) -> bool {
        match access {
            Access::Read => !self.in_use(),
            Access::Write => self.writers == 0,
        }
    }

    /// Says whether one more use with this access would be too many.
    pub(super) const fn is_full(self, access: Access) -> bool {
        match access {
            Access::Read => self.readers >= PIN_LIMIT,
            Access::Write => self.writers >= PIN_LIMIT,
        }
    }

    /// Counts one more use.
    pub(super) fn add(&mut self, access: Access) {
        let count = self.count(access);
        *count = count.saturating_add(1);
    }

    /// Counts one use less. Returns `false`, and does nothing, if there is none.
    pub(super) fn remove(&mut self, access: Access) -> bool {
        let count = self.count(access);

        match count.checked_sub(1) {
            Some(less) => {
                *count = less;
                true
            }
            None => false,
        }
    }

    /// Says whether a use that may write is left.
    pub(super) const fn has_writer(self) -> bool {
        self.writers != 0
    }

    fn count(&mut self, access: Access) -> &mut u8 {
        match access {
            Access::Read => &mut self.readers,
            Access::Write => &mut self.writers,
        }
    }
}
