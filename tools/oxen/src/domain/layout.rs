// SPDX-License-Identifier: GPL-2.0-only

//! Where everything lies in a PVH guest's physical memory.
//!
//! From below: RAM with the kernel where its file wants it, start_info and the initial RAM file
//! system right after it; a hole from 3.75 GiB to 4 GiB, with the ACPI tables at 0xfc000000, the
//! local APIC at 0xfee00000 and Xen's special pages at 0xfeff8000; the rest of the RAM from 4 GiB
//! on.

use crate::error::{
    Error,
    Result, //
};
use crate::kernel::Image;

/// Bytes in a page.
pub(crate) const PAGE: u64 = 4096;
/// Bytes in a large page: populated as one extent of order 9.
const LARGE: u64 = 2 << 20;
/// Order of a large page's extent.
const LARGE_ORDER: u32 = 9;
/// Where RAM below 4 GiB ends at the latest, and the hole begins.
pub(crate) const HOLE_START: u64 = 0xf000_0000;
/// Where the RAM that does not fit below the hole begins.
pub(crate) const HIGH_START: u64 = 1 << 32;
/// Where the ACPI tables are.
pub(crate) const ACPI_BASE: u64 = 0xfc00_0000;
/// Guest frame number of the first of Xen's special pages.
pub(crate) const SPECIAL_FIRST: u64 = 0xf_eff8;
/// How many special pages there are.
pub(crate) const SPECIAL_COUNT: u64 = 8;
/// Linux' first page tables map no more than this: start_info has to lie below.
const EARLY_LIMIT: u64 = 1 << 30;
/// The smallest guest that makes sense, in MiB.
pub(crate) const MEMORY_MIN_MIB: u64 = 1;
/// The largest, in MiB: 40 address bits.
pub(crate) const MEMORY_MAX_MIB: u64 = 1 << 20;

/// A special page, by the use that Xen's tools put it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Special {
    /// Ring of the memory paging helper.
    Paging = 0,
    /// Ring of a monitor (vm_event).
    Monitor = 1,
    /// Ring of the memory sharing helper.
    Sharing = 2,
    /// Buffered I/O requests of the default ioreq server.
    BufIoreq = 3,
    /// The ring to xenstored.
    #[allow(dead_code, reason = "no guest is told of a ring that nobody serves")]
    Xenstore = 4,
    /// Synchronous I/O requests of the default ioreq server.
    Ioreq = 5,
    /// Identity page table for guests without paging, where the processor needs one.
    IdentPt = 6,
    /// The ring of the console.
    Console = 7,
}

impl Special {
    /// Returns the page's guest frame number.
    pub(crate) const fn gfn(self) -> u64 {
        SPECIAL_FIRST + self as u64
    }
}

/// What a range of guest-physical addresses is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemoryKind {
    /// RAM.
    Ram,
    /// Neither RAM nor free for devices.
    Reserved,
    /// ACPI tables.
    Acpi,
}

impl MemoryKind {
    /// Returns the type's number in E820 and start_info maps.
    pub(crate) const fn number(self) -> u32 {
        match self {
            Self::Ram => 1,
            Self::Reserved => 2,
            Self::Acpi => 3,
        }
    }
}

/// An entry of the memory map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryEntry {
    /// Guest-physical address of the first byte.
    pub(crate) start: u64,
    /// Length in bytes.
    pub(crate) size: u64,
    /// What the range is.
    pub(crate) kind: MemoryKind,
}

/// Extents of one order, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extents {
    /// Guest frame number of the first.
    pub(crate) first: u64,
    /// Each is 2^order pages.
    pub(crate) order: u32,
    /// How many.
    pub(crate) count: u64,
}

/// The plan of a guest's memory.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The memory map, for start_info and for the hypervisor.
    pub(crate) memory: Vec<MemoryEntry>,
    /// Guest-physical address of start_info.
    pub(crate) start_info: u64,
    /// The initial RAM file system: guest-physical address and length.
    pub(crate) initrd: Option<(u64, u64)>,
    /// Pages of ACPI tables from [`ACPI_BASE`] on.
    pub(crate) acpi_pages: u64,
}

/// What has to find room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    /// The guest's RAM in MiB.
    pub(crate) memory_mib: u64,
    /// Length of the initial RAM file system in bytes.
    pub(crate) initrd: Option<u64>,
    /// Length of the command line in bytes.
    pub(crate) cmdline: u64,
    /// Length of the ACPI tables in bytes.
    pub(crate) acpi: u64,
}

/// Length of start_info, its one module, a memory map of at most six entries, and the NUL byte.
const START_INFO_MAX: u64 = 56 + 32 + 6 * 24 + 1;

impl Layout {
    /// Plans the memory of a guest for `image`.
    ///
    /// # Errors
    ///
    /// Fails if the kernel and what goes with it do not fit into the RAM; the message says how much
    /// would be enough.
    pub(crate) fn plan(image: &Image, needs: &Needs) -> Result<Self> {
        let bytes = needs.memory_mib << 20;
        let low = bytes.min(HOLE_START);
        let high = bytes - low;

        let too_small = |end: u64, what: &str| {
            Error::text(format!(
                "the {what} ends at {} MiB of guest memory, which has {} MiB below the hole",
                end.div_ceil(1 << 20),
                low >> 20,
            ))
        };
        for segment in &image.segments {
            if segment.end() > low {
                let err = too_small(segment.end(), "kernel");
                return Err(if segment.end() > HOLE_START {
                    err.hint("this kernel is linked to an address that no PVH guest has")
                } else {
                    err.hint("use a larger --memory")
                });
            }
        }
        let start_info = image.end().next_multiple_of(PAGE);
        let start_info_end = start_info + START_INFO_MAX + needs.cmdline;
        let initrd = needs
            .initrd
            .map(|size| (start_info_end.next_multiple_of(PAGE), size));
        let end = initrd.map_or(start_info_end, |(start, size)| start.saturating_add(size));
        if end > low {
            return Err(too_small(end, "initrd").hint(
                "use a larger --memory (the kernel needs as much again to unpack an initrd)",
            ));
        }
        if start_info_end > EARLY_LIMIT {
            return Err(Error::text(format!(
                "start_info would lie at {} MiB, where no kernel can read it early",
                start_info >> 20
            ))
            .hint("use a kernel that is linked to a lower address"));
        }

        let acpi_pages = needs.acpi.div_ceil(PAGE);
        if ACPI_BASE + acpi_pages * PAGE > 0xfee0_0000 {
            return Err(Error::text("the ACPI tables do not fit").hint("use fewer --vcpus"));
        }
        let mut memory = vec![
            entry(0, low, MemoryKind::Ram),
            entry(ACPI_BASE, acpi_pages * PAGE, MemoryKind::Acpi),
            entry(
                SPECIAL_FIRST * PAGE,
                SPECIAL_COUNT * PAGE,
                MemoryKind::Reserved,
            ),
        ];
        if high > 0 {
            memory.push(entry(HIGH_START, high, MemoryKind::Ram));
        }
        Ok(Self {
            memory,
            start_info,
            initrd,
            acpi_pages,
        })
    }

    /// Returns the extents that make up the RAM: large ones, then a tail of single pages for each
    /// range.
    pub(crate) fn extents(&self) -> Vec<Extents> {
        let mut out = Vec::new();
        for range in self
            .memory
            .iter()
            .filter(|entry| entry.kind == MemoryKind::Ram)
        {
            // Both ranges begin at a multiple of 2 MiB.
            let large = range.size / LARGE;
            let tail = (range.size % LARGE) / PAGE;
            if large > 0 {
                out.push(Extents {
                    first: range.start / PAGE,
                    order: LARGE_ORDER,
                    count: large,
                });
            }
            if tail > 0 {
                out.push(Extents {
                    first: range.start / PAGE + (large << LARGE_ORDER),
                    order: 0,
                    count: tail,
                });
            }
        }
        out
    }
}

/// Makes a memory map entry.
const fn entry(start: u64, size: u64, kind: MemoryKind) -> MemoryEntry {
    MemoryEntry { start, size, kind }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Segment;
    use proptest::prelude::*;

    fn image(start: u64, memsz: u64) -> Image {
        Image {
            bytes: vec![],
            segments: vec![Segment {
                paddr: start,
                file: 0..0,
                memsz,
            }],
            entry: start as u32,
            form: "test".into(),
        }
    }

    fn needs(memory_mib: u64, initrd: Option<u64>) -> Needs {
        Needs {
            memory_mib,
            initrd,
            cmdline: 20,
            acpi: 1000,
        }
    }

    #[test]
    fn a_small_guest_is_all_below_the_hole() {
        let layout = Layout::plan(&image(16 << 20, 48 << 20), &needs(257, Some(5000))).unwrap();
        assert_eq!(layout.start_info, 64 << 20);
        assert_eq!(layout.initrd, Some(((64 << 20) + PAGE, 5000)));
        assert_eq!(
            layout.extents(),
            [
                Extents {
                    first: 0,
                    order: 9,
                    count: 128
                },
                Extents {
                    first: 128 << 9,
                    order: 0,
                    count: 256
                },
            ]
        );
    }

    #[test]
    fn a_large_guest_leaves_the_hole_alone() {
        let layout = Layout::plan(&image(1 << 20, PAGE), &needs(4096, None)).unwrap();
        assert_eq!(
            layout.extents(),
            [
                Extents {
                    first: 0,
                    order: 9,
                    count: 0xf000_0000 / LARGE
                },
                Extents {
                    first: 1 << 20,
                    order: 9,
                    count: (256 << 20) / LARGE
                },
            ]
        );
        assert_eq!(
            layout.memory.last(),
            Some(&entry(HIGH_START, 256 << 20, MemoryKind::Ram))
        );
    }

    #[test]
    fn says_what_does_not_fit() {
        let err = Layout::plan(&image(16 << 20, 48 << 20), &needs(32, None)).unwrap_err();
        assert_eq!(
            err.to_string(),
            "the kernel ends at 64 MiB of guest memory, which has 32 MiB below the hole \
             — use a larger --memory"
        );
        let err =
            Layout::plan(&image(16 << 20, 48 << 20), &needs(128, Some(64 << 20))).unwrap_err();
        assert!(
            err.to_string().starts_with("the initrd ends at 129 MiB"),
            "{err}"
        );
        assert!(Layout::plan(&image(0xffff_f000, PAGE), &needs(8192, None)).is_err());
        assert!(Layout::plan(&image(1 << 30, PAGE), &needs(8192, None)).is_err());
    }

    proptest! {
        #[test]
        fn every_byte_of_ram_is_populated_once_and_nothing_overlaps(
            memory_mib in MEMORY_MIN_MIB..=MEMORY_MAX_MIB,
            start in 0_u64..0x1_0000_0000,
            memsz in 1_u64..0x1000_0000,
            initrd in proptest::option::of(0_u64..0x4000_0000),
        ) {
            let Ok(layout) = Layout::plan(&image(start, memsz), &needs(memory_mib, initrd)) else {
                return Ok(());
            };
            let pages: u64 = layout.extents().iter().map(|some| some.count << some.order).sum();
            prop_assert_eq!(pages * PAGE, memory_mib << 20);
            let range = |entry: &MemoryEntry| (entry.start, entry.start + entry.size);
            let mut ranges: Vec<_> = layout.memory.iter().map(range).collect();
            ranges.sort_unstable();
            for pair in ranges.windows(2) {
                prop_assert!(pair[0].1 <= pair[1].0);
            }
            let info_end = layout.start_info + START_INFO_MAX + 20;
            let mut used = vec![(start, start + memsz), (layout.start_info, info_end)];
            used.extend(layout.initrd.map(|(at, size)| (at, at + size)));
            for pair in used.windows(2) {
                prop_assert!(pair[0].1 <= pair[1].0);
            }
            prop_assert!(used.last().unwrap().1 <= (memory_mib << 20).min(HOLE_START));
        }
    }
}
