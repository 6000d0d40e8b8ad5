// SPDX-License-Identifier: GPL-2.0-only

//! How a domain's time stamp counter behaves.

use super::Call;
use crate::abi::cpuid;
use crate::abi::domctl::domain::TscInfo;
use crate::abi::errno::{
    Result,
    EINVAL,
    EOPNOTSUPP, //
};
use crate::domain::clock;
use crate::domain::Domain;
use crate::sys::atomic::Ordering;

/// `XEN_DOMCTL_gettscinfo`.
pub(super) fn get(call: &mut Call<'_>, domain: &Domain) -> Result {
    let view = domain.view();
    let ticks = clock::ticks().wrapping_add(domain.tsc_offset.load(Ordering::Relaxed));
    let native = view.tsc_mode == cpuid::TSC_MODE_NEVER_EMULATE;
    call.answer(&TscInfo {
        tsc_mode: view.tsc_mode,
        gtsc_khz: view.tsc_khz,
        incarnation: view.tsc_incarnation,
        pad: 0,
        // Whoever insists on the native counter does not ask for it to go on elsewhere.
        elapsed_nsec: if native { 0 } else { clock::ticks_to_ns(ticks) },
    })
}

/// `XEN_DOMCTL_settscinfo`: the counter is always the processor's own, at its own rate.
///
/// # Errors
///
/// `EINVAL` for a mode that there is not, `EOPNOTSUPP` for an emulated counter or another rate.
pub(super) fn set(call: &Call<'_>, domain: &Domain) -> Result {
    let ask: TscInfo = call.payload()?;
    let (mode, khz) = (ask.tsc_mode, ask.gtsc_khz);
    let ours = clock::khz();
    match mode {
        cpuid::TSC_MODE_DEFAULT if khz != 0 && khz != ours => {
            return Err(call.refuse(
                EOPNOTSUPP,
                format_args!(
                    "a TSC of {khz} kHz would have to be emulated; the host's is {ours} kHz"
                ),
            ));
        }
        cpuid::TSC_MODE_DEFAULT | cpuid::TSC_MODE_NEVER_EMULATE => {}
        cpuid::TSC_MODE_ALWAYS_EMULATE => {
            return Err(call.refuse(
                EOPNOTSUPP,
                format_args!("the TSC is never emulated: use tsc_mode=\"default\" or \"native\""),
            ));
        }
        _ => return Err(call.refuse(EINVAL, format_args!("unknown TSC mode {mode}"))),
    }
    domain.update_view(|view| {
        view.tsc_mode = mode;
        view.tsc_incarnation = ask.incarnation.wrapping_add(1);
    });
    Ok(())
}
