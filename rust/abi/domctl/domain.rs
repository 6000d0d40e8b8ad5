// SPDX-License-Identifier: GPL-2.0-only

//! Payloads of `domctl`s that make, describe and switch a domain.

numbers! {
    "XEN_DOMCTL_CDF_" u32 [] {
        /// Create: an HVM guest.
        CDF_HVM = 1 << 0, "hvm";
        /// Create: hardware walks its memory.
        CDF_HAP = 1 << 1, "hap";
        /// Create: memory is hashed over host sleep.
        CDF_S3_INTEGRITY = 1 << 2, "s3_integrity";
        /// Create: shadow pages are never out of sync.
        CDF_OOS_OFF = 1 << 3, "oos_off";
        /// Create: it runs xenstore.
        CDF_XS_DOMAIN = 1 << 4, "xs_domain";
        /// Create: devices may be given to it.
        CDF_IOMMU = 1 << 5, "iommu";
        /// Create: it may run guests.
        CDF_NESTED_VIRT = 1 << 6, "nested_virt";
        /// Create: it has performance counters.
        CDF_VPMU = 1 << 7, "vpmu";
        /// Create: the greatest flag.
        CDF_MAX = 1 << 7, "MAX";
    }
    "XEN_DOMCTL_" u32 [] {
        /// Create: I/O page tables of its own.
        IOMMU_NO_SHAREPT = 1 << 0, "IOMMU_no_sharept";
        /// Create: mask of the greatest grant version.
        GRANT_VERSION_MASK = 0xf, "GRANT_version_mask";
        /// Create: views that guest and tools share.
        ALTP2M_MIXED = 1, "ALTP2M_mixed";
        /// Create: views for the tools.
        ALTP2M_EXTERNAL = 2, "ALTP2M_external";
        /// Create: views that the guest may switch.
        ALTP2M_LIMITED = 3, "ALTP2M_limited";
        /// Create: mask of those.
        ALTP2M_MODE_MASK = 3, "ALTP2M_mode_mask";
    }
    "XEN_X86_" u32 [] {
        /// Create: local APICs.
        EMU_LAPIC = 1 << 0, "EMU_LAPIC";
        /// Create: a high precision event timer.
        EMU_HPET = 1 << 1, "EMU_HPET";
        /// Create: ACPI power management.
        EMU_PM = 1 << 2, "EMU_PM";
        /// Create: a real time clock.
        EMU_RTC = 1 << 3, "EMU_RTC";
        /// Create: an I/O APIC.
        EMU_IOAPIC = 1 << 4, "EMU_IOAPIC";
        /// Create: legacy interrupt controllers.
        EMU_PIC = 1 << 5, "EMU_PIC";
        /// Create: a frame buffer.
        EMU_VGA = 1 << 6, "EMU_VGA";
        /// Create: an I/O MMU.
        EMU_IOMMU = 1 << 7, "EMU_IOMMU";
        /// Create: an interval timer.
        EMU_PIT = 1 << 8, "EMU_PIT";
        /// Create: interrupts as event channels.
        EMU_USE_PIRQ = 1 << 9, "EMU_USE_PIRQ";
        /// Create: PCI in the hypervisor.
        EMU_VPCI = 1 << 10, "EMU_VPCI";
        /// Create: all of these.
        EMU_ALL = (1 << 11) - 1, "EMU_ALL";
        /// Create: unknown registers read as zero instead of faulting.
        MSR_RELAXED = 1 << 0, "MSR_RELAXED";
        /// Create: the greatest miscellaneous flag.
        MISC_FLAGS_MAX = 1 << 0, "MISC_FLAGS_MAX";
    }
    "XEN_DOMINF_" u32 [] {
        /// Info: being destroyed.
        DOMINF_DYING = 1 << 0, "dying";
        /// Info: an HVM guest.
        DOMINF_HVM_GUEST = 1 << 1, "hvm_guest";
        /// Info: shut down; the reason is in [`DOMINF_SHUTDOWNSHIFT`].
        DOMINF_SHUTDOWN = 1 << 2, "shutdown";
        /// Info: paused by the tools.
        DOMINF_PAUSED = 1 << 3, "paused";
        /// Info: all virtual CPUs wait.
        DOMINF_BLOCKED = 1 << 4, "blocked";
        /// Info: a virtual CPU runs.
        DOMINF_RUNNING = 1 << 5, "running";
        /// Info: stopped for its debugger.
        DOMINF_DEBUGGED = 1 << 6, "debugged";
        /// Info: it runs xenstore.
        DOMINF_XS_DOMAIN = 1 << 7, "xs_domain";
        /// Info: hardware walks its memory.
        DOMINF_HAP = 1 << 8, "hap";
        /// Info: mask of the shutdown reason.
        DOMINF_SHUTDOWNMASK = 255, "shutdownmask";
        /// Info: first bit of the shutdown reason.
        DOMINF_SHUTDOWNSHIFT = 16, "shutdownshift";
    }
    "" u32 [] {
        /// Info: there is no virtual CPU.
        INVALID_MAX_VCPU_ID = u32::MAX, "XEN_INVALID_MAX_VCPU_ID";
        /// CPUID leaf without subleaves.
        CPUID_NO_SUBLEAF = u32::MAX, "XEN_CPUID_NO_SUBLEAF";
        /// CPUID leaf or subleaf that an error is not about.
        CPUID_INPUT_UNUSED = u32::MAX, "XEN_CPUID_INPUT_UNUSED";
    }
    "XEN_DOMCTL_SENDTRIGGER_" u32 [trigger_name] {
        /// Trigger: a non-maskable interrupt.
        SENDTRIGGER_NMI = 0, "NMI";
        /// Trigger: a reset.
        SENDTRIGGER_RESET = 1, "RESET";
        /// Trigger: an INIT.
        SENDTRIGGER_INIT = 2, "INIT";
        /// Trigger: the power button.
        SENDTRIGGER_POWER = 3, "POWER";
        /// Trigger: the sleep button.
        SENDTRIGGER_SLEEP = 4, "SLEEP";
    }
}

layouts! {
    /// What an x86 domain emulates.
    struct ArchDomainConfig: "struct xen_arch_domainconfig" [8] {
        /// `EMU_*`.
        emulation_flags: u32,
        /// [`MSR_RELAXED`].
        misc_flags: u32,
    }

    /// Payload of [`CREATEDOMAIN`](super::CREATEDOMAIN).
    struct CreateDomain: "struct xen_domctl_createdomain" [68] {
        /// Security label.
        ssidref: u32,
        /// Handle, a UUID.
        handle: [u8; 16],
        /// `CDF_*`.
        flags: u32,
        /// [`IOMMU_NO_SHAREPT`].
        iommu_opts: u32,
        /// Virtual CPUs that it may have.
        max_vcpus: u32,
        /// The greatest port.
        max_evtchn_port: u32,
        /// Frames of the grant table; negative for the default.
        max_grant_frames: i32,
        /// Frames of the table of mappings; negative for the default.
        max_maptrack_frames: i32,
        /// Greatest grant version, in [`GRANT_VERSION_MASK`].
        grant_opts: u32,
        /// `ALTP2M_*`.
        altp2m_opts: u32,
        /// Bytes of trace per virtual CPU.
        vmtrace_size: u32,
        /// The CPU pool.
        cpupool_id: u32,
        /// The architecture's part.
        arch: ArchDomainConfig,
    }

    /// Payload of [`GETDOMAININFO`](super::GETDOMAININFO), and element of
    /// [`GETDOMAININFOLIST`](crate::abi::sysctl::GETDOMAININFOLIST).
    struct GetDomainInfo: "struct xen_domctl_getdomaininfo" [112] {
        /// The domain.
        domain: u16,
        /// 0.
        pad1: u16,
        /// `DOMINF_*`.
        flags: u32,
        /// Pages that it has.
        tot_pages: u64,
        /// Pages that it may have.
        max_pages: u64,
        /// Pages set aside for it.
        outstanding_pages: u64,
        /// Pages that it shares.
        shr_pages: u64,
        /// Pages that are paged out.
        paged_pages: u64,
        /// Guest frame of the shared info.
        shared_info_frame: u64,
        /// Nanoseconds that its virtual CPUs ran.
        cpu_time: u64,
        /// Virtual CPUs that are up.
        nr_online_vcpus: u32,
        /// The greatest virtual CPU, or [`INVALID_MAX_VCPU_ID`].
        max_vcpu_id: u32,
        /// Security label.
        ssidref: u32,
        /// Handle, a UUID.
        handle: [u8; 16],
        /// The CPU pool.
        cpupool: u32,
        /// Bits of a guest-physical address.
        gpaddr_bits: u8,
        /// 0.
        pad2: [u8; 7],
        /// The architecture's part.
        arch_config: ArchDomainConfig,
    }

    /// Payload of [`MAX_MEM`](super::MAX_MEM).
    struct MaxMem: "struct xen_domctl_max_mem" [8] {
        /// The limit, KiB.
        max_memkb: u64,
    }

    /// Payload of [`MAX_VCPUS`](super::MAX_VCPUS).
    struct MaxVcpus: "struct xen_domctl_max_vcpus" [4] {
        /// How many.
        max: u32,
    }

    /// Payload of [`SETDOMAINHANDLE`](super::SETDOMAINHANDLE).
    struct SetDomainHandle: "struct xen_domctl_setdomainhandle" [16] {
        /// Handle, a UUID.
        handle: [u8; 16],
    }

    /// Payload of [`SETDEBUGGING`](super::SETDEBUGGING).
    struct SetDebugging: "struct xen_domctl_setdebugging" [1] {
        /// Nonzero if there is a debugger.
        enable: u8,
    }

    /// Payload of [`HYPERCALL_INIT`](super::HYPERCALL_INIT).
    struct HypercallInit: "struct xen_domctl_hypercall_init" [8] {
        /// The guest frame.
        gmfn: u64,
    }

    /// Payload of [`SETTIMEOFFSET`](super::SETTIMEOFFSET).
    struct SetTimeOffset: "struct xen_domctl_settimeoffset" [8] {
        /// Signed seconds.
        time_offset_seconds: i64,
    }

    /// Payload of [`SET_ADDRESS_SIZE`](super::SET_ADDRESS_SIZE) and
    /// [`GET_ADDRESS_SIZE`](super::GET_ADDRESS_SIZE).
    struct AddressSize: "struct xen_domctl_address_size" [4] {
        /// 32 or 64.
        size: u32,
    }

    /// Payload of [`SENDTRIGGER`](super::SENDTRIGGER).
    struct SendTrigger: "struct xen_domctl_sendtrigger" [8] {
        /// One of `SENDTRIGGER_*`.
        trigger: u32,
        /// The virtual CPU.
        vcpu: u32,
    }

    /// Payload of [`SET_TARGET`](super::SET_TARGET).
    struct SetTarget: "struct xen_domctl_set_target" [2] {
        /// The domain to act on.
        target: u16,
    }

    /// Payload of [`SUBSCRIBE`](super::SUBSCRIBE).
    struct Subscribe: "struct xen_domctl_subscribe" [4] {
        /// The port.
        port: u32,
    }

    /// Payload of [`SET_VIRQ_HANDLER`](super::SET_VIRQ_HANDLER).
    struct SetVirqHandler: "struct xen_domctl_set_virq_handler" [4] {
        /// One of `VIRQ_*`.
        virq: u32,
    }

    /// Payload of [`GETTSCINFO`](super::GETTSCINFO) and [`SETTSCINFO`](super::SETTSCINFO).
    struct TscInfo: "struct xen_domctl_tsc_info" [24] {
        /// One of `TSC_MODE_*` of [`crate::abi::cpuid`].
        tsc_mode: u32,
        /// Guest frequency, kHz; 0 for the host's.
        gtsc_khz: u32,
        /// How often the domain was restored.
        incarnation: u32,
        /// 0.
        pad: u32,
        /// Nanoseconds of guest time.
        elapsed_nsec: u64,
    }

    /// One CPUID leaf.
    struct CpuidLeaf: "xen_cpuid_leaf_t" [24] {
        /// EAX before.
        leaf: u32,
        /// ECX before, or [`CPUID_NO_SUBLEAF`].
        subleaf: u32,
        /// EAX after.
        a: u32,
        /// EBX after.
        b: u32,
        /// ECX after.
        c: u32,
        /// EDX after.
        d: u32,
    }

    /// One model-specific register.
    struct MsrEntry: "xen_msr_entry_t" [16] {
        /// Its number.
        idx: u32,
        /// 0.
        flags: u32,
        /// Its value.
        val: u64,
    }

    /// Payload of [`GET_CPU_POLICY`](super::GET_CPU_POLICY) and
    /// [`SET_CPU_POLICY`](super::SET_CPU_POLICY).
    struct CpuPolicy: "struct xen_domctl_cpu_policy" [40] {
        /// IN: room or elements. OUT: elements.
        nr_leaves: u32,
        /// IN: room or elements. OUT: elements.
        nr_msrs: u32,
        /// Handle of [`CpuidLeaf`]s.
        leaves: u64,
        /// Handle of [`MsrEntry`]s.
        msrs: u64,
        /// OUT: leaf that was refused, or [`CPUID_INPUT_UNUSED`].
        err_leaf: u32,
        /// OUT: its subleaf, or [`CPUID_INPUT_UNUSED`].
        err_subleaf: u32,
        /// OUT: register that was refused, or all ones.
        err_msr: u32,
        _pad: u32,
    }

    /// Payload of [`SETVNUMAINFO`](super::SETVNUMAINFO).
    struct Vnuma: "struct xen_domctl_vnuma" [48] {
        /// Virtual nodes.
        nr_vnodes: u32,
        /// Ranges of memory.
        nr_vmemranges: u32,
        /// Virtual CPUs.
        nr_vcpus: u32,
        /// Must be 0.
        pad: u32,
        /// Handle of 32-bit distances, nodes squared.
        vdistance: u64,
        /// Handle of 32-bit nodes, one per virtual CPU.
        vcpu_to_vnode: u64,
        /// Handle of 32-bit physical nodes, one per virtual one.
        vnode_to_pnode: u64,
        /// Handle of [`Vmemrange`](crate::abi::memory::Vmemrange)s.
        vmemrange: u64,
    }

    /// Payload of [`SET_LLC_COLORS`](super::SET_LLC_COLORS).
    struct SetLlcColors: "struct xen_domctl_set_llc_colors" [16] {
        /// How many colours.
        num_llc_colors: u32,
        /// Must be 0.
        pad: u32,
        /// Handle of 32-bit colours.
        llc_colors: u64,
    }
}
