// SPDX-License-Identifier: GPL-2.0-only

//! Breakpoints, other exceptions and interrupts that a monitor wants to hear of, and single steps.

use zerocopy::FromZeros;

use crate::abi::vm_event as abi;
use crate::domain::monitor::{
    After,
    Stage, //
};
use crate::emulate::decode::{
    decode,
    Decoded,
    Map, //
};
use crate::emulate::ops::{
    Ops as _,
    Software, //
};
use crate::emulate::CodeWidth;
use crate::hw::state::{
    Event,
    SegmentName,
    DR6_BS,
    EFER_LMA,
    RFLAGS_TF,
    RFLAGS_VM, //
};
use crate::hw::{
    Backend,
    Exit,
    Vcpu as _, //
};
use crate::mm::guest::copy_from_linear;
use crate::run::mmio::{
    GuestOps,
    Rules, //
};
use crate::run::Running;
use crate::vm_event::Want;

impl<B: Backend> Running<'_, B> {
    /// An exception that left the guest.
    pub(in crate::run) fn exception(&mut self, exit: Exit) {
        let Exit::Exception { vector, error } = exit else {
            return;
        };
        let length = match vector {
            3 => match self.breakpoint_length() {
                Some(length) => length,
                // Memory holds another instruction by now. The guest executes what is there.
                None => return,
            },
            _ => 0,
        };
        match vector {
            3 if self.want.any(Want::BREAKPOINT) => {
                let mut detail = abi::Debug::new_zeroed();
                detail.gfn = self.code_frame();
                detail.insn_length = length.into();
                detail.type_ = SOFTWARE_EXCEPTION;
                let after = After::Exception {
                    vector,
                    error,
                    length,
                };
                self.report(abi::REASON_SOFTWARE_BREAKPOINT, &detail, true, after);
            }
            1 if self.want.any(Want::DEBUG) => {
                let causes = self.hw.dr(6) & DEBUG_CAUSES;
                self.debug_exception(causes, 0);
            }
            _ => self.pass_exception(vector, error, length),
        }
    }

    /// ICEBP, which raises a debug exception that is none of the processor's.
    pub(in crate::run) fn icebp(&mut self) {
        match self.length_if(|insn| insn.map == Map::One && insn.opcode == 0xf1) {
            Some(length) if self.want.any(Want::DEBUG) => self.debug_exception(0, length),
            Some(length) => self.pass_exception(1, None, length),
            None => {}
        }
    }

    /// Reports a debug exception: `causes` of it as in DR6, or the `length` of the instruction that raises it.
    fn debug_exception(&mut self, causes: u64, length: u8) {
        let mut detail = abi::Debug::new_zeroed();
        detail.gfn = self.code_frame();
        detail.insn_length = length.into();
        detail.pending_dbg = causes;
        detail.type_ = if length == 0 {
            HARDWARE_EXCEPTION
        } else {
            PRIVILEGED_EXCEPTION
        };
        let sync = self.want.any(Want::DEBUG_SYNC);
        let after = if sync {
            After::Exception {
                vector: 1,
                error: None,
                length,
            }
        } else {
            After::Nothing
        };
        self.report(abi::REASON_DEBUG_EXCEPTION, &detail, sync, after);
        if !sync {
            self.pass_exception(1, None, length);
        }
    }

    /// INT3 or another software interrupt that left the guest.
    pub(in crate::run) fn software_interrupt(&mut self) {
        let Some(insn) = self.instruction().filter(|insn| insn.map == Map::One) else {
            return self.hw.pass_software_interrupt(None);
        };
        let vector = match insn.opcode {
            0xcc => {
                return self.exception(Exit::Exception {
                    vector: 3,
                    error: None,
                });
            }
            // CAST: The constant is a byte.
            0xcd => insn.immediate as u8,
            0xce => 4,
            // Memory holds another instruction by now. The guest executes what is there.
            _ => return,
        };
        let next = self.hw.rip().wrapping_add(insn.len.into());
        let next = self.wrap_rip(next, self.code_width());
        let allowed = self.may_interrupt(vector);
        self.hw
            .pass_software_interrupt(allowed.then_some((vector, next)));
    }

    /// Gives the guest the interrupt or exception that an instruction of `len` bytes has raised which was carried out
    /// in software; `false` if that cannot be done.
    pub(in crate::run) fn interrupted_by(
        &mut self,
        vector: u8,
        by: Software,
        len: u8,
        width: CodeWidth,
    ) -> bool {
        match by {
            Software::Interrupt if self.may_interrupt(vector) => {
                let next = self.hw.rip().wrapping_add(len.into());
                let next = self.wrap_rip(next, width);
                self.hw.pass_software_interrupt(Some((vector, next)));
            }
            // What its monitor's IOPL and redirection map say of it is the processor's to look at.
            Software::Interrupt if self.hw.rflags() & RFLAGS_VM != 0 => return false,
            Software::Interrupt => self.inject(Event::Exception {
                vector: GP,
                error: Some(u32::from(vector) << 3 | ERROR_IDT),
            }),
            Software::Exception | Software::Privileged => self.pass_exception(vector, None, len),
        }
        true
    }

    /// Whether the privilege level lets the guest use the gate of a software interrupt.
    fn may_interrupt(&self, vector: u8) -> bool {
        let cpl = self.hw.cpl();
        if cpl == 0 {
            return true;
        }
        if self.hw.rflags() & RFLAGS_VM != 0 {
            return false;
        }
        let size = if self.hw.efer() & EFER_LMA != 0 {
            16
        } else {
            8
        };
        let table = self.hw.segment(SegmentName::Idtr).base;
        let at = table
            .wrapping_add(u64::from(vector).wrapping_mul(size))
            .wrapping_add(5);
        let mut access = [0];
        copy_from_linear(&self.domain.p2m, &self.paging(), at, &mut access).is_ok()
            && access.first().is_some_and(|access| access >> 5 & 3 >= cpl)
    }

    /// Gives the guest the exception that left it. One that an instruction raises comes behind that.
    pub(super) fn pass_exception(&mut self, vector: u8, error: Option<u32>, length: u8) {
        if length != 0 {
            let next = self.hw.rip().wrapping_add(length.into());
            let next = self.wrap_rip(next, self.code_width());
            self.hw.set_rip(next);
            self.hw.clear_interrupt_shadow();
        }
        self.inject(Event::Exception { vector, error });
    }

    /// Bytes of the breakpoint instruction that left the guest, with its prefixes.
    fn breakpoint_length(&mut self) -> Option<u8> {
        if let Some(next) = self.insn.next_rip {
            // It is carried out in software, and known.
            return u8::try_from(next.wrapping_sub(self.hw.rip())).ok();
        }
        self.length_if(|insn| insn.map == Map::One && insn.opcode == 0xcc)
    }

    /// Bytes of the instruction at RIP that left the guest, if it is the one that `is` looks for, or the processor
    /// says.
    fn length_if(&mut self, is: impl FnOnce(&Decoded) -> bool) -> Option<u8> {
        let found = match self.instruction() {
            Some(insn) => is(&insn).then_some(insn.len),
            // It cannot be read. Without prefixes it is one byte.
            None => Some(1),
        };
        let length = self
            .hw
            .next_rip()
            .and_then(|next| u8::try_from(next.wrapping_sub(self.hw.rip())).ok());
        length.filter(|length| matches!(length, 1..=15)).or(found)
    }

    /// The instruction at RIP.
    fn instruction(&mut self) -> Option<Decoded> {
        self.fetch_again();
        let width = self.code_width();
        let bytes = self.insn.bytes;
        let bytes = bytes.get(..self.insn.len)?;
        let vendor = GuestOps::new(self, &Rules::CHECKED).vendor();
        decode(bytes, width, vendor).ok()
    }

    /// Reports the interrupt that the guest gets next, if a monitor wants to hear of it.
    pub(in crate::run) fn report_interrupt(&mut self) -> bool {
        if !self.owned.watched.next_interrupt {
            return false;
        }
        self.deliver_now();
        let Some(event) = self.hw.pending_event() else {
            return false;
        };
        self.owned.watched.next_interrupt = false;
        let (vector, kind, error) = match event {
            Event::Interrupt(vector) => (vector, EXTERNAL_INTERRUPT, None),
            Event::Nmi => (2, NMI, None),
            Event::Exception { vector, error } => (vector, HARDWARE_EXCEPTION, error),
        };
        let mut detail = abi::InterruptX86::new_zeroed();
        (detail.vector, detail.type_) = (vector.into(), kind.into());
        detail.error_code = error.unwrap_or(u32::MAX);
        detail.cr2 = self.hw.cr2();
        self.report(abi::REASON_INTERRUPT, &detail, true, After::Nothing);
        true
    }

    /// Has the guest execute one instruction, by its own means: the processor's trap flag. Returns what ended it.
    ///
    /// Interrupts are not delivered meanwhile. The guest can see the flag where an instruction or exception stores
    /// RFLAGS.
    pub(in crate::run) fn step(&mut self) -> Exit {
        let own = self.hw.rflags() & RFLAGS_TF != 0;
        let flags = self.hw.rflags();
        let before = self.hw.rip();
        // The processor adds causes to those that are there: what comes now is to be told from them.
        let old = self.hw.dr(6);
        self.hw.set_dr(6, old & !DEBUG_CAUSES);
        self.hw.set_rflags(flags | RFLAGS_TF);
        let exit = self.section();
        if !own {
            let flags = self.hw.rflags();
            self.hw.set_rflags(flags & !RFLAGS_TF);
        }
        let new = self.hw.dr(6);
        let trap = matches!(exit, Exit::Exception { vector: 1, .. }) && new & DR6_BS != 0;
        // The step is the guest's too if it steps itself, and a breakpoint of its own comes with it.
        let (new, guests) = if trap && !own {
            (new & !DR6_BS, new & DR6_BREAKPOINTS != 0)
        } else {
            (new, true)
        };
        self.hw.set_dr(6, new | old & DEBUG_CAUSES);
        if guests {
            self.handle(exit);
        }
        // What was carried out in software has not trapped.
        if trap || self.hw.rip() != before && !self.hw.injection_pending() {
            self.stepped();
        }
        exit
    }

    /// A single step that the monitor asked for is done.
    pub(super) fn stepped(&mut self) {
        if !self.want.any(Want::SINGLE_STEP) {
            return;
        }
        if self.owned.watched.stage != Stage::None {
            // The instruction is an event of another kind, which comes first.
            self.owned.watched.stepped = true;
            return;
        }
        let detail = abi::Singlestep {
            gfn: self.code_frame(),
        };
        self.report(abi::REASON_SINGLESTEP, &detail, true, After::Nothing);
    }
}

/// General protection, and the bit of its error code that says that a gate was meant.
const GP: u8 = 13;
const ERROR_IDT: u32 = 1 << 1;
/// DR6.B0 to B3: breakpoints.
const DR6_BREAKPOINTS: u64 = 0xf;
/// Causes of a debug exception in DR6, as the interface has them: breakpoints, BD, BS.
const DEBUG_CAUSES: u64 = 0x600f;
/// Kinds of events as in event injection (`HVMOP_TRAP_*`).
const EXTERNAL_INTERRUPT: u8 = 0;
const NMI: u8 = 2;
const HARDWARE_EXCEPTION: u8 = 3;
const PRIVILEGED_EXCEPTION: u8 = 5;
const SOFTWARE_EXCEPTION: u8 = 6;
