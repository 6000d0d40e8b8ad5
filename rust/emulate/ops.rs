// SPDX-License-Identifier: GPL-2.0-only

//! The emulator's only way to the guest.
//!
//! Everything that an instruction reads or changes goes through [`Ops`]. The same emulator thus
//! runs in the module, in tests and in a fuzzer.
//!
//! # Order of calls
//!
//! An instruction first has every operand in memory translated ([`Ops::translate`]), in the order
//! in which the processor would report faults; then it reads; then it computes; then it writes
//! memory, once; and last it writes registers and flags, which cannot fail. A [`Fault`] from any
//! call ends the instruction at once, so that nothing of it has happened by then. That is what lets
//! an implementation ask a monitor or a device model, return [`Fault::Retry`], and have the
//! instruction started again when there is an answer.
//!
//! The iterations of a repeated string instruction are instructions of their own in this sense.

use super::{
    prefix::Segment,
    width::Width,
    Vendor, //
};

/// The number of a general register, 0 to 15, as instructions encode it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gpr(u8);

impl Gpr {
    /// AX, EAX, RAX.
    pub(crate) const RAX: Self = Self(0);
    /// CX, ECX, RCX.
    pub(crate) const RCX: Self = Self(1);
    /// DX, EDX, RDX.
    pub(crate) const RDX: Self = Self(2);
    /// BX, EBX, RBX.
    pub(crate) const RBX: Self = Self(3);
    /// SP, ESP, RSP.
    pub(crate) const RSP: Self = Self(4);
    /// BP, EBP, RBP.
    pub(crate) const RBP: Self = Self(5);
    /// SI, ESI, RSI.
    pub(crate) const RSI: Self = Self(6);
    /// DI, EDI, RDI.
    pub(crate) const RDI: Self = Self(7);

    /// Makes a register from the low four bits of `number`.
    pub(crate) const fn new(number: u8) -> Self {
        Self(number & 15)
    }

    /// Returns the number, 0 to 15.
    pub(crate) const fn number(self) -> u8 {
        self.0
    }
}

/// What an instruction does with a memory operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reads it.
    Read,
    /// Writes all of it without reading.
    Write,
    /// Reads it and then writes it. Needs the right to write; faults are those of a write.
    ReadWrite,
}

impl Access {
    /// Returns whether memory is written.
    pub(crate) const fn writes(self) -> bool {
        !matches!(self, Access::Read)
    }
}

/// How segments work at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// CR0.PE is clear: no rights, and exceptions have no error code.
    Real,
    /// RFLAGS.VM is set: segments as in real mode.
    Virtual8086,
    /// Protected mode, long mode included.
    Protected,
}

/// The hidden part of a segment register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentState {
    /// Linear address of offset 0.
    pub(crate) base: u64,
    /// The largest offset, or for an expand-down segment the largest that is not valid. In bytes,
    /// granularity already applied.
    pub(crate) limit: u32,
    /// Attributes as the VMCB and Xen's HVM context hold them: bits 0 to 3 type, 4 S, 5 and 6 DPL,
    /// 7 P, 8 AVL, 9 L, 10 D/B, 11 G.
    pub(crate) attributes: u16,
}

/// An exception to be delivered to the guest at the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exception {
    /// The vector, below 32.
    pub(crate) vector: u8,
    /// The error code, if this one has one in the current mode.
    pub(crate) error_code: Option<u32>,
    /// What CR2 becomes, for a page fault.
    pub(crate) cr2: Option<u64>,
}

impl Exception {
    /// #UD.
    pub(crate) const UNDEFINED: Self = Self {
        vector: 6,
        error_code: None,
        cr2: None,
    };

    /// #SS with error code 0, or without one in real mode.
    pub(crate) fn stack(mode: Mode) -> Self {
        Self::with_zero(12, mode)
    }

    /// #GP with error code 0, or without one in real mode.
    pub(crate) fn protection(mode: Mode) -> Self {
        Self::with_zero(13, mode)
    }

    /// #PF on the linear address `address`.
    pub(crate) fn page(address: u64, error_code: u32) -> Self {
        Self {
            vector: 14,
            error_code: Some(error_code),
            cr2: Some(address),
        }
    }

    /// An exception whose error code is 0.
    fn with_zero(vector: u8, mode: Mode) -> Self {
        Self {
            vector,
            error_code: (mode != Mode::Real).then_some(0),
            cr2: None,
        }
    }
}

/// Why an instruction was not carried out (requirement E-1). Its effects are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The guest gets an exception, with the instruction pointer at the instruction.
    Exception(Exception),
    /// The instruction is to be started again, now or when something that it waits for has come.
    Retry,
    /// The instruction, or what it does, is not known here. Nothing was guessed.
    Unhandleable,
}

impl From<Exception> for Fault {
    fn from(exception: Exception) -> Self {
        Self::Exception(exception)
    }
}

/// The result of a step of an instruction.
pub(crate) type Result<T = ()> = core::result::Result<T, Fault>;

/// How far an instruction has come. RIP is the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// It is finished. The caller moves RIP past it as after any other instruction: adds `len`,
    /// truncates to the mode's width, ends an interrupt shadow, clears RF, and traps if TF is set.
    Next {
        /// Bytes of the instruction, 1 to 15.
        len: u8,
    },
    /// A repeated string instruction has iterations left, and registers say which. RIP stays; the
    /// caller lets interrupts (and, if TF is set, the single-step trap) come, and then has the
    /// instruction executed again, here or by the guest.
    Again,
}

/// The guest, as one instruction sees it.
///
/// All methods concern one vCPU that does not run. Those that return no [`Result`] cannot fail.
pub(crate) trait Ops {
    /// A range of memory whose translation and rights have been checked, and that can be accessed
    /// without another look at the guest's page tables.
    type Place;

    /// Returns whose rules apply where processors differ.
    fn vendor(&self) -> Vendor;

    /// Returns how segments work.
    fn mode(&self) -> Mode;

    /// Returns the number of bits of a linear address: 48, or 57 with CR4.LA57.
    fn linear_bits(&self) -> u32 {
        48
    }

    /// Returns all 64 bits of a general register. Outside long mode the upper half is anything.
    fn gpr(&self, register: Gpr) -> u64;

    /// Replaces all 64 bits of a general register.
    fn set_gpr(&mut self, register: Gpr, value: u64);

    /// Returns the offset of the instruction in the code segment.
    fn rip(&self) -> u64;

    /// Returns RFLAGS.
    fn rflags(&self) -> u64;

    /// Replaces RFLAGS. The emulator changes only bits that the instruction may change.
    fn set_rflags(&mut self, value: u64);

    /// Returns the hidden part of a segment register.
    fn segment(&self, segment: Segment) -> SegmentState;

    /// Translates `len` bytes of memory from the linear address `linear` on and checks that the
    /// guest may access them so.
    ///
    /// `len` is 1 to 8 today and may become up to 64; the range does not wrap, and may touch two
    /// pages. Both are translated before either is judged (requirement E-4). `linear` is canonical.
    ///
    /// # Errors
    ///
    /// A page fault; [`Fault::Retry`] if a monitor was told of the access and has not answered.
    fn translate(&mut self, linear: u64, len: usize, access: Access) -> Result<Self::Place>;

    /// Reads memory; `into` has the length that was translated.
    ///
    /// # Errors
    ///
    /// [`Fault::Retry`] if a device model was asked and has not answered; the read is then made
    /// again, and answered from what came.
    fn read(&mut self, place: &Self::Place, into: &mut [u8]) -> Result;

    /// Writes memory; `from` has the length that was translated.
    ///
    /// A write to memory is seen by others at once if it is aligned and at most 8 bytes.
    ///
    /// # Errors
    ///
    /// As for `read`, before anything is written.
    fn write(&mut self, place: &Self::Place, from: &[u8]) -> Result;

    /// Replaces `old` by `new` as one step that no other processor can come between. For
    /// instructions with LOCK, and XCHG.
    ///
    /// `old` is what `read` returned, and both have the length that was translated. Devices need
    /// not compare.
    ///
    /// # Errors
    ///
    /// [`Fault::Retry`] if memory does not hold `old` any more, and as for `write`.
    fn compare_exchange(&mut self, place: &Self::Place, old: &[u8], new: &[u8]) -> Result;

    /// Reads `width`, at most 4 bytes, from a port, for INS. The destination was translated before.
    ///
    /// Whether the guest may use the port (IOPL, the bitmap in its task state segment) is for the
    /// implementation to know: processors check it before they tell a hypervisor of the access.
    ///
    /// # Errors
    ///
    /// As for `read`.
    fn port_read(&mut self, port: u16, width: Width) -> Result<u64> {
        let _ = (port, width);
        Err(Fault::Unhandleable)
    }

    /// Writes the low `width`, at most 4 bytes, of `value` to a port, for OUTS. See
    /// [`Ops::port_read`].
    ///
    /// # Errors
    ///
    /// As for `write`.
    fn port_write(&mut self, port: u16, width: Width, value: u64) -> Result {
        let _ = (port, width, value);
        Err(Fault::Unhandleable)
    }

    /// Reads instruction bytes from offset `rip` of the code segment on, for an instruction of
    /// which the caller had only the first part, and returns how many could be had.
    ///
    /// # Errors
    ///
    /// Whatever keeps the first of these bytes from being fetched.
    fn fetch(&mut self, rip: u64, into: &mut [u8]) -> Result<usize> {
        let _ = (rip, into);
        Err(Fault::Unhandleable)
    }
}

/// Reads an integer of `width`.
pub(crate) fn read_integer<O: Ops>(ops: &mut O, place: &O::Place, width: Width) -> Result<u64> {
    let mut bytes = [0; 8];
    let part = bytes.get_mut(..width.bytes()).ok_or(Fault::Unhandleable)?;
    ops.read(place, part)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Writes the low bits of `value` as an integer of `width`.
pub(crate) fn write_integer<O: Ops>(
    ops: &mut O,
    place: &O::Place,
    width: Width,
    value: u64,
) -> Result {
    let bytes = value.to_le_bytes();
    ops.write(
        place,
        bytes.get(..width.bytes()).ok_or(Fault::Unhandleable)?,
    )
}

/// Replaces an integer of `width` as one step; see [`Ops::compare_exchange`].
pub(crate) fn exchange_integer<O: Ops>(
    ops: &mut O,
    place: &O::Place,
    width: Width,
    old: u64,
    new: u64,
) -> Result {
    let (old, new) = (old.to_le_bytes(), new.to_le_bytes());
    let old = old.get(..width.bytes()).ok_or(Fault::Unhandleable)?;
    let new = new.get(..width.bytes()).ok_or(Fault::Unhandleable)?;
    ops.compare_exchange(place, old, new)
}
