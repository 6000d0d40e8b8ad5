// SPDX-License-Identifier: GPL-2.0-only

//! What the room's operations take and return.

use crate::abi::{
    event_channel::FIFO_NR_CHANNELS,
    xen::{
        self,
        SharedInfoLayout, //
    }, //
};

/// A domain's number.
pub(crate) type DomId = u16;

/// The index of an event channel in its domain; 0 is never a channel.
pub(crate) type Port = u32;

/// The most vCPUs an HVM guest can have (Xen's `HVM_MAX_VCPUS`).
pub(crate) const MAX_VCPUS: usize = 128;

/// The most ports of the FIFO ABI.
pub(super) const FIFO_PORTS: u32 = FIFO_NR_CHANNELS;

/// The number of virtual interrupts.
pub(super) const NR_VIRQS: usize = xen::NR_VIRQS as usize;

/// The layout of a guest's `shared_info` and `vcpu_info`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Width {
    /// As a 32-bit guest sees it: 32 words of 32 bits, 1024 ports.
    Bits32,
    /// As a 64-bit guest sees it: 64 words of 64 bits, 4096 ports.
    Bits64,
}

impl Width {
    /// Returns where everything is.
    pub(super) const fn layout(self) -> &'static SharedInfoLayout {
        match self {
            Self::Bits32 => &xen::LAYOUT_32,
            Self::Bits64 => &xen::LAYOUT_64,
        }
    }

    /// Returns the bits in a word of this layout.
    pub(super) const fn bits(self) -> u32 {
        match self {
            Self::Bits32 => 32,
            Self::Bits64 => 64,
        }
    }

    /// Returns the number of ports that the 2-level ABI can express (XSA-342: not the 64-bit number
    /// for all).
    pub(super) const fn ports(self) -> u32 {
        self.bits() * self.bits()
    }
}

const _: () = assert!(xen::LAYOUT_32.word == 4 && xen::LAYOUT_64.word == 8);
const _: () = assert!(xen::LAYOUT_32.nr_channels == Width::Bits32.ports() as usize);
const _: () = assert!(xen::LAYOUT_64.nr_channels == Width::Bits64.ports() as usize);

/// Who in the hypervisor receives the events of a port that the guest cannot use itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Consumer {
    /// A vCPU that waits for an ioreq server.
    Ioreq,
    /// A vCPU that waits for a monitor, or the reader of a monitor's responses.
    VmEvent,
}

/// A set of vCPU ids below [`MAX_VCPUS`].
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct VcpuSet([u64; MAX_VCPUS / 64]);

impl VcpuSet {
    /// Returns a set of nothing.
    #[cfg(test)]
    pub(crate) const fn new() -> Self {
        Self([0; MAX_VCPUS / 64])
    }

    /// Adds `vcpu`; an id that cannot exist is ignored.
    pub(crate) fn insert(&mut self, vcpu: u32) {
        if let Some(word) = self.0.get_mut((vcpu / 64) as usize) {
            *word |= 1 << (vcpu % 64);
        }
    }

    /// Returns whether nothing is in the set.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Returns whether `vcpu` is in the set.
    #[cfg(test)]
    pub(crate) fn contains(&self, vcpu: u32) -> bool {
        self.0
            .get((vcpu / 64) as usize)
            .is_some_and(|word| word & (1 << (vcpu % 64)) != 0)
    }

    /// Returns the ids in ascending order.
    pub(crate) fn iter(self) -> impl Iterator<Item = u32> {
        (0u32..).zip(self.0).flat_map(|(index, mut word)| {
            core::iter::from_fn(move || {
                let bit = word.trailing_zeros();
                // Clears the lowest set bit; of 0, nothing remains to be returned.
                word &= word.checked_sub(1)?;
                Some(index * 64 + bit)
            })
        })
    }
}

/// What vCPUs of one guest must be told.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Wake {
    /// vCPUs whose `evtchn_upcall_pending` went from 0 to 1: unblock each, kick it out of the
    /// guest, and with a per-vCPU upcall vector set that vector in its local APIC.
    pub(crate) upcalls: VcpuSet,
    /// vCPUs that were blocked in `SCHEDOP_poll` for what has happened: unblock each.
    pub(crate) pollers: VcpuSet,
}

impl Wake {
    /// Returns whether nobody must be told.
    pub(crate) fn is_empty(&self) -> bool {
        self.upcalls.is_empty() && self.pollers.is_empty()
    }
}

/// What remains to be done for an event, once the ports' lock is dropped.
#[must_use = "an event is lost if nobody is told"]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Delivery {
    /// Nothing.
    None,
    /// Tell these vCPUs of the guest that owns the ports.
    Guest(Wake),
    /// Tell the host process that consumes this port of domain 0. The port is masked until it is
    /// unmasked.
    Host {
        /// The local port.
        port: Port,
    },
    /// Tell this part of the hypervisor.
    Xen {
        /// Whom.
        consumer: Consumer,
        /// The vCPU for which the port was allocated.
        vcpu: u32,
        /// The local port.
        port: Port,
        /// It is no event: the partner has closed its port.
        closed: bool,
    },
}

impl Delivery {
    /// Wraps `wake`, dropping an empty one.
    pub(super) fn guest(wake: Wake) -> Self {
        if wake.is_empty() {
            Self::None
        } else {
            Self::Guest(wake)
        }
    }
}

/// Where a sent event goes.
#[must_use = "an event is lost if nobody is told"]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Send {
    /// It arrived in the sender's own domain.
    Local(Delivery),
    /// It goes on in another domain: drop this domain's lock and call that one's
    /// `deliver_interdomain`.
    Remote {
        /// The receiving domain.
        domid: DomId,
        /// Its port.
        port: Port,
        /// The sender's port, against which the receiver checks its own binding.
        from_port: Port,
    },
}

/// Returns whether `virq` is delivered once per domain instead of once per vCPU.
///
/// Source: the V and G marks in `xen.h`. The architecture's own (`VIRQ_ARCH_0` to `VIRQ_ARCH_7`)
/// are all global on x86.
pub(super) const fn virq_is_global(virq: u32) -> bool {
    !matches!(
        virq,
        xen::VIRQ_TIMER | xen::VIRQ_DEBUG | xen::VIRQ_XENOPROF | xen::VIRQ_XENPMU
    )
}
