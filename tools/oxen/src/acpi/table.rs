// SPDX-License-Identifier: GPL-2.0-only

//! The header that every ACPI table but the RSDP begins with.

/// Length of the header in bytes.
pub(super) const HEADER: usize = 36;
/// Who made the tables, padded to the field's width.
pub(super) const OEM_ID: [u8; 6] = *b"OXEN  ";
/// Which tables these are.
const OEM_TABLE_ID: [u8; 8] = *b"OXENPVH ";
/// Version of the tables, for a person who reads a guest's log.
const OEM_REVISION: u32 = 1;
/// What made the tables.
const CREATOR_ID: [u8; 4] = *b"OXEN";

/// Returns the value that makes the sum of `bytes` zero when it is added to it.
pub(super) fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte))
}

/// Makes a whole table out of its signature, its revision and what follows the header.
pub(super) fn finish(signature: [u8; 4], revision: u8, body: &[u8]) -> Vec<u8> {
    // A table of 4 GiB cannot be: the longest grows by 50 bytes for a vCPU.
    let length = (HEADER + body.len()) as u32;
    let mut table = Vec::with_capacity(HEADER + body.len());
    table.extend_from_slice(&signature);
    table.extend_from_slice(&length.to_le_bytes());
    table.push(revision);
    table.push(0);
    table.extend_from_slice(&OEM_ID);
    table.extend_from_slice(&OEM_TABLE_ID);
    table.extend_from_slice(&OEM_REVISION.to_le_bytes());
    table.extend_from_slice(&CREATOR_ID);
    table.extend_from_slice(&OEM_REVISION.to_le_bytes());
    table.extend_from_slice(body);
    let sum = checksum(&table);
    if let Some(field) = table.get_mut(9) {
        *field = sum;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_bytes_of_a_finished_table_add_up_to_zero(
            body in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let table = finish(*b"TEST", 1, &body);
            prop_assert_eq!(table.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)), 0);
            prop_assert_eq!(table.len(), HEADER + body.len());
            prop_assert_eq!(&table[HEADER..], body.as_slice());
        }
    }
}
