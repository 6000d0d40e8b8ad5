// SPDX-License-Identifier: GPL-2.0-only

//! Instructions that leave the guest when the processor executes them, where software does instead: because a page walk
//! to them exits, or because a monitor has asked for it. What is done about them is the same.

use super::{
    GuestOps,
    Rules, //
};
use crate::emulate::decode::{
    decode,
    Decoded,
    Map,
    Rm, //
};
use crate::emulate::lock;
use crate::emulate::ops::Ops as _;
use crate::emulate::prefix::Repeat;
use crate::emulate::CodeWidth;
use crate::hw::{
    Backend,
    DescriptorRegister,
    Exit,
    Vcpu as _, //
};
use crate::run::Running;
use crate::vm_event::Want;

/// The exit of an instruction that any code may execute, or whose exit comes before the processor looks who it is.
fn exit_of(insn: &Decoded) -> Option<Exit> {
    let plain = insn.prefixes.repeat == Repeat::None && !insn.prefixes.operand_size;
    match (insn.map, insn.opcode) {
        (Map::One, 0xcc) => Some(Exit::Exception {
            vector: 3,
            error: None,
        }),
        (Map::Of, 0xa2) => Some(Exit::Cpuid),
        (Map::Of, 0x01) if plain && insn.modrm.0 == 0xd9 => Some(Exit::Hypercall),
        (Map::Of, 0x01) if plain && insn.modrm.0 == 0xd1 => Some(Exit::Xsetbv),
        _ => None,
    }
}

/// The exit of an instruction that accesses a descriptor table register.
fn descriptor_exit(insn: &Decoded) -> Option<Exit> {
    use DescriptorRegister::{
        Gdtr,
        Idtr,
        Ldtr,
        Tr, //
    };
    let memory = matches!(insn.rm, Rm::Memory(_));
    let (register, write) = match (insn.map, insn.opcode, insn.digit()) {
        (Map::Of, 0x00, 0) => (Ldtr, false),
        (Map::Of, 0x00, 1) => (Tr, false),
        (Map::Of, 0x00, 2) => (Ldtr, true),
        (Map::Of, 0x00, 3) => (Tr, true),
        (Map::Of, 0x01, 0) if memory => (Gdtr, false),
        (Map::Of, 0x01, 1) if memory => (Idtr, false),
        (Map::Of, 0x01, 2) if memory => (Gdtr, true),
        (Map::Of, 0x01, 3) if memory => (Idtr, true),
        _ => return None,
    };
    Some(Exit::Descriptor { register, write })
}

/// Whether an instruction uses a port.
fn uses_port(insn: &Decoded) -> bool {
    insn.map == Map::One && matches!(insn.opcode, 0x6c..=0x6f | 0xe4..=0xe7 | 0xec..=0xef)
}

impl<B: Backend> Running<'_, B> {
    /// Does with the instruction what would be done about its exit, if it is one that exits; `false` if it is not. What
    /// a monitor wants to hear of it hears of as if the processor had executed it.
    pub(super) fn exit_in_software(
        &mut self,
        exit: Exit,
        rules: &Rules<'_>,
        bytes: &[u8],
        width: CodeWidth,
    ) -> bool {
        let vendor = GuestOps::new(self, rules).vendor();
        let Ok(insn) = decode(bytes, width, vendor) else {
            return false;
        };
        if !insn.is_legacy() || lock::check(&insn).is_err() {
            return false;
        }
        let reported = |bit| rules.checks && self.want.any(bit);
        if let (Exit::NestedPageFault(fault), true) = (exit, uses_port(&insn) && reported(Want::IO))
        {
            // Whether it may use the port is known only to who carries it out.
            self.end_access();
            self.report_walk(fault);
            return true;
        }
        let descriptor = descriptor_exit(&insn).filter(|_| reported(Want::DESCRIPTOR));
        let Some(own) = exit_of(&insn).or(descriptor) else {
            return false;
        };
        let next = self.hw.rip().wrapping_add(insn.len.into());
        self.insn.next_rip = Some(self.wrap_rip(next, width));
        self.end_access();
        self.handle(own);
        true
    }
}
