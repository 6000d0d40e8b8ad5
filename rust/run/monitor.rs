// SPDX-License-Identifier: GPL-2.0-only

//! Events for a monitor, and what its answers do.
//!
//! An event is made, and the vCPU goes back to its loop, where it can be stopped, paused and destroyed like any that
//! waits. It neither runs nor gets an interrupt before the answer is there (E-8). What it was about to do happens after
//! the answer, or is done again by the guest.

mod exceptions;
mod instructions;
mod rights;

pub(super) use rights::{
    watched_rights,
    ReadOnly, //
};

use zerocopy::{
    Immutable,
    IntoBytes, //
};

use super::mmio::Rules;
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
use crate::hw::state::GP0;
use crate::hw::{
    Backend,
    Exit,
    Vcpu as _,
    Watch, //
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
    message,
    set_registers,
    slot_is_answered,
    still_denied,
    Answer,
    Emulate,
    Response,
    Sent,
    Want, //
};

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
    pub(super) fn monitor_answered(&mut self) -> bool {
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
}
