// SPDX-License-Identifier: GPL-2.0-only

//! Xen's system time: nanoseconds since the module started, told by the time stamp counter.
//!
//! Guests compute the same time from their own counter with the same fraction (`vcpu_time_info`), so what a guest
//! reads and what a timer is set to never differ by more than rounding. The host's clock is not used: it is steered.

use core::sync::atomic::{
    AtomicBool,
    AtomicI8, //
};

use crate::abi::errno::{
    Result,
    ENODEV, //
};
use crate::policy::DomainView;
use crate::sys::atomic::{
    AtomicU32,
    AtomicU64,
    Ordering, //
};
use crate::sys::{
    clock,
    msr, //
};
use crate::time::counter::Counter;
use crate::time::pvclock::{
    TimeInfo,
    Wallclock, //
};
use crate::time::scale::{
    Fraction,
    Frequency, //
};

/// The interface that is spoken: Xen 4.20.
pub(crate) const XEN_VERSION: u32 = 4 << 16 | 20;

/// The time stamp counter as if it never started over.
static COUNTER: Counter = Counter::new();
/// That counter when the module started.
static START: AtomicU64 = AtomicU64::new(0);
static MUL: AtomicU32 = AtomicU32::new(0);
static SHIFT: AtomicI8 = AtomicI8::new(0);
static KHZ: AtomicU32 = AtomicU32::new(0);
/// The counter runs at one rate for ever, and the same on all processors.
static RELIABLE: AtomicBool = AtomicBool::new(false);

/// CPUID 0x8000_0007 EDX: invariant TSC.
const INVARIANT_TSC: u32 = 1 << 8;
/// `vcpu_time_info.flags`: all vCPUs use the same numbers.
const STABLE: u8 = crate::abi::xen::PVCLOCK_TSC_STABLE_BIT;

/// Starts the clock.
///
/// # Errors
///
/// `ENODEV` if the host does not know its counter's frequency.
pub(crate) fn start() -> Result {
    let frequency = Frequency::from_khz(clock::tsc_khz()).ok_or(ENODEV)?;
    let fraction = frequency.fraction();
    MUL.store(fraction.mul, Ordering::Relaxed);
    SHIFT.store(fraction.shift, Ordering::Relaxed);
    KHZ.store(frequency.khz(), Ordering::Relaxed);
    let invariant = msr::cpuid(0x8000_0000, 0)[0] >= 0x8000_0007
        && msr::cpuid(0x8000_0007, 0)[3] & INVARIANT_TSC != 0;
    RELIABLE.store(invariant, Ordering::Relaxed);
    START.store(ticks(), Ordering::Release);
    Ok(())
}

/// The machine goes to sleep. Called on the last processor that runs, with interrupts off.
pub(crate) fn suspend() {
    COUNTER.suspend(msr::rdtsc());
}

/// It is awake: called as [`suspend`], before anything else.
pub(crate) fn resume() {
    COUNTER.resume(msr::rdtsc());
}

/// The time stamp counter as if it never started over. Domains' counters are ahead of this one.
#[inline]
pub(crate) fn ticks() -> u64 {
    COUNTER.at(msr::rdtsc())
}

/// Ticks that it is ahead of the processors' own. They change when the machine wakes.
#[inline]
pub(crate) fn lost_ticks() -> u64 {
    COUNTER.lost()
}

/// Whether guests may trust the counter.
pub(crate) fn is_reliable() -> bool {
    RELIABLE.load(Ordering::Relaxed)
}

/// The counter's frequency in kHz.
pub(crate) fn khz() -> u32 {
    KHZ.load(Ordering::Relaxed)
}

#[inline]
fn fraction() -> Fraction {
    Fraction {
        mul: MUL.load(Ordering::Relaxed),
        shift: SHIFT.load(Ordering::Relaxed),
    }
}

/// Nanoseconds that `ticks` of the counter take.
#[inline]
pub(crate) fn ticks_to_ns(ticks: u64) -> u64 {
    fraction().scale(ticks)
}

/// The time now.
#[inline]
pub(crate) fn now_ns() -> u64 {
    let since = ticks().wrapping_sub(START.load(Ordering::Relaxed));
    // Another processor's counter may be a little behind the one that the module started on.
    // CAST: A signed number, which 2^63 ticks are enough for.
    ticks_to_ns((since as i64).max(0) as u64)
}

/// What a guest needs to tell the time, if its counter is `offset` ahead of [`ticks`].
pub(crate) fn time_info(offset: u64) -> TimeInfo {
    TimeInfo {
        tsc_timestamp: START.load(Ordering::Relaxed).wrapping_add(offset),
        system_time: 0,
        fraction: fraction(),
        flags: if is_reliable() { STABLE } else { 0 },
    }
}

/// The wall clock at system time 0, for a domain that is `offset_sec` ahead of the host.
pub(crate) fn wallclock(offset_sec: i64) -> Wallclock {
    Wallclock::new(clock::wallclock_ns(), now_ns(), offset_sec)
}

/// What Xen's CPUID leaves say about time in a new domain.
pub(crate) fn domain_view() -> DomainView {
    let fraction = fraction();
    DomainView {
        xen_version: XEN_VERSION,
        tsc_reliable: is_reliable(),
        tsc_khz: khz(),
        host_khz: khz(),
        tsc_mul: fraction.mul,
        tsc_shift: fraction.shift,
        // The hypercall is there, but an upcall through the local APIC costs the guest an exit to end it, and the
        // callback vector does not: do not invite guests to it.
        upcall_vector: false,
        ..DomainView::default()
    }
}
