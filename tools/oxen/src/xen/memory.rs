// SPDX-License-Identifier: GPL-2.0-only

//! `memory_op`: a domain's memory and its map.

use nix::errno::Errno;
use zerocopy::FromZeros;

use super::{
    call_with,
    CallResult,
    Hypervisor, //
};
use crate::abi::layout::U64A4;
use crate::abi::memory::e820::E820Entry;
use crate::abi::memory::{
    self,
    ForeignMemoryMap,
    MemoryReservation, //
};
use crate::abi::xen;
use crate::domain::layout::MemoryEntry;

/// Gives a domain memory at each of `gfns`, 2^`order` pages each; returns how many of them got it.
///
/// # Errors
///
/// Fails as the hypercall does. Running out of memory shows as a lower number.
pub(crate) fn populate(
    hv: &dyn Hypervisor,
    domid: u16,
    gfns: &[u64],
    order: u32,
) -> CallResult<usize> {
    // The hypervisor writes the frame numbers back, so they have to be ours to change.
    let mut extents = gfns.to_vec();
    let mut arg = MemoryReservation::new_zeroed();
    arg.extent_start = extents.as_mut_ptr() as u64;
    arg.nr_extents = extents.len() as u64;
    arg.extent_order = order;
    arg.domid = domid;
    // SAFETY: the structure is the one of this operation, and the array is as long as it says.
    let done = unsafe { call_with(hv, xen::MEMORY_OP, memory::POPULATE_PHYSMAP, &mut arg)? };
    usize::try_from(done)
        .ok()
        .filter(|done| *done <= gfns.len())
        .ok_or(Errno::EINVAL)
}

/// Tells the hypervisor a domain's memory map, for the guest to ask for.
///
/// # Errors
///
/// Fails as the hypercall does.
pub(crate) fn set_map(hv: &dyn Hypervisor, domid: u16, map: &[MemoryEntry]) -> CallResult<()> {
    let entries: Vec<_> = map
        .iter()
        .map(|entry| E820Entry {
            addr: U64A4::new(entry.start),
            size: U64A4::new(entry.size),
            type_: entry.kind.number(),
        })
        .collect();
    let mut arg = ForeignMemoryMap::new_zeroed();
    arg.domid = domid;
    arg.map.nr_entries = u32::try_from(entries.len()).map_err(|_| Errno::E2BIG)?;
    arg.map.buffer = entries.as_ptr() as u64;
    // SAFETY: the structure is the one of this operation, and the array, which is only read, is as
    // long as it says.
    unsafe { call_with(hv, xen::MEMORY_OP, memory::SET_MEMORY_MAP, &mut arg).map(drop) }
}
