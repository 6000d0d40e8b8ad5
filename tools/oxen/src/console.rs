// SPDX-License-Identifier: GPL-2.0-only

//! A guest's console on this process' input and output.

pub(crate) mod escape;
pub(crate) mod ring;
pub(crate) mod session;
pub(crate) mod share;
pub(crate) mod signals;
pub(crate) mod terminal;
