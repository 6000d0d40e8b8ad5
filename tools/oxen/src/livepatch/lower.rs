// SPDX-License-Identifier: GPL-2.0-only

//! A payload that another goes on top of: who it is, and what it replaces.

use std::path::Path;

use object::elf;
use object::read::elf::ElfFile64;
use object::{
    Object as _,
    ObjectSection as _,
    ObjectSymbol as _,
    RelocationFlags,
    RelocationTarget, //
};

use super::module::{
    build_id,
    read,
    Module, //
};
use super::names::shown;
use super::select::Selection;
use super::write::RECORD;
use crate::error::{
    Error,
    Result, //
};

/// A payload.
#[derive(Debug)]
pub(crate) struct Lower {
    /// The build-id.
    pub(crate) id: Vec<u8>,
    /// Functions that it replaces.
    functions: Vec<String>,
}

impl Lower {
    /// Reads a payload's file.
    ///
    /// # Errors
    ///
    /// Fails if it is none.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        read(path, Self::parse, || {
            Error::text("this is no payload: it has no build-id, or functions without names")
        })
    }

    fn parse(bytes: &[u8]) -> std::result::Result<Option<Self>, object::Error> {
        let file = ElfFile64::<object::LittleEndian>::parse(bytes)?;
        let Some(note) = file.section_by_name(".note.gnu.build-id") else {
            return Ok(None);
        };
        let Some(id) = build_id(note.data()?).filter(|id| !id.is_empty()) else {
            return Ok(None);
        };
        let mut this = Self {
            id: id.to_vec(),
            functions: Vec::new(),
        };
        // A payload may have nothing but hooks.
        let Some(funcs) = file.section_by_name(".livepatch.funcs") else {
            return Ok(Some(this));
        };
        let record = RECORD as u64;
        for (at, relocation) in funcs.relocations() {
            // The name comes first in a record.
            if at % record != 0 {
                continue;
            }
            match name_of(&file, &relocation)? {
                Some(name) => this.functions.push(name),
                None => return Ok(None),
            }
        }
        let all = this.functions.len() as u64 == funcs.size() / record;
        Ok(all.then_some(this))
    }

    /// Enters what of a selection this payload replaces too: the one on top would put its changes back.
    pub(crate) fn check(&self, module: &Module, selection: &mut Selection) {
        let place = |name: &str| module.one(name).map(|one| (one.section, one.address));
        for one in &selection.replaced {
            let is_it = |other: &String| {
                *other == one.name || place(other).is_some_and(|at| place(&one.name) == Some(at))
            };
            if self.functions.iter().any(is_it) {
                selection.refusals.insert(format!(
                    "{}: is replaced by the payload below too, whose change of it would be lost \
                     (without --on a payload of both changes can take its place: \
                     `oxen livepatch replace`)",
                    shown(&one.name)
                ));
            }
        }
    }
}

/// The text that a reference is to.
fn name_of(
    file: &ElfFile64<'_, object::LittleEndian>,
    relocation: &object::Relocation,
) -> std::result::Result<Option<String>, object::Error> {
    let (RelocationFlags::Elf { r_type }, RelocationTarget::Symbol(symbol)) =
        (relocation.flags(), relocation.target())
    else {
        return Ok(None);
    };
    let symbol = file.symbol_by_index(symbol)?;
    let Some(section) = symbol.section_index() else {
        return Ok(None);
    };
    let at = symbol.address().checked_add_signed(relocation.addend());
    let at = at.and_then(|at| usize::try_from(at).ok());
    let data = file.section_by_index(section)?.data()?;
    let text = at.and_then(|at| data.get(at..));
    let text = text.and_then(|text| text.split(|byte| *byte == 0).next());
    Ok(text
        .filter(|text| r_type == elf::R_X86_64_64 && !text.is_empty())
        .map(|text| String::from_utf8_lossy(text).into_owned()))
}
