// SPDX-License-Identifier: GPL-2.0-only

//! The tracepoints as C defines them.

pub(super) use crate::sys::raw::{
    rust_do_trace_oxen_domain,
    rust_do_trace_oxen_exit,
    rust_do_trace_oxen_first_entry,
    rust_do_trace_oxen_hypercall,
    rust_do_trace_oxen_inject,
    rust_do_trace_oxen_livepatch,
    rust_do_trace_oxen_npf, //
};

use kernel::bindings::tracepoint;

// Only the addresses of the keys in these are used.
#[allow(improper_ctypes)]
extern "C" {
    pub(super) static __tracepoint_oxen_first_entry: tracepoint;
    pub(super) static __tracepoint_oxen_exit: tracepoint;
    pub(super) static __tracepoint_oxen_npf: tracepoint;
    pub(super) static __tracepoint_oxen_hypercall: tracepoint;
    pub(super) static __tracepoint_oxen_domain: tracepoint;
    pub(super) static __tracepoint_oxen_inject: tracepoint;
    pub(super) static __tracepoint_oxen_livepatch: tracepoint;
}
