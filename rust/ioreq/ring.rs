// SPDX-License-Identifier: GPL-2.0-only

//! The page of buffered requests: writes that the device model takes when it likes.
//!
//! A page has two pointers that only grow, and 511 slots of 8 bytes. We write slots and the write pointer, of which our
//! own copy counts; the model writes the read pointer, which may be anything. In the atomic mode both pointers are set
//! back before they overflow, in one step; a model that does not change its pointer atomically cannot have that, and
//! for it the write pointer passes 2^32 only while nothing is buffered, because 511 does not divide 2^32.

use super::request::{
    Kind,
    Request, //
};
use crate::abi::dm_op::IOREQ_BUFFER_SLOT_NUM;
#[cfg(not(loom))]
use crate::abi::dm_op::{
    BUFIOREQ_READ_POINTER,
    BUFIOREQ_SLOTS,
    BUFIOREQ_SLOT_SIZE,
    BUFIOREQ_WRITE_POINTER, //
};
use crate::sys::atomic::{
    fence,
    AtomicU32,
    AtomicU64,
    Ordering, //
};
#[cfg(not(loom))]
use crate::sys::page::SharedPage;

/// Slots of a page.
const SLOTS: u32 = IOREQ_BUFFER_SLOT_NUM as u32;
/// The highest address that a slot can hold.
const MAX_ADDRESS: u64 = (1 << 20) - 1;
/// Attempts to set both pointers back. The model can make one fail by taking what is buffered, which it can do a few
/// times at most; one that changes its pointer on and on fails only itself, and not before 2^32 requests.
const ATTEMPTS: u32 = 4;

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(super) enum Pushed {
    /// It is in the page, and the model need not be told: it has not taken all that was there before, and will see this
    /// when it has.
    Done,
    /// It is in the page, and the model may sleep.
    Tell,
    /// There is no room. Nothing was done: it has to be sent another way, or again (I-7).
    Retry,
    /// No slot can express it.
    Unfit,
}

/// The words of a page of buffered requests.
pub(super) trait Words {
    /// Returns the pointer that the model advances.
    fn read_pointer(&self) -> Option<&AtomicU32>;
    /// Returns the pointer that we advance.
    fn write_pointer(&self) -> Option<&AtomicU32>;
    /// Returns both as one word, the read pointer in its lower half.
    fn pointers(&self) -> Option<&AtomicU64>;
    /// Returns slot `index`, below 511.
    fn slot(&self, index: u32) -> Option<&AtomicU64>;
}

#[cfg(not(loom))]
impl Words for SharedPage {
    fn read_pointer(&self) -> Option<&AtomicU32> {
        self.word32(BUFIOREQ_READ_POINTER)
    }
    fn write_pointer(&self) -> Option<&AtomicU32> {
        self.word32(BUFIOREQ_WRITE_POINTER)
    }
    fn pointers(&self) -> Option<&AtomicU64> {
        const _: () = assert!(BUFIOREQ_READ_POINTER == 0 && BUFIOREQ_WRITE_POINTER == 4);
        self.word64(BUFIOREQ_READ_POINTER)
    }
    fn slot(&self, index: u32) -> Option<&AtomicU64> {
        // CAST: widens.
        let offset = (index as usize).checked_mul(BUFIOREQ_SLOT_SIZE)?;
        self.word64(BUFIOREQ_SLOTS.checked_add(offset)?)
    }
}

/// Our side of a page of buffered requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ring {
    /// The write pointer.
    written: u32,
}

impl Ring {
    /// The side of a page that is all 0.
    pub(super) const NEW: Self = Self { written: 0 };

    /// Puts a request into a page. `atomic` says that the model changes its pointer atomically.
    ///
    /// Such a model takes requests until there is none, and sleeps then. It changes its pointer and looks whether there
    /// is another, we write ours and look whether it has come to where we were before: whoever does that last sees the
    /// other. A model that changes its pointer with a plain store may look too early, so it is always told.
    pub(super) fn push(&mut self, page: &impl Words, atomic: bool, request: &Request) -> Pushed {
        let Some((first, second)) = encode(request) else {
            return Pushed::Unfit;
        };
        let need = if second.is_some() { 2 } else { 1 };
        let Some(pointer) = page.read_pointer() else {
            return Pushed::Unfit;
        };
        // Acquire: a slot is written again after the model has read it.
        let read = pointer.load(Ordering::Acquire);
        let used = self.written.wrapping_sub(read);

        // Also if the pointer is one that was never reached.
        if used > SLOTS.saturating_sub(need) {
            return Pushed::Retry;
        }
        let next = self.written.wrapping_add(need);
        // Slots on both sides of 2^32 are not distinct.
        if used != 0 && (next < self.written || read > self.written) {
            return Pushed::Retry;
        }
        let mut at = self.written;
        for word in [Some(first), second].into_iter().flatten() {
            let Some(slot) = page.slot(at % SLOTS) else {
                return Pushed::Unfit;
            };
            slot.store(word, Ordering::Relaxed);
            at = at.wrapping_add(1);
        }
        let before = self.written;
        self.written = next;
        if let Some(write) = page.write_pointer() {
            // Release: a model that sees the pointer sees the slots.
            write.store(next, Ordering::Release);
        }
        if !atomic {
            return Pushed::Tell;
        }
        // Our pointer is seen before its is looked at.
        fence(Ordering::SeqCst);
        // Any other place than one that it still has to come from is as good as there: it may do as it likes.
        let left = before.wrapping_sub(pointer.load(Ordering::Relaxed));
        self.set_back(page);
        if left == 0 || left > SLOTS {
            Pushed::Tell
        } else {
            Pushed::Done
        }
    }

    /// Takes whole rounds off both pointers once the model has come round.
    fn set_back(&mut self, page: &impl Words) {
        let Some(pointers) = page.pointers() else {
            return;
        };
        for _ in 0..ATTEMPTS {
            let both = pointers.load(Ordering::Acquire);
            // CAST: the lower half.
            let read = both as u32;
            let rounds = read / SLOTS;
            let Some(back) = rounds.checked_mul(SLOTS).filter(|back| *back != 0) else {
                return;
            };
            // A pointer ahead of ours was never reached.
            let Some(written) = self.written.checked_sub(back) else {
                return;
            };
            let read = read.wrapping_sub(back);
            let new = u64::from(written) << 32 | u64::from(read);
            let done = pointers.compare_exchange(both, new, Ordering::AcqRel, Ordering::Acquire);
            if done.is_ok() {
                self.written = written;
                return;
            }
        }
    }
}

/// Returns the slots of a request, or `None` if there are none that hold it: only writes to the first MiB of ports or
/// memory, and messages, can be buffered.
fn encode(request: &Request) -> Option<(u64, Option<u64>)> {
    if request.read || request.addr > MAX_ADDRESS || request.kind == Kind::PciConfig {
        return None;
    }
    let size = match request.size {
        1 => 0,
        2 => 1,
        4 => 2,
        8 => 3,
        _ => return None,
    };
    let low = request.data & 0xffff_ffff;
    // CAST: the number of the kind. Bit 9 says: a write.
    let word = u64::from(request.kind as u8) | size << 10 | request.addr << 12;
    let slot = |data: u64| word | data << 32;
    Some((
        slot(low),
        (request.size == 8).then(|| slot(request.data >> 32)),
    ))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn write(addr: u64, size: u32, data: u64) -> Request {
        Request::write(Kind::Port, addr, size, data)
    }

    fn pointers(page: &SharedPage) -> (u32, u32) {
        let both = page.word64(0).unwrap().load(Ordering::SeqCst);
        (both as u32, (both >> 32) as u32)
    }

    /// Takes one request out, as a model does.
    fn take(page: &SharedPage) -> Option<(u64, u64)> {
        let (read, written) = pointers(page);
        if read == written {
            return None;
        }
        let slot = |at: u32| {
            let at = at as usize % SLOTS as usize;
            page.word64(8 + at * 8).unwrap().load(Ordering::SeqCst)
        };
        let word = slot(read);
        let mut data = word >> 32;
        let mut step = 1;
        if word >> 10 & 3 == 3 {
            data |= slot(read.wrapping_add(1)) >> 32 << 32;
            step = 2;
        }
        page.word32(0).unwrap().fetch_add(step, Ordering::SeqCst);
        Some((word >> 12 & 0xf_ffff, data))
    }

    #[test]
    fn a_slot_has_the_layout_of_the_header() {
        let page = SharedPage::zeroed().unwrap();
        let mut ring = Ring::NEW;
        let request = Request::write(Kind::Memory, 0xb_8000, 2, 0x1_0741);
        assert_eq!(ring.push(&page, false, &request), Pushed::Tell);
        let word = page.word64(8).unwrap().load(Ordering::SeqCst);
        assert_eq!(word & 0xff, 1, "memory");
        assert_eq!(word >> 10 & 3, 1, "two bytes");
        assert_eq!(word >> 12 & 0xf_ffff, 0xb_8000);
        assert_eq!(word >> 32, 0x741);
        let long = write(0x10, 8, 0x1122_3344_5566_7788);
        assert_eq!(ring.push(&page, false, &long), Pushed::Tell);
        assert_eq!(pointers(&page), (0, 3), "eight bytes take two slots");
        take(&page);
        assert_eq!(take(&page), Some((0x10, 0x1122_3344_5566_7788)));
    }

    #[test]
    fn what_a_slot_cannot_hold_is_not_buffered() {
        let page = SharedPage::zeroed().unwrap();
        let mut ring = Ring::NEW;
        for request in [
            Request::read(Kind::Port, 0x80, 1),
            write(1 << 20, 1, 0),
            write(0x80, 3, 0),
            write(0x80, 16, 0),
            Request::write(Kind::PciConfig, 4, 4, 0),
        ] {
            assert_eq!(ring.push(&page, true, &request), Pushed::Unfit);
        }
        assert_eq!(pointers(&page), (0, 0));
    }

    /// I-7.
    #[test]
    fn io_14_a_full_page_says_retry_and_loses_nothing() {
        let page = SharedPage::zeroed().unwrap();
        let mut ring = Ring::NEW;
        for i in 0..511 {
            assert_eq!(ring.push(&page, false, &write(1, 4, i)), Pushed::Tell);
        }
        let before = pointers(&page);
        assert_eq!(ring.push(&page, false, &write(1, 4, 9)), Pushed::Retry);
        assert_eq!(pointers(&page), before);
        assert_eq!(take(&page), Some((1, 0)));
        assert_eq!(ring.push(&page, false, &write(1, 8, 9)), Pushed::Retry);
        assert_eq!(ring.push(&page, false, &write(1, 4, 511)), Pushed::Tell);
        for i in 1..512 {
            assert_eq!(take(&page), Some((1, i)));
        }
        assert_eq!(take(&page), None);
    }

    /// Whatever the model's pointer is, nothing outside the page is written and nothing loops.
    #[test]
    fn i_4_a_pointer_that_was_never_reached_is_a_full_page() {
        for read in [1, 2, 511, 512, 1 << 31, u32::MAX] {
            for atomic in [false, true] {
                let page = SharedPage::zeroed().unwrap();
                let mut ring = Ring::NEW;
                page.word32(0).unwrap().store(read, Ordering::SeqCst);
                let pushed = ring.push(&page, atomic, &write(1, 1, 1));
                assert_eq!(pushed, Pushed::Retry, "{read}");
            }
        }
    }

    /// The commit b7007bc6f9 of Xen: pointers do not overflow.
    #[test]
    fn i_7_pointers_of_an_atomic_page_stay_small() {
        let page = SharedPage::zeroed().unwrap();
        let mut ring = Ring::NEW;
        for i in 0..5000u64 {
            assert_eq!(ring.push(&page, true, &write(1, 4, i)), Pushed::Tell);
            assert_eq!(take(&page), Some((1, i)));
            assert!(pointers(&page).1 <= 2 * SLOTS);
        }
    }

    #[test]
    fn i_7_pointers_of_a_legacy_page_pass_their_end_while_nothing_is_buffered() {
        let page = SharedPage::zeroed().unwrap();
        let start = u32::MAX - 2;
        let mut ring = Ring { written: start };
        page.word32(0).unwrap().store(start, Ordering::SeqCst);
        page.word32(4).unwrap().store(start, Ordering::SeqCst);
        assert_eq!(ring.push(&page, false, &write(1, 4, 1)), Pushed::Tell);
        assert_eq!(ring.push(&page, false, &write(1, 4, 2)), Pushed::Tell);
        assert_eq!(ring.push(&page, false, &write(1, 4, 3)), Pushed::Retry);
        assert_eq!(take(&page), Some((1, 1)));
        assert_eq!(ring.push(&page, false, &write(1, 4, 3)), Pushed::Retry);
        assert_eq!(take(&page), Some((1, 2)));
        assert_eq!(ring.push(&page, false, &write(1, 8, 3 << 40)), Pushed::Tell);
        assert_eq!(take(&page), Some((1, 3 << 40)));
        assert_eq!(pointers(&page), (1, 1));
        assert_eq!(ring.push(&page, false, &write(1, 4, 4)), Pushed::Tell);
        assert_eq!(take(&page), Some((1, 4)));
    }

    proptest! {
        /// What was accepted comes out, in order, each once.
        #[test]
        fn a_ring_is_a_queue(
            atomic: bool,
            start in prop_oneof![Just(0u32), Just(u32::MAX - 700)],
            ops in proptest::collection::vec((any::<bool>(), 0u32..4, 1u16..300), 1..60)
        ) {
            let page = SharedPage::zeroed().unwrap();
            let start = if atomic { 0 } else { start };
            let mut ring = Ring { written: start };
            let both = u64::from(start) << 32 | u64::from(start);
            page.word64(0).unwrap().store(both, Ordering::SeqCst);
            let mut queue = std::collections::VecDeque::new();
            let mut number = 0u64;
            for (push, size, count) in ops {
                for _ in 0..count {
                    if push {
                        number += 1;
                        let request = write(5, 1 << size, number << 20 | number);
                        match ring.push(&page, atomic, &request) {
                            told @ (Pushed::Done | Pushed::Tell) => {
                                // Goal P4: nobody is told who has not seen all yet.
                                let tell = !atomic || queue.is_empty();
                                prop_assert_eq!(told == Pushed::Tell, tell);
                                queue.push_back(request.data);
                            }
                            Pushed::Retry => prop_assert!(!queue.is_empty()),
                            Pushed::Unfit => prop_assert!(false),
                        }
                    } else {
                        prop_assert_eq!(take(&page).map(|(_, data)| data), queue.pop_front());
                    }
                }
            }
        }
    }
}
