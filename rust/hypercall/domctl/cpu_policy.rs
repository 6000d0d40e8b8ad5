// SPDX-License-Identifier: GPL-2.0-only

//! A domain's CPUID policy, as lists of leaves and MSRs.

use kernel::sync::Arc;

use super::Call;
use crate::abi::domctl::domain::CpuPolicy as Lists;
use crate::abi::errno::{
    Result,
    E2BIG,
    EBUSY,
    EEXIST, //
};
use crate::domain::Domain;
use crate::hypercall::caller::{
    Caller,
    Handle, //
};
use crate::policy::cpuid::CpuPolicy;
use crate::policy::feature;
use crate::policy::wire::{
    PolicyErrors,
    MAX_LEAVES,
    MAX_MSRS, //
};
use crate::policy::Topology;
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL, //
};

/// Writes a policy's leaves; without a buffer, only how many there can be is told. Returns the number.
///
/// # Errors
///
/// `ENOBUFS` if there is no room for all, `EFAULT`.
pub(crate) fn write_leaves(
    caller: &Caller<'_>,
    policy: &CpuPolicy,
    buffer: u64,
    room: u32,
) -> Result<u32> {
    if buffer == 0 {
        return Ok(MAX_LEAVES);
    }
    policy.write_leaves(room, |index, leaf| {
        Handle::new(buffer).at(index.into())?.write(caller, leaf)
    })
}

/// Writes a policy's MSRs, as [`write_leaves`].
///
/// # Errors
///
/// As there.
pub(crate) fn write_msrs(
    caller: &Caller<'_>,
    policy: &CpuPolicy,
    buffer: u64,
    room: u32,
) -> Result<u32> {
    if buffer == 0 {
        return Ok(MAX_MSRS);
    }
    policy.write_msrs(room, |index, entry| {
        Handle::new(buffer).at(index.into())?.write(caller, entry)
    })
}

/// `XEN_DOMCTL_get_cpu_policy`.
///
/// # Errors
///
/// As [`write_leaves`].
pub(super) fn get(call: &mut Call<'_>, domain: &Domain) -> Result {
    let mut ask: Lists = call.payload()?;
    let policy = domain.policy();
    ask.nr_leaves = write_leaves(call.caller, &policy, ask.leaves, ask.nr_leaves)?;
    ask.nr_msrs = write_msrs(call.caller, &policy, ask.msrs, ask.nr_msrs)?;
    call.answer(&ask)
}

/// `XEN_DOMCTL_set_cpu_policy`: changes what the tool lists. On an error the answer tells which leaf or MSR it is
/// about.
///
/// # Errors
///
/// `EEXIST` once the domain was unpaused; `E2BIG`, `ERANGE`, `EINVAL`, `EOVERFLOW` for the lists, see
/// [`CpuPolicy::with_update`]; `EFAULT`, `ENOMEM`.
pub(super) fn set(call: &mut Call<'_>, domain: &Domain) -> Result {
    let mut ask: Lists = call.payload()?;
    if domain.life.lock().created {
        return Err(call.refuse(
            EEXIST,
            format_args!("the guest has seen its CPUID policy already"),
        ));
    }
    let mut errors = PolicyErrors::NONE;
    let result = update(call, domain, &ask, &mut errors);
    if let Err(errno) = result {
        let (leaf, subleaf, msr) = (errors.leaf, errors.subleaf, errors.msr);
        call.refuse(
            errno,
            format_args!("leaf {leaf:#x}, subleaf {subleaf:#x}, MSR {msr:#x}"),
        );
        ask.err_leaf = leaf;
        ask.err_subleaf = subleaf;
        ask.err_msr = msr;
        call.answer(&ask)?;
    }
    result
}

fn update(call: &Call<'_>, domain: &Domain, ask: &Lists, errors: &mut PolicyErrors) -> Result {
    if ask.nr_leaves > MAX_LEAVES || ask.nr_msrs > MAX_MSRS {
        return Err(E2BIG);
    }
    let mut leaves = KVec::with_capacity(ask.nr_leaves as usize, GFP_KERNEL)?;
    for index in 0..ask.nr_leaves {
        let leaf = Handle::new(ask.leaves)
            .at(index.into())?
            .read(call.caller)?;
        leaves.push(leaf, GFP_KERNEL)?;
    }
    let mut msrs = KVec::with_capacity(ask.nr_msrs as usize, GFP_KERNEL)?;
    for index in 0..ask.nr_msrs {
        let msr = Handle::new(ask.msrs).at(index.into())?.read(call.caller)?;
        msrs.push(msr, GFP_KERNEL)?;
    }
    let topology = Topology {
        cores: domain.config().max_vcpus,
    };
    let max = &call.caller.hypervisor.policies.hvm_max;
    let old = domain.policy();
    let new = Arc::new(
        old.with_update(&leaves, &msrs, max, topology, errors)?,
        GFP_KERNEL,
    )?;
    let (x2apic, deadline) = (new.has(feature::X2APIC), new.has(feature::TSC_DEADLINE));
    domain
        .set_policy(new)
        .map_err(|errno| if errno == EBUSY { EEXIST } else { errno })?;
    for vcpu in domain.vcpus() {
        domain.with_stopped(vcpu, |owned| owned.lapic.set_policy(x2apic, deadline));
    }
    Ok(())
}
