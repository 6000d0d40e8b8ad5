// SPDX-License-Identifier: GPL-2.0-only

//! Places in the source that are kept for panics: their lines move.

use super::{
    changed_source,
    edited, //
};

/// A function that has such a place, and one with something of the same form.
const SOURCE: &str = r#"
extern int failed(const void *at);
struct place { const char *name; unsigned long len; int line, column; };
static const char file[] = "lib/a.rs";
static const char words[] = "lib/a.rs is a file";
static const struct place place = { file, 8, 10, 4 };
static const struct place other = { words, 18, 10, 4 };
int first(int x) { return x > 3 ? failed(&place) : x; }
int second(int x) { return x > 3 ? failed(&other) : x; }
"#;

#[test]
fn l_16_only_lines_of_a_source_may_move() {
    let after = edited(SOURCE, "file, 8, 10, 4", "file, 8, 11, 5");
    let (selection, _) = changed_source(SOURCE, &after);
    assert!(selection.replaced.is_empty() && selection.refusals.is_empty());
    // What is not the name of a file, and numbers that are no line.
    assert_eq!(refused(SOURCE, "18, 10, 4", "18, 11, 5"), "other");
    // Nor is what is longer or shorter than what it refers to.
    let source = edited(SOURCE, "file, 8, 10", "file, 80, 10");
    assert_eq!(refused(&source, "80, 10", "80, 11"), "place");
}

/// The table of addresses for which a change is refused, the only reason.
fn refused(source: &str, from: &str, to: &str) -> String {
    let (selection, payload) = changed_source(source, &edited(source, from, to));
    assert!(payload.is_none());
    let why: Vec<_> = selection.refusals.into_iter().collect();
    let [why] = &why[..] else {
        panic!("{why:?}");
    };
    let (name, why) = why.split_once(": ").unwrap();
    assert_eq!(
        why,
        "is a table of addresses that has changed, and may be in use"
    );
    name.to_string()
}
