// SPDX-License-Identifier: GPL-2.0-only

//! What machine this is.
//!
//! To the tools it has one node: the host places guests' memory, and nobody can ask for memory of a certain node.

use zerocopy::FromZeros;

use super::Call;
use crate::abi::errno::Result;
use crate::abi::sysctl::{
    self as abi,
    AvailHeap,
    CpuInfo,
    CpuTopo,
    CpuTopoInfo,
    GetCpuInfo,
    MemInfo,
    NumaInfo,
    PhysInfo, //
};
use crate::domain::clock;
use crate::hypercall::caller::Handle;
use crate::sys::{
    cpu,
    page, //
};

/// Nodes that tools see.
const NODES: u32 = 1;
/// Distance of a node to itself.
const LOCAL_DISTANCE: u32 = 10;
/// What guests can have here.
const CAPABILITIES: u32 = abi::PHYSCAP_HVM | abi::PHYSCAP_HAP | abi::PHYSCAP_GNTTAB_V1;

fn bytes(pages: u64) -> u64 {
    pages << page::PAGE_SHIFT
}

/// Threads of a core and cores of a socket, as they are where the first processor that is online sits.
fn shape() -> (u32, u32) {
    let cpus = || (0..cpu::nr_ids()).filter_map(cpu::topology);
    let Some((core, package, _)) = cpus().next() else {
        return (1, 1);
    };
    let mut threads = 0;
    let mut in_package = 0;
    for (other, of, _) in cpus().filter(|(_, of, _)| *of == package) {
        in_package += 1;
        if (other, of) == (core, package) {
            threads += 1;
        }
    }
    let threads = u32::max(threads, 1);
    (threads, u32::max(in_package / threads, 1))
}

/// `XEN_SYSCTL_physinfo`.
pub(super) fn phys_info(call: &mut Call<'_>) -> Result {
    let (threads_per_core, cores_per_socket) = shape();
    let mut info = PhysInfo::new_zeroed();
    info.threads_per_core = threads_per_core;
    info.cores_per_socket = cores_per_socket;
    info.nr_cpus = cpu::online();
    info.max_cpu_id = cpu::nr_ids().saturating_sub(1);
    info.nr_nodes = NODES;
    info.max_node_id = NODES - 1;
    info.cpu_khz = clock::khz();
    info.capabilities = CAPABILITIES;
    info.total_pages = page::total_pages();
    info.free_pages = page::free_pages();
    info.max_mfn = page::total_pages();
    let features = call.caller.hypervisor.policies.host.features();
    for (to, from) in info.hw_cap.iter_mut().zip(features.0) {
        *to = from;
    }
    call.answer(&info)
}

/// `XEN_SYSCTL_getcpuinfo`: how long each processor had nothing to do.
///
/// # Errors
///
/// `EFAULT`.
pub(super) fn cpu_info(call: &mut Call<'_>) -> Result {
    let mut ask: GetCpuInfo = call.payload()?;
    let count = ask.max_cpus.min(cpu::nr_ids());
    for index in 0..count {
        let info = CpuInfo {
            idletime: cpu::idle_ns(index),
        };
        Handle::<CpuInfo>::new(ask.info)
            .at(index.into())?
            .write(call.caller, &info)?;
    }
    ask.nr_cpus = count;
    call.answer(&ask)
}

/// `XEN_SYSCTL_cputopoinfo`: where each processor sits; without a buffer, how many there are.
///
/// # Errors
///
/// `EFAULT`.
pub(super) fn cpu_topology(call: &mut Call<'_>) -> Result {
    let mut ask: CpuTopoInfo = call.payload()?;
    let last = (0..cpu::nr_ids()).rev().find(|id| cpu::is_online(*id));
    let mut count = last.map_or(0, |last| last + 1);
    if ask.cputopo != 0 {
        count = count.min(ask.num_cpus);
        for index in 0..count {
            let place = match cpu::topology(index) {
                Some((core, socket, _)) => CpuTopo {
                    core,
                    socket,
                    node: 0,
                },
                None => CpuTopo {
                    core: abi::INVALID_CORE_ID,
                    socket: abi::INVALID_SOCKET_ID,
                    node: abi::INVALID_NODE_ID,
                },
            };
            Handle::<CpuTopo>::new(ask.cputopo)
                .at(index.into())?
                .write(call.caller, &place)?;
        }
    }
    ask.num_cpus = count;
    call.answer(&ask)
}

/// `XEN_SYSCTL_numainfo`: the one node; without buffers, how many there are.
///
/// # Errors
///
/// `EFAULT`.
pub(super) fn numa_info(call: &mut Call<'_>) -> Result {
    let mut ask: NumaInfo = call.payload()?;
    let mut count = NODES;
    if ask.meminfo != 0 || ask.distance != 0 {
        count = count.min(ask.num_nodes);
    }
    if count != 0 && ask.meminfo != 0 {
        let info = MemInfo {
            memsize: bytes(page::total_pages()),
            memfree: bytes(page::free_pages()),
        };
        Handle::new(ask.meminfo).write(call.caller, &info)?;
    }
    if count != 0 && ask.distance != 0 {
        Handle::new(ask.distance).write(call.caller, &LOCAL_DISTANCE)?;
    }
    ask.num_nodes = count;
    call.answer(&ask)
}

/// `XEN_SYSCTL_availheap`: memory that is free, wherever it is. The host does not tell by address.
pub(super) fn avail_heap(call: &mut Call<'_>) -> Result {
    let mut ask: AvailHeap = call.payload()?;
    let there = ask.node <= 0;
    ask.avail_bytes = if there { bytes(page::free_pages()) } else { 0 };
    call.answer(&ask)
}
