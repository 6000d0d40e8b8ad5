// SPDX-License-Identifier: GPL-2.0-only

//! Tests of the whole APIC: what guests do to it, against a model where one is simple enough.

// Most register writes here are made for what they change in the APIC.
#![allow(unused_must_use)]

use super::ipi::{Dest, Mode};
use super::save::{check_hidden, check_registers};
use super::shared::Event;
use super::timer::tests::At;
use super::*;
use crate::abi::errno::EINVAL;
use crate::abi::hvm::save::{HwLapic, HwLapicRegs};
use proptest::prelude::*;
use std::collections::BTreeSet;

const NOW: At = At(0);
const X2APIC: u64 = 0xfee0_0c00;

fn config(vcpu: u32) -> Config {
    Config {
        apic_id: 2 * vcpu,
        bsp: vcpu == 0,
        x2apic: true,
        tsc_deadline: true,
    }
}

/// A fresh APIC.
fn fresh(vcpu: u32) -> (Lapic, LapicShared) {
    let shared = LapicShared::new();
    let lapic = Lapic::new(config(vcpu), &shared);
    (lapic, shared)
}

/// An APIC in x2APIC mode, enabled by software.
fn x2apic(vcpu: u32) -> (Lapic, LapicShared) {
    let (mut lapic, shared) = fresh(vcpu);
    lapic.write_base(&shared, X2APIC).unwrap();
    wr(&mut lapic, &shared, 0x80f, 0x1ff).unwrap();
    (lapic, shared)
}

/// An APIC in xAPIC mode, enabled by software.
fn xapic(vcpu: u32) -> (Lapic, LapicShared) {
    let (mut lapic, shared) = fresh(vcpu);
    assert_eq!(mm(&mut lapic, &shared, regs::SVR, 0x1ff), Effect::None);
    (lapic, shared)
}

fn wr(lapic: &mut Lapic, shared: &LapicShared, msr: u32, value: u64) -> Result<Effect, Gp> {
    lapic.msr_write(shared, msr, value, &NOW)
}

fn rd(lapic: &Lapic, shared: &LapicShared, msr: u32) -> Result<u64, Gp> {
    lapic.msr_read(shared, msr, &NOW)
}

fn mm(lapic: &mut Lapic, shared: &LapicShared, offset: u32, value: u32) -> Effect {
    lapic.mmio_write(shared, offset, value, &NOW)
}

fn peek(lapic: &Lapic, shared: &LapicShared, offset: u32) -> u32 {
    lapic.mmio_read(shared, offset, 4, &NOW) as u32
}

fn saved(lapic: &mut Lapic, shared: &LapicShared) -> (HwLapic, HwLapicRegs) {
    let mut page = HwLapicRegs { data: [0; 1024] };
    let hidden = lapic.save_hidden(shared, 0);
    lapic.save_registers(shared, &mut page, 0);
    (hidden, page)
}

#[test]
fn starts_as_xen_starts_a_guest() {
    let (lapic, shared) = fresh(0);
    assert_eq!(lapic.base(), 0xfee0_0900);
    assert_eq!(fresh(1).0.base(), 0xfee0_0800);
    assert!(lapic.decodes_page() && !lapic.is_enabled());
    let (lapic3, shared3) = fresh(3);
    assert_eq!(peek(&lapic3, &shared3, regs::ID), 6 << 24);
    assert_eq!(peek(&lapic, &shared, regs::LVR), 0x0005_0014);
    assert_eq!(peek(&lapic, &shared, regs::SVR), 0xff);
    assert_eq!(peek(&lapic, &shared, regs::DFR), u32::MAX);
    for lvt in (regs::LVT_TIMER..=regs::LVT_ERROR).step_by(16) {
        assert_eq!(peek(&lapic, &shared, lvt), regs::LVT_MASKED);
    }
    assert_eq!(rd(&lapic, &shared, 0x802), Err(Gp));
}

#[test]
fn base_transitions() {
    const OFF: u64 = 0xfee0_0000;
    const ON: u64 = 0xfee0_0800;
    const BAD: u64 = 0xfee0_0400;
    for (from, to, legal) in [
        (ON, ON, true),
        (ON, OFF, true),
        (ON, X2APIC, true),
        (X2APIC, X2APIC, true),
        (X2APIC, OFF, true),
        (X2APIC, ON, false),
        (OFF, OFF, true),
        (OFF, ON, true),
        (OFF, X2APIC, false),
        (ON, BAD, false),
        (OFF, BAD, false),
        (X2APIC, BAD, false),
        (ON, ON | 1 << 32, false),
        (ON, ON + 0x1000, false),
        (ON, ON | 1, false),
        (ON, ON | 1 << 9, false),
    ] {
        let (mut lapic, shared) = fresh(1);
        lapic.write_base(&shared, from).unwrap();
        let was = lapic.base();
        assert_eq!(
            lapic.write_base(&shared, to).is_ok(),
            legal,
            "{from:x} {to:x}"
        );
        assert_eq!(lapic.base(), if legal { to } else { was });
        assert_eq!(shared.identity().x2apic, lapic.is_x2apic());
        assert_eq!(shared.identity().hw_enabled, lapic.is_on());
    }
    let (mut lapic, shared) = fresh(0);
    lapic.set_policy(false, false);
    assert_eq!(lapic.write_base(&shared, X2APIC), Err(Gp));
    lapic.write_base(&shared, ON).unwrap();
    assert_eq!(lapic.base(), ON | 1 << 8, "the bootstrap bit stays");
}

#[test]
fn turning_off_resets() {
    let (mut lapic, shared) = x2apic(0);
    wr(&mut lapic, &shared, 0x832, 0x2_0040).unwrap();
    wr(&mut lapic, &shared, 0x838, 1_000_000).unwrap();
    assert!(lapic.timer_deadline().is_some());
    shared.post(0x40, false);
    assert_eq!(lapic.write_base(&shared, 0xfee0_0000), Ok(Effect::Timer));
    assert_eq!(lapic.timer_deadline(), None);
    assert!(!shared.is_pending());
    assert!(!shared.post(0x41, false), "off drops interrupts");
    lapic.write_base(&shared, 0xfee0_0800).unwrap();
    assert_eq!(peek(&lapic, &shared, regs::SVR), 0xff);
    assert_eq!(lapic.deliverable(&shared), None);
}

/// Which MSRs exist, and how they take all ones: from the manuals' tables.
#[test]
fn x2apic_register_table() {
    let readable = |msr: u32| {
        matches!(
            msr,
            0x802 | 0x803 | 0x808 | 0x80a | 0x80d | 0x80f | 0x828 | 0x830 | 0x832..=0x839 | 0x83e
        ) || (0x810..=0x827).contains(&msr)
    };
    let writable = |msr: u32| {
        matches!(
            msr,
            0x808 | 0x80b | 0x80f | 0x828 | 0x830 | 0x832..=0x838 | 0x83e | 0x83f
        )
    };
    for msr in 0x7f0..0x910 {
        let (mut lapic, shared) = x2apic(1);
        assert_eq!(
            rd(&lapic, &shared, msr).is_ok(),
            readable(msr),
            "rd {msr:x}"
        );
        // LVTs and SIVR take 0; the others that exist take it too.
        assert_eq!(
            wr(&mut lapic, &shared, msr, 0).is_ok(),
            writable(msr),
            "wr {msr:x}"
        );
        let low = wr(&mut lapic, &shared, msr, 0xffff_ffff);
        assert_eq!(low.is_ok(), msr == 0x838, "ones {msr:x}");
        let high = wr(&mut lapic, &shared, msr, 1 << 32);
        assert_eq!(high.is_ok(), msr == 0x830, "high {msr:x}");
    }
}

#[test]
fn x2apic_reserved_bits() {
    for (msr, defined) in [
        (0x808, 0xff),
        (0x80b, 0),
        (0x80f, 0x1ff),
        (0x828, 0),
        (0x830, 0xffff_ffff_000c_cfff_u64),
        (0x832, 0x7_10ff),
        (0x833, 0x1_17ff),
        (0x834, 0x1_17ff),
        (0x835, 0x1_f7ff),
        (0x836, 0x1_f7ff),
        (0x837, 0x1_10ff),
        (0x838, 0xffff_ffff),
        (0x83e, 0xb),
        (0x83f, 0xff),
    ] {
        for bit in 0..64 {
            let (mut lapic, shared) = x2apic(1);
            let ok = wr(&mut lapic, &shared, msr, 1 << bit).is_ok();
            assert_eq!(ok, defined & 1 << bit != 0, "{msr:x} bit {bit}");
        }
    }
    let (mut lapic, shared) = x2apic(1);
    lapic.set_policy(true, false);
    assert_eq!(wr(&mut lapic, &shared, 0x832, 1 << 18), Err(Gp));
    assert_eq!(lapic.read_tsc_deadline(), Err(Gp));
    assert_eq!(lapic.write_tsc_deadline(&shared, 1, &NOW), Err(Gp));
}

#[test]
fn x2apic_identity() {
    let (lapic, shared) = x2apic(100);
    assert_eq!(rd(&lapic, &shared, 0x802), Ok(200));
    assert_eq!(rd(&lapic, &shared, 0x80d), Ok(0xc_0100));
    assert_eq!(lapic.mmio_read(&shared, regs::ID, 4, &NOW), 200);
}

#[test]
fn mmio_ignores_what_is_not_there() {
    let (mut lapic, shared) = xapic(2);
    for offset in (0..0x1000).step_by(4) {
        if offset % 16 != 0 {
            assert_eq!(mm(&mut lapic, &shared, offset, u32::MAX), Effect::None);
            assert_eq!(peek(&lapic, &shared, offset), 0);
        }
    }
    for read_only in [
        regs::ID,
        regs::LVR,
        regs::PPR,
        regs::TMCCT,
        regs::ISR,
        regs::IRR,
    ] {
        let was = peek(&lapic, &shared, read_only);
        assert_eq!(
            mm(&mut lapic, &shared, read_only, 0x5a5a_5a5a),
            Effect::None
        );
        assert_eq!(peek(&lapic, &shared, read_only), was);
    }
    for none in [0x2f0, 0x3f0, regs::APR, 0xc0, regs::EOI, 0x400, 0x1020] {
        assert_eq!(peek(&lapic, &shared, none), 0);
    }
    assert_eq!(lapic.mmio_read(&shared, regs::ID + 3, 1, &NOW), 4);
    assert_eq!(lapic.mmio_read(&shared, regs::LVR + 2, 2, &NOW), 5);
    assert_eq!(lapic.mmio_read(&shared, regs::LVR, 8, &NOW), 0);
    assert_eq!(lapic.mmio_read(&shared, regs::LVR + 2, 4, &NOW), 0);
    mm_masks(&mut lapic, &shared);
}

fn mm_masks(lapic: &mut Lapic, shared: &LapicShared) {
    for (offset, keeps) in [
        (regs::TPR, 0xff),
        (regs::LDR, 0xff00_0000),
        (regs::DFR, 0xffff_ffff),
        (regs::ICR_HIGH, 0xff00_0000),
        (regs::LVT_TIMER, 0x7_00ff),
        (regs::LVT_THERMAL, 0x1_07ff),
        (regs::LVT_PERF, 0x1_07ff),
        (regs::LVT_LINT0, 0x1_a7ff),
        (regs::LVT_LINT1, 0x1_a7ff),
        (regs::LVT_ERROR, 0x1_00ff),
        (regs::TDCR, 0xb),
        (regs::SVR, 0x3ff),
    ] {
        let _ = mm(lapic, shared, offset, u32::MAX);
        assert_eq!(peek(lapic, shared, offset), keeps, "{offset:x}");
    }
    let _ = mm(lapic, shared, regs::DFR, 0);
    assert_eq!(peek(lapic, shared, regs::DFR), 0x0fff_ffff);
}

#[test]
fn software_disable_masks_and_holds() {
    let (mut lapic, shared) = xapic(0);
    let _ = mm(&mut lapic, &shared, regs::LVT_LINT0, 0x700);
    shared.post(0x50, false);
    assert_eq!(mm(&mut lapic, &shared, regs::SVR, 0xff), Effect::Timer);
    assert_eq!(peek(&lapic, &shared, regs::LVT_LINT0), 0x1_0700);
    assert_eq!(lapic.deliverable(&shared), None);
    assert!(!shared.post(0x51, false));
    let _ = mm(&mut lapic, &shared, regs::LVT_LINT0, 0x700);
    assert_eq!(peek(&lapic, &shared, regs::LVT_LINT0), 0x1_0700);
    let _ = mm(&mut lapic, &shared, regs::SVR, 0x1ff);
    assert_eq!(lapic.deliverable(&shared), Some(0x50), "held meanwhile");
}

#[test]
fn interrupts_nest_by_class() {
    let (mut lapic, shared) = x2apic(0);
    let take = |lapic: &mut Lapic| {
        let vector = lapic.deliverable(&shared);
        if let Some(vector) = vector {
            assert!(lapic.accept(&shared, vector));
        }
        vector
    };
    shared.post(0x31, false);
    assert_eq!(take(&mut lapic), Some(0x31));
    shared.post(0x3f, false);
    assert_eq!(take(&mut lapic), None, "the same class waits");
    shared.post(0x41, true);
    assert_eq!(take(&mut lapic), Some(0x41));
    assert_eq!(lapic.ppr(), 0x40);
    let eoi = |lapic: &mut Lapic| wr(lapic, &shared, 0x80b, 0);
    let done = |vector, level| Ok(Effect::Eoi(Finished { vector, level }));
    assert_eq!(eoi(&mut lapic), done(0x41, true));
    assert_eq!(take(&mut lapic), None);
    assert_eq!(eoi(&mut lapic), done(0x31, false));
    assert_eq!(take(&mut lapic), Some(0x3f));
    assert_eq!(eoi(&mut lapic), done(0x3f, false));
    assert_eq!(eoi(&mut lapic), Ok(Effect::None), "nothing in service");
    assert_eq!(lapic.ppr(), 0);
    assert!(!lapic.accept(&shared, 0x3f), "not requested");
}

#[test]
fn a_vector_can_be_requested_while_in_service() {
    let (mut lapic, shared) = x2apic(0);
    shared.post(0xf3, false);
    assert!(lapic.accept(&shared, 0xf3));
    assert!(shared.post(0xf3, false));
    assert_eq!(lapic.deliverable(&shared), None);
    let _ = lapic.eoi(&shared);
    assert_eq!(lapic.deliverable(&shared), Some(0xf3));
}

#[test]
fn cr8_is_the_class_of_tpr() {
    let (mut lapic, shared) = x2apic(0);
    wr(&mut lapic, &shared, 0x808, 0x5c).unwrap();
    assert_eq!((lapic.cr8(), lapic.ppr()), (5, 0x5c));
    shared.post(0x5f, false);
    assert_eq!(lapic.deliverable(&shared), None);
    assert_eq!(lapic.highest_request(&shared), Some(0x5f));
    lapic.set_cr8(4);
    assert_eq!(
        (lapic.tpr(), lapic.deliverable(&shared)),
        (0x40, Some(0x5f))
    );
}

#[test]
fn self_ipis_are_posted_at_once() {
    let (mut lapic, shared) = x2apic(0);
    assert_eq!(wr(&mut lapic, &shared, 0x83f, 0xf6), Ok(Effect::None));
    assert_eq!(wr(&mut lapic, &shared, 0x830, 0x4_00f7), Ok(Effect::None));
    assert_eq!(lapic.deliverable(&shared), Some(0xf7));
    assert_eq!(rd(&lapic, &shared, 0x830), Ok(0x4_00f7));
    assert_eq!(rd(&lapic, &shared, 0x826), Ok(0));
    assert_eq!(rd(&lapic, &shared, 0x827), Ok(0x00c0_0000));
}

#[test]
fn illegal_vectors_are_errors() {
    let (mut lapic, shared) = x2apic(0);
    wr(&mut lapic, &shared, 0x837, 0xfe).unwrap();
    assert_eq!(
        wr(&mut lapic, &shared, 0x830, 0xf | 2 << 32),
        Ok(Effect::None)
    );
    assert_eq!(wr(&mut lapic, &shared, 0x83f, 3), Ok(Effect::None));
    assert_eq!(rd(&lapic, &shared, 0x828), Ok(0), "not before a write");
    wr(&mut lapic, &shared, 0x828, 0).unwrap();
    assert_eq!(rd(&lapic, &shared, 0x828), Ok(0x20));
    assert_eq!(lapic.deliverable(&shared), Some(0xfe));
    wr(&mut lapic, &shared, 0x828, 0).unwrap();
    assert_eq!(rd(&lapic, &shared, 0x828), Ok(0));
    // XSA-462 through the guest's own registers: the error vector is itself illegal.
    assert!(lapic.accept(&shared, 0xfe));
    wr(&mut lapic, &shared, 0x837, 0x0e).unwrap();
    assert_eq!(wr(&mut lapic, &shared, 0x830, 1), Ok(Effect::None));
    wr(&mut lapic, &shared, 0x828, 0).unwrap();
    assert_eq!(rd(&lapic, &shared, 0x828), Ok(0x60));
    assert!(!shared.is_pending());
    // A timer with an illegal vector.
    wr(&mut lapic, &shared, 0x832, 2).unwrap();
    wr(&mut lapic, &shared, 0x838, 1).unwrap();
    assert!(!lapic.timer_expired(&shared, 1_000_000));
    wr(&mut lapic, &shared, 0x828, 0).unwrap();
    assert_eq!(rd(&lapic, &shared, 0x828), Ok(0x40));
}

#[test]
fn xapic_commands_carry_the_address() {
    let (mut lapic, shared) = xapic(0);
    let _ = mm(&mut lapic, &shared, regs::ICR_HIGH, 0x0200_0000);
    assert_eq!(
        mm(&mut lapic, &shared, regs::ICR, 0x0000_00fc),
        Effect::Ipi(Ipi {
            mode: Mode::Fixed(0xfc),
            dest: Dest::Physical(2)
        })
    );
    assert_eq!(peek(&lapic, &shared, regs::ICR), 0xfc, "idle at once");
    let _ = mm(&mut lapic, &shared, regs::ICR, u32::MAX);
    assert_eq!(peek(&lapic, &shared, regs::ICR), regs::ICR_LOW_MASK);
    assert_eq!(lapic.mmio_read(&shared, 0x300, 4, &NOW) >> 12 & 1, 0);
}

#[test]
fn xapic_logical_id_is_published() {
    let (mut lapic, shared) = xapic(0);
    let _ = mm(&mut lapic, &shared, regs::LDR, 0x0400_0000);
    assert_eq!(shared.identity().logical_id, 4);
    assert_eq!(shared.identity().model, 0xf);
    let _ = mm(&mut lapic, &shared, regs::DFR, 0x0fff_ffff);
    assert_eq!(shared.identity().model, 0);
}

#[test]
fn timer_through_registers() {
    let (mut lapic, shared) = x2apic(0);
    wr(&mut lapic, &shared, 0x83e, 0xb).unwrap();
    wr(&mut lapic, &shared, 0x832, 0x2_00ec).unwrap();
    assert_eq!(wr(&mut lapic, &shared, 0x838, 100_000), Ok(Effect::Timer));
    assert_eq!(lapic.timer_deadline(), Some(1_000_000));
    assert_eq!(lapic.msr_read(&shared, 0x839, &At(250_000)), Ok(75_000));
    assert!(!lapic.timer_expired(&shared, 999_999));
    assert!(lapic.timer_expired(&shared, 1_000_000));
    assert_eq!(lapic.deliverable(&shared), Some(0xec));
    assert_eq!(lapic.timer_deadline(), Some(2_000_000));
    // Masked by the guest exactly when it is due, before the host's timer ran: not lost.
    assert!(lapic.accept(&shared, 0xec));
    let mask = lapic.msr_write(&shared, 0x832, 0x3_00ec, &At(2_000_000));
    assert_eq!(mask, Ok(Effect::Timer));
    assert_eq!(shared.irr_register(7), 1 << 12);
    assert_eq!(lapic.timer_deadline(), None);
}

#[test]
fn tsc_deadline_through_registers() {
    let (mut lapic, shared) = x2apic(0);
    assert_eq!(
        lapic.write_tsc_deadline(&shared, 3_000, &NOW),
        Ok(Effect::Timer)
    );
    assert_eq!(lapic.read_tsc_deadline(), Ok(0), "not in deadline mode");
    wr(&mut lapic, &shared, 0x832, 0x4_00ec).unwrap();
    lapic.write_tsc_deadline(&shared, 3_000, &NOW).unwrap();
    assert_eq!(lapic.read_tsc_deadline(), Ok(3_000));
    let at = lapic.timer_deadline().unwrap();
    assert!((1000..=1001).contains(&at));
    assert!(lapic.timer_expired(&shared, at));
    assert_eq!(lapic.read_tsc_deadline(), Ok(0));
    assert_eq!(lapic.deliverable(&shared), Some(0xec));
    lapic.write_tsc_deadline(&shared, 30_000, &NOW).unwrap();
    lapic.tsc_changed(&At(5_000));
    assert!((10_000..=10_001).contains(&lapic.timer_deadline().unwrap()));
}

#[test]
fn init_resets_all_but_base() {
    let (mut lapic, shared) = x2apic(1);
    shared.post(0x40, false);
    assert!(lapic.accept(&shared, 0x40));
    shared.post(0x50, true);
    wr(&mut lapic, &shared, 0x808, 0x20).unwrap();
    assert!(shared.post_init());
    assert_eq!(shared.take_event(), Some(Event::Init));
    lapic.init(&shared);
    assert!(lapic.is_x2apic());
    assert_eq!(lapic.ppr(), 0);
    assert!(!shared.is_pending());
    assert_eq!(rd(&lapic, &shared, 0x80f), Ok(0xff));
    assert_eq!(shared.tmr_register(2), 0);
    assert!(!shared.identity().sw_enabled);
    lapic.reset(&shared);
    assert_eq!(lapic.base(), 0xfee0_0800);
}

/// Two processors as Linux brings the second up, through registers only.
#[test]
fn linux_smp_bring_up() {
    let (mut boot, boot_shared) = x2apic(0);
    let (mut ap, ap_shared) = fresh(1);
    ap_shared.set_wait_for_startup(true);
    let mut icr = |value: u64| match wr(&mut boot, &boot_shared, 0x830, value).unwrap() {
        Effect::Ipi(ipi) if ipi.dest.matches(&boot_shared, &ap_shared) => ipi.deliver(&ap_shared),
        Effect::Ipi(_) | Effect::None => false,
        other => panic!("{other:?}"),
    };
    // The AP is still in xAPIC mode with ID 2; INIT assert, de-assert, start-up twice.
    assert!(icr(2 << 32 | 0xc500));
    assert!(!icr(2 << 32 | 0x8500));
    assert_eq!(ap_shared.take_event(), Some(Event::Init));
    ap.init(&ap_shared);
    assert!(ap_shared.waits_for_startup());
    assert!(icr(2 << 32 | 0x0698));
    assert_eq!(ap_shared.take_event(), Some(Event::Startup(0x98)));
    assert!(!icr(2 << 32 | 0x0698));
    assert_eq!(ap_shared.take_event(), None);
    // It enables its APIC and goes to x2APIC mode; a reschedule interrupt reaches it.
    ap.write_base(&ap_shared, X2APIC).unwrap();
    wr(&mut ap, &ap_shared, 0x80f, 0x1ff).unwrap();
    assert!(icr(2 << 32 | 0xfd));
    assert_eq!(ap.deliverable(&ap_shared), Some(0xfd));
}

#[test]
fn saved_and_loaded_is_the_same() {
    let (mut lapic, shared) = x2apic(1);
    wr(&mut lapic, &shared, 0x808, 0x10).unwrap();
    wr(&mut lapic, &shared, 0x837, 0xfe).unwrap();
    wr(&mut lapic, &shared, 0x83e, 0xb).unwrap();
    wr(&mut lapic, &shared, 0x832, 0x2_00ec).unwrap();
    wr(&mut lapic, &shared, 0x838, 100_000).unwrap();
    wr(&mut lapic, &shared, 0x830, 7 << 32 | 0xfd).unwrap();
    wr(&mut lapic, &shared, 0x830, 0x1).unwrap();
    shared.post(0x40, true);
    shared.post(0x41, false);
    assert!(lapic.accept(&shared, 0x41));
    let mut page = HwLapicRegs { data: [0; 1024] };
    let hidden = lapic.save_hidden(&shared, 400_000);
    lapic.save_registers(&shared, &mut page, 400_000);
    assert_eq!(hidden.apic_base_msr, X2APIC);
    assert_eq!((hidden.disabled, hidden.timer_divisor), (0, 1));
    assert_eq!(hidden.pending_esr, 0x20);

    for regs_first in [false, true] {
        let (mut copy, copy_shared) = fresh(1);
        let later = At(7_000_000);
        if regs_first {
            copy.load_registers(&copy_shared, &page, &later).unwrap();
        }
        copy.load_hidden(&copy_shared, &hidden, &later).unwrap();
        if !regs_first {
            copy.load_registers(&copy_shared, &page, &later).unwrap();
        }
        let mut again = HwLapicRegs { data: [1; 1024] };
        assert_eq!(copy.save_hidden(&copy_shared, 7_000_000), hidden);
        copy.save_registers(&copy_shared, &mut again, 7_000_000);
        assert!(again == page);
        assert_eq!(copy.timer_deadline(), Some(7_600_000));
        assert_eq!(copy.deliverable(&copy_shared), Some(0xfe));
        assert!(copy_shared.is_level(0x40));
        assert_eq!(copy_shared.identity(), shared.identity());
    }
}

#[test]
fn tsc_deadline_survives_either_order() {
    let (mut lapic, shared) = x2apic(0);
    wr(&mut lapic, &shared, 0x832, 0x4_00ec).unwrap();
    lapic.write_tsc_deadline(&shared, 9_000_000, &NOW).unwrap();
    let (hidden, page) = saved(&mut lapic, &shared);
    for regs_first in [false, true] {
        let (mut copy, copy_shared) = fresh(0);
        if regs_first {
            copy.load_registers(&copy_shared, &page, &NOW).unwrap();
        }
        copy.load_hidden(&copy_shared, &hidden, &NOW).unwrap();
        if !regs_first {
            copy.load_registers(&copy_shared, &page, &NOW).unwrap();
        }
        assert_eq!(copy.read_tsc_deadline(), Ok(9_000_000));
        assert_eq!(copy.timer_deadline(), Some(3_000_001));
    }
}

#[test]
fn loading_refuses_nonsense() {
    let (mut lapic, shared) = x2apic(1);
    let (good, page) = saved(&mut lapic, &shared);
    type Damage = fn(&mut HwLapic);
    let damages: [Damage; 7] = [
        |r| r.apic_base_msr = 0xfee0_0400,
        |r| r.apic_base_msr = 0xfec0_0800,
        |r| r.apic_base_msr |= 1 << 52,
        |r| r.disabled = 4,
        |r| r.timer_divisor = 3,
        |r| r.timer_divisor = 256,
        |r| r.pending_esr = 0x100,
    ];
    for damage in damages {
        let mut record = good;
        damage(&mut record);
        assert_eq!(check_hidden(&record, true), Err(EINVAL));
        assert_eq!(lapic.load_hidden(&shared, &record, &NOW), Err(EINVAL));
        assert_eq!(lapic.base(), X2APIC);
    }
    assert_eq!(check_hidden(&good, true), Ok(()));
    assert_eq!(check_hidden(&good, false), Err(EINVAL));
    assert_eq!(check_registers(&page), Ok(()));
    lapic.set_policy(false, false);
    assert_eq!(lapic.load_hidden(&shared, &good, &NOW), Err(EINVAL));
    lapic.set_policy(true, true);
    let mut bsp = good;
    bsp.apic_base_msr |= 1 << 8;
    lapic.load_hidden(&shared, &bsp, &NOW).unwrap();
    assert_eq!(
        lapic.base(),
        X2APIC,
        "a record makes no bootstrap processor"
    );
    for offset in [0x100, 0x181, 0x200] {
        let mut bad = page;
        bad.data[offset] = 0x80;
        assert_eq!(check_registers(&bad), Err(EINVAL));
        assert_eq!(lapic.load_registers(&shared, &bad, &NOW), Err(EINVAL));
    }
}

#[derive(Clone, Debug)]
enum Op {
    Post(u8, bool),
    Take,
    Eoi,
    Tpr(u8),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => (16u8.., any::<bool>()).prop_map(|(v, l)| Op::Post(v, l)),
        4 => Just(Op::Take),
        2 => Just(Op::Eoi),
        1 => any::<u8>().prop_map(Op::Tpr),
    ];
    proptest::collection::vec(op, 0..200)
}

/// PPR straight from the manual's table, over sets.
fn reference_ppr(tpr: u8, in_service: &BTreeSet<u8>) -> u8 {
    let isrv = in_service.last().copied().unwrap_or(0);
    if tpr >> 4 >= isrv >> 4 {
        tpr
    } else {
        isrv / 16 * 16
    }
}

proptest! {
    /// Priorities, acceptance and EOI against sets.
    #[test]
    fn priorities_match_a_reference(ops in ops()) {
        let (mut lapic, shared) = x2apic(0);
        let (mut irr, mut isr) = (BTreeSet::new(), BTreeSet::new());
        let mut tpr = 0;
        for op in ops {
            let ppr = reference_ppr(tpr, &isr);
            prop_assert_eq!(lapic.ppr(), ppr);
            let best = irr.last().copied().filter(|v: &u8| v / 16 > ppr / 16);
            prop_assert_eq!(lapic.deliverable(&shared), best);
            match op {
                Op::Post(vector, level) => {
                    prop_assert_eq!(shared.post(vector, level), irr.insert(vector));
                }
                Op::Take => {
                    if let Some(vector) = best {
                        prop_assert!(lapic.accept(&shared, vector));
                        irr.remove(&vector);
                        isr.insert(vector);
                    }
                }
                Op::Eoi => {
                    let done = lapic.eoi(&shared).map(|f| f.vector);
                    prop_assert_eq!(done, isr.pop_last());
                }
                Op::Tpr(value) => {
                    wr(&mut lapic, &shared, 0x808, value.into()).unwrap();
                    tpr = value;
                }
            }
            for n in 0..8u32 {
                let word = |set: &BTreeSet<u8>| {
                    set.iter()
                        .filter(|v| u32::from(**v) / 32 == n)
                        .fold(0u64, |word, v| word | 1 << (v % 32))
                };
                prop_assert_eq!(rd(&lapic, &shared, 0x810 + n), Ok(word(&isr)));
                prop_assert_eq!(rd(&lapic, &shared, 0x820 + n), Ok(word(&irr)));
            }
        }
    }

    /// Any writes at all, through either door: nothing panics, and only a legal state can result.
    #[test]
    fn survives_any_guest(
        writes in proptest::collection::vec(
            (0u32..0x48, any::<u64>(), 0u8..5, any::<bool>(), 0u64..1 << 40), 0..150),
    ) {
        let (mut lapic, shared) = x2apic(1);
        let mut now = 0u64;
        for (register, value, kind, small, wait) in writes {
            now += wait;
            let clock = At(now);
            let value = if small { value & 0x7_00ff } else { value };
            match kind {
                0 => { let _ = lapic.write_base(&shared, 0xfee0_0000 | value & 0xf00); }
                1 => { let _ = lapic.write_tsc_deadline(&shared, value, &clock); }
                2 if lapic.decodes_page() => {
                    let _ = lapic.mmio_write(&shared, register << 4, value as u32, &clock);
                }
                _ => { let _ = lapic.msr_write(&shared, 0x800 + register, value, &clock); }
            }
            lapic.timer_expired(&shared, now);
            if let Some(vector) = lapic.deliverable(&shared) {
                prop_assert!(vector >= 16 && lapic.is_enabled());
                prop_assert!(lapic.accept(&shared, vector));
            }
            if let Some(at) = lapic.timer_deadline() {
                prop_assert!(at >= now, "nothing due is left");
            }
            let (hidden, page) = {
                let mut page = HwLapicRegs { data: [0; 1024] };
                let hidden = lapic.save_hidden(&shared, now);
                lapic.save_registers(&shared, &mut page, now);
                (hidden, page)
            };
            let (mut copy, copy_shared) = fresh(1);
            prop_assert!(copy.load_hidden(&copy_shared, &hidden, &clock).is_ok());
            prop_assert!(copy.load_registers(&copy_shared, &page, &clock).is_ok());
        }
    }

    /// Any records at all: refused or loaded into a state that the guest's accesses keep sound.
    #[test]
    fn survives_any_record(
        base in prop_oneof![any::<u64>(), (0u64..16).prop_map(|b| 0xfee0_0000 | b << 8)],
        disabled in 0u32..5,
        timer_divisor in prop_oneof![any::<u32>(), Just(0), Just(2), Just(128)],
        tdt_msr: u64,
        pending_esr in prop_oneof![any::<u32>(), 0u32..256],
        mut data in proptest::collection::vec(any::<u8>(), 1024),
        clean: bool,
    ) {
        if clean {
            for at in [0x100, 0x101, 0x180, 0x181, 0x200, 0x201] {
                data[at] = 0;
            }
        }
        let record = HwLapic {
            apic_base_msr: base, disabled, timer_divisor, tdt_msr, pending_esr, _pad: 0,
        };
        let mut page = HwLapicRegs { data: [0; 1024] };
        page.data.copy_from_slice(&data);
        let (mut lapic, shared) = fresh(1);
        let _ = lapic.load_hidden(&shared, &record, &NOW);
        let loaded = lapic.load_registers(&shared, &page, &NOW);
        prop_assert!(loaded.is_ok() || !clean);
        for _ in 0..600 {
            let next = lapic.deliverable(&shared);
            match next {
                Some(vector) => {
                    prop_assert!(vector >= 16);
                    prop_assert!(lapic.accept(&shared, vector));
                }
                None => {
                    if lapic.eoi(&shared).is_none() {
                        break;
                    }
                }
            }
        }
        prop_assert_eq!(lapic.isr.highest(), None);
        let _ = lapic.timer_expired(&shared, u64::MAX / 2);
    }
}
