// SPDX-License-Identifier: GPL-2.0-only

//! `sysctl`: the tools' operations on the system (`xen/sysctl.h`), interface version 0x15.
//!
//! A call is a [`XenSysctl`] whose payload is one of the structures here, at byte 8. Handles are
//! addresses in the calling process.

pub(crate) mod livepatch;
pub(crate) mod perf;
pub(crate) mod pm;

use super::domctl::XenctlBitmap;

numbers! {
    "XEN_SYSCTL_" u32 [] {
        /// What a caller must speak.
        INTERFACE_VERSION = 0x15, "INTERFACE_VERSION";
    }
    "XEN_SYSCTL_" u32 [name] {
        /// Reads the console ring, with a [`ReadConsole`].
        READCONSOLE = 1, "readconsole";
        /// Trace buffers, with a [`perf::TbufOp`].
        TBUF_OP = 2, "tbuf_op";
        /// Fills a [`PhysInfo`].
        PHYSINFO = 3, "physinfo";
        /// Fills a [`SchedId`].
        SCHED_ID = 4, "sched_id";
        /// Performance counters, with a [`perf::PerfcOp`].
        PERFC_OP = 5, "perfc_op";
        /// Lists domains, with a [`GetDomainInfoList`].
        GETDOMAININFOLIST = 6, "getdomaininfolist";
        /// Acts as if keys were pressed on the console, with a [`DebugKeys`].
        DEBUG_KEYS = 7, "debug_keys";
        /// Tells idle times, with a [`GetCpuInfo`].
        GETCPUINFO = 8, "getcpuinfo";
        /// Tells free memory, with an [`AvailHeap`].
        AVAILHEAP = 9, "availheap";
        /// Power statistics, with a [`pm::GetPmstat`].
        GET_PMSTAT = 10, "get_pmstat";
        /// Switches physical CPUs, with a [`pm::CpuHotplug`].
        CPU_HOTPLUG = 11, "cpu_hotplug";
        /// Power settings, with a [`pm::PmOp`].
        PM_OP = 12, "pm_op";
        /// Takes machine frames out of use, with a [`PageOfflineOp`].
        PAGE_OFFLINE_OP = 14, "page_offline_op";
        /// Lock profile, with a [`perf::LockprofOp`].
        LOCKPROF_OP = 15, "lockprof_op";
        /// Tells cores, sockets and nodes, with a [`CpuTopoInfo`].
        CPUTOPOINFO = 16, "cputopoinfo";
        /// Tells nodes' memory and distances, with a [`NumaInfo`].
        NUMAINFO = 17, "numainfo";
        /// CPU pools, with a [`CpupoolOp`].
        CPUPOOL_OP = 18, "cpupool_op";
        /// Settings of a scheduler, with a [`SchedulerOp`].
        SCHEDULER_OP = 19, "scheduler_op";
        /// Code coverage, with a [`perf::CoverageOp`].
        COVERAGE_OP = 20, "coverage_op";
        /// Cache monitoring, with a [`perf::PsrCmtOp`].
        PSR_CMT_OP = 21, "psr_cmt_op";
        /// Tells devices' nodes, with a [`PciTopoInfo`].
        PCITOPOINFO = 22, "pcitopoinfo";
        /// Cache allocation, with a [`perf::PsrAlloc`].
        PSR_ALLOC = 23, "psr_alloc";
        /// Tells what CPUID levelling the CPU can do, with a [`CpuLevellingCaps`].
        GET_CPU_LEVELLING_CAPS = 25, "get_cpu_levelling_caps";
        /// Fills a [`CpuFeatureset`].
        GET_CPU_FEATURESET = 26, "get_cpu_featureset";
        /// Patches the hypervisor, with a [`livepatch::LivepatchOp`].
        LIVEPATCH_OP = 27, "livepatch_op";
        /// Fills a [`CpuPolicy`].
        GET_CPU_POLICY = 29, "get_cpu_policy";
        /// Of another architecture.
        DT_OVERLAY = 30, "dt_overlay";
    }
    "XEN_SYSCTL_PHYSCAP_" u32 [] {
        /// HVM guests can run.
        PHYSCAP_HVM = 1 << 0, "hvm";
        /// PV guests can run.
        PHYSCAP_PV = 1 << 1, "pv";
        /// Devices can be given.
        PHYSCAP_DIRECTIO = 1 << 2, "directio";
        /// Hardware walks guests' memory.
        PHYSCAP_HAP = 1 << 3, "hap";
        /// Shadow page tables.
        PHYSCAP_SHADOW = 1 << 4, "shadow";
        /// Devices can use the CPU's page tables.
        PHYSCAP_IOMMU_HAP_PT_SHARE = 1 << 5, "iommu_hap_pt_share";
        /// Processor trace.
        PHYSCAP_VMTRACE = 1 << 6, "vmtrace";
        /// Performance counters.
        PHYSCAP_VPMU = 1 << 7, "vpmu";
        /// Grant version 1.
        PHYSCAP_GNTTAB_V1 = 1 << 8, "gnttab_v1";
        /// Grant version 2.
        PHYSCAP_GNTTAB_V2 = 1 << 9, "gnttab_v2";
        /// The greatest capability.
        PHYSCAP_MAX = 1 << 9, "MAX";
    }
    "XEN_SYSCTL_CPUPOOL_OP_" u32 [cpupool_name] {
        /// Makes a pool.
        CPUPOOL_OP_CREATE = 1, "CREATE";
        /// Destroys a pool.
        CPUPOOL_OP_DESTROY = 2, "DESTROY";
        /// Tells about the first pool with this id or a greater one.
        CPUPOOL_OP_INFO = 3, "INFO";
        /// Gives a CPU to a pool.
        CPUPOOL_OP_ADDCPU = 4, "ADDCPU";
        /// Takes a CPU from a pool.
        CPUPOOL_OP_RMCPU = 5, "RMCPU";
        /// Moves a domain to a pool.
        CPUPOOL_OP_MOVEDOMAIN = 6, "MOVEDOMAIN";
        /// Tells the CPUs without a pool.
        CPUPOOL_OP_FREEINFO = 7, "FREEINFO";
    }
    "" u32 [] {
        /// Pool or CPU: any.
        CPUPOOL_PAR_ANY = u32::MAX, "XEN_SYSCTL_CPUPOOL_PAR_ANY";
        /// There is no such CPU.
        INVALID_CORE_ID = u32::MAX, "XEN_INVALID_CORE_ID";
        /// There is no such CPU.
        INVALID_SOCKET_ID = u32::MAX, "XEN_INVALID_SOCKET_ID";
        /// There is no such CPU.
        INVALID_NODE_ID = u32::MAX, "XEN_INVALID_NODE_ID";
        /// There is no such node.
        INVALID_NODE_DIST = u32::MAX, "XEN_INVALID_NODE_DIST";
        /// There is no such device.
        INVALID_DEV = u32::MAX - 1, "XEN_INVALID_DEV";
    }
    "" u64 [] {
        /// There is no such node.
        INVALID_MEM_SZ = 0xffff_ffff, "XEN_INVALID_MEM_SZ";
    }
    "XEN_SYSCTL_SCHEDOP_" u32 [] {
        /// Scheduler: sets.
        SCHEDOP_PUTINFO = 0, "putinfo";
        /// Scheduler: gets.
        SCHEDOP_GETINFO = 1, "getinfo";
    }
    "XEN_SYSCTL_" u32 [] {
        /// Scheduler: greatest rate limit, microseconds.
        SCHED_RATELIMIT_MAX = 500_000, "SCHED_RATELIMIT_MAX";
        /// Scheduler: least rate limit but 0, microseconds.
        SCHED_RATELIMIT_MIN = 100, "SCHED_RATELIMIT_MIN";
        /// Credit scheduler: greatest time slice, milliseconds.
        CSCHED_TSLICE_MAX = 1000, "CSCHED_TSLICE_MAX";
        /// Credit scheduler: least time slice, milliseconds.
        CSCHED_TSLICE_MIN = 1, "CSCHED_TSLICE_MIN";
        /// Credit scheduler: greatest migration delay, microseconds.
        CSCHED_MGR_DLY_MAX_US = 100_000, "CSCHED_MGR_DLY_MAX_US";
    }
    "XEN_SYSCTL_cpu_featureset_" u32 [featureset_name] {
        /// Features of the machine.
        CPU_FEATURESET_RAW = 0, "raw";
        /// Features that the host uses.
        CPU_FEATURESET_HOST = 1, "host";
        /// Features of PV guests.
        CPU_FEATURESET_PV = 2, "pv";
        /// Features of HVM guests.
        CPU_FEATURESET_HVM = 3, "hvm";
        /// Features that PV guests may have.
        CPU_FEATURESET_PV_MAX = 4, "pv_max";
        /// Features that HVM guests may have.
        CPU_FEATURESET_HVM_MAX = 5, "hvm_max";
    }
    "XEN_SYSCTL_cpu_policy_" u32 [cpu_policy_name] {
        /// Policy of the machine.
        CPU_POLICY_RAW = 0, "raw";
        /// Policy that the host uses.
        CPU_POLICY_HOST = 1, "host";
        /// The most that PV guests may have.
        CPU_POLICY_PV_MAX = 2, "pv_max";
        /// The most that HVM guests may have.
        CPU_POLICY_HVM_MAX = 3, "hvm_max";
        /// Policy of a new PV guest.
        CPU_POLICY_PV_DEFAULT = 4, "pv_default";
        /// Policy of a new HVM guest.
        CPU_POLICY_HVM_DEFAULT = 5, "hvm_default";
    }
    "" u32 [] {
        /// Page: takes frames out of use.
        PAGE_OFFLINE = 1, "sysctl_page_offline";
        /// Page: takes frames into use.
        PAGE_ONLINE = 2, "sysctl_page_online";
        /// Page: tells.
        QUERY_PAGE_OFFLINE = 3, "sysctl_query_page_offline";
    }
}

layouts! {
    /// Any `sysctl`.
    struct XenSysctl: "struct xen_sysctl" [136] {
        /// The operation.
        cmd: u32,
        /// [`INTERFACE_VERSION`].
        interface_version: u32,
        /// The payload, for [`super::layout::payload`].
        u: [u8; 128],
    }

    /// Payload of [`READCONSOLE`].
    struct ReadConsole: "struct xen_sysctl_readconsole" [24] {
        /// IN: nonzero to empty the ring.
        clear: u8,
        /// IN: nonzero to go on at `index`.
        incremental: u8,
        /// Unused.
        pad0: u8,
        /// Unused.
        pad1: u8,
        /// IN: where to go on. OUT: where the next call goes on.
        index: u32,
        /// Handle of the text.
        buffer: u64,
        /// IN: room. OUT: bytes.
        count: u32,
        _pad: u32,
    }

    /// Payload of [`PHYSINFO`].
    struct PhysInfo: "struct xen_sysctl_physinfo" [112] {
        /// Threads of a core.
        threads_per_core: u32,
        /// Cores of a socket.
        cores_per_socket: u32,
        /// CPUs that are online.
        nr_cpus: u32,
        /// The greatest CPU.
        max_cpu_id: u32,
        /// Nodes that are online.
        nr_nodes: u32,
        /// The greatest node.
        max_node_id: u32,
        /// Frequency of the TSC, kHz.
        cpu_khz: u32,
        /// `PHYSCAP_*`.
        capabilities: u32,
        /// 0 on x86.
        arch_capabilities: u32,
        /// 0.
        pad: u32,
        /// Pages of the machine.
        total_pages: u64,
        /// Free pages.
        free_pages: u64,
        /// Pages that wait to be scrubbed.
        scrub_pages: u64,
        /// Pages set aside for domains.
        outstanding_pages: u64,
        /// The greatest machine frame.
        max_mfn: u64,
        /// CPUID words, the first of a featureset: leaf 1 EDX, 1 ECX, 0x80000001 EDX, 0x80000001
        /// ECX, 0xd.1 EAX, 7.0 EBX, 7.0 ECX, 0x80000007 EDX.
        hw_cap: [u32; 8],
    }

    /// Payload of [`SCHED_ID`].
    struct SchedId: "struct xen_sysctl_sched_id" [4] {
        /// One of `SCHEDULER_*` of [`super::domctl::sched`].
        sched_id: u32,
    }

    /// Payload of [`GETDOMAININFOLIST`].
    struct GetDomainInfoList: "struct xen_sysctl_getdomaininfolist" [24] {
        /// IN: the first domain to list.
        first_domain: u16,
        _pad0: u16,
        /// IN: room.
        max_domains: u32,
        /// Handle of [`GetDomainInfo`](super::domctl::domain::GetDomainInfo)s.
        buffer: u64,
        /// OUT: elements.
        num_domains: u32,
        _pad1: u32,
    }

    /// Payload of [`DEBUG_KEYS`].
    struct DebugKeys: "struct xen_sysctl_debug_keys" [16] {
        /// Handle of the keys.
        keys: u64,
        /// How many.
        nr_keys: u32,
        _pad: u32,
    }

    /// Element of [`GETCPUINFO`].
    struct CpuInfo: "struct xen_sysctl_cpuinfo" [8] {
        /// Nanoseconds without work.
        idletime: u64,
    }

    /// Payload of [`GETCPUINFO`].
    struct GetCpuInfo: "struct xen_sysctl_getcpuinfo" [24] {
        /// IN: room.
        max_cpus: u32,
        _pad0: u32,
        /// Handle of [`CpuInfo`]s.
        info: u64,
        /// OUT: elements.
        nr_cpus: u32,
        _pad1: u32,
    }

    /// Payload of [`AVAILHEAP`].
    struct AvailHeap: "struct xen_sysctl_availheap" [24] {
        /// IN: least address bits; 0 for any.
        min_bitwidth: u32,
        /// IN: most address bits; 0 for any.
        max_bitwidth: u32,
        /// IN: the node; -1 for all.
        node: i32,
        _pad: u32,
        /// OUT: bytes.
        avail_bytes: u64,
    }

    /// Payload of [`PAGE_OFFLINE_OP`].
    struct PageOfflineOp: "struct xen_sysctl_page_offline_op" [24] {
        /// IN: one of the commands above.
        cmd: u32,
        /// IN: first machine frame.
        start: u32,
        /// IN: last machine frame.
        end: u32,
        _pad: u32,
        /// Handle of 32-bit words, one per frame.
        status: u64,
    }

    /// Element of [`CPUTOPOINFO`].
    struct CpuTopo: "struct xen_sysctl_cputopo" [12] {
        /// The core, or [`INVALID_CORE_ID`].
        core: u32,
        /// The socket, or [`INVALID_SOCKET_ID`].
        socket: u32,
        /// The node, or [`INVALID_NODE_ID`].
        node: u32,
    }

    /// Payload of [`CPUTOPOINFO`].
    struct CpuTopoInfo: "struct xen_sysctl_cputopoinfo" [16] {
        /// IN: room. OUT: elements, or what there are if the handle is null.
        num_cpus: u32,
        _pad: u32,
        /// Handle of [`CpuTopo`]s.
        cputopo: u64,
    }

    /// Element of [`NUMAINFO`].
    struct MemInfo: "struct xen_sysctl_meminfo" [16] {
        /// Bytes of the node, or [`INVALID_MEM_SZ`].
        memsize: u64,
        /// Free bytes.
        memfree: u64,
    }

    /// Payload of [`NUMAINFO`].
    struct NumaInfo: "struct xen_sysctl_numainfo" [24] {
        /// IN: room. OUT: elements, or what there are if both handles are null.
        num_nodes: u32,
        _pad: u32,
        /// Handle of [`MemInfo`]s.
        meminfo: u64,
        /// Handle of 32-bit distances, nodes squared, or [`INVALID_NODE_DIST`].
        distance: u64,
    }

    /// Payload of [`PCITOPOINFO`].
    struct PciTopoInfo: "struct xen_sysctl_pcitopoinfo" [24] {
        /// IN: elements. OUT: elements done.
        num_devs: u32,
        _pad: u32,
        /// IN: handle of [`PciDevice`](super::physdev::PciDevice)s.
        devs: u64,
        /// OUT: handle of 32-bit nodes, or [`INVALID_DEV`].
        nodes: u64,
    }

    /// Payload of [`CPUPOOL_OP`].
    struct CpupoolOp: "struct xen_sysctl_cpupool_op" [40] {
        /// IN: one of `CPUPOOL_OP_*`.
        op: u32,
        /// IN: the pool, or [`CPUPOOL_PAR_ANY`]. OUT: the pool.
        cpupool_id: u32,
        /// The scheduler.
        sched_id: u32,
        /// IN: the domain to move.
        domid: u32,
        /// IN: the CPU to give or take, or [`CPUPOOL_PAR_ANY`].
        cpu: u32,
        /// OUT: domains of the pool.
        n_dom: u32,
        /// OUT: CPUs of the pool.
        cpumap: XenctlBitmap,
    }

    /// Settings of the credit scheduler.
    struct CreditSchedule: "struct xen_sysctl_credit_schedule" [12] {
        /// Time slice, milliseconds.
        tslice_ms: u32,
        /// Rate limit, microseconds.
        ratelimit_us: u32,
        /// How long a virtual CPU stays after it ran, microseconds.
        vcpu_migr_delay_us: u32,
    }

    /// Settings of the second credit scheduler.
    struct Credit2Schedule: "struct xen_sysctl_credit2_schedule" [4] {
        /// Rate limit, microseconds.
        ratelimit_us: u32,
    }

    /// Payload of [`SCHEDULER_OP`].
    struct SchedulerOp: "struct xen_sysctl_scheduler_op" [32] {
        /// The pool.
        cpupool_id: u32,
        /// The scheduler.
        sched_id: u32,
        /// One of `SCHEDOP_*`.
        cmd: u32,
        _pad: u32,
        /// [`CreditSchedule`] or [`Credit2Schedule`], for [`super::layout::payload`].
        u: [u8; 16],
    }

    /// Payload of [`GET_CPU_LEVELLING_CAPS`].
    struct CpuLevellingCaps: "struct xen_sysctl_cpu_levelling_caps" [4] {
        /// OUT: `XEN_SYSCTL_CPU_LEVELCAP_*`.
        caps: u32,
    }

    /// Payload of [`GET_CPU_FEATURESET`].
    struct CpuFeatureset: "struct xen_sysctl_cpu_featureset" [16] {
        /// IN: one of `CPU_FEATURESET_*`.
        index: u32,
        /// IN: room. OUT: words, or what there are if the handle is null.
        nr_features: u32,
        /// Handle of 32-bit words.
        features: u64,
    }

    /// Payload of [`GET_CPU_POLICY`].
    struct CpuPolicy: "struct xen_sysctl_cpu_policy" [32] {
        /// IN: one of `CPU_POLICY_*`.
        index: u32,
        /// IN: room. OUT: elements, or the most there can be if the handle is null.
        nr_leaves: u32,
        /// IN: room. OUT: elements, or the most there can be if the handle is null.
        nr_msrs: u32,
        /// 0.
        _rsvd: u32,
        /// Handle of [`CpuidLeaf`](super::domctl::domain::CpuidLeaf)s.
        leaves: u64,
        /// Handle of [`MsrEntry`](super::domctl::domain::MsrEntry)s.
        msrs: u64,
    }
}
