// SPDX-License-Identifier: GPL-2.0-only

//! What went wrong elsewhere, by the advisory's place in the list of grant-table regressions: GT-1 is
//! XSA-218, and so on to GT-20, which is XSA-501.

use super::*;
use crate::{
    abi::errno,
    gnttab::{
        entry::claim_with,
        rules, //
    },
};

/// XSA-218: two unmaps of one handle race, and both drop the use.
#[test]
fn gt_1_second_unmap_of_a_handle_finds_nothing() {
    let (mut granter, mut mapper) = (table(GRANTER, 1), table(MAPPER, 1));
    grant(&granter, 3, 1);
    let handle = map(&mut granter, &mut mapper, 3, Access::Write).unwrap();
    let other = map(&mut granter, &mut mapper, 3, Access::Write).unwrap();

    let Ok(Unmap::Remove(taken, mapping)) = mapper.begin_unmap(handle, address(handle), 0) else {
        panic!("there is a mapping");
    };
    // The first is under way: neither an unmap nor a new mapping gets at the handle.
    assert_eq!(
        mapper.begin_unmap(handle, address(handle), 0),
        Err(Gntst::BAD_HANDLE)
    );
    assert_ne!(mapper.reserve_handle().unwrap().handle(), handle);
    granter.unpin(mapping.pin);
    mapper.release_handle(taken);
    assert_eq!(flags(&granter, 3) & IN_USE, IN_USE);

    unmap(&mut granter, &mut mapper, other).unwrap();
    assert_idle(&granter);
}

/// XSA-224: a failed or partial operation leaves counts behind, or takes too much away.
#[test]
fn gt_2_failed_operations_change_no_count() {
    let (mut granter, mut mapper) = (table(GRANTER, 1), table(MAPPER, 1));
    grant_readonly(&granter, 3, 1);
    let handle = map(&mut granter, &mut mapper, 3, Access::Read).unwrap();

    for _ in 0..300 {
        assert!(map(&mut granter, &mut mapper, 3, Access::Write).is_err());
        assert!(map(&mut granter, &mut mapper, 4, Access::Read).is_err());
        assert!(map(&mut granter, &mut mapper, 512, Access::Read).is_err());
        assert_eq!(mapper.begin_unmap(handle, 0, 0), Ok(Unmap::Nothing));
    }
    assert_eq!((granter.pinned(), mapper.handles_in_use()), (1, 1));
    // Device mappings, whose mix with the other kind was the trouble, are refused.
    assert_eq!(rules::check_map_flags(3), Err(Gntst::GENERAL_ERROR));
    unmap(&mut granter, &mut mapper, handle).unwrap();
    assert_idle(&granter);
}

/// XSA-226: transitive grants recurse.
#[test]
fn gt_3_transitive_entries_permit_nothing() {
    let mut granter = table(GRANTER, 1);
    write_entry(&granter, 3, 3, MAPPER, 1);

    for how in [Use::Map, Use::Copy] {
        assert_eq!(
            granter.pin(3, MAPPER, Access::Read, how),
            Err(Gntst::GENERAL_ERROR)
        );
    }
    assert_eq!(read_entry(&granter, 3), (3, MAPPER, 1));
}

/// XSA-228: the list of free handles is corrupted, and one handle is given out twice.
#[test]
fn gt_4_no_handle_is_given_out_twice() {
    let mut mapper = table(MAPPER, 1);
    let mut held: Vec<Reserved> = Vec::new();
    let mut random = 1_u32;

    for _ in 0..20_000 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if random >> 31 == 0 || held.is_empty() {
            if let Ok(handle) = reserve(&mut mapper) {
                assert!(held.iter().all(|other| other.handle() != handle.handle()));
                held.push(handle);
            }
        } else {
            let index = (random >> 8) as usize % held.len();
            mapper.release_handle(held.swap_remove(index));
        }
        assert_eq!(mapper.handles_in_use() as usize, held.len());
    }
}

/// XSA-230: the bits are cleared while somebody still uses the entry.
#[test]
fn gt_5_bits_stay_until_the_last_use_ends() {
    let mut granter = table(GRANTER, 1);
    grant(&granter, 3, 1);
    let pin = |granter: &mut Table, access, how| granter.pin(3, MAPPER, access, how).unwrap();

    let map_write = pin(&mut granter, Access::Write, Use::Map);
    let copy_write = pin(&mut granter, Access::Write, Use::Copy);
    let copy_read = pin(&mut granter, Access::Read, Use::Copy);
    let map_read = pin(&mut granter, Access::Read, Use::Map);

    granter.unpin(copy_read);
    assert_eq!(flags(&granter, 3) & IN_USE, IN_USE);
    granter.unpin(map_write);
    assert_eq!(flags(&granter, 3) & IN_USE, IN_USE);
    granter.unpin(copy_write);
    assert_eq!(flags(&granter, 3) & IN_USE, GTF_READING);
    granter.unpin(map_read);
    assert_eq!(flags(&granter, 3) & IN_USE, 0);
    assert_idle(&granter);

    // The reader that came first does not hold the writer's bit.
    let reader = pin(&mut granter, Access::Read, Use::Map);
    assert_eq!(flags(&granter, 3) & IN_USE, GTF_READING);
    let writer = pin(&mut granter, Access::Write, Use::Map);
    assert_eq!(flags(&granter, 3) & IN_USE, IN_USE);
    granter.unpin(reader);
    assert_eq!(flags(&granter, 3) & IN_USE, IN_USE);
    granter.unpin(writer);
    assert_idle(&granter);
}

/// XSA-235: an error path keeps the lock. Here it would have to keep the `&mut`; the table works on.
#[test]
fn gt_6_errors_leave_the_table_usable() {
    let mut granter = table(GRANTER, 1);

    assert!(granter.place_frame(u32::MAX, 1).is_err());
    assert!(granter.shared_frame(1).is_err());
    assert!(granter.frames_needed(u32::MAX).is_err());
    assert!(granter.place_frame(0, 1).is_ok());
}

/// XSA-255, 379, 382, 384, 486 and 501: status frames, and going back and forth between versions.
#[test]
fn gt_7_12_14_15_18_20_there_is_no_version_2() {
    let mut granter = table(GRANTER, 40);
    grant(&granter, 100, 1);
    let pin = granter.pin(100, MAPPER, Access::Write, Use::Map).unwrap();

    for _ in 0..3 {
        assert_eq!(granter.set_version(2), Err(errno::ENOSYS));
        assert_eq!(granter.set_version(1), Ok(()));
    }
    // Nothing was cleared.
    assert_eq!(
        read_entry(&granter, 100),
        (GTF_PERMIT_ACCESS | IN_USE, MAPPER, 1)
    );
    granter.unpin(pin);

    assert_eq!(granter.status_frames(0), Ok(()));
    assert_eq!(granter.status_frames(1), Err(Gntst::GENERAL_ERROR));
    assert_eq!(granter.status_frames(u32::MAX), Err(Gntst::GENERAL_ERROR));
    for index in [0x8000_0000, 0x8000_0001, u32::MAX] {
        assert_eq!(granter.place_frame(index, 1).err(), Some(errno::EINVAL));
    }
}

/// `acquire_resource` of status frames of a version 1 table hit an assertion.
#[test]
fn ar_8_status_frames_of_a_version_1_table() {
    let table = table(GRANTER, 40);

    assert_eq!(table.resource_max(1), 0);
    assert_eq!(table.resource_range(1, 0, 1), Err(errno::EINVAL));
}

/// XSA-284: transfers.
#[test]
fn gt_8_transfer_is_not_offered() {
    let mut granter = table(GRANTER, 1);
    write_entry(&granter, 3, 2, MAPPER, 1);

    assert!(!rules::allowed_for_guest(4));
    for how in [Use::Map, Use::Copy] {
        assert_eq!(
            granter.pin(3, MAPPER, Access::Read, how),
            Err(Gntst::GENERAL_ERROR)
        );
    }
    // No "transfer committed" either, which is the bit of "read only".
    assert_eq!(read_entry(&granter, 3), (2, MAPPER, 1));
}

/// XSA-316: an error path that reports a positive status. XSA-318: one that reports none.
#[test]
fn gt_10_11_refusals_are_negative() {
    let all = [
        Gntst::GENERAL_ERROR,
        Gntst::BAD_DOMAIN,
        Gntst::BAD_GNTREF,
        Gntst::BAD_HANDLE,
        Gntst::BAD_VIRT_ADDR,
        Gntst::PERMISSION_DENIED,
        Gntst::BAD_PAGE,
        Gntst::BAD_COPY_ARG,
        Gntst::EAGAIN,
        Gntst::NO_SPACE,
    ];

    for status in all {
        assert!((-13..0).contains(&status.to_raw()));
        assert_eq!(Gntst::field::<u32>(&Err(status)), status.to_raw());
        assert_ne!(status.name(), "?");
    }
    assert_eq!(Gntst::field(&Ok(7)), 0);
}

/// XSA-380: loops over all handles that cannot be interrupted.
#[test]
fn gt_13_release_and_search_are_bounded_and_resumable() {
    let limits = Limits {
        max_grant_frames: 1,
        max_maptrack_frames: 64,
    };
    let mut granter = table(GRANTER, 1);
    let mut mapper = Table::new(MAPPER, 5, limits).unwrap();
    grant(&granter, 3, 1);
    grant(&granter, 4, 2);

    // 16384 handles, of which the last alone is a mapping.
    let held: Vec<Reserved> = (0..64 * 256 - 1)
        .map(|_| reserve(&mut mapper).unwrap())
        .collect();
    let last = map(&mut granter, &mut mapper, 4, Access::Write).unwrap();
    let mut steps = 0;
    let mut start = 0;
    while let Search::More(next) = mapper.maps_frame(0x1002, start) {
        assert_eq!(next % 4096, 0);
        assert!(next > start);
        (start, steps) = (next, steps + 1);
    }
    assert_eq!(mapper.maps_frame(0x1002, start), Search::Found);
    assert_eq!(steps, 3);
    for handle in held {
        mapper.release_handle(handle);
    }
    let first = map(&mut granter, &mut mapper, 3, Access::Read).unwrap();
    assert_ne!(first, last);

    mapper.die();
    let (mut found, mut pauses) = (0, 0);
    loop {
        match mapper.release_step() {
            Release::Mapping(mapping) => {
                granter.unpin(mapping.pin);
                found += 1;
            }
            Release::Again => pauses += 1,
            Release::Done => break,
        }
        assert!(found <= 2 && pauses < 100, "it does not end");
    }
    assert_eq!(found, 2);
    assert!((3..=5).contains(&pauses), "{pauses}");
    assert_eq!(mapper.handles_in_use(), 0);
    assert_idle(&granter);
}

/// XSA-394: a use is dropped although the mapping is still there.
#[test]
fn gt_16_use_ends_only_with_the_mapping() {
    let (mut granter, mut mapper) = (table(GRANTER, 1), table(MAPPER, 1));
    grant(&granter, 3, 1);
    let handle = map(&mut granter, &mut mapper, 3, Access::Write).unwrap();

    for _ in 0..5 {
        assert_eq!(
            mapper.begin_unmap(handle, 0, 0x1001 << 12),
            Ok(Unmap::Nothing)
        );
        assert_eq!(flags(&granter, 3) & IN_USE, IN_USE);
    }
    assert_eq!(unmap(&mut granter, &mut mapper, handle), Ok(0x1001));
    assert_idle(&granter);
}

/// XSA-500: what is unmapped is not what was mapped, because the entry was read again.
#[test]
fn gt_19_the_frame_is_read_once() {
    let (mut granter, mut mapper) = (table(GRANTER, 1), table(MAPPER, 1));
    grant(&granter, 3, 0x10);
    let first = map(&mut granter, &mut mapper, 3, Access::Read).unwrap();

    // The owner breaks the protocol and changes the frame under a use.
    write_entry(&granter, 3, GTF_PERMIT_ACCESS, MAPPER, 0x99);
    let second = map(&mut granter, &mut mapper, 3, Access::Write).unwrap();
    assert_eq!(unmap(&mut granter, &mut mapper, first), Ok(0x1010));
    assert_eq!(unmap(&mut granter, &mut mapper, second), Ok(0x1010));
    assert_idle(&granter);

    // The next use begins afresh.
    let third = map(&mut granter, &mut mapper, 3, Access::Read).unwrap();
    assert_eq!(unmap(&mut granter, &mut mapper, third), Ok(0x1099));
}

/// An owner that takes a grant back while it is in use gains nothing, and gives nothing further away.
#[test]
fn an_entry_that_says_no_is_not_obeyed_further() {
    let mut granter = table(GRANTER, 1);
    grant(&granter, 3, 0x10);
    let reader = granter.pin(3, MAPPER, Access::Read, Use::Map).unwrap();

    for (flags, domid) in [
        (0, MAPPER),
        (GTF_PERMIT_ACCESS, 9),
        (5, MAPPER),
        (2, MAPPER),
    ] {
        write_entry(&granter, 3, flags, domid, 0x10);
        assert_eq!(
            granter.pin(3, MAPPER, Access::Write, Use::Map),
            Err(Gntst::GENERAL_ERROR)
        );
        assert_eq!(read_entry(&granter, 3), (flags, domid, 0x10));
    }
    // Another domain cannot come in while the first one is there.
    write_entry(&granter, 3, GTF_PERMIT_ACCESS, 9, 0x10);
    assert_eq!(
        granter.pin(3, 9, Access::Read, Use::Map),
        Err(Gntst::GENERAL_ERROR)
    );
    granter.unpin(reader);
    assert!(granter.pin(3, 9, Access::Read, Use::Map).is_ok());
}

/// A mapper dies: everything it held is given back, whatever state its operations are in.
#[test]
fn dying_mapper_gives_everything_back() {
    let (mut granter, mut mapper) = (table(GRANTER, 1), table(MAPPER, 1));
    for gref in 0..20 {
        grant(&granter, gref, gref);
        map(&mut granter, &mut mapper, gref, Access::Write).unwrap();
    }
    // One unmap and one map are under way.
    let Ok(Unmap::Remove(unmapping, mapping)) = mapper.begin_unmap(4, address(4), 0) else {
        panic!("there is a mapping");
    };
    let mapping_up = mapper.reserve_handle().unwrap();
    let pin = granter.pin(19, MAPPER, Access::Read, Use::Map).unwrap();

    mapper.die();
    assert_eq!(
        mapper.reserve_handle(),
        Err(NoHandle::Refused(Gntst::GENERAL_ERROR))
    );
    let new = Mapping {
        pin,
        mfn: 1,
        host_addr: 1,
    };
    let (mapping_up, new) = mapper.commit(mapping_up, new).unwrap_err();
    granter.unpin(new.pin);
    mapper.release_handle(mapping_up);
    // The unmap fails, after the release has passed its handle.
    for _ in 0..19 {
        match mapper.release_step() {
            Release::Mapping(mapping) => granter.unpin(mapping.pin),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(mapper.release_step(), Release::Again);
    mapper.restore(unmapping, mapping);
    match mapper.release_step() {
        Release::Mapping(mapping) => granter.unpin(mapping.pin),
        other => panic!("{other:?}"),
    }
    assert_eq!(mapper.release_step(), Release::Done);
    assert_idle(&granter);
}

/// A granter dies and another domain gets its number: a late unmap does nothing to the newcomer.
#[test]
fn late_unmap_does_not_touch_a_domain_with_the_same_number() {
    let (mut granter, mut mapper) = (table(GRANTER, 1), table(MAPPER, 1));
    grant(&granter, 3, 1);
    let handle = map(&mut granter, &mut mapper, 3, Access::Write).unwrap();

    granter.die();
    assert_eq!(
        granter.pin(3, MAPPER, Access::Write, Use::Map),
        Err(Gntst::BAD_DOMAIN)
    );
    drop(granter);
    let mut newcomer = Table::new(GRANTER, 77, Limits::DEFAULT).unwrap();
    grant(&newcomer, 3, 1);
    let own = newcomer.pin(3, MAPPER, Access::Write, Use::Map).unwrap();

    assert_eq!(unmap(&mut newcomer, &mut mapper, handle), Ok(0x1001));
    assert_eq!(newcomer.pinned(), 1);
    assert_eq!(flags(&newcomer, 3) & IN_USE, IN_USE);
    newcomer.unpin(own);
    assert_idle(&newcomer);
}

/// XSA-295: an owner that changes the word between each look and each exchange. What is exchanged is what was
/// checked, the number of tries is fixed, and a refusal seen on the way is one. `race` does it with threads.
#[test]
fn gt_9_each_try_checks_what_it_exchanges() {
    let permit = u32::from(GTF_PERMIT_ACCESS) | (u32::from(MAPPER) << 16);
    let in_use = u32::from(IN_USE);
    let claim = |script: &[u32]| {
        let mut tries = 0;
        let outcome = claim_with(script[0], MAPPER, Access::Write, Use::Map, |seen, new| {
            assert_eq!(seen, script[tries]);
            assert_eq!(new, seen | in_use);
            tries += 1;
            match script.get(tries) {
                Some(&now) => Err(now),
                None => Ok(seen),
            }
        });
        (outcome, tries)
    };
    // The cache attributes are the owner's to change.
    let words: Vec<u32> = (0..6).map(|i| permit | (i << 5)).collect();

    for races in 0..5 {
        assert_eq!(claim(&words[..races + 1]), (Ok(()), races + 1));
    }
    assert_eq!(claim(&words), (Err(Gntst::GENERAL_ERROR), 5));
    for no in [
        0,
        permit | 4,
        permit ^ 2,
        permit ^ (1 << 16),
        permit | 0x100,
    ] {
        assert_eq!(
            claim(&[permit, no, permit]),
            (Err(Gntst::GENERAL_ERROR), 1),
            "{no:#x}"
        );
    }
}
