// SPDX-License-Identifier: GPL-2.0-only

//! A relocatable ELF object of which every byte may be wrong.
//!
//! [`Object::open`] finds the table of sections, and [`Object::check`] checks the tables as a whole: that they lie in
//! the file, that their elements have the size they must have, that names and links between sections lead somewhere.
//! What is read afterwards is in bounds, and says so by returning `Option` or nothing at all. Source: System V ABI,
//! chapters 4 and 5, and its AMD64 supplement.

use super::refusal::{
    Refusal,
    Result, //
};
use crate::abi::errno::{
    EINVAL,
    EOPNOTSUPP, //
};

/// `SHT_*`: a section's type.
pub(crate) mod kind {
    pub(crate) const NULL: u32 = 0;
    #[cfg(any(test, fuzzing))]
    pub(crate) const PROGBITS: u32 = 1;
    pub(crate) const SYMTAB: u32 = 2;
    pub(crate) const STRTAB: u32 = 3;
    pub(crate) const RELA: u32 = 4;
    pub(crate) const NOTE: u32 = 7;
    pub(crate) const NOBITS: u32 = 8;
    pub(crate) const REL: u32 = 9;
    pub(crate) const SYMTAB_SHNDX: u32 = 18;
}

/// `SHF_*`: a section's flags.
pub(crate) mod flag {
    pub(crate) const WRITE: u64 = 1 << 0;
    pub(crate) const ALLOC: u64 = 1 << 1;
    pub(crate) const EXEC: u64 = 1 << 2;
    pub(crate) const TLS: u64 = 1 << 10;
    pub(crate) const COMPRESSED: u64 = 1 << 11;
}

/// `SHN_*`: where a symbol that is in no section is.
pub(crate) mod index {
    /// Elsewhere.
    pub(crate) const UNDEF: u16 = 0;
    /// Reserved from here on.
    pub(crate) const RESERVED: u16 = 0xff00;
    /// Nowhere: the value is a number.
    pub(crate) const ABS: u16 = 0xfff1;
}

/// Bytes of the header, of a section's header, of a symbol, of a relocation.
const EHDR: usize = 64;
const SHDR: usize = 64;
const SYM: usize = 24;
const RELA: usize = 24;

/// Sections that there may be, as in Xen.
pub(crate) const SECTIONS_MAX: u16 = 1024;
/// Symbols that there may be. Far more than a payload has.
pub(crate) const SYMBOLS_MAX: usize = 1 << 14;
/// Bytes of a name. Mangled names are long; without a bound a small file could ask for hours of looking for their ends.
pub(crate) const NAME_MAX: usize = 4096;
/// The strictest alignment that a section may ask for.
pub(crate) const ALIGN_MAX: u64 = 4096;
/// Bytes that a section without contents may have.
pub(crate) const NOBITS_MAX: u64 = 2 << 20;

/// An object.
#[derive(Clone, Copy)]
pub(crate) struct Object<'a> {
    bytes: &'a [u8],
    headers: &'a [u8],
    names: &'a [u8],
    symbols: &'a [u8],
    symbol_names: &'a [u8],
    symtab: u16,
    count: u16,
}

/// A section.
#[derive(Clone, Copy)]
pub(crate) struct Section<'a> {
    /// Its place in the table.
    pub(crate) index: u16,
    /// Its name.
    pub(crate) name: &'a [u8],
    /// One of [`kind`].
    pub(crate) kind: u32,
    /// Bits of [`flag`].
    pub(crate) flags: u64,
    /// What is in it; empty if it has no contents.
    pub(crate) data: &'a [u8],
    /// Bytes of memory that it needs.
    pub(crate) size: u64,
    /// A power of two, at most [`ALIGN_MAX`].
    pub(crate) align: u64,
    /// A section that belongs to it.
    pub(crate) link: u32,
    /// What that means depends on `kind`.
    pub(crate) info: u32,
    entsize: u64,
}

impl Section<'_> {
    /// Whether it takes part in the running program.
    pub(crate) const fn is_alloc(&self) -> bool {
        self.flags & flag::ALLOC != 0
    }

    /// Whether it may be written, and whether it may be executed.
    pub(crate) const fn rights(&self) -> (bool, bool) {
        (self.flags & flag::WRITE != 0, self.flags & flag::EXEC != 0)
    }
}

/// A symbol.
#[derive(Clone, Copy)]
pub(crate) struct Symbol<'a> {
    /// Its name; sections' own symbols have none.
    pub(crate) name: &'a [u8],
    /// `STB_*` and `STT_*`.
    info: u8,
    /// One of [`index`], or a section's number, which exists.
    pub(crate) section: u16,
    /// Offset in the section.
    pub(crate) value: u64,
    /// Bytes.
    pub(crate) size: u64,
}

/// What a symbol names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// Nothing in particular.
    None,
    /// A variable.
    Object,
    /// A function.
    Func,
    /// The start of a section.
    Section,
    /// A source file.
    File,
    /// Something that is not supported.
    Other,
}

impl Symbol<'_> {
    /// Whether other objects see it.
    pub(crate) const fn is_global(&self) -> bool {
        // STB_GLOBAL, STB_WEAK.
        matches!(self.info >> 4, 1 | 2)
    }

    /// What it names.
    pub(crate) const fn what(&self) -> What {
        match self.info & 15 {
            0 => What::None,
            1 => What::Object,
            2 => What::Func,
            3 => What::Section,
            4 => What::File,
            _ => What::Other,
        }
    }
}

/// A relocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rela {
    /// Offset in the section that is changed.
    pub(crate) offset: u64,
    /// `R_X86_64_*`.
    pub(crate) kind: u32,
    /// Number of the symbol.
    pub(crate) symbol: u32,
    /// What to add.
    pub(crate) addend: i64,
}

/// Reads a little-endian number.
macro_rules! reader {
    ($name:ident, $ty:ty) => {
        fn $name(bytes: &[u8], at: usize) -> Option<$ty> {
            let raw = bytes.get(at..)?.first_chunk()?;
            Some(<$ty>::from_le_bytes(*raw))
        }
    };
}
reader!(u16_at, u16);
reader!(u32_at, u32);
reader!(u64_at, u64);
reader!(i64_at, i64);

/// The bytes from `offset` on, if there are so many.
fn range(bytes: &[u8], offset: u64, len: u64) -> Option<&[u8]> {
    let from = usize::try_from(offset).ok()?;
    let to = usize::try_from(offset.checked_add(len)?).ok()?;
    bytes.get(from..to)
}

/// The string at `offset` of a string table, without its end, which must be there after at most [`NAME_MAX`] bytes.
fn string(table: &[u8], offset: u32) -> Option<&[u8]> {
    let rest = table.get(usize::try_from(offset).ok()?..)?;
    let mut bytes = rest.iter().take(NAME_MAX + 1);
    rest.get(..bytes.position(|&byte| byte == 0)?)
}

const fn invalid(why: &'static str) -> Refusal {
    Refusal::new(EINVAL, why)
}

const fn unsupported(why: &'static str) -> Refusal {
    Refusal::new(EOPNOTSUPP, why)
}

impl<'a> Object<'a> {
    /// Looks at the headers. Sections can be found by their names afterwards, except for broken ones.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a file that is broken, `EOPNOTSUPP` for one of another kind than payloads are.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self> {
        let short = || invalid("is shorter than an ELF header");
        let ident: &[u8; 16] = bytes.first_chunk().ok_or_else(short)?;
        let header = bytes.get(..EHDR).ok_or_else(short)?;
        let [0x7f, b'E', b'L', b'F', class, data, version, abi, abi_version, ..] = *ident else {
            return Err(invalid("is no ELF object"));
        };
        let word = |at| u16_at(header, at).ok_or_else(short);
        // 64 bits, little-endian, version 1, System V; relocatable, AMD64, version 1.
        if (class, data, version) != (2, 1, 1)
            || (abi, abi_version) != (0, 0)
            || (word(16)?, word(18)?) != (1, 62)
            || u32_at(header, 20) != Some(1)
        {
            return Err(unsupported("is no relocatable object for AMD64"));
        }
        if word(56)? != 0 {
            return Err(unsupported("has program headers"));
        }
        if usize::from(word(52)?) != EHDR || usize::from(word(58)?) != SHDR {
            return Err(invalid("has headers of an unknown size"));
        }
        let count = word(60)?;
        if count == 0 || count >= SECTIONS_MAX {
            return Err(
                unsupported("has no sections, or more than are supported").with(count.into())
            );
        }
        let offset = u64_at(header, 40).ok_or_else(short)?;
        let headers = range(bytes, offset, u64::from(count) * SHDR as u64)
            .ok_or(invalid("has a section table outside of the file"))?;
        let mut object = Self {
            bytes,
            headers,
            names: &[],
            symbols: &[],
            symbol_names: &[],
            symtab: 0,
            count,
        };
        let names = word(62)?;
        object.names = object
            .table(names, kind::STRTAB)
            .ok_or(invalid("has no table of section names"))?;
        object.check_strings(object.names)?;
        Ok(object)
    }

    /// Checks what the tables say of each other, and finds the symbols.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub(crate) fn check(&mut self) -> Result {
        self.check_sections()?;
        self.check_symbols()
    }

    /// How many sections there are, with the first, which is none.
    pub(crate) fn section_count(&self) -> u16 {
        self.count
    }

    /// The contents of section `index` if it is of this kind, before anything else is known of it.
    fn table(&self, index: u16, kind: u32) -> Option<&'a [u8]> {
        let header = self.header(index)?;
        if index == 0 || u32_at(header, 4)? != kind {
            return None;
        }
        range(self.bytes, u64_at(header, 24)?, u64_at(header, 32)?)
    }

    fn header(&self, index: u16) -> Option<&'a [u8]> {
        let at = usize::from(index).checked_mul(SHDR)?;
        self.headers.get(at..)?.get(..SHDR)
    }

    /// A section, or `None` if there is none of that number or it is broken.
    pub(crate) fn section(&self, index: u16) -> Option<Section<'a>> {
        let header = self.header(index)?;
        let (kind, size) = (u32_at(header, 4)?, u64_at(header, 32)?);
        let data = match kind {
            kind::NULL | kind::NOBITS => &[],
            _ => range(self.bytes, u64_at(header, 24)?, size)?,
        };
        Some(Section {
            index,
            name: string(self.names, u32_at(header, 0)?)?,
            kind,
            flags: u64_at(header, 8)?,
            data,
            size,
            // Both 0 and 1 mean none.
            align: u64_at(header, 48)?.max(1),
            link: u32_at(header, 40)?,
            info: u32_at(header, 44)?,
            entsize: u64_at(header, 56)?,
        })
    }

    /// All sections but the first, which is none.
    pub(crate) fn sections(&self) -> impl Iterator<Item = Section<'a>> + '_ {
        (1..self.count).filter_map(|index| self.section(index))
    }

    /// The one section of that name.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there are several.
    pub(crate) fn by_name(&self, name: &[u8]) -> Result<Option<Section<'a>>> {
        let mut found = self.sections().filter(|section| section.name == name);
        let first = found.next();
        if found.next().is_some() {
            return Err(invalid("is there more than once").of(name));
        }
        Ok(first)
    }

    fn check_strings(&self, table: &[u8]) -> Result {
        match (table.first(), table.last()) {
            (Some(0), Some(0)) => Ok(()),
            _ => Err(invalid("has a string table without a zero at each end")),
        }
    }

    /// Checks each section by itself.
    fn check_sections(&self) -> Result {
        for index in 1..self.count {
            let section = self.section(index).ok_or(
                invalid("has a section with a name or contents outside of the file")
                    .with(index.into()),
            )?;
            self.check_section(&section)
                .map_err(|refusal| refusal.of(section.name))?;
        }
        Ok(())
    }

    fn check_section(&self, section: &Section<'_>) -> Result {
        if !section.align.is_power_of_two() || section.align > ALIGN_MAX {
            return Err(invalid("has an impossible alignment").with(section.align));
        }
        match section.kind {
            kind::REL => Err(unsupported("is of relocations without addends")),
            kind::SYMTAB_SHNDX => Err(unsupported("is of extended section numbers")),
            kind::NOBITS if section.size > NOBITS_MAX => {
                Err(invalid("is too large").with(section.size))
            }
            kind::RELA => {
                let whole = section.data.len() % RELA == 0 && section.entsize == RELA as u64;
                let target = section.info != 0 && section.info < self.count.into();
                let symbols = section.link != 0 && section.link < self.count.into();
                match (whole, target && symbols) {
                    (true, true) => Ok(()),
                    (false, _) => Err(invalid("is no table of relocations")),
                    _ => Err(invalid("belongs to no section")),
                }
            }
            _ => Ok(()),
        }
    }

    /// Finds the symbol table and checks each symbol.
    fn check_symbols(&mut self) -> Result {
        let table = {
            let mut tables = self.sections().filter(|s| s.kind == kind::SYMTAB);
            let table = tables.next().ok_or(invalid("has no symbol table"))?;
            if tables.next().is_some() {
                return Err(unsupported("has several symbol tables"));
            }
            table
        };
        let whole = table.data.len() % SYM == 0 && table.entsize == SYM as u64;
        if !whole || table.data.is_empty() {
            return Err(invalid("is no table of symbols").of(table.name));
        }
        if table.data.len() / SYM > SYMBOLS_MAX {
            return Err(unsupported("is too large").of(table.name));
        }
        let names = u16::try_from(table.link)
            .ok()
            .and_then(|link| self.table(link, kind::STRTAB))
            .ok_or(invalid("has no names").of(table.name))?;
        self.check_strings(names)?;
        self.symbols = table.data;
        self.symbol_names = names;
        self.symtab = table.index;
        for number in 1..self.symbol_count() {
            let symbol = self
                .symbol(number)
                .ok_or(invalid("has a symbol without a name").with(number.into()))?;
            self.check_symbol(&symbol)
                .map_err(|refusal| refusal.of(symbol.name).with(number.into()))?;
        }
        Ok(())
    }

    fn check_symbol(&self, symbol: &Symbol<'_>) -> Result {
        match symbol.section {
            index::UNDEF | index::ABS => return Ok(()),
            index::RESERVED.. => return Err(unsupported("is a symbol of an unsupported kind")),
            _ => {}
        }
        let section = self
            .section(symbol.section)
            .filter(|section| section.index != 0)
            .ok_or(invalid("is a symbol of a section that there is not"))?;
        match symbol.value.checked_add(symbol.size) {
            Some(end) if end <= section.size => Ok(()),
            _ => Err(invalid("is a symbol outside of its section")),
        }
    }

    /// How many symbols there are, with the first, which is none.
    pub(crate) fn symbol_count(&self) -> u32 {
        // CAST: At most `SYMBOLS_MAX`.
        (self.symbols.len() / SYM) as u32
    }

    /// A symbol, or `None` if there is none of that number.
    pub(crate) fn symbol(&self, number: u32) -> Option<Symbol<'a>> {
        let at = usize::try_from(number).ok()?.checked_mul(SYM)?;
        let raw = self.symbols.get(at..)?.get(..SYM)?;
        Some(Symbol {
            name: string(self.symbol_names, u32_at(raw, 0)?)?,
            info: *raw.get(4)?,
            section: u16_at(raw, 6)?,
            value: u64_at(raw, 8)?,
            size: u64_at(raw, 16)?,
        })
    }

    /// The relocations that a section of them holds.
    ///
    /// # Errors
    ///
    /// `EINVAL` if they are for symbols of another table.
    pub(crate) fn relocations(
        &self,
        section: &Section<'a>,
    ) -> Result<impl Iterator<Item = Rela> + 'a> {
        if section.kind != kind::RELA || section.link != self.symtab.into() {
            return Err(invalid("is for symbols that there are not").of(section.name));
        }
        Ok(section.data.chunks_exact(RELA).filter_map(|raw| {
            let info = u64_at(raw, 8)?;
            Some(Rela {
                offset: u64_at(raw, 0)?,
                // CAST: The halves of a 64-bit word.
                kind: info as u32,
                symbol: (info >> 32) as u32,
                addend: i64_at(raw, 16)?,
            })
        }))
    }
}

#[cfg(test)]
mod tests;
