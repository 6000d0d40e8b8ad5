// SPDX-License-Identifier: GPL-2.0-only

//! `event_channel_op`.

use super::Args;
use crate::abi::errno::{
    Result,
    EINVAL,
    ENOSYS, //
};
use crate::abi::event_channel as abi;
use crate::abi::xen::DOMID_SELF;
use crate::domain::DomId;
use crate::evtchn::topology::{
    self,
    Domains, //
};
use crate::evtchn::{
    Closer,
    FifoReservation,
    Reservation, //
};
use crate::hypercall::caller::{
    Caller,
    Handle, //
};
use crate::sys::irq;
use crate::sys::page::SharedPage;

/// Performs an event channel operation.
///
/// # Errors
///
/// Each operation's own; `ENOSYS` for what there is not.
pub(crate) fn event_channel_op(caller: &Caller<'_>, args: &mut Args) -> Result<i64> {
    let arg = args[1];
    let id = caller.domain.id();
    let all = caller.hypervisor;
    // CAST: The command has 32 bits.
    match args[0] as u32 {
        abi::SEND => {
            let ask: abi::Send = Handle::new(arg).read(caller)?;
            topology::send(all, id, ask.port)?;
        }
        abi::ALLOC_UNBOUND => {
            let mut ask: abi::AllocUnbound = Handle::new(arg).read(caller)?;
            let domain = caller.target(ask.dom)?;
            let remote = self_or(ask.remote_dom, id);
            let mut reservation = Reservation::new()?;
            ask.port = domain
                .ports()
                .lock()
                .alloc_unbound(remote, &mut reservation)?;
            Handle::new(arg).write(caller, &ask)?;
        }
        abi::BIND_INTERDOMAIN => {
            let mut ask: abi::BindInterdomain = Handle::new(arg).read(caller)?;
            let remote = self_or(ask.remote_dom, id);
            let mut reservation = Reservation::new()?;
            ask.local_port = {
                let _connections = all.connections.lock();
                topology::bind_interdomain(all, id, remote, ask.remote_port, &mut reservation)?
            };
            Handle::new(arg).write(caller, &ask)?;
        }
        abi::BIND_VIRQ => {
            let mut ask: abi::BindVirq = Handle::new(arg).read(caller)?;
            let mut reservation = Reservation::new()?;
            ask.port =
                caller
                    .domain
                    .ports()
                    .lock()
                    .bind_virq(ask.virq, ask.vcpu, &mut reservation)?;
            Handle::new(arg).write(caller, &ask)?;
        }
        abi::BIND_IPI => {
            let mut ask: abi::BindIpi = Handle::new(arg).read(caller)?;
            let mut reservation = Reservation::new()?;
            ask.port = caller
                .domain
                .ports()
                .lock()
                .bind_ipi(ask.vcpu, &mut reservation)?;
            Handle::new(arg).write(caller, &ask)?;
        }
        // There are no physical interrupts to bind.
        abi::BIND_PIRQ => return Err(EINVAL),
        abi::CLOSE => {
            let ask: abi::Close = Handle::new(arg).read(caller)?;
            let _connections = all.connections.lock();
            topology::close(all, id, ask.port, Closer::Guest)?;
        }
        abi::STATUS => status(caller, arg)?,
        abi::BIND_VCPU => {
            let ask: abi::BindVcpu = Handle::new(arg).read(caller)?;
            caller.domain.ports().lock().bind_vcpu(ask.port, ask.vcpu)?;
        }
        abi::UNMASK => {
            let ask: abi::Unmask = Handle::new(arg).read(caller)?;
            topology::unmask(all, id, ask.port)?;
        }
        abi::RESET | abi::RESET_CONT => {
            let ask: abi::Reset = Handle::new(arg).read(caller)?;
            let domain = caller.target(ask.dom)?;
            let _connections = all.connections.lock();
            topology::reset(all, domain.id(), args[0] as u32 == abi::RESET_CONT, || {
                irq::cond_resched();
                false
            })?;
        }
        abi::INIT_CONTROL => {
            let mut ask: abi::InitControl = Handle::new(arg).read(caller)?;
            // CAST: 17.
            ask.link_bits = abi::FIFO_LINK_BITS as u8;
            Handle::new(arg).write(caller, &ask)?;
            init_control(caller, &ask)?;
        }
        abi::EXPAND_ARRAY => {
            let ask: abi::ExpandArray = Handle::new(arg).read(caller)?;
            let page = guest_page(caller, ask.array_gfn)?;
            let delivery = caller.domain.ports().lock().expand_array(page)?;
            all.deliver(id, delivery);
        }
        abi::SET_PRIORITY => {
            let ask: abi::SetPriority = Handle::new(arg).read(caller)?;
            caller
                .domain
                .ports()
                .lock()
                .set_priority(ask.port, ask.priority)?;
        }
        _ => return Err(ENOSYS),
    }
    Ok(0)
}

/// The number that `DOMID_SELF` means.
fn self_or(domid: DomId, own: DomId) -> DomId {
    if domid == DOMID_SELF {
        own
    } else {
        domid
    }
}

/// A page of the calling guest, to be shared with it.
fn guest_page(caller: &Caller<'_>, gfn: u64) -> Result<SharedPage> {
    let page = caller.domain.p2m.get(gfn, true).map_err(|_| EINVAL)?;
    Ok(SharedPage::new(page))
}

fn init_control(caller: &Caller<'_>, ask: &abi::InitControl) -> Result {
    if caller.is_control() {
        return Err(ENOSYS);
    }
    caller
        .domain
        .ports()
        .lock()
        .check_control(ask.vcpu, ask.offset)?;
    let page = guest_page(caller, ask.control_gfn)?;
    let mut reservation = FifoReservation::new(caller.domain.config().max_vcpus as usize)?;
    caller
        .domain
        .ports()
        .lock()
        .init_control(ask.vcpu, page, ask.offset, &mut reservation)
}

fn status(caller: &Caller<'_>, arg: u64) -> Result {
    let ask: abi::Status = Handle::new(arg).read(caller)?;
    let domain = caller.target(ask.dom)?;
    let (status, vcpu) = domain.ports().lock().status(ask.port)?;
    let answer = abi::Status::answer(ask.dom, ask.port, vcpu, status);
    Handle::new(arg).write(caller, &answer)
}
