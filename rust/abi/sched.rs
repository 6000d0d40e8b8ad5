// SPDX-License-Identifier: GPL-2.0-only

//! `sched_op`: what a virtual CPU tells the scheduler (`xen/sched.h`).

numbers! {
    "SCHEDOP_" u32 [name] {
        /// Gives up the CPU; no argument.
        YIELD = 0, "yield";
        /// Unmasks events and waits for one; no argument.
        BLOCK = 1, "block";
        /// Stops the domain, with a [`Shutdown`].
        SHUTDOWN = 2, "shutdown";
        /// Waits for one of some ports, with a [`Poll`].
        POLL = 3, "poll";
        /// Stops another domain, with a [`RemoteShutdown`].
        REMOTE_SHUTDOWN = 4, "remote_shutdown";
        /// Announces the reason of a coming stop, with a [`Shutdown`].
        SHUTDOWN_CODE = 5, "shutdown_code";
        /// Sets or pokes a watchdog, with a [`Watchdog`].
        WATCHDOG = 6, "watchdog";
        /// Pins the virtual CPU, with a [`PinOverride`]; hardware domain only.
        PIN_OVERRIDE = 7, "pin_override";
    }
    "SHUTDOWN_" u32 [shutdown_name] {
        /// The domain switched itself off.
        SHUTDOWN_POWEROFF = 0, "poweroff";
        /// It wants to start afresh.
        SHUTDOWN_REBOOT = 1, "reboot";
        /// It is ready to be saved.
        SHUTDOWN_SUSPEND = 2, "suspend";
        /// It crashed.
        SHUTDOWN_CRASH = 3, "crash";
        /// Its watchdog expired.
        SHUTDOWN_WATCHDOG = 4, "watchdog";
        /// It starts another kernel and wants its Xen state reset.
        SHUTDOWN_SOFT_RESET = 5, "soft_reset";
    }
    "SHUTDOWN_" u32 [] {
        /// The greatest reason.
        SHUTDOWN_MAX = 5, "MAX";
    }
}

layouts! {
    /// Argument of [`SHUTDOWN`] and [`SHUTDOWN_CODE`].
    struct Shutdown: "struct sched_shutdown" [4] {
        /// One of `SHUTDOWN_*`.
        reason: u32,
    }

    /// Argument of [`POLL`].
    struct Poll: "struct sched_poll" [24] {
        /// Handle of 32-bit ports.
        ports: u64,
        /// How many ports; at most 128.
        nr_ports: u32,
        _pad: u32,
        /// System time in nanoseconds at which to give up; 0 for never.
        timeout: u64,
    }

    /// Argument of [`REMOTE_SHUTDOWN`].
    struct RemoteShutdown: "struct sched_remote_shutdown" [8] {
        /// The domain.
        domain_id: u16,
        _pad: u16,
        /// One of `SHUTDOWN_*`.
        reason: u32,
    }

    /// Argument of [`WATCHDOG`].
    struct Watchdog: "struct sched_watchdog" [8] {
        /// The watchdog to change; 0 takes a free one and returns its id.
        id: u32,
        /// Seconds until it expires; 0 releases it.
        timeout: u32,
    }

    /// Argument of [`PIN_OVERRIDE`].
    struct PinOverride: "struct sched_pin_override" [4] {
        /// The physical CPU; negative to release.
        pcpu: i32,
    }
}

/// What 32-bit guests lay out differently.
pub(crate) mod compat {
    use crate::abi::layout::U64A4;

    layouts! {
        /// Argument of [`super::POLL`].
        struct Poll: "struct sched_poll" [16] {
            /// Handle of 32-bit ports.
            ports: u32,
            /// How many ports; at most 128.
            nr_ports: u32,
            /// System time in nanoseconds at which to give up; 0 for never.
            timeout: U64A4,
        }
    }

    widen! {
        Poll { ports, nr_ports, timeout }
    }
}
