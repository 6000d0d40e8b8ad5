// SPDX-License-Identifier: GPL-2.0-only
/* Refuses once: -D HOW=preapply, prerevert, apply or revert says what. */
#include "../payload.h"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

NOTE(note_xen, ".livepatch.xen_depends", RUNNING);
NOTE(note_depends, ".livepatch.depends", RUNNING);
static const char own[] __attribute__((used, section(".note.gnu.build-id"), aligned(4))) =
	"\4\0\0\0\10\0\0\0\3\0\0\0GNU\0veto" TEXT(HOW);

static __u32 asked;

INTERNAL __s32 refuse(struct oxen_livepatch_payload *payload)
{
	payload->default_action = 1;
	/* No space left in a table. */
	return asked++ ? 0 : -28;
}
static const void *const hook
__attribute__((used, section(".livepatch.hooks." TEXT(HOW)))) = refuse;

INTERNAL __u32 core(__u32 cpu)
{
	return 42 + cpu;
}
REPLACE(oxen_cpu_core_id, core);
