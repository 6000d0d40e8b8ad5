// SPDX-License-Identifier: GPL-2.0-only
/* Areas that are given by linear address. */

#include "runstate.h"

long register_linear(u32 vcpu, const void *at)
{
	struct vcpu_register_runstate_memory_area area = { .addr.p = H(at) };

	return vcpu_op(VCPUOP_register_runstate_memory_area, vcpu, &area);
}

record read_at(const void *at)
{
	record info;

	barrier();
	memcpy(&info, at, sizeof(info));
	barrier();
	return info;
}

void poison(void *at, size_t size)
{
	barrier();
	memset(at, 0xff, size);
	barrier();
}

bool is_poisoned(const void *at, size_t size)
{
	const volatile u8 *byte = at;
	size_t i;

	for (i = 0; i < size; i++)
		if (byte[i] != 0xff)
			return false;
	return true;
}

bool is_current(const void *at)
{
	static u64 base;
	unsigned int i, tries;

	/* The vCPU may be preempted between the looks; then all have another time of entry. */
	for (tries = 0; tries < 100; tries++) {
		record before = read_at(at), told = ask(0), after = read_at(at);

		if (memcmp(&before, &after, sizeof(before)))
			continue;
		if (before.state_entry_time != told.state_entry_time || before.state != told.state)
			return false;
		for (i = 0; i < 4; i++)
			if (i != (u32)told.state && before.time[i] != told.time[i])
				return false;
		if (!base)
			base = opened(&before);
		return opened(&before) == base;
	}
	return false;
}

void set_flag(bool on)
{
	hypercall2(__HYPERVISOR_vm_assist, on ? VMASST_CMD_enable : VMASST_CMD_disable,
		   VMASST_TYPE_runstate_update_flag);
}

/* Registers at an offset of the pool; nothing beside the record may change, then or later. */
static bool works_at(ulong offset)
{
	u8 *at = pool + offset;
	bool good;

	register_linear(0, NULL);
	poison(pool, sizeof(pool));
	if (register_linear(0, at))
		return false;
	good = is_current(at);
	nap(MS / 20);
	good = good && is_current(at);
	good = good && is_poisoned(pool, offset) &&
	       is_poisoned(at + RECORD_SIZE, sizeof(pool) - offset - RECORD_SIZE);
	return good;
}

void test_linear(void)
{
	static record first, second;
	record info;
	unsigned int good;
	ulong offset;
	u64 base;

	poison(&first, sizeof(first));
	ANSWERS(0, register_linear(0, &first), "R-1 an area is registered by linear address");
	info = read_at(&first);
	tap_equal(info.state, RUNSTATE_running, "R-5 it is filled before the call returns");
	base = opened(&info);
	tap(is_current(&first), "R-9 with what Xen says");
	nap(MS);
	tap(read_at(&first).state_entry_time > info.state_entry_time,
	    "R-14 it is written when the vCPU is scheduled");
	tap(is_current(&first), "R-14 and says what Xen says");
	info = read_at(&first);
	tap_equal(opened(&info), base,
		  "R-9 the times sum to the time since the account was opened");
	tap_equal(info.state, RUNSTATE_running, "who reads its own area finds that it runs");
	tap(info.time[RUNSTATE_blocked] >= MS / 2, "and how long it waited");

	/* What the guest writes there is nobody's business. */
	poison(&first, sizeof(first));
	info = ask(0);
	tap(info.state == RUNSTATE_running && info.state_entry_time >> 62 == 0 &&
	    info.time[0] >> 62 == 0,
	    "R-7 what the guest writes to its area does not change what Xen says");
	nap(MS / 10);
	tap(is_current(&first), "R-7 and the area is right again after the next update");

	poison(&second, sizeof(second));
	ANSWERS(0, register_linear(0, &second), "another area is registered");
	tap(is_current(&second), "R-5 filled");
	poison(&first, sizeof(first));
	nap(MS / 10);
	tap(is_poisoned(&first, sizeof(first)), "R-2 nothing is written to the old one any more");
	tap(is_current(&second), "but to the new one");

	ANSWERS(-XEN_EFAULT, register_linear(0, (void *)NOWHERE),
		"R-5 nothing is registered where nothing is");
	ANSWERS(-XEN_EFAULT, vcpu_op(VCPUOP_register_runstate_memory_area, 0, NOWHERE),
		"nor without an argument");
	ANSWERS(-XEN_ENOENT, register_linear(0x1000, &first), "nor for a vCPU that is not there");
	nap(MS / 10);
	tap(is_current(&second), "R-5 what failed leaves the old area alone");

	ANSWERS(0, register_linear(0, NULL), "R-4 NULL unregisters");
	poison(&second, sizeof(second));
	nap(MS / 10);
	tap(is_poisoned(&second, sizeof(second)), "R-4 nothing is written any more");
	ANSWERS(0, register_linear(0, NULL), "also when there is no area");

	for (good = 0, offset = 0; offset < 64; offset++)
		good += works_at(offset);
	tap_equal(good, 64, "R-2 RS-2 any alignment works");
	for (good = 0, offset = PAGE_SIZE - RECORD_SIZE - 4; offset < PAGE_SIZE; offset++)
		good += works_at(offset);
	tap_equal(good, RECORD_SIZE + 4, "R-2 RS-2 also across the end of a page");
	set_flag(true);
	for (good = 0, offset = 0; offset < 64; offset++)
		good += works_at(offset);
	for (offset = PAGE_SIZE - RECORD_SIZE - 4; offset < PAGE_SIZE; offset++)
		good += works_at(offset);
	tap_equal(good, 64 + RECORD_SIZE + 4,
		  "R-6 RS-2 and with the update flag, which is clear after the update");
	set_flag(false);
	register_linear(0, NULL);
}
