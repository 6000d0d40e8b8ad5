// SPDX-License-Identifier: GPL-2.0-only

//! Variables that a change adds, takes away and gives other names.

use super::{
    changed_source,
    edited,
    replaced, //
};

/// Functions with variables, of which one has a name as the compiler gives them.
const SOURCE: &str = r#"
extern int printk(const char *format, ...);
int zone;
static int plain = 7;
static int limit __asm__("limit.0") = 4;
int first(int x) { zone += x; return printk("first") + zone; }
int second(int x) { limit += x; return printk("second") * limit; }
int third(int x) { return printk("third") - plain++ * x; }
"#;

/// Why a change of the source is refused.
fn why(from: &[&str], to: &[&str]) -> String {
    let mut after = SOURCE.to_string();
    for (from, to) in from.iter().zip(to) {
        after = edited(&after, from, to);
    }
    let (selection, payload) = changed_source(SOURCE, &after);
    assert_eq!(payload.is_none(), !selection.refusals.is_empty());
    let why: Vec<_> = selection.refusals.into_iter().collect();
    why.join("; ")
}

#[test]
fn l_16_a_variable_with_another_name_is_refused() {
    let found = why(&["plain"], &["other"]);
    assert!(
        found.starts_with("other: is a new variable, and plain is gone"),
        "{found}"
    );
    // As the compiler counts on.
    let found = why(&["\"limit.0\""], &["\"limit.1\""]);
    let want = "limit.1: is a new variable, and limit.0 is gone";
    assert!(found.starts_with(want), "{found}");
    // One that is alike is named before others.
    let found = why(&["\"limit.0\"", "plain++ * x"], &["\"limit.1\"", "x"]);
    assert!(found.starts_with(want), "{found}");
}

#[test]
fn l_16_a_variable_may_come_or_go() {
    let source = edited(SOURCE, "plain++ * x", "x");
    let (selection, payload) = changed_source(SOURCE, &source);
    assert_eq!(replaced(&selection), ["third"], "{:?}", selection.refusals);
    assert!(payload.is_some());
    let (selection, payload) = changed_source(&source, SOURCE);
    assert_eq!(replaced(&selection), ["third"], "{:?}", selection.refusals);
    assert!(payload.is_some());
}

#[test]
fn l_16_variables_that_are_counted_anew_are_refused() {
    const TWO: &str = r#"
extern int printk(const char *format, ...);
static int one __asm__("limit.0") = 4;
static int two __asm__("limit.1") = 4;
int first(int x) { one += x; return printk("first") + one; }
int second(int x) { two += x; return printk("second") * two; }
"#;
    const ONE: &str = r#"
extern int printk(const char *format, ...);
static int two __asm__("limit.0") = 4;
int first(int x) { return printk("first") + x; }
int second(int x) { two += x; return printk("second") * two; }
"#;
    for (before, after) in [(TWO, ONE), (ONE, TWO)] {
        let (selection, payload) = changed_source(before, after);
        assert!(payload.is_none());
        let why = "limit.0: is one of the variables of that name in its file";
        let mut refusals = selection.refusals.iter();
        assert!(
            refusals.any(|it| it.starts_with(why)),
            "{:?}",
            selection.refusals
        );
    }
}

#[test]
fn l_16_a_new_name_of_a_variable_is_refused() {
    let alias =
        "extern int again;\n__asm__(\".globl again\\n.type again, @object\\n.size again, 4\\n\"\n\
                 \".set again, zone\");\nint zone;";
    let found = why(&["int zone;", "zone += x"], &[alias, "again += x"]);
    assert_eq!(found, "again: is a new name of the variable zone");
}

#[test]
fn names_that_compilers_make_are_alike() {
    use super::names::is_alike;
    let rust =
        |crate_hash: &str, number: &str| format!("_RNvNtC{crate_hash}_4oxen5clock{number}3KHZ");
    assert!(is_alike("limit.0", "limit.11"));
    assert!(is_alike("limit", "limit.1"));
    assert!(is_alike(
        &rust("skXURjJGce1j", ""),
        &format!("{}.0", rust("skXURjJGce1j", ""))
    ));
    assert!(is_alike(
        &rust("skXURjJGce1j", "s_"),
        &rust("skXURjJGce1j", "s0_")
    ));
    assert!(!is_alike("limit.0", "limits.0"));
    assert!(!is_alike(&rust("skXURjJGce1j", ""), "KHZ"));
}
