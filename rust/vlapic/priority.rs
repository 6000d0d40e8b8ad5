// SPDX-License-Identifier: GPL-2.0-only

//! Which interrupt comes next: priorities, acceptance and end of interrupt.

use super::{
    Finished,
    Lapic,
    LapicShared, //
};

impl Lapic {
    /// Returns the task priority register.
    #[inline]
    #[cfg(test)]
    pub(crate) fn tpr(&self) -> u8 {
        self.tpr
    }

    /// Returns CR8: the class of the task priority, 0 to 15.
    #[inline]
    pub(crate) fn cr8(&self) -> u8 {
        self.tpr >> 4
    }

    /// Takes a write of CR8, of which bits 3:0 count; the caller has refused values above 15.
    #[inline]
    pub(crate) fn set_cr8(&mut self, value: u8) {
        self.tpr = value << 4;
    }

    /// Returns the processor priority: the task priority, or the class of the interrupt in service
    /// if that is higher.
    #[inline]
    pub(crate) fn ppr(&self) -> u8 {
        let in_service = self.isr.highest().unwrap_or(0);
        if self.tpr >> 4 >= in_service >> 4 {
            self.tpr
        } else {
            in_service & 0xf0
        }
    }

    /// Returns the interrupt that the processor would take now: the highest requested one, if its
    /// class is above the processor priority's and the APIC is enabled.
    #[inline]
    pub(crate) fn deliverable(&self, shared: &LapicShared) -> Option<u8> {
        let vector = shared.highest_request()?;
        (self.is_enabled() && vector >> 4 > self.ppr() >> 4).then_some(vector)
    }

    /// Returns the highest requested interrupt, deliverable or not, of an enabled APIC: hardware
    /// that checks the task priority itself can be told to wait for it.
    #[inline]
    #[cfg(test)]
    pub(crate) fn highest_request(&self, shared: &LapicShared) -> Option<u8> {
        let vector = shared.highest_request()?;
        self.is_enabled().then_some(vector)
    }

    /// Moves an interrupt from requested to in service, as the processor does when it takes it.
    /// Returns whether it was requested; if not, nothing changes.
    #[inline]
    pub(crate) fn accept(&mut self, shared: &LapicShared, vector: u8) -> bool {
        let taken = shared.take_request(vector);
        if taken {
            self.isr.insert(vector);
        }
        taken
    }

    /// Ends the highest interrupt in service; `None` if there is none.
    #[inline]
    pub(crate) fn eoi(&mut self, shared: &LapicShared) -> Option<Finished> {
        let vector = self.isr.highest()?;
        self.isr.remove(vector);
        Some(Finished {
            vector,
            level: shared.is_level(vector),
        })
    }
}
