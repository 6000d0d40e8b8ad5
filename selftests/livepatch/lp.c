// SPDX-License-Identifier: GPL-2.0-only
/*
 * For test scripts.
 *
 *   lp prepare IN OUT    makes a payload of these tests one for the running hypervisor
 *   lp upload NAME FILE  loads a payload; shows the result
 *   lp core CPU          shows what the hypervisor says of a processor
 *   lp package CPU
 *   lp once NAME NS      applies a payload within so many nanoseconds; shows the result
 *   lp loop NAME COUNT [TRIES]
 *                        applies and reverts a payload, in two seconds each, tried again so often
 *   lp act NAME WHAT     applies, reverts, replaces by or unloads a payload; shows the result
 *   lp quick NAME COUNT  applies and reverts a payload within the default limit; fails if guests make it late, or are
 *                        waited for for a great part of that; shows how often it was late, and how long they took
 *   lp each NAME FILE SECONDS
 *                        loads, applies and reverts a payload, with the device open only for as long as each takes,
 *                        whether the module is there or not; shows how often it was done, and how often not
 *   lp cost              shows how long the parts of an action take, for one function and for twenty
 */

#include "lp.h"

static int prepare(const char *in, const char *out)
{
	struct file file = lp_read(in);
	FILE *to = fopen(out, "w");

	if (!to || fwrite(file.bytes, 1, file.len, to) != file.len || fclose(to))
		return 1;
	return 0;
}

static int once(const char *name, uint32_t ns)
{
	int result;
	long rc = lp_act(name, LIVEPATCH_ACTION_APPLY, ns, 0);

	if (!rc && lp_get(name, &result) > 0)
		rc = result;
	return printf("%ld\n", rc) < 0;
}

/* Does something with a payload; if it is too late, up to `tries` times more, which are counted. */
static long act_again(const char *name, uint32_t cmd, unsigned long tries, unsigned long *late)
{
	long rc;

	while ((rc = lp_do(name, cmd)) == -EBUSY && tries--) {
		++*late;
		usleep(5000);
	}
	/* Guests are to see it: who is held is only just awake when the next action begins. */
	usleep(2000);
	return rc;
}

static int loop(const char *name, unsigned long count, unsigned long tries)
{
	unsigned long i, late = 0;
	long rc;

	for (i = 0; i < count; i++) {
		rc = act_again(name, LIVEPATCH_ACTION_APPLY, tries, &late) ?:
		     act_again(name, LIVEPATCH_ACTION_REVERT, tries, &late);
		if (rc) {
			printf("round %lu: %ld\n", i, rc);
			return 1;
		}
	}
	printf("rounds %lu late %lu\n", count, late);
	return 0;
}

static long act(const char *name, const char *what)
{
	static const char *const names[] = { "", "unload", "revert", "apply", "replace" };
	unsigned int cmd;

	for (cmd = LIVEPATCH_ACTION_UNLOAD; cmd <= LIVEPATCH_ACTION_REPLACE; cmd++)
		if (!strcmp(what, names[cmd]))
			return printf("%ld\n", lp_do(name, cmd)) < 0;
	return 2;
}

static int smaller(const void *a, const void *b)
{
	unsigned long x = *(const unsigned long *)a, y = *(const unsigned long *)b;

	return (x > y) - (x < y);
}

/* Applies and reverts a payload, and shows the least of each time and the median. */
static void show_cost(const char *name, const char *what)
{
	static const char *const keys[] = { "pause_ns=", "wait_vcpus_ns=", "write_ns=" };
	enum { ROUNDS = 51 };
	unsigned long times[3][ROUNDS];
	unsigned int round, key;

	for (round = 0; round < ROUNDS; round++) {
		if (lp_act(name, LIVEPATCH_ACTION_APPLY, 2000000000, LIVEPATCH_ACTION_APPLY_NODEPS))
			tap_bail("cannot apply %s", name);
		for (key = 0; key < 3; key++)
			times[key][round] = lp_time(name, keys[key]);
		if (lp_revert(name))
			tap_bail("cannot revert %s", name);
	}
	printf("%s:", what);
	for (key = 0; key < 3; key++) {
		qsort(times[key], ROUNDS, sizeof(times[key][0]), smaller);
		printf("  %s%lu (median %lu)", keys[key], times[key][0], times[key][ROUNDS / 2]);
	}
	printf("\n");
}

/* Half of all actions wait for guests for less than this: the limit is 30 ms. */
#define USUAL_NS 15000000UL

/*
 * The limit is the default. Tools that are inside may make it late on a slow machine: that is seen from what was waited
 * for, and tried again. Guests may not.
 */
static int quick(const char *name, unsigned long count)
{
	unsigned long *times = calloc(2 * count, sizeof(*times)), done = 0, late = 0, guests = 0;
	int result = 0;

	while (done < 2 * count && late <= count && guests <= count / 10) {
		uint32_t cmd = done & 1 ? LIVEPATCH_ACTION_REVERT : LIVEPATCH_ACTION_APPLY;

		result = lp_act(name, cmd, 0, 0);
		if (!result && lp_get(name, &result) < 0)
			result = -ENOENT;
		if (result && result != -EBUSY)
			break;
		times[done] = lp_time(name, "wait_vcpus_ns=");
		if (result) {
			late++;
			guests += times[done] != 0;
			usleep(5000);
		} else {
			done++;
		}
	}
	qsort(times, done, sizeof(*times), smaller);
	printf("actions %lu, late %lu, by guests %lu, result %d; ", done, late, guests, result);
	printf("guests took at most %lu us, usually %lu us\n",
	       done ? times[done - 1] / 1000 : 0, times[done / 2] / 1000);
	return done < 2 * count || times[done / 2] >= USUAL_NS;
}

/* How often something came out in the ways that it may. */
struct outcomes {
	unsigned long done, gone, late, bad;
	long last;
};

/* Counts an answer. Returns whether it is good. */
static bool outcome(struct outcomes *outcomes, long rc)
{
	outcomes->done += rc == 0;
	outcomes->late += rc == -EBUSY;
	if (rc && rc != -EBUSY) {
		outcomes->bad++;
		outcomes->last = rc;
	}
	return rc == 0;
}

/* The module comes and goes at any time but while the device is open. */
static int each(const char *name, const char *path, unsigned long seconds)
{
	unsigned long end = tap_now() + seconds * 1000000000UL;
	struct outcomes outcomes = { 0 };
	struct file file = { 0 };
	bool loaded = false, applied = false;

	while (tap_now() < end || applied) {
		uint64_t began = tap_now();

		fd = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);
		if (fd < 0) {
			if (errno != ENOENT && errno != ENODEV && errno != ENXIO)
				outcome(&outcomes, -errno);
			outcomes.gone++;
			loaded = applied = false;
			if (tap_now() > end)
				break;
			usleep(1000);
			continue;
		}
		if (!file.bytes)
			file = lp_read(path);
		/* It is another one than last time, perhaps. */
		if (lp_get(name, NULL) == -ENOENT)
			loaded = applied = false;
		if (!loaded)
			loaded = outcome(&outcomes, lp_upload_bytes(name, &file));
		else if (outcome(&outcomes, lp_do(name,
			 applied ? LIVEPATCH_ACTION_REVERT : LIVEPATCH_ACTION_APPLY)))
			applied = !applied;
		close(fd);
		/* The module may go for as long as it could not. */
		usleep((tap_now() - began) / 1000 + 500);
	}
	printf("done %lu gone %lu late %lu bad %lu", outcomes.done, outcomes.gone, outcomes.late,
	       outcomes.bad);
	printf(outcomes.bad ? " (%ld)\n" : "\n", outcomes.last);
	return outcomes.bad || !outcomes.done || !outcomes.gone;
}

static int cost(void)
{
	if (lp_upload("core42"))
		tap_bail("cannot load a payload");
	show_cost("core42", "1 function");
	lp_unload("core42");
	if (lp_upload("many-base") || lp_apply("many-base") || lp_upload("many-top"))
		tap_bail("cannot load payloads");
	show_cost("many-top", "20 functions");
	lp_revert("many-base");
	lp_unload("many-top");
	lp_unload("many-base");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "each"))
		return each(argv[2], argv[3], strtoul(argv[4], NULL, 0));
	fd = xen_open("privcmd");
	if (argc == 4 && !strcmp(argv[1], "prepare"))
		return prepare(argv[2], argv[3]);
	if (argc == 4 && !strcmp(argv[1], "upload"))
		return printf("%ld\n", lp_upload_as(argv[2], argv[3])) < 0;
	if (argc == 3 && !strcmp(argv[1], "core"))
		return printf("%u\n", lp_core(atoi(argv[2]))) < 0;
	if (argc == 3 && !strcmp(argv[1], "package"))
		return printf("%u\n", lp_package(atoi(argv[2]))) < 0;
	if (argc == 4 && !strcmp(argv[1], "once"))
		return once(argv[2], strtoul(argv[3], NULL, 0));
	if ((argc == 4 || argc == 5) && !strcmp(argv[1], "loop"))
		return loop(argv[2], strtoul(argv[3], NULL, 0),
			    argc == 5 ? strtoul(argv[4], NULL, 0) : 0);
	if (argc == 4 && !strcmp(argv[1], "act"))
		return act(argv[2], argv[3]);
	if (argc == 4 && !strcmp(argv[1], "quick"))
		return quick(argv[2], strtoul(argv[3], NULL, 0));
	if (argc == 2 && !strcmp(argv[1], "cost"))
		return cost();
	fprintf(stderr, "see lp.c\n");
	return 2;
}
