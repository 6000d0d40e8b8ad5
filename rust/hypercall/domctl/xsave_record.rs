// SPDX-License-Identifier: GPL-2.0-only

//! The record `CPU_XSAVE` of a saved vCPU, to and from our own form of its extended state.
//!
//! Pure: what a record says is judged by the domain's policy alone. The record is XCR0, all that it ever had, and an
//! XSAVE area in the standard format that is as long as the latter needs.

use zerocopy::{
    FromBytes,
    FromZeros,
    IntoBytes, //
};

use super::cpu_record::clean_mxcsr;
use crate::abi::errno::{
    Result,
    EINVAL,
    EIO,
    EOPNOTSUPP, //
};
use crate::abi::hvm::save::HwCpuXsave;
use crate::hw::state::{
    CpuState,
    ExtendedState,
    XSAVE_HEAD, //
};
use crate::policy::cpuid::CpuPolicy;
use crate::policy::xstate::{
    xcr0_valid,
    SSE,
    X87, //
};
use crate::sys::alloc::{
    KVVec,
    GFP_KERNEL, //
};

/// Bytes of a record before the first component behind x87 and SSE. No record is shorter.
const HEAD: usize = size_of::<HwCpuXsave>();
/// Where the XSAVE area begins in a record.
const AREA: usize = HEAD - XSAVE_HEAD;
/// Parts of the FXSAVE area that are the x87's: control, status and pointers; ST0-ST7.
const X87_PARTS: [core::ops::Range<usize>; 2] = [0..24, 32..160];
/// Likewise the XMM registers.
const XMM_PART: core::ops::Range<usize> = 160..416;
/// Likewise MXCSR; XRSTOR loads it whether or not the SSE component is there.
const MXCSR_PART: core::ops::Range<usize> = 24..28;

/// How long the record of a vCPU is whose XCR0 ever had `accum`.
pub(super) fn length(policy: &CpuPolicy, accum: u64) -> usize {
    AREA.saturating_add(policy.xsave_size(accum) as usize)
}

/// Appends the record of a vCPU's state to `into`.
///
/// # Errors
///
/// `ENOMEM`.
pub(super) fn save(
    state: &CpuState,
    extended: &ExtendedState,
    policy: &CpuPolicy,
    into: &mut KVVec<u8>,
) -> Result {
    let mut head = HwCpuXsave::new_zeroed();
    head.xfeature_mask = policy.xcr0_mask();
    head.xcr0 = state.xcr0;
    head.xcr0_accum = extended.accum;
    head.fpu_sse = state.fxsave;
    head.xstate_bv = (X87 | SSE | extended.present) & extended.accum;
    into.extend_from_slice(head.as_bytes(), GFP_KERNEL)?;
    let rest = length(policy, extended.accum).saturating_sub(HEAD);
    let components = extended.components.get(..rest).ok_or(EINVAL)?;
    Ok(into.extend_from_slice(components, GFP_KERNEL)?)
}

/// Whether such a state can be, as Xen asks it.
fn check(head: &HwCpuXsave, mask: u64) -> Result {
    if head.xstate_bv & !head.xcr0_accum != 0
        || head.xcr0 & !head.xcr0_accum != 0
        || !xcr0_valid(head.xcr0, mask)
        || !xcr0_valid(head.xcr0_accum, mask)
    {
        return Err(EINVAL);
    }
    if head.xcomp_bv != 0 {
        // The compacted format.
        return Err(EOPNOTSUPP);
    }
    if head.reserved != [0; 6] {
        return Err(EIO);
    }
    Ok(())
}

/// Takes a record over. A component that is not in it is in its initial state, but for the SSE registers if XCR0 never
/// had them: they are used without it, and in the record of the other registers.
///
/// # Errors
///
/// `EINVAL` for a state that no processor with this policy can be in, or a record that is too short for its components;
/// `EOPNOTSUPP` for the compacted format, and for more than the components have; `EIO` for a header with unknown parts.
pub(super) fn load(
    record: &[u8],
    policy: &CpuPolicy,
    state: &mut CpuState,
    extended: &mut ExtendedState,
) -> Result {
    let (head, rest) = HwCpuXsave::ref_from_prefix(record).map_err(|_| EINVAL)?;
    check(head, policy.xcr0_mask())?;
    let need = length(policy, head.xcr0_accum).saturating_sub(HEAD);
    // Old versions of Xen wrote more, which was zero.
    if rest.iter().skip(need).any(|byte| *byte != 0) {
        return Err(EOPNOTSUPP);
    }
    let rest = rest.get(..need).ok_or(EINVAL)?;
    if need > extended.components.len() {
        return Err(EOPNOTSUPP);
    }

    let initial = CpuState::reset().fxsave;
    let mut take = |part: core::ops::Range<usize>, present: bool| {
        let from = if present { &head.fpu_sse } else { &initial };
        let to = state.fxsave.get_mut(part.clone()).into_iter().flatten();
        for (to, from) in to.zip(from.get(part).into_iter().flatten()) {
            *to = *from;
        }
    };
    for part in X87_PARTS {
        take(part, head.xstate_bv & X87 != 0);
    }
    if head.xcr0_accum & SSE != 0 {
        take(XMM_PART, head.xstate_bv & SSE != 0);
        take(MXCSR_PART, true);
    }
    clean_mxcsr(&mut state.fxsave);
    state.xcr0 = head.xcr0;
    extended.clear();
    extended.accum = head.xcr0_accum;
    extended.present = head.xstate_bv & !(X87 | SSE);
    for (to, from) in extended.components.iter_mut().zip(rest) {
        *to = *from;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::domctl::cpu_record::tests::policy;

    /// A record of a vCPU that has used AVX.
    fn avx() -> Vec<u8> {
        let mut state = CpuState::reset();
        state.xcr0 = 7;
        for (at, byte) in state.fxsave.iter_mut().enumerate().skip(32) {
            *byte = at as u8;
        }
        let mut extended = ExtendedState::new().unwrap();
        extended.accum = 7;
        extended.present = 4;
        for (at, byte) in extended.components.iter_mut().take(256).enumerate() {
            *byte = at as u8 ^ 0x5a;
        }
        let mut record = KVVec::new();
        save(&state, &extended, &policy(), &mut record).unwrap();
        record.to_vec()
    }

    /// Changes a word of a record.
    fn with(mut record: Vec<u8>, at: usize, value: u64) -> Vec<u8> {
        record[at..at + 8].copy_from_slice(&value.to_le_bytes());
        record
    }

    fn try_load(record: &[u8]) -> Result<(CpuState, ExtendedState)> {
        let mut state = CpuState::reset();
        let mut extended = ExtendedState::new().unwrap();
        // What was there before.
        state.fxsave[32..416].fill(0xee);
        extended.components.fill(0xee);
        load(record, &policy(), &mut state, &mut extended).map(|()| (state, extended))
    }

    const XCR0: usize = 8;
    const ACCUM: usize = 16;
    const XSTATE_BV: usize = AREA + 512;
    const XCOMP_BV: usize = AREA + 520;

    #[test]
    fn what_is_saved_is_loaded() {
        let record = avx();
        assert_eq!(record.len(), 24 + 832);
        assert_eq!(record.len(), length(&policy(), 7));
        let (state, extended) = try_load(&record).unwrap();
        assert_eq!((state.xcr0, extended.accum, extended.present), (7, 7, 4));
        assert!((32..416).all(|at| state.fxsave[at] == at as u8));
        assert!((0..256).all(|at| extended.components[at] == at as u8 ^ 0x5a));
        assert!(extended.components[256..].iter().all(|byte| *byte == 0));
        let mut again = KVVec::new();
        save(&state, &extended, &policy(), &mut again).unwrap();
        // The end of the FXSAVE area is nobody's.
        assert_eq!(again[..AREA + 416], record[..AREA + 416]);
        assert_eq!(again[AREA + 512..], record[AREA + 512..]);
    }

    #[test]
    fn a_component_that_is_not_there_is_in_its_initial_state() {
        let (state, extended) = try_load(&with(avx(), XSTATE_BV, 0)).unwrap();
        let initial = CpuState::reset().fxsave;
        assert_eq!(state.fxsave[..416], initial[..416]);
        assert_eq!(extended.present, 0);
        // Without SSE in XCR0 the record says nothing of its registers.
        let record = with(with(with(avx(), XCR0, 1), ACCUM, 1), XSTATE_BV, 1);
        let (state, extended) = try_load(&record[..HEAD]).unwrap();
        assert_eq!(state.fxsave[160], 0xee);
        assert_eq!(state.fxsave[40], 40);
        assert_eq!((state.xcr0, extended.accum), (1, 1));
    }

    #[test]
    fn refusals() {
        for (what, record, errno) in [
            (
                "component never enabled",
                with(avx(), XSTATE_BV, 0x27),
                EINVAL,
            ),
            ("XCR0 never so", with(avx(), ACCUM, 3), EINVAL),
            ("XCR0 of 0", with(avx(), XCR0, 0), EINVAL),
            ("AVX without SSE", with(avx(), XCR0, 5), EINVAL),
            ("not in the policy", with(avx(), ACCUM, 0xe7), EINVAL),
            ("compacted", with(avx(), XCOMP_BV, 1 << 63 | 7), EOPNOTSUPP),
            ("reserved", with(avx(), XCOMP_BV + 16, 1), EIO),
            ("short", avx()[..831].to_vec(), EINVAL),
            ("shorter than any", avx()[..HEAD - 1].to_vec(), EINVAL),
            ("none", Vec::new(), EINVAL),
            ("longer", [avx(), vec![0, 1]].concat(), EOPNOTSUPP),
        ] {
            assert_eq!(try_load(&record).err(), Some(errno), "{what}");
        }
        assert!(try_load(&[avx(), vec![0; 100]].concat()).is_ok());
    }

    #[test]
    fn mxcsr_cannot_fault_the_host() {
        let (state, _) = try_load(&with(avx(), AREA + 24, u64::MAX)).unwrap();
        assert_eq!(state.fxsave[MXCSR_PART], [0xff, 0xff, 0, 0]);
    }
}
