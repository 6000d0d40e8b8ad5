// SPDX-License-Identifier: GPL-2.0-only

//! `physdev_op`: there are no physical interrupts and no PCI devices to manage.
//!
//! Domains have no physical interrupts (`XEN_X86_EMU_USE_PIRQ` is not offered), so of all operations those that map
//! one remain, which a domain's tools may ask for; they find nothing to map.

use super::Args;
use crate::abi::errno::{
    Result,
    EINVAL,
    ENODEV,
    ENOSYS,
    EPERM, //
};
use crate::abi::physdev as abi;
use crate::hypercall::caller::{
    Caller,
    Handle, //
};

/// Performs an operation on physical devices.
///
/// # Errors
///
/// - `ENOSYS` for all that needs physical interrupts, as in Xen for a domain without them.
/// - `EPERM`, `ESRCH` if the caller has no power over the domain, which no guest has over itself, or there is none.
/// - `ENODEV` for a message of a device, `EINVAL` for an interrupt: there is none to map or unmap.
pub(crate) fn physdev_op(caller: &Caller<'_>, args: &mut Args) -> Result<i64> {
    // CAST: The command has 32 bits.
    match args[0] as u32 {
        abi::MAP_PIRQ => {
            let ask =
                Handle::<abi::MapPirq>::new(args[1]).read_as::<abi::compat::MapPirq>(caller)?;
            check(caller, ask.domid)?;
            match ask.type_ {
                abi::MAP_PIRQ_TYPE_MSI
                | abi::MAP_PIRQ_TYPE_MSI_SEG
                | abi::MAP_PIRQ_TYPE_MULTI_MSI => Err(ENODEV),
                _ => Err(EINVAL),
            }
        }
        abi::UNMAP_PIRQ => {
            let ask: abi::UnmapPirq = Handle::new(args[1]).read(caller)?;
            check(caller, ask.domid)?;
            Err(EINVAL)
        }
        _ => Err(ENOSYS),
    }
}

/// Whether the caller may give the domain interrupts.
fn check(caller: &Caller<'_>, domid: u16) -> Result {
    let domain = caller.target(domid)?;
    if !caller.is_control() && domain.id() == caller.domain.id() {
        return Err(EPERM);
    }
    Ok(())
}
