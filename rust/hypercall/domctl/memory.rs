// SPDX-License-Identifier: GPL-2.0-only

//! A domain's memory: limits, what stands behind frames.

use super::Call;
use crate::abi::domctl::domain::{
    HypercallInit,
    MaxMem, //
};
use crate::abi::domctl::paging as abi;
use crate::abi::errno::{
    Result,
    E2BIG,
    EINVAL,
    ENOENT,
    ENOMEM,
    ENOSYS,
    EOPNOTSUPP,
    EPERM, //
};
use crate::domain::Domain;
use crate::hypercall::caller::Handle;
use crate::sys::page;

/// KiB of a page, as a shift.
const KIB_SHIFT: u32 = page::PAGE_SHIFT - 10;
/// The highest limit: Xen's counter of pages has 32 bits, and all ones means none.
const MAX_PAGES: u64 = u32::MAX as u64 - 1;
/// Frames of one [`get_page_frame_info`].
const MAX_FRAMES: u64 = 1024;
/// MiB, as a shift.
const MIB_SHIFT: u32 = 20;

/// `XEN_DOMCTL_max_mem`: how much memory the domain may have. Less than it has only keeps it from getting more.
pub(super) fn max_mem(call: &Call<'_>, domain: &Domain) -> Result {
    let ask: MaxMem = call.payload()?;
    domain
        .p2m
        .set_max_pages((ask.max_memkb >> KIB_SHIFT).min(MAX_PAGES));
    Ok(())
}

/// `XEN_DOMCTL_get_paging_mempool_size`.
pub(super) fn get_paging_pool(call: &mut Call<'_>, domain: &Domain) -> Result {
    let size = domain.control().lock().paging_pool;
    call.answer(&abi::PagingMempool { size })
}

/// `XEN_DOMCTL_set_paging_mempool_size`: kept and reported. Nested page tables are made when they are needed, and
/// charged to whoever populates the memory that they map.
///
/// # Errors
///
/// `EINVAL` for a part of a page, `ENOMEM` for more than the host has.
pub(super) fn set_paging_pool(call: &Call<'_>, domain: &Domain) -> Result {
    let ask: abi::PagingMempool = call.payload()?;
    set_pool(domain, ask.size)
}

fn set_pool(domain: &Domain, size: u64) -> Result {
    let pages = size >> page::PAGE_SHIFT;
    if size % page::PAGE_SIZE as u64 != 0 || pages > u64::from(u32::MAX) {
        return Err(EINVAL);
    }
    if pages > page::total_pages() {
        return Err(ENOMEM);
    }
    domain.control().lock().paging_pool = size;
    Ok(())
}

/// `XEN_DOMCTL_shadow_op`: the paging pool in MiB. Writes are not logged yet.
///
/// # Errors
///
/// `EINVAL` before the vCPUs are made and for ending or reading a log that there is not, `EOPNOTSUPP` for beginning
/// one, `ENOSYS`.
pub(super) fn shadow_op(call: &mut Call<'_>, domain: &Domain) -> Result {
    let mut ask: abi::ShadowOp = call.payload()?;
    if domain.vcpus().is_empty() {
        return Err(EINVAL);
    }
    match ask.op {
        abi::SHADOW_OP_GET_ALLOCATION => {
            let size = domain.control().lock().paging_pool;
            // CAST: The pool is not larger than the host's memory.
            ask.mb = size.div_ceil(1 << MIB_SHIFT) as u32;
            call.answer(&ask)
        }
        abi::SHADOW_OP_SET_ALLOCATION => set_pool(domain, u64::from(ask.mb) << MIB_SHIFT),
        abi::SHADOW_OP_ENABLE | abi::SHADOW_OP_ENABLE_LOGDIRTY | abi::SHADOW_OP_ENABLE_TEST => {
            Err(call.refuse(
                EOPNOTSUPP,
                format_args!("writes to memory cannot be logged, so no live migration"),
            ))
        }
        abi::SHADOW_OP_OFF | abi::SHADOW_OP_CLEAN | abi::SHADOW_OP_PEEK => Err(EINVAL),
        _ => Err(ENOSYS),
    }
}

/// `XEN_DOMCTL_getpageframeinfo3`: replaces each frame number by the kind of its page.
///
/// # Errors
///
/// `E2BIG` for too many frames at once, `EFAULT`.
pub(super) fn get_page_frame_info(call: &Call<'_>, domain: &Domain) -> Result {
    let ask: abi::GetPageFrameInfo3 = call.payload()?;
    if ask.num > MAX_FRAMES {
        return Err(E2BIG);
    }
    for index in 0..ask.num {
        let slot = Handle::<u64>::new(ask.array).at(index)?;
        let gfn = slot.read(call.caller)?;
        let there = domain.p2m.lookup(gfn).is_some_and(|leaf| leaf.ty.is_ram());
        let kind = if there {
            abi::PFINFO_NOTAB
        } else {
            abi::PFINFO_XTAB
        };
        slot.write(call.caller, &u64::from(kind))?;
    }
    Ok(())
}

/// `XEN_DOMCTL_hypercall_init`: fills a page of the guest's with stubs that make hypercalls.
///
/// # Errors
///
/// `EINVAL` if there is no page, `EPERM` if it cannot be written.
pub(super) fn hypercall_init(call: &Call<'_>, domain: &Domain) -> Result {
    let ask: HypercallInit = call.payload()?;
    let page =
        domain
            .p2m
            .get(ask.gmfn, true)
            .map_err(|errno| if errno == ENOENT { EINVAL } else { EPERM })?;
    crate::hypercall::stubs::fill(&page);
    Ok(())
}
