// SPDX-License-Identifier: GPL-2.0-only

//! oxen: Xen, hosted. The module's root: what starts and stops, in which order.

#![crate_name = "oxen"]

#[expect(
    dead_code,
    reason = "Xen's interface is declared whole, and checked against its headers"
)]
mod abi;
mod build_id;
mod dev;
mod domain;
mod emulate;
mod evtchn;
mod gnttab;
mod hw;
mod hypercall;
mod ioreq;
mod livepatch;
mod mm;
mod policy;
mod run;

mod sys;
mod time;
mod trace;
mod vlapic;
mod vm_event;

use kernel::prelude::*;

module! {
    type: Oxen,
    name: "oxen",
    authors: ["The oxen authors"],
    description: "Xen, hosted: runs Xen guests and serves Xen's tools on a Linux machine",
    license: "GPL",
}

/// The module, from `insmod` to `rmmod`. Fields are dropped in order: first nobody can come in any more, then the
/// processors are given back, then what was shared goes.
struct Oxen {
    _devices: dev::Devices,
    _hypervisor: run::start::Started,
}

impl kernel::Module for Oxen {
    fn init(module: &'static ThisModule) -> Result<Self> {
        let hypervisor = run::start::Started::new()?;
        let devices = dev::Devices::new(module)?;
        hypervisor.announce();
        Ok(Self {
            _devices: devices,
            _hypervisor: hypervisor,
        })
    }
}
