// SPDX-License-Identifier: GPL-2.0-only

//! The steps of a longer piece of work: named in failures, timed, and stopped by a signal between
//! two.

use std::time::{
    Duration,
    Instant, //
};

use crate::error::{
    Context,
    Result, //
};

/// A piece of work under way.
pub(crate) struct Steps<'a> {
    /// Fails when the work is to stop.
    stop: &'a dyn Fn() -> Result,
    /// What has been done, and how long it took.
    pub(crate) taken: Vec<(String, Duration)>,
}

impl<'a> Steps<'a> {
    /// Begins a piece of work that ends when `stop` fails.
    pub(crate) const fn new(stop: &'a dyn Fn() -> Result) -> Self {
        Self {
            stop,
            taken: Vec::new(),
        }
    }

    /// Does one step, and names it if it fails.
    ///
    /// # Errors
    ///
    /// Fails as the step does, or because the work is to stop.
    pub(crate) fn run<T>(
        &mut self,
        name: &str,
        step: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.check().step(name)?;
        let start = Instant::now();
        let result = step(self).step(name);
        self.taken.push((name.into(), start.elapsed()));
        result
    }

    /// Fails if the work is to stop; long steps call this now and then.
    ///
    /// # Errors
    ///
    /// Fails as the given test does.
    pub(crate) fn check(&self) -> Result {
        (self.stop)()
    }
}
