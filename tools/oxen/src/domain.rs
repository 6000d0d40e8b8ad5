// SPDX-License-Identifier: GPL-2.0-only

//! Domains: how one is laid out, built, named and described.

pub(crate) mod layout;
