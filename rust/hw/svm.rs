// SPDX-License-Identifier: GPL-2.0-only

//! AMD SVM. "APM" is the AMD64 Architecture Programmer's Manual, volume 2, chapter 15.

mod asid;
mod gprs;
mod msrpm;
mod vcpu;
mod vmcb;

use core::ptr;
use core::sync::atomic::AtomicPtr;

use kernel::prelude::pr_err;

use crate::abi::errno::{
    Result,
    EBUSY,
    ENODEV, //
};
use crate::hw::{
    Backend,
    Capabilities, //
};
use crate::sys::alloc::{
    KBox,
    KVec,
    GFP_KERNEL, //
};
use crate::sys::atomic::{
    AtomicBool,
    AtomicU64,
    Ordering, //
};
use crate::sys::page::PageBlock;
use crate::sys::raw;
use crate::sys::{
    cpu,
    fpu,
    msr, //
};

/// The SVM backend.
pub(crate) struct Svm;

/// What one processor needs to be in host mode.
struct PerCpu {
    /// Where VMRUN keeps the host's state (VM_HSAVE_PA).
    save_area: PageBlock<0>,
    /// Where VMSAVE keeps the rest of the host's state.
    host: PageBlock<0>,
    /// Address space identifiers of this processor.
    asids: asid::Asids,
    /// The processor is in host mode. Changed on that processor with interrupts off.
    enabled: AtomicBool,
    /// Number of the vCPU that ran here last; branch predictions must not pass from one to another.
    last_vcpu: AtomicU64,
}

/// What all processors share. Constant between `init` and `exit`.
struct Shared {
    cpus: KVec<PerCpu>,
    msrpm: PageBlock<1>,
    iopm: PageBlock<2>,
    capabilities: Capabilities,
    encryption: u64,
    /// The processor is another hypervisor's, which may emulate it.
    emulated: bool,
    /// What the host lets XSAVES save besides what XCR0 says, the same on all processors. Nothing keeps a guest from
    /// that instruction.
    xss: u64,
    /// DEBUGCTL may have the processor raise #DB for locks of the bus.
    finds_bus_locks: bool,
    /// CR4.MCE, if the host has it set and the processor is real: QEMU knows no interception of reads of CR4.
    machine_checks: u64,
}

static SHARED: AtomicPtr<Shared> = AtomicPtr::new(ptr::null_mut());

/// What `init` prepared; `None` before it and after `exit`.
#[inline(always)]
fn shared() -> Option<&'static Shared> {
    let shared = SHARED.load(Ordering::Acquire);
    // SAFETY: Null, or a box that `init` published. `exit` frees it, which the module calls after the last vCPU
    // is gone and no processor is enabled.
    unsafe { shared.as_ref() }
}

/// CPUID leaf of SVM's own features.
const SVM_LEAF: u32 = 0x8000_000a;

/// Refuses with a line that a person understands.
fn refuse(why: &str) -> Result {
    pr_err!("{why}\n");
    Err(ENODEV)
}

/// Turns the processor's own protection against SRSO on or off, where the kernel has chosen that: it relies on the
/// hypervisor for it. It costs the host something, so it is on only while there may be guests.
#[inline(always)]
fn reduce_speculation(on: bool) {
    // SAFETY: Reads a constant of the running kernel.
    if !unsafe { raw::oxen_fixed_cpu_has_bp_spec_reduce() } {
        return;
    }
    let Ok(old) = msr::read(msr::BP_CFG) else {
        return;
    };
    let bit = msr::BP_CFG_SPEC_REDUCE;
    let new = if on { old | bit } else { old & !bit };
    // SAFETY: The bit changes no state that software can see, and nobody else sets it while SVM is ours.
    let _ = unsafe { msr::write(msr::BP_CFG, new) };
}

impl Backend for Svm {
    const NAME: &'static str = "AMD SVM";

    type Vcpu = vcpu::SvmVcpu;

    fn init() -> Result {
        if msr::cpuid(0x8000_0000, 0)[0] < SVM_LEAF || msr::cpuid(0x8000_0001, 0)[2] & 1 << 2 == 0 {
            return refuse("this processor has no SVM, or the hypervisor above hides it");
        }
        let [_, asids, _, features] = msr::cpuid(SVM_LEAF, 0);
        if features & 1 == 0 {
            return refuse("this processor has no nested paging");
        }
        if msr::cpuid(1, 0)[2] & 1 << 27 == 0 {
            return refuse("the host does not use XSAVE (was it started with noxsave?)");
        }
        if asids < 2 {
            return refuse("this processor has no address space identifiers");
        }

        // x87, SSE, AVX, and the three parts of AVX-512: their standard format fits a page.
        let xcr0_mask = fpu::xcr0() & 0xe7;
        // SAFETY: These read constants of the running kernel.
        let (nrips, decode, ibpb, spec_ctrl) = unsafe {
            (
                raw::oxen_cpu_has_nrips(),
                raw::oxen_cpu_has_decodeassists(),
                raw::oxen_cpu_has_ibpb(),
                raw::oxen_cpu_has_v_spec_ctrl(),
            )
        };
        let capabilities = Capabilities {
            next_rip: nrips,
            decode_assists: decode,
            ibpb,
            spec_ctrl,
            page_1g: msr::cpuid(0x8000_0001, 0)[3] & 1 << 26 != 0,
            xcr0_mask,
            address_spaces: asids - 1,
        };

        let mut cpus = KVec::with_capacity(cpu::nr_ids() as usize, GFP_KERNEL)?;
        for _ in 0..cpu::nr_ids() {
            cpus.push(
                PerCpu {
                    save_area: PageBlock::new()?,
                    host: PageBlock::new()?,
                    asids: asid::Asids::new(asids - 1),
                    enabled: AtomicBool::new(false),
                    last_vcpu: AtomicU64::new(0),
                },
                GFP_KERNEL,
            )?;
        }
        let mut iopm = PageBlock::<2>::new()?;
        iopm.fill(0xff);
        let emulated = msr::cpuid(1, 0)[2] & 1 << 31 != 0;
        let shared = KBox::new(
            Shared {
                cpus,
                msrpm: msrpm::build(&capabilities)?,
                iopm,
                capabilities,
                encryption: crate::sys::page::sme_mask(),
                emulated,
                xss: match msr::cpuid(0xd, 1)[0] & 1 << 3 {
                    0 => 0,
                    _ => msr::read(msr::XSS)?,
                },
                finds_bus_locks: msr::cpuid(7, 0)[2] & 1 << 24 != 0,
                machine_checks: match emulated {
                    true => 0,
                    false => msr::cr4() & msr::CR4_MCE,
                },
            },
            GFP_KERNEL,
        )?;
        SHARED.store(KBox::into_raw(shared), Ordering::Release);
        Ok(())
    }

    fn exit() {
        let shared = SHARED.swap(ptr::null_mut(), Ordering::AcqRel);
        if !shared.is_null() {
            // SAFETY: The box is the one that `init` published, and nobody uses it any more.
            drop(unsafe { KBox::from_raw(shared) });
        }
    }

    fn enable(cpu: u32) -> Result {
        let shared = shared().ok_or(ENODEV)?;
        let per_cpu = shared.cpus.get(cpu as usize).ok_or(ENODEV)?;
        if msr::read(msr::VM_CR).is_ok_and(|v| v & msr::VM_CR_SVMDIS != 0) {
            pr_err!("SVM is disabled by firmware on CPU {cpu}; enable it in the BIOS setup\n");
            return Err(ENODEV);
        }
        let efer = msr::read(msr::EFER)?;
        if efer & msr::EFER_SVME != 0 {
            pr_err!(
                "SVM is in use on CPU {cpu}: unload kvm_amd, or load kvm with enable_virt_at_load=0\n"
            );
            return Err(EBUSY);
        }
        // SAFETY: SVME alone changes nothing for the host; the kernel's emergency path clears it by itself.
        unsafe { msr::write(msr::EFER, efer | msr::EFER_SVME)? };
        // SAFETY: The page is ours as long as the processor is enabled.
        let rc = unsafe {
            msr::write(
                msr::VM_HSAVE_PA,
                per_cpu.save_area.phys() | shared.encryption,
            )
        };
        if let Err(errno) = rc {
            pr_err!("SVM cannot be used on CPU {cpu}: no place for the host's state\n");
            Self::disable(cpu);
            return Err(errno);
        }
        reduce_speculation(true);
        per_cpu.asids.restart();
        per_cpu.last_vcpu.store(0, Ordering::Relaxed);
        per_cpu.enabled.store(true, Ordering::Relaxed);
        Ok(())
    }

    // It ends the machine's use of the hypervisor when the host stops or crashes, on processors that nobody holds then:
    // so it is no code that a live patch changes (L-10).
    #[link_section = ".kprobes.text"]
    #[inline(never)]
    fn disable(cpu: u32) {
        if let Some(per_cpu) = shared().and_then(|s| s.cpus.get(cpu as usize)) {
            // None is opened from now on. One may be open, if this is an interrupt in its window: its next entry finds
            // that it is not to be.
            per_cpu.enabled.store(false, Ordering::Relaxed);
        }
        let Ok(efer) = msr::read(msr::EFER) else {
            return;
        };
        if efer & msr::EFER_SVME == 0 {
            return;
        }
        // SAFETY: No guest runs on this processor any more.
        let _ = unsafe { msr::write(msr::VM_HSAVE_PA, 0) };
        reduce_speculation(false);
        // SAFETY: We set the bit; without it the host is as it was.
        let _ = unsafe { msr::write(msr::EFER, efer & !msr::EFER_SVME) };
    }

    fn capabilities() -> Capabilities {
        shared().map(|s| s.capabilities).unwrap_or_default()
    }
}
