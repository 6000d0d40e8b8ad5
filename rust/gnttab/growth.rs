// SPDX-License-Identifier: GPL-2.0-only

//! Memory that a table grows with, allocated before its lock is taken.
//!
//! Make one with no lock held, hand it to the table under the lock, and drop what is left of it with no
//! lock held again. If another thread was quicker, nothing is taken out of it.

use super::{
    active::Active,
    entry::ENTRIES_PER_FRAME,
    maptrack::{
        MaptrackNeed,
        Slot,
        HANDLES_PER_FRAME, //
    },
    table::Frame,
};
use crate::{
    abi::errno::Result,
    sys::{
        alloc::{
            KVVec,
            KVec,
            GFP_KERNEL_ACCOUNT, //
        },
        page::SharedPage, //
    },
};

/// Shared frames with the records of their entries.
pub(crate) struct FrameGrowth {
    pub(super) frames: KVVec<Frame>,
}

impl FrameGrowth {
    /// Allocates `count` zeroed frames; `count` comes from [`super::Table::frames_needed`]. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(count: u32) -> Result<Self> {
        // CAST: widens.
        let mut frames = KVVec::with_capacity(count as usize, GFP_KERNEL_ACCOUNT)?;

        for _ in 0..count {
            let mut active = KVec::with_capacity(ENTRIES_PER_FRAME, GFP_KERNEL_ACCOUNT)?;
            active.resize(ENTRIES_PER_FRAME, Active::default(), GFP_KERNEL_ACCOUNT)?;

            frames.push(
                Frame::new(SharedPage::zeroed()?, active),
                GFP_KERNEL_ACCOUNT,
            )?;
        }

        Ok(Self { frames })
    }
}

/// Handles for mappings, and the list that holds them if it does not exist yet.
pub(crate) struct MaptrackGrowth {
    pub(super) frames: KVVec<KVVec<Slot>>,
    pub(super) frame: KVVec<Slot>,
}

impl MaptrackGrowth {
    /// Allocates what [`super::Table::reserve_handle`] asked for. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(need: MaptrackNeed) -> Result<Self> {
        let frames = KVVec::with_capacity(need.list, GFP_KERNEL_ACCOUNT)?;
        let mut frame = KVVec::with_capacity(HANDLES_PER_FRAME, GFP_KERNEL_ACCOUNT)?;

        for _ in 0..HANDLES_PER_FRAME {
            frame.push(Slot::UNLINKED, GFP_KERNEL_ACCOUNT)?;
        }

        Ok(Self { frames, frame })
    }
}
