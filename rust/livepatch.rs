// SPDX-License-Identifier: GPL-2.0-only

//! Live patching: payloads as Xen has them, loaded into the module and switched on and off while guests run.
//!
//! ```text
//!    bytes of an ELF object            elf     what is in it, every byte checked
//!         |                            note    who it is, whom it is for
//!         v                            layout  where its sections go
//!    Payload: code in the arena        resolve, relocate
//!         |                            load    all of it, in the order that Xen has
//!         v
//!    loaded <-> applied                state   names, dependencies, what may follow what
//!                                      plan    which bytes of the text change
//! ```
//!
//! These are pure: what the running hypervisor is, they ask the [`load::Host`]. The rest is the module's own:
//!
//! - `host` answers that;
//! - `poke` writes into the text, through aliases of its pages;
//! - `stop` closes the gate ([`crate::sys::gate`]), has the writes done, and opens it: what it does while the gate is
//!   closed is never patched itself;
//! - [`engine`] is what `sysctl` calls.

pub(crate) mod elf;
#[cfg(MODULE)]
pub(crate) mod engine;
pub(crate) mod extents;
pub(crate) mod func;
#[cfg(MODULE)]
mod host;
pub(crate) mod image;
pub(crate) mod layout;
pub(crate) mod load;
pub(crate) mod note;
pub(crate) mod payload;
pub(crate) mod plan;
#[cfg(MODULE)]
mod poke;
pub(crate) mod refusal;
pub(crate) mod relocate;
pub(crate) mod report;
pub(crate) mod resolve;
pub(crate) mod signature;
pub(crate) mod state;
#[cfg(MODULE)]
pub(crate) mod stop;
#[cfg(any(test, fuzzing))]
pub(crate) mod testing;
