// SPDX-License-Identifier: GPL-2.0-only

//! The root of the tables: RSDP (what start_info points to) and XSDT (the list of tables).

use super::table::{
    self,
    checksum, //
};

/// Length of an RSDP of revision 2, in bytes.
pub(super) const LENGTH: usize = 36;
/// What the first checksum covers: the structure as ACPI 1.0 had it.
const LENGTH_V1: usize = 20;

/// Makes the RSDP that points to the XSDT at `xsdt` (guest-physical).
pub(super) fn build(xsdt: u64) -> [u8; LENGTH] {
    let mut rsdp = [0; LENGTH];
    let mut put = |at: usize, bytes: &[u8]| {
        for (to, from) in rsdp.iter_mut().skip(at).zip(bytes) {
            *to = *from;
        }
    };
    put(0, b"RSD PTR ");
    put(9, &table::OEM_ID);
    put(15, &[2]);
    // The RSDT's address (offset 16) stays 0: whoever knows revision 2 uses the XSDT.
    put(20, &(LENGTH as u32).to_le_bytes());
    put(24, &xsdt.to_le_bytes());
    let sum = rsdp
        .first_chunk::<LENGTH_V1>()
        .map_or(0, |part| checksum(part));
    if let Some(field) = rsdp.get_mut(8) {
        *field = sum;
    }
    let sum = checksum(&rsdp);
    if let Some(field) = rsdp.get_mut(32) {
        *field = sum;
    }
    rsdp
}

/// Makes the XSDT that lists the tables at `entries` (guest-physical).
pub(super) fn xsdt(entries: &[u64]) -> Vec<u8> {
    let body: Vec<u8> = entries
        .iter()
        .flat_map(|entry| entry.to_le_bytes())
        .collect();
    table::finish(*b"XSDT", 1, &body)
}
