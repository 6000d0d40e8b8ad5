// SPDX-License-Identifier: GPL-2.0-only

//! The branch that is taken while somebody traces.
//!
//! The kernel crate has such a branch, too; but there the assembler chooses how long the instruction is that the
//! kernel rewrites. Here it has always five bytes, because the builder of live patches puts a jump of that length in
//! its place: for code that it did not load itself, the kernel does not keep such branches.

/// Whether somebody uses the tracepoint whose static this is.
///
/// # Safety
///
/// It must be a tracepoint that C defines.
#[cfg(CONFIG_JUMP_LABEL)]
macro_rules! is_on {
    ($point:path) => {'on: {
        // The form of an entry is that of the kernel's `arch/x86/include/asm/jump_label.h`: where the instruction is,
        // where it would jump, which key it belongs to; all relative to themselves. Bit 1 of the key says that the
        // instruction is still a jump, of which objtool makes a no-op.
        #[cfg(CONFIG_HAVE_JUMP_LABEL_HACK)]
        core::arch::asm!(
            "1: {{disp32}} jmp {on}",
            ".pushsection __jump_table, \"aw\"",
            ".balign 8",
            ".long 1b - .",
            ".long {on} - .",
            ".quad {key} + {at} + 2 - .",
            ".popsection",
            on = label { break 'on true },
            key = sym $point,
            at = const core::mem::offset_of!(kernel::bindings::tracepoint, key),
            options(att_syntax),
        );
        #[cfg(not(CONFIG_HAVE_JUMP_LABEL_HACK))]
        core::arch::asm!(
            "1: .byte 0x0f, 0x1f, 0x44, 0x00, 0x00",
            ".pushsection __jump_table, \"aw\"",
            ".balign 8",
            ".long 1b - .",
            ".long {on} - .",
            ".quad {key} + {at} - .",
            ".popsection",
            on = label { break 'on true },
            key = sym $point,
            at = const core::mem::offset_of!(kernel::bindings::tracepoint, key),
            options(att_syntax),
        );
        false
    }};
}

/// Whether somebody uses the tracepoint whose static this is.
///
/// # Safety
///
/// It must be a tracepoint that C defines.
#[cfg(not(CONFIG_JUMP_LABEL))]
macro_rules! is_on {
    ($point:path) => {
        kernel::jump_label::static_branch_unlikely!($point, kernel::bindings::tracepoint, key)
    };
}

pub(super) use is_on;
