// SPDX-License-Identifier: GPL-2.0-only

//! The console's ring: a page that the guest and this process both write.
//!
//! Each side owns one index of either direction, counts bytes with it modulo 2^32, and reads the
//! other side's. What the guest wrote is read once and believed only as far as it makes sense.

use std::sync::atomic::Ordering;

use crate::abi::console_io::{
    CONSOLE_IN,
    CONSOLE_IN_CONS,
    CONSOLE_IN_PROD,
    CONSOLE_IN_SIZE,
    CONSOLE_OUT,
    CONSOLE_OUT_CONS,
    CONSOLE_OUT_PROD,
    CONSOLE_OUT_SIZE, //
};
use crate::xen::mapping::Mapping;

/// What [`Ring::read`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing new.
    Nothing,
    /// Bytes, and the guest waits to be told that there is room again.
    Bytes,
    /// The guest's index makes no sense; what it stands for is skipped.
    Nonsense,
}

/// The ring, with this side's indices.
pub(crate) struct Ring {
    page: Mapping,
    /// How far this side has read what the guest wrote.
    out_cons: u32,
    /// How far this side has written for the guest.
    in_prod: u32,
}

impl Ring {
    /// Takes this side of the ring in `page`, where the last reader has left it.
    pub(crate) fn new(page: Mapping) -> Self {
        let mut ring = Self {
            page,
            out_cons: 0,
            in_prod: 0,
        };
        ring.out_cons = ring.load(CONSOLE_OUT_CONS);
        ring.in_prod = ring.load(CONSOLE_IN_PROD);
        ring
    }

    /// Reads an index; what the other side wrote before it is seen by what follows.
    fn load(&self, offset: usize) -> u32 {
        // The page holds every offset of the structure.
        self.page
            .word(offset)
            .map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// Writes an index, after everything that was written before.
    fn store(&self, offset: usize, value: u32) {
        if let Some(word) = self.page.word(offset) {
            word.store(value, Ordering::Release);
        }
    }

    /// Appends what the guest has written to `out`: at most what the ring holds.
    pub(crate) fn read(&mut self, out: &mut Vec<u8>) -> Found {
        let prod = self.load(CONSOLE_OUT_PROD);
        let count = prod.wrapping_sub(self.out_cons) as usize;
        if count == 0 {
            return Found::Nothing;
        }
        let found = if count > CONSOLE_OUT_SIZE {
            Found::Nonsense
        } else {
            for at in 0..count {
                let at = (self.out_cons as usize + at) % CONSOLE_OUT_SIZE;
                if let Some(byte) = self.page.byte(CONSOLE_OUT + at) {
                    out.push(byte.load(Ordering::Relaxed));
                }
            }
            Found::Bytes
        };
        self.out_cons = prod;
        self.store(CONSOLE_OUT_CONS, prod);
        found
    }

    /// Writes as much of `bytes` as there is room for, and returns how many.
    pub(crate) fn write(&mut self, bytes: impl IntoIterator<Item = u8>) -> usize {
        let cons = self.load(CONSOLE_IN_CONS);
        let used = self.in_prod.wrapping_sub(cons) as usize;
        // An index that makes no sense leaves no room.
        let room = CONSOLE_IN_SIZE.saturating_sub(used);
        let mut count = 0;
        for byte in bytes.into_iter().take(room) {
            let at = (self.in_prod as usize + count) % CONSOLE_IN_SIZE;
            if let Some(slot) = self.page.byte(CONSOLE_IN + at) {
                slot.store(byte, Ordering::Relaxed);
            }
            count += 1;
        }
        // At most the ring's length.
        self.in_prod = self.in_prod.wrapping_add(count as u32);
        self.store(CONSOLE_IN_PROD, self.in_prod);
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xen::mapping::Access;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    /// A page, and the guest's view of it.
    struct Guest {
        file: File,
    }

    impl Guest {
        fn new(start: u32) -> (Self, Mapping) {
            let file = tempfile::tempfile().unwrap();
            file.set_len(4096).unwrap();
            let mapping = Mapping::new(&file, 0, 4096, Access::ReadWrite).unwrap();
            let guest = Self { file };
            for index in [
                CONSOLE_IN_CONS,
                CONSOLE_IN_PROD,
                CONSOLE_OUT_CONS,
                CONSOLE_OUT_PROD,
            ] {
                guest.set(index, start);
            }
            (guest, mapping)
        }

        fn get(&self, offset: usize) -> u32 {
            let mut bytes = [0; 4];
            self.file.read_exact_at(&mut bytes, offset as u64).unwrap();
            u32::from_le_bytes(bytes)
        }

        fn set(&self, offset: usize, value: u32) {
            self.file
                .write_all_at(&value.to_le_bytes(), offset as u64)
                .unwrap();
        }

        /// Writes as a guest does; returns how much fitted.
        fn print(&self, bytes: &[u8]) -> usize {
            let (cons, mut prod) = (self.get(CONSOLE_OUT_CONS), self.get(CONSOLE_OUT_PROD));
            let room = CONSOLE_OUT_SIZE - prod.wrapping_sub(cons) as usize;
            let count = bytes.len().min(room);
            for byte in &bytes[..count] {
                let at = CONSOLE_OUT + prod as usize % CONSOLE_OUT_SIZE;
                self.file.write_all_at(&[*byte], at as u64).unwrap();
                prod = prod.wrapping_add(1);
            }
            self.set(CONSOLE_OUT_PROD, prod);
            count
        }

        /// Reads at most `max` bytes as a guest does.
        fn take(&self, max: usize) -> Vec<u8> {
            let (mut cons, prod) = (self.get(CONSOLE_IN_CONS), self.get(CONSOLE_IN_PROD));
            let count = (prod.wrapping_sub(cons) as usize).min(max);
            assert!(count <= CONSOLE_IN_SIZE);
            let mut out = Vec::new();
            for _ in 0..count {
                let mut byte = [0];
                let at = CONSOLE_IN + cons as usize % CONSOLE_IN_SIZE;
                self.file.read_exact_at(&mut byte, at as u64).unwrap();
                out.push(byte[0]);
                cons = cons.wrapping_add(1);
            }
            self.set(CONSOLE_IN_CONS, cons);
            out
        }
    }

    #[derive(Clone, Debug)]
    enum Op {
        GuestPrints(Vec<u8>),
        GuestTakes(usize),
        HostReads,
        HostWrites(Vec<u8>),
    }

    fn op() -> impl Strategy<Value = Op> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..3000);
        prop_oneof![
            bytes().prop_map(Op::GuestPrints),
            (0_usize..2000).prop_map(Op::GuestTakes),
            Just(Op::HostReads),
            bytes().prop_map(Op::HostWrites),
        ]
    }

    proptest! {
        /// Whatever both sides do, in whatever order, each byte arrives once and in order, also
        /// where the indices wrap around.
        #[test]
        fn bytes_arrive_once_and_in_order(
            start in prop_oneof![Just(0_u32), Just(u32::MAX - 700), any::<u32>()],
            ops in proptest::collection::vec(op(), 1..40),
        ) {
            let (guest, page) = Guest::new(start);
            let mut ring = Ring::new(page);
            let (mut printed, mut typed) = (VecDeque::<u8>::new(), VecDeque::<u8>::new());
            for op in ops {
                match op {
                    Op::GuestPrints(bytes) => {
                        let count = guest.print(&bytes);
                        printed.extend(&bytes[..count]);
                    }
                    Op::GuestTakes(max) => {
                        for byte in guest.take(max) {
                            prop_assert_eq!(typed.pop_front(), Some(byte));
                        }
                    }
                    Op::HostReads => {
                        let mut out = Vec::new();
                        let found = ring.read(&mut out);
                        prop_assert_eq!(found == Found::Bytes, !printed.is_empty());
                        prop_assert_eq!(&out, printed.make_contiguous());
                        printed.clear();
                    }
                    Op::HostWrites(bytes) => {
                        let count = ring.write(bytes.iter().copied());
                        prop_assert_eq!(count, bytes.len().min(CONSOLE_IN_SIZE - typed.len()));
                        typed.extend(&bytes[..count]);
                    }
                }
            }
        }

        /// A guest may write anything into its indices: never more than the ring comes out or goes
        /// in, and a sensible index works again.
        #[test]
        fn a_lying_guest_gains_nothing(
            lies in proptest::collection::vec((0_usize..4, any::<u32>()), 1..30),
        ) {
            let (guest, page) = Guest::new(0);
            let mut ring = Ring::new(page);
            let indices = [CONSOLE_IN_CONS, CONSOLE_IN_PROD, CONSOLE_OUT_CONS, CONSOLE_OUT_PROD];
            for (which, value) in lies {
                guest.set(indices[which], value);
                let mut out = Vec::new();
                ring.read(&mut out);
                prop_assert!(out.len() <= CONSOLE_OUT_SIZE);
                prop_assert!(ring.write(std::iter::repeat(b'x')) <= CONSOLE_IN_SIZE);
            }
            guest.set(CONSOLE_OUT_PROD, guest.get(CONSOLE_OUT_CONS));
            let mut out = Vec::new();
            ring.read(&mut out);
            out.clear();
            guest.set(CONSOLE_OUT_PROD, ring.out_cons);
            guest.set(CONSOLE_OUT_CONS, ring.out_cons);
            guest.print(b"again");
            prop_assert_eq!(ring.read(&mut out), Found::Bytes);
            prop_assert_eq!(out, b"again");
        }
    }
}
