// SPDX-License-Identifier: GPL-2.0-only

//! The code in which one waits outside of the [gate](super::gate): never changed by a live patch, because it is in a
//! section of its own ([`FIXED`]) and calls nothing else but the kernel and `helpers/fixed.c` while the gate may be
//! closed.
//!
//! `make lint` looks at what the section calls (`tools/lab/fixed.py`).

use core::ptr;
use core::sync::atomic::AtomicPtr;

use crate::sys::atomic::Ordering;
use crate::sys::gate::{
    Gate,
    Seat, //
};
use crate::sys::raw;

/// The name of the section, as the attribute has to spell it. The kernel puts no probes there.
#[allow(dead_code)]
pub(crate) const FIXED: &str = ".kprobes.text";

/// The gate of this module.
pub(crate) static GATE: Gate = Gate::new();

/// What a tool's call has to do when it is outside.
static WORK: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Something to do outside.
pub(crate) type Work = fn();

/// Whose call does it.
static WORKER: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// The current process, to compare with.
#[inline(always)]
fn current() -> *mut () {
    // SAFETY: May be called from any context. CAST: Only compared.
    unsafe { raw::oxen_fixed_current() }.cast_mut().cast()
}

/// Leaves `work` to the call that runs this. There is one such thing at a time.
pub(crate) fn do_outside(work: Work) {
    WORKER.store(current(), Ordering::Relaxed);
    // CAST: A function's address; read back as the same type.
    WORK.store(work as *mut (), Ordering::Release);
}

/// Runs a part of what is done outside inside. While the gate is closed the tool waits.
#[inline(always)]
pub(crate) fn inside<R>(call: impl FnOnce() -> R) -> R {
    while !GATE.try_enter() {
        // SAFETY: The word lives as long as the module; callers may sleep.
        unsafe { raw::oxen_fixed_wait_open(GATE.stage_word().as_ptr()) };
    }
    let result = call();
    GATE.leave();
    result
}

/// Runs a tool's call inside, and afterwards what it left to be done outside. While the gate is closed the tool waits.
#[inline(always)]
pub(crate) fn tool<R>(call: impl FnOnce() -> R) -> R {
    let result = inside(call);
    let work = WORK.load(Ordering::Acquire);
    if !work.is_null() && WORKER.load(Ordering::Relaxed) == current() {
        WORK.store(ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: `do_outside` stored a function of this type.
        let work = unsafe { core::mem::transmute::<*mut (), Work>(work) };
        work();
    }
    result
}

/// Runs what a process does to its mappings inside. While the gate is closed to that the process waits.
#[inline(always)]
pub(crate) fn mapping<R>(call: impl FnOnce() -> R) -> R {
    while !GATE.try_enter_mapping() {
        // SAFETY: The word lives as long as the module; callers may sleep.
        unsafe { raw::oxen_fixed_wait_open(GATE.stage_word().as_ptr()) };
    }
    let result = call();
    GATE.leave_mapping();
    result
}

/// Runs what the scheduler calls for a thread inside, or notes that it could not.
#[inline(always)]
pub(crate) fn scheduled(seat: &Seat, call: impl Fn()) {
    seat.scheduled(&GATE, call);
}

/// Runs a timer's function inside. Returns whether it did: not while the gate is closed to timers.
#[inline(always)]
pub(crate) fn timer(call: impl FnOnce()) -> bool {
    let entered = GATE.try_enter_timer();
    if entered {
        call();
        GATE.leave_timer();
    }
    entered
}

/// Sleeps outside until the thread is woken and `ready`, called inside, holds. The thread is inside then. `ready`
/// must not sleep.
#[inline(always)]
pub(crate) fn park(seat: &Seat, mut ready: impl FnMut() -> bool) {
    loop {
        // SAFETY: Sets the state of the current thread; a wake-up from here on sets it back.
        unsafe { raw::oxen_fixed_park_begin() };
        if seat.try_enter(&GATE) {
            if ready() {
                break;
            }
            seat.leave();
        }
        // SAFETY: Callers may sleep.
        unsafe { raw::oxen_fixed_park_schedule() };
    }
    // SAFETY: Sets the state of the current thread.
    unsafe { raw::oxen_fixed_park_end() };
}

/// A safe point: goes out, lets others have the processor if they want it, and comes back in when that is allowed.
#[inline(always)]
pub(crate) fn pass(seat: &Seat) {
    seat.leave();
    // SAFETY: Callers may sleep.
    unsafe { raw::oxen_fixed_yield() };
    park(seat, || true);
}

/// Sleeps outside for about so many milliseconds.
#[inline(always)]
pub(crate) fn nap(seat: &Seat, ms: u32) {
    seat.leave();
    // SAFETY: Callers may sleep.
    unsafe { kernel::bindings::msleep(ms) };
    park(seat, || true);
}

/// Whether the current kernel thread was told to stop.
#[inline(always)]
pub(crate) fn should_stop() -> bool {
    // SAFETY: Called by kernel threads only.
    unsafe { raw::oxen_fixed_should_stop() }
}

/// Nanoseconds since the host started.
#[inline(always)]
pub(crate) fn now_ns() -> u64 {
    // SAFETY: May be called from any context.
    unsafe { raw::oxen_fixed_ktime_ns() }
}

/// Runs `call`, and nothing else on this processor but interrupts.
#[inline(always)]
pub(crate) fn alone(call: impl FnOnce()) {
    // SAFETY: Callers are processes; given up below.
    unsafe { raw::oxen_fixed_alone(true) };
    call();
    // SAFETY: Balances the above.
    unsafe { raw::oxen_fixed_alone(false) };
}

/// Lets those in who wait because the gate was closed, after it was opened.
#[inline(always)]
pub(crate) fn wake_tools() {
    // SAFETY: May be called from any context.
    unsafe { raw::oxen_fixed_wake_open() };
}

/// Tells the processor that it waits in a loop.
#[inline(always)]
pub(crate) fn relax() {
    // SAFETY: Has no other effect.
    unsafe { raw::oxen_fixed_relax() };
}

/// Sleeps for so many microseconds, or up to twice as many. For processes in system calls.
#[inline(always)]
pub(crate) fn sleep_us(us: u32) {
    // SAFETY: Such a process may sleep.
    unsafe { raw::oxen_fixed_sleep_us(us) };
}

/// While it lives, no processor comes or goes.
pub(crate) struct Processors(());

impl Processors {
    /// Keeps them, unless one is coming or going.
    #[inline(always)]
    pub(crate) fn try_keep() -> Option<Self> {
        // SAFETY: Waits for nobody; balanced by the drop.
        let kept = unsafe { raw::oxen_fixed_cpus_trylock() };
        // No value is made where nothing is kept: its drop would give back.
        if kept {
            Some(Self(()))
        } else {
            None
        }
    }
}

impl Drop for Processors {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: Balances `try_keep`.
        unsafe { raw::oxen_fixed_cpus_unlock() };
    }
}
