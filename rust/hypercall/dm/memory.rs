// SPDX-License-Identifier: GPL-2.0-only

//! The guest's memory, as a device model sees and changes it.

use super::Call;
use crate::abi::dm_op as abi;
use crate::abi::errno::{
    Result,
    EBUSY,
    EINVAL,
    ENOENT,
    ENOSPC,
    ERESTART, //
};
use crate::abi::hvm;
use crate::domain::dirty::MAX_FRAMES;
use crate::hw::npt::{
    P2mType,
    MAX_GFN, //
};
use crate::hypercall::caller::Handle;
use crate::hypercall::memory::relocate as move_frames;
use crate::mm::p2m::Removed;
use crate::sys::alloc::GFP_KERNEL;

/// Frames that one step of a long operation handles.
const STEP: u32 = 256;

/// Ranges of cache attributes that a domain may have (XSA-428).
const MAX_CACHE_ATTRIBUTES: usize = 64;

/// `XEN_DMOP_track_dirty_vram`: tells which frames of a frame buffer were written since the last call, a bit each in
/// the second buffer. The first call for a range says: all. No frames ends it.
///
/// # Errors
///
/// `EINVAL` for padding that is not 0, without a second buffer or with one that is too short, for a range that wraps or
/// is larger than 1 GiB; `EFAULT`, `ENOMEM`.
pub(super) fn track_dirty_vram(call: &Call<'_>) -> Result {
    let ask: abi::TrackDirtyVram = call.payload()?;
    let second = call.second.filter(|_| ask.pad == 0).ok_or(EINVAL)?;
    let bytes = u64::from(ask.nr).div_ceil(8);
    if ask.nr > MAX_FRAMES || bytes > second.size {
        return Err(EINVAL);
    }
    match ask.first_pfn.checked_add(ask.nr.into()) {
        Some(end) if end <= MAX_GFN => {}
        _ => return Err(EINVAL),
    }
    if ask.nr == 0 {
        return call.domain.end_dirty_log();
    }
    call.domain.read_dirty_log(ask.first_pfn, ask.nr, |bits| {
        call.caller.copy_out(second.addr, bits)
    })
}

/// `XEN_DMOP_modified_memory`: the device model says which frames it has written itself. The last extent of the list
/// comes first; what is left of the list, and how far the extent at its end was done, is in the operation.
///
/// # Errors
///
/// `EINVAL` for a list that is shorter than it says, and for an extent that wraps or is beyond the guest's memory;
/// `EFAULT`, `ERESTART`.
pub(super) fn modified(call: &Call<'_>) -> Result {
    let mut ask: abi::ModifiedMemory = call.payload()?;
    // Without a log nobody wants to know.
    if call.domain.p2m.log_range().is_none() {
        return Ok(());
    }
    let size = size_of::<abi::ModifiedMemoryExtent>() as u64;
    let list = call
        .second
        .filter(|list| list.size / size >= ask.nr_extents.into());
    let Some(list) = list else {
        return Err(EINVAL);
    };
    let mut left = STEP;
    while ask.nr_extents > 0 {
        let extent: abi::ModifiedMemoryExtent = Handle::new(list.addr)
            .at(u64::from(ask.nr_extents) - 1)?
            .read(call.caller)?;
        let end = extent.first_pfn.checked_add(extent.nr.into());
        let valid = extent.pad == 0
            && ask.opaque < extent.nr
            && end.is_some_and(|end| end <= call.domain.p2m.maximum_gfn().saturating_add(1));
        if !valid {
            return Err(EINVAL);
        }
        let now = (extent.nr - ask.opaque).min(left);
        let first = extent.first_pfn + u64::from(ask.opaque);
        for gfn in first..first + u64::from(now) {
            call.domain.p2m.note_written(gfn);
        }
        left -= now;
        ask.opaque += now;
        if ask.opaque == extent.nr {
            ask.nr_extents -= 1;
            ask.opaque = 0;
        }
        if left == 0 && ask.nr_extents > 0 {
            call.answer(&ask)?;
            return Err(ERESTART);
        }
    }
    Ok(())
}

/// `XEN_DMOP_set_mem_type`: makes frames RAM, RAM that the guest may only read, RAM whose writes a server gets, or a
/// device's.
///
/// # Errors
///
/// `EINVAL` for padding that is not 0, a range that wraps or is beyond the guest's memory, a type that there is not,
/// and for frames that cannot have the type; `ENOMEM`, `ERESTART`.
pub(super) fn set_type(call: &Call<'_>) -> Result {
    let mut ask: abi::SetMemType = call.payload()?;
    let last = ask
        .first_pfn
        .checked_add(ask.nr.into())
        .and_then(|end| end.checked_sub(1))
        .filter(|last| *last >= ask.first_pfn && *last <= call.domain.p2m.maximum_gfn());
    if ask.pad != 0 || last.is_none() {
        return Err(EINVAL);
    }
    let to = match ask.mem_type {
        hvm::MEM_RAM_RW => P2mType::RamRw,
        hvm::MEM_RAM_RO => P2mType::RamRo,
        hvm::MEM_MMIO_DM => P2mType::MmioDm,
        hvm::MEM_IOREQ_SERVER => {
            if call.domain.ioreq.lock().memory_server().is_none() {
                return Err(EINVAL);
            }
            P2mType::IoreqServer
        }
        _ => return Err(EINVAL),
    };
    let now = ask.nr.min(STEP);
    // CAST: A small number.
    let mut removed = Removed::with_capacity(now as usize)?;
    let mut result = Ok(());
    for gfn in ask.first_pfn..ask.first_pfn + u64::from(now) {
        result = call
            .domain
            .p2m
            .retype(gfn, &mut removed, |from| allowed(from, to));
        if result.is_err() {
            break;
        }
    }
    // Processors may know the old types of what was changed, also if not all was.
    call.domain.p2m.flush();
    call.domain.release(removed);
    result?;
    if now < ask.nr {
        ask.first_pfn += u64::from(now);
        ask.nr -= now;
        call.answer(&ask)?;
        return Err(ERESTART);
    }
    Ok(())
}

/// Which types may become which, as in Xen.
///
/// # Errors
///
/// `EINVAL`.
fn allowed(from: P2mType, to: P2mType) -> Result<P2mType> {
    let may = match (from, to) {
        (P2mType::RamRw, P2mType::IoreqServer) | (P2mType::IoreqServer, P2mType::RamRw) => true,
        (P2mType::IoreqServer, _) | (_, P2mType::IoreqServer) => false,
        (P2mType::RamRw | P2mType::RamRo | P2mType::RamLogdirty, _) => true,
        (P2mType::Invalid | P2mType::MmioDm, P2mType::MmioDm) => true,
        _ => false,
    };
    if may {
        Ok(to)
    } else {
        Err(EINVAL)
    }
}

/// `XEN_DMOP_relocate_memory`: moves RAM to other frames, in steps.
///
/// # Errors
///
/// `EINVAL` for padding that is not 0; those of `XENMEM_add_to_physmap`; `ERESTART`.
pub(super) fn relocate(call: &Call<'_>) -> Result {
    let mut ask: abi::RelocateMemory = call.payload()?;
    if ask.pad != 0 {
        return Err(EINVAL);
    }
    let now = ask.size.min(STEP);
    move_frames(&call.domain, ask.src_gfn, ask.dst_gfn, ask.size, now)?;
    if now < ask.size {
        ask.size -= now;
        ask.src_gfn += u64::from(now);
        ask.dst_gfn += u64::from(now);
        call.answer(&ask)?;
        return Err(ERESTART);
    }
    Ok(())
}

/// `XEN_DMOP_pin_memory_cacheattr`: says how frames are cached. They are remembered, in ranges of which there may be a
/// few; guests without devices of the host's have all memory cached, and choose for themselves by their page tables.
///
/// # Errors
///
/// - `EINVAL` for padding that is not 0, a range that ends before it begins or lies beyond any memory, or an attribute
///   that there is not.
/// - `ENOENT` to forget a range that was not pinned; `EBUSY` for one that overlaps another; `ENOSPC` for too many.
pub(super) fn pin_cache_attribute(call: &Call<'_>) -> Result {
    let ask: abi::PinMemoryCacheattr = call.payload()?;
    if ask.pad != 0 || ask.end < ask.start || (ask.start | ask.end) >= MAX_GFN {
        return Err(EINVAL);
    }
    let mut control = call.domain.control().lock();
    let list = &mut control.cache_attributes;
    let exact = list
        .iter()
        .position(|range| range.0 == ask.start && range.1 == ask.end);
    match ask.type_ {
        abi::DELETE_MEM_CACHEATTR => {
            let _ = list.remove(exact.ok_or(ENOENT)?);
            return Ok(());
        }
        abi::MEM_CACHEATTR_UC
        | abi::MEM_CACHEATTR_WC
        | abi::MEM_CACHEATTR_WT
        | abi::MEM_CACHEATTR_WP
        | abi::MEM_CACHEATTR_WB
        | abi::MEM_CACHEATTR_UCM => {}
        _ => return Err(EINVAL),
    }
    if let Some(range) = exact.and_then(|at| list.get_mut(at)) {
        range.2 = ask.type_;
        return Ok(());
    }
    if list
        .iter()
        .any(|range| range.0 <= ask.end && ask.start <= range.1)
    {
        return Err(EBUSY);
    }
    if list.len() >= MAX_CACHE_ATTRIBUTES {
        return Err(ENOSPC);
    }
    list.push((ask.start, ask.end, ask.type_), GFP_KERNEL)?;
    Ok(())
}
