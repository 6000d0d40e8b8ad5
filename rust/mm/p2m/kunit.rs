// SPDX-License-Identifier: GPL-2.0-only

//! The map against real pages: who owns what, before and after each change.

use kernel::prelude::kunit_tests;

#[kunit_tests(oxen_p2m)]
mod tests {
    use crate::abi::errno::{
        Result,
        EBUSY,
        EINVAL,
        ENOENT,
        ENOMEM, //
    };
    use crate::hw::npt::{
        P2mType,
        ENTRIES,
        MAX_GFN, //
    };
    use crate::hw::rights::Rights;
    use crate::mm::p2m::{
        P2m,
        Removed, //
    };
    use crate::sys::alloc::{
        KBox,
        GFP_KERNEL, //
    };
    use crate::sys::page::PageRef;

    use kernel::init::InPlaceInit;

    /// Guest frames of a 2 MiB block.
    const BLOCK: u64 = ENTRIES as u64;

    /// An empty map with room for `pages` pages of RAM.
    fn map(pages: u64) -> Result<core::pin::Pin<KBox<P2m>>> {
        let map = KBox::pin_init(P2m::new()?, GFP_KERNEL).map_err(|_| ENOMEM)?;
        map.set_max_pages(pages);
        Ok(map)
    }

    #[test]
    fn a_leaf_owns_one_reference() -> Result {
        let map = map(8)?;
        let page = PageRef::zeroed()?;
        assert_eq!(page.count(), 1);
        let mut removed = Removed::with_capacity(1)?;
        map.insert(7, page.clone(), P2mType::RamRw, &mut removed)?;
        assert_eq!(removed.len(), 0);
        assert_eq!((page.count(), map.ram_pages()), (2, 1));

        let held = map.get(7, true)?;
        assert_eq!((page.count(), held.mfn()), (3, page.mfn()));
        map.remove(7, &mut removed)?;
        assert_eq!((map.ram_pages(), removed.len()), (0, 1));
        assert_eq!(map.get(7, false).err(), Some(ENOENT));
        map.release(removed, |_| {});
        assert_eq!(page.count(), 2);
        drop(held);
        assert_eq!(page.count(), 1);
        Ok(())
    }

    #[test]
    fn what_is_replaced_is_given_back() -> Result {
        let map = map(8)?;
        let (one, two) = (PageRef::zeroed()?, PageRef::zeroed()?);
        let mut removed = Removed::with_capacity(1)?;
        map.insert(3, one.clone(), P2mType::RamRw, &mut removed)?;
        map.insert(3, two.clone(), P2mType::Special, &mut removed)?;
        assert_eq!((map.ram_pages(), removed.len()), (0, 1));
        assert_eq!(one.count(), 2);
        map.release(removed, |_| {});
        assert_eq!((one.count(), two.count()), (1, 2));
        drop(map);
        assert_eq!(two.count(), 1);
        Ok(())
    }

    #[test]
    fn the_allotment_is_kept() -> Result {
        let map = map(2)?;
        map.populate(0)?;
        assert_eq!(map.populate(0).err(), Some(EBUSY));
        assert_eq!(map.ram_pages(), 1);
        map.populate(1)?;
        assert_eq!(map.populate(2).err(), Some(ENOMEM));
        let page = PageRef::zeroed()?;
        let mut removed = Removed::with_capacity(1)?;
        let refused = map.insert(2, page.clone(), P2mType::RamRo, &mut removed);
        assert_eq!((refused.err(), page.count()), (Some(ENOMEM), 1));
        // What is not the domain's RAM is not counted.
        map.insert(2, page.clone(), P2mType::MapForeign, &mut removed)?;
        assert_eq!((map.ram_pages(), page.count()), (2, 2));
        assert_eq!(map.get_own(2, false).err(), Some(ENOENT));
        map.release(removed, |_| {});
        Ok(())
    }

    #[test]
    fn a_large_leaf_splits_and_loses_nothing() -> Result {
        let map = map(BLOCK)?;
        let mut done = 0;
        map.populate_2m(BLOCK, &mut done)?;
        assert_eq!((done, map.ram_pages()), (BLOCK, BLOCK));
        let large = map.lookup(BLOCK).is_some_and(|leaf| leaf.large);
        let first = map.get(BLOCK + 1, true)?;
        let victim = map.get(BLOCK + 5, true)?;
        assert_eq!(victim.count(), 2);

        let mut removed = Removed::with_capacity(1)?;
        map.remove(BLOCK + 5, &mut removed)?;
        map.release(removed, |_| {});
        assert_eq!((victim.count(), map.ram_pages()), (1, BLOCK - 1));
        assert!(!map.lookup(BLOCK + 5).is_some_and(|leaf| leaf.ty.is_page()));
        let still = map.lookup(BLOCK + 1);
        assert_eq!(
            still.map(|leaf| (leaf.mfn, leaf.large)),
            Some((first.mfn(), false))
        );
        assert_eq!(first.count(), 2);

        assert_eq!(map.relinquish(0), None);
        assert_eq!((map.ram_pages(), first.count(), victim.count()), (0, 1, 1));
        // A machine whose memory is in pieces has no such block; then the above ran on small ones.
        if !large {
            kernel::pr_info!("no free block of 2 MiB\n");
        }
        Ok(())
    }

    #[test]
    fn a_range_that_is_not_empty_keeps_what_it_has() -> Result {
        let map = map(2 * BLOCK)?;
        map.populate(9)?;
        let held = map.get(9, true)?;
        let mut done = 0;
        assert_eq!(map.populate_2m(0, &mut done).err(), Some(EBUSY));
        assert_eq!((done, map.ram_pages()), (9, 10));
        assert_eq!(held.count(), 2);
        Ok(())
    }

    #[test]
    fn rights_split_a_large_leaf_and_join_it_again() -> Result {
        let map = map(BLOCK)?;
        let mut done = 0;
        map.populate_2m(BLOCK, &mut done)?;
        let large = map.lookup(BLOCK).is_some_and(|leaf| leaf.large);
        let one = map.get(BLOCK + 5, true)?;
        for _ in 0..3 {
            map.set_rights(BLOCK + 5..BLOCK + 6, Rights::N)?;
            assert_eq!(map.rights(BLOCK + 5), Some(Rights::N));
            assert_eq!(map.rights(BLOCK + 6), Some(Rights::Rwx));
            let split = map.lookup(BLOCK).is_some_and(|leaf| !leaf.large);
            assert!(split);
            // Without any right it is still the domain's, and owned once.
            assert_eq!(map.get(BLOCK + 5, true)?.mfn(), one.mfn());
            assert_eq!((one.count(), map.ram_pages()), (2, BLOCK));
            map.set_rights(BLOCK..BLOCK + 9, Rights::Rwx)?;
            let again = map.lookup(BLOCK).is_some_and(|leaf| leaf.large);
            assert_eq!(again, large);
            assert_eq!(one.count(), 2);
        }
        // All of it at once stays one leaf.
        map.set_rights(BLOCK..2 * BLOCK, Rights::Rx)?;
        let whole = map.lookup(BLOCK).is_some_and(|leaf| leaf.large);
        assert_eq!((whole, map.rights(BLOCK + 77)), (large, Some(Rights::Rx)));

        let mut removed = Removed::with_capacity(1)?;
        map.remove(BLOCK + 5, &mut removed)?;
        map.release(removed, |_| {});
        assert_eq!((one.count(), map.rights(BLOCK + 5)), (1, None));
        assert_eq!(map.rights(BLOCK + 6), Some(Rights::Rx));
        assert_eq!(map.relinquish(0), None);
        assert_eq!(map.ram_pages(), 0);
        Ok(())
    }

    #[test]
    fn rights_are_for_pages_that_there_are() -> Result {
        let map = map(8)?;
        map.populate(3)?;
        // A call does a bounded amount of work, and says where to go on.
        let (mut at, mut calls) = (0, 0);
        while at < MAX_GFN {
            let next = map.set_rights(at..MAX_GFN, Rights::R)?;
            calls += 1;
            assert!(next > at && calls < 1000);
            at = next;
        }
        assert_eq!(at, MAX_GFN);
        assert_eq!((map.rights(3), map.rights(4)), (Some(Rights::R), None));
        assert_eq!(
            map.set_rights(0..MAX_GFN + 1, Rights::R).err(),
            Some(EINVAL)
        );
        map.set_default_rights(Rights::Rx);
        map.populate(4)?;
        assert_eq!(map.rights(4), Some(Rights::Rx));
        assert!(map.turn_rights(4, Rights::Rx, Rights::Rw)?);
        // They are others by now, or there is no page any more.
        assert!(!map.turn_rights(4, Rights::Rx, Rights::Rwx)?);
        assert!(!map.turn_rights(5, Rights::Rx, Rights::Rwx)?);
        assert_eq!(map.rights(4), Some(Rights::Rw));
        // What a page is and what may be done with it are two things.
        map.change_type(4, P2mType::RamRw, P2mType::RamRo)?;
        assert_eq!(map.rights(4), Some(Rights::Rw));
        Ok(())
    }

    #[test]
    fn types_are_changed_only_from_what_they_are() -> Result {
        let map = map(4)?;
        map.populate(1)?;
        let generation = map.generation();
        assert_eq!(
            map.change_type(1, P2mType::RamRo, P2mType::RamRw).err(),
            Some(EINVAL)
        );
        assert_eq!(
            map.change_type(2, P2mType::RamRw, P2mType::RamRo).err(),
            Some(ENOENT)
        );
        map.change_type(1, P2mType::RamRw, P2mType::RamRo)?;
        let changed = map.generation() > generation;
        assert!(changed);
        assert_eq!(map.get(1, true).err(), Some(EINVAL));
        assert!(map.get(1, false).is_ok());
        Ok(())
    }

    #[test]
    fn frames_beyond_the_map_are_refused() -> Result {
        let map = map(4)?;
        let page = PageRef::zeroed()?;
        let mut removed = Removed::with_capacity(1)?;
        for gfn in [MAX_GFN, u64::MAX] {
            let refused = map.insert(gfn, page.clone(), P2mType::RamRw, &mut removed);
            assert_eq!(refused.err(), Some(EINVAL));
            assert_eq!(map.populate(gfn).err(), Some(EINVAL));
            assert_eq!(map.remove(gfn, &mut removed).err(), Some(EINVAL));
            assert!(map.lookup(gfn).is_none());
        }
        assert_eq!(
            (page.count(), map.ram_pages(), map.maximum_gfn()),
            (1, 0, 0)
        );
        map.insert(MAX_GFN - 1, page.clone(), P2mType::RamRw, &mut removed)?;
        assert_eq!(map.maximum_gfn(), MAX_GFN - 1);
        map.release(removed, |_| {});
        Ok(())
    }
}
