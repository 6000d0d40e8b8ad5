// SPDX-License-Identifier: GPL-2.0-only

//! A page for each vCPU: one message at a time, and nobody else's before it (`include/uapi/oxen/monitor.h`, E-10).

use core::mem::offset_of;

use super::words::{
    load,
    store, //
};
use crate::abi::errno::Result;
use crate::abi::oxen::{
    MonitorSlot,
    SLOT_ANSWER,
    SLOT_EVENT,
    SLOT_IDLE, //
};
use crate::abi::vm_event::VmEvent;
use crate::sys::atomic::{
    fence,
    Ordering, //
};
use crate::sys::page::SharedPage;

const STATE: usize = offset_of!(MonitorSlot, state);
const PORT: usize = offset_of!(MonitorSlot, port);
const POLLS: usize = offset_of!(MonitorSlot, polls);
const WAITS: usize = offset_of!(MonitorSlot, waits);
const MESSAGE: usize = offset_of!(MonitorSlot, message);

const _: () = assert!(MESSAGE % 8 == 0);

/// The slot of a vCPU. What its page says of the state is believed only where it can be right.
pub(super) struct Slot {
    page: SharedPage,
    /// An event is there that was not answered.
    busy: bool,
    /// The vCPU's event channel.
    pub(super) port: u32,
}

impl Slot {
    /// Makes the slot of a vCPU that has this event channel.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new(port: u32) -> Result<Self> {
        let slot = Self {
            page: SharedPage::zeroed()?,
            busy: false,
            port,
        };
        slot.set(PORT, port);
        slot.set(WAITS, 1);
        Ok(slot)
    }

    /// Its page, with a reference for who maps it.
    pub(super) fn page(&self) -> SharedPage {
        self.page.clone()
    }

    fn set(&self, at: usize, value: u32) {
        if let Some(word) = self.page.word32(at) {
            word.store(value, Ordering::Release);
        }
    }

    /// Whether an event has room.
    #[cfg(test)]
    pub(super) fn has_room(&self) -> bool {
        !self.busy
    }

    /// Whether the monitor says that it looks at the slot all the time.
    fn is_polled(&self) -> bool {
        self.page
            .word32(POLLS)
            .is_some_and(|word| word.load(Ordering::Relaxed) != 0)
    }

    /// Asks the monitor to tell of an answer. One that it has given before it knew is there afterwards.
    pub(super) fn wait(&self) {
        self.set(WAITS, 1);
        // The monitor writes the state and then reads this word: one of us sees the other.
        fence(Ordering::SeqCst);
    }

    /// Puts an event, if there is room; tells whether the monitor has to be told of it.
    pub(super) fn put(&mut self, event: &VmEvent) -> Option<bool> {
        if self.busy {
            // An answer for which nobody waits.
            self.wait();
            self.take()?;
        }
        store(&self.page, MESSAGE, event);
        self.busy = true;
        self.set(WAITS, u32::from(!self.is_polled()));
        self.set(STATE, SLOT_EVENT);
        // The monitor writes that it looks no more, and then reads the state.
        fence(Ordering::SeqCst);
        Some(!self.is_polled())
    }

    /// Takes the answer, if it is there.
    pub(super) fn take(&mut self) -> Option<VmEvent> {
        if !self.busy || self.page.word32(STATE)?.load(Ordering::Acquire) != SLOT_ANSWER {
            return None;
        }
        let answer = load(&self.page, MESSAGE)?;
        self.busy = false;
        self.set(STATE, SLOT_IDLE);
        Some(answer)
    }
}

/// Whether a slot's page says that there is an answer.
pub(crate) fn slot_is_answered(page: &SharedPage) -> bool {
    page.word32(STATE)
        .is_some_and(|word| word.load(Ordering::Relaxed) == SLOT_ANSWER)
}
