// SPDX-License-Identifier: GPL-2.0-only

//! `/dev/xen/privcmd`: hypercalls and mappings of guest memory.

use std::fs::{
    File,
    OpenOptions, //
};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;
use nix::libc;

use super::mapping::{
    Access,
    Mapping, //
};
use super::{
    CallResult,
    Hypervisor, //
};
use crate::abi::oxen::{
    self,
    RunstatePolicy, //
};
use crate::abi::privcmd::{
    self,
    Hypercall,
    MmapBatchV2, //
};
use crate::cli::RunstateVa;
use crate::domain::layout::PAGE;
use crate::error::{
    Context,
    Error,
    Result, //
};

/// Where the device is.
pub(crate) const PATH: &str = "/dev/xen/privcmd";

/// The device, opened.
#[derive(Debug)]
pub(crate) struct Privcmd {
    file: File,
}

impl Privcmd {
    /// Opens the device.
    ///
    /// # Errors
    ///
    /// Fails if the module is not loaded or the caller may not use it; the way out is in the
    /// message.
    pub(crate) fn open() -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_CLOEXEC)
            .open(PATH)
            .hint_on(
                Errno::ENOENT,
                "load the module (modprobe oxen); `oxen status` says what is missing",
            )
            .hint_on(
                Errno::ENXIO,
                "load the module (modprobe oxen); `oxen status` says what is missing",
            )
            .hint_on(
                Errno::ENODEV,
                "load the module (modprobe oxen); `oxen status` says what is missing",
            )
            .hint_on(Errno::EACCES, "run this as root")
            .hint_on(Errno::EPERM, "run this as root")
            .step(format!("open {PATH}"))?;
        Ok(Self { file })
    }

    /// Issues an ioctl and returns what it answers.
    ///
    /// # Safety
    ///
    /// `arg` has to be the structure of `request`, with addresses that are valid for what it does.
    unsafe fn ioctl<T>(&self, request: u32, arg: &mut T) -> CallResult {
        // SAFETY: the descriptor is open, and the caller vouches for the argument.
        let answer = unsafe {
            libc::ioctl(
                self.file.as_raw_fd(),
                request as libc::Ioctl,
                std::ptr::from_mut(arg),
            )
        };
        // A negative answer is always -1, with the number in errno.
        u64::try_from(answer).map_err(|_| Errno::last())
    }
}

impl Privcmd {
    /// Chooses when a domain's areas that are given by linear address are translated, before it
    /// runs.
    ///
    /// # Errors
    ///
    /// Fails as the kernel does: on Xen itself there is no such choice.
    pub(crate) fn set_runstate_va(&self, domid: u16, when: RunstateVa) -> CallResult<()> {
        let mut arg = RunstatePolicy {
            domid,
            runstate_va: match when {
                RunstateVa::Once => oxen::RUNSTATE_VA_ONCE,
                RunstateVa::Walk => oxen::RUNSTATE_VA_WALK,
            },
        };
        // SAFETY: the structure belongs to the request, and there are no addresses in it.
        unsafe { self.ioctl(oxen::SET_RUNSTATE_POLICY, &mut arg) }.map(drop)
    }
}

impl Hypervisor for Privcmd {
    unsafe fn hypercall(&self, op: u32, args: [u64; 5]) -> CallResult {
        let mut arg = Hypercall {
            op: op.into(),
            arg: args,
        };
        // SAFETY: the structure belongs to the request; the caller vouches for the addresses in it.
        unsafe { self.ioctl(privcmd::HYPERCALL, &mut arg) }
    }

    fn map_foreign(&self, domid: u16, gfns: &[u64], access: Access) -> Result<Mapping> {
        let num = u32::try_from(gfns.len()).map_err(|_| Errno::E2BIG)?;
        let mapping = Mapping::new(&self.file, 0, gfns.len() * PAGE as usize, access)?;
        let mut errors = vec![0_i32; gfns.len()];
        let mut arg = MmapBatchV2 {
            num,
            dom: domid,
            _pad: 0,
            addr: mapping.address(),
            arr: gfns.as_ptr() as u64,
            err: errors.as_mut_ptr() as u64,
        };
        // SAFETY: the structure belongs to the request; both arrays have `num` elements of the
        // width that it demands, and the mapping is `num` pages long.
        unsafe { self.ioctl(privcmd::MMAPBATCH_V2, &mut arg)? };
        for (gfn, error) in gfns.iter().zip(errors) {
            if error != 0 {
                return Err(Error::from(Errno::from_raw(error.saturating_neg()))
                    .step(format!("map guest frame {gfn:#x}")));
            }
        }
        Ok(mapping)
    }
}
