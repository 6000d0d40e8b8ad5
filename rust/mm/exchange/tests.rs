// SPDX-License-Identifier: GPL-2.0-only

//! Every length at every offset that matters, and processors that do it at the same time.

use std::sync::Mutex;
use std::thread;

use super::*;

/// Sizes of locked accesses.
const SIZES: [usize; 5] = [1, 2, 4, 8, 16];

fn two_pages() -> [SharedPage; 2] {
    let pages = [SharedPage::zeroed().unwrap(), SharedPage::zeroed().unwrap()];
    for (page, from) in pages.iter().zip([1, 101]) {
        for at in 0..PAGE_SIZE {
            page.byte(at).unwrap().store((at as u8) ^ from, Relaxed);
        }
    }
    pages
}

fn bytes(pages: &[SharedPage; 2], offset: usize, len: usize) -> Vec<u8> {
    (offset..offset + len)
        .map(|at| {
            pages[at / PAGE_SIZE]
                .byte(at % PAGE_SIZE)
                .unwrap()
                .load(Relaxed)
        })
        .collect()
}

fn exchange(pages: &[SharedPage; 2], offset: usize, old: &[u8], new: &[u8]) -> Option<bool> {
    let [first, second] = pages;
    compare_exchange([first, second], offset, old, new)
}

/// E-7: whatever the alignment, all of it is exchanged, and nothing beside it.
#[test]
fn e7_locked_accesses_of_every_size_at_every_offset() {
    for len in SIZES {
        for offset in (0..64).chain(PAGE_SIZE - 64..PAGE_SIZE) {
            let pages = two_pages();
            let before = bytes(&pages, 0, 2 * PAGE_SIZE);
            let old = bytes(&pages, offset, len);
            let new: Vec<u8> = old.iter().map(|byte| !byte).collect();
            assert_eq!(
                exchange(&pages, offset, &old, &new),
                Some(true),
                "{len} at {offset}"
            );
            let mut expected = before;
            expected[offset..offset + len].copy_from_slice(&new);
            assert!(
                bytes(&pages, 0, 2 * PAGE_SIZE) == expected,
                "{len} at {offset}"
            );
        }
    }
}

/// E-6: if any byte is another one, nothing is written.
#[test]
fn e6_nothing_is_written_if_a_byte_has_changed() {
    for len in SIZES {
        for offset in (0..32).chain(PAGE_SIZE - 32..PAGE_SIZE) {
            for wrong in 0..len {
                let pages = two_pages();
                let before = bytes(&pages, 0, 2 * PAGE_SIZE);
                let mut old = bytes(&pages, offset, len);
                old[wrong] ^= 0x40;
                let new = vec![0xee; len];
                assert_eq!(
                    exchange(&pages, offset, &old, &new),
                    Some(false),
                    "{len} at {offset}"
                );
                assert!(
                    bytes(&pages, 0, 2 * PAGE_SIZE) == before,
                    "{len} at {offset}"
                );
            }
        }
    }
}

#[test]
fn what_is_no_operand_is_refused() {
    let pages = two_pages();
    for (offset, old, new) in [(0, 0, 0), (0, 17, 17), (0, 4, 8), (PAGE_SIZE, 4, 4)] {
        assert_eq!(exchange(&pages, offset, &vec![0; old], &vec![0; new]), None);
    }
}

/// E-7: no addition is lost of those that are made at the same time, one exchange at a time as its user has it: to
/// numbers that lie across each other and across two pages.
#[test]
fn e7_no_locked_addition_is_lost() {
    const EACH: u64 = 2000;
    for offset in [0x38, 0x3e, 0x3c, PAGE_SIZE - 2, PAGE_SIZE - 8] {
        let pages = [SharedPage::zeroed().unwrap(), SharedPage::zeroed().unwrap()];
        let one = Mutex::new(());
        let add = || {
            for _ in 0..EACH {
                loop {
                    let old = bytes(&pages, offset, 8);
                    let value = u64::from_le_bytes(*old.first_chunk().unwrap());
                    // Carries go from one part to the other all the time.
                    let new = (value + 0x0101).to_le_bytes();
                    let _one = one.lock().unwrap();
                    if exchange(&pages, offset, &old, &new).unwrap() {
                        break;
                    }
                }
            }
        };
        thread::scope(|scope| {
            scope.spawn(add);
            scope.spawn(add);
        });
        let sum = bytes(&pages, offset, 8);
        assert_eq!(
            u64::from_le_bytes(*sum.first_chunk().unwrap()),
            2 * EACH * 0x0101
        );
    }
}

/// What others do to the bytes around is not lost, without any exclusion.
#[test]
fn neighbours_keep_what_they_write() {
    const EACH: u32 = 20000;
    let pages = [SharedPage::zeroed().unwrap(), SharedPage::zeroed().unwrap()];
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..EACH {
                pages[0].word16(8).unwrap().fetch_add(1, SeqCst);
            }
        });
        for value in 0..EACH {
            let (old, new) = (value.to_le_bytes(), (value + 1).to_le_bytes());
            while exchange(&pages, 3, &old, &new) != Some(true) {}
        }
    });
    assert_eq!(bytes(&pages, 3, 4), EACH.to_le_bytes());
    assert_eq!(pages[0].word16(8).unwrap().load(SeqCst), EACH as u16);
}
