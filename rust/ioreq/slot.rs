// SPDX-License-Identifier: GPL-2.0-only

//! A vCPU's place in a page of synchronous requests, and the states of a request.
//!
//! ```text
//!   NONE --we--> READY --model--> INPROCESS --model--> RESPONSE --we--> NONE
//!                     \------------model-------------/
//! ```
//!
//! The state is one byte that the model may write at any time. Each step reads it once and remembers what it was: a
//! state that comes after a later one is a [`Violation`] (XSA-262), and so is one that does not exist.

use super::request::Request;
#[cfg(not(loom))]
use crate::abi::dm_op::{
    IOREQ_ADDR,
    IOREQ_COUNT,
    IOREQ_DATA,
    IOREQ_SIZE,
    IOREQ_STATE,
    IOREQ_TYPE,
    IOREQ_VALUE_SIZE,
    IOREQ_VP_EPORT, //
};
use crate::abi::dm_op::{
    STATE_IOREQ_INPROCESS,
    STATE_IOREQ_NONE,
    STATE_IOREQ_READY,
    STATE_IORESP_READY, //
};
use crate::sys::atomic::{
    AtomicU32,
    AtomicU64,
    AtomicU8,
    Ordering, //
};
#[cfg(not(loom))]
use crate::sys::page::SharedPage;

/// The bits of the byte that hold the state.
const STATE_MASK: u8 = 0xf;
/// The bit that says that the request reads.
const DIRECTION_READ: u8 = 1 << 5;

/// A device model did what none may do: its guest is crashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Violation {
    /// The state that the request had.
    pub(crate) from: u8,
    /// The state that the model gave it.
    pub(crate) to: u8,
}

/// A request that was sent: the last state that it was seen in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sent(u8);

/// What has become of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Seen {
    /// The model has not answered.
    Waiting,
    /// The answer, whatever the model wrote. The slot is free again.
    Answered(u64),
}

/// The words of one slot.
pub(super) struct Slot<'a> {
    pub(super) addr: &'a AtomicU64,
    pub(super) data: &'a AtomicU64,
    pub(super) count: &'a AtomicU32,
    pub(super) size: &'a AtomicU32,
    pub(super) port: &'a AtomicU32,
    pub(super) state: &'a AtomicU8,
    pub(super) kind: &'a AtomicU8,
}

impl<'a> Slot<'a> {
    /// Returns the slot of vCPU `vcpu`, or `None` if the page has none for it.
    #[cfg(not(loom))]
    pub(super) fn of(page: &'a SharedPage, vcpu: u32) -> Option<Self> {
        // CAST: widens.
        let base = (vcpu as usize).checked_mul(IOREQ_SIZE)?;
        let at = |offset: usize| base.checked_add(offset);

        Some(Self {
            addr: page.word64(at(IOREQ_ADDR)?)?,
            data: page.word64(at(IOREQ_DATA)?)?,
            count: page.word32(at(IOREQ_COUNT)?)?,
            size: page.word32(at(IOREQ_VALUE_SIZE)?)?,
            port: page.word32(at(IOREQ_VP_EPORT)?)?,
            state: page.byte(at(IOREQ_STATE)?)?,
            kind: page.byte(at(IOREQ_TYPE)?)?,
        })
    }

    /// Tells the model through which port the vCPU is notified.
    pub(super) fn set_port(&self, port: u32) {
        self.port.store(port, Ordering::Relaxed);
    }

    /// Reads the state, once.
    fn state(&self) -> u8 {
        // Acquire: the answer, written before the state, is read after it.
        self.state.load(Ordering::Acquire) & STATE_MASK
    }

    /// Gives the model a request.
    ///
    /// # Errors
    ///
    /// [`Violation`] if the slot is not free: we made it so after the last request.
    pub(super) fn send(&self, request: &Request) -> Result<Sent, Violation> {
        let now = self.state();

        if now != STATE_IOREQ_NONE {
            return Err(Violation {
                from: STATE_IOREQ_NONE,
                to: now,
            });
        }
        self.addr.store(request.addr, Ordering::Relaxed);
        self.data.store(request.data, Ordering::Relaxed);
        self.count.store(1, Ordering::Relaxed);
        self.size.store(request.size, Ordering::Relaxed);
        // CAST: the number of the kind.
        self.kind.store(request.kind as u8, Ordering::Relaxed);
        let direction = if request.read { DIRECTION_READ } else { 0 };
        // Release: a model that sees the state sees the request.
        self.state
            .store(STATE_IOREQ_READY | direction, Ordering::Release);
        Ok(Sent(STATE_IOREQ_READY))
    }

    /// Returns whether [`poll`](Self::poll) would say more than it did. Decides nothing.
    pub(super) fn has_moved(&self, sent: Sent) -> bool {
        self.state() != sent.0
    }

    /// Looks at what has become of a request: one step.
    ///
    /// # Errors
    ///
    /// [`Violation`] if the model has moved it backwards, or to a state that there is not.
    pub(super) fn poll(&self, sent: &mut Sent) -> Result<Seen, Violation> {
        let now = self.state();

        if now < sent.0 {
            return Err(Violation {
                from: sent.0,
                to: now,
            });
        }
        match now {
            STATE_IOREQ_READY | STATE_IOREQ_INPROCESS => {
                sent.0 = now;
                Ok(Seen::Waiting)
            }
            STATE_IORESP_READY => {
                let data = self.data.load(Ordering::Relaxed);
                // Release: the answer is read before the slot is free.
                self.state.store(STATE_IOREQ_NONE, Ordering::Release);
                Ok(Seen::Answered(data))
            }
            _ => Err(Violation {
                from: sent.0,
                to: now,
            }),
        }
    }

    /// Takes a request back whose server has gone; returns whether the model had not begun it.
    ///
    /// Nobody owns the page any more but who has mapped it, so that it matters to nobody else what it says then.
    pub(super) fn take_back(&self) -> bool {
        let old = self.state.swap(STATE_IOREQ_NONE, Ordering::AcqRel);
        old & STATE_MASK == STATE_IOREQ_READY
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::request::Kind;
    use super::*;

    const READ: Request = Request::read(Kind::Port, 0x3f8, 1);

    fn set(page: &SharedPage, state: u8) {
        page.byte(IOREQ_STATE)
            .unwrap()
            .store(state, Ordering::SeqCst);
    }

    #[test]
    fn a_request_has_the_layout_of_the_header() {
        let page = SharedPage::zeroed().unwrap();
        let slot = Slot::of(&page, 3).unwrap();
        slot.set_port(77);
        let write = Request::write(Kind::Memory, 0xfeed_0000, 4, 0x1_2345_6789);
        slot.send(&write).unwrap();
        let word = |offset: usize| page.word32(3 * 32 + offset).unwrap().load(Ordering::SeqCst);
        assert_eq!((word(0), word(4)), (0xfeed_0000, 0));
        assert_eq!(
            (word(8), word(12)),
            (0x2345_6789, 0),
            "no more than was written"
        );
        assert_eq!((word(16), word(20), word(24)), (1, 4, 77));
        assert_eq!(word(28) >> 16, 0x01_01, "ready, a write, memory");
        assert!(Slot::of(&page, 127).is_some());
        assert!(Slot::of(&page, 128).is_none(), "a page has 128 slots");
        assert!(Slot::of(&page, u32::MAX).is_none());
    }

    /// I-4, XSA-262: in every order of two states.
    #[test]
    fn io_2_a_state_that_goes_backwards_is_a_violation() {
        for first in 0..16u8 {
            for second in 0..16u8 {
                let page = SharedPage::zeroed().unwrap();
                let slot = Slot::of(&page, 0).unwrap();
                let mut sent = slot.send(&READ).unwrap();
                set(&page, first);
                let one = slot.poll(&mut sent);
                let expected = match first {
                    1 | 2 => Ok(Seen::Waiting),
                    3 => Ok(Seen::Answered(0)),
                    to => Err(Violation { from: 1, to }),
                };
                assert_eq!(one, expected, "{first}");
                if one != Ok(Seen::Waiting) {
                    continue;
                }
                set(&page, second);
                let expected = match second {
                    2 => Ok(Seen::Waiting),
                    1 if first == 1 => Ok(Seen::Waiting),
                    3 => Ok(Seen::Answered(0)),
                    to => Err(Violation { from: first, to }),
                };
                assert_eq!(slot.poll(&mut sent), expected, "{first} {second}");
            }
        }
    }

    #[test]
    fn i_4_a_slot_that_is_not_free_is_a_violation() {
        for state in 1..16u8 {
            let page = SharedPage::zeroed().unwrap();
            set(&page, state | 0xf0);
            let to = state;
            assert_eq!(
                Slot::of(&page, 0).unwrap().send(&READ),
                Err(Violation { from: 0, to })
            );
        }
    }

    /// What else the model writes into its slot changes nothing.
    #[test]
    fn only_state_and_data_of_an_answer_are_looked_at() {
        let page = SharedPage::zeroed().unwrap();
        let slot = Slot::of(&page, 0).unwrap();
        let mut sent = slot.send(&READ).unwrap();
        for word in 0..4 {
            page.word64(word * 8)
                .unwrap()
                .store(u64::MAX, Ordering::SeqCst);
        }
        set(&page, 0xf0 | STATE_IORESP_READY);
        assert_eq!(slot.poll(&mut sent), Ok(Seen::Answered(u64::MAX)));
        assert_eq!(READ.take(u64::MAX), 0xff);
        assert_eq!(Request::write(Kind::Port, 0, 1, 3).take(u64::MAX), 0, "I-8");
    }

    #[test]
    fn what_was_not_begun_is_taken_back_as_such() {
        for (state, fresh) in [(1, true), (2, false), (3, false), (9, false)] {
            let page = SharedPage::zeroed().unwrap();
            let slot = Slot::of(&page, 0).unwrap();
            slot.send(&READ).unwrap();
            set(&page, state);
            assert_eq!(slot.take_back(), fresh);
        }
    }
}
