// SPDX-License-Identifier: GPL-2.0-only

//! What a port is, for who asks: `EVTCHNOP_status`, and the dump of all ports.

use super::{
    channel::{
        Channel,
        State, //
    },
    ports::{
        Abi,
        Ports, //
    },
    types::{
        Consumer,
        Port, //
    },
};
use crate::abi::{
    errno::{
        Result,
        EINVAL, //
    },
    event_channel::StatusDetail as Status, //
};

/// One line of a dump.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Info {
    /// The port.
    pub(crate) port: Port,
    /// What it is connected to.
    pub(crate) status: Status,
    /// The vCPU that it notifies.
    pub(crate) vcpu: u32,
    /// Who in the hypervisor consumes it.
    pub(crate) consumer: Option<Consumer>,
    /// Whether an event waits.
    pub(crate) pending: bool,
    /// Whether the domain does not want to be notified.
    pub(crate) masked: bool,
    /// Whether a vCPU will come to it: the selector's bit, or on a queue.
    pub(crate) selected: bool,
    /// The priority of its next event in the FIFO ABI.
    pub(crate) priority: u8,
}

fn status_of(channel: &Channel) -> Status {
    match channel.state {
        State::Free | State::Reserved | State::Binding => Status::Closed,
        State::Unbound { remote } => Status::Unbound(remote),
        State::Interdomain { remote, port } => Status::Interdomain(remote, port),
        State::Virq(virq) => Status::Virq(virq),
        State::Ipi => Status::Ipi,
    }
}

impl Ports {
    /// Returns what a port is connected to and the vCPU it notifies (`EVTCHNOP_status`).
    ///
    /// # Errors
    ///
    /// `EINVAL` if the port is not valid: that is how `lsevtchn` finds the end.
    pub(crate) fn status(&self, port: Port) -> Result<(Status, u32)> {
        let channel = self.table.get(port).ok_or(EINVAL)?;

        Ok((status_of(channel), channel.vcpu))
    }

    /// Returns the ports in use from `port` on.
    ///
    /// A caller that prints takes a few at a time, and goes on behind the last after it has let go
    /// of the lock.
    pub(crate) fn dump(&self, port: Port) -> impl Iterator<Item = Info> + '_ {
        self.table
            .starting_at(port)
            .filter(|(_, channel)| !matches!(channel.state, State::Free | State::Reserved))
            .map(|(port, channel)| Info {
                port,
                status: status_of(channel),
                vcpu: channel.vcpu,
                consumer: channel.consumer,
                pending: self.is_pending(port, channel),
                masked: self.is_masked(port, channel),
                selected: match &self.abi {
                    Abi::Host => false,
                    Abi::TwoLevel(_) => self
                        .vcpu_info(channel.vcpu)
                        .is_some_and(|info| info.is_selected(self.width, port)),
                    Abi::Fifo(_, fifo) => fifo.is_linked(port),
                },
                priority: channel.priority,
            })
    }
}
