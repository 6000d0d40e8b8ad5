// SPDX-License-Identifier: GPL-2.0-only
/*
 * Computes for ever, with interrupts off, and never leaves by itself: for those who pause and destroy.
 *
 * Command line: tick=N prints a number every N milliseconds; smp does it on every CPU, in silence; watch looks at
 * the time all the while, and says so when it goes back.
 */

#include "guest.h"

static void spin(void)
{
	volatile u64 count = 0;

	for (;;)
		count++;
}

/* The counter and Xen's time, as this CPU has them. */
static void watch(void)
{
	u64 last_time = xen_time(), last_tsc = rdtsc(), time, tsc;

	for (;;) {
		time = xen_time();
		tsc = rdtsc();
		if (time < last_time || tsc < last_tsc) {
			printf("time went back: %llu ns, then %llu; %llu ticks, then %llu\n",
			       (unsigned long long)last_time, (unsigned long long)time,
			       (unsigned long long)last_tsc, (unsigned long long)tsc);
			print_flush();
		}
		last_time = time;
		last_tsc = tsc;
	}
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
	if (param("watch"))
		watch();
	spin();
}
