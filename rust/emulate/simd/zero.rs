// SPDX-License-Identifier: GPL-2.0-only

//! VZEROUPPER and VZEROALL. They are not replayed: outside 64-bit mode they leave the upper eight registers alone.

use crate::emulate::{
    decode::{
        Decoded,
        Map, //
    },
    fpu_state::{
        self,
        Unit, //
    },
    operand::Context,
    ops::{
        Exception,
        Ops,
        Rest,
        Result, //
    },
    CodeWidth, //
};

use super::Prefix;

/// Bytes of a register that VZEROUPPER leaves.
const KEPT: usize = 16;

/// Whether it is one of the two.
pub(super) fn is(insn: &Decoded) -> bool {
    !insn.is_legacy() && (insn.map, insn.opcode) == (Map::Of, 0x77)
}

/// Executes them.
///
/// # Errors
///
/// #UD for a prefix or a register, which they have not.
pub(super) fn execute<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let vector = &cx.insn.vector;
    if Prefix::of(&cx.insn) != Prefix::None || !vector.no_register {
        return Err(Exception::UNDEFINED.into());
    }
    fpu_state::check(ops, Unit::Avx)?;
    let registers = match cx.code {
        CodeWidth::Bits64 => 16,
        _ => 8,
    };
    let all = vector.length != 0;
    for number in 0..registers {
        let mut low = [0; KEPT];
        if !all {
            ops.vector(number, &mut low)?;
        }
        ops.set_vector(number, &low, Rest::Cleared)?;
    }
    Ok(())
}
