// SPDX-License-Identifier: GPL-2.0-only

//! An HVM guest's state as a sequence of records: all of it, or one.
//!
//! A sequence that is loaded is checked from begin to end before anything of it takes effect.

use zerocopy::{
    FromBytes,
    FromZeros,
    Immutable,
    IntoBytes, //
};

use super::{
    cpu_record,
    xsave_record,
    Call, //
};
use crate::abi::domctl::context::{
    HvmContext,
    HvmContextPartial, //
};
use crate::abi::errno::{
    Result,
    EINVAL,
    ENOBUFS,
    ENODATA,
    ENOENT,
    ENOMEM,
    ENOSPC,
    EOPNOTSUPP, //
};
use crate::abi::hvm::save::{
    self as abi,
    HwCpu,
    HwLapic,
    HwLapicRegs,
    HwMtrr,
    SaveDescriptor,
    SaveHeader, //
};
use crate::domain::clock;
use crate::domain::vcpu::{
    request,
    Owned,
    Vcpu, //
};
use crate::domain::Domain;
use crate::hw::state::{
    CpuState,
    ExtendedState, //
};
use crate::policy::cpuid::CpuPolicy;
use crate::policy::feature;
use crate::policy::mtrr::Mtrr;
use crate::sys::alloc::{
    KBox,
    KVVec,
    GFP_KERNEL, //
};
use crate::sys::atomic::Ordering;
use crate::sys::msr as host;
use crate::vlapic;

/// The longest sequence that is loaded: a domain of 128 vCPUs with everything that Xen saves has less.
const MAX_BYTES: usize = 8 << 20;
/// `SaveHeader::changeset`: not known.
const NO_CHANGESET: u64 = u64::MAX;
/// CPUID leaf 1, whose EAX tells the processor's family, model and stepping.
const LEAF_VERSION: u32 = 1;

/// Records that there is one of per vCPU, in the order in which they are saved.
const PER_VCPU: [u16; 5] = [
    abi::CPU,
    abi::LAPIC,
    abi::LAPIC_REGS,
    abi::MTRR,
    abi::CPU_XSAVE,
];

/// Keeps all vCPUs of a domain from running.
struct Stopped<'a>(&'a Domain);

impl<'a> Stopped<'a> {
    fn new(domain: &'a Domain) -> Self {
        for vcpu in domain.vcpus() {
            vcpu.pause();
        }
        Self(domain)
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        for vcpu in self.0.vcpus() {
            vcpu.unpause();
        }
    }
}

/// The clock of a domain's local APICs.
struct Clock {
    /// Ticks that the vCPU's TSC is ahead of [`clock::ticks`].
    offset: u64,
}

impl Clock {
    fn of(domain: &Domain, vcpu: &Vcpu) -> Self {
        Self {
            offset: domain.tsc_offset_of(vcpu),
        }
    }
}

impl vlapic::Clock for Clock {
    fn now_ns(&self) -> u64 {
        clock::now_ns()
    }
    fn guest_tsc(&self) -> u64 {
        clock::ticks().wrapping_add(self.offset)
    }
    fn tsc_to_ns(&self, ticks: u64) -> u64 {
        clock::ticks_to_ns(ticks)
    }
}

/// A sequence of records that grows.
struct Records(KVVec<u8>);

impl Records {
    fn push<T: IntoBytes + Immutable>(&mut self, code: u16, instance: u32, record: &T) -> Result {
        self.push_bytes(code, instance, record.as_bytes())
    }

    fn push_bytes(&mut self, code: u16, instance: u32, bytes: &[u8]) -> Result {
        let descriptor = SaveDescriptor {
            typecode: code,
            // CAST: vCPUs are fewer than 2^16, records shorter than 2^32.
            instance: instance as u16,
            length: bytes.len() as u32,
        };
        self.0
            .extend_from_slice(descriptor.as_bytes(), GFP_KERNEL)?;
        Ok(self.0.extend_from_slice(bytes, GFP_KERNEL)?)
    }
}

/// Bytes that saving a domain can take.
fn save_size(domain: &Domain) -> usize {
    const EACH: usize = PER_VCPU.len() * size_of::<SaveDescriptor>()
        + size_of::<HwCpu>()
        + size_of::<HwLapic>()
        + size_of::<HwLapicRegs>()
        + size_of::<HwMtrr>();
    const ONCE: usize = 2 * size_of::<SaveDescriptor>() + size_of::<SaveHeader>();
    let policy = domain.policy();
    let extended = xsave_record::length(&policy, policy.xcr0_mask());
    ONCE + domain.vcpus().len() * (EACH + extended)
}

fn header() -> SaveHeader {
    SaveHeader {
        magic: abi::FILE_MAGIC,
        version: abi::FILE_VERSION,
        changeset: NO_CHANGESET,
        cpuid: host::cpuid(LEAF_VERSION, 0)[0],
        gtsc_khz: clock::khz(),
    }
}

/// Saves one record of a stopped vCPU; nothing for the registers of one that is down, nor for the extended state of one
/// that has never enabled any.
///
/// `at` is [`clock::ticks`], the same for all vCPUs of a domain, whose counters do not drift apart by being saved.
fn save_vcpu(domain: &Domain, vcpu: &Vcpu, code: u16, at: u64, into: &mut Records) -> Result {
    if code == abi::CPU && vcpu.is_down() {
        return Ok(());
    }
    let mut owned = vcpu.owned().lock();
    let offset = Clock::of(domain, vcpu).offset;
    let Owned {
        state,
        extended,
        lapic,
        msrs,
        ..
    } = &mut *owned;
    // The guest moves the priority in CR8 without the local APIC knowing.
    lapic.set_cr8(state.cr8);
    let now = clock::now_ns();
    match code {
        abi::CPU => {
            let tsc = at.wrapping_add(offset);
            let mut record = KBox::new(HwCpu::new_zeroed(), GFP_KERNEL)?;
            cpu_record::save(&mut record, state, tsc);
            into.push(code, vcpu.id(), &*record)
        }
        abi::LAPIC => into.push(code, vcpu.id(), &lapic.save_hidden(&vcpu.lapic, now)),
        abi::LAPIC_REGS => {
            let mut record = KBox::new(HwLapicRegs::new_zeroed(), GFP_KERNEL)?;
            lapic.save_registers(&vcpu.lapic, &mut record, now);
            into.push(code, vcpu.id(), &*record)
        }
        abi::MTRR => into.push(code, vcpu.id(), &msrs.mtrr.save(state.pat)),
        abi::CPU_XSAVE if extended.accum == 0 => Ok(()),
        abi::CPU_XSAVE => {
            let mut record = KVVec::new();
            xsave_record::save(state, extended, &domain.policy(), &mut record)?;
            into.push_bytes(code, vcpu.id(), &record)
        }
        _ => Err(EINVAL),
    }
}

/// `XEN_DOMCTL_gethvmcontext`: all records; without a buffer, how long they can be.
///
/// # Errors
///
/// `ENOSPC` if the buffer is shorter than that, `EFAULT`, `ENOMEM`.
pub(super) fn get(call: &mut Call<'_>, domain: &Domain) -> Result {
    let mut ask: HvmContext = call.payload()?;
    let need = save_size(domain);
    // CAST: Below 2^32 for as many vCPUs as there can be.
    if ask.buffer == 0 {
        ask.size = need as u32;
        return call.answer(&ask);
    }
    if (ask.size as usize) < need {
        return Err(ENOSPC);
    }
    let mut records = Records(KVVec::with_capacity(need, GFP_KERNEL)?);
    {
        let _stopped = Stopped::new(domain);
        let at = clock::ticks();
        records.push(abi::HEADER, 0, &header())?;
        for code in PER_VCPU {
            for vcpu in domain.vcpus() {
                save_vcpu(domain, vcpu, code, at, &mut records)?;
            }
        }
        records.push_bytes(abi::END, 0, &[])?;
    }
    call.caller.copy_out(ask.buffer, &records.0)?;
    ask.size = records.0.len() as u32;
    call.answer(&ask)
}

/// `XEN_DOMCTL_gethvmcontext_partial`: one record without its descriptor; without a buffer, its length.
///
/// # Errors
///
/// `EINVAL` for a kind of record that there is not, `ENOENT` for a vCPU that there is not or that is down, `ENOBUFS` if
/// the buffer is too short, `EFAULT`, `ENOMEM`.
pub(super) fn get_partial(call: &mut Call<'_>, domain: &Domain) -> Result {
    let mut ask: HvmContextPartial = call.payload()?;
    let code = u16::try_from(ask.type_).map_err(|_| EINVAL)?;
    let mut records = Records(KVVec::new());
    if code == abi::HEADER {
        if ask.instance != 0 {
            return Err(ENOENT);
        }
        records.push(code, 0, &header())?;
    } else if PER_VCPU.contains(&code) {
        let vcpu = domain.vcpu(ask.instance).ok_or(ENOENT)?;
        vcpu.pause();
        let result = save_vcpu(domain, vcpu, code, clock::ticks(), &mut records);
        vcpu.unpause();
        result?;
    } else {
        return Err(EINVAL);
    }
    let record = records.0.get(size_of::<SaveDescriptor>()..).ok_or(ENOENT)?;
    if ask.buffer != 0 {
        if ask.bufsz < record.len() as u64 {
            return Err(ENOBUFS);
        }
        call.caller.copy_out(ask.buffer, record)?;
    }
    ask.bufsz = record.len() as u64;
    call.answer(&ask)
}

/// `XEN_DOMCTL_sethvmcontext`: loads records. All vCPUs are down then but those whose registers were among them.
///
/// # Errors
///
/// `ENODATA` for a sequence that does not begin with a header or does not end, `EINVAL` for a record that is not one or
/// a state that cannot be, `EOPNOTSUPP` for state that there is no room for, `EIO` for a header of an XSAVE area that
/// is none, `EFAULT`, `ENOMEM`.
pub(super) fn set(call: &Call<'_>, domain: &Domain) -> Result {
    let ask: HvmContext = call.payload()?;
    let size = ask.size as usize;
    if size > MAX_BYTES {
        return Err(call.refuse(ENOMEM, format_args!("{size} bytes of saved state")));
    }
    let mut bytes = KVVec::with_capacity(size, GFP_KERNEL)?;
    bytes.resize(size, 0, GFP_KERNEL)?;
    call.caller.copy_in(ask.buffer, &mut bytes)?;
    if domain.life.lock().dying {
        return Err(EINVAL);
    }
    let mut loader = Loader {
        domain,
        policy: &domain.policy(),
        at: clock::ticks(),
        scratch: KBox::new(CpuState::reset(), GFP_KERNEL)?,
        scratch_extended: ExtendedState::new()?,
    };
    let mut kind = 0;
    each_record(&bytes, |record| {
        kind = record.code;
        loader.check(record)
    })
    .map_err(|errno| {
        let name = abi::type_name(kind);
        call.refuse(
            errno,
            format_args!("saved state, at or after a record {kind} {name}"),
        )
    })?;
    let _stopped = Stopped::new(domain);
    for vcpu in domain.vcpus() {
        vcpu.set_down(true);
    }
    each_record(&bytes, |record| loader.load(record))
}

/// One record of a sequence.
struct Record<'a> {
    code: u16,
    instance: u16,
    bytes: &'a [u8],
}

impl Record<'_> {
    /// The record in its form. One from an older Xen may be shorter; the rest is 0. A longer one loses its end, as in
    /// Xen.
    fn form<T: FromBytes + IntoBytes>(&self) -> Result<KBox<T>> {
        let mut form = KBox::new(T::new_zeroed(), GFP_KERNEL)?;
        for (to, from) in form.as_mut_bytes().iter_mut().zip(self.bytes) {
            *to = *from;
        }
        Ok(form)
    }
}

/// Calls `f` with each record between the header, which is checked, and the end.
fn each_record(bytes: &[u8], mut f: impl FnMut(&Record<'_>) -> Result) -> Result {
    let mut rest = bytes;
    let mut first = true;
    // Each turn takes a descriptor off.
    loop {
        let (descriptor, tail) = SaveDescriptor::read_from_prefix(rest).map_err(|_| ENODATA)?;
        let length = descriptor.length as usize;
        let (bytes, tail) = tail.split_at_checked(length).ok_or(ENODATA)?;
        rest = tail;
        let record = Record {
            code: descriptor.typecode,
            instance: descriptor.instance,
            bytes,
        };
        match (first, record.code) {
            (true, abi::HEADER) => {
                let header: KBox<SaveHeader> = record.form()?;
                if header.magic != abi::FILE_MAGIC || header.version != abi::FILE_VERSION {
                    return Err(EINVAL);
                }
            }
            (true, _) => return Err(ENODATA),
            (false, abi::END) => return Ok(()),
            (false, _) => f(&record)?,
        }
        first = false;
    }
}

/// Where records go.
struct Loader<'a> {
    domain: &'a Domain,
    policy: &'a CpuPolicy,
    /// [`clock::ticks`] at which the vCPUs have what their records say.
    at: u64,
    /// States to try records out with.
    scratch: KBox<CpuState>,
    scratch_extended: ExtendedState,
}

impl Loader<'_> {
    fn vcpu(&self, record: &Record<'_>) -> Result<&Vcpu> {
        self.domain.vcpu(record.instance.into()).ok_or(EINVAL)
    }

    /// Whether a record could be loaded.
    fn check(&mut self, record: &Record<'_>) -> Result {
        self.vcpu(record)?;
        match record.code {
            abi::CPU => cpu_record::load(
                &*record.form()?,
                self.policy,
                &CpuState::reset(),
                &mut self.scratch,
            ),
            abi::MTRR => self.mtrr(record).map(drop),
            abi::LAPIC => {
                let form: KBox<HwLapic> = record.form()?;
                vlapic::save::check_hidden(&form, self.policy.has(feature::X2APIC))
            }
            abi::LAPIC_REGS => {
                let form: KBox<HwLapicRegs> = record.form()?;
                vlapic::save::check_registers(&form)
            }
            abi::CPU_XSAVE => xsave_record::load(
                record.bytes,
                self.policy,
                &mut self.scratch,
                &mut self.scratch_extended,
            ),
            // Further MSRs have no place in a saved state yet.
            abi::CPU_MSR => Err(EOPNOTSUPP),
            _ => Err(EINVAL),
        }
    }

    fn mtrr(&self, record: &Record<'_>) -> Result<(Mtrr, u64)> {
        let form: KBox<HwMtrr> = record.form()?;
        Mtrr::load(&form, self.policy.paddr_bits())
    }

    /// Loads a record that [`Self::check`] accepted. The vCPUs are stopped.
    fn load(&mut self, record: &Record<'_>) -> Result {
        let vcpu = self.domain.vcpu(record.instance.into()).ok_or(EINVAL)?;
        match record.code {
            abi::CPU => self.load_cpu(vcpu, record),
            abi::MTRR => {
                let (mtrr, pat) = self.mtrr(record)?;
                let mut owned = vcpu.owned().lock();
                owned.msrs.mtrr = mtrr;
                if owned.state.pat != pat {
                    owned.state.pat = pat;
                    owned.changed = true;
                }
                Ok(())
            }
            abi::LAPIC => {
                let form: KBox<HwLapic> = record.form()?;
                let mut owned = vcpu.owned().lock();
                let clock = Clock::of(self.domain, vcpu);
                owned.lapic.load_hidden(&vcpu.lapic, &form, &clock)?;
                vcpu.request(request::EVENT | request::TIMER);
                Ok(())
            }
            abi::LAPIC_REGS => {
                let form: KBox<HwLapicRegs> = record.form()?;
                let mut owned = vcpu.owned().lock();
                let clock = Clock::of(self.domain, vcpu);
                owned.lapic.load_registers(&vcpu.lapic, &form, &clock)?;
                let cr8 = owned.lapic.cr8();
                if owned.state.cr8 != cr8 {
                    owned.state.cr8 = cr8;
                    owned.changed = true;
                }
                vcpu.request(request::EVENT | request::TIMER);
                Ok(())
            }
            abi::CPU_XSAVE => {
                let mut owned = vcpu.owned().lock();
                let Owned {
                    state, extended, ..
                } = &mut *owned;
                xsave_record::load(record.bytes, self.policy, state, extended)?;
                owned.changed = true;
                Ok(())
            }
            _ => Err(EINVAL),
        }
    }

    /// Loads registers, and brings the vCPU up.
    fn load_cpu(&mut self, vcpu: &Vcpu, record: &Record<'_>) -> Result {
        let form: KBox<HwCpu> = record.form()?;
        {
            let mut owned = vcpu.owned().lock();
            cpu_record::load(&form, self.policy, &owned.state, &mut self.scratch)?;
            *owned.state = *self.scratch;
            // As in Xen, vector registers are empty unless their own record follows.
            owned.extended.clear();
            owned.changed = true;
            // A new guest's record says 0, and its counter is the host's. One that is restored goes on where it was:
            // all vCPUs where the first was, whose record is the first, and those that were ahead of it still are.
            if form.tsc != 0 {
                let offset = form.tsc.wrapping_sub(self.at);
                if vcpu.id() == 0 {
                    self.domain.tsc_offset.store(offset, Ordering::Relaxed);
                }
                let domains = self.domain.tsc_offset.load(Ordering::Relaxed);
                let own = offset.wrapping_sub(domains);
                vcpu.tsc_offset.store(own, Ordering::Relaxed);
                vcpu.request(request::TIME);
            }
        }
        vcpu.lapic.set_wait_for_startup(false);
        vcpu.set_initialised();
        vcpu.set_down(false);
        Ok(())
    }
}
