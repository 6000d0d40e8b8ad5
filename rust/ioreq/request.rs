// SPDX-License-Identifier: GPL-2.0-only

//! One access of a guest that a device model answers.

use crate::abi::dm_op::{
    IOREQ_TYPE_COPY,
    IOREQ_TYPE_INVALIDATE,
    IOREQ_TYPE_PCI_CONFIG,
    IOREQ_TYPE_PIO, //
};

/// What is accessed, as `xen/hvm/ioreq.h` numbers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Ports.
    Port = IOREQ_TYPE_PIO,
    /// Memory.
    Memory = IOREQ_TYPE_COPY,
    /// The configuration of a PCI function; the address has the function in its upper half.
    PciConfig = IOREQ_TYPE_PCI_CONFIG,
    /// Nothing: mappings of guest memory are to be forgotten.
    Invalidate = IOREQ_TYPE_INVALIDATE,
}

/// One access, or a message to all servers. Our own copy, which no device model can change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Request {
    /// What is accessed.
    pub(crate) kind: Kind,
    /// Where.
    pub(crate) addr: u64,
    /// Bytes: 1, 2, 4 or 8.
    pub(crate) size: u32,
    /// Whether it reads.
    pub(crate) read: bool,
    /// What it writes; 0 if it reads.
    pub(crate) data: u64,
}

impl Request {
    /// Makes an access that reads.
    pub(crate) const fn read(kind: Kind, addr: u64, size: u32) -> Self {
        Self {
            kind,
            addr,
            size,
            read: true,
            data: 0,
        }
    }

    /// Makes an access that writes the low `size` bytes of `data`.
    pub(crate) const fn write(kind: Kind, addr: u64, size: u32, data: u64) -> Self {
        Self {
            kind,
            addr,
            size,
            read: false,
            data: data & mask(size),
        }
    }

    /// Makes the message that mappings of guest memory are to be forgotten.
    pub(crate) const fn invalidate() -> Self {
        Self {
            kind: Kind::Invalidate,
            addr: 0,
            size: 4,
            read: false,
            data: u64::MAX,
        }
    }

    /// Returns the last address that is accessed, or `None` if the access would wrap.
    pub(crate) fn last(&self) -> Option<u64> {
        self.addr.checked_add(u64::from(self.size).checked_sub(1)?)
    }

    /// Returns the part of an answer that this access takes: none of it if it writes (I-8).
    pub(crate) const fn take(&self, answer: u64) -> u64 {
        if self.read {
            answer & mask(self.size)
        } else {
            0
        }
    }
}

/// Returns the bits that `size` bytes hold.
const fn mask(size: u32) -> u64 {
    match size {
        0..=7 => (1 << (8 * size)) - 1,
        _ => u64::MAX,
    }
}
