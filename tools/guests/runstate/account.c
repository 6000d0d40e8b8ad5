// SPDX-License-Identifier: GPL-2.0-only
/* The account of a vCPU's time, as hypercalls tell it. */

#include "runstate.h"

record ask(u32 vcpu)
{
	record info;
	long rc;

	memset(&info, 0xff, sizeof(info));
	rc = vcpu_op(VCPUOP_get_runstate_info, vcpu, &info);
	if (rc)
		panic("get_runstate_info(%u) is %ld", vcpu, rc);
	return info;
}

u64 sum(const record *info)
{
	return info->time[0] + info->time[1] + info->time[2] + info->time[3];
}

u64 opened(const record *info)
{
	return (info->state_entry_time & ~UPDATE) - sum(info);
}

void nap(u64 ns)
{
	u32 own = this_cpu()->index;
	u64 before = ask(own).state_entry_time;

	/* A time that has passed by the call is no reason to sleep. */
	do {
		struct sched_poll poll = { .nr_ports = 0, .timeout = xen_time() + ns };

		sched_op(SCHEDOP_poll, &poll);
	} while (ask(own).state_entry_time == before);
}

static bool has_gone_back(const record *now, const record *before)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		if (now->time[i] < before->time[i])
			return true;
	return now->state_entry_time < before->state_entry_time;
}

void test_account(void)
{
	unsigned int i, back = 0, wrong = 0, flagged = 0;
	u64 before, after, first_low, first_high, low, high;
	record first, last, info;

	info = ask(0);
	tap_equal(info.state, RUNSTATE_running, "R-8 who asks is running");
	first_low = xen_time();
	first = ask(0);
	first_high = xen_time();
	for (last = first, i = 0; i < 3000; i++) {
		if (i % 100 == 0)
			nap(MS / 10);
		info = ask(0);
		back += has_gone_back(&info, &last);
		wrong += info.state != RUNSTATE_running;
		flagged += info.state_entry_time >> 63;
		last = info;
	}
	tap_equal(back, 0, "R-9 times never go back");
	tap_equal(wrong, 0, "R-9 and the state is always that of who asks");
	tap_equal(flagged, 0, "RS-3 the update flag is in no answer");
	low = xen_time();
	info = ask(0);
	high = xen_time();
	/* Between the two questions, however long each took. */
	tap(sum(&info) - sum(&first) >= low - first_high &&
	    sum(&info) - sum(&first) <= high - first_low,
	    "R-9 the four times grow as the time does");
	if (sum(&info) - sum(&first) < low - first_high ||
	    sum(&info) - sum(&first) > high - first_low)
		tap_note("%llu, between %llu and %llu",
			 (unsigned long long)(sum(&info) - sum(&first)),
			 (unsigned long long)(low - first_high),
			 (unsigned long long)(high - first_low));

	/* Who loses the processor between the question and the wait waits for less. */
	for (i = 0; i < 10; i++) {
		before = xen_time();
		first = ask(0);
		nap(50 * MS);
		info = ask(0);
		after = xen_time();
		if (info.time[RUNSTATE_blocked] - first.time[RUNSTATE_blocked] >= 40 * MS)
			break;
	}
	tap(info.time[RUNSTATE_blocked] - first.time[RUNSTATE_blocked] >= 40 * MS &&
	    info.time[RUNSTATE_blocked] - first.time[RUNSTATE_blocked] <= after - before,
	    "R-9 a wait is blocked time, no more and no less");
	tap(info.time[RUNSTATE_running] - first.time[RUNSTATE_running] < 45 * MS,
	    "and not running time");
	tap_equal(info.time[RUNSTATE_offline], first.time[RUNSTATE_offline], "nor offline time");
	first = ask(0);
	for (before = xen_time(); xen_time() - before < 20 * MS;)
		cpu_relax();
	info = ask(0);
	tap(info.time[RUNSTATE_running] + info.time[RUNSTATE_runnable] -
	    first.time[RUNSTATE_running] - first.time[RUNSTATE_runnable] >= 20 * MS,
	    "computing is running time, or stolen");
	tap_equal(info.time[RUNSTATE_blocked], first.time[RUNSTATE_blocked],
		  "and not blocked time");
	ANSWERS(-XEN_ENOENT, vcpu_op(VCPUOP_get_runstate_info, 0x1000, &info),
		"not of a vCPU that is not there");
	ANSWERS(-XEN_EFAULT, vcpu_op(VCPUOP_get_runstate_info, 0, NOWHERE),
		"not to where nothing is");
}

/* While the other CPU waits, and computes. */
void test_others(void)
{
	unsigned int i, back = 0, states[4] = { 0 };
	record last, info;

	if (running < 2)
		return;
	for (last = ask(1), i = 0; i < 20000; i++) {
		info = ask(1);
		back += has_gone_back(&info, &last);
		if (info.state >= 0 && info.state < 4)
			states[info.state]++;
		last = info;
	}
	tap_equal(back, 0, "R-8 R-9 nor do another CPU's, told at any moment");
	tap_note("running %u, runnable %u, blocked %u, offline %u times", states[0], states[1],
		 states[2], states[3]);
	tap(states[RUNSTATE_blocked] > 0, "R-8 another CPU is seen to wait");
}
