// SPDX-License-Identifier: GPL-2.0-only

//! Each operation by itself.

use super::*;
use crate::abi::{
    errno,
    grant_table::{
        GTF_SUB_PAGE,
        GTF_TYPE_MASK, //
    }, //
};

#[test]
fn new_table_has_one_zeroed_frame() {
    let table = Table::new(7, 1, Limits::DEFAULT).unwrap();

    assert_eq!(
        table.size(),
        TableSize {
            nr_frames: 1,
            max_nr_frames: 64
        }
    );
    assert_eq!(table.domid(), 7);
    assert!((0..512).all(|gref| read_entry(&table, gref) == (0, 0, 0)));
    assert_eq!(table.shared_frame(1).err(), Some(errno::EINVAL));
}

#[test]
fn limits_come_from_createdomain() {
    let limits = Limits::from_createdomain;

    assert_eq!(limits(-1, -1, 1), Ok(Limits::DEFAULT));
    assert_eq!(
        limits(40, 0, 1),
        Ok(Limits {
            max_grant_frames: 40,
            max_maptrack_frames: 0
        })
    );
    assert_eq!(limits(0, 0, 1), Err(errno::EINVAL));
    assert_eq!(limits(1, 1, 0), Err(errno::EINVAL));
    assert_eq!(limits(1, 1, 2), Err(errno::EINVAL));
    assert_eq!(limits(1, 1, 0x11), Err(errno::EINVAL));
    assert_eq!(limits(i32::MAX, 1, 1), Err(errno::ENOMEM));
    assert_eq!(limits(1, i32::MAX, 1), Err(errno::ENOMEM));
    assert!(limits(1 << 16, 1 << 16, 1).is_ok());
}

#[test]
fn grows_to_the_limit_and_no_further() {
    let mut table = Table::new(
        7,
        1,
        Limits {
            max_grant_frames: 40,
            max_maptrack_frames: 0,
        },
    )
    .unwrap();
    write_entry(&table, 5, 1, 2, 3);

    assert_eq!(table.frames_needed(41), Err(errno::EINVAL));
    assert_eq!(table.frames_needed(40), Ok(39));
    assert_eq!(table.frames_needed(0), Ok(0));

    // Too little memory: nothing happens.
    let mut growth = FrameGrowth::new(38).unwrap();
    assert_eq!(table.grow(40, &mut growth), Err(errno::EAGAIN));
    assert_eq!(table.size().nr_frames, 1);
    // More than is needed: the rest stays.
    assert_eq!(table.grow(11, &mut growth), Ok(()));
    assert_eq!(table.size().nr_frames, 11);
    assert_eq!(growth.frames.len(), 28);

    grow(&mut table, 40);
    assert_eq!(table.size().nr_frames, 40);
    assert_eq!(read_entry(&table, 5), (1, 2, 3));
    write_entry(&table, 40 * 512 - 1, 1, MAPPER, 9);
    let pin = table.pin(40 * 512 - 1, MAPPER, Access::Read, Use::Map);
    assert_eq!(pin.as_ref().map(Pin::gfn), Ok(9));
    table.unpin(pin.unwrap());
    assert_eq!(
        table.pin(40 * 512, MAPPER, Access::Read, Use::Map),
        Err(Gntst::BAD_GNTREF)
    );
}

#[test]
fn a_frame_moves_in_guest_memory() {
    let mut table = table(GRANTER, 2);

    assert_eq!(table.frame_gfn(0).unwrap().0, INVALID_GFN);
    assert_eq!(table.place_frame(0, 0x100).unwrap().previous, None);
    assert_eq!(table.place_frame(0, 0x100).unwrap().previous, None);
    let placed: Placed = table.place_frame(0, 0x200).unwrap();
    assert_eq!(placed.previous, Some(0x100));
    assert_eq!(placed.page.mfn(), table.shared_frame(0).unwrap().mfn());
    assert_eq!(table.frame_gfn(0).unwrap().0, 0x200);
    assert_eq!(table.frame_gfn(1).unwrap().0, INVALID_GFN);

    // Only its own entry is forgotten.
    table.unplace_frame(0, 0x100);
    assert_eq!(table.frame_gfn(0).unwrap().0, 0x200);
    table.unplace_frame(0, 0x200);
    assert_eq!(table.frame_gfn(0).unwrap().0, INVALID_GFN);
    assert_eq!(table.place_frame(2, 0x300).err(), Some(errno::EINVAL));
    table.unplace_frame(2, 0x300);
    assert_eq!(table.frame_gfn(2).err(), Some(errno::EINVAL));
}

#[test]
fn resource_requests_are_checked() {
    let table = Table::new(7, 1, Limits::from_createdomain(40, 0, 1).unwrap()).unwrap();

    assert_eq!(table.resource_max(0), 40);
    assert_eq!(table.resource_range(0, 0, 40), Ok(0..40));
    assert_eq!(table.resource_range(0, 39, 1), Ok(39..40));
    for (id, frame, count) in [
        (0, 0, 0),
        (0, 0, 41),
        (0, 40, 1),
        (0, 1 << 32, 1),
        (0, u64::MAX, 1),
        (0, u64::from(u32::MAX), 1),
        (0, 1, u32::MAX),
        (2, 0, 1),
    ] {
        assert_eq!(
            table.resource_range(id, frame, count),
            Err(errno::EINVAL),
            "{id} {frame} {count}"
        );
    }
}

#[test]
fn versions() {
    let table = table(GRANTER, 1);

    assert_eq!(table.version(), 1);
    assert_eq!(table.set_version(1), Ok(()));
    assert_eq!(table.set_version(2), Err(errno::ENOSYS));
    assert_eq!(table.set_version(0), Err(errno::EINVAL));
    assert_eq!(table.set_version(3), Err(errno::EINVAL));
    assert_eq!(table.version(), 1);
}

#[test]
fn map_sets_and_unmap_clears_the_bits() {
    let (mut granter, mut mapper) = (table(GRANTER, 1), table(MAPPER, 1));

    grant(&granter, 20, 0x33);
    let handle = map(&mut granter, &mut mapper, 20, Access::Write).unwrap();
    assert_eq!(flags(&granter, 20), GTF_PERMIT_ACCESS | IN_USE);
    assert_eq!((granter.pinned(), mapper.handles_in_use()), (1, 1));
    assert_eq!(unmap(&mut granter, &mut mapper, handle), Ok(0x1033));
    assert_eq!(flags(&granter, 20), GTF_PERMIT_ACCESS);

    grant_readonly(&granter, 21, 0x34);
    let handle = map(&mut granter, &mut mapper, 21, Access::Read).unwrap();
    assert_eq!(
        flags(&granter, 21),
        GTF_PERMIT_ACCESS | GTF_READONLY | GTF_READING
    );
    assert_eq!(
        map(&mut granter, &mut mapper, 21, Access::Write),
        Err(Gntst::GENERAL_ERROR)
    );
    assert_eq!(unmap(&mut granter, &mut mapper, handle), Ok(0x1034));
    assert_idle(&granter);
    assert_eq!(mapper.handles_in_use(), 0);
}

#[test]
fn only_what_the_entry_permits() {
    let mut granter = table(GRANTER, 1);
    let pin = |granter: &mut Table, how| granter.pin(9, MAPPER, Access::Read, how);

    // Every type but the one that permits access, and every wrong domain.
    for kind in 0..=GTF_TYPE_MASK {
        for domid in [0, GRANTER, MAPPER, MAPPER + 1, 0x7ff0, 0xffff] {
            write_entry(&granter, 9, kind, domid, 1);
            for how in [Use::Map, Use::Copy] {
                match pin(&mut granter, how) {
                    Ok(pin) => {
                        assert_eq!((kind, domid), (GTF_PERMIT_ACCESS, MAPPER));
                        granter.unpin(pin);
                    }
                    Err(status) => {
                        assert_eq!(status, Gntst::GENERAL_ERROR);
                        assert_ne!((kind, domid), (GTF_PERMIT_ACCESS, MAPPER));
                    }
                }
                assert_eq!(read_entry(&granter, 9), (kind, domid, 1));
            }
        }
    }

    // A version 1 entry has no sub-pages: it is copied whole and not mapped.
    write_entry(&granter, 9, GTF_PERMIT_ACCESS | GTF_SUB_PAGE, MAPPER, 1);
    assert_eq!(pin(&mut granter, Use::Map), Err(Gntst::GENERAL_ERROR));
    let copy = pin(&mut granter, Use::Copy).unwrap();
    granter.unpin(copy);
    assert_idle(&granter);
}

#[test]
fn grants_to_domain_0_and_to_oneself() {
    let (mut granter, mut host) = (table(GRANTER, 1), table(0, 1));

    write_entry(&granter, 8, GTF_PERMIT_ACCESS, 0, 0);
    let handle = map(&mut granter, &mut host, 8, Access::Write).unwrap();
    assert_eq!(unmap(&mut granter, &mut host, handle), Ok(0x1000));

    write_entry(&granter, 8, GTF_PERMIT_ACCESS, GRANTER, 4);
    let pin = granter.pin(8, GRANTER, Access::Write, Use::Map).unwrap();
    assert_eq!((pin.granter(), pin.gref(), pin.gfn()), (GRANTER, 8, 4));
    assert_eq!(pin.access(), Access::Write);
    granter.unpin(pin);
    assert_idle(&granter);
}

/// What Debian's `test-resource` does: one page granted 40 times to domain 0, through 40 frames of the table.
#[test]
fn one_page_through_forty_references() {
    let mut granter = table(GRANTER, 40);
    let mut host = table(0, 1);
    let grefs: Vec<u32> = (0..40).map(|i| i * 512 + i).collect();

    for &gref in &grefs {
        write_entry(&granter, gref, GTF_PERMIT_ACCESS, 0, 0);
    }
    let handles: Vec<u32> = grefs
        .iter()
        .map(|&gref| map(&mut granter, &mut host, gref, Access::Write).unwrap())
        .collect();
    assert_eq!(granter.pinned(), 40);
    for handle in handles {
        assert_eq!(unmap(&mut granter, &mut host, handle), Ok(0x1000));
    }
    assert_idle(&granter);
}

#[test]
fn uses_of_one_entry_are_limited() {
    let mut granter = table(GRANTER, 1);
    grant(&granter, 0, 1);
    let mut pins = Vec::new();

    for access in [Access::Read, Access::Write] {
        for _ in 0..128 {
            pins.push(granter.pin(0, MAPPER, access, Use::Map).unwrap());
        }
        assert_eq!(
            granter.pin(0, MAPPER, access, Use::Map),
            Err(Gntst::GENERAL_ERROR)
        );
    }
    assert_eq!(granter.pinned(), 1);
    for pin in pins {
        granter.unpin(pin);
    }
    assert_idle(&granter);
}

#[test]
fn handles_run_out_and_come_back() {
    let mut mapper = table(MAPPER, 1);
    let mut held: Vec<Reserved> = (0..512).map(|_| reserve(&mut mapper).unwrap()).collect();

    assert_eq!(
        mapper.reserve_handle(),
        Err(NoHandle::Refused(Gntst::NO_SPACE))
    );
    let mut numbers: Vec<u32> = held.iter().map(Reserved::handle).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..512));

    let one = held.swap_remove(100);
    let number = one.handle();
    mapper.release_handle(one);
    assert_eq!(mapper.reserve_handle().unwrap().handle(), number);

    // A domain that may map nothing.
    let mut none = Table::new(3, 1, Limits::from_createdomain(1, 0, 1).unwrap()).unwrap();
    assert_eq!(
        none.reserve_handle(),
        Err(NoHandle::Refused(Gntst::NO_SPACE))
    );
}

#[test]
fn growth_that_was_not_needed_stays_with_the_caller() {
    let mut mapper = table(MAPPER, 1);
    let Err(NoHandle::Grow(need)) = mapper.reserve_handle() else {
        panic!("no handle yet");
    };
    let need: MaptrackNeed = need;
    let (mut first, mut second) = (
        MaptrackGrowth::new(need).unwrap(),
        MaptrackGrowth::new(need).unwrap(),
    );

    mapper.add_handles(&mut first);
    mapper.add_handles(&mut second);
    assert_eq!(second.frame.len(), 256);
    assert_eq!(second.frames.capacity(), 2);
    let held: Vec<Reserved> = (0..256).map(|_| mapper.reserve_handle().unwrap()).collect();
    assert!(matches!(mapper.reserve_handle(), Err(NoHandle::Grow(_))));

    // It is good for later.
    mapper.add_handles(&mut second);
    assert_eq!(mapper.reserve_handle().unwrap().handle(), 256);
    // The same token again: there is nothing left in it.
    for _ in 0..255 {
        let _ = mapper.reserve_handle().unwrap();
    }
    mapper.add_handles(&mut second);
    assert!(mapper.reserve_handle().is_err());
    drop(held);
}

#[test]
fn unmap_checks_what_it_is_given() {
    let (mut granter, mut mapper) = (table(GRANTER, 1), table(MAPPER, 1));
    grant(&granter, 3, 0x44);
    let handle = map(&mut granter, &mut mapper, 3, Access::Write).unwrap();
    let right = address(handle);
    let bus = 0x1044 << 12;

    for hostile in [handle + 1, 255, 256, 257, 1 << 20, u32::MAX] {
        assert_eq!(
            mapper.begin_unmap(hostile, right, 0),
            Err(Gntst::BAD_HANDLE),
            "{hostile}"
        );
    }
    for (host_addr, dev_bus_addr) in [(right + 4096, 0), (right, bus + 4096), (0, 1), (1, 0)] {
        assert_eq!(
            mapper.begin_unmap(handle, host_addr, dev_bus_addr),
            Err(Gntst::GENERAL_ERROR)
        );
    }
    assert_eq!(mapper.begin_unmap(handle, 0, 0), Ok(Unmap::Nothing));
    assert_eq!(mapper.begin_unmap(handle, 0, bus), Ok(Unmap::Nothing));
    assert_eq!(granter.pinned(), 1);

    // It could not be removed: it is as before.
    match mapper.begin_unmap(handle, right, bus) {
        Ok(Unmap::Remove(handle, mapping)) => mapper.restore(handle, mapping),
        other => panic!("{other:?}"),
    }
    assert_eq!(unmap(&mut granter, &mut mapper, handle), Ok(0x1044));
    assert_eq!(mapper.begin_unmap(handle, right, 0), Err(Gntst::BAD_HANDLE));
}

#[test]
fn swap_exchanges_idle_entries_only() {
    let mut table = table(GRANTER, 1);
    write_entry(&table, 1, GTF_PERMIT_ACCESS, MAPPER, 0x11);
    write_entry(&table, 2, GTF_PERMIT_ACCESS | GTF_READONLY, 9, 0x22);

    assert_eq!(table.swap(1, 2), Ok(()));
    assert_eq!(
        read_entry(&table, 1),
        (GTF_PERMIT_ACCESS | GTF_READONLY, 9, 0x22)
    );
    assert_eq!(read_entry(&table, 2), (GTF_PERMIT_ACCESS, MAPPER, 0x11));

    for (a, b) in [(512, 1), (1, 512), (u32::MAX, u32::MAX)] {
        assert_eq!(table.swap(a, b), Err(Gntst::BAD_GNTREF));
    }
    let pin = table.pin(2, MAPPER, Access::Read, Use::Map).unwrap();
    assert_eq!(table.swap(1, 2), Err(Gntst::EAGAIN));
    assert_eq!(table.swap(2, 1), Err(Gntst::EAGAIN));
    assert_eq!(table.swap(2, 2), Ok(()));
    table.unpin(pin);
    assert_eq!(table.swap(1, 2), Ok(()));
}

#[test]
fn the_host_offers_and_withdraws() {
    let (mut host, mut guest) = (table(0, 1), table(MAPPER, 1));
    let gref = host.offer(MAPPER, 0x77, Access::Read).unwrap();

    assert!(gref >= 8);
    assert_eq!(
        read_entry(&host, gref),
        (GTF_PERMIT_ACCESS | GTF_READONLY, MAPPER, 0x77)
    );
    assert_eq!(
        map(&mut host, &mut guest, gref, Access::Write),
        Err(Gntst::GENERAL_ERROR)
    );
    let handle = map(&mut host, &mut guest, gref, Access::Read).unwrap();
    assert_eq!(host.withdraw(gref), Err(errno::EBUSY));
    assert_eq!(unmap(&mut host, &mut guest, handle), Ok(0x1077));
    assert_eq!(host.withdraw(gref), Ok(()));
    assert_eq!(host.withdraw(512), Err(errno::EINVAL));
    assert_eq!(
        map(&mut host, &mut guest, gref, Access::Read),
        Err(Gntst::GENERAL_ERROR)
    );

    assert_eq!(
        host.offer(MAPPER, 1 << 32, Access::Write),
        Err(errno::ERANGE)
    );
    let mut all: Vec<u32> = (0..504)
        .map(|i| host.offer(MAPPER, i, Access::Write).unwrap())
        .collect();
    assert_eq!(host.offer(MAPPER, 0, Access::Write), Err(errno::ENOSPC));
    all.sort_unstable();
    assert!(all.into_iter().eq(8..512));
    host.withdraw(300).unwrap();
    assert_eq!(host.offer(MAPPER, 0, Access::Write), Ok(300));

    // What is in use is not given out again, whatever its entry says.
    let pin = host.pin(300, MAPPER, Access::Write, Use::Map).unwrap();
    write_entry(&host, 300, 0, 0, 0);
    assert_eq!(host.offer(MAPPER, 0, Access::Write), Err(errno::ENOSPC));
    host.unpin(pin);
    assert_eq!(host.offer(MAPPER, 0, Access::Write), Ok(300));
}

#[test]
fn cache_flush_finds_mappings() {
    let (mut granter, mut mapper) = (table(GRANTER, 1), table(MAPPER, 1));

    assert_eq!(mapper.maps_frame(0x1005, 0), Search::Missing);
    grant(&granter, 3, 5);
    let handle = map(&mut granter, &mut mapper, 3, Access::Write).unwrap();
    assert_eq!(mapper.maps_frame(0x1005, 0), Search::Found);
    assert_eq!(mapper.maps_frame(0x1006, 0), Search::Missing);
    assert_eq!(mapper.maps_frame(0x1005, u32::MAX), Search::Missing);
    unmap(&mut granter, &mut mapper, handle).unwrap();
    assert_eq!(mapper.maps_frame(0x1005, 0), Search::Missing);
}

#[test]
fn arguments_are_checked() {
    use crate::gnttab::rules::*;

    assert_eq!(check_map_flags(0), Err(Gntst::BAD_GNTREF));
    assert_eq!(check_map_flags(4), Err(Gntst::BAD_GNTREF));
    assert_eq!(check_map_flags(2), Ok(Access::Write));
    assert_eq!(check_map_flags(6), Ok(Access::Read));
    for flags in [1, 3, 7, 2 | 8, 2 | 16, 2 | 32, 0x1_0002, u32::MAX] {
        assert_eq!(check_map_flags(flags), Err(Gntst::GENERAL_ERROR));
    }

    assert_eq!(check_copy_side(0x7ff0, false), Ok(()));
    assert_eq!(check_copy_side(5, true), Ok(()));
    assert_eq!(check_copy_side(5, false), Err(Gntst::PERMISSION_DENIED));
    assert_eq!(check_copy_bounds(0, 4095, 1), Ok(()));
    assert_eq!(check_copy_bounds(0, 0, 4096), Ok(()));
    assert_eq!(check_copy_bounds(4096, 4096, 0), Ok(()));
    for (source, dest, len) in [
        (1, 0, 4096),
        (0, 1, 4096),
        (0xffff, 0, 0xffff),
        (4097, 0, 0),
    ] {
        assert_eq!(
            check_copy_bounds(source, dest, len),
            Err(Gntst::BAD_COPY_ARG)
        );
    }

    assert_eq!(
        check_cache_flush(0, 4096, 3),
        Ok(CacheOp::CleanAndInvalidate)
    );
    assert_eq!(check_cache_flush(0, 64, 1), Ok(CacheOp::Clean));
    assert_eq!(check_cache_flush(0, 64, 2), Ok(CacheOp::Invalidate));
    assert_eq!(check_cache_flush(0, 64, 0), Ok(CacheOp::Nothing));
    assert_eq!(check_cache_flush(0, 0, 3), Ok(CacheOp::Nothing));
    for (offset, length, op) in [
        (4096, 0, 1),
        (1, 4096, 1),
        (0, 4097, 1),
        (0, 1, 4),
        (0, 1, 0x8000_0001),
    ] {
        assert_eq!(check_cache_flush(offset, length, op), Err(errno::EINVAL));
    }
}

#[test]
fn commands() {
    assert_eq!(rules::split_command(5, 0), Ok((5, 0)));
    assert_eq!(rules::split_command(0x3000 | 12, 7), Ok((12, 0x3000)));
    assert_eq!(rules::split_command(0x1000 | 5, 1), Err(errno::EINVAL));
    assert_eq!(rules::split_command(5, 1 << 31), Err(errno::EINVAL));

    let allowed: Vec<u32> = (0..64).filter(|&op| rules::allowed_for_guest(op)).collect();
    assert_eq!(allowed, [0, 1, 2, 5, 6, 8, 10, 11]);
}
