// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves what the device model's ioctl and the resources' ioctl answer before there are device models: the
 * probe of libxendevicemodel, too many and too large buffers, buffers in the kernel (IO-6: none at all),
 * sizes and frames that overflow.
 */

#include "domain.h"

static int fd;
static long domain;

static long dm_op(domid_t dom, unsigned int num, privcmd_dm_op_buf_t *buffers)
{
	privcmd_dm_op_t ask = { .dom = dom, .num = num, .ubufs = buffers };

	return xen_ioctl(fd, IOCTL_PRIVCMD_DM_OP, &ask);
}

static long resource(uint32_t type, uint32_t id, uint32_t idx, uint64_t num, void *addr)
{
	privcmd_mmap_resource_t ask = {
		.dom = domain, .type = type, .id = id, .idx = idx, .num = num, .addr = A(addr),
	};
	long rc = xen_ioctl(fd, IOCTL_PRIVCMD_MMAP_RESOURCE, &ask);

	return rc < 0 ? rc : (long)ask.num;
}

int main(void)
{
	struct xen_dm_op op = { .op = XEN_DMOP_nr_vcpus };
	privcmd_dm_op_buf_t buffers[17] = { { &op, sizeof(op) } };
	void *at;
	long rc;
	int i;

	fd = xen_open("privcmd");
	tap_plan(0);
	domain = DOMAIN_MAKE(fd, 1, code_idle, 0);
	if (!tap(domain > 0, "a domain is made"))
		tap_bail("domain_make is %ld", domain);

	tap_equal(dm_op(DOMID_INVALID, 0, NULL), 0, "the probe is answered");
	tap_equal(dm_op(domain, 17, buffers), -E2BIG, "more than 16 buffers are too many");
	tap_equal(dm_op(domain, 0xffff, buffers), -E2BIG, "65535 are, too");
	buffers[0].size = PAGE_SIZE + 1;
	tap_equal(dm_op(domain, 1, buffers), -E2BIG, "more than a page is too large");
	buffers[0].size = ~0UL;
	tap_equal(dm_op(domain, 1, buffers), -E2BIG, "2^64 - 1 is, too");
	tap_equal(dm_op(domain, 1, NULL), -EFAULT, "no list of buffers");
	tap_equal(dm_op(domain, 1, (void *)0xffffffff81000000UL), -EFAULT, "a list in the kernel");
	for (i = 0; i < 60; i++) {
		struct xen_dm_op any;

		memset(&any, 0xff, sizeof(any));
		any.op = i;
		any.pad = 0;
		buffers[0] = (privcmd_dm_op_buf_t){ &any, sizeof(any) };
		rc = dm_op(domain, 1, buffers);
		if (rc >= 0)
			tap_note("dm_op %d full of ones is %ld", i, rc);
		buffers[0] = (privcmd_dm_op_buf_t){ &any, 1 };
		dm_op(domain, 1, buffers);
		buffers[0] = (privcmd_dm_op_buf_t){ (void *)0xffffffff81000000UL, sizeof(any) };
		dm_op(domain, 1, buffers);
		buffers[0] = (privcmd_dm_op_buf_t){ NULL, 0 };
		dm_op(domain, 1, buffers);
	}
	tap(xen_flags(fd, domain) >= 0, "operations full of ones harm nobody");

	rc = resource(XENMEM_resource_grant_table, 0, 0, 0, NULL);
	tap(rc > 0 || rc == -EOPNOTSUPP || rc == -EINVAL,
	    "A-2 the size of the grant table, or a refusal");
	tap_note("the size of the grant table is %ld", rc);
	tap_equal(resource(77, 0, 0, 0, NULL), -EINVAL, "A-2 a type that is not there is EINVAL");
	tap(resource(XENMEM_resource_vmtrace_buf, 0, 0, 0, NULL) < 0, "A-1 there is no vmtrace");
	at = mmap(NULL, 4 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	tap_equal(resource(XENMEM_resource_grant_table, 0, 0, 1, NULL), -EINVAL,
		  "frames and no place for them");
	tap_equal(resource(XENMEM_resource_grant_table, 0, 0, 0, at), -EINVAL,
		  "a place and no frames");
	tap(resource(XENMEM_resource_grant_table, 0, 0, ~0ULL, at) < 0,
	    "A-3 more frames than there can be");
	tap(resource(XENMEM_resource_grant_table, 0, ~0U, 4, at) < 0, "A-3 frames beyond the last");
	tap(resource(XENMEM_resource_grant_table, 0, 0, 8, at) < 0, "more than the mapping holds");
	tap(resource(XENMEM_resource_grant_table, 0, 0, 4, (char *)at + 1) < 0, "at half a page");
	munmap(at, 4 * PAGE_SIZE);
	tap_equal(domain_destroy(fd, domain), 0, "the domain is destroyed");
	return tap_end();
}
