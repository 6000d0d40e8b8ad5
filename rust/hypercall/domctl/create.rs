// SPDX-License-Identifier: GPL-2.0-only

//! Making a domain.

use kernel::sync::Arc;

use super::Call;
use crate::abi::domctl::domain as abi;
use crate::abi::domctl::domain::CreateDomain;
use crate::abi::errno::{
    Result,
    EINVAL,
    ENOENT,
    EOPNOTSUPP, //
};
use crate::abi::hvm::params;
use crate::domain::lifecycle::reason;
use crate::domain::{
    Config,
    Domain,
    FIRST_RESERVED,
    MAX_VCPUS, //
};
use crate::gnttab::Limits;

/// Flags that a domain here can be made with. Out-of-sync shadow pages are nothing that it has either way.
const FLAGS: u32 = abi::CDF_HVM | abi::CDF_HAP | abi::CDF_OOS_OFF | abi::CDF_XS_DOMAIN;

/// `XEN_DOMCTL_createdomain`. Returns the domain, whose number is the answer.
///
/// # Errors
///
/// `EINVAL` or `EOPNOTSUPP` for a kind of domain that cannot run here, `ENOENT` for a CPU pool that there is not,
/// `EEXIST` for a number that is in use, `ENOMEM`.
pub(super) fn create(call: &mut Call<'_>) -> Result<Arc<Domain>> {
    let ask: CreateDomain = call.payload()?;
    check(call, &ask)?;
    let limits = Limits::from_createdomain(
        ask.max_grant_frames,
        ask.max_maptrack_frames,
        ask.grant_opts,
    )
    .map_err(|errno| {
        let (grants, maptrack, opts) = (
            ask.max_grant_frames,
            ask.max_maptrack_frames,
            ask.grant_opts,
        );
        call.refuse(
            errno,
            format_args!(
                "{grants} grant frames, {maptrack} maptrack frames, grant options {opts:#x}; \
                 grant tables are of version 1"
            ),
        )
    })?;
    // 0 and the reserved numbers ask for any.
    let wanted = match call.op.domain {
        0 | FIRST_RESERVED.. => None,
        id => Some(id),
    };
    let config = Config {
        flags: ask.flags,
        max_vcpus: ask.max_vcpus,
        // Xen counts ports as a signed number; -1 asks for as many as there can be.
        max_evtchn_port: ask.max_evtchn_port.min(i32::MAX as u32),
        emulation_flags: ask.arch.emulation_flags,
        misc_flags: ask.arch.misc_flags,
        ssidref: ask.ssidref,
    };
    let domain = call
        .caller
        .hypervisor
        .create(wanted, config, ask.handle, limits)
        .map_err(|errno| call.refuse(errno, format_args!("no number or no memory for it")))?;
    domain.publish_wallclock();
    // A processor that fails three times over is reset.
    domain
        .params()
        .lock()
        .set(params::TRIPLE_FAULT_REASON, reason::REBOOT.into());
    call.op.domain = domain.id();
    call.answered = true;
    Ok(domain)
}

/// Refuses what cannot run here, in Xen's order.
fn check(call: &Call<'_>, ask: &CreateDomain) -> Result {
    let refuse = |why| Err(call.refuse(EINVAL, why));
    let flags = ask.flags;
    if flags & !(FLAGS | abi::CDF_IOMMU | abi::CDF_NESTED_VIRT | abi::CDF_VPMU) != 0 {
        return refuse(format_args!("unknown creation flags {flags:#x}"));
    }
    if ask.altp2m_opts != 0 {
        return refuse(format_args!(
            "there are no alternate views of memory (altp2m)"
        ));
    }
    if ask.vmtrace_size != 0 {
        return refuse(format_args!("there is no processor trace (vmtrace)"));
    }
    let vcpus = ask.max_vcpus;
    if !(1..=MAX_VCPUS).contains(&vcpus) {
        return refuse(format_args!("{vcpus} vCPUs; there may be 1 to {MAX_VCPUS}"));
    }
    if flags & abi::CDF_HVM == 0 {
        return refuse(format_args!(
            "paravirtualised guests cannot run here: use PVH"
        ));
    }
    if flags & abi::CDF_HAP == 0 {
        return refuse(format_args!("there are no shadow page tables: use hap=1"));
    }
    if flags & abi::CDF_IOMMU != 0 || ask.iommu_opts != 0 {
        return refuse(format_args!("devices cannot be given to guests"));
    }
    if flags & abi::CDF_NESTED_VIRT != 0 {
        return refuse(format_args!("guests cannot run guests (nestedhvm)"));
    }
    if flags & abi::CDF_VPMU != 0 {
        return refuse(format_args!("there are no performance counters (vpmu)"));
    }
    let misc = ask.arch.misc_flags;
    if misc & !abi::MISC_FLAGS_MAX != 0 {
        return refuse(format_args!("unknown flags {misc:#x}"));
    }
    if misc & abi::MSR_RELAXED != 0 {
        return refuse(format_args!("unknown MSRs always fault (msr_relaxed)"));
    }
    let emulation = ask.arch.emulation_flags;
    if emulation & !abi::EMU_ALL != 0 {
        return refuse(format_args!("unknown emulation flags {emulation:#x}"));
    }
    if emulation != abi::EMU_LAPIC {
        return Err(call.refuse(
            EOPNOTSUPP,
            format_args!(
                "emulated devices {emulation:#x}; a PVH guest has a local APIC and no others"
            ),
        ));
    }
    if ask.cpupool_id != 0 {
        return Err(call.refuse(ENOENT, format_args!("there is one CPU pool, number 0")));
    }
    Ok(())
}
