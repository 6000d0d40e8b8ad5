// SPDX-License-Identifier: GPL-2.0-only

//! Notes in a guest kernel's ELF file (`xen/elfnote.h`), under the name "Xen".

numbers! {
    "XEN_ELFNOTE_" u32 [name] {
        /// Text of settings.
        INFO = 0, "INFO";
        /// PV: virtual address of the entry.
        ENTRY = 1, "ENTRY";
        /// Virtual address of the hypercall page.
        HYPERCALL_PAGE = 2, "HYPERCALL_PAGE";
        /// PV: virtual base.
        VIRT_BASE = 3, "VIRT_BASE";
        /// PV: what to subtract from physical addresses.
        PADDR_OFFSET = 4, "PADDR_OFFSET";
        /// Text: the version of Xen it wants.
        XEN_VERSION = 5, "XEN_VERSION";
        /// Text: the system.
        GUEST_OS = 6, "GUEST_OS";
        /// Text: its version.
        GUEST_VERSION = 7, "GUEST_VERSION";
        /// Text: how to load it.
        LOADER = 8, "LOADER";
        /// PV: PAE.
        PAE_MODE = 9, "PAE_MODE";
        /// Text: features it wants.
        FEATURES = 10, "FEATURES";
        /// PV: whether to load symbols.
        BSD_SYMTAB = 11, "BSD_SYMTAB";
        /// PV: lowest address for the hypervisor.
        HV_START_LOW = 12, "HV_START_LOW";
        /// PV: masks of page table entries.
        L1_MFN_VALID = 13, "L1_MFN_VALID";
        /// Whether suspending can be cancelled.
        SUSPEND_CANCEL = 14, "SUSPEND_CANCEL";
        /// PV: where its frame list goes.
        INIT_P2M = 15, "INIT_P2M";
        /// PV: modules by frame.
        MOD_START_PFN = 16, "MOD_START_PFN";
        /// Bits of features it can use.
        SUPPORTED_FEATURES = 17, "SUPPORTED_FEATURES";
        /// PVH: 32-bit physical address of the entry.
        PHYS32_ENTRY = 18, "PHYS32_ENTRY";
        /// PVH: whether and where it may be loaded elsewhere.
        PHYS32_RELOC = 19, "PHYS32_RELOC";
        /// In a crash dump: about the machine.
        CRASH_INFO = 0x100_0001, "CRASH_INFO";
        /// In a crash dump: registers.
        CRASH_REGS = 0x100_0002, "CRASH_REGS";
        /// In a domain's dump: nothing.
        DUMPCORE_NONE = 0x200_0000, "DUMPCORE_NONE";
        /// In a domain's dump: its header.
        DUMPCORE_HEADER = 0x200_0001, "DUMPCORE_HEADER";
        /// In a domain's dump: the version of Xen.
        DUMPCORE_XEN_VERSION = 0x200_0002, "DUMPCORE_XEN_VERSION";
        /// In a domain's dump: the version of the format.
        DUMPCORE_FORMAT_VERSION = 0x200_0003, "DUMPCORE_FORMAT_VERSION";
    }
    "XEN_ELFNOTE_" u32 [] {
        /// The greatest of the notes that a kernel carries.
        MAX = 19, "MAX";
    }
}
