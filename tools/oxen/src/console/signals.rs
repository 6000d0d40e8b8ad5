// SPDX-License-Identifier: GPL-2.0-only

//! Signals that end a session, as a file descriptor: nothing is interrupted, everything is cleaned
//! up.

use std::os::fd::{
    AsFd,
    BorrowedFd, //
};

use nix::sys::signal::{
    SigSet,
    Signal, //
};
use nix::sys::signalfd::{
    SfdFlags,
    SignalFd, //
};

use crate::error::{
    Context,
    Error,
    Result, //
};

/// The signals, held back and readable.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: SignalFd,
}

impl Signals {
    /// Holds back SIGINT, SIGTERM, SIGHUP and SIGQUIT for this thread and those it makes.
    ///
    /// # Errors
    ///
    /// Fails as signalfd(2) does.
    pub(crate) fn hold() -> Result<Self> {
        let mut set = SigSet::empty();
        for signal in [
            Signal::SIGINT,
            Signal::SIGTERM,
            Signal::SIGHUP,
            Signal::SIGQUIT,
        ] {
            set.add(signal);
        }
        set.thread_block().step("hold back signals")?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let fd = SignalFd::with_flags(&set, flags).step("make signals readable")?;
        Ok(Self { fd })
    }

    /// Takes a signal that has arrived.
    pub(crate) fn take(&self) -> Option<Signal> {
        let info = self.fd.read_signal().ok()??;
        Signal::try_from(i32::try_from(info.ssi_signo).ok()?).ok()
    }

    /// Fails if a signal has arrived: between two steps of longer work.
    ///
    /// # Errors
    ///
    /// Fails with the signal's name; the exit status says its number.
    pub(crate) fn check(&self) -> Result {
        match self.take() {
            None => Ok(()),
            Some(signal) => Err(Error::signal(signal)),
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
