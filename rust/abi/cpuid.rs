// SPDX-License-Identifier: GPL-2.0-only

//! CPUID leaves that a guest reads about Xen (`xen/arch-x86/cpuid.h`).

numbers! {
    "XEN_CPUID_" u32 [] {
        /// The first leaf; the block may start at a multiple of 0x100 above.
        FIRST_LEAF = 0x4000_0000, "FIRST_LEAF";
        /// First leaf: "XenV".
        SIGNATURE_EBX = 0x566e_6558, "SIGNATURE_EBX";
        /// First leaf: "MMXe".
        SIGNATURE_ECX = 0x6558_4d4d, "SIGNATURE_ECX";
        /// First leaf: "nVMM".
        SIGNATURE_EDX = 0x4d4d_566e, "SIGNATURE_EDX";
        /// Leaf 2 ECX: PV, `mmu_update` keeps accessed and dirty bits.
        FEAT1_MMU_PT_UPDATE_PRESERVE_AD = 1 << 0, "FEAT1_MMU_PT_UPDATE_PRESERVE_AD";
        /// Leaf 3 subleaf 0 EAX: the TSC is emulated.
        TSC_EMULATED = 1 << 0, "TSC_EMULATED";
        /// Leaf 3 subleaf 0 EAX: the host's TSC is reliable.
        HOST_TSC_RELIABLE = 1 << 1, "HOST_TSC_RELIABLE";
        /// Leaf 3 subleaf 0 EAX: RDTSCP is there.
        RDTSCP_INSTR_AVAIL = 1 << 2, "RDTSCP_INSTR_AVAIL";
        /// Leaf 3 subleaf 0 EBX: emulated only if the host's would not do.
        TSC_MODE_DEFAULT = 0, "TSC_MODE_DEFAULT";
        /// Leaf 3 subleaf 0 EBX: always emulated.
        TSC_MODE_ALWAYS_EMULATE = 1, "TSC_MODE_ALWAYS_EMULATE";
        /// Leaf 3 subleaf 0 EBX: never emulated.
        TSC_MODE_NEVER_EMULATE = 2, "TSC_MODE_NEVER_EMULATE";
        /// Leaf 3 subleaf 0 EBX: removed.
        TSC_MODE_PVRDTSCP = 3, "TSC_MODE_PVRDTSCP";
        /// Leaf 5 EBX: mask of the bits of a machine address; PV.
        MACHINE_ADDRESS_WIDTH_MASK = 0xff, "MACHINE_ADDRESS_WIDTH_MASK";
        /// The greatest leaf, relative to the first.
        MAX_NUM_LEAVES = 5, "MAX_NUM_LEAVES";
    }
    "XEN_HVM_CPUID_" u32 [] {
        /// Leaf 4 EAX: accesses to APIC registers are virtualised.
        HVM_APIC_ACCESS_VIRT = 1 << 0, "APIC_ACCESS_VIRT";
        /// Leaf 4 EAX: x2APIC registers are virtualised.
        HVM_X2APIC_VIRT = 1 << 1, "X2APIC_VIRT";
        /// Leaf 4 EAX: foreign and granted frames have I/O mappings.
        HVM_IOMMU_MAPPINGS = 1 << 2, "IOMMU_MAPPINGS";
        /// Leaf 4 EAX: EBX is the virtual CPU.
        HVM_VCPU_ID_PRESENT = 1 << 3, "VCPU_ID_PRESENT";
        /// Leaf 4 EAX: ECX is the domain.
        HVM_DOMID_PRESENT = 1 << 4, "DOMID_PRESENT";
        /// Leaf 4 EAX: interrupt messages hold 15 bits of APIC id.
        HVM_EXT_DEST_ID = 1 << 5, "EXT_DEST_ID";
        /// Leaf 4 EAX: events may raise a vector per virtual CPU.
        HVM_UPCALL_VECTOR = 1 << 6, "UPCALL_VECTOR";
    }
}
