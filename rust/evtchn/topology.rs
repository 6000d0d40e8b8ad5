// SPDX-License-Identifier: GPL-2.0-only

//! Operations that concern two domains, one lock at a time.
//!
//! The callers of everything here but [`send`] and [`deliver`] hold the mutex over connections, so
//! that of two such operations one is over before the other begins; those of these two do not hold
//! it, because what they return may take it. Sending goes on meanwhile; each step leaves the two
//! ends such that an event is delivered, or dropped where Xen would have dropped it a moment
//! earlier or later.

use super::{
    channel::Reservation,
    close::{
        Closer,
        Garbage,
        Peer,
        Step, //
    },
    ports::Ports,
    types::{
        Delivery,
        DomId,
        Port,
        Send, //
    },
};
use crate::abi::errno::{
    Result,
    ERESTART, //
};

/// All domains, as far as event channels go.
pub(crate) trait Domains {
    /// Runs `f` with the lock of domain `domid`'s ports held.
    ///
    /// # Errors
    ///
    /// `ESRCH` if there is no such domain.
    fn with<R>(&self, domid: DomId, f: impl FnOnce(&mut Ports) -> R) -> Result<R>;

    /// Does what a delivery in domain `domid` says. No lock is held, but for that over connections if a port was
    /// closed.
    fn deliver(&self, domid: DomId, delivery: Delivery);
}

/// Carries an event on from domain `from`, which has sent it.
pub(crate) fn deliver(domains: &impl Domains, from: DomId, send: Send) {
    match send {
        Send::Local(delivery) => domains.deliver(from, delivery),
        Send::Remote {
            domid,
            port,
            from_port,
        } => {
            // A domain that is gone has no port that is connected to this one any more.
            if let Ok(delivery) = domains.with(domid, |ports| {
                ports.deliver_interdomain(port, from, from_port)
            }) {
                domains.deliver(domid, delivery);
            }
        }
    }
}

/// Sends an event through a port of domain `domid` (`EVTCHNOP_send`).
///
/// # Errors
///
/// As [`Ports::send`]; `ESRCH` if there is no such domain.
pub(crate) fn send(domains: &impl Domains, domid: DomId, port: Port) -> Result {
    let send = domains.with(domid, |ports| ports.send(port))??;

    deliver(domains, domid, send);
    Ok(())
}

/// Binds a new port of `local` to a port of `remote` that waits for it
/// (`EVTCHNOP_bind_interdomain`), and returns it.
///
/// # Errors
///
/// `ESRCH` if one of the domains does not exist; `EINVAL` if the remote port does not wait for
/// `local` or `local` is dying; `ENOSPC`, `ENOMEM` for want of a port.
pub(crate) fn bind_interdomain(
    domains: &impl Domains,
    local: DomId,
    remote: DomId,
    remote_port: Port,
    reservation: &mut Reservation,
) -> Result<Port> {
    let port = domains.with(local, |ports| ports.begin_bind(reservation))??;
    let accepted = domains
        .with(remote, |ports| ports.accept_bind(remote_port, local, port))
        .and_then(|result| result);

    if let Err(error) = accepted {
        domains.with(local, |ports| ports.cancel_bind(port))?;
        return Err(error);
    }
    let completed = domains
        .with(local, |ports| {
            ports.complete_bind(port, remote, remote_port)
        })
        .and_then(|result| result);

    match completed {
        Ok(delivery) => {
            domains.deliver(local, delivery);
            Ok(port)
        }
        Err(error) => {
            // Only if the mutex was not held; leave no half of a channel behind all the same.
            let _ = domains.with(remote, |ports| ports.peer_closed(remote_port, local, port))?;
            Err(error)
        }
    }
}

/// Closes a port of domain `domid` (`EVTCHNOP_close`).
///
/// # Errors
///
/// As [`Ports::close`]; `ESRCH` if there is no such domain.
pub(crate) fn close(domains: &impl Domains, domid: DomId, port: Port, closer: Closer) -> Result {
    let peer = domains.with(domid, |ports| ports.close(port, closer))??;

    if let Some(peer) = peer {
        tell(domains, domid, peer);
    }
    Ok(())
}

/// Tells the other end of a channel that domain `domid` has closed its own.
fn tell(domains: &impl Domains, domid: DomId, peer: Peer) {
    // The other domain may be gone.
    if let Ok(delivery) = domains.with(peer.domid, |ports| {
        ports.peer_closed(peer.port, domid, peer.closed)
    }) {
        domains.deliver(peer.domid, delivery);
    }
}

/// Closes ports until all are closed or `preempt` says that it is time to do something else.
fn close_all(
    domains: &impl Domains,
    domid: DomId,
    closer: Closer,
    mut preempt: impl FnMut() -> bool,
) -> Result {
    loop {
        match domains.with(domid, |ports| ports.step(closer))? {
            Step::Done => return Ok(()),
            Step::More(None) => {}
            Step::More(Some(peer)) => tell(domains, domid, peer),
        }
        if preempt() {
            return Err(ERESTART);
        }
    }
}

/// Closes all ports of domain `domid` that it can close itself and goes back to the 2-level ABI
/// (`EVTCHNOP_reset`).
///
/// # Errors
///
/// `ERESTART` if `preempt` said so: call again with `resuming`. `EBUSY` if another reset is under
/// way, `EAGAIN` if ports were bound meanwhile, `EINVAL` if the domain is dying, `ESRCH` if there
/// is none.
pub(crate) fn reset(
    domains: &impl Domains,
    domid: DomId,
    resuming: bool,
    preempt: impl FnMut() -> bool,
) -> Result {
    domains.with(domid, |ports| ports.begin_reset(resuming))??;
    close_all(domains, domid, Closer::Guest, preempt)?;

    // Dropped with the lock released.
    let _garbage: Garbage = domains.with(domid, Ports::finish_reset)??;
    Ok(())
}

/// Closes all ports of a dying domain.
///
/// # Errors
///
/// `ERESTART` if `preempt` said so: call again. `ESRCH` if there is no such domain.
pub(crate) fn destroy(
    domains: &impl Domains,
    domid: DomId,
    preempt: impl FnMut() -> bool,
) -> Result {
    domains.with(domid, Ports::begin_destroy)?;
    close_all(domains, domid, Closer::Xen, preempt)?;

    let _garbage: Garbage = domains.with(domid, Ports::finish_destroy)?;
    Ok(())
}

/// Raises a virtual interrupt of domain `domid`.
///
/// # Errors
///
/// `ESRCH` if there is no such domain.
pub(crate) fn raise_virq(domains: &impl Domains, domid: DomId, virq: u32, vcpu: u32) -> Result {
    let delivery = domains.with(domid, |ports| ports.set_virq_pending(virq, vcpu))?;

    domains.deliver(domid, delivery);
    Ok(())
}

/// Clears the mask of a port of domain `domid` (`EVTCHNOP_unmask`).
///
/// # Errors
///
/// As [`Ports::unmask`]; `ESRCH` if there is no such domain.
pub(crate) fn unmask(domains: &impl Domains, domid: DomId, port: Port) -> Result {
    let delivery = domains.with(domid, |ports| ports.unmask(port))??;

    domains.deliver(domid, delivery);
    Ok(())
}
