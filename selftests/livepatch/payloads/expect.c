// SPDX-License-Identifier: GPL-2.0-only
/* Expects of a function what it does not begin with. */
#include "../payload.h"

PAYLOAD("expect..............", RUNNING);

INTERNAL __u32 core(__u32 cpu)
{
	return 42 + cpu;
}

RECORD record = {
	.name = "oxen_cpu_core_id", .new_addr = core, .new_size = 1, .old_size = 14,
	.version = OXEN_LIVEPATCH_VERSION, .expect = 1 | 4 << 1,
	.expected = { 0xf4, 0xf4, 0xf4, 0xf4 },
};
