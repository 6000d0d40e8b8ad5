// SPDX-License-Identifier: GPL-2.0-only

//! `oxen info`.

use std::fmt::Write;

use nix::errno::Errno;
use serde::Serialize;

use super::{
    print,
    print_json,
    table,
    OK, //
};
use crate::abi::sysctl::{
    PHYSCAP_GNTTAB_V1,
    PHYSCAP_GNTTAB_V2,
    PHYSCAP_HAP,
    PHYSCAP_HVM,
    PHYSCAP_PV, //
};
use crate::cli::Info;
use crate::domain::layout::PAGE;
use crate::domain::registry::Registry;
use crate::domain::state::{
    Summary,
    Vcpu, //
};
use crate::error::{
    Context,
    Result, //
};
use crate::xen::privcmd::Privcmd;
use crate::xen::version::{
    self,
    Version, //
};
use crate::xen::{
    domctl,
    sysctl,
    Hypervisor, //
};

/// The host.
#[derive(Debug, Serialize)]
struct Host {
    version: Version,
    cpus: u32,
    threads_per_core: u32,
    cores_per_socket: u32,
    nodes: u32,
    cpu_khz: u32,
    total_memory_kib: u64,
    free_memory_kib: u64,
    /// What kinds of guest there can be.
    features: Vec<&'static str>,
}

/// A domain with its vCPUs.
#[derive(Debug, Serialize)]
struct Domain {
    #[serde(flatten)]
    summary: Summary,
    vcpus_state: Vec<Vcpu>,
}

/// Asks about the host.
fn host(hv: &dyn Hypervisor) -> Result<Host> {
    let info = sysctl::physinfo(hv).step("ask for the host's resources")?;
    let names = [
        (PHYSCAP_HVM, "hvm"),
        (PHYSCAP_PV, "pv"),
        (PHYSCAP_HAP, "hap"),
        (PHYSCAP_GNTTAB_V1, "gnttab-v1"),
        (PHYSCAP_GNTTAB_V2, "gnttab-v2"),
    ];
    let kib = |pages: u64| pages.saturating_mul(PAGE / 1024);
    Ok(Host {
        version: version::get(hv).step("ask for the hypervisor's version")?,
        cpus: info.nr_cpus,
        threads_per_core: info.threads_per_core,
        cores_per_socket: info.cores_per_socket,
        nodes: info.nr_nodes,
        cpu_khz: info.cpu_khz,
        total_memory_kib: kib(info.total_pages),
        free_memory_kib: kib(info.free_pages),
        features: names
            .into_iter()
            .filter(|(bit, _)| info.capabilities & bit != 0)
            .map(|(_, name)| name)
            .collect(),
    })
}

/// Asks about a domain.
fn domain(hv: &dyn Hypervisor, registry: &Registry, wanted: &str) -> Result<Domain> {
    let (reference, _) = registry.resolve(hv, wanted)?;
    let info = domctl::info(hv, reference.domid)
        .step("look at the domain")
        .map_err(|err| err.domain(&reference))?;
    let summary = Summary::new(&info, reference.name.clone());
    let mut vcpus = Vec::new();
    for vcpu in 0..summary.vcpus {
        match domctl::vcpu_info(hv, reference.domid, vcpu) {
            Ok(info) => vcpus.push(Vcpu::from(info)),
            // A number that no vCPU has.
            Err(Errno::ESRCH) => {}
            Err(errno) => {
                return Err(errno)
                    .step(format!("look at vCPU {vcpu}"))
                    .map_err(|err| err.domain(&reference));
            }
        }
    }
    Ok(Domain {
        summary,
        vcpus_state: vcpus,
    })
}

/// Lays out pairs for a person.
fn pairs(pairs: &[(&str, String)]) -> String {
    pairs.iter().fold(String::new(), |mut out, (name, value)| {
        // Writing into a string cannot fail.
        let _ = writeln!(out, "{name:<12} {value}");
        out
    })
}

impl Host {
    fn text(&self) -> String {
        let version = &self.version;
        pairs(&[
            (
                "version",
                format!("{}.{}{}", version.major, version.minor, version.extra),
            ),
            ("changeset", version.changeset.clone()),
            (
                "build id",
                version.build_id.clone().unwrap_or_else(|| "-".into()),
            ),
            ("compiler", version.compiler.clone()),
            ("guests", version.capabilities.clone()),
            ("features", self.features.join(" ")),
            (
                "cpus",
                format!("{} at {} MHz", self.cpus, self.cpu_khz / 1000),
            ),
            (
                "memory",
                format!(
                    "{} MiB, {} MiB free",
                    self.total_memory_kib >> 10,
                    self.free_memory_kib >> 10
                ),
            ),
        ])
    }
}

impl Domain {
    fn text(&self) -> String {
        let domain = &self.summary;
        let mut out = pairs(&[
            ("domain", domain.domid.to_string()),
            ("name", domain.name.clone().unwrap_or_else(|| "-".into())),
            ("uuid", domain.uuid.to_string()),
            ("state", domain.state.text()),
            ("memory", format!("{} MiB", domain.memory_kib >> 10)),
            (
                "vcpus",
                format!("{} of {} online", domain.vcpus_online, domain.vcpus),
            ),
            (
                "cpu time",
                format!("{:.1} s", domain.cpu_time_ns as f64 / 1e9),
            ),
        ]);
        let mut rows = vec![["VCPU", "STATE", "CPU", "TIME(S)"]
            .map(String::from)
            .to_vec()];
        rows.extend(self.vcpus_state.iter().map(|vcpu| {
            vec![
                vcpu.vcpu.to_string(),
                vcpu.text().into(),
                vcpu.cpu.to_string(),
                format!("{:.1}", vcpu.cpu_time_ns as f64 / 1e9),
            ]
        }));
        out.push('\n');
        out + &table(&rows, &[0, 2, 3])
    }
}

/// Describes the host or a domain.
///
/// # Errors
///
/// Fails if the hypervisor cannot be asked, or there is no such domain.
pub(crate) fn info(args: &Info) -> Result<u8> {
    let hv = Privcmd::open()?;
    match &args.domain {
        None => {
            let host = host(&hv)?;
            if args.json.json {
                print_json(&host)?;
            } else {
                print(&host.text())?;
            }
        }
        Some(wanted) => {
            let domain = domain(&hv, &Registry::system(), wanted)?;
            if args.json.json {
                print_json(&domain)?;
            } else {
                print(&domain.text())?;
            }
        }
    }
    Ok(OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xen::mock::Mock;
    use uuid::Uuid;

    #[test]
    fn describes_a_domain_and_each_vcpu() {
        let hv = Mock::new();
        let domid = hv.add_domain(Uuid::nil());
        hv.domains.borrow_mut()[0].max_vcpu_id = 2;
        let directory = tempfile::tempdir().unwrap();
        let registry = Registry::at(directory.path());
        let domain = domain(&hv, &registry, &domid.to_string()).unwrap();
        assert_eq!(domain.vcpus_state.len(), 3);
        let json = serde_json::to_value(&domain).unwrap();
        assert_eq!(json["domid"], domid);
        assert_eq!(json["vcpus_state"][2]["vcpu"], 2);
        assert_eq!(json["vcpus_state"][2]["online"], true);
        assert!(
            domain
                .text()
                .contains("VCPU  STATE     CPU  TIME(S)\n   0  runnable"),
            "{}",
            domain.text()
        );
    }
}
