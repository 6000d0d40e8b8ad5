// SPDX-License-Identifier: GPL-2.0-only

//! Domains and their vCPUs: the owners of everything on the floors below.
//!
//! # Lock order
//!
//! Outermost first. A lock may be taken while those above it in the list are held.
//!
//! 0. `livepatch::Engine::registry`, `job`, `arenas`: payloads (mutexes, in that order).
//! 1. `Hypervisor::creation`: which domains exist (mutex).
//! 2. `Domain::control`: one tool changes a domain at a time (mutex).
//! 3. `Vcpu::owned`: a vCPU's state, held by its thread (mutex); of two vCPUs never at once.
//! 4. `Domain::ioreq_control`: one tool changes a domain's I/O request servers at a time (mutex);
//!    `Domain::monitor_settings`: a domain's monitor comes, goes, or changes what it wants (mutex).
//! 5. `Hypervisor::connections`: which event channels are connected (mutex).
//! 6. `Domain::policy`, `Domain::params`, `Domain::dirty`, `Hypervisor::ended_grants`: small things (mutexes).
//! 7. `HostPorts::queues`, the lock of an XArray.
//! 8. Spin locks, never two at once but for the p2m's, which is innermost: `Hypervisor::{domains, console,
//!    next_domid}`, `Domain::{ports, grants, ioreq, monitor, life, view, watchdogs, wallclock_version, console}`,
//!    `Vcpu::{timers, boot_context}`, `Queue::ring`, `P2m::lock`,
//!    `P2m::exchanges`.
//! 9. `VcpuRunstate::inner`, with interrupts off. Nothing is taken under it, and nobody is woken.

pub(crate) mod affinity;
pub(crate) mod clock;
pub(crate) mod console;
pub(crate) mod dirty;
pub(crate) mod host;
mod host_grants;
pub(crate) mod hypervisor;
pub(crate) mod ioreq;
pub(crate) mod ipi;
pub(crate) mod lifecycle;
pub(crate) mod monitor;
pub(crate) mod params;
pub(crate) mod patching;
pub(crate) mod runstate;
pub(crate) mod vcpu;
pub(crate) mod watchdog;

use core::pin::Pin;

use kernel::new_condvar;
use kernel::new_mutex;
use kernel::new_spinlock;
use kernel::prelude::{
    try_pin_init,
    InPlaceInit, //
};
use kernel::sync::{
    Arc,
    CondVar,
    Mutex,
    SetOnce,
    SpinLock, //
};
use pin_init::pin_data;

use crate::abi::errno::{
    Errno,
    Result,
    EBUSY,
    EINVAL,
    ESRCH, //
};
use crate::abi::xen::{
    LAYOUT_32,
    LAYOUT_64,
    VMASST_TYPE_RUNSTATE_UPDATE_FLAG, //
};
use crate::evtchn;
use crate::gnttab;
use crate::hw::npt::P2mType;
use crate::hw::state::{
    CpuState,
    ExtendedState, //
};
use crate::ioreq::{
    ServedPorts,
    Servers, //
};
use crate::mm::p2m::{
    P2m,
    Removed, //
};
use crate::policy::cpuid::CpuPolicy;
use crate::policy::DomainView;
use crate::sys::alloc::{
    KBox,
    KVec,
    GFP_KERNEL, //
};
use crate::sys::atomic::{
    AtomicBool,
    AtomicU32,
    AtomicU64,
    Ordering, //
};
use crate::sys::module::ModuleRef;
use crate::sys::page::{
    PageRef,
    SharedPage, //
};
use crate::sys::thread::Thread;
use crate::time::pvclock::Version;
use crate::time::runstate::record::Layout;
use crate::vlapic;
use crate::vm_event;
use lifecycle::Life;
use params::Params;
use vcpu::Vcpu;
use watchdog::Watchdogs;

/// A domain's number.
pub(crate) type DomId = u16;

/// The control domain: this host.
pub(crate) const DOM0: DomId = 0;
/// Numbers from here on mean something else (`DOMID_FIRST_RESERVED`).
pub(crate) const FIRST_RESERVED: DomId = 0x7ff0;
/// vCPUs that a domain may have.
pub(crate) const MAX_VCPUS: u32 = 128;
/// Domains that there may be besides the control domain.
pub(crate) const MAX_DOMAINS: usize = 1024;

/// Which domain: one that lives or lived, for good. Its number alone may be another domain's later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Identity {
    id: DomId,
    serial: u64,
}

/// What `XEN_DOMCTL_createdomain` fixed for the domain's life.
#[derive(Clone, Copy)]
pub(crate) struct Config {
    /// `XEN_DOMCTL_CDF_*`.
    pub(crate) flags: u32,
    /// vCPUs that it may have.
    pub(crate) max_vcpus: u32,
    /// Highest event channel port.
    pub(crate) max_evtchn_port: u32,
    /// `XEN_X86_EMU_*`.
    pub(crate) emulation_flags: u32,
    /// `XEN_X86_MISC_FLAGS_*`.
    pub(crate) misc_flags: u32,
    /// The tools' security identifier, kept and reported.
    pub(crate) ssidref: u32,
}

/// Things that only tools look at.
pub(crate) struct Control {
    /// `xen_domain_handle_t`, the UUID.
    pub(crate) handle: [u8; 16],
    /// Memory map that the tools gave, as the guest will read it: (address, size, type).
    pub(crate) memory_map: KVec<(u64, u64, u32)>,
    /// Scheduler parameters, stored and reported: weight, cap.
    pub(crate) sched: (u16, u16),
    /// Size of the paging pool in bytes, stored and reported.
    pub(crate) paging_pool: u64,
    /// Where the vCPUs may run; a vCPU that has no entry may run anywhere.
    pub(crate) affinity: KVec<affinity::Affinity>,
    /// The domain that this one serves (`XEN_DOMCTL_set_target`).
    pub(crate) target: Option<Identity>,
    /// How ranges of frames are cached, as a device model said: (first, last, attribute).
    pub(crate) cache_attributes: KVec<(u64, u64, u32)>,
    /// Threads of the vCPUs; dropping them ends them.
    pub(crate) threads: KVec<Thread>,
}

/// A domain.
#[pin_data]
pub(crate) struct Domain {
    id: DomId,
    /// Number that is never used again, unlike `id`.
    serial: u64,
    config: Config,
    /// Tools' access, one at a time.
    #[pin]
    control: Mutex<Control>,
    /// Memory.
    #[pin]
    pub(crate) p2m: P2m,
    /// The page at the start of everything.
    pub(crate) shared_info: SharedPage,
    /// Where the guest last put it.
    shared_info_gfn: AtomicU64,
    /// The guest is a 32-bit one, as it showed when it last set up its hypercall page or callback.
    compat: AtomicBool,
    /// Event channels.
    #[pin]
    ports: SpinLock<evtchn::Ports>,
    /// Grant table.
    #[pin]
    pub(crate) grants: SpinLock<gnttab::Table>,
    /// I/O request servers.
    #[pin]
    pub(crate) ioreq: SpinLock<Servers>,
    /// Held while a server is made, destroyed, switched on or off, or given pages.
    #[pin]
    ioreq_control: Mutex<()>,
    /// What [`Servers::any`] says, for the exit path.
    serves_io: AtomicBool,
    /// The same for ports.
    served_ports: ServedPorts,
    /// Who is told of what the guest does.
    #[pin]
    pub(crate) monitor: SpinLock<vm_event::Monitor>,
    /// What it wants to hear of. Held while a monitor comes or goes.
    #[pin]
    pub(crate) monitor_settings: Mutex<vm_event::Settings>,
    /// What [`vm_event::Settings::want`] says, for the exit path.
    want: AtomicU32,
    /// Held while a log of writes is begun, read or ended.
    #[pin]
    dirty: Mutex<()>,
    /// HVM parameters.
    #[pin]
    params: Mutex<Params>,
    /// Who took the last lowest-priority interrupt.
    pub(crate) lowest_cursor: AtomicU32,
    /// What the callback parameter says, for the entry path: the vector of the upcall, or 0.
    pub(crate) callback_vector: AtomicU32,
    /// `VMASST_TYPE_*` that are on.
    pub(crate) vm_assist: AtomicU64,
    /// `runstate_va=walk`.
    walks: AtomicBool,
    /// What CPUID says. A vCPU takes it over when it starts.
    #[pin]
    policy: Mutex<Arc<CpuPolicy>>,
    /// What Xen's own CPUID leaves say.
    #[pin]
    view: SpinLock<DomainView>,
    /// Paused, shut down, dying.
    #[pin]
    pub(crate) life: SpinLock<Life>,
    /// Woken when a vCPU has stopped or the domain has changed state.
    #[pin]
    pub(crate) changed: CondVar,
    /// Watchdog timers.
    #[pin]
    pub(crate) watchdogs: SpinLock<Watchdogs>,
    /// vCPUs, made all at once.
    vcpus: SetOnce<KVec<Pin<KBox<Vcpu>>>>,
    /// The module stays loaded while there is a domain besides the control domain.
    _module: Option<ModuleRef>,
    /// Ticks that the domain's TSC is ahead of [`clock::ticks`].
    pub(crate) tsc_offset: AtomicU64,
    /// Seconds that the domain's wallclock is ahead of the host's.
    pub(crate) time_offset: AtomicU64,
    /// The version of the wall clock in the shared page.
    #[pin]
    wallclock_version: SpinLock<Version>,
    /// What the guest wrote with console_io or to port 0xe9, until the line is complete.
    #[pin]
    pub(crate) console: SpinLock<console::Line>,
}

impl Domain {
    /// Makes a domain, paused once, without vCPUs and memory.
    pub(crate) fn new(
        id: DomId,
        serial: u64,
        config: Config,
        handle: [u8; 16],
        limits: gnttab::Limits,
        policy: Arc<CpuPolicy>,
        view: DomainView,
    ) -> Result<Arc<Self>> {
        let shared_info = SharedPage::zeroed()?;
        let kind = if id == DOM0 {
            evtchn::Kind::Host
        } else {
            evtchn::Kind::Guest(shared_info.clone())
        };
        let ports =
            evtchn::Ports::new(id, kind, config.max_vcpus as usize, config.max_evtchn_port)?;
        let grants = gnttab::Table::new(id, serial, limits)?;
        let p2m = P2m::new()?;
        let control = Control {
            handle,
            memory_map: KVec::new(),
            sched: (256, 0),
            paging_pool: 1 << 20,
            affinity: KVec::new(),
            target: None,
            cache_attributes: KVec::new(),
            threads: KVec::new(),
        };
        let module = (id != DOM0).then(ModuleRef::get);
        let domain = Arc::pin_init::<kernel::error::Error>(
            try_pin_init!(Self {
                id,
                serial,
                config,
                control <- new_mutex!(control, "oxen::Domain::control"),
                p2m <- p2m,
                shared_info,
                shared_info_gfn: AtomicU64::new(u64::MAX),
                compat: AtomicBool::new(false),
                ports <- new_spinlock!(ports, "oxen::Domain::ports"),
                grants <- new_spinlock!(grants, "oxen::Domain::grants"),
                ioreq <- new_spinlock!(Servers::new(), "oxen::Domain::ioreq"),
                ioreq_control <- new_mutex!((), "oxen::Domain::ioreq_control"),
                serves_io: AtomicBool::new(false),
                served_ports: ServedPorts::new(),
                monitor <- new_spinlock!(vm_event::Monitor::new(), "oxen::Domain::monitor"),
                monitor_settings <- new_mutex!(
                    vm_event::Settings::new(),
                    "oxen::Domain::monitor_settings"
                ),
                want: AtomicU32::new(0),
                dirty <- new_mutex!((), "oxen::Domain::dirty"),
                params <- new_mutex!(Params::new(), "oxen::Domain::params"),
                lowest_cursor: AtomicU32::new(0),
                callback_vector: AtomicU32::new(0),
                vm_assist: AtomicU64::new(0),
                walks: AtomicBool::new(crate::sys::module::runstate_walks()),
                policy <- new_mutex!(policy, "oxen::Domain::policy"),
                view <- new_spinlock!(view, "oxen::Domain::view"),
                life <- new_spinlock!(Life::new(), "oxen::Domain::life"),
                changed <- new_condvar!("oxen::Domain::changed"),
                watchdogs <- new_spinlock!(Watchdogs::new(), "oxen::Domain::watchdogs"),
                vcpus: SetOnce::new(),
                _module: module,
                tsc_offset: AtomicU64::new(0),
                time_offset: AtomicU64::new(0),
                wallclock_version <- new_spinlock!(
                    Version::default(),
                    "oxen::Domain::wallclock_version"
                ),
                console <- new_spinlock!(console::Line::new(), "oxen::Domain::console"),
            }),
            GFP_KERNEL,
        )?;
        Ok(domain)
    }

    /// The domain's number.
    pub(crate) fn id(&self) -> DomId {
        self.id
    }

    /// The number that no other domain ever has.
    pub(crate) fn serial(&self) -> u64 {
        self.serial
    }

    /// Which domain this is, for whoever keeps that longer than the domain lives.
    pub(crate) fn identity(&self) -> Identity {
        Identity {
            id: self.id,
            serial: self.serial,
        }
    }

    /// What was fixed when the domain was made.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Tools' part of the domain.
    pub(crate) fn control(&self) -> &Mutex<Control> {
        &self.control
    }

    /// Event channels.
    pub(crate) fn ports(&self) -> &SpinLock<evtchn::Ports> {
        &self.ports
    }

    /// HVM parameters.
    pub(crate) fn params(&self) -> &Mutex<Params> {
        &self.params
    }

    /// Whether the guest was last seen to be a 32-bit one.
    pub(crate) fn is_compat(&self) -> bool {
        self.compat.load(Ordering::Relaxed)
    }

    /// Notes the guest's width, and lays its shared structures out accordingly.
    pub(crate) fn latch_width(&self, compat: bool) {
        self.compat.store(compat, Ordering::Relaxed);
        self.ports.lock().set_width(if compat {
            evtchn::Width::Bits32
        } else {
            evtchn::Width::Bits64
        });
        for vcpu in self.vcpus() {
            vcpu.runstate.set_layout(Layout::of(compat));
        }
        self.publish_wallclock();
    }

    /// Ticks that a vCPU's TSC is ahead of [`clock::ticks`].
    pub(crate) fn tsc_offset_of(&self, vcpu: &Vcpu) -> u64 {
        let domains = self.tsc_offset.load(Ordering::Relaxed);
        domains.wrapping_add(vcpu.tsc_offset.load(Ordering::Relaxed))
    }

    /// Puts the shared page at a frame of the guest's, and takes it away from where it was.
    ///
    /// # Errors
    ///
    /// Those of the map.
    pub(crate) fn place_shared_info(&self, gfn: u64, removed: &mut Removed) -> Result {
        let page = self.shared_info.page().clone();
        self.p2m.insert(gfn, page, P2mType::Special, removed)?;
        let old = self.shared_info_gfn.swap(gfn, Ordering::Relaxed);
        if old != gfn && self.has_shared_info_at(old) {
            self.p2m.remove(old, removed)?;
        }
        Ok(())
    }

    /// Puts an empty page of the guest's own where the shared page is, if it is anywhere.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    fn take_shared_info(&self) -> Result {
        let gfn = self.shared_info_gfn.load(Ordering::Relaxed);
        if !self.has_shared_info_at(gfn) {
            return Ok(());
        }
        let mut removed = Removed::with_capacity(1)?;
        let page = PageRef::zeroed()?;
        let result = self.p2m.insert(gfn, page, P2mType::RamRw, &mut removed);
        self.release(removed);
        result
    }

    fn has_shared_info_at(&self, gfn: u64) -> bool {
        self.p2m
            .lookup(gfn)
            .is_some_and(|leaf| leaf.ty.is_page() && leaf.mfn == self.shared_info.mfn())
    }

    /// Whether areas that are given by linear address are translated at each update (`runstate_va=walk`) rather than
    /// once, when they are registered.
    pub(crate) fn walks(&self) -> bool {
        self.walks.load(Ordering::Relaxed)
    }

    /// Decides that.
    ///
    /// # Errors
    ///
    /// `EBUSY` once a vCPU has run: the guest relies on what it was promised.
    pub(crate) fn set_walks(&self, walks: bool) -> Result {
        let life = self.life.lock();
        if life.has_run {
            return Err(EBUSY);
        }
        self.walks.store(walks, Ordering::Relaxed);
        Ok(())
    }

    /// Turns assists of `vm_assist` on or off.
    pub(crate) fn set_assists(&self, bits: u64, on: bool) {
        if on {
            self.vm_assist.fetch_or(bits, Ordering::Relaxed);
        } else {
            self.vm_assist.fetch_and(!bits, Ordering::Relaxed);
        }
        if bits & 1 << VMASST_TYPE_RUNSTATE_UPDATE_FLAG != 0 {
            for vcpu in self.vcpus() {
                vcpu.runstate.set_flag(on);
            }
        }
    }

    /// Drops pages that were taken out of the domain's map, and the areas of its vCPUs that lie in them.
    pub(crate) fn release(&self, removed: Removed) {
        self.p2m.release(removed, |removed| {
            for vcpu in self.vcpus() {
                vcpu.runstate.forget(|mfn| removed.holds(mfn));
            }
        });
    }

    /// Writes the wall clock into the shared page, in the layout of the guest's width.
    pub(crate) fn publish_wallclock(&self) {
        // CAST: A signed number of seconds, kept in an atomic word.
        let offset = self.time_offset.load(Ordering::Relaxed) as i64;
        let layout = if self.is_compat() {
            &LAYOUT_32
        } else {
            &LAYOUT_64
        };
        clock::wallclock(offset).publish(
            &self.shared_info,
            layout,
            &mut self.wallclock_version.lock(),
        );
    }

    /// The CPUID policy.
    pub(crate) fn policy(&self) -> Arc<CpuPolicy> {
        self.policy.lock().clone()
    }

    /// Replaces the CPUID policy.
    ///
    /// # Errors
    ///
    /// `EBUSY` once a vCPU has run: the guest relies on what it saw.
    pub(crate) fn set_policy(&self, policy: Arc<CpuPolicy>) -> Result {
        if self.life.lock().has_run {
            return Err(EBUSY);
        }
        let old = core::mem::replace(&mut *self.policy.lock(), policy);
        drop(old);
        Ok(())
    }

    /// What Xen's CPUID leaves say.
    pub(crate) fn view(&self) -> DomainView {
        *self.view.lock()
    }

    /// Changes that.
    pub(crate) fn update_view(&self, f: impl FnOnce(&mut DomainView)) {
        f(&mut self.view.lock());
    }

    /// The vCPUs that were made so far; all or none.
    #[inline(always)]
    pub(crate) fn vcpus(&self) -> &[Pin<KBox<Vcpu>>] {
        self.vcpus.as_ref().map_or(&[], |vcpus| vcpus)
    }

    /// One vCPU.
    #[inline(always)]
    pub(crate) fn vcpu(&self, id: u32) -> Option<&Vcpu> {
        self.vcpus().get(id as usize).map(|vcpu| &**vcpu)
    }

    /// Makes the vCPUs and their threads (`XEN_DOMCTL_max_vcpus`).
    ///
    /// # Errors
    ///
    /// `EINVAL` if `count` is not what the domain was made for, or they exist with another count.
    pub(crate) fn make_vcpus(
        self: &Arc<Self>,
        count: u32,
        spawn: fn(Arc<Domain>, u32) -> Result<Thread>,
    ) -> Result {
        let mut control = self.control.lock();
        if count == 0 || count > self.config.max_vcpus {
            return Err(EINVAL);
        }
        // Whoever destroys the domain took its threads under this lock; new ones would never end.
        if self.life.lock().dying {
            return Err(ESRCH);
        }
        if self.vcpus().is_empty() {
            self.vcpus.populate(self.new_vcpus(count)?);
        } else if self.vcpus().len() != count as usize {
            return Err(EINVAL);
        }
        // Where there is no place for a thread it must not be made: it would be ended at once.
        let missing = (count as usize).saturating_sub(control.threads.len());
        control.threads.reserve(missing, GFP_KERNEL)?;
        // What an earlier call lacked memory for is made now. If there is nothing to do all is well: asking for what
        // is there is what tools do after a restart of theirs.
        for vcpu in self.vcpus().iter().skip(control.threads.len()) {
            let thread = spawn(self.clone(), vcpu.id())?;
            vcpu.set_task(thread.task());
            thread.task().wake();
            control.threads.push(thread, GFP_KERNEL)?;
        }
        Ok(())
    }

    /// Makes vCPUs that nobody knows yet.
    fn new_vcpus(&self, count: u32) -> Result<KVec<Pin<KBox<Vcpu>>>> {
        let policy = self.policy();
        let mut vcpus = KVec::with_capacity(count as usize, GFP_KERNEL)?;
        for id in 0..count {
            let config = vlapic::Config {
                apic_id: id * 2,
                bsp: id == 0,
                x2apic: policy.has(crate::policy::feature::X2APIC),
                tsc_deadline: policy.has(crate::policy::feature::TSC_DEADLINE),
            };
            let state = KBox::new(CpuState::reset(), GFP_KERNEL)?;
            let extended = ExtendedState::new()?;
            let init = Vcpu::new(id, state, extended, config);
            vcpus.push(
                KBox::pin_init(init, GFP_KERNEL).map_err(Errno::from)?,
                GFP_KERNEL,
            )?;
        }
        for vcpu in vcpus.iter() {
            vcpu.as_ref().attach_timer();
        }
        Ok(vcpus)
    }
}
