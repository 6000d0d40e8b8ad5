// SPDX-License-Identifier: GPL-2.0-only

//! `XEN_SYSCTL_livepatch_op`.

use super::Call;
use crate::abi::errno::{
    Result,
    E2BIG,
    EBUSY,
    EFAULT,
    EINVAL,
    EOPNOTSUPP, //
};
use crate::abi::layout;
use crate::abi::sysctl::livepatch as abi;
use crate::hypercall::caller::Handle;
use crate::livepatch::engine::{
    Engine,
    LIVEPATCH, //
};
use crate::livepatch::load::PAYLOAD_MAX;
use crate::livepatch::refusal::Refusal;
use crate::livepatch::state::{
    Described,
    Name, //
};
use crate::sys::alloc::{
    KVVec,
    GFP_KERNEL, //
};

/// Payloads that one call lists at most, as in Xen.
const LIST_MAX: u32 = 1024;

/// Performs the operation.
///
/// # Errors
///
/// Xen's numbers, with reasons in the log.
pub(super) fn livepatch(call: &mut Call<'_>) -> Result {
    let mut op: abi::LivepatchOp = call.payload()?;
    let force = op.flags & abi::FLAG_FORCE != 0;
    if op.flags & !abi::FLAGS_MASK != 0 && !force {
        return Err(EINVAL);
    }
    let engine = LIVEPATCH.get().ok_or(EOPNOTSUPP)?;
    match op.cmd {
        abi::UPLOAD => upload(call, engine, part(&op)?),
        abi::GET => {
            let mut get: abi::Get = part(&op)?;
            let (state, rc) = engine.status(&name(call, &get.name)?)?;
            get.status = abi::Status {
                // CAST: The enumeration is of that width.
                state: state as u32,
                rc,
            };
            layout::set_payload(&mut op.u, &get).ok_or(EINVAL)?;
            call.answer(&op)
        }
        abi::LIST => {
            let mut list: abi::List = part(&op)?;
            let count = list_payloads(call, engine, &mut list)?;
            layout::set_payload(&mut op.u, &list).ok_or(EINVAL)?;
            call.result = count.into();
            call.answer(&op)
        }
        abi::ACTION => act(call, engine, part(&op)?),
        _ => Err(EOPNOTSUPP),
    }
}

/// What the command is about.
fn part<T: zerocopy::FromBytes>(op: &abi::LivepatchOp) -> Result<T> {
    layout::payload(&op.u).ok_or(EINVAL)
}

/// Reads a name.
fn name(call: &Call<'_>, name: &abi::Name) -> Result<Name> {
    if name.size == 0 || name.size > abi::NAME_SIZE || name.pad != [0; 3] {
        return Err(EINVAL);
    }
    let mut bytes = [0; abi::NAME_SIZE as usize];
    let bytes = bytes.get_mut(..name.size.into()).ok_or(EINVAL)?;
    call.caller.copy_in(name.name, bytes)?;
    Name::parse(bytes)
}

/// Says why.
fn refuse(call: &Call<'_>, refusal: &Refusal) -> crate::abi::errno::Errno {
    call.refuse(refusal.errno, format_args!("{refusal}"))
}

fn upload(call: &Call<'_>, engine: &Engine, ask: abi::Upload) -> Result {
    // As in Xen, whatever is wrong with the name.
    let name = name(call, &ask.name).map_err(|_| EINVAL)?;
    let size = usize::try_from(ask.size)
        .ok()
        .filter(|size| (1..=PAYLOAD_MAX).contains(size))
        .ok_or_else(|| {
            let why = "a payload has from 1 byte to 2 MiB";
            call.refuse(EINVAL, format_args!("{why}"))
        })?;
    let mut file = KVVec::new();
    file.resize(size, 0, GFP_KERNEL)?;
    call.caller.copy_in(ask.payload, &mut file)?;
    engine
        .upload(name, &file)
        .map_err(|refusal| refuse(call, &refusal))
}

fn act(call: &Call<'_>, engine: &Engine, ask: abi::Action) -> Result {
    if ask.pad != 0 {
        return Err(EINVAL);
    }
    let name = name(call, &ask.name)?;
    engine
        .act(&name, ask.cmd, ask.flags, ask.timeout)
        .map_err(|refusal| refuse(call, &refusal))
}

/// What a call of `LIST` writes, collected before anything is written: memory of the tool may be slow.
struct Listing {
    statuses: KVVec<abi::Status>,
    names: KVVec<u8>,
    name_lens: KVVec<u32>,
    metadata: KVVec<u8>,
    metadata_lens: KVVec<u32>,
}

impl Listing {
    fn new() -> Self {
        Self {
            statuses: KVVec::new(),
            names: KVVec::new(),
            name_lens: KVVec::new(),
            metadata: KVVec::new(),
            metadata_lens: KVVec::new(),
        }
    }

    fn add(&mut self, status: abi::Status, name: &[u8], metadata: &[u8]) -> Result {
        self.statuses.push(status, GFP_KERNEL)?;
        self.names.extend_from_slice(name, GFP_KERNEL)?;
        // CAST: Both are bounded when a payload is loaded.
        self.name_lens.push(name.len() as u32, GFP_KERNEL)?;
        self.metadata.extend_from_slice(metadata, GFP_KERNEL)?;
        self.metadata_lens.push(metadata.len() as u32, GFP_KERNEL)?;
        Ok(())
    }

    fn write(&self, call: &Call<'_>, list: &abi::List) -> Result {
        fn array<T: zerocopy::IntoBytes + zerocopy::Immutable>(
            call: &Call<'_>,
            at: u64,
            values: &[T],
        ) -> Result {
            for (index, value) in values.iter().enumerate() {
                Handle::<T>::new(at)
                    .at(index as u64)?
                    .write(call.caller, value)?;
            }
            Ok(())
        }
        array(call, list.status, &self.statuses)?;
        call.caller.copy_out(list.name, &self.names)?;
        array(call, list.len, &self.name_lens)?;
        if !self.metadata.is_empty() {
            call.caller.copy_out(list.metadata, &self.metadata)?;
        }
        array(call, list.metadata_len, &self.metadata_lens)
    }
}

/// Lists payloads; returns how many. With `nr` 0, says how much there is.
///
/// The structure of this interface version does not say how large the tool's buffers are (Xen 4.21's does). A tool asks
/// how much there is and makes them so large: no more is written than its descriptor was told last, whatever was loaded
/// meanwhile, and nothing if it was never told (L-13).
fn list_payloads(call: &Call<'_>, engine: &Engine, list: &mut abi::List) -> Result<u32> {
    if list.nr > LIST_MAX {
        return Err(E2BIG);
    }
    if list.pad != 0 {
        return Err(EINVAL);
    }
    let session = call.caller.session;
    let told = session.and_then(|session| session.told());
    let (room_names, room_metadata) = told.unwrap_or((0, 0));
    let mut listing = Listing::new();
    let (first, wanted) = (list.idx as usize, list.nr as usize);
    engine.with_list(|registry| {
        let total = registry.entries().len();
        if first >= total && total != 0 {
            return Err(EINVAL);
        }
        // Behind what it got of another list there may be less room than the sizes say.
        if wanted != 0 && first != 0 && session.is_some_and(|s| !s.told_of(registry.version())) {
            return Err(EBUSY);
        }
        let mut names = 0u64;
        let mut metadata = 0u64;
        let mut listed = 0;
        let range = if wanted == 0 {
            0..total
        } else {
            0..first.saturating_add(wanted).min(total)
        };
        for (index, entry) in registry.entries().enumerate().take(range.end) {
            names += entry.name.with_nul().len() as u64;
            metadata += entry.payload.metadata().len() as u64;
            if wanted == 0 || index < first {
                continue;
            }
            if names > room_names.into() || metadata > room_metadata.into() {
                if listed == 0 {
                    return Err(EBUSY);
                }
                break;
            }
            let status = abi::Status {
                // CAST: The enumeration is of that width.
                state: entry.state as u32,
                rc: entry.rc,
            };
            listing.add(status, entry.name.with_nul(), entry.payload.metadata())?;
            listed += 1;
        }
        if wanted != 0 {
            // What is told then is what was written.
            names = listing.names.len() as u64;
            metadata = listing.metadata.len() as u64;
        }
        list.name_total_size = u32::try_from(names).map_err(|_| E2BIG)?;
        list.metadata_total_size = u32::try_from(metadata).map_err(|_| E2BIG)?;
        let left = total.saturating_sub(first).saturating_sub(listed);
        // CAST: There are far fewer payloads.
        list.nr = if wanted == 0 { total } else { left } as u32;
        list.version = registry.version();
        Ok(())
    })?;
    if wanted == 0 {
        if let Some(session) = session {
            session.tell(list.name_total_size, list.metadata_total_size, list.version);
        }
        return Ok(0);
    }
    listing.write(call, list).map_err(|_| EFAULT)?;
    // CAST: At most `LIST_MAX`.
    Ok(listing.statuses.len() as u32)
}
