// SPDX-License-Identifier: GPL-2.0-only

//! Event channels: one bit from one domain, vCPU or the hypervisor to another, in Xen's two ABIs.
//!
//! A domain owns one [`Ports`]. The room knows neither domains nor threads: whatever has to happen
//! elsewhere (kick a vCPU, wake a poller, tell a host process, go on in another domain) is in the
//! [`Delivery`] or [`Send`] that an operation returns, and [`topology`] says in which order the
//! steps of an operation between two domains are taken.
//!
//! # Locking
//!
//! Each `Ports` is behind one spinlock that the caller holds; no two are ever held together.
//! Operations that change what is connected to what (bind to a remote port, close, reset, destroy)
//! are serialised by one mutex over all domains, held by the caller. Sending needs no mutex, and its
//! caller holds none (an event to a monitor that has gone looks for another under it): it locks the
//! sender's ports, then the receiver's, which check that the channel is still the same.
//! Nothing here sleeps; memory is allocated before the lock into a [`Reservation`] or
//! [`FifoReservation`] and what must be freed later comes back in a [`Garbage`].
//!
//! # Shared memory
//!
//! Every word that is shared with a guest may hold anything at any time. None of them is trusted:
//! the queues' tails, the bindings and the masks' limits are kept on our side, a guest's link field
//! is never followed, and each loop over a guest's word is bounded.

mod bind;
mod channel;
mod close;
mod fifo;
mod link;
mod poll;
mod ports;
mod send;
mod status;
#[cfg(test)]
mod tests;
pub(crate) mod topology;
mod two_level;
mod types;
mod vcpu_info;
mod word;

// The room's face; not all of it has a user in every build.
#[allow(unused_imports)]
pub(crate) use self::{
    channel::Reservation, //
    close::{
        Closer,
        Garbage,
        Peer,
        Step, //
    },
    fifo::FifoReservation,
    ports::{
        Kind,
        Ports, //
    },
    status::Info,
    types::{
        Consumer,
        Delivery,
        DomId,
        Port,
        Send,
        VcpuSet,
        Wake,
        Width,
        MAX_VCPUS, //
    },
    vcpu_info::{
        Upcall,
        UpcallEpoch,
        VcpuInfo, //
    },
};
