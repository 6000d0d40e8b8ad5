// SPDX-License-Identifier: GPL-2.0-only

//! Tracepoints: what happened, for `perf` and tracefs, in the system `oxen`.
//!
//! Each function takes a closure that makes the arguments, and runs it only while somebody traces: otherwise the
//! call is one instruction that does nothing (a static branch), which is all that the exit path can afford.
//!
//! `trace/oxen_events.h` says what is recorded and how it is printed.

#[cfg(CONFIG_TRACEPOINTS)]
mod branch;
#[cfg(CONFIG_TRACEPOINTS)]
mod raw;

/// Makes a type for the arguments of each tracepoint, and the function that fires it.
macro_rules! events {
    ($(
        $(#[$doc:meta])*
        $name:ident, $point:ident, $fire:ident: $args:ident {
            $($(#[$field_doc:meta])* $field:ident: $ty:ty,)*
        }
    )*) => {$(
        #[doc = concat!("Arguments of [`", stringify!($name), "`].")]
        pub(crate) struct $args {
            $($(#[$field_doc])* pub(crate) $field: $ty,)*
        }

        $(#[$doc])*
        #[inline(always)]
        pub(crate) fn $name(args: impl FnOnce() -> $args) {
            #[cfg(CONFIG_TRACEPOINTS)]
            {
                // SAFETY: The key is that of a tracepoint which `events.c` defines.
                let traced = unsafe { branch::is_on!(raw::$point) };
                if traced {
                    let $args { $($field),* } = args();
                    // SAFETY: Takes integers only, and may be called from any context of the kernel.
                    unsafe { raw::$fire($($field),*) };
                }
            }
            #[cfg(not(CONFIG_TRACEPOINTS))]
            let _ = args;
        }
    )*};
}

events! {
    /// A vCPU is about to execute its first instruction.
    first_entry, __tracepoint_oxen_first_entry, rust_do_trace_oxen_first_entry: FirstEntry {
        /// The domain.
        domid: u32,
        /// The vCPU.
        vcpu: u32,
        /// The instruction pointer.
        rip: u64,
    }

    /// A guest stopped.
    exit, __tracepoint_oxen_exit, rust_do_trace_oxen_exit: Exit {
        /// The domain.
        domid: u32,
        /// The vCPU.
        vcpu: u32,
        /// Index into `domain::vcpu::EXIT_NAMES`.
        kind: u32,
        /// The instruction pointer.
        rip: u64,
    }

    /// A nested page fault that an access of the guest caused.
    npf, __tracepoint_oxen_npf, rust_do_trace_oxen_npf: Npf {
        /// The domain.
        domid: u32,
        /// The vCPU.
        vcpu: u32,
        /// The guest physical address.
        gpa: u64,
        /// Bits of [`npf_flag`].
        flags: u32,
    }

    /// A hypercall, or one step of it, has a result.
    hypercall, __tracepoint_oxen_hypercall, rust_do_trace_oxen_hypercall: Hypercall {
        /// The calling domain.
        domid: u32,
        /// The calling vCPU; -1 for a process of the control domain.
        vcpu: i32,
        /// The hypercall's number.
        op: u64,
        /// Its first argument, which often is a command.
        arg0: u64,
        /// Its second argument.
        arg1: u64,
        /// What it returned.
        result: i64,
    }

    /// A domain changed its state.
    domain, __tracepoint_oxen_domain, rust_do_trace_oxen_domain: Domain {
        /// The domain.
        domid: u32,
        /// A [`DomainEvent`].
        event: u32,
        /// Reason of a shutdown; how often the domain is paused now; 0.
        code: u32,
    }

    /// A guest is interrupted at its next entry.
    inject, __tracepoint_oxen_inject, rust_do_trace_oxen_inject: Inject {
        /// The domain.
        domid: u32,
        /// The vCPU.
        vcpu: u32,
        /// An [`InjectKind`].
        kind: u32,
        /// The vector.
        vector: u32,
    }

    /// An action on a live patch has ended.
    livepatch, __tracepoint_oxen_livepatch, rust_do_trace_oxen_livepatch: Livepatch {
        /// `LIVEPATCH_ACTION_*`.
        action: u32,
        /// 0 or a negative error number.
        rc: i32,
        /// Functions that it was about.
        functions: u32,
        /// How long tools' calls took to end.
        tools_ns: u64,
        /// How long vCPUs took to come out.
        vcpus_ns: u64,
        /// How long the writing took.
        write_ns: u64,
        /// How long vCPUs were kept from running.
        pause_ns: u64,
    }
}

/// Bits that describe a nested page fault.
pub(crate) mod npf_flag {
    /// The guest wrote.
    pub(crate) const WRITE: u32 = 1 << 0;
    /// The guest fetched an instruction.
    pub(crate) const FETCH: u32 = 1 << 1;
    /// There is a page, which does not allow the access.
    pub(crate) const PRESENT: u32 = 1 << 2;
    /// The access was made by the guest's page walk.
    pub(crate) const PAGE_TABLE: u32 = 1 << 3;
}

/// What happened to a domain.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum DomainEvent {
    /// It was made.
    Created = 0,
    /// It was paused once more.
    Paused = 1,
    /// It was paused once less.
    Unpaused = 2,
    /// It asked to shut down, or was made to.
    Shutdown = 3,
    /// It can not go on.
    Crashed = 4,
    /// It runs on after a shutdown.
    Resumed = 5,
    /// It is being destroyed.
    Dying = 6,
    /// It is destroyed.
    Destroyed = 7,
}

/// Fires [`domain`].
#[inline(always)]
pub(crate) fn domain_event(domid: u16, event: DomainEvent, code: u32) {
    domain(|| Domain {
        domid: domid.into(),
        // CAST: The enumeration is of that width.
        event: event as u32,
        code,
    });
}

/// What a guest is interrupted with.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum InjectKind {
    /// An external interrupt.
    Interrupt = 0,
    /// A non-maskable interrupt.
    Nmi = 1,
    /// An exception.
    Exception = 2,
}
