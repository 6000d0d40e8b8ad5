// SPDX-License-Identifier: GPL-2.0-only

//! The identity of this build: the linker's build-id note, as the kernel shows it for a module.

/// Returns the identity, if the build has one.
pub(crate) fn bytes() -> Option<&'static [u8]> {
    crate::sys::module::build_id()
}
