// SPDX-License-Identifier: GPL-2.0-only

//! I/O request servers: how a device model answers for devices of a guest.
//!
//! A device model makes a server, gives it ranges of ports, memory or PCI functions, and maps its pages. An access of
//! the guest to one of the ranges becomes a request in a page; the model writes the answer there. This room holds the
//! state and the rules. It knows neither domains nor threads, maps nothing and tells nobody: what has to happen
//! elsewhere is in what an operation returns.
//!
//! # Parts
//!
//! - [`request`]: one access, as we remember it. It is the truth; what is in a page is a copy for the model.
//! - [`range`]: which addresses are a server's.
//! - [`ports`]: which ports are anybody's, to be looked at without a lock.
//! - [`slot`]: a vCPU's place in the page of synchronous requests, and the states that a request goes through.
//! - [`ring`]: the page of buffered requests, writes for which nobody waits.
//! - [`server`]: one server: its ranges, pages, ports, and who may control it.
//! - [`servers`]: all servers of a domain, and which of them an access is for.
//! - [`transfer`]: what a vCPU has in flight, and what it was answered for the instruction that it is at.
//!
//! # Trust
//!
//! A device model is not trusted. It can write anything to its pages at any time. Each step reads the word that it
//! decides on once; a request only moves forward, and a model that moves it backwards has its guest crashed, not us.
//! Our own pointers and our own copy of a request count, never what the page says of them. Nothing loops on what a
//! model writes.
//!
//! # Locking
//!
//! A domain's [`Servers`] are behind one spin lock of its owner. An operation that has to allocate, change guest memory
//! or event channels does so with a mutex of the owner's held that serialises these operations, and takes the lock for
//! the change itself. A vCPU's [`Transfer`] belongs to its thread; it holds references to the pages in which its
//! requests are, so that a server can go at any time.
//!
//! # A device model that dies
//!
//! Its descriptor closes, which is how we know. The server goes, but its ranges stay *held*: an access to them waits
//! until a new server claims them ([`Servers::abandon`]). A request that the model had begun is answered with all ones,
//! as when a server is destroyed: its effects may have taken place. One that it had not begun is sent to the next
//! server. So the guest stands still while there is no device model, and goes on with the next one (I-9).

// What takes its words from pages, or must be made of constants, has no model: it is not loom's.
#[cfg(not(loom))]
mod ports;
mod range;
mod request;
mod ring;
#[cfg(not(loom))]
mod server;
#[cfg(not(loom))]
mod servers;
mod slot;
#[cfg(test)]
mod tests;
#[cfg(not(loom))]
mod transfer;

// The room's face; not all of it has a user in every build.
#[cfg(not(loom))]
#[allow(unused_imports)]
pub(crate) use self::{
    ports::ServedPorts,
    server::{
        Buffering,
        Creator,
        GfnPages,
        Notify,
        Server, //
    },
    servers::{
        Chosen,
        Servers,
        Target,
        MAX_SERVERS,
        PCI_ADDRESS_PORT, //
    },
    transfer::{
        Progress,
        Transfer, //
    },
};
#[allow(unused_imports)]
pub(crate) use self::{
    request::{
        Kind,
        Request, //
    },
    slot::Violation,
};
