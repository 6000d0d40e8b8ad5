// SPDX-License-Identifier: GPL-2.0-only

//! `platform_op`: operations of the hardware domain on the machine (`xen/platform.h`).

numbers! {
    "" u32 [] {
        /// What a caller must speak.
        INTERFACE_VERSION = 0x0300_0001, "XENPF_INTERFACE_VERSION";
    }
    "XENPF_" u32 [name] {
        /// Sets the wall clock, 32-bit seconds.
        SETTIME32 = 17, "settime32";
        /// Adds a memory type range.
        ADD_MEMTYPE = 31, "add_memtype";
        /// Removes a memory type range.
        DEL_MEMTYPE = 32, "del_memtype";
        /// Reads a memory type range.
        READ_MEMTYPE = 33, "read_memtype";
        /// Loads microcode.
        MICROCODE_UPDATE = 35, "microcode_update";
        /// Works around a machine.
        PLATFORM_QUIRK = 39, "platform_quirk";
        /// Tells a CPU's version.
        GET_CPU_VERSION = 48, "get_cpu_version";
        /// Calls the firmware.
        EFI_RUNTIME_CALL = 49, "efi_runtime_call";
        /// Tells about the firmware.
        FIRMWARE_INFO = 50, "firmware_info";
        /// Sends the machine to sleep.
        ENTER_ACPI_SLEEP = 51, "enter_acpi_sleep";
        /// Says that a CPU's frequency changed.
        CHANGE_FREQ = 52, "change_freq";
        /// Tells idle times.
        GETIDLETIME = 53, "getidletime";
        /// Passes on power states.
        SET_PROCESSOR_PMINFO = 54, "set_processor_pminfo";
        /// Tells about a CPU, with a [`PcpuInfo`].
        GET_CPUINFO = 55, "get_cpuinfo";
        /// Switches a CPU on, with a [`CpuOl`].
        CPU_ONLINE = 56, "cpu_online";
        /// Switches a CPU off, with a [`CpuOl`].
        CPU_OFFLINE = 57, "cpu_offline";
        /// Adds a CPU.
        CPU_HOTADD = 58, "cpu_hotadd";
        /// Adds memory.
        MEM_HOTADD = 59, "mem_hotadd";
        /// Parks CPUs.
        CORE_PARKING = 60, "core_parking";
        /// Reads and writes registers, with a [`ResourceOp`].
        RESOURCE_OP = 61, "resource_op";
        /// Sets the wall clock, 64-bit seconds.
        SETTIME64 = 62, "settime64";
        /// Lists symbols, with a [`Symdata`].
        GET_SYMBOL = 63, "get_symbol";
        /// Tells about the screen.
        GET_DOM0_CONSOLE = 64, "get_dom0_console";
        /// Tells the microcode's revision, with a [`UcodeRevision`].
        GET_UCODE_REVISION = 65, "get_ucode_revision";
        /// Loads microcode, with flags.
        MICROCODE_UPDATE2 = 66, "microcode_update2";
    }
    "XEN_RESOURCE_OP_" u32 [] {
        /// Reads a model-specific register.
        RESOURCE_OP_MSR_READ = 0, "MSR_READ";
        /// Writes a model-specific register.
        RESOURCE_OP_MSR_WRITE = 1, "MSR_WRITE";
    }
    "XEN_PCPU_FLAGS_" u32 [] {
        /// The CPU is online.
        PCPU_FLAGS_ONLINE = 1, "ONLINE";
        /// There is no such CPU.
        PCPU_FLAGS_INVALID = 2, "INVALID";
    }
}

layouts! {
    /// Any platform operation.
    struct XenPlatformOp: "struct xen_platform_op" [136] {
        /// The operation.
        cmd: u32,
        /// [`INTERFACE_VERSION`].
        interface_version: u32,
        /// The payload, for [`super::layout::payload`].
        u: [u8; 128],
    }

    /// Payload of [`GET_CPUINFO`].
    struct PcpuInfo: "struct xenpf_pcpuinfo" [20] {
        /// IN: the CPU.
        xen_cpuid: u32,
        /// OUT: the greatest CPU.
        max_present: u32,
        /// OUT: `PCPU_FLAGS_*`.
        flags: u32,
        /// OUT: its APIC id.
        apic_id: u32,
        /// OUT: its ACPI id.
        acpi_id: u32,
    }

    /// Payload of [`CPU_ONLINE`] and [`CPU_OFFLINE`].
    struct CpuOl: "struct xenpf_cpu_ol" [4] {
        /// The CPU.
        cpuid: u32,
    }

    /// Element of [`RESOURCE_OP`].
    struct ResourceEntry: "struct xenpf_resource_entry" [24] {
        /// IN: one of `RESOURCE_OP_*`. OUT: a negative error number or 0.
        cmd: u32 as "u.cmd",
        /// Must be 0.
        rsvd: u32,
        /// The register.
        idx: u64,
        /// Its value.
        val: u64,
    }

    /// Payload of [`RESOURCE_OP`]; the operation returns how many elements were done.
    struct ResourceOp: "struct xenpf_resource_op" [16] {
        /// Elements.
        nr_entries: u32,
        /// The CPU to do them on.
        cpu: u32,
        /// Handle of [`ResourceEntry`]s.
        entries: u64,
    }

    /// Payload of [`GET_SYMBOL`].
    struct Symdata: "struct xenpf_symdata" [32] {
        /// IN: room. OUT: bytes of the name.
        namelen: u32,
        /// IN: which symbol. OUT: the next one.
        symnum: u32,
        /// Handle of the name.
        name: u64,
        /// OUT: its address.
        address: u64,
        /// OUT: its kind, a letter as in `nm`.
        type_: u8 as "type",
        _pad: [u8; 7],
    }

    /// Payload of [`GET_UCODE_REVISION`].
    struct UcodeRevision: "struct xenpf_ucode_revision" [16] {
        /// IN: the CPU.
        cpu: u32,
        /// OUT: its signature.
        signature: u32,
        /// OUT: its platform.
        pf: u32,
        /// OUT: the revision.
        revision: u32,
    }
}
