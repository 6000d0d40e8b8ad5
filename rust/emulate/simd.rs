// SPDX-License-Identifier: GPL-2.0-only

//! MMX and vector instructions.
//!
//! Moves ([`moves`], [`masked`], [`evex`]) are carried out here; what is left is replayed ([`replay`], with an EVEX
//! prefix [`evex::arithmetic`]), as far as its shape is known ([`shape`], [`evex::shape`]).

use super::{
    decode::Decoded,
    operand::Context,
    ops::{
        Ops,
        Result, //
    },
    prefix::Repeat, //
};

pub(crate) mod evex;
mod masked;
mod moves;
pub(crate) mod replay;
pub(crate) mod rewrite;
pub(crate) mod shape;
mod zero;

/// The prefix that is a part of a vector instruction's opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prefix {
    /// None.
    None,
    /// 66.
    P66,
    /// F3.
    F3,
    /// F2.
    F2,
}

impl Prefix {
    /// Returns the prefix that counts.
    pub(crate) const fn of(insn: &Decoded) -> Self {
        match (insn.prefixes.repeat, insn.prefixes.operand_size) {
            (Repeat::F3, _) => Prefix::F3,
            (Repeat::F2, _) => Prefix::F2,
            (Repeat::None, true) => Prefix::P66,
            (Repeat::None, false) => Prefix::None,
        }
    }
}

/// Executes an instruction of the 0F, 0F 38 and 0F 3A maps that is none of the integer unit.
pub(crate) fn execute<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    if let Some(kind) = masked::find(&cx.insn) {
        return masked::execute(ops, cx, kind);
    }
    if zero::is(&cx.insn) {
        return zero::execute(ops, cx);
    }
    match moves::find(&cx.insn) {
        Some(kind) => moves::execute(ops, cx, kind),
        None => replay::replay(ops, cx),
    }
}
