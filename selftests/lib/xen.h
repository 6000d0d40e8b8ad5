/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hypercalls and ioctls of tools, straight to the devices, with the structures of Xen's own headers
 * (libxen-dev). Calls return what Xen answers: a negative error number, or the result.
 */
#ifndef SELFTESTS_XEN_H
#define SELFTESTS_XEN_H

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define __XEN_TOOLS__ 1
#define __XEN_INTERFACE_VERSION__ __XEN_LATEST_INTERFACE_VERSION__
#include <xen/xen.h>
#include <xen/domctl.h>
#include <xen/event_channel.h>
#include <xen/hvm/dm_op.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/hvm/save.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/sysctl.h>
#include <xen/version.h>
#include <xen/sys/evtchn.h>
#include <xen/sys/privcmd.h>

#include "tap.h"

#define PAGE_SIZE 4096UL
#define NO_DOMAIN 0x1234

/* Opens a device; skips the test without it. */
__attribute__((unused)) static int xen_open(const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/xen/%s", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ENODEV))
		tap_skip_all("the module is not loaded");
	if (fd < 0 && (errno == EACCES || errno == EPERM))
		tap_skip_all("needs root");
	if (fd < 0)
		tap_bail("cannot open %s: %s", path, strerror(errno));
	return fd;
}

/* ioctl(), but a failure is a negative error number. */
__attribute__((unused)) static long xen_ioctl(int fd, unsigned long request, void *argument)
{
	int rc = ioctl(fd, request, argument);

	return rc < 0 ? -errno : rc;
}

/* A hypercall with up to five arguments. */
__attribute__((unused)) static long xen_call(int fd, unsigned long op, unsigned long a,
					     unsigned long b, unsigned long c, unsigned long d,
					     unsigned long e)
{
	privcmd_hypercall_t call = { .op = op, .arg = { a, b, c, d, e } };

	return xen_ioctl(fd, IOCTL_PRIVCMD_HYPERCALL, &call);
}

#define A(x) ((unsigned long)(x))
#define xen_call1(fd, op, a) xen_call(fd, op, A(a), 0, 0, 0, 0)
#define xen_call2(fd, op, a, b) xen_call(fd, op, A(a), A(b), 0, 0, 0)
#define xen_call3(fd, op, a, b, c) xen_call(fd, op, A(a), A(b), A(c), 0, 0)

/* A domctl on a domain; the rest of the structure is the caller's. */
__attribute__((unused)) static long xen_domctl(int fd, uint32_t cmd, domid_t domain,
					       struct xen_domctl *domctl)
{
	struct xen_domctl none;

	if (!domctl) {
		memset(&none, 0, sizeof(none));
		domctl = &none;
	}
	domctl->cmd = cmd;
	domctl->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
	domctl->domain = domain;
	return xen_call1(fd, __HYPERVISOR_domctl, domctl);
}

__attribute__((unused)) static long xen_sysctl(int fd, uint32_t cmd, struct xen_sysctl *sysctl)
{
	sysctl->cmd = cmd;
	sysctl->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
	return xen_call1(fd, __HYPERVISOR_sysctl, sysctl);
}

/* Sets or gets a HVM parameter. */
__attribute__((unused)) static long xen_set_param(int fd, domid_t domain, uint32_t index,
						  uint64_t value)
{
	struct xen_hvm_param param = { .domid = domain, .index = index, .value = value };

	return xen_call2(fd, __HYPERVISOR_hvm_op, HVMOP_set_param, &param);
}

__attribute__((unused)) static long xen_get_param(int fd, domid_t domain, uint32_t index,
						  uint64_t *value)
{
	struct xen_hvm_param param = { .domid = domain, .index = index };
	long rc = xen_call2(fd, __HYPERVISOR_hvm_op, HVMOP_get_param, &param);

	*value = param.value;
	return rc;
}

/* Returns the domain's flags (XEN_DOMINF_*), or a negative error number. */
__attribute__((unused)) static long xen_flags(int fd, domid_t domain)
{
	struct xen_domctl domctl = { 0 };
	long rc = xen_domctl(fd, XEN_DOMCTL_getdomaininfo, domain, &domctl);

	if (rc < 0)
		return rc;
	return domctl.domain == domain ? (long)domctl.u.getdomaininfo.flags : -ESRCH;
}

/* Maps frames of a domain's memory; NULL if any of them cannot be. */
__attribute__((unused)) static void *xen_map(int fd, domid_t domain, const xen_pfn_t *frames,
					     unsigned int count)
{
	int errors[64] = { 0 };
	privcmd_mmapbatch_v2_t batch = {
		.num = count, .dom = domain, .arr = frames, .err = errors,
	};
	void *at = mmap(NULL, count * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	unsigned int i;
	bool bad = count > 64;

	if (at == MAP_FAILED || bad)
		return NULL;
	batch.addr = A(at);
	bad = xen_ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch) < 0;
	for (i = 0; i < count; i++)
		bad |= errors[i] != 0;
	if (!bad)
		return at;
	munmap(at, count * PAGE_SIZE);
	return NULL;
}

#endif
