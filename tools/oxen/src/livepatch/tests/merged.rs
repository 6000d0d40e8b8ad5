// SPDX-License-Identifier: GPL-2.0-only

//! Functions that are one piece of code under several names, as LLVM makes of those that are equal.

use super::{
    changed_source,
    edited,
    record_count,
    replaced, //
};

/// Two functions with code of their own.
const APART: &str = r#"
extern int printk(const char *format, ...);
int counter = 3;
__attribute__((noipa)) int first(int x) { return printk("first") + x; }
__attribute__((noipa)) int second(int x) { return printk("second") + x; }
int user(int x) { return second(x) * counter; }
"#;

/// The same with one piece of code for both.
const ONE: &str = r#"
extern int printk(const char *format, ...);
int counter = 3;
__attribute__((noipa)) int first(int x) { return printk("first") + x; }
int second(int x) __attribute__((alias("first")));
int user(int x) { return second(x) * counter; }
"#;

#[test]
fn l_16_a_change_of_one_of_two_functions_that_were_equal_is_refused() {
    for (name, other) in [("first", "second"), ("second", "first")] {
        let text = format!("printk(\"{other}\")");
        let after = edited(APART, &text, "printk(\"changed\")");
        // What has not changed is what both were.
        let after = edited(&after, &format!("\"{name}\""), "\"first\"");
        let (selection, payload) = changed_source(ONE, &after);
        assert!(payload.is_none());
        let why: Vec<_> = selection.refusals.into_iter().collect();
        let want = format!("{other}: shares its code with {name}, whom it would take along");
        assert_eq!(why, [want]);
    }
}

#[test]
fn l_16_a_change_of_both_names_of_a_function_is_one_jump() {
    let after = edited(ONE, "printk(\"first\")", "printk(\"changed\")");
    let (selection, payload) = changed_source(ONE, &after);
    assert_eq!(replaced(&selection), ["first"], "{:?}", selection.refusals);
    assert_eq!(record_count(&payload.unwrap()), 1);
}

#[test]
fn l_16_a_function_that_becomes_equal_to_another_is_replaced() {
    let (selection, payload) = changed_source(APART, ONE);
    assert_eq!(replaced(&selection), ["second"], "{:?}", selection.refusals);
    assert_eq!(record_count(&payload.unwrap()), 1);
}

#[test]
fn l_16_a_new_function_that_is_equal_to_an_old_one_goes_along() {
    let after = edited(
        APART,
        "int user(int x) {",
        "int added(int x) __attribute__((alias(\"first\")));\nint user(int x) { x += added(x);",
    );
    let (selection, payload) = changed_source(APART, &after);
    assert_eq!(replaced(&selection), ["user"], "{:?}", selection.refusals);
    let wanted = super::wanted(&payload.unwrap());
    assert_eq!(wanted, ["counter", "printk", "second"]);
}

#[test]
fn l_16_a_tree_in_which_another_function_is_the_same_is_not_the_modules() {
    assert_eq!(super::same::differences(APART, ONE), ["second"]);
}
