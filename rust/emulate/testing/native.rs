// SPDX-License-Identifier: GPL-2.0-only

//! The processor that the tests run on, as the judge of what instructions do.
//!
//! A page holds code that loads registers and flags, executes one instruction and stores what came
//! of it, in 64-bit mode or, through a far jump, in 32-bit compatibility mode.

use crate::emulate::CodeWidth;
use std::ffi::c_void;

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
}

const PROT_READ_WRITE_EXEC: i32 = 7;
const MAP_PRIVATE_ANONYMOUS_32BIT: i32 = 0x02 | 0x20 | 0x40;

const PAGE: usize = 4096;
/// Code, registers, and the window in the middle of two pages.
const LEN: usize = 4 * PAGE;
/// Offset of the stored registers: 16 general ones, then flags, stack pointer, far pointer.
const CONTEXT: usize = PAGE;
const FLAGS: usize = CONTEXT + 16 * 8;
const SAVED_STACK: usize = FLAGS + 8;
const FAR_POINTER: usize = SAVED_STACK + 8;
/// Offset of the memory that instructions may access, and its size.
const WINDOW: usize = 3 * PAGE - WINDOW_LEN / 2;
pub(crate) const WINDOW_LEN: usize = 256;

/// Linux's selectors for 64- and 32-bit user code and user data.
const USER_CS: u16 = 0x33;
const USER32_CS: u16 = 0x23;
const USER_DS: u8 = 0x2b;

/// The pages.
pub(crate) struct Native {
    base: *mut u8,
}

impl Native {
    pub(crate) fn new() -> Self {
        // SAFETY: A new anonymous mapping at an address of the kernel's choice replaces nothing.
        let base = unsafe {
            mmap(
                std::ptr::null_mut(),
                LEN,
                PROT_READ_WRITE_EXEC,
                MAP_PRIVATE_ANONYMOUS_32BIT,
                -1,
                0,
            )
        };
        assert!(!base.is_null() && base as isize != -1, "no memory");
        assert!((base as usize) < 1 << 31);
        Self { base: base.cast() }
    }

    /// The address of the window. It is below 2 GiB.
    pub(crate) fn window(&self) -> u64 {
        self.base as u64 + WINDOW as u64
    }

    fn store(&mut self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= LEN);
        // SAFETY: In bounds as checked above; nothing else refers to the mapping.
        let to = unsafe { self.base.add(at) };
        // SAFETY: As above, and `bytes` is memory of its own.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }

    fn fetch(&self, at: usize, bytes: &mut [u8]) {
        assert!(at + bytes.len() <= LEN);
        // SAFETY: In bounds as checked above.
        let from = unsafe { self.base.add(at) };
        // SAFETY: As above; anonymous memory is initialised.
        unsafe { std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len()) };
    }

    /// Executes `insn`, which must not branch, fault or touch memory outside the window.
    ///
    /// In 32-bit code only the lower halves of the first eight registers mean anything.
    pub(crate) fn run(
        &mut self,
        code: CodeWidth,
        insn: &[u8],
        gprs: &mut [u64; 16],
        flags: &mut u64,
        window: &mut [u8; WINDOW_LEN],
    ) {
        for (n, value) in gprs.iter().enumerate() {
            self.store(CONTEXT + 8 * n, &value.to_le_bytes());
        }
        self.store(FLAGS, &(*flags | 0x202).to_le_bytes());
        self.store(WINDOW, window);
        let program = match code {
            CodeWidth::Bits64 => self.program64(insn),
            CodeWidth::Bits32 => self.program32(insn),
            CodeWidth::Bits16 => panic!("no 16-bit code segment"),
        };
        self.store(0, &program);
        // SAFETY: The page holds a complete function of this type, written just above: it keeps
        // the registers that the ABI wants kept, and returns. The caller answers for `insn`.
        let function: extern "C" fn() = unsafe { std::mem::transmute(self.base) };
        function();
        for (n, value) in gprs.iter_mut().enumerate() {
            let mut bytes = [0; 8];
            self.fetch(CONTEXT + 8 * n, &mut bytes);
            *value = u64::from_le_bytes(bytes);
        }
        let mut bytes = [0; 8];
        self.fetch(FLAGS, &mut bytes);
        *flags = u64::from_le_bytes(bytes);
        self.fetch(WINDOW, window);
    }

    fn program64(&self, insn: &[u8]) -> Vec<u8> {
        let mut program = prologue();
        load_flags(&mut program);
        for n in 0..16 {
            load(&mut program, n);
        }
        program.extend(insn);
        for n in 0..16 {
            store(&mut program, n);
        }
        epilogue(&mut program);
        program
    }

    fn program32(&mut self, insn: &[u8]) -> Vec<u8> {
        let mut program = prologue();
        // mov eax, USER_DS; mov ds, eax; mov es, eax
        program.extend([0xb8, USER_DS, 0, 0, 0, 0x8e, 0xd8, 0x8e, 0xc0]);
        load_flags(&mut program);
        for n in 0..8 {
            load(&mut program, n);
        }
        // jmp far [rip + FAR_POINTER]
        program.extend([0xff, 0x2d]);
        relative(&mut program, FAR_POINTER);
        let base = self.base as u32;
        let mut far = (base + program.len() as u32).to_le_bytes().to_vec();
        far.extend(USER32_CS.to_le_bytes());
        self.store(FAR_POINTER, &far);
        program.extend(insn);
        // jmp far USER_CS:after
        program.push(0xea);
        let after = base + program.len() as u32 + 6;
        program.extend(after.to_le_bytes());
        program.extend(USER_CS.to_le_bytes());
        for n in 0..8 {
            store(&mut program, n);
        }
        // mov eax, 0; mov ds, eax; mov es, eax; without touching the flags.
        program.extend([0xb8, 0, 0, 0, 0, 0x8e, 0xd8, 0x8e, 0xc0]);
        epilogue(&mut program);
        program
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // SAFETY: The mapping is ours, and no reference to it outlives `self`.
        let result = unsafe { munmap(self.base.cast(), LEN) };
        assert_eq!(result, 0);
    }
}

/// Appends the distance from the end of the instruction that it ends to offset `to` of the pages.
fn relative(program: &mut Vec<u8>, to: usize) {
    let distance = to as i32 - (program.len() as i32 + 4);
    program.extend(distance.to_le_bytes());
}

/// Keeps the ABI's registers and the stack pointer.
fn prologue() -> Vec<u8> {
    // push rbx; push rbp; push r12; push r13; push r14; push r15; mov [rip + SAVED_STACK], rsp
    let mut program = vec![0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57];
    program.extend([0x48, 0x89, 0x25]);
    relative(&mut program, SAVED_STACK);
    program
}

/// Loads the flags.
fn load_flags(program: &mut Vec<u8>) {
    // push [rip + FLAGS]; popfq
    program.extend([0xff, 0x35]);
    relative(program, FLAGS);
    program.push(0x9d);
}

/// Loads general register `n`.
fn load(program: &mut Vec<u8>, n: u8) {
    // mov rN, [rip + CONTEXT + 8 * n]
    program.extend([0x48 | ((n >> 3) << 2), 0x8b, 0x05 | ((n & 7) << 3)]);
    relative(program, CONTEXT + 8 * usize::from(n));
}

/// Stores general register `n`.
fn store(program: &mut Vec<u8>, n: u8) {
    program.extend([0x48 | ((n >> 3) << 2), 0x89, 0x05 | ((n & 7) << 3)]);
    relative(program, CONTEXT + 8 * usize::from(n));
}

/// Stores the flags and returns.
fn epilogue(program: &mut Vec<u8>) {
    // mov rsp, [rip + SAVED_STACK]; pushfq; pop [rip + FLAGS]; cld
    program.extend([0x48, 0x8b, 0x25]);
    relative(program, SAVED_STACK);
    program.extend([0x9c, 0x8f, 0x05]);
    relative(program, FLAGS);
    program.push(0xfc);
    // pop r15; pop r14; pop r13; pop r12; pop rbp; pop rbx; ret
    program.extend([
        0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3,
    ]);
}
