// SPDX-License-Identifier: GPL-2.0-only

//! x87, MMX and vector registers in an XSAVE area in the standard format: what an implementation of
//! [`Fpu`](super::ops::Fpu) reads and writes while the guest does not run.
//!
//! Functions that find the area too short return `None`, and have changed nothing then.
//!
//! Source: AMD APM volume 2, section 11.5.2 "XSAVE/XRSTOR Data Structure"; Intel SDM volume 1,
//! section 13.4.

use super::ops::Rest;

/// Offset of the x87 status word.
const STATUS: usize = 2;
/// Offset of the x87 tags, one bit for each register.
const TAGS: usize = 4;
/// Offset of the last instruction's opcode, two bytes.
const OPCODE: usize = 6;
/// Offset of its address, eight bytes.
const CODE: usize = 8;
/// Offset of the address of its operand, eight bytes.
const DATA: usize = 16;
/// Offset of MXCSR.
const MXCSR: usize = 24;
/// Offset of the bits that MXCSR can have; 0 if all that every processor has.
const MXCSR_MASK: usize = 28;
/// What MXCSR can have where nothing says it.
const MXCSR_DEFAULT_MASK: u32 = 0xffbf;
/// Offset of the first x87 register from the top of the stack.
const X87: usize = 32;
/// Bytes from one legacy register to the next.
const STEP: usize = 16;
/// Offset of XMM0.
const XMM: usize = 160;
/// Offset of XSTATE_BV, whose bits say which components are not in their initial state.
const PRESENT: usize = 512;
/// Bytes of the legacy part and the header.
const HEAD: usize = 576;

/// The status word's summary of exceptions that are not masked.
const SUMMARY: u8 = 1 << 7;

/// Numbers of state components.
const FPU: u32 = 0;
const SSE: u32 = 1;
const AVX: u32 = 2;
const OPMASK: u32 = 5;
const ZMM_HIGH: u32 = 6;
const ZMM_16: u32 = 7;

/// Where components are that have no fixed place; 0 for those that are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Bytes 16 to 31 of vectors 0 to 15.
    pub(crate) avx: usize,
    /// Opmask registers, of 8 bytes each.
    pub(crate) opmask: usize,
    /// Bytes 32 to 63 of vectors 0 to 15.
    pub(crate) zmm_high: usize,
    /// Vectors 16 to 31.
    pub(crate) zmm_16: usize,
    /// A bit for each component, by its number, that begins at a multiple of 64 in the compacted format.
    pub(crate) aligned: u64,
}

/// A piece of a vector register in the area.
#[derive(Clone, Copy)]
struct Piece {
    component: u32,
    at: usize,
    /// The first byte of the register that is in it.
    from: usize,
    len: usize,
}

impl Layout {
    /// Returns the pieces that vector register `number` consists of; those of components that are not
    /// there have offset 0.
    fn pieces(&self, number: u8) -> [Piece; 3] {
        let number = usize::from(number);
        let piece = |component, base: usize, number: usize, from, len| Piece {
            component,
            at: match base {
                0 => 0,
                _ => base.wrapping_add(number.wrapping_mul(len)),
            },
            from,
            len,
        };
        match number {
            0..=15 => [
                piece(SSE, XMM, number, 0, 16),
                piece(AVX, self.avx, number, 16, 16),
                piece(ZMM_HIGH, self.zmm_high, number, 32, 32),
            ],
            _ => [piece(ZMM_16, self.zmm_16, number.wrapping_sub(16) & 15, 0, 64); 3],
        }
    }

    /// Offset and length of a component.
    fn component(&self, number: u32) -> (usize, usize) {
        match number {
            SSE => (XMM, 256),
            AVX => (self.avx, 256),
            OPMASK => (self.opmask, 64),
            ZMM_HIGH => (self.zmm_high, 512),
            _ => (self.zmm_16, 1024),
        }
    }
}

/// What an x87 instruction leaves besides its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pointers {
    /// The low three bits of its first byte, and its second byte below them.
    pub(crate) opcode: u16,
    /// Its address.
    pub(crate) code: u64,
    /// The address of its memory operand.
    pub(crate) data: u64,
}

impl Pointers {
    /// Puts these where an instruction at `code` has left its own, and where its operand at `data` is named. Processors
    /// differ in when they leave any.
    pub(crate) fn replace(&self, area: &mut [u8], code: u64, data: u64) -> Option<()> {
        let (_, pointers) = area.get_mut(..DATA + 8)?.split_at_mut(OPCODE);
        let (opcode, pointers) = pointers.split_first_chunk_mut::<{ CODE - OPCODE }>()?;
        let (at, pointers) = pointers.split_first_chunk_mut::<{ DATA - CODE }>()?;
        let operand = pointers.first_chunk_mut::<8>()?;
        if u64::from_le_bytes(*at) == code {
            *at = self.code.to_le_bytes();
            if u16::from_le_bytes(*opcode) != 0 {
                *opcode = self.opcode.to_le_bytes();
            }
        }
        if u64::from_le_bytes(*operand) == data {
            *operand = self.data.to_le_bytes();
        }
        Some(())
    }
}

/// Returns a number of four bytes.
fn dword(area: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*area.get(at..)?.first_chunk()?))
}

/// Returns which components are not in their initial state.
pub(crate) fn present(area: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*area.get(PRESENT..)?.first_chunk()?))
}

/// Reads the lowest `into.len()` bytes of vector register `number`.
pub(crate) fn vector(area: &[u8], layout: &Layout, number: u8, into: &mut [u8]) -> Option<()> {
    let present = present(area)?;
    // As many pieces as have a part of them; one that comes thrice gives the same each time.
    for piece in layout.pieces(number) {
        let Some(into) = into.get_mut(piece.from..) else {
            break;
        };
        if into.is_empty() {
            break;
        }
        if piece.at == 0 {
            return None;
        }
        let from = area.get(piece.at..)?.get(..piece.len)?;
        let known = present.wrapping_shr(piece.component) & 1 != 0;
        for (to, from) in into.iter_mut().zip(from) {
            *to = if known { *from } else { 0 };
        }
    }
    Some(())
}

/// Writes the lowest `from.len()` bytes of vector register `number`; the rest stays, or becomes zero.
pub(crate) fn set_vector(
    area: &mut [u8],
    layout: &Layout,
    number: u8,
    from: &[u8],
    rest: Rest,
) -> Option<()> {
    // Everything that can be wrong is found first.
    let mut old = [0; 64];
    vector(area, layout, number, old.get_mut(..from.len())?)?;
    for piece in layout.pieces(number) {
        if piece.at == 0 {
            continue;
        }
        let new = from.get(piece.from..).unwrap_or(&[]);
        if new.is_empty() && rest == Rest::Kept {
            break;
        }
        begin(area, layout, piece.component)?;
        let to = area.get_mut(piece.at..)?.get_mut(..piece.len)?;
        let (now, above) = to.split_at_mut(new.len().min(piece.len));
        for (to, from) in now.iter_mut().zip(new) {
            *to = *from;
        }
        if rest == Rest::Cleared {
            above.fill(0);
        }
    }
    Some(())
}

/// Reads opmask register `number`, 0 to 7.
pub(crate) fn opmask(area: &[u8], layout: &Layout, number: u8) -> Option<u64> {
    if layout.opmask == 0 {
        return None;
    }
    let at = layout.opmask.wrapping_add(usize::from(number & 7) * 8);
    let bytes = area.get(at..)?.first_chunk()?;
    let known = present(area)?.wrapping_shr(OPMASK) & 1 != 0;
    Some(if known { u64::from_le_bytes(*bytes) } else { 0 })
}

/// Makes a component one that is not in its initial state, by writing that state down. `None` if there is no
/// such component.
pub(crate) fn begin(area: &mut [u8], layout: &Layout, component: u32) -> Option<()> {
    if component == FPU {
        return begin_x87(area);
    }
    let (at, len) = layout.component(component);
    if at == 0 {
        return None;
    }
    let bits = present(area)?;
    let bit = 1u64.wrapping_shl(component);
    if bits & bit == 0 {
        area.get_mut(at..)?.get_mut(..len)?.fill(0);
        set_present(area, bits | bit)?;
    }
    Some(())
}

/// As [`begin`], of the x87 component.
fn begin_x87(area: &mut [u8]) -> Option<()> {
    let bits = present(area)?;
    if area.len() < HEAD {
        return None;
    }
    if bits & 1 == 0 {
        // The initial state: a control word, and zeros but for MXCSR.
        area.get_mut(..MXCSR)?.fill(0);
        *area.first_chunk_mut()? = 0x37fu16.to_le_bytes();
        area.get_mut(X87..XMM)?.fill(0);
        set_present(area, bits | 1)?;
    }
    Some(())
}

fn set_present(area: &mut [u8], bits: u64) -> Option<()> {
    *area.get_mut(PRESENT..)?.first_chunk_mut()? = bits.to_le_bytes();
    Some(())
}

/// Writes XSTATE_BV and XCOMP_BV.
pub(crate) fn set_header(area: &mut [u8], present: u64, compaction: u64) -> Option<()> {
    let header: &mut [u8; 16] = area.get_mut(PRESENT..)?.first_chunk_mut()?;
    let (low, high) = header.split_first_chunk_mut::<8>()?;
    *low = present.to_le_bytes();
    *high.first_chunk_mut()? = compaction.to_le_bytes();
    Some(())
}

/// Returns where MMX register `number` is: x87 registers are stored from the top of the stack on.
fn mmx_place(area: &[u8], number: u8) -> Option<usize> {
    let top = area.get(STATUS.wrapping_add(1))? >> 3 & 7;
    let distance = number.wrapping_sub(top) & 7;
    Some(X87.wrapping_add(STEP.wrapping_mul(distance.into())))
}

/// Whether an x87 exception is pending that the next instruction of the unit raises.
pub(crate) fn has_pending_exception(area: &[u8]) -> Option<bool> {
    let status = *area.get(STATUS)?;
    Some(present(area)? & 1 != 0 && status & SUMMARY != 0)
}

/// Reads MMX register `number`, 0 to 7.
pub(crate) fn mmx(area: &[u8], number: u8) -> Option<u64> {
    let bytes = area.get(mmx_place(area, number)?..)?.first_chunk()?;
    Some(match present(area)? & 1 {
        0 => 0,
        _ => u64::from_le_bytes(*bytes),
    })
}

/// Does what MMX instructions do to the x87 state: the top of the stack becomes 0, all tags valid.
pub(crate) fn enter_mmx(area: &mut [u8]) -> Option<()> {
    begin_x87(area)?;
    let status = area.get_mut(STATUS.wrapping_add(1))?;
    let top = usize::from(*status >> 3 & 7);
    *status &= !0x38;
    *area.get_mut(TAGS)? = 0xff;
    area.get_mut(X87..XMM)?.rotate_right(STEP.wrapping_mul(top));
    Some(())
}

/// Writes MMX register `number`; includes [`enter_mmx`].
pub(crate) fn set_mmx(area: &mut [u8], number: u8, value: u64) -> Option<()> {
    enter_mmx(area)?;
    let at = mmx_place(area, number)?;
    let to: &mut [u8; 10] = area.get_mut(at..)?.first_chunk_mut()?;
    let (low, high) = to.split_first_chunk_mut()?;
    *low = value.to_le_bytes();
    high.fill(0xff);
    Some(())
}

/// Returns MXCSR. It is there whichever components are.
pub(crate) fn mxcsr(area: &[u8]) -> Option<u32> {
    dword(area, MXCSR)
}

/// Returns which bits MXCSR can have.
pub(crate) fn mxcsr_mask(area: &[u8]) -> Option<u32> {
    Some(match dword(area, MXCSR_MASK)? {
        0 => MXCSR_DEFAULT_MASK,
        mask => mask,
    })
}

/// Writes MXCSR, whose bits the caller has checked.
pub(crate) fn set_mxcsr(area: &mut [u8], value: u32) -> Option<()> {
    *area.get_mut(MXCSR..)?.first_chunk_mut()? = value.to_le_bytes();
    Some(())
}

#[cfg(test)]
mod tests;
