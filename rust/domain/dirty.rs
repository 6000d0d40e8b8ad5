// SPDX-License-Identifier: GPL-2.0-only

//! The log of writes to a frame buffer (`XEN_DMOP_track_dirty_vram`).
//!
//! Frames that are clean have a type that the guest cannot write (`RamLogdirty`). The first write to one faults, is
//! noted by the p2m, and makes the frame normal RAM until the log is read. What we write to runstate and time areas
//! does not fault: frames that hold one count as written each time.

use core::ops::Range;

use super::Domain;
use crate::abi::errno::{
    Result,
    EINVAL,
    ESRCH, //
};
use crate::hw::npt::P2mType;
use crate::mm::dirty::{
    Bits,
    DirtyLog, //
};
use crate::sys::irq;

/// The most frames of a log: 1 GiB, as in Xen.
pub(crate) const MAX_FRAMES: u32 = 1 << 18;

/// Frames whose types are changed before others may go first.
const STEP: u64 = 256;

impl Domain {
    /// Changes the type of a frame whose writes are, or are to be, logged. One of another type stays what it is.
    fn retype_logged(&self, gfn: u64, from: P2mType, to: P2mType) {
        let change = |now| if now == from { Ok(to) } else { Err(EINVAL) };
        let _ = self.p2m.retype_ram(gfn, change);
        if gfn % STEP == 0 {
            irq::cond_resched();
        }
    }

    /// The guest writes to a frame whose writes are logged: notes that, and lets it.
    pub(crate) fn write_logged(&self, gfn: u64) {
        self.p2m.note_written(gfn);
        // A processor that still knows the old type faults once more and finds the new one.
        self.retype_logged(gfn, P2mType::RamLogdirty, P2mType::RamRw);
    }

    /// Reads and clears the log of a range, which is begun if there is none or another one. `copy` gets the bits.
    ///
    /// # Errors
    ///
    /// `ESRCH` if the domain is dying, `ENOMEM`, and what `copy` returns.
    pub(crate) fn read_dirty_log(
        &self,
        first: u64,
        frames: u32,
        copy: impl FnOnce(&[u8]) -> Result,
    ) -> Result {
        if self.life.lock().dying {
            return Err(ESRCH);
        }
        let mut bits = DirtyLog::none(frames)?;
        {
            let _dirty = self.dirty.lock();
            let range = first..first.saturating_add(frames.into());
            if self.p2m.log_range() == Some(range.clone()) {
                self.p2m.take_log(&mut bits);
                self.mark_areas(&range, &mut bits);
            } else {
                // Nothing is known of what was written before.
                for (offset, byte) in (0..frames).step_by(8).zip(bits.iter_mut()) {
                    *byte = match frames - offset {
                        left @ 1..=7 => (1 << left) - 1,
                        _ => 0xff,
                    };
                }
                let log = DirtyLog::new(first, frames)?;
                self.unlog(self.p2m.set_log(Some(log)));
            }
            for (gfn, bit) in range.zip(0u64..) {
                // CAST: An index in the bits.
                let byte = bits.get((bit / 8) as usize).copied().unwrap_or(0);
                if byte & 1 << (bit % 8) != 0 {
                    self.retype_logged(gfn, P2mType::RamRw, P2mType::RamLogdirty);
                }
            }
            // What is written after this faults. What was before is told now, or was told and is seen by who looks.
            self.p2m.flush();
        }
        copy(&bits)
    }

    /// Marks the frames that hold areas, in the bits of a log of that range.
    fn mark_areas(&self, range: &Range<u64>, bits: &mut Bits) {
        for vcpu in self.vcpus() {
            vcpu.runstate.each_gfn(|gfn| {
                if range.contains(&gfn) {
                    let offset = gfn - range.start;
                    // CAST: An index in the bits, of which there are less than 2^32.
                    if let Some(byte) = bits.get_mut((offset / 8) as usize) {
                        *byte |= 1 << (offset % 8);
                    }
                }
            });
        }
    }

    /// Ends the log.
    pub(crate) fn end_dirty_log(&self) -> Result {
        let _dirty = self.dirty.lock();
        self.unlog(self.p2m.set_log(None));
        self.p2m.flush();
        Ok(())
    }

    /// Makes the frames of a log that has ended normal again.
    fn unlog(&self, log: Option<DirtyLog>) {
        for gfn in log.iter().flat_map(DirtyLog::range) {
            self.retype_logged(gfn, P2mType::RamLogdirty, P2mType::RamRw);
        }
    }
}
