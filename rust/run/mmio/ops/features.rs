// SPDX-License-Identifier: GPL-2.0-only

//! Which instructions the guest's processor has.

use crate::emulate::ops::Feature;
use crate::policy::cpuid::CpuPolicy;
use crate::policy::feature;

/// Whether the processor has a feature, by what it says of itself.
///
/// What a guest's own policy leaves out does not count: the processor executes it all the same, and an instruction must
/// not do something else because it is carried out in software.
pub(super) fn has(raw: &CpuPolicy, asked: Feature) -> bool {
    raw.has(match asked {
        Feature::NullClearsBase => feature::NSCB,
        Feature::Adx => feature::ADX,
        Feature::Avx2 => feature::AVX2,
        Feature::Avx512Bw => feature::AVX512BW,
        Feature::Avx512Vl => feature::AVX512VL,
        Feature::Bmi1 => feature::BMI1,
        Feature::Bmi2 => feature::BMI2,
        Feature::ClFlushOpt => feature::CLFLUSHOPT,
        Feature::ClZero => feature::CLZERO,
        Feature::Clwb => feature::CLWB,
        Feature::CmpXchg16b => feature::CX16,
        Feature::FsGsBase => feature::FSGSBASE,
        Feature::FpuPointers => feature::RSTR_FP_ERR_PTRS,
        Feature::InvPcid => feature::INVPCID,
        Feature::Lzcnt => feature::ABM,
        Feature::Movbe => feature::MOVBE,
        Feature::MovDirI => feature::MOVDIRI,
        Feature::MovDir64b => feature::MOVDIR64B,
        Feature::Popcnt => feature::POPCNT,
        Feature::Rdpid => feature::RDPID,
        Feature::Rdrand => feature::RDRAND,
        Feature::Rdseed => feature::RDSEED,
        Feature::Rdtscp => feature::RDTSCP,
        Feature::Serialize => feature::SERIALIZE,
        Feature::Smap => feature::SMAP,
        Feature::Sse42 => feature::SSE4_2,
        Feature::WbNoInvd => feature::WBNOINVD,
        Feature::XsaveC => feature::XSAVEC,
        Feature::XsaveOpt => feature::XSAVEOPT,
    })
}
