// SPDX-License-Identifier: GPL-2.0-only

//! Hypercalls of guests: registers in, registers out.
//!
//! 64-bit code: RAX, arguments in RDI, RSI, RDX, R10, R8, R9. Other code: EAX, arguments in EBX, ECX, EDX, ESI, EDI,
//! EBP.

use super::Running;
use crate::abi::errno::{
    EPERM,
    ERESTART, //
};
use crate::emulate::CodeWidth;
use crate::hw::{
    Backend,
    Vcpu as _, //
};
use crate::hypercall::caller::{
    Caller,
    Origin,
    Width, //
};
use crate::hypercall::{
    dispatch,
    result_to_reg, //
};

/// Numbers of the argument registers.
const ARGS_64: [u8; 6] = [7, 6, 2, 10, 8, 9];
const ARGS_32: [u8; 6] = [3, 1, 2, 6, 7, 5];

impl<B: Backend> Running<'_, B> {
    /// Performs the hypercall for which the guest exited.
    pub(super) fn guest_call(&mut self) {
        let Some(next) = self.insn.next_rip else {
            return;
        };
        let wide = self.code_width() == CodeWidth::Bits64;
        let mask = if wide { u64::MAX } else { 0xffff_ffff };
        let registers = if wide { ARGS_64 } else { ARGS_32 };
        let op = self.hw.gpr(0) & mask;
        let mut args = registers.map(|number| self.hw.gpr(number) & mask);
        let before = args;
        let [first, ..] = args;
        if self.hw.cpl() != 0 && !self.user_may_ask(op, first) {
            // The section says the same where it answers.
            self.hw.set_gpr(0, result_to_reg(Err(EPERM)) & mask);
            return self.complete(next);
        }

        let caller = Caller {
            hypervisor: self.hypervisor,
            domain: self.domain,
            origin: Origin::Guest {
                vcpu: self.vcpu,
                paging: self.paging(),
            },
            width: if wide { Width::Bits64 } else { Width::Bits32 },
            owner: None,
            only: None,
            session: None,
        };
        match dispatch(&caller, op, &mut args) {
            Err(errno) if errno == ERESTART => {
                // The instruction is executed again with what remains.
                for ((number, old), new) in registers.into_iter().zip(before).zip(args) {
                    if old != new {
                        self.hw.set_gpr(number, new);
                    }
                }
            }
            result => {
                if self.vcpu.take_guest_request() {
                    self.guest_request();
                }
                self.hw.set_gpr(0, result_to_reg(result) & mask);
                self.complete(next);
            }
        }
        if self.vcpu.take_invalidate() {
            self.invalidate_mappings();
        }
    }
}
