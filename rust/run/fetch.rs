// SPDX-License-Identifier: GPL-2.0-only

//! The instruction that exited: its bytes and its end.

use super::Running;
use crate::emulate::skip::{
    plain_len_64,
    skip_len,
    Skip, //
};
use crate::emulate::CodeWidth;
use crate::hw::state::{
    SegmentName,
    CR0_PE,
    CR0_PG,
    CR4_LA57,
    EFER_LMA,
    RFLAGS_VM, //
};
use crate::hw::{
    Backend,
    Vcpu as _, //
};
use crate::mm::guest::{
    fetch,
    FastMemory, //
};
use crate::mm::walk::Paging;
use crate::sys::irq::IrqsOff;

/// What was fetched.
pub(super) struct Insn {
    pub(super) bytes: [u8; 15],
    pub(super) len: usize,
    /// RIP after the instruction, if it is the one that was expected.
    pub(super) next_rip: Option<u64>,
}

impl Insn {
    pub(super) const fn new() -> Self {
        Self {
            bytes: [0; 15],
            len: 0,
            next_rip: None,
        }
    }
}

/// RFLAGS.AC.
const RFLAGS_AC: u64 = 1 << 18;

impl<B: Backend> Running<'_, B> {
    /// How the guest's linear addresses are translated now.
    #[inline]
    pub(super) fn paging(&self) -> Paging {
        Paging {
            cr0: self.hw.cr0(),
            cr3: self.hw.cr3(),
            cr4: self.hw.cr4(),
            efer: self.hw.efer(),
            ac: self.hw.rflags() & RFLAGS_AC != 0,
        }
    }

    /// The width of the code that runs.
    #[inline]
    pub(super) fn code_width(&self) -> CodeWidth {
        let cs = self.hw.segment(SegmentName::Cs);
        if cs.long() && self.hw.efer() & EFER_LMA != 0 {
            CodeWidth::Bits64
        } else if self.hw.cr0() & CR0_PE == 0 || self.hw.rflags() & RFLAGS_VM != 0 || !cs.big() {
            CodeWidth::Bits16
        } else {
            CodeWidth::Bits32
        }
    }

    /// Where the instruction is.
    #[inline]
    pub(super) fn code_address(&self, width: CodeWidth) -> u64 {
        let rip = self.hw.rip();
        if width == CodeWidth::Bits64 {
            rip
        } else {
            self.hw.segment(SegmentName::Cs).base.wrapping_add(rip) & 0xffff_ffff
        }
    }

    /// Fetches the instruction's bytes into `insn`.
    pub(super) fn fetch_bytes(&mut self, irqs: &IrqsOff) {
        let width = self.code_width();
        let paging = self.paging();
        let at = self.code_address(width);
        let user = self.hw.cpl() == 3;
        let memory = FastMemory {
            p2m: &self.domain.p2m,
            irqs,
        };
        self.insn.len = fetch(&memory, &paging, at, user, &mut self.insn.bytes);
        let have = self.insn.len;
        if have != 0 && have < self.insn.bytes.len() {
            // The page ends before the longest instruction would. The rest may be in the next one.
            let mut rest = [0; 15];
            let more = fetch(
                &memory,
                &paging,
                at.wrapping_add(have as u64),
                user,
                &mut rest,
            );
            let room = self.insn.bytes.iter_mut().skip(have);
            for (to, from) in room.zip(rest.iter().take(more)) {
                *to = *from;
            }
            self.insn.len = (have + more).min(self.insn.bytes.len());
        }
    }

    /// RIP after the instruction that exited. `None` if memory no longer holds the instruction that was intercepted:
    /// the guest is then entered again and executes what is there now.
    ///
    /// To be called with a constant, for which it is a few comparisons where the processor does not tell.
    #[inline(always)]
    pub(super) fn skip(&mut self, expected: Skip, irqs: &IrqsOff) -> Option<u64> {
        if let Some(rip) = self.hw.next_rip() {
            return Some(rip);
        }
        if self.in_long_mode() {
            let rip = self.hw.rip();
            let head = self.frames.head(self.hw.cr3(), rip, irqs);
            if let Some(len) = head.and_then(|head| plain_len_64(head, expected)) {
                return Some(rip.wrapping_add(len.into()));
            }
        }
        self.skip_by_decoding(expected, irqs)
    }

    /// Whether 64-bit code runs in a four-level address space, which is nearly always.
    #[inline(always)]
    fn in_long_mode(&self) -> bool {
        self.hw.efer() & EFER_LMA != 0
            && self.hw.segment(SegmentName::Cs).long()
            && self.hw.cr4() & CR4_LA57 == 0
    }

    /// [`Running::skip`] from remembered frames.
    #[inline(never)]
    pub(super) fn skip_by_decoding(&mut self, expected: Skip, irqs: &IrqsOff) -> Option<u64> {
        if let Some(rip) = self.hw.next_rip() {
            return Some(rip);
        }
        if self.in_long_mode() {
            let rip = self.hw.rip();
            let code = self.frames.code(&self.domain.p2m, self.hw.cr3(), rip, irqs);
            if let Some(len) =
                code.and_then(|code| skip_len(code.get(..15)?, CodeWidth::Bits64, expected))
            {
                return Some(rip.wrapping_add(len.into()));
            }
        } else if self.hw.cr0() & CR0_PG == 0 {
            let width = self.code_width();
            let at = self.code_address(width);
            let code = self.frames.code_at(&self.domain.p2m, at, irqs);
            if let Some(len) = code.and_then(|code| skip_len(code.get(..15)?, width, expected)) {
                return Some(self.wrap_rip(self.hw.rip().wrapping_add(len.into()), width));
            }
        }
        self.skip_by_walking(expected, irqs)
    }

    /// In any code.
    #[inline(never)]
    fn skip_by_walking(&mut self, expected: Skip, irqs: &IrqsOff) -> Option<u64> {
        let width = self.code_width();
        let paging = self.paging();
        let at = self.code_address(width);
        let user = self.hw.cpl() == 3;
        let memory = FastMemory {
            p2m: &self.domain.p2m,
            irqs,
        };
        let mut bytes = [0; 15];
        let len = fetch(&memory, &paging, at, user, &mut bytes);
        let mut length = skip_len(bytes.get(..len)?, width, expected);
        if length.is_none() && len < bytes.len() {
            self.fetch_bytes(irqs);
            length = skip_len(self.insn.bytes.get(..self.insn.len)?, width, expected);
        }
        Some(self.wrap_rip(self.hw.rip().wrapping_add(length?.into()), width))
    }

    /// What RIP can hold in this code.
    #[inline]
    pub(super) fn wrap_rip(&self, rip: u64, width: CodeWidth) -> u64 {
        match width {
            CodeWidth::Bits64 => rip,
            _ => rip & 0xffff_ffff,
        }
    }
}
