// SPDX-License-Identifier: GPL-2.0-only

//! Takes an instruction apart.
//!
//! [`decode`] knows the layout, and so the length, of every instruction in the one-byte, 0F, 0F 38
//! and 0F 3A maps and of those in VEX, EVEX and XOP encodings, whether or not anything here can
//! execute it. It does not judge whether the operands make sense for the opcode; that is part of
//! what an instruction means.
//!
//! Source: AMD APM volume 3, chapter 1 "Instruction Encoding".

use super::{
    address::{
        Address,
        Base,
        Index, //
    },
    modrm::ModRm,
    opcodes::{
        Attributes,
        HasModRm,
        Immediate,
        AFTER_0F38,
        AFTER_0F3A,
        ONE_BYTE,
        TWO_BYTE, //
    },
    ops::Gpr,
    prefix::{
        Prefixes,
        Repeat,
        Segment,
        REX_B,
        REX_R,
        REX_W,
        REX_X, //
    },
    vex::{
        self,
        Encoding,
        Vector, //
    },
    width::Width,
    AddressSize,
    CodeWidth,
    Vendor,
    MAX_INSN_LEN, //
};

/// Why bytes could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The instruction goes on after the end of the bytes.
    Truncated,
    /// The instruction is longer than 15 bytes: #GP.
    TooLong,
    /// There is no such instruction: #UD.
    Undefined,
}

/// The table that an opcode byte is looked up in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Map {
    /// Opcodes of one byte.
    One,
    /// Opcodes after 0F.
    Of,
    /// Opcodes after 0F 38.
    Of38,
    /// Opcodes after 0F 3A.
    Of3a,
    /// EVEX only: map 5.
    Five,
    /// EVEX only: map 6.
    Six,
    /// XOP only: map 8.
    Eight,
    /// XOP only: map 9.
    Nine,
    /// XOP only: map 10.
    Ten,
}

/// The operand that may be a register or memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rm {
    /// The instruction has none.
    None,
    /// The register of this number; which file it is in depends on the opcode.
    Register(Gpr),
    /// Memory.
    Memory(Address),
}

/// An instruction taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// What stood before the opcode. A VEX, EVEX or XOP encoding is as good as the prefixes that it
    /// stands for.
    pub(crate) prefixes: Prefixes,
    /// What a VEX, EVEX or XOP encoding says beyond that.
    pub(crate) vector: Vector,
    /// Which map the opcode is in.
    pub(crate) map: Map,
    /// The last opcode byte.
    pub(crate) opcode: u8,
    /// The ModRM byte, 0 if there is none.
    pub(crate) modrm: ModRm,
    /// The operand that ModRM.rm, or the address in the instruction, stands for.
    pub(crate) rm: Rm,
    /// Operand size by mode, 66 and REX.W; never a byte.
    pub(crate) operand_size: Width,
    /// Address size by mode and 67.
    pub(crate) address_size: AddressSize,
    /// The constant, sign-extended where the instruction extends it. 0 if there is none.
    pub(crate) immediate: u64,
    /// The second constant: a far pointer's selector, ENTER's level, INSERTQ's position.
    pub(crate) immediate2: u16,
    /// Bytes of the whole instruction.
    pub(crate) len: u8,
}

impl Decoded {
    /// Returns ModRM.reg as a part of the opcode, 0 to 7.
    pub(crate) const fn digit(&self) -> u8 {
        self.modrm.reg()
    }

    /// Returns the register in ModRM.reg.
    pub(crate) const fn reg(&self) -> Gpr {
        extend(self.modrm.reg(), self.prefixes.rex & REX_R != 0)
    }

    /// Returns the register in the low bits of the opcode.
    pub(crate) const fn opcode_reg(&self) -> Gpr {
        extend(self.opcode & 7, self.prefixes.rex & REX_B != 0)
    }

    /// Returns the operand size of an opcode whose lowest bit tells a byte from a wider operand.
    pub(crate) const fn byte_or_operand_size(&self) -> Width {
        if self.opcode & 1 == 0 {
            Width::Byte
        } else {
            self.operand_size
        }
    }

    /// Whether the opcode has legacy prefixes and escapes.
    pub(crate) fn is_legacy(&self) -> bool {
        self.vector.encoding == Encoding::Legacy
    }

    /// Returns the operand size of near branches in code of width `code`: as on the stack, but
    /// Intel's processors ignore 66 in 64-bit mode.
    pub(crate) const fn branch_operand_size(&self, code: CodeWidth, vendor: Vendor) -> Width {
        match (code, vendor) {
            (CodeWidth::Bits64, Vendor::Intel) => Width::Qword,
            _ => self.stack_operand_size(code),
        }
    }

    /// Returns the operand size of instructions that work on the stack in code of width `code`: in
    /// 64-bit mode 8 bytes, or 2 after 66.
    pub(crate) const fn stack_operand_size(&self, code: CodeWidth) -> Width {
        match (code, self.operand_size) {
            (CodeWidth::Bits64, Width::Dword) => Width::Qword,
            (_, size) => size,
        }
    }
}

/// Makes a register number out of three bits and a REX bit.
const fn extend(low: u8, high: bool) -> Gpr {
    Gpr::new(if high { low | 8 } else { low })
}

/// Reads instruction bytes one after the other.
pub(super) struct Cursor<'a> {
    /// All bytes, at most 15.
    bytes: &'a [u8],
    /// How many have been read.
    at: u8,
}

impl Cursor<'_> {
    /// The next byte, without reading it.
    pub(super) fn peek(&self) -> Result<u8, Refusal> {
        match self.bytes.get(usize::from(self.at)) {
            Some(&byte) => Ok(byte),
            None if self.bytes.len() >= MAX_INSN_LEN => Err(Refusal::TooLong),
            None => Err(Refusal::Truncated),
        }
    }

    /// Reads one byte.
    pub(super) fn byte(&mut self) -> Result<u8, Refusal> {
        let byte = self.peek()?;
        self.at = self.at.saturating_add(1);
        Ok(byte)
    }

    /// Reads a little-endian number of `width`.
    fn number(&mut self, width: Width) -> Result<u64, Refusal> {
        let mut value = 0;
        for n in 0..width.bits() / 8 {
            value |= u64::from(self.byte()?) << (8 * n);
        }
        Ok(value)
    }

    /// Reads a little-endian number of `width` and extends its sign.
    fn signed(&mut self, width: Width) -> Result<u64, Refusal> {
        Ok(width.sign_extend(self.number(width)?))
    }
}

/// Decodes the instruction at the start of `bytes`.
///
/// `bytes` is what could be read at the instruction pointer; bytes beyond the 15th are not looked
/// at. Everything after the end of the instruction is ignored.
pub(crate) fn decode(bytes: &[u8], code: CodeWidth, vendor: Vendor) -> Result<Decoded, Refusal> {
    let mut prefixes = Prefixes::scan(bytes, code);
    let mut cursor = Cursor {
        bytes: bytes.get(..MAX_INSN_LEN).unwrap_or(bytes),
        at: prefixes.len,
    };
    let address_size = prefixes.effective_address_size(code);
    let (map, opcode, attributes, vector) = opcode(&mut cursor, &mut prefixes, code)?;
    if attributes.undefined || (attributes.legacy && code == CodeWidth::Bits64) {
        return Err(Refusal::Undefined);
    }
    // In the encodings that replace prefixes 66 is a part of the opcode.
    let toggled = prefixes.operand_size && vector.encoding == Encoding::Legacy;
    let operand_size = match (code, toggled) {
        (CodeWidth::Bits64, _) if prefixes.rex & REX_W != 0 => Width::Qword,
        (CodeWidth::Bits16, false) | (CodeWidth::Bits32 | CodeWidth::Bits64, true) => Width::Word,
        (CodeWidth::Bits16, true) | (CodeWidth::Bits32 | CodeWidth::Bits64, false) => Width::Dword,
    };
    let operand_size = match vector.encoding {
        // They never have 16-bit operands.
        Encoding::Legacy => operand_size,
        _ if operand_size == Width::Qword => Width::Qword,
        _ => Width::Dword,
    };

    let mut insn = Decoded {
        prefixes,
        vector,
        map,
        opcode,
        modrm: ModRm(0),
        rm: Rm::None,
        operand_size,
        address_size,
        immediate: 0,
        immediate2: 0,
        len: 0,
    };
    if attributes.modrm != HasModRm::No {
        insn.modrm = ModRm(cursor.byte()?);
        insn.rm = if attributes.modrm == HasModRm::Registers || insn.modrm.is_register() {
            Rm::Register(extend(insn.modrm.rm(), prefixes.rex & REX_B != 0))
        } else {
            Rm::Memory(address(&mut cursor, &insn, code)?)
        };
    }
    immediate(&mut cursor, &mut insn, attributes.immediate, code, vendor)?;
    insn.len = cursor.at;
    Ok(insn)
}

/// Reads the escape bytes and the opcode.
fn opcode(
    cursor: &mut Cursor<'_>,
    prefixes: &mut Prefixes,
    code: CodeWidth,
) -> Result<(Map, u8, Attributes, Vector), Refusal> {
    let first = cursor.byte()?;
    if first != 0x0f {
        if vex::encoding(first, cursor.peek(), code) != Encoding::Legacy {
            return vex::read(cursor, prefixes, first, code);
        }
        return Ok((Map::One, first, look_up(&ONE_BYTE, first)?, Vector::NONE));
    }
    let (map, opcode, attributes) = match cursor.byte()? {
        0x38 => (Map::Of38, cursor.byte()?, AFTER_0F38),
        0x3a => (Map::Of3a, cursor.byte()?, AFTER_0F3A),
        second => (Map::Of, second, look_up(&TWO_BYTE, second)?),
    };
    Ok((map, opcode, attributes, Vector::NONE))
}

/// Finds the attributes of an opcode. Never fails, as a table has 256 entries.
fn look_up(table: &[Attributes; 256], opcode: u8) -> Result<Attributes, Refusal> {
    match table.get(usize::from(opcode)) {
        Some(&attributes) => Ok(attributes),
        None => Err(Refusal::Undefined),
    }
}

/// Reads SIB and displacement and makes the formula of the memory operand.
fn address(cursor: &mut Cursor<'_>, insn: &Decoded, code: CodeWidth) -> Result<Address, Refusal> {
    let (modrm, size) = (insn.modrm, insn.address_size);
    let (base, index, sib) = if size == AddressSize::Bits16 {
        let (base, index) = pair16(modrm);
        (base, index, 0)
    } else if modrm.has_sib(size) {
        let sib = cursor.byte()?;
        let (base, index) = scaled(modrm, sib, insn.prefixes.rex);
        (base, index, sib)
    } else if modrm.mode() == 0 && modrm.rm() == 5 {
        let base = if code == CodeWidth::Bits64 {
            Base::NextInsn
        } else {
            Base::None
        };
        (base, None, 0)
    } else {
        let base = extend(modrm.rm(), insn.prefixes.rex & REX_B != 0);
        (Base::Register(base), None, 0)
    };
    let displacement = match modrm.displacement_len(sib, size) {
        1 => cursor.signed(Width::Byte)?,
        2 => cursor.signed(Width::Word)?,
        4 => cursor.signed(Width::Dword)?,
        _ => 0,
    };
    let default = match base {
        Base::Register(Gpr::RSP | Gpr::RBP) => Segment::Ss,
        _ => Segment::Ds,
    };
    Ok(Address {
        segment: insn.prefixes.segment.unwrap_or(default),
        base,
        index,
        displacement,
        size,
    })
}

/// Base and index of a 16-bit address.
fn pair16(modrm: ModRm) -> (Base, Option<Index>) {
    let (base, index) = match modrm.rm() {
        0 => (Gpr::RBX, Some(Gpr::RSI)),
        1 => (Gpr::RBX, Some(Gpr::RDI)),
        2 => (Gpr::RBP, Some(Gpr::RSI)),
        3 => (Gpr::RBP, Some(Gpr::RDI)),
        4 => (Gpr::RSI, None),
        5 => (Gpr::RDI, None),
        6 if modrm.mode() == 0 => return (Base::None, None),
        6 => (Gpr::RBP, None),
        _ => (Gpr::RBX, None),
    };
    let index = index.map(|register| Index { register, shift: 0 });
    (Base::Register(base), index)
}

/// Base and index that a SIB byte names.
fn scaled(modrm: ModRm, sib: u8, rex: u8) -> (Base, Option<Index>) {
    let base = if modrm.mode() == 0 && sib & 7 == 5 {
        Base::None
    } else {
        Base::Register(extend(sib & 7, rex & REX_B != 0))
    };
    let index = match extend((sib >> 3) & 7, rex & REX_X != 0) {
        Gpr::RSP => None,
        register => Some(Index {
            register,
            shift: sib >> 6,
        }),
    };
    (base, index)
}

/// Reads the constants at the end of the instruction into `insn`.
fn immediate(
    cursor: &mut Cursor<'_>,
    insn: &mut Decoded,
    kind: Immediate,
    code: CodeWidth,
    vendor: Vendor,
) -> Result<(), Refusal> {
    // A constant never has more than 4 bytes, except where an instruction is made for it.
    let short = match insn.operand_size {
        Width::Word => Width::Word,
        _ => Width::Dword,
    };
    let has_test = insn.digit() < 2;
    match kind {
        Immediate::None => {}
        Immediate::Byte => insn.immediate = cursor.signed(Width::Byte)?,
        Immediate::GroupByte if has_test => insn.immediate = cursor.signed(Width::Byte)?,
        Immediate::Operand => insn.immediate = cursor.signed(short)?,
        Immediate::GroupOperand if has_test => insn.immediate = cursor.signed(short)?,
        Immediate::GroupByte | Immediate::GroupOperand => {}
        Immediate::Word => insn.immediate = cursor.number(Width::Word)?,
        Immediate::Dword => insn.immediate = cursor.number(Width::Dword)?,
        Immediate::Full => insn.immediate = cursor.number(insn.operand_size)?,
        Immediate::Near => {
            let width = match (code, vendor) {
                (CodeWidth::Bits64, Vendor::Intel) => Width::Dword,
                _ => short,
            };
            insn.immediate = cursor.signed(width)?;
        }
        Immediate::Far => {
            insn.immediate = cursor.number(short)?;
            // CAST: two bytes were read.
            insn.immediate2 = cursor.number(Width::Word)? as u16;
        }
        Immediate::Enter => {
            insn.immediate = cursor.number(Width::Word)?;
            insn.immediate2 = u16::from(cursor.byte()?);
        }
        Immediate::Offset => {
            insn.rm = Rm::Memory(Address {
                segment: insn.prefixes.segment.unwrap_or(Segment::Ds),
                base: Base::None,
                index: None,
                displacement: cursor.number(insn.address_size.into())?,
                size: insn.address_size,
            });
        }
        Immediate::Extract => {
            let two = match insn.prefixes.repeat {
                Repeat::F2 => true,
                Repeat::F3 => false,
                Repeat::None => insn.prefixes.operand_size,
            };
            if two {
                insn.immediate = u64::from(cursor.byte()?);
                insn.immediate2 = u16::from(cursor.byte()?);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
