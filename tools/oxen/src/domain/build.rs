// SPDX-License-Identifier: GPL-2.0-only

//! Builds a PVH domain: from nothing to a paused domain with its kernel in place.
//!
//! The order of calls is that of `xl create -p`. Left out is what is xl's own housekeeping
//! (affinity, CPU pools, scheduler parameters, memory claims) and the CPU policy, where the
//! hypervisor's default serves.
//!
//! There is no xenstore in the guest: a port for it exists, as every tool expects the console's to
//! be the second one, but the parameters that would tell the guest of a ring stay 0. Linux then
//! goes on without xenstore at once; with a ring that nobody serves, kernels before 5.17 wait for
//! an answer for ever.

use uuid::Uuid;
use zerocopy::FromZeros;

use super::context;
use super::layout::{
    Extents,
    Layout,
    Needs,
    Special,
    ACPI_BASE,
    PAGE,
    SPECIAL_COUNT,
    SPECIAL_FIRST, //
};
use super::memory::{
    populate,
    GuestMemory, //
};
use crate::abi::domctl::domain::{
    CreateDomain,
    CDF_HAP,
    CDF_HVM,
    EMU_LAPIC, //
};
use crate::abi::hvm::params;
use crate::acpi;
use crate::error::{
    Context,
    DomainRef,
    Error,
    Result, //
};
use crate::kernel::Image;
use crate::start_info::StartInfo;
use crate::steps::Steps;
use crate::xen::{
    domctl,
    event_channel,
    hvm,
    memory,
    Hypervisor, //
};

use nix::errno::Errno;

/// The control domain: the other end of a guest's xenstore and console ports.
const CONTROL: u16 = 0;
/// The greatest port that a domain may have, as xl asks for.
const MAX_PORT: u32 = 1023;
/// The hypervisor's own choice for a table's length.
const DEFAULT_FRAMES: i32 = -1;
/// The greatest grant table version.
const GRANT_VERSION: u32 = 1;
/// Memory that a domain may have beyond its RAM, in KiB: special pages and ACPI tables.
const SLACK_KIB: u64 = 1024;
/// Number of entries in a page table of 32-bit paging.
const IDENT_ENTRIES: u32 = 1024;
/// Page table entry: present, writable, user, accessed, dirty, 4 MiB.
const IDENT_ENTRY: u32 = 0xe7;

/// What a domain is to be.
#[derive(Debug)]
pub(crate) struct Config {
    /// Its name.
    pub(crate) name: String,
    /// Its handle.
    pub(crate) uuid: Uuid,
    /// Number of vCPUs.
    pub(crate) vcpus: u32,
    /// RAM in MiB.
    pub(crate) memory_mib: u64,
    /// Kernel command line.
    pub(crate) cmdline: String,
    /// The kernel.
    pub(crate) kernel: Image,
    /// The initial RAM file system.
    pub(crate) initrd: Option<Vec<u8>>,
}

/// A domain that is destroyed when it is dropped, unless it is released.
pub(crate) struct Domain<'a> {
    hv: &'a dyn Hypervisor,
    /// Number and name.
    pub(crate) name: DomainRef,
    /// The port of the guest that its console notifies.
    pub(crate) console_port: u32,
    armed: bool,
}

impl Domain<'_> {
    /// Returns the domain's number.
    pub(crate) const fn domid(&self) -> u16 {
        self.name.domid
    }

    /// Lets the domain live on.
    pub(crate) fn release(mut self) {
        self.armed = false;
    }

    /// Destroys the domain now, which tells of a failure, as dropping cannot.
    ///
    /// # Errors
    ///
    /// Fails as the hypercall does; that the domain is gone already is no failure.
    pub(crate) fn destroy(mut self) -> Result {
        self.armed = false;
        match domctl::destroy(self.hv, self.domid()) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(Error::from(errno)
                .step("destroy the domain")
                .domain(&self.name)),
        }
    }
}

impl Drop for Domain<'_> {
    fn drop(&mut self) {
        if self.armed {
            // On the way out of a failure: the failure is what the person is told about.
            let _ = domctl::destroy(self.hv, self.domid());
        }
    }
}

/// Returns the memory to set aside for a domain's page tables, in bytes: xl's rule.
const fn paging_memory(vcpus: u32, memory_mib: u64) -> u64 {
    ((vcpus as u64) << 20) + memory_mib * PAGE
}

/// What a domain's memory is to hold, worked out before anything is created.
pub(crate) struct Plan {
    layout: Layout,
    acpi: acpi::Tables,
}

impl Plan {
    /// Plans the memory of the domain that `config` describes.
    ///
    /// # Errors
    ///
    /// Fails if not everything fits.
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let acpi = acpi::build(ACPI_BASE, config.vcpus);
        let layout = Layout::plan(
            &config.kernel,
            &Needs {
                memory_mib: config.memory_mib,
                initrd: config.initrd.as_ref().map(|initrd| initrd.len() as u64),
                cmdline: config.cmdline.len() as u64,
                acpi: acpi.bytes.len() as u64,
            },
        )
        .step("plan the guest's memory")?;
        Ok(Self { layout, acpi })
    }
}

impl<'a> Domain<'a> {
    /// Creates the domain that `config` describes, with nothing in it.
    ///
    /// # Errors
    ///
    /// Fails if the hypervisor refuses.
    pub(crate) fn create(
        hv: &'a dyn Hypervisor,
        config: &Config,
        steps: &mut Steps<'_>,
    ) -> Result<Self> {
        let domid = steps.run("create domain", |_| create(hv, config))?;
        Ok(Self {
            hv,
            name: DomainRef {
                domid,
                name: Some(config.name.clone()),
            },
            console_port: 0,
            armed: true,
        })
    }

    /// Gives the domain everything that it starts with, and leaves it paused.
    ///
    /// # Errors
    ///
    /// Fails with the step that failed.
    pub(crate) fn fill(&mut self, config: &Config, plan: &Plan, steps: &mut Steps<'_>) -> Result {
        fill(self, config, &plan.layout, &plan.acpi, steps).map_err(|err| err.domain(&self.name))
    }
}

/// Creates the domain, without anything in it.
fn create(hv: &dyn Hypervisor, config: &Config) -> Result<u16> {
    let mut request = CreateDomain::new_zeroed();
    request.handle = config.uuid.into_bytes();
    request.flags = CDF_HVM | CDF_HAP;
    request.max_vcpus = config.vcpus;
    request.max_evtchn_port = MAX_PORT;
    request.max_grant_frames = DEFAULT_FRAMES;
    request.max_maptrack_frames = DEFAULT_FRAMES;
    request.grant_opts = GRANT_VERSION;
    request.arch.emulation_flags = EMU_LAPIC;
    domctl::create(hv, &request)
        .hint_on(
            Errno::EACCES,
            "this oxen and the hypervisor speak different versions: rebuild both",
        )
        .hint_on(Errno::EPERM, "run this as root")
        .hint_on(
            Errno::EINVAL,
            "use fewer --vcpus; `oxen dmesg` may say what it does not like",
        )
        .hint_on(
            Errno::EOPNOTSUPP,
            "`oxen info` lists the kinds of guest that it runs",
        )
        .hint_on(
            Errno::ENOMEM,
            "free memory on the host, or destroy a domain",
        )
}

/// Gives the domain everything that it starts with.
fn fill(
    domain: &mut Domain<'_>,
    config: &Config,
    layout: &Layout,
    acpi: &acpi::Tables,
    steps: &mut Steps<'_>,
) -> Result {
    let hv = domain.hv;
    let domid = domain.domid();
    let guest = GuestMemory { hv, domid };

    steps.run(&format!("create {} vCPUs", config.vcpus), |_| {
        domctl::max_vcpus(hv, domid, config.vcpus)
            .hint_on(Errno::EINVAL, "use fewer --vcpus")
            .hint_on(
                Errno::ENOMEM,
                "use fewer --vcpus, or free memory on the host",
            )
    })?;
    steps.run("limit memory", |_| {
        Ok(domctl::max_mem(
            hv,
            domid,
            (config.memory_mib << 10) + SLACK_KIB,
        )?)
    })?;
    domain.console_port = steps.run("allocate event channels", |_| {
        // The xenstore port comes first, as with xl.
        event_channel::alloc_unbound(hv, domid, CONTROL)?;
        Ok(event_channel::alloc_unbound(hv, domid, CONTROL)?)
    })?;
    steps.run("set timer mode", |_| {
        let mode = params::TIMER_MODE_NO_DELAY_FOR_MISSED_TICKS;
        hvm::set_param(hv, domid, params::TIMER_MODE, mode)?;
        Ok(domctl::default_tsc(hv, domid)?)
    })?;
    steps.run("reserve paging memory", |_| {
        domctl::set_paging_mempool(hv, domid, paging_memory(config.vcpus, config.memory_mib))
            .hint_on(
                Errno::ENOMEM,
                "use a smaller --memory, or free memory on the host",
            )
    })?;
    steps.run(&format!("populate {} MiB", config.memory_mib), |steps| {
        for extents in layout.extents() {
            populate(guest, extents, &mut || steps.check()).hint_on(
                Errno::ENOMEM,
                "use a smaller --memory, or free memory on the host",
            )?;
        }
        Ok(())
    })?;
    steps.run("set memory map", |_| {
        Ok(memory::set_map(hv, domid, &layout.memory)?)
    })?;
    steps.run("load kernel", |steps| {
        for segment in &config.kernel.segments {
            steps.check()?;
            let bytes = config
                .kernel
                .bytes
                .get(segment.file.clone())
                .unwrap_or_default();
            guest.load(segment.paddr, bytes, segment.memsz)?;
        }
        Ok(())
    })?;
    if let (Some((paddr, size)), Some(initrd)) = (layout.initrd, &config.initrd) {
        steps.run("load initrd", |_| guest.load(paddr, initrd, size))?;
    }
    steps.run("load ACPI tables and start_info", |steps| {
        let extents = Extents {
            first: ACPI_BASE / PAGE,
            order: 0,
            count: layout.acpi_pages,
        };
        populate(guest, extents, &mut || steps.check())?;
        // To the end of the last page: nothing of it is left to chance.
        guest.load(ACPI_BASE, &acpi.bytes, layout.acpi_pages * PAGE)?;
        let info = StartInfo {
            cmdline: &config.cmdline,
            initrd: layout.initrd,
            rsdp: acpi.rsdp,
            memory: &layout.memory,
        };
        let bytes = info.to_bytes(layout.start_info);
        guest.load(layout.start_info, &bytes, bytes.len() as u64)
    })?;
    steps.run("set up special pages", |steps| {
        special_pages(guest, domain.console_port, steps)
    })?;
    steps.run("set up vCPU state", |_| {
        let state = domctl::hvm_context(hv, domid)?;
        for vcpu in 0..config.vcpus {
            let vcpu = u16::try_from(vcpu).map_err(|_| Errno::ERANGE)?;
            domctl::set_hvm_context(hv, domid, &context::write_back(&state, vcpu)?)?;
        }
        // Loading state takes all vCPUs down but those with a record of their registers: this comes
        // last.
        let boot = context::boot(&state, config.kernel.entry, layout.start_info)?;
        Ok(domctl::set_hvm_context(hv, domid, &boot)?)
    })
}

/// Populates the special pages and tells the hypervisor where each is.
fn special_pages(guest: GuestMemory<'_>, console_port: u32, steps: &mut Steps<'_>) -> Result {
    let GuestMemory { hv, domid } = guest;
    let extents = Extents {
        first: SPECIAL_FIRST,
        order: 0,
        count: SPECIAL_COUNT,
    };
    populate(guest, extents, &mut || steps.check())?;
    guest.load(SPECIAL_FIRST * PAGE, &[], SPECIAL_COUNT * PAGE)?;
    let pages = [
        (params::BUFIOREQ_PFN, Special::BufIoreq),
        (params::IOREQ_PFN, Special::Ioreq),
        (params::CONSOLE_PFN, Special::Console),
        (params::PAGING_RING_PFN, Special::Paging),
        (params::MONITOR_RING_PFN, Special::Monitor),
        (params::SHARING_RING_PFN, Special::Sharing),
    ];
    for (param, page) in pages {
        hvm::set_param(hv, domid, param, page.gfn())?;
    }
    // For processors that cannot run a guest without paging: 4 GiB, each address at itself.
    let ident: Vec<u8> = (0..IDENT_ENTRIES)
        .flat_map(|entry| ((entry << 22) | IDENT_ENTRY).to_le_bytes())
        .collect();
    let at = Special::IdentPt.gfn() * PAGE;
    guest.load(at, &ident, ident.len() as u64)?;
    hvm::set_param(hv, domid, params::IDENT_PT, at)?;
    Ok(hvm::set_param(
        hv,
        domid,
        params::CONSOLE_EVTCHN,
        console_port.into(),
    )?)
}

#[cfg(test)]
mod tests;
