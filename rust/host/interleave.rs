// SPDX-License-Identifier: GPL-2.0-only

//! How the models of two threads on the same words are explored.

/// How often a thread of a model is interrupted at most. Faults of memory order show with one or two
/// interruptions, while the number of executions grows with the power of this.
const PREEMPTIONS: usize = 3;

/// Runs `model` in every order that the memory model allows, with a bounded number of interruptions
/// of each thread: without the bound a model of a dozen words does not end within hours.
pub(crate) fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(model);
}
