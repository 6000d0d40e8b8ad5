// SPDX-License-Identifier: GPL-2.0-only

//! All of the processor's x87 and vector state to and from memory: FXSAVE, FXRSTOR, XSAVE, XSAVEOPT, XSAVEC and
//! XRSTOR.
//!
//! They work on a copy of the guest's registers in the standard format ([`Fpu::area`](super::ops::Fpu::area)). What
//! is restored goes there first, and becomes the guest's when nothing can fail any more. Components that are not
//! known here are not guessed, nor are XSAVES and XRSTORS.
//!
//! Outside 64-bit mode the upper half of the vector registers is neither saved nor restored.
//!
//! Source: AMD APM volume 2, section 11.5, and volumes 4 and 5; Intel SDM volume 1, chapter 13, and volume 2.

mod image;

use super::{
    area::{
        self,
        Layout, //
    },
    operand::Context,
    ops::{
        Access,
        Control,
        Exception,
        Fault,
        Feature,
        Gpr,
        Ops,
        Result, //
    },
    prefix::REX_W,
    segment,
    CodeWidth,
    Vendor, //
};
use image::{
    Components,
    Form,
    Piece,
    Pieces,
    AVX,
    HEADER,
    KNOWN,
    SSE,
    X87, //
};

/// CR0.EM.
const CR0_EM: u64 = 1 << 2;
/// CR0.TS.
const CR0_TS: u64 = 1 << 3;
/// CR4.OSFXSR.
const CR4_OSFXSR: u64 = 1 << 9;
/// CR4.OSXSAVE.
const CR4_OSXSAVE: u64 = 1 << 18;
/// The extended feature register.
const EFER: u32 = 0xc000_0080;
/// EFER.FFXSR: the kernel's FXSAVE leaves vectors out.
const EFER_FFXSR: u64 = 1 << 14;
/// XCOMP_BV: the area is in the compacted format.
const COMPACTED: u64 = 1 << 63;
/// MXCSR in its initial state.
const MXCSR_INITIAL: u32 = 0x1f80;

/// How XSAVE is to save.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Saving {
    /// XSAVE.
    All,
    /// XSAVEOPT: not what is in its initial state.
    Changed,
    /// XSAVEC: as that, in the compacted format.
    Compacted,
}

/// What all of these instructions have in common.
struct State<O: Ops> {
    area: O::Area,
    layout: Layout,
    pieces: Pieces,
    /// In 64-bit mode.
    long: bool,
}

impl<O: Ops> State<O> {
    fn new(ops: &O, cx: &Context) -> Result<Self> {
        let long = cx.code == CodeWidth::Bits64;
        // As the instruction has it: fields of 64 bits or of 32.
        let wide = long && cx.insn.prefixes.rex & REX_W != 0;
        let pointers = ops.vendor() == Vendor::Intel || ops.has(Feature::FpuPointers);
        Ok(Self {
            area: ops.area()?,
            layout: ops.layout()?,
            pieces: Pieces::new(long, wide, pointers),
            long,
        })
    }

    fn present(&self) -> Result<u64> {
        area::present(&self.area).ok_or(Fault::Unhandleable)
    }

    /// Components that are not in their initial state, as an instruction sees it in this mode.
    fn in_use(&self) -> Result<u64> {
        Ok(self.present()? & self.components().seen())
    }

    fn components(&self) -> Components {
        Components {
            layout: self.layout,
            long: self.long,
        }
    }
}

/// Where the operand is, which must be aligned. What is not may be #AC instead of #GP; it is if numbers in it are not
/// either.
fn operand<O: Ops>(ops: &mut O, cx: &Context, align: usize) -> Result<segment::Range> {
    let range = cx.memory_range(ops, align, 4)?;
    if let Err(refused) = segment::check_aligned(ops, cx.code, &range) {
        let linear = segment::linear(ops, cx.code, &range, Access::Read)?;
        segment::check_alignment(ops, linear, range.align)?;
        return Err(refused);
    }
    Ok(range)
}

/// Translates `len` bytes of the operand, `from` bytes after its start.
fn translate<O: Ops>(
    ops: &mut O,
    cx: &Context,
    operand: &segment::Range,
    (from, len): (usize, usize),
    access: Access,
) -> Result<O::Place> {
    let range = segment::Range {
        offset: operand.offset.wrapping_add(from as u64),
        len,
        align: 1,
        ..*operand
    };
    segment::translate(ops, cx.code, &range, access)
}

/// Writes pieces of the copy to the operand, of which `place` begins at byte `start`.
fn write<O: Ops>(
    ops: &mut O,
    area: &[u8],
    pieces: &[Piece],
    place: &O::Place,
    start: usize,
) -> Result {
    for piece in pieces {
        let bytes = area.get(piece.area()).ok_or(Fault::Unhandleable)?;
        let part = ops.part(place, piece.memory.wrapping_sub(start), piece.len)?;
        ops.write(&part, bytes)?;
    }
    Ok(())
}

/// Reads pieces of the operand into the copy.
fn read<O: Ops>(
    ops: &mut O,
    area: &mut [u8],
    pieces: &[Piece],
    place: &O::Place,
    start: usize,
) -> Result {
    for piece in pieces {
        let bytes = area.get_mut(piece.area()).ok_or(Fault::Unhandleable)?;
        let part = ops.part(place, piece.memory.wrapping_sub(start), piece.len)?;
        ops.read(&part, bytes)?;
    }
    Ok(())
}

/// Refuses values that MXCSR cannot have.
///
/// # Errors
///
/// #GP.
fn check_mxcsr<O: Ops>(ops: &O, area: &[u8], value: u32) -> Result {
    let mask = area::mxcsr_mask(area).ok_or(Fault::Unhandleable)?;
    if value & !mask != 0 {
        return Err(Exception::protection(ops.mode()).into());
    }
    Ok(())
}

/// Makes sure that FXSAVE and FXRSTOR are on, and do what they do usually.
fn check_fxsave<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    if ops.control(Control::Cr0)? & (CR0_EM | CR0_TS) != 0 {
        return Err(Exception::NO_DEVICE.into());
    }
    // Whether vectors are saved all the same is up to the processor.
    if ops.control(Control::Cr4)? & CR4_OSFXSR == 0 {
        return Err(Fault::Unhandleable);
    }
    let may_be_short =
        ops.vendor() == Vendor::Amd && cx.code == CodeWidth::Bits64 && ops.cpl() == 0;
    if may_be_short && ops.msr(EFER)? & EFER_FFXSR != 0 {
        return Err(Fault::Unhandleable);
    }
    Ok(())
}

/// Executes 0F AE /0: FXSAVE.
#[inline(never)]
pub(crate) fn fxsave<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    check_fxsave(ops, cx)?;
    let operand = operand(ops, cx, 16)?;
    let mut state = State::new(ops, cx)?;
    let components = state.components();
    components
        .write_down(&mut state.area, X87 | SSE)
        .ok_or(Fault::Unhandleable)?;
    let place = translate(ops, cx, &operand, (0, 512), Access::Write)?;
    let mut pieces = state.pieces;
    pieces.save_legacy(&mut state.area, X87 | SSE, true);
    write(ops, &state.area, pieces.as_slice(), &place, 0)
}

/// Executes 0F AE /1: FXRSTOR.
#[inline(never)]
pub(crate) fn fxrstor<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    check_fxsave(ops, cx)?;
    let operand = operand(ops, cx, 16)?;
    let mut state = State::new(ops, cx)?;
    let place = translate(ops, cx, &operand, (0, 512), Access::Read)?;
    let mut pieces = state.pieces;
    pieces.load_legacy(X87 | SSE, true);
    restore(ops, &mut state, (X87 | SSE, 0), &pieces, Some(&place), 0)?;
    ops.set_area(state.area)
}

/// Returns which components EDX and EAX ask for, of those that are on.
fn requested<O: Ops>(ops: &O) -> Result<u64> {
    if ops.control(Control::Cr4)? & CR4_OSXSAVE == 0 {
        return Err(Exception::UNDEFINED.into());
    }
    if ops.control(Control::Cr0)? & CR0_TS != 0 {
        return Err(Exception::NO_DEVICE.into());
    }
    let low = ops.gpr(Gpr::RAX) & 0xffff_ffff;
    Ok(ops.extended_control(0)? & (ops.gpr(Gpr::RDX) << 32 | low))
}

/// Executes 0F AE /4, 0F AE /6 and 0F C7 /4: XSAVE, XSAVEOPT and XSAVEC.
#[inline(never)]
pub(crate) fn save<O: Ops>(ops: &mut O, cx: &Context, saving: Saving) -> Result {
    let exists = match saving {
        Saving::All => true,
        Saving::Changed => ops.has(Feature::XsaveOpt),
        Saving::Compacted => ops.has(Feature::XsaveC),
    };
    if !exists {
        return Err(Exception::UNDEFINED.into());
    }
    let requested = requested(ops)?;
    let operand = operand(ops, cx, 64)?;
    if requested & !KNOWN != 0 {
        return Err(Fault::Unhandleable);
    }
    let mut state = State::new(ops, cx)?;
    let mut in_use = state.in_use()?;
    let mxcsr = area::mxcsr(&state.area).ok_or(Fault::Unhandleable)?;
    if saving == Saving::Compacted && mxcsr != MXCSR_INITIAL {
        // It belongs to SSE there.
        in_use |= SSE;
    }
    let saved = match saving {
        Saving::All => requested,
        _ => requested & in_use,
    };
    let components = state.components();
    components
        .write_down(&mut state.area, saved)
        .ok_or(Fault::Unhandleable)?;

    // What is written, and the header in its place.
    let mut pieces = state.pieces;
    let with_mxcsr = match saving {
        Saving::Compacted => saved & SSE != 0,
        // By XSAVEOPT too: it belongs to no component, and is in none's initial state.
        _ => requested & (SSE | AVX) != 0,
    };
    pieces.save_legacy(&mut state.area, saved, with_mxcsr);
    let form = match saving {
        Saving::Compacted => Form::Compacted(requested),
        _ => Form::Standard,
    };
    let header_len = match saving {
        Saving::Compacted => 16,
        _ => 8,
    };
    pieces.push(HEADER, HEADER, header_len);
    components.push(&mut pieces, saved, form);
    let (start, len) = pieces.span();
    let access = match saving {
        Saving::Compacted => Access::Write,
        _ => Access::ReadWrite,
    };
    let place = translate(ops, cx, &operand, (start, len), access)?;
    let mut present = requested & in_use;
    let mut compaction = 0;
    if saving == Saving::Compacted {
        compaction = COMPACTED | requested;
    } else {
        let mut old = [0; 8];
        let part = ops.part(&place, HEADER.wrapping_sub(start), 8)?;
        ops.read(&part, &mut old)?;
        present |= u64::from_le_bytes(old) & !requested;
    }
    area::set_header(&mut state.area, present, compaction).ok_or(Fault::Unhandleable)?;
    write(ops, &state.area, pieces.as_slice(), &place, start)
}

/// Executes 0F AE /5: XRSTOR.
#[inline(never)]
pub(crate) fn xrstor<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let requested = requested(ops)?;
    let operand = operand(ops, cx, 64)?;
    if requested & !KNOWN != 0 {
        return Err(Fault::Unhandleable);
    }
    let refused = Exception::protection(ops.mode());
    let enabled = ops.extended_control(0)?;
    let mut state = State::new(ops, cx)?;
    let place = translate(ops, cx, &operand, (HEADER, 64), Access::Read)?;
    let mut header = [0; 64];
    ops.read(&place, &mut header)?;
    let header = image::Header::new(&header);
    let form = match header.compaction & COMPACTED {
        0 => Form::Standard,
        _ => Form::Compacted(header.compaction & !COMPACTED),
    };
    let valid = match form {
        Form::Standard => {
            header.compaction == 0 && header.third == 0 && header.present & !enabled == 0
        }
        Form::Compacted(parts) => {
            ops.has(Feature::XsaveC)
                && parts & !enabled == 0
                && header.present & !parts == 0
                && header.third == 0
                && !header.has_more
        }
    };
    if !valid {
        return Err(refused.into());
    }
    if let Form::Compacted(parts) = form {
        // How long the others are is not known.
        if parts & !KNOWN != 0 {
            return Err(Fault::Unhandleable);
        }
    } else if header.has_more && ops.vendor() == Vendor::Amd {
        // Processors of Intel do not look at it.
        return Err(Fault::Unhandleable);
    }
    let loaded = requested & header.present;
    let cleared = requested & !header.present;
    let with_mxcsr = match form {
        Form::Standard => requested & (SSE | AVX) != 0,
        Form::Compacted(_) => loaded & SSE != 0,
    };
    let mut pieces = state.pieces;
    pieces.load_legacy(loaded, with_mxcsr);
    state.components().push(&mut pieces, loaded, form);
    let (start, len) = pieces.span();
    let place = match len {
        0 => None,
        _ => Some(translate(ops, cx, &operand, (start, len), Access::Read)?),
    };
    let initial_mxcsr = matches!(form, Form::Compacted(_)) && cleared & SSE != 0;
    restore(
        ops,
        &mut state,
        (loaded, cleared),
        &pieces,
        place.as_ref(),
        start,
    )?;
    if initial_mxcsr {
        area::set_mxcsr(&mut state.area, MXCSR_INITIAL).ok_or(Fault::Unhandleable)?;
    }
    ops.set_area(state.area)
}

/// Makes the copy what is in memory: components that are loaded, from `pieces` of the operand of which `place` begins
/// at byte `start`, and those that are cleared.
fn restore<O: Ops>(
    ops: &mut O,
    state: &mut State<O>,
    (loaded, cleared): (u64, u64),
    pieces: &Pieces,
    place: Option<&O::Place>,
    start: usize,
) -> Result {
    let components = state.components();
    let done = components.begin(&mut state.area, loaded, cleared);
    done.ok_or(Fault::Unhandleable)?;
    let old = image::pointers(&state.area).ok_or(Fault::Unhandleable)?;
    let old_mxcsr = area::mxcsr(&state.area).ok_or(Fault::Unhandleable)?;
    if let Some(place) = place {
        read(ops, &mut state.area, pieces.as_slice(), place, start)?;
    }
    let mxcsr = area::mxcsr(&state.area).ok_or(Fault::Unhandleable)?;
    if mxcsr != old_mxcsr {
        check_mxcsr(ops, &state.area, mxcsr)?;
    }
    if loaded & X87 != 0 {
        pieces
            .take_x87(&mut state.area, &old)
            .ok_or(Fault::Unhandleable)?;
    }
    Ok(())
}
