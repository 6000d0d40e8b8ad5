// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves that loading the module lives through each of its allocations failing: it is refused and leaves
 * nothing, and the next attempt succeeds.
 */

#include <sys/syscall.h>

#include "fault.h"

/* More than the kernel's loader and the module make together. */
#define LIMIT 65536
/*
 * The module begins when the kernel's loader has read it, moved it and made it known, with many allocations
 * that are not the module's. These many at the end are looked at, more than the module makes; of them one of STEP,
 * or of more where loading takes long, unless there is time for all.
 */
#define LAST 600
#define STEP 4
#define STEP_MOST (8 * STEP)
/* In so many nanoseconds the number of allocations is found where loading is fast. */
#define FAST 32000000000ULL

static long load(int fd)
{
	return syscall(SYS_finit_module, fd, "", 0) < 0 ? -errno : 0;
}

static long unload(void)
{
	return syscall(SYS_delete_module, "oxen", O_NONBLOCK) < 0 ? -errno : 0;
}

/* Loads with the Nth allocation failing, and unloads if that succeeds. Returns whether there were so many. */
static bool attempt(int fd, unsigned int nth, long *rc)
{
	bool hit;

	fault_arm(nth);
	*rc = load(fd);
	hit = fault_disarm();
	if (!*rc && unload())
		tap_bail("a module that was loaded with a fault does not unload");
	return hit;
}

/* Finds how many allocations loading makes. They differ by a few from time to time. */
static unsigned int count(int fd)
{
	unsigned int low = 0, high = LIMIT;
	long rc;

	while (high - low > 1) {
		unsigned int middle = (low + high) / 2;

		if (attempt(fd, middle, &rc))
			low = middle;
		else
			high = middle;
	}
	return low;
}

int main(void)
{
	const char *path = getenv("OXEN_MODULE");
	unsigned int step = 1, nth, total, failed = 0, odd = 0, left = 0;
	uint64_t begin;
	long rc;
	int fd;

	fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		tap_skip_all("no module file: set OXEN_MODULE");
	fault_begin();
	rc = unload();
	if (rc && rc != -ENOENT)
		tap_bail("the module does not unload: %s", strerror(-rc));
	tap_plan(6);
	begin = tap_now();
	total = count(fd);
	if (!tap_long())
		step = STEP * (1 + (tap_now() - begin) / FAST);
	if (step > STEP_MOST)
		step = STEP_MOST;
	tap(total > LAST && total < LIMIT - 1, "loading makes %u allocations", total);
	for (nth = total > LAST ? total - LAST : 1; attempt(fd, nth, &rc); nth += step) {
		failed += rc < 0;
		if (rc < 0 && rc != -ENOMEM && rc != -EFAULT && rc != -ENOEXEC) {
			tap_note("allocation %u: %ld", nth, rc);
			odd++;
		}
		left += rc < 0 && !access("/dev/xen/privcmd", F_OK);
	}
	tap(failed > 0, "%u of the last %u, one of %u tried, make it fail", failed, LAST, step);
	tap_equal(odd, 0, "for want of memory");
	tap_equal(left, 0, "none leaves a device behind");
	tap_equal(load(fd), 0, "without a fault it loads");
	tap_equal(unload(), 0, "and unloads");
	/* As it was. */
	load(fd);
	return tap_end();
}
