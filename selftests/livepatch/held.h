/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A tool that is inside the hypervisor for as long as one likes: the memory of which it says that a payload is there
 * has no page until we give it one.
 */
#ifndef SELFTESTS_HELD_H
#define SELFTESTS_HELD_H

#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "lp.h"

struct held {
	pthread_t thread;
	void *page;
	int faults;
	long rc;
};

static void *held_call(void *argument)
{
	struct held *held = argument;
	struct file file = { .bytes = held->page, .len = PAGE_SIZE };

	held->rc = lp_upload_bytes("held", &file);
	return NULL;
}

/* Starts it. Returns once it is inside, or false if this kernel cannot do that. */
static bool held_begin(struct held *held)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct pollfd fault = { .events = POLLIN };

	held->faults = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (held->faults < 0)
		return false;
	held->page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			  0);
	range.range.start = A(held->page);
	range.range.len = PAGE_SIZE;
	if (held->page == MAP_FAILED || ioctl(held->faults, UFFDIO_API, &api) ||
	    ioctl(held->faults, UFFDIO_REGISTER, &range))
		tap_bail("userfaultfd fails: %s", strerror(errno));
	pthread_create(&held->thread, NULL, held_call, held);
	fault.fd = held->faults;
	if (poll(&fault, 1, 10000) != 1)
		tap_bail("nobody reads the page");
	return true;
}

/* Lets it go on, and waits for it. Its payload is all zeroes. */
static void held_end(struct held *held)
{
	struct uffdio_zeropage zero = { .range = { .start = A(held->page), .len = PAGE_SIZE } };

	if (ioctl(held->faults, UFFDIO_ZEROPAGE, &zero))
		tap_bail("userfaultfd fails: %s", strerror(errno));
	pthread_join(held->thread, NULL);
	close(held->faults);
	munmap(held->page, PAGE_SIZE);
}

#endif
