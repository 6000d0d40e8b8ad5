// SPDX-License-Identifier: GPL-2.0-only

//! Fuzzes the instruction emulator: any bytes, in a guest in any state.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| oxen_host_tests::fuzz::emulate(data));
