// SPDX-License-Identifier: GPL-2.0-only

//! Which values a guest may write to CR0, CR3, CR4 and EFER.
//!
//! Source: SDM volume 3 chapter 2.5, APM volume 2 chapter 3.1.

use super::{
    cpuid::CpuPolicy,
    feature as f,
    Gp, //
};

/// CR0: protected mode.
pub(crate) const CR0_PE: u64 = 1 << 0;
/// CR0: the one bit that is always set, extension type.
const CR0_ET: u64 = 1 << 4;
/// CR0: not write-through.
const CR0_NW: u64 = 1 << 29;
/// CR0: caches disabled.
const CR0_CD: u64 = 1 << 30;
/// CR0: paging.
pub(crate) const CR0_PG: u64 = 1 << 31;
/// CR0: the bits that mean something: PE, MP, EM, TS, ET, NE, WP, AM, NW, CD, PG.
const CR0_KNOWN: u64 = 0x3f | 1 << 16 | 1 << 18 | CR0_NW | CR0_CD | CR0_PG;

/// CR3: not a bit of the register, but what MOV says besides: translations are kept.
const CR3_NO_FLUSH: u64 = 1 << 63;

/// CR4: physical address extension.
pub(crate) const CR4_PAE: u64 = 1 << 5;
/// CR4: process context identifiers.
pub(crate) const CR4_PCIDE: u64 = 1 << 17;

/// EFER: long mode enabled.
pub(crate) const EFER_LME: u64 = 1 << 8;
/// EFER: long mode active.
pub(crate) const EFER_LMA: u64 = 1 << 10;

/// The CR4 bits that go with each feature.
const CR4_BITS: &[(f::Feature, u64)] = &[
    // Virtual-8086 extensions and protected-mode virtual interrupts.
    (f::VME, 1 << 0 | 1 << 1),
    (f::TSC, 1 << 2),
    (f::DE, 1 << 3),
    (f::PSE, 1 << 4),
    (f::PAE, CR4_PAE),
    (f::MCE, 1 << 6),
    (f::PGE, 1 << 7),
    (f::FXSR, 1 << 9),
    (f::SSE, 1 << 10),
    (f::UMIP, 1 << 11),
    (f::LA57, 1 << 12),
    (f::FSGSBASE, 1 << 16),
    (f::PCID, CR4_PCIDE),
    (f::XSAVE, 1 << 18),
    (f::SMEP, 1 << 20),
    (f::SMAP, 1 << 21),
    (f::PKU, 1 << 22),
];

/// The EFER bits that go with each feature.
const EFER_BITS: &[(f::Feature, u64)] = &[
    (f::SYSCALL, 1 << 0),
    (f::LM, EFER_LME | EFER_LMA),
    (f::NX, 1 << 11),
    (f::FFXSR, 1 << 14),
    (f::AUTO_IBRS, 1 << 21),
];

/// Returns the CR4 bits that the guest may set.
///
/// `RDPMC` outside of CPL 0 (bit 8) goes with no feature: every processor has the instruction.
pub(crate) fn cr4_mask(policy: &CpuPolicy) -> u64 {
    collect(policy, CR4_BITS) | 1 << 8
}

/// Returns the EFER bits that the guest may set. `LMSLE`, `TCE` and `SVME` are never among them.
pub(crate) fn efer_mask(policy: &CpuPolicy) -> u64 {
    collect(policy, EFER_BITS)
}

/// Returns the bits that go with the policy's features.
fn collect(policy: &CpuPolicy, bits: &[(f::Feature, u64)]) -> u64 {
    bits.iter()
        .filter(|(feature, _)| policy.has(*feature))
        .fold(0, |mask, (_, bits)| mask | bits)
}

/// What a write to a control register is checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Controls {
    /// CR0 before the write.
    pub(crate) cr0: u64,
    /// CR3.
    pub(crate) cr3: u64,
    /// CR4 before the write.
    pub(crate) cr4: u64,
    /// EFER before the write.
    pub(crate) efer: u64,
    /// The code segment's long mode bit.
    pub(crate) cs_long: bool,
}

impl Controls {
    /// Checks a write of `new` to CR0, and returns CR0 and EFER as they are to become.
    ///
    /// Bits 31 to 0 that mean nothing are dropped, as the processor does, and ET stays set.
    ///
    /// # Errors
    ///
    /// [`Gp`] for a bit above 31, paging without protection, NW without CD, paging with long mode
    /// enabled but without PAE or in a 64-bit code segment, and no paging in 64-bit mode or with
    /// process context identifiers.
    pub(crate) fn write_cr0(&self, new: u64) -> Result<(u64, u64), Gp> {
        if new >> 32 != 0
            || (new & CR0_PG != 0 && new & CR0_PE == 0)
            || (new & CR0_NW != 0 && new & CR0_CD == 0)
        {
            return Err(Gp);
        }
        let mut efer = self.efer;
        match (self.cr0 & CR0_PG != 0, new & CR0_PG != 0) {
            (false, true) if self.efer & EFER_LME != 0 => {
                if self.cr4 & CR4_PAE == 0 || self.cs_long {
                    return Err(Gp);
                }
                efer |= EFER_LMA;
            }
            (true, false) => {
                let in_64bit = self.efer & EFER_LMA != 0 && self.cs_long;
                if in_64bit || self.cr4 & CR4_PCIDE != 0 {
                    return Err(Gp);
                }
                efer &= !EFER_LMA;
            }
            _ => {}
        }
        Ok((new & CR0_KNOWN | CR0_ET, efer))
    }

    /// Checks a write of `new` to CR3 by a processor that has this many bits of physical addresses. The bit that keeps
    /// translations stays in it.
    ///
    /// # Errors
    ///
    /// [`Gp`] in long mode for a bit that no address has, and for keeping translations without process context
    /// identifiers.
    pub(crate) fn write_cr3(&self, new: u64, physical_bits: u32) -> Result<u64, Gp> {
        let kept = match self.cr4 & CR4_PCIDE {
            0 => 0,
            _ => CR3_NO_FLUSH,
        };
        let beyond = (new & !kept).checked_shr(physical_bits).unwrap_or(0);
        if self.efer & EFER_LMA != 0 && beyond != 0 {
            return Err(Gp);
        }
        Ok(new)
    }

    /// Checks a write of `new` to CR4 where the policy allows the bits of `mask`.
    ///
    /// # Errors
    ///
    /// [`Gp`] for a bit that is not allowed, for PAE going away in long mode, and for process
    /// context identifiers coming on outside of long mode or while CR3 holds one.
    pub(crate) fn write_cr4(&self, new: u64, mask: u64) -> Result<u64, Gp> {
        let long = self.efer & EFER_LMA != 0;
        let pcid_on = new & !self.cr4 & CR4_PCIDE != 0;
        let refused = new & !mask != 0
            || (long && new & CR4_PAE == 0)
            || (pcid_on && (!long || self.cr3 & 0xfff != 0))
            || (new & CR4_PCIDE != 0 && !long);
        match refused {
            true => Err(Gp),
            false => Ok(new),
        }
    }

    /// Checks a write of `new` to EFER where the policy allows the bits of `mask`. LMA is the
    /// processor's: what is written to it is dropped.
    ///
    /// # Errors
    ///
    /// [`Gp`] for a bit that is not allowed, and for LME changing while paging is on.
    pub(crate) fn write_efer(&self, new: u64, mask: u64) -> Result<u64, Gp> {
        let new = new & !EFER_LMA | self.efer & EFER_LMA;
        let changed = new ^ self.efer;
        if new & !mask != 0 || (changed & EFER_LME != 0 && self.cr0 & CR0_PG != 0) {
            return Err(Gp);
        }
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        epyc,
        Topology, //
    };
    use super::*;

    const REAL: Controls = Controls {
        cr0: 0x10,
        cr3: 0,
        cr4: 0,
        efer: 0,
        cs_long: false,
    };
    const LONG: Controls = Controls {
        cr0: 0x8005_0033,
        cr3: 0x1000,
        cr4: 0x6f0,
        efer: 0xd01,
        cs_long: true,
    };

    #[test]
    fn masks() {
        let p = epyc::system().for_domain(Topology { cores: 1 });
        // TSD DE PSE PAE MCE PGE PCE OSFXSR OSXMMEXCPT FSGSBASE OSXSAVE SMEP SMAP. This processor
        // has no VME.
        assert_eq!(cr4_mask(&p), 0x35_07fc);
        // SCE LME LMA NXE FFXSR.
        assert_eq!(efer_mask(&p) & !(1 << 14), 0xd01);
        for caps in [epyc::ABLE, epyc::UNABLE] {
            for vendor in epyc::VENDORS {
                let s = epyc::everything(vendor, &caps);
                // VMXE, SMXE, PKE, CET, PKS, UINTR, LASS, LAM, FRED, LA57 never.
                assert_eq!(cr4_mask(&s.hvm_max) & !0x37_0fff, 0);
                assert_eq!(cr4_mask(&s.hvm_max) & 1 << 12, 0);
                assert_eq!(efer_mask(&s.hvm_max) & !0x20_4d01, 0);
            }
        }
    }

    #[test]
    fn cr0() {
        assert_eq!(REAL.write_cr0(1), Ok((0x11, 0)));
        assert_eq!(REAL.write_cr0(0x8000_0001), Ok((0x8000_0011, 0)));
        assert_eq!(
            REAL.write_cr0(0x1ff8_ffc0),
            Ok((0x10, 0)),
            "bits without a meaning"
        );
        for bad in [1 << 31, 1 << 29, 1 << 32, 1 << 63] {
            assert_eq!(REAL.write_cr0(bad), Err(Gp), "{bad:#x}");
        }
        // Entering long mode as the PVH entry of Linux does it.
        let prepared = Controls {
            cr4: CR4_PAE,
            efer: EFER_LME,
            cr0: 0x11,
            ..REAL
        };
        assert_eq!(prepared.write_cr0(0x8000_0001), Ok((0x8000_0011, 0x500)));
        assert_eq!(
            Controls { cr4: 0, ..prepared }.write_cr0(0x8000_0001),
            Err(Gp)
        );
        let odd = Controls {
            cs_long: true,
            ..prepared
        };
        assert_eq!(odd.write_cr0(0x8000_0001), Err(Gp));
        // And leaving it.
        assert_eq!(LONG.write_cr0(0x11), Err(Gp));
        let compat = Controls {
            cs_long: false,
            ..LONG
        };
        assert_eq!(compat.write_cr0(0x11), Ok((0x11, 0x901)));
        let pcid = Controls {
            cr4: compat.cr4 | CR4_PCIDE,
            ..compat
        };
        assert_eq!(pcid.write_cr0(0x11), Err(Gp));
    }

    #[test]
    fn cr3() {
        let pcid = Controls {
            cr4: 0x2_06f0,
            ..LONG
        };
        let top = 1 << 47;
        assert_eq!(LONG.write_cr3(top | 0x1000, 48), Ok(top | 0x1000));
        assert_eq!(LONG.write_cr3(1 << 48, 48), Err(Gp));
        assert_eq!(LONG.write_cr3(1 << 63 | 0x1000, 48), Err(Gp), "no PCIDE");
        assert_eq!(pcid.write_cr3(1 << 63 | 0x1005, 48), Ok(1 << 63 | 0x1005));
        assert_eq!(pcid.write_cr3(1 << 62, 48), Err(Gp));
        assert_eq!(
            pcid.write_cr3(1 << 62, 64),
            Ok(1 << 62),
            "no such processor"
        );
        assert_eq!(REAL.write_cr3(u64::MAX, 40), Ok(u64::MAX), "32 bits count");
    }

    #[test]
    fn cr4() {
        let mask = 0x3f_0fff;
        assert_eq!(LONG.write_cr4(0x6f0 | CR4_PCIDE, mask), Ok(0x2_06f0));
        assert_eq!(
            Controls { cr3: 1, ..LONG }.write_cr4(0x6f0 | CR4_PCIDE, mask),
            Err(Gp)
        );
        assert_eq!(REAL.write_cr4(CR4_PCIDE, mask), Err(Gp));
        assert_eq!(LONG.write_cr4(0x6d0, mask), Err(Gp), "PAE");
        assert_eq!(REAL.write_cr4(1 << 13, mask), Err(Gp));
        assert_eq!(REAL.write_cr4(1 << 40, mask), Err(Gp));
        // A guest that has one may keep it, whatever CR3 holds.
        let on = Controls {
            cr4: 0x2_06f0,
            cr3: 0x1005,
            ..LONG
        };
        assert_eq!(on.write_cr4(0x2_06f0 | 1 << 20, mask), Ok(0x12_06f0));
    }

    #[test]
    fn efer() {
        let mask = 0xd01;
        assert_eq!(REAL.write_efer(0x901, mask), Ok(0x901));
        assert_eq!(
            REAL.write_efer(0xd01, mask),
            Ok(0x901),
            "LMA is not the guest's"
        );
        assert_eq!(LONG.write_efer(0x901, mask), Ok(0xd01));
        assert_eq!(LONG.write_efer(0x801, mask), Err(Gp), "LME while paging");
        assert_eq!(REAL.write_efer(1 << 12, mask), Err(Gp), "SVME");
        assert_eq!(REAL.write_efer(1 << 13, mask), Err(Gp), "LMSLE");
    }
}
