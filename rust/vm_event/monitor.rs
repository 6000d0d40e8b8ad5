// SPDX-License-Identifier: GPL-2.0-only

//! A domain's monitor: its ring or slots, whether anybody is there, and which vCPUs wait for it.

use super::response::Response;
use super::ring::Ring;
use super::slots::Slot;
use crate::abi::errno::{
    Result,
    EBUSY,
    EINVAL, //
};
use crate::abi::vm_event::{
    VmEvent,
    FLAG_VCPU_PAUSED, //
};
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL, //
};
use crate::sys::page::SharedPage;

/// Whether a monitor is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Listener {
    /// None.
    Absent,
    /// One has a ring or slots. Whether it listens yet does not matter: what there is room for waits for it.
    Present,
    /// One had them, and has let go of its event channel: it has ended.
    Gone,
}

/// What became of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sent {
    /// It is on its way; the monitor is to be notified through this port.
    Yes(u32),
    /// It is there, and the monitor looks for it itself.
    Polled,
    /// There is no room. The vCPU waits, and tries again when it is told.
    Full,
    /// Nobody listens.
    Nobody,
}

/// What a vCPU gets that waits for an answer.
#[derive(Clone)]
#[allow(
    clippy::large_enum_variant,
    reason = "it is moved once, where nothing can be allocated"
)]
pub(crate) enum Answer {
    /// This.
    Response(Response),
    /// The monitor has gone before it has answered.
    Lost,
}

/// A vCPU, as the monitor sees it.
#[allow(
    clippy::large_enum_variant,
    reason = "places are made before, since nothing can be allocated when an answer comes"
)]
enum Place {
    /// It waits for nothing.
    Idle,
    /// It waits for the answer to an event with this reason.
    Waiting(u32),
    /// The answer is there.
    Answered(Response),
    /// There will be none.
    Lost,
    /// It waits for room.
    Starved,
}

impl Place {
    /// Takes an answer, if one is waited for and this is one; returns whether it was.
    fn answer(&mut self, event: &VmEvent) -> bool {
        let Self::Waiting(reason) = self else {
            return false;
        };
        match Response::new(event, *reason) {
            Some(response) => {
                *self = Self::Answered(response);
                true
            }
            None => false,
        }
    }
}

/// How events get to the monitor, and answers back.
enum Transport {
    /// One ring for all vCPUs, with this port.
    Ring(Ring, u32),
    /// A slot for each vCPU, with a port of its own.
    Slots(KVec<Slot>),
}

impl Transport {
    fn has_port(&self, port: u32) -> bool {
        match self {
            Self::Ring(_, own) => *own == port,
            Self::Slots(slots) => slots.iter().any(|slot| slot.port == port),
        }
    }
}

/// A ring or slots that were made, before they are the domain's.
pub(crate) struct Prepared {
    transport: Transport,
    places: KVec<Place>,
}

/// A ring or slots that were a domain's.
pub(crate) struct Detached(Transport);

impl Detached {
    /// Their ports, which are to be closed.
    pub(crate) fn ports(&self) -> impl Iterator<Item = u32> + '_ {
        let (ring, slots) = match &self.0 {
            Transport::Ring(_, port) => (Some(*port), &[][..]),
            Transport::Slots(slots) => (None, &slots[..]),
        };
        ring.into_iter().chain(slots.iter().map(|slot| slot.port))
    }
}

/// The monitor of a domain.
pub(crate) struct Monitor {
    transport: Option<Transport>,
    gone: bool,
    /// Without a monitor, accesses that one would have to see wait for one (`set_access_required`).
    pub(crate) required: bool,
    places: KVec<Place>,
    /// Events that were sent, for debugging.
    events: u64,
}

impl Prepared {
    fn new(transport: Transport, vcpus: usize) -> Result<Self> {
        let mut places = KVec::with_capacity(vcpus, GFP_KERNEL)?;
        for _ in 0..vcpus {
            places.push(Place::Idle, GFP_KERNEL)?;
        }
        Ok(Self { transport, places })
    }

    /// Makes a ring in `page` for a domain of so many vCPUs, with this port.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn ring(page: SharedPage, vcpus: usize, port: u32) -> Result<Self> {
        Self::new(Transport::Ring(Ring::new(page), port), vcpus)
    }

    /// Makes slots for as many vCPUs as there are ports.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn slots(ports: &[u32]) -> Result<Self> {
        let mut slots = KVec::with_capacity(ports.len(), GFP_KERNEL)?;
        for port in ports {
            slots.push(Slot::new(*port)?, GFP_KERNEL)?;
        }
        Self::new(Transport::Slots(slots), ports.len())
    }
}

impl Monitor {
    /// No monitor.
    pub(crate) const fn new() -> Self {
        Self {
            transport: None,
            gone: false,
            required: false,
            places: KVec::new(),
            events: 0,
        }
    }

    /// Whether a monitor is there.
    pub(crate) fn listener(&self) -> Listener {
        match (&self.transport, self.gone) {
            (None, _) => Listener::Absent,
            (Some(_), false) => Listener::Present,
            (Some(_), true) => Listener::Gone,
        }
    }

    /// The page of a vCPU's slot.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there are no slots, or none of this number.
    pub(crate) fn slot_page(&self, vcpu: u64) -> Result<SharedPage> {
        let Some(Transport::Slots(slots)) = &self.transport else {
            return Err(EINVAL);
        };
        let vcpu = usize::try_from(vcpu).map_err(|_| EINVAL)?;
        slots.get(vcpu).map(Slot::page).ok_or(EINVAL)
    }

    /// How many slots there are.
    pub(crate) fn slots(&self) -> usize {
        match &self.transport {
            Some(Transport::Slots(slots)) => slots.len(),
            _ => 0,
        }
    }

    /// How many events were sent.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// Gives the domain a ring or slots, and takes what it needs from `prepared`; what is left there is to be dropped
    /// without the lock. vCPUs that wait for another one keep waiting.
    ///
    /// # Errors
    ///
    /// `EBUSY` if it has some.
    pub(crate) fn attach(&mut self, prepared: &mut Option<Prepared>) -> Result {
        if self.transport.is_some() {
            return Err(EBUSY);
        }
        let Some(new) = prepared.take() else {
            return Err(EBUSY);
        };
        self.transport = Some(new.transport);
        // Those who have to be answered have to fetch that first.
        if self.places.is_empty() {
            self.places = new.places;
        }
        self.gone = false;
        Ok(())
    }

    /// Notes that the monitor of this port has ended. Who waits for it gets no answer.
    pub(crate) fn abandon(&mut self, port: u32) {
        if self
            .transport
            .as_ref()
            .is_some_and(|own| own.has_port(port))
        {
            self.gone = true;
            self.release();
        }
    }

    /// Notes that a monitor listens at this port, perhaps after another one has ended. It has heard of nothing that the
    /// slots of that one hold, so that theirs stay what they are.
    pub(crate) fn hear(&mut self, port: u32) {
        if matches!(&self.transport, Some(Transport::Ring(_, own)) if *own == port) {
            self.gone = false;
        }
    }

    /// Takes the ring or slots away. What is returned is to be dropped without the lock.
    pub(crate) fn detach(&mut self) -> Option<Detached> {
        let transport = self.transport.take()?;
        self.gone = false;
        self.release();
        Some(Detached(transport))
    }

    fn release(&mut self) {
        for place in self.places.iter_mut() {
            if matches!(place, Place::Waiting(_) | Place::Starved) {
                *place = Place::Lost;
            }
        }
    }

    /// Sends an event of a vCPU. If `sync`, the vCPU has to wait for the answer.
    pub(crate) fn send(&mut self, vcpu: u32, event: &mut VmEvent, sync: bool) -> Sent {
        let Some(transport) = self.transport.as_mut().filter(|_| !self.gone) else {
            return Sent::Nobody;
        };
        let Some(place) = self.places.get_mut(vcpu as usize) else {
            return Sent::Nobody;
        };
        if sync {
            event.flags |= FLAG_VCPU_PAUSED;
        }
        let (put, port) = match transport {
            Transport::Ring(ring, port) => (ring.put(event).then_some(true), *port),
            Transport::Slots(slots) => match slots.get_mut(vcpu as usize) {
                Some(slot) => (slot.put(event), slot.port),
                None => return Sent::Nobody,
            },
        };
        let Some(tell) = put else {
            *place = Place::Starved;
            return Sent::Full;
        };
        *place = if sync {
            Place::Waiting(event.reason)
        } else {
            Place::Idle
        };
        self.events = self.events.wrapping_add(1);
        if tell {
            Sent::Yes(port)
        } else {
            Sent::Polled
        }
    }

    /// A vCPU that has looked for an answer in its slot looks no more. What is there is taken; otherwise the monitor
    /// tells of it.
    pub(crate) fn stop_polling(&mut self, vcpu: u32) -> Option<Answer> {
        self.collect(Some(vcpu), |_| {});
        if let Some(answer) = self.answer(vcpu) {
            return Some(answer);
        }
        if let Some(Transport::Slots(slots)) = self.transport.as_ref() {
            slots.get(vcpu as usize)?.wait();
        }
        self.collect(Some(vcpu), |_| {});
        self.answer(vcpu)
    }

    /// Takes the answers that are there: all, or with slots that of one vCPU. `wake` gets each vCPU that has something
    /// to look at; one may come several times.
    pub(crate) fn collect(&mut self, only: Option<u32>, mut wake: impl FnMut(u32)) {
        match self.transport.as_mut() {
            None => {}
            Some(Transport::Ring(ring, _)) => {
                ring.publish();
                let mut freed = false;
                // Each answer belongs to an event, of which there are at most as many as slots.
                while let Some(event) = ring.take() {
                    freed = true;
                    let place = self.places.get_mut(event.vcpu_id as usize);
                    if place.is_some_and(|place| place.answer(&event)) {
                        wake(event.vcpu_id);
                    }
                }
                if freed {
                    for (id, place) in (0u32..).zip(self.places.iter()) {
                        if matches!(place, Place::Starved) {
                            wake(id);
                        }
                    }
                }
            }
            Some(Transport::Slots(slots)) => {
                let first = only.unwrap_or(0) as usize;
                let count = only.map_or(slots.len(), |_| 1);
                let both = slots.iter_mut().zip(self.places.iter_mut());
                for (id, (slot, place)) in (0u32..).zip(both).skip(first).take(count) {
                    let Some(event) = slot.take() else {
                        continue;
                    };
                    // Whatever the answer is, the slot has room now.
                    if place.answer(&event) || matches!(place, Place::Starved) {
                        wake(id);
                    }
                }
            }
        }
    }

    /// Whether a vCPU has something to look at.
    #[cfg(test)]
    pub(crate) fn is_ready(&self, vcpu: u32) -> bool {
        match self.places.get(vcpu as usize) {
            Some(Place::Waiting(_)) => false,
            Some(Place::Starved) => match &self.transport {
                Some(Transport::Ring(ring, _)) => ring.room() != 0,
                Some(Transport::Slots(slots)) => {
                    slots.get(vcpu as usize).is_some_and(Slot::has_room)
                }
                None => true,
            },
            _ => true,
        }
    }

    /// Takes what a vCPU waits for; `None` if it is not there yet.
    pub(crate) fn answer(&mut self, vcpu: u32) -> Option<Answer> {
        let place = self.places.get_mut(vcpu as usize)?;
        match place {
            Place::Answered(_) | Place::Lost => {}
            Place::Idle | Place::Waiting(_) | Place::Starved => return None,
        }
        match core::mem::replace(place, Place::Idle) {
            Place::Answered(response) => Some(Answer::Response(response)),
            _ => Some(Answer::Lost),
        }
    }

    /// The vCPU waits no more: its state was replaced.
    pub(crate) fn forget(&mut self, vcpu: u32) {
        if let Some(place) = self.places.get_mut(vcpu as usize) {
            *place = Place::Idle;
        }
    }
}
