// SPDX-License-Identifier: GPL-2.0-only
/*
 * Notes in book.c which of its hooks are called. -D HOW=NUMBER says who it is:
 *
 *   1  has load and unload hooks
 *   2  has apply and revert hooks as well, which have all done
 *   3  has apply and revert hooks that do all in their own way: nothing is written
 *   4  comes in place of others, with an apply hook that has all done
 *   5  comes in place of others, with an apply hook that refuses
 *   6  has hooks that are called before and afterwards, which note the state and the result
 *   7  the same, and the first of them takes a second
 *   8  has an apply hook that has all done, and a revert hook that at first says that it has, and has not
 */
#include "order.h"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

NOTE(note_xen, ".livepatch.xen_depends", RUNNING);
NOTE(note_depends, ".livepatch.depends", RUNNING);
static const char own[] __attribute__((used, section(".note.gnu.build-id"), aligned(4))) =
	"\4\0\0\0\10\0\0\0\3\0\0\0GNU\0order.." TEXT(HOW);

/* A hook without an argument that notes a digit. */
#define NOTES(kind, digit)							\
	INTERNAL void kind(void)						\
	{									\
		book_note(digit);						\
	}									\
	HOOK(kind, kind)

/* One in place of the action. */
#define ACTS(kind, digit, by_default, result)					\
	INTERNAL __s32 kind(struct oxen_livepatch_payload *payload)		\
	{									\
		book_note(digit);						\
		payload->default_action = by_default;				\
		return result;							\
	}									\
	HOOK(kind, kind)

INTERNAL __u32 core(__u32 cpu)
{
	return 10 + HOW;
}

#if HOW == 1
REPLACE(oxen_cpu_core_id, core);
NOTES(load, 1);
NOTES(unload, 2);
#elif HOW == 2
REPLACE(oxen_cpu_core_id, core);
ACTS(apply, 3, 1, 0);
ACTS(revert, 4, 1, 0);
NOTES(load, 5);
NOTES(unload, 6);
#elif HOW == 3
REPLACE(oxen_cpu_core_id, core);
INTERNAL __s32 apply(struct oxen_livepatch_payload *payload)
{
	book_note(7);
	book_own = 42;
	return 0;
}
HOOK(apply, apply);
INTERNAL __s32 revert(struct oxen_livepatch_payload *payload)
{
	book_note(8);
	book_own = 0;
	return 0;
}
HOOK(revert, revert);
NOTES(load, 9);
NOTES(unload, 10);
#elif HOW == 4
REPLACE(oxen_cpu_core_id, core);
SHOW_BOOK;
ACTS(apply, 11, 1, 0);
ACTS(revert, 14, 1, 0);
NOTES(load, 12);
NOTES(unload, 13);
#elif HOW == 5
REPLACE(oxen_cpu_core_id, core);
ACTS(apply, 11, 1, -28);
NOTES(load, 12);
NOTES(unload, 13);
#elif HOW == 8
REPLACE(oxen_cpu_core_id, core);
ACTS(apply, 11, 1, 0);
static __u32 asked;
ACTS(revert, 14, asked++ != 0, 0);
NOTES(load, 12);
NOTES(unload, 13);
#else
REPLACE(oxen_cpu_core_id, core);
extern void msleep(unsigned int ms);
INTERNAL __s32 preapply(struct oxen_livepatch_payload *payload)
{
	book_note(payload->state == 1 ? 1 : 15);
	if (HOW == 7)
		msleep(1000);
	return 0;
}
HOOK(preapply, preapply);
INTERNAL void postapply(struct oxen_livepatch_payload *payload)
{
	book_note(payload->state == 2 && !payload->rc ? 2 :
		  payload->state == 1 && payload->rc == -22 ? 3 : 15);
}
HOOK(postapply, postapply);
INTERNAL __s32 prerevert(struct oxen_livepatch_payload *payload)
{
	book_note(payload->state == 2 ? 4 : 15);
	return 0;
}
HOOK(prerevert, prerevert);
INTERNAL void postrevert(struct oxen_livepatch_payload *payload)
{
	book_note(payload->state == 1 && !payload->rc ? 5 :
		  payload->state == 2 && payload->rc == -22 ? 6 : 15);
}
HOOK(postrevert, postrevert);
#endif
