// SPDX-License-Identifier: GPL-2.0-only

//! Xen's error numbers.
//!
//! Source: `xen/errno.h`. Every number that oxen returns has the same value in Linux, so an [`Errno`]
//! can be handed to a guest as well as to a host process.

/// A negative Xen error number, as a hypercall returns it.
///
/// # Invariants
///
/// The value is in `-4095..=-1`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(i32);

/// The result of an operation that can be refused with a Xen error number.
pub(crate) type Result<T = ()> = core::result::Result<T, Errno>;

macro_rules! errnos {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        $($(#[$doc])* pub(crate) const $name: Errno = Errno(-$value);)*

        impl Errno {
            /// Returns the symbolic name, or "?" for a number that Xen does not name.
            pub(crate) const fn name(self) -> &'static str {
                match -self.0 {
                    $($value => stringify!($name),)*
                    _ => "?",
                }
            }
        }

        /// Every number above with its name in C.
        #[cfg(test)]
        pub(in crate::abi) const NUMBERS: &[&[(&str, i128)]] =
            &[&[$((stringify!($name), $value)),*]];
    };
}

errnos! {
    /// Operation not permitted.
    EPERM = 1;
    /// No such object.
    ENOENT = 2;
    /// No such domain or vCPU.
    ESRCH = 3;
    /// Interrupted by a signal.
    EINTR = 4;
    /// Input or output failed.
    EIO = 5;
    /// No such device or address.
    ENXIO = 6;
    /// Argument list too long.
    E2BIG = 7;
    /// Bad file descriptor.
    EBADF = 9;
    /// Try again.
    EAGAIN = 11;
    /// Out of memory.
    ENOMEM = 12;
    /// Refused; also: the caller speaks another interface version.
    EACCES = 13;
    /// A memory handle could not be read or written.
    EFAULT = 14;
    /// In use.
    EBUSY = 16;
    /// Exists already.
    EEXIST = 17;
    /// No such device.
    ENODEV = 19;
    /// Invalid argument.
    EINVAL = 22;
    /// Not for this kind of file descriptor.
    ENOTTY = 25;
    /// No space left in a table.
    ENOSPC = 28;
    /// Out of range.
    ERANGE = 34;
    /// No such operation.
    ENOSYS = 38;
    /// No data.
    ENODATA = 61;
    /// Timer expired.
    ETIME = 62;
    /// Value too large.
    EOVERFLOW = 75;
    /// A request is continued where it cannot have come to.
    EILSEQ = 84;
    /// The operation must be started again; never reaches a caller.
    ERESTART = 85;
    /// Operation not supported.
    EOPNOTSUPP = 95;
    /// No buffer space.
    ENOBUFS = 105;
    /// Not connected.
    ENOTCONN = 107;
}

impl Errno {
    /// Makes an error number from a negative value, or `None` if it is outside `-4095..=-1`.
    pub(crate) const fn from_raw(raw: i64) -> Option<Self> {
        if raw >= -4095 && raw <= -1 {
            // CAST: the range was checked just above.
            Some(Self(raw as i32))
        } else {
            None
        }
    }

    /// Returns the negative number.
    pub(crate) const fn to_raw(self) -> i32 {
        self.0
    }
}

impl core::fmt::Debug for Errno {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "-{}", self.name())
    }
}
