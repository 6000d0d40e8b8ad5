// SPDX-License-Identifier: GPL-2.0-only

//! Whether a tree is what the module was built from.
//!
//! It was if what the tree becomes is in the module, every function, constant and variable of it, and if the module has
//! no other functions. Only the width of jumps may differ, and what fills gaps: functions in sections of their own are
//! further apart.

use std::collections::{
    BTreeSet,
    HashMap, //
};
use std::path::Path;

use iced_x86::{
    Decoder,
    DecoderOptions,
    Instruction,
    Mnemonic,
    OpKind, //
};
use object::elf;

use super::compare::is_location;
use super::module::{
    Changes,
    Link,
    Module,
    Named,
    Place, //
};
use super::object::{
    Build,
    Id,
    Kind,
    Piece,
    Reference,
    Target, //
};

/// The call that the compiler makes for the function tracer; the kernel's tools make a no-op of it.
const TRACER: &str = "__fentry__";

/// What functions that only the kernel's build adds begin with: the gap before a function.
const ADDED: &str = "__pfx_";

/// An instruction.
struct Step {
    at: u64,
    end: u64,
    mnemonic: Mnemonic,
    /// Where a jump or call goes that holds a distance, from the beginning of the function.
    to: Option<u64>,
}

/// The instructions of a function without those that do nothing, and without those at `skipped` places.
fn steps(code: &[u8], skipped: &dyn Fn(u64, u64) -> bool) -> Vec<Step> {
    let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    let mut found = Vec::new();
    let mut instruction = Instruction::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        let (at, end) = (instruction.ip(), instruction.next_ip());
        if instruction.mnemonic() == Mnemonic::Nop || skipped(at, end) {
            continue;
        }
        let to =
            (instruction.op0_kind() == OpKind::NearBranch64).then(|| instruction.near_branch64());
        found.push(Step {
            at,
            end,
            mnemonic: instruction.mnemonic(),
            to,
        });
    }
    found
}

/// Whether code goes somewhere else without a reference to that.
pub(crate) fn leaves(code: &[u8], references: &[Reference]) -> bool {
    steps(code, &|_, _| false).iter().any(|step| {
        let refers = references
            .iter()
            .any(|reference| (step.at..step.end).contains(&reference.at));
        !refers && step.to.is_some_and(|to| to > code.len() as u64)
    })
}

/// Which instruction is at a place, or the next one behind it.
fn index_of(steps: &[Step], at: u64) -> usize {
    steps.partition_point(|step| step.at < at)
}

/// How many bytes a reference writes.
fn width(kind: elf::RelocationType) -> u64 {
    match kind {
        elf::R_X86_64_64 | elf::R_X86_64_PC64 => 8,
        _ => 4,
    }
}

/// Whether a reference is a distance.
fn is_distance(kind: elf::RelocationType) -> bool {
    matches!(
        kind,
        elf::R_X86_64_PC32 | elf::R_X86_64_PLT32 | elf::R_X86_64_PC64
    )
}

/// Bytes without what references write.
fn masked(bytes: &[u8], references: impl Iterator<Item = (u64, elf::RelocationType)>) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (at, kind) in references {
        for at in at..at + width(kind) {
            if let Some(byte) = bytes.get_mut(at as usize) {
                *byte = 0;
            }
        }
    }
    bytes
}

/// Where something of the tree goes: what it refers to, and the distance from that.
type Goal<'t> = (&'t Target, i64);

/// A reference in the module, and where it is.
type Linked<'a, 'm> = &'a (u64, &'m Link);

/// A tree and a module side by side.
struct Check<'a> {
    module: &'a Module,
    build: &'a Build,
    /// Where the tree is.
    path: &'a [u8],
    /// What has been compared: a piece, and where in the module.
    known: HashMap<(Id, usize, u64), bool>,
}

/// What of a tree at `path` is not in a module, and functions of the module that are not in the tree, by name.
pub(crate) fn differences(module: &Module, build: &Build, path: &Path) -> BTreeSet<String> {
    let mut check = Check {
        module,
        build,
        path: path.as_os_str().as_encoded_bytes(),
        known: HashMap::new(),
    };
    let mut found = BTreeSet::new();
    for (name, id) in build.named() {
        let Some(piece) = build.piece(id) else {
            continue;
        };
        let mut all = module.all(name).iter();
        if !all.any(|named| named.size == piece.size_in(named) && check.same(id, *named)) {
            found.insert(name.to_string());
        }
    }
    let known = |name: &str| {
        let mut objects = build.objects.iter();
        objects.any(|(_, object)| object.by_name.contains_key(name))
    };
    for name in module.functions() {
        if !name.starts_with(ADDED) && !known(name) {
            found.insert(name.to_string());
        }
    }
    found
}

impl Piece {
    /// Bytes that this has in the module: code may be of another size there.
    fn size_in(&self, named: &Named) -> u64 {
        // What is empty takes a byte if it has no section of its own.
        if named.is_function || self.size == 0 {
            named.size
        } else {
            self.size
        }
    }
}

impl Check<'_> {
    /// Whether a piece is what the module has at a place.
    fn same(&mut self, id: Id, named: Named) -> bool {
        let key = (id, named.section, named.address);
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        // What refers to itself is the same if nothing else is in the way.
        self.known.insert(key, true);
        let is_code = self.module.is_text(named.section);
        let same = match self.build.piece(id) {
            None => false,
            Some(piece) if is_code => {
                matches!(piece.kind, Kind::Code | Kind::Passing) && self.same_code(id, piece, named)
            }
            Some(piece) => piece.kind != Kind::Code && self.same_data(id, piece, named),
        };
        self.known.insert(key, same);
        same
    }

    /// The instructions of a function of the tree.
    fn tree_steps(&self, id: Id) -> Vec<Step> {
        let Some(piece) = self.build.piece(id) else {
            return Vec::new();
        };
        let tracer = Target::Name(TRACER.into());
        let mut tracers = piece.references.iter().filter(|r| r.target == tracer);
        let first = tracers.next().map(|reference| reference.at);
        steps(&piece.bytes, &|at, end| {
            piece.switches.iter().any(|switch| switch.at == at)
                || first.is_some_and(|call| (at..end).contains(&call))
        })
    }

    /// The instructions of a function of the module.
    fn module_steps(&self, named: Named) -> Vec<Step> {
        let (section, from, size) = (named.section, named.address, named.size);
        let sites = self.module.sites(section, from, size);
        let code = self.module.bytes(section, from, size).unwrap_or_default();
        steps(code, &|at, _| {
            sites
                .iter()
                .any(|(place, site)| *place == at && site.changes != Changes::Call)
        })
    }

    fn same_code(&mut self, id: Id, piece: &Piece, named: Named) -> bool {
        let (ours, theirs) = (self.tree_steps(id), self.module_steps(named));
        if ours.len() != theirs.len() || !self.same_switches(piece, &ours, named, &theirs) {
            return false;
        }
        let links = self.module.links(named.section, named.address, named.size);
        ours.iter().zip(&theirs).all(|(a, b)| {
            let of_a: Vec<_> = piece
                .references
                .iter()
                .filter(|reference| (a.at..a.end).contains(&reference.at))
                .collect();
            let of_b: Vec<_> = links
                .iter()
                .filter(|(at, _)| (b.at..b.end).contains(at))
                .collect();
            if a.mnemonic != b.mnemonic || a.to.is_some() != b.to.is_some() {
                return false;
            }
            if let (Some(x), Some(y)) = (a.to, b.to) {
                return self.same_jump((id, a, x, &of_a, &ours), (named, b, y, &of_b, &theirs));
            }
            let bytes_a = piece.bytes.get(a.at as usize..a.end as usize);
            let bytes_b = self
                .module
                .bytes(named.section, named.address + b.at, b.end - b.at);
            let (Some(bytes_a), Some(bytes_b)) = (bytes_a, bytes_b) else {
                return false;
            };
            masked(bytes_a, of_a.iter().map(|r| (r.at - a.at, r.kind)))
                == masked(bytes_b, of_b.iter().map(|(at, l)| (at - b.at, l.kind)))
                && of_a.len() == of_b.len()
                && of_a.iter().zip(&of_b).all(|(x, (at, y))| {
                    x.at - a.at == at - b.at
                        && is_distance(x.kind) == is_distance(y.kind)
                        && width(x.kind) == width(y.kind)
                        && self.same_goal(
                            id,
                            goal(x, a.end),
                            &y.place,
                            y.addend + behind(y, *at, b),
                        )
                })
        })
    }

    /// Whether static keys are at the same places.
    fn same_switches(&self, piece: &Piece, ours: &[Step], named: Named, theirs: &[Step]) -> bool {
        let mut sites = self.module.sites(named.section, named.address, named.size);
        sites.retain(|(_, site)| site.changes == Changes::Key);
        piece.switches.len() == sites.len()
            && piece
                .switches
                .iter()
                .zip(&sites)
                .all(|(switch, (at, site))| {
                    index_of(ours, switch.at) == index_of(theirs, *at)
                        && (switch.key == site.name || !self.is_global(&switch.key))
                })
    }

    /// Whether a name is one that the module knows.
    fn is_global(&self, name: &str) -> bool {
        self.module.count(name) != 0 || self.module.imports(name)
    }

    /// What begins `distance` behind a piece's beginning, in the same section.
    fn neighbour(&self, (object, index): Id, distance: u64) -> Option<Target> {
        let pieces = &self.build.objects.get(object)?.1.pieces;
        let piece = pieces.get(index)?;
        let start = piece.start.wrapping_add(distance);
        pieces
            .iter()
            .find(|other| other.section == piece.section && other.start == start)
            .map(|other| Target::Name(other.name.clone()))
    }

    /// Whether two jumps or calls go to the same place.
    fn same_jump(
        &mut self,
        (id, a, x, of_a, ours): (Id, &Step, u64, &[&Reference], &[Step]),
        (named, b, y, of_b, theirs): (Named, &Step, u64, &[Linked<'_, '_>], &[Step]),
    ) -> bool {
        // Where it goes in the tree, unless that is within the function.
        let tree = of_a.first().map(|reference| goal(reference, a.end));
        // Where it goes in the module.
        let (place, addend) = match of_b.first() {
            Some((at, link)) => (link.place.clone(), link.addend + behind(link, *at, b)),
            None => (Place::Here(named.section, named.address.wrapping_add(y)), 0),
        };
        let inside = |place: &Place| match place {
            Place::Here(section, at) if *section == named.section => {
                let at = at.wrapping_add_signed(addend).checked_sub(named.address);
                // To the end and no further: where nothing ever goes.
                at.filter(|at| *at <= named.size)
            }
            _ => None,
        };
        match tree {
            // To another function of a section that several share.
            None if self.build.piece(id).is_some_and(|piece| x > piece.size) => {
                let target = self.neighbour(id, x);
                target.is_some_and(|name| self.same_goal(id, (&name, 0), &place, addend))
            }
            None => inside(&place).is_some_and(|y| index_of(ours, x) == index_of(theirs, y)),
            Some(goal) => self.same_goal(id, goal, &place, addend),
        }
    }

    /// Whether the tree's reference of a piece and the module's are to the same.
    fn same_goal(&mut self, id: Id, (target, off): Goal<'_>, place: &Place, addend: i64) -> bool {
        let (section, at) = match (place, target) {
            (Place::Kernel(theirs), Target::Name(ours)) => return ours == theirs && off == addend,
            (Place::Kernel(_), Target::Piece(_)) => return false,
            (Place::Here(section, at), _) => (*section, at.wrapping_add_signed(addend)),
        };
        let start = at.wrapping_add_signed(off.wrapping_neg());
        match target {
            Target::Piece(piece) => {
                let size = self
                    .build
                    .piece((id.0, *piece))
                    .map_or(0, |piece| piece.size);
                let named = Named {
                    section,
                    address: start,
                    size,
                    is_function: false,
                };
                self.same((id.0, *piece), named)
            }
            // Something without a name in a section that is not looked at: `.altinstr_aux`.
            Target::Name(name) if name.is_empty() => !self.module.may_change(section),
            Target::Name(name) => {
                let module = self.module;
                let mut all = module.all(name).iter();
                if all.any(|one| (one.section, one.address) == (section, start)) {
                    return true;
                }
                // Within a function, whose jumps may have other widths.
                let Some(ours) = self.build.find(id.0, name) else {
                    return false;
                };
                let holds = |one: &&Named| {
                    one.is_function
                        && one.section == section
                        && (one.address..one.address + one.size).contains(&at)
                };
                let mut all = module.all(name).iter();
                off > 0
                    && all.find(holds).is_some_and(|one| {
                        index_of(&self.tree_steps(ours), off as u64)
                            == index_of(&self.module_steps(*one), at - one.address)
                    })
            }
        }
    }

    fn same_data(&mut self, id: Id, piece: &Piece, named: Named) -> bool {
        let links = self.module.links(named.section, named.address, piece.size);
        let theirs = self.module.bytes(named.section, named.address, piece.size);
        let Some(theirs) = theirs else {
            return false;
        };
        let ours = &piece.bytes[..];
        if is_location(self.build, id) {
            // The file may have another path.
            return ours.get(16..) == theirs.get(16..) && links.len() == 1;
        }
        if let Some(name) = ours
            .strip_prefix(self.path)
            .filter(|_| !self.path.is_empty())
        {
            // The name of a file of the tree.
            let theirs = self.module.string(named.section, named.address);
            return theirs.is_some_and(|theirs| theirs.ends_with(name));
        }
        masked(ours, piece.references.iter().map(|r| (r.at, r.kind)))
            == masked(theirs, links.iter().map(|(at, link)| (*at, link.kind)))
            && piece.references.len() == links.len()
            && piece.references.iter().zip(&links).all(|(x, (at, y))| {
                let own = if is_distance(x.kind) { *at as i64 } else { 0 };
                x.at == *at
                    && x.kind == y.kind
                    && (self.same_goal(id, (&x.target, x.addend), &y.place, y.addend)
                        // A distance from the beginning of a table.
                        || own != 0
                            && self.same_goal(
                                id,
                                (&x.target, x.addend - own),
                                &y.place,
                                y.addend - own,
                            ))
            })
    }
}

/// Where a reference in an instruction that ends at `end` goes.
fn goal(reference: &Reference, end: u64) -> Goal<'_> {
    let behind = if is_distance(reference.kind) {
        end as i64 - reference.at as i64
    } else {
        0
    };
    (&reference.target, reference.addend + behind)
}

/// What is to be added to the addend of a link at a place of an instruction: distances are from the instruction's end.
fn behind(link: &Link, at: u64, step: &Step) -> i64 {
    if is_distance(link.kind) {
        step.end as i64 - at as i64
    } else {
        0
    }
}
