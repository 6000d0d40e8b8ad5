// SPDX-License-Identifier: GPL-2.0-only

//! The device nodes. Each is a thin shim: it decodes an ioctl and calls a hypercall or a mechanism.

pub(crate) mod debugfs;
pub(crate) mod evtchn;
pub(crate) mod gntalloc;
pub(crate) mod gntdev;
pub(crate) mod hypercall;
pub(crate) mod ioctl;
mod notify;
mod offsets;
pub(crate) mod privcmd;
mod restriction;

use core::pin::Pin;

use kernel::prelude::{
    pr_err,
    KBox,
    ThisModule, //
};

use crate::abi::errno::{
    Result,
    EEXIST, //
};
use crate::sys::chardev::Registration;

/// All nodes; dropping it removes them.
pub(crate) struct Devices {
    _privcmd: Pin<KBox<Registration<privcmd::Privcmd>>>,
    _hypercall: Pin<KBox<Registration<hypercall::Hypercall>>>,
    _evtchn: Pin<KBox<Registration<evtchn::Evtchn>>>,
    _gntdev: Pin<KBox<Registration<gntdev::Gntdev>>>,
    _gntalloc: Pin<KBox<Registration<gntalloc::Gntalloc>>>,
    _debugfs: debugfs::DebugFiles,
}

impl Devices {
    /// Makes the nodes.
    ///
    /// # Errors
    ///
    /// `EEXIST` if this host runs under Xen and has such nodes already, `ENOMEM`.
    pub(crate) fn new(module: &'static ThisModule) -> Result<Self> {
        let devices = Self::make(module);
        if matches!(devices, Err(EEXIST)) {
            pr_err!("/dev/xen has somebody else's nodes: is this machine a guest of Xen?\n");
        }
        devices
    }

    /// Makes them one after the other; what is made goes again if one fails.
    fn make(module: &'static ThisModule) -> Result<Self> {
        Ok(Self {
            _privcmd: Registration::new(module)?,
            _hypercall: Registration::new(module)?,
            _evtchn: Registration::new(module)?,
            _gntdev: Registration::new(module)?,
            _gntalloc: Registration::new(module)?,
            _debugfs: debugfs::DebugFiles::new(),
        })
    }
}
