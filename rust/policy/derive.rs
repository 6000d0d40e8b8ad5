// SPDX-License-Identifier: GPL-2.0-only

//! How one policy follows from another: processor, host, maximum, default, domain.
//!
//! Source: what Xen's tools rely on of its own derivation (clamped features are dropped without an
//! error, leaves that are too many are refused in [`super::wire`]), and the manuals for what each
//! leaf means (SDM volume 2, APM volume 3).

use super::{
    cpuid::{
        CpuPolicy,
        Regs,
        Vendor,
        BASIC,
        EXTD,
        EXTD_BASE,
        FEAT,
        XSTATE, //
    },
    depend::sanitise,
    feature::{
        self as f,
        FeatureSet, //
    },
    xstate,
    Capabilities, //
};

/// The bits of leaf 1 EDX that AMD repeats in leaf 0x8000_0001 EDX (APM volume 3).
const REPEATED: u32 = 0x0183_f3ff;

/// The greatest extended leaf of Intel's that says anything to a guest.
const INTEL_EXTD_MAX: u32 = 8;

/// PLATFORM_INFO: `CPUID` can be made to fault.
pub(super) const CPUID_FAULTING: u64 = 1 << 31;

/// What a guest sees of its vCPUs: one socket, one thread in each core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Topology {
    /// The number of vCPUs that the domain can have.
    pub(crate) cores: u32,
}

impl Topology {
    /// Returns the number of bits that APIC ids take. They go from 0 to `2 * (cores - 1)` in steps
    /// of two; the lowest bit, that of the thread, is 0.
    fn id_bits(self) -> u32 {
        let greatest = self.cores.saturating_sub(1).saturating_mul(2);
        // At least the thread's bit.
        (u32::BITS - greatest.leading_zeros()).max(1)
    }
}

/// Reads the leaves of the processor.
pub(super) fn fill_raw(p: &mut CpuPolicy, read: &impl Fn(u32, u32) -> Regs, caps: &Capabilities) {
    let max = read(0, 0)[0];
    for (leaf, regs) in (0_u32..).zip(&mut p.basic) {
        if leaf <= max && !matches!(leaf, 4 | 7 | 0xb | 0xd) {
            *regs = read(leaf, 0);
        }
    }
    if max >= 4 {
        for (subleaf, regs) in (0_u32..).zip(&mut p.cache) {
            let new = read(4, subleaf);
            if new[0] & 0x1f == 0 {
                break;
            }
            *regs = new;
        }
    }
    if max >= 7 {
        p.feat[0] = read(7, 0);
        let subleaves = p.feat[0][0];
        for (subleaf, regs) in (1_u32..).zip(p.feat.iter_mut().skip(1)) {
            if subleaf <= subleaves {
                *regs = read(7, subleaf);
            }
        }
    }
    if max >= 0xb {
        for (subleaf, regs) in (0_u32..).zip(&mut p.topo) {
            let new = read(0xb, subleaf);
            if new[2] & 0xff00 == 0 {
                break;
            }
            *regs = new;
        }
    }
    if max >= 0xd {
        p.xstate[0] = read(0xd, 0);
        p.xstate[1] = read(0xd, 1);
        let states = u64::from(p.xstate[0][0] | p.xstate[1][2])
            | u64::from(p.xstate[0][3] | p.xstate[1][3]) << 32;
        for (subleaf, regs) in (2_u32..).zip(p.xstate.iter_mut().skip(2)) {
            if states.wrapping_shr(subleaf) & 1 != 0 {
                *regs = read(0xd, subleaf);
            }
        }
        // These depend on what XCR0 and XSS hold just now.
        p.xstate[0][1] = 0;
        p.xstate[1][1] = 0;
    }
    let max = read(EXTD_BASE, 0)[0];
    for (leaf, regs) in (EXTD_BASE..).zip(&mut p.extd) {
        if leaf <= max {
            *regs = read(leaf, 0);
        }
    }
    p.arch_caps = caps.arch_caps.unwrap_or(0);
    p.patch_level = caps.patch_level;
    p.index();
}

/// Makes the host's policy: what of the processor this hypervisor knows and uses.
pub(super) fn make_host(p: &mut CpuPolicy, raw: &CpuPolicy, caps: &Capabilities) {
    p.clone_from(raw);
    p.basic[0][0] = p.basic[0][0].min(BASIC as u32 - 1);
    p.feat[0][0] = p.feat[0][0].min(FEAT as u32 - 1);
    let extd = clamp_extd(p.extd[0][0], EXTD as u32 - 1);
    p.extd[0][0] = if caps.lfence_dispatch && p.vendor.is_amd_like() {
        // The processor may be too old to have the leaf that says so.
        EXTD_BASE | (EXTD as u32 - 1)
    } else {
        extd
    };

    let mut set = p.features();
    if caps.lfence_dispatch && p.vendor.is_amd_like() {
        set.set(f::LFENCE_DISPATCH);
    }
    if caps.rtm_always_abort {
        set.set(f::RTM);
        set.set(f::RTM_ALWAYS_ABORT);
    }
    // State that is not switched cannot be used, by nobody.
    let without = |bits| caps.xcr0_mask & bits != bits;
    if without(xstate::X87 | xstate::SSE) {
        set.clear(f::XSAVE);
    }
    if without(xstate::YMM) {
        set.clear(f::AVX);
    }
    if without(xstate::ZMM) {
        set.clear(f::AVX512F);
    }
    sanitise(&mut set);
    p.set_features(&set);
    if caps.paddr_bits != 0 {
        let bits = p.paddr_bits().min(u32::from(caps.paddr_bits));
        p.extd[8][0] = (p.extd[8][0] & !0xff) | bits;
    }
    recalculate_xstate(p, &raw.xstate);
    recalculate_misc(p);
    p.index();
}

/// Makes the greatest policy that a domain can have.
pub(super) fn make_max(p: &mut CpuPolicy, host: &CpuPolicy, caps: &Capabilities) {
    p.clone_from(host);
    // Guests may come from elsewhere with more leaves; those that the host lacks hold nothing.
    p.basic[0][0] = BASIC as u32 - 1;
    p.feat[0][0] = FEAT as u32 - 1;
    p.extd[0][0] = EXTD_BASE | (EXTD as u32 - 1);

    let mut set = host.features();
    set.retain(&f::ALLOWED);
    retain_capable(&mut set, host, caps);
    // What is emulated whatever the processor has.
    set.set(f::APIC);
    set.set(f::X2APIC);
    set.set(f::HYPERVISOR);
    // EFER.LMSLE is never allowed.
    set.set(f::NO_LMSL);
    // Processors without branch predictors shared between threads ignore STIBP.
    if set.has(f::IBRSB) {
        set.set(f::STIBP);
    }
    if set.has(f::IBRS) {
        set.set(f::AMD_STIBP);
    }
    // Intel's bit promises the command that AMD has an own bit for.
    if caps.ibpb && host.has(f::IBRSB) {
        set.set(f::IBPB);
    }
    // To a guest, the second says that XBEGIN does not fault, and a processor without the elision
    // ignores its prefixes.
    if set.has(f::RTM) {
        set.set(f::RTM_ALWAYS_ABORT);
        set.set(f::HLE);
    }
    sanitise(&mut set);
    p.set_features(&set);
    recalculate_xstate(p, &host.xstate);
    recalculate_misc(p);
    p.platform_info = match caps.cpuid_faulting {
        true => CPUID_FAULTING,
        false => 0,
    };
    // Several cores, so that the bits that say so are within bounds.
    set_topology(p, Topology { cores: 2 });
    p.index();
}

/// Makes the policy that a domain starts with.
pub(super) fn make_default(
    p: &mut CpuPolicy,
    max: &CpuPolicy,
    host: &CpuPolicy,
    caps: &Capabilities,
) {
    p.clone_from(max);
    p.basic[0][0] = host.basic[0][0];
    p.feat[0][0] = host.feat[0][0];
    p.extd[0][0] = host.extd[0][0];
    let mut set = max.features();
    set.retain(&f::OFFERED);
    if caps.rtm_always_abort {
        set.clear(f::RTM);
        set.set(f::RTM_ALWAYS_ABORT);
    }
    sanitise(&mut set);
    p.set_features(&set);
    recalculate(p, max, Topology { cores: 1 });
}

/// Brings a policy that came from outside within the bounds of `max` and makes it consistent.
pub(super) fn recalculate(p: &mut CpuPolicy, max: &CpuPolicy, topology: Topology) {
    p.vendor = Vendor::from_leaf0(&p.basic[0]);
    p.basic[0][0] = p.basic[0][0].min(max.basic[0][0]);
    p.feat[0][0] = p.feat[0][0].min(max.feat[0][0]);
    p.extd[0][0] = clamp_extd(
        p.extd[0][0],
        match p.vendor.is_amd_like() {
            true => EXTD as u32 - 1,
            false => INTEL_EXTD_MAX,
        },
    );
    clear_absent(p);

    let limit = max.features();
    let mut set = p.features();
    set.retain(&limit);
    if p.basic[0][0] < 0xd {
        set.clear(f::XSAVE);
    }
    sanitise(&mut set);
    // These two are about how the x87 unit works; a guest cannot be told otherwise.
    for quirk in [f::FDP_EXCP_ONLY, f::NO_FPU_SEL] {
        set.assign(quirk, limit.has(quirk));
    }
    p.set_features(&set);

    // CLFLUSH's line size.
    p.basic[1][1] = (p.basic[1][1] & !0xff00) | (max.basic[1][1] & 0xff00);
    let floor = match set.has(f::PAE) || set.has(f::PSE36) {
        true => 36,
        false => 32,
    };
    let physical = (p.extd[8][0] & 0xff).min(max.paddr_bits()).max(floor);
    let linear = match set.has(f::LM) {
        true => 48,
        false => 32,
    };
    p.extd[8][0] = physical | linear << 8;
    // EBX of the leaf is a word of the feature set.
    p.extd[8][3] = 0;

    recalculate_xstate(p, &max.xstate);
    recalculate_misc(p);
    if !set.has(f::PAGE1GB) {
        p.extd[0x19] = [0; 4];
    }
    p.platform_info &= max.platform_info;
    p.patch_level = max.patch_level;
    set_topology(p, topology);
    // Recalculation filled in leaves regardless of the greatest one.
    clear_absent(p);
    p.index();
}

/// Zeroes the leaves above the greatest ones, and subleaves after the last one.
pub(super) fn clear_absent(p: &mut CpuPolicy) {
    let max = p.basic[0][0];
    for (leaf, regs) in (0_u32..).zip(&mut p.basic) {
        if leaf > max {
            *regs = [0; 4];
        }
    }
    let mut present = max >= 4;
    for regs in &mut p.cache {
        present &= regs[0] & 0x1f != 0;
        if !present {
            *regs = [0; 4];
        }
    }
    let subleaves = p.feat[0][0];
    for (subleaf, regs) in (0_u32..).zip(&mut p.feat) {
        if max < 7 || subleaf > subleaves {
            *regs = [0; 4];
        }
    }
    let mut present = max >= 0xb;
    for regs in &mut p.topo {
        present &= regs[2] & 0xff00 != 0;
        if !present {
            *regs = [0; 4];
        }
    }
    if max < 0xd {
        p.xstate = [[0; 4]; XSTATE];
    }
    let max = p.extd[0][0] & 0xffff;
    for (leaf, regs) in (0_u32..).zip(&mut p.extd) {
        if leaf > max {
            *regs = [0; 4];
        }
    }
}

/// Returns the greatest extended leaf, at most the one with the number `most`.
fn clamp_extd(max: u32, most: u32) -> u32 {
    EXTD_BASE | (max & 0xffff).min(most)
}

/// Removes the features that need a backend's help that it does not give.
fn retain_capable(set: &mut FeatureSet, host: &CpuPolicy, caps: &Capabilities) {
    let mut need = |able: bool, features: &[f::Feature]| {
        if !able {
            for feature in features {
                set.clear(*feature);
            }
        }
    };
    need(caps.spec_ctrl, &[f::IBRSB, f::IBRS]);
    need(caps.ibpb, &[f::IBRSB, f::IBPB]);
    need(caps.auto_ibrs, &[f::AUTO_IBRS]);
    need(caps.page1gb, &[f::PAGE1GB]);
    need(caps.pcid, &[f::PCID, f::INVPCID]);
    need(caps.tsc_aux, &[f::RDTSCP, f::RDPID]);
    need(caps.invariant_tsc, &[f::ITSC]);
    // AMD has leaves for what this MSR says.
    let described = caps.arch_caps.is_some() && host.vendor == Vendor::Intel;
    need(described, &[f::ARCH_CAPS]);
}

/// Makes leaf 0xd from the features; `rows` holds each component's size and place.
fn recalculate_xstate(p: &mut CpuPolicy, rows: &[Regs; XSTATE]) {
    let set = p.features();
    let mask = xstate::components(&set);
    let instructions = p.xstate[1][0];
    let rows = *rows;
    p.xstate = [[0; 4]; XSTATE];
    if mask == 0 {
        return;
    }
    // Of a component's attributes, its alignment belongs to the compacted format.
    let attributes = match set.has(f::XSAVEC) {
        true => 2,
        false => 0,
    };
    for ((bit, new), row) in (0_u32..).zip(&mut p.xstate).zip(&rows).skip(2) {
        if mask.wrapping_shr(bit) & 1 != 0 {
            *new = [row[0], row[1], row[2] & attributes, 0];
        }
    }
    // CAST: the low half, then the high half.
    p.xstate[0] = [
        mask as u32,
        0,
        xstate::size(&rows, mask),
        (mask >> 32) as u32,
    ];
    p.xstate[1][0] = instructions;
}

/// Clears what is not for guests, and makes equal what is told twice.
fn recalculate_misc(p: &mut CpuPolicy) {
    // Family, model, stepping; not the processor's type. The APIC id is the vCPU's.
    p.basic[1][0] &= 0x0fff_0fff;
    p.basic[1][1] &= 0x00ff_ffff;
    // Serial number, MONITOR, power management, reserved, direct cache access, performance
    // monitoring, reserved.
    p.basic[3] = [0; 4];
    p.basic[5] = [0; 4];
    p.basic[6] = [0; 4];
    p.basic[8] = [0; 4];
    p.basic[9] = [0; 4];
    p.basic[0xa] = [0; 4];
    p.basic[0xc] = [0; 4];
    // Subleaves 1 and 2 of leaf 7 hold nothing but features.
    p.feat[2] = [0, 0, 0, p.feat[2][3]];

    for cache in &mut p.cache {
        match cache[0] & 0x1f {
            // Data, instructions, both: the fields that are defined.
            1..=3 => {
                cache[0] &= 0xffff_c3ff;
                cache[3] &= 7;
            }
            _ => *cache = [0; 4],
        }
    }

    let e1d = p.extd[1][3] & !REPEATED;
    p.extd[7] = [0, 0, 0, p.extd[7][3]];
    p.extd[8][0] &= 0xffff;
    p.extd[8][3] = 0;
    p.extd[9] = [0; 4];
    // SVM is not offered.
    p.extd[0xa] = [0; 4];
    for leaf in p.extd.iter_mut().take(0x19).skip(0xb) {
        *leaf = [0; 4];
    }
    // 0x19 and 0x1a describe TLBs and instruction widths. Sampling, profiling, topology extensions,
    // memory encryption, quality of service: no.
    for leaf in p.extd.iter_mut().take(0x21).skip(0x1b) {
        *leaf = [0; 4];
    }
    p.extd[0x21] = [p.extd[0x21][0], 0, p.extd[0x21][2], 0];

    if p.vendor.is_amd_like() {
        p.basic[2] = [0; 4];
        p.cache = [[0; 4]; 6];
        let [_, b, c, d] = p.basic[0];
        p.extd[0] = [p.extd[0][0], b, c, d];
        p.extd[1] = [
            p.basic[1][0],
            p.extd[1][1] & 0xff00_ffff,
            p.extd[1][2],
            e1d | (p.basic[1][3] & REPEATED),
        ];
    } else {
        // One query of leaf 2 is enough.
        p.basic[2][0] = (p.basic[2][0] & !0xff) | 1;
        p.extd[0] = [p.extd[0][0], 0, 0, 0];
        p.extd[1] = [0, 0, p.extd[1][2], e1d];
        p.extd[5] = [0; 4];
        p.extd[6] = [0, 0, p.extd[6][2], 0];
        p.extd[8][2] = 0;
    }
}

/// Describes the domain's vCPUs in each of the leaves that do so.
fn set_topology(p: &mut CpuPolicy, topology: Topology) {
    let cores = topology.cores.max(1);
    let bits = topology.id_bits();
    let ids = 1_u32.checked_shl(bits).unwrap_or(u32::MAX);
    let amd = p.vendor.is_amd_like();
    let many = cores > 1;

    // AMD counts processors there, Intel the ids that are set aside for them.
    let logical = match (many, amd) {
        (false, _) => 0,
        (true, true) => cores.min(255),
        (true, false) => ids.min(255),
    };
    p.basic[1][1] = (p.basic[1][1] & 0xff00_ffff) | logical << 16;
    set_bit(&mut p.basic[1][3], f::HTT.mask(), many);
    set_bit(&mut p.extd[1][2], f::CMP_LEGACY.mask(), many && amd);

    // The level of threads takes the lowest bit of an id; there is one thread in each core.
    let extended = p.basic[0][0] >= 0xb && p.has(f::X2APIC);
    p.topo = match extended {
        true => [[1, 1, 0x100, 0], [bits, cores.min(0xffff), 0x201, 0]],
        false => [[0; 4]; 2],
    };

    if amd {
        p.extd[8][2] = cores.saturating_sub(1).min(255) | bits.min(15) << 12;
    }
    // Intel's caches: the ids of cores in the package, and of threads that share the cache.
    let core_ids = (ids >> 1).saturating_sub(1).min(63);
    for cache in &mut p.cache {
        if cache[0] & 0x1f == 0 {
            break;
        }
        let level = cache[0] >> 5 & 7;
        let sharing = match level {
            3.. => ids.saturating_sub(1).min(0xfff),
            _ => 1,
        };
        cache[0] = (cache[0] & 0x3fff) | sharing << 14 | core_ids << 26;
    }
}

/// Sets or clears the bits of `mask`.
fn set_bit(word: &mut u32, mask: u32, on: bool) {
    if on {
        *word |= mask;
    } else {
        *word &= !mask;
    }
}
