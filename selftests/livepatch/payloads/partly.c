// SPDX-License-Identifier: GPL-2.0-only
/* Replaces two functions, of which the second is not what is expected: neither may be replaced. */
#include "../payload.h"

PAYLOAD("partly..............", RUNNING);

INTERNAL __u32 core(__u32 cpu)
{
	return 42 + cpu;
}
REPLACE(oxen_cpu_core_id, core);

RECORD record = {
	.name = "oxen_cpu_package_id", .new_addr = core, .new_size = 1, .old_size = 14,
	.version = OXEN_LIVEPATCH_VERSION, .expect = 1 | 4 << 1,
	.expected = { 0xf4, 0xf4, 0xf4, 0xf4 },
};
