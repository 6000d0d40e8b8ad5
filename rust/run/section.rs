// SPDX-License-Identifier: GPL-2.0-only

//! The section: from turning interrupts off to an exit that needs to sleep.
//!
//! Interrupts stay off from one entry to the next: a physical interrupt that comes meanwhile ends the guest at once
//! with [`Exit::Interrupt`], and only then is a window opened for it. What another thread wants from the vCPU is
//! always announced by an interrupt, so nothing has to be looked at between two entries.

use super::fast::Answer;
use super::Running;
use crate::domain::vcpu::request;
use crate::emulate::skip::Skip;
use crate::hw::{
    Backend,
    Exit,
    Vcpu as _, //
};
use crate::sys::irq::{
    self,
    IrqsOff,
    NoPreempt,
    SoftirqsOff, //
};
use crate::trace;

impl<B: Backend> Running<'_, B> {
    /// Runs the guest until it exits for a reason that is not answered in the section.
    pub(super) fn section(&mut self) -> Exit {
        let preempt = NoPreempt::new();
        let softirqs = SoftirqsOff::new(&preempt);
        let mut irqs = IrqsOff::new();
        let p2m = &self.domain.p2m;
        p2m.running().insert_self(&preempt);
        let generation = p2m.generation();
        let flush = generation != *self.generation;
        *self.generation = generation;
        if flush {
            self.frames.clear();
        }
        // The machine cannot sleep from here on.
        self.follow_tsc();
        self.hw.begin(&preempt, &softirqs, &irqs, flush);
        self.vcpu.set_running_on(Some(preempt.cpu()));

        self.watched = self.watches_exits();
        let exit = self.enter_until_slow(&softirqs, &mut irqs);

        self.vcpu.set_running_on(None);
        self.hw.end(&irqs);
        p2m.running().remove_self(&preempt);
        self.note_paging();
        exit
    }

    fn enter_until_slow(&mut self, softirqs: &SoftirqsOff, irqs: &mut IrqsOff) -> Exit {
        loop {
            let requests = self.vcpu.requests();
            if requests & !request::IN_SECTION != 0
                || irq::need_resched()
                || softirqs.one_waits()
                || self.domain.p2m.generation() != *self.generation
                || !self.upcall.is_current(&self.vcpu.upcall_epoch)
            {
                return Exit::Interrupt;
            }
            if requests & request::IN_SECTION != 0 {
                self.vcpu.take_requests(request::IN_SECTION);
            }
            let exit = if self.watched {
                if !self.deliver_watched() {
                    return Exit::Interrupt;
                }
                Some(self.enter_watched(irqs))
            } else {
                self.deliver_events();
                self.enter_until_exit(irqs)
            };
            let Some(exit) = exit else {
                continue;
            };
            self.vcpu.count_exit(kind(exit));
            match exit {
                Exit::Interrupt => {
                    self.hw.window(irqs);
                    irq::rcu_note_guest_entry(irqs);
                }
                Exit::InterruptWindow | Exit::Iret | Exit::Nmi => {}
                Exit::Pause => self.hw.window(irqs),
                exit => {
                    self.fetch_for(exit, irqs);
                    return exit;
                }
            }
        }
    }

    /// Enters, and enters again after each exit that is answered at once. Returns the first that is not, or `None`
    /// after one that was, if there may be something to deliver now.
    #[inline]
    fn enter_until_exit(&mut self, irqs: &IrqsOff) -> Option<Exit> {
        loop {
            let exit = self.hw.enter(irqs);
            // Traced in each arm: between the processor's answer and the choice of the arm nothing may come, or the
            // compiler makes two choices of it.
            let (answer, kind) = match exit {
                Exit::Hypercall => {
                    self.trace_exit(Exit::Hypercall);
                    (self.fast_hypercall(irqs), kind(Exit::Hypercall))
                }
                Exit::Cpuid => {
                    self.trace_exit(Exit::Cpuid);
                    (self.fast_cpuid(irqs), kind(Exit::Cpuid))
                }
                Exit::MsrRead => {
                    self.trace_exit(Exit::MsrRead);
                    (self.fast_msr_read(irqs), kind(Exit::MsrRead))
                }
                Exit::MsrWrite => {
                    self.trace_exit(Exit::MsrWrite);
                    (self.fast_msr_write(irqs), kind(Exit::MsrWrite))
                }
                Exit::Io(io) => {
                    self.trace_exit(Exit::Io(io));
                    (self.fast_io(io), kind(Exit::Io(io)))
                }
                exit => {
                    self.trace_exit(exit);
                    return Some(exit);
                }
            };
            if answer == Answer::None {
                return Some(exit);
            }
            self.vcpu.count_exit(kind);
            if answer == Answer::Events {
                return None;
            }
        }
    }

    /// Delivers events to a guest that a monitor watches: none while it executes one instruction at a time, and none
    /// that the monitor wants to hear of before. `false` if there is such a one.
    #[inline(never)]
    fn deliver_watched(&mut self) -> bool {
        if self.steps() {
            // An open window would end each attempt before the instruction.
            if core::mem::take(&mut self.window) {
                self.hw.want_interrupt_window(false);
            }
            return true;
        }
        self.deliver_now();
        // A software interrupt is the guest's own doing, and nothing to report.
        !(self.owned.watched.next_interrupt && self.hw.pending_event().is_some())
    }

    /// Enters a guest that a monitor watches, once. Nothing is answered here: what it wants to hear of is known
    /// outside, and the paths of guests that nobody watches are called in one place each, where the compiler puts them.
    #[inline(never)]
    fn enter_watched(&mut self, irqs: &IrqsOff) -> Exit {
        let exit = self.hw.enter(irqs);
        self.trace_exit(exit);
        exit
    }

    /// Traces an exit, before anything is done about it.
    #[inline(always)]
    fn trace_exit(&self, exit: Exit) {
        trace::exit(|| self.describe(kind(exit)));
    }

    /// What is traced of an exit. Apart, so that the path that is not traced prepares nothing for it.
    #[cold]
    #[inline(never)]
    fn describe(&self, kind: usize) -> trace::Exit {
        trace::Exit {
            domid: self.domain.id().into(),
            vcpu: self.vcpu.id(),
            // CAST: There are 16 kinds.
            kind: kind as u32,
            rip: self.hw.rip(),
        }
    }

    /// Fetches the instruction, if what handles the exit will want to know it.
    fn fetch_for(&mut self, exit: Exit, irqs: &IrqsOff) {
        self.insn.next_rip = match exit {
            Exit::Hypercall => self.skip(Skip::Vmmcall, irqs),
            Exit::Hlt => self.skip(Skip::Hlt, irqs),
            Exit::MsrWrite => self.skip_by_decoding(Skip::Wrmsr, irqs),
            Exit::MsrRead => self.skip_by_decoding(Skip::Rdmsr, irqs),
            Exit::Cpuid => self.skip_by_decoding(Skip::Cpuid, irqs),
            Exit::Xsetbv => self.skip_by_decoding(Skip::Xsetbv, irqs),
            Exit::CacheFlush(skip) => self.skip_by_decoding(skip, irqs),
            // The processor says where a plain IN or OUT ends.
            Exit::Io(io) if !io.string => None,
            Exit::Cr(_) | Exit::Dr(_) | Exit::NestedPageFault(_) | Exit::Io(_) => {
                self.fetch_bytes(irqs);
                None
            }
            _ => None,
        };
    }
}

/// The number under which an exit is counted, see `domain::vcpu::EXIT_NAMES`.
#[inline]
fn kind(exit: Exit) -> usize {
    match exit {
        Exit::Interrupt => 0,
        Exit::InterruptWindow => 1,
        Exit::Cpuid => 2,
        Exit::Hypercall => 3,
        Exit::MsrRead => 4,
        Exit::MsrWrite => 5,
        Exit::Hlt => 6,
        Exit::Pause => 7,
        Exit::Io(_) => 8,
        Exit::NestedPageFault(_) => 9,
        Exit::Cr(_) => 10,
        Exit::Dr(_) => 11,
        Exit::Exception { .. } => 12,
        Exit::Xsetbv => 13,
        Exit::Shutdown => 14,
        _ => 15,
    }
}
