// SPDX-License-Identifier: GPL-2.0-only

//! Guards for "preemption is off" and "interrupts are off", and what may only be asked under them.

use kernel::types::NotThreadSafe;

use crate::sys::raw;

/// While it lives, the thread stays on its processor.
pub(crate) struct NoPreempt(NotThreadSafe);

impl NoPreempt {
    /// Turns preemption off.
    pub(crate) fn new() -> Self {
        // SAFETY: Balanced by the drop.
        unsafe { raw::oxen_preempt_disable() };
        Self(NotThreadSafe)
    }

    /// The processor that runs this, and will until the guard is dropped.
    pub(crate) fn cpu(&self) -> u32 {
        // SAFETY: Reads a per-CPU variable; preemption is off.
        unsafe { raw::oxen_cpu_id() }
    }
}

impl Drop for NoPreempt {
    fn drop(&mut self) {
        // SAFETY: Balances `new`.
        unsafe { raw::oxen_preempt_enable() };
    }
}

/// While it lives, no softirq runs on this processor, whatever interrupts come.
///
/// Softirqs use the floating point unit without asking whose it is.
pub(crate) struct SoftirqsOff {
    /// Which waited already: the kernel has given those to a thread, which takes its turn as others do.
    before: u32,
    _here: NotThreadSafe,
}

impl SoftirqsOff {
    /// Holds them back. Interrupts must be on.
    pub(crate) fn new(_at: &NoPreempt) -> Self {
        // SAFETY: Reads a per-CPU variable; preemption is off.
        let before = unsafe { raw::oxen_softirqs_pending() };
        // SAFETY: Balanced by the drop.
        unsafe { raw::oxen_softirqs_disable() };
        Self {
            before,
            _here: NotThreadSafe,
        }
    }

    /// Whether one has come that waits for them to be let in again.
    pub(crate) fn one_waits(&self) -> bool {
        // SAFETY: As above.
        let now = unsafe { raw::oxen_softirqs_pending() };
        now & !self.before != 0
    }
}

impl Drop for SoftirqsOff {
    fn drop(&mut self) {
        // SAFETY: Balances `new`; interrupts are on again.
        unsafe { raw::oxen_softirqs_enable() };
    }
}

/// While it lives, interrupts are off on this processor (and so is preemption).
///
/// The window through which interrupts are let in is a method, so that whoever holds a reference derived from the guard
/// cannot keep it across one.
pub(crate) struct IrqsOff(NotThreadSafe);

impl IrqsOff {
    /// Turns interrupts off. They must be on before.
    pub(crate) fn new() -> Self {
        // SAFETY: Balanced by the drop.
        unsafe { raw::oxen_irq_disable() };
        Self(NotThreadSafe)
    }

    /// Lets pending interrupts in for a moment. A section has [`hw::Vcpu::window`](crate::hw::Vcpu::window) for it,
    /// which first puts back what of the host's state interrupts use.
    pub(crate) fn window(&mut self) {
        // SAFETY: Interrupts were on before the guard was made.
        unsafe { raw::oxen_irq_enable() };
        // SAFETY: Restores what the guard promises.
        unsafe { raw::oxen_irq_disable() };
    }
}

impl Drop for IrqsOff {
    fn drop(&mut self) {
        // SAFETY: Balances `new`.
        unsafe { raw::oxen_irq_enable() };
    }
}

/// Runs `f` with interrupts off, which they may be already.
pub(crate) fn while_off<R>(f: impl FnOnce(&IrqsOff) -> R) -> R {
    // SAFETY: Balanced below.
    let flags = unsafe { raw::oxen_irq_save() };
    // Never dropped: interrupts are to be as they were.
    let irqs = core::mem::ManuallyDrop::new(IrqsOff(NotThreadSafe));
    let result = f(&irqs);
    // SAFETY: Restores what was saved above.
    unsafe { raw::oxen_irq_restore(flags) };
    result
}

/// Whether the scheduler wants the processor back.
pub(crate) fn need_resched() -> bool {
    // SAFETY: Reads a flag of the current thread.
    unsafe { raw::oxen_need_resched() }
}

/// Gives the processor away if the scheduler wants it. Call it from loops that a caller can lengthen.
pub(crate) fn cond_resched() {
    // SAFETY: Callers may sleep.
    unsafe { raw::oxen_cond_resched() };
}

/// Whether a signal that ends the calling process waits for it, so that a long operation should stop. Other signals do
/// not stop one: who has a timer that ticks faster than the operation takes would never see its end.
pub(crate) fn fatal_signal_pending() -> bool {
    // SAFETY: Reads a flag of the current thread.
    unsafe { raw::oxen_fatal_signal_pending() }
}

/// Tells RCU that this processor holds no reference now, as entering a guest means.
pub(crate) fn rcu_note_guest_entry(_irqs: &IrqsOff) {
    // SAFETY: Interrupts are off and no RCU read section is open here.
    unsafe { raw::oxen_rcu_virt_note_context_switch() };
}
