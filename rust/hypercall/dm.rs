// SPDX-License-Identifier: GPL-2.0-only

//! `dm_op`: what a device model does with its guest.
//!
//! A call has up to two buffers: the operation, and a list or bitmap for those that have one. A buffer that the caller
//! did not give is none of no length (XSA-506). An operation that goes on later has changed the first buffer to what
//! remains.

mod event;
mod memory;
mod server;

use kernel::sync::Arc;
use zerocopy::{
    FromBytes,
    Immutable,
    IntoBytes, //
};

use super::Args;
use crate::abi::dm_op as abi;
use crate::abi::errno::{
    Result,
    E2BIG,
    EFAULT,
    EINVAL,
    EOPNOTSUPP, //
};
use crate::domain::{
    Domain,
    DOM0, //
};
use crate::hypercall::caller::{
    Caller,
    Handle, //
};

/// Buffers of a call, as in Xen.
const MAX_BUFFERS: usize = 2;

/// Where the operation's own part begins in the first buffer.
const PAYLOAD: u64 = core::mem::offset_of!(abi::XenDmOp, u) as u64;

/// A buffer in the caller's memory.
#[derive(Clone, Copy)]
struct Buffer {
    addr: u64,
    size: u64,
}

/// A call that has been decoded.
struct Call<'a> {
    caller: &'a Caller<'a>,
    domain: Arc<Domain>,
    op: Buffer,
    /// Whether the operation's padding is not 0.
    padded: bool,
    /// The list or bitmap, if there is one.
    second: Option<Buffer>,
}

impl Call<'_> {
    /// Copies the operation's own part in, once.
    ///
    /// # Errors
    ///
    /// `EFAULT`, also if the buffer is too short; `EINVAL` if the operation's padding is not 0.
    fn payload<T: FromBytes + IntoBytes>(&self) -> Result<T> {
        // CAST: Sizes of structures are small.
        if self.op.size < PAYLOAD + size_of::<T>() as u64 {
            return Err(EFAULT);
        }
        let value = self.payload_handle().read(self.caller)?;
        if self.padded {
            return Err(EINVAL);
        }
        Ok(value)
    }

    /// Copies the operation's own part back.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    fn answer<T: FromBytes + IntoBytes + Immutable>(&self, value: &T) -> Result {
        self.payload_handle().write(self.caller, value)
    }

    fn payload_handle<T>(&self) -> Handle<T> {
        Handle::new(self.op.addr.wrapping_add(PAYLOAD))
    }
}

/// Performs an operation on the domain `args[0]` with `args[1]` buffers, whose list is at `args[2]`.
///
/// # Errors
///
/// - `E2BIG` for too many buffers, `EFAULT` for a list that cannot be read or an operation that is too short.
/// - `ESRCH` if there is no such other domain, `EINVAL` for the control domain, `EPERM` if the caller has no power over
///   it.
/// - `EOPNOTSUPP` for an operation that there is not; each operation's own.
pub(crate) fn dm_op(caller: &Caller<'_>, args: &mut Args) -> Result<i64> {
    // CAST: A domain's number has 16 bits, the count has 32.
    let (domid, count) = (args[0] as u16, args[1] as u32 as usize);
    let mut buffers = [None; MAX_BUFFERS];
    let given = buffers.get_mut(..count).ok_or(E2BIG)?;
    for (index, buffer) in given.iter_mut().enumerate() {
        *buffer = Some(read_buffer(caller, args[2], index as u64)?);
    }
    let [first, second] = buffers;
    let domain = caller.remote(domid)?;
    if domain.id() == DOM0 {
        return Err(EINVAL);
    }
    let op = first.filter(|op| op.size >= PAYLOAD).ok_or(EFAULT)?;
    let [number, pad]: [u32; 2] = Handle::new(op.addr).read(caller)?;
    let call = Call {
        caller,
        domain,
        op,
        padded: pad != 0,
        second,
    };
    match number {
        abi::CREATE_IOREQ_SERVER => server::create(&call),
        abi::GET_IOREQ_SERVER_INFO => server::info(&call),
        abi::MAP_IO_RANGE_TO_IOREQ_SERVER => server::map_range(&call),
        abi::UNMAP_IO_RANGE_FROM_IOREQ_SERVER => server::unmap_range(&call),
        abi::SET_IOREQ_SERVER_STATE => server::set_state(&call),
        abi::DESTROY_IOREQ_SERVER => server::destroy(&call),
        abi::MAP_MEM_TYPE_TO_IOREQ_SERVER => server::map_memory_type(&call),
        abi::TRACK_DIRTY_VRAM => memory::track_dirty_vram(&call),
        abi::MODIFIED_MEMORY => memory::modified(&call),
        abi::SET_MEM_TYPE => memory::set_type(&call),
        abi::RELOCATE_MEMORY => memory::relocate(&call),
        abi::PIN_MEMORY_CACHEATTR => memory::pin_cache_attribute(&call),
        abi::SET_PCI_INTX_LEVEL => event::set_pci_level(&call),
        abi::SET_ISA_IRQ_LEVEL => event::set_isa_level(&call),
        abi::SET_PCI_LINK_ROUTE => event::set_pci_route(&call),
        abi::INJECT_EVENT => event::inject(&call),
        abi::INJECT_MSI => event::inject_msi(&call),
        abi::REMOTE_SHUTDOWN => event::shut_down(&call),
        abi::NR_VCPUS => {
            call.payload::<abi::NrVcpus>()?;
            let vcpus = call.domain.config().max_vcpus;
            call.answer(&abi::NrVcpus { vcpus })
        }
        // `set_irq_level` is of another architecture.
        _ => Err(EOPNOTSUPP),
    }?;
    Ok(0)
}

/// Reads one buffer of the list.
fn read_buffer(caller: &Caller<'_>, list: u64, index: u64) -> Result<Buffer> {
    let buffer = if caller.is_compat() {
        let at = Handle::<abi::compat::XenDmOpBuf>::new(list).at(index)?;
        Handle::<abi::XenDmOpBuf>::new(at.addr()).read_as::<abi::compat::XenDmOpBuf>(caller)?
    } else {
        Handle::<abi::XenDmOpBuf>::new(list)
            .at(index)?
            .read(caller)?
    };
    Ok(Buffer {
        addr: buffer.h,
        size: buffer.size,
    })
}
