// SPDX-License-Identifier: GPL-2.0-only
/* Has twenty functions, which many-top.c replaces all at once. */
#include "many.h"

PAYLOAD("many-base...........", RUNNING);

#define DEFINE(n)							\
	__attribute__((noipa)) __u32 many_##n(__u32 x)			\
	{								\
		return x + 1##n;					\
	}
MANY(DEFINE)

INTERNAL __u32 core(__u32 cpu)
{
#define ADD(n) + many_##n(0)
	return cpu MANY(ADD);
}
REPLACE(oxen_cpu_core_id, core);
