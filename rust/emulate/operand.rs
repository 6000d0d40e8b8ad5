// SPDX-License-Identifier: GPL-2.0-only

//! Integer operands: registers of all widths, and memory.

use super::{
    decode::{
        Decoded,
        Rm, //
    },
    ops::{
        exchange_integer,
        read_integer,
        write_integer,
        Access,
        Exception,
        Fault,
        Gpr,
        Ops,
        Result, //
    },
    segment::{
        self,
        Range, //
    },
    width::Width,
    CodeWidth, //
};

/// The instruction that is being executed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    /// The instruction.
    pub(crate) insn: Decoded,
    /// The mode that it was decoded for.
    pub(crate) code: CodeWidth,
}

impl Context {
    /// Returns the offset of the instruction that follows.
    pub(crate) fn next_rip<O: Ops>(&self, ops: &O) -> u64 {
        ops.rip().wrapping_add(u64::from(self.insn.len))
    }

    /// Returns the general register `number` as an operand of `width`.
    pub(crate) fn register(&self, number: Gpr, width: Width) -> Register {
        // Without REX the byte registers 4 to 7 are AH, CH, DH and BH.
        let high = width == Width::Byte && self.insn.prefixes.rex == 0 && number.number() >= 4;
        Register {
            gpr: if high {
                Gpr::new(number.number() & 3)
            } else {
                number
            },
            high,
            width,
        }
    }

    /// Returns the register in ModRM.reg as an operand of `width`.
    pub(crate) fn reg(&self, width: Width) -> Register {
        self.register(self.insn.reg(), width)
    }

    /// Makes an operand of what ModRM.rm, or the address in the instruction, stands for, and
    /// translates it if it is memory.
    ///
    /// # Errors
    ///
    /// Whatever keeps the guest from this `access`.
    pub(crate) fn rm<O: Ops>(
        &self,
        ops: &mut O,
        width: Width,
        access: Access,
    ) -> Result<Operand<O::Place>> {
        self.rm_displaced(ops, width, access, 0)
    }

    /// As [`rm`](Self::rm), for an operand that must be memory.
    ///
    /// # Errors
    ///
    /// #UD for a register.
    pub(crate) fn memory<O: Ops>(
        &self,
        ops: &mut O,
        width: Width,
        access: Access,
    ) -> Result<Operand<O::Place>> {
        match self.insn.rm {
            Rm::Memory(_) => self.rm(ops, width, access),
            _ => Err(Exception::UNDEFINED.into()),
        }
    }

    /// Translates a memory operand of `len` bytes, not 0, that are aligned to `align`, or else may be
    /// #AC.
    ///
    /// # Errors
    ///
    /// #UD for a register.
    pub(crate) fn memory_bytes<O: Ops>(
        &self,
        ops: &mut O,
        len: usize,
        align: usize,
        access: Access,
    ) -> Result<O::Place> {
        let range = self.memory_range(ops, len, align)?;
        segment::translate(ops, self.code, &range, access)
    }

    /// As [`memory_bytes`](Self::memory_bytes), for an operand that must be aligned to its length.
    ///
    /// # Errors
    ///
    /// #GP if it is not.
    pub(crate) fn memory_aligned<O: Ops>(
        &self,
        ops: &mut O,
        len: usize,
        access: Access,
    ) -> Result<O::Place> {
        let range = self.memory_range(ops, len, 1)?;
        segment::translate_aligned(ops, self.code, &range, access)
    }

    /// Where a memory operand of `len` bytes is.
    ///
    /// # Errors
    ///
    /// #UD for a register.
    pub(crate) fn memory_range<O: Ops>(
        &self,
        ops: &mut O,
        len: usize,
        align: usize,
    ) -> Result<Range> {
        let Rm::Memory(address) = self.insn.rm else {
            return Err(Exception::UNDEFINED.into());
        };
        Ok(Range {
            segment: address.segment,
            offset: address.offset(ops, self.next_rip(ops), 0),
            len,
            align,
        })
    }

    /// As [`rm`](Self::rm), with `extra` bytes added to a memory operand's address.
    pub(crate) fn rm_displaced<O: Ops>(
        &self,
        ops: &mut O,
        width: Width,
        access: Access,
        extra: u64,
    ) -> Result<Operand<O::Place>> {
        match self.insn.rm {
            Rm::None => Err(Fault::Unhandleable),
            Rm::Register(number) => Ok(Operand::Register(self.register(number, width))),
            Rm::Memory(address) => {
                let offset = address.offset(ops, self.next_rip(ops), extra);
                let range = Range::number(address.segment, offset, width.bytes());
                let place = segment::translate(ops, self.code, &range, access)?;
                Ok(Operand::Memory(place, width))
            }
        }
    }
}

/// A general register, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Register {
    gpr: Gpr,
    /// Bits 8 to 15 instead of 0 to 7.
    high: bool,
    width: Width,
}

impl Register {
    /// Names the lower part of a register.
    pub(crate) const fn low(gpr: Gpr, width: Width) -> Self {
        Self {
            gpr,
            high: false,
            width,
        }
    }

    /// Names bits 8 to 15 of a register.
    pub(crate) const fn high(gpr: Gpr) -> Self {
        Self {
            gpr,
            high: true,
            width: Width::Byte,
        }
    }

    /// Reads the register, zero-extended.
    pub(crate) fn get<O: Ops>(self, ops: &O) -> u64 {
        let value = ops.gpr(self.gpr);
        self.width
            .truncate(if self.high { value >> 8 } else { value })
    }

    /// Writes the register. A write of 32 bits clears the upper half, smaller ones leave the rest.
    pub(crate) fn set<O: Ops>(self, ops: &mut O, value: u64) {
        let value = self.width.truncate(value);
        let merged = match self.width {
            Width::Qword | Width::Dword => value,
            Width::Word => (ops.gpr(self.gpr) & !0xffff) | value,
            Width::Byte if self.high => (ops.gpr(self.gpr) & !0xff00) | (value << 8),
            Width::Byte => (ops.gpr(self.gpr) & !0xff) | value,
        };
        ops.set_gpr(self.gpr, merged);
    }
}

/// An operand that can be accessed.
pub(crate) enum Operand<P> {
    /// A register.
    Register(Register),
    /// Memory that has been translated, and its width.
    Memory(P, Width),
}

impl<P> Operand<P> {
    /// Whether it is memory.
    pub(crate) const fn is_memory(&self) -> bool {
        matches!(self, Operand::Memory(..))
    }

    /// Reads the operand, zero-extended.
    pub(crate) fn get<O: Ops<Place = P>>(&self, ops: &mut O) -> Result<u64> {
        match self {
            Operand::Register(register) => Ok(register.get(ops)),
            Operand::Memory(place, width) => read_integer(ops, place, *width),
        }
    }

    /// Writes the operand.
    pub(crate) fn set<O: Ops<Place = P>>(&self, ops: &mut O, value: u64) -> Result {
        match self {
            Operand::Register(register) => {
                register.set(ops, value);
                Ok(())
            }
            Operand::Memory(place, width) => write_integer(ops, place, *width, value),
        }
    }

    /// Writes the operand, from which `old` was read; in one step with that read if `locked`.
    pub(crate) fn replace<O: Ops<Place = P>>(
        &self,
        ops: &mut O,
        old: u64,
        new: u64,
        locked: bool,
    ) -> Result {
        match self {
            Operand::Memory(place, width) if locked => {
                exchange_integer(ops, place, *width, old, new)
            }
            _ => self.set(ops, new),
        }
    }
}
