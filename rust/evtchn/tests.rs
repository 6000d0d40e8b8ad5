// SPDX-License-Identifier: GPL-2.0-only

//! Tests of the room.

#[cfg(not(loom))]
mod fifo;
#[cfg(not(loom))]
mod hostile;
#[cfg(loom)]
mod interleavings;
#[cfg(not(loom))]
mod model;
#[cfg(not(loom))]
mod ops;
#[cfg(not(loom))]
mod regressions;
#[cfg(not(loom))]
mod world;
