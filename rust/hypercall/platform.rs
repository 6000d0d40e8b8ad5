// SPDX-License-Identifier: GPL-2.0-only

//! `platform_op`: what the control domain does with the machine. It is this host, which needs no hypervisor for that;
//! what is left is reading the few registers that Xen lets tools read.

use super::Args;
use crate::abi::errno::{
    Errno,
    Result,
    EACCES,
    EINVAL,
    ENODEV,
    ENOSYS,
    EOPNOTSUPP,
    EPERM, //
};
use crate::abi::layout;
use crate::abi::platform::{
    self as abi,
    ResourceEntry,
    ResourceOp,
    XenPlatformOp, //
};
use crate::hypercall::caller::{
    Caller,
    Handle, //
};
use crate::hypercall::versioned::Versioned;
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL, //
};
use crate::sys::{
    cpu,
    msr, //
};

/// Entries of one `resource_op`, as in Xen.
const MAX_ENTRIES: u32 = 3;
/// The time stamp counter.
const TSC: u32 = 0x10;
/// What the processor is not susceptible to; among that, whether there is [`TSX_CTRL`].
const ARCH_CAPABILITIES: u32 = 0x10a;
const ARCH_CAPABILITIES_TSX_CTRL: u64 = 1 << 7;
/// The registers by which tools find out about TSX.
const TSX_FORCE_ABORT: u32 = 0x10f;
const TSX_CTRL: u32 = 0x122;
const MCU_OPT_CTRL: u32 = 0x123;
/// The word of feature sets that is CPUID leaf 7 EDX.
const WORD_7D0: usize = 9;

/// Performs an operation on the machine.
///
/// # Errors
///
/// `EFAULT`, `EACCES` for a tool that speaks another version of the interface, `ENOSYS` for an operation that there is
/// not, and those of `resource_op`.
pub(crate) fn platform_op(caller: &Caller<'_>, args: &mut Args) -> Result<i64> {
    let op = XenPlatformOp::read(caller, args[0])?;
    match op.cmd {
        abi::RESOURCE_OP => {
            let ask: ResourceOp = layout::payload(&op.u).ok_or(EINVAL)?;
            resource_op(caller, &ask)
        }
        _ => Err(ENOSYS),
    }
}

/// Whether an entry may be done; otherwise its error number.
fn check(entry: &ResourceEntry) -> Result<u32> {
    if entry.rsvd != 0 {
        return Err(EINVAL);
    }
    match entry.cmd {
        abi::RESOURCE_OP_MSR_READ => {
            let msr = u32::try_from(entry.idx).map_err(|_| EINVAL)?;
            match msr {
                TSC | TSX_FORCE_ABORT | TSX_CTRL | MCU_OPT_CTRL => Ok(msr),
                _ => Err(EACCES),
            }
        }
        abi::RESOURCE_OP_MSR_WRITE => Err(EACCES),
        _ => Err(EOPNOTSUPP),
    }
}

/// What an entry's command becomes when it is done or refused.
fn code(result: core::result::Result<(), Errno>) -> u32 {
    // CAST: Two's complement, as tools expect.
    result.map_or_else(|errno| errno.to_raw() as u32, |()| 0)
}

/// Reads a register of this processor. Emulated machines answer 0 for registers that they do not have, so what CPUID
/// does not show is not read.
///
/// # Errors
///
/// `EPERM` if there is no such register.
fn read(msr: u32, features: u32) -> Result<u64> {
    let has = |bit: u32| features >> bit & 1 != 0;
    let exists = match msr {
        TSX_FORCE_ABORT => has(13),
        TSX_CTRL => has(29) && msr::read(ARCH_CAPABILITIES)? & ARCH_CAPABILITIES_TSX_CTRL != 0,
        MCU_OPT_CTRL => has(9),
        _ => true,
    };
    if exists {
        msr::read(msr)
    } else {
        Err(EPERM)
    }
}

/// `XENPF_resource_op`: reads registers of a processor, in order, up to the first that cannot be read. The result is
/// how many were.
///
/// # Errors
///
/// `EINVAL` for too many entries, `ENODEV` for a processor that is not online, `EFAULT`, `ENOMEM`.
fn resource_op(caller: &Caller<'_>, ask: &ResourceOp) -> Result<i64> {
    if ask.nr_entries > MAX_ENTRIES {
        return Err(EINVAL);
    }
    let slot = |index: usize| {
        // CAST: At most `MAX_ENTRIES`.
        Handle::<ResourceEntry>::new(ask.entries).at(index as u64)
    };
    let mut entries = KVec::with_capacity(ask.nr_entries as usize, GFP_KERNEL)?;
    for index in 0..ask.nr_entries as usize {
        entries.push(slot(index)?.read(caller)?, GFP_KERNEL)?;
    }
    // Nothing is done of what comes after an entry that is refused.
    let allowed = entries
        .iter()
        .take_while(|entry| check(entry).is_ok())
        .count();
    if let Some(refused) = entries.get_mut(allowed) {
        refused.cmd = code(check(refused).map(drop));
    }
    if allowed != 0 && !cpu::is_online(ask.cpu) {
        return Err(ENODEV);
    }
    let features = caller.hypervisor.policies.raw.features();
    let features = features.0.get(WORD_7D0).copied().unwrap_or(0);
    let mut done = 0;
    if allowed != 0 {
        cpu::call_on(ask.cpu, || {
            for entry in entries.iter_mut().take(allowed) {
                // CAST: Checked above.
                match read(entry.idx as u32, features) {
                    Ok(value) => entry.val = value,
                    Err(_) => {
                        entry.cmd = code(Err(EPERM));
                        return;
                    }
                }
                entry.cmd = code(Ok(()));
                done += 1;
            }
        })?;
    }
    for (index, entry) in entries.iter().take(done + 1).enumerate() {
        slot(index)?.write(caller, entry)?;
    }
    Ok(done as i64)
}
