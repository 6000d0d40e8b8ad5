// SPDX-License-Identifier: GPL-2.0-only

//! `/dev/xen/hypercall`: memory for the arguments of hypercalls, which tools map. Ours needs nothing special of it.

use kernel::prelude::*;
use kernel::sync::Arc;

use crate::abi::errno::{
    Result,
    ENOTTY, //
};
use crate::sys::chardev::{
    Device,
    OpenFile,
    Progress, //
};

/// An open file.
pub(crate) struct Hypercall;

impl Device for Hypercall {
    const NAME: &'static CStr = c"xen/hypercall";
    const MAPPABLE: bool = true;
    const LAZY_MAP: bool = true;

    fn open() -> Result<Arc<Self>> {
        Ok(Arc::new(Self, GFP_KERNEL)?)
    }

    fn ioctl(
        _this: &Arc<Self>,
        _file: &OpenFile,
        _cmd: u32,
        _arg: usize,
        _progress: &mut Progress,
    ) -> Result<i64> {
        Err(ENOTTY)
    }
}
