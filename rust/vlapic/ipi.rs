// SPDX-License-Identifier: GPL-2.0-only

//! Inter-processor interrupts: what a write to ICR means and whom it reaches.

use crate::sys::atomic::{
    AtomicU32,
    Ordering, //
};

use super::regs;
use super::shared::LapicShared;

/// What an IPI does to its target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// An interrupt with this vector, to every target.
    Fixed(u8),
    /// An interrupt with this vector, to one of the targets.
    Lowest(u8),
    /// A non-maskable interrupt.
    Nmi,
    /// A reset of the processor; it then waits for [`Mode::Startup`].
    Init,
    /// The start of a waiting processor at physical address `vector * 4096`.
    Startup(u8),
    /// The level de-assert form of INIT, which does nothing on processors with these APICs.
    InitDeassert,
    /// A system management interrupt. Guests have no system management mode: nothing happens.
    Smi,
    /// A delivery mode that the manuals reserve: nothing happens.
    Reserved,
}

/// Whom an IPI is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dest {
    /// The sender.
    Myself,
    /// Everybody, the sender included.
    All,
    /// Everybody but the sender.
    AllButMyself,
    /// The processor with this APIC ID.
    Physical(u32),
    /// The processors that this logical address selects, each by its own model.
    Logical(u32),
}

impl Dest {
    /// Makes the destination of an address as a sender in the given mode means it: all ones, in the
    /// 8 bits of an xAPIC or the 32 of an x2APIC, is everybody.
    pub(crate) const fn from_address(x2apic: bool, logical: bool, address: u32) -> Self {
        let everybody = if x2apic { u32::MAX } else { 0xff };
        if address == everybody {
            Self::All
        } else if logical {
            Self::Logical(address)
        } else {
            Self::Physical(address)
        }
    }

    /// Returns whether an IPI from `sender` with this destination reaches `target`.
    ///
    /// An APIC that is off in APIC_BASE is never reached.
    pub(crate) fn matches(self, sender: &LapicShared, target: &LapicShared) -> bool {
        let id = target.identity();
        if !id.hw_enabled {
            return false;
        }
        match self {
            Self::Myself => core::ptr::eq(sender, target),
            Self::AllButMyself => !core::ptr::eq(sender, target),
            Self::All => true,
            Self::Physical(address) if id.x2apic => address == id.apic_id,
            // An xAPIC knows the low 8 bits of its ID.
            Self::Physical(address) => address == id.apic_id & 0xff,
            Self::Logical(address) if id.x2apic => {
                let ldr = x2apic_ldr(id.apic_id);
                address >> 16 == ldr >> 16 && address & ldr & 0xffff != 0
            }
            Self::Logical(address) => {
                // CAST: an xAPIC compares 8 bits; a longer address selects none.
                let mda = address as u8;
                if address > 0xff {
                    false
                } else if id.model == regs::DFR_MODEL_FLAT {
                    mda & id.logical_id != 0
                } else if id.model == regs::DFR_MODEL_CLUSTER {
                    mda >> 4 == id.logical_id >> 4 && mda & id.logical_id & 0xf != 0
                } else {
                    false
                }
            }
        }
    }
}

/// Returns the logical address of an x2APIC: its cluster in bits 31:16, one member bit in 15:0.
pub(crate) const fn x2apic_ldr(apic_id: u32) -> u32 {
    (apic_id & 0x000f_fff0) << 12 | 1 << (apic_id & 0xf)
}

/// A decoded interrupt command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ipi {
    /// What happens at each target.
    pub(crate) mode: Mode,
    /// Who the targets are.
    pub(crate) dest: Dest,
}

impl Ipi {
    /// Decodes a command: `low` is ICR bits 31:0, `address` the destination, 8 bits wide unless the
    /// sender is in x2APIC mode.
    ///
    /// The trigger mode is ignored except to tell the two forms of INIT apart: IPIs are edges.
    pub(crate) fn decode(x2apic: bool, low: u32, address: u32) -> Self {
        // CAST: takes the low eight bits.
        let vector = low as u8;
        let level = low & 1 << 15 != 0;
        let assert = low & 1 << 14 != 0;
        let mode = match (low >> 8) & 7 {
            0 => Mode::Fixed(vector),
            1 => Mode::Lowest(vector),
            2 => Mode::Smi,
            4 => Mode::Nmi,
            5 if level && !assert => Mode::InitDeassert,
            5 => Mode::Init,
            6 => Mode::Startup(vector),
            _ => Mode::Reserved,
        };
        let dest = match (low >> 18) & 3 {
            0 => Dest::from_address(x2apic, low & 1 << 11 != 0, address),
            1 => Dest::Myself,
            2 => Dest::All,
            _ => Dest::AllButMyself,
        };
        Self { mode, dest }
    }

    /// Returns whether the command asks for an interrupt with a vector below 16.
    pub(crate) const fn is_illegal(self) -> bool {
        match self.mode {
            Mode::Fixed(vector) | Mode::Lowest(vector) => vector < regs::FIRST_VECTOR,
            _ => false,
        }
    }

    /// Returns whether the command does nothing at any target.
    pub(crate) const fn is_nothing(self) -> bool {
        matches!(self.mode, Mode::InitDeassert | Mode::Smi | Mode::Reserved)
    }

    /// Does to one target what the command says; returns whether the target must be kicked.
    pub(crate) fn deliver(self, target: &LapicShared) -> bool {
        match self.mode {
            Mode::Fixed(vector) | Mode::Lowest(vector) => target.post(vector, false),
            Mode::Nmi => target.post_nmi(),
            Mode::Init => target.post_init(),
            Mode::Startup(vector) => target.post_startup(vector),
            Mode::InitDeassert | Mode::Smi | Mode::Reserved => false,
        }
    }
}

/// The vCPUs of a domain as senders of IPIs see them.
pub(crate) trait Cpus {
    /// Returns the number of vCPU ids.
    fn count(&self) -> u32;

    /// Returns the APIC of a vCPU, or `None` if there is no such vCPU.
    fn lapic(&self, vcpu: u32) -> Option<&LapicShared>;

    /// Makes a vCPU look at what was posted to it: wakes it if it sleeps, stops it if it runs.
    fn kick(&self, vcpu: u32);

    /// Returns the domain's word that remembers who took the last lowest-priority interrupt.
    fn lowest_cursor(&self) -> &AtomicU32;
}

/// Delivers an IPI to all its targets among `cpus` and kicks those that need it.
///
/// An address of one vCPU costs one look-up, since the APIC ID of vCPU `n` is `2 * n`. The
/// processor that a lowest-priority interrupt goes to is picked in turn, as chipsets that do not
/// compare priorities do.
pub(crate) fn route<C: Cpus>(ipi: Ipi, sender: &LapicShared, cpus: &C) {
    if ipi.is_nothing() {
        return;
    }
    if let Dest::Physical(address) = ipi.dest {
        if address & 1 == 0 {
            let vcpu = address >> 1;
            if let Some(target) = cpus.lapic(vcpu) {
                // Else fall through: an xAPIC with a wide ID answers to the low 8 bits of it.
                if ipi.dest.matches(sender, target) {
                    if ipi.deliver(target) {
                        cpus.kick(vcpu);
                    }
                    return;
                }
            }
        }
    }
    let count = cpus.count();
    let reached = |vcpu: &u32| {
        cpus.lapic(*vcpu)
            .is_some_and(|target| ipi.dest.matches(sender, target))
    };
    let send = |vcpu: u32| {
        if cpus.lapic(vcpu).is_some_and(|target| ipi.deliver(target)) {
            cpus.kick(vcpu);
        }
    };
    if matches!(ipi.mode, Mode::Lowest(_)) {
        let able = |vcpu: &u32| {
            reached(vcpu)
                && cpus
                    .lapic(*vcpu)
                    .is_some_and(|target| target.identity().accepts_vectors())
        };
        let first = cpus
            .lowest_cursor()
            .load(Ordering::Relaxed)
            .wrapping_add(1)
            .min(count);
        if let Some(vcpu) = (first..count).chain(0..first).find(able) {
            cpus.lowest_cursor().store(vcpu, Ordering::Relaxed);
            send(vcpu);
        }
    } else {
        (0..count).filter(reached).for_each(send);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::shared::{Event, Identity};
    use super::*;
    use proptest::prelude::*;
    use std::cell::RefCell;

    fn identity(apic_id: u32) -> Identity {
        Identity {
            apic_id,
            logical_id: 0,
            model: 0xf,
            hw_enabled: true,
            x2apic: true,
            sw_enabled: true,
        }
    }

    fn apic(id: Identity) -> LapicShared {
        let shared = LapicShared::new();
        shared.publish(id, regs::LVT_MASKED);
        shared
    }

    struct Domain {
        apics: Vec<LapicShared>,
        kicks: RefCell<Vec<u32>>,
        cursor: AtomicU32,
    }

    impl Domain {
        fn new(count: u32) -> Self {
            Self {
                apics: (0..count).map(|n| apic(identity(2 * n))).collect(),
                kicks: RefCell::new(Vec::new()),
                cursor: AtomicU32::new(0),
            }
        }

        fn send(&self, sender: u32, ipi: Ipi) -> Vec<u32> {
            route(ipi, &self.apics[sender as usize], self);
            self.kicks.take()
        }
    }

    impl Cpus for Domain {
        fn count(&self) -> u32 {
            self.apics.len() as u32
        }
        fn lapic(&self, vcpu: u32) -> Option<&LapicShared> {
            self.apics.get(vcpu as usize)
        }
        fn kick(&self, vcpu: u32) {
            self.kicks.borrow_mut().push(vcpu);
        }
        fn lowest_cursor(&self) -> &AtomicU32 {
            &self.cursor
        }
    }

    fn fixed(dest: Dest) -> Ipi {
        Ipi {
            mode: Mode::Fixed(0x55),
            dest,
        }
    }

    #[test]
    fn decodes_what_linux_writes() {
        let decode = |low, address| Ipi::decode(true, low, address);
        // Reschedule to APIC ID 4, physical.
        assert_eq!(
            decode(0x0000_00fd, 4),
            Ipi {
                mode: Mode::Fixed(0xfd),
                dest: Dest::Physical(4)
            }
        );
        // INIT assert, de-assert, start-up of the bring-up sequence.
        assert_eq!(decode(0xc500, 2).mode, Mode::Init);
        assert_eq!(decode(0x8500, 2).mode, Mode::InitDeassert);
        assert_eq!(decode(0x0699, 2).mode, Mode::Startup(0x99));
        // The edge form of INIT has no assert bit to care about.
        assert_eq!(decode(0x4500, 2).mode, Mode::Init);
        assert_eq!(decode(0x0500, 2).mode, Mode::Init);
        // NMI to all but self.
        assert_eq!(
            decode(0x000c_0400, 0),
            Ipi {
                mode: Mode::Nmi,
                dest: Dest::AllButMyself
            }
        );
        assert_eq!(decode(0x0004_00f6, 9).dest, Dest::Myself);
        assert_eq!(decode(0x0008_00f6, 9).dest, Dest::All);
        assert_eq!(decode(0x0000_08f6, 0x1_0003).dest, Dest::Logical(0x1_0003));
        for reserved in [0x300, 0x700] {
            assert!(decode(reserved, 0).is_nothing());
        }
        assert!(decode(0x200, 0).is_nothing());
        assert!(decode(0x10f, 0).is_illegal());
        assert!(!decode(0x60f, 0).is_illegal(), "a start-up page may be low");
    }

    #[test]
    fn broadcast_depends_on_the_sender() {
        assert_eq!(Ipi::decode(false, 0x40, 0xff).dest, Dest::All);
        assert_eq!(Ipi::decode(false, 0x840, 0xff).dest, Dest::All);
        assert_eq!(Ipi::decode(true, 0x40, 0xff).dest, Dest::Physical(0xff));
        assert_eq!(Ipi::decode(true, 0x840, u32::MAX).dest, Dest::All);
    }

    #[test]
    fn shorthands() {
        let domain = Domain::new(4);
        assert_eq!(domain.send(1, fixed(Dest::Myself)), [1]);
        assert_eq!(domain.send(2, fixed(Dest::AllButMyself)), [0, 3]);
        assert_eq!(domain.send(2, fixed(Dest::All)), [2]);
        assert_eq!(domain.send(2, fixed(Dest::Physical(6))), [0u32; 0]);
        assert_eq!(domain.send(2, fixed(Dest::Physical(5))), [0u32; 0]);
        assert_eq!(domain.send(2, fixed(Dest::Physical(1 << 31))), [0u32; 0]);
    }

    #[test]
    fn x2apic_clusters() {
        let domain = Domain::new(24);
        // vCPUs 8..16 have APIC IDs 16..32: cluster 1, members at even bits.
        let hit = domain.send(0, fixed(Dest::Logical(0x0001_0005)));
        assert_eq!(hit, [8, 9]);
        assert_eq!(domain.send(0, fixed(Dest::Logical(0x0001_ffff))).len(), 6);
        assert_eq!(domain.send(0, fixed(Dest::Logical(0x0003_ffff))).len(), 0);
        assert_eq!(x2apic_ldr(0x123), 0x0012_0008);
    }

    #[test]
    fn xapic_logical_models() {
        let target = |model, logical_id| {
            apic(Identity {
                x2apic: false,
                model,
                logical_id,
                ..identity(2)
            })
        };
        let sender = apic(identity(0));
        let hit = |t: &LapicShared, mda| Dest::Logical(mda).matches(&sender, t);
        let flat = target(0xf, 0b100);
        assert!(hit(&flat, 0b110) && !hit(&flat, 0b011));
        assert!(!hit(&flat, 0x104), "an address beyond 8 bits");
        let cluster = target(0, 0x32);
        assert!(hit(&cluster, 0x32) && hit(&cluster, 0x3f));
        assert!(!hit(&cluster, 0x3d) && !hit(&cluster, 0x22));
        let neither = target(5, 0xff);
        assert!(!hit(&neither, 0x0f));
    }

    #[test]
    fn off_is_unreachable() {
        let domain = Domain::new(2);
        domain.apics[1].publish(
            Identity {
                hw_enabled: false,
                ..identity(2)
            },
            regs::LVT_MASKED,
        );
        for mode in [Mode::Nmi, Mode::Init, Mode::Fixed(0x40)] {
            let dest = Dest::Physical(2);
            assert_eq!(domain.send(0, Ipi { mode, dest }), [0u32; 0]);
            let dest = Dest::AllButMyself;
            assert_eq!(domain.send(0, Ipi { mode, dest }), [0u32; 0]);
        }
    }

    #[test]
    fn lowest_goes_round() {
        let domain = Domain::new(4);
        let hits: Vec<_> = (0..6u8)
            .flat_map(|n| {
                domain.send(
                    0,
                    Ipi {
                        mode: Mode::Lowest(0x40 + n),
                        dest: Dest::Logical(0x55),
                    },
                )
            })
            .collect();
        assert_eq!(hits, [1, 2, 3, 0, 1, 2]);
        domain.cursor.store(u32::MAX, Ordering::Relaxed);
        let ipi = Ipi {
            mode: Mode::Lowest(0x60),
            dest: Dest::All,
        };
        assert_eq!(domain.send(0, ipi), [0], "any cursor is safe");
    }

    /// The bring-up of a second processor as Linux does it.
    #[test]
    fn linux_brings_up_a_processor() {
        let domain = Domain::new(2);
        let ap = &domain.apics[1];
        ap.set_wait_for_startup(true);
        let send = |low| domain.send(0, Ipi::decode(true, low, 2));
        assert_eq!(send(0xc500), [1]);
        assert_eq!(ap.take_event(), Some(Event::Init));
        assert_eq!(send(0x8500), [0u32; 0]);
        assert_eq!(send(0x0699), [1]);
        assert_eq!(ap.take_event(), Some(Event::Startup(0x99)));
        assert_eq!(send(0x0699), [0u32; 0]);
        assert_eq!(ap.take_event(), None);
    }

    proptest! {
        /// A unicast through the short path and a search of all agree.
        #[test]
        fn unicast_agrees_with_search(
            modes in proptest::collection::vec(any::<bool>(), 200),
            address in 0u32..512,
        ) {
            let domain = Domain::new(200);
            for (n, x2apic) in modes.iter().enumerate() {
                domain.apics[n].publish(
                    Identity { x2apic: *x2apic, ..identity(2 * n as u32) },
                    regs::LVT_MASKED,
                );
            }
            let dest = Dest::Physical(address);
            let expected: Vec<u32> = (0..200u32)
                .filter(|n| {
                    let id = 2 * n;
                    address == if modes[*n as usize] { id } else { id & 0xff }
                })
                .collect();
            let hit = domain.send(0, fixed(dest));
            // Two may share an 8-bit address; the short path then takes the one it names.
            prop_assert!(hit == expected || (hit.len() == 1 && expected.contains(&hit[0])));
            prop_assert_eq!(hit.is_empty(), expected.is_empty());
        }

        #[test]
        fn decode_takes_anything(x2apic: bool, low: u32, address: u32) {
            let ipi = Ipi::decode(x2apic, low, address);
            let domain = Domain::new(3);
            for kick in domain.send(0, ipi) {
                prop_assert!(kick < 3);
            }
        }
    }
}
