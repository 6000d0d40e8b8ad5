// SPDX-License-Identifier: GPL-2.0-only

//! What live patching asks of the domains: that their vCPUs come out, and go on.

use super::hypervisor::HYPERVISOR;
use super::vcpu::{
    request,
    Vcpu, //
};
use super::FIRST_RESERVED;
use crate::livepatch::stop::Guests;

/// How it asks.
pub(crate) const GUESTS: Guests = Guests {
    kick,
    inside,
    wake,
    log,
};

/// Calls `f` for every vCPU. No tool is inside, so that no domain comes or goes.
fn for_each(mut f: impl FnMut(&Vcpu)) {
    let Some(hypervisor) = HYPERVISOR.get() else {
        return;
    };
    let mut next = 0;
    while next < FIRST_RESERVED {
        let Some(domain) = hypervisor.domain_from(next) else {
            break;
        };
        next = domain.id() + 1;
        for vcpu in domain.vcpus() {
            f(vcpu);
        }
    }
}

/// Makes every vCPU that is inside come out. Others find the gate closed when they want to come in.
fn kick() {
    for_each(|vcpu| {
        if vcpu.seat.is_inside() {
            vcpu.request(request::PATCH);
        }
    });
}

/// How many vCPUs are inside.
fn inside() -> u32 {
    let mut count = 0;
    for_each(|vcpu| count += u32::from(vcpu.seat.is_inside()));
    count
}

/// Wakes those that found the gate closed.
fn wake() {
    for_each(|vcpu| {
        if vcpu.seat.is_held() {
            vcpu.wake();
        }
    });
}

fn log(text: core::fmt::Arguments<'_>) {
    if let Some(hypervisor) = HYPERVISOR.get() {
        hypervisor.log(text);
    }
}
