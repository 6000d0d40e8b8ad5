// SPDX-License-Identifier: GPL-2.0-only

//! `grant_table_op` and the grant table's entries (`xen/grant_table.h`).

numbers! {
    "GNTTABOP_" u32 [name] {
        /// Maps granted frames, with [`MapGrantRef`]s.
        MAP_GRANT_REF = 0, "map_grant_ref";
        /// Unmaps them, with [`UnmapGrantRef`]s.
        UNMAP_GRANT_REF = 1, "unmap_grant_ref";
        /// Grows a table and lists its frames, with one [`SetupTable`].
        SETUP_TABLE = 2, "setup_table";
        /// Prints a table, with one [`DumpTable`].
        DUMP_TABLE = 3, "dump_table";
        /// PV: gives frames away, with [`Transfer`]s.
        TRANSFER = 4, "transfer";
        /// Copies between frames, with [`Copy`](struct@Copy)s.
        COPY = 5, "copy";
        /// Tells a table's size, with one [`QuerySize`].
        QUERY_SIZE = 6, "query_size";
        /// PV: unmaps and puts another frame in place, with [`UnmapAndReplace`]s.
        UNMAP_AND_REPLACE = 7, "unmap_and_replace";
        /// Switches the entries' format, with one [`SetVersion`].
        SET_VERSION = 8, "set_version";
        /// Lists the frames of version 2's status words, with one [`GetStatusFrames`].
        GET_STATUS_FRAMES = 9, "get_status_frames";
        /// Tells the entries' format, with one [`GetVersion`].
        GET_VERSION = 10, "get_version";
        /// Exchanges two entries, with [`SwapGrantRef`]s.
        SWAP_GRANT_REF = 11, "swap_grant_ref";
        /// Cleans caches of a granted or own range, with [`CacheFlush`]es.
        CACHE_FLUSH = 12, "cache_flush";
    }
    "GNTST_" i16 [status_name] {
        /// Done.
        GNTST_OKAY = 0, "okay";
        /// Failed for no listed reason.
        GNTST_GENERAL_ERROR = -1, "general_error";
        /// No such domain.
        GNTST_BAD_DOMAIN = -2, "bad_domain";
        /// No such reference, or not granted to the caller.
        GNTST_BAD_GNTREF = -3, "bad_gntref";
        /// No such mapping.
        GNTST_BAD_HANDLE = -4, "bad_handle";
        /// Not the address that was mapped.
        GNTST_BAD_VIRT_ADDR = -5, "bad_virt_addr";
        /// Not the device address that was mapped.
        GNTST_BAD_DEV_ADDR = -6, "bad_dev_addr";
        /// No slot in the I/O MMU.
        GNTST_NO_DEVICE_SPACE = -7, "no_device_space";
        /// Not allowed.
        GNTST_PERMISSION_DENIED = -8, "permission_denied";
        /// The frame cannot be used.
        GNTST_BAD_PAGE = -9, "bad_page";
        /// A copy crosses the end of a page.
        GNTST_BAD_COPY_ARG = -10, "bad_copy_arg";
        /// The frame's number does not fit.
        GNTST_ADDRESS_TOO_BIG = -11, "address_too_big";
        /// Try again.
        GNTST_EAGAIN = -12, "eagain";
        /// A table is full.
        GNTST_NO_SPACE = -13, "no_space";
    }
    "" u32 [] {
        /// Entries that the tools fill in.
        NR_RESERVED_ENTRIES = 8, "GNTTAB_NR_RESERVED_ENTRIES";
        /// The entry of the console page.
        RESERVED_CONSOLE = 0, "GNTTAB_RESERVED_CONSOLE";
        /// The entry of the xenstore page.
        RESERVED_XENSTORE = 1, "GNTTAB_RESERVED_XENSTORE";
    }
    "GTF_" u16 [] {
        /// Entry type: grants nothing.
        GTF_INVALID = 0, "invalid";
        /// Entry type: grants access to a frame.
        GTF_PERMIT_ACCESS = 1, "permit_access";
        /// Entry type: accepts a frame from the other domain.
        GTF_ACCEPT_TRANSFER = 2, "accept_transfer";
        /// Entry type, version 2: passes on a grant of a third domain.
        GTF_TRANSITIVE = 3, "transitive";
        /// Mask of the entry type.
        GTF_TYPE_MASK = 3, "type_mask";
        /// Access is for reading only.
        GTF_READONLY = 1 << 2, "readonly";
        /// Xen: the frame is mapped for reading.
        GTF_READING = 1 << 3, "reading";
        /// Xen: the frame is mapped for writing.
        GTF_WRITING = 1 << 4, "writing";
        /// Cache attribute: write-through.
        GTF_PWT = 1 << 5, "PWT";
        /// Cache attribute: disabled.
        GTF_PCD = 1 << 6, "PCD";
        /// Cache attribute: page attribute table.
        GTF_PAT = 1 << 7, "PAT";
        /// Version 2: grants a part of the frame, for copying only.
        GTF_SUB_PAGE = 1 << 8, "sub_page";
        /// Transfer: the frame is on its way.
        GTF_TRANSFER_COMMITTED = 1 << 2, "transfer_committed";
        /// Transfer: the frame's number is in the entry.
        GTF_TRANSFER_COMPLETED = 1 << 3, "transfer_completed";
    }
    "GNTMAP_" u32 [] {
        /// Map: for I/O by devices.
        GNTMAP_DEVICE_MAP = 1 << 0, "device_map";
        /// Map: for the CPU.
        GNTMAP_HOST_MAP = 1 << 1, "host_map";
        /// Map: for reading only.
        GNTMAP_READONLY = 1 << 2, "readonly";
        /// PV map: user mode may access.
        GNTMAP_APPLICATION_MAP = 1 << 3, "application_map";
        /// PV map: `host_addr` is the machine address of a page table entry.
        GNTMAP_CONTAINS_PTE = 1 << 4, "contains_pte";
        /// PV map: bits for the available bits of the page table entry.
        GNTMAP_GUEST_AVAIL_MASK = 0xffff_0000, "guest_avail_mask";
    }
    "GNTCOPY_" u16 [] {
        /// Copy: the source is a grant reference, else an own frame.
        GNTCOPY_SOURCE_GREF = 1 << 0, "source_gref";
        /// Copy: the destination is a grant reference, else an own frame.
        GNTCOPY_DEST_GREF = 1 << 1, "dest_gref";
    }
    "GNTTAB_CACHE_" u32 [] {
        /// Cache flush: write back.
        CACHE_CLEAN = 1 << 0, "CLEAN";
        /// Cache flush: invalidate.
        CACHE_INVAL = 1 << 1, "INVAL";
        /// Cache flush: the range is in a grant.
        CACHE_SOURCE_GREF = 1 << 31, "SOURCE_GREF";
    }
    "" usize [] {
        /// Bytes of a version 1 entry.
        ENTRY_V1_SIZE = 8, "sizeof(struct grant_entry_v1)";
        /// Version 1 entry: 16-bit `GTF_*`.
        ENTRY_V1_FLAGS = 0, "offsetof(struct grant_entry_v1, flags)";
        /// Version 1 entry: 16-bit domain that may use it.
        ENTRY_V1_DOMID = 2, "offsetof(struct grant_entry_v1, domid)";
        /// Version 1 entry: 32-bit guest frame.
        ENTRY_V1_FRAME = 4, "offsetof(struct grant_entry_v1, frame)";
        /// Bytes of a version 2 entry.
        ENTRY_V2_SIZE = 16, "sizeof(union grant_entry_v2)";
        /// Version 2 entry of a full or partial page: 64-bit guest frame.
        ENTRY_V2_FRAME = 8, "offsetof(union grant_entry_v2, full_page.frame)";
        /// Version 2 entry of a part of a page: 16-bit first byte.
        ENTRY_V2_PAGE_OFF = 4, "offsetof(union grant_entry_v2, sub_page.page_off)";
        /// Version 2 entry of a part of a page: 16-bit count of bytes.
        ENTRY_V2_LENGTH = 6, "offsetof(union grant_entry_v2, sub_page.length)";
        /// Version 2 transitive entry: 16-bit domain that granted.
        ENTRY_V2_TRANS_DOMID = 4, "offsetof(union grant_entry_v2, transitive.trans_domid)";
        /// Version 2 transitive entry: 32-bit reference of that domain.
        ENTRY_V2_GREF = 8, "offsetof(union grant_entry_v2, transitive.gref)";
        /// Bytes of a version 2 status word.
        STATUS_SIZE = 2, "sizeof(grant_status_t)";
    }
}

layouts! {
    /// Element of [`MAP_GRANT_REF`].
    struct MapGrantRef: "struct gnttab_map_grant_ref" [32] {
        /// IN: guest-physical address to map at (PV: virtual or of a page table entry).
        host_addr: u64,
        /// IN: `GNTMAP_*`.
        flags: u32,
        /// IN: the reference.
        ref_: u32 as "ref",
        /// IN: the domain that granted.
        dom: u16,
        /// OUT: `GNTST_*`.
        status: i16,
        /// OUT: names the mapping.
        handle: u32,
        /// OUT: address for devices.
        dev_bus_addr: u64,
    }

    /// Element of [`UNMAP_GRANT_REF`].
    struct UnmapGrantRef: "struct gnttab_unmap_grant_ref" [24] {
        /// IN: where it was mapped.
        host_addr: u64,
        /// IN: address for devices; 0 to leave it.
        dev_bus_addr: u64,
        /// IN: the mapping.
        handle: u32,
        /// OUT: `GNTST_*`.
        status: i16,
        _pad: [u8; 2],
    }

    /// Argument of [`SETUP_TABLE`].
    struct SetupTable: "struct gnttab_setup_table" [24] {
        /// IN: the domain.
        dom: u16,
        _pad0: u16,
        /// IN: frames that the table shall have at least.
        nr_frames: u32,
        /// OUT: `GNTST_*`.
        status: i16,
        _pad1: [u8; 6],
        /// OUT: handle of `nr_frames` frame numbers.
        frame_list: u64,
    }

    /// Argument of [`DUMP_TABLE`].
    struct DumpTable: "struct gnttab_dump_table" [4] {
        /// IN: the domain.
        dom: u16,
        /// OUT: `GNTST_*`.
        status: i16,
    }

    /// Element of [`TRANSFER`].
    struct Transfer: "struct gnttab_transfer" [24] {
        /// IN: the frame.
        mfn: u64,
        /// IN: the domain that gets it.
        domid: u16,
        _pad0: u16,
        /// IN: that domain's reference.
        ref_: u32 as "ref",
        /// OUT: `GNTST_*`.
        status: i16,
        _pad1: [u8; 6],
    }

    /// One end of a copy.
    struct CopyPtr: "struct gnttab_copy_ptr" [16] {
        /// A 32-bit reference or a frame of `domid`, by `GNTCOPY_*`.
        u: u64,
        /// The domain that granted, or whose frame it is.
        domid: u16,
        /// First byte in the page.
        offset: u16,
        _pad: [u8; 4],
    }

    /// Element of [`COPY`].
    struct Copy: "struct gnttab_copy" [40] {
        /// IN: from where.
        source: CopyPtr,
        /// IN: to where.
        dest: CopyPtr,
        /// IN: bytes.
        len: u16,
        /// IN: `GNTCOPY_*`.
        flags: u16,
        /// OUT: `GNTST_*`.
        status: i16,
        _pad: [u8; 2],
    }

    /// Argument of [`QUERY_SIZE`].
    struct QuerySize: "struct gnttab_query_size" [16] {
        /// IN: the domain.
        dom: u16,
        _pad0: u16,
        /// OUT: frames of the table.
        nr_frames: u32,
        /// OUT: frames that it may grow to.
        max_nr_frames: u32,
        /// OUT: `GNTST_*`.
        status: i16,
        _pad1: u16,
    }

    /// Element of [`UNMAP_AND_REPLACE`].
    struct UnmapAndReplace: "struct gnttab_unmap_and_replace" [24] {
        /// IN: where it was mapped.
        host_addr: u64,
        /// IN: address whose mapping moves there.
        new_addr: u64,
        /// IN: the mapping.
        handle: u32,
        /// OUT: `GNTST_*`.
        status: i16,
        _pad: [u8; 2],
    }

    /// Argument of [`SET_VERSION`].
    struct SetVersion: "struct gnttab_set_version" [4] {
        /// IN: 1 or 2. OUT: the version in use.
        version: u32,
    }

    /// Argument of [`GET_STATUS_FRAMES`].
    struct GetStatusFrames: "struct gnttab_get_status_frames" [16] {
        /// IN: frames to list.
        nr_frames: u32,
        /// IN: the domain.
        dom: u16,
        /// OUT: `GNTST_*`.
        status: i16,
        /// OUT: handle of 64-bit frame numbers.
        frame_list: u64,
    }

    /// Argument of [`GET_VERSION`].
    struct GetVersion: "struct gnttab_get_version" [8] {
        /// IN: the domain.
        dom: u16,
        /// Unused.
        pad: u16,
        /// OUT: 1 or 2.
        version: u32,
    }

    /// Element of [`SWAP_GRANT_REF`].
    struct SwapGrantRef: "struct gnttab_swap_grant_ref" [12] {
        /// IN: one reference.
        ref_a: u32,
        /// IN: the other.
        ref_b: u32,
        /// OUT: `GNTST_*`.
        status: i16,
        _pad: u16,
    }

    /// Element of [`CACHE_FLUSH`].
    struct CacheFlush: "struct gnttab_cache_flush" [16] {
        /// IN: a device address, or a 32-bit reference by [`CACHE_SOURCE_GREF`].
        a: u64,
        /// IN: first byte in the page.
        offset: u16,
        /// IN: bytes.
        length: u16,
        /// IN: `CACHE_*`.
        op: u32,
    }
}

/// What 32-bit guests lay out differently; the other structures are the same.
pub(crate) mod compat {
    layouts! {
        /// Argument of [`super::SETUP_TABLE`].
        struct SetupTable: "struct gnttab_setup_table" [16] {
            /// IN: the domain.
            dom: u16,
            _pad0: u16,
            /// IN: frames that the table shall have at least.
            nr_frames: u32,
            /// OUT: `GNTST_*`.
            status: i16,
            _pad1: [u8; 2],
            /// OUT: handle of `nr_frames` 32-bit frame numbers.
            frame_list: u32,
        }

        /// Element of [`super::TRANSFER`].
        struct Transfer: "struct gnttab_transfer" [16] {
            /// IN: the frame.
            mfn: u32,
            /// IN: the domain that gets it.
            domid: u16,
            _pad0: u16,
            /// IN: that domain's reference.
            ref_: u32 as "ref",
            /// OUT: `GNTST_*`.
            status: i16,
            _pad1: [u8; 2],
        }

        /// One end of a copy.
        struct CopyPtr: "struct gnttab_copy_ptr" [8] {
            /// A reference or a frame of `domid`, by `GNTCOPY_*`.
            u: u32,
            /// The domain that granted, or whose frame it is.
            domid: u16,
            /// First byte in the page.
            offset: u16,
        }

        /// Element of [`super::COPY`].
        struct Copy: "struct gnttab_copy" [24] {
            /// IN: from where.
            source: CopyPtr,
            /// IN: to where.
            dest: CopyPtr,
            /// IN: bytes.
            len: u16,
            /// IN: `GNTCOPY_*`.
            flags: u16,
            /// OUT: `GNTST_*`.
            status: i16,
            _pad: [u8; 2],
        }

        /// Argument of [`super::GET_STATUS_FRAMES`].
        struct GetStatusFrames: "struct gnttab_get_status_frames" [12] {
            /// IN: frames to list.
            nr_frames: u32,
            /// IN: the domain.
            dom: u16,
            /// OUT: `GNTST_*`.
            status: i16,
            /// OUT: handle of 64-bit frame numbers.
            frame_list: u32,
        }
    }

    widen! {
        SetupTable { dom, nr_frames, status, frame_list }
        Transfer { mfn, domid, ref_, status }
        CopyPtr { u, domid, offset }
        Copy { source, dest, len, flags, status }
        GetStatusFrames { nr_frames, dom, status, frame_list }
    }
}
