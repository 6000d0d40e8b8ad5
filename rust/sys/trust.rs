// SPDX-License-Identifier: GPL-2.0-only

//! What code this kernel trusts.

use crate::abi::errno::{
    Errno,
    Result,
    EINVAL, //
};
use crate::sys::raw;

/// What a signature is worth.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is of these bytes, by somebody whom a keyring trusts.
    Good,
    /// It is by somebody unknown, or in a form that this kernel does not know.
    Unknown,
}

/// Checks a PKCS#7 signature of `data`.
///
/// # Errors
///
/// What the kernel says of a signature that is wrong.
pub(crate) fn verify(data: &[u8], signature: &[u8]) -> Result<Verdict> {
    // SAFETY: Both are valid for the call; it may sleep.
    let rc = unsafe {
        raw::oxen_verify(
            data.as_ptr(),
            data.len() as u64,
            signature.as_ptr(),
            signature.len() as u64,
        )
    };
    // SAFETY: Compares numbers.
    let unknown = unsafe { raw::oxen_signature_is_unknown(rc) };
    match rc {
        0 => Ok(Verdict::Good),
        _ if unknown => Ok(Verdict::Unknown),
        _ => Err(Errno::from_raw(rc.into()).unwrap_or(EINVAL)),
    }
}

/// Whether this kernel takes no code that it cannot trust: modules must be signed, or it is locked down.
pub(crate) fn wants_signatures() -> bool {
    // SAFETY: Asks the kernel's own policies.
    unsafe { raw::oxen_wants_signatures() }
}

/// Marks the kernel: its code was changed, and perhaps by what nobody signed.
pub(crate) fn taint(is_signed: bool) {
    // SAFETY: Sets flags.
    unsafe { raw::oxen_taint(is_signed) };
}
