// SPDX-License-Identifier: GPL-2.0-only

//! What follows each opcode: the tables from which the decoder knows an instruction's length.
//!
//! Source: AMD APM volume 3, appendix A "Opcode and Operand Encodings". Opcodes that only makers
//! other than AMD and Intel ever defined count as undefined.

use super::decode::Map;

/// Whether a ModRM byte follows the opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HasModRm {
    /// There is none.
    No,
    /// There is one.
    Yes,
    /// There is one that names registers whatever its mode bits say.
    Registers,
}

/// The constants that end an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Immediate {
    /// None.
    None,
    /// 1 byte, sign-extended.
    Byte,
    /// 2 bytes, zero-extended.
    Word,
    /// 4 bytes, zero-extended.
    Dword,
    /// 2 or 4 bytes by operand size; 4 bytes sign-extended where the operand has 8.
    Operand,
    /// 2, 4 or 8 bytes by operand size.
    Full,
    /// The distance of a near branch: as `Operand`, but see [`Vendor`](super::Vendor).
    Near,
    /// An offset by operand size, then a selector of 2 bytes.
    Far,
    /// 2 bytes, then 1 byte: ENTER.
    Enter,
    /// The address of the memory operand, 2, 4 or 8 bytes by address size.
    Offset,
    /// `Byte` if ModRM.reg is 0 or 1: TEST in group 3.
    GroupByte,
    /// `Operand` if ModRM.reg is 0 or 1: TEST in group 3.
    GroupOperand,
    /// 2 times 1 byte under a 66 or F2 prefix: EXTRQ and INSERTQ.
    Extract,
}

/// What is known about an opcode without looking further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// Whether there is a ModRM byte.
    pub(crate) modrm: HasModRm,
    /// The constants at the end.
    pub(crate) immediate: Immediate,
    /// Does not exist in 64-bit mode.
    pub(crate) legacy: bool,
    /// Does not exist in any mode.
    pub(crate) undefined: bool,
}

impl Attributes {
    const fn new(modrm: HasModRm, immediate: Immediate) -> Self {
        Self {
            modrm,
            immediate,
            legacy: false,
            undefined: false,
        }
    }

    const fn legacy(self) -> Self {
        Self {
            legacy: true,
            ..self
        }
    }
}

/// The attributes of all opcodes of one map.
pub(crate) type Table = [Attributes; 256];

/// No operands, or operands that the opcode implies.
const N: Attributes = Attributes::new(HasModRm::No, Immediate::None);
/// The same, not in 64-bit mode.
const L: Attributes = N.legacy();
/// A ModRM byte.
const M: Attributes = Attributes::new(HasModRm::Yes, Immediate::None);
/// A ModRM byte, not in 64-bit mode.
const ML: Attributes = M.legacy();
/// A ModRM byte with registers only.
const R: Attributes = Attributes::new(HasModRm::Registers, Immediate::None);
/// A ModRM byte and one byte.
const MB: Attributes = Attributes::new(HasModRm::Yes, Immediate::Byte);
/// A ModRM byte and one byte, not in 64-bit mode.
const MBL: Attributes = MB.legacy();
/// A ModRM byte and a constant of operand size.
const MZ: Attributes = Attributes::new(HasModRm::Yes, Immediate::Operand);
/// A ModRM byte and, for TEST, one byte.
const GB: Attributes = Attributes::new(HasModRm::Yes, Immediate::GroupByte);
/// A ModRM byte and, for TEST, a constant of operand size.
const GZ: Attributes = Attributes::new(HasModRm::Yes, Immediate::GroupOperand);
/// A ModRM byte and, for EXTRQ and INSERTQ, two bytes.
const MX: Attributes = Attributes::new(HasModRm::Yes, Immediate::Extract);
/// One byte.
const B: Attributes = Attributes::new(HasModRm::No, Immediate::Byte);
/// One byte, not in 64-bit mode.
const BL: Attributes = B.legacy();
/// Two bytes.
const W: Attributes = Attributes::new(HasModRm::No, Immediate::Word);
/// A constant of operand size.
const Z: Attributes = Attributes::new(HasModRm::No, Immediate::Operand);
/// A constant of up to 8 bytes.
const V: Attributes = Attributes::new(HasModRm::No, Immediate::Full);
/// The distance of a near branch.
const J: Attributes = Attributes::new(HasModRm::No, Immediate::Near);
/// A far pointer, not in 64-bit mode.
const FL: Attributes = Attributes::new(HasModRm::No, Immediate::Far).legacy();
/// ENTER.
const E: Attributes = Attributes::new(HasModRm::No, Immediate::Enter);
/// The address of the memory operand.
const O: Attributes = Attributes::new(HasModRm::No, Immediate::Offset);
/// Undefined; also prefixes and escapes, which the decoder never looks up.
const U: Attributes = Attributes {
    undefined: true,
    ..N
};

/// Opcodes of one byte.
#[rustfmt::skip]
pub(crate) static ONE_BYTE: Table = [
    // 0  1   2   3   4   5   6   7    8   9   a   b   c   d   e   f
    M,  M,  M,  M,  B,  Z,  L,  L,   M,  M,  M,  M,  B,  Z,  L,  U, // 0
    M,  M,  M,  M,  B,  Z,  L,  L,   M,  M,  M,  M,  B,  Z,  L,  L, // 1
    M,  M,  M,  M,  B,  Z,  U,  L,   M,  M,  M,  M,  B,  Z,  U,  L, // 2
    M,  M,  M,  M,  B,  Z,  U,  L,   M,  M,  M,  M,  B,  Z,  U,  L, // 3
    L,  L,  L,  L,  L,  L,  L,  L,   L,  L,  L,  L,  L,  L,  L,  L, // 4
    N,  N,  N,  N,  N,  N,  N,  N,   N,  N,  N,  N,  N,  N,  N,  N, // 5
    L,  L,  ML, M,  U,  U,  U,  U,   Z,  MZ, B,  MB, N,  N,  N,  N, // 6
    B,  B,  B,  B,  B,  B,  B,  B,   B,  B,  B,  B,  B,  B,  B,  B, // 7
    MB, MZ, MBL,MB, M,  M,  M,  M,   M,  M,  M,  M,  M,  M,  M,  M, // 8
    N,  N,  N,  N,  N,  N,  N,  N,   N,  N,  FL, N,  N,  N,  N,  N, // 9
    O,  O,  O,  O,  N,  N,  N,  N,   B,  Z,  N,  N,  N,  N,  N,  N, // a
    B,  B,  B,  B,  B,  B,  B,  B,   V,  V,  V,  V,  V,  V,  V,  V, // b
    MB, MB, W,  N,  ML, ML, MB, MZ,  E,  N,  W,  N,  N,  B,  L,  N, // c
    M,  M,  M,  M,  BL, BL, L,  N,   M,  M,  M,  M,  M,  M,  M,  M, // d
    B,  B,  B,  B,  B,  B,  B,  B,   J,  J,  FL, B,  N,  N,  N,  N, // e
    U,  N,  U,  U,  N,  N,  GB, GZ,  N,  N,  N,  N,  N,  N,  M,  M, // f
];

/// Opcodes after 0F.
#[rustfmt::skip]
pub(crate) static TWO_BYTE: Table = [
    // 0  1   2   3   4   5   6   7    8   9   a   b   c   d   e   f
    M,  M,  M,  M,  U,  N,  N,  N,   N,  N,  U,  N,  U,  M,  N,  MB, // 0
    M,  M,  M,  M,  M,  M,  M,  M,   M,  M,  M,  M,  M,  M,  M,  M,  // 1
    R,  R,  R,  R,  U,  U,  U,  U,   M,  M,  M,  M,  M,  M,  M,  M,  // 2
    N,  N,  N,  N,  N,  N,  U,  N,   U,  U,  U,  U,  U,  U,  U,  U,  // 3
    M,  M,  M,  M,  M,  M,  M,  M,   M,  M,  M,  M,  M,  M,  M,  M,  // 4
    M,  M,  M,  M,  M,  M,  M,  M,   M,  M,  M,  M,  M,  M,  M,  M,  // 5
    M,  M,  M,  M,  M,  M,  M,  M,   M,  M,  M,  M,  M,  M,  M,  M,  // 6
    MB, MB, MB, MB, M,  M,  M,  N,   MX, M,  U,  U,  M,  M,  M,  M,  // 7
    J,  J,  J,  J,  J,  J,  J,  J,   J,  J,  J,  J,  J,  J,  J,  J,  // 8
    M,  M,  M,  M,  M,  M,  M,  M,   M,  M,  M,  M,  M,  M,  M,  M,  // 9
    N,  N,  N,  M,  MB, M,  U,  U,   N,  N,  N,  M,  MB, M,  M,  M,  // a
    M,  M,  M,  M,  M,  M,  M,  M,   M,  M,  MB, M,  M,  M,  M,  M,  // b
    M,  M,  MB, M,  MB, MB, MB, M,   N,  N,  N,  N,  N,  N,  N,  N,  // c
    M,  M,  M,  M,  M,  M,  M,  M,   M,  M,  M,  M,  M,  M,  M,  M,  // d
    M,  M,  M,  M,  M,  M,  M,  M,   M,  M,  M,  M,  M,  M,  M,  M,  // e
    M,  M,  M,  M,  M,  M,  M,  M,   M,  M,  M,  M,  M,  M,  M,  U,  // f
];

/// Every opcode after 0F 38.
pub(crate) const AFTER_0F38: Attributes = M;

/// Every opcode after 0F 3A.
pub(crate) const AFTER_0F3A: Attributes = MB;

/// Returns the attributes of an opcode in a VEX, EVEX or XOP encoding.
///
/// That layout is the same for all opcodes of a map but a few. Which of them exist is not known
/// here.
pub(crate) const fn vector(map: Map, opcode: u8) -> Attributes {
    match (map, opcode) {
        (Map::Of, 0x70..=0x73 | 0xc2 | 0xc4..=0xc6) => MB,
        // VZEROUPPER and VZEROALL.
        (Map::Of, 0x77) => N,
        (Map::Of3a | Map::Eight, _) => MB,
        (Map::Ten, _) => Attributes::new(HasModRm::Yes, Immediate::Dword),
        _ => M,
    }
}
