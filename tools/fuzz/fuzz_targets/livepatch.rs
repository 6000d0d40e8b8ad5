// SPDX-License-Identifier: GPL-2.0-only

//! Fuzzes the loader of live patches: any bytes as a payload.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| oxen_host_tests::fuzz::livepatch(data));
