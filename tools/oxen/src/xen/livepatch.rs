// SPDX-License-Identifier: GPL-2.0-only

//! `XEN_SYSCTL_livepatch_op`.

use std::ffi::CString;

use nix::errno::Errno;
use zerocopy::{
    FromBytes,
    FromZeros,
    Immutable,
    IntoBytes, //
};

use super::sysctl::issue;
use super::{
    CallResult,
    Hypervisor, //
};
use crate::abi::sysctl::livepatch::{
    self as abi,
    LivepatchOp,
    Status, //
};
use crate::abi::sysctl::LIVEPATCH_OP;

/// A payload as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) status: Status,
    /// Strings `key=value`.
    pub(crate) metadata: Vec<String>,
}

/// Issues one of the commands with what belongs to it, which is written back.
///
/// # Safety
///
/// `part` has to be the one of `cmd`, and every address in it has to be valid for what it does.
unsafe fn command<T: FromBytes + IntoBytes + Immutable>(
    hv: &dyn Hypervisor,
    cmd: u32,
    part: &mut T,
) -> CallResult {
    let mut op = LivepatchOp::new_zeroed();
    op.cmd = cmd;
    let room = op.u.get_mut(..size_of::<T>()).ok_or(Errno::E2BIG)?;
    part.write_to(room).map_err(|_| Errno::E2BIG)?;
    // SAFETY: the caller vouches for the addresses.
    let answer = unsafe { issue(hv, LIVEPATCH_OP, &mut op)? };
    let room = op.u.get(..size_of::<T>()).ok_or(Errno::E2BIG)?;
    *part = T::read_from_bytes(room).map_err(|_| Errno::E2BIG)?;
    Ok(answer)
}

/// Names a payload. The text must live as long as the structure is used.
fn name_of(text: &CString) -> CallResult<abi::Name> {
    let bytes = text.as_bytes_with_nul();
    Ok(abi::Name {
        name: bytes.as_ptr() as u64,
        size: u16::try_from(bytes.len()).map_err(|_| Errno::EINVAL)?,
        pad: [0; 3],
    })
}

fn text(name: &str) -> CallResult<CString> {
    CString::new(name).map_err(|_| Errno::EINVAL)
}

/// Loads a payload.
///
/// # Errors
///
/// Fails as the hypercall does.
pub(crate) fn upload(hv: &dyn Hypervisor, name: &str, payload: &[u8]) -> CallResult<()> {
    let name = text(name)?;
    let mut part = abi::Upload::new_zeroed();
    part.name = name_of(&name)?;
    part.size = payload.len() as u64;
    part.payload = payload.as_ptr() as u64;
    // SAFETY: the name and the payload live and are as long as the structure says.
    unsafe { command(hv, abi::UPLOAD, &mut part) }.map(drop)
}

/// Returns how a payload is.
///
/// # Errors
///
/// Fails as the hypercall does.
pub(crate) fn get(hv: &dyn Hypervisor, name: &str) -> CallResult<Status> {
    let name = text(name)?;
    let mut part = abi::Get::new_zeroed();
    part.name = name_of(&name)?;
    // SAFETY: the name lives.
    unsafe { command(hv, abi::GET, &mut part)? };
    Ok(part.status)
}

/// Asks for an action: one of `ACTION_*`, with a limit in nanoseconds, 0 for the hypervisor's own.
///
/// # Errors
///
/// Fails as the hypercall does.
pub(crate) fn act(
    hv: &dyn Hypervisor,
    name: &str,
    cmd: u32,
    timeout_ns: u32,
    flags: u32,
) -> CallResult<()> {
    let name = text(name)?;
    let mut part = abi::Action::new_zeroed();
    part.name = name_of(&name)?;
    part.cmd = cmd;
    part.timeout = timeout_ns;
    part.flags = flags;
    // SAFETY: the name lives.
    unsafe { command(hv, abi::ACTION, &mut part) }.map(drop)
}

/// Returns all payloads, in the order in which they were loaded.
///
/// # Errors
///
/// Fails as the hypercall does; `EAGAIN` if the list changes all the time.
pub(crate) fn list(hv: &dyn Hypervisor) -> CallResult<Vec<Listed>> {
    for _ in 0..8 {
        let mut part = abi::List::new_zeroed();
        // SAFETY: without room nothing is written.
        unsafe { command(hv, abi::LIST, &mut part)? };
        let nr = part.nr as usize;
        if nr == 0 {
            return Ok(Vec::new());
        }
        let version = part.version;
        let mut status = vec![Status::new_zeroed(); nr];
        let mut lens = vec![0_u32; nr];
        let mut metadata_lens = vec![0_u32; nr];
        let mut names = vec![0_u8; part.name_total_size as usize];
        let mut metadata = vec![0_u8; part.metadata_total_size as usize];
        part.status = status.as_mut_ptr() as u64;
        part.len = lens.as_mut_ptr() as u64;
        part.metadata_len = metadata_lens.as_mut_ptr() as u64;
        part.name = names.as_mut_ptr() as u64;
        part.metadata = metadata.as_mut_ptr() as u64;
        // SAFETY: there is room for `nr` payloads, and for the sizes that were told.
        let got = match unsafe { command(hv, abi::LIST, &mut part) } {
            Err(Errno::EBUSY) => continue,
            got => got?,
        };
        if part.version != version || got as usize != nr || part.nr != 0 {
            continue;
        }
        let mut names = &names[..];
        let mut metadata = &metadata[..];
        let mut listed = Vec::new();
        for ((status, len), metadata_len) in status.iter().zip(&lens).zip(&metadata_lens) {
            let name = take(&mut names, *len)?;
            listed.push(Listed {
                name: strings(name).next().unwrap_or_default(),
                status: *status,
                metadata: strings(take(&mut metadata, *metadata_len)?).collect(),
            });
        }
        return Ok(listed);
    }
    Err(Errno::EAGAIN)
}

fn take<'a>(from: &mut &'a [u8], len: u32) -> CallResult<&'a [u8]> {
    let (head, tail) = from.split_at_checked(len as usize).ok_or(Errno::EPROTO)?;
    *from = tail;
    Ok(head)
}

/// Strings, each with a zero at its end.
fn strings(bytes: &[u8]) -> impl Iterator<Item = String> + '_ {
    bytes
        .split(|byte| *byte == 0)
        .filter(|text| !text.is_empty())
        .map(|text| String::from_utf8_lossy(text).into_owned())
}
