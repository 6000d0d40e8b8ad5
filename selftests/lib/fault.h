/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Makes the kernel's Nth allocation of this thread fail. A kernel with fault injection is needed
 * (configs/debug.config).
 */
#ifndef SELFTESTS_FAULT_H
#define SELFTESTS_FAULT_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tap.h"

static int fault_fd = -1;

__attribute__((unused)) static void fault_set(const char *name, const char *value)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s", name);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		tap_skip_all("this kernel cannot make allocations fail");
	close(fd);
}

/* Prepares; skips the test on a kernel that cannot. */
__attribute__((unused)) static void fault_begin(void)
{
	static const char *const kinds[] = { "failslab", "fail_page_alloc", "fail_usercopy" };
	unsigned int i;
	char name[64];

	fault_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fault_fd < 0)
		tap_skip_all("this kernel cannot make allocations fail");
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		/* The log is for what oxen has to say. */
		snprintf(name, sizeof(name), "%s/verbose", kinds[i]);
		fault_set(name, "0");
	}
	/* Those that may sleep fail too. */
	fault_set("failslab/ignore-gfp-wait", "N");
	fault_set("fail_page_alloc/ignore-gfp-wait", "N");
	fault_set("fail_page_alloc/ignore-gfp-highmem", "N");
	fault_set("fail_page_alloc/min-order", "0");
}

/* From now on the Nth allocation, or copy from or to this process, fails once. */
__attribute__((unused)) static void fault_arm(unsigned int nth)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", nth);
	if (pwrite(fault_fd, text, strlen(text), 0) < 0)
		tap_bail("cannot arm the fault: %s", strerror(errno));
}

/* Ends that. Returns whether something failed. */
__attribute__((unused)) static bool fault_disarm(void)
{
	char text[16] = "";

	if (pread(fault_fd, text, sizeof(text) - 1, 0) < 0) {
		/* It was next, and struck here. */
		if (errno == EFAULT || errno == ENOMEM)
			return false;
		tap_bail("cannot read the fault's state: %s", strerror(errno));
	}
	/* It may strike here too, once. */
	if (pwrite(fault_fd, "0", 1, 0) < 0 && pwrite(fault_fd, "0", 1, 0) < 0)
		tap_bail("cannot disarm the fault: %s", strerror(errno));
	return !atoi(text);
}

#endif
