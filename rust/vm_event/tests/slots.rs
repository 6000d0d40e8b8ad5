// SPDX-License-Identifier: GPL-2.0-only

//! E-10: slots, one for each vCPU, against monitors that keep to their rules and against others.

use proptest::prelude::*;
use zerocopy::{
    FromBytes,
    FromZeros,
    IntoBytes, //
};

use crate::abi::errno::EINVAL;
use crate::abi::oxen::*;
use crate::abi::vm_event::*;
use crate::sys::atomic::Ordering;
use crate::sys::page::SharedPage;
use crate::vm_event::monitor::Prepared;
use crate::vm_event::*;

fn attached(vcpus: u32) -> (Monitor, Vec<SharedPage>) {
    let ports: Vec<u32> = (0..vcpus).map(|vcpu| 100 + vcpu).collect();
    let mut monitor = Monitor::new();
    let mut prepared = Some(Prepared::slots(&ports).unwrap());
    monitor.attach(&mut prepared).unwrap();
    let pages = (0..u64::from(vcpus))
        .map(|vcpu| monitor.slot_page(vcpu).unwrap())
        .collect();
    (monitor, pages)
}

fn event(vcpu: u32) -> VmEvent {
    let mut event = VmEvent::new_zeroed();
    event.version = INTERFACE_VERSION;
    event.vcpu_id = vcpu;
    event.reason = REASON_MEM_ACCESS;
    event
}

fn state(page: &SharedPage) -> u32 {
    page.word32(0).unwrap().load(Ordering::Acquire)
}

fn say(page: &SharedPage, state: u32) {
    page.word32(0).unwrap().store(state, Ordering::Release);
}

fn message(page: &SharedPage) -> VmEvent {
    let bytes: Vec<u8> = (64..464)
        .map(|at| page.byte(at).unwrap().load(Ordering::Relaxed))
        .collect();
    VmEvent::read_from_bytes(&bytes).unwrap()
}

fn answer(page: &SharedPage, event: &VmEvent) {
    for (at, byte) in (64..).zip(event.as_bytes()) {
        page.byte(at).unwrap().store(*byte, Ordering::Relaxed);
    }
    say(page, SLOT_ANSWER);
}

fn collect(monitor: &mut Monitor, only: Option<u32>) -> Vec<u32> {
    let mut woken = Vec::new();
    monitor.collect(only, |vcpu| woken.push(vcpu));
    woken
}

#[test]
fn e10_each_vcpu_has_its_own_slot() {
    let (mut monitor, pages) = attached(3);
    for vcpu in 0..3 {
        let page = &pages[vcpu as usize];
        assert_eq!(page.word32(4).unwrap().load(Ordering::Relaxed), 100 + vcpu);
        assert_eq!(
            monitor.send(vcpu, &mut event(vcpu), true),
            Sent::Yes(100 + vcpu)
        );
        assert_eq!(state(page), SLOT_EVENT);
        let got = message(page);
        assert_eq!((got.vcpu_id, got.flags), (vcpu, FLAG_VCPU_PAUSED));
    }
    answer(&pages[1], &message(&pages[1]));
    // Another vCPU's channel says nothing of this one.
    assert_eq!(collect(&mut monitor, Some(2)), []);
    assert!(monitor.answer(1).is_none());
    assert_eq!(collect(&mut monitor, Some(1)), [1]);
    assert_eq!(state(&pages[1]), SLOT_IDLE);
    assert!(matches!(monitor.answer(1), Some(Answer::Response(_))));
    answer(&pages[0], &message(&pages[0]));
    answer(&pages[2], &message(&pages[2]));
    assert_eq!(collect(&mut monitor, None), [0, 2]);
    assert_eq!(monitor.slot_page(3).err(), Some(EINVAL));
    assert_eq!(monitor.slots(), 3);
}

#[test]
fn e10_the_next_event_waits_for_the_slot() {
    let (mut monitor, pages) = attached(1);
    assert_eq!(monitor.send(0, &mut event(0), false), Sent::Yes(100));
    assert_eq!(monitor.send(0, &mut event(0), false), Sent::Full);
    assert!(!monitor.is_ready(0));
    // Also one for which nobody waits is answered, and then there is room.
    answer(&pages[0], &message(&pages[0]));
    assert_eq!(collect(&mut monitor, Some(0)), [0]);
    assert_eq!(monitor.send(0, &mut event(0), true), Sent::Yes(100));
}

#[test]
fn e10_a_monitor_that_ends_lets_go() {
    let (mut monitor, _) = attached(2);
    monitor.send(0, &mut event(0), true);
    monitor.send(1, &mut event(1), true);
    monitor.abandon(99);
    assert_eq!(monitor.listener(), Listener::Present);
    monitor.abandon(101);
    assert_eq!(monitor.listener(), Listener::Gone);
    for vcpu in 0..2 {
        assert!(matches!(monitor.answer(vcpu), Some(Answer::Lost)));
        assert_eq!(monitor.send(vcpu, &mut event(vcpu), true), Sent::Nobody);
    }
    // Half of its channels do not make a monitor.
    monitor.hear(101);
    assert_eq!(monitor.listener(), Listener::Gone);
    let ports: Vec<u32> = monitor.detach().unwrap().ports().collect();
    assert_eq!(ports, [100, 101]);
    assert_eq!(monitor.slot_page(0).err(), Some(EINVAL));
}

/// The word in which the monitor says that it looks at the slot, and the one that says whether we want to be told.
fn polls(page: &SharedPage, value: u32) {
    page.word32(8).unwrap().store(value, Ordering::Relaxed);
}

fn waits(page: &SharedPage) -> u32 {
    page.word32(12).unwrap().load(Ordering::Relaxed)
}

#[test]
fn e10_a_monitor_that_looks_is_not_told() {
    let (mut monitor, pages) = attached(2);
    assert_eq!(waits(&pages[0]), 1);
    polls(&pages[0], 1);
    assert_eq!(monitor.send(0, &mut event(0), true), Sent::Polled);
    // The other slot is not looked at.
    assert_eq!(monitor.send(1, &mut event(1), true), Sent::Yes(101));
    assert_eq!((waits(&pages[0]), waits(&pages[1])), (0, 1));
    assert!(!slot_is_answered(&pages[0]));
    // The vCPU goes to sleep.
    assert!(monitor.stop_polling(0).is_none());
    assert_eq!(waits(&pages[0]), 1);
    answer(&pages[0], &message(&pages[0]));
    assert!(slot_is_answered(&pages[0]));
    assert!(monitor.answer(0).is_none());
    assert_eq!(collect(&mut monitor, Some(0)), [0]);
    assert!(matches!(monitor.answer(0), Some(Answer::Response(_))));
    // It is answered while it looks.
    assert_eq!(monitor.send(0, &mut event(0), true), Sent::Polled);
    assert_eq!(waits(&pages[0]), 0);
    answer(&pages[0], &message(&pages[0]));
    assert!(matches!(monitor.stop_polling(0), Some(Answer::Response(_))));
    // Whoever has answered in time does not tell.
    assert_eq!(waits(&pages[0]), 0);
    assert!(monitor.answer(0).is_none());
    // The monitor goes to sleep.
    polls(&pages[0], 0);
    assert_eq!(monitor.send(0, &mut event(0), true), Sent::Yes(100));
    assert_eq!(waits(&pages[0]), 1);
    // What ends while a vCPU looks is answered too.
    monitor.abandon(100);
    assert!(matches!(monitor.stop_polling(0), Some(Answer::Lost)));
}

#[test]
fn e10_an_answer_that_nobody_waits_for_gives_room() {
    let (mut monitor, pages) = attached(1);
    polls(&pages[0], 1);
    assert_eq!(monitor.send(0, &mut event(0), false), Sent::Polled);
    // It is not answered yet: the vCPU wants to be told.
    assert_eq!(monitor.send(0, &mut event(0), true), Sent::Full);
    assert_eq!(waits(&pages[0]), 1);
    answer(&pages[0], &message(&pages[0]));
    assert_eq!(collect(&mut monitor, Some(0)), [0]);
    assert_eq!(monitor.send(0, &mut event(0), false), Sent::Polled);
    answer(&pages[0], &message(&pages[0]));
    // Without being told, and the answer is not that to the next event.
    assert_eq!(monitor.send(0, &mut event(0), true), Sent::Polled);
    assert_eq!(state(&pages[0]), SLOT_EVENT);
    assert!(monitor.stop_polling(0).is_none());
}

proptest! {
    /// Whatever a slot says, an answer is taken only for an event, once, and nothing panics.
    #[test]
    fn e10_a_hostile_monitor_gets_nothing(
        steps in proptest::collection::vec(
            (0u8..5, any::<u32>(), 0usize..512, any::<u64>()), 1..200
        ),
    ) {
        let (mut monitor, pages) = attached(1);
        let (mut sent, mut answers) = (0u32, 0u32);
        for (step, word, at, value) in steps {
            match step {
                0 => {
                    let what = monitor.send(0, &mut event(0), true);
                    sent += u32::from(matches!(what, Sent::Yes(_) | Sent::Polled));
                }
                1 => say(&pages[0], word % 4),
                2 => pages[0].word64(at * 8).unwrap().store(value, Ordering::Relaxed),
                3 => {
                    answers += u32::from(monitor.stop_polling(0).is_some());
                    prop_assert!(answers <= sent);
                }
                _ => {
                    collect(&mut monitor, Some(0));
                    answers += u32::from(monitor.answer(0).is_some());
                    prop_assert!(answers <= sent);
                }
            }
        }
    }
}
