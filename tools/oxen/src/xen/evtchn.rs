// SPDX-License-Identifier: GPL-2.0-only

//! `/dev/xen/evtchn`: this process' event channels.
//!
//! A port that has fired stays masked until it is written back.

use std::fs::{
    File,
    OpenOptions, //
};
use std::io::{
    ErrorKind,
    Read,
    Write, //
};
use std::os::fd::{
    AsFd,
    AsRawFd,
    BorrowedFd, //
};
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;
use nix::libc;

use crate::abi::evtchn_dev::{
    self,
    BindInterdomain,
    BindVirq,
    Notify, //
};
use crate::error::{
    Context,
    Result, //
};

/// Where the device is.
pub(crate) const PATH: &str = "/dev/xen/evtchn";
/// How many ports one read takes at most.
const BATCH: usize = 64;

/// A process' set of ports.
pub(crate) trait Events {
    /// Returns what is readable when a port has fired.
    fn fd(&self) -> BorrowedFd<'_>;

    /// Binds a virtual interrupt and returns its port.
    ///
    /// # Errors
    ///
    /// Fails with EEXIST if another process has it: there is one such port in a domain.
    fn bind_virq(&self, virq: u32) -> std::result::Result<u32, Errno>;

    /// Notifies the other end of a local port.
    ///
    /// # Errors
    ///
    /// Fails with ENOTCONN if the port is not bound.
    fn notify(&self, port: u32) -> std::result::Result<(), Errno>;

    /// Takes the ports that have fired and lets them fire again.
    ///
    /// # Errors
    ///
    /// Fails as read(2) and write(2) do; nothing to read is no failure.
    fn take(&self) -> Result<Vec<u32>>;
}

/// The device, opened without blocking.
#[derive(Debug)]
pub(crate) struct Evtchn {
    file: File,
}

impl Evtchn {
    /// Opens the device.
    ///
    /// # Errors
    ///
    /// Fails as open(2) does.
    pub(crate) fn open() -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_CLOEXEC | libc::O_NONBLOCK)
            .open(PATH)
            .hint("load the module (modprobe oxen); `oxen status` says what is missing")
            .step(format!("open {PATH}"))?;
        Ok(Self { file })
    }

    /// Issues an ioctl and returns what it answers.
    ///
    /// # Safety
    ///
    /// `arg` has to be the structure of `request`.
    unsafe fn ioctl<T>(&self, request: u32, mut arg: T) -> std::result::Result<u32, Errno> {
        // SAFETY: the descriptor is open, and the caller vouches for the argument.
        let answer = unsafe {
            libc::ioctl(
                self.file.as_raw_fd(),
                request as libc::Ioctl,
                std::ptr::from_mut(&mut arg),
            )
        };
        u32::try_from(answer).map_err(|_| Errno::last())
    }

    /// Connects to `port` of domain `domid` and returns the local port.
    ///
    /// # Errors
    ///
    /// Fails with EINVAL if the port does not wait for a connection from this domain.
    pub(crate) fn bind_interdomain(
        &self,
        domid: u16,
        port: u32,
    ) -> std::result::Result<u32, Errno> {
        let arg = BindInterdomain {
            remote_domain: domid.into(),
            remote_port: port,
        };
        // SAFETY: the structure is the one of the request.
        unsafe { self.ioctl(evtchn_dev::BIND_INTERDOMAIN, arg) }
    }
}

impl Events for Evtchn {
    fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    fn bind_virq(&self, virq: u32) -> std::result::Result<u32, Errno> {
        // SAFETY: the structure is the one of the request.
        unsafe { self.ioctl(evtchn_dev::BIND_VIRQ, BindVirq { virq }) }
    }

    fn notify(&self, port: u32) -> std::result::Result<(), Errno> {
        // SAFETY: the structure is the one of the request.
        unsafe { self.ioctl(evtchn_dev::NOTIFY, Notify { port }).map(drop) }
    }

    fn take(&self) -> Result<Vec<u32>> {
        let mut bytes = [0; BATCH * 4];
        let count = match (&self.file).read(&mut bytes) {
            Ok(count) => count,
            Err(err) if err.kind() == ErrorKind::WouldBlock => 0,
            Err(err) if err.kind() == ErrorKind::Interrupted => 0,
            Err(err) => return Err(err).step(format!("read {PATH}")),
        };
        let fired = bytes.get(..count).unwrap_or_default();
        if !fired.is_empty() {
            (&self.file)
                .write_all(fired)
                .step(format!("unmask ports of {PATH}"))?;
        }
        Ok(fired
            .chunks_exact(4)
            .filter_map(|port| Some(u32::from_ne_bytes(port.try_into().ok()?)))
            .collect())
    }
}
