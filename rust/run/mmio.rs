// SPDX-License-Identifier: GPL-2.0-only

//! Instructions that are carried out in software.
//!
//! Most of them access guest physical addresses that no page is mapped at. The local APIC's page is emulated. Elsewhere
//! device models answer (`device.rs`); where there is none, reads give all ones and writes are dropped, as in Xen for
//! PVH. Others access pages whose rights a monitor has changed (`monitor.rs`). Either way `emulate` carries the
//! instruction out; [`GuestOps`] is the guest to it.

mod exits;
mod ops;

pub(super) use ops::GuestOps;

use super::Running;
use crate::abi::vm_event::EmulReadData;
use crate::domain::ioreq::Again;
use crate::emulate::execute::emulate_one;
use crate::emulate::ops::{
    Done,
    Exception,
    Fault,
    Result, //
};
use crate::hw::npt::P2mType;
use crate::hw::state::{
    Event,
    GP0,
    UD, //
};
use crate::hw::{
    Backend,
    Exit,
    NestedFault,
    Vcpu as _, //
};
use crate::mm::access::{
    Part,
    Sought, //
};
use crate::mm::guest::{
    copy_from_linear,
    GuestMemory, //
};
use crate::mm::walk::Paging;
use crate::trace::{
    self,
    npf_flag, //
};

/// How often a repeated instruction is gone on with, for some iterations each time, before the guest is entered.
const ROUNDS: usize = 64;

/// What an instruction that is carried out may do.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    /// Each access is judged by the rights of its pages.
    pub(super) checks: bool,
    /// What it writes is written.
    pub(super) writes: bool,
    /// What it reads, if not what is there.
    pub(super) data: Option<&'a EmulReadData>,
}

impl Rules<'_> {
    /// As the processor would carry it out.
    pub(super) const CHECKED: Self = Self {
        checks: true,
        writes: true,
        data: None,
    };

    /// Without a look at rights: a monitor has allowed it (E-7).
    pub(super) const UNCHECKED: Self = Self {
        checks: false,
        ..Self::CHECKED
    };

    /// What remains of the rules for an instruction that has to be started again.
    fn again(&self) -> Again {
        match (self.checks, self.writes, self.data) {
            (true, ..) => Again::Checked,
            (false, _, Some(data)) => Again::WithReads(*data),
            (false, true, None) => Again::Unchecked,
            (false, false, None) => Again::WithoutWrites,
        }
    }
}

impl<'a> Rules<'a> {
    /// The rules of an instruction that is started again.
    pub(super) const fn of(again: &'a Again) -> Self {
        match again {
            Again::Checked => Self::CHECKED,
            Again::Unchecked => Self::UNCHECKED,
            Again::WithoutWrites => Self {
                writes: false,
                ..Self::UNCHECKED
            },
            Again::WithReads(data) => Self {
                data: Some(data),
                ..Self::UNCHECKED
            },
        }
    }
}

/// A translated range: one or two parts.
pub(super) struct Place {
    first: Part,
    second: Part,
}

/// Whether the guest has exited because of a page walk. The instruction at RIP may be any then.
const fn is_walk(exit: Exit) -> bool {
    matches!(exit, Exit::NestedPageFault(fault) if fault.in_page_table)
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
            if self.protected_fault(fault, &leaf) {
                return;
            }
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
        self.emulate_by(Exit::NestedPageFault(fault), &Rules::CHECKED);
    }

    /// Carries out the instruction at RIP, for which the guest exited so.
    pub(super) fn emulate_by(&mut self, exit: Exit, rules: &Rules<'_>) {
        let width = self.code_width();
        let start = self.code_address(width);
        // An iteration that a monitor has allowed is one instruction (E-7).
        let rounds = if rules.checks { ROUNDS } else { 1 };
        for _ in 0..rounds {
            let bytes = self.insn.bytes;
            let Some(bytes) = bytes.get(..self.insn.len) else {
                return;
            };
            let before = self.hw.rflags();
            let mut ops = GuestOps::new(self, rules);
            let done = match ops.judge_fetch(start, bytes, width) {
                // Whatever it is, it may be executed.
                Ok(()) if !rules.checks || is_walk(exit) => {
                    if self.exit_in_software(exit, rules, bytes, width) {
                        return;
                    }
                    emulate_one(&mut GuestOps::new(self, rules), bytes, width)
                }
                Ok(()) => emulate_one(&mut ops, bytes, width),
                Err(fault) => Err(fault),
            };
            match done {
                Ok(Done::Next { len }) => {
                    let next = self.wrap_rip(self.hw.rip().wrapping_add(len.into()), width);
                    self.complete_emulated(next, before, false);
                    break;
                }
                Ok(Done::Shadow { len, stack }) => {
                    let next = self.wrap_rip(self.hw.rip().wrapping_add(len.into()), width);
                    self.complete_with_shadow(next, stack);
                    break;
                }
                Ok(Done::Again) => {
                    self.complete_iteration();
                    // Who wants something of the vCPU waits for some iterations, not for all of them.
                    if self.hw.injection_pending() || self.vcpu.requests() != 0 {
                        break;
                    }
                }
                Ok(Done::Jump { rip }) => {
                    self.complete_emulated(rip, before, false);
                    break;
                }
                Ok(Done::Return { rip }) => {
                    self.complete_emulated(rip, before, true);
                    break;
                }
                // By the flags that it has loaded.
                Ok(Done::SystemCall { rip }) => {
                    self.complete(rip);
                    break;
                }
                Ok(Done::Halt { len }) => {
                    let next = self.wrap_rip(self.hw.rip().wrapping_add(len.into()), width);
                    self.insn.next_rip = Some(next);
                    self.end_access();
                    return self.hlt();
                }
                Ok(Done::TaskSwitched) => break,
                Ok(Done::Interrupt { vector, by, len }) => {
                    if !self.interrupted_by(vector, by, len, width) {
                        self.unhandleable(exit, rules);
                    }
                    break;
                }
                Err(Fault::Exception(exception)) => {
                    self.raise(exception);
                    break;
                }
                Err(Fault::Retry) => return self.retry(exit, rules.again()),
                Err(Fault::Unhandleable) => {
                    self.unhandleable(exit, rules);
                    break;
                }
            }
        }
        self.end_access();
    }

    /// Does with an instruction what can be done with one that is not known. A walk is reported for which it was to be
    /// carried out, whether the monitor wants to hear of walks or not. Device memory cannot do without it; elsewhere a
    /// monitor is told, or the guest gets what Xen gives it.
    fn unhandleable(&mut self, exit: Exit, rules: &Rules<'_>) {
        let shown = u64::from_be_bytes(
            self.insn
                .bytes
                .first_chunk::<8>()
                .copied()
                .unwrap_or_default(),
        );
        let on_memory = match exit {
            Exit::NestedPageFault(fault) => self.is_watched_page(fault.gpa >> 12).is_some(),
            _ => true,
        };
        if self.unimplemented() {
            return;
        }
        if let (Exit::NestedPageFault(fault), true) = (exit, rules.checks && is_walk(exit)) {
            return self.report_walk(fault);
        }
        if on_memory {
            self.hypervisor.log(format_args!(
                "d{}v{}: cannot emulate the instruction {shown:016x}\n",
                self.domain.id(),
                self.vcpu.id()
            ));
            return self.inject(UD);
        }
        self.crash(format_args!(
            "cannot emulate the instruction {shown:016x} on memory that is not RAM"
        ));
    }

    /// Looks among the accesses of the instruction at RIP for one. Whatever is found, nothing has happened.
    pub(super) fn data_access(&mut self, sought: Sought) -> Sought {
        let width = self.code_width();
        let bytes = self.insn.bytes;
        let Some(bytes) = bytes.get(..self.insn.len) else {
            return sought;
        };
        let mut ops = GuestOps::probing(self, &Rules::UNCHECKED, sought);
        let _ = emulate_one(&mut ops, bytes, width);
        ops.probed().unwrap_or(sought)
    }

    /// Fetches the instruction at RIP once more, outside the section.
    pub(super) fn fetch_again(&mut self) {
        let at = self.code_address(self.code_width());
        // Code of user mode too, which SMAP keeps from supervisors.
        let paging = Paging {
            ac: true,
            ..self.paging()
        };
        let mut bytes = [0; 15];
        // As much as there is: a page at a time.
        // CAST: Twelve bits.
        let room = (4096 - (at & 0xfff) as usize).min(bytes.len());
        let (head, tail) = bytes.split_at_mut(room);
        let p2m = &self.domain.p2m;
        self.insn.next_rip = None;
        self.insn.len = 0;
        if copy_from_linear(p2m, &paging, at, head).is_ok() {
            self.insn.len = room;
            let next = at.wrapping_add(room as u64);
            if !tail.is_empty() && copy_from_linear(p2m, &paging, next, tail).is_ok() {
                self.insn.len = bytes.len();
            }
        }
        self.insn.bytes = bytes;
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
