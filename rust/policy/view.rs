// SPDX-License-Identifier: GPL-2.0-only

//! What `CPUID` needs to know of the vCPU and the domain, and Xen's own leaves.
//!
//! Source of the leaves: Xen's `arch-x86/cpuid.h`.

use super::{
    cpuid::{
        CpuPolicy,
        Regs, //
    },
    feature,
};

/// Xen's first leaf. No other hypervisor's interface is offered, so it is the first block there is.
pub(super) const XEN_BASE: u32 = 0x4000_0000;
/// The greatest of Xen's leaves, counted from the base.
const XEN_LEAVES: u32 = 5;
/// The MSR that a guest writes to have a hypercall page filled.
pub(crate) const HYPERCALL_MSR: u32 = 0x4000_0000;

/// CR4.OSXSAVE.
pub(crate) const CR4_OSXSAVE: u64 = 1 << 18;
/// CR4.PKE.
const CR4_PKE: u64 = 1 << 22;

/// What the leaves say about one vCPU, kept as the masks that [`CpuPolicy::lookup`] applies.
///
/// The run loop changes it when the register behind it changes, which is rare, and not at every
/// exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VcpuView {
    /// Leaf 1 EBX: the APIC id in bits 31 to 24.
    leaf1_ebx: u32,
    /// Leaf 1 ECX: OSXSAVE.
    leaf1_ecx: u32,
    /// Leaf 1 EDX: everything, or all but APIC.
    leaf1_edx: u32,
    /// Leaf 7 ECX: OSPKE.
    pub(super) leaf7_ecx: u32,
    /// Leaf 0x8000_0001 EDX: everything, or all but APIC and SYSCALL.
    pub(super) extd1_edx: u32,
    pub(super) apic_id: u32,
    vcpu_id: u32,
    pub(super) xcr0: u64,
}

impl VcpuView {
    /// Returns the view of a vCPU after reset: XCR0 = 1, CR4 = 0, local APIC enabled, and `SYSCALL`
    /// shown as in long mode. The APIC id is twice the vCPU's number, as Xen's tools expect.
    pub(crate) fn new(vcpu_id: u32) -> Self {
        let apic_id = vcpu_id.wrapping_mul(2);
        Self {
            leaf1_ebx: apic_id.wrapping_shl(24),
            leaf1_ecx: 0,
            leaf1_edx: !0,
            leaf7_ecx: 0,
            extd1_edx: !0,
            apic_id,
            vcpu_id,
            xcr0: 1,
        }
    }

    /// Takes note of a new CR4.
    pub(crate) fn set_cr4(&mut self, cr4: u64) {
        self.leaf1_ecx = match cr4 & CR4_OSXSAVE {
            0 => 0,
            _ => feature::OSXSAVE.mask(),
        };
        self.leaf7_ecx = match cr4 & CR4_PKE {
            0 => 0,
            _ => feature::OSPKE.mask(),
        };
    }

    /// Takes note of a new XCR0.
    pub(crate) fn set_xcr0(&mut self, xcr0: u64) {
        self.xcr0 = xcr0;
    }

    /// Takes note that the local APIC was enabled or disabled by its base MSR.
    pub(crate) fn set_apic_enabled(&mut self, enabled: bool) {
        let apic = feature::APIC.mask();
        if enabled {
            self.leaf1_edx |= apic;
            self.extd1_edx |= apic;
        } else {
            self.leaf1_edx &= !apic;
            self.extd1_edx &= !apic;
        }
    }

    /// Takes note of whether the vCPU executes 64-bit code. Only Intel's processors make a
    /// difference: they show `SYSCALL` in 64-bit mode alone.
    #[cfg_attr(
        not(test),
        expect(
            dead_code,
            reason = "VMX: on Intel's processors a bit of CPUID follows it"
        )
    )]
    pub(crate) fn set_long_mode(&mut self, active: bool) {
        if active {
            self.extd1_edx |= feature::SYSCALL.mask();
        } else {
            self.extd1_edx &= !feature::SYSCALL.mask();
        }
    }

    /// Applies the view to leaf 1.
    #[inline]
    pub(super) fn leaf1(&self, regs: &Regs) -> Regs {
        [
            regs[0],
            regs[1] | self.leaf1_ebx,
            regs[2] | self.leaf1_ecx,
            regs[3] & self.leaf1_edx,
        ]
    }
}

/// What Xen's leaves say about the domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct DomainView {
    /// The domain's number, as itself knows it.
    pub(crate) domid: u16,
    /// Xen's major version in bits 31 to 16, the minor one below.
    pub(crate) xen_version: u32,
    /// The time stamp counter is emulated, not the processor's own.
    pub(crate) tsc_emulated: bool,
    /// The host's time stamp counters are synchronised and run at one rate for ever.
    pub(crate) tsc_reliable: bool,
    /// The mode that `settscinfo` chose: 0 default, 1 always emulate, 2 never.
    pub(crate) tsc_mode: u32,
    /// The rate of the guest's time stamp counter in kHz.
    pub(crate) tsc_khz: u32,
    /// How often the domain was restored somewhere.
    pub(crate) tsc_incarnation: u32,
    /// What to subtract from the guest's time in ns to get at its TSC's time.
    pub(crate) tsc_offset: u64,
    /// The factor from ticks to ns, in 2^-32, after the shift.
    pub(crate) tsc_mul: u32,
    /// The shift of ticks before the factor; negative is to the right.
    pub(crate) tsc_shift: i8,
    /// The rate of the host's time stamp counter in kHz.
    pub(crate) host_khz: u32,
    /// The processor executes accesses to the xAPIC's registers without leaving the guest.
    pub(crate) apic_access_virt: bool,
    /// The processor executes accesses to the x2APIC's MSRs without leaving the guest.
    pub(crate) x2apic_virt: bool,
    /// `HVMOP_set_evtchn_upcall_vector` is there.
    pub(crate) upcall_vector: bool,
}

/// Answers the leaf `index` of Xen's block.
#[cold]
pub(super) fn xen_leaf(
    policy: &CpuPolicy,
    index: u32,
    subleaf: u32,
    v: &VcpuView,
    d: &DomainView,
) -> Regs {
    let limit = match u32::from(policy.hv_limit) {
        0 => XEN_LEAVES,
        asked => asked.clamp(2, XEN_LEAVES),
    };
    match (index, subleaf) {
        (index, _) if index > limit => [0; 4],
        // "XenVMMXenVMM".
        (0, _) => [XEN_BASE | limit, 0x566e_6558, 0x6558_4d4d, 0x4d4d_566e],
        (1, _) => [d.xen_version, 0, 0, 0],
        // One hypercall page; no feature that concerns a guest under nested paging.
        (2, _) => [1, HYPERCALL_MSR, 0, 0],
        (3, 0) => {
            let rdtscp = policy.has(feature::RDTSCP);
            let flags =
                u32::from(d.tsc_emulated) | u32::from(d.tsc_reliable) << 1 | u32::from(rdtscp) << 2;
            [flags, d.tsc_mode, d.tsc_khz, d.tsc_incarnation]
        }
        (3, 1) => [
            // CAST: the low half, then the high half; the shift is sign-extended.
            d.tsc_offset as u32,
            (d.tsc_offset >> 32) as u32,
            d.tsc_mul,
            i32::from(d.tsc_shift) as u32,
        ],
        (3, 2) => [d.host_khz, 0, 0, 0],
        (4, 0) => {
            // Bit 2 (IOMMU mappings) stays clear: no device writes to guests here. Bit 5 (extended
            // destination ids) stays clear: there is no I/O APIC.
            let flags = u32::from(d.apic_access_virt)
                | u32::from(d.x2apic_virt) << 1
                | 1 << 3
                | 1 << 4
                | u32::from(d.upcall_vector) << 6;
            [flags, v.vcpu_id, u32::from(d.domid), 0]
        }
        // Leaf 5 is for paravirtualised guests.
        _ => [0; 4],
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        epyc,
        Topology, //
    };
    use super::*;

    const DOMAIN: DomainView = DomainView {
        domid: 7,
        xen_version: 4 << 16 | 20,
        tsc_emulated: false,
        tsc_reliable: true,
        tsc_mode: 2,
        tsc_khz: 2_500_000,
        tsc_incarnation: 3,
        tsc_offset: 0x1_2345_6789,
        tsc_mul: 0xcccc_cccd,
        tsc_shift: -1,
        host_khz: 2_600_000,
        apic_access_virt: false,
        x2apic_virt: false,
        upcall_vector: false,
    };

    #[test]
    fn xens_leaves() {
        let p = epyc::system().for_domain(Topology { cores: 8 });
        let v = VcpuView::new(5);
        let leaf = |index: u32, subleaf| p.lookup(0x4000_0000 + index, subleaf, &v, &DOMAIN);
        assert_eq!(
            leaf(0, 0),
            [0x4000_0005, 0x566e_6558, 0x6558_4d4d, 0x4d4d_566e]
        );
        let name: Vec<u8> = leaf(0, 0)[1..]
            .iter()
            .flat_map(|w| w.to_le_bytes())
            .collect();
        assert_eq!(name, b"XenVMMXenVMM");
        assert_eq!(leaf(1, 0), [0x0004_0014, 0, 0, 0]);
        assert_eq!(leaf(2, 0), [1, 0x4000_0000, 0, 0]);
        let rdtscp = u32::from(p.has(feature::RDTSCP)) << 2;
        assert_eq!(leaf(3, 0), [2 | rdtscp, 2, 2_500_000, 3]);
        assert_eq!(leaf(3, 1), [0x2345_6789, 1, 0xcccc_cccd, 0xffff_ffff]);
        assert_eq!(leaf(3, 2), [2_600_000, 0, 0, 0]);
        assert_eq!(leaf(3, 3), [0; 4]);
        assert_eq!(leaf(4, 0), [0x18, 5, 7, 0]);
        assert_eq!(leaf(4, 1), [0; 4]);
        assert_eq!(leaf(5, 0), [0; 4]);
        assert_eq!(leaf(6, 0), [0; 4]);
        assert_eq!(leaf(0xff, 0), [0; 4]);
    }

    #[test]
    fn leaf_4_says_what_is_there() {
        let p = epyc::system().for_domain(Topology { cores: 1 });
        let v = VcpuView::new(0);
        let d = DomainView {
            apic_access_virt: true,
            x2apic_virt: true,
            upcall_vector: true,
            ..DOMAIN
        };
        assert_eq!(p.lookup(0x4000_0004, 0, &v, &d)[0], 0x5b);
    }

    #[test]
    fn the_toolstack_may_show_fewer_leaves() {
        let mut p = epyc::system().for_domain(Topology { cores: 1 });
        let v = VcpuView::new(0);
        for (asked, shown) in [(0, 5), (1, 2), (3, 3), (200, 5)] {
            p.hv_limit = asked;
            assert_eq!(
                p.lookup(0x4000_0000, 0, &v, &DOMAIN)[0],
                0x4000_0000 | shown
            );
        }
        p.hv_limit = 3;
        assert_eq!(p.lookup(0x4000_0004, 0, &v, &DOMAIN), [0; 4]);
    }
}
