// SPDX-License-Identifier: GPL-2.0-only

//! What a PVH guest finds at its entry (`xen/arch-x86/hvm/start_info.h`).

numbers! {
    "XEN_HVM_" u32 [] {
        /// [`StartInfo`]'s magic number.
        START_MAGIC_VALUE = 0x336e_c578, "START_MAGIC_VALUE";
        /// Memory map: RAM.
        MEMMAP_TYPE_RAM = 1, "MEMMAP_TYPE_RAM";
        /// Memory map: keep off.
        MEMMAP_TYPE_RESERVED = 2, "MEMMAP_TYPE_RESERVED";
        /// Memory map: ACPI tables.
        MEMMAP_TYPE_ACPI = 3, "MEMMAP_TYPE_ACPI";
        /// Memory map: to be kept over sleep.
        MEMMAP_TYPE_NVS = 4, "MEMMAP_TYPE_NVS";
        /// Memory map: broken.
        MEMMAP_TYPE_UNUSABLE = 5, "MEMMAP_TYPE_UNUSABLE";
        /// Memory map: disabled.
        MEMMAP_TYPE_DISABLED = 6, "MEMMAP_TYPE_DISABLED";
        /// Memory map: persistent.
        MEMMAP_TYPE_PMEM = 7, "MEMMAP_TYPE_PMEM";
    }
}

layouts! {
    /// Where everything is; the guest gets its address in EBX. Addresses are guest-physical.
    struct StartInfo: "struct hvm_start_info" [56] {
        /// [`START_MAGIC_VALUE`].
        magic: u32,
        /// 1.
        version: u32,
        /// `SIF_*` of PV guests.
        flags: u32,
        /// How many modules.
        nr_modules: u32,
        /// Their [`ModlistEntry`]s.
        modlist_paddr: u64,
        /// The command line.
        cmdline_paddr: u64,
        /// The ACPI root pointer.
        rsdp_paddr: u64,
        /// The memory map's [`MemmapTableEntry`]s.
        memmap_paddr: u64,
        /// How many of them.
        memmap_entries: u32,
        /// 0.
        reserved: u32,
    }

    /// One module, such as an initial ram disk.
    struct ModlistEntry: "struct hvm_modlist_entry" [32] {
        /// Where it is.
        paddr: u64,
        /// Its bytes.
        size: u64,
        /// Its command line.
        cmdline_paddr: u64,
        /// 0.
        reserved: u64,
    }

    /// One range of memory.
    struct MemmapTableEntry: "struct hvm_memmap_table_entry" [24] {
        /// Where it starts.
        addr: u64,
        /// Its bytes.
        size: u64,
        /// One of `MEMMAP_TYPE_*`.
        type_: u32 as "type",
        /// 0.
        reserved: u32,
    }
}
