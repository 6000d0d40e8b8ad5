// SPDX-License-Identifier: GPL-2.0-only

//! `/dev/xen/privcmd`: hypercalls and guest memory for tools.
//!
//! Numbers and structures are those of Linux's own driver. A descriptor is the control domain's until
//! `IOCTL_PRIVCMD_RESTRICT` gives up everything but one domain's device model operations and memory; that cannot be
//! taken back.

use kernel::prelude::*;
use kernel::sync::{
    Arc,
    SetOnce, //
};

use super::ioctl::{
    element,
    read,
    write, //
};
use super::restriction::Restriction;
use crate::abi::errno::{
    Errno,
    Result,
    E2BIG,
    EFAULT,
    EINTR,
    EINVAL,
    ENODEV,
    ENOSYS,
    ENOTTY,
    EPERM,
    ERESTART,
    ESRCH, //
};
use crate::abi::oxen;
use crate::abi::privcmd as abi;
use crate::domain::hypervisor::{
    Hypervisor,
    HYPERVISOR, //
};
use crate::domain::ioreq::ServerOwner;
use crate::domain::{
    Domain,
    Identity, //
};
use crate::hypercall::caller::{
    Caller,
    Origin,
    Session,
    Width, //
};
use crate::hypercall::memory::Resource;
use crate::hypercall::step_for_tool;
use crate::sys::chardev::{
    Device,
    OpenFile,
    Progress, //
};
use crate::sys::irq;
use crate::sys::page::PAGE_SIZE;

/// Pages that are put into a mapping before others may change the process's mappings.
const BATCH: usize = 64;

/// An open file.
pub(crate) struct Privcmd {
    /// The one domain that the descriptor may touch, once it is restricted.
    restricted: SetOnce<Restriction>,
    /// Owns the I/O request servers that are made through the descriptor.
    owner: ServerOwner,
    session: Session,
}

impl Device for Privcmd {
    const NAME: &'static CStr = c"xen/privcmd";
    const MAPPABLE: bool = true;

    fn open() -> Result<Arc<Self>> {
        Ok(Arc::new(
            Self {
                restricted: SetOnce::new(),
                owner: ServerOwner::new(),
                session: Session::new(),
            },
            GFP_KERNEL,
        )?)
    }

    fn ioctl(
        this: &Arc<Self>,
        file: &OpenFile,
        cmd: u32,
        arg: usize,
        progress: &mut Progress,
    ) -> Result<i64> {
        let hypervisor = HYPERVISOR.get().ok_or(ENODEV)?;
        match cmd {
            abi::HYPERCALL => this.hypercall(hypervisor, arg, progress),
            abi::MMAPBATCH_V2 => this.mmap_batch_v2(hypervisor, file, arg, progress),
            abi::MMAPBATCH => this.mmap_batch(hypervisor, file, arg, progress),
            abi::MMAP_RESOURCE => this.mmap_resource(hypervisor, file, arg),
            abi::DM_OP => this.dm_op(hypervisor, arg, progress),
            abi::RESTRICT => this.restrict(hypervisor, arg),
            oxen::GET_RUNSTATE_POLICY => this.get_runstate_policy(hypervisor, arg),
            oxen::SET_RUNSTATE_POLICY => this.set_runstate_policy(hypervisor, arg),
            // Only paravirtualised control domains map machine frames.
            abi::MMAP => Err(ENOSYS),
            _ => Err(ENOTTY),
        }
    }

    fn release(this: &Arc<Self>) {
        // A device model that has ended serves nobody any more.
        if let (Some(hypervisor), Some(owner)) = (HYPERVISOR.get(), this.owner.id()) {
            hypervisor.abandon_servers_of(owner);
        }
    }
}

impl Privcmd {
    /// Checks that the descriptor may name a domain by this number.
    fn may_touch(&self, domid: u16) -> Result {
        match self.restricted.as_ref() {
            Some(only) if only.id() != domid => Err(EPERM),
            _ => Ok(()),
        }
    }

    /// Finds a domain whose memory the descriptor may map.
    fn live_domain(&self, hypervisor: &Hypervisor, domid: u16) -> Result<Arc<Domain>> {
        self.may_touch(domid)?;
        let domain = hypervisor.domain(domid)?;
        if let Some(only) = self.restricted.as_ref() {
            only.check(&domain)?;
        }
        if domid == crate::domain::DOM0 || domain.life.lock().dying {
            return Err(ESRCH);
        }
        Ok(domain)
    }

    fn caller(&self, hypervisor: &'static Hypervisor, only: Option<Identity>) -> Caller<'_> {
        Caller {
            hypervisor,
            domain: hypervisor.dom0(),
            origin: Origin::Host,
            width: Width::Bits64,
            owner: Some(&self.owner),
            only,
            session: Some(&self.session),
        }
    }

    /// `IOCTL_PRIVCMD_HYPERCALL`.
    fn hypercall(
        &self,
        hypervisor: &'static Hypervisor,
        arg: usize,
        progress: &mut Progress,
    ) -> Result<i64> {
        if self.restricted.as_ref().is_some() {
            return Err(EPERM);
        }
        let [begun, op, args @ ..] = progress;
        if *begun == 0 {
            let call: abi::Hypercall = read(arg)?;
            let [a, b, c, d, e] = call.arg;
            (*begun, *op, *args) = (1, call.op, [a, b, c, d, e, 0]);
        }
        let caller = self.caller(hypervisor, None);
        step_for_tool(&caller, *op, args)
    }

    /// `IOCTL_PRIVCMD_RESTRICT`.
    fn restrict(&self, hypervisor: &Hypervisor, arg: usize) -> Result<i64> {
        let domid: u16 = read(arg)?;
        if self.restricted.populate(Restriction::to(hypervisor, domid)) {
            return Ok(0);
        }
        match self.restricted.as_ref() {
            Some(now) if now.id() == domid => Ok(0),
            _ => Err(EINVAL),
        }
    }

    /// `IOCTL_PRIVCMD_MMAPBATCH_V2`: maps guest frames into a mapping of this file. Each frame has an error of its own.
    fn mmap_batch_v2(
        &self,
        hypervisor: &'static Hypervisor,
        file: &OpenFile,
        arg: usize,
        progress: &mut Progress,
    ) -> Result<i64> {
        let batch = Batch::begin(progress, || {
            let batch: abi::MmapBatchV2 = read(arg)?;
            Ok(Batch {
                num: batch.num.into(),
                domid: batch.dom,
                addr: batch.addr,
                frames: batch.arr,
                errors: batch.err,
            })
        })?;
        batch.go_on(self, hypervisor, file, progress, |index, _, result| {
            let code = result.err().map_or(0, Errno::to_raw);
            write(element::<i32>(batch.errors, index)?, &code)
        })
    }

    /// `IOCTL_PRIVCMD_MMAPBATCH`: as above, errors are bits in the frame numbers.
    fn mmap_batch(
        &self,
        hypervisor: &'static Hypervisor,
        file: &OpenFile,
        arg: usize,
        progress: &mut Progress,
    ) -> Result<i64> {
        let batch = Batch::begin(progress, || {
            let batch: abi::MmapBatch = read(arg)?;
            Ok(Batch {
                num: u64::try_from(batch.num).map_err(|_| EINVAL)?,
                domid: batch.dom,
                addr: batch.addr,
                frames: batch.arr,
                errors: 0,
            })
        })?;
        batch.go_on(self, hypervisor, file, progress, |index, gfn, result| {
            if result.is_err() {
                let at = element::<u64>(batch.frames, index)?;
                write(at, &(gfn | abi::MMAPBATCH_MFN_ERROR))?;
            }
            Ok(())
        })
    }

    /// `IOCTL_PRIVCMD_MMAP_RESOURCE`: tells how many frames a resource has, or puts some into a mapping of this file.
    ///
    /// The pages are there before the first is put into the mapping: only what is wrong with the mapping itself can
    /// leave it filled in part.
    fn mmap_resource(
        &self,
        hypervisor: &'static Hypervisor,
        file: &OpenFile,
        arg: usize,
    ) -> Result<i64> {
        let mut ask: abi::MmapResource = read(arg)?;
        self.may_touch(ask.dom)?;
        if (ask.addr == 0) != (ask.num == 0) {
            return Err(EINVAL);
        }
        let only = self.restricted.as_ref().map(Restriction::identity);
        let caller = self.caller(hypervisor, only.transpose()?);
        let domain = caller.remote(ask.dom)?;
        let resource = Resource {
            kind: ask.type_,
            id: ask.id,
        };
        let size = resource.size(&domain)?;
        if ask.num == 0 {
            ask.num = size.into();
            write(arg, &ask)?;
            return Ok(0);
        }
        // No resource has more; what is told of the others is that they are not there.
        let count = u32::try_from(ask.num).map_err(|_| EINVAL)?;
        let bytes = u64::from(count) * PAGE_SIZE as u64;
        let first = u64::from(ask.idx);
        if first + u64::from(count) > u64::from(size) {
            return Err(EINVAL);
        }
        check_place(file, ask.addr, count.into())?;
        // CAST: At most the frames of a grant table.
        let mut pages = KVVec::with_capacity(count as usize, GFP_KERNEL)?;
        resource.frames(&caller, &domain, first, count, |page| {
            yield_now(pages.len() as u64)?;
            Ok(pages.push(page, GFP_KERNEL)?)
        })?;
        let batches = (0u64..).step_by(BATCH * PAGE_SIZE).zip(pages.chunks(BATCH));
        for (offset, batch) in batches {
            let mapping = file.mapping(ask.addr, bytes).ok_or(EINVAL)?;
            for (index, page) in (0u64..).zip(batch) {
                let at = ask.addr + offset + index * PAGE_SIZE as u64;
                mapping.insert(at, page.page())?;
            }
            drop(mapping);
            yield_now(BATCH as u64 - 1)?;
        }
        Ok(0)
    }

    /// `OXEN_GET_RUNSTATE_POLICY`.
    fn get_runstate_policy(&self, hypervisor: &Hypervisor, arg: usize) -> Result<i64> {
        let mut ask: oxen::RunstatePolicy = read(arg)?;
        ask.runstate_va = if self.live_domain(hypervisor, ask.domid)?.walks() {
            oxen::RUNSTATE_VA_WALK
        } else {
            oxen::RUNSTATE_VA_ONCE
        };
        write(arg, &ask)?;
        Ok(0)
    }

    /// `OXEN_SET_RUNSTATE_POLICY`.
    fn set_runstate_policy(&self, hypervisor: &Hypervisor, arg: usize) -> Result<i64> {
        if self.restricted.as_ref().is_some() {
            return Err(EPERM);
        }
        let ask: oxen::RunstatePolicy = read(arg)?;
        let walks = match ask.runstate_va {
            oxen::RUNSTATE_VA_ONCE => false,
            oxen::RUNSTATE_VA_WALK => true,
            _ => return Err(EINVAL),
        };
        self.live_domain(hypervisor, ask.domid)?.set_walks(walks)?;
        Ok(0)
    }

    /// `IOCTL_PRIVCMD_DM_OP`.
    fn dm_op(
        &self,
        hypervisor: &'static Hypervisor,
        arg: usize,
        progress: &mut Progress,
    ) -> Result<i64> {
        let [begun, _, args @ ..] = progress;
        if *begun == 0 {
            let op: abi::DmOp = read(arg)?;
            self.may_touch(op.dom)?;
            // How libxendevicemodel asks whether there is this ioctl.
            if op.num == 0 {
                return Ok(0);
            }
            if op.num > abi::DM_OP_MAX_NUM {
                return Err(E2BIG);
            }
            for index in 0..op.num {
                let buf: abi::DmOpBuf = read(element::<abi::DmOpBuf>(op.ubufs, index.into())?)?;
                if buf.size > abi::DM_OP_BUF_MAX_SIZE {
                    return Err(E2BIG);
                }
            }
            // The buffers have the layout of the hypercall's own.
            (*begun, *args) = (1, [op.dom.into(), op.num.into(), op.ubufs, 0, 0, 0]);
        }
        let only = self.restricted.as_ref().map(Restriction::identity);
        let caller = self.caller(hypervisor, only.transpose()?);
        step_for_tool(&caller, crate::abi::xen::DM_OP.into(), args)
    }
}

/// Frames that one step of a batch maps.
const STEP: u64 = 64;

/// What is asked of a batch, read once.
#[derive(Clone, Copy)]
struct Batch {
    num: u64,
    domid: u16,
    addr: u64,
    frames: u64,
    errors: u64,
}

impl Batch {
    /// Reads what is asked, unless that was done for an earlier step.
    fn begin(progress: &mut Progress, read: impl FnOnce() -> Result<Self>) -> Result<Self> {
        let [begun, _, num, domid, addr, frames, errors, _] = progress;
        if *begun == 0 {
            let batch = read()?;
            *begun = 1;
            *num = batch.num;
            *domid = batch.domid.into();
            *addr = batch.addr;
            *frames = batch.frames;
            *errors = batch.errors;
        }
        Ok(Self {
            num: *num,
            // CAST: It was such a number.
            domid: *domid as u16,
            addr: *addr,
            frames: *frames,
            errors: *errors,
        })
    }

    /// Maps the next frames; `report` gets each frame's place, number and result.
    fn go_on(
        &self,
        privcmd: &Privcmd,
        hypervisor: &'static Hypervisor,
        file: &OpenFile,
        progress: &mut Progress,
        mut report: impl FnMut(u64, u64, Result) -> Result,
    ) -> Result<i64> {
        let domain = privcmd.live_domain(hypervisor, self.domid)?;
        check_place(file, self.addr, self.num)?;
        let [_, done, ..] = progress;
        let end = self.num.min(done.saturating_add(STEP));
        for index in *done..end {
            let gfn: u64 = read(element::<u64>(self.frames, index)?)?;
            let result = map_frame(&domain, file, self.addr, index, self.num, gfn)?;
            report(index, gfn, result)?;
        }
        *done = end;
        match end < self.num {
            // What has been mapped is in the way of the next call at the same place.
            true if irq::fatal_signal_pending() => Err(EINTR),
            true => Err(ERESTART),
            false => Ok(0),
        }
    }
}

/// Checks that there are frames, and a mapping with room for them. Where it is not, frames that cannot be mapped are
/// not looked at either, as in Linux's own driver.
fn check_place(file: &OpenFile, addr: u64, num: u64) -> Result {
    let bytes = num.checked_mul(PAGE_SIZE as u64).ok_or(EINVAL)?;
    if num == 0 || addr % PAGE_SIZE as u64 != 0 {
        return Err(EINVAL);
    }
    file.mapping(addr, bytes).map(drop).ok_or(EINVAL)
}

/// Maps one frame at its place in the mapping that has room for `num`. The outer error is about the call, the inner
/// one about the frame.
fn map_frame(
    domain: &Domain,
    file: &OpenFile,
    addr: u64,
    index: u64,
    num: u64,
    gfn: u64,
) -> Result<Result> {
    let bytes = num.checked_mul(PAGE_SIZE as u64).ok_or(EINVAL)?;
    if addr % PAGE_SIZE as u64 != 0 {
        return Err(EINVAL);
    }
    let page = match domain.p2m.get(gfn, false) {
        Ok(page) => page,
        Err(_) => return Ok(Err(EINVAL)),
    };
    let at = addr
        .checked_add(index.checked_mul(PAGE_SIZE as u64).ok_or(EINVAL)?)
        .ok_or(EFAULT)?;
    let mapping = file.mapping(addr, bytes).ok_or(EINVAL)?;
    Ok(mapping.insert(at, &page))
}

/// Lets others go first now and then. Only a signal that ends the process ends the call: what has been mapped is in the
/// way of the next one at the same place.
fn yield_now(index: u64) -> Result {
    if index % 64 == 63 {
        if irq::fatal_signal_pending() {
            return Err(EINTR);
        }
        irq::cond_resched();
    }
    Ok(())
}
