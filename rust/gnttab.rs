// SPDX-License-Identifier: GPL-2.0-only

//! Grant tables, version 1: how a domain lets another one use pages of its own.
//!
//! A domain writes entries into the frames that its [`Table`] shares with it: "domain D may read (or write)
//! my guest frame F". D then asks to map or copy through the entry's index, the grant reference. This room
//! holds the state and the rules; it resolves no guest frame and touches no guest memory other than the
//! words of the shared entries.
//!
//! # Parts
//!
//! - [`entry`]: the two words of one shared entry, which its owner may change at any moment.
//! - [`active`]: our own record of each entry in use. It is the truth; the shared words are a request.
//! - [`pin`]: the token for one use of an entry. It is made by [`Table::pin`] and consumed by
//!   [`Table::unpin`], cannot be copied, and so a use can end once only.
//! - [`maptrack`]: the mappings that a domain has made, found by the handle it was given.
//! - [`table`]: one domain's frames, active entries and mappings.
//! - [`owner`]: making and withdrawing entries in a table that the host itself writes.
//! - [`growth`]: memory to grow with, allocated before the lock is taken.
//! - [`rules`]: checks of arguments that need no state.
//!
//! # Locking
//!
//! Each domain's table sits behind one spinlock of its owner. **A thread holds at most one table lock, and
//! takes no other lock and sleeps nowhere while it holds it.** That is possible because an operation between
//! two domains is a sequence of steps on one table each, tied together by values that move: a map takes a
//! [`Reserved`] handle from the mapper, a [`Pin`] from the granter, resolves the frame with no table lock
//! held, and commits both to the mapper. There is no lock order to get wrong; a domain that maps its own
//! grant takes the same lock several times, one after the other.
//!
//! Memory is allocated before, and freed after, the lock is held: [`FrameGrowth`] and [`MaptrackGrowth`]
//! carry what is added, and what was not needed stays in them.
//!
//! # A map, step by step
//!
//! 1. [`rules::check_map_flags`].
//! 2. Mapper's lock: [`Table::reserve_handle`]; if it wants to grow, drop the lock, make a
//!    [`MaptrackGrowth`], lock again, [`Table::add_handles`], and ask again.
//! 3. Granter's lock: [`Table::pin`]. On failure the mapper's [`Table::release_handle`].
//! 4. No lock: resolve [`Pin::gfn`] in the granter, take a reference to the page, enter it where the mapper
//!    asked. On failure [`Table::unpin`] and [`Table::release_handle`].
//! 5. Mapper's lock: [`Table::commit`]. The handle can be used from then on.
//!
//! An unmap goes the other way: [`Table::begin_unmap`] takes the mapping out, the caller removes it and
//! flushes, then [`Table::unpin`] at the granter and [`Table::release_handle`] at the mapper;
//! [`Table::restore`] puts it back if the mapping could not be removed. A copy is [`Table::pin`], the copy,
//! [`Table::unpin`], for each side that is a grant.
//!
//! # Domains that die
//!
//! *The mapper dies*: [`Table::die`], then [`Table::release_step`] until it says [`Release::Done`]; each
//! mapping that it hands out is unpinned at its granter, if that still exists.
//!
//! *The granter dies* while others map its pages: [`Table::die`] refuses new uses, and the table is dropped
//! when its domain is. The pages live on for as long as a mapper holds a reference to them; the record of
//! the use goes with the table. A mapper that unmaps later finds no such domain, or another one with the
//! same number: the pin carries the [`serial number`](Table::new) of the table it came from, another table
//! ignores it, and the mapper drops its page reference and frees its handle as usual.
//!
//! A granter needs no vCPU and may be paused: nothing here knows what a vCPU is.
//!
//! # Not offered
//!
//! Version 2 tables (Xen's `gnttab=max-ver:1`), and with them status frames, sub-page and transitive grants;
//! transfers; device mappings.

mod active;
mod entry;
mod growth;
mod maptrack;
mod owner;
mod pin;
pub(crate) mod rules;
mod status;
mod table;
#[cfg(test)]
mod tests;

// The room's face; not all of it has a user in every build.
#[allow(unused_imports)]
pub(crate) use self::{
    growth::{
        FrameGrowth,
        MaptrackGrowth, //
    },
    maptrack::{
        Mapping,
        MaptrackNeed,
        NoHandle,
        Release,
        Reserved,
        Search,
        Unmap, //
    },
    pin::{
        Access,
        Pin,
        Use, //
    },
    status::{
        GntResult,
        Gntst, //
    },
    table::{
        Limits,
        Placed,
        Table,
        TableSize,
        INVALID_GFN, //
    },
};
