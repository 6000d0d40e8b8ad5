// SPDX-License-Identifier: GPL-2.0-only

//! The processor that the tests run on, as the judge of what instructions do.
//!
//! A signal handler that returns gives a thread any state that a process can have, with TF set: one
//! instruction is executed, and the trap after it, or the exception that it raised, comes to the
//! same handler with the state that it left. Branches, faults and code of 16, 32 and 64 bits are all
//! the same to it.

use super::vectors::Vectors;
use crate::emulate::{
    area::Layout,
    CodeWidth, //
};
use std::{
    ffi::c_void,
    sync::{
        atomic::{
            AtomicU32,
            Ordering, //
        },
        Once, //
    },
};

extern "C" {
    fn mmap(
        at: *mut c_void,
        len: usize,
        prot: i32,
        flags: i32,
        fd: i32,
        offset: i64,
    ) -> *mut c_void;
    fn munmap(at: *mut c_void, len: usize) -> i32;
    fn mprotect(at: *mut c_void, len: usize, prot: i32) -> i32;
    fn sigaction(signal: i32, new: *const SigAction, old: *mut SigAction) -> i32;
    fn sigaltstack(new: *const AltStack, old: *mut AltStack) -> i32;
    fn syscall(number: i64, a: i64, b: *const c_void, c: usize) -> i64;
}

const PROT_NONE: i32 = 0;
const PROT_READ: i32 = 1;
const PROT_READ_WRITE: i32 = 3;
const PROT_READ_WRITE_EXEC: i32 = 7;
const MAP_PRIVATE_ANONYMOUS: i32 = 0x02 | 0x20;
const MAP_32BIT: i32 = 0x40;
const SA_SIGINFO_ONSTACK: i32 = 0x0800_0004;
const SYS_MODIFY_LDT: i64 = 154;
/// SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV.
const SIGNALS: [i32; 5] = [4, 5, 7, 8, 11];

#[repr(C)]
struct SigAction {
    handler: usize,
    mask: [u64; 16],
    flags: i32,
    restorer: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct AltStack {
    at: *mut c_void,
    flags: i32,
    len: usize,
}

/// What the kernel hands to a handler: `struct ucontext` of x86-64.
#[repr(C)]
struct UContext {
    flags: u64,
    link: usize,
    stack: AltStack,
    /// R8 to R15, RDI, RSI, RBP, RBX, RDX, RAX, RCX, RSP.
    gprs: [u64; 16],
    rip: u64,
    rflags: u64,
    cs: u16,
    gs: u16,
    fs: u16,
    ss: u16,
    error: u64,
    vector: u64,
    old_mask: u64,
    cr2: u64,
    fpu: *mut u8,
}

/// The instructions' numbers of the registers in [`UContext`].
const ORDER: [usize; 16] = [8, 9, 10, 11, 12, 13, 14, 15, 7, 6, 5, 3, 2, 0, 1, 4];

/// SS is to be restored exactly.
const UC_SS: u64 = 6;
/// Trap after one instruction.
const TF: u64 = 1 << 8;

/// Linux's selectors for 64- and 32-bit user code and user data.
pub(crate) const USER_CS: u16 = 0x33;
pub(crate) const USER32_CS: u16 = 0x23;
pub(crate) const USER_DS: u16 = 0x2b;

pub(crate) const PAGE: usize = 4096;
/// Pages: code, a hole, two that can be written, one that can be read, a hole.
const PAGES: usize = 6;
/// Bytes that can be accessed: the three in the middle.
pub(crate) const WINDOW_LEN: usize = 3 * PAGE;
/// The first of them.
const WINDOW: usize = 2 * PAGE;

/// The state in which an instruction is executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cpu {
    pub(crate) gprs: [u64; 16],
    pub(crate) rip: u64,
    pub(crate) rflags: u64,
    pub(crate) cs: u16,
    pub(crate) ss: u16,
    pub(crate) ds: u16,
    pub(crate) es: u16,
    /// Not touched if there is none.
    pub(crate) vectors: Option<Box<Vectors>>,
}

/// How an instruction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    /// 1 if it was executed.
    pub(crate) vector: u8,
    pub(crate) error: u32,
    pub(crate) cr2: u64,
}

const MAGIC: u64 = 0x656d_756c_6174_6521;

/// What the handler of a thread works with; it is at the bottom of the thread's alternate stack.
#[repr(C)]
struct Shared {
    magic: u64,
    /// Whether the next signal begins an instruction rather than ending it.
    begins: bool,
    cpu: *mut Cpu,
    ending: Ending,
    saved: [u64; 20],
    layout: (Layout, u8),
}

/// The thread's signal stack and the pages.
pub(crate) struct Native {
    base: *mut u8,
    stack: *mut u8,
    old_stack: AltStack,
    /// The first of this object's descriptors in the local table.
    first_descriptor: u32,
    layout: (Layout, u8),
}

const STACK_LEN: usize = 1 << 18;
/// Descriptors that each object has.
const DESCRIPTORS: u32 = 64;
static NEXT_DESCRIPTOR: AtomicU32 = AtomicU32::new(0);

/// Takes and gives states. Uses nothing that belongs to a thread, as FS may be anything.
extern "C" fn handler(signal: i32, _: *mut c_void, context: *mut UContext) {
    // The kernel leaves RFLAGS.AC as it was.
    // SAFETY: Changes no register but the flags, and memory below the stack only.
    unsafe {
        std::arch::asm!("pushfq", "and qword ptr [rsp], {0}", "popfq", const !(1i32 << 18));
    }
    exchange(signal, context);
}

/// What [`handler`] does.
#[inline(never)]
fn exchange(signal: i32, context: *mut UContext) {
    // SAFETY: The kernel made it, for this handler alone.
    let context = unsafe { &mut *context };
    let shared: *mut Shared = context.stack.at.cast();
    // SAFETY: Every alternate stack begins with memory that can be read.
    if shared.is_null() || unsafe { (*shared).magic } != MAGIC {
        let default = SigAction {
            handler: 0,
            mask: [0; 16],
            flags: 0,
            restorer: 0,
        };
        // SAFETY: The signal comes again and ends the process.
        unsafe { sigaction(signal, &default, std::ptr::null_mut()) };
        return;
    }
    // SAFETY: `run` made it and waits.
    let shared = unsafe { &mut *shared };
    // SAFETY: As above.
    let cpu = unsafe { &mut *shared.cpu };
    if shared.begins {
        shared.begins = false;
        shared.saved[..16].copy_from_slice(&context.gprs);
        shared.saved[16] = context.rip;
        shared.saved[17] = context.rflags;
        for (to, from) in context.gprs.iter_mut().zip(ORDER) {
            *to = cpu.gprs[from];
        }
        context.rip = cpu.rip;
        context.rflags = cpu.rflags | TF | 0x202;
        context.cs = cpu.cs;
        context.ss = cpu.ss;
        if let Some(vectors) = &cpu.vectors {
            // SAFETY: The kernel's area for registers, in the standard format.
            unsafe { put(vectors, &shared.layout, context.fpu) };
        }
    } else {
        for (from, to) in context.gprs.iter().zip(ORDER) {
            cpu.gprs[to] = *from;
        }
        cpu.rip = context.rip;
        cpu.rflags = context.rflags;
        cpu.cs = context.cs;
        cpu.ss = context.ss;
        // SAFETY: Reads registers.
        unsafe {
            std::arch::asm!("mov {0:x}, ds", "mov {1:x}, es", out(reg) cpu.ds, out(reg) cpu.es);
        }
        shared.ending = Ending {
            vector: context.vector as u8,
            error: context.error as u32,
            cr2: context.cr2,
        };
        if let Some(vectors) = &mut cpu.vectors {
            // SAFETY: As above.
            unsafe { take(vectors, &shared.layout, context.fpu) };
        }
        context.gprs.copy_from_slice(&shared.saved[..16]);
        context.rip = shared.saved[16];
        context.rflags = shared.saved[17];
        context.cs = USER_CS;
        context.ss = USER_DS;
    }
    context.flags |= UC_SS;
}

/// Offsets in the area for registers.
const XMM: usize = 160;
const PRESENT: usize = 512;

/// Which components begin at a multiple of 64 in the compacted format.
fn aligned() -> u64 {
    // SAFETY: The leaf is there, as AVX is on.
    let is = |part| unsafe { std::arch::x86_64::__cpuid_count(13, part).ecx >> 1 & 1 };
    (2..32).fold(0, |bits, part| bits | u64::from(is(part)) << part)
}

/// Where the processor has the registers that have no fixed place, and which it has.
fn layout() -> (Layout, u8) {
    // SAFETY: The leaf is there, as AVX is on.
    let offset = |part| unsafe { std::arch::x86_64::__cpuid_count(13, part).ebx as usize };
    // SAFETY: Processes can read it, as the system has switched XSAVE on.
    let on = unsafe { std::arch::x86_64::_xgetbv(0) };
    let has_zmm = on & 0xe0 == 0xe0;
    let of_zmm = |part| if has_zmm { offset(part) } else { 0 };
    let layout = Layout {
        avx: offset(2),
        opmask: of_zmm(5),
        zmm_high: of_zmm(6),
        zmm_16: of_zmm(7),
        aligned: aligned(),
    };
    (layout, if has_zmm { 0xe7 } else { 7 })
}

/// The parts of vector register `number` in an area: which component each is in, its first byte, its
/// offset (0 if it is not there) and its length.
fn parts(layout: &Layout, number: usize) -> [(u8, usize, usize, usize); 3] {
    let place = |base: usize, by: usize| if base == 0 { 0 } else { base + by };
    match number {
        0..=15 => [
            (2, 0, XMM + 16 * number, 16),
            (4, 16, place(layout.avx, 16 * number), 16),
            (0x40, 32, place(layout.zmm_high, 32 * number), 32),
        ],
        _ => [(0x80, 0, place(layout.zmm_16, 64 * (number - 16)), 64); 3],
    }
}

/// Writes registers to an area of the kernel's.
unsafe fn put(vectors: &Vectors, layout: &(Layout, u8), area: *mut u8) {
    // SAFETY: The caller's area has room for all components that are on.
    unsafe {
        std::ptr::copy_nonoverlapping(vectors.legacy.as_ptr(), area, 160);
        for (n, zmm) in vectors.zmm.iter().enumerate() {
            for (_, from, at, len) in parts(&layout.0, n) {
                if at != 0 {
                    std::ptr::copy_nonoverlapping(zmm.as_ptr().add(from), area.add(at), len);
                }
            }
        }
        if layout.0.opmask != 0 {
            let from = vectors.opmasks.as_ptr().cast();
            std::ptr::copy_nonoverlapping(from, area.add(layout.0.opmask), 64);
        }
        *area.add(PRESENT) |= layout.1;
    }
}

/// Reads registers from an area, and leaves it such that this process can go on.
unsafe fn take(vectors: &mut Vectors, layout: &(Layout, u8), area: *mut u8) {
    // SAFETY: As above.
    unsafe {
        let present = *area.add(PRESENT);
        std::ptr::copy_nonoverlapping(area, vectors.legacy.as_mut_ptr(), 160);
        if present & 1 == 0 {
            // Mind MXCSR, which is always there.
            vectors.reset_x87();
        }
        for (n, zmm) in vectors.zmm.iter_mut().enumerate() {
            for (component, from, at, len) in parts(&layout.0, n) {
                let to = &mut zmm[from..from + len];
                if at == 0 || present & component == 0 {
                    to.fill(0);
                } else {
                    std::ptr::copy_nonoverlapping(area.add(at), to.as_mut_ptr(), len);
                }
            }
        }
        if layout.0.opmask != 0 && present & 0x20 != 0 {
            let to = vectors.opmasks.as_mut_ptr().cast();
            std::ptr::copy_nonoverlapping(area.add(layout.0.opmask), to, 64);
        } else {
            vectors.opmasks = [0; 8];
        }
        let fresh = Vectors::new();
        std::ptr::copy_nonoverlapping(fresh.legacy.as_ptr(), area, 160);
        *area.add(PRESENT) |= 3;
    }
}

impl Native {
    pub(crate) fn new() -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            for signal in SIGNALS {
                let action = SigAction {
                    handler: handler as usize,
                    mask: [0; 16],
                    flags: SA_SIGINFO_ONSTACK,
                    restorer: 0,
                };
                // SAFETY: The handler passes on what is not its own.
                let done = unsafe { sigaction(signal, &action, std::ptr::null_mut()) };
                assert_eq!(done, 0);
            }
        });
        let base = map(PAGES * PAGE, MAP_32BIT);
        assert!((base as usize) < 1 << 31);
        protect(base, PAGE, PROT_READ_WRITE_EXEC);
        protect(base.wrapping_add(PAGE), PAGE, PROT_NONE);
        protect(base.wrapping_add(WINDOW), 2 * PAGE, PROT_READ_WRITE);
        protect(base.wrapping_add(WINDOW + 2 * PAGE), PAGE, PROT_READ);
        protect(base.wrapping_add(WINDOW + WINDOW_LEN), PAGE, PROT_NONE);
        // Far from the pages: with a stack pointer that lies in the alternate stack by chance, the kernel takes a
        // signal for one within another.
        let stack = map(STACK_LEN, 0);
        let new = AltStack {
            at: stack.cast(),
            flags: 0,
            len: STACK_LEN,
        };
        let mut old_stack = new;
        // SAFETY: The memory stays until the old one is set again.
        let done = unsafe { sigaltstack(&new, &mut old_stack) };
        assert_eq!(done, 0);
        Self {
            base,
            stack,
            old_stack,
            first_descriptor: NEXT_DESCRIPTOR.fetch_add(DESCRIPTORS, Ordering::Relaxed),
            layout: layout(),
        }
    }

    /// Where the processor has components of its state.
    pub(crate) fn layout(&self) -> Layout {
        self.layout.0
    }

    /// The address of the first page, in which instructions are.
    pub(crate) fn code(&self) -> u64 {
        self.base as u64
    }

    /// The address of the pages that can be accessed. It is below 2 GiB.
    pub(crate) fn window(&self) -> u64 {
        self.base as u64 + WINDOW as u64
    }

    /// All addresses that belong to this object, the holes as well.
    pub(crate) fn arena(&self) -> std::ops::Range<u64> {
        self.code()..self.code() + (PAGES * PAGE) as u64
    }

    /// Fills the page that can only be read.
    pub(crate) fn fill_read_only(&mut self, bytes: &[u8; PAGE]) {
        let at = self.base.wrapping_add(WINDOW + 2 * PAGE);
        protect(at, PAGE, PROT_READ_WRITE);
        self.store(WINDOW + 2 * PAGE, bytes);
        protect(at, PAGE, PROT_READ);
    }

    /// Replaces the code or the memory that can be written.
    pub(crate) fn store(&mut self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= PAGES * PAGE);
        // SAFETY: In bounds as checked above; nothing else refers to the mapping.
        let to = unsafe { self.base.add(at) };
        // SAFETY: As above, and `bytes` is memory of its own.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }

    /// Replaces the first bytes of the memory that can be accessed.
    pub(crate) fn store_window(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= 2 * PAGE);
        self.store(WINDOW, bytes);
    }

    /// Reads the memory that can be accessed.
    pub(crate) fn window_bytes(&self) -> &[u8] {
        // SAFETY: It is mapped, and not written while the reference lives.
        unsafe { std::slice::from_raw_parts(self.base.add(WINDOW), WINDOW_LEN) }
    }

    /// Installs a descriptor, given as base, limit and Linux's flags, and returns its selector;
    /// `None` if this kernel has no local tables.
    pub(crate) fn describe(&self, number: u32, base: u64, limit: u32, flags: u32) -> Option<u16> {
        assert!(number < DESCRIPTORS);
        let entry = self.first_descriptor + number;
        let user: [u32; 4] = [entry, base as u32, limit, flags];
        // SAFETY: Changes only this descriptor, which is this object's.
        let done = unsafe { syscall(SYS_MODIFY_LDT, 0x11, user.as_ptr().cast(), 16) };
        (done == 0).then_some((entry << 3 | 7) as u16)
    }

    /// Executes the instruction at `cpu.rip`, which is in the code page.
    pub(crate) fn run(&mut self, cpu: &mut Cpu) -> Ending {
        let none = Ending {
            vector: 0,
            error: 0,
            cr2: 0,
        };
        let shared: *mut Shared = self.stack.cast();
        let (ds, es) = (cpu.ds, cpu.es);
        // SAFETY: The bottom of our own memory, of which the handler uses the top.
        unsafe {
            *shared = Shared {
                magic: MAGIC,
                begins: true,
                cpu,
                ending: none,
                saved: [0; 20],
                layout: self.layout,
            };
        }
        // SAFETY: The handler restores all registers but those that are named here.
        unsafe {
            std::arch::asm!(
                "mov ds, {0:x}",
                "mov es, {1:x}",
                // The kernel does not change NT.
                "push 0x202",
                "popfq",
                "int3",
                "mov ds, {2:x}",
                "mov es, {2:x}",
                in(reg) ds,
                in(reg) es,
                in(reg) 0,
                clobber_abi("C"),
            );
        }
        // SAFETY: As above; the handler has written it.
        let ending = unsafe { std::ptr::read_volatile(&raw const (*shared).ending) };
        // SAFETY: As above.
        assert!(!unsafe { (*shared).begins });
        cpu.rflags &= !(1 << 16);
        ending
    }

    /// Executes `insn` from the start of the code page, in flat segments, and returns whether it
    /// raised nothing.
    pub(crate) fn run_plain(&mut self, code: CodeWidth, insn: &[u8], cpu: &mut Cpu) -> bool {
        self.store(0, insn);
        self.store(insn.len(), &[0x90; 16]);
        cpu.rip = self.code();
        cpu.cs = match code {
            CodeWidth::Bits64 => USER_CS,
            CodeWidth::Bits32 => USER32_CS,
            CodeWidth::Bits16 => panic!("no flat segment"),
        };
        self.run(cpu).vector == 1
    }
}

impl Cpu {
    /// Everything zero, in flat segments.
    pub(crate) fn new() -> Self {
        Self {
            gprs: [0; 16],
            rip: 0,
            rflags: 2,
            cs: USER_CS,
            ss: USER_DS,
            ds: USER_DS,
            es: USER_DS,
            vectors: None,
        }
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // SAFETY: What the thread had before.
        let done = unsafe { sigaltstack(&self.old_stack, std::ptr::null_mut()) };
        assert_eq!(done, 0);
        // SAFETY: The mapping is ours, and no reference to it outlives `self`.
        let result = unsafe { munmap(self.base.cast(), PAGES * PAGE) };
        assert_eq!(result, 0);
        // SAFETY: As above, and no signal uses it any more.
        let result = unsafe { munmap(self.stack.cast(), STACK_LEN) };
        assert_eq!(result, 0);
    }
}

/// Maps `len` bytes, with further flags of `mmap`.
fn map(len: usize, flags: i32) -> *mut u8 {
    // SAFETY: A new anonymous mapping at an address of the kernel's choice replaces nothing.
    let base = unsafe {
        mmap(
            std::ptr::null_mut(),
            len,
            PROT_READ_WRITE,
            MAP_PRIVATE_ANONYMOUS | flags,
            -1,
            0,
        )
    };
    assert!(!base.is_null() && base as isize != -1, "no memory");
    base.cast()
}

fn protect(at: *mut u8, len: usize, rights: i32) {
    // SAFETY: Our own mapping, of which no reference exists.
    let done = unsafe { mprotect(at.cast(), len, rights) };
    assert_eq!(done, 0);
}
