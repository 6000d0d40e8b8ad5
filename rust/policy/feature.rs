// SPDX-License-Identifier: GPL-2.0-only

//! The processor features that Xen names, by number, and which of them guests are offered.
//!
//! Source of names and numbers: Xen's `arch-x86/cpufeatureset.h`, version 4.20. A feature set is a
//! row of 32-bit words; a feature's number is its word times 32 plus its bit.
//!
//! The three kinds below are decisions of this hypervisor:
//!
//! - `offer`: guests have it by default if the processor does.
//! - `ask`: a domain has it only if the toolstack asks for it.
//! - `hide`: no guest ever has it, because what it promises is not carried out here. Among them are
//!   virtualisation itself, `MONITOR`, performance monitoring, tracing, protection keys, shadow
//!   stacks, and whatever needs an MSR that is not in [`super::msr`].

// All of Xen's features are listed, whether or not the code asks for them by name.
#![allow(dead_code)]

/// The number of words in a feature set.
pub(crate) const WORDS: usize = 19;

/// One feature of a processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Feature(u16);

impl Feature {
    /// Returns the number of the word that holds the feature.
    pub(crate) const fn word(self) -> usize {
        // CAST: widening.
        (self.0 >> 5) as usize
    }

    /// Returns the feature's bit in its word.
    pub(crate) const fn mask(self) -> u32 {
        1 << (self.0 & 31)
    }

    /// Returns the feature with this number in Xen's numbering.
    pub(crate) const fn from_number(number: u16) -> Self {
        Self(number)
    }
}

/// A set of features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FeatureSet(pub(crate) [u32; WORDS]);

impl FeatureSet {
    /// Returns whether `feature` is in the set.
    pub(crate) fn has(&self, feature: Feature) -> bool {
        self.0
            .get(feature.word())
            .is_some_and(|word| word & feature.mask() != 0)
    }

    /// Adds `feature`.
    pub(crate) fn set(&mut self, feature: Feature) {
        if let Some(word) = self.0.get_mut(feature.word()) {
            *word |= feature.mask();
        }
    }

    /// Removes `feature`.
    pub(crate) fn clear(&mut self, feature: Feature) {
        if let Some(word) = self.0.get_mut(feature.word()) {
            *word &= !feature.mask();
        }
    }

    /// Adds or removes `feature`.
    pub(crate) fn assign(&mut self, feature: Feature, on: bool) {
        if on {
            self.set(feature);
        } else {
            self.clear(feature);
        }
    }

    /// Removes every feature that is not in `other`.
    pub(crate) fn retain(&mut self, other: &Self) {
        for (word, keep) in self.0.iter_mut().zip(&other.0) {
            *word &= keep;
        }
    }

    /// Returns the features that are in either set.
    pub(crate) fn union(mut self, other: &Self) -> Self {
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
        self
    }

    /// Returns whether every feature is also in `other`.
    pub(crate) fn is_subset(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(&other.0)
            .all(|(word, allowed)| word & !allowed == 0)
    }
}

macro_rules! features {
    ($(
        $(#[$doc:meta])*
        $word:literal => {
            offer { $($offer:ident = $obit:literal,)* }
            ask { $($ask:ident = $abit:literal,)* }
            hide { $($hide:ident = $hbit:literal,)* }
        }
    )*) => {
        $(
            $(
                #[doc = concat!("Word ", $word, ", bit ", $obit, "; offered.")]
                pub(crate) const $offer: Feature = Feature($word * 32 + $obit);
            )*
            $(
                #[doc = concat!("Word ", $word, ", bit ", $abit, "; for those who ask.")]
                pub(crate) const $ask: Feature = Feature($word * 32 + $abit);
            )*
            $(
                #[doc = concat!("Word ", $word, ", bit ", $hbit, "; hidden.")]
                pub(crate) const $hide: Feature = Feature($word * 32 + $hbit);
            )*
        )*

        /// Every feature that Xen names.
        pub(crate) const KNOWN: FeatureSet = FeatureSet([
            $(0 $(| 1 << $obit)* $(| 1 << $abit)* $(| 1 << $hbit)*,)*
        ]);

        /// The features that a guest has by default if the processor has them.
        pub(crate) const OFFERED: FeatureSet = FeatureSet([$(0 $(| 1 << $obit)*,)*]);

        /// Every feature's name and number, to be held against Xen's header.
        #[cfg(test)]
        const NAMES: &[(&str, u16)] = &[
            $(
                $((stringify!($offer), $offer.0),)*
                $((stringify!($ask), $ask.0),)*
                $((stringify!($hide), $hide.0),)*
            )*
        ];

        /// The features that the toolstack may give to a domain if the processor has them.
        pub(crate) const ALLOWED: FeatureSet = FeatureSet([
            $(0 $(| 1 << $obit)* $(| 1 << $abit)*,)*
        ]);
    };
}

features! {
    /// Word 0: CPUID 1 EDX.
    0 => {
        offer {
            FPU = 0, VME = 1, DE = 2, PSE = 3, TSC = 4, MSR = 5, PAE = 6, MCE = 7, CX8 = 8,
            APIC = 9, SEP = 11, MTRR = 12, PGE = 13, MCA = 14, CMOV = 15, PAT = 16, PSE36 = 17,
            CLFLUSH = 19, MMX = 23, FXSR = 24, SSE = 25, SSE2 = 26, SS = 27, HTT = 28,
        }
        ask {}
        hide {
            DS = 21, ACPI = 22, TM1 = 29, PBE = 31,
        }
    }
    /// Word 1: CPUID 1 ECX.
    1 => {
        offer {
            SSE3 = 0, PCLMULQDQ = 1, SSSE3 = 9, FMA = 12, CX16 = 13, PCID = 17, SSE4_1 = 19,
            SSE4_2 = 20, X2APIC = 21, MOVBE = 22, POPCNT = 23, AESNI = 25, XSAVE = 26, AVX = 28,
            F16C = 29, RDRAND = 30, HYPERVISOR = 31,
        }
        ask {}
        hide {
            DTES64 = 2, MONITOR = 3, DSCPL = 4, VMX = 5, SMX = 6, EIST = 7, TM2 = 8, SDBG = 11,
            XTPR = 14, PDCM = 15, DCA = 18, TSC_DEADLINE = 24, OSXSAVE = 27,
        }
    }
    /// Word 2: CPUID 0x80000001 EDX, without the bits that repeat 1 EDX.
    2 => {
        offer {
            SYSCALL = 11, NX = 20, MMXEXT = 22, FFXSR = 25, PAGE1GB = 26, RDTSCP = 27, LM = 29,
            _3DNOWEXT = 30, _3DNOW = 31,
        }
        ask {}
        hide {}
    }
    /// Word 3: CPUID 0x80000001 ECX.
    3 => {
        offer {
            LAHF_LM = 0, CMP_LEGACY = 1, CR8_LEGACY = 4, ABM = 5, SSE4A = 6, MISALIGNSSE = 7,
            _3DNOWPREFETCH = 8, XOP = 11, FMA4 = 16, TBM = 21,
        }
        ask {}
        hide {
            SVM = 2, EXTAPIC = 3, OSVW = 9, IBS = 10, SKINIT = 12, WDT = 13, LWP = 15,
            NODEID_MSR = 19, TOPOEXT = 22, DBEXT = 26, MONITORX = 29, ADDR_MSK_EXT = 30,
        }
    }
    /// Word 4: CPUID 0xd.1 EAX.
    4 => {
        offer {
            XSAVEOPT = 0, XSAVEC = 1, XGETBV1 = 2,
        }
        ask {}
        hide {
            XSAVES = 3, XFD = 4,
        }
    }
    /// Word 5: CPUID 7.0 EBX.
    5 => {
        offer {
            FSGSBASE = 0, BMI1 = 3, AVX2 = 5, FDP_EXCP_ONLY = 6, SMEP = 7, BMI2 = 8, ERMS = 9,
            INVPCID = 10, RTM = 11, NO_FPU_SEL = 13, AVX512F = 16, AVX512DQ = 17, RDSEED = 18,
            ADX = 19, SMAP = 20, AVX512_IFMA = 21, CLFLUSHOPT = 23, CLWB = 24, AVX512CD = 28,
            SHA = 29, AVX512BW = 30, AVX512VL = 31,
        }
        ask {
            HLE = 4,
        }
        hide {
            TSC_ADJUST = 1, SGX = 2, PQM = 12, MPX = 14, PQE = 15, PROC_TRACE = 25, AVX512PF = 26,
            AVX512ER = 27,
        }
    }
    /// Word 6: CPUID 7.0 ECX.
    6 => {
        offer {
            PREFETCHWT1 = 0, AVX512_VBMI = 1, UMIP = 2, AVX512_VBMI2 = 6, GFNI = 8, VAES = 9,
            VPCLMULQDQ = 10, AVX512_VNNI = 11, AVX512_BITALG = 12, AVX512_VPOPCNTDQ = 14,
            RDPID = 22, CLDEMOTE = 25,
        }
        ask {
            MOVDIRI = 27, MOVDIR64B = 28,
        }
        hide {
            PKU = 3, OSPKE = 4, WAITPKG = 5, CET_SS = 7, TME = 13, LA57 = 16, BLD = 24,
            ENQCMD = 29, SGX_LC = 30, PKS = 31,
        }
    }
    /// Word 7: CPUID 0x80000007 EDX.
    7 => {
        offer {
            ITSC = 8,
        }
        ask {}
        hide {
            HW_PSTATE = 7, CPB = 9, EFRO = 10,
        }
    }
    /// Word 8: CPUID 0x80000008 EBX.
    8 => {
        offer {
            CLZERO = 0, RSTR_FP_ERR_PTRS = 2, IBPB = 12, IBRS = 14, AMD_STIBP = 15,
            IBRS_ALWAYS = 16, STIBP_ALWAYS = 17, IBRS_FAST = 18, IBRS_SAME_MODE = 19,
            NO_LMSL = 20, AMD_SSBD = 24, SSB_NO = 26, PSFD = 28, BTC_NO = 29, IBPB_RET = 30,
        }
        ask {}
        hide {
            WBNOINVD = 9, AMD_PPIN = 23, VIRT_SSBD = 25,
        }
    }
    /// Word 9: CPUID 7.0 EDX.
    9 => {
        offer {
            FSRM = 4, MD_CLEAR = 10, SERIALIZE = 14, AVX512_FP16 = 23, IBRSB = 26, STIBP = 27,
            ARCH_CAPS = 29, SSBD = 31,
        }
        ask {
            AVX512_VP2INTERSECT = 8, RTM_ALWAYS_ABORT = 11, TSXLDTRK = 16,
        }
        hide {
            SGX_KEYS = 1, AVX512_4VNNIW = 2, AVX512_4FMAPS = 3, UINTR = 5, SRBDS_CTRL = 9,
            TSX_FORCE_ABORT = 13, HYBRID = 15, PCONFIG = 18, ARCH_LBR = 19, CET_IBT = 20,
            AMX_BF16 = 22, AMX_TILE = 24, AMX_INT8 = 25, L1D_FLUSH = 28, CORE_CAPS = 30,
        }
    }
    /// Word 10: CPUID 7.1 EAX.
    10 => {
        offer {
            SHA512 = 0, SM3 = 1, SM4 = 2, AVX_VNNI = 4, AVX512_BF16 = 5, FZRM = 10, FSRS = 11,
            FSRCS = 12, AVX_IFMA = 23,
        }
        ask {
            CMPCCXADD = 7,
        }
        hide {
            FRED = 17, WRMSRNS = 19, AMX_FP16 = 21,
        }
    }
    /// Word 11: CPUID 0x80000021 EAX.
    11 => {
        offer {
            NO_NEST_BP = 0, FS_GS_NS = 1, LFENCE_DISPATCH = 2, VERW_CLEAR = 5, NSCB = 6,
            AUTO_IBRS = 8, AMD_FSRS = 10, AMD_FSRC = 11, EPSF = 18, FSRSC = 19,
            AMD_PREFETCHI = 20, SBPB = 27, IBPB_BRTYPE = 28, SRSO_NO = 29, SRSO_US_NO = 30,
        }
        ask {}
        hide {
            CPUID_USER_DIS = 17, SRSO_MSR_FIX = 31,
        }
    }
    /// Word 12: CPUID 7.1 EBX.
    12 => {
        offer {}
        ask {}
        hide {
            INTEL_PPIN = 0,
        }
    }
    /// Word 13: CPUID 7.2 EDX.
    13 => {
        offer {
            INTEL_PSFD = 0, IPRED_CTRL = 1, RRSBA_CTRL = 2, BHI_CTRL = 4, MCDT_NO = 5,
        }
        ask {}
        hide {
            DDP_CTRL = 3,
        }
    }
    /// Word 14: CPUID 7.1 ECX; Xen names no bit of it.
    14 => {
        offer {}
        ask {}
        hide {}
    }
    /// Word 15: CPUID 7.1 EDX.
    15 => {
        offer {
            AVX_VNNI_INT8 = 4, AVX_NE_CONVERT = 5, AVX_VNNI_INT16 = 10, PREFETCHI = 14,
        }
        ask {}
        hide {
            AMX_COMPLEX = 8, CET_SSS = 18,
        }
    }
    /// Word 16: ARCH_CAPABILITIES, low half.
    16 => {
        offer {
            RDCL_NO = 0, EIBRS = 1, RSBA = 2, INTEL_SSB_NO = 4, MDS_NO = 5, IF_PSCHANGE_MC_NO = 6,
            TAA_NO = 8, SBDR_SSDP_NO = 13, FBSDP_NO = 14, PSDP_NO = 15, FB_CLEAR = 17, RRSBA = 19,
            BHI_NO = 20, PBRSB_NO = 24, GDS_NO = 26, RFDS_NO = 27, RFDS_CLEAR = 28,
        }
        ask {}
        hide {
            SKIP_L1DFL = 3, TSX_CTRL = 7, MCU_CTRL = 9, MISC_PKG_CTRL = 10, ENERGY_FILTERING = 11,
            DOITM = 12, FB_CLEAR_CTRL = 18, XAPIC_STATUS = 21, OVRCLK_STATUS = 23, GDS_CTRL = 25,
        }
    }
    /// Word 17: ARCH_CAPABILITIES, high half.
    17 => {
        offer {
            ITS_NO = 30,
        }
        ask {}
        hide {
            PB_OPT_CTRL = 0,
        }
    }
    /// Word 18: CPUID 0x80000021 ECX.
    18 => {
        offer {
            TSA_SQ_NO = 1, TSA_L1_NO = 2,
        }
        ask {}
        hide {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `XEN_CPUFEATURE(NAME, word*32+bit)` out of a line.
    fn parse(line: &str) -> Option<(String, u16)> {
        let (name, rest) = line.strip_prefix("XEN_CPUFEATURE(")?.split_once(',')?;
        let (word, rest) = rest.split_once("*32+")?;
        let (bit, _) = rest.split_once(')')?;
        let word: u16 = word.trim().parse().ok()?;
        let bit: u16 = bit.trim().parse().ok()?;
        let prefix = match name.starts_with(|c: char| c.is_ascii_digit()) {
            true => "_",
            false => "",
        };
        Some((format!("{prefix}{name}"), word * 32 + bit))
    }

    #[test]
    fn names_and_numbers_are_xens() {
        let Ok(header) = std::fs::read_to_string("/usr/include/xen/arch-x86/cpufeatureset.h")
        else {
            eprintln!("Xen's headers are not installed, nothing to compare with");
            return;
        };
        let mut theirs: Vec<_> = header.lines().filter_map(parse).collect();
        let mut ours: Vec<_> = NAMES.iter().map(|(n, v)| (n.to_string(), *v)).collect();
        theirs.sort();
        ours.sort();
        assert!(theirs.len() > 200);
        assert_eq!(ours, theirs);
    }

    #[test]
    fn the_kinds_do_not_overlap() {
        let named: u32 = KNOWN.0.iter().map(|w| w.count_ones()).sum();
        assert_eq!(named as usize, NAMES.len());
        assert!(OFFERED.is_subset(&ALLOWED) && ALLOWED.is_subset(&KNOWN));
    }
}
