// SPDX-License-Identifier: GPL-2.0-only

//! The tools' device `/dev/xen/privcmd` (`xen/sys/privcmd.h`). A guest does not see it.

numbers! {
    "IOCTL_PRIVCMD_" u32 [name] {
        /// Issues a hypercall, with a [`Hypercall`]; returns what it returned.
        HYPERCALL = 0x30_5000, "HYPERCALL";
        /// PV: maps machine frames.
        MMAP = 0x10_5002, "MMAP";
        /// Maps guest frames, with an [`MmapBatch`].
        MMAPBATCH = 0x18_5003, "MMAPBATCH";
        /// Maps guest frames, with an [`MmapBatchV2`].
        MMAPBATCH_V2 = 0x20_5004, "MMAPBATCH_V2";
        /// Issues a device model operation, with a [`DmOp`].
        DM_OP = 0x10_5005, "DM_OP";
        /// Restricts the file to a domain, with a 16-bit domain.
        RESTRICT = 0x02_5006, "RESTRICT";
        /// Maps a resource, with an [`MmapResource`].
        MMAP_RESOURCE = 0x20_5007, "MMAP_RESOURCE";
        /// Tells a PCI device's interrupt, with a [`PcidevGetGsi`].
        PCIDEV_GET_GSI = 0x08_500a, "PCIDEV_GET_GSI";
        /// Must fail; tells what an unknown operation fails with.
        UNIMPLEMENTED = 0x00_50ff, "UNIMPLEMENTED";
    }
    "PRIVCMD_MMAPBATCH_" u64 [] {
        /// [`MmapBatch`]: added to a frame that could not be mapped.
        MMAPBATCH_MFN_ERROR = 0xf000_0000, "MFN_ERROR";
        /// [`MmapBatch`]: added to a frame that is paged out.
        MMAPBATCH_PAGED_ERROR = 0x8000_0000, "PAGED_ERROR";
    }
}

/// Linux: the most buffers of a [`DmOp`].
pub(crate) const DM_OP_MAX_NUM: u16 = 16;
/// Linux: the most bytes of a [`DmOpBuf`].
pub(crate) const DM_OP_BUF_MAX_SIZE: u64 = 4096;

layouts! {
    /// Payload of [`HYPERCALL`].
    struct Hypercall: "struct privcmd_hypercall" [48] {
        /// Its number.
        op: u64,
        /// Its arguments.
        arg: [u64; 5],
    }

    /// Payload of [`MMAPBATCH`].
    struct MmapBatch: "struct privcmd_mmapbatch" [24] {
        /// Pages.
        num: i32,
        /// The domain.
        dom: u16,
        _pad: u16,
        /// Where to map.
        addr: u64,
        /// Handle of 64-bit guest frames; errors are added to them.
        arr: u64,
    }

    /// Payload of [`MMAPBATCH_V2`].
    struct MmapBatchV2: "struct privcmd_mmapbatch_v2" [32] {
        /// Pages.
        num: u32,
        /// The domain.
        dom: u16,
        _pad: u16,
        /// Where to map.
        addr: u64,
        /// IN: handle of 64-bit guest frames.
        arr: u64,
        /// OUT: handle of 32-bit negative error numbers, 0 for mapped.
        err: u64,
    }

    /// A buffer of a device model operation.
    struct DmOpBuf: "struct privcmd_dm_op_buf" [16] {
        /// Where it is.
        uptr: u64,
        /// Its bytes.
        size: u64,
    }

    /// Payload of [`DM_OP`].
    struct DmOp: "struct privcmd_dm_op" [16] {
        /// The domain.
        dom: u16,
        /// Buffers.
        num: u16,
        _pad: u32,
        /// Handle of [`DmOpBuf`]s.
        ubufs: u64,
    }

    /// Payload of [`MMAP_RESOURCE`].
    struct MmapResource: "struct privcmd_mmap_resource" [32] {
        /// The domain.
        dom: u16,
        _pad: u16,
        /// One of `RESOURCE_*` of [`super::memory`].
        type_: u32 as "type",
        /// Which one of that kind.
        id: u32,
        /// The first frame.
        idx: u32,
        /// Frames. OUT, with it and `addr` 0: frames that there are.
        num: u64,
        /// Where to map.
        addr: u64,
    }

    /// Payload of [`PCIDEV_GET_GSI`].
    struct PcidevGetGsi: "struct privcmd_pcidev_get_gsi" [8] {
        /// IN: segment 16-31, bus 8-15, device 3-7, function 0-2.
        sbdf: u32,
        /// OUT: the interrupt.
        gsi: u32,
    }
}

/// What Linux's own header (`xen/privcmd.h`) adds, for device models that serve virtio.
pub(crate) mod linux {
    numbers! {
        "IOCTL_PRIVCMD_" u32 [name] {
            /// Lets an eventfd issue a device model operation, with an [`Irqfd`].
            IRQFD = 0x4018_5008, "IRQFD";
            /// Lets a guest's write raise an eventfd, with an [`Ioeventfd`].
            IOEVENTFD = 0x4030_5009, "IOEVENTFD";
        }
        "PRIVCMD_" u32 [] {
            /// [`Irqfd`]: undoes it.
            IRQFD_FLAG_DEASSIGN = 1 << 0, "IRQFD_FLAG_DEASSIGN";
            /// [`Ioeventfd`]: undoes it.
            IOEVENTFD_FLAG_DEASSIGN = 1 << 0, "IOEVENTFD_FLAG_DEASSIGN";
        }
    }

    layouts! {
        /// Payload of [`IRQFD`].
        struct Irqfd: "struct privcmd_irqfd" [24] {
            /// Handle of the operation.
            dm_op: u64,
            /// Its bytes.
            size: u32,
            /// The eventfd.
            fd: u32,
            /// [`IRQFD_FLAG_DEASSIGN`].
            flags: u32,
            /// The domain.
            dom: u16,
            /// Unused.
            pad: [u8; 2],
        }

        /// Payload of [`IOEVENTFD`].
        struct Ioeventfd: "struct privcmd_ioeventfd" [48] {
            /// Handle of the page of requests.
            ioreq: u64,
            /// Handle of the virtual CPUs' 32-bit ports.
            ports: u64,
            /// The guest-physical address.
            addr: u64,
            /// Bytes that are written.
            addr_len: u32,
            /// The eventfd.
            event_fd: u32,
            /// Virtual CPUs.
            vcpus: u32,
            /// The virtio queue.
            vq: u32,
            /// [`IOEVENTFD_FLAG_DEASSIGN`].
            flags: u32,
            /// The domain.
            dom: u16,
            /// Unused.
            pad: [u8; 2],
        }
    }
}
