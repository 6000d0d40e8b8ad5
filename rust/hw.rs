// SPDX-License-Identifier: GPL-2.0-only

//! The processor's virtualisation extension.
//!
//! [`Backend`] is what AMD SVM (`hw/svm/`) and, later, Intel VMX offer to the floors above. It is chosen when
//! the module starts; everything that runs per exit is generic over it and compiled once per vendor, so that
//! no exit makes an indirect call. What both vendors need alike is not here.

pub(crate) mod npt;
pub(crate) mod rights;
pub(crate) mod state;
pub(crate) mod svm;

use crate::abi::errno::Result;
use crate::emulate::skip::Skip;
use crate::sys::irq::{
    IrqsOff,
    NoPreempt,
    SoftirqsOff, //
};
use state::{
    CpuState,
    Event,
    ExtendedState,
    Segment,
    SegmentName, //
};

/// What this machine's extension and our use of it can do. Constant after start.
#[derive(Clone, Copy, Default)]
pub(crate) struct Capabilities {
    /// The exit says where the next instruction starts.
    pub(crate) next_rip: bool,
    /// The exit names the general register of a control register access.
    pub(crate) decode_assists: bool,
    /// A guest may issue IBPB itself.
    pub(crate) ibpb: bool,
    /// A guest has a SPEC_CTRL of its own.
    pub(crate) spec_ctrl: bool,
    /// 1 GiB pages may be advertised to guests.
    pub(crate) page_1g: bool,
    /// XSAVE components that a guest may enable.
    pub(crate) xcr0_mask: u64,
    /// Address spaces that guests can have on a processor at one time.
    pub(crate) address_spaces: u32,
}

/// A vendor's extension.
pub(crate) trait Backend: Send + Sync + 'static {
    /// The vendor's name, for people.
    const NAME: &'static str;

    /// A virtual processor in the format of this vendor's hardware.
    type Vcpu: Vcpu;

    /// Asks whether the machine can do it, and prepares what all processors share.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the machine lacks something; a line in the log says what.
    fn init() -> Result;

    /// Frees what `init` prepared. No processor is enabled any more.
    fn exit();

    /// Takes the extension on this processor.
    ///
    /// # Errors
    ///
    /// `EBUSY` if somebody else holds it, `ENODEV` if firmware disabled it; a line in the log says which.
    fn enable(cpu: u32) -> Result;

    /// Gives the extension back on this processor.
    fn disable(cpu: u32);

    /// What the extension can do. Meaningful after `init`.
    fn capabilities() -> Capabilities;
}

/// Why the guest stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// A physical interrupt waits for the host.
    Interrupt,
    /// The guest can take an interrupt now, as was asked for.
    InterruptWindow,
    /// CPUID.
    Cpuid,
    /// VMMCALL or VMCALL.
    Hypercall,
    /// RDMSR.
    MsrRead,
    /// WRMSR.
    MsrWrite,
    /// HLT.
    Hlt,
    /// PAUSE, so often that the guest is probably spinning.
    Pause,
    /// IN or OUT.
    Io(IoAccess),
    /// An access that the nested page tables do not allow.
    NestedPageFault(NestedFault),
    /// MOV to CR4 (`write`), or another control register access that was not expected.
    Cr(CrAccess),
    /// MOV to or from a debug register.
    Dr(CrAccess),
    /// An exception that the host intercepts.
    Exception {
        /// Its vector.
        vector: u8,
        /// Its error code, if it has one.
        error: Option<u32>,
    },
    /// An NMI of the host; it has been delivered.
    Nmi,
    /// INT3 or INT n, which an emulated processor does not tell apart. Only with [`Watch::breakpoints`].
    SoftwareInterrupt,
    /// ICEBP. Only with [`Watch::debug`].
    Icebp,
    /// IRET, asked for to learn that an NMI handler ends.
    Iret,
    /// Triple fault.
    Shutdown,
    /// XSETBV.
    Xsetbv,
    /// An instruction that reads, or with `write` loads, a descriptor table register. Only with [`Watch::descriptors`].
    Descriptor {
        /// Which.
        register: DescriptorRegister,
        /// Loads it.
        write: bool,
    },
    /// INVD or WBINVD.
    CacheFlush(Skip),
    /// An instruction of the extension itself, or another one that guests do not have: #UD.
    Undefined,
    /// INIT was signalled to the host's processor.
    Init,
    /// The extension refused the guest's state.
    Invalid,
    /// The extension was taken away under us.
    Gone,
    /// An exit that this code does not know.
    Unknown(u64),
}

/// An IN or OUT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct IoAccess {
    /// The port.
    pub(crate) port: u16,
    /// 1, 2 or 4 bytes.
    pub(crate) bytes: u8,
    /// IN rather than OUT.
    pub(crate) input: bool,
    /// INS or OUTS.
    pub(crate) string: bool,
    /// With a REP prefix.
    pub(crate) rep: bool,
    /// RIP after the instruction.
    pub(crate) next_rip: u64,
}

/// A nested page fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NestedFault {
    /// Guest physical address.
    pub(crate) gpa: u64,
    /// The guest wrote.
    pub(crate) write: bool,
    /// The guest fetched an instruction.
    pub(crate) fetch: bool,
    /// The page was there but did not allow the access.
    pub(crate) present: bool,
    /// The access was made by the page walk for a guest address, not to the address itself.
    pub(crate) in_page_table: bool,
}

/// A register that says where a descriptor table is, or a segment in one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DescriptorRegister {
    /// The interrupt descriptor table's.
    Idtr,
    /// The global descriptor table's.
    Gdtr,
    /// The local descriptor table's.
    Ldtr,
    /// The task register.
    Tr,
}

/// What else than usual leaves the guest, because somebody watches it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Watch {
    /// Writes to CR0.
    pub(crate) cr0: bool,
    /// Writes to CR3.
    pub(crate) cr3: bool,
    /// Breakpoint instructions.
    pub(crate) breakpoints: bool,
    /// What raises a debug exception and does not always leave the guest: ICEBP.
    pub(crate) debug: bool,
    /// Accesses to descriptor table registers.
    pub(crate) descriptors: bool,
}

/// An access to a control or debug register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CrAccess {
    /// Number of the control or debug register.
    pub(crate) number: u8,
    /// MOV to it rather than from it.
    pub(crate) write: bool,
    /// The general register, if the processor named it.
    pub(crate) gpr: Option<u8>,
}

/// A virtual processor in the hardware's format. It belongs to the thread that runs it.
pub(crate) trait Vcpu: Send + Sized {
    /// Makes a processor in the reset state.
    ///
    /// `table` is the physical address of the nested page tables' root.
    fn new(table: u64) -> Result<Self>;

    /// Lets this processor use what the branch predictor has learned from another, which runs for the same guest.
    fn share_predictions(&mut self, with: &Self);

    /// Takes over an architectural state. What XSAVE keeps behind the legacy part is in its initial state then.
    fn load(&mut self, state: &CpuState);
    /// Takes that over too, after `load`.
    fn load_extended(&mut self, extended: &ExtendedState);
    /// Writes the architectural state out.
    fn save(&self, state: &mut CpuState);
    /// Writes out what XSAVE keeps behind the legacy part.
    fn save_extended(&self, extended: &mut ExtendedState);

    /// The vector registers outside a section: an XSAVE area in the standard format.
    fn vector_registers(&self) -> &[u8];
    /// Lets `change` write to that area, outside a section. What a processor could not load is put right afterwards.
    fn change_vector_registers<T>(&mut self, change: impl FnOnce(&mut [u8]) -> T) -> T;

    /// Begins a section: this thread is on this processor until `end`, and no softirq runs there. `flush` drops all
    /// translations first.
    fn begin(&mut self, at: &NoPreempt, softirqs: &SoftirqsOff, irqs: &IrqsOff, flush: bool);
    /// Lets pending interrupts in for a moment, within the section.
    fn window(&mut self, irqs: &mut IrqsOff);
    /// Ends the section.
    fn end(&mut self, irqs: &IrqsOff);
    /// Runs the guest until it exits.
    fn enter(&mut self, irqs: &IrqsOff) -> Exit;

    /// A general register, by its number in instructions (RAX is 0, RSP is 4).
    fn gpr(&self, number: u8) -> u64;
    /// Sets a general register.
    fn set_gpr(&mut self, number: u8, value: u64);
    /// The instruction pointer.
    fn rip(&self) -> u64;
    /// Sets the instruction pointer.
    fn set_rip(&mut self, rip: u64);
    /// RFLAGS.
    fn rflags(&self) -> u64;
    /// Sets RFLAGS.
    fn set_rflags(&mut self, value: u64);
    /// CR0.
    fn cr0(&self) -> u64;
    /// Sets CR0; the value was checked, and EFER goes with it.
    fn set_cr0(&mut self, value: u64);
    /// CR2.
    fn cr2(&self) -> u64;
    /// Sets CR2.
    fn set_cr2(&mut self, value: u64);
    /// CR3.
    fn cr3(&self) -> u64;
    /// Sets CR3, and drops the translations that were made with it unless `keep`.
    fn set_cr3(&mut self, value: u64, keep: bool);
    /// CR4.
    fn cr4(&self) -> u64;
    /// Sets CR4; the value was checked.
    fn set_cr4(&mut self, value: u64);
    /// EFER as the guest sees it.
    fn efer(&self) -> u64;
    /// Sets EFER; the value was checked.
    fn set_efer(&mut self, value: u64);
    /// Current privilege level.
    fn cpl(&self) -> u8;
    /// A segment register.
    fn segment(&self, name: SegmentName) -> Segment;
    /// Loads a segment register; the value was checked.
    fn set_segment(&mut self, name: SegmentName, segment: Segment);
    /// Sets the privilege level.
    fn set_cpl(&mut self, cpl: u8);
    /// Drops the guest's translations.
    fn drop_translations(&mut self);
    /// The task priority, CR8.
    fn cr8(&self) -> u8;
    /// Sets the task priority, CR8.
    fn set_cr8(&mut self, value: u8);
    /// Reads an MSR that lives in the hardware's format, or `None` if it does not.
    fn msr(&self, msr: u32) -> Option<u64>;
    /// Writes such an MSR; the value was checked.
    fn set_msr(&mut self, msr: u32, value: u64);
    /// Debug registers 0-3, 6 and 7.
    fn dr(&self, number: u8) -> u64;
    /// Sets a debug register; the value was checked.
    fn set_dr(&mut self, number: u8, value: u64);
    /// XCR0.
    fn xcr0(&self) -> u64;
    /// Sets XCR0; the value was checked.
    fn set_xcr0(&mut self, value: u64);
    /// Does what the guest asks of the branch predictor (PRED_CMD); the bits were checked.
    fn predict_command(&mut self, value: u64);
    /// What the guest's TSC is ahead of the host's.
    fn set_tsc_offset(&mut self, offset: u64);

    /// RIP after the instruction that exited, if the processor says so.
    fn next_rip(&self) -> Option<u64>;
    /// Whether the instruction at RIP runs in the shadow of STI or MOV SS.
    fn interrupt_shadow(&self) -> bool;
    /// Ends the shadow, as completing an instruction does.
    fn clear_interrupt_shadow(&mut self);
    /// Begins it, for the instruction at RIP.
    fn begin_interrupt_shadow(&mut self);
    /// Whether an event is already to be delivered at the next entry.
    fn injection_pending(&self) -> bool;
    /// The event that is to be delivered at the next entry.
    fn pending_event(&self) -> Option<Event>;
    /// Delivers an event at the next entry.
    fn inject(&mut self, event: Event);
    /// What leaves the guest from now on that usually does not.
    fn watch(&mut self, what: &Watch);
    /// Gives the guest the software interrupt for which it has exited: `known` is its vector and RIP after it, where
    /// its gate allows it. Without that the guest executes the instruction, and perhaps others like it with it.
    fn pass_software_interrupt(&mut self, known: Option<(u8, u64)>);
    /// Has writes to these model-specific registers leave the guest, besides those that do anyhow.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; it is as it was then.
    fn watch_msrs(&mut self, msrs: &[u32]) -> Result;
    /// Asks for [`Exit::InterruptWindow`] as soon as the guest can take an interrupt; or no more.
    fn want_interrupt_window(&mut self, want: bool);
    /// Whether an NMI may be delivered now.
    fn nmi_allowed(&self) -> bool;
    /// Ends the handling of an NMI, as IRET does.
    fn end_nmi(&mut self);
}
