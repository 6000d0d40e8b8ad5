// SPDX-License-Identifier: GPL-2.0-only

//! The status word of a grant operation.

use crate::abi::grant_table::{
    GNTST_BAD_COPY_ARG,
    GNTST_BAD_DOMAIN,
    GNTST_BAD_GNTREF,
    GNTST_BAD_HANDLE,
    GNTST_BAD_PAGE,
    GNTST_BAD_VIRT_ADDR,
    GNTST_EAGAIN,
    GNTST_GENERAL_ERROR,
    GNTST_NO_SPACE,
    GNTST_OKAY,
    GNTST_PERMISSION_DENIED, //
};

/// A refusal, as the `status` field of a grant operation reports it; success is `Ok` and `GNTST_okay`.
///
/// # Invariants
///
/// The value is negative. A positive number can therefore not reach a guest as a status (XSA-316), nor be
/// taken for a count of operations that are still to do (XSA-318).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gntst(i16);

/// The outcome of an operation that reports a grant status.
pub(crate) type GntResult<T = ()> = core::result::Result<T, Gntst>;

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $value:ident, $text:literal;)*) => {
        impl Gntst {
            $($(#[$doc])* pub(crate) const $name: Self = Self($value);)*

            /// Returns the name that `xen/grant_table.h` gives to the status.
            pub(crate) const fn name(self) -> &'static str {
                match self.0 {
                    $($value => $text,)*
                    _ => "?",
                }
            }
        }

        $(const _: () = assert!($value < GNTST_OKAY);)*
    };
}

statuses! {
    /// Refused for a reason without a number of its own.
    GENERAL_ERROR = GNTST_GENERAL_ERROR, "GNTST_general_error";
    /// No such domain.
    BAD_DOMAIN = GNTST_BAD_DOMAIN, "GNTST_bad_domain";
    /// No such grant reference, or flags that ask for no mapping.
    BAD_GNTREF = GNTST_BAD_GNTREF, "GNTST_bad_gntref";
    /// No mapping has this handle.
    BAD_HANDLE = GNTST_BAD_HANDLE, "GNTST_bad_handle";
    /// The caller's list of frames could not be written.
    BAD_VIRT_ADDR = GNTST_BAD_VIRT_ADDR, "GNTST_bad_virt_addr";
    /// The caller may not do this to that domain.
    PERMISSION_DENIED = GNTST_PERMISSION_DENIED, "GNTST_permission_denied";
    /// The granted frame holds no page that can be granted.
    BAD_PAGE = GNTST_BAD_PAGE, "GNTST_bad_page";
    /// A copy crosses the end of a page.
    BAD_COPY_ARG = GNTST_BAD_COPY_ARG, "GNTST_bad_copy_arg";
    /// In use; to be asked again.
    EAGAIN = GNTST_EAGAIN, "GNTST_eagain";
    /// No handle is left.
    NO_SPACE = GNTST_NO_SPACE, "GNTST_no_space";
}

impl Gntst {
    /// Returns the negative number for the `status` field.
    #[cfg(test)]
    pub(crate) const fn to_raw(self) -> i16 {
        self.0
    }

    /// Returns the `status` field for the outcome of an operation: 0, or the refusal's number.
    pub(crate) const fn field<T>(outcome: &core::result::Result<T, Self>) -> i16 {
        match outcome {
            Ok(_) => GNTST_OKAY,
            Err(status) => status.0,
        }
    }
}

impl core::fmt::Debug for Gntst {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}
