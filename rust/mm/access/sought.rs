// SPDX-License-Identifier: GPL-2.0-only

//! Which access of an instruction a processor has refused.
//!
//! A processor says where an access that rights do not allow is, and whether it writes. The instruction says the rest:
//! whether what writes also reads, and by which linear address. It may make several accesses, to one page even, as a
//! copy within a page does; the one that is sought does what the processor says.

use super::{
    Part,
    Wanted, //
};
use crate::hw::rights::Kind;

/// The access that is sought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sought {
    gpa: u64,
    writes: bool,
    found: Option<Found>,
    exact: bool,
    /// The guest's own fault came before the access was found.
    fault: bool,
}

/// The access that was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    /// What it does.
    pub(crate) kind: Kind,
    /// The linear address of what was refused.
    pub(crate) linear: u64,
    /// Guest physical and linear address of the part before, if what was refused is in the second of two pages.
    pub(crate) before: Option<(u64, u64)>,
}

impl Sought {
    /// An access to this guest physical address, which writes or does not.
    pub(crate) const fn new(gpa: u64, writes: bool) -> Self {
        Self {
            gpa,
            writes,
            found: None,
            exact: false,
            fault: false,
        }
    }

    /// Looks at an access that the instruction makes, in one or two parts. Returns whether there is nothing more to
    /// look for.
    pub(crate) fn note(&mut self, wanted: &Wanted, first: Part, second: Part) -> bool {
        let (reads, writes, _) = wanted.kind.does();
        let does = if self.writes { writes } else { reads };
        if !does || self.exact {
            return self.exact;
        }
        let next = wanted.linear.wrapping_add(first.len as u64);
        let before = Some((first.gpa, wanted.linear));
        for (part, at, before) in [(first, wanted.linear, None), (second, next, before)] {
            if part.len == 0 || part.gpa >> 12 != self.gpa >> 12 {
                continue;
            }
            let within = self.gpa.checked_sub(part.gpa);
            let within = within.filter(|offset| *offset < part.len as u64);
            // Another access may be nearer: a processor does not have to say the first byte.
            if within.is_some() || self.found.is_none() {
                self.found = Some(Found {
                    kind: wanted.kind,
                    linear: at.wrapping_add(within.unwrap_or(0)),
                    before,
                });
                self.exact = within.is_some();
            }
            if self.exact {
                break;
            }
        }
        self.exact
    }

    /// Notes that the instruction ends with a fault of the guest's own.
    pub(crate) fn note_fault(&mut self) {
        self.fault = true;
    }

    /// What was found.
    pub(crate) const fn found(&self) -> Option<Found> {
        self.found
    }

    /// Whether the guest has a fault of its own, which comes before what rights say (E-4).
    pub(crate) const fn faults(&self) -> bool {
        self.fault && self.found.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Part = Part { gpa: 0, len: 0 };

    fn wanted(linear: u64, len: usize, kind: Kind) -> Wanted {
        Wanted {
            linear,
            len,
            kind,
            user: false,
        }
    }

    fn part(gpa: u64, len: usize) -> Part {
        Part { gpa, len }
    }

    /// E-4: a copy within one page makes two accesses to it. The one that was refused is the one that does what the
    /// processor says, in whichever order the instruction makes them.
    #[test]
    fn e4_of_two_accesses_to_a_page_the_refused_one_is_found() {
        let read = (wanted(0x7010, 4, Kind::Read), part(0x5010, 4));
        let write = (wanted(0x7100, 4, Kind::Write), part(0x5100, 4));
        for order in [[read, write], [write, read]] {
            for (writes, expected) in [(false, read), (true, write)] {
                // Also if the processor says the page only.
                for gpa in [expected.1.gpa, 0x5000] {
                    let mut sought = Sought::new(gpa, writes);
                    for (wanted, part) in order {
                        sought.note(&wanted, part, NONE);
                    }
                    let found = sought.found().unwrap();
                    assert_eq!(found.kind, expected.0.kind);
                    assert_eq!(found.linear, expected.0.linear);
                    assert_eq!(found.before, None);
                }
            }
        }
    }

    /// What reads and writes at once is found by either, and an access that does something else is not.
    #[test]
    fn e4_an_access_is_not_taken_for_another() {
        for (kind, read, write) in [
            (Kind::Read, true, false),
            (Kind::Write, false, true),
            (Kind::ReadWrite, true, true),
        ] {
            for (writes, expected) in [(false, read), (true, write)] {
                let mut sought = Sought::new(0x5010, writes);
                let exact = sought.note(&wanted(0x7010, 4, kind), part(0x5010, 4), NONE);
                assert_eq!((sought.found().is_some(), exact), (expected, expected));
            }
        }
        let mut other = Sought::new(0x5010, false);
        other.note(&wanted(0x7010, 4, Kind::Read), part(0x6010, 4), NONE);
        assert_eq!(other.found(), None);
    }

    /// An access that has the very address is preferred, also if it comes later.
    #[test]
    fn e4_the_nearest_access_is_found() {
        let mut sought = Sought::new(0x5102, true);
        assert!(!sought.note(&wanted(0x7010, 4, Kind::Write), part(0x5010, 4), NONE));
        assert!(sought.note(&wanted(0x9100, 4, Kind::Write), part(0x5100, 4), NONE));
        assert!(sought.note(&wanted(0x8100, 4, Kind::Write), part(0x5100, 4), NONE));
        assert_eq!(sought.found().map(|found| found.linear), Some(0x9102));
    }

    /// E-4: what was refused in the second page may have to be reported for the first.
    #[test]
    fn e4_the_first_of_two_pages_is_told() {
        let mut sought = Sought::new(0x9000, true);
        let parts = (part(0x5ffe, 2), part(0x9000, 2));
        assert!(sought.note(&wanted(0x7ffe, 4, Kind::Write), parts.0, parts.1));
        let found = sought.found().unwrap();
        assert_eq!(
            (found.linear, found.before),
            (0x8000, Some((0x5ffe, 0x7ffe)))
        );
        let mut sought = Sought::new(0x5ffe, true);
        assert!(sought.note(&wanted(0x7ffe, 4, Kind::Write), parts.0, parts.1));
        let found = sought.found().unwrap();
        assert_eq!((found.linear, found.before), (0x7ffe, None));
    }

    /// E-4: the guest's own fault counts as long as the access was not found.
    #[test]
    fn e4_a_fault_before_the_access() {
        let mut sought = Sought::new(0x5000, true);
        assert!(!sought.faults());
        sought.note_fault();
        assert!(sought.faults());
        let mut sought = Sought::new(0x5000, true);
        sought.note(&wanted(0x7000, 4, Kind::Write), part(0x5000, 4), NONE);
        sought.note_fault();
        assert!(!sought.faults());
    }
}
