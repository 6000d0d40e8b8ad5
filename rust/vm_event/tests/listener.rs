// SPDX-License-Identifier: GPL-2.0-only

//! vCPUs that wait for a monitor: answers, monitors that end, rings that are full.

use zerocopy::{
    FromZeros,
    IntoBytes, //
};

use super::protocol::Client;
use crate::abi::errno::EBUSY;
use crate::abi::vm_event::*;
use crate::sys::page::SharedPage;
use crate::vm_event::monitor::Prepared;
use crate::vm_event::*;

fn event(vcpu: u32, reason: u32) -> VmEvent {
    let mut event = VmEvent::new_zeroed();
    event.version = INTERFACE_VERSION;
    event.vcpu_id = vcpu;
    event.reason = reason;
    event
}

fn attached(vcpus: usize) -> (Monitor, Client) {
    let page = SharedPage::zeroed().unwrap();
    let mut monitor = Monitor::new();
    let mut prepared = Some(Prepared::ring(page.clone(), vcpus, 7).unwrap());
    monitor.attach(&mut prepared).unwrap();
    (monitor, Client::new(page))
}

fn ports(detached: Option<Detached>) -> Vec<u32> {
    detached.map_or(Vec::new(), |detached| detached.ports().collect())
}

fn collect(monitor: &mut Monitor) -> Vec<u32> {
    let mut woken = Vec::new();
    monitor.collect(None, |vcpu| woken.push(vcpu));
    woken
}

/// Sends an event that waits, and has the monitor answer it with these flags.
fn answered(reason: u32, flags: u32, data: &[u8]) -> Option<Response> {
    let (mut monitor, mut client) = attached(1);
    assert_eq!(monitor.send(0, &mut event(0, reason), true), Sent::Yes(7));
    let mut got = client.take().unwrap();
    assert_eq!(got.flags, FLAG_VCPU_PAUSED);
    got.flags = flags;
    got.data[..data.len()].copy_from_slice(data);
    client.answer(&got);
    collect(&mut monitor);
    match monitor.answer(0) {
        Some(Answer::Response(response)) => Some(response),
        Some(Answer::Lost) => panic!("the monitor is there"),
        None => None,
    }
}

#[test]
fn a_vcpu_waits_until_it_is_answered() {
    let (mut monitor, mut client) = attached(2);
    assert_eq!(
        monitor.send(1, &mut event(1, REASON_MEM_ACCESS), true),
        Sent::Yes(7)
    );
    assert!(!monitor.is_ready(1));
    assert!(monitor.answer(1).is_none());
    // Nothing was answered: notifications without answers are common.
    assert!(collect(&mut monitor).is_empty());
    let got = client.take().unwrap();
    client.answer(&got);
    assert_eq!(collect(&mut monitor), [1]);
    assert!(monitor.is_ready(1));
    assert!(matches!(monitor.answer(1), Some(Answer::Response(_))));
    // Once.
    assert!(monitor.answer(1).is_none());
}

#[test]
fn an_answer_without_the_flag_does_not_let_the_vcpu_go() {
    assert!(answered(REASON_MEM_ACCESS, 0, &[]).is_none());
    assert!(answered(REASON_MEM_ACCESS, FLAG_EMULATE, &[]).is_none());
    assert!(answered(REASON_MEM_ACCESS, FLAG_VCPU_PAUSED, &[]).is_some());
}

#[test]
fn answers_of_another_version_or_vcpu_are_passed_over() {
    let (mut monitor, mut client) = attached(1);
    monitor.send(0, &mut event(0, REASON_MEM_ACCESS), true);
    monitor.send(0, &mut event(0, REASON_GUEST_REQUEST), false);
    monitor.send(0, &mut event(0, REASON_MEM_ACCESS), true);
    let mut got = client.take().unwrap();
    got.version = INTERFACE_VERSION + 1;
    client.answer(&got);
    let mut got = client.take().unwrap();
    (got.vcpu_id, got.flags) = (u32::MAX, FLAG_VCPU_PAUSED);
    client.answer(&got);
    assert!(collect(&mut monitor).is_empty());
    let got = client.take().unwrap();
    client.answer(&got);
    assert_eq!(collect(&mut monitor), [0]);
}

#[test]
fn flags_mean_what_the_header_says() {
    let all = FLAG_VCPU_PAUSED | FLAG_EMULATE;
    let one = |reason, flags| answered(reason, flags, &[]).unwrap();
    let emulate = |flags| one(REASON_MEM_ACCESS, all | flags).emulate;
    assert_eq!(emulate(0), Emulate::Normal);
    assert_eq!(emulate(FLAG_EMULATE_NOWRITE), Emulate::WithoutWrites);
    assert_eq!(emulate(FLAG_SET_EMUL_READ_DATA), Emulate::WithReads);
    // Data for reads comes first.
    assert_eq!(
        emulate(FLAG_SET_EMUL_READ_DATA | FLAG_EMULATE_NOWRITE),
        Emulate::WithReads
    );
    assert_eq!(
        emulate(FLAG_SET_EMUL_INSN_DATA | FLAG_EMULATE_NOWRITE),
        Emulate::WithoutWrites
    );
    assert_eq!(emulate(FLAG_SET_EMUL_INSN_DATA), Emulate::Bytes([0; 16]));
    // Without the flag that they go with they mean nothing, and neither for other events.
    let paused = FLAG_VCPU_PAUSED;
    assert_eq!(
        one(REASON_MEM_ACCESS, paused | FLAG_EMULATE_NOWRITE).emulate,
        Emulate::No
    );
    assert_eq!(one(REASON_CPUID, all).emulate, Emulate::No);
    assert_eq!(one(REASON_SOFTWARE_BREAKPOINT, all).emulate, Emulate::No);
    let bytes = one(REASON_SOFTWARE_BREAKPOINT, all | FLAG_SET_EMUL_INSN_DATA);
    assert_eq!(bytes.emulate, Emulate::Bytes([0; 16]));

    assert!(one(REASON_MOV_TO_MSR, paused | FLAG_DENY).deny);
    assert!(one(REASON_SINGLESTEP, paused | FLAG_TOGGLE_SINGLESTEP).toggle_step);
    assert!(one(REASON_CPUID, paused | FLAG_GET_NEXT_INTERRUPT).next_interrupt);
    let none = one(REASON_MEM_ACCESS, paused);
    assert!(!none.deny && !none.toggle_step && !none.next_interrupt);
    assert!(none.registers.is_none());
}

#[test]
fn registers_come_with_their_flag() {
    let mut regs = RegsX86::new_zeroed();
    (regs.rip, regs.r15, regs.rflags) = (0x1234, 15, u64::MAX);
    let flags = FLAG_VCPU_PAUSED | FLAG_SET_REGISTERS;
    let response = answered(REASON_CPUID, flags, regs.as_bytes()).unwrap();
    let got = response.registers.unwrap();
    let (gprs, rip, rflags) = set_registers(&got, 2);
    assert_eq!((gprs[15], rip), (15, 0x1234));
    // No reserved bit, and no way into virtual 8086 mode.
    assert_eq!(rflags, 0x003f_7fd5 & !(1 << 17) | 2);
    assert_eq!(set_registers(&got, 1 << 17).2 & 1 << 17, 1 << 17);
    // The same bytes are not registers and data at once.
    let both = flags | FLAG_EMULATE | FLAG_SET_EMUL_READ_DATA;
    let response = answered(REASON_MEM_ACCESS, both, regs.as_bytes()).unwrap();
    assert!(response.registers.is_none() && response.data.is_some());
}

/// E-2: what the ring has no room for is not dropped.
#[test]
fn e2_a_full_ring_keeps_the_vcpu_waiting() {
    let (mut monitor, mut client) = attached(10);
    for vcpu in 0..8 {
        let sent = monitor.send(vcpu, &mut event(vcpu, REASON_MEM_ACCESS), true);
        assert_eq!(sent, Sent::Yes(7));
    }
    let mut late = event(8, REASON_MEM_ACCESS);
    assert_eq!(monitor.send(8, &mut late, true), Sent::Full);
    assert!(!monitor.is_ready(8));
    assert!(monitor.answer(8).is_none());
    let got = client.take().unwrap();
    client.answer(&got);
    assert_eq!(collect(&mut monitor), [0, 8]);
    assert!(monitor.is_ready(8));
    assert_eq!(monitor.send(8, &mut late, true), Sent::Yes(7));
    assert!(!monitor.is_ready(8));
}

/// E-9: a monitor that ends leaves nobody waiting for an answer.
#[test]
fn e9_a_monitor_that_ends_lets_go() {
    for dies in [true, false] {
        let (mut monitor, mut client) = attached(10);
        for vcpu in 0..9 {
            monitor.send(vcpu, &mut event(vcpu, REASON_MOV_TO_MSR), true);
        }
        // Vcpu 0 was answered before, and its answer counts.
        let got = client.take().unwrap();
        client.answer(&got);
        collect(&mut monitor);
        if dies {
            monitor.abandon(7);
            assert_eq!(monitor.listener(), Listener::Gone);
        } else {
            assert_eq!(ports(monitor.detach()), [7]);
            assert_eq!(monitor.listener(), Listener::Absent);
        }
        assert!(matches!(monitor.answer(0), Some(Answer::Response(_))));
        for vcpu in 1..9 {
            assert!(monitor.is_ready(vcpu), "{vcpu}");
            assert!(matches!(monitor.answer(vcpu), Some(Answer::Lost)), "{vcpu}");
        }
        assert!(monitor.answer(9).is_none());
        let sent = monitor.send(3, &mut event(3, REASON_MEM_ACCESS), true);
        assert_eq!(sent, Sent::Nobody);
        // What a monitor that is gone writes is not looked at.
        let got = client.take().unwrap();
        client.answer(&got);
        assert!(monitor.answer(1).is_none());
    }
}

#[test]
fn a_second_monitor_waits_for_the_first_to_end() {
    let (mut monitor, _) = attached(1);
    let page = SharedPage::zeroed().unwrap();
    let mut prepared = Some(Prepared::ring(page.clone(), 1, 8).unwrap());
    assert_eq!(monitor.attach(&mut prepared), Err(EBUSY));
    assert!(prepared.is_some());
    monitor.abandon(7);
    // Its ring is there until it is taken away.
    assert_eq!(monitor.attach(&mut prepared), Err(EBUSY));
    assert_eq!(ports(monitor.detach()), [7]);
    assert_eq!(ports(monitor.detach()), []);
    monitor.attach(&mut prepared).unwrap();
    assert_eq!(monitor.listener(), Listener::Present);
    // Answers to the old ring's events are none to the new one's.
    let mut client = Client::new(page);
    monitor.send(0, &mut event(0, REASON_MEM_ACCESS), true);
    assert!(client.take().is_some());
}

/// Monitors initialise their ring when an event may be in it already.
#[test]
fn an_event_outlives_the_initialisation_of_its_ring() {
    let (mut monitor, mut client) = attached(1);
    monitor.send(0, &mut event(0, REASON_MEM_ACCESS), true);
    client.initialise();
    assert!(client.take().is_none());
    collect(&mut monitor);
    assert!(client.take().is_some());
}

#[test]
fn another_monitor_can_take_over_the_ring_of_one_that_has_ended() {
    let (mut monitor, mut client) = attached(1);
    monitor.abandon(7);
    monitor.hear(8);
    assert_eq!(monitor.listener(), Listener::Gone);
    monitor.hear(7);
    assert_eq!(monitor.listener(), Listener::Present);
    let sent = monitor.send(0, &mut event(0, REASON_MEM_ACCESS), true);
    assert_eq!(sent, Sent::Yes(7));
    assert!(client.take().is_some());
}

/// E-9: nobody answers what another monitor was asked.
#[test]
fn e9_a_monitor_that_takes_over_begins_with_an_empty_ring() {
    let (mut monitor, mut client) = attached(2);
    monitor.send(0, &mut event(0, REASON_MOV_TO_MSR), true);
    monitor.send(1, &mut event(1, REASON_MEM_ACCESS), false);
    assert!(monitor.abandon(7) && !monitor.abandon(7));
    assert!(matches!(monitor.answer(0), Some(Answer::Lost)));
    client.initialise();
    // A late notification of the one that has ended shows the next one nothing.
    assert!(collect(&mut monitor).is_empty());
    assert!(client.take().is_none());
    assert!(monitor.hear(7) && !monitor.hear(7));
    assert!(collect(&mut monitor).is_empty());
    assert!(client.take().is_none());
    let mut asked = event(0, REASON_MEM_ACCESS);
    assert_eq!(monitor.send(0, &mut asked, true), Sent::Yes(7));
    let got = client.take().unwrap();
    assert_eq!(got.reason, REASON_MEM_ACCESS);
    assert!(client.take().is_none());
    client.answer(&got);
    assert_eq!(collect(&mut monitor), [0]);
    assert!(matches!(monitor.answer(0), Some(Answer::Response(_))));
}

/// E-9: a monitor that is killed leaves pages without rights. The next one makes a ring, is asked about such a page
/// before it has bound to its port, binds, and only then initialises the ring.
#[test]
fn e9_an_event_before_the_ring_is_initialised_is_told_once_more() {
    let (mut monitor, mut client) = attached(1);
    assert_eq!(monitor.repeat(), None);
    monitor.send(0, &mut event(0, REASON_MEM_ACCESS), true);
    client.initialise();
    assert!(client.take().is_none());
    assert_eq!(monitor.repeat(), Some(7));
    let got = client.take().unwrap();
    // A monitor that has seen it sees it once.
    assert_eq!(monitor.repeat(), Some(7));
    assert!(client.take().is_none());
    client.answer(&got);
    assert_eq!(collect(&mut monitor), [0]);
    assert_eq!(monitor.repeat(), None);
    monitor.send(0, &mut event(0, REASON_MEM_ACCESS), true);
    monitor.abandon(7);
    assert_eq!(monitor.repeat(), None);
}

/// VE-11: a vCPU that was given another state while it waited does not take the old answer for that to its next event.
#[test]
fn ve11_an_answer_that_nobody_waits_for_is_not_anothers() {
    let (mut monitor, mut client) = attached(2);
    monitor.send(0, &mut event(0, REASON_MEM_ACCESS), true);
    monitor.forget(0);
    monitor.send(0, &mut event(0, REASON_MOV_TO_MSR), true);
    let mut old = client.take().unwrap();
    old.flags |= FLAG_DENY;
    client.answer(&old);
    assert!(collect(&mut monitor).is_empty());
    assert!(monitor.answer(0).is_none());
    let new = client.take().unwrap();
    client.answer(&new);
    assert_eq!(collect(&mut monitor), [0]);
    match monitor.answer(0) {
        Some(Answer::Response(response)) => assert!(!response.deny),
        _ => panic!("it was answered"),
    }
    // Nothing of it is left for another monitor, whose answers all count.
    monitor.send(0, &mut event(0, REASON_MEM_ACCESS), true);
    monitor.forget(0);
    monitor.abandon(7);
    monitor.hear(7);
    client = Client::new(client.page());
    monitor.send(0, &mut event(0, REASON_CPUID), true);
    let got = client.take().unwrap();
    client.answer(&got);
    assert_eq!(collect(&mut monitor), [0]);
    // What was answered when it was forgotten is not waited for either.
    monitor.forget(0);
    monitor.send(0, &mut event(0, REASON_CPUID), true);
    let got = client.take().unwrap();
    client.answer(&got);
    assert_eq!(collect(&mut monitor), [0]);
}

/// E-9: what a monitor has asked of a vCPU, such as single steps, ends with it.
#[test]
fn e9_each_monitor_has_a_number() {
    let mut monitor = Monitor::new();
    let mut seen = vec![monitor.generation()];
    let mut changed = |monitor: &Monitor| {
        let number = monitor.generation();
        assert!(!seen.contains(&number));
        seen.push(number);
    };
    for port in [7, 8] {
        let page = SharedPage::zeroed().unwrap();
        let mut prepared = Some(Prepared::ring(page, 1, port).unwrap());
        monitor.attach(&mut prepared).unwrap();
        changed(&monitor);
        monitor.abandon(port);
        changed(&monitor);
        monitor.detach();
        changed(&monitor);
    }
}

#[test]
fn an_event_for_nobody_says_so() {
    let mut monitor = Monitor::new();
    let sent = monitor.send(0, &mut event(0, REASON_MEM_ACCESS), true);
    assert_eq!(sent, Sent::Nobody);
    let (mut monitor, _) = attached(1);
    let sent = monitor.send(1, &mut event(1, REASON_MEM_ACCESS), true);
    assert_eq!(sent, Sent::Nobody);
}
