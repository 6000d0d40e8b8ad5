// SPDX-License-Identifier: GPL-2.0-only

//! CPUID policies and feature sets of the machine.

use super::Call;
use crate::abi::errno::{
    Result,
    EINVAL,
    ENOBUFS, //
};
use crate::abi::sysctl::{
    CpuFeatureset,
    CpuLevellingCaps,
    CpuPolicy, //
};
use crate::hypercall::caller::Handle;
use crate::hypercall::domctl::cpu_policy::{
    write_leaves,
    write_msrs, //
};
use crate::policy::feature::WORDS;

/// `XEN_SYSCTL_get_cpu_policy`.
///
/// # Errors
///
/// `EINVAL` for a policy that there is not, `EOPNOTSUPP` for one of paravirtualised guests, `ENOBUFS` for too little
/// room, `EFAULT`.
pub(super) fn policy(call: &mut Call<'_>) -> Result {
    let mut ask: CpuPolicy = call.payload()?;
    if ask._rsvd != 0 {
        return Err(EINVAL);
    }
    let policy = call.caller.hypervisor.policies.policy(ask.index)?;
    ask.nr_leaves = write_leaves(call.caller, policy, ask.leaves, ask.nr_leaves)?;
    ask.nr_msrs = write_msrs(call.caller, policy, ask.msrs, ask.nr_msrs)?;
    call.answer(&ask)
}

/// `XEN_SYSCTL_get_cpu_featureset`: as many words as there is room for.
///
/// # Errors
///
/// `ENOBUFS` if these were not all, which the answer then holds; `EINVAL` and `EOPNOTSUPP` as [`policy`]; `EFAULT`.
pub(super) fn featureset(call: &mut Call<'_>) -> Result {
    let mut ask: CpuFeatureset = call.payload()?;
    // CAST: A small number.
    let all = WORDS as u32;
    if ask.features == 0 {
        ask.nr_features = all;
        return call.answer(&ask);
    }
    let set = call.caller.hypervisor.policies.featureset(ask.index)?;
    let count = ask.nr_features.min(all);
    for (index, word) in (0..count).zip(set.0) {
        Handle::<u32>::new(ask.features)
            .at(index.into())?
            .write(call.caller, &word)?;
    }
    ask.nr_features = count;
    call.answer(&ask)?;
    if count < all {
        return Err(ENOBUFS);
    }
    Ok(())
}

/// `XEN_SYSCTL_get_cpu_levelling_caps`: what can be hidden from paravirtualised guests, which there are none of.
pub(super) fn levelling_caps(call: &mut Call<'_>) -> Result {
    call.answer(&CpuLevellingCaps { caps: 0 })
}
