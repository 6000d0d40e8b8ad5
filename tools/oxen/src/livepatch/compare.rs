// SPDX-License-Identifier: GPL-2.0-only

//! Which pieces are the same in two builds.

use std::collections::HashMap;

use object::elf;

use super::object::{
    Build,
    Id,
    Kind,
    Piece,
    Target, //
};

/// Two builds side by side.
pub(crate) struct Comparison<'a> {
    pub(crate) before: &'a Build,
    pub(crate) after: &'a Build,
    known: HashMap<(Id, Id), bool>,
}

/// Bytes of a place in the source as the compiler keeps it for panics: the file's name, its length, a line and a
/// column.
const LOCATION: u64 = 24;

/// What the names of files end with that have such places.
const SOURCE: &[u8] = b".rs";

/// Whether a piece says where in the source something stands. Lines move without anything else being another.
pub(crate) fn is_location(build: &Build, id: Id) -> bool {
    names_source(build, id).unwrap_or(false)
}

/// Whether a piece is as long as a place in the source, and begins with the name of a file.
fn names_source(build: &Build, id: Id) -> Option<bool> {
    let piece = build.piece(id)?;
    let [name] = &piece.references[..] else {
        return None;
    };
    if piece.kind != Kind::Constant
        || piece.size != LOCATION
        || (name.at, name.kind) != (0, elf::R_X86_64_64)
    {
        return None;
    }
    let text = build.piece(build.target(id.0, &name.target)?)?;
    let from = usize::try_from(name.addend).ok()?;
    let len = u64::from_le_bytes(*piece.bytes.get(8..)?.first_chunk()?);
    let to = from.checked_add(usize::try_from(len).ok()?)?;
    Some(text.kind == Kind::Constant && text.bytes.get(from..to)?.ends_with(SOURCE))
}

impl<'a> Comparison<'a> {
    /// Of these.
    pub(crate) fn new(before: &'a Build, after: &'a Build) -> Self {
        Self {
            before,
            after,
            known: HashMap::new(),
        }
    }

    /// The piece of the build before that has a name of one of an object of the build after, in the same object.
    pub(crate) fn earlier(&self, object: usize, name: &str) -> Option<Id> {
        let (file, _) = self.after.objects.get(object)?;
        let object = self
            .before
            .objects
            .iter()
            .position(|(name, _)| name == file)?;
        let index = self.before.objects.get(object)?.1.by_name.get(name)?;
        Some((object, *index))
    }

    /// Names of variables of the build before, with the names of their objects, that the same object no longer has.
    pub(crate) fn gone(&self) -> Vec<(&'a str, &'a str)> {
        let (before, after) = (self.before, self.after);
        let is_there = |file: &str, name: &str| {
            let mut objects = after.objects.iter();
            objects.any(|(other, it)| other == file && it.by_name.contains_key(name))
        };
        let variables = before.named().filter_map(|(name, id)| {
            let (file, _) = before.objects.get(id.0)?;
            let piece = before.piece(id)?;
            let counts = piece.kind == Kind::Variable && piece.size != 0;
            (counts && !is_there(file, name)).then_some((file.as_str(), name))
        });
        let mut gone: Vec<_> = variables.collect();
        gone.sort_unstable();
        gone
    }

    /// Whether two pieces do, or are, the same.
    pub(crate) fn same(&mut self, old: Id, new: Id) -> bool {
        if let Some(known) = self.known.get(&(old, new)) {
            return *known;
        }
        // What refers to itself is the same if nothing else is in the way.
        self.known.insert((old, new), true);
        let same = self.look(old, new);
        self.known.insert((old, new), same);
        same
    }

    fn look(&mut self, old: Id, new: Id) -> bool {
        let (Some(a), Some(b)) = (self.before.piece(old), self.after.piece(new)) else {
            return false;
        };
        let same_bytes = if is_location(self.before, old) && is_location(self.after, new) {
            a.bytes.get(..16) == b.bytes.get(..16)
        } else {
            a.bytes == b.bytes
        };
        a.kind == b.kind
            && a.size == b.size
            && same_bytes
            && a.switches == b.switches
            && a.references.len() == b.references.len()
            && a.references.iter().zip(&b.references).all(|(x, y)| {
                (x.at, x.kind, x.addend) == (y.at, y.kind, y.addend)
                    && self.same_target(old.0, &x.target, new.0, &y.target)
            })
    }

    fn same_target(&mut self, a: usize, x: &Target, b: usize, y: &Target) -> bool {
        let found = (self.before.target(a, x), self.after.target(b, y));
        match (x, y) {
            (Target::Piece(_), Target::Piece(_)) => {
                matches!(found, (Some(x), Some(y)) if self.same(x, y))
            }
            (Target::Name(x), Target::Name(y)) => {
                // Constants are compared wherever they are used: who uses another one is another.
                let constants = match found {
                    (Some(x), Some(y)) => {
                        let is = |piece: Option<&Piece>| {
                            piece.is_some_and(|piece| piece.kind == Kind::Constant)
                        };
                        (is(self.before.piece(x)) && is(self.after.piece(y))).then_some((x, y))
                    }
                    _ => None,
                };
                x == y && constants.is_none_or(|(x, y)| self.same(x, y))
            }
            _ => false,
        }
    }
}
