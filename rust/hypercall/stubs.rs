// SPDX-License-Identifier: GPL-2.0-only

//! The hypercall page: 128 stubs of 32 bytes that load a hypercall's number and make the call.

use crate::sys::page::PageRef;

/// Stubs in a page.
const STUBS: u32 = 128;
/// Bytes of a stub.
const STUB_BYTES: usize = 32;
/// `iret`, which only paravirtualised guests have: its stub traps, so that a call is noticed.
const IRET: u32 = 23;

/// Fills a guest's page. Every stub is `mov $number, %eax; vmmcall; ret`.
pub(crate) fn fill(page: &PageRef) {
    for number in 0..STUBS {
        let [a, b, c, d] = number.to_le_bytes();
        let stub = if number == IRET {
            [0x0f, 0x0b, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xc3]
        } else {
            [0xb8, a, b, c, d, 0x0f, 0x01, 0xd9, 0xc3]
        };
        page.write(number as usize * STUB_BYTES, &stub);
    }
}
