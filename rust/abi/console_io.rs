// SPDX-License-Identifier: GPL-2.0-only

//! `console_io`: the emergency console (`xen/xen.h`), the console ring (`xen/io/console.h`) and the
//! xenstore ring (`xen/io/xs_wire.h`).
//!
//! The hypercall takes the operation, a count of bytes and a handle of bytes. The rings are memory
//! that a guest writes at any time, so they are byte offsets of 32-bit words here.

numbers! {
    "CONSOLEIO_" u32 [name] {
        /// Prints bytes.
        WRITE = 0, "write";
        /// Reads bytes; returns how many.
        READ = 1, "read";
    }
    "" u16 [] {
        /// Port to which an HVM guest may print bytes.
        HVM_DEBUGCONS_IOPORT = 0xe9, "XEN_HVM_DEBUGCONS_IOPORT";
    }
    "" usize [] {
        /// Console ring: bytes to the guest.
        CONSOLE_IN = 0, "offsetof(struct xencons_interface, in)";
        /// Console ring: how many bytes to the guest it holds.
        CONSOLE_IN_SIZE = 1024, "sizeof(((struct xencons_interface *)0)->in)";
        /// Console ring: bytes from the guest.
        CONSOLE_OUT = 1024, "offsetof(struct xencons_interface, out)";
        /// Console ring: how many bytes from the guest it holds.
        CONSOLE_OUT_SIZE = 2048, "sizeof(((struct xencons_interface *)0)->out)";
        /// Console ring: what the guest took.
        CONSOLE_IN_CONS = 3072, "offsetof(struct xencons_interface, in_cons)";
        /// Console ring: what the guest was given.
        CONSOLE_IN_PROD = 3076, "offsetof(struct xencons_interface, in_prod)";
        /// Console ring: what was taken from the guest.
        CONSOLE_OUT_CONS = 3080, "offsetof(struct xencons_interface, out_cons)";
        /// Console ring: what the guest gave.
        CONSOLE_OUT_PROD = 3084, "offsetof(struct xencons_interface, out_prod)";
        /// Xenstore ring: requests.
        XENSTORE_REQ = 0, "offsetof(struct xenstore_domain_interface, req)";
        /// Xenstore ring: responses.
        XENSTORE_RSP = 1024, "offsetof(struct xenstore_domain_interface, rsp)";
        /// Xenstore ring: bytes of each direction.
        XENSTORE_RING_SIZE = 1024, "XENSTORE_RING_SIZE";
        /// Xenstore ring: requests taken.
        XENSTORE_REQ_CONS = 2048, "offsetof(struct xenstore_domain_interface, req_cons)";
        /// Xenstore ring: requests given.
        XENSTORE_REQ_PROD = 2052, "offsetof(struct xenstore_domain_interface, req_prod)";
        /// Xenstore ring: responses taken.
        XENSTORE_RSP_CONS = 2056, "offsetof(struct xenstore_domain_interface, rsp_cons)";
        /// Xenstore ring: responses given.
        XENSTORE_RSP_PROD = 2060, "offsetof(struct xenstore_domain_interface, rsp_prod)";
        /// Xenstore ring: features of the server.
        XENSTORE_SERVER_FEATURES = 2064,
            "offsetof(struct xenstore_domain_interface, server_features)";
        /// Xenstore ring: state of the connection.
        XENSTORE_CONNECTION = 2068, "offsetof(struct xenstore_domain_interface, connection)";
        /// Xenstore ring: error.
        XENSTORE_ERROR = 2072, "offsetof(struct xenstore_domain_interface, error)";
        /// Xenstore ring: bytes.
        XENSTORE_INTERFACE_SIZE = 2076, "sizeof(struct xenstore_domain_interface)";
    }
}
