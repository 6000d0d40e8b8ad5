// SPDX-License-Identifier: GPL-2.0-only

//! The 2-level ABI: a bitmap of pending ports and one of masked ports in `shared_info`, and for
//! each vCPU a selector of the words in which it has to look.
//!
//! Bits are numbered from the low end and x86 is little endian, so a bitmap of 64-bit words and one
//! of 32-bit words place a port's bit in the same byte; the layouts differ in where the bitmaps lie
//! and in how many ports a selector's bit covers. All accesses are to 32-bit words.

use super::{
    types::{
        Port,
        Width, //
    },
    vcpu_info::VcpuInfo,
    word::Word,
};
use crate::sys::page::SharedPage;
use core::sync::atomic::AtomicU32;

/// What became of an event.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Raised {
    /// The port was not pending before: whoever polls for it must wake.
    pub(super) fresh: bool,
    /// The vCPU's upcall went from clear to set.
    pub(super) upcall: bool,
}

/// One port's two bits.
pub(super) struct Bits<'a, W> {
    pending: &'a W,
    mask: &'a W,
    /// The port's bit in both words.
    bit: u32,
}

impl<'a> Bits<'a, AtomicU32> {
    /// Finds the bits of `port`, or `None` if the layout has none for it.
    pub(super) fn of(shared_info: &'a SharedPage, width: Width, port: Port) -> Option<Self> {
        if port >= width.ports() {
            return None;
        }
        let layout = width.layout();
        let word = (port / 32) as usize * 4;

        Some(Self {
            pending: shared_info.word32(layout.evtchn_pending + word)?,
            mask: shared_info.word32(layout.evtchn_mask + word)?,
            bit: 1 << (port % 32),
        })
    }
}

#[cfg(loom)]
impl<'a, W> Bits<'a, W> {
    /// Makes a view of two words, as a model of the memory does.
    pub(super) fn from_words(pending: &'a W, mask: &'a W, bit: u32) -> Self {
        Self { pending, mask, bit }
    }
}

impl<W: Word> Bits<'_, W> {
    /// Sets the port pending; `select` sets the selector's bit and the upcall, and says if the
    /// latter was clear.
    ///
    /// The order is what makes it safe: pending, then the selector, then the upcall, while the
    /// guest clears the upcall, then takes the selector, then looks at pending.
    pub(super) fn raise(&self, select: impl FnOnce() -> bool) -> Raised {
        if self.pending.set(self.bit) & self.bit != 0 {
            // Whoever made it pending has told the guest, or the guest has masked it and will
            // unmask.
            return Raised::default();
        }
        // The guest clears its mask and then looks at pending: one of the two sees the other's
        // write.
        W::settle();
        Raised {
            fresh: true,
            upcall: self.mask.get() & self.bit == 0 && select(),
        }
    }

    /// Clears the mask, and if that unmasked a pending port tells the guest as [`Bits::raise`]
    /// does.
    pub(super) fn unmask(&self, select: impl FnOnce() -> bool) -> bool {
        if self.mask.clear(self.bit) & self.bit == 0 {
            return false;
        }
        W::settle();
        self.is_pending() && select()
    }

    /// Returns whether the port is pending.
    pub(super) fn is_pending(&self) -> bool {
        self.pending.get() & self.bit != 0
    }

    /// Returns whether the port is masked.
    pub(super) fn is_masked(&self) -> bool {
        self.mask.get() & self.bit != 0
    }

    /// Clears pending, and returns whether it was set.
    pub(super) fn clear_pending(&self) -> bool {
        self.pending.clear(self.bit) & self.bit != 0
    }
}

/// Returns the `select` that [`Bits::raise`] wants, for `port` and the vCPU whose `vcpu_info` is
/// `info`.
///
/// Without one nothing is selected: the guest is shown everything when it registers one.
pub(super) fn selecting(
    info: Option<&VcpuInfo>,
    width: Width,
    port: Port,
) -> impl FnOnce() -> bool + '_ {
    move || info.is_some_and(|info| info.select(width, port))
}
