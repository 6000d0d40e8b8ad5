// SPDX-License-Identifier: GPL-2.0-only

//! `oxen list`.

use uuid::Uuid;

use super::{
    print,
    print_json,
    table,
    OK, //
};
use crate::cli::Json;
use crate::domain::registry::Registry;
use crate::domain::state::Summary;
use crate::error::{
    Context,
    Result, //
};
use crate::xen::privcmd::Privcmd;
use crate::xen::{
    sysctl,
    Hypervisor, //
};

/// Returns every domain with its name.
fn summaries(hv: &dyn Hypervisor, registry: &Registry) -> Result<Vec<Summary>> {
    let domains = sysctl::domains(hv).step("list domains")?;
    let summary = |info| {
        Summary::new(
            info,
            registry.name(info.domain, Uuid::from_bytes(info.handle)),
        )
    };
    Ok(domains.iter().map(summary).collect())
}

/// Lays out the list for a person.
fn text(domains: &[Summary]) -> String {
    let heading = ["ID", "NAME", "MIB", "VCPUS", "STATE", "TIME(S)"];
    let mut rows = vec![heading.map(String::from).to_vec()];
    rows.extend(domains.iter().map(|domain| {
        vec![
            domain.domid.to_string(),
            domain.name.clone().unwrap_or_else(|| "-".into()),
            (domain.memory_kib >> 10).to_string(),
            domain.vcpus_online.to_string(),
            domain.state.text(),
            format!("{:.1}", domain.cpu_time_ns as f64 / 1e9),
        ]
    }));
    table(&rows, &[0, 2, 3, 5])
}

/// Lists the domains.
///
/// # Errors
///
/// Fails if the hypervisor cannot be asked.
pub(crate) fn list(json: Json) -> Result<u8> {
    let domains = summaries(&Privcmd::open()?, &Registry::system())?;
    if json.json {
        print_json(&domains)?;
    } else {
        print(&text(&domains))?;
    }
    Ok(OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xen::mock::Mock;

    #[test]
    fn lists_numbers_names_and_states() {
        let hv = Mock::new();
        let directory = tempfile::tempdir().unwrap();
        hv.add_domain(Uuid::nil());
        {
            let mut domains = hv.domains.borrow_mut();
            let info = domains.first_mut().unwrap();
            info.flags = 4 | (3 << 16);
            info.tot_pages = 64 * 256;
            info.nr_online_vcpus = 2;
            info.max_vcpu_id = 3;
            info.cpu_time = 1_260_000_000;
        }
        let domains = summaries(&hv, &Registry::at(directory.path())).unwrap();
        assert_eq!(
            text(&domains),
            "ID  NAME  MIB  VCPUS  STATE    TIME(S)\n 8  -      64      2  crashed      1.3\n"
        );
        let json = serde_json::to_value(&domains).unwrap();
        assert_eq!(json[0]["domid"], 8);
        assert_eq!(json[0]["state"]["shutdown"], "crash");
        assert_eq!(json[0]["memory_kib"], 65536);
        assert_eq!(json[0]["vcpus"], 4);
        assert_eq!(json[0]["uuid"], "00000000-0000-0000-0000-000000000000");
    }

    #[test]
    fn asks_until_the_hypervisor_has_no_more() {
        let hv = Mock::new();
        for _ in 0..600 {
            hv.add_domain(Uuid::new_v4());
        }
        let directory = tempfile::tempdir().unwrap();
        let domains = summaries(&hv, &Registry::at(directory.path())).unwrap();
        let numbers: Vec<u16> = domains.iter().map(|domain| domain.domid).collect();
        assert_eq!(numbers, (8..608).collect::<Vec<_>>());
    }
}
