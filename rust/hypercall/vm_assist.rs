// SPDX-License-Identifier: GPL-2.0-only

//! `vm_assist`.

use super::Args;
use crate::abi::errno::{
    Result,
    EINVAL,
    ENOSYS, //
};
use crate::abi::xen;
use crate::hypercall::caller::Caller;

/// What an HVM guest may ask for.
const ALLOWED: u64 = 1 << xen::VMASST_TYPE_RUNSTATE_UPDATE_FLAG;

/// Turns an assist on or off.
///
/// # Errors
///
/// `EINVAL` for an assist that an HVM guest does not have, `ENOSYS` for another command.
pub(crate) fn vm_assist(caller: &Caller<'_>, args: &mut Args) -> Result<i64> {
    // CAST: Both have 32 bits.
    let (cmd, kind) = (args[0] as u32, args[1] as u32);
    let bit = 1u64.checked_shl(kind).unwrap_or(0);
    if bit & ALLOWED == 0 {
        return Err(EINVAL);
    }
    match cmd {
        xen::VMASST_CMD_ENABLE => {
            caller.domain.set_assists(bit, true);
        }
        xen::VMASST_CMD_DISABLE => {
            caller.domain.set_assists(bit, false);
        }
        _ => return Err(ENOSYS),
    }
    Ok(0)
}
