// SPDX-License-Identifier: GPL-2.0-only
/* The policy of a domain: who may choose it, and when. And nested virtualisation, which is not offered. */

#include <oxen/runstate.h>

#include "domain.h"

static int fd;

static long get(int on, unsigned int domain)
{
	struct oxen_runstate_policy policy = { .domid = domain, .runstate_va = 0x5a5a };
	long rc = xen_ioctl(on, OXEN_GET_RUNSTATE_POLICY, &policy);

	return rc < 0 ? rc : policy.runstate_va;
}

static long set(int on, unsigned int domain, unsigned int policy)
{
	struct oxen_runstate_policy ask = { .domid = domain, .runstate_va = policy };

	return xen_ioctl(on, OXEN_SET_RUNSTATE_POLICY, &ask);
}

static long create_nested(void)
{
	struct xen_domctl domctl = { 0 };

	domctl.u.createdomain.flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap |
				      XEN_DOMCTL_CDF_nested_virt;
	domctl.u.createdomain.max_vcpus = 1;
	domctl.u.createdomain.max_evtchn_port = 10;
	domctl.u.createdomain.grant_opts = XEN_DOMCTL_GRANT_version(1);
	domctl.u.createdomain.arch.emulation_flags = XEN_X86_EMU_LAPIC;
	return xen_domctl(fd, XEN_DOMCTL_createdomain, 0, &domctl);
}

/* The time that a domain has run. */
static uint64_t used(long domain)
{
	struct xen_domctl domctl = { 0 };

	xen_domctl(fd, XEN_DOMCTL_getdomaininfo, domain, &domctl);
	return domctl.u.getdomaininfo.cpu_time;
}

int main(void)
{
	long domain, other;
	unsigned int i;
	domid_t id;
	int own;

	tap_plan(21);
	fd = xen_open("privcmd");
	domain = DOMAIN_MAKE(fd, 1, code_spin, 0);
	other = DOMAIN_MAKE(fd, 1, code_spin, 0);
	if (domain < 0 || other < 0)
		tap_bail("no domains: %ld, %ld", domain, other);
	tap_equal(get(fd, domain), OXEN_RUNSTATE_VA_ONCE, "R-3 a new domain has the policy once");
	tap_equal(set(fd, domain, OXEN_RUNSTATE_VA_WALK), 0, "R-3 walk can be chosen");
	tap_equal(get(fd, domain), OXEN_RUNSTATE_VA_WALK, "R-3 and is the policy then");
	tap_equal(get(fd, other), OXEN_RUNSTATE_VA_ONCE, "R-3 of that domain only");
	tap_equal(set(fd, domain, 2), -EINVAL, "there is no third policy");
	tap_equal(set(fd, domain, 0xffff), -EINVAL, "nor a last one");
	tap_equal(get(fd, domain), OXEN_RUNSTATE_VA_WALK, "R-3 asking for one changes nothing");
	tap_equal(set(fd, domain, OXEN_RUNSTATE_VA_ONCE), 0, "R-3 once can be chosen again");
	tap_equal(get(fd, NO_DOMAIN), -ESRCH, "a domain that is not there has none");
	tap_equal(set(fd, NO_DOMAIN, OXEN_RUNSTATE_VA_ONCE), -ESRCH, "and gets none");
	tap_equal(set(fd, 0, OXEN_RUNSTATE_VA_WALK), -ESRCH, "nor does the control domain");
	tap_equal(xen_ioctl(fd, OXEN_GET_RUNSTATE_POLICY, NULL), -EFAULT,
		  "not without an argument");
	tap_equal(xen_ioctl(fd, OXEN_SET_RUNSTATE_POLICY, NULL), -EFAULT, "not either");

	own = xen_open("privcmd");
	id = domain;
	tap_equal(xen_ioctl(own, IOCTL_PRIVCMD_RESTRICT, &id), 0,
		  "a descriptor is restricted to the domain");
	tap_equal(get(own, domain), OXEN_RUNSTATE_VA_ONCE, "it may ask for its policy");
	tap_equal(get(own, other), -EPERM, "but not for another domain's");
	tap_equal(set(own, domain, OXEN_RUNSTATE_VA_WALK), -EPERM, "nor choose");
	close(own);

	domain_unpause(fd, domain);
	/* It has run when it has used time. */
	for (i = 0; i < 1000 && !used(domain); i++)
		usleep(10000);
	tap_equal(set(fd, domain, OXEN_RUNSTATE_VA_WALK), -EBUSY,
		  "R-3 a domain that has run keeps its policy");
	tap_equal(get(fd, domain), OXEN_RUNSTATE_VA_ONCE, "R-3 which is what it was");
	tap_equal(create_nested(), -EINVAL,
		  "R-12 RS-6 a domain with nested virtualisation is refused");
	domain_destroy(fd, domain);
	domain_destroy(fd, other);
	tap_equal(domain_count(fd), 1, "no domain is left");
	return tap_end();
}
