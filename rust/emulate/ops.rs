// SPDX-License-Identifier: GPL-2.0-only

//! The emulator's only way to the guest.
//!
//! Everything that an instruction reads or changes goes through [`Ops`] and the two traits below
//! it, [`System`] and [`Fpu`]. The same emulator thus runs in the module, in tests and in a fuzzer.
//!
//! # Order of calls
//!
//! An instruction first has every operand in memory translated ([`Ops::translate`]), in the order
//! in which the processor would report faults; then it reads; then it computes; then it writes
//! memory, once; and last it writes registers and flags, which cannot fail. A [`Fault`] from any
//! call ends the instruction at once, so that nothing of it has happened by then. That is what lets
//! an implementation ask a monitor or a device model, return [`Fault::Retry`], and have the
//! instruction started again when there is an answer.
//!
//! The iterations of a repeated string instruction are instructions of their own in this sense.
//!
//! Instructions that load segments are as the architecture makes them: which memory comes next
//! depends on what was read, so that translations follow reads. All translations still come before
//! the first write. Two kinds of instruction write twice:
//!
//! - Loading a segment sets the accessed (or busy) bit of its descriptor if it is clear, before the
//!   instruction's own write if there is one. Processors do so as well, and may even if the
//!   instruction then faults.
//! - A stack frame that lies on both sides of the place where the stack pointer wraps is written in
//!   two parts.
//!
//! Instructions that access only some elements of their operand, or only some components of the
//! processor's state, read or write these one after the other ([`Ops::part`]), in ascending order. What
//! lies between is not touched. All of it was translated before.
//!
//! An instruction that is started again makes the same calls in the same order, if reads return the
//! same. An implementation that answers [`Fault::Retry`] to the second write therefore has only to
//! remember that the first one is done.
//!
//! A system register that can refuse (MSRs, control registers) is written before anything else, and
//! nothing of those instructions can fail afterwards.

use super::{
    prefix::Segment,
    width::Width,
    Vendor, //
};

mod fpu;
mod system;

pub(crate) use fpu::{
    Buffer,
    Fpu,
    Replay,
    Rest,
    BUFFER_LEN, //
};
pub(crate) use system::{
    CacheControl,
    Control,
    Invalidation,
    System,
    SystemSegment,
    Table,
    TableState,
    TaskSwitch, //
};

/// The number of a general register, 0 to 15, as instructions encode it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gpr(u8);

impl Gpr {
    /// AX, EAX, RAX.
    pub(crate) const RAX: Self = Self(0);
    /// CX, ECX, RCX.
    pub(crate) const RCX: Self = Self(1);
    /// DX, EDX, RDX.
    pub(crate) const RDX: Self = Self(2);
    /// BX, EBX, RBX.
    pub(crate) const RBX: Self = Self(3);
    /// SP, ESP, RSP.
    pub(crate) const RSP: Self = Self(4);
    /// BP, EBP, RBP.
    pub(crate) const RBP: Self = Self(5);
    /// SI, ESI, RSI.
    pub(crate) const RSI: Self = Self(6);
    /// DI, EDI, RDI.
    pub(crate) const RDI: Self = Self(7);

    /// Makes a register from the low four bits of `number`.
    pub(crate) const fn new(number: u8) -> Self {
        Self(number & 15)
    }

    /// Returns the number, 0 to 15.
    pub(crate) const fn number(self) -> u8 {
        self.0
    }
}

/// What an instruction does with a memory operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reads it.
    Read,
    /// Writes all of it without reading.
    Write,
    /// Reads it and then writes it. Needs the right to write; faults are those of a write.
    ReadWrite,
}

impl Access {
    /// Returns whether memory is written.
    #[cfg(any(test, fuzzing))]
    pub(crate) const fn writes(self) -> bool {
        !matches!(self, Access::Read)
    }
}

/// How segments work at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// CR0.PE is clear: no rights, and exceptions have no error code.
    Real,
    /// RFLAGS.VM is set: segments as in real mode.
    Virtual8086,
    /// Protected mode, long mode included.
    Protected,
}

/// The hidden part of a segment register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentState {
    /// Linear address of offset 0.
    pub(crate) base: u64,
    /// The largest offset, or for an expand-down segment the largest that is not valid. In bytes,
    /// granularity already applied.
    pub(crate) limit: u32,
    /// Attributes as the VMCB and Xen's HVM context hold them: bits 0 to 3 type, 4 S, 5 and 6 DPL,
    /// 7 P, 8 AVL, 9 L, 10 D/B, 11 G.
    pub(crate) attributes: u16,
}

impl SegmentState {
    /// No segment: a null selector was loaded.
    pub(crate) const NULL: Self = Self {
        base: 0,
        limit: 0,
        attributes: 0,
    };
}

/// An exception to be delivered to the guest at the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exception {
    /// The vector, below 32.
    pub(crate) vector: u8,
    /// The error code, if this one has one in the current mode.
    pub(crate) error_code: Option<u32>,
    /// What CR2 becomes, for a page fault.
    pub(crate) cr2: Option<u64>,
}

impl Exception {
    /// #DE.
    pub(crate) const DIVIDE: Self = Self::plain(0);
    /// #BR.
    pub(crate) const BOUND: Self = Self::plain(5);
    /// #UD.
    pub(crate) const UNDEFINED: Self = Self::plain(6);
    /// #NM.
    pub(crate) const NO_DEVICE: Self = Self::plain(7);
    /// #MF: an x87 exception that is pending.
    pub(crate) const X87: Self = Self::plain(16);
    /// #XM, also called #XF: an exception of a vector instruction on floating-point numbers.
    pub(crate) const NUMERIC: Self = Self::plain(19);
    /// #AC.
    pub(crate) const ALIGNMENT: Self = Self {
        error_code: Some(0),
        ..Self::plain(17)
    };

    /// One without error code.
    const fn plain(vector: u8) -> Self {
        Self {
            vector,
            error_code: None,
            cr2: None,
        }
    }

    /// #TS, with a selector.
    pub(crate) fn task(selector: u16) -> Self {
        Self::with_selector(10, selector)
    }

    /// #NP, with a selector.
    pub(crate) fn not_present(selector: u16) -> Self {
        Self::with_selector(11, selector)
    }

    /// #SS, with a selector.
    pub(crate) fn stack_selector(selector: u16) -> Self {
        Self::with_selector(12, selector)
    }

    /// #GP, with a selector.
    pub(crate) fn selector(selector: u16) -> Self {
        Self::with_selector(13, selector)
    }

    /// One whose error code is the index of `selector` and which table it is in.
    fn with_selector(vector: u8, selector: u16) -> Self {
        Self {
            error_code: Some(u32::from(selector & !3)),
            ..Self::plain(vector)
        }
    }

    /// #SS with error code 0, or without one in real mode.
    pub(crate) fn stack(mode: Mode) -> Self {
        Self::with_zero(12, mode)
    }

    /// #GP with error code 0, or without one in real mode.
    pub(crate) fn protection(mode: Mode) -> Self {
        Self::with_zero(13, mode)
    }

    /// #PF on the linear address `address`.
    pub(crate) fn page(address: u64, error_code: u32) -> Self {
        Self {
            vector: 14,
            error_code: Some(error_code),
            cr2: Some(address),
        }
    }

    /// An exception whose error code is 0.
    fn with_zero(vector: u8, mode: Mode) -> Self {
        Self {
            vector,
            error_code: (mode != Mode::Real).then_some(0),
            cr2: None,
        }
    }
}

/// Why an instruction was not carried out (requirement E-1). Its effects are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The guest gets an exception, with the instruction pointer at the instruction.
    Exception(Exception),
    /// The instruction is to be started again, now or when something that it waits for has come.
    Retry,
    /// The instruction, or what it does, is not known here. Nothing was guessed.
    Unhandleable,
}

impl From<Exception> for Fault {
    fn from(exception: Exception) -> Self {
        Self::Exception(exception)
    }
}

/// The result of a step of an instruction.
pub(crate) type Result<T = ()> = core::result::Result<T, Fault>;

/// Which instruction raises an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Software {
    /// INT n: a software interrupt.
    Interrupt,
    /// INT3 and INTO: a software exception.
    Exception,
    /// INT1: a privileged software exception, which no gate's DPL stops.
    Privileged,
}

/// How far an instruction has come. RIP is the caller's.
///
/// A single-step trap is due if RFLAGS.TF was set before the instruction, or, after
/// [`Done::SystemCall`], if it is set now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// It is finished. The caller moves RIP past it as after any other instruction: adds `len`,
    /// truncates to the mode's width, ends an interrupt shadow, clears RF, and traps if TF is set.
    Next {
        /// Bytes of the instruction, 1 to 15.
        len: u8,
    },
    /// A repeated string instruction has iterations left, and registers say which. RIP stays; the
    /// caller sets RF, lets interrupts (and, if TF is set, the single-step trap) come, and then has
    /// the instruction executed again, here or by the guest.
    Again,
    /// As `Next`, except that RIP becomes this, which is a valid offset in the code segment.
    Jump {
        /// The offset of the next instruction, truncated to the width of the code.
        rip: u64,
    },
    /// As `Jump`, after IRET, except that RF is not cleared: it is the one that was loaded.
    Return {
        /// The offset of the next instruction.
        rip: u64,
    },
    /// As `Jump`, after SYSCALL and SYSRET.
    SystemCall {
        /// The offset of the next instruction.
        rip: u64,
    },
    /// As `Next`, except that no interrupt comes before the instruction after this one has finished;
    /// if `stack`, no debug exception either.
    Shadow {
        /// Bytes of the instruction.
        len: u8,
        /// Whether SS was loaded, rather than IF set.
        stack: bool,
    },
    /// As `Next`; then the processor waits for an interrupt.
    Halt {
        /// Bytes of the instruction.
        len: u8,
    },
    /// The caller delivers an interrupt or exception through the guest's interrupt table, with RIP
    /// after the instruction. Whether the gate may be used from this CPL is then checked, by
    /// whoever delivers (for [`Software::Privileged`] not).
    Interrupt {
        /// The vector.
        vector: u8,
        /// What raises it.
        by: Software,
        /// Bytes of the instruction.
        len: u8,
    },
    /// A task was switched, and nothing is left to be done.
    TaskSwitched,
}

/// What a processor may have or not.
///
/// Meant is the guest's processor as it is, not as CPUID tells: an instruction that is not intercepted
/// works wherever the hardware has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feature {
    /// Loading a null selector clears base and limit on AMD's processors (they stay in older ones).
    NullClearsBase,
    /// ADCX and ADOX.
    Adx,
    /// Vectors of 256 bits of integers.
    Avx2,
    /// Instructions of AVX-512 on bytes and words.
    Avx512Bw,
    /// Instructions of AVX-512 on vectors of 128 and 256 bits.
    Avx512Vl,
    /// ANDN, BEXTR, BLSI, BLSMSK, BLSR and TZCNT. Without it TZCNT is BSF.
    Bmi1,
    /// BZHI, MULX, PDEP, PEXT, RORX, SARX, SHLX and SHRX.
    Bmi2,
    /// CLFLUSHOPT.
    ClFlushOpt,
    /// CLZERO.
    ClZero,
    /// CLWB.
    Clwb,
    /// CMPXCHG16B.
    CmpXchg16b,
    /// RDFSBASE to WRGSBASE.
    FsGsBase,
    /// x87 pointers are saved and restored also while no exception is pending. Intel's processors always do.
    FpuPointers,
    /// INVPCID.
    InvPcid,
    /// LZCNT. Without it it is BSR.
    Lzcnt,
    /// MOVBE.
    Movbe,
    /// MOVDIRI.
    MovDirI,
    /// MOVDIR64B.
    MovDir64b,
    /// POPCNT.
    Popcnt,
    /// RDPID.
    Rdpid,
    /// RDRAND.
    Rdrand,
    /// RDSEED.
    Rdseed,
    /// RDTSCP.
    Rdtscp,
    /// SERIALIZE.
    Serialize,
    /// CLAC and STAC.
    Smap,
    /// CRC32, and SSE4.2.
    Sse42,
    /// WBNOINVD. Without it it is WBINVD.
    WbNoInvd,
    /// XSAVEC.
    XsaveC,
    /// XSAVEOPT.
    XsaveOpt,
}

/// The guest, as one instruction sees it.
///
/// All methods concern one vCPU that does not run. Those that return no [`Result`] cannot fail.
pub(crate) trait Ops: System + Fpu {
    /// A range of memory whose translation and rights have been checked, and that can be accessed
    /// without another look at the guest's page tables.
    type Place;

    /// Returns whose rules apply where processors differ.
    fn vendor(&self) -> Vendor;

    /// Returns how segments work.
    fn mode(&self) -> Mode;

    /// Returns the current privilege level.
    fn cpl(&self) -> u8 {
        match self.mode() {
            Mode::Real => 0,
            Mode::Virtual8086 => 3,
            Mode::Protected => self.segment(Segment::Ss).dpl(),
        }
    }

    /// Returns whether unaligned accesses are #AC: CR0.AM and RFLAGS.AC are set, and CPL is 3.
    fn checks_alignment(&self) -> bool {
        false
    }

    /// Returns whether the guest's processor has a feature.
    fn has(&self, feature: Feature) -> bool {
        let _ = feature;
        true
    }

    /// Returns how many iterations of a repeated string instruction may be executed in one call, at least one.
    fn iterations(&self) -> u32 {
        super::string::BATCH
    }

    /// Returns the number of bits of a linear address: 48, or 57 with CR4.LA57.
    fn linear_bits(&self) -> u32 {
        48
    }

    /// Returns all 64 bits of a general register. Outside long mode the upper half is anything.
    fn gpr(&self, register: Gpr) -> u64;

    /// Replaces all 64 bits of a general register.
    fn set_gpr(&mut self, register: Gpr, value: u64);

    /// Returns the offset of the instruction in the code segment.
    fn rip(&self) -> u64;

    /// Returns RFLAGS.
    fn rflags(&self) -> u64;

    /// Replaces RFLAGS. The emulator changes only bits that the instruction may change.
    fn set_rflags(&mut self, value: u64);

    /// Returns the hidden part of a segment register.
    fn segment(&self, segment: Segment) -> SegmentState;

    /// Translates `len` bytes of memory from the linear address `linear` on and checks that the
    /// guest may access them so.
    ///
    /// `len` is 1 to 4096; the range does not wrap, and may touch two pages. Both are translated before
    /// either is judged (requirement E-4). `linear` is canonical.
    ///
    /// # Errors
    ///
    /// A page fault; [`Fault::Retry`] if a monitor was told of the access and has not answered.
    fn translate(&mut self, linear: u64, len: usize, access: Access) -> Result<Self::Place>;

    /// As [`Ops::translate`] for an access that the processor makes as a supervisor whatever CPL is:
    /// to descriptor tables, task state segments, and the stack of an inner level.
    fn translate_system(&mut self, linear: u64, len: usize, access: Access) -> Result<Self::Place> {
        let _ = (linear, len, access);
        Err(Fault::Unhandleable)
    }

    /// Returns the `len` bytes of a place that begin `from` bytes after its start: what an instruction
    /// accesses that leaves out parts of its operand.
    ///
    /// # Errors
    ///
    /// [`Fault::Unhandleable`] if the place does not have them.
    fn part(&self, place: &Self::Place, from: usize, len: usize) -> Result<Self::Place>;

    /// Reads memory; `into` has the length that was translated.
    ///
    /// # Errors
    ///
    /// [`Fault::Retry`] if a device model was asked and has not answered; the read is then made
    /// again, and answered from what came.
    fn read(&mut self, place: &Self::Place, into: &mut [u8]) -> Result;

    /// Writes memory; `from` has the length that was translated.
    ///
    /// A write to memory is seen by others at once if it is aligned and at most 8 bytes.
    ///
    /// # Errors
    ///
    /// As for `read`, before anything is written.
    fn write(&mut self, place: &Self::Place, from: &[u8]) -> Result;

    /// Replaces `old` by `new` as one step that no other processor can come between. For
    /// instructions with LOCK, and XCHG.
    ///
    /// `old` is what `read` returned, of this place or of one around it, and both have the length that
    /// was translated. Devices need not compare.
    ///
    /// # Errors
    ///
    /// [`Fault::Retry`] if memory does not hold `old` any more, and as for `write`.
    fn compare_exchange(&mut self, place: &Self::Place, old: &[u8], new: &[u8]) -> Result;

    /// Returns whether somebody has made sure that the guest may use the ports that it does (IOPL,
    /// the bitmap in its task state segment). Otherwise the emulator does.
    ///
    /// Processors check it before they tell a hypervisor of an access, but whoever emulates
    /// instructions that were not intercepted for their port must say `false`.
    fn ports_are_checked(&self) -> bool {
        true
    }

    /// Reads `width`, at most 4 bytes, from a port, for IN and INS. The destination of INS was
    /// translated before. See [`Ops::ports_are_checked`].
    ///
    /// # Errors
    ///
    /// As for `read`.
    fn port_read(&mut self, port: u16, width: Width) -> Result<u64> {
        let _ = (port, width);
        Err(Fault::Unhandleable)
    }

    /// Writes the low `width`, at most 4 bytes, of `value` to a port, for OUT and OUTS. See
    /// [`Ops::ports_are_checked`].
    ///
    /// # Errors
    ///
    /// As for `write`.
    fn port_write(&mut self, port: u16, width: Width, value: u64) -> Result {
        let _ = (port, width, value);
        Err(Fault::Unhandleable)
    }

    /// Reads instruction bytes from offset `rip` of the code segment on, for an instruction of
    /// which the caller had only the first part, and returns how many could be had.
    ///
    /// # Errors
    ///
    /// Whatever keeps the first of these bytes from being fetched.
    fn fetch(&mut self, rip: u64, into: &mut [u8]) -> Result<usize> {
        let _ = (rip, into);
        Err(Fault::Unhandleable)
    }
}

/// Reads an integer of `width`.
pub(crate) fn read_integer<O: Ops>(ops: &mut O, place: &O::Place, width: Width) -> Result<u64> {
    let mut bytes = [0; 8];
    let part = bytes.get_mut(..width.bytes()).ok_or(Fault::Unhandleable)?;
    ops.read(place, part)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Writes the low bits of `value` as an integer of `width`.
pub(crate) fn write_integer<O: Ops>(
    ops: &mut O,
    place: &O::Place,
    width: Width,
    value: u64,
) -> Result {
    let bytes = value.to_le_bytes();
    ops.write(
        place,
        bytes.get(..width.bytes()).ok_or(Fault::Unhandleable)?,
    )
}

/// Replaces an integer of `width` as one step; see [`Ops::compare_exchange`].
pub(crate) fn exchange_integer<O: Ops>(
    ops: &mut O,
    place: &O::Place,
    width: Width,
    old: u64,
    new: u64,
) -> Result {
    let (old, new) = (old.to_le_bytes(), new.to_le_bytes());
    let old = old.get(..width.bytes()).ok_or(Fault::Unhandleable)?;
    let new = new.get(..width.bytes()).ok_or(Fault::Unhandleable)?;
    ops.compare_exchange(place, old, new)
}
