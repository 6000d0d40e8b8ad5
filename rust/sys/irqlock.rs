// SPDX-License-Identifier: GPL-2.0-only

//! A spin lock that is held with interrupts off.
//!
//! For what the scheduler's callbacks and interrupt handlers use too. It is held for a few stores only: nothing under
//! it sleeps, wakes anybody, allocates, frees or takes another lock.

use kernel::sync::lock::{
    Backend,
    Lock, //
};
use kernel::sync::LockClassKey;
use pin_init::PinInit;

use crate::sys::raw;

/// The lock.
pub(crate) type IrqLock<T> = Lock<T, IrqSave>;

/// Makes a lock around `value`; `name` is what lockdep calls it, and `key` its class (`static_lock_class!`).
pub(crate) fn irq_lock<T>(
    value: T,
    name: &'static kernel::str::CStr,
    key: core::pin::Pin<&'static LockClassKey>,
) -> impl PinInit<IrqLock<T>> {
    IrqLock::new(value, name, key)
}

/// The kernel's `raw_spinlock_t`, with the interrupt flag saved.
pub(crate) struct IrqSave;

// SAFETY: The kernel's spin lock gives exclusive access; `relock` is the default.
unsafe impl Backend for IrqSave {
    type State = kernel::bindings::raw_spinlock;
    type GuardState = kernel::ffi::c_ulong;

    unsafe fn init(
        ptr: *mut Self::State,
        name: *const kernel::ffi::c_char,
        key: *mut kernel::bindings::lock_class_key,
    ) {
        // SAFETY: By the contract the pointer is valid, and the others for ever.
        unsafe { raw::oxen_raw_spin_init(ptr.cast(), name, key.cast()) };
    }

    #[inline]
    unsafe fn lock(ptr: *mut Self::State) -> Self::GuardState {
        // SAFETY: Initialised, by the contract.
        unsafe { raw::oxen_raw_spin_lock(ptr.cast()) }
    }

    unsafe fn try_lock(ptr: *mut Self::State) -> Option<Self::GuardState> {
        let mut flags = 0;
        // SAFETY: Initialised, by the contract.
        let taken = unsafe { raw::oxen_raw_spin_trylock(ptr.cast(), &raw mut flags) };
        taken.then_some(flags)
    }

    #[inline]
    unsafe fn unlock(ptr: *mut Self::State, guard_state: &Self::GuardState) {
        // SAFETY: Held by the caller, who got this state from `lock`.
        unsafe { raw::oxen_raw_spin_unlock(ptr.cast(), *guard_state) };
    }

    unsafe fn assert_is_held(ptr: *mut Self::State) {
        // SAFETY: Initialised, by the contract.
        unsafe { raw::oxen_raw_spin_assert_held(ptr.cast()) };
    }
}
