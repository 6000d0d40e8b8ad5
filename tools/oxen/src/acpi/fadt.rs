// SPDX-License-Identifier: GPL-2.0-only

//! FADT: says that there is no fixed hardware, and where the DSDT is.
//!
//! xl's tables for a PVH guest name power-management ports that nothing answers. Ours say what is
//! true, with the hardware-reduced flag of ACPI 5.0: Linux then touches neither these ports nor the
//! PC's interrupt controllers and timers.

use super::table;

/// Length of the table in ACPI 5.0, in bytes.
const LENGTH: usize = 268;

/// `IAPC_BOOT_ARCH`: VGA must not be touched.
const NO_VGA: u16 = 1 << 2;
/// `IAPC_BOOT_ARCH`: the operating system must not control active-state power management of PCI.
const NO_ASPM: u16 = 1 << 4;
/// `IAPC_BOOT_ARCH`: there is no CMOS clock.
const NO_CMOS_RTC: u16 = 1 << 5;

/// Flags: WBINVD works as on real processors.
const WBINVD: u32 = 1 << 0;
/// Flags: every processor can halt.
const PROC_C1: u32 = 1 << 2;
/// Flags: there is no power button of the fixed-hardware kind.
const NO_POWER_BUTTON: u32 = 1 << 4;
/// Flags: there is no sleep button of the fixed-hardware kind.
const NO_SLEEP_BUTTON: u32 = 1 << 5;
/// Flags: neither screen nor keyboard.
const HEADLESS: u32 = 1 << 12;
/// Flags: hardware-reduced.
const HW_REDUCED: u32 = 1 << 20;

/// Makes the FADT that points to the DSDT at `dsdt` (guest-physical, below 4 GiB).
pub(super) fn build(dsdt: u64) -> Vec<u8> {
    // Offsets are those of the specification, from the start of the table.
    let mut fadt = vec![0; LENGTH - table::HEADER];
    let mut put = |at: usize, bytes: &[u8]| {
        for (to, from) in fadt.iter_mut().skip(at - table::HEADER).zip(bytes) {
            *to = *from;
        }
    };
    // The tables lie below 4 GiB: the old field can hold the address as well, and both have to
    // agree.
    put(40, &(dsdt as u32).to_le_bytes());
    put(109, &(NO_VGA | NO_ASPM | NO_CMOS_RTC).to_le_bytes());
    let flags = WBINVD | PROC_C1 | NO_POWER_BUTTON | NO_SLEEP_BUTTON | HEADLESS | HW_REDUCED;
    put(112, &flags.to_le_bytes());
    put(140, &dsdt.to_le_bytes());
    table::finish(*b"FACP", 5, &fadt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_no_hardware() {
        let fadt = build(0xfc00_1230);
        assert_eq!(fadt.len(), LENGTH);
        let flags = u32::from_le_bytes(fadt[112..116].try_into().unwrap());
        assert_ne!(flags & HW_REDUCED, 0);
        // SMI port, PM blocks and GPE blocks: no port is named, in the old and in the new fields.
        assert!(fadt[48..88].iter().all(|byte| *byte == 0));
        assert!(fadt[148..].iter().all(|byte| *byte == 0));
        let boot = u16::from_le_bytes(fadt[109..111].try_into().unwrap());
        // Neither devices of the ISA bus (bit 0) nor an 8042 (bit 1).
        assert_eq!(boot & 3, 0);
        assert_ne!(boot & NO_VGA, 0);
        assert_ne!(boot & NO_CMOS_RTC, 0);
    }
}
