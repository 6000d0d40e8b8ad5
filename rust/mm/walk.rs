// SPDX-License-Identifier: GPL-2.0-only

//! Walking a guest's own page tables. Pure: memory is reached through [`Memory`].
//!
//! APM volume 2, chapter 5. All of the paging modes that a guest can be in: none, 32-bit, PAE, four levels and
//! five levels.

use crate::hw::state::{
    CR0_PG,
    CR0_WP,
    CR4_LA57,
    CR4_PAE,
    CR4_PSE,
    CR4_SMAP,
    CR4_SMEP,
    EFER_LMA,
    EFER_NXE, //
};

/// The registers that decide how a linear address is translated.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Paging {
    pub(crate) cr0: u64,
    pub(crate) cr3: u64,
    pub(crate) cr4: u64,
    pub(crate) efer: u64,
    /// RFLAGS.AC, which lets supervisor code touch user pages under SMAP.
    pub(crate) ac: bool,
}

/// What an access wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Access {
    pub(crate) write: bool,
    pub(crate) fetch: bool,
    pub(crate) user: bool,
}

impl Access {
    /// A read by the hypervisor on behalf of supervisor code.
    pub(crate) const READ: Self = Self {
        write: false,
        fetch: false,
        user: false,
    };
    /// A write likewise.
    pub(crate) const WRITE: Self = Self {
        write: true,
        ..Self::READ
    };
    /// An instruction fetch likewise.
    pub(crate) const FETCH: Self = Self {
        fetch: true,
        ..Self::READ
    };
}

/// Why a translation failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// The guest would get a page fault with this error code.
    Page(u32),
    /// The address is not canonical.
    NonCanonical,
    /// A page table lies where there is no memory.
    NoMemory,
}

/// Guest physical memory, as far as a walk needs it.
pub(crate) trait Memory {
    /// Reads the 8-byte word at `gpa`, which is aligned.
    fn read64(&self, gpa: u64) -> Option<u64>;
    /// Sets bits in the 8-byte word at `gpa` if it still holds `old`. A lost race is not reported: whoever won
    /// changed the entry, which is then theirs to answer for.
    fn set_bits(&self, gpa: u64, old: u64, bits: u64);
}

const PRESENT: u64 = 1 << 0;
const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LARGE: u64 = 1 << 7;
const NX: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Error code bits of a page fault.
mod pf {
    pub(super) const PRESENT: u32 = 1 << 0;
    pub(super) const WRITE: u32 = 1 << 1;
    pub(super) const USER: u32 = 1 << 2;
    pub(super) const RESERVED: u32 = 1 << 3;
    pub(super) const FETCH: u32 = 1 << 4;
}

impl Paging {
    /// Whether addresses are translated at all.
    pub(crate) const fn enabled(&self) -> bool {
        self.cr0 & CR0_PG != 0
    }
    const fn long(&self) -> bool {
        self.efer & EFER_LMA != 0
    }
    const fn pae(&self) -> bool {
        self.cr4 & CR4_PAE != 0
    }
}

/// Translates one linear address to a guest physical one. Sets accessed (and, for a write, dirty) bits in the
/// guest's tables as the processor would.
///
/// # Errors
///
/// See [`Fault`].
pub(crate) fn translate<M: Memory>(
    memory: &M,
    paging: &Paging,
    linear: u64,
    access: Access,
) -> Result<u64, Fault> {
    if !paging.enabled() {
        return Ok(linear & 0xffff_ffff);
    }
    if !paging.pae() {
        return walk32(memory, paging, linear, access);
    }
    let (levels, root) = if paging.long() {
        let levels = if paging.cr4 & CR4_LA57 != 0 { 5 } else { 4 };
        let unused = 64 - (12 + 9 * levels);
        // CAST: Sign extension.
        if ((linear << unused) as i64 >> unused) as u64 != linear {
            return Err(Fault::NonCanonical);
        }
        (levels, paging.cr3 & ADDRESS)
    } else {
        (3, paging.cr3 & 0xffff_ffe0)
    };
    let linear = if paging.long() {
        linear
    } else {
        linear & 0xffff_ffff
    };

    let nx = paging.efer & EFER_NXE != 0;
    let mut rights = WRITE | USER;
    let mut no_execute = 0;
    let mut table = root;
    let mut level = levels - 1;
    loop {
        let index = linear >> (12 + 9 * level) & if level == 2 && levels == 3 { 3 } else { 511 };
        let at = table + index * 8;
        let entry = memory.read64(at).ok_or(Fault::NoMemory)?;
        if entry & PRESENT == 0 {
            return Err(fault(access, nx, paging, 0));
        }
        if !nx && entry & NX != 0 {
            return Err(fault(access, nx, paging, pf::PRESENT | pf::RESERVED));
        }
        // The four entries at the top of a PAE table have no rights.
        let pdpte = levels == 3 && level == 2;
        if !pdpte {
            rights &= entry;
            no_execute |= entry & NX;
        }
        let large = entry & LARGE != 0 && (level == 1 || level == 2) && !pdpte;
        if level == 0 || large {
            check(access, paging, nx, rights, no_execute != 0)?;
            let mut bits = ACCESSED;
            if access.write {
                bits |= DIRTY;
            }
            if entry & bits != bits {
                memory.set_bits(at, entry, bits);
            }
            let offset = (1u64 << (12 + 9 * level)) - 1;
            return Ok(entry & ADDRESS & !offset | linear & offset);
        }
        if !pdpte && entry & ACCESSED == 0 {
            memory.set_bits(at, entry, ACCESSED);
        }
        table = entry & ADDRESS;
        level -= 1;
    }
}

/// 32-bit paging: two levels of 4-byte entries.
fn walk32<M: Memory>(
    memory: &M,
    paging: &Paging,
    linear: u64,
    access: Access,
) -> Result<u64, Fault> {
    let linear = linear & 0xffff_ffff;
    let mut rights = WRITE | USER;
    let mut table = paging.cr3 & 0xffff_f000;
    for level in [1u32, 0] {
        let index = linear >> (12 + 10 * level) & 1023;
        let at = table + index * 4;
        let word = memory.read64(at & !7).ok_or(Fault::NoMemory)?;
        let shift = (at & 4) * 8;
        let entry = word >> shift & 0xffff_ffff;
        if entry & PRESENT == 0 {
            return Err(fault(access, false, paging, 0));
        }
        rights &= entry;
        let large = level == 1 && entry & LARGE != 0 && paging.cr4 & CR4_PSE != 0;
        if level == 0 || large {
            check(access, paging, false, rights, false)?;
            let mut bits = ACCESSED;
            if access.write {
                bits |= DIRTY;
            }
            if entry & bits != bits {
                memory.set_bits(at & !7, word, bits << shift);
            }
            if large {
                // Address bits 32-39 are in bits 13-20 (PSE-36).
                let high = (entry >> 13 & 0xff) << 32;
                return Ok(high | entry & 0xffc0_0000 | linear & 0x3f_ffff);
            }
            return Ok(entry & 0xffff_f000 | linear & 0xfff);
        }
        if entry & ACCESSED == 0 {
            memory.set_bits(at & !7, word, ACCESSED << shift);
        }
        table = entry & 0xffff_f000;
    }
    Err(Fault::NoMemory)
}

/// Makes the fault with the error code that the guest would see.
fn fault(access: Access, nx: bool, paging: &Paging, mut code: u32) -> Fault {
    if access.write {
        code |= pf::WRITE;
    }
    if access.user {
        code |= pf::USER;
    }
    if access.fetch && (nx || paging.cr4 & CR4_SMEP != 0) {
        code |= pf::FETCH;
    }
    Fault::Page(code)
}

/// Checks the rights that all levels together give.
fn check(
    access: Access,
    paging: &Paging,
    nx: bool,
    rights: u64,
    no_execute: bool,
) -> Result<(), Fault> {
    let user_page = rights & USER != 0;
    let refused = if access.user && !user_page {
        true
    } else if access.fetch {
        (nx && no_execute) || (!access.user && user_page && paging.cr4 & CR4_SMEP != 0)
    } else {
        let smap = !access.user && user_page && paging.cr4 & CR4_SMAP != 0 && !paging.ac;
        let write =
            access.write && rights & WRITE == 0 && (access.user || paging.cr0 & CR0_WP != 0);
        smap || write
    };
    if refused {
        return Err(fault(access, nx, paging, pf::PRESENT));
    }
    Ok(())
}
