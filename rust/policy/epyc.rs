// SPDX-License-Identifier: GPL-2.0-only

//! Processors for the tests: what CPUID says on QEMU's `EPYC-v1,+svm,+npt` with two cores (dumped
//! from a guest under TCG), and a made-up Intel server processor with TSX and AVX-512.

use super::{
    cpuid::{
        CpuPolicy,
        Regs, //
    },
    feature as f,
    Capabilities,
    SystemPolicies,
    Topology, //
};

/// A leaf and a subleaf with their registers; what is not listed reads as zeroes.
type Table = &'static [(u32, u32, Regs)];

const EPYC: Table = &[
    (0x0, 0, [0x0000000d, 0x68747541, 0x444d4163, 0x69746e65]),
    (0x1, 0, [0x00800f12, 0x01020800, 0xfed8320b, 0x178bfbfd]),
    (0x5, 0, [0x00000000, 0x00000000, 0x00000003, 0x00000000]),
    (0x6, 0, [0x00000004, 0x00000000, 0x00000000, 0x00000000]),
    (0x7, 0, [0x00000000, 0x209c01a9, 0x00000000, 0x00000000]),
    (0xb, 0, [0x00000000, 0x00000001, 0x00000100, 0x00000001]),
    (0xb, 1, [0x00000001, 0x00000002, 0x00000201, 0x00000001]),
    (0xd, 0, [0x00000007, 0x00000340, 0x00000340, 0x00000000]),
    (0xd, 1, [0x00000005, 0x00000340, 0x00000000, 0x00000000]),
    (0xd, 2, [0x00000100, 0x00000240, 0x00000000, 0x00000000]),
    (
        0x80000000,
        0,
        [0x8000001e, 0x68747541, 0x444d4163, 0x69746e65],
    ),
    (
        0x80000001,
        0,
        [0x00800f12, 0x00000000, 0x00000177, 0x2dd3fbfd],
    ),
    (
        0x80000002,
        0,
        [0x20444d41, 0x43595045, 0x6f725020, 0x73736563],
    ),
    (
        0x80000003,
        0,
        [0x0000726f, 0x00000000, 0x00000000, 0x00000000],
    ),
    (
        0x80000005,
        0,
        [0x01ff01ff, 0x01ff01ff, 0x20080140, 0x40040140],
    ),
    (
        0x80000006,
        0,
        [0x00000000, 0x42004200, 0x02006140, 0x00408140],
    ),
    (
        0x80000008,
        0,
        [0x00003028, 0x00000000, 0x00001001, 0x00000000],
    ),
    (
        0x8000000a,
        0,
        [0x00000001, 0x00000010, 0x00000000, 0x00000001],
    ),
    (
        0x8000001d,
        0,
        [0x00000121, 0x01c0003f, 0x0000003f, 0x00000001],
    ),
    (
        0x8000001d,
        1,
        [0x00000122, 0x00c0003f, 0x000000ff, 0x00000001],
    ),
    (
        0x8000001d,
        2,
        [0x00000043, 0x01c0003f, 0x000003ff, 0x00000000],
    ),
    (
        0x8000001d,
        3,
        [0x00004163, 0x03c0003f, 0x00001fff, 0x00000002],
    ),
    (
        0x8000001e,
        0,
        [0x00000001, 0x00000001, 0x00000000, 0x00000000],
    ),
];

const INTEL: Table = &[
    (0x0, 0, [0x00000016, 0x756e6547, 0x6c65746e, 0x49656e69]),
    (0x1, 0, [0x00050657, 0x00100800, 0x7ffefbff, 0xbfebfbff]),
    (0x2, 0, [0x76036301, 0x00f0b5ff, 0x00000000, 0x00c30000]),
    (0x4, 0, [0x1c004121, 0x01c0003f, 0x0000003f, 0x00000000]),
    (0x4, 1, [0x1c004122, 0x01c0003f, 0x0000003f, 0x00000000]),
    (0x4, 2, [0x1c004143, 0x03c0003f, 0x000003ff, 0x00000000]),
    (0x4, 3, [0x1c03c163, 0x0280003f, 0x0000ffff, 0x00000004]),
    (0x5, 0, [0x00000040, 0x00000040, 0x00000003, 0x00002020]),
    (0x6, 0, [0x00000077, 0x00000002, 0x00000009, 0x00000000]),
    (0x7, 0, [0x00000001, 0xd39ffffb, 0x00400004, 0xbc000400]),
    (0x7, 1, [0x00000020, 0x00000000, 0x00000000, 0x00000000]),
    (0xa, 0, [0x07300404, 0x00000000, 0x00000000, 0x00000603]),
    (0xb, 0, [0x00000001, 0x00000002, 0x00000100, 0x00000000]),
    (0xb, 1, [0x00000004, 0x00000010, 0x00000201, 0x00000000]),
    (0xd, 0, [0x000002ff, 0x00000a88, 0x00000a88, 0x00000000]),
    (0xd, 1, [0x0000000f, 0x00000a08, 0x00000100, 0x00000000]),
    (0xd, 2, [0x00000100, 0x00000240, 0x00000000, 0x00000000]),
    (0xd, 3, [0x00000040, 0x000003c0, 0x00000000, 0x00000000]),
    (0xd, 4, [0x00000040, 0x00000400, 0x00000000, 0x00000000]),
    (0xd, 5, [0x00000040, 0x00000440, 0x00000000, 0x00000000]),
    (0xd, 6, [0x00000200, 0x00000480, 0x00000000, 0x00000000]),
    (0xd, 7, [0x00000400, 0x00000680, 0x00000000, 0x00000000]),
    (0xd, 8, [0x00000080, 0x00000000, 0x00000001, 0x00000000]),
    (0xd, 9, [0x00000008, 0x00000a80, 0x00000000, 0x00000000]),
    (0x14, 0, [0x00000001, 0x0000000f, 0x00000007, 0x00000000]),
    (
        0x80000000,
        0,
        [0x80000008, 0x00000000, 0x00000000, 0x00000000],
    ),
    (
        0x80000001,
        0,
        [0x00000000, 0x00000000, 0x00000121, 0x2c100800],
    ),
    (
        0x80000002,
        0,
        [0x65746e49, 0x2952286c, 0x6f655820, 0x2952286e],
    ),
    (
        0x80000006,
        0,
        [0x00000000, 0x00000000, 0x01006040, 0x00000000],
    ),
    (
        0x80000007,
        0,
        [0x00000000, 0x00000000, 0x00000000, 0x00000100],
    ),
    (
        0x80000008,
        0,
        [0x0000302e, 0x00000000, 0x00000000, 0x00000000],
    ),
];

/// A backend that can do everything.
pub(super) const ABLE: Capabilities = Capabilities {
    spec_ctrl: true,
    ibpb: true,
    auto_ibrs: true,
    page1gb: true,
    pcid: true,
    tsc_aux: true,
    invariant_tsc: true,
    cpuid_faulting: true,
    lfence_dispatch: false,
    rtm_always_abort: false,
    xcr0_mask: 0xe7,
    paddr_bits: 0,
    arch_caps: None,
    patch_level: 0x0800_1250,
};

/// A backend that can do nothing.
pub(super) const UNABLE: Capabilities = Capabilities {
    spec_ctrl: false,
    ibpb: false,
    auto_ibrs: false,
    page1gb: false,
    pcid: false,
    tsc_aux: false,
    invariant_tsc: false,
    cpuid_faulting: false,
    lfence_dispatch: false,
    rtm_always_abort: false,
    xcr0_mask: 0,
    paddr_bits: 36,
    arch_caps: None,
    patch_level: 0,
};

fn build(table: Table, caps: &Capabilities) -> SystemPolicies {
    let read = |leaf, subleaf| {
        table
            .iter()
            .find(|row| (row.0, row.1) == (leaf, subleaf))
            .map_or([0; 4], |row| row.2)
    };
    SystemPolicies::new(read, caps).unwrap()
}

/// The EPYC under a backend.
pub(super) fn system_with(caps: &Capabilities) -> SystemPolicies {
    build(EPYC, caps)
}

/// The EPYC under an able backend.
pub(super) fn system() -> SystemPolicies {
    system_with(&ABLE)
}

/// The Intel processor under a backend.
pub(super) fn intel_with(caps: &Capabilities) -> SystemPolicies {
    build(INTEL, caps)
}

/// The Intel processor under an able backend, with some of its ARCH_CAPABILITIES.
pub(super) fn intel_system() -> SystemPolicies {
    intel_with(&Capabilities {
        // RDCL_NO, IBRS_ALL, SKIP_L1DFL, MDS_NO, TSX_CTRL, and a bit without a name.
        arch_caps: Some(0x8000_0000_0000_00ab),
        ..ABLE
    })
}

/// A processor with every bit of every leaf set, of either vendor.
pub(super) fn everything(table_vendor: Regs, caps: &Capabilities) -> SystemPolicies {
    let read = |leaf, _| match leaf {
        0 => [0x20, table_vendor[1], table_vendor[2], table_vendor[3]],
        0x8000_0000 => [
            0x8000_0028,
            table_vendor[1],
            table_vendor[2],
            table_vendor[3],
        ],
        0x8000_0008 => [0x3930, !0, !0, !0],
        _ => [!0; 4],
    };
    SystemPolicies::new(read, caps).unwrap()
}

/// The leaves with vendor names.
pub(super) const VENDORS: [Regs; 2] = [EPYC[0].2, INTEL[0].2];

/// Bits that no guest may ever see, by leaf and register, written down apart from the tables that
/// decide: virtualisation, waiting, tracing, profiling, protection keys, shadow stacks, tiles,
/// enclaves.
const NEVER: &[(u32, u32, usize, u32)] = &[
    // DS, ACPI, TM, PBE.
    (1, 0, 3, 1 << 21 | 1 << 22 | 1 << 29 | 1 << 31),
    // DTES64, MONITOR, DS-CPL, VMX, SMX, EIST, TM2, SDBG, xTPR, PDCM, DCA, TSC deadline.
    (
        1,
        0,
        2,
        1 << 2
            | 1 << 3
            | 1 << 4
            | 1 << 5
            | 1 << 6
            | 1 << 7
            | 1 << 8
            | 1 << 11
            | 1 << 14
            | 1 << 15
            | 1 << 18
            | 1 << 24,
    ),
    // TSC_ADJUST, SGX, PQM, MPX, PQE, PT.
    (
        7,
        0,
        1,
        1 << 1 | 1 << 2 | 1 << 12 | 1 << 14 | 1 << 15 | 1 << 25,
    ),
    // PKU, WAITPKG, CET_SS, TME, LA57, bus lock, ENQCMD, SGX_LC, PKS.
    (
        7,
        0,
        2,
        1 << 3 | 1 << 5 | 1 << 7 | 1 << 13 | 1 << 16 | 1 << 24 | 1 << 29 | 1 << 30 | 1 << 31,
    ),
    // UINTR, PCONFIG, arch LBR, CET_IBT, AMX, FLUSH_CMD, CORE_CAPS, TSX_FORCE_ABORT, SRBDS_CTRL.
    (
        7,
        0,
        3,
        1 << 5
            | 1 << 9
            | 1 << 13
            | 1 << 18
            | 1 << 19
            | 1 << 20
            | 1 << 22
            | 1 << 24
            | 1 << 25
            | 1 << 28
            | 1 << 30,
    ),
    // FRED, LKGS, WRMSRNS, AMX, HRESET, LAM.
    (
        7,
        1,
        0,
        1 << 17 | 1 << 18 | 1 << 19 | 1 << 21 | 1 << 22 | 1 << 26,
    ),
    // PPIN.
    (7, 1, 1, 1 << 0),
    // XSAVES, XFD.
    (0xd, 1, 0, 1 << 3 | 1 << 4),
    (0xd, 1, 2, !0),
    (0xd, 1, 3, !0),
    // Performance monitoring, power, MONITOR.
    (5, 0, 0, !0),
    (6, 0, 0, !0),
    (0xa, 0, 0, !0),
    // SVM, extended APIC space, OSVW, IBS, SKINIT, WDT, LWP, TCE, node id, TOPOEXT, counters,
    // DBEXT, performance TSC, MONITORX, address mask.
    (
        0x8000_0001,
        0,
        2,
        1 << 2
            | 1 << 3
            | 1 << 9
            | 1 << 10
            | 1 << 12
            | 1 << 13
            | 1 << 15
            | 1 << 17
            | 1 << 19
            | 1 << 22
            | 1 << 23
            | 1 << 24
            | 1 << 26
            | 1 << 27
            | 1 << 28
            | 1 << 29
            | 1 << 30,
    ),
    (0x8000_0007, 0, 0, !0),
    (0x8000_0007, 0, 1, !0),
    (0x8000_0007, 0, 2, !0),
    (0x8000_0007, 0, 3, !(1 << 8)),
    // IRPERF, RDPRU, WBNOINVD, PPIN, VIRT_SSBD, CPPC.
    (
        0x8000_0008,
        0,
        1,
        1 << 1 | 1 << 4 | 1 << 9 | 1 << 23 | 1 << 25 | 1 << 27,
    ),
    (0x8000_000a, 0, 0, !0),
    (0x8000_000a, 0, 3, !0),
    (0x8000_001b, 0, 0, !0),
    (0x8000_001c, 0, 0, !0),
    (0x8000_001d, 0, 0, !0),
    (0x8000_001e, 0, 0, !0),
    (0x8000_001f, 0, 0, !0),
    (0x8000_0020, 0, 1, !0),
    // UAI, CPUID user disable, SRSO MSR fix.
    (0x8000_0021, 0, 0, 1 << 7 | 1 << 17 | 1 << 31),
    (0x8000_0021, 0, 1, !0),
];

/// Asserts that a guest with this policy never sees a bit of [`NEVER`].
pub(super) fn assert_never(p: &CpuPolicy) {
    let mut v = super::VcpuView::new(1);
    v.set_cr4(!0);
    v.set_xcr0(!0);
    let d = super::DomainView::default();
    for (leaf, subleaf, reg, mask) in NEVER {
        // An Intel guest reads the greatest basic leaf there.
        let max = p.lookup(leaf & 0x8000_0000, 0, &v, &d)[0];
        if *leaf > max {
            continue;
        }
        let found = p.lookup(*leaf, *subleaf, &v, &d)[*reg] & mask;
        assert_eq!(found, 0, "leaf {leaf:#x}.{subleaf} register {reg}");
    }
    for subleaf in 0..70 {
        let row = p.lookup(0xd, subleaf, &v, &d);
        assert!(subleaf < 10 || row == [0; 4], "component {subleaf}");
    }
    assert_eq!(p.xcr0_mask() & !0xe7, 0);
}

#[test]
fn never_advertised() {
    for caps in [
        ABLE,
        UNABLE,
        Capabilities {
            xcr0_mask: !0,
            arch_caps: Some(!0),
            ..ABLE
        },
    ] {
        for vendor in VENDORS {
            let s = everything(vendor, &caps);
            assert_never(&s.hvm_max);
            assert_never(&s.hvm_default);
            assert_never(&s.for_domain(Topology { cores: 3 }));
        }
        assert_never(&system_with(&caps).for_domain(Topology { cores: 3 }));
        assert_never(&intel_with(&caps).for_domain(Topology { cores: 3 }));
    }
}

#[test]
fn what_the_epyc_offers() {
    let p = system().for_domain(Topology { cores: 2 });
    for there in [
        f::FPU,
        f::SSE2,
        f::SSE3,
        f::SSSE3,
        f::SSE4_1,
        f::SSE4_2,
        f::AVX,
        f::AVX2,
        f::FMA,
        f::F16C,
        f::BMI1,
        f::BMI2,
        f::ADX,
        f::AESNI,
        f::PCLMULQDQ,
        f::SHA,
        f::RDRAND,
        f::RDSEED,
        f::MOVBE,
        f::POPCNT,
        f::XSAVE,
        f::XSAVEOPT,
        f::XGETBV1,
        f::FSGSBASE,
        f::SMEP,
        f::SMAP,
        f::NX,
        f::PAGE1GB,
        f::LM,
        f::LAHF_LM,
        f::CX16,
        f::X2APIC,
        f::APIC,
        f::HYPERVISOR,
        f::SYSCALL,
        f::CLFLUSHOPT,
        f::MTRR,
        f::PAT,
        f::MCE,
        f::MCA,
        f::SSE4A,
        f::RDTSCP,
        f::NO_LMSL,
        f::HTT,
        f::CMP_LEGACY,
    ] {
        let on_processor = system().raw.has(there);
        let emulated = [f::X2APIC, f::NO_LMSL, f::HTT, f::CMP_LEGACY].contains(&there);
        assert_eq!(p.has(there), on_processor || emulated, "{there:?}");
    }
    for gone in [
        f::SVM,
        f::MONITOR,
        f::TOPOEXT,
        f::EXTAPIC,
        f::IBPB,
        f::IBRS,
        f::HLE,
        f::RTM,
        f::ITSC,
        f::OSXSAVE,
    ] {
        assert!(!p.has(gone), "{gone:?}");
    }
    assert_eq!(
        p.basic[1][0], 0x0080_0f12,
        "family 0x17, model 1, stepping 2"
    );
    assert_eq!(
        p.extd[1][3] & 0x0183_f3ff,
        p.basic[1][3] & 0x0183_f3ff,
        "AMD tells twice"
    );
    assert_eq!(p.paddr_bits(), 40);
    assert_eq!(p.extd[0][0], 0x8000_001e);
    assert_eq!(p.extd[8][0], 0x3028);
}

#[test]
fn an_unable_backend_leaves_its_features_out() {
    let s = everything(VENDORS[0], &UNABLE);
    let able = everything(VENDORS[0], &ABLE);
    for gone in [
        f::IBRS,
        f::IBPB,
        f::AMD_SSBD,
        f::STIBP_ALWAYS,
        f::AUTO_IBRS,
        f::PAGE1GB,
        f::PCID,
        f::INVPCID,
        f::RDTSCP,
        f::RDPID,
        f::ITSC,
        f::XSAVE,
        f::AVX,
        f::AVX512F,
        f::SBPB,
    ] {
        assert!(able.hvm_max.has(gone), "{gone:?}");
        assert!(!s.hvm_max.has(gone), "{gone:?}");
    }
    assert_eq!(s.hvm_max.paddr_bits(), 36);
    assert_eq!(s.hvm_max.xcr0_mask(), 0);
    assert_eq!(able.hvm_max.xcr0_mask(), 0xe7);
    assert_eq!(s.hvm_max.platform_info, 0);
}

#[test]
fn what_the_intel_processor_offers() {
    let s = intel_system();
    let p = s.for_domain(Topology { cores: 2 });
    assert!(
        p.has(f::IBRSB)
            && p.has(f::STIBP)
            && p.has(f::SSBD)
            && p.has(f::ARCH_CAPS)
            && p.has(f::IBPB)
    );
    // TSX_CTRL and SKIP_L1DFL are the host's.
    assert_eq!(p.arch_caps, 0x23);
    assert!(s.host.has(f::TSX_CTRL) && !s.hvm_max.has(f::TSX_CTRL));
    assert!(p.has(f::RTM) && !p.has(f::HLE) && s.hvm_max.has(f::HLE) && p.has(f::ITSC));
    assert_eq!(p.xcr0_mask(), 0xe7);
    assert_eq!(p.basic[0][0], 0xd);
    assert_eq!(p.extd[0][0], 0x8000_0008);
    assert_eq!(p.extd[1][3] & 0x0183_f3ff, 0, "Intel does not");
    // A policy of its own: no MSR without its bit, and no feature of AMD's topology.
    assert!(!p.has(f::CMP_LEGACY));

    let aborts = intel_with(&Capabilities {
        rtm_always_abort: true,
        ..ABLE
    });
    assert!(aborts.host.has(f::RTM));
    assert!(!aborts.hvm_default.has(f::RTM) && aborts.hvm_default.has(f::RTM_ALWAYS_ABORT));
    assert!(aborts.hvm_max.has(f::RTM));
}

#[test]
fn lfence_is_told_even_where_cpuid_cannot() {
    let p = system_with(&Capabilities {
        lfence_dispatch: true,
        ..ABLE
    })
    .for_domain(Topology { cores: 1 });
    assert_eq!(p.extd[0][0], 0x8000_0021);
    assert!(p.has(f::LFENCE_DISPATCH));
    assert!(!system().hvm_max.has(f::LFENCE_DISPATCH));
}

#[test]
fn numbers_of_policies_and_feature_sets() {
    use crate::abi::errno::{EINVAL, EOPNOTSUPP};
    let s = system();
    assert!(s.policy(0).is_ok_and(|p| p.has(f::SVM)));
    assert!(s.policy(3).is_ok_and(|p| !p.has(f::SVM)));
    for pv in [2, 4] {
        assert_eq!(s.policy(pv).err(), Some(EOPNOTSUPP));
        assert_eq!(s.featureset(pv).err(), Some(EOPNOTSUPP));
    }
    assert_eq!(s.policy(6).err(), Some(EINVAL));
    assert_eq!(s.featureset(6).err(), Some(EINVAL));
    assert_eq!(s.featureset(3), Ok(s.hvm_default.features()));
    assert_eq!(s.featureset(5), Ok(s.hvm_max.features()));
    assert!(s.hvm_default.features().is_subset(&s.hvm_max.features()));
}
