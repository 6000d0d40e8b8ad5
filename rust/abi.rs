// SPDX-License-Identifier: GPL-2.0-only

//! Xen's public structures and numbers, as Debian's `libxen-dev` 4.20 declares them.
//!
//! Pure: uses `core` and `zerocopy` only, so that the same files are compiled on the host for
//! tests. Structures are written by hand with explicit padding and derive zerocopy's traits, which
//! prove at compile time that every bit pattern is valid and that no padding byte is ever leaked to
//! a caller.
//!
//! A file per Xen header, named like it. Structures are those of a 64-bit caller; what a 32-bit
//! guest lays out differently stands in the file's `compat` module under the same name and converts
//! with [`layout::Widen`]. Numbers drop the prefix that the file's name already says.

#[macro_use]
pub(crate) mod layout;

#[cfg(test)]
mod check;

pub(crate) mod console_io;
pub(crate) mod cpuid;
pub(crate) mod dm_op;
pub(crate) mod domctl;
pub(crate) mod elfnote;
pub(crate) mod errno;
pub(crate) mod event_channel;
pub(crate) mod evtchn_dev;
pub(crate) mod gntdev;
pub(crate) mod grant_table;
pub(crate) mod hvm;
pub(crate) mod memory;
pub(crate) mod oxen;
pub(crate) mod physdev;
pub(crate) mod platform;
pub(crate) mod privcmd;
pub(crate) mod sched;
pub(crate) mod sysctl;
pub(crate) mod vcpu;
pub(crate) mod version;
pub(crate) mod vm_event;
pub(crate) mod xen;
