// SPDX-License-Identifier: GPL-2.0-only

//! Processors: how many, coming and going, being told something.

use core::ptr::NonNull;

use crate::abi::errno::{
    Errno,
    Result,
    EINVAL,
    ENODEV,
    ENOMEM, //
};
use crate::sys::irq::NoPreempt;
use crate::sys::raw;

/// One more than the highest processor number.
pub(crate) fn nr_ids() -> u32 {
    // SAFETY: Reads a variable that is constant after boot.
    unsafe { raw::oxen_nr_cpu_ids() }
}

/// Processors that are online.
pub(crate) fn online() -> u32 {
    // SAFETY: Reads a counter.
    unsafe { raw::oxen_num_online_cpus() }
}

/// The processor that runs this. Without preemption off it may already be another.
pub(crate) fn current() -> u32 {
    // SAFETY: Reads a per-CPU variable.
    unsafe { raw::oxen_cpu_id() }
}

/// Whether a processor is online.
pub(crate) fn is_online(cpu: u32) -> bool {
    // SAFETY: Checks the range itself.
    unsafe { raw::oxen_cpu_online(cpu) }
}

/// Where a processor sits: (core, package, node).
pub(crate) fn topology(cpu: u32) -> Option<(u32, u32, u32)> {
    if !is_online(cpu) {
        return None;
    }
    // SAFETY: The number is that of a possible processor.
    let core = unsafe { raw::oxen_cpu_core_id(cpu) };
    // SAFETY: As above.
    let package = unsafe { raw::oxen_cpu_package_id(cpu) };
    // SAFETY: As above.
    let node = unsafe { raw::oxen_cpu_node(cpu) };
    Some((core, package, node))
}

/// Nanoseconds since the host started in which a processor had nothing to do; 0 for one that is not online.
pub(crate) fn idle_ns(cpu: u32) -> u64 {
    if !is_online(cpu) {
        return 0;
    }
    // SAFETY: The number is that of a possible processor.
    unsafe { raw::oxen_cpu_idle_ns(cpu) }
}

/// Makes a processor leave whatever guest it runs, soon.
pub(crate) fn kick(cpu: u32) {
    // SAFETY: Checks the range itself; an extra reschedule interrupt does no harm.
    unsafe { raw::oxen_kick_cpu(cpu) };
}

/// Runs `f` on another processor, with interrupts off there, and waits for it.
pub(crate) fn call_on<F: FnMut()>(cpu: u32, mut f: F) -> Result {
    /// Called by the kernel, or through the pointer that is registered beside it.
    ///
    /// # Safety
    ///
    /// To be called as it was registered, with what was registered.
    unsafe extern "C" fn shim<F: FnMut()>(arg: *mut kernel::ffi::c_void) {
        // SAFETY: `arg` is the closure below, which the caller keeps until we are done.
        let f = unsafe { &mut *arg.cast::<F>() };
        f();
    }
    if !is_online(cpu) {
        return Err(ENODEV);
    }
    // SAFETY: The call waits, so the closure outlives it.
    let rc = unsafe { raw::oxen_call_on_cpu(cpu, Some(shim::<F>), (&raw mut f).cast()) };
    match Errno::from_raw(rc.into()) {
        None => Ok(()),
        Some(errno) => Err(errno),
    }
}

/// A set of processors that can be told to pass through the host.
pub(crate) struct CpuMask(NonNull<raw::cpumask>);

// SAFETY: Single bits are set and cleared atomically, and readers tolerate change.
unsafe impl Send for CpuMask {}
// SAFETY: As above.
unsafe impl Sync for CpuMask {}

impl CpuMask {
    /// Makes the empty set.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: Callers may sleep.
        NonNull::new(unsafe { raw::oxen_cpumask_alloc() })
            .map(Self)
            .ok_or(ENOMEM)
    }

    /// Adds this processor, with a full memory barrier after it.
    pub(crate) fn insert_self(&self, at: &NoPreempt) {
        // SAFETY: The number is that of the running processor.
        unsafe { raw::oxen_cpumask_set(self.0.as_ptr(), at.cpu()) };
    }

    /// Removes this processor, with a full memory barrier before it.
    pub(crate) fn remove_self(&self, at: &NoPreempt) {
        // SAFETY: The number is that of the running processor.
        unsafe { raw::oxen_cpumask_clear(self.0.as_ptr(), at.cpu()) };
    }

    /// Interrupts every other processor in the set and waits until each has taken the interrupt. Whatever such
    /// a processor did with interrupts off before is over then. A full barrier comes first.
    pub(crate) fn interrupt_and_wait(&self) {
        // SAFETY: Called with interrupts on, from a thread, holding no lock that is taken with interrupts off.
        unsafe { raw::oxen_ipi_wait(self.0.as_ptr()) };
    }
}

impl Drop for CpuMask {
    fn drop(&mut self) {
        // SAFETY: Ours, and not used again.
        unsafe { raw::oxen_cpumask_free(self.0.as_ptr()) };
    }
}

/// What to do when processors come and go. All functions run on the processor concerned.
pub(crate) trait Hotplug {
    /// A processor comes online, or is online at registration. An error refuses it.
    fn online(cpu: u32) -> Result;
    /// A processor goes offline, or the registration ends.
    fn offline(cpu: u32);
    /// The machine suspends, reboots or starts another kernel: leave host mode. Interrupts are off.
    fn stop();
    /// The machine resumed. Interrupts are off.
    fn start();
}

/// A registration of [`Hotplug`] callbacks; dropping it takes every processor offline first.
pub(crate) struct HotplugRegistration {
    state: i32,
}

impl HotplugRegistration {
    /// Registers and runs `online` on every online processor. If one refuses, those before it go offline again.
    pub(crate) fn new<H: Hotplug>() -> Result<Self> {
        /// Called by the kernel, or through the pointer that is registered beside it.
        ///
        /// # Safety
        ///
        /// To be called as it was registered, with what was registered.
        #[link_section = ".kprobes.text"]
        unsafe extern "C" fn online<H: Hotplug>(cpu: u32) -> i32 {
            match H::online(cpu) {
                Ok(()) => 0,
                Err(errno) => errno.to_raw(),
            }
        }
        /// Called by the kernel, or through the pointer that is registered beside it.
        ///
        /// # Safety
        ///
        /// To be called as it was registered, with what was registered.
        #[link_section = ".kprobes.text"]
        unsafe extern "C" fn offline<H: Hotplug>(cpu: u32) -> i32 {
            H::offline(cpu);
            0
        }
        /// Called by the kernel, or through the pointer that is registered beside it.
        ///
        /// # Safety
        ///
        /// To be called as it was registered, with what was registered.
        #[link_section = ".kprobes.text"]
        unsafe extern "C" fn stop<H: Hotplug>() {
            H::stop();
        }
        /// Called by the kernel, or through the pointer that is registered beside it.
        ///
        /// # Safety
        ///
        /// To be called as it was registered, with what was registered.
        #[link_section = ".kprobes.text"]
        unsafe extern "C" fn start<H: Hotplug>() {
            H::start();
        }
        // SAFETY: The functions live as long as the module, which outlives the registration.
        let state = unsafe { raw::oxen_cpuhp_setup(Some(online::<H>), Some(offline::<H>)) };
        if state < 0 {
            return Err(Errno::from_raw(state.into()).unwrap_or(EINVAL));
        }
        // SAFETY: As above; there is one registration in the module.
        unsafe { raw::oxen_syscore_register(Some(stop::<H>), Some(start::<H>)) };
        Ok(Self { state })
    }
}

impl Drop for HotplugRegistration {
    fn drop(&mut self) {
        // SAFETY: Registered in `new`.
        unsafe { raw::oxen_syscore_unregister() };
        // SAFETY: The state is the one that `new` got.
        unsafe { raw::oxen_cpuhp_remove(self.state) };
    }
}
