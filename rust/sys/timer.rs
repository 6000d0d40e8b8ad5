// SPDX-License-Identifier: GPL-2.0-only

//! A one-shot high resolution timer that calls a method from interrupt context.

use core::marker::PhantomPinned;
use core::pin::Pin;
use core::ptr::NonNull;

use kernel::types::Opaque;
use pin_init::{
    pin_data,
    pin_init,
    pinned_drop,
    PinInit, //
};

use crate::sys::atomic::{
    AtomicBool,
    Ordering, //
};
use crate::sys::{
    hold,
    raw, //
};

/// Room for the C side's structure; checked when the module starts.
const BYTES: usize = 128;

/// What a timer does. Called with interrupts off: it may set flags and wake threads, nothing else.
pub(crate) trait Fired: Sync {
    /// The deadline has passed.
    fn fired(&self);
}

/// A timer that calls [`Fired::fired`] of the value it was armed for.
///
/// Cancelled when it is dropped. It is embedded in the object that it serves, so that the object is alive
/// whenever the timer can fire.
#[pin_data(PinnedDrop)]
pub(crate) struct Timer {
    #[pin]
    timer: Opaque<[u64; BYTES / 8]>,
    /// What to call: written before the first start, constant afterwards.
    target: core::cell::UnsafeCell<Option<Target>>,
    attached: AtomicBool,
    #[pin]
    _pin: PhantomPinned,
}

#[derive(Clone, Copy)]
struct Target {
    object: NonNull<()>,
    call: unsafe fn(NonNull<()>),
}

// SAFETY: The kernel's timer functions may be called from any thread; `target` is written once, before the timer
// can fire.
unsafe impl Send for Timer {}
// SAFETY: As above; `attach` requires exclusive use.
unsafe impl Sync for Timer {}

impl Timer {
    /// Makes an idle timer.
    pub(crate) fn new() -> impl PinInit<Self> {
        /// Called by the kernel, or through the pointer that is registered beside it.
        ///
        /// # Safety
        ///
        /// To be called as it was registered, with what was registered.
        #[link_section = ".kprobes.text"]
        unsafe extern "C" fn fired(timer: *mut raw::hrtimer) -> bool {
            // The kernel's timer is the first member of the C side's structure, which is that of ours.
            let this = timer.cast::<Timer>();
            // SAFETY: The timer is embedded in a `Timer`, alive until it is cancelled.
            let target = unsafe { (*this).target.get().read() };
            // A timer that finds the gate closed comes again.
            hold::timer(|| {
                if let Some(target) = target {
                    // SAFETY: `attach` promised that the object outlives the timer.
                    unsafe { (target.call)(target.object) };
                }
            })
        }
        pin_init!(Self {
            timer <- Opaque::ffi_init(|slot: *mut [u64; BYTES / 8]| {
                // SAFETY: The slot is large enough, see `check_size`, and pinned.
                unsafe { raw::oxen_hrtimer_init(slot.cast(), Some(fired)) };
            }),
            target: core::cell::UnsafeCell::new(None),
            attached: AtomicBool::new(false),
            _pin: PhantomPinned,
        })
    }

    /// Says what to call: the method of the object that the timer is a part of. To be called once, before the first
    /// start; later calls do nothing.
    pub(crate) fn attach<T: Fired>(object: Pin<&T>, timer: fn(&T) -> &Timer) {
        /// Called by the kernel, or through the pointer that is registered beside it.
        ///
        /// # Safety
        ///
        /// To be called as it was registered, with what was registered.
        unsafe fn call<T: Fired>(object: NonNull<()>) {
            // SAFETY: Made from a `&T` in `attach`; the timer is a part of the object, which is pinned, so the object
            // is still there when the timer fires.
            let object = unsafe { object.cast::<T>().as_ref() };
            object.fired();
        }
        let object = object.get_ref();
        let this = timer(object);
        if this.attached.swap(true, Ordering::AcqRel) {
            return;
        }
        // SAFETY: The flag let one caller through; the timer cannot have been started before.
        unsafe {
            this.target.get().write(Some(Target {
                object: NonNull::from(object).cast(),
                call: call::<T>,
            }));
        }
    }

    /// Starts the timer, or starts it anew, to fire after `delta_ns` nanoseconds.
    pub(crate) fn start(&self, delta_ns: u64) {
        // CAST: The kernel's time is signed; what is longer than 146 years may as well be that.
        let delta_ns = delta_ns.min(i64::MAX as u64 / 2);
        // SAFETY: Initialised in `new`.
        unsafe { raw::oxen_hrtimer_start(self.timer.get().cast(), delta_ns) };
    }

    /// Stops the timer and waits until its function, if it is running, has returned.
    pub(crate) fn cancel(&self) {
        // SAFETY: Initialised in `new`; not called from `fired`.
        unsafe { raw::oxen_hrtimer_cancel(self.timer.get().cast()) };
    }
}

#[pinned_drop]
impl PinnedDrop for Timer {
    fn drop(self: Pin<&mut Self>) {
        self.cancel();
    }
}

/// Whether the room for the C side's structure is enough in this kernel.
pub(crate) fn check_size() -> bool {
    // SAFETY: Returns a constant.
    unsafe { raw::oxen_hrtimer_size() as usize <= BYTES }
}
