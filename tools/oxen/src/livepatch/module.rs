// SPDX-License-Identifier: GPL-2.0-only

//! The module that runs, from its file: who it is, what has a name in it, what of it may be patched.

use std::collections::{
    BTreeMap,
    BTreeSet,
    HashMap, //
};
use std::path::Path;

use object::elf;
use object::read::elf::ElfFile64;
use object::{
    Object as _,
    ObjectSection as _,
    ObjectSymbol as _,
    RelocationFlags,
    RelocationTarget,
    SymbolKind, //
};

use super::write::{
    JUMP,
    NO_OP, //
};
use crate::error::{
    Context,
    Error,
    Result, //
};

/// Something in the module that has a name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named {
    /// The section that it is in.
    pub(crate) section: usize,
    /// Where in that.
    pub(crate) address: u64,
    /// Bytes of it.
    pub(crate) size: u64,
    pub(crate) is_function: bool,
}

/// What a reference in the module is to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A place in a section.
    Here(usize, u64),
    /// What the kernel has under a name.
    Kernel(String),
}

/// A reference in the module.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// `R_X86_64_*`.
    pub(crate) kind: elf::RelocationType,
    pub(crate) place: Place,
    /// To be added to the address of that.
    pub(crate) addend: i64,
}

/// What the kernel makes of a place in code, while the module runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changes {
    /// A jump or a no-op: a static key.
    Key,
    /// A call of one function or another: a static call.
    Call,
    /// A call of the function tracer, or a no-op.
    Tracer,
}

/// A place in code that the kernel changes.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) changes: Changes,
    /// Bytes that may be others.
    pub(crate) len: u64,
    /// The key's name, or what is called.
    pub(crate) name: String,
}

/// Contents of a section, and what they refer to, by the place of the reference.
#[derive(Debug, Default)]
struct Section {
    bytes: Vec<u8>,
    is_text: bool,
    links: BTreeMap<u64, Link>,
}

/// A module's file.
#[derive(Debug, Default)]
pub(crate) struct Module {
    /// The build-id.
    pub(crate) id: Vec<u8>,
    names: HashMap<String, Vec<Named>>,
    /// What it takes from the kernel.
    imports: Vec<String>,
    /// Where the code is that may be patched.
    text: Vec<(usize, u64, u64)>,
    sections: HashMap<usize, Section>,
    /// Places in code that the kernel changes.
    sites: BTreeMap<(usize, u64), Vec<Site>>,
}

/// Where the code begins and ends that may be patched: names of `rust/livepatch`.
const BOUNDS: [(&str, &str); 2] = [
    ("oxen_text_begin", "oxen_text_end"),
    ("oxen_cold_begin", "oxen_cold_end"),
];

/// What a function begins with that may be called through a pointer (ENDBR64).
pub(crate) const ENDBR: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];

/// The kernel's tables of places in code that it changes: the table's name, what the places are, bytes of an entry, and
/// where in an entry its key is, if it has one. The place is first in it.
const SITES: [(&str, Changes, u64, Option<u64>); 3] = [
    ("__jump_table", Changes::Key, 16, Some(8)),
    (".static_call_sites", Changes::Call, 8, Some(4)),
    ("__mcount_loc", Changes::Tracer, 8, None),
];

/// The build-id in the contents of `.note.gnu.build-id`.
pub(crate) fn build_id(note: &[u8]) -> Option<&[u8]> {
    let len = u32::from_le_bytes(*note.get(4..)?.first_chunk()?);
    note.get(16..16 + usize::try_from(len).ok()?)
}

/// Reads a file, of which `parse` finds nothing if it is no such one: then `none` says why.
pub(super) fn read<T>(
    path: &Path,
    parse: impl FnOnce(&[u8]) -> std::result::Result<Option<T>, object::Error>,
    none: impl FnOnce() -> Error,
) -> Result<T> {
    let step = || format!("read {}", path.display());
    let bytes = std::fs::read(path).step(step())?;
    parse(&bytes)
        .map_err(|err| Error::text(err.to_string()).step(step()))?
        .ok_or_else(|| none().step(step()))
}

impl Module {
    /// Reads a module's file.
    ///
    /// # Errors
    ///
    /// Fails if it is none, or not one that can be patched.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        read(path, Self::parse, || {
            Error::text("this is no module that can be patched")
                .hint("it has no build-id, or is from before live patching")
        })
    }

    fn parse(bytes: &[u8]) -> std::result::Result<Option<Self>, object::Error> {
        let file = ElfFile64::<object::LittleEndian>::parse(bytes)?;
        let mut this = Self::default();
        if let Some(section) = file.section_by_name(".note.gnu.build-id") {
            this.id = build_id(section.data()?).unwrap_or_default().to_vec();
        }
        for section in file.sections() {
            this.read_section(&file, &section)?;
        }
        for symbol in file.symbols() {
            let name = symbol.name()?;
            let Some(section) = symbol.section_index() else {
                if symbol.is_undefined() && !name.is_empty() {
                    this.imports.push(name.to_string());
                }
                continue;
            };
            if name.is_empty() || symbol.kind() == SymbolKind::Section {
                continue;
            }
            this.names.entry(name.to_string()).or_default().push(Named {
                section: section.0,
                address: symbol.address(),
                size: symbol.size(),
                is_function: symbol.kind() == SymbolKind::Text,
            });
        }
        for section in file.sections() {
            this.read_sites(section.name()?, section.index().0);
        }
        for (begin, end) in BOUNDS {
            let (Some(begin), Some(end)) = (this.one(begin), this.one(end)) else {
                return Ok(None);
            };
            if begin.section != end.section {
                return Ok(None);
            }
            this.text.push((begin.section, begin.address, end.address));
        }
        Ok((!this.id.is_empty()).then_some(this))
    }

    /// What a name stands for, unless it stands for several things or for none.
    pub(crate) fn one(&self, name: &str) -> Option<Named> {
        match self.names.get(name).map(Vec::as_slice) {
            Some([one]) => Some(*one),
            _ => None,
        }
    }

    /// How many things a name stands for.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.names.get(name).map_or(0, Vec::len)
    }

    /// Whether the module takes this from the kernel.
    pub(crate) fn imports(&self, name: &str) -> bool {
        self.imports.iter().any(|import| import == name)
    }

    /// Whether a function is one that may be patched.
    pub(crate) fn may_patch(&self, named: Named) -> bool {
        named.is_function
            && self.text.iter().any(|&(section, from, to)| {
                named.section == section
                    && (from..to).contains(&named.address)
                    && named.address + named.size <= to
            })
    }

    /// All things that have this name.
    pub(crate) fn all(&self, name: &str) -> &[Named] {
        self.names.get(name).map_or(&[], Vec::as_slice)
    }

    /// Names of all functions.
    pub(crate) fn functions(&self) -> impl Iterator<Item = &str> {
        let is_function = |all: &[Named]| all.iter().any(|one| one.is_function);
        self.names
            .iter()
            .filter(move |(_, all)| is_function(all))
            .map(|(name, _)| name.as_str())
    }

    /// Names of the functions that begin where one does, in order.
    pub(crate) fn functions_at(&self, named: Named) -> impl Iterator<Item = &str> {
        let is_it = |all: &[Named]| {
            all.iter().any(|one| {
                one.is_function && (one.section, one.address) == (named.section, named.address)
            })
        };
        let all = self.names.iter().filter(move |(_, all)| is_it(all));
        let names: BTreeSet<_> = all.map(|(name, _)| name.as_str()).collect();
        names.into_iter()
    }

    /// Contents of a section; none for what begins as zeroes.
    pub(crate) fn bytes(&self, section: usize, at: u64, size: u64) -> Option<&[u8]> {
        let (at, size) = (usize::try_from(at).ok()?, usize::try_from(size).ok()?);
        let section = self.sections.get(&section)?;
        if section.bytes.is_empty() {
            return Some(&[]);
        }
        section.bytes.get(at..at.checked_add(size)?)
    }

    /// How many bytes a function begins with that stay when it is replaced: an ENDBR64, and the place behind it that
    /// function tracing uses.
    pub(crate) fn kept(&self, named: Named) -> u64 {
        let bytes = |at: u64, len: usize| {
            // Something must follow what stays.
            (named.size > at + len as u64)
                .then(|| self.bytes(named.section, named.address + at, len as u64))
                .flatten()
        };
        let mut kept = 0;
        if bytes(kept, ENDBR.len()) == Some(&ENDBR[..]) {
            kept += ENDBR.len() as u64;
        }
        let traced = self.sites(named.section, named.address + kept, 1);
        let is_traced = traced
            .iter()
            .any(|(_, site)| site.changes == Changes::Tracer);
        if bytes(kept, NO_OP.len()).is_some_and(|bytes| is_traced || bytes == NO_OP) {
            kept += NO_OP.len() as u64;
        }
        kept
    }

    /// Why a function cannot begin with a jump, if it cannot: it is too small, or the kernel changes the bytes.
    pub(crate) fn in_the_way(&self, named: Named) -> Option<String> {
        let from = self.kept(named);
        let to = from + JUMP as u64;
        if named.size < to {
            return Some("is too small for the jump that would lead to its replacement".into());
        }
        let sites = self.sites(named.section, named.address, to);
        let (at, site) = sites.iter().find(|(at, site)| at + site.len > from)?;
        let what = match site.changes {
            Changes::Key => "the place of the static key",
            Changes::Call => "a static call of",
            Changes::Tracer => "a call of the function tracer",
        };
        let space = if site.name.is_empty() { "" } else { " " };
        Some(format!(
            "has {what}{space}{} at +{at}, where the jump to its replacement would be, and the kernel changes that",
            site.name.trim_start_matches("__SCT__").trim_start_matches("__SCK__")
        ))
    }

    /// What is at a place up to a byte that is zero, with that.
    pub(crate) fn string(&self, section: usize, at: u64) -> Option<&[u8]> {
        let bytes = &self.sections.get(&section)?.bytes;
        let rest = bytes.get(usize::try_from(at).ok()?..)?;
        rest.split_inclusive(|byte| *byte == 0).next()
    }

    /// Whether a section is the one with code that may be patched.
    pub(crate) fn may_change(&self, section: usize) -> bool {
        self.text.iter().any(|&(one, ..)| one == section)
    }

    /// Whether a section holds code.
    pub(crate) fn is_text(&self, section: usize) -> bool {
        self.sections
            .get(&section)
            .is_some_and(|section| section.is_text)
    }

    /// What stands in some bytes of a section refers to, by the distance from the first of them.
    pub(crate) fn links(&self, section: usize, at: u64, size: u64) -> Vec<(u64, &Link)> {
        let links = self.sections.get(&section).map(|section| &section.links);
        links
            .into_iter()
            .flat_map(|links| links.range(at..at.saturating_add(size)))
            .map(|(place, link)| (place - at, link))
            .collect()
    }

    /// Places in some bytes of a section that the kernel changes, by the distance from the first of them.
    pub(crate) fn sites(&self, section: usize, at: u64, size: u64) -> Vec<(u64, &Site)> {
        self.sites
            .range((section, at)..(section, at.saturating_add(size)))
            .flat_map(|((_, place), sites)| sites.iter().map(move |site| (place - at, site)))
            .collect()
    }

    fn read_section(
        &mut self,
        file: &ElfFile64<'_, object::LittleEndian>,
        section: &object::read::elf::ElfSection64<'_, '_, object::LittleEndian>,
    ) -> std::result::Result<(), object::Error> {
        let object::SectionFlags::Elf { sh_flags, .. } = section.flags() else {
            return Ok(());
        };
        if !sh_flags.contains(elf::SHF_ALLOC) {
            return Ok(());
        }
        let mut this = Section {
            bytes: section.data()?.to_vec(),
            is_text: sh_flags.contains(elf::SHF_EXECINSTR),
            links: BTreeMap::new(),
        };
        for (at, relocation) in section.relocations() {
            let (RelocationFlags::Elf { r_type }, RelocationTarget::Symbol(symbol)) =
                (relocation.flags(), relocation.target())
            else {
                continue;
            };
            if r_type == elf::R_X86_64_NONE {
                continue;
            }
            let symbol = file.symbol_by_index(symbol)?;
            let place = match symbol.section_index() {
                Some(index) => Place::Here(index.0, symbol.address()),
                None => Place::Kernel(symbol.name()?.to_string()),
            };
            let link = Link {
                kind: r_type,
                place,
                addend: relocation.addend(),
            };
            this.links.insert(at, link);
        }
        self.sections.insert(section.index().0, this);
        Ok(())
    }

    /// Enters the places that one of the kernel's tables names.
    fn read_sites(&mut self, table: &str, index: usize) {
        let Some((_, changes, entry, key)) = SITES.iter().find(|(name, ..)| *name == table) else {
            return;
        };
        let Some(table) = self.sections.get(&index) else {
            return;
        };
        let mut found = Vec::new();
        for (at, link) in table.links.iter().filter(|(at, _)| *at % entry == 0) {
            let Place::Here(section, address) = link.place else {
                continue;
            };
            let Some(place) = address.checked_add_signed(link.addend) else {
                continue;
            };
            let key = key.and_then(|key| table.links.get(&(at + key)));
            let name = match key.map(|link| &link.place) {
                Some(Place::Kernel(name)) => name.clone(),
                Some(Place::Here(section, address)) => self.name_at(*section, *address),
                None => String::new(),
            };
            let len = match (changes, self.bytes(section, place, 1)) {
                // A short jump, or a no-op of its length.
                (Changes::Key, Some([0xeb | 0x66])) => 2,
                _ => 5,
            };
            let changes = *changes;
            found.push(((section, place), Site { changes, len, name }));
        }
        for (place, site) in found {
            self.sites.entry(place).or_default().push(site);
        }
    }

    /// A name of what is at a place.
    fn name_at(&self, section: usize, address: u64) -> String {
        let is_it = |all: &[Named]| {
            all.iter()
                .any(|one| (one.section, one.address) == (section, address))
        };
        let mut names: Vec<_> = self
            .names
            .iter()
            .filter(|(_, all)| is_it(all))
            .map(|(name, _)| name.clone())
            .collect();
        names.sort();
        names.into_iter().next().unwrap_or_default()
    }
}
