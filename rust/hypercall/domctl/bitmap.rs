// SPDX-License-Identifier: GPL-2.0-only

//! Bitmaps of tools (`xenctl_bitmap`): each side has the length that it knows, and bits beyond the shorter are 0.

use crate::abi::domctl::XenctlBitmap;
use crate::abi::errno::{
    Result,
    EFAULT, //
};
use crate::domain::affinity::CpuSet;
use crate::hypercall::caller::Caller;
use crate::sys::cpu;
use crate::sys::irq;

/// Bytes that are copied at once.
const CHUNK: usize = 64;

/// Where byte `index` of a bitmap is.
fn at(map: &XenctlBitmap, index: usize) -> Result<u64> {
    // CAST: A bitmap has less than 2^29 bytes.
    map.bitmap.checked_add(index as u64).ok_or(EFAULT)
}

/// Reads the first `bits` bits of a tool's bitmap through `put`, which gets the byte's number and the byte.
fn read(
    caller: &Caller<'_>,
    map: &XenctlBitmap,
    bits: u32,
    mut put: impl FnMut(usize, u8),
) -> Result {
    let bits = map.nr_bits.min(bits);
    let end = bits.div_ceil(8) as usize;
    let mut buffer = [0; CHUNK];
    for start in (0..end).step_by(CHUNK) {
        let Some(part) = buffer.get_mut(..CHUNK.min(end - start)) else {
            continue;
        };
        caller.copy_in(at(map, start)?, part)?;
        for (index, byte) in part.iter().enumerate() {
            let index = start + index;
            let last = index + 1 == end && bits % 8 != 0;
            put(
                index,
                if last {
                    byte & !(0xff << (bits % 8))
                } else {
                    *byte
                },
            );
        }
    }
    Ok(())
}

/// Writes a tool's bitmap, whose byte `index` of those that we have is `get(index)`.
fn write(caller: &Caller<'_>, map: &XenctlBitmap, bits: u32, get: impl Fn(usize) -> u8) -> Result {
    let end = map.nr_bits.div_ceil(8) as usize;
    let ours = bits.min(map.nr_bits);
    let byte = |index: usize| {
        let whole = ours as usize / 8;
        match index {
            index if index < whole => get(index),
            index if index == whole && ours % 8 != 0 => get(index) & !(0xff << (ours % 8)),
            _ => 0,
        }
    };
    let mut buffer = [0; CHUNK];
    for start in (0..end).step_by(CHUNK) {
        let Some(part) = buffer.get_mut(..CHUNK.min(end - start)) else {
            continue;
        };
        for (index, slot) in part.iter_mut().enumerate() {
            *slot = byte(start + index);
        }
        caller.copy_out(at(map, start)?, part)?;
        irq::cond_resched();
    }
    Ok(())
}

/// Reads a set of processors.
///
/// # Errors
///
/// `EFAULT`, `ENOMEM`.
pub(crate) fn read_cpus(caller: &Caller<'_>, map: &XenctlBitmap) -> Result<CpuSet> {
    let mut set = CpuSet::new(|_| false)?;
    read(caller, map, cpu::nr_ids(), |index, byte| {
        if let Some(word) = set.0.get_mut(index / 8) {
            *word |= u64::from(byte) << (index % 8 * 8);
        }
    })?;
    Ok(set)
}

/// Writes a set of processors.
///
/// # Errors
///
/// `EFAULT`; a part may have been written.
pub(crate) fn write_cpus(caller: &Caller<'_>, map: &XenctlBitmap, set: &CpuSet) -> Result {
    write(caller, map, cpu::nr_ids(), |index| {
        let word = set.0.get(index / 8).copied().unwrap_or(0);
        // CAST: The byte is what is wanted.
        (word >> (index % 8 * 8)) as u8
    })
}

/// Reads a set of nodes. There is one, number 0: whether it is in the set.
///
/// # Errors
///
/// `EFAULT`.
pub(crate) fn read_node(caller: &Caller<'_>, map: &XenctlBitmap) -> Result<bool> {
    let mut node = false;
    read(caller, map, 1, |_, byte| node = byte != 0)?;
    Ok(node)
}

/// Writes the set of node 0.
///
/// # Errors
///
/// `EFAULT`; a part may have been written.
pub(crate) fn write_node(caller: &Caller<'_>, map: &XenctlBitmap) -> Result {
    write(caller, map, 1, |_| 1)
}
