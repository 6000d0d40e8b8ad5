// SPDX-License-Identifier: GPL-2.0-only

//! HVM parameters (`HVMOP_set_param`, `HVMOP_get_param`): the store. Who may set what is the hypercall's business.

use crate::abi::hvm::params::NR_PARAMS;

/// The parameters of a domain.
pub(crate) struct Params([u64; NR_PARAMS as usize]);

impl Params {
    /// All 0.
    pub(crate) const fn new() -> Self {
        Self([0; NR_PARAMS as usize])
    }

    /// One parameter, or `None` if there is no such.
    pub(crate) fn get(&self, index: u32) -> Option<u64> {
        self.0.get(index as usize).copied()
    }

    /// Sets one; `None` if there is no such.
    pub(crate) fn set(&mut self, index: u32, value: u64) -> Option<()> {
        *self.0.get_mut(index as usize)? = value;
        Some(())
    }
}
