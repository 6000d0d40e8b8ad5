// SPDX-License-Identifier: GPL-2.0-only

//! What a vCPU has in flight, and what it was answered for the instruction that it is at.
//!
//! A vCPU does not wait inside an instruction: it gives the instruction up, waits where it can be stopped, and begins
//! the instruction again when the answer has come. An instruction may access devices several times (MOVS,
//! read-modify-write, an access that is wider than a request). What it was answered is remembered until the
//! instruction, or the iteration of a repeated one, has changed a register: then it cannot be given up any more. When
//! it is begun again it is given the same answers, in order, and no access is made twice.

use super::request::Request;
use super::server::Notify;
use super::servers::{
    Servers,
    Start,
    To,
    MAX_SERVERS, //
};
use super::slot::{
    Seen,
    Slot,
    Violation, //
};

/// Accesses that one instruction, or one iteration of a repeated one, can make: 64 bytes to and fro, each in pieces of
/// 8 and with both ends in other pages than the middle.
const MOST: usize = 32;

/// What an access for which there is nobody, or nobody any more, is answered.
const ONES: u64 = u64::MAX;

/// The answers to the accesses of an instruction.
struct Log {
    answers: [(Request, u64); MOST],
    len: usize,
    /// The next one that the instruction, begun again, will ask for.
    next: usize,
}

impl Log {
    const EMPTY: (Request, u64) = (Request::invalidate(), 0);

    /// Returns the answer to the next access if it is the one that was made then. If it is another one, the guest has
    /// changed what the instruction does, and what was answered is of no more use.
    fn replay(&mut self, request: &Request) -> Option<u64> {
        let known = self.answers.get(self.next..self.len)?.first();
        match known {
            Some((asked, answer)) if asked == request => {
                self.next = self.next.wrapping_add(1);
                Some(*answer)
            }
            _ => {
                self.len = self.next;
                None
            }
        }
    }

    /// Remembers an answer, to be replayed next; `false` if there are too many.
    fn record(&mut self, request: Request, answer: u64) -> bool {
        match self.answers.get_mut(self.len) {
            Some(place) => {
                *place = (request, answer);
                self.len = self.len.wrapping_add(1);
                true
            }
            None => false,
        }
    }
}

/// What a vCPU waits for.
#[allow(
    clippy::large_enum_variant,
    reason = "there is one for each vCPU, and what waits must not depend on memory"
)]
enum State {
    /// Nothing.
    Idle,
    /// A server for this request.
    Held(Request, bool),
    /// Answers.
    Flying(Flight),
}

/// What was sent.
struct Flight {
    /// The access, as the instruction made it; `None` if nobody takes the answer.
    request: Option<Request>,
    /// Whether it went to the server that has frames of a type of its own.
    in_memory: bool,
    /// Whom it was sent to; several for a message to all (I-6).
    to: [Option<To>; MAX_SERVERS],
}

/// How far an access has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Progress {
    /// It is for nobody, or was for somebody who has gone: reads give all ones, writes are dropped.
    Nobody,
    /// It was buffered.
    Buffered(Notify),
    /// It waits; the port, if any, is to be notified.
    Waits(Option<u32>),
}

/// What a vCPU has in flight. It belongs to the vCPU's thread.
pub(crate) struct Transfer {
    log: Log,
    state: State,
}

impl Transfer {
    /// Nothing is in flight.
    pub(crate) const fn new() -> Self {
        Self {
            log: Log {
                answers: [Log::EMPTY; MOST],
                len: 0,
                next: 0,
            },
            state: State::Idle,
        }
    }

    /// Returns whether nothing is waited for.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Returns whether a device model works, or may work, for this vCPU: the instruction has begun to take effect.
    pub(crate) fn is_in_flight(&self) -> bool {
        matches!(self.state, State::Flying(_)) || self.log.len != 0
    }

    /// Returns whether answers are remembered.
    pub(crate) fn has_answers(&self) -> bool {
        self.log.len != 0
    }

    /// Begins the instruction, perhaps again.
    pub(crate) fn rewind(&mut self) {
        self.log.next = 0;
    }

    /// Ends the instruction: its answers are forgotten.
    pub(crate) fn commit(&mut self) {
        self.log.len = 0;
        self.log.next = 0;
    }

    /// Forgets the instruction, because the vCPU's state was replaced. A request in flight stays so: its slot must be
    /// free before the next one is sent.
    pub(crate) fn forget(&mut self) {
        self.commit();
        match &mut self.state {
            State::Flying(flight) => flight.request = None,
            State::Held(..) => self.state = State::Idle,
            State::Idle => {}
        }
    }

    /// Makes an access of the instruction. Its answer may be there already.
    ///
    /// Call it only while nothing is waited for. `in_memory` says that the access is a write to a frame that a server
    /// has by its type.
    ///
    /// # Errors
    ///
    /// [`Violation`].
    pub(crate) fn access(
        &mut self,
        servers: &mut Servers,
        vcpu: u32,
        request: &Request,
        in_memory: bool,
    ) -> Result<Progress, Violation> {
        let progress = self.start(servers, vcpu, request, in_memory)?;
        // What is done is done once, also if the instruction is begun again for another access.
        match progress {
            Progress::Nobody => self.keep(*request, ONES),
            Progress::Buffered(_) => self.keep(*request, 0),
            Progress::Waits(_) => {}
        }
        Ok(progress)
    }

    /// Returns the answer to an access of the instruction, if it was made before the instruction was given up.
    pub(crate) fn replay(&mut self, request: &Request) -> Option<u64> {
        self.log.replay(request)
    }

    /// Remembers an answer that the instruction gets now.
    pub(crate) fn keep(&mut self, request: Request, answer: u64) {
        if self.log.record(request, request.take(answer)) {
            self.log.next = self.log.len;
        }
    }

    /// Returns whether another access can be remembered.
    pub(crate) fn has_room(&self) -> bool {
        self.log.len < MOST
    }

    fn start(
        &mut self,
        servers: &mut Servers,
        vcpu: u32,
        request: &Request,
        in_memory: bool,
    ) -> Result<Progress, Violation> {
        let start = if in_memory {
            servers.start_in_memory(vcpu, request)?
        } else {
            servers.start(vcpu, request)?
        };
        Ok(match start {
            Start::Nobody => Progress::Nobody,
            Start::Held => {
                self.state = State::Held(*request, in_memory);
                Progress::Waits(None)
            }
            Start::Buffered(notify) => Progress::Buffered(notify),
            Start::Sent(to, port) => {
                let mut all = [const { None }; MAX_SERVERS];
                if let Some(first) = all.first_mut() {
                    *first = Some(to);
                }
                self.state = State::Flying(Flight {
                    request: Some(*request),
                    in_memory,
                    to: all,
                });
                Progress::Waits(Some(port))
            }
        })
    }

    /// Sends a message to all servers; returns the ports to notify. The vCPU waits until all have answered (I-6).
    ///
    /// # Errors
    ///
    /// [`Violation`].
    pub(crate) fn message(
        &mut self,
        servers: &Servers,
        vcpu: u32,
        request: &Request,
    ) -> Result<[Option<u32>; MAX_SERVERS], Violation> {
        let mut ports = [None; MAX_SERVERS];
        if !self.is_idle() {
            return Ok(ports);
        }
        let mut all = [const { None }; MAX_SERVERS];
        let mut places = all.iter_mut().zip(ports.iter_mut());
        let result = servers.broadcast(vcpu, request, |to, port| {
            if let Some((place, notified)) = places.next() {
                *place = Some(to);
                *notified = Some(port);
            }
        });
        if all.iter().any(Option::is_some) {
            self.state = State::Flying(Flight {
                request: None,
                in_memory: false,
                to: all,
            });
        }
        result.map(|()| ports)
    }

    /// Returns whether [`poll`](Self::poll) may have something new. Decides nothing.
    pub(crate) fn has_moved(&self, vcpu: u32) -> bool {
        match &self.state {
            State::Idle => true,
            State::Held(..) => false,
            State::Flying(flight) => flight
                .to
                .iter()
                .flatten()
                .any(|to| Slot::of(&to.page, vcpu).is_none_or(|slot| slot.has_moved(to.sent))),
        }
    }

    /// Looks at what is in flight: one step for each server.
    ///
    /// # Errors
    ///
    /// [`Violation`]; nothing is in flight any more then.
    pub(crate) fn poll(&mut self, vcpu: u32) -> Result<bool, Violation> {
        let State::Flying(flight) = &mut self.state else {
            return Ok(self.is_idle());
        };
        let mut waits = false;
        let mut answer = ONES;
        let mut violation = None;
        for place in &mut flight.to {
            let Some(to) = place else {
                continue;
            };
            let Some(slot) = Slot::of(&to.page, vcpu) else {
                *place = None;
                continue;
            };
            match slot.poll(&mut to.sent) {
                Ok(Seen::Waiting) => waits = true,
                Ok(Seen::Answered(data)) => {
                    answer = data;
                    *place = None;
                }
                Err(found) => {
                    violation = Some(found);
                    *place = None;
                }
            }
        }
        if let Some(violation) = violation {
            self.state = State::Idle;
            return Err(violation);
        }
        if waits {
            return Ok(false);
        }
        let request = flight.request;
        self.state = State::Idle;
        if let Some(request) = request {
            self.log.record(request, request.take(answer));
        }
        Ok(true)
    }

    /// Looks whether the servers that are waited for are still there, and whether there is one for what waits for a
    /// server. To be called when servers or their ranges have changed.
    ///
    /// # Errors
    ///
    /// [`Violation`].
    pub(crate) fn recheck(
        &mut self,
        servers: &mut Servers,
        vcpu: u32,
    ) -> Result<Progress, Violation> {
        let again = match &mut self.state {
            State::Idle => return Ok(Progress::Nobody),
            State::Held(request, in_memory) => Some((*request, *in_memory)),
            State::Flying(flight) => {
                let mut begun = true;
                for place in &mut flight.to {
                    let gone = place
                        .as_ref()
                        .filter(|to| !servers.is_there(to.id, to.serial));
                    if let Some(to) = gone {
                        begun = !Slot::of(&to.page, vcpu).is_some_and(|slot| slot.take_back());
                        *place = None;
                    }
                }
                if flight.to.iter().any(Option::is_some) {
                    return Ok(Progress::Waits(None));
                }
                // The effects of a request that was begun may have taken place: it is not repeated (I-5).
                flight
                    .request
                    .filter(|_| !begun)
                    .map(|request| (request, flight.in_memory))
            }
        };
        let unanswered = match &self.state {
            State::Flying(flight) => flight.request,
            State::Held(request, _) => Some(*request),
            State::Idle => None,
        };
        self.state = State::Idle;
        let progress = match again {
            Some((request, in_memory)) => self.start(servers, vcpu, &request, in_memory)?,
            None => Progress::Nobody,
        };
        let answer = match progress {
            Progress::Waits(_) => return Ok(progress),
            Progress::Buffered(_) => 0,
            Progress::Nobody => ONES,
        };
        if let Some(request) = unanswered {
            self.log.record(request, request.take(answer));
        }
        Ok(progress)
    }
}
