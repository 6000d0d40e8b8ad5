// SPDX-License-Identifier: GPL-2.0-only

//! What is done when shared pages are unmapped: a byte is cleared, an event is sent. So the other side learns that a
//! process is gone.

use crate::abi::errno::{
    Result,
    EINVAL, //
};
use crate::abi::event_channel::StatusDetail;
use crate::abi::gntdev::{
    self as abi,
    UnmapNotify, //
};
use crate::domain::hypervisor::Hypervisor;
use crate::domain::DOM0;
use crate::evtchn::{
    topology,
    Port, //
};
use crate::sys::page::{
    PageRef,
    PAGE_SHIFT,
    PAGE_SIZE, //
};

/// What is done.
#[derive(Clone, Copy)]
pub(super) struct Notify {
    /// The byte to clear, from the first page's begin.
    byte: Option<u64>,
    /// The port to send through.
    port: Option<Port>,
}

impl Notify {
    /// Nothing.
    pub(super) const NOTHING: Self = Self {
        byte: None,
        port: None,
    };

    /// Reads the argument of `SET_UNMAP_NOTIFY`, of which `byte` is the place in the pages.
    ///
    /// # Errors
    ///
    /// `EINVAL` for an action that there is not, or a port that the control domain does not have.
    pub(super) fn new(hypervisor: &Hypervisor, ask: &UnmapNotify, byte: u64) -> Result<Self> {
        if ask.action & !(abi::UNMAP_NOTIFY_CLEAR_BYTE | abi::UNMAP_NOTIFY_SEND_EVENT) != 0 {
            return Err(EINVAL);
        }
        let sends = ask.action & abi::UNMAP_NOTIFY_SEND_EVENT != 0;
        if sends {
            let ports = hypervisor.dom0().ports().lock();
            let (status, _) = ports.status(ask.event_channel_port)?;
            if status == StatusDetail::Closed {
                return Err(EINVAL);
            }
        }
        Ok(Self {
            byte: (ask.action & abi::UNMAP_NOTIFY_CLEAR_BYTE != 0).then_some(byte),
            port: sends.then_some(ask.event_channel_port),
        })
    }

    /// Whether a byte is cleared.
    pub(super) fn clears(&self) -> bool {
        self.byte.is_some()
    }

    /// Clears the byte; `page` finds the page by its number.
    pub(super) fn clear_byte<'a>(&self, page: impl FnOnce(u64) -> Option<&'a PageRef>) {
        let Some(byte) = self.byte else {
            return;
        };
        if let Some(page) = page(byte >> PAGE_SHIFT) {
            // CAST: Twelve bits.
            page.write(byte as usize & (PAGE_SIZE - 1), &[0]);
        }
    }

    /// Sends the event.
    pub(super) fn send(&self, hypervisor: &Hypervisor) {
        if let Some(port) = self.port {
            let _ = topology::send(hypervisor, DOM0, port);
        }
    }
}
