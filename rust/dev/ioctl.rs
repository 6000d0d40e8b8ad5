// SPDX-License-Identifier: GPL-2.0-only

//! Arguments of ioctls.

use kernel::uaccess::{
    UserPtr,
    UserSlice, //
};
use zerocopy::{
    FromBytes,
    Immutable,
    IntoBytes, //
};

use crate::abi::errno::{
    Result,
    EFAULT, //
};

/// Copies an argument in, once.
///
/// # Errors
///
/// `EFAULT`.
pub(super) fn read<T: FromBytes + IntoBytes>(addr: usize) -> Result<T> {
    let mut value = T::new_zeroed();
    UserSlice::new(UserPtr::from_addr(addr), size_of::<T>())
        .reader()
        .read_slice(value.as_mut_bytes())
        .map_err(|_| EFAULT)?;
    Ok(value)
}

/// Copies an argument back.
///
/// # Errors
///
/// `EFAULT`.
pub(super) fn write<T: IntoBytes + Immutable>(addr: usize, value: &T) -> Result {
    UserSlice::new(UserPtr::from_addr(addr), size_of::<T>())
        .writer()
        .write_slice(value.as_bytes())
        .map_err(|_| EFAULT)
}

/// The element `index` of an array of `T` at `addr`.
///
/// # Errors
///
/// `EFAULT` if it would be beyond the address space.
pub(super) fn element<T>(addr: u64, index: u64) -> Result<usize> {
    index
        .checked_mul(size_of::<T>() as u64)
        .and_then(|offset| addr.checked_add(offset))
        .and_then(|at| usize::try_from(at).ok())
        .ok_or(EFAULT)
}
