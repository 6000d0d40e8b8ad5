// SPDX-License-Identifier: GPL-2.0-only

//! Payloads of `domctl`s about where and how much virtual CPUs run.

use super::XenctlBitmap;

numbers! {
    "XEN_VCPUAFFINITY_" u32 [] {
        /// Affinity: where it may run.
        VCPUAFFINITY_HARD = 1 << 0, "HARD";
        /// Affinity: where it would rather run.
        VCPUAFFINITY_SOFT = 1 << 1, "SOFT";
        /// Affinity: overrides a temporary pin.
        VCPUAFFINITY_FORCE = 1 << 2, "FORCE";
    }
    "XEN_SCHEDULER_" u32 [scheduler_name] {
        /// The credit scheduler.
        SCHEDULER_CREDIT = 5, "CREDIT";
        /// The second credit scheduler.
        SCHEDULER_CREDIT2 = 6, "CREDIT2";
        /// A static schedule.
        SCHEDULER_ARINC653 = 7, "ARINC653";
        /// The real-time scheduler.
        SCHEDULER_RTDS = 8, "RTDS";
        /// One virtual CPU per physical one.
        SCHEDULER_NULL = 9, "NULL";
    }
    "XEN_DOMCTL_SCHEDOP_" u32 [schedop_name] {
        /// Sets a domain's parameters.
        SCHEDOP_PUTINFO = 0, "putinfo";
        /// Gets a domain's parameters.
        SCHEDOP_GETINFO = 1, "getinfo";
        /// Sets virtual CPUs' parameters.
        SCHEDOP_PUTVCPUINFO = 2, "putvcpuinfo";
        /// Gets virtual CPUs' parameters.
        SCHEDOP_GETVCPUINFO = 3, "getvcpuinfo";
    }
    "XEN_DOMCTL_" u32 [] {
        /// Real-time scheduler: may use idle time.
        SCHEDRT_EXTRA = 1 << 0, "SCHEDRT_extra";
    }
    "XEN_DOMCTL_PSR_CMT_OP_" u32 [] {
        /// Cache monitoring: stops.
        PSR_CMT_OP_DETACH = 0, "DETACH";
        /// Cache monitoring: starts.
        PSR_CMT_OP_ATTACH = 1, "ATTACH";
        /// Cache monitoring: tells the id.
        PSR_CMT_OP_QUERY_RMID = 2, "QUERY_RMID";
    }
    "XEN_DOMCTL_PSR_" u32 [] {
        /// Cache allocation: sets L3.
        PSR_SET_L3_CBM = 0, "SET_L3_CBM";
        /// Cache allocation: gets L3.
        PSR_GET_L3_CBM = 1, "GET_L3_CBM";
        /// Cache allocation: sets L3 for code.
        PSR_SET_L3_CODE = 2, "SET_L3_CODE";
        /// Cache allocation: sets L3 for data.
        PSR_SET_L3_DATA = 3, "SET_L3_DATA";
        /// Cache allocation: gets L3 for code.
        PSR_GET_L3_CODE = 4, "GET_L3_CODE";
        /// Cache allocation: gets L3 for data.
        PSR_GET_L3_DATA = 5, "GET_L3_DATA";
        /// Cache allocation: sets L2.
        PSR_SET_L2_CBM = 6, "SET_L2_CBM";
        /// Cache allocation: gets L2.
        PSR_GET_L2_CBM = 7, "GET_L2_CBM";
        /// Cache allocation: sets the memory throttle.
        PSR_SET_MBA_THRTL = 8, "SET_MBA_THRTL";
        /// Cache allocation: gets the memory throttle.
        PSR_GET_MBA_THRTL = 9, "GET_MBA_THRTL";
    }
}

layouts! {
    /// Payload of [`SETVCPUAFFINITY`](super::SETVCPUAFFINITY) and
    /// [`GETVCPUAFFINITY`](super::GETVCPUAFFINITY).
    struct VcpuAffinity: "struct xen_domctl_vcpuaffinity" [40] {
        /// IN: the virtual CPU.
        vcpu: u32,
        /// IN: `VCPUAFFINITY_*`.
        flags: u32,
        /// Where it may run. OUT of setting: what became of it.
        cpumap_hard: XenctlBitmap,
        /// Where it would rather run. OUT of setting: what became of it.
        cpumap_soft: XenctlBitmap,
    }

    /// Payload of [`SETNODEAFFINITY`](super::SETNODEAFFINITY) and
    /// [`GETNODEAFFINITY`](super::GETNODEAFFINITY).
    struct NodeAffinity: "struct xen_domctl_nodeaffinity" [16] {
        /// The nodes.
        nodemap: XenctlBitmap,
    }

    /// Payload of [`GETVCPUINFO`](super::GETVCPUINFO).
    struct GetVcpuInfo: "struct xen_domctl_getvcpuinfo" [24] {
        /// IN: the virtual CPU.
        vcpu: u32,
        /// OUT: 1 if up.
        online: u8,
        /// OUT: 1 if it waits for an event.
        blocked: u8,
        /// OUT: 1 if on a physical CPU.
        running: u8,
        _pad0: u8,
        /// OUT: nanoseconds that it ran.
        cpu_time: u64,
        /// OUT: the physical CPU.
        cpu: u32,
        _pad1: u32,
    }

    /// Parameters of both credit schedulers.
    struct SchedCredit: "struct xen_domctl_sched_credit" [4] {
        /// Share relative to others; 256 is usual.
        weight: u16,
        /// Limit in percent of a CPU; 0 for none.
        cap: u16,
    }

    /// Parameters of the real-time scheduler.
    struct SchedRtds: "struct xen_domctl_sched_rtds" [12] {
        /// Microseconds.
        period: u32,
        /// Microseconds in each period.
        budget: u32,
        /// [`SCHEDRT_EXTRA`].
        flags: u32,
    }

    /// Parameters of one virtual CPU.
    struct SchedparamVcpu: "struct xen_domctl_schedparam_vcpu" [16] {
        /// [`SchedCredit`] or [`SchedRtds`].
        u: [u32; 3],
        /// The virtual CPU.
        vcpuid: u32,
    }

    /// Payload of [`SCHEDULER_OP`](super::SCHEDULER_OP).
    struct SchedulerOp: "struct xen_domctl_scheduler_op" [24] {
        /// One of `SCHEDULER_*`.
        sched_id: u32,
        /// One of `SCHEDOP_*`.
        cmd: u32,
        /// [`SchedCredit`], [`SchedRtds`] or [`SchedVcpus`], for [`crate::abi::layout::payload`].
        u: [u8; 16],
    }

    /// Of [`SchedulerOp`]: which virtual CPUs.
    struct SchedVcpus: "__typeof__(((struct xen_domctl_scheduler_op *)0)->u.v)" [16] {
        /// Handle of [`SchedparamVcpu`]s.
        vcpus: u64,
        /// How many. OUT: how many were done.
        nr_vcpus: u32,
        /// 0.
        padding: u32,
    }

    /// Payload of [`PSR_CMT_OP`](super::PSR_CMT_OP).
    struct PsrCmtOp: "struct xen_domctl_psr_cmt_op" [8] {
        /// One of `PSR_CMT_OP_*`.
        cmd: u32,
        /// OUT: the id.
        data: u32,
    }

    /// Payload of [`PSR_ALLOC`](super::PSR_ALLOC).
    struct PsrAlloc: "struct xen_domctl_psr_alloc" [16] {
        /// One of `PSR_SET_*` and `PSR_GET_*`.
        cmd: u32,
        /// The socket.
        target: u32,
        /// The mask or throttle.
        data: u64,
    }
}
