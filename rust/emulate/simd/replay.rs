// SPDX-License-Identifier: GPL-2.0-only

//! Instructions that the processor executes in the guest's place; see
//! [`Replay`].

use super::{
    rewrite::{
        rewrite,
        Replayed, //
    },
    shape::{
        shape,
        Alignment,
        General,
        Shape, //
    }, //
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
    CodeWidth,
    Vendor, //
};

/// MXCSR.MM: unaligned operands are allowed.
const MXCSR_MM: u32 = 1 << 17;

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
    run(ops, cx, &code, place, len, shape.access, used(cx, &shape))
}

/// The general register that an instruction uses.
#[derive(Clone, Copy)]
pub(crate) struct Used {
    gpr: Option<Gpr>,
    written: bool,
}

impl Used {
    /// It uses none.
    pub(crate) const NONE: Self = Self {
        gpr: None,
        written: false,
    };
}

/// Returns the general register that an instruction of this shape uses.
pub(super) fn used(cx: &Context, shape: &Shape) -> Used {
    let gpr = match shape.general {
        General::No => None,
        General::Implied => Some(Gpr::RCX),
        General::RegWritten => Some(cx.insn.reg()),
        General::RmRead | General::RmWritten => match cx.insn.rm {
            Rm::Register(number) => Some(number),
            _ => None,
        },
    };
    Used {
        gpr,
        written: shape.general != General::RmRead,
    }
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
    let align = alignment(ops, &cx.insn, len);
    match aligned {
        true => cx.memory_aligned(ops, len, shape.access),
        false => cx.memory_bytes(ops, len, align, shape.access),
    }
}

/// Returns the alignment in bytes without which a memory operand of `len` bytes may be #AC.
pub(super) fn alignment<O: Ops>(ops: &O, insn: &Decoded, len: usize) -> usize {
    // What #AC is about is the alignment of 16 bytes also where there are more. Intel's processors may raise it for
    // vectors or not, says their manual; they do not (seen), but for what has at most 8 bytes, and not for VCVTPS2PH.
    match ops.vendor() {
        Vendor::Intel if len > 8 || (insn.map, insn.opcode) == (Map::Of3a, 0x1d) => 1,
        _ => len.min(16),
    }
}

/// Whether MXCSR allows unaligned operands.
fn allows_misaligned<O: Ops>(ops: &O) -> bool {
    ops.vendor() == Vendor::Amd && ops.mxcsr().is_ok_and(|mxcsr| mxcsr & MXCSR_MM != 0)
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
pub(super) fn check_register<O: Ops>(ops: &mut O, cx: &Context, shape: &Shape) -> Result {
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
/// that is used in RCX, and writes what came of it.
#[inline(never)]
pub(crate) fn run<O: Ops>(
    ops: &mut O,
    cx: &Context,
    code: &Replayed,
    place: Option<O::Place>,
    len: usize,
    access: Access,
    used: Used,
) -> Result {
    let mut buffer = Buffer([0; BUFFER_LEN]);
    if let (Some(place), Access::Read) = (&place, access) {
        let into = buffer.0.get_mut(..len).ok_or(Fault::Unhandleable)?;
        ops.read(place, into)?;
    }
    let target = place.filter(|_| access == Access::Write);
    run_with(ops, cx, code, &buffer, target, len, used)
}

/// As [`run`], with a memory operand of `len` bytes that is in `buffer`, or, if it is written, that goes to `target`.
#[inline(never)]
pub(super) fn run_with<O: Ops>(
    ops: &mut O,
    cx: &Context,
    code: &Replayed,
    buffer: &Buffer,
    target: Option<O::Place>,
    len: usize,
    used: Used,
) -> Result {
    let mut replay = Replay {
        buffer: *buffer,
        rax: ops.gpr(Gpr::RAX),
        rcx: used.gpr.map_or(0, |number| ops.gpr(number)),
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
    let before = replay;
    if let Err(fault) = ops.replay(&mut replay) {
        if fault == Fault::Exception(Exception::NUMERIC) {
            // MXCSR says why.
            ops.commit_replay();
        }
        return Err(fault);
    }
    if let Some(place) = &target {
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
    if let (Some(number), true) = (used.gpr, used.written) {
        ops.set_gpr(number, replay.rcx);
    }
    if code.stores_ax() {
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
