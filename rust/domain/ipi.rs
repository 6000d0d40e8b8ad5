// SPDX-License-Identifier: GPL-2.0-only

//! A domain's vCPUs as targets of interprocessor interrupts and messages, and events that are injected from outside.

use super::vcpu::{
    request,
    Vcpu, //
};
use super::Domain;
use crate::hw::state::Event;
use crate::sys::atomic::AtomicU32;
use crate::vlapic::ipi::Cpus;
use crate::vlapic::LapicShared;

impl Cpus for Domain {
    fn count(&self) -> u32 {
        // CAST: At most `MAX_VCPUS`.
        self.vcpus().len() as u32
    }
    fn lapic(&self, vcpu: u32) -> Option<&LapicShared> {
        self.vcpu(vcpu).map(|vcpu| &vcpu.lapic)
    }
    fn kick(&self, vcpu: u32) {
        if let Some(vcpu) = self.vcpu(vcpu) {
            notify(vcpu);
        }
    }
    fn lowest_cursor(&self) -> &AtomicU32 {
        &self.lowest_cursor
    }
}

/// Makes a vCPU look at its local APIC.
fn notify(vcpu: &Vcpu) {
    let start = if vcpu.lapic.event_pending() {
        request::START
    } else {
        0
    };
    vcpu.request(request::EVENT | start);
}

/// An event that a tool has for a vCPU, to be delivered before its next instruction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Injection {
    /// The event.
    pub(crate) event: Event,
    /// Bytes of the instruction that raises it, which is over then.
    pub(crate) skip: u8,
    /// What CR2 becomes.
    pub(crate) cr2: Option<u64>,
}
