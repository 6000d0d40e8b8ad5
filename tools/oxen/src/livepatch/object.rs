// SPDX-License-Identifier: GPL-2.0-only

//! Object files as pieces: functions, constants, variables, with their references to each other.

use std::collections::HashMap;
use std::path::Path;

use object::elf;
use object::read::elf::ElfFile64;
use object::{
    Object as _,
    ObjectSection as _,
    ObjectSymbol as _,
    RelocationFlags,
    RelocationTarget,
    SectionFlags,
    SymbolKind, //
};

use crate::error::{
    Context,
    Error,
    Result, //
};

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Code.
    Code,
    /// Code or data that is there only while the module is loaded or unloaded.
    Passing,
    /// What nobody writes.
    Constant,
    /// What is written.
    Variable,
}

/// What a reference is to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A name, of this object or another.
    Name(String),
    /// A piece of this object that has none.
    Piece(usize),
}

/// A reference.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    /// Where in the piece.
    pub(crate) at: u64,
    /// `R_X86_64_*`: that of calls and jumps in code is `R_X86_64_PLT32`.
    pub(crate) kind: elf::RelocationType,
    pub(crate) target: Target,
    /// To be added to the target's address.
    pub(crate) addend: i64,
}

impl Reference {
    /// Whether this is a call or a jump, if it is code's.
    pub(crate) fn is_call(&self) -> bool {
        self.kind == elf::R_X86_64_PLT32
    }

    /// Whether it is to a place within `target`, not to its beginning.
    pub(crate) fn is_within(&self, target: &Piece) -> bool {
        let behind = if is_relative(self.kind) { 4 } else { 0 };
        let at = u64::try_from(self.addend.saturating_add(behind));
        at.is_ok_and(|at| (1..target.size).contains(&at))
    }
}

/// A place that the kernel changes between a jump and a no-op: a static key's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Switch {
    /// Where in the piece.
    pub(crate) at: u64,
    /// The key's name.
    pub(crate) key: String,
    /// It is written as a jump and means a no-op, until the kernel's tools have seen it.
    pub(crate) is_no_op: bool,
}

/// A function, a constant, a variable.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// Empty for constants without one.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// The section that it was in.
    pub(crate) section: String,
    /// Where in that.
    pub(crate) start: u64,
    pub(crate) size: u64,
    pub(crate) align: u64,
    /// What is in it; empty for what begins as zeroes.
    pub(crate) bytes: Vec<u8>,
    pub(crate) references: Vec<Reference>,
    /// Tables that the kernel would have to know for this code.
    pub(crate) tables: Vec<String>,
    pub(crate) switches: Vec<Switch>,
}

impl Piece {
    /// The kind of a reference at a place, as it is for all calls and jumps: assemblers have another one for those to
    /// what has no name outside. What an instruction has before the distance to its data is never such an opcode.
    fn kind_at(&self, at: u64, kind: elf::RelocationType) -> elf::RelocationType {
        let before = usize::try_from(at).ok().and_then(|at| self.bytes.get(..at));
        let is_branch = matches!(before, Some([.., 0xe8 | 0xe9] | [.., 0x0f, 0x80..=0x8f]));
        let is_code = matches!(self.kind, Kind::Code | Kind::Passing);
        if is_code && kind == elf::R_X86_64_PC32 && is_branch {
            elf::R_X86_64_PLT32
        } else {
            kind
        }
    }
}

/// An object file.
#[derive(Debug, Default)]
pub(crate) struct Object {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) by_name: HashMap<String, usize>,
}

/// Tables that say where in the code something is, and are needed for it to work.
pub(crate) const TABLES: [&str; 9] = [
    ".altinstructions",
    "__ex_table",
    "__bug_table",
    ".parainstructions",
    ".kcfi_traps",
    ".alt_call_sites",
    ".static_call_sites",
    "__tracepoints",
    "__param",
];

/// Static keys: entries of 16 bytes, the place, where the jump goes, the key. Its lowest bits say more.
pub(crate) const SWITCHES: &str = "__jump_table";
const SWITCH: u64 = 16;
const SWITCH_KEY: u64 = 8;
/// The jump is to become a no-op (`JUMP_TYPE_*` has the other bit).
const SWITCH_NO_OP: i64 = 2;

/// What a section's pieces are, or nothing for one that is of no interest.
pub(crate) fn kind_of(name: &str, flags: elf::SectionFlags) -> Option<Kind> {
    let has = |flag: elf::SectionFlags| flags.contains(flag);
    let of_no_interest = [
        ".note",
        "__patchable",
        "__mcount",
        ".modinfo",
        ".discard",
        ".orc",
        ".comment",
        ".eh_frame",
        ".return_sites",
        ".retpoline_sites",
        ".call_sites",
        ".ibt_endbr_seal",
        ".smp_locks",
        ".gnu.linkonce.this_module",
        "__versions",
        ".altinstr_replacement",
        ".altinstr_aux",
    ];
    if !has(elf::SHF_ALLOC)
        || of_no_interest.iter().any(|prefix| name.starts_with(prefix))
        || TABLES.contains(&name)
        || name == SWITCHES
    {
        return None;
    }
    Some(if name.starts_with(".init") || name.starts_with(".exit") {
        Kind::Passing
    } else if has(elf::SHF_EXECINSTR) {
        Kind::Code
    } else if has(elf::SHF_WRITE)
        && !name.starts_with(".data.rel.ro")
        && !name.starts_with(".data..ro_after_init")
    {
        Kind::Variable
    } else {
        Kind::Constant
    })
}

/// Whether a reference is relative to the place where it stands, which lies four bytes before what it is relative to.
fn is_relative(kind: elf::RelocationType) -> bool {
    matches!(kind, elf::R_X86_64_PC32 | elf::R_X86_64_PLT32)
}

/// Where sections' pieces are.
struct Places(HashMap<usize, Vec<(u64, u64, usize)>>);

impl Places {
    /// The piece at `offset` of a section.
    fn find(&self, section: usize, offset: u64) -> Option<(usize, u64)> {
        let pieces = self.0.get(&section)?;
        let index = pieces.partition_point(|&(start, ..)| start <= offset);
        let &(start, size, piece) = pieces.get(index.checked_sub(1)?)?;
        (offset <= start + size).then_some((piece, start))
    }
}

impl Object {
    /// Reads an object file.
    ///
    /// # Errors
    ///
    /// Fails if it is none.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let step = || format!("read {}", path.display());
        let bytes = std::fs::read(path).step(step())?;
        Self::parse(&bytes).map_err(|err| Error::text(err.to_string()).step(step()))
    }

    /// Reads the contents of one.
    ///
    /// # Errors
    ///
    /// Fails if it is none.
    pub(crate) fn parse(bytes: &[u8]) -> std::result::Result<Self, object::Error> {
        let file = ElfFile64::<object::LittleEndian>::parse(bytes)?;
        let mut this = Self::default();
        let places = this.cut(&file)?;
        this.refer(&file, &places)?;
        Ok(this)
    }

    /// Cuts the sections into pieces.
    fn cut(
        &mut self,
        file: &ElfFile64<'_, object::LittleEndian>,
    ) -> std::result::Result<Places, object::Error> {
        let mut places = HashMap::new();
        for section in file.sections() {
            let SectionFlags::Elf { sh_flags, .. } = section.flags() else {
                continue;
            };
            let name = section.name()?.to_string();
            let Some(kind) = kind_of(&name, sh_flags) else {
                continue;
            };
            let data = section.data()?;
            let mut known: Vec<(u64, u64, String)> = Vec::new();
            for symbol in file.symbols() {
                // What has no size has nothing in it, and a section of its own: an empty `lock_class_key`.
                if symbol.section_index() == Some(section.index())
                    && (symbol.size() != 0 || section.size() == 0)
                    && matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Data)
                {
                    let name = symbol.name()?.to_string();
                    if !name.starts_with("__pfx_") {
                        known.push((symbol.address(), symbol.size(), name));
                    }
                }
            }
            known.sort();
            let mut here: Vec<(u64, u64, usize)> = Vec::new();
            let mut end = 0;
            let cuts = |from: u64, to: u64| -> Vec<(u64, u64)> {
                if matches!(kind, Kind::Code) || from >= to {
                    return Vec::new();
                }
                let entry = section
                    .elf_section_header()
                    .sh_entsize
                    .get(object::LittleEndian);
                if !sh_flags.contains(elf::SHF_MERGE) || entry == 0 {
                    return vec![(from, to - from)];
                }
                if !sh_flags.contains(elf::SHF_STRINGS) {
                    return (from..to)
                        .step_by(entry as usize)
                        .map(|at| (at, entry))
                        .collect();
                }
                let mut cuts = Vec::new();
                let mut at = from;
                for (index, byte) in data.iter().enumerate().skip(from as usize) {
                    if *byte == 0 {
                        cuts.push((at, index as u64 + 1 - at));
                        at = index as u64 + 1;
                    }
                }
                cuts
            };
            let mut add = |this: &mut Self, start: u64, size: u64, symbol: &str| {
                let bytes = data
                    .get(start as usize..(start + size) as usize)
                    .unwrap_or_default()
                    .to_vec();
                let index = this.pieces.len();
                this.pieces.push(Piece {
                    name: symbol.to_string(),
                    kind,
                    section: name.clone(),
                    start,
                    size,
                    align: section.align().max(1),
                    bytes,
                    references: Vec::new(),
                    tables: Vec::new(),
                    switches: Vec::new(),
                });
                here.push((start, size, index));
                index
            };
            let mut last = None;
            for (start, size, symbol) in known {
                if let Some((at, index)) = last {
                    if at == start {
                        // Another name of the same.
                        self.by_name.insert(symbol, index);
                        continue;
                    }
                }
                for (start, size) in cuts(end, start) {
                    add(self, start, size, "");
                }
                let index = add(self, start, size, &symbol);
                self.by_name.insert(symbol, index);
                last = Some((start, index));
                end = end.max(start + size);
            }
            for (start, size) in cuts(end, section.size()) {
                add(self, start, size, "");
            }
            here.sort_unstable();
            places.insert(section.index().0, here);
        }
        Ok(Places(places))
    }

    /// Finds what the pieces refer to.
    fn refer(
        &mut self,
        file: &ElfFile64<'_, object::LittleEndian>,
        places: &Places,
    ) -> std::result::Result<(), object::Error> {
        for section in file.sections() {
            let name = section.name()?;
            if name == SWITCHES {
                self.switch(file, places, &section)?;
                continue;
            }
            let table = TABLES.contains(&name).then_some(name);
            if table.is_none() && !places.0.contains_key(&section.index().0) {
                continue;
            }
            for (at, relocation) in section.relocations() {
                let RelocationFlags::Elf { r_type } = relocation.flags() else {
                    continue;
                };
                let RelocationTarget::Symbol(symbol) = relocation.target() else {
                    continue;
                };
                let symbol = file.symbol_by_index(symbol)?;
                let addend = relocation.addend();
                let (target, addend) = self.resolve(places, &symbol, r_type, addend)?;
                if let Some(table) = table {
                    let index = match target {
                        Target::Piece(index) => Some(index),
                        Target::Name(name) => self.by_name.get(&name).copied(),
                    };
                    if let Some(piece) = index.and_then(|index| self.pieces.get_mut(index)) {
                        if piece.kind == Kind::Code && !piece.tables.iter().any(|t| t == table) {
                            piece.tables.push(table.to_string());
                        }
                    }
                    continue;
                }
                let Some((piece, start)) = places.find(section.index().0, at) else {
                    continue;
                };
                if let Some(piece) = self.pieces.get_mut(piece) {
                    if at - start < piece.size {
                        piece.references.push(Reference {
                            at: at - start,
                            kind: piece.kind_at(at - start, r_type),
                            target,
                            addend,
                        });
                    }
                }
            }
        }
        for piece in &mut self.pieces {
            piece.references.sort_by_key(|reference| reference.at);
        }
        Ok(())
    }

    /// Finds the places of static keys.
    fn switch(
        &mut self,
        file: &ElfFile64<'_, object::LittleEndian>,
        places: &Places,
        section: &object::read::elf::ElfSection64<'_, '_, object::LittleEndian>,
    ) -> std::result::Result<(), object::Error> {
        // The place in a piece, and the key with what is there while it is off.
        type Half = (Option<(usize, u64)>, Option<(String, bool)>);
        let mut found: HashMap<u64, Half> = HashMap::new();
        for (at, relocation) in section.relocations() {
            let RelocationTarget::Symbol(symbol) = relocation.target() else {
                continue;
            };
            let symbol = file.symbol_by_index(symbol)?;
            let addend = relocation.addend();
            let entry = found.entry(at / SWITCH).or_default();
            if at % SWITCH == 0 {
                let value = (symbol.address() as i64 + addend).max(0) as u64;
                entry.0 = symbol
                    .section_index()
                    .and_then(|section| places.find(section.0, value))
                    .map(|(piece, start)| (piece, value - start));
            } else if at % SWITCH == SWITCH_KEY {
                let name = match symbol.name()? {
                    "" => "a key without a name",
                    name => name,
                };
                entry.1 = Some((name.to_string(), addend & SWITCH_NO_OP != 0));
            }
        }
        for (place, key) in found.into_values() {
            let (Some((piece, at)), Some((key, is_no_op))) = (place, key) else {
                continue;
            };
            if let Some(piece) = self.pieces.get_mut(piece) {
                piece.switches.push(Switch { at, key, is_no_op });
            }
        }
        for piece in &mut self.pieces {
            piece.switches.sort_by_key(|switch| switch.at);
        }
        Ok(())
    }

    fn resolve(
        &self,
        places: &Places,
        symbol: &object::read::elf::ElfSymbol64<'_, '_, object::LittleEndian>,
        kind: elf::RelocationType,
        addend: i64,
    ) -> std::result::Result<(Target, i64), object::Error> {
        let name = symbol.name()?;
        let section = match symbol.section_index() {
            Some(section) if !self.by_name.contains_key(name) || name.is_empty() => section,
            _ => return Ok((Target::Name(name.to_string()), addend)),
        };
        // A section, or a place without a size: what is there?
        let value = symbol.address() as i64 + addend;
        let offset = value + if is_relative(kind) { 4 } else { 0 };
        let Some((index, start)) = places.find(section.0, offset.max(0) as u64) else {
            return Ok((Target::Name(name.to_string()), addend));
        };
        let target = match self.pieces.get(index) {
            Some(piece) if !piece.name.is_empty() => Target::Name(piece.name.clone()),
            _ => Target::Piece(index),
        };
        Ok((target, value - start as i64))
    }
}

/// All object files of a build, by their names.
#[derive(Debug, Default)]
pub(crate) struct Build {
    pub(crate) objects: Vec<(String, Object)>,
}

/// A piece of a build: which object, which piece.
pub(crate) type Id = (usize, usize);

impl Build {
    /// A piece.
    pub(crate) fn piece(&self, (object, piece): Id) -> Option<&Piece> {
        self.objects.get(object)?.1.pieces.get(piece)
    }

    /// The piece that a name stands for in an object: its own, or another's.
    pub(crate) fn find(&self, object: usize, name: &str) -> Option<Id> {
        if let Some((_, own)) = self.objects.get(object) {
            if let Some(piece) = own.by_name.get(name) {
                return Some((object, *piece));
            }
        }
        self.objects
            .iter()
            .enumerate()
            .find_map(|(index, (_, object))| Some((index, *object.by_name.get(name)?)))
    }

    /// What a reference of a piece of `object` is to, if it is in this build.
    pub(crate) fn target(&self, object: usize, target: &Target) -> Option<Id> {
        match target {
            Target::Piece(piece) => Some((object, *piece)),
            Target::Name(name) => self.find(object, name),
        }
    }

    /// All names with their pieces: each piece's own, and the others that it has.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&str, Id)> {
        let own = self.all().map(|(id, piece)| (piece.name.as_str(), id));
        let others = self
            .objects
            .iter()
            .enumerate()
            .flat_map(|(object, (_, it))| {
                it.by_name
                    .iter()
                    .map(move |(name, index)| (name.as_str(), (object, *index)))
            })
            .filter(|(name, id)| self.piece(*id).is_some_and(|piece| piece.name != *name));
        own.filter(|(name, _)| !name.is_empty()).chain(others)
    }

    /// All pieces.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Id, &Piece)> {
        self.objects
            .iter()
            .enumerate()
            .flat_map(|(object, (_, it))| {
                it.pieces
                    .iter()
                    .enumerate()
                    .map(move |(index, piece)| ((object, index), piece))
            })
    }
}
