// SPDX-License-Identifier: GPL-2.0-only

//! Messages in a page that somebody else can write at any time.

use zerocopy::{
    FromZeros,
    IntoBytes, //
};

use crate::abi::vm_event::VmEvent;
use crate::sys::atomic::Ordering;
use crate::sys::page::SharedPage;

const _: () = assert!(core::mem::size_of::<VmEvent>() % 8 == 0);

/// Writes a message at byte `at`, a multiple of eight. The caller publishes it.
pub(super) fn store(page: &SharedPage, at: usize, event: &VmEvent) {
    for (offset, bytes) in (at..).step_by(8).zip(event.as_bytes().chunks_exact(8)) {
        let value = bytes
            .first_chunk()
            .map_or(0, |word| u64::from_le_bytes(*word));
        if let Some(word) = page.word64(offset) {
            word.store(value, Ordering::Relaxed);
        }
    }
}

/// Takes a copy of the message at byte `at`, each word once. `None` if it is not all in the page.
pub(super) fn load(page: &SharedPage, at: usize) -> Option<VmEvent> {
    let mut event = VmEvent::new_zeroed();
    for (offset, bytes) in (at..)
        .step_by(8)
        .zip(event.as_mut_bytes().chunks_exact_mut(8))
    {
        let value = page.word64(offset)?.load(Ordering::Relaxed);
        bytes.copy_from_slice(&value.to_le_bytes());
    }
    Some(event)
}
