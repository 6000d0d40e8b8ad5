// SPDX-License-Identifier: GPL-2.0-only

//! oxen: Xen, hosted.

#![crate_name = "oxen"]
#![allow(dead_code)]

use kernel::prelude::*;

mod abi;
mod emulate;
mod hw;
mod mm;
mod sys;

module! {
    type: Oxen,
    name: "oxen",
    authors: ["The oxen authors"],
    description: "Xen, hosted: runs Xen guests and serves Xen's tools on a Linux machine",
    license: "GPL",
}

struct Oxen;

impl kernel::Module for Oxen {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self)
    }
}
