// SPDX-License-Identifier: GPL-2.0-only

//! `dm_op`: operations of a device model on its guest (`xen/hvm/dm_op.h`), and the pages through
//! which it serves I/O (`xen/hvm/ioreq.h`).

numbers! {
    "XEN_DMOP_" u32 [name] {
        /// Makes an I/O request server, with a [`CreateIoreqServer`].
        CREATE_IOREQ_SERVER = 1, "create_ioreq_server";
        /// Tells its pages and port, with a [`GetIoreqServerInfo`].
        GET_IOREQ_SERVER_INFO = 2, "get_ioreq_server_info";
        /// Gives it a range, with an [`IoreqServerRange`].
        MAP_IO_RANGE_TO_IOREQ_SERVER = 3, "map_io_range_to_ioreq_server";
        /// Takes a range from it, with an [`IoreqServerRange`].
        UNMAP_IO_RANGE_FROM_IOREQ_SERVER = 4, "unmap_io_range_from_ioreq_server";
        /// Switches it on or off, with a [`SetIoreqServerState`].
        SET_IOREQ_SERVER_STATE = 5, "set_ioreq_server_state";
        /// Destroys it, with a [`DestroyIoreqServer`].
        DESTROY_IOREQ_SERVER = 6, "destroy_ioreq_server";
        /// Tells what was written in a frame buffer, with a [`TrackDirtyVram`].
        TRACK_DIRTY_VRAM = 7, "track_dirty_vram";
        /// Sets a PCI line, with a [`SetPciIntxLevel`].
        SET_PCI_INTX_LEVEL = 8, "set_pci_intx_level";
        /// Sets an ISA line, with a [`SetIsaIrqLevel`].
        SET_ISA_IRQ_LEVEL = 9, "set_isa_irq_level";
        /// Routes a PCI link, with a [`SetPciLinkRoute`].
        SET_PCI_LINK_ROUTE = 10, "set_pci_link_route";
        /// Says which frames it wrote, with a [`ModifiedMemory`].
        MODIFIED_MEMORY = 11, "modified_memory";
        /// Sets the kind of frames, with a [`SetMemType`].
        SET_MEM_TYPE = 12, "set_mem_type";
        /// Injects an exception or interrupt, with an [`InjectEvent`].
        INJECT_EVENT = 13, "inject_event";
        /// Injects a message, with an [`InjectMsi`].
        INJECT_MSI = 14, "inject_msi";
        /// Gives it a kind of frames, with a [`MapMemTypeToIoreqServer`].
        MAP_MEM_TYPE_TO_IOREQ_SERVER = 15, "map_mem_type_to_ioreq_server";
        /// Shuts the guest down, with a [`RemoteShutdown`].
        REMOTE_SHUTDOWN = 16, "remote_shutdown";
        /// Moves frames, with a [`RelocateMemory`].
        RELOCATE_MEMORY = 17, "relocate_memory";
        /// Sets cache attributes, with a [`PinMemoryCacheattr`].
        PIN_MEMORY_CACHEATTR = 18, "pin_memory_cacheattr";
        /// Of another architecture.
        SET_IRQ_LEVEL = 19, "set_irq_level";
        /// Tells how many virtual CPUs, with an [`NrVcpus`].
        NR_VCPUS = 20, "nr_vcpus";
    }
    "HVM_IOREQSRV_" u8 [] {
        /// No buffered requests.
        BUFIOREQ_OFF = 0, "BUFIOREQ_OFF";
        /// Buffered requests; the reader may not change pointers atomically.
        BUFIOREQ_LEGACY = 1, "BUFIOREQ_LEGACY";
        /// Buffered requests; the reader changes pointers atomically.
        BUFIOREQ_ATOMIC = 2, "BUFIOREQ_ATOMIC";
    }
    "XEN_DMOP_" u16 [] {
        /// Info: does not ask for guest frames.
        NO_GFNS = 1 << 0, "no_gfns";
    }
    "XEN_DMOP_IO_RANGE_" u32 [] {
        /// Range of ports.
        IO_RANGE_PORT = 0, "PORT";
        /// Range of memory.
        IO_RANGE_MEMORY = 1, "MEMORY";
        /// A PCI function.
        IO_RANGE_PCI = 2, "PCI";
    }
    "XEN_DMOP_EVENT_" u8 [] {
        /// Event: an interrupt.
        EVENT_EXT_INT = 0, "ext_int";
        /// Event: a non-maskable interrupt.
        EVENT_NMI = 2, "nmi";
        /// Event: an exception.
        EVENT_HW_EXC = 3, "hw_exc";
        /// Event: INT.
        EVENT_SW_INT = 4, "sw_int";
        /// Event: INT1.
        EVENT_PRI_SW_EXC = 5, "pri_sw_exc";
        /// Event: INT3 and INTO.
        EVENT_SW_EXC = 6, "sw_exc";
    }
    "XEN_DMOP_" u32 [] {
        /// Kind of frames: reads are requests.
        IOREQ_MEM_ACCESS_READ = 1 << 0, "IOREQ_MEM_ACCESS_READ";
        /// Kind of frames: writes are requests.
        IOREQ_MEM_ACCESS_WRITE = 1 << 1, "IOREQ_MEM_ACCESS_WRITE";
        /// Cache attribute: uncached.
        MEM_CACHEATTR_UC = 0, "MEM_CACHEATTR_UC";
        /// Cache attribute: write-combining.
        MEM_CACHEATTR_WC = 1, "MEM_CACHEATTR_WC";
        /// Cache attribute: write-through.
        MEM_CACHEATTR_WT = 4, "MEM_CACHEATTR_WT";
        /// Cache attribute: write-protected.
        MEM_CACHEATTR_WP = 5, "MEM_CACHEATTR_WP";
        /// Cache attribute: write-back.
        MEM_CACHEATTR_WB = 6, "MEM_CACHEATTR_WB";
        /// Cache attribute: uncached unless MTRRs say otherwise.
        MEM_CACHEATTR_UCM = 7, "MEM_CACHEATTR_UCM";
        /// Cache attribute: forget the range.
        DELETE_MEM_CACHEATTR = u32::MAX, "DELETE_MEM_CACHEATTR";
    }
    "" u8 [] {
        /// Request state: nothing.
        STATE_IOREQ_NONE = 0, "STATE_IOREQ_NONE";
        /// Request state: for the device model.
        STATE_IOREQ_READY = 1, "STATE_IOREQ_READY";
        /// Request state: the device model works on it.
        STATE_IOREQ_INPROCESS = 2, "STATE_IOREQ_INPROCESS";
        /// Request state: done.
        STATE_IORESP_READY = 3, "STATE_IORESP_READY";
        /// Request kind: ports.
        IOREQ_TYPE_PIO = 0, "IOREQ_TYPE_PIO";
        /// Request kind: memory.
        IOREQ_TYPE_COPY = 1, "IOREQ_TYPE_COPY";
        /// Request kind: PCI configuration; function in the upper half of the address.
        IOREQ_TYPE_PCI_CONFIG = 2, "IOREQ_TYPE_PCI_CONFIG";
        /// Request kind: the wall clock was set.
        IOREQ_TYPE_TIMEOFFSET = 7, "IOREQ_TYPE_TIMEOFFSET";
        /// Request kind: forget mappings of guest memory.
        IOREQ_TYPE_INVALIDATE = 8, "IOREQ_TYPE_INVALIDATE";
    }
    "" usize [] {
        /// Bytes of a request; a page of them is indexed by virtual CPU.
        IOREQ_SIZE = 32, "sizeof(struct ioreq)";
        /// Request: 64-bit address.
        IOREQ_ADDR = 0, "offsetof(struct ioreq, addr)";
        /// Request: 64-bit value, or guest-physical address of values.
        IOREQ_DATA = 8, "offsetof(struct ioreq, data)";
        /// Request: 32-bit repetitions.
        IOREQ_COUNT = 16, "offsetof(struct ioreq, count)";
        /// Request: 32-bit bytes of a value.
        IOREQ_VALUE_SIZE = 20, "offsetof(struct ioreq, size)";
        /// Request: 32-bit port of the virtual CPU.
        IOREQ_VP_EPORT = 24, "offsetof(struct ioreq, vp_eport)";
        /// Request: byte of state 0-3, data is a pointer 4, read 5, downwards 6.
        IOREQ_STATE = 30, "offsetof(struct ioreq, type) - 1";
        /// Request: byte of the kind.
        IOREQ_TYPE = 31, "offsetof(struct ioreq, type)";
        /// Buffered requests: 32-bit read pointer.
        BUFIOREQ_READ_POINTER = 0, "offsetof(struct buffered_iopage, read_pointer)";
        /// Buffered requests: 32-bit write pointer.
        BUFIOREQ_WRITE_POINTER = 4, "offsetof(struct buffered_iopage, write_pointer)";
        /// Buffered requests: 64-bit slots: kind 0-7, write 9, log2 of bytes 10-11, address 12-31,
        /// data 32-63.
        BUFIOREQ_SLOTS = 8, "offsetof(struct buffered_iopage, buf_ioreq)";
        /// Buffered requests: bytes of a slot.
        BUFIOREQ_SLOT_SIZE = 8, "sizeof(struct buf_ioreq)";
        /// Buffered requests: slots.
        IOREQ_BUFFER_SLOT_NUM = 511, "IOREQ_BUFFER_SLOT_NUM";
    }
}

layouts! {
    /// Any device model operation, the first buffer.
    struct XenDmOp: "struct xen_dm_op" [32] {
        /// The operation.
        op: u32,
        /// Must be 0.
        pad: u32,
        /// The payload, for [`super::layout::payload`].
        u: [u8; 24],
    }

    /// A buffer of the hypercall's form.
    struct XenDmOpBuf: "struct xen_dm_op_buf" [16] {
        /// Where it is.
        h: u64,
        /// Its bytes.
        size: u64,
    }

    /// Payload of [`CREATE_IOREQ_SERVER`].
    struct CreateIoreqServer: "struct xen_dm_op_create_ioreq_server" [6] {
        /// IN: one of `BUFIOREQ_*`.
        handle_bufioreq: u8,
        /// Must be 0.
        pad: [u8; 3],
        /// OUT: the server.
        id: u16,
    }

    /// Payload of [`GET_IOREQ_SERVER_INFO`].
    struct GetIoreqServerInfo: "struct xen_dm_op_get_ioreq_server_info" [24] {
        /// IN: the server.
        id: u16,
        /// IN: [`NO_GFNS`].
        flags: u16,
        /// OUT: port of buffered requests.
        bufioreq_port: u32,
        /// OUT: guest frame of requests.
        ioreq_gfn: u64,
        /// OUT: guest frame of buffered requests.
        bufioreq_gfn: u64,
    }

    /// Payload of [`MAP_IO_RANGE_TO_IOREQ_SERVER`] and [`UNMAP_IO_RANGE_FROM_IOREQ_SERVER`].
    struct IoreqServerRange: "struct xen_dm_op_ioreq_server_range" [24] {
        /// The server.
        id: u16,
        /// Must be 0.
        pad: u16,
        /// One of `IO_RANGE_*`.
        type_: u32 as "type",
        /// The first address.
        start: u64,
        /// The last address.
        end: u64,
    }

    /// Payload of [`SET_IOREQ_SERVER_STATE`].
    struct SetIoreqServerState: "struct xen_dm_op_set_ioreq_server_state" [4] {
        /// The server.
        id: u16,
        /// Nonzero for on.
        enabled: u8,
        /// Must be 0.
        pad: u8,
    }

    /// Payload of [`DESTROY_IOREQ_SERVER`].
    struct DestroyIoreqServer: "struct xen_dm_op_destroy_ioreq_server" [4] {
        /// The server.
        id: u16,
        /// Must be 0.
        pad: u16,
    }

    /// Payload of [`TRACK_DIRTY_VRAM`]; the second buffer takes a bit per frame.
    struct TrackDirtyVram: "struct xen_dm_op_track_dirty_vram" [16] {
        /// Frames; 0 to stop.
        nr: u32,
        /// Must be 0.
        pad: u32,
        /// The first guest frame.
        first_pfn: u64,
    }

    /// Payload of [`SET_PCI_INTX_LEVEL`].
    struct SetPciIntxLevel: "struct xen_dm_op_set_pci_intx_level" [6] {
        /// PCI segment; must be 0.
        domain: u16,
        /// PCI bus; must be 0.
        bus: u8,
        /// PCI device, below 32.
        device: u8,
        /// Pin, below 4.
        intx: u8,
        /// 0 or 1.
        level: u8,
    }

    /// Payload of [`SET_ISA_IRQ_LEVEL`].
    struct SetIsaIrqLevel: "struct xen_dm_op_set_isa_irq_level" [2] {
        /// The line, below 16.
        isa_irq: u8,
        /// 0 or 1.
        level: u8,
    }

    /// Payload of [`SET_PCI_LINK_ROUTE`].
    struct SetPciLinkRoute: "struct xen_dm_op_set_pci_link_route" [2] {
        /// The link, below 4.
        link: u8,
        /// The ISA line, below 16; 0 for none.
        isa_irq: u8,
    }

    /// Payload of [`MODIFIED_MEMORY`]; the second buffer holds [`ModifiedMemoryExtent`]s.
    struct ModifiedMemory: "struct xen_dm_op_modified_memory" [8] {
        /// IN: extents. OUT of a continued call: extents that remain.
        nr_extents: u32,
        /// IN: 0. Where a continued call goes on.
        opaque: u32,
    }

    /// Element of [`MODIFIED_MEMORY`].
    struct ModifiedMemoryExtent: "struct xen_dm_op_modified_memory_extent" [16] {
        /// Frames.
        nr: u32,
        /// Must be 0.
        pad: u32,
        /// The first guest frame.
        first_pfn: u64,
    }

    /// Payload of [`SET_MEM_TYPE`].
    struct SetMemType: "struct xen_dm_op_set_mem_type" [16] {
        /// Frames.
        nr: u32,
        /// One of `MEM_*` of [`super::hvm`].
        mem_type: u16,
        /// Must be 0.
        pad: u16,
        /// The first guest frame.
        first_pfn: u64,
    }

    /// Payload of [`INJECT_EVENT`].
    struct InjectEvent: "struct xen_dm_op_inject_event" [24] {
        /// The virtual CPU.
        vcpuid: u32,
        /// The vector.
        vector: u8,
        /// One of `EVENT_*`.
        type_: u8 as "type",
        /// Bytes of the instruction, for software events.
        insn_len: u8,
        /// Must be 0.
        pad0: u8,
        /// The error code, or all ones for none.
        error_code: u32,
        /// Must be 0.
        pad1: u32,
        /// Address of a page fault; pending bits of a debug exception.
        cr2: u64,
    }

    /// Payload of [`INJECT_MSI`].
    struct InjectMsi: "struct xen_dm_op_inject_msi" [16] {
        /// The message.
        data: u32,
        /// Must be 0.
        pad: u32,
        /// Its address.
        addr: u64,
    }

    /// Payload of [`MAP_MEM_TYPE_TO_IOREQ_SERVER`].
    struct MapMemTypeToIoreqServer: "struct xen_dm_op_map_mem_type_to_ioreq_server" [16] {
        /// The server.
        id: u16,
        /// [`MEM_IOREQ_SERVER`](super::hvm::MEM_IOREQ_SERVER).
        type_: u16 as "type",
        /// `IOREQ_MEM_ACCESS_*`; 0 to take it back.
        flags: u32,
        /// Where a continued call goes on.
        opaque: u64,
    }

    /// Payload of [`REMOTE_SHUTDOWN`].
    struct RemoteShutdown: "struct xen_dm_op_remote_shutdown" [4] {
        /// One of `SHUTDOWN_*`.
        reason: u32,
    }

    /// Payload of [`RELOCATE_MEMORY`].
    struct RelocateMemory: "struct xen_dm_op_relocate_memory" [24] {
        /// Frames.
        size: u32,
        /// Must be 0.
        pad: u32,
        /// From which guest frame.
        src_gfn: u64,
        /// To which guest frame.
        dst_gfn: u64,
    }

    /// Payload of [`PIN_MEMORY_CACHEATTR`].
    struct PinMemoryCacheattr: "struct xen_dm_op_pin_memory_cacheattr" [24] {
        /// The first guest frame.
        start: u64,
        /// The last guest frame.
        end: u64,
        /// One of `MEM_CACHEATTR_*`, or [`DELETE_MEM_CACHEATTR`].
        type_: u32 as "type",
        /// Must be 0.
        pad: u32,
    }

    /// Payload of [`NR_VCPUS`].
    struct NrVcpus: "struct xen_dm_op_nr_vcpus" [4] {
        /// OUT: how many.
        vcpus: u32,
    }
}

/// What 32-bit guests lay out differently.
pub(crate) mod compat {
    layouts! {
        /// A buffer of the hypercall's form.
        struct XenDmOpBuf: "struct xen_dm_op_buf" [8] {
            /// Where it is.
            h: u32,
            /// Its bytes.
            size: u32,
        }
    }

    widen! {
        XenDmOpBuf { h, size }
    }
}
