// SPDX-License-Identifier: GPL-2.0-only

//! Whether x87, MMX and vector instructions can be used, and the state that goes with them: MXCSR,
//! FXSAVE and FXRSTOR.

use super::{
    operand::Context,
    ops::{
        Access,
        Control,
        Exception,
        Mode,
        Ops,
        Result, //
    },
    simd::Prefix,
    width::Width, //
};

/// CR0.MP.
const CR0_MP: u64 = 1 << 1;
/// CR0.EM.
const CR0_EM: u64 = 1 << 2;
/// CR0.TS.
const CR0_TS: u64 = 1 << 3;
/// CR4.OSFXSR.
const CR4_OSFXSR: u64 = 1 << 9;
/// CR4.OSXSAVE.
const CR4_OSXSAVE: u64 = 1 << 18;
/// XCR0: SSE and AVX state.
const XCR0_AVX: u64 = 6;
/// XCR0: and the three parts of AVX-512.
const XCR0_AVX512: u64 = 0xe6;

/// What an instruction works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// x87.
    X87,
    /// FWAIT.
    Wait,
    /// MMX.
    Mmx,
    /// Vectors, in legacy encodings.
    Sse,
    /// Vectors, in VEX encodings.
    Avx,
    /// Vectors, in EVEX encodings.
    Avx512,
}

/// Makes sure that the guest has a unit switched on.
///
/// # Errors
///
/// #UD or #NM.
pub(crate) fn check<O: Ops>(ops: &O, unit: Unit) -> Result {
    let cr0 = ops.control(Control::Cr0)?;
    let defined = match unit {
        Unit::X87 | Unit::Wait => true,
        Unit::Mmx => cr0 & CR0_EM == 0,
        Unit::Sse => cr0 & CR0_EM == 0 && ops.control(Control::Cr4)? & CR4_OSFXSR != 0,
        Unit::Avx | Unit::Avx512 => {
            let parts = match unit {
                Unit::Avx => XCR0_AVX,
                _ => XCR0_AVX512,
            };
            ops.mode() == Mode::Protected
                && ops.control(Control::Cr4)? & CR4_OSXSAVE != 0
                && ops.extended_control(0)? & parts == parts
        }
    };
    if !defined {
        return Err(Exception::UNDEFINED.into());
    }
    let absent = match unit {
        Unit::X87 => cr0 & (CR0_EM | CR0_TS) != 0,
        Unit::Wait => cr0 & (CR0_MP | CR0_TS) == CR0_MP | CR0_TS,
        _ => cr0 & CR0_TS != 0,
    };
    if absent {
        return Err(Exception::NO_DEVICE.into());
    }
    Ok(())
}

/// Executes 0F AE /2, 0F AE /3, also in VEX encodings: LDMXCSR and STMXCSR.
pub(crate) fn mxcsr<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let unit = match cx.insn.is_legacy() {
        true => Unit::Sse,
        false => Unit::Avx,
    };
    let vector = &cx.insn.vector;
    if Prefix::of(&cx.insn) != Prefix::None || vector.length != 0 || !vector.no_register {
        return Err(Exception::UNDEFINED.into());
    }
    check(ops, unit)?;
    if cx.insn.digit() & 1 == 0 {
        let value = cx.memory(ops, Width::Dword, Access::Read)?.get(ops)?;
        // CAST: Four bytes were read.
        return ops.set_mxcsr(value as u32);
    }
    let value = ops.mxcsr()?;
    let target = cx.memory(ops, Width::Dword, Access::Write)?;
    target.set(ops, value.into())
}
