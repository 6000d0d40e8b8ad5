// SPDX-License-Identifier: GPL-2.0-only

//! The structures of tools that say which version of an interface they are of: there is one that is spoken here.

use zerocopy::{
    FromBytes,
    IntoBytes, //
};

use crate::abi::domctl::{
    self,
    XenDomctl, //
};
use crate::abi::errno::{
    Result,
    EACCES, //
};
use crate::abi::platform::{
    self,
    XenPlatformOp, //
};
use crate::abi::sysctl::{
    self,
    XenSysctl, //
};
use crate::hypercall::caller::{
    Caller,
    Handle, //
};

/// A structure with the version that the caller speaks.
pub(super) trait Versioned: Sized + FromBytes + IntoBytes {
    /// The version that is spoken here.
    const VERSION: u32;

    /// The version that the caller speaks.
    fn version(&self) -> u32;

    /// Reads the structure at an address of the caller's.
    ///
    /// # Errors
    ///
    /// `EFAULT`, `EACCES` for a caller that speaks another version.
    fn read(caller: &Caller<'_>, addr: u64) -> Result<Self> {
        let op = Handle::<Self>::new(addr).read(caller)?;
        if op.version() == Self::VERSION {
            Ok(op)
        } else {
            Err(EACCES)
        }
    }
}

macro_rules! versioned {
    ($($structure:ty, $version:expr;)*) => {
        $(impl Versioned for $structure {
            const VERSION: u32 = $version;

            fn version(&self) -> u32 {
                self.interface_version
            }
        })*
    };
}

versioned! {
    XenDomctl, domctl::INTERFACE_VERSION;
    XenPlatformOp, platform::INTERFACE_VERSION;
    XenSysctl, sysctl::INTERFACE_VERSION;
}
