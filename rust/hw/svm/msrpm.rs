// SPDX-License-Identifier: GPL-2.0-only

//! Which MSRs a guest accesses without an exit. APM 15.11.

use crate::abi::errno::Result;
use crate::hw::Capabilities;
use crate::sys::page::PageBlock;

/// The start of each range of 0x2000 MSRs that the map covers, in the order of the map.
const RANGES: [u32; 3] = [0, 0xc000_0000, 0xc001_0000];
/// Bytes of the map per range: two bits per MSR.
const RANGE_BYTES: usize = 0x800;

/// Switched by VMLOAD and VMSAVE or kept in the control block, and harmless to the host.
const SWITCHED: [u32; 10] = [
    0xc000_0100, // FS_BASE
    0xc000_0101, // GS_BASE
    0xc000_0102, // KERNEL_GS_BASE
    0xc000_0081, // STAR
    0xc000_0082, // LSTAR
    0xc000_0083, // CSTAR
    0xc000_0084, // SFMASK
    0x174,       // SYSENTER_CS
    0x175,       // SYSENTER_ESP
    0x176,       // SYSENTER_EIP
];
const TSC: u32 = 0x10;
const SPEC_CTRL: u32 = 0x48;
const PRED_CMD: u32 = 0x49;

/// Builds the map: everything exits but what is listed here.
pub(crate) fn build(capabilities: &Capabilities) -> Result<PageBlock<1>> {
    let mut map = PageBlock::<1>::new()?;
    map.fill(0xff);
    for msr in SWITCHED {
        allow(&mut map, msr, true, true);
    }
    allow(&mut map, TSC, true, false);
    if capabilities.spec_ctrl {
        allow(&mut map, SPEC_CTRL, true, true);
    }
    if capabilities.ibpb {
        allow(&mut map, PRED_CMD, false, true);
    }
    Ok(map)
}

/// Whether a guest writes an MSR without an exit.
pub(crate) fn is_written_directly(capabilities: &Capabilities, msr: u32) -> bool {
    SWITCHED.contains(&msr)
        || (msr == SPEC_CTRL && capabilities.spec_ctrl)
        || (msr == PRED_CMD && capabilities.ibpb)
}

/// Has writes to an MSR exit.
pub(crate) fn watch(map: &mut PageBlock<1>, msr: u32) {
    if let Some((byte, bits)) = place(map, msr, false, true) {
        *byte |= bits;
    }
}

/// Clears the bits of one MSR.
fn allow(map: &mut PageBlock<1>, msr: u32, read: bool, write: bool) {
    if let Some((byte, bits)) = place(map, msr, read, write) {
        *byte &= !bits;
    }
}

/// The byte that an MSR is in, and its bits there.
fn place(map: &mut PageBlock<1>, msr: u32, read: bool, write: bool) -> Option<(&mut u8, u8)> {
    for (index, base) in RANGES.iter().enumerate() {
        let Some(at) = msr.checked_sub(*base).filter(|at| *at < 0x2000) else {
            continue;
        };
        let at = at as usize;
        let bits = u8::from(read) | u8::from(write) << 1;
        // SAFETY: `at / 4` is below 0x800 and `index` below 3, so the byte is within the 8 KiB of the map.
        let byte = unsafe { &mut *map.as_ptr().add(index * RANGE_BYTES + at / 4) };
        return Some((byte, bits << (at % 4 * 2)));
    }
    None
}
