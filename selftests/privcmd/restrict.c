// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves that a descriptor that was restricted to a domain can touch no other, makes no hypercalls, and
 * cannot be widened.
 */

#include "domain.h"

static long batch(int fd, domid_t domain)
{
	xen_pfn_t frame = CODE_GFN;
	int error = 0;
	privcmd_mmapbatch_v2_t batch = { .num = 1, .dom = domain, .arr = &frame, .err = &error };
	void *at = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	long rc;

	batch.addr = A(at);
	rc = xen_ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch);
	munmap(at, PAGE_SIZE);
	return rc;
}

static long resource(int fd, domid_t domain)
{
	privcmd_mmap_resource_t ask = { .dom = domain, .type = XENMEM_resource_grant_table };

	return xen_ioctl(fd, IOCTL_PRIVCMD_MMAP_RESOURCE, &ask);
}

static long dm_op(int fd, domid_t domain)
{
	struct xen_dm_op op = { .op = XEN_DMOP_nr_vcpus };
	privcmd_dm_op_buf_t buffer = { .uptr = &op, .size = sizeof(op) };
	privcmd_dm_op_t ask = { .dom = domain, .num = 1, .ubufs = &buffer };

	return xen_ioctl(fd, IOCTL_PRIVCMD_DM_OP, &ask);
}

static long restrict_to(int fd, domid_t domain)
{
	return xen_ioctl(fd, IOCTL_PRIVCMD_RESTRICT, &domain);
}

int main(void)
{
	int fd = xen_open("privcmd"), only = xen_open("privcmd"), copy;
	long mine, other;

	tap_plan(22);
	mine = DOMAIN_MAKE(fd, 1, code_idle, 0);
	other = DOMAIN_MAKE(fd, 1, code_idle, 0);
	if (!tap(mine > 0 && other > 0, "two domains are made"))
		tap_bail("they are %ld and %ld", mine, other);
	copy = dup(only);

	tap_equal(batch(only, other), 0, "at first any domain's memory can be mapped");
	tap_equal(restrict_to(only, mine), 0, "a descriptor is restricted");
	tap_equal(restrict_to(only, mine), 0, "again to the same");
	tap_equal(restrict_to(only, other), -EINVAL, "not to another");
	tap_equal(restrict_to(only, 0), -EINVAL, "not to domain 0");
	tap_equal(restrict_to(only, DOMID_INVALID), -EINVAL, "not to none");
	tap_equal(xen_call2(only, __HYPERVISOR_xen_version, XENVER_version, 0), -EPERM,
		  "no hypercall");
	tap_equal(domain_destroy(only, mine), -EPERM, "not even on its own domain");
	tap_equal(batch(only, mine), 0, "its own domain's memory");
	tap_equal(batch(only, other), -EPERM, "not another's");
	tap_equal(batch(only, NO_DOMAIN), -EPERM, "nor that of one that is not there");
	tap_equal(resource(only, other), -EPERM, "no resource of another");
	tap(resource(only, mine) != -EPERM, "one of its own");
	tap_equal(dm_op(only, other), -EPERM, "no device model operation on another");
	tap(dm_op(only, mine) != -EPERM, "one on its own");
	/* What shares the open file shares the restriction; what does not does not. */
	tap_equal(batch(copy, other), -EPERM, "a copy of the descriptor is as restricted");
	close(only);
	tap_equal(batch(copy, other), -EPERM, "also when the first is closed");
	tap_equal(batch(fd, other), 0, "another descriptor is not");
	tap_equal(domain_destroy(fd, mine), 0, "the domain is destroyed");
	tap_equal(batch(copy, mine), -ESRCH, "a descriptor for it is good for nothing");
	tap_equal(domain_destroy(fd, other), 0, "and the other");
	return tap_end();
}
