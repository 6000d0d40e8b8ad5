// SPDX-License-Identifier: GPL-2.0-only

//! Pages: reference-counted single pages, and contiguous blocks that only the module uses.

use core::ptr::NonNull;

use crate::abi::errno::{
    Result,
    ENOMEM, //
};
use crate::sys::atomic::{
    AtomicU16,
    AtomicU32,
    AtomicU64,
    AtomicU8, //
};
use crate::sys::raw;

/// Bytes in a page.
pub(crate) const PAGE_SIZE: usize = 4096;
/// Binary logarithm of [`PAGE_SIZE`].
pub(crate) const PAGE_SHIFT: u32 = 12;
/// Order of a 2 MiB block.
pub(crate) const ORDER_2M: u32 = 9;

/// A reference to one 4 KiB page of normal memory. Cloning takes another reference, dropping gives one back.
///
/// # Invariants
///
/// The pointer is to a valid `struct page` of which this value holds one reference.
pub(crate) struct PageRef(NonNull<raw::page>);

// SAFETY: A page reference is not tied to a thread; the count is atomic.
unsafe impl Send for PageRef {}
// SAFETY: As above; shared access only reads the pointer.
unsafe impl Sync for PageRef {}

impl PageRef {
    /// Allocates a zeroed page, charged to the calling process's memory cgroup.
    pub(crate) fn zeroed() -> Result<Self> {
        // SAFETY: May be called from any context that may sleep; all callers are.
        let page = unsafe { raw::oxen_alloc_pages(0, true, false) };
        // INVARIANT: A fresh page has one reference, which is now ours.
        NonNull::new(page).map(Self).ok_or(ENOMEM)
    }

    /// Allocates 2 MiB of zeroed, physically contiguous memory without trying hard, and gives each of its 512
    /// pages a count of its own. Calls `each` once per page, in order.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if no such block is free.
    pub(crate) fn zeroed_2m(mut each: impl FnMut(usize, PageRef)) -> Result {
        // SAFETY: May be called from any context that may sleep; all callers are.
        let head = unsafe { raw::oxen_alloc_pages(ORDER_2M, true, true) };
        let head = NonNull::new(head).ok_or(ENOMEM)?;
        // SAFETY: `head` is the head of a fresh, non-compound block of this order that nobody else knows.
        unsafe { raw::oxen_split_page(head.as_ptr(), ORDER_2M) };
        // SAFETY: `head` is a valid page.
        let pfn = unsafe { raw::oxen_page_to_pfn(head.as_ptr()) };
        for index in 0..1usize << ORDER_2M {
            // SAFETY: The block is 512 pages long.
            let page = unsafe { raw::oxen_pfn_to_page(pfn + index as u64) };
            // SAFETY: The pages of the block are valid.
            // INVARIANT: After the split each has one reference, which is now ours.
            each(index, PageRef(unsafe { NonNull::new_unchecked(page) }));
        }
        Ok(())
    }

    /// Takes a new reference to the page with this frame number.
    ///
    /// # Safety
    ///
    /// Somebody must hold a reference to that page during the call.
    pub(crate) unsafe fn from_mfn(mfn: u64) -> Self {
        // SAFETY: By the contract the frame is one of normal memory, so it has a `struct page`.
        let page = unsafe { raw::oxen_pfn_to_page(mfn) };
        // SAFETY: As above; the count is not zero.
        unsafe { raw::oxen_get_page(page) };
        // SAFETY: `pfn_to_page` never returns null for a valid frame.
        // INVARIANT: The reference was taken just above.
        Self(unsafe { NonNull::new_unchecked(page) })
    }

    /// Adopts a reference that [`PageRef::into_mfn`] gave away.
    ///
    /// # Safety
    ///
    /// `mfn` must come from `into_mfn`, and each such number may be adopted once.
    pub(crate) unsafe fn adopt(mfn: u64) -> Self {
        // SAFETY: By the contract this is a page of normal memory.
        let page = unsafe { raw::oxen_pfn_to_page(mfn) };
        // SAFETY: As above.
        // INVARIANT: The reference is the one that was given away.
        Self(unsafe { NonNull::new_unchecked(page) })
    }

    /// Gives the reference away as a frame number.
    pub(crate) fn into_mfn(self) -> u64 {
        let mfn = self.mfn();
        core::mem::forget(self);
        mfn
    }

    /// The machine frame number.
    pub(crate) fn mfn(&self) -> u64 {
        // SAFETY: Valid by the type's invariant.
        unsafe { raw::oxen_page_to_pfn(self.0.as_ptr()) }
    }

    /// How many references there are. Others may take or drop some at any time; for tests.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) fn count(&self) -> i32 {
        // SAFETY: Valid by the type's invariant.
        unsafe { raw::oxen_page_count(self.0.as_ptr()) }
    }

    /// The page's address in the kernel's direct map.
    pub(crate) fn as_ptr(&self) -> *mut u8 {
        // SAFETY: Valid by the type's invariant; 64-bit kernels map all normal memory.
        unsafe { raw::oxen_page_address(self.0.as_ptr()) }.cast()
    }

    /// The kernel's own pointer, for calls that map the page somewhere.
    pub(crate) fn as_page(&self) -> *mut raw::page {
        self.0.as_ptr()
    }

    /// Copies from the page at `offset`, which others may be writing. Returns how much lay in the page.
    pub(crate) fn read(&self, offset: usize, into: &mut [u8]) -> usize {
        let len = into.len().min(PAGE_SIZE.saturating_sub(offset));
        // SAFETY: `offset + len` is in the page. The source may change meanwhile: it is read as plain bytes of
        // which any value will do, and the caller checks its own copy.
        unsafe {
            core::ptr::copy_nonoverlapping(self.as_ptr().add(offset), into.as_mut_ptr(), len)
        };
        len
    }

    /// Copies to the page at `offset`. Returns how much fitted.
    pub(crate) fn write(&self, offset: usize, from: &[u8]) -> usize {
        let len = from.len().min(PAGE_SIZE.saturating_sub(offset));
        // SAFETY: `offset + len` is in the page, and `from` cannot overlap it: nothing makes a Rust reference
        // to a shared page's bytes.
        unsafe { core::ptr::copy_nonoverlapping(from.as_ptr(), self.as_ptr().add(offset), len) };
        len
    }
}

impl Clone for PageRef {
    fn clone(&self) -> Self {
        // SAFETY: Valid and referenced by the type's invariant.
        unsafe { raw::oxen_get_page(self.0.as_ptr()) };
        // INVARIANT: The reference was taken just above.
        Self(self.0)
    }
}

impl Drop for PageRef {
    fn drop(&mut self) {
        // SAFETY: The reference is ours by the type's invariant and is not used again.
        unsafe { raw::oxen_put_page(self.0.as_ptr()) };
    }
}

/// A reference to one page that is shared with a guest or a process, seen as atomic words. Cloning takes
/// another reference.
///
/// Each accessor takes an offset in bytes and returns `None` if it is not aligned to the word's size or the
/// word does not lie in the page.
pub(crate) struct SharedPage {
    page: PageRef,
    base: NonNull<u8>,
}

// SAFETY: All access to the page is atomic.
unsafe impl Send for SharedPage {}
// SAFETY: As above.
unsafe impl Sync for SharedPage {}

impl SharedPage {
    /// Allocates a zeroed page.
    pub(crate) fn zeroed() -> Result<Self> {
        PageRef::zeroed().map(Self::new)
    }

    /// Makes the shared view of a page.
    pub(crate) fn new(page: PageRef) -> Self {
        // SAFETY: The direct map's addresses are never null.
        let base = unsafe { NonNull::new_unchecked(page.as_ptr()) };
        Self { page, base }
    }

    /// The machine frame number.
    pub(crate) fn mfn(&self) -> u64 {
        self.page.mfn()
    }

    /// The page itself.
    pub(crate) fn page(&self) -> &PageRef {
        &self.page
    }

    #[inline]
    fn at<T>(&self, offset: usize) -> Option<&T> {
        let size = size_of::<T>();
        if offset % size != 0 || offset > PAGE_SIZE - size {
            return None;
        }
        // SAFETY: `offset + size` is within the page, checked just above.
        let at = unsafe { self.base.add(offset) };
        // SAFETY: Aligned and in bounds as checked above; `T` is one of the atomic integers below, for which
        // every bit pattern is valid; the page lives as long as `self`.
        Some(unsafe { at.cast::<T>().as_ref() })
    }

    /// The 64-bit word at `offset`.
    #[inline]
    pub(crate) fn word64(&self, offset: usize) -> Option<&AtomicU64> {
        self.at(offset)
    }

    /// The 32-bit word at `offset`.
    #[inline]
    pub(crate) fn word32(&self, offset: usize) -> Option<&AtomicU32> {
        self.at(offset)
    }

    /// The 16-bit word at `offset`.
    #[inline]
    pub(crate) fn word16(&self, offset: usize) -> Option<&AtomicU16> {
        self.at(offset)
    }

    /// The byte at `offset`.
    #[inline]
    pub(crate) fn byte(&self, offset: usize) -> Option<&AtomicU8> {
        self.at(offset)
    }

    /// Replaces `old` by `new` in the 16 bytes at `offset`, as one step that no other processor can come between.
    /// Returns what was there if it was not `old`.
    pub(crate) fn compare_exchange128(
        &self,
        offset: usize,
        old: u128,
        new: u128,
    ) -> Option<core::result::Result<(), u128>> {
        if offset % 16 != 0 || offset > PAGE_SIZE - 16 {
            return None;
        }
        // SAFETY: `offset + 16` is within the page, checked just above.
        let at = unsafe { self.base.add(offset) };
        // SAFETY: Aligned and in bounds as checked above; the page lives as long as `self`, and all access to it is
        // atomic.
        let now = unsafe { exchange128(at, old, new) };
        Some(if now == old { Ok(()) } else { Err(now) })
    }
}

/// CMPXCHG16B, with LOCK: returns what was there. Every processor has it that can run guests (the first with SVM is
/// younger, and so is that with VMX in 64-bit mode).
///
/// # Safety
///
/// `at` must be aligned to 16 bytes and valid for an atomic access of so many.
unsafe fn exchange128(at: NonNull<u8>, old: u128, new: u128) -> u128 {
    // CAST: The halves.
    let (mut low, mut high) = (old as u64, (old >> 64) as u64);
    // SAFETY: By the contract. RBX, which the compiler keeps for itself, has its value again at the end.
    unsafe {
        core::arch::asm!(
            "xchgq %rsi, %rbx",
            "lock cmpxchg16b (%rdi)",
            "movq %rsi, %rbx",
            in("rdi") at.as_ptr(),
            inout("rsi") new as u64 => _,
            in("rcx") (new >> 64) as u64,
            inout("rax") low,
            inout("rdx") high,
            options(att_syntax, nostack)
        );
    }
    u128::from(high) << 64 | u128::from(low)
}

impl Clone for SharedPage {
    fn clone(&self) -> Self {
        Self {
            page: self.page.clone(),
            base: self.base,
        }
    }
}

/// `LEN` bytes of a page at any alignment, which we write while a guest reads them. Never read.
///
/// # Invariants
///
/// `at` points to `LEN` bytes that lie in `page`.
pub(crate) struct Window<const LEN: usize> {
    /// Keeps the bytes where they are.
    _page: SharedPage,
    at: NonNull<u8>,
}

// SAFETY: The bytes are only written, each store as a whole, and nothing of ours reads them.
unsafe impl<const LEN: usize> Send for Window<LEN> {}
// SAFETY: As above.
unsafe impl<const LEN: usize> Sync for Window<LEN> {}

/// Stores, each of which is one instruction of the processor that the compiler keeps in its place.
mod write {
    /// Makes a function that stores an integer.
    macro_rules! write {
        ($name:ident, $ty:ty, $mov:literal, $class:ident) => {
            /// Stores an integer, at any alignment.
            ///
            /// # Safety
            ///
            /// `to` must be valid for the write, and nothing of ours may read there.
            #[inline(always)]
            pub(super) unsafe fn $name(to: *mut u8, value: $ty) {
                // SAFETY: By the contract.
                unsafe {
                    core::arch::asm!(
                        $mov,
                        value = in($class) value,
                        to = in(reg) to,
                        options(att_syntax, nostack, preserves_flags)
                    );
                }
            }
        };
    }

    write!(byte, u8, "movb {value}, ({to})", reg_byte);
    write!(word16, u16, "movw {value:x}, ({to})", reg);
    write!(word32, u32, "movl {value:e}, ({to})", reg);
    write!(word64, u64, "movq {value}, ({to})", reg);

    /// Stores the low `count` bytes of an integer, less than eight.
    ///
    /// # Safety
    ///
    /// As for each of them.
    #[inline(always)]
    pub(super) unsafe fn some(mut to: *mut u8, count: usize, mut value: u64) {
        if count & 4 != 0 {
            // CAST: The low half.
            // SAFETY: By the contract.
            unsafe { word32(to, value as u32) };
            to = to.wrapping_add(4);
            value >>= 32;
        }
        if count & 2 != 0 {
            // CAST: The low quarter.
            // SAFETY: By the contract.
            unsafe { word16(to, value as u16) };
            to = to.wrapping_add(2);
            value >>= 16;
        }
        if count & 1 != 0 {
            // CAST: The lowest byte.
            // SAFETY: By the contract.
            unsafe { byte(to, value as u8) };
        }
    }
}

/// Makes a function that stores an integer in a window.
macro_rules! window_store {
    ($name:ident, $ty:ty, $write:ident) => {
        /// Stores an integer at an offset. Outside the window nothing happens.
        #[inline(always)]
        pub(crate) fn $name(&self, at: usize, value: $ty) {
            if at > LEN || LEN - at < size_of::<$ty>() {
                return;
            }
            // SAFETY: In the window, as checked just above.
            let to = unsafe { self.at.add(at) };
            // SAFETY: Writes to the window's bytes only, by the type's invariant. Who else looks at them is a guest.
            unsafe { write::$write(to.as_ptr(), value) };
        }
    };
}

impl<const LEN: usize> Window<LEN> {
    /// Makes the window that starts at byte `offset` of the page; `None` if it would not end in the page.
    pub(crate) fn new(page: SharedPage, offset: usize) -> Option<Self> {
        if offset > PAGE_SIZE || PAGE_SIZE - offset < LEN {
            return None;
        }
        // SAFETY: Within the page, as checked just above.
        let at = unsafe { page.base.add(offset) };
        // INVARIANT: As checked above.
        Some(Self { _page: page, at })
    }

    window_store!(store8, u8, byte);
    window_store!(store32, u32, word32);
    window_store!(store64, u64, word64);
}

/// `LEN` bytes at any alignment that begin at the end of one page and go on at the start of another, which we write
/// while a guest reads them. Never read.
///
/// # Invariants
///
/// `split` is less than `LEN`, and `LEN` no more than a page. `head` points to `split` bytes that lie in `first`;
/// `tail` is so many bytes before the start of `second`.
pub(crate) struct SplitWindow<const LEN: usize> {
    /// They keep the bytes where they are.
    _first: SharedPage,
    _second: SharedPage,
    head: *mut u8,
    tail: *mut u8,
    split: usize,
}

// SAFETY: The bytes are only written, each store as a whole, and nothing of ours reads them.
unsafe impl<const LEN: usize> Send for SplitWindow<LEN> {}
// SAFETY: As above.
unsafe impl<const LEN: usize> Sync for SplitWindow<LEN> {}

/// Makes a function that stores an integer in a window of two pages.
macro_rules! split_store {
    ($name:ident, $ty:ty, $write:ident) => {
        /// Stores an integer at an offset, in pieces where it goes on in the second page. Outside the window nothing
        /// happens.
        #[inline(always)]
        pub(crate) fn $name(&self, at: usize, value: $ty) {
            if at > LEN || LEN - at < size_of::<$ty>() {
                return;
            }
            if at < self.split && self.split - at < size_of::<$ty>() {
                // SAFETY: Checked just above.
                return unsafe { self.store_split(at, size_of::<$ty>(), value.into()) };
            }
            // SAFETY: Writes to the window's bytes only, all of which lie in one page, as checked above.
            unsafe { write::$write(self.locate(at), value) };
        }
    };
}

impl<const LEN: usize> SplitWindow<LEN> {
    /// Makes the window that starts at byte `offset` of the first page; `None` if it would not end in the second.
    pub(crate) fn new(first: SharedPage, second: SharedPage, offset: usize) -> Option<Self> {
        let split = PAGE_SIZE.checked_sub(offset)?;
        if split == 0 || split >= LEN || LEN > PAGE_SIZE {
            return None;
        }
        // SAFETY: Within the page: `offset` is less than its size.
        let head = unsafe { first.base.add(offset) }.as_ptr();
        let tail = second.base.as_ptr().wrapping_sub(split);
        // INVARIANT: As checked above.
        Some(Self {
            _first: first,
            _second: second,
            head,
            tail,
            split,
        })
    }

    /// Where the byte at an offset is, if the offset is less than `LEN`.
    #[inline(always)]
    fn locate(&self, at: usize) -> *mut u8 {
        let base = if at < self.split {
            self.head
        } else {
            self.tail
        };
        base.wrapping_add(at)
    }

    /// Stores a byte at an offset. Outside the window nothing happens.
    #[inline(always)]
    pub(crate) fn store8(&self, at: usize, value: u8) {
        if at >= LEN {
            return;
        }
        // SAFETY: Writes to the window's bytes only. Who else looks at them is a guest.
        unsafe { write::byte(self.locate(at), value) };
    }

    split_store!(store32, u32, word32);
    split_store!(store64, u64, word64);

    /// Stores the low `size` bytes of `value`, of which some lie in the second page.
    ///
    /// # Safety
    ///
    /// Less than `size` bytes, which are at most eight, must lie between `at` and the end of the first page, but some;
    /// and all of them in the window.
    #[inline(never)]
    unsafe fn store_split(&self, at: usize, size: usize, value: u64) {
        let before = self.split.wrapping_sub(at);
        // SAFETY: So many are left in the first page.
        unsafe { write::some(self.head.wrapping_add(at), before, value) };
        // CAST: Less than eight.
        let rest = value >> ((before as u32) * 8 & (u64::BITS - 1));
        let to = self.tail.wrapping_add(self.split);
        // SAFETY: The rest are the first in the second page.
        unsafe { write::some(to, size.wrapping_sub(before), rest) };
    }
}

/// A zeroed, physically contiguous block of `1 << ORDER` pages that only the module and the processor use.
///
/// # Invariants
///
/// `base` is the direct-map address of a block of that order which this value owns.
pub(crate) struct PageBlock<const ORDER: u32> {
    base: NonNull<u8>,
}

// SAFETY: The block is plain memory owned by the value.
unsafe impl<const ORDER: u32> Send for PageBlock<ORDER> {}
// SAFETY: Shared access hands out raw pointers and addresses only.
unsafe impl<const ORDER: u32> Sync for PageBlock<ORDER> {}

impl<const ORDER: u32> PageBlock<ORDER> {
    /// Bytes in the block.
    pub(crate) const SIZE: usize = PAGE_SIZE << ORDER;

    /// Allocates a zeroed block.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: Called where sleeping is allowed.
        let page = unsafe { raw::oxen_alloc_pages(ORDER, true, false) };
        if page.is_null() {
            return Err(ENOMEM);
        }
        // SAFETY: A valid page of normal memory.
        let base = unsafe { raw::oxen_page_address(page) };
        // INVARIANT: A fresh block is ours alone.
        NonNull::new(base.cast())
            .map(|base| Self { base })
            .ok_or(ENOMEM)
    }

    /// The physical address, without any encryption bit.
    pub(crate) fn phys(&self) -> u64 {
        // SAFETY: A direct-map address by the type's invariant.
        unsafe { raw::oxen_virt_to_phys(self.base.as_ptr().cast()) }
    }

    /// The first byte.
    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Sets every byte.
    pub(crate) fn fill(&mut self, byte: u8) {
        // SAFETY: The block is `SIZE` bytes long and exclusively borrowed.
        unsafe { core::ptr::write_bytes(self.base.as_ptr(), byte, Self::SIZE) };
    }
}

impl<const ORDER: u32> Drop for PageBlock<ORDER> {
    fn drop(&mut self) {
        // SAFETY: The address is that of a block from `alloc_pages` with this order, owned by `self`.
        unsafe { kernel::bindings::free_pages(self.base.as_ptr() as usize, ORDER) };
    }
}

/// Pages of RAM that the host has in all.
pub(crate) fn total_pages() -> u64 {
    // SAFETY: Reads a counter.
    unsafe { raw::oxen_totalram_pages() }
}

/// Pages of RAM that are free now.
pub(crate) fn free_pages() -> u64 {
    // SAFETY: Reads a counter.
    unsafe { raw::oxen_free_pages_count() }
}

/// Whether the host's page tables have five levels.
pub(crate) fn has_five_levels() -> bool {
    // SAFETY: Reads a feature that is constant after boot.
    unsafe { raw::oxen_has_five_levels() }
}

/// The bit that marks an encrypted page in a physical address, or 0 (AMD SME).
pub(crate) fn sme_mask() -> u64 {
    // SAFETY: Reads a variable that is constant after boot.
    unsafe { raw::oxen_sme_mask() }
}
