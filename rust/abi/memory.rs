// SPDX-License-Identifier: GPL-2.0-only

//! `memory_op`: the memory of domains (`xen/memory.h`).

numbers! {
    "XENMEM_" u32 [name] {
        /// Allocates frames, with a [`MemoryReservation`].
        INCREASE_RESERVATION = 0, "increase_reservation";
        /// Frees frames, with a [`MemoryReservation`]; returns how many extents.
        DECREASE_RESERVATION = 1, "decrease_reservation";
        /// Returns the greatest machine frame; no argument.
        MAXIMUM_RAM_PAGE = 2, "maximum_ram_page";
        /// Returns a domain's pages, with a [`MemoryDomain`].
        CURRENT_RESERVATION = 3, "current_reservation";
        /// Returns a domain's limit of pages, with a [`MemoryDomain`].
        MAXIMUM_RESERVATION = 4, "maximum_reservation";
        /// PV: lists the machine-to-physical table, with a [`MachphysMfnList`].
        MACHPHYS_MFN_LIST = 5, "machphys_mfn_list";
        /// Allocates at given guest frames, with a [`MemoryReservation`]; returns how many extents.
        POPULATE_PHYSMAP = 6, "populate_physmap";
        /// Puts a page at a guest frame, with an [`AddToPhysmap`].
        ADD_TO_PHYSMAP = 7, "add_to_physmap";
        /// Fills the caller's memory map, with a [`MemoryMap`].
        MEMORY_MAP = 9, "memory_map";
        /// Fills the machine's memory map, with a [`MemoryMap`]; hardware domain only.
        MACHINE_MEMORY_MAP = 10, "machine_memory_map";
        /// Trades frames, with a [`MemoryExchange`].
        EXCHANGE = 11, "exchange";
        /// PV: tells where the machine-to-physical table is, with a [`MachphysMapping`].
        MACHPHYS_MAPPING = 12, "machphys_mapping";
        /// Sets a domain's memory map, with a [`ForeignMemoryMap`].
        SET_MEMORY_MAP = 13, "set_memory_map";
        /// Returns a domain's greatest guest frame, with a [`MemoryDomain`].
        MAXIMUM_GPFN = 14, "maximum_gpfn";
        /// Takes the page at a guest frame away, with a [`RemoveFromPhysmap`].
        REMOVE_FROM_PHYSMAP = 15, "remove_from_physmap";
        /// Sets the populate-on-demand target, with a [`PodTarget`].
        SET_POD_TARGET = 16, "set_pod_target";
        /// Tells the populate-on-demand target, with a [`PodTarget`].
        GET_POD_TARGET = 17, "get_pod_target";
        /// Returns pages that sharing saved; no argument.
        GET_SHARING_FREED_PAGES = 18, "get_sharing_freed_pages";
        /// Returns pages that are shared; no argument.
        GET_SHARING_SHARED_PAGES = 19, "get_sharing_shared_pages";
        /// Pages out and in, with a [`MemPagingOp`].
        PAGING_OP = 20, "paging_op";
        /// Access rights of guest frames, with a [`MemAccessOp`].
        ACCESS_OP = 21, "access_op";
        /// Shares pages, with a [`MemSharingOp`].
        SHARING_OP = 22, "sharing_op";
        /// Puts pages at guest frames, with an [`AddToPhysmapBatch`].
        ADD_TO_PHYSMAP_BATCH = 23, "add_to_physmap_batch";
        /// Sets pages aside for a domain, with a [`MemoryReservation`].
        CLAIM_PAGES = 24, "claim_pages";
        /// PV: lists the 32-bit machine-to-physical table, with a [`MachphysMfnList`].
        MACHPHYS_COMPAT_MFN_LIST = 25, "machphys_compat_mfn_list";
        /// Fills the caller's virtual NUMA topology, with a [`VnumaTopologyInfo`].
        GET_VNUMAINFO = 26, "get_vnumainfo";
        /// Lists memory that devices need, with a [`ReservedDeviceMemoryMap`].
        RESERVED_DEVICE_MEMORY_MAP = 27, "reserved_device_memory_map";
        /// Maps a resource of a domain, with a [`MemAcquireResource`].
        ACQUIRE_RESOURCE = 28, "acquire_resource";
    }
    "XENMEMF_" u32 [] {
        /// Mask of the address bits that a frame may have; 0 for any.
        MEMF_ADDRESS_BITS_MASK = 0xff, "get_address_bits(~0u)";
        /// Populate: do so only when the guest touches the frames.
        MEMF_POPULATE_ON_DEMAND = 1 << 16, "populate_on_demand";
        /// The node in bits 8-15 (plus one) is an order, not a wish.
        MEMF_EXACT_NODE_REQUEST = 1 << 17, "exact_node_request";
        /// The node is a virtual one.
        MEMF_VNODE = 1 << 18, "vnode";
    }
    "XENMAPSPACE_" u32 [space_name] {
        /// The shared info page.
        MAPSPACE_SHARED_INFO = 0, "shared_info";
        /// A frame of the grant table.
        MAPSPACE_GRANT_TABLE = 1, "grant_table";
        /// Another guest frame of the domain.
        MAPSPACE_GMFN = 2, "gmfn";
        /// A range of them.
        MAPSPACE_GMFN_RANGE = 3, "gmfn_range";
        /// A guest frame of another domain; batch only.
        MAPSPACE_GMFN_FOREIGN = 4, "gmfn_foreign";
        /// Memory of a device; hardware domain only.
        MAPSPACE_DEV_MMIO = 5, "dev_mmio";
    }
    "XENMAPIDX_" u64 [] {
        /// Bit of a grant table index: the frame of status words.
        MAPIDX_GRANT_TABLE_STATUS = 0x8000_0000, "grant_table_status";
    }
    "XENMEM_resource_" u32 [resource_name] {
        /// Pages of an I/O request server.
        RESOURCE_IOREQ_SERVER = 0, "ioreq_server";
        /// The grant table.
        RESOURCE_GRANT_TABLE = 1, "grant_table";
        /// The trace buffer of a virtual CPU.
        RESOURCE_VMTRACE_BUF = 2, "vmtrace_buf";
    }
    "XENMEM_resource_" u32 [] {
        /// Grant table: the entries.
        RESOURCE_GRANT_TABLE_ID_SHARED = 0, "grant_table_id_shared";
        /// Grant table: version 2's status words.
        RESOURCE_GRANT_TABLE_ID_STATUS = 1, "grant_table_id_status";
        /// I/O request server: frame of buffered requests.
        RESOURCE_IOREQ_SERVER_FRAME_BUFIOREQ = 0, "ioreq_server_frame_bufioreq";
        /// I/O request server: first frame of synchronous requests.
        RESOURCE_IOREQ_SERVER_FRAME_IOREQ = 1, "ioreq_server_frame_ioreq(0)";
    }
    "XENMEM_access_" u8 [access_name] {
        /// No access.
        ACCESS_N = 0, "n";
        /// Read.
        ACCESS_R = 1, "r";
        /// Write.
        ACCESS_W = 2, "w";
        /// Read and write.
        ACCESS_RW = 3, "rw";
        /// Execute.
        ACCESS_X = 4, "x";
        /// Read and execute.
        ACCESS_RX = 5, "rx";
        /// Write and execute.
        ACCESS_WX = 6, "wx";
        /// Everything.
        ACCESS_RWX = 7, "rwx";
        /// Read and execute, turning into read and write at the first write.
        ACCESS_RX2RW = 8, "rx2rw";
        /// None, turning into everything at the first access, which is reported.
        ACCESS_N2RWX = 9, "n2rwx";
        /// Read, and writes by the page walker.
        ACCESS_R_PW = 10, "r_pw";
        /// The domain's default.
        ACCESS_DEFAULT = 11, "default";
    }
    "XENMEM_" u8 [] {
        /// Access: sets `nr` frames from `pfn` on; with `pfn` all ones the default.
        ACCESS_OP_SET_ACCESS = 0, "access_op_set_access";
        /// Access: gets that of `pfn`.
        ACCESS_OP_GET_ACCESS = 1, "access_op_get_access";
        /// Access: sets frames by lists.
        ACCESS_OP_SET_ACCESS_MULTI = 4, "access_op_set_access_multi";
        /// Paging: names a frame to page out.
        PAGING_OP_NOMINATE = 0, "paging_op_nominate";
        /// Paging: takes it out.
        PAGING_OP_EVICT = 1, "paging_op_evict";
        /// Paging: fills it again.
        PAGING_OP_PREP = 2, "paging_op_prep";
        /// Sharing: names a guest frame.
        SHARING_OP_NOMINATE_GFN = 0, "sharing_op_nominate_gfn";
        /// Sharing: names a grant reference.
        SHARING_OP_NOMINATE_GREF = 1, "sharing_op_nominate_gref";
        /// Sharing: shares two pages.
        SHARING_OP_SHARE = 2, "sharing_op_share";
        /// Sharing: prints a guest frame.
        SHARING_OP_DEBUG_GFN = 3, "sharing_op_debug_gfn";
        /// Sharing: prints a machine frame.
        SHARING_OP_DEBUG_MFN = 4, "sharing_op_debug_mfn";
        /// Sharing: prints a grant reference.
        SHARING_OP_DEBUG_GREF = 5, "sharing_op_debug_gref";
        /// Sharing: shares into a hole.
        SHARING_OP_ADD_PHYSMAP = 6, "sharing_op_add_physmap";
        /// Sharing: checks consistency.
        SHARING_OP_AUDIT = 7, "sharing_op_audit";
        /// Sharing: shares two ranges.
        SHARING_OP_RANGE_SHARE = 8, "sharing_op_range_share";
        /// Sharing: forks a domain.
        SHARING_OP_FORK = 9, "sharing_op_fork";
        /// Sharing: resets a fork.
        SHARING_OP_FORK_RESET = 10, "sharing_op_fork_reset";
    }
    "XENMEM_" u32 [] {
        /// Reserved device memory: of all devices.
        RDM_ALL = 1, "RDM_ALL";
    }
}

/// Bits of the operation's number; the bits above hold where a continued operation goes on
/// (`MEMOP_CMD_MASK` in Xen).
pub(crate) const CMD_MASK: u32 = 0x3f;
/// The first bit of where a continued operation goes on (`MEMOP_EXTENT_SHIFT` in Xen).
pub(crate) const EXTENT_SHIFT: u32 = 6;

layouts! {
    /// Extents of memory to allocate or free.
    struct MemoryReservation: "struct xen_memory_reservation" [32] {
        /// Handle of frame numbers, one per extent.
        extent_start: u64,
        /// How many extents.
        nr_extents: u64,
        /// Base-2 logarithm of an extent's frames.
        extent_order: u32,
        /// `MEMF_*`.
        mem_flags: u32,
        /// The domain.
        domid: u16,
        _pad: [u8; 6],
    }

    /// Argument of [`EXCHANGE`].
    struct MemoryExchange: "struct xen_memory_exchange" [72] {
        /// What the domain gives. `in` in Xen.
        in_: MemoryReservation as "in",
        /// What it gets.
        out: MemoryReservation,
        /// IN: 0. OUT: extents of `in` that were traded.
        nr_exchanged: u64,
    }

    /// Names a domain.
    struct MemoryDomain: "struct xen_memory_domain" [2] {
        /// The domain.
        domid: u16,
    }

    /// Argument of [`MACHPHYS_MFN_LIST`].
    struct MachphysMfnList: "struct xen_machphys_mfn_list" [24] {
        /// IN: room in the list.
        max_extents: u32,
        _pad0: u32,
        /// OUT: handle of frame numbers.
        extent_start: u64,
        /// OUT: how many were written.
        nr_extents: u32,
        _pad1: u32,
    }

    /// Argument of [`MACHPHYS_MAPPING`].
    struct MachphysMapping: "struct xen_machphys_mapping" [24] {
        /// OUT: first address.
        v_start: u64,
        /// OUT: address after the last.
        v_end: u64,
        /// OUT: the greatest frame in it.
        max_mfn: u64,
    }

    /// Argument of [`ADD_TO_PHYSMAP`].
    struct AddToPhysmap: "struct xen_add_to_physmap" [24] {
        /// The domain.
        domid: u16,
        /// Frames of a [`MAPSPACE_GMFN_RANGE`].
        size: u16,
        /// One of `MAPSPACE_*`.
        space: u32,
        /// Index of the page in its space.
        idx: u64,
        /// The guest frame to put it at.
        gpfn: u64,
    }

    /// Argument of [`ADD_TO_PHYSMAP_BATCH`].
    struct AddToPhysmapBatch: "struct xen_add_to_physmap_batch" [32] {
        /// The domain.
        domid: u16,
        /// One of `MAPSPACE_*`.
        space: u16,
        /// How many pages.
        size: u16,
        /// The other domain for [`MAPSPACE_GMFN_FOREIGN`], else 0.
        foreign_domid: u16 as "u.foreign_domid",
        /// IN: handle of words, indices in the space.
        idxs: u64,
        /// IN: handle of guest frames.
        gpfns: u64,
        /// OUT: handle of 32-bit error numbers.
        errs: u64,
    }

    /// Argument of [`REMOVE_FROM_PHYSMAP`].
    struct RemoveFromPhysmap: "struct xen_remove_from_physmap" [16] {
        /// The domain.
        domid: u16,
        _pad: [u8; 6],
        /// The guest frame.
        gpfn: u64,
    }

    /// Argument of [`MEMORY_MAP`] and [`MACHINE_MEMORY_MAP`].
    struct MemoryMap: "struct xen_memory_map" [16] {
        /// IN: room. OUT: entries.
        nr_entries: u32,
        _pad: u32,
        /// Handle of [`e820::E820Entry`]s.
        buffer: u64,
    }

    /// Argument of [`SET_MEMORY_MAP`].
    struct ForeignMemoryMap: "struct xen_foreign_memory_map" [24] {
        /// The domain.
        domid: u16,
        _pad: [u8; 6],
        /// The map.
        map: MemoryMap,
    }

    /// Argument of [`SET_POD_TARGET`] and [`GET_POD_TARGET`].
    struct PodTarget: "struct xen_pod_target" [40] {
        /// IN to set: pages that the guest shall have.
        target_pages: u64,
        /// OUT: pages that the domain has.
        tot_pages: u64,
        /// OUT: of these, pages that wait to be placed.
        pod_cache_pages: u64,
        /// OUT: guest frames that wait for a page.
        pod_entries: u64,
        /// IN: the domain.
        domid: u16,
        _pad: [u8; 6],
    }

    /// Argument of [`PAGING_OP`].
    struct MemPagingOp: "struct xen_mem_paging_op" [24] {
        /// One of `PAGING_OP_*`.
        op: u8,
        _pad0: u8,
        /// The domain.
        domain: u16,
        _pad1: u32,
        /// [`PAGING_OP_PREP`]: handle of the page's bytes.
        buffer: u64,
        /// The guest frame.
        gfn: u64,
    }

    /// Argument of [`ACCESS_OP`].
    struct MemAccessOp: "struct xen_mem_access_op" [32] {
        /// One of `ACCESS_OP_*`.
        op: u8,
        /// One of the rights `ACCESS_*`.
        access: u8,
        /// The domain.
        domid: u16,
        /// Frames, or entries of the lists.
        nr: u32,
        /// The first guest frame.
        pfn: u64,
        /// Handle of 64-bit guest frames.
        pfn_list: u64,
        /// Handle of bytes of rights.
        access_list: u64,
    }

    /// Argument of [`SHARING_OP`].
    struct MemSharingOp: "struct xen_mem_sharing_op" [48] {
        /// One of `SHARING_OP_*`.
        op: u8,
        _pad0: u8,
        /// The domain.
        domain: u16,
        _pad1: u32,
        /// What depends on the operation.
        u: [u64; 5],
    }

    /// A range of reserved device memory.
    struct ReservedDeviceMemory: "struct xen_reserved_device_memory" [16] {
        /// First frame.
        start_pfn: u64,
        /// Frames.
        nr_pages: u64,
    }

    /// Argument of [`RESERVED_DEVICE_MEMORY_MAP`].
    struct ReservedDeviceMemoryMap: "struct xen_reserved_device_memory_map" [24] {
        /// IN: [`RDM_ALL`].
        flags: u32,
        /// IN: room. OUT: ranges.
        nr_entries: u32,
        /// OUT: handle of [`ReservedDeviceMemory`]s.
        buffer: u64,
        /// IN: PCI segment.
        pci_seg: u16 as "dev.pci.seg",
        /// IN: PCI bus.
        pci_bus: u8 as "dev.pci.bus",
        /// IN: PCI device and function.
        pci_devfn: u8 as "dev.pci.devfn",
        _pad: u32,
    }

    /// Argument of [`ACQUIRE_RESOURCE`].
    struct MemAcquireResource: "struct xen_mem_acquire_resource" [32] {
        /// IN: the domain.
        domid: u16,
        /// IN: one of `RESOURCE_*`.
        type_: u16 as "type",
        /// IN: which one of that kind.
        id: u32,
        /// IN: frames to map; OUT, with a null list: frames that there are.
        nr_frames: u32,
        /// Must be 0.
        pad: u32,
        /// IN: the first frame.
        frame: u64,
        /// Handle of guest frames to map at.
        frame_list: u64,
    }

    /// A range of guest memory on one virtual node.
    struct Vmemrange: "struct xen_vmemrange" [24] {
        /// First guest-physical byte.
        start: u64,
        /// The byte after the last.
        end: u64,
        /// Must be 0.
        flags: u32,
        /// The virtual node.
        nid: u32,
    }

    /// Argument of [`GET_VNUMAINFO`]. Its handles take eight bytes for 32-bit guests too.
    struct VnumaTopologyInfo: "struct xen_vnuma_topology_info" [40] {
        /// IN: the domain.
        domid: u16,
        /// Must be 0.
        pad: u16,
        /// IN: room. OUT: nodes.
        nr_vnodes: u32,
        /// IN: room. OUT: virtual CPUs.
        nr_vcpus: u32,
        /// IN: room. OUT: ranges.
        nr_vmemranges: u32,
        /// Handle of 32-bit distances, nodes squared.
        vdistance: u64,
        /// Handle of 32-bit nodes, one per virtual CPU.
        vcpu_to_vnode: u64,
        /// Handle of [`Vmemrange`]s.
        vmemrange: u64,
    }
}

/// Memory maps, which Xen's public headers leave to the BIOS; the tools' `xenctrl.h` has them.
pub(crate) mod e820 {
    numbers! {
        "E820_" u32 [name] {
            /// RAM.
            RAM = 1, "RAM";
            /// To be kept off.
            RESERVED = 2, "RESERVED";
            /// ACPI tables, RAM once they are read.
            ACPI = 3, "ACPI";
            /// To be kept over sleep.
            NVS = 4, "NVS";
            /// Broken.
            UNUSABLE = 5, "UNUSABLE";
        }
    }

    layouts! {
        /// An entry of a memory map, without alignment.
        struct E820Entry: "struct e820entry" [20] {
            /// First guest-physical byte.
            addr: crate::abi::layout::U64A4,
            /// Bytes.
            size: crate::abi::layout::U64A4,
            /// One of the kinds above.
            type_: u32 as "type",
        }
    }
}

/// What 32-bit guests lay out differently.
pub(crate) mod compat {
    use crate::abi::layout::U64A4;

    layouts! {
        /// Extents of memory to allocate or free.
        struct MemoryReservation: "struct xen_memory_reservation" [20] {
            /// Handle of 32-bit frame numbers, one per extent.
            extent_start: u32,
            /// How many extents.
            nr_extents: u32,
            /// Base-2 logarithm of an extent's frames.
            extent_order: u32,
            /// `MEMF_*`.
            mem_flags: u32,
            /// The domain.
            domid: u16,
            _pad: u16,
        }

        /// Argument of [`super::EXCHANGE`].
        struct MemoryExchange: "struct xen_memory_exchange" [44] {
            /// What the domain gives. `in` in Xen.
            in_: MemoryReservation as "in",
            /// What it gets.
            out: MemoryReservation,
            /// IN: 0. OUT: extents of `in` that were traded.
            nr_exchanged: u32,
        }

        /// Argument of [`super::MACHPHYS_MFN_LIST`].
        struct MachphysMfnList: "struct xen_machphys_mfn_list" [12] {
            /// IN: room in the list.
            max_extents: u32,
            /// OUT: handle of 32-bit frame numbers.
            extent_start: u32,
            /// OUT: how many were written.
            nr_extents: u32,
        }

        /// Argument of [`super::MACHPHYS_MAPPING`].
        struct MachphysMapping: "struct xen_machphys_mapping" [12] {
            /// OUT: first address.
            v_start: u32,
            /// OUT: address after the last.
            v_end: u32,
            /// OUT: the greatest frame in it.
            max_mfn: u32,
        }

        /// Argument of [`super::ADD_TO_PHYSMAP`].
        struct AddToPhysmap: "struct xen_add_to_physmap" [16] {
            /// The domain.
            domid: u16,
            /// Frames of a [`super::MAPSPACE_GMFN_RANGE`].
            size: u16,
            /// One of `MAPSPACE_*`.
            space: u32,
            /// Index of the page in its space.
            idx: u32,
            /// The guest frame to put it at.
            gpfn: u32,
        }

        /// Argument of [`super::ADD_TO_PHYSMAP_BATCH`].
        struct AddToPhysmapBatch: "struct xen_add_to_physmap_batch" [20] {
            /// The domain.
            domid: u16,
            /// One of `MAPSPACE_*`.
            space: u16,
            /// How many pages.
            size: u16,
            /// The other domain for [`super::MAPSPACE_GMFN_FOREIGN`], else 0.
            foreign_domid: u16 as "u.foreign_domid",
            /// IN: handle of 32-bit words, indices in the space.
            idxs: u32,
            /// IN: handle of 32-bit guest frames.
            gpfns: u32,
            /// OUT: handle of 32-bit error numbers.
            errs: u32,
        }

        /// Argument of [`super::REMOVE_FROM_PHYSMAP`].
        struct RemoveFromPhysmap: "struct xen_remove_from_physmap" [8] {
            /// The domain.
            domid: u16,
            _pad: u16,
            /// The guest frame.
            gpfn: u32,
        }

        /// Argument of [`super::MEMORY_MAP`] and [`super::MACHINE_MEMORY_MAP`].
        struct MemoryMap: "struct xen_memory_map" [8] {
            /// IN: room. OUT: entries.
            nr_entries: u32,
            /// Handle of [`super::e820::E820Entry`]s.
            buffer: u32,
        }

        /// Argument of [`super::SET_MEMORY_MAP`].
        struct ForeignMemoryMap: "struct xen_foreign_memory_map" [12] {
            /// The domain.
            domid: u16,
            _pad: u16,
            /// The map.
            map: MemoryMap,
        }

        /// Argument of [`super::SET_POD_TARGET`] and [`super::GET_POD_TARGET`].
        struct PodTarget: "struct xen_pod_target" [36] {
            /// IN to set: pages that the guest shall have.
            target_pages: U64A4,
            /// OUT: pages that the domain has.
            tot_pages: U64A4,
            /// OUT: of these, pages that wait to be placed.
            pod_cache_pages: U64A4,
            /// OUT: guest frames that wait for a page.
            pod_entries: U64A4,
            /// IN: the domain.
            domid: u16,
            _pad: u16,
        }

        /// Argument of [`super::ACCESS_OP`].
        struct MemAccessOp: "struct xen_mem_access_op" [24] {
            /// One of `ACCESS_OP_*`.
            op: u8,
            /// One of the rights `ACCESS_*`.
            access: u8,
            /// The domain.
            domid: u16,
            /// Frames, or entries of the lists.
            nr: u32,
            /// The first guest frame; aligned to eight bytes in this width too.
            pfn: u64,
            /// Handle of 64-bit guest frames.
            pfn_list: u32,
            /// Handle of bytes of rights.
            access_list: u32,
        }

        /// A range of reserved device memory.
        struct ReservedDeviceMemory: "struct xen_reserved_device_memory" [8] {
            /// First frame.
            start_pfn: u32,
            /// Frames.
            nr_pages: u32,
        }

        /// Argument of [`super::RESERVED_DEVICE_MEMORY_MAP`].
        struct ReservedDeviceMemoryMap: "struct xen_reserved_device_memory_map" [16] {
            /// IN: [`super::RDM_ALL`].
            flags: u32,
            /// IN: room. OUT: ranges.
            nr_entries: u32,
            /// OUT: handle of [`ReservedDeviceMemory`]s.
            buffer: u32,
            /// IN: PCI segment.
            pci_seg: u16 as "dev.pci.seg",
            /// IN: PCI bus.
            pci_bus: u8 as "dev.pci.bus",
            /// IN: PCI device and function.
            pci_devfn: u8 as "dev.pci.devfn",
        }

        /// Argument of [`super::ACQUIRE_RESOURCE`].
        struct MemAcquireResource: "struct xen_mem_acquire_resource" [28] {
            /// IN: the domain.
            domid: u16,
            /// IN: one of `RESOURCE_*`.
            type_: u16 as "type",
            /// IN: which one of that kind.
            id: u32,
            /// IN: frames to map; OUT, with a null list: frames that there are.
            nr_frames: u32,
            /// Must be 0.
            pad: u32,
            /// IN: the first frame.
            frame: U64A4,
            /// Handle of 32-bit guest frames to map at.
            frame_list: u32,
        }
    }

    widen! {
        MemoryReservation { extent_start, nr_extents, extent_order, mem_flags, domid }
        MemoryExchange { in_, out, nr_exchanged }
        MachphysMfnList { max_extents, extent_start, nr_extents }
        MachphysMapping { v_start, v_end, max_mfn }
        AddToPhysmap { domid, size, space, idx, gpfn }
        AddToPhysmapBatch { domid, space, size, foreign_domid, idxs, gpfns, errs }
        RemoveFromPhysmap { domid, gpfn }
        MemoryMap { nr_entries, buffer }
        ForeignMemoryMap { domid, map }
        PodTarget { target_pages, tot_pages, pod_cache_pages, pod_entries, domid }
        MemAccessOp { op, access, domid, nr, pfn, pfn_list, access_list }
        ReservedDeviceMemory { start_pfn, nr_pages }
        ReservedDeviceMemoryMap { flags, nr_entries, buffer, pci_seg, pci_bus, pci_devfn }
        MemAcquireResource { domid, type_, id, nr_frames, pad, frame, frame_list }
    }
}
