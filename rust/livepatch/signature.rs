// SPDX-License-Identifier: GPL-2.0-only

//! Signatures at the end of a file, as the kernel's `sign-file` puts them there (`linux/module_signature.h`).

use super::refusal::{
    Refusal,
    Result, //
};
use crate::abi::errno::EINVAL;

/// How a signed file ends.
const MARKER: &[u8] = b"~Module signature appended~\n";
/// Bytes of the information in front of that.
const INFO: usize = 12;
/// `MODULE_SIGNATURE_TYPE_PKCS7`.
const PKCS7: u8 = 2;

/// A file and its signature.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Signed<'a> {
    /// What is signed.
    pub(crate) data: &'a [u8],
    /// A PKCS#7 message, if the file is signed.
    pub(crate) signature: Option<&'a [u8]>,
}

/// Takes a file apart.
///
/// # Errors
///
/// `EINVAL` if it ends as a signed one does, but is none.
pub(crate) fn split(file: &[u8]) -> Result<Signed<'_>> {
    match file.strip_suffix(MARKER) {
        None => Ok(Signed {
            data: file,
            signature: None,
        }),
        Some(rest) => signed(rest).ok_or(Refusal::new(EINVAL, "ends with a broken signature")),
    }
}

fn signed(rest: &[u8]) -> Option<Signed<'_>> {
    let (rest, info) = rest.split_last_chunk::<INFO>()?;
    let [0, 0, PKCS7, 0, 0, 0, 0, 0, len @ ..] = info else {
        return None;
    };
    let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
    let (data, signature) = rest.split_at_checked(rest.len().checked_sub(len)?)?;
    if data.is_empty() || signature.is_empty() {
        return None;
    }
    Some(Signed {
        data,
        signature: Some(signature),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(data: &[u8], signature: &[u8], info: [u8; 8], len: u32) -> Vec<u8> {
        [data, signature, &info, &len.to_be_bytes(), MARKER].concat()
    }

    #[test]
    fn l_15_signatures_are_found() {
        let plain = b"payload".to_vec();
        let parts = split(&plain).unwrap();
        assert_eq!((parts.data, parts.signature), (&plain[..], None));
        let good = file(b"payload", b"sig", [0, 0, 2, 0, 0, 0, 0, 0], 3);
        let parts = split(&good).unwrap();
        assert_eq!(parts.data, b"payload");
        assert_eq!(parts.signature, Some(&b"sig"[..]));
        // Another one in front of it is signed with the rest.
        let twice = file(&good, b"SIG", [0, 0, 2, 0, 0, 0, 0, 0], 3);
        assert_eq!(split(&twice).unwrap().data, good);
    }

    #[test]
    fn l_15_broken_signatures_are_refused() {
        let ok = [0, 0, 2, 0, 0, 0, 0, 0];
        for bad in [
            MARKER.to_vec(),
            file(b"", b"", ok, 0),
            file(b"payload", b"", ok, 0),
            file(b"", b"sig", ok, 3),
            file(b"payload", b"sig", ok, 11),
            file(b"payload", b"sig", ok, u32::MAX),
            file(b"payload", b"sig", [0, 0, 1, 0, 0, 0, 0, 0], 3),
            file(b"payload", b"sig", [0, 0, 2, 0, 0, 0, 0, 1], 3),
        ] {
            assert_eq!(split(&bad).unwrap_err().errno, EINVAL);
        }
    }
}
