// SPDX-License-Identifier: GPL-2.0-only

//! Where tools wait for a word to become other than 0, outside of the gate.

use kernel::types::Opaque;
use pin_init::{
    pin_data,
    PinInit, //
};

use crate::sys::atomic::{
    AtomicU32,
    Ordering, //
};
use crate::sys::raw;

/// Room for the kernel's structure in words; checked when the module starts.
const WORDS: usize = 16;

/// A word that can be waited for.
#[pin_data]
pub(crate) struct WaitWord {
    word: AtomicU32,
    #[pin]
    queue: Opaque<[u64; WORDS]>,
}

// SAFETY: The kernel's queue has a lock of its own.
unsafe impl Send for WaitWord {}
// SAFETY: As above.
unsafe impl Sync for WaitWord {}

impl WaitWord {
    /// The word is 0.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init::pin_init!(Self {
            word: AtomicU32::new(0),
            queue <- Opaque::ffi_init(|slot: *mut [u64; WORDS]| {
                // SAFETY: The slot is large enough, see `check_size`, and pinned.
                unsafe { raw::oxen_fixed_wait_init(slot.cast()) };
            }),
        })
    }

    /// Sets the word. Whoever waits is woken when it is not 0.
    pub(crate) fn set(&self, value: u32) {
        self.word.store(value, Ordering::SeqCst);
        if value != 0 {
            // SAFETY: Initialised in `new`.
            unsafe { raw::oxen_fixed_wait_wake(self.queue.get().cast()) };
        }
    }

    /// What is needed to wait for the word. Valid as long as the word.
    pub(crate) fn waiter(&self) -> Waiter {
        Waiter {
            word: self.word.as_ptr(),
            queue: self.queue.get().cast(),
        }
    }
}

/// A word to wait for.
#[derive(Clone, Copy)]
pub(crate) struct Waiter {
    word: *const u32,
    queue: *mut raw::wait_queue_head,
}

impl Waiter {
    /// Waits until the word is not 0. Returns whether a signal came instead.
    ///
    /// # Safety
    ///
    /// The [`WaitWord`] must be there until this returns.
    #[inline(always)]
    pub(crate) unsafe fn wait(self) -> bool {
        // SAFETY: By the contract both are valid. Callers may sleep.
        unsafe { raw::oxen_fixed_wait(self.queue, self.word) }
    }
}

/// Whether the room for the kernel's structure is enough in this kernel.
pub(crate) fn check_size() -> bool {
    // SAFETY: Returns a constant.
    unsafe { raw::oxen_fixed_wait_size() as usize <= WORDS * 8 }
}
