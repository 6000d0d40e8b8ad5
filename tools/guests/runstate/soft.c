// SPDX-License-Identifier: GPL-2.0-only
/* A soft reset: what the guest registered is gone, and nothing is written to its memory. */

#include "runstate.h"

/* Each in a page of its own. */
static u8 areas[6][PAGE_SIZE] __attribute__((aligned(4096)));

static long register_time(u32 op, const void *at)
{
	struct vcpu_register_time_memory_area area = { .addr.p = H(at) };

	return vcpu_op(op, 0, &area);
}

static long register_vcpu_info(u8 *at)
{
	struct vcpu_register_vcpu_info info = { .mfn = H(at) / PAGE_SIZE };

	return vcpu_op(VCPUOP_register_vcpu_info, 0, &info);
}

static bool is_zero(const u8 *at)
{
	size_t i;

	for (i = 0; i < PAGE_SIZE; i++)
		if (READ_ONCE(at[i]))
			return false;
	return true;
}

void test_soft(void)
{
	struct sched_shutdown what = { .reason = SHUTDOWN_soft_reset };
	struct evtchn_status status = { .dom = DOMID_SELF };
	bool resumed = !memcmp(param("soft"), "resume", 6);
	u8 *shared = (u8 *)shared_info;
	unsigned int i, written;
	record last[2];

	ANSWERS(0, register_linear(0, areas[0] + 100), "an area by linear address is registered");
	ANSWERS(0, register_linear(0, areas[0] + 100), "and again");
	if (running > 1) {
		ANSWERS(0, register_physical(1, H(areas[1])),
			"one by physical address for the other CPU");
	} else {
		ANSWERS(0, register_physical(0, H(areas[1])), "and one by physical address");
	}
	ANSWERS(0, register_time(VCPUOP_register_vcpu_time_memory_area, areas[2]), "a time area");
	ANSWERS(0, register_time(VCPUOP_register_vcpu_time_phys_area, areas[3]), "and another");
	ANSWERS(0, register_vcpu_info(areas[4]), "and vcpu_info");
	status.port = event_bind_virq(VIRQ_TIMER, 0);
	print_flush();

	for (i = 0; i < 5; i++)
		poison(areas[i], PAGE_SIZE);
	sched_op(SCHEDOP_shutdown, &what);

	/* Another kernel would start here. Whoever read the console has gone. */
	print_detach();
	last[0] = read_at(areas[0] + 100);
	last[1] = read_at(areas[1]);
	if (!resumed)
		tap(is_zero(shared), "R-10 where shared_info was is an empty page");
	tap(last[0].state != RUNSTATE_offline && last[1].state != RUNSTATE_offline,
	    "R-10 RS-5 no area tells of the shutdown: they went when the guest asked for it");
	for (i = 0; i < 5; i++)
		poison(areas[i], PAGE_SIZE);
	if (!resumed) {
		shared_info = NULL;
		tap_equal(xen_map_shared_info(), 0, "shared_info is mapped again");
	}
	for (i = 0; i < 20; i++)
		nap(MS);
	for (written = 0, i = 0; i < 4; i++)
		written += !is_poisoned(areas[i], PAGE_SIZE);
	tap_equal(written, 0, "R-10 RS-4 nothing is written to the old areas any more");
	if (!resumed) {
		tap(is_poisoned(areas[4], PAGE_SIZE), "R-10 nor to the old vcpu_info");
		evtchn_op(EVTCHNOP_status, &status);
		tap_equal(status.status, EVTCHNSTAT_closed, "R-10 event channels are closed");
		ANSWERS(0, register_vcpu_info(areas[5]), "R-10 vcpu_info can be registered anew");
	}
	ANSWERS(0, register_linear(0, areas[0]), "R-10 so can an area by linear address");
	nap(MS);
	tap(is_current(areas[0]), "R-10 and it is kept up to date");
	ANSWERS(0, register_physical(0, H(areas[1])), "R-10 and one by physical address");
	nap(MS);
	tap(is_current(areas[1]), "R-10 and it is kept up to date");
	tap_end();
}
