// SPDX-License-Identifier: GPL-2.0-only

//! Starting and stopping the hypervisor: the backend, the processors, the control domain.

use core::marker::PhantomData;

use crate::abi::errno::{
    Result,
    ENODEV, //
};
use crate::domain::clock;
use crate::domain::hypervisor::{
    Hypervisor,
    HYPERVISOR, //
};
use crate::domain::patching;
use crate::hw::svm::Svm;
use crate::hw::Backend;
use crate::livepatch::engine::{
    Engine,
    LIVEPATCH, //
};
use crate::policy::{
    Capabilities,
    SystemPolicies, //
};

use crate::sys::cpu::{
    Hotplug,
    HotplugRegistration, //
};
use crate::sys::global::GlobalGuard;
use crate::sys::{
    msr,
    timer,
    wait, //
};

/// What a guest's frame numbers may be, in bits of the address.
const PADDR_BITS: u8 = 48;
/// `PATCH_LEVEL`.
const PATCH_LEVEL: u32 = 0x8b;
/// `DE_CFG`, and its bit that makes LFENCE wait.
const DE_CFG: u32 = 0xc001_1029;
const DE_CFG_LFENCE: u64 = 1 << 1;

/// The running hypervisor. Fields are dropped in order.
pub(crate) struct Started {
    _livepatch: GlobalGuard<Engine>,
    _hypervisor: GlobalGuard<Hypervisor>,
    _processors: HotplugRegistration,
    _backend: BackendGuard<Svm>,
}

impl Started {
    /// Starts everything below the devices.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the machine lacks something, `EBUSY` if somebody else holds the processors, `ENOMEM`. The log
    /// says what.
    pub(crate) fn new() -> Result<Self> {
        if cfg!(CONFIG_PREEMPT_RT) {
            kernel::prelude::pr_err!(
                "this kernel is built with PREEMPT_RT, whose spinlocks sleep: not supported\n"
            );
            return Err(ENODEV);
        }
        if !timer::check_size() {
            kernel::prelude::pr_err!("this kernel's timers are larger than this module knows\n");
            return Err(ENODEV);
        }
        if !wait::check_size() {
            kernel::prelude::pr_err!(
                "this kernel's wait queues are larger than this module knows\n"
            );
            return Err(ENODEV);
        }
        clock::start().inspect_err(|_| {
            kernel::prelude::pr_err!("the host does not know how fast its TSC is\n");
        })?;
        let backend = BackendGuard::<Svm>::new()?;
        let processors = HotplugRegistration::new::<Processors<Svm>>()?;
        let policies = SystemPolicies::new(msr::cpuid, &capabilities::<Svm>())?;
        let hypervisor = Hypervisor::new(Svm::capabilities(), policies, super::spawn::<Svm>)?;
        // SAFETY: The module is started once, and the guard is dropped after the devices, which are the only way in;
        // threads and timers belong to domains, and the module is not unloaded while there are any.
        let hypervisor = unsafe { HYPERVISOR.init(hypervisor)? };
        let livepatch = Engine::new(patching::GUESTS)?;
        // SAFETY: As above.
        let livepatch = unsafe { LIVEPATCH.init(livepatch)? };
        Ok(Self {
            _livepatch: livepatch,
            _hypervisor: hypervisor,
            _processors: processors,
            _backend: backend,
        })
    }

    /// Says in the log that all is there, and what the machine can do. Nothing is said before: a load that is
    /// refused leaves the reason alone.
    pub(crate) fn announce(&self) {
        let hw = Svm::capabilities();
        let word = |has| if has { "yes" } else { "no" };
        kernel::prelude::pr_info!(
            "ready: Xen 4.20 interfaces on /dev/xen, {} with {} address spaces, next-RIP {}, decode assists {}\n",
            Svm::NAME,
            hw.address_spaces,
            word(hw.next_rip),
            word(hw.decode_assists),
        );
    }
}

/// Frees what all processors share when it is dropped.
struct BackendGuard<B: Backend>(PhantomData<B>);

impl<B: Backend> BackendGuard<B> {
    fn new() -> Result<Self> {
        B::init()?;
        Ok(Self(PhantomData))
    }
}

impl<B: Backend> Drop for BackendGuard<B> {
    fn drop(&mut self) {
        B::exit();
    }
}

/// Takes processors as they come and gives them back as they go.
struct Processors<B>(PhantomData<B>);

impl<B: Backend> Hotplug for Processors<B> {
    fn online(cpu: u32) -> Result {
        B::enable(cpu)
    }

    fn offline(cpu: u32) {
        B::disable(cpu);
    }

    fn stop() {
        clock::suspend();
        B::disable(crate::sys::cpu::current());
    }

    fn start() {
        clock::resume();
        // A processor that cannot be had after a resume is one on which guests fail with a message of their own.
        let _ = B::enable(crate::sys::cpu::current());
    }
}

/// What the policies need to know of the backend and the machine.
fn capabilities<B: Backend>() -> Capabilities {
    let hw = B::capabilities();
    Capabilities {
        spec_ctrl: hw.spec_ctrl,
        ibpb: hw.ibpb,
        auto_ibrs: false,
        page1gb: hw.page_1g,
        pcid: true,
        tsc_aux: true,
        invariant_tsc: clock::is_reliable(),
        cpuid_faulting: false,
        lfence_dispatch: msr::read(DE_CFG).is_ok_and(|value| value & DE_CFG_LFENCE != 0),
        rtm_always_abort: false,
        xcr0_mask: hw.xcr0_mask,
        paddr_bits: PADDR_BITS,
        arch_caps: None,
        patch_level: msr::read(PATCH_LEVEL).unwrap_or(0),
    }
}
