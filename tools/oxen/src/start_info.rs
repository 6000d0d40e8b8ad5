// SPDX-License-Identifier: GPL-2.0-only

//! `hvm_start_info`: what a PVH guest finds in EBX, with everything that it points to.
//!
//! Source: Xen's `arch-x86/hvm/start_info.h`, version 1.

use zerocopy::IntoBytes;

use crate::abi::hvm::start_info::{
    MemmapTableEntry,
    ModlistEntry,
    StartInfo as Header,
    START_MAGIC_VALUE, //
};
use crate::domain::layout::MemoryEntry;

/// The version of the structure that has a memory map.
const VERSION: u32 = 1;
/// Lengths of the structures in bytes.
const LENGTH: u64 = size_of::<Header>() as u64;
const MODULE_LENGTH: u64 = size_of::<ModlistEntry>() as u64;
const MEMORY_LENGTH: u64 = size_of::<MemmapTableEntry>() as u64;

/// What a guest is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StartInfo<'a> {
    /// Kernel command line, without a NUL byte.
    pub(crate) cmdline: &'a str,
    /// The initial RAM file system: guest-physical address and length in bytes.
    pub(crate) initrd: Option<(u64, u64)>,
    /// Guest-physical address of the RSDP.
    pub(crate) rsdp: u64,
    /// The memory map.
    pub(crate) memory: &'a [MemoryEntry],
}

impl StartInfo<'_> {
    /// Returns how many bytes [`Self::to_bytes`] makes.
    #[cfg(test)]
    pub(crate) fn len(&self) -> u64 {
        LENGTH
            + if self.initrd.is_some() {
                MODULE_LENGTH
            } else {
                0
            }
            + MEMORY_LENGTH * self.memory.len() as u64
            + self.cmdline.len() as u64
            + 1
    }

    /// Lays out the structure and what it points to, to be copied to `base` (guest-physical).
    pub(crate) fn to_bytes(self, base: u64) -> Vec<u8> {
        let modules = base + LENGTH;
        let memory = modules
            + if self.initrd.is_some() {
                MODULE_LENGTH
            } else {
                0
            };
        let cmdline = memory + MEMORY_LENGTH * self.memory.len() as u64;

        let header = Header {
            magic: START_MAGIC_VALUE,
            version: VERSION,
            flags: 0,
            nr_modules: self.initrd.is_some().into(),
            modlist_paddr: if self.initrd.is_some() { modules } else { 0 },
            cmdline_paddr: cmdline,
            rsdp_paddr: self.rsdp,
            memmap_paddr: memory,
            // A handful.
            memmap_entries: self.memory.len() as u32,
            reserved: 0,
        };
        let mut out = header.as_bytes().to_vec();
        if let Some((paddr, size)) = self.initrd {
            let module = ModlistEntry {
                paddr,
                size,
                cmdline_paddr: 0,
                reserved: 0,
            };
            out.extend_from_slice(module.as_bytes());
        }
        for entry in self.memory {
            let entry = MemmapTableEntry {
                addr: entry.start,
                size: entry.size,
                type_: entry.kind.number(),
                reserved: 0,
            };
            out.extend_from_slice(entry.as_bytes());
        }
        out.extend_from_slice(self.cmdline.as_bytes());
        out.push(0);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::layout::MemoryKind;

    fn u32_at(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    fn u64_at(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
    }

    #[test]
    fn every_pointer_leads_to_what_it_should() {
        let memory = [
            MemoryEntry {
                start: 0,
                size: 0x1000_0000,
                kind: MemoryKind::Ram,
            },
            MemoryEntry {
                start: 0xfc00_0000,
                size: 0x2000,
                kind: MemoryKind::Acpi,
            },
        ];
        for initrd in [None, Some((0x200_0000, 0x1234))] {
            let info = StartInfo {
                cmdline: "console=hvc0 quiet",
                initrd,
                rsdp: 0xfc00_0000,
                memory: &memory,
            };
            let base = 0x3d_f000_u64;
            let bytes = info.to_bytes(base);
            assert_eq!(bytes.len() as u64, info.len());
            let at = |field: usize| usize::try_from(u64_at(&bytes, field) - base).unwrap();
            assert_eq!(u32_at(&bytes, 0), 0x336e_c578);
            assert_eq!(u32_at(&bytes, 4), 1);
            assert_eq!(u64_at(&bytes, 32), 0xfc00_0000);
            let cmdline = &bytes[at(24)..];
            assert_eq!(cmdline, b"console=hvc0 quiet\0");
            assert_eq!(u32_at(&bytes, 12), u32::from(initrd.is_some()));
            match initrd {
                Some((paddr, size)) => {
                    assert_eq!(
                        (u64_at(&bytes, at(16)), u64_at(&bytes, at(16) + 8)),
                        (paddr, size)
                    );
                }
                None => assert_eq!(u64_at(&bytes, 16), 0),
            }
            assert_eq!(u32_at(&bytes, 48), 2);
            let map = at(40);
            assert_eq!(
                (
                    u64_at(&bytes, map),
                    u64_at(&bytes, map + 8),
                    u32_at(&bytes, map + 16)
                ),
                (0, 0x1000_0000, 1)
            );
            assert_eq!(
                (u64_at(&bytes, map + 24), u32_at(&bytes, map + 40)),
                (0xfc00_0000, 3)
            );
        }
    }
}
