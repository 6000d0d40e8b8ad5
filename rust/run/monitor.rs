// SPDX-License-Identifier: GPL-2.0-only

//! Events for a monitor, and what its answers do.
//!
//! An event is made, and the vCPU goes back to its loop, where it can be stopped, paused and destroyed like any that
//! waits. It neither runs nor gets an interrupt before the answer is there (E-8). What it was about to do happens after
//! the answer, or is done again by the guest.

use zerocopy::{
    FromZeros,
    Immutable,
    IntoBytes, //
};

use super::mmio::{
    GuestOps,
    Rules, //
};
use super::Running;
use crate::abi::vm_event::{
    self as abi,
    VmEvent, //
};
use crate::domain::monitor::{
    After,
    Stage, //
};
use crate::domain::vcpu::request;
use crate::emulate::decode::{
    decode,
    Decoded,
    Map, //
};
use crate::emulate::ops::Ops as _;
use crate::hw::npt::P2mType;
use crate::hw::rights::{
    Judgement,
    Kind,
    Rights, //
};
use crate::hw::state::{
    Event,
    SegmentName,
    EFER_LMA,
    GP0,
    RFLAGS_VM, //
};
use crate::hw::{
    Backend,
    Exit,
    NestedFault,
    Vcpu as _,
    Watch, //
};
use crate::mm::access::{
    Sought,
    Violation, //
};
use crate::mm::guest::{
    copy_from_linear,
    GuestMemory, //
};
use crate::mm::p2m::{
    Leaf,
    P2m, //
};
use crate::mm::walk::{
    translate,
    Access, //
};
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL, //
};
use crate::sys::{
    hold,
    irq, //
};
use crate::vm_event::{
    access_message,
    decide,
    message,
    set_registers,
    slot_is_answered,
    still_denied,
    Action,
    Answer,
    Emulate,
    Register,
    Response,
    Sent,
    Want, //
};

/// An access that the processor has refused.
struct Refused {
    kind: Kind,
    /// Its linear address, if that can be told.
    linear: Option<u64>,
    /// Guest physical and linear address of the part before, if it is the second part of an access.
    before: Option<(u64, u64)>,
    /// The instruction ends with a fault of the guest's own.
    faults: bool,
}

/// Nanoseconds for which a vCPU looks for an answer before it sleeps.
const POLL_NS: u64 = 200_000;

impl<B: Backend> Running<'_, B> {
    /// Has what a monitor wants to hear of leave the guest. `false` if there is no memory for that now: the guest must
    /// not run before there is.
    pub(super) fn follow_monitor(&mut self) -> bool {
        let generation = self.domain.monitor_generation();
        self.owned.watched.follow(generation);
        self.want = self.domain.want();
        // Its pages may be others now.
        self.slot = None;
        let wants = |bits| self.want.any(bits);
        self.hw.watch(&Watch {
            cr0: wants(Want::CR0),
            cr3: wants(Want::CR3),
            breakpoints: wants(Want::BREAKPOINT),
            debug: wants(Want::DEBUG),
            descriptors: wants(Want::DESCRIPTOR),
        });
        let followed = self.follow_msrs().is_ok();
        if !followed {
            self.vcpu.request(request::MONITOR);
        }
        followed
    }

    fn follow_msrs(&mut self) -> crate::abi::errno::Result {
        if !self.want.any(Want::MSR) && !core::mem::take(&mut self.watches_msrs) {
            return Ok(());
        }
        let mut msrs = KVec::new();
        if self.want.any(Want::MSR) {
            for msr in self.domain.monitor_settings.lock().msrs() {
                msrs.push(msr, GFP_KERNEL)?;
            }
        }
        self.watches_msrs = !msrs.is_empty();
        self.hw.watch_msrs(&msrs)
    }

    /// Whether exits have to be looked at outside the section that are otherwise answered there.
    pub(super) fn watches_exits(&self) -> bool {
        self.want.any(Want::LEAVES_SECTION) || self.steps() || self.owned.watched.next_interrupt
    }

    /// Whether the guest executes one instruction at a time. Steps that nobody is told of are none: interrupts would
    /// wait for ever.
    pub(super) fn steps(&self) -> bool {
        self.owned.watched.steps && self.want.any(Want::SINGLE_STEP)
    }

    /// Makes an event of what the guest has done. If `sync` the vCPU waits for the answer; then comes `after`.
    pub(super) fn report<T: IntoBytes + Immutable>(
        &mut self,
        reason: u32,
        detail: &T,
        sync: bool,
        after: After,
    ) {
        self.hw.save(&mut self.owned.state);
        let event = message(&self.owned.state, self.vcpu.id(), reason, detail);
        self.post(event, sync, after);
    }

    fn post(&mut self, event: VmEvent, sync: bool, after: After) {
        let watched = &mut self.owned.watched;
        watched.event = event;
        watched.sync = sync;
        watched.after = after;
        watched.stage = Stage::Unsent;
        self.send(true);
    }

    /// Sends the event, if that is possible now. If there is nobody to get it, `first` leaves it to the loop to go on
    /// without an answer: whoever makes an event has the rest of an exit to handle, as if it had been sent.
    fn send(&mut self, first: bool) {
        let watched = &mut self.owned.watched;
        let (event, sync) = (&mut watched.event, watched.sync);
        match self
            .domain
            .send_event(self.hypervisor, self.vcpu.id(), event, sync)
        {
            sent @ (Sent::Yes(_) | Sent::Polled) if sync => {
                self.owned.watched.stage = Stage::Waiting;
                self.owned.watched.polls = sent == Sent::Polled;
            }
            Sent::Yes(_) | Sent::Polled => self.answered(Answer::Response(Response::GO_ON)),
            Sent::Full => {}
            Sent::Nobody if first => self.vcpu.request(request::ANSWER),
            Sent::Nobody => {
                let about_access = self.owned.watched.event.reason == abi::REASON_MEM_ACCESS;
                let (_, required) = self.domain.listens();
                if !(required && about_access) {
                    self.answered(Answer::Lost);
                }
            }
        }
    }

    /// Goes on with an event that waits; `false` if it still has to.
    pub(super) fn monitor_answered(&mut self, requests: u32) -> bool {
        if requests & request::INJECT != 0 {
            // After the answer.
            self.vcpu.request(request::INJECT);
        }
        match self.owned.watched.stage {
            Stage::None => {}
            Stage::Unsent => self.send(false),
            Stage::Waiting => {
                let answer = self.domain.monitor.lock().answer(self.vcpu.id());
                if let Some(answer) = answer {
                    self.answered(answer);
                }
            }
        }
        self.owned.watched.stage == Stage::None
    }

    /// Reports the step that was done when there was another event, if there is one.
    pub(super) fn report_step(&mut self) -> bool {
        let due = core::mem::take(&mut self.owned.watched.stepped);
        if due {
            self.stepped();
        }
        due
    }

    /// Looks for the answer of a monitor that looks for events itself, for a moment in which neither of the two sleeps.
    /// Returns whether it came. The vCPU counts as running meanwhile.
    pub(super) fn poll_monitor(&mut self) -> bool {
        let polls = core::mem::take(&mut self.owned.watched.polls);
        if !polls || self.owned.watched.stage != Stage::Waiting {
            return false;
        }
        let id = self.vcpu.id();
        if self.slot.is_none() {
            self.slot = self.domain.monitor.lock().slot_page(id.into()).ok();
        }
        let Some(slot) = &self.slot else {
            return false;
        };
        let until = hold::now_ns().saturating_add(POLL_NS);
        while !slot_is_answered(slot)
            && !self.monitor_may_have_answered()
            && !irq::need_resched()
            && hold::now_ns() < until
        {
            hold::relax();
        }
        let answer = self.domain.monitor.lock().stop_polling(id);
        if let Some(answer) = answer {
            self.answered(answer);
        }
        self.owned.watched.stage == Stage::None
    }

    /// Begins to wait until a monitor may have answered, or something else is to be looked at.
    pub(super) fn begin_wait_for_monitor(&mut self) {
        // As for device models, this is offline time.
        self.vcpu.runstate.stop(self.hook);
    }

    /// Whether it may have.
    #[inline(never)]
    pub(super) fn monitor_may_have_answered(&self) -> bool {
        self.vcpu.requests() & !(request::INJECT | request::IN_SECTION) != 0 || hold::should_stop()
    }

    /// Waits no longer.
    #[inline(never)]
    pub(super) fn end_wait_for_monitor(&mut self) {
        self.vcpu.runstate.resume(self.vcpu.waits(), self.hook);
    }

    /// Does what an answer says.
    fn answered(&mut self, answer: Answer) {
        let watched = &mut self.owned.watched;
        watched.stage = Stage::None;
        let after = core::mem::replace(&mut watched.after, After::Nothing);
        let (response, lost) = match answer {
            Answer::Response(response) => (response, false),
            Answer::Lost => (Response::GO_ON, true),
        };
        if response.toggle_step {
            watched.steps = !watched.steps;
        }
        watched.next_interrupt |= response.next_interrupt;
        match after {
            After::Nothing => {}
            After::Control(..) | After::Msr { .. } if response.deny => {}
            After::Control(register, value) => self.write_control(register, value),
            After::Msr { msr, value, rip } => {
                if !self.write_msr(msr, value) {
                    self.hw.set_rip(rip);
                    self.inject(GP0);
                }
            }
            After::Complete(next) => {
                if lost {
                    self.complete(next);
                }
            }
            // Whoever answers delivers it, or does not. Nobody has answered, but may have delivered it.
            After::Exception {
                vector,
                error,
                length,
            } => {
                if lost && !self.vcpu.has_injection() {
                    self.pass_exception(vector, error, length);
                }
            }
        }
        if let Some(regs) = &response.registers {
            // The next instruction is another one, to which no device has answered anything.
            self.owned.device.given_up = None;
            self.end_access();
            let (gprs, rip, rflags) = set_registers(regs, self.hw.rflags());
            for (number, value) in (0u8..).zip(gprs) {
                self.hw.set_gpr(number, value);
            }
            if rip != self.hw.rip() {
                // The instruction in the shadow is over, or is another one.
                self.hw.clear_interrupt_shadow();
            }
            self.hw.set_rip(rip);
            self.hw.set_rflags(rflags);
        }
        let p2m = &self.domain.p2m;
        let event = &self.owned.watched.event;
        let rules = match response.emulate {
            Emulate::No => return,
            // The page may be used so by now: the processor does it, as in Xen.
            _ if !still_denied(event, |gfn| p2m.rights(gfn)) => return,
            Emulate::Normal | Emulate::Bytes(_) => Rules::UNCHECKED,
            Emulate::WithoutWrites => Rules {
                writes: false,
                ..Rules::UNCHECKED
            },
            Emulate::WithReads => Rules {
                data: response.data.as_ref(),
                ..Rules::UNCHECKED
            },
        };
        if self.hw.injection_pending() {
            // It was an event's delivery that made the access, and not an instruction. It is delivered again.
            return;
        }
        match response.emulate {
            Emulate::Bytes(bytes) => {
                self.insn.len = bytes.len().min(self.insn.bytes.len());
                for (to, from) in self.insn.bytes.iter_mut().zip(bytes) {
                    *to = from;
                }
            }
            _ => self.fetch_again(),
        }
        // It is begun again so, and given what devices have answered to it.
        self.owned.device.given_up = None;
        self.owned.device.transfer.rewind();
        self.emulate_by(Exit::Interrupt, &rules);
    }

    /// Handles an access that a page's rights do not allow, or that the processor cannot tell from such a one; `false`
    /// if rights have nothing to do with it.
    pub(super) fn protected_fault(&mut self, fault: NestedFault, leaf: &Leaf) -> bool {
        if leaf.rights == Rights::Rwx || !leaf.ty.is_page() {
            return false;
        }
        let Refused {
            kind,
            linear,
            before,
            faults,
        } = self.access_of(fault);
        let walk = fault.in_page_table;
        let judgement = leaf.rights.judge(kind, walk);
        let (read, write, execute) = leaf.rights.without_read();
        let (reads, writes, executes) = kind.does();
        let enforced = (read || !reads) && (write || !writes) && (execute || !executes);
        let in_software = match judgement {
            // The processor has an older opinion.
            Judgement::Allowed if enforced => return false,
            // It cannot express the rights.
            Judgement::Allowed => true,
            // The guest's own fault comes first (E-4).
            _ if faults => true,
            // It cannot tell the access from one that is allowed, and nor can we before it is made.
            Judgement::Violation if linear.is_none() && !walk && writes => {
                leaf.rights.judge(Kind::Write, false) == Judgement::Allowed
            }
            Judgement::Violation | Judgement::Reported(_) => walk && self.want.any(Want::NO_WALKS),
            Judgement::Turns(_) => false,
        };
        // What delivers an event is no instruction that could be carried out: the monitor hears of it in any case.
        if in_software && !self.hw.injection_pending() {
            self.emulate_by(Exit::NestedPageFault(fault), &Rules::CHECKED);
            return true;
        }
        // Of two pages the first comes first, whichever the processor has named (E-4).
        let before = before.and_then(|(gpa, linear)| {
            let rights = self.is_watched_page(gpa >> 12)?;
            let denied = rights.judge(kind, walk) != Judgement::Allowed;
            denied.then_some((gpa, Some(linear), rights))
        });
        let (gpa, linear, rights) = before.unwrap_or((fault.gpa, linear, leaf.rights));
        let violation = Violation {
            gpa,
            linear,
            kind,
            walk,
        };
        self.report_violation(&violation, rights);
        true
    }

    /// Reports a page walk, because the instruction that it is made for is not known.
    pub(super) fn report_walk(&mut self, fault: NestedFault) {
        let Some(rights) = self.is_watched_page(fault.gpa >> 12) else {
            return;
        };
        let violation = Violation {
            gpa: fault.gpa,
            linear: None,
            kind: if fault.write {
                Kind::ReadWrite
            } else {
                Kind::Read
            },
            walk: true,
        };
        self.report_violation(&violation, rights);
    }

    /// Does what follows from an access that the processor has not made. If rights allow it, and it cannot be made in
    /// software, the monitor has to find another way.
    fn report_violation(&mut self, violation: &Violation, rights: Rights) {
        let judgement = match rights.judge(violation.kind, violation.walk) {
            Judgement::Allowed => Judgement::Violation,
            judgement => judgement,
        };
        self.judged(violation, rights, judgement);
    }

    /// Does what follows from a judgement. Returns whether the access may be made, or judged again, now.
    pub(super) fn judged(
        &mut self,
        violation: &Violation,
        rights: Rights,
        judgement: Judgement,
    ) -> bool {
        let gfn = violation.gpa >> 12;
        let (listens, required) = self.domain.listens();
        let action = decide(judgement, listens, required);
        let turns = match action {
            Action::GoAs(to) | Action::Tell(to) => Some(to),
            Action::Go | Action::Ask | Action::Wait => None,
        };
        if let Some(to) = turns {
            match self.domain.p2m.turn_rights(gfn, rights, to) {
                Ok(true) => {}
                // A tool has given the page others meanwhile: the access is judged by those, when it is made again.
                Ok(false) => return true,
                Err(errno) => {
                    self.crash(format_args!(
                        "cannot change the rights of {gfn:#x}: {errno:?}"
                    ));
                    return false;
                }
            }
        }
        let sync = match action {
            Action::Go | Action::GoAs(_) => return true,
            Action::Tell(_) => false,
            Action::Ask | Action::Wait => true,
        };
        self.hw.save(&mut self.owned.state);
        let event = access_message(violation, &self.owned.state, self.vcpu.id());
        self.post(event, sync, After::Nothing);
        false
    }

    /// What is known of an access that the processor has refused. It says neither the linear address nor whether a write
    /// also reads; the instruction does.
    fn access_of(&mut self, fault: NestedFault) -> Refused {
        let kind = match (fault.fetch, fault.write) {
            (true, _) => Kind::Fetch,
            (_, true) => Kind::ReadWrite,
            _ => Kind::Read,
        };
        let unknown = Refused {
            kind,
            linear: None,
            before: None,
            faults: false,
        };
        if fault.in_page_table || self.hw.injection_pending() {
            return unknown;
        }
        if !fault.fetch {
            let sought = self.data_access(Sought::new(fault.gpa, fault.write));
            return match sought.found() {
                Some(found) => Refused {
                    kind: found.kind,
                    linear: Some(found.linear),
                    before: found.before,
                    faults: false,
                },
                None => Refused {
                    faults: sought.faults(),
                    ..unknown
                },
            };
        }
        let at = self.code_address(self.code_width());
        // An instruction may go on in the next page.
        let next = (at | 0xfff).wrapping_add(1);
        let page = fault.gpa >> 12;
        let linear = [at, next]
            .into_iter()
            .find(|linear| self.frame_of_code(*linear) == Some(page));
        Refused { linear, ..unknown }
    }

    /// The guest frame of code at a linear address.
    pub(super) fn frame_of_code(&self, linear: u64) -> Option<u64> {
        let access = Access {
            user: self.hw.cpl() == 3,
            ..Access::FETCH
        };
        let memory = ReadOnly(GuestMemory(&self.domain.p2m));
        translate(&memory, &self.paging(), linear, access)
            .ok()
            .map(|gpa| gpa >> 12)
    }

    /// The guest frame of the instruction, or all ones.
    fn code_frame(&self) -> u64 {
        self.frame_of_code(self.code_address(self.code_width()))
            .unwrap_or(u64::MAX)
    }

    /// A write to a control register; `false` if no monitor has to decide about it first. RIP is past the instruction
    /// afterwards either way.
    pub(super) fn watched_control(&mut self, register: Register, old: u64, new: u64) -> bool {
        let written = new;
        let new = match register {
            // What is kept of translations is no part of the register.
            Register::Cr3 if self.hw.cr4() & PCIDE != 0 => new & !NO_FLUSH,
            _ => new,
        };
        let sync = self
            .domain
            .monitor_settings
            .lock()
            .control_write(register, old, new);
        let Some(sync) = sync else {
            return false;
        };
        let mut detail = abi::WriteCtrlreg::new_zeroed();
        detail.index = register as u32;
        (detail.old_value, detail.new_value) = (old, new);
        let decides = sync && register != Register::Xcr0 && self.want.any(Want::DECIDES);
        let after = if decides {
            After::Control(register, written)
        } else {
            After::Nothing
        };
        self.report(abi::REASON_WRITE_CTRLREG, &detail, sync, after);
        decides
    }

    /// Writes a control register; the value was checked.
    pub(super) fn write_control(&mut self, register: Register, value: u64) {
        match register {
            Register::Cr0 => {
                // What was allowed when it was written still is: nothing has run since.
                if let Ok((cr0, efer)) = self.controls().write_cr0(value) {
                    if efer != self.hw.efer() {
                        self.hw.set_efer(efer);
                    }
                    self.hw.set_cr0(cr0);
                }
            }
            Register::Cr3 => {
                let keep = value & NO_FLUSH != 0 && self.hw.cr4() & PCIDE != 0;
                self.hw.set_cr3(value & !NO_FLUSH, keep);
            }
            Register::Cr4 => {
                self.hw.set_cr4(value);
                self.owned.view.set_cr4(value);
            }
            Register::Xcr0 => {}
        }
    }

    /// CPUID, where a monitor wants to hear of it. As in Xen the registers have the answer already, and the monitor
    /// moves RIP, unless it ends before.
    pub(super) fn slow_cpuid(&mut self) {
        let Some(next) = self.insn.next_rip else {
            return;
        };
        // CAST: CPUID looks at the low halves.
        let (leaf, subleaf) = (self.hw.gpr(0) as u32, self.hw.gpr(1) as u32);
        self.answer_cpuid(leaf, subleaf);
        if !self.want.any(Want::CPUID) {
            return self.complete(next);
        }
        let mut detail = abi::Cpuid::new_zeroed();
        (detail.leaf, detail.subleaf) = (leaf, subleaf);
        // CAST: At most 15.
        detail.insn_length = next.wrapping_sub(self.hw.rip()) as u32;
        self.report(abi::REASON_CPUID, &detail, true, After::Complete(next));
    }

    /// RDMSR outside the section.
    pub(super) fn slow_msr_read(&mut self) {
        let Some(next) = self.insn.next_rip else {
            return;
        };
        // CAST: The index is in the low half.
        match self.msr_value(self.hw.gpr(1) as u32) {
            Some(value) => {
                self.hw.set_gpr(0, value & 0xffff_ffff);
                self.hw.set_gpr(2, value >> 32);
                self.complete(next);
            }
            None => self.inject(GP0),
        }
    }

    /// A write to a model-specific register; `false` if no monitor has to decide about it first.
    pub(super) fn watched_msr(&mut self, msr: u32, value: u64) -> bool {
        if !self.want.any(Want::MSR) {
            return false;
        }
        let old = self.msr_value(msr).unwrap_or(0);
        let watched = {
            let settings = self.domain.monitor_settings.lock();
            settings.msr_write(msr, old, value)
        };
        if !watched {
            return false;
        }
        let mut detail = abi::MovToMsr::new_zeroed();
        (detail.msr, detail.old_value, detail.new_value) = (msr.into(), old, value);
        let decides = self.want.any(Want::DECIDES);
        let after = if decides {
            After::Msr {
                msr,
                value,
                rip: self.hw.rip(),
            }
        } else {
            After::Nothing
        };
        self.report(abi::REASON_MOV_TO_MSR, &detail, true, after);
        decides
    }

    /// IN and OUT, where a monitor wants to hear of them; `false` if none does.
    pub(super) fn watched_io(&mut self, io: crate::hw::IoAccess) -> bool {
        if !self.want.any(Want::IO) {
            return false;
        }
        let mut detail = abi::Io::new_zeroed();
        (detail.bytes, detail.port) = (io.bytes.into(), io.port);
        (detail.in_, detail.str_) = (io.input.into(), io.string.into());
        self.report(abi::REASON_IO_INSTRUCTION, &detail, true, After::Nothing);
        true
    }

    /// An exception that left the guest.
    pub(super) fn exception(&mut self, exit: Exit) {
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
    pub(super) fn icebp(&mut self) {
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
    pub(super) fn software_interrupt(&mut self) {
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
    fn pass_exception(&mut self, vector: u8, error: Option<u32>, length: u8) {
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

    /// Bytes of the instruction at RIP that left the guest, if it is the one that `is` looks for, or the processor says.
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

    /// An access to a descriptor table register.
    pub(super) fn descriptor_access(
        &mut self,
        register: crate::hw::DescriptorRegister,
        write: bool,
    ) {
        use crate::hw::DescriptorRegister as Name;
        if !self.want.any(Want::DESCRIPTOR) {
            // It is executed again, and does not leave the guest any more.
            return;
        }
        let mut detail = abi::DescAccess::new_zeroed();
        detail.descriptor = match register {
            Name::Idtr => abi::DESC_IDTR,
            Name::Gdtr => abi::DESC_GDTR,
            Name::Ldtr => abi::DESC_LDTR,
            Name::Tr => abi::DESC_TR,
        };
        detail.is_write = write.into();
        self.report(abi::REASON_DESCRIPTOR_ACCESS, &detail, true, After::Nothing);
    }

    /// The guest asks to be looked at (`HVMOP_guest_request_vm_event`). Before the hypercall is completed.
    pub(super) fn guest_request(&mut self) {
        let user = self.hw.cpl() == 3;
        let sync = self.domain.monitor_settings.lock().guest_request(user);
        if let Some(sync) = sync {
            self.report(abi::REASON_GUEST_REQUEST, &[0u8; 0], sync, After::Nothing);
        }
    }

    /// An instruction that cannot be emulated; `false` if no monitor wants to hear of it.
    pub(super) fn unimplemented(&mut self) -> bool {
        if !self.want.any(Want::UNIMPLEMENTED) {
            return false;
        }
        self.report(
            abi::REASON_EMUL_UNIMPLEMENTED,
            &[0u8; 0],
            true,
            After::Nothing,
        );
        true
    }

    /// Reports the interrupt that the guest gets next, if a monitor wants to hear of it.
    pub(super) fn report_interrupt(&mut self) -> bool {
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

    /// Has the guest execute one instruction, by its own means: the processor's trap flag.
    ///
    /// Interrupts are not delivered meanwhile. The guest can see the flag where an instruction or exception stores
    /// RFLAGS.
    pub(super) fn step(&mut self) {
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
    }

    /// A single step that the monitor asked for is done.
    fn stepped(&mut self) {
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

    /// The rights of what is at a frame; `None` where an access reaches a device, or nothing.
    pub(super) fn is_watched_page(&self, gfn: u64) -> Option<Rights> {
        watched_rights(&self.domain.p2m, gfn)
    }
}

/// The rights of what is at a frame; `None` where an access reaches a device, or nothing.
pub(super) fn watched_rights(p2m: &P2m, gfn: u64) -> Option<Rights> {
    p2m.lookup(gfn)
        .filter(|leaf| leaf.ty.is_page() && leaf.ty != P2mType::IoreqServer)
        .map(|leaf| leaf.rights)
}

/// RFLAGS.TF.
const RFLAGS_TF: u64 = 1 << 8;
/// DR6.BS: single step.
const DR6_BS: u64 = 1 << 14;
/// DR6.B0 to B3: breakpoints.
const DR6_BREAKPOINTS: u64 = 0xf;
/// Causes of a debug exception in DR6, as the interface has them: breakpoints, BD, BS.
const DEBUG_CAUSES: u64 = 0x600f;
/// What MOV to CR3 says besides the register's value: translations are kept.
const NO_FLUSH: u64 = 1 << 63;
/// CR4.PCIDE, without which that bit has no meaning.
const PCIDE: u64 = 1 << 17;

/// Kinds of events as in event injection (`HVMOP_TRAP_*`).
const EXTERNAL_INTERRUPT: u8 = 0;
const NMI: u8 = 2;
const HARDWARE_EXCEPTION: u8 = 3;
const PRIVILEGED_EXCEPTION: u8 = 5;
const SOFTWARE_EXCEPTION: u8 = 6;

/// Guest memory, for a walk that leaves no marks.
pub(super) struct ReadOnly<'a>(pub(super) GuestMemory<'a>);

impl crate::mm::walk::Memory for ReadOnly<'_> {
    fn read64(&self, gpa: u64) -> Option<u64> {
        self.0.read64(gpa)
    }

    fn set_bits(&self, _gpa: u64, _old: u64, _bits: u64) {}
}
