// SPDX-License-Identifier: GPL-2.0-only
/* Replaces a function. */
#include "../payload.h"

PAYLOAD("core42..............", RUNNING);

INTERNAL __u32 core(__u32 cpu)
{
	return 42 + cpu;
}
REPLACE(oxen_cpu_core_id, core);

static const char info[] __attribute__((used, section(".modinfo"))) =
	"about=core is 42\0author=selftest";
