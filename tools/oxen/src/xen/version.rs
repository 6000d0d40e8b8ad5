// SPDX-License-Identifier: GPL-2.0-only

//! `xen_version`: who the hypervisor is.

use std::fmt::Write;

use serde::Serialize;
use zerocopy::{
    FromZeros,
    IntoBytes, //
};

use super::{
    call_with,
    CallResult,
    Hypervisor, //
};
use crate::abi::version::{
    self,
    CompileInfo,
    CAPABILITIES_INFO_LEN,
    CHANGESET_INFO_LEN,
    EXTRAVERSION_LEN, //
};
use crate::abi::xen;

/// The longest build id that is asked for, in bytes; they have 20 or 32.
const BUILD_ID_MAX: usize = 64;

/// What the hypervisor says about itself.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Version {
    /// Major version.
    pub(crate) major: u64,
    /// Minor version.
    pub(crate) minor: u64,
    /// What follows the minor version.
    pub(crate) extra: String,
    /// The kinds of guest that it runs.
    pub(crate) capabilities: String,
    /// The source it was built from.
    pub(crate) changeset: String,
    /// The compiler it was built with.
    pub(crate) compiler: String,
    /// When it was built.
    pub(crate) compile_date: String,
    /// The build id, in hexadecimal.
    pub(crate) build_id: Option<String>,
}

/// Reads the text in front of the first zero byte.
fn text(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default())
        .trim_end()
        .to_string()
}

/// Asks for a text of fixed length.
fn fixed<const LENGTH: usize>(hv: &dyn Hypervisor, cmd: u32) -> CallResult<String> {
    let mut buffer = [0_u8; LENGTH];
    // SAFETY: the buffer has the length that this operation fills.
    unsafe { call_with(hv, xen::XEN_VERSION, cmd, &mut buffer)? };
    Ok(text(&buffer))
}

/// Asks for the build id.
fn build_id(hv: &dyn Hypervisor) -> CallResult<String> {
    let mut buffer = [0_u8; 4 + BUILD_ID_MAX];
    if let Some(length) = buffer.first_chunk_mut::<4>() {
        *length = (BUILD_ID_MAX as u32).to_ne_bytes();
    }
    // SAFETY: the buffer is a length and as many bytes as it says.
    let length = unsafe { call_with(hv, xen::XEN_VERSION, version::BUILD_ID, &mut buffer)? };
    let id = buffer
        .iter()
        .skip(4)
        .take(usize::try_from(length).unwrap_or(0));
    Ok(id.fold(String::new(), |mut text, byte| {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// Asks the hypervisor who it is.
///
/// # Errors
///
/// Fails as the hypercall does.
pub(crate) fn get(hv: &dyn Hypervisor) -> CallResult<Version> {
    // SAFETY: this operation takes no argument.
    let number = unsafe { hv.hypercall(xen::XEN_VERSION, [version::VERSION.into(), 0, 0, 0, 0])? };
    let mut info = CompileInfo::new_zeroed();
    // SAFETY: the structure is the one of this operation and holds no address.
    unsafe { call_with(hv, xen::XEN_VERSION, version::COMPILE_INFO, &mut info)? };
    Ok(Version {
        major: number >> 16,
        minor: number & 0xffff,
        extra: fixed::<EXTRAVERSION_LEN>(hv, version::EXTRAVERSION)?,
        capabilities: fixed::<CAPABILITIES_INFO_LEN>(hv, version::CAPABILITIES)?,
        changeset: fixed::<CHANGESET_INFO_LEN>(hv, version::CHANGESET)?,
        compiler: text(info.compiler.as_bytes()),
        compile_date: text(info.compile_date.as_bytes()),
        build_id: build_id(hv).ok(),
    })
}
