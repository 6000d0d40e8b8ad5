// SPDX-License-Identifier: GPL-2.0-only

//! Parameters of HVM guests (`xen/hvm/params.h`).

numbers! {
    "HVM_PARAM_" u32 [name] {
        /// How events reach the guest; see `CALLBACK_TYPE_*`.
        CALLBACK_IRQ = 0, "CALLBACK_IRQ";
        /// Guest frame of the xenstore ring.
        STORE_PFN = 1, "STORE_PFN";
        /// Port of the xenstore ring.
        STORE_EVTCHN = 2, "STORE_EVTCHN";
        /// PAE; no longer used.
        PAE_ENABLED = 4, "PAE_ENABLED";
        /// Guest frame of synchronous requests to the device model.
        IOREQ_PFN = 5, "IOREQ_PFN";
        /// Guest frame of buffered requests to the device model.
        BUFIOREQ_PFN = 6, "BUFIOREQ_PFN";
        /// Which interfaces of Hyper-V the guest sees.
        VIRIDIAN = 9, "VIRIDIAN";
        /// What becomes of missed timer ticks.
        TIMER_MODE = 10, "TIMER_MODE";
        /// Whether there is an HPET.
        HPET_ENABLED = 11, "HPET_ENABLED";
        /// Guest frame of an identity page table.
        IDENT_PT = 12, "IDENT_PT";
        /// Domain of the device model.
        DM_DOMAIN = 13, "DM_DOMAIN";
        /// ACPI sleep state.
        ACPI_S_STATE = 14, "ACPI_S_STATE";
        /// Guest-physical address of a task state segment for real mode.
        VM86_TSS = 15, "VM86_TSS";
        /// Whether periodic timers are aligned.
        VPT_ALIGN = 16, "VPT_ALIGN";
        /// Guest frame of the console ring.
        CONSOLE_PFN = 17, "CONSOLE_PFN";
        /// Port of the console ring.
        CONSOLE_EVTCHN = 18, "CONSOLE_EVTCHN";
        /// Which place the ACPI ports have.
        ACPI_IOPORTS_LOCATION = 19, "ACPI_IOPORTS_LOCATION";
        /// Replaced by monitor operations.
        MEMORY_EVENT_CR0 = 20, "MEMORY_EVENT_CR0";
        /// Replaced by monitor operations.
        MEMORY_EVENT_CR3 = 21, "MEMORY_EVENT_CR3";
        /// Replaced by monitor operations.
        MEMORY_EVENT_CR4 = 22, "MEMORY_EVENT_CR4";
        /// Replaced by monitor operations.
        MEMORY_EVENT_INT3 = 23, "MEMORY_EVENT_INT3";
        /// Nested virtualisation; now said at creation.
        NESTEDHVM = 24, "NESTEDHVM";
        /// Replaced by monitor operations.
        MEMORY_EVENT_SINGLE_STEP = 25, "MEMORY_EVENT_SINGLE_STEP";
        /// Port of buffered requests to the device model.
        BUFIOREQ_EVTCHN = 26, "BUFIOREQ_EVTCHN";
        /// Guest frame of the ring of paging events.
        PAGING_RING_PFN = 27, "PAGING_RING_PFN";
        /// Guest frame of the ring of monitor events.
        MONITOR_RING_PFN = 28, "MONITOR_RING_PFN";
        /// Guest frame of the ring of sharing events.
        SHARING_RING_PFN = 29, "SHARING_RING_PFN";
        /// Replaced by monitor operations.
        MEMORY_EVENT_MSR = 30, "MEMORY_EVENT_MSR";
        /// Reason of the shutdown at a triple fault.
        TRIPLE_FAULT_REASON = 31, "TRIPLE_FAULT_REASON";
        /// First guest frame for I/O request servers.
        IOREQ_SERVER_PFN = 32, "IOREQ_SERVER_PFN";
        /// How many guest frames for I/O request servers.
        NR_IOREQ_SERVER_PAGES = 33, "NR_IOREQ_SERVER_PAGES";
        /// Guest-physical address of the generation id.
        VM_GENERATION_ID_ADDR = 34, "VM_GENERATION_ID_ADDR";
        /// Alternate views of memory; now said at creation.
        ALTP2M = 35, "ALTP2M";
        /// Bytes of the x87 instruction pointer to save.
        X87_FIP_WIDTH = 36, "X87_FIP_WIDTH";
        /// As [`VM86_TSS`], with the size in the high half.
        VM86_TSS_SIZED = 37, "VM86_TSS_SIZED";
        /// Machine check capabilities.
        MCA_CAP = 38, "MCA_CAP";
    }
    "HVM_" u32 [] {
        /// How many parameters.
        NR_PARAMS = 39, "NR_PARAMS";
    }
    "HVM_PARAM_" u64 [] {
        /// [`CALLBACK_IRQ`]: mask of the kind, in the top byte.
        CALLBACK_IRQ_TYPE_MASK = 0xff << 56, "CALLBACK_IRQ_TYPE_MASK";
        /// [`CALLBACK_IRQ`]: a global interrupt in bits 0-55; 0 for none.
        CALLBACK_TYPE_GSI = 0, "CALLBACK_TYPE_GSI";
        /// [`CALLBACK_IRQ`]: a PCI line: domain 47-32, device 15-11, line 1-0.
        CALLBACK_TYPE_PCI_INTX = 1, "CALLBACK_TYPE_PCI_INTX";
        /// [`CALLBACK_IRQ`]: a vector in bits 0-7, injected without an APIC.
        CALLBACK_TYPE_VECTOR = 2, "CALLBACK_TYPE_VECTOR";
    }
    "HVMPTM_" u64 [] {
        /// [`TIMER_MODE`]: guest time waits for missed ticks.
        TIMER_MODE_DELAY_FOR_MISSED_TICKS = 0, "delay_for_missed_ticks";
        /// [`TIMER_MODE`]: missed ticks arrive late.
        TIMER_MODE_NO_DELAY_FOR_MISSED_TICKS = 1, "no_delay_for_missed_ticks";
        /// [`TIMER_MODE`]: missed ticks are lost.
        TIMER_MODE_NO_MISSED_TICKS_PENDING = 2, "no_missed_ticks_pending";
        /// [`TIMER_MODE`]: missed ticks become one.
        TIMER_MODE_ONE_MISSED_TICK_PENDING = 3, "one_missed_tick_pending";
    }
    "" u64 [] {
        /// [`VIRIDIAN`]: every bit that may be set.
        VIRIDIAN_FEATURE_MASK = 0x1fff, "HVMPV_feature_mask";
        /// [`MCA_CAP`]: local machine checks.
        MCA_CAP_LMCE = 1 << 0, "XEN_HVM_MCA_CAP_LMCE";
    }
}
