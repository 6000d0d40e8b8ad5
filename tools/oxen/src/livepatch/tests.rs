// SPDX-License-Identifier: GPL-2.0-only

//! Payloads of small C programs, which the compiler of this machine builds.

mod agrees;
mod jumps;
mod lines;
mod merged;
mod same;
mod variables;
mod whole;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use object::{
    Object as _,
    ObjectSection as _,
    ObjectSymbol as _, //
};

use super::compare::Comparison;
use super::module::Module;
use super::names;
use super::object::{
    Build,
    Object, //
};
use super::select::{
    self,
    Selection, //
};
use super::tree;
use super::write::{
    self,
    About,
    RECORD, //
};

/// What the tests change.
const BEFORE: &str = r#"
extern int printk(const char *format, ...);
static int counter = 3;
void count(void) { counter++; }
static const int table[4] = { 1, 2, 3, 4 };
static int hidden(int x) { return x * 3 + 1; }
__attribute__((noinline)) int leaf(int x) { return x + counter; }
__attribute__((noinline)) int other(int x) { return leaf(x) * 5; }
int uses_hidden(int x) { return hidden(x) + leaf(x); }
int uses_table(int x) { return table[x & 3]; }
int says(void) { return printk("as before"); }
int (*pointers(void))(int) { return leaf; }
__attribute__((section(".text.unlikely.rare"))) int rare(int x) { return printk("rare") * x + 3; }
__attribute__((section(".kprobes.text"))) int fixed(int x) { return x + 1; }
int (*const actions[2])(int) = { leaf, other };
"#;

const BEGIN: &str = ".globl oxen_text_begin\n.text\noxen_text_begin:\n\
    .globl oxen_cold_begin\n.section .text.unlikely., \"ax\"\noxen_cold_begin:\n";
const END: &str = ".globl oxen_text_end\n.text\noxen_text_end:\n\
    .globl oxen_cold_end\n.section .text.unlikely., \"ax\"\noxen_cold_end:\n";

fn run(dir: &Path, program: &str, args: &[&str]) {
    let output = Command::new(program)
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {said}");
}

/// How a kernel is compiled, but for what the builder adds.
const FLAGS: &str = "-c -O2 -fno-pic -mcmodel=kernel -fcf-protection=branch -ffreestanding \
                     -fno-asynchronous-unwind-tables -fno-stack-protector -mno-red-zone";

fn object(dir: &Path, name: &str, source: &str, more: &[&str]) {
    let (c, o) = (format!("{name}.c"), format!("{name}.o"));
    std::fs::write(dir.join(&c), source).unwrap();
    let mut args: Vec<_> = FLAGS.split_whitespace().collect();
    args.extend(more);
    args.extend(["-o", &o, &c]);
    run(dir, "gcc", &args);
}

fn compile(dir: &Path, name: &str, source: &str) -> Build {
    object(
        dir,
        name,
        source,
        &["-ffunction-sections", "-fdata-sections"],
    );
    let object = Object::read(&dir.join(format!("{name}.o"))).unwrap();
    Build {
        objects: vec![("one.o".into(), object)],
    }
}

/// Links some objects as a module, what may be patched first.
fn module(dir: &Path, objects: &[&str]) -> Module {
    for (name, text) in [("begin", BEGIN), ("end", END)] {
        std::fs::write(dir.join(format!("{name}.s")), text).unwrap();
        run(
            dir,
            "as",
            &["-o", &format!("{name}.o"), &format!("{name}.s")],
        );
    }
    let script = "SECTIONS {
        .text : { *(.text .text.[a-t]* .text.us* .text.v*) }
        .text.unlikely : { *(.text.unlikely .text.unlikely.*) }
        .kprobes.text : { *(.kprobes.text) }
        .rodata : { *(.rodata .rodata.*) }
        .data : { *(.data .data.*) }
        .bss : { *(.bss .bss.*) }
    }";
    std::fs::write(dir.join("lds"), script).unwrap();
    let mut args = vec!["-r", "--build-id=sha1", "-T", "lds", "-o", "module.ko"];
    args.push("begin.o");
    args.extend(objects);
    args.push("end.o");
    run(dir, "ld", &args);
    Module::read(&dir.join("module.ko")).unwrap()
}

/// What comes of a change of the common source, and the payload if there is one.
fn change(from: &str, to: &str) -> (Selection, Option<Vec<u8>>) {
    changed_source(BEFORE, &edited(BEFORE, from, to))
}

/// A source with one text in the place of another, which must be there.
fn edited(source: &str, from: &str, to: &str) -> String {
    assert!(source.contains(from), "{from}");
    source.replace(from, to)
}

/// What comes of a change of a source, and the payload if there is one.
fn changed_source(from: &str, to: &str) -> (Selection, Option<Vec<u8>>) {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let before = compile(dir, "before", from);
    let after = compile(dir, "after", to);
    // As it is without the builder: everything in one section.
    object(dir, "plain", from, &[]);
    let module = module(dir, &["plain.o"]);
    assert_eq!(
        tree::differences(&module, &before, Path::new("")),
        BTreeSet::new()
    );
    let mut compare = Comparison::new(&before, &after);
    let selection = select::select(&mut compare, &module);
    let payload = selection.refusals.is_empty().then(|| {
        let about = About {
            depends: &module.id,
            words: vec![("author".into(), "test".into())],
        };
        write::write(&after, &selection, &module, &about)
            .unwrap()
            .bytes
    });
    (selection, payload)
}

/// How many functions a payload says that it replaces.
fn record_count(payload: &[u8]) -> usize {
    let file = object::File::parse(payload).unwrap();
    let funcs = file.section_by_name(".livepatch.funcs").unwrap();
    assert_eq!(funcs.size() % RECORD as u64, 0);
    funcs.size() as usize / RECORD
}

fn replaced(selection: &Selection) -> Vec<&str> {
    let mut names: Vec<_> = selection
        .replaced
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    names.sort_unstable();
    names
}

/// Names that a payload does not define, and that are referred to.
fn wanted(payload: &[u8]) -> Vec<String> {
    let file = object::File::parse(payload).unwrap();
    let mut names: Vec<String> = file
        .symbols()
        .filter(|symbol| symbol.is_undefined())
        .map(|symbol| symbol.name().unwrap().to_string())
        .filter(|name| !name.is_empty())
        .collect();
    names.sort();
    names
}

#[test]
fn l_16_what_the_compiler_takes_for_rarely_used_is_replaced_too() {
    let (selection, payload) = change("* x + 3", "* x + 30");
    assert_eq!(replaced(&selection), ["rare"], "{:?}", selection.refusals);
    assert!(payload.is_some(), "{:?}", selection.refusals);
}

#[test]
fn l_16_nothing_changed_is_nothing_to_replace() {
    let (selection, _) = change("", "");
    assert!(selection.replaced.is_empty() && selection.refusals.is_empty());
}

#[test]
fn l_16_a_function_whose_code_changed_is_replaced_and_nobody_else() {
    let (selection, payload) = change("leaf(x) * 5", "leaf(x) * 7");
    assert_eq!(replaced(&selection), ["other"]);
    let payload = payload.unwrap();
    assert_eq!(wanted(&payload), ["leaf"]);
    let file = object::File::parse(&payload[..]).unwrap();
    let funcs = file.section_by_name(".livepatch.funcs").unwrap();
    assert_eq!(funcs.size(), 104);
    assert_eq!(funcs.relocations().count(), 2);
    let record = funcs.data().unwrap();
    assert_eq!(record[32], 2);
    for name in [
        ".livepatch.depends",
        ".livepatch.xen_depends",
        ".note.gnu.build-id",
    ] {
        let note = file.section_by_name(name).unwrap();
        assert_eq!(note.size(), 36, "{name}");
        assert_eq!(
            &note.data().unwrap()[..16],
            b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0"
        );
    }
}

#[test]
fn l_16_who_has_it_inlined_is_replaced() {
    let (selection, payload) = change("x * 3 + 1", "x * 3 + 2");
    assert_eq!(replaced(&selection), ["uses_hidden"]);
    assert_eq!(wanted(&payload.unwrap()), ["leaf"]);
}

#[test]
fn l_16_constants_go_along() {
    let (selection, payload) = change("{ 1, 2, 3, 4 }", "{ 1, 2, 3, 5 }");
    assert_eq!(replaced(&selection), ["uses_table"]);
    let payload = payload.unwrap();
    assert!(wanted(&payload).is_empty());
    let file = object::File::parse(&payload[..]).unwrap();
    let constants = file.section_by_name(".rodata").unwrap();
    let table = [1_u32, 2, 3, 5].map(u32::to_le_bytes).concat();
    let data = constants.data().unwrap();
    assert!(data.windows(16).any(|window| window == table));
    let (selection, payload) = change("as before", "otherwise");
    assert_eq!(replaced(&selection), ["says"]);
    assert_eq!(wanted(&payload.unwrap()), ["printk"]);
}

#[test]
fn l_16_new_functions_and_variables_go_along() {
    let (selection, payload) = change(
        "int uses_table(int x) {",
        "static int news;\n__attribute__((noinline)) int added(int x) { return x + ++news; }\n\
         int uses_table(int x) { x += added(x);",
    );
    assert_eq!(replaced(&selection), ["uses_table"]);
    let payload = payload.unwrap();
    assert_eq!(wanted(&payload), ["table"]);
    let file = object::File::parse(&payload[..]).unwrap();
    assert_eq!(file.section_by_name(".bss").unwrap().size(), 4);
    assert!(file.symbols().any(|symbol| symbol.name() == Ok("added")));
}

#[test]
fn l_16_an_address_of_a_function_is_the_old_one() {
    let (selection, payload) = change(
        "int (*pointers(void))(int) { return leaf; }",
        "extern int sink; int (*pointers(void))(int) { sink = 1; return leaf; }",
    );
    assert_eq!(replaced(&selection), ["pointers"]);
    assert_eq!(wanted(&payload.unwrap()), ["leaf", "sink"]);
}

#[test]
fn l_16_what_cannot_be_is_refused_by_name() {
    let refused = |from, to| {
        let (selection, payload) = change(from, to);
        assert!(payload.is_none());
        selection
            .refusals
            .into_iter()
            .collect::<Vec<_>>()
            .join("; ")
    };
    let why = refused("counter = 3", "counter = 4");
    assert!(
        why.starts_with("counter: is a variable whose first value"),
        "{why}"
    );
    let why = refused("static int counter = 3", "static long counter = 3");
    assert!(
        why.starts_with("counter: is a variable whose first value or size"),
        "{why}"
    );
    let why = refused("{ leaf, other }", "{ other, leaf }");
    assert!(why.starts_with("actions: is a table of addresses"), "{why}");
    let why = refused("fixed(int x) { return x + 1", "fixed(int x) { return x + 2");
    assert!(
        why.starts_with("fixed: has changed, and may not be patched"),
        "{why}"
    );
}

#[test]
fn names_are_shown_without_their_mangling() {
    let name = "_RNvNtNtCskXURjJGce1j_4oxen9hypercall7version11xen_version";
    assert_eq!(names::shown(name), "oxen::hypercall::version::xen_version");
    assert_eq!(names::shown("oxen_cpu_core_id"), "oxen_cpu_core_id");
}
