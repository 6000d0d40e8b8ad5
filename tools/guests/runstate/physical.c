// SPDX-License-Identifier: GPL-2.0-only
/* Areas that are given by physical address, the time areas, and pages that go. */

#include "runstate.h"

long register_physical(u32 vcpu, u64 at)
{
	struct vcpu_register_runstate_memory_area area = { .addr.p = at };

	return vcpu_op(VCPUOP_register_runstate_phys_area, vcpu, &area);
}

void test_physical(void)
{
	static record linear __attribute__((aligned(64))), physical __attribute__((aligned(64)));
	const u32 word = sizeof(long);
	unsigned int tries;
	bool filled;
	record info;

	poison(&physical, sizeof(physical));
	ANSWERS(0, register_physical(0, H(&physical)),
		"R-1 an area is registered by physical address");
	tap(is_current(&physical), "R-5 it is filled before the call returns");
	nap(MS / 10);
	tap(is_current(&physical), "R-14 and kept up to date");
	poison(&physical, sizeof(physical));
	nap(MS / 10);
	tap(is_current(&physical), "R-7 whatever the guest writes there");

	ANSWERS(0, register_linear(0, &linear),
		"R-4 an area by linear address beside it is registered");
	/* It is written this once: if the vCPU is preempted before the look, it is another time that Xen tells. */
	filled = is_current(&linear);
	for (tries = 0; tries < 100 && !filled; tries++)
		filled = !register_linear(0, &linear) && is_current(&linear);
	tap(filled, "R-5 filled");
	poison(&linear, sizeof(linear));
	nap(MS / 10);
	tap(is_poisoned(&linear, sizeof(linear)), "R-4 and silent from then on");
	tap(is_current(&physical), "R-4 while the other one is written");
	ANSWERS(0, register_physical(0, ~0ULL), "R-4 all ones unregister");
	poison(&physical, sizeof(physical));
	nap(MS / 10);
	tap(is_poisoned(&physical, sizeof(physical)), "R-4 nothing is written there any more");
	tap(is_current(&linear), "R-4 and the area by linear address is back");
	register_linear(0, NULL);

	poison(pool, sizeof(pool));
	ANSWERS(0, register_physical(0, H(pool) + PAGE_SIZE - RECORD_SIZE),
		"the end of a page will do");
	tap(is_current(pool + PAGE_SIZE - RECORD_SIZE), "R-5 and is filled");
	ANSWERS(-XEN_ENXIO, register_physical(0, H(pool) + PAGE_SIZE - RECORD_SIZE + word),
		"R-4 an area across the end of a page will not");
	ANSWERS(-XEN_ENXIO, register_physical(0, H(pool) + PAGE_SIZE - 8), "R-4 not at all");
	ANSWERS(-XEN_ENXIO, register_physical(0, H(pool) + 1), "nor one that is not aligned");
	ANSWERS(-XEN_ENXIO, register_physical(0, H(pool) + word / 2), "to a word of the guest");
	ANSWERS(-XEN_EINVAL, register_physical(0, HOLE), "nor one where there is no memory");
	ANSWERS(-XEN_EINVAL, register_physical(0, 1ULL << 60), "nor one beyond all addresses");
	ANSWERS(-XEN_EFAULT, vcpu_op(VCPUOP_register_runstate_phys_area, 0, NOWHERE),
		"nor one without an argument");
	ANSWERS(-XEN_ENOENT, register_physical(0x1000, H(&physical)),
		"nor one for a vCPU that is not there");
	nap(MS / 10);
	tap(is_current(pool + PAGE_SIZE - RECORD_SIZE),
	    "R-5 what failed leaves the old area alone");
	tap(is_poisoned(pool, PAGE_SIZE - RECORD_SIZE) && is_poisoned(pool + PAGE_SIZE, PAGE_SIZE),
	    "and nothing beside it is touched");
	register_physical(0, ~0ULL);

	if (running > 1) {
		poison(&physical, sizeof(physical));
		ANSWERS(0, register_physical(1, H(&physical)),
			"R-5 an area is registered for another vCPU");
		info = read_at(&physical);
		tap(info.state >= 0 && info.state < 4 && opened(&info) < info.state_entry_time,
		    "R-5 and filled at once");
		register_physical(1, ~0ULL);
		poison(&linear, sizeof(linear));
		ANSWERS(0, register_linear(1, &linear), "R-5 likewise by linear address");
		info = read_at(&linear);
		tap(info.state >= 0 && info.state < 4 && opened(&info) < info.state_entry_time,
		    "R-5 and filled at once");
		register_linear(1, NULL);
		poison(&linear, sizeof(linear));
		poison(&physical, sizeof(physical));
		nap(20 * MS);
		tap(is_poisoned(&linear, sizeof(linear)) &&
		    is_poisoned(&physical, sizeof(physical)),
		    "R-4 and nothing is written when they are unregistered");
	}
}

static long register_time(u32 op, u64 at)
{
	struct vcpu_register_time_memory_area area = { .addr.p = at };

	return vcpu_op(op, 0, &area);
}

static bool tells_the_time(const void *at)
{
	const struct vcpu_time_info *own = &shared_info->vcpu_info[0].time, *there = at;
	struct vcpu_time_info time;
	unsigned int tries;

	for (tries = 0; tries < 1000; tries++) {
		barrier();
		memcpy(&time, at, sizeof(time));
		barrier();
		/* It may be written just now: another vCPU writes what was registered for it once more. */
		if (time.version & 1 || time.version != READ_ONCE(there->version))
			continue;
		return time.version && time.tsc_timestamp == own->tsc_timestamp &&
		       time.system_time == own->system_time &&
		       time.tsc_to_system_mul == own->tsc_to_system_mul &&
		       time.tsc_shift == own->tsc_shift && time.flags == own->flags;
	}
	return false;
}

void test_time_areas(void)
{
	const u32 linear = VCPUOP_register_vcpu_time_memory_area,
	physical = VCPUOP_register_vcpu_time_phys_area;
	const size_t size = sizeof(struct vcpu_time_info);
	u8 *cross = pool + PAGE_SIZE - 15;

	poison(pool, sizeof(pool));
	ANSWERS(0, register_time(linear, H(pool + 3)),
		"R-1 a time area is registered by linear address");
	tap(tells_the_time(pool + 3), "R-5 it tells the time at once");
	ANSWERS(0, register_time(linear, H(cross)), "R-2 across the end of a page");
	tap(tells_the_time(cross), "R-5 it does too");
	tap(is_poisoned(pool + 3 + size, PAGE_SIZE - 15 - 3 - size) && is_poisoned(pool, 3) &&
	    is_poisoned(cross + size, PAGE_SIZE), "and nothing beside it is touched");
	ANSWERS(-XEN_EFAULT, register_time(linear, NOWHERE), "not where nothing is");
	ANSWERS(0, register_time(linear, 0), "R-4 NULL unregisters it");
	poison(pool, sizeof(pool));
	ANSWERS(0, register_time(physical, H(pool) + 64), "R-1 likewise by physical address");
	tap(tells_the_time(pool + 64), "R-5 it tells the time at once");
	ANSWERS(-XEN_ENXIO, register_time(physical, H(cross)), "R-4 not across the end of a page");
	ANSWERS(-XEN_ENXIO, register_time(physical, H(pool) + 1), "nor where it is not aligned");
	ANSWERS(-XEN_EINVAL, register_time(physical, HOLE), "nor where there is no memory");
	ANSWERS(0, register_time(physical, ~0ULL), "R-4 all ones unregister it");
	if (running > 1) {
		struct vcpu_register_time_memory_area area = { .addr.p = H(pool) + 128 };

		ANSWERS(0, vcpu_op(physical, 1, &area),
			"R-5 a time area is registered for another vCPU");
		tap(tells_the_time(pool + 128), "R-5 and filled at once");
		area.addr.p = ~0ULL;
		vcpu_op(physical, 1, &area);
	}
}

static long reserve(unsigned int cmd, xen_pfn_t frame)
{
	struct xen_memory_reservation what = { .nr_extents = 1, .domid = DOMID_SELF };

	set_xen_guest_handle(what.extent_start, &frame);
	return memory_op(cmd, &what);
}

static bool is_zero(const u8 *at, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		if (READ_ONCE(at[i]))
			return false;
	return true;
}

/* The page is given back and another one taken in its place, which nobody may write to but this guest. */
static void balloon(const char *what, bool physical, ulong offset, ulong gone)
{
	/* A place of their own in the first 16 MiB above 16 MiB. */
	u8 *pages = (u8 *)0x1800000UL;

	poison(pages, 2 * PAGE_SIZE);
	if (physical ? register_physical(0, H(pages) + offset) : register_linear(0,
										 pages + offset)) {
		tap(false, "%s is registered", what);
		return;
	}
	tap_equal(reserve(XENMEM_decrease_reservation, (H(pages) + gone) / PAGE_SIZE), 1,
		  "R-10 the page of %s is given back", what);
	nap(MS);
	tap_equal(reserve(XENMEM_populate_physmap, (H(pages) + gone) / PAGE_SIZE), 1,
		  "and another one taken");
	nap(MS);
	nap(MS);
	tap(is_zero(pages + gone, PAGE_SIZE),
	    "R-10 nothing is written to it: %s went with its page", what);
	/* Dropped for good: it does not come back with the page. */
	poison(pages, 2 * PAGE_SIZE);
	nap(MS);
	tap(is_poisoned(pages, 2 * PAGE_SIZE), "R-10 nor later");
	ANSWERS(0, physical ? register_physical(0, H(pages) + offset) :
			      register_linear(0, pages + offset),
		"R-10 %s is registered anew", what);
	nap(MS / 10);
	tap(is_current(pages + offset), "and written");
	if (physical)
		register_physical(0, ~0ULL);
	else
		register_linear(0, NULL);
}

void test_balloon(void)
{
	balloon("an area by linear address", false, 0x123, 0);
	balloon("an area by physical address", true, 0x128, 0);
	balloon("an area in two pages, the second of which goes,", false, PAGE_SIZE - 15,
		PAGE_SIZE);
	balloon("an area in two pages, the first of which goes,", false, PAGE_SIZE - 15, 0);
}
