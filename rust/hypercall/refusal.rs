// SPDX-License-Identifier: GPL-2.0-only

//! How guests are refused what only the control domain may do: in the order of Xen's checks, so that a guest that asks
//! in a wrong form is told that first. Nothing is logged, which guests could do without end.

use crate::abi::domctl::{
    self,
    XenDomctl, //
};
use crate::abi::errno::{
    Errno,
    EPERM, //
};
use crate::abi::platform::XenPlatformOp;
use crate::abi::sysctl::XenSysctl;
use crate::hypercall::caller::Caller;
use crate::hypercall::versioned::Versioned;

/// Finds why a guest's `domctl` is refused: `EFAULT`, `EACCES` for another version, `ESRCH` if there is no such domain
/// (`DOMID_SELF` is none), or `EPERM`.
pub(super) fn domctl(caller: &Caller<'_>, arg: u64) -> Errno {
    match XenDomctl::read(caller, arg) {
        Err(errno) => errno,
        Ok(op) if op.cmd == domctl::CREATEDOMAIN => EPERM,
        Ok(op) => caller.hypervisor.domain(op.domain).err().unwrap_or(EPERM),
    }
}

/// Finds why a guest's `sysctl` is refused: `EFAULT`, `EACCES` for another version, or `EPERM`.
pub(super) fn sysctl(caller: &Caller<'_>, arg: u64) -> Errno {
    XenSysctl::read(caller, arg).err().unwrap_or(EPERM)
}

/// Finds why a guest's `platform_op` is refused: `EFAULT`, `EACCES` for another version, or `EPERM`.
pub(super) fn platform_op(caller: &Caller<'_>, arg: u64) -> Errno {
    XenPlatformOp::read(caller, arg).err().unwrap_or(EPERM)
}
