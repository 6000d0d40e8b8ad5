// SPDX-License-Identifier: GPL-2.0-only

//! Tests of the room, and what they share: a guest's view of its own table.

mod model;
mod ops;
mod race;
mod regressions;

use super::*;
use crate::{
    abi::grant_table::{
        GTF_PERMIT_ACCESS,
        GTF_READING,
        GTF_READONLY,
        GTF_WRITING, //
    },
    sys::atomic::Ordering,
};

/// The domain that grants, and the one it grants to.
const GRANTER: u16 = 1;
const MAPPER: u16 = 2;

const IN_USE: u16 = GTF_READING | GTF_WRITING;

/// Makes a table that may have `frames` frames, and has them all.
fn table(domid: u16, frames: u32) -> Table {
    let limits = Limits {
        max_grant_frames: frames,
        max_maptrack_frames: 2,
    };
    let mut table = Table::new(domid, u64::from(domid) << 32, limits).unwrap();
    grow(&mut table, frames);
    table
}

fn grow(table: &mut Table, frames: u32) {
    let needed = table.frames_needed(frames).unwrap();
    let mut growth = FrameGrowth::new(needed).unwrap();
    table.grow(frames, &mut growth).unwrap();
}

/// Writes an entry the way a guest does: frame first, flags last.
fn write_entry(table: &Table, gref: u32, flags: u16, domid: u16, frame: u32) {
    let page = table.shared_frame(gref / 512).unwrap();
    let offset = gref as usize % 512 * 8;

    page.word32(offset + 4)
        .unwrap()
        .store(frame, Ordering::Relaxed);
    page.word32(offset).unwrap().store(
        u32::from(flags) | (u32::from(domid) << 16),
        Ordering::Release,
    );
}

/// Reads an entry: flags, domain, frame.
fn read_entry(table: &Table, gref: u32) -> (u16, u16, u32) {
    let page = table.shared_frame(gref / 512).unwrap();
    let offset = gref as usize % 512 * 8;
    let header = page.word32(offset).unwrap().load(Ordering::Acquire);

    (
        header as u16,
        (header >> 16) as u16,
        page.word32(offset + 4).unwrap().load(Ordering::Relaxed),
    )
}

fn flags(table: &Table, gref: u32) -> u16 {
    read_entry(table, gref).0
}

/// Grants writing to the mapper.
fn grant(table: &Table, gref: u32, frame: u32) {
    write_entry(table, gref, GTF_PERMIT_ACCESS, MAPPER, frame);
}

fn grant_readonly(table: &Table, gref: u32, frame: u32) {
    write_entry(table, gref, GTF_PERMIT_ACCESS | GTF_READONLY, MAPPER, frame);
}

/// Sets a handle aside, growing if need be.
fn reserve(table: &mut Table) -> GntResult<Reserved> {
    match table.reserve_handle() {
        Ok(handle) => Ok(handle),
        Err(NoHandle::Refused(status)) => Err(status),
        Err(NoHandle::Grow(need)) => {
            table.add_handles(&mut MaptrackGrowth::new(need).unwrap());
            Ok(table.reserve_handle().unwrap())
        }
    }
}

/// Maps a grant as a hypercall would, at a host address made of the handle. Frame `f` has machine frame
/// `0x1000 + f`.
fn map(granter: &mut Table, mapper: &mut Table, gref: u32, access: Access) -> GntResult<u32> {
    let handle = reserve(mapper)?;

    match granter.pin(gref, mapper.domid(), access, Use::Map) {
        Err(status) => {
            mapper.release_handle(handle);
            Err(status)
        }
        Ok(pin) => {
            let mapping = Mapping {
                mfn: 0x1000 + pin.gfn(),
                host_addr: address(handle.handle()),
                pin,
            };
            Ok(mapper.commit(handle, mapping).unwrap())
        }
    }
}

fn address(handle: u32) -> u64 {
    0x10_0000_0000 + (u64::from(handle) << 12)
}

/// Unmaps as a hypercall would; returns the mapping's machine frame.
fn unmap(granter: &mut Table, mapper: &mut Table, handle: u32) -> GntResult<u64> {
    match mapper.begin_unmap(handle, address(handle), 0)? {
        Unmap::Nothing => panic!("an address was given"),
        Unmap::Remove(handle, mapping) => {
            granter.unpin(mapping.pin);
            mapper.release_handle(handle);
            Ok(mapping.mfn)
        }
    }
}

/// Checks that nothing is in use and no bit of ours is left in any entry.
fn assert_idle(table: &Table) {
    assert_eq!(table.pinned(), 0);
    for gref in 0..table.nr_entries() {
        assert_eq!(flags(table, gref) & IN_USE, 0, "entry {gref}");
    }
}
