// SPDX-License-Identifier: GPL-2.0-only

//! Events on their way.

use super::{
    channel::State,
    ports::Ports,
    types::{
        Delivery,
        DomId,
        Port,
        Send, //
    },
};
use crate::abi::errno::{
    Result,
    EINVAL, //
};

impl Ports {
    /// Sends an event through a local port (`EVTCHNOP_send`).
    ///
    /// Sending through a port to which nobody is bound yet succeeds and does nothing.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the port cannot be sent through: not connected, a virtual interrupt, or the
    /// hypervisor's.
    pub(crate) fn send(&mut self, port: Port) -> Result<Send> {
        let channel = self.table.get(port).ok_or(EINVAL)?;

        if channel.consumer.is_some() {
            return Err(EINVAL);
        }
        match channel.state {
            State::Interdomain { .. } => Ok(self.send_over(port)),
            State::Ipi => Ok(Send::Local(self.raise(port))),
            State::Unbound { .. } => Ok(Send::Local(Delivery::None)),
            State::Free | State::Reserved | State::Binding | State::Virq(_) => Err(EINVAL),
        }
    }

    /// Sends an event from the hypervisor through a port that it consumes, such as a request to an
    /// ioreq server; does nothing if nobody is bound.
    pub(crate) fn send_from_xen(&mut self, port: Port) -> Send {
        let consumed = self
            .table
            .get(port)
            .is_some_and(|channel| channel.consumer.is_some());

        if consumed {
            self.send_over(port)
        } else {
            Send::Local(Delivery::None)
        }
    }

    /// Sends to the other end of an interdomain channel.
    fn send_over(&mut self, port: Port) -> Send {
        let Some(State::Interdomain {
            remote,
            port: remote_port,
        }) = self.table.get(port).map(|channel| channel.state)
        else {
            return Send::Local(Delivery::None);
        };

        if remote == self.domid {
            Send::Local(self.deliver_interdomain(remote_port, remote, port))
        } else {
            Send::Remote {
                domid: remote,
                port: remote_port,
                from_port: port,
            }
        }
    }

    /// Receives an event that `from` sent through its `from_port`, as [`Send::Remote`] said.
    ///
    /// Between the two the channel may have been closed, and its ports used for something else:
    /// then the event is dropped, as if it had been sent after the close.
    pub(crate) fn deliver_interdomain(
        &mut self,
        port: Port,
        from: DomId,
        from_port: Port,
    ) -> Delivery {
        let connected = State::Interdomain {
            remote: from,
            port: from_port,
        };

        match self.table.get(port) {
            Some(channel) if channel.state == connected => match channel.consumer {
                Some(consumer) => Delivery::Xen {
                    consumer,
                    vcpu: channel.vcpu,
                    port,
                    closed: false,
                },
                None => self.raise(port),
            },
            _ => Delivery::None,
        }
    }

    /// Raises a virtual interrupt, for `vcpu` unless it is global; does nothing if it is not bound.
    pub(crate) fn set_virq_pending(&mut self, virq: u32, vcpu: u32) -> Delivery {
        match self.virq_port(virq, vcpu) {
            0 => Delivery::None,
            port => self.raise(port),
        }
    }

    /// Clears a port's mask, and notifies its vCPU if the port is pending (`EVTCHNOP_unmask`).
    ///
    /// For domain 0: its consumer is ready for the next event of this port, which may come at once.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the port is not valid. One that is not connected is left alone without an error.
    pub(crate) fn unmask(&mut self, port: Port) -> Result<Delivery> {
        if self.table.get(port).is_none() {
            return Err(EINVAL);
        }
        Ok(self.unmask_usable(port))
    }
}
