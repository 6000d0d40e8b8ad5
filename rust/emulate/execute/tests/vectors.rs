// SPDX-License-Identifier: GPL-2.0-only

//! What moves under a mask and XRSTOR do with memory and registers that they are to leave alone.

use super::*;
use crate::emulate::testing::vectors::Vectors;

/// A guest that has its units switched on.
fn guest() -> Guest {
    let mut guest = Guest::flat(CodeWidth::Bits64);
    // OSXSAVE.
    guest.state.cr[4] |= 1 << 18;
    guest.state.vectors = Some(Box::new(Vectors::new()));
    guest.state.gprs[RBX] = 0x2ff8;
    guest
}

#[test]
fn e_4_masked_elements_are_not_accessed() {
    let code = CodeWidth::Bits64;
    // vpmaskmovd [rbx], xmm1, xmm0 and vpmaskmovd xmm0, xmm1, [rbx]
    let (store, load) = (
        [0xc4, 0xe2, 0x71, 0x8e, 0x03],
        [0xc4, 0xe2, 0x71, 0x8c, 0x03],
    );
    let mut guest = guest();
    guest.mapped = 0..0x3000;
    let done = Ok(Done::Next { len: 5 });
    // Without a mask nothing is, not even looked for.
    assert_eq!(emulate_one(&mut guest, &store, code), done);
    assert!(guest.calls.is_empty());
    let set_mask = |guest: &mut Guest, elements: &[usize]| {
        let vectors = guest.state.vectors.as_mut().unwrap();
        vectors.zmm[1] = [0; 64];
        for n in elements {
            vectors.zmm[1][4 * n + 3] = 0x80;
        }
    };
    // The second page is not there.
    set_mask(&mut guest, &[0, 1]);
    guest.state.vectors.as_mut().unwrap().zmm[0] = [7; 64];
    assert_eq!(emulate_one(&mut guest, &store, code), done);
    let calls = [
        Call::Translate(0x2ff8, 8, Access::Write),
        Call::Write(0x2ff8, 8),
    ];
    assert_eq!(guest.calls, calls);
    guest.calls.clear();
    set_mask(&mut guest, &[0, 3]);
    // The guest of these tests tells the last byte.
    let fault = Exception::page(0x3007, 0);
    assert_eq!(emulate_one(&mut guest, &load, code), Err(fault.into()));
    guest.mapped = 0..0x4000;
    guest.calls.clear();
    assert_eq!(emulate_one(&mut guest, &load, code), done);
    let calls = [
        Call::Translate(0x2ff8, 16, Access::Read),
        Call::Read(0x2ff8, 4),
        Call::Read(0x3004, 4),
    ];
    assert_eq!(guest.calls, calls);
    // What was masked out is zero, and so is everything above.
    let zmm = guest.state.vectors.as_ref().unwrap().zmm[0];
    assert_eq!((&zmm[..4], &zmm[4..]), (&[7; 4][..], &[0; 60][..]));
}

#[test]
fn e_4_opmasks_say_what_arithmetic_reads() {
    let code = CodeWidth::Bits64;
    let read = |at, len| Call::Read(at, len);
    let translate = |at, len| Call::Translate(at, len, Access::Read);
    let unknown = Err(Fault::Unhandleable);
    for (insn, mask, calls) in [
        // vpaddd zmm0 {k1}, zmm0, [rbx]
        (
            &[0x62, 0xf1, 0x7d, 0x49, 0xfe, 0x03][..],
            0b1001,
            &[translate(0x2ff8, 16), read(0x2ff8, 4), read(0x3004, 4)][..],
        ),
        (&[0x62, 0xf1, 0x7d, 0x49, 0xfe, 0x03], !0xffff, &[]),
        // The same with [rbx + 1 * 64].
        (
            &[0x62, 0xf1, 0x7d, 0x49, 0xfe, 0x43, 0x01],
            2,
            &[translate(0x303c, 4), read(0x303c, 4)],
        ),
        // With [rbx + 1 * 4] {1to16}.
        (
            &[0x62, 0xf1, 0x7d, 0x59, 0xfe, 0x43, 0x01],
            1 << 15,
            &[translate(0x2ffc, 4), read(0x2ffc, 4)],
        ),
        (&[0x62, 0xf1, 0x7d, 0x59, 0xfe, 0x43, 0x01], 1 << 16, &[]),
        // vpbroadcastb zmm0 {k1}, [rbx]
        (
            &[0x62, 0xf2, 0x7d, 0x49, 0x78, 0x03],
            1 << 63,
            &[translate(0x2ff8, 1), read(0x2ff8, 1)],
        ),
        // vpshufb zmm0 {k1}, zmm0, [rbx], which reads all.
        (
            &[0x62, 0xf2, 0x7d, 0x49, 0x00, 0x03],
            0,
            &[translate(0x2ff8, 64), read(0x2ff8, 64)],
        ),
        // vpmovdb [rbx] {k1}, zmm0, which is not known under a mask.
        (&[0x62, 0xf2, 0x7e, 0x49, 0x31, 0x03], !0, &[]),
    ] {
        let mut guest = guest();
        guest.state.xcr0 = 0xe7;
        guest.state.vectors.as_mut().unwrap().opmasks[1] = mask;
        // Nothing replays here.
        assert_eq!(emulate_one(&mut guest, insn, code), unknown, "{insn:02x?}");
        assert_eq!(guest.calls, calls, "{insn:02x?}");
    }
    // vpshufb with b
    let mut guest = guest();
    guest.state.xcr0 = 0xe7;
    let done = emulate_one(&mut guest, &[0x62, 0xf2, 0x7d, 0x59, 0x00, 0x03], code);
    assert_eq!(done, Err(Exception::UNDEFINED.into()));
}

#[test]
fn e_6_a_wrong_area_restores_nothing() {
    let code = CodeWidth::Bits64;
    // xrstor [rbx]
    let insn = [0x0f, 0xae, 0x2b];
    let good = Vectors::new().as_area();
    for (at, bytes, fine) in [
        // XSTATE_BV.
        (512, 7u64, true),
        (512, 8, false),
        (512, 1 << 63, false),
        // XCOMP_BV.
        (520, 1, false),
        (520, 1 << 63, false),
        (520, 1 << 63 | 7, true),
        (520, 1 << 63 | 0xf, false),
        (520, 1 << 63 | 3, false),
        // What is behind it.
        (528, 1, false),
        // MXCSR and its mask, which is not read.
        (24, 0xffff_ffff_0000_1f80, true),
        (24, 0x8000_1f80, false),
    ] {
        let mut guest = guest();
        guest.state.gprs[RBX] = 0x3000;
        guest.state.gprs[RAX] = u64::MAX;
        guest.state.gprs[2] = u64::MAX;
        guest.put(0x3000, &good);
        guest.put(0x3200, &7u64.to_le_bytes());
        guest.put(0x3000 + at, &bytes.to_le_bytes());
        guest.state.vectors.as_mut().unwrap().zmm[5] = [9; 64];
        let before = guest.state.clone();
        let done = emulate_one(&mut guest, &insn, code);
        if fine {
            assert_eq!(done, Ok(Done::Next { len: 3 }), "{at} {bytes:x}");
            let zmm = guest.state.vectors.as_ref().unwrap().zmm[5];
            assert_eq!((&zmm[..32], &zmm[32..]), (&[0; 32][..], &[9; 32][..]));
        } else {
            assert_eq!(done, gp(), "{at} {bytes:x}");
            assert!(guest.state == before);
        }
    }
    // Not aligned; switched off; not there.
    let mut guest = guest();
    assert_eq!(emulate_one(&mut guest, &insn, code), gp());
    guest.state.gprs[RBX] = 0x3001;
    assert_eq!(emulate_one(&mut guest, &insn, code), gp());
    guest.state.cr[0] |= 8;
    let done = emulate_one(&mut guest, &insn, code);
    assert_eq!(done, Err(Exception::NO_DEVICE.into()));
    guest.state.cr[4] &= !(1 << 18);
    let done = emulate_one(&mut guest, &insn, code);
    assert_eq!(done, Err(Exception::UNDEFINED.into()));
    assert!(guest.calls.is_empty());
}
