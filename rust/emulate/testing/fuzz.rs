// SPDX-License-Identifier: GPL-2.0-only

//! What a fuzzer calls with bytes that it makes up: a guest in some state, an instruction, and a call
//! that fails.
//!
//! - Byte 0: bits 0 and 1 the code width, 2 the vendor, 3 and 4 how segments work, 5 whether they are
//!   odd, 6 whether the instruction comes in two pieces.
//! - Byte 1: bits 0 to 3 the number of the call that fails, 4 and 5 how.
//! - Bytes 2 and 3: which registers.
//! - From byte 4 on: the code.

use super::{
    guest::{
        Call,
        Guest, //
    },
    vectors::Vectors,
    Random, //
};
use crate::emulate::{
    decode::{
        decode,
        Decoded,
        Map,
        Refusal, //
    },
    execute::emulate_one,
    ops::{
        Done,
        Exception,
        Fault,
        Mode, //
    },
    string,
    CodeWidth,
    Vendor,
    MAX_INSN_LEN, //
};

/// A guest in some state, for any instruction.
pub(crate) fn any_guest(random: &mut Random, code: CodeWidth) -> Guest {
    let mut guest = Guest::flat(code);
    guest.state.gprs.fill_with(|| match random.below(4) {
        0 => random.next(),
        1 => random.next() & 0xffff,
        2 => random.next() & 0xffff_ffff,
        _ => (random.next() % 16).wrapping_sub(8),
    });
    guest.state.rflags = random.next();
    guest.rip = random.next();
    if random.below(2) == 0 {
        guest.state.mode = random.pick(&[Mode::Real, Mode::Virtual8086, Mode::Protected]);
        odd_segments(random, &mut guest);
    }
    guest
}

/// Makes segments anything.
fn odd_segments(random: &mut Random, guest: &mut Guest) {
    for state in &mut guest.state.segments {
        state.base = random.next() & 0xffff_ffff;
        state.limit = random.next() as u32;
        state.attributes = random.next() as u16;
    }
}

/// Whether a call changes something.
pub(crate) fn changes(call: &Call) -> bool {
    !matches!(
        call,
        Call::Translate(..) | Call::TranslateSystem(..) | Call::Read(..) | Call::PortRead(..)
    )
}

/// Whether it is a string instruction, whose iterations are instructions of their own.
pub(crate) fn is_string(insn: &Decoded) -> bool {
    insn.is_legacy()
        && insn.map == Map::One
        && matches!(insn.opcode, 0x6c..=0x6f | 0xa4..=0xa7 | 0xaa..=0xaf)
}

/// An input taken apart.
struct Input<'a> {
    code: CodeWidth,
    vendor: Vendor,
    shape: u8,
    fail: Option<(usize, Fault)>,
    seed: u64,
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    fn new(data: &'a [u8]) -> Option<Self> {
        let (&[shape, fail, low, high], bytes) = data.split_first_chunk()?;
        let number = usize::from(fail & 15);
        Some(Self {
            code: match shape & 3 {
                0 => CodeWidth::Bits16,
                1 => CodeWidth::Bits32,
                _ => CodeWidth::Bits64,
            },
            vendor: match shape & 4 {
                0 => Vendor::Amd,
                _ => Vendor::Intel,
            },
            shape,
            fail: match fail >> 4 & 3 {
                0 => None,
                1 => Some((number, Fault::Retry)),
                2 => Some((number, Fault::Unhandleable)),
                _ => Some((number, Exception::page(0x1000, 0).into())),
            },
            seed: u64::from(low) | u64::from(high) << 8,
            bytes,
        })
    }

    fn guest(&self) -> Guest {
        let mut random = Random(self.seed);
        let mut guest = any_guest(&mut random, self.code);
        guest.vendor = self.vendor;
        guest.state.mode = match self.shape >> 3 & 3 {
            2 if self.code != CodeWidth::Bits64 => Mode::Real,
            3 if self.code != CodeWidth::Bits64 => Mode::Virtual8086,
            _ => Mode::Protected,
        };
        if self.shape & 0x20 != 0 {
            odd_segments(&mut random, &mut guest);
        }
        guest.checks_ports = random.below(2) == 0;
        guest.state.vectors = Some(Box::new(Vectors::new()));
        guest.fail = self.fail;
        let at = guest.rip;
        let places = (0..).map(|n| at.wrapping_add(n));
        guest.code.extend(places.zip(self.bytes.iter().copied()));
        guest
    }

    /// What the emulator is called with.
    fn first_piece(&self) -> &'a [u8] {
        let whole = &self.bytes[..self.bytes.len().min(MAX_INSN_LEN)];
        match self.shape & 0x40 {
            0 => whole,
            _ => &whole[..whole.len() / 2],
        }
    }

    /// Checks that an instruction is where its bytes end, and returns it.
    fn decode(&self) -> Option<Decoded> {
        let insn = decode(self.bytes, self.code, self.vendor).ok()?;
        let len = usize::from(insn.len);
        assert!((1..=MAX_INSN_LEN).contains(&len) && len <= self.bytes.len());
        assert_eq!(decode(&self.bytes[..len], self.code, self.vendor), Ok(insn));
        for shorter in 0..len {
            let cut = decode(&self.bytes[..shorter], self.code, self.vendor);
            assert_eq!(cut, Err(Refusal::Truncated));
        }
        Some(insn)
    }
}

/// Decodes and executes what `data` stands for.
///
/// # Panics
///
/// If the emulator does what it must not do.
pub(crate) fn emulate(data: &[u8]) {
    let Some(input) = Input::new(data) else {
        return;
    };
    let insn = input.decode();
    let mut guest = input.guest();
    let before = guest.state.clone();
    let result = emulate_one(&mut guest, input.first_piece(), input.code);

    assert!(guest.calls.len() <= 4 * string::BATCH as usize);
    if let Ok(
        Done::Next { len }
        | Done::Shadow { len, .. }
        | Done::Halt { len }
        | Done::Interrupt { len, .. },
    ) = result
    {
        assert_eq!(insn.map(|insn| insn.len), Some(len));
    }
    let is_string = insn.is_some_and(|insn| is_string(&insn));
    if result == Ok(Done::Again) {
        assert!(is_string);
    }
    if let Some((number, fault)) = input.fail {
        if guest.calls.len() > number {
            // Nothing comes after a call that failed; what the guest gets for it can differ.
            assert_eq!(guest.calls.len(), number + 1);
            assert!(result.is_err() || is_string, "{result:?} after {fault:?}");
        }
    }
    if result.is_err() && !is_string && !guest.calls.iter().any(changes) {
        assert!(guest.state == before, "{result:?} with effects");
    }

    // Started again with the same guest, it does the same.
    let mut second = input.guest();
    assert_eq!(
        emulate_one(&mut second, input.first_piece(), input.code),
        result
    );
    assert!(second.state == guest.state && second.calls == guest.calls);
}

#[cfg(test)]
mod tests;
