// SPDX-License-Identifier: GPL-2.0-only

//! `hvm_op`: parameters of HVM guests, and a few services.

use kernel::sync::Arc;

use super::Args;
use crate::abi::errno::{
    Result,
    EEXIST,
    EINVAL,
    ENOENT,
    ENOSYS,
    EOPNOTSUPP,
    EPERM, //
};
use crate::abi::hvm as abi;
use crate::abi::hvm::params;
use crate::domain::clock;
use crate::domain::lifecycle::reason;
use crate::domain::vcpu::request;
use crate::domain::{
    DomId,
    Domain,
    DOM0, //
};
use crate::hw::npt::P2mType;
use crate::hypercall::caller::{
    Caller,
    Handle,
    Width, //
};
use crate::sys::atomic::Ordering;

/// Lowest vector that an upcall may have.
const FIRST_VECTOR: u8 = 0x10;

/// Performs an HVM operation.
///
/// # Errors
///
/// Each operation's own; `ENOSYS` for what there is not.
pub(crate) fn hvm_op(caller: &Caller<'_>, args: &mut Args) -> Result<i64> {
    let arg = args[1];
    // CAST: The command has 32 bits.
    match args[0] as u32 {
        abi::SET_PARAM => set_param(caller, &Handle::new(arg).read(caller)?)?,
        abi::GET_PARAM => {
            let mut ask: abi::HvmParam = Handle::new(arg).read(caller)?;
            ask.value = get_param(caller, &ask)?;
            Handle::new(arg).write(caller, &ask)?;
        }
        abi::SET_EVTCHN_UPCALL_VECTOR => {
            let ask: abi::EvtchnUpcallVector = Handle::new(arg).read(caller)?;
            if ask.vector < FIRST_VECTOR {
                return Err(EINVAL);
            }
            let vcpu = caller.domain.vcpu(ask.vcpu).ok_or(ENOENT)?;
            vcpu.upcall_vector
                .store(ask.vector.into(), Ordering::Relaxed);
            let pending = caller
                .domain
                .ports()
                .lock()
                .upcall(vcpu.id(), &vcpu.upcall_epoch)
                .is_pending();
            if pending {
                vcpu.lapic.post(ask.vector, false);
            }
            vcpu.request(request::EVENT);
        }
        abi::FLUSH_TLBS => {
            if arg != 0 {
                return Err(EINVAL);
            }
            caller.domain.p2m.flush();
        }
        abi::GET_TIME => {
            let ask = abi::GetTime {
                now: clock::now_ns(),
            };
            Handle::new(arg).write(caller, &ask)?;
        }
        abi::GET_MEM_TYPE => {
            let mut ask: abi::GetMemType = Handle::new(arg).read(caller)?;
            let domain = hvm_target(caller, ask.domid)?;
            ask.mem_type = mem_type(domain.p2m.lookup(ask.pfn).map(|leaf| leaf.ty));
            Handle::new(arg).write(caller, &ask)?;
        }
        // That nobody listens is no error.
        abi::GUEST_REQUEST_VM_EVENT if arg == 0 => {
            if let Some(vcpu) = caller.vcpu() {
                vcpu.ask_monitor();
            }
        }
        abi::GUEST_REQUEST_VM_EVENT => return Err(EINVAL),
        abi::ALTP2M => return Err(EOPNOTSUPP),
        _ => return Err(ENOSYS),
    }
    Ok(0)
}

/// Finds the domain of an operation on HVM guests. The control domain is none.
///
/// # Errors
///
/// `ESRCH`, `EPERM`; `EINVAL` for the control domain.
fn hvm_target(caller: &Caller<'_>, domid: DomId) -> Result<Arc<Domain>> {
    let domain = caller.target(domid)?;
    if domain.id() == DOM0 {
        return Err(EINVAL);
    }
    Ok(domain)
}

/// The kind of memory as `HVMOP_get_mem_type` names it. What is not the domain's own is like a device's.
fn mem_type(ty: Option<P2mType>) -> u16 {
    match ty {
        Some(P2mType::RamRw | P2mType::Special) => abi::MEM_RAM_RW,
        Some(P2mType::RamRo | P2mType::RamLogdirty | P2mType::GrantMapRo) => abi::MEM_RAM_RO,
        Some(P2mType::IoreqServer) => abi::MEM_IOREQ_SERVER,
        _ => abi::MEM_MMIO_DM,
    }
}

/// Whether a guest may set a parameter of its own.
fn guest_may_set(index: u32) -> bool {
    matches!(
        index,
        params::CALLBACK_IRQ
            | params::VM86_TSS
            | params::VM86_TSS_SIZED
            | params::ACPI_IOPORTS_LOCATION
            | params::VM_GENERATION_ID_ADDR
            | params::STORE_EVTCHN
            | params::CONSOLE_EVTCHN
            | params::X87_FIP_WIDTH
    )
}

/// Whether there is no such parameter any more, or not yet.
fn is_gone(index: u32) -> bool {
    matches!(
        index,
        params::PAE_ENABLED | params::DM_DOMAIN | params::MEMORY_EVENT_CR0
            ..=params::BUFIOREQ_EVTCHN | params::MEMORY_EVENT_MSR
    )
}

/// Whether a guest may read a parameter of its own.
fn guest_may_get(index: u32) -> bool {
    matches!(
        index,
        params::CALLBACK_IRQ
            | params::VM86_TSS
            | params::VM86_TSS_SIZED
            | params::ACPI_IOPORTS_LOCATION
            | params::VM_GENERATION_ID_ADDR
            | params::STORE_PFN
            | params::STORE_EVTCHN
            | params::CONSOLE_PFN
            | params::CONSOLE_EVTCHN
            | params::ALTP2M
            | params::X87_FIP_WIDTH
    )
}

/// Whether a parameter, once it is not 0, stays.
fn set_once(index: u32) -> bool {
    matches!(
        index,
        params::VIRIDIAN
            | params::IOREQ_SERVER_PFN
            | params::NR_IOREQ_SERVER_PAGES
            | params::ALTP2M
            | params::MCA_CAP
    )
}

fn set_param(caller: &Caller<'_>, ask: &abi::HvmParam) -> Result {
    if ask.index >= params::NR_PARAMS {
        return Err(EINVAL);
    }
    let domain = hvm_target(caller, ask.domid)?;
    let own = domain.id() == caller.domain.id();
    if own && is_gone(ask.index) {
        return Err(EINVAL);
    }
    if own && !guest_may_set(ask.index) {
        return Err(EPERM);
    }
    match ask.index {
        params::CALLBACK_IRQ => return set_callback(caller, &domain, ask.value),
        // Removed from the interface; Xen refuses them.
        params::PAE_ENABLED
        | params::MEMORY_EVENT_CR0
        | params::MEMORY_EVENT_CR3
        | params::MEMORY_EVENT_CR4
        | params::MEMORY_EVENT_INT3
        | params::MEMORY_EVENT_SINGLE_STEP => return Err(EOPNOTSUPP),
        params::TRIPLE_FAULT_REASON if ask.value > u64::from(reason::MAX) => return Err(EINVAL),
        params::NR_IOREQ_SERVER_PAGES if ask.value == 0 || ask.value > 64 => return Err(EINVAL),
        params::TIMER_MODE if ask.value > 3 => return Err(EINVAL),
        // Not offered: hostile guests have used them against others' hypervisors more than anything else.
        params::VIRIDIAN | params::ALTP2M | params::NESTEDHVM if ask.value != 0 => {
            return Err(EINVAL);
        }
        _ => {}
    }
    let mut store = domain.params().lock();
    if set_once(ask.index) {
        let now = store.get(ask.index).unwrap_or(0);
        if now != 0 && now != ask.value {
            return Err(EEXIST);
        }
    }
    store.set(ask.index, ask.value).ok_or(EINVAL)
}

fn get_param(caller: &Caller<'_>, ask: &abi::HvmParam) -> Result<u64> {
    if ask.index >= params::NR_PARAMS {
        return Err(EINVAL);
    }
    let domain = hvm_target(caller, ask.domid)?;
    if is_gone(ask.index) {
        return Err(EINVAL);
    }
    if domain.id() == caller.domain.id() && !guest_may_get(ask.index) {
        return Err(EPERM);
    }
    let value = domain.params().lock().get(ask.index);
    value.ok_or(EINVAL)
}

/// `HVM_PARAM_CALLBACK_IRQ`: how the guest learns of events.
fn set_callback(caller: &Caller<'_>, domain: &Domain, value: u64) -> Result {
    let vector = if value >> 56 == params::CALLBACK_TYPE_VECTOR {
        // CAST: The low byte is the vector.
        let vector = value as u8;
        if vector < FIRST_VECTOR {
            return Err(EINVAL);
        }
        vector
    } else {
        // Interrupt lines, which nobody here would raise: vCPUs with a vector of their own use this.
        0
    };
    domain
        .params()
        .lock()
        .set(params::CALLBACK_IRQ, value)
        .ok_or(EINVAL)?;
    domain
        .callback_vector
        .store(vector.into(), Ordering::Relaxed);
    // Here a guest shows the width of its structures, too.
    if domain.id() == caller.domain.id() {
        domain.latch_width(caller.width == Width::Bits32);
    }
    for vcpu in domain.vcpus() {
        vcpu.request(request::EVENT);
    }
    Ok(())
}
