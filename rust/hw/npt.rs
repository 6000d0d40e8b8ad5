// SPDX-License-Identifier: GPL-2.0-only

//! The format of AMD's nested page tables, with the p2m type in bits that the processor ignores.
//!
//! APM volume 2, 15.25: the long mode page table format; every access of a guest counts as a user access.
//!
//! A page may be there without the processor being allowed to use it, because a monitor has taken the rights: what
//! says that an entry owns a page is its type ([`Entry::present`]), not the processor's bit.

use super::rights::Rights;

/// What a guest frame number stands for. Names and meanings are Xen's (`p2m_type_t`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum P2mType {
    /// Nothing: reads give all ones, writes are dropped.
    Invalid = 0,
    /// Normal RAM of the domain, counted against its allotment.
    RamRw = 1,
    /// RAM of the domain that it may only read.
    RamRo = 2,
    /// A page that the hypervisor shares with the domain, not counted: shared info, grant frames.
    Special = 3,
    /// A page of another domain, mapped by a tools domain.
    MapForeign = 4,
    /// A page of another domain, mapped by grant, writable.
    GrantMapRw = 5,
    /// A page of another domain, mapped by grant, read only.
    GrantMapRo = 6,
    /// RAM whose writes are being logged.
    RamLogdirty = 7,
    /// A device model answers.
    MmioDm = 8,
    /// RAM of the domain that it may read, and whose writes an I/O request server gets.
    IoreqServer = 9,
}

impl P2mType {
    const fn from_bits(bits: u64) -> Self {
        match bits {
            1 => Self::RamRw,
            2 => Self::RamRo,
            3 => Self::Special,
            4 => Self::MapForeign,
            5 => Self::GrantMapRw,
            6 => Self::GrantMapRo,
            7 => Self::RamLogdirty,
            8 => Self::MmioDm,
            9 => Self::IoreqServer,
            _ => Self::Invalid,
        }
    }

    /// Whether the domain may write to such a page.
    pub(crate) const fn writable(self) -> bool {
        matches!(
            self,
            Self::RamRw | Self::Special | Self::MapForeign | Self::GrantMapRw
        )
    }

    /// Whether a page stands behind it.
    pub(crate) const fn is_page(self) -> bool {
        !matches!(self, Self::Invalid | Self::MmioDm)
    }

    /// Whether the page is the domain's own to give: its RAM, or what the hypervisor shares with it.
    pub(crate) const fn is_own(self) -> bool {
        self.is_ram() || matches!(self, Self::Special)
    }

    /// Whether it counts against the domain's allotment.
    pub(crate) const fn is_ram(self) -> bool {
        matches!(
            self,
            Self::RamRw | Self::RamRo | Self::RamLogdirty | Self::IoreqServer
        )
    }
}

const PRESENT: u64 = 1 << 0;
const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LARGE: u64 = 1 << 7;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const NO_EXECUTE: u64 = 1 << 63;
const TYPE_SHIFT: u32 = 52;
const TYPE_MASK: u64 = 0xf;
/// The low three bits of the rights; the fourth is at [`RIGHTS_HIGH`].
const RIGHTS_LOW: u32 = 9;
const RIGHTS_HIGH: u32 = 56;

/// Levels of the tables; level 0 maps 4 KiB, level 1 maps 2 MiB.
pub(crate) const LEVELS: u32 = 4;
/// Entries in a table.
pub(crate) const ENTRIES: usize = 512;
/// Guest frame numbers below this can be mapped.
pub(crate) const MAX_GFN: u64 = 1 << 36;

/// An entry of the tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Entry(pub(crate) u64);

impl Entry {
    /// Nothing.
    pub(crate) const EMPTY: Self = Self(0);

    /// Points to the table at this physical address. `encryption` is the host's SME bit.
    pub(crate) const fn table(phys: u64, encryption: u64) -> Self {
        Self(phys & ADDRESS | encryption | PRESENT | WRITE | USER | ACCESSED)
    }

    /// Maps `mfn` (of a 2 MiB block if `large`). Accessed and dirty are set so that the processor need not.
    ///
    /// The processor may do what both the type and the rights allow.
    pub(crate) const fn leaf(
        mfn: u64,
        ty: P2mType,
        rights: Rights,
        large: bool,
        encryption: u64,
    ) -> Self {
        let number = rights as u64;
        let mut bits = (mfn << 12) & ADDRESS | encryption | (ty as u64) << TYPE_SHIFT;
        bits |= (number & 7) << RIGHTS_LOW | (number >> 3) << RIGHTS_HIGH;
        let (read, write, execute) = rights.without_read();
        if ty.is_page() {
            bits |= ACCESSED | DIRTY;
            if read {
                bits |= PRESENT | USER;
            }
        }
        if ty.writable() && write {
            bits |= WRITE;
        }
        if !execute {
            bits |= NO_EXECUTE;
        }
        if large {
            bits |= LARGE;
        }
        Self(bits)
    }

    /// An entry without a page but with a meaning.
    pub(crate) const fn absent(ty: P2mType) -> Self {
        Self((ty as u64) << TYPE_SHIFT)
    }

    /// The same mapping with other rights.
    pub(crate) const fn with_rights(self, rights: Rights, encryption: u64) -> Self {
        Self::leaf(
            self.mfn(encryption),
            self.ty(),
            rights,
            self.large(),
            encryption,
        )
    }

    /// Whether it is a table, or a page stands behind it.
    pub(crate) const fn present(self) -> bool {
        self.0 & PRESENT != 0 || self.ty().is_page()
    }

    /// What a monitor lets the guest do, for entries with a page that are no tables.
    pub(crate) const fn rights(self) -> Rights {
        let number = self.0 >> RIGHTS_LOW & 7 | (self.0 >> RIGHTS_HIGH & 1) << 3;
        // CAST: Four bits.
        match Rights::from_number(number as u8) {
            Some(rights) => rights,
            // No entry holds another number.
            None => Rights::N,
        }
    }

    /// Whether it maps a 2 MiB block at once.
    pub(crate) const fn large(self) -> bool {
        self.0 & LARGE != 0
    }

    /// The frame, of a page or of a table. `encryption` is the host's SME bit.
    pub(crate) const fn mfn(self, encryption: u64) -> u64 {
        (self.0 & ADDRESS & !encryption) >> 12
    }

    /// The type, for entries that are no tables.
    pub(crate) const fn ty(self) -> P2mType {
        P2mType::from_bits(self.0 >> TYPE_SHIFT & TYPE_MASK)
    }
}

/// The index that `gfn` has in the table at `level`.
pub(crate) const fn index(gfn: u64, level: u32) -> usize {
    // CAST: Nine bits.
    (gfn >> (9 * level)) as usize & (ENTRIES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaf_round_trip() {
        for bits in 0..10 {
            let ty = P2mType::from_bits(bits);
            for rights in Rights::ALL {
                let e = Entry::leaf(0x1_2345, ty, rights, false, 1 << 47);
                assert_eq!(e.ty(), ty);
                assert_eq!(e.rights(), rights);
                assert_eq!(e.mfn(1 << 47), 0x1_2345);
                assert_eq!(e.present(), ty.is_page());
                assert!(!e.large());
                // The processor can do what both allow, and no more.
                let (read, write, execute) = rights.without_read();
                assert_eq!(e.0 & PRESENT != 0, ty.is_page() && read);
                assert_eq!(e.0 & WRITE != 0, ty.writable() && write);
                assert_eq!(e.0 & NO_EXECUTE == 0, execute);
            }
        }
        assert_eq!(Entry::EMPTY.ty(), P2mType::Invalid);
        assert!(!Entry::EMPTY.present());
    }

    #[test]
    fn rights_change_and_nothing_else() {
        for from in Rights::ALL {
            for to in Rights::ALL {
                let e = Entry::leaf(0x200, P2mType::RamRw, from, true, 1 << 47);
                let changed = e.with_rights(to, 1 << 47);
                assert_eq!(
                    changed,
                    Entry::leaf(0x200, P2mType::RamRw, to, true, 1 << 47)
                );
                assert!(changed.present() && changed.large());
            }
        }
    }

    #[test]
    fn index_takes_nine_bits_per_level() {
        let gfn = 0x1ff << 27 | 0x0aa << 18 | 0x055 << 9 | 0x123;
        assert_eq!(index(gfn, 3), 0x1ff);
        assert_eq!(index(gfn, 2), 0x0aa);
        assert_eq!(index(gfn, 1), 0x055);
        assert_eq!(index(gfn, 0), 0x123);
    }
}
