// SPDX-License-Identifier: GPL-2.0-only

//! `physdev_op`: physical devices and their interrupts (`xen/physdev.h`).

numbers! {
    "PHYSDEVOP_" u32 [name] {
        /// Ends the interrupts that were unmasked; no argument.
        IRQ_UNMASK_NOTIFY = 4, "IRQ_UNMASK_NOTIFY";
        /// Tells about an interrupt, with an [`IrqStatusQuery`].
        IRQ_STATUS_QUERY = 5, "irq_status_query";
        /// PV: sets IOPL.
        SET_IOPL = 6, "set_iopl";
        /// PV: sets the port bitmap.
        SET_IOBITMAP = 7, "set_iobitmap";
        /// PV: reads an I/O APIC.
        APIC_READ = 8, "apic_read";
        /// PV: writes an I/O APIC.
        APIC_WRITE = 9, "apic_write";
        /// PV: allocates a vector.
        ALLOC_IRQ_VECTOR = 10, "alloc_irq_vector";
        /// PV: frees a vector.
        FREE_IRQ_VECTOR = 11, "free_irq_vector";
        /// Ends an interrupt, with an [`Eoi`].
        EOI = 12, "eoi";
        /// Makes an interrupt a physical interrupt of a domain, with a [`MapPirq`].
        MAP_PIRQ = 13, "map_pirq";
        /// Undoes that, with an [`UnmapPirq`].
        UNMAP_PIRQ = 14, "unmap_pirq";
        /// Says that there is a PCI device.
        MANAGE_PCI_ADD = 15, "manage_pci_add";
        /// Says that a PCI device has gone.
        MANAGE_PCI_REMOVE = 16, "manage_pci_remove";
        /// PV: sets the page of bits that say which interrupts need an end.
        PIRQ_EOI_GMFN_V1 = 17, "pirq_eoi_gmfn_v1";
        /// Restores messages after sleep.
        RESTORE_MSI = 19, "restore_msi";
        /// Says that there is a PCI function.
        MANAGE_PCI_ADD_EXT = 20, "manage_pci_add_ext";
        /// Sets up a global interrupt, with a [`SetupGsi`].
        SETUP_GSI = 21, "setup_gsi";
        /// Finds a free physical interrupt, with a [`GetFreePirq`].
        GET_FREE_PIRQ = 23, "get_free_pirq";
        /// Says where PCI configuration space is.
        PCI_MMCFG_RESERVED = 24, "pci_mmcfg_reserved";
        /// Says that there is a PCI function, with its segment.
        PCI_DEVICE_ADD = 25, "pci_device_add";
        /// Says that a PCI function has gone, with a [`PciDevice`].
        PCI_DEVICE_REMOVE = 26, "pci_device_remove";
        /// Restores messages after sleep, with a [`PciDevice`].
        RESTORE_MSI_EXT = 27, "restore_msi_ext";
        /// PV: as version 1, with ends done by unmasking.
        PIRQ_EOI_GMFN_V2 = 28, "pirq_eoi_gmfn_v2";
        /// Says that a debug port is reset.
        DBGP_OP = 29, "dbgp_op";
        /// Reserves MSI-X resources, with a [`PciDevice`].
        PREPARE_MSIX = 30, "prepare_msix";
        /// Releases MSI-X resources, with a [`PciDevice`].
        RELEASE_MSIX = 31, "release_msix";
        /// Says that a PCI function was reset.
        PCI_DEVICE_RESET = 32, "pci_device_reset";
    }
    "MAP_PIRQ_TYPE_" i32 [] {
        /// Map: a message.
        MAP_PIRQ_TYPE_MSI = 0, "MSI";
        /// Map: a global interrupt.
        MAP_PIRQ_TYPE_GSI = 1, "GSI";
        /// Map: unknown.
        MAP_PIRQ_TYPE_UNKNOWN = 2, "UNKNOWN";
        /// Map: a message, with a segment.
        MAP_PIRQ_TYPE_MSI_SEG = 3, "MSI_SEG";
        /// Map: several messages.
        MAP_PIRQ_TYPE_MULTI_MSI = 4, "MULTI_MSI";
    }
    "XENIRQSTAT_" u32 [] {
        /// The interrupt needs an end.
        IRQSTAT_NEEDS_EOI = 1 << 0, "needs_eoi";
        /// The interrupt is shared.
        IRQSTAT_SHARED = 1 << 1, "shared";
    }
}

layouts! {
    /// Argument of [`EOI`].
    struct Eoi: "struct physdev_eoi" [4] {
        /// The physical interrupt.
        irq: u32,
    }

    /// Argument of [`IRQ_STATUS_QUERY`].
    struct IrqStatusQuery: "struct physdev_irq_status_query" [8] {
        /// IN: the physical interrupt.
        irq: u32,
        /// OUT: `IRQSTAT_*`.
        flags: u32,
    }

    /// Argument of [`MAP_PIRQ`].
    struct MapPirq: "struct physdev_map_pirq" [40] {
        /// IN: the domain.
        domid: u16,
        _pad0: u16,
        /// IN: one of `MAP_PIRQ_TYPE_*`.
        type_: i32 as "type",
        /// IN: the interrupt; -1 for messages.
        index: i32,
        /// IN: the physical interrupt; -1 for any. OUT: it.
        pirq: i32,
        /// IN: bus, and segment above bit 16.
        bus: i32,
        /// IN: device and function.
        devfn: i32,
        /// IN: which message. OUT: how many.
        entry_nr: i32,
        _pad1: u32,
        /// IN: where the MSI-X table is.
        table_base: u64,
    }

    /// Argument of [`UNMAP_PIRQ`].
    struct UnmapPirq: "struct physdev_unmap_pirq" [8] {
        /// The domain.
        domid: u16,
        _pad: u16,
        /// The physical interrupt.
        pirq: i32,
    }

    /// Argument of [`SETUP_GSI`].
    struct SetupGsi: "struct physdev_setup_gsi" [8] {
        /// The global interrupt.
        gsi: i32,
        /// 1 for level.
        triggering: u8,
        /// 1 for low.
        polarity: u8,
        _pad: u16,
    }

    /// Argument of [`GET_FREE_PIRQ`].
    struct GetFreePirq: "struct physdev_get_free_pirq" [8] {
        /// IN: one of `MAP_PIRQ_TYPE_*`.
        type_: i32 as "type",
        /// OUT: the physical interrupt.
        pirq: u32,
    }

    /// A PCI function.
    struct PciDevice: "struct physdev_pci_device" [4] {
        /// Segment.
        seg: u16,
        /// Bus.
        bus: u8,
        /// Device and function.
        devfn: u8,
    }
}

/// What 32-bit guests lay out differently.
pub(crate) mod compat {
    use crate::abi::layout::U64A4;

    layouts! {
        /// Argument of [`super::MAP_PIRQ`].
        struct MapPirq: "struct physdev_map_pirq" [36] {
            /// IN: the domain.
            domid: u16,
            _pad0: u16,
            /// IN: one of `MAP_PIRQ_TYPE_*`.
            type_: i32 as "type",
            /// IN: the interrupt; -1 for messages.
            index: i32,
            /// IN: the physical interrupt; -1 for any. OUT: it.
            pirq: i32,
            /// IN: bus, and segment above bit 16.
            bus: i32,
            /// IN: device and function.
            devfn: i32,
            /// IN: which message. OUT: how many.
            entry_nr: i32,
            /// IN: where the MSI-X table is.
            table_base: U64A4,
        }
    }

    widen! {
        MapPirq { domid, type_, index, pirq, bus, devfn, entry_nr, table_base }
    }
}
