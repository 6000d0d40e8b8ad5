// SPDX-License-Identifier: GPL-2.0-only

//! Injected events that an instruction has raised which is over: #BP, #OF, and INT n on a processor that is emulated.
//!
//! RIP is behind the instruction then, where the handler is to return to. A processor that says where instructions end
//! takes that address from `next_rip`. When an exit interrupts the delivery, the event does not come again by itself.

use super::super::vmcb::event;
use super::SvmVcpu;

/// What becomes of a software interrupt that has left the guest.
#[derive(Clone, Copy)]
pub(super) enum Pass {
    /// There is none.
    None,
    /// The guest executes it, in a section that such instructions do not leave.
    Execute,
    /// It is injected, if the guest is still at `rip`.
    Inject {
        /// Its vector.
        vector: u8,
        /// Where the instruction is.
        rip: u64,
        /// RIP after it.
        next: u64,
    },
}

/// What was injected, and where.
#[derive(Clone, Copy)]
pub(super) struct Soft {
    rip: u64,
    rsp: u64,
    /// Where the instruction is and what shadow it is in, if it can be executed again: INT n.
    back: Option<(u64, u64)>,
}

/// Whether an event is #BP or #OF.
const fn is_soft_exception(bits: u64) -> bool {
    bits & event::VALID != 0
        && bits & event::TYPE_MASK == event::TYPE_EXCEPTION
        && matches!(bits & 0xff, 3 | 4)
}

impl SvmVcpu {
    /// Prepares what is injected at the first entry of a section. Returns whether software interrupts are the guest's
    /// own in this section.
    pub(super) fn begin_soft(&mut self) -> bool {
        self.soft = None;
        let pass = core::mem::replace(&mut self.pass, Pass::None);
        let (pending, rip) = (self.vmcb().event_inj, self.vmcb().rip);
        if pending != 0 || self.reinject != 0 {
            // The instruction comes later, and exits once more.
            self.note_soft(pending);
            return false;
        }
        match pass {
            Pass::None => false,
            Pass::Execute => true,
            Pass::Inject {
                vector,
                rip: at,
                next,
            } => {
                if at == rip {
                    let vmcb = self.vmcb_mut();
                    let shadow = vmcb.interrupt_state;
                    (vmcb.rip, vmcb.next_rip) = (next, next);
                    vmcb.interrupt_state = 0;
                    vmcb.event_inj = event::VALID | event::TYPE_SOFT | u64::from(vector);
                    self.soft = Some(Soft {
                        rip: next,
                        rsp: vmcb.rsp,
                        back: Some((rip, shadow)),
                    });
                }
                false
            }
        }
    }

    /// Takes back what no entry has injected.
    pub(super) fn end_soft(&mut self) {
        let pending = self.vmcb().event_inj;
        if pending & event::VALID != 0 && pending & event::TYPE_MASK == event::TYPE_SOFT {
            self.vmcb_mut().event_inj = 0;
            self.undo_soft();
        }
    }

    /// Goes back to the software interrupt whose delivery was interrupted, if it was injected.
    pub(super) fn undo_soft(&mut self) {
        if !self.was_injected() {
            return;
        }
        if let Some((rip, shadow)) = self.soft.take().and_then(|soft| soft.back) {
            let vmcb = self.vmcb_mut();
            vmcb.rip = rip;
            vmcb.interrupt_state = shadow;
        }
    }

    /// Whether the event whose delivery was interrupted is the one that was injected, and not one that an instruction
    /// of the guest has raised since.
    pub(super) fn was_injected(&self) -> bool {
        let vmcb = self.vmcb();
        self.soft
            .is_some_and(|soft| soft.rip == vmcb.rip && soft.rsp == vmcb.rsp)
    }

    /// Injects the event once more whose delivery was interrupted.
    #[cold]
    #[inline(never)]
    pub(super) fn inject_again(&mut self) {
        let event = core::mem::take(&mut self.reinject);
        self.vmcb_mut().event_inj = event;
        self.note_soft(event);
    }

    fn note_soft(&mut self, event: u64) {
        if !is_soft_exception(event) {
            return;
        }
        let vmcb = self.vmcb_mut();
        vmcb.next_rip = vmcb.rip;
        self.soft = Some(Soft {
            rip: vmcb.rip,
            rsp: vmcb.rsp,
            back: None,
        });
    }
}
