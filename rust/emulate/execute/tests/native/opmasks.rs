// SPDX-License-Identifier: GPL-2.0-only

//! Which faults an opmask keeps arithmetic from: every instruction that is known, with its operand where memory ends.

use super::*;
use crate::emulate::simd::evex::{
    self,
    shape::Selection, //
};

/// All encodings of all opcodes with \[RBX\] and opmask 1.
fn every_encoding(mut check: impl FnMut(&[u8])) {
    for opcode in 0..0x300u16 {
        let (map, opcode) = (opcode.to_be_bytes()[0] + 1, opcode.to_be_bytes()[1]);
        // Only shifts by a constant have a part of the opcode here.
        let digits = match (map, opcode) {
            (1, 0x71..=0x73) => 0..8,
            _ => 1..2,
        };
        for digit in digits {
            for n in 0..48u8 {
                let (prefix, wide, single, length) = (n & 3, n >> 2 & 1, n >> 3 & 1, n >> 4);
                let two = wide << 7 | 0x7c | prefix;
                let three = length << 5 | single << 4 | 9;
                check(&[0x62, 0xf0 | map, two, three, opcode, digit << 3 | 3, 0]);
            }
        }
    }
}

#[test]
fn e_4_opmasks_keep_arithmetic_from_faults_as_on_processor() {
    if xcr0() & 0xe0 != 0xe0 {
        println!("no AVX-512 here");
        return;
    }
    let mut bench = Bench::new();
    let window = bench.native.borrow().window();
    let end = window + WINDOW_LEN as u64;
    let (mut compared, mut wrong) = (0, Vec::new());
    every_encoding(|bytes| {
        let insn = decode(bytes, CodeWidth::Bits64, vendor()).unwrap();
        let Some(known) = evex::shape::find(&insn).filter(|_| !evex::is_move(&insn)) else {
            return;
        };
        let len = known.size.bytes(&insn, true);
        let half = len as u64 / 2;
        let last = match known.selection {
            Selection::Elements(bytes) => len as u32 / u32::from(bytes) - 1,
            _ => 63,
        };
        for (place, opmask) in [
            // Nothing of it is there, and nothing or all of it counts.
            (end, 0),
            (end, u64::MAX),
            // One half of it is there, and of that one element counts, or of the other.
            (end - half, 1),
            (end - half, 1 << last),
            (window - half, 1),
            (window - half, 1 << last),
        ] {
            let mut vectors = Vectors::new();
            vectors.zmm = [[1; 64]; 32];
            vectors.opmasks = [0, opmask, 1, 1, 1, 1, 1, 1];
            let mut recipe = Recipe {
                code: CodeWidth::Bits64,
                bytes: bytes[..insn.len.into()].to_vec(),
                offset: 0,
                gprs: [0; 16],
                flags: 0,
                puts: Vec::new(),
                vectors: Some(Box::new(vectors)),
            };
            recipe.gprs[RSP] = window + 0x800;
            recipe.gprs[RBX] = place;
            match compare(&mut bench, &recipe) {
                Ok(done) => compared += u32::from(done),
                Err(difference) => wrong.push(difference),
            }
        }
    });
    println!("{compared} compared");
    let first = wrong.first();
    assert!(first.is_none(), "{} differ: {wrong:#?}", wrong.len());
    assert!(compared > 3_000, "only {compared}");
}
