// SPDX-License-Identifier: GPL-2.0-only

//! The queues of the FIFO ABI.
//!
//! A queue is a list threaded through the event words: a head in the vCPU's control block, and in
//! each queued word the port of the next one. The guest takes events off at the head; the
//! hypervisor appends at the tail, which only it knows. The guest ends a queue by clearing `LINKED`
//! in the last word, so appending is one compare-and-exchange that succeeds only while the tail is
//! still linked.
//!
//! The domain's lock makes the hypervisor one writer; the other is the guest. Its link fields are
//! written here and never read.

use super::{
    channel::QueueId,
    two_level::Raised,
    types::Port,
    word::Word, //
};
use crate::abi::{
    errno::{
        Result,
        ENOMEM, //
    },
    event_channel::{
        FIFO_BUSY,
        FIFO_LINKED,
        FIFO_LINK_MASK,
        FIFO_MASKED,
        FIFO_MAX_QUEUES,
        FIFO_PENDING, //
    },
};
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL_ACCOUNT, //
};

/// The event is pending.
pub(super) const PENDING: u32 = 1 << FIFO_PENDING;
/// The guest does not want to be notified.
pub(super) const MASKED: u32 = 1 << FIFO_MASKED;
/// The event is on a queue.
pub(super) const LINKED: u32 = 1 << FIFO_LINKED;
/// The guest must not unmask for a moment.
const BUSY: u32 = 1 << FIFO_BUSY;
/// The next event on the queue.
const LINK: u32 = FIFO_LINK_MASK;

/// Queues of a vCPU, one for each priority.
pub(super) const QUEUES: usize = FIFO_MAX_QUEUES as usize;

/// Attempts to append to a tail.
///
/// While `BUSY` is set a guest that keeps the rules can make four fail: by setting `MASKED`,
/// setting or clearing `PENDING`, and clearing `LINKED` (XSA-295 is what happens without a bound).
const ATTEMPTS: u32 = 6;

/// The words that are shared with the guest.
pub(super) trait Memory {
    /// What a word is.
    type Word: Word;

    /// Returns the word of `port`, or `None` if the guest has not given the page that holds it.
    fn event(&self, port: Port) -> Option<&Self::Word>;

    /// Returns the `ready` word and the queue's head in the vCPU's control block, or `None` if the
    /// guest has not given one.
    fn control(&self, queue: QueueId) -> Option<(&Self::Word, &Self::Word)>;
}

/// The last event that was put on each queue, or 0.
pub(super) struct Tails(KVec<[Port; QUEUES]>);

impl Tails {
    /// Makes the empty queues of `vcpus` vCPUs. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new(vcpus: usize) -> Result<Self> {
        let mut tails = KVec::with_capacity(vcpus, GFP_KERNEL_ACCOUNT).map_err(|_| ENOMEM)?;

        for _ in 0..vcpus {
            tails
                .push([0; QUEUES], GFP_KERNEL_ACCOUNT)
                .map_err(|_| ENOMEM)?;
        }
        Ok(Self(tails))
    }

    fn slot(&mut self, queue: QueueId) -> Option<&mut Port> {
        self.0
            .get_mut(queue.vcpu as usize)?
            .get_mut(usize::from(queue.priority))
    }
}

/// Makes an event pending, and queues it if the guest has not masked it; `None` if it has no word.
///
/// One read-modify-write sets `PENDING` and shows `MASKED`: if it was masked, then the guest finds
/// the event pending when it unmasks, and asks for it. [`Raised::upcall`] says that the guest must
/// be notified.
pub(super) fn raise<M: Memory>(
    memory: &M,
    tails: &mut Tails,
    port: Port,
    last: &mut QueueId,
    to: QueueId,
) -> Option<Raised> {
    let old = memory.event(port)?.set(PENDING);

    Some(Raised {
        fresh: old & PENDING == 0,
        upcall: old & MASKED == 0 && enqueue(memory, tails, port, last, to),
    })
}

/// Unmasks an event, and queues it if it is pending; returns whether the guest must be notified.
pub(super) fn unmask<M: Memory>(
    memory: &M,
    tails: &mut Tails,
    port: Port,
    last: &mut QueueId,
    to: QueueId,
) -> bool {
    memory
        .event(port)
        .is_some_and(|word| word.clear(MASKED) & PENDING != 0)
        && enqueue(memory, tails, port, last, to)
}

/// Puts an event that is pending and not masked on the queue `to`, unless it is on one already.
///
/// `last` is the queue that the event was on last. Returns whether the guest must be notified: the
/// queue was empty and its bit in `ready` clear. Without a control block the event stays pending
/// and is not queued (XSA-107); the guest must not unmask before it has given one.
fn enqueue<M: Memory>(
    memory: &M,
    tails: &mut Tails,
    port: Port,
    last: &mut QueueId,
    to: QueueId,
) -> bool {
    let (Some(word), Some((ready, head))) = (memory.event(port), memory.control(to)) else {
        return false;
    };
    if word.set(LINKED) & LINKED != 0 {
        // The guest will unlink it, and then look if it is pending: it sees what we have set
        // before.
        return false;
    }

    // If it was the last of its old queue, that queue is empty. Forget it: appending to the word
    // there would now put an event on the wrong queue.
    if let Some(tail) = tails.slot(*last) {
        if *tail == port {
            *tail = 0;
        }
    }
    *last = to;

    let Some(tail) = tails.slot(to) else {
        return false;
    };
    let appended = match *tail {
        0 => false,
        tail => memory.event(tail).is_some_and(|word| append(word, port)),
    };
    *tail = port;
    if appended {
        // The guest has not come to the end of the queue, so it needs no telling.
        return false;
    }
    head.put(port);
    let bit = 1 << u32::from(to.priority);
    ready.set(bit) & bit == 0
}

/// Makes `port` the successor of a queue's tail if that is still queued.
///
/// `BUSY` keeps the guest from unmasking, the one change that it could repeat for ever within the
/// rules. If the guest breaks them the queue is begun anew, which can cost that guest events and
/// nobody anything else.
fn append<W: Word>(tail: &W, port: Port) -> bool {
    let mut seen = tail.get();

    for attempt in 0..ATTEMPTS {
        if seen & LINKED == 0 {
            break;
        }
        match tail.replace(seen, (seen & !(BUSY | LINK)) | (port & LINK)) {
            Ok(()) => return true,
            Err(now) => seen = now,
        }
        if attempt == 0 {
            seen = tail.set(BUSY) | BUSY;
        }
    }
    if seen & BUSY != 0 {
        tail.clear(BUSY);
    }
    false
}
