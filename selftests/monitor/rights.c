// SPDX-License-Identifier: GPL-2.0-only
/* Proves that rights of pages are set and told as by Xen: single pages, ranges, lists, the default, what is refused. */

#include "monitor.h"

static int fd;
static struct worker w;
static struct monitor m;

static void refused(void)
{
	struct xen_mem_access_op op = { .domid = w.domain };

	tap_equal(access_get(fd, w.domain, 0), -ENODEV, "without a monitor there are no rights");
	monitor_start(&m, &w);
	tap_equal(access_set(fd, NO_DOMAIN, XENMEM_access_r, 0, 1), -ESRCH, "of no domain");
	tap_equal(access_set(fd, DOMID_SELF, XENMEM_access_r, 0, 1), -ESRCH, "of nobody else's");
	tap_equal(access_set(fd, 0, XENMEM_access_r, 0, 1), -EPERM, "nor of the host");
	tap_equal(access_set(fd, w.domain, 12, 0, 1), -EINVAL, "rights that there are not");
	tap_equal(access_set(fd, w.domain, XENMEM_access_r, 0, 0x100000), -EINVAL,
		  "more frames than there are");
	tap_equal(access_set(fd, w.domain, XENMEM_access_r, ~1ULL, 4), -EINVAL,
		  "VE-1 frames beyond all numbers");
	tap_equal(access_get(fd, w.domain, 0x100000), -EINVAL, "a frame beyond the last");
	op.op = 2;
	tap_equal(xen_call2(fd, __HYPERVISOR_memory_op, XENMEM_access_op, &op), -ENOSYS,
		  "an operation of another architecture");
	tap_equal(access_set(fd, w.domain, XENMEM_access_x, 0x20, 1), -EOPNOTSUPP,
		  "execute-only, which the processor cannot do");
	tap_equal(access_set(fd, w.domain, XENMEM_access_wx, 0x20, 1), -EOPNOTSUPP, "nor wx");
}

static void told(void)
{
	static const uint8_t all[] = {
		XENMEM_access_n, XENMEM_access_r, XENMEM_access_w, XENMEM_access_rw,
		XENMEM_access_rx, XENMEM_access_rwx, XENMEM_access_rx2rw, XENMEM_access_n2rwx,
		XENMEM_access_r_pw,
	};
	unsigned int i, wrong = 0;

	tap_equal(access_get(fd, w.domain, 0x20), XENMEM_access_rwx, "a page has all rights");
	for (i = 0; i < sizeof(all); i++) {
		if (access_set(fd, w.domain, all[i], 0x20, 1))
			wrong++;
		if (access_get(fd, w.domain, 0x20) != all[i])
			wrong++;
	}
	tap_equal(wrong, 0, "E-3 all types are set and told");
	tap_equal(access_get(fd, w.domain, 0x21), XENMEM_access_rwx, "the next page keeps its own");
	tap_equal(access_set(fd, w.domain, XENMEM_access_rwx, 0x20, 1), 0, "back");

	tap_equal(access_get(fd, w.domain, ~0ULL), XENMEM_access_rwx, "the default is everything");
	tap_equal(access_set(fd, w.domain, XENMEM_access_rx, ~0ULL, 0), 0, "the default is set");
	tap_equal(access_get(fd, w.domain, ~0ULL), XENMEM_access_rx, "and told");
	tap_equal(access_get(fd, w.domain, 0x20), XENMEM_access_rwx,
		  "pages that are there keep theirs");
	tap_equal(domain_populate(fd, w.domain, 0x60, 1), 1, "a page comes");
	tap_equal(access_get(fd, w.domain, 0x60), XENMEM_access_rx, "VE-13 and gets the default");
	tap_equal(access_set(fd, w.domain, XENMEM_access_r, 0x60, 1), 0,
		  "it is given other rights");
	tap_equal(access_set(fd, w.domain, XENMEM_access_default, 0x60, 1), 0,
		  "and the default again");
	tap_equal(access_get(fd, w.domain, 0x60), XENMEM_access_rx, "by its name");
	tap_equal(access_get(fd, w.domain, 0x50), -ESRCH, "what is no page has no rights");
	tap_equal(access_set(fd, w.domain, XENMEM_access_rwx, ~0ULL, 0), 0,
		  "the default is set back");
}

static void ranges(void)
{
	uint64_t frames[300];
	uint8_t access[300];
	unsigned int i, wrong = 0;

	tap_equal(access_set(fd, w.domain, XENMEM_access_r, 0x20, 0x10), 0, "a range");
	for (i = 0x1f; i <= 0x30; i++)
		wrong += access_get(fd, w.domain, i) !=
			 (i >= 0x20 && i < 0x30 ? XENMEM_access_r : XENMEM_access_rwx);
	tap_equal(wrong, 0, "has its rights, and nothing else");
	tap_equal(access_set(fd, w.domain, XENMEM_access_rwx, 0, 0x61), 0, "a range with holes");
	tap_equal(access_get(fd, w.domain, 0x20), XENMEM_access_rwx, "which was changed");
	tap_equal(access_set(fd, w.domain, XENMEM_access_r, 0x20, 0), -EINVAL,
		  "no frames are refused");

	for (i = 0; i < 300; i++) {
		frames[i] = 0x20 + i % 16;
		access[i] = i < 290 ? XENMEM_access_n : XENMEM_access_r;
	}
	tap_equal(access_list(fd, w.domain, frames, access, 300), 0,
		  "VE-1 a list of several steps");
	tap_equal(access_get(fd, w.domain, 0x20 + 289 % 16), XENMEM_access_n, "is carried out");
	tap_equal(access_get(fd, w.domain, 0x20 + 299 % 16), XENMEM_access_r,
		  "to its end, in order");
	frames[1] = 0x100000;
	tap_equal(access_list(fd, w.domain, frames, access, 2), -EINVAL, "a list with a bad frame");
	access[0] = 99;
	tap_equal(access_list(fd, w.domain, frames, access, 1), -EINVAL, "with bad rights");
	tap_equal(access_list(fd, w.domain, NULL, NULL, 1), -EFAULT, "that cannot be read");
	tap_equal(access_set(fd, w.domain, XENMEM_access_rwx, 0, 0x61), 0, "back");
}

/* Rights of memory in large pages: split, joined, and never lost. */
static void large(void)
{
	struct xen_memory_reservation what = {
		.nr_extents = 4, .extent_order = 9, .domid = w.domain,
	};
	xen_pfn_t frames[4] = { 0x200, 0x400, 0x600, 0x800 };
	static const unsigned int some[] = { 0x200, 0x201, 0x3ff, 0x400, 0x5ff, 0x7ff, 0x9ff };
	unsigned int i, round, wrong = 0;

	domain_max_mem(fd, w.domain, 16384);
	set_xen_guest_handle(what.extent_start, frames);
	tap_equal(xen_call2(fd, __HYPERVISOR_memory_op, XENMEM_populate_physmap, &what), 4,
		  "8 MiB in large pages");
	for (round = 0; round < 3; round++) {
		for (i = 0; i < sizeof(some) / sizeof(*some); i++) {
			uint8_t one = i % 2 ? XENMEM_access_r : XENMEM_access_n;

			wrong += access_set(fd, w.domain, one, some[i], 1) != 0;
			wrong += access_get(fd, w.domain, some[i]) != one;
			wrong += access_get(fd, w.domain, some[i] ^ 0x10) != XENMEM_access_rwx;
		}
		wrong += access_set(fd, w.domain, XENMEM_access_rwx, 0x200, 0x800) != 0;
		for (i = 0x200; i < 0xa00; i += 7)
			wrong += access_get(fd, w.domain, i) != XENMEM_access_rwx;
	}
	tap_equal(wrong, 0, "single pages of them change and change back, again and again");
	tap_equal(access_set(fd, w.domain, XENMEM_access_rx, 0x300, 0x400), 0,
		  "a range that begins and ends within some");
	wrong = 0;
	for (i = 0x200; i < 0xa00; i++)
		wrong += access_get(fd, w.domain, i) !=
			 (i >= 0x300 && i < 0x700 ? XENMEM_access_rx : XENMEM_access_rwx);
	tap_equal(wrong, 0, "is exact");
	/* The memory is the same one all the time. */
	worker_do(&w, 0, OP_WRITE32, 0x210000, 0x12345678, 0);
	access_set(fd, w.domain, XENMEM_access_rwx, 0x200, 0x800);
	tap_equal(worker_do(&w, 0, OP_READ32, 0x210000, 0, 0), 0x12345678,
		  "what is in it stays where it is");
}

int main(void)
{
	tap_plan(0);
	fd = xen_open("privcmd");
	worker_start(&w, fd, 1, 32);
	refused();
	told();
	ranges();
	large();
	tap_equal(monitor_end(&m), 0, "the monitor ends");
	tap_equal(access_get(fd, w.domain, 0), -ENODEV, "VE-7 and with it the rights");
	tap_equal(worker_end(&w), 0, "the guest ends");
	return tap_end();
}
