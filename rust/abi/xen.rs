// SPDX-License-Identifier: GPL-2.0-only

//! Numbers and structures of `xen/xen.h`: hypercalls, domain ids, virtual interrupts, the shared
//! info page.
//!
//! The shared info page and what lies in it are memory that a guest writes at any time, so they are
//! not structures here but byte offsets of words, once for each width of guest.

numbers! {
    "__HYPERVISOR_" u32 [name] {
        /// PV: loads the trap table.
        SET_TRAP_TABLE = 0, "set_trap_table";
        /// PV: writes page table entries.
        MMU_UPDATE = 1, "mmu_update";
        /// PV: loads the GDT.
        SET_GDT = 2, "set_gdt";
        /// PV: switches the kernel stack.
        STACK_SWITCH = 3, "stack_switch";
        /// PV: sets the event and failsafe entry points.
        SET_CALLBACKS = 4, "set_callbacks";
        /// PV: sets CR0.TS.
        FPU_TASKSWITCH = 5, "fpu_taskswitch";
        /// The form of `sched_op` before 3.1.
        SCHED_OP_COMPAT = 6, "sched_op_compat";
        /// Operations of the hardware domain on the machine; see [`super::platform`].
        PLATFORM_OP = 7, "platform_op";
        /// PV: writes a debug register.
        SET_DEBUGREG = 8, "set_debugreg";
        /// PV: reads a debug register.
        GET_DEBUGREG = 9, "get_debugreg";
        /// PV: writes a segment descriptor.
        UPDATE_DESCRIPTOR = 10, "update_descriptor";
        /// Memory of domains; see [`super::memory`].
        MEMORY_OP = 12, "memory_op";
        /// Several hypercalls in one; see [`MulticallEntry`].
        MULTICALL = 13, "multicall";
        /// PV: writes one page table entry by virtual address.
        UPDATE_VA_MAPPING = 14, "update_va_mapping";
        /// Sets the singleshot timer to an absolute system time.
        SET_TIMER_OP = 15, "set_timer_op";
        /// The form of `event_channel_op` before 3.2.2.
        EVENT_CHANNEL_OP_COMPAT = 16, "event_channel_op_compat";
        /// What Xen this is; see [`super::version`].
        XEN_VERSION = 17, "xen_version";
        /// The emergency console; see [`super::console_io`].
        CONSOLE_IO = 18, "console_io";
        /// The form of `physdev_op` before 3.2.2.
        PHYSDEV_OP_COMPAT = 19, "physdev_op_compat";
        /// Grants; see [`super::grant_table`].
        GRANT_TABLE_OP = 20, "grant_table_op";
        /// Switches deviations from the default behaviour.
        VM_ASSIST = 21, "vm_assist";
        /// PV: writes one page table entry of another domain's mapping.
        UPDATE_VA_MAPPING_OTHERDOMAIN = 22, "update_va_mapping_otherdomain";
        /// PV: returns from an exception.
        IRET = 23, "iret";
        /// Virtual CPUs; see [`super::vcpu`].
        VCPU_OP = 24, "vcpu_op";
        /// PV: writes a segment base.
        SET_SEGMENT_BASE = 25, "set_segment_base";
        /// PV: page table operations that are not writes.
        MMUEXT_OP = 26, "mmuext_op";
        /// The security module's own operations.
        XSM_OP = 27, "xsm_op";
        /// PV: registers an NMI callback.
        NMI_OP = 28, "nmi_op";
        /// Yielding, blocking, shutting down; see [`super::sched`].
        SCHED_OP = 29, "sched_op";
        /// PV: registers callbacks by kind.
        CALLBACK_OP = 30, "callback_op";
        /// System-wide profiling.
        XENOPROF_OP = 31, "xenoprof_op";
        /// Event channels; see [`super::event_channel`].
        EVENT_CHANNEL_OP = 32, "event_channel_op";
        /// Physical devices and interrupts; see [`super::physdev`].
        PHYSDEV_OP = 33, "physdev_op";
        /// HVM guests; see [`super::hvm`].
        HVM_OP = 34, "hvm_op";
        /// The tools' operations on the system; see [`super::sysctl`].
        SYSCTL = 35, "sysctl";
        /// The tools' operations on domains; see [`super::domctl`].
        DOMCTL = 36, "domctl";
        /// Loads and starts a crash or successor kernel.
        KEXEC_OP = 37, "kexec_op";
        /// Transcendent memory; removed in 4.13.
        TMEM_OP = 38, "tmem_op";
        /// Messages between domains.
        ARGO_OP = 39, "argo_op";
        /// Virtual performance counters.
        XENPMU_OP = 40, "xenpmu_op";
        /// Operations of a device model; see [`super::dm_op`].
        DM_OP = 41, "dm_op";
        /// The tree of settings.
        HYPFS_OP = 42, "hypfs_op";
        /// PV: machine check interface.
        ARCH_0 = 48, "arch_0";
        /// Paging attributes; unused.
        ARCH_1 = 49, "arch_1";
        /// Unused.
        ARCH_2 = 50, "arch_2";
        /// Unused.
        ARCH_3 = 51, "arch_3";
        /// Unused.
        ARCH_4 = 52, "arch_4";
        /// Unused.
        ARCH_5 = 53, "arch_5";
        /// Unused.
        ARCH_6 = 54, "arch_6";
        /// Unused.
        ARCH_7 = 55, "arch_7";
    }
    "VIRQ_" u32 [virq_name] {
        /// The timer of a virtual CPU. Per virtual CPU.
        VIRQ_TIMER = 0, "TIMER";
        /// Asks the guest to dump its state. Per virtual CPU.
        VIRQ_DEBUG = 1, "DEBUG";
        /// Bytes arrived on the emergency console.
        VIRQ_CONSOLE = 2, "CONSOLE";
        /// A domain shut down, crashed or died; for the control domain.
        VIRQ_DOM_EXC = 3, "DOM_EXC";
        /// The trace buffer has records.
        VIRQ_TBUF = 4, "TBUF";
        /// A domain stopped for its debugger.
        VIRQ_DEBUGGER = 6, "DEBUGGER";
        /// The profile has samples. Per virtual CPU.
        VIRQ_XENOPROF = 7, "XENOPROF";
        /// The console ring has new bytes.
        VIRQ_CON_RING = 8, "CON_RING";
        /// A physical CPU came or went.
        VIRQ_PCPU_STATE = 9, "PCPU_STATE";
        /// A memory event occurred.
        VIRQ_MEM_EVENT = 10, "MEM_EVENT";
        /// An argo message arrived.
        VIRQ_ARGO = 11, "ARGO";
        /// Memory runs low.
        VIRQ_ENOMEM = 12, "ENOMEM";
        /// A performance counter overflowed. Per virtual CPU.
        VIRQ_XENPMU = 13, "XENPMU";
        /// Machine check, on x86.
        VIRQ_ARCH_0 = 16, "ARCH_0";
        /// Unused on x86.
        VIRQ_ARCH_1 = 17, "ARCH_1";
        /// Unused on x86.
        VIRQ_ARCH_2 = 18, "ARCH_2";
        /// Unused on x86.
        VIRQ_ARCH_3 = 19, "ARCH_3";
        /// Unused on x86.
        VIRQ_ARCH_4 = 20, "ARCH_4";
        /// Unused on x86.
        VIRQ_ARCH_5 = 21, "ARCH_5";
        /// Unused on x86.
        VIRQ_ARCH_6 = 22, "ARCH_6";
        /// Unused on x86.
        VIRQ_ARCH_7 = 23, "ARCH_7";
    }
    "" u32 [] {
        /// The number of virtual interrupts.
        NR_VIRQS = 24, "NR_VIRQS";
    }
    "" u16 [] {
        /// The first id that no domain has.
        DOMID_FIRST_RESERVED = 0x7ff0, "DOMID_FIRST_RESERVED";
        /// The calling domain.
        DOMID_SELF = 0x7ff0, "DOMID_SELF";
        /// The owner of memory-mapped I/O.
        DOMID_IO = 0x7ff1, "DOMID_IO";
        /// The hypervisor as an owner of pages.
        DOMID_XEN = 0x7ff2, "DOMID_XEN";
        /// The owner of pages shared between domains.
        DOMID_COW = 0x7ff3, "DOMID_COW";
        /// No domain.
        DOMID_INVALID = 0x7ff4, "DOMID_INVALID";
        /// The domain of idle virtual CPUs.
        DOMID_IDLE = 0x7fff, "DOMID_IDLE";
        /// The bits of an id that may be set.
        DOMID_MASK = 0x7fff, "DOMID_MASK";
    }
    "VMASST_" u32 [] {
        /// `vm_assist`: switches a deviation on.
        VMASST_CMD_ENABLE = 0, "CMD_enable";
        /// `vm_assist`: switches a deviation off.
        VMASST_CMD_DISABLE = 1, "CMD_disable";
        /// PV: full-size segments for 32-bit guests.
        VMASST_TYPE_4GB_SEGMENTS = 0, "TYPE_4gb_segments";
        /// PV: tells the guest when it used such a segment.
        VMASST_TYPE_4GB_SEGMENTS_NOTIFY = 1, "TYPE_4gb_segments_notify";
        /// PV: page tables look writable.
        VMASST_TYPE_WRITABLE_PAGETABLES = 2, "TYPE_writable_pagetables";
        /// PV: CR3 above 4 GiB for PAE guests.
        VMASST_TYPE_PAE_EXTENDED_CR3 = 3, "TYPE_pae_extended_cr3";
        /// PV: IOPL behaves as in hardware.
        VMASST_TYPE_ARCHITECTURAL_IOPL = 4, "TYPE_architectural_iopl";
        /// Runstate areas carry [`super::vcpu::RUNSTATE_UPDATE`] while they are written.
        VMASST_TYPE_RUNSTATE_UPDATE_FLAG = 5, "TYPE_runstate_update_flag";
        /// PV: hides the machine-to-physical table from user mode.
        VMASST_TYPE_M2P_STRICT = 32, "TYPE_m2p_strict";
    }
    "" usize [] {
        /// Virtual CPUs whose `vcpu_info` lies in the shared info page.
        LEGACY_MAX_VCPUS = 32, "XEN_LEGACY_MAX_VCPUS";
        /// Bytes of a `vcpu_info`, in both widths.
        VCPU_INFO_SIZE = 64, "sizeof(struct vcpu_info)";
        /// `vcpu_info`: byte that says an event is pending.
        VCPU_INFO_UPCALL_PENDING = 0, "offsetof(struct vcpu_info, evtchn_upcall_pending)";
        /// `vcpu_info`: byte that masks events; without meaning for HVM guests.
        VCPU_INFO_UPCALL_MASK = 1, "offsetof(struct vcpu_info, evtchn_upcall_mask)";
        /// `vcpu_info`: the [`TIME_INFO_SIZE`] bytes of `vcpu_time_info`, in both widths.
        VCPU_INFO_TIME = 32, "offsetof(struct vcpu_info, time)";
        /// Bytes of a `vcpu_time_info`, in both widths.
        TIME_INFO_SIZE = 32, "sizeof(struct vcpu_time_info)";
        /// `vcpu_time_info`: 32-bit version, odd while the rest is written.
        TIME_INFO_VERSION = 0, "offsetof(struct vcpu_time_info, version)";
        /// `vcpu_time_info`: 64-bit time stamp counter at `system_time`.
        TIME_INFO_TSC_TIMESTAMP = 8, "offsetof(struct vcpu_time_info, tsc_timestamp)";
        /// `vcpu_time_info`: 64-bit nanoseconds since the domain started.
        TIME_INFO_SYSTEM_TIME = 16, "offsetof(struct vcpu_time_info, system_time)";
        /// `vcpu_time_info`: 32-bit binary fraction of nanoseconds per shifted tick.
        TIME_INFO_TSC_TO_SYSTEM_MUL = 24, "offsetof(struct vcpu_time_info, tsc_to_system_mul)";
        /// `vcpu_time_info`: signed byte, left shift of ticks before the multiplication.
        TIME_INFO_TSC_SHIFT = 28, "offsetof(struct vcpu_time_info, tsc_shift)";
        /// `vcpu_time_info`: byte of [`PVCLOCK_TSC_STABLE_BIT`] and [`PVCLOCK_GUEST_STOPPED`].
        TIME_INFO_FLAGS = 29, "offsetof(struct vcpu_time_info, flags)";
    }
    "XEN_PVCLOCK_" u8 [] {
        /// The time stamp counters of all virtual CPUs agree.
        PVCLOCK_TSC_STABLE_BIT = 1 << 0, "TSC_STABLE_BIT";
        /// The guest was stopped; it may have missed watchdog periods.
        PVCLOCK_GUEST_STOPPED = 1 << 1, "GUEST_STOPPED";
    }
    "" usize [] {
        /// Bytes of a guest's `unsigned long`.
        WORD_SIZE = 8, "sizeof(xen_ulong_t)";
        /// `vcpu_info`: word with a bit per word of pending events.
        VCPU_INFO_PENDING_SEL = 8, "offsetof(struct vcpu_info, evtchn_pending_sel)";
        /// `vcpu_info`: the architecture's part, starting with CR2.
        VCPU_INFO_ARCH = 16, "offsetof(struct vcpu_info, arch)";
        /// Bytes of the shared info.
        SHARED_INFO_SIZE = 3136, "sizeof(struct shared_info)";
        /// Shared info: bitmap of pending events, one bit per port.
        SHARED_INFO_EVTCHN_PENDING = 2048, "offsetof(struct shared_info, evtchn_pending)";
        /// Shared info: bitmap of masked events, one bit per port.
        SHARED_INFO_EVTCHN_MASK = 2560, "offsetof(struct shared_info, evtchn_mask)";
        /// Shared info: 32-bit version of the wall clock, odd while it is written.
        SHARED_INFO_WC_VERSION = 3072, "offsetof(struct shared_info, wc_version)";
        /// Shared info: low 32 bits of the seconds since 1970 at system time zero.
        SHARED_INFO_WC_SEC = 3076, "offsetof(struct shared_info, wc_sec)";
        /// Shared info: 32-bit nanoseconds that go with the seconds.
        SHARED_INFO_WC_NSEC = 3080, "offsetof(struct shared_info, wc_nsec)";
        /// Shared info: high 32 bits of the seconds.
        SHARED_INFO_WC_SEC_HI = 3084, "offsetof(struct shared_info, wc_sec_hi)";
        /// Shared info: the architecture's part.
        SHARED_INFO_ARCH = 3088, "offsetof(struct shared_info, arch)";
        /// Event channels that the bitmaps of the shared info hold.
        EVTCHN_2L_NR_CHANNELS = 4096, "EVTCHN_2L_NR_CHANNELS";
    }
}

layouts! {
    /// One hypercall of a multicall.
    struct MulticallEntry: "struct multicall_entry" [64] {
        /// The hypercall's number.
        op: u64,
        /// What it returned.
        result: u64,
        /// Its arguments.
        args: [u64; 6],
    }
}

/// The places in the shared info page that depend on the guest's width, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SharedInfoLayout {
    /// Bytes of the guest's `unsigned long`, the unit of the event bitmaps.
    pub(crate) word: usize,
    /// In a `vcpu_info`: the word that selects words of pending events.
    pub(crate) pending_sel: usize,
    /// The bitmap of pending events.
    pub(crate) evtchn_pending: usize,
    /// The bitmap of masked events.
    pub(crate) evtchn_mask: usize,
    /// Event channels that the bitmaps hold.
    pub(crate) nr_channels: usize,
    /// The wall clock's version.
    pub(crate) wc_version: usize,
    /// The wall clock's seconds, low half.
    pub(crate) wc_sec: usize,
    /// The wall clock's nanoseconds.
    pub(crate) wc_nsec: usize,
    /// The wall clock's seconds, high half.
    pub(crate) wc_sec_hi: usize,
}

/// The shared info page of a 64-bit guest.
pub(crate) const LAYOUT_64: SharedInfoLayout = SharedInfoLayout {
    word: WORD_SIZE,
    pending_sel: VCPU_INFO_PENDING_SEL,
    evtchn_pending: SHARED_INFO_EVTCHN_PENDING,
    evtchn_mask: SHARED_INFO_EVTCHN_MASK,
    nr_channels: EVTCHN_2L_NR_CHANNELS,
    wc_version: SHARED_INFO_WC_VERSION,
    wc_sec: SHARED_INFO_WC_SEC,
    wc_nsec: SHARED_INFO_WC_NSEC,
    wc_sec_hi: SHARED_INFO_WC_SEC_HI,
};

/// The shared info page of a 32-bit guest.
pub(crate) const LAYOUT_32: SharedInfoLayout = SharedInfoLayout {
    word: compat::WORD_SIZE,
    pending_sel: compat::VCPU_INFO_PENDING_SEL,
    evtchn_pending: compat::SHARED_INFO_EVTCHN_PENDING,
    evtchn_mask: compat::SHARED_INFO_EVTCHN_MASK,
    nr_channels: compat::EVTCHN_2L_NR_CHANNELS,
    wc_version: compat::SHARED_INFO_WC_VERSION,
    wc_sec: compat::SHARED_INFO_WC_SEC,
    wc_nsec: compat::SHARED_INFO_WC_NSEC,
    wc_sec_hi: compat::SHARED_INFO_WC_SEC_HI,
};

/// What 32-bit guests lay out differently.
pub(crate) mod compat {
    numbers! {
        "" usize [] {
            /// Bytes of a guest's `unsigned long`.
            WORD_SIZE = 4, "sizeof(xen_ulong_t)";
            /// `vcpu_info`: word with a bit per word of pending events.
            VCPU_INFO_PENDING_SEL = 4, "offsetof(struct vcpu_info, evtchn_pending_sel)";
            /// `vcpu_info`: the architecture's part, starting with CR2.
            VCPU_INFO_ARCH = 8, "offsetof(struct vcpu_info, arch)";
            /// Bytes of the shared info.
            SHARED_INFO_SIZE = 2344, "sizeof(struct shared_info)";
            /// Shared info: bitmap of pending events, one bit per port.
            SHARED_INFO_EVTCHN_PENDING = 2048, "offsetof(struct shared_info, evtchn_pending)";
            /// Shared info: bitmap of masked events, one bit per port.
            SHARED_INFO_EVTCHN_MASK = 2176, "offsetof(struct shared_info, evtchn_mask)";
            /// Shared info: 32-bit version of the wall clock, odd while it is written.
            SHARED_INFO_WC_VERSION = 2304, "offsetof(struct shared_info, wc_version)";
            /// Shared info: low 32 bits of the seconds since 1970 at system time zero.
            SHARED_INFO_WC_SEC = 2308, "offsetof(struct shared_info, wc_sec)";
            /// Shared info: 32-bit nanoseconds that go with the seconds.
            SHARED_INFO_WC_NSEC = 2312, "offsetof(struct shared_info, wc_nsec)";
            /// Shared info: high 32 bits of the seconds.
            SHARED_INFO_WC_SEC_HI = 2340, "offsetof(struct shared_info, arch.wc_sec_hi)";
            /// Shared info: the architecture's part.
            SHARED_INFO_ARCH = 2316, "offsetof(struct shared_info, arch)";
            /// Event channels that the bitmaps of the shared info hold.
            EVTCHN_2L_NR_CHANNELS = 1024, "EVTCHN_2L_NR_CHANNELS";
        }
    }

    layouts! {
        /// One hypercall of a multicall.
        struct MulticallEntry: "struct multicall_entry" [32] {
            /// The hypercall's number.
            op: u32,
            /// What it returned.
            result: u32,
            /// Its arguments.
            args: [u32; 6],
        }
    }

    widen! {
        MulticallEntry { op, result, args }
    }
}
