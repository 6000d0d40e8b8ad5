// SPDX-License-Identifier: GPL-2.0-only

//! Crate root of the host build: the rooms that hold pure logic, compiled with the standard library for
//! unit tests, property tests, loom and fuzzing. The module's own root is `lib.rs`.
//!
//! A pure room imports `core`, `zerocopy`, other pure rooms, and from `crate::sys` only what
//! `host/sys.rs` stands in for.

#![allow(dead_code, unreachable_pub)]

pub(crate) mod abi;
pub(crate) mod emulate;
pub(crate) mod evtchn;
// It has no model, and takes its words from pages that are not loom's.
#[cfg(not(loom))]
pub(crate) mod gnttab;
#[cfg(any(test, fuzzing))]
pub mod fuzz {
    //! What fuzzers call; see `tools/fuzz`.

    /// Decodes and executes an instruction that `data` holds.
    pub fn emulate(data: &[u8]) {
        crate::emulate::testing::fuzz::emulate(data);
    }

    /// Loads `data` as a live patch's payload, and checks what came of it.
    pub fn livepatch(data: &[u8]) {
        let host = crate::livepatch::testing::Fake::new();
        crate::livepatch::testing::check(crate::livepatch::load::load(data, &host), &host);
    }
}
pub(crate) mod hw {
    //! Only the part without hardware.
    pub(crate) mod npt;
    pub(crate) mod rights;
    pub(crate) mod state;
}
pub(crate) mod hypercall {
    //! Only conversions.
    pub(crate) mod domctl {
        //! Only conversions.
        pub(crate) mod cpu_record;
        pub(crate) mod xsave_record;
    }
}
#[cfg(all(test, loom))]
#[path = "host/interleave.rs"]
pub(crate) mod interleave;
pub(crate) mod ioreq;
pub(crate) mod livepatch;
pub(crate) mod mm {
    //! Only the parts that do not own pages.
    pub(crate) mod access;
    #[cfg(not(loom))]
    pub(crate) mod exchange;
    pub(crate) mod walk;
}
pub(crate) mod policy;
#[path = "host/sys.rs"]
pub(crate) mod sys;
pub(crate) mod time;
pub(crate) mod vlapic;
pub(crate) mod vm_event;
