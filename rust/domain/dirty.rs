// SPDX-License-Identifier: GPL-2.0-only

//! The log of writes to a frame buffer (`XEN_DMOP_track_dirty_vram`).
//!
//! Frames that are clean have a type that the guest cannot write (`RamLogdirty`). The first write to one faults, is noted,
//! and makes the frame normal RAM until the log is read.

use super::Domain;
use crate::abi::errno::{
    Result,
    EINVAL,
    ESRCH, //
};
use crate::hw::npt::P2mType;
use crate::sys::alloc::{
    KVVec,
    GFP_KERNEL, //
};
use crate::sys::irq;

/// The most frames of a log: 1 GiB, as in Xen.
pub(crate) const MAX_FRAMES: u32 = 1 << 18;

/// Frames whose types are changed before others may go first.
const STEP: u64 = 256;

/// A log of one range.
pub(crate) struct DirtyLog {
    first: u64,
    frames: u32,
    /// A bit for each frame that was written.
    bits: KVVec<u8>,
}

impl DirtyLog {
    fn new(first: u64, frames: u32) -> Result<Self> {
        // CAST: At most 32 KiB.
        let bytes = frames.div_ceil(8) as usize;
        let mut bits = KVVec::with_capacity(bytes, GFP_KERNEL)?;
        bits.resize(bytes, 0, GFP_KERNEL)?;
        Ok(Self {
            first,
            frames,
            bits,
        })
    }

    fn range(&self) -> core::ops::Range<u64> {
        self.first..self.first + u64::from(self.frames)
    }

    /// Notes a write.
    fn note(&mut self, gfn: u64) {
        if !self.range().contains(&gfn) {
            return;
        }
        let offset = gfn - self.first;
        // CAST: At most 2^18.
        if let Some(byte) = self.bits.get_mut((offset / 8) as usize) {
            *byte |= 1 << (offset % 8);
        }
    }

    fn is_noted(&self, gfn: u64) -> bool {
        let offset = gfn - self.first;
        // CAST: At most 2^18.
        let byte = self.bits.get((offset / 8) as usize);
        byte.is_some_and(|byte| byte & 1 << (offset % 8) != 0)
    }
}

impl Domain {
    /// Whether writes are logged.
    pub(crate) fn logs_dirty(&self) -> bool {
        self.dirty.lock().is_some()
    }

    /// A frame was written by somebody else than the guest.
    pub(crate) fn note_written(&self, gfn: u64) {
        if let Some(log) = &mut *self.dirty.lock() {
            log.note(gfn);
        }
    }

    /// The guest writes to a frame whose writes are logged: notes that, and lets it.
    pub(crate) fn write_logged(&self, gfn: u64) {
        let mut log = self.dirty.lock();
        if let Some(log) = &mut *log {
            log.note(gfn);
        }
        // A processor that still knows the old type faults once more and finds the new one.
        let _ = self.retype_logged(gfn, P2mType::RamLogdirty, P2mType::RamRw);
    }

    fn retype_logged(&self, gfn: u64, from: P2mType, to: P2mType) -> Result {
        self.p2m
            .retype_ram(gfn, |now| if now == from { Ok(to) } else { Err(EINVAL) })
    }

    /// Reads and clears the log of a range, which is begun if there is none or another one. `copy` gets pieces of the
    /// bitmap with their offsets.
    ///
    /// # Errors
    ///
    /// `ESRCH` if the domain is dying, `ENOMEM`, and what `copy` returns.
    pub(crate) fn read_dirty_log(
        &self,
        first: u64,
        frames: u32,
        mut copy: impl FnMut(u64, &[u8]) -> Result,
    ) -> Result {
        if self.life.lock().dying {
            return Err(ESRCH);
        }
        let mut log = self.dirty.lock();
        let known = log
            .as_ref()
            .is_some_and(|log| log.first == first && log.frames == frames);
        if known {
            if let Some(log) = &mut *log {
                copy(0, &log.bits)?;
                for gfn in log.range() {
                    if log.is_noted(gfn) {
                        let _ = self.retype_logged(gfn, P2mType::RamRw, P2mType::RamLogdirty);
                    }
                    pause(gfn);
                }
                for byte in log.bits.iter_mut() {
                    *byte = 0;
                }
            }
        } else {
            let new = DirtyLog::new(first, frames)?;
            if let Some(old) = log.take() {
                self.unlog(&old);
            }
            // Nothing is known of what was written before.
            let ones = [0xff; 64];
            let bytes = u64::from(frames.div_ceil(8));
            let mut at = 0;
            while at < bytes {
                let rest = bytes - at;
                let last = frames % 8;
                // CAST: At most 64.
                let piece = rest.min(ones.len() as u64) as usize;
                copy(at, ones.get(..piece).unwrap_or(&[]))?;
                at += piece as u64;
                if at == bytes && last != 0 {
                    copy(at - 1, &[(1 << last) - 1])?;
                }
            }
            for gfn in new.range() {
                let _ = self.retype_logged(gfn, P2mType::RamRw, P2mType::RamLogdirty);
                pause(gfn);
            }
            *log = Some(new);
        }
        // What was written before this is in what was copied, or seen by who looks at the memory from now on.
        self.p2m.flush();
        Ok(())
    }

    /// Ends the log.
    pub(crate) fn end_dirty_log(&self) -> Result {
        let mut log = self.dirty.lock();
        if let Some(old) = log.take() {
            self.unlog(&old);
            self.p2m.flush();
        }
        Ok(())
    }

    fn unlog(&self, log: &DirtyLog) {
        for gfn in log.range() {
            let _ = self.retype_logged(gfn, P2mType::RamLogdirty, P2mType::RamRw);
            pause(gfn);
        }
    }
}

/// Lets others go first now and then.
fn pause(gfn: u64) {
    if gfn % STEP == 0 {
        irq::cond_resched();
    }
}
