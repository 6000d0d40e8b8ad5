// SPDX-License-Identifier: GPL-2.0-only

//! One channel, and the table of a domain's channels.
//!
//! The table grows by buckets and never shrinks while the domain lives, so a port that has been
//! valid stays valid (XSA-338). Its directory has room for all buckets from the start; the memory
//! of a bucket is brought by the caller.

use super::types::{
    Consumer,
    DomId,
    Port, //
};
use crate::abi::{
    errno::{
        Result,
        EINVAL,
        ENOMEM,
        ENOSPC, //
    },
    event_channel::FIFO_PRIORITY_DEFAULT, //
};
use crate::sys::alloc::{
    KVVec,
    KVec,
    GFP_KERNEL_ACCOUNT, //
};

/// Channels in a bucket.
const PER_BUCKET: u32 = 64;

/// The most free ports that a search passes over because the guest still has them on a queue.
///
/// Only a guest that sets the link bit in words of ports it does not use gets near; it runs out of
/// ports.
const MAX_BUSY: u32 = 4096;

/// The priority of a FIFO event unless set otherwise.
pub(super) const DEFAULT_PRIORITY: u8 = FIFO_PRIORITY_DEFAULT as u8;

/// What a port is connected to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Nothing; may be allocated.
    Free,
    /// Nothing, never: port 0.
    Reserved,
    /// Allocated by a bind to a remote port that has not got its answer yet. Nobody knows the port.
    Binding,
    /// Waits for `remote` to bind to it.
    Unbound {
        /// Who may.
        remote: DomId,
    },
    /// The other end is a port of a domain, perhaps the same one.
    Interdomain {
        /// Whose.
        remote: DomId,
        /// Which.
        port: Port,
    },
    /// A virtual interrupt.
    Virq(u32),
    /// From one vCPU of the domain to another.
    Ipi,
}

/// A FIFO queue of a domain: a vCPU's, for one priority.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct QueueId {
    /// Whose.
    pub(super) vcpu: u32,
    /// 0 (first) to 15.
    pub(super) priority: u8,
}

/// One end of an event channel.
#[derive(Clone, Debug)]
pub(super) struct Channel {
    pub(super) state: State,
    /// The vCPU that is notified.
    pub(super) vcpu: u32,
    /// Set if the events go to the hypervisor and the guest may not use the port.
    pub(super) consumer: Option<Consumer>,
    /// The priority of FIFO events to come.
    pub(super) priority: u8,
    /// The FIFO queue on which the event was put last.
    pub(super) queue: QueueId,
    /// The event came before the array page that holds its word, or waits for a host process to
    /// unmask.
    pub(super) latched: bool,
    /// A host process has been told and has not unmasked since. Only used where there is no shared
    /// memory.
    pub(super) host_masked: bool,
}

impl Channel {
    /// A channel that is connected to nothing.
    const FREE: Self = Self {
        state: State::Free,
        vcpu: 0,
        consumer: None,
        priority: DEFAULT_PRIORITY,
        queue: QueueId {
            vcpu: 0,
            priority: 0,
        },
        latched: false,
        // Masked until its consumer is ready and says so, as a guest's driver does.
        host_masked: true,
    };

    /// Returns whether events can be raised on it for the domain: connected, and not the
    /// hypervisor's.
    pub(super) fn is_usable(&self) -> bool {
        self.consumer.is_none()
            && matches!(
                self.state,
                State::Unbound { .. } | State::Interdomain { .. } | State::Virq(_) | State::Ipi
            )
    }
}

/// Memory for one more bucket of ports, allocated before the ports' lock is taken.
///
/// An operation that binds a port takes at most one. What was not needed is freed with the
/// reservation, so it must be dropped after the lock.
pub(crate) struct Reservation(Option<KVec<Channel>>);

impl Reservation {
    /// Allocates. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        let mut channels =
            KVec::with_capacity(PER_BUCKET as usize, GFP_KERNEL_ACCOUNT).map_err(|_| ENOMEM)?;

        for _ in 0..PER_BUCKET {
            channels
                .push(Channel::FREE, GFP_KERNEL_ACCOUNT)
                .map_err(|_| ENOMEM)?;
        }
        Ok(Self(Some(channels)))
    }

    /// A reservation of nothing; the operation then fails with `ENOMEM` if the table has to grow.
    #[cfg(test)]
    pub(crate) const fn none() -> Self {
        Self(None)
    }
}

/// 64 consecutive ports.
struct Bucket {
    channels: KVec<Channel>,
    /// How many are free.
    free: u32,
}

/// The channels of a domain.
pub(super) struct Table {
    buckets: KVVec<Bucket>,
    /// The number of ports that the domain may have, port 0 included.
    limit: u32,
    /// No bucket before this one has a free port.
    first_free: usize,
}

impl Table {
    /// Makes a table with room for `limit` ports, port 0 reserved. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EINVAL` if `limit` is 0.
    pub(super) fn new(limit: u32) -> Result<Self> {
        let buckets = KVVec::with_capacity(limit.div_ceil(PER_BUCKET) as usize, GFP_KERNEL_ACCOUNT)
            .map_err(|_| ENOMEM)?;
        let mut table = Self {
            buckets,
            limit,
            first_free: 0,
        };

        let zero = table.allocate(&mut Reservation::new()?, limit, |_| false)?;
        table.get_mut(zero).ok_or(EINVAL)?.state = State::Reserved;
        Ok(table)
    }

    /// Returns the number of ports that have a channel, free or not: the ports that are valid.
    pub(super) fn len(&self) -> u32 {
        // CAST: at most `limit / 64 + 1` buckets.
        (self.buckets.len() as u32).saturating_mul(PER_BUCKET)
    }

    /// Returns the channel of `port`, or `None` if the port is not valid.
    pub(super) fn get(&self, port: Port) -> Option<&Channel> {
        self.buckets
            .get((port / PER_BUCKET) as usize)?
            .channels
            .get((port % PER_BUCKET) as usize)
    }

    /// As [`Table::get`], to change it. Only [`Table::release`] makes a channel free.
    pub(super) fn get_mut(&mut self, port: Port) -> Option<&mut Channel> {
        self.buckets
            .get_mut((port / PER_BUCKET) as usize)?
            .channels
            .get_mut((port % PER_BUCKET) as usize)
    }

    /// Takes the lowest free port below `limit` that `busy` does not object to, and returns it in
    /// the state [`State::Binding`].
    ///
    /// # Errors
    ///
    /// `ENOSPC` if there is none, `ENOMEM` if the table must grow and nothing was reserved.
    pub(super) fn allocate(
        &mut self,
        reservation: &mut Reservation,
        limit: u32,
        busy: impl Fn(Port) -> bool,
    ) -> Result<Port> {
        let limit = limit.min(self.limit);
        let mut objections = 0;

        while let Some(bucket) = self.buckets.get(self.first_free) {
            if bucket.free != 0 {
                break;
            }
            self.first_free += 1;
        }

        // CAST: there are at most 2048 buckets.
        let first = self.first_free as u32;
        for (index, bucket) in (first..).zip(self.buckets.iter_mut().skip(self.first_free)) {
            if bucket.free == 0 {
                continue;
            }
            let first = index.saturating_mul(PER_BUCKET);
            for (port, channel) in (first..limit).zip(bucket.channels.iter_mut()) {
                if channel.state != State::Free {
                    continue;
                }
                if busy(port) {
                    objections += 1;
                    if objections == MAX_BUSY {
                        return Err(ENOSPC);
                    }
                    continue;
                }
                channel.state = State::Binding;
                bucket.free = bucket.free.saturating_sub(1);
                return Ok(port);
            }
        }

        let port = self.len();
        if port >= limit {
            return Err(ENOSPC);
        }
        let mut channels = reservation.0.take().ok_or(ENOMEM)?;
        channels.first_mut().ok_or(ENOMEM)?.state = State::Binding;
        let bucket = Bucket {
            channels,
            free: PER_BUCKET - 1,
        };
        // Within the capacity that the table was made with, so this does not allocate.
        self.buckets
            .push(bucket, GFP_KERNEL_ACCOUNT)
            .map_err(|_| ENOMEM)?;
        Ok(port)
    }

    /// Makes `port` free, with nothing left of what it was.
    pub(super) fn release(&mut self, port: Port) {
        let index = (port / PER_BUCKET) as usize;
        let Some(bucket) = self.buckets.get_mut(index) else {
            return;
        };
        let Some(channel) = bucket.channels.get_mut((port % PER_BUCKET) as usize) else {
            return;
        };

        if channel.state != State::Free {
            // The queue it was last on survives: the guest may still have the event there, and a
            // later use of the port must know if it was that queue's tail.
            *channel = Channel {
                queue: channel.queue,
                ..Channel::FREE
            };
            bucket.free += 1;
            self.first_free = self.first_free.min(index);
        }
    }

    /// Returns the channels from `port` on, with their ports.
    pub(super) fn starting_at(&self, port: Port) -> impl Iterator<Item = (Port, &Channel)> {
        let bucket = port / PER_BUCKET;

        (bucket..)
            .zip(self.buckets.iter().skip(bucket as usize))
            .flat_map(|(index, bucket)| {
                (index.saturating_mul(PER_BUCKET)..).zip(bucket.channels.iter())
            })
            .skip((port % PER_BUCKET) as usize)
    }

    /// As [`Table::starting_at`], to change them.
    pub(super) fn starting_at_mut(
        &mut self,
        port: Port,
    ) -> impl Iterator<Item = (Port, &mut Channel)> {
        let bucket = port / PER_BUCKET;

        (bucket..)
            .zip(self.buckets.iter_mut().skip(bucket as usize))
            .flat_map(|(index, bucket)| {
                (index.saturating_mul(PER_BUCKET)..).zip(bucket.channels.iter_mut())
            })
            .skip((port % PER_BUCKET) as usize)
    }
}
