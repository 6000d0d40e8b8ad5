// SPDX-License-Identifier: GPL-2.0-only

//! Watchdog timers (`SCHEDOP_watchdog`): two per domain. One that expires shuts the domain down.

use crate::abi::errno::{
    Result,
    EINVAL,
    ENOSPC, //
};

/// Timers of a domain.
const TIMERS: usize = 2;

/// The timers of a domain.
pub(crate) struct Watchdogs {
    deadlines: [Option<u64>; TIMERS],
}

impl Watchdogs {
    /// None runs.
    pub(crate) const fn new() -> Self {
        Self {
            deadlines: [None; TIMERS],
        }
    }

    /// Sets timer `id`, or a free one for 0, to `deadline_ns`, or stops it if not `run`. Returns the new timer's
    /// identifier, or 0 for one that was there.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a timer that there is not or that does not run, or for stopping none; `ENOSPC` if both run.
    pub(crate) fn set(&mut self, id: u32, run: bool, deadline_ns: u64) -> Result<u32> {
        if id == 0 {
            if !run {
                return Err(EINVAL);
            }
            let free = self.deadlines.iter().position(Option::is_none);
            let at = free.ok_or(ENOSPC)?;
            if let Some(slot) = self.deadlines.get_mut(at) {
                *slot = Some(deadline_ns);
            }
            // CAST: At most `TIMERS`.
            return Ok(at as u32 + 1);
        }
        let slot = usize::try_from(id - 1)
            .ok()
            .and_then(|at| self.deadlines.get_mut(at))
            .ok_or(EINVAL)?;
        if slot.is_none() {
            return Err(EINVAL);
        }
        *slot = run.then_some(deadline_ns);
        Ok(0)
    }

    /// When the first one expires.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.deadlines.iter().copied().flatten().min()
    }

    /// Whether one has expired.
    pub(crate) fn expired(&self, now_ns: u64) -> bool {
        self.deadline().is_some_and(|at| at <= now_ns)
    }
}
