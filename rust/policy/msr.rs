// SPDX-License-Identifier: GPL-2.0-only

//! What `RDMSR` and `WRMSR` do in a guest.
//!
//! Every MSR is refused unless it is named here. [`classify`] says who answers; [`VcpuMsrs`]
//! answers for those that are not registers of the hardware's guest state.
//!
//! Machine checks: the features are offered with two banks, as Xen does, so that a guest finds what
//! it would find there; no error is ever put in them. A bank costs a few words and needs no
//! emulation beyond this file, and a processor in long mode without machine checks does not exist.
//!
//! Source: SDM volume 4, APM volume 2 appendix A and the PPRs for what the registers are; what
//! guests touch was seen in Linux 7.2.

use super::{
    cpuid::{
        CpuPolicy,
        Vendor, //
    },
    derive::CPUID_FAULTING,
    feature as f,
    mtrr::{
        self,
        Mtrr, //
    },
    view::HYPERCALL_MSR,
    Gp, //
};

const TSC: u32 = 0x10;
const PLATFORM_ID: u32 = 0x17;
const APIC_BASE: u32 = 0x1b;
const FEATURE_CONTROL: u32 = 0x3a;
const SPEC_CTRL: u32 = 0x48;
const PRED_CMD: u32 = 0x49;
const UCODE_WRITE: u32 = 0x79;
/// `BIOS_SIGN_ID` on Intel, `PATCH_LEVEL` on AMD.
const PATCH_LEVEL: u32 = 0x8b;
const PLATFORM_INFO: u32 = 0xce;
const MTRR_CAP: u32 = 0xfe;
const ARCH_CAPABILITIES: u32 = 0x10a;
const MISC_FEATURES_ENABLES: u32 = 0x140;
const SYSENTER_CS: u32 = 0x174;
const SYSENTER_ESP: u32 = 0x175;
const SYSENTER_EIP: u32 = 0x176;
const MCG_CAP: u32 = 0x179;
const MCG_STATUS: u32 = 0x17a;
const MCG_CTL: u32 = 0x17b;
const MISC_ENABLE: u32 = 0x1a0;
const DEBUGCTL: u32 = 0x1d9;
const PAT: u32 = 0x277;
const MC0_CTL: u32 = 0x400;
const MC_LAST: u32 = MC0_CTL + 4 * BANKS as u32 - 1;
const EFER: u32 = 0xc000_0080;
const STAR: u32 = 0xc000_0081;
const LSTAR: u32 = 0xc000_0082;
const CSTAR: u32 = 0xc000_0083;
const SFMASK: u32 = 0xc000_0084;
const FS_BASE: u32 = 0xc000_0100;
#[cfg(test)]
const GS_BASE: u32 = 0xc000_0101;
const KERNEL_GS_BASE: u32 = 0xc000_0102;
const TSC_AUX: u32 = 0xc000_0103;
const SYSCFG: u32 = 0xc001_0010;
const HWCR: u32 = 0xc001_0015;
const IORR_FIRST: u32 = 0xc001_0016;
const IORR_LAST: u32 = 0xc001_0019;
const TOP_MEM: u32 = 0xc001_001a;
const TOP_MEM2: u32 = 0xc001_001d;
const NB_CFG: u32 = 0xc001_001f;
const PATCH_LOADER: u32 = 0xc001_0020;
const TSEG_BASE: u32 = 0xc001_0112;
const TSEG_MASK: u32 = 0xc001_0113;
const VM_CR: u32 = 0xc001_0114;
const DE_CFG: u32 = 0xc001_1029;

/// The number of machine check banks.
const BANKS: usize = 2;

/// `HWCR`: the time stamp counter runs at the P0 frequency.
const HWCR_TSC_FREQ_SEL: u64 = 1 << 24;
/// `DE_CFG`: `LFENCE` waits for earlier instructions.
const DE_CFG_LFENCE: u64 = 1 << 1;
/// `VM_CR`: SVM is disabled, and that is locked.
const VM_CR_DISABLED: u64 = 1 << 4 | 1 << 3;
/// `FEATURE_CONTROL`: locked, with nothing enabled.
const FEATURE_CONTROL_LOCKED: u64 = 1 << 0;
/// `MISC_ENABLE`: fast strings.
const MISC_ENABLE_FAST_STRINGS: u64 = 1 << 0;
/// `MISC_ENABLE`: neither branch tracing nor event based sampling.
const MISC_ENABLE_FIXED: u64 = 1 << 11 | 1 << 12;
/// `MISC_FEATURES_ENABLES`: `CPUID` faults outside of CPL 0.
const CPUID_FAULTING_ENABLED: u64 = 1 << 0;
/// `PRED_CMD`: indirect branch prediction barrier.
const PRED_CMD_IBPB: u64 = 1 << 0;
/// `PRED_CMD`: selective branch prediction barrier.
const PRED_CMD_SBPB: u64 = 1 << 7;
/// `MCG_STATUS`: restart valid, error valid, in progress.
const MCG_STATUS_KNOWN: u64 = 7;

/// Who answers an access to an MSR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MsrClass {
    /// The hardware's guest state; writes and the right to read go through [`VcpuMsrs`].
    Backend,
    /// EFER: read from the guest state, written through [`super::control::Controls::write_efer`].
    Efer,
    /// The local APIC: its base, and the x2APIC's registers.
    Apic,
    /// [`VcpuMsrs`].
    Policy,
    /// Nobody: the access faults.
    Unknown,
}

/// Returns who answers an access to `msr`.
pub(crate) const fn classify(msr: u32) -> MsrClass {
    match msr {
        TSC | SPEC_CTRL | SYSENTER_CS..=SYSENTER_EIP | PAT | STAR..=SFMASK | FS_BASE..=TSC_AUX => {
            MsrClass::Backend
        }
        EFER => MsrClass::Efer,
        APIC_BASE | 0x800..=0x8ff => MsrClass::Apic,
        PLATFORM_ID
        | FEATURE_CONTROL
        | PRED_CMD
        | UCODE_WRITE
        | PATCH_LEVEL
        | PLATFORM_INFO
        | ARCH_CAPABILITIES
        | MISC_FEATURES_ENABLES
        | MCG_CAP..=MCG_CTL
        | MISC_ENABLE
        | DEBUGCTL
        | MC0_CTL..=MC_LAST
        | HYPERCALL_MSR
        | SYSCFG
        | HWCR..=TOP_MEM
        | TOP_MEM2
        | NB_CFG
        | PATCH_LOADER
        | TSEG_BASE..=VM_CR
        | DE_CFG => MsrClass::Policy,
        msr if Mtrr::is_mtrr(msr) => MsrClass::Policy,
        _ => MsrClass::Unknown,
    }
}

/// Where the value of an MSR comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// This is the value.
    Value(u64),
    /// The guest may read it; the hardware's guest state holds it.
    Backend,
}

/// What is left to do for a write that was allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    None,
    /// Store this value in the hardware's guest state, under the same number.
    Backend(u64),
    /// Make the guest's time stamp counter read this value now.
    Tsc(u64),
    /// Write this to the processor's `PRED_CMD`.
    PredCmd(u64),
    /// Fill this guest frame with hypercall stubs; fault if there is no such page.
    HypercallPage {
        /// The frame.
        gfn: u64,
    },
    /// From now on `CPUID` faults outside of CPL 0, or does so no more.
    CpuidFaulting(bool),
}

/// One machine check bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bank {
    status: u64,
    addr: u64,
    misc: u64,
}

/// A vCPU's MSRs that are not registers of the hardware's guest state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VcpuMsrs {
    /// Memory type range registers.
    pub(crate) mtrr: Mtrr,
    mcg_status: u64,
    banks: [Bank; BANKS],
    misc_enable: u64,
    cpuid_faulting: bool,
}

impl VcpuMsrs {
    /// The state after reset.
    pub(crate) const RESET: Self = Self {
        mtrr: Mtrr::RESET,
        mcg_status: 0,
        banks: [Bank {
            status: 0,
            addr: 0,
            misc: 0,
        }; BANKS],
        misc_enable: MISC_ENABLE_FAST_STRINGS,
        cpuid_faulting: false,
    };

    /// Answers `RDMSR` of an MSR of class [`MsrClass::Policy`] or [`MsrClass::Backend`].
    ///
    /// # Errors
    ///
    /// [`Gp`] if the policy does not have the MSR, or it cannot be read.
    pub(crate) fn read(&self, msr: u32, policy: &CpuPolicy) -> Result<Read, Gp> {
        let amd = policy.vendor().is_amd_like();
        let intel = policy.vendor() == Vendor::Intel;
        let value = match msr {
            TSC | SYSENTER_CS..=SYSENTER_EIP => return Ok(Read::Backend),
            STAR..=SFMASK | FS_BASE..=KERNEL_GS_BASE if policy.has(f::LM) => {
                return Ok(Read::Backend)
            }
            PAT if policy.has(f::PAT) => return Ok(Read::Backend),
            TSC_AUX if has_tsc_aux(policy) => return Ok(Read::Backend),
            SPEC_CTRL if spec_ctrl_mask(policy) != 0 => return Ok(Read::Backend),

            MCG_CAP if policy.has(f::MCA) => BANKS as u64,
            MCG_STATUS if policy.has(f::MCA) => self.mcg_status,
            // MCG_CAP says that it is not there, but reading it has always been harmless in Xen.
            MCG_CTL if policy.has(f::MCA) => 0,
            MC0_CTL..=MC_LAST if policy.has(f::MCA) => {
                // CAST: widening.
                let bank = self.banks.get((msr - MC0_CTL) as usize / 4).ok_or(Gp)?;
                match msr & 3 {
                    // All errors of the bank are reported.
                    0 => !0,
                    1 => bank.status,
                    2 => bank.addr,
                    _ => bank.misc,
                }
            }
            PATCH_LEVEL => policy.patch_level,
            PLATFORM_INFO if amd || intel => policy.platform_info,
            MISC_FEATURES_ENABLES if policy.platform_info & CPUID_FAULTING != 0 => {
                u64::from(self.cpuid_faulting)
            }
            ARCH_CAPABILITIES if policy.has(f::ARCH_CAPS) => policy.arch_caps,
            DEBUGCTL => 0,
            HYPERCALL_MSR => 0,

            PLATFORM_ID if intel => 0,
            FEATURE_CONTROL if intel => FEATURE_CONTROL_LOCKED,
            MISC_ENABLE if intel => self.misc_enable | MISC_ENABLE_FIXED,

            // Memory holes and address maps that firmware sets up: none.
            SYSCFG | IORR_FIRST..=IORR_LAST | TOP_MEM | TOP_MEM2 | TSEG_BASE | TSEG_MASK if amd => {
                0
            }
            NB_CFG if amd => 0,
            HWCR if amd => HWCR_TSC_FREQ_SEL,
            VM_CR if amd => VM_CR_DISABLED,
            DE_CFG if amd => match policy.has(f::LFENCE_DISPATCH) {
                true => DE_CFG_LFENCE,
                false => 0,
            },
            msr if Mtrr::is_mtrr(msr) && policy.has(f::MTRR) => self.mtrr.read(msr)?,
            _ => return Err(Gp),
        };
        Ok(Read::Value(value))
    }

    /// Answers `WRMSR` of an MSR of class [`MsrClass::Policy`] or [`MsrClass::Backend`], and says
    /// what is left to do.
    ///
    /// # Errors
    ///
    /// [`Gp`] if the policy does not have the MSR, it cannot be written, or `value` has bits or an
    /// address that it cannot hold. Nothing has changed then.
    pub(crate) fn write(&mut self, msr: u32, value: u64, policy: &CpuPolicy) -> Result<Effect, Gp> {
        let amd = policy.vendor().is_amd_like();
        let intel = policy.vendor() == Vendor::Intel;
        match msr {
            TSC => return Ok(Effect::Tsc(value)),
            SYSENTER_CS => return Ok(Effect::Backend(value & 0xffff_ffff)),
            SYSENTER_ESP | SYSENTER_EIP => return canonical(value),
            LSTAR | CSTAR | FS_BASE..=KERNEL_GS_BASE if policy.has(f::LM) => {
                return canonical(value)
            }
            STAR if policy.has(f::LM) => return Ok(Effect::Backend(value)),
            SFMASK if policy.has(f::LM) => {
                // AMD ignores the upper half; Intel faults.
                return backend_if(amd || value >> 32 == 0, value & 0xffff_ffff);
            }
            PAT if policy.has(f::PAT) => return backend_if(mtrr::pat_valid(value), value),
            TSC_AUX if has_tsc_aux(policy) => {
                return backend_if(amd || value >> 32 == 0, value & 0xffff_ffff)
            }
            SPEC_CTRL => {
                let mask = spec_ctrl_mask(policy);
                return backend_if(mask != 0 && value & !mask == 0, value);
            }
            PRED_CMD => {
                let mask = pred_cmd_mask(policy);
                if mask == 0 || value & !mask != 0 {
                    return Err(Gp);
                }
                return Ok(match value {
                    0 => Effect::None,
                    _ => Effect::PredCmd(value),
                });
            }
            HYPERCALL_MSR => {
                // The low bits number a page, and there is one.
                let gfn = value >> 12;
                let beyond = value.checked_shr(policy.paddr_bits()).unwrap_or(0) != 0;
                if value & 0xfff != 0 || beyond {
                    return Err(Gp);
                }
                return Ok(Effect::HypercallPage { gfn });
            }
            MISC_FEATURES_ENABLES if policy.platform_info & CPUID_FAULTING != 0 => {
                if value & !CPUID_FAULTING_ENABLED != 0 {
                    return Err(Gp);
                }
                let on = value != 0;
                let before = core::mem::replace(&mut self.cpuid_faulting, on);
                return Ok(match before == on {
                    true => Effect::None,
                    false => Effect::CpuidFaulting(on),
                });
            }

            MCG_STATUS if policy.has(f::MCA) => {
                if value & !MCG_STATUS_KNOWN != 0 {
                    return Err(Gp);
                }
                self.mcg_status = value;
            }
            MCG_CTL if policy.has(f::MCA) => {}
            MC0_CTL..=MC_LAST if policy.has(f::MCA) => {
                // CAST: widening.
                let bank = self.banks.get_mut((msr - MC0_CTL) as usize / 4).ok_or(Gp)?;
                // What is reported cannot be chosen; an error can only be cleared.
                match (msr & 3, value) {
                    (0, _) => {}
                    (1, 0) => bank.status = 0,
                    (2, 0) => bank.addr = 0,
                    (3, 0) => bank.misc = 0,
                    _ => return Err(Gp),
                }
            }
            // Neither branch records nor branch steps; their enable bits go nowhere.
            DEBUGCTL if value & !3 == 0 => {}

            // A microcode update goes nowhere; some systems try before they can take a fault.
            UCODE_WRITE | PATCH_LEVEL if intel => {}
            PATCH_LOADER if amd => {}
            MISC_ENABLE if intel => self.misc_enable = value & MISC_ENABLE_FAST_STRINGS,
            SYSCFG
            | IORR_FIRST..=IORR_LAST
            | TOP_MEM
            | TOP_MEM2
            | TSEG_BASE
            | TSEG_MASK
            | NB_CFG
            | HWCR
            | VM_CR
            | DE_CFG
                if amd => {}
            msr if Mtrr::is_mtrr(msr) && msr != MTRR_CAP && policy.has(f::MTRR) => {
                self.mtrr.write(msr, value, policy.paddr_bits())?;
            }
            _ => return Err(Gp),
        }
        Ok(Effect::None)
    }
}

/// Returns whether the guest can read its `TSC_AUX` by an instruction, and so has the MSR.
fn has_tsc_aux(policy: &CpuPolicy) -> bool {
    policy.has(f::RDTSCP) || policy.has(f::RDPID)
}

/// Returns the bits of `SPEC_CTRL` that the policy has, 0 if it does not have the MSR.
fn spec_ctrl_mask(policy: &CpuPolicy) -> u64 {
    if !policy.has(f::IBRSB) && !policy.has(f::IBRS) {
        return 0;
    }
    // STIBP is ignored where threads share nothing.
    let mut mask = 1 << 0 | 1 << 1;
    let mut add = |features: &[f::Feature], bits| {
        if features.iter().any(|feature| policy.has(*feature)) {
            mask |= bits;
        }
    };
    add(&[f::SSBD, f::AMD_SSBD], 1 << 2);
    add(&[f::IPRED_CTRL], 1 << 3 | 1 << 4);
    add(&[f::RRSBA_CTRL], 1 << 5 | 1 << 6);
    add(&[f::INTEL_PSFD, f::PSFD], 1 << 7);
    add(&[f::BHI_CTRL], 1 << 10);
    mask
}

/// Returns the bits of `PRED_CMD` that the policy has, 0 if it does not have the MSR.
fn pred_cmd_mask(policy: &CpuPolicy) -> u64 {
    let mut mask = 0;
    if policy.has(f::IBRSB) || policy.has(f::IBPB) {
        mask |= PRED_CMD_IBPB;
    }
    if policy.has(f::SBPB) {
        mask |= PRED_CMD_SBPB;
    }
    mask
}

/// Allows a write to the hardware's guest state on a condition.
fn backend_if(valid: bool, value: u64) -> Result<Effect, Gp> {
    match valid {
        true => Ok(Effect::Backend(value)),
        false => Err(Gp),
    }
}

/// Allows a write of an address that is canonical with 48 bits.
fn canonical(value: u64) -> Result<Effect, Gp> {
    // CAST: the sign is what it is about.
    let extended = ((value as i64) << 16 >> 16) as u64;
    backend_if(extended == value, value)
}

#[cfg(test)]
mod tests {
    use super::super::{
        epyc,
        Capabilities,
        Topology, //
    };
    use super::*;
    use proptest::prelude::*;

    fn amd() -> CpuPolicy {
        epyc::system().for_domain(Topology { cores: 2 })
    }

    fn intel() -> CpuPolicy {
        epyc::intel_system().for_domain(Topology { cores: 2 })
    }

    fn value(msr: u32, p: &CpuPolicy) -> Option<u64> {
        match VcpuMsrs::RESET.read(msr, p) {
            Ok(Read::Value(value)) => Some(value),
            _ => None,
        }
    }

    #[test]
    fn what_linux_reads_on_amd() {
        let p = amd();
        for (msr, expected) in [
            (PATCH_LEVEL, 0x0800_1250),
            (MCG_CAP, 2),
            (MCG_STATUS, 0),
            (0x400, !0),
            (0x401, 0),
            (0xfe, 0x508),
            (0x2ff, 0),
            (HWCR, 1 << 24),
            (SYSCFG, 0),
            (TOP_MEM2, 0),
            (DE_CFG, 0),
            (VM_CR, 0x18),
            (PLATFORM_INFO, 1 << 31),
            (DEBUGCTL, 0),
            (HYPERCALL_MSR, 0),
        ] {
            assert_eq!(value(msr, &p), Some(expected), "{msr:#x}");
            assert_eq!(classify(msr), MsrClass::Policy, "{msr:#x}");
        }
        let p = epyc::system_with(&Capabilities {
            lfence_dispatch: true,
            cpuid_faulting: false,
            ..epyc::ABLE
        })
        .for_domain(Topology { cores: 1 });
        assert_eq!(value(DE_CFG, &p), Some(2));
        assert_eq!(value(PLATFORM_INFO, &p), Some(0));
        assert_eq!(value(MISC_FEATURES_ENABLES, &p), None);
    }

    #[test]
    fn what_is_refused_on_amd() {
        let p = amd();
        let mut m = VcpuMsrs::RESET;
        // Feature control, XSS, TSC_ADJUST, deadline, counters, P-states, LS_CFG, VM_HSAVE_PA,
        // OSVW, TSC ratio, a third bank, SMCA, Intel's capabilities.
        for msr in [
            FEATURE_CONTROL,
            PLATFORM_ID,
            MISC_ENABLE,
            UCODE_WRITE,
            ARCH_CAPABILITIES,
            0xda0,
            0x3b,
            0x6e0,
            0xc1,
            0xc001_0000,
            0xc001_0004,
            0xc001_0064,
            0xc001_1020,
            0xc001_0117,
            0xc001_0140,
            0xc000_0104,
            0x408,
            0xc000_2000,
            0xcf,
            0x123,
            0x4000_0001,
            0,
            !0,
        ] {
            assert_eq!(m.read(msr, &p), Err(Gp), "{msr:#x}");
            assert_eq!(m.write(msr, 0, &p), Err(Gp), "{msr:#x}");
        }
        // This processor has no branch prediction controls.
        assert_eq!(m.read(SPEC_CTRL, &p), Err(Gp));
        assert_eq!(m.write(SPEC_CTRL, 0, &p), Err(Gp));
        assert_eq!(m.write(PRED_CMD, 1, &p), Err(Gp));
        for read_only in [MCG_CAP, 0xfe, PLATFORM_INFO, PATCH_LEVEL] {
            assert_eq!(m.write(read_only, 0, &p), Err(Gp), "{read_only:#x}");
        }
        assert_eq!(m.read(PATCH_LOADER, &p), Err(Gp));
    }

    #[test]
    fn intel_has_its_own() {
        let p = intel();
        let mut m = VcpuMsrs::RESET;
        assert_eq!(value(FEATURE_CONTROL, &p), Some(1));
        assert_eq!(value(MISC_ENABLE, &p), Some(0x1801));
        assert_eq!(value(ARCH_CAPABILITIES, &p), Some(0x23));
        assert_eq!(m.write(FEATURE_CONTROL, 1, &p), Err(Gp));
        assert_eq!(m.write(MISC_ENABLE, !1, &p), Ok(Effect::None));
        assert_eq!(m.read(MISC_ENABLE, &p), Ok(Read::Value(0x1800)));
        assert_eq!(m.write(UCODE_WRITE, 5, &p), Ok(Effect::None));
        for amds in [HWCR, SYSCFG, VM_CR, DE_CFG, PATCH_LOADER] {
            assert_eq!(m.read(amds, &p), Err(Gp));
            assert_eq!(m.write(amds, 0, &p), Err(Gp));
        }
        assert_eq!(m.read(SPEC_CTRL, &p), Ok(Read::Backend));
        assert_eq!(m.write(SPEC_CTRL, 7, &p), Ok(Effect::Backend(7)));
        assert_eq!(m.write(SPEC_CTRL, 1 << 10, &p), Err(Gp));
        assert_eq!(m.write(PRED_CMD, 1, &p), Ok(Effect::PredCmd(1)));
        assert_eq!(m.write(PRED_CMD, 2, &p), Err(Gp));
        assert_eq!(m.write(PRED_CMD, 0, &p), Ok(Effect::None));
        assert_eq!(m.read(PRED_CMD, &p), Err(Gp));
    }

    #[test]
    fn guest_state_is_checked() {
        let p = amd();
        let mut m = VcpuMsrs::RESET;
        for msr in [
            TSC,
            0x174,
            0x175,
            0x176,
            PAT,
            STAR,
            LSTAR,
            CSTAR,
            SFMASK,
            FS_BASE,
            GS_BASE,
            KERNEL_GS_BASE,
        ] {
            assert_eq!(m.read(msr, &p), Ok(Read::Backend), "{msr:#x}");
            assert_eq!(classify(msr), MsrClass::Backend, "{msr:#x}");
        }
        let high = 0xffff_8000_0000_0000;
        for msr in [LSTAR, CSTAR, FS_BASE, GS_BASE, KERNEL_GS_BASE, 0x175, 0x176] {
            assert_eq!(
                m.write(msr, high, &p),
                Ok(Effect::Backend(high)),
                "{msr:#x}"
            );
            assert_eq!(m.write(msr, high >> 1, &p), Err(Gp), "{msr:#x}");
        }
        assert_eq!(
            m.write(PAT, mtrr::PAT_RESET, &p),
            Ok(Effect::Backend(mtrr::PAT_RESET))
        );
        assert_eq!(m.write(PAT, 2, &p), Err(Gp));
        assert_eq!(m.write(TSC, 5, &p), Ok(Effect::Tsc(5)));
        let aux = epyc::everything(epyc::VENDORS[0], &epyc::ABLE);
        assert_eq!(
            m.write(TSC_AUX, 3, &aux.hvm_default),
            Ok(Effect::Backend(3))
        );
        let none = epyc::everything(epyc::VENDORS[0], &epyc::UNABLE);
        assert_eq!(m.write(TSC_AUX, 3, &none.hvm_default), Err(Gp));
        assert_eq!(m.read(TSC_AUX, &none.hvm_default), Err(Gp));
    }

    #[test]
    fn the_hypercall_page() {
        let p = amd();
        let mut m = VcpuMsrs::RESET;
        let page = |m: &mut VcpuMsrs, value| m.write(HYPERCALL_MSR, value, &p);
        assert_eq!(
            page(&mut m, 0x1234_5000),
            Ok(Effect::HypercallPage { gfn: 0x12345 })
        );
        assert_eq!(page(&mut m, 0x1234_5001), Err(Gp));
        assert_eq!(page(&mut m, 1 << 40), Err(Gp));
        assert_eq!(page(&mut m, !0xfff), Err(Gp));
    }

    #[test]
    fn machine_checks_can_only_be_cleared() {
        let p = amd();
        let mut m = VcpuMsrs::RESET;
        assert_eq!(m.write(MCG_STATUS, 7, &p), Ok(Effect::None));
        assert_eq!(m.read(MCG_STATUS, &p), Ok(Read::Value(7)));
        assert_eq!(m.write(MCG_STATUS, 8, &p), Err(Gp));
        for msr in 0x400..0x408 {
            assert_eq!(m.write(msr, 0, &p), Ok(Effect::None), "{msr:#x}");
            let any = m.write(msr, 1, &p);
            assert_eq!(
                any,
                if msr & 3 == 0 {
                    Ok(Effect::None)
                } else {
                    Err(Gp)
                },
                "{msr:#x}"
            );
        }
    }

    #[test]
    fn cpuid_faulting() {
        let p = amd();
        let mut m = VcpuMsrs::RESET;
        let set = |m: &mut VcpuMsrs, value| m.write(MISC_FEATURES_ENABLES, value, &p);
        assert_eq!(set(&mut m, 1), Ok(Effect::CpuidFaulting(true)));
        assert!(m.cpuid_faulting);
        assert_eq!(set(&mut m, 1), Ok(Effect::None));
        assert_eq!(m.read(MISC_FEATURES_ENABLES, &p), Ok(Read::Value(1)));
        assert_eq!(set(&mut m, 2), Err(Gp));
        assert_eq!(set(&mut m, 0), Ok(Effect::CpuidFaulting(false)));
    }

    #[test]
    fn classes() {
        assert_eq!(classify(EFER), MsrClass::Efer);
        for apic in [0x1b, 0x800, 0x80b, 0x83f, 0x8ff] {
            assert_eq!(classify(apic), MsrClass::Apic, "{apic:#x}");
        }
        for unknown in [0x7ff, 0x900, 0xc000_0104, 0xc000_0105, 0x48_0000] {
            assert_eq!(classify(unknown), MsrClass::Unknown, "{unknown:#x}");
        }
    }

    #[test]
    fn nobody_answers_outside_of_the_classes() {
        let policies = [amd(), intel()];
        let ranges = [
            0..0x1_0000_u32,
            0x4000_0000..0x4000_1000,
            0xc000_0000..0xc002_0000,
        ];
        for msr in ranges.into_iter().flatten() {
            let ours = matches!(classify(msr), MsrClass::Policy | MsrClass::Backend);
            for p in &policies {
                let mut m = VcpuMsrs::RESET;
                let answered = m.read(msr, p).is_ok() || m.write(msr, 0, p).is_ok();
                assert!(!answered || ours, "{msr:#x}");
            }
        }
    }

    proptest! {
        #[test]
        fn writes_are_total_and_refusals_change_nothing(
            writes in prop::collection::vec(
                (
                    prop_oneof![
                        0..0x500_u32, 0xc000_0080..0xc000_0110_u32, 0xc001_0010..0xc001_0120_u32,
                        Just(HYPERCALL_MSR), any::<u32>()
                    ],
                    prop_oneof![any::<u64>(), 0..16_u64],
                ),
                0..100,
            ),
            which: bool,
        ) {
            let p = if which { amd() } else { intel() };
            let mut m = VcpuMsrs::RESET;
            for (msr, value) in writes {
                let before = m;
                match m.write(msr, value, &p) {
                    Err(Gp) => prop_assert_eq!(m, before),
                    Ok(Effect::Backend(stored)) => prop_assert_eq!(stored & !value, 0),
                    Ok(_) => {}
                }
                let _ = m.read(msr, &p);
            }
        }
    }
}
