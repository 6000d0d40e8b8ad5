// SPDX-License-Identifier: GPL-2.0-only

//! Checks of a grant operation's arguments that need no table.

use super::{
    pin::Access,
    status::{
        GntResult,
        Gntst, //
    },
};
use crate::{
    abi::{
        errno::{
            self,
            Result, //
        },
        grant_table::{
            CACHE_CLEAN,
            CACHE_FLUSH,
            CACHE_INVAL,
            COPY,
            GET_VERSION,
            GNTMAP_DEVICE_MAP,
            GNTMAP_HOST_MAP,
            GNTMAP_READONLY,
            MAP_GRANT_REF,
            QUERY_SIZE,
            SETUP_TABLE,
            SET_VERSION,
            SWAP_GRANT_REF,
            UNMAP_GRANT_REF, //
        },
        xen::DOMID_SELF,
    },
    sys::page::PAGE_SIZE,
};

/// Bits of the command below the place where a continuation keeps its position.
const CMD_BITS: u32 = 12;

/// Splits the command of `HYPERVISOR_grant_table_op` into the operation and the position from which a
/// `GNTTABOP_cache_flush` goes on (a multiple of 4096), and checks the number of operations.
///
/// # Errors
///
/// `EINVAL` for a count above 2^31 - 1, and for a position in another operation.
pub(crate) fn split_command(cmd: u32, count: u32) -> Result<(u32, u32)> {
    let op = cmd & ((1 << CMD_BITS) - 1);
    let position = cmd & !((1 << CMD_BITS) - 1);

    if i32::try_from(count).is_err() || (position != 0 && op != CACHE_FLUSH) {
        return Err(errno::EINVAL);
    }
    Ok((op, position))
}

/// Says whether a guest with a physical memory map of its own may issue the operation; for every other one
/// it gets `ENOSYS`.
pub(crate) const fn allowed_for_guest(op: u32) -> bool {
    matches!(
        op,
        MAP_GRANT_REF
            | UNMAP_GRANT_REF
            | SETUP_TABLE
            | COPY
            | QUERY_SIZE
            | SWAP_GRANT_REF
            | SET_VERSION
            | GET_VERSION
    )
}

/// Checks the flags of `GNTTABOP_map_grant_ref` and returns the access they ask for.
///
/// Only mappings for the CPU are offered, and no bits of a page table entry can be chosen, as in Xen for
/// guests with a physical memory map of their own.
///
/// # Errors
///
/// - `GNTST_bad_gntref` if the flags ask for no mapping.
/// - `GNTST_general_error` for any flag but `GNTMAP_host_map` and `GNTMAP_readonly`.
pub(crate) fn check_map_flags(flags: u32) -> GntResult<Access> {
    if flags & (GNTMAP_DEVICE_MAP | GNTMAP_HOST_MAP) == 0 {
        return Err(Gntst::BAD_GNTREF);
    }
    if flags & !GNTMAP_READONLY != GNTMAP_HOST_MAP {
        return Err(Gntst::GENERAL_ERROR);
    }

    Ok(if flags & GNTMAP_READONLY != 0 {
        Access::Read
    } else {
        Access::Write
    })
}

/// Checks one side of a `GNTTABOP_copy`: a domain may name frames of its own only, and needs a grant for
/// those of others.
///
/// # Errors
///
/// `GNTST_permission_denied`.
pub(crate) fn check_copy_side(domid: u16, by_grant: bool) -> GntResult {
    if by_grant || domid == DOMID_SELF {
        Ok(())
    } else {
        Err(Gntst::PERMISSION_DENIED)
    }
}

/// Checks that neither side of a `GNTTABOP_copy` goes past the end of its page.
///
/// # Errors
///
/// `GNTST_bad_copy_arg`.
pub(crate) fn check_copy_bounds(source: u16, dest: u16, len: u16) -> GntResult {
    let fits = |offset: u16| usize::from(offset).saturating_add(usize::from(len)) <= PAGE_SIZE;

    if fits(source) && fits(dest) {
        Ok(())
    } else {
        Err(Gntst::BAD_COPY_ARG)
    }
}

/// What a `GNTTABOP_cache_flush` asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CacheOp {
    /// Nothing.
    Nothing,
    /// Write back.
    Clean,
    /// Write back and discard.
    CleanAndInvalidate,
    /// Discard without writing back, which x86 cannot do to a range: `EOPNOTSUPP` once the mapping has been
    /// found.
    Invalidate,
}

/// Checks the arguments of `GNTTABOP_cache_flush`.
///
/// # Errors
///
/// `EINVAL` for a range that leaves its page and for an unknown operation, which includes naming the page by
/// grant reference.
pub(crate) fn check_cache_flush(offset: u16, length: u16, op: u32) -> Result<CacheOp> {
    let (from, bytes) = (usize::from(offset), usize::from(length));

    if from >= PAGE_SIZE
        || from.saturating_add(bytes) > PAGE_SIZE
        || op & !(CACHE_CLEAN | CACHE_INVAL) != 0
    {
        return Err(errno::EINVAL);
    }
    if bytes == 0 {
        return Ok(CacheOp::Nothing);
    }

    Ok(match (op & CACHE_CLEAN != 0, op & CACHE_INVAL != 0) {
        (false, false) => CacheOp::Nothing,
        (true, false) => CacheOp::Clean,
        (true, true) => CacheOp::CleanAndInvalidate,
        (false, true) => CacheOp::Invalidate,
    })
}
