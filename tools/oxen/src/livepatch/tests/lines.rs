// SPDX-License-Identifier: GPL-2.0-only

//! Places in the source that are kept for panics: their lines move.

use super::{
    changed_source,
    replaced, //
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
    let after = SOURCE.replace("file, 8, 10, 4", "file, 8, 11, 5");
    let (selection, _) = changed_source(SOURCE, &after);
    assert!(selection.replaced.is_empty() && selection.refusals.is_empty());
    // What is not the name of a file, and numbers that are no line.
    let after = SOURCE.replace("18, 10, 4", "18, 11, 5");
    let (selection, _) = changed_source(SOURCE, &after);
    let why: Vec<_> = selection.refusals.iter().collect();
    assert!(
        replaced(&selection) == ["second"] || why.iter().any(|one| one.starts_with("other: ")),
        "{why:?}"
    );
    // Nor is what is longer or shorter than what it refers to.
    let source = SOURCE.replace("file, 8, 10", "file, 80, 10");
    let (selection, _) = changed_source(&source, &source.replace("80, 10", "80, 11"));
    assert!(!selection.replaced.is_empty() || !selection.refusals.is_empty());
}
