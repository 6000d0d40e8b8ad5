// SPDX-License-Identifier: GPL-2.0-only

//! What a monitor lets a guest do to a page.
//!
//! The eleven rights of `XENMEM_access_op`, which access each of them allows, and what hardware can enforce of them.
//! The twelfth number of the interface, "default", names one of these and is resolved before.
//!
//! Pure: what follows from a violation is decided in `vm_event`.

/// The rights of a page. Numbers and meanings are Xen's (`xenmem_access_t`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Rights {
    /// Nothing.
    N = 0,
    /// Read.
    R = 1,
    /// Write.
    W = 2,
    /// Read and write.
    Rw = 3,
    /// Execute.
    X = 4,
    /// Read and execute.
    Rx = 5,
    /// Write and execute.
    Wx = 6,
    /// Everything: what a page has of which no monitor has said anything.
    Rwx = 7,
    /// Read and execute; the first write turns it into read and write, and is not reported.
    Rx2Rw = 8,
    /// Nothing; the first access turns it into everything, and is reported without the guest waiting for an answer.
    N2Rwx = 9,
    /// Read, and what a page walk writes.
    RPw = 10,
}

/// What an access does to a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Reads.
    Read,
    /// Writes without reading.
    Write,
    /// Reads and writes.
    ReadWrite,
    /// Fetches an instruction.
    Fetch,
}

impl Kind {
    /// Every kind.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 4] = [Self::Read, Self::Write, Self::ReadWrite, Self::Fetch];

    /// Whether it reads, writes, executes.
    pub(crate) const fn does(self) -> (bool, bool, bool) {
        match self {
            Self::Read => (true, false, false),
            Self::Write => (false, true, false),
            Self::ReadWrite => (true, true, false),
            Self::Fetch => (false, false, true),
        }
    }
}

/// What rights say about an access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Judgement {
    /// It may be made.
    Allowed,
    /// It may be made, and turns the rights into these.
    Turns(Rights),
    /// It may not be made.
    Violation,
    /// It is to be reported and may be made; it turns the rights into these.
    Reported(Rights),
}

impl Rights {
    /// All of them.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 11] = [
        Self::N,
        Self::R,
        Self::W,
        Self::Rw,
        Self::X,
        Self::Rx,
        Self::Wx,
        Self::Rwx,
        Self::Rx2Rw,
        Self::N2Rwx,
        Self::RPw,
    ];

    /// The rights of this number; `None` for "default" and numbers that mean nothing.
    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::N,
            1 => Self::R,
            2 => Self::W,
            3 => Self::Rw,
            4 => Self::X,
            5 => Self::Rx,
            6 => Self::Wx,
            7 => Self::Rwx,
            8 => Self::Rx2Rw,
            9 => Self::N2Rwx,
            10 => Self::RPw,
            _ => return None,
        })
    }

    /// Whether reading, writing and executing is allowed while the rights are these.
    pub(crate) const fn allows(self) -> (bool, bool, bool) {
        match self {
            Self::N | Self::N2Rwx => (false, false, false),
            Self::R | Self::RPw => (true, false, false),
            Self::W => (false, true, false),
            Self::Rw => (true, true, false),
            Self::X => (false, false, true),
            Self::Rx | Self::Rx2Rw => (true, false, true),
            Self::Wx => (false, true, true),
            Self::Rwx => (true, true, true),
        }
    }

    /// Judges an access. `walk` says that a page walk makes it, and not the instruction.
    pub(crate) const fn judge(self, kind: Kind, walk: bool) -> Judgement {
        let (read, write, execute) = self.allows();
        let (reads, writes, executes) = kind.does();
        let write = write || (walk && matches!(self, Self::RPw));
        if (read || !reads) && (write || !writes) && (execute || !executes) {
            return Judgement::Allowed;
        }
        match self {
            Self::Rx2Rw if writes => Judgement::Turns(Self::Rw),
            Self::N2Rwx => Judgement::Reported(Self::Rwx),
            _ => Judgement::Violation,
        }
    }

    /// Reading, writing and executing as a processor can allow them that has no page which can be written or executed
    /// but not read. What cannot be allowed alone is not allowed at all: each access then exits, and one that the
    /// rights allow has to be carried out in software.
    pub(crate) const fn without_read(self) -> (bool, bool, bool) {
        match self.allows() {
            (false, _, _) => (false, false, false),
            rights => rights,
        }
    }

    /// Whether a guest can execute what these rights protect on such a processor. Software does not step in here: it
    /// would have to carry out every instruction of the page.
    pub(crate) const fn needs_execute_only(self) -> bool {
        matches!(self.allows(), (false, _, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// E-3: every right against every kind, written down by hand.
    #[test]
    fn e3_all_rights_against_all_kinds() {
        use Judgement::{Allowed as Y, Reported, Turns, Violation as V};
        let to_rw = Turns(Rights::Rw);
        let told = Reported(Rights::Rwx);
        // Read, write, read and write, fetch.
        let table = [
            (Rights::N, [V, V, V, V]),
            (Rights::R, [Y, V, V, V]),
            (Rights::W, [V, Y, V, V]),
            (Rights::Rw, [Y, Y, Y, V]),
            (Rights::X, [V, V, V, Y]),
            (Rights::Rx, [Y, V, V, Y]),
            (Rights::Wx, [V, Y, V, Y]),
            (Rights::Rwx, [Y, Y, Y, Y]),
            (Rights::Rx2Rw, [Y, to_rw, to_rw, Y]),
            (Rights::N2Rwx, [told, told, told, told]),
            (Rights::RPw, [Y, V, V, V]),
        ];
        assert_eq!(table.len(), Rights::ALL.len());
        for (rights, row) in table {
            for (kind, expected) in Kind::ALL.into_iter().zip(row) {
                assert_eq!(rights.judge(kind, false), expected, "{rights:?} {kind:?}");
                // A walk differs in one of them.
                let walk = match (rights, kind) {
                    (Rights::RPw, Kind::Write | Kind::ReadWrite) => Y,
                    _ => expected,
                };
                assert_eq!(rights.judge(kind, true), walk, "{rights:?} {kind:?} walk");
            }
        }
    }

    #[test]
    fn numbers_are_xens() {
        use crate::abi::memory as abi;
        let numbers = [
            abi::ACCESS_N,
            abi::ACCESS_R,
            abi::ACCESS_W,
            abi::ACCESS_RW,
            abi::ACCESS_X,
            abi::ACCESS_RX,
            abi::ACCESS_WX,
            abi::ACCESS_RWX,
            abi::ACCESS_RX2RW,
            abi::ACCESS_N2RWX,
            abi::ACCESS_R_PW,
        ];
        for (rights, number) in Rights::ALL.into_iter().zip(numbers) {
            assert_eq!(rights as u8, number);
            assert_eq!(Rights::from_number(number), Some(rights));
        }
        for number in abi::ACCESS_DEFAULT..=u8::MAX {
            assert_eq!(Rights::from_number(number), None);
        }
    }

    #[test]
    fn hardware_never_allows_more() {
        for rights in Rights::ALL {
            let (r, w, x) = rights.allows();
            let (hr, hw, hx) = rights.without_read();
            assert!(hr <= r && hw <= w && hx <= x, "{rights:?}");
            // What it can express it does.
            if r {
                assert_eq!((hr, hw, hx), (r, w, x));
            }
        }
    }
}
