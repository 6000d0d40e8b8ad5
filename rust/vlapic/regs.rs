// SPDX-License-Identifier: GPL-2.0-only

//! Names and bits of the local APIC's registers.
//!
//! Offsets are in bytes from the start of the xAPIC page; the x2APIC register of the same name is
//! MSR `0x800 + (offset >> 4)`. Source: AMD APM volume 2 chapter 16, Intel SDM volume 3 chapter 11.

/// Physical address of the xAPIC register page. It cannot be moved, see [`super::base`].
pub(crate) const XAPIC_BASE: u64 = 0xfee0_0000;

/// First x2APIC MSR.
pub(crate) const X2APIC_MSR_FIRST: u32 = 0x800;
/// Last MSR of the range reserved for the x2APIC.
pub(crate) const X2APIC_MSR_LAST: u32 = 0x8ff;

/// Local APIC ID.
pub(crate) const ID: u32 = 0x20;
/// Version.
pub(crate) const LVR: u32 = 0x30;
/// Task priority.
pub(crate) const TPR: u32 = 0x80;
/// Arbitration priority; xAPIC only, reads 0 as on every processor since the P6.
#[cfg(test)]
pub(crate) const APR: u32 = 0x90;
/// Processor priority, read-only.
pub(crate) const PPR: u32 = 0xa0;
/// End of interrupt, write-only.
pub(crate) const EOI: u32 = 0xb0;
/// Logical destination; read-only in x2APIC mode.
pub(crate) const LDR: u32 = 0xd0;
/// Destination format; xAPIC only.
pub(crate) const DFR: u32 = 0xe0;
/// Spurious vector and software enable.
pub(crate) const SVR: u32 = 0xf0;
/// First of eight in-service registers.
pub(crate) const ISR: u32 = 0x100;
/// First of eight trigger mode registers.
pub(crate) const TMR: u32 = 0x180;
/// First of eight interrupt request registers.
pub(crate) const IRR: u32 = 0x200;
/// Error status.
pub(crate) const ESR: u32 = 0x280;
/// Interrupt command, low half; in x2APIC mode the whole 64-bit register.
pub(crate) const ICR: u32 = 0x300;
/// Interrupt command, high half; xAPIC only.
pub(crate) const ICR_HIGH: u32 = 0x310;
/// Local vector: timer.
pub(crate) const LVT_TIMER: u32 = 0x320;
/// Local vector: thermal sensor.
pub(crate) const LVT_THERMAL: u32 = 0x330;
/// Local vector: performance counters.
pub(crate) const LVT_PERF: u32 = 0x340;
/// Local vector: pin LINT0.
pub(crate) const LVT_LINT0: u32 = 0x350;
/// Local vector: pin LINT1.
pub(crate) const LVT_LINT1: u32 = 0x360;
/// Local vector: error.
pub(crate) const LVT_ERROR: u32 = 0x370;
/// Timer initial count.
pub(crate) const TMICT: u32 = 0x380;
/// Timer current count, read-only.
pub(crate) const TMCCT: u32 = 0x390;
/// Timer divide configuration.
pub(crate) const TDCR: u32 = 0x3e0;
/// Self IPI; x2APIC only, write-only.
pub(crate) const SELF_IPI: u32 = 0x3f0;

/// What [`LVR`] reads: version 0x14, six local vectors, no directed EOI. The value Xen shows.
pub(crate) const LVR_VALUE: u32 = 0x0005_0014;

/// [`SVR`]: the APIC is enabled by software.
pub(crate) const SVR_ENABLED: u32 = 1 << 8;
/// [`SVR`]: focus checking; stored in xAPIC mode, without effect.
pub(crate) const SVR_FOCUS: u32 = 1 << 9;
/// [`SVR`]: the spurious vector.
pub(crate) const SVR_VECTOR: u32 = 0xff;
/// [`SVR`] after reset.
pub(crate) const SVR_RESET: u32 = 0xff;

/// [`DFR`]: bits 27:0 read as ones.
pub(crate) const DFR_ONES: u32 = 0x0fff_ffff;
/// [`DFR`]: the model, bits 31:28, that means a flat logical address.
pub(crate) const DFR_MODEL_FLAT: u8 = 0xf;
/// [`DFR`]: the model that means a cluster and a member mask.
pub(crate) const DFR_MODEL_CLUSTER: u8 = 0;

/// Local vector: masked.
pub(crate) const LVT_MASKED: u32 = 1 << 16;
/// Local vector: the vector.
pub(crate) const LVT_VECTOR: u32 = 0xff;
/// Local vector: delivery status, read-only, always idle here.
pub(crate) const LVT_PENDING: u32 = 1 << 12;
/// Local vector of a pin: remote IRR, read-only, always clear here.
pub(crate) const LVT_REMOTE_IRR: u32 = 1 << 14;
/// Local vector of the timer: periodic.
pub(crate) const LVT_TIMER_PERIODIC: u32 = 1 << 17;
/// Local vector of the timer: TSC deadline, when the domain's policy has it.
pub(crate) const LVT_TIMER_TSC_DEADLINE: u32 = 1 << 18;

/// [`ESR`]: the guest asked to send a vector below 16.
pub(crate) const ESR_SEND_ILLEGAL: u32 = 1 << 5;
/// [`ESR`]: a vector below 16 was received, from another processor or from a local source.
pub(crate) const ESR_RECEIVE_ILLEGAL: u32 = 1 << 6;

/// [`ICR`]: the bits a guest may set in the low half: vector, delivery mode, destination mode,
/// level, trigger mode and shorthand.
pub(crate) const ICR_LOW_MASK: u32 = 0x000c_cfff;

/// [`TDCR`]: the bits that exist, 3 and 1:0.
pub(crate) const TDCR_MASK: u32 = 0xb;

/// The lowest vector that an interrupt can have.
pub(crate) const FIRST_VECTOR: u8 = 16;
