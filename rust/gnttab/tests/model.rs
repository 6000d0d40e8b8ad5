// SPDX-License-Identifier: GPL-2.0-only

//! Random sequences of operations between several domains, against a model that keeps plain lists.

use proptest::prelude::*;

use super::*;

const DOMAINS: usize = 3;
/// Entries per domain that the operations name; some past the end.
const ENTRIES: u32 = 512;

#[derive(Clone, Debug)]
enum Op {
    /// A domain writes an entry, if it is not in use.
    Grant(usize, u32, u16, u16, u32),
    /// A domain makes an entry read-only, or writable again, as the protocol allows even while in use.
    SetReadonly(usize, u32, bool),
    Map(usize, usize, u32, bool),
    /// The n-th of a domain's mappings.
    Unmap(usize, usize),
    StartCopy(usize, usize, u32, bool),
    /// The n-th copy under way.
    EndCopy(usize),
    Swap(usize, u32, u32),
    /// All that a domain has mapped.
    ReleaseAll(usize),
}

/// Few references, so that they meet; some that do not exist.
fn gref() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0_u32..4, 1 => Just(511_u32), 1 => Just(512_u32), 1 => any::<u32>()]
}

fn op() -> impl Strategy<Value = Op> {
    let domain = || 0..DOMAINS;
    let flags = || prop_oneof![6 => Just(1_u16), 1 => 0_u16..8];

    prop_oneof![
        6 => (domain(), 0_u32..4, flags(), 0_u16..4, 0_u32..100)
            .prop_map(|(d, r, flags, to, frame)| Op::Grant(d, r, flags, to, frame)),
        2 => (domain(), 0_u32..4, any::<bool>()).prop_map(|(d, r, ro)| Op::SetReadonly(d, r, ro)),
        8 => (domain(), domain(), gref(), any::<bool>())
            .prop_map(|(d, from, r, ro)| Op::Map(d, from, r, ro)),
        5 => (domain(), any::<usize>()).prop_map(|(d, n)| Op::Unmap(d, n)),
        4 => (domain(), domain(), gref(), any::<bool>())
            .prop_map(|(d, from, r, ro)| Op::StartCopy(d, from, r, ro)),
        3 => any::<usize>().prop_map(Op::EndCopy),
        2 => (domain(), gref(), gref()).prop_map(|(d, a, b)| Op::Swap(d, a, b)),
        1 => domain().prop_map(Op::ReleaseAll),
    ]
}

/// One use, as the model sees it.
#[derive(Clone, Debug, PartialEq)]
struct Held {
    user: usize,
    granter: usize,
    gref: u32,
    readonly: bool,
    frame: u32,
}

#[derive(Default)]
struct Model {
    /// Entries of each domain: flags without our bits, domain, frame.
    entries: Vec<Vec<(u16, u16, u32)>>,
    maps: Vec<(u32, Held)>,
    copies: Vec<Held>,
}

impl Model {
    fn uses(&self, granter: usize, gref: u32) -> impl Iterator<Item = &Held> {
        self.maps
            .iter()
            .map(|(_, held)| held)
            .chain(&self.copies)
            .filter(move |held| held.granter == granter && held.gref == gref)
    }

    /// What an attempt to use an entry should give: the frame, or the refusal.
    fn expect(&self, user: usize, granter: usize, gref: u32, readonly: bool) -> GntResult<u32> {
        if gref >= ENTRIES {
            return Err(Gntst::BAD_GNTREF);
        }
        let (flags, domid, frame) = self.entries[granter][gref as usize];
        let uses: Vec<&Held> = self.uses(granter, gref).collect();

        if let Some(first) = uses.first() {
            if first.user != user {
                return Err(Gntst::GENERAL_ERROR);
            }
            if readonly || uses.iter().any(|held| !held.readonly) {
                return Ok(first.frame);
            }
        }
        if flags & 3 != 1 || usize::from(domid) != user || (!readonly && flags & 4 != 0) {
            return Err(Gntst::GENERAL_ERROR);
        }
        Ok(uses.first().map_or(frame, |first| first.frame))
    }

    /// The flags that an entry should show.
    fn shown(&self, granter: usize, gref: u32) -> u16 {
        let mut flags = self.entries[granter][gref as usize].0;

        for held in self.uses(granter, gref) {
            flags |= GTF_READING;
            if !held.readonly {
                flags |= GTF_WRITING;
            }
        }
        flags
    }
}

fn access(readonly: bool) -> Access {
    if readonly {
        Access::Read
    } else {
        Access::Write
    }
}

/// Pairs two tables that may be one.
fn map_between(
    tables: &mut [Table],
    granter: usize,
    mapper: usize,
    gref: u32,
    access: Access,
) -> GntResult<u32> {
    let handle = reserve(&mut tables[mapper])?;

    match tables[granter].pin(gref, mapper as u16, access, Use::Map) {
        Err(status) => {
            tables[mapper].release_handle(handle);
            Err(status)
        }
        Ok(pin) => {
            let mapping = Mapping {
                mfn: 0x1000 + pin.gfn(),
                host_addr: address(handle.handle()),
                pin,
            };
            Ok(tables[mapper].commit(handle, mapping).unwrap())
        }
    }
}

fn end_map(tables: &mut [Table], mapper: usize, handle: u32) -> u64 {
    match tables[mapper].begin_unmap(handle, address(handle), 0) {
        Ok(Unmap::Remove(handle, mapping)) => {
            tables[usize::from(mapping.pin.granter())].unpin(mapping.pin);
            tables[mapper].release_handle(handle);
            mapping.mfn
        }
        other => panic!("{other:?}"),
    }
}

fn run(ops: Vec<Op>) {
    let mut tables: Vec<Table> = (0..DOMAINS).map(|d| table(d as u16, 1)).collect();
    let mut pins: Vec<Pin> = Vec::new();
    let mut model = Model {
        entries: vec![vec![(0, 0, 0); ENTRIES as usize]; DOMAINS],
        ..Model::default()
    };

    for op in ops {
        match op {
            Op::Grant(d, gref, flags, to, frame) => {
                if model.uses(d, gref).next().is_none() {
                    write_entry(&tables[d], gref, flags, to, frame);
                    model.entries[d][gref as usize] = (flags, to, frame);
                }
            }
            Op::SetReadonly(d, gref, readonly) => {
                let (now, domid, frame) = read_entry(&tables[d], gref);
                let entry = &mut model.entries[d][gref as usize];
                // To read-only only if nobody writes, as the protocol has it.
                if !readonly {
                    entry.0 &= !GTF_READONLY;
                    write_entry(&tables[d], gref, now & !GTF_READONLY, domid, frame);
                } else if now & GTF_WRITING == 0 {
                    entry.0 |= GTF_READONLY;
                    write_entry(&tables[d], gref, now | GTF_READONLY, domid, frame);
                }
            }
            Op::Map(user, granter, gref, readonly) => {
                let expected = model.expect(user, granter, gref, readonly);
                let got = map_between(&mut tables, granter, user, gref, access(readonly));

                match (got, expected) {
                    (Ok(handle), Ok(frame)) => model.maps.push((
                        handle,
                        Held {
                            user,
                            granter,
                            gref,
                            readonly,
                            frame,
                        },
                    )),
                    (got, expected) => assert_eq!(got.err(), expected.err()),
                }
            }
            Op::Unmap(user, n) => {
                let own: Vec<usize> = (0..model.maps.len())
                    .filter(|&at| model.maps[at].1.user == user)
                    .collect();
                if let Some(&at) = own.get(n % own.len().max(1)) {
                    let (handle, held) = model.maps.remove(at);
                    assert_eq!(
                        end_map(&mut tables, user, handle),
                        0x1000 + u64::from(held.frame)
                    );
                }
            }
            Op::StartCopy(user, granter, gref, readonly) => {
                let expected = model.expect(user, granter, gref, readonly);
                let got = tables[granter].pin(gref, user as u16, access(readonly), Use::Copy);

                assert_eq!(
                    got.as_ref().map(Pin::gfn).map_err(|&status| status),
                    expected.map(u64::from)
                );
                if let (Ok(pin), Ok(frame)) = (got, expected) {
                    pins.push(pin);
                    model.copies.push(Held {
                        user,
                        granter,
                        gref,
                        readonly,
                        frame,
                    });
                }
            }
            Op::EndCopy(n) => {
                if !pins.is_empty() {
                    let at = n % pins.len();
                    let held = model.copies.remove(at);
                    tables[held.granter].unpin(pins.remove(at));
                }
            }
            Op::Swap(d, a, b) => {
                let expected = if a >= ENTRIES || b >= ENTRIES {
                    Err(Gntst::BAD_GNTREF)
                } else if a != b
                    && (model.uses(d, a).next().is_some() || model.uses(d, b).next().is_some())
                {
                    Err(Gntst::EAGAIN)
                } else {
                    model.entries[d].swap(a as usize, b as usize);
                    Ok(())
                };
                assert_eq!(tables[d].swap(a, b), expected);
            }
            Op::ReleaseAll(user) => {
                let before = model.maps.len();
                model.maps.retain(|(_, held)| held.user != user);
                let (mut released, mut steps) = (0, 0);
                loop {
                    steps += 1;
                    assert!(steps < 1000, "it does not end");
                    match tables[user].release_step() {
                        Release::Mapping(mapping) => {
                            tables[usize::from(mapping.pin.granter())].unpin(mapping.pin);
                            released += 1;
                        }
                        Release::Again => {}
                        Release::Done => break,
                    }
                }
                assert_eq!(released, before - model.maps.len());
            }
        }

        for (d, table) in tables.iter().enumerate() {
            let mut in_use = 0;
            for gref in (0..4).chain([511]) {
                assert_eq!(
                    read_entry(table, gref),
                    (
                        model.shown(d, gref),
                        model.entries[d][gref as usize].1,
                        model.entries[d][gref as usize].2
                    ),
                    "domain {d} entry {gref}"
                );
                in_use += u32::from(model.uses(d, gref).next().is_some());
            }
            assert_eq!(table.pinned(), in_use);
            let handles = model.maps.iter().filter(|(_, held)| held.user == d).count();
            assert_eq!(table.handles_in_use() as usize, handles);
        }
    }

    for (handle, held) in model.maps {
        end_map(&mut tables, held.user, handle);
    }
    for (pin, held) in pins.into_iter().zip(&model.copies) {
        tables[held.granter].unpin(pin);
    }
    for table in &tables {
        assert_idle(table);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_model(ops in proptest::collection::vec(op(), 1..200)) {
        run(ops);
    }

    /// Anything a guest may write into an entry, and any request for it: no panic, and bits only if granted.
    #[test]
    fn any_entry(header: u32, frame: u32, gref: u32, who: u16, write: bool, copy: bool) {
        let mut granter = table(GRANTER, 1);
        let flags = header as u16;
        let domid = (header >> 16) as u16;
        let at = gref % 512;
        write_entry(&granter, at, flags, domid, frame);

        let how = if copy { Use::Copy } else { Use::Map };
        let mask = if copy { 3 } else { 0x103 };
        let good = flags & mask == 1 && domid == who && !(write && flags & 4 != 0);
        let got = granter.pin(at, who, access(!write), how);
        prop_assert_eq!(got.is_ok(), good);
        let bits = match (good, write) {
            (false, _) => 0,
            (true, false) => GTF_READING,
            (true, true) => IN_USE,
        };
        prop_assert_eq!(read_entry(&granter, at), (flags | bits, domid, frame));
        if let Ok(pin) = got {
            prop_assert_eq!(pin.gfn(), u64::from(frame));
            granter.unpin(pin);
            prop_assert_eq!(read_entry(&granter, at), (flags & !bits, domid, frame));
        }
        prop_assert_eq!(granter.pinned(), 0);
    }
}
