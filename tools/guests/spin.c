// SPDX-License-Identifier: GPL-2.0-only
/*
 * Computes for ever, with interrupts off, and never leaves by itself: for those who pause and destroy.
 *
 * Command line: tick=N prints a number every N milliseconds; smp does it on every CPU, in silence.
 */

#include "guest.h"

static void spin(void)
{
	volatile u64 count = 0;

	for (;;)
		count++;
}

void main(void)
{
	u64 tick = param_number("tick", 0), i;

	if (on_xen)
		xen_map_shared_info();
	if (param("smp"))
		smp_start(spin, false);
	print("spinning\n");
	for (i = 0; tick; i++) {
		printf("tick %llu\n", (unsigned long long)i);
		delay_ns(tick * 1000000);
	}
	spin();
}
