// SPDX-License-Identifier: GPL-2.0-only

//! How guests are refused what only the control domain may do: in the order of Xen's checks, so that a guest that asks
//! in a wrong form is told that first. Nothing is logged, which guests could do without end.

use zerocopy::{
    FromBytes,
    IntoBytes, //
};

use crate::abi::domctl::{
    self,
    XenDomctl, //
};
use crate::abi::errno::{
    Errno,
    EACCES,
    EPERM, //
};
use crate::abi::platform::{
    self,
    XenPlatformOp, //
};
use crate::abi::sysctl::{
    self,
    XenSysctl, //
};
use crate::hypercall::caller::{
    Caller,
    Handle, //
};

/// Reads the argument and compares the version that the caller speaks.
fn check<T: FromBytes + IntoBytes>(
    caller: &Caller<'_>,
    arg: u64,
    spoken: u32,
    version: impl FnOnce(&T) -> u32,
) -> core::result::Result<T, Errno> {
    let op: T = Handle::new(arg).read(caller)?;
    if version(&op) == spoken {
        Ok(op)
    } else {
        Err(EACCES)
    }
}

/// Finds why a guest's `domctl` is refused: `EFAULT`, `EACCES` for another version, `ESRCH` if there is no such domain
/// (`DOMID_SELF` is none), or `EPERM`.
pub(super) fn domctl(caller: &Caller<'_>, arg: u64) -> Errno {
    let op = match check(caller, arg, domctl::INTERFACE_VERSION, |op: &XenDomctl| {
        op.interface_version
    }) {
        Ok(op) => op,
        Err(errno) => return errno,
    };
    if op.cmd == domctl::CREATEDOMAIN {
        return EPERM;
    }
    caller.hypervisor.domain(op.domain).err().unwrap_or(EPERM)
}

/// Finds why a guest's `sysctl` is refused: `EFAULT`, `EACCES` for another version, or `EPERM`.
pub(super) fn sysctl(caller: &Caller<'_>, arg: u64) -> Errno {
    let version = |op: &XenSysctl| op.interface_version;
    check(caller, arg, sysctl::INTERFACE_VERSION, version)
        .err()
        .unwrap_or(EPERM)
}

/// Finds why a guest's `platform_op` is refused: `EFAULT`, `EACCES` for another version, or `EPERM`.
pub(super) fn platform_op(caller: &Caller<'_>, arg: u64) -> Errno {
    let version = |op: &XenPlatformOp| op.interface_version;
    check(caller, arg, platform::INTERFACE_VERSION, version)
        .err()
        .unwrap_or(EPERM)
}
