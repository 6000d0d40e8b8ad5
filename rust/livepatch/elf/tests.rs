// SPDX-License-Identifier: GPL-2.0-only

//! What is no object, or an object of another kind, is refused; LP-4 to LP-7 among it.

use super::*;
use crate::abi::errno::Errno;
use crate::livepatch::testing::Builder;

/// Opens and checks an object.
fn parse(bytes: &[u8]) -> Result<Object<'_>> {
    let mut object = Object::open(bytes)?;
    object.check()?;
    Ok(object)
}

fn refused(bytes: &[u8]) -> (Errno, String) {
    let refusal = parse(bytes).err().expect("is refused");
    (refusal.errno, refusal.to_string())
}

/// Writes `value` at `at` of a good object.
fn changed<const N: usize>(at: usize, value: [u8; N]) -> Vec<u8> {
    let mut bytes = Builder::simple().build();
    bytes[at..at + N].copy_from_slice(&value);
    bytes
}

/// Where the header of the section of that name is, in the file.
fn header_of(bytes: &[u8], name: &str) -> usize {
    let object = parse(bytes).unwrap();
    let section = object.by_name(name.as_bytes()).unwrap().unwrap();
    let table = u64_at(bytes, 40).unwrap() as usize;
    table + SHDR * usize::from(section.index)
}

#[test]
fn a_good_object_is_read() {
    let bytes = Builder::simple().build();
    let object = parse(&bytes).unwrap();
    let text = object.by_name(b".text.new").unwrap().unwrap();
    assert_eq!((text.kind, text.rights()), (kind::PROGBITS, (false, true)));
    assert_eq!(text.data.len(), 10);
    let rela = object.by_name(b".rela.text.new").unwrap().unwrap();
    let relocs: Vec<_> = object.relocations(&rela).unwrap().collect();
    assert_eq!(
        (relocs[0].offset, relocs[0].kind, relocs[0].addend),
        (6, 4, -4)
    );
    let symbol = object.symbol(relocs[0].symbol).unwrap();
    assert_eq!(symbol.name, b"__x86_return_thunk");
    assert!(object.by_name(b".nothing").unwrap().is_none());
    assert!(object.symbol(object.symbol_count()).is_none());
    assert!(object.section(object.section_count()).is_none());
}

#[test]
fn other_kinds_of_files() {
    assert_eq!(refused(b"").0, EINVAL);
    assert_eq!(refused(b"\x7fELF").0, EINVAL);
    assert_eq!(refused(&[0; 4096]).0, EINVAL);
    assert_eq!(refused(&changed(0, [0x7e])).0, EINVAL);
    // 32 bits, big-endian, another version, another system, a program, another machine.
    for (at, value) in [
        (4, 1),
        (5, 2),
        (6, 2),
        (7, 3),
        (8, 1),
        (16, 2),
        (18, 3),
        (20, 2),
    ] {
        assert_eq!(refused(&changed(at, [value])).0, EOPNOTSUPP, "{at}");
    }
    assert_eq!(refused(&changed(56, [1])).0, EOPNOTSUPP);
    assert_eq!(refused(&changed(58, [40])).0, EINVAL);
    assert_eq!(refused(&changed(60, [0, 0])).0, EOPNOTSUPP);
    assert_eq!(refused(&changed(60, [0, 4])).0, EOPNOTSUPP);
}

#[test]
fn tables_outside_of_the_file() {
    assert_eq!(refused(&changed(40, [0xff; 8])).0, EINVAL);
    assert_eq!(refused(&changed(60, [0xff, 3])).0, EINVAL);
    assert_eq!(refused(&changed(62, [0, 0])).0, EINVAL);
    assert_eq!(refused(&changed(62, [0xff, 0xff])).0, EINVAL);
    let bytes = Builder::simple().build();
    for len in 0..bytes.len() {
        assert_eq!(refused(&bytes[..len]).0, EINVAL, "{len}");
    }
}

#[test]
fn sections_that_are_broken() {
    let bytes = Builder::simple().build();
    let at = header_of(&bytes, ".text.new");
    let (errno, why) = refused(&changed(at + 24, [0xff; 8]));
    assert_eq!(errno, EINVAL, "{why}");
    assert_eq!(refused(&changed(at + 32, [0xff; 8])).0, EINVAL);
    assert_eq!(refused(&changed(at, [0xff; 4])).0, EINVAL);
    // LP-6: alignments.
    for align in [3u64, 6, 8192, 1 << 63, u64::MAX] {
        let (errno, why) = refused(&changed(at + 48, align.to_le_bytes()));
        assert_eq!(errno, EINVAL);
        assert!(why.starts_with(".text.new: has an impossible"), "{why}");
    }
    for align in [0u64, 1, 4096] {
        assert!(parse(&changed(at + 48, align.to_le_bytes())).is_ok());
    }
    assert_eq!(refused(&changed(at + 4, [9])).0, EOPNOTSUPP);
    assert_eq!(refused(&changed(at + 4, [18])).0, EOPNOTSUPP);
    let mut huge = Builder::simple();
    let bss = huge.section(".bss", flag::ALLOC | flag::WRITE, &[]);
    (bss.kind, bss.size) = (kind::NOBITS, NOBITS_MAX + 1);
    assert_eq!(refused(&huge.build()).0, EINVAL);
    let at = header_of(&bytes, ".rela.text.new");
    for (field, value) in [(32, 23), (56, 8), (40, 0), (40, 0xff), (44, 0), (44, 0xff)] {
        let (errno, why) = refused(&changed(at + field, [value]));
        assert_eq!(errno, EINVAL);
        assert!(why.starts_with(".rela.text.new: "), "{why}");
    }
}

#[test]
fn symbols_that_are_broken() {
    let bytes = Builder::simple().build();
    let table = header_of(&bytes, ".symtab");
    assert_eq!(refused(&changed(table + 32, [23])).0, EINVAL);
    assert_eq!(refused(&changed(table + 56, [8])).0, EINVAL);
    assert_eq!(refused(&changed(table + 4, [1])).0, EINVAL);
    assert_eq!(refused(&changed(table + 40, [1])).0, EINVAL);
    let at = u64_at(&bytes, table + 24).unwrap() as usize + SYM;
    assert_eq!(refused(&changed(at, [0xff; 4])).0, EINVAL);
    // LP-5: a section that there is not, one of a kind that there is not.
    assert_eq!(refused(&changed(at + 6, [0xff, 0])).0, EINVAL);
    assert_eq!(refused(&changed(at + 6, [0xf2, 0xff])).0, EOPNOTSUPP);
    // Outside of its section.
    for field in [8, 16] {
        assert_eq!(refused(&changed(at + field, [0xff; 8])).0, EINVAL);
        assert_eq!(refused(&changed(at + field, [11])).0, EINVAL);
    }
    let strings = header_of(&bytes, ".strtab");
    let at = u64_at(&bytes, strings + 24).unwrap() as usize;
    let len = u64_at(&bytes, strings + 32).unwrap() as usize;
    assert_eq!(refused(&changed(at, [1])).0, EINVAL);
    assert_eq!(refused(&changed(at + len - 1, [1])).0, EINVAL);
}

#[test]
fn names_have_an_end() {
    let named = |len: usize| {
        let mut builder = Builder::simple();
        builder.symbol(&"n".repeat(len), None, 0, 0, 0x10);
        builder.build()
    };
    assert!(parse(&named(NAME_MAX)).is_ok());
    assert_eq!(refused(&named(NAME_MAX + 1)).0, EINVAL);
}

#[test]
fn two_of_a_name() {
    let mut two = Builder::simple();
    two.section("twice", 0, &[]);
    two.section("twice", 0, &[]);
    let bytes = two.build();
    let object = parse(&bytes).unwrap();
    assert_eq!(object.by_name(b"twice").err().unwrap().errno, EINVAL);
}
