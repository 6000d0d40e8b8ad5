// SPDX-License-Identifier: GPL-2.0-only

//! Where the sections of a payload go: into the text arena (code and constants, which nobody can write), into the
//! data arena, or nowhere.
//!
//! What only describes the payload (`.livepatch.*`, notes, `.modinfo`) is relocated in a place of its own and read
//! there; the running code cannot refer to it.

use super::elf::{
    flag,
    kind,
    Object,
    Section, //
};
use super::refusal::{
    Refusal,
    Result, //
};
use crate::abi::errno::{
    EINVAL,
    EOPNOTSUPP, //
};
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL, //
};

/// Bytes that all sections of one kind may have together.
const REGION_MAX: u64 = 2 << 20;

/// The three places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Region {
    /// Code and constants.
    Text,
    /// Variables.
    Data,
    /// What describes the payload.
    Notes,
}

/// Where a section goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// There, at this offset.
    At(Region, u32),
    /// Nowhere.
    Nowhere,
}

/// Where all sections go, and how much there is.
pub(crate) struct Layout {
    places: KVec<Place>,
    /// Bytes of code, at the start of [`Region::Text`].
    pub(crate) code: u32,
    /// Bytes of code and constants.
    pub(crate) text: u32,
    /// Bytes of variables.
    pub(crate) data: u32,
    /// Bytes of description.
    pub(crate) notes: u32,
}

/// Tables that the compiler makes and that nothing of ours needs: unwinding, tracing of functions, and lists of
/// places that the kernel may, but need not, improve.
const UNNEEDED: &[&[u8]] = &[
    b".orc_unwind",
    b".orc_unwind_ip",
    b".orc_header",
    b".eh_frame",
    b"__mcount_loc",
    b"__patchable_function_entries",
    b".return_sites",
    b".retpoline_sites",
    b".call_sites",
    b".static_call_sites",
    b".ibt_endbr_seal",
    b".smp_locks",
];

/// What begins so is dropped as well.
const UNNEEDED_PREFIX: &[&[u8]] = &[b".discard"];

/// What begins so asks for something that is not done for payloads: to run without it would be wrong.
const NOT_DONE: &[(&[u8], &str)] = &[
    (b".altinstr", "wants alternative instructions"),
    (b".alt_call_sites", "wants alternative calls"),
    (b"__ex_table", "wants exceptions handled"),
    (b".ex_table", "wants exceptions handled"),
    (b"__jump_table", "wants static keys"),
    (b"__bug_table", "wants its traps known"),
    (b".bug_frames", "wants its traps known"),
    (b".kcfi_traps", "wants its traps known"),
    (b"__kcfi_traps", "wants its traps known"),
    (b".static_call.text", "wants static calls of its own"),
    (b".parainstructions", "wants paravirtual calls"),
    (b"__tracepoint", "wants tracepoints of its own"),
    (b"_ftrace_events", "wants tracepoints of its own"),
    (b"__ksymtab", "wants to export symbols"),
    (b"__param", "wants module parameters"),
    (b".data..percpu", "wants per-processor variables"),
    (b".init", "is for the start of a module"),
    (b".exit", "is for the end of a module"),
    (b".gnu.linkonce.this_module", "is for a module"),
    (b".ctors", "wants constructors"),
    (b".livepatch.hooks.", "is a hook of an unknown kind"),
];

/// What describes a payload.
pub(crate) mod name {
    /// The functions to replace.
    pub(crate) const FUNCS: &[u8] = b".livepatch.funcs";
    /// The hypervisor that it is for.
    pub(crate) const XEN_DEPENDS: &[u8] = b".livepatch.xen_depends";
    /// What must have been applied last.
    pub(crate) const DEPENDS: &[u8] = b".livepatch.depends";
    /// Who it is.
    pub(crate) const BUILD_ID: &[u8] = b".note.gnu.build-id";
    /// What it says of itself.
    pub(crate) const MODINFO: &[u8] = b".modinfo";
    /// Called when it is applied, while nothing runs.
    pub(crate) const LOAD: &[u8] = b".livepatch.hooks.load";
    /// Called when it is reverted, while nothing runs.
    pub(crate) const UNLOAD: &[u8] = b".livepatch.hooks.unload";
    /// Called before it is applied; may refuse.
    pub(crate) const PREAPPLY: &[u8] = b".livepatch.hooks.preapply";
    /// Called in place of the replacing.
    pub(crate) const APPLY: &[u8] = b".livepatch.hooks.apply";
    /// Called after it was applied, or not.
    pub(crate) const POSTAPPLY: &[u8] = b".livepatch.hooks.postapply";
    /// Called before it is reverted; may refuse.
    pub(crate) const PREREVERT: &[u8] = b".livepatch.hooks.prerevert";
    /// Called in place of the restoring.
    pub(crate) const REVERT: &[u8] = b".livepatch.hooks.revert";
    /// Called after it was reverted, or not.
    pub(crate) const POSTREVERT: &[u8] = b".livepatch.hooks.postrevert";

    /// At least one of these must be there.
    pub(crate) const PATCHING: [&[u8]; 9] = [
        FUNCS, LOAD, UNLOAD, PREAPPLY, APPLY, POSTAPPLY, PREREVERT, REVERT, POSTREVERT,
    ];
}

/// Whether a section describes the payload.
fn describes(section: &Section<'_>) -> bool {
    section.kind == kind::NOTE
        || section.name == name::MODINFO
        || section.name == name::XEN_DEPENDS
        || section.name == name::DEPENDS
        || name::PATCHING.contains(&section.name)
}

/// Which region a section belongs to; code comes with `true`.
fn region(section: &Section<'_>) -> Result<Option<(Region, bool)>> {
    let unneeded = UNNEEDED.contains(&section.name)
        || UNNEEDED_PREFIX
            .iter()
            .any(|prefix| section.name.starts_with(prefix));
    if !section.is_alloc() || unneeded {
        return Ok(None);
    }
    if describes(section) {
        return Ok(Some((Region::Notes, false)));
    }
    let refuse = |why| Refusal::new(EOPNOTSUPP, why).of(section.name);
    let not_done = NOT_DONE
        .iter()
        .find(|(prefix, _)| section.name.starts_with(prefix));
    match not_done {
        Some(_) if section.size == 0 => return Ok(None),
        Some((_, why)) => return Err(refuse(why)),
        None => {}
    }
    if section.flags & (flag::TLS | flag::COMPRESSED) != 0 {
        return Err(refuse("is of an unsupported kind"));
    }
    match section.rights() {
        (true, true) => Err(refuse("is both writable and executable")),
        (false, true) if section.kind == kind::NOBITS => Err(refuse("is code without contents")),
        (false, true) => Ok(Some((Region::Text, true))),
        (false, false) => Ok(Some((Region::Text, false))),
        (true, false) => Ok(Some((Region::Data, false))),
    }
}

impl Layout {
    /// Decides where everything goes.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` for a section that wants what is not done, `EINVAL` if there is too much, `ENOMEM`.
    pub(crate) fn new(object: &Object<'_>) -> Result<Self> {
        let mut places = KVec::new();
        places
            .resize(object.section_count().into(), Place::Nowhere, GFP_KERNEL)
            .map_err(super::load::no_memory)?;
        let mut layout = Self {
            places,
            code: 0,
            text: 0,
            data: 0,
            notes: 0,
        };
        // All code first: what may be executed lies together.
        for code in [true, false] {
            for section in object.sections() {
                match region(&section)? {
                    Some((region, is_code)) if is_code == code => layout.put(&section, region)?,
                    _ => {}
                }
            }
            if code {
                layout.code = layout.text;
            }
        }
        Ok(layout)
    }

    fn put(&mut self, section: &Section<'_>, region: Region) -> Result {
        let end = match region {
            Region::Text => &mut self.text,
            Region::Data => &mut self.data,
            Region::Notes => &mut self.notes,
        };
        let too_large = || Refusal::new(EINVAL, "is too much").of(section.name);
        let at = u64::from(*end)
            .checked_next_multiple_of(section.align)
            .ok_or_else(too_large)?;
        let next = at
            .checked_add(section.size)
            .filter(|&next| next <= REGION_MAX)
            .ok_or_else(too_large)?;
        // CAST: At most `REGION_MAX`.
        *end = next as u32;
        if let Some(place) = self.places.get_mut(usize::from(section.index)) {
            *place = Place::At(region, at as u32);
        }
        Ok(())
    }

    /// Where a section goes.
    pub(crate) fn place(&self, section: u16) -> Place {
        self.places
            .get(usize::from(section))
            .copied()
            .unwrap_or(Place::Nowhere)
    }
}
