// SPDX-License-Identifier: GPL-2.0-only

//! The builder as a whole, with something that stands for a kernel's build.

use std::fs;
use std::path::{
    Path,
    PathBuf, //
};

use object::{
    Object as _,
    ObjectSection as _, //
};

use super::super::build::{
    self,
    Made,
    Order, //
};
use super::{
    module,
    object,
    FLAGS, //
};

/// What builds: C as a kernel would, and a description of types as rustc would print it. Each time is counted.
const MAKEFILE: &str = r#"
objects := $(patsubst $(M)/rust/%.c,$(MO)/rust/%.o,$(wildcard $(M)/rust/*.c))
modules: $(objects)
	@sed 's/^/print-type-size /' $(M)/rust/types
	@echo built >>$(COUNT)
$(MO)/rust/%.o: $(M)/rust/%.c
	@mkdir -p $(MO)/rust
	gcc @FLAGS@ $(KCFLAGS) -o $@ $<
"#;

/// The first file of a tree.
const ONE: &str = r#"
extern int printk(const char *format, ...);
extern int foreign;
static __attribute__((noinline)) int several(int x) { return x * 3; }
int first(int x) { return several(x) + 1; }
int second(int x) { return printk("second") + x; }
__attribute__((section(".kprobes.text"))) int rare(int x) { return printk("rare") + x; }
__attribute__((section(".init.text"))) int once(int x) { return x + 1; }
static __attribute__((noipa)) int helps_once(int x) { return x + 11; }
__attribute__((noipa)) int helps_both(int x) { return foreign * x + 12; }
static __attribute__((noipa)) int is_given(int x) { return foreign * x + 13; }
int (*given)(int);
__attribute__((section(".init.text"))) int twice(int x)
{
	given = is_given;
	return helps_once(x) * helps_both(x);
}
int later(int x) { return helps_both(x) * 2; }
void nothing(void) {}
int keyed(int x)
{
	__asm__ goto("1: jmp %l[on]\n.pushsection __jump_table, \"aw\"\n.balign 8\n"
		     ".long 1b - .\n.long %l[on] - .\n"
		     ".quad foreign + 2 - .\n.popsection" : : : : on);
	return x * 2;
on:
	return x;
}
#define STATIC_CALL \
	"1: call __SCT__thing\n.pushsection .static_call_sites, \"aw\"\n.long 1b - .\n" \
	".long __SCK__thing - .\n.popsection\n"
#define TRACED "2: .byte 0x0f, 0x1f, 0x44, 0, 0\n" \
	".pushsection __mcount_loc, \"a\"\n.quad 2b\n.popsection\n"
int calls_at_4(int x) { __asm__ volatile(STATIC_CALL); return x * 2; }
int calls_at_9(int x) { __asm__ volatile(TRACED STATIC_CALL); return x * 2; }
int calls_at_14(int x) { __asm__ volatile(TRACED ".nops 5\n" STATIC_CALL); return x * 2; }
"#;

/// The second.
const TWO: &str = r#"
static __attribute__((noinline)) int several(int x) { return x * 5; }
int third(int x) { return several(x) + 1; }
"#;

const TYPES: &str = "type: `one::Area`: 16 bytes, alignment: 8 bytes\n    field `.a`: 16 bytes\n";

/// A tree, a module of it, and a kernel's folder.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let this = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        fs::create_dir_all(this.path("source/rust")).unwrap();
        fs::create_dir_all(this.path("source/include")).unwrap();
        fs::create_dir_all(this.path("kernel")).unwrap();
        fs::create_dir_all(this.path("work")).unwrap();
        this.write("source/Kbuild", "");
        this.write("kernel/Makefile", &MAKEFILE.replace("@FLAGS@", FLAGS));
        for (name, text) in [("one", ONE), ("two", TWO)] {
            object(this.dir.path(), name, text, &[]);
            this.write(&format!("source/rust/{name}.c"), text);
        }
        this.write("source/rust/types", TYPES);
        module(this.dir.path(), &["one.o", "two.o"]);
        this
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Builds a payload of a diff of one line in a file of the tree.
    fn build(
        &self,
        file: &str,
        from: &str,
        to: &str,
        on: Option<&Path>,
        layouts: &[&str],
    ) -> Result<Made, String> {
        let text = fs::read_to_string(self.path(&format!("source/rust/{file}"))).unwrap();
        let at = text.lines().position(|line| line.contains(from)).unwrap();
        let line = text.lines().nth(at).unwrap();
        let number = at + 1;
        let new = line.replace(from, to);
        assert_ne!(new, line);
        let diff = format!(
            "--- a/rust/{file}\n+++ b/rust/{file}\n@@ -{number} +{number} @@\n-{line}\n+{new}\n"
        );
        self.write("diff", &diff);
        let layouts: Vec<_> = layouts.iter().map(|name| name.to_string()).collect();
        let count = format!("COUNT={}", self.path("count").display());
        build::build(&Order {
            patch: &self.path("diff"),
            source: &self.path("source"),
            kdir: &self.path("kernel"),
            module: &self.path("module.ko"),
            make: &[count],
            work: &self.path("work"),
            on,
            layouts: &layouts,
        })
        .map_err(|err| format!("{err:?} {err}"))
    }

    /// Builds what is refused: why.
    fn refused(&self, file: &str, from: &str, to: &str) -> String {
        self.build(file, from, to, None, &[]).unwrap_err()
    }

    /// How often something was built.
    fn built(&self) -> usize {
        let count = fs::read_to_string(self.path("count")).unwrap_or_default();
        count.lines().count()
    }
}

/// What a payload must be applied on top of.
fn depends(payload: &[u8]) -> Vec<u8> {
    let file = object::File::parse(payload).unwrap();
    let section = file.section_by_name(".livepatch.depends").unwrap();
    section.data().unwrap()[16..].to_vec()
}

fn has(why: &str, words: &str) {
    assert!(why.contains(words), "{why}");
}

#[test]
fn l_16_a_diff_becomes_a_payload_and_another_goes_on_top_of_it() {
    let place = Place::new();
    let made = place.build("one.c", "+ x; }", "- x; }", None, &[]).unwrap();
    assert_eq!(made.functions, ["second"]);
    let own = super::super::module::Module::read(&place.path("module.ko")).unwrap();
    assert_eq!(depends(&made.payload.bytes), own.id);
    let below = place.path("below");
    fs::write(&below, &made.payload.bytes).unwrap();
    let top = place
        .build(
            "one.c",
            "several(x) + 1",
            "several(x) + 2",
            Some(&below),
            &[],
        )
        .unwrap();
    assert_eq!(top.functions, ["first"]);
    assert_eq!(depends(&top.payload.bytes), made.payload.id);
    assert_ne!(top.payload.id, made.payload.id);
    let why = place.build("one.c", "+ x; }", "- x; }", Some(&place.path("diff")), &[]);
    has(&why.unwrap_err(), "read");
}

#[test]
fn l_16_what_the_payload_below_replaces_is_not_put_back() {
    let place = Place::new();
    let made = place.build("one.c", "+ x; }", "- x; }", None, &[]).unwrap();
    let below = place.path("below");
    fs::write(&below, &made.payload.bytes).unwrap();
    // The same function again, from the tree without the first change.
    let again = |on| place.build("one.c", "printk(\"second\")", "printk(\"2nd\")", on, &[]);
    has(
        &again(Some(&below)).unwrap_err(),
        "second: is replaced by the payload below too",
    );
    assert_eq!(again(None).unwrap().functions, ["second"]);
    // The name is that of a record; what follows the identity in its note is none of it.
    let id = |len: u32, rest: &[u8]| {
        let note = [4, len, 3].map(u32::to_le_bytes).concat();
        [&note[..], b"GNU\0", rest].concat()
    };
    let note = id(3, &[1, 2, 3, 0]);
    assert_eq!(super::super::module::build_id(&note), Some(&[1, 2, 3][..]));
}

#[test]
fn l_16_what_was_built_before_is_used_again_only_if_all_is_the_same() {
    let place = Place::new();
    let diff = || place.build("one.c", "+ x; }", "- x; }", None, &[]);
    let first = diff().unwrap();
    assert_eq!(place.built(), 2);
    let second = diff().unwrap();
    assert_eq!(place.built(), 3);
    assert_eq!(first.payload.bytes, second.payload.bytes);
    // The tree goes on, and the module is what it was.
    let ahead = TWO.replace("several(x) + 1", "several(x) + 2");
    place.write("source/rust/two.c", &ahead);
    let why = diff().unwrap_err();
    has(&why, "third");
    assert_eq!(place.built(), 4);
    // What is wrong is not kept for right.
    place.write("source/rust/two.c", TWO);
    assert_eq!(diff().unwrap().functions, ["second"]);
    assert_eq!(place.built(), 6);
}

#[test]
fn l_16_another_layout_is_refused_unless_there_is_none_of_it() {
    let place = Place::new();
    let change = |layouts: &[&str]| {
        // Some code is another too.
        let one = ONE.replace("+ x; }", "- x; }");
        let diff = format!("{}\n", one.lines().nth(5).unwrap());
        assert!(diff.contains("second"));
        place.build("types", "16 bytes, al", "24 bytes, al", None, layouts)
    };
    let why = change(&[]).unwrap_err();
    has(&why, "one::Area: lies otherwise in memory");
    has(&why, "--layout 'one::Area'");
    // And then there is nothing left to do here.
    let why = change(&["one::Area"]).unwrap_err();
    has(&why, "changes no machine code");
    let why = change(&["one::Other"]).unwrap_err();
    has(&why, "one::Area");
}

#[test]
fn l_16_functions_that_cannot_be_replaced_are_named() {
    let place = Place::new();
    let why = place.refused("one.c", "(\"rare\") + x", "(\"rare\") - x");
    has(&why, "rare: has changed, and may not be patched");
    let why = place.refused("one.c", "return x * 3", "return x * 7");
    has(
        &why,
        "several: has changed, and there are several of that name",
    );
    let why = place.refused("one.c", "{ return x + 1; }", "{ return x + 2; }");
    has(&why, "once: has changed, and has done its work already");
    // What only that calls, but not what others call too, or may call later.
    let why = place.refused("one.c", "x + 11", "x + 21");
    has(
        &why,
        "helps_once: has changed, and has done its work already",
    );
    for (name, from, to) in [
        ("helps_both", "x + 12", "x + 22"),
        ("is_given", "x + 13", "x + 23"),
    ] {
        let made = place.build("one.c", from, to, None, &[]).unwrap();
        assert_eq!(made.functions, [name]);
    }
    let why = place.refused("one.c", "\treturn x * 2;", "\treturn x * 4;");
    has(&why, "keyed: depends on the static key foreign");
    let why = place.refused(
        "one.c",
        "nothing(void) {}",
        "nothing(void) { foreign = 1; }",
    );
    has(&why, "nothing: is too small for the jump");
}

#[test]
fn l_16_functions_that_the_kernel_changes_where_the_jump_would_be_are_named() {
    let place = Place::new();
    let change = |name: &str| {
        let from = format!("{name}(int x) {{");
        place.build("one.c", &from, &format!("{from} x += foreign;"), None, &[])
    };
    let why = change("calls_at_4").unwrap_err();
    has(
        &why,
        "calls_at_4: has a static call of thing at +4, where the jump",
    );
    // Behind what function tracing uses.
    let why = change("calls_at_9").unwrap_err();
    has(
        &why,
        "calls_at_9: has a static call of thing at +9, where the jump",
    );
    assert_eq!(change("calls_at_14").unwrap().functions, ["calls_at_14"]);
}
