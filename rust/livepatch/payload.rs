// SPDX-License-Identifier: GPL-2.0-only

//! A payload that is loaded.

use super::func::Func;
use super::note::Id;
use crate::sys::alloc::KVec;

/// A function that a payload wants to be called.
///
/// # Invariants
///
/// The address is in the payload's own code, which says that it is such a function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hook(u64);

impl Hook {
    /// For the loader, which has checked that.
    pub(super) const fn new(addr: u64) -> Self {
        Self(addr)
    }

    /// Where it is.
    #[inline(always)]
    pub(crate) const fn addr(self) -> u64 {
        self.0
    }
}

/// The functions that a payload wants to be called.
#[derive(Debug)]
pub(crate) struct Hooks {
    /// Before its functions are patched, while nothing runs.
    pub(crate) load: KVec<Hook>,
    /// After its functions are restored, while nothing runs.
    pub(crate) unload: KVec<Hook>,
    /// Before it is applied. A result that is not 0 refuses.
    pub(crate) pre_apply: Option<Hook>,
    /// In place of applying it, while nothing runs.
    pub(crate) apply: Option<Hook>,
    /// After an attempt to apply it.
    pub(crate) post_apply: Option<Hook>,
    /// Before it is reverted. A result that is not 0 refuses.
    pub(crate) pre_revert: Option<Hook>,
    /// In place of reverting it, while nothing runs.
    pub(crate) revert: Option<Hook>,
    /// After an attempt to revert it.
    pub(crate) post_revert: Option<Hook>,
}

impl Hooks {
    /// Whether there is one that may refuse, or that undoes what such a one did. Payloads with them are not replaced.
    pub(crate) fn can_veto(&self) -> bool {
        [
            self.pre_apply,
            self.post_apply,
            self.pre_revert,
            self.post_revert,
        ]
        .iter()
        .any(Option::is_some)
    }
}

/// A symbol that a payload adds, for those that come after it.
#[derive(Debug)]
pub(crate) struct NewSymbol {
    pub(crate) name: KVec<u8>,
    pub(crate) addr: u64,
    pub(crate) func: bool,
}

/// A payload that is loaded. `S` is the memory that it is in.
pub(crate) struct Payload<S> {
    /// Who it is.
    pub(crate) id: Id,
    /// What must have been applied last.
    pub(crate) depends: Id,
    /// What it replaces.
    pub(crate) funcs: KVec<Func>,
    /// What it wants to be called.
    pub(crate) hooks: Hooks,
    /// What it says of itself: strings, each with a zero at its end.
    pub(crate) metadata: KVec<u8>,
    /// What it adds.
    pub(crate) symbols: KVec<NewSymbol>,
    /// It has no variables, so that it may be applied again after it was reverted.
    pub(crate) reapply: bool,
    /// Bytes of code, at the start of its text.
    pub(crate) code: u32,
    /// Bytes of code and constants, and of variables.
    pub(crate) sizes: (u32, u32),
    /// Where it is.
    pub(crate) space: S,
}
