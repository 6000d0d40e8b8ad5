// SPDX-License-Identifier: GPL-2.0-only

//! Stopping the hypervisor, changing its code, letting it run on.
//!
//! All of this is in the section that is never patched. What it calls outside of it runs while the gate is not yet
//! closed to threads, or does not run while code is written.

use super::payload::Hook;
use super::plan::Plan;
use super::poke::{
    call,
    call_with,
    HookArg,
    Pokes, //
};
use super::report::Times;
use super::state::Name;
use crate::abi::errno::{
    Errno,
    Result,
    EBUSY,
    EINVAL, //
};
use crate::sys::alloc::KVec;
use crate::sys::gate::Stage;
use crate::sys::hold::{
    self,
    GATE, //
};

/// What has to be done with vCPUs, by a room that knows them.
#[derive(Clone, Copy)]
pub(crate) struct Guests {
    /// Makes every vCPU that is inside come out.
    pub(crate) kick: fn(),
    /// How many are inside.
    pub(crate) inside: fn() -> u32,
    /// Wakes those that found the gate closed.
    pub(crate) wake: fn(),
    /// Appends to the hypervisor's log.
    pub(crate) log: fn(core::fmt::Arguments<'_>),
}

/// A payload that takes part in an action.
pub(super) struct Part {
    pub(super) arg: HookArg,
    /// It is applied; otherwise it is reverted.
    pub(super) applies: bool,
    /// Called in place of the writing.
    pub(super) action: Option<Hook>,
    /// Called to undo that.
    pub(super) undo: Option<Hook>,
    /// Called before its functions are replaced.
    pub(super) load: KVec<Hook>,
    /// Called after its functions were restored.
    pub(super) unload: KVec<Hook>,
    /// Its writes: the first, and how many.
    pub(super) from: usize,
    pub(super) count: usize,
    /// OUT: they are done, not left to the hook that is called in their place.
    pub(super) by_default: bool,
}

/// What is to be done.
pub(super) struct Job {
    /// The payload that it is about.
    pub(super) name: Name,
    pub(super) timeout_ns: u64,
    /// The payloads that take part, in order.
    pub(super) parts: KVec<Part>,
    pub(super) plan: Plan,
    /// The plan's writes, prepared.
    pub(super) pokes: Pokes,
    /// OUT: everything had stopped for it, and it was done or found impossible.
    pub(super) carried_out: bool,
    /// OUT: the write that found something else.
    pub(super) failed: Option<usize>,
}

/// Nanoseconds for which vCPUs are waited for without giving the processor away.
const SPIN_NS: u64 = 20_000;
/// Microseconds between looks after that.
const LOOK_US: u32 = 20;

/// Waits until `left` is 0.
#[inline(always)]
fn wait_until_none(left: impl Fn() -> u32, deadline: u64) -> Result {
    let begin = hold::now_ns();
    while left() != 0 {
        let now = hold::now_ns();
        if now >= deadline {
            return Err(EBUSY);
        }
        if now.wrapping_sub(begin) < SPIN_NS {
            hold::relax();
        } else {
            hold::sleep_us(LOOK_US);
        }
    }
    Ok(())
}

/// Does a job while nobody is inside the hypervisor.
///
/// # Errors
///
/// `EBUSY` if somebody was inside until the time was up, or processors are coming or going: nothing has changed. What
/// a hook says; `EINVAL` if the code is not what it was when the job was prepared.
#[link_section = ".kprobes.text"]
#[inline(never)]
pub(super) fn stop_and_do(job: &mut Job, guests: &Guests) -> (Result, Times) {
    let mut times = Times::default();
    let begin = hold::now_ns();
    let deadline = begin.saturating_add(job.timeout_ns);
    let Some(processors) = hold::Processors::try_keep() else {
        return (Err(EBUSY), times);
    };
    GATE.set(Stage::Tools);
    let mut result = wait_until_none(|| GATE.tools(), deadline);
    let stopping = hold::now_ns();
    times.tools = stopping.wrapping_sub(begin);
    if result.is_ok() {
        GATE.set(Stage::Threads);
        (guests.kick)();
        result = wait_until_none(|| (guests.inside)() + GATE.mappings(), deadline);
        if result.is_ok() {
            GATE.set(Stage::Timers);
            result = wait_until_none(|| GATE.timers(), deadline);
        }
        let stopped = hold::now_ns();
        times.vcpus = stopped.wrapping_sub(stopping);
        if result.is_ok() {
            job.carried_out = true;
            hold::alone(|| result = do_stopped(job, Stopped(())));
            times.write = hold::now_ns().wrapping_sub(stopped);
        }
    }
    GATE.set(Stage::Open);
    times.pause = hold::now_ns().wrapping_sub(stopping);
    hold::wake_tools();
    (guests.wake)();
    drop(processors);
    (result, times)
}

/// The gate is closed and nobody is inside.
pub(super) struct Stopped(());

/// Does it, part by part as Xen does; if one of them cannot be done, those before it are undone, the last one first.
#[inline(always)]
fn do_stopped(job: &mut Job, stopped: Stopped) -> Result {
    let Job {
        parts,
        pokes,
        failed,
        ..
    } = job;
    let mut result = Ok(());
    let mut done = 0;
    for part in parts.iter_mut() {
        result = part.begin(pokes, failed, &stopped);
        if result.is_err() {
            break;
        }
        done += 1;
    }
    if result.is_err() {
        for part in parts.iter_mut().take(done).rev() {
            part.undo(pokes, &stopped);
        }
    }
    pokes.serialise(&stopped);
    result
}

impl Part {
    /// Does this part. A payload that is applied has its load hooks called before its functions are in use, one that
    /// is reverted its unload hooks when they no longer are.
    #[inline(always)]
    fn begin(&mut self, pokes: &Pokes, failed: &mut Option<usize>, stopped: &Stopped) -> Result {
        if let Some(hook) = self.action {
            let rc = call_with(hook, &mut self.arg);
            if rc != 0 {
                return Err(to_errno(rc));
            }
            self.by_default = self.arg.default_action != 0;
            // Of what was written only writing is the way back: a hook that says that all is done has not done it.
            if !self.by_default && !self.applies && self.count != 0 {
                self.undo_action();
                return Err(EINVAL);
            }
        }
        if !self.by_default {
            return Ok(());
        }
        if self.applies {
            call_all(&self.load);
        }
        if let Err(number) = pokes.perform(self.from, self.count, stopped) {
            *failed = Some(number);
            if self.applies {
                call_all(&self.unload);
            }
            self.undo_action();
            return Err(EINVAL);
        }
        if !self.applies {
            call_all(&self.unload);
        }
        Ok(())
    }

    /// Undoes this part.
    #[inline(always)]
    fn undo(&mut self, pokes: &Pokes, stopped: &Stopped) {
        if self.by_default {
            if !self.applies {
                call_all(&self.load);
            }
            pokes.undo(self.from, self.count, stopped);
            if self.applies {
                call_all(&self.unload);
            }
        }
        self.undo_action();
    }

    /// Calls the hook that undoes what the one in place of the writing has done.
    #[inline(always)]
    fn undo_action(&mut self) {
        if let (Some(_), Some(undo)) = (self.action, self.undo) {
            call_with(undo, &mut self.arg);
        }
    }
}

/// Calls hooks, one after the other.
#[inline(always)]
fn call_all(hooks: &[Hook]) {
    for hook in hooks {
        call(*hook);
    }
}

/// What a hook says.
#[inline(always)]
fn to_errno(rc: i32) -> Errno {
    // CAST: Widens.
    match Errno::from_raw(i64::from(rc)) {
        Some(errno) => errno,
        None => EINVAL,
    }
}
