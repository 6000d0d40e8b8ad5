// SPDX-License-Identifier: GPL-2.0-only
/* Proves that an action ends when its time is up, and what others are told while one is under way. */

#include <sys/wait.h>

#include "held.h"

#define MS 1000000UL

/* Applies a payload while a tool is inside, within so many nanoseconds. Returns how long that took at least. */
static unsigned long least_wait(const char *name, uint32_t limit, unsigned int *others)
{
	unsigned long least = ~0UL, begin, took;
	unsigned int tries;
	int result;

	for (tries = 0; tries < 5; tries++) {
		begin = tap_now();
		if (lp_act(name, LIVEPATCH_ACTION_APPLY, limit, 0))
			++*others;
		took = tap_now() - begin;
		if (lp_get(name, &result) != CHECKED || result != -EBUSY)
			++*others;
		if (took < least)
			least = took;
	}
	return least;
}

/* L-6: the limit, by default 30 ms. */
static void test_limits(uint32_t fresh)
{
	static const struct {
		uint32_t limit;
		unsigned long from, to;
		const char *what;
	} limits[] = {
		{ 0, 30, 60, "L-6 by default that is 30 ms" },
		{ 5 * MS, 5, 29, "L-6 it is less if the tool wants that" },
		{ 150 * MS, 150, 300, "L-6 or more" },
	};
	unsigned int i, others = 0, tries;
	struct held held;
	int result = -EBUSY;

	lp_upload("core42");
	if (!held_begin(&held)) {
		tap_skip("no userfaultfd", "L-6 the limit");
		return;
	}
	for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		unsigned long took = least_wait("core42", limits[i].limit, &others);

		tap(took >= limits[i].from * MS && took < limits[i].to * MS,
		    "%s: %lu us", limits[i].what, took / 1000);
	}
	tap_equal(others, 0,
		  "L-6 while a tool is inside for longer than that nothing can be applied");
	tap_equal(lp_core(0), fresh, "L-6 nothing has changed");
	tap(lp_time("core42", "wait_tools_ns=") >= 150 * MS, "L-7 it is said who was waited for");
	tap_equal(lp_time("core42", "wait_vcpus_ns="), 0, "L-7 and who was not");
	tap(lp_time("core42", "pause_ns=") < 10 * MS, "L-7 guests went on all the time: %lu ns",
	    lp_time("core42", "pause_ns="));
	held_end(&held);
	tap_equal(held.rc, -EINVAL, "the tool gets its answer");
	for (tries = 0; tries < 5 && result == -EBUSY; tries++)
		if (lp_act("core42", LIVEPATCH_ACTION_APPLY, 0, 0) || lp_get("core42", &result) < 0)
			result = -ENOENT;
	tap_equal(result, 0, "L-6 when it has gone it can be applied within the limit");
	tap_equal(lp_core(0), 42, "and is in use");
	tap_equal(lp_revert("core42"), 0, "it is reverted");
	tap_equal(lp_core(0), fresh, "and is not in use then");
}

/* Does something in a process of its own, which has a file of its own. */
static pid_t tool(const char *name, uint32_t cmd)
{
	pid_t pid = fork();
	int result;
	long rc;

	if (pid)
		return pid;
	fd = xen_open("privcmd");
	if (cmd)
		rc = lp_do(name, cmd);
	else
		rc = lp_get(name, &result) < 0 ? -ENOENT : result;
	_exit(-rc);
}

/* The error number that it has got. */
static int answer(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/* One tool applies a payload whose hook takes three seconds. Others come meanwhile, each in a process of its own. */
static void test_overlap(uint32_t fresh)
{
	static const struct {
		const char *name;
		uint32_t cmd;
		int answer;
		const char *what;
	} others[] = {
		{ "core42", LIVEPATCH_ACTION_APPLY, EBUSY, "another is not applied meanwhile" },
		{ "core42", LIVEPATCH_ACTION_REPLACE, EBUSY, "nor replaces anything" },
		{ "slow", LIVEPATCH_ACTION_APPLY, EBUSY, "the same is not applied twice" },
		{ "slow", LIVEPATCH_ACTION_REVERT, EBUSY, "it is not reverted" },
		{ "slow", LIVEPATCH_ACTION_UNLOAD, EBUSY, "LP-1 it is not unloaded" },
		{ "slow", 0, EAGAIN, "it is said to be under way" },
		{ "core43", LIVEPATCH_ACTION_UNLOAD, 0,
			"one that has nothing to do with it is unloaded" },
	};
	enum { OTHERS = sizeof(others) / sizeof(others[0]) };
	pid_t first, pids[OTHERS];
	bool together;
	unsigned int i;

	lp_upload("slow");
	lp_upload("core43");
	first = tool("slow", LIVEPATCH_ACTION_APPLY);
	together = lp_sleeps(first);
	for (i = 0; i < OTHERS; i++)
		pids[i] = tool(others[i].name, others[i].cmd);
	for (i = 0; i < OTHERS; i++)
		together &= lp_sleeps(pids[i]);
	tap(together, "tools come while one applies a payload");
	for (i = 0; i < OTHERS; i++)
		tap_equal(answer(pids[i]), others[i].answer, "L-1 %s", others[i].what);
	tap_equal(answer(first), 0, "it is applied");
	tap_equal(lp_get("slow", NULL), APPLIED, "L-5 its state says so");
	tap_equal(lp_get("core42", NULL), CHECKED, "L-5 the other's does not");
	tap_equal(lp_get("core43", NULL), -ENOENT, "the third is gone");
	tap_equal(lp_core(0), 41, "L-5 and what is in use is what the states say");
	tap_equal(lp_apply("core42"), -EINVAL, "what is not for it is not applied now");
	tap_equal(lp_revert("slow"), 0, "it is reverted");
	tap_equal(lp_core(0), fresh, "and is not in use then");
	tap_equal(lp_unload("slow"), 0, "it is unloaded");
	tap_equal(lp_unload("core42"), 0, "so is the other");
}

int main(void)
{
	uint32_t fresh;

	fd = xen_open("privcmd");
	if (lp_count() != 0)
		tap_skip_all("there are payloads already");
	fresh = lp_core(0);
	tap_plan(0);
	test_limits(fresh);
	test_overlap(fresh);
	tap_equal(lp_count(), 0, "none is left");
	return tap_end();
}
