// SPDX-License-Identifier: GPL-2.0-only

//! x87 instructions.

use super::{
    operand::Context,
    ops::{
        Fault,
        Ops,
        Result, //
    }, //
};

/// Executes 9B: FWAIT.
pub(crate) fn wait<O: Ops>(_: &mut O, _: &Context) -> Result {
    Err(Fault::Unhandleable)
}

/// Executes D8 to DF.
pub(crate) fn escape<O: Ops>(_: &mut O, _: &Context) -> Result {
    Err(Fault::Unhandleable)
}
