// SPDX-License-Identifier: GPL-2.0-only

//! The part of a local APIC that others may touch: requests, latches and the address.
//!
//! Another vCPU, a timer or a tool posts with one or two atomic read-modify-write instructions and
//! never waits. Only the vCPU's own thread takes requests away (or, while that thread is stopped,
//! whoever stopped it).
//!
//! # The pending word
//!
//! One 32-bit word says all that an entry to the guest needs to know; 0 (apart from `WAIT_SIPI`) is
//! the common case and costs one load. Bits 7:0 name the interrupt request registers that are not
//! empty. A poster first sets the request bit, then the summary bit. The owner first takes the
//! request bit; when that empties the register it clears the summary bit, then looks at the
//! register again and sets the summary bit back if a request came meanwhile. Whichever of the two
//! updates of the summary is last, the bit is set when a request is left. All updates are
//! sequentially consistent, so a poster that goes on to test whether the vCPU is in the guest, and
//! a vCPU that announces that it is about to enter and then tests this word, cannot miss each
//! other.

use crate::sys::atomic::{
    AtomicU32,
    AtomicU64,
    Ordering, //
};

use super::bitmap::{
    highest_in,
    place,
    Vectors, //
};
use super::regs;

/// Pending word: request registers that are not empty.
const PENDING_IRR: u32 = 0xff;
/// Pending word: an NMI was posted.
const PENDING_NMI: u32 = 1 << 8;
/// Pending word: an INIT was posted.
const PENDING_INIT: u32 = 1 << 9;
/// Pending word: a start-up IPI was posted; its vector is in bits 23:16.
const PENDING_SIPI: u32 = 1 << 10;
/// Pending word: the vCPU waits for a start-up IPI. Not a request, but kept here so that posting a
/// start-up IPI and the INIT before it are judged in one atomic step.
const WAIT_SIPI: u32 = 1 << 11;
/// Pending word: position of the start-up vector.
const SIPI_SHIFT: u32 = 16;
/// Pending word: the start-up vector.
const SIPI_VECTOR: u32 = 0xff << SIPI_SHIFT;

/// What the vCPU must do before it runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// Reset the vCPU as INIT does and wait for a start-up IPI.
    Init,
    /// Start in real mode at physical address `vector * 4096`.
    Startup(u8),
}

/// How other processors address this APIC; published in one word so that a reader sees one state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Identity {
    /// The full APIC ID.
    pub(crate) apic_id: u32,
    /// xAPIC logical ID, bits 31:24 of LDR.
    pub(crate) logical_id: u8,
    /// xAPIC logical model, bits 31:28 of DFR.
    pub(crate) model: u8,
    /// Enabled in APIC_BASE.
    pub(crate) hw_enabled: bool,
    /// In x2APIC mode.
    pub(crate) x2apic: bool,
    /// Enabled in SVR.
    pub(crate) sw_enabled: bool,
}

impl Identity {
    const HW: u64 = 1 << 44;
    const X2APIC: u64 = 1 << 45;
    const SW: u64 = 1 << 46;

    fn to_word(self) -> u64 {
        let flag = |on: bool, bit: u64| if on { bit } else { 0 };
        u64::from(self.apic_id)
            | u64::from(self.logical_id) << 32
            | u64::from(self.model & 0xf) << 40
            | flag(self.hw_enabled, Self::HW)
            | flag(self.x2apic, Self::X2APIC)
            | flag(self.sw_enabled, Self::SW)
    }

    fn from_word(word: u64) -> Self {
        Self {
            // CAST: each takes the bits of its own field.
            apic_id: word as u32,
            logical_id: (word >> 32) as u8,
            model: (word >> 40) as u8 & 0xf,
            hw_enabled: word & Self::HW != 0,
            x2apic: word & Self::X2APIC != 0,
            sw_enabled: word & Self::SW != 0,
        }
    }

    /// Returns whether interrupts with a vector are taken.
    pub(crate) fn accepts_vectors(self) -> bool {
        self.hw_enabled && self.sw_enabled
    }
}

/// The part of one vCPU's local APIC that other threads may touch through a shared reference.
pub(crate) struct LapicShared {
    /// See the module's documentation.
    pending: AtomicU32,
    /// Interrupt request registers.
    irr: [AtomicU32; 8],
    /// Trigger mode registers: the bit of a vector posted as level-triggered is set.
    tmr: [AtomicU32; 8],
    /// [`Identity`] as a word.
    identity: AtomicU64,
    /// Copy of the error local vector, so that the finder of an error can deliver it.
    lvt_error: AtomicU32,
    /// Errors since the guest last wrote the error status register.
    errors: AtomicU32,
}

impl LapicShared {
    /// Makes the shared part of an APIC that is off; [`super::Lapic::new`] publishes the rest.
    pub(crate) fn new() -> Self {
        Self {
            pending: AtomicU32::new(0),
            irr: core::array::from_fn(|_| AtomicU32::new(0)),
            tmr: core::array::from_fn(|_| AtomicU32::new(0)),
            identity: AtomicU64::new(0),
            lvt_error: AtomicU32::new(regs::LVT_MASKED),
            errors: AtomicU32::new(0),
        }
    }

    // For everybody.

    /// Posts an interrupt and returns whether the vCPU must be kicked.
    ///
    /// An APIC that is off drops it. A vector below 16 is recorded as an error instead. A request
    /// for a vector that is already requested merges with it.
    #[inline]
    pub(crate) fn post(&self, vector: u8, level: bool) -> bool {
        if !self.identity().accepts_vectors() {
            return false;
        }
        if vector < regs::FIRST_VECTOR {
            return self.raise_error(regs::ESR_RECEIVE_ILLEGAL);
        }
        self.request(vector, level)
    }

    /// Posts an NMI and returns whether the vCPU must be kicked. One is remembered.
    pub(crate) fn post_nmi(&self) -> bool {
        self.pending.fetch_or(PENDING_NMI, Ordering::SeqCst) & PENDING_NMI == 0
    }

    /// Posts an INIT and returns whether the vCPU must be kicked. It overtakes and cancels a
    /// start-up IPI that was not acted on yet.
    pub(crate) fn post_init(&self) -> bool {
        let posted = self
            .pending
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |word| {
                Some(word & !(PENDING_SIPI | SIPI_VECTOR) | PENDING_INIT)
            });
        posted.is_ok_and(|old| old & PENDING_INIT == 0)
    }

    /// Posts a start-up IPI and returns whether the vCPU must be kicked.
    ///
    /// It is lost unless the vCPU waits for one or has an INIT before it, and when another came
    /// first: the second of the pair that operating systems send does nothing.
    pub(crate) fn post_startup(&self, vector: u8) -> bool {
        self.pending
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |word| {
                if word & PENDING_SIPI != 0 || word & (PENDING_INIT | WAIT_SIPI) == 0 {
                    None
                } else {
                    Some(word & !SIPI_VECTOR | PENDING_SIPI | u32::from(vector) << SIPI_SHIFT)
                }
            })
            .is_ok()
    }

    /// Records an error bit and delivers the error local vector if that is unmasked and legal.
    /// Returns whether the vCPU must be kicked.
    ///
    /// An illegal error vector is itself only recorded: there is no way back into this function, so
    /// a guest cannot make it recurse (XSA-462).
    pub(crate) fn raise_error(&self, bit: u32) -> bool {
        if self.errors.fetch_or(bit, Ordering::SeqCst) & bit != 0 {
            return false;
        }
        let lvt = self.lvt_error.load(Ordering::SeqCst);
        if lvt & regs::LVT_MASKED != 0 || !self.identity().accepts_vectors() {
            return false;
        }
        // CAST: the mask leaves eight bits.
        let vector = (lvt & regs::LVT_VECTOR) as u8;
        if vector < regs::FIRST_VECTOR {
            self.errors
                .fetch_or(regs::ESR_RECEIVE_ILLEGAL, Ordering::SeqCst);
            return false;
        }
        self.request(vector, false)
    }

    /// Returns how this APIC is addressed now.
    #[inline]
    pub(crate) fn identity(&self) -> Identity {
        Identity::from_word(self.identity.load(Ordering::Acquire))
    }

    /// Returns whether anything at all was posted: an interrupt of any priority, an NMI, an INIT or
    /// a start-up IPI. One load.
    #[inline]
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.load(Ordering::SeqCst)
            & (PENDING_IRR | PENDING_NMI | PENDING_INIT | PENDING_SIPI)
            != 0
    }

    /// Returns whether an NMI is pending.
    #[inline]
    pub(crate) fn nmi_pending(&self) -> bool {
        self.pending.load(Ordering::SeqCst) & PENDING_NMI != 0
    }

    /// Returns whether an INIT or a start-up IPI is pending.
    #[inline]
    pub(crate) fn event_pending(&self) -> bool {
        self.pending.load(Ordering::SeqCst) & (PENDING_INIT | PENDING_SIPI) != 0
    }

    /// Returns whether the vCPU waits for a start-up IPI.
    #[cfg(test)]
    pub(crate) fn waits_for_startup(&self) -> bool {
        self.pending.load(Ordering::SeqCst) & WAIT_SIPI != 0
    }

    /// Returns one of the eight interrupt request registers.
    pub(crate) fn irr_register(&self, register: usize) -> u32 {
        self.irr
            .get(register)
            .map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// Returns one of the eight trigger mode registers.
    pub(crate) fn tmr_register(&self, register: usize) -> u32 {
        self.tmr
            .get(register)
            .map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// Returns whether the last request for `vector` was level-triggered.
    #[inline]
    pub(crate) fn is_level(&self, vector: u8) -> bool {
        let (register, bit) = place(vector);
        self.tmr_register(register) & bit != 0
    }

    // For the vCPU's own thread, or whoever has stopped it.

    /// Takes the INIT or start-up IPI that comes next, or `None`.
    ///
    /// After [`Event::Init`] the vCPU waits for a start-up IPI and a pending NMI is gone; after
    /// [`Event::Startup`] it no longer waits.
    pub(crate) fn take_event(&self) -> Option<Event> {
        let old = self
            .pending
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |word| {
                if word & PENDING_INIT != 0 {
                    Some(word & !(PENDING_INIT | PENDING_NMI) | WAIT_SIPI)
                } else if word & PENDING_SIPI != 0 {
                    Some(word & !(PENDING_SIPI | SIPI_VECTOR | WAIT_SIPI))
                } else {
                    None
                }
            })
            .ok()?;
        Some(if old & PENDING_INIT != 0 {
            Event::Init
        } else {
            // CAST: the mask leaves eight bits.
            Event::Startup(((old & SIPI_VECTOR) >> SIPI_SHIFT) as u8)
        })
    }

    /// Takes the pending NMI; returns whether there was one.
    pub(crate) fn take_nmi(&self) -> bool {
        self.pending.fetch_and(!PENDING_NMI, Ordering::SeqCst) & PENDING_NMI != 0
    }

    /// Says whether the vCPU waits for a start-up IPI: true for a vCPU that was never started,
    /// false when one is brought up by other means. Cancels a start-up IPI that was not acted on.
    pub(crate) fn set_wait_for_startup(&self, wait: bool) {
        let _ = self
            .pending
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |word| {
                let word = word & !(PENDING_SIPI | SIPI_VECTOR | WAIT_SIPI);
                Some(if wait { word | WAIT_SIPI } else { word })
            });
    }

    /// Returns the highest requested vector.
    #[inline]
    pub(super) fn highest_request(&self) -> Option<u8> {
        let summary = self.pending.load(Ordering::SeqCst) & PENDING_IRR;
        if summary == 0 {
            return None;
        }
        self.irr
            .iter()
            .enumerate()
            .rev()
            .filter(|(register, _)| summary & (1 << (*register & 7)) != 0)
            .find_map(|(register, word)| highest_in(register, word.load(Ordering::SeqCst)))
    }

    /// Takes a request away; returns whether there was one.
    #[inline]
    pub(super) fn take_request(&self, vector: u8) -> bool {
        let (register, bit) = place(vector);
        let Some(word) = self.irr.get(register) else {
            return false;
        };
        let old = word.fetch_and(!bit, Ordering::SeqCst);
        if old & !bit == 0 {
            self.resummarise(register, word);
        }
        old & bit != 0
    }

    /// Drops all requests, as a reset does.
    pub(super) fn clear_requests(&self) {
        for (register, word) in self.irr.iter().enumerate() {
            word.store(0, Ordering::SeqCst);
            self.resummarise(register, word);
        }
        for word in &self.tmr {
            word.store(0, Ordering::SeqCst);
        }
    }

    /// Replaces all requests and trigger modes, as loading a saved state does.
    pub(super) fn load_requests(&self, irr: &Vectors, tmr: &Vectors) {
        for (register, word) in self.tmr.iter().enumerate() {
            word.store(tmr.register(register), Ordering::SeqCst);
        }
        for (register, word) in self.irr.iter().enumerate() {
            word.store(irr.register(register), Ordering::SeqCst);
            self.resummarise(register, word);
        }
    }

    /// Publishes how this APIC is addressed, and its error local vector.
    pub(super) fn publish(&self, identity: Identity, lvt_error: u32) {
        self.lvt_error.store(lvt_error, Ordering::SeqCst);
        self.identity.store(identity.to_word(), Ordering::SeqCst);
    }

    /// Takes the errors recorded so far.
    pub(super) fn take_errors(&self) -> u32 {
        self.errors.swap(0, Ordering::SeqCst)
    }

    /// Returns the errors recorded so far.
    pub(super) fn errors(&self) -> u32 {
        self.errors.load(Ordering::SeqCst)
    }

    /// Replaces the recorded errors.
    pub(super) fn set_errors(&self, errors: u32) {
        self.errors.store(errors, Ordering::SeqCst);
    }

    /// Sets the request bit of a legal vector; returns whether it was clear.
    #[inline]
    pub(super) fn request(&self, vector: u8, level: bool) -> bool {
        let (register, bit) = place(vector);
        let (Some(irr), Some(tmr)) = (self.irr.get(register), self.tmr.get(register)) else {
            return false;
        };
        // Written only when it changes: most interrupts are edge-triggered and stay so.
        if (tmr.load(Ordering::Relaxed) & bit != 0) != level {
            if level {
                tmr.fetch_or(bit, Ordering::SeqCst);
            } else {
                tmr.fetch_and(!bit, Ordering::SeqCst);
            }
        }
        if irr.fetch_or(bit, Ordering::SeqCst) & bit != 0 {
            return false;
        }
        self.pending.fetch_or(1 << (register & 7), Ordering::SeqCst);
        true
    }

    /// Brings the summary bit of one request register in line with its contents.
    fn resummarise(&self, register: usize, word: &AtomicU32) {
        let bit = 1u32 << (register & 7);
        self.pending.fetch_and(!bit, Ordering::SeqCst);
        if word.load(Ordering::SeqCst) != 0 {
            self.pending.fetch_or(bit, Ordering::SeqCst);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicBool, AtomicU64 as StdU64};
    use std::sync::Arc;

    fn on() -> Identity {
        Identity {
            apic_id: 6,
            logical_id: 4,
            model: 0xf,
            hw_enabled: true,
            x2apic: false,
            sw_enabled: true,
        }
    }

    fn shared() -> LapicShared {
        let shared = LapicShared::new();
        shared.publish(on(), regs::LVT_MASKED);
        shared
    }

    #[test]
    fn off_drops_everything_with_a_vector() {
        let shared = LapicShared::new();
        assert!(!shared.post(0x40, false));
        assert!(!shared.post(3, false));
        assert!(!shared.is_pending());
        assert_eq!(shared.errors(), 0);
        shared.publish(
            Identity {
                sw_enabled: false,
                ..on()
            },
            0,
        );
        assert!(!shared.post(0x40, false));
        assert!(shared.post_nmi(), "an NMI needs no software enable");
    }

    #[test]
    fn kicks_once_per_request() {
        let shared = shared();
        assert!(shared.post(0x40, false));
        assert!(!shared.post(0x40, false));
        assert!(shared.post(0x41, true));
        assert!(shared.is_level(0x41) && !shared.is_level(0x40));
        assert_eq!(shared.highest_request(), Some(0x41));
        assert!(shared.take_request(0x41));
        assert!(!shared.take_request(0x41));
        assert_eq!(shared.highest_request(), Some(0x40));
        assert!(shared.take_request(0x40));
        assert!(!shared.is_pending());
        assert!(shared.post(0x41, false));
        assert!(!shared.is_level(0x41), "the last post decides");
    }

    #[test]
    fn illegal_error_vector_does_not_recurse() {
        // XSA-462: an illegal vector in the error local vector, unmasked, and an error.
        let shared = LapicShared::new();
        shared.publish(on(), 5);
        assert!(!shared.raise_error(regs::ESR_SEND_ILLEGAL));
        assert_eq!(
            shared.take_errors(),
            regs::ESR_SEND_ILLEGAL | regs::ESR_RECEIVE_ILLEGAL
        );
        assert!(!shared.is_pending());
        shared.publish(on(), 0x77);
        assert!(shared.post(9, false), "the error interrupt wants a kick");
        assert!(!shared.post(9, false), "the same error again is silent");
        assert_eq!(shared.highest_request(), Some(0x77));
        assert_eq!(shared.take_errors(), regs::ESR_RECEIVE_ILLEGAL);
    }

    #[test]
    fn startup_needs_init() {
        let shared = shared();
        assert!(!shared.post_startup(0x12), "a running vCPU ignores it");
        assert!(shared.post_init());
        assert!(!shared.post_init());
        assert!(shared.post_startup(0x12));
        assert!(!shared.post_startup(0x13), "the first one wins");
        assert_eq!(shared.take_event(), Some(Event::Init));
        assert!(shared.waits_for_startup());
        assert_eq!(shared.take_event(), Some(Event::Startup(0x12)));
        assert!(!shared.waits_for_startup());
        assert_eq!(shared.take_event(), None);
        assert!(!shared.post_startup(0x12), "started already");
        assert!(!shared.is_pending());
    }

    #[test]
    fn init_cancels_an_older_startup() {
        let shared = shared();
        shared.set_wait_for_startup(true);
        assert!(!shared.is_pending(), "waiting is no request");
        assert!(shared.post_startup(1));
        assert!(shared.post_init());
        assert_eq!(shared.take_event(), Some(Event::Init));
        assert_eq!(shared.take_event(), None);
        assert!(shared.post_startup(2));
        assert_eq!(shared.take_event(), Some(Event::Startup(2)));
    }

    #[test]
    fn init_clears_a_pending_nmi() {
        let shared = shared();
        assert!(shared.post_nmi());
        assert!(!shared.post_nmi());
        assert!(shared.post_init());
        assert_eq!(shared.take_event(), Some(Event::Init));
        assert!(!shared.nmi_pending());
        assert!(!shared.take_nmi());
    }

    proptest! {
        #[test]
        fn identity_survives_the_word(
            apic_id: u32, logical_id: u8, model in 0u8..16,
            hw_enabled: bool, x2apic: bool, sw_enabled: bool,
        ) {
            let id = Identity { apic_id, logical_id, model, hw_enabled, x2apic, sw_enabled };
            prop_assert_eq!(Identity::from_word(id.to_word()), id);
        }

        #[test]
        fn requests_behave_as_a_set(
            ops in proptest::collection::vec((0u8..3, 16u8..), 0..300),
        ) {
            let shared = shared();
            let mut model = BTreeSet::new();
            for (op, vector) in ops {
                if op < 2 {
                    prop_assert_eq!(shared.post(vector, op == 1), model.insert(vector));
                    prop_assert_eq!(shared.is_level(vector), op == 1);
                } else {
                    prop_assert_eq!(shared.take_request(vector), model.remove(&vector));
                }
                prop_assert_eq!(shared.is_pending(), !model.is_empty());
                prop_assert_eq!(shared.highest_request(), model.last().copied());
            }
        }
    }

    /// Several posters, one owner: every request whose post said "kick" is taken exactly once, and
    /// none is left behind.
    #[test]
    fn no_request_is_lost_between_threads() {
        let shared = Arc::new(shared());
        let kicks = Arc::new(StdU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let posters: Vec<_> = (0..3u8)
            .map(|n| {
                let (shared, kicks) = (shared.clone(), kicks.clone());
                std::thread::spawn(move || {
                    for round in 0..40_000u32 {
                        let vector = 0x20 + n * 0x30 + (round % 0x40) as u8;
                        if shared.post(vector, false) {
                            kicks.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                })
            })
            .collect();
        let owner = {
            let (shared, stop) = (shared.clone(), stop.clone());
            std::thread::spawn(move || {
                let mut taken = 0u64;
                loop {
                    let last = stop.load(Ordering::SeqCst);
                    while let Some(vector) = shared.highest_request() {
                        if shared.take_request(vector) {
                            taken += 1;
                        }
                    }
                    if last {
                        return taken;
                    }
                }
            })
        };
        for poster in posters {
            poster.join().unwrap();
        }
        stop.store(true, Ordering::SeqCst);
        assert_eq!(owner.join().unwrap(), kicks.load(Ordering::SeqCst));
        assert!((0..8).all(|register| shared.irr_register(register) == 0));
        assert!(!shared.is_pending());
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::interleave::check;
    use loom::sync::Arc;
    use loom::thread;

    fn shared() -> Arc<LapicShared> {
        let shared = LapicShared::new();
        shared.publish(
            Identity {
                apic_id: 0,
                logical_id: 0,
                model: 0,
                hw_enabled: true,
                x2apic: true,
                sw_enabled: true,
            },
            regs::LVT_MASKED,
        );
        Arc::new(shared)
    }

    /// Two vectors of one register, one taken while the other is posted: the summary never hides
    /// it.
    #[test]
    fn loom_post_against_take() {
        check(|| {
            let shared = shared();
            assert!(shared.post(0x40, false));
            let poster = {
                let shared = shared.clone();
                thread::spawn(move || shared.post(0x41, false))
            };
            let taken = shared.take_request(0x40);
            assert!(taken);
            assert!(poster.join().unwrap());
            assert_eq!(shared.highest_request(), Some(0x41));
            assert!(shared.take_request(0x41));
            assert!(!shared.is_pending());
        });
    }

    /// Two posters of the same vector against the owner: as many kicks as requests taken.
    #[test]
    fn loom_kicks_match_requests() {
        check(|| {
            let shared = shared();
            let post = |shared: &Arc<LapicShared>| {
                let shared = shared.clone();
                thread::spawn(move || u32::from(shared.post(0x40, false)))
            };
            let (a, b) = (post(&shared), post(&shared));
            let mut taken = u32::from(shared.take_request(0x40));
            let kicks = a.join().unwrap() + b.join().unwrap();
            if shared.is_pending() {
                taken += u32::from(shared.take_request(0x40));
            }
            assert_eq!(taken, kicks);
            assert!(!shared.is_pending());
        });
    }

    /// INIT and two start-up IPIs against the target's thread: started exactly once, by the first.
    #[test]
    fn loom_init_sipi_sipi() {
        check(|| {
            let shared = shared();
            let sender = {
                let shared = shared.clone();
                thread::spawn(move || {
                    assert!(shared.post_init());
                    shared.post_startup(0x9a);
                    shared.post_startup(0x9b);
                })
            };
            let mut started = 0;
            let mut act = |event| match event {
                Some(Event::Startup(vector)) => {
                    assert_eq!(vector, 0x9a);
                    started += 1;
                }
                Some(Event::Init) => assert_eq!(started, 0),
                None => {}
            };
            act(shared.take_event());
            act(shared.take_event());
            sender.join().unwrap();
            act(shared.take_event());
            act(shared.take_event());
            assert_eq!(started, 1);
            assert!(!shared.is_pending() && !shared.waits_for_startup());
        });
    }
}
