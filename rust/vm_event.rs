// SPDX-License-Identifier: GPL-2.0-only

//! Introspection: what a monitor is told of a guest, and what it answers.
//!
//! A monitor is a process that says which pages a guest may not use as it likes, and which of its instructions are of
//! interest. What the guest then does becomes an event in a ring (`xen/vm_event.h`, version 7); for most events the
//! vCPU waits until the monitor has answered, and the answer says how it goes on. This room holds the protocol and the
//! rules. It knows neither domains nor threads: what has to happen elsewhere is in what an operation returns.
//!
//! # Parts
//!
//! - [`ring`]: the page that events and answers pass through.
//! - [`slots`]: a page for each vCPU, in place of the ring.
//! - [`message`]: an event with the registers of its vCPU.
//! - [`response`]: what an answer asks for.
//! - [`settings`]: which events a monitor wants (`XEN_DOMCTL_monitor_op`).
//! - [`verdict`]: what becomes of an access that a page's rights do not allow.
//! - [`monitor`]: a domain's monitor: its ring, whether it is there, and which vCPUs wait for it.
//!
//! # Trust
//!
//! A monitor may see and change all of its guest, and must not be able to do more. Both indices that we produce or
//! consume are our own; of the monitor's index only that many answers are believed as events are unanswered. An answer
//! is copied once, and then checked. An answer for a vCPU that does not wait frees its slot and does nothing else.
//!
//! # Nothing is lost
//!
//! An event for which the ring has no room is not dropped: its vCPU waits until there is (E-2). A monitor that goes
//! away leaves the vCPUs that wait for it with the verdict that its domain is configured to have (E-9): to go on, or
//! to wait for the next monitor (`access_required`).

mod message;
// What takes its words from pages has no model: they are not loom's.
#[cfg(not(loom))]
mod monitor;
mod response;
#[cfg(not(loom))]
mod ring;
mod settings;
#[cfg(not(loom))]
mod slots;
#[cfg(all(test, not(loom)))]
mod tests;
mod verdict;
#[cfg(not(loom))]
mod words;

// The room's face; not all of it has a user in every build.
#[cfg(not(loom))]
#[allow(unused_imports)]
pub(crate) use self::monitor::{
    Answer,
    Detached,
    Listener,
    Monitor,
    Prepared,
    Sent, //
};
#[cfg(not(loom))]
#[allow(unused_imports)]
pub(crate) use self::slots::slot_is_answered;
#[allow(unused_imports)]
pub(crate) use self::{
    message::{
        access_message,
        message,
        set_registers,
        still_denied, //
    },
    response::{
        Emulate,
        Response, //
    },
    settings::{
        Detail,
        Register,
        Settings,
        Want,
        CAPABILITIES, //
    },
    verdict::{
        decide,
        Action, //
    },
};
