// SPDX-License-Identifier: GPL-2.0-only

//! The CPUID leaves of a policy, and what a guest's `CPUID` instruction returns.

use super::{
    feature::{
        self,
        Feature,
        FeatureSet, //
    },
    view::{
        self,
        DomainView,
        VcpuView, //
    },
    xstate,
};

/// EAX, EBX, ECX and EDX of one leaf.
pub(crate) type Regs = [u32; 4];

/// The number of basic leaves, from 0 to 0xd, as Xen 4.20's tools store them.
pub(super) const BASIC: usize = 0xe;
/// The number of subleaves of leaf 4 (caches).
pub(super) const CACHE: usize = 6;
/// The number of subleaves of leaf 7 (features).
pub(super) const FEAT: usize = 3;
/// The number of subleaves of leaf 0xb (topology).
pub(super) const TOPO: usize = 2;
/// The number of subleaves of leaf 0xd (extended state) that are stored. No guest has a component
/// beyond; Xen's tools can send up to 63 of them.
pub(super) const XSTATE: usize = 20;
/// The number of extended leaves, from 0x8000_0000 to 0x8000_0021.
pub(super) const EXTD: usize = 0x22;
/// The first extended leaf.
pub(super) const EXTD_BASE: u32 = 0x8000_0000;

/// The leaves that depend on the vCPU or have subleaves, one bit each.
const NOT_PLAIN: u32 = 1 << 1 | 1 << 4 | 1 << 7 | 1 << 0xb | 1 << 0xd;

/// Whose processor this is, as far as anything depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vendor {
    /// "GenuineIntel".
    Intel,
    /// "AuthenticAMD".
    Amd,
    /// "HygonGenuine".
    Hygon,
    /// Any other.
    Other,
}

impl Vendor {
    /// Reads the vendor from leaf 0.
    pub(super) fn from_leaf0(regs: &Regs) -> Self {
        let name = [regs[1], regs[3], regs[2]];
        if name == words(b"GenuineIntel") {
            Self::Intel
        } else if name == words(b"AuthenticAMD") {
            Self::Amd
        } else if name == words(b"HygonGenuine") {
            Self::Hygon
        } else {
            Self::Other
        }
    }

    /// Returns whether the processor has AMD's leaves and MSRs.
    pub(crate) const fn is_amd_like(self) -> bool {
        matches!(self, Self::Amd | Self::Hygon)
    }
}

/// Returns a vendor's name as the registers EBX, EDX, ECX hold it.
const fn words(name: &[u8; 12]) -> [u32; 3] {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *name;
    [
        u32::from_le_bytes([a, b, c, d]),
        u32::from_le_bytes([e, f, g, h]),
        u32::from_le_bytes([i, j, k, l]),
    ]
}

/// What CPUID and the MSRs that describe the processor say.
///
/// # Invariants
///
/// Leaves above the greatest one that leaf 0 and leaf 0x8000_0000 name are zero, and `not_plain`
/// and `vendor` agree with the leaves, in every policy that a guest runs with ([`super::derive`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CpuPolicy {
    pub(super) basic: [Regs; BASIC],
    pub(super) cache: [Regs; CACHE],
    pub(super) feat: [Regs; FEAT],
    pub(super) topo: [Regs; TOPO],
    pub(super) xstate: [Regs; XSTATE],
    pub(super) extd: [Regs; EXTD],
    /// The greatest hypervisor leaf that the toolstack wants shown, 0 for the default.
    pub(super) hv_limit: u8,
    /// The same for the second block of hypervisor leaves, which this hypervisor does not have.
    pub(super) hv2_limit: u8,
    /// `PLATFORM_INFO`, MSR 0xce.
    pub(super) platform_info: u64,
    /// `ARCH_CAPABILITIES`, MSR 0x10a.
    pub(super) arch_caps: u64,
    /// The microcode's revision; not part of what tools see.
    pub(super) patch_level: u64,
    pub(super) vendor: Vendor,
    /// The basic leaves that [`Self::lookup`] cannot answer from `basic` alone, one bit each.
    pub(super) not_plain: u32,
}

impl CpuPolicy {
    /// The policy with nothing in it.
    pub(super) const EMPTY: Self = Self {
        basic: [[0; 4]; BASIC],
        cache: [[0; 4]; CACHE],
        feat: [[0; 4]; FEAT],
        topo: [[0; 4]; TOPO],
        xstate: [[0; 4]; XSTATE],
        extd: [[0; 4]; EXTD],
        hv_limit: 0,
        hv2_limit: 0,
        platform_info: 0,
        arch_caps: 0,
        patch_level: 0,
        vendor: Vendor::Other,
        not_plain: NOT_PLAIN,
    };

    /// Returns what `CPUID` with EAX = `leaf` and ECX = `subleaf` gives to the vCPU `v` of the
    /// domain `d`.
    ///
    /// Most leaves are a bounds check, a bit test and a copy. A leaf that is not there reads as on
    /// the processor: zeroes on AMD, the greatest basic leaf on Intel (SDM volume 2, CPUID).
    #[inline(always)]
    pub(crate) fn lookup(&self, leaf: u32, subleaf: u32, v: &VcpuView, d: &DomainView) -> Regs {
        // CAST: widening.
        if let Some(regs) = self.basic.get(leaf as usize) {
            if self.not_plain.wrapping_shr(leaf) & 1 == 0 {
                return *regs;
            }
            if leaf == 1 {
                return v.leaf1(regs);
            }
            return self.lookup_basic(leaf, subleaf, v);
        }
        self.lookup_high(leaf, subleaf, v, d)
    }

    /// Answers a basic leaf that has subleaves, depends on the vCPU, or is not there.
    fn lookup_basic(&self, leaf: u32, subleaf: u32, v: &VcpuView) -> Regs {
        let max = self.basic[0][0];
        let leaf = match self.vendor {
            Vendor::Intel if leaf > max => max,
            _ => leaf,
        };
        // CAST: widening, here and below.
        let index = subleaf as usize;
        match leaf {
            1 => v.leaf1(&self.basic[1]),
            4 => self.cache.get(index).copied().unwrap_or_default(),
            7 => {
                let mut regs = self.feat.get(index).copied().unwrap_or_default();
                if subleaf == 0 {
                    regs[2] |= v.leaf7_ecx;
                }
                regs
            }
            0xb if max >= 0xb => {
                let mut regs = self.topo.get(index).copied().unwrap_or_default();
                regs[2] = (regs[2] & 0xff00) | (subleaf & 0xff);
                regs[3] = v.apic_id;
                regs
            }
            0xd => {
                let mut regs = self.xstate.get(index).copied().unwrap_or_default();
                match subleaf {
                    0 if self.has(feature::XSAVE) => {
                        regs[1] = xstate::size(&self.xstate, v.xcr0);
                    }
                    1 if self.has(feature::XSAVEC) => {
                        regs[1] = xstate::compact_size(&self.xstate, v.xcr0);
                    }
                    _ => {}
                }
                regs
            }
            _ => self.basic.get(leaf as usize).copied().unwrap_or_default(),
        }
    }

    /// Answers leaves above the basic ones.
    fn lookup_high(&self, leaf: u32, subleaf: u32, v: &VcpuView, d: &DomainView) -> Regs {
        let index = leaf.wrapping_sub(EXTD_BASE);
        if leaf <= self.extd[0][0] {
            // CAST: widening.
            if let Some(regs) = self.extd.get(index as usize) {
                let mut regs = *regs;
                if index == 1 {
                    regs[3] &= v.extd1_edx;
                }
                return regs;
            }
        }
        let index = leaf.wrapping_sub(view::XEN_BASE);
        if index < 0x100 {
            return view::xen_leaf(self, index, subleaf, v, d);
        }
        match self.vendor {
            Vendor::Intel => self.lookup_basic(leaf, subleaf, v),
            _ => [0; 4],
        }
    }

    /// Returns whether the policy offers `feature`.
    #[inline]
    pub(crate) fn has(&self, feature: Feature) -> bool {
        self.word(feature.word()) & feature.mask() != 0
    }

    /// Returns whose processor the policy describes.
    pub(crate) fn vendor(&self) -> Vendor {
        self.vendor
    }

    /// Returns the XCR0 bits that the guest may set; 0 without XSAVE.
    pub(crate) fn xcr0_mask(&self) -> u64 {
        u64::from(self.xstate[0][0]) | u64::from(self.xstate[0][3]) << 32
    }

    /// Returns the size in bytes of the XSAVE area in the standard format with the state of `xcr0`.
    pub(crate) fn xsave_size(&self, xcr0: u64) -> u32 {
        xstate::size(&self.xstate, xcr0)
    }

    /// Returns where a state component is in an XSAVE area in the standard format; 0 if there is none.
    pub(crate) fn xsave_offset(&self, component: usize) -> u32 {
        self.xstate.get(component).map_or(0, |row| row[1])
    }

    /// Returns a bit for each state component, by its number, that begins at a multiple of 64 in the compacted format.
    pub(crate) fn xsave_aligned(&self) -> u64 {
        let rows = (0_u32..).zip(&self.xstate).skip(2);
        rows.filter(|(_, row)| row[2] & 2 != 0)
            .fold(0, |bits, (bit, _)| bits | 1u64.wrapping_shl(bit))
    }

    /// Returns the width of physical addresses in bits.
    pub(crate) fn paddr_bits(&self) -> u32 {
        match self.extd[8][0] & 0xff {
            0 => 36,
            bits => bits.min(52),
        }
    }

    /// Returns one word of the feature set.
    #[inline]
    fn word(&self, word: usize) -> u32 {
        match word {
            0 => self.basic[1][3],
            1 => self.basic[1][2],
            2 => self.extd[1][3],
            3 => self.extd[1][2],
            4 => self.xstate[1][0],
            5 => self.feat[0][1],
            6 => self.feat[0][2],
            7 => self.extd[7][3],
            8 => self.extd[8][1],
            9 => self.feat[0][3],
            10 => self.feat[1][0],
            11 => self.extd[0x21][0],
            12 => self.feat[1][1],
            13 => self.feat[2][3],
            14 => self.feat[1][2],
            15 => self.feat[1][3],
            // CAST: the low half, then the high half.
            16 => self.arch_caps as u32,
            17 => (self.arch_caps >> 32) as u32,
            18 => self.extd[0x21][2],
            _ => 0,
        }
    }

    /// Returns the features, in Xen's order of words.
    pub(crate) fn features(&self) -> FeatureSet {
        FeatureSet(core::array::from_fn(|word| self.word(word)))
    }

    /// Writes all features.
    pub(super) fn set_features(&mut self, set: &FeatureSet) {
        let w = &set.0;
        self.basic[1][3] = w[0];
        self.basic[1][2] = w[1];
        self.extd[1][3] = w[2];
        self.extd[1][2] = w[3];
        self.xstate[1][0] = w[4];
        self.feat[0][1] = w[5];
        self.feat[0][2] = w[6];
        self.extd[7][3] = w[7];
        self.extd[8][1] = w[8];
        self.feat[0][3] = w[9];
        self.feat[1][0] = w[10];
        self.extd[0x21][0] = w[11];
        self.feat[1][1] = w[12];
        self.feat[2][3] = w[13];
        self.feat[1][2] = w[14];
        self.feat[1][3] = w[15];
        self.arch_caps = u64::from(w[16]) | u64::from(w[17]) << 32;
        self.extd[0x21][2] = w[18];
    }

    /// Brings `vendor` and `not_plain` in line with the leaves.
    pub(super) fn index(&mut self) {
        self.vendor = Vendor::from_leaf0(&self.basic[0]);
        self.not_plain = NOT_PLAIN;
        if self.vendor == Vendor::Intel {
            // Leaves that are not there repeat the greatest one.
            let beyond = self.basic[0][0].saturating_add(1);
            self.not_plain |= u32::MAX.checked_shl(beyond).unwrap_or(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        epyc,
        feature as f,
        Topology, //
    };
    use super::*;
    use proptest::prelude::*;

    fn guest(vcpus: u32) -> CpuPolicy {
        let system = epyc::system();
        system.for_domain(Topology { cores: vcpus })
    }

    fn intel_guest() -> CpuPolicy {
        epyc::intel_system().for_domain(Topology { cores: 2 })
    }

    #[test]
    fn vendors() {
        assert_eq!(guest(1).vendor(), Vendor::Amd);
        assert_eq!(intel_guest().vendor(), Vendor::Intel);
    }

    #[test]
    fn plain_leaves_are_copied() {
        let p = guest(2);
        let (v, d) = (VcpuView::new(0), DomainView::default());
        assert_eq!(
            p.lookup(0, 0, &v, &d),
            [0xd, 0x6874_7541, 0x444d_4163, 0x6974_6e65]
        );
        assert_eq!(
            p.lookup(0x8000_0002, 9, &v, &d),
            [0x2044_4d41, 0x4359_5045, 0x6f72_5020, 0x7373_6563]
        );
    }

    #[test]
    fn leaf_1_follows_the_vcpu() {
        let p = guest(4);
        let d = DomainView::default();
        let mut v = VcpuView::new(3);
        let regs = p.lookup(1, 0, &v, &d);
        assert_eq!(regs[1] >> 24, 6, "the APIC id is twice the vCPU's number");
        assert_ne!(regs[2] & 1 << 31, 0, "hypervisor");
        assert_eq!(regs[2] & 1 << 27, 0, "OSXSAVE");
        assert_ne!(regs[3] & 1 << 9, 0, "APIC");

        v.set_cr4(1 << 18);
        v.set_apic_enabled(false);
        let regs = p.lookup(1, 0, &v, &d);
        assert_ne!(regs[2] & 1 << 27, 0, "OSXSAVE");
        assert_eq!(regs[3] & 1 << 9, 0, "APIC");
        assert_eq!(
            p.lookup(0x8000_0001, 0, &v, &d)[3] & 1 << 9,
            0,
            "AMD repeats it"
        );
    }

    #[test]
    fn topology_names_every_vcpu() {
        for n in [1_u32, 2, 3, 4, 7, 64, 128, 200] {
            let p = guest(n);
            let d = DomainView::default();
            let v = VcpuView::new(n - 1);
            let apic = 2 * (n - 1);

            let smt = p.lookup(0xb, 0, &v, &d);
            assert_eq!(smt, [1, 1, 0x100, apic]);
            let core = p.lookup(0xb, 1, &v, &d);
            assert_eq!(core[1..], [n, 0x201, apic]);
            // All are in one package, and nothing smaller would do.
            assert_eq!(apic >> core[0], 0);
            assert!(n == 1 || apic >> (core[0] - 1) != 0);
            assert_eq!(p.lookup(0xb, 2, &v, &d), [0, 0, 2, apic]);

            let size = p.lookup(0x8000_0008, 0, &v, &d)[2];
            assert_eq!((size >> 12) & 0xf, core[0]);
            assert_eq!(size & 0xff, (n - 1).min(255));
            let one = p.lookup(1, 0, &v, &d);
            assert_eq!(one[3] >> 28 & 1, u32::from(n > 1), "HTT");
            if n > 1 {
                assert_eq!(one[1] >> 16 & 0xff, n.min(255));
            }
            assert_eq!(p.lookup(0x8000_001e, 0, &v, &d), [0; 4], "no TOPOEXT");
        }
    }

    #[test]
    fn intel_topology() {
        let p = intel_guest();
        let d = DomainView::default();
        let v = VcpuView::new(1);
        assert_eq!(p.lookup(0xb, 1, &v, &d), [2, 2, 0x201, 2]);
        let l1 = p.lookup(4, 0, &v, &d)[0];
        assert_eq!(
            (l1 >> 26, l1 >> 14 & 0xfff),
            (1, 1),
            "two cores, a cache of one core"
        );
        let l3 = p.lookup(4, 3, &v, &d)[0];
        assert_eq!(
            (l3 >> 26, l3 >> 14 & 0xfff),
            (1, 3),
            "a cache of the package"
        );
        assert_eq!(p.lookup(4, 4, &v, &d)[0] & 0x1f, 0);
        assert_eq!(p.lookup(1, 0, &v, &d)[1] >> 16 & 0xff, 4);
    }

    #[test]
    fn xstate_follows_xcr0() {
        let p = guest(1);
        let d = DomainView::default();
        let mut v = VcpuView::new(0);
        v.set_xcr0(1);
        assert_eq!(p.lookup(0xd, 0, &v, &d), [7, 576, 832, 0]);
        v.set_xcr0(7);
        assert_eq!(p.lookup(0xd, 0, &v, &d), [7, 832, 832, 0]);
        assert_eq!(p.lookup(0xd, 2, &v, &d), [256, 576, 0, 0]);
        assert_eq!(p.lookup(0xd, 3, &v, &d), [0; 4]);
        // This processor has XSAVEOPT and XGETBV with ECX = 1, but no XSAVEC.
        assert_eq!(p.lookup(0xd, 1, &v, &d), [5, 0, 0, 0]);
        assert_eq!(p.xcr0_mask(), 7);
    }

    #[test]
    fn what_is_not_there() {
        let (v, d) = (VcpuView::new(1), DomainView::default());
        let amd = guest(2);
        for leaf in [
            0xe,
            0x14,
            0x1f,
            0x20,
            0x3fff_ffff,
            0x4000_0100,
            0x8000_0022,
            0xc000_0000,
            !0,
        ] {
            assert_eq!(amd.lookup(leaf, 0, &v, &d), [0; 4], "{leaf:#x}");
        }
        let intel = intel_guest();
        for leaf in [
            0xe,
            0x14,
            0x1f,
            0x20,
            0x3fff_ffff,
            0x4000_0100,
            0x8000_0009,
            0xc000_0000,
            !0,
        ] {
            assert_eq!(
                intel.lookup(leaf, 1, &v, &d),
                intel.lookup(0xd, 1, &v, &d),
                "{leaf:#x}"
            );
        }
        assert_eq!(
            intel.lookup(0x4000_0006, 0, &v, &d),
            [0; 4],
            "but Xen's block ends with zeroes"
        );
    }

    #[test]
    fn an_intel_guest_with_few_leaves_repeats_the_last() {
        let mut p = intel_guest();
        p.basic[0][0] = 4;
        p.index();
        let (v, d) = (VcpuView::new(1), DomainView::default());
        for leaf in [5, 6, 7, 0xb, 0xd] {
            assert_eq!(p.lookup(leaf, 2, &v, &d), p.cache[2]);
        }
    }

    #[test]
    fn intel_hides_syscall_outside_of_long_mode() {
        let p = intel_guest();
        let d = DomainView::default();
        let mut v = VcpuView::new(0);
        assert_ne!(p.lookup(0x8000_0001, 0, &v, &d)[3] & 1 << 11, 0);
        v.set_long_mode(false);
        assert_eq!(p.lookup(0x8000_0001, 0, &v, &d)[3] & 1 << 11, 0);
    }

    #[test]
    fn features_round_trip() {
        let mut p = guest(2);
        let set = p.features();
        p.set_features(&set);
        assert_eq!(p.features(), set);
        let pattern = FeatureSet(core::array::from_fn(|i| 0x0101_0101 * i as u32));
        p.set_features(&pattern);
        assert_eq!(p.features(), pattern);
        assert_eq!(p.has(f::Feature::from_number(3 * 32)), 0x0303_0303 & 1 != 0);
    }

    proptest! {
        #[test]
        fn lookup_is_total(
            leaf in prop_oneof![
                any::<u32>(),
                0..0x30_u32,
                0x4000_0000..0x4000_0200_u32,
                0x8000_0000..0x8000_0040_u32
            ],
            subleaf in prop_oneof![any::<u32>(), 0..70_u32],
            xcr0 in any::<u64>(),
            vcpu in any::<u32>(),
            cr4 in any::<u64>(),
        ) {
            let d = DomainView::default();
            let mut v = VcpuView::new(vcpu);
            v.set_cr4(cr4);
            v.set_xcr0(xcr0);
            for p in [guest(3), intel_guest()] {
                let _ = p.lookup(leaf, subleaf, &v, &d);
            }
        }
    }
}
