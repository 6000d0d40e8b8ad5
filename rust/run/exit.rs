// SPDX-License-Identifier: GPL-2.0-only

//! Exits that are handled outside the section, where sleeping is allowed.

use super::mmio::{
    GuestOps,
    Rules, //
};
use super::Running;
use crate::abi::hvm::params;
use crate::domain::lifecycle::reason;
use crate::domain::vcpu::Wait;
use crate::emulate::decode::{
    decode,
    Map, //
};
use crate::emulate::ops::Ops as _;
use crate::emulate::skip::{
    mov_cr_operand,
    Special, //
};
use crate::emulate::CodeWidth;
use crate::hw::state::{
    GP0,
    RFLAGS_IF,
    UD, //
};
use crate::hw::{
    Backend,
    CrAccess,
    Exit,
    Vcpu as _, //
};
use crate::policy::control::cr4_mask;
use crate::policy::view::CR4_OSXSAVE;
use crate::vm_event::Register;

impl<B: Backend> Running<'_, B> {
    /// Handles an exit.
    pub(super) fn handle(&mut self, exit: Exit) {
        match exit {
            Exit::Interrupt
            | Exit::InterruptWindow
            | Exit::Nmi
            | Exit::Iret
            | Exit::Pause
            | Exit::Init
            | Exit::Gone => {}
            Exit::Hypercall => self.guest_call(),
            Exit::Hlt => self.hlt(),
            // Left the section because somebody watches.
            Exit::Cpuid => self.slow_cpuid(),
            Exit::MsrRead => self.slow_msr_read(),
            Exit::MsrWrite => self.slow_msr_write(),
            Exit::Io(io) => self.io(io),
            Exit::NestedPageFault(fault) => self.nested_fault(fault),
            Exit::Cr(access) => self.control_register(access),
            Exit::Dr(access) => self.debug_register(access),
            Exit::Exception { .. } => self.exception(exit),
            Exit::SoftwareInterrupt => self.software_interrupt(),
            Exit::Icebp => self.icebp(),
            Exit::Descriptor { register, write } => self.descriptor_access(register, write),
            Exit::Xsetbv => self.xsetbv(),
            // Caches are coherent with everything that a guest has here.
            Exit::CacheFlush(_) => {
                if let Some(next) = self.insn.next_rip {
                    self.complete(next);
                }
            }
            Exit::Undefined => self.inject(UD),
            Exit::Shutdown => self.triple_fault(),
            Exit::Invalid => self.crash(format_args!("the processor refuses its state")),
            Exit::Unknown(code) => self.crash(format_args!("unknown exit {code:#x}")),
        }
    }

    pub(super) fn crash(&self, why: core::fmt::Arguments<'_>) {
        let (id, rip) = (self.vcpu.id(), self.hw.rip());
        self.domain.crash(
            self.hypervisor,
            format_args!("vCPU {id} at {rip:#x}: {why}"),
        );
    }

    /// HLT. With interrupts off it is how a guest without ACPI sleep states powers off.
    pub(super) fn hlt(&mut self) {
        let Some(next) = self.insn.next_rip else {
            return;
        };
        self.complete(next);
        if self.has_event() {
            return;
        }
        if self.hw.rflags() & RFLAGS_IF != 0 {
            self.vcpu.begin_wait(Wait::Halt);
            return;
        }
        self.vcpu.set_down(true);
        if self.domain.vcpus().iter().all(|vcpu| vcpu.is_down()) {
            self.domain.shutdown(self.hypervisor, reason::POWEROFF);
        }
    }

    fn triple_fault(&mut self) {
        let code = self
            .domain
            .params()
            .lock()
            .get(params::TRIPLE_FAULT_REASON)
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(reason::REBOOT);
        let (id, rip, rsp) = (self.vcpu.id(), self.hw.rip(), self.hw.gpr(4));
        let (cr2, cr3) = (self.hw.cr2(), self.hw.cr3());
        // As far as the processor has kept them: it does not promise to.
        self.hypervisor.log(format_args!(
            "d{}v{id}: triple fault at {rip:#x}, stack {rsp:#x}, CR2 {cr2:#x}, CR3 {cr3:#x}\n",
            self.domain.id()
        ));
        self.domain.shutdown(self.hypervisor, code);
    }

    fn slow_msr_write(&mut self) {
        // CAST: The index and the parts of the value are in low halves.
        let msr = self.hw.gpr(1) as u32;
        let Some(next) = self.insn.next_rip else {
            return;
        };
        let value = self.hw.gpr(0) & 0xffff_ffff | self.hw.gpr(2) << 32;
        if self.watched_msr(msr, value) || self.write_msr(msr, value) {
            self.complete(next);
        } else {
            self.inject(GP0);
        }
    }

    /// MOV to CR4, and what else writes control registers where a monitor watches them.
    fn control_register(&mut self, access: CrAccess) {
        if !access.write {
            return self.read_control(access);
        }
        if access.number == 0 && self.clears_or_loads_cr0() {
            return;
        }
        let Some((gpr, next)) = self.special_operand(access, Special::Control(access.number))
        else {
            return;
        };
        let value = self.operand_value(gpr);
        if self.store_control(access.number, value) {
            self.complete(next);
        } else {
            self.inject(GP0);
        }
    }

    /// MOV from CR4, of which the processor has more bits than the guest.
    fn read_control(&mut self, access: CrAccess) {
        if access.number != 4 {
            return self.inject(UD);
        }
        if let Some((gpr, next)) = self.special_operand(access, Special::Control(4)) {
            self.hw.set_gpr(gpr, self.hw.cr4());
            self.complete(next);
        }
    }

    /// Writes CR0, CR3 or CR4 for the guest, unless a monitor decides about it first; `false` for #GP.
    pub(super) fn store_control(&mut self, number: u8, value: u64) -> bool {
        let controls = self.controls();
        let (register, old, new) = match number {
            0 => match controls.write_cr0(value) {
                Ok((new, _)) => (Register::Cr0, self.hw.cr0(), new),
                Err(_) => return false,
            },
            3 => {
                let [sizes, ..] = self.cpuid_values(0x8000_0008, 0);
                match controls.write_cr3(value, sizes & 0xff) {
                    Ok(new) => (Register::Cr3, self.hw.cr3(), new),
                    Err(_) => return false,
                }
            }
            4 => match controls.write_cr4(value, cr4_mask(&self.policy)) {
                Ok(new) => (Register::Cr4, self.hw.cr4(), new),
                Err(_) => return false,
            },
            _ => return false,
        };
        if !self.watched_control(register, old, new) {
            self.write_control(register, new);
        }
        true
    }

    /// CLTS and LMSW, which leave the guest like a MOV to CR0; `false` if it is none of them.
    fn clears_or_loads_cr0(&mut self) -> bool {
        let width = self.code_width();
        let bytes = self.insn.bytes;
        let Some(bytes) = bytes.get(..self.insn.len) else {
            return false;
        };
        let vendor = GuestOps::new(self, &Rules::CHECKED).vendor();
        let Ok(insn) = decode(bytes, width, vendor) else {
            return false;
        };
        let clts = insn.opcode == 0x06;
        let lmsw = insn.opcode == 0x01 && insn.digit() == 6;
        if insn.map != Map::Of || !(clts || lmsw) {
            return false;
        }
        self.emulate_by(Exit::Interrupt, &Rules::CHECKED);
        true
    }

    /// MOV to and from debug registers.
    fn debug_register(&mut self, access: CrAccess) {
        let Some((gpr, next)) = self.special_operand(access, Special::Debug(access.number)) else {
            return;
        };
        if access.write {
            let value = self.operand_value(gpr);
            if matches!(access.number, 4..=7) && value >> 32 != 0 {
                self.inject(GP0);
                return;
            }
            self.write_debug(access.number, value);
        } else {
            let value = self.hw.dr(access.number);
            self.hw.set_gpr(gpr, value);
        }
        self.complete(next);
    }

    /// Writes a debug register. The upper half is known to be clear for 4 to 7.
    pub(super) fn write_debug(&mut self, number: u8, value: u64) {
        let value = match number {
            // Reserved bits read as the manual says; general detection is not offered.
            4 | 6 => value & 0xe00f | 0xffff_0ff0,
            5 | 7 => value & 0xffff_03ff & !(1 << 13) | 0x400,
            _ => value,
        };
        self.hw.set_dr(number, value);
    }

    /// The general register of a MOV to or from a special one, and RIP after it.
    fn special_operand(&mut self, access: CrAccess, special: Special) -> Option<(u8, u64)> {
        if let (Some(gpr), Some(next)) = (access.gpr, self.hw.next_rip()) {
            return Some((gpr, next));
        }
        let width = self.code_width();
        let bytes = self.insn.bytes.get(..self.insn.len)?;
        let decoded = mov_cr_operand(bytes, width)?;
        let same = decoded.to_special == access.write && decoded.special == special;
        let next = self.wrap_rip(self.hw.rip().wrapping_add(decoded.len.into()), width);
        same.then_some((decoded.gpr, next))
    }

    fn operand_value(&self, gpr: u8) -> u64 {
        let value = self.hw.gpr(gpr);
        match self.code_width() {
            CodeWidth::Bits64 => value,
            _ => value & 0xffff_ffff,
        }
    }

    /// XSETBV. The interception may come before the processor has looked at CR4.
    fn xsetbv(&mut self) {
        let Some(next) = self.insn.next_rip else {
            return;
        };
        if self.hw.cr4() & CR4_OSXSAVE == 0 {
            self.inject(UD);
            return;
        }
        let index = self.hw.gpr(1) & 0xffff_ffff;
        let value = self.hw.gpr(0) & 0xffff_ffff | self.hw.gpr(2) << 32;
        let valid = index == 0
            && self.hw.cpl() == 0
            && crate::policy::xstate::xcr0_valid(value, self.policy.xcr0_mask());
        if valid {
            let old = self.hw.xcr0();
            self.watched_control(Register::Xcr0, old, value);
            self.hw.set_xcr0(value);
            self.owned.extended.accum |= value;
            self.owned.view.set_xcr0(value);
            self.complete(next);
        } else {
            self.inject(GP0);
        }
    }

    /// Fills a page with hypercall stubs: `mov $n, %eax; vmmcall; ret`, 32 bytes apart. Returns whether there is
    /// such a page.
    pub(super) fn write_hypercall_page(&mut self, gfn: u64) -> bool {
        let Ok(page) = self.domain.p2m.get(gfn, true) else {
            return false;
        };
        crate::hypercall::stubs::fill(&page);
        // The width in which the page is asked for is the width of the guest's structures.
        self.domain
            .latch_width(self.code_width() != CodeWidth::Bits64);
        true
    }
}
