/* SPDX-License-Identifier: GPL-2.0-only */
/* Makes domains of a few pages that run a few bytes of code: for tests that need no kernel in them. */
#ifndef SELFTESTS_DOMAIN_H
#define SELFTESTS_DOMAIN_H

#include "xen.h"

/* Where the code of such a domain is. */
#define CODE_GFN 0x10UL

/* 32-bit code: computes for ever. */
static const uint8_t code_spin[] __attribute__((unused)) = { 0xeb, 0xfe };
/* Halts for ever, ready for interrupts that do not come. */
static const uint8_t code_idle[] __attribute__((unused)) = { 0xfb, 0xf4, 0xeb, 0xfc };
/* sched_op(shutdown, &reason), the reason in the four bytes at 0x80 of the page, by VMMCALL. */
static const uint8_t code_shutdown[] __attribute__((unused)) = {
	0xb8, 29, 0, 0, 0,		/* mov $sched_op, %eax */
	0xbb, 2, 0, 0, 0,		/* mov $shutdown, %ebx */
	0xb9, 0x80, 0, 1, 0,		/* mov $0x10080, %ecx */
	0x0f, 0x01, 0xd9,		/* vmmcall */
	0xeb, 0xfe,
};
/* Counts in the four bytes at 0x80 of the page. */
static const uint8_t code_count[] __attribute__((unused)) = {
	0xff, 0x05, 0x80, 0, 1, 0,	/* incl 0x10080 */
	0xeb, 0xf8,
};

__attribute__((unused)) static long domain_new(int fd, domid_t wanted, unsigned int vcpus)
{
	struct xen_domctl domctl = { 0 };
	struct xen_domctl_createdomain *create = &domctl.u.createdomain;
	static uint32_t serial;
	long rc;

	create->flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap;
	create->max_vcpus = vcpus;
	create->max_evtchn_port = 1023;
	create->max_grant_frames = 4;
	create->max_maptrack_frames = 4;
	create->grant_opts = XEN_DOMCTL_GRANT_version(1);
	create->arch.emulation_flags = XEN_X86_EMU_LAPIC;
	serial++;
	memcpy(create->handle, &serial, sizeof(serial));
	rc = xen_domctl(fd, XEN_DOMCTL_createdomain, wanted, &domctl);
	return rc < 0 ? rc : domctl.domain;
}

__attribute__((unused)) static long domain_vcpus(int fd, domid_t domain, unsigned int vcpus)
{
	struct xen_domctl domctl = { 0 };

	domctl.u.max_vcpus.max = vcpus;
	return xen_domctl(fd, XEN_DOMCTL_max_vcpus, domain, &domctl);
}

__attribute__((unused)) static long domain_max_mem(int fd, domid_t domain, uint64_t kib)
{
	struct xen_domctl domctl = { 0 };

	domctl.u.max_mem.max_memkb = kib;
	return xen_domctl(fd, XEN_DOMCTL_max_mem, domain, &domctl);
}

/* Returns how many of the pages could be had. */
__attribute__((unused)) static long domain_populate(int fd, domid_t domain, xen_pfn_t first,
						    unsigned int count)
{
	xen_pfn_t frames[256];
	struct xen_memory_reservation what = { .nr_extents = count, .domid = domain };
	unsigned int i;

	if (count > 256)
		return -EINVAL;
	for (i = 0; i < count; i++)
		frames[i] = first + i;
	set_xen_guest_handle(what.extent_start, frames);
	return xen_call2(fd, __HYPERVISOR_memory_op, XENMEM_populate_physmap, &what);
}

#define DOMAIN_MAX_VCPUS 8U

/* The registers that a PVH kernel starts with, at an address. */
__attribute__((unused)) static HVM_SAVE_TYPE(CPU) domain_cpu(uint32_t ip)
{
	return (HVM_SAVE_TYPE(CPU)){
		.rip = ip, .cr0 = 0x11, .rflags = 2,
		.cs_limit = ~0U, .ds_limit = ~0U, .es_limit = ~0U, .ss_limit = ~0U,
		.cs_arbytes = 0xc9b, .ds_arbytes = 0xc93, .es_arbytes = 0xc93, .ss_arbytes = 0xc93,
		.tr_limit = 0x67, .tr_arbytes = 0x8b, .ldtr_arbytes = 0x82,
		.dr6 = 0xffff0ff0, .dr7 = 0x400,
	};
}

/* Gives the first vCPUs these registers: all at once, since those that are not named are taken down. */
__attribute__((unused)) static long domain_registers(int fd, domid_t domain,
						     const HVM_SAVE_TYPE(CPU) *cpus,
						     unsigned int count)
{
	struct __attribute__((packed)) {
		struct hvm_save_descriptor header_is;
		HVM_SAVE_TYPE(HEADER) header;
		struct __attribute__((packed)) {
			struct hvm_save_descriptor is;
			HVM_SAVE_TYPE(CPU) cpu;
		} vcpu[DOMAIN_MAX_VCPUS];
		struct hvm_save_descriptor space_for_end;
	} context;
	static uint8_t old[1 << 20] __attribute__((aligned(16)));
	struct hvm_save_descriptor *end = (void *)&context.vcpu[count];
	struct xen_domctl domctl = { 0 };
	unsigned int i;
	long rc;

	/* The header is the hypervisor's own. */
	domctl.u.hvmcontext.size = sizeof(old);
	set_xen_guest_handle(domctl.u.hvmcontext.buffer, old);
	rc = xen_domctl(fd, XEN_DOMCTL_gethvmcontext, domain, &domctl);
	if (rc < 0)
		return rc;
	memset(&context, 0, sizeof(context));
	memcpy(&context.header_is, old, sizeof(context.header_is) + sizeof(context.header));
	for (i = 0; i < count; i++) {
		context.vcpu[i].is.typecode = HVM_SAVE_CODE(CPU);
		context.vcpu[i].is.instance = i;
		context.vcpu[i].is.length = sizeof(cpus[i]);
		context.vcpu[i].cpu = cpus[i];
	}
	end->typecode = HVM_SAVE_CODE(END);
	memset(&domctl, 0, sizeof(domctl));
	domctl.u.hvmcontext.size = (uint8_t *)(end + 1) - (uint8_t *)&context;
	set_xen_guest_handle(domctl.u.hvmcontext.buffer, (uint8_t *)&context);
	return xen_domctl(fd, XEN_DOMCTL_sethvmcontext, domain, &domctl);
}

/* Gives a new domain vCPUs, and 64 pages from frame 0 on. */
__attribute__((unused)) static long domain_furnish(int fd, domid_t domain, unsigned int vcpus)
{
	long rc = domain_vcpus(fd, domain, vcpus);

	if (!rc)
		rc = domain_max_mem(fd, domain, 1024);
	if (!rc)
		rc = domain_populate(fd, domain, 0, 64) == 64 ? 0 : -ENOMEM;
	return rc;
}

/* Puts the code in its place, and a number at 0x80 of the page if the code leaves room for one. */
__attribute__((unused)) static long domain_code(int fd, domid_t domain, const uint8_t *code,
						size_t size, uint32_t value)
{
	xen_pfn_t frame = CODE_GFN;
	uint8_t *page = xen_map(fd, domain, &frame, 1);

	if (!page || size > PAGE_SIZE)
		return -EFAULT;
	memcpy(page, code, size);
	if (size <= 0x80)
		memcpy(page + 0x80, &value, sizeof(value));
	munmap(page, PAGE_SIZE);
	return 0;
}

/* Gives the first vCPU the registers that a PVH kernel starts with, at an address. */
__attribute__((unused)) static long domain_start_at(int fd, domid_t domain, uint32_t ip)
{
	HVM_SAVE_TYPE(CPU) cpu = domain_cpu(ip);

	return domain_registers(fd, domain, &cpu, 1);
}

/* Makes a whole domain, paused. Returns its number or a negative error number; nothing is left then. */
__attribute__((unused)) static long domain_make(int fd, unsigned int vcpus, const uint8_t *code,
						size_t size, uint32_t value)
{
	long domain = domain_new(fd, 0, vcpus), rc;

	if (domain < 0)
		return domain;
	rc = domain_furnish(fd, domain, vcpus);
	if (!rc)
		rc = domain_code(fd, domain, code, size, value);
	if (!rc)
		rc = domain_start_at(fd, domain, CODE_GFN * PAGE_SIZE);
	if (rc) {
		xen_domctl(fd, XEN_DOMCTL_destroydomain, domain, NULL);
		return rc;
	}
	return domain;
}

#define DOMAIN_MAKE(fd, vcpus, code, value) domain_make(fd, vcpus, code, sizeof(code), value)

__attribute__((unused)) static long domain_destroy(int fd, domid_t domain)
{
	return xen_domctl(fd, XEN_DOMCTL_destroydomain, domain, NULL);
}

__attribute__((unused)) static long domain_pause(int fd, domid_t domain)
{
	return xen_domctl(fd, XEN_DOMCTL_pausedomain, domain, NULL);
}

__attribute__((unused)) static long domain_unpause(int fd, domid_t domain)
{
	return xen_domctl(fd, XEN_DOMCTL_unpausedomain, domain, NULL);
}

/* A domain's saved state. */
struct saved_state {
	uint8_t bytes[1 << 16] __attribute__((aligned(16)));
	uint32_t size;
};

__attribute__((unused)) static long domain_save(int fd, domid_t domain, struct saved_state *state)
{
	struct xen_domctl domctl = { 0 };
	long rc;

	domctl.u.hvmcontext.size = sizeof(state->bytes);
	set_xen_guest_handle(domctl.u.hvmcontext.buffer, state->bytes);
	rc = xen_domctl(fd, XEN_DOMCTL_gethvmcontext, domain, &domctl);
	state->size = domctl.u.hvmcontext.size;
	return rc;
}

__attribute__((unused)) static long domain_load(int fd, domid_t domain, struct saved_state *state)
{
	struct xen_domctl domctl = { 0 };

	domctl.u.hvmcontext.size = state->size;
	set_xen_guest_handle(domctl.u.hvmcontext.buffer, state->bytes);
	return xen_domctl(fd, XEN_DOMCTL_sethvmcontext, domain, &domctl);
}

/* Finds the first record of a kind, or NULL. Its descriptor is before what is returned. */
__attribute__((unused)) static void *saved_record(struct saved_state *state, unsigned int code)
{
	struct hvm_save_descriptor *is;
	uint32_t at;

	for (at = 0; at + sizeof(*is) <= state->size; at += sizeof(*is) + is->length) {
		is = (void *)(state->bytes + at);
		if (is->typecode == code)
			return is + 1;
	}
	return NULL;
}

/* Lets a paused domain run until it has counted on at 0x80 of its page, which is mapped; then it is paused again. */
__attribute__((unused)) static bool domain_counts_on(int fd, domid_t domain, volatile uint8_t *page)
{
	volatile uint32_t *count = (volatile uint32_t *)(page + 0x80);
	uint32_t before = *count;
	unsigned int i;

	domain_unpause(fd, domain);
	for (i = 0; i < 1000 && *count - before < 1000; i++)
		usleep(10000);
	domain_pause(fd, domain);
	return *count != before;
}

/* Waits some seconds until a domain has shut down; returns its reason or -1. */
__attribute__((unused)) static int domain_wait_shutdown(int fd, domid_t domain)
{
	unsigned int i;
	long flags;

	for (i = 0; i < 2000; i++) {
		flags = xen_flags(fd, domain);
		if (flags < 0)
			return -1;
		if (flags & XEN_DOMINF_shutdown)
			return flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask;
		usleep(10000);
	}
	return -1;
}

/* Returns how many domains there are, the control domain included. */
__attribute__((unused)) static int domain_count(int fd)
{
	static xen_domctl_getdomaininfo_t list[1024];
	struct xen_sysctl sysctl = { 0 };

	sysctl.u.getdomaininfolist.max_domains = 1024;
	set_xen_guest_handle(sysctl.u.getdomaininfolist.buffer, list);
	if (xen_sysctl(fd, XEN_SYSCTL_getdomaininfolist, &sysctl) < 0)
		return -1;
	return sysctl.u.getdomaininfolist.num_domains;
}

#endif
