// SPDX-License-Identifier: GPL-2.0-only

//! The guest's x87, MMX and vector registers, as the emulator sees them.

use super::{
    GuestOps,
    Place, //
};
use crate::emulate::area::{
    self,
    Layout, //
};
use crate::emulate::ops::{
    Exception,
    Fault,
    Fpu,
    Ops,
    Replay,
    Rest,
    Result, //
};
use crate::hw::{
    Backend,
    Vcpu as _, //
};
use crate::mm::access::Part;
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL, //
};

impl<B: Backend> GuestOps<'_, '_, B> {
    /// Where the processor keeps the vector registers that have no fixed place.
    fn places(&self) -> Layout {
        let policy = &self.running.policy;
        Layout {
            avx: policy.xsave_offset(2) as usize,
            opmask: policy.xsave_offset(5) as usize,
            zmm_high: policy.xsave_offset(6) as usize,
            zmm_16: policy.xsave_offset(7) as usize,
            // As the processor has it, whatever the guest is told.
            aligned: self.running.hypervisor.policies.raw.xsave_aligned(),
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

impl Place {
    /// The `len` bytes that begin `from` bytes after the start; `None` if there are not so many.
    pub(super) fn part(&self, from: usize, len: usize) -> Option<Self> {
        let end = from.checked_add(len)?;
        let room = self.first.len.checked_add(self.second.len)?;
        if len == 0 || end > room {
            return None;
        }
        let first_len = self.first.len;
        let head = Part {
            gpa: self.first.gpa.wrapping_add(from as u64),
            len: end.min(first_len).saturating_sub(from),
        };
        let skipped = from.saturating_sub(first_len);
        let tail = Part {
            gpa: self.second.gpa.wrapping_add(skipped as u64),
            len: len.saturating_sub(head.len),
        };
        let none = Part { gpa: 0, len: 0 };
        Some(match (head.len, tail.len) {
            (0, _) => Self {
                first: tail,
                second: none,
            },
            (_, 0) => Self {
                first: head,
                second: none,
            },
            _ => Self {
                first: head,
                second: tail,
            },
        })
    }
}

/// Registers are moved to and from memory here; all else another processor does (`replay.rs`).
impl<B: Backend> Fpu for GuestOps<'_, '_, B> {
    type Area = KVec<u8>;

    fn area(&self) -> Result<Self::Area> {
        // A copy for one instruction. Without memory for it the instruction is started again.
        let mut copy = KVec::new();
        copy.extend_from_slice(self.running.hw.vector_registers(), GFP_KERNEL)
            .map_err(|_| self.running.short_of_something())?;
        Ok(copy)
    }

    fn set_area(&mut self, area: Self::Area) -> Result {
        self.change(|registers| {
            // What the processor could not load is put right by who keeps them.
            for (to, from) in registers.iter_mut().zip(area.iter()) {
                *to = *from;
            }
            Some(())
        })
    }

    fn layout(&self) -> Result<Layout> {
        Ok(self.places())
    }

    fn opmask(&self, number: u8) -> Result<u64> {
        let area = self.running.hw.vector_registers();
        area::opmask(area, &self.places(), number).ok_or(Fault::Unhandleable)
    }

    fn vector(&self, number: u8, into: &mut [u8]) -> Result {
        let area = self.running.hw.vector_registers();
        area::vector(area, &self.places(), number, into).ok_or(Fault::Unhandleable)
    }

    fn set_vector(&mut self, number: u8, from: &[u8], rest: Rest) -> Result {
        let layout = self.places();
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

    fn replay(&mut self, replay: &mut Replay) -> Result {
        if self.probes() {
            // It would come to the next access.
            return Ok(());
        }
        match self.running.replay(replay) {
            Err(Fault::Exception(exception)) if exception.vector == 13 => {
                Err(Exception::protection(self.mode()).into())
            }
            done => done,
        }
    }

    fn commit_replay(&mut self) {
        if !self.probes() {
            self.running.commit_replay();
        }
    }
}
