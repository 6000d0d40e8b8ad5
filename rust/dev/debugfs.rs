// SPDX-License-Identifier: GPL-2.0-only

//! `/sys/kernel/debug/oxen/domains`: every domain and vCPU, with its counters.
//!
//! One line for each, of words and values in turn; a vCPU's line is indented below its domain's. The file may be read
//! while domains come and go: each is held while its lines are written, and one that is being destroyed says so.
//! Without debugfs there is no file, and nothing else changes.

use core::fmt;

use crate::domain::hypervisor::HYPERVISOR;
use crate::domain::lifecycle::reason;
use crate::domain::vcpu::{
    Vcpu,
    EXIT_NAMES, //
};
use crate::domain::{
    Domain,
    FIRST_RESERVED, //
};
use crate::sys::atomic::Ordering;
use crate::sys::debugfs::{
    Dir,
    File, //
};
use crate::sys::irq;

/// The files; dropping it removes them and waits for who is reading.
pub(crate) struct DebugFiles {
    _dir: Dir,
}

impl DebugFiles {
    /// Makes the files.
    pub(crate) fn new() -> Self {
        let dir = Dir::new(c"oxen");
        dir.file::<Domains>();
        Self { _dir: dir }
    }
}

/// The list of all domains.
struct Domains;

impl File for Domains {
    const NAME: &'static kernel::str::CStr = c"domains";

    fn write(f: &mut dyn fmt::Write) -> fmt::Result {
        let Some(hypervisor) = HYPERVISOR.get() else {
            return Ok(());
        };
        let mut next = 0;
        while next < FIRST_RESERVED {
            let Some(domain) = hypervisor.domain_from(next) else {
                break;
            };
            next = domain.id() + 1;
            write_domain(&domain, f)?;
            irq::cond_resched();
        }
        Ok(())
    }
}

fn write_domain(domain: &Domain, f: &mut dyn fmt::Write) -> fmt::Result {
    let (paused, code, shut_down, dying) = {
        let life = domain.life.lock();
        (life.paused, life.shutting_down, life.shut_down, life.dying)
    };
    let state = match (dying, code, paused) {
        (true, _, _) => "dying",
        (_, Some(_), _) if shut_down => "shut-down",
        (_, Some(_), _) => "shutting-down",
        (_, _, 0) => "running",
        _ => "paused",
    };
    let (size, pinned, mapped) = {
        let grants = domain.grants.lock();
        (grants.size(), grants.pinned(), grants.handles_in_use())
    };
    write!(
        f,
        "domain {} serial {} state {state} pauses {paused} tot_pages {} max_pages {} \
         grant_frames {} grants_used {pinned} grants_mapped {mapped} runstate_va {} \
         monitor_events {} vcpus {}",
        domain.id(),
        domain.serial(),
        domain.p2m.ram_pages(),
        domain.p2m.max_pages(),
        size.nr_frames,
        if domain.walks() { "walk" } else { "once" },
        domain.monitor.lock().events(),
        domain.vcpus().len(),
    )?;
    if let Some(code) = code {
        write!(f, " reason {code} ({})", reason::name(code))?;
    }
    writeln!(f)?;
    for vcpu in domain.vcpus() {
        write_vcpu(vcpu, f)?;
    }
    Ok(())
}

fn write_vcpu(vcpu: &Vcpu, f: &mut dyn fmt::Write) -> fmt::Result {
    let state = if vcpu.is_down() {
        "down"
    } else if vcpu.is_stopped() {
        "stopped"
    } else if vcpu.is_blocked() {
        "blocked"
    } else {
        "running"
    };
    write!(
        f,
        "  vcpu {} state {state} cpu_ns {}",
        vcpu.id(),
        vcpu.runtime_ns()
    )?;
    let (updates, missed) = vcpu.runstate.updates();
    write!(f, " runstate_updates {updates} runstate_missed {missed}")?;
    for (name, count) in EXIT_NAMES.iter().zip(&vcpu.exits) {
        write!(f, " {name} {}", count.load(Ordering::Relaxed))?;
    }
    writeln!(f)
}
