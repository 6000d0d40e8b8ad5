// SPDX-License-Identifier: GPL-2.0-only

//! The part of the guest that system instructions and far transfers use.

use super::{
    Fault,
    Result,
    Segment,
    SegmentState, //
};

/// A control register that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// Modes and caches.
    Cr0,
    /// The address of the last page fault.
    Cr2,
    /// The root of the page tables.
    Cr3,
    /// Extensions.
    Cr4,
    /// The local APIC's task priority.
    Cr8,
}

/// A descriptor table register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    /// The global descriptor table's.
    Gdt,
    /// The interrupt descriptor table's.
    Idt,
}

/// What a descriptor table register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TableState {
    /// Linear address of the table.
    pub(crate) base: u64,
    /// The largest offset in the table, in bytes.
    pub(crate) limit: u16,
}

/// A segment register that names a system segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SystemSegment {
    /// LDTR.
    LocalTable,
    /// TR.
    Task,
}

/// What an instruction wants to be forgotten of address translations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invalidation {
    /// INVLPG: one page in the current address space, and global pages.
    Page {
        /// Any linear address in it. One that is not canonical invalidates nothing.
        linear: u64,
    },
    /// INVPCID, its type known to be 0 to 3.
    Context {
        /// 0 one address, 1 one context, 2 all with global pages, 3 all without.
        kind: u8,
        /// The context, 12 bits.
        pcid: u16,
        /// A linear address, canonical for type 0.
        linear: u64,
    },
}

/// What an instruction does to caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CacheControl {
    /// INVD: forget everything, unwritten data too.
    Invalidate,
    /// WBINVD.
    WriteBackAndInvalidate,
    /// WBNOINVD.
    WriteBack,
    /// CLFLUSH, CLFLUSHOPT and CLWB of the line at this linear address, which can be read.
    Line(u64),
}

/// Why a task is switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskSwitch {
    /// JMP to a task state segment or task gate.
    Jump,
    /// CALL.
    Call,
    /// IRET with NT set.
    Return,
}

/// What system instructions and far transfers need.
///
/// Each method has a body that answers [`Fault::Unhandleable`], so that an implementation names only
/// what it has. Whatever fails has had no effect. Rights (CPL, I/O permission) were checked before
/// any of these is called, unless it says otherwise; values are as the guest gave them.
pub(crate) trait System {
    /// Returns whether long mode is active: EFER.LMA.
    fn long_mode(&self) -> Result<bool> {
        Err(Fault::Unhandleable)
    }

    /// Returns a control register.
    fn control(&self, register: Control) -> Result<u64> {
        let _ = register;
        Err(Fault::Unhandleable)
    }

    /// Writes a control register.
    ///
    /// # Errors
    ///
    /// #GP for a value that the register cannot take, reserved bits and combinations of modes
    /// included; [`Fault::Retry`] if a monitor was told and has not answered.
    fn set_control(&mut self, register: Control, value: u64) -> Result {
        let _ = (register, value);
        Err(Fault::Unhandleable)
    }

    /// Returns a debug register: 0 to 3, 6 or 7.
    fn debug(&self, number: u8) -> Result<u64> {
        let _ = number;
        Err(Fault::Unhandleable)
    }

    /// Writes a debug register: 0 to 3, 6 or 7. The upper half is known to be clear for 6 and 7.
    fn set_debug(&mut self, number: u8, value: u64) -> Result {
        let _ = (number, value);
        Err(Fault::Unhandleable)
    }

    /// Returns a model-specific register.
    ///
    /// # Errors
    ///
    /// #GP if there is none of that number.
    fn msr(&mut self, index: u32) -> Result<u64> {
        let _ = index;
        Err(Fault::Unhandleable)
    }

    /// Writes a model-specific register.
    ///
    /// # Errors
    ///
    /// #GP if there is none of that number, or it cannot take the value; [`Fault::Retry`] as above.
    fn set_msr(&mut self, index: u32, value: u64) -> Result {
        let _ = (index, value);
        Err(Fault::Unhandleable)
    }

    /// Returns an extended control register; 0 is XCR0, 1 what of XCR0 is in use.
    ///
    /// # Errors
    ///
    /// #GP if there is none of that number.
    fn extended_control(&self, index: u32) -> Result<u64> {
        let _ = index;
        Err(Fault::Unhandleable)
    }

    /// Writes an extended control register.
    ///
    /// # Errors
    ///
    /// #GP if there is none of that number, or it cannot take the value.
    fn set_extended_control(&mut self, index: u32, value: u64) -> Result {
        let _ = (index, value);
        Err(Fault::Unhandleable)
    }

    /// Returns EAX, EBX, ECX and EDX of a CPUID leaf.
    ///
    /// # Errors
    ///
    /// #GP if CPUID faulting is on for this CPL; [`Fault::Retry`] as above.
    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> Result<[u32; 4]> {
        let _ = (leaf, subleaf);
        Err(Fault::Unhandleable)
    }

    /// Returns the time stamp counter, for RDTSC and RDTSCP.
    fn time_stamp(&mut self) -> Result<u64> {
        Err(Fault::Unhandleable)
    }

    /// Returns a performance counter.
    ///
    /// # Errors
    ///
    /// #GP if there is none of that number.
    fn performance_counter(&mut self, index: u32) -> Result<u64> {
        let _ = index;
        Err(Fault::Unhandleable)
    }

    /// Returns a random number for RDRAND (or RDSEED if `seed`); `None` if there is none just now.
    fn random(&mut self, seed: bool) -> Result<Option<u64>> {
        let _ = seed;
        Err(Fault::Unhandleable)
    }

    /// Returns the user's protection keys.
    fn protection_keys(&self) -> Result<u32> {
        Err(Fault::Unhandleable)
    }

    /// Writes the user's protection keys.
    fn set_protection_keys(&mut self, value: u32) -> Result {
        let _ = value;
        Err(Fault::Unhandleable)
    }

    /// Returns a descriptor table register.
    fn table(&self, table: Table) -> Result<TableState> {
        let _ = table;
        Err(Fault::Unhandleable)
    }

    /// Writes a descriptor table register; the base is canonical.
    ///
    /// # Errors
    ///
    /// [`Fault::Retry`] if a monitor was told and has not answered.
    fn set_table(&mut self, table: Table, state: TableState) -> Result {
        let _ = (table, state);
        Err(Fault::Unhandleable)
    }

    /// Returns the visible part of a segment register.
    fn selector(&self, segment: Segment) -> Result<u16> {
        let _ = segment;
        Err(Fault::Unhandleable)
    }

    /// Loads a segment register, selector and hidden part.
    ///
    /// Never called by an instruction for which [`System::selector`] has not answered, so that an
    /// implementation without one need not have the other.
    fn set_segment(&mut self, segment: Segment, selector: u16, state: SegmentState) {
        let _ = (segment, selector, state);
    }

    /// Changes the current privilege level, for which the stack segment's DPL may stand.
    fn set_cpl(&mut self, cpl: u8) {
        let _ = cpl;
    }

    /// Returns LDTR or TR.
    fn system_segment(&self, segment: SystemSegment) -> Result<(u16, SegmentState)> {
        let _ = segment;
        Err(Fault::Unhandleable)
    }

    /// Loads LDTR or TR.
    ///
    /// # Errors
    ///
    /// [`Fault::Retry`] if a monitor was told and has not answered.
    fn set_system_segment(
        &mut self,
        segment: SystemSegment,
        selector: u16,
        state: SegmentState,
    ) -> Result {
        let _ = (segment, selector, state);
        Err(Fault::Unhandleable)
    }

    /// Exchanges the base of GS with the one in the KernelGSBase MSR.
    fn swap_gs(&mut self) -> Result {
        Err(Fault::Unhandleable)
    }

    /// Forgets address translations.
    fn invalidate(&mut self, what: Invalidation) -> Result {
        let _ = what;
        Err(Fault::Unhandleable)
    }

    /// Does something to caches. What is written to memory is not affected by any of it, except by
    /// INVD, so that doing nothing is right where the guest cannot see caches.
    fn cache(&mut self, what: CacheControl) -> Result {
        let _ = what;
        Err(Fault::Unhandleable)
    }

    /// Ends the blocking of NMIs: IRET was executed.
    fn unblock_nmi(&mut self) {}

    /// Switches to the task that `selector`, known to be a task state segment or gate that this CPL
    /// may use, names; for [`TaskSwitch::Return`] the one that the current task links back to.
    ///
    /// `next_rip` is where the current task goes on when it is resumed.
    ///
    /// # Errors
    ///
    /// Whatever comes before the switch. After it the instruction is finished, and the implementation
    /// has set everything, RIP included.
    fn switch_task(&mut self, selector: u16, why: TaskSwitch, next_rip: u64) -> Result {
        let _ = (selector, why, next_rip);
        Err(Fault::Unhandleable)
    }
}
