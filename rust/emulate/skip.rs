// SPDX-License-Identifier: GPL-2.0-only

//! Lengths of intercepted instructions.
//!
//! A processor without the next-RIP feature tells which instruction it stopped at but not how long
//! it is. [`skip_len`] answers that for one expected instruction. The bytes come from guest memory,
//! which another vCPU may have changed since, so they are believed only if they really encode the
//! expected instruction; a caller that gets `None` enters the guest again, which executes what is
//! there now.
//!
//! Encodings are those of AMD APM volume 3. A LOCK prefix makes every instruction here undefined
//! (the move to or from CR8 is the exception), thus no intercept is taken for it and it is refused.

use super::{
    modrm::ModRm,
    prefix::{
        Prefixes,
        Repeat,
        REX_B,
        REX_R, //
    },
    AddressSize,
    CodeWidth,
    MAX_INSN_LEN, //
};

/// An instruction that can be intercepted, and that the caller expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "instructions that only VMX makes exit")
)]
pub(crate) enum Skip {
    /// CPUID, 0F A2.
    Cpuid,
    /// RDMSR, 0F 32.
    Rdmsr,
    /// WRMSR, 0F 30.
    Wrmsr,
    /// VMMCALL, 0F 01 D9.
    Vmmcall,
    /// VMCALL, 0F 01 C1.
    Vmcall,
    /// HLT, F4.
    Hlt,
    /// INVD, 0F 08.
    Invd,
    /// WBINVD, 0F 09, and WBNOINVD, F3 0F 09, which has the same intercept.
    Wbinvd,
    /// XSETBV, 0F 01 D1.
    Xsetbv,
    /// RDTSC, 0F 31.
    Rdtsc,
    /// RDTSCP, 0F 01 F9.
    Rdtscp,
    /// RDPMC, 0F 33.
    Rdpmc,
    /// RDPRU, 0F 01 FD.
    Rdpru,
    /// PAUSE, F3 90.
    Pause,
    /// MONITOR, 0F 01 C8.
    Monitor,
    /// MWAIT, 0F 01 C9.
    Mwait,
    /// MONITORX, 0F 01 FA.
    Monitorx,
    /// MWAITX, 0F 01 FB.
    Mwaitx,
    /// VMRUN, 0F 01 D8.
    Vmrun,
    /// VMLOAD, 0F 01 DA.
    Vmload,
    /// VMSAVE, 0F 01 DB.
    Vmsave,
    /// STGI, 0F 01 DC.
    Stgi,
    /// CLGI, 0F 01 DD.
    Clgi,
    /// SKINIT, 0F 01 DE.
    Skinit,
    /// INVLPGA, 0F 01 DF.
    Invlpga,
    /// INVLPGB, 0F 01 FE.
    Invlpgb,
    /// TLBSYNC, 0F 01 FF.
    Tlbsync,
    /// INVLPG with its memory operand, 0F 01 /7.
    Invlpg,
    /// RSM, 0F AA.
    Rsm,
    /// CLTS, 0F 06.
    Clts,
    /// LMSW with a register or memory operand, 0F 01 /6.
    Lmsw,
    /// SMSW with a register or memory operand, 0F 01 /4.
    Smsw,
    /// MOV from a control register, 0F 20.
    MovFromCr,
    /// MOV to a control register, 0F 22.
    MovToCr,
    /// MOV from a debug register, 0F 21.
    MovFromDr,
    /// MOV to a debug register, 0F 23.
    MovToDr,
    /// SGDT, 0F 01 /0 with memory.
    Sgdt,
    /// SIDT, 0F 01 /1 with memory.
    Sidt,
    /// LGDT, 0F 01 /2 with memory.
    Lgdt,
    /// LIDT, 0F 01 /3 with memory.
    Lidt,
    /// SLDT, 0F 00 /0.
    Sldt,
    /// STR, 0F 00 /1.
    Str,
    /// LLDT, 0F 00 /2.
    Lldt,
    /// LTR, 0F 00 /3.
    Ltr,
    /// INT3, CC.
    Int3,
    /// INT1, F1.
    Int1,
    /// INT with a vector, CD.
    IntN,
    /// INTO, CE; does not exist in 64-bit mode.
    Into,
    /// IRET of any operand size, CF.
    Iret,
    /// PUSHF of any operand size, 9C.
    Pushf,
    /// POPF of any operand size, 9D.
    Popf,
    /// IN from a port in an immediate or in DX, E4, E5, EC, ED.
    In,
    /// OUT to a port in an immediate or in DX, E6, E7, EE, EF.
    Out,
    /// INS, 6C, 6D.
    Ins,
    /// OUTS, 6E, 6F.
    Outs,
}

/// What comes before the last opcode byte.
#[derive(Clone, Copy)]
enum Lead {
    /// Nothing.
    None,
    /// The escape 0F.
    Of,
    /// 0F 01, whose next byte is a whole opcode.
    Of01,
}

/// What comes after the last opcode byte.
#[derive(Clone, Copy)]
enum Tail {
    /// Nothing.
    None,
    /// One immediate byte.
    Imm8,
    /// One immediate byte unless bit 3 of the opcode is set.
    Port,
    /// A ModRM byte whose mode bits the processor ignores, for a control register.
    Control,
    /// The same for a debug register.
    Debug,
    /// A ModRM byte with this digit and a memory operand.
    Memory(u8),
    /// A ModRM byte with this digit and any operand.
    Any(u8),
}

/// What a 66, F2 or F3 prefix does.
#[derive(Clone, Copy)]
enum Role {
    /// Nothing that matters here.
    Ignored,
    /// Makes it another instruction, or one that is reserved.
    Refused,
    /// F3 is a part of this instruction.
    NeedF3,
}

/// The encoding of one instruction.
#[derive(Clone, Copy)]
struct Shape {
    lead: Lead,
    opcode: u8,
    /// Bits of the opcode byte that count.
    mask: u8,
    tail: Tail,
    role: Role,
}

impl Shape {
    const fn new(lead: Lead, opcode: u8) -> Self {
        Self {
            lead,
            opcode,
            mask: 0xff,
            tail: Tail::None,
            role: Role::Ignored,
        }
    }
    const fn mask(self, mask: u8) -> Self {
        Self { mask, ..self }
    }
    const fn tail(self, tail: Tail) -> Self {
        Self { tail, ..self }
    }
    const fn role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    /// Returns the length of the instruction at the start of `bytes`, which has no prefixes left,
    /// if it is this one.
    #[inline(always)]
    fn len(self, bytes: &[u8], prefixes: &Prefixes, size: AddressSize) -> Option<u8> {
        let (opcode, after) = match (self.lead, bytes) {
            (Lead::None, [opcode, after @ ..])
            | (Lead::Of, [0x0f, opcode, after @ ..])
            | (Lead::Of01, [0x0f, 0x01, opcode, after @ ..]) => (*opcode, after),
            _ => return None,
        };
        if opcode & self.mask != self.opcode {
            return None;
        }
        let head = match self.lead {
            Lead::None => 1,
            Lead::Of => 2,
            Lead::Of01 => 3,
        };
        let tail = match self.tail {
            Tail::None => 0,
            Tail::Port if opcode & 8 != 0 => 0,
            Tail::Imm8 | Tail::Port => 1,
            Tail::Control => {
                control_number(ModRm(*after.first()?), prefixes)?;
                1
            }
            Tail::Debug => {
                debug_number(ModRm(*after.first()?), prefixes)?;
                1
            }
            Tail::Memory(digit) | Tail::Any(digit) => {
                let modrm = ModRm(*after.first()?);
                let register_fits = matches!(self.tail, Tail::Any(_));
                if modrm.reg() != digit || (modrm.is_register() && !register_fits) {
                    return None;
                }
                modrm
                    .address_len(after.get(1).copied(), size)?
                    .saturating_add(1)
            }
        };
        if after.len() < usize::from(tail) {
            return None;
        }
        Some(tail.saturating_add(head))
    }
}

impl Skip {
    /// Returns the encoding.
    #[inline(always)]
    const fn shape(self) -> Shape {
        use Lead::{Of, Of01};
        match self {
            Skip::Cpuid => Shape::new(Of, 0xa2),
            Skip::Rdmsr => Shape::new(Of, 0x32),
            Skip::Wrmsr => Shape::new(Of, 0x30),
            Skip::Vmmcall => Shape::new(Of01, 0xd9),
            Skip::Vmcall => Shape::new(Of01, 0xc1).role(Role::Refused),
            Skip::Hlt => Shape::new(Lead::None, 0xf4),
            Skip::Invd => Shape::new(Of, 0x08),
            Skip::Wbinvd => Shape::new(Of, 0x09),
            Skip::Xsetbv => Shape::new(Of01, 0xd1).role(Role::Refused),
            Skip::Rdtsc => Shape::new(Of, 0x31),
            Skip::Rdtscp => Shape::new(Of01, 0xf9),
            Skip::Rdpmc => Shape::new(Of, 0x33),
            Skip::Rdpru => Shape::new(Of01, 0xfd).role(Role::Refused),
            Skip::Pause => Shape::new(Lead::None, 0x90).role(Role::NeedF3),
            Skip::Monitor => Shape::new(Of01, 0xc8).role(Role::Refused),
            Skip::Mwait => Shape::new(Of01, 0xc9).role(Role::Refused),
            // With F3 it is MCOMMIT.
            Skip::Monitorx => Shape::new(Of01, 0xfa).role(Role::Refused),
            Skip::Mwaitx => Shape::new(Of01, 0xfb).role(Role::Refused),
            Skip::Vmrun => Shape::new(Of01, 0xd8),
            Skip::Vmload => Shape::new(Of01, 0xda),
            Skip::Vmsave => Shape::new(Of01, 0xdb),
            Skip::Stgi => Shape::new(Of01, 0xdc),
            Skip::Clgi => Shape::new(Of01, 0xdd),
            Skip::Skinit => Shape::new(Of01, 0xde),
            Skip::Invlpga => Shape::new(Of01, 0xdf),
            // With a prefix these are RMPUPDATE, RMPADJUST, PVALIDATE and PSMASH.
            Skip::Invlpgb => Shape::new(Of01, 0xfe).role(Role::Refused),
            Skip::Tlbsync => Shape::new(Of01, 0xff).role(Role::Refused),
            Skip::Invlpg => Shape::new(Of, 0x01).tail(Tail::Memory(7)),
            Skip::Rsm => Shape::new(Of, 0xaa),
            Skip::Clts => Shape::new(Of, 0x06),
            // With F3 and a memory operand the neighbours of this group are shadow-stack
            // instructions (/5); /4 and /6 have one meaning.
            Skip::Lmsw => Shape::new(Of, 0x01).tail(Tail::Any(6)),
            Skip::Smsw => Shape::new(Of, 0x01).tail(Tail::Any(4)),
            Skip::MovFromCr => Shape::new(Of, 0x20).tail(Tail::Control),
            Skip::MovToCr => Shape::new(Of, 0x22).tail(Tail::Control),
            Skip::MovFromDr => Shape::new(Of, 0x21).tail(Tail::Debug),
            Skip::MovToDr => Shape::new(Of, 0x23).tail(Tail::Debug),
            Skip::Sgdt => Shape::new(Of, 0x01).tail(Tail::Memory(0)),
            Skip::Sidt => Shape::new(Of, 0x01).tail(Tail::Memory(1)),
            Skip::Lgdt => Shape::new(Of, 0x01).tail(Tail::Memory(2)),
            Skip::Lidt => Shape::new(Of, 0x01).tail(Tail::Memory(3)),
            Skip::Sldt => Shape::new(Of, 0x00).tail(Tail::Any(0)),
            Skip::Str => Shape::new(Of, 0x00).tail(Tail::Any(1)),
            Skip::Lldt => Shape::new(Of, 0x00).tail(Tail::Any(2)),
            Skip::Ltr => Shape::new(Of, 0x00).tail(Tail::Any(3)),
            Skip::Int3 => Shape::new(Lead::None, 0xcc),
            Skip::Int1 => Shape::new(Lead::None, 0xf1),
            Skip::IntN => Shape::new(Lead::None, 0xcd).tail(Tail::Imm8),
            Skip::Into => Shape::new(Lead::None, 0xce),
            Skip::Iret => Shape::new(Lead::None, 0xcf),
            Skip::Pushf => Shape::new(Lead::None, 0x9c),
            Skip::Popf => Shape::new(Lead::None, 0x9d),
            Skip::In => Shape::new(Lead::None, 0xe4).mask(0xf6).tail(Tail::Port),
            Skip::Out => Shape::new(Lead::None, 0xe6).mask(0xf6).tail(Tail::Port),
            Skip::Ins => Shape::new(Lead::None, 0x6c).mask(0xfe),
            Skip::Outs => Shape::new(Lead::None, 0x6e).mask(0xfe),
        }
    }
}

/// Returns the length in bytes of the instruction `expected` at the start of `bytes`.
///
/// `bytes` is what could be read at the guest's instruction pointer: up to 15 bytes, fewer where a
/// page ends. Returns `None` if the bytes encode another instruction, none, or are cut off.
///
/// Inlined so that with a constant `expected` the encoding without prefixes, which is nearly always
/// there, costs one or two comparisons.
#[inline(always)]
pub(crate) fn skip_len(bytes: &[u8], width: CodeWidth, expected: Skip) -> Option<u8> {
    let shape = expected.shape();
    if let Role::NeedF3 = shape.role {
        // PAUSE is the only one, and F3 90 how everybody writes it.
        if matches!(bytes, [0xf3, 0x90, ..]) {
            return Some(2);
        }
    } else if !matches!((expected, width), (Skip::Into, CodeWidth::Bits64)) {
        let size = Prefixes::NONE.effective_address_size(width);
        if let Some(len) = shape.len(bytes, &Prefixes::NONE, size) {
            return Some(len);
        }
    }
    skip_prefixed(bytes, width, expected)
}

/// Returns the length in bytes of the instruction `expected`, if it is what `head` begins with in 64-bit code and has
/// neither prefixes nor operands. `None` says nothing: [`skip_len`] knows.
///
/// `head` is the first four bytes, the first in the lowest. With a constant `expected` it is one comparison.
#[inline(always)]
pub(crate) fn plain_len_64(head: u32, expected: Skip) -> Option<u8> {
    let shape = expected.shape();
    let plain = shape.mask == 0xff
        && matches!(shape.tail, Tail::None)
        && matches!(shape.role, Role::Ignored | Role::Refused)
        && !matches!(expected, Skip::Into);
    let opcode = u32::from(shape.opcode);
    let (mask, bits, len) = match shape.lead {
        Lead::None => (0xff, opcode, 1),
        Lead::Of => (0xffff, opcode << 8 | 0x0f, 2),
        Lead::Of01 => (0x00ff_ffff, opcode << 16 | 0x010f, 3),
    };
    (plain && head & mask == bits).then_some(len)
}

/// The part of [`skip_len`] for instructions that begin with prefixes.
#[cold]
#[inline(never)]
fn skip_prefixed(bytes: &[u8], width: CodeWidth, expected: Skip) -> Option<u8> {
    let prefixes = Prefixes::scan(bytes, width);
    let shape = expected.shape();
    match (shape.role, prefixes.repeat) {
        (Role::Refused, Repeat::F2 | Repeat::F3) => return None,
        (Role::Refused, _) if prefixes.operand_size => return None,
        (Role::NeedF3, Repeat::None | Repeat::F2) => return None,
        // 90 with REX.B is XCHG with R8, whatever comes before.
        (Role::NeedF3, Repeat::F3) if prefixes.rex & REX_B != 0 => return None,
        _ => {}
    }
    if prefixes.lock && !matches!(shape.tail, Tail::Control) {
        return None;
    }
    if matches!((expected, width), (Skip::Into, CodeWidth::Bits64)) {
        return None;
    }
    let rest = bytes.get(usize::from(prefixes.len)..)?;
    let size = prefixes.effective_address_size(width);
    let len = shape
        .len(rest, &prefixes, size)?
        .checked_add(prefixes.len)?;
    (usize::from(len) <= MAX_INSN_LEN).then_some(len)
}

/// The number of the control register in `modrm`, if there is such a register.
///
/// LOCK stands in for REX.R (CPUID feature AltMovCr8); both at once mean no register.
#[inline(always)]
fn control_number(modrm: ModRm, prefixes: &Prefixes) -> Option<u8> {
    let high = match (prefixes.rex & REX_R != 0, prefixes.lock) {
        (true, true) => return None,
        (rex, lock) => rex || lock,
    };
    match (modrm.reg(), high) {
        (number @ (0 | 2 | 3 | 4), false) => Some(number),
        (0, true) => Some(8),
        _ => None,
    }
}

/// The number of the debug register in `modrm`, if there is such a register.
#[inline(always)]
fn debug_number(modrm: ModRm, prefixes: &Prefixes) -> Option<u8> {
    (prefixes.rex & REX_R == 0 && !prefixes.lock).then_some(modrm.reg())
}

/// The special register of a [`ControlMove`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Special {
    /// A control register: 0, 2, 3, 4 or 8.
    Control(u8),
    /// A debug register: 0 to 7. 4 and 5 are other names for 6 and 7 while CR4.DE is clear, else
    /// undefined; the processor has checked this before it intercepts.
    Debug(u8),
}

/// A MOV between a general register and a control or debug register.
///
/// The operand is 64 bits wide in 64-bit mode and 32 bits elsewhere; no prefix changes that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ControlMove {
    /// The control or debug register.
    pub(crate) special: Special,
    /// The general register: 0 to 7, or 0 to 15 in 64-bit mode, as encoded (0 RAX, 1 RCX, 4 RSP).
    pub(crate) gpr: u8,
    /// Whether the special register is written.
    pub(crate) to_special: bool,
    /// Bytes of the whole instruction.
    pub(crate) len: u8,
}

/// Decodes a MOV to or from a control or debug register at the start of `bytes`.
///
/// For processors without decode assists. Returns `None` for any other instruction, and for
/// registers that do not exist, which raise #UD and are never intercepted.
pub(crate) fn mov_cr_operand(bytes: &[u8], width: CodeWidth) -> Option<ControlMove> {
    let prefixes = Prefixes::scan(bytes, width);
    let &[0x0f, opcode, modrm, ..] = bytes.get(usize::from(prefixes.len)..)? else {
        return None;
    };
    let len = prefixes.len.checked_add(3)?;
    if usize::from(len) > MAX_INSN_LEN {
        return None;
    }
    let modrm = ModRm(modrm);
    let special = match opcode {
        0x20 | 0x22 => Special::Control(control_number(modrm, &prefixes)?),
        0x21 | 0x23 => Special::Debug(debug_number(modrm, &prefixes)?),
        _ => return None,
    };
    let high = if prefixes.rex & REX_B != 0 { 8 } else { 0 };
    Some(ControlMove {
        special,
        gpr: modrm.rm() | high,
        to_special: opcode & 2 != 0,
        len,
    })
}

#[cfg(test)]
mod tests;
