// SPDX-License-Identifier: GPL-2.0-only

//! The guest's x87, MMX and vector registers, as the emulator sees them.

use super::GuestOps;
use crate::emulate::area::{
    self,
    Layout, //
};
use crate::emulate::ops::{
    Exception,
    Fault,
    Fpu,
    Ops,
    Rest,
    Result, //
};
use crate::hw::{
    Backend,
    Vcpu as _, //
};

impl<B: Backend> GuestOps<'_, '_, B> {
    /// Where the processor keeps the vector registers that have no fixed place.
    fn layout(&self) -> Layout {
        let policy = &self.running.policy;
        Layout {
            avx: policy.xsave_offset(2) as usize,
            zmm_high: policy.xsave_offset(6) as usize,
            zmm_16: policy.xsave_offset(7) as usize,
        }
    }

    /// Changes vector registers.
    fn change(&mut self, change: impl FnOnce(&mut [u8]) -> Option<()>) -> Result {
        self.may_change()?;
        // As after a write to another register.
        self.running.end_access();
        let done = self.running.hw.change_vector_registers(change);
        done.ok_or(Fault::Unhandleable)
    }
}

/// Registers are moved to and from memory. The kernel has no arithmetic for what a device says, and so there is none.
impl<B: Backend> Fpu for GuestOps<'_, '_, B> {
    fn vector(&self, number: u8, into: &mut [u8]) -> Result {
        let area = self.running.hw.vector_registers();
        area::vector(area, &self.layout(), number, into).ok_or(Fault::Unhandleable)
    }

    fn set_vector(&mut self, number: u8, from: &[u8], rest: Rest) -> Result {
        let layout = self.layout();
        self.change(|area| area::set_vector(area, &layout, number, from, rest))
    }

    fn mmx(&self, number: u8) -> Result<u64> {
        let area = self.running.hw.vector_registers();
        if area::has_pending_exception(area).ok_or(Fault::Unhandleable)? {
            return Err(Exception::X87.into());
        }
        area::mmx(area, number).ok_or(Fault::Unhandleable)
    }

    fn set_mmx(&mut self, number: u8, value: u64) -> Result {
        self.change(|area| area::set_mmx(area, number, value))
    }

    fn enter_mmx(&mut self) -> Result {
        self.change(area::enter_mmx)
    }

    fn mxcsr(&self) -> Result<u32> {
        area::mxcsr(self.running.hw.vector_registers()).ok_or(Fault::Unhandleable)
    }

    fn set_mxcsr(&mut self, value: u32) -> Result {
        let mask = area::mxcsr_mask(self.running.hw.vector_registers());
        if value & !mask.ok_or(Fault::Unhandleable)? != 0 {
            return Err(Exception::protection(self.mode()).into());
        }
        self.change(|area| area::set_mxcsr(area, value))
    }
}
