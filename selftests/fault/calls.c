// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves that a tool's calls live through each of their allocations, and each copy from or to the tool,
 * failing: they say ENOMEM or EFAULT, or succeed without it, and nothing of them is left.
 */

#include "evtchn.h"
#include "domain.h"
#include "fault.h"

/* More allocations than any call makes. */
#define LIMIT 2000

static int privcmd, evtchn;
/* A domain with a vCPU, memory and nothing else. */
static long domain;

static long call_open(void)
{
	int fd = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static long call_open_evtchn(void)
{
	int fd = open("/dev/xen/evtchn", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/* What a call made goes without faults, else that could fail. */
static long made;

static long call_create(void)
{
	made = domain_new(privcmd, 0, 4);
	return made < 0 ? made : 0;
}

static void undo_create(void)
{
	if (made > 0)
		domain_destroy(privcmd, made);
}

static void prepare_vcpus(void) { made = domain_new(privcmd, 0, 4); }

static long call_vcpus(void) { return domain_vcpus(privcmd, made, 4); }

static void prepare_memory(void)
{
	made = domain_new(privcmd, 0, 1);
	domain_vcpus(privcmd, made, 1);
	domain_max_mem(privcmd, made, 8192);
}

static long call_populate(void)
{
	long rc = domain_populate(privcmd, made, 0x12345, 16);

	/* As many as there was memory for. */
	return rc >= 0 && rc < 16 ? -ENOMEM : rc < 0 ? rc : 0;
}

static long call_populate_large(void)
{
	xen_pfn_t frame = 0x200;
	struct xen_memory_reservation what = { .nr_extents = 1, .extent_order = 9, .domid = made };
	long rc;

	set_xen_guest_handle(what.extent_start, &frame);
	rc = xen_call2(privcmd, __HYPERVISOR_memory_op, XENMEM_populate_physmap, &what);
	return rc == 1 ? 0 : rc == 0 ? -ENOMEM : rc;
}

static long call_context(void) { return domain_start_at(privcmd, domain, 0x10000); }

static long call_map(void)
{
	xen_pfn_t frames[4] = { 1, 2, 3, 4 };
	int errors[4] = { 0 };
	privcmd_mmapbatch_v2_t batch = { .num = 4, .dom = domain, .arr = frames, .err = errors };
	void *at = mmap(NULL, 4 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, privcmd, 0);
	long rc;

	if (at == MAP_FAILED)
		return -errno;
	batch.addr = A(at);
	rc = xen_ioctl(privcmd, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch);
	munmap(at, 4 * PAGE_SIZE);
	return rc < 0 ? rc : errors[0] ? errors[0] : errors[1] ? errors[1] : errors[2] ? errors[2] :
		errors[3];
}

static long bound;

static long call_bind(void)
{
	bound = bind_unbound(evtchn, domain);
	return bound < 0 ? bound : 0;
}

static void undo_bind(void)
{
	if (bound > 0)
		unbind(evtchn, bound);
}

static long call_alloc_unbound(void)
{
	struct evtchn_alloc_unbound ask = { .dom = domain, .remote_dom = DOMID_SELF };
	long rc = xen_call2(privcmd, __HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, &ask);

	bound = rc ? 0 : ask.port;
	return rc;
}

static long call_map_set(void)
{
	static struct { uint64_t addr, size; uint32_t type; } __attribute__((packed)) entries[4];
	struct xen_foreign_memory_map map = { .domid = domain, .map.nr_entries = 4 };

	set_xen_guest_handle(map.map.buffer, entries);
	return xen_call2(privcmd, __HYPERVISOR_memory_op, XENMEM_set_memory_map, &map);
}

static long call_list(void) { return domain_count(privcmd) < 0 ? -ENOMEM : 0; }

static long call_policy(void)
{
	static xen_cpuid_leaf_t leaves[200];
	static xen_msr_entry_t msrs[200];
	struct xen_domctl domctl = { 0 };

	domctl.u.cpu_policy.nr_leaves = domctl.u.cpu_policy.nr_msrs = 200;
	set_xen_guest_handle(domctl.u.cpu_policy.leaves, leaves);
	set_xen_guest_handle(domctl.u.cpu_policy.msrs, msrs);
	return xen_domctl(privcmd, XEN_DOMCTL_get_cpu_policy, domain, &domctl);
}

static long call_run(void)
{
	static const uint8_t code[] = { 0x0f, 0xa2, 0xf4 };

	made = DOMAIN_MAKE(privcmd, 2, code, 0);
	if (made < 0)
		return made;
	return domain_unpause(privcmd, made);
}

static const struct call {
	const char *name;
	long (*call)(void);
	void (*prepare)(void);
	void (*undo)(void);
} calls[] = {
	{ "open privcmd", call_open, NULL, NULL },
	{ "open evtchn", call_open_evtchn, NULL, NULL },
	{ "createdomain", call_create, NULL, undo_create },
	{ "max_vcpus", call_vcpus, prepare_vcpus, undo_create },
	{ "populate_physmap", call_populate, prepare_memory, undo_create },
	{ "populate_physmap of 2 MiB", call_populate_large, prepare_memory, undo_create },
	{ "sethvmcontext", call_context, NULL, NULL },
	{ "mmap batch", call_map, NULL, NULL },
	{ "bind an unbound port", call_bind, NULL, undo_bind },
	{ "alloc_unbound for a guest", call_alloc_unbound, NULL, NULL },
	{ "set_memory_map", call_map_set, NULL, NULL },
	{ "getdomaininfolist", call_list, NULL, NULL },
	{ "get_cpu_policy", call_policy, NULL, NULL },
	{ "a domain from nothing to running", call_run, NULL, undo_create },
};

static void test(const struct call *call)
{
	unsigned int nth, failed = 0, odd = 0;
	int before = domain_count(privcmd);
	long rc, last = 0;
	bool hit;

	for (nth = 1; nth < LIMIT; nth++) {
		made = bound = 0;
		if (call->prepare)
			call->prepare();
		fault_arm(nth);
		rc = call->call();
		hit = fault_disarm();
		if (call->undo)
			call->undo();
		failed += rc < 0;
		if (rc < 0 && rc != -ENOMEM && rc != -EFAULT) {
			tap_note("%s: allocation %u: %ld", call->name, nth, rc);
			odd++;
		}
		last = rc;
		if (!hit)
			break;
	}
	tap(!odd && nth < LIMIT, "%s: %u of %u faults make it fail, with ENOMEM or EFAULT",
	    call->name, failed, nth - 1);
	tap_equal(last, 0, "%s: without a fault it succeeds", call->name);
	tap_equal(domain_count(privcmd), before, "%s: nothing is left", call->name);
}

int main(void)
{
	unsigned int i;

	privcmd = xen_open("privcmd");
	evtchn = xen_open("evtchn");
	fault_begin();
	domain = DOMAIN_MAKE(privcmd, 1, code_idle, 0);
	if (domain < 0)
		tap_bail("no domain: %ld", domain);
	tap_plan(sizeof(calls) / sizeof(calls[0]) * 3 + 1);
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		test(&calls[i]);
	tap_equal(domain_destroy(privcmd, domain), 0, "the domain is destroyed");
	return tap_end();
}
