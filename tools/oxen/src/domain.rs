// SPDX-License-Identifier: GPL-2.0-only

//! Domains: how one is laid out, built, named and described.

pub(crate) mod build;
pub(crate) mod context;
pub(crate) mod layout;
pub(crate) mod memory;
pub(crate) mod registry;
pub(crate) mod state;
