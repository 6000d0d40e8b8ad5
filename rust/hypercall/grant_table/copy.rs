// SPDX-License-Identifier: GPL-2.0-only

//! `GNTTABOP_copy`: bytes from one page to another, each the caller's own or granted to it.

use core::mem::offset_of;

use kernel::sync::Arc;

use super::write_status;
use crate::abi::errno::Result;
use crate::abi::grant_table as abi;
use crate::abi::xen::DOMID_SELF;
use crate::domain::{
    DomId,
    Domain, //
};
use crate::gnttab::{
    rules,
    Access,
    GntResult,
    Gntst,
    Pin,
    Use, //
};
use crate::hypercall::caller::{
    Caller,
    Handle, //
};
use crate::sys::page::PageRef;

/// Bytes that are on the way at once.
const CHUNK: usize = 512;

/// Performs one element of the list.
///
/// # Errors
///
/// `EFAULT`.
pub(super) fn copy(caller: &Caller<'_>, addr: u64) -> Result {
    let ask = Handle::<abi::Copy>::new(addr).read_as::<abi::compat::Copy>(caller)?;
    let outcome = copy_one(caller, &ask);
    let offset = if caller.is_compat() {
        offset_of!(abi::compat::Copy, status)
    } else {
        offset_of!(abi::Copy, status)
    };
    write_status(caller, addr, offset, &outcome)
}

fn copy_one(caller: &Caller<'_>, ask: &abi::Copy) -> GntResult {
    let from_grant = ask.flags & abi::GNTCOPY_SOURCE_GREF != 0;
    let to_grant = ask.flags & abi::GNTCOPY_DEST_GREF != 0;
    let source = domain(caller, ask.source.domid, from_grant)?;
    let dest = domain(caller, ask.dest.domid, to_grant)?;
    let from = Side::claim(caller, source, ask.source.u, from_grant, Access::Read)?;
    let to = Side::claim(caller, dest, ask.dest.u, to_grant, Access::Write)?;
    rules::check_copy_bounds(ask.source.offset, ask.dest.offset, ask.len)?;
    transfer(
        &from.page,
        ask.source.offset.into(),
        &to.page,
        ask.dest.offset.into(),
        ask.len.into(),
    );
    Ok(())
}

/// The domain that one side names.
fn domain(caller: &Caller<'_>, domid: DomId, by_grant: bool) -> GntResult<Arc<Domain>> {
    rules::check_copy_side(domid, by_grant)?;
    if domid == DOMID_SELF {
        return Ok(caller.domain.clone());
    }
    caller
        .hypervisor
        .domain(domid)
        .map_err(|_| Gntst::BAD_DOMAIN)
}

/// One side of a copy. Dropping it ends the use of the grant, if it is one.
struct Side {
    page: PageRef,
    domain: Arc<Domain>,
    pin: Option<Pin>,
}

impl Side {
    /// Takes the page that `number`, a grant reference or a guest frame of the caller, stands for.
    fn claim(
        caller: &Caller<'_>,
        domain: Arc<Domain>,
        number: u64,
        by_grant: bool,
        access: Access,
    ) -> GntResult<Self> {
        let write = access == Access::Write;
        if !by_grant {
            let page = domain.p2m.get_own(number, write);
            return Ok(Self {
                page: page.map_err(|_| Gntst::BAD_PAGE)?,
                domain,
                pin: None,
            });
        }
        // CAST: A reference is the low half of the union.
        let gref = number as u32;
        let pin = domain
            .grants
            .lock()
            .pin(gref, caller.domain.id(), access, Use::Copy)?;
        let page = domain.p2m.get_own(pin.gfn(), write);
        match page {
            Ok(page) => Ok(Self {
                page,
                domain,
                pin: Some(pin),
            }),
            Err(_) => {
                domain.grants.lock().unpin(pin);
                Err(Gntst::BAD_PAGE)
            }
        }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        if let Some(pin) = self.pin.take() {
            self.domain.grants.lock().unpin(pin);
        }
    }
}

/// Copies `len` bytes, which lie in both pages.
fn transfer(from: &PageRef, at: usize, to: &PageRef, into: usize, len: usize) {
    let mut buffer = [0; CHUNK];
    let mut done = 0;
    while done < len {
        let Some(part) = buffer.get_mut(..(len - done).min(CHUNK)) else {
            return;
        };
        from.read(at + done, part);
        to.write(into + done, part);
        done += part.len();
    }
}
