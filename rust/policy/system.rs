// SPDX-License-Identifier: GPL-2.0-only

//! The machine's policies, as `XEN_SYSCTL_get_cpu_policy` and `XEN_SYSCTL_get_cpu_featureset`
//! number them.

use super::{
    cpuid::{
        CpuPolicy,
        Regs, //
    },
    derive,
    feature::FeatureSet,
    Capabilities,
    Topology, //
};
use crate::{
    abi::{
        errno::{
            Result,
            EINVAL,
            EOPNOTSUPP, //
        },
        sysctl, //
    },
    sys::alloc::{
        AllocError,
        KBox,
        GFP_KERNEL, //
    },
};

/// The policies that belong to the machine, made once when the hypervisor starts.
pub(crate) struct SystemPolicies {
    /// What the processor says.
    pub(crate) raw: KBox<CpuPolicy>,
    /// What of that is known here.
    pub(crate) host: KBox<CpuPolicy>,
    /// The most that a domain can have.
    pub(crate) hvm_max: KBox<CpuPolicy>,
    /// What a domain starts with.
    pub(crate) hvm_default: KBox<CpuPolicy>,
}

impl SystemPolicies {
    /// Makes the policies from `read`, which executes `CPUID` with EAX and ECX, and from what the
    /// backend can do.
    pub(crate) fn new(
        read: impl Fn(u32, u32) -> Regs,
        caps: &Capabilities,
    ) -> core::result::Result<Self, AllocError> {
        let mut raw = empty()?;
        let mut host = empty()?;
        let mut hvm_max = empty()?;
        let mut hvm_default = empty()?;
        derive::fill_raw(&mut raw, &read, caps);
        derive::make_host(&mut host, &raw, caps);
        derive::make_max(&mut hvm_max, &host, caps);
        derive::make_default(&mut hvm_default, &hvm_max, &host, caps);
        Ok(Self {
            raw,
            host,
            hvm_max,
            hvm_default,
        })
    }

    /// Returns the policy with Xen's number `index`.
    ///
    /// # Errors
    ///
    /// EOPNOTSUPP for those of paravirtualised guests, which there are none of here; EINVAL for any
    /// other number.
    pub(crate) fn policy(&self, index: u32) -> Result<&CpuPolicy> {
        match index {
            sysctl::CPU_POLICY_RAW => Ok(&self.raw),
            sysctl::CPU_POLICY_HOST => Ok(&self.host),
            sysctl::CPU_POLICY_HVM_MAX => Ok(&self.hvm_max),
            sysctl::CPU_POLICY_HVM_DEFAULT => Ok(&self.hvm_default),
            sysctl::CPU_POLICY_PV_MAX | sysctl::CPU_POLICY_PV_DEFAULT => Err(EOPNOTSUPP),
            _ => Err(EINVAL),
        }
    }

    /// Returns the feature set with Xen's number `index`; the numbers are not those of policies.
    ///
    /// A caller's buffer that is too short is filled, and then answered with ENOBUFS.
    ///
    /// # Errors
    ///
    /// As [`Self::policy`].
    pub(crate) fn featureset(&self, index: u32) -> Result<FeatureSet> {
        match index {
            sysctl::CPU_FEATURESET_RAW => Ok(self.raw.features()),
            sysctl::CPU_FEATURESET_HOST => Ok(self.host.features()),
            sysctl::CPU_FEATURESET_HVM => Ok(self.hvm_default.features()),
            sysctl::CPU_FEATURESET_HVM_MAX => Ok(self.hvm_max.features()),
            sysctl::CPU_FEATURESET_PV | sysctl::CPU_FEATURESET_PV_MAX => Err(EOPNOTSUPP),
            _ => Err(EINVAL),
        }
    }

    /// Returns the policy that a new domain with these vCPUs starts with.
    pub(crate) fn for_domain(&self, topology: Topology) -> CpuPolicy {
        let mut p = CpuPolicy::clone(&self.hvm_default);
        derive::recalculate(&mut p, &self.hvm_max, topology);
        p
    }
}

/// Allocates an empty policy; apart, so that only one is ever on the stack.
#[inline(never)]
fn empty() -> core::result::Result<KBox<CpuPolicy>, AllocError> {
    KBox::new(CpuPolicy::EMPTY, GFP_KERNEL)
}
