// SPDX-License-Identifier: GPL-2.0-only

//! Instructions that the processor executes in the guest's place; see
//! [`Replay`].

use super::shape::{
    shape,
    Alignment,
    General,
    Shape, //
};
use crate::emulate::{
    decode::{
        Decoded,
        Map,
        Rm, //
    },
    flags::{
        self,
        STATUS, //
    },
    fpu_state,
    operand::Context,
    ops::{
        Access,
        Buffer,
        Exception,
        Fault,
        Gpr,
        Ops,
        Replay,
        Result,
        BUFFER_LEN, //
    },
    prefix::{
        Repeat,
        REX_B,
        REX_R,
        REX_W,
        REX_X, //
    },
    CodeWidth,
    Vendor,
    MAX_INSN_LEN, //
};

/// RBX, through which the memory operand is reached.
const POINTER: u8 = 3;
/// RCX, in whose place another general register is named.
const STAND_IN: u8 = 1;
/// MXCSR.MM: unaligned operands are allowed.
const MXCSR_MM: u32 = 1 << 17;

/// Bytes that are put together.
struct Code {
    bytes: [u8; MAX_INSN_LEN],
    len: u8,
}

impl Code {
    const fn new() -> Self {
        Self {
            bytes: [0; MAX_INSN_LEN],
            len: 0,
        }
    }

    /// Adds a byte. There is always room: nothing here has more than 9.
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(usize::from(self.len)) {
            *place = byte;
            self.len = self.len.saturating_add(1);
        }
    }
}

/// Replays an x87, MMX or vector instruction whose shape is known.
///
/// # Errors
///
/// [`Fault::Unhandleable`] if it is not.
pub(crate) fn replay<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let shape = shape(&cx.insn).ok_or(Fault::Unhandleable)?;
    fpu_state::check(ops, shape.unit)?;
    let long = cx.code == CodeWidth::Bits64;
    let len = shape.size.bytes(&cx.insn, long);
    check_register(ops, cx, &shape)?;
    let code = rewrite(cx, &shape, cx.insn.vector.register & 15);
    let place = match cx.insn.rm {
        Rm::Memory(_) if len == 0 => return Err(Fault::Unhandleable),
        Rm::Memory(_) => {
            let place = translate(ops, cx, &shape, len);
            Some(place.map_err(|fault| earlier(ops, &code, fault))?)
        }
        _ => None,
    };
    let general = match shape.general {
        General::No => None,
        General::Implied => Some(Gpr::RCX),
        General::RegWritten => Some(cx.insn.reg()),
        General::RmRead | General::RmWritten => match cx.insn.rm {
            Rm::Register(number) => Some(number),
            _ => None,
        },
    };
    let written = match shape.general {
        General::RmRead => None,
        _ => general,
    };
    run(ops, cx, &code, place, len, shape.access, general, written)
}

/// Translates the memory operand, and makes sure that it is aligned if it has to be.
pub(super) fn translate<O: Ops>(
    ops: &mut O,
    cx: &Context,
    shape: &Shape,
    len: usize,
) -> Result<O::Place> {
    let aligned = match shape.alignment {
        Alignment::Free => false,
        Alignment::Always => true,
        Alignment::Legacy => cx.insn.is_legacy() && !allows_misaligned(ops),
        Alignment::Intel => ops.vendor() == Vendor::Intel,
    };
    // What #AC is about is the alignment of 16 bytes also where there are more. Intel's processors may raise it for
    // vectors or not, says their manual; they do not (seen), but for numbers.
    let align = match ops.vendor() {
        Vendor::Intel if len > 8 => 1,
        _ => len.min(16),
    };
    match aligned {
        true => cx.memory_aligned(ops, len, shape.access),
        false => cx.memory_bytes(ops, len, align, shape.access),
    }
}

/// Whether MXCSR allows unaligned operands.
fn allows_misaligned<O: Ops>(ops: &O) -> bool {
    ops.vendor() == Vendor::Amd && ops.mxcsr().is_ok_and(|mxcsr| mxcsr & MXCSR_MM != 0)
}

impl Replayed {
    /// The instruction with empty operands.
    fn blank(&self) -> Replay {
        Replay {
            code: self.0.bytes,
            len: self.0.len,
            rax: 0,
            rcx: 0,
            rdx: 0,
            flags: 0,
            buffer: Buffer([0; BUFFER_LEN]),
            buffer_len: 0,
            data_offset: 0,
            opcode: 0,
            leaves_pointers: false,
        }
    }
}

/// Returns what the processor would raise before it looks at memory, if there is something, else
/// `fault`: an encoding that does not exist, or an x87 exception that is pending.
#[inline(never)]
pub(crate) fn earlier<O: Ops>(ops: &mut O, code: &Replayed, fault: Fault) -> Fault {
    let Fault::Exception(_) = fault else {
        return fault;
    };
    match ops.replay(&mut code.blank()) {
        Err(Fault::Exception(first)) if matches!(first.vector, 6 | 7 | 16) => first.into(),
        Err(Fault::Retry) => Fault::Retry,
        _ => fault,
    }
}

/// Outside 64-bit mode the highest bit of vvvv is ignored where it names a register, but must be set
/// where it does not. Makes sure of the second.
///
/// # Errors
///
/// #UD.
#[inline(never)]
fn check_register<O: Ops>(ops: &mut O, cx: &Context, shape: &Shape) -> Result {
    let vector = &cx.insn.vector;
    if cx.insn.is_legacy() || vector.register != 0 || vector.no_register {
        return Ok(());
    }
    // Register 8, which has the bit clear.
    let code = rewrite(cx, shape, 8);
    match ops.replay(&mut code.blank()) {
        Err(Fault::Exception(Exception::UNDEFINED)) => Err(Exception::UNDEFINED.into()),
        Err(fault @ (Fault::Unhandleable | Fault::Retry)) => Err(fault),
        _ => Ok(()),
    }
}

/// Executes `code` with the memory operand `place` of `len` bytes in the buffer and the register
/// `general` in RCX, and writes what came of it.
#[inline(never)]
#[expect(clippy::too_many_arguments)]
pub(crate) fn run<O: Ops>(
    ops: &mut O,
    cx: &Context,
    code: &Replayed,
    place: Option<O::Place>,
    len: usize,
    access: Access,
    general: Option<Gpr>,
    written: Option<Gpr>,
) -> Result {
    let mut replay = Replay {
        rax: ops.gpr(Gpr::RAX),
        rcx: general.map_or(0, |number| ops.gpr(number)),
        rdx: ops.gpr(Gpr::RDX),
        flags: ops.rflags() & STATUS,
        // CAST: At most 128.
        buffer_len: len as u8,
        data_offset: match cx.insn.rm {
            Rm::Memory(address) => address.offset(ops, cx.next_rip(ops), 0),
            _ => 0,
        },
        opcode: u16::from(cx.insn.opcode & 7) << 8 | u16::from(cx.insn.modrm.0),
        leaves_pointers: cx.insn.map == Map::One,
        ..code.blank()
    };
    if let (Some(place), Access::Read) = (&place, access) {
        let into = replay.buffer.0.get_mut(..len).ok_or(Fault::Unhandleable)?;
        ops.read(place, into)?;
    }
    let before = replay;
    if let Err(fault) = ops.replay(&mut replay) {
        if fault == Fault::Exception(Exception::NUMERIC) {
            // MXCSR says why.
            ops.commit_replay();
        }
        return Err(fault);
    }
    if let (Some(place), Access::Write) = (&place, access) {
        let from = replay.buffer.0.get(..len).ok_or(Fault::Unhandleable)?;
        // A store with an x87 exception that is not masked does not happen.
        let stored = cx.insn.map != Map::One
            || from.iter().any(|byte| *byte != 0)
            || is_stored(ops, before, len)?;
        if stored {
            ops.write(place, from)?;
        }
    }
    ops.commit_replay();
    if let Some(number) = written {
        ops.set_gpr(number, replay.rcx);
    }
    if code.1 {
        // FNSTSW AX.
        ops.set_gpr(Gpr::RAX, replay.rax);
    }
    flags::set(ops, STATUS, replay.flags);
    Ok(())
}

/// Whether an instruction that left nothing but zeros in the buffer, which held zeros, has written
/// them. Executes it once more.
#[inline(never)]
fn is_stored<O: Ops>(ops: &mut O, mut replay: Replay, len: usize) -> Result<bool> {
    replay.buffer.0.fill(0xff);
    ops.replay(&mut replay)?;
    let bytes = replay.buffer.0.get(..len).unwrap_or(&[]);
    Ok(bytes.iter().any(|byte| *byte != 0xff))
}

/// An instruction rewritten, and whether it writes RAX.
pub(crate) struct Replayed(Code, bool);

/// Rewrites an MMX or vector instruction for 64-bit mode, with other operands where it has any
/// outside the unit, and `register`, 0 to 15, in vvvv.
fn rewrite(cx: &Context, shape: &Shape, register: u8) -> Replayed {
    let insn = &cx.insn;
    let mut rex = insn.prefixes.rex & (REX_W | REX_R | REX_X | REX_B);
    let mut modrm = insn.modrm.0;
    match insn.rm {
        Rm::Memory(_) => {
            modrm = modrm & 0x38 | POINTER;
            rex &= !(REX_X | REX_B);
        }
        _ if matches!(shape.general, General::RmRead | General::RmWritten) => {
            modrm = modrm & 0xf8 | STAND_IN;
            rex &= !REX_B;
        }
        _ => {}
    }
    if shape.general == General::RegWritten {
        modrm = modrm & 0xc7 | STAND_IN << 3;
        rex &= !REX_R;
    }
    // W makes a general register wider in 64-bit mode only.
    let mut wide = insn.vector.wide;
    if shape.general != General::No && cx.code != CodeWidth::Bits64 {
        wide = false;
    }

    let mut code = Code::new();
    if insn.is_legacy() {
        legacy_prefixes(&mut code, insn);
        if rex != 0 {
            code.push(0x40 | rex);
        }
        code.push(0x0f);
        match insn.map {
            Map::Of38 => code.push(0x38),
            Map::Of3a => code.push(0x3a),
            _ => {}
        }
    } else {
        let map = match insn.map {
            Map::Of38 => 2,
            Map::Of3a => 3,
            _ => 1,
        };
        let prefix = match (insn.prefixes.repeat, insn.prefixes.operand_size) {
            (Repeat::F3, _) => 2,
            (Repeat::F2, _) => 3,
            (Repeat::None, true) => 1,
            (Repeat::None, false) => 0,
        };
        let w = if wide { 0x80 } else { 0 };
        // R, X and B are inverted, and so is vvvv.
        code.push(0xc4);
        code.push((!rex & (REX_R | REX_X | REX_B)) << 5 | map);
        code.push(w | (!register & 15) << 3 | insn.vector.length << 2 | prefix);
    }
    code.push(insn.opcode);
    if (insn.map, insn.opcode) == (Map::Of, 0x77) {
        return Replayed(code, false);
    }
    code.push(modrm);
    let has_constant = match insn.map {
        Map::Of => matches!(insn.opcode, 0x70..=0x73 | 0x78 | 0xc2 | 0xc4..=0xc6),
        Map::Of3a => true,
        _ => false,
    };
    if has_constant {
        // CAST: A byte, extended.
        code.push(insn.immediate as u8);
    }
    if (insn.map, insn.opcode) == (Map::Of, 0x78) {
        // EXTRQ and INSERTQ. CAST: A byte.
        code.push(insn.immediate2 as u8);
    }
    Replayed(code, false)
}

/// Adds 66, F2 and F3 as they were.
fn legacy_prefixes(code: &mut Code, insn: &Decoded) {
    if insn.prefixes.operand_size {
        code.push(0x66);
    }
    match insn.prefixes.repeat {
        Repeat::F2 => code.push(0xf2),
        Repeat::F3 => code.push(0xf3),
        Repeat::None => {}
    }
}

/// Rewrites an x87 instruction. `wide_environment` says that an environment has 32-bit fields.
pub(crate) fn rewrite_x87(insn: &Decoded, wide_environment: bool) -> Replayed {
    let mut code = Code::new();
    if !wide_environment {
        code.push(0x66);
    }
    code.push(insn.opcode);
    let modrm = match insn.rm {
        Rm::Memory(_) => insn.modrm.0 & 0x38 | POINTER,
        _ => insn.modrm.0,
    };
    code.push(modrm);
    let stores_ax = insn.opcode == 0xdf && insn.modrm.0 == 0xe0;
    Replayed(code, stores_ax)
}

/// FWAIT.
pub(crate) fn wait() -> Replayed {
    let mut code = Code::new();
    code.push(0x9b);
    Replayed(code, false)
}
