// SPDX-License-Identifier: GPL-2.0-only

//! The ACPI tables of a PVH guest: RSDP, XSDT, FADT, MADT and DSDT.
//!
//! The machine they describe has processors with local APICs and nothing else. It is a
//! hardware-reduced one in ACPI's sense: no fixed-hardware registers, no interrupt controller of
//! the PC, no VGA, no 8042, no CMOS clock, no power button, and no `\_S5`, so that a guest that
//! wants to power off halts its processors, which the hypervisor understands.
//!
//! Source: ACPI specification 5.0. Every byte that a guest gets is written by us (XSA-464, TB-1):
//! the tables are made in a zeroed buffer.

pub(crate) mod aml;
pub(crate) mod fadt;
pub(crate) mod madt;
pub(crate) mod rsdp;
pub(crate) mod table;

/// Alignment of each table, in bytes.
const ALIGN: usize = 16;

/// The tables as they lie in guest memory.
#[derive(Debug)]
pub(crate) struct Tables {
    /// All tables, to be copied to the base address that they were made for.
    pub(crate) bytes: Vec<u8>,
    /// Guest-physical address of the RSDP.
    pub(crate) rsdp: u64,
}

/// Appends `table` at the next aligned place and returns its guest-physical address.
fn place(bytes: &mut Vec<u8>, base: u64, table: &[u8]) -> u64 {
    bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
    let at = base + bytes.len() as u64;
    bytes.extend_from_slice(table);
    at
}

/// Makes the tables of a guest with `vcpus` vCPUs, to lie at `base` (guest-physical, 16-byte
/// aligned).
pub(crate) fn build(base: u64, vcpus: u32) -> Tables {
    // The RSDP comes first and is filled in last, when it is known where the XSDT is.
    let mut bytes = vec![0; rsdp::LENGTH];
    let dsdt = place(&mut bytes, base, &aml::dsdt(vcpus));
    let fadt = place(&mut bytes, base, &fadt::build(dsdt));
    let madt = place(&mut bytes, base, &madt::build(vcpus));
    let xsdt = place(&mut bytes, base, &rsdp::xsdt(&[fadt, madt]));
    for (to, from) in bytes.iter_mut().zip(rsdp::build(xsdt)) {
        *to = from;
    }
    Tables { bytes, rsdp: base }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::Command;

    /// Where the tests place the tables.
    const BASE: u64 = 0xfc00_0000;

    fn u32_at(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    fn u64_at(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
    }

    /// Returns the table at guest-physical `at`, checked as a guest would.
    fn table(tables: &Tables, at: u64) -> &[u8] {
        let from = usize::try_from(at - BASE).unwrap();
        let length = u32_at(&tables.bytes, from + 4) as usize;
        let table = &tables.bytes[from..from + length];
        assert_eq!(
            table.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)),
            0,
            "checksum"
        );
        table
    }

    /// Returns every table of the guest, found as a guest finds them.
    fn walk(tables: &Tables) -> Vec<Vec<u8>> {
        let rsdp = &tables.bytes[usize::try_from(tables.rsdp - BASE).unwrap()..][..36];
        assert_eq!(&rsdp[..8], b"RSD PTR ");
        for covered in [20, 36] {
            assert_eq!(
                rsdp[..covered]
                    .iter()
                    .fold(0_u8, |sum, byte| sum.wrapping_add(*byte)),
                0
            );
        }
        let xsdt = table(tables, u64_at(rsdp, 24));
        assert_eq!(&xsdt[..4], b"XSDT");
        let mut found = Vec::new();
        for entry in xsdt[36..].chunks(8) {
            let entry = table(tables, u64::from_le_bytes(entry.try_into().unwrap()));
            if &entry[..4] == b"FACP" {
                assert_eq!(u64::from(u32_at(entry, 40)), u64_at(entry, 140));
                found.push(table(tables, u64_at(entry, 140)).to_vec());
            }
            found.push(entry.to_vec());
        }
        found
    }

    #[test]
    fn a_guest_finds_every_table_with_a_right_checksum() {
        for vcpus in [1, 2, 64, 128, 129, 300] {
            let tables = build(BASE, vcpus);
            let names: Vec<_> = walk(&tables)
                .iter()
                .map(|table| table[..4].to_vec())
                .collect();
            assert_eq!(names, [b"DSDT", b"FACP", b"APIC"]);
        }
    }

    /// TB-1: the same tables come out whatever the memory held before, so no byte is left to
    /// chance.
    #[test]
    fn tb_1_tables_depend_on_nothing_but_their_arguments() {
        assert_eq!(build(BASE, 7).bytes, build(BASE, 7).bytes);
    }

    /// Intel's compiler, where it is installed, must take each table apart and find no fault.
    #[test]
    fn iasl_disassembles_every_table() {
        let iasl = std::env::var_os("OXEN_TEST_IASL").unwrap_or_else(|| "iasl".into());
        if Command::new(&iasl).arg("-v").output().is_err() {
            eprintln!("skipped: no iasl (package acpica-tools)");
            return;
        }
        for vcpus in [1, 3, 200] {
            let dir = tempfile::tempdir().unwrap();
            for table in walk(&build(BASE, vcpus)) {
                let name = String::from_utf8(table[..4].to_vec()).unwrap();
                let aml = dir.path().join(format!("{name}.aml"));
                std::fs::File::create(&aml)
                    .unwrap()
                    .write_all(&table)
                    .unwrap();
                let out = Command::new(&iasl).arg("-d").arg(&aml).output().unwrap();
                let text = String::from_utf8_lossy(&out.stderr).into_owned()
                    + &String::from_utf8_lossy(&out.stdout);
                assert!(out.status.success(), "{text}");
                for bad in ["Error", "Warning", "Invalid", "Incorrect"] {
                    assert!(!text.contains(bad), "{name}: {text}");
                }
                let dsl = std::fs::read_to_string(dir.path().join(format!("{name}.dsl"))).unwrap();
                for bad in ["Error", "Warning", "Incorrect checksum", "ZZZZ", "Unknown"] {
                    assert!(!dsl.contains(bad), "{name}: {dsl}");
                }
                if name == "DSDT" {
                    assert_eq!(dsl.matches("\"ACPI0007\"").count(), vcpus as usize, "{dsl}");
                    // Compiling it again gives the same code.
                    let out = Command::new(&iasl)
                        .args(["-oa", "-p"])
                        .arg(dir.path().join("again"))
                        .arg(dir.path().join("DSDT.dsl"))
                        .output()
                        .unwrap();
                    assert!(
                        out.status.success(),
                        "{}",
                        String::from_utf8_lossy(&out.stdout)
                    );
                }
            }
        }
    }
}
