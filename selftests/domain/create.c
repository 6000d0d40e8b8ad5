// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves what createdomain and the operations that fill a domain take and refuse, that a refused one leaves
 * nothing, and that numbers are not given again at once.
 */

#include "domain.h"

static int fd;

/* Creates with one thing changed; destroys what came to be. */
#define CREATE(change)								\
	({									\
		struct xen_domctl domctl = { 0 };				\
		struct xen_domctl_createdomain *create = &domctl.u.createdomain; \
		long rc;							\
										\
		create->flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap;	\
		create->max_vcpus = 1;						\
		create->max_evtchn_port = 1023;					\
		create->max_grant_frames = 4;					\
		create->max_maptrack_frames = 4;				\
		create->grant_opts = XEN_DOMCTL_GRANT_version(1);		\
		create->arch.emulation_flags = XEN_X86_EMU_LAPIC;		\
		change;								\
		rc = xen_domctl(fd, XEN_DOMCTL_createdomain, 0, &domctl);	\
		if (!rc)							\
			domain_destroy(fd, domctl.domain);			\
		rc;								\
	})

static void test_arguments(void)
{
	int before = domain_count(fd);

	tap_equal(CREATE(), 0, "a PVH domain is created");
	tap_equal(CREATE(create->max_vcpus = 0), -EINVAL, "not without vCPUs");
	tap(CREATE(create->max_vcpus = 100000) < 0, "not with 100000");
	tap_equal(CREATE(create->max_vcpus = 64), 0, "with 64");
	tap_equal(CREATE(create->flags |= 1U << 31), -EINVAL, "not with an unknown flag");
	tap(CREATE(create->flags = 0) < 0, "not paravirtualised");
	tap_equal(CREATE(create->flags = XEN_DOMCTL_CDF_hvm), -EINVAL, "not with shadow paging");
	tap_equal(CREATE(create->flags |= XEN_DOMCTL_CDF_nested_virt) < 0, 1,
		  "R-12 not with nested virtualisation");
	tap(CREATE(create->arch.emulation_flags = 0x80000000) < 0, "not with unknown devices");
	tap(CREATE(create->arch.misc_flags = 0x80000000) < 0, "not with unknown options");
	tap(CREATE(create->grant_opts = XEN_DOMCTL_GRANT_version(0)) < 0,
	    "not with grant tables of version 0");
	tap(CREATE(create->grant_opts = XEN_DOMCTL_GRANT_version(3)) < 0, "nor 3");
	tap(CREATE(create->grant_opts = 1U << 31 | 1) < 0, "nor with unknown grant options");
	tap(CREATE(create->cpupool_id = 77) < 0, "not in a CPU pool that is not there");
	tap(CREATE(create->vmtrace_size = 12345) < 0, "not with a trace buffer of odd size");
	tap(CREATE(create->iommu_opts = ~0U) < 0, "not with unknown IOMMU options");
	tap_equal(CREATE(create->max_grant_frames = -1; create->max_maptrack_frames = -1), 0,
		  "with default limits");
	tap_equal(domain_count(fd), before, "nothing is left of all these");
}

static void test_numbers(void)
{
	long seen[10];
	unsigned int i, j, same = 0;
	long wanted;

	for (i = 0; i < 10; i++) {
		seen[i] = domain_new(fd, 0, 1);
		domain_destroy(fd, seen[i]);
		for (j = 0; j < i; j++)
			same += seen[i] == seen[j];
	}
	tap_equal(same, 0, "ten domains one after another have ten numbers");
	wanted = domain_new(fd, 1000, 1);
	tap_equal(wanted, 1000, "a number can be asked for");
	i = domain_new(fd, 1000, 1);
	tap(i != 1000, "not twice");
	if ((long)i > 0)
		domain_destroy(fd, i);
	domain_destroy(fd, wanted);
}

static void test_vcpus(void)
{
	long domain = domain_new(fd, 0, 4);
	struct xen_domctl domctl = { 0 };

	tap(domain_unpause(fd, domain) == 0 && domain_pause(fd, domain) == 0,
	    "a domain without vCPUs may be unpaused");
	tap(domain_vcpus(fd, domain, 5) < 0, "no more vCPUs than it was created with");
	tap(domain_vcpus(fd, domain, 0) < 0, "nor none");
	tap_equal(domain_vcpus(fd, domain, 4), 0, "as many as it was created with");
	tap_equal(domain_vcpus(fd, domain, 4), 0, "again is no error");
	domctl.u.getvcpuinfo.vcpu = 3;
	tap_equal(xen_domctl(fd, XEN_DOMCTL_getvcpuinfo, domain, &domctl), 0, "the last is there");
	domctl.u.getvcpuinfo.vcpu = 4;
	tap_equal(xen_domctl(fd, XEN_DOMCTL_getvcpuinfo, domain, &domctl), -EINVAL,
		  "one more is not");
	domctl.u.getvcpuinfo.vcpu = ~0U;
	tap(xen_domctl(fd, XEN_DOMCTL_getvcpuinfo, domain, &domctl) < 0, "nor 2^32 - 1");
	domain_destroy(fd, domain);
}

static void test_info(void)
{
	long domain = domain_new(fd, 0, 2);
	struct xen_domctl domctl = { 0 };
	struct xen_domctl_getdomaininfo *info = &domctl.u.getdomaininfo;

	domain_vcpus(fd, domain, 2);
	domain_max_mem(fd, domain, 400);
	domain_populate(fd, domain, 0, 10);
	tap_equal(xen_domctl(fd, XEN_DOMCTL_getdomaininfo, domain, &domctl), 0,
		  "a domain is described");
	tap_equal(domctl.domain, domain, "it is the one");
	tap_equal(info->tot_pages, 10, "its memory");
	tap_equal(info->max_pages, 100, "its limit");
	tap_equal(info->max_vcpu_id, 1, "its vCPUs");
	tap_equal(info->nr_online_vcpus, 0, "none of which is up");
	tap(info->flags & XEN_DOMINF_hvm_guest && info->flags & XEN_DOMINF_hap,
	    "it is HVM with nested paging");
	tap(info->flags & XEN_DOMINF_paused, "it is paused");
	tap(!(info->flags & (XEN_DOMINF_dying | XEN_DOMINF_shutdown | XEN_DOMINF_running)),
	    "and nothing else");
	tap_equal(info->cpu_time, 0, "it has not run");
	tap(info->handle[0] || info->handle[1], "it has its handle");
	domctl.domain = 0;
	domain_destroy(fd, domain);
	tap_equal(xen_domctl(fd, XEN_DOMCTL_getdomaininfo, domain, &domctl), -ESRCH,
		  "when it is gone it is ESRCH");
	tap_equal(xen_domctl(fd, XEN_DOMCTL_getdomaininfo, 0, &domctl), 0, "domain 0 is described");
	tap_equal(domctl.domain, 0, "as domain 0");
}

static void test_list(void)
{
	xen_domctl_getdomaininfo_t list[4];
	struct xen_sysctl sysctl = { 0 };
	long one = domain_new(fd, 2000, 1), two = domain_new(fd, 2001, 1);

	sysctl.u.getdomaininfolist.first_domain = 2000;
	sysctl.u.getdomaininfolist.max_domains = 1;
	set_xen_guest_handle(sysctl.u.getdomaininfolist.buffer, list);
	tap_equal(xen_sysctl(fd, XEN_SYSCTL_getdomaininfolist, &sysctl), 0, "domains are listed");
	tap_equal(sysctl.u.getdomaininfolist.num_domains, 1, "as many as there is room for");
	tap_equal(list[0].domain, 2000, "from the first asked for");
	sysctl.u.getdomaininfolist.max_domains = 4;
	xen_sysctl(fd, XEN_SYSCTL_getdomaininfolist, &sysctl);
	tap_equal(sysctl.u.getdomaininfolist.num_domains, 2, "to the last");
	set_xen_guest_handle(sysctl.u.getdomaininfolist.buffer, (void *)0xffffffff81000000UL);
	tap_equal(xen_sysctl(fd, XEN_SYSCTL_getdomaininfolist, &sysctl), -EFAULT,
		  "not into the kernel");
	domain_destroy(fd, one);
	domain_destroy(fd, two);
}

static void test_memory(void)
{
	long domain = domain_new(fd, 0, 1);
	struct xen_foreign_memory_map map = { .domid = domain };
	static struct { uint64_t addr, size; uint32_t type; } __attribute__((packed)) entries[1025];

	domain_max_mem(fd, domain, 1 << 20);
	map.map.nr_entries = 2;
	set_xen_guest_handle(map.map.buffer, entries);
	entries[0].size = 1 << 20;
	entries[0].type = entries[1].type = 1;
	entries[1].addr = 1 << 20;
	tap_equal(xen_call2(fd, __HYPERVISOR_memory_op, XENMEM_set_memory_map, &map), 0,
		  "a memory map is set");
	map.map.nr_entries = 1024;
	tap_equal(xen_call2(fd, __HYPERVISOR_memory_op, XENMEM_set_memory_map, &map), 0,
		  "one of 1024 entries");
	map.map.nr_entries = 1025;
	tap_equal(xen_call2(fd, __HYPERVISOR_memory_op, XENMEM_set_memory_map, &map), -EINVAL,
		  "not one of 1025");
	map.map.nr_entries = ~0U;
	tap(xen_call2(fd, __HYPERVISOR_memory_op, XENMEM_set_memory_map, &map) < 0,
	    "nor of 2^32 - 1");
	map.map.nr_entries = 2;
	set_xen_guest_handle(map.map.buffer, (void *)0xffffffff81000000UL);
	tap_equal(xen_call2(fd, __HYPERVISOR_memory_op, XENMEM_set_memory_map, &map), -EFAULT,
		  "nor from the kernel");
	tap_equal(domain_populate(fd, domain, 0, 200), 200, "it is populated");
	tap_equal(domain_populate(fd, domain, 199, 1), 0, "a page that is there is not replaced");
	domain_destroy(fd, domain);
}

static void test_params(void)
{
	long domain = domain_new(fd, 0, 1);
	uint64_t value;
	unsigned int i;

	domain_vcpus(fd, domain, 1);
	tap_equal(xen_set_param(fd, domain, HVM_PARAM_CONSOLE_PFN, 0xfefff), 0,
		  "a parameter is set");
	tap_equal(xen_get_param(fd, domain, HVM_PARAM_CONSOLE_PFN, &value), 0, "and got");
	tap_equal(value, 0xfefff, "as it was set");
	tap_equal(xen_set_param(fd, domain, HVM_NR_PARAMS, 0), -EINVAL, "not one beyond the last");
	tap_equal(xen_set_param(fd, domain, ~0U, 0), -EINVAL, "nor 2^32 - 1");
	tap_equal(xen_set_param(fd, NO_DOMAIN, HVM_PARAM_CONSOLE_PFN, 1), -ESRCH,
		  "nor of no domain");
	for (i = 0; i < HVM_NR_PARAMS; i++) {
		xen_set_param(fd, domain, i, ~0ULL);
		xen_set_param(fd, domain, i, 0);
	}
	tap(xen_flags(fd, domain) >= 0, "all of them full of ones harm nobody");
	domain_destroy(fd, domain);
}

static void test_context(void)
{
	static uint8_t context[65536] __attribute__((aligned(16)));
	long domain = domain_new(fd, 0, 1), size;
	struct xen_domctl domctl = { 0 };
	struct hvm_save_descriptor *is;
	unsigned int i, mtrr = 0, cpu = 0, survived = 0;

	domain_vcpus(fd, domain, 1);
	tap_equal(xen_domctl(fd, XEN_DOMCTL_gethvmcontext, domain, &domctl), 0,
		  "the context's size is given");
	size = domctl.u.hvmcontext.size;
	tap(size > 1024 && size < (long)sizeof(context), "it is %ld", size);
	set_xen_guest_handle(domctl.u.hvmcontext.buffer, context);
	tap_equal(xen_domctl(fd, XEN_DOMCTL_gethvmcontext, domain, &domctl), 0,
		  "so is the context");
	is = (void *)context;
	tap_equal(is->typecode, HVM_SAVE_CODE(HEADER), "it begins with a header");
	for (i = 0; i + sizeof(*is) <= (size_t)size; i += sizeof(*is) + is->length) {
		is = (void *)(context + i);
		if (is->typecode == HVM_SAVE_CODE(END))
			break;
		mtrr += is->typecode == HVM_SAVE_CODE(MTRR);
		cpu += is->typecode == HVM_SAVE_CODE(CPU);
	}
	tap(i + sizeof(*is) == domctl.u.hvmcontext.size && is->typecode == HVM_SAVE_CODE(END),
	    "and ends with an end");
	tap(mtrr == 1, "it has the vCPU's MTRRs");
	tap_note("%u CPU records", cpu);
	domctl.u.hvmcontext.size = 10;
	tap(xen_domctl(fd, XEN_DOMCTL_gethvmcontext, domain, &domctl) < 0,
	    "a buffer of 10 bytes is too small");
	domctl.u.hvmcontext.size = size;
	tap_equal(xen_domctl(fd, XEN_DOMCTL_sethvmcontext, domain, &domctl), 0,
		  "it can be set again");
	/* Cut off everywhere, and with each byte changed. */
	for (i = 0; i < (unsigned long)size; i += 7) {
		domctl.u.hvmcontext.size = i;
		xen_domctl(fd, XEN_DOMCTL_sethvmcontext, domain, &domctl);
	}
	domctl.u.hvmcontext.size = size;
	for (i = 0; i < (unsigned long)size; i += 3) {
		uint8_t old = context[i];

		context[i] ^= 0xff;
		xen_domctl(fd, XEN_DOMCTL_sethvmcontext, domain, &domctl);
		context[i] = old;
	}
	domctl.u.hvmcontext.size = ~0U;
	tap(xen_domctl(fd, XEN_DOMCTL_sethvmcontext, domain, &domctl) < 0, "not one of 4 GiB");
	survived = xen_flags(fd, domain) >= 0;
	tap(survived, "broken contexts harm nobody");
	/* And then it runs with what the last one left. */
	domain_populate(fd, domain, 0, 1);
	domain_unpause(fd, domain);
	usleep(50000);
	tap_equal(domain_destroy(fd, domain), 0, "nor when the domain runs with them");
}

int main(void)
{
	fd = xen_open("privcmd");
	tap_plan(0);
	test_arguments();
	test_numbers();
	test_vcpus();
	test_info();
	test_list();
	test_memory();
	test_params();
	test_context();
	return tap_end();
}
