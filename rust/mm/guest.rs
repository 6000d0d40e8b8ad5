// SPDX-License-Identifier: GPL-2.0-only

//! Copying to and from guest memory, by guest physical and by linear address.

use core::sync::atomic::Ordering;

use crate::abi::errno::{
    Result,
    EFAULT, //
};
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
