// SPDX-License-Identifier: GPL-2.0-only

//! Instructions that a processor executes in a guest's place, see [`Replay`].
//!
//! The kernel allows no arithmetic with x87 and vector registers, and code that is made as it runs has no place in it.
//! A virtual processor has both: one that belongs to nobody, with the guest's registers, the one instruction, and three
//! pages of memory. It runs in 64-bit mode with all privileges, which reach nothing. Behind the instruction is HLT, and
//! so it is where each exception leads.
//!
//! ```text
//! 0x0000  page tables: one page that is the table of every level, and maps itself and the others
//! 0x1000  the instruction; 0x1100 where exceptions lead, a byte for each vector; descriptor tables
//! 0x2000  the memory operand; 0x3000 the end of the stack
//! ```

use core::pin::Pin;

use kernel::init::InPlaceInit as _;

use super::device::Lack;
use super::Running;
use crate::abi::errno::Result as Errno;
use crate::emulate::area::Pointers;
use crate::emulate::flags::STATUS;
use crate::emulate::ops::{
    Exception,
    Fault,
    Mode,
    Replay,
    Result, //
};
use crate::emulate::MAX_INSN_LEN;
use crate::hw::npt::P2mType;
use crate::hw::state::{
    CpuState,
    Segment,
    SegmentName,
    CR0_ET,
    CR0_PE,
    CR0_PG,
    CR0_WP,
    CR4_PAE,
    EFER_LMA,
    EFER_LME, //
};
use crate::hw::{
    Backend,
    Exit,
    Vcpu as _, //
};
use crate::mm::p2m::{
    P2m,
    Removed, //
};
use crate::sys::alloc::{
    KBox,
    GFP_KERNEL, //
};
use crate::sys::irq::{
    IrqsOff,
    NoPreempt,
    SoftirqsOff, //
};
use crate::sys::page::PageRef;

/// Where the pages are, in guest physical and linear addresses.
const TABLES: u64 = 0;
const CODE: u64 = 0x1000;
const DATA: u64 = 0x2000;
const END: u64 = 0x3000;

/// Offsets in the page of code.
const HANDLERS: usize = 0x100;
const GDT: usize = 0x200;
const IDT: usize = 0x300;

/// Vectors that have a gate: all exceptions.
const VECTORS: usize = 32;
/// HLT.
const HLT: u8 = 0xf4;
/// Present, writable, accessed, dirty.
const TABLE_ENTRY: u64 = 0x63;
/// Selector and descriptor of 64-bit code; its attributes as [`Segment`] has them.
const CODE_SELECTOR: u16 = 8;
const CODE_DESCRIPTOR: u64 = 0x00af_9b00_0000_ffff;
const CODE_ATTR: u16 = 0xa9b;
/// The same of data.
const DATA_SELECTOR: u16 = 16;
const DATA_DESCRIPTOR: u64 = 0x00cf_9300_0000_ffff;
const DATA_ATTR: u16 = 0xc93;
/// A present interrupt gate.
const GATE: u64 = 0x8e;

/// CR0.MP and CR0.NE: exceptions of x87 are reported as such.
const CR0_MP_NE: u64 = 1 << 1 | 1 << 5;
/// What the guest's CR4 says about its registers: OSFXSR, OSXMMEXCPT, OSXSAVE.
const CR4_UNITS: u64 = 1 << 9 | 1 << 10 | 1 << 18;
/// The bit of RFLAGS that is always set.
const RFLAGS_FIXED: u64 = 1 << 1;

/// Numbers of general registers in instructions.
const RAX: u8 = 0;
const RCX: u8 = 1;
const RDX: u8 = 2;
const RBX: u8 = 3;
const RSP: u8 = 4;

/// How often interrupts may come before the guest's instruction is started again.
const ENTRIES: usize = 64;

/// The processor that belongs to nobody.
pub(super) struct Replayer<B: Backend> {
    // Before its memory, which it must not outlive.
    hw: B::Vcpu,
    code: PageRef,
    data: PageRef,
    _map: Pin<KBox<P2m>>,
}

impl<B: Backend> Replayer<B> {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    fn new() -> Errno<Self> {
        let map = KBox::pin_init(P2m::new()?, GFP_KERNEL)?;
        let mut removed = Removed::with_capacity(1)?;
        let mut page = |at: u64| -> Errno<PageRef> {
            let page = PageRef::zeroed()?;
            // It is no RAM of a domain, which would be counted.
            map.insert(at >> 12, page.clone(), P2mType::Special, &mut removed)?;
            Ok(page)
        };
        let (tables, code, data) = (page(TABLES)?, page(CODE)?, page(DATA)?);
        // Nothing was there before.
        map.release(removed, |_| {});
        fill_tables(&tables);
        fill_code(&code);
        let mut hw = B::Vcpu::new(map.root())?;
        hw.load(&state());
        Ok(Self {
            hw,
            code,
            data,
            _map: map,
        })
    }

    /// Executes the instruction. What the registers are then is in `hw`.
    ///
    /// # Errors
    ///
    /// [`Fault::Retry`] if it did not come to that. [`Fault::Unhandleable`] if it has done what it must not, as access
    /// other memory.
    fn execute(&mut self, replay: &mut Replay) -> Result {
        let insn = replay
            .code
            .get(..replay.len.into())
            .ok_or(Fault::Unhandleable)?;
        self.code.write(0, insn);
        self.code.write(insn.len(), &[HLT]);
        self.data.write(0, &replay.buffer.0);
        let hw = &mut self.hw;
        hw.set_rip(CODE);
        hw.set_rflags(replay.flags & STATUS | RFLAGS_FIXED);
        hw.set_gpr(RAX, replay.rax);
        hw.set_gpr(RCX, replay.rcx);
        hw.set_gpr(RDX, replay.rdx);
        hw.set_gpr(RBX, DATA);
        hw.set_gpr(RSP, END);
        let end = CODE.wrapping_add(replay.len.into());
        match self.run() {
            Exit::Hlt => {}
            Exit::Interrupt | Exit::Nmi | Exit::Gone => return Err(Fault::Retry),
            _ => return Err(Fault::Unhandleable),
        }
        let rip = self.hw.rip();
        if rip != end {
            let handlers = CODE.wrapping_add(HANDLERS as u64);
            return Err(match rip.wrapping_sub(handlers) {
                6 => Exception::UNDEFINED.into(),
                7 => Exception::NO_DEVICE.into(),
                13 => Exception::protection(Mode::Protected).into(),
                16 => Exception::X87.into(),
                19 => Exception::NUMERIC.into(),
                _ => Fault::Unhandleable,
            });
        }
        replay.rax = self.hw.gpr(RAX);
        replay.rcx = self.hw.gpr(RCX);
        replay.rdx = self.hw.gpr(RDX);
        replay.flags = self.hw.rflags();
        self.data.read(0, &mut replay.buffer.0);
        Ok(())
    }

    /// Runs the processor until it exits for another reason than an interrupt of the host's.
    fn run(&mut self) -> Exit {
        let mut exit = Exit::Interrupt;
        for _ in 0..ENTRIES {
            exit = self.enter();
            if !matches!(exit, Exit::Interrupt | Exit::Nmi) {
                break;
            }
        }
        exit
    }

    /// Runs it until it exits, in a section of its own: interrupts, and what they leave to be done, come after it.
    fn enter(&mut self) -> Exit {
        let preempt = NoPreempt::new();
        let softirqs = SoftirqsOff::new(&preempt);
        let irqs = IrqsOff::new();
        self.hw.begin(&preempt, &softirqs, &irqs, false);
        let exit = self.hw.enter(&irqs);
        self.hw.end(&irqs);
        exit
    }
}

impl<B: Backend> Running<'_, B> {
    /// Makes what executes instructions, outside of the emulator: there is too little of the stack left within. `false`
    /// without memory for it.
    #[inline(never)]
    pub(super) fn make_replayer(&mut self) -> bool {
        let Ok(mut new) = Replayer::<B>::new() else {
            return false;
        };
        new.hw.share_predictions(self.hw);
        *self.replayer = KBox::new(new, GFP_KERNEL).ok();
        self.replayer.is_some()
    }

    /// Executes an instruction on a copy of the guest's registers, which is kept for [`Running::commit_replay`].
    ///
    /// # Errors
    ///
    /// The exception that it raises, and those of [`Replayer::execute`].
    pub(super) fn replay(&mut self, replay: &mut Replay) -> Result {
        let Some(replayer) = self.replayer else {
            self.lacks.set(Lack::Replayer);
            return Err(Fault::Retry);
        };
        let cr4 = CR4_PAE | self.hw.cr4() & CR4_UNITS;
        if replayer.hw.cr4() != cr4 {
            replayer.hw.set_cr4(cr4);
        }
        replayer.hw.set_xcr0(self.hw.xcr0());
        let registers = self.hw.vector_registers();
        replayer.hw.change_vector_registers(|copy| {
            for (to, from) in copy.iter_mut().zip(registers) {
                *to = *from;
            }
        });
        match replayer.execute(replay) {
            Err(Fault::Retry) => Err(self.short_of_something()),
            Err(Fault::Unhandleable) => {
                // Whatever it has done is not to meet the next instruction.
                *self.replayer = None;
                Err(Fault::Unhandleable)
            }
            done => {
                if replay.leaves_pointers {
                    let left = Pointers {
                        opcode: replay.opcode,
                        code: self.hw.rip(),
                        data: replay.data_offset,
                    };
                    let hw = &mut replayer.hw;
                    hw.change_vector_registers(|copy| left.replace(copy, CODE, DATA));
                }
                done
            }
        }
    }

    /// Makes the copy of the last replay the guest's registers.
    pub(super) fn commit_replay(&mut self) {
        // As after a write to another register.
        self.end_access();
        if let Some(replayer) = self.replayer {
            let copy = replayer.hw.vector_registers();
            self.hw.change_vector_registers(|registers| {
                for (to, from) in registers.iter_mut().zip(copy) {
                    *to = *from;
                }
            });
        }
    }
}

/// The processor before it executes its first instruction.
fn state() -> CpuState {
    let data = Segment {
        selector: DATA_SELECTOR,
        attr: DATA_ATTR,
        limit: u32::MAX,
        base: 0,
    };
    let table = |offset: usize, bytes: usize| Segment {
        selector: 0,
        attr: 0,
        // CAST: Less than a page.
        limit: bytes.saturating_sub(1) as u32,
        base: CODE.wrapping_add(offset as u64),
    };
    let mut state = CpuState::reset();
    for name in [
        SegmentName::Es,
        SegmentName::Ss,
        SegmentName::Ds,
        SegmentName::Fs,
        SegmentName::Gs,
    ] {
        state.segments[name as usize] = data;
    }
    state.segments[SegmentName::Cs as usize] = Segment {
        selector: CODE_SELECTOR,
        attr: CODE_ATTR,
        ..data
    };
    state.segments[SegmentName::Gdtr as usize] = table(GDT, 3 * 8);
    state.segments[SegmentName::Idtr as usize] = table(IDT, VECTORS * 16);
    state.cr0 = CR0_PE | CR0_MP_NE | CR0_ET | CR0_WP | CR0_PG;
    state.cr3 = TABLES;
    state.cr4 = CR4_PAE;
    state.efer = EFER_LME | EFER_LMA;
    state
}

/// Makes a page the page tables: its first entry leads to itself at each level, so that the page is the last level too,
/// whose first entries map the three pages.
fn fill_tables(page: &PageRef) {
    for (index, at) in [TABLES, CODE, DATA].into_iter().enumerate() {
        page.write(8 * index, &(at | TABLE_ENTRY).to_le_bytes());
    }
}

/// Fills the page of code with what is the same for each instruction.
fn fill_code(page: &PageRef) {
    page.write(HANDLERS, &[HLT; VECTORS]);
    for (index, descriptor) in [0, CODE_DESCRIPTOR, DATA_DESCRIPTOR]
        .into_iter()
        .enumerate()
    {
        page.write(GDT + 8 * index, &u64::to_le_bytes(descriptor));
    }
    for vector in 0..VECTORS {
        // A handler's address is below 64 KiB: the first word of a gate has all of it.
        let offset = CODE.wrapping_add((HANDLERS + vector) as u64);
        let gate = offset | u64::from(CODE_SELECTOR) << 16 | GATE << 40;
        page.write(IDT + 16 * vector, &gate.to_le_bytes());
    }
}

const _: () = {
    assert!(MAX_INSN_LEN < HANDLERS);
    assert!(HANDLERS + VECTORS <= GDT);
    assert!(GDT + 3 * 8 <= IDT);
    assert!(IDT + VECTORS * 16 <= 4096);
};
