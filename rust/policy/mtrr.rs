// SPDX-License-Identifier: GPL-2.0-only

//! Memory type range registers and the page attribute table.
//!
//! The guest's MTRRs are kept and given back. They do not decide how its memory is cached: under
//! nested paging the processor combines the guest's page attribute table with the nested tables and
//! the host's MTRRs (APM volume 2, 15.25.8), and no device's memory is mapped into guests here.
//!
//! Source: SDM volume 3 chapter 12.11 and 12.12; record `MTRR` of Xen's `arch-x86/hvm/save.h`.

use super::Gp;
use crate::abi::{
    errno::{
        Result as XenResult,
        EINVAL, //
    },
    hvm::save::HwMtrr, //
};

/// The number of variable ranges, as Xen has it.
const VARIABLE: usize = 8;
/// The number of registers of fixed ranges.
const FIXED: usize = 11;

/// `MTRRcap`: eight variable ranges, fixed ranges, write-combining; no system management ranges.
pub(crate) const CAP: u64 = 1 << 10 | 1 << 8 | VARIABLE as u64;

/// `MTRRdefType`: type, fixed ranges enabled, enabled.
const DEF_TYPE_KNOWN: u64 = 0xff | 1 << 10 | 1 << 11;

/// The page attribute table after reset.
#[cfg(test)]
pub(crate) const PAT_RESET: u64 = 0x0007_0406_0007_0406;

/// Returns whether each of the eight bytes is a memory type that `PAT` can hold.
pub(crate) fn pat_valid(value: u64) -> bool {
    // UC, WC, WT, WP, WB, UC-.
    value
        .to_le_bytes()
        .iter()
        .all(|kind| matches!(kind, 0 | 1 | 4..=7))
}

/// Returns whether a byte is a memory type that a range can have.
const fn type_valid(kind: u8) -> bool {
    matches!(kind, 0 | 1 | 4 | 5 | 6)
}

/// A vCPU's memory type range registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mtrr {
    def_type: u64,
    fixed: [u64; FIXED],
    /// Base and mask in turn.
    variable: [u64; VARIABLE * 2],
}

impl Mtrr {
    /// The state after reset: disabled, all uncached.
    pub(crate) const RESET: Self = Self {
        def_type: 0,
        fixed: [0; FIXED],
        variable: [0; VARIABLE * 2],
    };

    /// Returns whether `msr` is one of the registers.
    pub(super) const fn is_mtrr(msr: u32) -> bool {
        matches!(msr, 0xfe | 0x200..=0x20f | 0x250 | 0x258 | 0x259 | 0x268..=0x26f | 0x2ff)
    }

    /// Reads a register.
    ///
    /// # Errors
    ///
    /// [`Gp`] if `msr` is none of them.
    pub(super) fn read(&self, msr: u32) -> Result<u64, Gp> {
        match msr {
            0xfe => Ok(CAP),
            0x2ff => Ok(self.def_type),
            0x200..=0x20f => self.variable.get(variable_index(msr)).copied().ok_or(Gp),
            _ => {
                let index = fixed_index(msr).ok_or(Gp)?;
                self.fixed.get(index).copied().ok_or(Gp)
            }
        }
    }

    /// Writes a register of a guest with `paddr_bits` bits of physical addresses.
    ///
    /// # Errors
    ///
    /// [`Gp`] if `msr` is none of them or cannot be written, or for a memory type or bits that
    /// there are not.
    pub(super) fn write(&mut self, msr: u32, value: u64, paddr_bits: u32) -> Result<(), Gp> {
        let (place, valid) = match msr {
            // CAST: the low byte.
            0x2ff => (
                Some(&mut self.def_type),
                value & !DEF_TYPE_KNOWN == 0 && type_valid(value as u8),
            ),
            0x200..=0x20f => (
                self.variable.get_mut(variable_index(msr)),
                variable_valid(msr, value, paddr_bits),
            ),
            _ => {
                let index = fixed_index(msr).ok_or(Gp)?;
                let valid = value.to_le_bytes().iter().all(|kind| type_valid(*kind));
                (self.fixed.get_mut(index), valid)
            }
        };
        match (place, valid) {
            (Some(place), true) => {
                *place = value;
                Ok(())
            }
            _ => Err(Gp),
        }
    }

    /// Returns the record of a saved domain; `pat` is the vCPU's page attribute table.
    pub(crate) fn save(&self, pat: u64) -> HwMtrr {
        HwMtrr {
            msr_pat_cr: pat,
            msr_mtrr_var: self.variable,
            msr_mtrr_fixed: self.fixed,
            msr_mtrr_cap: CAP,
            msr_mtrr_def_type: self.def_type,
        }
    }

    /// Makes the state from the record of a saved domain, and returns it with the page attribute
    /// table.
    ///
    /// # Errors
    ///
    /// EINVAL for more variable ranges than there are, and for what a guest could not have written.
    pub(crate) fn load(record: &HwMtrr, paddr_bits: u32) -> XenResult<(Self, u64)> {
        // CAST: widening.
        if record.msr_mtrr_cap & 0xff > VARIABLE as u64 || !pat_valid(record.msr_pat_cr) {
            return Err(EINVAL);
        }
        let mut new = Self::RESET;
        let mut set = |msr, value| new.write(msr, value, paddr_bits).map_err(|Gp| EINVAL);
        set(0x2ff, record.msr_mtrr_def_type)?;
        for (msr, value) in (0x200..).zip(record.msr_mtrr_var) {
            set(msr, value)?;
        }
        for (msr, value) in FIXED_MSRS.iter().zip(record.msr_mtrr_fixed) {
            set(*msr, value)?;
        }
        Ok((new, record.msr_pat_cr))
    }
}

/// The registers of fixed ranges, in the order of the record.
const FIXED_MSRS: [u32; FIXED] = [
    0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f,
];

/// Returns the place of a register of fixed ranges.
fn fixed_index(msr: u32) -> Option<usize> {
    FIXED_MSRS.iter().position(|number| *number == msr)
}

/// Returns the place of a base or mask.
const fn variable_index(msr: u32) -> usize {
    // CAST: widening.
    (msr & 0xf) as usize
}

/// Returns whether a base (even number) or mask (odd) has only bits that there are.
fn variable_valid(msr: u32, value: u64, paddr_bits: u32) -> bool {
    let address = !0xfff & !u64::MAX.checked_shl(paddr_bits).unwrap_or(0);
    if msr & 1 == 0 {
        // CAST: the low byte.
        value & !(address | 0xff) == 0 && type_valid(value as u8)
    } else {
        value & !(address | 1 << 11) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn write_and_read_back() {
        let mut m = Mtrr::RESET;
        for (msr, value) in [
            (0x2ff, 0xc06),
            (0x200, 0xc000_0000),
            (0x201, 0xff_c000_0800),
            (0x20f, 0),
            (0x250, 0x0606_0606_0606_0606),
            (0x26f, 0x0505_0505_0401_0100),
        ] {
            assert_eq!(m.write(msr, value, 40), Ok(()), "{msr:#x}");
            assert_eq!(m.read(msr), Ok(value), "{msr:#x}");
        }
        assert_eq!(m.read(0xfe), Ok(0x508));
        assert_eq!(m.read(0x258), Ok(0));
    }

    #[test]
    fn refusals() {
        let mut m = Mtrr::RESET;
        for (msr, value) in [
            (0xfe, 0x508),
            (0x2ff, 2),
            (0x2ff, 7),
            (0x2ff, 0x100),
            (0x2ff, 1 << 12),
            (0x200, 2),
            (0x200, 0x106),
            (0x200, 1 << 40),
            (0x201, 1 << 40),
            (0x201, 1),
            (0x201, 0x400),
            (0x250, 0x0006_0602_0606_0606),
            (0x26f, 0x1e1e_1e1e_1e1e_1e1e),
            (0x210, 0),
            (0x251, 0),
            (0x277, 0),
        ] {
            assert_eq!(m.write(msr, value, 40), Err(Gp), "{msr:#x} {value:#x}");
        }
        assert_eq!(m, Mtrr::RESET);
        assert_eq!(m.read(0x251), Err(Gp));
        assert_eq!(m.write(0x200, 1 << 40, 48), Ok(()));
        assert_eq!(m.write(0x200, 1 << 63, 64), Ok(()), "no width panics");
    }

    #[test]
    fn pat() {
        assert!(pat_valid(PAT_RESET) && pat_valid(0x0407_0506_0007_0106));
        assert!(!pat_valid(0x0407_0506_0007_0206) && !pat_valid(8) && !pat_valid(3 << 56));
    }

    #[test]
    fn the_record_that_the_tools_write() {
        let mut record = Mtrr::RESET.save(PAT_RESET);
        assert_eq!((record.msr_mtrr_cap, record.msr_mtrr_def_type), (0x508, 0));
        record.msr_mtrr_def_type = 0x806;
        let (m, pat) = Mtrr::load(&record, 40).unwrap();
        assert_eq!((m.read(0x2ff), pat), (Ok(0x806), PAT_RESET));
        assert_eq!(m.save(pat).msr_mtrr_def_type, 0x806);

        for bad in 0..5 {
            let mut r = record;
            match bad {
                0 => r.msr_mtrr_cap = 0x509,
                1 => r.msr_pat_cr = 2,
                2 => r.msr_mtrr_def_type = 0x1006,
                3 => r.msr_mtrr_var[15] = 1,
                _ => r.msr_mtrr_fixed[10] = 3,
            }
            assert_eq!(Mtrr::load(&r, 40).err(), Some(EINVAL), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_sequence_survives_saving(
            writes in prop::collection::vec(
                (0x1f0_u32..0x310, any::<u64>(), any::<bool>()),
                0..200,
            ),
        ) {
            let mut m = Mtrr::RESET;
            for (msr, value, tame) in writes {
                // Values of valid types, often enough.
                let value = if tame { value & 0x0404_0404_0404_0404 } else { value };
                let before = m;
                match m.write(msr, value, 48) {
                    Ok(()) => prop_assert_eq!(m.read(msr), Ok(value)),
                    Err(Gp) => prop_assert_eq!(m, before),
                }
            }
            prop_assert_eq!(Mtrr::load(&m.save(PAT_RESET), 48).ok(), Some((m, PAT_RESET)));
        }
    }
}
