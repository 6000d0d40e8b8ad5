// SPDX-License-Identifier: GPL-2.0-only

//! What a monitor's answer asks for.

use crate::abi::layout::payload;
use crate::abi::vm_event::{
    EmulInsnData,
    EmulReadData,
    RegsX86,
    VmEvent,
    FLAG_DENY,
    FLAG_EMULATE,
    FLAG_EMULATE_NOWRITE,
    FLAG_GET_NEXT_INTERRUPT,
    FLAG_SET_EMUL_INSN_DATA,
    FLAG_SET_EMUL_READ_DATA,
    FLAG_SET_REGISTERS,
    FLAG_TOGGLE_SINGLESTEP,
    FLAG_VCPU_PAUSED,
    INTERFACE_VERSION,
    REASON_DESCRIPTOR_ACCESS,
    REASON_MEM_ACCESS,
    REASON_SOFTWARE_BREAKPOINT, //
};

/// How the instruction is to be carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Emulate {
    /// By the processor.
    No,
    /// In software, once, without a look at rights (E-7).
    Normal,
    /// The same, and what it writes is dropped.
    WithoutWrites,
    /// The same, and what it reads is this.
    WithReads,
    /// In software, and not the instruction of the guest but these bytes.
    Bytes([u8; 16]),
}

/// An answer, checked.
#[derive(Clone)]
pub(crate) struct Response {
    /// What the instruction is to be carried out with.
    pub(crate) emulate: Emulate,
    /// The data for [`Emulate::WithReads`].
    pub(crate) data: Option<EmulReadData>,
    /// The registers to load.
    pub(crate) registers: Option<RegsX86>,
    /// What the event was about does not happen.
    pub(crate) deny: bool,
    /// Single steps are switched on if they were off, and off if they were on.
    pub(crate) toggle_step: bool,
    /// The next interrupt is to be reported.
    pub(crate) next_interrupt: bool,
}

impl Response {
    /// The answer of a monitor that is not there any more: go on.
    pub(crate) const GO_ON: Self = Self {
        emulate: Emulate::No,
        data: None,
        registers: None,
        deny: false,
        toggle_step: false,
        next_interrupt: false,
    };

    /// Reads an answer; `None` if it has another version, or does not let its vCPU go on.
    ///
    /// `reason` is that of the event that it is the answer to: what the monitor writes into the answer is not relied
    /// on.
    pub(super) fn new(event: &VmEvent, reason: u32) -> Option<Self> {
        let flags = event.flags;
        if event.version != INTERFACE_VERSION || flags & FLAG_VCPU_PAUSED == 0 {
            return None;
        }
        let has = |flag| flags & flag != 0;
        let emulates = has(FLAG_EMULATE)
            && match reason {
                REASON_MEM_ACCESS | REASON_DESCRIPTOR_ACCESS => true,
                // In place of a breakpoint, what was there before it.
                REASON_SOFTWARE_BREAKPOINT => has(FLAG_SET_EMUL_INSN_DATA),
                _ => false,
            };
        let (mut emulate, mut data) = (Emulate::No, None);
        // The order is the header's: data for reads comes before dropped writes, and both before other bytes.
        if emulates {
            emulate = if has(FLAG_SET_EMUL_READ_DATA) {
                data = payload::<EmulReadData>(&event.data);
                Emulate::WithReads
            } else if has(FLAG_EMULATE_NOWRITE) {
                Emulate::WithoutWrites
            } else if has(FLAG_SET_EMUL_INSN_DATA) {
                payload::<EmulInsnData>(&event.data)
                    .map_or(Emulate::Normal, |insn| Emulate::Bytes(insn.data))
            } else {
                Emulate::Normal
            };
        }
        // The bytes of registers are those of the data in the same message.
        let overlaid = matches!(emulate, Emulate::WithReads | Emulate::Bytes(_));
        let registers = if has(FLAG_SET_REGISTERS) && !overlaid {
            payload(&event.data)
        } else {
            None
        };
        Some(Self {
            emulate,
            data,
            registers,
            deny: has(FLAG_DENY),
            toggle_step: has(FLAG_TOGGLE_SINGLESTEP),
            next_interrupt: has(FLAG_GET_NEXT_INTERRUPT),
        })
    }
}
