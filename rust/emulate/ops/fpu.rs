// SPDX-License-Identifier: GPL-2.0-only

//! The guest's x87, MMX and vector registers.
//!
//! The emulator has no floating-point arithmetic of its own, and the kernel allows none. There are
//! two ways to the registers instead:
//!
//! - Moves and integer operations read and write registers as bytes.
//! - Everything else is replayed: the emulator reads the memory operand, rewrites the instruction so
//!   that it finds the operand in a buffer, and [`Fpu::replay`] has the processor execute that. What
//!   the buffer holds afterwards the emulator writes to the guest, if the instruction stores.
//!
//! Whether the guest may use the registers at all (CR0.EM, CR0.TS, CR4.OSFXSR, CR4.OSXSAVE, XCR0) is
//! checked before, through [`System`](super::System).

use super::{
    Fault,
    Result, //
};
use crate::emulate::{
    area::Layout,
    MAX_INSN_LEN, //
};
use core::ops::DerefMut;

/// The size of the buffer of a [`Replay`]: FNSAVE needs 108 bytes.
pub(crate) const BUFFER_LEN: usize = 128;

/// The memory operand of a replayed instruction, aligned as the strictest instruction needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub(crate) struct Buffer(pub(crate) [u8; BUFFER_LEN]);

/// An instruction for the processor to execute in place of the guest's.
///
/// It is for 64-bit mode. Its memory operand, if it has one, is at \[RBX\]. It uses no general
/// register but RAX, RCX and RDX, and no memory but the buffer. It neither branches nor touches the
/// stack. In length it differs from the guest's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replay {
    /// The instruction.
    pub(crate) code: [u8; MAX_INSN_LEN],
    /// Bytes of it.
    pub(crate) len: u8,
    /// RAX before and after.
    pub(crate) rax: u64,
    /// RCX before and after.
    pub(crate) rcx: u64,
    /// RDX before and after.
    pub(crate) rdx: u64,
    /// The status flags before and after. Other bits are to be ignored.
    pub(crate) flags: u64,
    /// What RBX points at, before and after.
    pub(crate) buffer: Buffer,
    /// Bytes of the buffer that count.
    pub(crate) buffer_len: u8,
    /// Offset of the guest's memory operand, or 0: what an x87 instruction leaves as the data
    /// pointer.
    pub(crate) data_offset: u64,
    /// The low three bits of the guest's first opcode byte, and its ModRM byte below them: what an
    /// x87 instruction leaves as its opcode.
    pub(crate) opcode: u16,
    /// Whether it is an x87 instruction that leaves pointers: the processor will have noted those of
    /// the replayed instruction, and the implementation has to put the guest's in their place.
    pub(crate) leaves_pointers: bool,
}

/// What happens to the bits of a vector register above those that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// They stay, as after a legacy SSE instruction.
    Kept,
    /// They are cleared, up to the widest vector that the processor has, as after a VEX or EVEX
    /// instruction.
    Cleared,
}

/// The guest's x87, MMX and vector registers.
///
/// Each method has a body that answers [`Fault::Unhandleable`]. One that reads must fail if the one
/// that writes the same register would: nothing that an instruction did before can be undone when the
/// write fails.
pub(crate) trait Fpu {
    /// A copy of the registers.
    type Area: DerefMut<Target = [u8]>;

    /// Returns a copy of all registers in an XSAVE area in the standard format, as
    /// [`area`](crate::emulate::area) knows it.
    fn area(&self) -> Result<Self::Area> {
        Err(Fault::Unhandleable)
    }

    /// Makes such a copy, which may have been changed, the registers. Its MXCSR has been checked.
    fn set_area(&mut self, area: Self::Area) -> Result {
        let _ = area;
        Err(Fault::Unhandleable)
    }

    /// Returns where the components are in such a copy.
    fn layout(&self) -> Result<Layout> {
        Err(Fault::Unhandleable)
    }

    /// Reads the lowest `into.len()` bytes, at most 64, of vector register `number`, 0 to 31.
    fn vector(&self, number: u8, into: &mut [u8]) -> Result {
        let _ = (number, into);
        Err(Fault::Unhandleable)
    }

    /// Writes the lowest `from.len()` bytes of vector register `number`.
    fn set_vector(&mut self, number: u8, from: &[u8], rest: Rest) -> Result {
        let _ = (number, from, rest);
        Err(Fault::Unhandleable)
    }

    /// Returns opmask register `number`, 0 to 7.
    fn opmask(&self, number: u8) -> Result<u64> {
        let _ = number;
        Err(Fault::Unhandleable)
    }

    /// Returns MMX register `number`, 0 to 7, and does to the x87 state what any MMX instruction
    /// does once [`Fpu::set_mmx`] or [`Fpu::enter_mmx`] follows.
    ///
    /// # Errors
    ///
    /// #MF if an x87 exception is pending.
    fn mmx(&self, number: u8) -> Result<u64> {
        let _ = number;
        Err(Fault::Unhandleable)
    }

    /// Writes MMX register `number`: bits 64 to 79 of the x87 register below it become ones. Includes
    /// [`Fpu::enter_mmx`].
    fn set_mmx(&mut self, number: u8, value: u64) -> Result {
        let _ = (number, value);
        Err(Fault::Unhandleable)
    }

    /// Does what every MMX instruction but EMMS does to the x87 state: the top of the stack becomes 0
    /// and all tags valid.
    fn enter_mmx(&mut self) -> Result {
        Err(Fault::Unhandleable)
    }

    /// Returns MXCSR.
    fn mxcsr(&self) -> Result<u32> {
        Err(Fault::Unhandleable)
    }

    /// Writes MXCSR.
    ///
    /// # Errors
    ///
    /// #GP for bits that the processor does not have.
    fn set_mxcsr(&mut self, value: u32) -> Result {
        let _ = value;
        Err(Fault::Unhandleable)
    }

    /// Executes an instruction on a copy of the guest's registers, and keeps that copy for
    /// [`Fpu::commit_replay`].
    ///
    /// Nothing that the guest can see changes yet: memory is written between the two calls, and that
    /// may fail. A copy that another replay or another instruction follows is forgotten.
    ///
    /// # Errors
    ///
    /// The exception that the processor raised: #MF, #XM, #UD, #GP for what the buffer held. After
    /// #XM the copy is kept as well, in which the flags of MXCSR say why. (Processors also switch to MMX state
    /// then, if the instruction has an MMX operand.)
    fn replay(&mut self, replay: &mut Replay) -> Result {
        let _ = replay;
        Err(Fault::Unhandleable)
    }

    /// Makes the copy of the last [`Fpu::replay`] the guest's registers. Follows only one that succeeded or
    /// raised #XM.
    fn commit_replay(&mut self) {}
}
