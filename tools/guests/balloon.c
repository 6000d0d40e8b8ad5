// SPDX-License-Identifier: GPL-2.0-only
/*
 * Gives pages back and takes them again: single ones, whole superpages, one out of the middle of a
 * superpage, with another CPU looking on. Command line: rounds=50; lax lets a new page hold what the domain had in it.
 */

#include "guest.h"

#define POOL 0x1000000UL	/* 16 MiB: a start of superpages, free in a guest of 64 MiB. */
#define LARGE 0x200000UL

static xen_pfn_t frames[512];

static long reserve(unsigned int cmd, unsigned int count, unsigned int order)
{
	struct xen_memory_reservation what = {
		.nr_extents = count,
		.extent_order = order,
		.domid = DOMID_SELF,
	};

	set_xen_guest_handle(what.extent_start, frames);
	return memory_op(cmd, &what);
}

static long current(void)
{
	domid_t self = DOMID_SELF;

	return memory_op(XENMEM_current_reservation, &self);
}

static void fill(ulong start, ulong size, u64 value)
{
	ulong at;

	for (at = start; at < start + size; at += PAGE_SIZE)
		WRITE_ONCE(*(u64 *)at, value ^ at);
}

/* Returns how many pages do not hold what fill() put there. */
static unsigned int wrong(ulong start, ulong size, u64 value)
{
	unsigned int count = 0;
	ulong at;

	for (at = start; at < start + size; at += PAGE_SIZE)
		count += READ_ONCE(*(u64 *)at) != (value ^ at);
	return count;
}

/* Returns how many pages do not begin with `value`. */
static unsigned int not_all(ulong start, ulong size, u64 value)
{
	unsigned int count = 0;
	ulong at;

	for (at = start; at < start + size; at += PAGE_SIZE)
		count += READ_ONCE(*(u64 *)at) != value;
	return count;
}

static void test_pages(void)
{
	long before = current();
	unsigned int i;

	fill(POOL, LARGE, 0x1111);
	/* Every second page. */
	for (i = 0; i < 256; i++)
		frames[i] = POOL / PAGE_SIZE + 2 * i;
	tap_equal(reserve(XENMEM_decrease_reservation, 256, 0), 256, "single pages are given back");
	tap_equal(current(), before - 256, "they are not counted");
	for (i = 0; i < 256; i++)
		if (wrong(POOL + (2 * i + 1) * PAGE_SIZE, PAGE_SIZE, 0x1111) ||
		    not_all(POOL + 2 * i * PAGE_SIZE, PAGE_SIZE, ~0ULL))
			break;
	tap_equal(i, 256, "they read as ones, their neighbours as before");
	tap_equal(reserve(XENMEM_decrease_reservation, 256, 0), 0, "they cannot be given twice");
	tap_equal(reserve(XENMEM_populate_physmap, 256, 0), 256, "they are taken again");
	tap_equal(current(), before, "they are counted");
	for (i = 0; i < 256; i++)
		if (wrong(POOL + (2 * i + 1) * PAGE_SIZE, PAGE_SIZE, 0x1111) ||
		    not_all(POOL + 2 * i * PAGE_SIZE, PAGE_SIZE, 0))
			break;
	if (param("lax"))
		tap_skip("this Xen may leave what was in it", "they are empty");
	else
		tap_equal(i, 256, "they are empty, their neighbours as before");
}

static void test_superpages(void)
{
	long before = current();
	ulong start = POOL + LARGE;

	fill(start, 2 * LARGE, 0x2222);
	frames[0] = start / PAGE_SIZE;
	tap_equal(reserve(XENMEM_decrease_reservation, 1, 9), 1, "a superpage is given back");
	tap_equal(current(), before - 512, "it is not counted");
	tap_equal(not_all(start, LARGE, ~0ULL), 0, "it reads as ones");
	tap_equal(wrong(start + LARGE, LARGE, 0x2222), 0, "its neighbour does not");
	tap_equal(reserve(XENMEM_populate_physmap, 1, 9), 1, "it is taken again");
	tap_equal(current(), before, "it is counted");
	if (param("lax"))
		tap_skip("this Xen may leave what was in it", "it is empty");
	else
		tap_equal(not_all(start, LARGE, 0), 0, "it is empty");
	/* One page out of the middle. */
	fill(start, LARGE, 0x3333);
	frames[0] = start / PAGE_SIZE + 200;
	tap_equal(reserve(XENMEM_decrease_reservation, 1, 0), 1,
		  "a page of a superpage is given back");
	tap_equal(wrong(start, 200 * PAGE_SIZE, 0x3333), 0, "those before it stay");
	tap_equal(wrong(start + 201 * PAGE_SIZE, LARGE - 201 * PAGE_SIZE, 0x3333), 0,
		  "those after it stay");
	/* A superpage where one page is not. */
	frames[0] = start / PAGE_SIZE;
	tap_note("giving back a superpage with a hole is %ld",
		 reserve(XENMEM_decrease_reservation, 1, 9));
	tap_note("taking it is %ld", reserve(XENMEM_populate_physmap, 1, 9));
	for (frames[0] = start / PAGE_SIZE; frames[0] < (start + LARGE) / PAGE_SIZE; frames[0]++)
		if (READ_ONCE(*(u64 *)(ulong)(frames[0] * PAGE_SIZE)) == ~0ULL)
			reserve(XENMEM_populate_physmap, 1, 0);
	tap_equal(current(), before, "all is there again");
	fill(start, LARGE, 0x4444);
	tap_equal(wrong(start, LARGE, 0x4444), 0, "and works");
	/* An order that the number does not fit. */
	frames[0] = start / PAGE_SIZE + 1;
	tap_note("populating at a place of another order is %ld",
		 reserve(XENMEM_populate_physmap, 1, 9));
	tap_equal(current(), before, "nothing is added");
}

static void test_limits(void)
{
	long before = current(), more;
	domid_t self = DOMID_SELF;
	long most = memory_op(XENMEM_maximum_reservation, &self);

	/* More than the domain may have: at a place of its own, page by page. */
	for (more = 0; more < 2048; more++) {
		frames[0] = 0x80000 + more;
		if (reserve(XENMEM_populate_physmap, 1, 0) != 1)
			break;
	}
	tap_note("%ld pages more than %ld, of at most %ld", more, before, most);
	tap(current() <= most, "a domain cannot have more than it may");
	tap(more < 2048, "there is an end");
	while (more--) {
		frames[0] = 0x80000 + more;
		reserve(XENMEM_decrease_reservation, 1, 0);
	}
	tap_equal(current(), before, "what was added can go");
	frames[0] = (xen_pfn_t)1 << 40;
	tap_equal(reserve(XENMEM_populate_physmap, 1, 0), 0, "no page beyond all addresses");
	frames[0] = ~0UL;
	tap_equal(reserve(XENMEM_populate_physmap, 1, 0), 0, "nor at the last of all");
	tap_equal(reserve(XENMEM_decrease_reservation, 1, 0), 0, "nor from there");
}

static void test_grant_frames(void)
{
	struct xen_add_to_physmap place = {
		.domid = DOMID_SELF, .space = XENMAPSPACE_grant_table, .idx = 0, .gpfn = 0x90000,
	};
	struct xen_remove_from_physmap remove = { .domid = DOMID_SELF, .gpfn = 0x90000 };
	volatile u32 *table = (void *)0x90000000UL;

	if (memory_op(XENMEM_add_to_physmap, &place)) {
		tap_skip("no grant table here", "the grant table at a place of its own");
		return;
	}
	table[100] = 0x12345678;
	tap_equal(table[100], 0x12345678, "the grant table is at a place of its own");
	place.gpfn = 0x90001;
	tap_equal(memory_op(XENMEM_add_to_physmap, &place), 0, "it can move");
	tap_equal(((volatile u32 *)0x90001000UL)[100], 0x12345678, "with what is in it");
	table = (void *)0x90001000UL;
	table[100] = 0;
	tap(memory_op(XENMEM_remove_from_physmap, &remove) < 0, "it is no more where it was");
	remove.gpfn = 0x90001;
	tap_equal(memory_op(XENMEM_remove_from_physmap, &remove), 0, "it can go");
	tap_equal(table[100], ~0U, "and is gone");
}

/* --- another CPU, which looks at a page all the time --- */

static volatile u64 *volatile watched;
static volatile u64 seen, generation, seen_generation;
static volatile bool leave;

/* Tells what it sees, and since when: it may be held up between any two instructions. */
static void watch(void)
{
	while (!leave) {
		u64 now = generation;

		if (watched)
			seen = *watched;
		seen_generation = now;
		cpu_relax();
	}
}

/* Returns what the other CPU sees from now on. */
static u64 looks(void)
{
	u64 now = ++generation, start = xen_time();

	while (seen_generation < now && xen_time() - start < 10000000000)
		cpu_relax();
	return seen_generation < now ? 0x6666 : seen;
}

static void test_stale(u32 rounds)
{
	unsigned int wrong = 0, lost = 0;
	u32 round;
	u64 value;

	for (round = 0; round < rounds; round++) {
		ulong at = POOL + 4 * LARGE + (round % 512) * PAGE_SIZE;

		WRITE_ONCE(*(u64 *)at, 0x5555);
		watched = (u64 *)at;
		wrong += looks() != 0x5555;
		frames[0] = at / PAGE_SIZE;
		lost += reserve(XENMEM_decrease_reservation, 1, 0) != 1;
		wrong += looks() != ~0ULL;
		lost += reserve(XENMEM_populate_physmap, 1, 0) != 1;
		value = looks();
		wrong += value == ~0ULL || (value && !param("lax"));
	}
	tap_equal(lost, 0, "pages come and go %u times", rounds);
	tap_equal(wrong, 0, "another CPU sees it at once");
	leave = true;
}

void main(void)
{
	u32 rounds = param_number("rounds", 50);

	tap_begin();
	need_xen();
	xen_map_shared_info();
	test_pages();
	test_superpages();
	test_limits();
	test_grant_frames();
	if (smp_start(watch, false) > 1)
		test_stale(rounds);
	else
		tap_skip("one CPU only", "another CPU sees pages go");
	tap_end();
}
