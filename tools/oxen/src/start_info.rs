// SPDX-License-Identifier: GPL-2.0-only

//! `hvm_start_info`: what a PVH guest finds in EBX, with everything that it points to.
//!
//! Source: Xen's `arch-x86/hvm/start_info.h`, version 1.

use crate::domain::layout::MemoryEntry;

/// The value of the first field.
const MAGIC: u32 = 0x336e_c578;
/// The version of the structure that has a memory map.
const VERSION: u32 = 1;
/// Length of the structure in bytes.
const LENGTH: u64 = 56;
/// Length of a module's entry in bytes.
const MODULE_LENGTH: u64 = 32;
/// Length of a memory map entry in bytes.
const MEMORY_LENGTH: u64 = 24;

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

        let mut out = Vec::new();
        out.extend_from_slice(&MAGIC.to_le_bytes());
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&0_u32.to_le_bytes());
        out.extend_from_slice(&u32::from(self.initrd.is_some()).to_le_bytes());
        let modlist = if self.initrd.is_some() { modules } else { 0 };
        for field in [modlist, cmdline, self.rsdp, memory] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(&(self.memory.len() as u32).to_le_bytes());
        out.extend_from_slice(&0_u32.to_le_bytes());
        if let Some((paddr, size)) = self.initrd {
            // No command line of its own, and a reserved field.
            for field in [paddr, size, 0, 0] {
                out.extend_from_slice(&field.to_le_bytes());
            }
        }
        for entry in self.memory {
            out.extend_from_slice(&entry.start.to_le_bytes());
            out.extend_from_slice(&entry.size.to_le_bytes());
            out.extend_from_slice(&entry.kind.number().to_le_bytes());
            out.extend_from_slice(&0_u32.to_le_bytes());
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
