// SPDX-License-Identifier: GPL-2.0-only

//! What went wrong in Xen's event channels, one test for each (EV-1 to EV-10).

use super::world::{
    bucket,
    epoch,
    kicked,
    masked_page,
    TwoLevelGuest,
    World, //
};
use crate::abi::errno::{
    EEXIST,
    EINVAL,
    ENOMEM,
    ENOSPC,
    EOPNOTSUPP,
    ERESTART, //
};
use crate::abi::event_channel::StatusDetail as Status;
use crate::evtchn::{
    topology,
    Closer,
    Delivery,
    FifoReservation,
    Kind,
    Ports,
    Reservation,
    Send,
    Step,
    VcpuInfo,
    Width, //
};
use crate::sys::page::SharedPage;
use std::sync::atomic::Ordering::SeqCst;

fn local(ports: &mut Ports, port: u32) -> Delivery {
    match ports.send(port) {
        Ok(Send::Local(delivery)) => delivery,
        other => panic!("{other:?}"),
    }
}

/// XSA-107: the vCPU that is notified has no control block.
#[test]
fn ev_1_fifo_send_without_control_block_drops_the_notification_only() {
    let page = SharedPage::zeroed().unwrap();
    let mut ports = Ports::new(1, Kind::Guest(page), 2, 1023).unwrap();
    let port = ports.bind_ipi(1, &mut bucket()).unwrap();
    let mut reservation = FifoReservation::new(2).unwrap();
    let control = SharedPage::zeroed().unwrap();
    ports.init_control(0, control, 0, &mut reservation).unwrap();
    // The guest's word is not even masked.
    let array = SharedPage::zeroed().unwrap();
    let _ = ports.expand_array(array.clone()).unwrap();

    assert_eq!(local(&mut ports, port), Delivery::None);
    let word = array.word32(port as usize * 4).unwrap();
    assert_eq!(word.load(SeqCst), 1 << 31, "pending, not linked");
    assert_eq!(ports.unmask(port), Ok(Delivery::None));

    let control = SharedPage::zeroed().unwrap();
    ports
        .init_control(1, control.clone(), 8, &mut reservation)
        .unwrap();
    word.fetch_or(1 << 30, SeqCst);
    assert_eq!(kicked(&ports.unmask(port).unwrap()), [1]);
    assert_eq!(control.word32(8 + 8 + 7 * 4).unwrap().load(SeqCst), port);
}

/// XSA-221: a port that the limits allow and the table does not hold.
#[test]
fn ev_2_ports_without_a_bucket_are_refused_by_everything() {
    let world = World::with_max_port(2, 100_000);
    world.fifo(1, 2);
    world.unbound(1, 2);
    for port in [64, 127, 128, 4095, 4096, 99_999, 100_000, 1 << 17, u32::MAX] {
        assert_eq!(world.on(1, |p| p.send(port)), Err(EINVAL));
        assert_eq!(world.on(1, |p| p.status(port)), Err(EINVAL));
        assert_eq!(world.on(1, |p| p.unmask(port)), Err(EINVAL));
        assert_eq!(world.on(1, |p| p.bind_vcpu(port, 0)), Err(EINVAL));
        assert_eq!(world.on(1, |p| p.set_priority(port, 0)), Err(EINVAL));
        assert_eq!(world.on(1, |p| p.any_pending(&[port])), Err(EINVAL));
        assert_eq!(topology::close(&world, 1, port, Closer::Guest), Err(EINVAL));
        let bound = topology::bind_interdomain(&world, 2, 1, port, &mut bucket());
        assert_eq!(bound, Err(EINVAL));
        let nothing = world.on(1, |p| p.deliver_interdomain(port, 2, 1));
        assert_eq!(nothing, Delivery::None);
        let told = world.on(1, |p| p.peer_closed(port, 2, 1));
        assert_eq!(told, Delivery::None);
        world.on(1, |p| p.cancel_bind(port));
        assert_eq!(world.on(1, |p| p.accept_bind(port, 2, 1)), Err(EINVAL));
        let completed = world.on(1, |p| p.complete_bind(port, 2, 1));
        assert_eq!(completed, Err(EINVAL));
        let from_xen = world.on(1, |p| p.send_from_xen(port));
        assert_eq!(from_xen, Send::Local(Delivery::None));
    }
    // The array is longer than the table, and later the other way round.
    for _ in 0..3000 {
        world.unbound(1, 2);
    }
    assert_eq!(world.on(1, |p| p.unmask(2999)), Ok(Delivery::None));
    assert!(world.on(1, |p| p.dump(2999).all(|info| info.masked && !info.pending)));
}

/// XSA-338: a port that has been valid stays valid, also after a reset.
#[test]
fn ev_3_valid_ports_stay_valid() {
    let world = World::with_max_port(2, 10_000);
    world.fifo(1, 5);
    for _ in 0..5000 {
        world.unbound(1, 2);
    }
    topology::reset(&world, 1, false, || false).unwrap();
    // Back at 4096 ports; the ones above can still be asked about, and bound to nothing.
    assert_eq!(world.on(1, |p| p.status(5000)), Ok((Status::Closed, 0)));
    assert_eq!(world.on(1, |p| p.send(5000)), Err(EINVAL));
    assert_eq!(world.on(1, |p| p.unmask(5000)), Ok(Delivery::None));
    for port in 1..4096 {
        let next = world.on(1, |p| p.alloc_unbound(2, &mut Reservation::none()));
        assert_eq!(next, Ok(port));
    }
    let full = world.on(1, |p| p.alloc_unbound(2, &mut bucket()));
    assert_eq!(full, Err(ENOSPC));
}

/// XSA-342: a 32-bit guest's bitmaps hold 1024 ports.
#[test]
fn ev_4_a_32_bit_guest_has_1024_ports() {
    let page = SharedPage::zeroed().unwrap();
    let mut ports = Ports::new(1, Kind::Guest(page.clone()), 1, 4095).unwrap();
    for _ in 1..1500 {
        ports.alloc_unbound(0, &mut bucket()).unwrap();
    }
    let ipi = ports.bind_ipi(0, &mut bucket()).unwrap();
    assert_eq!(ipi, 1500);
    // The width is latched when the port exists already: it stays, and touches nothing.
    ports.set_width(Width::Bits32);
    assert_eq!(ports.alloc_unbound(0, &mut bucket()), Err(ENOSPC));
    let before: Vec<_> = (0..4096)
        .step_by(4)
        .map(|at| page.word32(at).unwrap().load(SeqCst))
        .collect();
    assert_eq!(local(&mut ports, ipi), Delivery::None);
    assert_eq!(ports.unmask(ipi), Ok(Delivery::None));
    assert_eq!(ports.any_pending(&[ipi]), Ok(false));
    ports.close(ipi, Closer::Guest).unwrap();
    for (at, old) in (0..4096).step_by(4).zip(before) {
        assert_eq!(page.word32(at).unwrap().load(SeqCst), old, "{at}");
    }
    ports.close(7, Closer::Guest).unwrap();
    assert_eq!(ports.alloc_unbound(0, &mut bucket()), Ok(7));
}

/// XSA-343: reset against everything that uses the ports meanwhile.
#[test]
fn ev_5_reset_races_with_senders_and_binders() {
    let world = World::new(2);
    let _guest = world.fifo(1, 1);
    let pairs: Vec<_> = (0..100).map(|_| world.connect(1, 2)).collect();
    let virq = world.on(1, |p| p.bind_virq(3, 0, &mut bucket())).unwrap();

    let mut round = 0;
    let result = topology::reset(&world, 1, false, || {
        for (a, b) in &pairs {
            // From the half that is closed, the half that is not, and back.
            let _ = topology::send(&world, 1, *a);
            topology::send(&world, 2, *b).unwrap();
            let _ = world.on(1, |p| p.unmask(*a)).unwrap();
        }
        topology::raise_virq(&world, 1, 3, 0).unwrap();
        let _ = world.on(1, |p| p.set_priority(virq, 1));
        round += 1;
        false
    });
    assert_eq!(result, Ok(()));
    assert_eq!(round, 100);
    for (_, b) in pairs {
        assert_eq!(world.on(2, |p| p.status(b)), Ok((Status::Unbound(1), 0)));
        topology::send(&world, 2, b).unwrap();
    }
    assert_eq!(world.on(1, |p| p.set_virq_pending(3, 0)), Delivery::None);
    let page = world.domain(1).shared_info.clone();
    let guest = TwoLevelGuest {
        page,
        width: Width::Bits64,
    };
    assert!((0..4096).all(|port| !guest.pending(port)));
}

/// XSA-344: closing all ports takes long, and must give way.
#[test]
fn ev_6_closing_many_ports_is_done_in_small_steps() {
    let page = SharedPage::zeroed().unwrap();
    let mut ports = Ports::new(1, Kind::Guest(page), 1, 4095).unwrap();
    for _ in 1..4096 {
        ports.alloc_unbound(0, &mut bucket()).unwrap();
    }
    // All but the last are closed again: most of what is looked at is free.
    for port in 1..4095 {
        ports.close(port, Closer::Guest).unwrap();
    }
    ports.begin_destroy();
    let mut steps = 0;
    while ports.step(Closer::Xen) != Step::Done {
        steps += 1;
        assert_eq!(ports.dump(0).count(), 1);
    }
    // 64 ports each, and the last one ends it.
    assert_eq!(steps, 63);
    assert_eq!(ports.dump(0).count(), 0);
}

/// XSA-344: the destruction goes on where it was interrupted.
#[test]
fn ev_6_destruction_is_resumed_not_begun_anew() {
    let world = World::new(2);
    for _ in 0..1000 {
        world.connect(1, 2);
    }
    let mut calls = 0;
    while let Err(error) = topology::destroy(&world, 1, || true) {
        assert_eq!(error, ERESTART);
        calls += 1;
        assert_eq!(world.on(1, |p| p.dump(0).count()), 1000 - calls);
    }
    assert_eq!(calls, 1000);
}

/// XSA-340, 358, 359: everything is in place before what announces it. Here the part that one
/// thread can show: no state in between is visible to a guest. The orders themselves are loom's.
#[test]
fn ev_7_a_refused_switch_to_fifo_changes_nothing() {
    let page = SharedPage::zeroed().unwrap();
    let mut ports = Ports::new(1, Kind::Guest(page.clone()), 2, 4095).unwrap();
    let port = ports.bind_ipi(0, &mut bucket()).unwrap();
    let guest = TwoLevelGuest {
        page,
        width: Width::Bits64,
    };
    assert_eq!(kicked(&local(&mut ports, port)), [0]);
    let control = SharedPage::zeroed().unwrap();
    let mut small = FifoReservation::new(1).unwrap();
    assert_eq!(ports.init_control(0, control, 0, &mut small), Err(ENOMEM));
    assert!(guest.pending(port));
    assert_eq!(ports.expand_array(masked_page()), Err(EOPNOTSUPP));
    assert_eq!(guest.handle(&ports, 0).len(), 1);
}

/// XSA-496: an error of `bind_virq` undid a binding that it had not made.
#[test]
fn ev_8_a_refused_bind_virq_leaves_the_binding_alone() {
    let world = World::with_max_port(1, 2);
    let bind = |virq, vcpu| world.on(1, |p| p.bind_virq(virq, vcpu, &mut bucket()));
    let timer = bind(0, 1).unwrap();
    let global = bind(3, 0).unwrap();
    assert_eq!(bind(0, 1), Err(EEXIST));
    assert_eq!(bind(3, 0), Err(EEXIST));
    assert_eq!(bind(3, 1), Err(EINVAL));
    assert_eq!(bind(0, 2), Err(ENOSPC));
    assert_eq!(bind(1, 1), Err(ENOSPC));
    assert_eq!(world.on(1, |p| p.status(timer)), Ok((Status::Virq(0), 1)));
    assert_eq!(kicked(&world.on(1, |p| p.set_virq_pending(0, 1))), [1]);
    assert_eq!(kicked(&world.on(1, |p| p.set_virq_pending(3, 0))), [0]);
    assert_eq!(world.on(1, |p| p.set_virq_pending(0, 2)), Delivery::None);
    assert_eq!(world.on(1, |p| p.set_virq_pending(1, 1)), Delivery::None);
    topology::close(&world, 1, global, Closer::Guest).unwrap();
    assert_eq!(bind(0, 2), Ok(global));
}

/// XSA-505: the array is expanded after a reset has taken it away.
#[test]
fn ev_9_expand_after_reset_is_refused() {
    let world = World::new(1);
    let _guest = world.fifo(1, 1);
    // The caller has looked up the frame when the reset comes.
    let looked_up = masked_page();
    topology::reset(&world, 1, false, || false).unwrap();
    let late = world.on(1, |p| p.expand_array(looked_up));
    assert_eq!(late, Err(EOPNOTSUPP));
    // And the ABI can be entered again, with nothing left of before.
    let mut guest = world.fifo(1, 1);
    let port = world.on(1, |p| p.bind_ipi(0, &mut bucket())).unwrap();
    assert!(guest.try_unmask(port));
    assert_eq!(kicked(&world.on(1, |p| local(p, port))), [0]);
    assert_eq!(world.on(1, |p| guest.handle(p, 0)), [port]);
}

/// XSA-343: an event that was pending at the switch to FIFO must not block the port after the way
/// back.
#[test]
fn ev_10_the_bitmap_is_clean_after_fifo_and_back() {
    let world = World::new(1);
    let port = world.on(1, |p| p.bind_ipi(0, &mut bucket())).unwrap();
    assert_eq!(kicked(&world.on(1, |p| local(p, port))), [0]);
    let _guest = world.fifo(1, 1);
    topology::reset(&world, 1, false, || false).unwrap();
    // The guest starts over, and has served its old upcall.
    let guest = TwoLevelGuest {
        page: world.domain(1).shared_info.clone(),
        width: Width::Bits64,
    };
    world.on(1, |p| guest.handle(p, 0));
    assert_eq!(world.on(1, |p| p.bind_ipi(0, &mut bucket())), Ok(port));
    assert_eq!(kicked(&world.on(1, |p| local(p, port))), [0]);
}

/// As above, for the selectors: registering a `vcpu_info` fills them, and a FIFO guest never clears
/// them.
#[test]
fn ev_10_the_selectors_are_clean_after_fifo_and_back() {
    let world = World::new(1);
    let mut fifo = world.fifo(1, 1);
    let info = SharedPage::zeroed().unwrap();
    let place = VcpuInfo::new(info.clone(), 0, Width::Bits64).unwrap();
    let registered = world.on(1, |p| p.register_vcpu_info(0, place, &epoch()));
    assert_eq!(kicked(&registered.unwrap()), [0]);
    assert!(world.on(1, |p| fifo.handle(p, 0)).is_empty());
    topology::reset(&world, 1, false, || false).unwrap();
    let port = world.on(1, |p| p.bind_ipi(0, &mut bucket())).unwrap();
    assert_eq!(kicked(&world.on(1, |p| local(p, port))), [0]);
    assert_eq!(info.word64(8).unwrap().load(SeqCst), 1);
}

/// XSA-327: a `vcpu_info` that is not aligned; and one that becomes so when the width changes.
#[test]
fn rs_2_vcpu_info_is_used_in_aligned_words_only() {
    let page = SharedPage::zeroed().unwrap();
    let mut ports = Ports::new(1, Kind::Guest(page), 1, 1023).unwrap();
    let port = ports.bind_ipi(0, &mut bucket()).unwrap();
    ports.set_width(Width::Bits32);
    let place = VcpuInfo::new(SharedPage::zeroed().unwrap(), 4, Width::Bits32).unwrap();
    let info = place.page().clone();
    let _ = ports.register_vcpu_info(0, place, &epoch()).unwrap();
    ports.set_width(Width::Bits64);
    info.word32(4).unwrap().store(0, SeqCst);
    info.word32(12).unwrap().store(0, SeqCst);
    assert_eq!(kicked(&local(&mut ports, port)), [0]);
    assert_eq!(info.word32(12).unwrap().load(SeqCst), 1);
}
