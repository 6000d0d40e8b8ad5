// SPDX-License-Identifier: GPL-2.0-only

//! A virtual processor on SVM: its control block, its other registers, and entering it.

mod decode;
mod section;
mod soft;
mod watch;

use super::asid::Asid;
use super::gprs::{
    oxen_svm_enter,
    Gprs, //
};
use super::vmcb::{
    clean,
    event,
    exit,
    intercept,
    vintr,
    Vmcb, //
};
use super::{
    shared,
    Shared, //
};
use crate::abi::errno::{
    Result,
    ENODEV, //
};
use crate::hw::state::{
    CpuState,
    Event,
    ExtendedState,
    Segment,
    SegmentName,
    CR0_PE,
    RFLAGS_VM, //
};
use crate::hw::{
    Exit,
    Vcpu,
    Watch, //
};
use crate::sys::atomic::{
    AtomicU64,
    Ordering, //
};
use crate::sys::fpu::{
    self,
    XsaveArea, //
};
use crate::sys::irq::{
    IrqsOff,
    NoPreempt,
    SoftirqsOff, //
};
use crate::sys::msr;
use crate::sys::page::PageBlock;
use decode::{
    decode_event,
    decode_io, //
};
use section::Section;
use soft::{
    Pass,
    Soft, //
};

/// Numbers vCPUs for the branch predictor barrier; never reused.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

/// A virtual processor on SVM.
pub(crate) struct SvmVcpu {
    gprs: Gprs,
    /// The page of the control block. `vmcb()` is the only way to its contents.
    block: PageBlock<0>,
    phys: u64,
    /// Physical address of this processor's host page, during a section.
    host: u64,
    asid: Asid,
    number: u64,
    shared: &'static Shared,
    /// The event that an exit interrupted, in the form of EVENTINJ; delivered again at the next entry.
    reinject: u64,
    /// An NMI was delivered and its IRET was not seen.
    nmi_masked: bool,
    /// The IRET was seen at this RIP, and has completed when RIP is another.
    nmi_iret_rip: Option<u64>,
    dr: [u64; 4],
    /// CR4 as the guest has it.
    cr4: u64,
    xsave: XsaveArea,
    xcr0: u64,
    tsc_aux: u64,
    section: Option<Section>,
    /// Breakpoint instructions leave the guest.
    breakpoints: bool,
    /// How the software interrupt is executed for which the guest has exited.
    pass: Pass,
    /// What is injected that an instruction has raised which is over.
    soft: Option<Soft>,
    /// Which MSRs are written without an exit, if it is not as for all.
    msrpm: Option<PageBlock<1>>,
}

impl SvmVcpu {
    #[inline]
    fn vmcb(&self) -> &Vmcb {
        // SAFETY: The block is one page that only `self` uses; the processor writes it in `enter` only, which has
        // `self` exclusively. Every bit pattern is a valid `Vmcb`.
        unsafe { &*self.block.as_ptr().cast::<Vmcb>() }
    }

    #[inline]
    fn vmcb_mut(&mut self) -> &mut Vmcb {
        // SAFETY: As in `vmcb`, with `self` borrowed exclusively.
        unsafe { &mut *self.block.as_ptr().cast::<Vmcb>() }
    }

    /// Changes the control block, saying which parts the processor must read again.
    #[inline]
    fn change(&mut self, dirty: u32) -> &mut Vmcb {
        let vmcb = self.vmcb_mut();
        vmcb.clean &= !dirty;
        vmcb
    }

    fn set_segments(&mut self, state: &CpuState) {
        let vmcb = self.change(clean::SEG | clean::DT);
        vmcb.segments = state.segments;
        // DPL of SS; the processor takes the privilege level from here.
        vmcb.cpl = (state.segment(SegmentName::Ss).attr >> 5 & 3) as u8;
        if state.rflags & RFLAGS_VM != 0 {
            vmcb.cpl = 3;
        }
    }
}

impl Vcpu for SvmVcpu {
    fn new(table: u64) -> Result<Self> {
        let shared = shared().ok_or(ENODEV)?;
        let block = PageBlock::<0>::new()?;
        let encryption = shared.encryption;
        let mut this = Self {
            gprs: Gprs([0; 16]),
            phys: block.phys() | encryption,
            block,
            host: 0,
            asid: Asid::default(),
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            shared,
            reinject: 0,
            nmi_masked: false,
            nmi_iret_rip: None,
            dr: [0; 4],
            cr4: 0,
            xsave: XsaveArea::new(shared.capabilities.xcr0_mask)?,
            xcr0: 1,
            tsc_aux: 0,
            section: None,
            breakpoints: false,
            pass: Pass::None,
            soft: None,
            msrpm: None,
        };
        let vmcb = this.vmcb_mut();
        // CR4 writes are checked against the policy, and reads do not see the host's bit; CR8 is the virtual TPR.
        // Debug registers 0-3 are not switched by the processor, so all accesses to debug registers are followed.
        vmcb.intercept_cr = 1 << (16 + 4) | u32::from(shared.machine_checks != 0) << 4;
        vmcb.intercept_dr = 0xffff_ffff;
        // #DB and #AC can otherwise be raised in an endless loop (XSA-156); #MC is the host's.
        vmcb.intercept_exceptions = 1 << 1 | 1 << 17 | 1 << 18;
        vmcb.intercept_3 = intercept::INTR
            | intercept::NMI
            | intercept::INIT
            | intercept::RDPMC
            | intercept::CPUID
            | intercept::INVD
            | intercept::HLT
            | intercept::INVLPGA
            | intercept::IOIO
            | intercept::MSR
            | intercept::TASK_SWITCH
            | intercept::FERR_FREEZE
            | intercept::SHUTDOWN;
        vmcb.intercept_4 = intercept::VMRUN
            | intercept::VMMCALL
            | intercept::VMLOAD
            | intercept::VMSAVE
            | intercept::STGI
            | intercept::CLGI
            | intercept::SKINIT
            | intercept::WBINVD
            | intercept::MONITOR
            | intercept::MWAIT
            | intercept::XSETBV
            | intercept::RDPRU;
        vmcb.iopm = shared.iopm.phys() | encryption;
        vmcb.msrpm = shared.msrpm.phys() | encryption;
        vmcb.vintr = vintr::MASKING;
        vmcb.nested_control = 1;
        vmcb.nested_cr3 = table;
        this.load(&CpuState::reset());
        Ok(this)
    }

    fn share_predictions(&mut self, with: &Self) {
        self.number = with.number;
    }

    fn load(&mut self, state: &CpuState) {
        self.gprs.0 = state.gprs;
        self.dr = state.dr;
        self.xcr0 = state.xcr0;
        self.tsc_aux = state.tsc_aux;
        self.xsave.set_legacy(&state.fxsave);
        self.set_segments(state);
        self.nmi_masked = false;
        self.nmi_iret_rip = None;
        self.reinject = 0;
        self.pass = Pass::None;
        self.set_cr4(state.cr4);
        let vmcb = self.vmcb_mut();
        vmcb.rax = state.gprs[0];
        vmcb.rsp = state.gprs[4];
        vmcb.rip = state.rip;
        vmcb.rflags = state.rflags;
        vmcb.cr0 = state.cr0;
        vmcb.cr2 = state.cr2;
        vmcb.cr3 = state.cr3;
        vmcb.efer = state.efer | msr::EFER_SVME;
        vmcb.dr6 = state.dr6;
        vmcb.dr7 = state.dr7;
        vmcb.star = state.star;
        vmcb.lstar = state.lstar;
        vmcb.cstar = state.cstar;
        vmcb.sfmask = state.sfmask;
        vmcb.kernel_gs_base = state.kernel_gs_base;
        vmcb.sysenter_cs = state.sysenter_cs;
        vmcb.sysenter_esp = state.sysenter_esp;
        vmcb.sysenter_eip = state.sysenter_eip;
        vmcb.pat = state.pat;
        vmcb.spec_ctrl = state.spec_ctrl;
        vmcb.interrupt_state = state.interrupt_shadow.into();
        vmcb.intercept_3 &= !intercept::IRET;
        vmcb.event_inj = 0;
        vmcb.clean = 0;
        self.set_cr8(state.cr8);
        if let Some(event) = state.pending_event {
            self.inject(event);
        }
    }

    fn save(&self, state: &mut CpuState) {
        let vmcb = self.vmcb();
        state.gprs = self.gprs.0;
        state.gprs[0] = vmcb.rax;
        state.gprs[4] = vmcb.rsp;
        state.rip = vmcb.rip;
        state.rflags = vmcb.rflags;
        state.cr0 = vmcb.cr0;
        state.cr2 = vmcb.cr2;
        state.cr3 = vmcb.cr3;
        state.cr4 = self.cr4;
        state.cr8 = self.cr8();
        state.efer = self.efer();
        state.segments = vmcb.segments;
        // The processor does not keep the DPL of SS in step with the privilege level.
        let ss = &mut state.segments[SegmentName::Ss as usize];
        ss.attr = ss.attr & !(3 << 5) | u16::from(vmcb.cpl & 3) << 5;
        state.dr = self.dr;
        state.dr6 = vmcb.dr6;
        state.dr7 = vmcb.dr7;
        state.star = vmcb.star;
        state.lstar = vmcb.lstar;
        state.cstar = vmcb.cstar;
        state.sfmask = vmcb.sfmask;
        state.kernel_gs_base = vmcb.kernel_gs_base;
        state.sysenter_cs = vmcb.sysenter_cs;
        state.sysenter_esp = vmcb.sysenter_esp;
        state.sysenter_eip = vmcb.sysenter_eip;
        state.pat = vmcb.pat;
        state.tsc_aux = self.tsc_aux;
        state.spec_ctrl = vmcb.spec_ctrl;
        state.xcr0 = self.xcr0;
        state.interrupt_shadow = vmcb.interrupt_state & 1 != 0;
        let pending = if self.reinject != 0 {
            self.reinject
        } else {
            vmcb.event_inj
        };
        state.pending_event = decode_event(pending);
        if let Some(legacy) = self.xsave.bytes().first_chunk::<512>() {
            state.fxsave = *legacy;
        }
    }

    fn load_extended(&mut self, extended: &ExtendedState) {
        self.xsave
            .set_extended(extended.present, &extended.components);
    }

    fn save_extended(&self, extended: &mut ExtendedState) {
        let (present, components) = self.xsave.extended();
        extended.present = present;
        for (to, from) in extended.components.iter_mut().zip(components) {
            *to = *from;
        }
    }

    fn vector_registers(&self) -> &[u8] {
        self.xsave.bytes()
    }

    fn change_vector_registers<T>(&mut self, change: impl FnOnce(&mut [u8]) -> T) -> T {
        self.xsave.change(change)
    }

    fn begin(&mut self, at: &NoPreempt, softirqs: &SoftirqsOff, irqs: &IrqsOff, flush: bool) {
        self.begin_section(at, softirqs, irqs, flush);
    }

    fn window(&mut self, irqs: &mut IrqsOff) {
        self.open_window(irqs);
    }

    fn end(&mut self, irqs: &IrqsOff) {
        self.end_section(irqs);
    }

    #[inline(always)]
    fn enter(&mut self, _irqs: &IrqsOff) -> Exit {
        if self.section.is_none() {
            return Exit::Gone;
        }
        if self.reinject != 0 {
            self.inject_again();
        }
        // SAFETY: Interrupts are off; a section is open, so `host` was filled here; the control block is ours. Should
        // this processor have left host mode in a window, CLGI faults, nothing is entered, and that is what is said.
        let gone = unsafe { oxen_svm_enter(self.phys, &mut self.gprs, self.host) };
        let vmcb = self.vmcb_mut();
        vmcb.event_inj = 0;
        vmcb.tlb_control = 0;
        vmcb.clean = clean::ALL;
        let code = vmcb.exit_code;
        if gone != 0 {
            return Exit::Gone;
        }
        match code {
            exit::VMMCALL => Exit::Hypercall,
            exit::CPUID => Exit::Cpuid,
            exit::MSR if vmcb.exit_info_1 == 0 => Exit::MsrRead,
            exit::MSR => Exit::MsrWrite,
            exit::IOIO => Exit::Io(decode_io(vmcb.exit_info_1, vmcb.exit_info_2)),
            // Nothing can have been interrupted: the processor takes interrupts between instructions only, and an
            // event that was being delivered shows in `exit_int_info`.
            exit::INTR if vmcb.exit_int_info & event::VALID == 0 => Exit::Interrupt,
            exit::INTR => {
                self.decode();
                Exit::Interrupt
            }
            _ => self.decode(),
        }
    }

    #[inline]
    fn gpr(&self, number: u8) -> u64 {
        match number & 15 {
            0 => self.vmcb().rax,
            4 => self.vmcb().rsp,
            n => self.gprs.0.get(usize::from(n)).copied().unwrap_or(0),
        }
    }

    #[inline]
    fn set_gpr(&mut self, number: u8, value: u64) {
        match number & 15 {
            0 => self.vmcb_mut().rax = value,
            4 => self.vmcb_mut().rsp = value,
            n => {
                if let Some(gpr) = self.gprs.0.get_mut(usize::from(n)) {
                    *gpr = value;
                }
            }
        }
    }

    #[inline]
    fn rip(&self) -> u64 {
        self.vmcb().rip
    }

    #[inline]
    fn set_rip(&mut self, rip: u64) {
        self.vmcb_mut().rip = rip;
    }

    #[inline]
    fn rflags(&self) -> u64 {
        self.vmcb().rflags
    }

    fn set_rflags(&mut self, value: u64) {
        self.vmcb_mut().rflags = value;
    }

    #[inline]
    fn cr0(&self) -> u64 {
        self.vmcb().cr0
    }

    fn set_cr0(&mut self, value: u64) {
        self.change(clean::CRX).cr0 = value;
        // Translations depend on it.
        self.asid = Asid::default();
    }

    fn set_cr2(&mut self, value: u64) {
        self.change(clean::CR2).cr2 = value;
    }

    #[inline]
    fn cr2(&self) -> u64 {
        self.vmcb().cr2
    }

    #[inline]
    fn cr3(&self) -> u64 {
        self.vmcb().cr3
    }

    fn set_cr3(&mut self, value: u64, keep: bool) {
        self.change(clean::CRX).cr3 = value;
        if !keep {
            self.asid = Asid::default();
        }
    }

    #[inline]
    fn cr4(&self) -> u64 {
        self.cr4
    }

    fn set_cr4(&mut self, value: u64) {
        self.cr4 = value;
        // A machine check is the host's, whatever the guest wants to know of its own.
        let bits = value | self.shared.machine_checks;
        self.change(clean::CRX).cr4 = bits;
        // A change of CR4 drops translations; a new address space does that.
        self.asid = Asid::default();
    }

    #[inline]
    fn efer(&self) -> u64 {
        self.vmcb().efer & !msr::EFER_SVME
    }

    fn set_efer(&mut self, value: u64) {
        self.change(clean::CRX).efer = value | msr::EFER_SVME;
    }

    #[inline]
    fn cpl(&self) -> u8 {
        self.vmcb().cpl
    }

    #[inline]
    fn segment(&self, name: SegmentName) -> Segment {
        self.vmcb()
            .segments
            .get(name as usize)
            .copied()
            .unwrap_or_default()
    }

    fn set_segment(&mut self, name: SegmentName, segment: Segment) {
        if let Some(to) = self
            .change(clean::SEG | clean::DT)
            .segments
            .get_mut(name as usize)
        {
            *to = segment;
        }
    }

    fn set_cpl(&mut self, cpl: u8) {
        self.change(clean::SEG).cpl = cpl & 3;
    }

    fn drop_translations(&mut self) {
        self.asid = Asid::default();
    }

    fn cr8(&self) -> u8 {
        // CAST: Four bits.
        (self.vmcb().vintr & vintr::TPR_MASK) as u8
    }

    fn set_cr8(&mut self, value: u8) {
        let vmcb = self.change(clean::TPR);
        vmcb.vintr = vmcb.vintr & !vintr::TPR_MASK | u32::from(value) & vintr::TPR_MASK;
    }

    fn msr(&self, msr: u32) -> Option<u64> {
        let vmcb = self.vmcb();
        Some(match msr {
            0xc000_0081 => vmcb.star,
            0xc000_0082 => vmcb.lstar,
            0xc000_0083 => vmcb.cstar,
            0xc000_0084 => vmcb.sfmask,
            0xc000_0100 => self.segment(SegmentName::Fs).base,
            0xc000_0101 => self.segment(SegmentName::Gs).base,
            0xc000_0102 => vmcb.kernel_gs_base,
            0x174 => vmcb.sysenter_cs,
            0x175 => vmcb.sysenter_esp,
            0x176 => vmcb.sysenter_eip,
            msr::PAT => vmcb.pat,
            msr::TSC_AUX => self.tsc_aux,
            0x10 => msr::rdtsc().wrapping_add(vmcb.tsc_offset),
            _ => return None,
        })
    }

    fn set_msr(&mut self, msr: u32, value: u64) {
        let vmcb = self.change(clean::NP | clean::SEG);
        match msr {
            0xc000_0081 => vmcb.star = value,
            0xc000_0082 => vmcb.lstar = value,
            0xc000_0083 => vmcb.cstar = value,
            0xc000_0084 => vmcb.sfmask = value,
            0xc000_0100 => vmcb.segments[SegmentName::Fs as usize].base = value,
            0xc000_0101 => vmcb.segments[SegmentName::Gs as usize].base = value,
            0xc000_0102 => vmcb.kernel_gs_base = value,
            0x174 => vmcb.sysenter_cs = value,
            0x175 => vmcb.sysenter_esp = value,
            0x176 => vmcb.sysenter_eip = value,
            msr::PAT => vmcb.pat = value,
            msr::TSC_AUX => {
                self.tsc_aux = value;
                if let Some(section) = self.section.as_mut() {
                    let host = msr::read(msr::TSC_AUX).unwrap_or(value);
                    section.tsc_aux.get_or_insert(host);
                    // SAFETY: The host's value is put back in `end`.
                    let _ = unsafe { msr::write(msr::TSC_AUX, value) };
                }
            }
            _ => {}
        }
    }

    fn dr(&self, number: u8) -> u64 {
        match number {
            6 | 4 => self.vmcb().dr6,
            7 | 5 => self.vmcb().dr7,
            n => self.dr.get(usize::from(n)).copied().unwrap_or(0),
        }
    }

    fn set_dr(&mut self, number: u8, value: u64) {
        match number {
            6 | 4 => self.change(clean::DRX).dr6 = value,
            7 | 5 => self.change(clean::DRX).dr7 = value,
            n => {
                if let Some(dr) = self.dr.get_mut(usize::from(n)) {
                    *dr = value;
                }
            }
        }
    }

    fn xcr0(&self) -> u64 {
        self.xcr0
    }

    fn set_xcr0(&mut self, value: u64) {
        self.xcr0 = value;
        if let Some(section) = self.section.as_ref() {
            fpu::set_xcr0(value, &section.fpu);
        }
    }

    fn predict_command(&mut self, value: u64) {
        // SAFETY: The barriers change no state that software can see.
        let _ = unsafe { msr::write(msr::PRED_CMD, value) };
    }

    fn set_tsc_offset(&mut self, offset: u64) {
        self.change(clean::INTERCEPTS).tsc_offset = offset;
    }

    #[inline]
    fn next_rip(&self) -> Option<u64> {
        self.shared
            .capabilities
            .next_rip
            .then(|| self.vmcb().next_rip)
    }

    #[inline]
    fn interrupt_shadow(&self) -> bool {
        self.vmcb().interrupt_state & 1 != 0
    }

    #[inline]
    fn clear_interrupt_shadow(&mut self) {
        self.vmcb_mut().interrupt_state = 0;
    }

    fn begin_interrupt_shadow(&mut self) {
        self.vmcb_mut().interrupt_state = 1;
    }

    fn injection_pending(&self) -> bool {
        self.reinject != 0 || self.vmcb().event_inj != 0
    }

    fn inject(&mut self, event: Event) {
        let bits = match event {
            Event::Interrupt(vector) => event::TYPE_INTR | u64::from(vector),
            Event::Nmi => {
                self.nmi_masked = true;
                self.nmi_iret_rip = None;
                self.change(clean::INTERCEPTS).intercept_3 |= intercept::IRET;
                event::TYPE_NMI | 2
            }
            Event::Exception { vector, error } => {
                // In real mode there are no error codes.
                let error = match error.filter(|_| self.vmcb().cr0 & CR0_PE != 0) {
                    Some(code) => event::ERROR_VALID | u64::from(code) << 32,
                    None => 0,
                };
                event::TYPE_EXCEPTION | u64::from(vector) | error
            }
        };
        self.reinject = 0;
        self.vmcb_mut().event_inj = bits | event::VALID;
    }

    fn pending_event(&self) -> Option<Event> {
        let bits = match self.reinject {
            0 => self.vmcb().event_inj,
            bits => bits,
        };
        decode_event(bits)
    }

    fn watch(&mut self, what: &Watch) {
        self.intercept_watched(what);
    }

    fn pass_software_interrupt(&mut self, known: Option<(u8, u64)>) {
        self.pass = match known {
            Some((vector, next)) => Pass::Inject {
                vector,
                rip: self.vmcb().rip,
                next,
            },
            None => Pass::Execute,
        };
    }

    fn watch_msrs(&mut self, msrs: &[u32]) -> Result {
        self.intercept_msrs(msrs)
    }

    fn want_interrupt_window(&mut self, want: bool) {
        let vmcb = self.change(clean::INTERCEPTS | clean::TPR);
        if want {
            // A virtual interrupt that is never delivered: its intercept comes first.
            vmcb.vintr |= vintr::IRQ | vintr::IGNORE_TPR | 0xf << vintr::PRIORITY_SHIFT;
            vmcb.intercept_3 |= intercept::VINTR;
        } else {
            vmcb.vintr &= !(vintr::IRQ | vintr::IGNORE_TPR | 0xf << vintr::PRIORITY_SHIFT);
            vmcb.intercept_3 &= !intercept::VINTR;
        }
    }

    fn nmi_allowed(&self) -> bool {
        if self.interrupt_shadow() {
            return false;
        }
        match self.nmi_iret_rip {
            Some(rip) => rip != self.vmcb().rip,
            None => !self.nmi_masked,
        }
    }

    fn end_nmi(&mut self) {
        self.nmi_masked = false;
        self.nmi_iret_rip = None;
        self.change(clean::INTERCEPTS).intercept_3 &= !intercept::IRET;
    }
}
