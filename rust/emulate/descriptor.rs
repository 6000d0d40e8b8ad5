// SPDX-License-Identifier: GPL-2.0-only

//! Descriptors: how the guest's tables describe segments and gates.
//!
//! Source: AMD APM volume 2, sections 4.7 "Legacy Segment Descriptors" and 4.8 "Long-Mode Segment
//! Descriptors".

use super::{
    ops::{
        read_integer,
        Access,
        Exception,
        Fault,
        Ops,
        Result,
        SegmentState,
        SystemSegment,
        Table, //
    },
    segment::{
        ACCESSED,
        NOT_SYSTEM,
        PRESENT, //
    },
    width::Width, //
};

/// The eight bytes of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor(pub(crate) u64);

impl Descriptor {
    /// Returns the attributes as [`SegmentState`] has them.
    pub(crate) const fn attributes(self) -> u16 {
        // CAST: Twelve bits.
        (self.0 >> 40 & 0xff | self.0 >> 44 & 0xf00) as u16
    }

    /// Returns type and S: 5 bits, 0 to 15 for a system segment or gate.
    pub(crate) const fn kind(self) -> u16 {
        self.attributes() & 0x1f
    }

    /// Whether it is present.
    pub(crate) const fn is_present(self) -> bool {
        self.attributes() & PRESENT != 0
    }

    /// Returns the segment that it describes; only the lower half of a system segment's base.
    pub(crate) const fn state(self) -> SegmentState {
        let base = self.0 >> 16 & 0x00ff_ffff | self.0 >> 32 & 0xff00_0000;
        let limit = (self.0 & 0xffff | self.0 >> 32 & 0xf_0000) as u32;
        let attributes = (self.0 >> 40 & 0xff | self.0 >> 44 & 0xf00) as u16;
        SegmentState {
            base,
            limit: if attributes & 0x800 != 0 {
                limit << 12 | 0xfff
            } else {
                limit
            },
            attributes,
        }
    }

    /// Returns the selector in a gate.
    pub(crate) const fn gate_selector(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// Returns the offset in a gate of 32 bits, or the lower half of it in one of 64.
    pub(crate) const fn gate_offset(self) -> u64 {
        self.0 & 0xffff | self.0 >> 32 & 0xffff_0000
    }

    /// Returns how many parameters a call gate copies.
    pub(crate) const fn gate_parameters(self) -> usize {
        (self.0 >> 32 & 31) as usize
    }
}

/// A descriptor and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The descriptor.
    pub(crate) descriptor: Descriptor,
    /// The second half of a descriptor of 16 bytes, else 0.
    pub(crate) upper: u64,
    /// Its linear address.
    pub(crate) linear: u64,
}

/// Whether a selector names no segment.
pub(crate) const fn is_null(selector: u16) -> bool {
    selector & !3 == 0
}

/// Returns base and limit of the table that `selector` points into; `None` if there is no such
/// table.
fn table<O: Ops>(ops: &O, selector: u16) -> Result<Option<(u64, u64)>> {
    if selector & 4 == 0 {
        let table = ops.table(Table::Gdt)?;
        return Ok(Some((table.base, table.limit.into())));
    }
    let (_, table) = ops.system_segment(SystemSegment::LocalTable)?;
    if table.attributes & PRESENT == 0 {
        return Ok(None);
    }
    Ok(Some((table.base, table.limit.into())))
}

/// Returns the linear address of `len` bytes of the descriptor that `selector` names; `None` if it is
/// beyond its table.
fn locate<O: Ops>(ops: &O, selector: u16, len: u64) -> Result<Option<u64>> {
    let Some((base, limit)) = table(ops, selector)? else {
        return Ok(None);
    };
    let offset = u64::from(selector & !7);
    if offset.wrapping_add(len).wrapping_sub(1) > limit {
        return Ok(None);
    }
    let linear = base.wrapping_add(offset);
    Ok(Some(if ops.long_mode()? {
        linear
    } else {
        linear & 0xffff_ffff
    }))
}

/// Reads the descriptor that `selector`, which is not null, names.
///
/// # Errors
///
/// `missing` if its table does not reach so far.
pub(crate) fn find<O: Ops>(ops: &mut O, selector: u16, missing: Exception) -> Result<Found> {
    let linear = locate(ops, selector, 8)?.ok_or(missing)?;
    let place = ops.translate_system(linear, 8, Access::Read)?;
    let descriptor = Descriptor(read_integer(ops, &place, Width::Qword)?);
    Ok(Found {
        descriptor,
        upper: 0,
        linear,
    })
}

/// Reads the second half of a system descriptor in long mode.
///
/// # Errors
///
/// `wrong` if there is no room for it in the table, or what must be zero in it is not.
pub(crate) fn find_upper<O: Ops>(
    ops: &mut O,
    selector: u16,
    found: &mut Found,
    wrong: Exception,
) -> Result {
    let linear = locate(ops, selector, 16)?.ok_or(wrong)?;
    let place = ops.translate_system(linear.wrapping_add(8), 8, Access::Read)?;
    found.upper = read_integer(ops, &place, Width::Qword)?;
    // A type there would make it look like a descriptor of its own.
    if found.upper & 0x1f00_0000_0000 != 0 {
        return Err(wrong.into());
    }
    Ok(())
}

/// A bit that is to be set in a descriptor's type.
pub(crate) struct Mark<P>(Option<(P, u8, u8)>);

impl<P> Mark<P> {
    /// Nothing to be set.
    pub(crate) const NONE: Self = Self(None);

    /// Translates the byte in which `bit` is to be set, if it is not.
    fn bit<O: Ops<Place = P>>(ops: &mut O, found: &Found, bit: u16) -> Result<Self> {
        let attributes = found.descriptor.attributes();
        if attributes & bit != 0 {
            return Ok(Self(None));
        }
        let at = found.linear.wrapping_add(5);
        let place = ops.translate_system(at, 1, Access::ReadWrite)?;
        // CAST: The byte that the attributes' lower half is.
        Ok(Self(Some((
            place,
            attributes as u8,
            (attributes | bit) as u8,
        ))))
    }

    /// For a code or data segment that is loaded.
    pub(crate) fn accessed<O: Ops<Place = P>>(ops: &mut O, found: &Found) -> Result<Self> {
        if found.descriptor.attributes() & NOT_SYSTEM == 0 {
            return Err(Fault::Unhandleable);
        }
        Self::bit(ops, found, ACCESSED)
    }

    /// For a task state segment that becomes busy.
    pub(crate) fn busy<O: Ops<Place = P>>(ops: &mut O, found: &Found) -> Result<Self> {
        Self::bit(ops, found, 2)
    }

    /// Sets the bit.
    ///
    /// # Errors
    ///
    /// [`Fault::Retry`] if the byte is not any more what it was.
    pub(crate) fn apply<O: Ops<Place = P>>(&self, ops: &mut O) -> Result {
        match &self.0 {
            Some((place, old, new)) => ops.compare_exchange(place, &[*old], &[*new]),
            None => Ok(()),
        }
    }
}
