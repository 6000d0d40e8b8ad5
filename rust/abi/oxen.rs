// SPDX-License-Identifier: GPL-2.0-only

//! What is ours and not Xen's (`include/uapi/oxen/`).

numbers! {
    "OXEN_" u32 [name] {
        /// Tells a domain's runstate policy, in a [`RunstatePolicy`].
        GET_RUNSTATE_POLICY = 0xc004_4f00, "GET_RUNSTATE_POLICY";
        /// Chooses a domain's runstate policy, with a [`RunstatePolicy`].
        SET_RUNSTATE_POLICY = 0x4004_4f01, "SET_RUNSTATE_POLICY";
    }
    "OXEN_" u16 [] {
        /// Areas that are given by linear address are translated once, when they are registered.
        RUNSTATE_VA_ONCE = 0, "RUNSTATE_VA_ONCE";
        /// They are translated at each update, as Xen does.
        RUNSTATE_VA_WALK = 1, "RUNSTATE_VA_WALK";
    }
    "OXEN_" u32 [] {
        /// Mode of [`VM_EVENT_OP`](super::domctl::VM_EVENT_OP): a slot for each vCPU.
        VM_EVENT_SLOTS = 0x4f00_0002, "VM_EVENT_SLOTS";
        /// Type of a resource: the slots' pages.
        RESOURCE_MONITOR_SLOTS = 0x4f00, "RESOURCE_MONITOR_SLOTS";
        /// Slot: there is no message.
        SLOT_IDLE = 0, "SLOT_IDLE";
        /// Slot: an event for the monitor.
        SLOT_EVENT = 1, "SLOT_EVENT";
        /// Slot: its answer.
        SLOT_ANSWER = 2, "SLOT_ANSWER";
    }
}

layouts! {
    /// The first bytes of a slot's page.
    struct MonitorSlot: "struct oxen_monitor_slot" [464] {
        /// One of `SLOT_*`.
        state: u32,
        /// The event channel of the vCPU.
        port: u32,
        /// The monitor looks at the slot all the time.
        polls: u32,
        /// The hypervisor wants to be told of an answer.
        waits: u32,
        _reserved: [u32; 12] as "reserved",
        /// A [`VmEvent`](super::vm_event::VmEvent).
        message: [u8; 400],
    }

    /// A domain's policy.
    struct RunstatePolicy: "struct oxen_runstate_policy" [4] {
        /// The domain.
        domid: u16,
        /// One of `RUNSTATE_VA_*`.
        runstate_va: u16,
    }
}
