// SPDX-License-Identifier: GPL-2.0-only

//! Deciding, before an entry, what the guest is interrupted with.
//!
//! Order: an event whose delivery was interrupted, NMI, Xen's upcall, the local APIC. The upcall through the callback
//! vector is no interrupt of the APIC: it needs no acknowledgement and comes again as long as `evtchn_upcall_pending`
//! is set.

use super::Running;
use crate::hw::state::{
    Event,
    RFLAGS_IF, //
};
use crate::hw::{
    Backend,
    Vcpu as _, //
};
use crate::sys::atomic::Ordering;
use crate::trace::{
    self,
    InjectKind, //
};

/// What there is to deliver.
#[derive(Clone, Copy)]
enum Source {
    /// Xen's upcall, with the domain's callback vector.
    Callback(u8),
    /// A vector of the local APIC.
    Apic(u8),
}

impl<B: Backend> Running<'_, B> {
    /// What would be delivered if the guest allowed it.
    fn deliverable(&self) -> Option<Source> {
        // CAST: A vector has eight bits.
        let callback = self.domain.callback_vector.load(Ordering::Relaxed) as u8;
        if callback != 0 && self.upcall.is_pending() {
            return Some(Source::Callback(callback));
        }
        if !self.vcpu.lapic.is_pending() {
            return None;
        }
        self.owned
            .lapic
            .deliverable(&self.vcpu.lapic)
            .map(Source::Apic)
    }

    /// Whether something interrupts the guest at its next entry, which ends a HLT. Never in an interrupt shadow, which
    /// the instruction that waits has ended.
    pub(super) fn has_event(&mut self) -> bool {
        // The guest moves the priority in CR8 without an exit.
        self.owned.lapic.set_cr8(self.hw.cr8());
        (self.vcpu.lapic.nmi_pending() && self.hw.nmi_allowed())
            || self.hw.injection_pending()
            || (self.hw.rflags() & RFLAGS_IF != 0 && self.deliverable().is_some())
    }

    /// [`Running::deliver_events`] of a guest that a monitor watches.
    #[inline(never)]
    pub(super) fn deliver_now(&mut self) {
        self.deliver_events();
    }

    /// Injects the most important event that the guest can take now, and asks for a window if one must wait.
    #[inline(always)]
    pub(super) fn deliver_events(&mut self) {
        // The guest moves the priority in CR8 without an exit.
        self.owned.lapic.set_cr8(self.hw.cr8());
        let mut waits = false;
        if self.vcpu.lapic.nmi_pending() {
            if !self.hw.injection_pending() && self.hw.nmi_allowed() {
                if self.vcpu.lapic.take_nmi() {
                    self.inject(Event::Nmi);
                }
            } else {
                waits = true;
            }
        }
        if let Some(source) = self.deliverable() {
            let open = self.hw.rflags() & RFLAGS_IF != 0 && !self.hw.interrupt_shadow();
            if open && !self.hw.injection_pending() {
                self.deliver(source);
            } else {
                waits = true;
            }
        }
        if waits != self.window {
            self.window = waits;
            self.hw.want_interrupt_window(waits);
        }
    }

    /// Interrupts the guest with this at its next entry.
    #[inline]
    pub(super) fn inject(&mut self, event: Event) {
        trace::inject(|| {
            let (kind, vector) = match event {
                Event::Interrupt(vector) => (InjectKind::Interrupt, vector),
                Event::Nmi => (InjectKind::Nmi, 2),
                Event::Exception { vector, .. } => (InjectKind::Exception, vector),
            };
            trace::Inject {
                domid: self.domain.id().into(),
                vcpu: self.vcpu.id(),
                // CAST: The enumeration is of that width.
                kind: kind as u32,
                vector: vector.into(),
            }
        });
        self.hw.inject(event);
    }

    #[inline(always)]
    fn deliver(&mut self, source: Source) {
        match source {
            Source::Callback(vector) => self.inject(Event::Interrupt(vector)),
            Source::Apic(vector) => {
                if self.owned.lapic.accept(&self.vcpu.lapic, vector) {
                    self.inject(Event::Interrupt(vector));
                }
            }
        }
    }
}
