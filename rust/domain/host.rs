// SPDX-License-Identifier: GPL-2.0-only

//! The control domain's events: which host process consumes which port.

use kernel::new_spinlock;
use kernel::sync::poll::PollCondVar;
use kernel::sync::{
    Arc,
    SpinLock, //
};
use kernel::xarray::{
    AllocKind,
    XArray, //
};
use kernel::{
    new_poll_condvar, //
};
use pin_init::{
    pin_data,
    pin_init,
    PinInit, //
};

use crate::abi::errno::{
    Result,
    ENOMEM, //
};
use crate::evtchn::Port;
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL, //
};
use crate::sys::wait::{
    WaitWord,
    Waiter, //
};

/// Ports by consumer.
#[pin_data]
pub(crate) struct HostPorts {
    #[pin]
    queues: XArray<Arc<Queue>>,
}

impl HostPorts {
    /// No port has a consumer.
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            queues <- XArray::new(AllocKind::Alloc),
        })
    }

    /// Gives a port to a consumer, which must have [reserved](Queue::reserve) a place for it.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn attach(&self, port: Port, queue: Arc<Queue>) -> Result {
        let old = self
            .queues
            .lock()
            .store(port as usize, queue, GFP_KERNEL)
            .map_err(|_| ENOMEM)?;
        drop(old);
        Ok(())
    }

    /// Whether a port has a consumer.
    pub(crate) fn is_attached(&self, port: Port) -> bool {
        self.queues.lock().get(port as usize).is_some()
    }

    /// Takes a port from its consumer.
    pub(crate) fn detach(&self, port: Port) {
        let old = self.queues.lock().remove(port as usize);
        drop(old);
    }

    /// An event arrived at a port.
    pub(super) fn pending(&self, port: Port) {
        let queues = self.queues.lock();
        if let Some(queue) = queues.get(port as usize) {
            queue.push(port);
        }
    }
}

/// Events that wait for one consumer, in the order in which they came. A port is in it at most once: it is masked
/// when it is delivered, until the consumer unmasks it.
#[pin_data]
pub(crate) struct Queue {
    #[pin]
    ring: SpinLock<Ring>,
    /// Woken when an event arrives.
    #[pin]
    pub(crate) arrived: PollCondVar,
    /// Not 0 while there is something to read.
    #[pin]
    readable: WaitWord,
}

struct Ring {
    /// Room for as many ports as the consumer has.
    slots: KVec<Port>,
    first: usize,
    len: usize,
    /// Ports that the consumer has.
    ports: usize,
    /// An event found no room: the consumer unmasked a port that it had not read.
    overflow: bool,
}

impl Queue {
    /// Makes an empty queue.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            ring <- new_spinlock!(
                Ring { slots: KVec::new(), first: 0, len: 0, ports: 0, overflow: false },
                "oxen::Queue"
            ),
            arrived <- new_poll_condvar!("oxen::Queue::arrived"),
            readable <- WaitWord::new(),
        })
    }

    /// Makes room for one port more.
    pub(crate) fn reserve(&self) -> Result {
        let need = {
            let mut ring = self.ring.lock();
            ring.ports += 1;
            if ring.ports <= ring.slots.len() {
                return Ok(());
            }
            ring.ports.next_power_of_two().max(16)
        };
        let room = || -> Result<KVec<Port>> {
            let mut slots = KVec::with_capacity(need, GFP_KERNEL)?;
            slots.resize(need, 0, GFP_KERNEL)?;
            Ok(slots)
        };
        let mut slots = room().inspect_err(|_| self.unreserve())?;
        let mut ring = self.ring.lock();
        if ring.slots.len() < slots.len() {
            for at in 0..ring.len {
                let port = ring.at(at);
                if let Some(slot) = slots.get_mut(at) {
                    *slot = port;
                }
            }
            ring.first = 0;
            core::mem::swap(&mut ring.slots, &mut slots);
        }
        drop(ring);
        drop(slots);
        Ok(())
    }

    /// Takes the room of one port back.
    pub(crate) fn unreserve(&self) {
        let mut ring = self.ring.lock();
        ring.ports = ring.ports.saturating_sub(1);
    }

    fn push(&self, port: Port) {
        {
            let mut ring = self.ring.lock();
            if ring.len < ring.slots.len() {
                let at = ring.index(ring.len);
                if let Some(slot) = ring.slots.get_mut(at) {
                    *slot = port;
                }
                ring.len += 1;
            } else {
                ring.overflow = true;
            }
            self.readable.set(1);
        }
        self.arrived.notify_all();
    }

    /// Takes up to `into.len()` events out. `None` if some were lost.
    pub(crate) fn take(&self, into: &mut [Port]) -> Option<usize> {
        let mut ring = self.ring.lock();
        if ring.overflow {
            return None;
        }
        let count = ring.len.min(into.len());
        for (offset, slot) in into.iter_mut().take(count).enumerate() {
            *slot = ring.at(offset);
        }
        ring.first = ring.index(count);
        ring.len -= count;
        if ring.len == 0 {
            self.readable.set(0);
        }
        Some(count)
    }

    /// Gives back what [`Queue::take`] took and its reader did not get: it comes first again.
    pub(crate) fn give_back(&self, ports: &[Port]) {
        let mut ring = self.ring.lock();
        for port in ports.iter().rev() {
            // Taking them made the room, and masked ports do not come again meanwhile.
            if ring.len >= ring.slots.len() {
                ring.overflow = true;
                break;
            }
            ring.first = ring.index(ring.slots.len() - 1);
            ring.len += 1;
            let at = ring.first;
            if let Some(slot) = ring.slots.get_mut(at) {
                *slot = *port;
            }
        }
        self.readable.set(1);
    }

    /// What to wait for until an event has arrived, as long as the queue is there.
    pub(crate) fn waiter(&self) -> Waiter {
        self.readable.waiter()
    }

    /// Whether events wait, and whether some were lost.
    pub(crate) fn state(&self) -> (bool, bool) {
        let ring = self.ring.lock();
        (ring.len != 0, ring.overflow)
    }

    /// Forgets all events (`IOCTL_EVTCHN_RESET`).
    pub(crate) fn reset(&self) {
        let mut ring = self.ring.lock();
        ring.first = 0;
        ring.len = 0;
        ring.overflow = false;
        self.readable.set(0);
    }
}

impl Ring {
    /// The slot that is `offset` after the first.
    fn index(&self, offset: usize) -> usize {
        match self.slots.len() {
            0 => 0,
            len => (self.first + offset) % len,
        }
    }

    fn at(&self, offset: usize) -> Port {
        self.slots.get(self.index(offset)).copied().unwrap_or(0)
    }
}
