// SPDX-License-Identifier: GPL-2.0-only

//! Which tree is a module's.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::tree;
use super::{
    compile,
    module,
    object, //
};

/// A module's source. Functions that jump to each other, constants, variables, a type.
const SOURCE: &str = r#"
extern int printk(const char *format, ...);
struct shape { int first, second; };
int counter = 3;
int zeroes[16];
static const int table[4] = { 1, 2, 3, 4 };
int (*const actions[1])(int);
static __attribute__((noipa)) int leaf(int x) { return x * counter; }
int sum(int x);
__attribute__((noipa)) int tail(int x) { if (x > 3) return leaf(x); return 1; }
int again(int x) { return x > 9 ? tail(x) : again(printk("says") + x); }
int sum(int x) { int n = 0; while (x--) n += table[x & 3] * zeroes[x & 15]; return n; }
int both(int x) { return leaf(x) + sum(x); }
int second(struct shape *shape) { return shape->second; }
int (*const actions[1])(int) = { tail };
"#;

/// What is another in the module of one source than in the tree of another.
pub(super) fn differences(of_module: &str, of_tree: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    object(dir, "plain", of_module, &[]);
    let module = module(dir, &["plain.o"]);
    let build = compile(dir, "tree", of_tree);
    tree::differences(&module, &build, Path::new("/nowhere"))
        .into_iter()
        .collect()
}

#[test]
fn l_16_only_the_width_of_jumps_may_be_another() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    object(dir, "plain", SOURCE, &[]);
    let module = module(dir, &["plain.o"]);
    let build = compile(dir, "tree", SOURCE);
    // That is so here.
    let tail = build.objects[0].1.by_name["tail"];
    let tail = &build.objects[0].1.pieces[tail];
    assert!(module.one("tail").unwrap().size < tail.size);
    let found = tree::differences(&module, &build, Path::new("/nowhere"));
    assert_eq!(found, BTreeSet::new());
}

#[test]
fn l_16_a_tree_that_is_ahead_is_told_by_what_differs() {
    let differs = |from: &str, to: &str| {
        let tree = SOURCE.replace(from, to);
        assert_ne!(tree, SOURCE);
        // Whichever of the two is ahead.
        assert_eq!(differences(&tree, SOURCE), differences(SOURCE, &tree));
        differences(SOURCE, &tree)
    };
    // Another struct.
    assert_eq!(differs("first, second", "second, first"), ["second"]);
    assert_eq!(differs("x * counter", "x + counter"), ["leaf"]);
    // Where a jump or call goes.
    assert_eq!(
        differs("return leaf(x); return 1", "return sum(x); return 1"),
        ["tail"]
    );
    // And its condition.
    assert_eq!(differs("x > 3", "x >= 3"), ["tail"]);
    assert_eq!(differs("x > 3", "x < 5"), ["tail"]);
    // Constants without a name, and with one.
    assert_eq!(differs("says", "told"), ["again"]);
    assert_eq!(differs("3, 4", "3, 5"), ["table"]);
    assert_eq!(differs("= { tail }", "= { again }"), ["actions"]);
    // Variables.
    assert_eq!(differs("counter = 3", "counter = 4"), ["counter"]);
    assert_eq!(
        differs("zeroes[16]", "zeroes[32]"),
        ["zeroes"],
        "a variable's size"
    );
    // What only one has.
    assert_eq!(
        differs("int second(", "int third(int x) { return x; }\nint second("),
        ["third"]
    );
}
