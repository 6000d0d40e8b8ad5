// SPDX-License-Identifier: GPL-2.0-only

//! Tests of the room.

mod fifo;
mod ops;
mod regressions;
mod world;
