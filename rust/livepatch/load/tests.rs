// SPDX-License-Identifier: GPL-2.0-only

//! What each feature of the format does, and what is refused with which number.

use proptest::prelude::*;

use super::*;
use crate::abi::errno::{
    Errno,
    ENOENT,
    EOPNOTSUPP,
    EOVERFLOW,
    ERANGE, //
};
use crate::livepatch::elf::{
    flag,
    kind, //
};
use crate::livepatch::testing::{
    note,
    Builder,
    Fake,
    FakeSpace,
    ARENA_DATA,
    ARENA_TEXT,
    OWN,
    PRINTK,
    TEXT, //
};

type Loaded = (Payload<FakeSpace>, Images);

fn good(builder: &Builder) -> Loaded {
    load(&builder.build(), &Fake::new()).unwrap()
}

fn refused_by(builder: &Builder, host: &Fake) -> (Errno, String) {
    let refusal = load(&builder.build(), host).err().expect("is refused");
    assert_eq!(*host.taken.borrow(), 0, "nothing is left behind");
    (refusal.errno, refusal.to_string())
}

fn refused(builder: &Builder) -> (Errno, String) {
    refused_by(builder, &Fake::new())
}

/// The word of four bytes at `at`.
fn word(bytes: &[u8], at: usize) -> i32 {
    i32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

#[test]
fn replaces_a_function() {
    let host = Fake::new();
    let (payload, images) = load(&Builder::simple().build(), &host).unwrap();
    let [func] = &payload.funcs[..] else { panic!() };
    assert_eq!(&func.name[..], b"one");
    assert_eq!((func.old, func.skip, func.new), (TEXT, 0, Some(ARENA_TEXT)));
    // The jump leads to the new function.
    let jump = func.patch.get();
    assert_eq!(jump[0], 0xe9);
    let to = (func.site() as i64 + 5 + i64::from(word(jump, 1))) as u64;
    assert_eq!(to, ARENA_TEXT);
    // It ends as all functions of this machine do.
    assert_eq!(images.text.bytes[5..10], [0xc3, 0xcc, 0xcc, 0xcc, 0xcc]);
    assert!(payload.reapply && payload.hooks.load.is_empty());
    assert_eq!(payload.id.bytes(), OWN);
    drop(payload);
    assert_eq!(*host.taken.borrow(), 0);
}

#[test]
fn returns_through_the_kernels_thunk() {
    let mut host = Fake::new();
    host.returns = Return::Jump(PRINTK);
    let (_, images) = load(&Builder::simple().build(), &host).unwrap();
    let text = &images.text.bytes;
    assert_eq!(text[5], 0xe9);
    let to = ARENA_TEXT as i64 + 10 + i64::from(word(text, 6));
    assert_eq!(to as u64, PRINTK);
}

#[test]
fn lp_9_the_jump_comes_after_an_endbr() {
    let mut builder = Builder::simple();
    builder.replace("guarded", "new", 10, 9);
    let (payload, _) = good(&builder);
    let func = &payload.funcs[1];
    assert_eq!((func.skip, func.site()), (4, func.old + 4));
    builder.record()[28] = 8;
    let (errno, why) = refused(&builder);
    assert_eq!((errno, why.as_str()), (EINVAL, "guarded: is too small"));
}

#[test]
fn the_jump_leaves_the_tracers_place_alone() {
    let mut builder = Builder::simple();
    builder.replace("traced", "new", 10, 14);
    let (payload, _) = good(&builder);
    assert_eq!(payload.funcs[1].site(), Fake::new().addr("traced") + 9);
    builder.record()[28] = 13;
    assert_eq!(refused(&builder).0, EINVAL);
    // What is too small for the tracer's place has none.
    let mut builder = Builder::bare();
    builder.replace("traced", "", 5, 9);
    assert_eq!(good(&builder).0.funcs[0].skip, 4);
}

/// The kernel has made a NOP of the ENDBR64; the tracer's place is still behind it.
#[test]
fn the_jump_leaves_the_tracers_place_alone_where_the_endbr_is_sealed() {
    let mut host = Fake::new();
    let traced = host.addr("traced");
    let at = (traced - TEXT) as usize;
    host.text[at..at + 4].copy_from_slice(&crate::livepatch::func::SEALED);
    host.sites = vec![traced + 4];
    let mut builder = Builder::simple();
    builder.replace("traced", "new", 10, 32);
    let (payload, _) = load(&builder.build(), &host).unwrap();
    assert_eq!(payload.funcs[1].site(), traced + 9);
}

/// Where the kernel itself writes a jump or a call, it wants to find its own.
#[test]
fn what_the_kernel_changes_by_itself_is_left_alone() {
    let mut host = Fake::new();
    let one = host.addr("one");
    for (distance, good) in [(-5, true), (-4, false), (0, false), (4, false), (5, true)] {
        host.sites = vec![one.wrapping_add_signed(distance)];
        let result = load(&Builder::simple().build(), &host);
        match result.err() {
            None => assert!(good, "{distance}"),
            Some(refusal) => assert_eq!((refusal.errno, good), (EOPNOTSUPP, false), "{distance}"),
        }
    }
    // The tracer's place is skipped while it does nothing; a call there is not.
    let traced = host.addr("traced");
    host.sites = vec![traced + 4];
    let mut builder = Builder::bare();
    builder.code(".text.new", "new", &[0xc3; 10]);
    builder.replace("traced", "new", 10, 32);
    assert!(load(&builder.build(), &host).is_ok());
    let at = (traced - TEXT) as usize + 4;
    host.text[at..at + 5].copy_from_slice(&[0xe8, 1, 2, 3, 4]);
    assert_eq!(refused_by(&builder, &host).0, EOPNOTSUPP);
}

#[test]
fn lp_8_no_ops_come_after_an_endbr() {
    let mut builder = Builder::bare();
    builder.replace("guarded", "", 3, 7);
    let (payload, _) = good(&builder);
    let func = &payload.funcs[0];
    assert_eq!((func.new, func.skip), (None, 4));
    assert_eq!(func.patch.get(), [0x0f, 0x1f, 0x00]);
    builder.record()[28] = 6;
    assert_eq!(refused(&builder).0, EINVAL);
}

#[test]
fn no_ops_in_the_middle_of_a_function() {
    let mut builder = Builder::bare();
    builder.replace("two", "", 31, 31);
    builder.reloc(".livepatch.funcs", 16, 1, "two", 1);
    let (payload, _) = good(&builder);
    let func = &payload.funcs[0];
    assert_eq!((func.site(), func.patch.len()), (TEXT + 33, 31));
    builder.record()[24] = 32;
    assert_eq!(refused(&builder).0, EOPNOTSUPP);
    // None at all are as good as in Xen: nothing is written.
    builder.record()[24] = 0;
    assert_eq!(good(&builder).0.funcs[0].patch.len(), 0);
}

#[test]
fn records_that_are_wrong() {
    let with = |at: usize, bytes: &[u8]| {
        let mut builder = Builder::simple();
        builder.record()[at..at + bytes.len()].copy_from_slice(bytes);
        refused(&builder).0
    };
    assert_eq!(with(32, &[1]), EOPNOTSUPP);
    assert_eq!(with(28, &[0; 4]), EINVAL);
    assert_eq!(with(33, &[1]), EINVAL);
    assert_eq!(with(64, &[1]), EINVAL);
    assert_eq!(with(28, &[0xff; 4]), EINVAL);
    // The new function is longer than the payload's code.
    assert_eq!(with(24, &[0xff; 4]), EINVAL);

    let mut builder = Builder::simple();
    builder.get(".livepatch.funcs").data.pop();
    assert_eq!(refused(&builder).0, EINVAL);
    let mut builder = Builder::simple();
    builder.replace("nobody", "new", 10, 32);
    assert_eq!(
        refused(&builder),
        (
            ENOENT,
            "nobody: is a function that the hypervisor does not have".into()
        )
    );
    let mut builder = Builder::simple();
    builder.replace("one", "new", 10, 32);
    assert_eq!(refused(&builder).0, EINVAL);
    // A name that has no end, or is nowhere.
    let mut builder = Builder::simple();
    builder.get(".rodata.name.one").data.pop();
    assert_eq!(refused(&builder).0, EINVAL);
    // What replaces a function is not code.
    let mut builder = Builder::simple();
    builder.section(".rodata.x", flag::ALLOC, &[0; 16]);
    builder.symbol("x", Some(".rodata.x"), 0, 16, 0x01);
    builder.replace("two", "x", 10, 32);
    assert_eq!(refused(&builder).0, EINVAL);
    let mut builder = Builder::simple();
    builder.replace("two", "three", 10, 32);
    assert_eq!(refused(&builder).0, EINVAL);
}

#[test]
fn l_10_what_may_not_be_patched() {
    let mut builder = Builder::simple();
    builder.replace("fixed", "new", 10, 32);
    let (errno, why) = refused(&builder);
    assert_eq!(
        (errno, why.as_str()),
        (EOPNOTSUPP, "fixed: may not be patched")
    );
}

#[test]
fn expectations() {
    let with = |bits: u8, data: &[u8]| {
        let mut builder = Builder::simple();
        let record = builder.record();
        record[72] = bits;
        record[73..73 + data.len()].copy_from_slice(data);
        load(&builder.build(), &Fake::new())
    };
    let host = Fake::new();
    let read = |addr, into: &mut [u8]| host.read_text(addr, into);
    let (payload, _) = with(1 | 2 << 1, &[0x50, 0x90]).unwrap();
    payload.funcs[0].check_expectation(read).unwrap();
    let (payload, _) = with(1 | 2 << 1, &[0x50, 0x91]).unwrap();
    let refusal = payload.funcs[0].check_expectation(read).unwrap_err();
    assert_eq!((refusal.errno, refusal.name()), (EINVAL, &b"one"[..]));
    // Not enabled.
    let (payload, _) = with(31 << 1, &[0xff]).unwrap();
    assert!(payload.funcs[0].expect.is_none());
    assert_eq!(with(1 | 1 << 6, &[]).err().unwrap().errno, EINVAL);
    assert!(with(1 | 31 << 1, &[]).is_ok());
    let mut builder = Builder::simple();
    builder.record()[28] = 16;
    builder.record()[72] = 1 | 17 << 1;
    assert_eq!(refused(&builder).0, ERANGE);
}

#[test]
fn l_3_the_build_id_comes_first() {
    // Everything after it is wrong, too.
    let mut builder = Builder::simple();
    builder.get(".livepatch.xen_depends").data = note(b"some other build");
    builder.record()[32] = 7;
    builder.reloc(".text.new", 0, 99, "nothing", 0);
    builder.section("__ex_table", flag::ALLOC, &[0; 12]);
    builder.get(".livepatch.depends").data.clear();
    let (errno, why) = refused(&builder);
    assert_eq!(errno, EINVAL);
    assert_eq!(why, "is for another build of the hypervisor");
    let mut host = Fake::new();
    host.running = None;
    assert_eq!(refused_by(&builder, &host).0, ENODATA);
    host.ids.push(Id::new(&OWN).unwrap());
    host.running = Fake::new().running;
    assert_eq!(refused_by(&Builder::simple(), &host).0, EEXIST);
}

/// L-3: whatever else is broken, another build's payload is only told that it is one.
#[test]
fn l_3_the_build_id_comes_before_what_is_broken() {
    /// The header of the section of that type whose number among them is `nth`.
    fn header(bytes: &[u8], kind: u32, nth: usize) -> usize {
        let at = u64::from_le_bytes(bytes[40..48].try_into().unwrap()) as usize;
        let count = u16::from_le_bytes(bytes[60..62].try_into().unwrap());
        (0..usize::from(count))
            .map(|index| at + 64 * index)
            .filter(|&at| word(bytes, at + 4) == kind as i32)
            .nth(nth)
            .unwrap()
    }
    type Break = fn(&mut Vec<u8>);
    let breaks: [(&str, Break); 10] = [
        ("two symbol tables", |bytes| {
            let at = header(bytes, kind::RELA, 0);
            bytes[at + 4..at + 8].copy_from_slice(&kind::SYMTAB.to_le_bytes());
        }),
        ("no symbol table", |bytes| {
            let at = header(bytes, kind::SYMTAB, 0);
            bytes[at + 4..at + 8].copy_from_slice(&kind::PROGBITS.to_le_bytes());
        }),
        ("symbols of another size", |bytes| {
            let at = header(bytes, kind::SYMTAB, 0);
            bytes[at + 56] = 25;
        }),
        ("a part of a symbol", |bytes| {
            let at = header(bytes, kind::SYMTAB, 0);
            bytes[at + 32] -= 1;
        }),
        ("symbols named elsewhere", |bytes| {
            let at = header(bytes, kind::SYMTAB, 0);
            bytes[at + 40] = 0xff;
        }),
        ("a symbol of no section", |bytes| {
            let at = word(bytes, header(bytes, kind::SYMTAB, 0) + 24) as usize;
            bytes[at + 24 + 6..at + 24 + 8].copy_from_slice(&[0x7f, 0x7f]);
        }),
        ("a name that has no beginning", |bytes| {
            let at = word(bytes, header(bytes, kind::SYMTAB, 0) + 24) as usize;
            bytes[at + 24..at + 28].copy_from_slice(&[0xff; 4]);
        }),
        ("strings without an end", |bytes| {
            let at = header(bytes, kind::STRTAB, 0);
            let end = (word(bytes, at + 24) + word(bytes, at + 32)) as usize;
            bytes[end - 1] = b'x';
        }),
        ("relocations of another size", |bytes| {
            let at = header(bytes, kind::RELA, 0);
            bytes[at + 56] = 23;
        }),
        ("relocations of no section", |bytes| {
            let at = header(bytes, kind::RELA, 0);
            bytes[at + 44..at + 48].copy_from_slice(&[0xff; 4]);
        }),
    ];
    for (what, spoil) in breaks {
        let mut builder = Builder::simple();
        let mut bytes = builder.build();
        spoil(&mut bytes);
        let refusal = load(&bytes, &Fake::new()).err().expect(what);
        let other = "is for another build of the hypervisor";
        assert_ne!(refusal.to_string(), other, "{what}");
        builder.get(".livepatch.xen_depends").data = note(b"some other build-id!");
        let mut bytes = builder.build();
        spoil(&mut bytes);
        let refusal = load(&bytes, &Fake::new()).err().expect(what);
        assert_eq!(
            (refusal.errno, refusal.to_string().as_str()),
            (EINVAL, other),
            "{what}"
        );
    }
}

#[test]
fn sections_that_must_be_there() {
    for name in [
        ".livepatch.xen_depends",
        ".livepatch.depends",
        ".note.gnu.build-id",
    ] {
        let mut builder = Builder::simple();
        builder.sections.retain(|section| section.name != name);
        assert_eq!(refused(&builder), (EINVAL, format!("{name}: is missing")));
        let mut builder = Builder::simple();
        builder.get(name).data.clear();
        assert_eq!(refused(&builder), (EINVAL, format!("{name}: is empty")));
        let mut builder = Builder::simple();
        builder.get(name).data.truncate(15);
        assert_eq!(refused(&builder).0, EINVAL);
        let mut builder = Builder::simple();
        let twice = builder.get(name).clone();
        builder.sections.push(twice);
        assert_eq!(
            refused(&builder),
            (EINVAL, format!("{name}: is there more than once"))
        );
    }
    assert_eq!(
        refused(&Builder::bare()),
        (EINVAL, "has nothing to do".into())
    );
    let mut builder = Builder::simple();
    builder.section(".livepatch.hooks.load", flag::ALLOC, &[]);
    assert_eq!(refused(&builder).0, EINVAL);
}

#[test]
fn l_11_hooks() {
    let mut builder = Builder::bare();
    for name in [
        "load",
        "unload",
        "preapply",
        "apply",
        "postapply",
        "prerevert",
        "revert",
        "postrevert",
    ] {
        builder.hook(&format!(".livepatch.hooks.{name}"));
    }
    let (payload, _) = good(&builder);
    let hooks = &payload.hooks;
    assert_eq!((hooks.load.len(), hooks.unload.len()), (1, 1));
    let all = [
        hooks.pre_apply,
        hooks.apply,
        hooks.post_apply,
        hooks.pre_revert,
        hooks.revert,
        hooks.post_revert,
    ];
    let mut addrs: Vec<u64> = all.map(|hook| hook.unwrap().addr()).to_vec();
    addrs.extend(hooks.load.iter().map(|hook| hook.addr()));
    addrs.extend(hooks.unload.iter().map(|hook| hook.addr()));
    assert!(addrs.iter().all(|addr| *addr >= ARENA_TEXT));
    addrs.sort_unstable();
    addrs.dedup();
    assert_eq!(addrs.len(), 8);
    assert!(hooks.can_veto());

    let mut builder = Builder::bare();
    builder.hook(".livepatch.hooks.load");
    assert!(!good(&builder).0.hooks.can_veto());
    // Two of what there may be one of; a part of one; one without a function; none of the payload's own.
    let mut builder = Builder::bare();
    builder.hook(".livepatch.hooks.preapply");
    builder.get(".livepatch.hooks.preapply").data.extend([0; 8]);
    assert_eq!(refused(&builder).0, EINVAL);
    builder.get(".livepatch.hooks.preapply").data.truncate(12);
    assert_eq!(refused(&builder).0, EINVAL);
    let mut builder = Builder::simple();
    builder.section(".livepatch.hooks.preapply", flag::ALLOC, &[0; 8]);
    assert_eq!(good(&builder).0.hooks.pre_apply, None);
    builder.section(".livepatch.hooks.load", flag::ALLOC, &[0; 8]);
    assert_eq!(refused(&builder).0, EINVAL);
    let mut builder = Builder::simple();
    builder.section(".livepatch.hooks.preapply", flag::ALLOC, &[0; 8]);
    builder.reloc(".livepatch.hooks.preapply", 0, 1, "one", 0);
    assert_eq!(refused(&builder).0, EINVAL);
    let mut builder = Builder::simple();
    builder.section(".livepatch.hooks.prealply", flag::ALLOC, &[0; 8]);
    assert_eq!(refused(&builder).0, EOPNOTSUPP);
}

#[test]
fn metadata_ends_with_a_zero() {
    let mut builder = Builder::simple();
    builder.section(".modinfo", flag::ALLOC, b"a=1\0b=2\0");
    assert_eq!(&good(&builder).0.metadata[..], b"a=1\0b=2\0");
    builder.get(".modinfo").data.pop();
    assert_eq!(refused(&builder).0, EINVAL);
    builder.get(".modinfo").data = vec![0; METADATA_MAX + 1];
    assert_eq!(refused(&builder).0, EINVAL);
}

#[test]
fn data_and_constants() {
    let mut builder = Builder::simple();
    // mov counter(%rip), %eax and the like, without the instructions around.
    builder.code(".text.more", "more", &[0; 64]);
    builder.section(".data.own", flag::ALLOC | flag::WRITE, &[1, 2, 3, 4]);
    builder.symbol("own", Some(".data.own"), 0, 4, 0x01);
    let bss = builder.section(".bss", flag::ALLOC | flag::WRITE, &[]);
    (bss.kind, bss.size, bss.align) = (kind::NOBITS, 100, 64);
    builder.symbol("zeroes", Some(".bss"), 0, 100, 0x01);
    builder.section(".rodata", flag::ALLOC, b"constant");
    builder.symbol("constant", Some(".rodata"), 0, 8, 0x01);
    builder.reloc(".text.more", 0, 2, "counter", -4);
    builder.reloc(".text.more", 8, 2, "own", -4);
    builder.reloc(".text.more", 16, 2, "zeroes", -4);
    builder.reloc(".text.more", 24, 11, "constant", 0);
    builder.reloc(".text.more", 32, 1, "_printk", 7);
    builder.reloc(".text.more", 40, 24, "_printk", 0);
    builder.reloc(".text.more", 48, 4, "_printk", -4);
    builder.reloc(".data.own", 0, 0, "", 0);
    let (payload, images) = good(&builder);
    assert!(
        !payload.reapply,
        "L-12: what has variables is not applied twice"
    );
    assert_eq!(images.data.bytes[..4], [1, 2, 3, 4]);
    assert_eq!(images.data.bytes.len(), 64 + 100);
    let text = &images.text.bytes;
    let base = (0..text.len())
        .find(|&at| word(&[&text[at..], &[0; 4]].concat(), 0) == (PRINTK + 7) as i32)
        .unwrap()
        - 32;
    let at = |offset: usize| {
        let here = (ARENA_TEXT as usize + base + offset) as i64;
        (here + 4 + i64::from(word(text, base + offset))) as u64
    };
    assert_eq!(at(0), Fake::new().addr("counter"));
    assert_eq!(at(8), ARENA_DATA);
    assert_eq!(at(16), ARENA_DATA + 64);
    assert_eq!(at(48), PRINTK);
    let constant = word(text, base + 24) as i64 as u64 - ARENA_TEXT;
    assert_eq!(&text[constant as usize..][..8], b"constant");
    let eight = |at: usize| u64::from_le_bytes(text[base + at..][..8].try_into().unwrap());
    assert_eq!(eight(32), PRINTK + 7);
    assert_eq!(
        eight(40),
        PRINTK.wrapping_sub(ARENA_TEXT + base as u64 + 40)
    );
}

#[test]
fn lp_5_and_6_relocations_that_are_wrong() {
    let with = |offset: u64, kind: u32, symbol: &str, addend: i64| {
        let mut builder = Builder::simple();
        builder.code(".text.more", "more", &[0; 16]);
        builder.section(".comment", 0, b"text");
        builder.symbol("comment", Some(".comment"), 0, 0, 0x01);
        builder.reloc(".text.more", offset, kind, symbol, addend);
        refused(&builder).0
    };
    // No symbol; one that there is not; one of what is not loaded.
    assert_eq!(with(0, 2, "", 0), EOPNOTSUPP);
    assert_eq!(with(0, 2, "nobody", 0), ENOENT);
    assert_eq!(with(0, 2, "comment", 0), EINVAL);
    // Outside of the section.
    assert_eq!(with(13, 2, "one", 0), EINVAL);
    assert_eq!(with(9, 1, "one", 0), EINVAL);
    assert_eq!(with(u64::MAX, 2, "one", 0), EINVAL);
    assert_eq!(with(u64::MAX - 3, 2, "one", 0), EINVAL);
    // Of another kind.
    for kind in [3, 9, 14, 42, 99, u32::MAX] {
        assert_eq!(with(0, kind, "one", 0), EOPNOTSUPP);
    }
    // Out of reach.
    assert_eq!(with(0, 2, "one", i64::MAX), EOVERFLOW);
    assert_eq!(with(0, 10, "one", 0), EOVERFLOW);
    assert_eq!(with(0, 11, "one", -0x7fff_ffff_0000), EOVERFLOW);
    // What may not be pointed to may be called.
    assert_eq!(with(0, 2, "sealed", 0), EOPNOTSUPP);
    assert_eq!(with(0, 1, "sealed", 0), EOPNOTSUPP);
    // The end of a function that is none.
    assert_eq!(with(0, 4, "__x86_return_thunk", -4), EOPNOTSUPP);
    assert_eq!(with(1, 4, "__x86_return_thunk", -4), EOPNOTSUPP);
    assert_eq!(with(1, 4, "__fentry__", -4), EOPNOTSUPP);
    assert_eq!(with(0, 1, "__x86_return_thunk", 0), EOPNOTSUPP);

    let mut builder = Builder::simple();
    builder.code(".text.more", "more", &[0xe8, 0, 0, 0, 0, 0xe8, 0, 0, 0, 0]);
    builder.reloc(".text.more", 1, 4, "__fentry__", -4);
    builder.reloc(".text.more", 6, 4, "sealed", -4);
    let (_, images) = good(&builder);
    assert_eq!(images.text.bytes[16..21], [0x0f, 0x1f, 0x44, 0x00, 0x00]);
    // A symbol of a section without contents is one all the same.
    let mut builder = Builder::simple();
    builder.section(".rodata.empty", flag::ALLOC, &[]);
    builder.symbol("empty", Some(".rodata.empty"), 0, 0, 0x01);
    builder.section(".rodata.pointer", flag::ALLOC, &[0; 8]);
    builder.reloc(".rodata.pointer", 0, 1, "empty", 0);
    good(&builder);
}

#[test]
fn what_is_not_done_is_refused_by_name() {
    for (name, flags) in [
        (".altinstructions", flag::ALLOC),
        (".altinstr_replacement", flag::ALLOC | flag::EXEC),
        ("__ex_table", flag::ALLOC),
        ("__jump_table", flag::ALLOC | flag::WRITE),
        ("__bug_table", flag::ALLOC | flag::WRITE),
        (".bug_frames.1", flag::ALLOC),
        (".data..percpu", flag::ALLOC | flag::WRITE),
        (".init.text", flag::ALLOC | flag::EXEC),
        ("__tracepoints", flag::ALLOC | flag::WRITE),
        (".both", flag::ALLOC | flag::WRITE | flag::EXEC),
        (".tdata", flag::ALLOC | flag::WRITE | flag::TLS),
    ] {
        let mut builder = Builder::simple();
        builder.section(name, flags, &[0; 16]);
        let (errno, why) = refused(&builder);
        assert_eq!(errno, EOPNOTSUPP);
        assert!(why.starts_with(name), "{why}");
    }
    // Tables that nobody needs are left out, whatever they hold.
    let mut builder = Builder::simple();
    for name in ["__mcount_loc", ".orc_unwind", ".discard.x", ".return_sites"] {
        builder.section(name, flag::ALLOC, &[0xff; 16]);
        builder.reloc(name, 0, 99, "one", 0);
    }
    builder.section("__ex_table", flag::ALLOC, &[]);
    let (payload, _) = good(&builder);
    assert_eq!(payload.sizes, good(&Builder::simple()).0.sizes);
}

#[test]
fn new_symbols() {
    let mut builder = Builder::simple();
    builder.code(".text.added", "added", &[0xcc; 4]);
    builder.symbols.last_mut().unwrap().info = 0x12;
    let (payload, _) = good(&builder);
    let [added] = &payload.symbols[..] else {
        panic!()
    };
    assert_eq!(&added.name[..], b"added");
    assert!(added.func && added.addr > ARENA_TEXT);
    // It is there already.
    let mut host = Fake::new();
    let found = Found {
        addr: added.addr,
        func: true,
    };
    host.symbols.insert(b"added".to_vec(), found);
    assert_eq!(
        refused_by(&builder, &host),
        (
            EEXIST,
            "added: is a new symbol that there is already".into()
        )
    );
    // What replaces something may be called the same.
    let mut builder = Builder::simple();
    builder.code(".text.two", "two", &[0xcc; 4]);
    builder.symbols.last_mut().unwrap().info = 0x12;
    builder.replace("two", "two", 4, 32);
    assert!(good(&builder).0.symbols.is_empty());
}

#[test]
fn there_is_only_so_much_room() {
    let mut host = Fake::new();
    host.room = 9;
    assert_eq!(refused_by(&Builder::simple(), &host).0, ENOMEM);
    let mut builder = Builder::simple();
    builder.section(".rodata.1", flag::ALLOC, &[0; 2 << 20]);
    assert_eq!(refused(&builder).0, EINVAL);
}

/// Payloads that have all features, for what follows, and for the corpus of the fuzzer.
pub(crate) fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let mut hooks = Builder::simple();
    for name in [
        "load",
        "unload",
        "preapply",
        "postapply",
        "prerevert",
        "postrevert",
    ] {
        hooks.hook(&format!(".livepatch.hooks.{name}"));
    }
    let mut actions = Builder::bare();
    actions.hook(".livepatch.hooks.apply");
    actions.hook(".livepatch.hooks.revert");
    let mut nop = Builder::bare();
    nop.replace("two", "", 9, 32);
    nop.record()[72] = 1 | 1 << 1;
    nop.record()[73] = 0x51;
    let mut data = Builder::simple();
    data.section(".modinfo", flag::ALLOC, b"author=me\0");
    data.section(".data", flag::ALLOC | flag::WRITE, &[0; 24]);
    data.symbol("data", Some(".data"), 8, 8, 0x11);
    data.reloc(".data", 0, 1, "data", 4);
    data.section(".rodata", flag::ALLOC, &[0; 24]);
    data.reloc(".rodata", 0, 24, "one", 0);
    data.reloc(".rodata", 8, 11, "data", 0);
    data.replace("guarded", "new", 10, 32);
    vec![
        ("simple", Builder::simple().build()),
        ("hooks", hooks.build()),
        ("actions", actions.build()),
        ("nop", nop.build()),
        ("data", data.build()),
    ]
}

/// The fuzzer begins with the samples. `OXEN_WRITE_CORPUS=1` writes them anew.
#[cfg(not(miri))]
#[test]
fn the_corpus_has_the_samples() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/livepatch");
    for (name, bytes) in samples() {
        let file = folder.join(name).with_extension("bin");
        if std::env::var_os("OXEN_WRITE_CORPUS").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&file, &bytes).unwrap();
        }
        assert!(std::fs::read(&file).unwrap() == bytes, "{name}");
    }
}

#[test]
fn samples_are_good() {
    for (name, bytes) in samples() {
        if let Err(refusal) = load(&bytes, &Fake::new()) {
            panic!("{name}: {refusal:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 4000 }))]

    /// L-17: whatever the bytes are, the loader says yes or no, and what it says yes to is in bounds.
    #[test]
    fn l_17_every_byte_may_be_wrong(
        which in 0..5usize,
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..12
        ),
        cut in prop::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let mut bytes = samples()[which].1.clone();
        for (at, value, how) in changes {
            let len = bytes.len();
            let byte = &mut bytes[at.index(len)];
            *byte = match how {
                0 => value,
                1 => *byte ^ 1 << (value & 7),
                _ => [0, 1, 0x7f, 0x80, 0xff][usize::from(value) % 5],
            };
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let host = Fake::new();
        crate::livepatch::testing::check(load(&bytes, &host), &host);
    }
}
