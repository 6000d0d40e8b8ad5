// SPDX-License-Identifier: GPL-2.0-only

//! Accesses of one and two pages in four-level long mode, with every right on every page that is touched.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::*;
use crate::hw::state::{
    CR0_PG,
    CR4_PAE,
    EFER_LMA, //
};

const PRESENT: u64 = 1 << 0;
const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;

/// Where tables and pages are: frames 1 to 4 are tables, from the root on.
const TABLES: [u64; 4] = [0x1000, 0x2000, 0x3000, 0x4000];
const FIRST: u64 = 0x20_0000;
const SECOND: u64 = 0x10_0000;
/// A linear address of which the next page is the second one.
const LINEAR: u64 = 0x7000;

/// Memory of words, which notes what was written.
struct Words {
    words: RefCell<BTreeMap<u64, u64>>,
    writes: RefCell<Vec<u64>>,
}

impl Memory for Words {
    fn read64(&self, gpa: u64) -> Option<u64> {
        Some(self.words.borrow().get(&gpa).copied().unwrap_or(0))
    }

    fn set_bits(&self, gpa: u64, old: u64, bits: u64) {
        let mut words = self.words.borrow_mut();
        let word = words.entry(gpa).or_default();
        if *word == old {
            *word |= bits;
            self.writes.borrow_mut().push(gpa);
        }
    }
}

/// Tables that map two pages, with these bits in the last level.
fn tables(first: u64, second: u64) -> Words {
    let all = PRESENT | WRITE | USER | ACCESSED;
    let mut words = BTreeMap::new();
    for level in 0..3 {
        words.insert(TABLES[level], TABLES[level + 1] | all);
    }
    words.insert(TABLES[3] + 7 * 8, FIRST | first);
    words.insert(TABLES[3] + 8 * 8, SECOND | second);
    Words {
        words: RefCell::new(words),
        writes: RefCell::new(Vec::new()),
    }
}

fn paging() -> Paging {
    Paging {
        cr0: CR0_PG | 1 | 1 << 16,
        cr3: TABLES[0],
        cr4: CR4_PAE,
        efer: EFER_LMA | 1 << 8,
        ac: false,
    }
}

fn wanted(linear: u64, len: usize, kind: Kind) -> Wanted {
    Wanted {
        linear,
        len,
        kind,
        user: false,
    }
}

const PAGE: u64 = PRESENT | WRITE | USER;
const DATA: [Kind; 3] = [Kind::Read, Kind::Write, Kind::ReadWrite];

/// E-1, E-4, E-5, E-6: every right on both pages and on the table that maps them, each kind of access, one page or two,
/// walks judged or not, against a model that is written down the other way round.
#[test]
fn e4_every_right_on_every_page() {
    let mut seen = [0; 3];
    for first in Rights::ALL {
        for second in Rights::ALL {
            for table in Rights::ALL {
                for kind in DATA {
                    for (linear, len) in [(LINEAR + 8, 4), (LINEAR + 0xffe, 4)] {
                        for walks in [false, true] {
                            one(
                                first,
                                second,
                                table,
                                wanted(linear, len, kind),
                                walks,
                                &mut seen,
                            );
                        }
                    }
                }
            }
        }
    }
    // The table above is of some use: each answer was given.
    assert!(seen[0] > 100 && seen[1] > 100 && seen[2] > 100, "{seen:?}");
}

fn one(
    first: Rights,
    second: Rights,
    table: Rights,
    ask: Wanted,
    walks: bool,
    seen: &mut [usize; 3],
) {
    let memory = tables(PAGE, PAGE);
    let rights = |gfn: u64| match gfn << 12 {
        FIRST => Some(first),
        SECOND => Some(second),
        gpa if gpa == TABLES[3] => Some(table),
        _ => None,
    };
    let outcome = check(&memory, &paging(), &ask, walks, rights);
    let crosses = ask.linear & 0xfff == 0xffe;
    // Of the last level the accessed bit has to be set, so that walks write to that table.
    let expected = if walks && table.judge(Kind::ReadWrite, true) != Judgement::Allowed {
        seen[0] += 1;
        Some((TABLES[3] + 7 * 8, ask.linear, true))
    } else if first.judge(ask.kind, false) != Judgement::Allowed {
        seen[1] += 1;
        Some((FIRST + (ask.linear & 0xfff), ask.linear, false))
    } else if crosses && second.judge(ask.kind, false) != Judgement::Allowed {
        seen[2] += 1;
        Some((SECOND, LINEAR + 0x1000, false))
    } else {
        None
    };
    let what = format!("{first:?} {second:?} {table:?} {ask:?} walks {walks}");
    match (outcome, expected) {
        (Outcome::Deny(violation, ..), Some((gpa, linear, walk))) => {
            assert_eq!(violation.gpa, gpa, "{what}");
            assert_eq!(violation.linear, Some(linear), "{what}");
            assert_eq!(violation.walk, walk, "{what}");
            // E-6: nothing has happened.
            assert_eq!(*memory.writes.borrow(), [0u64; 0], "{what}");
        }
        (Outcome::Allow(a, b), None) => {
            assert_eq!(a.gpa, FIRST + (ask.linear & 0xfff), "{what}");
            assert_eq!(
                (a.len + b.len, b.len),
                (4, if crosses { 2 } else { 0 }),
                "{what}"
            );
            let marks = if crosses { 2 } else { 1 };
            assert_eq!(memory.writes.borrow().len(), marks, "{what}");
            let entry = memory.read64(TABLES[3] + 7 * 8).unwrap();
            assert!(entry & ACCESSED != 0, "{what}");
            assert_eq!(entry & DIRTY != 0, ask.kind != Kind::Read, "{what}");
        }
        other => panic!("{what}: {other:?}"),
    }
}

/// E-4: the guest's own fault comes first, also if it is in the second page and the first may not be touched.
#[test]
fn e4_the_guests_fault_comes_first() {
    for bits in [0, PRESENT | USER] {
        let memory = tables(PAGE, bits);
        let none = |_| Some(Rights::N);
        let ask = wanted(LINEAR + 0xffe, 4, Kind::Write);
        let outcome = check(&memory, &paging(), &ask, true, none);
        match outcome {
            Outcome::Fault(walk::Fault::Page(code), at) => {
                assert_eq!(at, LINEAR + 0x1000);
                assert_eq!(code & 2, 2);
            }
            other => panic!("{other:?}"),
        }
        // E-6: and nothing has happened.
        assert_eq!(*memory.writes.borrow(), [0u64; 0]);
    }
}

/// Where all bits are set already a walk only reads, and is judged as a read.
#[test]
fn e5_a_walk_is_judged_by_what_it_does() {
    let set = PAGE | ACCESSED | DIRTY;
    for table in Rights::ALL {
        let rights = |gfn: u64| (gfn << 12 == TABLES[3]).then_some(table);
        let ask = wanted(LINEAR, 4, Kind::Write);
        let reads = check(&tables(set, set), &paging(), &ask, true, rights);
        let may_read = table.judge(Kind::Read, true) == Judgement::Allowed;
        assert_eq!(matches!(reads, Outcome::Allow(..)), may_read, "{table:?}");
        // The dirty bit is missing.
        let memory = tables(PAGE | ACCESSED, set);
        let writes = check(&memory, &paging(), &ask, true, rights);
        let may_write = table.judge(Kind::ReadWrite, true) == Judgement::Allowed;
        assert_eq!(matches!(writes, Outcome::Allow(..)), may_write, "{table:?}");
        assert_eq!(memory.writes.borrow().len(), usize::from(may_write));
    }
}

/// A monitor that says nothing of any page changes nothing.
#[test]
fn without_rights_everything_is_allowed() {
    for kind in DATA {
        for at in [LINEAR, LINEAR + 0xffd, LINEAR + 0xfff] {
            let outcome = check(
                &tables(PAGE, PAGE),
                &paging(),
                &wanted(at, 3, kind),
                true,
                |_| None,
            );
            let Outcome::Allow(first, second) = outcome else {
                panic!("{outcome:?}");
            };
            assert_eq!(first.len + second.len, 3);
            assert_eq!(second.len != 0, at & 0xfff == 0xfff);
        }
    }
}
