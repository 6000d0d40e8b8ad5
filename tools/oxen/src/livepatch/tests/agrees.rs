// SPDX-License-Identifier: GPL-2.0-only

//! Whether the builder and the module's loader (`rust/livepatch`) mean the same where both have a number or a list.

use std::collections::BTreeSet;

use object::elf;
use object::{
    Object as _,
    ObjectSection as _, //
};

use super::super::module::ENDBR;
use super::super::object::{
    kind_of,
    Kind,
    SWITCHES,
    TABLES, //
};
use super::super::select::{
    SPARE,
    SPECIAL, //
};
use super::super::write::{
    JUMP,
    NO_OP,
    RECORD, //
};
use super::change;

const FUNC: &str = include_str!("../../../../../rust/livepatch/func.rs");
const RELOCATE: &str = include_str!("../../../../../rust/livepatch/relocate.rs");
const LAYOUT: &str = include_str!("../../../../../rust/livepatch/layout.rs");

/// What a constant of a source is set to.
fn value<'a>(source: &'a str, name: &str) -> &'a str {
    let start = format!("const {name}: ");
    let (_, rest) = source
        .split_once(&start)
        .unwrap_or_else(|| panic!("no {name}"));
    let (_, rest) = rest.split_once(" =").unwrap();
    rest.split_once(';').unwrap().0.trim()
}

fn number(source: &str, name: &str) -> usize {
    value(source, name).parse().unwrap()
}

fn bytes(source: &str, name: &str) -> Vec<u8> {
    let list = value(source, name).trim_matches(['[', ']']);
    list.split(", ")
        .map(|byte| u8::from_str_radix(byte.trim_start_matches("0x"), 16).unwrap())
        .collect()
}

/// The names in a constant.
fn names<'a>(source: &'a str, name: &str) -> Vec<&'a str> {
    let value = value(source, name);
    let starts = value.match_indices("b\"").filter(|(at, _)| {
        let before = value[..*at].chars().next_back();
        !before.is_some_and(|before| before.is_ascii_alphanumeric())
    });
    let names: Vec<_> = starts
        .map(|(at, _)| value[at + 2..].split_once('"').unwrap().0)
        .collect();
    assert!(!names.is_empty(), "{name}");
    names
}

#[test]
fn numbers_and_instructions() {
    assert_eq!(number(FUNC, "RECORD"), RECORD);
    assert_eq!(number(FUNC, "JUMP"), JUMP);
    assert_eq!(bytes(FUNC, "ENDBR"), ENDBR);
    assert_eq!(bytes(FUNC, "TRACED"), NO_OP);
    assert_eq!(bytes(RELOCATE, "NOP5"), NO_OP);
}

#[test]
fn what_the_loader_drops_goes_into_no_payload() {
    let mut unneeded = names(LAYOUT, "UNNEEDED");
    unneeded.extend(names(LAYOUT, "UNNEEDED_PREFIX"));
    for name in unneeded {
        for flags in [elf::SHF_ALLOC, elf::SHF_ALLOC.with(elf::SHF_WRITE)] {
            assert_eq!(kind_of(name, flags), None, "{name}");
        }
    }
}

#[test]
fn what_the_loader_refuses_the_builder_refuses_and_the_other_way_round() {
    let unneeded = names(LAYOUT, "UNNEEDED");
    let not_done = names(LAYOUT, "NOT_DONE");
    for table in TABLES {
        let spare = SPARE.iter().any(|(name, _)| *name == table) && unneeded.contains(&table);
        let refused = not_done.iter().any(|name| table.starts_with(name));
        assert!(spare != refused, "{table}");
    }
    for name in SPECIAL {
        let refused = not_done.iter().any(|refused| name.starts_with(refused));
        assert!(refused, "{name}");
    }
    for name in not_done {
        let begins = |list: &[&str]| list.iter().any(|one| one.starts_with(name));
        let kind = kind_of(name, elf::SHF_ALLOC);
        let known = begins(&TABLES)
            || begins(&SPECIAL)
            || name == SWITCHES
            || kind.is_none()
            || kind == Some(Kind::Passing)
            // What only Xen's own compilers make, and what only a payload has.
            || [".ex_table", ".bug_frames", "__kcfi_traps", ".livepatch.hooks."].contains(&name);
        assert!(known, "{name}");
    }
}

#[test]
fn what_describes_a_payload_has_the_names_that_the_loader_looks_for() {
    let (_, payload) = change("leaf(x) * 5", "leaf(x) * 7");
    let payload = payload.unwrap();
    let file = object::File::parse(&payload[..]).unwrap();
    let has: BTreeSet<_> = file
        .sections()
        .map(|section| section.name().unwrap().to_string())
        .collect();
    for name in ["FUNCS", "XEN_DEPENDS", "DEPENDS", "BUILD_ID", "MODINFO"] {
        let wanted = names(LAYOUT, name)[0];
        assert!(has.contains(wanted), "{wanted}");
    }
}
