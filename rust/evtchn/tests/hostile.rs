// SPDX-License-Identifier: GPL-2.0-only

//! Guests that write whatever they like into everything they share.

use super::world::{
    bucket,
    epoch,
    World,
    VCPUS, //
};
use crate::evtchn::channel::QueueId;
use crate::evtchn::link::{
    self,
    Memory,
    Tails, //
};
use crate::evtchn::word::Word;
use crate::evtchn::{
    topology,
    Closer,
    FifoReservation,
    VcpuInfo,
    Width, //
};
use crate::sys::page::SharedPage;
use std::cell::Cell;
use std::sync::atomic::{
    AtomicBool,
    Ordering::SeqCst, //
};

/// A small generator of numbers, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    fn below(&mut self, limit: u64) -> u32 {
        (self.next() % limit) as u32
    }
}

fn scribble(pages: &[SharedPage], random: &mut Random) {
    let page = &pages[random.below(pages.len() as u64) as usize];
    // Mostly where the channels in use have their words.
    let at = match random.below(4) {
        0 => random.below(1024) as usize * 4,
        _ => random.below(80) as usize * 4,
    };
    let word = page.word32(at).unwrap();
    match random.below(5) {
        0 => word.store(random.next() as u32, SeqCst),
        1 => word.store(0, SeqCst),
        2 => word.store(u32::MAX, SeqCst),
        3 => drop(word.fetch_or(1 << random.below(32), SeqCst)),
        _ => drop(word.fetch_and(!(1 << random.below(32)), SeqCst)),
    }
}

/// Random operations of two guests, one of each ABI, while `rounds` last.
fn operate(world: &World, random: &mut Random, rounds: usize, mut between: impl FnMut()) {
    for _ in 0..rounds {
        between();
        let domid = 1 + random.below(2) as u16;
        let other = 3 - domid;
        let port = random.below(60);
        let vcpu = random.below(VCPUS as u64);
        match random.below(16) {
            0 => drop(world.on(domid, |p| p.alloc_unbound(other, &mut bucket()))),
            1 => drop(topology::bind_interdomain(
                world,
                domid,
                other,
                port,
                &mut bucket(),
            )),
            2 => drop(world.on(domid, |p| p.bind_ipi(vcpu, &mut bucket()))),
            3 => drop(topology::close(world, domid, port, Closer::Guest)),
            4 => drop(world.on(domid, |p| p.set_priority(port, random.below(17)))),
            5 => drop(world.on(domid, |p| p.bind_vcpu(port, vcpu))),
            6 => drop(world.on(domid, |p| p.any_pending(&[port]))),
            7 => drop(world.on(domid, |p| p.dump(0).count())),
            8 | 9 => drop(topology::unmask(world, domid, port)),
            10 if random.below(50) == 0 => drop(topology::reset(world, domid, false, || false)),
            _ => drop(topology::send(world, domid, port)),
        }
        for domid in 0..3 {
            world.taken(domid);
        }
    }
}

fn hostile_world() -> (World, Vec<SharedPage>) {
    let world = World::new(2);
    let fifo = world.fifo(2, 1);
    let mut pages = vec![
        world.domain(1).shared_info.clone(),
        world.domain(2).shared_info.clone(),
    ];
    pages.extend(fifo.array);
    pages.extend(fifo.controls);
    for domid in 1..3 {
        let page = SharedPage::zeroed().unwrap();
        let place = VcpuInfo::new(page.clone(), 0, Width::Bits64).unwrap();
        let registered = world.on(domid, |p| p.register_vcpu_info(1, place, &epoch()));
        assert!(registered.is_ok());
        pages.push(page);
    }
    (world, pages)
}

/// After all that, the hypervisor's side is consistent and can be taken down.
fn take_down(world: &World) {
    for domid in 1..3 {
        let bound = world.on(domid, |p| p.dump(0).count());
        let active = world.on(domid, |p| p.active as usize);
        assert_eq!(bound, active);
        topology::destroy(world, domid, || false).unwrap();
        assert_eq!(world.on(domid, |p| (p.dump(0).count(), p.active)), (0, 0));
    }
}

#[test]
fn words_that_change_between_operations_harm_only_their_guest() {
    for seed in 1..20 {
        let (world, pages) = hostile_world();
        let mut noise = Random(seed * 7919);
        operate(&world, &mut Random(seed), 4000, || {
            for _ in 0..8 {
                scribble(&pages, &mut noise);
            }
        });
        take_down(&world);
    }
}

#[test]
fn words_that_change_at_any_time_harm_only_their_guest() {
    let (world, pages) = hostile_world();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let scribbler = scope.spawn(|| {
            let mut random = Random(4711);
            while !stop.load(SeqCst) {
                scribble(&pages, &mut random);
            }
        });
        operate(&world, &mut Random(42), 150_000, || ());
        stop.store(true, SeqCst);
        scribbler.join().unwrap();
    });
    take_down(&world);
}

#[test]
fn a_guest_that_shares_one_page_for_everything_confuses_only_itself() {
    let world = World::new(2);
    let page = SharedPage::zeroed().unwrap();
    world.on(2, |ports| {
        let mut reservation = FifoReservation::new(VCPUS).unwrap();
        for vcpu in 0..VCPUS as u32 {
            let offset = vcpu * 8;
            ports
                .init_control(vcpu, page.clone(), offset, &mut reservation)
                .unwrap();
            let place = VcpuInfo::new(page.clone(), 8 * vcpu, Width::Bits64).unwrap();
            let _ = ports.register_vcpu_info(vcpu, place, &epoch()).unwrap();
        }
        for _ in 0..128 {
            let _ = ports.expand_array(page.clone()).unwrap();
        }
    });
    operate(&world, &mut Random(3), 20_000, || ());
    take_down(&world);
}

/// A word that never does what is asked, and counts how often that happens.
struct Stubborn {
    asked: Cell<u32>,
}

impl Stubborn {
    fn word(&self) -> u32 {
        self.asked.set(self.asked.get() + 1);
        // Pending, linked; the rest changes all the time.
        0b101 << 29 | self.asked.get() & 0xffff
    }
}

impl Word for Stubborn {
    fn get(&self) -> u32 {
        self.word()
    }
    fn put(&self, _: u32) {
        self.word();
    }
    fn set(&self, bits: u32) -> u32 {
        // Each event is willing to be queued.
        self.word() & !bits
    }
    fn clear(&self, _: u32) -> u32 {
        self.word()
    }
    fn replace(&self, _: u32, _: u32) -> Result<(), u32> {
        Err(self.word())
    }
}

struct StubbornMemory(Stubborn);

impl Memory for StubbornMemory {
    type Word = Stubborn;
    fn event(&self, _: u32) -> Option<&Stubborn> {
        Some(&self.0)
    }
    fn control(&self, _: QueueId) -> Option<(&Stubborn, &Stubborn)> {
        Some((&self.0, &self.0))
    }
}

/// XSA-295: each loop over a guest's word ends, whatever the guest does.
#[test]
fn appending_to_a_word_that_never_stands_still_ends() {
    let memory = StubbornMemory(Stubborn {
        asked: Cell::new(0),
    });
    let mut tails = Tails::new(1).unwrap();
    let queue = QueueId {
        vcpu: 0,
        priority: 7,
    };
    for port in 1..100 {
        let before = memory.0.asked.get();
        let mut last = queue;
        assert!(link::raise(&memory, &mut tails, port, &mut last, queue).is_some());
        let asked = memory.0.asked.get() - before;
        assert!(asked <= 13, "{asked} accesses");
    }
}

#[test]
fn queues_of_vcpus_and_priorities_that_do_not_exist_are_not_used() {
    let memory = StubbornMemory(Stubborn {
        asked: Cell::new(0),
    });
    let mut tails = Tails::new(1).unwrap();
    for (vcpu, priority) in [(1, 0), (0, 16), (u32::MAX, 255)] {
        let queue = QueueId { vcpu, priority };
        let mut last = queue;
        let raised = link::raise(&memory, &mut tails, 5, &mut last, queue).unwrap();
        assert!(!raised.upcall);
        assert!(!link::unmask(&memory, &mut tails, 5, &mut last, queue));
    }
}
