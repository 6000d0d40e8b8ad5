// SPDX-License-Identifier: GPL-2.0-only

//! Tests of the room.

mod fifo;
mod hostile;
mod model;
mod ops;
mod regressions;
mod world;
