// SPDX-License-Identifier: GPL-2.0-only

//! Accesses that device models answer.
//!
//! An access is sent, and the instruction is given up: the vCPU waits in its loop, where it can be stopped, paused and
//! destroyed like any that waits, and carries the instruction out again when the answer has come. What it was answered
//! so far is replayed then (`ioreq::transfer`).

use super::mmio::Rules;
use super::Running;
use crate::domain::ioreq::{
    Again,
    GivenUp, //
};
use crate::domain::vcpu::request;
use crate::emulate::ops::{
    Fault,
    Result, //
};
use crate::hw::{
    Backend,
    Exit,
    Vcpu as _, //
};
use crate::ioreq::{
    Kind,
    Notify,
    Progress,
    Request,
    Violation, //
};
use crate::sys::hold;

/// What an instruction that is carried out needs and has not.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Lack {
    /// It has all.
    #[default]
    Nothing,
    /// The processor that executes others' instructions, which is made outside of the emulator.
    Replayer,
    /// Something that may be there in a moment.
    Moment,
}

/// What became of an access.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// The value that was read; 0 for a write.
    Answer(u64),
    /// Nobody serves it.
    Nobody,
    /// The instruction is to be given up.
    Wait,
}

impl<B: Backend> Running<'_, B> {
    /// Makes an access of the instruction, unless it was made before the instruction was given up. `by_type` says that
    /// it is a write to a frame that a server has by its type.
    pub(super) fn ask(&mut self, request: &Request, by_type: bool) -> Asked {
        let transfer = &mut self.owned.device.transfer;
        if let Some(answer) = transfer.replay(request) {
            return Asked::Answer(answer);
        }
        if !transfer.has_room() {
            self.crash(format_args!(
                "an instruction that accesses devices without end"
            ));
            return Asked::Wait;
        }
        let progress = {
            let mut servers = self.domain.ioreq.lock();
            transfer.access(&mut servers, self.vcpu.id(), request, by_type)
        };
        match progress {
            Ok(Progress::Nobody) => Asked::Nobody,
            Ok(Progress::Buffered(Notify(port))) => {
                self.notify_model(port);
                Asked::Answer(0)
            }
            Ok(Progress::Waits(port)) => {
                self.notify_model(port);
                Asked::Wait
            }
            Err(violation) => {
                self.model_misbehaves(violation);
                Asked::Wait
            }
        }
    }

    /// Notifies a device model, if there is anything to tell.
    fn notify_model(&self, port: Option<u32>) {
        if let Some(port) = port {
            self.hypervisor.notify_model(self.domain, port);
        }
    }

    /// A device model has done what it must not: its guest cannot go on.
    fn model_misbehaves(&self, violation: Violation) {
        let Violation { from, to } = violation;
        self.crash(format_args!(
            "its device model moved a request from state {from} to state {to}"
        ));
    }

    /// Keeps the instruction that waits, to carry it out again.
    pub(super) fn give_up(&mut self, exit: Exit, again: Again) {
        self.owned.device.given_up = Some(GivenUp {
            exit,
            again,
            bytes: self.insn.bytes,
            len: self.insn.len,
        });
    }

    /// Ends an attempt at an instruction that has to be started again: when a device model has answered, when there is
    /// what it is short of, or at once by the guest itself. What it was answered before rights denied it something, or
    /// it was short of something, is kept for then: no device is accessed twice. And what a monitor has allowed needs
    /// no second verdict (E-7).
    pub(super) fn retry(&mut self, exit: Exit, again: Again) {
        let denied = core::mem::take(&mut self.owned.watched.denied);
        let transfer = &self.owned.device.transfer;
        let kept = !transfer.is_idle()
            || (denied && transfer.has_answers())
            || self.lacks.get() != Lack::Nothing
            || !matches!(again, Again::Checked);
        if kept {
            self.give_up(exit, again);
        } else {
            self.end_access();
        }
    }

    /// Has the vCPU wait a moment before it carries the instruction out again: there is no memory for it, or the
    /// processor is not ours.
    pub(super) fn short_of_something(&self) -> Fault {
        self.lacks.set(Lack::Moment);
        Fault::Retry
    }

    /// Carries out again what was given up; `false` if nothing was.
    pub(super) fn carry_out_again(&mut self) -> bool {
        let Some(GivenUp {
            exit,
            again,
            bytes,
            len,
        }) = self.owned.device.given_up.take()
        else {
            return false;
        };
        self.insn.bytes = bytes;
        self.insn.len = len;
        self.insn.next_rip = None;
        self.owned.device.transfer.rewind();
        match again {
            Again::Checked => self.handle(exit),
            again => self.emulate_by(exit, &Rules::of(&again)),
        }
        if self.owned.device.given_up.is_none() {
            // Also if nobody asked for what was answered, since there are no device models any more: the next
            // instruction is another one.
            self.end_access();
            self.stop_if_later();
        }
        true
    }

    /// Stops now for what it did not stop for in the midst of an instruction.
    fn stop_if_later(&mut self) {
        if core::mem::take(&mut self.stop_later) {
            self.vcpu.request(request::STOP);
        }
    }

    /// Ends the instruction as far as devices go.
    #[inline]
    pub(super) fn end_access(&mut self) {
        self.owned.device.transfer.commit();
    }

    /// Whether the vCPU must stop. What a device model may have begun to do for it is waited for before the domain
    /// shuts down: otherwise it would be done once more when the guest goes on from what was saved of it.
    pub(super) fn must_stop(&mut self) -> bool {
        if !self.owned.device.transfer.is_in_flight() {
            return self.domain.must_stop(self.vcpu);
        }
        let now = self.domain.must_stop_now(self.vcpu);
        self.stop_later |= !now;
        now
    }

    /// Looks whether what the vCPU waits for from device models has come.
    pub(super) fn model_answered(&mut self, requests: u32) -> bool {
        let id = self.vcpu.id();
        let transfer = &mut self.owned.device.transfer;
        let mut answered = transfer.poll(id);
        if answered == Ok(false) && requests & request::SERVERS != 0 {
            let progress = {
                let mut servers = self.domain.ioreq.lock();
                transfer.recheck(&mut servers, id)
            };
            answered = progress.map(|progress| {
                if let Progress::Waits(port) | Progress::Buffered(Notify(port)) = progress {
                    self.notify_model(port);
                }
                !matches!(progress, Progress::Waits(_))
            });
        }
        match answered {
            Ok(answered) => {
                if answered {
                    self.stop_if_later();
                }
                answered
            }
            Err(violation) => {
                self.model_misbehaves(violation);
                true
            }
        }
    }

    /// Begins to wait until a device model may have answered, or something else is to be looked at.
    pub(super) fn begin_wait_for_model(&mut self) {
        // As in Xen this is offline time, which guests count as stolen.
        self.vcpu.runstate.stop(self.hook);
    }

    /// Whether it may have.
    #[inline(never)]
    pub(super) fn model_may_have_answered(&self) -> bool {
        let transfer = &self.owned.device.transfer;
        // Events wait until the instruction is over.
        self.vcpu.requests() & !(request::INJECT | request::IN_SECTION) != 0
            || transfer.has_moved(self.vcpu.id())
            || hold::should_stop()
    }

    /// Waits no longer.
    #[inline(never)]
    pub(super) fn end_wait_for_model(&mut self) {
        self.vcpu.runstate.resume(self.vcpu.waits(), self.hook);
    }

    /// Tells device models that the guest has given memory back, of which they may have mappings.
    pub(super) fn invalidate_mappings(&mut self) {
        let sent = {
            let servers = self.domain.ioreq.lock();
            let transfer = &mut self.owned.device.transfer;
            transfer.message(&servers, self.vcpu.id(), &Request::invalidate())
        };
        match sent {
            Ok(ports) => {
                for port in ports {
                    self.notify_model(port);
                }
            }
            Err(violation) => self.model_misbehaves(violation),
        }
    }

    /// Reads device memory.
    pub(super) fn device_read(&mut self, gpa: u64, into: &mut [u8]) -> Result {
        let mut at = gpa;
        let mut rest = into;
        while !rest.is_empty() {
            let size = piece(rest.len());
            let (part, tail) = rest.split_at_mut(size);
            // CAST: At most eight.
            let request = Request::read(Kind::Memory, at, size as u32);
            let value = match self.ask(&request, false) {
                Asked::Answer(value) => value,
                Asked::Nobody => u64::MAX,
                Asked::Wait => return Err(Fault::Retry),
            };
            for (to, from) in part.iter_mut().zip(value.to_le_bytes()) {
                *to = from;
            }
            at = at.wrapping_add(size as u64);
            rest = tail;
        }
        Ok(())
    }

    /// Writes device memory, or memory whose writes a server gets by its type.
    pub(super) fn device_write(&mut self, gpa: u64, from: &[u8], by_type: bool) -> Result {
        let mut at = gpa;
        let mut rest = from;
        while !rest.is_empty() {
            let size = piece(rest.len());
            let (part, tail) = rest.split_at(size);
            let mut bytes = [0; 8];
            for (to, from) in bytes.iter_mut().zip(part) {
                *to = *from;
            }
            let value = u64::from_le_bytes(bytes);
            // CAST: At most eight.
            let request = Request::write(Kind::Memory, at, size as u32, value);
            if self.ask(&request, by_type) == Asked::Wait {
                return Err(Fault::Retry);
            }
            at = at.wrapping_add(size as u64);
            rest = tail;
        }
        Ok(())
    }

    /// Reads a port; `None` if the instruction is to be given up.
    pub(super) fn device_in(&mut self, port: u16, bytes: u8) -> Option<u64> {
        if !self.domain.serves_io() {
            return Some(self.port_read(port));
        }
        match self.ask(&Request::read(Kind::Port, port.into(), bytes.into()), false) {
            Asked::Answer(value) => Some(value),
            Asked::Nobody => Some(self.port_read(port)),
            Asked::Wait => None,
        }
    }

    /// Writes a port; `false` if the instruction is to be given up.
    pub(super) fn device_out(&mut self, port: u16, bytes: u8, value: u64) -> bool {
        if !self.domain.serves_io() {
            self.port_write(port, bytes, value);
            return true;
        }
        if port == crate::ioreq::PCI_ADDRESS_PORT && bytes == 4 {
            // CAST: Four bytes are written.
            self.domain.ioreq.lock().set_pci_address(value as u32);
        }
        let request = Request::write(Kind::Port, port.into(), bytes.into(), value);
        match self.ask(&request, false) {
            Asked::Answer(_) => true,
            Asked::Nobody => {
                self.port_write(port, bytes, value);
                true
            }
            Asked::Wait => false,
        }
    }

    /// Delivers an event that a tool has for the vCPU. One that finds another on its way is dropped, as in Xen.
    pub(super) fn deliver_injection(&mut self) {
        let Some(injection) = self.vcpu.take_injection() else {
            return;
        };
        if self.hw.injection_pending() {
            return;
        }
        if injection.skip != 0 {
            let next = self.hw.rip().wrapping_add(injection.skip.into());
            let next = self.wrap_rip(next, self.code_width());
            self.hw.set_rip(next);
            self.hw.clear_interrupt_shadow();
        }
        if let Some(cr2) = injection.cr2 {
            self.hw.set_cr2(cr2);
        }
        self.inject(injection.event);
    }
}

/// The size of the first of the requests that an access of `len` bytes is made of: what a request can be.
fn piece(len: usize) -> usize {
    match len {
        0..=1 => len,
        2..=3 => 2,
        4..=7 => 4,
        _ => 8,
    }
}
