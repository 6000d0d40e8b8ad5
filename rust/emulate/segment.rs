// SPDX-License-Identifier: GPL-2.0-only

//! Segmentation: from an offset in a segment to a linear address, with all checks.
//!
//! Source: AMD APM volume 2, chapter 4 "Segmented Virtual Memory", and section 1.1.3 "Canonical
//! Address Form".

use super::{
    ops::{
        Access,
        Exception,
        Fault,
        Mode,
        Ops,
        Result,
        SegmentState, //
    },
    prefix::Segment,
    CodeWidth, //
};

/// Attribute: a code or data segment has been used.
pub(super) const ACCESSED: u16 = 1 << 0;
/// Attribute: a code segment's readable bit, a data segment's writable bit.
pub(super) const READ_OR_WRITE: u16 = 1 << 1;
/// Attribute: a data segment grows down; a code segment can be called from outer levels.
pub(super) const EXPAND_DOWN: u16 = 1 << 2;
/// Attribute: a code segment.
pub(super) const CODE: u16 = 1 << 3;
/// Attribute: a code or data segment rather than a system segment.
pub(super) const NOT_SYSTEM: u16 = 1 << 4;
/// Attribute: present. A segment register with a null selector is not.
pub(super) const PRESENT: u16 = 1 << 7;
/// Attribute: 64-bit code.
pub(super) const LONG: u16 = 1 << 9;
/// Attribute: 32-bit stack pointer, upper bound of an expand-down segment.
pub(super) const BIG: u16 = 1 << 10;

impl SegmentState {
    /// Whether the stack pointer has 32 bits if this is the stack segment.
    pub(crate) const fn is_big(&self) -> bool {
        self.attributes & BIG != 0
    }

    /// Returns the descriptor's privilege level.
    pub(crate) const fn dpl(&self) -> u8 {
        (self.attributes >> 5 & 3) as u8
    }

    /// Whether it is a code segment.
    pub(crate) const fn is_code(&self) -> bool {
        self.attributes & (NOT_SYSTEM | CODE) == NOT_SYSTEM | CODE
    }

    /// Whether it is a code segment that outer levels can enter without becoming more privileged.
    pub(crate) const fn is_conforming(&self) -> bool {
        self.is_code() && self.attributes & EXPAND_DOWN != 0
    }

    /// Whether the segment's type allows `access` in protected mode.
    pub(crate) const fn allows(&self, access: Access) -> bool {
        if self.attributes & (PRESENT | NOT_SYSTEM) != PRESENT | NOT_SYSTEM {
            return false;
        }
        let read_or_write = self.attributes & READ_OR_WRITE != 0;
        match (self.attributes & CODE != 0, access) {
            (true, Access::Read) => read_or_write,
            (true, _) => false,
            (false, Access::Read) => true,
            (false, _) => read_or_write,
        }
    }

    /// Whether the offsets `first..=last` are in the segment.
    const fn contains(&self, first: u64, last: u64) -> bool {
        let limit = self.limit as u64;
        if self.attributes & (CODE | EXPAND_DOWN) == EXPAND_DOWN {
            let top = if self.is_big() { 0xffff_ffff } else { 0xffff };
            first > limit && last <= top
        } else {
            last <= limit
        }
    }
}

/// Part of a segment that an instruction accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// The segment.
    pub(crate) segment: Segment,
    /// Offset of the first byte, wrapped to the address size.
    pub(crate) offset: u64,
    /// Bytes, not 0 and at most 4096.
    pub(crate) len: usize,
    /// Alignment in bytes without which it may be #AC; 1 for none.
    pub(crate) align: usize,
}

impl Range {
    /// A number of `len` bytes.
    pub(crate) const fn number(segment: Segment, offset: u64, len: usize) -> Self {
        Self {
            segment,
            offset,
            len,
            align: len,
        }
    }

    /// Returns what an access that segmentation does not allow raises.
    pub(crate) fn refused(&self, mode: Mode) -> Exception {
        match self.segment {
            Segment::Ss => Exception::stack(mode),
            _ => Exception::protection(mode),
        }
    }
}

/// Returns the segment as it counts in code of width `code`.
fn state<O: Ops>(ops: &O, code: CodeWidth, segment: Segment) -> SegmentState {
    match (code, segment) {
        (CodeWidth::Bits64, Segment::Fs | Segment::Gs) => ops.segment(segment),
        (CodeWidth::Bits64, _) => SegmentState::NULL,
        _ => ops.segment(segment),
    }
}

/// Translates `range`, which must be aligned to its length, a power of two. Otherwise it is #GP, before
/// anything else about the address in 64-bit mode, and after limits and rights elsewhere.
///
/// # Errors
///
/// As for [`translate`].
pub(crate) fn translate_aligned<O: Ops>(
    ops: &mut O,
    code: CodeWidth,
    range: &Range,
    access: Access,
) -> Result<O::Place> {
    let low = (range.len as u64).wrapping_sub(1);
    let refused = Exception::protection(ops.mode());
    let base = state(ops, code, range.segment).base;
    let misaligned = base.wrapping_add(range.offset) & low != 0;
    if misaligned && code == CodeWidth::Bits64 {
        return Err(refused.into());
    }
    let linear = linear(ops, code, range, access)?;
    if misaligned {
        return Err(refused.into());
    }
    ops.translate(linear, range.len, access)
}

/// Makes sure that `range` is aligned to its length, a power of two, whether or not it can be accessed.
///
/// # Errors
///
/// #GP.
pub(crate) fn check_aligned<O: Ops>(ops: &O, code: CodeWidth, range: &Range) -> Result {
    let low = (range.len as u64).wrapping_sub(1);
    let base = state(ops, code, range.segment).base;
    if base.wrapping_add(range.offset) & low != 0 {
        return Err(Exception::protection(ops.mode()).into());
    }
    Ok(())
}

/// Returns the linear address of `range`, if the guest may access it as far as segmentation is
/// concerned.
///
/// # Errors
///
/// #GP, or #SS for the stack segment. [`Fault::Unhandleable`] for a range that wraps at the
/// end of the linear address space, on which manuals are silent.
pub(crate) fn linear<O: Ops>(
    ops: &O,
    code: CodeWidth,
    range: &Range,
    access: Access,
) -> Result<u64> {
    let state = state(ops, code, range.segment);
    linear_in(ops, code, &state, range, access, range.refused(ops.mode()))
}

/// As [`linear`], in a segment that is described by `state` instead of being loaded, and with the
/// exception `refused`. In 64-bit mode only its base counts.
pub(crate) fn linear_in<O: Ops>(
    ops: &O,
    code: CodeWidth,
    state: &SegmentState,
    range: &Range,
    access: Access,
    refused: Exception,
) -> Result<u64> {
    // `len` is never 0 and at most a few cache lines.
    let span = (range.len as u64).saturating_sub(1);
    if code == CodeWidth::Bits64 {
        let first = state.base.wrapping_add(range.offset);
        let last = first.wrapping_add(span);
        let bits = ops.linear_bits();
        if !is_canonical(first, bits) || !is_canonical(last, bits) {
            return Err(refused.into());
        }
        if last < first {
            return Err(Fault::Unhandleable);
        }
        return Ok(first);
    }

    if ops.mode() == Mode::Protected && !state.allows(access) {
        return Err(refused.into());
    }
    // Offsets have at most 32 bits here.
    let last = range.offset.checked_add(span).ok_or(refused)?;
    if !state.contains(range.offset, last) {
        return Err(refused.into());
    }
    let first = state.base.wrapping_add(range.offset) & 0xffff_ffff;
    if first.saturating_add(span) > 0xffff_ffff {
        return Err(Fault::Unhandleable);
    }
    Ok(first)
}

/// Translates `range`; see [`linear`] and [`Ops::translate`].
///
/// # Errors
///
/// As for these, and #AC.
pub(crate) fn translate<O: Ops>(
    ops: &mut O,
    code: CodeWidth,
    range: &Range,
    access: Access,
) -> Result<O::Place> {
    let linear = linear(ops, code, range, access)?;
    check_alignment(ops, linear, range.align)?;
    ops.translate(linear, range.len, access)
}

/// Raises #AC if `linear` is not a multiple of `align` and that matters.
pub(crate) fn check_alignment<O: Ops>(ops: &O, linear: u64, align: usize) -> Result {
    // `align` is a power of two.
    let low = (align as u64).wrapping_sub(1);
    if linear & low != 0 && ops.checks_alignment() {
        return Err(Exception::ALIGNMENT.into());
    }
    Ok(())
}

/// Whether all bits from the highest of `bits` up are equal.
pub(crate) fn is_canonical(address: u64, bits: u32) -> bool {
    let unused = 64u32.saturating_sub(bits);
    let extended = address.wrapping_shl(unused) as i64;
    extended.wrapping_shr(unused) as u64 == address
}
