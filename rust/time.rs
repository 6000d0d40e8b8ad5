// SPDX-License-Identifier: GPL-2.0-only

//! Time as guests see it: the paravirtual clock, the timers of `vcpu_op`, and where a vCPU's time
//! went.
//!
//! A domain's system time is nanoseconds since it was created. Everything here that takes a time
//! takes system time, unless it says otherwise, and takes it from the caller: nothing here reads a
//! clock.

pub(crate) mod area;
pub(crate) mod counter;
pub(crate) mod pvclock;
pub(crate) mod runstate;
pub(crate) mod scale;
pub(crate) mod vcpu_timer;
