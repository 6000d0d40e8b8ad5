// SPDX-License-Identifier: GPL-2.0-only

//! `xen_version`: what Xen this is (`xen/version.h`, `xen/features.h`).

numbers! {
    "XENVER_" u32 [name] {
        /// Returns major version << 16 | minor version; no argument.
        VERSION = 0, "version";
        /// Fills [`EXTRAVERSION_LEN`] bytes of text.
        EXTRAVERSION = 1, "extraversion";
        /// Fills a [`CompileInfo`].
        COMPILE_INFO = 2, "compile_info";
        /// Fills [`CAPABILITIES_INFO_LEN`] bytes of text.
        CAPABILITIES = 3, "capabilities";
        /// Fills [`CHANGESET_INFO_LEN`] bytes of text.
        CHANGESET = 4, "changeset";
        /// Fills a [`PlatformParameters`].
        PLATFORM_PARAMETERS = 5, "platform_parameters";
        /// Fills a [`FeatureInfo`].
        GET_FEATURES = 6, "get_features";
        /// Returns the bytes of a page.
        PAGESIZE = 7, "pagesize";
        /// Fills the 16 bytes of the calling domain's handle.
        GUEST_HANDLE = 8, "guest_handle";
        /// Fills [`COMMANDLINE_LEN`] bytes of text.
        COMMANDLINE = 9, "commandline";
        /// Fills a [`Varbuf`] with the build id; returns its bytes.
        BUILD_ID = 10, "build_id";
        /// As [`EXTRAVERSION`] with a [`Varbuf`].
        EXTRAVERSION2 = 11, "extraversion2";
        /// As [`CAPABILITIES`] with a [`Varbuf`].
        CAPABILITIES2 = 12, "capabilities2";
        /// As [`CHANGESET`] with a [`Varbuf`].
        CHANGESET2 = 13, "changeset2";
        /// As [`COMMANDLINE`] with a [`Varbuf`].
        COMMANDLINE2 = 14, "commandline2";
    }
    "" usize [] {
        /// Bytes of the extra version, terminator included.
        EXTRAVERSION_LEN = 16, "XEN_EXTRAVERSION_LEN";
        /// Bytes of the capabilities, terminator included.
        CAPABILITIES_INFO_LEN = 1024, "XEN_CAPABILITIES_INFO_LEN";
        /// Bytes of the changeset, terminator included.
        CHANGESET_INFO_LEN = 64, "XEN_CHANGESET_INFO_LEN";
        /// Bytes of the command line, terminator included.
        COMMANDLINE_LEN = 1024, "sizeof(xen_commandline_t)";
    }
    "XENFEAT_" u32 [feature_name] {
        /// The guest need not write-protect its page tables.
        FEAT_WRITABLE_PAGE_TABLES = 0, "writable_page_tables";
        /// The guest need not write-protect its descriptor tables.
        FEAT_WRITABLE_DESCRIPTOR_TABLES = 1, "writable_descriptor_tables";
        /// The guest uses its own frame numbers throughout.
        FEAT_AUTO_TRANSLATED_PHYSMAP = 2, "auto_translated_physmap";
        /// The guest may run in ring 0.
        FEAT_SUPERVISOR_MODE_KERNEL = 3, "supervisor_mode_kernel";
        /// PAE page directories may lie above 4 GiB.
        FEAT_PAE_PGDIR_ABOVE_4GB = 4, "pae_pgdir_above_4gb";
        /// `mmu_update` can keep accessed and dirty bits.
        FEAT_MMU_PT_UPDATE_PRESERVE_AD = 5, "mmu_pt_update_preserve_ad";
        /// `mmuext_op` can clear and copy pages.
        FEAT_HIGHMEM_ASSIST = 6, "highmem_assist";
        /// Grant mappings may carry available page table bits.
        FEAT_GNTTAB_MAP_AVAIL_BITS = 7, "gnttab_map_avail_bits";
        /// Events may arrive through a vector in any virtual CPU.
        FEAT_HVM_CALLBACK_VECTOR = 8, "hvm_callback_vector";
        /// The paravirtual clock is safe to use in an HVM guest.
        FEAT_HVM_SAFE_PVCLOCK = 9, "hvm_safe_pvclock";
        /// HVM guests may have physical interrupts as event channels.
        FEAT_HVM_PIRQS = 10, "hvm_pirqs";
        /// The caller is the control domain.
        FEAT_DOM0 = 11, "dom0";
        /// Memory operations take virtual NUMA nodes.
        FEAT_MEMORY_OP_VNODE_SUPPORTED = 13, "memory_op_vnode_supported";
        /// Arm only.
        FEAT_ARM_SMCCC_SUPPORTED = 14, "ARM_SMCCC_supported";
        /// A PVH guest finds the RSDP anywhere.
        FEAT_LINUX_RSDP_UNRESTRICTED = 15, "linux_rsdp_unrestricted";
        /// Guest frames are not machine frames.
        FEAT_NOT_DIRECT_MAPPED = 16, "not_direct_mapped";
        /// Guest frames are machine frames.
        FEAT_DIRECT_MAPPED = 17, "direct_mapped";
        /// `vcpu_op` takes runstate areas by guest-physical address.
        FEAT_RUNSTATE_PHYS_AREA = 18, "runstate_phys_area";
        /// `vcpu_op` takes time areas by guest-physical address.
        FEAT_VCPU_TIME_PHYS_AREA = 19, "vcpu_time_phys_area";
        /// The device model sees all writes to MSI-X tables.
        FEAT_DM_MSIX_ALL_WRITES = 20, "dm_msix_all_writes";
    }
    "XENFEAT_" u32 [] {
        /// 32-bit words of features.
        FEAT_NR_SUBMAPS = 1, "NR_SUBMAPS";
    }
}

layouts! {
    /// Who compiled this Xen, when and with what; each text ends with a zero byte.
    struct CompileInfo: "struct xen_compile_info" [144] {
        /// The compiler and its version.
        compiler: [u8; 64],
        /// The user.
        compile_by: [u8; 16],
        /// The user's domain.
        compile_domain: [u8; 32],
        /// The date.
        compile_date: [u8; 32],
    }

    /// Where the hypervisor starts in a PV guest's address space.
    struct PlatformParameters: "struct xen_platform_parameters" [8] {
        /// The virtual address.
        virt_start: u64,
    }

    /// One word of feature bits.
    struct FeatureInfo: "struct xen_feature_info" [8] {
        /// IN: the word's index, below [`FEAT_NR_SUBMAPS`].
        submap_idx: u32,
        /// OUT: bits numbered by `FEAT_*`.
        submap: u32,
    }

    /// Header of a buffer with variable length; the bytes follow it.
    struct Varbuf: "struct xen_varbuf" [4] {
        /// IN: bytes that follow.
        len: u32,
    }
}

/// What 32-bit guests lay out differently.
pub(crate) mod compat {
    layouts! {
        /// Where the hypervisor starts in a PV guest's address space.
        struct PlatformParameters: "struct xen_platform_parameters" [4] {
            /// The virtual address.
            virt_start: u32,
        }
    }

    widen! {
        PlatformParameters { virt_start }
    }
}
