// SPDX-License-Identifier: GPL-2.0-only

//! Pausing, shutting down, destroying.

use kernel::prelude::pr_info;
use kernel::sync::Arc;

use super::hypervisor::Hypervisor;
use super::vcpu::{
    request,
    Owned,
    Vcpu,
    Wait, //
};
use super::Domain;
use crate::abi::errno::{
    Result,
    EINVAL,
    ERESTART,
    ESRCH, //
};
use crate::evtchn::topology;
use crate::sys::alloc::KVec;
use crate::trace::{
    self,
    DomainEvent, //
};

/// Reason codes of a shutdown (`SHUTDOWN_*`).
pub(crate) mod reason {
    pub(crate) const POWEROFF: u8 = 0;
    pub(crate) const REBOOT: u8 = 1;
    pub(crate) const SUSPEND: u8 = 2;
    pub(crate) const CRASH: u8 = 3;
    pub(crate) const WATCHDOG: u8 = 4;
    pub(crate) const SOFT_RESET: u8 = 5;
    /// The last one.
    pub(crate) const MAX: u8 = SOFT_RESET;

    /// What a person calls it.
    pub(crate) const fn name(code: u8) -> &'static str {
        match code {
            POWEROFF => "poweroff",
            REBOOT => "reboot",
            SUSPEND => "suspend",
            CRASH => "crash",
            WATCHDOG => "watchdog",
            SOFT_RESET => "soft reset",
            _ => "unknown reason",
        }
    }
}

/// Virtual interrupt that tells the control domain that a domain changed (`VIRQ_DOM_EXC`).
const VIRQ_DOM_EXC: u32 = 3;

/// What state a domain is in.
pub(crate) struct Life {
    /// Pauses by tools, counted. A domain begins with one.
    pub(crate) paused: u32,
    /// It asked to shut down, or crashed, for this reason. Its vCPUs stop.
    pub(crate) shutting_down: Option<u8>,
    /// All vCPUs have stopped since.
    pub(crate) shut_down: bool,
    /// It is being destroyed. It never runs again.
    pub(crate) dying: bool,
    /// Nothing uses it any more; its memory from this guest frame on is still to be given back.
    given_back: Option<u64>,
    /// A vCPU of it has run.
    pub(crate) has_run: bool,
    /// It was unpaused for the first time: its creator has finished it.
    pub(crate) created: bool,
}

impl Life {
    /// A new domain: paused once.
    pub(crate) const fn new() -> Self {
        Self {
            paused: 1,
            shutting_down: None,
            shut_down: false,
            dying: false,
            given_back: None,
            has_run: false,
            created: false,
        }
    }

    /// Whether vCPUs must stop.
    pub(crate) const fn must_stop(&self) -> bool {
        self.paused != 0 || self.shutting_down.is_some() || self.dying
    }
}

impl Domain {
    /// Whether this vCPU must not run now.
    pub(crate) fn must_stop(&self, vcpu: &Vcpu) -> bool {
        vcpu.must_stop() || self.life.lock().must_stop()
    }

    /// Whether this vCPU must not run now, although a device model may be at work for it.
    pub(crate) fn must_stop_now(&self, vcpu: &Vcpu) -> bool {
        let life = self.life.lock();
        vcpu.must_stop()
            || life.paused != 0
            || life.dying
            || life.shutting_down == Some(reason::CRASH)
    }

    /// Makes every vCPU look whether it may run.
    fn kick_all(&self) {
        for vcpu in self.vcpus() {
            vcpu.request(request::STOP);
        }
    }

    /// Notes which vCPUs may run that could not before. Their threads are to be kicked then.
    fn permit_all(&self) {
        for vcpu in self.vcpus() {
            self.permit(vcpu);
        }
    }

    /// The same for one vCPU.
    pub(crate) fn permit(&self, vcpu: &Vcpu) {
        if !self.must_stop(vcpu) {
            vcpu.runstate.permit();
        }
    }

    /// For a vCPU's thread, after it gave its state up: tells who waits for that, and completes a shutdown.
    pub(crate) fn vcpu_stopped(&self, hypervisor: &Hypervisor) {
        let mut complete = false;
        if self.vcpus().iter().all(|vcpu| vcpu.is_stopped()) {
            let mut life = self.life.lock();
            if life.shutting_down.is_some() && !life.shut_down {
                life.shut_down = true;
                complete = true;
            }
        }
        self.changed.notify_all();
        if complete {
            hypervisor.raise_virq(VIRQ_DOM_EXC);
        }
    }

    /// Waits until every vCPU has stopped, as `paused` or a shutdown made them.
    fn wait_stopped(&self) {
        let mut life = self.life.lock();
        while !self.vcpus().iter().all(|vcpu| vcpu.is_stopped()) {
            self.changed.wait(&mut life);
        }
    }

    /// Pauses the domain and waits until no vCPU runs (`XEN_DOMCTL_pausedomain`). Counted.
    ///
    /// # Errors
    ///
    /// `ESRCH` if the domain is dying; `EINVAL` if it was paused more often than can be counted.
    pub(crate) fn pause(&self) -> Result {
        let count = {
            let mut life = self.life.lock();
            if life.dying {
                return Err(ESRCH);
            }
            life.paused = life.paused.checked_add(1).ok_or(EINVAL)?;
            life.paused
        };
        trace::domain_event(self.id(), DomainEvent::Paused, count);
        self.kick_all();
        self.wait_stopped();
        Ok(())
    }

    /// Takes one pause back (`XEN_DOMCTL_unpausedomain`).
    ///
    /// # Errors
    ///
    /// `EINVAL` if the domain is not paused.
    pub(crate) fn unpause(&self) -> Result {
        let count = {
            let mut life = self.life.lock();
            life.paused = life.paused.checked_sub(1).ok_or(EINVAL)?;
            life.created = true;
            life.paused
        };
        trace::domain_event(self.id(), DomainEvent::Unpaused, count);
        self.permit_all();
        self.kick_all();
        Ok(())
    }

    /// Begins a shutdown (`SCHEDOP_shutdown`, a crash, a triple fault). The first reason stays, but a crash after
    /// another reason is not forgotten before the domain has stopped.
    pub(crate) fn shutdown(&self, hypervisor: &Hypervisor, code: u8) {
        {
            let mut life = self.life.lock();
            if life.dying || life.shutting_down.is_some() {
                return;
            }
            life.shutting_down = Some(code);
        }
        // Another kernel will have the memory. What the guest's own stop says of its time does not belong there.
        if code == reason::SOFT_RESET {
            self.drop_areas();
        }
        trace::domain_event(self.id(), DomainEvent::Shutdown, code.into());
        if crate::sys::log::allowed() {
            pr_info!("d{}: shut down, reason {}\n", self.id(), reason::name(code));
        }
        self.kick_all();
        // A domain without a running vCPU has nobody else to notice.
        self.vcpu_stopped(hypervisor);
    }

    /// Crashes the domain: it did, or we found, something that it cannot go on from. `why` goes to the log.
    pub(crate) fn crash(&self, hypervisor: &Hypervisor, why: core::fmt::Arguments<'_>) {
        hypervisor.log(format_args!("d{}: crashed: {}\n", self.id(), why));
        if crate::sys::log::allowed() {
            pr_info!("d{}: crashed: {}\n", self.id(), why);
        }
        trace::domain_event(self.id(), DomainEvent::Crashed, reason::CRASH.into());
        self.shutdown(hypervisor, reason::CRASH);
    }

    /// Lets a domain that has shut down run on (`XEN_DOMCTL_resumedomain`). As in Xen, one that has not goes on as
    /// it was.
    ///
    /// # Errors
    ///
    /// `ESRCH` if the domain is dying.
    pub(crate) fn resume(&self) -> Result {
        {
            let mut life = self.life.lock();
            if life.dying {
                return Err(ESRCH);
            }
            life.shut_down = false;
            life.shutting_down = None;
        }
        trace::domain_event(self.id(), DomainEvent::Resumed, 0);
        self.permit_all();
        self.kick_all();
        Ok(())
    }

    /// Drops the areas in its memory that the guest registered for its vCPUs.
    fn drop_areas(&self) {
        for vcpu in self.vcpus() {
            vcpu.runstate.drop_areas();
        }
    }

    /// Takes back what a guest that has shut down got from the hypervisor, so that another kernel can start in its
    /// memory, and lets it run on (`XEN_DOMCTL_soft_reset`): event channels, `vcpu_info`, runstate and time areas and
    /// the shared page, in whose place the guest finds an empty one of its own.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it has not shut down, `ESRCH` if it is dying, `EBUSY` or `EAGAIN` if its event channels change
    /// meanwhile. `ENOMEM` if there is no page, which ends the domain.
    pub(crate) fn soft_reset(&self, hypervisor: &Hypervisor) -> Result {
        let _control = self.control().lock();
        {
            let life = self.life.lock();
            if life.dying {
                return Err(ESRCH);
            }
            if !life.shut_down {
                return Err(EINVAL);
            }
        }
        // Whoever resumes it meanwhile must wait.
        self.pause()?;
        let result = self.reset_shared(hypervisor);
        if result.is_ok() {
            let _ = self.resume();
        }
        let _ = self.unpause();
        result
    }

    fn reset_shared(&self, hypervisor: &Hypervisor) -> Result {
        {
            let _connections = hypervisor.connections.lock();
            topology::reset(hypervisor, self.id(), false, || {
                crate::sys::irq::cond_resched();
                false
            })?;
        }
        self.drop_areas();
        for vcpu in self.vcpus() {
            let old = self
                .ports()
                .lock()
                .unregister_vcpu_info(vcpu.id(), &vcpu.upcall_epoch);
            drop(old);
        }
        self.take_shared_info().inspect_err(|errno| {
            self.crash(
                hypervisor,
                format_args!("no page for a soft reset: {errno:?}"),
            );
        })
    }

    /// Looks at, and perhaps changes, the state of a vCPU, which is stopped meanwhile. For tools: a vCPU's thread
    /// that waited for another would wait for ever if that one waited for it.
    pub(crate) fn with_stopped<R>(&self, vcpu: &Vcpu, f: impl FnOnce(&mut Owned) -> R) -> R {
        vcpu.pause();
        let result = f(&mut vcpu.owned().lock());
        vcpu.unpause();
        self.permit(vcpu);
        result
    }

    /// Ends what a vCPU waits for, if it does. Whatever ends a poll, events name the vCPU no longer.
    pub(crate) fn end_wait(&self, vcpu: &Vcpu) {
        if vcpu.end_wait() == Wait::Poll {
            self.ports().lock().end_poll(vcpu.id());
        }
    }

    /// Ends the domain (`XEN_DOMCTL_destroydomain`): stops it for good, and gives back all that it has. What others
    /// still hold of it (mapped pages) they keep until they let go. A large domain takes several calls; whoever calls
    /// goes on where another stopped.
    ///
    /// # Errors
    ///
    /// `ERESTART` if there is more to do, `ESRCH` if that was done before or another call is just stopping it.
    pub(crate) fn destroy(self: &Arc<Self>, hypervisor: &Hypervisor) -> Result {
        self.stop_for_good(hypervisor)?;
        {
            let _control = self.control().lock();
            let gfn = self.life.lock().given_back.ok_or(ESRCH)?;
            let next = self.p2m.relinquish(gfn);
            self.life.lock().given_back = next;
            if next.is_some() {
                return Err(ERESTART);
            }
        }
        hypervisor.forget(self);
        trace::domain_event(self.id(), DomainEvent::Destroyed, 0);
        hypervisor.raise_virq(VIRQ_DOM_EXC);
        Ok(())
    }

    /// Ends the domain in one call, for one that nobody has used yet.
    pub(crate) fn destroy_whole(self: &Arc<Self>, hypervisor: &Hypervisor) {
        while self.destroy(hypervisor) == Err(ERESTART) {
            crate::sys::irq::cond_resched();
        }
    }

    /// Stops the domain, and takes back what it has but its memory, unless that was done.
    fn stop_for_good(self: &Arc<Self>, hypervisor: &Hypervisor) -> Result {
        let mut control = self.control().lock();
        {
            let mut life = self.life.lock();
            if life.given_back.is_some() {
                return Ok(());
            }
            if life.dying {
                return Err(ESRCH);
            }
            life.dying = true;
        }
        trace::domain_event(self.id(), DomainEvent::Dying, 0);
        self.kick_all();
        // Dropping a thread ends it and waits for that.
        let threads = core::mem::replace(&mut control.threads, KVec::new());
        drop(control);
        drop(threads);
        for vcpu in self.vcpus() {
            vcpu.host_timer.cancel();
            vcpu.runstate.drop_areas();
        }
        {
            let _connections = hypervisor.connections.lock();
            let _ = topology::destroy(hypervisor, self.id(), || {
                crate::sys::irq::cond_resched();
                false
            });
        }
        self.disable_monitor(hypervisor);
        self.end_servers();
        hypervisor.abandon_servers_by(self);
        hypervisor.release_grants(self);
        self.life.lock().given_back = Some(0);
        Ok(())
    }
}
