// SPDX-License-Identifier: GPL-2.0-only

//! The end of an instruction that the hypervisor has executed: RIP, the shadow of interrupts, RF, and the trap of a
//! guest that single-steps.

use super::Running;
use crate::hw::state::{
    Event,
    DR6_BS,
    RFLAGS_RF,
    RFLAGS_TF, //
};
use crate::hw::{
    Backend,
    Vcpu as _, //
};

impl<B: Backend> Running<'_, B> {
    /// Completes an instruction.
    #[inline]
    pub(super) fn complete(&mut self, next_rip: u64) {
        self.hw.set_rip(next_rip);
        self.hw.clear_interrupt_shadow();
        let flags = self.hw.rflags();
        if flags & (RFLAGS_TF | RFLAGS_RF) != 0 {
            self.complete_traced(flags, false);
        }
    }

    /// Completes an instruction that the emulator has executed, and that may have written RFLAGS, which were `before`.
    /// Whether a single-step trap is due is known from these. `keeps_rf` says that RF is what the instruction has
    /// loaded.
    pub(super) fn complete_emulated(&mut self, next_rip: u64, before: u64, keeps_rf: bool) {
        self.hw.set_rip(next_rip);
        self.hw.clear_interrupt_shadow();
        self.complete_traced(before, keeps_rf);
    }

    /// Ends an iteration of a repeated instruction that has more of them: what ends with an instruction ends with it
    /// too, and a guest that single-steps gets its trap. A breakpoint at the instruction does not count again for what
    /// is left of it.
    pub(super) fn complete_iteration(&mut self) {
        self.hw.clear_interrupt_shadow();
        let flags = self.hw.rflags();
        if flags & RFLAGS_RF == 0 {
            self.hw.set_rflags(flags | RFLAGS_RF);
        }
        if flags & RFLAGS_TF != 0 {
            self.trap_step();
        }
    }

    /// Completes STI, or an instruction that loads SS (`stack`): no interrupt comes before the next one is over, and
    /// after a load of SS no trap either.
    pub(super) fn complete_with_shadow(&mut self, next_rip: u64, stack: bool) {
        if stack {
            self.hw.set_rip(next_rip);
            let flags = self.hw.rflags();
            self.hw.set_rflags(flags & !RFLAGS_RF);
        } else {
            self.complete(next_rip);
        }
        if !self.hw.injection_pending() {
            self.hw.begin_interrupt_shadow();
        }
    }

    /// What RF and TF ask for at the end of an instruction: see [`complete_emulated`](Self::complete_emulated).
    #[inline(never)]
    fn complete_traced(&mut self, before: u64, keeps_rf: bool) {
        let flags = self.hw.rflags();
        if flags & RFLAGS_RF != 0 && !keeps_rf {
            self.hw.set_rflags(flags & !RFLAGS_RF);
        }
        if before & RFLAGS_TF != 0 {
            self.trap_step();
        }
    }

    /// The trap after an instruction of a guest that single-steps, unless there is something else to deliver.
    fn trap_step(&mut self) {
        if self.hw.injection_pending() {
            return;
        }
        let dr6 = self.hw.dr(6);
        self.hw.set_dr(6, dr6 | DR6_BS);
        self.inject(Event::Exception {
            vector: 1,
            error: None,
        });
    }
}
