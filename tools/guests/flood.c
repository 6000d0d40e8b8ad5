// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes lines to console_io and to port 0xe9 as fast as it can: n=20000 of each. The host's own log must
 * not show it, and the hypervisor's must not grow.
 */

#include "guest.h"

void main(void)
{
	u32 count = param_number("n", 20000), i;
	char line[64];
	const char *c;
	long rc = 0;
	int length;

	tap_begin();
	need_xen();
	for (i = 0; i < count; i++) {
		length = snprintf(line, sizeof(line), "flood: line %u by console_io\n", i);
		rc = hypercall3(__HYPERVISOR_console_io, 0, length, line);
		if (rc)
			break;
	}
	tap(rc == 0 || rc == -XEN_EPERM, "console_io takes everything, or nothing");
	tap_note("wrote %u lines", i);
	for (i = 0; i < count; i++) {
		snprintf(line, sizeof(line), "flood: line %u by port 0xe9\n", i);
		for (c = line; *c; c++)
			outb(0xe9, *c);
	}
	/* What no log should show as it is. */
	for (i = 0; i < 256; i++)
		outb(0xe9, i);
	for (i = 0; i < 100000; i++)
		outb(0xe9, 'x');
	tap(true, "port 0xe9 takes everything");
	tap_end();
}
