// SPDX-License-Identifier: GPL-2.0-only

//! `xen_version`: what is spoken here, and what built it.

use zerocopy::FromZeros;

use super::Args;
use crate::abi::errno::{
    Result,
    EINVAL,
    ENOBUFS,
    ENODATA,
    ENOSYS,
    EPERM, //
};
use crate::abi::version as abi;
use crate::domain::clock::XEN_VERSION;
use crate::hypercall::caller::{
    Caller,
    Handle, //
};

/// What comes after 4.20.
const EXTRA: &[u8] = b".0-oxen";
/// Kinds of guests, in Xen's words. Every PVH kernel counts as the second one. The first is how tools (`xenctx`) tell
/// that registers come in 64 bits; that paravirtualised guests cannot run is said by `physinfo` and `createdomain`.
const CAPABILITIES: &[u8] = b"xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 ";
/// There is no source revision to tell.
const CHANGESET: &[u8] = b"oxen";
/// Module parameters are in `/sys/module`.
const COMMANDLINE: &[u8] = b"";

/// Answers one question.
///
/// # Errors
///
/// `EFAULT`, `EINVAL` for a feature map that there is not, `ENOBUFS` for a buffer that is too small, `ENODATA` if
/// the build has no identity, `EPERM` for what only the control domain may know, `ENOSYS` for a question that there
/// is not.
pub(crate) fn xen_version(caller: &Caller<'_>, args: &mut Args) -> Result<i64> {
    // CAST: The command has 32 bits.
    let cmd = args[0] as u32;
    let arg = args[1];
    match cmd {
        abi::VERSION => return Ok(XEN_VERSION.into()),
        abi::EXTRAVERSION => text::<{ abi::EXTRAVERSION_LEN }>(caller, arg, EXTRA)?,
        abi::COMPILE_INFO => compile_info(caller, arg)?,
        abi::CAPABILITIES => text::<{ abi::CAPABILITIES_INFO_LEN }>(caller, arg, CAPABILITIES)?,
        abi::CHANGESET => text::<{ abi::CHANGESET_INFO_LEN }>(caller, arg, CHANGESET)?,
        abi::COMMANDLINE => text::<{ abi::COMMANDLINE_LEN }>(caller, arg, COMMANDLINE)?,
        abi::PLATFORM_PARAMETERS => {
            // Where the hypervisor begins in a paravirtualised guest: nowhere.
            if caller.is_compat() {
                Handle::new(arg).write(caller, &0u32)?;
            } else {
                Handle::new(arg).write(caller, &0u64)?;
            }
        }
        abi::GET_FEATURES => features(caller, arg)?,
        abi::PAGESIZE => return Ok(4096),
        abi::GUEST_HANDLE => {
            let handle = caller.domain.control().lock().handle;
            Handle::new(arg).write(caller, &handle)?;
        }
        abi::BUILD_ID | abi::COMMANDLINE2 if !caller.is_control() => return Err(EPERM),
        abi::BUILD_ID => return varbuf(caller, arg, crate::build_id::bytes().ok_or(ENODATA)?),
        abi::EXTRAVERSION2 => return varbuf_text(caller, arg, EXTRA),
        abi::CAPABILITIES2 => return varbuf_text(caller, arg, CAPABILITIES),
        abi::CHANGESET2 => return varbuf_text(caller, arg, CHANGESET),
        abi::COMMANDLINE2 => return varbuf_text(caller, arg, COMMANDLINE),
        _ => return Err(ENOSYS),
    }
    Ok(0)
}

/// Writes text into a buffer of fixed size, padded with zeroes.
fn text<const LEN: usize>(caller: &Caller<'_>, arg: u64, text: &[u8]) -> Result {
    let mut buffer = [0; LEN];
    for (to, from) in buffer.iter_mut().zip(text) {
        *to = *from;
    }
    caller.copy_out(arg, &buffer)
}

fn compile_info(caller: &Caller<'_>, arg: u64) -> Result {
    fn fill(to: &mut [u8], from: &[u8]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = *from;
        }
    }
    let mut info = abi::CompileInfo::new_zeroed();
    fill(&mut info.compiler, b"rustc");
    fill(&mut info.compile_by, b"oxen");
    fill(&mut info.compile_domain, b"linux");
    Handle::new(arg).write(caller, &info)
}

/// A variable buffer: without one, asks for the length.
fn varbuf(caller: &Caller<'_>, arg: u64, bytes: &[u8]) -> Result<i64> {
    // CAST: What is told here is short.
    let len = bytes.len() as u32;
    if arg == 0 {
        return Ok(len.into());
    }
    let ask: abi::Varbuf = Handle::new(arg).read(caller)?;
    if ask.len == 0 {
        return Err(EINVAL);
    }
    if ask.len < len {
        return Err(ENOBUFS);
    }
    let at = Handle::<abi::Varbuf>::new(arg).at(1)?.addr();
    caller.copy_out(at, bytes)?;
    Ok(len.into())
}

/// Text in a variable buffer, without a terminating zero.
fn varbuf_text(caller: &Caller<'_>, arg: u64, text: &[u8]) -> Result<i64> {
    varbuf(caller, arg, text)
}

/// `XENVER_get_features`.
fn features(caller: &Caller<'_>, arg: u64) -> Result {
    let mut info: abi::FeatureInfo = Handle::new(arg).read(caller)?;
    if info.submap_idx >= abi::FEAT_NR_SUBMAPS {
        return Err(EINVAL);
    }
    info.submap = [
        abi::FEAT_WRITABLE_PAGE_TABLES,
        abi::FEAT_AUTO_TRANSLATED_PHYSMAP,
        abi::FEAT_HVM_CALLBACK_VECTOR,
        abi::FEAT_HVM_SAFE_PVCLOCK,
        abi::FEAT_MEMORY_OP_VNODE_SUPPORTED,
        abi::FEAT_NOT_DIRECT_MAPPED,
        abi::FEAT_RUNSTATE_PHYS_AREA,
        abi::FEAT_VCPU_TIME_PHYS_AREA,
    ]
    .iter()
    .fold(0, |map, bit| map | 1 << bit);
    if caller.is_control() {
        info.submap |= 1 << abi::FEAT_DOM0;
    }
    Handle::new(arg).write(caller, &info)
}
