// SPDX-License-Identifier: GPL-2.0-only

//! Messages of the introspection rings (`xen/vm_event.h`).
//!
//! A ring is one page: its indices, then slots of [`VmEvent`]. Requests go to the listener,
//! responses come back through the same slots.

numbers! {
    "" u32 [] {
        /// Version of the messages.
        INTERFACE_VERSION = 7, "VM_EVENT_INTERFACE_VERSION";
    }
    "VM_EVENT_FLAG_" u32 [] {
        /// The virtual CPU waits; in a response: it may go on.
        FLAG_VCPU_PAUSED = 1 << 0, "VCPU_PAUSED";
        /// Paging: another domain wants the page.
        FLAG_FOREIGN = 1 << 1, "FOREIGN";
        /// Response: emulate the instruction.
        FLAG_EMULATE = 1 << 2, "EMULATE";
        /// Response: emulate it without its writes.
        FLAG_EMULATE_NOWRITE = 1 << 3, "EMULATE_NOWRITE";
        /// Response: switch single steps.
        FLAG_TOGGLE_SINGLESTEP = 1 << 4, "TOGGLE_SINGLESTEP";
        /// Response: emulated reads give the data.
        FLAG_SET_EMUL_READ_DATA = 1 << 5, "SET_EMUL_READ_DATA";
        /// Response: the write does not happen.
        FLAG_DENY = 1 << 6, "DENY";
        /// The view is valid; in a response: switch to it.
        FLAG_ALTERNATE_P2M = 1 << 7, "ALTERNATE_P2M";
        /// Response: load the registers.
        FLAG_SET_REGISTERS = 1 << 8, "SET_REGISTERS";
        /// Response: emulate these bytes of instruction.
        FLAG_SET_EMUL_INSN_DATA = 1 << 9, "SET_EMUL_INSN_DATA";
        /// Response: report the next interrupt.
        FLAG_GET_NEXT_INTERRUPT = 1 << 10, "GET_NEXT_INTERRUPT";
        /// Response: single-step in one view and go back to another.
        FLAG_FAST_SINGLESTEP = 1 << 11, "FAST_SINGLESTEP";
        /// The guest's guest ran.
        FLAG_NESTED_P2M = 1 << 12, "NESTED_P2M";
        /// Response: start the trace afresh.
        FLAG_RESET_VMTRACE = 1 << 13, "RESET_VMTRACE";
        /// Response: reset the fork's registers.
        FLAG_RESET_FORK_STATE = 1 << 14, "RESET_FORK_STATE";
        /// Response: reset the fork's memory.
        FLAG_RESET_FORK_MEMORY = 1 << 15, "RESET_FORK_MEMORY";
    }
    "VM_EVENT_REASON_" u32 [reason_name] {
        /// None.
        REASON_UNKNOWN = 0, "UNKNOWN";
        /// An access against a page's rights; [`MemAccess`].
        REASON_MEM_ACCESS = 1, "MEM_ACCESS";
        /// Sharing ran out of memory.
        REASON_MEM_SHARING = 2, "MEM_SHARING";
        /// A page that is paged out.
        REASON_MEM_PAGING = 3, "MEM_PAGING";
        /// A control register; [`WriteCtrlreg`].
        REASON_WRITE_CTRLREG = 4, "WRITE_CTRLREG";
        /// A model-specific register; [`MovToMsr`].
        REASON_MOV_TO_MSR = 5, "MOV_TO_MSR";
        /// A breakpoint instruction; [`Debug`](struct@Debug).
        REASON_SOFTWARE_BREAKPOINT = 6, "SOFTWARE_BREAKPOINT";
        /// An instruction ran; [`Singlestep`].
        REASON_SINGLESTEP = 7, "SINGLESTEP";
        /// The guest asked.
        REASON_GUEST_REQUEST = 8, "GUEST_REQUEST";
        /// A debug exception; [`Debug`](struct@Debug).
        REASON_DEBUG_EXCEPTION = 9, "DEBUG_EXCEPTION";
        /// CPUID; [`Cpuid`].
        REASON_CPUID = 10, "CPUID";
        /// Of another architecture.
        REASON_PRIVILEGED_CALL = 11, "PRIVILEGED_CALL";
        /// An interrupt; [`InterruptX86`].
        REASON_INTERRUPT = 12, "INTERRUPT";
        /// A descriptor table register; [`DescAccess`].
        REASON_DESCRIPTOR_ACCESS = 13, "DESCRIPTOR_ACCESS";
        /// An instruction that cannot be emulated.
        REASON_EMUL_UNIMPLEMENTED = 14, "EMUL_UNIMPLEMENTED";
        /// Any exit.
        REASON_VMEXIT = 15, "VMEXIT";
        /// Port I/O; [`Io`].
        REASON_IO_INSTRUCTION = 16, "IO_INSTRUCTION";
    }
    "VM_EVENT_X86_" u32 [] {
        /// Control register 0.
        X86_CR0 = 0, "CR0";
        /// Control register 3.
        X86_CR3 = 1, "CR3";
        /// Control register 4.
        X86_CR4 = 2, "CR4";
        /// Extended control register 0.
        X86_XCR0 = 3, "XCR0";
    }
    "VM_EVENT_DESC_" u8 [] {
        /// The IDT's register.
        DESC_IDTR = 1, "IDTR";
        /// The GDT's register.
        DESC_GDTR = 2, "GDTR";
        /// The LDT's register.
        DESC_LDTR = 3, "LDTR";
        /// The task register.
        DESC_TR = 4, "TR";
    }
    "MEM_ACCESS_" u32 [] {
        /// Access: read.
        MEM_ACCESS_R = 1 << 0, "R";
        /// Access: write.
        MEM_ACCESS_W = 1 << 1, "W";
        /// Access: execute.
        MEM_ACCESS_X = 1 << 2, "X";
        /// Access: the linear address is valid.
        MEM_ACCESS_GLA_VALID = 1 << 3, "GLA_VALID";
        /// Access: of the page itself.
        MEM_ACCESS_FAULT_WITH_GLA = 1 << 4, "FAULT_WITH_GLA";
        /// Access: of a page table on the way.
        MEM_ACCESS_FAULT_IN_GPT = 1 << 5, "FAULT_IN_GPT";
    }
    "" usize [] {
        /// Ring: 32-bit requests produced.
        RING_REQ_PROD = 0, "offsetof(struct vm_event_sring, req_prod)";
        /// Ring: 32-bit request at which the listener wants an event.
        RING_REQ_EVENT = 4, "offsetof(struct vm_event_sring, req_event)";
        /// Ring: 32-bit responses produced.
        RING_RSP_PROD = 8, "offsetof(struct vm_event_sring, rsp_prod)";
        /// Ring: 32-bit response at which Xen wants an event.
        RING_RSP_EVENT = 12, "offsetof(struct vm_event_sring, rsp_event)";
        /// Ring: the first slot.
        RING_SLOTS = 64, "offsetof(struct vm_event_sring, ring)";
    }
}

/// Slots of a ring: the greatest power of two that fits a page.
pub(crate) const RING_SLOT_NUM: u32 = 8;

layouts! {
    /// A request or response.
    struct VmEvent: "struct vm_event_st" [400] {
        /// [`INTERFACE_VERSION`].
        version: u32,
        /// `FLAG_*`.
        flags: u32,
        /// One of `REASON_*`.
        reason: u32,
        /// The virtual CPU.
        vcpu_id: u32,
        /// The view.
        altp2m_idx: u16,
        _pad: [u16; 3],
        /// What depends on the reason, for [`super::layout::payload`].
        u: [u8; 32],
        /// [`RegsX86`], [`EmulReadData`] or [`EmulInsnData`], for [`super::layout::payload`].
        data: [u8; 344],
    }

    /// Registers. A selector's attributes are limit (20 bits, scaled by granularity) and 12 bits of
    /// type 0-3, S 4, DPL 5-6, P 7, AVL 8, L 9, D/B 10, G 11 above.
    struct RegsX86: "struct vm_event_regs_x86" [344] {
        /// RAX.
        rax: u64,
        /// RCX.
        rcx: u64,
        /// RDX.
        rdx: u64,
        /// RBX.
        rbx: u64,
        /// RSP.
        rsp: u64,
        /// RBP.
        rbp: u64,
        /// RSI.
        rsi: u64,
        /// RDI.
        rdi: u64,
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
        /// RFLAGS.
        rflags: u64,
        /// DR6.
        dr6: u64,
        /// DR7.
        dr7: u64,
        /// RIP.
        rip: u64,
        /// CR0.
        cr0: u64,
        /// CR2.
        cr2: u64,
        /// CR3.
        cr3: u64,
        /// CR4.
        cr4: u64,
        /// SYSENTER_CS.
        sysenter_cs: u64,
        /// SYSENTER_ESP.
        sysenter_esp: u64,
        /// SYSENTER_EIP.
        sysenter_eip: u64,
        /// EFER.
        msr_efer: u64,
        /// STAR.
        msr_star: u64,
        /// LSTAR.
        msr_lstar: u64,
        /// Base of the GDT.
        gdtr_base: u64,
        /// Root of the nested page table of the guest's guest.
        npt_base: u64,
        /// Position of the trace; all ones without one.
        vmtrace_pos: u64,
        /// Base of CS.
        cs_base: u32,
        /// Base of SS.
        ss_base: u32,
        /// Base of DS.
        ds_base: u32,
        /// Base of ES.
        es_base: u32,
        /// Base of FS.
        fs_base: u64,
        /// Base of GS.
        gs_base: u64,
        /// Limit and attributes of CS.
        cs: u32,
        /// Limit and attributes of SS.
        ss: u32,
        /// Limit and attributes of DS.
        ds: u32,
        /// Limit and attributes of ES.
        es: u32,
        /// Limit and attributes of FS.
        fs: u32,
        /// Limit and attributes of GS.
        gs: u32,
        /// KERNEL_GS_BASE.
        shadow_gs: u64,
        /// Limit of the GDT.
        gdtr_limit: u16,
        /// CS.
        cs_sel: u16,
        /// SS.
        ss_sel: u16,
        /// DS.
        ds_sel: u16,
        /// ES.
        es_sel: u16,
        /// FS.
        fs_sel: u16,
        /// GS.
        gs_sel: u16,
        _pad: u16,
    }

    /// Of [`REASON_MEM_ACCESS`].
    struct MemAccess: "struct vm_event_mem_access" [32] {
        /// The guest frame.
        gfn: u64,
        /// Byte in the frame.
        offset: u64,
        /// The linear address.
        gla: u64,
        /// `MEM_ACCESS_*`.
        flags: u32,
        _pad: u32,
    }

    /// Of [`REASON_WRITE_CTRLREG`].
    struct WriteCtrlreg: "struct vm_event_write_ctrlreg" [24] {
        /// One of `X86_*`.
        index: u32,
        _pad: u32,
        /// After.
        new_value: u64,
        /// Before.
        old_value: u64,
    }

    /// Of [`REASON_MOV_TO_MSR`].
    struct MovToMsr: "struct vm_event_mov_to_msr" [24] {
        /// The register.
        msr: u64,
        /// After.
        new_value: u64,
        /// Before.
        old_value: u64,
    }

    /// Of [`REASON_SINGLESTEP`].
    struct Singlestep: "struct vm_event_singlestep" [8] {
        /// Guest frame of the instruction.
        gfn: u64,
    }

    /// Response with [`FLAG_FAST_SINGLESTEP`].
    struct FastSinglestep: "struct vm_event_fast_singlestep" [2] {
        /// The view to go back to.
        p2midx: u16,
    }

    /// Of [`REASON_SOFTWARE_BREAKPOINT`] and [`REASON_DEBUG_EXCEPTION`].
    struct Debug: "struct vm_event_debug" [24] {
        /// Guest frame of the instruction.
        gfn: u64,
        /// Pending bits of DR6.
        pending_dbg: u64,
        /// Bytes of the instruction.
        insn_length: u32,
        /// How it arose, as in event injection.
        type_: u8 as "type",
        _pad: [u8; 3],
    }

    /// Of [`REASON_CPUID`].
    struct Cpuid: "struct vm_event_cpuid" [16] {
        /// Bytes of the instruction.
        insn_length: u32,
        /// EAX.
        leaf: u32,
        /// ECX.
        subleaf: u32,
        _pad: u32,
    }

    /// Of [`REASON_INTERRUPT`].
    struct InterruptX86: "struct vm_event_interrupt_x86" [24] {
        /// The vector.
        vector: u32,
        /// Its kind, as in event injection.
        type_: u32 as "type",
        /// Its error code, or all ones.
        error_code: u32,
        _pad: u32,
        /// Address of a page fault.
        cr2: u64,
    }

    /// Of [`REASON_DESCRIPTOR_ACCESS`].
    struct DescAccess: "struct vm_event_desc_access" [24] {
        /// VMX: about the instruction; 0 elsewhere.
        instr_info: u32 as "arch.vmx.instr_info",
        _pad0: u32,
        /// VMX: exit qualification; 0 elsewhere.
        exit_qualification: u64 as "arch.vmx.exit_qualification",
        /// One of `DESC_*`.
        descriptor: u8,
        /// Nonzero for a write.
        is_write: u8,
        _pad1: [u8; 6],
    }

    /// Of [`REASON_IO_INSTRUCTION`].
    struct Io: "struct vm_event_io" [8] {
        /// Bytes of the access.
        bytes: u32,
        /// The port.
        port: u16,
        /// 1 for IN.
        in_: u8 as "in",
        /// 1 for a string instruction.
        str_: u8 as "str",
    }

    /// Response with [`FLAG_SET_EMUL_READ_DATA`].
    struct EmulReadData: "struct vm_event_emul_read_data" [344] {
        /// How many bytes.
        size: u32,
        /// The bytes.
        data: [u8; 340],
    }

    /// Response with [`FLAG_SET_EMUL_INSN_DATA`].
    struct EmulInsnData: "struct vm_event_emul_insn_data" [16] {
        /// The bytes.
        data: [u8; 16],
    }
}

const _: () = {
    let slots = (4096 - RING_SLOTS) / core::mem::size_of::<VmEvent>();
    // CAST: a page has few slots.
    assert!(1 << slots.ilog2() == RING_SLOT_NUM as usize);
};
