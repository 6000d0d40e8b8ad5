// SPDX-License-Identifier: GPL-2.0-only

//! The FIFO ABI, one operation at a time.

use super::world::{
    bucket,
    kicked,
    masked_page,
    FifoGuest,
    World,
    VCPUS, //
};
use crate::abi::errno::{
    Errno,
    EACCES,
    EINVAL,
    ENOENT,
    ENOMEM,
    ENOSPC,
    ENOSYS,
    EOPNOTSUPP, //
};
use crate::abi::event_channel::StatusDetail as Status;
use crate::evtchn::{
    topology,
    Closer,
    Consumer,
    Delivery,
    FifoReservation,
    Kind,
    Ports,
    Reservation,
    Send, //
};
use crate::sys::page::SharedPage;
use std::sync::atomic::Ordering::SeqCst;

fn ipi(world: &World, vcpu: u32) -> u32 {
    world.on(1, |p| p.bind_ipi(vcpu, &mut bucket())).unwrap()
}

#[track_caller]
fn send(world: &World, port: u32) -> Vec<u32> {
    match world.on(1, |p| p.send(port)) {
        Ok(Send::Local(delivery)) => kicked(&delivery),
        other => panic!("{other:?}"),
    }
}

/// A domain with `n` unmasked IPIs to vCPU 0, ports 1 to `n`.
fn with_ipis(n: u32) -> (World, FifoGuest) {
    let world = World::new(1);
    let guest = world.fifo(1, 1);
    for port in 1..=n {
        assert_eq!(ipi(&world, 0), port);
        assert!(guest.try_unmask(port));
    }
    (world, guest)
}

#[test]
fn events_are_taken_in_order_and_notified_once() {
    let (world, mut guest) = with_ipis(4);
    assert_eq!(send(&world, 3), [0]);
    assert_eq!(send(&world, 1), []);
    assert_eq!(send(&world, 4), []);
    assert_eq!(send(&world, 1), []);
    assert_eq!(send(&world, 2), []);
    assert_eq!(world.on(1, |p| guest.handle(p, 0)), [3, 1, 4, 2]);
    assert_eq!(send(&world, 2), [0]);
    assert_eq!(send(&world, 3), []);
    assert_eq!(world.on(1, |p| guest.handle(p, 0)), [2, 3]);
    assert!(world.on(1, |p| guest.handle(p, 0)).is_empty());
}

#[test]
fn priorities_come_in_order() {
    let (world, mut guest) = with_ipis(3);
    for (port, priority) in [(1, 15), (2, 0), (3, 3)] {
        world.on(1, |p| p.set_priority(port, priority)).unwrap();
        assert_eq!(send(&world, port).len(), usize::from(port == 1));
    }
    assert_eq!(
        guest.controls[0].word32(0).unwrap().load(SeqCst),
        1 << 15 | 1 | 1 << 3
    );
    assert_eq!(world.on(1, |p| guest.handle(p, 0)), [2, 3, 1]);
}

#[test]
fn a_tail_that_moves_to_another_queue_leaves_its_old_one_empty() {
    let (world, mut guest) = with_ipis(2);
    send(&world, 1);
    assert_eq!(world.on(1, |p| guest.handle(p, 0)), [1]);
    // Port 1 was the tail at priority 7. Now it is queued at 3 ...
    world.on(1, |p| p.set_priority(1, 3)).unwrap();
    assert_eq!(send(&world, 1), [0]);
    // ... and an event at 7 must not be appended to it.
    assert_eq!(send(&world, 2), []);
    assert_eq!(guest.word(1).load(SeqCst) & 0x1ffff, 0);
    assert_eq!(world.on(1, |p| guest.handle(p, 0)), [1, 2]);
}

#[test]
fn a_priority_changed_while_queued_is_for_the_next_event() {
    let (world, mut guest) = with_ipis(2);
    send(&world, 1);
    world.on(1, |p| p.set_priority(1, 0)).unwrap();
    send(&world, 2);
    send(&world, 1);
    assert_eq!(world.on(1, |p| guest.handle(p, 0)), [1, 2]);
    send(&world, 2);
    send(&world, 1);
    assert_eq!(world.on(1, |p| guest.handle(p, 0)), [1, 2]);
}

#[test]
fn events_follow_bind_vcpu() {
    let world = World::new(1);
    let mut guest = world.fifo(1, 1);
    let port = world.on(1, |p| p.bind_virq(3, 0, &mut bucket())).unwrap();
    assert!(guest.try_unmask(port));
    let raise = || kicked(&world.on(1, |p| p.set_virq_pending(3, 0)));
    assert_eq!(raise(), [0]);
    world.on(1, |p| p.bind_vcpu(port, 2)).unwrap();
    assert_eq!(raise(), []);
    assert_eq!(world.on(1, |p| guest.handle(p, 0)), [port]);
    assert_eq!(raise(), [2]);
    assert!(world.on(1, |p| guest.handle(p, 0)).is_empty());
    assert_eq!(world.on(1, |p| guest.handle(p, 2)), [port]);
}

#[test]
fn masked_events_wait_for_unmask() {
    let (world, mut guest) = with_ipis(1);
    guest.mask(1);
    assert_eq!(send(&world, 1), []);
    assert!(guest.pending(1) && guest.word(1).load(SeqCst) & (1 << 29) == 0);
    assert!(!guest.try_unmask(1), "the guest has to ask");
    let delivery = world.on(1, |p| p.unmask(1)).unwrap();
    assert_eq!(kicked(&delivery), [0]);
    assert_eq!(world.on(1, |p| guest.handle(p, 0)), [1]);
    assert_eq!(world.on(1, |p| p.unmask(1)), Ok(Delivery::None));
    // An unused port's word is left alone.
    assert_eq!(world.on(1, |p| p.unmask(9)), Ok(Delivery::None));
    assert!(guest.masked(9));
}

#[test]
fn an_event_masked_while_queued_is_skipped_and_comes_with_unmask() {
    let (world, mut guest) = with_ipis(2);
    send(&world, 1);
    guest.mask(1);
    send(&world, 2);
    assert_eq!(world.on(1, |p| guest.handle(p, 0)), [2]);
    assert_eq!(kicked(&world.on(1, |p| p.unmask(1)).unwrap()), [0]);
    assert_eq!(world.on(1, |p| guest.handle(p, 0)), [1]);
}

#[test]
fn init_control_checks_its_arguments() {
    let world = World::new(1);
    let page = || SharedPage::zeroed().unwrap();
    let init = |vcpu, offset, reservation: &mut FifoReservation| -> Option<Errno> {
        world
            .on(1, |p| p.init_control(vcpu, page(), offset, reservation))
            .err()
    };
    let mut reservation = FifoReservation::new(VCPUS).unwrap();
    assert_eq!(init(3, 0, &mut reservation), Some(ENOENT));
    assert_eq!(init(0, 4096 - 64, &mut reservation), Some(EINVAL));
    assert_eq!(init(0, u32::MAX - 7, &mut reservation), Some(EINVAL));
    assert_eq!(init(0, 4, &mut reservation), Some(EINVAL));
    assert_eq!(
        init(0, 0, &mut FifoReservation::new(VCPUS - 1).unwrap()),
        Some(ENOMEM)
    );
    assert_eq!(world.on(1, |p| p.expand_array(page())), Err(EOPNOTSUPP));
    assert_eq!(init(0, 4096 - 72, &mut reservation), None);
    assert_eq!(init(0, 0, &mut reservation), Some(EINVAL), "once per vCPU");
    // The memory has been taken; another vCPU needs none.
    assert_eq!(init(2, 8, &mut reservation), None);
    let host = world.on(0, |p| p.init_control(0, page(), 0, &mut reservation));
    assert_eq!(host, Err(ENOSYS));
}

#[test]
fn events_that_are_pending_are_taken_along() {
    let world = World::new(1);
    let ports: Vec<_> = (0..3).map(|vcpu| ipi(&world, vcpu)).collect();
    send(&world, ports[1]);
    let mut guest = FifoGuest {
        array: vec![masked_page()],
        controls: (0..VCPUS).map(|_| SharedPage::zeroed().unwrap()).collect(),
        heads: vec![[0; 16]; VCPUS],
    };
    let mut reservation = FifoReservation::new(VCPUS).unwrap();
    for (vcpu, page) in (0..).zip(&guest.controls) {
        world
            .on(1, |p| {
                p.init_control(vcpu, page.clone(), 0, &mut reservation)
            })
            .unwrap();
    }
    // Between the switch and the first page another one comes, and two wait in `SCHEDOP_poll`.
    send(&world, ports[2]);
    assert_eq!(world.on(1, |p| p.any_pending(&[ports[0]])), Ok(false));
    assert_eq!(world.on(1, |p| p.any_pending(&[ports[2]])), Ok(true));
    assert_eq!(world.on(1, |p| p.unmask(ports[2])), Ok(Delivery::None));
    // The guest has the words of all three unmasked before it gives the page.
    for port in &ports {
        assert!(guest.try_unmask(*port));
    }
    let _ = (0..3).map(|v| world.on(1, |p| guest.handle(p, v))).count();
    let delivery = world
        .on(1, |p| p.expand_array(guest.array[0].clone()))
        .unwrap();
    assert_eq!(kicked(&delivery), [1, 2]);
    assert_eq!(world.on(1, |p| guest.handle(p, 0)), []);
    assert_eq!(world.on(1, |p| guest.handle(p, 1)), [ports[1]]);
    assert_eq!(world.on(1, |p| guest.handle(p, 2)), [ports[2]]);
}

#[test]
fn the_array_ends_at_128_pages() {
    let world = World::new(1);
    world.fifo(1, 128);
    let more = world.on(1, |p| p.expand_array(masked_page()));
    assert_eq!(more, Err(ENOSPC));
}

#[test]
fn ports_beyond_4096_need_the_fifo_abi() {
    let page = SharedPage::zeroed().unwrap();
    let mut ports = Ports::new(1, Kind::Guest(page), 1, u32::MAX).unwrap();
    for port in 1..4096 {
        assert_eq!(ports.alloc_unbound(0, &mut bucket()), Ok(port));
    }
    assert_eq!(ports.alloc_unbound(0, &mut bucket()), Err(ENOSPC));
    let mut reservation = FifoReservation::new(1).unwrap();
    let control = SharedPage::zeroed().unwrap();
    ports.init_control(0, control, 0, &mut reservation).unwrap();
    for port in 4096..1 << 17 {
        let mut reservation = match port % 64 {
            0 => bucket(),
            _ => Reservation::none(),
        };
        assert_eq!(ports.alloc_unbound(0, &mut reservation), Ok(port));
    }
    assert_eq!(ports.alloc_unbound(0, &mut bucket()), Err(ENOSPC));
    let last = (1 << 17) - 1;
    ports.close(last, Closer::Guest).unwrap();
    assert_eq!(ports.bind_ipi(0, &mut bucket()), Ok(last));
    let array: Vec<_> = (0..128).map(|_| masked_page()).collect();
    for page in &array {
        let _ = ports.expand_array(page.clone()).unwrap();
    }
    array[127].word32(4092).unwrap().store(0, SeqCst);
    let Ok(Send::Local(delivery)) = ports.send(last) else {
        panic!()
    };
    assert_eq!(kicked(&delivery), [0]);
}

#[test]
fn set_priority_checks_its_arguments() {
    let (world, _guest) = with_ipis(1);
    let xen = world
        .on(1, |p| {
            p.alloc_unbound_xen(0, 0, Consumer::Ioreq, &mut bucket())
        })
        .unwrap();
    let set = |port, priority| world.on(1, |p| p.set_priority(port, priority));
    assert_eq!(set(1, 15), Ok(()));
    assert_eq!(set(1, 16), Err(EINVAL));
    assert_eq!(set(1, 256), Err(EINVAL));
    assert_eq!(set(0, 0), Err(EACCES));
    assert_eq!(set(5, 0), Err(EACCES));
    assert_eq!(set(xen, 0), Err(EACCES));
    assert_eq!(set(64, 0), Err(EINVAL));
}

#[test]
fn a_port_that_is_still_queued_is_not_given_to_another() {
    let (world, mut guest) = with_ipis(2);
    send(&world, 1);
    topology::close(&world, 1, 1, Closer::Guest).unwrap();
    assert!(!guest.pending(1));
    assert_eq!(ipi(&world, 0), 3, "1 is on a queue");
    assert!(world.on(1, |p| guest.handle(p, 0)).is_empty());
    assert_eq!(ipi(&world, 0), 1);
}

#[test]
fn a_reused_port_remembers_which_queues_tail_it_was() {
    let (world, mut guest) = with_ipis(2);
    world.on(1, |p| p.set_priority(1, 2)).unwrap();
    world.on(1, |p| p.set_priority(2, 2)).unwrap();
    send(&world, 1);
    assert_eq!(world.on(1, |p| guest.handle(p, 0)), [1]);
    topology::close(&world, 1, 1, Closer::Guest).unwrap();
    assert_eq!(ipi(&world, 0), 1);
    // At the default priority now; queue 2 must not take it for its tail.
    send(&world, 1);
    send(&world, 2);
    assert_eq!(guest.word(1).load(SeqCst) & 0x1ffff, 0);
    assert_eq!(world.on(1, |p| guest.handle(p, 0)), [2, 1]);
}

#[test]
fn a_guest_can_hide_free_ports_from_itself_only_so_far() {
    let (world, guest) = with_ipis(1);
    for port in 2..1024 {
        guest.word(port).store(1 << 29, SeqCst);
    }
    // Of a bucket that has never been used the first port is taken; nothing can be queued there.
    assert_eq!(ipi(&world, 0), 64);
    assert_eq!(ipi(&world, 0), 128);
    guest.word(70).store(0, SeqCst);
    assert_eq!(ipi(&world, 0), 70);

    let world = World::with_max_port(1, 10_000);
    let guest = world.fifo(1, 10);
    for port in 0..10_000 {
        assert_eq!(ipi(&world, 0), port + 1);
    }
    for port in 1..=10_000 {
        guest.word(port).store(1 << 29, SeqCst);
        topology::close(&world, 1, port, Closer::Guest).unwrap();
    }
    guest.word(5000).store(0, SeqCst);
    let refused = world.on(1, |p| p.bind_ipi(0, &mut bucket()));
    assert_eq!(refused, Err(ENOSPC), "not searched to the end");
    guest.word(4000).store(0, SeqCst);
    assert_eq!(ipi(&world, 0), 4000);
}

#[test]
fn a_dying_domain_gets_no_new_pages() {
    let (world, _guest) = with_ipis(1);
    world.on(1, |p| p.begin_destroy());
    assert_eq!(world.on(1, |p| p.expand_array(masked_page())), Err(EINVAL));
    let mut reservation = FifoReservation::new(VCPUS).unwrap();
    let late = world.on(1, |p| p.init_control(0, masked_page(), 0, &mut reservation));
    assert_eq!(late, Err(EINVAL));
}

#[test]
fn dump_shows_queues() {
    let (world, _guest) = with_ipis(2);
    send(&world, 2);
    world.on(1, |p| p.set_priority(2, 1)).unwrap();
    let dump: Vec<_> = world.on(1, |p| p.dump(1).collect());
    assert_eq!(dump.len(), 2);
    assert!(!dump[0].pending && !dump[0].masked && !dump[0].selected);
    assert!(dump[1].pending && !dump[1].masked && dump[1].selected);
    assert_eq!((dump[1].status, dump[1].priority), (Status::Ipi, 1));
}
