// SPDX-License-Identifier: GPL-2.0-only

//! Address space identifiers. APM 15.16.
//!
//! Each processor hands out its identifiers in turn. When they run out it forgets all translations at the next
//! entry, begins a new generation and starts over. A vCPU keeps its identifier as long as it stays on the
//! processor and the generation lasts; getting a new one is how its translations are dropped.

use crate::sys::atomic::{
    AtomicU32,
    AtomicU64,
    Ordering, //
};

/// The identifiers of one processor. Used on that processor with preemption off only, hence plain loads and
/// stores.
pub(crate) struct Asids {
    max: u32,
    next: AtomicU32,
    generation: AtomicU64,
}

/// The identifier that a vCPU holds.
#[derive(Clone, Copy, Default)]
pub(crate) struct Asid {
    /// The number; 0 is the host.
    pub(crate) number: u32,
    /// The generation in which it was handed out; 0 for never.
    generation: u64,
    /// The processor that handed it out.
    cpu: u32,
}

impl Asids {
    /// Makes the set `1..=max`.
    pub(crate) const fn new(max: u32) -> Self {
        Self {
            max,
            next: AtomicU32::new(1),
            generation: AtomicU64::new(1),
        }
    }

    /// Begins a new generation whose first entry drops everything, as after the processor was off.
    pub(crate) fn restart(&self) {
        // One above the last one makes the next request wrap.
        self.next.store(self.max.wrapping_add(1), Ordering::Relaxed);
    }

    /// Makes `asid` valid on this processor, `cpu`. Returns whether the processor must drop all translations at the
    /// next entry.
    pub(crate) fn renew(&self, asid: &mut Asid, cpu: u32) -> bool {
        let generation = self.generation.load(Ordering::Relaxed);
        if asid.cpu == cpu && asid.generation == generation {
            return false;
        }
        let next = self.next.load(Ordering::Relaxed);
        let wrapped = next > self.max;
        let (number, generation) = if wrapped {
            (1, generation.wrapping_add(1))
        } else {
            (next, generation)
        };
        self.next.store(number + 1, Ordering::Relaxed);
        self.generation.store(generation, Ordering::Relaxed);
        *asid = Asid {
            number,
            generation,
            cpu,
        };
        wrapped
    }
}
