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

/// Attribute: a code segment's readable bit, a data segment's writable bit.
const READ_OR_WRITE: u16 = 1 << 1;
/// Attribute: a data segment grows down.
const EXPAND_DOWN: u16 = 1 << 2;
/// Attribute: a code segment.
const CODE: u16 = 1 << 3;
/// Attribute: a code or data segment rather than a system segment.
const NOT_SYSTEM: u16 = 1 << 4;
/// Attribute: present. A segment register with a null selector is not.
const PRESENT: u16 = 1 << 7;
/// Attribute: 32-bit stack pointer, upper bound of an expand-down segment.
const BIG: u16 = 1 << 10;

impl SegmentState {
    /// Whether the stack pointer has 32 bits if this is the stack segment.
    pub(crate) const fn is_big(&self) -> bool {
        self.attributes & BIG != 0
    }

    /// Whether the segment's type allows `access` in protected mode.
    const fn allows(&self, access: Access) -> bool {
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

/// Returns the linear address of `len` bytes at `offset` in `segment`, if the guest may access them
/// as far as segmentation is concerned.
///
/// # Errors
///
/// #GP, or #SS for the stack segment. [`Fault::Unhandleable`] for a range that wraps at the
/// end of the linear address space, on which manuals are silent.
pub(crate) fn linear<O: Ops>(
    ops: &O,
    code: CodeWidth,
    segment: Segment,
    offset: u64,
    len: usize,
    access: Access,
) -> Result<u64> {
    let refused = || -> Fault {
        match segment {
            Segment::Ss => Exception::stack(ops.mode()).into(),
            _ => Exception::protection(ops.mode()).into(),
        }
    };
    // `len` is never 0 and at most a few cache lines.
    let span = (len as u64).saturating_sub(1);

    if code == CodeWidth::Bits64 {
        let base = match segment {
            Segment::Fs | Segment::Gs => ops.segment(segment).base,
            _ => 0,
        };
        let first = base.wrapping_add(offset);
        let last = first.wrapping_add(span);
        let bits = ops.linear_bits();
        if !is_canonical(first, bits) || !is_canonical(last, bits) {
            return Err(refused());
        }
        if last < first {
            return Err(Fault::Unhandleable);
        }
        return Ok(first);
    }

    let state = ops.segment(segment);
    if ops.mode() == Mode::Protected && !state.allows(access) {
        return Err(refused());
    }
    // Offsets have at most 32 bits here.
    let last = offset.checked_add(span).ok_or_else(refused)?;
    if !state.contains(offset, last) {
        return Err(refused());
    }
    let first = state.base.wrapping_add(offset) & 0xffff_ffff;
    if first + span > 0xffff_ffff {
        return Err(Fault::Unhandleable);
    }
    Ok(first)
}

/// Translates `len` bytes at `offset` in `segment`; see [`linear`] and [`Ops::translate`].
pub(crate) fn translate<O: Ops>(
    ops: &mut O,
    code: CodeWidth,
    segment: Segment,
    offset: u64,
    len: usize,
    access: Access,
) -> Result<O::Place> {
    let linear = linear(ops, code, segment, offset, len, access)?;
    ops.translate(linear, len, access)
}

/// Whether all bits from the highest of `bits` up are equal.
fn is_canonical(address: u64, bits: u32) -> bool {
    let unused = 64u32.saturating_sub(bits);
    let extended = address.wrapping_shl(unused) as i64;
    extended.wrapping_shr(unused) as u64 == address
}
