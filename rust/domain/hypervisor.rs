// SPDX-License-Identifier: GPL-2.0-only

//! What there is once: the list of domains, the connections between them, the log.

use core::fmt::Write;

use kernel::new_mutex;
use kernel::new_spinlock;
use kernel::prelude::try_pin_init;
use kernel::sync::{
    Arc,
    Mutex,
    SpinLock, //
};
use pin_init::{
    pin_data,
    PinInit, //
};

use super::console::Ring;
use super::host::HostPorts;
use super::vcpu::request;
use super::{
    Config,
    DomId,
    Domain,
    DOM0,
    FIRST_RESERVED,
    MAX_DOMAINS, //
};
use crate::abi::errno::{
    Result,
    EEXIST,
    EINVAL,
    ENOMEM,
    ESRCH, //
};
use crate::evtchn::{
    self,
    topology,
    Consumer,
    Delivery,
    Ports, //
};
use crate::gnttab::{
    self,
    Release, //
};
use crate::hw::Capabilities;
use crate::policy::{
    DomainView,
    SystemPolicies,
    Topology, //
};
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL, //
};
use crate::sys::atomic::{
    AtomicBool,
    AtomicU64,
    Ordering, //
};
use crate::sys::global::Global;
use crate::sys::irq;
use crate::sys::page::PageRef;
use crate::sys::sched::Notifications;
use crate::sys::thread::Thread;
use crate::trace::{
    self,
    DomainEvent, //
};

/// The hypervisor, once the module has started.
pub(crate) static HYPERVISOR: Global<Hypervisor> = Global::new();

/// What there is once.
#[pin_data]
pub(crate) struct Hypervisor {
    /// Held while a domain is made or forgotten.
    #[pin]
    creation: Mutex<()>,
    /// All domains but the control domain, by number.
    #[pin]
    domains: SpinLock<KVec<Arc<Domain>>>,
    /// Held while event channels are connected or disconnected.
    #[pin]
    pub(crate) connections: Mutex<()>,
    /// The control domain.
    dom0: Arc<Domain>,
    /// Pages of the host whose grants were in use when they were to be withdrawn, and whether there are any.
    #[pin]
    pub(super) ended_grants: Mutex<KVec<(u32, PageRef)>>,
    pub(super) has_ended_grants: AtomicBool,
    /// Who consumes the control domain's events.
    #[pin]
    pub(crate) host_ports: HostPorts,
    /// The log.
    #[pin]
    console: SpinLock<Ring>,
    /// The next domain's serial number.
    next_serial: AtomicU64,
    /// The number after the last domain's.
    #[pin]
    next_domid: SpinLock<DomId>,
    /// What the hardware can do.
    pub(crate) capabilities: Capabilities,
    /// CPUID policies.
    pub(crate) policies: SystemPolicies,
    /// Shows vCPUs' threads when they lose and get a processor.
    pub(crate) notifications: Notifications,
    /// Makes a vCPU's thread: a function of a floor above this one.
    pub(crate) spawn: fn(Arc<Domain>, u32) -> Result<Thread>,
}

impl Hypervisor {
    /// Makes it, with the control domain.
    pub(crate) fn new(
        capabilities: Capabilities,
        policies: SystemPolicies,
        spawn: fn(Arc<Domain>, u32) -> Result<Thread>,
    ) -> Result<impl PinInit<Self, kernel::error::Error>> {
        let config = Config {
            flags: 0,
            max_vcpus: 1,
            max_evtchn_port: (1 << 17) - 1,
            emulation_flags: 0,
            misc_flags: 0,
            ssidref: 0,
        };
        let dom0 = Domain::new(
            DOM0,
            0,
            config,
            [0; 16],
            gnttab::Limits::DEFAULT,
            Arc::new(policies.for_domain(Topology { cores: 1 }), GFP_KERNEL)?,
            DomainView::default(),
        )?;
        // The control domain is this host: it runs.
        dom0.unpause()?;
        let ring = Ring::new()?;
        Ok(try_pin_init!(Self {
            creation <- new_mutex!((), "oxen::Hypervisor::creation"),
            domains <- new_spinlock!(KVec::new(), "oxen::Hypervisor::domains"),
            connections <- new_mutex!((), "oxen::Hypervisor::connections"),
            dom0,
            ended_grants <- new_mutex!(KVec::new(), "oxen::Hypervisor::ended_grants"),
            has_ended_grants: AtomicBool::new(false),
            host_ports <- HostPorts::new(),
            console <- new_spinlock!(ring, "oxen::Hypervisor::console"),
            next_serial: AtomicU64::new(1),
            next_domid <- new_spinlock!(1, "oxen::Hypervisor::next_domid"),
            capabilities,
            policies,
            notifications: Notifications::new(),
            spawn,
        }? kernel::error::Error))
    }

    /// The control domain.
    pub(crate) fn dom0(&self) -> &Arc<Domain> {
        &self.dom0
    }

    /// Finds a domain, also one that is dying.
    ///
    /// # Errors
    ///
    /// `ESRCH` if there is none.
    pub(crate) fn domain(&self, id: DomId) -> Result<Arc<Domain>> {
        if id == DOM0 {
            return Ok(self.dom0.clone());
        }
        let domains = self.domains.lock();
        let at = domains
            .binary_search_by_key(&id, |domain| domain.id())
            .map_err(|_| ESRCH)?;
        domains.get(at).cloned().ok_or(ESRCH)
    }

    /// The first domain whose number is at least `id`, for lists.
    pub(crate) fn domain_from(&self, id: DomId) -> Option<Arc<Domain>> {
        if id == DOM0 {
            return Some(self.dom0.clone());
        }
        let domains = self.domains.lock();
        let at = domains.partition_point(|domain| domain.id() < id);
        domains.get(at).cloned()
    }

    /// How many domains there are besides the control domain.
    pub(crate) fn count(&self) -> usize {
        self.domains.lock().len()
    }

    /// Makes a domain (`XEN_DOMCTL_createdomain`) with number `wanted`, or any if that is `None`.
    ///
    /// # Errors
    ///
    /// `EEXIST` if the number is in use, `ENOMEM` if there are too many domains or too little memory.
    pub(crate) fn create(
        &self,
        wanted: Option<DomId>,
        config: Config,
        handle: [u8; 16],
        limits: gnttab::Limits,
    ) -> Result<Arc<Domain>> {
        let _creation = self.creation.lock();
        if self.count() >= MAX_DOMAINS {
            return Err(ENOMEM);
        }
        let id = match wanted {
            Some(id) if id == DOM0 || id >= FIRST_RESERVED => return Err(EINVAL),
            Some(id) if self.domain(id).is_ok() => return Err(EEXIST),
            Some(id) => id,
            None => self.free_domid(),
        };
        let serial = self.next_serial.fetch_add(1, Ordering::Relaxed);
        let view = DomainView {
            domid: id,
            ..super::clock::domain_view()
        };
        let topology = Topology {
            cores: config.max_vcpus,
        };
        let policy = Arc::new(self.policies.for_domain(topology), GFP_KERNEL)?;
        let domain = Domain::new(id, serial, config, handle, limits, policy, view)?;
        // Growing the list allocates, which the spin lock does not allow: grow a copy.
        let mut list = KVec::with_capacity(self.count() + 1, GFP_KERNEL)?;
        let old = {
            let mut domains = self.domains.lock();
            for other in domains.iter() {
                if other.id() > id && list.last().is_none_or(|d: &Arc<Domain>| d.id() < id) {
                    list.push_within_capacity(domain.clone())
                        .map_err(|_| ENOMEM)?;
                }
                list.push_within_capacity(other.clone())
                    .map_err(|_| ENOMEM)?;
            }
            if list.last().is_none_or(|d| d.id() < id) {
                list.push_within_capacity(domain.clone())
                    .map_err(|_| ENOMEM)?;
            }
            core::mem::replace(&mut *domains, list)
        };
        drop(old);
        trace::domain_event(id, DomainEvent::Created, 0);
        Ok(domain)
    }

    /// A number that is free, not soon used again.
    fn free_domid(&self) -> DomId {
        loop {
            let id = {
                let mut next = self.next_domid.lock();
                let id = *next;
                *next = if id + 1 >= FIRST_RESERVED { 1 } else { id + 1 };
                id
            };
            // There are far fewer domains than numbers, so this ends.
            if self.domain(id).is_err() {
                return id;
            }
        }
    }

    /// Takes a domain that is destroyed off the list.
    pub(super) fn forget(&self, domain: &Arc<Domain>) {
        let _creation = self.creation.lock();
        let gone = {
            let mut domains = self.domains.lock();
            domains
                .iter()
                .position(|other| other.id() == domain.id())
                .and_then(|at| domains.remove(at).ok())
        };
        // The last reference may be this one, and dropping a domain takes time.
        drop(gone);
    }

    /// Ends the use of another domain's grant. If that domain has gone meanwhile, so has the record of the use.
    pub(crate) fn unpin(&self, pin: gnttab::Pin) {
        let host = pin.granter() == DOM0;
        if let Ok(granter) = self.domain(pin.granter()) {
            granter.grants.lock().unpin(pin);
        }
        if host {
            self.reap_host_grants();
        }
    }

    /// Refuses new uses of a dying domain's grants, and ends its own uses of others'. No vCPU of it runs any more,
    /// so that nobody reaches the pages through the mappings, which go with its memory.
    pub(super) fn release_grants(&self, domain: &Domain) {
        domain.grants.lock().die();
        loop {
            // The lock is given back before the granter's is taken, which may be the same one.
            let step = domain.grants.lock().release_step();
            match step {
                Release::Mapping(mapping) => self.unpin(mapping.pin),
                Release::Again => {}
                Release::Done => return,
            }
            irq::cond_resched();
        }
    }

    /// Appends a message to the log, with Xen's own prefix.
    pub(crate) fn log(&self, message: core::fmt::Arguments<'_>) {
        struct Sink<'a>(&'a SpinLock<Ring>);
        impl Write for Sink<'_> {
            fn write_str(&mut self, text: &str) -> core::fmt::Result {
                self.0.lock().write(text.as_bytes());
                Ok(())
            }
        }
        let mut sink = Sink(&self.console);
        let _ = sink.write_fmt(format_args!("(XEN) {message}"));
        self.raise_virq(VIRQ_CON_RING);
    }

    /// Appends a guest's line to the log, with Xen's prefix for it.
    pub(crate) fn log_guest(&self, domid: DomId, line: &[u8]) {
        let mut prefix = [0; 16];
        let mut at = Cursor {
            bytes: &mut prefix,
            len: 0,
        };
        let _ = at.write_fmt(format_args!("(d{domid}) "));
        let len = at.len;
        {
            let mut ring = self.console.lock();
            ring.write(prefix.get(..len).unwrap_or(&[]));
            ring.write(line);
            ring.write(b"\n");
        }
        self.raise_virq(VIRQ_CON_RING);
    }

    /// The log.
    pub(crate) fn console(&self) -> &SpinLock<Ring> {
        &self.console
    }

    /// Raises a global virtual interrupt of the control domain.
    pub(crate) fn raise_virq(&self, virq: u32) {
        let _ = topology::raise_virq(self, DOM0, virq, 0);
    }
}

/// The log has something new (`VIRQ_CON_RING`).
const VIRQ_CON_RING: u32 = 8;

/// Writes into a fixed buffer, dropping what does not fit.
struct Cursor<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

impl Write for Cursor<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for byte in text.bytes() {
            if let Some(slot) = self.bytes.get_mut(self.len) {
                *slot = byte;
                self.len += 1;
            }
        }
        Ok(())
    }
}

impl topology::Domains for Hypervisor {
    fn with<R>(&self, domid: evtchn::DomId, f: impl FnOnce(&mut Ports) -> R) -> Result<R> {
        if domid == DOM0 {
            return Ok(f(&mut self.dom0.ports().lock()));
        }
        let domain = self.domain(domid)?;
        let result = f(&mut domain.ports().lock());
        Ok(result)
    }

    fn deliver(&self, domid: evtchn::DomId, delivery: Delivery) {
        match delivery {
            Delivery::None => {}
            Delivery::Host { port } => self.host_ports.pending(port),
            Delivery::Guest(wake) => {
                let Ok(domain) = self.domain(domid) else {
                    return;
                };
                for id in wake.upcalls.iter() {
                    if let Some(vcpu) = domain.vcpu(id) {
                        let vector = vcpu.upcall_vector.load(Ordering::Relaxed);
                        // CAST: A vector has eight bits.
                        if vector != 0 {
                            vcpu.lapic.post(vector as u8, false);
                        }
                        vcpu.request(request::EVENT);
                    }
                }
                for id in wake.pollers.iter() {
                    if let Some(vcpu) = domain.vcpu(id) {
                        vcpu.request(request::EVENT);
                    }
                }
            }
            Delivery::Xen {
                consumer: Consumer::Ioreq,
                vcpu,
                ..
            } => {
                if let Ok(domain) = self.domain(domid) {
                    if let Some(vcpu) = domain.vcpu(vcpu) {
                        vcpu.request(request::IOREQ);
                    }
                }
            }
            Delivery::Xen {
                consumer: Consumer::VmEvent,
                vcpu,
                port,
                closed,
            } => {
                if let Ok(domain) = self.domain(domid) {
                    if closed {
                        domain.monitor_closed(vcpu, port);
                    } else {
                        domain.monitor_notified(self, vcpu, port);
                    }
                }
            }
        }
    }
}
