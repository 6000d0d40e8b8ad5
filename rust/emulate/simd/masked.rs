// SPDX-License-Identifier: GPL-2.0-only

//! Moves of which a mask says what elements they move: VMASKMOVPS to VPMASKMOVQ, MASKMOVQ, MASKMOVDQU, and
//! those in EVEX encodings under an opmask.
//!
//! Elements that are masked out are neither read nor written and raise nothing, whatever is at their place. What
//! is left lies between the first and the last element that is not masked out, on at most two pages, each of which
//! has a byte of these two: to translate that range is to translate every element of it.
//!
//! Where processors may but need not raise exceptions for bytes that are masked out (MASKMOVQ, MASKMOVDQU), there
//! are none here.
//!
//! Source: AMD APM volume 4; Intel SDM volume 2, VMASKMOV, VPMASKMOV, MASKMOVQ, MASKMOVDQU, and section 2.7.8
//! "Exceptions of EVEX-Encoded Instructions".

use super::{
    moves::{
        reg,
        rm,
        Move,
        WIDEST, //
    },
    Prefix, //
};
use crate::emulate::{
    address::{
        Address,
        Base, //
    },
    decode::{
        Decoded,
        Map,
        Rm, //
    },
    fpu_state::{
        self,
        Unit, //
    },
    operand::Context,
    ops::{
        Access,
        Exception,
        Fault,
        Feature,
        Gpr,
        Ops,
        Rest,
        Result, //
    },
    prefix::Segment,
    segment,
    vex::Encoding, //
};

/// Which elements of an operand count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mask {
    /// A bit for each element, the first one's lowest; none above the last one.
    bits: u64,
    /// Bytes of an element: 1, 2, 4 or 8.
    element: usize,
}

impl Mask {
    /// Of an operand of `len` bytes.
    pub(super) fn new(bits: u64, element: usize, len: usize) -> Self {
        let mut mask = Self { bits: 0, element };
        let count = len.checked_div(element).unwrap_or(0);
        for n in (0u32..).take(count) {
            mask.bits |= bits & 1u64.wrapping_shl(n);
        }
        mask
    }

    /// Of elements of which the highest bit says whether they count.
    fn of_signs(vector: &[u8], element: usize) -> Self {
        let mut mask = Self { bits: 0, element };
        for (n, bytes) in (0u32..).zip(vector.chunks(element.max(1))) {
            if bytes.last().is_some_and(|last| last & 0x80 != 0) {
                mask.bits |= 1u64.wrapping_shl(n);
            }
        }
        mask
    }

    /// Of an operand of one element of `len` bytes, which counts if any did.
    pub(super) fn any(self, len: usize) -> Self {
        Self {
            bits: u64::from(self.bits != 0),
            element: len,
        }
    }

    fn has(&self, number: usize) -> bool {
        // CAST: At most 64 elements.
        self.bits.wrapping_shr(number as u32) & 1 != 0
    }

    /// The first byte of the range of elements that count, and the bytes of it; `None` if none counts.
    fn span(&self) -> Option<(usize, usize)> {
        if self.bits == 0 {
            return None;
        }
        // CAST: Below 64.
        let first = self.bits.trailing_zeros() as usize;
        // CAST: As above.
        let last = 63 - self.bits.leading_zeros() as usize;
        let count = last.wrapping_sub(first).wrapping_add(1);
        Some((
            first.wrapping_mul(self.element),
            count.wrapping_mul(self.element),
        ))
    }

    /// The next range of bytes, from byte `from` on, of neighbours that all count.
    fn run(&self, from: usize) -> Option<(usize, usize)> {
        let most = 64;
        let first = (from.checked_div(self.element)?..most).find(|n| self.has(*n))?;
        let end = (first..most).find(|n| !self.has(*n)).unwrap_or(most);
        Some((
            first.wrapping_mul(self.element),
            end.wrapping_sub(first).wrapping_mul(self.element),
        ))
    }

    /// Copies the elements that count.
    fn copy(&self, to: &mut [u8], from: &[u8]) {
        let element = self.element.max(1);
        let chunks = to.chunks_mut(element).zip(from.chunks(element));
        for (n, (to, from)) in chunks.enumerate() {
            if self.has(n) {
                for (to, from) in to.iter_mut().zip(from) {
                    *to = *from;
                }
            }
        }
    }
}

/// What the alignment of the operand means, if anything of it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aligned {
    /// It is #GP if it is not aligned.
    Whole,
    /// It may be #AC if it is not aligned to so many bytes.
    To(usize),
}

/// Translates what counts of the memory operand, which has `len` bytes; `None` if nothing counts.
fn translate<O: Ops>(
    ops: &mut O,
    cx: &Context,
    mask: &Mask,
    len: usize,
    aligned: Aligned,
    access: Access,
) -> Result<Option<(O::Place, usize)>> {
    let whole = cx.memory_range(ops, len, 1)?;
    let Some((from, len)) = mask.span() else {
        return Ok(None);
    };
    if aligned == Aligned::Whole {
        segment::check_aligned(ops, cx.code, &whole)?;
    }
    let range = segment::Range {
        offset: whole.offset.wrapping_add(from as u64),
        len,
        ..whole
    };
    let linear = segment::linear(ops, cx.code, &range, access)?;
    if let Aligned::To(align) = aligned {
        let start = linear.wrapping_sub(from as u64);
        segment::check_alignment(ops, start, align)?;
    }
    let place = ops.translate(linear, len, access);
    let place = place.map_err(|fault| first_byte(mask, from, linear, fault))?;
    Ok(Some((place, from)))
}

/// Makes a page fault one of the first byte in that page that counts. The operand's byte `from` is at `linear`.
fn first_byte(mask: &Mask, from: usize, linear: u64, fault: Fault) -> Fault {
    let Fault::Exception(mut exception) = fault else {
        return fault;
    };
    if let Some(cr2) = exception.cr2 {
        // CAST: It is in the operand, or else there is no such byte.
        let at = (cr2.wrapping_sub(linear) as usize).saturating_add(from);
        let run = mask.run(at);
        let first = run.map(|(run, _)| run.max(at).wrapping_sub(from) as u64);
        exception.cr2 = first.map_or(Some(cr2), |first| Some(linear.wrapping_add(first)));
    }
    exception.into()
}

/// Reads what counts into `whole`, of which the rest stays.
fn read<O: Ops>(
    ops: &mut O,
    place: &Option<(O::Place, usize)>,
    mask: &Mask,
    whole: &mut [u8],
) -> Result {
    let Some((place, start)) = place else {
        return Ok(());
    };
    let mut at = 0;
    while let Some((from, len)) = mask.run(at) {
        at = from.wrapping_add(len);
        let bytes = whole.get_mut(from..at).ok_or(Fault::Unhandleable)?;
        let part = ops.part(place, from.wrapping_sub(*start), len)?;
        ops.read(&part, bytes)?;
    }
    Ok(())
}

/// Reads what counts of a memory operand of `into.len()` bytes into `into`, of which the rest stays. It may be #AC if
/// the operand is not aligned to `align` bytes and anything counts.
///
/// # Errors
///
/// As for other reads, for what counts.
pub(super) fn load<O: Ops>(
    ops: &mut O,
    cx: &Context,
    mask: &Mask,
    align: usize,
    into: &mut [u8],
) -> Result {
    let place = translate(ops, cx, mask, into.len(), Aligned::To(align), Access::Read)?;
    read(ops, &place, mask, into)
}

/// Writes what counts of `whole`.
fn write<O: Ops>(
    ops: &mut O,
    place: &Option<(O::Place, usize)>,
    mask: &Mask,
    whole: &[u8],
) -> Result {
    let Some((place, start)) = place else {
        return Ok(());
    };
    let mut at = 0;
    while let Some((from, len)) = mask.run(at) {
        at = from.wrapping_add(len);
        let bytes = whole.get(from..at).ok_or(Fault::Unhandleable)?;
        let part = ops.part(place, from.wrapping_sub(*start), len)?;
        ops.write(&part, bytes)?;
    }
    Ok(())
}

/// A move under a mask in a legacy or VEX encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Masked {
    /// VMASKMOVPS to VPMASKMOVQ: elements of so many bytes, the mask in vvvv.
    Elements {
        bytes: u8,
        store: bool,
        integers: bool,
    },
    /// MASKMOVDQU: bytes to where RDI points, the mask in ModRM.rm.
    Bytes,
    /// MASKMOVQ.
    BytesMmx,
}

/// Returns which move an instruction is; `None` if it is none of these.
pub(super) fn find(insn: &Decoded) -> Option<Masked> {
    let vex = insn.vector.encoding == Encoding::Vex;
    let elements = |bytes, store, integers| {
        let kind = Masked::Elements {
            bytes,
            store,
            integers,
        };
        vex.then_some(kind)
    };
    match (insn.map, insn.opcode, Prefix::of(insn)) {
        (Map::Of38, 0x2c | 0x2e, Prefix::P66) => elements(4, insn.opcode == 0x2e, false),
        (Map::Of38, 0x2d | 0x2f, Prefix::P66) => elements(8, insn.opcode == 0x2f, false),
        (Map::Of38, 0x8c | 0x8e, Prefix::P66) => {
            let bytes = if insn.vector.wide { 8 } else { 4 };
            elements(bytes, insn.opcode == 0x8e, true)
        }
        (Map::Of, 0xf7, Prefix::P66) => Some(Masked::Bytes),
        (Map::Of, 0xf7, Prefix::None) if !vex => Some(Masked::BytesMmx),
        _ => None,
    }
}

/// Executes a move under a mask in a legacy or VEX encoding.
///
/// # Errors
///
/// As for other moves.
pub(super) fn execute<O: Ops>(ops: &mut O, cx: &Context, kind: Masked) -> Result {
    match kind {
        Masked::Elements {
            bytes,
            store,
            integers,
        } => elements(ops, cx, bytes.into(), store, integers),
        Masked::Bytes => bytes(ops, cx),
        Masked::BytesMmx => bytes_mmx(ops, cx),
    }
}

fn elements<O: Ops>(
    ops: &mut O,
    cx: &Context,
    element: usize,
    store: bool,
    integers: bool,
) -> Result {
    let vector = &cx.insn.vector;
    let exists = matches!(cx.insn.rm, Rm::Memory(_))
        && (integers || !vector.wide)
        && (!integers || ops.has(Feature::Avx2));
    if !exists {
        return Err(Exception::UNDEFINED.into());
    }
    fpu_state::check(ops, Unit::Avx)?;
    let len = if vector.length == 0 { 16 } else { 32 };
    let mut signs = [0; WIDEST];
    let signs = signs.get_mut(..len).ok_or(Fault::Unhandleable)?;
    ops.vector(vector.register, signs)?;
    let mask = Mask::of_signs(signs, element);
    let mut whole = [0; WIDEST];
    let whole = whole.get_mut(..len).ok_or(Fault::Unhandleable)?;
    let number = reg(&cx.insn);
    // If registers cannot be had, no device is to be read in vain.
    ops.vector(number, whole)?;
    if store {
        let place = translate(ops, cx, &mask, len, Aligned::To(1), Access::Write)?;
        return write(ops, &place, &mask, whole);
    }
    let place = translate(ops, cx, &mask, len, Aligned::To(1), Access::Read)?;
    whole.fill(0);
    read(ops, &place, &mask, whole)?;
    ops.set_vector(number, whole, Rest::Cleared)
}

/// Where MASKMOVQ and MASKMOVDQU write.
fn pointed(cx: &Context) -> Context {
    let mut cx = *cx;
    cx.insn.rm = Rm::Memory(Address {
        segment: cx.insn.prefixes.segment.unwrap_or(Segment::Ds),
        base: Base::Register(Gpr::RDI),
        index: None,
        displacement: 0,
        size: cx.insn.address_size,
    });
    cx
}

fn bytes<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let vector = &cx.insn.vector;
    let Rm::Register(from) = cx.insn.rm else {
        return Err(Exception::UNDEFINED.into());
    };
    if vector.length != 0 || !vector.no_register {
        return Err(Exception::UNDEFINED.into());
    }
    let unit = match cx.insn.is_legacy() {
        true => Unit::Sse,
        false => Unit::Avx,
    };
    fpu_state::check(ops, unit)?;
    let (mut signs, mut whole) = ([0; 16], [0; 16]);
    ops.vector(rm(&cx.insn, from), &mut signs)?;
    ops.vector(reg(&cx.insn), &mut whole)?;
    let mask = Mask::of_signs(&signs, 1);
    let place = translate(ops, &pointed(cx), &mask, 16, Aligned::To(8), Access::Write)?;
    write(ops, &place, &mask, &whole)
}

fn bytes_mmx<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let Rm::Register(from) = cx.insn.rm else {
        return Err(Exception::UNDEFINED.into());
    };
    fpu_state::check(ops, Unit::Mmx)?;
    // There are 8 of them, whatever REX says.
    let signs = ops.mmx(from.number() & 7)?.to_le_bytes();
    let whole = ops.mmx(cx.insn.digit())?.to_le_bytes();
    let mask = Mask::of_signs(&signs, 1);
    let place = translate(ops, &pointed(cx), &mask, 8, Aligned::To(8), Access::Write)?;
    write(ops, &place, &mask, &whole)?;
    ops.enter_mmx()
}

/// Executes a move in an EVEX encoding under an opmask, of `len` bytes and elements of `element` bytes. It is
/// known to exist, and the unit to be on.
///
/// # Errors
///
/// As for other moves.
pub(super) fn evex<O: Ops>(
    ops: &mut O,
    cx: &Context,
    kind: Move,
    len: usize,
    element: usize,
    aligned: bool,
) -> Result {
    let aligned = match aligned {
        true => Aligned::Whole,
        // A number.
        false if len == element => Aligned::To(len),
        false => Aligned::To(1),
    };
    let (from_memory, to_memory) = match (kind, cx.insn.rm) {
        (Move::Load, Rm::Memory(_)) => (true, false),
        (Move::Store, Rm::Memory(_)) => (false, true),
        (Move::Load | Move::Store, Rm::Register(_)) => (false, false),
        _ => return Err(Fault::Unhandleable),
    };
    let mask = Mask::new(ops.opmask(cx.insn.vector.mask)?, element, len);
    let mut from = [0; WIDEST];
    let from = from.get_mut(..len).ok_or(Fault::Unhandleable)?;
    if to_memory {
        ops.vector(reg(&cx.insn), from)?;
        let place = translate(ops, cx, &mask, len, aligned, Access::Write)?;
        return write(ops, &place, &mask, from);
    }
    let (target, source) = match (kind, cx.insn.rm) {
        (Move::Store, Rm::Register(number)) => (rm(&cx.insn, number), Some(reg(&cx.insn))),
        (_, Rm::Register(number)) => (reg(&cx.insn), Some(rm(&cx.insn, number))),
        _ => (reg(&cx.insn), None),
    };
    // A scalar clears what is above it in the register.
    let mut to = [0; WIDEST];
    let to = to.get_mut(..len).ok_or(Fault::Unhandleable)?;
    ops.vector(target, to)?;
    if cx.insn.vector.zeroing {
        to.fill(0);
    }
    if let Some(source) = source {
        ops.vector(source, from)?;
    } else if from_memory {
        let place = translate(ops, cx, &mask, len, aligned, Access::Read)?;
        read(ops, &place, &mask, from)?;
    }
    mask.copy(to, from);
    let mut whole = [0; WIDEST];
    for (whole, byte) in whole.iter_mut().zip(to.iter()) {
        *whole = *byte;
    }
    let whole = whole.get(..len.max(16)).ok_or(Fault::Unhandleable)?;
    ops.set_vector(target, whole, Rest::Cleared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_ranges() {
        let mask = Mask::new(0b1011_0000, 4, 32);
        assert_eq!(mask.span(), Some((16, 16)));
        assert_eq!(mask.run(0), Some((16, 8)));
        assert_eq!(mask.run(24), Some((28, 4)));
        assert_eq!(mask.run(32), None);
        // What is above the operand does not count.
        assert_eq!(Mask::new(!0, 8, 16).span(), Some((0, 16)));
        assert_eq!(Mask::new(!0, 8, 16).run(16), None);
        assert_eq!(Mask::new(!3, 8, 16).span(), None);
        // All 64 bytes.
        let whole = Mask::new(!0, 1, 64);
        assert_eq!((whole.span(), whole.run(0)), (Some((0, 64)), Some((0, 64))));
        assert_eq!(whole.run(64), None);
        assert_eq!(Mask::new(1 << 63, 1, 64).span(), Some((63, 1)));
        let signs = Mask::of_signs(&[0x80, 0x7f, 0, 0xff], 1);
        assert_eq!(signs.bits, 0b1001);
        assert_eq!(Mask::of_signs(&[0, 0x80, 0xff, 0x7f], 2).bits, 1);
    }
}
