// SPDX-License-Identifier: GPL-2.0-only

//! A guest made of arrays.

use crate::emulate::{
    area::{
        self,
        Layout, //
    },
    ops::{
        Access,
        CacheControl,
        Control,
        Exception,
        Fault,
        Feature,
        Fpu,
        Gpr,
        Invalidation,
        Mode,
        Ops,
        Replay,
        Rest,
        Result,
        SegmentState,
        System,
        SystemSegment,
        Table,
        TableState,
        TaskSwitch, //
    },
    prefix::Segment,
    width::Width,
    CodeWidth,
    Vendor, //
};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    rc::Rc, //
};

#[cfg(target_arch = "x86_64")]
use super::native::{
    Cpu,
    Native, //
};
use super::vectors::{
    Vectors,
    LAYOUT, //
};

/// A call that the emulator made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Translate(u64, usize, Access),
    Read(u64, usize),
    Write(u64, usize),
    CompareExchange(u64, usize),
    PortRead(u16, usize),
    PortWrite(u16, usize, u64),
    TranslateSystem(u64, usize, Access),
    SetControl(Control, u64),
    SetDebug(u8, u64),
    SetMsr(u32, u64),
    SetExtended(u32, u64),
    SetTable(Table, TableState),
    SetSystem(SystemSegment, u16),
    SetKeys(u32),
    Invalidate(Invalidation),
    Cache(CacheControl),
    SwapGs,
    SwitchTask(u16, TaskSwitch, u64),
}

/// Memory of a guest whose address space has holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) base: u64,
    pub(crate) bytes: Vec<u8>,
    /// Bytes that can be written, from the start on.
    pub(crate) writable: usize,
}

impl Region {
    fn range(&self, at: u64, len: usize) -> Option<std::ops::Range<usize>> {
        let from = usize::try_from(at.checked_sub(self.base)?).ok()?;
        (from + len <= self.bytes.len()).then_some(from..from + len)
    }
}

/// What an instruction can change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) gprs: [u64; 16],
    pub(crate) rflags: u64,
    /// Memory that was written, in lines of 64 bytes. The rest is zero.
    pub(crate) memory: BTreeMap<u64, [u8; 64]>,
    /// Memory in place of that.
    pub(crate) region: Option<Region>,
    pub(crate) mode: Mode,
    pub(crate) segments: [SegmentState; 6],
    pub(crate) selectors: [u16; 6],
    /// LDTR and TR.
    pub(crate) system: [(u16, SegmentState); 2],
    /// The global and the interrupt table.
    pub(crate) tables: [TableState; 2],
    pub(crate) cr: [u64; 9],
    pub(crate) dr: [u64; 8],
    pub(crate) msrs: BTreeMap<u32, u64>,
    pub(crate) xcr0: u64,
    pub(crate) pkru: u32,
    pub(crate) vectors: Option<Box<Vectors>>,
}

/// The guest.
pub(crate) struct Guest {
    pub(crate) state: State,
    pub(crate) rip: u64,
    pub(crate) vendor: Vendor,
    /// What its processor does not have.
    pub(crate) lacks: Vec<Feature>,
    pub(crate) nmi_unblocked: bool,
    /// What replays instructions, and the registers after the last one.
    #[cfg(target_arch = "x86_64")]
    pub(crate) native: Option<Rc<RefCell<Native>>>,
    pub(crate) pending: Option<Box<Vectors>>,
    /// Where its processor has components.
    pub(crate) layout: Layout,
    /// Whether the right to use ports is for the emulator to check.
    pub(crate) checks_ports: bool,
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
        let long = code == CodeWidth::Bits64;
        let data = SegmentState {
            base: 0,
            limit: if big { u32::MAX } else { 0xffff },
            attributes: attributes(3, big),
        };
        let mut segments = [data; 6];
        segments[Segment::Cs as usize].attributes = match long {
            true => 0xa9b,
            false => attributes(0xb, big),
        };
        Self {
            state: State {
                gprs: [0; 16],
                rflags: 2,
                memory: BTreeMap::new(),
                region: None,
                mode: if big { Mode::Protected } else { Mode::Real },
                segments,
                selectors: [0; 6],
                system: [(0, SegmentState::NULL); 2],
                tables: [TableState { base: 0, limit: 0 }; 2],
                cr: [0x8005_0033, 0, 0, 0, 0x6f8, 0, 0, 0, 0],
                dr: [0, 0, 0, 0, 0, 0, 0xffff_0ff0, 0x400],
                msrs: BTreeMap::from([(0xc000_0080, if long { 0xd01 } else { 1 })]),
                xcr0: 7,
                pkru: 0,
                vectors: None,
            },
            rip: 0x1000,
            vendor: Vendor::Amd,
            lacks: Vec::new(),
            nmi_unblocked: false,
            #[cfg(target_arch = "x86_64")]
            native: None,
            pending: None,
            layout: LAYOUT,
            checks_ports: false,
            mapped: 0..u64::MAX,
            code: BTreeMap::new(),
            calls: Vec::new(),
            fail: None,
        }
    }

    /// Puts bytes into memory.
    pub(crate) fn put(&mut self, mut at: u64, mut bytes: &[u8]) {
        if let Some(region) = &mut self.state.region {
            if let Some(range) = region.range(at, bytes.len()) {
                region.bytes[range].copy_from_slice(bytes);
                return;
            }
        }
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
        if let Some(region) = &self.state.region {
            if let Some(range) = region.range(at, len) {
                return region.bytes[range].to_vec();
            }
        }
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

    /// Makes the global descriptor table these descriptors, at a linear address that users cannot
    /// access.
    pub(crate) fn set_global_table(&mut self, descriptors: &[u64]) {
        const AT: u64 = 0xfff0_0000;
        for (n, descriptor) in descriptors.iter().enumerate() {
            self.put(AT + 8 * n as u64, &descriptor.to_le_bytes());
        }
        self.state.tables[0] = TableState {
            base: AT,
            limit: (8 * descriptors.len() - 1) as u16,
        };
    }

    /// Whether an access page-faults, and where and how.
    fn fault(&self, linear: u64, last: u64, access: Access) -> Option<Exception> {
        let write = if access.writes() { 2 } else { 0 };
        let Some(region) = &self.state.region else {
            let bad = [linear, last]
                .into_iter()
                .find(|a| !self.mapped.contains(a));
            return bad.map(|a| Exception::page(a, write));
        };
        let user = if self.cpl() == 3 { 4 } else { 0 };
        let end = region.base + region.bytes.len() as u64;
        for at in [linear, last] {
            let bad = if !(region.base..end).contains(&at) {
                0
            } else if access.writes() && at - region.base >= region.writable as u64 {
                1
            } else {
                continue;
            };
            // The first address of the access in that page.
            return Some(Exception::page(
                (at & !0xfff).max(linear),
                user | write | bad,
            ));
        }
        None
    }

    /// Changes the vector registers.
    fn change(&mut self, change: impl FnOnce(&mut [u8]) -> Option<()>) -> Result {
        let mut area = self.area()?;
        change(&mut area).ok_or(Fault::Unhandleable)?;
        self.state.vectors = Some(Box::new(Vectors::from_area(&area)));
        Ok(())
    }

    fn note(&mut self, call: Call) -> Result {
        self.calls.push(call);
        match self.fail {
            Some((number, fault)) if number + 1 == self.calls.len() => Err(fault),
            _ => Ok(()),
        }
    }
}

impl System for Guest {
    fn long_mode(&self) -> Result<bool> {
        Ok(self.state.msrs[&0xc000_0080] & 0x400 != 0)
    }
    fn control(&self, register: Control) -> Result<u64> {
        Ok(self.state.cr[index(register)])
    }
    fn set_control(&mut self, register: Control, value: u64) -> Result {
        self.note(Call::SetControl(register, value))?;
        self.state.cr[index(register)] = value;
        Ok(())
    }
    fn debug(&self, number: u8) -> Result<u64> {
        Ok(self.state.dr[usize::from(number)])
    }
    fn set_debug(&mut self, number: u8, value: u64) -> Result {
        self.note(Call::SetDebug(number, value))?;
        self.state.dr[usize::from(number)] = value;
        Ok(())
    }
    fn msr(&mut self, index: u32) -> Result<u64> {
        let known = self.state.msrs.get(&index).copied();
        known.ok_or(Exception::protection(self.state.mode).into())
    }
    fn set_msr(&mut self, index: u32, value: u64) -> Result {
        self.note(Call::SetMsr(index, value))?;
        self.state.msrs.insert(index, value);
        Ok(())
    }
    fn extended_control(&self, index: u32) -> Result<u64> {
        match index {
            0 => Ok(self.state.xcr0),
            _ => Err(Exception::protection(self.state.mode).into()),
        }
    }
    fn set_extended_control(&mut self, index: u32, value: u64) -> Result {
        self.note(Call::SetExtended(index, value))?;
        self.state.xcr0 = value;
        Ok(())
    }
    /// A leaf reads as itself, its subleaf and their complements.
    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> Result<[u32; 4]> {
        Ok([leaf, subleaf, !leaf, !subleaf])
    }
    fn time_stamp(&mut self) -> Result<u64> {
        Ok(0x1122_3344_5566_7788)
    }
    fn performance_counter(&mut self, index: u32) -> Result<u64> {
        Ok(u64::from(index) << 32 | 5)
    }
    fn random(&mut self, seed: bool) -> Result<Option<u64>> {
        Ok((!seed).then_some(0x0123_4567_89ab_cdef))
    }
    fn protection_keys(&self) -> Result<u32> {
        Ok(self.state.pkru)
    }
    fn set_protection_keys(&mut self, value: u32) -> Result {
        self.note(Call::SetKeys(value))?;
        self.state.pkru = value;
        Ok(())
    }
    fn table(&self, table: Table) -> Result<TableState> {
        Ok(self.state.tables[table as usize])
    }
    fn set_table(&mut self, table: Table, state: TableState) -> Result {
        self.note(Call::SetTable(table, state))?;
        self.state.tables[table as usize] = state;
        Ok(())
    }
    fn selector(&self, segment: Segment) -> Result<u16> {
        Ok(self.state.selectors[segment as usize])
    }
    fn set_segment(&mut self, segment: Segment, selector: u16, state: SegmentState) {
        self.state.selectors[segment as usize] = selector;
        self.state.segments[segment as usize] = state;
    }
    fn set_cpl(&mut self, cpl: u8) {
        // The stack segment says it, and the emulator must have loaded that.
        assert_eq!(self.state.segments[Segment::Ss as usize].dpl(), cpl);
    }
    fn system_segment(&self, segment: SystemSegment) -> Result<(u16, SegmentState)> {
        Ok(self.state.system[segment as usize])
    }
    fn set_system_segment(
        &mut self,
        segment: SystemSegment,
        selector: u16,
        state: SegmentState,
    ) -> Result {
        self.note(Call::SetSystem(segment, selector))?;
        self.state.system[segment as usize] = (selector, state);
        Ok(())
    }
    fn swap_gs(&mut self) -> Result {
        self.note(Call::SwapGs)
    }
    fn invalidate(&mut self, what: Invalidation) -> Result {
        self.note(Call::Invalidate(what))
    }
    fn cache(&mut self, what: CacheControl) -> Result {
        self.note(Call::Cache(what))
    }
    fn unblock_nmi(&mut self) {
        self.nmi_unblocked = true;
    }
    fn switch_task(&mut self, selector: u16, why: TaskSwitch, next_rip: u64) -> Result {
        self.note(Call::SwitchTask(selector, why, next_rip))
    }
}

fn index(register: Control) -> usize {
    match register {
        Control::Cr0 => 0,
        Control::Cr2 => 2,
        Control::Cr3 => 3,
        Control::Cr4 => 4,
        Control::Cr8 => 8,
    }
}

impl Fpu for Guest {
    type Area = Vec<u8>;

    fn area(&self) -> Result<Vec<u8>> {
        let vectors = self.state.vectors.as_ref().ok_or(Fault::Unhandleable)?;
        Ok(vectors.as_area())
    }
    fn set_area(&mut self, area: Vec<u8>) -> Result {
        self.state.vectors = Some(Box::new(Vectors::from_area(&area)));
        Ok(())
    }
    fn layout(&self) -> Result<Layout> {
        Ok(self.layout)
    }
    fn vector(&self, number: u8, into: &mut [u8]) -> Result {
        area::vector(&self.area()?, &LAYOUT, number, into).ok_or(Fault::Unhandleable)
    }
    fn set_vector(&mut self, number: u8, from: &[u8], rest: Rest) -> Result {
        self.change(|area| area::set_vector(area, &LAYOUT, number, from, rest))
    }
    fn opmask(&self, number: u8) -> Result<u64> {
        area::opmask(&self.area()?, &LAYOUT, number).ok_or(Fault::Unhandleable)
    }
    fn mmx(&self, number: u8) -> Result<u64> {
        let area = self.area()?;
        if area::has_pending_exception(&area).unwrap() {
            return Err(Exception::X87.into());
        }
        Ok(area::mmx(&area, number).unwrap())
    }
    fn set_mmx(&mut self, number: u8, value: u64) -> Result {
        self.change(|area| area::set_mmx(area, number, value))
    }
    fn enter_mmx(&mut self) -> Result {
        self.change(area::enter_mmx)
    }
    fn mxcsr(&self) -> Result<u32> {
        Ok(area::mxcsr(&self.area()?).unwrap())
    }
    fn set_mxcsr(&mut self, value: u32) -> Result {
        if value & !area::mxcsr_mask(&self.area()?).unwrap() != 0 {
            return Err(Exception::protection(self.state.mode).into());
        }
        self.change(|area| area::set_mxcsr(area, value))
    }
    #[cfg(target_arch = "x86_64")]
    fn replay(&mut self, replay: &mut Replay) -> Result {
        let native = self.native.clone().ok_or(Fault::Unhandleable)?;
        let vectors = self.state.vectors.clone().ok_or(Fault::Unhandleable)?;
        let mut native = native.borrow_mut();
        let code = &replay.code[..replay.len.into()];
        native.store(0, code);
        native.store(code.len(), &[0x90; 16]);
        native.store_window(&replay.buffer.0);
        let mut cpu = Cpu::new();
        cpu.gprs[0] = replay.rax;
        cpu.gprs[1] = replay.rcx;
        cpu.gprs[2] = replay.rdx;
        cpu.gprs[3] = native.window();
        cpu.rflags = replay.flags;
        cpu.rip = native.code();
        cpu.vectors = Some(vectors);
        let before = cpu.gprs;
        let ending = native.run(&mut cpu);
        self.pending = matches!(ending.vector, 1 | 19)
            .then_some(cpu.vectors)
            .flatten();
        if ending.vector != 1 {
            let error_code = matches!(ending.vector, 13).then_some(ending.error);
            let vector = ending.vector;
            return Err(Exception {
                vector,
                error_code,
                cr2: None,
            }
            .into());
        }
        assert_eq!(cpu.rip, native.code() + code.len() as u64);
        assert_eq!(
            before[3..],
            cpu.gprs[3..],
            "a replay changed other registers"
        );
        replay.rax = cpu.gprs[0];
        replay.rcx = cpu.gprs[1];
        replay.rdx = cpu.gprs[2];
        replay.flags = cpu.rflags;
        let len = replay.buffer.0.len();
        replay
            .buffer
            .0
            .copy_from_slice(&native.window_bytes()[..len]);
        Ok(())
    }
    fn commit_replay(&mut self) {
        self.state.vectors = Some(self.pending.take().expect("nothing was replayed"));
    }
}

impl Ops for Guest {
    type Place = (u64, usize, Access);

    fn vendor(&self) -> Vendor {
        self.vendor
    }
    fn mode(&self) -> Mode {
        self.state.mode
    }
    fn has(&self, feature: Feature) -> bool {
        !self.lacks.contains(&feature)
    }
    fn checks_alignment(&self) -> bool {
        // CR0.AM, RFLAGS.AC
        let on = self.state.cr[0] & 1 << 18 != 0 && self.state.rflags & 1 << 18 != 0;
        on && self.cpl() == 3
    }
    fn ports_are_checked(&self) -> bool {
        !self.checks_ports
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
        self.state.segments[segment as usize]
    }

    fn translate(&mut self, linear: u64, len: usize, access: Access) -> Result<Self::Place> {
        self.note(Call::Translate(linear, len, access))?;
        let last = linear.checked_add(len as u64 - 1).expect("a range wraps");
        match self.fault(linear, last, access) {
            Some(exception) => Err(exception.into()),
            None => Ok((linear, len, access)),
        }
    }

    fn translate_system(&mut self, linear: u64, len: usize, access: Access) -> Result<Self::Place> {
        self.note(Call::TranslateSystem(linear, len, access))?;
        Ok((linear, len, access))
    }

    fn part(&self, place: &Self::Place, from: usize, len: usize) -> Result<Self::Place> {
        let &(linear, whole, access) = place;
        assert!(len != 0 && from + len <= whole);
        Ok((linear + from as u64, len, access))
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
