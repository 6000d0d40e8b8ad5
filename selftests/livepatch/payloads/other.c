// SPDX-License-Identifier: GPL-2.0-only
/* Is for another hypervisor, and wrong in every other way as well. */
#include "../payload.h"

NOTE(note_xen, ".livepatch.xen_depends", "another build-id....");
NOTE(note_depends, ".livepatch.depends", RUNNING);
NOTE(note_own, ".note.gnu.build-id", "other...............");

static const __u32 table[3] __attribute__((used, section("__ex_table"))) = { 1 };

RECORD record = { .name = "nobody", .version = 7 };
