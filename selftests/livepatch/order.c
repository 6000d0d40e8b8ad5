// SPDX-License-Identifier: GPL-2.0-only
/* Proves which hooks are called, and in which order: book.payload keeps a book, the others' hooks write into it. */

#include <sys/wait.h>

#include "held.h"
#include "probe.h"

/* The digits that the book has got, the last one last. Something that shows it must be applied. */
static uint64_t seen(void)
{
	return (uint64_t)(lp_package(1) & 0xffffff) << 32 | lp_package(0);
}

/* What the third payload has done in its own way. */
static uint32_t own(void)
{
	return lp_package(1) >> 24;
}

/* Gives a result: the last digits are `digits`, which are as many. */
static void seen_is(const char *digits, const char *what)
{
	uint64_t mask = ~0ULL >> (64 - 4 * strlen(digits));

	if (!tap((seen() & mask) == strtoull(digits, NULL, 16), "%s", what))
		tap_note("it is %llx, not %s", (unsigned long long)seen(), digits);
}

/* Gives a result: that many of the stack's payloads are applied. */
static void stack_is(unsigned int applied, const char *what)
{
	static const char *const stack[] = { "reader", "order-1", "order-2", "order-3" };
	unsigned int i, found = 0;

	for (i = 0; i < 4; i++)
		found += lp_get(stack[i], NULL) == APPLIED;
	tap_equal(found, applied, "%s", what);
}

static void test_actions(void)
{
	tap_equal(lp_apply_alone("order-1"), 0, "one with load and unload hooks is applied");
	seen_is("01", "the first is called");
	tap_equal(lp_revert("order-1"), 0, "it is reverted");
	seen_is("012", "the second is called");
	lp_apply_alone("order-1");
	tap_equal(lp_apply_alone("order-2"), 0, "one whose hooks have all done is applied");
	tap_equal(lp_core(0), 12, "it is in use");
	seen_is("0121""35", "L-11 its apply hook is called first, then what it has done");
	tap_equal(lp_apply_alone("order-3"), 0, "one is applied in its own way");
	tap_equal(lp_get("order-3", NULL), APPLIED, "it is APPLIED");
	seen_is("35""7", "L-11 its apply hook is called and no other");
	tap_equal(own(), 42, "it has done what it wanted");
	tap_equal(lp_core(0), 12, "L-11 its function is not in use");
	tap_equal(lp_revert("order-3"), 0, "it is reverted in its own way");
	tap_equal(lp_get("order-3", NULL), CHECKED, "it is CHECKED");
	seen_is("7""8", "L-11 its revert hook is called and no other");
	tap_equal(own(), 0, "it has undone what it did");
	tap_equal(lp_core(0), 12, "what is below it is in use, as before");
	tap_equal(lp_revert("order-2"), 0, "the one below is reverted");
	seen_is("8""46", "L-11 its revert hook is called first, then what it has done");
	tap_equal(lp_core(0), 11, "the one below that is in use");
	lp_apply_alone("order-2");
	lp_apply_alone("order-3");
	seen_is("35""7", "both are applied once more");
}

/* All four are applied. */
static void test_replace(void)
{
	int result;

	tap_equal(lp_replace("order-5"), -ENOSPC,
		  "one that refuses when all others are reverted does not replace them");
	tap_equal(lp_get("order-5", &result), CHECKED, "its state is as it was");
	tap_equal(result, -ENOSPC, "and says why");
	stack_is(4, "L-5 the others' are as they were");
	tap_equal(lp_core(0), 12, "L-5 and what is in use");
	seen_is("8""46""2""b""1""53""7",
		"L-11 each is reverted, the last one first, and comes back, the first one first");
	tap_equal(own(), 42, "L-11 what one does in its own way is done again");

	tap_equal(lp_replace("order-4"), 0, "another replaces them");
	stack_is(0, "none of them is applied");
	tap_equal(lp_get("order-4", NULL), APPLIED, "it is");
	tap_equal(lp_core(0), 14, "and in use");
	seen_is("7""8""46""2""bc",
		"L-11 they are reverted, the last one first, before it is applied");
	tap_equal(own(), 0, "what one did in its own way is undone");
	tap_equal(lp_revert("order-4"), 0, "it is reverted");
	lp_apply_alone("reader");
	seen_is("bc""ed", "L-11 its revert hook is called first");
}

/* The lowest of those that are replaced cannot be restored: there is a probe. */
static void test_replace_fails(void)
{
	int result, log;

	lp_apply_alone("order-1");
	lp_apply_alone("order-2");
	if (probe_put("oxen_cpu_package_id", 9)) {
		tap_skip("no probes here", "L-5 a replacement that fails half-way");
	} else {
		log = log_open();
		tap_equal(lp_replace("order-4"), -EINVAL, "L-5 a replacement fails half-way");
		tap_equal(lp_get("order-4", &result), CHECKED, "its state is as it was");
		tap_equal(result, -EINVAL, "and says so");
		tap(log_says(log, "is not what it was"), "so does the log");
		stack_is(3, "L-5 the others' are as they were");
		tap_equal(lp_core(0), 12, "L-5 and what is in use");
		seen_is("1""35""46""2""1""53",
			"L-11 what was reverted comes back, the first one first");
		tap_equal(probe_take(), 0, "the probe is taken away");
		close(log);
	}
	tap_equal(lp_replace("order-4"), 0, "it can be done then");
	tap_equal(lp_core(0), 14, "and is in use");
	lp_revert("order-4");
	lp_apply_alone("reader");
}

/* What was written has to be written back, whatever a hook says. */
static void test_false_revert(void)
{
	tap_equal(lp_apply_alone("order-8"), 0,
		  "one is applied that will not be reverted in its own way");
	tap_equal(lp_core(0), 18, "it is in use");
	tap_equal(lp_revert("order-8"), -EINVAL, "it is not reverted when its hook only says so");
	seen_is("bc""eb", "L-11 the hook that undoes the other is called");
	tap_equal(lp_get("order-8", NULL), APPLIED, "its state is as it was");
	tap_equal(lp_unload("order-8"), -EINVAL, "so that it is not unloaded");
	tap_equal(lp_core(0), 18, "it is in use");
	tap_equal(lp_revert("order-8"), 0, "it is reverted when the hook has it done");
	seen_is("bc""eb""ed", "L-11 and then the unload hook is called");
}

/* What is called before and afterwards. */
static void test_around(void)
{
	struct held held;
	int result, log;

	tap_equal(lp_apply_alone("order-6"), 0, "one with hooks around is applied");
	seen_is("12", "L-11 one is called before, one afterwards");
	tap_equal(lp_core(0), 16, "it is in use");
	log = log_open();
	if (probe_put("oxen_cpu_core_id", 9)) {
		tap_skip("no probes here", "L-11 what is called after a failure");
	} else {
		tap_equal(lp_revert("order-6"), -EINVAL,
			  "it is not reverted where there is a probe");
		seen_is("12""46", "L-11 the last hook is told");
		tap(log_says(log, "is not what it was"), "the log says why");
		tap_equal(lp_get("order-6", NULL), APPLIED, "its state is as it was");
		tap_equal(lp_core(0), 16, "it is in use");
		tap_equal(probe_take(), 0, "the probe is taken away");
	}
	if (held_begin(&held)) {
		lp_act("order-6", LIVEPATCH_ACTION_REVERT, 5000000, 0);
		tap_equal(lp_get("order-6", &result), APPLIED,
			  "when the time is up it is not reverted");
		tap_equal(result, -EBUSY, "which is said");
		seen_is("4",
			"L-11 the first hook was called and no other, because nothing was done");
		held_end(&held);
	} else {
		tap_skip("no userfaultfd", "L-11 what is called when the time is up");
	}
	tap_equal(lp_revert("order-6"), 0, "it is reverted");
	seen_is("45", "L-11 one is called before, one afterwards");
	if (held_begin(&held)) {
		lp_act("order-6", LIVEPATCH_ACTION_APPLY, 5000000, LIVEPATCH_ACTION_APPLY_NODEPS);
		tap_equal(lp_get("order-6", &result), CHECKED,
			  "when the time is up it is not applied");
		tap_equal(result, -EBUSY, "which is said");
		seen_is("451", "L-11 the first hook was called, and no other");
		held_end(&held);
	}
	close(log);
}

/* The code changes between the moment in which an action is prepared and the one in which nothing runs. */
static void test_late_change(void)
{
	int result, log = log_open();
	pid_t pid = fork();

	/* Its first hook takes a second. */
	if (!pid)
		_exit(lp_apply_alone("order-7") != 0);
	if (!lp_sleeps(pid) || probe_put("oxen_cpu_core_id", 9)) {
		tap_skip("no probes here",
			 "L-5 a probe that comes while a payload is being applied");
		waitpid(pid, NULL, 0);
		lp_revert("order-7");
		return;
	}
	waitpid(pid, NULL, 0);
	tap_equal(lp_get("order-7", &result), CHECKED,
		  "L-5 it is not applied where a probe has come");
	tap_equal(result, -EINVAL, "and says so");
	seen_is("13", "L-11 the last hook is told");
	tap(log_says(log, "the code at write 0 is not what it was"), "so is who reads the log");
	tap_equal(probe_take(), 0, "the probe is taken away");
	close(log);
}

int main(void)
{
	static const char *const all[] = {
		"book", "reader", "order-1", "order-2", "order-3", "order-4", "order-5", "order-6",
		"order-7", "order-8",
	};
	uint32_t fresh, package;
	unsigned int i, bad = 0;

	fd = xen_open("privcmd");
	if (lp_count() != 0)
		tap_skip_all("there are payloads already");
	fresh = lp_core(0);
	package = lp_package(0);
	tap_plan(0);
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		bad += lp_upload(all[i]) != 0;
	tap_equal(bad, 0, "payloads are loaded");
	tap_equal(lp_apply("reader"), 0, "the one that shows the book is applied");
	test_actions();
	test_replace();
	test_replace_fails();
	test_false_revert();
	test_around();
	test_late_change();
	tap_equal(lp_revert("reader"), 0, "the one that shows the book is reverted");
	tap_equal(lp_core(0), fresh, "what was there at first is back");
	tap_equal(lp_package(0), package, "all of it");
	for (i = sizeof(all) / sizeof(all[0]); i-- > 0;)
		bad += lp_unload(all[i]) != 0;
	tap_equal(bad, 0, "all are unloaded");
	return tap_end();
}
