// SPDX-License-Identifier: GPL-2.0-only

//! Safe wrappers over what the `kernel` crate lacks.
//!
//! Everything here is the thinnest safe form of one kernel facility. The floors above use these and the
//! `kernel` crate, and hold no `unsafe` of their own but where the design fences it.

pub(crate) mod alloc;
pub(crate) mod atomic;
pub(crate) mod chardev;
pub(crate) mod clock;
pub(crate) mod cpu;
pub(crate) mod debugfs;
pub(crate) mod fpu;
pub(crate) mod gate;
pub(crate) mod global;
pub(crate) mod hold;
pub(crate) mod irq;
pub(crate) mod irqlock;
pub(crate) mod log;
pub(crate) mod module;
pub(crate) mod msr;
pub(crate) mod page;
pub(crate) mod random;
pub(crate) mod raw;
pub(crate) mod sched;
pub(crate) mod symbols;
pub(crate) mod thread;
pub(crate) mod timer;
pub(crate) mod trust;
pub(crate) mod wait;

use crate::abi::errno::{
    self,
    Errno, //
};

impl From<kernel::error::Error> for Errno {
    fn from(error: kernel::error::Error) -> Self {
        Errno::from_raw(error.to_errno().into()).unwrap_or(errno::EINVAL)
    }
}

impl From<Errno> for kernel::error::Error {
    fn from(errno: Errno) -> Self {
        kernel::error::Error::from_errno(errno.to_raw())
    }
}

impl From<kernel::alloc::AllocError> for Errno {
    fn from(_: kernel::alloc::AllocError) -> Self {
        errno::ENOMEM
    }
}
