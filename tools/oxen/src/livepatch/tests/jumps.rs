// SPDX-License-Identifier: GPL-2.0-only

//! Jumps between the parts of a function that is replaced.

use object::{
    Object as _,
    ObjectSection as _,
    ObjectSymbol as _,
    RelocationTarget, //
};

use super::{
    changed_source,
    edited,
    replaced,
    wanted, //
};

/// Functions of two parts, and with a table of places. The second's parts jump to each other with a condition.
const SOURCE: &str = r#"
extern int printk(const char *format, ...);
extern void bad(int) __attribute__((cold));
int warm(int x)
{
	if (__builtin_expect(x > 100, 0)) {
		bad(x);
		x -= 7;
		bad(x + 2);
	}
	return printk("warm") * x + 3;
}
__asm__(
"	.section .text.unlikely.back, \"ax\"\n"
"	.type back.cold, @function\n"
"back.cold:\n"
"	test %esi, %esi\n"
"	je .Lback\n"
"	jmp .Lback\n"
"	.size back.cold, . - back.cold\n"
"	.section .text.back, \"ax\"\n"
"	.globl back\n"
"	.type back, @function\n"
"back:\n"
"	endbr64\n"
"	test %edi, %edi\n"
"	je back.cold\n"
".Lback:\n"
"	mov $17, %eax\n"
"	ret\n"
"	.size back, . - back\n"
"	.text\n");
int pick(int x)
{
	switch (x) {
	case 0: return printk("a");
	case 1: return printk("b") * 3;
	case 2: return printk("c") + 7;
	case 3: return printk("d") - x;
	case 4: return printk("e") * x;
	}
	return 9;
}
"#;

/// The names of functions, and of what stands for none, that constants or code of a payload refer to.
fn targets(payload: &[u8], section: &str) -> Vec<String> {
    let file = object::File::parse(payload).unwrap();
    let section = file.section_by_name(section).unwrap();
    let names = section.relocations().map(|(_, relocation)| {
        let RelocationTarget::Symbol(symbol) = relocation.target() else {
            panic!("no symbol");
        };
        let symbol = file.symbol_by_index(symbol).unwrap();
        let end = if symbol.is_undefined() {
            " outside"
        } else {
            ""
        };
        format!("{}{end}", symbol.name().unwrap())
    });
    names.collect()
}

#[test]
fn l_16_what_is_set_aside_jumps_back_into_the_new_function() {
    for (name, from, to, outside) in [
        ("warm", "* x + 3", "* x + 4", &["bad", "printk"][..]),
        ("back", "mov $17", "mov $18", &[][..]),
    ] {
        let after = edited(SOURCE, from, to);
        let (selection, payload) = changed_source(SOURCE, &after);
        assert_eq!(replaced(&selection), [name], "{:?}", selection.refusals);
        let payload = payload.unwrap();
        assert_eq!(wanted(&payload), outside, "{name}");
        let found = targets(&payload, ".text");
        let back = found.iter().filter(|one| *one == name).count();
        assert!(
            back > 0,
            "the compiler sets nothing of {name} aside: {found:?}"
        );
    }
}

#[test]
fn l_16_a_table_of_places_is_of_the_new_function() {
    let after = edited(SOURCE, "return 9", "return 10");
    let (selection, payload) = changed_source(SOURCE, &after);
    assert_eq!(replaced(&selection), ["pick"], "{:?}", selection.refusals);
    let payload = payload.unwrap();
    assert_eq!(wanted(&payload), ["printk"]);
    let found = targets(&payload, ".rodata");
    assert!(
        found.len() >= 5 && found.iter().all(|one| one == "pick"),
        "{found:?}"
    );
}
