// SPDX-License-Identifier: GPL-2.0-only

//! `console_io`: what guests print into the hypervisor's log.

use super::Args;
use crate::abi::errno::{
    Result,
    EFAULT,
    EINVAL,
    ENOSYS,
    EPERM,
    ERESTART, //
};
use crate::domain::hypervisor::Hypervisor;
use crate::domain::Domain;
use crate::hypercall::caller::Caller;

/// `CONSOLEIO_write`.
const WRITE: u64 = 0;
/// `CONSOLEIO_read`.
const READ: u64 = 1;
/// Bytes that one step copies.
const CHUNK: usize = 128;

/// Writes `args[1]` bytes at `args[2]` to the log (`CONSOLEIO_write`).
///
/// # Errors
///
/// `EFAULT` for memory that cannot be read, `EPERM` for all else that a guest asks for, which is the control domain's,
/// `ENOSYS` for what there is not.
pub(crate) fn console_io(caller: &Caller<'_>, args: &mut Args) -> Result<i64> {
    match args[0] & 0xffff_ffff {
        WRITE => {
            // Xen counts with a signed 32-bit number.
            let left = i32::try_from(args[1] & 0xffff_ffff).map_err(|_| EINVAL)?;
            let left = usize::try_from(left).map_err(|_| EINVAL)?;
            let mut buffer = [0; CHUNK];
            let part = left.min(CHUNK);
            let text = buffer.get_mut(..part).ok_or(EINVAL)?;
            caller.copy_in(args[2], text)?;
            for byte in text.iter() {
                guest_byte(caller.hypervisor, caller.domain, *byte);
            }
            if part == left {
                return Ok(0);
            }
            args[1] = (left - part) as u64;
            args[2] = args[2].checked_add(part as u64).ok_or(EFAULT)?;
            Err(ERESTART)
        }
        _ if !caller.is_control() => Err(EPERM),
        READ => Ok(0),
        _ => Err(ENOSYS),
    }
}

/// Takes a byte that a guest printed. Whole lines go to the log.
pub(crate) fn guest_byte(hypervisor: &Hypervisor, domain: &Domain, byte: u8) {
    let mut line = [0; crate::domain::console::LINE_BYTES];
    let mut done = None;
    domain.console.lock().push(byte, |text| {
        if let Some(to) = line.get_mut(..text.len()) {
            to.copy_from_slice(text);
            done = Some(text.len());
        }
    });
    if let Some(text) = done.and_then(|len| line.get(..len)) {
        hypervisor.log_guest(domain.id(), text);
    }
}
