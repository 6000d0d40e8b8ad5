// SPDX-License-Identifier: GPL-2.0-only
/* Has variables, constants and zeroes: what is kept between calls. */
#include "../payload.h"

PAYLOAD("data................", RUNNING);

static __u32 calls = 7;
static __u32 zeroes[64];
static const __u32 table[4] = { 1000, 2000, 3000, 4000 };
static const __u32 *const pointer = table;
static __u32 *volatile last = &zeroes[63];

INTERNAL __u32 core(__u32 cpu)
{
	if (cpu)
		return 1;
	cpu = calls++;
	zeroes[cpu & 31] += 1;
	*last += 1;
	return pointer[cpu & 3] + cpu * 10 + *last;
}
REPLACE(oxen_cpu_core_id, core);
