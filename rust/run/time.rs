// SPDX-License-Identifier: GPL-2.0-only

//! A vCPU's timers and time: when to wake it, what it reads.

use super::Running;
use crate::abi::xen::TIME_INFO_SIZE;
use crate::domain::clock;
use crate::domain::lifecycle::reason;
use crate::domain::runstate::write_time_once;
use crate::domain::vcpu::request;
use crate::evtchn::topology;
use crate::hw::{
    Backend,
    Vcpu as _, //
};
use crate::sys::atomic::Ordering;
use crate::time::area::GuestArea;

/// `VIRQ_TIMER`.
const VIRQ_TIMER: u32 = 0;
/// Where `vcpu_time_info` is in `vcpu_info`.
const TIME_OFFSET: usize = 32;

impl<B: Backend> Running<'_, B> {
    /// Sets the host's timer to the earliest deadline, if that is another one than before.
    pub(super) fn arm_timer(&mut self) {
        let timers = self.vcpu.timers.lock().deadline();
        let lapic = self.owned.lapic.timer_deadline();
        let poll = self.vcpu.poll_deadline.load(Ordering::Relaxed);
        let poll = (poll != u64::MAX).then_some(poll);
        let watchdog = self.domain.watchdogs.lock().deadline();
        let earliest = [timers, lapic, poll, watchdog].into_iter().flatten().min();
        if earliest == self.armed {
            return;
        }
        self.armed = earliest;
        match earliest {
            Some(deadline) => {
                let delta = deadline.saturating_sub(clock::now_ns());
                self.vcpu.host_timer.start(delta);
            }
            // A timer that fires for nothing does no harm; cancelling could wait for one that is firing.
            None => {}
        }
    }

    /// Lets timers act whose time has come.
    pub(super) fn timers_expired(&mut self) {
        let now = clock::now_ns();
        let expired = self.vcpu.timers.lock().expire(now);
        if expired {
            let _ = topology::raise_virq(
                self.hypervisor,
                self.domain.id(),
                VIRQ_TIMER,
                self.vcpu.id(),
            );
        }
        let posted = self.owned.lapic.timer_expired(&self.vcpu.lapic, now);
        if posted || self.vcpu.poll_deadline.load(Ordering::Relaxed) <= now {
            self.vcpu.note_request(request::EVENT);
        }
        let bitten = self.domain.watchdogs.lock().expired(now);
        if bitten {
            self.domain.shutdown(self.hypervisor, reason::WATCHDOG);
        }
        // The host's timer has fired, or was set too early by a rounding error: set it again.
        self.armed = None;
    }

    /// Ticks that the vCPU's TSC is ahead of [`clock::ticks`].
    pub(super) fn tsc_offset(&self) -> u64 {
        self.domain.tsc_offset_of(self.vcpu)
    }

    /// Has the processor add to its counter what the vCPU's is ahead of it.
    #[inline]
    pub(super) fn follow_tsc(&mut self) {
        let offset = self.tsc_offset().wrapping_add(clock::lost_ticks());
        if self.tsc != Some(offset) {
            self.tsc = Some(offset);
            self.hw.set_tsc_offset(offset);
        }
    }

    /// Looks whether the machine has slept since: then the time of day is another one for the same system time.
    pub(super) fn notice_sleep(&mut self) {
        let lost = clock::lost_ticks();
        if self.lost_ticks != lost {
            self.lost_ticks = lost;
            self.domain.publish_wallclock();
        }
    }

    /// Writes what the guest needs to tell the time to its `vcpu_info`, and to the area that it registered for that.
    pub(super) fn write_time(&mut self) {
        let info = clock::time_info(self.tsc_offset());
        let paging = self.paging();
        let place = {
            let ports = self.domain.ports().lock();
            ports
                .vcpu_info(self.vcpu.id())
                .map(|info| (info.page().clone(), info.offset() + TIME_OFFSET))
        };
        if let Some((page, offset)) = place {
            if let Ok(area) = GuestArea::new(page, None, offset, TIME_INFO_SIZE) {
                info.publish(&area, &mut self.owned.time_version);
            }
        }
        if let Some(linear) = self.vcpu.runstate.write_time(&info) {
            let version = &mut self.owned.walked_time_version;
            // Where it cannot be written it stays as it is, as in Xen.
            let _ = write_time_once(&self.domain.p2m, &paging, linear, &info, version);
        }
    }
}
