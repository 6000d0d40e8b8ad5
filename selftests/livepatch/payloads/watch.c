// SPDX-License-Identifier: GPL-2.0-only
/* Shows a variable of hooks.c. */
#include "../payload.h"

PAYLOAD("watch...............", RUNNING);

extern __u32 hooks_seen;

INTERNAL __u32 package(__u32 cpu)
{
	return hooks_seen;
}
REPLACE(oxen_cpu_package_id, package);
