// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves that a domain can be paused, started, ended and destroyed in every state it can be in, that each
 * state shows, and that nothing is left.
 */

#include <pthread.h>

#include "domain.h"

static int fd;

static volatile uint32_t *count_of(long domain)
{
	xen_pfn_t frame = CODE_GFN;
	uint8_t *page = xen_map(fd, domain, &frame, 1);

	return page ? (volatile uint32_t *)(page + 0x80) : NULL;
}

/* Returns true if a number changes within a second or so. */
static bool moves(volatile uint32_t *number)
{
	uint32_t before = *number;
	unsigned int i;

	for (i = 0; i < 200 && *number == before; i++)
		usleep(10000);
	return *number != before;
}

static bool rests(volatile uint32_t *number)
{
	uint32_t before = *number;

	usleep(100000);
	return *number == before;
}

static void test_pause(void)
{
	long domain = DOMAIN_MAKE(fd, 1, code_count, 0);
	volatile uint32_t *count = domain > 0 ? count_of(domain) : NULL;
	struct xen_domctl domctl = { 0 };

	if (!tap(count != NULL, "a domain that counts is made"))
		return;
	tap(rests(count), "it does not run when it is made");
	tap(xen_flags(fd, domain) & XEN_DOMINF_paused, "it is paused");
	tap_equal(domain_unpause(fd, domain), 0, "it is unpaused");
	tap(moves(count), "it runs");
	tap(!(xen_flags(fd, domain) & XEN_DOMINF_paused), "it is not paused");
	tap_equal(domain_unpause(fd, domain), -EINVAL, "it is not unpaused again");
	tap_equal(domain_pause(fd, domain), 0, "it is paused");
	tap(rests(count), "it rests when the call returns");
	domain_pause(fd, domain);
	domain_pause(fd, domain);
	domain_unpause(fd, domain);
	domain_unpause(fd, domain);
	tap(rests(count) && xen_flags(fd, domain) & XEN_DOMINF_paused,
	    "paused three times and unpaused twice it rests");
	domain_unpause(fd, domain);
	tap(moves(count), "unpaused once more it runs");
	domctl.u.getvcpuinfo.vcpu = 0;
	xen_domctl(fd, XEN_DOMCTL_getvcpuinfo, domain, &domctl);
	tap(domctl.u.getvcpuinfo.online && !domctl.u.getvcpuinfo.blocked,
	    "its vCPU is up and not blocked");
	tap(domctl.u.getvcpuinfo.cpu_time > 0, "and has used time");
	munmap((void *)((uintptr_t)count & ~(PAGE_SIZE - 1)), PAGE_SIZE);
	tap_equal(domain_destroy(fd, domain), 0, "it is destroyed while it runs");
	tap_equal(domain_pause(fd, domain), -ESRCH, "then it is not there to be paused");
	tap_equal(domain_destroy(fd, domain), -ESRCH, "nor destroyed again");
}

static void test_shutdown(void)
{
	static const struct {
		unsigned int reason;
		const char *name;
	} reasons[] = {
		{ SHUTDOWN_poweroff, "poweroff" }, { SHUTDOWN_reboot, "reboot" },
		{ SHUTDOWN_suspend, "suspend" },
		{ SHUTDOWN_crash, "crash" }, { SHUTDOWN_watchdog, "watchdog" },
		{ SHUTDOWN_soft_reset, "soft reset" },
	};
	unsigned int i;
	long domain;

	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		domain = DOMAIN_MAKE(fd, 1, code_shutdown, reasons[i].reason);
		domain_unpause(fd, domain);
		tap_equal(domain_wait_shutdown(fd, domain), reasons[i].reason,
			  "a domain ends with %s", reasons[i].name);
		tap(domain_pause(fd, domain) == 0 && domain_unpause(fd, domain) == 0,
		    "it can be paused then");
		tap(!(xen_flags(fd, domain) & XEN_DOMINF_running), "it does not run");
		tap_equal(domain_destroy(fd, domain), 0, "and be destroyed");
	}
}

static void test_resume(void)
{
	long domain = DOMAIN_MAKE(fd, 1, code_shutdown, SHUTDOWN_suspend);

	domain_unpause(fd, domain);
	tap_equal(domain_wait_shutdown(fd, domain), SHUTDOWN_suspend, "a domain suspends");
	tap_equal(xen_domctl(fd, XEN_DOMCTL_resumedomain, domain, NULL), 0, "it is resumed");
	/* It goes on after its hypercall, where it computes for ever. */
	usleep(50000);
	tap(!(xen_flags(fd, domain) & XEN_DOMINF_shutdown), "it is not shut down any more");
	tap(xen_flags(fd, domain) >= 0, "and is there");
	domain_destroy(fd, domain);
}

/* Ends that no guest asks for. */
static void test_crash(void)
{
	/* No code at all: zeroes are instructions that write where %eax points, then memory ends. */
	static const uint8_t code_triple[] = { 0x0f, 0x01, 0x1d, 0x80, 0, 1, 0, 0x0f, 0x0b };
	static const uint8_t code_halt[] = { 0xfa, 0xf4 };
	long domain = DOMAIN_MAKE(fd, 1, code_triple, 0);
	struct xen_domctl domctl = { 0 };

	domain_unpause(fd, domain);
	tap_equal(domain_wait_shutdown(fd, domain), SHUTDOWN_reboot, "a triple fault is a reboot");
	domain_destroy(fd, domain);
	domain = DOMAIN_MAKE(fd, 1, code_triple, 0);
	xen_set_param(fd, domain, HVM_PARAM_TRIPLE_FAULT_REASON, SHUTDOWN_crash);
	domain_unpause(fd, domain);
	tap_equal(domain_wait_shutdown(fd, domain), SHUTDOWN_crash, "or what the parameter says");
	domain_destroy(fd, domain);
	domain = DOMAIN_MAKE(fd, 1, code_halt, 0);
	domain_unpause(fd, domain);
	tap_equal(domain_wait_shutdown(fd, domain), SHUTDOWN_poweroff,
		  "HLT without interrupts is a poweroff");
	domain_destroy(fd, domain);
	/* A start where there is no memory. */
	domain = DOMAIN_MAKE(fd, 1, code_idle, 0);
	domain_start_at(fd, domain, 0x40000000);
	domain_unpause(fd, domain);
	usleep(100000);
	tap(xen_flags(fd, domain) >= 0, "a start where there is no memory harms nobody");
	tap_equal(domain_destroy(fd, domain), 0, "and can be destroyed");
	/* An end that a tool wants. */
	domain = DOMAIN_MAKE(fd, 1, code_idle, 0);
	domain_unpause(fd, domain);
	struct sched_remote_shutdown remote = { .domain_id = domain, .reason = SHUTDOWN_poweroff };
	tap_equal(xen_call2(fd, __HYPERVISOR_sched_op, SCHEDOP_remote_shutdown, &remote), 0,
		  "a tool ends a domain");
	tap_equal(domain_wait_shutdown(fd, domain), SHUTDOWN_poweroff, "and it ends");
	domain_destroy(fd, domain);
	(void)domctl;
}

/* Destroys a domain in each state on the way to its end. */
static void test_destroy(void)
{
	long domain;
	unsigned int i;
	int before = domain_count(fd);

	domain = domain_new(fd, 0, 1);
	tap_equal(domain_destroy(fd, domain), 0, "destroy: just created");
	domain = domain_new(fd, 0, 4);
	domain_vcpus(fd, domain, 4);
	tap_equal(domain_destroy(fd, domain), 0, "destroy: with vCPUs");
	domain = domain_new(fd, 0, 1);
	domain_max_mem(fd, domain, 1 << 20);
	domain_populate(fd, domain, 0, 256);
	tap_equal(domain_destroy(fd, domain), 0, "destroy: with memory and no vCPUs");
	domain = DOMAIN_MAKE(fd, 1, code_spin, 0);
	tap_equal(domain_destroy(fd, domain), 0, "destroy: ready to run");
	for (i = 0; i < 5; i++) {
		domain = DOMAIN_MAKE(fd, 2, code_spin, 0);
		domain_unpause(fd, domain);
		usleep(i * 1000);
		if (domain_destroy(fd, domain))
			break;
	}
	tap_equal(i, 5, "destroy: running, at any moment");
	domain = DOMAIN_MAKE(fd, 1, code_idle, 0);
	domain_unpause(fd, domain);
	usleep(20000);
	tap_equal(domain_destroy(fd, domain), 0, "destroy: halted");
	domain = DOMAIN_MAKE(fd, 1, code_spin, 0);
	domain_unpause(fd, domain);
	domain_pause(fd, domain);
	domain_pause(fd, domain);
	tap_equal(domain_destroy(fd, domain), 0, "destroy: paused twice");
	tap_equal(domain_count(fd), before, "destroy: nothing is left");
	tap_equal(domain_destroy(fd, 0), -EINVAL, "domain 0 cannot be destroyed");
	tap(domain_pause(fd, 0) < 0, "nor paused");
}

/* Two threads that want the same domain's end, and others that want other things of it. */
static long racing;

static void *destroyer(void *result)
{
	*(long *)result = domain_destroy(fd, racing);
	return NULL;
}

static void *meddler(void *unused)
{
	unsigned int i;

	for (i = 0; i < 200; i++) {
		domain_pause(fd, racing);
		xen_flags(fd, racing);
		domain_populate(fd, racing, 100 + i % 50, 1);
		domain_unpause(fd, racing);
		volatile uint32_t *count = count_of(racing);

		if (count) {
			(void)*count;
			munmap((void *)((uintptr_t)count & ~(PAGE_SIZE - 1)), PAGE_SIZE);
		}
	}
	return unused;
}

static void test_races(void)
{
	pthread_t threads[4];
	long results[2];
	unsigned int i, good = 0, round;
	int before = domain_count(fd);

	for (round = 0; round < 10; round++) {
		racing = DOMAIN_MAKE(fd, 2, code_count, 0);
		domain_unpause(fd, racing);
		for (i = 0; i < 2; i++)
			pthread_create(&threads[2 + i], NULL, meddler, NULL);
		usleep(round * 2000);
		for (i = 0; i < 2; i++)
			pthread_create(&threads[i], NULL, destroyer, &results[i]);
		for (i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
		good += (results[0] == 0 || results[0] == -ESRCH) &&
			(results[1] == 0 || results[1] == -ESRCH) &&
			(results[0] == 0 || results[1] == 0);
	}
	tap_equal(good, 10, "two destroy a domain while two use it");
	tap_equal(domain_count(fd), before, "nothing is left of it");
}

int main(void)
{
	fd = xen_open("privcmd");
	tap_plan(0);
	test_pause();
	test_shutdown();
	test_resume();
	test_crash();
	test_destroy();
	test_races();
	return tap_end();
}
