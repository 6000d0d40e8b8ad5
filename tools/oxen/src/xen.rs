// SPDX-License-Identifier: GPL-2.0-only

//! Xen's tool interface, as the host's kernel passes it on: `/dev/xen/privcmd` and
//! `/dev/xen/evtchn`.
//!
//! [`Hypervisor`] is the only way to the hypervisor. Each hypercall has a typed function in the
//! module of its Xen name; everything above calls these, with the real devices or with the stand-in
//! of the tests.

pub(crate) mod domctl;
pub(crate) mod event_channel;
pub(crate) mod evtchn;
pub(crate) mod hvm;
pub(crate) mod livepatch;
pub(crate) mod mapping;
pub(crate) mod memory;
#[cfg(test)]
pub(crate) mod mock;
pub(crate) mod privcmd;
pub(crate) mod sched;
pub(crate) mod sysctl;
pub(crate) mod version;

use nix::errno::Errno;
use zerocopy::{
    FromBytes,
    IntoBytes, //
};

use mapping::{
    Access,
    Mapping, //
};

/// What a hypercall answers: a number that is not negative, or the error.
pub(crate) type CallResult<T = u64> = std::result::Result<T, Errno>;

/// A hypervisor that speaks Xen's ABI.
pub(crate) trait Hypervisor {
    /// Issues hypercall number `op`.
    ///
    /// # Errors
    ///
    /// Fails with the hypervisor's error number, or with the kernel's if the call did not get
    /// there.
    ///
    /// # Safety
    ///
    /// Every address among `args`, and every address in the structures that they lead to, has to be
    /// valid for the reads and writes that Xen's ABI defines for this hypercall.
    unsafe fn hypercall(&self, op: u32, args: [u64; 5]) -> CallResult;

    /// Maps guest frames of a domain, one after the other.
    ///
    /// # Errors
    ///
    /// Fails if any of the frames cannot be mapped: nothing is mapped then.
    fn map_foreign(
        &self,
        domid: u16,
        gfns: &[u64],
        access: Access,
    ) -> crate::error::Result<Mapping>;
}

/// Issues a hypercall whose arguments are a sub-operation and a structure, which is read and
/// written.
///
/// # Errors
///
/// Fails as the hypercall does.
///
/// # Safety
///
/// `arg` has to be the structure of sub-operation `cmd`, and every address in it has to be valid
/// for what the sub-operation does with it.
unsafe fn call_with<T: FromBytes + IntoBytes>(
    hv: &dyn Hypervisor,
    op: u32,
    cmd: u32,
    arg: &mut T,
) -> CallResult {
    let address = std::ptr::from_mut(arg) as u64;
    // SAFETY: `arg` is valid for reads and writes of its length, every byte pattern is a valid `T`,
    // and the caller vouches for the addresses in it.
    unsafe { hv.hypercall(op, [cmd.into(), address, 0, 0, 0]) }
}
