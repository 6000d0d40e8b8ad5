// SPDX-License-Identifier: GPL-2.0-only

//! Which features make no sense without which others.
//!
//! Source: the processor manuals' feature descriptions, and what Xen documents for feature
//! levelling: a toolstack that removes a feature expects what is built on it to go as well, and a
//! guest must not see a processor that cannot exist, such as AVX2 without AVX.

use super::feature::{self as f, Feature, FeatureSet};

/// A feature and those that need it, nearest first: chains such as SSE, SSE2, SSE3 are listed from
/// their root, so that one walk carries a removal to the end of the chain.
type Rule = (Feature, &'static [Feature]);

const RULES: &[Rule] = &[
    (f::FPU, &[f::MMX, f::RSTR_FP_ERR_PTRS]),
    (f::PSE, &[f::PSE36]),
    (f::PAE, &[f::LM, f::NX]),
    (
        f::TSC,
        &[f::TSC_DEADLINE, f::RDTSCP, f::TSC_ADJUST, f::ITSC],
    ),
    (f::APIC, &[f::X2APIC, f::TSC_DEADLINE, f::EXTAPIC]),
    (f::MMX, &[f::MMXEXT, f::_3DNOW]),
    (f::_3DNOW, &[f::_3DNOWEXT]),
    (f::FXSR, &[f::FFXSR, f::SSE]),
    (f::SSE, &[f::SSE2, f::MISALIGNSSE]),
    (
        f::SSE2,
        &[f::SSE3, f::LM, f::AESNI, f::PCLMULQDQ, f::SHA, f::GFNI],
    ),
    (f::SSE3, &[f::SSSE3, f::SSE4A]),
    (f::SSSE3, &[f::SSE4_1]),
    (f::SSE4_1, &[f::SSE4_2]),
    (
        f::XSAVE,
        &[
            f::XSAVEOPT,
            f::XSAVEC,
            f::XGETBV1,
            f::XSAVES,
            f::XFD,
            f::AVX,
            f::MPX,
            f::PKU,
            f::LWP,
            f::AMX_TILE,
        ],
    ),
    (
        f::AVX,
        &[
            f::FMA,
            f::FMA4,
            f::F16C,
            f::AVX2,
            f::XOP,
            f::SHA512,
            f::SM3,
            f::SM4,
        ],
    ),
    (f::NX, &[f::SMAP]),
    (
        f::LM,
        &[
            f::CX16,
            f::PCID,
            f::LAHF_LM,
            f::PAGE1GB,
            f::PKU,
            f::NO_LMSL,
            f::FSGSBASE,
        ],
    ),
    (f::PCID, &[f::INVPCID]),
    (
        f::AVX2,
        &[
            f::AVX512F,
            f::VAES,
            f::VPCLMULQDQ,
            f::AVX_VNNI,
            f::AVX_IFMA,
            f::AVX_VNNI_INT8,
            f::AVX_VNNI_INT16,
            f::AVX_NE_CONVERT,
        ],
    ),
    (
        f::AVX512F,
        &[
            f::AVX512DQ,
            f::AVX512_IFMA,
            f::AVX512PF,
            f::AVX512ER,
            f::AVX512CD,
            f::AVX512BW,
            f::AVX512VL,
            f::AVX512_4VNNIW,
            f::AVX512_4FMAPS,
            f::AVX512_VNNI,
            f::AVX512_VPOPCNTDQ,
            f::AVX512_VP2INTERSECT,
        ],
    ),
    (
        f::AVX512BW,
        &[
            f::AVX512_VBMI,
            f::AVX512_VBMI2,
            f::AVX512_BITALG,
            f::AVX512_BF16,
            f::AVX512_FP16,
        ],
    ),
    (f::PCLMULQDQ, &[f::VPCLMULQDQ]),
    (f::AESNI, &[f::VAES]),
    (
        f::IBRSB,
        &[
            f::STIBP,
            f::SSBD,
            f::INTEL_PSFD,
            f::EIBRS,
            f::IPRED_CTRL,
            f::RRSBA_CTRL,
            f::BHI_CTRL,
        ],
    ),
    (
        f::IBRS,
        &[
            f::AMD_STIBP,
            f::AMD_SSBD,
            f::PSFD,
            f::IBRS_ALWAYS,
            f::IBRS_FAST,
            f::IBRS_SAME_MODE,
        ],
    ),
    (f::IBPB, &[f::IBPB_RET, f::SBPB, f::IBPB_BRTYPE]),
    (f::AMD_STIBP, &[f::STIBP_ALWAYS]),
    (f::RTM, &[f::TSXLDTRK]),
    (f::EIBRS, &[f::RRSBA]),
];

/// Removes what Xen does not name, and what needs a feature that is not there.
pub(super) fn sanitise(set: &mut FeatureSet) {
    set.retain(&f::KNOWN);
    if !set.has(f::ARCH_CAPS) {
        // Words 16 and 17 are the contents of that MSR.
        set.0[16] = 0;
        set.0[17] = 0;
    }
    // Each pass carries every removal at least one step, and no chain is longer than the table.
    for _ in RULES {
        let before = *set;
        for (root, dependents) in RULES {
            if !set.has(*root) {
                for dependent in *dependents {
                    set.clear(*dependent);
                }
            }
        }
        if *set == before {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> FeatureSet {
        f::KNOWN
    }

    #[test]
    fn a_full_set_stays_full() {
        let mut set = everything();
        sanitise(&mut set);
        assert_eq!(set, everything());
    }

    #[test]
    fn a_removed_root_takes_the_whole_chain() {
        let mut set = everything();
        set.clear(f::FXSR);
        sanitise(&mut set);
        for gone in [
            f::SSE,
            f::SSE4_2,
            f::SSE4A,
            f::LM,
            f::CX16,
            f::SHA,
            f::VAES,
            f::FSGSBASE,
        ] {
            assert!(!set.has(gone), "{gone:?}");
        }
        // AVX state is independent of the SSE bits in CPUID.
        assert!(set.has(f::AVX) && set.has(f::AVX512_FP16));

        let mut set = everything();
        set.clear(f::XSAVE);
        sanitise(&mut set);
        for gone in [
            f::AVX,
            f::AVX2,
            f::AVX512F,
            f::AVX512_FP16,
            f::VAES,
            f::FMA4,
            f::XSAVEC,
        ] {
            assert!(!set.has(gone), "{gone:?}");
        }
    }

    #[test]
    fn unknown_bits_go() {
        let mut set = FeatureSet([u32::MAX; f::WORDS]);
        sanitise(&mut set);
        assert_eq!(set, f::KNOWN);
    }

    #[test]
    fn the_arch_capabilities_go_with_their_msr() {
        let mut set = everything();
        set.clear(f::ARCH_CAPS);
        sanitise(&mut set);
        assert_eq!((set.0[16], set.0[17]), (0, 0));
    }
}
