// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runstate and time areas: what Xen says of a vCPU's time, and what stands in the areas that the guest
 * registers. Results name the requirement or the regression that they are for.
 *
 * The same source is a 64-bit guest and a 32-bit one, whose records have the other layout. Command
 * line: walk says that the domain's policy is runstate_va=walk; vcpus=N how many CPUs there should be;
 * busy that other work of the host wants the processors, so that time is stolen. soft asks for a soft
 * reset: a tool has to carry it out, or to resume the domain with `soft=resume`.
 */

#include "runstate.h"

u8 pool[3 * PAGE_SIZE] __attribute__((aligned(4096)));
unsigned int running = 1;

void main(void)
{
	tap_begin();
	need_xen();
	/* That also tells Xen how wide the guest is. */
	tap_equal(events_init(0x50), 0, "shared_info is mapped, and events have a vector");
	if (param_number("vcpus", 1) > 1) {
		running = smp_start(other_cpu, apic_has_x2apic());
		tap_equal(running, param_number("vcpus", 1), "all CPUs start");
	}
	if (param("walk")) {
		test_walk();
		tap_end();
	}
	if (param("soft"))
		test_soft();
	test_features();
	test_account();
	test_others();
	test_linear();
	test_physical();
	test_time_areas();
	test_views();
	test_smap();
	test_widths();
	test_balloon();
	test_hostile();
	test_user_mode();
	test_torn();
	test_contention();
	test_down();
	tap_end();
}
