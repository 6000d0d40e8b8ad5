// SPDX-License-Identifier: GPL-2.0-only

//! Which events a monitor wants (`XEN_DOMCTL_monitor_op`).

use crate::abi::domctl::monitor as abi;
use crate::abi::errno::{
    Result,
    EEXIST,
    EINVAL,
    ENOMEM,
    EOPNOTSUPP, //
};
use crate::abi::vm_event::{
    X86_CR0,
    X86_CR3,
    X86_CR4,
    X86_XCR0, //
};
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL, //
};

/// Model-specific registers of which writes can be monitored at once.
const MAX_MSRS: usize = 256;

/// A control register whose writes can be monitored. Numbers are the interface's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Register {
    /// CR0.
    Cr0 = 0,
    /// CR3.
    Cr3 = 1,
    /// CR4.
    Cr4 = 2,
    /// XCR0.
    Xcr0 = 3,
}

impl Register {
    const fn from_number(number: u8) -> Option<Self> {
        match number as u32 {
            X86_CR0 => Some(Self::Cr0),
            X86_CR3 => Some(Self::Cr3),
            X86_CR4 => Some(Self::Cr4),
            X86_XCR0 => Some(Self::Xcr0),
            _ => None,
        }
    }
}

/// What is wanted of one control register.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct ControlWrites {
    on: bool,
    sync: bool,
    on_change_only: bool,
    /// A write that changes one of these bits is not reported.
    mask: u64,
}

/// A model-specific register whose writes are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct MsrWrites {
    msr: u32,
    on_change_only: bool,
}

/// What has to be intercepted, as bits, for whoever runs vCPUs.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Want(pub(crate) u32);

impl Want {
    /// Writes to CR0.
    pub(crate) const CR0: u32 = 1 << 0;
    /// Writes to CR3.
    pub(crate) const CR3: u32 = 1 << 1;
    /// Writes to CR4.
    pub(crate) const CR4: u32 = 1 << 2;
    /// Writes to XCR0.
    pub(crate) const XCR0: u32 = 1 << 3;
    /// Writes to model-specific registers.
    pub(crate) const MSR: u32 = 1 << 4;
    /// Single steps are reported.
    pub(crate) const SINGLE_STEP: u32 = 1 << 5;
    /// Breakpoint instructions.
    pub(crate) const BREAKPOINT: u32 = 1 << 6;
    /// Debug exceptions.
    pub(crate) const DEBUG: u32 = 1 << 7;
    /// Debug exceptions wait for an answer.
    pub(crate) const DEBUG_SYNC: u32 = 1 << 8;
    /// CPUID.
    pub(crate) const CPUID: u32 = 1 << 9;
    /// Accesses to descriptor table registers.
    pub(crate) const DESCRIPTOR: u32 = 1 << 10;
    /// Ports.
    pub(crate) const IO: u32 = 1 << 11;
    /// Instructions that cannot be emulated.
    pub(crate) const UNIMPLEMENTED: u32 = 1 << 12;
    /// What page walks do to protected pages is not reported.
    pub(crate) const NO_WALKS: u32 = 1 << 13;
    /// Answers decide about writes to registers.
    pub(crate) const DECIDES: u32 = 1 << 14;

    /// User mode may ask to be looked at.
    pub(crate) const USER_REQUESTS: u32 = 1 << 15;

    /// Exits that are otherwise answered where an event cannot be sent.
    pub(crate) const LEAVES_SECTION: u32 = Self::MSR | Self::CPUID | Self::IO;

    /// Whether one of these is wanted.
    pub(crate) const fn any(self, bits: u32) -> bool {
        self.0 & bits != 0
    }
}

/// What a monitor wants. Changing it may allocate.
pub(crate) struct Settings {
    controls: [ControlWrites; 4],
    msrs: KVec<MsrWrites>,
    /// Switches of events that have nothing else to say, by number.
    events: u32,
    debug_sync: bool,
    guest_request_sync: bool,
    guest_request_user: bool,
    decides: bool,
    each_rep: bool,
}

/// Events that can be switched on where a processor can trap what this backend's can.
pub(crate) const CAPABILITIES: u32 = 1 << abi::MONITOR_EVENT_WRITE_CTRLREG
    | 1 << abi::MONITOR_EVENT_MOV_TO_MSR
    | 1 << abi::MONITOR_EVENT_SINGLESTEP
    | 1 << abi::MONITOR_EVENT_SOFTWARE_BREAKPOINT
    | 1 << abi::MONITOR_EVENT_GUEST_REQUEST
    | 1 << abi::MONITOR_EVENT_DEBUG_EXCEPTION
    | 1 << abi::MONITOR_EVENT_CPUID
    | 1 << abi::MONITOR_EVENT_DESC_ACCESS
    | 1 << abi::MONITOR_EVENT_EMUL_UNIMPLEMENTED
    | 1 << abi::MONITOR_EVENT_INGUEST_PAGEFAULT
    | 1 << abi::MONITOR_EVENT_IO;

/// What `XEN_DOMCTL_monitor_op` says of an event besides its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Detail {
    /// Nothing.
    None,
    /// Of [`abi::MONITOR_EVENT_WRITE_CTRLREG`].
    Control(abi::MovToCr),
    /// Of [`abi::MONITOR_EVENT_MOV_TO_MSR`].
    Msr(abi::MovToMsr),
    /// Of [`abi::MONITOR_EVENT_GUEST_REQUEST`].
    GuestRequest(abi::GuestRequest),
    /// Of [`abi::MONITOR_EVENT_DEBUG_EXCEPTION`].
    Debug(abi::Sync),
}

impl Settings {
    /// Nothing.
    pub(crate) const fn new() -> Self {
        Self {
            controls: [ControlWrites {
                on: false,
                sync: false,
                on_change_only: false,
                mask: 0,
            }; 4],
            msrs: KVec::new(),
            events: 0,
            debug_sync: false,
            guest_request_sync: false,
            guest_request_user: false,
            decides: false,
            each_rep: false,
        }
    }

    /// Whether an event without more to say is on.
    fn is_on(&self, event: u32) -> bool {
        self.events & 1u32.checked_shl(event).unwrap_or(0) != 0
    }

    /// Switches an event.
    ///
    /// # Errors
    ///
    /// - `EINVAL` for a number that no event can have, and details that mean nothing.
    /// - `EOPNOTSUPP` for an event that there is not.
    /// - `EEXIST` if it is as it is to be.
    /// - `ENOMEM` if too many registers are monitored.
    pub(crate) fn switch(&mut self, event: u32, on: bool, detail: Detail) -> Result {
        let bit = 1u32.checked_shl(event).ok_or(EINVAL)?;
        if CAPABILITIES & bit == 0 {
            return Err(EOPNOTSUPP);
        }
        match detail {
            Detail::Control(ask) => return self.switch_control(&ask, on),
            Detail::Msr(ask) => return self.switch_msr(&ask, on),
            _ => {}
        }
        if (self.events & bit != 0) == on {
            return Err(EEXIST);
        }
        match detail {
            Detail::GuestRequest(ask) => {
                self.guest_request_sync = ask.sync != 0;
                self.guest_request_user = ask.allow_userspace != 0;
            }
            Detail::Debug(ask) => self.debug_sync = ask.sync != 0,
            _ => {}
        }
        self.events ^= bit;
        Ok(())
    }

    fn switch_control(&mut self, ask: &abi::MovToCr, on: bool) -> Result {
        // Sanity, as the interface has it: it knows more registers than there are.
        if ask.index > 31 || ask.pad1 != 0 || ask.pad2 != 0 {
            return Err(EINVAL);
        }
        let register = Register::from_number(ask.index).ok_or(EINVAL)?;
        let entry = self
            .controls
            .get_mut(usize::from(register as u8))
            .ok_or(EINVAL)?;
        if entry.on == on {
            return Err(EEXIST);
        }
        *entry = if on {
            ControlWrites {
                on,
                sync: ask.sync != 0,
                on_change_only: ask.onchangeonly != 0,
                mask: ask.bitmask,
            }
        } else {
            ControlWrites::default()
        };
        Ok(())
    }

    fn switch_msr(&mut self, ask: &abi::MovToMsr, on: bool) -> Result {
        // The registers that Xen has bitmaps for.
        let known = matches!(
            ask.msr,
            0..=0x1fff | 0x4000_0000..=0x4000_1fff | 0xc000_0000..=0xc000_1fff
        );
        if !known {
            return Err(EINVAL);
        }
        let at = self.msrs.iter().position(|entry| entry.msr == ask.msr);
        if at.is_some() == on {
            return Err(EEXIST);
        }
        let Some(at) = at else {
            if self.msrs.len() >= MAX_MSRS {
                return Err(ENOMEM);
            }
            self.msrs.push(
                MsrWrites {
                    msr: ask.msr,
                    on_change_only: ask.onchangeonly != 0,
                },
                GFP_KERNEL,
            )?;
            return Ok(());
        };
        // Order does not matter.
        let last = self.msrs.len().saturating_sub(1);
        self.msrs.swap(at, last);
        self.msrs.pop();
        Ok(())
    }

    /// Has answers decide about writes to registers (`XEN_DOMCTL_MONITOR_OP_CONTROL_REGISTERS`).
    pub(crate) fn set_decides(&mut self) {
        self.decides = true;
    }

    /// Has each repetition of an emulated instruction be an instruction of its own, or not.
    pub(crate) fn set_each_rep(&mut self, on: bool) {
        self.each_rep = on;
    }

    /// What has to be intercepted.
    pub(crate) fn want(&self) -> Want {
        let mut bits = 0;
        let mut add = |on: bool, bit: u32| {
            if on {
                bits |= bit;
            }
        };
        let control = [Want::CR0, Want::CR3, Want::CR4, Want::XCR0];
        for (entry, bit) in self.controls.iter().zip(control) {
            add(entry.on, bit);
        }
        add(!self.msrs.is_empty(), Want::MSR);
        add(self.is_on(abi::MONITOR_EVENT_SINGLESTEP), Want::SINGLE_STEP);
        add(
            self.is_on(abi::MONITOR_EVENT_SOFTWARE_BREAKPOINT),
            Want::BREAKPOINT,
        );
        let debug = self.is_on(abi::MONITOR_EVENT_DEBUG_EXCEPTION);
        add(debug, Want::DEBUG);
        add(debug && self.debug_sync, Want::DEBUG_SYNC);
        add(self.is_on(abi::MONITOR_EVENT_CPUID), Want::CPUID);
        add(self.is_on(abi::MONITOR_EVENT_DESC_ACCESS), Want::DESCRIPTOR);
        add(self.is_on(abi::MONITOR_EVENT_IO), Want::IO);
        add(
            self.is_on(abi::MONITOR_EVENT_EMUL_UNIMPLEMENTED),
            Want::UNIMPLEMENTED,
        );
        add(
            self.is_on(abi::MONITOR_EVENT_INGUEST_PAGEFAULT),
            Want::NO_WALKS,
        );
        add(self.decides, Want::DECIDES);
        add(self.guest_request(true).is_some(), Want::USER_REQUESTS);
        Want(bits)
    }

    /// Whether a write to a control register is to be reported, and whether its vCPU waits then.
    pub(crate) fn control_write(&self, register: Register, old: u64, new: u64) -> Option<bool> {
        let entry = self.controls.get(usize::from(register as u8))?;
        // As in Xen, a write that changes a masked bit is of no interest, whatever else it changes.
        let masked = (old ^ new) & entry.mask != 0;
        let reported = entry.on && !masked && (!entry.on_change_only || old != new);
        reported.then_some(entry.sync)
    }

    /// Whether a write to a model-specific register is to be reported.
    pub(crate) fn msr_write(&self, msr: u32, old: u64, new: u64) -> bool {
        self.msrs
            .iter()
            .find(|entry| entry.msr == msr)
            .is_some_and(|entry| !entry.on_change_only || old != new)
    }

    /// The registers of which writes are wanted.
    pub(crate) fn msrs(&self) -> impl Iterator<Item = u32> + '_ {
        self.msrs.iter().map(|entry| entry.msr)
    }

    /// Whether a request of the guest's is to be reported, and whether its vCPU waits then. `user` says that user mode
    /// asks.
    pub(crate) fn guest_request(&self, user: bool) -> Option<bool> {
        (self.is_on(abi::MONITOR_EVENT_GUEST_REQUEST) && (!user || self.guest_request_user))
            .then_some(self.guest_request_sync)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;

    fn control(index: u8, on_change_only: bool, bitmask: u64) -> Detail {
        let mut ask = abi::MovToCr::new_zeroed();
        (ask.index, ask.sync, ask.bitmask) = (index, 1, bitmask);
        ask.onchangeonly = on_change_only.into();
        Detail::Control(ask)
    }

    fn msr(msr: u32, on_change_only: bool) -> Detail {
        let mut ask = abi::MovToMsr::new_zeroed();
        (ask.msr, ask.onchangeonly) = (msr, on_change_only.into());
        Detail::Msr(ask)
    }

    const CR: u32 = abi::MONITOR_EVENT_WRITE_CTRLREG;
    const MSR: u32 = abi::MONITOR_EVENT_MOV_TO_MSR;

    #[test]
    fn what_is_on_is_not_switched_on() {
        let mut settings = Settings::new();
        for event in 0..32 {
            let there = CAPABILITIES & 1 << event != 0;
            if event == CR || event == MSR {
                continue;
            }
            let first = settings.switch(event, true, Detail::None);
            assert_eq!(first, if there { Ok(()) } else { Err(EOPNOTSUPP) });
            if there {
                assert_eq!(settings.switch(event, true, Detail::None), Err(EEXIST));
                assert_eq!(settings.switch(event, false, Detail::None), Ok(()));
                assert_eq!(settings.switch(event, false, Detail::None), Err(EEXIST));
            }
        }
        assert_eq!(settings.switch(32, true, Detail::None), Err(EINVAL));
        assert_eq!(settings.switch(u32::MAX, true, Detail::None), Err(EINVAL));
        assert_eq!(settings.want(), Want(0));
    }

    #[test]
    fn each_control_register_for_itself() {
        let mut settings = Settings::new();
        settings.switch(CR, true, control(2, false, 0)).unwrap();
        assert_eq!(settings.switch(CR, true, control(2, true, 0)), Err(EEXIST));
        assert_eq!(settings.switch(CR, false, control(0, true, 0)), Err(EEXIST));
        assert_eq!(settings.switch(CR, true, control(4, true, 0)), Err(EINVAL));
        assert_eq!(settings.switch(CR, true, control(32, true, 0)), Err(EINVAL));
        assert_eq!(settings.want(), Want(Want::CR4));
        assert_eq!(settings.control_write(Register::Cr4, 5, 5), Some(true));
        assert_eq!(settings.control_write(Register::Cr0, 5, 6), None);
        settings.switch(CR, false, control(2, false, 0)).unwrap();
        assert_eq!(settings.control_write(Register::Cr4, 5, 6), None);
    }

    #[test]
    fn masked_bits_and_unchanged_values() {
        const PGE: u64 = 1 << 7;
        let mut settings = Settings::new();
        settings.switch(CR, true, control(2, true, PGE)).unwrap();
        assert_eq!(settings.control_write(Register::Cr4, 0, 0), None);
        assert_eq!(settings.control_write(Register::Cr4, 0, PGE), None);
        assert_eq!(settings.control_write(Register::Cr4, PGE, 1), None);
        assert_eq!(
            settings.control_write(Register::Cr4, PGE, PGE | 1),
            Some(true)
        );
    }

    #[test]
    fn msrs_come_and_go() {
        let mut settings = Settings::new();
        settings.switch(MSR, true, msr(0xc000_0082, true)).unwrap();
        settings.switch(MSR, true, msr(0x174, false)).unwrap();
        assert_eq!(settings.switch(MSR, true, msr(0x174, true)), Err(EEXIST));
        assert_eq!(settings.switch(MSR, true, msr(0x2000, true)), Err(EINVAL));
        assert!(settings.msr_write(0x174, 1, 1));
        assert!(!settings.msr_write(0xc000_0082, 1, 1));
        assert!(settings.msr_write(0xc000_0082, 1, 2));
        assert!(!settings.msr_write(0x175, 1, 2));
        assert_eq!(settings.msrs().count(), 2);
        settings.switch(MSR, false, msr(0xc000_0082, true)).unwrap();
        assert_eq!(settings.msrs().collect::<Vec<_>>(), [0x174]);
        assert_eq!(settings.want(), Want(Want::MSR));
        for index in 0..MAX_MSRS as u32 - 1 {
            settings
                .switch(MSR, true, msr(0x200 + index, false))
                .unwrap();
        }
        assert_eq!(settings.switch(MSR, true, msr(0x1000, false)), Err(ENOMEM));
    }

    #[test]
    fn a_guest_may_ask_where_it_was_allowed() {
        let mut settings = Settings::new();
        assert_eq!(settings.guest_request(false), None);
        for user in [false, true] {
            let mut ask = abi::GuestRequest::new_zeroed();
            (ask.sync, ask.allow_userspace) = (1, user.into());
            let event = abi::MONITOR_EVENT_GUEST_REQUEST;
            settings
                .switch(event, true, Detail::GuestRequest(ask))
                .unwrap();
            assert_eq!(settings.guest_request(false), Some(true));
            assert_eq!(settings.guest_request(true), user.then_some(true));
            settings.switch(event, false, Detail::None).unwrap();
        }
    }
}
