// SPDX-License-Identifier: GPL-2.0-only

//! Where a vCPU may and would rather run (`XEN_DOMCTL_setvcpuaffinity`).

use crate::abi::errno::Result;
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL, //
};
use crate::sys::cpu;

/// A set of processors, a bit each.
pub(crate) struct CpuSet(pub(crate) KVec<u64>);

impl CpuSet {
    /// Makes the set of the processors for which `is_in` holds.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(is_in: impl Fn(u32) -> bool) -> Result<Self> {
        let end = cpu::nr_ids();
        let words = end.div_ceil(64) as usize;
        let mut set = KVec::with_capacity(words, GFP_KERNEL)?;
        set.resize(words, 0, GFP_KERNEL)?;
        for cpu in (0..end).filter(|cpu| is_in(*cpu)) {
            if let Some(word) = set.get_mut(cpu as usize / 64) {
                *word |= 1 << (cpu % 64);
            }
        }
        Ok(Self(set))
    }

    /// Makes the set of all processors that may ever be online.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn all() -> Result<Self> {
        Self::new(|_| true)
    }

    /// Makes the set of the processors that are online.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn online() -> Result<Self> {
        Self::new(cpu::is_online)
    }

    /// Whether a processor is in the set.
    pub(crate) fn contains(&self, cpu: u32) -> bool {
        let word = self.0.get(cpu as usize / 64).copied().unwrap_or(0);
        word >> (cpu % 64) & 1 != 0
    }

    /// Takes out what is not in `other`.
    pub(crate) fn retain(&mut self, other: &Self) {
        for (index, word) in self.0.iter_mut().enumerate() {
            *word &= other.0.get(index).copied().unwrap_or(0);
        }
    }

    /// Makes the same set again.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn copy(&self) -> Result<Self> {
        Self::new(|cpu| self.contains(cpu))
    }
}

/// The affinity of one vCPU; `None` is every processor.
#[derive(Default)]
pub(crate) struct Affinity {
    /// Where it may run. Its thread is bound to these.
    pub(crate) hard: Option<CpuSet>,
    /// Where it would rather run. Kept and reported; the host's scheduler has no such preference.
    pub(crate) soft: Option<CpuSet>,
}
