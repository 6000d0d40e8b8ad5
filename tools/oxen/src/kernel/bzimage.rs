// SPDX-License-Identifier: GPL-2.0-only

//! Finds the payload of an x86 bzImage.
//!
//! Source: Linux' description of the x86 boot protocol; offsets are from the start of the file.

use std::ops::Range;

use super::LoadError;

/// Offset of the number of 512-byte setup sectors after the first (u8; 0 means 4).
const SETUP_SECTS: usize = 0x1f1;
/// Offset of the two bytes that end a boot sector.
const BOOT_FLAG: usize = 0x1fe;
/// Offset of the header's own mark, "HdrS".
const MAGIC: usize = 0x202;
/// Offset of the boot protocol's version (u16, major in the high byte).
const VERSION: usize = 0x206;
/// Offset of the payload's offset from the end of the setup sectors (u32).
const PAYLOAD_OFFSET: usize = 0x248;
/// Offset of the payload's length in bytes (u32).
const PAYLOAD_LENGTH: usize = 0x24c;
/// The first protocol version that says where the payload is.
const VERSION_WITH_PAYLOAD: u16 = 0x0208;

/// Copies `N` bytes at `at`, or fails if the file ends before them.
fn bytes<const N: usize>(image: &[u8], at: usize) -> Result<[u8; N], LoadError> {
    image
        .get(at..at + N)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(LoadError::Truncated("setup header"))
}

/// Returns where in the file the payload is, or `None` if the file is no bzImage.
///
/// The range may reach beyond the end of a truncated file: the caller has to check.
///
/// # Errors
///
/// Fails if the header is cut off or too old to say where the payload is.
pub(super) fn payload(image: &[u8]) -> Result<Option<Range<usize>>, LoadError> {
    if image.get(BOOT_FLAG..BOOT_FLAG + 2) != Some(&[0x55, 0xaa])
        || image.get(MAGIC..MAGIC + 4) != Some(b"HdrS")
    {
        return Ok(None);
    }
    let version = u16::from_le_bytes(bytes(image, VERSION)?);
    if version < VERSION_WITH_PAYLOAD {
        return Err(LoadError::OldBootProtocol(version));
    }
    let [sectors] = bytes(image, SETUP_SECTS)?;
    let sectors = if sectors == 0 {
        4
    } else {
        usize::from(sectors)
    };
    let offset = u32::from_le_bytes(bytes(image, PAYLOAD_OFFSET)?) as usize;
    let length = u32::from_le_bytes(bytes(image, PAYLOAD_LENGTH)?) as usize;
    // Three numbers of at most 32 bits each: the sum fits in 64.
    let start = (sectors + 1) * 512 + offset;
    Ok(Some(start..start + length))
}
