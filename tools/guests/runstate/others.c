// SPDX-License-Identifier: GPL-2.0-only
/* What takes another CPU: a reader that looks flat out, a nuisance, one that is taken down. */

#include "runstate.h"

enum { WAIT, READ, DISTURB, COUNT, STAY };

static volatile u32 task = WAIT, done;
static const volatile u8 *looked_at;
static volatile u64 looks, retries, flagged, torn, backward, counted;

/* A record that was read as the guest's rules say: none while the flag is set, and none that changed meanwhile. */
static bool read_flagged(const volatile u8 *at, record *info)
{
	const volatile u64 *entry = (const volatile void *)(at + offsetof(record,
									  state_entry_time));
	u64 before = *entry;

	barrier();
	memcpy(info, (const void *)at, sizeof(*info));
	barrier();
	if (before & UPDATE)
		flagged++;
	return !(before & UPDATE) && *entry == before;
}

static void read_flat_out(void)
{
	record info, last;
	u64 base = 0;
	unsigned int i;

	memset(&last, 0, sizeof(last));
	while (task == READ) {
		looks++;
		if (!read_flagged(looked_at, &info)) {
			retries++;
			continue;
		}
		if (!base)
			base = opened(&info);
		torn += opened(&info) != base || info.state < 0 || info.state > 3 ||
			(info.state_entry_time & UPDATE);
		for (i = 0; i < 4; i++)
			backward += info.time[i] < last.time[i];
		backward += info.state_entry_time < last.state_entry_time;
		last = info;
	}
}

/* Registers areas for the first CPU and asks about it, again and again. */
static void disturb(void)
{
	static record one __attribute__((aligned(64))), two __attribute__((aligned(64)));

	while (task == DISTURB) {
		register_linear(0, &one);
		register_physical(0, H(&two));
		ask(0);
		register_linear(0, &two);
		register_physical(0, ~0ULL);
		register_linear(0, NULL);
		counted++;
	}
}

void other_cpu(void)
{
	for (;;) {
		switch (task) {
		case WAIT:
			nap(2 * MS);
			break;
		case READ:
			read_flat_out();
			done++;
			break;
		case DISTURB:
			disturb();
			done++;
			break;
		case COUNT:
			counted++;
			if (counted % 64 == 0)
				nap(MS / 10);
			break;
		}
	}
}

static void stop_others(void)
{
	u32 before = done;

	task = WAIT;
	while (done == before)
		cpu_relax();
}

/*
 * Says whether what began at `start` is to go on: for so long, and until enough has been done. On a processor that
 * others want too the first alone says nothing.
 */
static bool goes_on(u64 start, u64 length, bool enough)
{
	u64 passed = xen_time() - start;

	return passed < length || (!enough && passed < PATIENCE);
}

/* The first CPU is scheduled in and out as often as can be, while another one reads its area. */
static void torn_at(const char *what, bool physical, ulong offset)
{
	u64 start;
	u32 naps = 0;

	poison(pool, sizeof(pool));
	if (physical ? register_physical(0, H(pool) + offset) : register_linear(0, pool + offset)) {
		tap(false, "R-6 %s is registered", what);
		return;
	}
	looks = retries = flagged = torn = backward = 0;
	looked_at = pool + offset;
	task = READ;
	for (start = xen_time();
	     goes_on(start, 2000 * MS, looks > 1000 && naps > 10) && naps < 5000; naps++)
		nap(1);
	stop_others();
	tap_note("%s: %llu looks at %u updates and more, %llu tried again, %llu saw the flag", what,
		 (unsigned long long)looks, 2 * naps, (unsigned long long)retries,
		 (unsigned long long)flagged);
	tap(looks > 1000 && naps > 10, "%s is read while it is written", what);
	tap_equal(torn, 0, "R-6 R-9 who minds the flag never sees a torn record in %s", what);
	tap_equal(backward, 0, "R-9 nor one that goes back");
	if (physical)
		register_physical(0, ~0ULL);
	else
		register_linear(0, NULL);
}

void test_torn(void)
{
	if (running < 2)
		return;
	set_flag(true);
	torn_at("an area by linear address", false, 64);
	torn_at("an area at an odd address", false, 77);
	torn_at("an area in two pages", false, PAGE_SIZE - 15);
	set_flag(false);
	torn_at("an area by physical address", true, 128);
}

void test_contention(void)
{
	u64 start, naps = 0;

	if (running < 2)
		return;
	counted = 0;
	task = DISTURB;
	for (start = xen_time(); goes_on(start, 1000 * MS, counted > 10 && naps > 10);) {
		ask(0);
		nap(1);
		naps++;
	}
	stop_others();
	tap(counted > 10 && naps > 10,
	    "RS-1 a vCPU goes on while another one registers areas for it all the time");
	tap_note("%llu rounds, %llu naps", (unsigned long long)counted, (unsigned long long)naps);
	register_linear(0, NULL);
	register_physical(0, ~0ULL);
}

/* Registers `at` for the second CPU, takes it down and brings it up again. */
static void down_with(const char *what, bool physical)
{
	static record at __attribute__((aligned(64)));
	record info, told;
	u64 start, base;

	counted = 0;
	task = COUNT;
	poison(&at, sizeof(at));
	if (physical ? register_physical(1, H(&at)) : register_linear(1, &at)) {
		tap(false, "%s is registered", what);
		return;
	}
	for (start = xen_time(); counted < 100 && xen_time() - start < PATIENCE;)
		nap(MS);
	info = read_at(&at);
	base = opened(&info);
	tap(counted >= 100 && base < info.state_entry_time,
	    "R-14 %s of another vCPU is kept up to date", what);
	ANSWERS(0, vcpu_op(VCPUOP_down, 1, 0), "the vCPU is taken down");
	info = read_at(&at);
	tap(info.state == RUNSTATE_offline || info.state == RUNSTATE_blocked,
	    "R-10 the last word of its area is that");
	poison(&at, sizeof(at));
	nap(20 * MS);
	told = ask(1);
	tap(told.state == RUNSTATE_offline || told.state == RUNSTATE_blocked,
	    "R-10 Xen says so too");
	ANSWERS(0, vcpu_op(VCPUOP_up, 1, 0), "it is brought up again");
	counted = 0;
	for (start = xen_time(); counted < 100 && xen_time() - start < PATIENCE;)
		nap(MS);
	tap(counted >= 100, "and goes on");
	tap(is_poisoned(&at, sizeof(at)), "R-10 its area went when it was taken down");
	ANSWERS(0, physical ? register_physical(1, H(&at)) : register_linear(1, &at),
		"and can be registered anew");
	for (start = xen_time(), counted = 0; counted < 100 && xen_time() - start < PATIENCE;)
		nap(MS);
	info = read_at(&at);
	tap_equal(opened(&info), base, "R-9 the account is still the same");
	if (physical)
		register_physical(1, ~0ULL);
	else
		register_linear(1, NULL);
	task = WAIT;
}

void test_down(void)
{
	if (running < 2)
		return;
	down_with("an area by linear address", false);
	down_with("an area by physical address", true);
}
