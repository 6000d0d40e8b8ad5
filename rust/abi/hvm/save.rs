// SPDX-License-Identifier: GPL-2.0-only

//! The records in which an HVM guest's state is saved (`xen/hvm/save.h`,
//! `xen/arch-x86/hvm/save.h`).
//!
//! A save is a sequence of records, each a [`SaveDescriptor`] and its payload, from [`SaveHeader`]
//! to an empty [`END`].

numbers! {
    "" u32 [] {
        /// [`SaveHeader`]'s magic number.
        FILE_MAGIC = 0x5438_1286, "HVM_FILE_MAGIC";
        /// [`SaveHeader`]'s version.
        FILE_VERSION = 1, "HVM_FILE_VERSION";
        /// [`HwCpu`]: the FPU's registers are in the record.
        X86_FPU_INITIALISED = 1 << 0, "XEN_X86_FPU_INITIALISED";
    }
    "HVM_SAVE_CODE" u16 [type_name] {
        /// Ends the save; no payload.
        END = 0, "(END)";
        /// [`SaveHeader`]; first.
        HEADER = 1, "(HEADER)";
        /// [`HwCpu`], one per virtual CPU.
        CPU = 2, "(CPU)";
        /// Legacy interrupt controller.
        PIC = 3, "(PIC)";
        /// I/O APIC.
        IOAPIC = 4, "(IOAPIC)";
        /// [`HwLapic`], one per virtual CPU.
        LAPIC = 5, "(LAPIC)";
        /// [`HwLapicRegs`], one per virtual CPU.
        LAPIC_REGS = 6, "(LAPIC_REGS)";
        /// PCI interrupt lines.
        PCI_IRQ = 7, "(PCI_IRQ)";
        /// ISA interrupt lines.
        ISA_IRQ = 8, "(ISA_IRQ)";
        /// PCI interrupt routes.
        PCI_LINK = 9, "(PCI_LINK)";
        /// Interval timer.
        PIT = 10, "(PIT)";
        /// Real time clock.
        RTC = 11, "(RTC)";
        /// High precision event timer.
        HPET = 12, "(HPET)";
        /// Power management timer.
        PMTIMER = 13, "(PMTIMER)";
        /// [`HwMtrr`], one per virtual CPU.
        MTRR = 14, "(MTRR)";
        /// Hyper-V interface, domain.
        VIRIDIAN_DOMAIN = 15, "(VIRIDIAN_DOMAIN)";
        /// Hyper-V interface, one per virtual CPU.
        VIRIDIAN_VCPU = 17, "(VIRIDIAN_VCPU)";
        /// [`VmceVcpu`], one per virtual CPU.
        VMCE_VCPU = 18, "(VMCE_VCPU)";
        /// [`TscAdjust`], one per virtual CPU.
        TSC_ADJUST = 19, "(TSC_ADJUST)";
    }
    "" u16 [] {
        /// [`HwCpuXsave`] and the rest of an XSAVE area, one per virtual CPU.
        CPU_XSAVE = 16, "CPU_XSAVE_CODE";
        /// [`HvmMsr`] and [`OneMsr`]s, one per virtual CPU.
        CPU_MSR = 20, "CPU_MSR_CODE";
        /// The greatest code.
        CODE_MAX = 20, "HVM_SAVE_CODE_MAX";
    }
    "" usize [] {
        /// Variable ranges in [`HwMtrr`].
        MTRR_VCNT = 8, "MTRR_VCNT";
        /// Registers of fixed ranges in [`HwMtrr`].
        NUM_FIXED_MSR = 11, "NUM_FIXED_MSR";
    }
}

layouts! {
    /// Precedes each record.
    struct SaveDescriptor: "struct hvm_save_descriptor" [8] {
        /// Code of the record.
        typecode: u16,
        /// Which of its kind; a virtual CPU where there is one per virtual CPU.
        instance: u16,
        /// Bytes of the payload.
        length: u32,
    }

    /// Record [`HEADER`].
    struct SaveHeader: "struct hvm_save_header" [24] {
        /// [`FILE_MAGIC`].
        magic: u32,
        /// [`FILE_VERSION`].
        version: u32,
        /// Changeset of the hypervisor that saved; all ones if unknown.
        changeset: u64,
        /// CPUID leaf 1 EAX of the machine.
        cpuid: u32,
        /// Guest TSC frequency, kHz.
        gtsc_khz: u32,
    }

    /// Record [`CPU`]. `_arbytes` are attributes as in a VMCB: type in bits 0-3, S 4, DPL 5-6, P 7,
    /// AVL 8, L 9, D/B 10, G 11; a segment that is not usable has P clear.
    struct HwCpu: "struct hvm_hw_cpu" [1032] {
        /// FXSAVE area.
        fpu_regs: [u8; 512],
        /// RAX.
        rax: u64,
        /// RBX.
        rbx: u64,
        /// RCX.
        rcx: u64,
        /// RDX.
        rdx: u64,
        /// RBP.
        rbp: u64,
        /// RSI.
        rsi: u64,
        /// RDI.
        rdi: u64,
        /// RSP.
        rsp: u64,
        /// R8.
        r8: u64,
        /// R9.
        r9: u64,
        /// R10.
        r10: u64,
        /// R11.
        r11: u64,
        /// R12.
        r12: u64,
        /// R13.
        r13: u64,
        /// R14.
        r14: u64,
        /// R15.
        r15: u64,
        /// RIP.
        rip: u64,
        /// RFLAGS.
        rflags: u64,
        /// CR0.
        cr0: u64,
        /// CR2.
        cr2: u64,
        /// CR3.
        cr3: u64,
        /// CR4.
        cr4: u64,
        /// DR0.
        dr0: u64,
        /// DR1.
        dr1: u64,
        /// DR2.
        dr2: u64,
        /// DR3.
        dr3: u64,
        /// DR6.
        dr6: u64,
        /// DR7.
        dr7: u64,
        /// Selector of CS.
        cs_sel: u32,
        /// Selector of DS.
        ds_sel: u32,
        /// Selector of ES.
        es_sel: u32,
        /// Selector of FS.
        fs_sel: u32,
        /// Selector of GS.
        gs_sel: u32,
        /// Selector of SS.
        ss_sel: u32,
        /// Selector of TR.
        tr_sel: u32,
        /// Selector of LDTR.
        ldtr_sel: u32,
        /// Limit of CS, in bytes.
        cs_limit: u32,
        /// Limit of DS, in bytes.
        ds_limit: u32,
        /// Limit of ES, in bytes.
        es_limit: u32,
        /// Limit of FS, in bytes.
        fs_limit: u32,
        /// Limit of GS, in bytes.
        gs_limit: u32,
        /// Limit of SS, in bytes.
        ss_limit: u32,
        /// Limit of TR, in bytes.
        tr_limit: u32,
        /// Limit of LDTR, in bytes.
        ldtr_limit: u32,
        /// Limit of IDTR, in bytes.
        idtr_limit: u32,
        /// Limit of GDTR, in bytes.
        gdtr_limit: u32,
        /// Base of CS.
        cs_base: u64,
        /// Base of DS.
        ds_base: u64,
        /// Base of ES.
        es_base: u64,
        /// Base of FS.
        fs_base: u64,
        /// Base of GS.
        gs_base: u64,
        /// Base of SS.
        ss_base: u64,
        /// Base of TR.
        tr_base: u64,
        /// Base of LDTR.
        ldtr_base: u64,
        /// Base of IDTR.
        idtr_base: u64,
        /// Base of GDTR.
        gdtr_base: u64,
        /// Attributes of CS.
        cs_arbytes: u32,
        /// Attributes of DS.
        ds_arbytes: u32,
        /// Attributes of ES.
        es_arbytes: u32,
        /// Attributes of FS.
        fs_arbytes: u32,
        /// Attributes of GS.
        gs_arbytes: u32,
        /// Attributes of SS.
        ss_arbytes: u32,
        /// Attributes of TR.
        tr_arbytes: u32,
        /// Attributes of LDTR.
        ldtr_arbytes: u32,
        /// SYSENTER_CS.
        sysenter_cs: u64,
        /// SYSENTER_ESP.
        sysenter_esp: u64,
        /// SYSENTER_EIP.
        sysenter_eip: u64,
        /// KERNEL_GS_BASE.
        shadow_gs: u64,
        /// Unused.
        msr_flags: u64,
        /// LSTAR.
        msr_lstar: u64,
        /// STAR.
        msr_star: u64,
        /// CSTAR.
        msr_cstar: u64,
        /// SFMASK.
        msr_syscall_mask: u64,
        /// EFER.
        msr_efer: u64,
        /// TSC_AUX.
        msr_tsc_aux: u64,
        /// Guest TSC.
        tsc: u64,
        /// Event to inject: vector 0-7, kind 8-10, has an error code 11, valid 31.
        pending_event: u32,
        /// Its error code.
        error_code: u32,
        /// [`X86_FPU_INITIALISED`].
        flags: u32,
        /// Must be 0.
        pad0: u32,
    }

    /// Record [`LAPIC`].
    struct HwLapic: "struct hvm_hw_lapic" [32] {
        /// APIC_BASE.
        apic_base_msr: u64,
        /// Nonzero if disabled: bit 0 by software, bit 1 by APIC_BASE.
        disabled: u32,
        /// What the timer's frequency is divided by.
        timer_divisor: u32,
        /// TSC_DEADLINE.
        tdt_msr: u64,
        /// Errors that the next write of ESR shows.
        pending_esr: u32,
        _pad: u32,
    }

    /// Record [`LAPIC_REGS`].
    struct HwLapicRegs: "struct hvm_hw_lapic_regs" [1024] {
        /// The register page's first KiB.
        data: [u8; 1024],
    }

    /// Record [`MTRR`].
    struct HwMtrr: "struct hvm_hw_mtrr" [240] {
        /// PAT.
        msr_pat_cr: u64,
        /// Base and mask of each variable range.
        msr_mtrr_var: [u64; 16],
        /// Fixed ranges.
        msr_mtrr_fixed: [u64; 11],
        /// MTRRcap.
        msr_mtrr_cap: u64,
        /// MTRRdefType: type in bits 0-7, fixed ranges enabled 10, enabled 11.
        msr_mtrr_def_type: u64,
    }

    /// Start of record [`CPU_XSAVE`]: an XSAVE area from byte 24 on.
    struct HwCpuXsave: "struct hvm_hw_cpu_xsave" [600] {
        /// Unused.
        xfeature_mask: u64,
        /// XCR0.
        xcr0: u64,
        /// Every bit that XCR0 ever had.
        xcr0_accum: u64,
        /// FXSAVE area.
        fpu_sse: [u8; 512] as "save_area.fpu_sse",
        /// XSAVE header: state components in the area.
        xstate_bv: u64 as "save_area.xsave_hdr.xstate_bv",
        /// XSAVE header: format.
        xcomp_bv: u64 as "save_area.xsave_hdr.xcomp_bv",
        /// XSAVE header: 0.
        reserved: [u64; 6] as "save_area.xsave_hdr.reserved",
    }

    /// Record [`VMCE_VCPU`].
    struct VmceVcpu: "struct hvm_vmce_vcpu" [32] {
        /// MCG_CAP bits that the guest has.
        caps: u64,
        /// MC0_CTL2.
        mci_ctl2_bank0: u64,
        /// MC1_CTL2.
        mci_ctl2_bank1: u64,
        /// MCG_EXT_CTL.
        mcg_ext_ctl: u64,
    }

    /// Record [`TSC_ADJUST`].
    struct TscAdjust: "struct hvm_tsc_adjust" [8] {
        /// TSC_ADJUST.
        tsc_adjust: u64,
    }

    /// Start of record [`CPU_MSR`]; [`OneMsr`]s follow at byte 8.
    struct HvmMsr: "struct hvm_msr" [8] {
        /// How many.
        count: u32,
        _pad: u32,
    }

    /// One register of record [`CPU_MSR`].
    struct OneMsr: "struct hvm_one_msr" [16] {
        /// Its number.
        index: u32,
        /// Must be 0.
        _rsvd: u32,
        /// Its value.
        val: u64,
    }
}
