// SPDX-License-Identifier: GPL-2.0-only

//! Stacks, and the frames of several items that one instruction pushes or pops.

use super::{
    operand::{
        Context,
        Register, //
    },
    ops::{
        Access,
        Exception,
        Fault,
        Gpr,
        Ops,
        Result,
        SegmentState, //
    },
    prefix::Segment,
    segment::{
        self,
        Range, //
    },
    width::Width,
    CodeWidth, //
};

/// The most bytes that a frame has: ENTER copies 31 frame pointers and pushes two more.
pub(crate) const MOST: usize = 33 * 8;

/// A stack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stack {
    /// The segment.
    state: SegmentState,
    /// The width of the code that uses it.
    code: CodeWidth,
    /// The width of the stack pointer.
    size: Width,
    /// Whether it is accessed as a supervisor whatever CPL is.
    system: bool,
    /// What an access beyond the segment raises.
    refused: Exception,
}

impl Stack {
    /// The stack in use.
    pub(crate) fn current<O: Ops>(ops: &O, cx: &Context) -> Self {
        let state = match cx.code {
            CodeWidth::Bits64 => SegmentState::NULL,
            _ => ops.segment(Segment::Ss),
        };
        Self {
            size: pointer_width(cx.code, &state),
            state,
            code: cx.code,
            system: false,
            refused: Exception::stack(ops.mode()),
        }
    }

    /// The stack of an inner privilege level, whose segment `selector` names. `code` is the width of
    /// the code that will run there.
    pub(crate) fn inner(state: SegmentState, selector: u16, code: CodeWidth) -> Self {
        Self {
            size: pointer_width(code, &state),
            state: match code {
                CodeWidth::Bits64 => SegmentState::NULL,
                _ => state,
            },
            code,
            system: true,
            refused: Exception::stack_selector(selector),
        }
    }

    /// Returns the width of the stack pointer.
    pub(crate) const fn size(&self) -> Width {
        self.size
    }

    /// Returns the stack pointer as a register.
    pub(crate) const fn pointer(&self) -> Register {
        Register::low(Gpr::RSP, self.size)
    }

    /// Returns `offset` moved by `by`, which may be negative, wrapped to the stack pointer's width.
    pub(crate) const fn moved(&self, offset: u64, by: i64) -> u64 {
        self.size.truncate(offset.wrapping_add_signed(by))
    }

    /// Translates one item.
    pub(crate) fn item<O: Ops>(
        &self,
        ops: &mut O,
        offset: u64,
        width: Width,
        access: Access,
    ) -> Result<O::Place> {
        self.range(ops, offset, width.bytes(), width.bytes(), access)
    }

    /// Translates `len` bytes at `offset`.
    fn range<O: Ops>(
        &self,
        ops: &mut O,
        offset: u64,
        len: usize,
        align: usize,
        access: Access,
    ) -> Result<O::Place> {
        let range = Range {
            segment: Segment::Ss,
            offset,
            len,
            align,
        };
        let (code, state) = (self.code, &self.state);
        let linear = segment::linear_in(ops, code, state, &range, access, self.refused)?;
        if self.system {
            return ops.translate_system(linear, len, access);
        }
        segment::check_alignment(ops, linear, align)?;
        ops.translate(linear, len, access)
    }

    /// Translates a frame of `count` items of `width`, at least one, the lowest at `offset`.
    ///
    /// If `down`, faults are found from the highest item downwards.
    ///
    /// # Errors
    ///
    /// Those of the first item that cannot be accessed.
    pub(crate) fn frame<O: Ops>(
        &self,
        ops: &mut O,
        offset: u64,
        count: usize,
        width: Width,
        (access, down): (Access, bool),
    ) -> Result<Frame<O::Place>> {
        let item = width.bytes();
        let len = count.saturating_mul(item);
        // Items that begin before the stack pointer wraps.
        let room = self.size.mask().wrapping_sub(offset);
        let before = match usize::try_from(room) {
            // An item may begin at the last offset.
            Ok(room) => (room / item)
                .saturating_add(1)
                .saturating_mul(item)
                .min(len),
            Err(_) => len,
        };
        let after = len.saturating_sub(before);
        if after == 0 {
            return Ok(Frame {
                low: self.piece(ops, offset, len, item, (access, down))?,
                low_len: len,
                high: None,
            });
        }
        let wrapped = self.size.truncate(offset.wrapping_add(before as u64));
        let (low, high);
        if down {
            high = self.piece(ops, wrapped, after, item, (access, down))?;
            low = self.piece(ops, offset, before, item, (access, down))?;
        } else {
            low = self.piece(ops, offset, before, item, (access, down))?;
            high = self.piece(ops, wrapped, after, item, (access, down))?;
        }
        Ok(Frame {
            low,
            low_len: before,
            high: Some(high),
        })
    }

    /// Translates a part of a frame that does not wrap.
    fn piece<O: Ops>(
        &self,
        ops: &mut O,
        offset: u64,
        len: usize,
        item: usize,
        (access, down): (Access, bool),
    ) -> Result<O::Place> {
        let start = self.state.base.wrapping_add(offset);
        // CAST: Twelve bits.
        let in_page = 0x1000usize.saturating_sub((start & 0xfff) as usize);
        if down && len > item {
            // The highest item, and the highest that has a part in the lower page, are what a
            // processor would fault on.
            let top = len.saturating_sub(item);
            let boundary = (in_page.saturating_sub(1) / item).saturating_mul(item);
            self.range(ops, offset.wrapping_add(top as u64), item, item, access)?;
            if boundary < top {
                self.range(
                    ops,
                    offset.wrapping_add(boundary as u64),
                    item,
                    item,
                    access,
                )?;
            }
        }
        self.range(ops, offset, len, item, access)
    }
}

/// Returns the width of the stack pointer in code of width `code`.
const fn pointer_width(code: CodeWidth, stack: &SegmentState) -> Width {
    match code {
        CodeWidth::Bits64 => Width::Qword,
        _ if stack.is_big() => Width::Dword,
        _ => Width::Word,
    }
}

/// A frame that has been translated.
pub(crate) struct Frame<P> {
    low: P,
    low_len: usize,
    /// What comes after the stack pointer has wrapped.
    high: Option<P>,
}

impl<P> Frame<P> {
    /// Reads the frame; `into` is as long as it.
    pub(crate) fn read<O: Ops<Place = P>>(&self, ops: &mut O, into: &mut [u8]) -> Result {
        let (low, high) = into
            .split_at_mut_checked(self.low_len)
            .ok_or(Fault::Unhandleable)?;
        ops.read(&self.low, low)?;
        match &self.high {
            Some(place) => ops.read(place, high),
            None => Ok(()),
        }
    }

    /// Writes the frame; `from` is as long as it.
    pub(crate) fn write<O: Ops<Place = P>>(&self, ops: &mut O, from: &[u8]) -> Result {
        let (low, high) = from
            .split_at_checked(self.low_len)
            .ok_or(Fault::Unhandleable)?;
        ops.write(&self.low, low)?;
        match &self.high {
            Some(place) => ops.write(place, high),
            None => Ok(()),
        }
    }
}

/// The items of a frame, from the lowest on.
pub(crate) struct Items<const BYTES: usize> {
    bytes: [u8; BYTES],
    width: Width,
    count: usize,
}

impl<const BYTES: usize> Items<BYTES> {
    /// No items yet, of `width`.
    pub(crate) const fn new(width: Width) -> Self {
        Self {
            bytes: [0; BYTES],
            width,
            count: 0,
        }
    }

    /// Adds an item above the others.
    pub(crate) fn put(&mut self, value: u64) -> Result {
        let item = self.width.bytes();
        let at = self.count.saturating_mul(item);
        let value = value.to_le_bytes();
        let from = value.get(..item).ok_or(Fault::Unhandleable)?;
        self.bytes
            .get_mut(at..at.saturating_add(item))
            .ok_or(Fault::Unhandleable)?
            .copy_from_slice(from);
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// Returns an item.
    pub(crate) fn get(&self, number: usize) -> Result<u64> {
        let item = self.width.bytes();
        let at = number.saturating_mul(item);
        let mut value = [0; 8];
        let from = self.bytes.get(at..at.saturating_add(item));
        value
            .get_mut(..item)
            .ok_or(Fault::Unhandleable)?
            .copy_from_slice(from.ok_or(Fault::Unhandleable)?);
        Ok(u64::from_le_bytes(value))
    }

    /// Returns the bytes of all items.
    pub(crate) fn bytes(&self) -> &[u8] {
        let len = self.count.saturating_mul(self.width.bytes());
        self.bytes.get(..len).unwrap_or(&[])
    }

    /// Reads `count` items at `offset` of `stack`.
    pub(crate) fn pop<O: Ops>(
        ops: &mut O,
        stack: &Stack,
        offset: u64,
        count: usize,
        width: Width,
    ) -> Result<Self> {
        let mut items = Self::new(width);
        items.read(ops, stack, offset, count, false)?;
        Ok(items)
    }

    /// As [`pop`](Self::pop), for a frame of which the highest item is read first if `down`.
    pub(crate) fn pop_down<O: Ops>(
        ops: &mut O,
        stack: &Stack,
        offset: u64,
        count: usize,
        width: Width,
        down: bool,
    ) -> Result<Self> {
        let mut items = Self::new(width);
        items.read(ops, stack, offset, count, down)?;
        Ok(items)
    }

    /// Reads `count` more items, at `offset` of `stack`.
    pub(crate) fn read<O: Ops>(
        &mut self,
        ops: &mut O,
        stack: &Stack,
        offset: u64,
        count: usize,
        down: bool,
    ) -> Result {
        let frame = stack.frame(ops, offset, count, self.width, (Access::Read, down))?;
        let item = self.width.bytes();
        let start = self.count.saturating_mul(item);
        let end = start.saturating_add(count.saturating_mul(item));
        let into = self.bytes.get_mut(start..end).ok_or(Fault::Unhandleable)?;
        frame.read(ops, into)?;
        self.count = self.count.saturating_add(count);
        Ok(())
    }

    /// Translates the memory below `top` that the items will take, and returns it and the new top.
    pub(crate) fn prepare<O: Ops>(
        &self,
        ops: &mut O,
        stack: &Stack,
        top: u64,
    ) -> Result<(Frame<O::Place>, u64)> {
        let len = self.bytes().len() as i64;
        let new = stack.moved(top, len.wrapping_neg());
        let frame = stack.frame(ops, new, self.count, self.width, (Access::Write, true))?;
        Ok((frame, new))
    }
}
