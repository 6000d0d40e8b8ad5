// SPDX-License-Identifier: GPL-2.0-only

//! `domctl`: the tools' operations on domains (`xen/domctl.h`), interface version 0x17.
//!
//! A call is a [`XenDomctl`] whose payload is one of the structures here, at byte 16. Handles are
//! addresses in the calling process. No structure differs for 32-bit callers but for the width of
//! `xen_pfn_t`, and only the control domain may call.

pub(crate) mod context;
pub(crate) mod domain;
pub(crate) mod monitor;
pub(crate) mod paging;
pub(crate) mod sched;

numbers! {
    "XEN_DOMCTL_" u32 [] {
        /// What a caller must speak.
        INTERFACE_VERSION = 0x17, "INTERFACE_VERSION";
    }
    "XEN_DOMCTL_" u32 [name] {
        /// Makes a domain, with a [`domain::CreateDomain`].
        CREATEDOMAIN = 1, "createdomain";
        /// Destroys a domain; no payload.
        DESTROYDOMAIN = 2, "destroydomain";
        /// Raises the pause count of the tools; no payload.
        PAUSEDOMAIN = 3, "pausedomain";
        /// Lowers the pause count of the tools; no payload.
        UNPAUSEDOMAIN = 4, "unpausedomain";
        /// Fills a [`domain::GetDomainInfo`].
        GETDOMAININFO = 5, "getdomaininfo";
        /// Sets where a virtual CPU may run, with a [`sched::VcpuAffinity`].
        SETVCPUAFFINITY = 9, "setvcpuaffinity";
        /// Shadow and log-dirty mode, with a [`paging::ShadowOp`].
        SHADOW_OP = 10, "shadow_op";
        /// Sets the limit of pages, with a [`domain::MaxMem`].
        MAX_MEM = 11, "max_mem";
        /// PV: sets registers, with a [`context::VcpuContext`].
        SETVCPUCONTEXT = 12, "setvcpucontext";
        /// PV: gets registers, with a [`context::VcpuContext`].
        GETVCPUCONTEXT = 13, "getvcpucontext";
        /// Tells how a virtual CPU is, with a [`sched::GetVcpuInfo`].
        GETVCPUINFO = 14, "getvcpuinfo";
        /// Makes the virtual CPUs, with a [`domain::MaxVcpus`].
        MAX_VCPUS = 15, "max_vcpus";
        /// Scheduling parameters, with a [`sched::SchedulerOp`].
        SCHEDULER_OP = 16, "scheduler_op";
        /// Sets the handle, with a [`domain::SetDomainHandle`].
        SETDOMAINHANDLE = 17, "setdomainhandle";
        /// Says whether a debugger is attached, with a [`domain::SetDebugging`].
        SETDEBUGGING = 18, "setdebugging";
        /// Gives or takes a physical interrupt.
        IRQ_PERMISSION = 19, "irq_permission";
        /// Gives or takes memory-mapped I/O.
        IOMEM_PERMISSION = 20, "iomem_permission";
        /// Gives or takes I/O ports.
        IOPORT_PERMISSION = 21, "ioport_permission";
        /// Fills a hypercall page, with a [`domain::HypercallInit`].
        HYPERCALL_INIT = 22, "hypercall_init";
        /// Sets the wall clock's distance from UTC, with a [`domain::SetTimeOffset`].
        SETTIMEOFFSET = 24, "settimeoffset";
        /// Tells where a virtual CPU may run, with a [`sched::VcpuAffinity`].
        GETVCPUAFFINITY = 25, "getvcpuaffinity";
        /// Of another architecture.
        REAL_MODE_AREA = 26, "real_mode_area";
        /// Lets a suspended domain go on; no payload.
        RESUMEDOMAIN = 27, "resumedomain";
        /// Sends an NMI or a power button, with a [`domain::SendTrigger`].
        SENDTRIGGER = 28, "sendtrigger";
        /// Sets the port that a suspended domain notifies, with a [`domain::Subscribe`].
        SUBSCRIBE = 29, "subscribe";
        /// Saves an HVM guest's state, with a [`context::HvmContext`].
        GETHVMCONTEXT = 33, "gethvmcontext";
        /// Loads an HVM guest's state, with a [`context::HvmContext`].
        SETHVMCONTEXT = 34, "sethvmcontext";
        /// PV: sets the width, with a [`domain::AddressSize`].
        SET_ADDRESS_SIZE = 35, "set_address_size";
        /// Gets the width, with a [`domain::AddressSize`].
        GET_ADDRESS_SIZE = 36, "get_address_size";
        /// Gives a device.
        ASSIGN_DEVICE = 37, "assign_device";
        /// Binds a device's interrupt.
        BIND_PT_IRQ = 38, "bind_pt_irq";
        /// Maps a device's memory.
        MEMORY_MAPPING = 39, "memory_mapping";
        /// Maps a device's ports.
        IOPORT_MAPPING = 40, "ioport_mapping";
        /// PV: sets further registers.
        SET_EXT_VCPUCONTEXT = 42, "set_ext_vcpucontext";
        /// PV: gets further registers.
        GET_EXT_VCPUCONTEXT = 43, "get_ext_vcpucontext";
        /// Of another architecture.
        SET_OPT_FEATURE = 44, "set_opt_feature";
        /// Tells whether a device can be given.
        TEST_ASSIGN_DEVICE = 45, "test_assign_device";
        /// Lets a domain act on another, with a [`domain::SetTarget`].
        SET_TARGET = 46, "set_target";
        /// Takes a device back.
        DEASSIGN_DEVICE = 47, "deassign_device";
        /// Unbinds a device's interrupt.
        UNBIND_PT_IRQ = 48, "unbind_pt_irq";
        /// Lists devices that cannot be told apart.
        GET_DEVICE_GROUP = 50, "get_device_group";
        /// Single-steps a virtual CPU, with a [`monitor::DebugOp`].
        DEBUG_OP = 54, "debug_op";
        /// Saves one record, with a [`context::HvmContextPartial`].
        GETHVMCONTEXT_PARTIAL = 55, "gethvmcontext_partial";
        /// Rings of events, with a [`monitor::VmEventOp`].
        VM_EVENT_OP = 56, "vm_event_op";
        /// Switches page sharing, with a [`paging::MemSharingOp`].
        MEM_SHARING_OP = 57, "mem_sharing_op";
        /// Tells about the TSC, with a [`domain::TscInfo`].
        GETTSCINFO = 59, "gettscinfo";
        /// Sets how the TSC behaves, with a [`domain::TscInfo`].
        SETTSCINFO = 60, "settscinfo";
        /// Tells kinds of frames, with a [`paging::GetPageFrameInfo3`].
        GETPAGEFRAMEINFO3 = 61, "getpageframeinfo3";
        /// Loads an XSAVE area, with a [`context::VcpuExtState`].
        SETVCPUEXTSTATE = 62, "setvcpuextstate";
        /// Saves an XSAVE area, with a [`context::VcpuExtState`].
        GETVCPUEXTSTATE = 63, "getvcpuextstate";
        /// Says whether access events need a listener, with a [`monitor::SetAccessRequired`].
        SET_ACCESS_REQUIRED = 64, "set_access_required";
        /// Checks frame tables, with a [`paging::AuditP2m`].
        AUDIT_P2M = 65, "audit_p2m";
        /// Sets who handles a global virtual interrupt, with a [`domain::SetVirqHandler`].
        SET_VIRQ_HANDLER = 66, "set_virq_handler";
        /// Marks a frame as broken, with a [`paging::SetBrokenPageP2m`].
        SET_BROKEN_PAGE_P2M = 67, "set_broken_page_p2m";
        /// Sets the preferred nodes, with a [`sched::NodeAffinity`].
        SETNODEAFFINITY = 68, "setnodeaffinity";
        /// Tells the preferred nodes, with a [`sched::NodeAffinity`].
        GETNODEAFFINITY = 69, "getnodeaffinity";
        /// Cleans caches of frames, with a [`paging::CacheFlush`].
        CACHEFLUSH = 71, "cacheflush";
        /// PV: gets model-specific registers, with a [`context::VcpuMsrs`].
        GET_VCPU_MSRS = 72, "get_vcpu_msrs";
        /// PV: sets model-specific registers, with a [`context::VcpuMsrs`].
        SET_VCPU_MSRS = 73, "set_vcpu_msrs";
        /// Sets the virtual NUMA topology, with a [`domain::Vnuma`].
        SETVNUMAINFO = 74, "setvnumainfo";
        /// Cache monitoring, with a [`sched::PsrCmtOp`].
        PSR_CMT_OP = 75, "psr_cmt_op";
        /// Switches events, with a [`monitor::MonitorOp`].
        MONITOR_OP = 77, "monitor_op";
        /// Cache allocation, with a [`sched::PsrAlloc`].
        PSR_ALLOC = 78, "psr_alloc";
        /// Resets a domain's Xen state; no payload.
        SOFT_RESET = 79, "soft_reset";
        /// Of another architecture.
        VUART_OP = 81, "vuart_op";
        /// Gets a domain's CPUID and MSRs, with a [`domain::CpuPolicy`].
        GET_CPU_POLICY = 82, "get_cpu_policy";
        /// Sets a domain's CPUID and MSRs, with a [`domain::CpuPolicy`].
        SET_CPU_POLICY = 83, "set_cpu_policy";
        /// Processor trace, with a [`monitor::VmtraceOp`].
        VMTRACE_OP = 84, "vmtrace_op";
        /// Tells the memory for page tables, with a [`paging::PagingMempool`].
        GET_PAGING_MEMPOOL_SIZE = 85, "get_paging_mempool_size";
        /// Sets the memory for page tables, with a [`paging::PagingMempool`].
        SET_PAGING_MEMPOOL_SIZE = 86, "set_paging_mempool_size";
        /// Of another architecture.
        DT_OVERLAY = 87, "dt_overlay";
        /// Gives or takes a global interrupt.
        GSI_PERMISSION = 88, "gsi_permission";
        /// Sets cache colours, with a [`domain::SetLlcColors`].
        SET_LLC_COLORS = 89, "set_llc_colors";
        /// Reads or writes guest memory, with a [`monitor::GdbsxMemio`].
        GDBSX_GUESTMEMIO = 1000, "gdbsx_guestmemio";
        /// Pauses a virtual CPU, with a [`monitor::GdbsxPauseunpVcpu`].
        GDBSX_PAUSEVCPU = 1001, "gdbsx_pausevcpu";
        /// Unpauses a virtual CPU, with a [`monitor::GdbsxPauseunpVcpu`].
        GDBSX_UNPAUSEVCPU = 1002, "gdbsx_unpausevcpu";
        /// Tells whether the debugger's domain stopped, with a [`monitor::GdbsxDomstatus`].
        GDBSX_DOMSTATUS = 1003, "gdbsx_domstatus";
    }
}

/// Continuation of [`SOFT_RESET`]; inside Xen only, its header hides it from callers.
pub(crate) const SOFT_RESET_CONT: u32 = 23;

layouts! {
    /// Any `domctl`.
    struct XenDomctl: "struct xen_domctl" [144] {
        /// The operation.
        cmd: u32,
        /// [`INTERFACE_VERSION`].
        interface_version: u32,
        /// The domain.
        domain: u16,
        _pad: [u16; 3],
        /// The payload, for [`super::layout::payload`].
        u: [u8; 128],
    }

    /// A bitmap of the caller: bits beyond the shorter side are zero.
    struct XenctlBitmap: "struct xenctl_bitmap" [16] {
        /// Handle of its bytes.
        bitmap: u64,
        /// Its bits; need not be a multiple of eight.
        nr_bits: u32,
        _pad: u32,
    }
}
