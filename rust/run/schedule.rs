// SPDX-License-Identifier: GPL-2.0-only

//! What a vCPU's thread does when it loses and gets a processor: it keeps the runstate.
//!
//! A record whose address was translated when it was registered is written in a few stores. With the policy
//! `runstate_va=walk` its linear address is translated each time instead, with the page tables that the guest had
//! when it last left the section. That works without a lock and without sleeping too, but it fails when the guest's
//! present page tables do not map the record, as those of its user processes do not when it isolates them.

use core::sync::atomic::{
    AtomicBool,
    AtomicU64, //
};

use kernel::sync::Arc;

use super::Running;
use crate::domain::runstate::Walk;
use crate::domain::vcpu::Vcpu;
use crate::domain::Domain;
use crate::hw::{
    Backend,
    Vcpu as _, //
};
use crate::mm::guest::{
    FastMemory,
    Translated, //
};
use crate::mm::walk::Paging;
use crate::sys::atomic::Ordering;
use crate::sys::irq::{
    self,
    NoPreempt, //
};
use crate::sys::sched::Scheduled;
use crate::time::runstate::record::{
    self,
    Layout,
    Sink, //
};
use crate::time::runstate::Runstate;

/// A vCPU, for the scheduler's callbacks in its thread.
pub(super) struct Hook<'a> {
    /// Its domain.
    pub(super) domain: &'a Arc<Domain>,
    /// The vCPU.
    pub(super) vcpu: &'a Vcpu,
    /// Its paging when it last left the section.
    paging: NotedPaging,
}

impl<'a> Hook<'a> {
    /// Makes the hook of a vCPU.
    pub(super) fn new(domain: &'a Arc<Domain>, vcpu: &'a Vcpu) -> Self {
        Self {
            domain,
            vcpu,
            paging: NotedPaging::default(),
        }
    }
}

impl Scheduled for Hook<'_> {
    #[inline(never)]
    fn given(&self) {
        self.vcpu.runstate.given(self);
    }

    #[inline(never)]
    fn taken(&self, preempted: bool) {
        self.vcpu.runstate.taken(preempted, self);
    }
}

/// The registers that say how linear addresses are translated. Written and read by one thread and by what interrupts
/// it.
#[derive(Default)]
struct NotedPaging {
    known: AtomicBool,
    cr0: AtomicU64,
    cr3: AtomicU64,
    cr4: AtomicU64,
    efer: AtomicU64,
}

impl NotedPaging {
    fn get(&self) -> Option<Paging> {
        self.known.load(Ordering::Relaxed).then(|| Paging {
            cr0: self.cr0.load(Ordering::Relaxed),
            cr3: self.cr3.load(Ordering::Relaxed),
            cr4: self.cr4.load(Ordering::Relaxed),
            efer: self.efer.load(Ordering::Relaxed),
            // What the guest may do under SMAP just now says nothing of what the hypervisor should.
            ac: false,
        })
    }
}

impl<B: Backend> Running<'_, B> {
    /// Notes the guest's paging, if records are to be found with it.
    #[inline]
    pub(super) fn note_paging(&self) {
        if self.walks {
            let noted = &self.hook.paging;
            noted.cr0.store(self.hw.cr0(), Ordering::Relaxed);
            noted.cr3.store(self.hw.cr3(), Ordering::Relaxed);
            noted.cr4.store(self.hw.cr4(), Ordering::Relaxed);
            noted.efer.store(self.hw.efer(), Ordering::Relaxed);
            noted.known.store(true, Ordering::Relaxed);
        }
    }
}

impl Walk for Hook<'_> {
    #[cold]
    #[inline(never)]
    fn write(&self, linear: u64, account: &Runstate, flag: bool) -> bool {
        let Some(paging) = self.paging.get() else {
            return false;
        };
        let p2m = &self.domain.p2m;
        let layout = Layout::of(self.domain.is_compat());
        let preempt = NoPreempt::new();
        irq::while_off(|irqs| {
            p2m.running().insert_self(&preempt);
            let memory = FastMemory { p2m, irqs };
            let place = Translated::new(memory, &paging, linear, layout.len()).map(Bytes);
            if let Some(place) = &place {
                record::publish(place, account, layout, flag);
            }
            p2m.running().remove_self(&preempt);
            place.is_some()
        })
    }
}

/// A record where it was just found.
struct Bytes<'a>(Translated<'a>);

impl Sink for Bytes<'_> {
    fn store8(&self, at: usize, value: u8) {
        self.0.store(at, &[value]);
    }
    fn store32(&self, at: usize, value: u32) {
        self.0.store(at, &value.to_le_bytes());
    }
    fn store64(&self, at: usize, value: u64) {
        self.0.store(at, &value.to_le_bytes());
    }
}
