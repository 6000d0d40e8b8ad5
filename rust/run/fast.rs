// SPDX-License-Identifier: GPL-2.0-only

//! Exits that are answered in the section: no lock, no allocation, no indirect call.
//!
//! Each function returns an [`Answer`].

use super::io::DEBUG_PORT;
use super::Running;
use crate::abi::errno::EPERM;
use crate::abi::hvm;
use crate::abi::version;
use crate::abi::xen;
use crate::domain::clock::XEN_VERSION;
use crate::emulate::skip::Skip;
use crate::emulate::CodeWidth;
use crate::hw::state::GP0;
use crate::hw::{
    Backend,
    IoAccess,
    Vcpu as _, //
};
use crate::sys::irq::IrqsOff;
use crate::trace;
use crate::vm_event::Want;

/// What became of an exit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The guest can be entered again at once.
    Again,
    /// It can after a look at what is to be delivered.
    Events,
    /// There is none yet: leave the section.
    None,
}

impl<B: Backend> Running<'_, B> {
    /// CPUID.
    #[inline]
    pub(super) fn fast_cpuid(&mut self, irqs: &IrqsOff) -> Answer {
        let Some(next) = self.skip(Skip::Cpuid, irqs) else {
            return Answer::Again;
        };
        // CAST: CPUID looks at the low halves.
        let (leaf, subleaf) = (self.hw.gpr(0) as u32, self.hw.gpr(1) as u32);
        self.answer_cpuid(leaf, subleaf);
        self.complete(next);
        Answer::Again
    }

    /// Puts what CPUID says into the registers.
    #[inline(always)]
    pub(super) fn answer_cpuid(&mut self, leaf: u32, subleaf: u32) {
        let [a, b, c, d] = self.cpuid_values(leaf, subleaf);
        self.hw.set_gpr(0, a.into());
        self.hw.set_gpr(3, b.into());
        self.hw.set_gpr(1, c.into());
        self.hw.set_gpr(2, d.into());
    }

    /// What CPUID says.
    #[inline(always)]
    pub(super) fn cpuid_values(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        self.policy
            .lookup(leaf, subleaf, &self.owned.view, &self.view)
    }

    /// VMMCALL, for the hypercalls that need nothing but registers.
    #[inline]
    pub(super) fn fast_hypercall(&mut self, irqs: &IrqsOff) -> Answer {
        let op = self.hw.gpr(0);
        let wide = self.code_width() == CodeWidth::Bits64;
        let (op, first) = if wide {
            (op, self.hw.gpr(7))
        } else {
            (op & 0xffff_ffff, self.hw.gpr(3) & 0xffff_ffff)
        };
        let result = if self.hw.cpl() != 0 {
            if self.user_may_ask(op, first) {
                return Answer::None;
            }
            // User mode has no other hypercalls.
            i64::from(EPERM.to_raw()) as u64
        } else if op == u64::from(xen::XEN_VERSION) && first as u32 == version::VERSION {
            XEN_VERSION.into()
        } else {
            return Answer::None;
        };
        let Some(next) = self.skip(Skip::Vmmcall, irqs) else {
            return Answer::Again;
        };
        trace::hypercall(|| trace::Hypercall {
            domid: self.domain.id().into(),
            // CAST: There are 128 vCPUs at most.
            vcpu: self.vcpu.id() as i32,
            op,
            arg0: first,
            arg1: if wide {
                self.hw.gpr(6)
            } else {
                self.hw.gpr(1) & 0xffff_ffff
            },
            // CAST: The register holds a signed number.
            result: result as i64,
        });
        self.hw
            .set_gpr(0, if wide { result } else { result & 0xffff_ffff });
        self.complete(next);
        Answer::Again
    }

    /// Whether user mode asks to be looked at by a monitor, which it may. The monitor has the last word.
    #[cold]
    pub(super) fn user_may_ask(&self, op: u64, first: u64) -> bool {
        let asks = op == u64::from(xen::HVM_OP) && first as u32 == hvm::GUEST_REQUEST_VM_EVENT;
        asks && self.want.any(Want::USER_REQUESTS)
    }

    /// IN and OUT, unless the answer has to leave the section.
    #[inline]
    pub(super) fn fast_io(&mut self, io: IoAccess) -> Answer {
        if io.string || io.port == DEBUG_PORT || self.domain.serves_port(io.port) {
            return Answer::None;
        }
        self.unserved_io(io);
        Answer::Again
    }

    /// RDMSR.
    #[inline]
    pub(super) fn fast_msr_read(&mut self, irqs: &IrqsOff) -> Answer {
        let Some(next) = self.skip(Skip::Rdmsr, irqs) else {
            return Answer::Again;
        };
        // CAST: The index is in the low half.
        match self.read_msr(self.hw.gpr(1) as u32) {
            Some(value) => {
                self.hw.set_gpr(0, value & 0xffff_ffff);
                self.hw.set_gpr(2, value >> 32);
                self.complete(next);
            }
            None => self.inject(GP0),
        }
        Answer::Again
    }

    /// WRMSR, unless it must leave the section.
    #[inline]
    pub(super) fn fast_msr_write(&mut self, irqs: &IrqsOff) -> Answer {
        // CAST: The index and the parts of the value are in low halves.
        let msr = self.hw.gpr(1) as u32;
        if super::msr::must_leave_section(msr) {
            return Answer::None;
        }
        let Some(next) = self.skip(Skip::Wrmsr, irqs) else {
            return Answer::Again;
        };
        let value = self.hw.gpr(0) & 0xffff_ffff | self.hw.gpr(2) << 32;
        if self.write_msr(msr, value) {
            self.complete(next);
        } else {
            self.inject(GP0);
        }
        // What was written may have made an interrupt deliverable or set a timer.
        if super::msr::has_effect(msr) {
            Answer::Events
        } else {
            Answer::Again
        }
    }
}
