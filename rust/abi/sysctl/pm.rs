// SPDX-License-Identifier: GPL-2.0-only

//! Payloads of `sysctl`s about power.

numbers! {
    "PMSTAT_" u32 [pmstat_name] {
        /// How many performance states.
        PMSTAT_GET_MAX_PX = 0x11, "get_max_px";
        /// Statistics of performance states.
        PMSTAT_GET_PXSTAT = 0x12, "get_pxstat";
        /// Resets them.
        PMSTAT_RESET_PXSTAT = 0x13, "reset_pxstat";
        /// How many sleep states.
        PMSTAT_GET_MAX_CX = 0x21, "get_max_cx";
        /// Statistics of sleep states.
        PMSTAT_GET_CXSTAT = 0x22, "get_cxstat";
        /// Resets them.
        PMSTAT_RESET_CXSTAT = 0x23, "reset_cxstat";
    }
    "XEN_SYSCTL_CPU_HOTPLUG_" u32 [hotplug_name] {
        /// Switches a CPU on.
        CPU_HOTPLUG_ONLINE = 0, "ONLINE";
        /// Switches a CPU off.
        CPU_HOTPLUG_OFFLINE = 1, "OFFLINE";
        /// Switches all sibling threads on.
        CPU_HOTPLUG_SMT_ENABLE = 2, "SMT_ENABLE";
        /// Switches all sibling threads off.
        CPU_HOTPLUG_SMT_DISABLE = 3, "SMT_DISABLE";
    }
    "" u32 [name] {
        /// Tells the frequency settings.
        GET_CPUFREQ_PARA = 0x11, "GET_CPUFREQ_PARA";
        /// Sets the governor.
        SET_CPUFREQ_GOV = 0x12, "SET_CPUFREQ_GOV";
        /// Sets a frequency setting.
        SET_CPUFREQ_PARA = 0x13, "SET_CPUFREQ_PARA";
        /// Tells the average frequency.
        GET_CPUFREQ_AVGFREQ = 0x14, "GET_CPUFREQ_AVGFREQ";
        /// Sets cooperative frequency hints.
        SET_CPUFREQ_CPPC = 0x15, "SET_CPUFREQ_CPPC";
        /// Packs virtual CPUs on few cores, or not.
        SET_SCHED_OPT_SMT = 0x21, "XEN_SYSCTL_pm_op_set_sched_opt_smt";
        /// Tells the deepest sleep state.
        GET_MAX_CSTATE = 0x22, "XEN_SYSCTL_pm_op_get_max_cstate";
        /// Sets the deepest sleep state.
        SET_MAX_CSTATE = 0x23, "XEN_SYSCTL_pm_op_set_max_cstate";
        /// Removed from the scheduler.
        SET_VCPU_MIGRATION_DELAY = 0x24, "XEN_SYSCTL_pm_op_set_vcpu_migration_delay";
        /// Removed from the scheduler.
        GET_VCPU_MIGRATION_DELAY = 0x25, "XEN_SYSCTL_pm_op_get_vcpu_migration_delay";
        /// Allows turbo frequencies.
        ENABLE_TURBO = 0x26, "XEN_SYSCTL_pm_op_enable_turbo";
        /// Forbids turbo frequencies.
        DISABLE_TURBO = 0x27, "XEN_SYSCTL_pm_op_disable_turbo";
    }
    "" u32 [] {
        /// Sleep states: no limit.
        CX_UNLIMITED = u32::MAX, "XEN_SYSCTL_CX_UNLIMITED";
    }
}

layouts! {
    /// Payload of [`GET_PMSTAT`](super::GET_PMSTAT).
    struct GetPmstat: "struct xen_sysctl_get_pmstat" [64] {
        /// IN: one of `PMSTAT_*`.
        type_: u32 as "type",
        /// IN: the CPU.
        cpuid: u32,
        /// [`PxStat`] or [`CxStat`], for [`crate::abi::layout::payload`].
        u: [u8; 56],
    }

    /// Statistics of one performance state.
    struct PxVal: "struct pm_px_val" [24] {
        /// Its frequency, MHz.
        freq: u64,
        /// Nanoseconds in it.
        residency: u64,
        /// How often it was entered.
        count: u64,
    }

    /// Of [`GetPmstat`]: performance states.
    struct PxStat: "struct pm_px_stat" [24] {
        /// How many.
        total: u8,
        /// How many may be used.
        usable: u8,
        /// The last one.
        last: u8,
        /// The present one.
        cur: u8,
        _pad: u32,
        /// Handle of 64-bit counts of transitions, states squared.
        trans_pt: u64,
        /// Handle of [`PxVal`]s.
        pt: u64,
    }

    /// Of [`GetPmstat`]: sleep states.
    struct CxStat: "struct pm_cx_stat" [56] {
        /// IN: room. OUT: how many.
        nr: u32,
        /// The last one.
        last: u32,
        /// Nanoseconds without work.
        idle_time: u64,
        /// Handle of 64-bit counts.
        triggers: u64,
        /// Handle of 64-bit nanoseconds.
        residencies: u64,
        /// IN: room. OUT: package states.
        nr_pc: u32,
        /// IN: room. OUT: core states.
        nr_cc: u32,
        /// Handle of 64-bit residencies of package states.
        pc: u64,
        /// Handle of 64-bit residencies of core states.
        cc: u64,
    }

    /// Payload of [`CPU_HOTPLUG`](super::CPU_HOTPLUG).
    struct CpuHotplug: "struct xen_sysctl_cpu_hotplug" [8] {
        /// The CPU.
        cpu: u32,
        /// One of `CPU_HOTPLUG_*`.
        op: u32,
    }

    /// Payload of [`PM_OP`](super::PM_OP).
    struct PmOp: "struct xen_sysctl_pm_op" [128] {
        /// One of the commands above.
        cmd: u32,
        /// The CPU.
        cpuid: u32,
        /// What depends on the command.
        u: [u8; 120],
    }
}
