// SPDX-License-Identifier: GPL-2.0-only

//! An account as it stands in a guest's memory (`vcpu_runstate_info`), and how it is written there.
//!
//! Source: `xen/vcpu.h`. The guest reads while we write. With the update flag, the top bit of
//! `state_entry_time`, it can tell: it takes the time of entry, the rest, and the time of entry
//! again, and starts over if the flag was set or the two differ. So the flag is set before anything
//! of the body changes, and cleared after all of it has. Each is one store of the byte that
//! the flag is in, so that the rest of the word is not in question. What is written comes from our
//! own account only; the guest's memory is never read.

use crate::abi::vcpu::{
    self as abi,
    compat, //
};
use crate::sys::atomic::{
    fence,
    Ordering, //
};

use super::Runstate;

/// Memory that a record is written to. Offsets are from the record's start; what would lie beyond
/// its end is not stored.
pub(crate) trait Sink {
    /// Stores a byte.
    fn store8(&self, at: usize, value: u8);
    /// Stores 32 bits.
    fn store32(&self, at: usize, value: u32);
    /// Stores 64 bits, in any order of the bytes and in any number of pieces.
    fn store64(&self, at: usize, value: u64);
}

/// How the record is laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Layout {
    /// For 64-bit guests.
    Native,
    /// For 32-bit guests.
    Compat,
}

impl Layout {
    /// Returns the layout for a guest of this width.
    pub(crate) const fn of(compat: bool) -> Self {
        if compat {
            Self::Compat
        } else {
            Self::Native
        }
    }

    /// Returns the record's length in bytes.
    pub(crate) const fn len(self) -> usize {
        match self {
            Self::Native => abi::RUNSTATE_SIZE,
            Self::Compat => compat::RUNSTATE_SIZE,
        }
    }
}

/// Shift that brings the top byte of a 64-bit word down.
const TOP: u32 = 56;

/// Writes `account` to `sink`; with `flag`, so that a reader can tell.
///
/// Eight stores, or six without the flag.
#[inline(always)]
pub(crate) fn publish<S: Sink>(sink: &S, account: &Runstate, layout: Layout, flag: bool) {
    let (entry, time) = match layout {
        Layout::Native => (abi::RUNSTATE_STATE_ENTRY_TIME, abi::RUNSTATE_TIME),
        Layout::Compat => (compat::RUNSTATE_STATE_ENTRY_TIME, compat::RUNSTATE_TIME),
    };
    let mark = if flag { abi::RUNSTATE_UPDATE } else { 0 };
    // Cleared, should the clock ever run for 292 years.
    let entered = account.entered & !abi::RUNSTATE_UPDATE;
    if flag {
        // CAST: the top byte.
        sink.store8(entry + 7, ((entered | mark) >> TOP) as u8);
        // The flag is seen before anything of the body.
        fence(Ordering::Release);
    }
    // CAST: 0 to 3.
    let state = account.state as u32;
    match layout {
        // With the padding behind it.
        Layout::Native => sink.store64(abi::RUNSTATE_STATE, state.into()),
        Layout::Compat => sink.store32(compat::RUNSTATE_STATE, state),
    }
    sink.store64(entry, entered | mark);
    let [running, runnable, blocked, offline] = account.time;
    sink.store64(time, running);
    sink.store64(time + 8, runnable);
    sink.store64(time + 16, blocked);
    sink.store64(time + 24, offline);
    if flag {
        // All of the body is seen before the flag goes.
        fence(Ordering::Release);
        // CAST: the top byte.
        sink.store8(entry + 7, (entered >> TOP) as u8);
    }
}

const _: () = assert!(abi::RUNSTATE_STATE_ENTRY_TIME == abi::RUNSTATE_STATE + 8);
const _: () = assert!(compat::RUNSTATE_STATE_ENTRY_TIME == compat::RUNSTATE_STATE + 4);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::State;
    use super::*;
    use std::cell::RefCell;

    /// What was stored, in order, and what is there.
    #[derive(Default)]
    struct Log {
        bytes: RefCell<Vec<u8>>,
        stores: RefCell<Vec<(usize, usize)>>,
        /// The byte with the flag after each store.
        flags: RefCell<Vec<u8>>,
    }

    impl Log {
        fn new(layout: Layout) -> Self {
            let log = Self::default();
            *log.bytes.borrow_mut() = vec![0x5a; layout.len()];
            log
        }
        fn store(&self, at: usize, value: &[u8]) {
            let mut bytes = self.bytes.borrow_mut();
            bytes[at..at + value.len()].copy_from_slice(value);
            self.stores.borrow_mut().push((at, value.len()));
            let flag = if bytes.len() == 48 { 15 } else { 11 };
            self.flags.borrow_mut().push(bytes[flag]);
        }
    }

    impl Sink for Log {
        fn store8(&self, at: usize, value: u8) {
            self.store(at, &[value]);
        }
        fn store32(&self, at: usize, value: u32) {
            self.store(at, &value.to_le_bytes());
        }
        fn store64(&self, at: usize, value: u64) {
            self.store(at, &value.to_le_bytes());
        }
    }

    fn account() -> Runstate {
        let mut account = Runstate::new(State::Offline, 0x0102_0304_0506_0708);
        account.change(State::Runnable, 0x0102_0304_0506_0710);
        account.change(State::Running, 0x0102_0304_0506_0730);
        account.change(State::Blocked, 0x0102_0304_0506_0800);
        account
    }

    fn word(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
    }

    #[test]
    fn r_11_both_layouts() {
        for flag in [false, true] {
            let log = Log::new(Layout::Native);
            publish(&log, &account(), Layout::Native, flag);
            let bytes = log.bytes.borrow();
            assert_eq!(word(&bytes, 0), 2, "state, and padding that is 0");
            let words = [8, 16, 24, 32, 40].map(|at| word(&bytes, at));
            assert_eq!(words, [0x0102_0304_0506_0800, 0xd0, 0x20, 0, 8]);

            let log = Log::new(Layout::Compat);
            publish(&log, &account(), Layout::Compat, flag);
            let bytes = log.bytes.borrow();
            assert_eq!(bytes[..4], [2, 0, 0, 0]);
            let words = [4, 12, 20, 28, 36].map(|at| word(&bytes, at));
            assert_eq!(words, [0x0102_0304_0506_0800, 0xd0, 0x20, 0, 8]);
        }
    }

    #[test]
    fn r_6_update_flag_is_set_before_the_body_is_written_and_cleared_after_it() {
        for (layout, flag_at) in [(Layout::Native, 15), (Layout::Compat, 11)] {
            let log = Log::new(layout);
            publish(&log, &account(), layout, true);
            let stores = log.stores.borrow();
            assert_eq!(stores.first(), Some(&(flag_at, 1)), "one byte");
            assert_eq!(
                stores.last(),
                Some(&(flag_at, 1)),
                "one byte, nothing after it"
            );
            let flags = log.flags.borrow();
            let (last, before) = flags.split_last().unwrap();
            assert!(before.iter().all(|flag| flag & 0x80 != 0));
            assert_eq!(*last, 1, "the time's own top byte");
        }
    }

    /// Goal P6: at most 8 stores.
    #[test]
    fn p_6_number_of_stores() {
        for layout in [Layout::Native, Layout::Compat] {
            for (flag, number) in [(true, 8), (false, 6)] {
                let log = Log::new(layout);
                publish(&log, &account(), layout, flag);
                assert_eq!(log.stores.borrow().len(), number);
            }
        }
    }

    /// RS-3: the flag is the area's, never the account's.
    #[test]
    fn rs_3_flag_does_not_leak_into_the_account() {
        let account = account();
        let log = Log::new(Layout::Native);
        publish(&log, &account, Layout::Native, true);
        assert_eq!(account.info().state_entry_time, 0x0102_0304_0506_0800);
        assert_eq!(
            account.snapshot(u64::MAX >> 1).state_entry_time & abi::RUNSTATE_UPDATE,
            0
        );
        let log = Log::new(Layout::Native);
        publish(&log, &account, Layout::Native, false);
        assert!(log.flags.borrow()[1..].iter().all(|flag| flag & 0x80 == 0));
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::super::State;
    use super::*;
    use crate::interleave::check;
    use loom::sync::atomic::AtomicU64;
    use loom::sync::Arc;
    use loom::thread;

    /// A record in the native layout.
    struct Words([AtomicU64; 6]);

    impl Sink for Words {
        fn store8(&self, at: usize, value: u8) {
            // Loom knows no parts of words. There is one writer, so nothing comes in between.
            let (word, shift) = (&self.0[at / 8], at % 8 * 8);
            let kept = word.load(Ordering::Relaxed) & !(0xff << shift);
            word.store(kept | u64::from(value) << shift, Ordering::Relaxed);
        }
        fn store32(&self, _: usize, _: u32) {
            unreachable!("the native layout has none");
        }
        fn store64(&self, at: usize, value: u64) {
            self.0[at / 8].store(value, Ordering::Relaxed);
        }
    }

    /// What the guest does, as Linux does it; `None` is "try again".
    fn read(words: &Words) -> Option<[u64; 6]> {
        let before = words.0[1].load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        let all = words.0.each_ref().map(|word| word.load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        let after = words.0[1].load(Ordering::Relaxed);
        (before == after && before & abi::RUNSTATE_UPDATE == 0).then_some(all)
    }

    /// a reader that tries again while the flag is set never sees a torn record.
    #[test]
    fn loom_runstate_record_is_never_torn() {
        check(|| {
            let mut account = Runstate::new(State::Offline, 0);
            account.change(State::Running, 3);
            let words = Arc::new(Words([0, 3, 0, 0, 0, 3].map(AtomicU64::new)));
            let reader = {
                let words = words.clone();
                thread::spawn(move || {
                    if let Some([state, entered, time @ ..]) = read(&words) {
                        assert_eq!(time.iter().sum::<u64>(), entered);
                        assert_eq!(state == 0, entered == 3);
                        assert_eq!(state == 2, entered == 10);
                    }
                })
            };
            account.change(State::Blocked, 10);
            publish(&*words, &account, Layout::Native, true);
            reader.join().unwrap();
            assert_eq!(read(&words), Some([2, 10, 7, 0, 0, 3]));
        });
    }
}
