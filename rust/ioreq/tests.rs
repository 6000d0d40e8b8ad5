// SPDX-License-Identifier: GPL-2.0-only

//! Tests of the room as a whole. What is about one part only stands beside it.

#[cfg(loom)]
mod interleavings;
#[cfg(not(loom))]
mod model;
#[cfg(not(loom))]
mod world;

#[cfg(not(loom))]
mod select;
#[cfg(not(loom))]
mod wait;
