// SPDX-License-Identifier: GPL-2.0-only

//! A vCPU's thread.
//!
//! ```text
//!            +-> stopped: the state is with whoever wants it; wait until the vCPU may run
//!            |       |
//!            |   outside the gate: events are waited for, others run, code is changed
//!            |       |
//!            |   requests, timers, start-up IPIs
//!            |       |
//!            |   section (section.rs): preemption and interrupts off, the guest's FPU loaded
//!            |       |   enter -> exit -> answered here (fast.rs) -> enter ...
//!            |       |
//!            |   everything else (exit.rs): may sleep; HLT blocks until an event
//!            +-------+
//! ```

mod complete;
mod device;
mod events;
mod exit;
mod fast;
mod fetch;
mod guest_call;
mod io;
mod mmio;
mod monitor;
mod msr;
mod replay;
mod schedule;
mod section;
pub(crate) mod start;
mod time;

use core::cell::Cell;

use kernel::sync::Arc;

use crate::abi::errno::Result;
use crate::domain::clock;
use crate::domain::hypervisor::{
    Hypervisor,
    HYPERVISOR, //
};
use crate::domain::monitor::Stage;
use crate::domain::vcpu::{
    request,
    Owned,
    Vcpu,
    Wait, //
};
use crate::domain::Domain;
use crate::evtchn::Upcall;
use crate::hw::state::CpuState;
use crate::hw::{
    Backend,
    Exit,
    Vcpu as _, //
};
use crate::mm::frames::FrameCache;
use crate::policy::cpuid::CpuPolicy;
use crate::policy::DomainView;
use crate::sys::alloc::KBox;
use crate::sys::page::SharedPage;
use crate::sys::sched::{
    self,
    Scheduled, //
};
use crate::sys::thread::{
    self,
    Thread, //
};
use crate::sys::{
    hold,
    irq, //
};
use crate::trace;
use crate::vlapic;
use crate::vm_event::Want;
use device::Lack;
use replay::Replayer;
use schedule::Hook;

/// What a vCPU's thread is made with.
struct VcpuThread<B> {
    domain: Arc<Domain>,
    id: u32,
    _backend: core::marker::PhantomData<B>,
}

/// Makes the thread of a vCPU.
pub(crate) fn spawn<B: Backend>(domain: Arc<Domain>, id: u32) -> Result<Thread> {
    let domid = domain.id();
    Thread::new(
        c"oxen",
        domid,
        id,
        VcpuThread::<B> {
            domain,
            id,
            _backend: core::marker::PhantomData,
        },
    )
}

/// The hardware's part of a vCPU.
struct Hardware<B: Backend> {
    vcpu: B::Vcpu,
    /// In a box: few need one, and the stack is small.
    replayer: Option<KBox<Replayer<B>>>,
}

/// A vCPU while its thread has its state.
struct Running<'a, B: Backend> {
    hypervisor: &'static Hypervisor,
    domain: &'a Arc<Domain>,
    vcpu: &'a Vcpu,
    /// What keeps the vCPU's runstate.
    hook: &'a Hook<'a>,
    /// Records are found with the guest's page tables at each update.
    walks: bool,
    owned: &'a mut Owned,
    hw: &'a mut B::Vcpu,
    /// What executes instructions in the guest's place, once one had to be.
    replayer: &'a mut Option<KBox<Replayer<B>>>,
    policy: Arc<CpuPolicy>,
    view: DomainView,
    upcall: Upcall,
    /// The p2m's generation that the hardware's translations are of.
    generation: &'a mut u64,
    /// What the hardware adds to the counter.
    tsc: Option<u64>,
    /// [`clock::lost_ticks`] when the guest's wall clock was written.
    lost_ticks: u64,
    /// The deadline that the host's timer is set to.
    armed: Option<u64>,
    /// Whether an interrupt window was asked for.
    window: bool,
    insn: fetch::Insn,
    frames: FrameCache,
    /// What a monitor wants to hear of.
    want: Want,
    /// Exits are looked at for it.
    watched: bool,
    /// Some model-specific registers are watched.
    watches_msrs: bool,
    /// Where a monitor answers, if it may be looked at.
    slot: Option<SharedPage>,
    /// What the instruction that is carried out needs and has not.
    lacks: Cell<Lack>,
    /// The domain shuts down, and the vCPU stops when device models have done what they do for it.
    stop_later: bool,
}

/// Why the loop was left. All waiting is done by the outermost function, which is never patched: so that code can be
/// changed whatever a vCPU waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leave {
    /// The vCPU must stop.
    Stop,
    /// It waits for an event.
    Block,
    /// It waits for a device model.
    Model,
    /// It waits for a monitor.
    Monitor,
    /// Somebody wants the processor, or to change code.
    Yield,
    /// The processor is not ours for a while: wait a moment.
    Nap,
}

/// Milliseconds of a moment.
const NAP_MS: u32 = 10;

impl<B: Backend> thread::Run for VcpuThread<B> {
    #[link_section = ".kprobes.text"]
    fn run(&self) {
        let (Some(hypervisor), Some(vcpu)) = (HYPERVISOR.get(), self.domain.vcpu(self.id)) else {
            return;
        };
        let seat = &vcpu.seat;
        hold::park(seat, || true);
        if let Some(mut hw) = new_hw::<B>(&self.domain, vcpu, hypervisor) {
            let hook = Hook::new(&self.domain, vcpu);
            sched::with(&hypervisor.notifications, &hook, seat, || {
                live::<B>(&hook, hypervisor, &mut hw);
            });
            drop_hw::<B>(hw);
        }
        // Who stops a thread is inside the gate and waits for its end.
        seat.leave();
        while !hold::should_stop() {
            hold::park(seat, hold::should_stop);
            seat.leave();
        }
    }
}

/// A vCPU's life, from its thread's first run to its last. Inside the gate before and after.
#[inline(always)]
fn live<B: Backend>(hook: &Hook<'_>, hypervisor: &'static Hypervisor, hw: &mut Hardware<B>) {
    let (domain, vcpu) = (hook.domain, hook.vcpu);
    let seat = &vcpu.seat;
    let mut generation = 0;
    let mut entered = false;
    loop {
        stopped(hook, hypervisor);
        seat.leave();
        hold::park(seat, || may_start(domain, vcpu));
        if hold::should_stop() {
            break;
        }
        if !started(domain, vcpu) {
            continue;
        }
        let mut owned = vcpu.owned().lock();
        let mut running = Running::<B>::begin(
            hook,
            hypervisor,
            &mut owned,
            hw,
            &mut generation,
            &mut entered,
        );
        loop {
            match running.run() {
                Leave::Stop => break,
                Leave::Block => {
                    seat.leave();
                    hold::park(seat, || running.may_unblock());
                }
                Leave::Model => {
                    seat.leave();
                    hold::park(seat, || running.model_may_have_answered());
                    running.end_wait_for_model();
                }
                Leave::Monitor => {
                    seat.leave();
                    hold::park(seat, || running.monitor_may_have_answered());
                    running.end_wait_for_monitor();
                }
                Leave::Yield => hold::pass(seat),
                Leave::Nap => hold::nap(seat, NAP_MS),
            }
        }
        running.end();
    }
}

/// Makes the hardware's part of a vCPU.
#[inline(never)]
fn new_hw<B: Backend>(
    domain: &Arc<Domain>,
    vcpu: &Vcpu,
    hypervisor: &'static Hypervisor,
) -> Option<Hardware<B>> {
    match B::Vcpu::new(domain.p2m.root()) {
        Ok(vcpu) => Some(Hardware {
            vcpu,
            replayer: None,
        }),
        Err(errno) => {
            domain.crash(
                hypervisor,
                format_args!("vCPU {}: no hardware state: {errno:?}", vcpu.id()),
            );
            None
        }
    }
}

/// Frees it.
#[inline(never)]
fn drop_hw<B: Backend>(hw: Hardware<B>) {
    drop(hw);
}

/// The vCPU has given up its state and may not run.
#[inline(never)]
fn stopped(hook: &Hook<'_>, hypervisor: &Hypervisor) {
    let (domain, vcpu) = (hook.domain, hook.vcpu);
    // Who waits for the vCPU to stop finds its time stand still.
    vcpu.runstate.stop(hook);
    vcpu.set_stopped(true);
    domain.vcpu_stopped(hypervisor);
}

/// Whether there is reason to look whether it may.
#[inline(never)]
fn may_start(domain: &Domain, vcpu: &Vcpu) -> bool {
    hold::should_stop()
        || !domain.must_stop(vcpu)
        || (vcpu.is_down() && vcpu.requests() & request::START != 0)
}

/// Looks whether it may, and begins if so.
#[inline(never)]
fn started(domain: &Domain, vcpu: &Vcpu) -> bool {
    if vcpu.take_requests(request::START) != 0 {
        start(domain, vcpu);
    }
    // The other side counts its pause before it looks whether we have stopped, and we say that we have not
    // before we look at its pause: one of us sees the other.
    vcpu.set_stopped(false);
    !domain.must_stop(vcpu)
}

/// Acts on what starts a vCPU that is down: a context given by hypercall, INIT, a start-up IPI.
fn start(domain: &Domain, vcpu: &Vcpu) {
    let mut owned = vcpu.owned().lock();
    if let Some(state) = vcpu.take_boot_context() {
        end_wait(domain, vcpu);
        owned.state = state;
        owned.extended.reset();
        owned.changed = true;
        vcpu.lapic.set_wait_for_startup(false);
    }
    while let Some(event) = vcpu.lapic.take_event() {
        end_wait(domain, vcpu);
        match event {
            vlapic::shared::Event::Init => {
                *owned.state = CpuState::reset();
                owned.extended.reset();
                let Owned { lapic, .. } = &mut *owned;
                lapic.init(&vcpu.lapic);
                owned.changed = true;
            }
            vlapic::shared::Event::Startup(vector) => {
                *owned.state = CpuState::reset();
                owned.extended.reset();
                owned.state.startup(vector);
                owned.changed = true;
                vcpu.set_initialised();
                vcpu.set_down(false);
            }
        }
    }
}

/// Ends what a vCPU waits for that is stopped, if it does.
fn end_wait(domain: &Domain, vcpu: &Vcpu) {
    domain.end_wait(vcpu);
    vcpu.runstate.restart();
}

impl<'a, B: Backend> Running<'a, B> {
    /// Takes the vCPU's state over, to run it.
    #[inline(never)]
    fn begin(
        hook: &'a Hook<'a>,
        hypervisor: &'static Hypervisor,
        owned: &'a mut Owned,
        hw: &'a mut Hardware<B>,
        generation: &'a mut u64,
        entered: &mut bool,
    ) -> Self {
        let (domain, vcpu) = (hook.domain, hook.vcpu);
        let Hardware { vcpu: hw, replayer } = hw;
        if !core::mem::replace(entered, true) {
            trace::first_entry(|| trace::FirstEntry {
                domid: domain.id().into(),
                vcpu: vcpu.id(),
                rip: owned.state.rip,
            });
        }
        if owned.changed {
            hw.load(&owned.state);
            hw.load_extended(&owned.extended);
            owned.changed = false;
            owned.device.forget();
            owned.watched.forget();
            domain.monitor.lock().forget(vcpu.id());
        }
        if !owned.device.transfer.is_idle() {
            // Servers may have changed while nobody looked.
            vcpu.request(request::SERVERS);
        }
        domain.life.lock().has_run = true;
        let upcall = domain.ports().lock().upcall(vcpu.id(), &vcpu.upcall_epoch);
        // The hardware's part is older than this one, and may have been left with one.
        hw.want_interrupt_window(false);
        let mut running = Self {
            hypervisor,
            domain,
            vcpu,
            hook,
            walks: domain.walks(),
            owned,
            hw,
            replayer,
            policy: domain.policy(),
            view: domain.view(),
            upcall,
            generation,
            tsc: None,
            lost_ticks: clock::lost_ticks(),
            armed: None,
            window: false,
            insn: fetch::Insn::new(),
            frames: FrameCache::new(),
            want: Want::default(),
            watched: false,
            watches_msrs: true,
            slot: None,
            lacks: Cell::default(),
            stop_later: false,
        };
        running.refresh_view();
        // If it has to try again, it has asked for that.
        let _ = running.follow_monitor();
        running.note_paging();
        vcpu.runstate.resume(vcpu.waits(), hook);
        running.write_time();
        vcpu.note_request(request::TIMER);
        running
    }

    /// Gives the state back.
    #[inline(never)]
    fn end(self) {
        let Running { owned, hw, .. } = self;
        hw.save(&mut owned.state);
        if owned.extended.accum != 0 {
            hw.save_extended(&mut owned.extended);
        }
    }
}

impl<B: Backend> Running<'_, B> {
    /// The loop. Returns where the vCPU must stop or wait.
    #[inline(never)]
    fn run(&mut self) -> Leave {
        if self.vcpu.seat.take_missed() {
            self.hook.given();
        }
        loop {
            if self.vcpu.take_requests(request::PATCH) != 0 || irq::need_resched() {
                return Leave::Yield;
            }
            // What comes from here on keeps the vCPU from entering the guest, and is looked at next time.
            let requests = self
                .vcpu
                .take_requests(!(request::IN_SECTION | request::PATCH | request::INJECT));
            if (requests & request::STOP != 0 && self.must_stop()) || hold::should_stop() {
                return Leave::Stop;
            }
            if requests & request::START != 0 && self.reset_by_ipi() {
                return Leave::Stop;
            }
            if requests & request::TIME != 0 {
                self.write_time();
            }
            if requests & request::TIMER != 0 {
                self.timers_expired();
            }
            if !self.upcall.is_current(&self.vcpu.upcall_epoch) {
                self.upcall = self
                    .domain
                    .ports()
                    .lock()
                    .upcall(self.vcpu.id(), &self.vcpu.upcall_epoch);
                self.write_time();
            }
            self.notice_sleep();
            self.arm_timer();
            if requests & request::MONITOR != 0 && !self.follow_monitor() {
                return Leave::Nap;
            }
            if self.owned.watched.stage != Stage::None {
                if !self.monitor_answered() && !self.poll_monitor() {
                    self.begin_wait_for_monitor();
                    return Leave::Monitor;
                }
                continue;
            }
            if self.report_step() {
                continue;
            }
            if !self.owned.device.transfer.is_idle() && !self.model_answered(requests) {
                self.begin_wait_for_model();
                return Leave::Model;
            }
            match self.lacks.take() {
                Lack::Nothing => {}
                Lack::Replayer if self.make_replayer() => {}
                Lack::Replayer | Lack::Moment => return Leave::Nap,
            }
            if self.carry_out_again() {
                continue;
            }
            // Between two instructions: it waits until the one that is carried out is over, and the vCPU goes on.
            if self.vcpu.take_requests(request::INJECT) != 0 {
                self.deliver_injection();
            }
            if self.vcpu.waits() && !self.wait_ends() {
                return Leave::Block;
            }
            if self.report_interrupt() {
                continue;
            }
            let exit = match self.steps() {
                true => self.step(),
                false => {
                    let exit = self.section();
                    self.handle(exit);
                    exit
                }
            };
            if matches!(exit, Exit::Gone) {
                // The machine suspends or reboots, or this processor goes offline: go on when that is over, or never.
                return Leave::Nap;
            }
        }
    }

    /// Acts on INIT and start-up IPIs while the vCPU runs. Returns whether it must wait for the latter now.
    fn reset_by_ipi(&mut self) -> bool {
        let mut waits = false;
        while let Some(event) = self.vcpu.lapic.take_event() {
            self.end_wait();
            match event {
                vlapic::shared::Event::Init => {
                    self.hw.load(&CpuState::reset());
                    self.owned.extended.reset();
                    self.owned.device.forget();
                    self.owned.watched.forget();
                    self.domain.monitor.lock().forget(self.vcpu.id());
                    self.owned.lapic.init(&self.vcpu.lapic);
                    self.refresh_view();
                    self.vcpu.set_down(true);
                    waits = true;
                }
                vlapic::shared::Event::Startup(vector) => {
                    let mut state = CpuState::reset();
                    state.startup(vector);
                    self.hw.load(&state);
                    self.owned.extended.reset();
                    self.refresh_view();
                    self.vcpu.set_down(false);
                    waits = false;
                }
            }
        }
        waits
    }

    /// Brings what CPUID says about the vCPU in step with its registers.
    fn refresh_view(&mut self) {
        let view = &mut self.owned.view;
        view.set_cr4(self.hw.cr4());
        view.set_xcr0(self.hw.xcr0());
        view.set_apic_enabled(self.owned.lapic.is_on());
    }

    /// Looks whether what the vCPU waits for has come, and ends the wait if so.
    fn wait_ends(&mut self) -> bool {
        // Who brings something says so first, and then that it is there.
        let kicked = self.vcpu.take_requests(request::EVENT) != 0;
        let ends = self.has_event() || (kicked && self.vcpu.wait() != Wait::Halt);
        if ends {
            self.end_wait();
        }
        ends
    }

    /// Ends what the vCPU waits for, if it does.
    fn end_wait(&mut self) {
        if self.vcpu.waits() {
            self.domain.end_wait(self.vcpu);
            self.vcpu.runstate.run(self.hook);
        }
    }

    /// Whether there is something to look at: a request, of which one always comes with an event.
    #[inline(never)]
    fn may_unblock(&self) -> bool {
        self.vcpu.runstate.look();
        self.vcpu.requests() != 0 || hold::should_stop()
    }
}
