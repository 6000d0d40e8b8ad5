// SPDX-License-Identifier: GPL-2.0-only

//! What a guest's CPUID and MSRs say.
//!
//! A [`CpuPolicy`] holds the CPUID leaves and the few MSRs that describe a processor. Four of them
//! belong to the machine ([`SystemPolicies`]); every domain has its own, which starts as the
//! default one and which the toolstack may change within the bounds of the maximum one.
//!
//! The rule behind every table here: nothing is offered that this hypervisor does not carry out. A
//! feature that needs the backend's help is offered only if [`Capabilities`] says that the backend
//! gives it. Bits that Xen does not name are never offered.
//!
//! Pure: what the processor and the backend can do is passed in.

pub(crate) mod control;
pub(crate) mod cpuid;
mod depend;
mod derive;
#[cfg(test)]
mod epyc;
pub(crate) mod feature;
pub(crate) mod msr;
pub(crate) mod mtrr;
pub(crate) mod system;
pub(crate) mod view;
pub(crate) mod wire;
pub(crate) mod xstate;

pub(crate) use derive::Topology;
pub(crate) use system::SystemPolicies;
pub(crate) use view::{
    DomainView,
    VcpuView, //
};

/// A guest's access must end in a general protection fault with error code 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gp;

/// What the backend can do for guests on this machine, beyond what CPUID says of the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// A guest's `SPEC_CTRL` is kept apart from the host's.
    pub(crate) spec_ctrl: bool,
    /// A guest's write of `PRED_CMD` reaches the processor.
    pub(crate) ibpb: bool,
    /// A guest's `EFER.AIBRSE` takes effect.
    pub(crate) auto_ibrs: bool,
    /// The nested page tables may map a guest's 1 GiB pages, and the processor has them.
    pub(crate) page1gb: bool,
    /// A guest's `INVPCID` and `CR4.PCIDE` work under nested paging.
    pub(crate) pcid: bool,
    /// A guest's `RDTSCP` and `RDPID` read its own `TSC_AUX`.
    pub(crate) tsc_aux: bool,
    /// The guest's time stamp counter runs at one rate for ever.
    pub(crate) invariant_tsc: bool,
    /// `CPUID` can be made to fault outside of CPL 0, see `MISC_FEATURES_ENABLES`.
    pub(crate) cpuid_faulting: bool,
    /// `LFENCE` waits for earlier instructions to complete, even if CPUID does not say so: bit 1 of
    /// the host's `DE_CFG` is set on an AMD processor.
    pub(crate) lfence_dispatch: bool,
    /// `XBEGIN` is known to the processor but always aborts.
    pub(crate) rtm_always_abort: bool,
    /// The `XCR0` bits that a world switch saves and restores.
    pub(crate) xcr0_mask: u64,
    /// The width of guest physical addresses that the nested page tables allow, in bits.
    pub(crate) paddr_bits: u8,
    /// The host's `ARCH_CAPABILITIES`, if it has that MSR.
    pub(crate) arch_caps: Option<u64>,
    /// The host's `PATCH_LEVEL` (AMD) or `BIOS_SIGN_ID` (Intel), as `RDMSR` returns it.
    pub(crate) patch_level: u64,
}
