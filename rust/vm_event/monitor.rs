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

/// What the monitor and a vCPU have between them.
struct Seat {
    place: Place,
    /// Events in the ring whose answers are nobody's: the vCPU was given another state while it waited.
    forgotten: u32,
}

impl Seat {
    const IDLE: Self = Self {
        place: Place::Idle,
        forgotten: 0,
    };

    /// Takes an answer, if one is waited for and this is one; returns whether it was.
    fn answer(&mut self, event: &VmEvent) -> bool {
        let reason = match self.place {
            Place::Waiting(reason) => reason,
            _ if self.forgotten != 0 => event.reason,
            _ => return false,
        };
        let Some(response) = Response::new(event, reason) else {
            return false;
        };
        // A monitor answers in the order of the events of a vCPU, of which it sees one at a time.
        if self.forgotten != 0 {
            self.forgotten = self.forgotten.saturating_sub(1);
            return false;
        }
        self.place = Place::Answered(response);
        true
    }

    /// There will be no more answers.
    fn release(&mut self) {
        self.forgotten = 0;
        if matches!(self.place, Place::Waiting(_) | Place::Starved) {
            self.place = Place::Lost;
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
    seats: KVec<Seat>,
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
    seats: KVec<Seat>,
    /// Which monitor it is, in the order in which they came. What one has asked of a vCPU ends with it.
    generation: u32,
    /// Events that were sent, for debugging.
    events: u64,
}

impl Prepared {
    fn new(transport: Transport, vcpus: usize) -> Result<Self> {
        let mut seats = KVec::with_capacity(vcpus, GFP_KERNEL)?;
        for _ in 0..vcpus {
            seats.push(Seat::IDLE, GFP_KERNEL)?;
        }
        Ok(Self { transport, seats })
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
            seats: KVec::new(),
            generation: 0,
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

    /// Which monitor it is: another number after one has ended or another has begun.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
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
        if self.seats.is_empty() {
            self.seats = new.seats;
        }
        self.gone = false;
        self.generation = self.generation.wrapping_add(1);
        Ok(())
    }

    /// Notes that the monitor of this port has ended. Who waits for it gets no answer. Returns whether that is news.
    pub(crate) fn abandon(&mut self, port: u32) -> bool {
        let own = self
            .transport
            .as_ref()
            .is_some_and(|own| own.has_port(port));
        let news = own && !self.gone;
        if news {
            self.gone = true;
            self.release();
        }
        news
    }

    /// Notes that a monitor listens at this port, perhaps after another one has ended. It begins with an empty ring:
    /// nobody waits for an answer to what is in it. Slots stay what they are, since it has heard of nothing that they
    /// hold. Returns whether that is news.
    pub(crate) fn hear(&mut self, port: u32) -> bool {
        if !self.gone {
            return false;
        }
        let Some(Transport::Ring(ring, own)) = self.transport.as_mut() else {
            return false;
        };
        if *own != port {
            return false;
        }
        ring.empty();
        self.gone = false;
        true
    }

    /// Says once more which events there are, because the monitor may have initialised its ring after the first of them
    /// was put there, and then sees none of them. Returns the port to tell, if there are some.
    pub(crate) fn repeat(&mut self) -> Option<u32> {
        match &self.transport {
            Some(Transport::Ring(ring, port)) if !self.gone && ring.unanswered() != 0 => {
                ring.publish();
                Some(*port)
            }
            _ => None,
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
        self.generation = self.generation.wrapping_add(1);
        for seat in self.seats.iter_mut() {
            seat.release();
        }
    }

    /// Sends an event of a vCPU. If `sync`, the vCPU has to wait for the answer.
    pub(crate) fn send(&mut self, vcpu: u32, event: &mut VmEvent, sync: bool) -> Sent {
        let Some(transport) = self.transport.as_mut().filter(|_| !self.gone) else {
            return Sent::Nobody;
        };
        let Some(seat) = self.seats.get_mut(vcpu as usize) else {
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
            seat.place = Place::Starved;
            return Sent::Full;
        };
        seat.place = if sync {
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
            // Nobody waits for an answer, and what is there is not to be seen by another monitor.
            Some(Transport::Ring(..)) if self.gone => {}
            Some(Transport::Ring(ring, _)) => {
                ring.publish();
                let mut freed = false;
                // Each answer belongs to an event, of which there are at most as many as slots.
                while let Some(event) = ring.take() {
                    freed = true;
                    let seat = self.seats.get_mut(event.vcpu_id as usize);
                    if seat.is_some_and(|seat| seat.answer(&event)) {
                        wake(event.vcpu_id);
                    }
                }
                if freed {
                    for (id, seat) in (0u32..).zip(self.seats.iter()) {
                        if matches!(seat.place, Place::Starved) {
                            wake(id);
                        }
                    }
                }
            }
            Some(Transport::Slots(slots)) => {
                let first = only.unwrap_or(0) as usize;
                let count = only.map_or(slots.len(), |_| 1);
                let both = slots.iter_mut().zip(self.seats.iter_mut());
                for (id, (slot, seat)) in (0u32..).zip(both).skip(first).take(count) {
                    let Some(event) = slot.take() else {
                        continue;
                    };
                    // Whatever the answer is, the slot has room now.
                    if seat.answer(&event) || matches!(seat.place, Place::Starved) {
                        wake(id);
                    }
                }
            }
        }
    }

    /// Whether a vCPU has something to look at.
    #[cfg(test)]
    pub(crate) fn is_ready(&self, vcpu: u32) -> bool {
        match self.seats.get(vcpu as usize).map(|seat| &seat.place) {
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
        let place = &mut self.seats.get_mut(vcpu as usize)?.place;
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
        let Some(seat) = self.seats.get_mut(vcpu as usize) else {
            return;
        };
        let waited = matches!(
            core::mem::replace(&mut seat.place, Place::Idle),
            Place::Waiting(_)
        );
        // A slot holds one message, so that there an old answer cannot be taken for a new one.
        if waited && matches!(self.transport, Some(Transport::Ring(..))) {
            seat.forgotten = seat.forgotten.saturating_add(1);
        }
    }
}
