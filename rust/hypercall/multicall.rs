// SPDX-License-Identifier: GPL-2.0-only

//! `multicall`: several hypercalls in one. The tools' library sends each memory operation this way.

use super::{
    dispatch,
    result_to_reg,
    Args, //
};
use crate::abi::errno::{
    Result,
    EFAULT,
    EINVAL,
    ERESTART, //
};
use crate::abi::xen;
use crate::hypercall::caller::{
    Caller,
    Handle, //
};

/// Performs `args[1]` calls of the list at `args[0]`. Each entry gets its own result.
///
/// # Errors
///
/// `EFAULT` if an entry cannot be read or written.
pub(crate) fn multicall(caller: &Caller<'_>, args: &mut Args) -> Result<i64> {
    // CAST: The count has 32 bits.
    let mut left = args[1] as u32;
    let size = if caller.is_compat() {
        size_of::<xen::compat::MulticallEntry>()
    } else {
        size_of::<xen::MulticallEntry>()
    } as u64;
    if left != 0 {
        let handle = Handle::<xen::MulticallEntry>::new(args[0]);
        let mut entry = handle.read_as::<xen::compat::MulticallEntry>(caller)?;
        let mut inner: Args = entry.args;
        // There is no multicall in a multicall.
        let result = if entry.op == u64::from(xen::MULTICALL) {
            Err(EINVAL)
        } else {
            dispatch(caller, entry.op, &mut inner)
        };
        if result == Err(ERESTART) {
            entry.args = inner;
        } else {
            entry.result = result_to_reg(result);
            left -= 1;
        }
        if caller.is_compat() {
            let narrow =
                <xen::compat::MulticallEntry as crate::abi::layout::Widen<_>>::narrow(entry);
            Handle::new(args[0]).write(caller, &narrow)?;
        } else {
            handle.write(caller, &entry)?;
        }
        if result == Err(ERESTART) {
            return Err(ERESTART);
        }
        args[0] = args[0].checked_add(size).ok_or(EFAULT)?;
        args[1] = left.into();
    }
    if left == 0 {
        Ok(0)
    } else {
        Err(ERESTART)
    }
}
