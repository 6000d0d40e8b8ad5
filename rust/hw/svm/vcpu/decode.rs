// SPDX-License-Identifier: GPL-2.0-only

//! What an exit says about itself.

use core::arch::asm;

use super::super::vmcb::{
    clean,
    event,
    exit,
    intercept, //
};
use super::SvmVcpu;
use crate::emulate::skip::Skip;
use crate::hw::state::Event;
use crate::hw::{
    CrAccess,
    DescriptorRegister,
    Exit,
    IoAccess,
    NestedFault, //
};

impl SvmVcpu {
    /// What is not one of the exits that `enter` knows at once.
    #[inline(never)]
    pub(super) fn decode(&mut self) -> Exit {
        let vmcb = self.vmcb();
        let (code, info1, info2) = (vmcb.exit_code, vmcb.exit_info_1, vmcb.exit_info_2);
        // An exit in the middle of delivering an event: the event is not lost.
        let interrupted = vmcb.exit_int_info;
        if interrupted & event::VALID != 0 {
            match interrupted & event::TYPE_MASK {
                // Software interrupts and exceptions come again when the instruction is executed again.
                event::TYPE_SOFT => self.undo_soft(),
                event::TYPE_EXCEPTION if matches!(interrupted & 0xff, 3 | 4) => {
                    // It is over if it was we who injected it.
                    if self.was_injected() {
                        self.reinject = interrupted;
                    }
                }
                event::TYPE_NMI => {
                    self.reinject = interrupted;
                    self.nmi_masked = true;
                }
                _ => self.reinject = interrupted,
            }
        }
        match code {
            exit::NPF => Exit::NestedPageFault(NestedFault {
                gpa: info2,
                present: info1 & 1 != 0,
                write: info1 & 2 != 0,
                fetch: info1 & 1 << 4 != 0,
                in_page_table: info1 & 1 << 33 != 0,
            }),
            exit::HLT => Exit::Hlt,
            exit::VINTR => Exit::InterruptWindow,
            exit::PAUSE => Exit::Pause,
            // CAST: The low four bits of the code are the number of the register.
            code @ (exit::CR_READ..exit::DR_READ) => Exit::Cr(CrAccess {
                number: (code & 0xf) as u8,
                write: code >= exit::CR_WRITE,
                gpr: self.decoded_gpr(info1),
            }),
            code @ (exit::DR_READ..exit::EXCEPTION) => Exit::Dr(CrAccess {
                number: (code & 0xf) as u8,
                write: code >= exit::DR_WRITE,
                gpr: self.decoded_gpr(info1),
            }),
            code @ (exit::EXCEPTION..=exit::LAST_EXCEPTION) => {
                self.decode_exception((code & 0x1f) as u8, info1)
            }
            exit::NMI => Exit::Nmi,
            exit::INIT => Exit::Init,
            exit::IRET => {
                let rip = self.vmcb().rip;
                self.nmi_iret_rip = Some(rip);
                self.change(clean::INTERCEPTS).intercept_3 &= !intercept::IRET;
                Exit::Iret
            }
            // CAST: Three bits.
            code @ (exit::IDTR_READ..=exit::TR_WRITE) => {
                decode_descriptor((code - exit::IDTR_READ) as u8)
            }
            exit::INTN => Exit::SoftwareInterrupt,
            exit::ICEBP => Exit::Icebp,
            exit::INVD => Exit::CacheFlush(Skip::Invd),
            exit::WBINVD => Exit::CacheFlush(Skip::Wbinvd),
            exit::SHUTDOWN => Exit::Shutdown,
            exit::XSETBV => Exit::Xsetbv,
            exit::RDPMC
            | exit::INVLPGA
            | exit::VMRUN
            | exit::VMLOAD..=exit::SKINIT
            | exit::MONITOR..=exit::MWAIT_ARMED
            | exit::RDPRU => Exit::Undefined,
            exit::INVALID => {
                // A flush comes after the checks.
                self.vmcb_mut().tlb_control = 1;
                Exit::Invalid
            }
            code => Exit::Unknown(code),
        }
    }

    fn decoded_gpr(&self, info1: u64) -> Option<u8> {
        // Without decode assists the field is not written. Bit 63 is set for MOV, not for LMSW and CLTS.
        // CAST: Four bits.
        (self.shared.capabilities.decode_assists).then_some((info1 & 0xf) as u8)
    }

    fn decode_exception(&mut self, vector: u8, info1: u64) -> Exit {
        if vector == 18 {
            // A machine check of the host: its handler runs now, as it would have outside the guest.
            // SAFETY: The gate is the kernel's own, and interrupts are off as after a real machine check.
            unsafe { asm!("int 18") };
            return Exit::Nmi;
        }
        let error = match vector {
            8 | 10..=14 | 17 | 21 | 29 | 30 => Some(info1 as u32),
            _ => None,
        };
        Exit::Exception { vector, error }
    }
}

/// Reads what an intercepted IN or OUT says about itself.
#[inline(always)]
pub(super) fn decode_io(info1: u64, info2: u64) -> IoAccess {
    IoAccess {
        // CAST: Bits 16-31 hold the port.
        port: (info1 >> 16) as u16,
        // CAST: Three bits, of which one is set.
        bytes: (info1 >> 4 & 7) as u8,
        input: info1 & 1 != 0,
        string: info1 & 4 != 0,
        rep: info1 & 8 != 0,
        next_rip: info2,
    }
}

/// Reads which descriptor table register was accessed: reads of IDTR, GDTR, LDTR and TR, then writes.
fn decode_descriptor(number: u8) -> Exit {
    Exit::Descriptor {
        register: match number & 3 {
            0 => DescriptorRegister::Idtr,
            1 => DescriptorRegister::Gdtr,
            2 => DescriptorRegister::Ldtr,
            _ => DescriptorRegister::Tr,
        },
        write: number & 4 != 0,
    }
}

/// Reads EVENTINJ or EXITINTINFO.
pub(super) fn decode_event(bits: u64) -> Option<Event> {
    if bits & event::VALID == 0 {
        return None;
    }
    // CAST: The low byte, and the high half.
    let (vector, code) = (bits as u8, (bits >> 32) as u32);
    match bits & event::TYPE_MASK {
        event::TYPE_INTR => Some(Event::Interrupt(vector)),
        event::TYPE_NMI => Some(Event::Nmi),
        event::TYPE_EXCEPTION => Some(Event::Exception {
            vector,
            error: (bits & event::ERROR_VALID != 0).then_some(code),
        }),
        _ => None,
    }
}
