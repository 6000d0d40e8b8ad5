// SPDX-License-Identifier: GPL-2.0-only

//! The tools' device `/dev/xen/evtchn` (`xen/sys/evtchn.h`).
//!
//! `read` gives 32-bit ports that were notified and masks them, `write` takes ports to unmask.

numbers! {
    "IOCTL_EVTCHN_" u32 [name] {
        /// Binds a virtual interrupt, with a [`BindVirq`]; returns the port.
        BIND_VIRQ = 0x04_4500, "BIND_VIRQ";
        /// Connects to a domain's port, with a [`BindInterdomain`]; returns the port.
        BIND_INTERDOMAIN = 0x08_4501, "BIND_INTERDOMAIN";
        /// Makes a port that a domain may connect to, with a [`BindUnboundPort`]; returns it.
        BIND_UNBOUND_PORT = 0x04_4502, "BIND_UNBOUND_PORT";
        /// Closes a port, with a [`Unbind`].
        UNBIND = 0x04_4503, "UNBIND";
        /// Notifies the other end, with a [`Notify`].
        NOTIFY = 0x04_4504, "NOTIFY";
        /// Drops notifications that were not read; no payload.
        RESET = 0x00_4505, "RESET";
        /// Restricts the file to a domain, with a [`RestrictDomid`].
        RESTRICT_DOMID = 0x02_4506, "RESTRICT_DOMID";
    }
}

layouts! {
    /// Payload of [`BIND_VIRQ`].
    struct BindVirq: "struct ioctl_evtchn_bind_virq" [4] {
        /// One of `VIRQ_*`.
        virq: u32,
    }

    /// Payload of [`BIND_INTERDOMAIN`].
    struct BindInterdomain: "struct ioctl_evtchn_bind_interdomain" [8] {
        /// The domain.
        remote_domain: u32,
        /// Its port.
        remote_port: u32,
    }

    /// Payload of [`BIND_UNBOUND_PORT`].
    struct BindUnboundPort: "struct ioctl_evtchn_bind_unbound_port" [4] {
        /// The domain.
        remote_domain: u32,
    }

    /// Payload of [`UNBIND`].
    struct Unbind: "struct ioctl_evtchn_unbind" [4] {
        /// The port.
        port: u32,
    }

    /// Payload of [`NOTIFY`].
    struct Notify: "struct ioctl_evtchn_notify" [4] {
        /// The port.
        port: u32,
    }

    /// Payload of [`RESTRICT_DOMID`].
    struct RestrictDomid: "struct ioctl_evtchn_restrict_domid" [2] {
        /// The domain.
        domid: u16,
    }
}

/// What Linux's own header (`xen/evtchn.h`) adds.
pub(crate) mod linux {
    numbers! {
        "IOCTL_EVTCHN_" u32 [name] {
            /// Takes a port that exists, with a [`Bind`].
            BIND_STATIC = 0x04_4507, "BIND_STATIC";
        }
    }

    layouts! {
        /// Payload of [`BIND_STATIC`].
        struct Bind: "struct ioctl_evtchn_bind" [4] {
            /// The port.
            port: u32,
        }
    }
}
