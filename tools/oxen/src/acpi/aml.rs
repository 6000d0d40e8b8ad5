// SPDX-License-Identifier: GPL-2.0-only

//! DSDT: one processor device for a vCPU, assembled by hand.
//!
//! The names and numbers are those of the specification's chapter on AML.

use super::table;

const ZERO_OP: u8 = 0x00;
const ONE_OP: u8 = 0x01;
const NAME_OP: u8 = 0x08;
const BYTE_PREFIX: u8 = 0x0a;
const WORD_PREFIX: u8 = 0x0b;
const DWORD_PREFIX: u8 = 0x0c;
const STRING_PREFIX: u8 = 0x0d;
const SCOPE_OP: u8 = 0x10;
const EXT_OP_PREFIX: u8 = 0x5b;
const DEVICE_OP: u8 = 0x82;
/// The id of a processor device, whose `_UID` is the one in the MADT.
const PROCESSOR_HID: &[u8] = b"ACPI0007";

/// Puts the length of a package in front of `body`. The length counts its own bytes.
fn package(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 4);
    // One byte holds 6 bits; otherwise the first holds 4, and how many of 8 bits follow.
    if body.len() + 1 < 1 << 6 {
        out.push((body.len() + 1) as u8);
    } else {
        let following: usize = match body.len() {
            len if len + 2 < 1 << 12 => 1,
            len if len + 3 < 1 << 20 => 2,
            _ => 3,
        };
        let length = body.len() + 1 + following;
        out.push(((following as u8) << 6) | (length & 0xf) as u8);
        for byte in 0..following {
            out.push((length >> (4 + 8 * byte)) as u8);
        }
    }
    out.extend_from_slice(body);
    out
}

/// Encodes an integer in as few bytes as it takes.
fn integer(value: u32) -> Vec<u8> {
    match value {
        0 => vec![ZERO_OP],
        1 => vec![ONE_OP],
        2..=0xff => vec![BYTE_PREFIX, value as u8],
        0x100..=0xffff => [&[WORD_PREFIX][..], &(value as u16).to_le_bytes()].concat(),
        _ => [&[DWORD_PREFIX][..], &value.to_le_bytes()].concat(),
    }
}

/// Names `value`.
fn name(name: &[u8; 4], value: &[u8]) -> Vec<u8> {
    [&[NAME_OP][..], name, value].concat()
}

/// Declares the processor device of a vCPU.
fn processor(vcpu: u32) -> Vec<u8> {
    let hid = [&[STRING_PREFIX][..], PROCESSOR_HID, &[0]].concat();
    // A name is a letter and three more characters: enough for 4096 vCPUs.
    let body = [
        format!("C{:03X}", vcpu & 0xfff).into_bytes(),
        name(b"_HID", &hid),
        name(b"_UID", &integer(vcpu)),
    ]
    .concat();
    [&[EXT_OP_PREFIX, DEVICE_OP][..], &package(&body)].concat()
}

/// Makes the DSDT of a guest with `vcpus` vCPUs.
pub(super) fn dsdt(vcpus: u32) -> Vec<u8> {
    let mut body = b"\\_SB_".to_vec();
    for vcpu in 0..vcpus {
        body.extend_from_slice(&processor(vcpu));
    }
    table::finish(*b"DSDT", 2, &[&[SCOPE_OP][..], &package(&body)].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads a package's length as an interpreter does: (length, bytes of the length itself).
    fn read_package(code: &[u8]) -> (usize, usize) {
        let following = usize::from(code[0] >> 6);
        if following == 0 {
            return (usize::from(code[0]), 1);
        }
        let mut length = usize::from(code[0] & 0xf);
        for byte in 0..following {
            length |= usize::from(code[1 + byte]) << (4 + 8 * byte);
        }
        (length, 1 + following)
    }

    #[test]
    fn one_processor_is_these_bytes() {
        assert_eq!(
            processor(0x12),
            b"\x5b\x82\x1bC012\x08_HID\x0dACPI0007\0\x08_UID\x0a\x12"
        );
    }

    #[test]
    fn package_lengths_at_the_edges() {
        for size in [
            0, 1, 62, 63, 64, 4093, 4094, 4095, 1_048_572, 1_048_573, 1_048_574,
        ] {
            let code = package(&vec![0; size]);
            assert_eq!(read_package(&code).0, code.len(), "{size}");
        }
    }

    proptest! {
        #[test]
        fn the_dsdt_holds_every_processor_and_ends_where_it_says(vcpus in 1_u32..600) {
            let dsdt = dsdt(vcpus);
            let mut code = &dsdt[table::HEADER..];
            prop_assert_eq!(code[0], SCOPE_OP);
            let (length, width) = read_package(&code[1..]);
            prop_assert_eq!(1 + length, code.len());
            code = &code[1 + width..];
            prop_assert_eq!(&code[..5], b"\\_SB_");
            code = &code[5..];
            for vcpu in 0..vcpus {
                prop_assert_eq!(&code[..2], &[EXT_OP_PREFIX, DEVICE_OP]);
                let (length, width) = read_package(&code[2..]);
                let device = &code[2 + width..2 + length];
                let name = format!("C{vcpu:03X}");
                prop_assert_eq!(&device[..4], name.as_bytes());
                prop_assert!(device.ends_with(&integer(vcpu)));
                code = &code[2 + length..];
            }
            prop_assert!(code.is_empty());
        }
    }
}
