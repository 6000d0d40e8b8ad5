// SPDX-License-Identifier: GPL-2.0-only

//! Accesses to guest physical addresses that no page is mapped at.
//!
//! The local APIC's page is emulated. Elsewhere device models answer (`device.rs`); where there is none, reads give all
//! ones and writes are dropped, as in Xen for PVH. Either way the instruction has to be carried out, which `emulate`
//! does; [`MmioOps`] is the guest to it.

use super::Running;
use crate::emulate::area::{
    self,
    Layout, //
};
use crate::emulate::execute::emulate_one;
use crate::emulate::flags::AC;
use crate::emulate::ops::{
    Access,
    Control,
    Done,
    Exception,
    Fault,
    Fpu,
    Gpr,
    Mode,
    Ops,
    Rest,
    Result,
    SegmentState,
    System, //
};
use crate::emulate::prefix::Segment;
use crate::emulate::width::Width;
use crate::emulate::Vendor;
use crate::hw::npt::P2mType;
use crate::hw::state::{
    Event,
    SegmentName,
    CR0_PE,
    CR4_LA57,
    EFER_LMA,
    GP0,
    RFLAGS_VM, //
};
use crate::hw::{
    Backend,
    Exit,
    IoAccess,
    NestedFault,
    Vcpu as _, //
};
use crate::mm::guest::GuestMemory;
use crate::mm::walk::{
    self,
    translate, //
};
use crate::policy::cpuid;
use crate::sys::page::SharedPage;
use crate::trace::{
    self,
    npf_flag, //
};

/// CR0.AM.
const CR0_AM: u64 = 1 << 18;

/// Iterations of a repeated instruction that are carried out before the guest can be interrupted.
const BATCH: usize = 64;

/// Part of an access that lies in one page.
#[derive(Clone, Copy)]
struct Part {
    gpa: u64,
    len: usize,
}

/// A translated range: one or two parts.
pub(super) struct Place {
    first: Part,
    second: Part,
}

/// The guest as the emulator sees it.
pub(super) struct MmioOps<'r, 'v, B: Backend> {
    running: &'r mut Running<'v, B>,
    /// The access to a port for which the guest exited.
    port: Option<IoAccess>,
}

impl<'r, 'v, B: Backend> MmioOps<'r, 'v, B> {
    /// For an instruction that uses no port.
    pub(super) fn new(running: &'r mut Running<'v, B>) -> Self {
        Self {
            running,
            port: None,
        }
    }

    /// For the instruction that made this access.
    pub(super) fn for_port(running: &'r mut Running<'v, B>, port: IoAccess) -> Self {
        Self {
            running,
            port: Some(port),
        }
    }

    /// Where the processor keeps the vector registers that have no fixed place.
    fn layout(&self) -> Layout {
        let policy = &self.running.policy;
        Layout {
            avx: policy.xsave_offset(2) as usize,
            zmm_high: policy.xsave_offset(6) as usize,
            zmm_16: policy.xsave_offset(7) as usize,
        }
    }

    /// Changes vector registers.
    fn change(&mut self, change: impl FnOnce(&mut [u8]) -> Option<()>) -> Result {
        // As after a write to another register.
        self.running.end_access();
        let done = self.running.hw.change_vector_registers(change);
        done.ok_or(Fault::Unhandleable)
    }

    /// Whether the processor has allowed this access. It checks that before anything else about the instruction; one
    /// that comes here without was put in memory after another had exited.
    fn check_port(&self, port: u16, width: Width, input: bool) -> Result {
        let allowed = self.port.is_some_and(|io| {
            io.port == port && usize::from(io.bytes) == width.bytes() && io.input == input
        });
        if allowed {
            Ok(())
        } else {
            Err(Fault::Retry)
        }
    }
}

/// How a nested page fault is traced.
fn flags(fault: NestedFault) -> u32 {
    [
        (fault.write, npf_flag::WRITE),
        (fault.fetch, npf_flag::FETCH),
        (fault.present, npf_flag::PRESENT),
        (fault.in_page_table, npf_flag::PAGE_TABLE),
    ]
    .iter()
    .fold(0, |bits, &(set, bit)| if set { bits | bit } else { bits })
}

impl<B: Backend> Running<'_, B> {
    /// Handles a nested page fault.
    pub(super) fn nested_fault(&mut self, fault: NestedFault) {
        trace::npf(|| trace::Npf {
            domid: self.domain.id().into(),
            vcpu: self.vcpu.id(),
            gpa: fault.gpa,
            flags: flags(fault),
        });
        let gfn = fault.gpa >> 12;
        if let Some(leaf) = self.domain.p2m.lookup(gfn) {
            let allowed = leaf.ty.is_page() && (!fault.write || leaf.ty.writable());
            if allowed {
                // It was mapped meanwhile. What a device model has answered is of no use any more.
                return self.end_access();
            }
            if leaf.ty == P2mType::RamLogdirty {
                return self.domain.write_logged(gfn);
            }
            let served = leaf.ty == P2mType::IoreqServer && fault.write;
            if served && self.domain.released_frame(gfn) {
                // A processor that still knows the old type faults once more and finds the new one.
                return self.end_access();
            }
        }
        if fault.in_page_table {
            // Tables from nowhere map nothing that a guest could go on with.
            let gpa = fault.gpa;
            self.crash(format_args!("has page tables at unmapped {gpa:#x}"));
            return;
        }
        if fault.fetch {
            // There is no instruction to carry out, for which Xen gives the same.
            return self.inject(GP0);
        }
        self.emulate(fault);
    }

    /// Carries out the instruction at RIP.
    fn emulate(&mut self, fault: NestedFault) {
        let width = self.code_width();
        for _ in 0..BATCH {
            let bytes = self.insn.bytes;
            let Some(bytes) = bytes.get(..self.insn.len) else {
                return;
            };
            match emulate_one(&mut MmioOps::new(self), bytes, width) {
                Ok(Done::Next { len }) => {
                    let next = self.wrap_rip(self.hw.rip().wrapping_add(len.into()), width);
                    self.complete(next);
                    break;
                }
                Ok(Done::Again) => {
                    self.complete_iteration();
                    if self.hw.injection_pending() {
                        break;
                    }
                }
                Ok(Done::Jump { rip } | Done::SystemCall { rip }) => {
                    self.complete(rip);
                    break;
                }
                // None of these accesses the memory for which the processor stopped: another one is there now, and
                // has not done anything that is not done again when the guest executes it.
                Ok(
                    Done::Shadow { .. }
                    | Done::Halt { .. }
                    | Done::Interrupt { .. }
                    | Done::TaskSwitched,
                ) => break,
                Err(Fault::Exception(exception)) => {
                    self.raise(exception);
                    break;
                }
                Err(Fault::Retry) => return self.retry(Exit::NestedPageFault(fault)),
                Err(Fault::Unhandleable) => {
                    let shown = u64::from_be_bytes(
                        self.insn
                            .bytes
                            .first_chunk::<8>()
                            .copied()
                            .unwrap_or_default(),
                    );
                    self.crash(format_args!(
                        "cannot emulate the instruction {shown:016x} on memory that is not RAM"
                    ));
                    break;
                }
            }
        }
        self.end_access();
    }

    /// Ends an iteration of a repeated instruction that has more of them: what ends with an instruction ends with it
    /// too, and a guest that single-steps gets its trap.
    pub(super) fn complete_iteration(&mut self) {
        let rip = self.hw.rip();
        self.complete(rip);
    }

    /// Delivers an exception that the emulator found.
    pub(super) fn raise(&mut self, exception: Exception) {
        if let Some(cr2) = exception.cr2 {
            self.hw.set_cr2(cr2);
        }
        self.inject(Event::Exception {
            vector: exception.vector,
            error: exception.error_code,
        });
    }

    /// Whether `gpa` is in the local APIC's page and that page is decoded.
    fn is_apic_page(&self, gpa: u64) -> bool {
        gpa & !0xfff == 0xfee0_0000 && self.owned.lapic.decodes_page()
    }

    fn read_part(&mut self, part: Part, into: &mut [u8]) -> Result {
        if self.is_apic_page(part.gpa) {
            self.owned.lapic.set_cr8(self.hw.cr8());
            let clock = self.clock();
            // CAST: Twelve bits, and at most eight.
            let value = self.owned.lapic.mmio_read(
                &self.vcpu.lapic,
                (part.gpa & 0xfff) as u32,
                part.len as u32,
                &clock,
            );
            into.fill(0);
            for (to, from) in into.iter_mut().zip(value.to_le_bytes()) {
                *to = from;
            }
        } else if GuestMemory(&self.domain.p2m)
            .read_physical(part.gpa, into)
            .is_err()
        {
            if self.domain.serves_io() {
                return self.device_read(part.gpa, into);
            }
            into.fill(0xff);
        }
        Ok(())
    }

    fn write_part(&mut self, part: Part, from: &[u8]) -> Result {
        if self.is_apic_page(part.gpa) {
            let Some(value) = from.first_chunk::<4>().filter(|_| from.len() == 4) else {
                return Ok(());
            };
            let clock = self.clock();
            let effect = self.owned.lapic.mmio_write(
                &self.vcpu.lapic,
                // CAST: Twelve bits.
                (part.gpa & 0xfff) as u32,
                u32::from_le_bytes(*value),
                &clock,
            );
            self.hw.set_cr8(self.owned.lapic.cr8());
            self.apic_effect(effect);
            return Ok(());
        }
        let gfn = part.gpa >> 12;
        if self.domain.serves_io() {
            let leaf = self.domain.p2m.lookup(gfn);
            match leaf.map_or(P2mType::Invalid, |leaf| leaf.ty) {
                P2mType::IoreqServer if self.domain.released_frame(gfn) => {}
                P2mType::IoreqServer => return self.device_write(part.gpa, from, true),
                ty if !ty.is_page() => return self.device_write(part.gpa, from, false),
                _ => {}
            }
        }
        // Where nothing is, nothing is written.
        let _ = GuestMemory(&self.domain.p2m).write_physical(part.gpa, from);
        Ok(())
    }

    /// Whether a page is there that the guest can write.
    fn is_memory(&self, part: Part) -> bool {
        self.domain
            .p2m
            .lookup(part.gpa >> 12)
            .is_some_and(|leaf| leaf.ty.is_page() && leaf.ty != P2mType::IoreqServer)
    }
}

/// Only what instructions with operands in memory ask for. Far transfers and system instructions have no business with
/// devices.
impl<B: Backend> System for MmioOps<'_, '_, B> {
    fn long_mode(&self) -> Result<bool> {
        Ok(self.running.hw.efer() & EFER_LMA != 0)
    }

    fn control(&self, register: Control) -> Result<u64> {
        match register {
            Control::Cr0 => Ok(self.running.hw.cr0()),
            Control::Cr3 => Ok(self.running.hw.cr3()),
            Control::Cr4 => Ok(self.running.hw.cr4()),
            Control::Cr2 | Control::Cr8 => Err(Fault::Unhandleable),
        }
    }

    fn extended_control(&self, index: u32) -> Result<u64> {
        match index {
            0 => Ok(self.running.hw.xcr0()),
            _ => Err(Fault::Unhandleable),
        }
    }
}

/// Registers are moved to and from memory. The kernel has no arithmetic for what a device says, and so there is none.
impl<B: Backend> Fpu for MmioOps<'_, '_, B> {
    fn vector(&self, number: u8, into: &mut [u8]) -> Result {
        let area = self.running.hw.vector_registers();
        area::vector(area, &self.layout(), number, into).ok_or(Fault::Unhandleable)
    }

    fn set_vector(&mut self, number: u8, from: &[u8], rest: Rest) -> Result {
        let layout = self.layout();
        self.change(|area| area::set_vector(area, &layout, number, from, rest))
    }

    fn mmx(&self, number: u8) -> Result<u64> {
        let area = self.running.hw.vector_registers();
        if area::has_pending_exception(area).ok_or(Fault::Unhandleable)? {
            return Err(Exception::X87.into());
        }
        area::mmx(area, number).ok_or(Fault::Unhandleable)
    }

    fn set_mmx(&mut self, number: u8, value: u64) -> Result {
        self.change(|area| area::set_mmx(area, number, value))
    }

    fn enter_mmx(&mut self) -> Result {
        self.change(area::enter_mmx)
    }

    fn mxcsr(&self) -> Result<u32> {
        area::mxcsr(self.running.hw.vector_registers()).ok_or(Fault::Unhandleable)
    }

    fn set_mxcsr(&mut self, value: u32) -> Result {
        let mask = area::mxcsr_mask(self.running.hw.vector_registers());
        if value & !mask.ok_or(Fault::Unhandleable)? != 0 {
            return Err(Exception::protection(self.mode()).into());
        }
        self.change(|area| area::set_mxcsr(area, value))
    }
}

impl<B: Backend> Ops for MmioOps<'_, '_, B> {
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
        self.running.end_access();
        self.running.hw.set_rflags(value);
    }

    fn segment(&self, segment: Segment) -> SegmentState {
        let name = match segment {
            Segment::Es => SegmentName::Es,
            Segment::Cs => SegmentName::Cs,
            Segment::Ss => SegmentName::Ss,
            Segment::Ds => SegmentName::Ds,
            Segment::Fs => SegmentName::Fs,
            Segment::Gs => SegmentName::Gs,
        };
        let segment = self.running.hw.segment(name);
        SegmentState {
            base: segment.base,
            limit: segment.limit,
            attributes: segment.attr,
        }
    }

    fn translate(&mut self, linear: u64, len: usize, access: Access) -> Result<Place> {
        let paging = self.running.paging();
        let memory = GuestMemory(&self.running.domain.p2m);
        let access = walk::Access {
            write: access.writes(),
            fetch: false,
            user: self.running.hw.cpl() == 3,
        };
        let walk = |at: u64| {
            translate(&memory, &paging, at, access).map_err(|fault| match fault {
                walk::Fault::Page(code) => Fault::from(Exception::page(at, code)),
                walk::Fault::NonCanonical => Fault::from(Exception::protection(Mode::Protected)),
                walk::Fault::NoMemory => Fault::Unhandleable,
            })
        };
        // CAST: Twelve bits.
        let room = 4096 - (linear & 0xfff) as usize;
        let first = Part {
            gpa: walk(linear)?,
            len: len.min(room),
        };
        let rest = len - first.len;
        let second = Part {
            gpa: if rest == 0 {
                0
            } else {
                walk(linear.wrapping_add(first.len as u64))?
            },
            len: rest,
        };
        Ok(Place { first, second })
    }

    fn read(&mut self, place: &Place, into: &mut [u8]) -> Result {
        let (first, second) = into
            .split_at_mut_checked(place.first.len)
            .ok_or(Fault::Unhandleable)?;
        self.running.read_part(place.first, first)?;
        if place.second.len != 0 {
            self.running.read_part(place.second, second)?;
        }
        Ok(())
    }

    fn write(&mut self, place: &Place, from: &[u8]) -> Result {
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
        if !self.running.is_memory(place.first) {
            return self.write(place, new);
        }
        // Another processor may be at the same word: exchange it as one step, if it is one word.
        let aligned = place.second.len == 0 && place.first.gpa % (old.len() as u64).max(1) == 0;
        let page = self
            .running
            .domain
            .p2m
            .get(place.first.gpa >> 12, true)
            .map_err(|_| Fault::Unhandleable)?;
        let page = SharedPage::new(page);
        // CAST: Twelve bits.
        let offset = (place.first.gpa & 0xfff) as usize;
        let done = aligned && exchange(&page, offset, old, new).ok_or(Fault::Unhandleable)?;
        if done {
            Ok(())
        } else {
            Err(Fault::Retry)
        }
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

/// Replaces `old` by `new` at `offset`; `None` if that is no word.
fn exchange(page: &SharedPage, offset: usize, old: &[u8], new: &[u8]) -> Option<bool> {
    use core::sync::atomic::Ordering::SeqCst;
    Some(match (old, new) {
        (&[a], &[b]) => page
            .byte(offset)?
            .compare_exchange(a, b, SeqCst, SeqCst)
            .is_ok(),
        (old, new) if old.len() == 2 => {
            let (a, b) = (old.first_chunk()?, new.first_chunk()?);
            let (a, b) = (u16::from_le_bytes(*a), u16::from_le_bytes(*b));
            page.word16(offset)?
                .compare_exchange(a, b, SeqCst, SeqCst)
                .is_ok()
        }
        (old, new) if old.len() == 4 => {
            let (a, b) = (old.first_chunk()?, new.first_chunk()?);
            let (a, b) = (u32::from_le_bytes(*a), u32::from_le_bytes(*b));
            page.word32(offset)?
                .compare_exchange(a, b, SeqCst, SeqCst)
                .is_ok()
        }
        (old, new) => {
            let (a, b) = (old.first_chunk()?, new.first_chunk()?);
            let (a, b) = (u64::from_le_bytes(*a), u64::from_le_bytes(*b));
            page.word64(offset)?
                .compare_exchange(a, b, SeqCst, SeqCst)
                .is_ok()
        }
    })
}
