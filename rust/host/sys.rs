// SPDX-License-Identifier: GPL-2.0-only

//! Stand-in for `sys` in the host build: the few items that pure rooms use, on top of `std`.

pub(crate) mod alloc;
pub(crate) mod atomic;
#[path = "../sys/gate.rs"]
pub(crate) mod gate;
pub(crate) mod page;
