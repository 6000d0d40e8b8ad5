// SPDX-License-Identifier: GPL-2.0-only
/* Replaces the same function once more: goes on top of core42. */
#include "../payload.h"

PAYLOAD("core43..............", "core42..............");

INTERNAL __u32 core(__u32 cpu)
{
	return 43 + cpu;
}
REPLACE(oxen_cpu_core_id, core);
