// SPDX-License-Identifier: GPL-2.0-only

//! Fallible collections with the interface of the kernel's `KVec` and `KBox`.

use core::ops::{Deref, DerefMut};

/// Allocation flags; without meaning on the host.
#[derive(Clone, Copy)]
pub(crate) struct Flags;

/// May sleep.
pub(crate) const GFP_KERNEL: Flags = Flags;
/// May sleep, charged to the caller's memory cgroup.
pub(crate) const GFP_KERNEL_ACCOUNT: Flags = Flags;
/// Must not sleep.
pub(crate) const GFP_ATOMIC: Flags = Flags;

/// An allocation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AllocError;

impl From<AllocError> for crate::abi::errno::Errno {
    fn from(_: AllocError) -> Self {
        crate::abi::errno::ENOMEM
    }
}

/// A growable array.
pub(crate) struct KVec<T>(Vec<T>);

impl<T> KVec<T> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }
    pub(crate) fn with_capacity(capacity: usize, _flags: Flags) -> Result<Self, AllocError> {
        Ok(Self(Vec::with_capacity(capacity)))
    }
    pub(crate) fn push(&mut self, value: T, _flags: Flags) -> Result<(), AllocError> {
        self.0.push(value);
        Ok(())
    }
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }
    pub(crate) fn reserve(&mut self, additional: usize, _flags: Flags) -> Result<(), AllocError> {
        self.0.reserve(additional);
        Ok(())
    }
    pub(crate) fn resize(&mut self, len: usize, value: T, _flags: Flags) -> Result<(), AllocError>
    where
        T: Clone,
    {
        self.0.resize(len, value);
        Ok(())
    }
    pub(crate) fn extend_from_slice(&mut self, other: &[T], _flags: Flags) -> Result<(), AllocError>
    where
        T: Clone,
    {
        self.0.extend_from_slice(other);
        Ok(())
    }
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
    pub(crate) fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
    pub(crate) fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl<T: core::fmt::Debug> core::fmt::Debug for KVec<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

impl<T> Deref for KVec<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> DerefMut for KVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T> IntoIterator for KVec<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// An owned value on the heap.
pub(crate) struct KBox<T>(Box<T>);

impl<T> KBox<T> {
    pub(crate) fn new(value: T, _flags: Flags) -> Result<Self, AllocError> {
        Ok(Self(Box::new(value)))
    }
}

impl<T> Deref for KBox<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for KBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

/// A virtually contiguous growable array, for what may be larger than a few pages.
pub(crate) type KVVec<T> = KVec<T>;
