// SPDX-License-Identifier: GPL-2.0-only

//! The rules, one by one and against a model.

use proptest::prelude::*;

use super::*;

#[derive(Clone)]
struct Fake {
    id: u8,
    depends: u8,
    reapply: bool,
    veto: bool,
    uses: Option<u8>,
}

fn id(number: u8) -> Id {
    Id::new(&[number; 20]).unwrap()
}

impl Described for Fake {
    fn id(&self) -> Id {
        id(self.id)
    }
    fn depends(&self) -> Id {
        id(self.depends)
    }
    fn may_reapply(&self) -> bool {
        self.reapply
    }
    fn can_veto(&self) -> bool {
        self.veto
    }
    fn metadata(&self) -> &[u8] {
        &[]
    }
    fn uses(&self, other: &Id) -> bool {
        self.uses.is_some_and(|uses| id(uses) == *other)
    }
}

const RUNNING: u8 = 0xff;
const NODEPS: u32 = abi::ACTION_APPLY_NODEPS;

fn name(text: &str) -> Name {
    Name::parse(format!("{text}\0").as_bytes()).unwrap()
}

/// Payloads `a`, `b`, ... with these dependencies; their own identities are 1, 2, ...
fn registry(depends: &[u8]) -> Registry<Fake> {
    let mut registry = Registry::new();
    for (index, depends) in depends.iter().enumerate() {
        let payload = Fake {
            id: index as u8 + 1,
            depends: *depends,
            reapply: true,
            veto: false,
            uses: None,
        };
        registry.add(letter(index), payload).unwrap();
    }
    registry
}

fn letter(index: usize) -> Name {
    name(&char::from(b'a' + index as u8).to_string())
}

fn decide(registry: &mut Registry<Fake>, who: &str, command: u32, flags: u32) -> Result<Decision> {
    registry.decide(&name(who), command, flags, Some(id(RUNNING)))
}

/// Decides and does it.
fn act(registry: &mut Registry<Fake>, who: &str, command: u32) -> Result<Decision> {
    let decision = decide(registry, who, command, 0)?;
    if let Decision::Act(action) = decision {
        registry.begin(&name(who), action).unwrap();
        registry.finish(Ok(()));
    }
    Ok(decision)
}

fn order(registry: &Registry<Fake>) -> Vec<u8> {
    registry.applied().map(|entry| entry.payload.id).collect()
}

#[test]
fn l_2_names_have_1_to_127_bytes() {
    assert!(Name::parse(b"").is_err());
    assert!(Name::parse(b"\0").is_err());
    assert!(Name::parse(b"a").is_err());
    assert_eq!(Name::parse(b"a\0").unwrap().bytes(), b"a");
    assert_eq!(Name::parse(b"a\0").unwrap().with_nul(), b"a\0");
    let mut long = vec![b'x'; 127];
    long.push(0);
    assert_eq!(Name::parse(&long).unwrap().with_nul(), long);
    long.insert(0, b'x');
    assert!(Name::parse(&long).is_err());
    // As a string in C ends.
    assert_eq!(Name::parse(b"a\0b\0").unwrap().bytes(), b"a");
}

#[test]
fn l_2_names_are_unique() {
    let mut registry = registry(&[RUNNING]);
    let copy = registry.get(&name("a")).unwrap().payload.clone();
    assert_eq!(registry.add(name("a"), copy), Err(EEXIST));
    assert_eq!(
        decide(&mut registry, "b", abi::ACTION_APPLY, 0),
        Err(ENOENT)
    );
}

#[test]
fn l_4_the_stack_is_a_chain() {
    let mut registry = registry(&[RUNNING, 1, 2]);
    // The first is for the hypervisor, each further one for the one before it.
    assert_eq!(act(&mut registry, "b", abi::ACTION_APPLY), Err(EINVAL));
    act(&mut registry, "a", abi::ACTION_APPLY).unwrap();
    assert_eq!(act(&mut registry, "c", abi::ACTION_APPLY), Err(EINVAL));
    act(&mut registry, "b", abi::ACTION_APPLY).unwrap();
    act(&mut registry, "c", abi::ACTION_APPLY).unwrap();
    assert_eq!(order(&registry), [3, 2, 1]);
    // It comes off from the top only.
    assert_eq!(act(&mut registry, "a", abi::ACTION_REVERT), Err(EBUSY));
    assert_eq!(act(&mut registry, "b", abi::ACTION_REVERT), Err(EBUSY));
    act(&mut registry, "c", abi::ACTION_REVERT).unwrap();
    act(&mut registry, "b", abi::ACTION_REVERT).unwrap();
    // Without dependencies.
    let decision = decide(&mut registry, "c", abi::ACTION_APPLY, NODEPS);
    assert_eq!(decision, Ok(Decision::Act(Action::Apply)));
}

#[test]
fn l_4_a_replacement_is_for_the_hypervisor() {
    let mut registry = registry(&[RUNNING, 1, RUNNING, 2]);
    act(&mut registry, "a", abi::ACTION_APPLY).unwrap();
    act(&mut registry, "b", abi::ACTION_APPLY).unwrap();
    assert_eq!(act(&mut registry, "d", abi::ACTION_REPLACE), Err(EINVAL));
    // Nor does a flag change that.
    let decision = decide(&mut registry, "d", abi::ACTION_REPLACE, NODEPS);
    assert_eq!(decision, Err(EINVAL));
    act(&mut registry, "c", abi::ACTION_REPLACE).unwrap();
    assert_eq!(order(&registry), [3]);
    let states: Vec<_> = registry.entries().map(|e| (e.state, e.rc)).collect();
    let loaded = (State::Checked, 0);
    assert_eq!(states, [loaded, loaded, (State::Applied, 0), loaded]);
}

#[test]
fn wrong_states() {
    let mut registry = registry(&[RUNNING]);
    assert_eq!(
        act(&mut registry, "a", abi::ACTION_REVERT),
        Ok(Decision::Nothing)
    );
    act(&mut registry, "a", abi::ACTION_APPLY).unwrap();
    for command in [abi::ACTION_APPLY, abi::ACTION_REPLACE] {
        assert_eq!(act(&mut registry, "a", command), Ok(Decision::Nothing));
    }
    // LP-1: what is in use is not unloaded.
    assert_eq!(act(&mut registry, "a", abi::ACTION_UNLOAD), Err(EINVAL));
    assert!(registry.remove(&name("a")).is_none());
    for command in [0, 5, u32::MAX] {
        assert_eq!(act(&mut registry, "a", command), Err(EOPNOTSUPP));
    }
}

#[test]
fn lp_1_nothing_else_while_an_action_is_under_way() {
    let mut registry = registry(&[RUNNING, RUNNING, RUNNING]);
    registry.begin(&name("a"), Action::Apply).unwrap();
    assert_eq!(registry.get(&name("a")).unwrap().rc, EAGAIN.to_raw());
    for command in 1..=4 {
        assert_eq!(decide(&mut registry, "a", command, 0), Err(EBUSY));
    }
    assert_eq!(decide(&mut registry, "b", abi::ACTION_APPLY, 0), Err(EBUSY));
    assert_eq!(registry.get(&name("b")).unwrap().rc, 0);
    // What has nothing to do with it may go.
    let decision = decide(&mut registry, "b", abi::ACTION_UNLOAD, 0);
    assert_eq!(decision, Ok(Decision::Unload));
    registry.remove(&name("b")).unwrap();
    registry.finish(Err(EBUSY));
    let entry = registry.get(&name("a")).unwrap();
    assert_eq!((entry.state, entry.rc), (State::Checked, EBUSY.to_raw()));
    assert!(order(&registry).is_empty());
}

#[test]
fn lp_1_what_another_uses_stays() {
    let mut registry = registry(&[RUNNING, RUNNING]);
    registry.get_mut(&name("b")).unwrap().payload.uses = Some(1);
    assert_eq!(act(&mut registry, "a", abi::ACTION_UNLOAD), Err(EBUSY));
    let decision = decide(&mut registry, "b", abi::ACTION_UNLOAD, 0);
    assert_eq!(decision, Ok(Decision::Unload));
    registry.remove(&name("b")).unwrap();
    let decision = decide(&mut registry, "a", abi::ACTION_UNLOAD, 0);
    assert_eq!(decision, Ok(Decision::Unload));
}

#[test]
fn lp_2_dirty_variables() {
    let mut registry = registry(&[RUNNING]);
    registry.get_mut(&name("a")).unwrap().payload.reapply = false;
    act(&mut registry, "a", abi::ACTION_APPLY).unwrap();
    act(&mut registry, "a", abi::ACTION_REVERT).unwrap();
    for command in [abi::ACTION_APPLY, abi::ACTION_REPLACE] {
        assert_eq!(act(&mut registry, "a", command), Ok(Decision::Never));
        let entry = registry.get(&name("a")).unwrap();
        assert_eq!((entry.state, entry.rc), (State::Checked, EINVAL.to_raw()));
    }
    // Without variables it may be.
    registry.get_mut(&name("a")).unwrap().payload.reapply = true;
    act(&mut registry, "a", abi::ACTION_APPLY).unwrap();
}

#[test]
fn l_11_no_replacement_with_hooks() {
    let mut registry = registry(&[RUNNING, RUNNING]);
    registry.get_mut(&name("b")).unwrap().payload.veto = true;
    assert_eq!(
        act(&mut registry, "b", abi::ACTION_REPLACE),
        Err(EOPNOTSUPP)
    );
    act(&mut registry, "b", abi::ACTION_APPLY).unwrap();
    assert_eq!(
        act(&mut registry, "a", abi::ACTION_REPLACE),
        Err(EOPNOTSUPP)
    );
}

#[test]
fn the_version_says_when_the_list_has_changed() {
    let mut registry = registry(&[RUNNING]);
    let before = registry.version();
    act(&mut registry, "a", abi::ACTION_APPLY).unwrap();
    assert_eq!(registry.version(), before);
    act(&mut registry, "a", abi::ACTION_REVERT).unwrap();
    registry.remove(&name("a")).unwrap();
    assert_ne!(registry.version(), before);
}

/// A payload of the model: what it is, whether it was reverted.
#[derive(Clone)]
struct Model {
    fake: Fake,
    letter: usize,
    reverted: bool,
}

proptest! {
    /// Any sequence of calls: the answers are the model's, and so is the stack.
    #[test]
    fn follows_the_model(
        kinds in prop::collection::vec(
            (0..6u8, any::<bool>(), prop::bool::weighted(0.2), prop::option::of(1..6u8)), 5
        ),
        steps in prop::collection::vec(
            (0..5usize, 0..6u32, prop::bool::weighted(0.2), 0..4u8), 1..80
        ),
    ) {
        let mut registry = Registry::new();
        let mut loaded: Vec<Model> = Vec::new();
        // Letters, the bottom first.
        let mut stack: Vec<usize> = Vec::new();
        for (who, command, nodeps, outcome) in steps {
            let (depends, reapply, veto, uses) = kinds[who];
            let fake = Fake {
                id: who as u8 + 1,
                depends: if depends == 0 { RUNNING } else { depends },
                reapply,
                veto,
                uses: uses.filter(|uses| *uses != who as u8 + 1),
            };
            let at = loaded.iter().position(|m| m.letter == who);
            let flags = u32::from(nodeps);
            if command == 0 {
                let result = registry.add(letter(who), fake.clone());
                prop_assert_eq!(result, if at.is_some() { Err(EEXIST) } else { Ok(()) });
                if at.is_none() {
                    loaded.push(Model { fake, letter: who, reverted: false });
                }
                continue;
            }
            let result = registry.decide(&letter(who), command, flags, Some(id(RUNNING)));
            let Some(at) = at else {
                prop_assert_eq!(result, Err(ENOENT));
                continue;
            };
            let applied = stack.contains(&who);
            let last = stack.last().map_or(RUNNING, |top| *top as u8 + 1);
            let dirty = loaded[at].reverted && !fake.reapply;
            let any_veto = stack.iter().any(|s| kinds[*s].2);
            let used = loaded.iter().any(|m| m.fake.uses == Some(who as u8 + 1));
            let expected = match (command, applied) {
                (1, false) if used => Err(EBUSY),
                (1, false) => Ok(Decision::Unload),
                (1, true) => Err(EINVAL),
                (2, true) if stack.last() != Some(&who) => Err(EBUSY),
                (2, true) => Ok(Decision::Act(Action::Revert)),
                (3, false) if dirty => Ok(Decision::Never),
                (3, false) if !nodeps && loaded[at].fake.depends != last => Err(EINVAL),
                (3, false) => Ok(Decision::Act(Action::Apply)),
                (4, false) if loaded[at].fake.depends != RUNNING => Err(EINVAL),
                (4, false) if any_veto || loaded[at].fake.veto => Err(EOPNOTSUPP),
                (4, false) if dirty => Ok(Decision::Never),
                (4, false) => Ok(Decision::Act(Action::Replace)),
                (2..=4, _) => Ok(Decision::Nothing),
                _ => Err(EOPNOTSUPP),
            };
            prop_assert_eq!(result, expected);
            match result {
                Ok(Decision::Unload) => {
                    prop_assert!(registry.remove(&letter(who)).is_some());
                    loaded.remove(at);
                }
                Ok(Decision::Act(action)) => {
                    registry.begin(&letter(who), action).unwrap();
                    prop_assert_eq!(registry.busy().map(|(action, e)| (action, e.payload.id)),
                        Some((action, who as u8 + 1)));
                    let failed = outcome == 0;
                    registry.finish(if failed { Err(EBUSY) } else { Ok(()) });
                    let rc = registry.get(&letter(who)).unwrap().rc;
                    prop_assert_eq!(rc, if failed { EBUSY.to_raw() } else { 0 });
                    if failed {
                        continue;
                    }
                    if action == Action::Replace {
                        for model in &mut loaded {
                            model.reverted |= stack.contains(&model.letter);
                        }
                        stack.clear();
                    }
                    if action == Action::Revert {
                        stack.pop();
                        loaded[at].reverted = true;
                    } else {
                        stack.push(who);
                    }
                }
                _ => {}
            }
            let top_first: Vec<u8> = stack.iter().rev().map(|s| *s as u8 + 1).collect();
            prop_assert_eq!(order(&registry), top_first);
            let names: Vec<_> = registry.entries().map(|e| e.payload.id).collect();
            let wanted: Vec<_> = loaded.iter().map(|m| m.fake.id).collect();
            prop_assert_eq!(names, wanted);
        }
    }
}
