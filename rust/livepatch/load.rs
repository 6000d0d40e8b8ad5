// SPDX-License-Identifier: GPL-2.0-only

//! Loading a payload, step by step.

use super::elf::{
    Object,
    Section, //
};
use super::func;
use super::image::Images;
use super::layout::{
    name,
    Layout,
    Place, //
};
use super::note::{
    self,
    Id, //
};
use super::payload::{
    Hook,
    Hooks,
    NewSymbol,
    Payload, //
};
use super::refusal::{
    Refusal,
    Result, //
};
use super::relocate::{
    self,
    Return, //
};
use super::resolve::{
    Found,
    Value,
    Values, //
};
use crate::abi::errno::{
    EEXIST,
    EINVAL,
    ENODATA,
    ENOMEM, //
};
use crate::sys::alloc::{
    AllocError,
    KVec,
    GFP_KERNEL, //
};

/// Bytes that a payload has at most (`LIVEPATCH_MAX_SIZE`).
pub(crate) const PAYLOAD_MAX: usize = 2 << 20;
/// Bytes that it may say of itself.
const METADATA_MAX: usize = 64 << 10;
/// Hooks of one kind that it may have.
const HOOKS_MAX: usize = 256;

/// The running hypervisor, as far as the loader has to know it.
pub(crate) trait Host {
    /// Memory for a payload, which it gives back when it is dropped.
    type Space: Space;

    /// The identity of the running build, if it has one.
    fn build_id(&self) -> Option<Id>;
    /// Whether a payload with this identity is loaded.
    fn is_loaded(&self, id: &Id) -> bool;
    /// Finds what a name stands for, in the hypervisor, in loaded payloads, in the kernel.
    fn symbol(&self, name: &[u8]) -> Option<Found>;
    /// Checks that bytes from `addr` on are of one function, and that it may be patched.
    fn check_function(&self, addr: u64, size: u32) -> Result;
    /// Whether the kernel writes to some of these bytes by itself: for static branches, for static calls, to trace.
    fn has_site(&self, addr: u64, len: usize) -> bool;
    /// Whether a pointer may be made to a function; not all are prepared for that on processors that check it.
    fn may_be_pointed_to(&self, addr: u64) -> bool;
    /// Reads the hypervisor's code. Returns whether there is so much.
    fn read_text(&self, addr: u64, into: &mut [u8]) -> bool;
    /// How functions return on this machine.
    fn returns(&self) -> Return;
    /// Sets memory aside.
    fn allocate(&self, text: u32, data: u32) -> crate::abi::errno::Result<Self::Space>;
}

/// Memory for a payload.
pub(crate) trait Space {
    /// Where code and constants will be; a multiple of [`super::elf::ALIGN_MAX`].
    fn text(&self) -> u64;
    /// Where variables will be; a multiple of it, too.
    fn data(&self) -> u64;
}

/// What a failed allocation is for a tool.
pub(crate) fn no_memory(_: AllocError) -> Refusal {
    Refusal::new(ENOMEM, "there is too little memory for it")
}

/// Loads a payload: everything but writing the images to where they belong.
///
/// # Errors
///
/// Xen's error numbers, with a reason that a person can read. Nothing is left behind.
pub(crate) fn load<H: Host>(bytes: &[u8], host: &H) -> Result<(Payload<H::Space>, Images)> {
    let mut object = Object::open(bytes)?;
    // Before anything else is looked at: a payload for another build is not to be understood by this one (L-3).
    check_host(&object, host)?;
    object.check()?;
    let depends = note::build_id(&mandatory(&object, name::DEPENDS)?)?;
    let id = note::build_id(&mandatory(&object, name::BUILD_ID)?)?;
    if host.is_loaded(&id) {
        return Err(Refusal::new(
            EEXIST,
            "has the build-id of a payload that is loaded",
        ));
    }
    check_patching(&object)?;

    let layout = Layout::new(&object)?;
    let space = host
        .allocate(layout.text, layout.data)
        .map_err(|errno| Refusal::new(errno, "there is no room for it in the arena"))?;
    let mut images = Images::new(&object, &layout, space.text(), space.data())?;
    let values = Values::new(&object, &layout, &images, host)?;
    relocate::all(&object, &layout, &mut images, &values, host)?;

    let read = Read {
        object: &object,
        layout: &layout,
        images: &images,
    };
    let funcs = match read.contents(name::FUNCS)? {
        None => KVec::new(),
        Some(raw) => func::all(raw, &images, layout.code, host).map_err(|r| r.of(name::FUNCS))?,
    };
    let hooks = read.hooks()?;
    let metadata = read.metadata()?;
    let symbols = new_symbols(&object, &values, &funcs, host)?;
    let payload = Payload {
        id,
        depends,
        funcs,
        hooks,
        metadata,
        symbols,
        reapply: layout.data == 0,
        code: layout.code,
        sizes: (layout.text, layout.data),
        space,
    };
    Ok((payload, images))
}

/// Checks that a payload is for the running build.
fn check_host<H: Host>(object: &Object<'_>, host: &H) -> Result {
    let wanted = note::build_id(&mandatory(object, name::XEN_DEPENDS)?)?;
    let running = host
        .build_id()
        .ok_or(Refusal::new(ENODATA, "the hypervisor has no build-id"))?;
    if wanted != running {
        return Err(Refusal::new(
            EINVAL,
            "is for another build of the hypervisor",
        ));
    }
    Ok(())
}

/// A section that must be there, once, with something in it.
fn mandatory<'a>(object: &Object<'a>, name: &[u8]) -> Result<Section<'a>> {
    let section = object
        .by_name(name)?
        .ok_or(Refusal::new(EINVAL, "is missing").of(name))?;
    if section.data.is_empty() {
        return Err(Refusal::new(EINVAL, "is empty").of(name));
    }
    Ok(section)
}

/// Checks that there is something to do, and that what says so is not empty.
fn check_patching(object: &Object<'_>) -> Result {
    let mut any = false;
    for name in name::PATCHING {
        if object.by_name(name)?.is_some() {
            mandatory(object, name)?;
            any = true;
        }
    }
    if any {
        Ok(())
    } else {
        Err(Refusal::new(EINVAL, "has nothing to do"))
    }
}

/// What describes a payload, relocated.
struct Read<'a> {
    object: &'a Object<'a>,
    layout: &'a Layout,
    images: &'a Images,
}

impl Read<'_> {
    /// The contents of a section, if there is one of that name.
    fn contents(&self, name: &[u8]) -> Result<Option<&[u8]>> {
        let Some(section) = self.object.by_name(name)? else {
            return Ok(None);
        };
        let Place::At(region, offset) = self.layout.place(section.index) else {
            return Err(Refusal::new(EINVAL, "is not loaded").of(name));
        };
        self.images
            .region(region)
            .slice(offset.into(), section.data.len())
            .map(Some)
            .ok_or(Refusal::new(EINVAL, "is not loaded").of(name))
    }

    /// Pointers to the payload's code; `None` for one that leads nowhere.
    fn pointers(&self, name: &[u8]) -> Result<KVec<Option<Hook>>> {
        let invalid = |why| Refusal::new(EINVAL, why).of(name);
        let mut pointers = KVec::new();
        let Some(raw) = self.contents(name)? else {
            return Ok(pointers);
        };
        if raw.len() % 8 != 0 || raw.len() / 8 > HOOKS_MAX {
            return Err(invalid("is no table of functions"));
        }
        for raw in raw.chunks_exact(8) {
            let addr = raw.first_chunk().map_or(0, |raw| u64::from_le_bytes(*raw));
            let own = addr
                .checked_sub(self.images.text.base)
                .is_some_and(|at| at < self.layout.code.into());
            if !own && addr != 0 {
                return Err(invalid("is a hook that is no code of the payload"));
            }
            // INVARIANT: Just checked.
            let hook = (addr != 0).then_some(Hook::new(addr));
            pointers.push(hook, GFP_KERNEL).map_err(no_memory)?;
        }
        Ok(pointers)
    }

    /// Functions to call one after the other.
    fn several(&self, name: &[u8]) -> Result<KVec<Hook>> {
        let mut hooks = KVec::new();
        for hook in self.pointers(name)?.iter() {
            let hook = hook.ok_or(Refusal::new(EINVAL, "is a hook without a function").of(name))?;
            hooks.push(hook, GFP_KERNEL).map_err(no_memory)?;
        }
        Ok(hooks)
    }

    /// A function to call, if there is one.
    fn single(&self, name: &[u8]) -> Result<Option<Hook>> {
        match *self.pointers(name)? {
            [] => Ok(None),
            [hook] => Ok(hook),
            _ => Err(Refusal::new(EINVAL, "is not exactly one hook").of(name)),
        }
    }

    fn hooks(&self) -> Result<Hooks> {
        Ok(Hooks {
            load: self.several(name::LOAD)?,
            unload: self.several(name::UNLOAD)?,
            pre_apply: self.single(name::PREAPPLY)?,
            apply: self.single(name::APPLY)?,
            post_apply: self.single(name::POSTAPPLY)?,
            pre_revert: self.single(name::PREREVERT)?,
            revert: self.single(name::REVERT)?,
            post_revert: self.single(name::POSTREVERT)?,
        })
    }

    fn metadata(&self) -> Result<KVec<u8>> {
        let raw = self.contents(name::MODINFO)?.unwrap_or(&[]);
        let invalid = |why| Refusal::new(EINVAL, why).of(name::MODINFO);
        if raw.len() > METADATA_MAX {
            return Err(invalid("is too much"));
        }
        if raw.last().is_some_and(|&byte| byte != 0) {
            return Err(invalid("does not end with a zero"));
        }
        let mut metadata = KVec::new();
        metadata
            .extend_from_slice(raw, GFP_KERNEL)
            .map_err(no_memory)?;
        Ok(metadata)
    }
}

/// The symbols that a payload adds to what there is: those that others can see and that replace nothing.
fn new_symbols<H: Host>(
    object: &Object<'_>,
    values: &Values,
    funcs: &[func::Func],
    host: &H,
) -> Result<KVec<NewSymbol>> {
    let mut symbols = KVec::new();
    for number in 1..object.symbol_count() {
        let Some(symbol) = object.symbol(number) else {
            continue;
        };
        let Value::Own(addr) = values.get(number)? else {
            continue;
        };
        let replaces = funcs.iter().any(|func| func.new == Some(addr));
        if !symbol.is_global() || symbol.name.is_empty() || replaces {
            continue;
        }
        if host.symbol(symbol.name).is_some() {
            return Err(
                Refusal::new(EEXIST, "is a new symbol that there is already").of(symbol.name),
            );
        }
        let mut name = KVec::new();
        name.extend_from_slice(symbol.name, GFP_KERNEL)
            .map_err(no_memory)?;
        let func = symbol.what() == super::elf::What::Func;
        symbols
            .push(NewSymbol { name, addr, func }, GFP_KERNEL)
            .map_err(no_memory)?;
    }
    Ok(symbols)
}

#[cfg(test)]
mod tests;
