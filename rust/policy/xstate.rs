// SPDX-License-Identifier: GPL-2.0-only

//! Extended processor state: which XCR0 values are valid, and how large the save area is.
//!
//! Source: SDM volume 1 chapter 13; APM volume 2 chapter 11.5 and volume 3, CPUID leaf 0xd.

use super::{
    cpuid::Regs,
    feature::{
        self,
        FeatureSet, //
    },
};

/// The x87 component.
pub(crate) const X87: u64 = 1 << 0;
/// The SSE component.
pub(crate) const SSE: u64 = 1 << 1;
/// The upper halves of the AVX registers.
pub(crate) const YMM: u64 = 1 << 2;
/// The two MPX components.
const MPX: u64 = 1 << 3 | 1 << 4;
/// The three AVX-512 components: mask registers, upper halves, upper sixteen registers.
pub(crate) const ZMM: u64 = 1 << 5 | 1 << 6 | 1 << 7;
/// The two AMX components.
const AMX: u64 = 1 << 17 | 1 << 18;

/// The size of the legacy region and the header.
const MIN_SIZE: u32 = 512 + 64;

/// Returns whether `XSETBV` accepts `new` where the policy allows the bits in `mask`.
pub(crate) const fn xcr0_valid(new: u64, mask: u64) -> bool {
    new & !mask == 0
        && new & X87 != 0
        && (new & YMM == 0 || new & SSE != 0)
        && (new & ZMM == 0 || (new & ZMM == ZMM && new & YMM != 0))
        && (new & MPX == 0 || new & MPX == MPX)
        && (new & AMX == 0 || new & AMX == AMX)
}

/// Returns the components that go with `features`; none without XSAVE.
pub(super) fn components(features: &FeatureSet) -> u64 {
    if !features.has(feature::XSAVE) {
        return 0;
    }
    let mut mask = X87 | SSE;
    if features.has(feature::AVX) {
        mask |= YMM;
    }
    if features.has(feature::AVX512F) {
        mask |= ZMM;
    }
    mask
}

/// Returns the size in bytes of an XSAVE area in the standard format that has room for `xcr0`.
///
/// `rows` are the subleaves of leaf 0xd: size in EAX and offset in EBX.
pub(super) fn size(rows: &[Regs], xcr0: u64) -> u32 {
    rows.iter()
        .zip(0_u32..)
        .skip(2)
        .filter(|(_, bit)| xcr0.wrapping_shr(*bit) & 1 != 0)
        .fold(MIN_SIZE, |size, (row, _)| {
            size.max(row[0].saturating_add(row[1]))
        })
}

/// Returns the size in bytes of an XSAVE area in the compacted format that has room for `xcr0`.
pub(super) fn compact_size(rows: &[Regs], xcr0: u64) -> u32 {
    rows.iter()
        .zip(0_u32..)
        .skip(2)
        .filter(|(_, bit)| xcr0.wrapping_shr(*bit) & 1 != 0)
        .fold(MIN_SIZE, |size, (row, _)| {
            // ECX bit 1: the component starts at a multiple of 64.
            let start = if row[2] & 2 != 0 {
                size.saturating_add(63) & !63
            } else {
                size
            };
            start.saturating_add(row[0])
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xcr0_rules() {
        let all = X87 | SSE | YMM | ZMM;
        for ok in [1, 3, 7, 0xe7] {
            assert!(xcr0_valid(ok, all), "{ok:#x}");
        }
        for bad in [0, 2, 5, 6, 0x27, 0x67, 0xe3, 0xe1, 0xff, 1 << 63 | 1, 0x207] {
            assert!(!xcr0_valid(bad, all), "{bad:#x}");
        }
        assert!(!xcr0_valid(7, X87 | SSE));
        assert!(!xcr0_valid(1, 0), "without XSAVE there is no XCR0");
        assert!(xcr0_valid(0x1f, 0x1f) && !xcr0_valid(0xf, 0x1f));
    }

    #[test]
    fn sizes() {
        let mut rows = [[0; 4]; 20];
        rows[2] = [256, 576, 0, 0];
        rows[5] = [64, 1088, 0, 0];
        rows[6] = [512, 1152, 2, 0];
        rows[7] = [1024, 1664, 2, 0];
        assert_eq!(size(&rows, 1), 576);
        assert_eq!(size(&rows, 3), 576);
        assert_eq!(size(&rows, 7), 832);
        assert_eq!(size(&rows, 0xe7), 2688);
        assert_eq!(compact_size(&rows, 7), 832);
        assert_eq!(compact_size(&rows, 0xe7), 832 + 64 + 512 + 1024);
        assert_eq!(compact_size(&rows, 0x43), 576 + 512);
        // A component that does not start where the last one ended.
        rows[5] = [8, 1088, 0, 0];
        assert_eq!(compact_size(&rows, 0xe7), 896 + 512 + 1024);
        assert_eq!(size(&rows, u64::MAX), 2688);
    }
}
