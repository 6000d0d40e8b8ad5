// SPDX-License-Identifier: GPL-2.0-only

//! Policies as Xen's tools exchange them: lists of leaves and of MSRs.
//!
//! Source: Xen's `arch-x86/xen.h`, `domctl.h` (`XEN_DOMCTL_{get,set}_cpu_policy`), `sysctl.h`
//! (`XEN_SYSCTL_get_cpu_policy`), and how the tools of 4.20 read them: leaves in ascending order,
//! with [`NO_SUBLEAF`] where a leaf has none, the two hypervisor blocks between basic and extended
//! ones.

use super::{
    cpuid::{
        CpuPolicy,
        Regs,
        Vendor,
        CACHE,
        EXTD_BASE,
        FEAT,
        TOPO, //
    },
    derive,
    Topology, //
};
use crate::abi::{
    domctl::domain::{
        CpuidLeaf,
        MsrEntry,
        CPUID_NO_SUBLEAF as NO_SUBLEAF, //
    },
    errno::{
        Errno,
        Result,
        E2BIG,
        EINVAL,
        ENOBUFS,
        EOVERFLOW,
        ERANGE, //
    },
};

/// The most leaves that a policy is ever sent as; what a caller without a buffer is told.
pub(crate) const MAX_LEAVES: u32 = 120;

/// The most MSRs that a policy is ever sent as.
pub(crate) const MAX_MSRS: u32 = 2;

/// The number of subleaves of leaf 0xd that tools may send.
const XSTATE_SENT: u32 = 63;

/// `PLATFORM_INFO`.
const MSR_PLATFORM_INFO: u32 = 0xce;
/// `ARCH_CAPABILITIES`.
const MSR_ARCH_CAPABILITIES: u32 = 0x10a;

/// The first leaf of the second block of hypervisor leaves.
const HV2_BASE: u32 = 0x4000_0100;
/// The first leaf of the first block.
const HV_BASE: u32 = 0x4000_0000;

/// Makes an element of the list of leaves.
const fn entry(leaf: u32, subleaf: u32, regs: &Regs) -> CpuidLeaf {
    let [a, b, c, d] = *regs;
    CpuidLeaf {
        leaf,
        subleaf,
        a,
        b,
        c,
        d,
    }
}

/// What of a policy was refused, as `XEN_DOMCTL_set_cpu_policy` reports it; all ones if not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PolicyErrors {
    /// The leaf.
    pub(crate) leaf: u32,
    /// The subleaf.
    pub(crate) subleaf: u32,
    /// The MSR.
    pub(crate) msr: u32,
}

impl PolicyErrors {
    /// Nothing was refused yet.
    pub(crate) const NONE: Self = Self {
        leaf: !0,
        subleaf: !0,
        msr: !0,
    };

    /// Notes the leaf and makes the error.
    fn leaf<T>(&mut self, leaf: u32, subleaf: u32, errno: Errno) -> Result<T> {
        self.leaf = leaf;
        self.subleaf = subleaf;
        Err(errno)
    }

    /// Notes the MSR and makes the error.
    fn msr<T>(&mut self, msr: u32, errno: Errno) -> Result<T> {
        self.msr = msr;
        Err(errno)
    }
}

impl CpuPolicy {
    /// Calls `put` with each leaf, in the order in which tools expect them.
    ///
    /// # Errors
    ///
    /// The first error of `put`.
    fn each_leaf(&self, mut put: impl FnMut(CpuidLeaf) -> Result) -> Result {
        let mut emit = |leaf, subleaf, regs: &Regs| put(entry(leaf, subleaf, regs));
        let max = self.basic[0][0];
        for (leaf, regs) in (0..=max).zip(&self.basic) {
            match leaf {
                4 => {
                    for (subleaf, regs) in (0..).zip(&self.cache) {
                        emit(leaf, subleaf, regs)?;
                        if regs[0] & 0x1f == 0 {
                            break;
                        }
                    }
                }
                7 => {
                    for (subleaf, regs) in (0..=self.feat[0][0]).zip(&self.feat) {
                        emit(leaf, subleaf, regs)?;
                    }
                }
                0xb => {
                    for (subleaf, regs) in (0..).zip(&self.topo) {
                        emit(leaf, subleaf, regs)?;
                        if regs[2] & 0xff00 == 0 {
                            break;
                        }
                    }
                }
                0xd => {
                    let [state, more, ..] = self.xstate;
                    let states =
                        u64::from(state[0] | more[2]) | u64::from(state[3] | more[3]) << 32;
                    // The first two are there in any case; then up to the last component.
                    let count = (u64::BITS - states.leading_zeros()).max(2);
                    for (subleaf, regs) in (0..count).zip(&self.xstate) {
                        emit(leaf, subleaf, regs)?;
                    }
                }
                _ => emit(leaf, NO_SUBLEAF, regs)?,
            }
        }
        emit(HV_BASE, NO_SUBLEAF, &[self.hv_limit.into(), 0, 0, 0])?;
        emit(HV2_BASE, NO_SUBLEAF, &[self.hv2_limit.into(), 0, 0, 0])?;
        let max = self.extd[0][0];
        for (leaf, regs) in (EXTD_BASE..=max).zip(&self.extd) {
            emit(leaf, NO_SUBLEAF, regs)?;
        }
        Ok(())
    }

    /// Returns how many leaves the policy is sent as.
    pub(crate) fn leaf_count(&self) -> u32 {
        let mut count = 0_u32;
        // `put` never fails.
        let _ = self.each_leaf(|_| {
            count = count.saturating_add(1);
            Ok(())
        });
        count
    }

    /// Sends the leaves to `put`, which gets their position as well, and returns their number.
    ///
    /// # Errors
    ///
    /// ENOBUFS before anything is sent if there are more than `capacity`; [`Self::leaf_count`]
    /// tells how many. Otherwise the first error of `put`.
    pub(crate) fn write_leaves(
        &self,
        capacity: u32,
        mut put: impl FnMut(u32, &CpuidLeaf) -> Result,
    ) -> Result<u32> {
        if self.leaf_count() > capacity {
            return Err(ENOBUFS);
        }
        let mut count = 0_u32;
        self.each_leaf(|leaf| {
            put(count, &leaf)?;
            count = count.saturating_add(1);
            Ok(())
        })?;
        Ok(count)
    }

    /// Returns the MSRs that the policy is sent as, all of them always.
    pub(crate) fn msrs(&self) -> [MsrEntry; MAX_MSRS as usize] {
        let entry = |idx, val| MsrEntry { idx, flags: 0, val };
        [
            entry(MSR_PLATFORM_INFO, self.platform_info),
            entry(MSR_ARCH_CAPABILITIES, self.arch_caps),
        ]
    }

    /// Sends the MSRs to `put`, which gets their position as well, and returns their number.
    ///
    /// # Errors
    ///
    /// ENOBUFS before anything is sent if there are more than `capacity`. Otherwise the first error
    /// of `put`.
    pub(crate) fn write_msrs(
        &self,
        capacity: u32,
        mut put: impl FnMut(u32, &MsrEntry) -> Result,
    ) -> Result<u32> {
        if capacity < MAX_MSRS {
            return Err(ENOBUFS);
        }
        for (index, entry) in (0..).zip(&self.msrs()) {
            put(index, entry)?;
        }
        Ok(MAX_MSRS)
    }

    /// Returns this policy with the leaves and MSRs that a toolstack wants, as
    /// `XEN_DOMCTL_set_cpu_policy` does. Leaves and MSRs that are not listed stay as they are.
    ///
    /// A feature that `max` does not have is dropped without an error, as Xen does, and so is what
    /// needs it; the domain's own policy tells what it got. The topology is that of the domain.
    ///
    /// # Errors
    ///
    /// - E2BIG: more leaves or MSRs than a policy can have.
    /// - ERANGE: a leaf, subleaf or MSR that is not part of a policy.
    /// - EINVAL: more leaves than `max` allows, another vendor than the processor's (its world
    ///   switch instructions and system calls are not emulated), a `PLATFORM_INFO` that `max` does
    ///   not allow, or an MSR with flags.
    /// - EOVERFLOW: bits of an MSR that it does not have.
    pub(crate) fn with_update(
        &self,
        leaves: &[CpuidLeaf],
        msrs: &[MsrEntry],
        max: &Self,
        topology: Topology,
        errors: &mut PolicyErrors,
    ) -> Result<Self> {
        *errors = PolicyErrors::NONE;
        // CAST: widening.
        if leaves.len() > MAX_LEAVES as usize || msrs.len() > MAX_MSRS as usize {
            return Err(E2BIG);
        }
        let mut p = self.clone();
        for leaf in leaves {
            if !p.read_leaf(leaf) {
                return errors.leaf(leaf.leaf, leaf.subleaf, ERANGE);
            }
        }
        for entry in msrs {
            p.read_msr(entry, errors)?;
        }
        derive::clear_absent(&mut p);

        if p.basic[0][0] > max.basic[0][0] || Vendor::from_leaf0(&p.basic[0]) != max.vendor() {
            return errors.leaf(0, NO_SUBLEAF, EINVAL);
        }
        if p.feat[0][0] > max.feat[0][0] {
            return errors.leaf(7, 0, EINVAL);
        }
        if p.extd[0][0] > max.extd[0][0] {
            return errors.leaf(EXTD_BASE, NO_SUBLEAF, EINVAL);
        }
        if p.platform_info & !max.platform_info != 0 {
            return errors.msr(MSR_PLATFORM_INFO, EINVAL);
        }
        derive::recalculate(&mut p, max, topology);
        Ok(p)
    }

    /// Stores a leaf, and returns whether there is such a leaf in a policy.
    fn read_leaf(&mut self, new: &CpuidLeaf) -> bool {
        // CAST: widening, here and below.
        let subleaf = new.subleaf as usize;
        let plain = new.subleaf == NO_SUBLEAF;
        let regs = [new.a, new.b, new.c, new.d];
        let place = match new.leaf {
            4 if subleaf < CACHE => self.cache.get_mut(subleaf),
            7 if subleaf < FEAT => self.feat.get_mut(subleaf),
            0xb if subleaf < TOPO => self.topo.get_mut(subleaf),
            0xd if new.subleaf < XSTATE_SENT => match self.xstate.get_mut(subleaf) {
                // A component that no guest has: the leaf is made anew anyway.
                None => return true,
                place => place,
            },
            4 | 7 | 0xb | 0xd => None,
            HV_BASE if plain => {
                // CAST: Xen keeps the low eight bits.
                self.hv_limit = new.a as u8;
                return true;
            }
            HV2_BASE if plain => {
                self.hv2_limit = new.a as u8;
                return true;
            }
            leaf if plain && leaf >= EXTD_BASE => {
                self.extd.get_mut(leaf.wrapping_sub(EXTD_BASE) as usize)
            }
            leaf if plain => self.basic.get_mut(leaf as usize),
            _ => None,
        };
        place.map(|place| *place = regs).is_some()
    }

    /// Stores an MSR.
    fn read_msr(&mut self, new: &MsrEntry, errors: &mut PolicyErrors) -> Result {
        if new.flags != 0 {
            return errors.msr(new.idx, EINVAL);
        }
        match new.idx {
            MSR_PLATFORM_INFO if new.val > u32::MAX.into() => errors.msr(new.idx, EOVERFLOW),
            MSR_PLATFORM_INFO => {
                self.platform_info = new.val;
                Ok(())
            }
            MSR_ARCH_CAPABILITIES => {
                self.arch_caps = new.val;
                Ok(())
            }
            _ => errors.msr(new.idx, ERANGE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        epyc,
        feature as f,
        xstate,
        SystemPolicies, //
    };
    use super::*;
    use crate::abi::errno::EFAULT;
    use proptest::prelude::*;

    fn regs_of(l: &CpuidLeaf) -> Regs {
        [l.a, l.b, l.c, l.d]
    }

    const TWO: Topology = Topology { cores: 2 };

    fn leaves(p: &CpuPolicy) -> Vec<CpuidLeaf> {
        let mut out = Vec::new();
        let count = p
            .write_leaves(MAX_LEAVES, |index, leaf| {
                assert_eq!(index as usize, out.len());
                out.push(*leaf);
                Ok(())
            })
            .unwrap();
        assert_eq!(count as usize, out.len());
        out
    }

    fn update(s: &SystemPolicies, p: &CpuPolicy, l: &[CpuidLeaf], m: &[MsrEntry]) -> CpuPolicy {
        let mut errors = PolicyErrors::NONE;
        p.with_update(l, m, &s.hvm_max, TWO, &mut errors).unwrap()
    }

    fn edit(l: &mut [CpuidLeaf], leaf: u32, subleaf: u32, change: impl Fn(&mut [u32; 4])) {
        let at = l
            .iter_mut()
            .find(|x| (x.leaf, x.subleaf) == (leaf, subleaf))
            .unwrap();
        let mut regs = regs_of(at);
        change(&mut regs);
        *at = entry(leaf, subleaf, &regs);
    }

    fn check_bounds(p: &CpuPolicy, max: &CpuPolicy) {
        assert!(p.features().is_subset(&max.features()));
        assert!(p.basic[0][0] <= max.basic[0][0]);
        assert!(p.feat[0][0] <= max.feat[0][0]);
        assert!(p.extd[0][0] >= EXTD_BASE && p.extd[0][0] <= max.extd[0][0]);
        assert_eq!(p.xcr0_mask() & !max.xcr0_mask(), 0);
        assert!(p.xcr0_mask() == 0 || xstate::xcr0_valid(p.xcr0_mask(), p.xcr0_mask()));
        assert_eq!(p.platform_info & !max.platform_info, 0);
        assert!(p.paddr_bits() <= max.paddr_bits().max(36));
        assert_eq!(p.vendor(), max.vendor());
        assert!(p.leaf_count() <= MAX_LEAVES);
    }

    #[test]
    fn order_and_shape() {
        for system in [epyc::system(), epyc::intel_system()] {
            for index in [0, 1, 3, 5] {
                let p = system.policy(index).unwrap();
                let list = leaves(p);
                assert!(list.len() <= MAX_LEAVES as usize);
                assert!(
                    list.windows(2)
                        .all(|w| (w[0].leaf, w[0].subleaf) < (w[1].leaf, w[1].subleaf)),
                    "ascending, none twice"
                );
                for l in &list {
                    let multi = matches!(l.leaf, 4 | 7 | 0xb | 0xd);
                    assert_eq!(l.subleaf == NO_SUBLEAF, !multi, "{:#x}", l.leaf);
                }
                assert_eq!(list.iter().filter(|l| l.leaf >> 28 == 4).count(), 2);
            }
        }
    }

    #[test]
    fn buffers_that_are_too_short() {
        let system = epyc::system();
        let p = &system.hvm_default;
        let count = p.leaf_count();
        let put = |_: u32, _: &CpuidLeaf| Ok(());
        assert_eq!(p.write_leaves(count - 1, put), Err(ENOBUFS));
        assert_eq!(p.write_leaves(count, put), Ok(count));
        assert_eq!(p.write_leaves(MAX_LEAVES, |_, _| Err(EFAULT)), Err(EFAULT));
        assert_eq!(p.write_msrs(1, |_, _| Ok(())), Err(ENOBUFS));
        assert_eq!(p.write_msrs(2, |_, _| Ok(())), Ok(2));
    }

    #[test]
    fn the_default_policy_is_accepted_and_kept() {
        for system in [epyc::system(), epyc::intel_system()] {
            let p = system.for_domain(TWO);
            let again = update(
                &system,
                &p,
                &leaves(&system.hvm_default),
                &system.hvm_default.msrs(),
            );
            assert_eq!(again, p);
            check_bounds(&p, &system.hvm_max);
        }
    }

    #[test]
    fn the_toolstacks_topology_does_not_matter() {
        let system = epyc::system();
        let p = system.for_domain(TWO);
        let mut list = leaves(&system.hvm_default);
        edit(&mut list, 1, NO_SUBLEAF, |r| {
            r[1] |= 0x0210_0000;
            r[3] |= 1 << 28;
        });
        edit(&mut list, 0x8000_0008, NO_SUBLEAF, |r| r[2] = 0x7fff);
        edit(&mut list, 0x8000_0001, NO_SUBLEAF, |r| r[2] &= !2);
        assert_eq!(update(&system, &p, &list, &[]), p);
    }

    #[test]
    fn features_can_be_taken_and_given_back() {
        let system = epyc::system();
        let p = system.for_domain(TWO);
        let mut list = leaves(&p);
        edit(&mut list, 1, NO_SUBLEAF, |r| r[2] &= !f::AVX.mask());
        let less = update(&system, &p, &list, &[]);
        for gone in [f::AVX, f::AVX2, f::FMA] {
            assert!(!(p.has(gone) && less.has(gone)));
            assert!(!less.has(gone));
        }
        assert_eq!(less.xcr0_mask(), 3);
        assert_eq!(less.xsave_size(3), 576);
        assert_eq!(update(&system, &less, &leaves(&p), &[]), p);
    }

    #[test]
    fn tsx_bits_read_back() {
        let system = epyc::intel_system();
        let p = system.for_domain(TWO);
        assert!(p.has(f::RTM) && !p.has(f::HLE) && !p.has(f::RTM_ALWAYS_ABORT));
        let mut list = leaves(&p);
        edit(&mut list, 7, 0, |r| {
            r[1] ^= f::HLE.mask() | f::RTM.mask();
            r[3] ^= f::RTM_ALWAYS_ABORT.mask();
        });
        let find = |list: &[CpuidLeaf]| {
            let at = list.iter().find(|l| (l.leaf, l.subleaf) == (7, 0));
            regs_of(at.unwrap())
        };
        let wanted = find(&list);
        let new = update(&system, &p, &list, &p.msrs());
        assert_eq!(new.feat[0], wanted);
        assert_eq!(find(&leaves(&new)), wanted);
    }

    #[test]
    fn refusals() {
        let system = epyc::system();
        let p = system.for_domain(TWO);
        let try_leaf = |leaf, subleaf, regs| {
            let mut e = PolicyErrors::NONE;
            let list = [entry(leaf, subleaf, &regs)];
            let r = p.with_update(&list, &[], &system.hvm_max, TWO, &mut e);
            (r.map(|_| ()), e.leaf, e.subleaf, e.msr)
        };
        let zero = [0; 4];
        for (leaf, subleaf) in [
            (0, 0),
            (4, 6),
            (4, NO_SUBLEAF),
            (7, 3),
            (0xb, 2),
            (0xd, 63),
            (0xe, NO_SUBLEAF),
            (0x14, 0),
            (0x4000_0000, 0),
            (0x4000_0001, NO_SUBLEAF),
            (0x8000_0022, NO_SUBLEAF),
            (0x8000_0001, 0),
            (!0, NO_SUBLEAF),
        ] {
            assert_eq!(
                try_leaf(leaf, subleaf, zero),
                (Err(ERANGE), leaf, subleaf, !0),
                "{leaf:#x}"
            );
        }
        assert_eq!(try_leaf(0xd, 62, [!0; 4]), (Ok(()), !0, !0, !0));

        let [_, b, c, d] = p.basic[0];
        assert_eq!(
            try_leaf(0, NO_SUBLEAF, [0xe, b, c, d]),
            (Err(EINVAL), 0, NO_SUBLEAF, !0)
        );
        assert_eq!(
            try_leaf(0, NO_SUBLEAF, [0xd, c, b, d]),
            (Err(EINVAL), 0, NO_SUBLEAF, !0)
        );
        assert_eq!(try_leaf(7, 0, [3, 0, 0, 0]), (Err(EINVAL), 7, 0, !0));
        assert_eq!(
            try_leaf(EXTD_BASE, NO_SUBLEAF, [0x8000_0022, 0, 0, 0]),
            (Err(EINVAL), EXTD_BASE, NO_SUBLEAF, !0)
        );

        let try_msr = |idx, flags, val| {
            let mut e = PolicyErrors::NONE;
            let list = [MsrEntry { idx, flags, val }];
            let r = p.with_update(&[], &list, &system.hvm_max, TWO, &mut e);
            (r.map(|_| ()), e.msr)
        };
        assert_eq!(try_msr(0xce, 0, 1 << 31), (Ok(()), !0));
        assert_eq!(try_msr(0xce, 1, 0), (Err(EINVAL), 0xce));
        assert_eq!(try_msr(0xce, 0, 1), (Err(EINVAL), 0xce));
        assert_eq!(try_msr(0xce, 0, 1 << 32), (Err(EOVERFLOW), 0xce));
        assert_eq!(try_msr(0x10, 0, 0), (Err(ERANGE), 0x10));

        let many = [entry(0, NO_SUBLEAF, &zero); MAX_LEAVES as usize + 1];
        let mut e = PolicyErrors::NONE;
        assert_eq!(
            p.with_update(&many, &[], &system.hvm_max, TWO, &mut e)
                .err(),
            Some(E2BIG)
        );
        let many = p.msrs().map(|msr| [msr; 2]).concat();
        assert_eq!(
            p.with_update(&[], &many, &system.hvm_max, TWO, &mut e)
                .err(),
            Some(E2BIG)
        );
    }

    fn any_leaf() -> impl Strategy<Value = CpuidLeaf> {
        let number = prop_oneof![
            0..0x10_u32,
            Just(HV_BASE),
            Just(HV2_BASE),
            EXTD_BASE..EXTD_BASE + 0x24,
            any::<u32>()
        ];
        let subleaf = prop_oneof![4 => Just(NO_SUBLEAF), 4 => 0..8_u32, 1 => any::<u32>()];
        (number, subleaf, any::<[u32; 4]>())
            .prop_map(|(leaf, subleaf, regs)| entry(leaf, subleaf, &regs))
    }

    /// Leaves that are all part of a policy, so that the update is not refused at the first of
    /// them.
    fn plausible_leaf() -> impl Strategy<Value = CpuidLeaf> {
        let place = prop_oneof![
            prop_oneof![
                Just(1_u32),
                Just(2),
                Just(3),
                Just(5),
                Just(6),
                8..0xb_u32,
                Just(0xc)
            ]
            .prop_map(|l| (l, NO_SUBLEAF)),
            (0..6_u32).prop_map(|s| (4, s)),
            (1..3_u32).prop_map(|s| (7, s)),
            (0..2_u32).prop_map(|s| (0xb, s)),
            (0..63_u32).prop_map(|s| (0xd, s)),
            (EXTD_BASE + 1..EXTD_BASE + 0x22).prop_map(|l| (l, NO_SUBLEAF)),
        ];
        (place, any::<[u32; 4]>()).prop_map(|((leaf, subleaf), regs)| entry(leaf, subleaf, &regs))
    }

    fn any_msr() -> impl Strategy<Value = MsrEntry> {
        let idx = prop_oneof![Just(0xce_u32), Just(0x10a), any::<u32>()];
        let flags = prop_oneof![9 => Just(0_u32), 1 => any::<u32>()];
        (idx, flags, any::<u64>()).prop_map(|(idx, flags, val)| MsrEntry { idx, flags, val })
    }

    proptest! {
        #[test]
        fn hostile_updates_stay_in_bounds(
            lists in prop::collection::vec(
                (prop::collection::vec(any_leaf(), 0..130), prop::collection::vec(any_msr(), 0..4)),
                1..3,
            ),
            intel: bool,
            cores in 0..2000_u32,
        ) {
            let system = if intel { epyc::intel_system() } else { epyc::system() };
            let topology = Topology { cores };
            let mut p = system.for_domain(topology);
            for (l, m) in &lists {
                let mut e = PolicyErrors::NONE;
                if let Ok(new) = p.with_update(l, m, &system.hvm_max, topology, &mut e) {
                    p = new;
                }
                check_bounds(&p, &system.hvm_max);
            }
        }

        #[test]
        fn accepted_updates_stay_in_bounds_and_are_stable(
            l in prop::collection::vec(plausible_leaf(), 0..60),
            feat0 in any::<[u32; 3]>(),
            max in (0..0xe_u32, 0..3_u32, 0..0x22_u32),
            intel: bool,
        ) {
            let system = if intel { epyc::intel_system() } else { epyc::system() };
            let p = system.for_domain(TWO);
            let [_, b, c, d] = p.basic[0];
            let mut l = l;
            l.push(entry(0, NO_SUBLEAF, &[max.0, b, c, d]));
            l.push(entry(7, 0, &[max.1, feat0[0], feat0[1], feat0[2]]));
            l.push(entry(EXTD_BASE, NO_SUBLEAF, &[EXTD_BASE | max.2, 0, 0, 0]));
            let new = update(&system, &p, &l, &[]);
            check_bounds(&new, &system.hvm_max);
            // What is read back can be set again, and is then the same.
            let again = update(&system, &new, &leaves(&new), &new.msrs());
            prop_assert_eq!(again, new);
        }
    }
}
