// SPDX-License-Identifier: GPL-2.0-only

//! The state that vCPUs start with, as records of Xen's save format.

use zerocopy::{
    FromBytes,
    FromZeros,
    Immutable,
    IntoBytes, //
};

use crate::abi::hvm::save::{
    self,
    HwCpu,
    HwMtrr,
    SaveDescriptor, //
};
use crate::error::{
    Error,
    Result, //
};

/// CR0 of a PVH guest at its start: protected mode, and the bit that is always set.
const CR0: u64 = 0x11;
/// Attributes of a flat 32-bit code segment: present, readable, accessed, 4 KiB granularity.
const CODE: u32 = 0xc9b;
/// Attributes of a flat 32-bit data segment: present, writable, accessed, 4 KiB granularity.
const DATA: u32 = 0xc93;
/// Attributes of a busy 32-bit task state segment.
const TASK: u32 = 0x8b;
/// Limit of the smallest such segment.
const TASK_LIMIT: u32 = 0x67;
/// DR6 after a reset.
const DR6: u64 = 0xffff_0ff0;
/// DR7 after a reset.
const DR7: u64 = 0x400;
/// RFLAGS: the bit that is always set.
const RFLAGS: u64 = 0x2;
/// MTRR default type: all memory is write-back, and MTRRs are on.
const MTRR_DEFAULT: u64 = 0x806;

/// Finds the payload of a record in saved state, which is not trusted to be well-formed.
fn find(state: &[u8], code: u16, instance: u16) -> Option<&[u8]> {
    let mut rest = state;
    while let Ok((descriptor, after)) = SaveDescriptor::read_from_prefix(rest) {
        if descriptor.typecode == save::END {
            return None;
        }
        let length = descriptor.length as usize;
        let payload = after.get(..length)?;
        if descriptor.typecode == code && descriptor.instance == instance {
            return Some(payload);
        }
        rest = after.get(length..)?;
    }
    None
}

/// Appends a record.
fn push(out: &mut Vec<u8>, code: u16, instance: u16, payload: &[u8]) {
    let descriptor = SaveDescriptor {
        typecode: code,
        instance,
        // A record is a structure of this ABI: a few KiB.
        length: payload.len() as u32,
    };
    out.extend_from_slice(descriptor.as_bytes());
    out.extend_from_slice(payload);
}

/// Makes a save that holds one record, with the header of the saved state `from`.
fn single<T: IntoBytes + Immutable>(
    from: &[u8],
    code: u16,
    instance: u16,
    record: &T,
) -> Result<Vec<u8>> {
    let header = find(from, save::HEADER, 0)
        .ok_or_else(|| Error::text("the hypervisor's saved state has no header"))?;
    let mut out = Vec::new();
    push(&mut out, save::HEADER, 0, header);
    push(&mut out, code, instance, record.as_bytes());
    push(&mut out, save::END, 0, &[]);
    Ok(out)
}

/// Makes the save that turns on write-back caching for a vCPU.
///
/// # Errors
///
/// Fails if `from`, the domain's saved state, has no MTRR record for it.
pub(crate) fn write_back(from: &[u8], vcpu: u16) -> Result<Vec<u8>> {
    let mut mtrr = find(from, save::MTRR, vcpu)
        .and_then(|payload| HwMtrr::read_from_bytes(payload).ok())
        .ok_or_else(|| {
            Error::text(format!(
                "the hypervisor's saved state has no MTRR record for vCPU {vcpu}"
            ))
        })?;
    mtrr.msr_mtrr_def_type = MTRR_DEFAULT;
    single(from, save::MTRR, vcpu, &mtrr)
}

/// Makes the save that brings vCPU 0 up at the PVH entry point `entry`, with start_info at
/// `start_info`.
///
/// # Errors
///
/// Fails if `from`, the domain's saved state, has no header.
pub(crate) fn boot(from: &[u8], entry: u32, start_info: u64) -> Result<Vec<u8>> {
    let mut cpu = HwCpu::new_zeroed();
    cpu.rip = entry.into();
    cpu.rbx = start_info;
    cpu.rflags = RFLAGS;
    cpu.cr0 = CR0;
    cpu.dr6 = DR6;
    cpu.dr7 = DR7;
    cpu.cs_arbytes = CODE;
    cpu.cs_limit = u32::MAX;
    cpu.ds_arbytes = DATA;
    cpu.ds_limit = u32::MAX;
    cpu.es_arbytes = DATA;
    cpu.es_limit = u32::MAX;
    cpu.ss_arbytes = DATA;
    cpu.ss_limit = u32::MAX;
    cpu.tr_arbytes = TASK;
    cpu.tr_limit = TASK_LIMIT;
    single(from, save::CPU, 0, &cpu)
}

/// Makes the saved state of a domain as a hypervisor would answer it.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Returns a header and an MTRR record for each of `vcpus` vCPUs.
    pub(crate) fn fresh(vcpus: u16) -> Vec<u8> {
        let mut out = Vec::new();
        push(&mut out, save::HEADER, 0, &[0x5a; 24]);
        for vcpu in 0..vcpus {
            let mut mtrr = HwMtrr::new_zeroed();
            mtrr.msr_pat_cr = 0x0007_0406_0007_0406;
            push(&mut out, save::MTRR, vcpu, mtrr.as_bytes());
        }
        push(&mut out, save::END, 0, &[]);
        out
    }

    /// Returns (code, instance, payload) of each record up to the end mark, which has to be there.
    pub(crate) fn records(mut state: &[u8]) -> Vec<(u16, u16, Vec<u8>)> {
        let mut out = Vec::new();
        loop {
            let (descriptor, after) = SaveDescriptor::read_from_prefix(state).unwrap();
            let (payload, rest) = after.split_at(descriptor.length as usize);
            if descriptor.typecode == save::END {
                assert!(rest.is_empty() && payload.is_empty());
                return out;
            }
            out.push((descriptor.typecode, descriptor.instance, payload.to_vec()));
            state = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{
        fresh,
        records, //
    };
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn boot_state_is_what_pvh_demands() {
        let state = boot(&fresh(2), 0x100_0200, 0x3d_f000).unwrap();
        let records = records(&state);
        let [(save::HEADER, 0, header), (save::CPU, 0, cpu)] = records.as_slice() else {
            panic!("{records:?}")
        };
        assert_eq!(header, &[0x5a; 24]);
        let cpu = HwCpu::read_from_bytes(cpu).unwrap();
        assert_eq!((cpu.rip, cpu.rbx), (0x100_0200, 0x3d_f000));
        assert_eq!((cpu.cr0, cpu.cr3, cpu.cr4, cpu.msr_efer), (0x11, 0, 0, 0));
        assert_eq!(
            (cpu.cs_base, cpu.cs_limit, cpu.cs_arbytes),
            (0, 0xffff_ffff, 0xc9b)
        );
        assert_eq!((cpu.ss_limit, cpu.ss_arbytes), (0xffff_ffff, 0xc93));
        assert_eq!((cpu.tr_limit, cpu.tr_arbytes), (0x67, 0x8b));
        // The FPU is in its reset state.
        assert_eq!(cpu.flags, 0);
    }

    #[test]
    fn caching_keeps_the_rest_of_the_record() {
        let state = write_back(&fresh(3), 2).unwrap();
        let records = records(&state);
        let [(save::HEADER, 0, _), (save::MTRR, 2, mtrr)] = records.as_slice() else {
            panic!("{records:?}")
        };
        let mtrr = HwMtrr::read_from_bytes(mtrr).unwrap();
        assert_eq!(mtrr.msr_pat_cr, 0x0007_0406_0007_0406);
        assert_eq!(mtrr.msr_mtrr_def_type, 0x806);
        assert!(write_back(&fresh(3), 3).is_err());
        assert!(boot(&[], 0, 0).is_err());
    }

    proptest! {
        #[test]
        fn damaged_state_never_panics(
            mut state in Just(fresh(2)),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            cut in any::<prop::sample::Index>(),
        ) {
            for (at, value) in damage {
                let at = at.index(state.len());
                state[at] = value;
            }
            state.truncate(cut.index(state.len()));
            let _ = boot(&state, 0, 0);
            let _ = write_back(&state, 1);
        }
    }
}
