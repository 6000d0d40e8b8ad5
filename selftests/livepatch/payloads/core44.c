// SPDX-License-Identifier: GPL-2.0-only
/* Replaces two functions, in place of everything that was applied before. */
#include "../payload.h"

PAYLOAD("core44..............", RUNNING);

INTERNAL __u32 core(__u32 cpu)
{
	return 44 + cpu;
}
REPLACE(oxen_cpu_core_id, core);

INTERNAL __u32 package(__u32 cpu)
{
	/* Through the hypervisor: this is the other replacement. */
	return 100 + oxen_cpu_core_id(cpu);
}
REPLACE(oxen_cpu_package_id, package);
