// SPDX-License-Identifier: GPL-2.0-only

//! `oxen`: runs and manages Xen guests through Xen's own tool interface.
#![allow(dead_code)]

mod acpi;
mod domain;
mod error;
mod kernel;
mod start_info;

fn main() {}
