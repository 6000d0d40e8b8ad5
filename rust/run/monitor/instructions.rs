// SPDX-License-Identifier: GPL-2.0-only

//! Instructions of the guest that a monitor wants to hear of.

use zerocopy::FromZeros;

use crate::abi::vm_event as abi;
use crate::domain::monitor::After;
use crate::hw::state::GP0;
use crate::hw::{
    Backend,
    Vcpu as _, //
};
use crate::run::Running;
use crate::vm_event::{
    Register,
    Want, //
};

impl<B: Backend> Running<'_, B> {
    /// A write to a control register; `false` if no monitor has to decide about it first. RIP is past the instruction
    /// afterwards either way.
    pub(in crate::run) fn watched_control(
        &mut self,
        register: Register,
        old: u64,
        new: u64,
    ) -> bool {
        let written = new;
        let new = match register {
            // What is kept of translations is no part of the register.
            Register::Cr3 if self.hw.cr4() & PCIDE != 0 => new & !NO_FLUSH,
            _ => new,
        };
        let sync = self
            .domain
            .monitor_settings
            .lock()
            .control_write(register, old, new);
        let Some(sync) = sync else {
            return false;
        };
        let mut detail = abi::WriteCtrlreg::new_zeroed();
        detail.index = register as u32;
        (detail.old_value, detail.new_value) = (old, new);
        let decides = sync && register != Register::Xcr0 && self.want.any(Want::DECIDES);
        let after = if decides {
            After::Control(register, written)
        } else {
            After::Nothing
        };
        self.report(abi::REASON_WRITE_CTRLREG, &detail, sync, after);
        decides
    }

    /// Writes a control register; the value was checked.
    pub(in crate::run) fn write_control(&mut self, register: Register, value: u64) {
        match register {
            Register::Cr0 => {
                // What was allowed when it was written still is: nothing has run since.
                if let Ok((cr0, efer)) = self.controls().write_cr0(value) {
                    if efer != self.hw.efer() {
                        self.hw.set_efer(efer);
                    }
                    self.hw.set_cr0(cr0);
                }
            }
            Register::Cr3 => {
                let keep = value & NO_FLUSH != 0 && self.hw.cr4() & PCIDE != 0;
                self.hw.set_cr3(value & !NO_FLUSH, keep);
            }
            Register::Cr4 => {
                self.hw.set_cr4(value);
                self.owned.view.set_cr4(value);
            }
            Register::Xcr0 => {}
        }
    }

    /// CPUID, where a monitor wants to hear of it. As in Xen the registers have the answer already, and the monitor
    /// moves RIP, unless it ends before.
    pub(in crate::run) fn slow_cpuid(&mut self) {
        let Some(next) = self.insn.next_rip else {
            return;
        };
        // CAST: CPUID looks at the low halves.
        let (leaf, subleaf) = (self.hw.gpr(0) as u32, self.hw.gpr(1) as u32);
        self.answer_cpuid(leaf, subleaf);
        if !self.want.any(Want::CPUID) {
            return self.complete(next);
        }
        let mut detail = abi::Cpuid::new_zeroed();
        (detail.leaf, detail.subleaf) = (leaf, subleaf);
        // CAST: At most 15.
        detail.insn_length = next.wrapping_sub(self.hw.rip()) as u32;
        self.report(abi::REASON_CPUID, &detail, true, After::Complete(next));
    }

    /// RDMSR outside the section.
    pub(in crate::run) fn slow_msr_read(&mut self) {
        let Some(next) = self.insn.next_rip else {
            return;
        };
        // CAST: The index is in the low half.
        match self.msr_value(self.hw.gpr(1) as u32) {
            Some(value) => {
                self.hw.set_gpr(0, value & 0xffff_ffff);
                self.hw.set_gpr(2, value >> 32);
                self.complete(next);
            }
            None => self.inject(GP0),
        }
    }

    /// A write to a model-specific register; `false` if no monitor has to decide about it first.
    pub(in crate::run) fn watched_msr(&mut self, msr: u32, value: u64) -> bool {
        if !self.want.any(Want::MSR) {
            return false;
        }
        let old = self.msr_value(msr).unwrap_or(0);
        let watched = {
            let settings = self.domain.monitor_settings.lock();
            settings.msr_write(msr, old, value)
        };
        if !watched {
            return false;
        }
        let mut detail = abi::MovToMsr::new_zeroed();
        (detail.msr, detail.old_value, detail.new_value) = (msr.into(), old, value);
        let decides = self.want.any(Want::DECIDES);
        let after = if decides {
            After::Msr {
                msr,
                value,
                rip: self.hw.rip(),
            }
        } else {
            After::Nothing
        };
        self.report(abi::REASON_MOV_TO_MSR, &detail, true, after);
        decides
    }

    /// IN and OUT, where a monitor wants to hear of them; `false` if none does.
    pub(in crate::run) fn watched_io(&mut self, io: crate::hw::IoAccess) -> bool {
        if !self.want.any(Want::IO) {
            return false;
        }
        let mut detail = abi::Io::new_zeroed();
        (detail.bytes, detail.port) = (io.bytes.into(), io.port);
        (detail.in_, detail.str_) = (io.input.into(), io.string.into());
        self.report(abi::REASON_IO_INSTRUCTION, &detail, true, After::Nothing);
        true
    }

    /// An access to a descriptor table register.
    pub(in crate::run) fn descriptor_access(
        &mut self,
        register: crate::hw::DescriptorRegister,
        write: bool,
    ) {
        use crate::hw::DescriptorRegister as Name;
        if !self.want.any(Want::DESCRIPTOR) {
            // It is executed again, and does not leave the guest any more.
            return;
        }
        let mut detail = abi::DescAccess::new_zeroed();
        detail.descriptor = match register {
            Name::Idtr => abi::DESC_IDTR,
            Name::Gdtr => abi::DESC_GDTR,
            Name::Ldtr => abi::DESC_LDTR,
            Name::Tr => abi::DESC_TR,
        };
        detail.is_write = write.into();
        self.report(abi::REASON_DESCRIPTOR_ACCESS, &detail, true, After::Nothing);
    }

    /// The guest asks to be looked at (`HVMOP_guest_request_vm_event`). Before the hypercall is completed.
    pub(in crate::run) fn guest_request(&mut self) {
        let user = self.hw.cpl() == 3;
        let sync = self.domain.monitor_settings.lock().guest_request(user);
        if let Some(sync) = sync {
            self.report(abi::REASON_GUEST_REQUEST, &[0u8; 0], sync, After::Nothing);
        }
    }

    /// An instruction that cannot be emulated; `false` if no monitor wants to hear of it.
    pub(in crate::run) fn unimplemented(&mut self) -> bool {
        if !self.want.any(Want::UNIMPLEMENTED) {
            return false;
        }
        self.report(
            abi::REASON_EMUL_UNIMPLEMENTED,
            &[0u8; 0],
            true,
            After::Nothing,
        );
        true
    }
}

/// What MOV to CR3 says besides the register's value: translations are kept.
const NO_FLUSH: u64 = 1 << 63;
/// CR4.PCIDE, without which that bit has no meaning.
const PCIDE: u64 = 1 << 17;
