// SPDX-License-Identifier: GPL-2.0-only

//! `vcpu_op`: operations on one virtual CPU (`xen/vcpu.h`).

numbers! {
    "VCPUOP_" u32 [name] {
        /// Sets the first register values; an HVM guest passes a
        /// [`VcpuHvmContext`](super::hvm::vcpu::VcpuHvmContext).
        INITIALISE = 0, "initialise";
        /// Lets the virtual CPU run.
        UP = 1, "up";
        /// Stops it from running.
        DOWN = 2, "down";
        /// Returns 1 if it may run.
        IS_UP = 3, "is_up";
        /// Fills a [`RunstateInfo`].
        GET_RUNSTATE_INFO = 4, "get_runstate_info";
        /// Registers the runstate area by linear address, with a [`RegisterArea`].
        REGISTER_RUNSTATE_MEMORY_AREA = 5, "register_runstate_memory_area";
        /// Starts the periodic timer, with a [`SetPeriodicTimer`].
        SET_PERIODIC_TIMER = 6, "set_periodic_timer";
        /// Stops the periodic timer.
        STOP_PERIODIC_TIMER = 7, "stop_periodic_timer";
        /// Starts the singleshot timer, with a [`SetSingleshotTimer`].
        SET_SINGLESHOT_TIMER = 8, "set_singleshot_timer";
        /// Stops the singleshot timer.
        STOP_SINGLESHOT_TIMER = 9, "stop_singleshot_timer";
        /// Moves the `vcpu_info`, with a [`RegisterVcpuInfo`].
        REGISTER_VCPU_INFO = 10, "register_vcpu_info";
        /// Sends an NMI.
        SEND_NMI = 11, "send_nmi";
        /// Fills a [`GetPhysid`].
        GET_PHYSID = 12, "get_physid";
        /// Registers a `vcpu_time_info` by linear address, with a [`RegisterArea`].
        REGISTER_VCPU_TIME_MEMORY_AREA = 13, "register_vcpu_time_memory_area";
        /// Registers the runstate area by guest-physical address, with a [`RegisterArea`].
        REGISTER_RUNSTATE_PHYS_AREA = 14, "register_runstate_phys_area";
        /// Registers a `vcpu_time_info` by guest-physical address, with a [`RegisterArea`].
        REGISTER_VCPU_TIME_PHYS_AREA = 15, "register_vcpu_time_phys_area";
    }
    "RUNSTATE_" i32 [runstate_name] {
        /// On a physical CPU.
        RUNSTATE_RUNNING = 0, "running";
        /// Would run, but another has the physical CPU.
        RUNSTATE_RUNNABLE = 1, "runnable";
        /// Waits for an event.
        RUNSTATE_BLOCKED = 2, "blocked";
        /// Neither running nor waiting: paused or down.
        RUNSTATE_OFFLINE = 3, "offline";
    }
    "" u64 [] {
        /// Bit of `state_entry_time`: the area is being written.
        RUNSTATE_UPDATE = 1 << 63, "XEN_RUNSTATE_UPDATE";
    }
    "" u32 [] {
        /// Once asked to fail with `ETIME` for a time that has passed; Xen 4.20 ignores it.
        SSHOTTMR_FUTURE = 1 << 0, "VCPU_SSHOTTMR_future";
    }
    "" usize [] {
        /// Runstate area: signed 32-bit state.
        RUNSTATE_STATE = 0, "offsetof(struct vcpu_runstate_info, state)";
        /// Runstate area: 64-bit system time of entering the state, nanoseconds.
        RUNSTATE_STATE_ENTRY_TIME = 8, "offsetof(struct vcpu_runstate_info, state_entry_time)";
        /// Runstate area: 64-bit nanoseconds spent in each of the four states.
        RUNSTATE_TIME = 16, "offsetof(struct vcpu_runstate_info, time)";
        /// Runstate area: bytes.
        RUNSTATE_SIZE = 48, "sizeof(struct vcpu_runstate_info)";
    }
}

layouts! {
    /// Where a virtual CPU spent its time.
    struct RunstateInfo: "struct vcpu_runstate_info" [48] {
        /// One of `RUNSTATE_*`.
        state: i32,
        _pad: u32,
        /// System time of entering the state, nanoseconds; see [`RUNSTATE_UPDATE`].
        state_entry_time: u64,
        /// Nanoseconds spent in each state.
        time: [u64; 4],
    }

    /// Where an area is: a linear or a guest-physical address, by operation.
    struct RegisterArea: "struct vcpu_register_runstate_memory_area" [8] {
        /// The address.
        p: u64 as "addr.p",
    }

    /// Argument of [`SET_PERIODIC_TIMER`].
    struct SetPeriodicTimer: "struct vcpu_set_periodic_timer" [8] {
        /// Nanoseconds between two ticks; at least 1 ms.
        period_ns: u64,
    }

    /// Argument of [`SET_SINGLESHOT_TIMER`].
    struct SetSingleshotTimer: "struct vcpu_set_singleshot_timer" [16] {
        /// System time of the tick, nanoseconds.
        timeout_abs_ns: u64,
        /// [`SSHOTTMR_FUTURE`].
        flags: u32,
        _pad: u32,
    }

    /// Argument of [`REGISTER_VCPU_INFO`]; the same for 32-bit guests.
    struct RegisterVcpuInfo: "struct vcpu_register_vcpu_info" [16] {
        /// The guest frame.
        mfn: u64,
        /// Byte offset in the frame.
        offset: u32,
        /// Unused.
        rsvd: u32,
    }

    /// Result of [`GET_PHYSID`].
    struct GetPhysid: "struct vcpu_get_physid" [8] {
        /// ACPI id << 32 | APIC id.
        phys_id: u64,
    }
}

/// What 32-bit guests lay out differently.
pub(crate) mod compat {
    use crate::abi::layout::U64A4;

    numbers! {
        "" usize [] {
            /// Runstate area: signed 32-bit state.
            RUNSTATE_STATE = 0, "offsetof(struct vcpu_runstate_info, state)";
            /// Runstate area: 64-bit system time of entering the state, nanoseconds.
            RUNSTATE_STATE_ENTRY_TIME = 4, "offsetof(struct vcpu_runstate_info, state_entry_time)";
            /// Runstate area: 64-bit nanoseconds spent in each of the four states.
            RUNSTATE_TIME = 12, "offsetof(struct vcpu_runstate_info, time)";
            /// Runstate area: bytes.
            RUNSTATE_SIZE = 44, "sizeof(struct vcpu_runstate_info)";
        }
    }

    layouts! {
        /// Where a virtual CPU spent its time.
        struct RunstateInfo: "struct vcpu_runstate_info" [44] {
            /// One of `RUNSTATE_*`.
            state: i32,
            /// System time of entering the state, nanoseconds.
            state_entry_time: U64A4,
            /// Nanoseconds spent in each state.
            time: [U64A4; 4],
        }

        /// Where an area is. The union holds 64 bits for 32-bit guests too.
        struct RegisterArea: "struct vcpu_register_runstate_memory_area" [8] {
            /// The address; linear ones use the low half.
            p: U64A4 as "addr.p",
        }

        /// Argument of [`super::SET_SINGLESHOT_TIMER`].
        struct SetSingleshotTimer: "struct vcpu_set_singleshot_timer" [12] {
            /// System time of the tick, nanoseconds.
            timeout_abs_ns: U64A4,
            /// [`super::SSHOTTMR_FUTURE`].
            flags: u32,
        }
    }

    widen! {
        RunstateInfo { state, state_entry_time, time }
        RegisterArea { p }
        SetSingleshotTimer { timeout_abs_ns, flags }
    }
}
