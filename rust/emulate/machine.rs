// SPDX-License-Identifier: GPL-2.0-only

//! The processor itself: CPUID, model-specific and extended control registers, counters, random
//! numbers, caches, translations, HLT.

use super::{
    address::Address,
    control::check_kernel,
    decode::Rm,
    flags::{
        self,
        CF,
        STATUS, //
    },
    operand::{
        Context,
        Register, //
    },
    ops::{
        Access,
        CacheControl,
        Control,
        Done,
        Exception,
        Fault,
        Feature,
        Gpr,
        Invalidation,
        Ops,
        Result, //
    },
    prefix::{
        Repeat,
        Segment, //
    },
    segment::{
        self,
        is_canonical,
        Range, //
    },
    width::Width,
    CodeWidth,
    Vendor, //
};

/// CR4.TSD.
const CR4_TSD: u64 = 1 << 2;
/// CR4.PCE.
const CR4_PCE: u64 = 1 << 8;
/// CR4.FSGSBASE.
const CR4_FSGSBASE: u64 = 1 << 16;
/// CR4.PCIDE.
const CR4_PCIDE: u64 = 1 << 17;
/// CR4.OSXSAVE.
const CR4_OSXSAVE: u64 = 1 << 18;
/// CR4.PKE.
const CR4_PKE: u64 = 1 << 22;
/// The MSR that RDTSCP and RDPID read.
const MSR_TSC_AUX: u32 = 0xc000_0103;

/// EAX, ECX and EDX.
const EAX: Register = Register::low(Gpr::RAX, Width::Dword);
const ECX: Register = Register::low(Gpr::RCX, Width::Dword);
const EDX: Register = Register::low(Gpr::RDX, Width::Dword);

/// Returns #GP.
pub(super) fn refused<O: Ops>(ops: &O) -> Fault {
    Exception::protection(ops.mode()).into()
}

/// Raises #UD unless `good`.
pub(super) fn defined(good: bool) -> Result {
    if good {
        Ok(())
    } else {
        Err(Exception::UNDEFINED.into())
    }
}

/// Whether a bit of CR4 is set.
fn cr4<O: Ops>(ops: &O, bit: u64) -> Result<bool> {
    Ok(ops.control(Control::Cr4)? & bit != 0)
}

/// Returns ECX.
fn ecx<O: Ops>(ops: &O) -> u32 {
    // CAST: The register has 32 bits.
    ECX.get(ops) as u32
}

/// Returns EDX and EAX as one number.
fn edx_eax<O: Ops>(ops: &O) -> u64 {
    EDX.get(ops) << 32 | EAX.get(ops)
}

/// Splits a number into EDX and EAX.
fn set_edx_eax<O: Ops>(ops: &mut O, value: u64) {
    EAX.set(ops, value);
    EDX.set(ops, value >> 32);
}

/// Executes 0F A2: CPUID.
pub(crate) fn identify<O: Ops>(ops: &mut O, _: &Context) -> Result {
    // CAST: The register has 32 bits.
    let leaf = EAX.get(ops) as u32;
    let subleaf = ecx(ops);
    let [a, b, c, d] = ops.cpuid(leaf, subleaf)?;
    EAX.set(ops, a.into());
    Register::low(Gpr::RBX, Width::Dword).set(ops, b.into());
    ECX.set(ops, c.into());
    EDX.set(ops, d.into());
    Ok(())
}

/// Executes 0F 32: RDMSR.
pub(crate) fn read_msr<O: Ops>(ops: &mut O, _: &Context) -> Result {
    check_kernel(ops)?;
    let index = ecx(ops);
    let value = ops.msr(index)?;
    set_edx_eax(ops, value);
    Ok(())
}

/// Executes 0F 30: WRMSR.
pub(crate) fn write_msr<O: Ops>(ops: &mut O, _: &Context) -> Result {
    check_kernel(ops)?;
    let (index, value) = (ecx(ops), edx_eax(ops));
    ops.set_msr(index, value)
}

/// Executes 0F 31: RDTSC.
pub(crate) fn read_time<O: Ops>(ops: &mut O, _: &Context) -> Result {
    if ops.cpl() != 0 && cr4(ops, CR4_TSD)? {
        return Err(refused(ops));
    }
    let value = ops.time_stamp()?;
    set_edx_eax(ops, value);
    Ok(())
}

/// Executes 0F 01 F9: RDTSCP.
pub(crate) fn read_time_and_id<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    defined(ops.has(Feature::Rdtscp))?;
    if ops.cpl() != 0 && cr4(ops, CR4_TSD)? {
        return Err(refused(ops));
    }
    let id = ops.msr(MSR_TSC_AUX)?;
    read_time(ops, cx)?;
    ECX.set(ops, id);
    Ok(())
}

/// Executes F3 0F C7 /7 with a register: RDPID.
pub(crate) fn read_id<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    defined(ops.has(Feature::Rdpid))?;
    let value = ops.msr(MSR_TSC_AUX)?;
    let width = match cx.code {
        CodeWidth::Bits64 => Width::Qword,
        _ => Width::Dword,
    };
    cx.rm(ops, width, Access::Write)?
        .set(ops, Width::Dword.truncate(value))
}

/// Executes 0F 33: RDPMC.
pub(crate) fn read_counter<O: Ops>(ops: &mut O, _: &Context) -> Result {
    if ops.cpl() != 0 && !cr4(ops, CR4_PCE)? {
        return Err(refused(ops));
    }
    let value = ops.performance_counter(ecx(ops))?;
    set_edx_eax(ops, value);
    Ok(())
}

/// Executes 0F C7 /6, 0F C7 /7 with a register: RDRAND and RDSEED.
pub(crate) fn random<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let seed = cx.insn.digit() & 1 != 0;
    defined(ops.has(if seed {
        Feature::Rdseed
    } else {
        Feature::Rdrand
    }))?;
    let value = ops.random(seed)?;
    let carry = if value.is_some() { CF } else { 0 };
    cx.rm(ops, cx.insn.operand_size, Access::Write)?
        .set(ops, value.unwrap_or(0))?;
    flags::set(ops, STATUS, carry);
    Ok(())
}

/// Executes 0F 01 D0, 0F 01 D1: XGETBV and XSETBV.
pub(crate) fn extended_control<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    defined(cr4(ops, CR4_OSXSAVE)?)?;
    let index = ecx(ops);
    if cx.insn.modrm.0 & 1 == 0 {
        let value = ops.extended_control(index)?;
        set_edx_eax(ops, value);
        return Ok(());
    }
    check_kernel(ops)?;
    let value = edx_eax(ops);
    ops.set_extended_control(index, value)
}

/// Executes 0F 01 EE, 0F 01 EF: RDPKRU and WRPKRU.
pub(crate) fn protection_keys<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    defined(cr4(ops, CR4_PKE)?)?;
    if ecx(ops) != 0 {
        return Err(refused(ops));
    }
    if cx.insn.modrm.0 & 1 == 0 {
        let value = ops.protection_keys()?;
        set_edx_eax(ops, value.into());
        return Ok(());
    }
    if EDX.get(ops) != 0 {
        return Err(refused(ops));
    }
    // CAST: The register has 32 bits.
    let value = EAX.get(ops) as u32;
    ops.set_protection_keys(value)
}

/// Executes F3 0F AE /0 to F3 0F AE /3 with a register: RDFSBASE to WRGSBASE.
pub(crate) fn segment_base<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let exists = cx.code == CodeWidth::Bits64 && ops.has(Feature::FsGsBase);
    defined(exists && cr4(ops, CR4_FSGSBASE)?)?;
    let segment = match cx.insn.digit() & 1 {
        0 => Segment::Fs,
        _ => Segment::Gs,
    };
    let width = cx.insn.operand_size.max(Width::Dword);
    let selector = ops.selector(segment)?;
    let mut state = ops.segment(segment);
    if cx.insn.digit() & 2 == 0 {
        return cx.rm(ops, width, Access::Write)?.set(ops, state.base);
    }
    let base = cx.rm(ops, width, Access::Read)?.get(ops)?;
    if !is_canonical(base, ops.linear_bits()) {
        return Err(refused(ops));
    }
    state.base = base;
    ops.set_segment(segment, selector, state);
    Ok(())
}

/// Executes 0F 01 F8: SWAPGS.
pub(crate) fn swap_gs<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    defined(cx.code == CodeWidth::Bits64)?;
    check_kernel(ops)?;
    ops.swap_gs()
}

/// Executes F4: HLT.
pub(crate) fn halt<O: Ops>(ops: &mut O, cx: &Context) -> Result<Done> {
    check_kernel(ops)?;
    Ok(Done::Halt { len: cx.insn.len })
}

/// Executes 0F 08, 0F 09: INVD, WBINVD and WBNOINVD.
pub(crate) fn caches<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    check_kernel(ops)?;
    let keeps = cx.insn.prefixes.repeat == Repeat::F3 && ops.has(Feature::WbNoInvd);
    ops.cache(match cx.insn.opcode {
        0x08 => CacheControl::Invalidate,
        _ if keeps => CacheControl::WriteBack,
        _ => CacheControl::WriteBackAndInvalidate,
    })
}

/// Executes 0F AE /7, 66 0F AE /7, 66 0F AE /6 with memory: CLFLUSH, CLFLUSHOPT and CLWB. They need
/// the right to read.
pub(crate) fn flush_line<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    let range = range(ops, cx, 1)?;
    let linear = segment::linear(ops, cx.code, &range, Access::Read)?;
    ops.translate(linear, 1, Access::Read)?;
    ops.cache(CacheControl::Line(linear))
}

/// Returns the memory operand as a range of `len` bytes.
fn range<O: Ops>(ops: &O, cx: &Context, len: usize) -> Result<Range> {
    let Rm::Memory(address) = cx.insn.rm else {
        return Err(Exception::UNDEFINED.into());
    };
    Ok(Range {
        segment: address.segment,
        offset: address.offset(ops, cx.next_rip(ops), 0),
        len,
        align: 1,
    })
}

/// Returns the linear address of an operand that is not accessed.
fn linear<O: Ops>(ops: &O, cx: &Context, address: &Address) -> u64 {
    let offset = address.offset(ops, cx.next_rip(ops), 0);
    let has_base = matches!(address.segment, Segment::Fs | Segment::Gs);
    match cx.code {
        CodeWidth::Bits64 if !has_base => offset,
        CodeWidth::Bits64 => ops.segment(address.segment).base.wrapping_add(offset),
        _ => ops.segment(address.segment).base.wrapping_add(offset) & 0xffff_ffff,
    }
}

/// Executes 0F 01 /7 with memory: INVLPG.
pub(crate) fn invalidate_page<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    check_kernel(ops)?;
    let Rm::Memory(address) = cx.insn.rm else {
        return Err(Exception::UNDEFINED.into());
    };
    let linear = linear(ops, cx, &address);
    ops.invalidate(Invalidation::Page { linear })
}

/// Executes 66 0F 38 82: INVPCID.
pub(crate) fn invalidate_context<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    defined(ops.has(Feature::InvPcid) && matches!(cx.insn.rm, Rm::Memory(_)))?;
    check_kernel(ops)?;
    let width = match cx.code {
        CodeWidth::Bits64 => Width::Qword,
        _ => Width::Dword,
    };
    let kind = Register::low(cx.insn.reg(), width).get(ops);
    let place = cx.memory_bytes(ops, 16, 1, Access::Read)?;
    let mut bytes = [0; 16];
    ops.read(&place, &mut bytes)?;
    let both = u128::from_le_bytes(bytes);
    // CAST: The two halves.
    let (context, linear) = (both as u64, (both >> 64) as u64);
    let numbered = kind < 2 && context != 0 && !cr4(ops, CR4_PCIDE)?;
    let far = kind == 0 && !is_canonical(linear, ops.linear_bits());
    if kind > 3 || context >> 12 != 0 || numbered || far {
        return Err(refused(ops));
    }
    ops.invalidate(Invalidation::Context {
        // CAST: 0 to 3, and 12 bits.
        kind: kind as u8,
        pcid: context as u16,
        linear,
    })
}

/// Executes 0F 01 FC: CLZERO, which writes the line of 64 bytes that rAX is in.
pub(crate) fn clear_line<O: Ops>(ops: &mut O, cx: &Context) -> Result {
    defined(ops.vendor() == Vendor::Amd && ops.has(Feature::ClZero))?;
    let offset = Width::from(cx.insn.address_size).truncate(ops.gpr(Gpr::RAX));
    let range = Range {
        segment: cx.insn.prefixes.segment.unwrap_or(Segment::Ds),
        offset,
        len: 1,
        align: 1,
    };
    let linear = segment::linear(ops, cx.code, &range, Access::Write)?;
    let place = ops.translate(linear & !63, 64, Access::Write)?;
    ops.write(&place, &[0; 64])
}
