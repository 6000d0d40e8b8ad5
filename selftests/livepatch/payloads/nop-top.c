// SPDX-License-Identifier: GPL-2.0-only
/* Makes no-ops of an instruction in the middle of another payload's function. */
#include "../payload.h"

PAYLOAD("nop-top.............", "nop.................");

extern const char nop_core[];

RECORD record = {
	.name = "nop_core", .old_addr = nop_core + 5, .new_size = 3, .old_size = 3,
	.version = OXEN_LIVEPATCH_VERSION, .expect = 1 | 3 << 1, .expected = { 0x83, 0xc0, 0x29 },
};
