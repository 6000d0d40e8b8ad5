// SPDX-License-Identifier: GPL-2.0-only

//! grant_table_op.

use super::Args;
use crate::abi::errno::{
    Result,
    ENOSYS, //
};
use crate::hypercall::caller::Caller;

pub(crate) fn grant_table_op(_caller: &Caller<'_>, _args: &mut Args) -> Result<i64> {
    Err(ENOSYS)
}
