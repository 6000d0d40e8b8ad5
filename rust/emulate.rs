// SPDX-License-Identifier: GPL-2.0-only

//! x86 instruction decoding and execution.
//!
//! Three layers, each usable without the one after it:
//!
//! - [`skip`] finds the length of one expected instruction. It serves exits whose instruction the
//!   processor has already identified, on processors that do not report the next instruction
//!   pointer.
//! - [`decode`] takes any instruction apart: its length, operands and immediates.
//! - [`execute`] carries one instruction out on a guest that is reached only through [`ops::Ops`].
//!   Each family of instructions has a file.
//!
//! Pure: guest bytes and guest state come in as arguments. Nothing in here can panic, whatever the
//! bytes are, and every loop is bounded.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::unreachable,
        clippy::todo
    )
)]

pub(crate) mod address;
pub(crate) mod alu;
pub(crate) mod area;
pub(crate) mod back;
pub(crate) mod bcd;
pub(crate) mod bits;
pub(crate) mod bmi;
pub(crate) mod branch;
pub(crate) mod conditional;
pub(crate) mod control;
pub(crate) mod convert;
pub(crate) mod count;
pub(crate) mod decode;
pub(crate) mod descriptor;
pub(crate) mod exchange;
pub(crate) mod execute;
pub(crate) mod far;
pub(crate) mod flag_ops;
pub(crate) mod flags;
pub(crate) mod fpu_state;
pub(crate) mod frame;
pub(crate) mod groups;
pub(crate) mod lock;
pub(crate) mod machine;
pub(crate) mod modrm;
pub(crate) mod mov;
pub(crate) mod multiply;
pub(crate) mod opcodes;
pub(crate) mod operand;
pub(crate) mod ops;
pub(crate) mod port;
pub(crate) mod prefix;
pub(crate) mod segment;
pub(crate) mod selector;
pub(crate) mod shift;
pub(crate) mod simd;
pub(crate) mod skip;
pub(crate) mod stack;
pub(crate) mod string;
pub(crate) mod syscall;
pub(crate) mod tables;
pub(crate) mod vex;
pub(crate) mod width;
pub(crate) mod x87;
pub(crate) mod xsave;

#[cfg(any(test, fuzzing))]
pub(crate) mod testing;

/// The longest instruction in bytes; one more byte is a #GP (AMD APM volume 3, section 1.1).
pub(crate) const MAX_INSN_LEN: usize = 15;

/// The default operand and address size of the code that is being decoded.
///
/// Real mode, virtual 8086 mode and 16-bit protected mode decode alike and are all [`Bits16`].
///
/// [`Bits16`]: CodeWidth::Bits16
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CodeWidth {
    /// 16-bit operands and addresses: real mode, virtual 8086 mode, or a code segment with D clear.
    Bits16,
    /// 32-bit operands and addresses: a code segment with D set.
    Bits32,
    /// 64-bit mode: a code segment with L set, EFER.LMA set.
    Bits64,
}

/// Whose rules apply where the two vendors' processors differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vendor {
    /// In 64-bit mode the operand-size prefix makes a near branch 16 bits wide.
    Amd,
    /// In 64-bit mode the operand-size prefix does nothing to a near branch.
    Intel,
}

/// The size of an effective address computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressSize {
    /// Offsets wrap at 64 KiB; ModRM has the 8086 meaning and there is no SIB byte.
    Bits16,
    /// Offsets wrap at 4 GiB.
    Bits32,
    /// Full 64-bit offsets.
    Bits64,
}
