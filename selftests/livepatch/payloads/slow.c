// SPDX-License-Identifier: GPL-2.0-only
/* Takes three seconds before it is applied. */
#include "../payload.h"

PAYLOAD("slow................", RUNNING);

extern void msleep(unsigned int ms);

INTERNAL __s32 preapply(struct oxen_livepatch_payload *payload)
{
	msleep(3000);
	return 0;
}
HOOK(preapply, preapply);

INTERNAL __u32 core(__u32 cpu)
{
	return 41 + cpu;
}
REPLACE(oxen_cpu_core_id, core);
