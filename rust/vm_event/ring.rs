// SPDX-License-Identifier: GPL-2.0-only

//! The page of a monitor: events to it, and answers through the same slots.
//!
//! The layout is that of Xen's `DEFINE_RING_TYPES`: four indices, then eight slots. We are the side that makes
//! requests. What the page says of our own indices is never read.

use super::words::{
    load,
    store, //
};
use crate::abi::vm_event::{
    VmEvent,
    RING_REQ_EVENT,
    RING_REQ_PROD,
    RING_RSP_EVENT,
    RING_RSP_PROD,
    RING_SLOTS,
    RING_SLOT_NUM, //
};
use crate::sys::atomic::Ordering;
use crate::sys::page::SharedPage;

/// Bytes of a slot.
const SLOT: usize = core::mem::size_of::<VmEvent>();

const _: () = assert!(SLOT % 8 == 0 && RING_SLOTS % 8 == 0);

/// A ring.
pub(super) struct Ring {
    page: SharedPage,
    /// Events that were put.
    produced: u32,
    /// Answers that were taken.
    consumed: u32,
}

impl Ring {
    /// Takes a page into use, with nothing in it.
    pub(super) fn new(page: SharedPage) -> Self {
        let mut ring = Self {
            page,
            produced: 0,
            consumed: 0,
        };
        ring.empty();
        ring
    }

    /// Forgets what is in it, for a monitor that begins with it.
    pub(super) fn empty(&mut self) {
        (self.produced, self.consumed) = (0, 0);
        self.set(RING_REQ_PROD, 0);
        self.set(RING_RSP_PROD, 0);
        // The other side wants to be told of the first event, and we of the first answer.
        self.set(RING_REQ_EVENT, 1);
        self.set(RING_RSP_EVENT, 1);
    }

    fn set(&self, at: usize, value: u32) {
        if let Some(word) = self.page.word32(at) {
            word.store(value, Ordering::Release);
        }
    }

    /// Where the slot of an index is.
    fn slot(index: u32) -> usize {
        RING_SLOTS + (index & (RING_SLOT_NUM - 1)) as usize * SLOT
    }

    /// Events that were put and not answered.
    pub(super) fn unanswered(&self) -> u32 {
        self.produced.wrapping_sub(self.consumed)
    }

    /// How many more events have room.
    pub(super) fn room(&self) -> u32 {
        RING_SLOT_NUM.saturating_sub(self.unanswered())
    }

    /// Puts an event, if there is room.
    pub(super) fn put(&mut self, event: &VmEvent) -> bool {
        if self.room() == 0 {
            return false;
        }
        store(&self.page, Self::slot(self.produced), event);
        self.produced = self.produced.wrapping_add(1);
        self.publish();
        true
    }

    /// Says once more how many events there are. A monitor that initialises the ring after it was made, as they do,
    /// overwrites what was said before.
    pub(super) fn publish(&self) {
        self.set(RING_REQ_PROD, self.produced);
    }

    /// Takes an answer, if there is one.
    pub(super) fn take(&mut self) -> Option<VmEvent> {
        let theirs = self.page.word32(RING_RSP_PROD)?.load(Ordering::Acquire);
        let waiting = theirs.wrapping_sub(self.consumed);
        // More than was asked for nobody can have answered.
        if waiting == 0 || waiting > self.unanswered() {
            return None;
        }
        let event = load(&self.page, Self::slot(self.consumed))?;
        self.consumed = self.consumed.wrapping_add(1);
        self.set(RING_RSP_EVENT, self.consumed.wrapping_add(1));
        Some(event)
    }
}
