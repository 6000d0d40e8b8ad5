// SPDX-License-Identifier: GPL-2.0-only

//! Writing a payload: the layout is that of `include/uapi/oxen/livepatch.h`.

use std::collections::HashMap;
use std::hash::Hasher;

use object::elf;
use object::write::{
    Object,
    Relocation,
    SectionId,
    Symbol,
    SymbolId,
    SymbolSection, //
};
use object::{
    Architecture,
    BinaryFormat,
    Endianness,
    RelocationFlags,
    SectionFlags,
    SectionKind,
    SymbolFlags,
    SymbolKind,
    SymbolScope, //
};

use super::module::Module;
use super::names::is_for_the_tool_chain;
use super::object::{
    Build,
    Id,
    Kind,
    Piece,
    Reference,
    Target, //
};
use super::select::Selection;
use crate::abi::sysctl::livepatch::PAYLOAD_VERSION;
use crate::error::{
    Error,
    Result, //
};

/// Bytes of a record.
pub(crate) const RECORD: usize = 104;
/// Bytes of the jump that leads from a function to its replacement.
pub(crate) const JUMP: usize = 5;
/// A call of the function tracer, as the compiler makes it, and what it is without tracing.
const CALL: u8 = 0xe8;
pub(crate) const NO_OP: [u8; 5] = [0x0f, 0x1f, 0x44, 0x00, 0x00];

/// What a payload says of itself.
pub(crate) struct About<'a> {
    /// The build-id of what must have been applied last.
    pub(crate) depends: &'a [u8],
    /// Strings `key=value`.
    pub(crate) words: Vec<(String, String)>,
}

/// A payload.
#[derive(Debug)]
pub(crate) struct Payload {
    /// The file's contents.
    pub(crate) bytes: Vec<u8>,
    /// Its build-id.
    pub(crate) id: Vec<u8>,
}

/// A build-id in the form in which it stands in a file.
fn note(id: &[u8]) -> Vec<u8> {
    let mut note = Vec::new();
    for word in [4, id.len() as u32, 3] {
        note.extend(word.to_le_bytes());
    }
    note.extend(b"GNU\0");
    note.extend(id);
    note.resize(note.len().next_multiple_of(4), 0);
    note
}

/// An identity of some contents: 20 bytes as the tool chain's. It tells payloads apart, and proves nothing.
pub(crate) fn identity(contents: &[u8]) -> Vec<u8> {
    (0..3_u8)
        .flat_map(|round| {
            let mut hasher = std::hash::DefaultHasher::new();
            hasher.write_u8(round);
            hasher.write(contents);
            hasher.finish().to_le_bytes()
        })
        .take(20)
        .collect()
}

/// Makes a jump a no-op, as the kernel's tools do with those of static keys.
fn make_no_op(bytes: &mut [u8], at: usize) {
    const JUMP: u8 = 0xe9;
    const SHORT_JUMP: u8 = 0xeb;
    const SHORT: [u8; 2] = [0x66, 0x90];
    let Some(rest) = bytes.get_mut(at..) else {
        return;
    };
    match rest {
        [JUMP, ..] if rest.len() >= NO_OP.len() => {
            rest.iter_mut().zip(NO_OP).for_each(|(to, from)| *to = from);
        }
        [SHORT_JUMP, _, ..] => rest.iter_mut().zip(SHORT).for_each(|(to, from)| *to = from),
        _ => {}
    }
}

/// A payload in the making.
struct Writer<'a> {
    build: &'a Build,
    out: Object<'static>,
    /// Code, constants, variables, zeroes.
    sections: Vec<SectionId>,
    /// Where each piece is, and its symbol.
    places: HashMap<Id, (SectionId, u64, SymbolId)>,
    undefined: HashMap<String, SymbolId>,
}

fn failed(err: impl std::fmt::Display) -> Error {
    Error::text(err.to_string()).step("write the payload")
}

impl Writer<'_> {
    fn section(&mut self, name: &str, kind: SectionKind, flags: elf::SectionFlags) -> SectionId {
        let id = self
            .out
            .add_section(Vec::new(), name.as_bytes().to_vec(), kind);
        self.out.section_mut(id).flags = SectionFlags::Elf {
            sh_type: match kind {
                SectionKind::Note => elf::SHT_NOTE,
                SectionKind::UninitializedData => elf::SHT_NOBITS,
                _ => elf::SHT_PROGBITS,
            },
            sh_flags: flags.with(elf::SHF_ALLOC),
        };
        id
    }

    fn place(&mut self, id: Id) {
        let Some(piece) = self.build.piece(id) else {
            return;
        };
        let &[text, constants, data, zeroes] = &self.sections[..] else {
            return;
        };
        let section = match piece.kind {
            Kind::Code | Kind::Passing => text,
            Kind::Constant => constants,
            Kind::Variable if piece.bytes.is_empty() => zeroes,
            Kind::Variable => data,
        };
        let at = if section == zeroes {
            self.out
                .append_section_bss(section, piece.size, piece.align)
        } else {
            let mut bytes = piece.bytes.clone();
            for reference in &piece.references {
                if reference.target == Target::Name("__fentry__".into()) {
                    let from = (reference.at as usize).saturating_sub(1);
                    if let Some(call) = bytes.get_mut(from..from + NO_OP.len()) {
                        if call.first() == Some(&CALL) {
                            call.copy_from_slice(&NO_OP);
                        }
                    }
                }
            }
            for switch in piece.switches.iter().filter(|switch| switch.is_no_op) {
                make_no_op(&mut bytes, switch.at as usize);
            }
            let align = if piece.kind == Kind::Code {
                16
            } else {
                piece.align
            };
            self.out.append_section_data(section, &bytes, align)
        };
        let symbol = self.out.add_symbol(Symbol {
            name: piece.name.as_bytes().to_vec(),
            value: at,
            size: piece.size,
            kind: if piece.kind == Kind::Code {
                SymbolKind::Text
            } else {
                SymbolKind::Data
            },
            scope: SymbolScope::Compilation,
            weak: false,
            section: SymbolSection::Section(section),
            flags: SymbolFlags::None,
        });
        self.places.insert(id, (section, at, symbol));
    }

    fn external(&mut self, name: &str) -> SymbolId {
        if let Some(symbol) = self.undefined.get(name) {
            return *symbol;
        }
        let symbol = self.out.add_symbol(Symbol {
            name: name.as_bytes().to_vec(),
            value: 0,
            size: 0,
            kind: SymbolKind::Unknown,
            scope: SymbolScope::Unknown,
            weak: false,
            section: SymbolSection::Undefined,
            flags: SymbolFlags::None,
        });
        self.undefined.insert(name.to_string(), symbol);
        symbol
    }

    fn refer(
        &mut self,
        section: SectionId,
        at: u64,
        kind: elf::RelocationType,
        symbol: SymbolId,
        addend: i64,
    ) -> Result {
        let relocation = Relocation {
            offset: at,
            symbol,
            addend,
            flags: RelocationFlags::Elf { r_type: kind },
        };
        self.out.add_relocation(section, relocation).map_err(failed)
    }

    /// Enters what a piece refers to. `internal` says whether a reference stays within the payload.
    fn link(&mut self, id: Id, internal: impl Fn(&Piece, Id, &Reference) -> bool) -> Result {
        let (Some(piece), Some(&(section, start, _))) =
            (self.build.piece(id), self.places.get(&id))
        else {
            return Ok(());
        };
        for reference in &piece.references {
            let target = self.build.target(id.0, &reference.target);
            let inside = target.filter(|target| internal(piece, *target, reference));
            let symbol = match (
                inside.and_then(|target| self.places.get(&target)),
                &reference.target,
            ) {
                (Some((.., symbol)), _) => *symbol,
                (None, Target::Name(name)) if name == "__fentry__" => continue,
                (None, Target::Name(name))
                    if name != "__x86_return_thunk" && is_for_the_tool_chain(name) =>
                {
                    return Err(failed(format!("{}: a reference to nothing", piece.name)));
                }
                (None, Target::Name(name)) => self.external(name),
                (None, Target::Piece(_)) => {
                    return Err(failed(format!(
                        "{}: a reference to what is left out",
                        piece.name
                    )));
                }
            };
            self.refer(
                section,
                start + reference.at,
                reference.kind,
                symbol,
                reference.addend,
            )?;
        }
        Ok(())
    }
}

/// Makes the payload of a selection of pieces of `build`, for a module.
///
/// # Errors
///
/// Fails if there is something that the format does not hold.
pub(crate) fn write(
    build: &Build,
    selection: &Selection,
    module: &Module,
    about: &About<'_>,
) -> Result<Payload> {
    let out = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
    let mut writer = Writer {
        build,
        out,
        sections: Vec::new(),
        places: HashMap::new(),
        undefined: HashMap::new(),
    };
    let none = elf::SectionFlags(0);
    writer.sections = vec![
        writer.section(".text", SectionKind::Text, elf::SHF_EXECINSTR),
        writer.section(".rodata", SectionKind::ReadOnlyData, none),
        writer.section(".data", SectionKind::Data, elf::SHF_WRITE),
        writer.section(".bss", SectionKind::UninitializedData, elf::SHF_WRITE),
    ];
    for id in &selection.pieces {
        writer.place(*id);
    }
    for id in &selection.pieces {
        writer.link(*id, |from, target, reference| {
            if !selection.pieces.contains(&target) {
                return false;
            }
            // Whoever takes the address of a function that is replaced gets the old one, if there is one of the name.
            let replaced = selection.replaced.iter().any(|one| one.new == target)
                && matches!(&reference.target, Target::Name(name) if module.one(name).is_some());
            // Places in a function are those of the new one: parts jump back to them, tables hold them.
            let is_place = build
                .piece(target)
                .is_some_and(|it| reference.is_within(it))
                || from.kind == Kind::Constant && reference.kind == elf::R_X86_64_PC32;
            !replaced || reference.is_call() || is_place
        })?;
    }
    let funcs = writer.section(".livepatch.funcs", SectionKind::Data, none);
    for one in &selection.replaced {
        let Some(&(_, _, symbol)) = writer.places.get(&one.new) else {
            continue;
        };
        let size = build.piece(one.new).map_or(0, |piece| piece.size);
        let mut name = one.name.as_bytes().to_vec();
        name.push(0);
        let constants = writer.sections[1];
        let name_at = writer.out.append_section_data(constants, &name, 1);
        let mut record = [0; RECORD];
        record[24..28].copy_from_slice(&u32::try_from(size).map_err(failed)?.to_le_bytes());
        let old_size = u32::try_from(one.old_size).map_err(failed)?;
        record[28..32].copy_from_slice(&old_size.to_le_bytes());
        record[32] = PAYLOAD_VERSION;
        let at = writer.out.append_section_data(funcs, &record, 8);
        let constants_symbol = writer.out.section_symbol(constants);
        writer.refer(
            funcs,
            at,
            elf::R_X86_64_64,
            constants_symbol,
            name_at as i64,
        )?;
        writer.refer(funcs, at + 8, elf::R_X86_64_64, symbol, 0)?;
    }
    let mut words = Vec::new();
    for (key, value) in &about.words {
        words.extend(format!("{key}={value}").replace('\0', " ").into_bytes());
        words.push(0);
    }
    let info = writer.section(".modinfo", SectionKind::ReadOnlyData, none);
    writer.out.append_section_data(info, &words, 1);
    for (name, id) in [
        (".livepatch.xen_depends", &module.id[..]),
        (".livepatch.depends", about.depends),
    ] {
        let section = writer.section(name, SectionKind::Note, none);
        writer.out.append_section_data(section, &note(id), 4);
    }
    // Last, out of all the rest.
    let id = identity(&writer.out.write().map_err(failed)?);
    let section = writer.section(".note.gnu.build-id", SectionKind::Note, none);
    writer.out.append_section_data(section, &note(&id), 4);
    Ok(Payload {
        bytes: writer.out.write().map_err(failed)?,
        id,
    })
}
