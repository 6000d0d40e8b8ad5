// SPDX-License-Identifier: GPL-2.0-only

//! Interrupts, exceptions, and the end of the guest.
//!
//! A PVH guest has no interrupt controller but its local APICs: the lines of PCI devices and of the ISA bus lead
//! nowhere. As in Xen, setting them is checked and otherwise without effect; what reaches the guest are messages.

use super::Call;
use crate::abi::dm_op as abi;
use crate::abi::errno::{
    Result,
    EINVAL, //
};
use crate::domain::lifecycle::reason;
use crate::domain::vcpu::Injection;
use crate::hw::state::Event;
use crate::vlapic::ipi::{
    route,
    Dest,
    Ipi,
    Mode, //
};

/// The lowest vector that is no exception.
const FIRST_INTERRUPT: u8 = 32;
/// The vectors of #BP and #OF, which software events have.
const BREAKPOINT: u8 = 3;
const OVERFLOW: u8 = 4;
/// The vector of #DB, which INT1 has.
const DEBUG: u8 = 1;
/// The vector of #PF.
const PAGE_FAULT: u8 = 14;
/// Bytes of the longest instruction.
const MAX_INSN: u8 = 15;
/// No error code.
const NO_ERROR: u32 = u32::MAX;

fn check_level(level: u8) -> Result {
    if level > 1 {
        return Err(EINVAL);
    }
    Ok(())
}

/// `XEN_DMOP_set_pci_intx_level`.
///
/// # Errors
///
/// `EINVAL` for a device, pin or level that there cannot be.
pub(super) fn set_pci_level(call: &Call<'_>) -> Result {
    let ask: abi::SetPciIntxLevel = call.payload()?;
    if ask.domain != 0 || ask.bus != 0 || ask.device > 31 || ask.intx > 3 {
        return Err(EINVAL);
    }
    check_level(ask.level)
}

/// `XEN_DMOP_set_isa_irq_level`.
///
/// # Errors
///
/// `EINVAL` for a line or level that there cannot be.
pub(super) fn set_isa_level(call: &Call<'_>) -> Result {
    let ask: abi::SetIsaIrqLevel = call.payload()?;
    if ask.isa_irq > 15 {
        return Err(EINVAL);
    }
    check_level(ask.level)
}

/// `XEN_DMOP_set_pci_link_route`.
///
/// # Errors
///
/// `EINVAL` for a link or line that there cannot be.
pub(super) fn set_pci_route(call: &Call<'_>) -> Result {
    let ask: abi::SetPciLinkRoute = call.payload()?;
    if ask.link > 3 || ask.isa_irq > 15 {
        return Err(EINVAL);
    }
    Ok(())
}

/// `XEN_DMOP_inject_event`: delivers an event when the vCPU runs next.
///
/// # Errors
///
/// - `EINVAL` for padding that is not 0, a vCPU that there is not, or an event that there cannot be.
/// - `EBUSY` if the last one has not been delivered.
pub(super) fn inject(call: &Call<'_>) -> Result {
    let ask: abi::InjectEvent = call.payload()?;
    if ask.pad0 != 0 || ask.pad1 != 0 {
        return Err(EINVAL);
    }
    let vcpu = call.domain.vcpu(ask.vcpuid).ok_or(EINVAL)?;
    vcpu.set_injection(injection(&ask)?)
}

/// Checks what the processor would refuse, or deliver as something that it is not.
fn injection(ask: &abi::InjectEvent) -> Result<Injection> {
    let vector = ask.vector;
    let exception = |error: Option<u32>| Event::Exception { vector, error };
    let (event, skip) = match ask.type_ {
        abi::EVENT_EXT_INT => (Event::Interrupt(vector), 0),
        abi::EVENT_NMI => (Event::Nmi, 0),
        abi::EVENT_HW_EXC if vector < FIRST_INTERRUPT && vector != 2 => {
            let error = (ask.error_code != NO_ERROR).then_some(ask.error_code);
            (exception(error), 0)
        }
        // What an instruction raises returns behind it.
        abi::EVENT_SW_INT => (Event::Interrupt(vector), ask.insn_len),
        abi::EVENT_PRI_SW_EXC if vector == DEBUG => (exception(None), ask.insn_len),
        abi::EVENT_SW_EXC if vector == BREAKPOINT || vector == OVERFLOW => {
            (exception(None), ask.insn_len)
        }
        _ => return Err(EINVAL),
    };
    if skip > MAX_INSN {
        return Err(EINVAL);
    }
    let fault = ask.type_ == abi::EVENT_HW_EXC && vector == PAGE_FAULT;
    Ok(Injection {
        event,
        skip,
        cr2: fault.then_some(ask.cr2),
    })
}

/// `XEN_DMOP_inject_msi`: a message of a device. One with vector 0 would name a physical interrupt, of which there are
/// none.
///
/// # Errors
///
/// `EINVAL` for padding that is not 0, for such a message, and for a delivery mode other than fixed and lowest
/// priority.
pub(super) fn inject_msi(call: &Call<'_>) -> Result {
    let ask: abi::InjectMsi = call.payload()?;
    // CAST: The vector is the low byte.
    let vector = ask.data as u8;
    if ask.pad != 0 || vector == 0 {
        return Err(EINVAL);
    }
    let mode = match ask.data >> 8 & 7 {
        0 => Mode::Fixed(vector),
        1 => Mode::Lowest(vector),
        _ => return Err(EINVAL),
    };
    // CAST: Eight bits of the address name the destination, another says how.
    let dest = (ask.addr >> 12) as u32 & 0xff;
    let logical = ask.addr & 1 << 2 != 0;
    let ipi = Ipi {
        mode,
        dest: Dest::from_address(false, logical, dest),
    };
    // A message has no sender; no destination of it means one.
    let Some(any) = call.domain.vcpu(0) else {
        return Ok(());
    };
    route(ipi, &any.lapic, &*call.domain);
    Ok(())
}

/// `XEN_DMOP_remote_shutdown`.
///
/// # Errors
///
/// `EINVAL` for a reason that there is not.
pub(super) fn shut_down(call: &Call<'_>) -> Result {
    let ask: abi::RemoteShutdown = call.payload()?;
    let code = u8::try_from(ask.reason)
        .ok()
        .filter(|code| *code <= reason::MAX)
        .ok_or(EINVAL)?;
    call.domain.shutdown(call.caller.hypervisor, code);
    Ok(())
}
