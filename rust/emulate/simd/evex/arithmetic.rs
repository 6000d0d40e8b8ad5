// SPDX-License-Identifier: GPL-2.0-only

//! Vector arithmetic in EVEX encodings, which is replayed.
//!
//! What an opmask leaves out of the memory operand is neither read nor raises anything, where the instruction is one
//! that keeps to that: the replayed one finds zeros there, which it does not look at. Whether an encoding exists, the
//! processor knows that replays it.
//!
//! Source: Intel SDM volume 2, section 2.7 "Intel AVX-512 Encoding".

use super::{
    scaled,
    shape::{
        find,
        Known,
        Selection, //
    }, //
};
use crate::emulate::{
    decode::Rm,
    fpu_state::{
        self,
        Unit, //
    },
    operand::Context,
    ops::{
        Access,
        Buffer,
        Exception,
        Fault,
        Ops,
        Result,
        BUFFER_LEN, //
    },
    simd::{
        masked::{
            self,
            Mask, //
        },
        replay,
        rewrite::rewrite,
        shape::{
            Alignment,
            Shape,
            Size, //
        }, //
    },
    CodeWidth, //
};

/// Replays an instruction whose shape is known.
///
/// # Errors
///
/// [`Fault::Unhandleable`] if it is not.
pub(super) fn execute<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let known = find(&cx.insn).ok_or(Fault::Unhandleable)?;
    let in_memory = matches!(cx.insn.rm, Rm::Memory(_));
    // Between registers it is about rounding.
    let single = in_memory && cx.insn.vector.broadcast;
    if single && known.broadcast == 0 {
        return Err(Exception::UNDEFINED.into());
    }
    fpu_state::check(ops, Unit::Avx512)?;
    let shape = Shape {
        unit: Unit::Avx512,
        size: known.size,
        access: known.access,
        alignment: Alignment::Free,
        general: known.general,
    };
    let whole = known.size.bytes(&cx.insn, cx.code == CodeWidth::Bits64);
    let len = match single {
        true => known.broadcast.into(),
        false => whole,
    };
    if in_memory && len == 0 {
        return Err(Fault::Unhandleable);
    }
    let mask = match in_memory {
        true => mask(ops, cx, &known, whole, single)?,
        false => None,
    };
    replay::check_register(ops, cx, &shape)?;
    let code = rewrite(cx, &shape, cx.insn.vector.register);
    let used = replay::used(cx, &shape);
    let cx = scaled(cx, len);
    if let Some(mask) = mask {
        let mut buffer = Buffer([0; BUFFER_LEN]);
        let align = replay::alignment(ops, &cx.insn, len);
        let into = buffer.0.get_mut(..len).ok_or(Fault::Unhandleable)?;
        let done = masked::load(ops, &cx, &mask, align, into);
        done.map_err(|fault| replay::earlier(ops, &code, fault))?;
        return replay::run_with(ops, &cx, &code, &buffer, None, len, used);
    }
    let place = match in_memory {
        true => {
            let place = replay::translate(ops, &cx, &shape, len);
            Some(place.map_err(|fault| replay::earlier(ops, &code, fault))?)
        }
        false => None,
    };
    replay::run(ops, &cx, &code, place, len, known.access, used)
}

/// Returns which elements of a memory operand are accessed, which without broadcasting has `whole` bytes; `None` if
/// all of it is.
fn mask<O: Ops>(
    ops: &O,
    cx: &Context,
    known: &Known,
    whole: usize,
    single: bool,
) -> Result<Option<Mask>> {
    let number = cx.insn.vector.mask;
    if number == 0 {
        return Ok(None);
    }
    let (element, operand, single) = match known.selection {
        Selection::All if known.access == Access::Read => return Ok(None),
        Selection::Elements(element) => (element, whole, single),
        Selection::Copies(element) => (element, Size::Whole.bytes(&cx.insn, true), true),
        Selection::All | Selection::Unknown => return Err(Fault::Unhandleable),
    };
    let element = usize::from(element);
    let mask = Mask::new(ops.opmask(number)?, element, operand);
    Ok(Some(match single {
        true => mask.any(element),
        false => mask,
    }))
}
