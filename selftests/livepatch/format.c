// SPDX-License-Identifier: GPL-2.0-only
/* Proves that each feature of the payload format does what it says, and that what cannot be is refused. */

#include "lp.h"

static void test_refusals(void)
{
	static const struct {
		const char *payload;
		int rc;
		const char *what;
	} refused[] = {
		{ "refused-1", -EOPNOTSUPP, "LP-7 an exception table" },
		{ "refused-2", -EOPNOTSUPP, "LP-7 alternative instructions" },
		{ "refused-3", -EOPNOTSUPP, "L-10 LP-17 to patch what writes code" },
		{ "refused-4", -EOPNOTSUPP, "L-10 to patch the world switch" },
		{ "refused-5", -EOPNOTSUPP, "L-10 to patch what the crash path uses" },
		{ "refused-6", -EINVAL, "to patch the kernel" },
		{ "refused-7", -ENOENT, "to patch what there is not" },
		{ "refused-8", -ENOENT, "to call what there is not" },
		{ "refused-9", -EINVAL, "to patch more than there is" },
		{ "refused-10", -EOPNOTSUPP, "another version of the format" },
		{ "refused-11", -EEXIST, "a new symbol of a known name" },
		{ "refused-12", -EOPNOTSUPP, "a variable for each processor" },
		{ "refused-13", -EINVAL, "a function too small for a jump" },
		{ "refused-14", -EOPNOTSUPP, "LP-11 code that can be written" },
		{ "other", -EINVAL, "L-3 LP-3 a payload for another build" },
	};
	unsigned int i;

	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		tap_equal(lp_upload(refused[i].payload), refused[i].rc,
			  "%s is refused", refused[i].what);
	tap_equal(lp_count(), 0, "nothing of them is left");
}

/* L-17: whatever the bytes are, the answer is yes or no. */
static void test_mutations(void)
{
	struct file good = lp_read("hooks"), bad = good;
	unsigned int i, j, loaded = 0, odd = 0;
	unsigned int seed = 1;

	bad.bytes = malloc(good.len);
	for (i = 0; i < 2000; i++) {
		memcpy(bad.bytes, good.bytes, good.len);
		bad.len = i % 10 ? good.len : rand_r(&seed) % good.len + 1;
		for (j = 0; j <= i % 8; j++)
			bad.bytes[rand_r(&seed) % good.len] = rand_r(&seed);
		switch (lp_upload_bytes("mutant", &bad)) {
		case 0:
			loaded++;
			odd += lp_unload("mutant") != 0;
			break;
		case -EINVAL:
		case -EOPNOTSUPP:
		case -ENOENT:
		case -EOVERFLOW:
		case -ERANGE:
		case -EEXIST:
		case -ENOMEM:
			break;
		default:
			odd++;
		}
	}
	tap_note("%u of 2000 mutants were loaded", loaded);
	tap_equal(odd, 0, "L-17 mutants are refused with known numbers, or loaded and unloaded");
	free(bad.bytes);
	free(good.bytes);
}

static void test_data(uint32_t fresh)
{
	tap_equal(lp_upload("data"), 0, "a payload with variables is loaded");
	tap_equal(lp_apply("data"), 0, "and applied");
	/* table[7 & 3] + 7 * 10 + 1, then table[0] + 80 + 2. */
	tap_equal(lp_core(0), 4071, "its .data, .rodata and .bss are there");
	tap_equal(lp_core(0), 1082, "and keep what is written to them");
	tap_equal(lp_core(1), 1, "code before them runs as well");
	tap_equal(lp_revert("data"), 0, "it is reverted");
	tap_equal(lp_core(0), fresh, "and what was there before is back");
	tap_equal(lp_apply("data"), -EINVAL,
		  "L-12 LP-2 it cannot be applied again: its variables have changed");
	tap_equal(lp_get("data", NULL), CHECKED, "and is not");
	tap_equal(lp_core(0), fresh, "nothing has changed");
	tap_equal(lp_unload("data"), 0, "it is unloaded");
	tap_equal(lp_upload("data"), 0, "and loaded again");
	tap_equal(lp_apply("data"), 0, "which makes it fresh");
	tap_equal(lp_core(0), 4071, "so that it begins where it began");
	lp_revert("data");
	lp_unload("data");
}

static void test_nop(uint32_t fresh)
{
	lp_upload("nop");
	tap_equal(lp_upload("nop-top"), 0, "LP-8 a payload that only makes no-ops is loaded");
	tap_equal(lp_apply("nop"), 0, "what it is for is applied");
	tap_equal(lp_core(0), 42, "and runs");
	tap_equal(lp_apply("nop-top"), 0, "its no-ops are made, in another payload's code");
	tap_equal(lp_core(0), 1, "and do nothing");
	tap_equal(lp_revert("nop-top"), 0, "they are taken back");
	tap_equal(lp_core(0), 42, "and what they hid is there again");
	lp_revert("nop");
	tap_equal(lp_core(0), fresh, "below it is what was there before");
	tap_equal(lp_unload("nop"), -EBUSY, "LP-1 what another changes is not unloaded");
	tap_equal(lp_unload("nop-top"), 0, "the upper one is unloaded");
	tap_equal(lp_unload("nop"), 0, "the lower one is unloaded");
}

static void test_many(uint32_t fresh)
{
	lp_upload("many-base");
	tap_equal(lp_upload("many-top"), 0, "a payload for twenty functions of another is loaded");
	tap_equal(lp_apply("many-base"), 0, "the other is applied");
	/* 100 + 101 + ... + 119. */
	tap_equal(lp_core(0), 2190, "and runs all of them");
	tap_equal(lp_apply("many-top"), 0, "L-5 they are replaced");
	tap_equal(lp_core(0), 4190, "L-5 all of them");
	tap_equal(lp_revert("many-top"), 0, "L-5 they are restored");
	tap_equal(lp_core(0), 2190, "L-5 all of them");
	lp_revert("many-base");
	tap_equal(lp_core(0), fresh, "below them is what was there before");
	tap_equal(lp_unload("many-top"), 0, "the upper one is unloaded");
	tap_equal(lp_unload("many-base"), 0, "the lower one is unloaded");
}

static void test_hooks(uint32_t fresh)
{
	lp_upload("hooks");
	tap_equal(lp_upload("watch"), 0, "a payload finds another's variable");
	tap_equal(lp_unload("hooks"), -EBUSY, "LP-1 what another uses is not unloaded");
	tap_equal(lp_apply("hooks"), 0, "L-11 one with hooks is applied");
	tap_equal(lp_revert("hooks"), 0, "and reverted");
	tap_equal(lp_apply("watch"), 0, "the one that shows what it has noted is applied");
	tap_equal(lp_package(0), 0123456,
		  "L-11 LP-12 preapply, load, postapply, prerevert, unload, postrevert");
	lp_revert("watch");
	lp_unload("watch");
	tap_equal(lp_unload("hooks"), 0, "nobody else uses it any more: it is unloaded");

	tap_equal(lp_upload("veto-preapply"), 0, "one whose first hook refuses is loaded");
	tap_equal(lp_apply("veto-preapply"), -ENOSPC, "L-11 it is not applied, and says why");
	tap_equal(lp_get("veto-preapply", NULL), CHECKED, "its state is as it was");
	lp_unload("veto-preapply");
	tap_equal(lp_upload("veto-apply"), 0, "one that refuses while all are stopped is loaded");
	tap_equal(lp_apply("veto-apply"), -ENOSPC, "L-5 it is not applied");
	tap_equal(lp_get("veto-apply", NULL), CHECKED, "its state is as it was");
	lp_unload("veto-apply");
	lp_upload("veto-prerevert");
	tap_equal(lp_apply("veto-prerevert"), 0, "one that refuses to be reverted is applied");
	tap_equal(lp_revert("veto-prerevert"), -ENOSPC, "L-11 it is not reverted");
	tap_equal(lp_get("veto-prerevert", NULL), APPLIED, "its state is as it was");
	tap_equal(lp_core(1), 43, "and it is in use");
	lp_upload("core42");
	tap_equal(lp_replace("core42"), -EOPNOTSUPP, "L-11 what has such hooks is not replaced");
	tap_equal(lp_get("veto-prerevert", NULL), APPLIED, "its state is as it was");
	lp_unload("core42");
	tap_equal(lp_revert("veto-prerevert"), 0, "when its hook does not refuse it is reverted");
	tap_equal(lp_core(0), fresh, "and is not in use then");
	lp_unload("veto-prerevert");

	lp_upload("veto-preapply");
	tap_equal(lp_replace("veto-preapply"), -EOPNOTSUPP,
		  "L-11 what has such hooks replaces nothing");
	lp_unload("veto-preapply");

	lp_upload("veto-revert");
	tap_equal(lp_apply("veto-revert"), 0,
		  "one that refuses to be reverted while all are stopped is applied");
	tap_equal(lp_revert("veto-revert"), -ENOSPC, "L-11 it is not reverted");
	tap_equal(lp_get("veto-revert", NULL), APPLIED, "its state is as it was");
	tap_equal(lp_core(0), 42, "and it is in use");
	tap_equal(lp_unload("veto-revert"), -EINVAL, "LP-1 so that it cannot be unloaded");
	tap_equal(lp_revert("veto-revert"), 0, "when its hook does not refuse it is reverted");
	tap_equal(lp_core(0), fresh, "and is not in use then");
	lp_unload("veto-revert");
}

static void test_expectations(uint32_t fresh)
{
	int result;

	tap_equal(lp_upload("expect"), 0, "a payload that expects something else is loaded");
	tap_equal(lp_apply("expect"), -EINVAL, "and not applied");
	tap_equal(lp_get("expect", &result), CHECKED, "its state is as it was");
	tap_equal(lp_core(0), fresh, "and so is the function");
	lp_unload("expect");
	lp_upload("partly");
	tap_equal(lp_apply("partly"), -EINVAL, "L-5 one of which half cannot be is not applied");
	tap_equal(lp_core(0), fresh, "L-5 nor is its other half");
	lp_unload("partly");
}

int main(void)
{
	uint32_t fresh;

	fd = xen_open("privcmd");
	if (lp_count() != 0)
		tap_skip_all("there are payloads already");
	fresh = lp_core(0);
	tap_plan(0);
	test_refusals();
	test_mutations();
	test_data(fresh);
	test_nop(fresh);
	test_many(fresh);
	test_expectations(fresh);
	test_hooks(fresh);
	tap_equal(lp_count(), 0, "none is left");
	return tap_end();
}
