// SPDX-License-Identifier: GPL-2.0-only

//! Guest memory mapped into this process.
//!
//! The guest may run, and change the memory at any time: it is only ever copied or read as atomics,
//! and no reference to its bytes exists.

use std::num::NonZeroUsize;
use std::os::fd::{
    AsFd,
    BorrowedFd, //
};
use std::ptr::NonNull;
use std::sync::atomic::{
    AtomicU32,
    AtomicU8, //
};

use nix::errno::Errno;
use nix::sys::mman::{
    mmap,
    munmap,
    MapFlags,
    ProtFlags, //
};

/// What a mapping is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Only to be written: what lies there is of no interest.
    Write,
    /// To be read and written.
    ReadWrite,
}

/// A piece of this process' address space that shows guest memory; unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    address: NonNull<u8>,
    length: NonZeroUsize,
}

impl Mapping {
    /// Maps `length` bytes at `offset` of a device or file.
    ///
    /// # Errors
    ///
    /// Fails as mmap(2) does, and with EINVAL for a length of 0.
    pub(crate) fn new<F: AsFd>(
        fd: F,
        offset: i64,
        length: usize,
        access: Access,
    ) -> Result<Self, Errno> {
        let length = NonZeroUsize::new(length).ok_or(Errno::EINVAL)?;
        let prot = match access {
            Access::Write => ProtFlags::PROT_WRITE,
            Access::ReadWrite => ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
        };
        let fd: BorrowedFd<'_> = fd.as_fd();
        // SAFETY: the kernel chooses the place, so nothing that exists is replaced.
        let address = unsafe { mmap(None, length, prot, MapFlags::MAP_SHARED, fd, offset)? };
        Ok(Self {
            address: address.cast(),
            length,
        })
    }

    /// Returns where the mapping begins, for the kernel to fill it.
    pub(super) fn address(&self) -> u64 {
        self.address.as_ptr() as u64
    }

    /// Returns the length in bytes.
    pub(crate) const fn len(&self) -> usize {
        self.length.get()
    }

    /// Returns whether `count` bytes at `offset` lie within.
    fn contains(&self, offset: usize, count: usize) -> bool {
        offset
            .checked_add(count)
            .is_some_and(|end| end <= self.len())
    }

    /// Copies `bytes` to `offset`.
    ///
    /// # Panics
    ///
    /// Panics if they do not fit: every caller maps what it is about to write.
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(
            self.contains(offset, bytes.len()),
            "write outside a mapping"
        );
        // SAFETY: the range was checked to lie within the mapping, which is writable and, being
        // memory of a guest, overlaps nothing of ours.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                self.address.as_ptr().add(offset),
                bytes.len(),
            );
        }
    }

    /// Clears `count` bytes at `offset`.
    ///
    /// # Panics
    ///
    /// Panics if they do not fit.
    pub(crate) fn zero(&self, offset: usize, count: usize) {
        assert!(self.contains(offset, count), "write outside a mapping");
        // SAFETY: the range was checked to lie within the mapping, which is writable.
        unsafe { std::ptr::write_bytes(self.address.as_ptr().add(offset), 0, count) };
    }

    /// Returns the byte at `offset` for shared access, or `None` outside the mapping.
    pub(crate) fn byte(&self, offset: usize) -> Option<&AtomicU8> {
        if !self.contains(offset, 1) {
            return None;
        }
        // SAFETY: the byte lies within the mapping, which lives as long as `self`; an atomic allows
        // the guest to change it meanwhile.
        Some(unsafe { AtomicU8::from_ptr(self.address.as_ptr().add(offset)) })
    }

    /// Returns the 32-bit word at `offset` for shared access, or `None` outside the mapping or if
    /// the offset is no multiple of 4.
    pub(crate) fn word(&self, offset: usize) -> Option<&AtomicU32> {
        if offset % 4 != 0 || !self.contains(offset, 4) {
            return None;
        }
        // SAFETY: the word lies within the mapping, which lives as long as `self`, and is aligned,
        // as the mapping begins at a page; an atomic allows the guest to change it meanwhile.
        Some(unsafe { AtomicU32::from_ptr(self.address.as_ptr().add(offset).cast()) })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is ours, and every borrow of it has ended. A failure leaves it mapped,
        // which harms nobody.
        let _ = unsafe { munmap(self.address.cast(), self.len()) };
    }
}
