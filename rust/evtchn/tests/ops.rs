// SPDX-License-Identifier: GPL-2.0-only

//! One operation at a time.

use super::world::{
    bucket,
    epoch,
    kicked,
    TwoLevelGuest,
    World, //
};
use crate::abi::errno::{
    EAGAIN,
    EBUSY,
    EEXIST,
    EINVAL,
    ENOENT,
    ENOMEM,
    ENOSPC,
    ENOSYS,
    ENXIO,
    EOPNOTSUPP,
    ERESTART,
    ESRCH, //
};
use crate::abi::event_channel::StatusDetail as Status;
use crate::evtchn::{
    topology::{
        self,
        Domains, //
    },
    Closer,
    Consumer,
    Delivery,
    Kind,
    Ports,
    Reservation,
    Send,
    VcpuInfo,
    VcpuSet,
    Width, //
};
use crate::sys::page::SharedPage;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering::SeqCst;

fn two_level(world: &World, domid: u16) -> TwoLevelGuest {
    TwoLevelGuest {
        page: world.domain(domid).shared_info.clone(),
        width: world.on(domid, |p| p.width()),
    }
}

#[test]
fn vcpu_set_iterates_what_was_inserted() {
    let mut set = VcpuSet::new();
    assert!(set.is_empty());
    for vcpu in [127, 0, 64, 63, 128, u32::MAX] {
        set.insert(vcpu);
    }
    assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 127]);
    assert!(set.contains(64) && !set.contains(65) && !set.contains(128));
}

#[test]
fn new_refuses_what_cannot_be() {
    assert_eq!(Ports::new(0, Kind::Host, 129, 10).err(), Some(EINVAL));
    assert!(Ports::new(0, Kind::Host, 128, u32::MAX).is_ok());
    // The highest port is port 0: there is nothing to bind.
    let mut none = Ports::new(0, Kind::Host, 1, 0).unwrap();
    assert_eq!(none.bind_ipi(0, &mut bucket()), Err(ENOSPC));
    let mut one = Ports::new(0, Kind::Host, 1, 1).unwrap();
    assert_eq!(one.bind_ipi(0, &mut bucket()), Ok(1));
    assert_eq!(one.bind_ipi(0, &mut bucket()), Err(ENOSPC));
}

#[test]
fn alloc_unbound_takes_the_lowest_free_port_and_never_0() {
    let world = World::new(1);
    let ports: Vec<_> = (0..200).map(|_| world.unbound(1, 0)).collect();
    assert_eq!(ports, (1..=200).collect::<Vec<_>>());
    for port in [130, 3, 64] {
        topology::close(&world, 1, port, Closer::Guest).unwrap();
    }
    assert_eq!(world.unbound(1, 0), 3);
    assert_eq!(world.unbound(1, 0), 64);
    assert_eq!(world.unbound(1, 0), 130);
    assert_eq!(world.unbound(1, 0), 201);
    assert_eq!(world.on(1, |p| p.status(3)), Ok((Status::Unbound(0), 0)));
    assert_eq!(world.on(1, |p| p.status(0)), Ok((Status::Closed, 0)));
}

#[test]
fn ports_are_limited_by_the_domain() {
    let world = World::with_max_port(1, 66);
    for _ in 1..=66 {
        world.unbound(1, 0);
    }
    let more = world.on(1, |p| p.alloc_unbound(0, &mut bucket()));
    assert_eq!(more, Err(ENOSPC));
    topology::close(&world, 1, 66, Closer::Guest).unwrap();
    assert_eq!(world.unbound(1, 0), 66);
}

#[test]
fn growing_without_a_reservation_fails_and_changes_nothing() {
    let world = World::new(1);
    for _ in 1..64 {
        world
            .on(1, |p| p.alloc_unbound(0, &mut Reservation::none()))
            .unwrap();
    }
    let refused = world.on(1, |p| p.alloc_unbound(0, &mut Reservation::none()));
    assert_eq!(refused, Err(ENOMEM));
    assert_eq!(world.on(1, |p| p.status(64)), Err(EINVAL));
    assert_eq!(world.unbound(1, 0), 64);
}

#[test]
fn a_reservation_is_kept_if_it_was_not_needed() {
    let world = World::new(1);
    let mut reservation = bucket();
    for _ in 1..=64 {
        world
            .on(1, |p| p.alloc_unbound(0, &mut reservation))
            .unwrap();
    }
    assert_eq!(world.on(1, |p| p.status(127)), Ok((Status::Closed, 0)));
}

#[test]
fn bind_interdomain_connects_both_ends_and_marks_the_binder_pending() {
    let world = World::new(2);
    let remote = world.unbound(2, 1);
    let local = topology::bind_interdomain(&world, 1, 2, remote, &mut bucket()).unwrap();

    assert_eq!(
        world.on(1, |p| p.status(local)),
        Ok((Status::Interdomain(2, remote), 0))
    );
    assert_eq!(
        world.on(2, |p| p.status(remote)),
        Ok((Status::Interdomain(1, local), 0))
    );
    assert_eq!(
        world.taken(1).iter().flat_map(kicked).collect::<Vec<_>>(),
        [0]
    );
    assert!(world.taken(2).is_empty());
    assert!(two_level(&world, 1).pending(local));
}

#[test]
fn bind_interdomain_is_refused_unless_the_port_waits_for_the_caller() {
    let world = World::new(2);
    let for_0 = world.unbound(2, 0);
    let bind = |remote, port| topology::bind_interdomain(&world, 1, remote, port, &mut bucket());

    assert_eq!(bind(2, for_0), Err(EINVAL));
    assert_eq!(bind(2, 0), Err(EINVAL));
    assert_eq!(bind(2, 63), Err(EINVAL));
    assert_eq!(bind(2, 64), Err(EINVAL));
    assert_eq!(bind(2, u32::MAX), Err(EINVAL));
    assert_eq!(bind(9, 1), Err(ESRCH));
    // Each left domain 1 as it was.
    assert_eq!(world.unbound(1, 0), 1);
    let for_1 = world.unbound(2, 1);
    assert_eq!(bind(2, for_1), Ok(2));
    assert_eq!(bind(2, for_1), Err(EINVAL));
}

#[test]
fn loopback_works_within_one_domain() {
    let world = World::new(1);
    let (a, b) = world.connect(1, 1);
    let guest = two_level(&world, 1);
    guest.clear_pending(a);

    topology::send(&world, 1, a).unwrap();
    assert!(guest.pending(b) && !guest.pending(a));
    topology::close(&world, 1, a, Closer::Guest).unwrap();
    assert_eq!(world.on(1, |p| p.status(b)), Ok((Status::Unbound(1), 0)));
    assert_eq!(world.on(1, |p| p.status(a)), Ok((Status::Closed, 0)));
}

#[test]
fn virqs_follow_their_kind() {
    let world = World::new(1);
    let bind = |virq, vcpu| world.on(1, |p| p.bind_virq(virq, vcpu, &mut bucket()));

    assert_eq!(bind(24, 0), Err(EINVAL));
    assert_eq!(bind(u32::MAX, 0), Err(EINVAL));
    assert_eq!(bind(3, 1), Err(EINVAL), "global: vCPU 0 only");
    assert_eq!(bind(16, 1), Err(EINVAL), "the architecture's are global");
    assert_eq!(bind(0, 3), Err(ENOENT));
    assert_eq!(bind(0, u32::MAX), Err(ENOENT));
    let timer0 = bind(0, 0).unwrap();
    let timer1 = bind(0, 1).unwrap();
    let exception = bind(3, 0).unwrap();
    assert_eq!(bind(0, 1), Err(EEXIST));
    assert_eq!(bind(3, 0), Err(EEXIST));
    assert_eq!(world.on(1, |p| p.status(timer1)), Ok((Status::Virq(0), 1)));

    let guest = two_level(&world, 1);
    assert_eq!(kicked(&world.on(1, |p| p.set_virq_pending(0, 1))), [1]);
    assert!(guest.pending(timer1) && !guest.pending(timer0));
    assert_eq!(kicked(&world.on(1, |p| p.set_virq_pending(3, 2))), [0]);
    assert!(guest.pending(exception));
    for (virq, vcpu) in [(1, 0), (0, 2), (0, 9), (24, 0), (u32::MAX, 0)] {
        let delivery = world.on(1, |p| p.set_virq_pending(virq, vcpu));
        assert_eq!(delivery, Delivery::None);
    }
    topology::close(&world, 1, timer1, Closer::Guest).unwrap();
    assert_eq!(world.on(1, |p| p.set_virq_pending(0, 1)), Delivery::None);
    assert_eq!(bind(0, 1), Ok(timer1));
}

#[test]
fn bind_vcpu_moves_only_what_may_move() {
    let world = World::new(1);
    let move_to = |port, vcpu| world.on(1, |p| p.bind_vcpu(port, vcpu));
    let unbound = world.unbound(1, 0);
    let ipi = world.on(1, |p| p.bind_ipi(1, &mut bucket())).unwrap();
    let timer = world.on(1, |p| p.bind_virq(0, 1, &mut bucket())).unwrap();
    let global = world.on(1, |p| p.bind_virq(3, 0, &mut bucket())).unwrap();
    let xen = world
        .on(1, |p| {
            p.alloc_unbound_xen(2, 0, Consumer::Ioreq, &mut bucket())
        })
        .unwrap();

    assert_eq!(move_to(unbound, 2), Ok(()));
    assert_eq!(move_to(global, 2), Ok(()));
    assert_eq!(move_to(ipi, 2), Err(EINVAL));
    assert_eq!(move_to(timer, 2), Err(EINVAL));
    assert_eq!(move_to(xen, 1), Err(EINVAL));
    assert_eq!(move_to(0, 1), Err(EINVAL));
    assert_eq!(move_to(60, 1), Err(EINVAL));
    assert_eq!(move_to(6000, 1), Err(EINVAL));
    assert_eq!(move_to(unbound, 3), Err(ENOENT));
    assert_eq!(kicked(&world.on(1, |p| p.set_virq_pending(3, 0))), [2]);

    topology::close(&world, 1, unbound, Closer::Guest).unwrap();
    assert_eq!(world.unbound(1, 0), unbound);
    let status = world.on(1, |p| p.status(unbound));
    assert_eq!(status, Ok((Status::Unbound(0), 0)), "back at vCPU 0");
}

#[test]
fn send_reaches_the_other_end_only() {
    let world = World::new(2);
    let (a, b) = world.connect(1, 2);
    let send = world.on(1, |p| p.send(a));
    assert_eq!(
        send,
        Ok(Send::Remote {
            domid: 2,
            port: b,
            from_port: a
        })
    );
    topology::send(&world, 1, a).unwrap();
    assert_eq!(
        world.taken(2).iter().flat_map(kicked).collect::<Vec<_>>(),
        [0]
    );
    assert!(two_level(&world, 2).pending(b));
    topology::send(&world, 1, a).unwrap();
    assert!(world.taken(2).is_empty(), "still pending");
    assert_eq!(topology::send(&world, 7, 1), Err(ESRCH));
}

#[test]
fn send_refuses_what_cannot_be_sent_through() {
    let world = World::new(1);
    let unbound = world.unbound(1, 0);
    let ipi = world.on(1, |p| p.bind_ipi(2, &mut bucket())).unwrap();
    let virq = world.on(1, |p| p.bind_virq(0, 0, &mut bucket())).unwrap();
    let xen = world
        .on(1, |p| {
            p.alloc_unbound_xen(0, 0, Consumer::VmEvent, &mut bucket())
        })
        .unwrap();

    assert_eq!(
        world.on(1, |p| p.send(unbound)),
        Ok(Send::Local(Delivery::None))
    );
    let Ok(Send::Local(delivery)) = world.on(1, |p| p.send(ipi)) else {
        panic!()
    };
    assert_eq!(kicked(&delivery), [2]);
    for port in [virq, xen, 0, 63, 64, u32::MAX] {
        assert_eq!(world.on(1, |p| p.send(port)), Err(EINVAL), "{port}");
    }
}

#[test]
fn masked_events_wait_for_unmask() {
    let world = World::new(1);
    let ipi = world.on(1, |p| p.bind_ipi(1, &mut bucket())).unwrap();
    let guest = two_level(&world, 1);
    guest.mask(ipi);

    assert_eq!(
        world.on(1, |p| p.send(ipi)),
        Ok(Send::Local(Delivery::None))
    );
    assert!(guest.pending(ipi));
    let delivery = world.on(1, |p| p.unmask(ipi)).unwrap();
    assert_eq!(kicked(&delivery), [1]);
    assert_eq!(world.on(1, |p| guest.handle(p, 1)), BTreeSet::from([ipi]));
    let again = world.on(1, |p| p.unmask(ipi));
    assert_eq!(again, Ok(Delivery::None), "not masked, not pending");
    guest.mask(ipi);
    let again = world.on(1, |p| p.unmask(ipi));
    assert_eq!(again, Ok(Delivery::None), "masked, not pending");
    assert!(!guest.masked(ipi));
    assert_eq!(world.on(1, |p| p.unmask(0)), Ok(Delivery::None));
    assert_eq!(world.on(1, |p| p.unmask(63)), Ok(Delivery::None));
    assert_eq!(world.on(1, |p| p.unmask(64)), Err(EINVAL));
}

#[test]
fn the_32_bit_layout_is_where_a_32_bit_guest_looks() {
    let world = World::new(1);
    world.on(1, |p| p.set_width(Width::Bits32));
    let guest = two_level(&world, 1);
    for _ in 1..1000 {
        world.unbound(1, 0);
    }
    let ipi = world.on(1, |p| p.bind_ipi(2, &mut bucket())).unwrap();
    assert_eq!(ipi, 1000);
    let _ = world.on(1, |p| p.send(ipi)).unwrap();
    let page = &guest.page;
    assert_eq!(
        page.word32(2048 + 1000 / 32 * 4).unwrap().load(SeqCst),
        1 << (1000 % 32)
    );
    assert_eq!(
        page.word32(2 * 64 + 4).unwrap().load(SeqCst),
        1 << (1000 / 32)
    );
    assert_eq!(page.byte(2 * 64).unwrap().load(SeqCst), 1);
    assert_eq!(world.on(1, |p| guest.handle(p, 2)), BTreeSet::from([ipi]));

    guest.mask(ipi);
    let _ = world.on(1, |p| p.send(ipi)).unwrap();
    assert!(world.on(1, |p| guest.handle(p, 2)).is_empty());
    assert_eq!(kicked(&world.on(1, |p| p.unmask(ipi)).unwrap()), [2]);
}

#[test]
fn the_64_bit_layout_is_where_a_64_bit_guest_looks() {
    let world = World::new(1);
    for _ in 1..2500 {
        world.unbound(1, 0);
    }
    let ipi = world.on(1, |p| p.bind_ipi(1, &mut bucket())).unwrap();
    let _ = world.on(1, |p| p.send(ipi)).unwrap();
    let page = &world.domain(1).shared_info;
    assert_eq!(
        page.word64(2048 + 2500 / 64 * 8).unwrap().load(SeqCst),
        1 << (2500 % 64)
    );
    assert_eq!(page.word64(64 + 8).unwrap().load(SeqCst), 1 << (2500 / 64));
    assert_eq!(page.byte(64).unwrap().load(SeqCst), 1);
    assert_eq!(page.byte(0).unwrap().load(SeqCst), 0);
}

#[test]
fn close_frees_the_port_and_its_event() {
    let world = World::new(2);
    let (a, b) = world.connect(1, 2);
    topology::send(&world, 2, b).unwrap();
    assert!(two_level(&world, 1).pending(a));
    topology::close(&world, 1, a, Closer::Guest).unwrap();
    assert!(!two_level(&world, 1).pending(a));
    assert_eq!(world.on(2, |p| p.status(b)), Ok((Status::Unbound(1), 0)));
    assert_eq!(world.on(1, |p| p.status(a)), Ok((Status::Closed, 0)));
    for port in [a, 0, 63, 64, u32::MAX] {
        assert_eq!(topology::close(&world, 1, port, Closer::Guest), Err(EINVAL));
    }
    // The other end waits for the same domain again.
    assert!(topology::bind_interdomain(&world, 1, 2, b, &mut bucket()).is_ok());
}

#[test]
fn an_event_on_its_way_to_a_closed_port_is_dropped() {
    let world = World::new(2);
    let (a, b) = world.connect(1, 2);
    let in_flight = world.on(1, |p| p.send(a)).unwrap();
    topology::close(&world, 2, b, Closer::Guest).unwrap();
    topology::deliver(&world, 1, in_flight);
    assert!(world.taken(2).is_empty());

    // The port is used again, for somebody else.
    let (c, d) = world.connect(0, 2);
    assert_eq!(d, b);
    topology::deliver(&world, 1, in_flight);
    assert!(world.taken(2).is_empty());
    assert!(!two_level(&world, 2).pending(d));
    assert_eq!(topology::send(&world, 0, c), Ok(()));
    assert!(two_level(&world, 2).pending(d));
}

#[test]
fn an_event_sent_between_the_steps_of_a_bind_is_made_good() {
    let world = World::new(2);
    let remote = world.unbound(2, 1);
    let local = world.on(1, |p| p.begin_bind(&mut bucket())).unwrap();
    assert_eq!(world.on(1, |p| p.status(local)), Ok((Status::Closed, 0)));
    assert_eq!(world.on(1, |p| p.send(local)), Err(EINVAL));
    assert_eq!(
        topology::close(&world, 1, local, Closer::Guest),
        Err(EINVAL)
    );
    world.on(2, |p| p.accept_bind(remote, 1, local)).unwrap();
    topology::send(&world, 2, remote).unwrap();
    assert!(world.taken(1).is_empty());
    let delivery = world.on(1, |p| p.complete_bind(local, 2, remote)).unwrap();
    assert_eq!(kicked(&delivery), [0]);
    let twice = world.on(1, |p| p.complete_bind(local, 2, remote));
    assert_eq!(twice, Err(EINVAL));
}

#[test]
fn a_port_of_the_hypervisor_is_the_hypervisors() {
    let world = World::new(1);
    let port = world
        .on(1, |p| {
            p.alloc_unbound_xen(1, 0, Consumer::Ioreq, &mut bucket())
        })
        .unwrap();
    let unbound = world.on(1, |p| p.send_from_xen(port));
    assert_eq!(unbound, Send::Local(Delivery::None));
    let local = topology::bind_interdomain(&world, 0, 1, port, &mut bucket()).unwrap();
    let _ = world.on(0, |p| p.unmask(local)).unwrap();

    // From the device model to the vCPU.
    topology::send(&world, 0, local).unwrap();
    assert_eq!(
        world.taken(1),
        [Delivery::Xen {
            consumer: Consumer::Ioreq,
            vcpu: 1,
            port,
            closed: false
        }]
    );
    assert!(!two_level(&world, 1).pending(port));
    // And back. The unmask above took the event that every bind leaves.
    let _ = world.on(0, |p| p.unmask(local)).unwrap();
    let send = world.on(1, |p| p.send_from_xen(port));
    topology::deliver(&world, 1, send);
    assert_eq!(world.taken(0), [Delivery::Host { port: local }]);
    let not_xen = world.on(0, |p| p.send_from_xen(local));
    assert_eq!(not_xen, Send::Local(Delivery::None));

    assert_eq!(topology::close(&world, 1, port, Closer::Guest), Err(EINVAL));
    assert_eq!(topology::close(&world, 1, port, Closer::Xen), Ok(()));
    assert_eq!(
        world.on(0, |p| p.status(local)),
        Ok((Status::Unbound(1), 0))
    );
    assert_eq!(
        world.on(1, |p| p.alloc_unbound_xen(
            3,
            0,
            Consumer::Ioreq,
            &mut bucket()
        )),
        Err(ENOENT)
    );
}

#[test]
fn the_hypervisor_hears_of_the_end_of_its_partner() {
    let world = World::new(1);
    let port = world
        .on(1, |p| {
            p.alloc_unbound_xen(0, 0, Consumer::VmEvent, &mut bucket())
        })
        .unwrap();
    let local = topology::bind_interdomain(&world, 0, 1, port, &mut bucket()).unwrap();
    assert_eq!(world.taken(1), []);
    topology::close(&world, 0, local, Closer::Guest).unwrap();
    assert_eq!(
        world.taken(1),
        [Delivery::Xen {
            consumer: Consumer::VmEvent,
            vcpu: 0,
            port,
            closed: true
        }]
    );
    assert_eq!(world.on(1, |p| p.status(port)), Ok((Status::Unbound(0), 0)));
    // Another can take its place.
    assert!(topology::bind_interdomain(&world, 0, 1, port, &mut bucket()).is_ok());
}

#[test]
fn a_host_consumer_hears_of_each_event_once_and_misses_none() {
    let world = World::new(1);
    let (host, guest) = world.connect(0, 1);
    // Nobody has opened the port yet: nothing is reported, nothing lost.
    topology::send(&world, 1, guest).unwrap();
    assert!(world.taken(0).is_empty());
    assert_eq!(world.on(0, |p| p.any_pending(&[host])), Ok(true));
    assert_eq!(
        world.on(0, |p| p.unmask(host)),
        Ok(Delivery::Host { port: host })
    );
    assert_eq!(world.on(0, |p| p.any_pending(&[host])), Ok(false));
    // Two more while the process has not written the port back: one report when it does.
    topology::send(&world, 1, guest).unwrap();
    topology::send(&world, 1, guest).unwrap();
    assert!(world.taken(0).is_empty());
    assert_eq!(
        world.on(0, |p| p.unmask(host)),
        Ok(Delivery::Host { port: host })
    );
    assert_eq!(world.on(0, |p| p.unmask(host)), Ok(Delivery::None));
    topology::send(&world, 1, guest).unwrap();
    assert_eq!(world.taken(0), [Delivery::Host { port: host }]);
    // Nothing is left for the next user of the port.
    topology::send(&world, 1, guest).unwrap();
    topology::close(&world, 0, host, Closer::Guest).unwrap();
    assert_eq!(world.unbound(0, 1), host);
    assert_eq!(world.on(0, |p| p.unmask(host)), Ok(Delivery::None));
}

#[test]
fn host_virqs_reach_the_process() {
    let world = World::new(0);
    let port = world.on(0, |p| p.bind_virq(3, 0, &mut bucket())).unwrap();
    topology::unmask(&world, 0, port).unwrap();
    topology::raise_virq(&world, 0, 3, 0).unwrap();
    assert_eq!(world.taken(0), [Delivery::Host { port }]);
}

#[test]
fn registering_vcpu_info_carries_everything_over() {
    let world = World::new(1);
    let ipi = world.on(1, |p| p.bind_ipi(1, &mut bucket())).unwrap();
    let epoch = epoch();
    let before = world.on(1, |p| p.upcall(1, &epoch));
    assert!(!before.is_pending());
    let _ = world.on(1, |p| p.send(ipi)).unwrap();
    assert!(before.is_pending() && before.is_current(&epoch));
    // The time stands in the old place.
    world
        .domain(1)
        .shared_info
        .word32(64 + 32)
        .unwrap()
        .store(77, SeqCst);

    let page = SharedPage::zeroed().unwrap();
    let place = VcpuInfo::new(page.clone(), 4032, Width::Bits64).unwrap();
    let delivery = world
        .on(1, |p| p.register_vcpu_info(1, place, &epoch))
        .unwrap();
    assert_eq!(kicked(&delivery), [1]);
    assert!(!before.is_current(&epoch));
    let after = world.on(1, |p| p.upcall(1, &epoch));
    assert!(after.is_current(&epoch) && after.is_pending());
    assert_eq!(page.word64(4032 + 8).unwrap().load(SeqCst), u64::MAX);
    assert_eq!(page.word32(4032 + 32).unwrap().load(SeqCst), 77);

    let guest = two_level(&world, 1);
    assert_eq!(world.on(1, |p| guest.handle(p, 1)), BTreeSet::from([ipi]));
    let _ = world.on(1, |p| p.send(ipi)).unwrap();
    assert!(after.is_pending());

    let again = VcpuInfo::new(page.clone(), 0, Width::Bits64).unwrap();
    let refused = world.on(1, |p| p.register_vcpu_info(1, again.clone(), &epoch));
    assert_eq!(refused, Err(EBUSY));
    let absent = world.on(1, |p| p.register_vcpu_info(3, again.clone(), &epoch));
    assert_eq!(absent, Err(ENOENT));
    assert_eq!(
        world.on(0, |p| p.register_vcpu_info(0, again, &epoch)),
        Err(EINVAL)
    );
    assert!(after.is_current(&epoch));

    let old = world.on(1, |p| p.unregister_vcpu_info(1, &epoch)).unwrap();
    assert_eq!(old.offset(), 4032);
    assert!(!after.is_current(&epoch));
    assert_eq!(world.on(1, |p| p.vcpu_info(1).unwrap().offset()), 64);
    assert!(world.on(1, |p| p.unregister_vcpu_info(1, &epoch)).is_none());
}

#[test]
fn vcpu_info_must_lie_in_the_page_and_be_aligned() {
    let new = |offset, width| VcpuInfo::new(SharedPage::zeroed().unwrap(), offset, width).err();
    assert_eq!(new(0, Width::Bits64), None);
    assert_eq!(new(4032, Width::Bits64), None);
    assert_eq!(new(4033, Width::Bits64), Some(EINVAL));
    assert_eq!(new(u32::MAX, Width::Bits64), Some(EINVAL));
    assert_eq!(new(4, Width::Bits64), Some(ENXIO));
    assert_eq!(new(4, Width::Bits32), None);
    assert_eq!(new(6, Width::Bits32), Some(ENXIO));
}

#[test]
fn a_vcpu_beyond_32_gets_its_events_when_it_registers() {
    let page = SharedPage::zeroed().unwrap();
    let mut ports = Ports::new(5, Kind::Guest(page), 40, 1023).unwrap();
    let ipi = ports.bind_ipi(35, &mut bucket()).unwrap();
    assert!(ports.vcpu_info(31).is_some() && ports.vcpu_info(32).is_none());
    assert_eq!(ports.send(ipi), Ok(Send::Local(Delivery::None)));
    let epoch = epoch();
    assert!(!ports.upcall(35, &epoch).is_pending());

    let place = VcpuInfo::new(SharedPage::zeroed().unwrap(), 128, Width::Bits64).unwrap();
    let delivery = ports.register_vcpu_info(35, place, &epoch).unwrap();
    assert_eq!(kicked(&delivery), [35]);
    assert!(ports.upcall(35, &epoch).is_pending());
    let (status, vcpu) = ports.status(ipi).unwrap();
    assert_eq!((status, vcpu), (Status::Ipi, 35));
}

#[test]
fn pollers_wake_on_masked_events_too() {
    let world = World::new(1);
    let a = world.on(1, |p| p.bind_ipi(0, &mut bucket())).unwrap();
    let b = world.on(1, |p| p.bind_ipi(0, &mut bucket())).unwrap();
    let guest = two_level(&world, 1);
    guest.mask(a);
    guest.mask(b);

    assert_eq!(world.on(1, |p| p.begin_poll(1, &[a])), Ok(false));
    assert_eq!(world.on(1, |p| p.begin_poll(2, &[a, b])), Ok(false));
    let wake = |port| match world.on(1, |p| p.send(port)) {
        Ok(Send::Local(Delivery::Guest(wake))) => {
            assert!(wake.upcalls.is_empty());
            wake.pollers.iter().collect()
        }
        Ok(Send::Local(Delivery::None)) => Vec::new(),
        other => panic!("{other:?}"),
    };
    assert_eq!(wake(b), [2]);
    assert_eq!(wake(a), [1]);
    assert_eq!(wake(a), []);
    assert_eq!(world.on(1, |p| p.begin_poll(1, &[a])), Ok(true));
    guest.clear_pending(a);
    assert_eq!(world.on(1, |p| p.begin_poll(1, &[a])), Ok(false));
    world.on(1, |p| p.end_poll(1));
    assert_eq!(wake(a), []);
    assert_eq!(world.on(1, |p| p.begin_poll(1, &[64])), Err(EINVAL));
    assert_eq!(world.on(1, |p| p.begin_poll(3, &[a])), Err(ENOENT));
}

#[test]
fn reset_closes_all_and_can_be_interrupted() {
    let world = World::new(2);
    let pairs: Vec<_> = (0..150).map(|_| world.connect(1, 2)).collect();
    world.on(1, |p| p.bind_virq(0, 0, &mut bucket())).unwrap();
    let xen = world
        .on(1, |p| {
            p.alloc_unbound_xen(0, 0, Consumer::Ioreq, &mut bucket())
        })
        .unwrap();

    let mut left = 40;
    let mut stop = || {
        left -= 1;
        left == 0
    };
    assert_eq!(topology::reset(&world, 1, true, || false), Err(EINVAL));
    assert_eq!(topology::reset(&world, 1, false, &mut stop), Err(ERESTART));
    assert_eq!(topology::reset(&world, 1, false, || false), Err(EBUSY));
    assert_eq!(topology::reset(&world, 1, true, || false), Ok(()));
    for (a, b) in pairs {
        assert_eq!(world.on(1, |p| p.status(a)), Ok((Status::Closed, 0)));
        assert_eq!(world.on(2, |p| p.status(b)), Ok((Status::Unbound(1), 0)));
    }
    assert_eq!(world.on(1, |p| p.status(xen)), Ok((Status::Unbound(0), 0)));
    assert_eq!(topology::reset(&world, 1, false, || false), Ok(()));
    assert_eq!(topology::reset(&world, 7, false, || false), Err(ESRCH));
    assert!(world.on(1, |p| p.bind_virq(0, 0, &mut bucket())).is_ok());
}

#[test]
fn reset_says_so_if_ports_were_bound_meanwhile() {
    let world = World::new(1);
    for _ in 0..200 {
        world.unbound(1, 0);
    }
    let mut bound = None;
    let result = topology::reset(&world, 1, false, || {
        // Behind where the reset has got to.
        bound.get_or_insert_with(|| world.unbound(1, 0));
        false
    });
    assert_eq!((result, bound), (Err(EAGAIN), Some(1)));
    assert_eq!(world.on(1, |p| p.dump(0).count()), 1);
    assert_eq!(topology::reset(&world, 1, false, || false), Ok(()));
    assert_eq!(world.on(1, |p| p.dump(0).count()), 0);
}

#[test]
fn destroy_closes_the_hypervisors_ports_too_and_for_good() {
    let world = World::new(2);
    let (_, b) = world.connect(1, 2);
    let xen = world
        .on(1, |p| {
            p.alloc_unbound_xen(0, 2, Consumer::Ioreq, &mut bucket())
        })
        .unwrap();
    let model = topology::bind_interdomain(&world, 2, 1, xen, &mut bucket()).unwrap();
    let waiting = world.unbound(1, 2);

    assert_eq!(topology::destroy(&world, 1, || true), Err(ERESTART));
    assert_eq!(
        world.on(1, |p| p.alloc_unbound(0, &mut bucket())),
        Err(EINVAL)
    );
    assert_eq!(
        topology::bind_interdomain(&world, 2, 1, waiting, &mut bucket()),
        Err(EINVAL)
    );
    while topology::destroy(&world, 1, || true).is_err() {}
    assert_eq!(world.on(2, |p| p.status(b)), Ok((Status::Unbound(1), 0)));
    assert_eq!(
        world.on(2, |p| p.status(model)),
        Ok((Status::Unbound(1), 0))
    );
    assert_eq!(world.on(1, |p| p.dump(0).count()), 0);
    assert_eq!(topology::reset(&world, 1, false, || false), Err(EINVAL));
    assert_eq!(topology::destroy(&world, 1, || false), Ok(()));
}

#[test]
fn dump_shows_what_is_in_use() {
    let world = World::new(1);
    let unbound = world.unbound(1, 0);
    let ipi = world.on(1, |p| p.bind_ipi(1, &mut bucket())).unwrap();
    let _ = world.on(1, |p| p.send(ipi)).unwrap();
    two_level(&world, 1).mask(unbound);
    let dump: Vec<_> = world.on(1, |p| p.dump(0).collect());
    assert_eq!(dump.len(), 2);
    assert_eq!(
        (dump[0].port, dump[0].status),
        (unbound, Status::Unbound(0))
    );
    assert!(dump[0].masked && !dump[0].pending && !dump[0].selected);
    assert_eq!((dump[1].port, dump[1].vcpu), (ipi, 1));
    assert!(!dump[1].masked && dump[1].pending && dump[1].selected);
    assert_eq!(world.on(1, |p| p.dump(ipi).count()), 1);
    assert_eq!(world.on(1, |p| p.dump(u32::MAX).count()), 0);
}

#[test]
fn the_2_level_abi_has_neither_priorities_nor_an_array() {
    let world = World::new(1);
    let port = world.unbound(1, 0);
    assert_eq!(world.on(1, |p| p.set_priority(port, 1)), Err(ENOSYS));
    assert_eq!(world.on(1, |p| p.set_priority(64, 1)), Err(EINVAL));
    let page = SharedPage::zeroed().unwrap();
    assert_eq!(world.on(1, |p| p.expand_array(page)), Err(EOPNOTSUPP));
}

#[test]
fn no_operation_is_done_under_two_locks() {
    // `World::with` panics if a lock is held when another, or the same one, is taken.
    let world = World::new(2);
    let (a, _) = world.connect(1, 2);
    let _held = world.domain(0).ports.lock().unwrap();
    topology::send(&world, 1, a).unwrap();
    assert!(world.with(1, |_| ()).is_ok());
}
