// SPDX-License-Identifier: GPL-2.0-only

//! Makes instructions and states that are worth comparing.

use super::*;
use crate::emulate::simd::evex::shape;
use iced_x86::{
    Decoder,
    DecoderOptions, //
};

/// Which instructions to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pick {
    /// Those of the integer unit, mostly.
    Any,
    /// Those of the x87 and vector units.
    Vector,
    /// Moves under a mask.
    Masked,
    /// Arithmetic in EVEX encodings.
    Evex,
    /// All registers, to and from memory.
    State,
    /// Those of [`Bench::found`], one after the other.
    Found,
}

/// An instruction and the state in which it is executed.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub(super) code: CodeWidth,
    pub(super) bytes: Vec<u8>,
    /// Where in the code page it is.
    pub(super) offset: u64,
    pub(super) gprs: [u64; 16],
    pub(super) flags: u64,
    /// Bytes put in memory at an offset.
    pub(super) puts: Vec<(usize, Vec<u8>)>,
    pub(super) vectors: Option<Box<Vectors>>,
}

/// Whether a process may execute the instruction and can be compared afterwards.
pub(super) fn is_harmless(insn: &Decoded, gprs: &[u64; 16]) -> bool {
    // Those two segments have bases of their own here.
    if matches!(insn.prefixes.segment, Some(Segment::Fs | Segment::Gs)) {
        return false;
    }
    let digit = insn.digit();
    let register = matches!(insn.rm, Rm::Register(_));
    if !insn.is_legacy() {
        return true;
    }
    match (insn.map, insn.opcode) {
        // MOV to FS and GS.
        (Map::One, 0x8e) => !matches!(digit, 4 | 5),
        // Linux's other system call.
        (Map::One, 0xcd) => insn.immediate & 0xff != 0x80,
        // SYSCALL and SYSENTER.
        (Map::Of, 0x05 | 0x34) => false,
        // INT1, which hypervisors do not get right.
        (Map::One, 0xf1) => false,
        // SLDT, STR, SGDT, SIDT and SMSW, which kernels imitate.
        (Map::Of, 0x00) if digit < 2 => false,
        // VERW, with a LOCK that processors overlook which clear buffers with it.
        (Map::Of, 0x00) if digit == 5 => !insn.prefixes.lock,
        (Map::Of, 0x01) if matches!((digit, register), (0 | 1, false) | (4, _)) => false,
        // RDTSCP.
        (Map::Of, 0x01) if insn.modrm.0 == 0xf9 => false,
        // XGETBV.
        (Map::Of, 0x01) if insn.modrm.0 == 0xd0 => gprs[RCX] as u32 != 1,
        // RDTSC, RDPMC, CPUID; loads of FS and GS.
        (Map::Of, 0x31 | 0x33 | 0xa2 | 0xa1 | 0xa9 | 0xb4 | 0xb5) => false,
        // FS and GS again.
        (Map::Of, 0xae) => !(register && digit < 4),
        // RDRAND, RDSEED, RDPID.
        (Map::Of, 0xc7) => !(register && digit > 5),
        _ => true,
    }
}

impl Random {
    /// A number that is interesting to arithmetic.
    fn operand(&mut self) -> u64 {
        match self.below(6) {
            0 => self.next() & 0xff,
            1 => self.pick(&[
                0,
                1,
                0x7f,
                0x80,
                0xff,
                0x7fff,
                0x8000,
                0x7fff_ffff,
                0x8000_0000,
                0xffff_ffff,
                i64::MAX as u64,
                i64::MIN as u64,
                u64::MAX,
            ]),
            // A small negative number of some width: distances of bits.
            2 => {
                let width = self.pick(&[Width::Word, Width::Dword, Width::Qword]);
                let number = (self.next() % 0x400).wrapping_neg();
                width.truncate(number) | (self.next() & !width.mask())
            }
            3 => self.next() >> self.below(64),
            _ => self.next(),
        }
    }

    /// An offset in the window, often near where something changes.
    fn place(&mut self) -> u64 {
        let edge = self.pick(&[1, 1, 1, 1, 1, 1, 1, 0, 2, 3]) * PAGE as u64;
        let distance = self.below(128) as u64;
        match edge {
            // Below the first page is a hole.
            0 => edge.wrapping_add(distance).wrapping_sub(12),
            3 => edge + distance - 120,
            _ => edge + distance - 64,
        }
    }

    /// Prefixes, an opcode in some map, and anything after it.
    fn any(&mut self, code: CodeWidth) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(20);
        for _ in 0..self.pick(&[0, 0, 0, 1, 1, 2]) {
            bytes.push(self.pick(&[0x26, 0x2e, 0x36, 0x3e, 0x66, 0x66, 0x67, 0xf0, 0xf2, 0xf3]));
        }
        if code == CodeWidth::Bits64 && self.below(2) == 0 {
            bytes.push(0x40 + self.below(16) as u8);
        }
        match self.below(10) {
            0 => {
                bytes.extend([0x0f, 0x38]);
                bytes.push(self.pick(&[0xf0, 0xf1, 0xf6, 0xf8, 0xf9, 0x82]));
            }
            1 => {
                // VEX with the opcodes that work on general registers.
                bytes.retain(|b| !matches!(b, 0x40..=0x4f | 0x66 | 0xf0 | 0xf2 | 0xf3));
                let one = self.byte() & 0xe0 | if self.below(6) == 0 { 3 } else { 2 };
                bytes.extend([0xc4, one, self.byte() & 0xfb]);
                bytes.push(match one & 3 {
                    3 => 0xf0,
                    _ => self.pick(&[0xf2, 0xf3, 0xf5, 0xf6, 0xf7]),
                });
            }
            2..=4 => {
                bytes.push(0x0f);
                bytes.push(self.byte());
            }
            _ => bytes.push(self.byte()),
        }
        bytes.push(self.byte());
        bytes.extend(self.next().to_le_bytes());
        bytes.extend(self.next().to_le_bytes());
        bytes.truncate(15);
        bytes
    }
}

impl Random {
    /// A move under a mask.
    fn masked(&mut self, code: CodeWidth) -> Vec<u8> {
        let long = code == CodeWidth::Bits64;
        let mut bytes = Vec::with_capacity(20);
        let modrm = self.byte();
        match self.below(8) {
            0 | 1 => {
                if self.below(8) != 0 {
                    bytes.push(0x66);
                }
                if long && self.below(2) == 0 {
                    bytes.push(0x40 + self.below(16) as u8);
                }
                bytes.extend([0x0f, 0xf7, modrm | 0xc0]);
            }
            2..=4 => {
                let high = if long { self.byte() & 0xe0 } else { 0xe0 };
                let w = if self.below(3) == 0 { 0x80 } else { 0 };
                let map = if self.below(8) == 0 { 1 } else { 2 };
                let opcode = match map {
                    1 => 0xf7,
                    _ => self.pick(&[0x2c, 0x2d, 0x2e, 0x2f, 0x8c, 0x8e]),
                };
                let vvvv = if map == 1 && self.below(4) != 0 {
                    0x79
                } else {
                    self.byte() & 0x7c | 1
                };
                let vvvv = if long { vvvv } else { vvvv | 0x40 };
                bytes.extend([0xc4, high | map, w | vvvv, opcode, modrm]);
            }
            _ => {
                let high = if long { self.byte() & 0xf0 } else { 0xf0 };
                let two = self.byte() & 0x83 | 0x7c;
                let broadcast = if self.below(16) == 0 { 0x10 } else { 0 };
                let zeroing = if self.below(3) == 0 { 0x80 } else { 0 };
                let three = self.byte() & 0x67 | 8 | zeroing | broadcast;
                let opcode = self.pick(&[
                    0x10, 0x11, 0x28, 0x29, 0x6f, 0x6f, 0x7f, 0x7f, 0x12, 0x2b, 0xe7, 0x7e,
                ]);
                bytes.extend([0x62, high | 1, two, three, opcode, modrm]);
            }
        }
        bytes.extend(self.next().to_le_bytes());
        bytes.truncate(15);
        bytes
    }

    /// Arithmetic in an EVEX encoding, mostly one that is known.
    fn evex(&mut self, code: CodeWidth) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(20);
        for _ in 0..64 {
            let long = code == CodeWidth::Bits64;
            let one = self.byte() & if long { 0xf0 } else { 0x30 } | if long { 0 } else { 0xc0 };
            let none = if self.below(2) == 0 { 0x78 } else { 0 };
            let two = self.byte() & 0xfb | none | 4;
            let length = self.pick(&[0, 1, 2, 2, 0, 1, 2, 2, 3]) << 5;
            let mask = self.pick(&[0, 1]) * self.byte() & 7;
            let zeroing = if mask != 0 {
                self.pick(&[0, 0, 0x80])
            } else {
                0
            };
            let single = self.pick(&[0, 0, 0x10]);
            let high = match long {
                true => self.pick(&[8, 8, 0]),
                false => self.pick(&[8, 8, 8, 8, 8, 8, 8, 0]),
            };
            let three = zeroing | length | single | high | mask;
            let map = one | 1 + self.below(3) as u8;
            // Memory, mostly.
            let modrm = self.byte() & self.pick(&[0x3f, 0x7f, 0xbf, 0xff]);
            bytes.clear();
            bytes.extend([0x62, map, two, three, self.byte(), modrm]);
            bytes.extend(self.next().to_le_bytes());
            let insn = decode(&bytes, code, vendor());
            if insn.is_ok_and(|insn| shape::find(&insn).is_some()) {
                break;
            }
        }
        bytes
    }

    /// An instruction that saves or restores all registers, with EBX or BX for its operand.
    fn state(&mut self, code: CodeWidth) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4);
        if code == CodeWidth::Bits64 && self.below(2) == 0 {
            bytes.push(self.pick(&[0x48, 0x48, 0x40]));
        }
        let (opcode, digit) = self.pick(&[
            (0xae, 0),
            (0xae, 1),
            (0xae, 4),
            (0xae, 5),
            (0xae, 5),
            (0xae, 6),
            (0xc7, 4),
        ]);
        let rm = if code == CodeWidth::Bits16 { 7 } else { 3 };
        bytes.extend([0x0f, opcode, digit << 3 | rm]);
        bytes
    }

    /// What such an instruction finds in memory: registers, or something that is almost that.
    fn saved_state(&mut self) -> Vec<u8> {
        let mut area = self.vectors().as_area();
        let all = xcr0() & 0xe7;
        let any = self.next();
        let present = self.pick(&[all, all, all & any, all & any, any]);
        area[512..520].copy_from_slice(&present.to_le_bytes());
        if self.below(3) == 0 {
            let parts = self.pick(&[all, present & all | any & all, any]);
            let compaction = parts | self.pick(&[1, 1, 1, 0]) << 63;
            area[520..528].copy_from_slice(&compaction.to_le_bytes());
        }
        if self.below(6) == 0 {
            area[528 + self.below(48)] = 1;
        }
        if self.below(8) == 0 {
            area[24..28].copy_from_slice(&(self.next() as u32).to_le_bytes());
        }
        let any = self.byte();
        area[28..32].fill(any);
        for st in area[32..160].chunks_mut(16) {
            st[10..].fill(any);
        }
        area
    }

    /// Sets everything up for an instruction of [`Random::state`].
    fn aim_state(&mut self, recipe: &mut Recipe, window: u64, base: u64) {
        let edge = self.pick(&[1, 1, 1, 1, 0, 2, 3]) * PAGE;
        let before = self.below(2900) & !63;
        let mut at = match edge {
            0 => self.below(128) & !63,
            _ => edge - before,
        };
        if self.below(16) == 0 {
            at += self.pick(&[1, 2, 4, 8, 16, 32]);
        }
        let area = self.saved_state();
        if at < 2 * PAGE {
            let len = area.len().min(2 * PAGE - at);
            recipe.puts.push((at, area[..len].to_vec()));
        }
        let at = if edge == 0 && self.below(2) == 0 {
            (at as u64).wrapping_sub(512)
        } else {
            at as u64
        };
        recipe.gprs[RBX] = window.wrapping_add(at).wrapping_sub(base);
        let all = xcr0() & 0xe7;
        let any = self.next();
        let asked = self.pick(&[all, all, all & any, any & !(xcr0() & !all)]);
        recipe.gprs[RAX] = asked & 0xffff_ffff | any << 32;
        recipe.gprs[2] = asked >> 32 | any << 32;
    }

    /// An x87, MMX or vector instruction.
    fn vector(&mut self, code: CodeWidth) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(20);
        if self.below(8) == 0 {
            bytes.push(self.pick(&[0x26, 0x2e, 0x36, 0x3e, 0x67]));
        }
        let opcode = |random: &mut Self| match random.below(3) {
            0 => random.pick(&[
                0x10, 0x11, 0x12, 0x13, 0x16, 0x17, 0x28, 0x29, 0x6e, 0x6f, 0x7e, 0x7f,
            ]),
            1 => 0x50 + (random.next() % 0xb0) as u8,
            _ => random.byte(),
        };
        match self.below(8) {
            0 | 1 => {
                if self.below(8) == 0 {
                    bytes.push(0x66);
                }
                bytes.push(0xd8 + self.below(8) as u8);
            }
            2..=4 => {
                let prefix: &[u8] = self.pick(&[&[][..], &[0x66], &[0xf3], &[0xf2], &[0x66, 0xf2]]);
                bytes.extend(prefix);
                if code == CodeWidth::Bits64 && self.below(2) == 0 {
                    bytes.push(0x40 + self.below(16) as u8);
                }
                bytes.push(0x0f);
                match self.below(4) {
                    0 => bytes.extend([0x38, self.byte()]),
                    1 => bytes.extend([0x3a, self.byte() & 0x7f]),
                    _ => {
                        let opcode = opcode(self);
                        bytes.push(opcode);
                    }
                }
            }
            5 if self.below(2) == 0 => {
                // EVEX: mostly without a mask, and with an opcode that moves.
                let one = self.byte() & 0xf0 | if self.below(8) == 0 { 2 } else { 1 };
                let one = if code == CodeWidth::Bits64 {
                    one
                } else {
                    one | 0xc0
                };
                let usual = self.below(4) != 0;
                let two = self.byte() & 0x83 | if usual { 0x7c } else { self.byte() & 0x78 | 4 };
                let three = self.byte() & 0x60 | if usual { 8 } else { self.byte() & 0x97 };
                let opcode = self.pick(&[
                    0x10, 0x11, 0x28, 0x29, 0x6f, 0x6f, 0x7f, 0x7f, 0x12, 0x13, 0x16, 0x17, 0x2a,
                    0x2b, 0xe7, 0x6e, 0x7e, 0xd6,
                ]);
                bytes.extend([0x62, one, two, three, opcode]);
            }
            5 => {
                let opcode = opcode(self);
                bytes.extend([0xc5, self.byte() | 0x80, opcode]);
            }
            _ => {
                let map = 1 + self.below(3) as u8;
                let opcode = match map {
                    1 => opcode(self),
                    _ => self.byte() & 0xbf,
                };
                let none = if self.below(2) == 0 { 0x78 } else { 0 };
                bytes.extend([
                    0xc4,
                    self.byte() & 0xe0 | 0xc0 | map,
                    self.byte() | none,
                    opcode,
                ]);
            }
        }
        bytes.push(self.byte());
        bytes.extend(self.next().to_le_bytes());
        bytes.truncate(15);
        bytes
    }

    /// States of the x87 and vector units.
    fn vectors(&mut self) -> Vectors {
        let mut vectors = Vectors::new();
        for zmm in &mut vectors.zmm {
            match self.below(4) {
                0 => zmm.fill_with(|| self.byte()),
                1 => zmm.fill_with(|| self.pick(&[0, 0, 0x80, 0x3f, 0xff, 1])),
                2 => {
                    for part in zmm.chunks_mut(4) {
                        let number = self.below(1000) as f32 / 8.0 - 60.0;
                        part.copy_from_slice(&number.to_le_bytes());
                    }
                }
                _ => {
                    for part in zmm.chunks_mut(8) {
                        let number = self.below(1000) as f64 / 8.0 - 60.0;
                        part.copy_from_slice(&number.to_le_bytes());
                    }
                }
            }
        }
        for mask in &mut vectors.opmasks {
            *mask = match self.below(4) {
                0 => 0,
                1 => 1 << self.below(64),
                2 => self.next() << self.below(64) >> self.below(64),
                _ => self.next(),
            };
        }
        // None of the components is in its initial state.
        vectors.opmasks[7] |= 1;
        if xcr0() & 0xe0 != 0xe0 {
            // What this processor does not have stays as it is.
            vectors.opmasks = [0; 8];
            vectors.zmm[16..].fill([0; 64]);
            vectors.zmm.iter_mut().for_each(|zmm| zmm[32..].fill(0));
        }
        for st in vectors.legacy[32..].chunks_mut(16) {
            st[..8].copy_from_slice(&(self.next() | 1 << 63).to_le_bytes());
            st[8..10].copy_from_slice(&(0x3ff0 + self.below(32) as u16).to_le_bytes());
            if self.below(4) == 0 {
                st[..10].fill_with(|| self.byte());
            }
        }
        // Rounding, precision, tags, and now and then exceptions that are not masked.
        vectors.legacy[1] = self.pick(&[3, 3, 2, 0, 7, 0xb, 0xf]);
        vectors.legacy[3] = self.byte() & 0x7f;
        let any = self.byte();
        vectors.legacy[4] = self.pick(&[0, 0xff, 0xff, any]);
        if self.below(8) == 0 {
            vectors.legacy[0] = self.byte() & 0x3f | 0x40;
            vectors.legacy[2] = self.byte() & 0x7f;
            if vectors.has_pending_exception() {
                // ES and B.
                vectors.legacy[2] |= 0x80;
                vectors.legacy[3] |= 0x80;
            }
        }
        let mxcsr = match self.below(8) {
            0 => self.next() as u32 & 0xffff,
            1 => 0x1f80 | self.next() as u32 & 0xe07f,
            _ => 0x1f80,
        };
        vectors.set_mxcsr(mxcsr);
        vectors.set_mxcsr_mask(mxcsr_mask());
        vectors
    }
}

/// The bits that MXCSR has here.
fn mxcsr_mask() -> u32 {
    #[repr(align(16))]
    struct Area([u8; 512]);
    let mut area = Area([0; 512]);
    // SAFETY: It is as long and as aligned as it must be.
    unsafe { std::arch::x86_64::_fxsave64(area.0.as_mut_ptr()) };
    match u32::from_le_bytes(area.0[28..32].try_into().unwrap()) {
        0 => 0xffbf,
        mask => mask,
    }
}

/// What memory holds before an instruction.
pub(super) fn memory() -> Vec<u8> {
    let mut random = Random(0);
    let mut memory = vec![0; WINDOW_LEN];
    memory.fill_with(|| match random.below(2) {
        // Few values, so that comparisons come out equal now and then.
        0 => random.pick(&[0, 0xff, 0x80, 0x01, 0x5a]),
        _ => random.byte(),
    });
    memory
}

impl Recipe {
    pub(super) fn new(bench: &Bench, code: CodeWidth, pick: Pick, seed: u64) -> Self {
        let mut random = Random(seed);
        let bytes = match pick {
            Pick::Any => random.any(code),
            Pick::Vector => random.vector(code),
            Pick::Masked => random.masked(code),
            Pick::Evex => random.evex(code),
            Pick::State => random.state(code),
            Pick::Found => bench.found[seed as usize % bench.found.len()].clone(),
        };
        let vectors = Some(Box::new(random.vectors()));
        let mut gprs = [0; 16];
        gprs.fill_with(|| random.operand());
        let mut recipe = Self {
            code,
            bytes,
            offset: random.below(PAGE - 64) as u64,
            gprs,
            flags: random.next() & (STATUS | DF) | if random.below(16) == 0 { AC } else { 0 },
            puts: Vec::new(),
            vectors,
        };
        if pick == Pick::State {
            let native = bench.native.borrow();
            let base = match code {
                CodeWidth::Bits16 => native.code(),
                _ => 0,
            };
            random.aim_state(&mut recipe, native.window(), base);
        } else {
            recipe.aim(bench, &mut random);
        }
        recipe
    }

    /// Sets registers and displacements so that memory operands are in the window.
    fn aim(&mut self, bench: &Bench, random: &mut Random) {
        let window = bench.native.borrow().window();
        // What an address has to be, given the segment's base.
        let base = match self.code {
            CodeWidth::Bits16 => bench.native.borrow().code(),
            _ => 0,
        };
        self.gprs[RSP] = window.wrapping_add(random.place()) - base;
        if random.below(3) == 0 {
            self.gprs[5] = window.wrapping_add(random.place()) - base;
        }
        let Ok(insn) = decode(&self.bytes, self.code, vendor()) else {
            return;
        };
        // IRET sets AC before it has read all, and the processor may fault then. A kernel that watches for locked
        // accesses of two cache lines takes that for one, and where it cannot stop to watch it has it done again for
        // ever.
        if (insn.map, insn.opcode) == (Map::One, 0xcf) {
            self.gprs[RSP] &= !7;
        }
        if !insn.is_legacy() && random.below(2) == 0 {
            // BEXTR and BZHI have small numbers in this one.
            let number = usize::from(insn.vector.register & 15);
            self.gprs[number] = random.next() & 0x7f7f;
        }
        if insn.map == Map::One && (0x6c..=0x6f).contains(&insn.opcode)
            || (0xa4..=0xa7).contains(&insn.opcode)
            || (0xaa..=0xaf).contains(&insn.opcode)
        {
            self.gprs[RSI] = window.wrapping_add(random.place()) - base;
            self.gprs[RDI] = window.wrapping_add(random.place()) - base;
            self.gprs[RCX] = random.below(4) as u64;
        }
        if insn.map == Map::Of && insn.opcode == 0xf7 {
            self.gprs[RDI] = window.wrapping_add(random.place()) - base;
        }
        // Selectors, where some are expected.
        if random.below(2) == 0 {
            if let (Map::Of, 0x00 | 0x02 | 0x03) | (Map::One, 0x8e) = (insn.map, insn.opcode) {
                if let Rm::Register(number) = insn.rm {
                    let selector = self.selector(bench, random);
                    self.gprs[usize::from(number.number())] = selector.into();
                }
            }
        }
        for _ in 0..4 {
            // The same is not to be at the same place always.
            let at = random.below(2 * PAGE - 8);
            self.puts.push((at, random.next().to_le_bytes().to_vec()));
        }
        let place = random.place();
        if let Rm::Memory(address) = insn.rm {
            let target = window.wrapping_add(place) - base;
            self.aim_address(&insn, &address, target, bench.native.borrow().code());
        }
        if random.below(4) != 0 {
            self.aim_far(bench, random, &insn, place);
        }
        // The length does not change by that.
        self.bytes.truncate(usize::from(insn.len).max(1));
    }

    /// Puts far pointers and frames where instructions expect some.
    fn aim_far(&mut self, bench: &Bench, random: &mut Random, insn: &Decoded, place: u64) {
        if !insn.is_legacy() {
            return;
        }
        let selector = self.selector(bench, random);
        // A place in the code page, as the segment counts it.
        let mut offset = random.below(PAGE) as u64;
        if selector & 4 == 0 {
            offset += bench.native.borrow().code();
        }
        let width = insn.operand_size;
        let base = match self.code {
            CodeWidth::Bits16 => bench.native.borrow().code(),
            _ => 0,
        };
        let stack = (self.gprs[RSP] & u64::from(u32::MAX))
            .wrapping_add(base)
            .wrapping_sub(bench.native.borrow().window());
        let mut items = Vec::new();
        let mut item = |value: u64, width: Width| {
            items.extend(&value.to_le_bytes()[..width.bytes()]);
        };
        let at = match (insn.map, insn.opcode) {
            (Map::One, 0xff) if matches!(insn.digit(), 3 | 5) => {
                item(offset, width.min(Width::Dword));
                item(selector.into(), Width::Word);
                place
            }
            (Map::One, 0xc4 | 0xc5) | (Map::Of, 0xb2) => {
                item(offset, width.min(Width::Dword));
                item(selector.into(), Width::Word);
                place
            }
            (Map::One, 0x9a | 0xea) => {
                let len = usize::from(insn.len);
                self.bytes[len - 2..len].copy_from_slice(&selector.to_le_bytes());
                let end = len - 2;
                let start = end - width.bytes();
                let offset = &offset.to_le_bytes()[..width.bytes()];
                self.bytes[start..end].copy_from_slice(offset);
                return;
            }
            (Map::One, 0xca | 0xcb | 0xcf) => {
                item(offset, width);
                item(selector.into(), width);
                if insn.opcode == 0xcf {
                    item(random.next(), width);
                    item(self.gprs[RSP].wrapping_add(random.below(64) as u64), width);
                    item(self.selector(bench, random).into(), width);
                }
                stack
            }
            (Map::One, 0x07 | 0x17 | 0x1f) => {
                item(selector.into(), width);
                stack
            }
            (Map::One, 0x8e) | (Map::Of, 0x00 | 0x02 | 0x03) => {
                item(selector.into(), Width::Word);
                place
            }
            _ => return,
        };
        if at < (2 * PAGE - items.len()) as u64 {
            self.puts.push((at as usize, items));
        }
    }

    /// A selector of some segment, or of none.
    fn selector(&self, bench: &Bench, random: &mut Random) -> u16 {
        match random.below(4) {
            0 => random.pick(&[0, 1, 3, 0x10, 0x18, 0x1b, 0x80, 0x88, 0xfff8]),
            1 => random.pick(&[USER_CS, USER32_CS, USER_DS, 0x28, 0x2a]),
            _ if bench.selectors.is_empty() => 0,
            _ => random.pick(&bench.selectors),
        }
    }

    /// Chooses the address's base register, or the displacement, so that it is `target`.
    fn aim_address(&mut self, insn: &Decoded, address: &Address, target: u64, code: u64) {
        let width = Width::from(address.size);
        let index = match address.index {
            Some(index) => self.gprs[usize::from(index.register.number())] << index.shift,
            None => 0,
        };
        let bits = oracle_bits(self.code);
        let set_displacement = |bytes: &mut [u8], value: u64| {
            let options = DecoderOptions::AMD;
            let mut decoder = Decoder::new(bits, bytes, options);
            let truth = decoder.decode();
            let constants = decoder.get_constant_offsets(&truth);
            let at = constants.displacement_offset();
            let len = constants.displacement_size();
            if constants.has_displacement() && len >= 2 {
                bytes[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
            }
        };
        match address.base {
            Base::Register(base) => {
                if address.index.is_some_and(|index| index.register == base) {
                    return;
                }
                let value = target
                    .wrapping_sub(index)
                    .wrapping_sub(address.displacement);
                let old = self.gprs[usize::from(base.number())];
                // What is above the address size must not matter.
                self.gprs[usize::from(base.number())] =
                    width.truncate(value) | (old & !width.mask());
            }
            Base::None => set_displacement(&mut self.bytes, target.wrapping_sub(index)),
            Base::NextInsn => {
                let next = code + self.offset + u64::from(insn.len);
                set_displacement(&mut self.bytes, target.wrapping_sub(next));
            }
        }
    }
}
