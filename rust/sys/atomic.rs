// SPDX-License-Identifier: GPL-2.0-only

//! Atomic words.
//!
//! `core`'s atomics, and not the kernel's: a word that is shared with a guest has a partner outside the
//! Linux memory model, the module runs on x86 only, and on a kernel without inlined helpers each of the
//! kernel's operations is a call, which the exit path cannot afford.

pub(crate) use core::sync::atomic::{
    fence,
    AtomicBool,
    AtomicI32,
    AtomicU16,
    AtomicU32,
    AtomicU64,
    AtomicU8,
    Ordering, //
};
