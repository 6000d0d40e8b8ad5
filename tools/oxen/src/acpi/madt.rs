// SPDX-License-Identifier: GPL-2.0-only

//! MADT: one local APIC for a vCPU, and no other interrupt controller.

use super::table;

/// Guest-physical address of every local APIC's registers.
const LAPIC_ADDRESS: u32 = 0xfee0_0000;
/// The highest APIC id that fits the entry for xAPICs: 255 addresses all of them.
const LAPIC_MAX_ID: u32 = 254;
/// The processor can be used.
const ENABLED: u32 = 1;

/// Returns a vCPU's APIC id. Xen gives every second one; its CPUID leaves say the same.
pub(super) const fn apic_id(vcpu: u32) -> u32 {
    vcpu * 2
}

/// Makes the MADT of a guest with `vcpus` vCPUs.
pub(super) fn build(vcpus: u32) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend_from_slice(&LAPIC_ADDRESS.to_le_bytes());
    // Flags: 0, there are no 8259s.
    body.extend_from_slice(&0_u32.to_le_bytes());
    for vcpu in 0..vcpus {
        let id = apic_id(vcpu);
        match (u8::try_from(vcpu), u8::try_from(id)) {
            (Ok(uid), Ok(narrow)) if id <= LAPIC_MAX_ID => {
                body.extend_from_slice(&[0, 8, uid, narrow]);
                body.extend_from_slice(&ENABLED.to_le_bytes());
            }
            _ => {
                body.extend_from_slice(&[9, 16, 0, 0]);
                for field in [id, ENABLED, vcpu] {
                    body.extend_from_slice(&field.to_le_bytes());
                }
            }
        }
    }
    table::finish(*b"APIC", 3, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vcpu_has_its_apic_id_and_uid() {
        let madt = build(200);
        assert_eq!(
            u32::from_le_bytes(madt[36..40].try_into().unwrap()),
            0xfee0_0000
        );
        let mut rest = &madt[44..];
        let mut seen = Vec::new();
        while let [kind, length, ..] = *rest {
            let entry = &rest[..usize::from(length)];
            let word = |at: usize| u32::from_le_bytes(entry[at..at + 4].try_into().unwrap());
            match kind {
                0 => {
                    assert_eq!((length, word(4)), (8, 1));
                    seen.push((u32::from(entry[3]), u32::from(entry[2])));
                }
                9 => {
                    assert_eq!((length, word(8)), (16, 1));
                    // The wide form is only for what the narrow one cannot hold.
                    assert!(word(4) > 254);
                    seen.push((word(4), word(12)));
                }
                kind => panic!("entry of type {kind}"),
            }
            rest = &rest[usize::from(length)..];
        }
        assert!(rest.is_empty());
        assert_eq!(
            seen,
            (0..200).map(|vcpu| (vcpu * 2, vcpu)).collect::<Vec<_>>()
        );
    }
}
