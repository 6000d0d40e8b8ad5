// SPDX-License-Identifier: GPL-2.0-only
/* Says hello and what it sees, then powers off. */

#include "guest.h"

void main(void)
{
	u32 ids[MAX_CPUS];
	unsigned int i;

	tap_begin();
	tap(true, "hello from %u-bit mode", (u32)sizeof(long) * 8);
	tap_note("start_info at %p, command line '%s'", start_info,
		 start_info->cmdline_paddr ? (const char *)(ulong)start_info->cmdline_paddr : "");
	for (i = 0; i < memory_ranges(); i++) {
		struct memory_range range = memory_range(i);

		tap_note("memory %llx-%llx type %u", (unsigned long long)range.start,
			 (unsigned long long)(range.start + range.size), range.type);
	}
	tap_note("%u CPUs in the MADT", madt_cpus(ids, MAX_CPUS));
	if (on_xen) {
		long version = xen_version(XENVER_version, 0);

		tap_note("Xen %ld.%ld", version >> 16, version & 0xffff);
	} else {
		tap_note("no Xen");
	}
	tap_end();
}
