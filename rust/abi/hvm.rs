// SPDX-License-Identifier: GPL-2.0-only

//! `hvm_op`: operations of and on HVM guests (`xen/hvm/hvm_op.h`). No structure differs for 32-bit
//! guests.

pub(crate) mod params;
pub(crate) mod save;
pub(crate) mod start_info;
pub(crate) mod vcpu;

numbers! {
    "HVMOP_" u32 [name] {
        /// Sets a parameter, with an [`HvmParam`].
        SET_PARAM = 0, "set_param";
        /// Gets a parameter, with an [`HvmParam`].
        GET_PARAM = 1, "get_param";
        /// Flushes the TLBs of all virtual CPUs; no argument.
        FLUSH_TLBS = 5, "flush_tlbs";
        /// Says that a page table is about to go, with a [`PagetableDying`].
        PAGETABLE_DYING = 9, "pagetable_dying";
        /// Gets the system time, with a [`GetTime`].
        GET_TIME = 10, "get_time";
        /// Writes a trace record, with an [`Xentrace`].
        XENTRACE = 11, "xentrace";
        /// Replaced by [`super::memory::ACCESS_OP`].
        SET_MEM_ACCESS = 12, "set_mem_access";
        /// Replaced by [`super::memory::ACCESS_OP`].
        GET_MEM_ACCESS = 13, "get_mem_access";
        /// Gets the kind of a guest frame, with a [`GetMemType`].
        GET_MEM_TYPE = 15, "get_mem_type";
        /// Has events raise a vector of the local APIC, with an [`EvtchnUpcallVector`].
        SET_EVTCHN_UPCALL_VECTOR = 23, "set_evtchn_upcall_vector";
        /// Sends the monitor an event; no argument.
        GUEST_REQUEST_VM_EVENT = 24, "guest_request_vm_event";
        /// Alternate views of memory, with an [`Altp2mOp`].
        ALTP2M = 25, "altp2m";
    }
    "HVMMEM_" u16 [] {
        /// RAM.
        MEM_RAM_RW = 0, "ram_rw";
        /// RAM that the guest cannot write.
        MEM_RAM_RO = 1, "ram_ro";
        /// The device model's.
        MEM_MMIO_DM = 2, "mmio_dm";
        /// RAM whose accesses go to an I/O request server.
        MEM_IOREQ_SERVER = 4, "ioreq_server";
    }
    "HVMOP_altp2m_" u32 [altp2m_name] {
        /// Tells whether views are enabled.
        ALTP2M_GET_DOMAIN_STATE = 1, "get_domain_state";
        /// Enables or disables views.
        ALTP2M_SET_DOMAIN_STATE = 2, "set_domain_state";
        /// Delivers violations to the guest.
        ALTP2M_VCPU_ENABLE_NOTIFY = 3, "vcpu_enable_notify";
        /// Makes a view.
        ALTP2M_CREATE_P2M = 4, "create_p2m";
        /// Removes a view.
        ALTP2M_DESTROY_P2M = 5, "destroy_p2m";
        /// Switches all virtual CPUs to a view.
        ALTP2M_SWITCH_P2M = 6, "switch_p2m";
        /// Sets access rights in a view.
        ALTP2M_SET_MEM_ACCESS = 7, "set_mem_access";
        /// Shows another frame in a view.
        ALTP2M_CHANGE_GFN = 8, "change_gfn";
        /// Sets access rights by lists.
        ALTP2M_SET_MEM_ACCESS_MULTI = 9, "set_mem_access_multi";
        /// Sets the suppression of #VE.
        ALTP2M_SET_SUPPRESS_VE = 10, "set_suppress_ve";
        /// Gets the suppression of #VE.
        ALTP2M_GET_SUPPRESS_VE = 11, "get_suppress_ve";
        /// Gets access rights in a view.
        ALTP2M_GET_MEM_ACCESS = 12, "get_mem_access";
        /// No longer delivers violations to the guest.
        ALTP2M_VCPU_DISABLE_NOTIFY = 13, "vcpu_disable_notify";
        /// Gets the view of a virtual CPU.
        ALTP2M_GET_P2M_IDX = 14, "get_p2m_idx";
        /// Sets the suppression of #VE of a range.
        ALTP2M_SET_SUPPRESS_VE_MULTI = 15, "set_suppress_ve_multi";
        /// Lets the guest switch to a view, or not.
        ALTP2M_SET_VISIBILITY = 16, "set_visibility";
    }
    "HVMOP_" u32 [] {
        /// [`Altp2mOp`]'s version.
        ALTP2M_INTERFACE_VERSION = 1, "ALTP2M_INTERFACE_VERSION";
    }
}

layouts! {
    /// Argument of [`SET_PARAM`] and [`GET_PARAM`].
    struct HvmParam: "struct xen_hvm_param" [16] {
        /// IN: the domain.
        domid: u16,
        /// Unused.
        pad: u16,
        /// IN: one of [`params`].
        index: u32,
        /// The value.
        value: u64,
    }

    /// Argument of [`PAGETABLE_DYING`].
    struct PagetableDying: "struct xen_hvm_pagetable_dying" [16] {
        /// The domain.
        domid: u16,
        /// Unused.
        pad: [u16; 3],
        /// Guest-physical address of the top table.
        gpa: u64,
    }

    /// Result of [`GET_TIME`].
    struct GetTime: "struct xen_hvm_get_time" [8] {
        /// Nanoseconds since the system started.
        now: u64,
    }

    /// Argument of [`XENTRACE`].
    struct Xentrace: "struct xen_hvm_xentrace" [32] {
        /// The event.
        event: u16,
        /// Bytes that follow.
        extra_bytes: u16,
        /// The bytes.
        extra: [u8; 28],
    }

    /// Argument of [`GET_MEM_TYPE`].
    struct GetMemType: "struct xen_hvm_get_mem_type" [16] {
        /// IN: the domain.
        domid: u16,
        /// OUT: one of `MEM_*`.
        mem_type: u16,
        /// Unused.
        pad: [u16; 2],
        /// IN: the guest frame.
        pfn: u64,
    }

    /// Argument of [`SET_EVTCHN_UPCALL_VECTOR`].
    struct EvtchnUpcallVector: "struct xen_hvm_evtchn_upcall_vector" [8] {
        /// The virtual CPU.
        vcpu: u32,
        /// The vector; at least 16.
        vector: u8,
        _pad: [u8; 3],
    }

    /// Argument of [`ALTP2M`].
    struct Altp2mOp: "struct xen_hvm_altp2m_op" [80] {
        /// IN: [`ALTP2M_INTERFACE_VERSION`].
        version: u32,
        /// IN: one of `ALTP2M_*`.
        cmd: u32,
        /// IN: the domain.
        domain: u16,
        /// Must be 0.
        pad1: u16,
        /// Must be 0.
        pad2: u32,
        /// What depends on the command.
        u: [u8; 64],
    }
}
