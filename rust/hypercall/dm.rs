// SPDX-License-Identifier: GPL-2.0-only

//! `dm_op`: what a device model does with its guest. There are no device models: who may ask, and in a form that is
//! right, is told that there is no such operation.

use super::Args;
use crate::abi::dm_op as abi;
use crate::abi::errno::{
    Result,
    E2BIG,
    EFAULT,
    EINVAL,
    EOPNOTSUPP, //
};
use crate::domain::DOM0;
use crate::hypercall::caller::{
    Caller,
    Handle, //
};

/// Buffers of a call, as in Xen.
const MAX_BUFFERS: u32 = 8;

/// Performs an operation on the domain `args[0]` with `args[1]` buffers, whose list is at `args[2]`.
///
/// # Errors
///
/// - `E2BIG` for too many buffers, `EFAULT` for a list that cannot be read or an operation that is too short.
/// - `ESRCH` if there is no such other domain, `EINVAL` for the control domain, `EPERM` if the caller has no power over
///   it.
/// - `EOPNOTSUPP` for all operations.
pub(crate) fn dm_op(caller: &Caller<'_>, args: &mut Args) -> Result<i64> {
    // CAST: A domain's number has 16 bits, the count has 32.
    let (domid, count) = (args[0] as u16, args[1] as u32);
    if count > MAX_BUFFERS {
        return Err(E2BIG);
    }
    let mut first = None;
    for index in 0..count {
        let buffer = if caller.is_compat() {
            let at = Handle::<abi::compat::XenDmOpBuf>::new(args[2]).at(index.into())?;
            Handle::<abi::XenDmOpBuf>::new(at.addr()).read_as::<abi::compat::XenDmOpBuf>(caller)?
        } else {
            Handle::<abi::XenDmOpBuf>::new(args[2])
                .at(index.into())?
                .read(caller)?
        };
        first = first.or(Some(buffer));
    }
    let domain = caller.remote(domid)?;
    if domain.id() == DOM0 {
        return Err(EINVAL);
    }
    // The operation's number comes first in the first buffer, and padding after it.
    let op = first.filter(|op| op.size >= 8).ok_or(EFAULT)?;
    let _number: u64 = Handle::new(op.h).read(caller)?;
    Err(EOPNOTSUPP)
}
