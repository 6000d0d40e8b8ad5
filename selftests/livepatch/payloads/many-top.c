// SPDX-License-Identifier: GPL-2.0-only
/* Replaces the twenty functions of many-base.c. */
#include "many.h"

PAYLOAD("many-top............", "many-base...........");

#define REPLACE_ONE(n)								\
	INTERNAL __u32 new_##n(__u32 x)						\
	{									\
		return x + 2##n;						\
	}									\
	RECORD record_##n = {							\
		.name = "many_" #n, .new_addr = new_##n, .new_size = 1,		\
		.old_addr = many_##n, .old_size = 9,				\
		.version = OXEN_LIVEPATCH_VERSION,				\
	};
MANY(REPLACE_ONE)
