// SPDX-License-Identifier: GPL-2.0-only

//! What domains and vCPUs are doing.

use zerocopy::FromZeros;

use super::Call;
use crate::abi::domctl::domain as abi;
use crate::abi::domctl::domain::{
    ArchDomainConfig,
    GetDomainInfo, //
};
use crate::abi::domctl::sched::GetVcpuInfo;
use crate::abi::errno::{
    Result,
    EINVAL,
    ESRCH, //
};
use crate::domain::hypervisor::Hypervisor;
use crate::domain::vcpu::Vcpu;
use crate::domain::{
    Domain,
    DOM0, //
};
use crate::sys::{
    clock,
    cpu,
    page, //
};

/// A domain's limit of pages if there is none: what Xen's 32-bit counter can hold.
const NO_LIMIT: u64 = u32::MAX as u64;
/// The reason of a shutdown that was none.
const NO_REASON: u32 = u32::MAX;

/// `XEN_DOMCTL_getdomaininfo`.
pub(super) fn get_domain_info(call: &mut Call<'_>, domain: &Domain) -> Result {
    let info = domain_info(call.caller.hypervisor, domain);
    call.answer(&info)
}

/// Describes a domain, for the domctl and for lists.
pub(crate) fn domain_info(hypervisor: &Hypervisor, domain: &Domain) -> GetDomainInfo {
    let mut info = GetDomainInfo::new_zeroed();
    info.domain = domain.id();
    info.ssidref = domain.config().ssidref;
    info.handle = domain.control().lock().handle;
    // Where the guest put it is nowhere noted; Xen says so in the same way.
    info.shared_info_frame = u64::MAX;
    info.arch_config = ArchDomainConfig {
        emulation_flags: domain.config().emulation_flags,
        misc_flags: domain.config().misc_flags,
    };
    if domain.id() == DOM0 {
        host(hypervisor, &mut info);
    } else {
        guest(domain, &mut info);
    }
    info
}

fn guest(domain: &Domain, info: &mut GetDomainInfo) {
    let vcpus = domain.vcpus();
    info.max_vcpu_id = abi::INVALID_MAX_VCPU_ID;
    let mut blocked = true;
    let mut running = false;
    for vcpu in vcpus {
        info.max_vcpu_id = vcpu.id();
        info.cpu_time = info.cpu_time.saturating_add(cpu_time(vcpu));
        if !vcpu.is_down() {
            info.nr_online_vcpus += 1;
            blocked &= vcpu.is_blocked();
            running |= vcpu.is_running();
        }
    }
    let config = domain.config();
    let mut flag = |on: bool, bit: u32| {
        if on {
            info.flags |= bit;
        }
    };
    flag(config.flags & abi::CDF_HVM != 0, abi::DOMINF_HVM_GUEST);
    flag(config.flags & abi::CDF_HAP != 0, abi::DOMINF_HAP);
    flag(
        config.flags & abi::CDF_XS_DOMAIN != 0,
        abi::DOMINF_XS_DOMAIN,
    );
    if info.nr_online_vcpus != 0 {
        flag(blocked, abi::DOMINF_BLOCKED);
        flag(running, abi::DOMINF_RUNNING);
    }
    let life = domain.life.lock();
    flag(life.dying, abi::DOMINF_DYING);
    flag(life.shut_down, abi::DOMINF_SHUTDOWN);
    flag(life.paused != 0, abi::DOMINF_PAUSED);
    let reason = life.shutting_down.map_or(NO_REASON, u32::from);
    drop(life);
    info.flags |= reason << abi::DOMINF_SHUTDOWNSHIFT;
    info.tot_pages = domain.p2m.ram_pages();
    info.max_pages = domain.p2m.max_pages();
    // CAST: At most 52.
    info.gpaddr_bits = domain.policy().paddr_bits() as u8;
}

/// The control domain, as this host is: its processors are its vCPUs, the memory that no guest has is its own.
fn host(hypervisor: &Hypervisor, info: &mut GetDomainInfo) {
    let end = cpu::nr_ids();
    let up = clock::monotonic_ns();
    for id in (0..end).filter(|id| cpu::is_online(*id)) {
        info.nr_online_vcpus += 1;
        info.max_vcpu_id = id;
        info.cpu_time = info
            .cpu_time
            .saturating_add(up.saturating_sub(cpu::idle_ns(id)));
    }
    info.flags = abi::DOMINF_RUNNING | NO_REASON << abi::DOMINF_SHUTDOWNSHIFT;
    let mut guests = 0u64;
    let mut next = 1;
    while let Some(domain) = hypervisor.domain_from(next) {
        guests = guests.saturating_add(domain.p2m.ram_pages());
        match domain.id().checked_add(1) {
            Some(id) => next = id,
            None => break,
        }
    }
    info.tot_pages = page::total_pages().saturating_sub(guests);
    info.max_pages = NO_LIMIT;
}

/// Nanoseconds that a vCPU has run.
fn cpu_time(vcpu: &Vcpu) -> u64 {
    let [running, ..] = vcpu.runstate.snapshot().time;
    running
}

/// `XEN_DOMCTL_getvcpuinfo`.
///
/// # Errors
///
/// `EINVAL` for a number beyond what the domain was made for, `ESRCH` for a vCPU that does not exist yet.
pub(super) fn get_vcpu_info(call: &mut Call<'_>, domain: &Domain) -> Result {
    let mut info: GetVcpuInfo = call.payload()?;
    if domain.id() == DOM0 {
        let id = info.vcpu;
        if id >= cpu::nr_ids() {
            return Err(EINVAL);
        }
        let online = cpu::is_online(id);
        info.online = online.into();
        info.blocked = 0;
        info.running = online.into();
        info.cpu_time = if online {
            clock::monotonic_ns().saturating_sub(cpu::idle_ns(id))
        } else {
            0
        };
        info.cpu = id;
    } else {
        if info.vcpu >= domain.config().max_vcpus {
            return Err(EINVAL);
        }
        let vcpu = domain.vcpu(info.vcpu).ok_or(ESRCH)?;
        info.online = (!vcpu.is_down()).into();
        info.blocked = vcpu.is_blocked().into();
        info.running = vcpu.is_running().into();
        info.cpu_time = cpu_time(vcpu);
        info.cpu = vcpu.cpu();
    }
    call.answer(&info)
}
