// SPDX-License-Identifier: GPL-2.0-only

//! The registers of the x87 and vector units.

/// Offset of MXCSR in the area of FXSAVE.
const MXCSR: usize = 24;
/// Offset of the first x87 register.
const X87: usize = 32;

/// The registers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Vectors {
    /// The x87 state and MXCSR as FXSAVE has them.
    pub(crate) legacy: [u8; 160],
    /// YMM registers.
    pub(crate) ymm: [[u8; 32]; 16],
}

impl std::fmt::Debug for Vectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "x87 {:02x?}", &self.legacy[..32])?;
        for st in self.legacy[X87..].chunks(16) {
            writeln!(f, "  {:02x?}", &st[..10])?;
        }
        for (n, ymm) in self.ymm.iter().enumerate() {
            writeln!(f, "ymm{n} {ymm:02x?}")?;
        }
        Ok(())
    }
}

impl Vectors {
    /// The state after initialisation.
    pub(crate) fn new() -> Self {
        let mut vectors = Self {
            legacy: [0; 160],
            ymm: [[0; 32]; 16],
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

    fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.legacy[at..at + 4].try_into().unwrap())
    }

    pub(crate) fn mxcsr(&self) -> u32 {
        self.word(MXCSR)
    }

    pub(crate) fn mxcsr_mask(&self) -> u32 {
        self.word(MXCSR + 4)
    }

    pub(crate) fn set_mxcsr(&mut self, value: u32) {
        self.legacy[MXCSR..MXCSR + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// Whether the next x87 instruction that waits raises #MF.
    pub(crate) fn has_pending_exception(&self) -> bool {
        self.legacy[2] & !self.legacy[0] & 0x3f != 0
    }

    fn top(&self) -> usize {
        usize::from(self.legacy[3] >> 3 & 7)
    }

    fn place(&self, number: u8) -> usize {
        // Registers are stored from the top of the stack on.
        X87 + 16 * ((usize::from(number) + 8 - self.top()) % 8)
    }

    pub(crate) fn mmx(&self, number: u8) -> u64 {
        let at = self.place(number);
        u64::from_le_bytes(self.legacy[at..at + 8].try_into().unwrap())
    }

    /// Writes an MMX register, in MMX state.
    pub(crate) fn set_mmx(&mut self, number: u8, value: u64) {
        let at = self.place(number);
        self.legacy[at..at + 8].copy_from_slice(&value.to_le_bytes());
        self.legacy[at + 8..at + 10].fill(0xff);
    }

    /// The top of the stack becomes 0 and all registers valid.
    pub(crate) fn enter_mmx(&mut self) {
        let by = 16 * self.top();
        self.legacy[X87..].rotate_right(by);
        self.legacy[3] &= !0x38;
        self.legacy[4] = 0xff;
    }

    /// Says where two states differ; empty if nowhere.
    pub(crate) fn differences(&self, other: &Self) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
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
        for (n, (ours, theirs)) in self.ymm.iter().zip(&other.ymm).enumerate() {
            if ours != theirs {
                let _ = write!(text, "YMM{n} {}, not {}; ", hex(ours), hex(theirs));
            }
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
