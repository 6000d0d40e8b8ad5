// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves that /dev/xen/privcmd takes hypercalls with any argument and answers as Xen does: good, bad and
 * hostile pointers, wrong numbers, wrong versions, unknown requests.
 */

#include <pthread.h>
#include <sys/wait.h>

#include "domain.h"

static int fd;

#define KERNEL_ADDRESS 0xffffffff81000000UL
#define NONCANONICAL 0x8000000000000000UL

static const unsigned long bad_addresses[] = {
	0, 1, 0xfff, 0x7ffffffff000UL, 0x7fffffffffffUL, NONCANONICAL, KERNEL_ADDRESS,
	0xffff888000000000UL, ~0UL, ~0UL - 8,
};

/* The ioctl itself. */
static void test_ioctl(void)
{
	static const struct {
		unsigned long request;
		const char *name;
	} requests[] = {
		{ IOCTL_PRIVCMD_HYPERCALL, "HYPERCALL" }, { IOCTL_PRIVCMD_MMAPBATCH, "MMAPBATCH" },
		{ IOCTL_PRIVCMD_MMAPBATCH_V2, "MMAPBATCH_V2" }, { IOCTL_PRIVCMD_DM_OP, "DM_OP" },
		{ IOCTL_PRIVCMD_RESTRICT, "RESTRICT" },
		{ IOCTL_PRIVCMD_MMAP_RESOURCE, "MMAP_RESOURCE" },
	};
	unsigned int i, j, bad;

	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		for (j = bad = 0; j < sizeof(bad_addresses) / sizeof(bad_addresses[0]); j++)
			bad += xen_ioctl(fd, requests[i].request,
					 (void *)bad_addresses[j]) != -EFAULT;
		tap_equal(bad, 0, "%s faults at every bad address", requests[i].name);
	}
	tap_equal(xen_ioctl(fd, IOCTL_PRIVCMD_UNIMPLEMENTED, NULL), -ENOTTY,
		  "UNIMPLEMENTED is ENOTTY");
	tap_equal(xen_ioctl(fd, 0, NULL), -ENOTTY, "request 0 is ENOTTY");
	tap_equal(xen_ioctl(fd, 0xffffffff, NULL), -ENOTTY, "the last request is ENOTTY");
	/* The number of a request with another's size. */
	tap_equal(xen_ioctl(fd, _IOC(_IOC_NONE, 'P', 0, 8), NULL), -ENOTTY,
		  "a wrong size is ENOTTY");
	tap_equal(xen_ioctl(fd, _IOC(_IOC_NONE, 'E', 0, sizeof(privcmd_hypercall_t)), NULL),
		  -ENOTTY,
		  "another device's letter is ENOTTY");
	tap_equal(xen_ioctl(fd, _IOC(_IOC_NONE, 'P', 2, sizeof(privcmd_mmap_t)), NULL), -ENOSYS,
		  "MMAP is for other control domains");
}

static void test_numbers(void)
{
	static const unsigned long absent[] = {
		0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 14, 16, 19, 22, 23, 25, 28, 30, 43, 44, 45, 46,
		47, 56, 57, 63, 64, 1000, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000011, ~0UL,
	};
	unsigned int i, bad = 0;

	for (i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		long rc = xen_call(fd, absent[i], 0, 0, 0, 0, 0);

		if (rc != -ENOSYS) {
			tap_note("hypercall %lu is %ld", absent[i], rc);
			bad++;
		}
	}
	tap_equal(bad, 0, "hypercalls that do not exist are ENOSYS");
}

static void test_version(void)
{
	char text[1024];
	struct xen_feature_info features = { 0 };
	struct {
		struct xen_build_id id;
		unsigned char bytes[64];
	} build_id = { .id.len = sizeof(build_id.bytes) };
	long rc;

	tap_equal(xen_call2(fd, __HYPERVISOR_xen_version, XENVER_version, 0), 4 << 16 | 20,
		  "this is Xen 4.20");
	memset(text, 'x', sizeof(text));
	tap_equal(xen_call2(fd, __HYPERVISOR_xen_version, XENVER_capabilities, text), 0,
		  "capabilities are given");
	tap(strstr(text, "hvm-3.0-x86_32 ") && strstr(text, "hvm-3.0-x86_32p ") &&
	    strstr(text, "hvm-3.0-x86_64"),
	    "they name the three kinds of HVM guest");
	tap_equal(xen_call2(fd, __HYPERVISOR_xen_version, XENVER_capabilities, KERNEL_ADDRESS),
		  -EFAULT,
		  "not into the kernel");
	tap_equal(xen_call2(fd, __HYPERVISOR_xen_version, XENVER_get_features, &features), 0,
		  "features are given");
	tap(features.submap >> XENFEAT_dom0 & 1, "the caller is the control domain");
	rc = xen_call2(fd, __HYPERVISOR_xen_version, XENVER_build_id, &build_id);
	tap(rc > 0 || rc == -ENODATA, "the build ID is given, or there is none");
	tap_equal(xen_call2(fd, __HYPERVISOR_xen_version, 100, text), -ENOSYS, "no command 100");
}

static void test_domctl(void)
{
	struct xen_domctl domctl = { 0 };
	unsigned int i, bad;
	long rc;

	for (i = bad = 0; i < sizeof(bad_addresses) / sizeof(bad_addresses[0]); i++)
		bad += xen_call1(fd, __HYPERVISOR_domctl, bad_addresses[i]) != -EFAULT;
	tap_equal(bad, 0, "domctl faults at every bad address");
	domctl.cmd = XEN_DOMCTL_getdomaininfo;
	for (i = bad = 0; i < 64; i++) {
		domctl.interface_version = i;
		rc = xen_call1(fd, __HYPERVISOR_domctl, &domctl);
		if (i != XEN_DOMCTL_INTERFACE_VERSION && rc != -EACCES)
			bad += i != XEN_DOMCTL_INTERFACE_VERSION + 1 || rc;
	}
	tap_equal(bad, 0, "domctl of another version is EACCES");
	/* Every command on a domain that is not there. */
	for (i = bad = 0; i < 200; i++) {
		if (i == XEN_DOMCTL_createdomain || i == XEN_DOMCTL_getdomaininfo)
			continue;
		memset(&domctl, 0, sizeof(domctl));
		rc = xen_domctl(fd, i, NO_DOMAIN, &domctl);
		if (rc >= 0) {
			tap_note("domctl %u on no domain is %ld", i, rc);
			bad++;
		}
	}
	tap_equal(bad, 0, "no domctl succeeds on a domain that is not there");
	tap_equal(xen_domctl(fd, XEN_DOMCTL_pausedomain, NO_DOMAIN, NULL), -ESRCH,
		  "which is ESRCH");
	/* Every command, filled with ones, on one that is. */
	rc = domain_new(fd, 0, 1);
	if (!tap(rc > 0, "a domain is made"))
		return;
	for (i = 0; i < 200; i++) {
		if (i == XEN_DOMCTL_destroydomain)
			continue;
		memset(&domctl.u, 0xff, sizeof(domctl.u));
		xen_domctl(fd, i, rc, &domctl);
		memset(&domctl.u, 0, sizeof(domctl.u));
		xen_domctl(fd, i, rc, &domctl);
	}
	tap(xen_flags(fd, rc) >= 0, "it survives every domctl full of ones and of zeroes");
	tap_equal(domain_destroy(fd, rc), 0, "and can be destroyed");
	tap_equal(xen_flags(fd, rc), -ESRCH, "and is gone");
}

static void test_sysctl(void)
{
	struct xen_sysctl sysctl = { 0 };
	unsigned int i, bad;
	long rc;

	for (i = bad = 0; i < sizeof(bad_addresses) / sizeof(bad_addresses[0]); i++)
		bad += xen_call1(fd, __HYPERVISOR_sysctl, bad_addresses[i]) != -EFAULT;
	tap_equal(bad, 0, "sysctl faults at every bad address");
	sysctl.cmd = XEN_SYSCTL_physinfo;
	sysctl.interface_version = 1;
	tap_equal(xen_call1(fd, __HYPERVISOR_sysctl, &sysctl), -EACCES,
		  "sysctl of another version is EACCES");
	memset(&sysctl, 0xff, sizeof(sysctl));
	tap_equal(xen_sysctl(fd, XEN_SYSCTL_physinfo, &sysctl), 0, "physinfo is given");
	tap(sysctl.u.physinfo.nr_cpus && sysctl.u.physinfo.total_pages,
	    "there are processors and memory");
	tap(sysctl.u.physinfo.capabilities & XEN_SYSCTL_PHYSCAP_hvm &&
	    sysctl.u.physinfo.capabilities & XEN_SYSCTL_PHYSCAP_hap,
	    "there is HVM with nested paging");
	for (i = 0; i < 64; i++) {
		/* Nothing that lives beyond this test, or that speaks in the log. */
		if (i == XEN_SYSCTL_livepatch_op || i == XEN_SYSCTL_debug_keys)
			continue;
		memset(&sysctl.u, 0xff, sizeof(sysctl.u));
		rc = xen_sysctl(fd, i, &sysctl);
		memset(&sysctl.u, 0, sizeof(sysctl.u));
		rc = xen_sysctl(fd, i, &sysctl);
		(void)rc;
	}
	tap_equal(xen_sysctl(fd, XEN_SYSCTL_physinfo, &sysctl), 0,
		  "sysctls full of ones and of zeroes harm nobody");
	tap_equal(xen_sysctl(fd, 1000, &sysctl), -ENOSYS, "no sysctl 1000");
}

static void test_multicall(void)
{
	multicall_entry_t calls[3] = {
		{ .op = __HYPERVISOR_xen_version, .args = { XENVER_pagesize } },
		{ .op = 63 },
		{ .op = __HYPERVISOR_memory_op,
		  .args = { XENMEM_current_reservation, KERNEL_ADDRESS } },
	};

	tap_equal(xen_call2(fd, __HYPERVISOR_multicall, calls, 3), 0, "several calls in one");
	tap_equal((long)calls[0].result, 4096, "the first");
	tap_equal((long)calls[1].result, -ENOSYS, "one that does not exist");
	tap_equal((long)calls[2].result, -EFAULT, "one that fails");
	tap_equal(xen_call2(fd, __HYPERVISOR_multicall, KERNEL_ADDRESS, 1), -EFAULT,
		  "a list in the kernel");
	/* Every entry that is there is made, up to where the memory ends. */
	char *end = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0) + PAGE_SIZE;

	munmap(end, PAGE_SIZE);
	tap_equal(xen_call2(fd, __HYPERVISOR_multicall,
			    memcpy(end - sizeof(calls), calls, sizeof(calls)), ~0UL),
		  -EFAULT, "a list without end");
	munmap(end - PAGE_SIZE, PAGE_SIZE);
}

static void test_memory(void)
{
	struct xen_memory_reservation what = { .nr_extents = ~0UL, .domid = NO_DOMAIN };
	xen_pfn_t frames[2] = { 0, ~0UL };
	domid_t domain = NO_DOMAIN;
	long made, rc;

	tap_equal(xen_call2(fd, __HYPERVISOR_memory_op, XENMEM_current_reservation, &domain),
		  -ESRCH,
		  "no reservation of no domain");
	made = domain_new(fd, 0, 1);
	if (!tap(made > 0, "a domain is made"))
		return;
	domain_max_mem(fd, made, 64);
	what.domid = made;
	set_xen_guest_handle(what.extent_start, (xen_pfn_t *)KERNEL_ADDRESS);
	rc = xen_call2(fd, __HYPERVISOR_memory_op, XENMEM_populate_physmap, &what);
	tap(rc <= 0, "populate with a list in the kernel gives nothing");
	set_xen_guest_handle(what.extent_start, frames);
	what.nr_extents = 2;
	tap_equal(xen_call2(fd, __HYPERVISOR_memory_op, XENMEM_populate_physmap, &what), 1,
		  "populate stops at the frame that cannot be");
	what.extent_order = 63;
	rc = xen_call2(fd, __HYPERVISOR_memory_op, XENMEM_populate_physmap, &what);
	tap(rc <= 0, "not in pieces of 2^63 pages");
	tap_equal(domain_populate(fd, made, 100, 64), 15, "not more than the domain may have");
	domain = made;
	tap_equal(xen_call2(fd, __HYPERVISOR_memory_op, XENMEM_current_reservation, &domain), 16,
		  "which is 16 pages");
	tap_equal(domain_max_mem(fd, made, 0), 0, "the limit may be below what there is");
	tap_equal(domain_populate(fd, made, 200, 1), 0, "then there is no more");
	tap_equal(domain_destroy(fd, made), 0, "it is destroyed");
}

/* One thread makes calls whose structure another changes all the time. */
static struct xen_domctl shared;
static volatile bool stop;

static void *change(void *unused)
{
	unsigned int i;

	for (i = 0; !stop; i++) {
		((volatile uint32_t *)&shared)[0] = i % 100;
		((volatile uint32_t *)&shared)[1] = XEN_DOMCTL_INTERFACE_VERSION + (i & 1);
		((volatile uint16_t *)&shared)[4] = i;
		((volatile uint64_t *)&shared.u)[i % 16] = i * 0x9e3779b97f4a7c15ULL;
	}
	return unused;
}

static void test_race(void)
{
	pthread_t thread;
	unsigned int i;
	int before = domain_count(fd), after;

	pthread_create(&thread, NULL, change, NULL);
	for (i = 0; i < 20000; i++)
		xen_call1(fd, __HYPERVISOR_domctl, &shared);
	stop = true;
	pthread_join(thread, NULL);
	/* What came to be by chance. */
	for (i = 1; i < 0x7ff0; i++)
		domain_destroy(fd, i);
	after = domain_count(fd);
	tap_equal(after, before, "a structure that changes under the call harms nobody");
}

static void test_fork(void)
{
	pid_t child = fork();
	int status;

	if (!child)
		_exit(xen_call2(fd, __HYPERVISOR_xen_version, XENVER_pagesize, 0) == 4096 ? 0 : 1);
	waitpid(child, &status, 0);
	tap_equal(status, 0, "a child can use its parent's descriptor");
}

static void test_buffers(void)
{
	int buffers = open("/dev/xen/hypercall", O_RDWR | O_CLOEXEC);
	char *page;

	if (!tap(buffers >= 0, "/dev/xen/hypercall opens"))
		return;
	page = mmap(NULL, 4 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, buffers, 0);
	tap(page != MAP_FAILED, "it can be mapped");
	if (page != MAP_FAILED) {
		tap(!page[0] && !page[4 * PAGE_SIZE - 1], "it is empty");
		tap_equal(xen_call2(fd, __HYPERVISOR_xen_version, XENVER_extraversion, page), 0,
			  "hypercalls can write there");
		munmap(page, 4 * PAGE_SIZE);
	}
	/* 64 TiB, of which nothing is there before it is touched. */
	page = mmap(NULL, 1UL << 46, PROT_READ | PROT_WRITE, MAP_SHARED, buffers, 0);
	tap(page != MAP_FAILED && !page[(1UL << 46) - 1], "a huge mapping costs what is touched");
	if (page != MAP_FAILED)
		munmap(page, 1UL << 46);
	tap(mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, buffers, 0) == MAP_FAILED,
	    "a private mapping is refused");
	tap_equal(xen_ioctl(buffers, IOCTL_PRIVCMD_HYPERCALL, NULL), -ENOTTY,
		  "it takes no hypercalls");
	close(buffers);
}

int main(void)
{
	fd = xen_open("privcmd");
	tap_plan(0);
	test_ioctl();
	test_numbers();
	test_version();
	test_domctl();
	test_sysctl();
	test_multicall();
	test_memory();
	test_race();
	test_fork();
	test_buffers();
	return tap_end();
}
