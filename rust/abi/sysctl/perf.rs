// SPDX-License-Identifier: GPL-2.0-only

//! Payloads of `sysctl`s that count and trace.

use super::XenctlBitmap;

numbers! {
    "XEN_SYSCTL_TBUFOP_" u32 [tbufop_name] {
        /// Tells where the trace buffers are.
        TBUFOP_GET_INFO = 0, "get_info";
        /// Sets which CPUs trace.
        TBUFOP_SET_CPU_MASK = 1, "set_cpu_mask";
        /// Sets which events are traced.
        TBUFOP_SET_EVT_MASK = 2, "set_evt_mask";
        /// Sets the size, pages per CPU.
        TBUFOP_SET_SIZE = 3, "set_size";
        /// Starts.
        TBUFOP_ENABLE = 4, "enable";
        /// Stops.
        TBUFOP_DISABLE = 5, "disable";
    }
    "XEN_SYSCTL_PERFCOP_" u32 [] {
        /// Counters: resets.
        PERFCOP_RESET = 1, "reset";
        /// Counters: reads.
        PERFCOP_QUERY = 2, "query";
    }
    "XEN_SYSCTL_LOCKPROF_" u32 [] {
        /// Lock profile: resets.
        LOCKPROF_RESET = 1, "reset";
        /// Lock profile: reads.
        LOCKPROF_QUERY = 2, "query";
    }
    "LOCKPROF_TYPE_" i32 [] {
        /// Lock profile: a lock of the hypervisor.
        LOCKPROF_TYPE_GLOBAL = 0, "GLOBAL";
        /// Lock profile: a lock of a domain.
        LOCKPROF_TYPE_PERDOM = 1, "PERDOM";
    }
    "XEN_SYSCTL_COVERAGE_" u32 [] {
        /// Coverage: tells its bytes.
        COVERAGE_GET_SIZE = 0, "get_size";
        /// Coverage: reads.
        COVERAGE_READ = 1, "read";
        /// Coverage: resets.
        COVERAGE_RESET = 2, "reset";
    }
    "XEN_SYSCTL_PSR_CMT_" u32 [] {
        /// Cache monitoring: how many ids.
        PSR_CMT_GET_TOTAL_RMID = 0, "get_total_rmid";
        /// Cache monitoring: bytes of a count.
        PSR_CMT_GET_L3_UPSCALING_FACTOR = 1, "get_l3_upscaling_factor";
        /// Cache monitoring: bytes of the cache.
        PSR_CMT_GET_L3_CACHE_SIZE = 2, "get_l3_cache_size";
        /// Cache monitoring: whether it is on.
        PSR_CMT_ENABLED = 3, "enabled";
        /// Cache monitoring: which events there are.
        PSR_CMT_GET_L3_EVENT_MASK = 4, "get_l3_event_mask";
    }
    "XEN_SYSCTL_PSR_" u32 [] {
        /// Cache allocation: L3.
        PSR_GET_L3_INFO = 0, "get_l3_info";
        /// Cache allocation: L2.
        PSR_GET_L2_INFO = 1, "get_l2_info";
        /// Cache allocation: memory throttle.
        PSR_GET_MBA_INFO = 2, "get_mba_info";
    }
}

layouts! {
    /// Payload of [`TBUF_OP`](super::TBUF_OP).
    struct TbufOp: "struct xen_sysctl_tbuf_op" [48] {
        /// One of `TBUFOP_*`.
        cmd: u32,
        _pad0: u32,
        /// IN: the CPUs that trace.
        cpu_mask: XenctlBitmap,
        /// The events that are traced.
        evt_mask: u32,
        _pad1: u32,
        /// OUT: machine frame of the buffers.
        buffer_mfn: u64,
        /// Bytes of a CPU's buffer; IN pages.
        size: u32,
        _pad2: u32,
    }

    /// A group of counters.
    struct PerfcDesc: "struct xen_sysctl_perfc_desc" [84] {
        /// Its name.
        name: [u8; 80],
        /// How many counters.
        nr_vals: u32,
    }

    /// Payload of [`PERFC_OP`](super::PERFC_OP).
    struct PerfcOp: "struct xen_sysctl_perfc_op" [32] {
        /// IN: one of `PERFCOP_*`.
        cmd: u32,
        /// OUT: groups.
        nr_counters: u32,
        /// OUT: counters.
        nr_vals: u32,
        _pad: u32,
        /// Handle of [`PerfcDesc`]s; may be null.
        desc: u64,
        /// Handle of 32-bit counters; may be null.
        val: u64,
    }

    /// A lock's profile. Times in nanoseconds.
    struct LockprofData: "struct xen_sysctl_lockprof_data" [80] {
        /// Its name.
        name: [u8; 40],
        /// One of `LOCKPROF_TYPE_*`.
        type_: i32 as "type",
        /// Which one, such as a domain.
        idx: i32,
        /// How often it was taken.
        lock_cnt: u64,
        /// How often somebody waited.
        block_cnt: u64,
        /// How long it was held.
        lock_time: u64,
        /// How long somebody waited.
        block_time: u64,
    }

    /// Payload of [`LOCKPROF_OP`](super::LOCKPROF_OP).
    struct LockprofOp: "struct xen_sysctl_lockprof_op" [32] {
        /// IN: one of `LOCKPROF_*`.
        cmd: u32,
        /// IN: room.
        max_elem: u32,
        /// OUT: locks that there are.
        nr_elem: u32,
        _pad: u32,
        /// OUT: nanoseconds since the last reset.
        time: u64,
        /// Handle of [`LockprofData`]s.
        data: u64,
    }

    /// Payload of [`COVERAGE_OP`](super::COVERAGE_OP).
    struct CoverageOp: "struct xen_sysctl_coverage_op" [16] {
        /// IN: one of `COVERAGE_*`.
        cmd: u32,
        /// Bytes.
        size: u32,
        /// Handle of the data.
        buffer: u64,
    }

    /// Payload of [`PSR_CMT_OP`](super::PSR_CMT_OP).
    struct PsrCmtOp: "struct xen_sysctl_psr_cmt_op" [16] {
        /// IN: one of `PSR_CMT_*`.
        cmd: u32,
        /// Must be 0.
        flags: u32,
        /// OUT: the answer. IN for the cache's bytes: the CPU in the low half.
        data: u64 as "u.data",
    }

    /// Payload of [`PSR_ALLOC`](super::PSR_ALLOC).
    struct PsrAlloc: "struct xen_sysctl_psr_alloc" [20] {
        /// IN: one of `PSR_GET_*_INFO`.
        cmd: u32,
        /// IN: the socket.
        target: u32,
        /// OUT: bits of the mask, or the greatest throttle.
        cbm_len: u32 as "u.cat_info.cbm_len",
        /// OUT: the greatest class.
        cos_max: u32 as "u.cat_info.cos_max",
        /// OUT: flags.
        flags: u32 as "u.cat_info.flags",
    }
}
