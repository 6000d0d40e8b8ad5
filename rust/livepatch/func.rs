// SPDX-License-Identifier: GPL-2.0-only

//! The records of `.livepatch.funcs`: which function is replaced by which, or which bytes become no-ops.

use super::image::Images;
use super::load::Host;
use super::refusal::{
    Refusal,
    Result, //
};
use crate::abi::errno::{
    EINVAL,
    ENOENT,
    EOPNOTSUPP,
    EOVERFLOW,
    ERANGE, //
};
use crate::abi::sysctl::livepatch::PAYLOAD_VERSION;
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL, //
};

/// Bytes of a record (`struct livepatch_func`).
pub(crate) const RECORD: usize = 104;
/// Bytes that one record changes at most (`LIVEPATCH_OPAQUE_SIZE`).
pub(crate) const PATCH_MAX: usize = 31;
/// Records that there may be.
pub(crate) const FUNCS_MAX: usize = 4096;

/// Bytes of a jump.
pub(crate) const JUMP: usize = 5;
/// What a function begins with that may be called through a pointer (ENDBR64).
pub(crate) const ENDBR: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
/// What the kernel makes of that when it loads the module, where nobody calls through a pointer: a NOP that stands for
/// nothing else. It does so on every machine, if it was built for processors that check.
pub(crate) const SEALED: [u8; 4] = [0x0f, 0x1f, 0x40, 0xd6];
/// What comes next in a function of C: the kernel's function tracer puts a call there, and wants to find this.
pub(crate) const TRACED: [u8; 5] = [0x0f, 0x1f, 0x44, 0x00, 0x00];

/// Bytes that a record changes, or expects.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes {
    bytes: [u8; PATCH_MAX],
    len: u8,
}

impl Bytes {
    /// As many as there are, unless that is too many.
    pub(crate) fn new(from: &[u8]) -> Option<Self> {
        let mut bytes = [0; PATCH_MAX];
        let to = bytes.get_mut(..from.len())?;
        for (to, from) in to.iter_mut().zip(from) {
            *to = *from;
        }
        Some(Self {
            bytes,
            // CAST: At most `PATCH_MAX`.
            len: from.len() as u8,
        })
    }

    /// The bytes.
    pub(crate) fn get(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or(&[])
    }

    /// The bytes, to change.
    pub(crate) fn get_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.len.into()).unwrap_or(&mut [])
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.len.into()
    }
}

impl core::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", super::refusal::Hex(self.get()))
    }
}

/// What one record asks for, checked.
#[derive(Debug)]
pub(crate) struct Func {
    /// The function's name, for the log.
    pub(crate) name: KVec<u8>,
    /// Where the function, or what becomes no-ops, begins.
    pub(crate) old: u64,
    /// Bytes from there on that belong to it.
    #[cfg(any(test, fuzzing))]
    pub(crate) old_size: u32,
    /// The function to use instead; `None` for no-ops.
    pub(crate) new: Option<u64>,
    /// Bytes from `old` on that stay: an ENDBR64, and what function tracing uses.
    pub(crate) skip: u8,
    /// What is written after them.
    pub(crate) patch: Bytes,
    /// What must be found at `old`.
    pub(crate) expect: Option<Bytes>,
    /// What was there before, while it is applied.
    pub(crate) saved: Option<Bytes>,
}

impl Func {
    /// The first byte that is changed.
    pub(crate) fn site(&self) -> u64 {
        self.old.wrapping_add(self.skip.into())
    }

    /// Checks what is found at `old`, of which `read` fills a buffer.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is something else.
    pub(crate) fn check_expectation(&self, read: impl Fn(u64, &mut [u8]) -> bool) -> Result {
        let Some(expect) = self.expect else {
            return Ok(());
        };
        let mut found = expect;
        if read(self.old, found.get_mut()) && found == expect {
            return Ok(());
        }
        Err(Refusal::new(EINVAL, "does not begin with what the payload expects").of(&self.name))
    }
}

/// Writes `len` bytes that do nothing, in as few instructions as there can be.
fn no_ops(len: usize) -> Option<Bytes> {
    /// The longest forms of NOP that processors decode well.
    const FORMS: [&[u8]; 8] = [
        &[0x90],
        &[0x66, 0x90],
        &[0x0f, 0x1f, 0x00],
        &[0x0f, 0x1f, 0x40, 0x00],
        &[0x0f, 0x1f, 0x44, 0x00, 0x00],
        &[0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
        &[0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
        &[0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
    ];
    let mut bytes = Bytes::new([0; PATCH_MAX].get(..len)?)?;
    let mut rest = bytes.get_mut();
    while !rest.is_empty() {
        let form = FORMS.get(rest.len().min(FORMS.len()) - 1)?;
        let (head, tail) = rest.split_at_mut_checked(form.len())?;
        for (to, from) in head.iter_mut().zip(*form) {
            *to = *from;
        }
        rest = tail;
    }
    Some(bytes)
}

/// A jump at `from` to `to`.
fn jump(from: u64, to: u64) -> Option<Bytes> {
    // CAST: The sign is part of it.
    let distance = to.wrapping_sub(from.wrapping_add(JUMP as u64)) as i64;
    let [a, b, c, d] = i32::try_from(distance).ok()?.to_le_bytes();
    Bytes::new(&[0xe9, a, b, c, d])
}

/// The fields of a record, as they stand there.
struct Record {
    name: u64,
    new_addr: u64,
    old_addr: u64,
    new_size: u32,
    old_size: u32,
    version: u8,
    reserved: bool,
    expect: [u8; 32],
}

fn record(raw: &[u8]) -> Option<Record> {
    let u64_at = |at: usize| Some(u64::from_le_bytes(*raw.get(at..)?.first_chunk()?));
    let u32_at = |at: usize| Some(u32::from_le_bytes(*raw.get(at..)?.first_chunk()?));
    Some(Record {
        name: u64_at(0)?,
        new_addr: u64_at(8)?,
        old_addr: u64_at(16)?,
        new_size: u32_at(24)?,
        old_size: u32_at(28)?,
        version: *raw.get(32)?,
        reserved: raw.get(33..72)?.iter().any(|&byte| byte != 0),
        expect: *raw.get(72..)?.first_chunk()?,
    })
}

/// Reads all records.
///
/// # Errors
///
/// As Xen's, and `EOPNOTSUPP` for a function that may not be patched.
pub(crate) fn all<H: Host>(raw: &[u8], images: &Images, code: u32, host: &H) -> Result<KVec<Func>> {
    if raw.len() % RECORD != 0 || raw.len() / RECORD > FUNCS_MAX {
        return Err(Refusal::new(EINVAL, "is no table of functions"));
    }
    let mut funcs =
        KVec::with_capacity(raw.len() / RECORD, GFP_KERNEL).map_err(super::load::no_memory)?;
    for raw in raw.chunks_exact(RECORD) {
        let func = one(raw, images, code, host)?;
        let overlaps = |other: &Func| {
            let (a, b) = (func.site(), other.site());
            a < b.saturating_add(other.patch.len() as u64)
                && b < a.saturating_add(func.patch.len() as u64)
        };
        if funcs.iter().any(overlaps) {
            return Err(Refusal::new(EINVAL, "is patched twice").of(&func.name));
        }
        funcs
            .push(func, GFP_KERNEL)
            .map_err(super::load::no_memory)?;
    }
    Ok(funcs)
}

fn one<H: Host>(raw: &[u8], images: &Images, code: u32, host: &H) -> Result<Func> {
    let record = record(raw).ok_or(Refusal::new(EINVAL, "is no table of functions"))?;
    let name = match record.name {
        0 => &[],
        addr => images
            .string(addr)
            .ok_or(Refusal::new(EINVAL, "has a function without a name"))?,
    };
    check(&record, name, images, code, host).map_err(|refusal| refusal.of(name))
}

/// How many bytes at the beginning of a function must stay: an ENDBR64, because the function may be called through a
/// pointer, and the place behind it that the kernel's function tracer writes to.
fn prologue<H: Host>(old: u64, old_size: u32, host: &H) -> usize {
    let begins_with = |at: usize, bytes: &[u8]| {
        let mut head = [0; ENDBR.len() + TRACED.len()];
        let Some(head) = head.get_mut(..bytes.len()) else {
            return false;
        };
        // Something must follow what stays. CAST: Widens.
        old_size as usize > at + bytes.len()
            && host.read_text(old.wrapping_add(at as u64), head)
            && head == bytes
    };
    let mut skip = 0;
    if begins_with(0, &ENDBR) || begins_with(0, &SEALED) {
        skip = ENDBR.len();
    }
    if begins_with(skip, &TRACED) {
        skip += TRACED.len();
    }
    skip
}

fn check<H: Host>(
    record: &Record,
    name: &[u8],
    images: &Images,
    code: u32,
    host: &H,
) -> Result<Func> {
    let invalid = |why| Refusal::new(EINVAL, why);
    if record.version != PAYLOAD_VERSION {
        let why = "is a record of another version";
        return Err(Refusal::new(EOPNOTSUPP, why).with(record.version.into()));
    }
    if record.old_size == 0 {
        return Err(invalid("has no size"));
    }
    if record.reserved {
        return Err(invalid("has something where nothing is defined"));
    }
    let new = (record.new_addr != 0).then_some(record.new_addr);
    // CAST: Only what is compared with `PATCH_MAX` before it is used as a length.
    let new_size = record.new_size as usize;
    if new.is_none() && new_size > PATCH_MAX {
        return Err(Refusal::new(EOPNOTSUPP, "has too much to make no-ops of"));
    }
    let old = match record.old_addr {
        0 => host
            .symbol(name)
            .filter(|_| !name.is_empty())
            .map(|found| found.addr)
            .ok_or(Refusal::new(
                ENOENT,
                "is a function that the hypervisor does not have",
            ))?,
        addr => addr,
    };
    host.check_function(old, record.old_size)?;

    let skip = prologue(old, record.old_size, host);
    let needed = skip.saturating_add(if new.is_some() { JUMP } else { new_size });
    if (record.old_size as usize) < needed {
        return Err(invalid("is too small"));
    }
    let site = old.wrapping_add(skip as u64);
    let patch = match new {
        None => no_ops(new_size).ok_or(invalid("has too much to make no-ops of"))?,
        Some(new) => {
            let text = &images.text;
            let own = new.checked_sub(text.base).is_some_and(|at| {
                at.checked_add(record.new_size.into())
                    .is_some_and(|end| at < code.into() && end <= code.into())
            });
            if !own {
                return Err(invalid("is replaced by what is no code of the payload"));
            }
            let why = "is too far from what replaces it";
            jump(site, new).ok_or(Refusal::new(EOVERFLOW, why))?
        }
    };
    if host.has_site(site, patch.len()) {
        let why = "begins with what the kernel changes by itself: a static branch or call, tracing";
        return Err(Refusal::new(EOPNOTSUPP, why));
    }
    let mut kept = KVec::new();
    kept.extend_from_slice(name, GFP_KERNEL)
        .map_err(super::load::no_memory)?;
    Ok(Func {
        name: kept,
        old,
        #[cfg(any(test, fuzzing))]
        old_size: record.old_size,
        new,
        // CAST: At most 9.
        skip: skip as u8,
        patch,
        expect: expectation(record)?,
        saved: None,
    })
}

fn expectation(record: &Record) -> Result<Option<Bytes>> {
    let [bits, data @ ..] = record.expect;
    let (enabled, len, reserved) = (bits & 1 != 0, usize::from(bits >> 1 & 31), bits >> 6);
    if !enabled {
        return Ok(None);
    }
    if reserved != 0 {
        return Err(Refusal::new(
            EINVAL,
            "has something where nothing is defined",
        ));
    }
    if (record.old_size as usize) < len {
        return Err(Refusal::new(
            ERANGE,
            "is smaller than what is expected of it",
        ));
    }
    let expect = data.get(..len).and_then(Bytes::new);
    let why = "expects more than can be patched";
    Ok(Some(expect.ok_or(Refusal::new(EOVERFLOW, why))?))
}

#[cfg(test)]
mod tests;
