// SPDX-License-Identifier: GPL-2.0-only

//! Fills a guest's memory, and reserves it in the first place.

use nix::errno::Errno;

use super::layout::{
    Extents,
    PAGE, //
};
use crate::error::{
    Error,
    Result, //
};
use crate::xen::mapping::Access;
use crate::xen::{
    memory,
    Hypervisor, //
};

/// How many pages are mapped at a time.
const WINDOW: u64 = 4096;
/// How many large extents are asked for at a time: 256 MiB.
const LARGE_CHUNK: u64 = 128;
/// How many single pages are asked for at a time: 4 MiB.
const SMALL_CHUNK: u64 = 1024;

/// Writes into the memory of a domain.
#[derive(Clone, Copy)]
pub(crate) struct GuestMemory<'a> {
    /// The hypervisor.
    pub(crate) hv: &'a dyn Hypervisor,
    /// The domain.
    pub(crate) domid: u16,
}

impl GuestMemory<'_> {
    /// Copies `bytes` to `gpa` and clears what follows, up to `size` bytes in all.
    ///
    /// # Errors
    ///
    /// Fails if a page cannot be mapped.
    pub(crate) fn load(self, gpa: u64, bytes: &[u8], size: u64) -> Result {
        let mut done = 0;
        while done < size {
            let at = gpa + done;
            let first = at / PAGE;
            let offset = at % PAGE;
            let part = (size - done).min(WINDOW * PAGE - offset);
            let pages = (offset + part).div_ceil(PAGE);
            let gfns: Vec<u64> = (first..first + pages).collect();
            // Both are at most a window long, 16 MiB.
            let (offset, part) = (offset as usize, part as usize);
            let mapping = self.hv.map_foreign(self.domid, &gfns, Access::Write)?;
            let from = usize::try_from(done).unwrap_or(usize::MAX);
            let rest = bytes.get(from..).unwrap_or_default();
            let copied = rest.get(..part).unwrap_or(rest);
            mapping.write(offset, copied);
            mapping.zero(offset + copied.len(), part - copied.len());
            done += part as u64;
        }
        Ok(())
    }
}

/// Gives a domain the memory of `extents`; calls `tick` between portions, which may end the work.
///
/// Large extents that cannot be had are replaced by single pages.
///
/// # Errors
///
/// Fails with ENOMEM if there are not even single pages, or as `tick` does.
pub(crate) fn populate(
    memory: GuestMemory<'_>,
    extents: Extents,
    tick: &mut dyn FnMut() -> Result,
) -> Result {
    let pages = 1_u64 << extents.order;
    let chunk = if extents.order == 0 {
        SMALL_CHUNK
    } else {
        LARGE_CHUNK
    };
    let mut index = 0;
    while index < extents.count {
        tick()?;
        let wanted = chunk.min(extents.count - index);
        let gfn = |number: u64| extents.first + number * pages;
        let gfns: Vec<u64> = (index..index + wanted).map(gfn).collect();
        let done = match memory::populate(memory.hv, memory.domid, &gfns, extents.order) {
            Ok(done) => done as u64,
            Err(Errno::ENOMEM) => 0,
            Err(errno) => return Err(errno.into()),
        };
        index += done;
        if done == wanted {
            continue;
        }
        if extents.order == 0 {
            return Err(Error::from(Errno::ENOMEM));
        }
        let small = Extents {
            first: gfn(index),
            order: 0,
            count: pages,
        };
        // One level deep: single pages have nothing smaller to fall back to.
        populate(memory, small, tick)?;
        index += 1;
    }
    Ok(())
}
