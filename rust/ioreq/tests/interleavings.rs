// SPDX-License-Identifier: GPL-2.0-only

//! Every order in which a vCPU and a device model can touch the same words.

use loom::sync::atomic::{
    fence,
    AtomicU32,
    AtomicU64,
    AtomicU8,
    Ordering, //
};
use loom::sync::Arc;
use loom::thread;

use super::super::request::{
    Kind,
    Request, //
};
use super::super::ring::{
    Pushed,
    Ring,
    Words, //
};
use super::super::slot::{
    Seen,
    Slot, //
};
use crate::interleave::check;

/// The words of one slot.
struct Place {
    addr: AtomicU64,
    data: AtomicU64,
    count: AtomicU32,
    size: AtomicU32,
    port: AtomicU32,
    state: AtomicU8,
    kind: AtomicU8,
}

impl Place {
    fn new() -> Self {
        Self {
            addr: AtomicU64::new(0),
            data: AtomicU64::new(0),
            count: AtomicU32::new(0),
            size: AtomicU32::new(0),
            port: AtomicU32::new(0),
            state: AtomicU8::new(0),
            kind: AtomicU8::new(0),
        }
    }

    fn slot(&self) -> Slot<'_> {
        Slot {
            addr: &self.addr,
            data: &self.data,
            count: &self.count,
            size: &self.size,
            port: &self.port,
            state: &self.state,
            kind: &self.kind,
        }
    }
}

/// What a model does with one request: answers with its address and ten times its data.
fn serve(place: &Place) -> bool {
    if place.state.load(Ordering::Acquire) & 0xf != 1 {
        return false;
    }
    let addr = place.addr.load(Ordering::Relaxed);
    let data = place.data.load(Ordering::Relaxed);
    let direction = place.state.load(Ordering::Relaxed) & 0x20;
    place.state.store(2 | direction, Ordering::Relaxed);
    place.data.store(addr + 10 * data, Ordering::Relaxed);
    place.state.store(3 | direction, Ordering::Release);
    true
}

/// Two requests, one after the other: each is seen whole, and each answer is its own.
#[test]
fn a_request_and_its_answer_are_seen_whole() {
    check(|| {
        let place = Arc::new(Place::new());
        let model = {
            let place = place.clone();
            thread::spawn(move || {
                for _ in 0..2 {
                    while !serve(&place) {
                        thread::yield_now();
                    }
                }
            })
        };
        for number in 1..3 {
            let request = Request::write(Kind::Port, 0x100 * number, 4, number);
            let mut sent = place.slot().send(&request).unwrap();
            let answer = loop {
                match place.slot().poll(&mut sent).unwrap() {
                    Seen::Answered(answer) => break answer,
                    Seen::Waiting => thread::yield_now(),
                }
            };
            assert_eq!(answer, 0x100 * number + 10 * number);
        }
        model.join().unwrap();
    });
}

/// I-9: of a vCPU that takes its request back and a model that begins it, one is first; what was taken back as not
/// begun was not begun.
#[test]
fn a_request_is_begun_or_taken_back() {
    check(|| {
        let place = Arc::new(Place::new());
        let request = Request::read(Kind::Port, 5, 1);
        place.slot().send(&request).unwrap();
        let model = {
            let place = place.clone();
            thread::spawn(move || {
                // A model that begins requests in one step.
                place
                    .state
                    .compare_exchange(0x21, 0x22, Ordering::AcqRel, Ordering::Acquire)
                    .is_ok()
            })
        };
        let taken = place.slot().take_back();
        let begun = model.join().unwrap();
        assert!(taken != begun);
    });
}

/// A buffer of which only the slots that the test reaches exist.
struct Buffer {
    read: AtomicU32,
    write: AtomicU32,
    slots: [AtomicU64; 3],
}

impl Words for Buffer {
    fn read_pointer(&self) -> Option<&AtomicU32> {
        Some(&self.read)
    }
    fn write_pointer(&self) -> Option<&AtomicU32> {
        Some(&self.write)
    }
    fn pointers(&self) -> Option<&AtomicU64> {
        None
    }
    fn slot(&self, index: u32) -> Option<&AtomicU64> {
        self.slots.get(index as usize)
    }
}

/// Whoever sees the pointer sees the slots before it, both of a request that takes two.
#[test]
fn a_buffered_request_is_seen_whole() {
    check(|| {
        let buffer = Arc::new(Buffer {
            read: AtomicU32::new(0),
            write: AtomicU32::new(0),
            slots: [AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0)],
        });
        let vcpu = {
            let buffer = buffer.clone();
            thread::spawn(move || {
                let mut ring = Ring::NEW;
                for request in [
                    Request::write(Kind::Port, 7, 1, 9),
                    Request::write(Kind::Port, 8, 8, 0x11_0000_0022),
                ] {
                    assert_eq!(ring.push(&*buffer, false, &request), Pushed::Tell);
                }
            })
        };
        let written = buffer.write.load(Ordering::Acquire);
        assert!(matches!(written, 0 | 1 | 3));
        for at in 0..written {
            let word = buffer.slots[at as usize].load(Ordering::Relaxed);
            assert_eq!(word >> 32, [9, 0x22, 0x11][at as usize]);
        }
        buffer.read.store(written, Ordering::Release);
        vcpu.join().unwrap();
    });
}

/// Goal P4: a model that takes what there is and then sleeps is told of what comes after.
#[test]
fn a_model_that_sleeps_is_told_of_a_buffered_request() {
    check(|| {
        let buffer = Arc::new(Buffer {
            read: AtomicU32::new(0),
            write: AtomicU32::new(0),
            slots: [AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0)],
        });
        let mut ring = Ring::NEW;
        let request = Request::write(Kind::Port, 7, 1, 9);
        assert_eq!(ring.push(&*buffer, true, &request), Pushed::Tell);
        let model = {
            let buffer = buffer.clone();
            thread::spawn(move || {
                buffer.read.fetch_add(1, Ordering::SeqCst);
                // What a locked instruction is.
                fence(Ordering::SeqCst);
                buffer.write.load(Ordering::Acquire) == 1
            })
        };
        let pushed = ring.push(&*buffer, true, &request);
        let sleeps = model.join().unwrap();
        assert!(!sleeps || pushed == Pushed::Tell);
    });
}
