// SPDX-License-Identifier: GPL-2.0-only

//! Whether an access that is made for a guest may be made: pure, like the walk.
//!
//! The answer has three values (E-1): it may, it may not and here is why, or the guest has a fault of its own. All of
//! an access is translated first, and the guest's fault comes before everything else (E-4). Then the page table entries
//! and the pages that it touches are judged by their rights, in the order of its addresses; the first that may not be
//! touched is the answer. Nothing is written before the answer is that it may, not even the bits that a walk sets
//! (E-6).

mod sought;

// What is sought comes from a processor: only the module has one.
#[allow(unused_imports)]
pub(crate) use self::sought::Sought;

use core::cell::Cell;

use super::walk::{
    self,
    translate,
    Memory,
    Paging, //
};
use crate::hw::rights::{
    Judgement,
    Kind,
    Rights, //
};

/// Entries of page tables that the walks of one access look at: five levels, two pages.
const ENTRIES: usize = 10;
/// The offset in a page.
const OFFSET: u64 = 0xfff;

/// Part of an access that lies in one page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    /// Guest physical address.
    pub(crate) gpa: u64,
    /// Bytes; 0 for none.
    pub(crate) len: usize,
}

/// What is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Wanted {
    /// Linear address.
    pub(crate) linear: u64,
    /// Bytes, at most a page.
    pub(crate) len: usize,
    /// What for.
    pub(crate) kind: Kind,
    /// By user code.
    pub(crate) user: bool,
}

/// An access that rights do not allow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Violation {
    /// Guest physical address.
    pub(crate) gpa: u64,
    /// Linear address, if it is known.
    pub(crate) linear: Option<u64>,
    /// What it does.
    pub(crate) kind: Kind,
    /// The page walk for the linear address makes it, and not the instruction.
    pub(crate) walk: bool,
}

/// Whether an access may be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// It may: one or two parts of memory.
    Allow(Part, Part),
    /// It may not, because of rights that say so.
    Deny(Violation, Rights, Judgement),
    /// The guest gets a fault, for this linear address.
    Fault(walk::Fault, u64),
}

/// An entry of a page table of which bits are to be set.
#[derive(Clone, Copy)]
struct Mark {
    gpa: u64,
    /// What it was.
    old: u64,
    bits: u64,
}

/// Guest memory, for walks whose marks are made later or not at all.
struct Walks<'a, M> {
    memory: &'a M,
    /// The linear address that is being walked for.
    linear: Cell<u64>,
    /// Entries that were read and the linear addresses that it was for, as many as `reads` says.
    read: [Cell<(u64, u64)>; ENTRIES],
    reads: Cell<usize>,
    /// Entries of which bits are to be set, as many as `marks` says.
    marked: [Cell<Mark>; ENTRIES],
    marks: Cell<usize>,
}

impl<'a, M: Memory> Walks<'a, M> {
    fn new(memory: &'a M) -> Self {
        const NONE: Mark = Mark {
            gpa: 0,
            old: 0,
            bits: 0,
        };
        Self {
            memory,
            linear: Cell::new(0),
            read: [const { Cell::new((0, 0)) }; ENTRIES],
            reads: Cell::new(0),
            marked: [const { Cell::new(NONE) }; ENTRIES],
            marks: Cell::new(0),
        }
    }

    fn marked(&self) -> impl Iterator<Item = Mark> + '_ {
        self.marked.iter().take(self.marks.get()).map(Cell::get)
    }

    /// Sets the bits that the walks would have set.
    fn commit(&self) {
        for mark in self.marked() {
            self.memory.set_bits(mark.gpa, mark.old, mark.bits);
        }
    }

    /// The first entry that the walks touch and may not.
    fn judge(&self, rights: &impl Fn(u64) -> Option<Rights>) -> Option<Outcome> {
        let mut read = self.read.iter().take(self.reads.get()).map(Cell::get);
        read.find_map(|(gpa, linear)| {
            let marks = self.marked().any(|mark| mark.gpa == gpa & !7);
            let kind = if marks { Kind::ReadWrite } else { Kind::Read };
            judge(gpa, linear, kind, true, rights)
        })
    }
}

impl<M: Memory> Memory for Walks<'_, M> {
    fn read64(&self, gpa: u64) -> Option<u64> {
        let count = self.reads.get();
        if let Some(slot) = self.read.get(count) {
            slot.set((gpa, self.linear.get()));
            self.reads.set(count + 1);
        }
        self.memory.read64(gpa)
    }

    fn set_bits(&self, gpa: u64, old: u64, bits: u64) {
        // The second walk may come by an entry that the first has marked.
        if self
            .marked()
            .any(|mark| mark.gpa == gpa && mark.bits == bits)
        {
            return;
        }
        let count = self.marks.get();
        if let Some(slot) = self.marked.get(count) {
            slot.set(Mark { gpa, old, bits });
            self.marks.set(count + 1);
        }
    }
}

/// Judges an access to one page; `None` if it may be made.
fn judge(
    gpa: u64,
    linear: u64,
    kind: Kind,
    walk: bool,
    rights: &impl Fn(u64) -> Option<Rights>,
) -> Option<Outcome> {
    let rights = rights(gpa >> 12)?;
    match rights.judge(kind, walk) {
        Judgement::Allowed => None,
        judgement => {
            let violation = Violation {
                gpa,
                linear: Some(linear),
                kind,
                walk,
            };
            Some(Outcome::Deny(violation, rights, judgement))
        }
    }
}

/// Says whether an access may be made, and if so sets the bits in the guest's tables that it sets.
///
/// `rights` tells the rights of a frame, `None` for one that has none. What a walk touches is not judged unless
/// `walks`.
pub(crate) fn check<M: Memory>(
    memory: &M,
    paging: &Paging,
    wanted: &Wanted,
    walks: bool,
    rights: impl Fn(u64) -> Option<Rights>,
) -> Outcome {
    let seen = Walks::new(memory);
    let (_, write, fetch) = wanted.kind.does();
    let access = walk::Access {
        write,
        fetch,
        user: wanted.user,
    };
    // CAST: Twelve bits.
    let room = (OFFSET + 1 - (wanted.linear & OFFSET)) as usize;
    let (first_len, next) = (
        wanted.len.min(room),
        (wanted.linear | OFFSET).wrapping_add(1),
    );
    let second_len = wanted.len - first_len;
    let mut parts = [Part { gpa: 0, len: 0 }; 2];
    let both = [(wanted.linear, first_len), (next, second_len)];
    for (part, (at, len)) in parts.iter_mut().zip(both) {
        if len == 0 {
            continue;
        }
        seen.linear.set(at);
        match translate(&seen, paging, at, access) {
            Ok(gpa) => *part = Part { gpa, len },
            Err(fault) => return Outcome::Fault(fault, at),
        }
    }
    if walks {
        if let Some(denied) = seen.judge(&rights) {
            return denied;
        }
    }
    for (part, (at, len)) in parts.iter().zip(both) {
        if len == 0 {
            continue;
        }
        if let Some(denied) = judge(part.gpa, at, wanted.kind, false, &rights) {
            return denied;
        }
    }
    seen.commit();
    let [first, second] = parts;
    Outcome::Allow(first, second)
}

#[cfg(test)]
mod tests;
