// SPDX-License-Identifier: GPL-2.0-only

//! `hvm_op`: parameters of a domain.

use zerocopy::FromZeros;

use super::{
    call_with,
    CallResult,
    Hypervisor, //
};
use crate::abi::hvm::{
    self,
    HvmParam, //
};
use crate::abi::xen;

/// Makes the argument of both operations.
fn param(domid: u16, index: u32, value: u64) -> HvmParam {
    let mut arg = HvmParam::new_zeroed();
    arg.domid = domid;
    arg.index = index;
    arg.value = value;
    arg
}

/// Sets parameter `index` of a domain.
///
/// # Errors
///
/// Fails with EINVAL if there is no such parameter.
pub(crate) fn set_param(hv: &dyn Hypervisor, domid: u16, index: u32, value: u64) -> CallResult<()> {
    let mut arg = param(domid, index, value);
    // SAFETY: the structure is the one of this operation and holds no address that is followed.
    unsafe { call_with(hv, xen::HVM_OP, hvm::SET_PARAM, &mut arg).map(drop) }
}

/// Returns parameter `index` of a domain.
///
/// # Errors
///
/// Fails with ESRCH if there is no such domain, EINVAL if there is no such parameter.
pub(crate) fn get_param(hv: &dyn Hypervisor, domid: u16, index: u32) -> CallResult<u64> {
    let mut arg = param(domid, index, 0);
    // SAFETY: the structure is the one of this operation and holds no address.
    unsafe { call_with(hv, xen::HVM_OP, hvm::GET_PARAM, &mut arg)? };
    Ok(arg.value)
}
