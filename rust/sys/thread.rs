// SPDX-License-Identifier: GPL-2.0-only

//! Kernel threads that park and are woken.

use core::ptr::NonNull;

use crate::abi::errno::{
    Errno,
    Result,
    ENOMEM, //
};
use crate::sys::alloc::{
    KBox,
    GFP_KERNEL, //
};
use crate::sys::{
    hold,
    raw, //
};

/// What a thread does. Owned by the thread, dropped when it ends.
pub(crate) trait Run: Send + 'static {
    /// Runs until [`hold::should_stop`], or returns earlier and is then only waiting to be joined. Called outside of
    /// the gate, and returns outside.
    fn run(&self);
}

/// A kernel thread.
///
/// # Invariants
///
/// `task` is a kernel thread of which this value holds a reference, and which was not stopped before. If it
/// never ran, `arg` is a box that `free` frees.
pub(crate) struct Thread {
    task: NonNull<raw::task_struct>,
    arg: *mut kernel::ffi::c_void,
    free: unsafe fn(*mut kernel::ffi::c_void),
}

// SAFETY: Waking and stopping a thread may be done from anywhere.
unsafe impl Send for Thread {}
// SAFETY: As above.
unsafe impl Sync for Thread {}

impl Thread {
    /// Creates a thread named `name-DOMID/VCPU` that does not run before it is first woken.
    pub(crate) fn new<R: Run>(
        name: &'static kernel::str::CStr,
        domid: u16,
        vcpu: u32,
        what: R,
    ) -> Result<Self> {
        /// Called by the kernel, or through the pointer that is registered beside it.
        ///
        /// # Safety
        ///
        /// To be called as it was registered, with what was registered.
        #[link_section = ".kprobes.text"]
        unsafe extern "C" fn main<R: Run>(arg: *mut kernel::ffi::c_void) -> i32 {
            // SAFETY: `arg` is the box that `new` gave away; the thread runs once.
            let what: KBox<R> = unsafe { KBox::from_raw(arg.cast()) };
            what.run();
            // A kernel thread must not return before it is told to stop, or there is nothing left to join.
            while !hold::should_stop() {
                // SAFETY: Sets the state of the current thread; a wake-up from here on sets it back.
                unsafe { raw::oxen_fixed_park_begin() };
                if !hold::should_stop() {
                    // SAFETY: A kernel thread may sleep.
                    unsafe { raw::oxen_fixed_park_schedule() };
                }
                // SAFETY: Sets the state of the current thread.
                unsafe { raw::oxen_fixed_park_end() };
            }
            // Who stops a thread is inside the gate and waits for this, so nothing is patched meanwhile.
            drop(what);
            0
        }
        /// Called by the kernel, or through the pointer that is registered beside it.
        ///
        /// # Safety
        ///
        /// To be called as it was registered, with what was registered.
        unsafe fn free<R: Run>(arg: *mut kernel::ffi::c_void) {
            // SAFETY: By the type's invariant the box is still there.
            drop(unsafe { KBox::<R>::from_raw(arg.cast()) });
        }
        let arg: *mut kernel::ffi::c_void = KBox::into_raw(KBox::new(what, GFP_KERNEL)?).cast();
        // SAFETY: `main` takes the box over; the name lives forever.
        let task = unsafe {
            raw::oxen_kthread_create(
                Some(main::<R>),
                arg,
                kernel::str::CStrExt::as_char_ptr(name).cast(),
                domid.into(),
                vcpu,
            )
        };
        let Some(task) = NonNull::new(task) else {
            // SAFETY: The thread does not exist, so the box is still ours.
            unsafe { free::<R>(arg) };
            return Err(ENOMEM);
        };
        // SAFETY: A kernel thread that nobody stops but us stays valid.
        unsafe { raw::oxen_get_task(task.as_ptr()) };
        // INVARIANT: The reference was taken just above, and the thread has not run.
        Ok(Self {
            task,
            arg,
            free: free::<R>,
        })
    }

    /// Returns what is needed to wake the thread, which stays valid after it has ended.
    pub(crate) fn task(&self) -> TaskRef {
        // SAFETY: Valid by the type's invariant.
        unsafe { raw::oxen_get_task(self.task.as_ptr()) };
        // INVARIANT: The reference was taken just above.
        TaskRef(self.task)
    }
}

/// A reference to a thread that may have ended.
///
/// # Invariants
///
/// The pointer is to a task of which this value holds a reference.
pub(crate) struct TaskRef(NonNull<raw::task_struct>);

// SAFETY: Waking a task may be done from anywhere.
unsafe impl Send for TaskRef {}
// SAFETY: As above.
unsafe impl Sync for TaskRef {}

impl TaskRef {
    /// Wakes the thread if it is parked. May be called from interrupt handlers.
    pub(crate) fn wake(&self) {
        // SAFETY: Valid by the type's invariant.
        unsafe { raw::oxen_wake(self.0.as_ptr()) };
    }

    /// The processor on which the thread runs or last ran.
    pub(crate) fn cpu(&self) -> u32 {
        // SAFETY: Valid by the type's invariant.
        unsafe { raw::oxen_task_cpu(self.0.as_ptr()) }
    }

    /// Lets the thread run on the processors whose bits are set in `words`, and on no others. May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if none of them is online, `ENOMEM`.
    pub(crate) fn set_cpus(&self, words: &[u64]) -> Result {
        // CAST: There are far fewer processors than 2^32.
        let nr = words.len() as u32;
        // SAFETY: The task is valid by the type's invariant, `words` for the call.
        let rc = unsafe { raw::oxen_task_set_cpus(self.0.as_ptr(), words.as_ptr(), nr) };
        match Errno::from_raw(rc.into()) {
            None => Ok(()),
            Some(errno) => Err(errno),
        }
    }

    /// Nanoseconds of processor time that the thread has used.
    pub(crate) fn runtime_ns(&self) -> u64 {
        // SAFETY: Valid by the type's invariant.
        unsafe { raw::oxen_task_runtime_ns(self.0.as_ptr()) }
    }
}

impl Drop for TaskRef {
    fn drop(&mut self) {
        // SAFETY: The reference is ours by the type's invariant.
        unsafe { raw::oxen_put_task(self.0.as_ptr()) };
    }
}

impl Drop for Thread {
    /// Tells the thread to stop and waits for its end.
    fn drop(&mut self) {
        // SAFETY: Valid by the type's invariant, and stopped nowhere else.
        let rc = unsafe { raw::oxen_kthread_stop(self.task.as_ptr()) };
        // `main` returns 0. Anything else means that the thread was stopped before it ever ran.
        if rc != 0 {
            // SAFETY: By the type's invariant nobody took the box.
            unsafe { (self.free)(self.arg) };
        }
        // SAFETY: The reference is ours.
        unsafe { raw::oxen_put_task(self.task.as_ptr()) };
    }
}
