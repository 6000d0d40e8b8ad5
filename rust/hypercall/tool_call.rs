// SPDX-License-Identifier: GPL-2.0-only

//! What `domctl` and `sysctl` have in common: a structure of the tool's that says which operation, in which version of
//! the interface, with a union of the operations' own forms.
//!
//! A call is decoded once into a [`ToolCall`]. An operation that tells the tool something puts it there, and it is
//! written back then, and only then. What a person will meet as a refusal is said in the log in one line.

use core::fmt;

use kernel::prelude::pr_info;
use zerocopy::{
    FromBytes,
    Immutable,
    IntoBytes, //
};

use crate::abi::domctl::{
    self,
    XenDomctl, //
};
use crate::abi::errno::{
    Errno,
    Result,
    EACCES,
    EINVAL, //
};
use crate::abi::layout;
use crate::abi::sysctl::{
    self,
    XenSysctl, //
};
use crate::hypercall::caller::{
    Caller,
    Handle, //
};
use crate::hypercall::versioned::Versioned;
use crate::sys::log;

/// The structure of such a call. It is shown as what the log calls the operation.
pub(super) trait ToolOp: Versioned + Immutable + fmt::Display {
    /// The hypercall's name.
    const CALL: &'static str;

    /// The operation's form.
    fn form(&self) -> &[u8];
    /// The operation's form, to answer in.
    fn form_mut(&mut self) -> &mut [u8];
}

impl fmt::Display for XenDomctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "d{}: {}", self.domain, domctl::name(self.cmd))
    }
}

impl ToolOp for XenDomctl {
    const CALL: &'static str = "domctl";

    fn form(&self) -> &[u8] {
        &self.u
    }

    fn form_mut(&mut self) -> &mut [u8] {
        &mut self.u
    }
}

impl fmt::Display for XenSysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(sysctl::name(self.cmd))
    }
}

impl ToolOp for XenSysctl {
    const CALL: &'static str = "sysctl";

    fn form(&self) -> &[u8] {
        &self.u
    }

    fn form_mut(&mut self) -> &mut [u8] {
        &mut self.u
    }
}

/// One such call.
pub(super) struct ToolCall<'a, O> {
    pub(super) caller: &'a Caller<'a>,
    /// Our copy of what the tool asks.
    pub(super) op: O,
    /// The copy holds an answer.
    pub(super) answered: bool,
    /// What the call returns if it succeeds.
    pub(super) result: i64,
    handle: Handle<O>,
}

impl<'a, O: ToolOp> ToolCall<'a, O> {
    /// Reads what is asked at an address of the tool's.
    ///
    /// # Errors
    ///
    /// `EFAULT`, `EACCES` for a tool that speaks another version of the interface.
    pub(super) fn read(caller: &'a Caller<'a>, addr: u64) -> Result<Self> {
        let handle = Handle::new(addr);
        let call = Self {
            caller,
            op: handle.read(caller)?,
            answered: false,
            result: 0,
            handle,
        };
        let (asked, spoken) = (call.op.version(), O::VERSION);
        if asked == spoken {
            return Ok(call);
        }
        Err(call.refuse(
            EACCES,
            format_args!(
                "the tool speaks {} version {asked:#x}, this is {spoken:#x} (Xen 4.20)",
                O::CALL
            ),
        ))
    }

    /// What is asked, in the form of the operation.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the form is longer than any can be, which is none of them.
    pub(super) fn payload<T: FromBytes>(&self) -> Result<T> {
        layout::payload(self.op.form()).ok_or(EINVAL)
    }

    /// Answers in the form of the operation.
    ///
    /// # Errors
    ///
    /// As [`Self::payload`].
    pub(super) fn answer<T: IntoBytes + Immutable>(&mut self, value: &T) -> Result {
        layout::set_payload(self.op.form_mut(), value).ok_or(EINVAL)?;
        self.answered = true;
        Ok(())
    }

    /// Says in the log why the call is refused. Returns the error number.
    pub(super) fn refuse(&self, errno: Errno, why: fmt::Arguments<'_>) -> Errno {
        if log::allowed() {
            let (op, name) = (&self.op, errno.name());
            pr_info!("{}\n", format_args!("{op} refused ({name}): {why}"));
            self.caller
                .hypervisor
                .log(format_args!("{op} refused ({name}): {why}\n"));
        }
        errno
    }

    /// Ends the call: the tool gets the answer, if there is one. An operation that fails may have one too.
    ///
    /// # Errors
    ///
    /// The operation's, or `EFAULT`.
    pub(super) fn finish(self, result: Result) -> Result<i64> {
        if self.answered {
            self.handle.write(self.caller, &self.op)?;
        }
        result.map(|()| self.result)
    }
}
