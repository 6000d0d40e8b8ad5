// SPDX-License-Identifier: GPL-2.0-only

//! The ring against a monitor that keeps to the protocol, and against one that does not.

use proptest::prelude::*;
use zerocopy::{
    FromBytes,
    FromZeros,
    IntoBytes, //
};

use crate::abi::vm_event::*;
use crate::sys::atomic::Ordering;
use crate::sys::page::SharedPage;
use crate::vm_event::ring::Ring;

/// The other end of a ring, as a monitor has it mapped.
pub(super) struct Client {
    page: SharedPage,
    taken: u32,
    answered: u32,
}

impl Client {
    pub(super) fn new(page: SharedPage) -> Self {
        Self {
            page,
            taken: 0,
            answered: 0,
        }
    }

    /// Its page, for the next monitor.
    pub(super) fn page(&self) -> SharedPage {
        self.page.clone()
    }

    /// Does what `SHARED_RING_INIT` does.
    pub(super) fn initialise(&mut self) {
        for at in [RING_REQ_PROD, RING_RSP_PROD] {
            self.page.word32(at).unwrap().store(0, Ordering::Relaxed);
        }
    }

    fn slot(index: u32) -> usize {
        RING_SLOTS + (index % RING_SLOT_NUM) as usize * 400
    }

    /// Takes the next event.
    pub(super) fn take(&mut self) -> Option<VmEvent> {
        let produced = self
            .page
            .word32(RING_REQ_PROD)
            .unwrap()
            .load(Ordering::Acquire);
        if produced == self.taken {
            return None;
        }
        let mut bytes = [0u8; 400];
        for (at, byte) in bytes.iter_mut().enumerate() {
            let from = self.page.byte(Self::slot(self.taken) + at).unwrap();
            *byte = from.load(Ordering::Relaxed);
        }
        self.taken = self.taken.wrapping_add(1);
        Some(VmEvent::read_from_bytes(&bytes).unwrap())
    }

    /// Puts an answer.
    pub(super) fn answer(&mut self, event: &VmEvent) {
        for (at, byte) in event.as_bytes().iter().enumerate() {
            let to = self.page.byte(Self::slot(self.answered) + at).unwrap();
            to.store(*byte, Ordering::Relaxed);
        }
        self.answered = self.answered.wrapping_add(1);
        self.say_answered(self.answered);
    }

    /// Claims to have answered so many.
    pub(super) fn say_answered(&mut self, count: u32) {
        self.page
            .word32(RING_RSP_PROD)
            .unwrap()
            .store(count, Ordering::Release);
    }
}

fn event(number: u64) -> VmEvent {
    let mut event = VmEvent::new_zeroed();
    event.version = INTERFACE_VERSION;
    event.u[..8].copy_from_slice(&number.to_le_bytes());
    event
}

fn number(event: &VmEvent) -> u64 {
    u64::from_le_bytes(event.u[..8].try_into().unwrap())
}

/// VE-2: a guest can write the page before it is a ring. Answers that it has put there are none.
#[test]
fn ve2_what_was_in_the_page_is_no_answer() {
    for claim in [1, 8, u32::MAX] {
        let page = SharedPage::zeroed().unwrap();
        let mut guest = Client::new(page.clone());
        let mut forged = event(7);
        forged.flags = FLAG_VCPU_PAUSED;
        for _ in 0..8 {
            guest.answer(&forged);
        }
        guest.say_answered(claim);
        let mut ring = Ring::new(page.clone());
        assert!(ring.take().is_none());
        assert!(ring.put(&event(1)));
        assert!(ring.take().is_none());
        let mut client = Client::new(page);
        let got = client.take().unwrap();
        assert!(client.take().is_none());
        client.answer(&got);
        assert_eq!(number(&ring.take().unwrap()), 1);
        assert!(ring.take().is_none());
    }
}

#[test]
fn eight_events_and_no_more() {
    let page = SharedPage::zeroed().unwrap();
    let mut ring = Ring::new(page.clone());
    let mut client = Client::new(page);
    for n in 0..8 {
        assert!(ring.put(&event(n)));
    }
    assert_eq!(ring.room(), 0);
    assert!(!ring.put(&event(8)));
    for n in 0..8 {
        let got = client.take().unwrap();
        assert_eq!(number(&got), n);
        client.answer(&got);
    }
    assert!(client.take().is_none());
    // Room comes with the answers, not with the looking.
    assert_eq!(ring.room(), 0);
    for n in 0..8 {
        assert_eq!(number(&ring.take().unwrap()), n);
        assert_eq!(u64::from(ring.room()), n + 1);
    }
    assert!(ring.take().is_none());
}

proptest! {
    /// Any order of puts, takes and answers: no event is lost, doubled or changed, and none overtakes another.
    #[test]
    fn every_event_arrives_once(steps in proptest::collection::vec(0u8..4, 1..400)) {
        let page = SharedPage::zeroed().unwrap();
        let mut ring = Ring::new(page.clone());
        let mut client = Client::new(page);
        let (mut put, mut seen, mut answered, mut back) = (0u64, 0u64, 0u64, 0u64);
        let mut held = std::collections::VecDeque::new();
        for step in steps {
            match step {
                0 => {
                    let room = put - back < 8;
                    prop_assert_eq!(ring.put(&event(put)), room);
                    put += u64::from(room);
                }
                1 => {
                    let got = client.take();
                    prop_assert_eq!(got.is_some(), seen < put);
                    if let Some(got) = got {
                        prop_assert_eq!(number(&got), seen);
                        seen += 1;
                        held.push_back(got);
                    }
                }
                2 => {
                    if let Some(got) = held.pop_front() {
                        client.answer(&got);
                        answered += 1;
                    }
                }
                _ => {
                    let got = ring.take();
                    prop_assert_eq!(got.is_some(), back < answered);
                    if let Some(got) = got {
                        prop_assert_eq!(number(&got), back);
                        back += 1;
                    }
                }
            }
        }
    }

    /// VE-2: whatever the page says, no more answers are taken than events were put, and nothing loops or panics.
    #[test]
    fn ve2_a_hostile_monitor_gets_nothing(
        puts in 0u32..=8,
        claims in proptest::collection::vec(any::<u32>(), 1..40),
        noise in proptest::collection::vec((0usize..512, any::<u64>()), 0..100),
    ) {
        let page = SharedPage::zeroed().unwrap();
        let mut ring = Ring::new(page.clone());
        let mut client = Client::new(page.clone());
        for n in 0..puts {
            prop_assert!(ring.put(&event(n.into())));
        }
        for (at, word) in noise {
            page.word64(at * 8).unwrap().store(word, Ordering::Relaxed);
        }
        let mut taken = 0;
        for claim in claims {
            client.say_answered(claim);
            while ring.take().is_some() {
                taken += 1;
                prop_assert!(taken <= puts);
            }
            prop_assert_eq!(ring.room(), 8 - puts + taken);
        }
    }
}
