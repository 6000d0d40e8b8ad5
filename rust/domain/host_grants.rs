// SPDX-License-Identifier: GPL-2.0-only

//! Pages of the control domain's that it grants to others.
//!
//! The control domain is this host and has no guest memory. A page that it grants is entered in its p2m at the frame
//! that has the page's machine frame number, so that a grant of the host is resolved like any other.

use super::hypervisor::Hypervisor;
use crate::abi::errno::{
    Result,
    EBUSY,
    ENOSPC, //
};
use crate::gnttab::{
    Access,
    FrameGrowth, //
};
use crate::hw::npt::P2mType;
use crate::mm::p2m::Removed;
use crate::sys::alloc::GFP_KERNEL;
use crate::sys::atomic::Ordering;
use crate::sys::page::PageRef;

impl Hypervisor {
    /// Grants a page of the host to a domain; returns the reference.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if the control domain's grant table is full, `ENOMEM`.
    pub(crate) fn grant_host_page(
        &self,
        domid: u16,
        page: &PageRef,
        access: Access,
    ) -> Result<u32> {
        self.reap_host_grants();
        let dom0 = self.dom0();
        let gfn = page.mfn();
        let mut removed = Removed::with_capacity(1)?;
        let entered = dom0
            .p2m
            .insert(gfn, page.clone(), P2mType::Special, &mut removed);
        dom0.release(removed);
        entered?;
        let result = loop {
            let (size, result) = {
                let mut table = dom0.grants.lock();
                (table.size(), table.offer(domid, gfn, access))
            };
            let full = matches!(result, Err(errno) if errno == ENOSPC);
            if !full || size.nr_frames >= size.max_nr_frames {
                break result;
            }
            let total = size.nr_frames + 1;
            let grow = || -> Result {
                let mut growth = FrameGrowth::new(1)?;
                dom0.grants.lock().grow(total, &mut growth)
            };
            if let Err(errno) = grow() {
                break Err(errno);
            }
        };
        result.inspect_err(|_| self.forget_host_page(gfn))
    }

    /// Withdraws a grant of the host. If it is in use, that is done when the use has ended.
    pub(crate) fn end_host_grant(&self, gref: u32, page: PageRef) {
        if self.withdraw(gref, &page) {
            return;
        }
        // Without memory for that the page and its entry are lost, which is better than giving them to somebody else.
        let _ = self.ended_grants.lock().push((gref, page), GFP_KERNEL);
        self.has_ended_grants.store(true, Ordering::Release);
        // It may have ended meanwhile.
        self.reap_host_grants();
    }

    fn withdraw(&self, gref: u32, page: &PageRef) -> bool {
        let result = self.dom0().grants.lock().withdraw(gref);
        if matches!(result, Err(errno) if errno == EBUSY) {
            return false;
        }
        self.forget_host_page(page.mfn());
        true
    }

    fn forget_host_page(&self, gfn: u64) {
        if let Ok(mut removed) = Removed::with_capacity(1) {
            let dom0 = self.dom0();
            let _ = dom0.p2m.remove(gfn, &mut removed);
            dom0.release(removed);
        }
    }

    /// Withdraws grants whose use has ended since somebody wanted to.
    pub(super) fn reap_host_grants(&self) {
        if !self.has_ended_grants.load(Ordering::Acquire) {
            return;
        }
        let mut ended = self.ended_grants.lock();
        ended.retain(|(gref, page)| !self.withdraw(*gref, page));
        self.has_ended_grants
            .store(!ended.is_empty(), Ordering::Release);
    }
}
