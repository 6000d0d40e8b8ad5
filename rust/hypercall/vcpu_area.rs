// SPDX-License-Identifier: GPL-2.0-only

//! Areas that a vCPU's guest reads while we write them: the runstate and the second time area, each given by linear or
//! by guest physical address.
//!
//! A linear address is translated with the page tables of the vCPU that calls, whichever vCPU the area is for, once,
//! during the call; the pages are the area from then on, wherever the address leads later. With the domain's policy
//! `runstate_va=walk` the address itself is kept instead, and translated at each update with the page tables of the
//! vCPU that the area is for, as Xen does. `include/uapi/oxen/runstate.h` has the whole of what is promised.

use super::caller::{
    Caller,
    Handle,
    Origin, //
};
use crate::abi::errno::{
    Result,
    EFAULT,
    EINVAL,
    ENXIO, //
};
use crate::abi::vcpu::RegisterArea;
use crate::abi::xen::TIME_INFO_SIZE;
use crate::domain::clock;
use crate::domain::runstate::{
    write_time_once,
    Linear,
    TimePlace, //
};
use crate::domain::vcpu::{
    request,
    Vcpu, //
};
use crate::mm::guest::Stretch;
use crate::mm::walk::Paging;
use crate::sys::page::PAGE_SIZE;
use crate::time::pvclock::{
    TimeInfo,
    Version, //
};
use crate::time::runstate::place::Place;
use crate::time::runstate::record::Layout;

/// The physical address that unregisters.
const NOWHERE: u64 = u64::MAX;

/// The linear address that the caller passes; 32-bit callers pass the low half of it only.
fn linear_address(caller: &Caller<'_>, arg: u64) -> Result<u64> {
    if caller.is_compat() {
        Ok(Handle::<u32>::new(arg).read(caller)?.into())
    } else {
        Ok(Handle::<RegisterArea>::new(arg).read(caller)?.p)
    }
}

/// The guest physical address that the caller passes, which is that of `len` bytes in one page; `None` unregisters.
///
/// # Errors
///
/// `ENXIO` if they cross a page, or are not aligned to a word of the guest.
fn physical_address(caller: &Caller<'_>, arg: u64, len: usize) -> Result<Option<u64>> {
    let gpa = Handle::<RegisterArea>::new(arg).read(caller)?.p;
    if gpa == NOWHERE {
        return Ok(None);
    }
    let word = if caller.domain.is_compat() { 4 } else { 8 };
    // CAST: Twelve bits.
    if gpa % word != 0 || (gpa & 0xfff) as usize > PAGE_SIZE - len {
        return Err(ENXIO);
    }
    Ok(Some(gpa))
}

/// How the caller's linear addresses are translated.
fn paging<'a>(caller: &'a Caller<'_>) -> Result<&'a Paging> {
    match &caller.origin {
        Origin::Guest { paging, .. } => Ok(paging),
        Origin::Host => Err(EFAULT),
    }
}

/// What a guest needs to know to tell the time on a vCPU.
fn time_info(caller: &Caller<'_>, vcpu: &Vcpu) -> TimeInfo {
    clock::time_info(caller.domain.tsc_offset_of(vcpu))
}

/// `VCPUOP_register_runstate_memory_area`.
///
/// # Errors
///
/// `EFAULT` if the guest could not write there; the old area stays then.
pub(super) fn runstate_linear(caller: &Caller<'_>, vcpu: &Vcpu, arg: u64) -> Result {
    let (domain, p2m) = (caller.domain, &caller.domain.p2m);
    let linear = linear_address(caller, arg)?;
    if linear == 0 {
        drop(vcpu.runstate.set_linear(p2m, None, None)?);
        return Ok(());
    }
    let paging = paging(caller)?;
    let layout = Layout::of(domain.is_compat());
    if domain.walks() {
        let new = Some(Linear::Walk(linear));
        drop(vcpu.runstate.set_linear(p2m, None, new)?);
        // As in Xen it is no error that nothing is there now.
        if let Ok(pinned) = Stretch::linear(p2m, paging, linear, layout.len()) {
            vcpu.runstate.fill(&place(&pinned, layout)?);
        }
        return Ok(());
    }
    let pinned = Stretch::linear(p2m, paging, linear, layout.len())?;
    let place = place(&pinned, layout)?;
    let garbage = vcpu
        .runstate
        .set_linear(p2m, Some(&pinned), Some(Linear::Once(place)))?;
    drop(garbage);
    // The guest may have changed its width meanwhile.
    vcpu.runstate.set_layout(Layout::of(domain.is_compat()));
    Ok(())
}

fn place(pinned: &Stretch, layout: Layout) -> Result<Place> {
    Place::new(
        pinned.first().clone(),
        pinned.second().cloned(),
        pinned.offset(),
        layout,
    )
}

/// `VCPUOP_register_runstate_phys_area`. The layout is that of the caller's mode.
///
/// # Errors
///
/// `ENXIO` if it crosses a page or is not aligned to a word of the guest, `EINVAL` if the guest has no page of its own
/// there, `EACCES` if it could not write to it. The old area stays then.
pub(super) fn runstate_physical(caller: &Caller<'_>, vcpu: &Vcpu, arg: u64) -> Result {
    let p2m = &caller.domain.p2m;
    let layout = Layout::of(caller.is_compat());
    let garbage = match physical_address(caller, arg, layout.len())? {
        None => vcpu.runstate.set_physical(p2m, None, None)?,
        Some(gpa) => {
            let pinned = Stretch::physical(p2m, gpa)?;
            let place = place(&pinned, layout)?;
            vcpu.runstate
                .set_physical(p2m, Some(&pinned), Some(place))
                .map_err(|_| EINVAL)?
        }
    };
    drop(garbage);
    Ok(())
}

/// Has the vCPU write what it reads about time again: its counter may have been set while an area was filled, and an
/// area that was silent may be written now.
fn written_again(vcpu: &Vcpu) {
    vcpu.request(request::TIME);
}

/// `VCPUOP_register_vcpu_time_memory_area`.
///
/// # Errors
///
/// As [`runstate_linear`].
pub(super) fn time_linear(caller: &Caller<'_>, vcpu: &Vcpu, arg: u64) -> Result {
    let (domain, p2m) = (caller.domain, &caller.domain.p2m);
    let linear = linear_address(caller, arg)?;
    let info = time_info(caller, vcpu);
    if linear == 0 {
        drop(vcpu.runstate.set_time_linear(p2m, None, None, &info)?);
        return Ok(());
    }
    let paging = paging(caller)?;
    if domain.walks() {
        let new = Some(Linear::Walk(linear));
        drop(vcpu.runstate.set_time_linear(p2m, None, new, &info)?);
        let _ = write_time_once(p2m, paging, linear, &info, &mut Version::default());
        return Ok(());
    }
    let pinned = Stretch::linear(p2m, paging, linear, TIME_INFO_SIZE)?;
    let new = Some(Linear::Once(TimePlace::new(&pinned)?));
    let garbage = vcpu
        .runstate
        .set_time_linear(p2m, Some(&pinned), new, &info)?;
    drop(garbage);
    written_again(vcpu);
    Ok(())
}

/// `VCPUOP_register_vcpu_time_phys_area`.
///
/// # Errors
///
/// As [`runstate_physical`].
pub(super) fn time_physical(caller: &Caller<'_>, vcpu: &Vcpu, arg: u64) -> Result {
    let p2m = &caller.domain.p2m;
    let info = time_info(caller, vcpu);
    let garbage = match physical_address(caller, arg, TIME_INFO_SIZE)? {
        None => vcpu.runstate.set_time_physical(p2m, None, None, &info)?,
        Some(gpa) => {
            let pinned = Stretch::physical(p2m, gpa)?;
            let new = Some(TimePlace::new(&pinned)?);
            vcpu.runstate
                .set_time_physical(p2m, Some(&pinned), new, &info)
                .map_err(|_| EINVAL)?
        }
    };
    drop(garbage);
    written_again(vcpu);
    Ok(())
}
