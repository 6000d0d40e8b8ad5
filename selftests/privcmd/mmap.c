// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves that tools can map a domain's memory and nothing else, that each frame has an error of its own,
 * and that a mapping outlives what it maps (XSA-276 is what happened to those who count less carefully).
 */

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/wait.h>

#include "domain.h"

static int fd;
static long domain;

static sigjmp_buf jump;

static void on_signal(int signal)
{
	siglongjmp(jump, signal);
}

/* Returns the signal that reading an address gives, or 0. */
static int signal_of_read(volatile uint8_t *at)
{
	int signal = sigsetjmp(jump, 1);

	if (!signal)
		(void)*at;
	return signal;
}

static void *map_at(unsigned int pages)
{
	return mmap(NULL, pages * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

static long batch(domid_t dom, void *addr, unsigned int num, const xen_pfn_t *frames, int *errors)
{
	privcmd_mmapbatch_v2_t batch = {
		.num = num, .dom = dom, .addr = A(addr), .arr = frames, .err = errors,
	};

	return xen_ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch);
}

static void test_good(void)
{
	xen_pfn_t frames[3] = { 3, 1, 2 };
	volatile uint8_t *first = xen_map(fd, domain, frames, 3), *second;

	if (!tap(first != NULL, "frames are mapped"))
		return;
	first[0] = 33;
	first[PAGE_SIZE] = 11;
	first[2 * PAGE_SIZE] = 22;
	frames[0] = 1;
	frames[1] = 3;
	second = xen_map(fd, domain, frames, 2);
	tap(second && second[0] == 11 && second[PAGE_SIZE] == 33,
	    "another mapping sees the same, in its order");
	tap(!second || (second[1] == 0 && second[PAGE_SIZE - 1] == 0), "new memory is empty");
	munmap((void *)second, 2 * PAGE_SIZE);
	frames[1] = frames[0];
	second = xen_map(fd, domain, frames, 2);
	tap(second && second[0] == 11 && second[PAGE_SIZE] == 11, "a frame can be mapped twice");
	munmap((void *)second, 2 * PAGE_SIZE);
	munmap((void *)first, 3 * PAGE_SIZE);
}

static void test_errors(void)
{
	xen_pfn_t frames[4] = { 1, 0x7777, ~0UL, 2 };
	int errors[4] = { 77, 77, 77, 77 };
	privcmd_mmapbatch_t old;
	uint8_t *at = map_at(4);

	tap(at != MAP_FAILED, "the device can be mapped");
	tap_equal(signal_of_read(at), SIGBUS, "nothing is there until frames are mapped");
	tap_equal(batch(domain, at, 4, frames, errors), 0, "a batch with bad frames succeeds");
	tap(errors[0] == 0 && errors[3] == 0, "the good ones have no error");
	tap(errors[1] < 0 && errors[2] < 0, "the bad ones have (%d, %d)", errors[1], errors[2]);
	tap_equal(signal_of_read(at), 0, "a good one can be read");
	tap_equal(signal_of_read(at + PAGE_SIZE), SIGBUS, "a bad one cannot");
	munmap(at, 4 * PAGE_SIZE);

	at = map_at(4);
	old = (privcmd_mmapbatch_t){ .num = 4, .dom = domain, .addr = A(at), .arr = frames };
	tap_equal(xen_ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH, &old), 0,
		  "so does one of the first version");
	tap_equal(frames[0], 1, "the good frames stay");
	tap_equal(frames[1], 0x7777 | PRIVCMD_MMAPBATCH_MFN_ERROR, "the bad ones are marked");
	munmap(at, 4 * PAGE_SIZE);
}

static void test_hostile(void)
{
	xen_pfn_t frames[4] = { 1, 2, 3, 4 };
	int errors[4];
	uint8_t *at = map_at(4), *anonymous;
	long rc;

	anonymous = mmap(NULL, 4 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	tap_equal(batch(NO_DOMAIN, at, 1, frames, errors), -ESRCH, "no memory of no domain");
	tap(batch(DOMID_SELF, at, 4, frames, errors) < 0, "none of the host, as oneself");
	tap(batch(0, at, 4, frames, errors) < 0, "nor as domain 0");
	tap_equal(batch(domain, anonymous, 4, frames, errors), -EINVAL, "not over other memory");
	tap_equal(batch(domain, (void *)0xffffffff81000000UL, 4, frames, errors), -EINVAL,
		  "nor over the kernel");
	tap_equal(batch(domain, NULL, 4, frames, errors), -EINVAL, "nor at 0");
	tap_equal(batch(domain, at + 1, 4, frames, errors), -EINVAL, "nor at half a page");
	tap_equal(batch(domain, at, 5, (xen_pfn_t[5]){ 1, 2, 3, 4, 5 }, (int[5]){ 0 }), -EINVAL,
		  "not beyond the mapping");
	tap_equal(batch(domain, at, 0xffffffff, frames, errors), -EINVAL, "not 2^32 frames");
	tap_equal(batch(domain, at, 0, frames, errors), -EINVAL, "nor none");
	rc = batch(domain, at, 4, (void *)0xffffffff81000000UL, errors);
	tap_equal(rc, -EFAULT, "frames in the kernel");
	rc = batch(domain, at, 4, frames, (void *)0xffffffff81000000UL);
	tap_equal(rc, -EFAULT, "errors in the kernel");
	munmap(at, 4 * PAGE_SIZE);
	at = map_at(1);
	munmap(at, PAGE_SIZE);
	tap_equal(batch(domain, at, 1, frames, errors), -EINVAL,
		  "nor where nothing is mapped any more");
	/* Where there is no place, that is said before frames are looked at. */
	tap_equal(batch(domain, anonymous, 1, (xen_pfn_t[1]){ ~0UL }, errors), -EINVAL,
		  "frames that are not there have no place either");
	munmap(anonymous, 4 * PAGE_SIZE);
	/* Mappings that nobody should ask for. */
	at = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	tap(at == MAP_FAILED && errno == EINVAL, "a private mapping is refused");
}

static void test_parts(void)
{
	xen_pfn_t frame = 5;
	int error = 0;
	uint8_t *at = map_at(4), *grown;

	tap(at != MAP_FAILED, "four pages of the device");
	batch(domain, at, 4, (xen_pfn_t[4]){ 5, 6, 7, 8 }, (int[4]){ 0 });
	at[0] = 55;
	at[3 * PAGE_SIZE] = 88;
	/* A hole in the middle, and an end that goes. */
	tap_equal(munmap(at + PAGE_SIZE, PAGE_SIZE), 0, "a page out of the middle is unmapped");
	tap_equal(signal_of_read(at + PAGE_SIZE), SIGSEGV, "it is gone");
	tap(at[0] == 55 && at[3 * PAGE_SIZE] == 88, "the others are there");
	tap_equal(batch(domain, at + PAGE_SIZE, 1, &frame, &error), -EINVAL,
		  "nothing is mapped in the hole");
	grown = mremap(at + 3 * PAGE_SIZE, PAGE_SIZE, 2 * PAGE_SIZE, MREMAP_MAYMOVE);
	tap(grown == MAP_FAILED, "a mapping does not grow");
	tap_equal(mprotect(at, PAGE_SIZE, PROT_READ), 0, "it can become read-only");
	tap_equal(at[0], 55, "and be read");
	munmap(at, 4 * PAGE_SIZE);
}

static void test_fork(void)
{
	xen_pfn_t frame = 9;
	uint8_t *at = xen_map(fd, domain, &frame, 1);
	int status;
	pid_t child;

	if (!tap(at != NULL, "a page is mapped"))
		return;
	at[0] = 99;
	child = fork();
	if (!child)
		_exit(signal_of_read(at) == SIGSEGV ? 0 : 1);
	waitpid(child, &status, 0);
	tap_equal(status, 0, "a child does not inherit it");
	tap_equal(at[0], 99, "the parent keeps it");
	munmap(at, PAGE_SIZE);
}

/* Lists that are where frames are being mapped. */
static void test_overlap(void)
{
	xen_pfn_t frames[4] = { 3, 4, 5, 6 };
	int errors[4] = { 0 };
	uint8_t *at = map_at(4);

	tap_equal(batch(domain, at, 4, (void *)at, errors), -EFAULT,
		  "the list is where nothing is yet");
	tap_equal(batch(domain, at, 4, frames, (void *)(at + 3 * PAGE_SIZE)), -EFAULT,
		  "so are the errors");
	munmap(at, 4 * PAGE_SIZE);
	at = map_at(4);
	/* Each error is written when its frame is there. */
	tap_equal(batch(domain, at, 4, frames, (void *)(at + PAGE_SIZE - 4)), 0,
		  "errors go where frames have just come");
	tap(!signal_of_read(at + 3 * PAGE_SIZE) && !*(int *)(at + PAGE_SIZE - 4),
	    "and are in the guest");
	munmap(at, 4 * PAGE_SIZE);

	at = map_at(2);
	tap_equal(batch(domain, at, 1, frames, errors), 0, "a frame is mapped in the first page");
	at[0] = 3;
	tap_equal(batch(domain, at, 2, frames + 1, errors), 0, "two frames are mapped there");
	tap_equal(errors[0], -EBUSY, "the first of which finds its place taken");
	tap_equal(errors[1], 0, "the second does not");
	tap_equal(at[0], 3, "what was there stays");
	munmap(at, 2 * PAGE_SIZE);
}

/* One thread maps frames where another maps and unmaps all the time. */
static uint8_t *contested;
static volatile bool stop;

static void *remap(void *unused)
{
	while (!stop) {
		munmap(contested, 4 * PAGE_SIZE);
		mmap(contested, 4 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		     0);
		mmap(contested + PAGE_SIZE, PAGE_SIZE, PROT_READ,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	}
	return unused;
}

static void test_race(void)
{
	xen_pfn_t frames[4] = { 1, 2, 3, 4 };
	int errors[4];
	pthread_t thread;
	unsigned int i, bad = 0;
	long rc;

	contested = map_at(4);
	pthread_create(&thread, NULL, remap, NULL);
	for (i = 0; i < 5000; i++) {
		rc = batch(domain, contested, i % 4 + 1, frames, errors);
		bad += rc != 0 && rc != -EINVAL;
	}
	stop = true;
	pthread_join(thread, NULL);
	munmap(contested, 4 * PAGE_SIZE);
	tap_equal(bad, 0, "mappings that come and go meanwhile are there or not");
}

/* AR-1, A-6: a mapping holds its page, whatever becomes of the domain. */
static void test_lifetime(void)
{
	xen_pfn_t frames[2] = { 10, 11 };
	struct xen_memory_reservation what = { .nr_extents = 1, .domid = domain };
	volatile uint8_t *at = xen_map(fd, domain, frames, 2), *other;
	unsigned int i, bad = 0;

	if (!tap(at != NULL, "two pages are mapped"))
		return;
	at[0] = 100;
	at[PAGE_SIZE] = 101;
	set_xen_guest_handle(what.extent_start, frames);
	tap_equal(xen_call2(fd, __HYPERVISOR_memory_op, XENMEM_decrease_reservation, &what), 1,
		  "a mapped page is taken from the domain");
	tap_equal(at[0], 100, "the mapping keeps it");
	at[0] = 102;
	domain_populate(fd, domain, 10, 1);
	other = xen_map(fd, domain, frames, 1);
	tap(other && other[0] == 0, "the domain's next page is another");
	munmap((void *)other, PAGE_SIZE);
	tap_equal(domain_destroy(fd, domain), 0, "the domain is destroyed");
	tap(at[0] == 102 && at[PAGE_SIZE] == 101, "the mapping still keeps its pages");
	for (i = 0; i < PAGE_SIZE; i++)
		bad += at[i] && i;
	tap_equal(bad, 0, "nobody else has them");
	tap_equal(batch(domain, (void *)at, 1, frames, (int[1]){ 0 }) < 0, 1,
		  "no more can be mapped");
	munmap((void *)at, 2 * PAGE_SIZE);
}

int main(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	fd = xen_open("privcmd");
	tap_plan(0);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	domain = DOMAIN_MAKE(fd, 1, code_idle, 0);
	if (!tap(domain > 0, "a domain is made"))
		tap_bail("domain_make is %ld", domain);
	test_good();
	test_errors();
	test_hostile();
	test_parts();
	test_fork();
	test_overlap();
	test_race();
	test_lifetime();
	return tap_end();
}
