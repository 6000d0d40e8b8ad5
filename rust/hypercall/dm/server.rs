// SPDX-License-Identifier: GPL-2.0-only

//! I/O request servers.

use super::Call;
use crate::abi::dm_op as abi;
use crate::abi::errno::{
    Result,
    EINVAL,
    ERESTART, //
};
use crate::abi::hvm::MEM_IOREQ_SERVER;
use crate::hw::npt::P2mType;
use crate::ioreq::{
    Buffering,
    Creator, //
};

/// A range whose writes are buffered: ours, not Xen's. See `include/uapi/oxen/dm_op.h`.
const RANGE_BUFFERED: u32 = 1 << 31;

/// Frames that one step of taking a type back looks at.
const STEP_FRAMES: u64 = 1 << 16;

impl Call<'_> {
    /// The caller as one that makes servers.
    fn creator(&self) -> Creator {
        self.caller.domain.identity().creator()
    }
}

/// `XEN_DMOP_create_ioreq_server`.
///
/// # Errors
///
/// `EINVAL`; those of [`Domain::create_server`](crate::domain::Domain::create_server).
pub(super) fn create(call: &Call<'_>) -> Result {
    let mut ask: abi::CreateIoreqServer = call.payload()?;
    if ask.pad != [0; 3] {
        return Err(EINVAL);
    }
    let buffering = Buffering::from_raw(ask.handle_bufioreq)?;
    let owner = call.caller.owner.map_or(0, |owner| owner.claim());
    let creator = call.creator();
    let hypervisor = call.caller.hypervisor;
    ask.id = call
        .domain
        .create_server(hypervisor, creator, owner, buffering)?;
    call.answer(&ask).inspect_err(|_| {
        // Nobody would know its number.
        let _ = call.domain.destroy_server(hypervisor, creator, ask.id);
    })
}

/// `XEN_DMOP_get_ioreq_server_info`.
///
/// # Errors
///
/// `EINVAL` for a flag that there is not, `ENOENT`, `EPERM`; those of
/// [`Domain::use_gfns`](crate::domain::Domain::use_gfns) if guest frames are asked for.
pub(super) fn info(call: &Call<'_>) -> Result {
    let mut ask: abi::GetIoreqServerInfo = call.payload()?;
    if ask.flags & !abi::NO_GFNS != 0 {
        return Err(EINVAL);
    }
    let creator = call.creator();
    if ask.flags & abi::NO_GFNS == 0 {
        call.domain.use_gfns(creator, ask.id)?;
    }
    {
        let mut servers = call.domain.ioreq.lock();
        let server = servers.get(ask.id, creator)?;
        if let Some(port) = server.buffered_port() {
            ask.bufioreq_port = port;
        }
        if let Some((sync, buffered)) = server.gfns().filter(|_| ask.flags == 0) {
            ask.ioreq_gfn = sync;
            if let Some(gfn) = buffered {
                ask.bufioreq_gfn = gfn;
            }
        }
    }
    call.answer(&ask)
}

/// `XEN_DMOP_map_io_range_to_ioreq_server`.
///
/// # Errors
///
/// `EINVAL`, `ENOENT`, `EPERM`, `EEXIST`, `ENOMEM`.
pub(super) fn map_range(call: &Call<'_>) -> Result {
    let ask: abi::IoreqServerRange = call.payload()?;
    if ask.pad != 0 {
        return Err(EINVAL);
    }
    let buffered = ask.type_ & RANGE_BUFFERED != 0;
    call.domain.map_range(
        call.creator(),
        ask.id,
        ask.type_ & !RANGE_BUFFERED,
        (ask.start, ask.end),
        buffered,
    )
}

/// `XEN_DMOP_unmap_io_range_from_ioreq_server`.
///
/// # Errors
///
/// `EINVAL`, `ENOENT`, `EPERM`, `ENOMEM`.
pub(super) fn unmap_range(call: &Call<'_>) -> Result {
    let ask: abi::IoreqServerRange = call.payload()?;
    if ask.pad != 0 {
        return Err(EINVAL);
    }
    call.domain.unmap_range(
        call.creator(),
        ask.id,
        ask.type_ & !RANGE_BUFFERED,
        (ask.start, ask.end),
    )
}

/// `XEN_DMOP_set_ioreq_server_state`.
///
/// # Errors
///
/// `EINVAL`; those of [`Domain::enable_server`](crate::domain::Domain::enable_server).
pub(super) fn set_state(call: &Call<'_>) -> Result {
    let ask: abi::SetIoreqServerState = call.payload()?;
    if ask.pad != 0 {
        return Err(EINVAL);
    }
    call.domain
        .enable_server(call.creator(), ask.id, ask.enabled != 0)
}

/// `XEN_DMOP_destroy_ioreq_server`.
///
/// # Errors
///
/// `EINVAL`, `ENOENT`, `EPERM`.
pub(super) fn destroy(call: &Call<'_>) -> Result {
    let ask: abi::DestroyIoreqServer = call.payload()?;
    if ask.pad != 0 {
        return Err(EINVAL);
    }
    call.domain
        .destroy_server(call.caller.hypervisor, call.creator(), ask.id)
}

/// `XEN_DMOP_map_mem_type_to_ioreq_server`: writes to frames of the type `HVMMEM_ioreq_server` become requests. Taking
/// that back makes them normal RAM, in steps.
///
/// # Errors
///
/// - `EINVAL` for another type, for reads, and to take it from a server that does not have it.
/// - `ENOENT`, `EPERM`, `EBUSY` if a server has it already; `ERESTART` if there is more to do.
pub(super) fn map_memory_type(call: &Call<'_>) -> Result {
    let mut ask: abi::MapMemTypeToIoreqServer = call.payload()?;
    if ask.opaque == 0 {
        if ask.type_ != MEM_IOREQ_SERVER || ask.flags & !abi::IOREQ_MEM_ACCESS_WRITE != 0 {
            return Err(EINVAL);
        }
        call.domain
            .set_memory_type(call.creator(), ask.id, ask.flags != 0)?;
    }
    if ask.flags != 0 {
        return Ok(());
    }
    let p2m = &call.domain.p2m;
    let end = p2m.maximum_gfn().saturating_add(1);
    let stop = ask.opaque.saturating_add(STEP_FRAMES).min(end);
    let result = p2m.retype_all(ask.opaque..stop, P2mType::IoreqServer, P2mType::RamRw);
    result?;
    if stop < end {
        ask.opaque = stop;
        call.answer(&ask)?;
        return Err(ERESTART);
    }
    Ok(())
}
