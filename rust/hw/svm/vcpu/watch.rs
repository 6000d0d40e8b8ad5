// SPDX-License-Identifier: GPL-2.0-only

//! What leaves the guest because somebody watches it.

use super::super::msrpm;
use super::super::vmcb::{
    clean,
    intercept, //
};
use super::SvmVcpu;
use crate::abi::errno::Result;
use crate::hw::Watch;

impl SvmVcpu {
    /// [`Vcpu::watch`](crate::hw::Vcpu::watch).
    pub(super) fn intercept_watched(&mut self, what: &Watch) {
        let bit = |on: bool, bit: u32| if on { bit } else { 0 };
        let controls = bit(what.cr0, 1 << 16) | bit(what.cr3, 1 << (16 + 3));
        self.breakpoints = what.breakpoints;
        let breakpoints = bit(what.breakpoints, 1 << 3);
        let descriptors = bit(what.descriptors, intercept::DESCRIPTORS);
        let icebp = bit(what.debug, intercept::ICEBP);
        let vmcb = self.change(clean::INTERCEPTS);
        vmcb.intercept_cr = vmcb.intercept_cr & !(1 << 16 | 1 << (16 + 3)) | controls;
        vmcb.intercept_exceptions = vmcb.intercept_exceptions & !(1 << 3) | breakpoints;
        vmcb.intercept_3 =
            vmcb.intercept_3 & !(intercept::DESCRIPTORS | intercept::INTN) | descriptors;
        vmcb.intercept_4 = vmcb.intercept_4 & !intercept::ICEBP | icebp;
    }

    /// [`Vcpu::watch_msrs`](crate::hw::Vcpu::watch_msrs).
    pub(super) fn intercept_msrs(&mut self, msrs: &[u32]) -> Result {
        let shared = self.shared;
        let capabilities = &shared.capabilities;
        let mut direct = msrs
            .iter()
            .copied()
            .filter(|msr| msrpm::is_written_directly(capabilities, *msr))
            .peekable();
        let (map, phys) = if direct.peek().is_some() {
            let mut map = msrpm::build(capabilities)?;
            direct.for_each(|msr| msrpm::watch(&mut map, msr));
            let phys = map.phys();
            (Some(map), phys)
        } else {
            (None, shared.msrpm.phys())
        };
        self.change(clean::IOPM_MSRPM).msrpm = phys | shared.encryption;
        // The guest does not run: the processor has forgotten the old one's address at the next entry.
        self.msrpm = map;
        Ok(())
    }
}
