// SPDX-License-Identifier: GPL-2.0-only

//! The kernel's fallible collections, under the names that pure rooms import.

pub(crate) use kernel::alloc::flags::{
    GFP_ATOMIC,
    GFP_KERNEL,
    GFP_KERNEL_ACCOUNT, //
};
pub(crate) use kernel::alloc::{
    AllocError,
    KBox,
    KVVec,
    KVec, //
};
