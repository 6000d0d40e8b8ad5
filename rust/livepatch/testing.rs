// SPDX-License-Identifier: GPL-2.0-only

//! For tests: payloads made to measure, and a hypervisor to load them into.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::elf::{
    flag,
    kind, //
};
use super::func::RECORD;
use super::layout::name;
use super::load::{
    self,
    Host, //
};
use super::note::Id;
use super::refusal::{
    Refusal,
    Result, //
};
use super::relocate::Return;
use super::resolve::Found;
use crate::abi::errno::{
    self,
    EINVAL,
    ENOMEM,
    EOPNOTSUPP, //
};

/// Where the pretended hypervisor's code is, and how much of it there is.
pub(crate) const TEXT: u64 = 0xffff_ffff_c020_0000;
pub(crate) const TEXT_LEN: usize = 0x1000;
/// Where its arenas are.
pub(crate) const ARENA_TEXT: u64 = 0xffff_ffff_c021_0000;
pub(crate) const ARENA_DATA: u64 = 0xffff_ffff_c030_0000;
/// A function of the kernel.
pub(crate) const PRINTK: u64 = 0xffff_ffff_8110_0000;
/// The running build, and that of payloads.
pub(crate) const RUNNING: [u8; 20] = *b"the running build id";
pub(crate) const OWN: [u8; 20] = *b"a payload's build-id";

/// A relocation, by the name of its symbol.
#[derive(Clone)]
pub(crate) struct Reloc {
    pub(crate) offset: u64,
    pub(crate) kind: u32,
    pub(crate) symbol: String,
    pub(crate) addend: i64,
}

/// A section.
#[derive(Clone)]
pub(crate) struct Sec {
    pub(crate) name: String,
    pub(crate) kind: u32,
    pub(crate) flags: u64,
    pub(crate) align: u64,
    pub(crate) data: Vec<u8>,
    /// Of a section without contents.
    pub(crate) size: u64,
    pub(crate) relocs: Vec<Reloc>,
}

/// A symbol: its name, its section by name if it has one, value, size, binding and type.
#[derive(Clone)]
pub(crate) struct Sym {
    pub(crate) name: String,
    pub(crate) section: Option<String>,
    pub(crate) value: u64,
    pub(crate) size: u64,
    pub(crate) info: u8,
}

/// A payload to be.
#[derive(Clone)]
pub(crate) struct Builder {
    pub(crate) sections: Vec<Sec>,
    pub(crate) symbols: Vec<Sym>,
}

/// A note of the tool chain.
pub(crate) fn note(id: &[u8]) -> Vec<u8> {
    let words = [4u32, id.len() as u32, 3].map(u32::to_le_bytes);
    [words.as_flattened(), b"GNU\0", id].concat()
}

impl Builder {
    /// A payload with its identities and nothing else, which is one thing too few.
    pub(crate) fn bare() -> Self {
        let mut this = Self {
            sections: Vec::new(),
            symbols: Vec::new(),
        };
        for (name, id) in [
            (name::XEN_DEPENDS, &RUNNING),
            (name::DEPENDS, &RUNNING),
            (name::BUILD_ID, &OWN),
        ] {
            let name = std::str::from_utf8(name).unwrap();
            this.section(name, flag::ALLOC, &note(id)).kind = kind::NOTE;
        }
        this
    }

    /// A payload that replaces the function `one`.
    pub(crate) fn simple() -> Self {
        let mut this = Self::bare();
        // mov $1, %eax; jmp __x86_return_thunk
        this.code(".text.new", "new", &[0xb8, 1, 0, 0, 0, 0xe9, 0, 0, 0, 0]);
        this.reloc(".text.new", 6, 4, "__x86_return_thunk", -4);
        this.replace("one", "new", 10, 32);
        this
    }

    /// Adds a section.
    pub(crate) fn section(&mut self, name: &str, flags: u64, data: &[u8]) -> &mut Sec {
        self.sections.push(Sec {
            name: name.into(),
            kind: kind::PROGBITS,
            flags,
            align: 8,
            data: data.to_vec(),
            size: data.len() as u64,
            relocs: Vec::new(),
        });
        self.sections.last_mut().unwrap()
    }

    /// The section of that name.
    pub(crate) fn get(&mut self, name: &str) -> &mut Sec {
        self.sections
            .iter_mut()
            .find(|section| section.name == name)
            .unwrap()
    }

    /// Adds a function in a section of its own.
    pub(crate) fn code(&mut self, section: &str, name: &str, code: &[u8]) {
        self.section(section, flag::ALLOC | flag::EXEC, code);
        self.symbol(name, Some(section), 0, code.len() as u64, 0x02);
    }

    /// Adds a symbol.
    pub(crate) fn symbol(
        &mut self,
        name: &str,
        section: Option<&str>,
        value: u64,
        size: u64,
        info: u8,
    ) {
        self.symbols.push(Sym {
            name: name.into(),
            section: section.map(Into::into),
            value,
            size,
            info,
        });
    }

    /// Adds a relocation, and the symbol if there is none of that name.
    pub(crate) fn reloc(
        &mut self,
        section: &str,
        offset: u64,
        kind: u32,
        symbol: &str,
        addend: i64,
    ) {
        if !symbol.is_empty() && !self.symbols.iter().any(|s| s.name == symbol) {
            self.symbol(symbol, None, 0, 0, 0x10);
        }
        self.get(section).relocs.push(Reloc {
            offset,
            kind,
            symbol: symbol.into(),
            addend,
        });
    }

    /// Adds a record: the function `old`, which has `old_size` bytes, is replaced by `new`, or, if that is empty, its
    /// first `new_size` bytes by no-ops.
    pub(crate) fn replace(&mut self, old: &str, new: &str, new_size: u32, old_size: u32) {
        let funcs = std::str::from_utf8(name::FUNCS).unwrap();
        if !self.sections.iter().any(|s| s.name == funcs) {
            self.section(funcs, flag::ALLOC | flag::WRITE, &[]);
        }
        let string = format!(".rodata.name.{old}");
        self.section(&string, flag::ALLOC, format!("{old}\0").as_bytes());
        self.symbol(&string.clone(), Some(&string), 0, 0, 0x01);
        let mut record = [0; RECORD];
        record[24..28].copy_from_slice(&new_size.to_le_bytes());
        record[28..32].copy_from_slice(&old_size.to_le_bytes());
        record[32] = 2;
        let at = self.get(funcs).data.len() as u64;
        self.get(funcs).data.extend(record);
        self.reloc(funcs, at, 1, &string, 0);
        if !new.is_empty() {
            self.reloc(funcs, at + 8, 1, new, 0);
        }
    }

    /// The bytes of the last record.
    pub(crate) fn record(&mut self) -> &mut [u8] {
        let data = &mut self.get(std::str::from_utf8(name::FUNCS).unwrap()).data;
        let at = data.len() - RECORD;
        &mut data[at..]
    }

    /// Adds a hook: a function that only returns.
    pub(crate) fn hook(&mut self, section: &str) {
        let name = format!("hook{}", self.sections.len());
        self.code(&format!(".text.{name}"), &name, &[0xe9, 0, 0, 0, 0]);
        self.reloc(&format!(".text.{name}"), 1, 4, "__x86_return_thunk", -4);
        self.section(section, flag::ALLOC, &[0; 8]);
        self.reloc(section, 0, 1, &name, 0);
    }

    /// The file.
    pub(crate) fn build(&self) -> Vec<u8> {
        let mut strings = Strings::new();
        let mut names = Strings::new();
        let mut sections = self.sections.clone();
        for section in &mut sections {
            if section.kind != kind::NOBITS {
                section.size = section.data.len() as u64;
            }
        }
        let index = |name: &str| {
            1 + self
                .sections
                .iter()
                .position(|section| section.name == name)
                .unwrap() as u16
        };
        // Local symbols come first.
        let mut symbols: Vec<&Sym> = self.symbols.iter().collect();
        symbols.sort_by_key(|symbol| symbol.info >> 4 != 0);
        let locals = 1 + symbols.iter().filter(|s| s.info >> 4 == 0).count() as u32;
        let mut symtab = vec![0; 24];
        for symbol in &symbols {
            symtab.extend(strings.add(&symbol.name).to_le_bytes());
            symtab.extend([symbol.info, 0]);
            let section = symbol.section.as_deref().map_or(0, index);
            symtab.extend(section.to_le_bytes());
            symtab.extend(symbol.value.to_le_bytes());
            symtab.extend(symbol.size.to_le_bytes());
        }
        let symtab_index = self.sections.len() as u32
            + self
                .sections
                .iter()
                .filter(|s| !s.relocs.is_empty())
                .count() as u32
            + 1;
        let mut headers = vec![[0u64; 8]];
        let mut bytes = vec![0; 64];
        let mut add = |header: [u64; 8], data: &[u8], bytes: &mut Vec<u8>| {
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            let mut header = header;
            header[3] = bytes.len() as u64;
            bytes.extend(data);
            headers.push(header);
        };
        // Name and type, flags, address, offset, size, link and info, alignment, size of an element.
        for section in &sections {
            let name = u64::from(names.add(&section.name)) | u64::from(section.kind) << 32;
            let header = [name, section.flags, 0, 0, section.size, 0, section.align, 0];
            add(header, &section.data, &mut bytes);
        }
        for section in sections.iter().filter(|s| !s.relocs.is_empty()) {
            let mut data = Vec::new();
            for reloc in &section.relocs {
                let symbol = symbols
                    .iter()
                    .position(|symbol| symbol.name == reloc.symbol)
                    .map_or(0, |at| at as u64 + 1);
                data.extend(reloc.offset.to_le_bytes());
                data.extend((symbol << 32 | u64::from(reloc.kind)).to_le_bytes());
                data.extend(reloc.addend.to_le_bytes());
            }
            let name = names.add(&format!(".rela{}", section.name));
            let name = u64::from(name) | u64::from(kind::RELA) << 32;
            let link = u64::from(symtab_index) | u64::from(index(&section.name)) << 32;
            add(
                [name, 0, 0, 0, data.len() as u64, link, 8, 24],
                &data,
                &mut bytes,
            );
        }
        let name = u64::from(names.add(".symtab")) | u64::from(kind::SYMTAB) << 32;
        let link = u64::from(symtab_index + 1) | u64::from(locals) << 32;
        add(
            [name, 0, 0, 0, symtab.len() as u64, link, 8, 24],
            &symtab,
            &mut bytes,
        );
        let name = u64::from(names.add(".strtab")) | u64::from(kind::STRTAB) << 32;
        add(
            [name, 0, 0, 0, strings.0.len() as u64, 0, 1, 0],
            &strings.0,
            &mut bytes,
        );
        let name = u64::from(names.add(".shstrtab")) | u64::from(kind::STRTAB) << 32;
        add(
            [name, 0, 0, 0, names.0.len() as u64, 0, 1, 0],
            &names.0,
            &mut bytes,
        );
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        let at = bytes.len() as u64;
        for header in &headers {
            bytes.extend(header.map(u64::to_le_bytes).as_flattened());
        }
        let count = headers.len() as u16;
        let mut header = Vec::from(*b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
        header.extend([1, 0, 62, 0, 1, 0, 0, 0]);
        header.extend([0; 16]);
        header.extend(at.to_le_bytes());
        header.extend([0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 64, 0]);
        header.extend(count.to_le_bytes());
        header.extend((count - 1).to_le_bytes());
        bytes[..64].copy_from_slice(&header);
        bytes
    }
}

struct Strings(Vec<u8>);

impl Strings {
    fn new() -> Self {
        Self(vec![0])
    }

    fn add(&mut self, string: &str) -> u32 {
        if string.is_empty() {
            return 0;
        }
        let at = self.0.len() as u32;
        self.0.extend(string.bytes());
        self.0.push(0);
        at
    }
}

/// A pretended hypervisor. Its functions `one`, `two`, ... have 32 bytes each; `guarded` begins with an ENDBR64,
/// `fixed` may not be patched, `sealed` may not be pointed to, `traced` is one of C.
pub(crate) struct Fake {
    pub(crate) text: Vec<u8>,
    pub(crate) symbols: BTreeMap<Vec<u8>, Found>,
    pub(crate) ids: Vec<Id>,
    pub(crate) running: Option<Id>,
    pub(crate) returns: Return,
    pub(crate) room: u32,
    /// Where the kernel changes the text by itself, five bytes each.
    pub(crate) sites: Vec<u64>,
    /// Bytes that are set aside.
    pub(crate) taken: Rc<RefCell<u64>>,
}

/// Memory of a pretended arena.
pub(crate) struct FakeSpace {
    taken: Rc<RefCell<u64>>,
    len: u64,
}

impl Drop for FakeSpace {
    fn drop(&mut self) {
        *self.taken.borrow_mut() -= self.len;
    }
}

impl load::Space for FakeSpace {
    fn text(&self) -> u64 {
        ARENA_TEXT
    }
    fn data(&self) -> u64 {
        ARENA_DATA
    }
}

/// The functions of the pretended hypervisor, in order.
pub(crate) const FUNCTIONS: [&str; 7] = [
    "one", "two", "three", "guarded", "fixed", "sealed", "traced",
];

impl Fake {
    pub(crate) fn new() -> Self {
        let mut symbols = BTreeMap::new();
        let mut text = vec![0x90; TEXT_LEN];
        for (index, name) in FUNCTIONS.iter().enumerate() {
            let found = Found {
                addr: TEXT + 32 * index as u64,
                func: true,
            };
            symbols.insert(name.as_bytes().to_vec(), found);
            text[32 * index] = 0x50 + index as u8;
            if *name == "guarded" {
                text[32 * index..][..4].copy_from_slice(&super::func::ENDBR);
            }
            if *name == "traced" {
                text[32 * index..][..4].copy_from_slice(&super::func::ENDBR);
                text[32 * index + 4..][..5].copy_from_slice(&super::func::TRACED);
            }
        }
        let others = [("counter", TEXT + 0x8000, false), ("_printk", PRINTK, true)];
        for (name, addr, func) in others {
            symbols.insert(name.as_bytes().to_vec(), Found { addr, func });
        }
        Self {
            text,
            symbols,
            ids: Vec::new(),
            running: Id::new(&RUNNING),
            returns: Return::Ret,
            room: 1 << 20,
            sites: Vec::new(),
            taken: Rc::default(),
        }
    }

    /// The address of a symbol.
    pub(crate) fn addr(&self, name: &str) -> u64 {
        self.symbols[name.as_bytes()].addr
    }
}

impl Host for Fake {
    type Space = FakeSpace;

    fn build_id(&self) -> Option<Id> {
        self.running
    }
    fn is_loaded(&self, id: &Id) -> bool {
        self.ids.contains(id)
    }
    fn symbol(&self, name: &[u8]) -> Option<Found> {
        self.symbols.get(name).copied()
    }
    fn check_function(&self, addr: u64, size: u32) -> Result {
        let fixed = self.addr("fixed");
        let end = addr.checked_add(size.into());
        match end {
            Some(end) if addr < fixed + 32 && end > fixed => {
                Err(Refusal::new(EOPNOTSUPP, "may not be patched"))
            }
            Some(end) if addr >= TEXT && end <= TEXT + TEXT_LEN as u64 => Ok(()),
            _ => Err(Refusal::new(EINVAL, "is no function of the hypervisor")),
        }
    }
    fn has_site(&self, addr: u64, len: usize) -> bool {
        let mut sites = self.sites.iter();
        sites.any(|&site| site < addr + len as u64 && addr < site + 5)
    }
    fn may_be_pointed_to(&self, addr: u64) -> bool {
        addr != self.addr("sealed")
    }
    fn read_text(&self, addr: u64, into: &mut [u8]) -> bool {
        let found = addr
            .checked_sub(TEXT)
            .and_then(|at| self.text.get(at as usize..)?.get(..into.len()));
        if let Some(found) = found {
            into.copy_from_slice(found);
        }
        found.is_some()
    }
    fn returns(&self) -> Return {
        self.returns
    }
    fn allocate(&self, text: u32, data: u32) -> errno::Result<FakeSpace> {
        if text.saturating_add(data) > self.room {
            return Err(ENOMEM);
        }
        let len = u64::from(text) + u64::from(data);
        *self.taken.borrow_mut() += len;
        Ok(FakeSpace {
            taken: self.taken.clone(),
            len,
        })
    }
}

/// Checks that what was loaded is sound, whatever it was loaded from.
pub(crate) fn check(
    result: Result<(super::payload::Payload<FakeSpace>, super::image::Images)>,
    host: &Fake,
) {
    if let Ok((payload, images)) = &result {
        let text = ARENA_TEXT..ARENA_TEXT + images.text.bytes.len() as u64;
        assert_eq!(payload.sizes.0 as usize, images.text.bytes.len());
        assert_eq!(payload.sizes.1 as usize, images.data.bytes.len());
        assert!(images.text.bytes.len() + images.data.bytes.len() <= host.room as usize);
        for func in payload.funcs.iter() {
            let mut found = vec![0; func.patch.len()];
            assert!(host.read_text(func.site(), &mut found));
            assert!(host.check_function(func.old, func.old_size).is_ok());
            assert!(usize::from(func.skip) + func.patch.len() <= func.old_size as usize);
            assert!(func.new.is_none_or(|new| text.contains(&new)));
        }
        let hooks = &payload.hooks;
        let single = [
            hooks.pre_apply,
            hooks.apply,
            hooks.post_apply,
            hooks.pre_revert,
            hooks.revert,
            hooks.post_revert,
        ];
        let all = single.iter().flatten();
        for hook in all.chain(hooks.load.iter()).chain(hooks.unload.iter()) {
            assert!(text.contains(&hook.addr()));
        }
        assert!(payload.metadata.last().is_none_or(|&byte| byte == 0));
    }
    drop(result);
    assert_eq!(*host.taken.borrow(), 0);
}
