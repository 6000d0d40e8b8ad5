// SPDX-License-Identifier: GPL-2.0-only

//! Memory exchanged in one step, for a locked instruction of a guest at any alignment.
//!
//! What lies within 16 aligned bytes is exchanged by one instruction of the processor, so that nobody sees a part of it
//! or comes between. What does not is exchanged in two such steps: the first part, then the second, and if that is not
//! what it was the first is put back. Another processor may see the first part alone. The caller lets one exchange
//! happen at a time, so that those that are made here never do.

use core::sync::atomic::Ordering::{
    Relaxed,
    SeqCst, //
};

use crate::sys::page::{
    SharedPage,
    PAGE_SIZE, //
};

/// Bytes that are exchanged at once.
const UNIT: usize = 16;
/// How often what surrounds the bytes may change meanwhile.
const TRIES: usize = 64;

/// Replaces `old` by `new`, from byte `offset` of the first page on, which may go on in the second. Returns whether it
/// was `old`; `None` if that is not 1 to 16 bytes.
pub(crate) fn compare_exchange(
    pages: [&SharedPage; 2],
    offset: usize,
    old: &[u8],
    new: &[u8],
) -> Option<bool> {
    if old.is_empty() || old.len() > UNIT || new.len() != old.len() || offset >= PAGE_SIZE {
        return None;
    }
    let [first, second] = pages;
    if let Some(done) = word(first, offset, old, new) {
        return Some(done);
    }
    let (base, at) = (offset & !(UNIT - 1), offset & (UNIT - 1));
    let room = UNIT - at;
    if old.len() <= room {
        return part(first, base, at, old, new);
    }
    let (old_head, old_tail) = old.split_at_checked(room)?;
    let (new_head, new_tail) = new.split_at_checked(room)?;
    let (page, next) = match base + UNIT {
        PAGE_SIZE => (second, 0),
        next => (first, next),
    };
    let mask = mask(0, old_tail.len());
    if load(page, next)? & mask != number(old_tail) || !part(first, base, at, old_head, new_head)? {
        return Some(false);
    }
    let done = part(page, next, 0, old_tail, new_tail)?;
    if !done {
        // If it has changed too it is somebody else's by now.
        part(first, base, at, new_head, old_head)?;
    }
    Some(done)
}

/// Replaces one aligned word; `None` if it is none.
fn word(page: &SharedPage, offset: usize, old: &[u8], new: &[u8]) -> Option<bool> {
    Some(match old.len() {
        1 => {
            let ([old], [new]) = (old.first_chunk()?, new.first_chunk()?);
            let word = page.byte(offset)?;
            word.compare_exchange(*old, *new, SeqCst, SeqCst).is_ok()
        }
        2 => {
            let old = u16::from_le_bytes(*old.first_chunk()?);
            let new = u16::from_le_bytes(*new.first_chunk()?);
            let word = page.word16(offset)?;
            word.compare_exchange(old, new, SeqCst, SeqCst).is_ok()
        }
        4 => {
            let old = u32::from_le_bytes(*old.first_chunk()?);
            let new = u32::from_le_bytes(*new.first_chunk()?);
            let word = page.word32(offset)?;
            word.compare_exchange(old, new, SeqCst, SeqCst).is_ok()
        }
        8 => {
            let old = u64::from_le_bytes(*old.first_chunk()?);
            let new = u64::from_le_bytes(*new.first_chunk()?);
            let word = page.word64(offset)?;
            word.compare_exchange(old, new, SeqCst, SeqCst).is_ok()
        }
        _ => return None,
    })
}

/// Replaces bytes within a unit, which is at `base`, from its byte `at` on.
fn part(page: &SharedPage, base: usize, at: usize, old: &[u8], new: &[u8]) -> Option<bool> {
    let mask = mask(at, old.len());
    let (old, new) = (shifted(number(old), at), shifted(number(new), at));
    let mut now = load(page, base)?;
    for _ in 0..TRIES {
        if now & mask != old {
            return Some(false);
        }
        match page.compare_exchange128(base, now, now & !mask | new)? {
            Ok(()) => return Some(true),
            Err(other) => now = other,
        }
    }
    Some(false)
}

/// What a unit holds, in two steps.
fn load(page: &SharedPage, base: usize) -> Option<u128> {
    let low = page.word64(base)?.load(Relaxed);
    let high = page.word64(base + 8)?.load(Relaxed);
    Some(u128::from(high) << 64 | u128::from(low))
}

/// A number from `at` bytes on; `at` is less than 16.
fn shifted(number: u128, at: usize) -> u128 {
    // CAST: Less than 128.
    number << ((at * 8) as u32 & 127)
}

/// The bits of `len` bytes from `at` on.
fn mask(at: usize, len: usize) -> u128 {
    let bits = match len {
        UNIT.. => u128::MAX,
        len => shifted(1, len) - 1,
    };
    shifted(bits, at)
}

/// Up to 16 bytes as a number.
fn number(bytes: &[u8]) -> u128 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests;
