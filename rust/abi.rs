// SPDX-License-Identifier: GPL-2.0-only

//! Xen's public structures and numbers, as Debian's `libxen-dev` 4.20 declares them.
//!
//! Pure: uses `core` and `zerocopy` only, so that the same files are compiled on the host for tests.
//! Structures are written by hand with explicit padding and derive zerocopy's traits, which prove at
//! compile time that every bit pattern is valid and that no padding byte is ever leaked to a caller.

pub(crate) mod errno;
