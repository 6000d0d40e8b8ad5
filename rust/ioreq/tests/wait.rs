// SPDX-License-Identifier: GPL-2.0-only

//! What a vCPU waits for, and what it is answered.

use super::super::{
    Buffering,
    Kind,
    Notify,
    Progress,
    Request,
    Servers,
    Transfer,
    Violation, //
};
use super::world::{
    answer,
    begin,
    server,
    set_state,
    state,
    Told,
    BUFFERED_PORT,
    DOM0,
    PORT, //
};
use crate::abi::dm_op::{
    IO_RANGE_MEMORY,
    IO_RANGE_PORT, //
};
use crate::sys::atomic::Ordering;
use crate::sys::page::SharedPage;

const VCPU: u32 = 2;
const READ: Request = Request::read(Kind::Port, 0x3f8, 1);
const WRITE: Request = Request::write(Kind::Port, 0x3f8, 1, 0x41);

/// A server with a port, and a vCPU.
struct World {
    servers: Servers,
    id: u16,
    page: SharedPage,
    io: Transfer,
}

impl World {
    fn new() -> Self {
        let mut servers = Servers::new();
        let (id, page) = server(&mut servers, 1, Buffering::Atomic);
        servers
            .map(id, DOM0, IO_RANGE_PORT, (0x3f8, 0x3ff), false)
            .unwrap();
        Self {
            servers,
            id,
            page,
            io: Transfer::new(),
        }
    }

    fn access(&mut self, request: &Request) -> Progress {
        self.io
            .access(&mut self.servers, VCPU, request, false)
            .unwrap()
    }

    fn recheck(&mut self) -> Progress {
        self.io.recheck(&mut self.servers, VCPU).unwrap()
    }

    /// Makes another server for the same port, as a new device model does.
    fn again(&mut self) -> SharedPage {
        let (id, page) = server(&mut self.servers, 2, Buffering::Off);
        self.servers
            .map(id, DOM0, IO_RANGE_PORT, (0x3f8, 0x3ff), false)
            .unwrap();
        page
    }
}

#[test]
fn an_access_is_sent_answered_and_replayed_once() {
    let mut w = World::new();
    assert_eq!(w.io.replay(&READ), None);
    assert_eq!(w.access(&READ), Progress::Waits(Some(PORT + VCPU)));
    assert!(!w.io.has_moved(VCPU) && !w.io.is_idle());
    assert_eq!(w.io.poll(VCPU), Ok(false));
    let word = |offset| w.page.word32(VCPU as usize * 32 + offset).unwrap();
    assert_eq!(word(16).load(Ordering::SeqCst), 1, "one repetition");
    assert_eq!(
        word(28).load(Ordering::SeqCst) >> 16 & 0x10,
        0,
        "a value and no pointer"
    );
    let told = begin(&w.page, VCPU).unwrap();
    let expected = Told {
        kind: 0,
        addr: 0x3f8,
        size: 1,
        data: 0,
        read: true,
    };
    assert_eq!(told, expected);
    assert!(w.io.has_moved(VCPU));
    assert_eq!(w.io.poll(VCPU), Ok(false));
    assert!(!w.io.has_moved(VCPU));
    answer(&w.page, VCPU, 0x1234);
    assert_eq!(w.io.poll(VCPU), Ok(true));
    assert_eq!(state(&w.page, VCPU), 0, "the slot is free again");
    assert!(w.io.is_idle());
    w.io.rewind();
    assert_eq!(w.io.replay(&READ), Some(0x34), "as much as was asked for");
    assert_eq!(w.io.replay(&READ), None, "once");
    w.io.commit();
    w.io.rewind();
    assert_eq!(w.io.replay(&READ), None, "and not for the next instruction");
}

/// I-8.
#[test]
fn the_answer_to_a_write_is_not_looked_at() {
    let mut w = World::new();
    w.access(&WRITE);
    assert_eq!(begin(&w.page, VCPU).unwrap().data, 0x41);
    answer(&w.page, VCPU, 0xbad);
    assert_eq!(w.io.poll(VCPU), Ok(true));
    w.io.rewind();
    assert_eq!(w.io.replay(&WRITE), Some(0));
}

/// f7039ee41b.
#[test]
fn io_8_i_5_a_request_whose_server_is_destroyed_ends_with_all_ones_and_is_not_repeated() {
    for begun in [false, true] {
        for request in [READ, WRITE] {
            let mut w = World::new();
            w.access(&request);
            if begun {
                begin(&w.page, VCPU).unwrap();
            }
            assert_eq!(w.recheck(), Progress::Waits(None), "the server is there");
            let _ = w.servers.remove(w.id, DOM0).unwrap();
            assert_eq!(w.recheck(), Progress::Nobody);
            assert!(w.io.is_idle());
            w.io.rewind();
            let expected = if request.read { 0xff } else { 0 };
            assert_eq!(w.io.replay(&request), Some(expected));
            assert_eq!(
                state(&w.page, VCPU),
                0,
                "a model that comes late finds nothing"
            );
        }
    }
}

/// The answer that came before the server went counts.
#[test]
fn an_answer_outlives_its_server() {
    let mut w = World::new();
    w.access(&READ);
    begin(&w.page, VCPU);
    answer(&w.page, VCPU, 0x55);
    let _ = w.servers.remove(w.id, DOM0).unwrap();
    assert_eq!(w.io.poll(VCPU), Ok(true));
    w.io.rewind();
    assert_eq!(w.io.replay(&READ), Some(0x55));
}

#[test]
fn i_9_what_a_dead_model_had_not_begun_waits_for_the_next_one() {
    let mut w = World::new();
    w.access(&WRITE);
    assert!(w.servers.abandon(|server| server.owner() == 1).is_some());
    assert_eq!(w.recheck(), Progress::Waits(None));
    assert!(!w.io.is_in_flight(), "nothing has begun to happen");
    assert_eq!(w.recheck(), Progress::Waits(None));
    let page = w.again();
    assert_eq!(w.recheck(), Progress::Waits(Some(PORT + VCPU)));
    assert_eq!(begin(&page, VCPU).unwrap().data, 0x41);
    answer(&page, VCPU, 0);
    assert_eq!(w.io.poll(VCPU), Ok(true));
}

/// b7e0d89788: what has side effects is not done twice.
#[test]
fn io_9_i_9_what_a_dead_model_had_begun_is_not_repeated() {
    let mut w = World::new();
    w.access(&READ);
    begin(&w.page, VCPU).unwrap();
    assert!(w.servers.abandon(|server| server.owner() == 1).is_some());
    assert_eq!(w.recheck(), Progress::Nobody);
    w.io.rewind();
    assert_eq!(w.io.replay(&READ), Some(0xff));
    w.io.commit();
    assert_eq!(
        w.access(&READ),
        Progress::Waits(None),
        "the next access waits"
    );
    let page = w.again();
    assert_eq!(w.recheck(), Progress::Waits(Some(PORT + VCPU)));
    assert!(begin(&page, VCPU).is_some());
}

#[test]
fn ranges_are_held_for_dead_models_only() {
    let mut w = World::new();
    assert!(w.servers.abandon(|server| server.owner() == 2).is_none());
    assert!(w.servers.any());
    let _ = w.servers.remove(w.id, DOM0).unwrap();
    assert!(!w.servers.any());
    assert_eq!(w.access(&READ), Progress::Nobody);
    // Nine models die, one after the other: there are only eight places.
    for port in 0..9 {
        let (id, _) = server(&mut w.servers, 3, Buffering::Off);
        w.servers
            .map(id, DOM0, IO_RANGE_PORT, (port, port), false)
            .unwrap();
        assert!(w.servers.abandon(|server| server.owner() == 3).is_some());
    }
    for port in 0..9 {
        let mut io = Transfer::new();
        let read = Request::read(Kind::Port, port, 1);
        let progress = io.access(&mut w.servers, VCPU, &read, false).unwrap();
        assert_eq!(progress, Progress::Waits(None));
    }
    // A new one claims what it serves, and gives it back in order.
    let (id, _) = server(&mut w.servers, 3, Buffering::Off);
    w.servers
        .map(id, DOM0, IO_RANGE_PORT, (0, 7), false)
        .unwrap();
    let _ = w.servers.remove(id, DOM0).unwrap();
    let mut io = Transfer::new();
    let read = |port| Request::read(Kind::Port, port, 1);
    assert_eq!(
        io.access(&mut w.servers, VCPU, &read(7), false),
        Ok(Progress::Nobody)
    );
    assert_eq!(
        io.access(&mut w.servers, VCPU, &read(8), false),
        Ok(Progress::Waits(None))
    );
    drop(w.servers.release_held());
    assert!(!w.servers.any());
    assert_eq!(io.recheck(&mut w.servers, VCPU), Ok(Progress::Nobody));
}

/// XSA-262.
#[test]
fn io_2_a_model_that_goes_backwards_is_found_out_and_not_waited_for() {
    let mut w = World::new();
    w.access(&READ);
    begin(&w.page, VCPU);
    assert_eq!(w.io.poll(VCPU), Ok(false));
    set_state(&w.page, VCPU, 1);
    assert_eq!(w.io.poll(VCPU), Err(Violation { from: 2, to: 1 }));
    assert!(w.io.is_idle());
    set_state(&w.page, VCPU, 3);
    let again = w.io.access(&mut w.servers, VCPU, &READ, false);
    assert_eq!(again, Err(Violation { from: 0, to: 3 }));
}

/// da20c93108.
#[test]
fn io_10_i_6_a_message_waits_for_all_servers() {
    let mut w = World::new();
    let (_, second) = server(&mut w.servers, 2, Buffering::Off);
    let (off, third) = server(&mut w.servers, 3, Buffering::Off);
    w.servers.get(off, DOM0).unwrap().set_enabled(false);
    let message = Request::invalidate();
    let ports = w.io.message(&w.servers, VCPU, &message).unwrap();
    let told: Vec<_> = ports.into_iter().flatten().collect();
    assert_eq!(told, [PORT + VCPU; 2]);
    assert_eq!(begin(&w.page, VCPU).unwrap().kind, 8);
    answer(&w.page, VCPU, 0);
    assert_eq!(w.io.poll(VCPU), Ok(false), "the second has not answered");
    assert_eq!(state(&third, VCPU), 0, "one that is off is not asked");
    assert_eq!(w.recheck(), Progress::Waits(None));
    assert!(begin(&second, VCPU).is_some());
    answer(&second, VCPU, 0);
    assert_eq!(w.io.poll(VCPU), Ok(true));
    assert!(w.io.is_idle() && !w.io.has_answers());
}

#[test]
fn i_6_a_message_does_not_wait_for_a_server_that_goes() {
    let mut w = World::new();
    let (second, page) = server(&mut w.servers, 2, Buffering::Off);
    w.io.message(&w.servers, VCPU, &Request::invalidate())
        .unwrap();
    begin(&page, VCPU);
    let _ = w.servers.remove(second, DOM0).unwrap();
    assert_eq!(w.recheck(), Progress::Waits(None));
    answer(&w.page, VCPU, 0);
    assert_eq!(w.io.poll(VCPU), Ok(true));
    // With nobody to tell there is nothing to wait for.
    let _ = w.servers.remove(w.id, DOM0).unwrap();
    w.io.message(&w.servers, VCPU, &Request::invalidate())
        .unwrap();
    assert!(w.io.is_idle());
}

/// An instruction that accesses three times is given up three times, and makes each access once.
#[test]
fn an_instruction_with_several_accesses_makes_each_of_them_once() {
    let mut w = World::new();
    let all = [
        Request::read(Kind::Port, 0x3f8, 1),
        Request::read(Kind::Port, 0x3f8, 1),
        Request::write(Kind::Port, 0x3f9, 1, 3),
    ];
    let mut served = 0;
    'instruction: loop {
        w.io.rewind();
        let mut values = vec![];
        for request in &all {
            match w.io.replay(request) {
                Some(value) => values.push(value),
                None => {
                    assert!(matches!(w.access(request), Progress::Waits(Some(_))));
                    assert!(begin(&w.page, VCPU).is_some());
                    served += 1;
                    answer(&w.page, VCPU, 10 + served);
                    assert_eq!(w.io.poll(VCPU), Ok(true));
                    continue 'instruction;
                }
            }
        }
        assert_eq!(values, [11, 12, 0]);
        break;
    }
    assert_eq!(served, 3);
}

#[test]
fn an_instruction_that_has_changed_is_not_given_old_answers() {
    let mut w = World::new();
    w.access(&READ);
    begin(&w.page, VCPU);
    answer(&w.page, VCPU, 1);
    w.io.poll(VCPU).unwrap();
    w.io.rewind();
    let other = Request::read(Kind::Port, 0x3f9, 1);
    assert_eq!(w.io.replay(&other), None);
    assert_eq!(w.access(&other), Progress::Waits(Some(PORT + VCPU)));
}

#[test]
fn the_answer_to_an_instruction_that_is_gone_is_dropped() {
    let mut w = World::new();
    w.access(&READ);
    begin(&w.page, VCPU);
    w.io.forget();
    assert!(!w.io.is_idle(), "the slot is not free");
    answer(&w.page, VCPU, 1);
    assert_eq!(w.io.poll(VCPU), Ok(true));
    w.io.rewind();
    assert_eq!(w.io.replay(&READ), None);
}

#[test]
fn writes_to_a_buffered_range_do_not_wait_and_reads_do() {
    let mut w = World::new();
    w.servers
        .map(w.id, DOM0, IO_RANGE_MEMORY, (0xa_0000, 0xa_ffff), true)
        .unwrap();
    let page = w.servers.get(w.id, DOM0).unwrap().frame(0).unwrap();
    let write = Request::write(Kind::Memory, 0xa_0010, 4, 7);
    let told = Progress::Buffered(Notify(Some(BUFFERED_PORT)));
    assert_eq!(w.access(&write), told);
    assert!(w.io.is_idle());
    assert_eq!(page.word32(4).unwrap().load(Ordering::SeqCst), 1);
    w.io.rewind();
    assert_eq!(
        w.io.replay(&write),
        Some(0),
        "not twice if the instruction is begun again"
    );
    w.io.commit();
    let read = Request::read(Kind::Memory, 0xa_0010, 4);
    assert!(matches!(w.access(&read), Progress::Waits(Some(_))));
}

/// 2e0b545b84: a buffer without room is not a success; the request is sent and waited for.
#[test]
fn io_14_i_7_a_write_that_finds_no_room_is_waited_for() {
    let mut w = World::new();
    w.servers
        .map(w.id, DOM0, IO_RANGE_PORT, (0x80, 0x80), true)
        .unwrap();
    let write = Request::write(Kind::Port, 0x80, 1, 7);
    for _ in 0..511 {
        assert!(matches!(w.access(&write), Progress::Buffered(_)));
        w.io.commit();
    }
    assert_eq!(w.access(&write), Progress::Waits(Some(PORT + VCPU)));
    assert_eq!(begin(&w.page, VCPU).unwrap().data, 7);
}
