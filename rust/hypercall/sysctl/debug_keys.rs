// SPDX-License-Identifier: GPL-2.0-only

//! Debug keys: what Xen prints to its console when such a key is pressed there, here for `xl debug-keys`.

use super::Call;
use crate::abi::errno::Result;
use crate::abi::sysctl::DebugKeys;
use crate::domain::hypervisor::Hypervisor;
use crate::domain::Domain;
use crate::hypercall::caller::Handle;
use crate::hypercall::domctl::info;
use crate::sys::irq;

/// Keys of one call that are looked at.
const MAX_KEYS: u32 = 64;
/// Event channels that are printed of each domain.
const MAX_PORTS: u32 = 256;

/// The keys that there are, and what they print.
const KEYS: [(u8, &str); 4] = [
    (b'h', "show this message"),
    (b'?', "show this message"),
    (b'q', "dump domain and vCPU state"),
    (b'e', "dump event channels"),
];

/// `XEN_SYSCTL_debug_keys`.
///
/// # Errors
///
/// `EFAULT`.
pub(super) fn press(call: &Call<'_>) -> Result {
    let ask: DebugKeys = call.payload()?;
    for index in 0..ask.nr_keys.min(MAX_KEYS) {
        let key = Handle::<u8>::new(ask.keys)
            .at(index.into())?
            .read(call.caller)?;
        handle(call.caller.hypervisor, key);
    }
    Ok(())
}

fn handle(hypervisor: &Hypervisor, key: u8) {
    let shown = if key.is_ascii_graphic() { key } else { b'.' };
    let shown = char::from(shown);
    match key {
        b'h' | b'?' => {
            hypervisor.log(format_args!(
                "'{shown}' pressed -> showing installed handlers\n"
            ));
            for (key, what) in KEYS {
                let key = char::from(key);
                hypervisor.log(format_args!(" key '{key}' => {what}\n"));
            }
        }
        b'q' => {
            hypervisor.log(format_args!("'{shown}' pressed -> dumping domain info\n"));
            each(hypervisor, domain);
        }
        b'e' => {
            hypervisor.log(format_args!(
                "'{shown}' pressed -> dumping event-channel info\n"
            ));
            each(hypervisor, event_channels);
        }
        _ => hypervisor.log(format_args!(
            "'{shown}' pressed -> no such key; 'h' lists them\n"
        )),
    }
}

/// Calls `f` with each domain.
fn each(hypervisor: &Hypervisor, f: fn(&Hypervisor, &Domain)) {
    let mut next = Some(0);
    while let Some(domain) = next.and_then(|id| hypervisor.domain_from(id)) {
        f(hypervisor, &domain);
        next = domain.id().checked_add(1);
        irq::cond_resched();
    }
}

fn domain(hypervisor: &Hypervisor, domain: &Domain) {
    let id = domain.id();
    let info = info::domain_info(hypervisor, domain);
    let (flags, pages, max) = (info.flags, info.tot_pages, info.max_pages);
    hypervisor.log(format_args!(
        "d{id}: flags={flags:#x} nr_pages={pages} max_pages={max}\n"
    ));
    for vcpu in domain.vcpus() {
        let (number, cpu, time) = (vcpu.id(), vcpu.cpu(), vcpu.runtime_ns());
        let state = match (vcpu.is_down(), vcpu.is_blocked(), vcpu.is_stopped()) {
            (true, ..) => "down",
            (_, true, _) => "blocked",
            (.., true) => "stopped",
            _ => "runs",
        };
        hypervisor.log(format_args!(
            "d{id}v{number}: {state} CPU{cpu} ran {time} ns, requests {:#x}\n",
            vcpu.requests()
        ));
    }
}

fn event_channels(hypervisor: &Hypervisor, domain: &Domain) {
    let id = domain.id();
    hypervisor.log(format_args!("d{id}: event channels [p/m/s]\n"));
    let mut port = 1;
    for _ in 0..MAX_PORTS {
        // The log takes locks of its own: one at a time.
        let Some(info) = domain.ports().lock().dump(port).next() else {
            return;
        };
        let bit = |on: bool| u8::from(on);
        let (p, m, s) = (bit(info.pending), bit(info.masked), bit(info.selected));
        let (number, vcpu, what) = (info.port, info.vcpu, info.status);
        hypervisor.log(format_args!(
            "d{id}:  {number:4} [{p}/{m}/{s}] v{vcpu} {what:?}\n"
        ));
        port = match number.checked_add(1) {
            Some(port) => port,
            None => return,
        };
    }
    hypervisor.log(format_args!("d{id}:  there are more\n"));
}
