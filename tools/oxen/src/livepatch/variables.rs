// SPDX-License-Identifier: GPL-2.0-only

//! Variables whose values would be lost: those that only have another name or number by now.

use std::collections::BTreeSet;

use super::compare::Comparison;
use super::module::Module;
use super::names::{
    is_alike,
    shown, //
};
use super::object::{
    Id,
    Kind, //
};
use super::select::Selection;

impl Selection {
    /// Sees whether a new variable is one that has had another name: its value would be lost.
    pub(super) fn check_new(
        &mut self,
        compare: &Comparison<'_>,
        module: &Module,
        id: Id,
        name: &str,
    ) {
        let mut names = compare.after.named().filter(|(_, other)| *other == id);
        if let Some((old, _)) = names.find(|(other, _)| compare.earlier(id.0, other).is_some()) {
            self.refuse(
                name,
                &format!("is a new name of the variable {}", shown(old)),
            );
            return;
        }
        if module.count(name) != 0 {
            self.refuse(
                name,
                "is a new variable here, and there is one of that name elsewhere",
            );
            return;
        }
        let gone = compare.gone();
        let file = compare.after.objects.get(id.0).map(|(file, _)| file);
        let alike = gone.iter().find(|(_, old)| is_alike(old, name));
        let here = gone
            .iter()
            .find(|(object, _)| file.is_some_and(|file| file == object));
        if let Some((_, old)) = alike.or(here) {
            let why = format!(
                "is a new variable, and {} is gone: \
                 if that is the same one, its value would be lost",
                shown(old)
            );
            self.refuse(name, &why);
            return;
        }
        self.check_numbers(compare, id.0, name);
    }

    /// Sees whether a variable's name is that of another one by now, because compilers count what has the same name in
    /// a file. Then there are more or fewer of them.
    pub(super) fn check_numbers(&mut self, compare: &Comparison<'_>, object: usize, name: &str) {
        let Some((file, _)) = compare.after.objects.get(object) else {
            return;
        };
        let [old, new] = [compare.before, compare.after].map(|build| {
            let variables = build.named().filter(|(other, id)| {
                let is_here = build.objects.get(id.0).is_some_and(|(it, _)| it == file);
                let is_variable = build.piece(*id).map(|it| it.kind) == Some(Kind::Variable);
                is_here && is_variable && is_alike(other, name)
            });
            variables.map(|(other, _)| other).collect::<BTreeSet<_>>()
        });
        if !old.is_empty() && old != new {
            self.refuse(
                name,
                "is one of the variables of that name in its file, of which there are more or \
                 fewer now: which is which cannot be told",
            );
        }
    }
}
