// SPDX-License-Identifier: GPL-2.0-only

//! What a vCPU's thread does when it loses and gets a processor.

use crate::domain::vcpu::Vcpu;
use crate::sys::sched::Scheduled;

/// A vCPU, for the scheduler's callbacks in its thread.
pub(super) struct Hook<'a> {
    /// The vCPU.
    pub(super) vcpu: &'a Vcpu,
}

impl Scheduled for Hook<'_> {
    fn given(&self) {
        self.vcpu.runstate.given();
    }

    fn taken(&self, preempted: bool) {
        self.vcpu.runstate.taken(preempted);
    }
}
