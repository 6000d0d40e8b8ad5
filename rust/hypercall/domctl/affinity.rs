// SPDX-License-Identifier: GPL-2.0-only

//! Where vCPUs run.

use super::bitmap;
use super::Call;
use crate::abi::domctl::sched::{
    self as abi,
    NodeAffinity,
    VcpuAffinity, //
};
use crate::abi::errno::{
    Result,
    EINVAL,
    ESRCH, //
};
use crate::domain::affinity::{
    Affinity,
    CpuSet, //
};
use crate::domain::vcpu::Vcpu;
use crate::domain::{
    Domain,
    DOM0, //
};
use crate::sys::alloc::GFP_KERNEL;
use crate::sys::cpu;

/// Finds the vCPU that is asked about.
fn vcpu<'a>(domain: &'a Domain, ask: &VcpuAffinity) -> Result<&'a Vcpu> {
    if ask.vcpu >= domain.config().max_vcpus {
        return Err(EINVAL);
    }
    domain.vcpu(ask.vcpu).ok_or(ESRCH)
}

fn or_all(set: Option<&CpuSet>) -> Result<CpuSet> {
    set.map_or_else(CpuSet::all, CpuSet::copy)
}

/// `XEN_DOMCTL_setvcpuaffinity`. The answer, in the tool's bitmaps, is what is in effect: the processors that are
/// online, of the soft affinity those that the hard one allows.
///
/// # Errors
///
/// `EINVAL` for a number beyond what the domain was made for or a hard affinity without a processor that is online,
/// `ESRCH` for a vCPU that does not exist yet, `EFAULT`, `ENOMEM`.
pub(super) fn set_vcpu(call: &Call<'_>, domain: &Domain) -> Result {
    let ask: VcpuAffinity = call.payload()?;
    let vcpu = vcpu(domain, &ask)?;
    let read = |flag, map| {
        if ask.flags & flag == 0 {
            return Ok(None);
        }
        bitmap::read_cpus(call.caller, map).map(Some)
    };
    let hard = read(abi::VCPUAFFINITY_HARD, &ask.cpumap_hard)?;
    let soft = read(abi::VCPUAFFINITY_SOFT, &ask.cpumap_soft)?;
    let mut online = CpuSet::online()?;
    let mut control = domain.control().lock();
    while control.affinity.len() <= vcpu.id() as usize {
        control.affinity.push(Affinity::default(), GFP_KERNEL)?;
    }
    let entry = control.affinity.get_mut(vcpu.id() as usize).ok_or(ESRCH)?;
    if let Some(hard) = hard {
        vcpu.set_cpus(&hard.0)
            .map_err(|errno| call.refuse(errno, format_args!("no such processor is online")))?;
        entry.hard = Some(hard);
    }
    if let Some(soft) = soft {
        entry.soft = Some(soft);
    }
    online.retain(&or_all(entry.hard.as_ref())?);
    let mut preferred = or_all(entry.soft.as_ref())?;
    drop(control);
    preferred.retain(&online);
    if ask.flags & abi::VCPUAFFINITY_HARD != 0 {
        bitmap::write_cpus(call.caller, &ask.cpumap_hard, &online)?;
    }
    if ask.flags & abi::VCPUAFFINITY_SOFT != 0 {
        bitmap::write_cpus(call.caller, &ask.cpumap_soft, &preferred)?;
    }
    Ok(())
}

/// `XEN_DOMCTL_getvcpuaffinity`: what was set.
///
/// # Errors
///
/// As [`set_vcpu`].
pub(super) fn get_vcpu(call: &Call<'_>, domain: &Domain) -> Result {
    let ask: VcpuAffinity = call.payload()?;
    let (hard, soft) = if domain.id() == DOM0 {
        if ask.vcpu >= cpu::nr_ids() {
            return Err(EINVAL);
        }
        (CpuSet::all()?, CpuSet::all()?)
    } else {
        let vcpu = vcpu(domain, &ask)?;
        let control = domain.control().lock();
        let entry = control.affinity.get(vcpu.id() as usize);
        (
            or_all(entry.and_then(|entry| entry.hard.as_ref()))?,
            or_all(entry.and_then(|entry| entry.soft.as_ref()))?,
        )
    };
    if ask.flags & abi::VCPUAFFINITY_HARD != 0 {
        bitmap::write_cpus(call.caller, &ask.cpumap_hard, &hard)?;
    }
    if ask.flags & abi::VCPUAFFINITY_SOFT != 0 {
        bitmap::write_cpus(call.caller, &ask.cpumap_soft, &soft)?;
    }
    Ok(())
}

/// `XEN_DOMCTL_setnodeaffinity`. There is one node, which takes part in any affinity that is one.
///
/// # Errors
///
/// `EINVAL` if it is not in the set, `EFAULT`.
pub(super) fn set_node(call: &Call<'_>) -> Result {
    let ask: NodeAffinity = call.payload()?;
    if bitmap::read_node(call.caller, &ask.nodemap)? {
        Ok(())
    } else {
        Err(EINVAL)
    }
}

/// `XEN_DOMCTL_getnodeaffinity`.
///
/// # Errors
///
/// `EFAULT`.
pub(super) fn get_node(call: &Call<'_>) -> Result {
    let ask: NodeAffinity = call.payload()?;
    bitmap::write_node(call.caller, &ask.nodemap)
}
