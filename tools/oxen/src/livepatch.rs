// SPDX-License-Identifier: GPL-2.0-only

//! Making payloads of live patches out of a source diff.
//!
//! ```text
//!   source  --make-->  objects before  --+
//!     | diff                             compare: whose machine code is another?
//!   source  --make-->  objects after   --+          |
//!                                                 select: what goes along, what cannot be done
//!   oxen.ko (what runs) -------------------------------+
//!                                                 write: the payload, for that build-id
//! ```
//!
//! Both builds put each function and each constant into a section of its own, so that every reference
//! between them is a relocation. The code is the same as in the running module otherwise, which is
//! checked.

pub(crate) mod build;
mod compare;
mod diff;
mod layouts;
mod lower;
mod module;
mod names;
mod object;
mod select;
#[cfg(test)]
mod tests;
mod tree;
mod variables;
pub(crate) mod work;
mod write;
