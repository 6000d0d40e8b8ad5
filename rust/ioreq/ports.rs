// SPDX-License-Identifier: GPL-2.0-only

//! Which ports somebody may serve, for those who cannot take the lock.
//!
//! Ports are looked at in groups. A group without a server's port is nobody's, and an access to it needs no look at the
//! servers; one that has some may still be nobody's.

use super::range::Ranges;
use super::servers::PCI_ADDRESS_PORT;
use crate::sys::atomic::{
    AtomicU64,
    Ordering, //
};

/// Ports in a group, as a shift.
const GROUP_SHIFT: u32 = 6;
/// Words that hold a bit for each group.
const WORDS: usize = 1 << (16 - GROUP_SHIFT - u64::BITS.trailing_zeros());

/// The groups of ports that servers have any of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Groups([u64; WORDS]);

impl Groups {
    /// None.
    pub(super) const NONE: Self = Self([0; WORDS]);

    /// Returns the word and the bit of a port's group.
    #[inline]
    fn place(port: u16) -> (usize, u64) {
        let group = port >> GROUP_SHIFT;
        // CAST: widens.
        let word = usize::from(group) / u64::BITS as usize;
        (word, 1 << (u32::from(group) % u64::BITS))
    }

    fn add(&mut self, port: u16) {
        let (word, bit) = Self::place(port);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    /// Adds the groups of a set of ports.
    pub(super) fn add_all(&mut self, ports: &Ranges) {
        for (start, end) in ports.iter() {
            // There are no ports beyond; nobody can ask for them.
            let port = |at: u64| u16::try_from(at).unwrap_or(u16::MAX);
            for group in port(start) >> GROUP_SHIFT..=port(end) >> GROUP_SHIFT {
                self.add(group << GROUP_SHIFT);
            }
        }
    }

    /// Adds the ports of PCI configuration, of which the address is noted for whoever has a function.
    pub(super) fn add_pci(&mut self) {
        self.add(PCI_ADDRESS_PORT);
    }
}

/// What [`Groups`] were when the servers changed last.
pub(crate) struct ServedPorts([AtomicU64; WORDS]);

impl ServedPorts {
    /// Nobody serves any.
    pub(crate) const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; WORDS])
    }

    /// Returns whether somebody may serve an access that begins at this port.
    #[inline]
    pub(crate) fn may_have(&self, port: u16) -> bool {
        let (word, bit) = Groups::place(port);
        self.0
            .get(word)
            .is_some_and(|word| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// Replaces what is known. The servers' lock must be held, so that the last change is noted last.
    pub(crate) fn set(&self, groups: &Groups) {
        for (to, from) in self.0.iter().zip(groups.0) {
            to.store(from, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A port that is in a set may be served; one whose group has none is not.
        #[test]
        fn groups_hold_the_ports_of_a_set(
            ranges in proptest::collection::vec((any::<u16>(), 0u16..300), 0..5),
            ports in proptest::collection::vec(any::<u16>(), 1..50),
        ) {
            let mut set = Ranges::new().unwrap();
            for (start, len) in ranges {
                let _ = set.add(start.into(), u64::from(start) + u64::from(len), false);
            }
            let mut groups = Groups::NONE;
            groups.add_all(&set);
            let served = ServedPorts::new();
            served.set(&groups);
            for port in ports {
                let first = u64::from(port) & !63;
                prop_assert_eq!(served.may_have(port), set.overlaps(first, first + 63));
            }
            prop_assert!(!groups.0.iter().all(|word| *word == u64::MAX));
        }
    }

    #[test]
    fn each_group_has_its_bit() {
        for port in 0..=u16::MAX {
            let mut groups = Groups::NONE;
            groups.add(port);
            let served = ServedPorts::new();
            served.set(&groups);
            assert!(served.may_have(port));
            assert!(!served.may_have(port.wrapping_add(64)));
            assert_eq!(
                groups.0.iter().map(|word| word.count_ones()).sum::<u32>(),
                1
            );
        }
    }

    #[test]
    fn configuration_ports_are_looked_at_for_whoever_has_a_function() {
        let mut groups = Groups::NONE;
        groups.add_pci();
        let served = ServedPorts::new();
        served.set(&groups);
        assert!((0xcf8..0xd00).all(|port| served.may_have(port)));
    }
}
