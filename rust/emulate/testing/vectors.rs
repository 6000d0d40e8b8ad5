// SPDX-License-Identifier: GPL-2.0-only

//! The registers of the x87 and vector units.

use crate::emulate::area::{
    self,
    Layout, //
};

/// Offset of MXCSR in the area of FXSAVE.
const MXCSR: usize = 24;
/// Offset of the first x87 register.
const X87: usize = 32;

/// Offset of XSTATE_BV.
const PRESENT: usize = 512;
/// Bytes of an area with everything.
const AREA: usize = 2688;
/// The layout of that area.
pub(crate) const LAYOUT: Layout = Layout {
    avx: 576,
    opmask: 1088,
    zmm_high: 1152,
    zmm_16: 1664,
    aligned: 0xc0,
};

/// Where in the area the parts of a vector register are: the first byte, the offset, the length.
fn places(number: usize) -> Vec<(usize, usize, usize)> {
    match number {
        0..=15 => vec![
            (0, 160 + 16 * number, 16),
            (16, LAYOUT.avx + 16 * number, 16),
            (32, LAYOUT.zmm_high + 32 * number, 32),
        ],
        _ => vec![(0, LAYOUT.zmm_16 + 64 * (number - 16), 64)],
    }
}

/// The registers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Vectors {
    /// The x87 state and MXCSR as FXSAVE has them.
    pub(crate) legacy: [u8; 160],
    /// Vector registers, whole.
    pub(crate) zmm: [[u8; 64]; 32],
    /// Opmask registers.
    pub(crate) opmasks: [u64; 8],
}

impl std::fmt::Debug for Vectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "x87 {:02x?}", &self.legacy[..32])?;
        for st in self.legacy[X87..].chunks(16) {
            writeln!(f, "  {:02x?}", &st[..10])?;
        }
        for (n, zmm) in self.zmm.iter().enumerate() {
            writeln!(f, "zmm{n} {zmm:02x?}")?;
        }
        writeln!(f, "k {:x?}", self.opmasks)
    }
}

impl Vectors {
    /// The state after initialisation.
    pub(crate) fn new() -> Self {
        let mut vectors = Self {
            legacy: [0; 160],
            zmm: [[0; 64]; 32],
            opmasks: [0; 8],
        };
        vectors.reset_x87();
        vectors.set_mxcsr(0x1f80);
        vectors.legacy[MXCSR + 4..MXCSR + 8].copy_from_slice(&0x2_ffffu32.to_le_bytes());
        vectors
    }

    /// Initialises the x87 part.
    pub(crate) fn reset_x87(&mut self) {
        self.legacy[..MXCSR].fill(0);
        self.legacy[X87..].fill(0);
        self.legacy[..2].copy_from_slice(&0x37fu16.to_le_bytes());
    }

    pub(crate) fn set_mxcsr(&mut self, value: u32) {
        self.legacy[MXCSR..MXCSR + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// Says which bits MXCSR can have.
    pub(crate) fn set_mxcsr_mask(&mut self, mask: u32) {
        self.legacy[MXCSR + 4..MXCSR + 8].copy_from_slice(&mask.to_le_bytes());
    }

    /// Whether the next x87 instruction that waits raises #MF.
    pub(crate) fn has_pending_exception(&self) -> bool {
        self.legacy[2] & !self.legacy[0] & 0x3f != 0
    }

    /// The registers as XSAVE writes them.
    pub(crate) fn as_area(&self) -> Vec<u8> {
        let mut area = vec![0; AREA];
        area[..160].copy_from_slice(&self.legacy);
        for (n, zmm) in self.zmm.iter().enumerate() {
            for (from, at, len) in places(n) {
                area[at..at + len].copy_from_slice(&zmm[from..from + len]);
            }
        }
        for (n, mask) in self.opmasks.iter().enumerate() {
            let at = LAYOUT.opmask + 8 * n;
            area[at..at + 8].copy_from_slice(&mask.to_le_bytes());
        }
        area[PRESENT] = 0xe7;
        area
    }

    /// The registers in an area.
    pub(crate) fn from_area(area: &[u8]) -> Self {
        assert_eq!(area[PRESENT + 1..PRESENT + 64], [0; 63]);
        let mut area = area.to_vec();
        for number in [0, 1, 2, 5, 6, 7] {
            area::begin(&mut area, &LAYOUT, number).unwrap();
        }
        assert_eq!(area[PRESENT], 0xe7);
        let mut vectors = Self::new();
        vectors.legacy.copy_from_slice(&area[..160]);
        for (n, zmm) in vectors.zmm.iter_mut().enumerate() {
            for (from, at, len) in places(n) {
                zmm[from..from + len].copy_from_slice(&area[at..at + len]);
            }
        }
        for (n, mask) in vectors.opmasks.iter_mut().enumerate() {
            let at = LAYOUT.opmask + 8 * n;
            *mask = u64::from_le_bytes(area[at..at + 8].try_into().unwrap());
        }
        vectors
    }

    /// Says where two states differ; empty if nowhere.
    pub(crate) fn differences(&self, other: &Self) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        let hex = |bytes: &[u8]| {
            bytes.iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
        };
        for (at, name) in [(0, "FCW"), (2, "FSW"), (4, "FTW"), (MXCSR, "MXCSR")] {
            let (ours, theirs) = (&self.legacy[at..at + 2], &other.legacy[at..at + 2]);
            if ours != theirs {
                let _ = write!(text, "{name} {}, not {}; ", hex(ours), hex(theirs));
            }
        }
        let registers = self.legacy[X87..]
            .chunks(16)
            .zip(other.legacy[X87..].chunks(16));
        for (n, (ours, theirs)) in registers.enumerate() {
            if ours != theirs {
                let _ = write!(text, "ST{n} {}, not {}; ", hex(ours), hex(theirs));
            }
        }
        for (n, (ours, theirs)) in self.zmm.iter().zip(&other.zmm).enumerate() {
            if ours != theirs {
                let _ = write!(text, "ZMM{n} {}, not {}; ", hex(ours), hex(theirs));
            }
        }
        if self.opmasks != other.opmasks {
            let _ = write!(text, "K {:x?}, not {:x?}; ", self.opmasks, other.opmasks);
        }
        text
    }

    /// What can be compared: not the pointers, which AMD's processors store only sometimes, and not
    /// what is reserved.
    pub(crate) fn comparable(&self) -> Self {
        let mut copy = *self;
        copy.legacy[5..MXCSR].fill(0);
        copy.legacy[MXCSR + 4..X87].fill(0);
        for st in copy.legacy[X87..].chunks_mut(16) {
            st[10..].fill(0);
        }
        copy
    }
}
