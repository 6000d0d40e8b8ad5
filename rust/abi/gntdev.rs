// SPDX-License-Identifier: GPL-2.0-only

//! The tools' devices `/dev/xen/gntdev` and `/dev/xen/gntalloc` (`xen/sys/gntdev.h`,
//! `xen/sys/gntalloc.h`).

numbers! {
    "IOCTL_GNTDEV_" u32 [name] {
        /// Names grants for `mmap`, with a [`MapGrantRef`] and [`GrantRef`]s.
        MAP_GRANT_REF = 0x18_4700, "MAP_GRANT_REF";
        /// Forgets them, with an [`UnmapGrantRef`].
        UNMAP_GRANT_REF = 0x10_4701, "UNMAP_GRANT_REF";
        /// Tells what is mapped at an address, with a [`GetOffsetForVaddr`].
        GET_OFFSET_FOR_VADDR = 0x18_4702, "GET_OFFSET_FOR_VADDR";
        /// Sets a limit, with a [`SetMaxGrants`].
        SET_MAX_GRANTS = 0x04_4703, "SET_MAX_GRANTS";
        /// Says what to do at unmapping, with an [`UnmapNotify`].
        SET_UNMAP_NOTIFY = 0x10_4707, "SET_UNMAP_NOTIFY";
        /// Copies, with a [`GrantCopy`].
        GRANT_COPY = 0x10_4708, "GRANT_COPY";
        /// Makes a DMA buffer of grants.
        DMABUF_EXP_FROM_REFS = 0x14_4709, "DMABUF_EXP_FROM_REFS";
        /// Waits until a DMA buffer is released.
        DMABUF_EXP_WAIT_RELEASED = 0x08_470a, "DMABUF_EXP_WAIT_RELEASED";
        /// Grants a DMA buffer's pages.
        DMABUF_IMP_TO_REFS = 0x14_470b, "DMABUF_IMP_TO_REFS";
        /// Releases such a DMA buffer.
        DMABUF_IMP_RELEASE = 0x08_470c, "DMABUF_IMP_RELEASE";
    }
    "UNMAP_NOTIFY_" u32 [] {
        /// At unmapping: clears the byte at `index`.
        UNMAP_NOTIFY_CLEAR_BYTE = 1, "CLEAR_BYTE";
        /// At unmapping: notifies the port.
        UNMAP_NOTIFY_SEND_EVENT = 2, "SEND_EVENT";
    }
    "IOCTL_GNTALLOC_" u32 [gntalloc_name] {
        /// Grants new pages, with a [`AllocGref`].
        GNTALLOC_ALLOC_GREF = 0x18_4705, "ALLOC_GREF";
        /// Takes them back, with a [`DeallocGref`].
        GNTALLOC_DEALLOC_GREF = 0x10_4706, "DEALLOC_GREF";
        /// Says what to do at unmapping, with an [`UnmapNotify`].
        GNTALLOC_SET_UNMAP_NOTIFY = 0x10_4707, "SET_UNMAP_NOTIFY";
    }
    "GNTALLOC_FLAG_" u16 [] {
        /// The other domain may write.
        GNTALLOC_FLAG_WRITABLE = 1, "WRITABLE";
    }
}

layouts! {
    /// A grant of a domain.
    struct GrantRef: "struct ioctl_gntdev_grant_ref" [8] {
        /// The domain.
        domid: u32,
        /// The reference.
        ref_: u32 as "ref",
    }

    /// Start of the payload of [`MAP_GRANT_REF`]; `count` [`GrantRef`]s follow at byte 16.
    struct MapGrantRef: "struct ioctl_gntdev_map_grant_ref" [16, 24] {
        /// IN: how many.
        count: u32,
        /// Unused.
        pad: u32,
        /// OUT: the offset for `mmap`.
        index: u64,
    }

    /// Payload of [`UNMAP_GRANT_REF`].
    struct UnmapGrantRef: "struct ioctl_gntdev_unmap_grant_ref" [16] {
        /// IN: the offset.
        index: u64,
        /// IN: how many.
        count: u32,
        /// Unused.
        pad: u32,
    }

    /// Payload of [`GET_OFFSET_FOR_VADDR`].
    struct GetOffsetForVaddr: "struct ioctl_gntdev_get_offset_for_vaddr" [24] {
        /// IN: the first address of a mapping.
        vaddr: u64,
        /// OUT: its offset.
        offset: u64,
        /// OUT: its pages.
        count: u32,
        /// Unused.
        pad: u32,
    }

    /// Payload of [`SET_MAX_GRANTS`].
    struct SetMaxGrants: "struct ioctl_gntdev_set_max_grants" [4] {
        /// The limit.
        count: u32,
    }

    /// Payload of [`SET_UNMAP_NOTIFY`] and [`GNTALLOC_SET_UNMAP_NOTIFY`].
    struct UnmapNotify: "struct ioctl_gntdev_unmap_notify" [16] {
        /// Offset of a byte.
        index: u64,
        /// `UNMAP_NOTIFY_*`.
        action: u32,
        /// The port.
        event_channel_port: u32,
    }

    /// Element of [`GrantCopy`]; each end is an address of the caller, or with the flag a
    /// [`ForeignPtr`].
    struct GrantCopySegment: "struct ioctl_gntdev_grant_copy_segment" [24] {
        /// From where.
        source: u64,
        /// To where.
        dest: u64,
        /// Bytes.
        len: u16,
        /// `GNTCOPY_*` of [`super::grant_table`].
        flags: u16,
        /// OUT: `GNTST_*`.
        status: i16,
        _pad: u16,
    }

    /// A place in a granted page.
    struct ForeignPtr:
        "__typeof__(((struct ioctl_gntdev_grant_copy_segment *)0)->source.foreign)" [8] {
        /// The reference.
        ref_: u32 as "ref",
        /// First byte in the page.
        offset: u16,
        /// The domain that granted.
        domid: u16,
    }

    /// Payload of [`GRANT_COPY`].
    struct GrantCopy: "struct ioctl_gntdev_grant_copy" [16] {
        /// How many.
        count: u32,
        _pad: u32,
        /// Handle of [`GrantCopySegment`]s.
        segments: u64,
    }

    /// Start of the payload of [`GNTALLOC_ALLOC_GREF`]; room for `count` 32-bit references follows
    /// at byte 16.
    struct AllocGref: "struct ioctl_gntalloc_alloc_gref" [16, 24] {
        /// IN: the domain that may map.
        domid: u16,
        /// IN: [`GNTALLOC_FLAG_WRITABLE`].
        flags: u16,
        /// IN: pages.
        count: u32,
        /// OUT: the offset for `mmap`.
        index: u64,
    }

    /// Payload of [`GNTALLOC_DEALLOC_GREF`].
    struct DeallocGref: "struct ioctl_gntalloc_dealloc_gref" [16] {
        /// The offset.
        index: u64,
        /// Pages.
        count: u32,
        _pad: u32,
    }
}
