// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes every hypercall there is and checks the answers, first those to nonsense. The expectations are
 * what Xen 4.20 answers to a PVH guest that is not its control domain.
 *
 * The same source is a 64-bit guest and a 32-bit one, whose structures have the other layout.
 */

#include "hypercalls.h"

u8 page[2 * PAGE_SIZE] __attribute__((aligned(4096)));
u8 other_page[PAGE_SIZE] __attribute__((aligned(4096)));

long is_not_an_error(long rc, const char *call)
{
	tap(rc >= 0, "%s is not an error", call);
	if (rc < 0)
		tap_note("is %ld", rc);
	return rc;
}

void is_refused(long rc, const char *call, long one, long other)
{
	if (!tap(rc == one || rc == other, "%s is %ld or %ld", call, one, other))
		tap_note("is %ld", rc);
}

void main(void)
{
	tap_begin();
	need_xen();
	test_version();
	test_numbers();
	test_registers();
	test_multicall();
	test_time();
	test_console_io();
	test_vm_assist();
	test_sched();
	test_evtchn();
	test_hvm();
	test_memory();
	test_grant_table();
	test_vcpu();
	test_privileged();
	test_addresses();
	test_hypercall_page();
	test_user();
	tap_end();
}
