// SPDX-License-Identifier: GPL-2.0-only

//! Changing what guest frames are, and logging which of them were written.

use core::ops::Range;

use super::{
    P2m,
    Removed,
    Spare, //
};
use crate::abi::errno::{
    Result,
    EINVAL,
    ENOENT, //
};
use crate::hw::npt::{
    Entry,
    P2mType,
    ENTRIES, //
};
use crate::mm::dirty::{
    Bits,
    DirtyLog, //
};
use crate::sys::alloc::GFP_KERNEL;
use crate::sys::atomic::Ordering;
use crate::sys::irq;

impl P2m {
    /// Changes the type of the page at `gfn` from `from` to `to`, both with the same page behind them.
    ///
    /// # Errors
    ///
    /// `ENOENT` if nothing is there, `EINVAL` if it is of another type.
    #[cfg_attr(
        not(CONFIG_KUNIT = "y"),
        expect(dead_code, reason = "only its tests use it: see `retype`")
    )]
    pub(crate) fn change_type(&self, gfn: u64, from: P2mType, to: P2mType) -> Result {
        self.check_range(gfn, 1)?;
        let mut spare = Spare::new(1)?;
        {
            let mut guard = self.lock.lock();
            let leaf = self.lookup(gfn).ok_or(ENOENT)?;
            if leaf.ty == P2mType::Invalid {
                return Err(ENOENT);
            }
            if leaf.ty != from {
                return Err(EINVAL);
            }
            let slot = self.slot(gfn, 0, &mut spare, &mut guard)?;
            let entry = Entry::leaf(leaf.mfn, to, leaf.rights, false, self.encryption);
            slot.store(entry.0, Ordering::Release);
        }
        self.flush();
        Ok(())
    }

    /// Changes the type of what is at `gfn` to what `to` says of the type that it has. A page that the new type has no
    /// place for is added to `removed`. The caller flushes.
    ///
    /// # Errors
    ///
    /// What `to` returns; `EINVAL` beyond the map, `ENOMEM`.
    pub(crate) fn retype(
        &self,
        gfn: u64,
        removed: &mut Removed,
        to: impl FnOnce(P2mType) -> Result<P2mType>,
    ) -> Result {
        self.check_range(gfn, 1)?;
        removed.pages.reserve(1, GFP_KERNEL)?;
        let mut spare = Spare::new(3)?;
        let old = {
            let mut guard = self.lock.lock();
            let leaf = self.lookup(gfn);
            let from = leaf.map_or(P2mType::Invalid, |leaf| leaf.ty);
            let to = to(from)?;
            if to == from {
                return Ok(());
            }
            let slot = self.slot(gfn, 0, &mut spare, &mut guard)?;
            match leaf {
                Some(leaf) if to.is_page() && from.is_page() => {
                    let entry = Entry::leaf(leaf.mfn, to, leaf.rights, false, self.encryption);
                    slot.store(entry.0, Ordering::Release);
                    Entry::EMPTY
                }
                _ => Entry(slot.swap(Entry::absent(to).0, Ordering::AcqRel)),
            }
        };
        self.retire(old, removed)
    }

    /// Changes the type of the RAM at `gfn` to another type of RAM, which `to` says. The caller flushes.
    ///
    /// # Errors
    ///
    /// What `to` returns; `EINVAL` if there is no RAM or beyond the map, `ENOMEM`.
    pub(crate) fn retype_ram(
        &self,
        gfn: u64,
        to: impl FnOnce(P2mType) -> Result<P2mType>,
    ) -> Result {
        let mut none = Removed::with_capacity(0)?;
        let ram = |from: P2mType| {
            if !from.is_ram() {
                return Err(EINVAL);
            }
            to(from).and_then(|to| if to.is_ram() { Ok(to) } else { Err(EINVAL) })
        };
        let result = self.retype(gfn, &mut none, ram);
        drop(none);
        result
    }

    /// Changes every page of a type in a range of frames to another type, with one flush.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; what was changed stays so.
    pub(crate) fn retype_all(&self, gfns: Range<u64>, from: P2mType, to: P2mType) -> Result {
        let mut result = Ok(());
        let mut changed = false;
        for gfn in gfns {
            if gfn % ENTRIES as u64 == 0 {
                irq::cond_resched();
            }
            if self.lookup(gfn).is_none_or(|leaf| leaf.ty != from) {
                continue;
            }
            changed = true;
            let change = |now| if now == from { Ok(to) } else { Err(EINVAL) };
            match self.retype_ram(gfn, change) {
                // It was changed meanwhile.
                Err(errno) if errno == EINVAL => {}
                Err(errno) => {
                    result = Err(errno);
                    break;
                }
                Ok(()) => {}
            }
        }
        if changed {
            self.flush();
        }
        result
    }

    /// Begins, replaces or ends the log of writes; returns the old one.
    pub(crate) fn set_log(&self, log: Option<DirtyLog>) -> Option<DirtyLog> {
        core::mem::replace(&mut self.lock.lock().log, log)
    }

    /// The frames of which writes are logged.
    pub(crate) fn log_range(&self) -> Option<Range<u64>> {
        self.lock.lock().log.as_ref().map(DirtyLog::range)
    }

    /// Takes the log's bits, and leaves those of `bits` in their place.
    pub(crate) fn take_log(&self, bits: &mut Bits) {
        if let Some(log) = &mut self.lock.lock().log {
            log.exchange(bits);
        }
    }

    /// Notes in the log that a frame was written.
    pub(crate) fn note_written(&self, gfn: u64) {
        if let Some(log) = &mut self.lock.lock().log {
            log.note(gfn);
        }
    }
}
