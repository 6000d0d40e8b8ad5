// SPDX-License-Identifier: GPL-2.0-only

//! Owners that scribble, and domains that use each other's grants at the same time.

use std::{
    sync::{
        atomic::AtomicBool,
        Mutex, //
    },
    thread,
    time::{
        Duration,
        Instant, //
    },
};

use super::*;

/// Cheap random numbers.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as u32
    }
}

/// Ends the scribbling, also if the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// GT-9 (XSA-295): an owner that writes its entries all the time cannot keep us in a loop, cannot make a
/// count go below zero, and cannot change the frame of a use.
#[test]
fn gt_9_scribbling_owner() {
    let (mut granter, mut mapper) = (table(GRANTER, 1), table(MAPPER, 1));
    let page = granter.shared_frame(0).unwrap();
    let stop = AtomicBool::new(false);

    thread::scope(|scope| {
        for seed in 1..=2 {
            let (page, stop) = (&page, &stop);
            scope.spawn(move || {
                let mut random = Random(seed);
                while !stop.load(Ordering::Relaxed) {
                    let (at, value) = (random.next() as usize % 16 * 4, random.next());
                    // Mostly plausible headers, so that many claims begin well.
                    let value = match value & 3 {
                        0 => value,
                        _ => 1 | ((value >> 8) & 0x1c) | (u32::from(MAPPER) << 16),
                    };
                    page.word32(at).unwrap().store(value, Ordering::Relaxed);
                }
            });
        }

        let scribbling = Stop(&stop);
        let mut random = Random(99);
        let mut held = Vec::new();
        let (mut good, mut bad) = (0_u32, 0_u32);
        let start = Instant::now();
        // On a busy machine the scribblers may come late.
        while start.elapsed() < Duration::from_millis(300)
            || ((good <= 100 || bad <= 100) && start.elapsed() < Duration::from_secs(60))
        {
            for _ in 0..64 {
                let access = if random.next() & 1 == 0 {
                    Access::Read
                } else {
                    Access::Write
                };
                if random.next() & 1 == 0 && held.len() < 200 {
                    let gref = random.next() % 8;
                    match map(&mut granter, &mut mapper, gref, access) {
                        Ok(handle) => {
                            let gfn = mapper.maptrack.mapping(handle).unwrap().pin.gfn();
                            // All uses of an entry are for one frame.
                            for &(other, at, frame) in &held {
                                let _: u32 = other;
                                assert!(at != gref || frame == gfn);
                            }
                            held.push((handle, gref, gfn));
                            good += 1;
                        }
                        Err(status) => {
                            assert_eq!(status, Gntst::GENERAL_ERROR);
                            bad += 1;
                        }
                    }
                } else if !held.is_empty() {
                    let index = random.next() as usize % held.len();
                    let (handle, _, gfn) = held.swap_remove(index);
                    assert_eq!(unmap(&mut granter, &mut mapper, handle), Ok(0x1000 + gfn));
                }
            }
        }
        drop(scribbling);
        assert!(good > 100 && bad > 100, "{good} {bad}");

        for (handle, _, gfn) in held {
            assert_eq!(unmap(&mut granter, &mut mapper, handle), Ok(0x1000 + gfn));
        }
    });

    assert_eq!((granter.pinned(), mapper.handles_in_use()), (0, 0));
    for gref in 0..512 {
        let (_, active) = granter.parts(gref).unwrap();
        assert!(!active.in_use());
    }
}

/// GT-17 (XSA-411): lock order. Domains map each other's grants in a ring, both ways, and each step locks one
/// table: this ends, and nothing is left behind.
#[test]
fn gt_17_domains_map_each_other() {
    const DOMAINS: u16 = 3;
    let tables: Vec<Mutex<Table>> = (0..DOMAINS)
        .map(|domid| {
            let table = table(domid, 1);
            for to in 0..DOMAINS {
                write_entry(&table, u32::from(to), GTF_PERMIT_ACCESS, to, u32::from(to));
            }
            Mutex::new(table)
        })
        .collect();

    thread::scope(|scope| {
        for (me, other) in [(0, 1), (1, 0), (1, 2), (2, 1), (2, 0), (0, 2), (1, 1)] {
            let tables = &tables;
            scope.spawn(move || {
                let lock = |domid: u16| tables[usize::from(domid)].lock().unwrap();

                for round in 0..2000 {
                    let mut grown = 0;
                    let handle = loop {
                        let asked = lock(me).reserve_handle();
                        match asked {
                            Ok(handle) => break handle,
                            Err(NoHandle::Grow(need)) => {
                                let mut growth = MaptrackGrowth::new(need).unwrap();
                                lock(me).add_handles(&mut growth);
                                grown += 1;
                                assert!(grown < 100, "growing does not help");
                            }
                            Err(NoHandle::Refused(status)) => panic!("{status:?}"),
                        }
                    };
                    let access = if round % 3 == 0 {
                        Access::Read
                    } else {
                        Access::Write
                    };
                    let pin = lock(other)
                        .pin(u32::from(me), me, access, Use::Map)
                        .unwrap();
                    let mapping = Mapping {
                        mfn: pin.gfn(),
                        host_addr: 0x1000,
                        pin,
                    };
                    let number = lock(me).commit(handle, mapping).unwrap();

                    let taken = lock(me).begin_unmap(number, 0x1000, 0).unwrap();
                    let Unmap::Remove(handle, mapping) = taken else {
                        panic!("an address was given");
                    };
                    assert_eq!(mapping.pin.granter(), other);
                    lock(other).unpin(mapping.pin);
                    lock(me).release_handle(handle);
                }
            });
        }
    });

    for table in tables {
        let table = table.into_inner().unwrap();
        assert_idle(&table);
        assert_eq!(table.handles_in_use(), 0);
    }
}
