// SPDX-License-Identifier: GPL-2.0-only

//! Components that are in their initial state, and areas that are too short. The rest is tested with
//! every instruction that is compared with the processor.

use super::*;
use crate::emulate::testing::vectors::{
    Vectors,
    LAYOUT, //
};

fn fresh() -> Vec<u8> {
    Vectors::new().as_area()
}

#[test]
fn absent_components_read_as_zero_and_begin_so() {
    let mut area = fresh();
    area[160..].fill(0xaa);
    area[PRESENT..HEAD].fill(0);
    for number in 0..32 {
        let mut bytes = [1; 64];
        vector(&area, &LAYOUT, number, &mut bytes).unwrap();
        assert_eq!(bytes, [0; 64]);
    }
    // A legacy instruction makes one component present, and leaves no old bytes in it.
    set_vector(&mut area, &LAYOUT, 3, &[7; 16], Rest::Kept).unwrap();
    assert_eq!(area[PRESENT], 2);
    let mut bytes = [1; 32];
    vector(&area, &LAYOUT, 3, &mut bytes).unwrap();
    assert_eq!(bytes[..16], [7; 16]);
    assert_eq!(bytes[16..], [0; 16]);
    vector(&area, &LAYOUT, 4, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 32]);
    // One of AVX clears all that is above.
    set_vector(&mut area, &LAYOUT, 3, &[8; 32], Rest::Cleared).unwrap();
    assert_eq!(area[PRESENT], 2 | 4 | 0x40);
    set_vector(&mut area, &LAYOUT, 31, &[9; 64], Rest::Cleared).unwrap();
    assert_eq!(area[PRESENT], 2 | 4 | 0xc0);
    let mut whole = [1; 64];
    vector(&area, &LAYOUT, 31, &mut whole).unwrap();
    assert_eq!(whole, [9; 64]);
}

#[test]
fn initial_x87_state() {
    let mut area = fresh();
    area[..24].fill(0xff);
    area[PRESENT] = 0;
    assert_eq!(has_pending_exception(&area), Some(false));
    assert_eq!(mmx(&area, 5), Some(0));
    set_mmx(&mut area, 5, 0x1122_3344_5566_7788).unwrap();
    assert_eq!(area[PRESENT], 1);
    assert_eq!(area[..6], [0x7f, 3, 0, 0, 0xff, 0]);
    assert_eq!(mmx(&area, 5), Some(0x1122_3344_5566_7788));
    assert_eq!(mmx(&area, 4), Some(0));
    assert_eq!(mxcsr(&area), Some(0x1f80));
}

#[test]
fn what_is_not_there_is_refused() {
    let without = Layout {
        avx: 576,
        opmask: 0,
        zmm_high: 0,
        zmm_16: 0,
        aligned: 0,
    };
    let mut area = fresh();
    let before = area.clone();
    let mut bytes = [0; 64];
    assert_eq!(vector(&area, &without, 0, &mut bytes), None);
    assert_eq!(vector(&area, &without, 16, &mut bytes[..16]), None);
    let set = set_vector(&mut area, &without, 0, &[1; 64], Rest::Cleared);
    assert_eq!(set, None);
    assert!(area == before);
    set_vector(&mut area, &without, 0, &[1; 32], Rest::Cleared).unwrap();
    // Areas that end too early.
    for len in 0..fresh().len() {
        let mut area = fresh();
        area.truncate(len);
        let before = area.clone();
        if set_vector(&mut area, &LAYOUT, 31, &[1; 64], Rest::Cleared).is_none() {
            assert!(area == before);
        }
        let _ = set_mmx(&mut area, 7, 1);
        let _ = (mmx(&area, 7), mxcsr(&area), has_pending_exception(&area));
    }
}

#[test]
fn e_7_a_replay_leaves_the_guests_pointers() {
    let guests = Pointers {
        opcode: 0x1dd,
        code: 0xffff_8000_1234_5678,
        data: 0x7fff_0000_1000,
    };
    let left = |opcode: u16, code: u64, data: u64| {
        let mut area = fresh();
        area[OPCODE..CODE].copy_from_slice(&opcode.to_le_bytes());
        area[CODE..DATA].copy_from_slice(&code.to_le_bytes());
        area[DATA..MXCSR].copy_from_slice(&data.to_le_bytes());
        area
    };
    let replaced = |mut area: Vec<u8>| {
        guests.replace(&mut area, 0x1000, 0x2000).unwrap();
        area
    };
    assert!(replaced(left(3, 0x1000, 0x2000)) == left(0x1dd, guests.code, guests.data));
    // A processor that notes no opcode; an instruction without an operand; one that is no computation.
    assert!(replaced(left(0, 0x1000, 0x2000)) == left(0, guests.code, guests.data));
    assert!(replaced(left(3, 0x1000, 5)) == left(0x1dd, guests.code, 5));
    assert!(replaced(left(3, 0x1234, 0x5678)) == left(3, 0x1234, 0x5678));
    for len in 0..MXCSR {
        let mut area = left(3, 0x1000, 0x2000);
        area.truncate(len);
        let before = area.clone();
        assert_eq!(guests.replace(&mut area, 0x1000, 0x2000), None);
        assert!(area == before);
    }
}
