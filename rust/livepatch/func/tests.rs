// SPDX-License-Identifier: GPL-2.0-only

//! Tests of what is written over functions.

use super::*;

#[test]
fn no_ops_are_as_long_as_asked() {
    for len in 0..=PATCH_MAX {
        let bytes = no_ops(len).unwrap();
        assert_eq!(bytes.len(), len);
        let mut decoder = iced_x86::Decoder::new(64, bytes.get(), 0);
        let mut count = 0;
        for instruction in &mut decoder {
            assert_eq!(instruction.mnemonic(), iced_x86::Mnemonic::Nop);
            count += 1;
        }
        assert_eq!(count, len.div_ceil(8));
    }
    assert!(no_ops(PATCH_MAX + 1).is_none());
}

#[test]
fn jumps_reach_two_gigabytes() {
    assert_eq!(jump(0x1000, 0x1005).unwrap().get(), [0xe9, 0, 0, 0, 0]);
    assert_eq!(
        jump(0x1000, 0x1000).unwrap().get(),
        [0xe9, 0xfb, 0xff, 0xff, 0xff]
    );
    let from = 0xffff_0000_c000_0000;
    assert!(jump(from, from + 5 + 0x7fff_ffff).is_some());
    assert!(jump(from, from + 5 + 0x8000_0000).is_none());
    assert!(jump(from, from + 5 - 0x8000_0000).is_some());
    assert!(jump(from, from + 4 - 0x8000_0000).is_none());
}
