// SPDX-License-Identifier: GPL-2.0-only

//! The hypervisor and a guest on the same words, in every order that the memory model allows.
//!
//! Run with `RUSTFLAGS="--cfg loom"`. The hypervisor's side is the code that the module runs; the
//! guest's side does what Linux does. One thread at a time is in the hypervisor, as under the
//! domain's lock. Loom takes a sequentially consistent access for an acquire or a release, so where
//! Linux counts on x86's locked instructions being barriers the guest here has a fence.

use crate::evtchn::{
    channel::QueueId,
    link::{
        self,
        Memory,
        Tails,
        LINKED,
        MASKED,
        PENDING, //
    },
    two_level::Bits,
    vcpu_info,
    word::Word, //
};
use crate::interleave::check;
use loom::sync::atomic::{
    fence,
    AtomicU32,
    Ordering, //
};
use loom::sync::{
    Arc,
    Mutex, //
};
use loom::thread;

/// Port numbers below this have words.
const PORTS: usize = 4;

const QUEUE: QueueId = QueueId {
    vcpu: 0,
    priority: 7,
};

/// The guest's bit for the moment in which the hypervisor appends.
const BUSY: u32 = 1 << 28;
const LINK: u32 = (1 << 17) - 1;

/// What is shared.
struct Shared {
    events: [AtomicU32; PORTS],
    /// Queue heads, at two priorities.
    heads: [AtomicU32; 2],
    ready: AtomicU32,
    upcall: AtomicU32,
}

impl Memory for Shared {
    type Word = AtomicU32;
    fn event(&self, port: u32) -> Option<&AtomicU32> {
        self.events.get(port as usize)
    }
    fn control(&self, queue: QueueId) -> Option<(&AtomicU32, &AtomicU32)> {
        let head = self.heads.get(usize::from(queue.priority != 7))?;
        Some((&self.ready, head))
    }
}

/// What the domain's lock protects.
struct Locked {
    tails: Tails,
    last: [QueueId; PORTS],
}

struct World {
    shared: Shared,
    locked: Mutex<Locked>,
}

impl World {
    /// All ports are unmasked but those in `masked`.
    fn new(masked: &[u32]) -> Arc<Self> {
        let word = |port: usize| {
            AtomicU32::new(if masked.contains(&(port as u32)) {
                MASKED
            } else {
                0
            })
        };
        Arc::new(Self {
            shared: Shared {
                events: [word(0), word(1), word(2), word(3)],
                heads: [AtomicU32::new(0), AtomicU32::new(0)],
                ready: AtomicU32::new(0),
                upcall: AtomicU32::new(0),
            },
            locked: Mutex::new(Locked {
                tails: Tails::new(1).unwrap(),
                last: [QUEUE; PORTS],
            }),
        })
    }

    fn raise_at(&self, port: u32, to: QueueId) {
        let mut guard = self.locked.lock().unwrap();
        let Locked { tails, last } = &mut *guard;
        let raised = link::raise(&self.shared, tails, port, &mut last[port as usize], to);
        if raised.unwrap().upcall {
            self.shared.upcall.set(1);
        }
    }

    fn raise(&self, port: u32) {
        self.raise_at(port, QUEUE);
    }

    /// The hypercall.
    fn unmask(&self, port: u32) {
        let mut guard = self.locked.lock().unwrap();
        let Locked { tails, last } = &mut *guard;
        if link::unmask(&self.shared, tails, port, &mut last[port as usize], QUEUE) {
            self.shared.upcall.set(1);
        }
    }
}

/// The guest's vCPU.
#[derive(Default)]
struct Guest {
    heads: [u32; 2],
    found: [u32; PORTS],
}

impl Guest {
    fn handle(&mut self, shared: &Shared) {
        if shared.upcall.swap(0, Ordering::AcqRel) == 0 {
            return;
        }
        let mut ready = shared.ready.swap(0, Ordering::AcqRel);
        while ready != 0 {
            let priority = ready.trailing_zeros();
            let queue = usize::from(priority != 7);
            let mut port = self.heads[queue];
            if port == 0 {
                port = shared.heads[queue].load(Ordering::Acquire);
            }
            let word = &shared.events[port as usize];
            let mut old = word.load(Ordering::Relaxed);
            while let Err(now) = word.compare_exchange(
                old,
                old & !(LINKED | LINK),
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                old = now;
            }
            let next = old & LINK;
            if next == 0 {
                ready &= !(1 << priority);
            }
            fence(Ordering::SeqCst);
            if word.load(Ordering::Acquire) & (PENDING | MASKED) == PENDING {
                word.fetch_and(!PENDING, Ordering::AcqRel);
                self.found[port as usize] += 1;
            }
            self.heads[queue] = next;
            ready |= shared.ready.swap(0, Ordering::AcqRel);
        }
    }

    /// Unmasks by itself, or with the hypercall if the event is pending.
    fn unmask(world: &World, port: u32) {
        let word = &world.shared.events[port as usize];
        let mut old = word.load(Ordering::Acquire);
        loop {
            if old & MASKED == 0 {
                return;
            }
            if old & PENDING != 0 {
                return world.unmask(port);
            }
            old &= !BUSY;
            match word.compare_exchange(old, old & !MASKED, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(now) => {
                    if now & BUSY != 0 {
                        thread::yield_now();
                    }
                    old = now;
                }
            }
        }
    }

    /// Afterwards nothing may be left: what is pending was found, or its upcall is set and it is
    /// found now.
    fn finish(mut self, world: &World) -> [u32; PORTS] {
        self.handle(&world.shared);
        for (port, word) in world.shared.events.iter().enumerate() {
            let word = word.load(Ordering::Acquire);
            assert_eq!(word & PENDING, 0, "an event of port {port} is lost");
            assert_eq!(word & (LINKED | BUSY), 0, "port {port} is stuck");
        }
        self.found
    }
}

/// XSA-340, 358: what is announced is complete, in the order link, head, ready, upcall.
#[test]
fn ev_7_an_announced_event_is_found() {
    check(|| {
        let world = World::new(&[]);
        let theirs = world.clone();
        let guest = thread::spawn(move || {
            let mut guest = Guest::default();
            guest.handle(&theirs.shared);
            guest
        });
        world.raise(1);
        world.raise(2);
        let found = guest.join().unwrap().finish(&world);
        assert_eq!(found, [0, 1, 1, 0]);
    });
}

/// The same event is raised while it is taken off the queue: once or twice, never not.
#[test]
fn ev_7_an_event_raised_while_it_is_taken_off_comes_again() {
    check(|| {
        let world = World::new(&[]);
        world.raise(1);
        let theirs = world.clone();
        let guest = thread::spawn(move || {
            let mut guest = Guest::default();
            guest.handle(&theirs.shared);
            guest
        });
        world.raise(1);
        world.raise(2);
        let found = guest.join().unwrap().finish(&world);
        assert!(found[1] == 1 || found[1] == 2);
        assert_eq!(found[2], 1);
    });
}

/// An event is appended to a tail that the guest takes off at that moment.
#[test]
fn ev_7_appending_meets_the_end_of_the_queue() {
    check(|| {
        let world = World::new(&[]);
        world.raise(1);
        world.raise(2);
        let theirs = world.clone();
        let guest = thread::spawn(move || {
            let mut guest = Guest::default();
            guest.handle(&theirs.shared);
            guest
        });
        world.raise(3);
        let found = guest.join().unwrap().finish(&world);
        assert_eq!(found, [0, 1, 1, 1]);
    });
}

/// An event changes its queue while the guest takes it off the old one.
#[test]
fn ev_7_an_event_changes_its_queue() {
    check(|| {
        let world = World::new(&[]);
        world.raise(1);
        let theirs = world.clone();
        let guest = thread::spawn(move || {
            let mut guest = Guest::default();
            guest.handle(&theirs.shared);
            guest
        });
        let other = QueueId {
            vcpu: 0,
            priority: 3,
        };
        world.raise_at(1, other);
        world.raise(2);
        let found = guest.join().unwrap().finish(&world);
        assert!(found[1] == 1 || found[1] == 2);
        assert_eq!(found[2], 1);
    });
}

/// XSA-359: the event comes while the guest unmasks it.
#[test]
fn ev_7_raising_meets_unmasking() {
    check(|| {
        let world = World::new(&[1]);
        let theirs = world.clone();
        let guest = thread::spawn(move || {
            let mut guest = Guest::default();
            Guest::unmask(&theirs, 1);
            guest.handle(&theirs.shared);
            guest
        });
        world.raise(1);
        let found = guest.join().unwrap().finish(&world);
        assert_eq!(found, [0, 1, 0, 0]);
    });
}

/// The guest masks and unmasks the tail while an event is appended to it.
#[test]
fn ev_7_appending_meets_masking_of_the_tail() {
    check(|| {
        let world = World::new(&[]);
        world.raise(1);
        let theirs = world.clone();
        let guest = thread::spawn(move || {
            let mut guest = Guest::default();
            theirs.shared.events[1].fetch_or(MASKED, Ordering::AcqRel);
            Guest::unmask(&theirs, 1);
            guest.handle(&theirs.shared);
            guest
        });
        world.raise(2);
        let found = guest.join().unwrap().finish(&world);
        assert_eq!(found, [0, 1, 1, 0]);
    });
}

/// The words of one port of the 2-level ABI.
struct TwoLevel {
    pending: AtomicU32,
    mask: AtomicU32,
    selector: AtomicU32,
    upcall: AtomicU32,
    lock: Mutex<()>,
}

impl TwoLevel {
    const BIT: u32 = 1 << 5;

    fn new(masked: bool) -> Arc<Self> {
        Arc::new(Self {
            pending: AtomicU32::new(0),
            mask: AtomicU32::new(if masked { Self::BIT } else { 0 }),
            selector: AtomicU32::new(0),
            upcall: AtomicU32::new(0),
            lock: Mutex::new(()),
        })
    }

    fn bits(&self) -> Bits<'_, AtomicU32> {
        Bits::from_words(&self.pending, &self.mask, Self::BIT)
    }

    fn select(&self) -> bool {
        vcpu_info::select(&self.selector, 1, || self.upcall.set(1) == 0)
    }

    fn raise(&self) {
        let _guard = self.lock.lock().unwrap();
        self.bits().raise(|| self.select());
    }

    /// The guest's handler; returns how often it found the event.
    fn handle(&self) -> u32 {
        if self.upcall.swap(0, Ordering::AcqRel) == 0 {
            return 0;
        }
        fence(Ordering::SeqCst);
        if self.selector.swap(0, Ordering::AcqRel) == 0 {
            return 0;
        }
        fence(Ordering::SeqCst);
        let active =
            self.pending.load(Ordering::Acquire) & !self.mask.load(Ordering::Acquire) & Self::BIT;
        if active == 0 {
            return 0;
        }
        self.pending.fetch_and(!Self::BIT, Ordering::AcqRel);
        1
    }

    /// The guest's unmask: by itself, and with the hypercall if the event is pending.
    fn unmask(&self) {
        self.mask.fetch_and(!Self::BIT, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        if self.pending.load(Ordering::Acquire) & Self::BIT != 0 {
            self.mask.fetch_or(Self::BIT, Ordering::AcqRel);
            let _guard = self.lock.lock().unwrap();
            self.bits().unmask(|| self.select());
        }
    }

    fn finish(&self) -> u32 {
        // The upcall may be set once more than there are events.
        let found = self.handle();
        assert_eq!(self.pending.load(Ordering::Acquire), 0, "the event is lost");
        found
    }
}

#[test]
fn ev_7_two_level_an_event_raised_while_it_is_handled_comes_again() {
    check(|| {
        let world = TwoLevel::new(false);
        world.raise();
        let theirs = world.clone();
        let guest = thread::spawn(move || theirs.handle());
        world.raise();
        let found = guest.join().unwrap() + world.finish();
        assert!(found == 1 || found == 2);
    });
}

#[test]
fn ev_7_two_level_raising_meets_unmasking() {
    check(|| {
        let world = TwoLevel::new(true);
        let theirs = world.clone();
        let guest = thread::spawn(move || {
            theirs.unmask();
            theirs.handle()
        });
        world.raise();
        let found = guest.join().unwrap() + world.finish();
        assert_eq!(found, 1);
    });
}
