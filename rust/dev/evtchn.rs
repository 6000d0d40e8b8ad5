// SPDX-License-Identifier: GPL-2.0-only

//! `/dev/xen/evtchn`: event channels of the control domain for processes.
//!
//! Each descriptor has ports of its own. `read` gives those that were notified; such a port stays quiet until it is
//! written back.

use kernel::new_mutex;
use kernel::prelude::*;
use kernel::sync::poll::PollTable;
use kernel::sync::{
    Arc,
    Mutex, //
};
use kernel::uaccess::{
    UserSliceReader,
    UserSliceWriter, //
};

use super::ioctl::read;
use super::restriction::Restriction;
use crate::abi::errno::{
    Result,
    EACCES,
    EAGAIN,
    EEXIST,
    EFAULT, //
    EINVAL,
    ENODEV,
    ENOMEM,
    ENOTCONN,
    ENOTTY,
    ERESTART,
};
use crate::abi::event_channel::StatusDetail;
use crate::abi::evtchn_dev as abi;
use crate::domain::host::Queue;
use crate::domain::hypervisor::{
    Hypervisor,
    HYPERVISOR, //
};
use crate::domain::DOM0;
use crate::evtchn::{
    topology,
    Closer,
    Port,
    Reservation, //
};
use crate::sys::chardev::{
    Device,
    OpenFile,
    Progress, //
};
use crate::sys::wait::Waiter;

/// Readable.
const EPOLLIN: u32 = 0x1;
/// Writable.
const EPOLLOUT: u32 = 0x4;
/// Broken: events were lost.
const EPOLLERR: u32 = 0x8;
/// Readable, normal data.
const EPOLLRDNORM: u32 = 0x40;
/// Writable, normal data.
const EPOLLWRNORM: u32 = 0x100;

/// Linux: the descriptor has the port already.
const EISCONN: c_int = 106;

/// Ports that one call of `read` or `write` moves at most.
const BATCH: usize = 64;

/// An open file.
#[pin_data]
pub(crate) struct Evtchn {
    queue: Arc<Queue>,
    /// The descriptor's ports, sorted, and the one domain that it may connect to.
    #[pin]
    state: Mutex<State>,
}

struct State {
    ports: KVec<Port>,
    /// Those of them that others made, and that are not closed with the descriptor.
    fixed: KVec<Port>,
    restricted: Option<Restriction>,
}

impl Device for Evtchn {
    const NAME: &'static CStr = c"xen/evtchn";

    fn open() -> Result<Arc<Self>> {
        let queue = Arc::pin_init(Queue::new(), GFP_KERNEL)?;
        let state = State {
            ports: KVec::new(),
            fixed: KVec::new(),
            restricted: None,
        };
        Ok(Arc::pin_init::<Error>(
            try_pin_init!(Self {
                queue,
                state <- new_mutex!(state, "oxen::Evtchn::state"),
            }? Error),
            GFP_KERNEL,
        )?)
    }

    fn ioctl(
        this: &Arc<Self>,
        _file: &OpenFile,
        cmd: u32,
        arg: usize,
        _progress: &mut Progress,
    ) -> Result<i64> {
        let hypervisor = HYPERVISOR.get().ok_or(ENODEV)?;
        match cmd {
            abi::BIND_VIRQ => {
                let ask: abi::BindVirq = read(arg)?;
                this.bind(hypervisor, None, |hypervisor, reservation| {
                    hypervisor
                        .dom0()
                        .ports()
                        .lock()
                        .bind_virq(ask.virq, 0, reservation)
                })
            }
            abi::BIND_INTERDOMAIN => {
                let ask: abi::BindInterdomain = read(arg)?;
                let remote = u16::try_from(ask.remote_domain).map_err(|_| EINVAL)?;
                this.bind(hypervisor, Some(remote), |hypervisor, reservation| {
                    let _connections = hypervisor.connections.lock();
                    topology::bind_interdomain(
                        hypervisor,
                        DOM0,
                        remote,
                        ask.remote_port,
                        reservation,
                    )
                })
            }
            abi::BIND_UNBOUND_PORT => {
                let ask: abi::BindUnboundPort = read(arg)?;
                let remote = u16::try_from(ask.remote_domain).map_err(|_| EINVAL)?;
                this.bind(hypervisor, Some(remote), |hypervisor, reservation| {
                    hypervisor
                        .dom0()
                        .ports()
                        .lock()
                        .alloc_unbound(remote, reservation)
                })
            }
            abi::linux::BIND_STATIC => {
                let ask: abi::linux::Bind = read(arg)?;
                this.bind_static(hypervisor, ask.port)
            }
            abi::UNBIND => {
                let ask: abi::Unbind = read(arg)?;
                this.unbind(hypervisor, ask.port)?;
                Ok(0)
            }
            abi::NOTIFY => {
                let ask: abi::Notify = read(arg)?;
                if !this.owns(ask.port) {
                    return Err(ENOTCONN);
                }
                topology::send(hypervisor, DOM0, ask.port)?;
                Ok(0)
            }
            abi::RESET => {
                this.queue.reset();
                Ok(0)
            }
            abi::RESTRICT_DOMID => {
                let ask: abi::RestrictDomid = read(arg)?;
                let mut state = this.state.lock();
                if state.restricted.is_some() {
                    return Err(EACCES);
                }
                state.restricted = Some(Restriction::to(hypervisor, ask.domid));
                Ok(0)
            }
            _ => Err(ENOTTY),
        }
    }

    fn read(
        this: &Arc<Self>,
        file: &OpenFile,
        into: &mut UserSliceWriter,
        wait: &mut Option<Waiter>,
    ) -> Result<usize> {
        let room = into.len() / size_of::<Port>();
        if room == 0 {
            return Err(EINVAL);
        }
        let mut batch = [0; BATCH];
        let batch = batch.get_mut(..room.min(BATCH)).ok_or(EINVAL)?;
        match this.queue.take(batch) {
            // As Linux's own device answers; Xen has no such number.
            None => Err(kernel::error::code::EFBIG.into()),
            Some(0) if file.is_nonblocking() => Err(EAGAIN),
            Some(0) => {
                *wait = Some(this.queue.waiter());
                Err(ERESTART)
            }
            Some(count) => {
                let ports = batch.get(..count).ok_or(EINVAL)?;
                for (done, port) in ports.iter().enumerate() {
                    if into.write_slice(&port.to_ne_bytes()).is_err() {
                        this.queue.give_back(ports.get(done..).unwrap_or(&[]));
                        return if done == 0 {
                            Err(EFAULT)
                        } else {
                            Ok(done * size_of::<Port>())
                        };
                    }
                }
                Ok(count * size_of::<Port>())
            }
        }
    }

    fn write(this: &Arc<Self>, from: &mut UserSliceReader) -> Result<usize> {
        let hypervisor = HYPERVISOR.get().ok_or(ENODEV)?;
        let count = from.len() / size_of::<Port>();
        if count == 0 {
            return Ok(0);
        }
        let mut done = 0;
        for _ in 0..count.min(BATCH * BATCH) {
            let mut bytes = [0; size_of::<Port>()];
            from.read_slice(&mut bytes).map_err(|_| EFAULT)?;
            done += bytes.len();
            let port = Port::from_ne_bytes(bytes);
            // A port of somebody else is skipped, as in Linux.
            if this.owns(port) {
                let _ = topology::unmask(hypervisor, DOM0, port);
            }
        }
        Ok(done)
    }

    fn poll(this: &Arc<Self>, file: &OpenFile, table: &PollTable<'_>) -> u32 {
        file.register_wait(table, &this.queue.arrived);
        let (some, lost) = this.queue.state();
        let mut events = EPOLLOUT | EPOLLWRNORM;
        if some {
            events |= EPOLLIN | EPOLLRDNORM;
        }
        if lost {
            events = EPOLLERR;
        }
        events
    }

    fn release(this: &Arc<Self>) {
        let Some(hypervisor) = HYPERVISOR.get() else {
            return;
        };
        let (ports, fixed) = {
            let mut state = this.state.lock();
            let fixed = core::mem::replace(&mut state.fixed, KVec::new());
            (core::mem::replace(&mut state.ports, KVec::new()), fixed)
        };
        for port in ports {
            this.close(hypervisor, port, fixed.contains(&port));
        }
    }
}

impl Evtchn {
    fn owns(&self, port: Port) -> bool {
        self.state.lock().ports.binary_search(&port).is_ok()
    }

    /// Binds a port with `f` and makes it this descriptor's. `remote` is whom it connects to.
    fn bind(
        &self,
        hypervisor: &'static Hypervisor,
        remote: Option<u16>,
        f: impl FnOnce(&'static Hypervisor, &mut Reservation) -> Result<Port>,
    ) -> Result<i64> {
        let mut state = self.state.lock();
        let only = state.restricted;
        if only.is_some_and(|only| remote != Some(only.id())) {
            return Err(EACCES);
        }
        let check = || match only {
            Some(only) => only.check(&*hypervisor.domain(only.id())?),
            None => Ok(()),
        };
        check()?;
        let mut reservation = Reservation::new()?;
        // Everything that can fail comes before the port exists or is undone with it.
        state.ports.reserve(1, GFP_KERNEL)?;
        self.queue.reserve()?;
        let port = match f(hypervisor, &mut reservation) {
            Ok(port) => port,
            Err(errno) => {
                self.queue.unreserve();
                return Err(errno);
            }
        };
        // The port was bound by number. A domain that is there before and after was there meanwhile.
        let outcome = check().and_then(|()| hypervisor.host_ports.attach(port, self.queue.clone()));
        if let Err(errno) = outcome {
            self.close(hypervisor, port, false);
            return Err(errno);
        }
        let at = state.ports.partition_point(|other| *other < port);
        if state.ports.insert_within_capacity(at, port).is_err() {
            self.close(hypervisor, port, false);
            return Err(EINVAL);
        }
        // What arrived before there was a consumer is delivered by unmasking.
        let _ = topology::unmask(hypervisor, DOM0, port);
        Ok(port.into())
    }

    fn unbind(&self, hypervisor: &'static Hypervisor, port: Port) -> Result {
        let mut state = self.state.lock();
        let at = state.ports.binary_search(&port).map_err(|_| ENOTCONN)?;
        let _ = state.ports.remove(at);
        let fixed = state.fixed.iter().position(|other| *other == port);
        if let Some(at) = fixed {
            let _ = state.fixed.remove(at);
        }
        self.close(hypervisor, port, fixed.is_some());
        Ok(())
    }

    /// Makes a port this descriptor's that was made by a hypercall, and that stays when the descriptor goes.
    ///
    /// # Errors
    ///
    /// `EACCES` if the descriptor is restricted, `EISCONN` if it has the port already, `EEXIST` if another one has it,
    /// `EINVAL` if there is no such port, `ENOMEM`.
    fn bind_static(&self, hypervisor: &'static Hypervisor, port: Port) -> Result<i64> {
        let mut state = self.state.lock();
        if state.restricted.is_some() {
            return Err(EACCES);
        }
        let Err(at) = state.ports.binary_search(&port) else {
            // Xen has no such number.
            return Err(kernel::error::Error::from_errno(-EISCONN).into());
        };
        let (status, _) = hypervisor.dom0().ports().lock().status(port)?;
        if status == StatusDetail::Closed {
            return Err(EINVAL);
        }
        if hypervisor.host_ports.is_attached(port) {
            return Err(EEXIST);
        }
        state.ports.reserve(1, GFP_KERNEL)?;
        state.fixed.push(port, GFP_KERNEL)?;
        self.queue.reserve()?;
        let attached = hypervisor.host_ports.attach(port, self.queue.clone());
        if attached.is_err() || state.ports.insert_within_capacity(at, port).is_err() {
            state.fixed.pop();
            self.close(hypervisor, port, true);
            return Err(ENOMEM);
        }
        let _ = topology::unmask(hypervisor, DOM0, port);
        Ok(0)
    }

    fn close(&self, hypervisor: &'static Hypervisor, port: Port, fixed: bool) {
        if !fixed {
            let _connections = hypervisor.connections.lock();
            let _ = topology::close(hypervisor, DOM0, port, Closer::Guest);
        }
        hypervisor.host_ports.detach(port);
        self.queue.unreserve();
    }
}
