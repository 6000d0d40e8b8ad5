// SPDX-License-Identifier: GPL-2.0-only
/* Time. */

#include "guest.h"

u64 xen_time(void)
{
	const struct vcpu_time_info *time;
	u64 delta, scaled;
	u32 version;

	if (!shared_info || this_cpu()->index >= XEN_LEGACY_MAX_VCPUS)
		return 0;
	time = &shared_info->vcpu_info[this_cpu()->index].time;
	do {
		version = READ_ONCE(time->version);
		barrier();
		delta = rdtsc() - time->tsc_timestamp;
		if (time->tsc_shift >= 0)
			delta <<= time->tsc_shift;
		else
			delta >>= -time->tsc_shift;
		/* The middle 64 bits of a 96-bit product. */
		scaled = (delta >> 32) * time->tsc_to_system_mul +
			 ((delta & 0xffffffff) * time->tsc_to_system_mul >> 32) + time->system_time;
		barrier();
	} while ((version & 1) || version != READ_ONCE(time->version));
	return scaled;
}

void delay_ns(u64 ns)
{
	u64 start = xen_time(), tsc = rdtsc();

	while (shared_info ? xen_time() - start < ns : rdtsc() - tsc < ns)
		cpu_relax();
}
