// SPDX-License-Identifier: GPL-2.0-only

//! domctl.

use super::Args;
use crate::abi::errno::{
    Result,
    ENOSYS, //
};
use crate::hypercall::caller::Caller;

pub(crate) fn domctl(_caller: &Caller<'_>, _args: &mut Args) -> Result<i64> {
    Err(ENOSYS)
}
