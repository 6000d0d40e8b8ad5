// SPDX-License-Identifier: GPL-2.0-only

//! Which bytes of an area instructions read and write.

use crate::emulate::area::{
    self,
    Layout, //
};
use core::ops::Range;

/// The x87 component.
pub(super) const X87: u64 = 1 << 0;
/// The lower 16 bytes of vectors 0 to 15.
pub(super) const SSE: u64 = 1 << 1;
/// The next 16 bytes.
pub(super) const AVX: u64 = 1 << 2;
/// Opmask registers.
const OPMASK: u64 = 1 << 5;
/// The upper 32 bytes of vectors 0 to 15.
const ZMM_HIGH: u64 = 1 << 6;
/// Vectors 16 to 31.
const ZMM_16: u64 = 1 << 7;
/// Everything that is known here.
pub(super) const KNOWN: u64 = X87 | SSE | AVX | OPMASK | ZMM_HIGH | ZMM_16;
/// Offset of the header.
pub(super) const HEADER: usize = 512;
/// Offset of the components behind the header.
const EXTENDED: usize = 576;
/// Offsets in the legacy part: the last opcode, MXCSR, x87 registers, vectors.
const OPCODE: usize = 6;
const MXCSR: usize = 24;
const REGISTERS: usize = 32;
const VECTORS: usize = 160;

/// Some bytes that are in the area and, maybe elsewhere, in the operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    at: usize,
    /// Offset in the operand.
    pub(super) memory: usize,
    /// Bytes.
    pub(super) len: usize,
}

impl Piece {
    /// Where it is in the area.
    pub(super) fn area(&self) -> Range<usize> {
        self.at..self.at.saturating_add(self.len)
    }
}

/// More pieces than there can be: four of the legacy part, the header, four components.
const MOST: usize = 9;

/// Pieces in ascending order, and how the mode and the processor want the x87 part.
#[derive(Clone, Copy)]
pub(super) struct Pieces {
    list: [Piece; MOST],
    count: usize,
    long: bool,
    /// Pointers have 64 bits.
    wide: bool,
    /// Pointers are there without an exception that is pending.
    pointers: bool,
}

impl Pieces {
    pub(super) const fn new(long: bool, wide: bool, pointers: bool) -> Self {
        const NONE: Piece = Piece {
            at: 0,
            memory: 0,
            len: 0,
        };
        Self {
            list: [NONE; MOST],
            count: 0,
            long,
            wide,
            pointers,
        }
    }

    pub(super) fn as_slice(&self) -> &[Piece] {
        self.list.get(..self.count).unwrap_or(&[])
    }

    pub(super) fn push(&mut self, at: usize, memory: usize, len: usize) {
        if len == 0 {
            return;
        }
        if let Some(place) = self.list.get_mut(self.count) {
            *place = Piece { at, memory, len };
            self.count = self.count.saturating_add(1);
        }
    }

    /// The first byte of all pieces in the operand, and the bytes from there to the last one.
    pub(super) fn span(&self) -> (usize, usize) {
        let pieces = self.as_slice();
        let start = pieces.first().map_or(0, |piece| piece.memory);
        let end = pieces
            .last()
            .map_or(0, |piece| piece.memory.saturating_add(piece.len));
        (start, end.saturating_sub(start))
    }

    const fn vectors_len(&self) -> usize {
        match self.long {
            true => 256,
            false => 128,
        }
    }

    /// Whether pointers go along with an x87 status.
    fn has_pointers(&self, area: &[u8]) -> bool {
        self.pointers || area::has_pending_exception(area) == Some(true)
    }

    /// Adds what is saved of the legacy part, and puts it into the form of the mode.
    pub(super) fn save_legacy(&mut self, area: &mut [u8], saved: u64, mxcsr: bool) {
        if saved & X87 != 0 {
            match self.has_pointers(area) {
                true => self.push(0, 0, MXCSR),
                false => self.push(0, 0, OPCODE),
            }
            if !self.wide {
                short_pointers(area);
            }
        }
        if mxcsr {
            self.push(MXCSR, MXCSR, 8);
        }
        if saved & X87 != 0 {
            self.push(REGISTERS, REGISTERS, 128);
        }
        if saved & SSE != 0 {
            self.push(VECTORS, VECTORS, self.vectors_len());
        }
    }

    /// Adds what is loaded of the legacy part.
    pub(super) fn load_legacy(&mut self, loaded: u64, mxcsr: bool) {
        if loaded & X87 != 0 {
            self.push(0, 0, MXCSR);
        }
        if mxcsr {
            self.push(MXCSR, MXCSR, 4);
        }
        if loaded & X87 != 0 {
            self.push(REGISTERS, REGISTERS, 128);
        }
        if loaded & SSE != 0 {
            self.push(VECTORS, VECTORS, self.vectors_len());
        }
    }

    /// Makes what was read of the x87 part what the processor makes of it. `old` are the pointers that it had.
    pub(super) fn take_x87(&self, area: &mut [u8], old: &[u8; MXCSR - OPCODE]) -> Option<()> {
        if !self.wide {
            short_pointers(area);
        }
        // Bits that are not there, and one that is always set.
        let control: &mut [u8; 2] = area.first_chunk_mut()?;
        let value = u16::from_le_bytes(*control) & 0x1f3f | 0x40;
        *control = value.to_le_bytes();
        // Whether an exception is pending follows from the others.
        let [flags, high] = area.get_mut(2..)?.first_chunk_mut::<2>()?;
        let pending = *flags & !value.to_le_bytes()[0] & 0x3f != 0;
        *flags = *flags & 0x7f | u8::from(pending) << 7;
        *high = *high & 0x7f | u8::from(pending) << 7;
        *area.get_mut(5)? = 0;
        if !self.has_pointers(area) {
            *area.get_mut(OPCODE..)?.first_chunk_mut()? = *old;
        }
        for register in area.get_mut(REGISTERS..VECTORS)?.chunks_mut(16) {
            register.get_mut(10..)?.fill(0);
        }
        Some(())
    }
}

/// Pointers of 32 bits, without selectors: what the processor keeps of them has none.
fn short_pointers(area: &mut [u8]) {
    for at in [12, 20] {
        if let Some(high) = area.get_mut(at..).and_then(|area| area.get_mut(..4)) {
            high.fill(0);
        }
    }
}

/// The x87 pointers and the opcode before them.
pub(super) fn pointers(area: &[u8]) -> Option<[u8; MXCSR - OPCODE]> {
    area.get(OPCODE..)?.first_chunk().copied()
}

/// The format of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Each component has its place.
    Standard,
    /// There is room for these only.
    Compacted(u64),
}

/// What a header says.
pub(super) struct Header {
    /// Components that are not in their initial state.
    pub(super) present: u64,
    /// XCOMP_BV.
    pub(super) compaction: u64,
    /// The number after that.
    pub(super) third: u64,
    /// Something else is not zero.
    pub(super) has_more: bool,
}

impl Header {
    pub(super) fn new(bytes: &[u8; 64]) -> Self {
        let number = |n: usize| {
            let bytes = bytes.get(n * 8..).and_then(|bytes| bytes.first_chunk());
            bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
        };
        Self {
            present: number(0),
            compaction: number(1),
            third: number(2),
            has_more: bytes.iter().skip(24).any(|byte| *byte != 0),
        }
    }
}

/// The components and where they are.
pub(super) struct Components {
    pub(super) layout: Layout,
    /// In 64-bit mode.
    pub(super) long: bool,
}

impl Components {
    /// Those of which an instruction sees anything in this mode.
    pub(super) const fn seen(&self) -> u64 {
        match self.long {
            true => KNOWN,
            false => KNOWN & !ZMM_16,
        }
    }

    /// Each component behind the header: its bit, its number, where the processor has it, how many bytes an
    /// instruction moves of it, and how many it has.
    fn extended(&self) -> [(u64, u32, usize, usize, usize); 4] {
        let layout = &self.layout;
        let (avx, high, sixteen) = match self.long {
            true => (256, 512, 1024),
            false => (128, 256, 0),
        };
        [
            (AVX, 2, layout.avx, avx, 256),
            (OPMASK, 5, layout.opmask, 64, 64),
            (ZMM_HIGH, 6, layout.zmm_high, high, 512),
            (ZMM_16, 7, layout.zmm_16, sixteen, 1024),
        ]
    }

    /// Adds those of `which` that are behind the header. All of them are known.
    pub(super) fn push(&self, pieces: &mut Pieces, which: u64, form: Form) {
        let mut next = EXTENDED;
        for (bit, number, at, len, whole) in self.extended() {
            let memory = match form {
                Form::Standard => at,
                Form::Compacted(parts) if parts & bit == 0 => continue,
                Form::Compacted(_) => {
                    if self.layout.aligned.wrapping_shr(number) & 1 != 0 {
                        next = next.saturating_add(63) & !63;
                    }
                    let memory = next;
                    next = next.saturating_add(whole);
                    memory
                }
            };
            if which & bit != 0 {
                pieces.push(at, memory, len);
            }
        }
    }

    /// Writes the initial state of those of `which` down that are in it. `None` if the area has no place for one.
    pub(super) fn write_down(&self, area: &mut [u8], which: u64) -> Option<()> {
        for number in [0, 1, 2, 5, 6, 7] {
            if which.wrapping_shr(number) & 1 != 0 {
                area::begin(area, &self.layout, number)?;
            }
        }
        Some(())
    }

    /// Prepares the copy for components that are loaded, and brings others into their initial state.
    pub(super) fn begin(&self, area: &mut [u8], loaded: u64, cleared: u64) -> Option<()> {
        self.write_down(area, loaded & self.seen())?;
        let halves = match self.long {
            true => 0,
            false => SSE | AVX | ZMM_HIGH,
        };
        // Of these the half that is not seen stays.
        self.write_down(area, cleared & halves)?;
        if cleared & halves & SSE != 0 {
            area.get_mut(VECTORS..)?.get_mut(..128)?.fill(0);
        }
        for (bit, _, at, len, _) in self.extended() {
            if cleared & halves & bit != 0 {
                area.get_mut(at..)?.get_mut(..len)?.fill(0);
            }
        }
        let present = area::present(area)?;
        area::set_header(area, present & !(cleared & self.seen() & !halves), 0)
    }
}
