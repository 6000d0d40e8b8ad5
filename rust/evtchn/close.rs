// SPDX-License-Identifier: GPL-2.0-only

//! Operations that disconnect ports: close, reset, and the end of a domain.

use super::{
    channel::State,
    fifo::Fifo,
    ports::{
        Abi,
        Ports, //
    },
    types::{
        Delivery,
        DomId,
        Port, //
    },
};
use crate::abi::errno::{
    Result,
    EAGAIN,
    EBUSY,
    EINVAL, //
};

/// Who closes a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Closer {
    /// The domain, which cannot close what the hypervisor consumes.
    Guest,
    /// The hypervisor.
    Xen,
}

/// The other end of a channel that was closed: call `peer_closed` there, with the closed end.
#[must_use = "the other end would stay connected to a port that is free"]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Peer {
    /// The other domain.
    pub(crate) domid: DomId,
    /// Its port.
    pub(crate) port: Port,
    /// The port that was closed.
    pub(crate) closed: Port,
}

/// What one step of closing many ports did.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// There may be more ports to close; a closed one may have had another end.
    More(Option<Peer>),
    /// All are closed.
    Done,
}

/// Ports that one step looks at, at most.
const PORTS_PER_STEP: usize = 64;

/// What must be freed after the lock is dropped.
#[must_use = "drop it after the lock"]
#[derive(Default)]
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "to be dropped where that may take long")
)]
pub(crate) struct Garbage(Option<Fifo>);

impl Ports {
    /// Closes a port (`EVTCHNOP_close`). The caller holds the mutex over connections, and tells the
    /// other end if there was one.
    ///
    /// The port is free at once: an event that is on its way finds no channel that is connected to
    /// its sender, and is dropped.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the port is not in use, or is the hypervisor's and a guest closes it.
    pub(crate) fn close(&mut self, port: Port, closer: Closer) -> Result<Option<Peer>> {
        let channel = self.table.get(port).ok_or(EINVAL)?;
        let state = channel.state;

        if channel.consumer.is_some() && closer == Closer::Guest {
            return Err(EINVAL);
        }
        let peer = match state {
            State::Free | State::Reserved | State::Binding => return Err(EINVAL),
            State::Unbound { .. } | State::Ipi => None,
            State::Virq(virq) => {
                for vcpu in self.vcpus.iter_mut() {
                    if let Some(slot) = vcpu.virqs.get_mut(virq as usize) {
                        if *slot == port {
                            *slot = 0;
                        }
                    }
                }
                None
            }
            State::Interdomain {
                remote,
                port: remote_port,
            } => Some(Peer {
                domid: remote,
                port: remote_port,
                closed: port,
            }),
        };

        self.free(port);
        // Both ends in one domain: nobody else has to be asked.
        match peer {
            Some(peer) if peer.domid == self.domid => {
                // What the hypervisor consumes is connected to another domain.
                let _ = self.peer_closed(peer.port, self.domid, port);
                Ok(None)
            }
            peer => Ok(peer),
        }
    }

    /// Makes a port wait for its former partner again, if it is still connected to `remote_port`
    /// there. Whoever in the hypervisor consumes the port is to be told, as of an event: it may wait
    /// for one that nobody will send now.
    pub(crate) fn peer_closed(&mut self, port: Port, remote: DomId, remote_port: Port) -> Delivery {
        let connected = State::Interdomain {
            remote,
            port: remote_port,
        };

        match self.table.get_mut(port) {
            Some(channel) if channel.state == connected => {
                channel.state = State::Unbound { remote };
                channel
                    .consumer
                    .map_or(Delivery::None, |consumer| Delivery::Xen {
                        consumer,
                        vcpu: channel.vcpu,
                        port,
                        closed: true,
                    })
            }
            _ => Delivery::None,
        }
    }

    /// Begins, or with `resuming` goes on with, `EVTCHNOP_reset`. Call [`Ports::step`] until it is
    /// done, then [`Ports::finish_reset`].
    ///
    /// # Errors
    ///
    /// `EBUSY` if another reset is under way; `EINVAL` if the domain is dying, or if there is
    /// nothing to go on with.
    pub(crate) fn begin_reset(&mut self, resuming: bool) -> Result {
        if self.dying || (resuming && self.next == 0) {
            return Err(EINVAL);
        }
        if !resuming {
            if self.next != 0 {
                return Err(EBUSY);
            }
            self.next = 1;
        }
        Ok(())
    }

    /// Looks at up to 64 ports and closes those that `closer` may, until one with another end was
    /// closed.
    pub(crate) fn step(&mut self, closer: Closer) -> Step {
        for _ in 0..PORTS_PER_STEP {
            let port = self.next;
            let nothing_left =
                self.active == 0 || (closer == Closer::Guest && self.active <= self.xen);

            if port == 0 || port >= self.table.len() || nothing_left {
                return Step::Done;
            }
            self.next += 1;
            if let Ok(Some(peer)) = self.close(port, closer) {
                return Step::More(Some(peer));
            }
        }
        Step::More(None)
    }

    /// Ends `EVTCHNOP_reset`: with all ports closed the domain is back at the 2-level ABI.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if ports have been bound meanwhile; the ABI is then kept.
    pub(crate) fn finish_reset(&mut self) -> Result<Garbage> {
        self.next = 0;
        if self.active > self.xen {
            return Err(EAGAIN);
        }
        Ok(self.drop_fifo())
    }

    /// Begins, or goes on with, the end of the domain: no port can be bound any more. Call
    /// [`Ports::step`] as [`Closer::Xen`] until it is done, then [`Ports::finish_destroy`].
    pub(crate) fn begin_destroy(&mut self) {
        if !self.dying {
            self.dying = true;
            self.next = 1;
        }
    }

    /// Ends what [`Ports::begin_destroy`] began.
    pub(crate) fn finish_destroy(&mut self) -> Garbage {
        self.drop_fifo()
    }

    /// Goes back to the 2-level ABI; all ports that the guest can use are closed.
    fn drop_fifo(&mut self) -> Garbage {
        let page = match &self.abi {
            Abi::Fifo(page, _) => page.clone(),
            _ => return Garbage(None),
        };

        for info in self.vcpus.iter().filter_map(|vcpu| vcpu.info.as_ref()) {
            info.deselect(self.width);
        }
        match core::mem::replace(&mut self.abi, Abi::TwoLevel(page)) {
            Abi::Fifo(_, fifo) => Garbage(Some(fifo)),
            _ => Garbage(None),
        }
    }
}
