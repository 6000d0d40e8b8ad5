// SPDX-License-Identifier: GPL-2.0-only

//! A guest made of arrays.

use crate::emulate::{
    ops::{
        Access,
        Exception,
        Fault,
        Gpr,
        Mode,
        Ops,
        Result,
        SegmentState, //
    },
    prefix::Segment,
    width::Width,
    CodeWidth,
    Vendor, //
};
use std::collections::BTreeMap;

/// A call that the emulator made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Translate(u64, usize, Access),
    Read(u64, usize),
    Write(u64, usize),
    CompareExchange(u64, usize),
    PortRead(u16, usize),
    PortWrite(u16, usize, u64),
}

/// What an instruction can change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) gprs: [u64; 16],
    pub(crate) rflags: u64,
    /// Memory that was written, in lines of 64 bytes. The rest is zero.
    pub(crate) memory: BTreeMap<u64, [u8; 64]>,
}

/// The guest.
pub(crate) struct Guest {
    pub(crate) state: State,
    pub(crate) rip: u64,
    pub(crate) mode: Mode,
    pub(crate) vendor: Vendor,
    pub(crate) segments: [SegmentState; 6],
    /// Linear addresses that can be accessed; others page-fault.
    pub(crate) mapped: std::ops::Range<u64>,
    /// Instruction bytes beyond those handed to the emulator, at their offsets.
    pub(crate) code: BTreeMap<u64, u8>,
    /// The calls so far.
    pub(crate) calls: Vec<Call>,
    /// The number of the call that fails, and how.
    pub(crate) fail: Option<(usize, Fault)>,
}

/// Attributes of a 16- or 32-bit segment of type `kind`, present, DPL 0.
pub(crate) const fn attributes(kind: u16, big: bool) -> u16 {
    kind | 0x90 | if big { 0xc00 } else { 0 }
}

impl Guest {
    /// A guest in flat segments with no memory.
    pub(crate) fn flat(code: CodeWidth) -> Self {
        let big = code != CodeWidth::Bits16;
        let data = SegmentState {
            base: 0,
            limit: if big { u32::MAX } else { 0xffff },
            attributes: attributes(3, big),
        };
        let mut segments = [data; 6];
        segments[Segment::Cs as usize].attributes = attributes(0xb, big);
        Self {
            state: State {
                gprs: [0; 16],
                rflags: 2,
                memory: BTreeMap::new(),
            },
            rip: 0x1000,
            mode: if big { Mode::Protected } else { Mode::Real },
            vendor: Vendor::Amd,
            segments,
            mapped: 0..u64::MAX,
            code: BTreeMap::new(),
            calls: Vec::new(),
            fail: None,
        }
    }

    /// Puts bytes into memory.
    pub(crate) fn put(&mut self, mut at: u64, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let line = self.state.memory.entry(at / 64).or_insert([0; 64]);
            let to = &mut line[(at % 64) as usize..];
            let (now, later) = bytes.split_at(bytes.len().min(to.len()));
            to[..now.len()].copy_from_slice(now);
            at += now.len() as u64;
            bytes = later;
        }
    }

    /// Gets bytes from memory.
    pub(crate) fn bytes(&self, mut at: u64, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let line = self.state.memory.get(&(at / 64)).unwrap_or(&[0; 64]);
            let from = &line[(at % 64) as usize..];
            let from = &from[..from.len().min(len - bytes.len())];
            bytes.extend(from);
            at = at.wrapping_add(from.len() as u64);
        }
        bytes
    }

    fn note(&mut self, call: Call) -> Result {
        self.calls.push(call);
        match self.fail {
            Some((number, fault)) if number + 1 == self.calls.len() => Err(fault),
            _ => Ok(()),
        }
    }
}

impl Ops for Guest {
    type Place = (u64, usize, Access);

    fn vendor(&self) -> Vendor {
        self.vendor
    }
    fn mode(&self) -> Mode {
        self.mode
    }
    fn gpr(&self, register: Gpr) -> u64 {
        self.state.gprs[usize::from(register.number())]
    }
    fn set_gpr(&mut self, register: Gpr, value: u64) {
        self.state.gprs[usize::from(register.number())] = value;
    }
    fn rip(&self) -> u64 {
        self.rip
    }
    fn rflags(&self) -> u64 {
        self.state.rflags
    }
    fn set_rflags(&mut self, value: u64) {
        self.state.rflags = value;
    }
    fn segment(&self, segment: Segment) -> SegmentState {
        self.segments[segment as usize]
    }

    fn translate(&mut self, linear: u64, len: usize, access: Access) -> Result<Self::Place> {
        self.note(Call::Translate(linear, len, access))?;
        let last = linear.checked_add(len as u64 - 1).expect("a range wraps");
        if let Some(bad) = [linear, last].iter().find(|a| !self.mapped.contains(a)) {
            return Err(Exception::page(*bad, if access.writes() { 2 } else { 0 }).into());
        }
        Ok((linear, len, access))
    }

    fn read(&mut self, place: &Self::Place, into: &mut [u8]) -> Result {
        let &(linear, len, access) = place;
        assert_eq!(into.len(), len);
        assert_ne!(
            access,
            Access::Write,
            "read of what was translated for a write"
        );
        self.note(Call::Read(linear, len))?;
        into.copy_from_slice(&self.bytes(linear, len));
        Ok(())
    }

    fn write(&mut self, place: &Self::Place, from: &[u8]) -> Result {
        let &(linear, len, access) = place;
        assert_eq!(from.len(), len);
        assert!(access.writes(), "write of what was translated for a read");
        self.note(Call::Write(linear, len))?;
        self.put(linear, from);
        Ok(())
    }

    fn compare_exchange(&mut self, place: &Self::Place, old: &[u8], new: &[u8]) -> Result {
        let &(linear, len, access) = place;
        assert_eq!((old.len(), new.len()), (len, len));
        assert_eq!(access, Access::ReadWrite);
        self.note(Call::CompareExchange(linear, len))?;
        if self.bytes(linear, len) != old {
            return Err(Fault::Retry);
        }
        self.put(linear, new);
        Ok(())
    }

    /// A port reads as its number and its complement.
    fn port_read(&mut self, port: u16, width: Width) -> Result<u64> {
        self.note(Call::PortRead(port, width.bytes()))?;
        Ok(u64::from(port) | u64::from(!port) << 16)
    }

    fn port_write(&mut self, port: u16, width: Width, value: u64) -> Result {
        assert_eq!(value & !width.mask(), 0);
        self.note(Call::PortWrite(port, width.bytes(), value))
    }

    fn fetch(&mut self, rip: u64, into: &mut [u8]) -> Result<usize> {
        let mut len = 0;
        for byte in into.iter_mut() {
            match self.code.get(&(rip + len as u64)) {
                Some(&b) => *byte = b,
                None => break,
            }
            len += 1;
        }
        if len == 0 {
            return Err(Exception::page(rip, 0x10).into());
        }
        Ok(len)
    }
}
