// SPDX-License-Identifier: GPL-2.0-only

//! Payloads of `domctl`s about registers.

numbers! {
    "VGCF_" u64 [] {
        /// PV registers: the FPU's are valid.
        VGCF_I387_VALID = 1 << 0, "i387_valid";
        /// PV registers: the guest is in its kernel.
        VGCF_IN_KERNEL = 1 << 2, "in_kernel";
        /// PV registers: the failsafe callback masks events.
        VGCF_FAILSAFE_DISABLES_EVENTS = 1 << 3, "failsafe_disables_events";
        /// PV registers: the syscall callback masks events.
        VGCF_SYSCALL_DISABLES_EVENTS = 1 << 4, "syscall_disables_events";
        /// PV registers: the virtual CPU is up.
        VGCF_ONLINE = 1 << 5, "online";
    }
}

layouts! {
    /// Payload of [`SETVCPUCONTEXT`](super::SETVCPUCONTEXT) and
    /// [`GETVCPUCONTEXT`](super::GETVCPUCONTEXT).
    struct VcpuContext: "struct xen_domctl_vcpucontext" [16] {
        /// IN: the virtual CPU.
        vcpu: u32,
        _pad: u32,
        /// Handle of a [`VcpuGuestContext`].
        ctxt: u64,
    }

    /// Payload of [`GETHVMCONTEXT`](super::GETHVMCONTEXT) and
    /// [`SETHVMCONTEXT`](super::SETHVMCONTEXT).
    struct HvmContext: "struct xen_domctl_hvmcontext" [16] {
        /// IN: bytes. OUT: bytes used, or needed if the handle is null.
        size: u32,
        _pad: u32,
        /// Handle of the records.
        buffer: u64,
    }

    /// Payload of [`GETHVMCONTEXT_PARTIAL`](super::GETHVMCONTEXT_PARTIAL).
    struct HvmContextPartial: "struct xen_domctl_hvmcontext_partial" [24] {
        /// IN: code of the record.
        type_: u32 as "type",
        /// IN: which of its kind.
        instance: u32,
        /// IN: room. OUT: bytes of the record, without its descriptor.
        bufsz: u64,
        /// Handle of the record.
        buffer: u64,
    }

    /// Payload of [`SETVCPUEXTSTATE`](super::SETVCPUEXTSTATE) and
    /// [`GETVCPUEXTSTATE`](super::GETVCPUEXTSTATE).
    struct VcpuExtState: "struct xen_domctl_vcpuextstate" [32] {
        /// IN: the virtual CPU.
        vcpu: u32,
        _pad: u32,
        /// OUT: state components that there are.
        xfeature_mask: u64,
        /// IN: room. OUT: bytes.
        size: u64,
        /// Handle of XCR0, its accumulation and the XSAVE area.
        buffer: u64,
    }

    /// One model-specific register of a PV guest.
    struct VcpuMsr: "struct xen_domctl_vcpu_msr" [16] {
        /// Its number.
        index: u32,
        /// 0.
        reserved: u32,
        /// Its value.
        value: u64,
    }

    /// Payload of [`GET_VCPU_MSRS`](super::GET_VCPU_MSRS) and
    /// [`SET_VCPU_MSRS`](super::SET_VCPU_MSRS).
    struct VcpuMsrs: "struct xen_domctl_vcpu_msrs" [16] {
        /// IN: the virtual CPU.
        vcpu: u32,
        /// Elements.
        msr_count: u32,
        /// Handle of [`VcpuMsr`]s.
        msrs: u64,
    }

    /// General registers of a PV guest, as an exception leaves them.
    struct CpuUserRegs: "struct cpu_user_regs" [200] {
        /// R15.
        r15: u64,
        /// R14.
        r14: u64,
        /// R13.
        r13: u64,
        /// R12.
        r12: u64,
        /// RBP.
        rbp: u64,
        /// RBX.
        rbx: u64,
        /// R11.
        r11: u64,
        /// R10.
        r10: u64,
        /// R9.
        r9: u64,
        /// R8.
        r8: u64,
        /// RAX.
        rax: u64,
        /// RCX.
        rcx: u64,
        /// RDX.
        rdx: u64,
        /// RSI.
        rsi: u64,
        /// RDI.
        rdi: u64,
        /// Private.
        error_code: u32,
        /// Private.
        entry_vector: u32,
        /// RIP.
        rip: u64,
        /// CS.
        cs: u16,
        _pad0: u16,
        /// Event mask.
        saved_upcall_mask: u8,
        _pad1: [u8; 3],
        /// RFLAGS.
        rflags: u64,
        /// RSP.
        rsp: u64,
        /// SS.
        ss: u16,
        _pad2: [u16; 3],
        /// ES.
        es: u16,
        _pad3: [u16; 3],
        /// DS.
        ds: u16,
        _pad4: [u16; 3],
        /// FS.
        fs: u16,
        _pad5: [u16; 3],
        /// GS.
        gs: u16,
        _pad6: [u16; 3],
    }

    /// Entry of a PV guest's trap table.
    struct TrapInfo: "struct trap_info" [16] {
        /// The exception.
        vector: u8,
        /// Privilege in bits 0-1, masks events 2.
        flags: u8,
        /// CS of the handler.
        cs: u16,
        _pad: u32,
        /// Address of the handler.
        address: u64,
    }

    /// All registers of a PV guest's virtual CPU. HVM guests use [`HvmContext`] instead.
    struct VcpuGuestContext: "struct vcpu_guest_context" [5168] {
        /// FXSAVE area.
        fpu_ctxt: [u8; 512],
        /// `VGCF_*`.
        flags: u64,
        /// General registers.
        user_regs: CpuUserRegs,
        /// Trap table.
        trap_ctxt: [TrapInfo; 256],
        /// Address of the LDT.
        ldt_base: u64,
        /// Entries of the LDT.
        ldt_ents: u64,
        /// Frames of the GDT.
        gdt_frames: [u64; 16],
        /// Entries of the GDT.
        gdt_ents: u64,
        /// SS of the kernel.
        kernel_ss: u64,
        /// RSP of the kernel.
        kernel_sp: u64,
        /// Control registers.
        ctrlreg: [u64; 8],
        /// Debug registers.
        debugreg: [u64; 8],
        /// Entry of events.
        event_callback_eip: u64,
        /// Entry of failures.
        failsafe_callback_eip: u64,
        /// Entry of system calls; two code segments for 32-bit guests.
        syscall_callback_eip: u64,
        /// Bits of enabled `VMASST_TYPE_*`.
        vm_assist: u64,
        /// FS base.
        fs_base: u64,
        /// GS base in the kernel.
        gs_base_kernel: u64,
        /// GS base in user mode.
        gs_base_user: u64,
    }
}
