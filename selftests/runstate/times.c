// SPDX-License-Identifier: GPL-2.0-only
/* What tools are told of domains' and vCPUs' times and states, from the same account as the guest. */

#include "domain.h"

#define MS 1000000ULL

static int fd;

static struct xen_domctl_getvcpuinfo vcpu(long domain, uint32_t id)
{
	struct xen_domctl domctl = { 0 };

	domctl.u.getvcpuinfo.vcpu = id;
	if (xen_domctl(fd, XEN_DOMCTL_getvcpuinfo, domain, &domctl))
		tap_bail("no information of d%ldv%u", domain, id);
	return domctl.u.getvcpuinfo;
}

static uint64_t domain_time(long domain)
{
	struct xen_domctl domctl = { 0 };

	if (xen_domctl(fd, XEN_DOMCTL_getdomaininfo, domain, &domctl))
		tap_bail("no information of d%ld", domain);
	return domctl.u.getdomaininfo.cpu_time;
}

/* Waits some seconds until a domain has a flag. */
static bool has_flag(long domain, long flag)
{
	unsigned int i;

	for (i = 0; i < 1000; i++) {
		if (xen_flags(fd, domain) & flag)
			return true;
		usleep(10000);
	}
	return false;
}

/* Waits some seconds until a vCPU has run for longer than `ns`. */
static bool runs_beyond(long domain, uint64_t ns)
{
	unsigned int i;

	for (i = 0; i < 1000 && vcpu(domain, 0).cpu_time <= ns; i++)
		usleep(10000);
	return vcpu(domain, 0).cpu_time > ns;
}

static void test_spin(void)
{
	long domain = DOMAIN_MAKE(fd, 1, code_spin, 0);
	uint64_t first, second, before, after, last, back = 0, more = 0;
	unsigned int i;

	if (!tap(domain > 0, "a domain that computes is made"))
		return;
	tap_equal(vcpu(domain, 0).cpu_time, 0, "R-9 it has not run before it is unpaused");
	usleep(20000);
	tap_equal(domain_time(domain), 0, "R-9 however long that takes");
	domain_unpause(fd, domain);
	tap(runs_beyond(domain, 20 * MS), "R-9 then it runs");
	tap(has_flag(domain, XEN_DOMINF_running), "it is running, or has been");
	tap(!vcpu(domain, 0).blocked, "and not blocked");
	before = tap_now();
	first = vcpu(domain, 0).cpu_time;
	for (last = first, i = 0; i < 20000; i++) {
		uint64_t time = i % 2 ? vcpu(domain, 0).cpu_time : domain_time(domain);

		back += time < last;
		last = time;
	}
	after = tap_now();
	tap_equal(back, 0, "R-8 R-9 its time never goes back");
	tap(last - first <= after - before, "R-9 nor faster than time does");
	domain_pause(fd, domain);
	first = vcpu(domain, 0).cpu_time;
	tap(!vcpu(domain, 0).running, "it does not run when it is paused");
	for (i = 0; i < 50; i++) {
		usleep(1000);
		more += vcpu(domain, 0).cpu_time != first || domain_time(domain) != first;
	}
	tap_equal(more, 0, "R-9 and its time stands still, from the moment the call returns");
	domain_unpause(fd, domain);
	tap(runs_beyond(domain, first), "R-9 until it is unpaused");
	second = domain_time(domain);
	tap(second >= first, "R-9 where it went on");
	domain_destroy(fd, domain);
}

static void test_idle(void)
{
	long domain = DOMAIN_MAKE(fd, 2, code_idle, 0);
	uint64_t first;

	if (!tap(domain > 0, "a domain that halts is made"))
		return;
	domain_unpause(fd, domain);
	tap(has_flag(domain, XEN_DOMINF_blocked), "it is blocked");
	tap(vcpu(domain, 0).blocked && !vcpu(domain, 0).running,
	    "so is its vCPU, which does not run");
	tap(vcpu(domain, 0).online && !vcpu(domain, 1).online, "the other one is offline");
	tap_equal(vcpu(domain, 1).cpu_time, 0, "R-9 and has never run");
	first = domain_time(domain);
	usleep(100000);
	tap_equal(domain_time(domain), first, "R-9 no time is used by who waits");
	domain_pause(fd, domain);
	tap(vcpu(domain, 0).blocked, "a pause does not end the wait");
	domain_unpause(fd, domain);
	usleep(50000);
	tap(vcpu(domain, 0).blocked, "nor does its end");
	tap(domain_time(domain) - first < 20 * MS, "R-9 and neither counts as running");
	domain_destroy(fd, domain);
}

int main(void)
{
	tap_plan(21);
	fd = xen_open("privcmd");
	test_spin();
	test_idle();
	return tap_end();
}
