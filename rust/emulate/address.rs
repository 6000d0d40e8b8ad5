// SPDX-License-Identifier: GPL-2.0-only

//! Effective addresses: how a memory operand's offset in its segment is computed.
//!
//! Source: AMD APM volume 3, section 1.4 "ModRM and SIB Bytes", and section 1.7 "RIP-Relative
//! Addressing".

use super::{
    ops::{
        Gpr,
        Ops, //
    },
    prefix::Segment,
    width::Width,
    AddressSize, //
};

/// The first term of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// Zero.
    None,
    /// A general register.
    Register(Gpr),
    /// The address of the next instruction.
    NextInsn,
}

/// The scaled term of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Index {
    /// The register.
    pub(crate) register: Gpr,
    /// By how many bits it is shifted left, 0 to 3.
    pub(crate) shift: u8,
}

/// The formula of a memory operand: segment : base + index << shift + displacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// The segment, with overrides applied.
    pub(crate) segment: Segment,
    /// The base.
    pub(crate) base: Base,
    /// The index, if any.
    pub(crate) index: Option<Index>,
    /// The displacement, sign-extended to 64 bits.
    pub(crate) displacement: u64,
    /// Where the sum wraps.
    pub(crate) size: AddressSize,
}

impl Address {
    /// Whether the stack pointer is a part of the sum.
    pub(crate) fn uses_stack_pointer(&self) -> bool {
        self.base == Base::Register(Gpr::RSP)
    }

    /// Computes the offset from the guest's registers.
    ///
    /// `next_rip` is the offset of the instruction that follows. `extra` is added before the sum
    /// wraps.
    pub(crate) fn offset<O: Ops>(&self, ops: &O, next_rip: u64, extra: u64) -> u64 {
        let base = match self.base {
            Base::None => 0,
            Base::Register(register) => ops.gpr(register),
            Base::NextInsn => next_rip,
        };
        let index = match self.index {
            // Shifted by at most 3; the bits that fall off are those the sum would lose as well.
            Some(Index { register, shift }) => ops.gpr(register).wrapping_shl(u32::from(shift)),
            None => 0,
        };
        let sum = base
            .wrapping_add(index)
            .wrapping_add(self.displacement)
            .wrapping_add(extra);
        Width::from(self.size).truncate(sum)
    }
}
