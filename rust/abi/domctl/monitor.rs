// SPDX-License-Identifier: GPL-2.0-only

//! Payloads of `domctl`s for introspection and debugging.

numbers! {
    "XEN_DOMCTL_DEBUG_OP_" u32 [] {
        /// Debug: stops single steps.
        DEBUG_OP_SINGLE_STEP_OFF = 0, "SINGLE_STEP_OFF";
        /// Debug: starts single steps.
        DEBUG_OP_SINGLE_STEP_ON = 1, "SINGLE_STEP_ON";
    }
    "XEN_VM_EVENT_" u32 [vm_event_name] {
        /// Ring: makes one.
        VM_EVENT_ENABLE = 0, "ENABLE";
        /// Ring: removes it.
        VM_EVENT_DISABLE = 1, "DISABLE";
        /// Ring: takes its responses.
        VM_EVENT_RESUME = 2, "RESUME";
        /// Ring: tells the version of its messages.
        VM_EVENT_GET_VERSION = 3, "GET_VERSION";
    }
    "XEN_DOMCTL_VM_EVENT_OP_" u32 [] {
        /// Ring of paging events.
        VM_EVENT_OP_PAGING = 1, "PAGING";
        /// Ring of monitor events.
        VM_EVENT_OP_MONITOR = 2, "MONITOR";
        /// Ring of sharing events.
        VM_EVENT_OP_SHARING = 3, "SHARING";
    }
    "XEN_DOMCTL_MONITOR_OP_" u32 [monitor_op_name] {
        /// Monitor: switches an event on.
        MONITOR_OP_ENABLE = 0, "ENABLE";
        /// Monitor: switches an event off.
        MONITOR_OP_DISABLE = 1, "DISABLE";
        /// Monitor: tells which events there are.
        MONITOR_OP_GET_CAPABILITIES = 2, "GET_CAPABILITIES";
        /// Monitor: reports each repetition of an emulated instruction.
        MONITOR_OP_EMULATE_EACH_REP = 3, "EMULATE_EACH_REP";
        /// Monitor: lets responses change registers.
        MONITOR_OP_CONTROL_REGISTERS = 4, "CONTROL_REGISTERS";
    }
    "XEN_DOMCTL_MONITOR_EVENT_" u32 [monitor_event_name] {
        /// Event: a control register was written.
        MONITOR_EVENT_WRITE_CTRLREG = 0, "WRITE_CTRLREG";
        /// Event: a model-specific register was written.
        MONITOR_EVENT_MOV_TO_MSR = 1, "MOV_TO_MSR";
        /// Event: an instruction ran.
        MONITOR_EVENT_SINGLESTEP = 2, "SINGLESTEP";
        /// Event: a breakpoint instruction.
        MONITOR_EVENT_SOFTWARE_BREAKPOINT = 3, "SOFTWARE_BREAKPOINT";
        /// Event: the guest asked.
        MONITOR_EVENT_GUEST_REQUEST = 4, "GUEST_REQUEST";
        /// Event: a debug exception.
        MONITOR_EVENT_DEBUG_EXCEPTION = 5, "DEBUG_EXCEPTION";
        /// Event: CPUID.
        MONITOR_EVENT_CPUID = 6, "CPUID";
        /// Event: a privileged call, on another architecture.
        MONITOR_EVENT_PRIVILEGED_CALL = 7, "PRIVILEGED_CALL";
        /// Event: an interrupt.
        MONITOR_EVENT_INTERRUPT = 8, "INTERRUPT";
        /// Event: a descriptor table register was touched.
        MONITOR_EVENT_DESC_ACCESS = 9, "DESC_ACCESS";
        /// Event: an instruction that cannot be emulated.
        MONITOR_EVENT_EMUL_UNIMPLEMENTED = 10, "EMUL_UNIMPLEMENTED";
        /// Event: an access that Xen made for the guest, against its rights.
        MONITOR_EVENT_INGUEST_PAGEFAULT = 11, "INGUEST_PAGEFAULT";
        /// Event: any exit.
        MONITOR_EVENT_VMEXIT = 12, "VMEXIT";
        /// Event: port I/O.
        MONITOR_EVENT_IO = 13, "IO";
    }
    "XEN_DOMCTL_vmtrace_" u32 [vmtrace_name] {
        /// Trace: starts.
        VMTRACE_ENABLE = 1, "enable";
        /// Trace: stops.
        VMTRACE_DISABLE = 2, "disable";
        /// Trace: starts afresh.
        VMTRACE_RESET_AND_ENABLE = 3, "reset_and_enable";
        /// Trace: tells where it is.
        VMTRACE_OUTPUT_POSITION = 4, "output_position";
        /// Trace: gets a setting.
        VMTRACE_GET_OPTION = 5, "get_option";
        /// Trace: sets a setting.
        VMTRACE_SET_OPTION = 6, "set_option";
    }
}

layouts! {
    /// Payload of [`DEBUG_OP`](super::DEBUG_OP).
    struct DebugOp: "struct xen_domctl_debug_op" [8] {
        /// One of `DEBUG_OP_*`.
        op: u32,
        /// The virtual CPU.
        vcpu: u32,
    }

    /// Payload of [`VM_EVENT_OP`](super::VM_EVENT_OP).
    struct VmEventOp: "struct xen_domctl_vm_event_op" [12] {
        /// IN: one of `VM_EVENT_*`.
        op: u32,
        /// IN: one of `VM_EVENT_OP_*`.
        mode: u32,
        /// OUT: the port, or the version.
        port: u32 as "u.enable.port",
    }

    /// Payload of [`SET_ACCESS_REQUIRED`](super::SET_ACCESS_REQUIRED).
    struct SetAccessRequired: "struct xen_domctl_set_access_required" [1] {
        /// Nonzero if a violation without a listener stops the guest.
        access_required: u8,
    }

    /// Payload of [`MONITOR_OP`](super::MONITOR_OP).
    struct MonitorOp: "struct xen_domctl_monitor_op" [24] {
        /// One of `MONITOR_OP_*`.
        op: u32,
        /// IN: one of `MONITOR_EVENT_*`. OUT of capabilities: bits of them.
        event: u32,
        /// What depends on the event, for [`crate::abi::layout::payload`].
        u: [u8; 16],
    }

    /// Of [`MonitorOp`]: [`MONITOR_EVENT_WRITE_CTRLREG`].
    struct MovToCr: "__typeof__(((struct xen_domctl_monitor_op *)0)->u.mov_to_cr)" [16] {
        /// One of `VM_EVENT_X86_*`.
        index: u8,
        /// Nonzero: the virtual CPU waits for the response.
        sync: u8,
        /// Nonzero: only if a bit changes.
        onchangeonly: u8,
        /// Must be 0.
        pad1: u8,
        /// Must be 0.
        pad2: u32,
        /// Bits that do not matter.
        bitmask: u64,
    }

    /// Of [`MonitorOp`]: [`MONITOR_EVENT_MOV_TO_MSR`].
    struct MovToMsr: "__typeof__(((struct xen_domctl_monitor_op *)0)->u.mov_to_msr)" [8] {
        /// The register.
        msr: u32,
        /// Nonzero: only if it changes.
        onchangeonly: u8,
        _pad: [u8; 3],
    }

    /// Of [`MonitorOp`]: [`MONITOR_EVENT_GUEST_REQUEST`].
    struct GuestRequest: "__typeof__(((struct xen_domctl_monitor_op *)0)->u.guest_request)" [2] {
        /// Nonzero: the virtual CPU waits for the response.
        sync: u8,
        /// Nonzero: user mode may ask.
        allow_userspace: u8,
    }

    /// Of [`MonitorOp`]: [`MONITOR_EVENT_DEBUG_EXCEPTION`] and [`MONITOR_EVENT_VMEXIT`].
    struct Sync: "__typeof__(((struct xen_domctl_monitor_op *)0)->u.debug_exception)" [1] {
        /// Nonzero: the virtual CPU waits for the response.
        sync: u8,
    }

    /// Payload of [`VMTRACE_OP`](super::VMTRACE_OP).
    struct VmtraceOp: "struct xen_domctl_vmtrace_op" [24] {
        /// One of `VMTRACE_*`.
        cmd: u32,
        /// The virtual CPU.
        vcpu: u32,
        /// The setting.
        key: u64,
        /// Its value, or the position.
        value: u64,
    }

    /// Payload of [`GDBSX_GUESTMEMIO`](super::GDBSX_GUESTMEMIO).
    struct GdbsxMemio: "struct xen_domctl_gdbsx_memio" [40] {
        /// IN: 0.
        pgd3val: u64,
        /// IN: guest address.
        gva: u64,
        /// IN: the caller's address.
        uva: u64,
        /// IN: bytes.
        len: u32,
        /// IN: nonzero to write the guest.
        gwr: u8,
        _pad0: [u8; 3],
        /// OUT: bytes that were not done.
        remain: u32,
        _pad1: u32,
    }

    /// Payload of [`GDBSX_PAUSEVCPU`](super::GDBSX_PAUSEVCPU) and
    /// [`GDBSX_UNPAUSEVCPU`](super::GDBSX_UNPAUSEVCPU).
    struct GdbsxPauseunpVcpu: "struct xen_domctl_gdbsx_pauseunp_vcpu" [4] {
        /// The virtual CPU.
        vcpu: u32,
    }

    /// Payload of [`GDBSX_DOMSTATUS`](super::GDBSX_DOMSTATUS).
    struct GdbsxDomstatus: "struct xen_domctl_gdbsx_domstatus" [12] {
        /// OUT: nonzero if the domain is paused.
        paused: u8,
        _pad: [u8; 3],
        /// OUT: the virtual CPU that stopped.
        vcpu_id: u32,
        /// OUT: why.
        vcpu_ev: u32,
    }
}
