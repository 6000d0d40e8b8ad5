// SPDX-License-Identifier: GPL-2.0-only

//! A domain's monitor: its ring and event channel, and the vCPUs that wait for it.
//!
//! The state and the rules are in [`crate::vm_event`]. Operations that allocate or close ports hold
//! `Domain::monitor_settings`; the monitor itself is behind `Domain::monitor`, a spin lock that vCPUs take for each
//! event.
//!
//! A monitor that ends without a word closes its end of the event channel, which tells us.

use super::hypervisor::Hypervisor;
use super::vcpu::request;
use super::{
    Domain,
    DOM0, //
};
use crate::abi::errno::{
    Result,
    EBUSY,
    EINVAL,
    ENODEV,
    EOPNOTSUPP,
    ESRCH, //
};
use crate::abi::event_channel::StatusDetail;
use crate::abi::hvm::params;
use crate::abi::vm_event::VmEvent;
use crate::evtchn::{
    topology,
    Closer,
    Consumer,
    Reservation, //
};
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL, //
};
use crate::sys::atomic::Ordering;
use crate::sys::page::SharedPage;
use crate::vm_event::{
    Detail,
    Listener,
    Prepared,
    Register,
    Sent,
    Settings,
    Want, //
};

/// How far an event of a vCPU has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// There is none.
    None,
    /// It has to wait until it can be sent.
    Unsent,
    /// It was sent, and the vCPU waits for the answer.
    Waiting,
}

/// What a vCPU does when its event was answered, unless the answer says otherwise.
#[derive(Clone, Copy)]
pub(crate) enum After {
    /// It goes on where it is.
    Nothing,
    /// It writes a control register.
    Control(Register, u64),
    /// It writes a model-specific register. If that faults, it is the instruction at `rip` that does.
    Msr {
        /// Its number.
        msr: u32,
        /// What is written.
        value: u64,
        /// Where the instruction is; the vCPU is behind it by then.
        rip: u64,
    },
    /// The registers hold what the instruction has to say. The monitor goes on behind it; without one, the vCPU does,
    /// since it must not be executed again with these registers.
    Complete(u64),
    /// It gets the exception for which it left the guest.
    Exception {
        /// Its vector.
        vector: u8,
        /// Its error code.
        error: Option<u32>,
        /// Bytes of the instruction that has raised it and is over then; 0 if it is none.
        length: u8,
    },
}

/// A vCPU's event.
pub(crate) struct Watched {
    /// How far it has come.
    pub(crate) stage: Stage,
    /// The event, until it was sent.
    pub(crate) event: VmEvent,
    /// The vCPU waits for an answer.
    pub(crate) sync: bool,
    /// The monitor looks for it itself, and may answer soon.
    pub(crate) polls: bool,
    /// What comes then.
    pub(crate) after: After,
    /// Rights have ended the attempt at an instruction.
    pub(crate) denied: bool,
    /// A monitor has the vCPU execute one instruction at a time.
    pub(crate) steps: bool,
    /// One was executed when there was another event already, and is to be reported next.
    pub(crate) stepped: bool,
    /// A monitor wants to hear of the next interrupt.
    pub(crate) next_interrupt: bool,
    /// Which monitor has asked for these.
    pub(crate) generation: u32,
}

impl Watched {
    /// None.
    pub(crate) fn new() -> Self {
        Self {
            stage: Stage::None,
            event: zerocopy::FromZeros::new_zeroed(),
            sync: false,
            polls: false,
            denied: false,
            after: After::Nothing,
            steps: false,
            stepped: false,
            next_interrupt: false,
            generation: 0,
        }
    }

    /// Forgets the event, because the vCPU's state was replaced.
    pub(crate) fn forget(&mut self) {
        self.stage = Stage::None;
        self.after = After::Nothing;
        self.stepped = false;
    }

    /// Forgets what a monitor has asked for, if it is not the one that there is now.
    pub(crate) fn follow(&mut self, generation: u32) {
        if self.generation != generation {
            self.generation = generation;
            self.steps = false;
            self.stepped = false;
            self.next_interrupt = false;
        }
    }
}

impl Domain {
    /// What a monitor wants to hear of: nothing without one, so that the guest runs as fast as one that is not watched.
    pub(crate) fn want(&self) -> Want {
        if self.listens().0 {
            Want(self.want.load(Ordering::Relaxed))
        } else {
            Want::default()
        }
    }

    /// Makes vCPUs look at what a monitor wants.
    fn tell_watched(&self) {
        for vcpu in self.vcpus() {
            vcpu.request(request::MONITOR);
        }
    }

    fn note_settings(&self, settings: &Settings) {
        self.want.store(settings.want().0, Ordering::Relaxed);
        self.tell_watched();
    }

    /// Makes the ring of a monitor in the page that the tools have set aside for it, and returns the port to which the
    /// monitor binds (`XEN_VM_EVENT_ENABLE`). What a monitor had that has ended goes first.
    ///
    /// # Errors
    ///
    /// `EBUSY` if there is one, `EOPNOTSUPP` if no page was set aside, `EINVAL` if there is none or the domain has no
    /// vCPUs, `ENOSPC`, `ENOMEM` for want of a port, `ESRCH` if the domain is dying.
    pub(crate) fn enable_ring(&self, hypervisor: &Hypervisor) -> Result<u32> {
        let mut settings = self.monitor_settings.lock();
        self.may_monitor()?;
        let gfn = self.params().lock().get(params::MONITOR_RING_PFN);
        let gfn = gfn.filter(|gfn| *gfn != 0).ok_or(EOPNOTSUPP)?;
        let page = SharedPage::new(self.p2m.get_own(gfn, true).map_err(|_| EINVAL)?);
        self.drop_monitor(hypervisor, &mut settings);
        let port = self.monitor_port(0)?;
        let count = self.vcpus().len();
        self.attach(hypervisor, &[port], Prepared::ring(page, count, port))?;
        Ok(port)
    }

    /// Makes a slot for each vCPU (E-10).
    ///
    /// # Errors
    ///
    /// As [`Self::enable_ring`], but no page has to be set aside.
    pub(crate) fn enable_slots(&self, hypervisor: &Hypervisor) -> Result {
        let mut settings = self.monitor_settings.lock();
        self.may_monitor()?;
        self.drop_monitor(hypervisor, &mut settings);
        let mut ports = KVec::with_capacity(self.vcpus().len(), GFP_KERNEL)?;
        for vcpu in self.vcpus() {
            match self.monitor_port(vcpu.id()) {
                // There is room.
                Ok(port) => ports.push(port, GFP_KERNEL)?,
                Err(errno) => {
                    self.close_ports_of_monitor(hypervisor, ports.iter().copied());
                    return Err(errno);
                }
            }
        }
        self.attach(hypervisor, &ports, Prepared::slots(&ports))
    }

    /// Whether there can be a monitor now.
    fn may_monitor(&self) -> Result {
        if self.vcpus().is_empty() {
            return Err(EINVAL);
        }
        match self.monitor.lock().listener() {
            Listener::Present => Err(EBUSY),
            Listener::Absent | Listener::Gone => Ok(()),
        }
    }

    /// Allocates a port through which a vCPU and the monitor tell each other.
    fn monitor_port(&self, vcpu: u32) -> Result<u32> {
        let mut reservation = Reservation::new()?;
        let mut ports = self.ports().lock();
        ports.alloc_unbound_xen(vcpu, DOM0, Consumer::VmEvent, &mut reservation)
    }

    fn attach(&self, hypervisor: &Hypervisor, ports: &[u32], prepared: Result<Prepared>) -> Result {
        // Whoever destroys the domain takes the monitor away with the mutex held, after it has said that it is dying.
        let dying = self.life.lock().dying;
        let attached = match prepared {
            Ok(_) if dying => Err(ESRCH),
            Ok(prepared) => {
                let mut prepared = Some(prepared);
                let attached = self.monitor.lock().attach(&mut prepared);
                drop(prepared);
                attached
            }
            Err(errno) => Err(errno),
        };
        if let Err(errno) = attached {
            self.close_ports_of_monitor(hypervisor, ports.iter().copied());
            return Err(errno);
        }
        // Some may have waited for this.
        self.tell_watched();
        Ok(())
    }

    /// Takes away what the monitor has (`XEN_VM_EVENT_DISABLE`). vCPUs that wait for it go on; that there is none is no
    /// error.
    pub(crate) fn disable_monitor(&self, hypervisor: &Hypervisor) {
        let mut settings = self.monitor_settings.lock();
        self.drop_monitor(hypervisor, &mut settings);
    }

    fn drop_monitor(&self, hypervisor: &Hypervisor, settings: &mut Settings) {
        // Pages are dropped without the lock.
        let detached = self.monitor.lock().detach();
        let Some(detached) = detached else {
            return;
        };
        *settings = Settings::new();
        self.close_ports_of_monitor(hypervisor, detached.ports());
        self.note_settings(settings);
    }

    fn close_ports_of_monitor(&self, hypervisor: &Hypervisor, ports: impl Iterator<Item = u32>) {
        let _connections = hypervisor.connections.lock();
        for port in ports {
            let _ = topology::close(hypervisor, self.id(), port, Closer::Xen);
        }
    }

    /// Frames of the slots, in order, from that of vCPU `first` on.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a slot that there is not; those of `each`.
    pub(crate) fn slot_frames(
        &self,
        first: u64,
        count: u32,
        mut each: impl FnMut(SharedPage) -> Result,
    ) -> Result {
        for index in 0..u64::from(count) {
            let at = first.checked_add(index).ok_or(EINVAL)?;
            let page = self.monitor.lock().slot_page(at)?;
            each(page)?;
        }
        Ok(())
    }

    /// Takes all answers that are there (`XEN_VM_EVENT_RESUME`).
    ///
    /// # Errors
    ///
    /// `ENODEV` if there is no monitor.
    pub(crate) fn resume_monitor(&self) -> Result {
        if self.monitor.lock().listener() == Listener::Absent {
            return Err(ENODEV);
        }
        self.collect_answers(None);
        Ok(())
    }

    fn collect_answers(&self, only: Option<u32>) {
        self.monitor.lock().collect(only, |id| {
            if let Some(vcpu) = self.vcpu(id) {
                vcpu.request(request::ANSWER);
            }
        });
    }

    /// The monitor has sent an event through the port of a vCPU.
    pub(crate) fn monitor_notified(&self, hypervisor: &Hypervisor, vcpu: u32, port: u32) {
        let gone = self.monitor.lock().listener() == Listener::Gone;
        if gone && self.hear_another(hypervisor, port) {
            self.tell_watched();
        }
        self.collect_answers(Some(vcpu));
    }

    /// Notes that another monitor has come to a port that one has let go of, if it is so. The event may be older than
    /// the end of the first.
    fn hear_another(&self, hypervisor: &Hypervisor, port: u32) -> bool {
        // Nobody lets go of a port meanwhile.
        let _connections = hypervisor.connections.lock();
        let status = self.ports().lock().status(port);
        let connected = matches!(status, Ok((StatusDetail::Interdomain(..), _)));
        let mut monitor = self.monitor.lock();
        connected && monitor.hear(port)
    }

    /// The monitor has let go of the port of a vCPU. Event channels stay as they are until this is done, so the port is
    /// still that monitor's.
    pub(crate) fn monitor_closed(&self, vcpu: u32, port: u32) {
        // Answers that were given before it has ended count.
        self.collect_answers(Some(vcpu));
        let ended = self.monitor.lock().abandon(port);
        if ended {
            self.tell_watched();
        }
    }

    /// The monitor does something about the guest besides answering. By then it has initialised its ring, if it is one
    /// that does so only after it has bound to its port: events that came before are told once more.
    pub(crate) fn monitor_acts(&self, hypervisor: &Hypervisor) {
        let port = self.monitor.lock().repeat();
        if let Some(port) = port {
            hypervisor.notify_model(self, port);
        }
    }

    /// Which monitor there is, for what one has asked of a vCPU.
    pub(crate) fn monitor_generation(&self) -> u32 {
        self.monitor.lock().generation()
    }

    /// Whether a monitor listens, and whether accesses wait for one that there is not.
    pub(crate) fn listens(&self) -> (bool, bool) {
        let monitor = self.monitor.lock();
        (monitor.listener() == Listener::Present, monitor.required)
    }

    /// Has accesses that a monitor would have to see wait for one when there is none, or not
    /// (`XEN_DOMCTL_set_access_required`).
    pub(crate) fn set_access_required(&self, required: bool) {
        self.monitor.lock().required = required;
        self.tell_watched();
    }

    /// Sends an event of a vCPU to the monitor.
    pub(crate) fn send_event(
        &self,
        hypervisor: &Hypervisor,
        vcpu: u32,
        event: &mut VmEvent,
        sync: bool,
    ) -> Sent {
        let sent = self.monitor.lock().send(vcpu, event, sync);
        if let Sent::Yes(port) = sent {
            hypervisor.notify_model(self, port);
        }
        sent
    }

    /// Switches an event on or off.
    ///
    /// # Errors
    ///
    /// As [`Settings::switch`].
    pub(crate) fn switch_event(&self, event: u32, on: bool, detail: Detail) -> Result {
        let mut settings = self.monitor_settings.lock();
        settings.switch(event, on, detail)?;
        self.note_settings(&settings);
        Ok(())
    }

    /// Changes what else a monitor wants.
    pub(crate) fn change_settings(&self, change: impl FnOnce(&mut Settings)) {
        let mut settings = self.monitor_settings.lock();
        change(&mut settings);
        self.note_settings(&settings);
    }
}
