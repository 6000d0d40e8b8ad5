// SPDX-License-Identifier: GPL-2.0-only

//! The guest, as the emulator sees it.
//!
//! Each access is translated first, all pages of it, without a mark in the guest's tables; then it is judged by the
//! rights of every page that it and its walks touch; and only then are accessed and dirty bits set (E-4, E-6). The
//! first page whose rights do not allow it ends the attempt with an event.

mod features;
mod vector;

use super::{
    Place,
    Rules, //
};
use crate::abi::errno::EFAULT;
use crate::emulate::decode::decode;
use crate::emulate::flags::AC;
use crate::emulate::ops::{
    Access,
    CacheControl,
    Control,
    Exception,
    Fault,
    Feature,
    Gpr,
    Invalidation,
    Mode,
    Ops,
    Result,
    SegmentState,
    System,
    SystemSegment,
    Table,
    TableState, //
};
use crate::emulate::prefix::Segment;
use crate::emulate::string::BATCH;
use crate::emulate::width::Width;
use crate::emulate::{
    CodeWidth,
    Vendor, //
};
use crate::hw::rights::{
    Judgement,
    Kind,
    Rights, //
};
use crate::hw::state::{
    self,
    SegmentName,
    CR0_PE,
    CR4_LA57,
    EFER_LMA,
    RFLAGS_VM, //
};
use crate::hw::{
    Backend,
    IoAccess,
    Vcpu as _, //
};
use crate::mm::access::{
    check,
    Outcome,
    Part,
    Sought,
    Violation,
    Wanted, //
};
use crate::mm::guest::GuestMemory;
use crate::mm::walk;
use crate::policy::cpuid;
use crate::run::monitor::{
    watched_rights,
    ReadOnly, //
};
use crate::run::Running;
use crate::sys::random::random;
use crate::vm_event::Want;

/// The base that SWAPGS gives GS.
const KERNEL_GS_BASE: u32 = 0xc000_0102;
/// CR0.AM.
const CR0_AM: u64 = 1 << 18;
/// How often rights may turn into others for one access: once for each page and entry that it touches.
const TURNS: usize = 16;

/// The guest as the emulator sees it.
pub(in crate::run) struct GuestOps<'r, 'v, B: Backend> {
    running: &'r mut Running<'v, B>,
    /// The access to a port for which the guest exited.
    port: Option<IoAccess>,
    rules: &'r Rules<'r>,
    /// What is looked for without carrying the instruction out.
    probe: Option<Sought>,
}

impl<'r, 'v, B: Backend> GuestOps<'r, 'v, B> {
    /// For an instruction that uses no port.
    pub(in crate::run) fn new(running: &'r mut Running<'v, B>, rules: &'r Rules<'r>) -> Self {
        Self {
            running,
            port: None,
            rules,
            probe: None,
        }
    }

    /// For the instruction that made this access.
    pub(in crate::run) fn for_port(
        running: &'r mut Running<'v, B>,
        rules: &'r Rules<'r>,
        port: IoAccess,
    ) -> Self {
        Self {
            port: Some(port),
            ..Self::new(running, rules)
        }
    }

    /// To find an access of the instruction. Nothing is carried out.
    pub(super) fn probing(
        running: &'r mut Running<'v, B>,
        rules: &'r Rules<'r>,
        sought: Sought,
    ) -> Self {
        Self {
            probe: Some(sought),
            ..Self::new(running, rules)
        }
    }

    /// What a probe has found.
    pub(super) fn probed(self) -> Option<Sought> {
        self.probe
    }

    fn probes(&self) -> bool {
        self.probe.is_some()
    }

    /// A probe changes nothing.
    fn may_change(&self) -> Result {
        if self.probes() {
            Err(Fault::Retry)
        } else {
            Ok(())
        }
    }

    /// Whether the processor has allowed this access, or the emulator if the guest has exited for something else. An
    /// access that a monitor wants to hear of is the processor's.
    fn check_port(&self, port: u16, width: Width, input: bool) -> Result {
        self.may_change()?;
        let allowed = match self.port {
            Some(io) => {
                io.port == port && usize::from(io.bytes) == width.bytes() && io.input == input
            }
            None => !self.rules.checks || !self.running.want.any(Want::IO),
        };
        if allowed {
            Ok(())
        } else {
            Err(Fault::Retry)
        }
    }

    /// Does what follows from rights that do not allow an access (E-1): they turn into others, or it was recorded for
    /// the monitor and the instruction is given up.
    fn denied(&mut self, violation: &Violation, rights: Rights, judgement: Judgement) -> Result {
        if self.running.judged(violation, rights, judgement) {
            Ok(())
        } else {
            self.running.owned.watched.denied = true;
            Err(Fault::Retry)
        }
    }

    /// Judges the fetch of the instruction that `bytes` begin with, at linear address `at`.
    pub(super) fn judge_fetch(&mut self, at: u64, bytes: &[u8], width: CodeWidth) -> Result {
        if !self.judges() {
            return Ok(());
        }
        let len = decode(bytes, width, self.vendor()).map_or(1, |insn| insn.len);
        self.look(&self.wanted_code(at, len.max(1).into()))?;
        Ok(())
    }

    /// A fetch of code.
    fn wanted_code(&self, linear: u64, len: usize) -> Wanted {
        Wanted {
            linear,
            len,
            kind: Kind::Fetch,
            user: self.running.hw.cpl() == 3,
        }
    }

    /// Whether accesses have to be judged.
    fn judges(&self) -> bool {
        self.rules.checks && !self.probes() && self.running.domain.p2m.restricts()
    }

    fn translate_for(
        &mut self,
        linear: u64,
        len: usize,
        access: Access,
        user: bool,
    ) -> Result<Place> {
        let wanted = Wanted {
            linear,
            len,
            kind: kind_of(access),
            user,
        };
        let place = self.look(&wanted)?;
        self.note_probed(&wanted, place.first, place.second)?;
        Ok(place)
    }

    /// Translates an access and judges it, until the rights that it meets stay as they are.
    fn look(&mut self, wanted: &Wanted) -> Result<Place> {
        let paging = self.running.paging();
        let domain = self.running.domain;
        let judges = self.judges();
        let walks = judges && !self.running.want.any(Want::NO_WALKS);
        for _ in 0..TURNS {
            let rights = |gfn: u64| {
                if judges {
                    watched_rights(&domain.p2m, gfn)
                } else {
                    None
                }
            };
            // A probe leaves no mark.
            let memory = GuestMemory(&domain.p2m);
            let outcome = if self.probes() {
                check(&ReadOnly(memory), &paging, wanted, walks, rights)
            } else {
                check(&memory, &paging, wanted, walks, rights)
            };
            match outcome {
                Outcome::Allow(first, second) => {
                    return Ok(Place { first, second });
                }
                Outcome::Deny(violation, rights, judgement) => {
                    self.denied(&violation, rights, judgement)?;
                }
                Outcome::Fault(walk::Fault::Page(code), at) => {
                    self.note_fault();
                    return Err(Exception::page(at, code).into());
                }
                Outcome::Fault(walk::Fault::NonCanonical, _) => {
                    return Err(Exception::protection(Mode::Protected).into());
                }
                Outcome::Fault(walk::Fault::NoMemory, _) => return Err(Fault::Unhandleable),
            }
        }
        // Somebody else turns them as fast as they are turned.
        Err(Fault::Retry)
    }

    /// Ends a probe that has found what it looks for.
    fn note_probed(&mut self, wanted: &Wanted, first: Part, second: Part) -> Result {
        let probe = self.probe.as_mut();
        if probe.is_some_and(|probe| probe.note(wanted, first, second)) {
            Err(Fault::Retry)
        } else {
            Ok(())
        }
    }

    /// Notes a page fault in a probe.
    fn note_fault(&mut self) {
        if let Some(probe) = &mut self.probe {
            probe.note_fault();
        }
    }
}

/// What an access does to its pages.
const fn kind_of(access: Access) -> Kind {
    match access {
        Access::Read => Kind::Read,
        Access::Write => Kind::Write,
        Access::ReadWrite => Kind::ReadWrite,
    }
}

/// The emulator's name of a segment register, as the hardware's.
fn name_of(segment: Segment) -> SegmentName {
    match segment {
        Segment::Es => SegmentName::Es,
        Segment::Cs => SegmentName::Cs,
        Segment::Ss => SegmentName::Ss,
        Segment::Ds => SegmentName::Ds,
        Segment::Fs => SegmentName::Fs,
        Segment::Gs => SegmentName::Gs,
    }
}

fn state_of(segment: &state::Segment) -> SegmentState {
    SegmentState {
        base: segment.base,
        limit: segment.limit,
        attributes: segment.attr,
    }
}

fn hidden(selector: u16, state: SegmentState) -> state::Segment {
    state::Segment {
        selector,
        attr: state.attributes,
        limit: state.limit,
        base: state.base,
    }
}

const fn table_name(table: Table) -> SegmentName {
    match table {
        Table::Gdt => SegmentName::Gdtr,
        Table::Idt => SegmentName::Idtr,
    }
}

const fn system_name(segment: SystemSegment) -> SegmentName {
    match segment {
        SystemSegment::LocalTable => SegmentName::Ldtr,
        SystemSegment::Task => SegmentName::Tr,
    }
}

/// What a guest executes that a monitor has emulated, and what accesses devices. Task switches and counters are not
/// among it.
impl<B: Backend> System for GuestOps<'_, '_, B> {
    fn long_mode(&self) -> Result<bool> {
        Ok(self.running.hw.efer() & EFER_LMA != 0)
    }

    fn control(&self, register: Control) -> Result<u64> {
        Ok(match register {
            Control::Cr0 => self.running.hw.cr0(),
            Control::Cr2 => self.running.hw.cr2(),
            Control::Cr3 => self.running.hw.cr3(),
            Control::Cr4 => self.running.hw.cr4(),
            Control::Cr8 => self.running.hw.cr8().into(),
        })
    }

    fn set_control(&mut self, register: Control, value: u64) -> Result {
        self.may_change()?;
        let refused = || Fault::from(Exception::protection(Mode::Protected));
        let mut store = |number| {
            let stored = self.running.store_control(number, value);
            stored.then_some(()).ok_or_else(refused)
        };
        match register {
            Control::Cr0 => store(0),
            Control::Cr2 => {
                self.running.hw.set_cr2(value);
                Ok(())
            }
            Control::Cr3 => store(3),
            Control::Cr4 => store(4),
            Control::Cr8 => {
                let value = u8::try_from(value).ok().filter(|value| *value < 16);
                self.running.hw.set_cr8(value.ok_or_else(refused)?);
                Ok(())
            }
        }
    }

    fn debug(&self, number: u8) -> Result<u64> {
        Ok(self.running.hw.dr(number))
    }

    fn set_debug(&mut self, number: u8, value: u64) -> Result {
        self.may_change()?;
        self.running.end_access();
        self.running.write_debug(number, value);
        Ok(())
    }

    fn extended_control(&self, index: u32) -> Result<u64> {
        match index {
            0 => Ok(self.running.hw.xcr0()),
            _ => Err(Fault::Unhandleable),
        }
    }

    fn msr(&mut self, index: u32) -> Result<u64> {
        let value = self.running.msr_value(index);
        value.ok_or_else(|| Exception::protection(Mode::Protected).into())
    }

    fn set_msr(&mut self, index: u32, value: u64) -> Result {
        self.may_change()?;
        if self.running.watched_msr(index, value) || self.running.write_msr(index, value) {
            Ok(())
        } else {
            Err(Exception::protection(Mode::Protected).into())
        }
    }

    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> Result<[u32; 4]> {
        Ok(self.running.cpuid_values(leaf, subleaf))
    }

    fn time_stamp(&mut self) -> Result<u64> {
        self.running.msr_value(0x10).ok_or(Fault::Unhandleable)
    }

    fn table(&self, table: Table) -> Result<TableState> {
        let segment = self.running.hw.segment(table_name(table));
        Ok(TableState {
            base: segment.base,
            // CAST: A table's limit has 16 bits.
            limit: segment.limit as u16,
        })
    }

    fn set_table(&mut self, table: Table, state: TableState) -> Result {
        self.may_change()?;
        let segment = state::Segment {
            base: state.base,
            limit: state.limit.into(),
            ..state::Segment::default()
        };
        self.running.hw.set_segment(table_name(table), segment);
        Ok(())
    }

    fn selector(&self, segment: Segment) -> Result<u16> {
        Ok(self.running.hw.segment(name_of(segment)).selector)
    }

    fn set_segment(&mut self, segment: Segment, selector: u16, state: SegmentState) {
        if !self.probes() {
            let state = hidden(selector, state);
            self.running.hw.set_segment(name_of(segment), state);
        }
    }

    fn set_cpl(&mut self, cpl: u8) {
        if !self.probes() {
            self.running.hw.set_cpl(cpl);
        }
    }

    fn swap_gs(&mut self) -> Result {
        self.may_change()?;
        let hw = &mut *self.running.hw;
        let kernel = hw.msr(KERNEL_GS_BASE).ok_or(Fault::Unhandleable)?;
        let mut gs = hw.segment(SegmentName::Gs);
        hw.set_msr(KERNEL_GS_BASE, gs.base);
        gs.base = kernel;
        hw.set_segment(SegmentName::Gs, gs);
        Ok(())
    }

    fn system_segment(&self, segment: SystemSegment) -> Result<(u16, SegmentState)> {
        let segment = self.running.hw.segment(system_name(segment));
        Ok((segment.selector, state_of(&segment)))
    }

    fn set_system_segment(
        &mut self,
        segment: SystemSegment,
        selector: u16,
        state: SegmentState,
    ) -> Result {
        self.may_change()?;
        let state = hidden(selector, state);
        self.running.hw.set_segment(system_name(segment), state);
        Ok(())
    }

    fn invalidate(&mut self, _what: Invalidation) -> Result {
        self.may_change()?;
        // More than was asked for.
        self.running.hw.drop_translations();
        Ok(())
    }

    fn random(&mut self, _seed: bool) -> Result<Option<u64>> {
        // What the kernel has is as good as the processor's, and never exhausted.
        Ok(Some(random()))
    }

    fn unblock_nmi(&mut self) {
        if !self.probes() {
            self.running.hw.end_nmi();
        }
    }

    fn cache(&mut self, _what: CacheControl) -> Result {
        // Caches are coherent with everything that a guest has here.
        self.may_change()
    }
}

impl<B: Backend> Ops for GuestOps<'_, '_, B> {
    type Place = Place;

    fn vendor(&self) -> Vendor {
        match self.running.policy.vendor() {
            cpuid::Vendor::Intel => Vendor::Intel,
            _ => Vendor::Amd,
        }
    }

    fn mode(&self) -> Mode {
        if self.running.hw.cr0() & CR0_PE == 0 {
            Mode::Real
        } else if self.running.hw.rflags() & RFLAGS_VM != 0 {
            Mode::Virtual8086
        } else {
            Mode::Protected
        }
    }

    fn cpl(&self) -> u8 {
        self.running.hw.cpl()
    }

    fn checks_alignment(&self) -> bool {
        self.running.hw.cr0() & CR0_AM != 0
            && self.running.hw.rflags() & AC != 0
            && self.running.hw.cpl() == 3
    }

    fn has(&self, feature: Feature) -> bool {
        features::has(&self.running.hypervisor.policies.raw, feature)
    }

    fn linear_bits(&self) -> u32 {
        if self.running.hw.cr4() & CR4_LA57 != 0 {
            57
        } else {
            48
        }
    }

    fn gpr(&self, register: Gpr) -> u64 {
        self.running.hw.gpr(register.number())
    }

    fn set_gpr(&mut self, register: Gpr, value: u64) {
        if self.probes() {
            return;
        }
        // From here on the instruction, or this iteration of it, cannot be given up.
        self.running.end_access();
        self.running.hw.set_gpr(register.number(), value);
    }

    fn rip(&self) -> u64 {
        self.running.hw.rip()
    }

    fn rflags(&self) -> u64 {
        self.running.hw.rflags()
    }

    fn set_rflags(&mut self, value: u64) {
        if self.probes() {
            return;
        }
        self.running.end_access();
        self.running.hw.set_rflags(value);
    }

    fn segment(&self, segment: Segment) -> SegmentState {
        state_of(&self.running.hw.segment(name_of(segment)))
    }

    fn translate(&mut self, linear: u64, len: usize, access: Access) -> Result<Place> {
        let user = self.running.hw.cpl() == 3;
        self.translate_for(linear, len, access, user)
    }

    fn translate_system(&mut self, linear: u64, len: usize, access: Access) -> Result<Place> {
        self.translate_for(linear, len, access, false)
    }

    fn part(&self, place: &Place, from: usize, len: usize) -> Result<Place> {
        place.part(from, len).ok_or(Fault::Unhandleable)
    }

    fn read(&mut self, place: &Place, into: &mut [u8]) -> Result {
        if let Some(data) = self.rules.data {
            // A monitor says what is read. What it has not sent reads as zero.
            let len = (data.size as usize).min(data.data.len());
            into.fill(0);
            for (to, from) in into.iter_mut().zip(data.data.iter().take(len)) {
                *to = *from;
            }
            return Ok(());
        }
        let (first, second) = into
            .split_at_mut_checked(place.first.len)
            .ok_or(Fault::Unhandleable)?;
        if self.probes() && !self.is_memory(place) {
            return Err(Fault::Retry);
        }
        self.running.read_part(place.first, first)?;
        if place.second.len != 0 {
            self.running.read_part(place.second, second)?;
        }
        Ok(())
    }

    fn write(&mut self, place: &Place, from: &[u8]) -> Result {
        self.may_change()?;
        if !self.rules.writes {
            return Ok(());
        }
        let (first, second) = from
            .split_at_checked(place.first.len)
            .ok_or(Fault::Unhandleable)?;
        self.running.write_part(place.first, first)?;
        if place.second.len != 0 {
            self.running.write_part(place.second, second)?;
        }
        Ok(())
    }

    fn compare_exchange(&mut self, place: &Place, old: &[u8], new: &[u8]) -> Result {
        if !self.is_memory(place) || !self.rules.writes || self.rules.data.is_some() {
            return self.write(place, new);
        }
        self.may_change()?;
        let second = (place.second.len != 0).then_some(place.second.gpa);
        let memory = GuestMemory(&self.running.domain.p2m);
        match memory.compare_exchange(place.first.gpa, second, old, new) {
            Ok(true) => Ok(()),
            // Another processor was faster.
            Ok(false) => Err(Fault::Retry),
            // As with any write: what the guest cannot write stays as it is.
            Err(errno) if errno == EFAULT => Ok(()),
            Err(_) => Err(Fault::Unhandleable),
        }
    }

    fn iterations(&self) -> u32 {
        if self.rules.checks {
            BATCH
        } else {
            // One is what a monitor has allowed (E-7).
            1
        }
    }

    fn ports_are_checked(&self) -> bool {
        self.port.is_some()
    }

    fn fetch(&mut self, rip: u64, into: &mut [u8]) -> Result<usize> {
        let width = self.running.code_width();
        let cs = self.running.hw.segment(SegmentName::Cs);
        let rip = self.running.wrap_rip(rip, width);
        if width != CodeWidth::Bits64 && rip > cs.limit.into() {
            return Err(Exception::protection(self.mode()).into());
        }
        let linear = match width {
            CodeWidth::Bits64 => rip,
            _ => cs.base.wrapping_add(rip) & 0xffff_ffff,
        };
        // CAST: Twelve bits.
        let room = 4096 - (linear & 0xfff) as usize;
        let len = into.len().min(room);
        let into = into.get_mut(..len).ok_or(Fault::Unhandleable)?;
        let place = self.look(&self.wanted_code(linear, len))?;
        GuestMemory(&self.running.domain.p2m)
            .read_physical(place.first.gpa, into)
            .map_err(|_| Fault::Unhandleable)?;
        Ok(len)
    }

    fn port_read(&mut self, port: u16, width: Width) -> Result<u64> {
        self.check_port(port, width, true)?;
        // CAST: At most four.
        let value = self.running.device_in(port, width.bytes() as u8);
        value.map(|value| value & width.mask()).ok_or(Fault::Retry)
    }

    fn port_write(&mut self, port: u16, width: Width, value: u64) -> Result {
        self.check_port(port, width, false)?;
        // CAST: At most four.
        if self.running.device_out(port, width.bytes() as u8, value) {
            Ok(())
        } else {
            Err(Fault::Retry)
        }
    }
}

impl<B: Backend> GuestOps<'_, '_, B> {
    /// Whether all of a place is memory.
    fn is_memory(&self, place: &Place) -> bool {
        self.running.is_memory(place.first)
            && (place.second.len == 0 || self.running.is_memory(place.second))
    }
}
