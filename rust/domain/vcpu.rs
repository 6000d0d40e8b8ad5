// SPDX-License-Identifier: GPL-2.0-only

//! A vCPU as other threads see it: requests, where it runs, whether it may.
//!
//! # What belongs to whom
//!
//! [`Owned`] is the architectural state. The vCPU's thread holds its mutex for as long as the vCPU may run, and
//! gives it up at the safe point where it finds that it must stop. Whoever wants to look at or change the state
//! therefore stops the vCPU ([`Domain::with_stopped`](super::Domain::with_stopped)) and takes the mutex.
//!
//! # Telling a vCPU something
//!
//! The other side sets a bit in `requests` and then looks where the vCPU runs; the vCPU says where it runs and then
//! looks at `requests`. Both orders are sequentially consistent, so at least one side sees the other: a request is
//! never slept through.

use kernel::new_mutex;
use kernel::new_spinlock;
use kernel::sync::{
    Mutex,
    SetOnce,
    SpinLock, //
};
use pin_init::{
    pin_data,
    pin_init,
    PinInit, //
};

use super::ioreq::DeviceAccess;
pub(crate) use super::ipi::Injection;
use super::monitor::Watched;
use super::runstate::VcpuRunstate;
use crate::abi::errno::{
    Result,
    EBUSY,
    ESRCH, //
};
use crate::evtchn::UpcallEpoch;
use crate::hw::state::{
    CpuState,
    ExtendedState, //
};
use crate::policy::msr::VcpuMsrs;
use crate::policy::VcpuView;
use crate::sys::alloc::KBox;
use crate::sys::atomic::{
    AtomicBool,
    AtomicI32,
    AtomicU32,
    AtomicU64,
    Ordering, //
};
use crate::sys::cpu;
use crate::sys::gate::Seat;
use crate::sys::thread::TaskRef;
use crate::sys::timer::{
    Fired,
    Timer, //
};
use crate::time::pvclock::Version;
use crate::time::runstate::State;
use crate::time::vcpu_timer::VcpuTimer;
use crate::vlapic::{
    self,
    Lapic,
    LapicShared, //
};

/// Reasons to leave the guest, as bits.
pub(crate) mod request {
    /// Look whether the vCPU may still run.
    pub(crate) const STOP: u32 = 1 << 0;
    /// Look for events and interrupts to deliver.
    pub(crate) const EVENT: u32 = 1 << 1;
    /// A timer's deadline has passed.
    pub(crate) const TIMER: u32 = 1 << 2;
    /// Write the guest's time information anew.
    pub(crate) const TIME: u32 = 1 << 3;
    /// An INIT or start-up IPI, or a new context to start with, waits.
    pub(crate) const START: u32 = 1 << 4;
    /// A device model has answered.
    pub(crate) const IOREQ: u32 = 1 << 5;
    /// The I/O request servers have changed.
    pub(crate) const SERVERS: u32 = 1 << 6;
    /// A tool has an event for the vCPU.
    pub(crate) const INJECT: u32 = 1 << 7;
    /// The domain's monitor has come or gone, or wants to hear of something else.
    pub(crate) const MONITOR: u32 = 1 << 8;
    /// Code is about to be changed: go outside.
    pub(crate) const PATCH: u32 = 1 << 9;
    /// The domain's monitor has answered.
    pub(crate) const ANSWER: u32 = 1 << 10;
    /// What may end a wait for an event. The others stop or disturb the thread, and the guest does not notice.
    pub(crate) const ENDS_WAIT: u32 = EVENT | TIMER | START | INJECT;
    /// Work that the section can do itself, without leaving it.
    pub(crate) const IN_SECTION: u32 = EVENT;
}

/// What a vCPU waits for before it executes its next instruction. Being paused, and looked at or changed by tools
/// meanwhile, does not end it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Nothing: it can run.
    No,
    /// HLT: for an interrupt that it can take.
    Halt,
    /// `SCHEDOP_block`: for that, or for an event that comes meanwhile although it cannot be taken.
    Event,
    /// `SCHEDOP_poll`: for that too, the ports that are registered, and a time.
    Poll,
}

impl Wait {
    const fn from_number(number: u32) -> Self {
        const HALT: u32 = Wait::Halt as u32;
        const EVENT: u32 = Wait::Event as u32;
        const POLL: u32 = Wait::Poll as u32;
        match number {
            HALT => Self::Halt,
            EVENT => Self::Event,
            POLL => Self::Poll,
            _ => Self::No,
        }
    }
}

/// The architectural state of a vCPU.
pub(crate) struct Owned {
    /// The registers, while the vCPU does not run.
    pub(crate) state: KBox<CpuState>,
    /// What XSAVE keeps beyond that, likewise.
    pub(crate) extended: ExtendedState,
    /// The state was changed from outside; the hardware's format must take it over.
    pub(crate) changed: bool,
    /// The local APIC's own part.
    pub(crate) lapic: Lapic,
    /// MSRs that no hardware keeps.
    pub(crate) msrs: VcpuMsrs,
    /// What CPUID says about this vCPU.
    pub(crate) view: VcpuView,
    /// The version of what the guest reads about time.
    pub(crate) time_version: Version,
    /// The same for a second place that is found by walking the guest's page tables.
    pub(crate) walked_time_version: Version,
    /// The instruction that waits for device models.
    pub(crate) device: DeviceAccess,
    /// The event that waits for a monitor.
    pub(crate) watched: Watched,
}

/// What other threads may know and do.
#[pin_data]
pub(crate) struct Vcpu {
    id: u32,
    /// Whether the thread is inside the gate of live patching.
    pub(crate) seat: Seat,
    requests: AtomicU32,
    /// The processor of a thread that is in a section, or -1.
    running_on: AtomicI32,
    /// Reasons why the vCPU must not run, counted (domctls, `VCPU_PAUSED`).
    pause_count: AtomicU32,
    /// `VPF_down`: never started, or offline.
    down: AtomicBool,
    /// It was given a state to run with.
    initialised: AtomicBool,
    /// The thread has given up [`Owned`] and waits.
    stopped: AtomicBool,
    /// The number of a [`Wait`]. Only the thread begins one.
    wait: AtomicU32,
    /// When a poll gives up, or `u64::MAX`.
    pub(crate) poll_deadline: AtomicU64,
    #[pin]
    owned: Mutex<Owned>,
    /// A context to start with, for a vCPU that is down.
    #[pin]
    boot_context: SpinLock<Option<KBox<CpuState>>>,
    /// The local APIC's shared part.
    pub(crate) lapic: LapicShared,
    /// Counts moves of the guest's `vcpu_info`.
    pub(crate) upcall_epoch: UpcallEpoch,
    /// `HVMOP_set_evtchn_upcall_vector`; 0 if the domain's callback is used.
    pub(crate) upcall_vector: AtomicU32,
    /// A hypercall of the vCPU has given memory back.
    invalidate: AtomicBool,
    /// The guest asks a monitor to look at it.
    guest_request: AtomicBool,
    /// An event that a tool has for the vCPU.
    #[pin]
    injection: SpinLock<Option<Injection>>,
    /// The timers that the guest sets by hypercall.
    #[pin]
    pub(crate) timers: SpinLock<VcpuTimer>,
    /// Ticks that the vCPU's TSC is ahead of the domain's: the guest wrote it.
    pub(crate) tsc_offset: AtomicU64,
    /// Where the time went.
    #[pin]
    pub(crate) runstate: VcpuRunstate,
    /// Wakes the thread at the earliest deadline of all timers.
    #[pin]
    pub(crate) host_timer: Timer,
    /// Exits by kind, for debugfs.
    pub(crate) exits: [AtomicU64; EXIT_KINDS],
    /// The thread that runs the vCPU.
    task: SetOnce<TaskRef>,
}

/// Kinds of exits that are counted apart.
pub(crate) const EXIT_KINDS: usize = 16;

/// Names of the kinds, in order.
pub(crate) const EXIT_NAMES: [&str; EXIT_KINDS] = [
    "interrupt",
    "window",
    "cpuid",
    "hypercall",
    "rdmsr",
    "wrmsr",
    "hlt",
    "pause",
    "io",
    "npf",
    "cr",
    "dr",
    "exception",
    "xsetbv",
    "shutdown",
    "other",
];

impl Vcpu {
    /// Makes a vCPU that is down, in the state after reset.
    pub(crate) fn new(
        id: u32,
        state: KBox<CpuState>,
        extended: ExtendedState,
        lapic_config: vlapic::Config,
    ) -> impl PinInit<Self> {
        let shared = LapicShared::new();
        let lapic = Lapic::new(lapic_config, &shared);
        shared.set_wait_for_startup(true);
        let owned = Owned {
            state,
            extended,
            changed: true,
            lapic,
            msrs: VcpuMsrs::RESET,
            view: VcpuView::new(id),
            time_version: Version::default(),
            device: DeviceAccess::new(),
            watched: Watched::new(),
            walked_time_version: Version::default(),
        };
        pin_init!(Self {
            id,
            seat: Seat::new(),
            requests: AtomicU32::new(0),
            running_on: AtomicI32::new(-1),
            pause_count: AtomicU32::new(0),
            down: AtomicBool::new(true),
            initialised: AtomicBool::new(false),
            stopped: AtomicBool::new(true),
            wait: AtomicU32::new(Wait::No as u32),
            poll_deadline: AtomicU64::new(u64::MAX),
            owned <- new_mutex!(owned, "oxen::Vcpu::owned"),
            boot_context <- new_spinlock!(None, "oxen::Vcpu::boot_context"),
            lapic: shared,
            upcall_epoch: UpcallEpoch::new(),
            upcall_vector: AtomicU32::new(0),
            invalidate: AtomicBool::new(false),
            guest_request: AtomicBool::new(false),
            injection <- new_spinlock!(None, "oxen::Vcpu::injection"),
            timers <- new_spinlock!(VcpuTimer::new(), "oxen::Vcpu::timers"),
            tsc_offset: AtomicU64::new(0),
            runstate <- VcpuRunstate::new(),
            host_timer <- Timer::new(),
            exits: [const { AtomicU64::new(0) }; EXIT_KINDS],
            task: SetOnce::new(),
        })
    }

    /// Points the host's timer at the vCPU, which is in its final place.
    pub(crate) fn attach_timer(self: core::pin::Pin<&Self>) {
        Timer::attach(self, |vcpu| &vcpu.host_timer);
    }

    /// The vCPU's number in its domain.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// The architectural state. The thread holds it while the vCPU may run.
    #[inline(always)]
    pub(crate) fn owned(&self) -> &Mutex<Owned> {
        &self.owned
    }

    /// Sets request bits and makes the thread look at them, wherever it is. May be called from interrupt handlers.
    pub(crate) fn request(&self, bits: u32) {
        self.requests.fetch_or(bits, Ordering::SeqCst);
        let at = self.running_on.load(Ordering::SeqCst);
        // CAST: Not negative, as compared.
        if at >= 0 {
            cpu::kick(at as u32);
        } else {
            if bits & request::ENDS_WAIT != 0 {
                self.runstate.woken();
            }
            self.wake();
        }
    }

    /// For the thread: sets request bits for itself to look at.
    pub(crate) fn note_request(&self, bits: u32) {
        self.requests.fetch_or(bits, Ordering::SeqCst);
    }

    /// Wakes the thread if it sleeps.
    pub(crate) fn wake(&self) {
        if let Some(task) = self.task.as_ref() {
            task.wake();
        }
    }

    /// The requests that wait, without taking them.
    #[inline]
    pub(crate) fn requests(&self) -> u32 {
        self.requests.load(Ordering::SeqCst)
    }

    /// Takes requests off; returns those of `bits` that were set.
    pub(crate) fn take_requests(&self, bits: u32) -> u32 {
        self.requests.fetch_and(!bits, Ordering::SeqCst) & bits
    }

    /// For the thread: it is in a section on this processor; or no more.
    #[inline]
    pub(crate) fn set_running_on(&self, cpu: Option<u32>) {
        // CAST: Processor numbers are small.
        let value = cpu.map_or(-1, |cpu| cpu as i32);
        self.running_on.store(value, Ordering::SeqCst);
    }

    /// Whether the vCPU is offline.
    pub(crate) fn is_down(&self) -> bool {
        self.down.load(Ordering::SeqCst)
    }

    /// Takes the vCPU off- or online. Whoever takes it offline finds its areas dropped. Returns
    /// whether it was down before.
    pub(crate) fn set_down(&self, down: bool) -> bool {
        let was = self.down.swap(down, Ordering::SeqCst);
        if down {
            self.runstate.close();
        }
        self.request(request::STOP);
        was
    }

    /// Whether something other than the domain as a whole keeps the vCPU from running.
    pub(crate) fn must_stop(&self) -> bool {
        self.is_down() || self.pause_count.load(Ordering::SeqCst) != 0
    }

    /// Whether the vCPU was ever given a state to run with.
    pub(crate) fn is_initialised(&self) -> bool {
        self.initialised.load(Ordering::SeqCst)
    }

    /// Notes that it was.
    pub(crate) fn set_initialised(&self) {
        self.initialised.store(true, Ordering::SeqCst);
    }

    /// One more reason not to run.
    pub(crate) fn pause(&self) {
        self.pause_count.fetch_add(1, Ordering::SeqCst);
        self.request(request::STOP);
    }

    /// One reason less.
    pub(crate) fn unpause(&self) {
        self.pause_count.fetch_sub(1, Ordering::SeqCst);
        self.request(request::STOP);
    }

    /// For the thread: it has given up [`Owned`] and waits; or no more.
    pub(crate) fn set_stopped(&self, stopped: bool) {
        self.stopped.store(stopped, Ordering::SeqCst);
    }

    /// Whether the thread waits to be allowed to run.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// For the thread, and hypercalls of this vCPU, which it makes: wait when this exit has been handled.
    pub(crate) fn begin_wait(&self, wait: Wait) {
        // CAST: The enumeration's numbers are small.
        self.wait.store(wait as u32, Ordering::SeqCst);
        self.runstate.wait();
    }

    /// For a hypercall of this vCPU: wait for a port that is registered, no longer than to `deadline_ns`.
    pub(crate) fn begin_poll(&self, deadline_ns: u64) {
        self.poll_deadline.store(deadline_ns, Ordering::Relaxed);
        self.begin_wait(Wait::Poll);
    }

    /// What the vCPU waits for.
    pub(crate) fn wait(&self) -> Wait {
        Wait::from_number(self.wait.load(Ordering::SeqCst))
    }

    /// Ends that, and returns what it was. See [`Domain::end_wait`](super::Domain::end_wait).
    pub(super) fn end_wait(&self) -> Wait {
        self.poll_deadline.store(u64::MAX, Ordering::Relaxed);
        // CAST: The enumeration's numbers are small.
        Wait::from_number(self.wait.swap(Wait::No as u32, Ordering::SeqCst))
    }

    /// For the thread: whether the vCPU waits for something.
    pub(crate) fn waits(&self) -> bool {
        self.wait() != Wait::No
    }

    /// Whether the vCPU waits for something, and nothing has come.
    pub(crate) fn is_blocked(&self) -> bool {
        self.runstate.state() == State::Blocked
    }

    /// Whether the vCPU has a processor.
    pub(crate) fn is_running(&self) -> bool {
        self.runstate.state() == State::Running
    }

    /// Gives a vCPU that is down the context it will start with.
    pub(crate) fn set_boot_context(&self, state: KBox<CpuState>) {
        let old = self.boot_context.lock().replace(state);
        drop(old);
        self.set_initialised();
        self.request(request::START);
    }

    /// For the thread: takes that context.
    pub(crate) fn take_boot_context(&self) -> Option<KBox<CpuState>> {
        self.boot_context.lock().take()
    }

    /// Has an event delivered before the next instruction.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the last one was not delivered yet.
    pub(crate) fn set_injection(&self, injection: Injection) -> Result {
        {
            let mut waiting = self.injection.lock();
            if waiting.is_some() {
                return Err(EBUSY);
            }
            *waiting = Some(injection);
        }
        self.request(request::INJECT);
        Ok(())
    }

    /// For a hypercall of this vCPU: it has given memory back, of which device models may have mappings.
    pub(crate) fn request_invalidate(&self) {
        self.invalidate.store(true, Ordering::Relaxed);
    }

    /// For the thread: whether that is so.
    pub(crate) fn take_invalidate(&self) -> bool {
        self.invalidate.load(Ordering::Relaxed) && self.invalidate.swap(false, Ordering::Relaxed)
    }

    /// For a hypercall of this vCPU: it asks a monitor to look at it.
    pub(crate) fn ask_monitor(&self) {
        self.guest_request.store(true, Ordering::Relaxed);
    }

    /// For the thread: whether that is so.
    pub(crate) fn take_guest_request(&self) -> bool {
        self.guest_request.load(Ordering::Relaxed)
            && self.guest_request.swap(false, Ordering::Relaxed)
    }

    /// For the thread: whether a tool has an event for the vCPU.
    pub(crate) fn has_injection(&self) -> bool {
        self.injection.lock().is_some()
    }

    /// For the thread: takes the event that a tool has for the vCPU.
    pub(crate) fn take_injection(&self) -> Option<Injection> {
        self.injection.lock().take()
    }

    /// Says which thread runs the vCPU; once.
    pub(crate) fn set_task(&self, task: TaskRef) {
        self.task.populate(task);
    }

    /// The processor on which the vCPU runs or last ran.
    pub(crate) fn cpu(&self) -> u32 {
        self.task.as_ref().map_or(0, TaskRef::cpu)
    }

    /// Lets the vCPU run on the processors whose bits are set in `words` only (hard affinity).
    ///
    /// # Errors
    ///
    /// `ESRCH` if there is no thread yet, `EINVAL` if none of the processors is online, `ENOMEM`.
    pub(crate) fn set_cpus(&self, words: &[u64]) -> Result {
        self.task.as_ref().ok_or(ESRCH)?.set_cpus(words)
    }

    /// Processor time that the thread has used, in nanoseconds.
    pub(crate) fn runtime_ns(&self) -> u64 {
        self.task.as_ref().map_or(0, TaskRef::runtime_ns)
    }

    /// Counts an exit. For the thread only, hence no atomic addition.
    #[inline]
    pub(crate) fn count_exit(&self, kind: usize) {
        if let Some(counter) = self.exits.get(kind) {
            let count = counter.load(Ordering::Relaxed).wrapping_add(1);
            counter.store(count, Ordering::Relaxed);
        }
    }
}

impl Fired for Vcpu {
    fn fired(&self) {
        self.request(request::TIMER);
    }
}
