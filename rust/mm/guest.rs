// SPDX-License-Identifier: GPL-2.0-only

//! Copying to and from guest memory, by guest physical and by linear address.

use core::sync::atomic::Ordering;

use crate::abi::errno::{
    Result,
    EACCES,
    EFAULT,
    EINVAL,
    ENOENT, //
};
use crate::hw::npt::P2mType;
use crate::mm::exchange::compare_exchange;
use crate::mm::p2m::P2m;
use crate::mm::walk::{
    translate,
    Access,
    Fault,
    Memory,
    Paging, //
};
use crate::sys::irq::IrqsOff;
use crate::sys::page::{
    SharedPage,
    PAGE_SHIFT,
    PAGE_SIZE, //
};

/// Guest physical memory, reached with a reference per access. May be used wherever a spin lock may be taken.
pub(crate) struct GuestMemory<'a>(pub(crate) &'a P2m);

impl Memory for GuestMemory<'_> {
    fn read64(&self, gpa: u64) -> Option<u64> {
        let page = self.0.get(gpa >> PAGE_SHIFT, false).ok()?;
        let page = SharedPage::new(page);
        // CAST: Twelve bits.
        Some(page.word64((gpa & 0xff8) as usize)?.load(Ordering::Relaxed))
    }

    fn set_bits(&self, gpa: u64, old: u64, bits: u64) {
        let Ok(page) = self.0.get(gpa >> PAGE_SHIFT, true) else {
            return;
        };
        let page = SharedPage::new(page);
        // CAST: Twelve bits.
        if let Some(word) = page.word64((gpa & 0xff8) as usize) {
            let _ = word.compare_exchange(old, old | bits, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

impl GuestMemory<'_> {
    /// Copies from guest physical memory.
    ///
    /// # Errors
    ///
    /// `EFAULT` if a part has no page behind it; what comes before it was copied.
    pub(crate) fn read_physical(&self, gpa: u64, into: &mut [u8]) -> Result {
        self.each_physical(gpa, into.len(), false, |page, offset, done, len| {
            if let Some(part) = into.get_mut(done..done + len) {
                page.read(offset, part);
            }
        })
    }

    /// Copies to guest physical memory.
    ///
    /// # Errors
    ///
    /// `EFAULT` as above, also if the guest itself could not write there.
    pub(crate) fn write_physical(&self, gpa: u64, from: &[u8]) -> Result {
        self.each_physical(gpa, from.len(), true, |page, offset, done, len| {
            if let Some(part) = from.get(done..done + len) {
                page.write(offset, part);
            }
        })
    }

    /// Replaces `old` by `new` in guest physical memory, as one step as far as that is possible
    /// ([`exchange`](crate::mm::exchange)). They begin at `first`, and may go on at the begin of the page of `second`.
    /// Returns whether it was `old`.
    ///
    /// # Errors
    ///
    /// `EFAULT` if a part has no page behind it, or the guest itself could not write there; `EINVAL` if that is not 1
    /// to 16 bytes, or they go on where nothing is said of it.
    pub(crate) fn compare_exchange(
        &self,
        first: u64,
        second: Option<u64>,
        old: &[u8],
        new: &[u8],
    ) -> Result<bool> {
        let page = |gpa| match self.0.get(gpa >> PAGE_SHIFT, true) {
            Ok(page) => Ok(SharedPage::new(page)),
            Err(_) => Err(EFAULT),
        };
        // CAST: Twelve bits.
        let offset = (first & 0xfff) as usize;
        if second.is_none() && PAGE_SIZE - offset < old.len() {
            return Err(EINVAL);
        }
        let head = page(first)?;
        let tail = second.map(page).transpose()?;
        let pages = [&head, tail.as_ref().unwrap_or(&head)];
        let exchange = || compare_exchange(pages, offset, old, new);
        self.0.exchange_alone(exchange).ok_or(EINVAL)
    }

    fn each_physical(
        &self,
        gpa: u64,
        len: usize,
        write: bool,
        mut each: impl FnMut(&crate::sys::page::PageRef, usize, usize, usize),
    ) -> Result {
        let mut done = 0;
        while done < len {
            let at = gpa.checked_add(done as u64).ok_or(EFAULT)?;
            // CAST: Twelve bits.
            let offset = (at & 0xfff) as usize;
            let part = (PAGE_SIZE - offset).min(len - done);
            let page = self.0.get(at >> PAGE_SHIFT, write).map_err(|_| EFAULT)?;
            each(&page, offset, done, part);
            done += part;
        }
        Ok(())
    }
}

/// Copies from a guest's linear memory.
///
/// # Errors
///
/// The first fault, with the address it is at.
pub(crate) fn copy_from_linear(
    p2m: &P2m,
    paging: &Paging,
    linear: u64,
    into: &mut [u8],
) -> core::result::Result<(), (Fault, u64)> {
    let memory = GuestMemory(p2m);
    each_linear(
        &memory,
        paging,
        linear,
        into.len(),
        Access::READ,
        |gpa, done, len| {
            into.get_mut(done..done + len)
                .is_some_and(|part| memory.read_physical(gpa, part).is_ok())
        },
    )
}

/// Copies to a guest's linear memory.
///
/// # Errors
///
/// The first fault, with the address it is at; what comes before it was written.
pub(crate) fn copy_to_linear(
    p2m: &P2m,
    paging: &Paging,
    linear: u64,
    from: &[u8],
) -> core::result::Result<(), (Fault, u64)> {
    let memory = GuestMemory(p2m);
    each_linear(
        &memory,
        paging,
        linear,
        from.len(),
        Access::WRITE,
        |gpa, done, len| {
            from.get(done..done + len)
                .is_some_and(|part| memory.write_physical(gpa, part).is_ok())
        },
    )
}

fn each_linear(
    memory: &GuestMemory<'_>,
    paging: &Paging,
    linear: u64,
    len: usize,
    access: Access,
    mut each: impl FnMut(u64, usize, usize) -> bool,
) -> core::result::Result<(), (Fault, u64)> {
    let mut done = 0;
    while done < len {
        let at = linear.wrapping_add(done as u64);
        // CAST: Twelve bits.
        let part = (PAGE_SIZE - (at & 0xfff) as usize).min(len - done);
        let gpa = translate(memory, paging, at, access).map_err(|fault| (fault, at))?;
        if !each(gpa, done, part) {
            return Err((Fault::NoMemory, at));
        }
        done += part;
    }
    Ok(())
}

/// A page that a guest can write and that is its own, with a reference to it.
struct Pinned {
    gfn: u64,
    page: SharedPage,
}

impl Pinned {
    fn new(p2m: &P2m, gpa: u64) -> Result<Self> {
        let gfn = gpa >> PAGE_SHIFT;
        let page = p2m.get_own(gfn, true).map_err(|errno| match errno {
            ENOENT => EINVAL,
            _ => EACCES,
        })?;
        Ok(Self {
            gfn,
            page: SharedPage::new(page),
        })
    }

    fn is_current(&self, p2m: &P2m) -> bool {
        p2m.lookup(self.gfn).is_some_and(|leaf| {
            let writable = leaf.ty.writable() || leaf.ty == P2mType::RamLogdirty;
            leaf.ty.is_own() && writable && leaf.mfn == self.page.mfn()
        })
    }
}

/// Up to a page of memory that a guest can write and that is its own, with references to the one or two pages that it
/// lies in.
pub(crate) struct Stretch {
    first: Pinned,
    second: Option<Pinned>,
    /// Byte offset in the first page.
    offset: usize,
}

impl Stretch {
    /// Pins the page of a guest physical address.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the guest has no page there, or one that is not its own; `EACCES` if it could not write to it.
    pub(crate) fn physical(p2m: &P2m, gpa: u64) -> Result<Self> {
        Ok(Self {
            first: Pinned::new(p2m, gpa)?,
            second: None,
            // CAST: Twelve bits.
            offset: (gpa & 0xfff) as usize,
        })
    }

    /// Pins the pages of `len` bytes, at most a page, from a linear address on.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the guest's supervisor code could not write there, or a page is not the guest's own.
    pub(crate) fn linear(p2m: &P2m, paging: &Paging, linear: u64, len: usize) -> Result<Self> {
        let page = |linear| {
            let gpa =
                translate(&GuestMemory(p2m), paging, linear, Access::WRITE).map_err(|_| EFAULT)?;
            Pinned::new(p2m, gpa).map_err(|_| EFAULT)
        };
        // CAST: Twelve bits.
        let offset = (linear & 0xfff) as usize;
        let first = page(linear)?;
        let second = if len > PAGE_SIZE - offset {
            Some(page(linear.wrapping_add(len as u64 - 1))?)
        } else {
            None
        };
        Ok(Self {
            first,
            second,
            offset,
        })
    }

    /// The first page.
    pub(crate) fn first(&self) -> &SharedPage {
        &self.first.page
    }

    /// The page in which it goes on.
    pub(crate) fn second(&self) -> Option<&SharedPage> {
        self.second.as_ref().map(|pinned| &pinned.page)
    }

    /// The guest frames of the pages.
    pub(crate) fn gfns(&self) -> [Option<u64>; 2] {
        [
            Some(self.first.gfn),
            self.second.as_ref().map(|pinned| pinned.gfn),
        ]
    }

    /// Where it starts in the first page.
    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    /// Whether the guest still has the pages where they were found, and can write to them. Takes no lock.
    pub(crate) fn is_current(&self, p2m: &P2m) -> bool {
        self.first.is_current(p2m) && self.second.as_ref().is_none_or(|page| page.is_current(p2m))
    }
}

/// Guest physical memory on the exit path: no lock, no reference, see [`P2m::peek`].
pub(crate) struct FastMemory<'a> {
    /// The map.
    pub(crate) p2m: &'a P2m,
    /// Proof that interrupts are off on a processor that runs the domain.
    pub(crate) irqs: &'a IrqsOff,
}

impl Memory for FastMemory<'_> {
    #[inline]
    fn read64(&self, gpa: u64) -> Option<u64> {
        let page = self.p2m.peek(gpa >> PAGE_SHIFT, self.irqs)?;
        // CAST: Twelve bits.
        let offset = (gpa & 0xff8) as usize;
        // SAFETY: `offset` is aligned and within the page, which `peek` keeps while interrupts are off.
        let word = unsafe { &*page.add(offset).cast::<core::sync::atomic::AtomicU64>() };
        Some(word.load(Ordering::Relaxed))
    }

    #[inline]
    fn set_bits(&self, _gpa: u64, _old: u64, _bits: u64) {
        // Only used to fetch what the processor has just fetched: the bits are set.
    }
}

/// [`FastMemory`] that also notes in the guest's tables what was accessed.
struct FastWalk<'a>(FastMemory<'a>);

impl Memory for FastWalk<'_> {
    fn read64(&self, gpa: u64) -> Option<u64> {
        self.0.read64(gpa)
    }

    fn set_bits(&self, gpa: u64, old: u64, bits: u64) {
        let Some(page) = self.0.p2m.peek_mut(gpa >> PAGE_SHIFT, self.0.irqs) else {
            return;
        };
        // CAST: Twelve bits.
        let offset = (gpa & 0xff8) as usize;
        // SAFETY: `offset` is aligned and within the page, which `peek_mut` keeps while interrupts are off.
        let word = unsafe { &*page.add(offset).cast::<core::sync::atomic::AtomicU64>() };
        let _ = word.compare_exchange(old, old | bits, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Up to a page of linear memory that is written while the guest reads it, translated for the moment: as long as
/// interrupts are off.
///
/// # Invariants
///
/// `first` and `second` are pages that stay while interrupts are off.
pub(crate) struct Translated<'a> {
    first: *mut u8,
    second: *mut u8,
    /// Byte offset in the first page, below [`PAGE_SIZE`].
    offset: usize,
    /// Bytes, at most [`PAGE_SIZE`].
    len: usize,
    _irqs: &'a IrqsOff,
}

impl<'a> Translated<'a> {
    /// Translates `len` bytes, at most a page, from `linear` on, for supervisor code that writes. `None` if it could
    /// not. On a processor that is in the map's set of running ones.
    pub(crate) fn new(
        memory: FastMemory<'a>,
        paging: &Paging,
        linear: u64,
        len: usize,
    ) -> Option<Self> {
        if len > PAGE_SIZE {
            return None;
        }
        let irqs = memory.irqs;
        let walk = FastWalk(memory);
        let page = |linear| {
            let gpa = translate(&walk, paging, linear, Access::WRITE).ok()?;
            walk.0.p2m.peek_mut(gpa >> PAGE_SHIFT, irqs)
        };
        // CAST: Twelve bits.
        let offset = (linear & 0xfff) as usize;
        let first = page(linear)?;
        let second = if offset + len > PAGE_SIZE {
            page(linear.wrapping_add(len as u64 - 1))?
        } else {
            first
        };
        // INVARIANT: `peek_mut` keeps the pages while interrupts are off.
        Some(Self {
            first,
            second,
            offset,
            len,
            _irqs: irqs,
        })
    }

    /// Stores bytes from the last to the first, each for itself. What would lie outside is not stored.
    pub(crate) fn store(&self, at: usize, bytes: &[u8]) {
        for (n, byte) in bytes.iter().enumerate().rev() {
            if at + n >= self.len {
                continue;
            }
            let position = self.offset + at + n;
            let (page, position) = if position < PAGE_SIZE {
                (self.first, position)
            } else {
                (self.second, position - PAGE_SIZE)
            };
            // SAFETY: Within the page: `offset` and `len` are at most a page each.
            let to = unsafe { &*page.add(position).cast::<core::sync::atomic::AtomicU8>() };
            to.store(*byte, Ordering::Release);
        }
    }
}

/// Fetches the bytes of the instruction at `linear`, as many as lie in its page but at most 15, on the exit path.
/// `user` says that user code runs.
/// Returns how many; 0 if the address cannot be translated (any more).
#[inline]
pub(crate) fn fetch(
    memory: &FastMemory<'_>,
    paging: &Paging,
    linear: u64,
    user: bool,
    into: &mut [u8; 15],
) -> usize {
    let access = Access {
        user,
        ..Access::FETCH
    };
    let Ok(gpa) = translate(memory, paging, linear, access) else {
        return 0;
    };
    let Some(page) = memory.p2m.peek(gpa >> PAGE_SHIFT, memory.irqs) else {
        return 0;
    };
    // CAST: Twelve bits.
    let offset = (gpa & 0xfff) as usize;
    let len = (PAGE_SIZE - offset).min(into.len());
    // SAFETY: `offset + len` is within the page, which `peek` keeps while interrupts are off. Its bytes may be
    // changing: any value will do.
    unsafe { core::ptr::copy_nonoverlapping(page.add(offset), into.as_mut_ptr(), len) };
    len
}
