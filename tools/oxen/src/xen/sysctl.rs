// SPDX-License-Identifier: GPL-2.0-only

//! `sysctl`: the hypervisor as a whole.

use nix::errno::Errno;
use zerocopy::{
    FromBytes,
    FromZeros,
    Immutable,
    IntoBytes, //
};

use super::{
    CallResult,
    Hypervisor, //
};
use crate::abi::domctl::domain::GetDomainInfo;
use crate::abi::sysctl::{
    self,
    GetDomainInfoList,
    PhysInfo,
    ReadConsole,
    XenSysctl, //
};
use crate::abi::xen;

/// How many domains are asked for at a time.
const LIST_CHUNK: usize = 256;
/// How much of the log is asked for at a time, in bytes.
const LOG_CHUNK: usize = 16 << 10;

/// Issues a sysctl with its payload, which is written back. Returns the result.
///
/// # Errors
///
/// Fails as the hypercall does; EACCES means that the hypervisor speaks another version.
///
/// # Safety
///
/// `payload` has to be the one of `cmd`, and every address in it has to be valid for what it does.
pub(super) unsafe fn issue<T: FromBytes + IntoBytes + Immutable>(
    hv: &dyn Hypervisor,
    cmd: u32,
    payload: &mut T,
) -> CallResult {
    let mut op = XenSysctl::new_zeroed();
    op.cmd = cmd;
    op.interface_version = sysctl::INTERFACE_VERSION;
    let room = op.u.get_mut(..size_of::<T>()).ok_or(Errno::E2BIG)?;
    payload.write_to(room).map_err(|_| Errno::E2BIG)?;
    let address = std::ptr::from_mut(&mut op) as u64;
    // SAFETY: `op` is the structure of this hypercall; the caller vouches for its payload.
    let result = unsafe { hv.hypercall(xen::SYSCTL, [address, 0, 0, 0, 0])? };
    let answer = op.u.get(..size_of::<T>()).ok_or(Errno::E2BIG)?;
    *payload = T::read_from_bytes(answer).map_err(|_| Errno::E2BIG)?;
    Ok(result)
}

/// Returns what the machine has.
///
/// # Errors
///
/// Fails as the hypercall does.
pub(crate) fn physinfo(hv: &dyn Hypervisor) -> CallResult<PhysInfo> {
    let mut info = PhysInfo::new_zeroed();
    // SAFETY: the payload holds no address.
    unsafe { issue(hv, sysctl::PHYSINFO, &mut info)? };
    Ok(info)
}

/// Returns every domain there is, in ascending order of their numbers.
///
/// # Errors
///
/// Fails as the hypercall does.
pub(crate) fn domains(hv: &dyn Hypervisor) -> CallResult<Vec<GetDomainInfo>> {
    let mut out: Vec<GetDomainInfo> = Vec::new();
    let mut first = 0;
    loop {
        let mut chunk = vec![GetDomainInfo::new_zeroed(); LIST_CHUNK];
        let mut payload = GetDomainInfoList::new_zeroed();
        payload.first_domain = first;
        payload.max_domains = LIST_CHUNK as u32;
        payload.buffer = chunk.as_mut_ptr() as u64;
        // SAFETY: the buffer is as long as the payload says.
        unsafe { issue(hv, sysctl::GETDOMAININFOLIST, &mut payload)? };
        chunk.truncate(payload.num_domains as usize);
        let Some(last) = chunk.last() else {
            return Ok(out);
        };
        let last = last.domain;
        out.append(&mut chunk);
        // The numbers ascend; a hypervisor that goes back would keep us here.
        match last.checked_add(1) {
            Some(next) if next > first => first = next,
            _ => return Ok(out),
        }
    }
}

/// Reads the hypervisor's log from where `index` points, and moves it; nothing new gives nothing.
///
/// With `clear` the log is emptied as it is read.
///
/// # Errors
///
/// Fails as the hypercall does.
pub(crate) fn read_console(
    hv: &dyn Hypervisor,
    index: &mut u32,
    clear: bool,
) -> CallResult<Vec<u8>> {
    let mut text = vec![0_u8; LOG_CHUNK];
    let mut payload = ReadConsole::new_zeroed();
    payload.clear = clear.into();
    payload.incremental = 1;
    payload.index = *index;
    payload.buffer = text.as_mut_ptr() as u64;
    payload.count = LOG_CHUNK as u32;
    // SAFETY: the buffer is as long as the payload says.
    unsafe { issue(hv, sysctl::READCONSOLE, &mut payload)? };
    *index = payload.index;
    text.truncate(payload.count as usize);
    Ok(text)
}
