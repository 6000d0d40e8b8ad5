// SPDX-License-Identifier: GPL-2.0-only

//! Relocations: AMD64 supplement to the System V ABI, 4.4.
//!
//! Two symbols stand for no address. A jump to `__x86_return_thunk` is how every function ends; which instruction
//! that becomes depends on the processor, and the kernel has decided it for all code when it started. A call of
//! `__fentry__` is for a tracer that knows nothing of payloads, and becomes a no-op.

use super::elf::{
    kind,
    Object,
    Rela,
    Section, //
};
use super::image::Images;
use super::layout::{
    Layout,
    Place,
    Region, //
};
use super::load::Host;
use super::refusal::{
    Refusal,
    Result, //
};
use super::resolve::{
    Value,
    Values, //
};
use crate::abi::errno::{
    EINVAL,
    EOPNOTSUPP,
    EOVERFLOW, //
};

/// `R_X86_64_*`.
mod r {
    pub(super) const NONE: u32 = 0;
    pub(super) const ABS64: u32 = 1;
    pub(super) const PC32: u32 = 2;
    pub(super) const PLT32: u32 = 4;
    pub(super) const ABS32: u32 = 10;
    pub(super) const ABS32S: u32 = 11;
    pub(super) const PC64: u32 = 24;
}

/// A jump with a 32-bit distance, and a call.
const JMP: u8 = 0xe9;
const CALL: u8 = 0xe8;
/// A no-op of five bytes.
const NOP5: [u8; 5] = [0x0f, 0x1f, 0x44, 0x00, 0x00];

/// How functions return on this machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Return {
    /// By RET.
    Ret,
    /// By a jump to this address.
    Jump(u64),
}

/// Relocates every section that is loaded.
///
/// # Errors
///
/// `EOPNOTSUPP` for a kind of relocation that is not supported, `EOVERFLOW` for one that does not reach its symbol,
/// `EINVAL` for one that is wrong.
pub(crate) fn all<H: Host>(
    object: &Object<'_>,
    layout: &Layout,
    images: &mut Images,
    values: &Values,
    host: &H,
) -> Result {
    for table in object.sections().filter(|s| s.kind == kind::RELA) {
        let target = u16::try_from(table.info)
            .ok()
            .and_then(|index| object.section(index))
            .ok_or(Refusal::new(EINVAL, "belongs to no section").of(table.name))?;
        let Place::At(region, offset) = layout.place(target.index) else {
            continue;
        };
        let place = At {
            section: &target,
            region,
            offset: offset.into(),
        };
        for rela in object.relocations(&table)? {
            one(&place, &rela, images, values, host)
                .map_err(|refusal| refusal.of(target.name).with(rela.offset))?;
        }
    }
    Ok(())
}

/// A section that is relocated.
struct At<'a> {
    section: &'a Section<'a>,
    region: Region,
    offset: u64,
}

impl At<'_> {
    /// The bytes that a relocation changes.
    fn bytes<'i>(&self, images: &'i mut Images, offset: u64, len: usize) -> Result<&'i mut [u8]> {
        let inside = offset
            .checked_add(len as u64)
            .is_some_and(|end| end <= self.section.data.len() as u64);
        if !inside {
            return Err(Refusal::new(EINVAL, "is relocated outside of its contents"));
        }
        images
            .region_mut(self.region)
            .slice_mut(self.offset.wrapping_add(offset), len)
            .ok_or(Refusal::new(EINVAL, "is relocated outside of its contents"))
    }
}

fn one<H: Host>(
    at: &At<'_>,
    rela: &Rela,
    images: &mut Images,
    values: &Values,
    host: &H,
) -> Result {
    if rela.kind == r::NONE {
        return Ok(());
    }
    let value = values.get(rela.symbol)?;
    let here = images
        .region(at.region)
        .base
        .wrapping_add(at.offset)
        .wrapping_add(rela.offset);
    let symbol = match value {
        Value::Return => return returns(at, rela, images, here, host),
        Value::Tracer => return tracer(at, rela, images),
        Value::Absent => {
            return Err(Refusal::new(EINVAL, "is relocated by what is not loaded"));
        }
        // A description names functions without calling them.
        Value::Outside(addr, true)
            if at.region != Region::Notes
                && rela.kind != r::PLT32
                && !host.may_be_pointed_to(addr) =>
        {
            return Err(Refusal::new(
                EOPNOTSUPP,
                "points to a function that may only be called by name",
            ));
        }
        Value::Own(value) | Value::Number(value) | Value::Outside(value, _) => value,
    };
    // CAST: Addresses wrap as the processor's do.
    let absolute = symbol.wrapping_add(rela.addend as u64);
    let relative = absolute.wrapping_sub(here);
    let overflow = || Refusal::new(EOVERFLOW, "is too far from what it refers to");
    match rela.kind {
        // What describes the payload lies nowhere: it can hold addresses, no distances.
        r::PC32 | r::PLT32 | r::PC64 if at.region == Region::Notes => {
            Err(Refusal::new(EINVAL, "is relocated to a distance"))
        }
        r::ABS64 => put(at, rela, images, absolute.to_le_bytes()),
        r::PC64 => put(at, rela, images, relative.to_le_bytes()),
        r::ABS32 => {
            let word = u32::try_from(absolute).map_err(|_| overflow())?;
            put(at, rela, images, word.to_le_bytes())
        }
        r::ABS32S => {
            // CAST: The sign is part of it.
            let word = i32::try_from(absolute as i64).map_err(|_| overflow())?;
            put(at, rela, images, word.to_le_bytes())
        }
        r::PC32 | r::PLT32 => {
            // CAST: The sign is part of it.
            let word = i32::try_from(relative as i64).map_err(|_| overflow())?;
            put(at, rela, images, word.to_le_bytes())
        }
        kind => Err(Refusal::new(
            EOPNOTSUPP,
            match kind {
                9 | 41 | 42 => "is relocated through a global offset table",
                _ => "is relocated in an unsupported way",
            },
        )),
    }
}

fn put<const N: usize>(at: &At<'_>, rela: &Rela, images: &mut Images, value: [u8; N]) -> Result {
    let bytes = at.bytes(images, rela.offset, N)?;
    for (to, from) in bytes.iter_mut().zip(value) {
        *to = from;
    }
    Ok(())
}

/// The five bytes of a jump or call whose distance is relocated.
fn instruction<'i>(
    at: &At<'_>,
    rela: &Rela,
    images: &'i mut Images,
    opcode: u8,
) -> Result<&'i mut [u8]> {
    let wrong = Refusal::new(EOPNOTSUPP, "uses a symbol that stands for no address");
    let near = matches!(rela.kind, r::PLT32 | r::PC32) && rela.addend == -4;
    let start = rela.offset.checked_sub(1).filter(|_| near).ok_or(wrong)?;
    let bytes = at.bytes(images, start, 5)?;
    if at.region == Region::Text && bytes.first() == Some(&opcode) {
        Ok(bytes)
    } else {
        Err(wrong)
    }
}

fn returns<H: Host>(at: &At<'_>, rela: &Rela, images: &mut Images, here: u64, host: &H) -> Result {
    let bytes = instruction(at, rela, images, JMP)?;
    let new = match host.returns() {
        // RET, and nothing after it to run by mistake.
        Return::Ret => [0xc3, 0xcc, 0xcc, 0xcc, 0xcc],
        Return::Jump(to) => {
            // CAST: The sign is part of it.
            let distance = to.wrapping_sub(here.wrapping_add(4)) as i64;
            let [a, b, c, d] = i32::try_from(distance)
                .map_err(|_| Refusal::new(EOVERFLOW, "is too far from what it returns through"))?
                .to_le_bytes();
            [JMP, a, b, c, d]
        }
    };
    for (to, from) in bytes.iter_mut().zip(new) {
        *to = from;
    }
    Ok(())
}

fn tracer(at: &At<'_>, rela: &Rela, images: &mut Images) -> Result {
    let bytes = instruction(at, rela, images, CALL)?;
    for (to, from) in bytes.iter_mut().zip(NOP5) {
        *to = from;
    }
    Ok(())
}
