// SPDX-License-Identifier: GPL-2.0-only

//! `domctl`: operations on domains.

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
use crate::abi::domctl::context::HvmContext;
use crate::abi::domctl::domain::{
    CreateDomain,
    GetDomainInfo,
    MaxMem,
    MaxVcpus,
    TscInfo, //
};
use crate::abi::domctl::paging::PagingMempool;
use crate::abi::domctl::sched::GetVcpuInfo;
use crate::abi::domctl::{
    self,
    XenDomctl, //
};
use crate::abi::xen;

/// A domain number that makes the hypervisor choose one.
const ANY: u16 = 0;

/// Issues a domctl with its payload, which is written back; returns the domain number in the
/// answer.
///
/// # Errors
///
/// Fails as the hypercall does; EACCES means that the hypervisor speaks another version.
///
/// # Safety
///
/// `payload` has to be the one of `cmd`, and every address in it has to be valid for what it does.
unsafe fn issue<T: FromBytes + IntoBytes + Immutable>(
    hv: &dyn Hypervisor,
    cmd: u32,
    domid: u16,
    payload: &mut T,
) -> CallResult<u16> {
    let mut op = XenDomctl::new_zeroed();
    op.cmd = cmd;
    op.interface_version = domctl::INTERFACE_VERSION;
    op.domain = domid;
    let room = op.u.get_mut(..size_of::<T>()).ok_or(Errno::E2BIG)?;
    payload.write_to(room).map_err(|_| Errno::E2BIG)?;
    let address = std::ptr::from_mut(&mut op) as u64;
    // SAFETY: `op` is the structure of this hypercall; the caller vouches for its payload.
    unsafe { hv.hypercall(xen::DOMCTL, [address, 0, 0, 0, 0])? };
    let answer = op.u.get(..size_of::<T>()).ok_or(Errno::E2BIG)?;
    *payload = T::read_from_bytes(answer).map_err(|_| Errno::E2BIG)?;
    Ok(op.domain)
}

/// Issues a domctl that has no payload.
fn issue_bare(hv: &dyn Hypervisor, cmd: u32, domid: u16) -> CallResult<()> {
    // SAFETY: there is no payload.
    unsafe { issue(hv, cmd, domid, &mut [0_u8; 0]).map(drop) }
}

/// Creates a domain and returns its number.
///
/// # Errors
///
/// Fails with what the hypervisor does not like about `config`, or ENOMEM.
pub(crate) fn create(hv: &dyn Hypervisor, config: &CreateDomain) -> CallResult<u16> {
    // SAFETY: the payload holds no address.
    unsafe { issue(hv, domctl::CREATEDOMAIN, ANY, &mut { *config }) }
}

/// Destroys a domain and waits for it to be gone.
///
/// # Errors
///
/// Fails with ESRCH if there is no such domain.
pub(crate) fn destroy(hv: &dyn Hypervisor, domid: u16) -> CallResult<()> {
    loop {
        match issue_bare(hv, domctl::DESTROYDOMAIN, domid) {
            // It takes its memory apart in portions, and may ask to be called for each.
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ERESTART) => std::thread::yield_now(),
            result => return result,
        }
    }
}

/// Raises a domain's pause count: it stops running.
///
/// # Errors
///
/// Fails with ESRCH if there is no such domain.
pub(crate) fn pause(hv: &dyn Hypervisor, domid: u16) -> CallResult<()> {
    issue_bare(hv, domctl::PAUSEDOMAIN, domid)
}

/// Lowers a domain's pause count: at 0 it runs.
///
/// # Errors
///
/// Fails with ESRCH if there is no such domain, EINVAL if it is not paused.
pub(crate) fn unpause(hv: &dyn Hypervisor, domid: u16) -> CallResult<()> {
    issue_bare(hv, domctl::UNPAUSEDOMAIN, domid)
}

/// Returns what the hypervisor knows about a domain.
///
/// # Errors
///
/// Fails with ESRCH if there is no such domain.
pub(crate) fn info(hv: &dyn Hypervisor, domid: u16) -> CallResult<GetDomainInfo> {
    let mut info = GetDomainInfo::new_zeroed();
    // SAFETY: the payload holds no address.
    unsafe { issue(hv, domctl::GETDOMAININFO, domid, &mut info)? };
    if info.domain != domid {
        return Err(Errno::ESRCH);
    }
    Ok(info)
}

/// Returns what the hypervisor knows about a vCPU.
///
/// # Errors
///
/// Fails with ESRCH if there is no such domain or vCPU.
pub(crate) fn vcpu_info(hv: &dyn Hypervisor, domid: u16, vcpu: u32) -> CallResult<GetVcpuInfo> {
    let mut info = GetVcpuInfo::new_zeroed();
    info.vcpu = vcpu;
    // SAFETY: the payload holds no address.
    unsafe { issue(hv, domctl::GETVCPUINFO, domid, &mut info)? };
    Ok(info)
}

/// Makes a domain's vCPUs.
///
/// # Errors
///
/// Fails with EINVAL if the domain was created for fewer.
pub(crate) fn max_vcpus(hv: &dyn Hypervisor, domid: u16, max: u32) -> CallResult<()> {
    let mut payload = MaxVcpus::new_zeroed();
    payload.max = max;
    // SAFETY: the payload holds no address.
    unsafe { issue(hv, domctl::MAX_VCPUS, domid, &mut payload).map(drop) }
}

/// Limits a domain's memory, in KiB.
///
/// # Errors
///
/// Fails as the hypercall does.
pub(crate) fn max_mem(hv: &dyn Hypervisor, domid: u16, max_memkb: u64) -> CallResult<()> {
    let mut payload = MaxMem { max_memkb };
    // SAFETY: the payload holds no address.
    unsafe { issue(hv, domctl::MAX_MEM, domid, &mut payload).map(drop) }
}

/// Lets the hypervisor choose how a domain's time stamp counter works.
///
/// # Errors
///
/// Fails as the hypercall does.
pub(crate) fn default_tsc(hv: &dyn Hypervisor, domid: u16) -> CallResult<()> {
    let mut payload = TscInfo::new_zeroed();
    // SAFETY: the payload holds no address.
    unsafe { issue(hv, domctl::SETTSCINFO, domid, &mut payload).map(drop) }
}

/// Sets aside memory for a domain's page tables, in bytes.
///
/// # Errors
///
/// Fails with EINVAL if it is not whole pages, ENOMEM if there is not as much.
pub(crate) fn set_paging_mempool(hv: &dyn Hypervisor, domid: u16, size: u64) -> CallResult<()> {
    let mut payload = PagingMempool { size };
    // SAFETY: the payload holds no address.
    unsafe { issue(hv, domctl::SET_PAGING_MEMPOOL_SIZE, domid, &mut payload).map(drop) }
}

/// Returns the saved state of a domain's vCPUs and platform.
///
/// # Errors
///
/// Fails as the hypercall does.
pub(crate) fn hvm_context(hv: &dyn Hypervisor, domid: u16) -> CallResult<Vec<u8>> {
    let mut payload = HvmContext::new_zeroed();
    // SAFETY: no address asks for the length only.
    unsafe { issue(hv, domctl::GETHVMCONTEXT, domid, &mut payload)? };
    let mut state = vec![0_u8; payload.size as usize];
    payload.buffer = state.as_mut_ptr() as u64;
    // SAFETY: the buffer is as long as the payload says.
    unsafe { issue(hv, domctl::GETHVMCONTEXT, domid, &mut payload)? };
    state.truncate(payload.size as usize);
    Ok(state)
}

/// Loads records of saved state into a domain.
///
/// # Errors
///
/// Fails with EINVAL if the hypervisor does not like a record.
pub(crate) fn set_hvm_context(hv: &dyn Hypervisor, domid: u16, state: &[u8]) -> CallResult<()> {
    let mut payload = HvmContext::new_zeroed();
    payload.size = u32::try_from(state.len()).map_err(|_| Errno::E2BIG)?;
    payload.buffer = state.as_ptr() as u64;
    // SAFETY: the buffer is as long as the payload says, and is only read.
    unsafe { issue(hv, domctl::SETHVMCONTEXT, domid, &mut payload).map(drop) }
}
