// SPDX-License-Identifier: GPL-2.0-only

//! MMX and vector instructions.

use super::{
    operand::Context,
    ops::{
        Fault,
        Ops,
        Result, //
    }, //
};

/// Executes an instruction of the 0F map.
pub(crate) fn of<O: Ops>(_: &mut O, _: &Context) -> Result {
    Err(Fault::Unhandleable)
}

/// Executes an instruction of the 0F 38 map.
pub(crate) fn of_38<O: Ops>(_: &mut O, _: &Context) -> Result {
    Err(Fault::Unhandleable)
}

/// Executes an instruction of the 0F 3A map.
pub(crate) fn of_3a<O: Ops>(_: &mut O, _: &Context) -> Result {
    Err(Fault::Unhandleable)
}
