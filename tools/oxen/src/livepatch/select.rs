// SPDX-License-Identifier: GPL-2.0-only

//! What goes into a payload, and what is in the way.

use std::collections::{
    BTreeMap,
    BTreeSet,
    HashMap,
    HashSet, //
};

use super::compare::Comparison;
use super::module::Module;
use super::names::{
    is_for_the_tool_chain,
    is_part,
    shown, //
};
use super::object::{
    Build,
    Id,
    Kind,
    Piece,
    Reference,
    Target, //
};

/// A function that is replaced.
#[derive(Debug)]
pub(crate) struct Replaced {
    /// Its name.
    pub(crate) name: String,
    /// What replaces it.
    pub(crate) new: Id,
    /// Bytes of what is replaced.
    pub(crate) old_size: u64,
}

/// What goes into a payload.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    pub(crate) replaced: Vec<Replaced>,
    /// All pieces that go along, those that replace others among them.
    pub(crate) pieces: BTreeSet<Id>,
    /// What a person should know.
    pub(crate) notes: Vec<String>,
    /// Why it cannot be done.
    pub(crate) refusals: BTreeSet<String>,
}

/// Tables for code that are not needed, with what is missing without them.
pub(crate) const SPARE: [(&str, &str); 1] = [(
    ".static_call_sites",
    "its static calls go through their trampolines",
)];

/// What the keys of our own tracepoints begin with.
const TRACEPOINT: &str = "__tracepoint_oxen_";

/// What the sections' names begin with of what is there only while the module is loaded.
const AT_LOAD: &str = ".init";

/// Why what is in such a section, or in one for the module's end, cannot be replaced.
fn done(section: &str) -> &'static str {
    if section.starts_with(AT_LOAD) {
        "has changed, and has done its work already: it runs when the module is loaded"
    } else {
        "has changed, and may not be patched: it runs when the module is unloaded"
    }
}

/// Functions that nothing calls but what runs while the module is loaded, and that nothing has the address of.
fn only_at_load(build: &Build) -> HashSet<Id> {
    let mut users: HashMap<Id, Vec<(Id, bool)>> = HashMap::new();
    let mut found = HashSet::new();
    for (from, piece) in build.all() {
        if piece.section.starts_with(AT_LOAD) {
            found.insert(from);
        }
        for reference in &piece.references {
            if let Some(target) = build.target(from.0, &reference.target) {
                let is_call = reference.is_call();
                users.entry(target).or_default().push((from, is_call));
            }
        }
    }
    loop {
        let more: Vec<Id> = users
            .iter()
            .filter(|(id, users)| {
                let is_code = build.piece(**id).map(|piece| piece.kind) == Some(Kind::Code);
                let mut users = users.iter();
                is_code
                    && !found.contains(*id)
                    && users
                        .all(|(user, is_call)| *is_call && (found.contains(user) || user == *id))
            })
            .map(|(id, _)| *id)
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

/// What the sections' names begin with that the kernel must know of, which does not happen for a payload.
pub(crate) const SPECIAL: [&str; 8] = [
    ".data..percpu",
    ".static_call.text",
    "__tracepoint",
    "_ftrace_events",
    "__ksymtab",
    "__param",
    ".ctors",
    ".gnu.linkonce.this_module",
];

/// Works out what goes into a payload.
pub(crate) fn select(compare: &mut Comparison<'_>, module: &Module) -> Selection {
    let mut this = Selection::default();
    let changed = this.changed(compare, module);
    let mut open: Vec<Id> = changed.values().copied().collect();
    while let Some(id) = open.pop() {
        if !this.pieces.insert(id) {
            continue;
        }
        let Some(piece) = compare.after.piece(id) else {
            continue;
        };
        this.check_tables(piece);
        if let Some(section) = SPECIAL.iter().find(|it| piece.section.starts_with(*it)) {
            this.refuse(
                &piece.name,
                &format!("would have to be in {section}, which is not done for live patches"),
            );
        }
        if piece.kind == Kind::Code && super::tree::leaves(&piece.bytes, &piece.references) {
            this.refuse(
                &piece.name,
                "shares a section with others, and goes to them in a way that cannot be followed",
            );
        }
        for reference in &piece.references {
            if let Some(target) = this.goes_along(compare, module, &changed, id, reference) {
                open.push(target);
            }
        }
    }
    this
}

impl Selection {
    /// Notes why it cannot be done.
    pub(super) fn refuse(&mut self, name: &str, why: &str) {
        self.refusals.insert(format!("{}: {why}", shown(name)));
    }

    /// Finds the functions whose code is another; those that are to be replaced are entered.
    fn changed(&mut self, compare: &mut Comparison<'_>, module: &Module) -> BTreeMap<String, Id> {
        let after = compare.after;
        let at_load = only_at_load(after);
        let mut changed = BTreeMap::new();
        // By all names: the compiler has one piece for functions that are equal, and they need not have been before.
        for (name, id) in after.named() {
            let (Some(old), Some(piece)) = (compare.earlier(id.0, name), after.piece(id)) else {
                continue;
            };
            if compare.same(old, id) {
                continue;
            }
            let old_kind = compare.before.piece(old).map(|old| old.kind);
            match (old_kind, piece.kind) {
                (Some(Kind::Passing), _) => self.refuse(name, done(&piece.section)),
                (Some(Kind::Code), Kind::Code) if at_load.contains(&id) => {
                    self.refuse(name, done(AT_LOAD));
                }
                (Some(Kind::Code), Kind::Code) => {
                    changed.insert(name.to_string(), id);
                }
                (Some(Kind::Constant), Kind::Constant) => {
                    // Its users are other code, and take a new one along; unless nobody looks for them.
                    if !piece.references.is_empty() {
                        self.refuse(
                            name,
                            "is a table of addresses that has changed, and may be in use",
                        );
                    }
                }
                _ => self.refuse(name, "is a variable whose first value or size has changed"),
            }
        }
        // A part that the compiler set aside is reached from the function that it is of.
        let parts: Vec<(String, Id)> = changed
            .iter()
            .filter(|(name, _)| is_part(name))
            .map(|(name, id)| (name.clone(), *id))
            .collect();
        for (part, (object, _)) in parts {
            let whole = part.trim_end_matches(".cold").to_string();
            let is_code = |id: &Id| after.piece(*id).is_some_and(|it| it.kind == Kind::Code);
            if let Some(id) = after.find(object, &whole).filter(is_code) {
                changed.remove(&part);
                changed.insert(whole, id);
            }
        }
        let mut places = HashSet::new();
        for (name, id) in &changed {
            let place = module.one(name).map(|old| (old.section, old.address));
            // Functions that are one before and after need one jump.
            if place.is_some_and(|place| !places.insert((place, *id))) {
                continue;
            }
            self.replace(after, module, name, *id);
        }
        changed
    }

    fn replace(&mut self, after: &Build, module: &Module, name: &str, new: Id) {
        let Some(old) = module.one(name) else {
            let why = match module.count(name) {
                0 => "has changed, and is not in the module that runs",
                _ => "has changed, and there are several of that name",
            };
            self.refuse(name, why);
            return;
        };
        if !module.may_patch(old) {
            self.refuse(
                name,
                "has changed, and may not be patched: it runs while code is written",
            );
            return;
        }
        if let Some(why) = module.in_the_way(old) {
            self.refuse(name, &why);
            return;
        }
        // The jump is for all that have this code.
        let others: Vec<_> = module
            .functions_at(old)
            .filter(|other| *other != name && after.find(new.0, other) != Some(new))
            .map(shown)
            .collect();
        if !others.is_empty() {
            let why = format!(
                "shares its code with {}, whom it would take along",
                others.join(", ")
            );
            self.refuse(name, &why);
            return;
        }
        self.replaced.push(Replaced {
            name: name.to_string(),
            new,
            old_size: old.size,
        });
    }

    fn check_tables(&mut self, piece: &Piece) {
        for switch in &piece.switches {
            if switch.key.starts_with(TRACEPOINT) {
                let name = shown(&piece.name);
                self.notes.push(format!(
                    "{name}: its tracepoints are silent while it is patched"
                ));
            } else {
                self.refuse(
                    &piece.name,
                    &format!(
                        "depends on the static key {}, which may be changed",
                        switch.key
                    ),
                );
            }
        }
        for table in &piece.tables {
            match SPARE.iter().find(|(name, _)| name == table) {
                Some((_, note)) => self.notes.push(format!("{}: {note}", shown(&piece.name))),
                None => self.refuse(
                    &piece.name,
                    &format!("needs the table {table}, which is not done for live patches"),
                ),
            }
        }
    }

    /// Whether what a piece refers to goes along: if not, it is found by name in what runs.
    fn goes_along(
        &mut self,
        compare: &mut Comparison<'_>,
        module: &Module,
        changed: &BTreeMap<String, Id>,
        from: Id,
        reference: &Reference,
    ) -> Option<Id> {
        let after = compare.after;
        let Some(id) = after.target(from.0, &reference.target) else {
            if let Target::Name(name) = &reference.target {
                self.check_external(module, name);
            }
            return None;
        };
        let target = after.piece(id)?;
        // A piece may have several names, of which some are new.
        let name = match &reference.target {
            Target::Name(name) if !name.is_empty() => name,
            _ => &target.name,
        };
        let earlier = compare.earlier(id.0, name);
        if target.kind == Kind::Passing {
            self.refuse(
                &target.name,
                "is used, and is not there any more when the module runs",
            );
            return None;
        }
        if target.name.is_empty() {
            if target.kind == Kind::Variable {
                self.refuse(&target.section, "holds a variable without a name");
            }
            return Some(id);
        }
        match (earlier, target.kind) {
            // New in this build.
            (None, Kind::Variable) if target.size != 0 => {
                self.check_new(compare, module, id, name);
                Some(id)
            }
            (None, _) => Some(id),
            // Who takes the address of a function gets the old one, which leads to the new one as long as that is
            // there.
            (Some(_), Kind::Code) => {
                let goes = is_part(&target.name)
                    || (changed.contains_key(name) && reference.is_call())
                    || module.one(name).is_none();
                goes.then_some(id)
            }
            (Some(old), Kind::Constant) => {
                let by_name = module.one(name).is_some() && compare.same(old, id);
                (!by_name).then_some(id)
            }
            (Some(_), _) => {
                if module.one(name).is_none() {
                    // There is nothing in it.
                    if target.size == 0 {
                        return Some(id);
                    }
                    self.refuse(
                        name,
                        "is a variable that cannot be found by its name in the module that runs",
                    );
                }
                if target.size != 0 {
                    self.check_numbers(compare, id.0, name);
                }
                None
            }
        }
    }

    fn check_external(&mut self, module: &Module, name: &str) {
        if module.imports(name) || module.one(name).is_some() || is_for_the_tool_chain(name) {
            return;
        }
        match module.count(name) {
            0 => self.notes.push(format!(
                "{}: is new to the module; the kernel must export it",
                shown(name)
            )),
            _ => self.refuse(name, "is used, and there are several of that name"),
        }
    }
}
