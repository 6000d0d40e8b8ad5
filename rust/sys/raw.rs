// SPDX-License-Identifier: GPL-2.0-only

//! The generated declarations of `helpers/helpers.h`. Only `sys`, `hw`, `mm` and `dev` call them.

#![allow(
    clippy::all,
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]

use kernel::ffi;

include!(concat!(env!("OXEN_GENERATED"), "/helpers_generated.rs"));
