// SPDX-License-Identifier: GPL-2.0-only

//! `SCHEDOP_poll`: a vCPU that sleeps until one of some ports is pending, masked or not.

use super::{
    ports::Ports,
    types::{
        Port,
        Wake, //
    },
};
use crate::abi::errno::{
    Result,
    EINVAL, //
};

/// What a vCPU polls for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Poll {
    /// Nothing.
    No,
    /// One port.
    One(Port),
    /// Several; any event of the domain wakes it and it looks again.
    Any,
}

impl Poll {
    fn waits_for(self, port: Port) -> bool {
        match self {
            Self::No => false,
            Self::One(one) => one == port,
            Self::Any => true,
        }
    }
}

impl Ports {
    /// Returns whether any of `ports` is pending.
    ///
    /// # Errors
    ///
    /// `EINVAL` if one before the first that is pending is not valid.
    pub(crate) fn any_pending(&self, ports: &[Port]) -> Result<bool> {
        for port in ports {
            let channel = self.table.get(*port).ok_or(EINVAL)?;

            if channel.is_usable() && self.is_pending(*port, channel) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Begins to poll: returns true if one of `ports` is pending, else the vCPU is named in the
    /// [`Wake::pollers`] of the next event for them and the caller may block it.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is no such vCPU, `EINVAL` if a port is not valid.
    pub(crate) fn begin_poll(&mut self, vcpu: u32, ports: &[Port]) -> Result<bool> {
        self.vcpu(vcpu)?;
        if self.any_pending(ports)? {
            return Ok(true);
        }
        self.end_poll(vcpu);
        self.vcpu_mut(vcpu)?.poll = match ports {
            [one] => Poll::One(*one),
            _ => Poll::Any,
        };
        self.polling += 1;
        Ok(false)
    }

    /// Ends to poll, for whatever reason the vCPU woke.
    pub(crate) fn end_poll(&mut self, vcpu: u32) {
        if let Ok(this) = self.vcpu_mut(vcpu) {
            if core::mem::replace(&mut this.poll, Poll::No) != Poll::No {
                self.polling = self.polling.saturating_sub(1);
            }
        }
    }

    /// Adds those who poll for `port` to `wake`; they poll no longer.
    pub(super) fn wake_pollers(&mut self, port: Port, wake: &mut Wake) {
        if self.polling == 0 {
            return;
        }
        for (id, vcpu) in (0u32..).zip(self.vcpus.iter_mut()) {
            if vcpu.poll.waits_for(port) {
                vcpu.poll = Poll::No;
                self.polling = self.polling.saturating_sub(1);
                wake.pollers.insert(id);
            }
        }
    }
}
