// SPDX-License-Identifier: GPL-2.0-only

//! Payloads of `domctl`s about pages and page tables.

numbers! {
    "XEN_DOMCTL_PFINFO_" u32 [] {
        /// Kind of a frame: first bit.
        PFINFO_LTAB_SHIFT = 28, "LTAB_SHIFT";
        /// Kind of a frame: plain memory.
        PFINFO_NOTAB = 0 << 28, "NOTAB";
        /// Kind of a frame: page table of level 1.
        PFINFO_L1TAB = 1 << 28, "L1TAB";
        /// Kind of a frame: page table of level 2.
        PFINFO_L2TAB = 2 << 28, "L2TAB";
        /// Kind of a frame: page table of level 3.
        PFINFO_L3TAB = 3 << 28, "L3TAB";
        /// Kind of a frame: page table of level 4.
        PFINFO_L4TAB = 4 << 28, "L4TAB";
        /// Kind of a frame: mask of the level.
        PFINFO_LTABTYPE_MASK = 7 << 28, "LTABTYPE_MASK";
        /// Kind of a frame: the page table is pinned.
        PFINFO_LPINTAB = 1 << 31, "LPINTAB";
        /// Kind of a frame: not there.
        PFINFO_XTAB = 0xf << 28, "XTAB";
        /// Kind of a frame: only allocated.
        PFINFO_XALLOC = 0xe << 28, "XALLOC";
        /// Kind of a frame: broken.
        PFINFO_BROKEN = 0xd << 28, "BROKEN";
        /// Kind of a frame: mask.
        PFINFO_LTAB_MASK = 0xf << 28, "LTAB_MASK";
    }
    "XEN_DOMCTL_SHADOW_OP_" u32 [shadow_op_name] {
        /// Off.
        SHADOW_OP_OFF = 0, "OFF";
        /// Test mode.
        SHADOW_OP_ENABLE_TEST = 1, "ENABLE_TEST";
        /// Logs writes.
        SHADOW_OP_ENABLE_LOGDIRTY = 2, "ENABLE_LOGDIRTY";
        /// Reads and clears the log.
        SHADOW_OP_CLEAN = 11, "CLEAN";
        /// Reads the log.
        SHADOW_OP_PEEK = 12, "PEEK";
        /// Tells the memory for page tables, MiB.
        SHADOW_OP_GET_ALLOCATION = 30, "GET_ALLOCATION";
        /// Sets the memory for page tables, MiB.
        SHADOW_OP_SET_ALLOCATION = 31, "SET_ALLOCATION";
        /// Enables by a mode.
        SHADOW_OP_ENABLE = 32, "ENABLE";
    }
    "XEN_DOMCTL_SHADOW_" u32 [] {
        /// Mode: counts references.
        SHADOW_ENABLE_REFCOUNT = 1 << 1, "ENABLE_REFCOUNT";
        /// Mode: logs writes.
        SHADOW_ENABLE_LOG_DIRTY = 1 << 2, "ENABLE_LOG_DIRTY";
        /// Mode: translates frames.
        SHADOW_ENABLE_TRANSLATE = 1 << 3, "ENABLE_TRANSLATE";
        /// Mode: the guest does not see the hypervisor's memory.
        SHADOW_ENABLE_EXTERNAL = 1 << 4, "ENABLE_EXTERNAL";
        /// Log: this is the last look, with the guest paused.
        SHADOW_LOGDIRTY_FINAL = 1 << 0, "LOGDIRTY_FINAL";
    }
    "XEN_DOMCTL_" u8 [] {
        /// Sharing: switches it on or off.
        MEM_SHARING_CONTROL = 0, "MEM_SHARING_CONTROL";
    }
}

layouts! {
    /// Payload of [`GETPAGEFRAMEINFO3`](super::GETPAGEFRAMEINFO3).
    struct GetPageFrameInfo3: "struct xen_domctl_getpageframeinfo3" [16] {
        /// Elements.
        num: u64,
        /// Handle of 64-bit words. IN: guest frames. OUT: `PFINFO_*`.
        array: u64,
    }

    /// What a log has counted.
    struct ShadowOpStats: "struct xen_domctl_shadow_op_stats" [8] {
        /// Faults.
        fault_count: u32,
        /// Dirty pages.
        dirty_count: u32,
    }

    /// Payload of [`SHADOW_OP`](super::SHADOW_OP).
    struct ShadowOp: "struct xen_domctl_shadow_op" [40] {
        /// IN: one of `SHADOW_OP_*`.
        op: u32,
        /// IN: `SHADOW_ENABLE_*`, or [`SHADOW_LOGDIRTY_FINAL`].
        mode: u32,
        /// Memory for page tables, MiB.
        mb: u32,
        _pad: u32,
        /// Handle of the log, a bit per guest frame.
        dirty_bitmap: u64,
        /// IN: guest frames. OUT: guest frames written.
        pages: u64,
        /// OUT: counts.
        stats: ShadowOpStats,
    }

    /// Payload of [`MEM_SHARING_OP`](super::MEM_SHARING_OP).
    struct MemSharingOp: "struct xen_domctl_mem_sharing_op" [2] {
        /// [`MEM_SHARING_CONTROL`].
        op: u8,
        /// Nonzero for on.
        enable: u8 as "u.enable",
    }

    /// Payload of [`AUDIT_P2M`](super::AUDIT_P2M).
    struct AuditP2m: "struct xen_domctl_audit_p2m" [24] {
        /// OUT: pages without a guest frame.
        orphans: u64,
        /// OUT: machine frames that name a wrong guest frame.
        m2p_bad: u64,
        /// OUT: guest frames that name a wrong machine frame.
        p2m_bad: u64,
    }

    /// Payload of [`SET_BROKEN_PAGE_P2M`](super::SET_BROKEN_PAGE_P2M).
    struct SetBrokenPageP2m: "struct xen_domctl_set_broken_page_p2m" [8] {
        /// The guest frame.
        pfn: u64,
    }

    /// Payload of [`CACHEFLUSH`](super::CACHEFLUSH).
    struct CacheFlush: "struct xen_domctl_cacheflush" [16] {
        /// First guest frame.
        start_pfn: u64,
        /// Guest frames.
        nr_pfns: u64,
    }

    /// Payload of [`GET_PAGING_MEMPOOL_SIZE`](super::GET_PAGING_MEMPOOL_SIZE) and
    /// [`SET_PAGING_MEMPOOL_SIZE`](super::SET_PAGING_MEMPOOL_SIZE).
    struct PagingMempool: "struct xen_domctl_paging_mempool" [8] {
        /// Bytes; a multiple of a page.
        size: u64,
    }
}
