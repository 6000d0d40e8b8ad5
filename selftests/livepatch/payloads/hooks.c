// SPDX-License-Identifier: GPL-2.0-only
/* Notes which hooks are called, and in which order; watch.c shows it. */
#include "../payload.h"

PAYLOAD("hooks...............", RUNNING);

/* Digits in octal, the last one called is the last digit. */
__u32 hooks_seen;

static void seen(__u32 digit)
{
	hooks_seen = hooks_seen << 3 | digit;
}

INTERNAL __s32 preapply(struct oxen_livepatch_payload *payload)
{
	seen(payload->state == 1 && payload->name[0] == 'h' ? 1 : 7);
	return 0;
}
HOOK(preapply, preapply);

INTERNAL void load(void)
{
	seen(2);
}
HOOK(load, load);

INTERNAL void postapply(struct oxen_livepatch_payload *payload)
{
	seen(payload->state == 2 && !payload->rc ? 3 : 7);
}
HOOK(postapply, postapply);

INTERNAL __s32 prerevert(struct oxen_livepatch_payload *payload)
{
	seen(payload->state == 2 ? 4 : 7);
	return 0;
}
HOOK(prerevert, prerevert);

INTERNAL void unload(void)
{
	seen(5);
}
HOOK(unload, unload);

INTERNAL void postrevert(struct oxen_livepatch_payload *payload)
{
	seen(payload->state == 1 && !payload->rc ? 6 : 7);
}
HOOK(postrevert, postrevert);

INTERNAL __u32 core(__u32 cpu)
{
	return 42 + cpu;
}
REPLACE(oxen_cpu_core_id, core);
