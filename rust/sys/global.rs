// SPDX-License-Identifier: GPL-2.0-only

//! The one object that the whole module shares.

use core::ptr;
use core::sync::atomic::AtomicPtr;

use crate::abi::errno::{
    Errno,
    Result, //
};
use crate::sys::alloc::{
    KBox,
    GFP_KERNEL, //
};
use crate::sys::atomic::Ordering;
use pin_init::PinInit;

/// A place for an object that is made when the module starts and dropped when it ends.
pub(crate) struct Global<T>(AtomicPtr<T>);

impl<T: Send + Sync> Global<T> {
    /// An empty place.
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Makes the object.
    ///
    /// # Safety
    ///
    /// To be called once, when the module starts. The guard must be dropped after everything else that runs the
    /// module's code: devices, threads, timers.
    pub(crate) unsafe fn init<E>(&'static self, init: impl PinInit<T, E>) -> Result<GlobalGuard<T>>
    where
        Errno: From<E>,
        E: From<crate::sys::alloc::AllocError>,
    {
        use kernel::prelude::InPlaceInit;

        let object = KBox::try_pin_init::<E>(init, GFP_KERNEL)?;
        // SAFETY: The object is not moved: only shared references to it are made until it is dropped in place.
        let object = KBox::into_raw(unsafe { core::pin::Pin::into_inner_unchecked(object) });
        self.0.store(object, Ordering::Release);
        Ok(GlobalGuard(self))
    }

    /// The object, if the module has started.
    #[inline(always)]
    pub(crate) fn get(&'static self) -> Option<&'static T> {
        // SAFETY: Null, or the object that `init` made; it outlives every caller by the contract there.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }
}

/// Drops the object.
pub(crate) struct GlobalGuard<T: 'static>(&'static Global<T>);

impl<T> Drop for GlobalGuard<T> {
    fn drop(&mut self) {
        let object = self.0 .0.swap(ptr::null_mut(), Ordering::AcqRel);
        if !object.is_null() {
            // SAFETY: The box is the one that `init` made; nobody uses the object any more.
            drop(unsafe { core::pin::Pin::new_unchecked(KBox::from_raw(object)) });
        }
    }
}
