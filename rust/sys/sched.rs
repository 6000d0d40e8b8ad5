// SPDX-License-Identifier: GPL-2.0-only

//! Learning when the scheduler takes the processor from a thread and gives it one.
//!
//! What the scheduler calls passes the gate of live patching: also a thread that waits outside of it is scheduled.

use core::marker::PhantomPinned;
use core::pin::pin;

use kernel::bindings;

use crate::sys::gate::Seat;
use crate::sys::{
    hold,
    raw, //
};

/// What a thread does when it loses and gets a processor.
pub(crate) trait Scheduled {
    /// The thread was given a processor. Preemption is off, interrupts are on.
    fn given(&self);

    /// The processor goes to another thread. `preempted` says that this one wants to go on; otherwise it sleeps.
    ///
    /// Interrupts are off, and the scheduler holds a lock of its own: nothing here may wake a thread, or take a lock
    /// that is held anywhere with interrupts on or while a thread is woken.
    fn taken(&self, preempted: bool);
}

/// Makes the kernel call such functions at all; to be held by the module while it is loaded.
pub(crate) struct Notifications(());

impl Notifications {
    /// Turns the calls on.
    pub(crate) fn new() -> Self {
        // SAFETY: Balanced by the drop.
        unsafe { bindings::preempt_notifier_inc() };
        Self(())
    }
}

impl Drop for Notifications {
    fn drop(&mut self) {
        // SAFETY: Balances `new`.
        unsafe { bindings::preempt_notifier_dec() };
    }
}

/// A registration; the kernel's structure comes first.
#[repr(C)]
struct Registration<'a, T> {
    notifier: bindings::preempt_notifier,
    object: &'a T,
    seat: &'a Seat,
    _pin: PhantomPinned,
}

impl<T: Scheduled> Registration<'_, T> {
    const OPS: &'static bindings::preempt_ops = &bindings::preempt_ops {
        sched_in: Some(Self::given),
        sched_out: Some(Self::taken),
    };

    /// Called by the scheduler.
    ///
    /// # Safety
    ///
    /// `notifier` is the first member of a registration that [`with`] made and has not ended.
    #[link_section = ".kprobes.text"]
    unsafe extern "C" fn given(
        notifier: *mut bindings::preempt_notifier,
        _cpu: kernel::ffi::c_int,
    ) {
        // SAFETY: By the contract this is where a registration is.
        let this = unsafe { &*notifier.cast::<Self>() };
        hold::scheduled(this.seat, || this.object.given());
    }

    /// Called by the scheduler.
    ///
    /// # Safety
    ///
    /// As above.
    #[link_section = ".kprobes.text"]
    unsafe extern "C" fn taken(
        notifier: *mut bindings::preempt_notifier,
        _next: *mut bindings::task_struct,
    ) {
        // SAFETY: By the contract this is where a registration is.
        let this = unsafe { &*notifier.cast::<Self>() };
        // SAFETY: Looks at the current thread, which is the one that is registered.
        let preempted = unsafe { raw::oxen_fixed_current_is_runnable() };
        hold::scheduled(this.seat, || this.object.taken(preempted));
    }
}

/// Runs `f` in this thread, and calls `object`'s functions meanwhile when the thread loses or gets a processor.
///
/// `on` shows that the calls are turned on. Calls that come while the gate is closed are missed, which `seat`, the
/// thread's, notes.
#[inline(always)]
pub(crate) fn with<T: Scheduled, R>(
    _on: &Notifications,
    object: &T,
    seat: &Seat,
    f: impl FnOnce() -> R,
) -> R {
    /// Ends the registration whatever happens.
    struct End(*mut bindings::preempt_notifier);
    impl Drop for End {
        #[inline(always)]
        fn drop(&mut self) {
            // SAFETY: Registered by the same thread.
            unsafe { bindings::preempt_notifier_unregister(self.0) };
        }
    }

    let mut registration = pin!(Registration {
        notifier: bindings::preempt_notifier {
            ops: core::ptr::from_ref(Registration::<T>::OPS).cast_mut(),
            ..Default::default()
        },
        object,
        seat,
        _pin: PhantomPinned,
    });
    // SAFETY: Nothing is moved out of the reference.
    let this: *mut Registration<'_, T> = unsafe { registration.as_mut().get_unchecked_mut() };
    // SAFETY: The registration stays in its place until `_end` has taken it off the list, and calls are turned on.
    unsafe { bindings::preempt_notifier_register(this.cast()) };
    let _end = End(this.cast());
    f()
}
