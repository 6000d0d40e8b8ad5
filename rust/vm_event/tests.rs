// SPDX-License-Identifier: GPL-2.0-only

//! Tests of the whole room.

mod listener;
mod protocol;
mod slots;
