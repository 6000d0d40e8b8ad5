// SPDX-License-Identifier: GPL-2.0-only

//! Guest memory: which page stands behind a guest frame number, who holds it, and reaching it.

pub(crate) mod access;
pub(crate) mod dirty;
pub(crate) mod exchange;
pub(crate) mod frames;
pub(crate) mod guest;
pub(crate) mod p2m;
pub(crate) mod walk;
