// SPDX-License-Identifier: GPL-2.0-only

//! `vcpu_info`: where a vCPU learns that events wait for it.
//!
//! The structure is 64 bytes in both layouts. The parts used here are `evtchn_upcall_pending` (byte
//! 0) and `evtchn_pending_sel` (64 bits at 8, or 32 bits at 4). `evtchn_upcall_mask` (byte 1) means
//! nothing for an HVM guest, which has the interrupt flag instead.

use super::{
    types::{
        Port,
        Width, //
    },
    word::Word,
};
use crate::abi::{
    errno::{
        Result,
        EINVAL,
        ENXIO, //
    },
    xen::{
        LEGACY_MAX_VCPUS,
        VCPU_INFO_SIZE as SIZE,
        VCPU_INFO_UPCALL_PENDING, //
    },
};
use crate::sys::{
    atomic::{
        AtomicU32,
        Ordering, //
    },
    page::{
        SharedPage,
        PAGE_SIZE, //
    },
};
use core::sync::atomic::{
    AtomicU32 as SharedU32,
    AtomicU8 as SharedU8, //
};

/// The place of one vCPU's `vcpu_info`.
#[derive(Clone)]
pub(crate) struct VcpuInfo {
    page: SharedPage,
    /// A multiple of 4 that leaves [`SIZE`] bytes in the page.
    offset: usize,
}

impl VcpuInfo {
    /// Checks a place that a guest gives to `VCPUOP_register_vcpu_info`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the structure does not fit into the page behind `offset`, `ENXIO` if `offset` is
    /// not aligned to a word of the guest (XSA-327).
    pub(crate) fn new(page: SharedPage, offset: u32, width: Width) -> Result<Self> {
        let offset = offset as usize;

        if offset > PAGE_SIZE - SIZE {
            return Err(EINVAL);
        }
        if offset % width.layout().word != 0 {
            return Err(ENXIO);
        }
        Ok(Self { page, offset })
    }

    /// Returns the place that vCPU `id` starts with, or `None` if `shared_info` has none for it.
    pub(super) fn initial(shared_info: &SharedPage, id: usize) -> Option<Self> {
        (id < LEGACY_MAX_VCPUS).then(|| Self {
            page: shared_info.clone(),
            offset: id * SIZE,
        })
    }

    fn word(&self, at: usize) -> Option<&SharedU32> {
        self.page.word32(self.offset.checked_add(at)?)
    }

    fn upcall(&self) -> Option<&SharedU8> {
        self.page
            .byte(self.offset.checked_add(VCPU_INFO_UPCALL_PENDING)?)
    }

    /// Returns the part of `evtchn_pending_sel` that covers `port`, and its bit in there.
    ///
    /// A 64-bit selector is two 32-bit words, so that a place that is only aligned for the 32-bit
    /// layout still works after the guest has changed its width.
    fn selector(&self, width: Width, port: Port) -> Option<(&SharedU32, u32)> {
        let bit = port / width.bits();
        let at = width.layout().pending_sel + (bit / 32) as usize * 4;

        Some((self.word(at)?, 1 << (bit % 32)))
    }

    /// Sets `evtchn_upcall_pending` and returns whether it was clear.
    pub(super) fn mark(&self) -> bool {
        self.upcall().is_some_and(|byte| byte.set(1) == 0)
    }

    /// Sets the selector's bit for `port`, then the upcall; returns whether the upcall was clear.
    pub(super) fn select(&self, width: Width, port: Port) -> bool {
        match self.selector(width, port) {
            Some((word, bit)) => select(word, bit, || self.mark()),
            None => false,
        }
    }

    /// Returns whether the selector's bit for `port` is set.
    pub(super) fn is_selected(&self, width: Width, port: Port) -> bool {
        self.selector(width, port)
            .is_some_and(|(word, bit)| word.get() & bit != 0)
    }

    /// Writes all 32-bit parts of the selector.
    fn select_all(&self, width: Width, value: u32) {
        let layout = width.layout();

        for at in (0..layout.word).step_by(4) {
            if let Some(word) = self.word(layout.pending_sel + at) {
                word.put(value);
            }
        }
    }

    /// Clears the selector, when the guest goes back to the 2-level ABI.
    ///
    /// A FIFO guest never looks at it, and [`VcpuInfo::take_over`] may have filled it: left as it
    /// is, no event would set a bit that is clear, and none would raise the upcall.
    pub(super) fn deselect(&self, width: Width) {
        self.select_all(width, 0);
    }

    /// Fills this place from the one used so far and selects everything.
    ///
    /// Events may have been raised in the old place up to this moment, or nowhere, so the guest has
    /// to look at all of them.
    pub(super) fn take_over(&self, old: Option<&Self>, width: Width) {
        for at in (0..SIZE).step_by(4) {
            let value = old.and_then(|old| old.word(at)).map_or(0, Word::get);

            if let Some(word) = self.word(at) {
                word.put(value);
            }
        }
        self.select_all(width, u32::MAX);
        // Cleared although it may have been copied as set, so that `mark` reports an edge: an
        // interrupt that was asserted for the old place may have found nothing to do.
        if let Some(byte) = self.upcall() {
            byte.put(0);
        }
    }

    /// Returns the page, for those who write the other members.
    pub(crate) fn page(&self) -> &SharedPage {
        &self.page
    }

    /// Returns the offset in the page, in bytes.
    pub(crate) fn offset(&self) -> usize {
        self.offset
    }
}

/// Sets a bit of a selector, and marks the upcall if it was clear.
///
/// If it was set, then whoever set it has marked the upcall since the guest looked, or is about to.
pub(super) fn select<W: Word>(selector: &W, bit: u32, mark: impl FnOnce() -> bool) -> bool {
    selector.set(bit) & bit == 0 && mark()
}

/// Counts the changes of the place of one vCPU's `vcpu_info`.
///
/// Lives next to the vCPU, outside the lock that the ports are behind.
pub(crate) struct UpcallEpoch(AtomicU32);

impl UpcallEpoch {
    /// Starts to count.
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Says that the place has changed. The caller holds the ports' lock, and kicks the vCPU
    /// afterwards.
    pub(super) fn bump(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }

    fn now(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }
}

/// A vCPU's own view of its `evtchn_upcall_pending`, read before each entry without any lock.
///
/// It holds a reference to the page. When [`Upcall::is_current`] says no, fetch another with
/// `Ports::upcall` under the lock.
pub(crate) struct Upcall {
    info: Option<VcpuInfo>,
    epoch: u32,
}

impl Upcall {
    /// Takes the place as it is now. The caller holds the ports' lock.
    pub(super) fn new(info: Option<VcpuInfo>, epoch: &UpcallEpoch) -> Self {
        Self {
            info,
            epoch: epoch.now(),
        }
    }

    /// Returns whether the place is still this one.
    pub(crate) fn is_current(&self, epoch: &UpcallEpoch) -> bool {
        self.epoch == epoch.now()
    }

    /// Returns whether events wait for the vCPU: one relaxed load of one byte.
    pub(crate) fn is_pending(&self) -> bool {
        self.info
            .as_ref()
            .and_then(VcpuInfo::upcall)
            .is_some_and(|byte| byte.load(Ordering::Relaxed) != 0)
    }
}
